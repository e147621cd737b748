"""A session's trials as pages of very many show them: filtered and sorted by the database, and read a few at a time.

Nothing here reads a whole session. Which value a trial has is `store.sessions`' to say: these queries ask the same one.
"""

from array import array
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from typing import Any

from sqlalchemy import ColumnElement, Connection, Select, and_, case, false, func, literal, not_, or_, select, tuple_

from evenhand.model import codec
from evenhand.model.aims import RATING
from evenhand.model.direction import is_better
from evenhand.model.filters import Condition, Filter
from evenhand.model.rules import TrialTimes
from evenhand.model.run_head import Gain
from evenhand.model.session import Session, judge_of
from evenhand.model.trial import COUNTED_OUTCOMES, VALUELESS_OUTCOMES, Hold, Outcome
from evenhand.model.trial_fields import CurvePoint, TrialField
from evenhand.store import sessions, tables
from evenhand.store.json_fields import FieldColumns, contains, finite, json_field, number_field, text_field

_trial, _job = tables.trial.c, tables.job.c
_OF_TRIAL = _job.trial_id == _trial.id


# How many


def count(tx: Connection, session_id: int) -> tuple[int, int]:
    """How many trials a session has, and the largest of their numbers."""
    row = tx.execute(select(func.count(), func.max(_trial.number)).where(_trial.session_id == session_id)).one()
    return int(row[0]), int(row[1] or 0)


def outcomes(tx: Connection, session_id: int) -> tuple[dict[str, int], int]:
    """How many trials ended how, those that have not under "open"; and how many count in a budget: see `rules.trials_used`."""
    ended, begun = func.coalesce(_job.outcome, "open"), case((_job.claimed_at.is_not(None), 1), else_=0)
    query = select(ended, begun, func.count()).where(_job.session_id == session_id, _job.trial_id.is_not(None))
    counted: dict[str, int] = {}
    used = 0
    for outcome, was_begun, trials in tx.execute(query.group_by(ended, begun)):
        counted[outcome] = counted.get(outcome, 0) + trials
        used += trials if outcome == "open" or (was_begun and Outcome(outcome) in COUNTED_OUTCOMES) else 0
    return counted, used


def open_numbers(tx: Connection, session_id: int) -> list[int]:
    """The numbers of the trials that wait or train."""
    open_jobs = and_(_job.session_id == session_id, _job.finished_at.is_(None))
    return list(tx.execute(select(_trial.number).join(tables.job, _OF_TRIAL).where(open_jobs).order_by(_trial.number)).scalars())


def number_of(tx: Connection, trial_id: int) -> int | None:
    """The number of a trial within its session."""
    return tx.execute(select(_trial.number).where(_trial.id == trial_id)).scalar()


def has_other_proposers(tx: Connection, session: Session) -> bool:
    """Whether somebody beside a session's tuner proposed a trial."""
    others = select(_trial.id).where(_trial.session_id == session.id, _trial.proposer != session.tuner).limit(1)
    return tx.execute(others).first() is not None


# What they used up


def epochs_begun(tx: Connection, session: Session, after: int, until: int) -> tuple[int, int]:
    """Epochs that ended trials which count have begun, of those with numbers after one up to another, and of all later ones."""
    query = sessions.trials_query("last")
    columns = {name: column for name, column in query.selected_columns.items() if name in ("epochs_done", *_INDICES)}
    before, done = _trial.epochs_before, func.coalesce(columns["epochs_done"], 0)
    last_index, epoch_index = (columns[name] for name in _INDICES)
    has_begun = and_(last_index.is_not(None), or_(epoch_index.is_(None), last_index != epoch_index))
    epochs = case((done > before, done - before), else_=0) + case((has_begun, 1), else_=0)
    parts = (func.sum(case((is_there, epochs), else_=0)) for is_there in (_trial.number <= until, _trial.number > until))
    counted = query.with_only_columns(*parts, maintain_column_froms=True).order_by(None)
    row = tx.execute(counted.where(_trial.session_id == session.id, _trial.number > after, *_has_counted())).one()
    return int(row[0] or 0), int(row[1] or 0)


_INDICES = ("last_index", "epoch_index")


def newest_counted(tx: Connection, session_id: int, most: int) -> list[int]:
    """The numbers of the last ended trials that count, in order, at most so many."""
    rows = select(_trial.number).join(tables.job, _OF_TRIAL).where(_trial.session_id == session_id, *_has_counted())
    return list(tx.execute(rows.order_by(_trial.number.desc()).limit(most)).scalars())[::-1]


def _has_counted() -> tuple[ColumnElement[bool], ...]:
    """That a trial has ended and counts in a budget: see `rules.trials_used`."""
    return _job.finished_at.is_not(None), _job.claimed_at.is_not(None), _job.outcome.in_(COUNTED_OUTCOMES)


