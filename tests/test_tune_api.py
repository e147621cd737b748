"""`evenhand.tune`: three lines tune a task or a function, in a script too, and leave a session like every other."""

import os
import signal
import statistics
import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import evenhand
from evenhand import tasks
from evenhand.errors import InvalidSettings, InvalidSpace, Refused, TaskMissing
from evenhand.examples.digits_mlp import train
from evenhand.experiments import compare
from evenhand.lab.lab import Lab
from evenhand.model.configuration import Configuration
from evenhand.model.domain import Float, Integer
from evenhand.model.hyperparameter import Hyperparameter, Prior
from evenhand.model.space import Space
from evenhand.model.task import TaskSpec
from evenhand.model.trial import Outcome, Stopper
from evenhand.store.engine import Store
from evenhand.tasks import Run
from tests.components import need
from tests.waiting import PATIENCE_SECONDS

LINE = Space([Hyperparameter("x", Float(-1, 1))])
SCRIPT = """
import evenhand
from evenhand import Float, Hyperparameter, Space

def train(configuration):
    return -(configuration["x"] - 0.5) ** 2

result = evenhand.tune(train, Space([Hyperparameter("x", Float(0, 1))]), direction="maximize", method="tpe", trials=15)
print(result.configuration["x"])
"""


@pytest.fixture
def db(tmp_path: Path) -> str:
    return f"sqlite:///{tmp_path / 'lab.sqlite'}"


def hill(configuration: Configuration) -> float:
    return 1 - configuration.number("x") ** 2


@pytest.mark.slow
def test_three_lines_tune_a_task(db: str, capsys: pytest.CaptureFixture[str]) -> None:
    result = evenhand.tune(train, method="tpe", trials=4, epochs_per_trial=3, startup=2, db=db)
    assert len(result.trials) == 4
    assert result.best is not None
    assert result.configuration == result.best.configuration
    assert result.best.value == max(trial.value for trial in result.trials if trial.value is not None)
    assert result.evaluation is not None
    scores = [score.value for score in result.evaluation.scores if score.value is not None]
    assert len(scores) == 10
    assert result.evaluation.mean == pytest.approx(statistics.mean(scores))
    assert result.evaluation.std == pytest.approx(statistics.stdev(scores))
    assert "accuracy" in capsys.readouterr().err  # the progress bar

    lab = Lab.connect(db)
    (study,) = lab.studies.all()
    (session,) = lab.sessions.of_study(study.id)
    assert (session.id, session.tuner, session.kind) == (result.session_id, "tpe", "method")
    assert session.trials == result.trials
    assert [who for who, _ in lab.evaluations.looks(session.id)] == ["evenhand.tune"]
    assert lab.sessions.to_play("server") == []  # no server takes this session up
    lab.close()


def test_the_result_reads_well(db: str) -> None:
    result = evenhand.tune(train, trials=2, epochs_per_trial=1, seed=1, db=db, evaluate=False, progress=False)
    lines = repr(result).splitlines()
    assert lines[0] == f"Result of session {result.session_id}: random, 2 trials (2 completed)"
    assert lines[1].startswith("  validation     accuracy ")
    assert "%" in lines[1]
    assert "  epochs         1" in lines
    assert result.evaluation is None


@pytest.mark.slow
def test_the_same_seed_gives_the_same_trials(db: str) -> None:
    first, again, other = (
        [
            (trial.configuration, trial.value)
            for trial in evenhand.tune(hill, LINE, direction="maximize", trials=5, seed=seed, db=db, progress=False).trials
        ]
        for seed in (3, 3, 4)
    )
    assert first == again
    assert first != other


@pytest.mark.slow
def test_a_plain_function_in_both_directions(db: str) -> None:
    low = evenhand.tune(hill, LINE, method="tpe", direction="minimize", trials=25, db=db, progress=False).configuration
    high = evenhand.tune(hill, LINE, method="tpe", direction="maximize", trials=25, db=db, progress=False).configuration
    assert low is not None
    assert high is not None
    assert abs(low.number("x")) > 0.9
    assert abs(high.number("x")) < 0.1


