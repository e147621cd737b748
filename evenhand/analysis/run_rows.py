"""A session as a list of runs shows it: where it stands, what it found, and what a filter can ask of it."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from evenhand.analysis import summaries
from evenhand.model import rules
from evenhand.model.direction import best_so_far, value_of
from evenhand.model.domain import Value
from evenhand.model.filters import Field
from evenhand.model.run_notes import RunNotes
from evenhand.model.session import Session, State
from evenhand.model.task import TaskSpec

RunState = Literal["running", "waiting", "paused", "interrupted", "evaluating", "finished"]
RUN_STATES: tuple[RunState, ...] = ("running", "waiting", "paused", "interrupted", "evaluating", "finished")
USUAL_NAME = "train"  # of the function in files that `evenhand task new` writes, which says nothing by itself
SPARK_POINTS = 40  # of a small curve, at most
# What a filter can ask of every run, beside its metric and the values of its best trial.
PLAIN_FIELDS = ("name", "task", "method", "state", "tag", "note", "trials", "best", "time", "proposer")


@dataclass(frozen=True, slots=True)
class Spark:
    """A small curve. bests: the best so far; values: the trials' own, None where one has none. Both at places from 0 to 1."""

    bests: tuple[tuple[float, float], ...] = ()
    values: tuple[tuple[float, float], ...] = ()


@dataclass(frozen=True, slots=True)
class RunRow:
    """One session in a list of runs.

    name: by which a program goes on with it, or its number as #12. planned: trials of its budget, None where that does not count
    them. seconds: on its clock. is_own: of somebody's own tuning, so that it can be renamed, put away and deleted.
    """

    session_id: int
    study_id: int
    name: str
    task: str
    metric: str
    maximize: bool
    tuner: str
    kind: Literal["participant", "method"]
    is_joint: bool
    state: RunState
    trials: int
    planned: int | None
    best: float | None
    best_number: int | None
    best_values: Mapping[str, Value]
    seconds: float
    opened_at: float
    is_own: bool
    spark: Spark
    notes: RunNotes

    @property
    def fields(self) -> dict[str, Field]:
        """What a filter can ask of it. The best trial's values are there as `best.NAME`, and as NAME where nothing else is."""
        values = {name: _field_of(value) for name, value in self.best_values.items()}
        return {
            **values,
            **{f"best.{name}": value for name, value in values.items()},
            self.metric: self.best,
            "name": self.name,
            "task": self.task,
            "method": self.tuner,
            "proposer": "person and method" if self.is_joint else {"participant": "person", "method": "method"}[self.kind],
            "state": self.state,
            "tag": self.notes.tags,
            "note": self.notes.note,
            "trials": float(self.trials),
            "best": self.best,
            "time": self.seconds,
        }


def run_state(session: Session, now: float) -> RunState:
    """Where a session stands, as a list of runs says it."""
    state = rules.state_of(session, now)
    if state is State.CHOSEN and session.evaluated.done < session.evaluated.planned and not rules.is_unattended(session, now):
        return "evaluating"
    if state in rules.ENDED_STATES:
        return "finished"
    if rules.is_interrupted(session, now):
        return "interrupted"
    if state is State.PAUSED:
        return "paused"
    return "waiting" if state is State.WAITING else "running"


def run_row(session: Session, notes: RunNotes, now: float) -> RunRow:
    """A session as a list of runs shows it at a moment."""
    best = rules.best_trial(session, ended=True)
    return RunRow(
        session_id=session.id,
        study_id=session.study_id,
        name=session.called,
        task=_task_words(session.task.spec),
        metric=session.task.metric,
        maximize=session.maximize,
        tuner=session.tuner,
        kind=session.kind,
        is_joint=session.is_joint,
        state=run_state(session, now),
        trials=len(session.trials),
        planned=session.budget.trials,
        best=None if best is None else best.value,
        best_number=None if best is None else best.number,
        best_values={} if best is None else dict(best.configuration),
        seconds=summaries.clock(session, _last_moment(session, now)),
        opened_at=session.opened_at,
        is_own=session.purpose == "exploratory",
        spark=spark([value_of(trial) for trial in session.trials if not trial.is_open], session.maximize),
        notes=notes,
    )


def _task_words(spec: TaskSpec) -> str:
    """What a list calls a task: of one that is called as every written task is, its file's name, too."""
    return spec.plain_name if spec.short_name == USUAL_NAME else spec.short_name


def _last_moment(session: Session, now: float) -> float:
    """Until when a session's clock has run: its choice, its process's last sign of life, or now."""
    if session.choice is not None:
        return session.choice.at
    if rules.is_interrupted(session, now):
        return session.last_seen or session.opened_at
    return now


def spark(values: Sequence[float | None], maximize: bool) -> Spark:
    """A small curve of the values of trials in order; of many trials every so manieth value, and each that is a new best."""
    bests = best_so_far(values, maximize)
    last = max(len(values) - 1, 1)
    improved = [place for place, best in enumerate(bests) if best is not None and (place == 0 or best != bests[place - 1])]
    places = sorted({*_thinned(improved), *([len(bests) - 1] if bests else [])})
    return Spark(
        tuple((place / last, best) for place in places if (best := bests[place]) is not None),
        tuple((place / last, value) for place in _thinned(range(len(values))) if (value := values[place]) is not None),
    )


def _thinned(places: Sequence[int]) -> Iterable[int]:
    """At most `SPARK_POINTS` of these, evenly, the first and the last among them."""
    if len(places) <= SPARK_POINTS:
        return places
    step = (len(places) - 1) / (SPARK_POINTS - 1)
    return [places[round(number * step)] for number in range(SPARK_POINTS)]


def _field_of(value: Value) -> Field:
    """A hyperparameter's value as a filter compares it: lists and nothing as text."""
    if isinstance(value, bool | str):
        return value
    if isinstance(value, int | float):
        return float(value)
    return "none" if value is None else str(value)
