"""Scripts of Optuna run unchanged but for the import, and each study is an exploratory session with an open space."""

import inspect
import math
import os
import pickle
import random
import signal
import subprocess
import sys
import textwrap
import threading
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np
import optuna as plain_optuna
import pytest
from optuna.trial import FrozenTrial, TrialState

import evenhand
from evenhand import Choice, Condition, Float, Integer, Outcome
from evenhand import optuna_compat as optuna
from evenhand.errors import InvalidSettings, InvalidSpace, Refused
from evenhand.exchange.optuna import export_session
from evenhand.experiments import optuna_compat
from evenhand.experiments.optuna_compat import LabStorage, Study
from evenhand.experiments.optuna_records import packed, unpacked
from evenhand.lab.lab import Lab
from evenhand.model import rules
from evenhand.model.session import Session, State
from evenhand.model.space import Space
from evenhand.model.state_words import how_to_go_on
from evenhand.model.trial import Stopper
from evenhand.web.access import Role
from tests.exported import bring, write
from tests.labs import toy_study
from tests.waiting import PATIENCE_SECONDS, wait_for
from tests.web import toy_site

LAYERS: list[Any] = [(64,), (64, 32), None]  # Optuna's types know no tuples as choices, its code does
FUNCTIONS: list[Any] = [math.sin, math.cos]


