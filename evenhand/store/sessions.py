"""Sessions with their trials: read whole, since every rule is a function of a whole session."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any

from sqlalchemy import Connection, RowMapping, Select, Update, and_, bindparam, delete, func, insert, select, update

from evenhand.declaration import Arm, Budget, Study
from evenhand.errors import NotFound
from evenhand.records import Choice, Evaluated, Extension, Intervention, Outcome, Pause, Session, Stopper, TaskRecord, Trial
from evenhand.space import Configuration
from evenhand.store import studies, tables
from evenhand.store.queries import KEPT, Kept, Of
from evenhand.store.studies import budget_to_json, inserted
from evenhand.trials import Trials, with_open

ARCHIVE = "archive"  # the driver of sessions that were read from an export: nothing moves in them any more
FEW = 8  # sessions, up to which each is brought up to date by itself; more are read together
OF_TRIALS = {"submitted", "claimed", "stop asked", "finished", "attempt ended"}  # events of a trial that change nothing else
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
    }
    return inserted(tx, tables.session, row)


def get(tx: Connection, session_id: int, logged: bool | None = None) -> Session:
    """The session with this id, with its trials.

    logged: that this transaction has changed nothing of it yet, but for trials that are open, that is not in the log: then what
    was read before is used. By default that is said of reads.
    """
    row = tx.execute(_SESSION, {"id": session_id}).mappings().first()
    if row is None:
        raise NotFound(f"session {session_id} does not exist")
    return _with_all(tx, [row], not _writes(tx) if logged is None else logged)[0]


def of_study(tx: Connection, study_id: int) -> list[Session]:
    """All sessions of a study, in order of opening."""
    return _load(tx, tables.session.c.study_id == study_id)


def some(tx: Connection, ids: Sequence[int]) -> list[Session]:
    """The sessions with these ids, in order of opening."""
    return _load(tx, tables.session.c.id.in_(ids))


def past_limit(tx: Connection, now: float) -> list[Session]:
    """Started sessions without a choice whose time limit, without credits, has passed: their deadline may have, too."""
    chosen = select(tables.choice.c.session_id)
    table = tables.session.c
    open_sessions = and_(_moves(), table.id.not_in(chosen))
    rows = tx.execute(select(table.id, table.started_at, table.budget).where(open_sessions))
    late = [row.id for row in rows if (seconds := row.budget["seconds"]) is not None and row.started_at + seconds <= now]
    return _load(tx, table.id.in_(late)) if late else []


def running(tx: Connection) -> list[Session]:
    """Started sessions without a choice, of all studies."""
    table, chosen = tables.session.c, select(tables.choice.c.session_id)
    return _load(tx, and_(_moves(), table.id.not_in(chosen)))


def _moves() -> Any:
    """The condition that a session was started, was not withdrawn from and is not an archive's."""
    table = tables.session.c
    return and_(table.started_at.is_not(None), table.withdrawn_at.is_(None), table.driver != ARCHIVE)


def open_ids(tx: Connection, driver: str) -> list[int]:
    """Ids of started sessions without a choice that this driver serves."""
    table, chosen = tables.session.c, select(tables.choice.c.session_id)
    started = and_(table.started_at.is_not(None), table.withdrawn_at.is_(None), table.driver == driver)
    return list(tx.execute(select(table.id).where(started, table.id.not_in(chosen))).scalars())


def driven_by(tx: Connection, driver: str) -> list[int]:
    """Ids of the methods' sessions that this driver has to play on."""
    table = tables.session.c
    query = select(table.id).where(
        table.driver == driver, table.participant_id.is_(None), table.id.not_in(select(tables.choice.c.session_id))
    )
    return list(tx.execute(query.order_by(table.id)).scalars())


def update_facts(tx: Connection, session_id: int, **facts: Any) -> None:
    """Set columns of a session's row."""
    tx.execute(_updating(*facts), {"of": session_id, **{f"to_{name}": value for name, value in facts.items()}})


@lru_cache
def _updating(*names: str) -> Update:
    return update(tables.session).where(tables.session.c.id == bindparam("of")).values({n: bindparam(f"to_{n}") for n in names})


def extend(tx: Connection, session_id: int, extension: Extension) -> None:
    """Give a session time."""
    row = {"session_id": session_id, "start": extension.start, "seconds": extension.seconds, "reason": extension.reason}
    tx.execute(insert(tables.extension).values(row))


