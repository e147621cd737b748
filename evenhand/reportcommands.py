"""The command `evenhand study report`: the report of a study in the database, or of an archive."""

import time
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from evenhand.codebook import MANIFEST
from evenhand.declaration import MODES, Mode
from evenhand.errors import InvalidSettings
from evenhand.records import Archive

console = Console(highlight=False, soft_wrap=True)


def report(
    study: Annotated[str, typer.Argument(help="the study's name or number, or an exported archive", metavar="STUDY|ARCHIVE")],
    out: Annotated[Path, typer.Option(help="report.html, or report.pdf")] = Path("report.html"),
    mode: Annotated[
        str | None, typer.Option(help="whose records: live, pilot or simulated [default: live, or the only ones in an archive]")
    ] = None,
    regroup: Annotated[str | None, typer.Option(help="group by another question, as QUESTIONNAIRE.QUESTION")] = None,
    figures: Annotated[Path | None, typer.Option(help="also write each figure and table by itself into this folder")] = None,
    db: Annotated[str | None, typer.Option("--db", help="SQLAlchemy URL [default: SQLite in the data directory]")] = None,
) -> None:
    """Write the study's tables and figures as one page, or as PDF; each look at test scores is logged."""
    from evenhand.report import build, document, page

    if mode is not None and mode not in MODES:
        raise InvalidSettings(f"--mode {mode!r}: expected one of {', '.join(MODES)}")
    if out.suffix not in (".html", ".pdf"):
        raise InvalidSettings(f"--out {str(out)!r}: expected a name that ends in .html or .pdf")
    with console.status("Computing ..."):
        archive, chosen = _records(study, mode, db)
        found = build.build(archive, chosen, regroup=regroup)
    today = time.strftime("%Y-%m-%d", time.gmtime())
    with console.status("Drawing ..."):
        if out.suffix == ".pdf":
            out.write_bytes(document.pdf(found, today))
        else:
            out.write_text(page.html(found, today), encoding="utf-8")
        written = page.files(found, figures) if figures is not None else []
    console.print(f"{out}: {len(found.items)} items, {out.stat().st_size / 1e3:.0f} kB")
    if figures is not None:
        console.print(f"{figures}: {len(written)} files")


def _records(study: str, mode: Mode | None, db: str | None) -> tuple[Archive, Mode]:
    """An archive's records, or those of a study in the database, and whose they are."""
    path = Path(study)
    if path.suffix == ".zip" or path.is_file() or (path / MANIFEST).is_file():
        from evenhand.archive import Package

        found = Package(path)
        if mode not in (None, found.mode):
            raise InvalidSettings(f"--mode {mode!r}: {study} holds {found.mode} records; leave --mode out")
        return found.archive, found.mode

    from evenhand.lab import Lab

    lab = Lab.connect(db)
    return lab.archive(lab.study_named(study).id, mode or "live"), mode or "live"
