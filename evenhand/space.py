"""Space: what can be tuned. The one home of validity: a Configuration is made by `Space.configuration` only."""

import hashlib
import json
import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from functools import cached_property
from typing import Any, Literal

import numpy as np

from evenhand.errors import InvalidConfiguration, InvalidSpace, Problem

Value = float | int | str
ZERO_SHARE = 0.1  # the part of the unit interval that an `or_zero` domain gives to exactly zero
PRIOR_WIDTH = {"low": 0.25, "medium": 0.12, "high": 0.06}  # standard deviation, of a scale of length 1
DRAWN_DIGITS = 4  # significant digits of drawn numbers: as many as a person can read and retype


@dataclass(frozen=True)
class Float:
    """Real numbers from `low` to `high`; `log` spaces them by magnitude; `or_zero` admits exactly 0 below `low`."""

    low: float
    high: float
    log: bool = False
    or_zero: bool = False

    def __post_init__(self) -> None:
        _check_bounds(self)

    @property
    def expected(self) -> str:
        """The domain in words, for an error beside a form field."""
        zero = ", or 0" if self.or_zero else ""
        return f"a number from {show(self.low)} to {show(self.high)}{zero}"

    def accept(self, raw: object) -> float:
        """`raw` as a value of the domain; ValueError, TypeError or OverflowError where it is none."""
        value = _number(raw)
        if not (self.low <= value <= self.high or (self.or_zero and value == 0)):
            raise ValueError
        return value

    def to_unit(self, value: float) -> float:
        """Where `value` lies in [0, 1], on the domain's own scale."""
        if not self.or_zero:
            return _share(self, value)
        return 0.0 if value == 0 else ZERO_SHARE + (1 - ZERO_SHARE) * _share(self, value)

    def from_unit(self, unit: float) -> float:
        """The value at `unit` in [0, 1], to four significant digits: the inverse of `to_unit`."""
        if self.or_zero:
            if unit < ZERO_SHARE:
                return 0.0
            unit = (unit - ZERO_SHARE) / (1 - ZERO_SHARE)
        value = float(f"{_at(self, unit):.{DRAWN_DIGITS}g}")
        return min(max(value, float(self.low)), float(self.high))


@dataclass(frozen=True)
class Integer:
    """Whole numbers from `low` to `high`, both included; `log` spaces them by magnitude."""

    low: int
    high: int
    log: bool = False

    def __post_init__(self) -> None:
        _check_bounds(self)

    @property
    def expected(self) -> str:
        """The domain in words, for an error beside a form field."""
        return f"a whole number from {self.low} to {self.high}"

    def accept(self, raw: object) -> int:
        """`raw` as a value of the domain; ValueError, TypeError or OverflowError where it is none."""
        value = _number(raw)
        if value != int(value) or not self.low <= value <= self.high:
            raise ValueError
        return int(value)

    def to_unit(self, value: float) -> float:
        """Where `value` lies in [0, 1]: the middle of its cell, so that each integer has the same share of a linear scale."""
        low, high = self.low - 0.5, self.high + 0.5
        return _share(Float(low, high, self.log), value)

    def from_unit(self, unit: float) -> int:
        """The value at `unit` in [0, 1]."""
        value = round(_at(Float(self.low - 0.5, self.high + 0.5, self.log), unit))
        return min(max(value, self.low), self.high)


@dataclass(frozen=True)
class Choice:
    """One of several named options; `labels` are what people read. `ordered`: each lies between its neighbours, as sizes do."""

    options: tuple[str, ...]
    labels: tuple[str, ...] = ()
    ordered: bool = False

    def __post_init__(self) -> None:
        object.__setattr__(self, "options", tuple(self.options))
        object.__setattr__(self, "labels", tuple(self.labels) or self.options)
        if not self.options or len(set(self.options)) != len(self.options) or len(self.labels) != len(self.options):
            raise InvalidSpace(f"choice {self.options}: expected distinct options, and a label for each or none")

    @property
    def expected(self) -> str:
        """The domain in words, for an error beside a form field."""
        return f"one of {', '.join(self.labels)}"

    def accept(self, raw: object) -> str:
        """`raw` as a value of the domain; ValueError, TypeError or OverflowError where it is none."""
        if not isinstance(raw, str) or raw not in self.options:
            raise ValueError
        return raw

    def to_unit(self, value: str) -> float:
        """The middle of the option's cell in [0, 1]."""
        return (self.options.index(value) + 0.5) / len(self.options)

    def from_unit(self, unit: float) -> str:
        """The option whose cell of [0, 1] holds `unit`."""
        return self.options[min(int(unit * len(self.options)), len(self.options) - 1)]


