"""The page that puts runs, or trials, side by side."""

import html
import json
import re
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest

from benchmarks.made_runs import make
from evenhand.model.cost import Cost
from evenhand.model.study import Budget
from evenhand.model.task import TaskRecord, TaskSpec
from evenhand.model.trial import Outcome
from evenhand.web.access import Role
from tests.labs import SPACE, epoch, toy_study
from tests.web import Site, evaluated, toy_site, tuned_study


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    with toy_site(tmp_path_factory.mktemp("compare")) as served:
        for number, trials in enumerate((4, 9, 5)):
            make(served.lab, trials, seed=number, name=f"search {number}")
        yield served


def _of(page: str, name: str) -> Any:
    """A part of the data of the page's chart."""
    attribute = re.search(rf"data-{name}='([^']*)'", page)
    assert attribute is not None
    return json.loads(html.unescape(attribute[1]))


def test_runs_stand_side_by_side_with_what_they_cost_and_what_is_unfair(site: Site) -> None:
    page = site.caller(Role.RESEARCHER).get("/compare?session=1&session=2&session=1").text
    assert "2 runs compared" in page
    assert "Unequal effort in trials: search 0 4 trials, search 1 9 trials." in html.unescape(page)
    lines = _of(page, "lines")
    assert [line[-1][0] for line in lines] == [len(site.lab.sessions.get(number).trials) for number in (1, 2)]
    for line in lines:  # a best so far never falls, and what was spent for it never shrinks
        for column in zip(*line, strict=True):
            assert list(column) == sorted(column)


def test_trials_of_several_runs_stand_side_by_side(site: Site) -> None:
    page = site.caller(Role.RESEARCHER).get("/compare?trial=1:2&trial=2:1&trial=2:3").text
    assert "3 trials compared" in page
    assert "search 0, trial 2" in page
    assert [len(line) for line in _of(page, "lines")] == [
        site.lab.sessions.get(session_id).trials[number - 1].epochs_done for session_id, number in ((1, 2), (2, 1), (2, 3))
    ]


@pytest.mark.parametrize(
    ("query", "words"),
    [
        ("", "runs: got 0, expected 2 to 20 to compare"),
        ("session=1", "runs: got 1, expected 2 to 20"),
        ("trial=1:1", "trials: got 1, expected 2 to 20"),
        ("trial=1:1&trial=nonsense", "got 'nonsense', expected SESSION:NUMBER"),
        ("trial=1:1&trial=2", "got '2', expected SESSION:NUMBER"),
        ("session=1&" + "&".join(f"session={number % 3 + 1}" for number in range(40)), "3 runs compared"),
    ],
)
def test_what_cannot_be_compared_is_said(site: Site, query: str, words: str) -> None:
    answer = site.caller(Role.RESEARCHER).get(f"/compare?{query}")
    assert answer.status_code == (200 if "compared" in words else 400)
    assert words in html.unescape(answer.text)


@pytest.mark.parametrize("query", ["session=1&session=999", "trial=1:1&trial=1:999", "trial=999:1&trial=1:1"])
def test_what_is_not_there_is_not_found(site: Site, query: str) -> None:
    assert site.caller(Role.RESEARCHER).get(f"/compare?{query}").status_code == 404


def test_runs_of_other_metrics_are_not_compared(site: Site) -> None:
    toy = toy_study(site.lab)
    task = site.lab.studies.add_task(TaskRecord(TaskSpec("own"), "own 1", SPACE, "loss", "minimize", 10))
    study = site.lab.studies.add(replace(toy, id=0, name="own", task_id=task.id))
    other = site.lab.sessions.open(study.id, tuner="random", driver="python")
    answer = site.caller(Role.RESEARCHER).get(f"/compare?session=1&session={other.id}")
    assert answer.status_code == 400
    assert "expected runs of one metric" in answer.text


def test_the_ticked_runs_are_compared(site: Site) -> None:
    answer = site.caller(Role.RESEARCHER).post("/runs/act", {"what": "compare", "session": [3, 1, 3]})
    assert (answer.status_code, answer.headers["location"]) == (303, "/compare?session=3&session=1")


@pytest.mark.slow
def test_a_test_score_is_there_for_whoever_has_looked_at_it(site: Site) -> None:
    _, first, agent = tuned_study(site)
    evaluated(site, first.id, agent, 0.7241, 0.7243)
    _, second, agent = tuned_study(site)
    evaluated(site, second.id, agent, 0.7141, 0.7143)
    rosa, olga = site.caller(Role.RESEARCHER), site.caller(Role.OWNER)
    address = f"/compare?session={first.id}&session={second.id}"
    assert "72.4" not in rosa.get(address).text
    rosa.post(f"/sessions/{first.id}/reveal")
    page = rosa.get(address).text
    assert "72.4" in page
    assert "71.4" not in page
    assert page.count("not looked at") == 1
    assert not {"72.4", "71.4"} & set(re.findall(r"\d\d\.\d", olga.get(address).text))


def test_cost_is_told_at_each_runs_rates_and_drawn_where_they_are_one(site: Site) -> None:
    rates = Cost(3600.0, "EUR", 100.0)
    task = site.lab.studies.add_task(TaskRecord(TaskSpec("priced"), "priced 1", SPACE, "accuracy", "maximize", 10))
    study = site.lab.studies.add(replace(toy_study(site.lab), id=0, name="priced", task_id=task.id))
    agent, _ = site.lab.agents.add("priced", 1)
    ids = []
    for seconds in (5, 7):
        budget = Budget(trials=9, cost=rates)
        session = site.lab.start(site.lab.sessions.open(study.id, tuner="random", driver="python", budget=budget).id)
        site.lab.submit(session.id, SPACE.configuration({"epochs": 2}))
        job = site.lab.claim(agent, session_id=session.id)
        assert job is not None
        site.clock.now += seconds
        site.lab.measure(job.job_id, job.attempt, [epoch(0, 1, 0.4), epoch(1, 2, 0.5)])
        site.lab.finish(job.job_id, job.attempt, Outcome.COMPLETED)
        ids.append(session.id)
    rosa = site.caller(Role.RESEARCHER)
    page = rosa.get(f"/compare?session={ids[0]}&session={ids[1]}").text
    assert _of(page, "axes")[-1] == "cost in EUR"
    assert [line[-1][3] for line in _of(page, "lines")] == [5.0, 7.0]  # a second costs one EUR
    assert "5.00 EUR and 0.00014 kWh" in page
    mixed = rosa.get(f"/compare?session={ids[0]}&session=1").text
    assert _of(mixed, "axes")[-1] == "time of training"
    assert "5.00 EUR" in mixed