def ended_times(tx: Connection, session_id: int, after: int) -> Iterator[tuple[int, TrialTimes]]:
    """The numbers and times of the trials after one that have ended, in order."""
    facts = (_trial.number, _trial.submitted_at, _job.claimed_at, _job.finished_at, _job.outcome, _job.holds)
    rows = select(*facts).join(tables.job, _OF_TRIAL)
    ended_rows = rows.where(_trial.session_id == session_id, _trial.number > after, _job.finished_at.is_not(None))
    for number, submitted, claimed, finished, outcome, holds in tx.execute(ended_rows.order_by(_trial.number)):
        held = codec.from_json(tuple[Hold, ...], holds) if holds else ()
        yield number, TrialTimes(submitted, claimed, finished, Outcome(outcome) if outcome else None, held)


# The best


def alike(tx: Connection, session: Session, value: float) -> list[int]:
    """The numbers of the ended trials with this value that can be chosen, in order."""
    query, columns = _asked(session)
    rows = query.with_only_columns(_trial.number, maintain_column_froms=True).where(
        *_counts_in_best(tx, session, columns), columns["value"] == value
    )
    return list(tx.execute(rows).scalars())


def gains(tx: Connection, session: Session, after: int, best: float | None) -> list[Gain]:
    """Each ended trial after this number that was better than all before it. best: the best value until then."""
    query, columns = _asked(session)
    valued = columns["value"]
    counted = and_(_trial.number > after, *_counts_in_best(tx, session, columns))
    rows = query.with_only_columns(_trial.number, valued.label("value"), maintain_column_froms=True)
    inner = rows.where(counted).order_by(None).subquery()
    peak = func.max if session.maximize else func.min
    before = peak(inner.c.value).over(order_by=inner.c.number, rows=(None, -1)).label("before")
    ranked = select(inner.c.number, inner.c.value, before).subquery()
    ahead = ranked.c.value > ranked.c.before if session.maximize else ranked.c.value < ranked.c.before
    better = select(ranked.c.number, ranked.c.value).where(or_(ranked.c.before.is_(None), ahead)).order_by(ranked.c.number)
    found_gains = []
    for number, value in tx.execute(better):
        if best is None or is_better(value, best, session.maximize):
            best = value
            found_gains.append(Gain(number, value))
    return found_gains


def _counts_in_best(tx: Connection, session: Session, columns: Mapping[str, ColumnElement[Any]]) -> list[ColumnElement[bool]]:
    """That a trial of a session has ended with a value that counts in every best: see `direction.value_of`."""
    return [
        _trial.session_id == session.id,
        _job.finished_at.is_not(None),
        _job.claimed_at.is_not(None),  # else what is stored is of an attempt that was lost
        _job.outcome.not_in(VALUELESS_OUTCOMES),
        finite(columns["value"]).is_not(None),
        *_chosen_from(tx, session, columns),
    ]


def _chosen_from(tx: Connection, session: Session, columns: Mapping[str, ColumnElement[Any]]) -> list[ColumnElement[bool]]:
    """What a trial must be to be chosen: it keeps what is required, and nobody vetoed it. See `model.aims.Judge`."""
    judge = judge_of(session.task.metric, session.method, session.interventions)
    conditions: list[ColumnElement[bool]] = [_trial.number.not_in(judge.vetoes)] if judge.vetoes else []
    for requirement in judge.require:
        if requirement.metric == RATING:
            missing = [
                number
                for number, ratings in judge.ratings.items()
                if requirement.missed_by(sum(ratings.values()) / len(ratings)) > 0
            ]
            conditions += [_trial.number.not_in(missing)] if missing else []
            continue
        measured = columns["value"]
        if requirement.metric != session.task.metric:
            measured = json_field(tx.dialect.name, columns["extra"], requirement.metric).number
        conditions.append(measured <= requirement.bound if requirement.at_most else measured >= requirement.bound)
    return conditions


# In which order


def numbers(
    tx: Connection, session: Session, wanted: Filter, sort: TrialField, descending: bool, fields: Mapping[str, TrialField]
) -> "array[int]":
    """The numbers of the trials that a filter lets through, in order; of equals the newest first. fields: what it can name."""
    is_by_number = sort == TrialField("plain", "number")
    if is_by_number and not wanted.groups:
        there, newest = count(tx, session.id)
        if there == newest:  # none is missing, so that none need be read
            return array("I", range(newest, 0, -1) if descending else range(1, newest + 1))
    query, columns = _asked(session)
    column_of = _columns(tx, session, columns)
    rows = query.with_only_columns(_trial.number, maintain_column_froms=True).where(_trial.session_id == session.id)
    if wanted.groups:
        rows = rows.where(or_(*(and_(*(_holds(condition, fields, column_of) for condition in group)) for group in wanted.groups)))
    if is_by_number:
        keys: tuple[Any, ...] = (_trial.number.desc() if descending else _trial.number,)
    else:
        keys = (*column_of(sort).order(descending), _trial.number.desc())
    return array("I", tx.execute(rows.order_by(None).order_by(*keys)).scalars())


