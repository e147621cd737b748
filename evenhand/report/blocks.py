"""What a report is made of, before it becomes a page or a PDF: sections of items, each a drawing, a table, or both."""

import csv
import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from evenhand.model.spreadsheets import without_formula
from evenhand.model.study import Mode
from evenhand.model.words import NARROW_SPACE


@dataclass(frozen=True)
class ReportTable:
    """A table of text.

    Attributes:
        columns: the heads.
        rows: a text for each column.
        numbers: the places of the columns that are set to the right, from 0.
    """

    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    numbers: frozenset[int] = frozenset()

    def csv(self) -> str:
        """The table as CSV (RFC 4180), to be looked at: no text in it is a formula of a spreadsheet program."""
        text = io.StringIO()
        writer = csv.writer(text, lineterminator="\r\n")
        rows = [[without_formula(cell.replace(NARROW_SPACE, " ")) for cell in row] for row in (self.columns, *self.rows)]
        writer.writerows(rows)
        return text.getvalue()


@dataclass(frozen=True)
class Item:
    """One figure or table of a report.

    Attributes:
        key: its file's name: small letters, digits and single hyphens.
        title: above it.
        n: its cases, in words.
        how: how it was computed, in words.
        spec: the drawing as a Vega-Lite specification with its data in it.
        svg: or a drawing made otherwise.
        table: its numbers; folded where there is a drawing.
        paper: what the paper states.
        why: why it could not be computed.
        alt: the drawing in words, for those who do not see it.
        folded: whether the table is too long to be read as a whole.
    """

    key: str
    title: str
    n: str
    how: str
    spec: Mapping[str, Any] | None = None
    svg: str = ""
    table: ReportTable | None = None
    paper: str = ""
    why: str = ""
    alt: str = ""
    folded: bool = False

    @property
    def drawn(self) -> bool:
        """Whether there is a drawing."""
        return self.spec is not None or bool(self.svg)


@dataclass(frozen=True)
class ReportSection:
    """Items under a heading.

    Attributes:
        key: its anchor.
        title: the heading.
        intro: what is said below it.
        items: in order.
    """

    key: str
    title: str
    intro: str = ""
    items: tuple[Item, ...] = ()


@dataclass(frozen=True)
class Report:
    """A whole report, without its date.

    Attributes:
        title: of the page.
        mode: of the records.
        mark: what is said on the page and every figure of records that are not a live study's; "" for those that are.
        lead: the headline in words, and what to beware of.
        facts: label and value, on top.
        sections: in order.
    """

    title: str
    mode: Mode
    mark: str
    lead: tuple[str, ...]
    facts: tuple[tuple[str, str], ...]
    sections: tuple[ReportSection, ...] = field(default_factory=tuple)

    @property
    def items(self) -> tuple[Item, ...]:
        """Every item, in order."""
        return tuple(item for section in self.sections for item in section.items)


def table(columns: Sequence[str], rows: Sequence[Sequence[str]], numbers: Sequence[int] = ()) -> ReportTable:
    """A table of rows of text."""
    return ReportTable(tuple(columns), tuple(tuple(row) for row in rows), frozenset(numbers))


def plain(words: str) -> str:
    """Text without what no drawing can show: control characters, halves of characters, separators of lines.

    The drawing libraries do not refuse them: they end the whole process.

    Args:
        words: any text.

    Returns:
        The text with a blank in place of each.
    """
    return "".join(character if character.isprintable() or character in (NARROW_SPACE, "\u200b") else " " for character in words)
