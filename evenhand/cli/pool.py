"""The command `evenhand study pool`: archives of several labs, or versions, as one meta-analysis."""

from pathlib import Path
from typing import Annotated

import typer

from evenhand.cli.options import console, writable
from evenhand.cli.report import check_out, write
from evenhand.errors import InvalidSettings


def pool(
    archives: Annotated[list[Path], typer.Argument(help="archives that `study export` wrote, two or more", metavar="ARCHIVE...")],
    out: Annotated[Path, typer.Option(help="pooled.html, or pooled.pdf", callback=writable)] = Path("pooled.html"),
    paper: Annotated[bool, typer.Option("--paper/--no-paper", help="the paper's printed values as one more study")] = True,
    figures: Annotated[
        Path | None, typer.Option(help="also write each figure and table by itself into this folder", callback=writable)
    ] = None,
) -> None:
    """Pool studies of several labs: random-effects means of their effects, and how much the labs differ."""
    from evenhand.exchange.archive import Package
    from evenhand.report import pooling

    if len(archives) < 2:
        raise InvalidSettings(f"one archive, {archives[0]}: expected two or more to pool; `evenhand study report` reads one")
    check_out(out)
    with console.status("Reading ..."):
        packages = {name: Package(path) for name, path in zip(_names(archives), archives, strict=True)}
    modes = {package.mode for package in packages.values()}
    if len(modes) > 1:
        said = ", ".join(f"{name} {package.mode}" for name, package in packages.items())
        raise InvalidSettings(f"archives of different modes ({said}): live, pilot and simulated records are never pooled")
    with console.status("Computing ..."):
        built = pooling.build({name: package.archive for name, package in packages.items()}, modes.pop(), paper)
    write(built, out, figures)
    for words in built.lead:
        console.print(words, markup=False)


def _names(archives: list[Path]) -> list[str]:
    """What each archive is called: its file's name, or its whole path where two have the same."""
    names = [path.name for path in archives]
    return names if len(set(names)) == len(names) else [str(path) for path in archives]
