"""A participant's seat in a browser: the pages of one study lie under one address, and a cookie of that path opens them.

So several studies live beside each other in one browser.
"""

from fastapi import Request, Response
from starlette.convertors import Convertor, register_url_convertor

from evenhand.errors import NotFound
from evenhand.model.participant import Participant
from evenhand.web.access import PARTICIPANT_SECONDS, Role, lab_of, set_cookie, sign_in, signed_in

COOKIE_CHECK = "evenhand_cookies"  # a cookie that holds nothing: it comes back where the browser keeps cookies
LAST_STUDY_COOKIE = "evenhand_study"  # the study that was joined last in this browser: where the start page goes on
TRIED = "cookies=tried"  # query of an address that the browser was sent to together with that cookie


class _Part(Convertor[str]):
    """A part of an address that looks like `regex`."""

    def convert(self, value: str) -> str:
        return value

    def to_string(self, value: str) -> str:
        return value


class _StudyNumber(_Part):
    """No page of the old ones has such a name."""

    regex = "[1-9][0-9]{0,17}"


class _OldPage(_Part):
    """What lay under /p before each study had an address of its own there."""

    regex = "(?:terms|questions|details|practice|continue|tune|trials|events|final|thanks|withdraw|withdrawn)(?:/.*)?"


register_url_convertor("study", _StudyNumber())
register_url_convertor("old", _OldPage())
PLACE = "/p/{study_id:study}"  # what all pages of a participant begin with
OLD_PLACE = "/p/{old:old}"


def home(study_id: int) -> str:
    """The address under which a participant's pages of this study lie; itself, it leads to the one that is next."""
    return f"/p/{study_id}"


def seat(request: Request, response: Response, participant: Participant) -> Response:
    """Let this browser go on as this participant, on the pages of their study alone."""
    sign_in(request, response, participant.id, home(participant.study_id))
    set_cookie(request, response, LAST_STUDY_COOKIE, str(participant.study_id), PARTICIPANT_SECONDS)
    return response


def seated(request: Request, study_id: int) -> Participant | None:
    """The participant of this study whose cookie came with the request."""
    known = signed_in(request, Role.PARTICIPANT)
    participant = lab_of(request).participants.get(known.subject) if known else None
    return participant if participant and participant.study_id == study_id else None


def last_study(request: Request) -> int | None:
    """The study that this browser took part in last; None where there is none.

    Before studies had addresses of their own, one cookie was for all pages: it still says which participant this is.
    """
    if (known := signed_in(request, Role.PARTICIPANT)) is not None:
        return lab_of(request).participants.get(known.subject).study_id
    number = request.cookies.get(LAST_STUDY_COOKIE, "")
    if not (number.isascii() and number.isdigit() and len(number) < 18):
        return None
    try:
        return lab_of(request).studies.get(int(number)).id
    except NotFound:
        return None


def with_cookie_check(request: Request, response: Response) -> Response:
    """Give the browser a cookie that it has to bring back before it joins."""
    set_cookie(request, response, COOKIE_CHECK, "kept", None)
    return response


def keeps_cookies(request: Request) -> bool:
    """Whether the browser brought back the cookie that it was given."""
    return COOKIE_CHECK in request.cookies