Domain = Float | Integer | Choice


@dataclass(frozen=True)
class Condition:
    """Active only where the hyperparameter `on` is active and has one of `values`."""

    on: str
    values: tuple[Value, ...]

    def __post_init__(self) -> None:
        object.__setattr__(self, "values", tuple(self.values))


@dataclass(frozen=True)
class Prior:
    """What somebody believes about a hyperparameter: any of a likely value, whether it matters, and which direction is better.

    confidence: in all of it. important: None where nothing is said of it. better: "larger" or "smaller" values are better.
    """

    value: Value | None = None
    confidence: Literal["low", "medium", "high"] = "medium"
    important: bool | None = None
    better: Literal["larger", "smaller"] | None = None


@dataclass(frozen=True)
class Hyperparameter:
    """One dimension of a space. Without a default it is mandatory. At most one of a space is the fidelity."""

    name: str
    domain: Domain
    default: Value | None = None
    label: str = ""
    help: str = ""
    condition: Condition | None = None
    prior: Prior | None = None
    fidelity: bool = False

    def __post_init__(self) -> None:
        if not self.label:
            object.__setattr__(self, "label", self.name.replace("_", " "))
        for what, value in (("default", self.default), ("prior value", self.prior and self.prior.value)):
            if value is not None:
                try:
                    self.domain.accept(value)
                except (ValueError, TypeError, OverflowError):
                    message = f"hyperparameter {self.name!r}: {what} {value!r} is not {self.domain.expected}"
                    raise InvalidSpace(message) from None
        if self.prior and self.prior.better and isinstance(self.domain, Choice) and not self.domain.ordered:
            message = (
                f"hyperparameter {self.name!r}: {self.prior.better!r} values cannot be better, since its options have no order"
            )
            raise InvalidSpace(message)

    @property
    def mandatory(self) -> bool:
        """Whether a tuner has to give a value."""
        return self.default is None

    def show(self, value: Value) -> str:
        """A value as people read it: an option's label, 0.001, 1e-5."""
        if isinstance(self.domain, Choice) and value in self.domain.options:
            return self.domain.labels[self.domain.options.index(str(value))]
        return show(value)


class Configuration(Mapping[str, Value]):
    """A complete, valid, immutable assignment; inactive hyperparameters are absent. Made by `Space.configuration`."""

    __slots__ = ("_values",)

    def __init__(self, values: Mapping[str, Value]) -> None:
        self._values = dict(values)

    def __getitem__(self, name: str) -> Value:
        return self._values[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._values)

    def __len__(self) -> int:
        return len(self._values)

    def __hash__(self) -> int:
        return hash(frozenset(self._values.items()))

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Configuration) and self._values == other._values

    def __repr__(self) -> str:
        return f"Configuration({self._values})"

    @property
    def digest(self) -> str:
        """A stable hash: the same for equal configurations on any machine, whatever the order of their fields."""
        return digest(self._values)

    def number(self, name: str, default: float = 0.0) -> float:
        """The numeric value of `name`, or `default` where it is inactive."""
        return float(self._values.get(name, default))


