"""Tasks of a user's own: declared in a few lines, found by name, told apart by how their trainings end."""

import json
import math
import os
import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from evenhand import tasks
from evenhand.errors import InvalidConfiguration, InvalidSettings, InvalidSpace, TaskMissing, Unreachable
from evenhand.examples import digits_mlp
from evenhand.model.configuration import Configuration
from evenhand.model.domain import Choice, Float, Integer
from evenhand.model.hyperparameter import Hyperparameter
from evenhand.model.space import Space
from evenhand.model.task import TaskSpec
from evenhand.model.trial import Measurement, Outcome
from evenhand.model.words import last_line
from evenhand.tasks import Diverged, Run, Splits, Stopped, Task, task
from evenhand.tasks.check import chance_of, check, example_of, sample_sheet, shortened
from evenhand.tasks.metrics import accuracy, r2
from evenhand.tasks.run import joined
from evenhand.tasks.running import TrainingRequest, run_together

EXAMPLE = Path(digits_mlp.__file__)
SPACE = Space([Hyperparameter("epochs", Integer(1, 9), 2, fidelity=True), Hyperparameter("rate", Float(0, 1), 0.5)])
X = np.arange(20.0).reshape(10, 2)
Y = np.array([0, 1] * 5)


def splits() -> Splits:
    return Splits((X, Y), (X[:4], Y[:4]), (X[:2], Y[:2]))


def made(train: Callable[[Configuration, Run], object], **changes: Any) -> Task:
    return task(**{"space": SPACE, "metric": "accuracy", "max_epochs": 9, "data": splits, **changes})(train)


def ran(
    train: Callable[[Configuration, Run], object] | Task,
    raw: Mapping[str, object] | None = None,
    evaluation: bool = False,
    **changes: Any,
) -> tuple[Outcome, str | None, list[Measurement]]:
    measured: list[Measurement] = []
    tried = train if isinstance(train, Task) else made(train, **changes)
    outcome, why = tasks.run_trial(tried, raw or {}, seed=5, evaluation=evaluation, report=measured.append)
    return outcome, why, measured


def noted(seen: list[int], x: Any, answer: Any) -> Any:
    """The answer, after noting how many examples it was asked for."""
    seen.append(len(x))
    return answer


def example() -> Task:
    return tasks.load(TaskSpec(f"{EXAMPLE}:train"))


def test_the_shipped_example_learns_the_digits() -> None:
    outcome, why, measured = ran(example(), {"epochs": 15})
    assert (outcome, why) == (Outcome.COMPLETED, None)
    epochs = [measurement for measurement in measured if measurement.epoch is not None]
    assert [measurement.epoch for measurement in epochs] == list(range(1, 16))
    assert epochs[-1].value is not None
    assert epochs[-1].value > 0.9
    assert [measurement.index for measurement in measured] == list(range(len(measured)))
    assert all(
        measurement.value is None and measurement.loss is not None for measurement in measured if measurement.epoch is None
    )
    times = [measurement.seconds for measurement in measured]
    assert times == sorted(times)
    assert times[0] >= 0


@pytest.mark.slow
def test_the_example_repeats_bit_for_bit_in_another_process() -> None:
    here = [(measurement.loss, measurement.value) for measurement in ran(example(), {"epochs": 3})[2]]
    code = (
        "from evenhand import tasks\nfound = []\n"
        f"one = tasks.load(tasks.TaskSpec({f'{EXAMPLE}:train'!r}))\n"
        "tasks.run_trial(one, {'epochs': 3}, seed=5, evaluation=False, report=found.append)\n"
        "print(repr([(each.loss, each.value) for each in found]), one.version)"
    )
    there = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.strip()
    assert there == f"{here!r} {example().version}"


