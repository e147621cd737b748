"""The forms: the space as fields, what was typed as raw values, and problems in words beside their fields."""

import json

import pytest

from evenhand.errors import InvalidConfiguration
from evenhand.model.condition import Condition
from evenhand.model.domain import Choice, Float, Integer
from evenhand.model.hyperparameter import Hyperparameter
from evenhand.model.space import Space
from evenhand.model.study import REASONS
from evenhand.tasks.builtin import black_magic
from evenhand.web import space_form
from evenhand.web.space_form import Typed

MAGIC = black_magic.space(training_images=1000, max_epochs=100)
REQUIRED = {"epochs": "3", "batch_size": "64", "loss": "cross_entropy", "optimizer": "sgd"}


def fields(
    typed: Typed | None = None, problems: dict[str, str] | None = None, presets: bool = True
) -> dict[str, space_form.HyperparameterField]:
    return {field.hyperparameter.name: field for field in space_form.fields(MAGIC, typed, problems, presets)}


def posted(values: dict[str, str], **others: str) -> Typed:
    """What the browser sends, read back."""
    return space_form.read(MAGIC, {**{f"value.{name}": text for name, text in values.items()}, **others})


def wrong(values: dict[str, str]) -> dict[str, str]:
    """What the form says beside each wrong field."""
    with pytest.raises(InvalidConfiguration) as caught:
        space_form.configuration(MAGIC, posted(values))
    return space_form.problems(MAGIC, caught.value)


# The fields of a fresh form


def test_a_fresh_form_has_every_hyperparameter_in_the_spaces_order() -> None:
    assert [field.hyperparameter.name for field in space_form.fields(MAGIC)] == list(MAGIC.names)
    assert len({field.id for field in space_form.fields(MAGIC)}) == len(MAGIC.names)


def test_mandatory_fields_are_empty_and_optional_ones_hold_their_defaults() -> None:
    fresh = fields()
    assert [fresh[name].text for name in REQUIRED] == [""] * 4
    assert fresh["learning_rate"].text == "0.001"
    assert fresh["epsilon"].text == "1e-5"


def test_without_presets_optional_fields_are_blank_with_the_default_as_a_hint() -> None:
    blank = fields(presets=False)
    assert blank["learning_rate"].text == ""
    assert blank["learning_rate"].hint == "default 0.001"
    assert not blank["learning_rate"].changed
    assert fields()["learning_rate"].hint == "default 0.001"


def test_a_fresh_form_shows_no_field_whose_condition_is_undecided() -> None:
    shown = {name for name, field in fields().items() if field.active}
    assert shown == {*REQUIRED, "learning_rate", "weight_decay"}


@pytest.mark.parametrize(
    ("optimizer", "own"),
    [
        ("adam", {"epsilon", "beta1", "beta2"}),
        ("adadelta", {"rho", "epsilon"}),
        ("asgd", {"lambd", "alpha"}),
        ("rmsprop", {"momentum", "alpha", "epsilon"}),
        ("sgd", {"momentum"}),
        ("adagrad", {"lr_decay", "initial_accumulator"}),
    ],
)
def test_each_optimizer_brings_its_own_fields(optimizer: str, own: set[str]) -> None:
    shown = {name for name, field in fields(Typed({"optimizer": optimizer})).items() if field.active}
    assert shown == {*REQUIRED, "learning_rate", "weight_decay", *own}


def test_what_the_script_needs_to_show_and_hide_fields_is_on_them() -> None:
    momentum = fields()["momentum"]
    assert json.loads(momentum.when) == [{"on": "optimizer", "values": ["sgd", "rmsprop"]}]
    assert fields()["learning_rate"].when == ""


def test_only_a_value_that_differs_from_its_default_counts_as_changed() -> None:
    typed = fields(Typed({**REQUIRED, "learning_rate": "0.05", "weight_decay": "0", "momentum": ""}))
    assert typed["learning_rate"].changed
    assert not typed["weight_decay"].changed
    assert not typed["momentum"].changed
    assert not typed["epochs"].changed  # a mandatory one has no default to differ from


