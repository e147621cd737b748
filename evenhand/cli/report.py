"""The command `evenhand study report`: the report of a study in the database, or of an archive."""

import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from evenhand.cli.options import Database, console, laboratory, mode_of, who_here, writable
from evenhand.errors import InvalidSettings

if TYPE_CHECKING:
    from evenhand.model.archive import Archive
    from evenhand.model.study import Mode
    from evenhand.report.blocks import Report


def report(
    study: Annotated[str, typer.Argument(help="the study's name or number, or an exported archive", metavar="STUDY|ARCHIVE")],
    out: Annotated[Path, typer.Option(help="report.html, or report.pdf", callback=writable)] = Path("report.html"),
    mode: Annotated[
        str | None, typer.Option(help="whose records: live, pilot or simulated [default: live, or the only ones in an archive]")
    ] = None,
    regroup: Annotated[str | None, typer.Option(help="group by another question, as QUESTIONNAIRE.QUESTION")] = None,
    figures: Annotated[
        Path | None, typer.Option(help="also write each figure and table by itself into this folder", callback=writable)
    ] = None,
    db: Database = None,
) -> None:
    """Write the study's tables and figures as one page, or as PDF; each look at test scores is logged."""
    from evenhand.report import study as study_report

    wanted = None if mode is None else mode_of(mode)
    check_out(out)
    with console.status("Computing ..."):
        archive, chosen = _records(study, wanted, db)
        built = study_report.build(archive, chosen, regroup=regroup)
    write(built, out, figures)


def check_out(out: Path) -> None:
    """Nothing, or an error where no report can be written there or made here: asked before anything is computed."""
    from evenhand.report import document, page

    if out.suffix not in (".html", ".pdf"):
        raise InvalidSettings(f"--out {str(out)!r}: expected a name that ends in .html or .pdf")
    (document if out.suffix == ".pdf" else page).check()


def write(built: "Report", out: Path, figures: Path | None) -> None:
    """Write a report as a page or PDF, and each figure and table by itself where a folder is named; say what was written."""
    from evenhand.report import document, page

    today = time.strftime("%Y-%m-%d", time.gmtime())
    with console.status("Drawing ..."):
        if out.suffix == ".pdf":
            out.write_bytes(document.pdf(built, today))
        else:
            out.write_text(page.html(built, today), encoding="utf-8")
        written = page.files(built, figures) if figures is not None else []
    console.print(f"{out}: {len(built.items)} items, {out.stat().st_size / 1e3:.0f} kB")
    if figures is not None:
        console.print(f"{figures}: {len(written)} files")


def _records(study: str, mode: "Mode | None", db: str | None) -> "tuple[Archive, Mode]":
    """An archive's records, or those of a study in the database, and whose they are."""
    from evenhand.exchange.codebook import MANIFEST

    path = Path(study)
    if path.suffix == ".zip" or path.is_file() or (path / MANIFEST).is_file():
        from evenhand.exchange.archive import Package

        package = Package(path)
        if mode not in (None, package.mode):
            raise InvalidSettings(f"--mode {mode!r}: {study} holds {package.mode} records; leave --mode out")
        return package.archive, package.mode

    lab = laboratory(db)
    return lab.studies.archive(lab.studies.named(study).id, mode or "live", who_here(lab)), mode or "live"
