"""CPU milliseconds that a method thinks about one suggestion, after so many trials of a session.

    python -m benchmarks.suggestions [--trials 30 100 300 1000] [--methods random tpe ...] [--most 20]

15 hyperparameters (ten numbers, three of them on a logarithmic scale; three choices; two numbers that are active for one option
only) and completed trials drawn at random. Each method goes on from trial to trial as in a session, so that what it keeps of
trials that have ended is kept; five suggestions are timed at each number, and their median is told. A method that took longer
than `--most` seconds is not asked at larger numbers. On one thread; two minutes in all.
"""

import argparse
import os
import platform
import statistics
import time

import numpy as np

from evenhand import methods
from evenhand.model.condition import Condition
from evenhand.model.domain import Choice, Float, Integer
from evenhand.model.hyperparameter import Hyperparameter
from evenhand.model.space import Space
from evenhand.model.trial import Outcome, Trial
from evenhand.model.trial_history import Trials
from evenhand.tasks import machine

METHODS = ("random", "sobol", "evolution", "cmaes", "tpe", "gp", "pibo")
TIMED_SUGGESTIONS = 5


def space() -> Space:
    """The 15 hyperparameters."""
    numbers = [Hyperparameter(f"x{i}", Float(0, 1)) for i in range(7)]
    scaled = [Hyperparameter(f"rate{i}", Float(1e-5, 1, log=True)) for i in range(2)]
    choices = [Hyperparameter(f"c{i}", Choice(("a", "b", "c"))) for i in range(3)]
    conditional = [Hyperparameter(f"only{i}", Float(0, 1), condition=Condition(f"c{i}", ("a",))) for i in range(2)]
    return Space([*numbers, *scaled, *choices, *conditional, Hyperparameter("units", Integer(4, 128, log=True))])


def completed(where: Space, count: int) -> list[Trial]:
    """Trials with values, the same at each call."""
    rng = np.random.default_rng(0)
    trials = []
    for number in range(1, count + 1):
        configuration = where.sample(rng)
        value = -abs(configuration.number("x0") - 0.3) + float(rng.normal(0, 0.05))
        trials.append(
            Trial(
                number,
                1,
                number,
                configuration,
                "x",
                number,
                1,
                claimed_at=number,
                finished_at=number + 0.5,
                value=value,
                outcome=Outcome.COMPLETED,
                epochs_done=1,
                epochs_begun=1,
            )
        )
    return trials


def measured(name: str, where: Space, numbers: list[int], most: float) -> dict[int, float]:
    """Milliseconds a suggestion after each number of trials; without those that would take too long."""
    method = methods.method(name, maximize=True)
    history, past = completed(where, max(numbers) + TIMED_SUGGESTIONS), Trials([])
    milliseconds: dict[int, float] = {}
    for number in numbers:
        spent = []
        for after in range(number, number + TIMED_SUGGESTIONS):
            past = past.then(history[past.settled : after])
            begun = time.process_time()
            method.suggest(where, past, 1, np.random.default_rng(after))
            spent.append(1000 * (time.process_time() - begun))
        milliseconds[number] = statistics.median(spent)
        if milliseconds[number] > 1000 * most:
            break
    return milliseconds


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--trials", type=int, nargs="+", default=[30, 100, 300, 1000])
    parser.add_argument("--methods", nargs="+", default=list(METHODS))
    parser.add_argument("--most", type=float, default=20.0, help="seconds")
    options = parser.parse_args()
    numbers = sorted(options.trials)
    print(f"{machine.model()}, {os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}; Python {platform.python_version()}")
    print(f"| method | {' | '.join(f'after {number} trials' for number in numbers)} |")
    print("|" + " --- |" * (len(numbers) + 1))
    for name in options.methods:
        milliseconds = measured(name, space(), numbers, options.most)
        print(
            f"| {name} | {' | '.join(f'{milliseconds[n]:.1f} ms' if n in milliseconds else 'not measured' for n in numbers)} |",
            flush=True,
        )


if __name__ == "__main__":
    main()