def pause(tx: Connection, session_id: int, reason: str, now: float) -> None:
    """Begin a pause."""
    tx.execute(insert(tables.pause).values(session_id=session_id, start=now, reason=reason))


def end_pause(tx: Connection, session_id: int, now: float) -> bool:
    """End the session's open pause; False where there is none."""
    where = (tables.pause.c.session_id == session_id, tables.pause.c.end.is_(None))
    return tx.execute(update(tables.pause).where(*where).values(end=now)).rowcount > 0


def intervene(tx: Connection, session_id: int, intervention: Intervention) -> None:
    """Store what a person did in a method's session."""
    plain = ("at", "who", "kind", "trial", "reason")
    row = {"session_id": session_id, "detail": dict(intervention.detail), **{key: getattr(intervention, key) for key in plain}}
    tx.execute(insert(tables.intervention).values(row))


def add_trial(tx: Connection, trial: Trial, key: str | None) -> int:
    """Store a new trial; its id."""
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
    }
    return inserted(tx, tables.trial, row)


def number_by_key(tx: Connection, session_id: int, key: str) -> int | None:
    """The number of the trial that was submitted with this idempotency key."""
    return tx.execute(_BY_KEY, {"id": session_id, "key": key}).scalar()


_BY_KEY = select(_trial.number).where(_trial.session_id == bindparam("id"), _trial.key == bindparam("key"))


def choose(tx: Connection, session_id: int, choice: Choice, key: str | None) -> None:
    """Store the choice that ends a session."""
    row = {
        "session_id": session_id,
        "at": choice.at,
        "configuration": None if choice.configuration is None else dict(choice.configuration),
        "trial_id": choice.trial_id,
        "automatic": choice.automatic,
        "key": key,
    }
    tx.execute(insert(tables.choice).values(row))


def choice_key(tx: Connection, session_id: int) -> str | None:
    """The idempotency key of the session's choice."""
    return tx.execute(select(tables.choice.c.key).where(tables.choice.c.session_id == session_id)).scalar()


def erase(tx: Connection, session_id: int) -> None:
    """Delete what a session's tuner did; the session's row stays as the tombstone that keeps the count."""
    jobs = select(_job.id).where(_job.session_id == session_id)
    for table in (tables.measurement, tables.attempt):
        tx.execute(delete(table).where(table.c.job_id.in_(jobs)))
    for table in (
        tables.choice,
        tables.job,
        tables.trial,
        tables.extension,
        tables.pause,
        tables.intervention,
        tables.look,
    ):
        tx.execute(delete(table).where(table.c.session_id == session_id))


def _load(tx: Connection, condition: Any) -> list[Session]:
    rows = tx.execute(_SESSIONS.where(condition).order_by(tables.session.c.id)).mappings().all()
    return _with_all(tx, rows, not _writes(tx)) if rows else []


@dataclass(frozen=True)
class Parts:
    """What a session has beside its row. Each change of it is logged as an event of the session, but for what a trial that
    is open has measured."""

    task: TaskRecord
    shown: Mapping[str, Any]
    trials: Trials
    extensions: tuple[Extension, ...]
    pauses: tuple[Pause, ...]
    interventions: tuple[Intervention, ...]
    choice: Choice | None
    evaluated: Evaluated


def _with_all(tx: Connection, rows: Sequence[RowMapping], logged: bool) -> list[Session]:
    parts = _parts(tx, rows, logged)
    return [
        Session(
            kind="method" if row["participant_id"] is None else "participant",
            budget=Budget(**row["budget"]),
            task=parts[row["id"]].task,
            trials=parts[row["id"]].trials,
            extensions=parts[row["id"]].extensions,
            pauses=parts[row["id"]].pauses,
            interventions=parts[row["id"]].interventions,
            choice=parts[row["id"]].choice,
            evaluated=parts[row["id"]].evaluated,
            **parts[row["id"]].shown,
            **{key: row[key] for key in _PLAIN},
        )
        for row in rows
    ]


