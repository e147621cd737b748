"""Imports point down the layers only, without cycles; and torch is loaded by workers alone."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

import evenhand

PACKAGE = Path(evenhand.__file__).parent
# Each row knows the rows below it. What is in braces together is one row, whose names do not know each other.
ROWS = [
    {"cli", "__main__"},
    {"studycommands"},
    {
        "botcommands",
        "classcommands",
        "reportcommands",
        "datacommands",
        "backupcommands",
        "comparecommands",
        "contestcommands",
        "optunacommands",
        "taskcommands",
    },  # commands
    {"rehearsal", "estimators"},
    {"web"},
    {"contest"},  # a program made of comparisons
    {
        "supervisor",
        "watch",
        "sample",
        "replay",
        "tuning",
        "optunastudies",
        "newtask",
        "comparison",
        "bots",
        "classroom",
        "golive",
        "planning",
        "studyfile",
    },  # programs that commands run
    {"report", "play", "worker", "export", "archive", "backup", "scored"},
    {"inline", "workerprocess", "forks", "frames", "livedisplay"},  # how a training is run: in this process, in another one
    {"lab", "client"},
    {"leases", "enrolment", "conduct", "cotuning", "ledger", "keeping"},  # the lab's parts
    {"core"},
    {"store"},
    {"tasks", "tuners", "analysis", "policies", "tablefiles", "optunaspaces"},
    {"lanes"},
    {"tomltables", "studychecks", "codebook"},
    {"tomlfile"},
    {"protocol", "wire", "questionnaires"},
    {"trials"},
    {"records"},
    {"declaration"},
    {"space"},
    {"errors", "settings", "htmlforms"},
]
RANK = {name: rank for rank, row in enumerate(ROWS) for name in row}
WORKERS_ONLY = {  # these may load torch
    f"evenhand.tasks.{name}" for name in ("augment", "networks", "squeezenet", "threads", "training")
} | {f"evenhand.lanes.{name}" for name in ("general", "stacked", "stackedsteps")}


def modules() -> dict[str, Path]:
    found = {}
    for path in sorted(PACKAGE.rglob("*.py")):
        parts = path.relative_to(PACKAGE.parent).with_suffix("").parts
        found[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    return found


MODULES = modules()


def imported(name: str, nodes: list[ast.stmt] | None = None) -> set[str]:
    """Every module that `name` imports anywhere, those for type checking and those within functions included."""
    tree = ast.parse(MODULES[name].read_text())
    found = set()
    for node in ast.walk(tree) if nodes is None else nodes:
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{name} uses a relative import"
            base = node.module or ""
            found |= {f"{base}.{alias.name}" if f"{base}.{alias.name}" in MODULES else base for alias in node.names}
    return found


def layer(name: str) -> str:
    """The second part of a module's name: its place among the rows."""
    return name.split(".")[1] if "." in name else ""


INSIDE = {name: {each for each in imported(name) if each.split(".")[0] == "evenhand"} for name in MODULES}


def test_every_module_has_a_row() -> None:
    unplaced = {layer(name) for name in MODULES} - RANK.keys() - {""}
    assert not unplaced, f"no row of the layers names {sorted(unplaced)}"


@pytest.mark.parametrize("name", [name for name in MODULES if layer(name)])
def test_imports_point_down(name: str) -> None:
    upward = {
        other
        for other in INSIDE[name]
        if layer(other) and layer(other) != layer(name) and RANK[layer(other)] <= RANK[layer(name)]
    }
    assert not upward, f"{name} is on row {RANK[layer(name)]} and imports {sorted(upward)}"


def test_the_store_is_known_to_the_lab_alone() -> None:
    users = {layer(name) for name, others in INSIDE.items() if any(layer(other) == "store" for other in others)}
    assert users <= {"store", "core", "lab", "leases", "enrolment", "conduct", "cotuning", "ledger", "keeping"}


def test_there_are_no_cycles() -> None:
    # A package's own __init__ is loaded with each of its modules, so only edges that Python itself has to resolve are followed.
    state: dict[str, str] = {}

    def visit(name: str, path: tuple[str, ...]) -> None:
        if state.get(name) == "done":
            return
        assert state.get(name) != "open", f"import cycle: {' -> '.join((*path[path.index(name) :], name))}"
        state[name] = "open"
        for other in sorted(INSIDE[name] & MODULES.keys()):
            if other != name and not (layer(other) == "" or layer(name) == ""):
                visit(other, (*path, name))
        state[name] = "done"

    for name in MODULES:
        visit(name, ())


def test_torch_is_loaded_by_workers_only() -> None:
    users = set()
    for name, path in MODULES.items():
        top: list[ast.stmt] = list(ast.parse(path.read_text()).body)
        if any(each.split(".")[0] == "torch" for each in imported(name, top)):
            users.add(name)
    assert users <= WORKERS_ONLY


@pytest.mark.parametrize("module", ["evenhand", "evenhand.cli", "evenhand.web.app", "evenhand.tasks", "evenhand.tuners"])
def test_torch_is_not_loaded_by(module: str) -> None:
    code = f"import sys, {module}; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
