"""The commands `evenhand methods-text`, `report` and `export`: what leaves the laboratory with a run's result."""

from pathlib import Path
from typing import Annotated

import typer

from evenhand.cli.options import Database, SessionName, console, escape, laboratory, names_that_looked, session_called, writable
from evenhand.errors import InvalidSettings

app = typer.Typer()
OPTUNA = "optuna"  # a format of `export`


@app.command(name="methods-text")
def methods_text(
    session: SessionName,
    as_json: Annotated[bool, typer.Option("--json", help="what repeats the run, for programs")] = False,
    as_latex: Annotated[bool, typer.Option("--latex", help="the paragraph with its citations and the table, in LaTeX")] = False,
    bibtex: Annotated[bool, typer.Option("--bibtex", help="what to cite, alone")] = False,
    db: Database = None,
) -> None:
    """Print a run for a paper: a paragraph, BibTeX, and all that a clean machine needs to repeat it."""
    from evenhand.report import methods_text as texts
    from evenhand.report import run_records

    if as_json + as_latex + bibtex > 1:
        raise InvalidSettings("methods-text: got several of --json, --latex and --bibtex, expected one of them")
    lab = laboratory(db)
    try:
        text = texts.methods_text(run_records.read(lab, session_called(lab, session), names_that_looked(lab)))
    finally:
        lab.close()
    typer.echo(text.json() if as_json else text.latex() if as_latex else text.bibtex if bibtex else str(text))


@app.command()
def report(
    session: SessionName,
    out: Annotated[Path, typer.Option(help="report.html, or report.pdf", callback=writable)] = Path("report.html"),
    figures: Annotated[
        Path | None, typer.Option(help="also write each figure and table by itself into this folder", callback=writable)
    ] = None,
    db: Database = None,
) -> None:
    """Write the report of a run as one HTML file, or as PDF."""
    from evenhand.cli.report import check_out, write
    from evenhand.report import run, run_records

    check_out(out)
    lab = laboratory(db)
    try:
        with console.status("Computing ..."):
            records = run_records.read(lab, session_called(lab, session), names_that_looked(lab))
            built = run.build(records, run.drawn_curves(lab, records.session), run_records.names_in(lab, records))
    finally:
        lab.close()
    write(built, out, figures)


@app.command()
def export(
    session: SessionName,
    out: Annotated[
        str | None, typer.Option(help="a file that ends in .csv or .parquet; of optuna a storage's URL or journal file")
    ] = None,
    form: Annotated[
        str | None, typer.Option("--format", help="csv, parquet or optuna [default: what the file's ending says]")
    ] = None,
    name: Annotated[str | None, typer.Option(help="of Optuna's study [default: evenhand session N]")] = None,
    db: Database = None,
) -> None:
    """Write a run's trials for other programs: CSV (on standard output without --out), Parquet, or a study of Optuna."""
    from evenhand.exchange import trial_tables

    lab = laboratory(db)
    run = session_called(lab, session)
    seen = lab.evaluations.seen_before(run.id) if run.purpose == "exploratory" else None
    lab.close()
    if seen is not None:
        typer.echo(seen.words, err=True)
    if form == OPTUNA:
        _to_optuna(run.id, out, name, db)
    elif name is not None:
        raise InvalidSettings(f"export: --name {name!r} is of --format optuna; leave it out")
    elif out is None:
        if form not in (None, "csv"):
            raise InvalidSettings(f"export: --format {form} without --out; expected --out and a file")
        typer.echo(trial_tables.csv_text(run, seen), nl=False)
    else:
        path = writable(Path(out))
        assert path is not None
        count = trial_tables.write(run, path, trial_tables.format_of(path, form), seen)
        console.print(escape(f"{path}: {count} trials"))


def _to_optuna(session_id: int, out: str | None, name: str | None, db: str | None) -> None:
    from evenhand.cli.optuna import export as export_to_optuna

    if out is None:
        raise InvalidSettings("export: --format optuna without --out; expected --out sqlite:///study.db, or a journal file")
    export_to_optuna(session_id, out, name, db)
