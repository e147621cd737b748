"""Golden files: real measurements of everything built in, which hold each REVISION to what it says.

A file NAME.json holds a few short trainings (`cases`), the revisions that they were made with, and the kind of machine and the
library versions. Where both are the same, numbers are compared exactly; elsewhere the losses of the first epoch to a relative
1e-4, and which measurements there are. `python -m tests.golden NAME` makes a file anew.
"""

import json
import math
import os
import platform
import tempfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass
from itertools import zip_longest
from pathlib import Path
from typing import Any
from unittest import mock

from evenhand.tasks import engines, processor
from evenhand.tasks.machine import version
from evenhand.tasks.threads import one_thread
from tests.golden.cases import CASES, Training

FOLDER = Path(__file__).parent
TOLERANCE = 1e-4  # relative, of losses of the first epoch on another kind of machine
FIELDS = ("step", "epoch", "loss", "value", "further numbers")
VECTORS = ("sse4", "avx", "fma", "amx", "asimd", "sve")  # beginnings of what processors call their vector instructions


@dataclass(frozen=True)
class Golden:
    """What a file holds."""

    revisions: Mapping[str, int]
    machine: Mapping[str, Any]
    libraries: Mapping[str, str | None]
    trainings: tuple[Training, ...]

    @property
    def surroundings(self) -> tuple[Mapping[str, Any], Mapping[str, str | None]]:
        """Where its numbers come out exactly."""
        return self.machine, self.libraries


class Refused(Exception):
    """A file is not made anew."""


def path_of(name: str) -> Path:
    return FOLDER / f"{name}.json"


def read(name: str) -> Golden | None:
    """What is kept of a case; None where there is no file."""
    if not path_of(name).is_file():
        return None
    kept = json.loads(path_of(name).read_text(encoding="utf-8"))
    trainings = [Training(training["outcome"], tuple(map(tuple, training["measurements"]))) for training in kept.pop("trainings")]
    return Golden(**kept, trainings=tuple(trainings))


def machine() -> dict[str, Any]:
    """The kind of this machine: processor and vector instructions, system, compiled engine."""
    facts = processor.facts()
    model = [facts[key] for key in ("vendor_id", "cpu family", "model") if key in facts]
    return {
        "system": platform.system(),
        "processor": " ".join([platform.machine(), *model]),
        "vector instructions": sorted(flag for flag in processor.flags() if flag.startswith(VECTORS)),
        "compiled engine": engines.why_not("whole") is None,
    }


def libraries(names: Iterable[str]) -> dict[str, str | None]:
    """Versions of Python and of libraries; Python's own since it sums floats otherwise from 3.12 on."""
    return {"Python": ".".join(platform.python_version_tuple()[:2]), **{name: version(name) for name in names}}


@contextmanager
def prepared() -> Iterator[Path]:
    """An empty folder for a case, a data directory of its own, one thread, and no GPU."""
    with ExitStack() as stack:
        home = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="golden-")))
        stack.enter_context(mock.patch.dict(os.environ, {"EVENHAND_DATA": str(home / "evenhand"), "CUDA_VISIBLE_DEVICES": ""}))
        stack.enter_context(one_thread())
        (home / "made").mkdir()
        yield home / "made"


def fresh(name: str) -> Golden:
    """The case trained here and now."""
    case = CASES[name]
    with prepared() as folder:
        trainings = tuple(case.train(folder))
    return Golden(case.revisions(), machine(), libraries(case.libraries), trainings)


def differences(kept: Sequence[Training], now: Sequence[Training], *, exact: bool) -> list[str]:
    """What differs, in words; the first thing of each training."""
    words = []
    for number, (before, after) in enumerate(zip_longest(kept, now), 1):
        what = "there is one training more or less" if None in (before, after) else _difference(before, after, exact)
        if what:
            words.append(f"training {number}: {what}")
    return words


def _difference(before: Training, after: Training, exact: bool) -> str | None:
    if before.outcome != after.outcome:
        return f"it was {before.outcome} and is {after.outcome}"
    tolerant = _tolerated(before)
    for number, (old, new) in enumerate(zip_longest(before.measurements, after.measurements), 1):
        if old is None or new is None:
            return f"it had {len(before.measurements)} measurements and has {len(after.measurements)}"
        for field, one, other in zip(FIELDS, old, new, strict=True):
            if not _alike(one, other, exact, compared=(number, field) in tolerant):
                return f"measurement {number}: {field} was {one!r} and is {other!r}"
    return None


def _tolerated(training: Training) -> set[tuple[int, str]]:
    """The numbers that are compared on another kind of machine: the first epoch's losses, or all where there are none."""
    ends = [number for number, row in enumerate(training.measurements, 1) if row[1] is not None]
    first = range(1, 1 + (ends[0] if ends else len(training.measurements)))
    losses = {(number, "loss") for number in first if training.measurements[number - 1][2] is not None}
    return losses or {(number, field) for number in first for field in ("value", "further numbers")}


def _alike(one: Any, other: Any, exact: bool, compared: bool) -> bool:
    if exact or one is None or isinstance(one, int):
        return bool(one == other)
    if isinstance(one, Mapping):
        return one.keys() == other.keys() and all(_alike(one[key], other[key], exact, compared) for key in one)
    return other is not None and (not compared or math.isclose(one, other, rel_tol=TOLERANCE))


def advice(name: str) -> str:
    """What to do about a difference."""
    stated = " or ".join(CASES[name].revisions())
    return f"If that is meant, raise the REVISION of {stated}, and make the file anew: python -m tests.golden {name}"


def make(name: str) -> str:
    """Train a case and write its file; what was done, in words.

    Raises:
        Refused: its numbers are others than the file's, of the same revision.
    """
    if why := CASES[name].why_not():
        raise Refused(f"{name}: cannot be made here, since {why}")
    kept, now = read(name), fresh(name)
    if kept == now:
        return f"{name}: as it was"
    if kept is not None:
        raised = {what: number - kept.revisions[what] for what, number in now.revisions.items() if what in kept.revisions}
        if lower := [what for what, steps in raised.items() if steps < 0]:
            raise Refused(f"{name}: the revision of {', '.join(lower)} is lower than the file's; a revision is only ever raised")
        changed = differences(kept.trainings, now.trainings, exact=kept.surroundings == now.surroundings)
        if changed and not any(raised.values()):
            raise Refused("\n  ".join([f"{name}: its numbers changed, and no revision was raised.", *changed, advice(name)]))
    path_of(name).write_text(text_of(now), encoding="utf-8")
    return f"{name}: written"


def text_of(golden: Golden) -> str:
    """A file's text: a line a measurement."""
    lines = [f'"{key}": {json.dumps(value)},' for key, value in asdict(golden).items() if key != "trainings"]
    blocks = []
    for training in golden.trainings:
        rows = ",\n  ".join(json.dumps(row) for row in training.measurements)
        blocks.append(f'{{"outcome": {json.dumps(training.outcome)}, "measurements": [\n  {rows}\n]}}')
    return "{\n" + "\n".join(lines) + '\n"trainings": [\n' + ",\n".join(blocks) + "\n]}\n"
