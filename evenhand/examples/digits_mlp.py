"""A task of one's own: a small network in NumPy on scikit-learn's handwritten digits. An epoch takes a few milliseconds.

evenhand tune evenhand.examples.digits_mlp:train --method random --trials 20
"""

from functools import cache, partial

import numpy as np
from numpy.typing import NDArray

from evenhand import Choice, Configuration, Float, Hyperparameter, Integer, Run, Space, Splits, task

Numbers = NDArray[np.float64]
SPACE = Space(
    [
        Hyperparameter("epochs", Integer(1, 30), default=10, help="Passes over the training images.", fidelity=True),
        Hyperparameter("batch_size", Integer(8, 256, log=True), default=32, help="Images in one step."),
        Hyperparameter("units", Integer(4, 128, log=True), default=32, help="Hidden units."),
        Hyperparameter("activation", Choice(("relu", "tanh")), default="relu", help="What the hidden units compute."),
        Hyperparameter("learning_rate", Float(1e-4, 100.0, log=True), default=0.1, help="The size of a step."),
    ]
)


@cache
def digits() -> Splits:
    """60 % of the 1,797 images for training, 20 % each for validation and test; 64 grey values from 0 to 1 each."""
    from sklearn.datasets import load_digits  # here, so that whoever only needs the space need not wait a second for it

    bunch = load_digits()
    return Splits.drawn(bunch.data / 16, bunch.target, seed=0)


@task(space=SPACE, metric="accuracy", max_epochs=30, data=digits, example=SPACE.defaults())
def train(configuration: Configuration, run: Run) -> None:
    """One hidden layer, cross entropy, plain gradient descent."""
    x, y = run.train
    rng = np.random.default_rng(run.seed)
    units, rate, size = int(configuration["units"]), configuration.number("learning_rate"), int(configuration["batch_size"])
    w1, b1 = rng.normal(0, 0.2, (x.shape[1], units)), np.zeros(units)
    w2, b2 = rng.normal(0, 0.2, (units, 10)), np.zeros(10)
    step = 0
    for epoch in range(1, int(configuration["epochs"]) + 1):
        losses = []
        for rows in np.array_split(rng.permutation(len(y)), max(1, len(y) // size)):
            hidden, slope = activate(x[rows] @ w1 + b1, str(configuration["activation"]))
            scores = hidden @ w2 + b2
            with np.errstate(all="ignore"):  # too large a rate overflows; the loss then says so
                chances = np.exp(scores - scores.max(1, keepdims=True))
                chances /= chances.sum(1, keepdims=True)
                loss = float(-np.log(chances[np.arange(len(rows)), y[rows]]).mean())
            step += 1
            losses.append(loss)
            run.report(step=step, loss=loss)
            error = (chances - np.eye(10)[y[rows]]) / len(rows)
            back = (error @ w2.T) * slope
            w2, b2 = w2 - rate * hidden.T @ error, b2 - rate * error.sum(0)
            w1, b1 = w1 - rate * x[rows].T @ back, b1 - rate * back.sum(0)
        score = run.score(partial(predict, weights=(w1, b1, w2, b2), activation=str(configuration["activation"])))
        run.report(step=step, epoch=epoch, loss=float(np.mean(losses)), accuracy=score)


def activate(values: Numbers, name: str) -> tuple[Numbers, Numbers]:
    """The hidden units' values and slopes."""
    if name == "relu":
        return np.maximum(values, 0), (values > 0).astype(float)
    return np.tanh(values), 1 - np.tanh(values) ** 2


def predict(images: Numbers, weights: tuple[Numbers, ...], activation: str) -> Numbers:
    """Scores (N, 10) of images (N, 64)."""
    w1, b1, w2, b2 = weights
    hidden, _ = activate(images @ w1 + b1, activation)
    scores: Numbers = hidden @ w2 + b2
    return scores
