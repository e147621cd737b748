"""The commands `evenhand optuna import` and `export`: studies of Optuna in, sessions out."""

from typing import Annotated

import typer

from evenhand.cli.open import bring_in
from evenhand.cli.options import Database, console

app = typer.Typer(
    name="optuna", help="Studies of Optuna: bring one in as a session, or write a session as one.", no_args_is_help=True
)
Storage = Annotated[str, typer.Argument(help="Optuna's storage: an SQLAlchemy URL, or a journal file", metavar="STORAGE")]


@app.command(name="import")
def import_(
    storage: Storage,
    study: Annotated[str | None, typer.Argument(help="the study's name [default: all]", metavar="STUDY")] = None,
    name: Annotated[str | None, typer.Option(help="another name here than 'optuna STUDY'")] = None,
    db: Database = None,
) -> None:
    """Bring studies of Optuna into a laboratory, to be looked at there; says what has no place. The same as open --import."""
    from evenhand.exchange.formats.base import Wanted

    bring_in(storage, Wanted(study=study), name, db)


@app.command(name="export")
def export(
    session: Annotated[int, typer.Argument(help="the session's number")],
    storage: Storage,
    name: Annotated[str | None, typer.Option(help="of the study [default: evenhand session N]")] = None,
    db: Database = None,
) -> None:
    """Write a session as a study of Optuna."""
    import optuna

    from evenhand.exchange import optuna as optuna_exchange

    optuna.logging.set_verbosity(optuna.logging.WARNING)  # it is said below what was written
    with console.status("Writing ..."):
        study = optuna_exchange.export_session(session, storage=storage, name=name, db=db)
    console.print(f"Study {study.study_name!r}: {len(study.trials)} trials", markup=False)
