"""The command `evenhand study export`: a study's records as an archive that opens anywhere."""

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from evenhand.declaration import MODES, Mode
from evenhand.errors import InvalidSettings

console = Console(highlight=False, soft_wrap=True)


def export(
    study: Annotated[str, typer.Argument(help="the study's name or number")],
    out: Annotated[Path, typer.Option(help="the archive, a .zip")] = Path("study.zip"),
    mode: Annotated[str, typer.Option(help="whose records: live, pilot or simulated")] = "live",
    db: Annotated[str | None, typer.Option("--db", help="SQLAlchemy URL [default: SQLite in the data directory]")] = None,
) -> None:
    """Write the study's records, measurements apart, as an archive for `study report`; looks at test scores are logged."""
    from evenhand import __version__, archive
    from evenhand.lab import Lab

    if mode not in MODES:
        raise InvalidSettings(f"--mode {mode!r}: expected one of {', '.join(MODES)}")
    if out.suffix != ".zip":
        raise InvalidSettings(f"--out {str(out)!r}: expected a name that ends in .zip")
    chosen: Mode = mode
    lab = Lab.connect(db)
    found = lab.archive(lab.study_named(study).id, chosen)
    archive.write(found, out, __version__)
    console.print(f"{out}: {len(found.participants)} participants, {len(found.sessions)} sessions")
