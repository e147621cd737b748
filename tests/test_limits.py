"""What takes too long or too much memory is ended by the task's limits, and the search goes on."""

import threading
from collections.abc import Iterator

import pytest

import evenhand
from evenhand import tasks
from evenhand.errors import InvalidSettings
from evenhand.lab.lab import Lab
from evenhand.model.session import Session
from evenhand.model.trial import Measurement, Outcome, Trial
from evenhand.runners.agent import run_agent
from evenhand.settings import Rules
from evenhand.tasks import Task
from tests import paced_tasks
from tests.agents import ended, opened, record_of, submit
from tests.tuner_contract import SPACE
from tests.waiting import PATIENCE_SECONDS


def run(task: Task, **values: float) -> tuple[Outcome, str | None, list[Measurement]]:
    measurements: list[Measurement] = []
    configuration = task.space.configuration(values)
    outcome, why = tasks.run_trial(task, configuration, seed=1, evaluation=False, report=measurements.append)
    return outcome, why, measurements


def test_a_training_over_its_time_is_stopped_with_what_it_reached() -> None:
    outcome, why, measurements = run(paced_tasks.slow, epochs=20, rate=0.0)
    assert outcome is Outcome.STOPPED
    assert why == "it took longer than the task's limit of 0.3 s"
    assert max(measurement.epoch or 0 for measurement in measurements) >= 1


def test_one_that_completed_no_epoch_by_then_is_invalid_so_that_methods_learn_from_it() -> None:
    outcome, why, _ = run(paced_tasks.slow, epochs=2, rate=0.5)
    assert (outcome, why) == (Outcome.INVALID, "it took longer than the task's limit of 0.3 s and completed no epoch")


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    lab = Lab.connect(f"sqlite:///{tmp_path_factory.mktemp('limits') / 'lab.sqlite'}", Rules(lease=PATIENCE_SECONDS))
    stop = threading.Event()
    agent_id, _ = lab.agents.add("limits", 1)
    agent = threading.Thread(target=run_agent, args=(lab, agent_id), kwargs={"slots": 1, "stop": stop})
    agent.start()
    yield lab
    stop.set()
    agent.join()
    lab.close()


def done(lab: Lab, session: Session, **values: float) -> Trial:
    """A trial of these values, ended."""
    return ended(lab, session, submit(lab, session, **values).number)


@pytest.mark.slow
def test_a_hung_training_is_killed_at_its_limit_and_the_next_one_runs(lab: Lab) -> None:
    session = opened(lab, record_of("stuck"))
    trial = done(lab, session, epochs=1)
    assert (trial.outcome, trial.attempt) == (Outcome.INVALID, 1)
    assert trial.why == "it did not end within the task's limit of 0.5 s, and was killed"
    steady = opened(lab, record_of("steady"))
    assert done(lab, steady, epochs=1).outcome is Outcome.COMPLETED


@pytest.mark.slow
def test_a_training_beyond_its_memory_is_invalid_and_the_limit_ends_with_it(lab: Lab) -> None:
    session = opened(lab, record_of("growing"))
    trial = done(lab, session, epochs=1, rate=1.0)
    assert trial.outcome is Outcome.INVALID
    assert "does not fit in memory" in (trial.why or "")
    assert done(lab, session, epochs=1, rate=0.05).outcome is Outcome.COMPLETED
    unlimited = opened(lab, record_of("steady"))
    assert done(lab, unlimited, epochs=1).outcome is Outcome.COMPLETED


def test_limits_are_checked_where_a_task_is_made() -> None:
    with pytest.raises(InvalidSettings, match="max_seconds is 0, expected a finite number above 0"):
        evenhand.task(space=SPACE, metric="accuracy", max_epochs=1, max_seconds=0)
