"""The commands `evenhand backup` and `evenhand restore`: the whole database to a file and back, while a server goes on."""

from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer

from evenhand.cli.options import Database, console, writable

app = typer.Typer()


@app.command()
def backup(
    where: Annotated[
        Path | None,
        typer.Argument(
            help="a folder, or a .zip [default: backups in the data directory]", metavar="[DIR|FILE]", callback=writable
        ),
    ] = None,
    db: Database = None,
) -> None:
    """Write all records to a file that `evenhand restore` reads; a running server goes on meanwhile."""
    from evenhand import settings
    from evenhand.exchange import backup
    from evenhand.lab.lab import Lab

    lab, data_dir = Lab.connect(db), settings.data_dir()
    folder = where or data_dir / "backups"
    with console.status("Writing ..."):
        made = backup.write(lab, folder, data_dir) if folder.suffix == ".zip" else backup.make(lab, folder, data_dir)
    console.print(f"{made}: {made.stat().st_size / 1e6:.1f} MB, readable by you only")
    if counts := backup.odd_cells_of(made):
        console.print(f"Of what the database holds {backup.odd_words(counts)}; the backup keeps them byte for byte.")


@app.command()
def restore(
    file: Annotated[Path, typer.Argument(help="what `evenhand backup` wrote", metavar="FILE")],
    yes: Annotated[bool, typer.Option("--yes", help="do not ask")] = False,
    db: Database = None,
) -> None:
    """Put a backup in the place of all records; whoever withdrew since stays erased. A running server goes on meanwhile."""
    from evenhand import settings
    from evenhand.exchange import backup
    from evenhand.lab.lab import Lab

    with console.status("Checking ..."):
        copy, url = backup.Backup(file), db or settings.default_database()
    made_at = datetime.fromtimestamp(copy.manifest.made_at, UTC)
    people = copy.manifest.tables["participant"]["rows"]
    console.print(f"{file}: made {made_at:%Y-%m-%d %H:%M:%S} UTC by Evenhand {copy.manifest.version}, {people} participants")
    if not yes:
        typer.confirm("Replace all that the database holds now? What was recorded since then is lost from it.", abort=True)
    ruin = backup.set_aside(url, settings.data_dir())
    with console.status("Restoring ..."):
        lab = Lab.connect(url)
        done = backup.restore(lab, copy, settings.data_dir())
    console.print(f"{done.rows} rows are back; {done.erased} people who withdrew since were erased again")
    for line in backup.replaced_words(done.replaced):
        console.print(line)
    console.print(f"What was there before: {ruin or done.safety}")
    if ruin is not None:
        console.print("It was damaged and lies there as it was. A server that runs on it has to be stopped and started again.")
