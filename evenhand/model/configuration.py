"""Configuration: a complete, valid, immutable assignment of values to the active hyperparameters of a space."""

from collections.abc import Iterable, Mapping
from typing import Any, NoReturn

from evenhand.model.digest import digest
from evenhand.model.domain import Value, frozen, identity

PLAIN_TYPES = frozenset({float, int, str, bool, tuple, type(None)})  # of values that are kept as they are


class Configuration(dict[str, Value]):
    """Values by name; inactive hyperparameters are absent. It is made by `Space.configuration`, and never changes.

    It is a dictionary that refuses to be written to: `json.dumps`, `**` and `|` take it, and `dict(configuration)` or
    `configuration.copy()` is one of its values that can be changed. Two are equal where their values and the types of these are.

    Args:
        values: the value of each active hyperparameter, by its name.
        further: values by name, too.
    """

    __slots__ = ()

    def __init__(self, values: Mapping[str, Any] | Iterable[tuple[str, Any]] = (), **further: Any) -> None:
        super().__init__(values, **further)
        if not PLAIN_TYPES.issuperset(map(type, self.values())):  # lists of JSON, say
            for name, value in self.items():
                if isinstance(value, list):
                    dict.__setitem__(self, name, frozen(value))

    def __hash__(self) -> int:  # type: ignore[override]  # a dictionary has none, since it changes
        return hash(frozenset(self.items()))

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Configuration):
            return dict.__eq__(self, other) if isinstance(other, dict) else NotImplemented
        if self is other:
            return True
        if not dict.__eq__(self, other):  # which takes 1, 1.0 and True for the same
            return False
        counterparts = [other[name] for name in self]
        types = list(map(type, self.values()))
        if types != list(map(type, counterparts)):
            return False
        return tuple not in types or list(map(identity, self.values())) == list(map(identity, counterparts))

    def __ne__(self, other: object) -> bool:
        equal = self.__eq__(other)
        return equal if equal is NotImplemented else not equal

    def __repr__(self) -> str:
        return f"Configuration({dict(self)})"

    def __copy__(self) -> "Configuration":
        return self

    def __deepcopy__(self, memo: object) -> "Configuration":
        return self

    def __reduce__(self) -> "tuple[type[Configuration], tuple[dict[str, Value]]]":
        return Configuration, (dict(self),)

    @property
    def digest(self) -> str:
        """A stable hash: the same for equal configurations on any machine, whatever the order of their fields."""
        return digest(self)

    def number(self, name: str, default: float = 0.0) -> float:
        """A value as a number.

        Args:
            name: the hyperparameter.
            default: what it counts as where it is inactive.

        Returns:
            Its value, or `default`.
        """
        return float(self.get(name, default))

    def _refuse(self, *_: Any, **__: Any) -> NoReturn:
        raise TypeError("a Configuration never changes; change dict(configuration), which is a copy of its values")

    __setitem__ = __delitem__ = update = pop = popitem = clear = setdefault = __ior__ = _refuse
