"""A report's tables as LaTeX for a paper: booktabs, in long tables that may go on over pages. No text can become a command."""

import re
from collections.abc import Sequence

from evenhand.report.blocks import Item, Report, Table, plain
from evenhand.report.page import sentence

NEEDS = r"\usepackage{array,booktabs,longtable}"
LINE = 76  # letters that fit the width of a text column of LaTeX's articles, in the smaller type
BETWEEN = 1.5  # letters that lie between two columns
BOLD = 1.2  # how much wider the bold words of a head are
SHORT = 16  # letters of a column that is never wrapped
LEAST = 9  # letters of a wrapped column at least
WORD = 18  # letters without a space after which a word may be broken
ESCAPED = {
    "\\": r"\textbackslash{}", "{": r"\{", "}": r"\}", "$": r"\$", "&": r"\&", "#": r"\#", "_": r"\_", "%": r"\%",
    "^": r"\textasciicircum{}", "~": r"\textasciitilde{}", "<": r"\textless{}", ">": r"\textgreater{}", "|": r"\textbar{}",
    '"': r"\char34{}", "`": r"\textasciigrave{}", "*": "{*}", "[": "{[}", "]": "{]}",
    "\u202f": r"\,", "\u200b": r"\allowbreak{}", "–": "--", "—": "---", "−": r"$-$", "×": r"$\times$", "±": r"$\pm$",
    "≤": r"$\le$", "≥": r"$\ge$", "→": r"$\to$", "χ": r"$\chi$", "²": r"\textsuperscript{2}", "…": r"\ldots{}", "·": r"$\cdot$",
    "“": "``", "”": "''", "‘": "`", "’": "'", "µ": r"\textmu{}",
}  # fmt: skip


def latex(report: Report, sections: Sequence[str] = ("disclosure",)) -> str:
    """The tables of some sections, by their keys, as a part of a document: \\input it after loading what its first lines name.

    The same report gives the same text. It compiles with pdfLaTeX, too: letters beyond Latin are given by their code points.
    """
    head = [f"% {_comment(report.title)}", f"% In the preamble: {NEEDS} and, for pdfLaTeX, \\usepackage[T1]{{fontenc}}"]
    parts = head
    if report.mark:
        parts += [rf"\noindent\textbf{{{escape(report.mark)}}}", ""]
    for section in report.sections:
        if section.key in sections:
            parts.append(rf"\section*{{{escape(section.title)}}}")
            for item in section.items:
                parts += _item(item, report.mark)
    return "\n".join(parts) + "\n"


def escape(words: str) -> str:
    """Text that LaTeX prints as it is; what no Latin font has is given by its code point."""
    apart = re.sub(r"([-,'])(?=\1)", "\\1\u200b", plain(words))  # two of these would be joined to another sign
    return "".join(_letter(each) for each in apart)


def _letter(letter: str) -> str:
    if letter in ESCAPED:
        return ESCAPED[letter]
    return letter if ord(letter) < 0x180 else f"{{[}}U+{ord(letter):04X}{{]}}"


def _comment(words: str) -> str:
    return " ".join(plain(words).split())


def _item(item: Item, mark: str) -> list[str]:
    if item.table is None or not item.table.rows:
        return []
    said = sentence(f"{item.title}, {item.n}") + " " + sentence(item.how)
    caption = f"{mark.partition(':')[0]}. {said}" if mark else said
    return ["", *_table(item.table, caption)]


def _table(found: Table, caption: str) -> list[str]:
    columns = "@{}" + "".join(_columns(found)) + "@{}"
    head = " & ".join(rf"\textbf{{{escape(each)}}}" for each in found.columns) + r" \\"
    again = rf"\multicolumn{{{len(found.columns)}}}{{r@{{}}}}{{continued on the next page}} \\"
    rows = [" & ".join(_cell(cell) for cell in row) + r" \\" for row in found.rows]
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


def _columns(found: Table) -> list[str]:
    """Columns as wide as they need: short text on one line, long text shares the rest by its length; heads are wrapped."""
    count = range(len(found.columns))
    longest = [max([len(row[at]) for row in found.rows], default=0) for at in count]
    heads = [BOLD * max(map(len, head.split()), default=0) for head in found.columns]
    least = [max(heads[at], longest[at] if longest[at] <= SHORT else LEAST) for at in count]
    wanted = [max(0.0, longest[at] - least[at]) for at in count]
    spare = max(0.0, LINE - sum(least) - BETWEEN * len(found.columns))
    part = min(1.0, spare / sum(wanted)) if any(wanted) else 0.0
    letters = [least[at] + part * wanted[at] for at in count]
    squeezed = min(1.0, (LINE - BETWEEN * len(found.columns)) / sum(letters))
    sides = ["left" if at in found.numbers else "right" for at in count]  # ragged on the left: set to the right
    return [
        rf">{{\ragged{side}\arraybackslash}}p{{{squeezed * each / LINE:.3f}\linewidth}}"
        for side, each in zip(sides, letters, strict=True)
    ]


def _cell(words: str) -> str:
    """A cell; its longest words, hashes above all, may go on in the next line."""
    return escape(re.sub(rf"(\w{{{WORD}}})(?=\w)", "\\1\u200b", words))
