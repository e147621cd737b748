"""How records look in a notebook: small pieces of HTML with one scoped style and no script, readable on light and dark.

They are for notebooks alone: pages have templates and style sheets of their own, and a policy that admits no style within.
"""

import html
from collections.abc import Collection, Sequence

# Colours are the surroundings' own, so that it is readable whatever the notebook's theme; the accent alone follows the system's.
STYLE = (
    "<style>"
    ".evenhand-view{--evenhand-accent:#1971c2;color:currentColor;max-width:60rem;overflow-x:auto}"
    "@media (prefers-color-scheme:dark){.evenhand-view{--evenhand-accent:#5cadff}}"
    ".evenhand-view table{border-collapse:collapse;margin:.5em 0;background:none}"
    ".evenhand-view th,.evenhand-view td{padding:.15em .8em .15em 0;border:0;background:none;color:inherit;text-align:left;"
    "vertical-align:top}"
    ".evenhand-view thead th{border-bottom:1px solid currentColor;font-weight:600}"
    ".evenhand-view .number{text-align:right;font-variant-numeric:tabular-nums}"
    ".evenhand-view .best{font-weight:600}"
    ".evenhand-view .quiet{opacity:.7}"
    ".evenhand-view p{margin:.4em 0}"
    ".evenhand-view svg{color:inherit;max-width:100%}"
    ".evenhand-view .accent{color:var(--evenhand-accent)}"
    "</style>"
)


def view(*parts: str) -> str:
    """Pieces of HTML as one output of a notebook's cell.

    Args:
        parts: HTML that is escaped where others wrote it.

    Returns:
        One element, with the style that it needs.
    """
    return f'<div class="evenhand-view">{STYLE}{"".join(part for part in parts if part)}</div>'


def title(words: str, beside: str = "") -> str:
    """A line in bold, and words beside it."""
    return f"<p><b>{html.escape(words)}</b>{f' <span>{html.escape(beside)}</span>' if beside else ''}</p>"


def said(words: str, quiet: bool = False) -> str:
    """A paragraph; of nothing nothing."""
    return f"<p{_kind('quiet') if quiet else ''}>{html.escape(words)}</p>" if words else ""


def table(columns: Sequence[str], rows: Sequence[Sequence[str]], numbers: Collection[int] = (), best: int | None = None) -> str:
    """A table of text. A column in which nothing stands is left out.

    Args:
        columns: the heads.
        rows: a text for each column.
        numbers: the places of the columns that are set to the right, from 0.
        best: the place of the row that is set in bold.

    Returns:
        The table; nothing without rows.
    """
    shown = [place for place in range(len(columns)) if any(row[place] for row in rows)]
    if not shown:
        return ""
    head = "".join(_cell("th", columns[place], place in numbers) for place in shown)
    lines = [
        f"<tr{_kind('best') if at == best else ''}>{''.join(_cell('td', row[place], place in numbers) for place in shown)}</tr>"
        for at, row in enumerate(rows)
    ]
    return f"<table><thead><tr>{head}</tr></thead><tbody>{''.join(lines)}</tbody></table>"


def _cell(tag: str, words: str, is_number: bool) -> str:
    return f"<{tag}{_kind('number') if is_number else ''}>{html.escape(words)}</{tag}>"


def _kind(name: str) -> str:
    return f' class="{name}"'
