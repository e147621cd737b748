"""What the researcher does while a study runs: pause, extend, leave out, close; one participant's page; the event log."""

import csv
import io
import json
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Form, Query, Request, Response
from fastapi.responses import StreamingResponse

from evenhand.declaration import Mode, Study
from evenhand.errors import Refused
from evenhand.lab import Lab
from evenhand.records import Event, Participant, Session, State
from evenhand.web import overview
from evenhand.web.access import identity, lab_of
from evenhand.web.flash import said, say
from evenhand.web.overview import OPEN, Row
from evenhand.web.pages import environment, plural, render
from evenhand.web.researcher import bar

router = APIRouter()

What = Literal["pause", "resume", "extend"]
DONE: Mapping[What, str] = {"pause": "Paused", "resume": "Went on", "extend": "Given {minutes} more"}
ABLE: Mapping[What, Collection[State]] = {"pause": OPEN - {State.PAUSED}, "resume": {State.PAUSED}, "extend": OPEN}
NAMED = 12  # pseudonyms that one sentence lists
LOG_PAGE = 200  # events that one page shows
LOG_CHUNK = 1000  # events that one read of an export takes
NEWEST = 2**31 - 1  # the largest integer of every database: above every event's id


def exact(at: float) -> str:
    """A moment to the second, as 2026-11-21 05:03:07 UTC."""
    return datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%d %H:%M:%S UTC")


environment.filters["exact"] = exact

# Pause, go on, extend


@router.post("/studies/{study_id}/act")
def act(
    request: Request,
    study_id: int,
    what: Annotated[What, Form()],
    whom: Annotated[Literal["all", "picked"], Form()],
    mode: Annotated[Mode, Form()],
    reason: Annotated[str, Form()] = "",
    minutes: Annotated[float, Form()] = 0.0,
    session: Annotated[Sequence[int], Form()] = (),
) -> Response:
    """Pause, let go on or extend the sessions of everyone in a mode, or of the picked ones; then say what it came to."""
    lab, who = lab_of(request), identity(request).who
    rows = [row for row in overview.overview(lab, study_id, mode).rows if row.session is not None]
    if whom == "picked":
        rows = [row for row in rows if row.session and row.session.id in session]
        if not rows:
            raise Refused("no row is ticked; tick those that are meant, or choose everyone")
    else:
        rows = [row for row in rows if row.state in ABLE[what] and row.kind == "participant"]
    done = _do(lab, what, [row.session.id for row in rows if row.session], reason, minutes, who if whom == "picked" else None)
    return say(request, f"/studies/{study_id}?mode={mode}", _told(what, rows, done, minutes))


def _do(lab: Lab, what: What, ids: Sequence[int], reason: str, minutes: float, who: str | None) -> list[int]:
    if what == "pause":
        return lab.pause(ids, reason, who)
    if what == "resume":
        return lab.unpause(ids)
    return lab.extend(ids, 60 * minutes, reason, who)


def _told(what: What, rows: Sequence[Row], done: Sequence[int], minutes: float) -> str:
    """What was done to whom, and to whom it could not be done and why."""
    names = [row.tuner for row in rows if row.session and row.session.id in done]
    others = [f"{row.tuner} ({row.badge})" for row in rows if row.session and row.session.id not in done]
    verb = DONE[what].format(minutes=plural(int(minutes), "minute") if minutes == int(minutes) else f"{minutes:g} minutes")
    words = f"{verb}: {_listed(names)}." if names else f"{verb}: nobody."
    return f"{words} Not possible for {_listed(others)}." if others else words


def _listed(names: Sequence[str]) -> str:
    rest = len(names) - NAMED
    return ", ".join(names) if rest <= 0 else f"{', '.join(names[:NAMED])} and {rest} more"


# In or out of the statistics


@router.post("/participants/{participant_id}/exclude")
def exclude(request: Request, participant_id: int, reason: Annotated[str, Form()] = "") -> Response:
    """Leave a participant out of the statistics."""
    person = lab_of(request).exclude(participant_id, reason)
    return say(
        request, f"/participants/{participant_id}", f"{person.pseudonym} is left out of the statistics: {person.excluded}."
    )


