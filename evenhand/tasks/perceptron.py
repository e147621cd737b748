"""The training loop of multilayer perceptrons, for points that lie in memory, in whatever lane."""

from dataclasses import dataclass

import numpy as np

from evenhand import lanes
from evenhand.lanes.base import Data, Layout, Part, Plan, Training
from evenhand.tasks.mixtures import Labels, Numbers
from evenhand.tasks.run import Run


@dataclass(frozen=True)
class Engine:
    """What trains: the lane by name, its precision, and for how many epochs."""

    lane: str
    precision: str
    epochs: int


def fit(layout: Layout, plan: Plan, engine: Engine, run: Run) -> Training:
    """Train; reports the loss of each part of an epoch, and after each epoch its mean and the score.

    An evaluation is scored after its last epoch only, so that test data is looked at once.
    """
    points, labels = run.train
    data = Data(np.asarray(points), np.asarray(labels, dtype=np.int32))
    training = lanes.begin(engine.lane, layout, plan, run.seed, data, engine.precision)
    if (kept := run.restore()) is not None:
        training.restore(kept)
    run.keep(training.state)
    for epoch in range(run.completed_epochs + 1, engine.epochs + 1):
        step, mean = _one_epoch(training, epoch, run)
        if run.evaluation and epoch < engine.epochs:
            run.report(step=step, epoch=epoch, loss=mean)
        else:
            score = run.score(lambda x: predict(training, x))
            run.report(step=step, epoch=epoch, loss=mean, **{run.task.metric: score})
    return training


def _one_epoch(training: Training, epoch: int, run: Run) -> tuple[int, float]:
    """The number of steps so far, and the mean loss over the epoch's points."""
    parts: list[Part] = []
    for part in training.epoch(epoch):
        parts.append(part)
        run.report(step=(epoch - 1) * part.steps + part.step, loss=part.loss)
    return epoch * parts[-1].step, sum(part.loss * part.points for part in parts) / sum(part.points for part in parts)


def predict(training: Training, points: Numbers) -> Labels:
    """The class (N,) of the largest output at each of `points` (N, features)."""
    found: Labels = training.outputs(np.asarray(points)).argmax(1)
    return found