def test_a_plain_training_function_reports_epochs(db: str) -> None:
    space = Space([*LINE, Hyperparameter("epochs", Integer(1, 4), fidelity=True)])

    def train(configuration: Configuration, run: Run) -> None:
        for epoch in range(1, int(configuration["epochs"]) + 1):
            run.report(epoch=epoch, loss=1 / epoch, accuracy=hill(configuration) * epoch / 4)

    result = evenhand.tune(train, space, metric="accuracy", epochs=10, db=db, progress=False)
    assert sum(trial.epochs_done for trial in result.trials) == 10
    assert all(trial.epochs_done == trial.configuration["epochs"] for trial in result.trials)
    assert result.evaluation is None  # there is no test data


@pytest.mark.parametrize("method", ["random", "sobol", "tpe", "evolution"])
def test_constraints_hold_where_the_epochs_are_fixed(db: str, method: str) -> None:
    numbers = [Hyperparameter(name, Float(0, 10)) for name in ("a", "b")]
    space = Space([*numbers, Hyperparameter("epochs", Integer(1, 9), fidelity=True)], ["a < b", "a < epochs"])
    given: dict[str, Any] = {
        "trials": 15,
        "epochs_per_trial": 4,
        "direction": "maximize",
        "evaluate": False,
        "db": db,
        "progress": False,
    }
    result = evenhand.tune(lambda configuration: configuration["a"], space, method=method, **given)
    assert len(result.trials) == 15
    assert all(trial.configuration["a"] < min(trial.configuration["b"], 4) for trial in result.trials)


def test_an_exception_makes_the_trial_invalid_and_the_search_goes_on(db: str) -> None:
    def fragile(configuration: Configuration) -> float:
        if configuration.number("x") < 0:
            raise RuntimeError("negative widths are not supported")
        return hill(configuration)

    result = evenhand.tune(fragile, LINE, direction="maximize", trials=12, db=db, progress=False)
    assert len(result.trials) == 12
    for trial in result.trials:
        negative = trial.configuration.number("x") < 0
        assert trial.outcome is (Outcome.INVALID if negative else Outcome.COMPLETED)
        if negative:
            assert trial.why is not None
            assert trial.why.startswith("Traceback")
            assert "in fragile" in trial.why
            assert trial.why.endswith("RuntimeError: negative widths are not supported")
    assert {trial.outcome for trial in result.trials} == {Outcome.INVALID, Outcome.COMPLETED}


def test_where_nothing_works_the_result_says_why(db: str) -> None:
    def wrong(configuration: Configuration) -> float:
        return float(configuration["learning_rate"])

    result = evenhand.tune(wrong, LINE, direction="maximize", trials=3, db=db, progress=False)
    assert result.best is None
    assert result.configuration is None
    assert "no trial has a value" in repr(result)
    assert "trial 3 was invalid: KeyError: 'learning_rate'" in repr(result)


def test_where_another_metric_is_reported_the_trial_says_which(db: str) -> None:
    def misnamed(configuration: Configuration, run: Run) -> None:
        run.report(epoch=1, loss=1.0, acc=0.5, f1=0.4)

    result = evenhand.tune(misnamed, LINE, direction="maximize", metric="accuracy", trials=1, db=db, progress=False)
    assert "random, 1 trial (1 invalid)" in repr(result)
    assert result.trials[0].why is not None
    assert result.trials[0].why.endswith("it never called run.report(epoch=..., accuracy=...); what it reported is acc, f1")


def test_a_value_that_is_not_finite_is_diverged(db: str) -> None:
    def endless(configuration: Configuration) -> float:
        return float("nan") if configuration.number("x") > 0 else 1.0

    result = evenhand.tune(endless, LINE, direction="maximize", trials=8, db=db, progress=False)
    assert {trial.outcome for trial in result.trials} == {Outcome.DIVERGED, Outcome.COMPLETED}


