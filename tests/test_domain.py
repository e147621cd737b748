"""Domains: options of every kind, steps, digits that fit the range, whole numbers of any size, and short forms."""

import copy
import json
import math
import pickle
from typing import Any

import numpy as np
import optuna
import pytest
import scipy.stats

from evenhand import Choice, Condition, Float, Hyperparameter, Integer, Space
from evenhand.errors import InvalidConfiguration, InvalidSpace
from evenhand.model.domain import Domain, show, values_of

MIXED = Choice((True, 1, 1.0, "1", None, (1, 2), "a"))


# Options of every kind


def test_true_one_one_point_zero_and_text_one_are_four_options() -> None:
    assert [MIXED.index(option) for option in (True, 1, 1.0, "1")] == [0, 1, 2, 3]
    assert [type(MIXED.accept(option)) for option in (True, 1, 1.0, "1")] == [bool, int, float, str]
    assert len(set(MIXED.texts)) == len(MIXED.options)
    assert [MIXED.of_text(text) for text in MIXED.texts] == list(MIXED.options)
    assert [type(MIXED.of_text(text)) for text in MIXED.texts[:4]] == [bool, int, float, str]
    assert Choice((True,)) != Choice((1,))
    assert Choice((1,)) != Choice((1.0,))
    space = Space([Hyperparameter("x", MIXED)])
    configurations = {space.configuration({"x": option}) for option in MIXED.options}
    assert len(configurations) == len({configuration.digest for configuration in configurations}) == 7


@pytest.mark.parametrize("option", MIXED.options)
def test_an_option_comes_back_from_json_and_from_the_unit_interval_as_it_was(option: Any) -> None:
    space = Space([Hyperparameter("x", MIXED)])
    configuration = space.configuration({"x": option})
    again = space.configuration(json.loads(json.dumps(configuration)))
    assert again == configuration
    assert (type(again["x"]), again["x"]) == (type(option), option)
    assert Space.from_json(json.loads(json.dumps(space.to_json()))) == space
    assert MIXED.from_unit(MIXED.to_unit(option)) is option


def test_a_choice_of_texts_keeps_its_digest() -> None:
    space = Space([Hyperparameter("kind", Choice(("a", "b")), "a")])
    assert space.digest == "abf2d06fcc61aeedb06aecfaf3697eb5f98729e8f41e406fc9dbbe6aefa8b53b"


def test_lists_and_numbers_of_numpy_become_python_s_own() -> None:
    options = Choice(np.array([32, 64]))  # type: ignore[arg-type]
    assert options == Choice((32, 64))
    assert [type(option) for option in Choice((np.int64(3), np.float32(0.5), np.bool_(True))).options] == [int, float, bool]
    assert Choice([[1, 2], [3]]).options == ((1, 2), (3,))  # type: ignore[arg-type]
    assert Choice(((1, 2),)).accept([1, 2]) == (1, 2)


