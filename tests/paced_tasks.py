"""Tasks for the tests of agents: the example's network at a pace that leaves time to interrupt it, and tasks that misbehave."""

import os
import time
from typing import Any

import numpy as np

from evenhand import tasks
from evenhand.model.configuration import Configuration
from evenhand.model.domain import Float, Integer
from evenhand.model.hyperparameter import Hyperparameter
from evenhand.model.rules import derive_seed
from evenhand.model.space import Space
from evenhand.model.task import TaskSpec
from evenhand.tasks import Run, task

EXAMPLE = tasks.load(TaskSpec("evenhand.examples.digits_mlp:train"))
PACE = 0.002  # seconds for one batch
LONG = Space([Hyperparameter("epochs", Integer(1, 100_000), default=2, fidelity=True), Hyperparameter("rate", Float(0, 1), 0.5)])
SHORT = Space([Hyperparameter("epochs", Integer(1, 100), default=2, fidelity=True), Hyperparameter("rate", Float(0, 1), 0.5)])


class Paced:
    """A run that takes its time with each report."""

    def __init__(self, run: Run) -> None:
        self._run = run

    def __getattr__(self, name: str) -> Any:
        return getattr(self._run, name)

    def report(self, **what: Any) -> None:
        """Report, and wait."""
        self._run.report(**what)
        time.sleep(PACE)


@task(space=EXAMPLE.space, metric="accuracy", max_epochs=30, data=EXAMPLE.data)
def digits(configuration: Configuration, run: Run) -> None:
    """The example, slower: an epoch of batches of 48 takes about 50 ms."""
    EXAMPLE.train(configuration, Paced(run))  # type: ignore[arg-type]


@task(space=LONG, metric="accuracy", max_epochs=100_000)
def steady(configuration: Configuration, run: Run) -> None:
    """An epoch of 20 ms; its score is its number times the rate. With all its epochs it trains until it is stopped."""
    for epoch in range(1, int(configuration["epochs"]) + 1):
        time.sleep(0.02)
        run.report(step=epoch, epoch=epoch, loss=1 / epoch, accuracy=epoch * configuration.number("rate"))


@task(space=SHORT, metric="accuracy", max_epochs=100)
def staged(configuration: Configuration, run: Run) -> None:
    """Epochs that take EVENHAND_TEST_PACE seconds each; its score rises with the rate and the epoch."""
    for epoch in range(1, int(configuration["epochs"]) + 1):
        time.sleep(float(os.environ.get("EVENHAND_TEST_PACE", "0")))
        run.report(epoch=epoch, accuracy=configuration.number("rate") * (1 - 0.5**epoch))
        run.report(loss=1.0)


@task(space=SHORT, metric="accuracy", max_epochs=100)
def hungry(configuration: Configuration, run: Run) -> None:
    """Asks for 64 GB."""
    np.ones(8_000_000_000)
    run.report(epoch=1, accuracy=1.0)


@task(space=SHORT, metric="accuracy", max_epochs=100)
def silent(configuration: Configuration, run: Run) -> None:
    """Says one thing and then nothing."""
    run.report(step=1, loss=1.0)
    time.sleep(600)


@task(space=SHORT, metric="accuracy", max_epochs=100)
def mistaken(configuration: Configuration, run: Run) -> None:
    """Has a bug."""
    run.report(step=1, loss=1.0)
    raise KeyError("the bug")


@task(space=SHORT, metric="accuracy", max_epochs=100)
def excessive(configuration: Configuration, run: Run) -> None:
    """Does not heed how many epochs it was asked for."""
    for epoch in range(1, 1000):
        time.sleep(0.05)
        run.report(epoch=epoch, accuracy=0.5)


@task(space=SHORT, metric="accuracy", max_epochs=100)
def fatal(configuration: Configuration, run: Run) -> None:
    """Kills its own process, as the system does where memory runs out."""
    run.report(step=1, loss=1.0)
    os.kill(os.getpid(), 9)


