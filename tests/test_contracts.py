"""The contracts for tasks and methods: Evenhand's own tasks keep theirs, and each broken rule is told with its input.

That Evenhand's own methods keep theirs is in `test_tuners`.
"""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from evenhand import (
    Choice,
    Configuration,
    Float,
    Hyperparameter,
    InvalidSettings,
    Space,
    Suggestion,
    TaskSpec,
    Trial,
    draw_untried,
    load_task,
)
from evenhand.tasks import engines
from evenhand.testing import Broken, check_method, check_task
from evenhand.testing import methods as contract
from evenhand.testing.tasks import completed
from tests.components import need
from tests.golden import cases
from tests.own_methods import Greedy, Plain

LANE = "whole" if engines.why_not("whole") is None else "general"
ONE = {"least_epochs": 1, "max_epochs": 2}

# Tasks


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "settings", "more"),
    [
        ("sklearn", {"model": "tree", "data": "wine"}, {}),
        ("sklearn", {"model": "linear", "data": "diabetes"}, {}),
        ("table", {"table": "hpobench-car"}, {}),
        ("practice", {}, {"epochs": 1, "bounds": False}),
        ("mlp", {"scale": 0.01, "dropout": True, "lane": LANE, **ONE}, {"epochs": 1}),
        ("black-magic", {"data": "digits", "size": 17, "precision": "fp32"}, {"epochs": 1, "bounds": False}),
    ],
    ids=["tree", "linear", "table", "practice", "mlp", "black-magic"],
)
def test_built_in_tasks_keep_the_contract(name: str, settings: dict[str, Any], more: dict[str, Any]) -> None:
    for component in {"table": ["tables"], "black-magic": ["torch"]}.get(name, []):
        need(component)
    left = check_task(name, settings=settings, **more)
    assert all("brings its own data" in line or "whether the metric" in line for line in left), left


@pytest.mark.slow
@pytest.mark.parametrize("name", ["patches", "eeg"])
def test_tasks_on_made_data_keep_the_contract(name: str, tmp_path: Path) -> None:
    need("torch")
    if name == "patches":
        next(cases.cut_patches(tmp_path))
        settings = {"data": str(tmp_path), "size": 16, "slide": r"^([^_]+)_", "train": 24, "validation": 12, "test": 12}
    else:
        next(cases.signals(tmp_path))
        settings = {"data": str(tmp_path), "source_rate": 64, "rate": 64, "window": 0.5, "frame": 0.25, "train": 32}
        settings |= {"validation": 8, "test": 8}
    check_task(name, settings=settings | ONE, epochs=1, bounds=False)


TASK = """
import numpy as np
from evenhand import Choice, Condition, Float, Hyperparameter, Integer, InvalidSettings, Space, Splits, task
SPACE = Space([
    Hyperparameter("epochs", Integer(1, 5), default=3, fidelity=True),
    Hyperparameter("rate", Float(0, 1), default=0.5),
    Hyperparameter("kind", Choice(("a", "b")), default="a"),
    Hyperparameter("extra", Float(0, 1), default=0.5, condition=Condition("kind", ("b",))),
])
X = np.arange(60.0).reshape(30, 2)
Y = np.arange(30) % 2
CALLS = []
def error(targets, predictions):
    return float(np.mean(np.asarray(targets) != np.asarray(predictions)))
def data():
    CALLS.append(1)
    return {splits}
@task(space=SPACE, metric={metric}, direction={direction}, max_epochs=5, data=data)
def train(configuration, run):
    x, y = run.train
    for epoch in range(1, configuration["epochs"] + 1):
        {body}
"""
RIGHT = {
    "splits": "Splits((X[:20], Y[:20]), (X[20:25], Y[20:25]), (X[25:], Y[25:]))",
    "metric": '"accuracy"',
    "direction": '"maximize"',
    "body": "run.report(epoch=epoch, loss=1.0, accuracy=run.score(lambda x: np.zeros(len(x))))",
}
OVERLAP = "Splits((X[:22], Y[:22]), (X[20:25], Y[20:25]), (X[25:], Y[25:]))"
SCORED = "accuracy=run.score(lambda x: np.zeros(len(x))))"