def test_a_task_s_name_finds_it_again_with_the_same_version(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(EXAMPLE.parent.parent)
    relative = tasks.load(TaskSpec("examples/digits_mlp.py:train"))
    assert tasks.load(TaskSpec("evenhand.examples.digits_mlp:train")).spec == relative.spec
    again = tasks.load(relative.spec)
    assert again.version == relative.version
    assert Path(relative.name.rpartition(":")[0]).is_absolute()
    assert relative.record.space == relative.space
    assert relative.record.has_test


@pytest.mark.slow
def test_the_version_follows_the_source_and_the_named_files(tmp_path: Path) -> None:
    source = tmp_path / "own.py"
    text = (
        "from evenhand.model.space import *\nfrom evenhand.tasks import task\n"
        "S = Space([Hyperparameter('rate', Float(0, 1), 0.5)])\n"
        "@task(space=S, metric='accuracy', max_epochs=1, files=['table.csv'])\ndef train(configuration, run):\n    pass\n"
    )
    source.write_text(text)
    (tmp_path / "table.csv").write_text("1,2")
    first = tasks.load(TaskSpec(f"{source}:train")).version
    source.write_text(text.replace("pass", "return"))
    second = tasks.load(TaskSpec(f"{source}:train")).version
    (tmp_path / "table.csv").write_text("1,3")
    source.write_text(text)
    third = tasks.load(TaskSpec(f"{source}:train")).version
    assert len({first, second, third}) == 3


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("nothing", "black-magic"),
        ("missing.py:train", "no file"),
        (f"{EXAMPLE}:nobody", "no such name"),
        (f"{EXAMPLE}:SPACE", "a Space"),
        ("no_such_module_at_all:train", "there is no module no_such_module_at_all here"),
    ],
)
def test_a_task_that_is_not_there_says_what_was_expected(name: str, words: str) -> None:
    with pytest.raises(TaskMissing, match=words):
        tasks.load(TaskSpec(name))


def test_a_file_that_fails_to_import_shows_its_traceback(tmp_path: Path) -> None:
    (tmp_path / "bad.py").write_text("import math\nmath.no_such_thing\n")
    with pytest.raises(TaskMissing, match="no_such_thing"):
        tasks.load(TaskSpec(f"{tmp_path / 'bad.py'}:train"))


def test_settings_of_an_own_task_are_refused() -> None:
    with pytest.raises(InvalidSettings, match="size"):
        tasks.load(TaskSpec(f"{EXAMPLE}:train", {"size": 3}))


def test_tuning_learns_from_train_is_scored_on_validation_and_never_asks_for_test() -> None:
    seen: list[int] = []

    def refuse() -> tuple[Any, Any]:
        raise AssertionError("test data was opened")

    def train(configuration: Configuration, run: Run) -> None:
        seen.append(len(run.train[1]))
        run.report(epoch=1, accuracy=run.score(lambda x: noted(seen, x, Y[: len(x)])))

    data = Splits((X, Y), (X[:4], Y[:4]), refuse)
    outcome, _, measured = ran(train, data=lambda: data)
    assert outcome is Outcome.COMPLETED
    assert seen == [10, 4]
    assert measured[-1].value == 1.0
    outcome, why, _ = ran(train, data=lambda: data, evaluation=True)
    assert outcome is Outcome.INVALID
    assert "test data was opened" in str(why)


def test_an_evaluation_learns_from_both_and_is_scored_on_test() -> None:
    seen: list[int] = []

    def train(configuration: Configuration, run: Run) -> None:
        seen.append(len(run.train[0]))
        run.report(epoch=1, accuracy=run.score(lambda x: noted(seen, x, np.zeros(len(x)))))

    _, _, measured = ran(train, evaluation=True)
    assert seen == [14, 4, 2]
    assert [measurement.value for measurement in measured] == [None, 0.5]


def test_without_data_the_task_scores_itself_and_is_told_so_if_it_asks() -> None:
    def own(configuration: Configuration, run: Run) -> None:
        run.report(epoch=1, accuracy=0.7, f1=0.6)

    def asking(configuration: Configuration, run: Run) -> None:
        run.score(lambda x: x)

    without_data = made(own, data=None)
    assert not without_data.has_test
    assert ran(without_data)[2][0].extra == {"f1": 0.6}
    outcome, why, _ = ran(asking, data=None)
    assert outcome is Outcome.INVALID
    assert "data=function" in str(why)


def test_a_stop_ends_the_training_even_where_the_task_swallows_it() -> None:
    reported: list[Measurement] = []

    def stopping(measurement: Measurement) -> None:
        reported.append(measurement)
        if measurement.step == 3:
            raise Stopped("the tuner asked")

    def deaf(configuration: Configuration, run: Run) -> None:
        for step in range(1, 10):
            try:
                run.report(step=step, loss=1.0)
            except BaseException:
                continue

    outcome, why = tasks.run_trial(made(deaf), {}, seed=1, evaluation=False, report=stopping)
    assert (outcome, why) == (Outcome.STOPPED, "the tuner asked")
    assert [measurement.step for measurement in reported] == [1, 2, 3]


