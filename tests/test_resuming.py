"""Trainings that go on from others: the same numbers as uninterrupted ones, at the cost of the further epochs only."""

import shutil
from pathlib import Path

import pytest

import evenhand
from evenhand import tasks
from evenhand.errors import InvalidSettings, Refused
from evenhand.experiments.replay import replay
from evenhand.lab.lab import Lab
from evenhand.model.rules import epochs_left, epochs_used
from evenhand.model.session import Session
from evenhand.model.study import Budget, Study, Text
from evenhand.model.task import TaskSpec
from evenhand.model.trial import Measurement, Outcome
from evenhand.runners.method_player import Player
from evenhand.settings import data_dir
from evenhand.tasks import Task
from tests import paced_tasks
from tests.labs import claim, epoch, make_lab, toy_study

ROWS = list[tuple[int, int | None, float | None, float | None]]


@pytest.fixture
def summing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Task:
    monkeypatch.setenv("EVENHAND_DATA", str(tmp_path / "data"))
    return paced_tasks.summing


def trained(task: Task, epochs: int, before: int = 0, keep: bool = True) -> tuple[ROWS, int]:
    """What a training reports, and how many epochs it really trained."""
    measurements: list[Measurement] = []
    counted = paced_tasks.TRAINED
    configuration = task.space.configuration({"epochs": epochs, "rate": 0.5})
    outcome, why = tasks.run_trial(
        task, configuration, seed=7, evaluation=False, report=measurements.append, epochs_before=before, keep=keep
    )
    assert (outcome, why) == (Outcome.COMPLETED, None)
    assert [measurement.index for measurement in measurements] == list(range(len(measurements)))
    return [
        (measurement.step, measurement.epoch, measurement.loss, measurement.value) for measurement in measurements
    ], paced_tasks.TRAINED - counted


def test_a_resumed_training_equals_an_uninterrupted_one_and_trains_the_rest_only(summing: Task) -> None:
    whole, _ = trained(summing, 9, keep=False)
    first, _ = trained(summing, 3)
    second, epochs = trained(summing, 9, before=3)
    assert first + second == whole
    assert epochs == 6
    third, epochs = trained(summing, 20, before=9)
    assert third == trained(summing, 20, keep=False)[0][len(whole) :]
    assert epochs == 11


def test_without_its_checkpoint_it_trains_again_in_silence(summing: Task) -> None:
    whole, _ = trained(summing, 9, keep=False)
    first, _ = trained(summing, 3)
    shutil.rmtree(data_dir() / "checkpoints")
    second, epochs = trained(summing, 9, before=3)
    assert first + second == whole
    assert epochs == 9


def test_a_damaged_checkpoint_is_as_good_as_none(summing: Task) -> None:
    trained(summing, 3)
    (checkpoint,) = (data_dir() / "checkpoints").iterdir()
    checkpoint.write_bytes(b"no pickle")
    second, _ = trained(summing, 9, before=3)
    assert second == trained(summing, 9, keep=False)[0][6:]


def test_a_stop_reaches_a_training_that_reports_nothing_yet(summing: Task) -> None:
    def alive() -> None:
        raise tasks.Stopped

    outcome, _ = tasks.run_trial(
        summing,
        summing.space.configuration({"epochs": 9}),
        seed=7,
        evaluation=False,
        report=lambda _: pytest.fail("nothing new was trained"),
        epochs_before=3,
        alive=alive,
    )
    assert outcome is Outcome.STOPPED


def resumable(lab: Lab, budget: Budget) -> Session:
    toy = toy_study(lab)
    study = Study(
        name="resumable",
        title="Resumable",
        task_id=toy.task_id,
        budget=budget,
        seed=7,
        consent=Text(""),
        details=Text(""),
        thanks=Text(""),
        resumable=True,
        machines="any",
    )
    return lab.start(lab.sessions.open(lab.studies.add(study).id, tuner="asha").id)


