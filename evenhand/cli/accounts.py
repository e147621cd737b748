"""Printing what data was taken for, before anything is trained on it."""

from typing import TYPE_CHECKING

from rich.table import Table

from evenhand.cli.options import console, escape
from evenhand.errors import EvenhandError

if TYPE_CHECKING:
    from evenhand.tasks import Task
    from evenhand.tasks.accounts import DataAccount


def print_account(account: "DataAccount") -> None:
    """Print a line for each column or folder, and what is to be looked at."""
    console.print(escape(account.source))
    table = Table(box=None, padding=(0, 2, 0, 0))
    for place, heading in enumerate(account.headings):
        table.add_column(heading, overflow="fold", no_wrap=place == 1)
    for row in account.rows:
        table.add_row(*map(escape, row))
    console.print(table)
    for remark in account.all_remarks:
        console.print(escape(f"- {remark}"))


def print_account_of(task: "Task", *, open_data: bool) -> None:
    """Print what a task's data was taken for. open_data: also open training data that is loaded when it is needed.

    What the task's own code raises there is left to its trainings to say.
    """
    from evenhand.tasks import accounts

    if task.data is None:
        return
    try:
        splits = task.data()
        account = splits.account
        if account is None and (open_data or not callable(splits.train)):
            account = accounts.of_arrays(*splits.load("train"))
    except EvenhandError:
        raise
    except Exception:  # of whatever kind: it is the task's own code
        return
    if account is not None:
        print_account(account)