def test_a_number_or_a_text_is_taken_for_the_option_that_it_says() -> None:
    numbers = Choice((32, 0.5, None, True))
    assert numbers.accept(32.0) == 32
    assert numbers.accept("32") == 32
    assert numbers.accept("None") is None
    assert numbers.accept("null") is None
    assert numbers.accept("true") is True
    for wrong in ("31", 1, {"a": 1}, [32]):
        with pytest.raises((ValueError, TypeError)):
            numbers.accept(wrong)


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: Choice("abc"), "choice 'abc': expected a list or tuple of options"),  # type: ignore[arg-type]
        (lambda: Choice((1, {"a": 1})), "got {'a': 1}, expected text, numbers, True, False, None, or lists of these"),
        (lambda: Choice((1.0, math.nan)), "got nan, expected finite numbers"),
        (lambda: Choice((1, 1)), "expected at least one option, all distinct"),
        (lambda: Choice(()), "expected at least one option"),
        (lambda: Choice(("a", "b\udce9")), "got 'b\\udce9', which holds bytes that are no characters; expected text"),
        (lambda: Choice((("b\udce9",), 1)), "which holds bytes that are no characters"),
        (lambda: Choice((1, 2), ("one", "two\udce9")), "expected texts"),
        (lambda: Choice((1, 2), labels="ab"), "its labels are 'ab', expected a list or tuple of texts"),  # type: ignore[arg-type]
        (lambda: Float("1e-5", 1), "Float with low '1e-5': expected finite numbers"),  # type: ignore[arg-type]
        (lambda: Float(0, math.inf), "Float with high inf: expected finite numbers"),
        (lambda: Float(1, 0), "Float from 1 to 0: expected the lower bound first"),
        (lambda: Float(-1e308, 1e308), "expected bounds whose difference is a finite number"),
        (lambda: Float(0, 1, log=True), "a log scale needs a lower bound above 0"),
        (lambda: Float(1, 2, log=True, step=0.5), "got step 0.5 and a log scale, expected one of them"),
        (lambda: Float(0, 1, step=0), "got step 0, expected a step above 0"),
        (lambda: Integer(1.5, 3.7), "Integer with low 1.5: expected whole numbers from -2^63 to 2^63 - 1"),  # type: ignore[arg-type]
        (lambda: Integer(0, 2**63), "Integer with high 9223372036854775808: expected whole numbers"),
        (lambda: Integer(True, 3), "Integer with low True: expected whole numbers"),
        (lambda: Space({"x": "abc"}), "hyperparameter 'x': got 'abc' as its domain, expected Float"),
        (lambda: Space({"x": 3}), "hyperparameter 'x': got 3 as its domain, expected Float"),
        (lambda: Space({"x": {1, 2}}), "hyperparameter 'x': got {1, 2} as its domain"),
        (lambda: Space({"x": range(0)}), "which is empty"),
        (lambda: Space({"x": scipy.stats.norm()}), "got SciPy's distribution 'norm', expected uniform, loguniform or randint"),
        (lambda: Space("abc"), "a space of 'abc': expected a list of Hyperparameter"),  # type: ignore[arg-type]
        (lambda: Space([Float(0, 1)]), "a space with Float"),  # type: ignore[list-item]
        (lambda: Space({"x": [1, 1]}), "hyperparameter 'x': choice (1, 1): expected at least one option, all distinct"),
        (lambda: Hyperparameter("", Float(0, 1)), "hyperparameter '': expected a name"),
        (lambda: Hyperparameter("a\udce9", Float(0, 1)), "hyperparameter 'a\\udce9': expected a name"),
        (lambda: Hyperparameter("x", Float(0, 1), label="a\udce9"), "its label is 'a\\udce9', expected a text"),
        (lambda: Hyperparameter("x", Float(0, 1), help=3), "its help is 3, expected a text"),  # type: ignore[arg-type]
        (lambda: Hyperparameter("x", Float(0, 1), 2), "default 2 is not a number from 0 to 1"),
        (lambda: Condition("z", "adam"), "got 'adam' as its values, expected a list or tuple"),  # type: ignore[arg-type]
        (lambda: Condition("z", (1,), above=2), "got values and a bound, expected one of the two"),
        (lambda: Condition("z", above="2"), "got '2' for above, expected a number"),  # type: ignore[arg-type]
    ],
)
def test_what_makes_no_domain_is_refused_where_it_is_given(make: Any, words: str) -> None:
    with pytest.raises(InvalidSpace) as error:
        make()
    assert words in str(error.value)


def test_a_choice_that_holds_none_has_it_as_its_default_where_no_other_is_named() -> None:
    space = Space([Hyperparameter("depth", Choice((None, 3, 5))), Hyperparameter("features", Choice((None, "sqrt")), "sqrt")])
    assert space.configuration({}) == {"depth": None, "features": "sqrt"}
    assert space.configuration({"features": None}) == {"depth": None, "features": None}
    assert space.configuration({"features": ""}) == {"depth": None, "features": "sqrt"}
    assert not space["depth"].mandatory
    assert Space.from_json(space.to_json()) == space


# Numbers


