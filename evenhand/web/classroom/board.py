"""A class's pages: the code, the nickname, the way back to a seat, the board for the wall, which whoever has the code may see."""

from dataclasses import asdict
from typing import Annotated, Any

import segno
from fastapi import APIRouter, Form, Request, Response
from starlette.concurrency import run_in_threadpool

from evenhand.errors import NotAllowed, NotFound, Refused
from evenhand.lab.participants import join_key
from evenhand.lab.seats import plain_code, spaced_code
from evenhand.model.nicknames import LONGEST_NICKNAME, nickname
from evenhand.model.participant import Participant
from evenhand.model.study import Study
from evenhand.model.words import is_share
from evenhand.studies import classroom
from evenhand.web.access import PARTICIPANT_SECONDS, lab_of, set_cookie
from evenhand.web.entry import before_door, go, on_to_door
from evenhand.web.pages import render, shared
from evenhand.web.seats import PLACE, home, seat
from evenhand.web.state import base_address, held_by
from evenhand.web.streams import Pace, Stated, Topic, stream

router = APIRouter()

BOARD_PACE = Pace(rest=1.0, load=4, poll=1.0)  # of the board
SEAT_COOKIE = "evenhand_seat"  # has the browser's key; its path is the study's, so a browser may sit in several classes


@router.get("/class")
def code_page(request: Request, code: str = "") -> Response:
    """A field for the code on the wall."""
    plain = plain_code(code)
    return go(f"/class/{plain}") if plain else render(request, "classroom/code.html", problem="")


@router.get("/class/{code}")
def invitation(request: Request, code: str) -> Response:
    """On to the page to join by."""
    return on_to_door(request, _class_of(request, code).id, f"/class/{plain_code(code)}")


@router.get(PLACE + "/class/{code}")
def join_page(request: Request, code: str) -> Response:
    """A field for the nickname, and one for the code of a seat. Whoever has a seat on this browser already goes on."""
    study = _class_of(request, code)
    if (other := before_door(request, study.id, f"/class/{plain_code(code)}")) is not None:
        return other
    return _page(request, code, study)


def _page(request: Request, code: str, study: Study, *, status: int = 200, **context: Any) -> Response:
    """The page by which a class is entered, on a browser that has a key from now on."""
    browser, mine = _seat(request, study)
    shown = {"name": "", "problem": "", "back_problem": "", "longest": LONGEST_NICKNAME, **context}
    response = render(request, "classroom/join.html", status=status, study=study, code=plain_code(code), mine=mine, **shown)
    _keep(request, response, study, browser)
    return response


def _seat(request: Request, study: Study) -> tuple[str, Participant | None]:
    """This browser's key, a new one where it has none that serves, and who sits at it."""
    known = request.cookies.get(SEAT_COOKIE, "")
    try:
        sitting = lab_of(request).seats.of_browser(study.id, known)
    except NotAllowed:
        return join_key(), None
    return (join_key(), None) if sitting is not None and sitting.withdrawn_at is not None else (known, sitting)


def _keep(request: Request, response: Response, study: Study, browser: str) -> None:
    set_cookie(request, response, SEAT_COOKIE, browser, PARTICIPANT_SECONDS, home(study.id))


@router.post("/class/{code}")
@router.post(PLACE + "/class/{code}")
def join(request: Request, code: str, name: Annotated[str, Form()] = "") -> Response:
    """Take a seat under a nickname that nobody else in the class has, or looks as if they had. A browser has one seat.

    A form that is sent again, since its answer was lost, is the same seat.
    """
    study, plain, chosen = _class_of(request, code), plain_code(code), nickname(name)
    browser, _ = _seat(request, study)
    problem = ""
    if request.cookies.get(SEAT_COOKIE) != browser:
        problem = (
            "This browser keeps no cookie of this page, so it could not keep your seat. Allow cookies here, and send it again."
        )
    elif chosen is None:
        problem = "Please type a name for the board; it need not be yours."
    if problem or chosen is None:
        return _page(request, code, study, status=422, name=name[:LONGEST_NICKNAME], problem=problem)
    try:
        participant, seat_code = lab_of(request).seats.take(plain, chosen, browser)
    except (Refused, NotAllowed) as error:  # the latter where the class is full or closed
        return _page(request, code, study, status=422, name=chosen, problem=_sentence(error))
    return _welcome(request, study, participant, seat_code)


