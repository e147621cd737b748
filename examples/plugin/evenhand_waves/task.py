"""A task: fit polynomials to a noisy wave by gradient descent."""

from functools import partial
from typing import Any

import numpy as np

from evenhand import Choice, Configuration, Float, Hyperparameter, Integer, Run, Space, Splits, task

SPACE = Space(
    [
        Hyperparameter("epochs", Integer(1, 30), default=10, fidelity=True),
        Hyperparameter("degree", Integer(1, 9), default=3),
        Hyperparameter("learning_rate", Float(1e-3, 1, log=True), default=0.1),
        Hyperparameter("penalty", Choice(("none", "ridge")), default="none"),
    ]
)


def data() -> Splits:
    """300 points of a wave, drawn once and for all by a seed of their own."""
    rng = np.random.default_rng(7)
    x = rng.uniform(-1, 1, 300)
    return Splits.drawn(x, np.sin(3 * x) + rng.normal(0, 0.1, 300), validation=0.2, test=0.2, seed=0)


def predict(weights: Any, points: Any) -> Any:
    """What the polynomial says at points."""
    return np.polynomial.chebyshev.chebval(points, weights)


@task(space=SPACE, metric="mse", max_epochs=30, data=data)
def train(configuration: Configuration, run: Run) -> None:
    """Twenty steps of gradient descent an epoch."""
    x, y = run.train
    degree = int(configuration.number("degree"))
    features = np.polynomial.chebyshev.chebvander(x, degree)
    weights = np.random.default_rng(run.seed).normal(0, 0.1, degree + 1)
    shrink = 0.01 if configuration["penalty"] == "ridge" else 0.0
    for epoch in range(1, int(configuration.number("epochs")) + 1):
        for _ in range(20):
            slope = features.T @ (features @ weights - y) / len(y) + shrink * weights
            weights = weights - configuration.number("learning_rate") * slope
        loss = float(np.mean((features @ weights - y) ** 2))
        mse = run.score(partial(predict, weights))
        run.report(epoch=epoch, loss=loss, mse=mse)
