"""The commands `evenhand study export` and `import`: a study's records as an archive that opens anywhere, out and in."""

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from evenhand.declaration import MODES, Mode
from evenhand.errors import InvalidSettings

console = Console(highlight=False, soft_wrap=True)
Database = Annotated[str | None, typer.Option("--db", help="SQLAlchemy URL [default: SQLite in the data directory]")]


def export(
    study: Annotated[str, typer.Argument(help="the study's name or number", metavar="STUDY")],
    out: Annotated[Path, typer.Option(help="a .zip, or a folder")] = Path("study.zip"),
    mode: Annotated[str, typer.Option(help="whose records: live, pilot or simulated")] = "live",
    form: Annotated[str, typer.Option("--format", help="of the tables: csv, jsonl or parquet")] = "csv",
    without: Annotated[
        bool, typer.Option("--without-evaluations", help="no test scores; allowed at any time, and no look is logged")
    ] = False,
    db: Database = None,
) -> None:
    """Write a study's records as tidy tables, with a codebook; each look at test scores is logged."""
    from evenhand import export
    from evenhand.conduct import RESEARCHER
    from evenhand.lab import Lab

    if mode not in MODES:
        raise InvalidSettings(f"--mode {mode!r}: expected one of {', '.join(MODES)}")
    if out.suffix not in (".zip", ""):
        raise InvalidSettings(f"--out {str(out)!r}: expected a name that ends in .zip, or a folder's")
    chosen: Mode = mode
    lab = Lab.connect(db)
    found = export.Export(lab, lab.study_named(study).id, chosen, who=RESEARCHER, form=form, evaluations=not without)
    with console.status("Writing ..."):
        (export.to_zip if out.suffix else export.to_folder)(found, out)
    console.print(f"{out}: " + ", ".join(f"{count} {table}" for table, count in found.count.items()))


def import_(
    path: Annotated[Path, typer.Argument(help="a folder or .zip that `study export` wrote", metavar="ARCHIVE")],
    name: Annotated[str | None, typer.Option(help="another name than in the archive")] = None,
    db: Database = None,
) -> None:
    """Bring an archive into a laboratory, to be looked at there; nobody can take part in it."""
    from evenhand import archive
    from evenhand.lab import Lab

    with console.status("Checking ..."):
        found = archive.Package(path)
    with console.status("Bringing in ..."):
        study = Lab.connect(db).bring_in(
            found.archive,
            tasks=found.tasks,
            batches=found.batches,
            measurements=found.measurements(),
            events=found.events(),
            name=name,
        )
    people, sessions = len(found.archive.participants), len(found.archive.sessions)
    console.print(f"Study {study.id} {study.name!r}, an archive: {people} participants, {sessions} sessions ({found.mode})")
