"""Golden files hold the numbers of everything built in to its stated revision, and a changed random stream is found by them."""

import importlib
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from itertools import islice
from pathlib import Path
from typing import Any

import pytest

from evenhand import tasks
from evenhand.model import rules
from evenhand.model.extras import is_here
from evenhand.tasks import BUILT_IN, builtin, engines
from evenhand.tasks.builtin import practice
from evenhand.tasks.engines import base
from tests import golden
from tests.components import skip_case
from tests.golden import Golden, Refused
from tests.golden.__main__ import main
from tests.golden.cases import CASES, Case, Training

NEED_TORCH = {
    *(f"evenhand.tasks.builtin.{name}" for name in ("augment", "networks", "squeezenet", "training")),
    *(f"evenhand.tasks.engines.{name}" for name in ("general", "stacked", "stacked_steps")),
}
HERE = [name for name, case in CASES.items() if case.why_not() is None]


def kept(name: str) -> Golden:
    golden_file = golden.read(name)
    assert golden_file is not None, f"there is no golden file of {name}; make it: python -m tests.golden {name}"
    return golden_file


@pytest.mark.slow
@pytest.mark.parametrize("name", CASES)
def test_numbers_are_those_of_the_stated_revision(name: str) -> None:
    case = CASES[name]
    if (why := case.why_not()) is not None:
        skip_case(name, why)
    before = kept(name)
    assert before.revisions == case.revisions(), (
        f"{name}: a revision was raised; make the file anew: python -m tests.golden {name}"
    )
    exact = before.surroundings == (golden.machine(), golden.libraries(case.libraries))
    if not exact and not case.tolerable:
        skip_case(name, "its numbers are others on another kind of machine than the file's")
    changed = golden.differences(before.trainings, golden.fresh(name).trainings, exact=exact)
    assert not changed, "\n  ".join([f"{name}: numbers changed.", *changed, golden.advice(name)])


def test_every_built_in_task_and_lane_has_a_golden_file_of_three_trainings() -> None:
    assert {*(BUILT_IN.keys() - {"mlp"}), *(f"mlp-{lane}" for lane in engines.LANES)} <= CASES.keys()
    assert {path.stem for path in golden.FOLDER.glob("*.json")} == CASES.keys()
    assert all(len(kept(name).trainings) >= 3 for name in CASES)


def forget_what_was_drawn() -> None:
    """Clear what modules keep of numbers that they drew."""
    for module in [module for name, module in sys.modules.items() if name.startswith("evenhand.")]:
        for function in list(vars(module).values()):
            if hasattr(function, "cache_clear"):
                function.cache_clear()


def import_tasks() -> None:
    """Import whatever trains and can be imported here: what is imported later would keep the stream that it finds then."""
    names = {
        f"{package.__name__}.{path.stem}"
        for package in (tasks, engines, builtin)
        for path in Path(package.__path__[0]).glob("*.py")
        if path.stem != "__init__"
    }
    assert names >= NEED_TORCH, f"NEED_TORCH: there is no {', '.join(sorted(NEED_TORCH - names))}"
    for name in sorted(names if is_here("torch") else names - NEED_TORCH):
        importlib.import_module(name)


def replace_stream(before: Callable[..., int], after: Callable[..., int]) -> None:
    """Every module that has the stream `before` gets `after`, and what was drawn is forgotten."""
    for module in list(sys.modules.values()):
        if getattr(module, "derive_seed", None) is before:
            setattr(module, "derive_seed", after)  # noqa: B010
    forget_what_was_drawn()


@pytest.fixture
def other_stream() -> Iterator[None]:
    """Every seed that is derived is another one, wherever it is derived; modules imported meanwhile lose it, too."""
    import_tasks()
    derive = rules.derive_seed

    def derived(root: int, *purpose: str | int) -> int:
        return derive(root, "another stream", *purpose)

    replace_stream(derive, derived)
    yield
    replace_stream(derived, derive)


@pytest.mark.slow
@pytest.mark.parametrize("name", [name for name in HERE if name not in ("practice", "estimators", "program", "black-magic-bf16")])
@pytest.mark.usefixtures("other_stream")
def test_another_random_stream_is_found_in_both_modes(name: str) -> None:
    """The practice task, estimators and programs derive no seed."""
    count = 1 if CASES[name].libraries[-1] == "torch" else None
    with golden.prepared() as folder:
        now = tuple(islice(CASES[name].train(folder), count))
    for exact in (True, False):
        assert golden.differences(kept(name).trainings[:count], now, exact=exact)


