"""A report as one self-contained HTML page, and as single files: each drawing as SVG and PNG, each table as CSV."""

import base64
import hashlib
import re
from functools import cache
from importlib import resources
from pathlib import Path

from jinja2 import Environment, StrictUndefined, select_autoescape
from markupsafe import Markup

from evenhand.report import figures
from evenhand.report.blocks import Item, Report


def html(report: Report, date: str) -> str:
    """The page. The same report gives the same bytes but for `date`, which it shows once."""
    style, script = _part("report.css"), _part("report.js")
    template = _environment().from_string(_part("report.html"))
    return template.render(report=report, date=date, style=Markup(style), script=Markup(script))


def policy() -> str:
    """The Content-Security-Policy under which a server gives the page: its own style and script, and nothing else."""
    script = base64.b64encode(hashlib.sha256(_part("report.js").encode()).digest()).decode()
    rest = "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    return f"default-src 'none'; style-src 'unsafe-inline'; script-src 'sha256-{script}'; img-src data:; {rest}"


def files(report: Report, folder: Path) -> list[Path]:
    """Write each drawing as SVG and PNG and each table as CSV into a folder; what was written."""
    folder.mkdir(parents=True, exist_ok=True)
    written = []
    for item in report.items:
        contents: dict[str, bytes] = {}
        if item.drawn:
            drawn = drawing(item)
            contents = {"svg": drawn.encode(), "png": figures.png(drawn)}
        if item.table is not None:
            contents["csv"] = item.table.csv().encode()
        for kind, content in contents.items():
            path = folder / f"{item.key}.{kind}"
            path.write_bytes(content)
            written.append(path)
    return written


def drawing(item: Item) -> str:
    """An item's drawing as SVG, in the colours of a light page."""
    return item.svg or (figures.svg(item.spec) if item.spec is not None else "")


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
    made.filters["drawing"] = _inline
    return made


@cache
def _part(name: str) -> str:
    return (resources.files("evenhand.report") / "templates" / name).read_text(encoding="utf-8")