def test_only_further_epochs_cost_anything(tmp_path: Path) -> None:
    lab, _ = make_lab(f"sqlite:///{tmp_path / 'lab.sqlite'}")
    session = resumable(lab, Budget(epochs=12))
    space = session.space
    agent_id, _ = lab.agents.add("a", 1)
    lab.submit(session.id, space.configuration({"epochs": 3}))
    assignment = claim(lab, agent_id)
    assert (assignment.epochs_before, assignment.keep) == (0, True)
    for number in (1, 2, 3):
        lab.measure(assignment.job_id, 1, [epoch(number - 1, number, number / 10)])
    lab.finish(assignment.job_id, 1, Outcome.COMPLETED)
    trial = lab.submit(session.id, space.configuration({"epochs": 9}), resumes=1)
    assert (trial.resumes, trial.epochs_before, trial.epochs_done, trial.epochs_to_do) == (1, 3, 3, 6)
    assert epochs_left(lab.sessions.get(session.id)) == 3
    assignment = claim(lab, agent_id)
    assert assignment.epochs_before == 3
    lab.measure(assignment.job_id, 1, [epoch(0, 4, 0.4), epoch(1, 5, 0.5)])
    lab.stop(session.id, 2)
    lab.finish(assignment.job_id, 1, Outcome.STOPPED)
    stopped = lab.sessions.get(session.id).trials[1]
    assert (stopped.value, stopped.epochs_done, stopped.epochs_begun) == (0.5, 5, 2)
    assert epochs_used(lab.sessions.get(session.id)) == 5
    with pytest.raises(Refused, match="trial 1 has 3 epochs already; ask for more"):
        lab.submit(session.id, space.configuration({"epochs": 3}), resumes=1)
    with pytest.raises(Refused, match="not the configuration of trial 1; only epochs may differ"):
        lab.submit(session.id, space.configuration({"epochs": 9, "learning_rate": 0.1}), resumes=1)
    with pytest.raises(Refused, match="trial 7 has not ended with a completed epoch"):
        lab.submit(session.id, space.configuration({"epochs": 9}), resumes=7)
    with pytest.raises(Refused, match="this needs 8 epochs and 7 of 12 are left"):
        lab.submit(session.id, space.configuration({"epochs": 8}))
    assert lab.submit(session.id, space.configuration({"epochs": 10}), resumes=1).epochs_to_do == 7


def test_where_a_study_does_not_declare_it_nothing_goes_on(tmp_path: Path) -> None:
    """People's pages offer no such thing, so a method that does is refused, too."""
    lab, _ = make_lab(f"sqlite:///{tmp_path / 'lab.sqlite'}")
    study = toy_study(lab, Budget(trials=5))
    session = lab.start(lab.sessions.open(study.id, tuner="asha", method={"name": "asha"}).id)
    with pytest.raises(InvalidSettings, match="always begin anew; declare it resumable"):
        Player.of(lab, session.id)
    lab.submit(session.id, session.space.configuration({"epochs": 1}))
    with pytest.raises(Refused, match="always begin anew"):
        lab.submit(session.id, session.space.configuration({"epochs": 2}), resumes=1)


@pytest.mark.slow
def test_hyperband_tunes_and_its_promotions_replay(summing: Task, tmp_path: Path) -> None:
    db = f"sqlite:///{tmp_path / 'lab.sqlite'}"
    task = tasks.load(TaskSpec(f"{Path(paced_tasks.__file__)}:summing"))
    result = evenhand.tune(task, method="hyperband", eta=5, smallest=4, epochs=330, db=db, evaluate=False, progress=False)
    promoted = [trial for trial in result.trials if trial.resumes is not None]
    assert promoted
    for trial in promoted:
        parent = result.trials[(trial.resumes or 0) - 1]
        assert (trial.epochs_before, trial.value is not None) == (parent.epochs_done, True)
    assert sum(trial.epochs_begun for trial in result.trials) <= 330
    lab = Lab.connect(db)
    assert replay(lab, result.session_id, promoted[0].number).matches
    lab.close()


def test_a_space_without_epochs_is_refused_in_words(tmp_path: Path) -> None:
    space = evenhand.Space([evenhand.Hyperparameter("x", evenhand.Float(0, 1))])
    with pytest.raises(InvalidSettings, match="'asha' trains some configurations longer than others"):
        evenhand.tune(lambda c: c["x"], space, direction="maximize", method="asha", trials=3, db=f"sqlite:///{tmp_path / 'x'}")