def _parts(tx: Connection, rows: Sequence[RowMapping], logged: bool) -> Mapping[int, Parts]:
    """The parts of each session: as they were read before, where nothing happened since. logged: see `get`."""
    kept: Kept[Parts] | None = tx.info.get(KEPT) if logged else None
    if kept is None:
        return _read_parts(tx, rows)
    kept.drop(row["id"] for row in rows if row["withdrawn_at"] is not None)  # what was erased does not stay in memory either
    newest = {row["id"]: (row["newest_event"], row["newest_event_at"]) for row in rows if row["withdrawn_at"] is None}
    known = kept.some(newest)
    left = [row for row in rows if row["id"] not in known]
    read = _brought_up(tx, kept, [row["id"] for row in left]) if len(left) <= FEW else {}
    read |= _read_parts(tx, [row for row in left if row["id"] not in read])
    if not _writes(tx):  # what a write reads may yet be undone
        kept.add(newest, {each: parts for each, parts in read.items() if each in newest})
    return {**_up_to_date(tx, known), **read}


def _writes(tx: Connection) -> bool:
    return bool(tx.get_execution_options().get("evenhand_write"))


def _brought_up(tx: Connection, kept: Kept[Parts], ids: Sequence[int]) -> dict[int, Parts]:
    """Sessions of which, since they were read, only trials changed: what has ended is kept, and only the trials after are read.

    So a session of thousands of trials is read as quickly as one of ten. The event that was the newest then is still there: else
    a backup from before it was restored since.
    """
    found = {}
    for session_id, (newest, parts) in kept.any(ids).items():
        events = tx.execute(_SINCE, {"id": session_id, "first": newest[0]}).all()
        if [(each.id, each.at) for each in events[:1]] != [newest]:
            continue
        if all(each.kind in OF_TRIALS and each.trial_id is not None for each in events[1:]):
            trials = _trials_after(tx, session_id, parts.trials)
            if trials is not None:
                found[session_id] = replace(parts, trials=trials)
    return found


def _up_to_date(tx: Connection, known: Mapping[int, Parts]) -> Mapping[int, Parts]:
    """Parts with what their open trials have measured by now."""
    moving = [id_ for id_, parts in known.items() if any(trial.is_open for trial in parts.trials.unsettled)]
    if not moving:
        return known
    now = {trial.id: trial for found in _trials(tx, moving, _OPEN_TRIALS).values() for trial in found}
    fresh = {each: with_open(known[each].trials, lambda trial: now.get(trial.id, trial)) for each in moving}
    return {**known, **{each: replace(known[each], trials=trials) for each, trials in fresh.items()}}


def _read_parts(tx: Connection, rows: Sequence[RowMapping]) -> dict[int, Parts]:
    if not rows:
        return {}
    ids = [row["id"] for row in rows]
    trials = _trials(tx, ids)
    extensions, pauses = _extensions(tx, ids), _pauses(tx, ids)
    choices, evaluated, interventions = _choices(tx, ids), _evaluated(tx, ids), _interventions(tx, ids)
    tasks = {task_id: studies.task(tx, task_id) for task_id in {row["task_id"] for row in rows}}
    declared = {each: studies.study(tx, *each) for each in {(row["study_id"], row["version"]) for row in rows}}
    return {
        row["id"]: Parts(
            task=tasks[row["task_id"]],
            shown=_shown(declared[row["study_id"], row["version"]], row["condition"]),
            trials=Trials(trials[row["id"]]),
            extensions=tuple(extensions[row["id"]]),
            pauses=tuple(pauses[row["id"]]),
            interventions=tuple(interventions[row["id"]]),
            choice=choices.get(row["id"]),
            evaluated=evaluated.get(row["id"], Evaluated()),
        )
        for row in rows
    }


_PLAIN = (
    "id", "study_id", "participant_id", "tuner", "method", "tuning_seed", "opened_at", "started_at", "withdrawn_at", "last_seen",
    "mode", "version", "condition", "practice",
)  # fmt: skip


def _shown(study: Study, condition: str | None) -> dict[str, Any]:
    """What the session's page shows, by the study's version and the participant's condition."""
    arm = study.arm(condition) or Arm("")
    live, presets = arm.live_validation, arm.presets
    return {
        "live_validation": study.live_validation if live is None else live,
        "presets": study.presets if presets is None else presets,
        "resumable": study.resumable,
    }