@pytest.mark.parametrize(
    "domain",
    [
        Float(2000.1, 2000.3), Float(0.999, 0.99999), Float(293.15, 293.25), Float(10_000, 10_010), Float(-1e6 - 1, -1e6),
        Float(0.999, 0.99999, log=True), Float(2000.1, 2000.3, log=True), Float(1e-300, 1e300, log=True),
    ],
)  # fmt: skip
def test_drawn_numbers_spread_over_the_range_wherever_it_lies(domain: Float) -> None:
    drawn = {domain.from_unit(float(unit)) for unit in np.linspace(0, 1, 500)}
    assert len(drawn) > 450
    assert all(domain.low <= value <= domain.high for value in drawn)
    for unit in np.linspace(0, 1, 11):
        assert domain.to_unit(domain.from_unit(float(unit))) == pytest.approx(unit, abs=2e-3)


@pytest.mark.parametrize("domain", [Float(1e-5, 1, log=True), Float(0, 1), Float(1e-6, 9, log=True, or_zero=True)])
def test_where_four_digits_tell_numbers_apart_there_are_four(domain: Float) -> None:
    for unit in np.random.default_rng(0).random(300):
        value = domain.from_unit(float(unit))
        assert value == float(f"{value:.4g}")


def test_steps_are_kept_to_in_decimal_digits() -> None:
    domain = Float(0, 1, step=0.1)
    assert list(values_of(domain)) == [0.0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0]
    assert {domain.from_unit(float(unit)) for unit in np.linspace(0, 1, 999)} == set(values_of(domain))
    assert domain.accept(0.30000000000000004) == 0.3
    assert domain.expected == "a number from 0 to 1 in steps of 0.1"
    for wrong in (0.35, 1.1, -0.1):
        with pytest.raises(ValueError, match=r"^$"):
            domain.accept(wrong)
    assert list(values_of(Float(0.5, 1, step=0.3))) == [0.5, 0.8]
    assert list(values_of(Float(0.5, 1, or_zero=True, step=0.25))) == [0.0, 0.5, 0.75, 1.0]
    assert list(values_of(Integer(2, 11, step=4))) == [2, 6, 10]
    with pytest.raises(ValueError, match=r"^$"):
        Integer(2, 11, step=4).accept(3)


@pytest.mark.parametrize("domain", [Float(0, 1, step=0.125), Float(0.5, 1, or_zero=True, step=0.25), Integer(2, 11, step=4)])
def test_each_value_of_a_grid_is_its_own_image(domain: Domain) -> None:
    for value in values_of(domain):
        assert domain.from_unit(domain.to_unit(value)) == value


@pytest.mark.parametrize(
    ("domain", "text"),
    [(Integer(1, 99999), "10,000"), (Integer(1, 99999), "10.000"), (Integer(1, 99), "1,0"), (Float(1, 99), "2,500")],
)
def test_text_that_two_people_read_as_two_numbers_is_none(domain: Domain, text: str) -> None:
    with pytest.raises(ValueError, match=r"^$"):
        domain.accept(text)


@pytest.mark.parametrize(("text", "value"), [("64.0", 64), ("1e2", 100), ("10.0", 10), ("\u22125", -5), ("7\u200b", 7)])
def test_a_whole_number_may_be_written_as_programs_do(text: str, value: int) -> None:
    assert Integer(-9, 999).accept(text) == value


def test_whole_numbers_are_exact_up_to_what_a_database_holds() -> None:
    domain = Integer(-(2**63), 2**63 - 1)
    for value in (-(2**63), -(2**53) - 1, 2**53 + 1, 2**63 - 1):
        assert domain.accept(value) == domain.accept(str(value)) == value
        assert show(value) == str(value)
    assert (domain.from_unit(0.0), domain.from_unit(1.0)) == (domain.low, domain.high)
    narrow = Integer(2**62, 2**62 + 9)
    assert {narrow.from_unit(float(unit)) for unit in np.linspace(0, 1, 100)} == set(values_of(narrow))
    assert all(narrow.from_unit(narrow.to_unit(value)) == value for value in values_of(narrow))
    space = Space([Hyperparameter("n", domain)])
    assert json.loads(json.dumps(space.configuration({"n": 2**63 - 1})))["n"] == 2**63 - 1
    with pytest.raises(InvalidConfiguration):
        space.configuration({"n": 2**63})


