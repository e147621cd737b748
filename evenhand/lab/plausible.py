"""What an agent says that it measured, held against what its training was asked for.

A report that cannot be is refused whole, naming the value and what was expected: nothing of it is stored, and the training is
still the agent's, which may send what is right.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from evenhand.errors import InvalidSettings
from evenhand.model.session import Session
from evenhand.model.trial import Measurement, Trial
from evenhand.model.words import is_share
from evenhand.tasks import BUILT_IN

OWN_NUMBERS = ("program", "sklearn")  # built-in tasks whose metric is what somebody else's code says


@dataclass
class Expected:
    """Of one attempt. epochs: the last that it may complete, None where only its function knows. shares: metrics from 0 to 1.

    next_index: of the measurement that comes next; None where this process did not see the first.
    """

    epochs: int | None
    shares: frozenset[str]
    next_index: int | None = None


def expected(session: Session, trial: Trial | None, next_index: int | None) -> Expected:
    """Of a training of a session: of a trial, or of a seed of its evaluation. Metrics of one's own task are what it says."""
    task = session.task
    epochs = (trial.epochs_planned if trial else task.max_epochs) if task.knows_epochs else None
    judged = task.spec.name in BUILT_IN and task.spec.name not in OWN_NUMBERS
    names = (task.metric, *(metric.name for metric in task.further)) if judged else ()
    return Expected(epochs, frozenset(filter(is_share, names)), next_index)


def check(batch: Sequence[Measurement], of: Expected, metric: str) -> None:
    """Nothing, or InvalidSettings where a report cannot be what the training measured. metric: the task's first."""
    index = batch[0].index if of.next_index is None else of.next_index
    if batch[0].index > index:
        raise _wrong(batch[0], "index", batch[0].index, f"{index}, the one after the last, or an earlier one again")
    for number, point in enumerate(batch, batch[0].index):
        if point.index != number:
            raise _wrong(point, "index", point.index, f"{number}: each once, in order, none left out")
        if of.epochs is not None and point.epoch is not None and point.epoch > of.epochs:
            raise _wrong(point, "epoch", point.epoch, f"at most {of.epochs}, the last that it was asked for")
        _check_shares(point, of.shares, metric)


def _check_shares(point: Measurement, shares: frozenset[str], metric: str) -> None:
    values: Mapping[str, float | None] = {metric: point.value, **point.extra}
    for name in shares & values.keys():
        value = values[name]
        if value is not None and not 0 <= value <= 1:
            raise _wrong(point, name, value, "a share, from 0 to 1")


def _wrong(point: Measurement, name: str, value: object, wanted: str) -> InvalidSettings:
    return InvalidSettings(
        f"measurement {point.index}: {name} is {value}, expected {wanted}; nothing of this report was stored; send it as it is"
    )
