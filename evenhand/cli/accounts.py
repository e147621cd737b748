"""Printing what data was taken for, before anything is trained on it."""

from dataclasses import replace
from typing import TYPE_CHECKING

from rich.table import Table

from evenhand.cli.options import console, escape
from evenhand.errors import EvenhandError

if TYPE_CHECKING:
    from collections.abc import Callable

    from evenhand.tasks import Splits, Task
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


def print_account_of(task: "Task", *, open_data: bool) -> "Task":
    """Print what a task's data was taken for, and note it for this machine's pages.

    open_data: also open training data that is loaded when it is needed.

    What the task's own code raises there is left to its trainings to say. Returned is the task, which hands the data that was
    loaded here on to whoever asks for it next.
    """
    from evenhand.tasks import accounts

    if task.data is None:
        return task
    try:
        splits = task.data()
        train = splits.load("train") if splits.account is None and (open_data or not callable(splits.train)) else None
    except EvenhandError:
        raise
    except Exception:  # of whatever kind: it is the task's own code
        return task
    account = splits.account
    if account is None and train is not None:
        account = accounts.of_arrays(*train, is_classes=_of_classes(task))
    if account is not None:
        print_account(account)
        accounts.note(task.version, account)
    return replace(task, data=_handed_on(splits, task.data))


def _of_classes(task: "Task") -> bool | None:
    """Whether the targets are classes, where one of the metrics that `run.score` knows says it."""
    from evenhand.tasks.metrics import METRICS

    return task.metric == "accuracy" if task.score is None and task.metric in METRICS else None


def _handed_on(splits: "Splits", data: "Callable[[], Splits]") -> "Callable[[], Splits]":
    """The data once as it was loaded, then loaded anew as before, so that it is neither kept nor shared between trainings."""
    loaded = [splits]

    def once() -> "Splits":
        try:
            return loaded.pop()
        except IndexError:
            return data()

    return once
