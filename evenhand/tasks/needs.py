"""Which large packages a task's trainings need, told before any of its code runs: a fork server loads those, once, and no others.

PyTorch takes 3 s of a processor to load and scikit-learn more than 1, while the whole-epoch lane, a table or a plain function
needs neither. For a file of one's own what it imports decides, its siblings' imports included. What is not known counts as
needing all: a package that was loaded in vain costs seconds once, one that each worker loads by itself costs them each time.
"""

import ast
import importlib
import importlib.util
import sys
from collections.abc import Iterable, Iterator, Mapping
from functools import lru_cache
from pathlib import Path

from evenhand.records import TaskSpec

PACKAGES: Mapping[str, tuple[str, ...]] = {  # name: the modules to load, of which trainings need others in turn
    "torch": ("torch", "torch._dynamo", "evenhand.tasks.training", "evenhand.lanes.general", "evenhand.lanes.stacked"),
    "sklearn": ("sklearn.datasets",),
}
ALL = frozenset(PACKAGES)
NONE: frozenset[str] = frozenset()
TORCH = frozenset({"torch"})
BUILT_IN: Mapping[str, frozenset[str]] = {  # mlp hangs on its lane, and is not here
    "black-magic": TORCH,
    "eeg": TORCH,
    "patches": TORCH,
    "practice": frozenset({"sklearn"}),
    "sklearn": frozenset({"sklearn"}),
    "table": NONE,
}
OF_OURS = ("augment", "networks", "squeezenet", "training")  # modules of evenhand.tasks that load PyTorch
LIGHT = frozenset({"evenhand", "numpy", "pandas", "PIL", "scipy", *sys.stdlib_module_names})


def of(spec: TaskSpec) -> frozenset[str]:
    """The names in `PACKAGES` that the task's trainings need; all of them where that cannot be told."""
    if spec.name == "mlp":
        return NONE if spec.settings.get("lane") == "whole" else TORCH
    if spec.name in BUILT_IN:
        return BUILT_IN[spec.name]
    place = spec.name.rpartition(":")[0]
    path = Path(place).expanduser()
    try:
        if path.suffix == ".py":
            return _of_file(path.resolve(), path.stat().st_mtime_ns)
    except (OSError, SyntaxError, ValueError):
        pass
    return ALL


def load(names: Iterable[str]) -> None:
    """Import these of `PACKAGES`, where they are installed, so that processes which are forked later have them."""
    for name in names:
        if importlib.util.find_spec(name):
            for module in PACKAGES[name]:
                importlib.import_module(module)


@lru_cache(maxsize=64)
def _of_file(path: Path, changed: int) -> frozenset[str]:
    """What a file and the siblings that it imports need; looked at again when its time of change differs."""
    found, waiting, seen = NONE, [path], {path}
    while waiting:
        tree = ast.parse(waiting.pop().read_bytes())
        for name in _named(tree):
            top = name.partition(".")[0]
            sibling = path.parent / f"{top}.py"
            if sibling.is_file():
                waiting += [sibling] if sibling not in seen else []
                seen.add(sibling)
            else:
                found |= _of_import(name, top)
        found = frozenset().union(found, *(_of_text(each) for each in _texts(tree)))
    return found


def _of_import(name: str, top: str) -> frozenset[str]:
    if top in PACKAGES:
        return frozenset({top})
    if name.startswith("evenhand.lanes") or any(name.startswith(f"evenhand.tasks.{each}") for each in OF_OURS):
        return TORCH
    return NONE if top in LIGHT else ALL


def _of_text(text: str) -> frozenset[str]:
    """What a name in quotes may load: a built-in task, or a package by `import_module`."""
    if text == "mlp":
        return TORCH
    top = text.partition(".")[0]
    return BUILT_IN.get(text, frozenset({top}) & ALL)


def _named(tree: ast.AST) -> Iterator[str]:
    """All that is imported anywhere: modules, and names of modules with them. A relative import is of a sibling."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = f"{node.module}." if node.module else ""
            yield from (f"{base}{alias.name}" for alias in node.names)


def _texts(tree: ast.AST) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            yield node.value