def test_headings_and_the_line_about_hidden_fields() -> None:
    assert space_form.title_of_optional(MAGIC, space_form.fields(MAGIC)) == "Optional"
    assert space_form.hidden_line(MAGIC, space_form.fields(MAGIC)).startswith("Nine more appear")
    chosen = space_form.fields(MAGIC, Typed({"optimizer": "sgd"}))
    assert space_form.title_of_optional(MAGIC, chosen) == "For Stochastic gradient · optional"
    assert "Eight more belong to other optimizers" in space_form.hidden_line(MAGIC, chosen)


def test_a_space_without_conditions_hides_nothing() -> None:
    plain = Space([Hyperparameter("rate", Float(0, 1), 0.5)])
    assert space_form.hidden_line(plain, space_form.fields(plain)) == ""
    assert space_form.title_of_optional(plain, space_form.fields(plain)) == "Optional"


# What was typed


def test_what_was_typed_comes_back_with_its_problem() -> None:
    again = fields(posted({**REQUIRED, "epochs": " many "}), {"epochs": "enter a whole number"})
    assert again["epochs"].text == "many"
    assert again["epochs"].problem == "enter a whole number"
    assert again["batch_size"].problem == ""


def test_reading_keeps_texts_reasons_and_own_words_apart() -> None:
    form = {
        "value.epochs": " 3 ",
        "reason.epochs": "guess",
        "other.epochs": "my cat",
        "csrf_token": "secret",
        "key": "k",
        "value.file": b"bytes",
    }
    typed = space_form.read(MAGIC, form)
    assert typed == Typed({"epochs": "3"}, {"epochs": "guess"}, {"epochs": "my cat"})


def test_an_endless_text_is_cut() -> None:
    assert len(posted({"epochs": "9" * 100_000}).values["epochs"]) == space_form.MOST_TYPED_CHARACTERS


# From texts to a configuration


def test_a_complete_form_is_a_configuration_with_defaults_and_without_inactive_values() -> None:
    configuration = space_form.configuration(MAGIC, posted({**REQUIRED, "learning_rate": "0,05", "momentum": ""}))
    assert dict(configuration) == {
        "epochs": 3,
        "batch_size": 64,
        "loss": "cross_entropy",
        "optimizer": "sgd",
        "learning_rate": 0.05,
        "weight_decay": 0.0,
        "momentum": 0.0,
    }


def test_without_scripts_inactive_fields_are_sent_blank_or_at_their_default_and_passed_over() -> None:
    everything = {field.hyperparameter.name: field.text for field in space_form.fields(MAGIC)} | REQUIRED
    assert everything["rho"] == "0.9"
    assert "rho" not in space_form.configuration(MAGIC, posted({**everything, "beta1": ""}))


def test_a_value_that_was_typed_into_an_inactive_field_is_not_dropped_in_silence() -> None:
    said = wrong({**REQUIRED, "beta1": "0.5"})
    assert said.keys() == {"beta1"}
    assert said["beta1"] == "Leave this empty, since it applies only where Optimizer is Adam."


def test_all_wrong_fields_are_told_at_once_in_words_of_what_to_type() -> None:
    said = wrong({"epochs": "", "batch_size": "64.5", "loss": "", "optimizer": "sgd", "learning_rate": "fast", "momentum": "1"})
    expected = {hyperparameter.name: hyperparameter.domain.expected for hyperparameter in MAGIC}
    assert said == {
        "epochs": f"Please enter {expected['epochs']}.",
        "batch_size": f"64.5 is not possible here: enter {expected['batch_size']}.",
        "loss": "Please choose one of the list.",
        "learning_rate": f"fast is not possible here: enter {expected['learning_rate']}.",
        "momentum": f"1 is not possible here: enter {expected['momentum']}.",
    }
    assert expected["epochs"] == "a whole number from 1 to 100"