@pytest.mark.parametrize(
    ("number", "words"), [(math.nan, "not a number"), (math.inf, "infinite"), (np.float32("nan"), "not a number")]
)
def test_a_loss_that_is_not_finite_is_diverged_with_its_step(number: float, words: str) -> None:
    def train(configuration: Configuration, run: Run) -> None:
        run.report(step=1, loss=2.0)
        run.report(step=2, loss=number)

    outcome, why, measured = ran(train)
    assert outcome is Outcome.DIVERGED
    assert words in str(why)
    assert "step 2" in str(why)
    assert len(measured) == 1


def test_the_example_diverges_at_a_huge_rate() -> None:
    assert ran(example(), {"learning_rate": 100})[0] is Outcome.DIVERGED


def test_an_error_of_its_own_is_invalid_with_the_task_s_traceback() -> None:
    def train(configuration: Configuration, run: Run) -> None:
        run.report(epoch=1, accuracy=0.5)
        raise KeyError("weights of layer 7")

    outcome, why, measured = ran(train)
    assert outcome is Outcome.INVALID
    assert "weights of layer 7" in str(why)
    assert Path(__file__).name in str(why)
    assert "running.py" not in str(why)
    assert len(measured) == 1


@pytest.mark.parametrize(
    "error",
    [MemoryError(), RuntimeError("[enforce fail at alloc_cpu.cpp:117] DefaultCPUAllocator: can't allocate memory: you tried")],
)
def test_a_training_that_does_not_fit_in_memory_is_invalid_in_words(error: Exception) -> None:
    def train(configuration: Configuration, run: Run) -> None:
        raise error

    outcome, why, _ = ran(train)
    assert outcome is Outcome.INVALID
    assert str(why).startswith("it does not fit in memory")
    assert "Traceback" not in str(why)


@pytest.mark.parametrize("kind", [InvalidConfiguration, ValueError, MemoryError])
@pytest.mark.parametrize("length", ["x" * 10**6, "x\n" * 10**6])
def test_a_message_as_long_as_the_data_is_cut(kind: type[Exception], length: str) -> None:
    def train(configuration: Configuration, run: Run) -> None:
        raise kind(length)

    outcome, why, _ = ran(train)
    assert outcome is Outcome.INVALID
    assert "x" in str(why)
    assert len(str(why)) < 25_000, "no door takes a million letters"


def test_leaving_by_exit_is_invalid_and_a_training_without_a_result_too() -> None:
    def leaving(configuration: Configuration, run: Run) -> None:
        sys.exit(3)

    def silent(configuration: Configuration, run: Run) -> None:
        run.report(step=1, loss=0.5)

    assert ran(leaving)[0] is Outcome.INVALID
    outcome, why, _ = ran(silent)
    assert outcome is Outcome.INVALID
    assert "run.report(epoch=..., accuracy=...)" in str(why)


class Unspeakable(Exception):
    """One whose text cannot be had."""

    def __str__(self) -> str:
        raise RuntimeError("no text")

    __repr__ = __str__


class Unspeakable2(BaseException):
    """The same, of the other kind."""

    def __str__(self) -> str:
        raise SystemExit(4)


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (Unspeakable(), "Unspeakable"),
        (Unspeakable2(), "Unspeakable2"),
        (ValueError(b"\xff".decode(errors="surrogateescape")), "ValueError: \\udcff"),
        (ValueError("zero \0 byte"), "ValueError: zero \\x00 byte"),
        (ValueError("long " * 10**6), "ValueError: long long"),
        (ValueError("line\n" * 10**5), "ValueError: line"),
        (ValueError("\n\n"), "ValueError:"),
        (ValueError(), "ValueError"),
        (SystemExit(3), "SystemExit: 3"),
        (GeneratorExit("left"), "GeneratorExit: left"),
        (ExceptionGroup("several", [ValueError("one"), KeyError("two")]), "KeyError: 'two'"),
        (BaseExceptionGroup("several", [SystemExit(1)]), "SystemExit: 1"),
        (ValueError("\x1b[1mlayer\x1b[0m \x1b[38;5;9mdense\x1b[0m"), "ValueError: layer dense"),
        (InvalidSettings("odd \udc80"), "odd \\udc80"),
        (RuntimeError("out of memory \udc80"), "out of memory \\udc80"),
        (Diverged("up \udc80"), "up \\udc80"),
        (Stopped(), "Stopped"),
    ],
    ids=lambda part: type(part).__name__ if isinstance(part, BaseException) else None,
)
def test_an_exception_of_any_kind_and_text_ends_its_training_in_words(error: BaseException, words: str) -> None:
    def train(configuration: Configuration, run: Run) -> None:
        raise error

    outcome, why, _ = ran(train)
    assert outcome is (Outcome.DIVERGED if isinstance(error, Diverged) else Outcome.INVALID)
    assert words in str(why)
    assert len(str(why).encode()) < 50_000
    assert last_line(why)


