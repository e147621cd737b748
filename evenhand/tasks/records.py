"""What the laboratory stores of a task: its record, with what only its data says, where that is there without being opened."""

from contextlib import suppress
from dataclasses import replace

from evenhand.model.task import TaskRecord
from evenhand.tasks import contents
from evenhand.tasks.base import Task


def record_of(task: Task) -> TaskRecord:
    """A task's record with its numbers of rows, which say how sure a score is, and with what its test data is known by.

    Args:
        task: any task. Parts of its splits that are functions are not called.

    Returns:
        The record; without both where the data cannot be had here, which ends each trial as invalid, and says why there.
    """
    record = task.record
    if task.data is None or record.rows("validation") is not None:  # its data is not loaded for this alone
        return record
    with suppress(Exception):
        splits = task.data()
        record = replace(record, statistics={**splits.counts, **record.statistics})
        record = replace(record, test_data=record.test_data or contents.of_test(splits))
    return record
