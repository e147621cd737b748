"""Tables of a TOML file that are asked for typed values, and note what is wrong, missing or unknown where it stands."""

import math
from collections.abc import Collection, Iterator, Mapping
from typing import Any, TypeVar

from evenhand.model.study import Text
from evenhand.model.toml_lines import Key, TomlSource, did_you_mean, said

T = TypeVar("T")


class TomlTable:
    """One table of a file. Each question returns a usable value, whatever the file holds; mistakes are noted in the source."""

    def __init__(self, source: TomlSource, key: Key, data: Mapping[str, Any]) -> None:
        self.source, self.key, self._data = source, key, data
        self.name = ".".join(part for part in key if isinstance(part, str))
        self._asked: set[str] = set()

    def __contains__(self, name: str) -> bool:
        return name in self._data

    def note(self, name: str, given: object, expected: str, fix: str, warning: bool = False) -> None:
        """Note a mistake at one of this table's keys."""
        self.source.note((*self.key, name), given, expected, fix, "warning" if warning else "error")

    def missing(self, name: str, expected: str, fix: str) -> None:
        """Note that a key is missing, unless it stands in a line that could not be read, which is noted already."""
        if name not in self.source.unread:
            self.note(name, said("nothing"), expected, fix)

    def raw(self, name: str) -> Any:
        """The value as it stands; None where there is none."""
        self._asked.add(name)
        return self._data.get(name)

    def text(self, name: str, default: str | None = None) -> str:
        """A string; with no default, it has to be there."""
        return self._typed(name, str, default, "", 'text in "quotation marks"')

    def filled(self, name: str) -> str:
        """A string that has to be there and says something."""
        value = self.text(name)
        if not value.strip() and isinstance(self.raw(name), str):
            self.note(name, value, "a text", "write it between the quotation marks")
        return value

    def flag(self, name: str, default: bool) -> bool:
        """true or false."""
        return self._typed(name, bool, default, default, "true or false")

    def _typed(self, name: str, kind: type[T], default: T | None, nothing: T, expected: str) -> T:
        value = self.raw(name)
        if value is None:
            if default is None:
                self.missing(name, expected, f"add {name} = ...")
            return nothing if default is None else default
        if not isinstance(value, kind):
            self.note(name, value, expected, "write it so")
            return nothing if default is None else default
        return value

    def number(
        self, name: str, default: float | None = None, *, low: float | None = None, high: float | None = None, whole: bool = False
    ) -> float | None:
        """A number from `low` to `high`; None (and a mistake, where it was given) for anything else."""
        value = self.raw(name)
        if value is None:
            return default
        expected = f"a {'whole ' if whole else ''}number{_between(low, high)}"
        usable = isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
        inside = usable and (low is None or value >= low) and (high is None or value <= high)
        if not inside or (whole and value != int(value)):
            self.note(name, value, expected, "change it, or leave the line out" if default is not None else "change it")
            return default
        return int(value) if whole else float(value)

    def whole(self, name: str, default: int, *, low: int | None = None, high: int | None = None) -> int:
        """A whole number from `low` to `high`."""
        number = self.number(name, default, low=low, high=high, whole=True)
        return default if number is None else int(number)

    def choice(self, name: str, options: Collection[str], default: str | None = None) -> str:
        """One of several words."""
        value = self.raw(name)
        listed = ", ".join(options)
        if value is None and default is not None:
            return default
        if value is None:
            self.missing(name, f"one of {listed}", f"add {name} = ...")
        elif value not in options:
            self.note(name, value, f"one of {listed}", did_you_mean(str(value), list(options)) + "choose one of them")
            return default if default is not None else next(iter(options))
        return str(value) if value is not None else next(iter(options))

    def texts(self, name: str, default: tuple[str, ...] = ()) -> tuple[str, ...]:
        """A list of strings."""
        value = self.raw(name)
        if value is None:
            return default
        if not isinstance(value, list) or not all(isinstance(item, str) for item in value):
            self.note(name, value, 'a list such as ["en", "de"]', "write it so")
            return default
        return tuple(value)

    def numbers(self, name: str, default: tuple[float, ...] = ()) -> tuple[float, ...]:
        """A list of numbers."""
        value = self.raw(name)
        if value is None:
            return default
        if not isinstance(value, list) or not all(isinstance(item, int | float) and not isinstance(item, bool) for item in value):
            self.note(name, value, "a list such as [0.25, 0.5]", "write it so")
            return default
        return tuple(float(item) for item in value)

    def words(self, name: str, languages: tuple[str, ...], required: bool = True) -> Text | None:
        """A short text: a string, or one by language, as { en = "Yes", de = "Ja" }. None where it is missing and need not be."""
        value = self.raw(name)
        if value is None:
            if required:
                self.missing(name, "a text", f'add {name} = "..."')
            return Text("") if required else None
        if isinstance(value, str):
            return Text(value)
        if isinstance(value, Mapping) and value and all(isinstance(text, str) for text in value.values()):
            if languages[0] not in value:
                self.note(name, value, f"the text in {languages[0]!r}, the study's first language", f"add {languages[0]} = ...")
            first = value.get(languages[0], next(iter(value.values())))
            return Text(first, {language: text for language, text in value.items() if language != languages[0]})
        self.note(name, value, 'a text, or one by language as { en = "Yes", de = "Ja" }', "write it so")
        return Text("")

    def table(self, name: str, required: bool = False) -> "TomlTable":
        """A table within this one; an empty one where it is missing."""
        value = self.raw(name)
        if value is None and required:
            self.missing(name, "a table", f"add [{'.'.join(map(str, (*self.key, name)))}]")
        if value is not None and not isinstance(value, Mapping):
            self.note(name, value, "a table", f"write [{name}] on a line of its own, and its keys below")
        return TomlTable(self.source, (*self.key, name), value if isinstance(value, Mapping) else {})

    def tables(self, name: str) -> list["TomlTable"]:
        """A list of tables, each under its own [[...]]."""
        value = self.raw(name)
        if value is None:
            return []
        if not isinstance(value, list) or not all(isinstance(entry, Mapping) for entry in value):
            header = ".".join(part for part in (*self.key, name) if isinstance(part, str))
            self.note(name, value, "a list of tables", f"write [[{header}]] above each")
            return []
        return [TomlTable(self.source, (*self.key, name, place), entry) for place, entry in enumerate(value)]

    def named(self) -> Iterator[tuple[str, "TomlTable"]]:
        """The tables within this one, by their names, which the file chooses."""
        for name in self._data:
            table = self.table(name)
            table.name = f"{self.name}.NAME"
            yield name, table

    def done(self) -> None:
        """Say that all keys were asked for: the others are unknown."""
        self.source.known.setdefault(self.name, set()).update(self._asked)
        self.source.unknown += [((*self.key, name), self.name) for name in self._data if name not in self._asked]


def _between(low: float | None, high: float | None) -> str:
    if low is not None and high is not None:
        return f" from {low:g} to {high:g}"
    return f" from {low:g}" if low is not None else f" up to {high:g}" if high is not None else ""
