"""Numbers as people and spreadsheets write them: decimal commas, thousands, units, percent signs, and what stands for no value.

A column is read as a whole. What could be two numbers is refused with its line, never guessed.
"""

import math
import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from decimal import Decimal as Exact
from typing import Literal, NoReturn

import numpy as np
from numpy.typing import NDArray

from evenhand.errors import DataError

Decimal = Literal[".", ","]
DECIMALS: tuple[Decimal, ...] = (".", ",")
EXCEL_ERRORS = frozenset(
    {"#n/a", "#div/0!", "#value!", "#ref!", "#name?", "#num!", "#null!", "#spill!", "#calc!"}
    | {"#nv", "#n/v", "#wert!", "#bezug!", "#zahl!", "#valeur!", "#nom?", "#nombre!"}  # in German, French and Spanish
)
# In lower case: what stands for no value. "none" does so in a column of numbers only, since it is the name of many a class.
MISSING = EXCEL_ERRORS | {"", "na", "n/a", "n.a.", "nan", "null", "nil", "<na>", "nat", "?", "-", "--", "\u2013", "\u2014", "."}
NONE = "none"
CURRENCIES = ("€", "$", "£", "¥", "EUR", "USD", "GBP", "CHF", "JPY")
UNITS = (
    *("%", "‰", "pp"),
    *("°", "°C", "°F"),
    *("km", "cm", "mm", "µm", "μm", "nm", "mi", "ft", "yd", "px"),
    *("m²", "m2", "m³", "m3", "km²", "km2", "cm²", "cm2", "ha"),
    *("kg", "mg", "µg", "μg", "lb", "lbs", "oz"),
    *("ml", "mL", "dl", "cl"),
    *("ms", "sec", "min", "hr", "hrs", "hours", "days", "years", "yrs"),
    *("km/h", "mph", "m/s", "bpm"),
    *("mV", "kV", "mA", "kW", "MW", "Wh", "kWh", "kJ", "MJ", "cal", "kcal", "Ω", "Hz", "kHz", "MHz", "GHz"),
    *("Pa", "hPa", "kPa", "bar", "mbar", "psi", "mmHg"),
    *("mg/dl", "mg/dL", "g/l", "g/L", "mmol/l", "mmol/L"),
    *("kB", "KB", "MB", "GB", "TB"),
)
LETTERS = "gtmshdlLVAWJNKCF"  # units after a space only: 1A is a name
LEAST_DIGITS_OF_INFINITY = 309  # of a whole number beyond what a float can hold
SHOWN = 3  # things that an error names at most
_MARKS = " \u00a0\u2009\u202f'’"  # that set thousands apart, beside the other decimal mark
_SIGN = r"[+\-\u2212]?"


def _pattern(decimal: str, other: str) -> re.Pattern[str]:
    whole = rf"[1-9][0-9]{{0,2}}(?P<mark>[{re.escape(other)}{_MARKS}])[0-9]{{3}}(?:(?P=mark)[0-9]{{3}})*|[0-9]+"
    fraction = rf"{re.escape(decimal)}[0-9]*"
    return re.compile(rf"{_SIGN}(?:(?:{whole})(?:{fraction})?|{re.escape(decimal)}[0-9]+)(?:[eE][+\-]?[0-9]+)?")


def _any_of(texts: Iterable[str]) -> str:
    return "|".join(map(re.escape, sorted(texts, key=len, reverse=True)))


_NUMBER = {".": _pattern(".", ","), ",": _pattern(",", ".")}
_PLAIN = r"[+\-]?[0-9]{1,18}(?:\.[0-9]{1,30})?(?:[eE][+\-]?[0-9]{1,2})?"  # as programs write them; most columns have nothing else
_ALL_PLAIN = re.compile(rf"{_PLAIN}(?:\n{_PLAIN})*")
_POINT_THOUSANDS = re.compile(
    r"[+\-]?[1-9][0-9]{0,2}\.[0-9]{3}(?:[eE].*)?"
)  # what is plain, and a number with a decimal comma, too
_ZEROS_FIRST = re.compile(rf"{_SIGN}(0*)(?=[0-9])")
_BEGINS_A_NUMBER = re.compile(rf"[+\-\u2212]?(?:[0-9.,]|{_any_of(CURRENCIES)})")
_UNIT_AFTER = re.compile(rf"(?P<body>.*[0-9.,])(?:\s*(?P<unit>{_any_of((*UNITS, *CURRENCIES))})|\s+(?P<letter>[{LETTERS}]))")
_UNIT_BEFORE = re.compile(rf"(?P<minus>[\-\u2212]?)(?P<unit>{_any_of(CURRENCIES)})\s*(?P<body>{_SIGN}[0-9.,].*)")


