"""Which large packages a task's trainings need, told before any of its code runs: a fork server loads those, once, and no others.

PyTorch takes 3 s of a processor to load and scikit-learn more than 1, while the whole-epoch lane, a table or a plain function
needs neither. For a file of one's own what it imports decides, its siblings' imports included. What is not known counts as
needing all: a package that was loaded in vain costs seconds once, one that each worker loads by itself costs them each time.
"""

import importlib
import sys
from collections.abc import Iterable, Mapping
from pathlib import Path

from evenhand.model import siblings
from evenhand.model.extras import is_here
from evenhand.model.task import TaskSpec

PACKAGES: Mapping[str, tuple[str, ...]] = {  # name: the modules to load, of which trainings need others in turn
    "torch": (
        "torch",
        "torch._dynamo",
        "evenhand.tasks.builtin.training",
        "evenhand.tasks.engines.general",
        "evenhand.tasks.engines.stacked",
    ),
    "sklearn": ("sklearn.datasets",),
}
ALL_PACKAGES = frozenset(PACKAGES)
NO_PACKAGES: frozenset[str] = frozenset()
TORCH_PACKAGE = frozenset({"torch"})
PACKAGES_OF_BUILT_IN: Mapping[str, frozenset[str]] = {  # mlp hangs on its lane, and is not here
    "black-magic": TORCH_PACKAGE,
    "eeg": TORCH_PACKAGE,
    "patches": TORCH_PACKAGE,
    "practice": frozenset({"sklearn"}),
    "program": NO_PACKAGES,
    "sklearn": frozenset({"sklearn"}),
    "table": NO_PACKAGES,
}
TORCH_MODULES = ("augment", "networks", "squeezenet", "training")  # modules of evenhand.tasks.builtin that load PyTorch
LIGHT_MODULES = frozenset({"evenhand", "numpy", "pandas", "PIL", "scipy", *sys.stdlib_module_names})


def of(spec: TaskSpec) -> frozenset[str]:
    """The names in `PACKAGES` that the task's trainings need; all of them where that cannot be told."""
    named, are_all = _needs(spec)
    return named if are_all else ALL_PACKAGES


def named_by(spec: TaskSpec) -> frozenset[str]:
    """The names in `PACKAGES` that the task's trainings need for certain."""
    return _needs(spec)[0]


def _needs(spec: TaskSpec) -> tuple[frozenset[str], bool]:
    """What is needed for certain, and whether there is no more."""
    if spec.name == "mlp":
        return (NO_PACKAGES if spec.settings.get("lane") == "whole" else TORCH_PACKAGE), True
    if spec.name in PACKAGES_OF_BUILT_IN:
        return PACKAGES_OF_BUILT_IN[spec.name], True
    path = Path(spec.name.rpartition(":")[0]).expanduser()
    try:
        return _of_file(path) if path.suffix == ".py" and path.is_file() else (NO_PACKAGES, False)
    except OSError:
        return NO_PACKAGES, False


def load(names: Iterable[str]) -> None:
    """Import these of `PACKAGES`, where they are installed, so that processes which are forked later have them."""
    for name in names:
        if is_here(name):
            for module in PACKAGES[name]:
                importlib.import_module(module)


def _of_file(path: Path) -> tuple[frozenset[str], bool]:
    """What a file and the siblings that it imports need, and whether there is no more."""
    followed = siblings.follow(path)
    imported = [_of_import(name, name.partition(".")[0]) for name in followed.elsewhere]
    known = [packages for packages in imported if packages is not None]
    named = frozenset[str]().union(*known, *(_of_text(text) for text in followed.texts))
    return named, not followed.unclear and len(known) == len(imported)


def _of_import(name: str, top: str) -> frozenset[str] | None:
    """What an import needs; None where that is not known."""
    if top in PACKAGES:
        return frozenset({top})
    if name.startswith("evenhand.tasks.engines") or any(
        name.startswith(f"evenhand.tasks.builtin.{module}") for module in TORCH_MODULES
    ):
        return TORCH_PACKAGE
    return NO_PACKAGES if top in LIGHT_MODULES else None


def _of_text(text: str) -> frozenset[str]:
    """What a name in quotes may load: a built-in task, or a package by `import_module`."""
    if text == "mlp":
        return TORCH_PACKAGE
    top = text.partition(".")[0]
    return PACKAGES_OF_BUILT_IN.get(text, frozenset({top}) & ALL_PACKAGES)
