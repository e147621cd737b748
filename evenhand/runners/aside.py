"""What is read in a process of its own: other people's code and data, so that neither can hold up, fill or end the server.

`python -m evenhand.runners.aside` reads one question from its standard input, as JSON, and answers it in the last line that it
writes. What the code of a task prints goes to standard error.
"""

import json
import os
import subprocess
import sys
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from evenhand.errors import DataError, EvenhandError, InvalidSettings, TaskMissing
from evenhand.model import codec
from evenhand.model.recent import Recent
from evenhand.model.study import EvaluationMode, ValueRule
from evenhand.model.task import TaskRecord, TaskSpec
from evenhand.tasks import BUILT_IN
from evenhand.tasks.accounts import DataAccount

MOST_SECONDS = 120.0  # that an answer may take
AT_ONCE = 2  # processes
MOST_KNOWN = 64  # built-in tasks whose facts are kept
LONGEST_ERROR = 2000  # characters of what is said where a process dies without an answer

_places = threading.BoundedSemaphore(AT_ONCE)


@dataclass(frozen=True)
class TaskFacts:
    """What a form has to know of a task. evaluation_mode, value_rule: what `tune` does where nothing is said."""

    record: TaskRecord
    evaluation_mode: EvaluationMode
    value_rule: ValueRule


_known: Recent[str, TaskFacts] = Recent(MOST_KNOWN)  # of built-in tasks, by their names and settings


@dataclass(frozen=True)
class TableFacts:
    """What a table was taken for. columns: their names; target: the one to predict; classes: how many, 0 where it is numbers."""

    columns: tuple[str, ...]
    target: str
    classes: int
    account: DataAccount


def task_facts(spec: TaskSpec) -> TaskFacts:
    """What a task is, its code run and its data opened elsewhere.

    Raises:
        TaskMissing: it cannot be loaded; the text says why.
        InvalidSettings: that took too long.
    """
    asked = codec.to_json(spec)
    if not _is_known_for_good(spec):
        return codec.from_json(TaskFacts, _answer(TaskMissing, "task", asked))
    key = json.dumps(asked, sort_keys=True)
    if key not in _known:
        _known[key] = codec.from_json(TaskFacts, _answer(TaskMissing, "task", asked))
    return _known[key]


def _is_known_for_good(spec: TaskSpec) -> bool:
    """Whether a task is what it is for as long as this process lives: a built-in one, whose settings name no file."""
    values = spec.settings.values()
    return spec.name in BUILT_IN and not any(isinstance(value, str) and os.sep in value for value in values)


def column_names(source: Path, reading: Mapping[str, Any]) -> tuple[str, ...]:
    """The names of a table's columns. reading: as of `builders.table`. DataError where it cannot be read."""
    return tuple(_answer(DataError, "columns", {"source": str(source), "reading": dict(reading)}))


def table_facts(source: Path, target: str, reading: Mapping[str, Any]) -> TableFacts:
    """What a table is taken for. reading: as of `builders.table`. DataError where something in it could be read in two ways."""
    asked = {"source": str(source), "target": target, "reading": dict(reading)}
    return codec.from_json(TableFacts, _answer(DataError, "table", asked))


def pictures_account(folder: Path) -> DataAccount:
    """What a folder of pictures is taken for. DataError where it is none."""
    return codec.from_json(DataAccount, _answer(DataError, "pictures", {"source": str(folder)}))


def write_task(name: str, source: Path, folder: Path, target: str | None, reading: Mapping[str, Any]) -> Path:
    """Write a task on data, as `evenhand task new` does; its file. DataError where the data cannot be read so."""
    asked = {"name": name, "source": str(source), "folder": str(folder), "target": target, "reading": dict(reading)}
    return Path(_answer(DataError, "new", asked))


def _answer(kind: type[EvenhandError], what: str, asked: Any) -> Any:
    """What the process answers; an error of `kind` with its words where it could not."""
    with _places:
        try:
            done = subprocess.run(
                [sys.executable, "-m", "evenhand.runners.aside"],
                input=json.dumps([what, asked]),
                capture_output=True,
                text=True,
                timeout=MOST_SECONDS,
                check=False,
            )
        except subprocess.TimeoutExpired:
            raise InvalidSettings(f"it was not read within {MOST_SECONDS:.0f} s, so it was given up") from None
    lines = done.stdout.splitlines()
    if done.returncode or not lines:
        said = done.stderr.strip()[-LONGEST_ERROR:] or f"its process ended with {done.returncode}"
        raise kind(said.splitlines()[-1])
    answer = json.loads(lines[-1])
    if "error" in answer:
        raise kind(answer["error"])
    return answer["answer"]


# In the process


def _task(asked: Any) -> Any:
    from evenhand import tasks
    from evenhand.tasks.records import record_of

    task = tasks.load(codec.from_json(TaskSpec, asked))
    return TaskFacts(record_of(task), task.evaluation_mode, task.value_rule)


def _columns(asked: Any) -> Any:
    from evenhand.tasks import text_tables

    given = {name: asked["reading"].get(name) for name in ("delimiter", "encoding", "header")}
    read = text_tables.read(Path(asked["source"]), **given)
    return read.names or [f"column {place}" for place in range(1, len(read.rows[0]) + 1)]


def _table(asked: Any) -> Any:
    from evenhand.tasks import builders

    columns = builders.table(asked["source"], asked["target"], **asked["reading"])
    names = tuple(part.name for part in columns.account.parts)
    return TableFacts(names, columns.target, len(columns.classes), columns.account)


def _pictures(asked: Any) -> Any:
    from evenhand.tasks import builders
    from evenhand.tasks.builtin import images

    collection = builders.collection_of(Path(asked["source"]))
    return images.account_of(Path(asked["source"]).name, collection.items(), {}, collection.others())


def _new(asked: Any) -> Any:
    from evenhand.tasks import scaffold

    made = scaffold.new(
        asked["name"],
        Path(asked["source"]),
        target=asked["target"],
        folder=Path(asked["folder"]),
        reading=asked["reading"],
    )
    return str(made.path)


QUESTIONS: Mapping[str, Callable[[Any], Any]] = {
    "task": _task,
    "columns": _columns,
    "table": _table,
    "pictures": _pictures,
    "new": _new,
}


def main() -> None:
    """Answer the question on standard input."""
    out = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # what other people's code prints is no answer
    what, asked = json.load(sys.stdin)
    try:
        answer = {"answer": codec.to_json(QUESTIONS[what](asked))}
    except EvenhandError as error:
        answer = {"error": str(error)}
    out.write(f"\n{json.dumps(answer)}\n")
    out.flush()


if __name__ == "__main__":
    main()