def test_ctrl_c_is_the_user_s() -> None:
    def train(configuration: Configuration, run: Run) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        ran(train)


@pytest.mark.needs("fork")
@pytest.mark.parametrize(("how", "code"), [("returns", 0), ("raises", 1), ("leaves", 5), ("reports", 1)])
def test_a_child_that_a_training_forks_ends_where_the_training_ends(tmp_path: Path, how: str, code: int) -> None:
    def train(configuration: Configuration, run: Run) -> None:
        child = os.fork()
        if not child and how == "raises":
            raise ValueError("in the child")
        if not child and how == "leaves":
            sys.exit(5)
        if not child and how == "reports":
            run.report(epoch=1, accuracy=0.9)
        if child:
            (tmp_path / "code").write_text(str(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])))
            run.report(epoch=1, accuracy=0.5)

    outcome, why, measured = ran(train)
    (tmp_path / f"after {os.getpid()}").touch()
    assert (outcome, why, [measurement.value for measurement in measured]) == (Outcome.COMPLETED, None, [0.5])
    assert (tmp_path / "code").read_text() == str(code)
    assert [path.name for path in tmp_path.glob("after*")] == [f"after {os.getpid()}"]


def test_a_raw_configuration_is_checked_once_more() -> None:
    outcome, why, _ = ran(lambda configuration, run: None, {"rate": 7})
    assert outcome is Outcome.INVALID
    assert "rate" in str(why)


def test_a_reporter_s_own_failure_is_not_the_task_s() -> None:
    def gone(measurement: Measurement) -> None:
        raise Unreachable("the server does not answer")

    def train(configuration: Configuration, run: Run) -> None:
        try:
            run.report(epoch=1, accuracy=1.0)
        except Exception:
            return

    with pytest.raises(Unreachable):
        tasks.run_trial(made(train), {}, seed=1, evaluation=False, report=gone)


def test_several_trainings_of_any_task_end_as_they_do_alone() -> None:
    def train(configuration: Configuration, run: Run) -> None:
        rate = configuration.number("rate")
        if rate == 1:
            raise ValueError("no such rate")
        for epoch in (1, 2):
            run.report(epoch=epoch, accuracy=math.inf if rate == 0 else rate + float(np.random.random()))  # noqa: NPY002

    def reporter(measured: list[Measurement], at: int) -> Callable[[Measurement], None]:
        def report(measurement: Measurement) -> None:
            if at == 5:
                raise Unreachable("the server does not answer")
            if at == 6 and measured:
                raise Stopped
            measured.append(measurement)

        return report

    raw = [{}, {"rate": 1}, {"rate": 0}, {"rate": 7}, {}, {}, {}]
    measured: list[list[Measurement]] = [[] for _ in raw]
    asked = [TrainingRequest(configuration, 5, False, reporter(measured[at], at)) for at, configuration in enumerate(raw)]
    ended = run_together(made(train), asked)
    for at, configuration in enumerate(raw[:5]):
        outcome, why, alone = ran(train, configuration)
        assert (ended[at], [measurement.value for measurement in measured[at]]) == (
            (outcome, why),
            [measurement.value for measurement in alone],
        )
    kinds = [ending[0] for ending in ended if isinstance(ending, tuple)]
    good, bad = Outcome.COMPLETED, Outcome.INVALID
    assert kinds == [good, bad, Outcome.DIVERGED, bad, good, Outcome.STOPPED]
    assert isinstance(ended[5], Unreachable)