@dataclass(frozen=True)
class Space:
    """Named hyperparameters, in the order in which people read them."""

    hyperparameters: tuple[Hyperparameter, ...]
    _by_name: dict[str, Hyperparameter] = field(init=False, repr=False, compare=False)

    def __init__(self, hyperparameters: Sequence[Hyperparameter]) -> None:
        object.__setattr__(self, "hyperparameters", tuple(hyperparameters))
        object.__setattr__(self, "_by_name", {each.name: each for each in self.hyperparameters})
        self._check()

    def _check(self) -> None:
        if len(self._by_name) != len(self.hyperparameters) or not self.hyperparameters:
            raise InvalidSpace(f"hyperparameters {self.names}: expected at least one, and distinct names")
        if sum(each.fidelity for each in self.hyperparameters) > 1:
            raise InvalidSpace("more than one hyperparameter is marked as fidelity; expected at most one")
        seen: set[str] = set()
        for each in self.hyperparameters:
            if each.condition:
                if each.condition.on not in seen:
                    raise InvalidSpace(
                        f"hyperparameter {each.name!r} has a condition on {each.condition.on!r}, "
                        "which is not a hyperparameter listed before it"
                    )
                self._check_condition(each, each.condition)
            seen.add(each.name)

    def _check_condition(self, dependent: Hyperparameter, condition: Condition) -> None:
        for value in condition.values:
            try:
                self._by_name[condition.on].domain.accept(value)
            except (ValueError, TypeError, OverflowError):
                expected = self._by_name[condition.on].domain.expected
                message = f"hyperparameter {dependent.name!r}: its condition's {value!r} is not {expected}"
                raise InvalidSpace(message) from None

    def __getitem__(self, name: str) -> Hyperparameter:
        return self._by_name[name]

    @cached_property
    def _hash(self) -> int:
        return hash(self.hyperparameters)

    def __hash__(self) -> int:
        return self._hash

    def __reduce__(self) -> "tuple[type[Space], tuple[tuple[Hyperparameter, ...]]]":
        return Space, (self.hyperparameters,)  # without the hash, which is another one in another process

    def __contains__(self, name: object) -> bool:
        return name in self._by_name

    def __iter__(self) -> Iterator[Hyperparameter]:
        return iter(self.hyperparameters)

    @property
    def names(self) -> tuple[str, ...]:
        """The names, in order."""
        return tuple(each.name for each in self.hyperparameters)

    @property
    def fidelity(self) -> Hyperparameter | None:
        """The hyperparameter that says how long a trial trains, if one does."""
        return next((each for each in self.hyperparameters if each.fidelity), None)

    def is_active(self, hyperparameter: Hyperparameter, values: Mapping[str, object]) -> bool:
        """Whether `hyperparameter` is active beside `values`, which hold active hyperparameters only."""
        condition = hyperparameter.condition
        return condition is None or values.get(condition.on) in condition.values

    def configuration(self, raw: Mapping[str, object]) -> Configuration:
        """The configuration that `raw` describes.

        Blank (None or "") optional values take their default. Numbers may be text. A value for an inactive
        hyperparameter is an error, as is an unknown name: neither is dropped in silence.

        Raises:
            InvalidConfiguration: with one `Problem` for every wrong field.
        """
        values: dict[str, Value] = {}
        problems: list[Problem] = []
        undecided: set[str] = set()  # wrong themselves, so whatever depends on them cannot be judged
        for each in self.hyperparameters:
            given = raw.get(each.name)
            if each.condition and each.condition.on in undecided:
                undecided.add(each.name)
            elif not self.is_active(each, values):
                if given not in (None, ""):
                    problems.append(Problem(each.name, repr(given), f"nothing, since {self._why_inactive(each)}"))
            elif given in (None, "") and each.default is not None:
                values[each.name] = each.domain.accept(each.default)
            else:
                try:
                    values[each.name] = each.domain.accept(given)
                except (ValueError, TypeError, OverflowError):
                    shown = "nothing" if given in (None, "") else repr(given)
                    problems.append(Problem(each.name, shown, each.domain.expected))
                    undecided.add(each.name)
        unknown = [name for name in raw if name not in self._by_name]
        problems += [Problem(name, repr(raw[name]), f"one of {', '.join(self.names)}") for name in unknown]
        if problems:
            raise InvalidConfiguration(problems)
        return Configuration(values)

    def _why_inactive(self, hyperparameter: Hyperparameter) -> str:
        assert hyperparameter.condition is not None
        on = self._by_name[hyperparameter.condition.on]
        return f"it applies only where {on.label} is {', '.join(on.show(v) for v in hyperparameter.condition.values)}"

    def defaults(self) -> dict[str, Value]:
        """The defaults of the optional hyperparameters."""
        return {each.name: each.default for each in self.hyperparameters if each.default is not None}

    def sample(self, rng: np.random.Generator) -> Configuration:
        """A configuration drawn uniformly on each domain's own scale.

        One number is drawn for each hyperparameter, active or not, so that a draw never shifts the next ones.
        """
        return self.at(rng.random(len(self.hyperparameters)))

    def at(self, units: Iterable[float]) -> Configuration:
        """The configuration at a point of the unit cube: one number in [0, 1] for each hyperparameter, active or not."""
        values: dict[str, Value] = {}
        for each, unit in zip(self.hyperparameters, units, strict=True):
            if self.is_active(each, values):
                values[each.name] = each.domain.from_unit(float(unit))
        return self.configuration(values)

    @property
    def digest(self) -> str:
        """A stable hash of everything that `to_json` holds."""
        return digest(self.to_json())

    def to_json(self) -> dict[str, Any]:
        """The space as plain JSON values; `Space.from_json` is its inverse."""
        return {"hyperparameters": [_hyperparameter_to_json(each) for each in self.hyperparameters]}

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> "Space":
        """The space that `to_json` wrote; InvalidSpace where it is none."""
        try:
            return cls([_hyperparameter_from_json(each) for each in data["hyperparameters"]])
        except (KeyError, TypeError) as error:
            raise InvalidSpace(f"not the JSON of a space: {error!r}; expected what Space.to_json writes") from error


