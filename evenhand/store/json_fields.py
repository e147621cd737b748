"""What a JSON column holds under a name, as a database compares it: a number, or a text.

SQLite's functions and PostgreSQL's operators are two ways of asking the same; what comes of both is tested to be the same.
"""

from dataclasses import dataclass
from typing import Any

from sqlalchemy import ColumnElement, Double, String, and_, case, cast, func, literal, null, or_, true

from evenhand.model.filters import Condition

NONE_TEXT = "none"  # what a filter calls the value None
LARGEST_NUMBER = 1.7976931348623157e308  # beyond which a number is none


@dataclass(frozen=True)
class FieldColumns:
    """A value of a row: its number, or its text in small letters; NULL in both where the row has none."""

    number: ColumnElement[Any]
    text: ColumnElement[Any]

    @property
    def is_there(self) -> ColumnElement[bool]:
        """Whether a row has a value."""
        return or_(self.number.is_not(None), self.text.is_not(None))

    def holds(self, condition: Condition) -> ColumnElement[bool]:
        """Whether a condition holds: of a row without a value none does, turned round or not. See `Condition.holds`."""
        compares = or_(
            and_(self.number.is_not(None), _compared_number(self.number, condition)),
            and_(self.text.is_not(None), _compared_text(self.text, condition)),
        )
        return and_(self.is_there, ~compares if condition.turned else compares)

    def order(self, descending: bool) -> tuple[ColumnElement[Any], ...]:
        """What rows are sorted by: those without a value last, numbers apart from texts."""
        is_text, missing = case((self.text.is_not(None), 1), else_=0), case((self.is_there, 0), else_=1)
        keys = (is_text, self.number, self.text)
        return (missing, *(key.desc() if descending else key.asc() for key in keys))


def number_field(number: ColumnElement[Any]) -> FieldColumns:
    """Of a column that holds numbers."""
    return FieldColumns(number, cast(null(), String))


def text_field(text: ColumnElement[Any]) -> FieldColumns:
    """Of a column that holds texts; an empty one is none."""
    return FieldColumns(cast(null(), Double), case((text != "", func.lower(text))))


def json_field(dialect: str, column: ColumnElement[Any], name: str) -> FieldColumns:
    """Of what a JSON column has under a name. dialect: "sqlite" or "postgresql"."""
    return _of_sqlite(column, name) if dialect == "sqlite" else _of_postgresql(column, name)


def _of_sqlite(column: ColumnElement[Any], name: str) -> FieldColumns:
    path = literal(f'$."{name}"')
    kind = case((func.json_valid(column) == 1, func.json_type(column, path)))
    value = func.json_extract(column, path)
    words = {"true": literal("true"), "false": literal("false"), "null": literal(NONE_TEXT), "text": func.lower(value)}
    text = case(*((kind == stored, shown) for stored, shown in words.items()))
    return FieldColumns(case((kind.in_(("integer", "real")), cast(value, Double))), text)


def _of_postgresql(column: ColumnElement[Any], name: str) -> FieldColumns:
    key = literal(name, String)
    kind, value = func.jsonb_typeof(cast(column, _jsonb()).op("->")(key)), cast(column, _jsonb()).op("->>")(key)
    text = case((kind.in_(("string", "boolean")), func.lower(value)), (kind == "null", literal(NONE_TEXT)))
    return FieldColumns(case((kind == "number", cast(value, Double))), text)


def _jsonb() -> Any:
    from sqlalchemy.dialects.postgresql import JSONB

    return JSONB(none_as_null=True)


def finite(value: ColumnElement[Any]) -> ColumnElement[Any]:
    """A number; NULL where it is infinite or no number."""
    return case((value.between(-LARGEST_NUMBER, LARGEST_NUMBER), value))


def contains(text: ColumnElement[Any], letters: str) -> ColumnElement[bool]:
    """Whether a text in small letters has these letters in it."""
    return text.contains(letters, autoescape=True)


def _compared_text(text: ColumnElement[Any], condition: Condition) -> ColumnElement[bool]:
    if condition.relation == ":":
        return contains(text, condition.text)
    return text != condition.text if condition.relation == "!=" else text == condition.text


def _compared_number(number: ColumnElement[Any], condition: Condition) -> ColumnElement[bool]:
    wanted = condition.number
    if wanted is None:
        return true() if condition.relation == "!=" else ~true()
    return {
        ":": number == wanted,
        "=": number == wanted,
        "!=": number != wanted,
        "<": number < wanted,
        "<=": number <= wanted,
        ">": number > wanted,
        ">=": number >= wanted,
    }[condition.relation]
