"""What agents say that they measured, held against what was asked: refused in words, and the trial goes on."""

import dataclasses
from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from evenhand.model.job import Assignment
from evenhand.model.task import TaskRecord, TaskSpec
from evenhand.model.trial import Outcome
from evenhand.web.access import Role
from tests.labs import SPACE, claim, started, toy_study
from tests.web import Caller, Site, toy_site

GOOD: list[Any] = [0, 10, 1, 0.5, 0.4, 1.0, {}]


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    with toy_site(tmp_path_factory.mktemp("plausible")) as made:
        yield made


@pytest.fixture
def agent_and_job(site: Site) -> tuple[Caller, Assignment]:
    """An agent, and a trial of two epochs of a built-in task that it claimed."""
    lab = site.lab
    record = TaskRecord(TaskSpec("black-magic"), "version of a built-in task", SPACE, "accuracy", "maximize", 10)
    study = dataclasses.replace(toy_study(lab), name="built in", task_id=lab.studies.add_task(record).id)
    session = started(lab, lab.studies.add(study))
    agent_id, _ = lab.agents.add("one", 1)
    lab.submit(session.id, {"epochs": 2})
    return site.caller(Role.AGENT, agent_id), claim(lab, agent_id)


def changed(**values: Any) -> list[Any]:
    places = {"index": 0, "step": 1, "epoch": 2, "loss": 3, "value": 4, "seconds": 5, "extra": 6}
    point = list(GOOD)
    for name, value in values.items():
        point[places[name]] = value
    return point


def test_what_cannot_be_is_refused_with_value_and_expectation_and_the_trial_goes_on(
    agent_and_job: tuple[Caller, Assignment], site: Site
) -> None:
    agent, job = agent_and_job

    def answer(*rows: list[Any]) -> httpx.Response:
        return agent.http.post("/api/agent/measure", json={"reports": [[job.job_id, job.attempt, list(rows)]]})

    for rows, words in (
        ([changed(index=1)], "measurement 1: index is 1, expected 0, the one after the last, or an earlier one again"),
        ([GOOD, changed(index=2, epoch=2)], "index is 2, expected 1: each once, in order, none left out"),
        ([GOOD, GOOD], "index is 0, expected 1"),
        ([changed(epoch=3)], "epoch is 3, expected at most 2, the last that it was asked for"),
        ([changed(value=1.5)], "accuracy is 1.5, expected a share, from 0 to 1"),
        ([changed(value=-0.1)], "accuracy is -0.1, expected a share"),
        ([changed(extra={"accuracy": 2.0})], "accuracy is 2.0, expected a share"),
        ([changed(seconds=-1.0)], "seconds: -1.0, expected seconds since the training's start, 0 to 31622400"),
        ([changed(seconds=1e12)], "seconds: 1000000000000.0"),
        ([changed(step=-1)], "step: -1, expected 0"),
        ([changed(value="high")], "value"),
    ):
        refused = answer(*rows)
        assert (refused.status_code, words in refused.json()["message"]) == (400, True), refused.text
        body = {"attempt": job.attempt, "outcome": "completed", "rows": rows}
        end = agent.http.post(f"/api/agent/jobs/{job.job_id}/finish", json=body)
        assert (end.status_code, words in end.json()["message"]) == (400, True), end.text
    not_finite = agent.http.post(
        "/api/agent/measure",
        content=f'{{"reports": [[{job.job_id}, {job.attempt}, [[0, 10, 1, NaN, 0.4, 1.0, {{}}]]]]}}',
        headers={"content-type": "application/json"},
    )
    assert not_finite.status_code == 400
    assert answer(GOOD).json()["answers"] == [True]
    assert answer(GOOD, changed(index=1, epoch=2, value=0.6)).json()["answers"] == [True]  # the first again, after a slow line
    end = agent.http.post(f"/api/agent/jobs/{job.job_id}/finish", json={"attempt": job.attempt, "outcome": "completed"})
    assert end.status_code == 200
    trial = site.lab.sessions.get(1).trials[-1]
    assert (trial.outcome, trial.value, trial.epochs_done) == (Outcome.COMPLETED, 0.6, 2)


def test_a_metric_of_ones_own_task_is_what_it_says(site: Site) -> None:
    lab = site.lab
    session, (agent_id, _) = started(lab, toy_study(lab)), lab.agents.add("two", 1)
    lab.submit(session.id, {"epochs": 2})
    job = claim(lab, agent_id)
    reports = [[job.job_id, job.attempt, [changed(value=87.5)]]]
    answer = site.caller(Role.AGENT, agent_id).http.post("/api/agent/measure", json={"reports": reports})
    assert answer.json()["answers"] == [True]
