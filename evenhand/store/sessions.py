"""Sessions with their trials: read whole, since every rule is a function of a whole session."""

from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any, Literal, get_args

from sqlalchemy import Connection, RowMapping, Select, Update, and_, bindparam, delete, func, insert, literal, or_, select, update

from evenhand.errors import DatabaseLost, EvenhandError, NotFound
from evenhand.model import codec
from evenhand.model.aims import Judge
from evenhand.model.configuration import Configuration
from evenhand.model.open_space import as_read
from evenhand.model.person import is_person
from evenhand.model.session import (
    COMPARE,
    LABORATORY,
    EarlierChoice,
    Evaluated,
    Extension,
    FinalChoice,
    Intervention,
    Pause,
    Session,
    judge_of,
)  # fmt: skip
from evenhand.model.signals import Signals
from evenhand.model.study import Arm, Study
from evenhand.model.task import TaskRecord
from evenhand.model.trial import Hold, Outcome, Stopper, Trial
from evenhand.model.trial_history import Trials, with_open
from evenhand.settings import AGENT_SILENCE_SECONDS
from evenhand.store import studies, tables
from evenhand.store.cache import KEPT_KEY, WRITE_KEY, Kept, Newest, Of, changed, made
from evenhand.store.studies import budget_of, budget_to_json, inserted

PYTHON_DRIVER = "python"  # of sessions that one process tunes and trains itself, as `evenhand.tune` does: no agent takes them
ARCHIVE_DRIVER = "archive"  # the driver of sessions that were read from an export: nothing moves in them any more
FEW_SESSIONS = 8  # sessions, up to which each is brought up to date by itself; more are read together
# Events of a trial that change nothing else.
TRIAL_EVENTS = {"submitted", "claimed", "stop asked", "finished", "attempt ended", "held", "trains on"}
# What damaged rows raise: no JSON, another kind of value, a space that contradicts itself.
UNREADABLE = (ValueError, TypeError, LookupError, AttributeError, AssertionError, EvenhandError)
_job, _trial = tables.job.c, tables.trial.c


def add(tx: Connection, session: Session, driver: str) -> int:
    """Store a new session; its id."""
    row = {
        "study_id": session.study_id,
        "task_id": session.task.id,
        "participant_id": session.participant_id,
        "tuner": session.tuner,
        "method": dict(session.method),
        "driver": driver,
        "budget": budget_to_json(session.budget),
        "tuning_seed": session.tuning_seed,
        "opened_at": session.opened_at,
        "mode": session.mode,
        "version": session.version,
        "condition": session.condition,
        "practice": session.practice,
        "purpose": session.purpose,
        "name": session.name,
        "process": session.process,
    }
    session_id = inserted(tx, tables.session, row)
    made(tx, session_id)
    return session_id


def get(tx: Connection, session_id: int, logged: bool | None = None) -> Session:
    """The session with this id, with its trials.

    logged: that this transaction has changed nothing of it yet, but for trials that are open, that is not in the log: then what
    was read before is used. By default that is said of reads.
    """
    row = tx.execute(_SESSION, {"id": session_id}).mappings().first()
    if row is None:
        raise NotFound(f"session {session_id} does not exist")
    return _with_all(tx, [row], not _writes(tx) if logged is None else logged)[0]


def bare(tx: Connection, session_id: int) -> tuple[Session, Newest]:
    """The session without its trials, however many there are, and its newest event. No rule holds of it that asks for trials."""
    row = tx.execute(_SESSION, {"id": session_id}).mappings().first()
    if row is None:
        raise NotFound(f"session {session_id} does not exist")
    return _with_parts([row], _parts_without_trials(tx, [row]))[0], (row["newest_event"], row["newest_event_at"])


def some_trials(tx: Connection, session: Session, numbers: Collection[int]) -> dict[int, Trial]:
    """Of a session's trials those with these numbers, by number. session: as `bare` or `get` gave it."""
    if not numbers:
        return {}
    rows = tx.execute(_SOME_TRIALS[valued_of(session)], {"id": session.id, "numbers": list(numbers)}).mappings()
    judge = judge_of(session.task.metric, session.method, session.interventions)
    return {trial.number: trial for trial in judge.all(as_read(session.space, map(_to_trial, rows)))}


