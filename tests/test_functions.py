"""Functions of one's own: what each parameter gets is decided from the signature, before anything is stored."""

import functools
import operator
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import evenhand
from evenhand.errors import InvalidSettings
from evenhand.model.configuration import Configuration
from evenhand.model.domain import Float, Integer
from evenhand.model.space import Space
from evenhand.model.trial import Measurement, Outcome
from evenhand.tasks import Run, Task, run_trial, task, versions
from evenhand.tasks.functions import name_of, training_function

SPACE = Space({"x": Float(0, 1), "units": Integer(1, 8)})
VALUES = {"x": 0.25, "units": 2}


def made(function: Any, **changes: Any) -> Task:
    return task(**{"space": SPACE, "metric": "value", "direction": "minimize", "max_epochs": 3, **changes})(function)


def value_of(function: Any, **changes: Any) -> float | None:
    measured: list[Any] = []
    outcome, why = run_trial(made(function, **changes), VALUES, seed=1, evaluation=False, report=measured.append)
    assert (outcome, why) == (Outcome.COMPLETED, None)
    return measured[-1].value  # type: ignore[no-any-return]


class Model:
    """Something that holds settings and can be called."""

    def __init__(self, factor: Any = 2) -> None:
        self.factor = factor

    def __call__(self, configuration: Configuration) -> float:
        return float(configuration["x"] * self.factor)

    def fit(self, configuration: Configuration, run: Run) -> None:
        run.report(value=configuration["x"] * self.factor)

    @classmethod
    def whole(cls, configuration: Configuration) -> float:
        return float(configuration["x"])

    @staticmethod
    def still(configuration: Configuration) -> float:
        return float(configuration["x"])


def with_data(data: Any, configuration: Configuration) -> float:
    return float(configuration["x"] * len(data))


def second_default(configuration: Configuration, data: tuple[int, ...] = (1, 2, 3)) -> float:
    return float(configuration["x"] * len(data))


def by_keyword(configuration: Configuration, *, factor: int = 3) -> float:
    return float(configuration["x"] * factor)


def keyword_run(configuration: Configuration, *, run: Run) -> None:
    run.report(epoch=1, value=configuration["x"])


def run_first(run: Run, configuration: Configuration) -> None:
    run.report(epoch=1, value=configuration["x"])


def run_by_place(configuration: Configuration, run: Run, /) -> None:
    run.report(epoch=1, value=configuration["x"])


def run_last(configuration: Configuration, data: tuple[int, ...] = (1,), run: Run | None = None) -> None:
    assert run is not None
    run.report(epoch=1, value=configuration["x"] * len(data))


def run_renamed(c: Configuration, r: Run) -> None:
    r.report(epoch=1, value=c["x"])


def run_and_returned(configuration: Configuration, run: Run) -> float:
    run.report(epoch=2, loss=0.5)
    return float(configuration["x"])


def gathering(configuration: Configuration, *args: object, **kwargs: object) -> float:
    assert not args
    assert not kwargs
    return float(configuration["x"])


def decorated(function: Callable[..., float]) -> Callable[..., float]:
    @functools.wraps(function)
    def inner(*args: Any, **kwargs: Any) -> float:
        return function(*args, **kwargs)

    return inner


@pytest.mark.parametrize(
    ("function", "value"),
    [
        (second_default, 0.75),
        (by_keyword, 0.75),
        (keyword_run, 0.25),
        (run_first, 0.25),
        (run_by_place, 0.25),
        (run_last, 0.25),
        (run_renamed, 0.25),
        (run_and_returned, 0.25),
        (gathering, 0.25),
        (decorated(second_default), 0.75),
        (functools.partial(with_data, [1, 2]), 0.5),
        (functools.partial(with_data, data=[1, 2]), 0.5),
        (functools.partial(functools.partial(by_keyword), factor=4), 1.0),
        (functools.lru_cache(second_default), 0.75),
        (Model(), 0.5),
        (Model().fit, 0.5),
        (Model.whole, 0.25),
        (Model.still, 0.25),
        (lambda c: c["x"], 0.25),
        (sum, None),
    ],
)
def test_whatever_can_be_called_with_a_configuration_is_trained(function: Any, value: float | None) -> None:
    if function is sum:  # a builtin that says what it takes: it is called, and what it raises is the trial's end
        outcome, why = run_trial(made(function), VALUES, seed=1, evaluation=False, report=lambda measurement: None)
        assert outcome is Outcome.INVALID
        assert "TypeError" in str(why)
    else:
        assert value_of(function) == value


def takes_nothing() -> float:
    return 0.0


def takes_values(x: float, units: int) -> float:
    return x * units


def takes_any_value(**values: float) -> float:
    return values["x"]


def takes_anything(*args: Any) -> float:
    return float(args[0]["x"])


