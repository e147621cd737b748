"""How simulated participants tune: a novice, a medium and an expert one. What they do follows what the paper saw people do.

A policy is a function of the space, of what was tried so far and of a random stream, so that a bot that is started again goes on
as if it had not been stopped. Source of the three manners: "Black Magic in Deep Learning", section 3.2.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from evenhand.model.configuration import Configuration
from evenhand.model.direction import sign_of
from evenhand.model.domain import Choice, Float, Integer, Value, nearest
from evenhand.model.hyperparameter import Hyperparameter
from evenhand.model.space import Space

Level = Literal["novice", "medium", "expert"]
Limits = Mapping[str, tuple[float, float]]
LEVELS: tuple[Level, ...] = ("novice", "medium", "expert")
MONTHS: Mapping[Level, tuple[int, int]] = {"novice": (0, 0), "medium": (1, 9), "expert": (10, 60)}

# What somebody with experience reaches for first, by the names that such things have.
HABITS: Mapping[str, tuple[Value, ...]] = {
    "loss": ("cross_entropy", "nll"),
    "optimizer": ("adam", "sgd", "rmsprop"),
    "activation": ("relu",),
    "batch_size": (64, 32, 128),
    "momentum": (0.9,),
    "weight_decay": (1e-4, 5e-4),
    "epsilon": (1e-8,),
    "beta1": (0.95, 0.85),
    "beta2": (0.99,),
    "alpha": (0.9,),
    "rho": (0.95,),
}
FACTORS = (0.3, 3.0, 0.1, 10.0, 0.5, 2.0)  # by which a learning rate is moved from the best one, in this order
# How often each reason of the paper's Table 3 is given where a value is not the default.
REASONS: Mapping[Level, Mapping[str, float]] = {
    "novice": {"guess": 0.7, "learnt": 0.15, "experience": 0.1, "default": 0.05},
    "medium": {"guess": 0.35, "learnt": 0.4, "experience": 0.25},
    "expert": {"guess": 0.1, "learnt": 0.45, "experience": 0.45},
}


@dataclass(frozen=True)
class Tried:
    """A trial as its tuner saw it. value: validation, None where it has none."""

    configuration: Mapping[str, Value]
    value: float | None


@dataclass(frozen=True)
class NextTrial:
    """What to try next, and a reason for each value (`guess`, `default`, `experience`, `learnt`); some have none."""

    configuration: Configuration
    reasons: Mapping[str, str]


def next_move(
    level: Level,
    space: Space,
    tried: Sequence[Tried],
    rng: np.random.Generator,
    *,
    maximize: bool = True,
    limits: Limits | None = None,
) -> NextTrial:
    """What a participant of this level tries next. limits: the range of values within which they stay, by name."""
    mind = _Mind(space, tried, rng, maximize, limits or {})
    manner: Callable[[_Mind], dict[str, Value]] = {"novice": _novice, "medium": _medium, "expert": _expert}[level]
    configuration = mind.complete(manner(mind))
    return NextTrial(configuration, _reasons(level, space, configuration, tried[-1].configuration if tried else {}, rng))


class _Mind:
    """What a participant knows when choosing."""

    def __init__(self, space: Space, tried: Sequence[Tried], rng: np.random.Generator, maximize: bool, limits: Limits) -> None:
        self.space, self.tried, self.rng, self.limits = space, tried, rng, limits
        sign = sign_of(maximize)
        valued = [trial for trial in tried if trial.value is not None]
        self.best = max(valued, key=lambda trial: sign * (trial.value or 0.0), default=None)

    def draw(self, hyperparameter: Hyperparameter) -> Value:
        """A random value of a hyperparameter, within the limits."""
        domain = hyperparameter.domain
        if isinstance(domain, Choice):
            return domain.options[int(self.rng.integers(len(domain.options)))]
        low, high = self.range(hyperparameter)
        unit = self.rng.uniform(domain.to_unit(low), domain.to_unit(high))
        return self.within(hyperparameter, domain.from_unit(unit))

    def range(self, hyperparameter: Hyperparameter) -> tuple[float, float]:
        """The values within which a number stays."""
        assert not isinstance(hyperparameter.domain, Choice)
        low, high = self.limits.get(hyperparameter.name, (hyperparameter.domain.low, hyperparameter.domain.high))
        return max(low, float(hyperparameter.domain.low)), min(high, float(hyperparameter.domain.high))

    def within(self, hyperparameter: Hyperparameter, value: Value) -> Value:
        """A value moved into the limits; a number of few digits, as people type it."""
        if isinstance(hyperparameter.domain, Choice):
            return value
        if isinstance(hyperparameter.domain, Float) and hyperparameter.domain.or_zero and value == 0:
            return value
        low, high = self.range(hyperparameter)
        moved = min(max(float(value), low), high)
        if hyperparameter.domain.step not in (None, 1):
            return nearest(hyperparameter.domain, moved)
        return round(moved) if isinstance(hyperparameter.domain, Integer) else float(f"{moved:.3g}")

    def habit(self, hyperparameter: Hyperparameter, turn: int = 0) -> Value:
        """What somebody with experience sets: a habit where there is one, else the default or the middle."""
        known = [value for value in HABITS.get(hyperparameter.name, ()) if _fits(hyperparameter, value)]
        if known:
            return self.within(hyperparameter, known[turn % len(known)])
        if not hyperparameter.mandatory:
            return self.within(hyperparameter, hyperparameter.default)
        if isinstance(hyperparameter.domain, Choice):
            return hyperparameter.domain.options[0]
        if hyperparameter.fidelity:
            return self.within(hyperparameter, self.range(hyperparameter)[1])
        return self.within(hyperparameter, hyperparameter.domain.from_unit(0.5))

    def complete(self, wanted: Mapping[str, Value]) -> Configuration:
        """The wanted values, with defaults and draws for what became active and without what became inactive."""
        values: dict[str, Value] = {}
        for hyperparameter in self.space:
            if not self.space.is_active(hyperparameter, values):
                continue
            if hyperparameter.name in wanted:
                value = wanted[hyperparameter.name]
            else:
                value = self.draw(hyperparameter) if hyperparameter.mandatory else hyperparameter.default
            values[hyperparameter.name] = self.within(hyperparameter, value)
        return self.space.near(values)


def _fits(hyperparameter: Hyperparameter, value: Value) -> bool:
    try:
        hyperparameter.domain.accept(value)
    except (ValueError, TypeError, OverflowError):
        return False
    return True


def _novice(mind: _Mind) -> dict[str, Value]:
    """Random values, the optional ones first; later some of them are changed, seldom with regard to what went well."""
    if not mind.tried or mind.rng.random() < 0.2:
        return {
            hyperparameter.name: mind.draw(hyperparameter)
            for hyperparameter in mind.space
            if hyperparameter.mandatory or mind.rng.random() < 0.7
        }
    wanted = dict(mind.tried[-1].configuration)
    optional = [hyperparameter for hyperparameter in mind.space if not hyperparameter.mandatory and hyperparameter.name in wanted]
    mandatory = [hyperparameter for hyperparameter in mind.space if hyperparameter.mandatory]
    count = int(mind.rng.integers(1, 4))
    for index in mind.rng.permutation(len(optional))[:count]:
        wanted[optional[index].name] = mind.draw(optional[index])
    if mandatory and (not optional or mind.rng.random() < 0.4):
        chosen = mandatory[int(mind.rng.integers(len(mandatory)))]
        wanted[chosen.name] = mind.draw(chosen)
    return wanted


def _medium(mind: _Mind) -> dict[str, Value]:
    """From the defaults, with a guess for what has none; then one or two things at a time, from the best so far."""
    if mind.best is None:
        return {
            hyperparameter.name: mind.draw(hyperparameter) if mind.rng.random() < 0.5 else mind.habit(hyperparameter)
            for hyperparameter in mind.space
            if hyperparameter.mandatory
        }
    wanted = dict(mind.best.configuration)
    known = [hyperparameter for hyperparameter in mind.space if hyperparameter.name in wanted]
    for index in mind.rng.permutation(len(known))[: int(mind.rng.integers(1, 3))]:
        chosen = known[index]
        if chosen.name == _rate(mind.space):
            wanted[chosen.name] = mind.within(chosen, float(wanted[chosen.name]) * float(mind.rng.choice(np.array(FACTORS))))
        else:
            wanted[chosen.name] = mind.draw(chosen) if mind.rng.random() < 0.6 else mind.habit(chosen, len(mind.tried))
    return wanted


def _expert(mind: _Mind) -> dict[str, Value]:
    """Defaults first; then the learning rate around the best one, then the optimizer's own and the other habits."""
    if mind.best is None:
        mandatory = [hyperparameter for hyperparameter in mind.space if hyperparameter.mandatory]
        turns = mind.rng.integers(0, 3, len(mandatory)) // 2 + len(mind.tried)  # experts agree on most things, not on all
        return {
            hyperparameter.name: mind.habit(hyperparameter, int(turn))
            for hyperparameter, turn in zip(mandatory, turns, strict=True)
        }
    wanted, space = dict(mind.best.configuration), mind.space
    seen = {Configuration(dict(trial.configuration)).digest for trial in mind.tried}
    rate = _rate(space)
    moves: list[dict[str, Value]] = []
    if rate is not None and rate in wanted:
        bold = float(mind.rng.uniform(0.7, 1.3))
        moves += [{rate: mind.within(space[rate], float(wanted[rate]) * factor**bold)} for factor in FACTORS]
    others = [
        hyperparameter
        for hyperparameter in space
        if hyperparameter.name != rate and not hyperparameter.fidelity and hyperparameter.name in wanted
    ]
    own = sorted(others, key=lambda hyperparameter: (hyperparameter.condition is None, hyperparameter.mandatory))
    later = [{hyperparameter.name: mind.habit(hyperparameter, turn)} for turn in range(3) for hyperparameter in own]
    order = moves[:3] + later[: len(own)] + moves[3:] + later[len(own) :]
    for change in order:
        configuration = mind.complete({**wanted, **change})
        if configuration.digest not in seen:
            return dict(configuration)
    return {**wanted, **{hyperparameter.name: mind.draw(hyperparameter) for hyperparameter in others[:2]}}


def _rate(space: Space) -> str | None:
    """The learning rate's name: the one that says so, else the first number on a log scale."""
    named = [hyperparameter.name for hyperparameter in space if hyperparameter.name in ("learning_rate", "lr")]
    logs = [
        hyperparameter.name for hyperparameter in space if isinstance(hyperparameter.domain, Float) and hyperparameter.domain.log
    ]
    return next(iter(named + logs), None)


def _reasons(
    level: Level, space: Space, chosen: Mapping[str, Value], before: Mapping[str, Value], rng: np.random.Generator
) -> dict[str, str]:
    """A reason for most values: defaults are called so by all but novices, what stayed was mostly learnt."""
    shares = REASONS[level]
    names, chances = np.array(list(shares)), np.array(list(shares.values()))
    reasons = {}
    for name, value in chosen.items():
        draws = rng.random(2)
        reason = str(names[np.searchsorted(np.cumsum(chances), draws[0] * chances.sum(), side="right")])
        if space[name].default == value and not (level == "novice" and draws[1] < 0.5):
            reason = "default"
        elif before.get(name) == value and draws[1] < 0.5 and level != "novice":
            reason = "learnt"
        if math.modf(draws[1] * 7)[0] < 0.85:
            reasons[name] = reason
    return reasons
