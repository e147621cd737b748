"""What training costs: rates as they are typed, the cap on it, and how a run ends by it."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

import evenhand
from evenhand.errors import InvalidSettings, Refused
from evenhand.lab.lab import Lab
from evenhand.model import rules
from evenhand.model.cost import Cost, cost_of_text, parse_cost
from evenhand.model.session import Session
from evenhand.model.study import Budget
from evenhand.model.task import TaskRecord, TaskSpec
from evenhand.model.trial import Outcome, Stopper
from evenhand.model.words import budget_words
from tests.components import DATABASES
from tests.labs import SPACE, Clock, database, epoch, make_lab, toy_study

CONFIGURATION = SPACE.configuration({"epochs": 2})


@pytest.mark.parametrize(
    ("price", "watts", "most", "expected"),
    [
        (None, None, None, None),
        ("1.2 EUR/h", None, None, Cost(1.2, "EUR")),
        ("3€/h", 65, None, Cost(3.0, "€", 65.0)),
        ("2 USD / h", None, "5 USD", Cost(2.0, "USD", None, 9000.0)),
        (None, 500, "0.25 kWh", Cost(None, "", 500.0, 1800.0)),
        (None, None, "1.5 h", Cost(most_seconds=5400.0)),
        ("1e-3 EUR/h", 10, "90 min", Cost(0.001, "EUR", 10.0, 5400.0)),
    ],
)
def test_costs_are_read_as_they_are_typed_and_written_so_that_they_are_read_again(
    price: str | None, watts: float | None, most: str | None, expected: Cost | None
) -> None:
    cost = parse_cost(price, watts, most)
    assert cost == expected
    if cost is not None:
        assert cost_of_text(str(cost)) == cost


@pytest.mark.parametrize(
    ("price", "watts", "most", "words"),
    [
        ("1.2", None, None, "price is '1.2', expected an amount, a currency and /h"),
        ("1.2 EUR", None, None, "expected an amount, a currency and /h"),
        ("1.2 kWh/h", None, None, "expected an amount, a currency"),
        ("-1 EUR/h", None, None, "above 0"),
        ("1.2.3 EUR/h", None, None, "expected a number such as 1.2"),
        (1.2, None, None, "price is 1.2"),
        (None, 0, None, "watts"),
        (None, float("nan"), None, "watts"),
        (None, None, "5 EUR", "in 'EUR', expected one of s, min, h, d"),
        ("1 USD/h", None, "5 EUR", "expected one of USD, s, min"),
        ("1 USD/h", None, "5 kWh", "the watts"),
        (None, None, 5, "expected an amount with its unit"),
        (None, None, "0 h", "above 0"),
        ("1e-300 EUR/h", None, "1e300 EUR", "seconds of training"),
    ],
)
def test_what_is_no_cost_is_refused_in_words(price: Any, watts: Any, most: Any, words: str) -> None:
    with pytest.raises(InvalidSettings, match=words):
        parse_cost(price, watts, most)


@pytest.mark.parametrize("text", ["", "1.2 EUR", "1.2 EUR/h; x W;", "1.2 EUR/h;; at most -3 s", ";;;"])
def test_a_text_that_was_not_written_so_is_no_cost(text: str) -> None:
    with pytest.raises(InvalidSettings):
        cost_of_text(text)


def test_what_seconds_cost() -> None:
    cost = Cost(1.2, "EUR", 65.0)
    assert cost.price(1800) == pytest.approx(0.6)
    assert cost.kwh(7200) == pytest.approx(0.13)
    assert cost.words(1800) == "0.6 EUR and 0.033 kWh"
    assert cost.words(18_000) == "6.00 EUR and 0.33 kWh"
    assert cost.rate_words == "1.2 EUR an hour, 65 W"
    assert Cost(most_seconds=60.0).words(30) == Cost().rate_words == ""
    assert budget_words(Budget(trials=3, cost=replace(cost, most_seconds=5400.0))) == (
        "3 trials and 1:30:00 of training (1.80 EUR and 0.098 kWh)"
    )


@pytest.fixture(params=DATABASES)
def lab_and_clock(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[tuple[Lab, Clock]]:
    with database(request.param, tmp_path) as url:
        lab, clock = make_lab(url)
        yield lab, clock
        lab.close()


def _run(lab: Lab, cost: Cost | None, parallel: int = 1) -> Session:
    """A run of one's own under a cost, whose clock runs."""
    task = lab.studies.add_task(TaskRecord(TaskSpec("own"), "own 1", SPACE, "accuracy", "maximize", 10))
    study = lab.studies.add(replace(toy_study(lab), id=0, name="own", task_id=task.id))
    budget = Budget(trials=50, parallel=parallel, cost=cost)
    return lab.start(lab.sessions.open(study.id, tuner="random", driver="python", budget=budget).id)


