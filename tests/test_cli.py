"""The command line as a person uses it: run as a program, judged by its words and exit code."""

import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import typer
from typer import rich_utils
from typer.testing import CliRunner

from evenhand import __version__
from evenhand.cli import main

ROOT = Path(__file__).parent.parent
EXAMPLE = "evenhand.examples.digits_mlp:train"


def evenhand(*arguments: str, data: Path) -> subprocess.CompletedProcess[str]:
    """The program's result, with `data` as the user's data directory."""
    command = [sys.executable, "-m", "evenhand.cli.main", *arguments]
    environment = {**os.environ, "EVENHAND_DATA": str(data), "COLUMNS": "160"}
    return subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)


@pytest.mark.slow
def test_tune_prints_a_choice_with_its_test_score_and_leaves_a_session_that_replays(tmp_path: Path) -> None:
    budget = ("--trials", "3", "--epochs-per-trial", "2", "--seed", "4")
    done = evenhand("tune", EXAMPLE, "--method", "random", *budget, data=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "session 1: random, 3 trials" in done.stdout
    assert re.search(r"test\s+accuracy [\d.]+\s% ± [\d.]+\s%, 10 seeds", done.stdout), done.stdout
    replayed = evenhand("replay", "1", "2", data=tmp_path)
    assert replayed.returncode == 0, replayed.stdout
    assert "match, bit for bit" in replayed.stdout
    unscored = evenhand("tune", EXAMPLE, *budget, "--no-evaluate", data=tmp_path).stdout
    assert not re.search(r"test\s+accuracy", unscored)
    assert "The choice was not scored on test" in " ".join(unscored.split())


@pytest.mark.slow
def test_tune_takes_beliefs_settings_and_a_stopping_rule(tmp_path: Path) -> None:
    method = ("--method", "pibo:startup=2", "--stopping", "patience:epochs=5", "--prior", "units=32:high")
    done = evenhand("tune", EXAMPLE, *method, "--trials", "2", "--epochs-per-trial", "1", "--no-evaluate", data=tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "session 1: pibo, 2 trials" in done.stdout


@pytest.mark.slow
@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("tune", "no-such-task", "--trials", "1"), "expected black-magic"),
        (("tune", EXAMPLE), "no cap given"),
        (("tune", EXAMPLE, "--trials", "-2"), "trials is -2"),
        (("tune", EXAMPLE, "--trials", "1", "--method", "magic"), "random"),
        (("tune", EXAMPLE, "--trials", "1", "--method", "sobol:seed=1,trials=2"), "seed, trials cannot be a setting"),
        (("tune", EXAMPLE, "--trials", "1", "--method", "tpe:name=random"), "name cannot be a setting"),
        (("tune", "black-magic", "--trials", "1", "--set", "precision"), "KEY=VALUE"),
        (("tune", "black-magic", "--trials", "1", "--set", "precision=fp8", "--size", "3"), "fp32 or bf16"),
        (("tune", "black-magic", "--trials", "1", "--data", "/no/such/folder"), "imagenette"),
        (("tune", EXAMPLE, "--trials", "1", "--prior", "units=32:sure"), "with low, medium or high"),
        (("tune", EXAMPLE, "--trials", "1", "--prior", "units=many"), "'many' is not a whole number"),
        (("tune", "evenhand.examples.nosuch:train", "--trials", "1"), "there is no module evenhand.examples.nosuch here"),
        (("replay", "9", "1"), "session 9 does not exist"),
        (("replay", "99999999999999999999", "1"), "nothing here has one"),
        (("backup", "/nonexistent/x.zip"), "there is no folder /nonexistent"),
        (("compare", "--task", EXAMPLE, "--method", "random", "--out", "/nonexistent/x.html"), "there is no folder /nonexistent"),
        (("optuna", "import", "nosuch.db"), "there is no file nosuch.db"),
        (("agent", "nonsense", "--token", "abc"), "expected http://HOST:PORT"),
        (("contest", "seed003", "--only", "99"), "there is no data set 99"),
        (("data", "fetch", "mnist3d"), "fashion-mnist"),
        (("serve", "--db", "oracle://x", "--port", "0"), "expected sqlite"),
    ],
)
def test_mistakes_get_one_line_that_says_what_to_do(arguments: tuple[str, ...], words: str, tmp_path: Path) -> None:
    done = evenhand(*arguments, data=tmp_path)
    assert done.returncode == 1
    assert words in done.stderr
    assert "Traceback" not in done.stdout + done.stderr
    assert "━" not in done.stdout + done.stderr  # no bar was drawn before it


@pytest.mark.parametrize(
    "arguments",
    [
        ("serve", "--port", "99999999"),
        ("compare", "--task", EXAMPLE, "--method", "random", "--seeds", "0"),
        ("add-agent", "a", "--slots", "0"),
        ("serve", "--slots", "-1"),
    ],
)
def test_numbers_out_of_range_are_refused_as_usage(arguments: tuple[str, ...]) -> None:
    done = CliRunner().invoke(main.app, arguments)
    assert done.exit_code == 2
    assert "greater than" in done.output or "less than" in done.output or "range" in done.output


def test_help_shows_every_bracket_as_it_was_written(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(rich_utils, "MAX_WIDTH", 400)
    written, shown = typer.main.get_command(main.app), main.program()
    waiting: list[tuple[str, ...]] = [()]
    checked = 0
    while waiting:
        path = waiting.pop()
        command: Any = written
        for name in path:
            command = command.commands[name]
        with pytest.raises(SystemExit):
            shown([*path, "--help"])
        page = " ".join(capsys.readouterr().out.split())
        for words in [command.help, *(getattr(option, "help", None) for option in command.params)]:
            for bracket in re.findall(r"\[[^]]*\]", words or ""):
                assert bracket in page, (path, bracket)
                checked += 1
        waiting += [(*path, name) for name in getattr(command, "commands", ())]
    assert checked > 20


@pytest.mark.slow
def test_the_version_is_told(tmp_path: Path) -> None:
    done = evenhand("--version", data=tmp_path)
    assert (done.returncode, done.stdout.strip()) == (0, __version__)


@pytest.mark.slow
def test_data_lists_every_source_with_its_state_and_licence(tmp_path: Path) -> None:
    done = evenhand("data", data=tmp_path)
    assert done.returncode == 0, done.stderr
    for word in ("imagenette", "fashion-mnist", "digits", "ready", "MIT", str(tmp_path / "datasets")):
        assert word in done.stdout


@pytest.mark.slow
def test_task_check_says_time_noise_and_spread(tmp_path: Path) -> None:
    done = evenhand("task", "check", EXAMPLE, "--configurations", "4", "--epochs", "1", data=tmp_path)
    assert done.returncode == 0, done.stderr
    spread = (r"several seeds\s+accuracy 0\.\d{4}, SD", "no better than chance", r"outcomes\s+\d+ completed")
    for words in (r"one epoch\s+[\d.]+ s", *spread):
        assert re.search(words, done.stdout), done.stdout