def trials_between(tx: Connection, session: Session, first: int, last: int) -> list[Trial]:
    """Trials of a session from one number to another, in order; no other is read. session: as `bare` or `get` gave it."""
    rows = tx.execute(_TRIALS_BETWEEN[valued_of(session)], {"id": session.id, "first": first, "last": last}).mappings()
    judge = judge_of(session.task.metric, session.method, session.interventions)
    return judge.all(as_read(session.space, map(_to_trial, rows)))


def number_of(tx: Connection, trial_id: int) -> int | None:
    """The number that a trial has in its session; None where it is erased."""
    return tx.execute(select(_trial.number).where(_trial.id == trial_id)).scalar()


def of_study(tx: Connection, study_id: int) -> list[Session]:
    """All sessions of a study, in order of opening, without methods' that were removed."""
    table = tables.session.c
    removed = and_(table.participant_id.is_(None), table.withdrawn_at.is_not(None))
    return _load(tx, and_(table.study_id == study_id, ~removed))


def some(tx: Connection, ids: Sequence[int]) -> list[Session]:
    """The sessions with these ids, in order of opening."""
    return _load(tx, tables.session.c.id.in_(ids))


def past_limit(tx: Connection, now: float) -> list[Session]:
    """Started sessions without a choice whose time limit, without credits, has passed: their deadline may have, too.

    None whose process is gone: its clock stands still.
    """
    chosen = select(tables.choice.c.session_id)
    table = tables.session.c
    open_sessions = and_(_moves(), table.id.not_in(chosen), ~_is_left(now))
    try:
        rows = tx.execute(select(table.id, table.started_at, table.budget).where(open_sessions)).all()
        late = [row.id for row in rows if (seconds := row.budget["seconds"]) is not None and row.started_at + seconds <= now]
    except UNREADABLE:
        late = list(tx.execute(select(table.id).where(open_sessions)).scalars())  # each is looked at when it is read
    return readable(tx, late)[0] if late else []


def running(tx: Connection) -> tuple[list[Session], dict[int, str]]:
    """Started sessions of studies without a choice, and why others of them cannot be read; see `readable`."""
    table, chosen = tables.session.c, select(tables.choice.c.session_id)
    of_studies = select(table.id).where(_moves(), table.purpose == "study", table.id.not_in(chosen))
    return readable(tx, list(tx.execute(of_studies).scalars()))


def readable(tx: Connection, ids: Sequence[int]) -> tuple[list[Session], dict[int, str]]:
    """Those of these sessions that can be read, in order of opening, and by its id why another one cannot.

    So what is done for all sessions is done for the others where what is stored of one is damaged.
    """
    try:
        return some(tx, ids), {}
    except UNREADABLE:
        pass
    sessions, problems = [], {}
    for session_id in sorted(ids):
        try:
            sessions += some(tx, [session_id])
        except DatabaseLost:
            raise
        except UNREADABLE as error:
            problems[session_id] = f"{type(error).__name__}: {error}"
    return sessions, problems


def _moves() -> Any:
    """The condition that a session was started, was not withdrawn from and is not an archive's."""
    table = tables.session.c
    return and_(table.started_at.is_not(None), table.withdrawn_at.is_(None), table.driver != ARCHIVE_DRIVER)


def _is_left(now: float) -> Any:
    """The condition that no process is known to tune an exploratory session: see `rules.is_unattended`."""
    table = tables.session.c
    silent = func.coalesce(table.last_seen, table.opened_at) < now - AGENT_SILENCE_SECONDS
    return and_(table.purpose == "exploratory", or_(table.process.is_(None), and_(table.process != LABORATORY, silent)))


def open_ids(tx: Connection, drivers: Collection[str]) -> list[int]:
    """Ids of started sessions without a choice that one of these drivers serves."""
    table, chosen = tables.session.c, select(tables.choice.c.session_id)
    started = and_(table.started_at.is_not(None), table.withdrawn_at.is_(None), table.driver.in_(drivers))
    return list(tx.execute(select(table.id).where(started, table.id.not_in(chosen))).scalars())


def driven_by(tx: Connection, driver: str) -> list[int]:
    """Ids of the methods' sessions that this driver has to play on."""
    table = tables.session.c
    query = select(table.id).where(
        table.driver == driver,
        table.participant_id.is_(None),
        table.withdrawn_at.is_(None),
        table.id.not_in(select(tables.choice.c.session_id)),
    )
    return list(tx.execute(query.order_by(table.id)).scalars())


