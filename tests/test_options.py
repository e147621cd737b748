"""The options that commands share: what they say, and that each is declared once."""

import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import typer.main

import evenhand.cli
from evenhand.cli import options
from evenhand.cli.main import app
from evenhand.errors import InvalidSettings
from evenhand.experiments.compare import contestant, task_spec
from evenhand.model.arguments import at_commas, key_values
from evenhand.model.task import TaskSpec

COMMANDS = Path(evenhand.cli.__file__).parent


@pytest.mark.parametrize(
    ("text", "value"),
    [("a=1", 1), ("a=0.5", 0.5), ("a=true", True), ("a=bf16", "bf16"), ("a=[1, 2]", [1, 2]), ("a=x=y", "x=y"), ("a=", "")],
)
def test_values_are_read_as_json_where_they_are_json(text: str, value: Any) -> None:
    assert key_values("--set", [text], "a=1") == {"a": value}


def test_what_is_no_pair_is_refused_by_the_name_of_what_it_was_written_in() -> None:
    with pytest.raises(InvalidSettings, match=re.escape("--set 'precision': expected KEY=VALUE, such as --set precision=bf16")):
        options.task_settings(None, None, ["precision"])
    with pytest.raises(InvalidSettings, match=re.escape("method 'startup': expected KEY=VALUE, such as startup=5")):
        contestant("tpe:startup")
    with pytest.raises(InvalidSettings, match=re.escape("task '=svm': expected KEY=VALUE, such as model=svm")):
        task_spec("sklearn[=svm]")


def test_a_text_is_split_at_commas_outside_of_brackets_and_quotes() -> None:
    assert at_commas('a=1,b=[1,2],c={"x": "]"},d="1,2"') == ["a=1", "b=[1,2]", 'c={"x": "]"}', 'd="1,2"']
    assert at_commas(",a=1,,") == ["a=1"]
    assert at_commas("") == []


def test_data_and_size_are_settings_of_a_task_and_set_comes_last() -> None:
    assert options.task_spec("mlp", "08", 32, ["size=64", "precision=bf16"]) == TaskSpec(
        "mlp", {"data": "08", "size": 64, "precision": "bf16"}
    )
    assert options.task_settings(None, None, None) == {}


def test_a_mode_is_one_of_three_words() -> None:
    assert [options.mode_of(word) for word in ("live", "pilot", "simulated")] == ["live", "pilot", "simulated"]
    with pytest.raises(InvalidSettings, match="--mode 'real': expected one of live, pilot, simulated"):
        options.mode_of("real")


@pytest.mark.parametrize("words", ['"--db"', 'typer.Option("--set"', "\nconsole = PlainConsole(", "os.cpu_count() or 1 if"])
def test_what_commands_share_is_written_once(words: str) -> None:
    there = [path.name for path in COMMANDS.glob("*.py") for _ in range(path.read_text(encoding="utf-8").count(words))]
    assert there == ["options.py"]


def test_every_group_of_commands_is_in_the_table_of_contents() -> None:
    """A module of commands that `main` forgot would be found by nobody."""
    said = {path.stem for path in COMMANDS.glob("*.py") if "\napp = typer.Typer(" in path.read_text(encoding="utf-8")}
    listed = re.search(r"for group in \(([^)]*)\):", (COMMANDS / "main.py").read_text(encoding="utf-8"))
    assert listed is not None
    assert set(re.findall(r"\w+", listed[1])) == said - {"main"}
    assert set(typer.main.get_command(app).commands) >= {"serve", "agent", "tune", "task", "study"}  # type: ignore[attr-defined]


def test_help_loads_no_other_room() -> None:
    """Else it would answer late: records and NumPy alone take a third of the time."""
    code = "import sys, evenhand.cli.main; print(*(name for name in sys.modules if name.startswith(('evenhand.', 'numpy'))))"
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    assert {name for name in loaded if not name.startswith("evenhand.cli")} == {
        "evenhand._version", "evenhand.errors", "evenhand.settings",
    }  # fmt: skip
