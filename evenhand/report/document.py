"""A report as PDF, by typst: the page's sections, with the same drawings."""

import json
import re
import tempfile
from pathlib import Path

from evenhand.model import extras
from evenhand.report.blocks import Item, Report, ReportTable, plain
from evenhand.report.page import check as check_page
from evenhand.report.page import drawing, sentence

MOST_PLAIN_COLUMNS = 6  # columns of a table that fit the page's width at the plain size
LINE_CHARACTERS = 90  # characters of a row that fit the page's width
# Characters of a column that needs no wrapping, and after which a longer one gets no more room.
SHORT_CHARACTERS, LONG_CHARACTERS = 14, 60
WORD_LETTERS = 22  # letters without a space after which a cell may be broken
TALLEST_RATIO = 1.6  # height of a drawing over its width, up to which it fits a page at the width of the others
MOST_DRAWING_ROWS = 14  # rows of a drawing's numbers; longer tables are in the page and in the files


def check() -> None:
    """Nothing, or PackageMissing where no report can be made as PDF here; see `page.check`."""
    check_page()
    extras.check("typst", "a report as PDF")


def pdf(report: Report, date: str) -> bytes:
    """The document. The same report gives the same bytes but for `date`."""
    typst = extras.require("typst", "a report as PDF")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        source = _source(report, date, folder)
        (folder / "report.typ").write_text(source, encoding="utf-8")
        return bytes(typst.compile(str(folder / "report.typ"), root=str(folder), format="pdf"))


def _source(report: Report, date: str, folder: Path) -> str:
    title = f"{report.title} ({report.mark.partition(':')[0].lower()})" if report.mark else report.title
    over = f"[#h(1fr) #text(fill: rgb(143, 95, 0), size: 8pt, {_text(report.mark)})]" if report.mark else "none"
    parts = [
        f"#set document(title: {_text(title)}, date: none)",
        f'#set page(paper: "a4", margin: (x: 20mm, y: 22mm), numbering: "1 / 1", header: {over})',
        '#set text(font: ("Noto Sans", "DejaVu Sans", "Libertinus Serif"), size: 9.5pt)',
        "#show heading.where(level: 1): set block(above: 2em, below: 0.8em)",
        "#show figure: set block(breakable: true)",
        "#set table(stroke: (x, y) => (bottom: 0.4pt + luma(200)), inset: (x: 4pt, y: 3pt))",
    ]
    if report.mark:
        mark = f"#text(fill: rgb(143, 95, 0), {_text(report.mark)})"
        parts.append(f"#block(stroke: 1pt + rgb(143, 95, 0), inset: 6pt, radius: 3pt)[{mark}]")
    parts.append(f"#text(size: 20pt, weight: 600, {_text(report.title)})\n")
    parts += [f"#text(size: 11.5pt, {_text(words)})\n" for words in report.lead]
    facts = ", ".join(f"[#text(fill: luma(110), {_text(name)})], [#{_text(value)}]" for name, value in report.facts)
    parts.append(f"#table(columns: (auto, 1fr), {facts})")
    parts.append(f"#text(fill: luma(110), {_text(f'Report of {date}.')})\n")
    for section in report.sections:
        parts.append(f"#heading(level: 1, {_text(section.title)})")
        if section.intro:
            parts.append(f"#{_text(section.intro)}\n")
        for item in section.items:
            parts += _item(item, folder)
    return "\n".join(parts)


def _item(item: Item, folder: Path) -> list[str]:
    head = [f"#heading(level: 2, {_text(item.title)})", f"#text(fill: luma(110), {_text(item.n)})\n"]
    if item.why:
        head.append(f"#text(fill: rgb(143, 95, 0), {_text(sentence(item.why))})\n")
    if item.drawn:
        drawn = drawing(item)
        (folder / f"{item.key}.svg").write_text(drawn, encoding="utf-8")
        head.append(f'#image("{item.key}.svg", {_size(drawn)}, alt: {_text(item.alt)})')
    if item.alt:
        head.append(f"#{_text(sentence(item.alt))}\n")
    parts = ["#block(breakable: false, sticky: true, above: 2em)[", *head, "]"]
    if (
        item.table is not None
        and item.table.rows
        and (len(item.table.rows) <= MOST_DRAWING_ROWS or not (item.drawn or item.folded))
    ):
        parts.append(_table(item.table))
    if item.paper:
        parts.append(f"#text(fill: luma(110))[*The paper:* #{_text(sentence(item.paper))}]\n")
    if item.how:
        parts.append(f"#text(fill: luma(110), size: 8.5pt, {_text(sentence(item.how))})\n")
    return parts


def _size(drawn: str) -> str:
    """How large a drawing is: as wide as others, but no taller than a page with its heading and words."""
    box = re.search(r'viewBox="0 0 ([\d.]+) ([\d.]+)"', drawn)
    tall = float(box[2]) / float(box[1]) if box else 1.0
    return "height: 190mm" if tall > TALLEST_RATIO else "width: 68%"


def _table(table: ReportTable) -> str:
    aligned = ", ".join("right" if index in table.numbers else "left" for index in range(len(table.columns)))
    widths = ", ".join(_widths(table))
    head = ", ".join(f"[#strong({_text(column)})]" for column in table.columns)
    cells = ", ".join(f"[#{_text(_breakable(cell))}]" for row in table.rows for cell in row)
    size = "8.5pt" if len(table.columns) <= MOST_PLAIN_COLUMNS else "7pt"
    return f"#[#set text(size: {size})\n#table(columns: ({widths}), align: ({aligned}), table.header({head}), {cells})]"


def _widths(table: ReportTable) -> list[str]:
    """Columns of short cells get what they need, those of long ones share the rest by their length."""
    longest = [max(len(row[index]) for row in (table.columns, *table.rows)) for index in range(len(table.columns))]
    return [
        "auto" if length <= SHORT_CHARACTERS or sum(longest) <= LINE_CHARACTERS else f"{min(length, LONG_CHARACTERS)}fr"
        for length in longest
    ]


def _breakable(words: str) -> str:
    """Text whose longest words may go on in the next line: a hash is wider than its column."""
    return re.sub(rf"(\w{{{WORD_LETTERS}}})(?=\w)", "\\1\u200b", words)


def _text(words: str) -> str:
    """A string in typst's own notation: nothing that people typed becomes markup, and what no page can show is left out."""
    return json.dumps(plain(words), ensure_ascii=False)
