"""The command line: a table of contents. A group of commands is a module, which registers what it has once, as its `app`.

Heavy imports wait until their command runs, so that `evenhand --help` answers at once.
"""

import sys
from typing import Annotated, Any, NoReturn

import typer

from evenhand import __version__
from evenhand.cli import (
    agent,
    backup,
    bots,
    classroom,
    compare,
    contest,
    data,
    explain,
    models,
    open,
    optuna,
    people,
    runs,
    serve,
    show,
    study,
    take_away,
    task,
    tune,
)
from evenhand.cli.options import console, errors, escape
from evenhand.cli.unexpected import make_printable, sentence
from evenhand.errors import EvenhandError

app = typer.Typer(
    name="evenhand",
    help="A laboratory where people and optimizers tune the same task on equal terms.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
)
for group in (
    bots,
    backup,
    compare,
    contest,
    classroom,
    serve,
    people,
    agent,
    tune,
    runs,
    show,
    take_away,
    explain,
    models,
    data,
    task,
    study,
    open,
    optuna,
):
    app.add_typer(group.app)


def program() -> Any:
    """All commands, with brackets in their help as they were written: Rich would take [default: 5] for markup."""
    command: Any = typer.main.get_command(app)
    waiting = [command]
    while waiting:
        item = waiting.pop()
        if item.help:
            item.help = escape(item.help)
        waiting += [*getattr(item, "params", ()), *getattr(item, "commands", {}).values()]
    return command


def main() -> None:
    """The entry point: an error becomes one message and exit code 1; of one that nobody foresaw, a file keeps the rest."""
    make_printable()
    try:
        program()()
    except EvenhandError as error:
        _fail(str(error))
    except Exception as error:
        _fail(sentence(error, sys.argv[1:]))


def _fail(words: str) -> NoReturn:
    errors.print(f"[red]error[/] {escape(words)}")
    raise SystemExit(1) from None


def _show_version(wanted: bool) -> None:
    if wanted:
        console.print(__version__)
        raise typer.Exit


@app.callback()
def options(
    version: Annotated[bool, typer.Option("--version", help="Show the version.", callback=_show_version, is_eager=True)] = False,
) -> None:
    """A laboratory where people and optimizers tune the same task on equal terms."""


if __name__ == "__main__":
    main()
