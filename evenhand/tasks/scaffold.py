"""`evenhand task new`: a task file for one's own data, short enough to be read whole, and the first numbers that it gives."""

import json
import keyword
import re
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from evenhand import tasks
from evenhand.errors import InvalidSettings
from evenhand.model.task import TaskSpec
from evenhand.tasks import builders
from evenhand.tasks.accounts import DataAccount
from evenhand.tasks.builtin import images
from evenhand.tasks.check import Progress, TaskCheck, check, example_of, shortened, train_once
from evenhand.tasks.number_texts import DECIMALS
from evenhand.tasks.threads import one_thread

TEXTS = Path(__file__).parent / "texts"
SIZE = 64  # pixels of pictures
SEEDS = 3
SECONDS = 150.0  # that the trainings of the first numbers may take in all, so that they come within five minutes


@dataclass(frozen=True)
class First:
    """The first numbers of a new task. seconds: that they took, the preparation of the data included."""

    check: TaskCheck
    seconds: float


@dataclass(frozen=True)
class NewTask:
    """A task file that was written. account: what its data was taken for."""

    path: Path
    account: DataAccount


def new(
    name: str,
    source: Path,
    *,
    target: str | None = None,
    folder: Path | None = None,
    reading: Mapping[str, Any] | None = None,
) -> NewTask:
    """Write NAME.py into `folder` (default: here), a task on `source`: a folder of images CLASS/FILE, or a CSV file.

    target: the column to predict (default: the last one). reading: further arguments of `builders.table`. Nothing is overwritten.

    Raises:
        InvalidSettings: the name is no name of a Python module, the file is there already, or a target of pictures was named.
        DataError: the data is missing, or cannot be read; the text says what is wrong with it.
    """
    if not name.isidentifier() or keyword.iskeyword(name):
        raise InvalidSettings(f"task name {name!r}: expected letters, digits and underscores, such as my_task")
    path = (folder or Path()) / f"{name}.py"
    if path.exists():
        raise InvalidSettings(f"{path} is there already; give the task another name, or remove the file")
    source = source.expanduser()
    if source.is_dir():
        for option, value in {"target": target, **(reading or {})}.items():
            if value is not None:
                raise InvalidSettings(
                    f"--{option.replace('_', '-')} {value!r}: a folder of pictures has no columns; its folders are the classes"
                )
        template, (said, account) = "own_images.py.txt", _pictures(source)
    elif source.is_file():
        template, (said, account) = "own_table.py.txt", _table(source, target, reading or {})
    else:
        raise InvalidSettings(f"--from {source}: is not here; expected a folder of CLASS/FILE, or a CSV file")
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(_filled((TEXTS / template).read_text(), {"NAME": name, **said}), encoding="utf-8")
    return NewTask(path, account)


def _table(source: Path, target: str | None, reading: Mapping[str, Any]) -> tuple[Mapping[str, str], DataAccount]:
    if reading.get("decimal", ".") not in DECIMALS:
        raise InvalidSettings(f"--decimal {reading['decimal']!r}: expected a point or a comma")
    columns = builders.table(source, target, **reading)
    rows = len(columns.y)
    said = {
        "READING": "".join(f", {name}={_literal(value)}" for name, value in reading.items() if name != "classes"),
        "FILE": _quoted(source.name),
        "TARGET": _quoted(columns.target),
        "TARGETNAME": _text(columns.target),
        "DATA": _text(str(source.resolve())),
        "CLASSES": str(bool(columns.classes)),
        "KIND": "classification" if columns.classes else "regression",
        "MODEL": "Classifier" if columns.classes else "Regressor",
        "METRIC": "accuracy" if columns.classes else "r2",
        "ROWS": str(rows),
        "FEATURES": str(len(columns.features)),
        "CLASSCOUNT": f', "classes": {len(columns.classes)}' if columns.classes else "",
        "LEAF": "20" if rows >= 1000 else "5",  # scikit-learn's own 20 leaves small tables without a tree
    }
    return said, columns.account


def _literal(value: str | bool | Sequence[str]) -> str:
    if isinstance(value, bool):
        return str(value)
    return _text(value) if isinstance(value, str) else f"[{', '.join(map(_text, value))}]"


def _pictures(source: Path) -> tuple[Mapping[str, str], DataAccount]:
    collection = builders.collection_of(source)
    items = collection.items()
    said = {
        "FOLDER": _quoted(source.resolve().name),
        "DATA": _text(str(source.resolve())),
        "CHECKSUM": images.checksum_of(source.resolve()),
        "SIZE": str(SIZE),
        "CLASSES": str(len({item.label for item in items})),
        "IMAGES": str(len(items)),
    }
    return said, images.account_of(str(source), items, {}, collection.others())


def _quoted(name: str) -> str:
    """A name as it may stand within a docstring."""
    return " ".join(name.replace("\\", "/").replace('"', "'").split())


def _text(value: str) -> str:
    """A text as Python reads it, in double quotes: JSON's way is Python's, too."""
    return json.dumps(value, ensure_ascii=False)


def _filled(template: str, said: Mapping[str, str]) -> str:
    return re.sub(r"@([A-Z]+)@", lambda match: said[match[1]], template)


def first_numbers(path: Path, *, seconds: float = SECONDS, progress: Progress | None = None) -> First:
    """Train the task's example on one thread under three seeds, each for as many of its epochs as fit into `seconds` in all.

    That is one at least, however long it takes; the time of an epoch is told by one that is trained before.
    """
    started = time.monotonic()
    task = tasks.load(TaskSpec(f"{path.resolve()}:train"))
    if task.data is not None:
        task.data().load("train")
    example = example_of(task)
    tell = progress or (lambda what, done, total: None)
    tell("one epoch", 0, 1)
    with one_thread():  # as agents train
        tried = train_once(task, shortened(task, example, 1), 0)
        planned = task.record.epochs_of(example)
        epochs = max(1, min(planned, int(seconds / max(1e-6, SEEDS * tried.seconds))))
        report = check(task, seeds=SEEDS, configurations=0, epochs=epochs, progress=lambda *now: tell(*now) if now[2] else None)
    return First(report, time.monotonic() - started)