def written(tmp_path: Path, **changes: str) -> str:
    parts = RIGHT | changes
    (tmp_path / "own.py").write_text(TASK.format(**parts))
    return f"{tmp_path / 'own.py'}:train"


@pytest.mark.slow
def test_a_task_that_keeps_every_rule(tmp_path: Path) -> None:
    assert check_task(written(tmp_path)) == ()


WRONG: dict[str, tuple[dict[str, str], str]] = {  # what is changed, and what is said
    "direction": ({"metric": "error", "body": "run.report(epoch=epoch, error=0.5)"}, "direction fits.*error.*is 0.0.*maximize"),
    "epochs": ({"body": "run.report(epoch=epoch + 1, accuracy=0.5)"}, r"in order: epochs of .*\[2\]"),
    "too long": (
        {"body": f"run.report(epoch=epoch, {SCORED}\n    run.report(epoch=epoch + 1, accuracy=0.5)"},
        "no more epochs than its configuration asks for: .*'epochs': 2.* reported epoch 3 of 2 planned",
    ),
    "diverges": ({"body": "run.report(epoch=epoch, loss=float('nan'))"}, "can be trained: .*'rate': 0.5.* diverged: loss became"),
    "no metric": ({"body": "run.report(epoch=epoch, loss=1.0); run.value = 1.0"}, "end of each epoch: accuracy is missing"),
    "unseeded": (
        {"body": f"run.report(epoch=epoch, loss=np.random.default_rng().random(), {SCORED}"},
        "the same numbers, bit for bit: .*seed 5",
    ),
    "order of sets": (
        {"body": f"run.report(epoch=epoch, loss=float(hash('x') % 997), {SCORED}"},
        "fresh process .* gets the same numbers",
    ),
    "overlap": ({"splits": OVERLAP}, "disjoint: 2 of 5 examples of validation are in train"),
    "drawn anew": (
        {"splits": "Splits((X[:20], Y[:20] * len(CALLS)), (X[20:25], Y[20:25]), (X[25:], Y[25:]))"},
        "the same each time: train differs",
    ),
    "torn": (
        {"splits": "Splits((X[:20], Y[:19]), (X[20:25], Y[20:25]), (X[25:], Y[25:]))"},
        "has a target: train has 20 examples and 19",
    ),
    "opens test": (
        {"body": f"run.task.data().load('test'); run.report(epoch=epoch, {SCORED}"},
        "the example, or else the defaults, can be trained: .*test data is not for the training function",
    ),
    "in place": (
        {"body": f"x += 0.0 * x + (epoch == 1); run.report(epoch=epoch, {SCORED}"},
        "does not change its data, .* changed 20 of 20 examples of train; let it copy",
    ),
    "deaf": (
        {"body": f"\n        try: run.report(epoch=epoch, {SCORED}\n        except BaseException: pass"},
        "a stop is heeded: .* went on and returned",
    ),
    "a bound": (
        {"body": f"1 / (1 - configuration['rate']); run.report(epoch=epoch, {SCORED}"},
        "(?s)at each bound.* rate = 1.*ZeroDivision",
    ),
    "a condition": (
        {"body": f"1 / configuration.get('extra', 1); run.report(epoch=epoch, {SCORED}"},
        "(?s)each condition.* extra = 0.*'kind': 'b'",
    ),
}


@pytest.mark.parametrize("what", WRONG)
def test_a_broken_rule_of_tasks_is_named_with_its_input(tmp_path: Path, what: str) -> None:
    changes, words = WRONG[what]
    with pytest.raises(Broken, match=words):
        check_task(written(tmp_path, **changes))


