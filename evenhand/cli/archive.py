"""The commands `evenhand study export` and `import`: a study's records as an archive that opens anywhere, out and in."""

import tempfile
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from evenhand.cli.options import Database, StudyName, console, laboratory, mode_of, who_here, writable
from evenhand.errors import InvalidSettings

if TYPE_CHECKING:
    from evenhand.exchange.deposit import Deposit
    from evenhand.exchange.export import Export


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
    public: Annotated[
        bool, typer.Option("--public", help="for everybody: coarse answers, no free text that nobody reviewed")
    ] = False,
    k: Annotated[int, typer.Option("--k", help="public: how many people share each combination of answers")] = 5,
    author: Annotated[list[str] | None, typer.Option(help='public: "Family, Given; affiliation; ORCID"; repeatable')] = None,
    licence: Annotated[str, typer.Option(help="public: of the data, by its SPDX identifier")] = "CC-BY-4.0",
    keep: Annotated[list[str] | None, typer.Option(help="public: a question that identifies nobody; repeatable")] = None,
    reviewed: Annotated[
        Path | None, typer.Option(help="public: the list of free texts, with yes beside those to publish", exists=True)
    ] = None,
    db: Database = None,
) -> None:
    """Write a study's records as tidy tables, with a codebook; each look at test scores is logged."""
    from evenhand.exchange import deposit, export

    chosen = mode_of(mode)
    if out.suffix not in (".zip", ""):
        raise InvalidSettings(f"--out {str(out)!r}: expected a name that ends in .zip, or a folder's")
    if not public and (author or keep or reviewed):
        raise InvalidSettings("--author, --keep and --reviewed are of a public archive; add --public")
    described = deposit.Deposit(tuple(map(deposit.author, author or ())), licence) if public else None
    lab = laboratory(db)
    whole = "csv" if public else form
    exporter = export.Export(lab, lab.studies.named(study).id, chosen, who=who_here(lab), form=whole, evaluations=not without)
    if described is not None:
        _publish(exporter, out, described, form, k, frozenset(keep or ()), reviewed)
        return
    with console.status("Writing ..."):
        (export.to_zip if out.suffix else export.to_folder)(exporter, out)
    console.print(f"{out}: " + ", ".join(f"{count} {table}" for table, count in exporter.count.items()))


def _publish(
    exporter: "Export", out: Path, described: "Deposit", form: str, k: int, keep: frozenset[str], reviewed: Path | None
) -> None:
    """Write a public archive and, beside it, the list of free texts; say what was coarsened and left out."""
    from evenhand.exchange import export, public
    from evenhand.exchange.archive import Package

    with tempfile.TemporaryDirectory() as folder, console.status("Writing ..."):
        export.to_folder(exporter, Path(folder) / "whole")
        package, wishes = Package(Path(folder) / "whole"), public.Wishes(described, k, keep, form=form)
        made = public.PublicArchive(package, wishes)
        if reviewed is not None:
            made = public.PublicArchive(package, replace(wishes, approved=made.reviewed(reviewed)))
        (export.to_zip if out.suffix else export.to_folder)(made, out)
        listed = out.with_name(f"{out.stem}-free-texts.csv")
        if made.texts:
            listed.write_bytes(made.review())
    release = made.release
    console.print(
        f"{out}: k = {release.k}; the smallest of {release.cells} combinations of answers has {release.smallest} people"
    )
    console.print(f"Answers left out: of {release.suppressed} people")
    for path, words in release.coarsened.items():
        console.print(f"  {path}: {words}", markup=False)
    if made.texts:
        console.print(
            f"Free texts left out: {release.texts}; {listed} lists them. Write yes beside those to publish, then --reviewed"
        )
    console.print(f"Compute the report from it: evenhand study report {out}", markup=False)


def import_(
    path: Annotated[Path, typer.Argument(help="a folder or .zip that `study export` wrote", metavar="ARCHIVE")],
    name: Annotated[str | None, typer.Option(help="another name than in the archive")] = None,
    db: Database = None,
) -> None:
    """Bring an archive into a laboratory, to be looked at there; nobody can take part in it."""
    from evenhand.exchange import archive

    with console.status("Checking ..."):
        package = archive.Package(path)
    if package.archive.public is not None:
        raise InvalidSettings(f"{path} is a public archive; read it where it lies: evenhand study report {path}")
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
