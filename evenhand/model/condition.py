"""Conditions: when a hyperparameter is active."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from evenhand.errors import InvalidSpace
from evenhand.model.domain import Value, frozen, plain, show


@dataclass(frozen=True)
class Condition:
    """Active only where the hyperparameter `on` is active and has one of `values`, or lies above or below a number.

    `Condition("optimizer", ("sgd", "rmsprop"))`, `Condition("layers", above=1)`; two that must both hold are joined by `&`.

    Attributes:
        on: the name of a hyperparameter that is listed before.
        values: of it; with none of them, and no bound either, what depends on it is never active.
        above: a number that it must be greater than.
        below: a number that it must be less than.
        also: further conditions that must hold, too.

    Raises:
        InvalidSpace: for values that are no list, bounds that are no numbers, or both.
    """

    on: str
    values: tuple[Value, ...] = ()
    above: float | None = None
    below: float | None = None
    also: "tuple[Condition, ...]" = ()

    def __post_init__(self) -> None:
        if not isinstance(self.on, str) or not self.on:
            raise InvalidSpace(f"condition on {self.on!r}: expected the name of a hyperparameter")
        if isinstance(self.values, str) or not isinstance(self.values, Sequence | np.ndarray):
            expected = f"expected a list or tuple, such as Condition({self.on!r}, ({self.values!r},))"
            raise InvalidSpace(f"condition on {self.on!r}: got {self.values!r} as its values, {expected}")
        try:
            object.__setattr__(self, "values", tuple(frozen(value) for value in self.values))
        except (TypeError, ValueError) as error:
            raise InvalidSpace(f"condition on {self.on!r}: {error}") from None
        for field in ("above", "below"):
            bound = plain(getattr(self, field))
            object.__setattr__(self, field, bound)
            if bound is not None and (isinstance(bound, bool) or not isinstance(bound, int | float)):
                raise InvalidSpace(f"condition on {self.on!r}: got {bound!r} for {field}, expected a number")
        if self.has_bounds and self.values:
            raise InvalidSpace(f"condition on {self.on!r}: got values and a bound, expected one of the two; join two by &")
        if not all(isinstance(other, Condition) for other in self.also):
            raise InvalidSpace(f"condition on {self.on!r}: got {self.also!r}, expected further conditions")
        object.__setattr__(self, "also", tuple(self.also))

    def __and__(self, other: "Condition") -> "Condition":
        return Condition(self.on, self.values, self.above, self.below, (*self.also, *other.parts))

    @property
    def has_bounds(self) -> bool:
        """Whether it asks for a number above or below another, and not for values."""
        return self.above is not None or self.below is not None

    @property
    def parts(self) -> "tuple[Condition, ...]":
        """The simple conditions that must all hold, this one first."""
        own = self if not self.also else Condition(self.on, self.values, self.above, self.below)
        return (own, *(part for other in self.also for part in other.parts))

    @property
    def asked(self) -> frozenset[str]:
        """The hyperparameters whose values decide."""
        return frozenset(part.on for part in self.parts)

    def is_within(self, number: float) -> bool:
        """Whether a number lies within the bounds."""
        return (self.above is None or number > self.above) and (self.below is None or number < self.below)

    def words(self, show_value: Callable[[Value], str] = show) -> str:
        """What it asks of `on`, in words.

        Args:
            show_value: what people read of a value.

        Returns:
            "adam, sgd" or "above 1 and below 5".
        """
        if not self.has_bounds:
            return ", ".join(map(show_value, self.values))
        bounds = (("above", self.above), ("below", self.below))
        return " and ".join(f"{word} {show(bound)}" for word, bound in bounds if bound is not None)

    def to_json(self) -> dict[str, Any]:
        """As plain JSON values."""
        data: dict[str, Any] = {"on": self.on}
        if self.has_bounds:
            data |= {name: bound for name, bound in (("above", self.above), ("below", self.below)) if bound is not None}
        else:
            data["values"] = list(self.values)
        if self.also:
            data["also"] = [other.to_json() for other in self.also]
        return data

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> "Condition":
        """The condition that `to_json` wrote."""
        also = tuple(cls.from_json(other) for other in data.get("also", ()))
        return cls(data["on"], tuple(data.get("values", ())), data.get("above"), data.get("below"), also)
