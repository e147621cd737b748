"""The one home of validity: domains, conditions, errors that list every wrong field, hashes that hold."""

import json

import numpy as np
import pytest

from evenhand.errors import InvalidConfiguration, InvalidSpace
from evenhand.model.condition import Condition
from evenhand.model.configuration import Configuration
from evenhand.model.domain import Choice, Float, Integer, apart, show
from evenhand.model.hyperparameter import Hyperparameter, Prior
from evenhand.model.space import Space

SPACE = Space(
    [
        Hyperparameter("epochs", Integer(1, 50), fidelity=True),
        Hyperparameter("optimizer", Choice(("adam", "sgd"), ("Adam", "SGD"))),
        Hyperparameter("learning_rate", Float(1e-6, 10, log=True), 0.001, prior=Prior(0.01, "high")),
        Hyperparameter("weight_decay", Float(1e-6, 1, log=True, or_zero=True), 0.0),
        Hyperparameter("beta1", Float(0, 0.999), 0.9, condition=Condition("optimizer", ("adam",))),
    ]
)


def problems(raw: dict[str, object]) -> dict[str, str]:
    with pytest.raises(InvalidConfiguration) as caught:
        SPACE.configuration(raw)
    return {problem.name: problem.expected for problem in caught.value.problems}


def test_blank_optional_values_take_their_default_and_text_is_read_as_numbers() -> None:
    made = SPACE.configuration({"epochs": "10", "optimizer": "adam", "learning_rate": " 1e-2 ", "weight_decay": ""})
    assert dict(made) == {"epochs": 10, "optimizer": "adam", "learning_rate": 0.01, "weight_decay": 0.0, "beta1": 0.9}
    assert type(made["epochs"]) is int


def test_inactive_hyperparameters_are_absent_and_a_value_for_one_is_an_error() -> None:
    made = SPACE.configuration({"epochs": 1, "optimizer": "sgd", "beta1": ""})
    assert "beta1" not in made
    assert problems({"epochs": 1, "optimizer": "sgd", "beta1": 0.5}) == {
        "beta1": "nothing, since it applies only where optimizer is Adam"
    }


def test_every_wrong_field_is_reported_at_once() -> None:
    expectations = problems({"epochs": "2.5", "learning_rate": "nan", "weight_decay": -1, "colour": "red"})
    assert expectations["epochs"] == "a whole number from 1 to 50"
    assert expectations["optimizer"] == "one of Adam, SGD"
    assert expectations["learning_rate"] == "a number from 1e-6 to 10"
    assert expectations["weight_decay"] == "a number from 1e-6 to 1, or 0"
    assert expectations["colour"].startswith("one of epochs")
    assert "beta1" not in expectations  # whether it applies depends on the optimizer, which is wrong itself


@pytest.mark.parametrize("value", [True, [], {}, object(), "", None, "1e999", 1e400, float("inf")])
def test_values_of_no_number_are_refused_in_words(value: object) -> None:
    assert "epochs" in problems({"epochs": value, "optimizer": "sgd"})


def test_a_configuration_is_immutable_and_hashes_by_content() -> None:
    one = SPACE.configuration({"epochs": 1, "optimizer": "sgd"})
    other = SPACE.configuration({"optimizer": "sgd", "epochs": "1", "learning_rate": "0.001"})
    assert one == other
    assert hash(one) == hash(other)
    assert one.digest == other.digest
    assert {Configuration({"x": 1})} != {Configuration({"x": 1.0})}  # as their JSON and digest differ
    assert one.digest == Configuration(json.loads(json.dumps(dict(one)))).digest
    with pytest.raises(TypeError):
        one["epochs"] = 2


def test_json_round_trip_and_a_hash_that_never_moves() -> None:
    again = Space.from_json(json.loads(json.dumps(SPACE.to_json())))
    assert again == SPACE
    assert again.digest == SPACE.digest
    small = Space([Hyperparameter("x", Float(0, 1), 0.5)])
    assert small.digest == "f08ea3d27a2139349066a8eb83547cf27c382d44e6f4074505510c31bc028287"
    assert small.digest != Space([Hyperparameter("x", Float(0, 1), 0.25)]).digest