@router.post("/participants/{participant_id}/include")
def include(request: Request, participant_id: int, reason: Annotated[str, Form()] = "") -> Response:
    """Take a participant in again."""
    person = lab_of(request).include(participant_id, reason)
    return say(request, f"/participants/{participant_id}", f"{person.pseudonym} is part of the statistics again.")


# The end of collection


@router.post("/studies/{study_id}/close")
def close(request: Request, study_id: int, sure: Annotated[str, Form()] = "") -> Response:
    """End the collection, where the researcher said that it is meant."""
    lab = lab_of(request)
    if sure != "yes":
        raise Refused("collection goes on: tick that you mean it, since it cannot go on once a test score was looked at")
    study = lab.close_study(study_id)
    left = sum(row.is_open for row in overview.overview(lab, study_id, "live").rows)
    tuning = f" {plural(left, 'session')} still {'goes' if left == 1 else 'go'} on." if left else ""
    return say(request, f"/studies/{study_id}", f"Collection of {study.title} has ended; nobody can join any more.{tuning}")


@router.post("/studies/{study_id}/reopen")
def reopen(request: Request, study_id: int) -> Response:
    """Go on collecting."""
    study = lab_of(request).reopen_study(study_id)
    return say(request, f"/studies/{study_id}", f"{study.title} collects again; its invitations are open as before.")


# One participant


@dataclass(frozen=True)
class Passed:
    """A step that a participant took: when, or None where it was not taken."""

    name: str
    at: float | None


@router.get("/participants/{participant_id}")
def participant_page(request: Request, participant_id: int) -> Response:
    """One participant: the steps with their times, what was answered, the sessions, what happened to them."""
    lab = lab_of(request)
    person = lab.participant(participant_id)
    study = lab.study(person.study_id, person.version)
    session = None if person.session_id is None else lab.session(person.session_id)
    events = lab.events(participant_id=participant_id, limit=LOG_PAGE, before=NEWEST)
    batch = next((each for each in lab.batches(person.study_id) if each.id == person.batch_id), None)
    return render(
        request,
        "researcher/participant.html",
        person=person,
        row=overview.row(session, person, study, lab.clock()),
        session=session,
        batch=batch,
        people={person.id: person.pseudonym},
        now=lab.clock(),
        steps=steps(study, person, session, lab.events(participant_id=participant_id)),
        answers=answers(study, person),
        events=events,
        looked=session is not None and lab.has_looked(session.task.id, identity(request).who),
        said=said(request),
        **bar(lab, lab.study(person.study_id)),
    )


def steps(study: Study, person: Participant, session: Session | None, events: Sequence[Event]) -> list[Passed]:
    """The steps of a participant's way that the study has, in order."""
    sent = {str(event.detail["questionnaire"]): event.at for event in events if event.kind == "answered"}
    found = [Passed("joined", person.created_at)]
    found += [Passed("agreed to the terms", person.consented_at)] if study.consent.markdown.strip() else []
    found += [Passed(f"answered: {each.title}", sent.get(each.name)) for each in study.before]
    found.append(Passed("read the details", person.read_details_at))
    found += [Passed("practised", person.practised_at)] if study.practice else []
    found.append(Passed("began to tune", session.started_at if session else None))
    found.append(Passed("chose", session.choice.at if session and session.choice else None))
    found += [Passed(f"answered: {each.title}", sent.get(each.name)) for each in study.after]
    found += [Passed("withdrew", person.withdrawn_at)] if person.withdrawn_at is not None else []
    return found


def answers(study: Study, person: Participant) -> list[tuple[str, str]]:
    """What a participant was asked and answered, in the order of the questions."""
    asked = {f"{each.name}.{question.name}": question for each in study.questionnaires for question in each.questions}
    known = [
        (str(question.text), _answer(question, person.answers[path]))
        for path, question in asked.items()
        if path in person.answers
    ]
    return known + [(path, _answer(None, value)) for path, value in person.answers.items() if path not in asked]