def test_unseeded_draws_are_seeded_for_the_task() -> None:
    def train(configuration: Configuration, run: Run) -> None:
        run.report(epoch=1, accuracy=float(np.random.random()))  # noqa: NPY002 - what careless code does

    assert ran(train)[2][0].value == ran(train)[2][0].value


def test_epochs_and_steps_are_counted_where_they_are_left_out() -> None:
    def train(configuration: Configuration, run: Run) -> None:
        run.report(loss=1)
        run.report(accuracy=0.5)
        run.report(accuracy=0.6)

    measured = ran(train)[2]
    assert [(measurement.step, measurement.epoch) for measurement in measured] == [(1, None), (2, 1), (3, 2)]


@pytest.mark.parametrize(
    ("report", "words"),
    [
        ({"epoch": 1, "accuracy": "0.5"}, "accuracy is '0.5', expected a number"),
        ({"epoch": 1, "accuracy": None}, "accuracy is None, expected a number"),
        ({"epoch": 1, "accuracy": [0.5, 0.6]}, "accuracy is a list, expected a number"),
        ({"epoch": 1, "accuracy": np.array([0.5, 0.6])}, "accuracy is a ndarray, expected a number"),
        ({"epoch": 1.5, "accuracy": 0.5}, "epoch is 1.5, expected a whole number from 1"),
        ({"epoch": 0, "accuracy": 0.5}, "epoch is 0, expected a whole number from 1"),
        ({"epoch": "2", "accuracy": 0.5}, "epoch is '2', expected a whole number"),
        ({"epoch": 2, "accuracy": 0.5}, "epoch is 2 after 3, expected completed epochs in order"),
        ({"step": 1.5, "loss": 0.5}, "step is 1.5, expected a whole number"),
        ({"step": -1, "loss": 0.5}, "step is -1, expected a whole number"),
        ({"step": 1, "loss": "low"}, "loss is 'low', expected a number"),
        ({"epoch": 4, "\udc80": 0.5}, "cannot be shown"),
    ],
)
def test_a_wrong_report_is_refused_where_it_is_made(report: dict[str, Any], words: str) -> None:
    def train(configuration: Configuration, run: Run) -> None:
        run.report(epoch=3, accuracy=0.25)
        with pytest.raises(InvalidSettings, match=words):
            run.report(**report)

    outcome, _, measured = ran(train)
    assert (outcome, len(measured)) == (Outcome.COMPLETED, 1)


def test_numbers_of_numpy_are_reported_and_those_too_large_for_one_diverge() -> None:
    def train(configuration: Configuration, run: Run) -> None:
        run.report(step=np.int64(7), epoch=np.float64(2.0), loss=np.float32(0.5), accuracy=np.array(0.25))  # type: ignore[arg-type]
        run.report(epoch=3, accuracy=-(10**400))

    outcome, why, (measured,) = ran(train)
    assert (measured.step, measured.epoch, measured.loss, measured.value) == (7, 2, 0.5, 0.25)
    assert [type(part) for part in (measured.step, measured.epoch, measured.loss, measured.value)] == [int, int, float, float]
    assert (outcome, why) == (Outcome.DIVERGED, "accuracy became infinite at the end of epoch 3")


