"""What explanations read: arrays of ended trials."""

import math
from dataclasses import replace
from typing import Any

import numpy as np

from evenhand.explain import History
from evenhand.model.condition import Condition
from evenhand.model.configuration import Configuration
from evenhand.model.domain import Choice, Float, Integer
from evenhand.model.hyperparameter import Hyperparameter
from evenhand.model.space import Space
from evenhand.model.trial import Outcome, Trial

SPACE = Space(
    [
        Hyperparameter("rate", Float(1e-4, 1, log=True)),
        Hyperparameter("optimizer", Choice(("adam", "sgd", "adagrad"))),
        Hyperparameter("momentum", Float(0, 0.8), default=0, condition=Condition("optimizer", ("sgd",))),
        Hyperparameter("units", Integer(1, 4)),
    ]
)


def trial(number: int, value: float | None, outcome: Outcome | None = Outcome.COMPLETED, **values: object) -> Trial:
    return Trial(
        number,
        1,
        number,
        Configuration(values),
        "random",
        float(number),
        1,
        value=value,
        outcome=outcome,
        finished_at=number + 1.0,
    )


def test_values_lie_on_their_scale_and_what_is_inactive_is_nothing() -> None:
    history = History.of(SPACE, "accuracy", True, [trial(1, 0.5, rate=0.01, optimizer="adam", units=2)])
    np.testing.assert_allclose(history.codes, [[0.5, 0, math.nan, 0.375]])


def test_a_value_that_the_space_no_longer_has_is_nothing() -> None:
    history = History.of(SPACE, "accuracy", True, [trial(1, 0.5, rate=0.01, optimizer="rmsprop", units=2)])
    assert math.isnan(history.codes[0, 1])


def test_diverged_invalid_and_failed_trials_have_no_value_and_open_ones_are_left_out() -> None:
    given: dict[str, Any] = {"rate": 0.01, "optimizer": "sgd", "momentum": 0.4, "units": 1}
    rows = [
        trial(1, 0.5, **given),
        trial(2, 0.7, Outcome.DIVERGED, **given),
        trial(3, None, Outcome.INVALID, **given),
        trial(4, None, None, **given),
        trial(5, 0.9, Outcome.STOPPED, **given),
    ]
    history = History.of(SPACE, "loss", False, reversed(rows))
    assert [row.number for row in history.trials] == [1, 2, 3, 5]
    np.testing.assert_allclose(history.better, [-0.5, math.nan, math.nan, -0.9])
    assert history.only(history.valued.tolist()).trials == (rows[0], rows[4])


def test_no_trials_are_arrays_of_the_spaces_width() -> None:
    history = History.of(SPACE, "accuracy", True, [replace(trial(1, None), outcome=None)])
    assert history.codes.shape == (0, 4)
    assert history.values.shape == (0,)
