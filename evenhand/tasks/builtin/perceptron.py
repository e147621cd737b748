"""The training loop of multilayer perceptrons, for points that lie in memory, in whatever lane, alone or several together."""

from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import NamedTuple

import numpy as np

from evenhand.tasks import engines
from evenhand.tasks.builtin.mixtures import Labels, Numbers
from evenhand.tasks.engines import groups
from evenhand.tasks.engines.base import EpochPart, LabelledPoints, Layout, Training, TrainingPlan
from evenhand.tasks.run import ReporterBroken, Run, Stopped, TookTooLong

Ending = BaseException | None  # what ended a training from within its run, or None where it completed


@dataclass(frozen=True)
class Engine:
    """What trains: the lane by name, its precision, and for how many epochs."""

    lane: str
    precision: str
    epochs: int


class NetworkMember(NamedTuple):
    """One of several that train together."""

    layout: Layout
    plan: TrainingPlan
    engine: Engine
    run: Run


class TrainingProgress:
    """What a training tells its run, part by part: the loss of each, and after each epoch its mean and the score."""

    def __init__(self, run: Run, outputs: Callable[[Numbers], Numbers]) -> None:
        """outputs: of the network, (N, classes) of points."""
        self._run, self._outputs = run, outputs
        self._parts: list[EpochPart] = []

    def take(self, epoch: int, part: EpochPart) -> None:
        """Report a part of an epoch, and with the last one the epoch; raises what the run does."""
        step, run = (epoch - 1) * part.steps + part.step, self._run
        self._parts.append(part)
        run.report(step=step, loss=part.loss)
        if part.step < part.steps:
            return
        parts, self._parts = self._parts, []
        mean = sum(part.loss * part.points for part in parts) / sum(part.points for part in parts)
        score = run.score(partial(_classes, self._outputs))
        run.report(step=step, epoch=epoch, loss=mean, **{run.task.metric: score})


def fit(layout: Layout, plan: TrainingPlan, engine: Engine, run: Run) -> Training:
    """Train, and report; see `TrainingProgress`."""
    begun = engines.begin(engine.lane, layout, plan, run.seed, _data(run), engine.precision)
    training = engines.StorableTraining(engine.lane, layout, plan, engine.precision, begun)
    if (kept := run.restore()) is not None:
        training.restore(kept)
    run.keep(training.state)
    course = TrainingProgress(run, training.outputs)
    for epoch in range(run.completed_epochs + 1, engine.epochs + 1):
        for part in training.epoch(epoch):
            course.take(epoch, part)
    return training


def fit_together(members: Sequence[NetworkMember]) -> list[Ending]:
    """Train members of one task version, those that may be grouped in groups; each reports the very numbers that `fit` would.

    For each in turn how it ended. One that its run ends (stopped, diverged, out of time, or its reporter failed) leaves the
    others as they are. A member's time runs from when its run was made, and so counts what the others take.
    """
    endings: list[Ending] = [None] * len(members)
    alike: dict[Hashable, list[int]] = {}
    for at, (layout, plan, engine, run) in enumerate(members):
        what = (groups.key(layout, plan), engine.lane, engine.precision, run.retrains)
        alike.setdefault(what, []).append(at)
    for places in alike.values():
        first = members[places[0]]
        size = engines.group_size(first.engine.lane, first.plan.batch_size)
        count = -(-len(places) // size)
        for turn in range(count):
            chosen = places[turn::count]  # of nearly equal numbers
            for at, ending in zip(chosen, _fit_group([members[place] for place in chosen]), strict=True):
                endings[at] = ending
    return endings


def _fit_group(members: Sequence[NetworkMember]) -> list[Ending]:
    """Train members of one `groups.key`, engine but for the epochs, and data."""
    layout, _, engine, first = members[0]
    plans, runs = [member.plan for member in members], [member.run for member in members]
    group = engines.begin_group(engine.lane, layout, plans, [run.seed for run in runs], _data(first), engine.precision)
    for at, run in enumerate(runs):
        if (kept := run.restore()) is not None:
            group.restore(at, kept)
        run.keep(partial(group.state, at))
    until = [member.engine.epochs for member in members]
    courses = [TrainingProgress(run, partial(group.outputs, at)) for at, run in enumerate(runs)]
    endings: list[Ending] = [None] * len(members)
    done = {at: run.completed_epochs for at, run in enumerate(runs) if run.completed_epochs < until[at]}
    for at, epoch, part in groups.advance(group, done, max(until)):
        try:
            courses[at].take(epoch, part)
        except (Exception, Stopped, TookTooLong, ReporterBroken) as ending:
            endings[at] = ending
        if endings[at] is not None or (epoch == until[at] and part.step == part.steps):
            group.stop(at)
    return endings


def _data(run: Run) -> LabelledPoints:
    points, labels = run.train
    return LabelledPoints(np.asarray(points), np.asarray(labels, dtype=np.int32))


def predict(training: Training, points: Numbers) -> Labels:
    """The class (N,) of the largest output at each of `points` (N, features)."""
    return _classes(training.outputs, points)


def _classes(outputs: Callable[[Numbers], Numbers], points: Numbers) -> Labels:
    labels: Labels = outputs(np.asarray(points)).argmax(1)
    return labels
