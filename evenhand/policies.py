"""How simulated participants tune: a novice, a medium and an expert one. What they do follows what the paper saw people do.

A policy is a function of the space, of what was tried so far and of a random stream, so that a bot that is started again goes on
as if it had not been stopped. Source of the three manners: "Black Magic in Deep Learning", section 3.2.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from evenhand.space import Choice, Configuration, Float, Hyperparameter, Integer, Space, Value

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
class Move:
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
) -> Move:
    """What a participant of this level tries next. limits: the range of values within which they stay, by name."""
    mind = _Mind(space, tried, rng, maximize, limits or {})
    manner: Callable[[_Mind], dict[str, Value]] = {"novice": _novice, "medium": _medium, "expert": _expert}[level]
    configuration = mind.complete(manner(mind))
    return Move(configuration, _reasons(level, space, configuration, tried[-1].configuration if tried else {}, rng))


class _Mind:
    """What a participant knows when choosing."""

    def __init__(self, space: Space, tried: Sequence[Tried], rng: np.random.Generator, maximize: bool, limits: Limits) -> None:
        self.space, self.tried, self.rng, self.limits = space, tried, rng, limits
        sign = 1.0 if maximize else -1.0
        valued = [each for each in tried if each.value is not None]
        self.best = max(valued, key=lambda each: sign * (each.value or 0.0), default=None)

    def draw(self, each: Hyperparameter) -> Value:
        """A random value of a hyperparameter, within the limits."""
        domain = each.domain
        if isinstance(domain, Choice):
            return str(self.rng.choice(np.array(domain.options)))
        low, high = self.range(each)
        unit = self.rng.uniform(domain.to_unit(low), domain.to_unit(high))
        return self.within(each, domain.from_unit(unit))

    def range(self, each: Hyperparameter) -> tuple[float, float]:
        """The values within which a number stays."""
        assert not isinstance(each.domain, Choice)
        low, high = self.limits.get(each.name, (each.domain.low, each.domain.high))
        return max(low, float(each.domain.low)), min(high, float(each.domain.high))

    def within(self, each: Hyperparameter, value: Value) -> Value:
        """A value moved into the limits; a number of few digits, as people type it."""
        if isinstance(each.domain, Choice) or isinstance(value, str):
            return value
        if isinstance(each.domain, Float) and each.domain.or_zero and value == 0:
            return value
        low, high = self.range(each)
        moved = min(max(float(value), low), high)
        return round(moved) if isinstance(each.domain, Integer) else float(f"{moved:.3g}")

    def habit(self, each: Hyperparameter, turn: int = 0) -> Value:
        """What somebody with experience sets: a habit where there is one, else the default or the middle."""
        known = [value for value in HABITS.get(each.name, ()) if _fits(each, value)]
        if known:
            return self.within(each, known[turn % len(known)])
        if each.default is not None:
            return self.within(each, each.default)
        if isinstance(each.domain, Choice):
            return each.domain.options[0]
        if each.fidelity:
            return self.within(each, self.range(each)[1])
        return self.within(each, each.domain.from_unit(0.5))

    def complete(self, wanted: Mapping[str, Value]) -> Configuration:
        """The wanted values, with defaults and draws for what became active and without what became inactive."""
        values: dict[str, Value] = {}
        for each in self.space:
            if not self.space.is_active(each, values):
                continue
            value = wanted.get(each.name, each.default)
            values[each.name] = self.within(each, self.draw(each) if value is None else value)
        return self.space.configuration(values)


def _fits(each: Hyperparameter, value: Value) -> bool:
    try:
        each.domain.accept(value)
    except (ValueError, TypeError, OverflowError):
        return False
    return True


def _novice(mind: _Mind) -> dict[str, Value]:
    """Random values, the optional ones first; later some of them are changed, seldom with regard to what went well."""
    if not mind.tried or mind.rng.random() < 0.2:
        return {each.name: mind.draw(each) for each in mind.space if each.mandatory or mind.rng.random() < 0.7}
    wanted = dict(mind.tried[-1].configuration)
    optional = [each for each in mind.space if not each.mandatory and each.name in wanted]
    mandatory = [each for each in mind.space if each.mandatory]
    count = int(mind.rng.integers(1, 4))
    for index in mind.rng.permutation(len(optional))[:count]:
        wanted[optional[index].name] = mind.draw(optional[index])
    if mandatory and (not optional or mind.rng.random() < 0.4):
        each = mandatory[int(mind.rng.integers(len(mandatory)))]
        wanted[each.name] = mind.draw(each)
    return wanted


def _medium(mind: _Mind) -> dict[str, Value]:
    """From the defaults, with a guess for what has none; then one or two things at a time, from the best so far."""
    if mind.best is None:
        return {
            each.name: mind.draw(each) if mind.rng.random() < 0.5 else mind.habit(each) for each in mind.space if each.mandatory
        }
    wanted = dict(mind.best.configuration)
    known = [each for each in mind.space if each.name in wanted]
    for index in mind.rng.permutation(len(known))[: int(mind.rng.integers(1, 3))]:
        each = known[index]
        if each.name == _rate(mind.space):
            wanted[each.name] = mind.within(each, float(wanted[each.name]) * float(mind.rng.choice(np.array(FACTORS))))
        else:
            wanted[each.name] = mind.draw(each) if mind.rng.random() < 0.6 else mind.habit(each, len(mind.tried))
    return wanted


def _expert(mind: _Mind) -> dict[str, Value]:
    """Defaults first; then the learning rate around the best one, then the optimizer's own and the other habits."""
    if mind.best is None:
        mandatory = [each for each in mind.space if each.mandatory]
        turns = mind.rng.integers(0, 3, len(mandatory)) // 2 + len(mind.tried)  # experts agree on most things, not on all
        return {each.name: mind.habit(each, int(turn)) for each, turn in zip(mandatory, turns, strict=True)}
    wanted, space = dict(mind.best.configuration), mind.space
    seen = {Configuration(dict(each.configuration)).digest for each in mind.tried}
    rate = _rate(space)
    moves: list[dict[str, Value]] = []
    if rate is not None and rate in wanted:
        bold = float(mind.rng.uniform(0.7, 1.3))
        moves += [{rate: mind.within(space[rate], float(wanted[rate]) * factor**bold)} for factor in FACTORS]
    others = [each for each in space if each.name != rate and not each.fidelity and each.name in wanted]
    own = sorted(others, key=lambda each: (each.condition is None, each.mandatory))
    later = [{each.name: mind.habit(each, turn)} for turn in range(3) for each in own]
    order = moves[:3] + later[: len(own)] + moves[3:] + later[len(own) :]
    for change in order:
        candidate = mind.complete({**wanted, **change})
        if candidate.digest not in seen:
            return dict(candidate)
    return {**wanted, **{each.name: mind.draw(each) for each in others[:2]}}


def _rate(space: Space) -> str | None:
    """The learning rate's name: the one that says so, else the first number on a log scale."""
    named = [each.name for each in space if each.name in ("learning_rate", "lr")]
    logs = [each.name for each in space if isinstance(each.domain, Float) and each.domain.log]
    return next(iter(named + logs), None)


def _reasons(
    level: Level, space: Space, chosen: Mapping[str, Value], before: Mapping[str, Value], rng: np.random.Generator
) -> dict[str, str]:
    """A reason for most values: defaults are called so by all but novices, what stayed was mostly learnt."""
    shares = REASONS[level]
    names, chances = np.array(list(shares)), np.array(list(shares.values()))
    found = {}
    for name, value in chosen.items():
        draws = rng.random(2)
        reason = str(names[np.searchsorted(np.cumsum(chances), draws[0] * chances.sum(), side="right")])
        if space[name].default == value and not (level == "novice" and draws[1] < 0.5):
            reason = "default"
        elif before.get(name) == value and draws[1] < 0.5 and level != "novice":
            reason = "learnt"
        if math.modf(draws[1] * 7)[0] < 0.85:
            found[name] = reason
    return found
