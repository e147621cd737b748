"""Space: what can be tuned. The one home of validity: a Configuration is made by `Space.configuration` only."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import cached_property
from typing import Any, Union

import numpy as np

from evenhand.errors import InvalidConfiguration, InvalidSpace, Problem
from evenhand.model import notebook_html
from evenhand.model.condition import Condition
from evenhand.model.configuration import Configuration
from evenhand.model.constraint import Constraint
from evenhand.model.digest import digest
from evenhand.model.domain import Choice, Domain, Float, Integer, Value, identity, nearest, range_words
from evenhand.model.hyperparameter import Hyperparameter, Prior

GivenSpace = Union["Space", Mapping[str, Any], Sequence[Hyperparameter]]  # what is taken as a space
MOST_DRAWS = 10_000  # of a space with constraints, until one keeps to them


class Space:
    """Named hyperparameters, in the order in which people read them. It is no dataclass, since its JSON is one of its own.

    `Space({"lr": Float(1e-5, 1e-1, log=True), "units": [32, 64, 128]})` is the short form; a list of `Hyperparameter` is the form
    with defaults, help and conditions.

    Args:
        hyperparameters: a list of them, or domains by name; see `short_domain` for what is taken as one.
        constraints: what must hold between them, as text, such as "warmup < epochs"; see `constraint`.
        is_open: whether a program defines it while it runs, so that it grows, and may be empty at first; see `open_space`.

    Raises:
        InvalidSpace: a name is there twice, a condition or constraint does not fit, or a part is not of its kind.
    """

    def __init__(
        self,
        hyperparameters: Sequence[Hyperparameter] | Mapping[str, Any],
        constraints: Sequence[str | Constraint] = (),
        is_open: bool = False,
    ) -> None:
        self._is_open = is_open
        self._hyperparameters = _listed(hyperparameters)
        if isinstance(constraints, str) or not isinstance(constraints, Sequence):
            raise InvalidSpace(f"constraints {constraints!r}: expected a list of texts, such as ['warmup < epochs']")
        self._constraints = tuple(given if isinstance(given, Constraint) else Constraint(given) for given in constraints)
        self._by_name = {hyperparameter.name: hyperparameter for hyperparameter in self._hyperparameters}
        self._asked_options: dict[object, frozenset[object]] = {}
        self._fixed: dict[Value, Space] = {}  # by the fidelity's value
        self._check()

    @classmethod
    def of(cls, given: "GivenSpace") -> "Space":
        """The space that is meant.

        Args:
            given: a space, or what one is made of.

        Returns:
            A space as it is, else the one that is made of it.

        Raises:
            InvalidSpace: no space can be made of it.
        """
        return given if isinstance(given, Space) else cls(given)

    @property
    def hyperparameters(self) -> tuple[Hyperparameter, ...]:
        """One for each dimension, in order."""
        return self._hyperparameters

    @property
    def constraints(self) -> tuple[Constraint, ...]:
        """What must hold between them."""
        return self._constraints

    @property
    def is_open(self) -> bool:
        """Whether a program defines it while it runs."""
        return self._is_open

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Space) and self._parts == other._parts

    def __repr__(self) -> str:
        constraints = f", constraints={[constraint.text for constraint in self._constraints]}" if self._constraints else ""
        return f"Space(hyperparameters={self._hyperparameters}{constraints}{', is_open=True' if self._is_open else ''})"

    def _repr_html_(self) -> str:
        """As a notebook shows it: a row a hyperparameter."""
        rows = [
            (
                hyperparameter.name,
                range_words(hyperparameter.domain),
                "log" if getattr(hyperparameter.domain, "log", False) else "",
                "" if hyperparameter.mandatory else hyperparameter.show(hyperparameter.default),
                self.when(hyperparameter),
                hyperparameter.help,
            )
            for hyperparameter in self._hyperparameters
        ]
        return notebook_html.view(
            notebook_html.title("Space", f"of {len(rows)} hyperparameter{'s' * (len(rows) != 1)}"),
            notebook_html.table(("name", "values", "scale", "default", "only where", "help"), rows),
            notebook_html.said(", ".join(constraint.text for constraint in self._constraints)),
        )

    @property
    def _parts(self) -> tuple[tuple[Hyperparameter, ...], tuple[Constraint, ...], bool]:
        return self._hyperparameters, self._constraints, self._is_open

    def _check(self) -> None:
        if len(self._by_name) != len(self.hyperparameters) or not (self.hyperparameters or self._is_open):
            raise InvalidSpace(f"hyperparameters {self.names}: expected at least one, and distinct names")
        if sum(hyperparameter.fidelity for hyperparameter in self.hyperparameters) > 1:
            raise InvalidSpace("more than one hyperparameter is marked as fidelity; expected at most one")
        seen: set[str] = set()
        for hyperparameter in self.hyperparameters:
            for part in hyperparameter.condition.parts if hyperparameter.condition else ():
                if part.on not in seen:
                    raise InvalidSpace(
                        f"hyperparameter {hyperparameter.name!r} has a condition on {part.on!r}, "
                        "which is not a hyperparameter listed before it"
                    )
                self._check_condition(hyperparameter, part)
            seen.add(hyperparameter.name)
        for constraint in self._constraints:
            constraint.check({hyperparameter.name: hyperparameter.domain for hyperparameter in self.hyperparameters})

    def _check_condition(self, dependent: Hyperparameter, part: Condition) -> None:
        domain = self._by_name[part.on].domain
        if part.has_bounds and isinstance(domain, Choice) and any(type(option) not in (int, float) for option in domain.options):
            raise InvalidSpace(
                f"hyperparameter {dependent.name!r}: its condition asks for {part.words()}, but {part.on!r} is {domain.expected}"
            )
        for value in part.values:
            try:
                domain.accept(value)
            except (ValueError, TypeError, OverflowError):
                message = f"hyperparameter {dependent.name!r}: its condition's {value!r} is not {domain.expected}"
                raise InvalidSpace(message) from None

    def __getitem__(self, name: str) -> Hyperparameter:
        return self._by_name[name]

    @cached_property
    def _hash(self) -> int:
        return hash(self._parts)

    def __hash__(self) -> int:
        return self._hash

    def __reduce__(self) -> "tuple[type[Space], tuple[tuple[Hyperparameter, ...], tuple[Constraint, ...], bool]]":
        return Space, self._parts  # without the hash, which is another one in another process

    def __contains__(self, name: object) -> bool:
        return name in self._by_name

    def __iter__(self) -> Iterator[Hyperparameter]:
        return iter(self.hyperparameters)

    @cached_property
    def names(self) -> tuple[str, ...]:
        """The names, in order."""
        return tuple(hyperparameter.name for hyperparameter in self.hyperparameters)

    @cached_property
    def fidelity(self) -> Hyperparameter | None:
        """The hyperparameter that says how long a trial trains, if one does."""
        return next((hyperparameter for hyperparameter in self.hyperparameters if hyperparameter.fidelity), None)

    def with_fidelity_fixed(self, value: Value) -> "Space":
        """What is left to tune where the fidelity has one value for all trials.

        Args:
            value: of the fidelity's domain.

        Returns:
            A space without it, its value in the constraints in its place; the same one each time.

        Raises:
            InvalidSpace: nothing is left, something depends on it, or a constraint cannot hold.
        """
        if value not in self._fixed:
            assert self.fidelity is not None
            name = self.fidelity.name
            rest = [hyperparameter for hyperparameter in self.hyperparameters if not hyperparameter.fidelity]
            constraints = [
                constraint.where(name, value) if name in constraint.names else constraint for constraint in self._constraints
            ]
            if failed := next(
                (constraint for constraint in constraints if not constraint.names and not constraint.holds({})), None
            ):
                raise InvalidSpace(f"constraint {failed.text!r} does not hold, as {name} is {value}")
            self._fixed[value] = Space(rest, constraints)
        return self._fixed[value]

    def check_tunable(self) -> None:
        """Nothing, or InvalidSpace where no task can have this space. Sessions of before may, which still have to be read.

        Raises:
            InvalidSpace: a name that cannot be shown in a line, or a fidelity that counts no epochs.
        """
        for name in self.names:
            if not name.strip() or not name.isprintable():
                raise InvalidSpace(f"hyperparameter {name!r}: expected a name that can be read, in one line")
        fidelity = self.fidelity
        if fidelity is not None and not (isinstance(fidelity.domain, Integer) and fidelity.domain.low >= 1):
            raise InvalidSpace(
                f"hyperparameter {fidelity.name!r}: as the fidelity it says for how many epochs a trial trains; expected "
                f"an Integer from 1, such as Integer(1, 20), got {fidelity.domain}"
            )

    def is_active(self, hyperparameter: Hyperparameter, values: Mapping[str, object]) -> bool:
        """Whether a hyperparameter is active.

        Args:
            hyperparameter: one of this space.
            values: those of the active hyperparameters before it, by name.

        Returns:
            Whether it has no condition, or its condition holds.
        """
        condition = hyperparameter.condition
        return condition is None or all(self._holds(part, values) for part in condition.parts)

    def _holds(self, part: Condition, values: Mapping[str, Any]) -> bool:
        if part.on not in values:
            return False
        value, domain = values[part.on], self._by_name[part.on].domain
        if part.has_bounds:
            return part.is_within(value)
        return identity(value) in self._identities(part) if isinstance(domain, Choice) else value in part.values

    def _identities(self, part: Condition) -> frozenset[object]:
        """What tells the options that a simple condition asks for from others; worked out once, since each draw asks."""
        key = (part.on, tuple(map(identity, part.values)))
        if key not in self._asked_options:
            accept = self._by_name[part.on].domain.accept
            self._asked_options[key] = frozenset(identity(accept(value)) for value in part.values)
        return self._asked_options[key]

    def configuration(self, raw: Mapping[str, object]) -> Configuration:
        """The configuration that raw values describe, completed and checked.

        A value for an inactive hyperparameter is an error, as is an unknown name: neither is dropped in silence.

        Args:
            raw: values by name, from a form, a file or a program. Numbers may be text; an optional value that is missing or
                blank (None or "") takes its default. None is no blank where it is an option.

        Returns:
            A value for each active hyperparameter.

        Raises:
            InvalidConfiguration: with one `Problem` for every wrong field, and for every constraint that does not hold.
        """
        values: dict[str, Value] = {}
        problems: list[Problem] = []
        undecided: set[str] = set()  # wrong themselves, so whatever depends on them cannot be judged
        for hyperparameter in self.hyperparameters:
            domain, is_given = hyperparameter.domain, hyperparameter.name in raw
            given = raw[hyperparameter.name] if is_given else ""
            blank = given in (None, "") and not (is_given and isinstance(domain, Choice) and domain.holds(given))
            if hyperparameter.condition and not undecided.isdisjoint(hyperparameter.condition.asked):
                undecided.add(hyperparameter.name)
            elif not self.is_active(hyperparameter, values):
                if given not in (None, ""):
                    problems.append(
                        Problem(hyperparameter.name, repr(given), f"nothing, since {self._why_inactive(hyperparameter)}")
                    )
            elif blank and not hyperparameter.mandatory:
                values[hyperparameter.name] = domain.accept(hyperparameter.default)
            else:
                try:
                    values[hyperparameter.name] = domain.accept(given)
                except (ValueError, TypeError, OverflowError):
                    problems.append(Problem(hyperparameter.name, "nothing" if blank else repr(given), domain.expected))
                    undecided.add(hyperparameter.name)
        unknown = [name for name in raw if name not in self._by_name]
        problems += [Problem(name, repr(raw[name]), f"one of {', '.join(self.names)}") for name in unknown]
        problems += [self._problem(constraint, values) for constraint in self._constraints if not constraint.holds(values)]
        if problems:
            raise InvalidConfiguration(problems)
        return Configuration(values)

    def _problem(self, constraint: Constraint, values: Mapping[str, Value]) -> Problem:
        """What to say of a constraint that does not hold: at the last of its hyperparameters, with the values of the others."""
        *others, last = [name for name in self.names if name in constraint.names]
        beside = ", ".join(f"{name} is {self._by_name[name].show(values[name])}" for name in others)
        return Problem(last, repr(values[last]), f"{constraint.text}{f' ({beside})' if beside else ''}")

    def keeps_constraints(self, values: Mapping[str, Value]) -> bool:
        """Whether every constraint holds of these values."""
        return all(constraint.holds(values) for constraint in self._constraints)

    def _why_inactive(self, hyperparameter: Hyperparameter) -> str:
        assert hyperparameter.condition is not None
        return f"it applies only where {self.when(hyperparameter)}"

    def when(self, hyperparameter: Hyperparameter) -> str:
        """When a hyperparameter with a condition is active, in words: "optimizer is adam and layers is above 1"."""
        parts = hyperparameter.condition.parts if hyperparameter.condition else ()
        return " and ".join(
            f"{parent.label} is {part.words(parent.show)}" for part in parts for parent in (self._by_name[part.on],)
        )

    def belongs_to(self, hyperparameter: Hyperparameter) -> str:
        """Under which choice it is active, as people read it: "SGD, RMSprop". Nothing where it always is."""
        parts = hyperparameter.condition.parts if hyperparameter.condition else ()
        return parts[0].words(self._by_name[parts[0].on].show) if len(parts) == 1 else self.when(hyperparameter)

    def defaults(self) -> dict[str, Value]:
        """The defaults of the optional hyperparameters."""
        return {
            hyperparameter.name: hyperparameter.default for hyperparameter in self.hyperparameters if not hyperparameter.mandatory
        }

    def sample(self, rng: np.random.Generator) -> Configuration:
        """A configuration drawn uniformly on each domain's own scale, among those that keep to the constraints.

        Args:
            rng: the stream. One number is drawn for each hyperparameter, active or not, so that a draw never shifts the next.

        Returns:
            What was drawn.

        Raises:
            InvalidSpace: none of 10,000 draws keeps to the constraints.
        """
        for _ in range(MOST_DRAWS):
            values = self._values_at(rng.random(len(self.hyperparameters)))
            if self.keeps_constraints(values):
                return self.configuration(values)
        raise self._too_narrow()

    def at(self, units: Iterable[float]) -> Configuration:
        """The configuration at a point of the unit cube.

        Args:
            units: one number in [0, 1] for each hyperparameter, active or not, in the space's order.

        Returns:
            What lies there. Where that does not keep to the constraints, one near it that does, always the same for a point.

        Raises:
            InvalidSpace: there is none among 10,000 points around it.
        """
        point = np.fromiter((float(unit) for unit in units), float)
        values = self._values_at(point)
        if self.keeps_constraints(values):
            return self.configuration(values)
        free = np.array([any(name in constraint.names for constraint in self._constraints) for name in self.names])
        around = np.random.default_rng(0)
        for attempt in range(MOST_DRAWS):
            width = 0.02 + attempt / 1000  # standard deviation: further away with each attempt
            near = np.clip(point + free * around.normal(0, width, len(point)), 0, 1)
            values = self._values_at(near)
            if self.keeps_constraints(values):
                return self.configuration(values)
        raise self._too_narrow()

    def near(self, values: Mapping[str, Value]) -> Configuration:
        """The configuration of some values, or one near them that keeps to the constraints.

        Args:
            values: a value of its domain for each active hyperparameter, by name.

        Returns:
            One that keeps to the constraints.

        Raises:
            InvalidConfiguration: a value is wrong by itself.
            InvalidSpace: as for `at`.
        """
        if self.keeps_constraints(values):
            return self.configuration(values)
        return self.at(
            hyperparameter.domain.to_unit(values[hyperparameter.name]) if hyperparameter.name in values else 0.5
            for hyperparameter in self.hyperparameters
        )

    def _values_at(self, units: Iterable[float]) -> dict[str, Value]:
        values: dict[str, Value] = {}
        for hyperparameter, unit in zip(self.hyperparameters, units, strict=True):
            if self.is_active(hyperparameter, values):
                values[hyperparameter.name] = hyperparameter.domain.from_unit(float(unit))
        return values

    def _too_narrow(self) -> InvalidSpace:
        texts = ", ".join(repr(constraint.text) for constraint in self._constraints)
        return InvalidSpace(
            f"constraints {texts}: none of {MOST_DRAWS:,} draws keeps to them; widen them, or have the function work out what "
            "follows from the other values"
        )

    @property
    def digest(self) -> str:
        """A stable hash of everything that `to_json` holds."""
        return digest(self.to_json())

    def to_json(self) -> dict[str, Any]:
        """The space as plain JSON values; `Space.from_json` is its inverse."""
        data: dict[str, Any] = {"hyperparameters": [hyperparameter.to_json() for hyperparameter in self.hyperparameters]}
        if self._constraints:
            data["constraints"] = [constraint.text for constraint in self._constraints]
        if self._is_open:
            data["open"] = True
        return data

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> "Space":
        """The space that `to_json` wrote.

        Args:
            data: plain JSON values.

        Returns:
            A space with the same digest.

        Raises:
            InvalidSpace: it is no JSON of a space.
        """
        try:
            hyperparameters = [Hyperparameter.from_json(entry) for entry in data["hyperparameters"]]
            return cls(hyperparameters, data.get("constraints", ()), data.get("open", False))
        except (KeyError, TypeError) as error:
            raise InvalidSpace(f"not the JSON of a space: {error!r}; expected what Space.to_json writes") from error


def _listed(hyperparameters: Sequence[Hyperparameter] | Mapping[str, Any]) -> tuple[Hyperparameter, ...]:
    """The hyperparameters, of whichever form of a space."""
    if isinstance(hyperparameters, Mapping):
        return tuple(Hyperparameter(name, domain) for name, domain in hyperparameters.items())
    if isinstance(hyperparameters, str) or not isinstance(hyperparameters, Iterable):
        raise InvalidSpace(f"a space of {hyperparameters!r}: expected a list of Hyperparameter, or domains by name")
    listed = tuple(hyperparameters)
    for part in listed:
        if not isinstance(part, Hyperparameter):
            raise InvalidSpace(f"a space with {part!r}: expected a Hyperparameter, or a dictionary of domains by name")
    return listed


def reshaped(space: Space, changes: Mapping[str, Mapping[str, Any] | None]) -> Space:
    """A space with some domains narrowed, each within what it is: nothing becomes possible that was not.

    Args:
        space: what is narrowed.
        changes: by name, {"low": ..., "high": ...} of a number (either may be left out; "zero": false takes 0 from an `or_zero`
            one), {"options": [...]} of a choice, {"value": ...} to freeze it, or None to leave it as it is. Beside these, "log"
            says of a number whether it lies on a logarithmic scale, and "default" what an optional one is where nothing is said.

    Returns:
        The narrowed space. Defaults and likely values moved to what is left.

    Raises:
        InvalidSpace: naming the hyperparameter, and what it can be narrowed to.
    """
    for name in changes:
        if name not in space:
            raise InvalidSpace(f"hyperparameter {name!r}: there is none; expected one of {', '.join(space.names)}")
    made: dict[str, Hyperparameter] = {}
    for hyperparameter in space:
        change = changes.get(hyperparameter.name)
        narrow = (
            hyperparameter
            if not change
            else replace(hyperparameter, domain=_narrowed(hyperparameter, change), default=None, prior=None)
        )
        made[hyperparameter.name] = replace(
            narrow,
            default=None if hyperparameter.mandatory else _default(hyperparameter, narrow.domain, change or {}),
            prior=None if hyperparameter.prior is None else _moved(hyperparameter.prior, narrow.domain),
            condition=None if hyperparameter.condition is None else _possible(hyperparameter.condition, made),
        )
    return Space(list(made.values()), space.constraints)


def with_priors(space: Space, priors: Mapping[str, Prior | None]) -> Space:
    """`space` with what is believed of some of its hyperparameters; None takes a belief back. Other names are passed over."""
    return Space(
        [
            replace(
                hyperparameter,
                prior=None if (prior := priors[hyperparameter.name]) is None else _moved(prior, hyperparameter.domain),
            )
            if hyperparameter.name in priors
            else hyperparameter
            for hyperparameter in space
        ],
        space.constraints,
    )


def _narrowed(hyperparameter: Hyperparameter, change: Mapping[str, Any]) -> Domain:
    domain = hyperparameter.domain
    known = {"options", "value"} if isinstance(domain, Choice) else {"low", "high", "zero", "value", "log"}
    known |= set() if hyperparameter.mandatory else {"default"}
    if unknown := change.keys() - known:
        raise InvalidSpace(
            f"hyperparameter {hyperparameter.name!r}: {sorted(unknown)[0]!r} is unknown; expected {', '.join(sorted(known))}"
        )
    try:
        if "value" in change:
            return _frozen(domain, domain.accept(change["value"]))
        if isinstance(domain, Choice):
            kept = {domain.index(domain.accept(option)) for option in change.get("options", domain.options)}
            left = [at for at in range(len(domain.options)) if at in kept]
            return replace(
                domain, options=tuple(domain.options[at] for at in left), labels=tuple(domain.labels[at] for at in left)
            )
        low, high = (domain.accept(change[end]) if end in change else getattr(domain, end) for end in ("low", "high"))
        zero = isinstance(domain, Float) and domain.or_zero and change.get("zero", True) is True
        log = bool(change.get("log", domain.log))
        if isinstance(domain, Integer):
            return replace(domain, low=int(low), high=int(high), log=log)
        return replace(domain, low=low, high=high, or_zero=zero, log=log)
    except (ValueError, TypeError, OverflowError, KeyError):
        shown = ", ".join(f"{key} {value!r}" for key, value in change.items())
        raise InvalidSpace(f"hyperparameter {hyperparameter.name!r}: {shown} is not within {domain.expected}") from None


def _default(hyperparameter: Hyperparameter, domain: Domain, change: Mapping[str, Any]) -> Value:
    """The default within a narrowed domain: the one that was named, or what is nearest to the one before."""
    if "default" not in change:
        return nearest(domain, hyperparameter.default)
    try:
        return domain.accept(change["default"])
    except (ValueError, TypeError, OverflowError):
        raise InvalidSpace(
            f"hyperparameter {hyperparameter.name!r}: default {change['default']!r} is not within {domain.expected}"
        ) from None


def _frozen(domain: Domain, value: Any) -> Domain:
    if isinstance(domain, Choice):
        return Choice((value,), (domain.labels[domain.index(value)],), domain.ordered)
    return Integer(value, value) if isinstance(domain, Integer) else Float(value, value)


def _moved(prior: Prior, domain: Domain) -> Prior:
    return prior if prior.value is None else replace(prior, value=nearest(domain, prior.value))


def _possible(condition: Condition, made: Mapping[str, Hyperparameter]) -> Condition:
    """A condition with those of its values that its parents can still have; with none, what depends on it is never active."""
    parts = [part if part.has_bounds else replace(part, values=_accepted(made[part.on], part.values)) for part in condition.parts]
    return replace(parts[0], also=tuple(parts[1:]))


def _accepted(parent: Hyperparameter, values: Sequence[Value]) -> tuple[Value, ...]:
    accepted = []
    for value in values:
        try:
            accepted.append(parent.domain.accept(value))
        except (ValueError, TypeError, OverflowError):
            continue
    return tuple(accepted)