@pytest.mark.parametrize("stream", ["initial", "order_keys", "dropout_key"])
def test_each_stream_of_the_lanes_is_held(stream: str, monkeypatch: pytest.MonkeyPatch) -> None:
    name = next(name for name in HERE if name.startswith("mlp-"))
    drawn = getattr(base, stream)
    place = 1 if stream == "initial" else 0  # of the seed among the arguments

    def other(*arguments: Any) -> Any:
        return drawn(*(value + 1 if at == place else value for at, value in enumerate(arguments)))

    monkeypatch.setattr(base, stream, other)
    with golden.prepared() as folder:
        first = next(CASES[name].train(folder))
    for exact in (True, False):
        assert golden.differences(kept(name).trainings[:1], [first], exact=exact)


def test_another_seed_of_the_practice_task_is_found_in_both_modes(monkeypatch: pytest.MonkeyPatch) -> None:
    run_trial = tasks.run_trial
    monkeypatch.setattr(tasks, "run_trial", lambda *arguments, seed, **named: run_trial(*arguments, seed=seed + 1, **named))
    with golden.prepared() as folder:
        now = tuple(CASES["practice"].train(folder))
    for exact in (True, False):
        assert golden.differences(kept("practice").trainings, now, exact=exact)


FIRST = Training("completed", ((1, None, 0.5, None, {}), (2, 1, 0.25, 0.75, {"f1": 0.5}), (3, None, 0.125, None, {})))


@pytest.mark.parametrize(
    ("change", "exact", "tolerant"),
    [
        ((0, (1, None, 0.500001, None, {})), True, False),
        ((0, (1, None, 0.5001, None, {})), True, True),
        ((1, (2, 1, 0.25, 0.7500001, {"f1": 0.5})), True, False),
        ((1, (2, 1, 0.25, None, {"f1": 0.5})), True, True),
        ((1, (2, 1, 0.25, 0.75, {})), True, True),
        ((2, (3, None, 0.2, None, {})), True, False),  # after the first epoch
        ((2, (4, None, 0.125, None, {})), True, True),
    ],
)
def test_what_each_mode_compares(change: tuple[int, Any], exact: bool, tolerant: bool) -> None:
    rows = list(FIRST.measurements)
    rows[change[0]] = change[1]
    now = [replace(FIRST, measurements=tuple(rows))]
    assert bool(golden.differences([FIRST], now, exact=True)) == exact
    assert bool(golden.differences([FIRST], now, exact=False)) == tolerant
    assert golden.differences([FIRST], [], exact=False)
    assert golden.differences([FIRST], [replace(FIRST, outcome="diverged")], exact=False)


@pytest.fixture
def practised(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """A folder of golden files with that of the practice task in it."""
    monkeypatch.setattr(golden, "FOLDER", tmp_path)
    assert golden.make("practice") == "practice: written"
    return tmp_path / "practice.json"


def test_a_file_is_made_anew_only_with_a_raised_revision(practised: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = practised.read_text()
    assert golden.make("practice") == "practice: as it was"
    monkeypatch.setattr(practice, "BATCH_SIZE", 40)
    words = r"no revision was raised\.\n  training 1: .*\n.*\n.*\n.*raise the REVISION of practice, .*tests.golden practice$"
    with pytest.raises(Refused, match=words):
        golden.make("practice")
    assert practised.read_text() == before
    monkeypatch.setattr(practice, "REVISION", practice.REVISION + 1)
    assert golden.make("practice") == "practice: written"
    assert practised.read_text() != before
    monkeypatch.setattr(practice, "REVISION", practice.REVISION - 1)
    with pytest.raises(Refused, match="lower than the file's"):
        golden.make("practice")


def test_a_file_of_another_machine_is_made_anew_where_the_numbers_are_near(
    practised: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(golden, "machine", lambda: {"processor": "another one"})
    assert main(["practice"]) == 0
    assert "another one" in practised.read_text()
    monkeypatch.setattr(golden, "machine", lambda: {"processor": "a third one"})
    monkeypatch.setattr(practice, "BATCH_SIZE", 40)
    assert main(["practice"]) == 1
    assert "a third one" not in practised.read_text()
    assert main(["nothing"]) == 2
    assert "expected some of mlp-whole, " in capsys.readouterr().out


def test_a_case_that_cannot_be_trained_here_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    case = Case(dict, (), lambda folder: iter(()), lambda: "it lacks a thing")
    monkeypatch.setattr(golden, "CASES", {"none": case})
    with pytest.raises(Refused, match="cannot be made here, since it lacks a thing"):
        golden.make("none")