def test_a_number_that_can_be_read_in_two_ways_is_asked_about() -> None:
    said = wrong({**REQUIRED, "epochs": "10,000", "batch_size": "1.024", "learning_rate": "1,125"})
    assert said == {
        "epochs": "10,000 can be read in two ways: please write 10000 or 10.",
        "batch_size": "1.024 can be read in two ways: please write 1024 or 1.",
        "learning_rate": "1,125 can be read in two ways: please write 1125 or 1.125.",
    }
    assert wrong({**REQUIRED, "epochs": "1,0"}) == {"epochs": "1,0 is not possible here: enter a whole number from 1 to 100."}


@pytest.mark.parametrize("text", ["1e\u22123", "0.001\u200b", "\u200e1e-3\u00a0", "+0,001", "\ufeff.001"])
def test_a_pasted_number_is_taken_for_what_is_seen(text: str) -> None:
    assert space_form.configuration(MAGIC, posted({**REQUIRED, "learning_rate": text}))["learning_rate"] == 0.001


@pytest.mark.parametrize("text", ["nan", "inf", "-inf", "1e999", "0x10", "<script>", "1 2", "١٢٣x"])
def test_no_strange_number_gets_through(text: str) -> None:
    assert wrong({**REQUIRED, "learning_rate": text}).keys() == {"learning_rate"}


def test_an_unknown_field_is_named() -> None:
    assert wrong({**REQUIRED, "dropout": "0.5"}).keys() == {"dropout"}


def test_a_problem_with_the_governing_choice_is_the_only_one_told() -> None:
    assert wrong({**REQUIRED, "optimizer": "adamw"}).keys() == {"optimizer"}


def test_a_number_may_be_a_condition() -> None:
    space = Space(
        [
            Hyperparameter("layers", Integer(1, 3), 1),
            Hyperparameter("units", Integer(1, 9), 4, condition=Condition("layers", (2, 3))),
        ]
    )
    assert space_form.space_active(space, {"layers": "2"}) == {"layers", "units"}
    assert space_form.space_active(space, {"layers": ""}) == {"layers"}
    assert space_form.space_active(space, {"layers": "x"}) == {"layers"}
    assert dict(space_form.configuration(space, Typed({"layers": "2", "units": "7"}))) == {"layers": 2, "units": 7}


def test_conditions_may_follow_from_conditions() -> None:
    space = Space(
        [
            Hyperparameter("a", Choice(("on", "off")), "off"),
            Hyperparameter("b", Choice(("on", "off")), "off", condition=Condition("a", ("on",))),
            Hyperparameter("c", Float(0, 1), 0.5, condition=Condition("b", ("on",))),
        ]
    )
    assert space_form.space_active(space, {"a": "off", "b": "on"}) == {"a"}
    assert space_form.space_active(space, {"a": "on", "b": "on"}) == {"a", "b", "c"}


# Use these values again


def test_a_past_trial_fills_the_form_with_values_only_and_makes_the_same_configuration() -> None:
    past = space_form.configuration(MAGIC, posted({**REQUIRED, "learning_rate": "0.00001234", "momentum": "0.9"}))
    typed = space_form.typed_from(MAGIC, past)
    assert typed.values["learning_rate"] == "1.234e-5"
    assert not typed.reasons
    assert space_form.configuration(MAGIC, typed) == past
    assert fields(typed)["momentum"].changed


# Reasons


def test_the_papers_five_reasons_are_offered() -> None:
    assert [option.label.markdown for option in REASONS] == [
        "just a guess",
        "suggested default value",
        "worked well for me in the past",
        "learnt from previous submissions",
        "other",
    ]


def test_reasons_are_kept_in_words_and_unknown_ones_are_not() -> None:
    typed = Typed(
        reasons={"epochs": "guess", "loss": "other", "optimizer": "other", "batch_size": "", "momentum": "<b>"},
        others={"loss": "a colleague said so", "epochs": "left over from another choice"},
    )
    assert space_form.reasons(typed, REASONS) == {
        "epochs": "just a guess",
        "loss": "other: a colleague said so",
        "optimizer": "other",
    }