def reshaped(space: Space, changes: Mapping[str, Mapping[str, Any] | None]) -> Space:
    """`space` with the domains of some hyperparameters narrowed, each within what it is: nothing becomes possible that was not.

    changes: by name, {"low": ..., "high": ...} of a number (either may be left out; "zero": false takes 0 from an `or_zero` one),
    {"options": [...]} of a choice, {"value": ...} to freeze it, or None to leave it as it is. Defaults move to what is left.

    Raises:
        InvalidSpace: naming the hyperparameter, and what it can be narrowed to.
    """
    for name in changes:
        if name not in space:
            raise InvalidSpace(f"hyperparameter {name!r}: there is none; expected one of {', '.join(space.names)}")
    made: dict[str, Hyperparameter] = {}
    for each in space:
        change = changes.get(each.name)
        narrow = each if not change else replace(each, domain=_narrowed(each, change), default=None, prior=None)
        made[each.name] = replace(
            narrow,
            default=None if each.default is None else nearest(narrow.domain, each.default),
            prior=None if each.prior is None else _moved(each.prior, narrow.domain),
            condition=each.condition and Condition(each.condition.on, _possible(made[each.condition.on], each.condition.values)),
        )
    return Space(list(made.values()))


def with_priors(space: Space, priors: Mapping[str, Prior | None]) -> Space:
    """`space` with what is believed of some of its hyperparameters; None takes a belief back. Other names are passed over."""
    return Space(
        [
            replace(each, prior=None if (prior := priors[each.name]) is None else _moved(prior, each.domain))
            if each.name in priors
            else each
            for each in space
        ]
    )


def nearest(domain: Domain, value: Value) -> Value:
    """The value of a domain that lies nearest to one that may be outside of it; an option that is not there: the first."""
    if isinstance(domain, Choice):
        return value if value in domain.options else domain.options[0]
    if isinstance(domain, Float) and domain.or_zero and value == 0:
        return 0.0
    return min(max(domain.low, float(value) if isinstance(domain, Float) else int(value)), domain.high)


def _narrowed(each: Hyperparameter, change: Mapping[str, Any]) -> Domain:
    domain = each.domain
    known = {"options", "value"} if isinstance(domain, Choice) else {"low", "high", "zero", "value"}
    if unknown := change.keys() - known:
        raise InvalidSpace(
            f"hyperparameter {each.name!r}: {sorted(unknown)[0]!r} is unknown; expected {', '.join(sorted(known))}"
        )
    try:
        if "value" in change:
            return _frozen(domain, domain.accept(change["value"]))
        if isinstance(domain, Choice):
            kept = {domain.accept(option) for option in change["options"]}
            labels = dict(zip(domain.options, domain.labels, strict=True))
            left = tuple(option for option in domain.options if option in kept)
            return replace(domain, options=left, labels=tuple(labels[option] for option in left))
        low, high = (domain.accept(change.get(end, getattr(domain, end))) for end in ("low", "high"))
        zero = isinstance(domain, Float) and domain.or_zero and change.get("zero", True) is True
        return Integer(int(low), int(high), domain.log) if isinstance(domain, Integer) else Float(low, high, domain.log, zero)
    except (ValueError, TypeError, OverflowError, KeyError):
        shown = ", ".join(f"{key} {value!r}" for key, value in change.items())
        raise InvalidSpace(f"hyperparameter {each.name!r}: {shown} is not within {domain.expected}") from None


def _frozen(domain: Domain, value: Value) -> Domain:
    if isinstance(domain, Choice):
        label = domain.labels[domain.options.index(str(value))]
        return Choice((str(value),), (label,), domain.ordered)
    return Integer(int(value), int(value)) if isinstance(domain, Integer) else Float(float(value), float(value))