def heads(tx: Connection) -> dict[int, Newest]:
    """The sessions that are of no declared study and not removed, by id, each with its newest event."""
    table = tables.session.c
    undeclared = or_(table.purpose == "exploratory", table.study_id.in_(studies_of_programs(tx)))
    shown = and_(table.withdrawn_at.is_(None), table.practice.is_(False), undeclared)
    rows = tx.execute(select(table.id, *_NEWEST).where(shown).order_by(table.id))
    return {row.id: (row.newest_event, row.newest_event_at) for row in rows}


def by_name(tx: Connection, name: str) -> int | None:
    """The id of the session of this laboratory's own with this name."""
    table = tables.session.c
    return tx.execute(select(table.id).where(table.name == name, table.driver != ARCHIVE_DRIVER)).scalar()


def studies_of_programs(tx: Connection) -> frozenset[int]:
    """Ids of studies that nobody declared: those that `tune`, `compare` and the page that starts runs hold their sessions in."""
    table = tables.session.c
    undeclared = or_(table.driver.in_((PYTHON_DRIVER, COMPARE)), table.purpose == "exploratory")
    return frozenset(tx.execute(select(table.study_id).where(undeclared).distinct()).scalars())


def own_tasks(tx: Connection) -> list[TaskRecord]:
    """The tasks that sessions of this laboratory are of, the newest first: none that only an archive brought, or for practice."""
    table = tables.session.c
    own = select(table.task_id).where(table.driver != ARCHIVE_DRIVER, table.practice.is_(False)).distinct()
    readable_tasks = []
    for task_id in sorted(tx.execute(own).scalars(), reverse=True):
        with suppress(*UNREADABLE):
            readable_tasks.append(studies.task(tx, task_id))
    return readable_tasks


def task_of(tx: Connection, session_id: int) -> int:
    """The id of a session's task; NotFound where there is no such session."""
    task_id = tx.execute(select(tables.session.c.task_id).where(tables.session.c.id == session_id)).scalar()
    if task_id is None:
        raise NotFound(f"session {session_id} does not exist")
    return int(task_id)


def proposed_at(tx: Connection, session_id: int) -> list[float]:
    """When each of a session's trials was proposed."""
    return list(tx.execute(select(tables.trial.c.submitted_at).where(tables.trial.c.session_id == session_id)).scalars())


def driver_of(tx: Connection, session_id: int) -> str:
    """Which process plays a session."""
    driver: str = tx.execute(select(tables.session.c.driver).where(tables.session.c.id == session_id)).scalar_one()
    return driver


def update_facts(tx: Connection, session_id: int, **facts: Any) -> None:
    """Set columns of a session's row."""
    tx.execute(_updating(*facts), {"of": session_id, **{f"to_{name}": value for name, value in facts.items()}})


def attended(tx: Connection, session_id: int, process: str, now: float) -> bool:
    """Note that a process still tunes a session; whether it is the one that does."""
    mine = (tables.session.c.id == session_id, tables.session.c.process == process)
    return tx.execute(update(tables.session).where(*mine).values(last_seen=now)).rowcount > 0


@lru_cache
def _updating(*names: str) -> Update:
    return update(tables.session).where(tables.session.c.id == bindparam("of")).values({n: bindparam(f"to_{n}") for n in names})


def extend(tx: Connection, session_id: int, extension: Extension) -> None:
    """Give a session time."""
    changed(tx, session_id)
    row = {"session_id": session_id, "start": extension.start, "seconds": extension.seconds, "reason": extension.reason}
    tx.execute(insert(tables.extension).values(row))


def pause(tx: Connection, session_id: int, reason: str, now: float) -> None:
    """Begin a pause."""
    changed(tx, session_id)
    tx.execute(insert(tables.pause).values(session_id=session_id, start=now, reason=reason))


def end_pause(tx: Connection, session_id: int, now: float) -> bool:
    """End the session's open pause; False where there is none."""
    where = (tables.pause.c.session_id == session_id, tables.pause.c.end.is_(None))
    ended = tx.execute(update(tables.pause).where(*where).values(end=now)).rowcount > 0
    if ended:
        changed(tx, session_id)
    return ended


def intervene(tx: Connection, session_id: int, intervention: Intervention) -> None:
    """Store what a person did in a method's session."""
    changed(tx, session_id)
    plain = ("at", "who", "kind", "trial", "reason")
    row = {"session_id": session_id, "detail": dict(intervention.detail), **{key: getattr(intervention, key) for key in plain}}
    tx.execute(insert(tables.intervention).values(row))


