"""The practice task: softmax regression on scikit-learn's digits, slow enough to be watched.

It shows how the pages work and tells nothing of a study's own task: other data, another model, other hyperparameters.
"""

import time
from collections.abc import Mapping
from functools import partial
from typing import Any

import numpy as np

from evenhand.errors import InvalidSettings
from evenhand.model.configuration import Configuration
from evenhand.model.domain import Float, Integer
from evenhand.model.hyperparameter import Hyperparameter
from evenhand.model.space import Space
from evenhand.tasks import versions
from evenhand.tasks.base import Task
from evenhand.tasks.run import Run
from evenhand.tasks.splits import Splits, unsalted

NAME = "practice"
REVISION = 1  # raised when its numbers change; tests/golden holds it to that
PACE_SECONDS = 0.03  # seconds a batch takes at least: about 0.7 s an epoch
BATCH_SIZE = 48
SPACE = Space(
    [
        Hyperparameter("passes", Integer(1, 10), 5, label="Passes", help="How often it goes through the data.", fidelity=True),
        Hyperparameter("step_size", Float(1e-4, 10, log=True), 0.01, label="Step size", help="How far each step goes."),
        Hyperparameter("carry_over", Float(0, 0.95), 0.0, label="Carry-over", help="How much of the last step is taken again."),
    ]
)  # fmt: skip
Numbers = np.ndarray[Any, np.dtype[np.float64]]


def load(settings: Mapping[str, Any]) -> Task:
    """The task; it has no settings."""
    if settings:
        raise InvalidSettings(f"task {NAME!r}: got the settings {', '.join(settings)}, expected none")
    return Task(
        name=NAME,
        version=versions.of_built_in(NAME, REVISION, {}, SPACE.digest, "digits of scikit-learn"),
        space=SPACE,
        metric="accuracy",
        direction="maximize",
        max_epochs=10,
        train=_train,
        data=digits,
        example=SPACE.defaults(),
    )


def digits() -> Splits:
    """60 % for training, 20 % each for validation and test; 64 grey values from 0 to 1 each."""
    from sklearn.datasets import load_digits  # here, so that whoever only needs the space need not wait a second for it

    bunch = load_digits()
    return unsalted(bunch.data / 16, bunch.target, 1)


def _train(configuration: Configuration, run: Run) -> None:
    """Cross entropy, gradient descent with momentum."""
    x, y = run.train
    rng = np.random.default_rng(run.seed)
    weights, moved = np.zeros((x.shape[1], 10)), np.zeros((x.shape[1], 10))
    rate, momentum = configuration.number("step_size"), configuration.number("carry_over")
    step = 0
    for epoch in range(1, int(configuration["passes"]) + 1):
        losses = []
        for rows in np.array_split(rng.permutation(len(y)), max(1, len(y) // BATCH_SIZE)):
            begun = time.monotonic()
            chances = _chances(x[rows], weights)
            with np.errstate(divide="ignore"):
                losses.append(float(-np.log(chances[np.arange(len(rows)), y[rows]]).mean()))
            moved = momentum * moved - rate * x[rows].T @ (chances - np.eye(10)[y[rows]]) / len(rows)
            weights = weights + moved
            step += 1
            run.report(step=step, loss=losses[-1])
            time.sleep(max(0.0, PACE_SECONDS - (time.monotonic() - begun)))
        score = run.score(partial(_chances, weights=weights))
        run.report(step=step, epoch=epoch, loss=float(np.mean(losses)), accuracy=score)


def _chances(images: Numbers, weights: Numbers) -> Numbers:
    scores = images @ weights
    powers = np.exp(scores - scores.max(1, keepdims=True))
    chances: Numbers = powers / powers.sum(1, keepdims=True)
    return chances
