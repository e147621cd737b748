"""The scripts of docs/programs.md run as they are printed, with the commands that stand below them."""

import os
import re
import shlex
import sys
from pathlib import Path

import pytest
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split
from typer.testing import CliRunner

from evenhand.cli.main import app
from evenhand.lab.lab import Lab
from evenhand.model.session import Session
from evenhand.model.trial import Outcome
from tests.components import need

TEXT = (Path(__file__).parent.parent / "docs" / "programs.md").read_text(encoding="utf-8")
SECTIONS = dict(section.split("\n", 1) for section in TEXT.split("\n## ")[1:])
POINTS = "".join(f"{x / 10} {3 * x / 10 - 1}\n" for x in range(20))


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with nothing in it; `python` is the one that runs the tests."""
    folder, programs = tmp_path / "home", tmp_path / "bin"
    folder.mkdir()
    programs.mkdir()
    (programs / "python").write_text(f'#!/bin/sh\nexec {shlex.quote(sys.executable)} "$@"\n')
    (programs / "python").chmod(0o755)
    monkeypatch.setenv("PATH", f"{programs}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.setenv("EVENHAND_DATA", str(tmp_path / "data"))
    monkeypatch.chdir(folder)
    return folder


def write(section: str) -> None:
    """The files of a section, as the first line of each says its name."""
    for name, text in re.findall(r"^```\w+\n# (\S+\.\w+)\n(.*?)^```", SECTIONS[section], flags=re.DOTALL | re.MULTILINE):
        Path(name).write_text(text)


def tuned(section: str, trials: int) -> Session:
    """The session of a section's command, with fewer trials."""
    write(section)
    (command,) = re.findall(r"^    (evenhand tune .*)$", SECTIONS[section], flags=re.MULTILINE)
    assert command.count("--trials 20") == 1
    words = shlex.split(command.replace("--trials 20", f"--trials {trials}"))[1:]
    said = CliRunner().invoke(app, words)
    assert said.exit_code == 0, f"{said.output}{said.exception!r}"
    assert "not scored: the task has no test data" in said.output
    lab = Lab.connect()
    session = lab.sessions.get(1)
    lab.close()
    return session


@pytest.mark.slow
def test_scikit_learn() -> None:
    session = tuned("The first result", 2)
    assert [trial.outcome for trial in session.trials] == [Outcome.COMPLETED] * 2
    assert all(trial.value is not None and trial.value > 0.9 for trial in session.trials)


@pytest.mark.slow
def test_pytorch(tmp_path: Path) -> None:
    need("torch")
    session = tuned("PyTorch, epoch by epoch", 3)
    assert {trial.outcome for trial in session.trials} == {Outcome.COMPLETED}
    assert [trial.epochs_done for trial in session.trials] == [5, 5, 5]
    for trial in session.trials:
        (checkpoint,) = (tmp_path / "data" / "trials").glob(f"*/trial-{trial.number}-1/work/model.pt")
        assert accuracy_of(checkpoint, int(trial.configuration["units"])) == trial.value


def accuracy_of(checkpoint: Path, units: int) -> float:
    """What the weights that a trial left behind reach on the validation data of the page's script."""
    torch = need("torch")
    x, y = load_digits(return_X_y=True)
    _, x_validation, _, y_validation = train_test_split(x, y, test_size=0.25, random_state=0)
    model = torch.nn.Sequential(torch.nn.Linear(64, units), torch.nn.ReLU(), torch.nn.Linear(units, 10))
    model.load_state_dict(torch.load(checkpoint))
    right = model(torch.tensor(x_validation / 16, dtype=torch.float32)).argmax(1) == torch.tensor(y_validation)
    return float(right.float().mean())


@pytest.mark.slow
def test_lightgbm() -> None:
    need("lightgbm")
    session = tuned("LightGBM, with a log that is there already", 2)
    assert [trial.outcome for trial in session.trials] == [Outcome.COMPLETED] * 2
    assert all(trial.epochs_done > 1 for trial in session.trials)


@pytest.mark.slow
def test_shell_and_awk() -> None:
    Path("points.txt").write_text(POINTS)
    session = tuned("A shell script, awk, and any other language", 6)
    assert {trial.outcome for trial in session.trials} <= {Outcome.COMPLETED, Outcome.DIVERGED}
    completed = [trial for trial in session.trials if trial.outcome is Outcome.COMPLETED]
    assert completed
    assert all(trial.epochs_done == trial.configuration["rounds"] for trial in completed)
    assert all(trial.configuration["rate"] * trial.configuration["rounds"] < 10 for trial in session.trials)


@pytest.mark.slow
def test_the_same_in_python() -> None:
    Path("points.txt").write_text(POINTS)
    write("A shell script, awk, and any other language")
    names: dict[str, object] = {}
    (block,) = re.findall(r"```python\n(.*?)```", SECTIONS["In Python"], flags=re.DOTALL)
    exec(compile(block, "docs/programs.md", "exec"), names)
    lab = Lab.connect()
    assert len(lab.sessions.get(1).trials) == 5
    lab.close()


def test_the_tables_of_the_page_name_what_there_is() -> None:
    options = set(re.findall(r"`(--[a-z-]+)", TEXT)) - {"--lr", "--momentum", "--beta"}
    said = CliRunner().invoke(app, ["tune", "--help"], env={"COLUMNS": "200"}).output
    assert options
    assert not [option for option in options if option not in said]