def add_trial(tx: Connection, trial: Trial, key: str | None) -> int:
    """Store a new trial; its id."""
    changed(tx, trial.session_id)
    row = {
        "session_id": trial.session_id,
        "number": trial.number,
        "configuration": dict(trial.configuration),
        "reasons": dict(trial.reasons),
        "explanation": trial.explanation,
        "proposer": trial.proposer,
        "submitted_at": trial.submitted_at,
        "epochs_planned": trial.epochs_planned,
        "key": key,
        "resumes": trial.resumes,
        "epochs_before": trial.epochs_before,
        "revision": trial.revision,
        "signals": codec.to_json(trial.signals),
    }
    return inserted(tx, tables.trial, row)


def number_by_key(tx: Connection, session_id: int, key: str) -> int | None:
    """The number of the trial that was submitted with this idempotency key."""
    return tx.execute(_BY_KEY, {"id": session_id, "key": key}).scalar()


_BY_KEY = select(_trial.number).where(_trial.session_id == bindparam("id"), _trial.key == bindparam("key"))


def choose(tx: Connection, session_id: int, choice: FinalChoice, key: str | None) -> None:
    """Store the choice that ends a session."""
    changed(tx, session_id)
    row = {
        "session_id": session_id,
        "at": choice.at,
        "configuration": None if choice.configuration is None else dict(choice.configuration),
        "trial_id": choice.trial_id,
        "automatic": choice.automatic,
        "key": key,
    }
    tx.execute(insert(tables.choice).values(row))


def reopen(tx: Connection, session: Session, now: float) -> None:
    """Keep the choice that ended a session as an earlier one, with its evaluation, so that the session goes on."""
    changed(tx, session.id)
    number = len(session.earlier_choices) + 1
    choice = tables.choice.c
    same = (choice.session_id, choice.at, choice.configuration, choice.trial_id, choice.automatic)
    kept = select(*same, literal(number), literal(now)).where(choice.session_id == session.id)
    names = [*(column.name for column in same), "number", "reopened_at"]
    tx.execute(insert(tables.earlier_choice).from_select(names, kept))
    tx.execute(delete(tables.choice).where(choice.session_id == session.id))
    seeds = (_job.session_id == session.id, _job.seed_index.is_not(None), _job.of_earlier == 0)
    tx.execute(update(tables.job).where(*seeds).values(of_earlier=number))


def add_earlier(tx: Connection, session_id: int, earlier: Sequence[EarlierChoice]) -> None:
    """Store the choices that a session was extended after, in order, as an archive has them."""
    changed(tx, session_id)
    for number, entry in enumerate(earlier, 1):
        row = {
            "session_id": session_id,
            "number": number,
            "at": entry.choice.at,
            "configuration": None if entry.choice.configuration is None else dict(entry.choice.configuration),
            "trial_id": entry.choice.trial_id,
            "automatic": entry.choice.automatic,
            "reopened_at": entry.reopened_at,
        }
        tx.execute(insert(tables.earlier_choice).values(row))


def choice_key(tx: Connection, session_id: int) -> str | None:
    """The idempotency key of the session's choice."""
    return tx.execute(select(tables.choice.c.key).where(tables.choice.c.session_id == session_id)).scalar()


def erase(tx: Connection, session_id: int, *, looks: bool = True) -> None:
    """Delete what a session's tuner did; the session's row stays as the tombstone that keeps the count.

    looks: also who looked at its test scores; without, whoever looked stays known to have done so.
    """
    changed(tx, session_id)
    delete_parts(tx, session_id, looks=looks)


def delete_parts(tx: Connection, session_id: int, *, looks: bool = True) -> None:
    """Delete all rows that are of a session, but for its own, the log's and, where they are to stay, looks."""
    jobs = select(_job.id).where(_job.session_id == session_id)
    for table in (tables.measurement, tables.attempt):
        tx.execute(delete(table).where(table.c.job_id.in_(jobs)))
    for table in (
        tables.remembered,
        tables.choice,
        tables.earlier_choice,
        tables.job,
        tables.trial,
        tables.extension,
        tables.pause,
        tables.intervention,
        tables.run_notes,
        *((tables.look,) if looks else ()),
    ):
        tx.execute(delete(table).where(table.c.session_id == session_id))