def test_a_run_ends_where_its_cost_is_used(lab_and_clock: tuple[Lab, Clock]) -> None:
    lab, clock = lab_and_clock
    session = _run(lab, Cost(1.2, "EUR", None, 20.0))
    agent, _ = lab.agents.add("one", 1)
    lab.submit(session.id, CONFIGURATION)
    clock.now += 100  # waiting for an agent costs nothing
    job = claim_of(lab, agent, session.id)
    clock.now += 8
    lab.measure(job, 1, [epoch(0, 1, 0.5), epoch(1, 2, 0.6)])
    lab.finish(job, 1, Outcome.COMPLETED)
    now = lab.sessions.get(session.id)
    assert (rules.training_used(now, clock.now), rules.training_left(now, clock.now)) == (8.0, 12.0)
    assert lab.runs.training_seconds(session.id) == 8.0
    lab.submit(session.id, CONFIGURATION)
    job = claim_of(lab, agent, session.id)
    clock.now += 11
    lab.measure(job, 1, [epoch(0, 1, 0.7)])
    lab.sweep()
    assert lab.sessions.get(session.id).trials[1].stop_by is None
    clock.now += 2
    lab.sweep()
    stopped = lab.sessions.get(session.id).trials[1]
    assert stopped.stop_by is Stopper.RULE
    lab.finish(job, 1, Outcome.STOPPED)
    stopped = lab.sessions.get(session.id).trials[1]
    assert stopped.outcome is Outcome.STOPPED
    assert stopped.why == rules.COST_USED
    with pytest.raises(Refused, match=r"all 0:20 of training \(0.0067 EUR\) of the budget are used"):
        lab.submit(session.id, CONFIGURATION)
    lab.choose(session.id, number=1)
    assert rules.how_ended(lab.sessions.get(session.id)) == "all 0:20 of training (0.0067 EUR) were used"


def test_trials_side_by_side_cost_both_and_what_failed_costs_nothing(lab_and_clock: tuple[Lab, Clock]) -> None:
    lab, clock = lab_and_clock
    session = _run(lab, Cost(most_seconds=100.0), parallel=2)
    agent, _ = lab.agents.add("one", 2)
    jobs = []
    for _ in range(2):
        lab.submit(session.id, CONFIGURATION)
        jobs.append(claim_of(lab, agent, session.id))
    clock.now += 10
    assert rules.training_used(lab.sessions.get(session.id), clock.now) == 20.0
    assert lab.runs.training_seconds(session.id) == 20.0
    lab.finish(jobs[0], 1, Outcome.FAILED, "the machine was lost")
    assert lab.runs.training_seconds(session.id) == 10.0
    assert rules.training_used(lab.sessions.get(session.id), clock.now) == 10.0
    assert rules.training_left(lab.sessions.get(session.id), clock.now) == 90.0


def test_only_ones_own_runs_have_a_cost(lab_and_clock: tuple[Lab, Clock]) -> None:
    lab, _ = lab_and_clock
    study = toy_study(lab)
    with pytest.raises(Refused, match="cost is of exploratory sessions only"):
        lab.sessions.open(study.id, tuner="random", budget=Budget(trials=3, cost=Cost(most_seconds=9.0)))
    session = _run(lab, Cost(1.2, "EUR", 65.0, 60.0))
    assert lab.sessions.get(session.id).budget == Budget(trials=50, cost=Cost(1.2, "EUR", 65.0, 60.0))


def claim_of(lab: Lab, agent_id: int, session_id: int) -> int:
    """The job of the session that waits; its number."""
    assignment = lab.claim(agent_id, session_id=session_id)
    assert assignment is not None
    return assignment.job_id


def test_tune_ends_by_cost_and_may_be_extended_by_more_of_it(tmp_path: Path) -> None:
    db = f"sqlite:///{tmp_path / 'lab.sqlite'}"

    def train(configuration: Any, run: Any) -> float:
        run.report(step=1, epoch=1, loss=configuration["lr"])
        return float(configuration["lr"])

    given: dict[str, Any] = {"space": {"lr": evenhand.Float(0.1, 1.0)}, "metric": "loss", "direction": "minimize"}
    given |= {"db": db, "progress": False, "name": "costly", "price": "3600 EUR/h"}
    first = evenhand.tune(train, max_cost="0.03 EUR", **given)
    assert "of training (0.03 EUR) were used" in repr(first)
    session = first.session
    assert rules.training_used(session, 0.0) >= 0.03
    again = evenhand.tune(train, max_cost="0.03 EUR", **given)
    assert (again.session_id, len(again.trials)) == (first.session_id, len(first.trials))
    more = parse_cost("3600 EUR/h", None, "5000 EUR")
    assert rules.why_not_extend(session, replace(session.budget, cost=more)) is None
    with pytest.raises(Refused, match="can only grow"):
        evenhand.tune(train, max_cost="0.01 EUR", **given)
    with pytest.raises(InvalidSettings, match="no cap given"):
        evenhand.tune(train, **{**given, "name": "other"})
