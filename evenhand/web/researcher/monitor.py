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

from evenhand.errors import Refused
from evenhand.lab.lab import Lab
from evenhand.model import words
from evenhand.model.archive import Event
from evenhand.model.event_words import EventNames
from evenhand.model.participant import Participant
from evenhand.model.rules import GOING_ON_STATES, PAUSABLE_STATES
from evenhand.model.session import Session, State
from evenhand.model.spreadsheets import CODE_MARK, without_formula
from evenhand.model.study import Mode, Study
from evenhand.model.typed_numbers import whole_number
from evenhand.model.words import plural
from evenhand.web.access import identity, lab_of
from evenhand.web.flash import said, say
from evenhand.web.pages import render
from evenhand.web.researcher import overview
from evenhand.web.researcher.overview import TunerRow
from evenhand.web.researcher.study import bar

router = APIRouter()

What = Literal["pause", "resume", "extend"]
DONE_WORDS: Mapping[What, str] = {"pause": "Paused", "resume": "Went on", "extend": "Given {minutes} more"}
ABLE_STATES: Mapping[What, Collection[State]] = {"pause": PAUSABLE_STATES, "resume": {State.PAUSED}, "extend": GOING_ON_STATES}
MOST_NAMED_PSEUDONYMS = 12  # pseudonyms that one sentence lists
LOG_PAGE_EVENTS = 200  # events that one page shows
LOG_CHUNK_EVENTS = 1000  # events that one read of an export takes
NEWEST_EVENT_ID = 2**31 - 1  # the largest integer of every database: above every event's id


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
        rows = [row for row in rows if row.state in ABLE_STATES[what] and row.kind == "participant"]
    done = _do(lab, what, [row.session.id for row in rows if row.session], reason, minutes, who if whom == "picked" else None)
    return say(request, f"/studies/{study_id}?mode={mode}", _told(what, rows, done, minutes))


def _do(lab: Lab, what: What, ids: Sequence[int], reason: str, minutes: float, who: str | None) -> list[int]:
    if what == "pause":
        return lab.sessions.pause(ids, reason, who)
    if what == "resume":
        return lab.sessions.unpause(ids)
    return lab.sessions.extend(ids, 60 * minutes, reason, who)


def _told(what: What, rows: Sequence[TunerRow], done: Sequence[int], minutes: float) -> str:
    """What was done to whom, and to whom it could not be done and why."""
    names = [row.tuner for row in rows if row.session and row.session.id in done]
    others = [f"{row.tuner} ({row.badge})" for row in rows if row.session and row.session.id not in done]
    verb = DONE_WORDS[what].format(minutes=words.minutes(minutes))
    sentence = f"{verb}: {_listed(names)}." if names else f"{verb}: nobody."
    return f"{sentence} Not possible for {_listed(others)}." if others else sentence


def _listed(names: Sequence[str]) -> str:
    rest = len(names) - MOST_NAMED_PSEUDONYMS
    return ", ".join(names) if rest <= 0 else f"{', '.join(names[:MOST_NAMED_PSEUDONYMS])} and {rest} more"


# In or out of the statistics


@router.post("/participants/{participant_id}/exclude")
def exclude(request: Request, participant_id: int, reason: Annotated[str, Form()] = "") -> Response:
    """Leave a participant out of the statistics."""
    person = lab_of(request).participants.exclude(participant_id, reason)
    return say(
        request, f"/participants/{participant_id}", f"{person.pseudonym} is left out of the statistics: {person.excluded}."
    )


@router.post("/participants/{participant_id}/include")
def include(request: Request, participant_id: int, reason: Annotated[str, Form()] = "") -> Response:
    """Take a participant in again."""
    person = lab_of(request).participants.include(participant_id, reason)
    return say(request, f"/participants/{participant_id}", f"{person.pseudonym} is part of the statistics again.")


# The end of collection


@router.post("/studies/{study_id}/close")
def close(request: Request, study_id: int, sure: Annotated[str, Form()] = "") -> Response:
    """End the collection, where the researcher said that it is meant."""
    lab = lab_of(request)
    if sure != "yes":
        raise Refused("collection goes on: tick that you mean it, since it cannot go on once a test score was looked at")
    study = lab.studies.close(study_id)
    left = sum(row.is_open for row in overview.overview(lab, study_id, "live").rows)
    tuning = f" {plural(left, 'session')} still {'goes' if left == 1 else 'go'} on." if left else ""
    return say(request, f"/studies/{study_id}", f"Collection of {study.title} has ended; nobody can join any more.{tuning}")


