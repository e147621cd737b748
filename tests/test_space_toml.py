"""A space as a TOML file: what is written is read again, and what is wrong is named where it stands."""

from pathlib import Path

import numpy as np
import pytest

from evenhand import Choice, Condition, Float, Hyperparameter, Integer, Prior, Space, load_space, save_space
from evenhand.errors import InvalidSpace

RICH = Space(
    [
        Hyperparameter("lr", Float(1e-5, 0.1, log=True), 1e-3, "Rate", 'How "far"\neach step goes.', prior=Prior(0.01, "high")),
        Hyperparameter("decay", Float(1, 10, or_zero=True), 0),
        Hyperparameter("momentum", Float(0, 0.9, step=0.3)),
        Hyperparameter("seeds", Integer(-(2**63), 2**63 - 1)),
        Hyperparameter("units", Choice((32, 64, 1.0, True, "1", None, (64, (32, None))))),
        Hyperparameter("size", Choice((1, 2, 4), ("small", "middle", "large"), ordered=True), 2),
        Hyperparameter("optimizer", Choice(("adam", "sgd")), "sgd"),
        Hyperparameter("layers", Integer(1, 9, step=2), 1),
        Hyperparameter(
            "beta 1", Float(0, 1), condition=Condition("optimizer", ("adam",)) & Condition("layers", above=1, below=9)
        ),
        Hyperparameter("on.units", Float(0, 1), condition=Condition("units", (None, True))),
        Hyperparameter("middle", Float(0, 1), condition=Condition("layers", above=1, below=8)),
        Hyperparameter("epochs", Integer(1, 20), fidelity=True),
        Hyperparameter("warmup", Integer(0, 20)),
    ],
    ["warmup < epochs", 'optimizer == "adam" or lr < 0.05'],
)


def written(folder: Path, text: str) -> Path:
    path = folder / "space.toml"
    path.write_text(text, encoding="utf-8")
    return path


def mistakes(folder: Path, text: str) -> list[str]:
    with pytest.raises(InvalidSpace) as caught:
        load_space(written(folder, text))
    return str(caught.value).splitlines()


def test_a_written_space_is_read_as_the_same_one(tmp_path: Path) -> None:
    save_space(RICH, tmp_path / "space.toml")
    again = load_space(tmp_path / "space.toml")
    assert again == RICH
    assert again.digest == RICH.digest


