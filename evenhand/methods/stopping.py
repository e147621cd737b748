"""Stopping rules: which running trials are not worth their remaining epochs. Any session of a method can have one.

A session records its rule as a text, `NAME` or `NAME:key=value,...`. The laboratory asks it at each epoch of each trial, in
order, within the write that stores the epoch (`lab.stopping`).
"""

import inspect
import json
import math
import traceback
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import Any, ClassVar, NamedTuple, Protocol

from evenhand.errors import EvenhandError, InvalidSettings, PluginBroken
from evenhand.model.arguments import at_commas, key_values
from evenhand.model.direction import best_of, reaches, sign_of
from evenhand.model.registry import FRAMES, Registry
from evenhand.model.trial import Measurement, Trial
from evenhand.model.words import plural, rounded

Values = Mapping[int, float]  # the validation value after each completed epoch
Given = str | Mapping[str, Any]  # a rule as somebody gives it: NAME, NAME:VALUE, NAME:key=value,... or {"name": NAME, key: value}


class Curve(Mapping[int, float]):
    """The values of a trial that has ended, whose running averages are worked out once: each later trial asks for them."""

    def __init__(self, values: Values) -> None:
        self._values = dict(values)
        self._averages: dict[int, float] = {}

    def __getitem__(self, epoch: int) -> float:
        return self._values[epoch]

    def __iter__(self) -> Iterator[int]:
        return iter(self._values)

    def __len__(self) -> int:
        return len(self._values)

    def average(self, epoch: int) -> float | None:
        """Of the values up to an epoch; None where the trial did not come as far."""
        if epoch not in self._averages and max(self._values) >= epoch:
            self._averages[epoch] = _mean([value for at, value in self._values.items() if at <= epoch])
        return self._averages.get(epoch)


class StoppingRule(Protocol):
    """Decides of one running trial, by what it is given alone: so a restart, and how quickly it trains, change nothing."""

    def why_stop(self, trial: Trial, values: Values, others: Sequence[Values]) -> str | None:
        """Why the trial is to be stopped at its newest epoch, in words; None where it may go on.

        Args:
            trial: as it stands at that epoch.
            values: its validation value after each epoch that it reported.
            others: those of the session's trials that completed or were stopped, in order.
        """


@dataclass(frozen=True)
class Percentile:
    """Stop a trial whose best value so far is worse than what the best `percent` % of the others' running averages reach.

    An average is over a trial's epochs up to the same one. `percentile:50` is the median rule.

    percent: of the others. startup: trials that must have come as far before any is stopped. warmup: epochs that every trial may
    complete.
    """

    name: ClassVar[str] = "percentile"
    maximize: bool
    percent: float = 25.0
    startup: int = 5
    warmup: int = 1

    def __post_init__(self) -> None:
        _check_counts(self.name, startup=self.startup, warmup=self.warmup)
        if not _is_finite(self.percent) or not 0 < self.percent < 100:
            raise _wrong(self.name, "percent", self.percent, "a number above 0 and below 100")

    def why_stop(self, trial: Trial, values: Values, others: Sequence[Values]) -> str | None:
        """See `StoppingRule`."""
        bound = f"what the best {self.percent:g} % reached"
        return _why_behind(self.maximize, values, others, self.percent / 100, bound, self.startup, self.warmup)


@dataclass(frozen=True)
class Median:
    """Stop a trial whose best value so far is worse than the median of the other trials' running averages at the same epoch.

    Source: Golovin et al., "Google Vizier" (2017), section 3.2.1.

    startup: trials that must have come as far before any is stopped. warmup: epochs that every trial may complete.
    """

    name: ClassVar[str] = "median"
    maximize: bool
    startup: int = 5
    warmup: int = 1

    def __post_init__(self) -> None:
        _check_counts(self.name, startup=self.startup, warmup=self.warmup)

    def why_stop(self, trial: Trial, values: Values, others: Sequence[Values]) -> str | None:
        """See `StoppingRule`."""
        return _why_behind(self.maximize, values, others, 0.5, "the median", self.startup, self.warmup)


@dataclass(frozen=True)
class Patience:
    """Stop a trial that has not become better for so many epochs. Other trials do not matter.

    epochs: since its best value. by: how much better a value must be to count as better. warmup: epochs that every trial may
    complete.
    """

    name: ClassVar[str] = "patience"
    maximize: bool
    epochs: int = 5
    by: float = 0.0
    warmup: int = 1

    def __post_init__(self) -> None:
        _check_counts(self.name, epochs=self.epochs, warmup=self.warmup)
        if not _is_finite(self.by) or self.by < 0:
            raise _wrong(self.name, "by", self.by, "a number of at least 0")

    def why_stop(self, trial: Trial, values: Values, others: Sequence[Values]) -> str | None:
        """See `StoppingRule`."""
        sign, at, epoch = sign_of(self.maximize), min(values), max(values)
        for later in sorted(values):
            if sign * values[later] - sign * values[at] > self.by:
                at = later
        if epoch <= self.warmup or epoch - at < self.epochs:
            return None
        enough = f" by more than {rounded(self.by)}" if self.by else ""
        since = f"for {plural(epoch - at, 'epoch')}"
        return f"after epoch {epoch} it had not become better{enough} than {rounded(values[at])} {since}"


