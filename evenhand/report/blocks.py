"""What a report is made of, before it becomes a page or a PDF: sections of items, each a drawing, a table, or both."""

import csv
import io
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from evenhand.declaration import Mode

NARROW = "\u202f"


@dataclass(frozen=True)
class Table:
    """Rows of text. numbers: the columns that are set to the right."""

    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    numbers: frozenset[int] = frozenset()

    def csv(self) -> str:
        """The table as CSV (RFC 4180)."""
        text = io.StringIO()
        writer = csv.writer(text, lineterminator="\r\n")
        writer.writerow(self.columns)
        writer.writerows([[cell.replace(NARROW, " ") for cell in row] for row in self.rows])
        return text.getvalue()


@dataclass(frozen=True)
class Item:
    """One figure or table. key: its file's name. spec: a Vega-Lite drawing; svg: a drawing made otherwise.

    n: its cases, in words. how: how it was computed. paper: what the paper states. why: why it could not be computed.
    alt: the drawing in words, for those who do not see it; its numbers are in `table`, folded where there is a drawing, or where
    `folded` says that the table is too long to be read as a whole.
    """

    key: str
    title: str
    n: str
    how: str
    spec: Mapping[str, Any] | None = None
    svg: str = ""
    table: Table | None = None
    paper: str = ""
    why: str = ""
    alt: str = ""
    folded: bool = False

    @property
    def drawn(self) -> bool:
        """Whether there is a drawing."""
        return self.spec is not None or bool(self.svg)


@dataclass(frozen=True)
class Section:
    """Items under a heading. key: its anchor."""

    key: str
    title: str
    intro: str = ""
    items: tuple[Item, ...] = ()


@dataclass(frozen=True)
class Report:
    """A whole report, without its date. facts: label and value, on top. lead: the headline in words, and what to beware of.

    mark: what is said on the page and every figure of records that are not a live study's; "" for those that are.
    """

    title: str
    mode: Mode
    mark: str
    lead: tuple[str, ...]
    facts: tuple[tuple[str, str], ...]
    sections: tuple[Section, ...] = field(default_factory=tuple)

    @property
    def items(self) -> tuple[Item, ...]:
        """Every item, in order."""
        return tuple(item for section in self.sections for item in section.items)


def table(columns: Sequence[str], rows: Sequence[Sequence[str]], numbers: Sequence[int] = ()) -> Table:
    """A table of rows of text."""
    return Table(tuple(columns), tuple(tuple(row) for row in rows), frozenset(numbers))


def score(value: float | None, share: bool) -> str:
    """A metric as people read it: 64.6 %, or 0.1234; a dash for None."""
    if value is None:
        return "–"
    return f"{100 * value:.1f}{NARROW}%" if share else number(value)


def plain(words: str) -> str:
    """Text without what no drawing can show: control characters, halves of characters, separators of lines.

    The drawing libraries do not refuse them: they end the whole process.
    """
    return "".join(each if each.isprintable() or each in (NARROW, "\u200b") else " " for each in words)


def number(value: float | None, digits: int = 3) -> str:
    """A number with a few significant digits; a dash for None."""
    if value is None or not math.isfinite(value):
        return "–"
    if value == int(value) and abs(value) < 1e6:
        return str(int(value))
    return f"{value:.{digits}g}"


def p_value(value: float | None) -> str:
    """A p-value: two significant digits, or < 0.0001; a dash for None."""
    if value is None:
        return "–"
    return "< 0.0001" if value < 1e-4 else f"{value:.2g}"


def interval(low: float | None, high: float | None, show: Any = number) -> str:
    """An interval; a dash where there is none."""
    return "–" if low is None or high is None else f"{show(low)} to {show(high)}"


def cases(count: int, one: str, many: str = "") -> str:
    """How many cases there are: n = 31 participants."""
    return f"n = {count} {one if count == 1 else many or one + 's'}"
