"""Looks at test scores: they count for all that is scored on the same test data, and lock nothing of one's own."""

from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

import evenhand
from evenhand import tasks
from evenhand.analysis.seen_before import seen_before
from evenhand.errors import NotAllowed, Refused
from evenhand.lab.lab import Lab
from evenhand.model.run_notes import KEPT_DAYS
from evenhand.model.session import Session
from evenhand.model.study import Study
from evenhand.model.task import TaskRecord, TaskSpec, share_test_data
from evenhand.model.trial import Outcome
from evenhand.tasks.records import record_of
from evenhand.tasks.splits import Splits
from tests.components import DATABASES, need
from tests.labs import SPACE, Clock, database, make_lab, started, toy_study

WHO = "researcher"
DAY_SECONDS = 86400.0
CONFIGURATION = SPACE.configuration({"epochs": 2})


@pytest.fixture(params=DATABASES)
def lab_and_clock(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[tuple[Lab, Clock]]:
    with database(request.param, tmp_path) as url:
        lab, clock = make_lab(url)
        yield lab, clock
        lab.close()


@pytest.fixture
def lab(lab_and_clock: tuple[Lab, Clock]) -> Lab:
    return lab_and_clock[0]


@pytest.fixture
def clock(lab_and_clock: tuple[Lab, Clock]) -> Clock:
    return lab_and_clock[1]


def test_looks_count_from_the_first_of_them_on() -> None:
    proposed = [10.0, 20.0, 30.0]
    assert seen_before([("a", 31.0)], proposed) is None
    assert seen_before([], proposed) is None
    assert seen_before([("a", 5.0)], []) is None
    seen = seen_before([("a", 11.0), ("b", 12.0), ("a", 30.0), ("a", 39.0)], proposed)
    assert seen is not None
    assert (seen.trials, seen.of, seen.looks, seen.people, seen.first_at) == (2, 3, 3, 2, 11.0)
    assert seen.words.startswith("Scores on this test data were seen before 2 of 3 trials (3 looks); ")
    all_of_them = seen_before([("a", 10.0)], proposed)
    assert all_of_them is not None
    assert all_of_them.words.startswith("Scores on this test data were seen before 3 trials (1 look); ")


def test_a_look_counts_for_other_versions_on_the_same_test_data_and_locks_no_run_of_ones_own(lab: Lab) -> None:
    looked_at, own = _run(lab, version="own 1"), _run(lab, version="own 2")
    _evaluated(lab, looked_at)
    study = _study(lab, version="study's")
    other = _study(lab, version="other data", test_data="other")
    assert lab.evaluations.seen_before(own.id) is None
    lab.evaluations.reveal(looked_at.id, WHO)
    opened = [started(lab, study), started(lab, other), own]
    for session in opened:
        lab.submit(session.id, CONFIGURATION)
    assert [lab.evaluations.is_locked(lab.sessions.get(session.id), WHO) for session in opened] == [True, False, False]
    with pytest.raises(NotAllowed, match="looked at a score on the test data of this task"):
        lab.sessions.stop_trial(opened[0].id, 1, WHO)
    for session in opened[1:]:
        assert lab.sessions.stop_trial(session.id, 1, WHO).stop_by is not None
    seen = lab.evaluations.seen_before(own.id)
    assert seen is not None
    assert (seen.trials, seen.of) == (1, 1)


def test_a_deleted_runs_looks_count_still(lab: Lab, clock: Clock) -> None:
    looked_at, own = _run(lab, version="own 1"), _run(lab, version="own 2")
    _evaluated(lab, looked_at)
    lab.evaluations.reveal(looked_at.id, WHO)
    lab.sessions.leave(looked_at.id)
    lab.runs.delete([looked_at.id])
    clock.now += (KEPT_DAYS + 1) * DAY_SECONDS
    assert lab.runs.erase_due() == [looked_at.id]
    lab.submit(own.id, CONFIGURATION)
    seen = lab.evaluations.seen_before(own.id)
    assert seen is not None
    assert seen.looks == 1


def test_ones_own_choice_is_not_evaluated_while_a_study_collects_on_the_same_test_data(lab: Lab) -> None:
    before = _run(lab, version="own 1")
    lab.choose(before.id, configuration=CONFIGURATION)
    assert lab.sessions.get(before.id).evaluated.planned == 2  # nothing collects yet
    study = _study(lab, version="study's")
    during, elsewhere = _run(lab, version="own 2"), _run(lab, version="own 3", test_data="other")
    for session in (during, elsewhere):
        lab.choose(session.id, configuration=CONFIGURATION)
    assert [lab.sessions.get(session.id).evaluated.planned for session in (during, elsewhere)] == [0, 2]
    assert lab.evaluations.withheld_by(during.id) == (study.name,)
    assert lab.evaluations.withheld_by(elsewhere.id) == ()
    with pytest.raises(Refused, match="collects on the same test data"):
        lab.evaluations.queue(during.id)
    theirs = started(lab, study)
    lab.choose(theirs.id, configuration=CONFIGURATION)
    assert lab.sessions.get(theirs.id).evaluated.planned == 2  # the study's own are evaluated as ever
    lab.studies.close(study.id)
    assert lab.evaluations.withheld_by(during.id) == ()
    lab.evaluations.queue(during.id)
    assert lab.sessions.get(during.id).evaluated.planned == 2
    untested = lab.studies.add_task(replace(_record("untested", ""), has_test=False))
    without = lab.studies.add(replace(study, id=0, name="without test data", task_id=untested.id))
    never = lab.start(lab.sessions.open(without.id, tuner="random", driver="python").id)
    lab.choose(never.id, configuration=CONFIGURATION)
    for session in (during, elsewhere, theirs, never):
        with pytest.raises(Refused, match="nothing to evaluate"):
            lab.evaluations.queue(session.id)


def test_tasks_on_the_same_arrays_are_known_to_share_them() -> None:
    x, y = np.arange(40.0).reshape(20, 2), np.arange(20) % 2

    def made(splits: Callable[[], Splits], version: int) -> TaskRecord:
        @evenhand.task(space={"rate": (0.1, 1.0)}, metric="accuracy", max_epochs=1, data=splits, revision=version)
        def train(configuration: object, run: object) -> None:
            raise AssertionError("nothing is trained here")

        return record_of(train)

    one, other = (made(lambda: Splits.drawn(x, y), version) for version in (1, 2))
    assert one.version != other.version
    assert share_test_data(replace(one, id=1), replace(other, id=2))
    reseeded = made(lambda: Splits.drawn(x, y, seed=1), 3)
    assert not share_test_data(replace(one, id=1), replace(reseeded, id=2))
    unopened = made(lambda: Splits((x, y), (x, y), lambda: (x, y)), 4)
    assert unopened.test_data == ""
    assert share_test_data(unopened, unopened)
    assert not share_test_data(replace(unopened, id=1), replace(unopened, id=2))


@pytest.mark.slow
def test_images_are_the_same_test_data_at_each_size(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    need("torch")
    monkeypatch.setenv("EVENHAND_DATA", str(tmp_path))
    small, large, redrawn = (
        tasks.load(TaskSpec("black-magic", {"data": "digits", **settings})).record
        for settings in ({"size": 17}, {"size": 24}, {"size": 17, "split_seed": 9})
    )
    assert small.test_data == large.test_data != redrawn.test_data
    assert small.version != large.version


def _record(version: str, test_data: str) -> TaskRecord:
    return TaskRecord(TaskSpec(f"toy {version}"), version, SPACE, "accuracy", "maximize", 10, test_data=test_data)


def _study(lab: Lab, version: str, test_data: str = "shared") -> Study:
    """A study on a task of this version."""
    task = lab.studies.add_task(_record(version, test_data))
    toy = toy_study(lab)
    return lab.studies.add(replace(toy, id=0, name=f"{toy.name} {version}", task_id=task.id))


def _run(lab: Lab, version: str = "own", test_data: str = "shared") -> Session:
    """A run of one's own, whose clock runs."""
    study = _study(lab, version, test_data)
    return lab.start(lab.sessions.open(study.id, tuner="random", driver="python").id)


def _evaluated(lab: Lab, session: Session) -> None:
    """A choice is made, and evaluated."""
    lab.choose(session.id, configuration=CONFIGURATION)
    agent, _ = lab.agents.add("evaluates", 2)
    for _ in range(2):
        job = lab.claim(agent, session_id=session.id)
        assert job is not None
        lab.finish(job.job_id, 1, Outcome.COMPLETED)
