"""Groups: several networks in training through one interface, whatever the lane, and the way to an epoch with stop flags."""

from collections.abc import Hashable, Iterator, Mapping, Sequence
from typing import Any

from evenhand.tasks.engines.base import EpochPart, Layout, Numbers, Training, TrainingGroup, TrainingPlan


def key(layout: Layout, plan: TrainingPlan) -> Hashable:
    """What members of one group have in common besides the data; they may differ in the seed and the learning rate."""
    return layout, plan.batch_size, plan.loss, plan.optimizer


def advance(group: TrainingGroup, done: Mapping[int, int], until: int) -> Iterator[tuple[int, int, EpochPart]]:
    """Train the members that `done` names, which have that many epochs behind them, until each has `until`.

    Gives (member, epoch, part) as they come. Whom the caller stops with `group.stop` is left where it is, while the others go on.
    """
    behind = {member: epochs for member, epochs in done.items() if epochs < until}
    while behind:
        numbers = {member: epochs + 1 for member, epochs in behind.items()}
        ended = set()
        for member, part in group.epoch(numbers):
            if part.step == part.steps:
                ended.add(member)
            yield member, numbers[member], part
        behind = {member: number for member, number in numbers.items() if member in ended and number < until}


class OneByOne:
    """A group in a lane that trains each network by itself; see `base.Group`."""

    def __init__(self, trainings: Sequence[Training]) -> None:
        self._trainings = tuple(trainings)
        self._stopped: set[int] = set()

    def epoch(self, numbers: Mapping[int, int]) -> Iterator[tuple[int, EpochPart]]:
        for member, number in numbers.items():
            if member in self._stopped:
                continue
            for part in self._trainings[member].epoch(number):
                if member in self._stopped:  # by another thread
                    break
                yield member, part
                if member in self._stopped:  # before the next part is computed
                    break

    def stop(self, member: int) -> None:
        self._stopped.add(member)

    def outputs(self, member: int, points: Numbers) -> Numbers:
        return self._trainings[member].outputs(points)

    def state(self, member: int) -> dict[str, Any]:
        return self._trainings[member].state()

    def restore(self, member: int, state: dict[str, Any]) -> None:
        self._trainings[member].restore(state)