def test_a_loss_that_is_the_metric_is_the_value_after_an_epoch_and_not_after_a_step() -> None:
    def train(configuration: Configuration, run: Run) -> None:
        run.report(step=1, loss=3.0)
        run.report(step=2, epoch=1, loss=2.0)
        run.report(loss=1.0)

    _, _, measured = ran(train, metric="loss", direction="minimize")
    assert [(row.step, row.epoch, row.loss, row.value) for row in measured] == [
        (1, None, 3.0, None),
        (2, 1, 2.0, 2.0),
        (3, 2, 1.0, 1.0),
    ]
    assert ran(lambda configuration, run: 0.5, metric="loss", direction="minimize")[2][0].value == 0.5


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"metric": "step", "direction": "minimize"}, "metric is called 'step', which means something else in run.report"),
        ({"metric": "epoch", "direction": "minimize"}, "such as 'final_epoch'"),
        ({"metric": "", "direction": "minimize"}, "expected a name"),
        ({"metric": 3, "direction": "minimize"}, "metric is 3, expected a name, or a function"),
        ({"further": {"loss": "minimize"}}, "metric is called 'loss', which means something else"),
        ({"further": {"size": "small"}}, "'size' is to 'small', expected 'maximize' or 'minimize'"),
        ({"further": {"accuracy": "maximize"}}, "leave it out there"),
        ({"max_seconds": math.nan}, "max_seconds is nan"),
        ({"max_memory": "4 GB"}, "max_memory is '4 GB', expected a whole number"),
        ({"metric": "f1"}, "direction"),
        ({"metric": "mse", "direction": "maximize"}, "minimize"),
        ({"max_epochs": 0}, "max_epochs"),
        ({"data": splits()}, "data is a Splits, expected a function that returns Splits"),
        ({"max_epochs": "9"}, "max_epochs is '9', expected a whole number from 1"),
    ],
)
def test_a_contradictory_declaration_is_refused(changes: dict[str, Any], words: str) -> None:
    with pytest.raises(InvalidSettings, match=words):
        made(lambda configuration, run: None, **changes)


@pytest.mark.parametrize(
    ("hyperparameter", "words"),
    [
        (Hyperparameter(" ", Float(0, 1)), "hyperparameter ' ': expected a name that can be read, in one line"),
        (Hyperparameter("a\nb", Float(0, 1)), r"hyperparameter 'a\\nb': expected a name that can be read, in one line"),
        (
            Hyperparameter("epochs", Float(1, 9), fidelity=True),
            r"expected an Integer from 1, such as Integer\(1, 20\), got Float",
        ),
        (Hyperparameter("epochs", Choice(("few", "many")), fidelity=True), "expected an Integer from 1"),
        (Hyperparameter("epochs", Integer(0, 9), fidelity=True), "expected an Integer from 1"),
    ],
)
def test_a_space_that_no_task_can_have_is_refused_and_read_where_it_was_stored(
    hyperparameter: Hyperparameter, words: str
) -> None:
    space = Space.from_json(json.loads(json.dumps(Space([hyperparameter]).to_json())))
    with pytest.raises(InvalidSpace, match=words):
        made(lambda configuration, run: None, space=space)


@pytest.mark.parametrize("evaluation", [False, True])
def test_data_that_is_no_splits_is_said(evaluation: bool) -> None:
    def train(configuration: Configuration, run: Run) -> None:
        run.report(epoch=1, accuracy=float(len(run.train[1])))

    outcome, why, _ = ran(train, evaluation=evaluation, data=lambda: ([[1]], [1]))
    assert outcome is Outcome.INVALID
    assert str(why).startswith("the task's data function returned a tuple, expected Splits(train, validation, test)")


def test_metrics_by_name_and_by_function() -> None:
    def worst(targets: Any, predictions: Any) -> float:
        return float(np.max(np.abs(targets - predictions)))

    def train(configuration: Configuration, run: Run) -> None:
        run.report(step=1, epoch=1, loss=0.0, **{run.task.metric: run.score(lambda x: np.array([0, 1, 0, 3]))})

    assert ran(train, metric="mse")[2][0].value == 1.0
    assert ran(train, metric="mae")[2][0].value == 0.5
    assert ran(train, metric=worst, direction="minimize")[2][0].value == 2.0
    assert accuracy([1, 0], np.array([[0.1, 0.9], [0.3, 0.7]])) == 0.5
    assert r2([1.0, 3.0], [1.0, 3.0]) == 1.0
    with pytest.raises(ValueError, match="shape"):
        accuracy([1, 0, 1], [1])