@dataclass(frozen=True)
class NumberColumn:
    """A column read as numbers.

    Attributes:
        values: (rows,), nan where one is missing.
        unit: of all of them, or "".
        decimal: the decimal mark that they were read with.
        has_decimals: whether some have that mark.
        thousands: whether some have their thousands set apart.
        nones: how often "none" was taken for no value.
    """

    values: NDArray[np.float64]
    unit: str
    decimal: Decimal
    has_decimals: bool
    thousands: bool
    nones: int


@dataclass(frozen=True)
class _Cell:
    """One value that is there. marks: the decimal marks under which it is a number."""

    line: int
    text: str
    body: str
    unit: str
    marks: tuple[Decimal, ...]

    @property
    def is_ambiguous(self) -> bool:
        return len(self.marks) > 1 and number(self.body, ".") != number(self.body, ",")


@dataclass(frozen=True)
class NumberTexts:
    """A column whose values are all numbers, under the decimal marks that are left. Other columns may tell which it is.

    cells: one for each text that differs, in the line where it is first; None where all are plain and none is ambiguous.
    bodies: each text that is a number, without its unit. gone: the texts that stand for no value, other than "none".
    """

    name: str
    texts: Sequence[str]
    bodies: Mapping[str, str]
    gone: frozenset[str]
    cells: tuple[_Cell, ...] | None
    marks: tuple[Decimal, ...]
    nones: int

    @property
    def ambiguous(self) -> _Cell | None:
        """The first value that is one number or another, where nothing in this column tells."""
        return None if len(self.marks) == 1 else next((cell for cell in self.cells or () if cell.is_ambiguous), None)

    @property
    def has_commas(self) -> bool:
        """Whether a comma stands in a number."""
        return any("," in cell.body for cell in self.cells or ())

    def read(self, decimal: Decimal) -> NumberColumn:
        """The column with this decimal mark."""
        has_decimals = any(decimal in body for body in self.bodies.values())
        if self.cells is None:
            numbers, thousands, unit = {text: float(text) for text in self.bodies}, False, ""
        else:
            numbers = {text: number(body, decimal) for text, body in self.bodies.items()}
            matches = [_NUMBER[decimal].fullmatch(body) for body in self.bodies.values()]
            thousands = any(match is not None and match["mark"] is not None for match in matches)
            unit = self.cells[0].unit if self.cells else ""
        gone = math.nan
        values = np.array([numbers.get(text, gone) for text in self.texts])
        return NumberColumn(values, unit, decimal, has_decimals, thousands, self.nones)


def is_missing(text: str, more: Collection[str] = ()) -> bool:
    """Whether a cell stands for no value. more: what else does, in lower case."""
    return text.lower() in MISSING or text.lower() in more


def missing_of(texts: Iterable[str], more: Collection[str] = ()) -> frozenset[str]:
    """The texts that stand for no value. more: what else does, in lower case."""
    words = MISSING.union(more)
    return frozenset(text for text in set(texts) if text.lower() in words)


def number(body: str, decimal: Decimal) -> float:
    """A number without its unit."""
    return float(_as_python(body, decimal))


def exact(text: str, decimal: Decimal) -> tuple[Exact, int]:
    """A number's value without loss, and the zeros before its first digit, which make another code of it: 7 is not 007."""
    body, _ = _split(text)
    zeros = _ZEROS_FIRST.match(body)
    return Exact(_as_python(body, decimal)), len(zeros[1]) if zeros else 0


