"""A participant's seat in a browser: the pages of one study lie under one address, and a cookie of that path opens them.

So several studies live beside each other in one browser.
"""

from contextlib import suppress

from fastapi import Request, Response
from starlette.convertors import Convertor, register_url_convertor

from evenhand.errors import NotFound
from evenhand.model.participant import Participant
from evenhand.model.study import Study
from evenhand.web.access import PARTICIPANT_SECONDS, Role, lab_of, set_cookie, sign_in, signed_in

COOKIE_CHECK = "evenhand_cookies"  # a cookie that holds nothing: it comes back where the browser keeps cookies
STUDIES_COOKIE = "evenhand_study"  # the studies that were joined in this browser, as 7.3: where the start page goes on
MOST_STUDIES = 20  # that it names, those joined last
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
    joined = [participant.study_id, *(number for number in _named(request) if number != participant.study_id)]
    set_cookie(request, response, STUDIES_COOKIE, ".".join(map(str, joined[:MOST_STUDIES])), PARTICIPANT_SECONDS)
    return response


def seated(request: Request, study_id: int) -> Participant | None:
    """The participant of this study whose cookie came with the request."""
    known = signed_in(request, Role.PARTICIPANT)
    participant = lab_of(request).participants.get(known.subject) if known else None
    return participant if participant and participant.study_id == study_id else None


def studies_joined(request: Request) -> list[Study]:
    """The studies that this browser took part in, the one that was joined last first.

    Before studies had addresses of their own, one cookie was for all pages: it still says which participant this is.
    """
    lab, joined = lab_of(request), _named(request)
    if (known := signed_in(request, Role.PARTICIPANT)) is not None:
        joined = [lab.participants.get(known.subject).study_id, *joined]
    studies: dict[int, Study] = {}
    for number in joined:
        with suppress(NotFound):
            study = lab.studies.get(number)
            studies.setdefault(study.id, study)
    return list(studies.values())


def _named(request: Request) -> list[int]:
    """The numbers that the cookie names; whatever else stands there is none."""
    parts = request.cookies.get(STUDIES_COOKIE, "").split(".")[:MOST_STUDIES]
    return [int(part) for part in parts if part.isascii() and part.isdigit() and len(part) < 18]


def with_cookie_check(request: Request, response: Response) -> Response:
    """Give the browser a cookie that it has to bring back before it joins."""
    set_cookie(request, response, COOKIE_CHECK, "kept", None)
    return response


def keeps_cookies(request: Request) -> bool:
    """Whether the browser brought back the cookie that it was given."""
    return COOKIE_CHECK in request.cookies