@pytest.mark.parametrize(
    ("targets", "predictions", "words"),
    [
        ([0.0, math.nan], [0.0, 1.0], "the targets hold NaN, which equals no label; leave these examples out"),
        (np.array([0, math.nan], dtype=object), [0, 1], "the targets hold NaN"),
        (["a", "b"], [b"a", b"b"], "returned bytes .*, expected text"),
        (np.array(["a", 1], dtype=object), ["a", "b"], "returned text .*, expected numbers and text"),
        (["a", "b"], np.array([1, "b"], dtype=object), "returned numbers and text .*, expected text"),
        ([0, 1], ["0", "1"], r"returned text \(such as .*'0'.*\), expected numbers like the targets"),
        (["a", "b"], [0, 1], r"returned numbers \(such as .*0.*\), expected text"),
        (["a", "b"], [[0.1, 0.9], [0.8, 0.2]], "returned numbers .*, expected text"),  # whose largest is a place, no label
        (np.array(["a", "b"], dtype=object), [0, 1], "expected text"),
        ([0, 1], [0.0, 0.7], "returned .*0.7.*, expected labels, which are whole numbers"),
        ([0, 1], [[0.2], [0.7]], r"one score for each example, of shape \(2, 1\), expected labels \(2,\)"),
        ([0, 1], [0], r"shape \(1,\), expected \(2,\)"),
    ],
)
def test_predictions_that_could_only_be_wrong_are_refused(targets: Any, predictions: Any, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        accuracy(targets, predictions)


def test_what_is_no_number_has_no_accuracy_and_labels_of_other_kinds_of_numbers_have() -> None:
    assert math.isnan(accuracy([0, 1], [[0.1, math.nan], [0.1, 0.9]]))
    assert math.isnan(accuracy([0, 1], [0.0, math.nan]))
    assert math.isnan(accuracy([0.0, 1.0], [math.nan, math.nan]))
    assert math.isnan(accuracy([0, 1], np.array([0, math.nan], dtype=object)))
    assert math.isnan(accuracy(["a", "b"], np.array(["a", math.nan], dtype=object)))
    for targets, predictions in (
        ([0, 1], [0.0, 1.0]),
        ([0, 1], [False, True]),
        ([True, False], [0, 1]),
        ([0.5, 1.0], [0.5, 1.0]),
    ):
        assert accuracy(targets, predictions) == (0.0 if targets[0] is True else 1.0)


def test_joined_parts() -> None:
    assert joined([1], (2, 3)) == [1, 2, 3]
    assert joined(np.array([1]), np.array([2])).tolist() == [1, 2]


def test_a_check_times_noise_and_spread() -> None:
    seen: list[tuple[str, int, int]] = []
    checked = check(example(), configurations=5, epochs=3, progress=lambda *progress: seen.append(progress))
    assert len(checked.same) == 3
    assert len(checked.random) == 5
    assert checked.epoch_seconds is not None
    assert 0 < checked.epoch_seconds < 1
    assert checked.noise is not None
    assert 0.3 < checked.noise[0] <= 1
    assert 0 < checked.noise[1] < 0.3
    assert checked.chance == pytest.approx(0.1, abs=0.05)
    assert checked.stuck is not None
    assert 0 <= checked.stuck < 1
    assert sum(checked.outcomes.values()) == 5
    assert all(int(trial.configuration["epochs"]) <= 3 for trial in checked.random)
    assert seen[-1] == ("random configurations", 5, 5)
    again = check(example(), configurations=5, epochs=3)
    assert [trial.value for trial in again.same + again.random] == [trial.value for trial in checked.same + checked.random]


def test_a_check_counts_what_stays_at_chance() -> None:
    def lazy(configuration: Configuration, run: Run) -> None:
        run.report(epoch=1, accuracy=0.5 if configuration.number("rate") < 0.5 else 0.99)

    many = np.zeros(1000), np.array([0, 1] * 500)
    checked = check(made(lazy, data=lambda: Splits(many, many, many)), configurations=12, seeds=1)
    below = sum(trial.configuration.number("rate") < 0.5 for trial in checked.random)
    assert checked.stuck == below / 12
    assert 0 < below < 12
    assert checked.noise is None


def test_helpers_of_a_check_for_other_tasks(tmp_path: Path) -> None:
    bare = made(lambda configuration, run: None, metric="mse", data=None)
    assert chance_of(bare) == (None, 0.0)
    assert sample_sheet(bare, tmp_path / "sheet.png") is None
    assert example_of(bare) == SPACE.configuration({})
    mandatory = Space([Hyperparameter("rate", Float(0, 1))])
    drawn = example_of(made(lambda configuration, run: None, space=mandatory))
    assert shortened(made(lambda configuration, run: None, space=mandatory), drawn, 1) == drawn


@pytest.mark.slow
def test_importing_tasks_does_not_import_torch() -> None:
    code = (
        f"import sys; from evenhand import tasks as t; t.load(t.TaskSpec({f'{EXAMPLE}:train'!r})); print('torch' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.strip() == "False"