def _as_python(body: str, decimal: Decimal) -> str:
    other = "," if decimal == "." else "."
    apart = str.maketrans("", "", _MARKS + other)
    return body.replace("\u2212", "-").translate(apart).replace(decimal, ".")


def says_number(text: str) -> bool:
    """Whether a cell is a number under either decimal mark, with or without a unit."""
    return bool(_cell(0, text).marks)


def _cell(line: int, text: str) -> _Cell:
    if marks := _marks_of(text):
        return _Cell(line, text, text, "", marks)
    body, unit = _split(text)
    return _Cell(line, text, body, unit, _marks_of(body) if unit else ())


def _marks_of(body: str) -> tuple[Decimal, ...]:
    return tuple(mark for mark in DECIMALS if _NUMBER[mark].fullmatch(body) and _is_finite(body, mark))


def _is_finite(body: str, decimal: Decimal) -> bool:
    """Whether a float can hold a number; 1e999 is none. Only long ones and those with an exponent need a look."""
    return (len(body) < LEAST_DIGITS_OF_INFINITY and "e" not in body and "E" not in body) or math.isfinite(number(body, decimal))


def _split(text: str) -> tuple[str, str]:
    """A cell without its unit, and the unit."""
    if after := _UNIT_AFTER.fullmatch(text):
        return after["body"].rstrip(), after["unit"] or after["letter"]
    if before := _UNIT_BEFORE.fullmatch(text):
        return before["minus"] + before["body"], before["unit"]
    return text, ""


def numbers_of(
    name: str, texts: Sequence[str], lines: Sequence[int], *, decimal: Decimal | None = None, missing: Collection[str] = ()
) -> NumberTexts | None:
    """A column's texts as numbers; None where they are words.

    decimal: the only mark to allow. missing: what else stands for no value, in lower case.

    Raises:
        DataError: some are numbers and some are not, or units differ; the text names lines and ways out.
    """
    different = dict.fromkeys(texts)
    nones, gone = 0, frozenset[str]()
    if missing or not _are_plain(different):
        gone = missing_of(different, missing)
        named_none = {text for text in different if text.lower() == NONE} - gone
        nones = sum(text in named_none for text in texts) if named_none else 0
        different = dict.fromkeys(text for text in different if text not in gone and text not in named_none)
    allowed = DECIMALS if decimal is None else (decimal,)
    if not different:
        return None if nones else NumberTexts(name, texts, {}, gone, (), allowed, 0)
    if (plain := _plain_marks(different, allowed)) is not None:
        return NumberTexts(name, texts, dict(zip(different, different, strict=True)), gone, None, plain, nones)
    return _with_cells(name, texts, lines, different, gone, allowed, nones, decimal)


def _are_plain(different: Collection[str]) -> bool:
    """Whether texts are all plain numbers. They are looked at as one, which is many times quicker."""
    joined = "\n".join(different)
    return joined.count("\n") == len(different) - 1 and _ALL_PLAIN.fullmatch(joined) is not None


def _plain_marks(different: Collection[str], allowed: tuple[Decimal, ...]) -> tuple[Decimal, ...] | None:
    """The decimal marks of a column of plain numbers; None where it is none, or where a point in it may set thousands apart."""
    if not _are_plain(different):
        return None
    if not any("." in text for text in different):
        return allowed
    has_decimal_point = any("." in text and not _POINT_THOUSANDS.fullmatch(text) for text in different)
    return (".",) if has_decimal_point and "." in allowed else None