@dataclass(frozen=True)
class Threshold:
    """Stop a trial that has not reached a value after some epochs. Other trials do not matter.

    value: what its best value must reach. warmup: epochs that every trial may complete.
    """

    name: ClassVar[str] = "threshold"
    maximize: bool
    value: float
    warmup: int = 1

    def __post_init__(self) -> None:
        _check_counts(self.name, warmup=self.warmup)
        if not _is_finite(self.value):
            raise _wrong(self.name, "value", self.value, "a finite number")

    def why_stop(self, trial: Trial, values: Values, others: Sequence[Values]) -> str | None:
        """See `StoppingRule`."""
        epoch, best = max(values), best_of(values.values(), self.maximize)
        if epoch <= self.warmup or best is None or reaches(best, self.value, self.maximize):
            return None
        return f"after epoch {epoch} its best value, {rounded(best)}, had not reached {rounded(self.value)}"


RULES = Registry(
    "stopping rule",
    "evenhand.stopping_rules",
    {
        "median": "evenhand.methods.stopping:Median",
        "percentile": "evenhand.methods.stopping:Percentile",
        "patience": "evenhand.methods.stopping:Patience",
        "threshold": "evenhand.methods.stopping:Threshold",
    },
)


def rule(given: Given, *, maximize: bool) -> StoppingRule:
    """The stopping rule that somebody names, or that a session records.

    Args:
        given: `NAME`, `NAME:VALUE` (its first setting), `NAME:key=value,...`, or a mapping of `name` and settings.
        maximize: whether larger values are better; what makes the rule is called with it and the settings.

    Raises:
        InvalidSettings: there is none of that name, or it does not take these settings.
        PluginBroken: it is somebody's plug-in and cannot be used.
    """
    name, settings = _read(given)
    factory = RULES.get(name)
    try:
        made: StoppingRule = factory(maximize=maximize, **settings)
    except (TypeError, ValueError) as error:
        if settings:
            raise InvalidSettings(f"stopping rule {name!r} cannot be made of {_shown(settings)}: {error}") from error
        raise RULES.broken(name, f"it cannot be made with maximize={maximize}: {error}") from error
    except EvenhandError:
        raise
    except Exception as error:
        raise RULES.broken(name, f"it cannot be made\n{traceback.format_exc(limit=FRAMES)}") from error
    if not callable(getattr(made, "why_stop", None)):
        raise RULES.broken(name, "what it makes has no `why_stop`, expected why_stop(trial, values, others)")
    return made


def recorded(given: Given, *, maximize: bool) -> str:
    """The text by which a session records a rule. Takes, and raises, what `rule` does."""
    rule(given, maximize=maximize)
    name, settings = _read(given)
    return f"{name}:{_shown(settings)}" if settings else name


class Verdict(NamedTuple):
    """What a rule makes of new measurements of a trial.

    at: of which of them it ends the trial; None where it may go on after them all. why: in words. fault: the rule raised, or
    answered what is no reason, at an epoch which therefore decided nothing.
    """

    at: int | None
    why: str = ""
    fault: PluginBroken | None = None


def first_stop(
    given: Given,
    rule: StoppingRule,
    trial: Trial,
    before: Values,
    measured: Sequence[Measurement],
    others: Sequence[Values],
    last: int | None,
) -> Verdict:
    """The first of a trial's new measurements at which a rule ends it.

    Args:
        given: what the rule is called.
        rule: is asked after each epoch with a value, in order.
        trial: that trains.
        before: what it had measured before these.
        measured: its new measurements, in order.
        others: see `StoppingRule`.
        last: the epoch at which the trial ends by itself, where that is known: it is let end.

    Returns:
        What the rule decides.
    """
    values, fault = dict(before), None
    for at, measurement in enumerate(measured):
        if measurement.epoch is None or measurement.value is None:
            continue
        values[measurement.epoch] = measurement.value
        if measurement.epoch == last:
            continue
        stands = replace(
            trial,
            value=measurement.value,
            extra=measurement.extra,
            epochs_done=measurement.epoch,
            epochs_begun=measurement.epoch - trial.epochs_before,
        )
        try:
            why = _asked(given, rule, stands, MappingProxyType(values), others)
        except PluginBroken as error:
            fault = fault or error
        else:
            if why is not None:
                return Verdict(at, why, fault)
    return Verdict(None, fault=fault)