def test_a_file_as_people_write_it(tmp_path: Path) -> None:
    text = """
constraints = ["warmup < epochs"]

[lr]
type = "float"
low = 1e-5
high = 0.1
log = true

[units]
type = "choice"
options = [32, 64]

[layers]
type = "integer"
low = 1
high = 4
default = 2

[dropout]
type = "float"
low = 0
high = 0.5
condition = { on = "layers", above = 1 }

[epochs]
type = "integer"
low = 1
high = 20
fidelity = true

[warmup]
type = "integer"
low = 0
high = 5
help = "epochs of a rising rate"
"""
    space = load_space(written(tmp_path, text))
    assert space.names == ("lr", "units", "layers", "dropout", "epochs", "warmup")
    assert space["lr"].domain == Float(1e-5, 0.1, log=True)
    assert space["dropout"].condition == Condition("layers", above=1)
    assert space.fidelity is space["epochs"]
    drawn = space.sample(np.random.default_rng(0))
    assert drawn["warmup"] < drawn["epochs"]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", "space.toml:1: got no table, expected one for each hyperparameter"),
        ("[lr]\nlow = 1\nhigh = 2", "space.toml:1: lr.type: got nothing, expected one of float, integer, choice"),
        ('[lr]\ntype = "flaot"\nlow = 1\nhigh = 2', 'space.toml:2: lr.type: got "flaot", expected one of float, integer, choice'),
        ('[lr]\ntype = "float"\nhigh = 2', "space.toml:1: lr.low: got nothing, expected a number; add low = ..."),
        ('[lr]\ntype = "float"\nlow = "1e-5"\nhigh = 2', 'space.toml:3: lr.low: got "1e-5", expected a number'),
        ('[lr]\ntype = "float"\nlow = nan\nhigh = 2', "space.toml:3: lr.low: got nan, expected a number"),
        ('[lr]\ntype = "integer"\nlow = 1.5\nhigh = 2', "space.toml:3: lr.low: got 1.5, expected a whole number"),
        ('[lr]\ntype = "float"\nlow = 3\nhigh = 2', "space.toml:1: lr: got Float from 3 to 2, expected the lower bound first"),
        ('[lr]\ntype = "float"\nlow = 0\nhigh = 2\nlog = true', "space.toml:1: lr: got Float from 0 to 2: a log scale needs"),
        ('[lr]\ntype = "float"\nlow = 0\nhigh = 2\nlog = 1', "space.toml:5: lr.log: got 1, expected true or false"),
        ('[lr]\ntype = "float"\nlow = 1\nhigh = 2\ndefault = 3', "space.toml:5: lr.default: got 3, expected a number from"),
        ('[lr]\ntype = "float"\nlow = 1\nhigh = 2\nlogg = true', "space.toml:5: lr.logg: got the unknown key logg"),
        ('[u]\ntype = "choice"', "space.toml:1: u.options: got nothing, expected a list of options"),
        ('[u]\ntype = "choice"\noptions = "a"', 'space.toml:3: u.options: got "a", expected a list of options'),
        ('[u]\ntype = "choice"\noptions = []', "space.toml:1: u: got choice (), expected at least one option"),
        ('[u]\ntype = "choice"\noptions = [1, 1]', "space.toml:1: u: got choice (1, 1), expected at least one option"),
        ('[u]\ntype = "choice"\noptions = [1979-05-27]', "space.toml:1: u: got choice"),
        ('lr = 0.1\n[u]\ntype = "choice"\noptions = [1]', "space.toml:1: lr: got 0.1, expected a table"),
        ('[u]\ntype = "choice"\noptions = [1]\nconstraints = ["u > 0"]', "space.toml:4: u.constraints: got the unknown key"),
        ('constraints = ["u > v"]\n[u]\ntype = "choice"\noptions = [1]', "space.toml:1: constraints[1]: got constraint 'u > v'"),
        ('constraints = "u > 0"\n[u]\ntype = "choice"\noptions = [1]', 'space.toml:1: constraints: got "u > 0", expected a list'),
        ('[u]\ntype = "choice"\noptions = [1]\ncondition = "x"', 'space.toml:4: u.condition: got "x", expected a table such as'),
        (
            '[u]\ntype = "choice"\noptions = [1]\ncondition = { on = "x", above = 1 }',
            "space.toml:4: u.condition: got hyperparameter 'u' has a condition on 'x', which",
        ),
        ('[u]\ntype = "choice"\noptions = [1]\ncondition = { on = "x" }', "space.toml:4: u.condition.values: got nothing"),
        (
            '[u]\ntype = "choice"\noptions = [1]\ncondition = { on = "x", values = 1 }',
            "space.toml:4: u.condition.values: got 1, expected a list of values; write it as [1]",
        ),
        ('[u]\ntype = "choice"\noptions = [a]', "space.toml:3: got options = [a]"),
    ],
)  # fmt: skip
def test_a_mistake_names_file_line_table_key_value_and_what_is_expected(tmp_path: Path, text: str, expected: str) -> None:
    assert mistakes(tmp_path, text)[0].startswith(expected)


def test_all_mistakes_are_named_at_once_in_the_order_of_the_file(tmp_path: Path) -> None:
    text = '[lr]\ntype = "float"\nlow = "a"\nhigh = "b"\n[u]\ntype = "choice"\noption = [1]\n'
    assert [line.partition(": got")[0] for line in mistakes(tmp_path, text)] == [
        "space.toml:3: lr.low",
        "space.toml:4: lr.high",
        "space.toml:5: u.options",
        "space.toml:7: u.option",
    ]


def test_a_file_that_is_not_there_or_is_no_text_is_refused_in_words(tmp_path: Path) -> None:
    with pytest.raises(InvalidSpace, match=r"nothing\.toml'.*No such file"):
        load_space(tmp_path / "nothing.toml")
    (tmp_path / "bytes.toml").write_bytes(b"\xff\xfe")
    with pytest.raises(InvalidSpace, match="it is not UTF-8"):
        load_space(tmp_path / "bytes.toml")


def test_constraints_beside_a_hyperparameter_of_that_name_cannot_be_written(tmp_path: Path) -> None:
    alone = Space({"constraints": [1, 2]})
    save_space(alone, tmp_path / "space.toml")
    assert load_space(tmp_path / "space.toml") == alone
    with pytest.raises(InvalidSpace, match="expected another name"):
        save_space(Space({"constraints": [1, 2]}, ["constraints > 1"]), tmp_path / "space.toml")