TRAINED = 0  # epochs that this process has trained of `summing`


@task(space=SHORT, metric="accuracy", max_epochs=100, further={"size": "minimize"})
def summing(configuration: Configuration, run: Run) -> None:
    """Adds up numbers drawn from the seed and the epoch, and keeps its sum, so that it can go on."""
    global TRAINED
    held = {"sum": 0.0}
    if (kept := run.restore()) is not None:
        held = kept
    run.keep(lambda: held)
    for epoch in range(run.completed_epochs + 1, int(configuration["epochs"]) + 1):
        drawn = float(np.random.default_rng(derive_seed(run.seed, "epoch", epoch)).random())
        held["sum"] = held["sum"] * configuration.number("rate") + drawn
        TRAINED += 1
        run.report(step=2 * epoch - 1, loss=drawn)
        run.report(step=2 * epoch, epoch=epoch, loss=drawn, accuracy=held["sum"], size=1 / epoch)


@task(space=SHORT, metric="accuracy", max_epochs=100, max_seconds=0.3)
def slow(configuration: Configuration, run: Run) -> None:
    """With a rate of 0 the first epoch takes no time; every other one lasts longer than the task's limit."""
    for epoch in range(1, int(configuration["epochs"]) + 1):
        while epoch > 1 or configuration.number("rate"):
            time.sleep(0.02)
            run.report(loss=1.0)
        run.report(epoch=epoch, accuracy=float(epoch))


@task(space=SHORT, metric="accuracy", max_epochs=100, max_seconds=0.5)
def stuck(configuration: Configuration, run: Run) -> None:
    """Says one thing and then nothing, and has a limit on time."""
    run.report(step=1, loss=1.0)
    time.sleep(600)


@task(space=SHORT, metric="accuracy", max_epochs=100, max_memory=100_000_000)
def growing(configuration: Configuration, run: Run) -> None:
    """Holds a gigabyte times its rate, and may hold 100 MB."""
    held = np.ones(int(125_000_000 * configuration.number("rate")))
    run.report(epoch=1, accuracy=float(held[:1].sum()))


@task(space=LONG, metric="accuracy", max_epochs=100_000)
def resumable(configuration: Configuration, run: Run) -> None:
    """Adds up what it draws, with five reports an epoch of 50 ms, and keeps how far it is, so that it can go on."""
    held = run.restore() or {"stream": np.random.default_rng(run.seed), "total": 0.0}
    run.keep(lambda: held)
    for epoch in range(run.completed_epochs + 1, int(configuration["epochs"]) + 1):
        for part in range(1, 6):
            time.sleep(0.01)
            held["total"] = held["total"] * configuration.number("rate") + float(held["stream"].random())
            step = 4 * (epoch - 1) + min(part, 4)
            if part < 5:
                run.report(step=step, loss=held["total"])
            else:
                run.report(step=step, epoch=epoch, accuracy=held["total"])


WAITING = Space([Hyperparameter("epochs", Integer(1, 10), default=3), Hyperparameter("waits_after", Integer(0, 50), default=0)])
GO_VARIABLE = "EVENHAND_TEST_GO"  # names the file for which `waiting` waits


@task(space=WAITING, metric="accuracy", max_epochs=10)
def waiting(configuration: Configuration, run: Run) -> None:
    """Adds up what it draws, with five reports an epoch. After so many reports it goes on only when its file is there."""
    stream, total, reports = np.random.default_rng(run.seed), 0.0, 0
    for epoch in range(1, int(configuration["epochs"]) + 1):
        for part in range(1, 6):
            total += float(stream.random())
            step = 4 * (epoch - 1) + min(part, 4)
            if part < 5:
                run.report(step=step, loss=total)
            else:
                run.report(step=step, epoch=epoch, accuracy=total)
            reports += 1
            while reports == configuration["waits_after"] and not os.path.exists(os.environ[GO_VARIABLE]):
                run.alive()
                time.sleep(0.01)