def needs_more(configuration: Configuration, run: Run, data: list[int]) -> None: ...


def needs_three(configuration: Configuration, first: int, second: int) -> None: ...


def needs_keyword(configuration: Configuration, *, data: list[int]) -> None: ...


def only_run(run: Run) -> None: ...


async def waits(configuration: Configuration) -> float:
    return 0.0


def yields(configuration: Configuration) -> Iterator[float]:
    yield 0.0


@pytest.mark.parametrize(
    ("function", "words"),
    [
        (takes_nothing, r"takes_nothing\(\) -> float cannot be called: none of its parameters is for the configuration"),
        (takes_values, r"units is a hyperparameter.*lambda configuration: takes_values\(\*\*configuration\)"),
        (takes_any_value, r"lambda configuration: takes_any_value\(\*\*configuration\)"),
        (takes_anything, "name the parameters, or have its decorator use functools.wraps"),
        (needs_more, "missing a required argument: 'data'.*functools.partial"),
        (needs_three, "missing a required argument: 'second'"),
        (needs_keyword, "missing a required (keyword-only )?argument: 'data'"),
        (only_run, "none of its parameters is for the configuration"),
        (waits, "waits is asynchronous or yields"),
        (yields, "yields is asynchronous or yields"),
        (Model, "Model is a class, expected a function, or an object of the class"),
        (operator.itemgetter("x"), "does not say what it takes; wrap it|none of its parameters|cannot be called"),
        (3, "got a int, expected a function"),
    ],
)
def test_what_cannot_be_called_so_is_refused_before_anything_is_stored(tmp_path: Path, function: Any, words: str) -> None:
    if function.__class__ is operator.itemgetter and value_is_known(function):
        return  # newer versions of Python say what it takes
    with pytest.raises(InvalidSettings, match=words):
        made(function)
    if callable(function):
        with pytest.raises(InvalidSettings, match=words):
            evenhand.tune(function, SPACE, direction="minimize", trials=1, db=f"sqlite:///{tmp_path}/lab.sqlite", progress=False)
    assert not list(tmp_path.iterdir())


def value_is_known(function: Any) -> bool:
    try:
        training_function(function, SPACE)
    except InvalidSettings:
        return False
    return True


def test_a_task_is_not_made_a_task_again() -> None:
    with pytest.raises(InvalidSettings, match="is a task already"):
        made(made(second_default))


def test_names_are_those_of_what_was_written() -> None:
    assert [name_of(function) for function in (functools.partial(functools.partial(with_data), [1]), Model(), Model().fit)] == [
        "with_data",
        "Model",
        "Model.fit",
    ]
    assert made(Model()).name == f"{Path(__file__).resolve()}:Model"
    assert made(functools.partial(with_data, [1])).spec.short_name == "with_data"


def test_what_is_bound_is_in_the_version_where_it_is_text_and_numbers() -> None:
    first = made(functools.partial(with_data, [1, 2])).version
    assert made(functools.partial(with_data, [1, 2])).version == first
    assert made(functools.partial(with_data, [1, 3])).version != first
    assert made(Model(3)).version != made(Model(2)).version == made(Model(2)).version
    assert made(Model(3).fit).version != made(Model(2).fit).version


def test_what_is_bound_and_is_no_text_or_number_is_said() -> None:
    with pytest.warns(versions.Unfollowed, match="what functools.partial binds is more than text and numbers.*revision=1"):
        made(functools.partial(with_data, [object()]))
    with pytest.warns(versions.Unfollowed, match="what the object of Model holds is more than text and numbers"):
        made(Model(object()))
    made(Model(object()), revision=1)  # what is stated needs no following


@pytest.mark.parametrize("returned", [None, "0.5", [0.5], {}, {"other": 0.5}, {"value": "0.5"}, {"value": 0.5, "epoch": 1}])
def test_what_is_returned_and_no_number_is_said(returned: Any) -> None:
    outcome, why = run_trial(made(lambda c: returned), VALUES, seed=1, evaluation=False, report=lambda measurement: None)
    assert outcome is Outcome.INVALID
    assert str(why).startswith("the function returned")
    assert "expected a number" in str(why)


def test_several_numbers_may_be_returned_by_name() -> None:
    measured: list[Measurement] = []
    train = made(lambda c: {"value": 0.5, "latency_ms": np.float32(4)})
    outcome, _ = run_trial(train, VALUES, seed=1, evaluation=False, report=measured.append)
    assert outcome is Outcome.COMPLETED
    assert [(one.epoch, one.value, one.extra) for one in measured] == [(1, 0.5, {"latency_ms": 4.0})]


def test_what_is_returned_beside_a_reported_value_is_passed_over() -> None:
    def train(configuration: Configuration, run: Run) -> str:
        run.report(epoch=1, value=0.5)
        return "the model"

    assert value_of(train) == 0.5
