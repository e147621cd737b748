"""The commands `evenhand study export` and `import`: a study's records as an archive that opens anywhere, out and in."""

from pathlib import Path
from typing import Annotated

import typer

from evenhand.cli.options import Database, StudyName, console, laboratory, mode_of, who_here, writable
from evenhand.errors import InvalidSettings


def export(
    study: StudyName,
    out: Annotated[Path, typer.Option(help="a .zip, or a folder", callback=writable)] = Path("study.zip"),
    mode: Annotated[str, typer.Option(help="whose records: live, pilot or simulated")] = "live",
    form: Annotated[
        str,
        typer.Option("--format", help="of the tables: csv, jsonl, parquet, or spreadsheet: csv for Excel, not read back"),
    ] = "csv",
    without: Annotated[
        bool, typer.Option("--without-evaluations", help="no test scores; allowed at any time, and no look is logged")
    ] = False,
    db: Database = None,
) -> None:
    """Write a study's records as tidy tables, with a codebook; each look at test scores is logged."""
    from evenhand.exchange import export

    chosen = mode_of(mode)
    if out.suffix not in (".zip", ""):
        raise InvalidSettings(f"--out {str(out)!r}: expected a name that ends in .zip, or a folder's")
    lab = laboratory(db)
    exporter = export.Export(lab, lab.studies.named(study).id, chosen, who=who_here(lab), form=form, evaluations=not without)
    with console.status("Writing ..."):
        (export.to_zip if out.suffix else export.to_folder)(exporter, out)
    console.print(f"{out}: " + ", ".join(f"{count} {table}" for table, count in exporter.count.items()))


def import_(
    path: Annotated[Path, typer.Argument(help="a folder or .zip that `study export` wrote", metavar="ARCHIVE")],
    name: Annotated[str | None, typer.Option(help="another name than in the archive")] = None,
    db: Database = None,
) -> None:
    """Bring an archive into a laboratory, to be looked at there; nobody can take part in it."""
    from evenhand.exchange import archive

    with console.status("Checking ..."):
        package = archive.Package(path)
    with console.status("Bringing in ..."):
        study = laboratory(db).transfer.bring_in(
            package.archive,
            tasks=package.tasks,
            batches=package.batches,
            measurements=package.measurements(),
            events=package.events(),
            name=name,
        )
    people, sessions = len(package.archive.participants), len(package.archive.sessions)
    console.print(f"Study {study.id} {study.name!r}, an archive: {people} participants, {sessions} sessions ({package.mode})")