@pytest.mark.parametrize("domain", [Float(1e-6, 10, log=True), Float(-1, 3), Float(1e-5, 1, log=True, or_zero=True)])
def test_floats_and_the_unit_interval_are_inverse(domain: Float) -> None:
    for unit in np.linspace(0, 1, 41):
        value = domain.from_unit(float(unit))
        assert domain.accept(value) == value
        assert domain.from_unit(domain.to_unit(value)) == pytest.approx(value, rel=1e-3, abs=1e-9)


@pytest.mark.parametrize("domain", [Integer(1, 7), Integer(1, 4096, log=True)])
def test_each_integer_is_its_own_image_and_the_ends_are_reached(domain: Integer) -> None:
    for value in (1, 2, 3, domain.high - 1, domain.high):
        assert domain.from_unit(domain.to_unit(value)) == value
    assert (domain.from_unit(0.0), domain.from_unit(1.0)) == (domain.low, domain.high)


def test_integers_of_a_linear_scale_are_equally_likely() -> None:
    counts = np.bincount([Integer(1, 4).from_unit(u) for u in np.linspace(0, 1, 4000, endpoint=False)])
    assert counts[1:].tolist() == pytest.approx([1000] * 4, abs=2)


def test_samples_are_valid_repeatable_and_respect_conditions() -> None:
    draws = [SPACE.sample(np.random.default_rng(3)) for _ in range(2)]
    assert draws[0] == draws[1]
    rng = np.random.default_rng(0)
    for _ in range(200):
        drawn = SPACE.sample(rng)
        assert ("beta1" in drawn) == (drawn["optimizer"] == "adam")
        assert SPACE.configuration(drawn) == drawn
    assert any(SPACE.sample(rng)["weight_decay"] == 0 for _ in range(100))


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: Float(2, 1), "lower bound first"),
        (lambda: Float(0, 1, log=True), "above 0"),
        (lambda: Choice(("a", "a")), "distinct"),
        (lambda: Hyperparameter("x", Float(0, 1), 2.0), "default 2.0"),
        (lambda: Space([]), "at least one"),
        (lambda: Space([Hyperparameter("x", Float(0, 1), condition=Condition("y", (1,)))]), "not a hyperparameter listed before"),
        (lambda: Space.from_json({"hyperparameters": [{"name": "x"}]}), "Space.to_json"),
    ],
)
def test_spaces_that_contradict_themselves_are_refused(make: object, words: str) -> None:
    with pytest.raises(InvalidSpace, match=words):
        make()  # type: ignore[operator]


@pytest.mark.parametrize(("value", "text"), [(0.001, "0.001"), (1e-5, "1e-5"), (64.0, "64"), (0, "0"), (3e-4, "0.0003")])
def test_values_are_shown_as_people_write_them(value: float, text: str) -> None:
    assert show(value) == text


def test_ordered_options_lie_apart_as_their_places_do_and_others_are_all_alike() -> None:
    sizes, kinds = Choice(("8", "16", "32", "64"), ordered=True), Choice(("a", "b", "c"))
    assert [apart(sizes, "8", option) for option in sizes.options] == pytest.approx([0, 0.25, 0.5, 0.75])
    assert [apart(kinds, "a", option) for option in kinds.options] == [0, 1, 1]
    assert apart(Float(1, 100, log=True), 1, 10) == pytest.approx(0.5)


def test_an_order_is_part_of_the_space_and_its_absence_leaves_the_digest_as_it_was() -> None:
    plain, ordered = (Space([Hyperparameter("size", Choice(("8", "16"), ordered=ordered))]) for ordered in (False, True))
    assert "ordered" not in plain.to_json()["hyperparameters"][0]["domain"]
    assert plain.digest != ordered.digest
    assert Space.from_json(json.loads(json.dumps(ordered.to_json()))) == ordered