@router.post("/studies/{study_id}/reopen")
def reopen(request: Request, study_id: int) -> Response:
    """Go on collecting."""
    study = lab_of(request).studies.reopen(study_id)
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
    person = lab.participants.get(participant_id)
    study = lab.studies.get(person.study_id, person.version)
    session = None if person.session_id is None else lab.sessions.get(person.session_id)
    events = lab.sessions.events(participant_id=participant_id, limit=LOG_PAGE_EVENTS, before=NEWEST_EVENT_ID)
    batch = next((batch for batch in lab.participants.batches(person.study_id) if batch.id == person.batch_id), None)
    return render(
        request,
        "researcher/participant.html",
        person=person,
        row=overview.row(session, person, study, lab.clock()),
        session=session,
        batch=batch,
        people={person.id: person.pseudonym},
        names=_names(lab, person.study_id),
        now=lab.clock(),
        steps=steps(study, person, session, lab.sessions.events(participant_id=participant_id)),
        answers=answers(study, person),
        events=events,
        looked=session is not None and lab.evaluations.is_locked(session, identity(request).who),
        said=said(request),
        **bar(lab, lab.studies.get(person.study_id)),
    )


def steps(study: Study, person: Participant, session: Session | None, events: Sequence[Event]) -> list[Passed]:
    """The steps of a participant's way that the study has, in order."""
    sent = {str(event.detail["questionnaire"]): event.at for event in events if event.kind == "answered"}
    passed = [Passed("joined", person.created_at)]
    passed += [Passed("agreed to the terms", person.consented_at)] if study.consent.markdown.strip() else []
    passed += [Passed(f"answered: {questionnaire.title}", sent.get(questionnaire.name)) for questionnaire in study.before]
    passed.append(Passed("read the details", person.read_details_at))
    passed += [Passed("practised", person.practised_at)] if study.practice else []
    passed.append(Passed("began to tune", session.started_at if session else None))
    passed.append(Passed("chose", session.choice.at if session and session.choice else None))
    passed += [Passed(f"answered: {questionnaire.title}", sent.get(questionnaire.name)) for questionnaire in study.after]
    passed += [Passed("withdrew", person.withdrawn_at)] if person.withdrawn_at is not None else []
    return passed


def answers(study: Study, person: Participant) -> list[tuple[str, str]]:
    """What a participant was asked and answered, in the order of the questions."""
    asked = {
        f"{questionnaire.name}.{question.name}": question
        for questionnaire in study.questionnaires
        for question in questionnaire.questions
    }
    known = [
        (str(question.text), _answer(question, person.answers[path]))
        for path, question in asked.items()
        if path in person.answers
    ]
    return known + [(path, _answer(None, value)) for path, value in person.answers.items() if path not in asked]


def _answer(question: Any, value: Any) -> str:
    labels = {option.value: str(option.label) for option in (*question.options, *question.rows)} if question else {}
    if isinstance(value, Mapping):
        return "; ".join(f"{labels.get(row, row)}: {_answer(question, answer)}" for row, answer in value.items())
    if isinstance(value, list):
        return ", ".join(labels.get(str(choice), str(choice)) for choice in value) or "none"
    return labels.get(str(value), str(value))


# The event log


@router.get("/studies/{study_id}/log")
def log_page(
    request: Request,
    study_id: int,
    session: str = "",
    participant: str = "",
    before: Annotated[int, Query(ge=0, le=NEWEST_EVENT_ID)] = NEWEST_EVENT_ID,
) -> Response:
    """Every change of state, the newest first; of one session or participant where they are named."""
    lab = lab_of(request)
    study, one = lab.studies.get(study_id), _one(lab, study_id, session, participant)
    events = lab.sessions.events(limit=LOG_PAGE_EVENTS, before=before, study_id=study_id, **one)
    return render(
        request,
        "researcher/log.html",
        events=events,
        session=session,
        participant=participant,
        older=events[-1].id if len(events) == LOG_PAGE_EVENTS else None,
        people={person.id: person.pseudonym for person in lab.participants.of_study(study_id)},
        names=_names(lab, study_id),
        said=said(request),
        **bar(lab, study),
    )