def _moved(prior: Prior, domain: Domain) -> Prior:
    return prior if prior.value is None else replace(prior, value=nearest(domain, prior.value))


def _possible(parent: Hyperparameter, values: Sequence[Value]) -> tuple[Value, ...]:
    """Those of a condition's values that its parent can still have; with none, what depends on it is never active."""
    found = []
    for value in values:
        try:
            found.append(parent.domain.accept(value))
        except (ValueError, TypeError, OverflowError):
            continue
    return tuple(found)


def apart(domain: Domain, first: Value, second: Value) -> float:
    """How far two values lie apart on the domain's own scale, from 0 to 1; any two options without an order are 1 apart."""
    if isinstance(domain, Choice):
        if not domain.ordered:
            return float(first != second)
        return abs(domain.to_unit(str(first)) - domain.to_unit(str(second)))
    return abs(domain.to_unit(float(first)) - domain.to_unit(float(second)))


def keeps_to(domain: Domain, value: Value, prior: Prior) -> bool | None:
    """Whether a value keeps to what is believed likely: within two widths of it, or the option itself; None where no value is."""
    return None if prior.value is None else apart(domain, value, prior.value) <= 2 * PRIOR_WIDTH[prior.confidence]


def digest(value: object) -> str:
    """SHA-256 (hex) of a JSON value, written canonically."""
    text = json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)
    return hashlib.sha256(text.encode()).hexdigest()


def show(value: Value) -> str:
    """A value as people read and type it, without loss: 0.001 rather than 1e-03, 1e-5 rather than 1e-05, 64 not 64.0."""
    if isinstance(value, str):
        return value
    if float(value).is_integer() and abs(value) < 1e15:
        return str(int(value))
    mantissa, _, exponent = repr(float(value)).partition("e")
    return f"{mantissa}e{int(exponent)}" if exponent else mantissa


def _hyperparameter_to_json(each: Hyperparameter) -> dict[str, Any]:
    domain = {"type": type(each.domain).__name__.lower(), **asdict(each.domain)}
    if not domain.get("ordered", True):
        del domain["ordered"]  # a space without ordered choices keeps the digest that it had before there were any
    data: dict[str, Any] = {"name": each.name, "domain": domain, "label": each.label, "help": each.help}
    if each.default is not None:
        data["default"] = each.default
    if each.condition:
        data["condition"] = {"on": each.condition.on, "values": list(each.condition.values)}
    if each.prior:
        data["prior"] = {key: value for key, value in asdict(each.prior).items() if value is not None}
    if each.fidelity:
        data["fidelity"] = True
    return data


def _hyperparameter_from_json(data: Mapping[str, Any]) -> Hyperparameter:
    kinds: dict[str, type[Float | Integer | Choice]] = {"float": Float, "integer": Integer, "choice": Choice}
    domain = dict(data["domain"])
    kind = kinds[domain.pop("type")]
    rest = {key: value for key, value in data.items() if key not in ("domain", "condition", "prior")}
    condition = data.get("condition")
    prior = data.get("prior")
    return Hyperparameter(
        domain=kind(**domain),
        condition=Condition(condition["on"], tuple(condition["values"])) if condition else None,
        prior=Prior(**prior) if prior else None,
        **rest,
    )


def _check_bounds(domain: Float | Integer) -> None:
    if not (math.isfinite(domain.low) and math.isfinite(domain.high) and domain.low <= domain.high):
        raise InvalidSpace(f"domain from {domain.low} to {domain.high}: expected finite bounds, the lower one first")
    if domain.log and domain.low <= 0:
        raise InvalidSpace(f"domain from {domain.low} to {domain.high}: a log scale needs a lower bound above 0")


def _number(raw: object) -> float:
    if isinstance(raw, bool) or not isinstance(raw, int | float | str | np.integer | np.floating):
        raise TypeError
    value = float(raw.strip().replace(",", ".")) if isinstance(raw, str) else float(raw)
    if not math.isfinite(value):
        raise ValueError
    return value


def _share(domain: Float, value: float) -> float:
    if domain.low == domain.high:  # frozen
        return 0.5
    if domain.log:
        return math.log(value / domain.low) / math.log(domain.high / domain.low)
    return (value - domain.low) / (domain.high - domain.low)


def _at(domain: Float, unit: float) -> float:
    if domain.log:
        return float(domain.low * (domain.high / domain.low) ** unit)
    return domain.low + (domain.high - domain.low) * unit
