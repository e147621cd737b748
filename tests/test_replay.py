"""A stored trial trained again gives the same numbers, bit for bit; where it does not, the first difference is told."""

import math
import sqlite3
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from evenhand import tasks
from evenhand.errors import NotFound, Refused, TaskMissing
from evenhand.examples.digits_mlp import train
from evenhand.experiments.replay import replay
from evenhand.lab.lab import Lab
from evenhand.model.configuration import Configuration
from evenhand.model.domain import Float
from evenhand.model.hyperparameter import Hyperparameter
from evenhand.model.session import Session
from evenhand.model.space import Space
from evenhand.model.study import Budget, Study, Text
from evenhand.model.task import TaskSpec
from evenhand.model.trial import Measurement, Outcome
from evenhand.runners import local_agent
from evenhand.runners.local_agent import Trainer
from evenhand.settings import Rules
from evenhand.store.engine import Store
from evenhand.tasks import Run, Task, engines, task
from tests.components import need
from tests.waiting import wait_for

DICE = Space([Hyperparameter("x", Float(0, 1), default=0.5)])


@task(space=DICE, metric="value", direction="maximize", max_epochs=1)
def unseeded(configuration: Configuration, run: Run) -> None:
    run.report(epoch=1, value=float(np.random.default_rng().random()))


@task(space=DICE, metric="value", direction="maximize", max_epochs=1)
def broken(configuration: Configuration, run: Run) -> None:
    raise ValueError("no such layer")


@pytest.fixture
def lab(tmp_path: Path) -> Iterator[Lab]:
    lab = Lab(Store(f"sqlite:///{tmp_path / 'lab.sqlite'}"), Rules(curve_points=50))
    yield lab
    lab.close()


def session_of(lab: Lab, which: Task, *, resumable: bool = False) -> Session:
    study = Study(which.name, "", lab.studies.add_task(which.record).id, Budget(trials=9), 5, Text(""), Text(""), Text(""))
    study = replace(study, resumable=resumable)
    return lab.start(lab.sessions.open(lab.studies.add(study).id, tuner="random").id)


def trained(lab: Lab, which: Task, **values: float) -> Session:
    """A session with one trained trial."""
    session = session_of(lab, which)
    lab.submit(session.id, which.space.configuration(values))
    assert Trainer(lab, which, session.id).train_next()
    return lab.sessions.get(session.id)


def test_a_completed_trial_matches_and_its_thinned_batches_too(lab: Lab) -> None:
    session = trained(lab, train, epochs=4, batch_size=16)
    stored = lab.curve(session.id, 1).measurements
    batches = [measurement for measurement in stored if measurement.epoch is None]
    assert 25 < len(batches) <= 50  # of 4 * 67; how many hangs on how often they were thinned out meanwhile
    assert len(stored) == len(batches) + 4  # and every epoch
    replayed = replay(lab, session.id, 1)
    assert replayed.matches
    assert replayed.compared == len(stored)
    assert str(replayed) == f"trial 1 of session {session.id}: all {len(stored)} stored measurements match, bit for bit"


@pytest.mark.slow
@pytest.mark.parametrize("lane", engines.LANES)
def test_a_trial_of_every_lane_matches_from_the_start_or_gone_on_with_from_another(lab: Lab, lane: str) -> None:
    need(f"lane {lane}")
    settings = {"data": "10", "scale": 0.02, "least_epochs": 1, "dropout": True, "lane": lane}
    which = tasks.load(TaskSpec("mlp", settings))
    values = {"batch_size": 37, "loss": "cross_entropy", "optimizer": "adam", "layers": 2, "learning_rate": 0.01, "dropout": 0.2}
    session = session_of(lab, which, resumable=True)
    for epochs, resumes in ((2, None), (4, 1)):
        lab.submit(session.id, which.space.configuration({**values, "epochs": epochs}), resumes=resumes)
        assert Trainer(lab, which, session.id).train_next()
    for number, before in ((1, 0), (2, 2)):
        trial = lab.sessions.get(session.id).trials[number - 1]
        assert (trial.outcome, trial.epochs_before) == (Outcome.COMPLETED, before)
        replayed = replay(lab, session.id, number)
        assert replayed.matches, str(replayed)
        assert replayed.compared == 40  # of two epochs: nineteen parts and their end


def test_a_diverged_trial_matches(lab: Lab) -> None:
    session = trained(lab, train, epochs=30, learning_rate=100, activation="relu")  # type: ignore[arg-type]
    assert session.trials[0].outcome is Outcome.DIVERGED
    assert replay(lab, session.id, 1).matches


