"""Where trainings were done: how many in each environment, and what scores came out there.

Numbers of different kinds of machine are not the same bit for bit, so a study that takes any machine tells them apart.
"""

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from evenhand.analysis import summaries
from evenhand.analysis.cohort import counted
from evenhand.analysis.study_items import Cohort
from evenhand.analysis.summaries import Summary
from evenhand.model.direction import best_of, value_of
from evenhand.model.evaluation import Evaluation
from evenhand.model.session import Session


@dataclass(frozen=True)
class TrainedThere:
    """What was trained in one environment; `key` is None where none was recorded. What was never begun is in none."""

    key: str | None
    trials: int
    seeds: int


@dataclass(frozen=True)
class Stratum:
    """Participants' scores of one environment. validation: over participants, of the best value of their trials there; test: over
    participants, of the mean of their evaluation seeds there.
    """

    key: str | None
    trials: int
    seeds: int
    validation: Summary
    test: Summary


def where_trained(sessions: Iterable[Session], evaluations: Mapping[int, Evaluation]) -> tuple[TrainedThere, ...]:
    """How much was trained in each environment, the most first; what was not recorded comes last."""
    sessions = list(sessions)
    trials = Counter(trial.environment for session in sessions for trial in counted(session))
    mine = [evaluations[session.id] for session in sessions if session.id in evaluations]
    seeds = Counter(score.environment for evaluation in mine for score in evaluation.scores if score.outcome is not None)
    environments = [TrainedThere(key, trials[key], seeds[key]) for key in {*trials, *seeds}]
    return tuple(
        sorted(
            environments,
            key=lambda environment: (environment.key is None, -environment.trials, -environment.seeds, environment.key or ""),
        )
    )


def strata(people: Cohort, evaluations: Mapping[int, Evaluation]) -> tuple[Stratum, ...]:
    """The scores of those in the statistics, by environment, in the order of `where_trained`."""
    sessions = [member.session for member in people.members]
    rows = []
    for environment in where_trained(sessions, evaluations):
        bests = [_best(session, environment.key, people.maximize) for session in sessions]
        tests = [_test(evaluations.get(session.id), environment.key) for session in sessions]
        rows.append(
            Stratum(environment.key, environment.trials, environment.seeds, summaries.summary(bests), summaries.summary(tests))
        )
    return tuple(rows)


def _best(session: Session, key: str | None, maximize: bool) -> float | None:
    return best_of((value_of(trial) for trial in counted(session) if trial.environment == key), maximize)


def _test(evaluation: Evaluation | None, key: str | None) -> float | None:
    there = [score for score in evaluation.scores if score.environment == key] if evaluation is not None else []
    return summaries.mean([score.value for score in there if score.value is not None])