def test_numbers_of_numpy_are_taken_wherever_a_number_is() -> None:
    whole: Any = Integer(np.int64(1), np.int64(8))  # type: ignore[arg-type]
    real: Any = Float(np.float32(0.5), 1)  # type: ignore[arg-type]
    space = Space([Hyperparameter("n", whole, np.int64(2)), Hyperparameter("x", real)])
    assert json.dumps(space.to_json())
    assert space.configuration({"x": np.float32(0.75)}) == {"n": 2, "x": 0.75}


# Short forms


def test_a_space_is_written_in_short_forms() -> None:
    space = Space(
        {
            "lr": Float(1e-5, 1e-1, log=True),
            "units": [32, 64, 128],
            "layers": range(1, 5),
            "size": range(8, 65, 8),
            "nesterov": [False, True],
            "uniform": scipy.stats.uniform(2, 3),
            "loguniform": scipy.stats.loguniform(1e-4, 1e-1),
            "randint": scipy.stats.randint(1, 5),
            "optuna": optuna.distributions.FloatDistribution(0, 1, step=0.5),
            "whole": optuna.distributions.IntDistribution(1, 64, log=True),
            "kind": optuna.distributions.CategoricalDistribution(("a", None)),
        }
    )
    assert [hyperparameter.domain for hyperparameter in space] == [
        Float(1e-5, 1e-1, log=True), Choice((32, 64, 128), ordered=True), Integer(1, 4), Integer(8, 64, step=8),
        Choice((False, True)), Float(2.0, 5.0), Float(1e-4, 1e-1, log=True), Integer(1, 4),
        Float(0, 1, step=0.5), Integer(1, 64, log=True),
        Choice(("a", None)),
    ]  # fmt: skip
    assert space.sample(np.random.default_rng(0)).keys() == set(space.names)


# Conditions


def test_conditions_ask_for_values_for_bounds_and_for_several_at_once() -> None:
    space = Space(
        [
            Hyperparameter("optimizer", Choice(("adam", "sgd"))),
            Hyperparameter("layers", Integer(1, 4)),
            Hyperparameter("units_2", Integer(8, 64), condition=Condition("layers", above=1)),
            Hyperparameter(
                "momentum", Float(0, 1), 0.5, condition=Condition("optimizer", ("sgd",)) & Condition("layers", below=4)
            ),
        ]
    )
    assert space.configuration({"optimizer": "sgd", "layers": 1}) == {"optimizer": "sgd", "layers": 1, "momentum": 0.5}
    assert "momentum" not in space.configuration({"optimizer": "sgd", "layers": 4, "units_2": 8})
    assert "momentum" not in space.configuration({"optimizer": "adam", "layers": 2, "units_2": 8})
    assert space.when(space["momentum"]) == "optimizer is sgd and layers is below 4"
    assert Space.from_json(json.loads(json.dumps(space.to_json()))) == space
    with pytest.raises(InvalidConfiguration, match="it applies only where layers is above 1"):
        space.configuration({"optimizer": "adam", "layers": 1, "units_2": 8})


def test_a_condition_tells_true_from_one() -> None:
    x = Hyperparameter("x", Integer(0, 1), 0, condition=Condition("flag", (1,)))
    space = Space([Hyperparameter("flag", Choice((True, 1))), x])
    assert "x" in space.configuration({"flag": 1})
    assert "x" not in space.configuration({"flag": True})


# Configurations


def test_a_configuration_behaves_as_a_mapping_that_people_expect() -> None:
    configuration = Space({"lr": Float(0, 1), "hidden": [(1, 2), (3,)]}).configuration({"lr": 0.5, "hidden": (1, 2)})
    assert json.dumps(configuration) == '{"lr": 0.5, "hidden": [1, 2]}'
    assert configuration | {"lr": 1} == {"lr": 1, "hidden": (1, 2)}
    assert dict(**configuration) == configuration
    assert copy.copy(configuration) is copy.deepcopy(configuration) is configuration
    assert pickle.loads(pickle.dumps(configuration)) == configuration
    changed = configuration.copy()
    changed["lr"] = 1.0
    assert configuration["lr"] == 0.5
    for change in (configuration.update, configuration.popitem, configuration.clear):
        with pytest.raises(TypeError, match="a Configuration never changes"):
            change()