def _asked(given: Given, rule: StoppingRule, trial: Trial, values: Values, others: Sequence[Values]) -> str | None:
    name = _read(given)[0]
    try:
        why = rule.why_stop(trial, values, others)
    except Exception as error:
        where = f"its why_stop raised at epoch {trial.epochs_done} of trial {trial.number}"
        raise RULES.broken(name, f"{where}\n{traceback.format_exc(limit=FRAMES)}") from error
    if why is not None and not isinstance(why, str):
        raise RULES.broken(name, f"its why_stop answered {why!r}, expected a text that says why, or None")
    return why


# What a rule is called, and its settings


def _read(given: Given) -> tuple[str, dict[str, Any]]:
    """The name and the settings; InvalidSettings where there is no such rule, or it does not know one of them."""
    if isinstance(given, str):
        name, colon, rest = given.partition(":")
        takes, parts = _settings_of(name), at_commas(rest)
        first = next(iter(takes or {}), "startup")
        if colon and not parts:
            fix = f"leave it out, or give {name}:{first}=VALUE"
            raise InvalidSettings(f"stopping rule {given!r}: nothing follows the colon; {fix}")
        if len(parts) == 1 and "=" not in parts[0] and takes:
            parts = [f"{first}={parts[0]}"]
        settings = key_values(f"stopping rule {name!r}: setting", parts, f"{first}=5")
    elif isinstance(given, Mapping) and isinstance(given.get("name"), str):
        settings = {str(key): value for key, value in given.items()}
        name = settings.pop("name")
        takes = _settings_of(name)
    else:
        expected = 'a text such as "median" or "patience:epochs=5"'
        raise InvalidSettings(f"stopping is {given!r}, expected {expected}, or a mapping with a name; there are {RULES.known}")
    if takes is None:
        return name, settings
    for unknown in sorted(settings.keys() - takes.keys()):
        expected = f"one of {', '.join(takes)}" if takes else "no settings"
        raise InvalidSettings(f"stopping rule {name!r}: setting {unknown!r} is unknown; expected {expected}")
    for missing in (key for key, needed in takes.items() if needed and key not in settings):
        raise InvalidSettings(f"stopping rule {name!r}: setting {missing!r} is missing; give it as {name}:{missing}=VALUE")
    return name, settings


def _settings_of(name: str) -> Mapping[str, bool] | None:
    """The settings that the rule called `name` takes, in order, and whether each must be given; None where that is not said."""
    if name not in RULES:
        raise InvalidSettings(f"stopping rule {name!r}: there is none; expected {RULES.known}")
    try:
        parameters = inspect.signature(RULES.get(name)).parameters.values()
    except (TypeError, ValueError):  # of what is not written in Python nothing is known
        return None
    if any(parameter.kind is inspect.Parameter.VAR_KEYWORD for parameter in parameters):
        return None
    named = (inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.KEYWORD_ONLY)
    return {
        parameter.name: parameter.default is parameter.empty
        for parameter in parameters
        if parameter.kind in named and parameter.name != "maximize"
    }


def _shown(settings: Mapping[str, Any]) -> str:
    """Settings as `key=value,...`, read back as they are."""
    return ",".join(f"{key}={json.dumps(value)}" for key, value in settings.items())


# Numbers


def _why_behind(
    maximize: bool, values: Values, others: Sequence[Values], share: float, bound: str, startup: int, warmup: int
) -> str | None:
    """Why a trial is worse than a share of the others' running averages, the best first; None where it is not."""
    epoch = max(values)
    if epoch <= warmup:
        return None
    curves = (other if isinstance(other, Curve) else Curve(other) for other in others)
    averages = [average for curve in curves if (average := curve.average(epoch)) is not None]
    if len(averages) < startup:
        return None
    best, goal = best_of(values.values(), maximize), _quantile(sorted(averages, reverse=maximize), share)
    if best is None or reaches(best, goal, maximize):
        return None
    return (
        f"after epoch {epoch} its best value, {rounded(best)}, was worse than {rounded(goal)}, {bound} of the running "
        f"averages of {len(averages)} trials that came as far"
    )


def _mean(values: Sequence[float]) -> float:
    """Of finite numbers of any size; between the smallest and the largest."""
    try:
        mean = math.fsum(values) / len(values)
    except OverflowError:
        mean = math.fsum(value / len(values) for value in values)
    return min(max(mean, min(values)), max(values))


def _quantile(ordered: Sequence[float], share: float) -> float:
    """What lies at a share of the way through ordered numbers, between two of them in proportion; no step overflows."""
    place = share * (len(ordered) - 1)
    first = ordered[math.floor(place)]
    second, part = ordered[math.ceil(place)], place - math.floor(place)
    return first if first == second else first * (1 - part) + second * part


def _check_counts(name: str, **counts: object) -> None:
    """InvalidSettings where a setting that counts something is no whole number above 0."""
    for key, value in counts.items():
        if type(value) is not int or value < 1:
            raise _wrong(name, key, value, "a whole number above 0")


def _is_finite(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def _wrong(name: str, key: str, value: object, expected: str) -> InvalidSettings:
    return InvalidSettings(f"stopping rule {name!r}: {key} is {value!r}, expected {expected}")
