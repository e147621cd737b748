"""Synthetic archives whose numbers are known beforehand: people with months, trials with values, choices, seeds, reasons."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from evenhand.model.archive import Archive
from evenhand.model.condition import Condition
from evenhand.model.domain import Choice as Options
from evenhand.model.domain import Float, Integer, Value
from evenhand.model.evaluation import Evaluation, SeedScore
from evenhand.model.hyperparameter import Hyperparameter
from evenhand.model.participant import Participant
from evenhand.model.session import FinalChoice, Session
from evenhand.model.space import Space
from evenhand.model.study import Budget, Mode, Study, Text
from evenhand.model.task import TaskRecord, TaskSpec
from evenhand.model.trial import Outcome, Trial

SPACE = Space(
    [
        Hyperparameter("epochs", Integer(1, 100), fidelity=True),
        Hyperparameter("optimizer", Options(("adam", "sgd"))),
        Hyperparameter("rate", Float(1e-4, 1, log=True), 0.01),
        Hyperparameter("momentum", Float(0, 1), 0.0, condition=Condition("optimizer", ("sgd",))),
    ]
)
TASK = TaskRecord(TaskSpec("toy"), "1", SPACE, "accuracy", "maximize", 100, id=1)
STUDY = Study("toy", "Toy", 1, Budget(trials=20), 7, Text("consent"), Text("details"), Text("thanks"), id=1)


@dataclass(frozen=True)
class Person:
    """What a person did. values: of each trial; None: diverged. changed: each trial's fields beside the defaults.

    reasons: of each trial, by hyperparameter. tests: one value a seed; empty: not evaluated. rest: further fields of Participant.
    """

    months: float | None = 0
    values: Sequence[float | None] = ()
    tests: Sequence[float | None] = ()
    changed: Sequence[Mapping[str, Value]] = ()
    reasons: Sequence[Mapping[str, str]] = ()
    chose: bool = True
    automatic: bool = False
    mode: Mode = "live"
    answers: Mapping[str, Any] = field(default_factory=dict)
    rest: Mapping[str, Any] = field(default_factory=dict)


def archive(
    people: Sequence[Person], study: Study = STUDY, task: TaskRecord = TASK, random: Sequence[float | None] = ()
) -> Archive:
    """The archive of these people, and of a session of the method `random` with these values where there are any."""
    participants = tuple(_participant(number, person) for number, person in enumerate(people, 1))
    sessions = [_session(number, person, task) for number, person in enumerate(people, 1)]
    if random:
        method = _session(len(people) + 1, Person(values=random, chose=False), task)
        trials = tuple(replace(trial, proposer="random") for trial in method.trials)
        alone = replace(method, kind="method", tuner="random", method={"name": "random"}, participant_id=None, trials=trials)
        sessions.append(alone)
    evaluations = {number: _evaluation(number, person.tests) for number, person in enumerate(people, 1) if person.tests}
    return Archive(study, (study,), (task,), participants, tuple(sessions), evaluations)


def many(n: int, seed: int) -> Archive:
    """`n` people with 0 to 20 months, 1 to 9 trials and three seeds each; the same for the same seed."""
    rng = np.random.default_rng(seed)
    people = [
        Person(int(rng.integers(0, 21)), rng.random(int(rng.integers(1, 10))).tolist(), rng.random(3).tolist()) for _ in range(n)
    ]
    return archive(people, random=rng.random(20).tolist())


def _participant(number: int, described: Person) -> Participant:
    answers = {**({} if described.months is None else {"background.months": described.months}), **described.answers}
    person = Participant(
        number,
        1,
        f"P-{number:02}",
        0.0,
        described.mode,
        consented_at=0.0,
        session_id=number,
        answered=("background",),
        answers=answers,
    )
    return replace(person, **described.rest)


def _session(number: int, person: Person, task: TaskRecord) -> Session:
    trials = tuple(_trial(number, index, person, task) for index in range(1, len(person.values) + 1))
    choice = FinalChoice(1000.0, trials[-1].configuration, trials[-1].id, person.automatic) if person.chose and trials else None
    return Session(
        number,
        1,
        task,
        "participant",
        f"P-{number:02}",
        Budget(trials=20),
        7,
        0.0,
        started_at=0.0,
        participant_id=number,
        mode=person.mode,
        trials=trials,
        choice=choice,
    )


def _trial(session: int, index: int, person: Person, task: TaskRecord) -> Trial:
    changed = person.changed[index - 1] if index <= len(person.changed) else {}
    value = person.values[index - 1]
    return Trial(
        id=100 * session + index,
        session_id=session,
        number=index,
        configuration=task.space.configuration({"epochs": 10, "optimizer": "adam", **changed}),
        proposer=f"P-{session:02}",
        submitted_at=10.0 * index,
        epochs_planned=10,
        reasons=person.reasons[index - 1] if index <= len(person.reasons) else {},
        claimed_at=10.0 * index,
        finished_at=10.0 * index + 9,
        outcome=Outcome.DIVERGED if value is None else Outcome.COMPLETED,
        value=value,
        epochs_done=10,
        epochs_begun=10,
    )


def _evaluation(session: int, tests: Sequence[float | None]) -> Evaluation:
    scores = (SeedScore(i, i, Outcome.DIVERGED if v is None else Outcome.COMPLETED, v) for i, v in enumerate(tests))
    return Evaluation(session, "accuracy", tuple(scores))
