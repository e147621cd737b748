"""The commands `evenhand finalize` and `predict`: a session's choice as a model in a folder, and what it says of a new table."""

import sys
from pathlib import Path
from typing import Annotated

import typer

from evenhand.cli.options import Database, SessionName, console, escape, session_called, writable
from evenhand.errors import Refused

app = typer.Typer()


@app.command()
def finalize(
    session: SessionName,
    to: Annotated[Path | None, typer.Option(help="the folder [default: one in the data directory]")] = None,
    db: Database = None,
) -> None:
    """Train a session's choice on all data but test, and keep the model in a folder with a model card."""
    from evenhand.experiments.final_models import is_of_estimator
    from evenhand.experiments.tune import result_of
    from evenhand.lab.lab import Lab

    lab = Lab.connect(db)
    known = session_called(lab, session)
    if is_of_estimator(known):
        raise Refused(
            f"session {known.id} tuned an estimator, which is in the program that called tune_estimator, with its data; call "
            "result.finalize() there"
        )
    with console.status("Training the choice on all data but test ..."):
        folder = result_of(lab, known, db).finalize(to)
    console.print(escape(f"The model of session {known.id} is in {folder}\nevenhand predict {folder} new.csv predicts with it."))


@app.command()
def predict(
    model: Annotated[str, typer.Argument(help="a final model's folder, or a session's name or number", metavar="FOLDER|SESSION")],
    file: Annotated[Path, typer.Argument(help="a CSV file with a row for each example; of images one, or a folder")],
    to: Annotated[
        Path | None, typer.Option(help="a CSV file: the table with a column of predictions [default: print these]")
    ] = None,
    trust: Annotated[bool, typer.Option(help="read a model that this laboratory did not write: that runs code in it")] = False,
    db: Database = None,
) -> None:
    """Predict a new table, or images, with a final model; a table's columns are checked first."""
    from evenhand.experiments.predict import predict as run
    from evenhand.lab.lab import Lab

    writable(to)
    predicted = run(Lab.connect(db), model, file, trust=trust)
    if predicted.unused:
        print(f"Columns that the model does not know, and which are not used: {', '.join(predicted.unused)}", file=sys.stderr)
    if predicted.left_out:
        print(f"Columns that number the rows, and were left out in training: {', '.join(predicted.left_out)}", file=sys.stderr)
    if to is None:
        typer.echo("\n".join(map(str, predicted.values)))
    else:
        predicted.save(to)