def _trials_query() -> Select[Any]:
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
    facts = (
        _job.claimed_at,
        _job.attempt,
        _job.finished_at,
        _job.outcome,
        _job.why,
        _job.stop_by,
        _job.stop_why,
        last.c.value,
        last.c.extra,
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
_TRIALS = Of(_trials_query(), _trial.session_id)
_LATER_TRIALS = _trials_query().where(_trial.session_id == bindparam("id"), _trial.number >= bindparam("number"))
_SINCE = (
    select(tables.event.c.id, tables.event.c.at, tables.event.c.kind, tables.event.c.trial_id)
    .where(tables.event.c.session_id == bindparam("id"), tables.event.c.id >= bindparam("first"))
    .order_by(tables.event.c.id)
)
_OPEN_TRIALS = Of(_trials_query().where(_job.finished_at.is_(None)), _trial.session_id)
_EXTENSIONS = Of(select(tables.extension), tables.extension.c.session_id)
_PAUSES = Of(select(tables.pause).order_by(tables.pause.c.id), tables.pause.c.session_id)
_INTERVENTIONS = Of(select(tables.intervention).order_by(tables.intervention.c.id), tables.intervention.c.session_id)
_CHOICES = Of(select(tables.choice), tables.choice.c.session_id)
_SEEDS = Of(
    select(_job.session_id, func.count(_job.id).label("planned"), func.count(_job.finished_at).label("done"))
    .where(_job.seed_index.is_not(None))
    .group_by(_job.session_id),
    _job.session_id,
)


def _trials(tx: Connection, ids: Sequence[int], query: Of = _TRIALS) -> Mapping[int, list[Trial]]:
    trials: dict[int, list[Trial]] = defaultdict(list)
    for row in query(tx, ids):
        trials[row["session_id"]].append(_to_trial(row))
    return trials


def _trials_after(tx: Connection, session_id: int, before: Trials) -> Trials | None:
    """All trials of a session of which some were read before; None where the settled ones are not there any more."""
    last = [before[before.settled - 1]] if before.settled else []
    number = last[0].number if last else 0
    found = [_to_trial(row) for row in tx.execute(_LATER_TRIALS, {"id": session_id, "number": number}).mappings()]
    return before.then(found[len(last) :]) if found[: len(last)] == last else None


def _to_trial(row: RowMapping) -> Trial:
    outcome = Outcome(row["outcome"]) if row["outcome"] else None
    runs = row["claimed_at"] is not None  # else what is stored is of an attempt that was lost
    before = row["epochs_before"]
    done = max(row["epochs_done"] or 0, before) if runs else before
    begun = runs and row["last_index"] is not None and row["last_index"] != row["epoch_index"]
    plain = (
        "id", "session_id", "number", "proposer", "submitted_at", "epochs_planned", "reasons", "explanation", "claimed_at",
        "attempt", "finished_at", "resumes", "epochs_before", "revision",
    )  # fmt: skip
    return Trial(
        configuration=Configuration(row["configuration"]),
        outcome=outcome,
        stop_by=Stopper(row["stop_by"]) if row["stop_by"] else None,
        value=row["value"] if runs and outcome is not Outcome.FAILED else None,
        epochs_done=done,
        epochs_begun=done - before + begun,
        extra=(row["extra"] or {}) if runs else {},
        why=row["why"] or row["stop_why"],
        **{key: row[key] for key in plain},
    )


def _extensions(tx: Connection, ids: Sequence[int]) -> Mapping[int, list[Extension]]:
    found: dict[int, list[Extension]] = defaultdict(list)
    for row in _EXTENSIONS(tx, ids):
        found[row["session_id"]].append(Extension(row["seconds"], row["reason"], row["start"]))
    return found


def _pauses(tx: Connection, ids: Sequence[int]) -> Mapping[int, list[Pause]]:
    found: dict[int, list[Pause]] = defaultdict(list)
    for row in _PAUSES(tx, ids):
        found[row["session_id"]].append(Pause(row["start"], row["end"], row["reason"]))
    return found


def _interventions(tx: Connection, ids: Sequence[int]) -> Mapping[int, list[Intervention]]:
    found: dict[int, list[Intervention]] = defaultdict(list)
    plain = ("at", "who", "kind", "trial", "detail", "reason")
    for row in _INTERVENTIONS(tx, ids):
        found[row["session_id"]].append(Intervention(**{key: row[key] for key in plain}))
    return found


def _choices(tx: Connection, ids: Sequence[int]) -> Mapping[int, Choice]:
    found = {}
    for row in _CHOICES(tx, ids):
        configuration = None if row["configuration"] is None else Configuration(row["configuration"])
        found[row["session_id"]] = Choice(row["at"], configuration, row["trial_id"], row["automatic"])
    return found


def _evaluated(tx: Connection, ids: Sequence[int]) -> Mapping[int, Evaluated]:
    return {row["session_id"]: Evaluated(row["planned"], row["done"]) for row in _SEEDS(tx, ids)}
