"""The commands `evenhand data` and `data fetch`: the image data sets that the black-magic task can use."""

from typing import Annotated

import typer
from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table

from evenhand.cli.options import console

app = typer.Typer(name="data", help="The image data sets that the black-magic task can use.", invoke_without_command=True)


@app.callback()
def data_list(context: typer.Context) -> None:
    """List the data sets with their state; `evenhand data fetch NAME` brings one here."""
    if context.invoked_subcommand is not None:
        return
    from evenhand.tasks.builtin import images

    table = Table("name", "state", "images", "download", "licence", "checksum", box=None)
    for source in images.sources():
        size = f"{source.size / 1e6:.0f} MB" if source.size else "none"
        table.add_row(source.name, source.state, str(source.images), size, source.licence, source.checksum)
    console.print(table)
    console.print(f"Kept in {images.home()}. A folder or tar of SPLIT/CLASS/FILE can be named by its path wherever a name can.")


@app.command(name="fetch")
def data_fetch(name: Annotated[str, typer.Argument(help="a name that `evenhand data` lists")]) -> None:
    """Download a data set; what was interrupted is continued."""
    from evenhand.tasks.builtin import images

    images.source(name)  # a name that there is, before anything is drawn
    with Progress(TextColumn(name), BarColumn(), DownloadColumn(), TimeRemainingColumn(), console=console) as progress:
        bar = progress.add_task(name, total=None)
        source = images.fetch(name, lambda done, total: progress.update(bar, completed=done, total=total))
    console.print(f"{source.name}: {source.state}, {source.where or 'nothing to download'}")
