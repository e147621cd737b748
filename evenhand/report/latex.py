"""A report's tables as LaTeX for a paper: booktabs, in long tables that may go on over pages. No text can become a command."""

import re
from collections.abc import Sequence

from evenhand.report.blocks import Item, Report, ReportTable, plain
from evenhand.report.page import sentence

NEEDED_PACKAGES = r"\usepackage{array,booktabs,longtable}"
LINE_LETTERS = 76  # letters that fit the width of a text column of LaTeX's articles, in the smaller type
COLUMN_GAP_LETTERS = 1.5  # letters that lie between two columns
BOLD_FACTOR = 1.2  # how much wider the bold words of a head are
SHORT_LETTERS = 16  # letters of a column that is never wrapped
LEAST_LETTERS = 9  # letters of a wrapped column at least
WORD_LETTERS = 18  # letters without a space after which a word may be broken
ESCAPED_LETTERS = {
    "\\": r"\textbackslash{}", "{": r"\{", "}": r"\}", "$": r"\$", "&": r"\&", "#": r"\#", "_": r"\_", "%": r"\%",
    "^": r"\textasciicircum{}", "~": r"\textasciitilde{}", "<": r"\textless{}", ">": r"\textgreater{}", "|": r"\textbar{}",
    '"': r"\char34{}", "`": r"\textasciigrave{}", "*": "{*}", "[": "{[}", "]": "{]}",
    "\u202f": r"\,", "\u200b": r"\allowbreak{}", "–": r"\textendash{}", "—": r"\textemdash{}", "−": r"$-$", "×": r"$\times$",
    "±": r"$\pm$",
    "≤": r"$\le$", "≥": r"$\ge$", "→": r"$\to$", "χ": r"$\chi$", "²": r"\textsuperscript{2}", "…": r"\ldots{}", "·": r"$\cdot$",
    "“": r"\textquotedblleft{}", "”": r"\textquotedblright{}", "‘": r"\textquoteleft{}", "’": r"\textquoteright{}",
    "µ": r"\textmu{}",
}  # fmt: skip


def latex(report: Report, sections: Sequence[str] = ("disclosure",)) -> str:
    """The tables of some sections, by their keys, as a part of a document: \\input it after loading what its first lines name.

    The same report gives the same text. It compiles with pdfLaTeX, too: letters beyond Latin are given by their code points.
    """
    head = [f"% {_comment(report.title)}", f"% In the preamble: {NEEDED_PACKAGES} and, for pdfLaTeX, \\usepackage[T1]{{fontenc}}"]
    parts = head
    if report.mark:
        parts += [rf"\noindent\textbf{{{escape(report.mark)}}}", ""]
    for section in report.sections:
        if section.key in sections:
            parts.append(rf"\section*{{{escape(section.title)}}}")
            for item in section.items:
                parts += _item(item, report.mark)
    return "\n".join(parts) + "\n"


def table_lines(item: Item) -> list[str]:
    """An item's table by itself, after what it needs in the preamble; nothing where it has no rows."""
    return [f"% In the preamble: {NEEDED_PACKAGES} and, for pdfLaTeX, \\usepackage[T1]{{fontenc}}", *_item(item, "")]


def escape(words: str) -> str:
    """Text that LaTeX prints as it is; what no Latin font has is given by its code point."""
    apart = re.sub(r"([-,'])(?=\1)", "\\1\u200b", plain(words))  # two of these would be joined to another sign
    return "".join(_letter(letter) for letter in apart)


def _letter(letter: str) -> str:
    if letter in ESCAPED_LETTERS:
        return ESCAPED_LETTERS[letter]
    return letter if ord(letter) < 0x180 else f"{{[}}U+{ord(letter):04X}{{]}}"


def _comment(words: str) -> str:
    return " ".join(plain(words).split())


def _item(item: Item, mark: str) -> list[str]:
    if item.table is None or not item.table.rows:
        return []
    said = sentence(f"{item.title}, {item.n}") + " " + sentence(item.how)
    caption = f"{mark.partition(':')[0]}. {said}" if mark else said
    return ["", *_table(item.table, caption)]


def _table(table: ReportTable, caption: str) -> list[str]:
    columns = "@{}" + "".join(_columns(table)) + "@{}"
    head = " & ".join(rf"\textbf{{{escape(column)}}}" for column in table.columns) + r" \\"
    again = rf"\multicolumn{{{len(table.columns)}}}{{r@{{}}}}{{continued on the next page}} \\"
    rows = [" & ".join(_cell(cell) for cell in row) + r" \\" for row in table.rows]
    return [
        r"{\footnotesize\setlength{\tabcolsep}{3pt}",
        rf"\begin{{longtable}}{{{columns}}}",
        rf"\caption{{{escape(caption)}}}\\",
        rf"\toprule {head} \midrule",
        r"\endfirsthead",
        rf"\toprule {head} \midrule",
        r"\endhead",
        rf"\midrule {again}",
        r"\endfoot",
        r"\bottomrule",
        r"\endlastfoot",
        *rows,
        r"\end{longtable}}",
    ]


def _columns(table: ReportTable) -> list[str]:
    """Columns as wide as they need: short text on one line, long text shares the rest by its length; heads are wrapped."""
    count = range(len(table.columns))
    longest = [max([len(row[at]) for row in table.rows], default=0) for at in count]
    heads = [BOLD_FACTOR * max(map(len, head.split()), default=0) for head in table.columns]
    least = [max(heads[at], longest[at] if longest[at] <= SHORT_LETTERS else LEAST_LETTERS) for at in count]
    wanted = [max(0.0, longest[at] - least[at]) for at in count]
    spare = max(0.0, LINE_LETTERS - sum(least) - COLUMN_GAP_LETTERS * len(table.columns))
    part = min(1.0, spare / sum(wanted)) if any(wanted) else 0.0
    letters = [least[at] + part * wanted[at] for at in count]
    squeezed = min(1.0, (LINE_LETTERS - COLUMN_GAP_LETTERS * len(table.columns)) / sum(letters))
    sides = ["left" if at in table.numbers else "right" for at in count]  # ragged on the left: set to the right
    return [
        rf">{{\ragged{side}\arraybackslash}}p{{{squeezed * width / LINE_LETTERS:.3f}\linewidth}}"
        for side, width in zip(sides, letters, strict=True)
    ]


def _cell(words: str) -> str:
    """A cell; its longest words, hashes above all, may go on in the next line."""
    return escape(re.sub(rf"(\w{{{WORD_LETTERS}}})(?=\w)", "\\1\u200b", words))