@pytest.fixture(autouse=True)
def db(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    url = f"sqlite:///{tmp_path / 'lab.sqlite'}"
    monkeypatch.setenv("EVENHAND_DB", url)
    plain_optuna.logging.set_verbosity(plain_optuna.logging.ERROR)
    yield url
    optuna_compat._storage_at(url).close()
    plain_optuna.logging.set_verbosity(plain_optuna.logging.INFO)


def as_restarted(db: str) -> None:
    """What a new process would find: the storage of this one left in order."""
    optuna_compat._storage_at(db).close()
    optuna_compat._storage_at.cache_clear()


def session_of(study: Study) -> Session:
    return study._lab_storage.session_of(study.session_id)


def events(db: str, session_id: int, kind: str) -> list[Any]:
    with closing(Lab.connect(db)) as lab:
        return [event for event in lab.sessions.events(session_id) if event.kind == kind]


def branched(trial: optuna.Trial) -> float:
    """Conditional, of every kind of value, with reports."""
    x = trial.suggest_float("x", -10, 10)
    kind = trial.suggest_categorical("kind", ["svc", "forest"])
    layers = trial.suggest_categorical("layers", LAYERS)
    more = trial.suggest_int("depth", 1, 5) if kind == "forest" else trial.suggest_float("c", 1e-5, 1.0, log=True)
    for step in range(3):
        trial.report(x * x + 3 - step, step)
        if trial.should_prune():
            raise optuna.TrialPruned
    trial.set_user_attr("accuracy", 0.5)
    trial.set_user_attr("note", {"layers": layers})
    return x * x + more


def facts(trial: FrozenTrial) -> tuple[Any, ...]:
    return (
        *(trial.number, trial.state, trial.values, trial.params, trial.distributions, trial.user_attrs, trial.system_attrs),
        *(trial.intermediate_values, trial._trial_id),
    )


@pytest.mark.slow
def test_a_study_gives_what_it_gives_in_optuna() -> None:
    sampler = plain_optuna.samplers.TPESampler
    theirs = plain_optuna.create_study(sampler=sampler(seed=3))
    theirs.optimize(branched, n_trials=25)
    ours = optuna.create_study(sampler=sampler(seed=3))
    ours.optimize(branched, n_trials=25)
    assert [facts(trial)[:-1] for trial in ours.trials] == [facts(trial)[:-1] for trial in theirs.trials]
    assert (ours.best_trial.number, ours.best_value, ours.best_params) == (
        theirs.best_trial.number,
        theirs.best_value,
        theirs.best_params,
    )
    assert {trial.state for trial in ours.trials} == {TrialState.COMPLETE, TrialState.PRUNED}
    frames = [study.trials_dataframe(("number", "value", "params", "user_attrs", "state")) for study in (ours, theirs)]
    assert frames[0].equals(frames[1])


@pytest.mark.slow
def test_its_trials_are_a_sessions(db: str) -> None:
    study = optuna.create_study(study_name="branches", sampler=optuna.samplers.RandomSampler(seed=1))
    study.optimize(branched, n_trials=20)
    record = evenhand.session("branches", db).record
    assert (record.purpose, record.tuner, record.space.is_open, record.task.direction) == (
        "exploratory",
        "optuna",
        True,
        "minimize",
    )
    assert record.space["x"].domain == Float(-10, 10)
    assert record.space["layers"].domain == Choice(((64,), (64, 32), None))
    assert record.space["depth"].domain == Integer(1, 5)
    assert record.space["depth"].condition == Condition("kind", ("forest",))
    assert record.space["c"].condition == Condition("kind", ("svc",))
    for trial, theirs in zip(record.trials, study.trials, strict=True):
        assert dict(trial.configuration) == theirs.params
        assert trial.configuration == record.space.configuration(trial.configuration)
        assert trial.outcome is (Outcome.COMPLETED if theirs.state == TrialState.COMPLETE else Outcome.STOPPED)
        assert trial.value == (
            theirs.value if theirs.state == TrialState.COMPLETE else theirs.intermediate_values[theirs.last_step or 0]
        )
        assert trial.epochs_done == (theirs.last_step or 0) + 1
        assert trial.extra == ({"accuracy": 0.5} if theirs.state == TrialState.COMPLETE else {})
    table = evenhand.session("branches", db).trials
    assert list(table["kind"]) == [trial.params["kind"] for trial in study.trials]
    grown = events(db, record.id, "grew")
    assert [event.detail["revision"] for event in grown] == list(range(1, len(grown) + 1))
    assert Space.from_json(grown[-1].detail["space"]) == record.space
    assert {trial.revision for trial in record.trials} == {0, *range(1, len(grown) + 1)} - {0}


def test_a_range_that_differs_widens_the_domain_and_keeps_the_version(db: str) -> None:
    study = optuna.create_study(study_name="wider")
    study.optimize(lambda trial: trial.suggest_float("x", 0, 1), n_trials=1)
    before = session_of(study)
    study.optimize(lambda trial: trial.suggest_float("x", -1, 5) + trial.suggest_int("n", 1, 2), n_trials=1)
    after = session_of(study)
    assert (before.space["x"].domain, after.space["x"].domain) == (Float(0, 1), Float(-1, 5))
    assert before.task.version == after.task.version
    assert [trial.revision for trial in after.trials] == [1, 2]
    assert after.trials[0].configuration["has_n"] == "no"  # by the space of now: the trial itself asked for x alone
    assert [dict(event.detail["space"])["hyperparameters"][0]["domain"]["low"] for event in events(db, after.id, "grew")] == [
        0,
        -1,
    ]


def test_a_trial_that_trains_shows_what_it_has_asked_for() -> None:
    study = optuna.create_study()
    study.optimize(lambda trial: trial.suggest_float("x", 0, 1), n_trials=1)
    trial = study.ask()
    assert dict(session_of(study).trials[1].configuration) == {}
    x = trial.suggest_float("x", 0, 2)
    trial.suggest_float("new", 0, 1)  # which no space says yet
    shown = session_of(study).trials[1]
    assert shown.is_open
    assert dict(shown.configuration) == ({"x": x} if x <= 1 else {})
    trial.report(0.5, 0)
    assert session_of(study).trials[1].value == 0.5
    study.tell(trial, 0.25)
    ended = session_of(study).trials[1]
    assert (ended.value, set(ended.configuration), ended.revision) == (0.25, {"x", "has_new", "new"}, 2)


@pytest.mark.slow
@pytest.mark.kill
def test_signals_at_any_moment_lose_and_double_no_trial(db: str, tmp_path: Path) -> None:
    script = """
        import time
        from evenhand import optuna_compat as optuna

        def objective(trial):
            x, n = trial.suggest_float("x", -10, 10), trial.suggest_int("n", 1, 3)
            for step in range(n):
                time.sleep(0.002)
                trial.report(x * n, step)
            return x * n

        study = optuna.create_study(study_name="often", load_if_exists=True, sampler="random", pruner="nop")
        left = 120 - sum(trial.state.is_finished() for trial in study.trials)
        print("begun", flush=True)
        study.optimize(objective, n_trials=left)
    """
    path, rng = tmp_path / "script.py", random.Random(5)
    path.write_text(textwrap.dedent(script), encoding="utf-8")
    given = {**os.environ, "EVENHAND_DB": db}
    for turn in range(9):
        process = subprocess.Popen(
            [sys.executable, str(path)], env=given, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )
        assert process.stdout is not None
        assert process.stdout.readline() == "begun\n"
        time.sleep(rng.uniform(0.05, 0.5))
        number = (signal.SIGKILL, signal.SIGINT, signal.SIGTERM)[turn % 3]
        process.send_signal(number)
        _, said = process.communicate(timeout=PATIENCE_SECONDS)
        assert (
            process.returncode in {signal.SIGKILL: {-9, 0}, signal.SIGINT: {-2, 1, 130, 0}, signal.SIGTERM: {143, -15, 0}}[number]
        ), said
    subprocess.run([sys.executable, str(path)], env=given, check=True, capture_output=True)
    study = optuna.load_study(study_name="often")
    assert [trial.number for trial in study.trials] == list(range(120))
    record = session_of(study)
    assert [trial.outcome for trial in record.trials] == [Outcome.COMPLETED] * 120
    assert any(trial.attempt > 1 for trial in record.trials), "no training was cut off, so nothing was tested"
    for trial, theirs in zip(record.trials, study.trials, strict=True):
        assert trial.value == theirs.value == theirs.params["x"] * theirs.params["n"]
        assert list(theirs.intermediate_values) == list(range(theirs.params["n"]))
        assert dict(trial.configuration) == theirs.params


@pytest.mark.slow
def test_a_killed_study_goes_on(db: str, tmp_path: Path) -> None:
    script = """
        import os, signal
        from evenhand import optuna_compat as optuna

        def objective(trial):
            x = trial.suggest_float("x", -10, 10)
            layers = trial.suggest_categorical("layers", [(64,), (64, 32), None])
            trial.report(x, 0)
            trial.report(float("inf"), 1)
            trial.set_user_attr("seen", [1, (2, 3)])
            if trial.number == 4:
                os.kill(os.getpid(), signal.SIGKILL)
            return x * x

        study = optuna.create_study(study_name="killed", direction="maximize")
        study.set_user_attr("who", ("me", 1.5))
        study.enqueue_trial({"x": 3.0})
        study.enqueue_trial({"x": 4.0})
        study.optimize(objective, n_trials=10)
    """
    path = tmp_path / "script.py"
    path.write_text(textwrap.dedent(script), encoding="utf-8")
    ended = subprocess.run([sys.executable, str(path)], env={**os.environ, "EVENHAND_DB": db}, capture_output=True, check=False)
    assert ended.returncode == -signal.SIGKILL, ended.stderr
    left = evenhand.session("killed", db).record
    assert [trial.outcome for trial in left.trials] == [Outcome.COMPLETED] * 4 + [None]
    loaded = optuna.load_study(study_name="killed")
    assert (loaded.user_attrs, loaded.direction.name, len(loaded.trials)) == ({"who": ("me", 1.5)}, "MAXIMIZE", 5)
    assert loaded.trials[0].params["x"] == 3.0
    assert loaded.trials[4].state == TrialState.RUNNING  # it was only looked at
    study = optuna.create_study(study_name="killed", load_if_exists=True, direction="maximize")
    asked: list[dict[str, Any]] = []

    def objective(trial: optuna.Trial) -> float:
        x = trial.suggest_float("x", -10, 10)
        layers = trial.suggest_categorical("layers", LAYERS)
        asked.append({"x": x, "layers": layers})
        return x * x

    study.optimize(objective, n_trials=3)
    assert [trial.number for trial in study.trials] == list(range(7))
    assert all(trial.state == TrialState.COMPLETE for trial in study.trials)
    assert study.trials[3].intermediate_values == {0: study.trials[3].params["x"], 1: math.inf}
    assert study.trials[3].user_attrs == {"seen": [1, (2, 3)]}
    assert study.trials[4].params == asked[0]
    assert asked[0]["x"] == loaded.trials[4].params["x"]
    assert asked[0] == loaded.trials[4].params  # the one that was interrupted is trained again, as it was
    assert study.trials[4].intermediate_values == {}
    record = session_of(study)
    assert [trial.attempt for trial in record.trials] == [1, 1, 1, 1, 2, 1, 1]


@pytest.mark.slow
@pytest.mark.parametrize("sampler", ["tpe", "random", "cmaes", "nsgaii"])
def test_what_is_read_again_is_what_was_stored(sampler: str, db: str) -> None:
    ways: list[Any] = ["minimize", "maximize"][: 1 + (sampler == "nsgaii")]
    study = optuna.create_study(study_name="again", sampler=sampler, directions=ways)

    def objective(trial: optuna.Trial) -> Any:
        x, y = trial.suggest_float("x", 0, 1, step=0.25), trial.suggest_int("n", 1, 100, log=True)
        trial.suggest_categorical("c", [None, True, 1.5, "a"])
        if sampler == "nsgaii":
            return x, y
        for step in (5, 6, 9):
            trial.report(y * 1.0 if step != 6 else math.nan, step)
        return x + y

    study.optimize(objective, n_trials=12)
    study.set_metric_names(["loss", "gain"][: len(study.directions)])
    study.add_trial(plain_optuna.trial.create_trial(state=TrialState.FAIL, params={}, distributions={}))
    before, attributes = [facts(trial) for trial in study.trials], study._storage.get_study_system_attrs(study._study_id)
    as_restarted(db)
    again = optuna.load_study(study_name="again")
    after = [facts(trial) for trial in again.trials]
    assert repr(after) == repr(before)  # nan is no equal of itself
    assert again._storage.get_study_system_attrs(again._study_id) == attributes
    assert again.metric_names == ["loss", "gain"][: len(study.directions)]
    assert session_of(again).task.metric == "loss"
    again.optimize(objective, n_trials=3)
    assert len(again.trials) == 16


def test_a_trial_that_waits_with_values_asks_for_them_when_it_begins(db: str) -> None:
    study = optuna.create_study(study_name="given")
    given = plain_optuna.trial.create_trial(
        state=TrialState.WAITING, params={"x": 0.25}, distributions={"x": plain_optuna.distributions.FloatDistribution(0, 1)}
    )
    study.add_trials([given, given])
    study.optimize(lambda trial: trial.suggest_float("x", 0, 1), n_trials=1)
    as_restarted(db)
    study = optuna.load_study(study_name="given")
    assert [(trial.state, trial.params) for trial in study.trials] == [
        (TrialState.COMPLETE, {"x": 0.25}),
        (TrialState.WAITING, {}),
    ]
    study.optimize(lambda trial: trial.suggest_float("x", 0, 1), n_trials=1)
    assert [trial.params for trial in study.trials] == [{"x": 0.25}] * 2
    assert [dict(trial.configuration) for trial in session_of(study).trials] == [{"x": 0.25}] * 2


def test_outcomes_and_reasons() -> None:
    def objective(trial: optuna.Trial) -> Any:
        trial.suggest_float("x", 0, 1)
        if trial.number == 1:
            raise ValueError("no such luck")
        if trial.number == 2:
            return math.inf
        if trial.number == 3:
            return math.nan
        if trial.number == 4:
            raise optuna.TrialPruned
        return 1.0

    study = optuna.create_study()
    study.optimize(objective, n_trials=5, catch=(ValueError,))
    states = [trial.state.name for trial in study.trials]
    assert states == ["COMPLETE", "FAIL", "COMPLETE", "FAIL", "PRUNED"]
    trials = session_of(study).trials
    assert [trial.outcome for trial in trials] == ["completed", "invalid", "diverged", "invalid", "stopped"]
    assert "ValueError: no such luck" in (trials[1].why or "")
    assert 'raise ValueError("no such luck")' in (trials[1].why or "")
    assert trials[2].why == "the value became inf"
    assert trials[3].why == "its program told no value, or one that is no number"
    assert trials[4].stop_by is Stopper.RULE


def test_an_error_ends_the_call_and_the_study_goes_on() -> None:
    study = optuna.create_study()

    def objective(trial: optuna.Trial) -> float:
        trial.suggest_float("x", 0, 1)
        if trial.number == 0:
            raise RuntimeError("once")
        return 1.0

    with pytest.raises(RuntimeError, match="once"):
        study.optimize(objective, n_trials=2)
    study.optimize(objective, n_trials=2)
    assert [trial.state.name for trial in study.trials] == ["FAIL", "COMPLETE", "COMPLETE"]


def test_ctrl_c_gives_the_trial_back(capsys: pytest.CaptureFixture[str]) -> None:
    study = optuna.create_study(study_name="stopped by hand")
    asked = []

    def objective(trial: optuna.Trial) -> float:
        asked.append(trial.suggest_float("x", 0, 1))
        if len(asked) == 2:
            os.kill(os.getpid(), signal.SIGINT)
            threading.Event().wait(10)
        return 1.0

    with pytest.raises(KeyboardInterrupt):
        study.optimize(objective, n_trials=3)
    said = capsys.readouterr().err
    assert "Interrupted: session" in said
    assert "'stopped by hand' (load_if_exists=True)" in said
    left = session_of(study)
    assert (left.process, left.choice, [trial.outcome for trial in left.trials]) == (None, None, [Outcome.COMPLETED, None])
    study.optimize(objective, n_trials=2)
    assert asked[2] == asked[1]
    assert [trial.state.name for trial in study.trials] == ["COMPLETE"] * 3


def test_a_stop_on_the_page_prunes() -> None:
    study = optuna.create_study(pruner=optuna.pruners.NopPruner())

    def objective(trial: optuna.Trial) -> float:
        trial.suggest_float("x", 0, 1)
        lab = study._lab_storage.lab
        for step in range(1_000):
            if step == 2:
                lab.sessions.stop_trial(study.session_id, 1, "somebody")
            trial.report(step, step)
            time.sleep(0.01)  # it measures more than is sent at once
        return 1.0

    study.optimize(objective, n_trials=1)
    last = study.trials[0].last_step
    assert last is not None
    assert 2 <= last < 999
    assert (study.trials[0].state, study.trials[0].value) == (TrialState.PRUNED, last)
    stopped = session_of(study).trials[0]
    assert (stopped.outcome, stopped.stop_by, stopped.value) == (Outcome.STOPPED, Stopper.RESEARCHER, last)


def test_threads_share_a_study() -> None:
    study = optuna.create_study()
    study.optimize(lambda trial: trial.suggest_float("x", 0, 1) + trial.suggest_int("n", 0, 3), n_trials=12, n_jobs=3)
    assert sorted(trial.number for trial in study.trials) == list(range(12))
    assert [trial.outcome for trial in session_of(study).trials] == [Outcome.COMPLETED] * 12


def test_a_process_that_ends_in_order_leaves_its_best_trial_chosen(db: str) -> None:
    study = optuna.create_study(study_name="ended")
    study.optimize(lambda trial: trial.suggest_float("x", 0, 1), n_trials=4)
    as_restarted(db)
    record = evenhand.session("ended", db).record
    assert record.choice is not None
    assert record.process is None
    assert record.choice.trial_id == study_best(record)
    again = optuna.create_study(study_name="ended", load_if_exists=True)
    again.optimize(lambda trial: trial.suggest_float("x", 0, 1), n_trials=1)
    record = session_of(again)
    assert (record.choice, len(record.earlier_choices), len(record.trials)) == (None, 1, 5)
    assert rules.state_of(record, 0) is State.TUNING


def study_best(record: Session) -> int:
    return min(record.trials, key=lambda trial: trial.value or 0.0).id


def test_several_objectives(db: str) -> None:
    study = optuna.create_study(study_name="front", directions=["minimize", "maximize"])
    study.set_metric_names(["loss", "speed"])
    study.optimize(lambda trial: (trial.suggest_float("x", 0, 1), trial.suggest_float("y", 0, 1)), n_trials=6)
    record = session_of(study)
    assert (record.task.metric, [(metric.name, metric.direction) for metric in record.task.further]) == (
        "loss",
        [("speed", "maximize")],
    )
    for trial, theirs in zip(record.trials, study.trials, strict=True):
        assert [trial.value, trial.extra["speed"]] == theirs.values
    assert study.best_trials
    with pytest.raises(RuntimeError):
        study.best_trial  # noqa: B018 - it is the reading of it that raises
    as_restarted(db)
    assert evenhand.session("front", db).record.choice is None  # which of a front is best is for a person to say


@pytest.mark.slow
def test_names(db: str) -> None:
    study = optuna.create_study(study_name="one")
    assert study.session_id == evenhand.session("one", db).record.id
    with pytest.raises(optuna.exceptions.DuplicatedStudyError, match="Another study with study_name='one'"):
        optuna.create_study(study_name="one")
    with pytest.raises(InvalidSettings, match="name is ' '"):
        optuna.create_study(study_name=" ")
    with pytest.raises(KeyError):
        optuna.load_study(study_name="two")
    assert optuna.create_study(study_name="one", load_if_exists=True).session_id == study.session_id
    assert optuna.load_study(study_name=None).study_name == "one"
    evenhand.tune(lambda configuration: configuration["x"], {"x": [1, 2]}, trials=1, direction="minimize", db=db, name="tuned")
    with pytest.raises(Refused, match=r"session 2 \('tuned'\) is no study of Optuna: its space is fixed"):
        optuna.load_study(study_name="tuned")
    unnamed = optuna.create_study()
    assert unnamed.study_name.startswith("no-name-")
    assert optuna.get_all_study_names() == ["one", unnamed.study_name]
    assert [(summary.study_name, summary.n_trials) for summary in optuna.get_all_study_summaries()] == [
        ("one", 0),
        (unnamed.study_name, 0),
    ]


def test_a_study_can_be_deleted_and_copied(db: str) -> None:
    study = optuna.create_study(study_name="first", direction="maximize")
    study.set_user_attr("a", 1)
    study.optimize(lambda trial: trial.suggest_float("x", 0, 1), n_trials=3)
    optuna.copy_study(from_study_name="first", to_study_name="second")
    copy = optuna.load_study(study_name="second")
    assert [trial.params for trial in copy.trials] == [trial.params for trial in study.trials]
    assert (copy.user_attrs, copy.best_value) == ({"a": 1}, study.best_value)
    assert [trial.value for trial in session_of(copy).trials] == [trial.value for trial in study.trials]
    optuna.delete_study(study_name="first")
    assert optuna.get_all_study_names() == ["second"]
    with pytest.raises(KeyError):
        optuna.load_study(study_name="first")
    with pytest.raises(KeyError):
        study.trials  # noqa: B018 - it is the reading of it that raises
    assert optuna.create_study(study_name="first").trials == []
    with closing(Lab.connect(db)) as lab:
        assert lab.sessions.get(1).trials == ()


def test_what_cannot_be_stored_is_kept_in_this_process_and_said(db: str) -> None:
    study = optuna.create_study(study_name="odd")

    def objective(trial: optuna.Trial) -> float:
        function = trial.suggest_categorical("function", FUNCTIONS)
        trial.set_user_attr("model", object())
        return float(function(1.0))

    with pytest.warns(UserWarning, match="kept in this process only"):
        study.optimize(objective, n_trials=2)
    assert study.best_params["function"] in (math.sin, math.cos)
    assert study.trials[0].user_attrs.keys() == {"model"}
    labels = tuple(str(function) for function in (math.sin, math.cos))
    assert session_of(study).space["function"].domain == Choice(labels)
    as_restarted(db)
    assert optuna.load_study(study_name="odd").trials[0].params["function"] in labels


def test_numbers_of_numpy_are_taken_for_pythons_own() -> None:
    study = optuna.create_study()
    choices: list[Any] = [np.float64(1.5), np.int64(3), "a"]

    def objective(trial: optuna.Trial) -> float:
        trial.set_user_attr("size", np.int64(3))
        trial.report(np.float32(0.5), int(np.int64(1)))  # type: ignore[arg-type]
        return float(trial.suggest_float("x", np.float64(0), np.float64(1)) + (trial.suggest_categorical("c", choices) == "a"))

    study.optimize(objective, n_trials=6)
    record = session_of(study)
    assert record.space["c"].domain == Choice((1.5, 3, "a"))
    assert [trial.configuration["c"] for trial in record.trials] == [trial.params["c"] for trial in study.trials]
    assert {type(trial.configuration["c"]) for trial in record.trials} <= {float, int, str}
    assert {trial.extra["size"] for trial in record.trials if trial.outcome is Outcome.COMPLETED} == {3.0}


def test_numbers_that_no_space_holds_are_refused_where_they_are_asked_for() -> None:
    study = optuna.create_study()
    with pytest.raises(InvalidSpace, match="18446744073709551616"):
        study.optimize(lambda trial: trial.suggest_int("n", 0, 2**64), n_trials=1)
    with pytest.raises(ValueError, match="dynamic value space"):
        study.optimize(lambda trial: trial.suggest_categorical("c", [trial.number, "a"]) == "a", n_trials=3)


def test_samplers_and_pruners_by_name() -> None:
    study = optuna.create_study(sampler="cmaes", pruner="hyperband")
    assert isinstance(study.sampler, plain_optuna.samplers.CmaEsSampler)
    assert isinstance(study.pruner, plain_optuna.pruners.HyperbandPruner)
    with pytest.raises(InvalidSettings, match=r"sampler 'grid': expected one of .*random.*, or one of optuna.samplers"):
        optuna.create_study(sampler="grid")
    with pytest.raises(InvalidSettings, match=r"pruner 'medium': expected one of .*median"):
        optuna.create_study(pruner="medium")


def test_another_storage_is_not_used_and_said(tmp_path: Path) -> None:
    with pytest.warns(UserWarning, match=r"storage 'sqlite:///.*' is not used: trials are kept in the laboratory's database"):
        optuna.create_study(study_name="s", storage=f"sqlite:///{tmp_path / 'optuna.db'}")
    assert not (tmp_path / "optuna.db").exists()
    with pytest.warns(UserWarning, match="storage 'InMemoryStorage' is not used"):
        optuna.load_study(study_name="s", storage=plain_optuna.storages.InMemoryStorage())
    storage = LabStorage(f"sqlite:///{tmp_path / 'other.sqlite'}")
    assert optuna.create_study(study_name="s", storage=storage).session_id == 1
    storage.close()


@pytest.mark.slow
def test_one_process_at_a_time(db: str) -> None:
    study = optuna.create_study(study_name="shared")
    study.optimize(lambda trial: trial.suggest_float("x", 0, 1), n_trials=1)
    script = """
        from evenhand import optuna_compat as optuna
        study = optuna.load_study(study_name="shared")
        print(len(study.trials), study.best_value)
        try:
            study.ask()
        except Exception as error:
            print(type(error).__name__, error)
    """
    given = {**os.environ, "EVENHAND_DB": db}
    ended = subprocess.run([sys.executable, "-c", textwrap.dedent(script)], env=given, capture_output=True, text=True, check=True)
    first, second = ended.stdout.strip().splitlines()
    assert first == f"1 {study.best_value}"
    assert second.startswith(f"Refused session 1 is being tuned now, by process {os.getpid()} on ")
    assert len(study.trials) == 1


def test_another_process_sees_what_is_new(db: str) -> None:
    study, reading = optuna.create_study(study_name="seen"), LabStorage(db)
    watcher = optuna.load_study(study_name="seen", storage=reading)
    study.optimize(lambda trial: trial.suggest_float("x", 0, 1), n_trials=2)
    assert len(watcher.trials) == 2
    study.set_user_attr("a", 1)
    study.optimize(lambda trial: trial.suggest_float("x", 0, 1), n_trials=1)
    assert (len(watcher.trials), watcher.user_attrs) == (3, {"a": 1})
    reading.close()


def test_a_study_can_be_pickled() -> None:
    study = optuna.create_study(study_name="kept")
    study.optimize(lambda trial: trial.suggest_float("x", 0, 1), n_trials=2)
    again = pickle.loads(pickle.dumps(study))
    assert [facts(trial) for trial in again.trials] == [facts(trial) for trial in study.trials]
    again._lab_storage.close()


def test_only_its_program_changes_an_open_session(db: str) -> None:
    study = optuna.create_study()
    study.optimize(lambda trial: trial.suggest_float("x", 0, 1), n_trials=1)
    record = session_of(study)
    with closing(Lab.connect(db)) as lab:
        for refused in (
            lambda: lab.submit(record.id, {"x": 0.5}),
            lambda: lab.interventions.reshape(record.id, {"x": {"low": 0.2}}, who="somebody"),
            lambda: lab.interventions.take_over(record.id, who="somebody"),
            lambda: lab.interventions.believe(record.id, {}, who="somebody"),
        ):
            with pytest.raises(Refused, match="has an open space: its program asks for each value while it runs"):
                refused()


def test_frozen_studies_refuse_all_of_this(db: str) -> None:
    with closing(Lab.connect(db)) as lab:
        fixed = lab.sessions.open(toy_study(lab).id, tuner="random")
        for refused in (
            lambda: lab.open_spaces.submit(fixed.id),
            lambda: lab.open_spaces.take_up(fixed.id),
            lambda: lab.open_spaces.remembered(fixed.id),
            lambda: lab.open_spaces.name_metrics(fixed.id, ["a"]),
        ):
            with pytest.raises(Refused, match="its space is fixed"):
                refused()
        record = session_of(optuna.create_study())
        with pytest.raises(Refused, match="has an open space, which its program defines while it runs; only exploratory"):
            lab.studies.publish(record.study_id, "now")
        with pytest.raises(Refused, match="no session of a study can be of it"):
            lab.sessions.open(record.study_id, tuner="random")


def test_it_ends_by_hand_and_says_how_it_goes_on(db: str) -> None:
    study = optuna.create_study(study_name="by hand")
    study.optimize(lambda trial: trial.suggest_float("x", 0, 1), n_trials=2)
    study._lab_storage.leave(study.session_id)
    record = session_of(study)
    assert "'by hand' (load_if_exists=True); evenhand end 1 chooses its best trial" in how_to_go_on(record)
    with closing(Lab.connect(db)) as lab:
        assert lab.sessions.end(record.id).choice is not None


@pytest.mark.slow
def test_the_archive_of_an_open_session_is_read_again(db: str, tmp_path: Path) -> None:
    study = optuna.create_study(study_name="to keep", sampler=optuna.samplers.RandomSampler(seed=0))
    study.optimize(branched, n_trials=8)
    record = session_of(study)
    with closing(Lab.connect(db)) as lab, closing(Lab.connect(f"sqlite:///{tmp_path / 'other.sqlite'}")) as other:
        path = write(lab, lab.studies.close(record.study_id), tmp_path / "out.zip")
        session = other.sessions.of_study(bring(other, path).id)[0]
        assert session.space == record.space
        assert [trial.configuration for trial in session.trials] == [trial.configuration for trial in record.trials]
        assert write(other, other.studies.get(session.study_id), tmp_path / "again.zip").read_bytes() == path.read_bytes()


@pytest.mark.parametrize(
    "value", [None, True, 1, 1.5, "a", [1, [2]], (1, (2.5, "x")), {"a": (1,), "float": {"tuple": 3}}, {}, math.inf, 2**70]
)
def test_values_come_back_as_they_were(value: Any) -> None:
    again = unpacked(packed(value))
    assert (again, type(again)) == (value, type(value))
    assert math.isnan(unpacked(packed(math.nan)))
    with pytest.raises(TypeError, match="got object, expected text"):
        packed([value, object()])


def test_all_that_optuna_gives_is_there() -> None:
    missing = set(plain_optuna.__all__) - {name for name in dir(optuna_compat) if not name.startswith("_")} - {"__version__"}
    assert not missing
    assert optuna.__version__ == plain_optuna.__version__
    for name in ("create_study", "load_study", "delete_study", "copy_study", "get_all_study_names", "get_all_study_summaries"):
        ours, theirs = (inspect.signature(getattr(module, name)).parameters for module in (optuna, plain_optuna))
        assert list(ours) == list(theirs)
    assert list(inspect.signature(Study.optimize).parameters) == list(inspect.signature(plain_optuna.Study.optimize).parameters)
    assert optuna.study.create_study is optuna.create_study
    assert optuna.study.MaxTrialsCallback is plain_optuna.study.MaxTrialsCallback
    assert optuna.storages.RDBStorage is plain_optuna.storages.RDBStorage
    assert optuna.distributions.FloatDistribution is plain_optuna.distributions.FloatDistribution


def test_attendance_is_renewed(db: str) -> None:
    study = optuna.create_study()
    before = session_of(study).last_seen or 0.0
    wait_for(lambda: (session_of(study).last_seen or 0.0) > before, "a sign of life")


@pytest.mark.slow
def test_the_pages_show_it_from_its_first_moment_on(tmp_path: Path, db: str) -> None:
    pages = ("", "/explore", "/columns", "/curves", "/columns/0", "/trials/1/curve")
    study = optuna.create_study(study_name="seen on pages")
    with toy_site(tmp_path) as site:
        researcher, address = site.caller(Role.RESEARCHER), f"/sessions/{study.session_id}"

        def looked(*pages: str) -> None:
            for page in (f"/studies/{session_of(study).study_id}", *(f"{address}{page}" for page in pages)):
                answer = researcher.get(page)
                assert answer.status_code == 200, (page, answer.text)

        looked(*pages[:-3])
        trial = study.ask()
        looked(*pages)
        trial.suggest_float("x", 0, 1)
        trial.report(1.0, 0)
        looked(*pages)
        study.tell(trial, 0.5)
        looked(*pages)
        study.optimize(branched, n_trials=15)
        study.optimize(lambda trial: 1 / 0, n_trials=1, catch=(ZeroDivisionError,))
        looked(*pages)
        shown = researcher.get(address).text
        assert "ZeroDivisionError" in shown
        assert "seen on pages" in shown
        assert "Work together" not in shown
        refused = researcher.get(f"{address}/workbench")
        assert refused.status_code == 409
        assert "has an open space: its program asks for each value while it runs" in refused.text
        assert "stopped" in shown


@pytest.mark.slow
def test_it_is_given_to_optuna_as_any_session(db: str) -> None:
    study = optuna.create_study(study_name="out", sampler=optuna.samplers.RandomSampler(seed=4))
    study.optimize(branched, n_trials=15)
    given = export_session(study.session_id, db=db)
    for theirs, trial in zip(given.trials, study.trials, strict=True):  # other storages have no tuples
        assert {**theirs.params, "layers": None} == {**trial.params, "layers": None}
    assert [trial.state for trial in given.trials] == [trial.state for trial in study.trials]
    assert [trial.intermediate_values for trial in given.trials] == [
        {step + 1: value for step, value in trial.intermediate_values.items()} for trial in study.trials
    ]
