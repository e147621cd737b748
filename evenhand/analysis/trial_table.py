"""The table of a run's trials as somebody asked for it: what can be asked of a trial, the columns, what differs in a row."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from evenhand.analysis.summaries import ValueChange, changes
from evenhand.errors import InvalidSettings
from evenhand.model.aims import names_beside
from evenhand.model.domain import show
from evenhand.model.filters import Filter, read_filter
from evenhand.model.open_space import is_flag
from evenhand.model.session import Session
from evenhand.model.trial import Outcome, Trial
from evenhand.model.trial_fields import TrialField, can_ask
from evenhand.model.typed_numbers import whole_number
from evenhand.model.words import metric_name

VALUE = TrialField("value", "value")
PLAIN_FIELDS = ("number", "outcome", "proposer", "time", "epochs", "why", "explanation", "submitted")
OUTCOMES = (*(str(outcome) for outcome in Outcome), "training", "waiting")
OPTIONS: Mapping[str, tuple[str, ...]] = {"outcome": OUTCOMES, "proposer": ("person", "method")}
SET_PREFIX, METRIC_PREFIX = "set.", "metric."  # of the names of hyperparameters and further metrics, beside others of a name
COLUMNS = {
    "value": "Validation",
    "changes": "What differs",
    "outcome": "Outcome",
    "why": "Why",
    "proposer": "Proposed by",
    "epochs": "Epochs",
    "time": "Used",
    "submitted": "Begun",
}
STANDARD_COLUMNS = ("value", "changes", "outcome", "why", "time")
BEFORE, BEST = "before", "best"  # what a row's differences are told from, where it is not a trial's number
MOST_CHOSEN = 24  # columns
MOST_PINNED = 8
NEWEST_FIRST = "-number"


@dataclass(frozen=True)
class TrialWish:
    """What was asked for.

    Attributes:
        typed: the filter.
        sort: a column's key, with - before it where the largest comes first.
        columns: their keys, in order.
        against: what each row's differences are told from: "before", "best", or a trial's number.
        pins: the numbers of trials that stay on top.
    """

    typed: str = ""
    sort: str = NEWEST_FIRST
    columns: tuple[str, ...] = STANDARD_COLUMNS
    against: str = BEFORE
    pins: tuple[int, ...] = ()

    @property
    def is_descending(self) -> bool:
        """Whether the largest come first."""
        return self.sort.startswith("-")

    @property
    def key(self) -> str:
        """The column that is sorted by."""
        return self.sort.removeprefix("-")


@dataclass(frozen=True)
class TableFields:
    """What can be asked of a run's trials.

    Attributes:
        by_name: what a filter can name.
        by_column: what a column is sorted by.
        titles: the heading of every column that there is, by its key, in order.
    """

    by_name: Mapping[str, TrialField]
    by_column: Mapping[str, TrialField]
    titles: Mapping[str, str]


def table_fields(session: Session) -> TableFields:
    """What can be asked of a session's trials: their facts, their values, and each hyperparameter."""
    plain = {name: TrialField("plain", name) for name in PLAIN_FIELDS}
    beside = dict.fromkeys((*(metric.name for metric in session.task.further), *names_beside(session.aims, session.task.metric)))
    metrics = {name: TrialField("metric", name) for name in beside if can_ask(name)}
    asked = [part for part in session.space if can_ask(part.name) and not is_flag(session.space, part)]
    values = {part.name: TrialField("hyperparameter", part.name) for part in asked}
    by_name = {
        **values,
        **{f"{SET_PREFIX}{name}": field for name, field in values.items()},
        **metrics,
        **{f"{METRIC_PREFIX}{name}": field for name, field in metrics.items()},
        session.task.metric: VALUE,
        "value": VALUE,
        **plain,
    }
    by_column = {
        "value": VALUE,
        **{name: field for name, field in plain.items() if name != "why"},
        **{f"{METRIC_PREFIX}{name}": field for name, field in metrics.items()},
        **{f"{SET_PREFIX}{name}": field for name, field in values.items()},
    }
    titles = {
        **COLUMNS,
        "value": metric_name(session.task.metric),
        **{f"{METRIC_PREFIX}{name}": metric_name(name) for name in metrics},
        **{f"{SET_PREFIX}{part.name}": part.label for part in asked},
    }
    return TableFields(by_name, by_column, titles)


def filter_of(fields: TableFields, typed: str) -> tuple[Filter, str]:
    """A filter from its text, and why it could not be read: every trial is right then."""
    try:
        return read_filter(typed, fields.by_name.keys(), OPTIONS), ""
    except InvalidSettings as error:
        return Filter(), str(error)


def sort_of(fields: TableFields, wish: TrialWish) -> tuple[TrialField, bool]:
    """What the rows are sorted by, and whether the largest come first; by their numbers where the column is not there."""
    field = fields.by_column.get(wish.key)
    return (TrialField("plain", "number"), True) if field is None else (field, wish.is_descending)


def reference_number(wish: TrialWish, number: int, best: int | None) -> int | None:
    """The number of the trial that a row's differences are told from; None for the defaults."""
    if wish.against == BEFORE:
        return number - 1 or None
    if wish.against == BEST:
        return best
    return whole_number(wish.against)


def differences(session: Session, trial: Trial, reference: Trial | None) -> Sequence[ValueChange]:
    """What of a trial's configuration differs from another trial's, or from the defaults."""
    return changes(session.space, None if reference is None else reference.configuration, trial.configuration)


def cell_words(session: Session, trial: Trial, name: str) -> str:
    """The value of a hyperparameter in a trial, as people read it; nothing where it has none."""
    if name not in trial.configuration:
        return ""
    known = {part.name: part for part in session.space}
    value = trial.configuration[name]
    return known[name].show(value) if name in known else show(value)


def curve_step(trials: int, most: int) -> int:
    """Every how manieth trial's curve is drawn, so that there are at most `most`: a power of two.

    While a run grows the numbers that are drawn stay, but for every second one now and then.
    """
    step = 1
    while trials // step > most:
        step *= 2
    return step
