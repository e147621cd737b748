"""A class's pages: the code, the nickname, the board for the wall. Whoever has the code may see the board."""

from typing import Annotated, Any

import segno
from fastapi import APIRouter, Form, Request, Response
from starlette.concurrency import run_in_threadpool

from evenhand.errors import NotAllowed
from evenhand.lab.participants import join_key
from evenhand.model.participant import Participant
from evenhand.model.study import Study
from evenhand.model.words import is_share
from evenhand.studies import classroom
from evenhand.web.access import lab_of
from evenhand.web.entry import before_door, go, on_to_door
from evenhand.web.pages import render, shared
from evenhand.web.seats import PLACE, home, seat, seated
from evenhand.web.state import base_address, held_by
from evenhand.web.streams import Pace, Stated, Topic, stream

router = APIRouter()

BOARD_PACE = Pace(rest=1.0, load=4, poll=1.0)  # of the board


@router.get("/class")
def code_page(request: Request, code: str = "") -> Response:
    """A field for the code on the wall."""
    plain = classroom.plain_code(code)
    return go(f"/class/{plain}") if plain else render(request, "classroom/code.html", problem="")


@router.get("/class/{code}")
def invitation(request: Request, code: str) -> Response:
    """On to the page to join by."""
    return on_to_door(request, _class_of(request, code).id, f"/class/{classroom.plain_code(code)}")


@router.get(PLACE + "/class/{code}")
def join_page(request: Request, code: str) -> Response:
    """A field for the nickname. Whoever joined on this browser already goes on."""
    study, code, key = _class_of(request, code), classroom.plain_code(code), join_key()
    if (other := before_door(request, study.id, f"/class/{code}")) is not None:
        return other
    participant = seated(request, study.id)
    mine = participant if participant and participant.withdrawn_at is None else None
    return render(request, "classroom/join.html", study=study, code=code, mine=mine, name="", problem="", key=key)


@router.post("/class/{code}")
@router.post(PLACE + "/class/{code}")
def join(request: Request, code: str, name: Annotated[str, Form()] = "", key: Annotated[str, Form()] = "") -> Response:
    """Join under a nickname that nobody else in the class has.

    A form that is sent again, since its answer was lost, goes on as who joined by it; under another name it is somebody else's.
    """
    lab, nickname = lab_of(request), classroom.nickname(name)
    if key and (joined := lab.participants.joined_with(key)) is not None:
        if joined[0].nickname == nickname:
            return _begins(request, joined[0])
        key = join_key()
    study, plain = _class_of(request, code), classroom.plain_code(code)
    taken = {person.nickname.casefold() for person in lab.participants.of_study(study.id) if person.nickname}
    problem = "" if nickname else "Please type a name for the board; it need not be yours."
    if nickname and nickname.casefold() in taken:
        problem = f"{nickname} is taken; please add something to it."
    if problem or nickname is None:
        page = {"study": study, "code": plain, "mine": None, "name": name[: classroom.LONGEST_NAME], "problem": problem}
        page["key"] = key or join_key()
        return render(request, "classroom/join.html", status=422, **page)
    return _begins(request, lab.participants.accept(plain, nickname, key=key)[0])


def _begins(request: Request, participant: Participant) -> Response:
    return seat(request, go(home(participant.study_id)), participant)


@router.get("/class/{code}/board")
def board_page(request: Request, code: str) -> Response:
    """The board: how to join, and who is ahead on validation."""
    study = _class_of(request, code)
    address = f"{base_address(request)}/class/{classroom.plain_code(code)}"
    qr = segno.make(address, error="m").svg_data_uri(scale=6, border=2)
    shown = _board(request, study)
    return render(request, "classroom/board.html", study=study, address=address, code=_spaced(code), qr=qr, **shown)


@router.get("/class/{code}/events")
async def board_events(request: Request, code: str) -> Response:
    """The board's rows whenever they changed."""
    study = await run_in_threadpool(_class_of, request, code)
    topic = Topic(("board", study.id), lambda: Stated("board", lambda: _rows(request, study)), BOARD_PACE)
    return stream(held_by(request.app).hub, topic)


def _rows(request: Request, study: Study) -> str:
    return shared(request, "classroom/_board.html", **_board(request, study))


def _board(request: Request, study: Study) -> dict[str, Any]:
    lab = lab_of(request)
    people, sessions = lab.participants.of_study(study.id), lab.sessions.of_study(study.id)
    metric = lab.studies.task(study.task_id).metric
    agents = lab.agents.all()
    return {
        "places": classroom.board(people, sessions),
        "metric": metric,
        "share": is_share(metric),
        "slots": sum(agent.slots for agent in agents),
        "busy": sum(agent.busy for agent in agents),
    }


def _spaced(code: str) -> str:
    plain = classroom.plain_code(code)
    return f"{plain[:3]} {plain[3:]}"


def _class_of(request: Request, code: str) -> Study:
    lab = lab_of(request)
    study = lab.studies.get(lab.participants.invited(classroom.plain_code(code)).study_id)
    if not study.classroom:
        raise NotAllowed("this code is not a class's; open the link that you were sent")
    return study
