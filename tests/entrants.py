"""Sessions for comparisons whose numbers are known beforehand."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from evenhand.analysis.anytime import Comparison, Kind, Scale, SessionEntry
from evenhand.model.condition import Condition
from evenhand.model.domain import Choice as Options
from evenhand.model.domain import Float, Integer
from evenhand.model.evaluation import Evaluation, SeedScore
from evenhand.model.hyperparameter import Hyperparameter
from evenhand.model.session import FinalChoice, Session
from evenhand.model.space import Space
from evenhand.model.study import Budget
from evenhand.model.task import TaskRecord, TaskSpec
from evenhand.model.trial import Outcome, Trial

SPACE = Space(
    [
        Hyperparameter("epochs", Integer(1, 9), fidelity=True),
        Hyperparameter("optimizer", Options(("adam", "sgd"))),
        Hyperparameter("rate", Float(1e-4, 1, log=True), 0.01),
        Hyperparameter("momentum", Float(0, 1), 0.0, condition=Condition("optimizer", ("sgd",))),
    ]
)
ENDINGS = {"invalid": Outcome.INVALID, "failed": Outcome.FAILED, "stopped": Outcome.STOPPED}
Ending = float | str | None  # of a trial: its value; "invalid" or "failed"; None: diverged


def record(name: str, metric: str = "accuracy", minimize: bool = False) -> TaskRecord:
    """A task; its version is made of its name."""
    return TaskRecord(TaskSpec(name), f"v-{name}", SPACE, metric, "minimize" if minimize else "maximize", 9, id=1)


def entry(
    contestant: str,
    values: Sequence[Ending],
    task: str = "toy",
    seed: int = 0,
    *,
    kind: Kind = "method",
    budget: Budget | None = None,
    tests: Sequence[float | None] = (),
    settings: Mapping[str, Any] | None = None,
    chose: bool = True,
    made: TaskRecord | None = None,
) -> SessionEntry:
    """A session whose trials train three epochs each, for nine seconds after one second of thinking, one after the other."""
    made = made or record(task)
    trials = tuple(trial(number, value) for number, value in enumerate(values, 1))
    configuration = trials[-1].configuration if trials else None
    end = 10.0 * len(trials)
    session = Session(
        id=1,
        study_id=1,
        task=made,
        kind="participant" if kind == "person" else "method",
        tuner=contestant,
        budget=budget or Budget(trials=len(values)),
        tuning_seed=seed,
        opened_at=0.0,
        started_at=0.0,
        trials=trials,
        choice=FinalChoice(end, configuration, trials[-1].id if trials else None) if chose else None,
    )
    scored = tuple(SeedScore(i, i, Outcome.DIVERGED if v is None else Outcome.COMPLETED, v) for i, v in enumerate(tests))
    evaluation = Evaluation(1, made.metric, scored) if tests else None
    return SessionEntry(task, contestant, kind, seed, session, evaluation, settings or {})


def trial(number: int, value: Ending) -> Trial:
    """A trial that ended at ten seconds times its number."""
    outcome = ENDINGS[value] if isinstance(value, str) else Outcome.DIVERGED if value is None else Outcome.COMPLETED
    return Trial(
        id=number,
        session_id=1,
        number=number,
        configuration=SPACE.configuration({"epochs": 3, "optimizer": "adam", "rate": 0.1 / number}),
        proposer="x",
        submitted_at=10.0 * number - 9,
        epochs_planned=3,
        claimed_at=10.0 * number - 9,
        finished_at=10.0 * number,
        outcome=outcome,
        value=value if isinstance(value, float) else None,
        epochs_done=3 if isinstance(value, float) else 0,
        epochs_begun=3 if isinstance(value, float) else 1,
    )


def field(contestants: int, tasks: int, seeds: int, trials: int, seed: int = 1, people: int = 0) -> Comparison:
    """Random search among contestants of different luck (later names are worse), with test scores; the same for the same seed."""
    rng = np.random.default_rng(seed)
    entries = []
    for number in range(contestants):
        kind: Kind = "person" if number < people else "method"
        name = f"P-{number + 1:02}" if kind == "person" else f"method-{number + 1:02}"
        for task in range(tasks):
            made = record(f"task-{task:02}", "error" if task % 2 else "accuracy", minimize=bool(task % 2))
            for repeat in range(seeds):
                luck = rng.beta(2, 2 + 0.3 * number, trials) * (0.6 + 0.03 * task)
                values: list[Ending] = [float(1 - draw) if task % 2 else float(draw) for draw in luck]
                values[int(rng.integers(trials))] = rng.choice(["invalid", "stopped", "failed"]) if trials > 2 else values[0]
                scores = rng.normal(0.5, 0.02, 10).tolist()
                entries.append(entry(name, values, made.spec.name, repeat, kind=kind, tests=scores, made=made))
    return Comparison(tuple(entries))


def shuffled(comparison: Comparison, seed: int) -> Comparison:
    """The same entries in another order."""
    order = np.random.default_rng(seed).permutation(len(comparison.entries))
    return replace(comparison, entries=tuple(comparison.entries[i] for i in order))


def scaled(entries: Sequence[SessionEntry], best: float | None = 1.0, reference: float | None = 0.0) -> Comparison:
    """Entries of one task with a scale."""
    return Comparison(tuple(entries), {entries[0].task: Scale(best, reference)})