def test_what_diverged_after_its_best_epoch_is_neither_the_best_nor_chosen(db: str) -> None:
    def train(configuration: Configuration, run: Run) -> None:
        run.report(epoch=1, value=0.9 if configuration.number("x") < 0 else 0.8)
        run.report(epoch=2, value=float("nan") if configuration.number("x") < 0 else 0.8)

    result = evenhand.tune(train, LINE, direction="maximize", trials=6, db=db, progress=False)
    assert {trial.outcome for trial in result.trials} == {Outcome.DIVERGED, Outcome.COMPLETED}
    assert result.best is not None
    assert (result.best.outcome, result.best.value) == (Outcome.COMPLETED, 0.8)
    assert result.configuration == result.best.configuration
    left = Space([Hyperparameter("x", Float(-1, -0.5))])
    nothing = evenhand.tune(train, left, direction="maximize", trials=2, db=db, progress=False)
    assert (nothing.best, nothing.configuration) == (None, None)
    assert "no trial has a value\n" in repr(nothing)
    assert "  trial 2 diverged: value became not a number at the end of epoch 2\n" in repr(nothing)


@pytest.mark.slow
def test_at_the_deadline_the_training_is_stopped(db: str, monkeypatch: pytest.MonkeyPatch) -> None:
    space = Space([*LINE, Hyperparameter("epochs", Integer(1, 1000), default=1000, fidelity=True)])

    ahead = [0.0]
    monkeypatch.setattr(Lab, "connect", lambda url: Lab(Store(url), clock=lambda: time.time() + ahead[0]))

    def slow(configuration: Configuration, run: Run) -> None:
        for epoch in range(1, int(configuration["epochs"]) + 1):
            run.report(epoch=epoch, value=hill(configuration))
            ahead[0] = 3600.0  # the deadline goes by
            time.sleep(0.05)

    result = evenhand.tune(slow, space, direction="maximize", minutes=30, epochs_per_trial=1000, db=db, progress=False)
    (trial,) = result.trials
    assert (trial.outcome, trial.stop_by) == (Outcome.STOPPED, Stopper.DEADLINE)
    assert trial.epochs_done < 1000
    assert result.configuration == trial.configuration


