"""What takes too long or too much memory is ended by the task's limits, and the search goes on."""

import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

import evenhand
from evenhand import tasks
from evenhand.errors import InvalidSettings
from evenhand.lab import Lab
from evenhand.records import Measurement, Outcome, Session, Stopper, TaskSpec, Trial
from evenhand.tasks import Task
from evenhand.tuners.stopping import Median
from evenhand.worker import run_agent
from tests import paced_tasks
from tests.agents import ended, opened, record_of, submit
from tests.tuner_contract import SPACE
from tests.tuner_contract import ended as trial_of


def run(task: Task, **values: float) -> tuple[Outcome, str | None, list[Measurement]]:
    found: list[Measurement] = []
    configuration = task.space.configuration(values)
    outcome, why = tasks.run_trial(task, configuration, seed=1, evaluation=False, report=found.append)
    return outcome, why, found


def test_a_training_over_its_time_is_stopped_with_what_it_reached() -> None:
    outcome, why, found = run(paced_tasks.slow, epochs=20, rate=0.01)
    assert outcome is Outcome.STOPPED
    assert why == "it took longer than the task's limit of 0.3 s"
    assert max(each.epoch or 0 for each in found) >= 1


def test_one_that_completed_no_epoch_by_then_is_invalid_so_that_methods_learn_from_it() -> None:
    outcome, why, _ = run(paced_tasks.slow, epochs=2, rate=0.5)
    assert (outcome, why) == (Outcome.INVALID, "it took longer than the task's limit of 0.3 s and completed no epoch")


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    lab, stop = Lab.connect(f"sqlite:///{tmp_path_factory.mktemp('limits') / 'lab.sqlite'}"), threading.Event()
    agent_id, _ = lab.add_agent("limits", 1)
    agent = threading.Thread(target=run_agent, args=(lab, agent_id), kwargs={"slots": 1, "stop": stop})
    agent.start()
    yield lab
    stop.set()
    agent.join()
    lab.close()


def done(lab: Lab, session: Session, **values: float) -> Trial:
    """A trial of these values, ended."""
    return ended(lab, session, submit(lab, session, **values).number)


def test_a_hung_training_is_killed_at_its_limit_and_the_next_one_runs(lab: Lab) -> None:
    session = opened(lab, record_of("stuck"))
    trial = done(lab, session, epochs=1)
    assert (trial.outcome, trial.attempt) == (Outcome.INVALID, 1)
    assert trial.why == "it did not end within the task's limit of 0.5 s, and was killed"
    steady = opened(lab, record_of("steady"))
    assert done(lab, steady, epochs=1).outcome is Outcome.COMPLETED


def test_a_training_beyond_its_memory_is_invalid_and_the_limit_ends_with_it(lab: Lab) -> None:
    session = opened(lab, record_of("growing"))
    trial = done(lab, session, epochs=1, rate=1.0)
    assert trial.outcome is Outcome.INVALID
    assert "does not fit in memory" in (trial.why or "")
    assert done(lab, session, epochs=1, rate=0.05).outcome is Outcome.COMPLETED
    unlimited = opened(lab, record_of("steady"))
    assert done(lab, unlimited, epochs=1).outcome is Outcome.COMPLETED


def test_limits_are_checked_where_a_task_is_made() -> None:
    with pytest.raises(InvalidSettings, match="max_seconds is 0, expected more than 0"):
        evenhand.task(space=SPACE, metric="accuracy", max_epochs=1, max_seconds=0)


# Stopping rules

TRIAL = trial_of(9, SPACE.configuration({"epochs": 10, "batch_size": 8, "optimizer": "sgd"}), 0.5)


def test_the_median_rule_by_hand() -> None:
    """Averages at epoch 2 of the others: 0.25, 0.5, 0.75; the median is 0.5. A best value of 0.5 stays, 0.49 goes."""
    others = [{1: 0.125, 2: 0.375, 3: 0.9}, {1: 0.25, 2: 0.75}, {1: 0.75, 2: 0.75}, {1: 0.9}]
    rule = Median(maximize=True, startup=3, warmup=1)
    assert rule.why_stop(TRIAL, {1: 0.5, 2: 0.1}, others) is None
    assert rule.why_stop(TRIAL, {1: 0.49, 2: 0.1}, others) == (
        "after epoch 2 its best value, 0.49, was worse than 0.5, the median of the running averages of 3 trials that came as far"
    )
    assert rule.why_stop(TRIAL, {1: 0.0}, others) is None  # the warm-up
    assert Median(maximize=True, startup=4).why_stop(TRIAL, {1: 0.0, 2: 0.0}, others) is None
    assert Median(maximize=False, startup=3).why_stop(TRIAL, {1: 0.51, 2: 0.6}, others) is not None
    assert Median(maximize=False, startup=3).why_stop(TRIAL, {1: 0.49, 2: 0.6}, others) is None


def test_a_trial_at_its_last_epoch_is_let_end() -> None:
    others = [dict.fromkeys(range(1, 11), 0.9)] * 5
    assert Median(maximize=True).why_stop(TRIAL, dict.fromkeys(range(1, 11), 0.1), others) is None


def test_any_method_can_be_given_the_rule(tmp_path: Path) -> None:
    """`steady` is worth its rate times the epoch, so about half of the later trials are below the median and are stopped."""
    task = tasks.load(TaskSpec(f"{Path(paced_tasks.__file__)}:steady"))
    result = evenhand.tune(
        task, method="random", stopping="median", epochs_per_trial=40, trials=14, db=f"sqlite:///{tmp_path / 'lab.sqlite'}",
        evaluate=False, progress=False,
    )  # fmt: skip
    stopped = [trial for trial in result.trials if trial.outcome is Outcome.STOPPED]
    assert stopped
    for trial in stopped:
        assert trial.stop_by is Stopper.RULE
        assert trial.epochs_done < 40
        assert "the median of the running averages of" in (trial.why or "")
        worse = sum(each.configuration.number("rate") > trial.configuration.number("rate") for each in result.trials)
        assert worse >= 3
    assert all(trial.number > 5 for trial in stopped)


def test_an_unknown_rule_is_answered_with_the_known_ones(tmp_path: Path) -> None:
    with pytest.raises(InvalidSettings, match="'medium': there is none; expected median"):
        evenhand.tune(paced_tasks.steady, trials=1, stopping="medium", db=f"sqlite:///{tmp_path / 'x'}")
