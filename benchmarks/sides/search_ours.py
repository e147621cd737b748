"""The paper's search on data set #10, by a list of configurations.

`--way server`: as a study's page starts it, by a server on this machine and its agent with a slot a core. `--way tune`: one
`evenhand.tune`, which trains in this process, a trial a core. With `--halving yes` successive halving (ASHA) takes the same
configurations, from one epoch up to the most of the space.
"""

import argparse
import json
import os
import tempfile
import time
from collections import Counter
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

import evenhand
from benchmarks.given import CONFIGURATIONS_FILE
from benchmarks.served import served
from benchmarks.sides.sampling import every
from evenhand import tasks
from evenhand.methods import Suggestion
from evenhand.methods.fidelity import ASHA, Ladder, without_epochs
from evenhand.model import rules
from evenhand.model.session import Session, State
from evenhand.model.space import Space
from evenhand.model.study import Budget
from evenhand.model.task import TaskSpec
from evenhand.model.trial import Trial
from evenhand.tasks import Task

LOOK_SECONDS = 0.5  # seconds
RUNGS = 4  # at most so many trials come of a configuration


@dataclass(frozen=True)
class ListedASHA(ASHA):
    """ASHA whose new configurations are not drawn, but come from a list; the session ends when none is left to promote."""

    name: ClassVar[str] = "listed-asha"
    path: str = ""
    count: int = 0

    def suggest(self, space: Space, trials: Sequence[Trial], n: int, rng: np.random.Generator) -> list[Suggestion]:
        """The next promotion, or else the next configuration of the list."""
        ladder = Ladder.of(space, trials, self.eta, self.smallest, self.maximize)
        begun = sum(trial.resumes is None for trial in trials)
        with suppress(_Ended):
            suggestion = self._one(ladder, trials, (), lambda epochs, _: self._listed(space, begun, epochs))
            return [] if suggestion is None else [suggestion]
        return []

    def _listed(self, space: Space, number: int, epochs: int) -> Suggestion:
        if number >= self.count:
            raise _Ended
        values = {**_listed(self.path, self.count)[number], "epochs": epochs}
        return Suggestion(space.configuration(values), f"configuration {number + 1} of a list of {self.count}")


class _Ended(Exception):
    """The list is at its end, and nothing can be promoted now."""


@lru_cache
def _listed(path: str, count: int) -> list[dict[str, Any]]:
    return every(json.loads(Path(path).read_text()), count)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--given", required=True)
    parser.add_argument("--configurations", type=int, required=True, help="how many of the 500, at equal distances")
    parser.add_argument("--halving", choices=("yes", "no"), default="no")
    parser.add_argument("--eta", type=int, default=3, help="of the halving: one in so many goes on, for so many times the epochs")
    parser.add_argument("--way", choices=("server", "tune"), default="server")
    parser.add_argument("--scale", type=float, default=1.0)
    options = parser.parse_args()
    path, halving = str(Path(options.given, CONFIGURATIONS_FILE)), options.halving == "yes"
    task = tasks.load(TaskSpec("mlp", {"scale": options.scale, "least_epochs": 1 if halving else 10}))
    method: dict[str, Any] = {"name": "manual", "configurations": _listed(path, options.configurations)}
    if halving:
        method = {
            "name": f"{Path(__file__).resolve()}:{ListedASHA.__name__}",
            "path": path,
            "count": options.configurations,
            "eta": options.eta,
        }
    trials = options.configurations * (RUNGS if halving else 1)
    session, cores = (_served if options.way == "server" else _tuned)(task, method, trials)
    print(json.dumps({**_told(session), "cores": cores}))


def _served(task: Task, method: dict[str, Any], trials: int) -> tuple[Session, int]:
    """The session at its end, and how many trained at once."""
    slots = os.cpu_count() or 1
    budget = Budget(trials=trials, parallel=slots)
    with served(task, method, budget, slots=slots) as server:
        while (view := server.lab.view(server.session_id)).state in (State.WAITING, State.TUNING, State.CHOOSING):
            time.sleep(LOOK_SECONDS)
        return view.session, slots


def _tuned(task: Task, method: dict[str, Any], trials: int) -> tuple[Session, int]:
    with tempfile.TemporaryDirectory() as folder:
        database = f"sqlite:///{Path(folder, 'lab.sqlite')}"
        settings = {"method" if key == "name" else key: value for key, value in method.items()}
        cores = os.cpu_count() or 1
        result = evenhand.tune(task, **settings, trials=trials, parallel=cores, evaluate=False, progress=False, db=database)
        return result.session, cores


def _told(session: Session) -> dict[str, object]:
    best, trials = rules.best_trial(session), session.trials
    return {
        "configurations": len({without_epochs(session.space, trial.configuration) for trial in trials}),
        "trials": len(trials),
        "outcomes": Counter(str(trial.outcome) for trial in trials),
        "epochs": sum(_own_epochs(trial, trials) for trial in trials),
        "best dev error, %": None if best is None or best.value is None else 100 * (1 - best.value),
        "best": None if best is None else dict(best.configuration),
    }


def _own_epochs(trial: Trial, trials: Sequence[Trial]) -> int:
    before = 0 if trial.resumes is None else trials[trial.resumes - 1].epochs_done
    return trial.epochs_done - before


if __name__ == "__main__":
    main()
