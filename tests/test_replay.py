"""A stored trial trained again gives the same numbers, bit for bit; where it does not, the first difference is told."""

import math
import sqlite3
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from evenhand import inline, lanes, tasks
from evenhand.declaration import Budget, Study, Text
from evenhand.errors import NotFound, Refused, TaskMissing
from evenhand.inline import Trainer
from evenhand.lab import Lab
from evenhand.records import Measurement, Outcome, Session, TaskSpec
from evenhand.replay import replay
from evenhand.settings import Rules
from evenhand.space import Configuration, Float, Hyperparameter, Space
from evenhand.store import Store
from evenhand.tasks import Run, Task, task
from examples.digits_mlp import train

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
    study = Study(which.name, "", lab.add_task(which.record).id, Budget(trials=9), 5, Text(""), Text(""), Text(""))
    study = replace(study, resumable=resumable)
    return lab.start(lab.open(lab.add_study(study).id, tuner="random").id)


def trained(lab: Lab, which: Task, **values: float) -> Session:
    """A session with one trained trial."""
    session = session_of(lab, which)
    lab.submit(session.id, which.space.configuration(values))
    assert Trainer(lab, which, session.id).train_next()
    return lab.session(session.id)


def test_a_completed_trial_matches_and_its_thinned_batches_too(lab: Lab) -> None:
    session = trained(lab, train, epochs=4, batch_size=16)
    stored = lab.curve(session.id, 1).measurements
    assert len(stored) == 54  # of 4 * 67 batches 50 were kept, and 4 epochs
    found = replay(lab, session.id, 1)
    assert found.matches
    assert found.compared == 54
    assert str(found) == f"trial 1 of session {session.id}: all 54 stored measurements match, bit for bit"


@pytest.mark.parametrize("lane", lanes.LANES)
def test_a_trial_of_every_lane_matches_from_the_start_or_gone_on_with_from_another(lab: Lab, lane: str) -> None:
    if (why := lanes.why_not(lane)) is not None:
        pytest.skip(f"the lane {lane}: {why}")
    settings = {"data": "10", "scale": 0.02, "least_epochs": 1, "dropout": True, "lane": lane}
    which = tasks.load(TaskSpec("mlp", settings))
    values = {"batch_size": 37, "loss": "cross_entropy", "optimizer": "adam", "layers": 2, "learning_rate": 0.01, "dropout": 0.2}
    session = session_of(lab, which, resumable=True)
    for epochs, resumes in ((2, None), (4, 1)):
        lab.submit(session.id, which.space.configuration({**values, "epochs": epochs}), resumes=resumes)
        assert Trainer(lab, which, session.id).train_next()
    for number, before in ((1, 0), (2, 2)):
        trial = lab.session(session.id).trials[number - 1]
        assert (trial.outcome, trial.epochs_before) == (Outcome.COMPLETED, before)
        found = replay(lab, session.id, number)
        assert found.matches, str(found)
        assert found.compared == 40  # of two epochs: nineteen parts and their end


def test_a_diverged_trial_matches(lab: Lab) -> None:
    session = trained(lab, train, epochs=30, learning_rate=100, activation="relu")  # type: ignore[arg-type]
    assert session.trials[0].outcome is Outcome.DIVERGED
    assert replay(lab, session.id, 1).matches


def test_an_invalid_trial_matches_without_any_measurement(lab: Lab) -> None:
    session = trained(lab, broken)
    assert session.trials[0].outcome is Outcome.INVALID
    found = replay(lab, session.id, 1)
    assert (found.matches, found.compared) == (True, 0)


def test_a_stopped_trial_is_trained_as_far_as_it_went(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    report = inline.Pipe.report

    def unhurried(self: inline.Pipe, measurement: Measurement) -> None:
        report(self, measurement)
        if measurement.epoch is not None:
            time.sleep(0.05)  # else a busy machine ends the training before it hears of the stop

    monkeypatch.setattr(inline, "FLUSH", 0.01)
    monkeypatch.setattr(inline.Pipe, "report", unhurried)
    session = session_of(lab, train)
    lab.submit(session.id, train.space.configuration({"epochs": 30, "batch_size": 8}))

    def stop(session_id: int) -> None:
        if lab.session(session_id).trials[0].epochs_done:
            lab.on_change.clear()
            lab.stop(session_id, 1)

    lab.on_change.append(stop)
    Trainer(lab, train, session.id).train_next()
    stopped = lab.session(session.id).trials[0]
    assert stopped.outcome is Outcome.STOPPED
    assert 0 < stopped.epochs_done < 30
    found = replay(lab, session.id, 1)
    assert found.matches
    assert found.compared == len(lab.curve(session.id, 1).measurements)


def test_the_smallest_possible_change_of_a_stored_number_is_found(lab: Lab, tmp_path: Path) -> None:
    session = trained(lab, train, epochs=2)
    stored = lab.curve(session.id, 1).measurements
    last = stored[-1]
    assert last.value is not None
    with sqlite3.connect(tmp_path / "lab.sqlite") as database:
        changed = math.nextafter(last.value, 1)
        database.execute('UPDATE measurement SET value = ? WHERE "index" = ?', (changed, last.index))
    later = Lab(Store(f"sqlite:///{tmp_path / 'lab.sqlite'}"))  # since no event tells of a change behind the lab's back
    found = replay(later, session.id, 1)
    later.close()
    assert not found.matches
    assert found.compared == len(stored) - 1
    assert found.difference is not None
    assert (found.difference.index, found.difference.what) == (last.index, "value")
    assert (found.difference.stored, found.difference.replayed) == (changed, last.value)
    assert f"value was {changed!r}, and is {last.value!r} now" in str(found)


def test_a_task_with_a_stream_of_its_own_does_not_match(lab: Lab) -> None:
    session = trained(lab, unseeded)
    found = replay(lab, session.id, 1, task=unseeded)
    assert found.difference is not None
    assert found.difference.what == "value"


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
    with pytest.raises(TaskMissing, match="changed since the trial"):
        replay(lab, session.id, 1, task=replace(train, version="0" * 64))


def test_only_trained_trials_can_be_replayed(lab: Lab) -> None:
    session = session_of(lab, train)
    lab.submit(session.id, train.space.configuration({}))
    with pytest.raises(Refused, match="is still open"):
        replay(lab, session.id, 1)
    with pytest.raises(NotFound, match="has no trial 2"):
        replay(lab, session.id, 2)