@pytest.mark.slow
def test_words_at_a_bound_are_enough_and_twins_of_the_data_may_be_declared(tmp_path: Path) -> None:
    body = f"\n        if configuration['rate'] == 1: raise InvalidSettings('too fast')\n        run.report(epoch=epoch, {SCORED}"
    assert check_task(written(tmp_path, body=body)) == ()
    assert check_task(written(tmp_path, splits=OVERLAP), twins=2, bounds=False) == ()


def test_a_value_under_a_condition_brings_its_condition_with_it() -> None:
    task = load_task(TaskSpec("mlp", {"scale": 0.01, "lane": LANE}))
    whole = completed(task.space, {"units_5": 128}, {"layers": 2})
    assert whole["units_5"] == 128
    assert int(whole["layers"]) >= 5


# Methods


class Unseeded(Plain):
    def suggest(self, space: Space, trials: Sequence[Trial], n: int, rng: np.random.Generator) -> list[Suggestion]:
        return super().suggest(space, trials, n, np.random.default_rng())


class Remembering(Plain):
    def suggest(self, space: Space, trials: Sequence[Trial], n: int, rng: np.random.Generator) -> list[Suggestion]:
        self.width += 1
        return [replace(suggestion, explanation=f"call {self.width}") for suggestion in super().suggest(space, trials, n, rng)]


class Remote(Plain):
    def suggest(self, space: Space, trials: Sequence[Trial], n: int, rng: np.random.Generator) -> list[Suggestion]:
        drawn = super().suggest(space, trials, n, rng)
        return [replace(suggestion, configuration=Configuration({**suggestion.configuration, "far": 1})) for suggestion in drawn]


class Silent(Plain):
    def suggest(self, space: Space, trials: Sequence[Trial], n: int, rng: np.random.Generator) -> list[Suggestion]:
        return [replace(suggestion, explanation=" ") for suggestion in super().suggest(space, trials, n, rng)]


class Forgetting(Plain):
    def suggest(self, space: Space, trials: Sequence[Trial], n: int, rng: np.random.Generator) -> list[Suggestion]:
        suggestions = super().suggest(space, trials, n, rng)
        trials.clear()  # type: ignore[attr-defined] # what nobody may do
        return suggestions


class Repeating(Plain):
    def suggest(self, space: Space, trials: Sequence[Trial], n: int, rng: np.random.Generator) -> list[Suggestion]:
        return draw_untried(space, [], n, rng, "whatever was tried")


class Drawing(Plain):
    def suggest(self, space: Space, trials: Sequence[Trial], n: int, rng: np.random.Generator) -> list[Suggestion]:
        return [Suggestion(space.sample(rng), "a plain draw") for _ in range(n)]


class Doubling(Plain):
    def suggest(self, space: Space, trials: Sequence[Trial], n: int, rng: np.random.Generator) -> list[Suggestion]:
        return super().suggest(space, trials, 1, rng) * n


class Unsorted(Plain):
    def suggest(self, space: Space, trials: Sequence[Trial], n: int, rng: np.random.Generator) -> list[Suggestion]:
        return [
            replace(suggestion, explanation=f"{suggestion.explanation} {set('abcdefgh')}")
            for suggestion in super().suggest(space, trials, n, rng)
        ]


class Dictionaries(Plain):
    def suggest(self, space: Space, trials: Sequence[Trial], n: int, rng: np.random.Generator) -> list[Any]:
        return [dict(suggestion.configuration) for suggestion in super().suggest(space, trials, n, rng)]


class Careless(Plain):
    def suggest(self, space: Space, trials: Sequence[Trial], n: int, rng: np.random.Generator) -> list[Suggestion]:
        mean = sum(trial.value for trial in trials)  # type: ignore[misc] # some have none
        return [replace(suggestion, explanation=str(mean)) for suggestion in super().suggest(space, trials, n, rng)]


class Returning(Plain):
    def suggest(self, space: Space, trials: Sequence[Trial], n: int, rng: np.random.Generator) -> list[Suggestion]:
        draws = super().suggest(space, trials, n, rng)
        scored = [trial for trial in trials if trial.value is not None]
        return [replace(draws[0], configuration=scored[0].configuration), *draws[1:]] if len(scored) >= 6 else draws