def _answer(question: Any, value: Any) -> str:
    labels = {option.value: str(option.label) for option in (*question.options, *question.rows)} if question else {}
    if isinstance(value, Mapping):
        return "; ".join(f"{labels.get(row, row)}: {_answer(question, each)}" for row, each in value.items())
    if isinstance(value, list):
        return ", ".join(labels.get(str(each), str(each)) for each in value) or "none"
    return labels.get(str(value), str(value))


# The event log


@router.get("/studies/{study_id}/log")
def log_page(
    request: Request,
    study_id: int,
    session: str = "",
    participant: str = "",
    before: Annotated[int, Query(ge=0, le=NEWEST)] = NEWEST,
) -> Response:
    """Every change of state, the newest first; of one session or participant where they are named."""
    lab = lab_of(request)
    study, one = lab.study(study_id), _one(lab, study_id, session, participant)
    events = lab.events(limit=LOG_PAGE, before=before, study_id=study_id, **one)
    return render(
        request,
        "researcher/log.html",
        events=events,
        session=session,
        participant=participant,
        older=events[-1].id if len(events) == LOG_PAGE else None,
        people={each.id: each.pseudonym for each in lab.participants(study_id)},
        said=said(request),
        **bar(lab, study),
    )


def _one(lab: Lab, study_id: int, session: str, participant: str) -> dict[str, int]:
    """What the filter's fields name: a session's number, a pseudonym or a participant's number."""
    found = {}
    if session.strip():
        if not _is_number(session.strip()):
            raise Refused(f"session {session!r}: expected its number, as in its page's address")
        found["session_id"] = int(session)
    if wanted := participant.strip().upper():
        named = {each.pseudonym: each.id for each in lab.participants(study_id)}
        if wanted not in named and not _is_number(wanted):
            raise Refused(f"participant {participant!r}: expected a pseudonym, such as P-01")
        found["participant_id"] = named.get(wanted) or int(wanted)
    return found


def _is_number(text: str) -> bool:
    return text.isascii() and text.isdecimal() and int(text) <= NEWEST


@router.get("/studies/{study_id}/log.csv")
def log_csv(request: Request, study_id: int, session: str = "", participant: str = "") -> Response:
    """The events as CSV; times in UTC, the details as JSON."""

    def line(event: Event) -> str:
        text = io.StringIO()
        csv.writer(text).writerow(_cells(event).values())
        return text.getvalue()

    return _export(request, study_id, session, participant, "csv", "id,at,kind,session,trial,detail\r\n", line)


@router.get("/studies/{study_id}/log.jsonl")
def log_lines(request: Request, study_id: int, session: str = "", participant: str = "") -> Response:
    """The events as JSON, one a line; times in UTC."""

    def line(event: Event) -> str:
        return json.dumps({**_cells(event), "detail": dict(event.detail)}) + "\n"

    return _export(request, study_id, session, participant, "jsonl", "", line)


def _cells(event: Event) -> dict[str, Any]:
    at = datetime.fromtimestamp(event.at, UTC).isoformat(timespec="milliseconds")
    detail = json.dumps(event.detail, sort_keys=True)
    return {"id": event.id, "at": at, "kind": event.kind, "session": event.session_id, "trial": event.trial_id, "detail": detail}


def _export(
    request: Request, study_id: int, session: str, participant: str, suffix: str, head: str, line: Callable[[Event], str]
) -> Response:
    """All events, read a chunk at a time: no transaction is open while the receiver takes what was sent."""
    lab = lab_of(request)
    study, one = lab.study(study_id), _one(lab, study_id, session, participant)

    def lines() -> Iterator[str]:
        yield head
        last = 0
        while found := lab.events(after=last, limit=LOG_CHUNK, study_id=study_id, **one):
            yield "".join(line(event) for event in found)
            last = found[-1].id

    kind = "text/csv; charset=utf-8" if suffix == "csv" else "application/jsonl"
    name = f'attachment; filename="events-{study.id}.{suffix}"'
    return StreamingResponse(lines(), media_type=kind, headers={"content-disposition": name})
