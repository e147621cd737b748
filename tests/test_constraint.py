"""Constraints: the grammar, what is refused and why, and that every way to a configuration keeps to them."""

import json
from typing import Any

import numpy as np
import pytest

from evenhand import Condition, Float, Hyperparameter, Integer, Space
from evenhand.errors import InvalidConfiguration, InvalidSpace
from evenhand.model.constraint import Constraint

SPACE: dict[str, Any] = {
    "warmup": Integer(0, 20), "epochs": Integer(1, 20), "rate": Float(0, 1), "kind": ["a", "b"], "flag": [True, False],
}  # fmt: skip
VALUES = {"warmup": 5, "epochs": 10, "rate": 0.5, "kind": "a", "flag": True}


@pytest.mark.parametrize(
    ("text", "holds"),
    [
        ("warmup < epochs", True),
        ("warmup >= epochs", False),
        ("0 < warmup < epochs <= 10", True),
        ("warmup * 2 == epochs", True),
        ("warmup + epochs - 1 > 14 / 1", False),
        ("-warmup < 0 and not (rate > 0.5)", True),
        ("kind == 'a' or rate > 1", True),
        ("kind in ('b', 'c')", False),
        ("kind not in ['b']", True),
        ("warmup in (1, 5, -3)", True),
        ("flag", True),
        ("flag == True", True),
        ("not flag", False),
        ("rate / (warmup - 5) < 1", False),
    ],
)
def test_what_a_constraint_says(text: str, holds: bool) -> None:
    space = Space(SPACE, [text])
    assert space.keeps_constraints(VALUES) is holds
    if not holds:
        with pytest.raises(InvalidConfiguration):
            space.configuration(VALUES)


@pytest.mark.parametrize(
    ("rule", "words"),
    [
        (lambda values: True, "got a function; write it as text, such as 'warmup < epochs'"),
        ("warmup <", "it cannot be read"),
        ("warmup ** 2 < 1", "'warmup ** 2' is not in the grammar"),
        ("__import__('os')", "is not in the grammar"),
        ("warmup.real < 1", "'warmup.real' is not in the grammar"),
        ("[x for x in y]", "is not in the grammar"),
        ("warmup is 3", "is not in the grammar"),
        ("kind in rate", "rate is no list of values"),
        ("speed < 1", "'speed' is no hyperparameter; expected one of warmup, epochs, rate, kind, flag"),
        ("warmup + epochs", "it is no comparison"),
        ("kind < 3", "kind is a text, expected a number"),
        ("kind == 3", "kind and 3 are never equal"),
        ("rate and flag", "rate is a number, expected a truth"),
        ("(" * 400 + "warmup" + ")" * 400, "it has 806 letters, expected at most 500"),
        (("(" * 240) + "warmup" + (")" * 240) + "<1", "it cannot be read"),
        ("1j < warmup", "is not in the grammar"),
    ],
)
def test_what_is_not_in_the_grammar_is_refused_with_what_to_do(rule: Any, words: str) -> None:
    with pytest.raises(InvalidSpace) as error:
        Space(SPACE, [rule])
    assert words in str(error.value)


def test_a_text_alone_is_no_list_of_constraints() -> None:
    with pytest.raises(InvalidSpace, match="expected a list of texts"):
        Space(SPACE, "warmup < epochs")


def test_constraints_are_part_of_the_json_the_digest_and_the_error() -> None:
    plain, space = Space(SPACE), Space(SPACE, ["warmup < epochs"])
    assert Space.from_json(json.loads(json.dumps(space.to_json()))) == space != plain
    assert space.digest != plain.digest
    assert "constraints" not in plain.to_json()
    with pytest.raises(InvalidConfiguration) as error:
        space.configuration({**VALUES, "warmup": 15})
    assert [(problem.name, problem.given, problem.expected) for problem in error.value.problems] == [
        ("epochs", "10", "warmup < epochs (warmup is 15)")
    ]


def test_a_constraint_says_nothing_of_what_is_not_active() -> None:
    inner = Hyperparameter("units_2", Integer(8, 64), condition=Condition("layers", above=1))
    space = Space(
        [Hyperparameter("layers", Integer(1, 2)), Hyperparameter("units_1", Integer(8, 64)), inner], ["units_1 >= units_2"]
    )
    assert space.configuration({"layers": 1, "units_1": 8})
    with pytest.raises(InvalidConfiguration):
        space.configuration({"layers": 2, "units_1": 8, "units_2": 9})


@pytest.mark.slow
def test_draws_and_points_keep_to_them_and_say_where_none_can() -> None:
    space = Space(SPACE, ["warmup < epochs", "rate < 0.1 * warmup"])
    rng = np.random.default_rng(0)
    assert all(space.keeps_constraints(space.sample(rng)) for _ in range(200))
    for _ in range(200):
        units = rng.random(5)
        near = space.at(units)
        assert space.keeps_constraints(near)
        assert near == space.at(units)
        assert near["kind"] == Space(SPACE).at(units)["kind"]  # what no constraint speaks of stays
    never = Space({"x": Float(0, 1), "y": Float(0, 1)}, ["x + y == 3"])
    with pytest.raises(InvalidSpace, match="none of 10,000 draws keeps to them"):
        never.sample(rng)
    with pytest.raises(InvalidSpace, match="none of 10,000 draws keeps to them"):
        never.at([0.5, 0.5])


def test_where_the_fidelity_is_fixed_the_others_keep_to_what_is_left_of_them() -> None:
    epochs = Hyperparameter("epochs", Integer(1, 20), fidelity=True)
    others = [Hyperparameter("warmup", Integer(0, 20)), Hyperparameter("rate", Float(0, 1))]
    space = Space([epochs, *others], ["warmup < epochs", "rate < 0.1 * warmup", "epochs > 2 or rate < 0.5"])
    left = space.with_fidelity_fixed(3)
    assert left.names == ("warmup", "rate")
    assert [constraint.text for constraint in left.constraints] == ["warmup < 3", "rate < 0.1 * warmup", "3 > 2 or rate < 0.5"]
    assert space.with_fidelity_fixed(3) is left
    assert space.with_fidelity_fixed(4) != left
    assert space.constraints[0].text == "warmup < epochs", "nothing changes in the space itself"
    rng = np.random.default_rng(0)
    drawn = [left.sample(rng) for _ in range(50)]
    assert all(space.configuration({**values, "epochs": 3}) for values in drawn)
    with pytest.raises(InvalidSpace, match=r"constraint '3 > 5' does not hold, as epochs is 3"):
        Space([epochs, *others], ["epochs > 5"]).with_fidelity_fixed(3)


def test_constraints_are_equal_and_hashed_by_their_text() -> None:
    assert Constraint("a < b") == Constraint("a < b") != Constraint("b > a")
    assert hash(Space(SPACE, ["flag"])) == hash(Space(SPACE, ["flag"]))