def _load(tx: Connection, condition: Any) -> list[Session]:
    rows = tx.execute(_SESSIONS.where(condition).order_by(tables.session.c.id)).mappings().all()
    return _with_all(tx, rows, not _writes(tx)) if rows else []


@dataclass(frozen=True)
class SessionParts:
    """What a session has beside its row. Each change of it is logged as an event of the session, but for what a trial that
    is open has measured."""

    task: TaskRecord
    shown: Mapping[str, Any]
    trials: Trials
    extensions: tuple[Extension, ...]
    pauses: tuple[Pause, ...]
    interventions: tuple[Intervention, ...]
    judge: Judge
    choice: FinalChoice | None
    earlier_choices: tuple[EarlierChoice, ...]
    evaluated: Evaluated


def _with_all(tx: Connection, rows: Sequence[RowMapping], logged: bool) -> list[Session]:
    return _with_parts(rows, _parts(tx, rows, logged))


def _with_parts(rows: Sequence[RowMapping], parts: Mapping[int, SessionParts]) -> list[Session]:
    return [
        Session(
            kind=_kind_of(row),
            budget=budget_of(row["budget"]),
            task=parts[row["id"]].task,
            trials=parts[row["id"]].trials,
            extensions=parts[row["id"]].extensions,
            pauses=parts[row["id"]].pauses,
            interventions=parts[row["id"]].interventions,
            choice=parts[row["id"]].choice,
            earlier_choices=parts[row["id"]].earlier_choices,
            evaluated=parts[row["id"]].evaluated,
            **parts[row["id"]].shown,
            **{key: row[key] for key in _PLAIN},
        )
        for row in rows
    ]


def _kind_of(row: RowMapping) -> Literal["participant", "method"]:
    """Who proposes: a participant, or somebody of the laboratory who tunes their own model by hand, or a method."""
    by_hand = row["purpose"] == "exploratory" and is_person(row["tuner"])
    return "participant" if row["participant_id"] is not None or by_hand else "method"


def _parts(tx: Connection, rows: Sequence[RowMapping], logged: bool) -> Mapping[int, SessionParts]:
    """The parts of each session: as they were read before, where nothing happened since. logged: see `get`."""
    kept: Kept[SessionParts] | None = tx.get_execution_options().get(KEPT_KEY) if logged else None
    if kept is None:
        return _read_parts(tx, rows)
    kept.drop(row["id"] for row in rows if row["withdrawn_at"] is not None)  # what was erased does not stay in memory either
    newest = {row["id"]: (row["newest_event"], row["newest_event_at"]) for row in rows if _may_be_kept(row)}
    known = kept.some(newest)
    left = [row for row in rows if row["id"] not in known]
    read = _brought_up(tx, kept, [row["id"] for row in left]) if len(left) <= FEW_SESSIONS else {}
    read |= _read_parts(tx, [row for row in left if row["id"] not in read])
    if not _writes(tx):  # what a write reads may yet be undone
        kept.add(newest, {session_id: parts for session_id, parts in read.items() if session_id in newest})
    return {**_up_to_date(tx, known), **read}


def _may_be_kept(row: RowMapping) -> bool:
    """Not what was erased, and not an archive's session that is being brought in, whose events come last."""
    return row["withdrawn_at"] is None and row["newest_event"] is not None


def _writes(tx: Connection) -> bool:
    return bool(tx.get_execution_options().get(WRITE_KEY))


def _brought_up(tx: Connection, kept: Kept[SessionParts], ids: Sequence[int]) -> dict[int, SessionParts]:
    """Sessions of which, since they were read, only trials changed: what has ended is kept, and only the trials after are read.

    So a session of thousands of trials is read as quickly as one of ten. The event that was the newest then is still there: else
    a backup from before it was restored since.
    """
    updates = {}
    for session_id, (newest, parts) in kept.any(ids).items():
        events = tx.execute(_SINCE, {"id": session_id, "first": newest[0]}).all()
        if [(event.id, event.at) for event in events[:1]] != [newest]:
            continue
        if all(event.kind in TRIAL_EVENTS and event.trial_id is not None for event in events[1:]):
            trials = _trials_after(tx, session_id, parts)
            if trials is not None:
                updates[session_id] = replace(parts, trials=trials)
    return updates