def _with_cells(
    name: str,
    texts: Sequence[str],
    lines: Sequence[int],
    different: Collection[str],
    gone: frozenset[str],
    allowed: tuple[Decimal, ...],
    nones: int,
    decimal: Decimal | None,
) -> NumberTexts | None:
    """A column of numbers of whatever form, looked at text by text; None where most are none. different: those that are there."""
    count = sum(text in different for text in texts)
    may_be = {text for text in different if _BEGINS_A_NUMBER.match(text)}
    if 2 * sum(text in may_be for text in texts) < count:
        return None
    first_lines = dict(zip(reversed(texts), reversed(lines), strict=True))
    cells = {text: _cell(first_lines[text], text) for text in different}
    odd = {text for text, cell in cells.items() if not cell.marks}
    if odd or len({cell.unit for cell in cells.values()}) > 1 or not any(_in_all(mark, cells.values()) for mark in allowed):
        if 2 * sum(text in odd for text in texts) > count:
            return None
        there = [replace(cells[text], line=line) for text, line in zip(texts, lines, strict=True) if text in cells]
        if odd:
            _refuse_mixed(name, there)
        if len({cell.unit for cell in there}) > 1:
            _refuse_units(name, there)
        _refuse_marks(name, there, decimal)
    marks = tuple(mark for mark in allowed if _in_all(mark, cells.values()))
    return NumberTexts(name, texts, {text: cell.body for text, cell in cells.items()}, gone, tuple(cells.values()), marks, nones)


def _in_all(mark: Decimal, cells: Iterable[_Cell]) -> bool:
    return all(mark in cell.marks for cell in cells)


def decimals_of(columns: Iterable[NumberTexts], *, comma_splits: bool) -> dict[str, Decimal]:
    """The decimal mark of each column by its name: its own, or what the others of the file tell.

    comma_splits: whether commas split the cells, so that a point is a decimal point unless a comma is one elsewhere in the file.

    Raises:
        DataError: a column could be read either way.
    """
    listed = list(columns)
    deciding = [column for column in listed if len(column.marks) == 1]
    if comma_splits:  # points that set thousands apart in one column, as in 192.168.100, say nothing of another
        deciding = [column for column in deciding if column.marks == (".",) or column.has_commas]
    shown = {column.marks[0] for column in deciding}
    marks: dict[str, Decimal] = {}
    for column in listed:
        cell = column.ambiguous
        if len(column.marks) == 1:
            marks[column.name] = column.marks[0]
        elif cell is None or len(shown) == 1:
            marks[column.name] = next(iter(shown)) if len(shown) == 1 else "."
        elif comma_splits and not shown and not column.has_commas:
            marks[column.name] = "."
        else:
            low, high = sorted((number(cell.body, "."), number(cell.body, ",")))
            raise DataError(
                f"column {column.name!r}, line {cell.line}: {cell.text!r} is {low:g} or {high:g}, and nothing else in the file "
                'tells; say which with decimal="," or decimal="." (--decimal)'
            )
    return marks


def _refuse_mixed(name: str, cells: Sequence[_Cell]) -> NoReturn:
    others = [cell for cell in cells if not cell.marks]
    raise DataError(
        f"column {name!r}: {len(cells) - len(others)} of {len(cells)} values are numbers, but not {_named(others)}; mend "
        f"them, or say that such a text stands for no value with missing=[{others[0].text!r}] (--missing), or that the column is "
        f"text with text=[{name!r}] (--text)"
    )


def _refuse_units(name: str, cells: Sequence[_Cell]) -> NoReturn:
    first_with = {cell.unit: cell for cell in reversed(cells)}
    raise DataError(
        f"column {name!r}: units differ, as in {_named(list(reversed(first_with.values())))}; write all in one unit, or take the "
        f"column as text with text=[{name!r}] (--text)"
    )


def _refuse_marks(name: str, cells: Sequence[_Cell], decimal: Decimal | None) -> NoReturn:
    if decimal is not None:
        wrong = [cell for cell in cells if decimal not in cell.marks]
        raise DataError(
            f"column {name!r}: no number with the decimal mark {decimal!r} is {_named(wrong)}; mend it, or say another"
        )
    point = next(cell for cell in cells if cell.marks == (".",))
    comma = next(cell for cell in cells if cell.marks == (",",))
    raise DataError(
        f"column {name!r}: {_named([point, comma])} have different decimal marks; write all with one of them, or take the column "
        f"as text with text=[{name!r}] (--text)"
    )


def _named(cells: Sequence[_Cell]) -> str:
    rest = f" and {len(cells) - SHOWN} others" if len(cells) > SHOWN else ""
    return ", ".join(f"{cell.text!r} (line {cell.line})" for cell in cells[:SHOWN]) + rest