class Adrift(Plain):
    def suggest(self, space: Space, trials: Sequence[Trial], n: int, rng: np.random.Generator) -> list[Suggestion]:
        return [replace(draw, resumes=999) for draw in super().suggest(space, trials, n, rng)]


class Stalled(Plain):
    def suggest(self, space: Space, trials: Sequence[Trial], n: int, rng: np.random.Generator) -> list[Suggestion]:
        scored = [trial for trial in trials if trial.value is not None]
        if not scored or space.fidelity is None:
            return super().suggest(space, trials, n, rng)
        return [Suggestion(scored[0].configuration, "once more", resumes=scored[0].number)]


class Bare(Plain):
    def suggest(self, space: Space, trials: Sequence[Trial], n: int, rng: np.random.Generator) -> list[Suggestion]:
        draws = super().suggest(space, trials, n, rng)
        return [replace(draw, configuration=dict(draw.configuration)) for draw in draws]  # type: ignore[arg-type] # the point


class Choosy(Plain):
    def check(self, space: Space) -> None:
        raise ValueError("no words")


class Namesake(Plain):
    name = "tpe"


class Late(Plain):
    """Keeps something once 20 trials have a value."""

    def suggest(self, space: Space, trials: Sequence[Trial], n: int, rng: np.random.Generator) -> list[Suggestion]:
        self.width += sum(trial.value is not None for trial in trials) > 20
        return [replace(draw, explanation=f"by {self.width}") for draw in super().suggest(space, trials, n, rng)]


class Short(Plain):
    def suggest(self, space: Space, trials: Sequence[Trial], n: int, rng: np.random.Generator) -> list[Suggestion]:
        weights = [1.0] * 50
        return [
            replace(draw, explanation=f"weight {weights[len(trials) - 1]}") for draw in super().suggest(space, trials, n, rng)
        ]


class Renamed(Plain):
    def __init__(self) -> None:
        super().__init__()
        self.name = f"renamed-{id(self)}"


class Meddling(Plain):
    def suggest(self, space: Space, trials: Sequence[Trial], n: int, rng: np.random.Generator) -> list[Suggestion]:
        for trial in trials:
            object.__setattr__(trial, "value", 1.0)
        return super().suggest(space, trials, n, rng)


class Sorting(Plain):
    def suggest(self, space: Space, trials: Sequence[Trial], n: int, rng: np.random.Generator) -> list[Suggestion]:
        trials.sort(key=lambda trial: -trial.number)  # type: ignore[attr-defined] # what nobody may do
        return super().suggest(space, [], n, rng)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("method", "words"),
    [
        (Unseeded, "the same arguments give the same suggestions"),
        (Remembering, "keeps nothing between calls"),
        (Remote, "is a configuration of the space.*'far': 1"),
        (Silent, "without an explanation"),
        (Forgetting, "does not change the history"),
        (Repeating, "diverged or was invalid is not proposed again|while another one is untried"),
        (Drawing, "while another one is untried"),
        (Doubling, "are distinct.*asked for 8, it gave 8, of which 1"),
        (Unsorted, "the same in any process"),
        (Dictionaries, "is an evenhand.Suggestion.*: asked for 2 after 30 trials .*answered a dict"),
        (Careless, "suggests after any history: .*TypeError"),
        (Returning, "while another one is untried.* came .*, which is trial 1 again"),
        (Adrift, "`resumes` names an ended trial .*resumes=999: .*no such trial"),
        (Stalled, "`resumes` names an ended trial .*the trial has 1?[0-9] epochs already"),
        (Bare, r"with a dict as its configuration .*use space.configuration\(values\)"),
        (Choosy, "check.space. raises evenhand.InvalidSettings .*ValueError: no words"),
        (Namesake, "evenhand.tune takes it: .*the name 'tpe' is taken"),
        (Late, "keeps nothing between calls"),
        (Short, "suggests after any history: .*IndexError"),
        (Renamed, "has one name.*'renamed-"),
        (Meddling, "it changed trial 1"),
        (Sorting, "it put the trials into another order"),
    ],
)
def test_a_broken_rule_of_methods_is_named(method: type[Plain], words: str) -> None:
    with pytest.raises(Broken, match=words):
        check_method(method)