def _up_to_date(tx: Connection, known: Mapping[int, SessionParts]) -> Mapping[int, SessionParts]:
    """Parts with what their open trials have measured by now."""
    moving = {id_: _valued(parts) for id_, parts in known.items() if any(trial.is_open for trial in parts.trials.unsettled)}
    if not moving:
        return known
    read = _trials(tx, moving, _OPEN_TRIALS)
    now = {trial.id: trial for id_ in moving for trial in known[id_].judge.all(as_read(known[id_].task.space, read[id_]))}
    fresh = {session_id: with_open(known[session_id].trials, lambda trial: now.get(trial.id, trial)) for session_id in moving}
    return {**known, **{session_id: replace(known[session_id], trials=trials) for session_id, trials in fresh.items()}}


def _read_parts(tx: Connection, rows: Sequence[RowMapping]) -> dict[int, SessionParts]:
    if not rows:
        return {}
    parts = _parts_without_trials(tx, rows)
    trials = _trials(tx, {session_id: _valued(theirs) for session_id, theirs in parts.items()}, _TRIALS)
    return {
        session_id: replace(theirs, trials=Trials(theirs.judge.all(as_read(theirs.task.space, trials[session_id]))))
        for session_id, theirs in parts.items()
    }


def _parts_without_trials(tx: Connection, rows: Sequence[RowMapping]) -> dict[int, SessionParts]:
    ids = [row["id"] for row in rows]
    extensions, pauses = _extensions(tx, ids), _pauses(tx, ids)
    choices, evaluated, interventions = _choices(tx, ids), _evaluated(tx, ids), _interventions(tx, ids)
    earlier = _earlier_choices(tx, ids)
    tasks = {task_id: studies.task(tx, task_id) for task_id in {row["task_id"] for row in rows}}
    judges = {row["id"]: judge_of(tasks[row["task_id"]].metric, row["method"], interventions[row["id"]]) for row in rows}
    declared = {key: studies.study(tx, *key) for key in {(row["study_id"], row["version"]) for row in rows}}
    return {
        row["id"]: SessionParts(
            task=tasks[row["task_id"]],
            shown=_shown(declared[row["study_id"], row["version"]], row["condition"]),
            trials=Trials(()),
            extensions=tuple(extensions[row["id"]]),
            pauses=tuple(pauses[row["id"]]),
            interventions=tuple(interventions[row["id"]]),
            judge=judges[row["id"]],
            choice=choices.get(row["id"]),
            earlier_choices=tuple(earlier[row["id"]]),
            evaluated=evaluated.get(row["id"], Evaluated()),
        )
        for row in rows
    }


_PLAIN = (
    "id", "study_id", "participant_id", "tuner", "method", "tuning_seed", "opened_at", "started_at", "withdrawn_at", "last_seen",
    "mode", "version", "condition", "practice", "purpose", "name", "process",
)  # fmt: skip


def _shown(study: Study, condition: str | None) -> dict[str, Any]:
    """What the study's version, and the participant's condition, say of the session."""
    presets = (study.arm(condition) or Arm("")).presets
    return {
        "live_validation": study.shows_live(condition),
        "presets": study.presets if presets is None else presets,
        "resumable": study.resumable,
        "evaluation_mode": study.evaluation_mode,
        "value_rule": study.value_rule,
        "trial_share": study.trial_share,
    }


Valued = Literal["last", "maximize", "minimize"]  # which epoch trials' values are of: the last one, or the best by a direction


def _valued(parts: "SessionParts") -> Valued:
    return parts.task.direction if parts.shown["value_rule"] == "best" else "last"


def valued_of(session: Session) -> Valued:
    """Which epoch the values of a session's trials are of."""
    return session.task.direction if session.value_rule == "best" else "last"


