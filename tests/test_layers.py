"""The house stands as docs/design.md draws it: rooms, what lies at the root, what is loaded unasked, and how variables are named.

Who may import whom is held by the contracts in `pyproject.toml`, which `lint-imports` checks.
"""

import ast
import re
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest

import evenhand

PACKAGE = Path(evenhand.__file__).parent
ROOT = PACKAGE.parent
AT_THE_ROOT = {"__init__", "__main__", "_version", "errors", "settings"}
SOURCE_FOLDERS = ("evenhand", "tests", "benchmarks", "examples", "scripts")
VAGUE_NAMES = {"each", "found", "told"}  # they say nothing of what a variable holds
MAY_BIND = re.compile(rf"\b({'|'.join(VAGUE_NAMES)})\b\s*(=|:|,|\)|\]|in\b)")  # only files with this are worth parsing


def layers() -> list[str]:
    """The rows of the contract on rooms, from top to bottom."""
    contracts = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["tool"]["importlinter"]["contracts"]
    names: list[str] = next(contract["layers"] for contract in contracts if contract["type"] == "layers")
    return names


@pytest.mark.slow
def test_the_contracts_on_imports_are_kept() -> None:
    command = [str(Path(sys.executable).with_name("lint-imports")), "--no-cache"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def test_design_shows_the_rooms_of_the_contracts() -> None:
    text = (ROOT / "docs" / "design.md").read_text(encoding="utf-8")
    drawn = re.search(r"## Rooms\n.*?```\n(.*?)```", text, re.DOTALL)
    assert drawn is not None
    rows = [re.match(r"([a-z_]+/?(?: [a-z_]+/?)*)(?:  |$)", line) for line in drawn[1].splitlines()]
    shown = [[name.strip("/") for name in row[1].split()] for row in rows if row is not None]
    assert shown == [row.split(" | ") for row in layers()]


def test_every_room_has_a_row_and_nothing_else_lies_at_the_root() -> None:
    rooms = {path.name for path in PACKAGE.iterdir() if (path / "__init__.py").exists()}
    placed = {name for row in layers() for name in row.split(" | ")}
    assert rooms == placed - AT_THE_ROOT
    assert {path.stem for path in PACKAGE.glob("*.py")} == AT_THE_ROOT


@pytest.mark.slow
@pytest.mark.parametrize("module", ["evenhand", "evenhand.cli.main", "evenhand.web.app", "evenhand.tasks", "evenhand.methods"])
def test_torch_is_not_loaded_by(module: str) -> None:
    code = f"import sys, {module}; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_the_package_itself_loads_neither_a_server_nor_a_numerical_library() -> None:
    code = "import sys, evenhand; print(*sorted({'torch', 'numpy', 'fastapi', 'sqlalchemy', 'optuna'} & sys.modules.keys()))"
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    assert not done.stdout.strip()


def variables(tree: ast.Module) -> Iterator[tuple[str, int]]:
    """Every variable and parameter that a module binds, with its line; not the fields of its records."""
    nodes = list(ast.walk(tree))
    bodies = [node.body for node in nodes if isinstance(node, ast.ClassDef)]
    fields = {id(line.target) for body in bodies for line in body if isinstance(line, ast.AnnAssign)}
    for node in nodes:
        if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store) and id(node) not in fields:
            yield node.id, node.lineno
        elif isinstance(node, ast.arg):
            yield node.arg, node.lineno
        elif isinstance(node, ast.ExceptHandler | ast.MatchAs | ast.MatchStar) and node.name is not None:
            yield node.name, node.lineno


@pytest.mark.slow
def test_variables_are_named_by_what_they_hold() -> None:
    paths = [path for folder in SOURCE_FOLDERS for path in sorted((ROOT / folder).rglob("*.py"))]
    assert len(paths) > 400
    texts = {path: path.read_text(encoding="utf-8") for path in paths}
    vague = [
        f"{path.relative_to(ROOT)}:{line} {name}"
        for path, text in texts.items()
        if MAY_BIND.search(text)
        for name, line in variables(ast.parse(text))
        if name in VAGUE_NAMES
    ]
    assert vague == [], "a trial is called trial, a list of answers answers"


def test_every_way_to_bind_a_name_is_seen() -> None:
    lines = (
        "for each in ():",
        "    [told for told in ()]",
        "def a(found): pass",
        "with b as each: (found := 1)",
        "class C:",
        "    told: int",
        "    each = 1",
    )
    text = "\n".join(lines)
    assert all(MAY_BIND.search(line) for line in lines if line != "class C:")
    bound = sorted(variables(ast.parse(text)))
    assert bound == [("each", 1), ("each", 4), ("each", 7), ("found", 3), ("found", 4), ("told", 2)]