def _holds(
    condition: Condition, fields: Mapping[str, TrialField], column_of: Callable[[TrialField], FieldColumns]
) -> ColumnElement[bool]:
    if condition.name:
        return column_of(fields[condition.name]).holds(condition)
    texts = [column_of(field).text for field in dict.fromkeys(fields.values()) if field.kind in ("plain", "hyperparameter")]
    is_anywhere = or_(false(), *(func.coalesce(contains(text, condition.text), literal(False)) for text in texts))
    return not_(is_anywhere) if condition.turned else is_anywhere


def _columns(tx: Connection, session: Session, columns: Mapping[str, ColumnElement[Any]]) -> Callable[[TrialField], FieldColumns]:
    """The columns of a field."""
    runs = _job.claimed_at.is_not(None)
    is_valued = and_(runs, func.coalesce(_job.outcome, "open").not_in(VALUELESS_OUTCOMES))
    own, other = ("person", "person") if session.kind == "participant" else ("method", "person")
    plain = {
        "number": number_field(_trial.number),
        "outcome": text_field(
            func.coalesce(_job.outcome, case((_job.claimed_at.is_(None), literal("waiting")), else_=literal("training")))
        ),
        "proposer": text_field(case((_trial.proposer == session.tuner, literal(own)), else_=literal(other))),
        "time": number_field(case((runs, _job.finished_at - _job.claimed_at))),
        "epochs": number_field(func.coalesce(case((runs, columns["epochs_done"])), _trial.epochs_before)),
        "why": text_field(func.coalesce(_job.why, _job.stop_why, "")),
        "explanation": text_field(_trial.explanation),
        "submitted": number_field(_trial.submitted_at),
    }

    def column_of(field: TrialField) -> FieldColumns:
        if field.kind == "plain":
            return plain[field.name]
        if field.kind == "value":
            return number_field(case((is_valued, finite(columns["value"]))))
        if field.kind == "metric":
            measured = json_field(tx.dialect.name, columns["extra"], field.name).number
            return number_field(case((is_valued, finite(measured))))
        return json_field(tx.dialect.name, _trial.configuration, field.name)

    return column_of


def _asked(session: Session) -> tuple[Select[Any], Mapping[str, ColumnElement[Any]]]:
    """The query of a session's trials, and its columns by name."""
    query = sessions.trials_query(sessions.valued_of(session))
    return query, {name: column for name, column in query.selected_columns.items() if name in ("value", "extra", "epochs_done")}


# What they measured


def values(tx: Connection, session: Session, every: int) -> list[tuple[int, float]]:
    """Of every so manieth trial that has ended, its number and its value, where it has one that counts."""
    query, columns = _asked(session)
    valued = finite(columns["value"])
    rows = query.with_only_columns(_trial.number, valued, maintain_column_froms=True).where(
        _trial.session_id == session.id,
        _trial.number % every == 0,
        _job.finished_at.is_not(None),
        _job.claimed_at.is_not(None),
        _job.outcome.not_in(VALUELESS_OUTCOMES),
        valued.is_not(None),
    )
    return [(number, value) for number, value in tx.execute(rows)]


def curves(tx: Connection, session_id: int, wanted: Collection[int], most_points: int) -> list[CurvePoint]:
    """What trials measured on validation at the ends of epochs, in order; of longer trainings every so manieth epoch and the
    last. most_points: of one trial, about."""
    measured = tables.measurement.c
    job_of = tables.job.join(tables.trial, _OF_TRIAL)
    is_current = and_(measured.job_id == _job.id, measured.attempt == _job.attempt, measured.epoch.is_not(None))
    of_wanted = and_(_trial.session_id == session_id, _trial.number.in_(wanted), _job.claimed_at.is_not(None), is_current)
    source = job_of.join(tables.measurement, is_current)
    last = select(_trial.number, func.max(measured.epoch)).select_from(source).where(of_wanted).group_by(_trial.number)
    ends = {row[0]: row[1] for row in tx.execute(last)}
    step = max(1, -(-max(ends.values(), default=0) // most_points))
    rows = select(_trial.number, measured.epoch, measured.value).select_from(source)
    rows = rows.where(of_wanted, finite(measured.value).is_not(None))
    if step > 1:
        is_end = tuple_(_trial.number, measured.epoch).in_(list(ends.items()))
        rows = rows.where(or_(measured.epoch % step == 0, measured.epoch == 1, is_end))
    return [CurvePoint(*row) for row in tx.execute(rows.order_by(_trial.number, measured.index))]


def ended(tx: Connection, session_id: int, wanted: Iterable[int]) -> bool:
    """Whether all of these trials have ended, so that nothing of them changes any more."""
    going = and_(_trial.session_id == session_id, _trial.number.in_(list(wanted)), _job.finished_at.is_(None))
    return tx.execute(select(_trial.id).join(tables.job, _OF_TRIAL).where(going).limit(1)).first() is None