def _sentence(error: Exception) -> str:
    words = str(error)
    return f"{words[:1].upper()}{words[1:].rstrip('.')}."


def _welcome(request: Request, study: Study, participant: Participant, seat_code: str) -> Response:
    """The seat's code, which is not shown again, on a browser that is signed in from now on."""
    spaced = spaced_code(seat_code)
    response = render(request, "classroom/joined.html", study=study, participant=participant, seat_code=spaced)
    return seat(request, response, participant)


@router.post(PLACE + "/class/{code}/back")
def come_back(request: Request, code: str, seat_code: Annotated[str, Form()] = "") -> Response:
    """Back to a seat: by its code from any browser, without one from the browser that it is kept by."""
    study = _class_of(request, code)
    browser, mine = _seat(request, study)
    if seat_code or mine is None:
        try:
            mine = lab_of(request).seats.come_back(study.id, seat_code, browser)
        except (NotFound, Refused) as error:
            return _page(request, code, study, status=422, back_problem=_sentence(error))
    response = go(home(study.id))
    _keep(request, response, study, browser)
    return seat(request, response, mine)


@router.post(PLACE + "/class/{code}/renew")
def renew(request: Request, code: str) -> Response:
    """A new code of this browser's seat, since the one before was not noted."""
    study = _class_of(request, code)
    _, mine = _seat(request, study)
    if mine is None:
        return _page(request, code, study, status=422, back_problem="This browser has no seat; ask the teacher for a new code.")
    return _welcome(request, study, mine, lab_of(request).seats.new_code(mine.id))


@router.get("/class/{code}/board")
def board_page(request: Request, code: str) -> Response:
    """The board: how to join, how long the class still has, and who is ahead on validation."""
    study = _class_of(request, code)
    address = f"{base_address(request)}/class/{plain_code(code)}"
    qr = segno.make(address, error="m").svg_data_uri(scale=6, border=2)
    shown = _board(request, study)
    now = lab_of(request).clock()
    return render(
        request, "classroom/board.html", study=study, address=address, code=spaced_code(plain_code(code)), qr=qr, now=now, **shown
    )


@router.get("/class/{code}/events")
async def board_events(request: Request, code: str) -> Response:
    """The board's rows, curves and clock whenever they changed."""
    study = await run_in_threadpool(_class_of, request, code)
    topic = Topic(("board", study.id), lambda: Stated("board", lambda: _news(request, study)), BOARD_PACE)
    return stream(held_by(request.app).hub, topic)


def _news(request: Request, study: Study) -> dict[str, Any]:
    shown = _board(request, study)
    clock = asdict(shown["class_clock"])
    if clock["ends_at"] is not None:
        clock["big"] = ""  # which the page counts itself: else each second would be news
    return {"rows": shared(request, "classroom/_board.html", **shown), "curves": shown["curves"], "clock": clock}


def _board(request: Request, study: Study) -> dict[str, Any]:
    lab = lab_of(request)
    people, sessions = lab.participants.of_study(study.id), lab.sessions.of_study(study.id)
    task = lab.studies.task(study.task_id)
    agents = lab.agents.all()
    places = classroom.board(people, sessions)
    return {
        "leaders": places[: classroom.LEADERS],
        "others": places[classroom.LEADERS :],
        "students": len(places),
        "curves": classroom.curves(places),
        "just": classroom.improvements(places, lab.clock()),
        "class_clock": classroom.clock_of(study, sessions, lab.clock()),
        "task": task,
        "metric": task.metric,
        "share": is_share(task.metric),
        "slots": sum(agent.slots for agent in agents),
        "busy": sum(agent.busy for agent in agents),
    }


def _class_of(request: Request, code: str) -> Study:
    lab = lab_of(request)
    return lab.studies.get(lab.seats.study_of(code))
