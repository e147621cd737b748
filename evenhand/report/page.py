"""A report as one self-contained HTML page, and as single files: each drawing as SVG and PNG, each table as CSV."""

import base64
import hashlib
import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from importlib import resources
from pathlib import Path

from jinja2 import Environment, StrictUndefined, select_autoescape
from markupsafe import Markup

from evenhand.model import extras
from evenhand.report import figures
from evenhand.report.blocks import Item, Report, ReportTable

# Characters of a column that is never wrapped, and above which it keeps a width of its own.
SHORT_CHARACTERS, LONG_CHARACTERS = 18, 44


@dataclass(frozen=True)
class PageLink:
    """A way on from the page, where a server gives it."""

    address: str
    words: str


def check() -> None:
    """Nothing, or PackageMissing where no report can be made here: asked before what takes hours, or is a look at test scores."""
    for package in ("altair", "statsmodels", "vl_convert"):
        extras.check(package, "a report")


def html(report: Report, date: str, links: Sequence[PageLink] = ()) -> str:
    """The page. The same report gives the same bytes but for `date`, which it shows once, and `links`, which a server adds."""
    style, script = _part("report.css"), _part("report.js")
    template = _environment().from_string(_part("report.html"))
    parts = {"style": Markup(style), "script": Markup(script), "policy": Markup(_own_policy())}
    return template.render(report=report, date=date, links=links, **parts)


def policy() -> str:
    """The Content-Security-Policy under which a server gives the page: its own style and script, and nothing else."""
    return f"{_own_policy()}; frame-ancestors 'none'"


def _own_policy() -> str:
    """The policy that the page carries itself, for where no server gives it: a page cannot say who may frame it."""
    style, script = _hash("report.css"), _hash("report.js")
    return f"default-src 'none'; style-src '{style}'; script-src '{script}'; img-src data:; base-uri 'none'; form-action 'none'"


def _hash(name: str) -> str:
    return f"sha256-{base64.b64encode(hashlib.sha256(_part(name).encode()).digest()).decode()}"


def contents(report: Report) -> dict[str, bytes]:
    """Each drawing as SVG and PNG and each table as CSV, by file name; one that is no live study's says so in its name."""
    before = f"{report.mode}-" if report.mark else ""
    entries: dict[str, bytes] = {}
    for item in report.items:
        if item.drawn:
            drawn = drawing(item)
            entries[f"{before}{item.key}.svg"] = drawn.encode()
            entries[f"{before}{item.key}.png"] = figures.png(drawn)
        if item.table is not None:
            entries[f"{before}{item.key}.csv"] = item.table.csv().encode()
    return entries


def files(report: Report, folder: Path) -> list[Path]:
    """Write `contents` into a folder; what was written."""
    folder.mkdir(parents=True, exist_ok=True)
    entries = contents(report)
    for name, content in entries.items():
        (folder / name).write_bytes(content)
    return [folder / name for name in entries]


def drawing(item: Item) -> str:
    """An item's drawing as SVG, in the colours of a light page."""
    return item.svg or (figures.svg(item.spec) if item.spec is not None else "")


def sentence(words: str) -> str:
    """Words as a sentence: a capital, and one full stop."""
    plain = words.strip()
    return plain[:1].upper() + plain[1:] + ("" if plain.endswith((".", "!", "?")) else ".") if plain else ""


def layout(table: ReportTable) -> list[str]:
    """How each column is set: its numbers to the right, short text on one line, long text with room of its own."""
    longest = [max([len(row[index]) for row in table.rows], default=0) for index in range(len(table.columns))]
    return [
        ("num wrap" if size > LONG_CHARACTERS else "num")
        if at in table.numbers
        else "short"
        if size <= SHORT_CHARACTERS
        else "long"
        if size > LONG_CHARACTERS
        else ""
        for at, size in enumerate(longest)
    ]


def _inline(item: Item) -> Markup:
    """A drawing within the page. Ids are made the item's own, since a page's ids are one set."""
    drawn = figures.themed(drawing(item), f"{item.title}. {item.alt}")
    drawn = re.sub(r'\bid="([^"]+)"', rf'id="{item.key}-\1"', drawn)
    return Markup(re.sub(r"url\(#([^)]+)\)", rf"url(#{item.key}-\1)", drawn))


@cache
def _environment() -> Environment:
    made = Environment(
        undefined=StrictUndefined, autoescape=select_autoescape(default_for_string=True), trim_blocks=True, lstrip_blocks=True
    )
    made.filters.update(drawing=_inline, sentence=sentence, layout=layout)
    return made


@cache
def _part(name: str) -> str:
    return (resources.files("evenhand.report") / "templates" / name).read_text(encoding="utf-8")