def trials_query(valued: Valued) -> Select[Any]:
    """Trials, with what their current attempt measured so far."""
    # Both are looked up from the end of the attempt's primary key: a session's read must not grow with its batches.
    epoch, newest, last = tables.measurement.alias("epoch"), tables.measurement.alias("newest"), tables.measurement.alias("last")
    epoch_index = (
        select(epoch.c.index)
        .where(epoch.c.job_id == _job.id, epoch.c.attempt == _job.attempt, epoch.c.epoch.is_not(None))
        .order_by(epoch.c.index.desc())
        .limit(1)
        .correlate(tables.job)
        .scalar_subquery()
    )
    last_index = (
        select(func.max(newest.c.index))
        .where(newest.c.job_id == _job.id, newest.c.attempt == _job.attempt)
        .correlate(tables.job)
        .scalar_subquery()
    )
    is_last = and_(last.c.job_id == _job.id, last.c.attempt == _job.attempt, last.c.index == epoch_index)
    source = tables.trial.join(tables.job, _job.trial_id == _trial.id).outerjoin(last, is_last)
    of_value = last
    if valued != "last":
        best, of_value = tables.measurement.alias("best"), tables.measurement.alias("of_value")
        best_index = (
            select(best.c.index)
            .where(best.c.job_id == _job.id, best.c.attempt == _job.attempt, best.c.epoch.is_not(None), best.c.value.is_not(None))
            .order_by(best.c.value.desc() if valued == "maximize" else best.c.value, best.c.index)
            .limit(1)
            .correlate(tables.job)
            .scalar_subquery()
        )
        is_best = and_(of_value.c.job_id == _job.id, of_value.c.attempt == _job.attempt, of_value.c.index == best_index)
        source = source.outerjoin(of_value, is_best)
    facts = (
        _job.claimed_at,
        _job.attempt,
        _job.finished_at,
        _job.outcome,
        _job.why,
        _job.stop_by,
        _job.stop_why,
        _job.environment,
        _job.holds,
        of_value.c.value,
        of_value.c.extra,
        of_value.c.epoch.label("value_epoch"),
    )
    marks = (last.c.epoch.label("epochs_done"), last.c.index.label("epoch_index"), last_index.label("last_index"))
    return select(tables.trial, *facts, *marks).select_from(source).order_by(_trial.number)


def _newest_event(column: Any) -> Any:
    newest = select(column).where(tables.event.c.session_id == tables.session.c.id).order_by(tables.event.c.id.desc()).limit(1)
    return newest.correlate(tables.session).scalar_subquery()


# Its time, too: a restored backup's next events get ids that others had.
_NEWEST = _newest_event(tables.event.c.id).label("newest_event"), _newest_event(tables.event.c.at).label("newest_event_at")
_SESSIONS = select(tables.session, *_NEWEST)
_SESSION = _SESSIONS.where(tables.session.c.id == bindparam("id"))
_QUERIES: dict[Valued, Select[Any]] = {valued: trials_query(valued) for valued in get_args(Valued)}
_TRIALS = {valued: Of(query, _trial.session_id) for valued, query in _QUERIES.items()}
_LATER_TRIALS = {
    valued: query.where(_trial.session_id == bindparam("id"), _trial.number >= bindparam("number"))
    for valued, query in _QUERIES.items()
}
_SOME_TRIALS = {
    valued: query.where(_trial.session_id == bindparam("id"), _trial.number.in_(bindparam("numbers", expanding=True)))
    for valued, query in _QUERIES.items()
}
_TRIALS_BETWEEN = {
    valued: query.where(_trial.session_id == bindparam("id"), _trial.number.between(bindparam("first"), bindparam("last")))
    for valued, query in _QUERIES.items()
}
_SINCE = (
    select(tables.event.c.id, tables.event.c.at, tables.event.c.kind, tables.event.c.trial_id)
    .where(tables.event.c.session_id == bindparam("id"), tables.event.c.id >= bindparam("first"))
    .order_by(tables.event.c.id)
)
_OPEN_TRIALS = {valued: Of(query.where(_job.finished_at.is_(None)), _trial.session_id) for valued, query in _QUERIES.items()}
_EXTENSIONS = Of(select(tables.extension), tables.extension.c.session_id)
_PAUSES = Of(select(tables.pause).order_by(tables.pause.c.id), tables.pause.c.session_id)
_INTERVENTIONS = Of(select(tables.intervention).order_by(tables.intervention.c.id), tables.intervention.c.session_id)
_CHOICES = Of(select(tables.choice), tables.choice.c.session_id)
_EARLIER = Of(select(tables.earlier_choice).order_by(tables.earlier_choice.c.number), tables.earlier_choice.c.session_id)
_SEEDS = Of(
    select(_job.session_id, func.count(_job.id).label("planned"), func.count(_job.finished_at).label("done"))
    .where(_job.seed_index.is_not(None), _job.of_earlier == 0)
    .group_by(_job.session_id),
    _job.session_id,
)