@pytest.mark.slow
def test_methods_of_others_keep_the_contract_as_class_as_object_and_on_their_own_spaces() -> None:
    check_method(Plain)
    check_method(Plain(width=3))
    check_method(Greedy, space=Space([Hyperparameter("x", Float(0, 1)), Hyperparameter("y", Float(0.1, 10, log=True))]))
    with pytest.raises(Broken, match=r"refuses every one that is tried here .*real numbers only.* space="):
        check_method(Greedy)
    with pytest.raises(Broken, match="it refuses every one"):
        check_method(Greedy, space=Space([Hyperparameter("kind", Choice(("a", "b")))]))


@pytest.mark.slow
@pytest.mark.parametrize(
    "hyperparameters",
    [
        [Hyperparameter("optimizer", Choice(("adamw", "lion"))), Hyperparameter("learning_rate", Float(0, 1))],
        [Hyperparameter("optimizer", Choice(("adam", "sgd"))), Hyperparameter("learning_rate", Float(0, 1), default=0)],
        [Hyperparameter("optimizer", Choice(("adam", "sgd"))), Hyperparameter("learning_rate", Choice(("low", "high")))],
        [Hyperparameter("optimizer", Float(0, 1))],
        [Hyperparameter("optimizer", Choice(("adam", "sgd")))],
    ],
    ids=["other options", "a rate of 0", "a rate in words", "a number", "no rate"],
)
def test_a_space_may_use_the_names_of_ours_for_other_things(hyperparameters: list[Hyperparameter]) -> None:
    check_method(Plain, space=Space([*hyperparameters, Hyperparameter("x", Float(0, 1))]))
    assert 0 <= contract.accuracy(Configuration({"optimizer": "adam", "learning_rate": 0})) <= 1


class Seeded(Plain):
    def __init__(self, seed: int) -> None:
        super().__init__()
        self.seed = seed


@pytest.mark.slow
def test_the_contract_takes_what_tune_takes() -> None:
    check_method("random")
    check_method(Seeded)
    with pytest.raises(InvalidSettings, match="method 'nosuch': there is none"):
        check_method("nosuch")


def test_settings_that_cannot_apply_are_refused(tmp_path: Path) -> None:
    with pytest.raises(InvalidSettings, match=r"is an object, whose settings are its own; make it with width"):
        check_method(Plain(), settings={"width": 3})
    task = written(tmp_path)
    for made in (TaskSpec(task), load_task(TaskSpec(task))):
        with pytest.raises(InvalidSettings, match=r"is made already; make it with size"):
            check_task(made, settings={"size": 3})


def test_a_method_that_no_other_process_can_have_is_told_so() -> None:
    class Local(Plain):
        pass

    with pytest.raises(Broken, match=r"can be sent to one: .*Local.*define its class at the top of a module"):
        check_method(Local)


def test_what_is_no_method_is_told_what_is_missing() -> None:
    class Nameless:
        def suggest(self, space: Any, trials: Any, n: int, rng: Any) -> list[Suggestion]:
            return []

    with pytest.raises(Broken, match="has a name and suggest"):
        check_method(Nameless)  # type: ignore[arg-type] # that is the point


def plain(configuration: object, run: object) -> None:
    """A function that is no task."""


@pytest.mark.parametrize("candidate", [None, plain, 3])
def test_what_is_no_task_is_refused_in_words(candidate: Any) -> None:
    with pytest.raises(InvalidSettings, match="expected a task"):
        check_task(candidate)
    with pytest.raises(InvalidSettings, match="expected a task's name"):
        load_task(candidate)


def test_a_task_is_loaded_by_its_name_alone() -> None:
    assert load_task("practice").version == load_task(TaskSpec("practice")).version
