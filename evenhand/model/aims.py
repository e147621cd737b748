"""What is wanted of a session of one's own beside its metric: further objectives, and what is required of a trial.

Both are declared when the session is opened, and recorded with its method. What people say of trials (ratings, vetoes) are
interventions. From these and from what a trial measured follows whether it can be chosen: `Judge` says so of each.
"""

import math
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import lru_cache
from typing import Any, Literal

from evenhand.errors import InvalidSettings
from evenhand.model.domain import Real, plain, show
from evenhand.model.task import Metric, TaskRecord
from evenhand.model.trial import Trial

RATING = "rating"  # what the mean of people's ratings of a trial is called among its metrics
LARGEST_MISS = 1e6  # by how much a requirement is missed at most; by so much where its metric was not reported at all
OBJECTIVE_KEY, REQUIRE_KEY = "objectives", "require"  # what a session's method records
WAYS: Mapping[str, Literal["maximize", "minimize"]] = {
    "max": "maximize", "maximize": "maximize", "min": "minimize", "minimize": "minimize",
}  # fmt: skip
BOUND_PATTERN = re.compile(r"\s*(<=|>=)\s*(\S+)\s*")
NOT_EXTRA = frozenset({"loss", "step", "epoch"})  # what `run.report` takes these for is not a metric beside the first


@dataclass(frozen=True, slots=True)
class Requirement:
    """What a metric must be for a trial to be chosen: at most, or at least, a bound."""

    metric: str
    at_most: bool
    bound: Real

    def missed_by(self, value: float | None) -> float:
        """0 where it is kept, else by what share of the bound it is missed, at most `LARGEST_MISS`."""
        if value is None:
            return 0.0 if self.metric == RATING else LARGEST_MISS  # nobody has said anything against it
        beyond = value - self.bound if self.at_most else self.bound - value
        if not beyond > 0:
            return 0.0
        share = beyond / abs(self.bound) if self.bound else beyond
        return min(max(share, 1e-12), LARGEST_MISS)

    @property
    def said(self) -> str:
        """The bound as it is declared: <= 5."""
        return f"{'<=' if self.at_most else '>='} {show(self.bound)}"

    def __str__(self) -> str:
        return f"{self.metric} {self.said}"


@dataclass(frozen=True, slots=True)
class Aims:
    """objectives: metrics in order, the first the task's; none where its metric is all. require: what a choice has to keep."""

    objectives: tuple[Metric, ...] = ()
    require: tuple[Requirement, ...] = ()


def aims_of(method: Mapping[str, Any]) -> Aims:
    """What a session's method records of its aims."""
    objectives, require = method.get(OBJECTIVE_KEY, ()), method.get(REQUIRE_KEY, {})
    return _aims(tuple(objectives), tuple(require.items())) if objectives or require else Aims()


@lru_cache(maxsize=256)
def _aims(objectives: tuple[str, ...], require: tuple[tuple[str, str], ...]) -> Aims:
    """Cached, since each read of a session asks it."""
    return Aims(tuple(map(_objective, objectives)), tuple(_requirement(*entry) for entry in require))


def names_beside(aims: Aims, metric: str) -> tuple[str, ...]:
    """The metrics beside the first that objectives and requirements name."""
    names = [*(objective.name for objective in aims.objectives), *(requirement.metric for requirement in aims.require)]
    return tuple(name for name in dict.fromkeys(names) if name != metric)


# As they are given


def recorded_objectives(task: TaskRecord, given: object) -> list[str]:
    """Objectives as a session records them: "accuracy:max".

    Args:
        task: whose metric the first one is.
        given: texts, each of a metric and its direction.

    Raises:
        InvalidSettings: they cannot be this task's objectives; the text says why.
    """
    objectives = read_objectives(given)
    first, known = objectives[0], {metric.name: metric for metric in (Metric(task.metric, task.direction), *task.further)}
    if first != known[task.metric]:
        raise InvalidSettings(
            f"objectives: the first is {_said(first)!r}, and {task.spec.short_name} is tuned by {_said(known[task.metric])!r}; "
            "put that first"
        )
    for objective in objectives[1:]:
        if known.get(objective.name, objective) != objective:
            raise InvalidSettings(
                f"objectives: {_said(objective)!r}, but the task declares {_said(known[objective.name])!r}; expected the same"
            )
        _check_extra("objectives", objective.name)
    return list(map(_said, objectives))


