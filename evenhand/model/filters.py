"""The filter language of lists: `accuracy>0.9 lr<1e-3 tag:paper state:running or method:tpe`.

Conditions that stand beside each other must all hold; `or` separates such groups, of which one must hold; `-` before a condition
turns it round. A word alone is looked for in all texts of a row. What a row has is a mapping from names to values.
"""

import difflib
import math
import re
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from typing import Literal

from evenhand.errors import InvalidSettings
from evenhand.model.words import shortened

Relation = Literal[":", "=", "!=", "<", "<=", ">", ">="]
Field = str | float | bool | None | tuple[str, ...]
Fields = Mapping[str, Field]

LONGEST_FILTER = 1000  # characters
MOST_SHOWN_LETTERS = 40  # of a part that cannot be read
OR_WORD = "or"
SECONDS_OF_UNIT = {"s": 1.0, "min": 60.0, "h": 3600.0, "d": 86400.0}
PART_PATTERN = re.compile(r'(?:[^\s"]|"[^"]*")+')
CONDITION_PATTERN = re.compile(r'([^\s"<>=!:]+|"[^"]*")(<=|>=|!=|[:=<>])(.*)', re.DOTALL)
NUMBER_PATTERN = re.compile(r"([+-]?(?:\d+\.?\d*|\.\d+)(?:e[+-]?\d+)?)\s*(%|s|min|h|d)?", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Condition:
    """One condition. name: of a field; "" where a word is looked for everywhere. number: of `text`, where it is one."""

    name: str
    relation: Relation
    text: str
    number: float | None
    turned: bool = False

    def holds(self, fields: Fields) -> bool:
        """Whether it holds for a row. A row without the field, or without a value there, is not compared: nothing holds."""
        if not self.name:
            return any(self.text in text.lower() for text in _texts(fields.values())) != self.turned
        value = fields.get(self.name)
        if value is None:
            return False
        return self._compares(value) != self.turned

    def _compares(self, value: Field) -> bool:
        if isinstance(value, tuple):
            has = self.text in (text.lower() for text in value)
            return has != (self.relation == "!=")
        if isinstance(value, bool) or value is None or isinstance(value, str):
            text = _text_of(value)
            if self.relation == ":":
                return self.text in text
            return (self.text == text) != (self.relation == "!=")
        if self.number is None or math.isnan(value):
            return self.relation == "!="
        return {
            ":": value == self.number,
            "=": value == self.number,
            "!=": value != self.number,
            "<": value < self.number,
            "<=": value <= self.number,
            ">": value > self.number,
            ">=": value >= self.number,
        }[self.relation]


@dataclass(frozen=True, slots=True)
class Filter:
    """A filter as it was read. groups: of each all conditions must hold, and of the groups one; none: every row is right."""

    groups: tuple[tuple[Condition, ...], ...] = ()

    def holds(self, fields: Fields) -> bool:
        """Whether a row is right."""
        return not self.groups or any(all(condition.holds(fields) for condition in group) for group in self.groups)

    @property
    def names(self) -> frozenset[str]:
        """The fields that it asks for."""
        return frozenset(condition.name for group in self.groups for condition in group if condition.name)


def read_filter(text: str, known: Collection[str], options: Mapping[str, Collection[str]] | None = None) -> Filter:
    """A filter from its text.

    Args:
        text: as somebody typed it; an empty one lets every row through.
        known: the names of fields that rows may have.
        options: of fields with a fixed set of values, these.

    Returns:
        What the text says.

    Raises:
        InvalidSettings: a part cannot be read, or names a field that there is not; the text says which, and what there is.
    """
    if len(text) > LONGEST_FILTER:
        raise InvalidSettings(f"filter: {len(text)} characters, expected at most {LONGEST_FILTER}")
    if text.count('"') % 2:
        shown = shortened(text[text.rindex('"') :], MOST_SHOWN_LETTERS)
        raise InvalidSettings(f"filter: {shown!r} has a quotation mark without its other one")
    groups: list[list[Condition]] = [[]]
    for part in PART_PATTERN.findall(text):
        if part.lower() == OR_WORD:
            if not groups[-1]:
                raise InvalidSettings("filter: 'or' stands before nothing; expected a condition on both of its sides")
            groups.append([])
        else:
            groups[-1].append(_condition(part, known, options or {}))
    if len(groups) > 1 and not groups[-1]:
        raise InvalidSettings("filter: 'or' stands after nothing; expected a condition on both of its sides")
    return Filter(tuple(tuple(group) for group in groups if group))


def _condition(part: str, known: Collection[str], options: Mapping[str, Collection[str]]) -> Condition:
    shown = shortened(part, MOST_SHOWN_LETTERS)
    turned = part.startswith("-") and len(part) > 1
    bare = part[1:] if turned else part
    matched = CONDITION_PATTERN.fullmatch(bare)
    if matched is None:
        return Condition("", ":", _unquoted(bare).lower(), None, turned)
    typed, relation, rest = matched.groups()
    name = _name_of(_unquoted(typed), known)
    value = _unquoted(rest)
    if not value:
        raise InvalidSettings(
            f"filter: {shown!r} compares with nothing; expected a value after {relation}, as in {name}{relation}1"
        )
    number = number_of(value)
    if relation in ("<", "<=", ">", ">=") and number is None:
        raise InvalidSettings(f"filter: {shown!r} compares with {value!r}; expected a number, such as 0.9, 1e-3, 90% or 2h")
    if name in options and relation in (":", "=", "!=") and value.lower() not in options[name]:
        raise InvalidSettings(f"filter: {shown!r}: expected one of {', '.join(options[name])}")
    return Condition(name, relation, value.lower(), number, turned)  # type: ignore[arg-type]  # the pattern has these only


def _name_of(typed: str, known: Collection[str]) -> str:
    by_lower = {name.lower(): name for name in known}
    if typed in known:
        return typed
    if typed.lower() in by_lower:
        return by_lower[typed.lower()]
    near = difflib.get_close_matches(typed.lower(), by_lower, n=3)
    there = ", ".join(by_lower[name] for name in near) if near else ", ".join(sorted(known))
    how = "nearest" if near else "expected one of"
    raise InvalidSettings(
        f"filter: nothing here is called {shortened(typed, MOST_SHOWN_LETTERS)!r}; {how}: {shortened(there, 300)}. "
        'Put a text with : < > = in it in quotation marks, as in "a:b"'
    )


def number_of(text: str) -> float | None:
    """A number as it is typed: 0.9, 1e-3, 90%, and in seconds 30s, 5min, 2h, 1d; None where it is none."""
    matched = NUMBER_PATTERN.fullmatch(text.strip())
    if matched is None:
        return None
    number, unit = float(matched.group(1)), (matched.group(2) or "").lower()
    return number / 100 if unit == "%" else number * SECONDS_OF_UNIT.get(unit, 1.0)


def _unquoted(text: str) -> str:
    return text.replace('"', "")


def _text_of(value: Field) -> str:
    return str(value).lower()


def _texts(values: Iterable[Field]) -> Iterable[str]:
    for value in values:
        if isinstance(value, str):
            yield value
        elif isinstance(value, tuple):
            yield from value