def _names(lab: Lab, study_id: int) -> EventNames:
    """What the ids in a study's events stand for."""
    sessions = lab.sessions.of_study(study_id)
    reasons: dict[tuple[int, float, str], str] = {}
    for session in sessions:
        reasons |= {(session.id, act.at, act.kind): act.reason for act in session.interventions if act.reason}
        reasons |= {(session.id, pause.start, "paused"): pause.reason for pause in session.pauses}
    return EventNames(
        people={person.id: person.pseudonym for person in lab.participants.of_study(study_id)},
        tuners={session.id: session.tuner for session in sessions},
        agents=lab.agents.names(),
        batches={batch.id: batch.label for batch in lab.participants.batches(study_id)},
        trials={trial.id: trial.number for session in sessions for trial in session.trials},
        reasons=reasons,
    )


def _one(lab: Lab, study_id: int, session: str, participant: str) -> dict[str, int]:
    """What the filter's fields name: a session's number, a pseudonym or a participant's number."""
    filters = {}
    if session.strip():
        number = whole_number(session)
        if number is None:
            raise Refused(f"session {session!r}: expected its number, as in its page's address")
        filters["session_id"] = number
    if wanted := participant.strip().upper():
        named = {person.pseudonym: person.id for person in lab.participants.of_study(study_id)}
        person = named.get(wanted, whole_number(wanted))
        if person is None:
            raise Refused(f"participant {participant!r}: expected a pseudonym, such as P-01")
        filters["participant_id"] = person
    return filters


@router.get("/studies/{study_id}/log.csv")
def log_csv(
    request: Request,
    study_id: int,
    session: str = "",
    participant: str = "",
    form: Annotated[Literal["csv", "spreadsheet"], Query(alias="format")] = "csv",
) -> Response:
    """The events as CSV; times in UTC, the details as JSON. For spreadsheets no text in it is a formula."""
    is_shown = form == "spreadsheet"

    def line(event: Event) -> str:
        text = io.StringIO()
        cells = ["" if cell is None else str(cell) for cell in _cells(lab_of(request), event).values()]
        csv.writer(text).writerow(map(without_formula, cells) if is_shown else cells)
        return text.getvalue()

    head = (CODE_MARK if is_shown else "") + "id,at,kind,who,session,trial,detail\r\n"
    return _export(request, study_id, session, participant, "csv", head, line)


@router.get("/studies/{study_id}/log.jsonl")
def log_lines(request: Request, study_id: int, session: str = "", participant: str = "") -> Response:
    """The events as JSON, one a line; times in UTC."""

    def line(event: Event) -> str:
        return json.dumps({**_cells(lab_of(request), event), "detail": dict(event.detail)}) + "\n"

    return _export(request, study_id, session, participant, "jsonl", "", line)


def _cells(lab: Lab, event: Event) -> dict[str, Any]:
    """What both forms say of an event. who: the name of the person who did it, of those who run the laboratory."""
    who = event.detail.get("who")
    return {
        "id": event.id,
        "at": datetime.fromtimestamp(event.at, UTC).isoformat(timespec="milliseconds"),
        "kind": event.kind,
        "who": None if who is None else lab.people.shown(str(who)),
        "session": event.session_id,
        "trial": event.trial_id,
        "detail": json.dumps(event.detail, sort_keys=True),
    }


def _export(
    request: Request, study_id: int, session: str, participant: str, suffix: str, head: str, line: Callable[[Event], str]
) -> Response:
    """All events, read a chunk at a time: no transaction is open while the receiver takes what was sent."""
    lab = lab_of(request)
    study, one = lab.studies.get(study_id), _one(lab, study_id, session, participant)

    def lines() -> Iterator[str]:
        yield head
        last = 0
        while events := lab.sessions.events(after=last, limit=LOG_CHUNK_EVENTS, study_id=study_id, **one):
            yield "".join(line(event) for event in events)
            last = events[-1].id

    kind = "text/csv; charset=utf-8" if suffix == "csv" else "application/jsonl"
    name = f'attachment; filename="events-{study.id}.{suffix}"'
    return StreamingResponse(lines(), media_type=kind, headers={"content-disposition": name})
