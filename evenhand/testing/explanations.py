"""The contract of explanations: whatever history they are given, they answer with a card that can be stored and repeated."""

import json
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from evenhand import Card, Choice, Condition, Float, History, Hyperparameter, Integer, Outcome, Space, Trial
from evenhand.testing.broken import ask

WIDE = Space(
    [
        Hyperparameter("rate", Float(1e-5, 1, log=True), default=1e-3),
        Hyperparameter("kind", Choice(("a", "b", "c")), default="a"),
        Hyperparameter("size", Choice((16, 32, 64), ordered=True), default=32),
        Hyperparameter("layers", Integer(1, 5), default=2),
        Hyperparameter("momentum", Float(0, 0.99), default=0.5, condition=Condition("kind", ("b", "c"))),
        Hyperparameter("decay", Float(1e-6, 1, log=True, or_zero=True), default=0.0),
    ]
)
NARROW = Space([Hyperparameter("rate", Float(0, 1))])
FROZEN = Space([Hyperparameter("rate", Float(0, 1), default=0.5), Hyperparameter("fixed", Float(1, 1), default=1.0)])
SMALLER = Space(
    [Hyperparameter("rate", Float(1e-5, 1, log=True), default=1e-3), Hyperparameter("kind", Choice(("a", "b")), default="a")]
)
MANY = 300


def check_explanation(explanation: Callable[[History], Card]) -> None:
    """Nothing, or an AssertionError that says which rule of explanations was broken, with which history.

    The rules: any history gives a card, of no trials too, of few, of constant or missing values, of one hyperparameter, of values
    that the space has no more, of many; the card is JSON without NaN; the same history gives the same card; `n` is no more than
    the trials that have a value; the finding is a sentence and names a hyperparameter only where the numbers say that it matters.

    Args:
        explanation: what is registered: a function of a history.

    Raises:
        Broken: an AssertionError: a rule was broken.
    """
    for name, history in histories():
        card = explanation(history)
        ask(isinstance(card, Card), "an explanation answers with a Card", f"of {name} it answered {card!r}")
        try:
            text = json.dumps(card.data, allow_nan=False, sort_keys=True)
        except (TypeError, ValueError) as error:
            ask(False, "a card's data is JSON without NaN", f"of {name}: {error}")
        again = explanation(history)
        same = (again.finding, json.dumps(again.data, sort_keys=True)) == (card.finding, text)
        ask(same, "the same history gives the same card", f"of {name}: {card.finding!r}, then {again.finding!r}")
        valued = int(history.valued.sum())
        ask(0 <= card.n <= valued, "n is the number of trials it was computed from", f"of {name}: {card.n} of {valued}")
        ask(card.finding.strip().endswith("."), "a finding is a sentence", f"of {name}: {card.finding!r}")
        _check_names(name, history, card)


def _check_names(name: str, history: History, card: Card) -> None:
    rows: Any = card.data.get("hyperparameters", [])
    known = {row["hyperparameter"] for row in rows if row.get("matters", True)}
    for one in history.space:
        said = f" {one.label} (" in card.finding
        ask(not said or one.name in known, "a finding names what its numbers support", f"of {name}: {card.finding!r}")


def histories() -> Iterator[tuple[str, History]]:
    """Histories of every kind, each with what it is.

    Yields:
        What it is, in words, and the history.
    """
    for count in (0, 1, 3, 12, 40, MANY):
        yield f"{count} trials", _history(WIDE, count, lambda at, x, noise: x + 0.1 * noise)
    yield "missing values", _history(WIDE, 40, lambda at, x, noise: None if at % 3 else x)
    yield "only diverged trials", _history(WIDE, 20, lambda at, x, noise: float("nan"))
    yield "equal values", _history(WIDE, 30, lambda at, x, noise: 0.5)
    yield "noise alone", _history(WIDE, 40, lambda at, x, noise: noise)
    yield "one far value", _history(WIDE, 40, lambda at, x, noise: 1e30 if at == 7 else x)
    yield "one hyperparameter", _history(NARROW, 40, lambda at, x, noise: x)
    yield "a constant column", _history(FROZEN, 40, lambda at, x, noise: x)
    yield "values that the space has no more", _history(WIDE, 60, lambda at, x, noise: x, read_in=SMALLER)


def _history(
    space: Space, count: int, value_of: Callable[[int, float, float], float | None], read_in: Space | None = None
) -> History:
    rng = np.random.default_rng(count)
    trials = []
    for at in range(count):
        configuration = space.sample(rng)
        value = value_of(at, space["rate"].domain.to_unit(configuration["rate"]), float(rng.normal()))
        diverged = value is not None and not np.isfinite(value)
        trials.append(
            Trial(
                at + 1,
                1,
                at + 1,
                configuration,
                "somebody",
                float(at),
                1,
                outcome=Outcome.DIVERGED if diverged else Outcome.COMPLETED,
                value=None if diverged else value,
            )
        )
    return History.of(read_in or space, "score", True, trials)
