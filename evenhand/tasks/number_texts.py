"""Numbers as people and spreadsheets write them: decimal commas, thousands, units, percent signs, and what stands for no value.

A column is read as a whole. What could be two numbers is refused with its line, never guessed.
"""

import re
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
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
_UNIT_AFTER = re.compile(rf"(?P<body>.*[0-9.,])(?:\s*(?P<unit>{_any_of((*UNITS, *CURRENCIES))})|\s+(?P<letter>[{LETTERS}]))")
_UNIT_BEFORE = re.compile(rf"(?P<minus>[\-\u2212]?)(?P<unit>{_any_of(CURRENCIES)})\s*(?P<body>{_SIGN}[0-9.,].*)")


@dataclass(frozen=True)
class NumberColumn:
    """A column read as numbers.

    Attributes:
        values: (rows,), nan where one is missing.
        unit: of all of them, or "".
        decimal: the decimal mark that they were read with.
        thousands: whether some have their thousands set apart.
        nones: how often "none" was taken for no value.
    """

    values: NDArray[np.float64]
    unit: str
    decimal: Decimal
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
    """A column whose values are all numbers, under the decimal marks that are left. Other columns may tell which it is."""

    name: str
    cells: tuple[_Cell, ...]
    marks: tuple[Decimal, ...]
    nones: int
    rows: int
    places: NDArray[np.int64]

    @property
    def ambiguous(self) -> _Cell | None:
        """The first value that is one number or another, where nothing in this column tells."""
        return None if len(self.marks) == 1 else next((cell for cell in self.cells if cell.is_ambiguous), None)

    def read(self, decimal: Decimal) -> NumberColumn:
        """The column with this decimal mark."""
        values = np.full(self.rows, np.nan)
        values[self.places] = [number(cell.body, decimal) for cell in self.cells]
        matches = [_NUMBER[decimal].fullmatch(cell.body) for cell in self.cells]
        thousands = any(match is not None and match["mark"] is not None for match in matches)
        return NumberColumn(values, self.cells[0].unit if self.cells else "", decimal, thousands, self.nones)


def is_missing(text: str, more: Collection[str] = ()) -> bool:
    """Whether a cell stands for no value. more: what else does, in lower case."""
    return text.lower() in MISSING or text.lower() in more


def number(body: str, decimal: Decimal) -> float:
    """A number without its unit."""
    other = "," if decimal == "." else "."
    apart = str.maketrans("", "", _MARKS + other)
    return float(body.replace("\u2212", "-").translate(apart).replace(decimal, "."))


def says_number(text: str) -> bool:
    """Whether a cell is a number under either decimal mark, with or without a unit."""
    return bool(_cell(0, text).marks)


def _cell(line: int, text: str) -> _Cell:
    body, unit = _split(text)
    return _Cell(line, text, body, unit, tuple(mark for mark in DECIMALS if _NUMBER[mark].fullmatch(body)))


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
    there = [place for place, text in enumerate(texts) if not is_missing(text, missing)]
    places = [place for place in there if texts[place].lower() != NONE]
    nones = len(there) - len(places)
    if not places:
        return None if nones else NumberTexts(name, (), DECIMALS, 0, len(texts), np.array([], np.int64))
    cells = [_cell(lines[place], texts[place]) for place in places]
    numeric = [cell for cell in cells if cell.marks]
    if len(numeric) * 2 < len(cells):
        return None
    if len(numeric) < len(cells):
        _refuse_mixed(name, cells)
    if len({cell.unit for cell in cells}) > 1:
        _refuse_units(name, cells)
    allowed = DECIMALS if decimal is None else (decimal,)
    marks = tuple(mark for mark in allowed if all(mark in cell.marks for cell in cells))
    if not marks:
        _refuse_marks(name, cells, decimal)
    return NumberTexts(name, tuple(cells), marks, nones, len(texts), np.array(places, np.int64))


def decimals_of(columns: Iterable[NumberTexts], *, comma_splits: bool) -> dict[str, Decimal]:
    """The decimal mark of each column by its name: its own, or what the others of the file tell.

    comma_splits: whether commas split the cells, so that a point is a decimal point unless the file shows otherwise.

    Raises:
        DataError: a column could be read either way.
    """
    listed = list(columns)
    shown = {column.marks[0] for column in listed if len(column.marks) == 1}
    marks: dict[str, Decimal] = {}
    for column in listed:
        cell = column.ambiguous
        if len(column.marks) == 1:
            marks[column.name] = column.marks[0]
        elif cell is None or len(shown) == 1:
            marks[column.name] = next(iter(shown)) if len(shown) == 1 else "."
        elif comma_splits and not shown and not any("," in other.body for other in column.cells):
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