def test_a_trial_without_any_measurement_is_no_match(lab: Lab) -> None:
    session = trained(lab, broken)
    assert session.trials[0].outcome is Outcome.INVALID
    replayed = replay(lab, session.id, 1)
    assert (replayed.matches, replayed.compared, replayed.difference) == (False, 0, None)
    assert "no match, since it has no stored measurement to compare" in str(replayed)


def test_a_stopped_trial_is_trained_as_far_as_it_went(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    report = local_agent.Pipe.report

    def unhurried(self: local_agent.Pipe, measurement: Measurement) -> None:
        report(self, measurement)
        if measurement.epoch == 2:  # else a busy machine ends the training before it hears of the stop
            wait_for(lambda: self._stopped, "it hears of the stop")

    monkeypatch.setattr(local_agent, "FLUSH_SECONDS", 0.01)
    monkeypatch.setattr(local_agent.Pipe, "report", unhurried)
    session = session_of(lab, train)
    lab.submit(session.id, train.space.configuration({"epochs": 30, "batch_size": 8}))

    def stop(session_id: int) -> None:
        if lab.sessions.get(session_id).trials[0].epochs_done:
            lab.on_change.clear()
            lab.stop(session_id, 1)

    lab.on_change.append(stop)
    Trainer(lab, train, session.id).train_next()
    stopped = lab.sessions.get(session.id).trials[0]
    assert stopped.outcome is Outcome.STOPPED
    assert 0 < stopped.epochs_done < 30
    replayed = replay(lab, session.id, 1)
    assert replayed.matches
    assert replayed.compared == len(lab.curve(session.id, 1).measurements)


def test_the_smallest_possible_change_of_a_stored_number_is_found(lab: Lab, tmp_path: Path) -> None:
    session = trained(lab, train, epochs=2)
    stored = lab.curve(session.id, 1).measurements
    last = stored[-1]
    assert last.value is not None
    with sqlite3.connect(tmp_path / "lab.sqlite") as database:
        changed = math.nextafter(last.value, 1)
        database.execute('UPDATE measurement SET value = ? WHERE "index" = ?', (changed, last.index))
    later = Lab(Store(f"sqlite:///{tmp_path / 'lab.sqlite'}"))  # since no event tells of a change behind the lab's back
    replayed = replay(later, session.id, 1)
    later.close()
    assert not replayed.matches
    assert replayed.compared == len(stored) - 1
    assert replayed.difference is not None
    assert (replayed.difference.index, replayed.difference.what) == (last.index, "value")
    assert (replayed.difference.stored, replayed.difference.replayed) == (changed, last.value)
    assert f"value was {changed!r}, and is {last.value!r} now" in str(replayed)


def test_a_task_with_a_stream_of_its_own_does_not_match(lab: Lab) -> None:
    session = trained(lab, unseeded)
    replayed = replay(lab, session.id, 1, task=unseeded)
    assert replayed.difference is not None
    assert replayed.difference.what == "value"


def test_fewer_or_more_measurements_than_stored_differ(lab: Lab) -> None:
    session = trained(lab, train, epochs=3)

    def other(epochs: int) -> Task:
        def shorter(configuration: Configuration, run: Run) -> None:
            train.train(train.space.configuration({**configuration, "epochs": epochs}), run)

        return replace(train, train=shorter)

    missing = replay(lab, session.id, 1, task=other(2)).difference
    more = replay(lab, session.id, 1, task=other(4)).difference
    assert missing is not None
    assert more is not None
    assert (missing.what, missing.replayed) == ("measurement", "missing")
    assert more.what == "number of measurements"


def test_another_version_of_the_task_is_refused(lab: Lab) -> None:
    session = trained(lab, train, epochs=1)
    with pytest.raises(TaskMissing, match="cannot be replayed: its source or revision, its settings or its data are others"):
        replay(lab, session.id, 1, task=replace(train, version="v2-" + "0" * 64))


def test_a_trial_of_the_older_scheme_can_be_read_and_not_compared(lab: Lab) -> None:
    session = trained(lab, replace(train, version="0" * 64), epochs=1)
    assert lab.curve(session.id, 1).measurements
    assert lab.sessions.get(session.id).trials[0].outcome is Outcome.COMPLETED
    with pytest.raises(TaskMissing, match=r"was made by an older scheme, .* cannot be compared with .* \(000000000000 then"):
        replay(lab, session.id, 1, task=train)


def test_only_trained_trials_can_be_replayed(lab: Lab) -> None:
    session = session_of(lab, train)
    lab.submit(session.id, train.space.configuration({}))
    with pytest.raises(Refused, match="is still open"):
        replay(lab, session.id, 1)
    with pytest.raises(NotFound, match="has no trial 2"):
        replay(lab, session.id, 2)
