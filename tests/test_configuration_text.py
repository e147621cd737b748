"""Configurations as text come back as they were: every kind of option, in every format."""

import ast
import json
import shlex
import subprocess
import tomllib
from collections.abc import Mapping
from importlib import import_module, util
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

import evenhand
from evenhand import Choice, Float, Integer, Space
from evenhand.cli.main import app
from evenhand.errors import InvalidSettings, NotFound, Refused
from evenhand.exchange.configuration_text import FORMATS, save
from evenhand.experiments.best import BestTrial
from evenhand.model.configuration import Configuration
from evenhand.model.space_toml import NONE
from evenhand.settings import trials_dir
from evenhand.tasks.programs.command import text_of

TEXTS = (
    "", "plain", " a b ", "it's", 'say "no"', "one\ntwo\r\n", "\t\\n", "$HOME `id` ; rm -rf *", "-x", "--units=3",
    "null", "true", "1e-05", "yes",
    "é ∞ 😀", "\x7f\x85\u2028", "#", "{a: b}", "[1, 2]", "{{x}}",
)  # fmt: skip
MIXED = (
    None,
    True,
    False,
    1,
    1.0,
    "1",
    2**70,
    -(2**63),
    1e-05,
    1e300,
    (),
    (64,),
    (64, (32, None), "a 'b'"),
    "None",
    "line\nbreak",
)
SPACE = Space(
    {
        "lr": Float(1e-9, 1e20, log=True),
        "units": Integer(-(2**63), 2**63 - 1),
        "text": Choice(TEXTS),
        "any": Choice(MIXED),
        "no": Choice(("on", None)),
        "a name, 'quoted' \"so\"": Choice((1, 2)),
    }
)


def configurations() -> list[Configuration]:
    made = [{"text": text, "any": any_} for text, any_ in zip([*TEXTS, *TEXTS], [*MIXED, *MIXED, *MIXED], strict=False)]
    numbers = [(1e-9, 2**63 - 1), (1e16, -(2**63)), (0.1 + 0.2, 0), (1e-05, 2**53 + 1), (8.319e-06, 1)]
    return [
        SPACE.configuration(
            {
                **given,
                "lr": numbers[at % len(numbers)][0],
                "units": numbers[at % len(numbers)][1],
                "no": (None, "on")[at % 2],
                SPACE.names[-1]: 1,
            }
        )
        for at, given in enumerate(made)
    ]


def of_toml(value: Any) -> Any:
    return None if value == NONE else [of_toml(part) for part in value] if isinstance(value, list) else value


def of_arguments(text: str) -> dict[str, str]:
    """As a shell splits it, and a program reads it."""
    line = f"python3 -c 'import json, sys; print(json.dumps(sys.argv[1:]))' {text}"
    words = json.loads(subprocess.run(["bash", "-c", line], check=True, capture_output=True, text=True).stdout)
    assert words == shlex.split(text)
    values, waiting = {}, iter(words)
    for word in waiting:
        name, equals, value = word.removeprefix("--").partition("=")
        values[name] = value if equals else next(waiting)
    return values


@pytest.mark.parametrize("configuration", configurations()[::3])
def test_arguments_of_a_shell_come_back(configuration: Configuration) -> None:
    assert meant(SPACE, of_arguments(FORMATS["args"](SPACE, configuration))) == configuration


def meant(space: Space, texts: Mapping[str, str]) -> Configuration:
    """The only configuration that is written so."""
    raw: dict[str, Any] = dict(texts)
    for name, text in texts.items():
        if isinstance(domain := space[name].domain, Choice):
            (raw[name],) = (option for option in domain.options if text_of(space[name], option) == text)
    return space.configuration(raw)


def test_each_format_comes_back_as_it_was() -> None:
    for configuration in configurations():
        written = {name: write(SPACE, configuration) for name, write in FORMATS.items()}
        python = ast.literal_eval(written["python"])
        assert {name: (type(value), value) for name, value in python.items()} == {
            name: (type(value), value) for name, value in configuration.items()
        }
        assert SPACE.configuration(json.loads(written["json"])) == configuration
        toml = {name: of_toml(value) for name, value in tomllib.loads(written["toml"]).items()}
        assert SPACE.configuration(toml) == configuration
        if util.find_spec("yaml"):
            assert SPACE.configuration(import_module("yaml").safe_load(written["yaml"])) == configuration


def test_what_a_format_cannot_hold_is_refused(tmp_path: Path) -> None:
    space = Space({"x": Choice(("a", "\0"))})
    none = space.configuration({"x": "\0"})
    assert json.loads(FORMATS["json"](space, none)) == none
    with pytest.raises(InvalidSettings, match="which no argument can be"):
        FORMATS["args"](space, none)
    with pytest.raises(InvalidSettings, match=r"best.txt': expected a file that ends in .json, .toml, .yaml, .yml"):
        save(space, none, tmp_path / "best.txt")
    with pytest.raises(InvalidSettings, match="cannot be written"):
        save(space, none, tmp_path / "no" / "best.json")
    assert not list(tmp_path.iterdir())


@pytest.mark.slow
def test_the_best_trial_is_saved_and_printed(tmp_path: Path) -> None:
    db = f"sqlite:///{tmp_path / 'lab.sqlite'}"

    def train(configuration: Configuration, run: evenhand.Run) -> float:
        (run.folder / "note").write_text(str(run.number))
        return float(configuration["x"])

    space = {"x": Float(0, 1), "layers": [(64,), (64, 32)]}
    result = evenhand.tune(train, space, direction="maximize", trials=5, name="mine", db=db, progress=False)
    best = result.best
    assert isinstance(best, BestTrial)
    assert best.value == max(trial.value or 0 for trial in result.trials)
    assert best.folder is not None
    assert best.folder.is_relative_to(trials_dir())
    assert (best.folder / "note").read_text() == str(best.number)
    assert evenhand.session("mine", db).best == best
    for ending in ("json", "toml", "yaml", "yml"):
        result.save(tmp_path / f"best.{ending}")
    assert result.session.space.configuration(json.loads((tmp_path / "best.json").read_text())) == best.configuration
    printed = {
        name: CliRunner().invoke(app, ["best", "mine", "--format", name, "--db", db], catch_exceptions=False).stdout
        for name in FORMATS
    }
    assert printed["json"] == (tmp_path / "best.json").read_text()
    assert printed["toml"] == (tmp_path / "best.toml").read_text()
    assert ast.literal_eval(printed["python"]) == dict(best.configuration)
    assert meant(result.session.space, of_arguments(printed["args"].strip())) == best.configuration
    assert CliRunner().invoke(app, ["best", "1", "--db", db]).stdout == printed["json"]
    for call, error, match in (
        (["best", "other"], NotFound, "no session is named 'other'"),
        (["best", "1", "--format", "xml"], InvalidSettings, "format 'xml': expected one of json, toml, yaml, args, python"),
    ):
        with pytest.raises(error, match=match):
            CliRunner().invoke(app, [*call, "--db", db], catch_exceptions=False)


def test_without_a_value_there_is_nothing_to_save(tmp_path: Path) -> None:
    db = f"sqlite:///{tmp_path / 'lab.sqlite'}"
    result = evenhand.tune(lambda c: 1 / 0, {"x": Float(0, 1)}, direction="maximize", trials=1, db=db, progress=False)
    assert result.best is None
    with pytest.raises(Refused, match="no trial has a value"):
        result.save(tmp_path / "best.json")
    with pytest.raises(Refused, match="no trial has a value"):
        CliRunner().invoke(app, ["best", "1", "--db", db], catch_exceptions=False)
