"""The training loop of multilayer perceptrons, for points that lie in memory, in whatever lane, alone or several together."""

from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import NamedTuple

import numpy as np

from evenhand import lanes
from evenhand.lanes import groups
from evenhand.lanes.base import Data, Layout, Part, Plan, Training
from evenhand.tasks.mixtures import Labels, Numbers
from evenhand.tasks.run import Broken, Run, Stopped, TookTooLong

Ending = BaseException | None  # what ended a training from within its run, or None where it completed


@dataclass(frozen=True)
class Engine:
    """What trains: the lane by name, its precision, and for how many epochs."""

    lane: str
    precision: str
    epochs: int


class Member(NamedTuple):
    """One of several that train together."""

    layout: Layout
    plan: Plan
    engine: Engine
    run: Run


class Course:
    """What a training tells its run, part by part: the loss of each, and after each epoch its mean and the score.

    An evaluation is scored after its last epoch only, so that test data is looked at once.
    """

    def __init__(self, run: Run, epochs: int, outputs: Callable[[Numbers], Numbers]) -> None:
        """epochs: when it ends. outputs: of the network, (N, classes) of points."""
        self._run, self._epochs, self._outputs = run, epochs, outputs
        self._parts: list[Part] = []

    def take(self, epoch: int, part: Part) -> None:
        """Report a part of an epoch, and with the last one the epoch; raises what the run does."""
        step, run = (epoch - 1) * part.steps + part.step, self._run
        self._parts.append(part)
        run.report(step=step, loss=part.loss)
        if part.step < part.steps:
            return
        parts, self._parts = self._parts, []
        mean = sum(part.loss * part.points for part in parts) / sum(part.points for part in parts)
        if run.evaluation and epoch < self._epochs:
            run.report(step=step, epoch=epoch, loss=mean)
        else:
            score = run.score(partial(_classes, self._outputs))
            run.report(step=step, epoch=epoch, loss=mean, **{run.task.metric: score})


def fit(layout: Layout, plan: Plan, engine: Engine, run: Run) -> Training:
    """Train, and report; see `Course`."""
    training = lanes.begin(engine.lane, layout, plan, run.seed, _data(run), engine.precision)
    if (kept := run.restore()) is not None:
        training.restore(kept)
    run.keep(training.state)
    course = Course(run, engine.epochs, training.outputs)
    for epoch in range(run.completed_epochs + 1, engine.epochs + 1):
        for part in training.epoch(epoch):
            course.take(epoch, part)
    return training


def fit_together(members: Sequence[Member]) -> list[Ending]:
    """Train members of one task version, those that may be grouped in groups; each reports the very numbers that `fit` would.

    For each in turn how it ended. One that its run ends (stopped, diverged, out of time, or its reporter failed) leaves the
    others as they are. A member's time runs from when its run was made, and so counts what the others take.
    """
    found: list[Ending] = [None] * len(members)
    alike: dict[Hashable, list[int]] = {}
    for at, (layout, plan, engine, run) in enumerate(members):
        what = (groups.key(layout, plan), engine.lane, engine.precision, run.evaluation)
        alike.setdefault(what, []).append(at)
    for places in alike.values():
        first = members[places[0]]
        size = lanes.group_size(first.engine.lane, first.plan.batch_size)
        count = -(-len(places) // size)
        for turn in range(count):
            chosen = places[turn::count]  # of nearly equal numbers
            for at, ending in zip(chosen, _fit_group([members[each] for each in chosen]), strict=True):
                found[at] = ending
    return found


def _fit_group(members: Sequence[Member]) -> list[Ending]:
    """Train members of one `groups.key`, engine but for the epochs, and data."""
    layout, _, engine, first = members[0]
    plans, runs = [member.plan for member in members], [member.run for member in members]
    group = lanes.begin_group(engine.lane, layout, plans, [run.seed for run in runs], _data(first), engine.precision)
    for at, run in enumerate(runs):
        if (kept := run.restore()) is not None:
            group.restore(at, kept)
        run.keep(partial(group.state, at))
    until = [member.engine.epochs for member in members]
    courses = [Course(run, until[at], partial(group.outputs, at)) for at, run in enumerate(runs)]
    found: list[Ending] = [None] * len(members)
    done = {at: run.completed_epochs for at, run in enumerate(runs) if run.completed_epochs < until[at]}
    for at, epoch, part in groups.advance(group, done, max(until)):
        try:
            courses[at].take(epoch, part)
        except (Exception, Stopped, TookTooLong, Broken) as ending:
            found[at] = ending
        if found[at] is not None or (epoch == until[at] and part.step == part.steps):
            group.stop(at)
    return found


def _data(run: Run) -> Data:
    points, labels = run.train
    return Data(np.asarray(points), np.asarray(labels, dtype=np.int32))


def predict(training: Training, points: Numbers) -> Labels:
    """The class (N,) of the largest output at each of `points` (N, features)."""
    return _classes(training.outputs, points)


def _classes(outputs: Callable[[Numbers], Numbers], points: Numbers) -> Labels:
    found: Labels = outputs(np.asarray(points)).argmax(1)
    return found