def test_a_training_that_is_silent_for_longer_than_its_lease_keeps_it(db: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EVENHAND_LEASE", "1.5")

    def silent(configuration: Configuration) -> float:
        time.sleep(3)
        return 1.0

    (trial,) = evenhand.tune(silent, LINE, direction="maximize", trials=1, db=db, progress=False).trials
    assert (trial.outcome, trial.attempt) == (Outcome.COMPLETED, 1)


def test_ctrl_c_gives_the_training_back_and_chooses_nothing(db: str) -> None:
    calls: list[float] = []

    def interrupted(configuration: Configuration) -> float:
        calls.append(hill(configuration))
        if len(calls) == 3:
            raise KeyboardInterrupt
        return calls[-1]

    with pytest.raises(KeyboardInterrupt):
        evenhand.tune(interrupted, LINE, direction="maximize", trials=9, db=db, progress=False)
    lab = Lab.connect(db)
    (session,) = lab.sessions.of_study(lab.studies.all()[0].id)
    assert [trial.outcome for trial in session.trials] == [Outcome.COMPLETED, Outcome.COMPLETED, None]
    assert (session.trials[2].claimed_at, session.choice) == (None, None)
    lab.close()


def test_a_training_that_lost_its_lease_is_trained_again(db: str) -> None:
    other = Lab.connect(db)
    calls: list[int] = []

    def lost(configuration: Configuration, run: Run) -> None:
        calls.append(len(calls))
        if len(calls) == 1:  # this machine slept, say, and the server gave the training back
            other.release(1, 1, "not heard of", counts=False)
        for _ in range(200 if len(calls) == 1 else 1):
            run.report(epoch=1, value=hill(configuration))
            time.sleep(0.01)

    result = evenhand.tune(lost, LINE, direction="maximize", trials=2, db=db, progress=False)
    assert [(trial.outcome, trial.attempt) for trial in result.trials] == [(Outcome.COMPLETED, 2), (Outcome.COMPLETED, 1)]
    assert len(calls) == 3
    other.close()


@pytest.mark.slow
def test_trials_train_at_once_where_that_is_asked_for(db: str) -> None:
    together = threading.Barrier(2, timeout=PATIENCE_SECONDS)  # it breaks where a trial trains alone
    before = set(threading.enumerate())

    def meets(configuration: Configuration) -> float:
        together.wait()
        return hill(configuration)

    result = evenhand.tune(meets, LINE, direction="maximize", trials=8, parallel=2, db=db, progress=False)
    assert [trial.outcome for trial in result.trials] == [Outcome.COMPLETED] * 8
    assert result.best is not None
    assert result.best.value == max(trial.value or 0.0 for trial in result.trials)
    lab = Lab.connect(db)
    assert lab.agents.all() == []  # each has said goodbye
    lab.close()
    assert set(threading.enumerate()) <= before


def test_ctrl_c_gives_all_trainings_back_that_go_on(db: str) -> None:
    started, over = threading.Semaphore(0), threading.Event()

    def endless(configuration: Configuration, run: Run) -> None:
        started.release()
        for _ in range(20_000):
            time.sleep(0.01)
            run.report(epoch=1, value=hill(configuration))

    def interrupt() -> None:
        for _ in range(2):
            started.acquire(timeout=PATIENCE_SECONDS)
        while True:  # Python loses one that comes while it collects garbage
            os.kill(os.getpid(), signal.SIGINT)
            if over.wait(60):
                return

    threading.Thread(target=interrupt).start()
    try:
        with pytest.raises(KeyboardInterrupt):
            evenhand.tune(endless, LINE, direction="maximize", trials=9, parallel=2, db=db, progress=False)
    finally:
        over.set()
    lab = Lab.connect(db)
    (session,) = lab.sessions.of_study(lab.studies.all()[0].id)
    assert [(trial.outcome, trial.claimed_at) for trial in session.trials] == [(None, None)] * 2
    assert session.choice is None
    lab.close()


def test_what_a_trainer_ends_with_ends_the_search(db: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: object, **__: object) -> None:
        raise OSError("the disk is full")

    monkeypatch.setattr(Lab, "finish", broken)
    with pytest.raises(OSError, match="the disk is full"):
        evenhand.tune(hill, LINE, direction="maximize", trials=9, parallel=2, db=db, progress=False)


@pytest.mark.slow
def test_ten_seeds_in_threads_score_as_one_after_the_other(db: str) -> None:
    task = tasks.load(TaskSpec("mlp", {"scale": 0.01, "lane": "whole"}))
    assert task.threads
    scores = []
    for number, way in enumerate((task, replace(task, threads=False))):
        evaluation = evenhand.tune(way, trials=6, epochs_per_trial=10, db=f"{db}{number}", progress=False).evaluation
        assert evaluation is not None
        scores.append([score.value for score in evaluation.scores])
    assert scores[0] == scores[1]
    assert None not in scores[0]
    assert len(set(scores[0])) > 1


@pytest.mark.slow
def test_ten_seeds_train_together_where_the_lane_stacks_them(db: str, monkeypatch: pytest.MonkeyPatch) -> None:
    need("torch")
    task = tasks.load(TaskSpec("mlp", {"scale": 0.01, "lane": "stacked"}))
    sizes: list[int] = []

    def counted(members: Sequence[tuple[Configuration, Run]]) -> Sequence[BaseException | None]:
        sizes.append(len(members))
        assert task.together is not None
        return task.together(members)

    scores = []
    for number, group_size in enumerate((lambda _: 4, lambda _: 1)):
        way = replace(task, together=counted, group_size=group_size)
        evaluation = evenhand.tune(way, trials=3, epochs_per_trial=10, db=f"{db}{number}", progress=False).evaluation
        assert evaluation is not None
        scores.append([score.value for score in evaluation.scores])
    assert sizes == [1, 1, 1, 4, 4, 2, 1, 1, 1, *[1] * 10]
    assert scores[0] == scores[1]
    assert None not in scores[0]
    assert task.group_size({"batch_size": 512}) > 1


@pytest.mark.slow
def test_a_script_tunes_its_own_function(tmp_path: Path) -> None:
    script = tmp_path / "mine.py"
    script.write_text(SCRIPT)
    environment = os.environ | {"EVENHAND_DATA": str(tmp_path / "data"), "PYTHONPATH": str(Path(__file__).parents[1])}
    ran = subprocess.run([sys.executable, str(script)], env=environment, capture_output=True, text=True, check=True)
    assert abs(float(ran.stdout) - 0.5) < 0.2
    lab = Lab.connect(f"sqlite:///{tmp_path / 'data' / 'evenhand.sqlite'}")
    (session,) = lab.sessions.of_study(lab.studies.all()[0].id)
    assert len(session.trials) == 15
    assert session.task.spec.name == f"{script}:train"
    lab.close()


def test_an_agent_that_imports_such_a_script_does_not_start_tuning(tmp_path: Path) -> None:
    script = tmp_path / "mine.py"
    script.write_text(SCRIPT)
    with pytest.raises(TaskMissing, match="if __name__"):
        tasks.load(TaskSpec(f"{script}:train"))


def test_wrong_arguments_are_answered_in_words(db: str) -> None:
    def three(a: object, b: object, c: object) -> None: ...

    up: dict[str, Any] = {"direction": "maximize"}
    cases: tuple[tuple[Any, Any, str], ...] = (
        ((train,), {}, "no cap given"),
        ((train, LINE), {"trials": 1}, "has a space of its own"),
        ((hill,), {"trials": 1}, "the function hill comes without a space"),
        ((hill, LINE), {"trials": 1}, "direction is None, expected 'maximize' or 'minimize'"),
        ((three, LINE), {"trials": 1, **up}, "missing a required argument: 'c'"),
        ((hill, LINE), {"trials": "3", **up}, "budget: trials is '3', expected a whole number from 1"),
        ((hill, LINE), {"trials": 2.5, **up}, "budget: trials is 2.5, expected"),
        ((hill, LINE), {"trials": float("nan"), **up}, "budget: trials is nan, expected"),
        ((hill, LINE), {"trials": float("inf"), **up}, "budget: trials is inf, expected"),
        ((hill, LINE), {"trials": -1, **up}, "budget: trials is -1, expected"),
        (
            (hill, LINE),
            {"trials": 2**63, **up},
            r"9223372036854775808, expected a whole number from 1 to 2\^63 - 1",
        ),
        ((hill, LINE), {"trials": True, **up}, "budget: trials is True, expected"),
        ((hill, LINE), {"epochs": 1.5, **up}, "budget: epochs is 1.5, expected"),
        ((hill, LINE), {"minutes": "3", **up}, "budget: minutes is '3', expected a finite number above 0"),
        ((hill, LINE), {"minutes": float("nan"), **up}, "budget: minutes is nan, expected"),
        ((hill, LINE), {"minutes": 1e308, **up}, "budget: seconds is inf, expected"),
        ((hill, LINE), {"trials": 1, "parallel": "2", **up}, "budget: parallel is '2', expected"),
        ((hill, LINE), {"trials": 1, "parallel": 0, **up}, "budget: parallel is 0, expected"),
        ((hill, LINE), {"trials": 1, "seed": "1", **up}, "seed is '1', expected a whole number"),
        (
            (hill, LINE),
            {"trials": 1, "seed": 2**64, **up},
            r"expected a whole number from -2\^63 to 2\^63 - 1",
        ),
        ((hill, LINE), {"trials": 1, "metric": "step", **up}, "such as 'final_step'"),
        ((train,), {"trials": 1, "epochs_per_trial": 1.5}, "epochs_per_trial is 1.5, expected"),
        ((3, LINE), {"trials": 1}, "got a int, expected a task or a function"),
        ((train,), {"trials": 1, "method": "rand"}, "expected one of grid, random, sobol, tpe"),
        ((train,), {"trials": 1, "trails": 2}, "'trails' is unknown"),
    )
    for arguments, settings, message in cases:
        with pytest.raises(InvalidSettings, match=message):
            evenhand.tune(*arguments, db=db, progress=False, **settings)
    assert not Path(db.removeprefix("sqlite:///")).exists()


def test_until_alone_is_a_budget_and_what_is_none_is_refused(db: str) -> None:
    result = evenhand.tune(lambda c: 1.0, {"x": Float(0, 1)}, direction="maximize", until="0 in 3", db=db, progress=False)
    assert len(result.trials) == 4  # the first value, and three that are no better
    assert result.session.budget.until is not None
    with pytest.raises(InvalidSettings, match=r"until is 'nan in 3', expected 'X in N'"):
        evenhand.tune(lambda c: 1.0, {"x": Float(0, 1)}, direction="maximize", until="nan in 3", db=db, progress=False)
    with pytest.raises(InvalidSettings, match="in a comparison all have the same to spend"):
        compare.ComparisonPlan((TaskSpec("points"),), (), (1,), replace(result.session.budget))
    with closing(Lab.connect(db)) as lab, pytest.raises(Refused, match="in a study all have the same to spend"):
        lab.sessions.open(result.session.study_id, tuner="random", budget=result.session.budget)


@pytest.mark.parametrize("space", [{"x": [0.25, 0.5]}, [Hyperparameter("x", Float(0, 1))], {"x": Float(0, 1)}])
def test_numbers_of_numpy_and_what_a_space_is_made_of_are_taken(db: str, space: Any) -> None:
    options: dict[str, Any] = {"trials": np.int64(2), "parallel": np.int8(1), "seed": np.int64(3), "method": "tpe"}
    result = evenhand.tune(hill, space, direction="maximize", startup=np.int64(1), db=db, progress=False, **options)
    again = evenhand.tune(hill, space, direction="maximize", startup=1, trials=2, seed=3, method="tpe", db=db, progress=False)
    assert [trial.configuration for trial in result.trials] == [trial.configuration for trial in again.trials]
    assert result.session.budget == again.session.budget
    assert result.session.method == again.session.method


def test_a_space_that_is_none_is_refused(db: str) -> None:
    for space in ({"x": "wide"}, ["x"], "x", {}):
        with pytest.raises(InvalidSpace):
            evenhand.tune(hill, space, direction="maximize", trials=1, db=db, progress=False)  # type: ignore[arg-type]
    assert not Path(db.removeprefix("sqlite:///")).exists()


@pytest.mark.slow
def test_trainings_at_once_in_a_fresh_process_meet_no_half_imported_pytorch(tmp_path: Path) -> None:
    need("torch")
    script = tmp_path / "mine.py"
    script.write_text(
        "import sys\nimport evenhand\nfrom evenhand import tasks\n"
        'task = tasks.load(evenhand.TaskSpec("black-magic", {"data": "digits", "size": 32, "max_epochs": 2}))\n'
        'assert "torch" not in sys.modules\n'
        'one = {"epochs": 1, "batch_size": 512, "loss": "cross_entropy", "optimizer": "sgd"}\n'
        'fixed = [{**one, "learning_rate": 0.01 + at / 100} for at in range(2)]\n'
        "given = {'method': 'manual', 'configurations': fixed, 'trials': 2, 'parallel': 2}\n"
        "found = evenhand.tune(task, **given, evaluate=False, progress=False)\n"
        "print(*(str(trial.outcome) for trial in found.trials))\n"
    )
    environment = os.environ | {"EVENHAND_DATA": str(tmp_path / "data"), "PYTHONPATH": str(Path(__file__).parents[1])}
    ran = subprocess.run([sys.executable, str(script)], env=environment, capture_output=True, text=True, check=True)
    assert ran.stdout.split() == ["completed", "completed"]


class Leaves(BaseException):
    """Not an Exception."""

    def __str__(self) -> str:
        return "gone \udcff"


@pytest.mark.parametrize("parallel", [1, 2])
@pytest.mark.parametrize("error", [Leaves(), SystemExit(2), GeneratorExit(), ExceptionGroup("two", [ValueError("a")])])
def test_an_exception_of_any_kind_ends_its_trial_and_not_the_search(db: str, error: BaseException, parallel: int) -> None:
    def fragile(configuration: Configuration) -> float:
        if configuration.number("x") < 0:
            raise error
        return hill(configuration)

    result = evenhand.tune(fragile, LINE, direction="maximize", trials=6, parallel=parallel, db=db, progress=False)
    assert {trial.outcome for trial in result.trials} == {Outcome.INVALID, Outcome.COMPLETED}
    assert all(
        type(error).__name__ in str(trial.why) or "ValueError: a" in str(trial.why) for trial in result.trials if trial.why
    )
    assert result.session.choice is not None
    assert repr(result)


@pytest.mark.slow
@pytest.mark.needs("fork")
def test_a_forked_child_never_goes_on_tuning(db: str, tmp_path: Path) -> None:
    def forks(configuration: Configuration) -> float:
        child = os.fork()
        if child:
            os.waitpid(child, 0)
        return hill(configuration)

    result = evenhand.tune(forks, LINE, direction="maximize", trials=3, db=db, progress=False)
    (tmp_path / f"after {os.getpid()}").touch()
    assert [trial.outcome for trial in result.trials] == [Outcome.COMPLETED] * 3
    assert len(list(tmp_path.glob("after*"))) == 1


def test_a_prior_s_number_of_numpy_is_taken() -> None:
    assert type(Prior(np.int64(3)).value) is int  # type: ignore[arg-type]


def test_an_unknown_public_name_lists_the_known_ones() -> None:
    with pytest.raises(AttributeError, match="its public names are BaseMethod, Card, Choice, Condition"):
        _ = evenhand.tunes
    assert "tune" in dir(evenhand)


def test_what_is_believed_is_recorded_before_the_clock_starts_and_used(db: str) -> None:
    priors = {"x": Prior(0.5, "high")}
    result = evenhand.tune(
        hill, LINE, direction="maximize", method="pibo", priors=priors, trials=3, db=db, progress=False, evaluate=False
    )
    (believed,) = result.session.interventions
    assert (believed.kind, believed.who) == ("believes", "evenhand.tune")
    assert believed.detail["x"]["value"] == 0.5
    assert result.session.started_at is not None
    assert believed.at <= result.session.started_at
    assert not result.session.is_joint
    assert result.trials[0].configuration["x"] == 0.5
    assert "from your prior" in result.trials[0].explanation


@pytest.mark.parametrize(
    ("priors", "message"),
    [
        ({"y": Prior(0.5)}, "there is no hyperparameter 'y'; expected one of x"),
        ({"x": Prior(5.0)}, "5.0 is not a number from -1 to 1"),
        ({"x": Prior(0.5, "sure")}, "confidence 'sure', expected low, medium or high"),  # type: ignore[arg-type]
        ({"x": 0.5}, "expected a Prior"),
    ],
)
def test_a_wrong_prior_is_answered_before_anything_is_stored(db: str, priors: dict[str, Prior], message: str) -> None:
    with pytest.raises(InvalidSpace, match=message):
        evenhand.tune(hill, LINE, direction="maximize", method="pibo", priors=priors, trials=3, db=db, progress=False)
    assert not Path(db.removeprefix("sqlite:///")).exists()