def read_objectives(given: object) -> list[Metric]:
    """Objectives that are given as texts; InvalidSettings where they are none."""
    if isinstance(given, str) or not isinstance(given, Sequence) or not given:
        raise InvalidSettings(
            f"objectives: got {given!r}, expected a list of texts, each a metric and its direction, such as "
            "['accuracy:max', 'latency_ms:min']"
        )
    objectives = [_objective(text) for text in given]
    names = [objective.name for objective in objectives]
    if twice := next((name for name in names if names.count(name) > 1), None):
        raise InvalidSettings(f"objectives: {twice!r} is named twice, expected each once")
    return objectives


def recorded_require(task: TaskRecord, given: object) -> dict[str, str]:
    """Requirements as a session records them, {"latency_ms": "<= 5"}; InvalidSettings where they are none."""
    if not isinstance(given, Mapping) or not given:
        raise InvalidSettings(f"require: got {given!r}, expected bounds by metric, such as {{'latency_ms': '<= 5'}}")
    requirements = [_requirement(name, bound) for name, bound in given.items()]
    for requirement in requirements:
        if requirement.metric != task.metric:
            _check_extra("require", requirement.metric)
    return {requirement.metric: requirement.said for requirement in requirements}


def _objective(text: object) -> Metric:
    name, _, way = text.rpartition(":") if isinstance(text, str) else ("", "", "")
    if not name.strip() or not name.isprintable() or way not in WAYS:
        raise InvalidSettings(f"objectives: got {text!r}, expected a metric and its direction, such as 'accuracy:max'")
    return Metric(name, WAYS[way])


def _requirement(name: object, bound: object) -> Requirement:
    matched = BOUND_PATTERN.fullmatch(bound) if isinstance(bound, str) else None
    try:
        number = float(matched.group(2)) if matched else math.nan
    except ValueError:
        number = math.nan
    if not isinstance(name, str) or not name.strip() or not name.isprintable() or matched is None or not math.isfinite(number):
        raise InvalidSettings(
            f"require: {name!r} is {bound!r}, expected a metric's name and a bound, such as {{'latency_ms': '<= 5'}} or '>= 0.8'"
        )
    return Requirement(name, matched.group(1) == "<=", number)


def _check_extra(what: str, name: str) -> None:
    if name in NOT_EXTRA:
        raise InvalidSettings(
            f"{what}: {name!r} means something else in run.report({name}=...); report it by another name, such as 'final_{name}'"
        )


def _said(metric: Metric) -> str:
    return f"{metric.name}:{metric.direction[:3]}"


# What follows for a trial


def values_of(trial: Trial, metric: str) -> dict[str, float]:
    """All that it measured at its last completed epoch, by name. metric: what its value is called."""
    return {**trial.extra, **({} if trial.value is None else {metric: trial.value})}


@dataclass(frozen=True)
class Judge:
    """Says of each trial what follows from what is required, and from what people said of it.

    metric: what its value is called. ratings: the newest of each person, by the trial's number. vetoes: who, and why.
    """

    metric: str
    require: tuple[Requirement, ...] = ()
    ratings: Mapping[int, Mapping[str, float]] = field(default_factory=dict)
    vetoes: Mapping[int, str] = field(default_factory=dict)

    @property
    def judges(self) -> bool:
        """Whether there is anything to be said of a trial."""
        return bool(self.require or self.ratings or self.vetoes)

    def __call__(self, trial: Trial) -> Trial:
        """The trial, with its rating among its metrics, by how much it misses what is required, and its veto."""
        ratings = self.ratings.get(trial.number)
        if ratings:
            trial = replace(trial, extra={**trial.extra, RATING: math.fsum(ratings.values()) / len(ratings)})
        measured = values_of(trial, self.metric)
        violation = math.fsum(requirement.missed_by(measured.get(requirement.metric)) for requirement in self.require)
        return replace(trial, violation=violation, veto=self.vetoes.get(trial.number, ""))

    def all(self, trials: Iterable[Trial]) -> list[Trial]:
        """Each of them."""
        return [self(trial) for trial in trials] if self.judges else list(trials)


def rating_of(given: object) -> float:
    """A rating: a finite number; InvalidSettings otherwise."""
    number = plain(given)
    if isinstance(number, bool) or not isinstance(number, int | float) or not math.isfinite(number):
        raise InvalidSettings(f"rating is {given!r}, expected a number, larger where the trial is better")
    return float(number)