def _trials(tx: Connection, sessions: Mapping[int, Valued], queries: Mapping[Valued, Of]) -> Mapping[int, list[Trial]]:
    trials: dict[int, list[Trial]] = defaultdict(list)
    for valued in dict.fromkeys(sessions.values()):
        for row in queries[valued](tx, [session_id for session_id, theirs in sessions.items() if theirs == valued]):
            trials[row["session_id"]].append(_to_trial(row))
    return trials


def _trials_after(tx: Connection, session_id: int, parts: SessionParts) -> Trials | None:
    """All trials of a session of which some were read before; None where the settled ones are not there any more."""
    before = parts.trials
    last = [before[before.settled - 1]] if before.settled else []
    number = last[0].number if last else 0
    rows = tx.execute(_LATER_TRIALS[_valued(parts)], {"id": session_id, "number": number}).mappings()
    trials = parts.judge.all(as_read(parts.task.space, map(_to_trial, rows)))
    return before.then(trials[len(last) :]) if trials[: len(last)] == last else None


def _to_trial(row: RowMapping) -> Trial:
    outcome = Outcome(row["outcome"]) if row["outcome"] else None
    runs = row["claimed_at"] is not None  # else what is stored is of an attempt that was lost
    before = row["epochs_before"]
    done = max(row["epochs_done"] or 0, before) if runs else before
    value = row["value"] if runs and outcome is not Outcome.FAILED else None
    begun = runs and row["last_index"] is not None and row["last_index"] != row["epoch_index"]
    plain = (
        "id", "session_id", "number", "proposer", "submitted_at", "epochs_planned", "reasons", "explanation", "claimed_at",
        "attempt", "finished_at", "resumes", "epochs_before", "revision", "environment",
    )  # fmt: skip
    return Trial(
        configuration=Configuration(row["configuration"]),
        outcome=outcome,
        stop_by=Stopper(row["stop_by"]) if row["stop_by"] else None,
        value=value,
        value_epoch=None if value is None else row["value_epoch"],
        epochs_done=done,
        epochs_begun=done - before + begun,
        extra=(row["extra"] or {}) if runs else {},
        why=row["why"] or row["stop_why"],
        signals=None if row["signals"] is None else codec.from_json(Signals, row["signals"]),
        holds=codec.from_json(tuple[Hold, ...], row["holds"]) if row["holds"] else (),
        **{key: row[key] for key in plain},
    )


def _extensions(tx: Connection, ids: Sequence[int]) -> Mapping[int, list[Extension]]:
    extensions: dict[int, list[Extension]] = defaultdict(list)
    for row in _EXTENSIONS(tx, ids):
        extensions[row["session_id"]].append(Extension(row["seconds"], row["reason"], row["start"]))
    return extensions


def _pauses(tx: Connection, ids: Sequence[int]) -> Mapping[int, list[Pause]]:
    pauses: dict[int, list[Pause]] = defaultdict(list)
    for row in _PAUSES(tx, ids):
        pauses[row["session_id"]].append(Pause(row["start"], row["end"], row["reason"]))
    return pauses


def _interventions(tx: Connection, ids: Sequence[int]) -> Mapping[int, list[Intervention]]:
    interventions: dict[int, list[Intervention]] = defaultdict(list)
    plain = ("at", "who", "kind", "trial", "detail", "reason")
    for row in _INTERVENTIONS(tx, ids):
        interventions[row["session_id"]].append(Intervention(**{key: row[key] for key in plain}))
    return interventions


def _choices(tx: Connection, ids: Sequence[int]) -> Mapping[int, FinalChoice]:
    return {row["session_id"]: _to_choice(row) for row in _CHOICES(tx, ids)}


def _earlier_choices(tx: Connection, ids: Sequence[int]) -> Mapping[int, list[EarlierChoice]]:
    earlier: dict[int, list[EarlierChoice]] = defaultdict(list)
    for row in _EARLIER(tx, ids):
        earlier[row["session_id"]].append(EarlierChoice(_to_choice(row), row["reopened_at"]))
    return earlier


def _to_choice(row: RowMapping) -> FinalChoice:
    configuration = None if row["configuration"] is None else Configuration(row["configuration"])
    return FinalChoice(row["at"], configuration, row["trial_id"], row["automatic"])


def _evaluated(tx: Connection, ids: Sequence[int]) -> Mapping[int, Evaluated]:
    return {row["session_id"]: Evaluated(row["planned"], row["done"]) for row in _SEEDS(tx, ids)}
