"""The verbs over HTTP against a real server: the same answers and errors as in process, and repeats that change nothing twice."""

import json
import math
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx
import pytest

from evenhand.errors import (
    EvenhandError,
    InvalidConfiguration,
    InvalidSettings,
    NotAllowed,
    NotFound,
    Refused,
    StaleAttempt,
    Unreachable,
)
from evenhand.lab import client
from evenhand.lab.client import Client
from evenhand.lab.lab import Lab
from evenhand.lab.verbs import AgentVerbs, TunerVerbs
from evenhand.model import codec
from evenhand.model.configuration import Configuration
from evenhand.model.job import Assignment, MeasurementBatch
from evenhand.model.session import Session, State, View
from evenhand.model.study import Budget
from evenhand.model.trial import Measurement, Outcome
from evenhand.rehearsal.run import held_port
from evenhand.runners import method_player
from evenhand.settings import Rules
from evenhand.web import api
from evenhand.web.app import create_app
from tests.labs import SPACE, batch, epoch, started, toy_study
from tests.waiting import PATIENCE_SECONDS, wait_for
from tests.web import listening

CONFIGURATION = SPACE.configuration({"epochs": 2})


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    # No lease of what a test leaves unfinished ends in another: that would wake claims that wait.
    lab = Lab.connect(f"sqlite:///{tmp_path_factory.mktemp('lab') / 'lab.sqlite'}", Rules(lease=3600))
    yield lab
    lab.close()


@pytest.fixture(scope="module")
def url(lab: Lab, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with listening(create_app(lab, data_dir=tmp_path_factory.mktemp("data"))) as address:
        yield address


@pytest.fixture
def session(lab: Lab) -> Session:
    return started(lab, toy_study(lab, Budget(trials=3)))


@pytest.fixture
def method(lab: Lab, url: str, session: Session) -> Iterator[Client]:
    with Client(url, lab.tokens.issue("method", session.id)) as client:
        yield client


@pytest.fixture
def agent(lab: Lab, url: str) -> Iterator[Client]:
    _, token = lab.agents.add("remote", 1)
    with Client(url, token) as client:
        yield client


def alike(one: View, other: View) -> bool:
    """Whether two views say the same, at whatever time each was taken."""
    return replace(one, now=0.0, waiting=None) == replace(other, now=0.0, waiting=None)


@pytest.mark.slow
def test_a_method_sees_and_does_over_http_what_it_sees_and_does_in_process(lab: Lab, session: Session, method: Client) -> None:
    assert alike(method.view(), lab.view(session.id))
    trial = method.submit(session.id, CONFIGURATION, reasons={"epochs": "guess"}, explanation="why not")
    assert trial == lab.sessions.get(session.id).trials[0]
    assert isinstance(trial.configuration, Configuration)
    with pytest.raises(Refused, match="still waiting for an agent"):
        method.submit(session.id, CONFIGURATION)
    assert method.stop(session.id, 1).outcome is Outcome.STOPPED
    assert alike(method.view(session.id), lab.view(session.id))
    chosen = method.choose(session.id, configuration=CONFIGURATION)
    assert chosen.choice == lab.sessions.get(session.id).choice
    assert method.view().state is State.CHOSEN


def test_an_agents_whole_way_over_http(lab: Lab, session: Session, method: Client, agent: Client) -> None:
    agent.hello(slots=3, machine="far away")
    assert [agent.slots for agent in lab.agents.all() if agent.machine == "far away"] == [3]
    assert agent.claim(session_id=session.id) is None
    method.submit(session.id, CONFIGURATION)
    assert agent.claim(session_id=session.id, refused=[session.task.version]) is None
    job = agent.claim(session_id=session.id)
    assert job is not None
    assert (job.task, job.configuration, job.attempt) == (session.task.spec, dict(CONFIGURATION), 1)
    measured = [batch(0, 0.1 + 0.2), epoch(1, 1, 1 / 3), Measurement(2, 11, None, None, None, 1e-9, {"f1": 5e-324})]
    assert agent.measure(job.job_id, 1, measured)
    assert agent.measure(job.job_id, 1, measured)  # its answer was lost, say
    assert lab.curve(session.id, 1).measurements == tuple(measured)  # bit for bit
    assert method.curve(session.id, 1, (1, 0)).measurements == tuple(measured[1:])
    method.stop(session.id, 1)
    assert not agent.measure(job.job_id, 1, [])
    agent.finish(job.job_id, 1, Outcome.STOPPED)
    agent.finish(job.job_id, 1, Outcome.STOPPED)
    assert method.view().best == lab.sessions.get(session.id).trials[0]


@pytest.mark.slow
def test_a_method_plays_its_session_over_http_as_in_process(lab: Lab, url: str, agent: Client) -> None:
    played = []
    for over_http in (True, False):
        study = toy_study(lab, Budget(trials=4))
        session = lab.sessions.open(study.id, tuner="random", method={"name": "random", "seed": 5}, driver="test")
        ended = threading.Event()
        trainer = threading.Thread(target=train_all, args=(agent, session.id, ended))
        trainer.start()
        with Client(url, lab.tokens.issue("method", session.id)) as client:
            verbs: TunerVerbs = client if over_http else lab
            method_player.tune(verbs, session.id, poll=0.05)
        ended.set()
        trainer.join()
        played.append(lab.sessions.get(session.id))
    first, second = played
    assert [trial.configuration for trial in first.trials] == [trial.configuration for trial in second.trials]
    assert len(first.trials) == 4
    assert first.choice is not None
    assert second.choice is not None
    assert (
        first.choice.configuration == second.choice.configuration == max(first.trials, key=lambda t: t.value or 0).configuration
    )


def train_all(agent: Client, session_id: int, ended: threading.Event) -> None:
    """An agent whose trainings score their learning rate."""
    while not ended.is_set():
        job = agent.claim(session_id=session_id)
        if job is None or job.kind == "evaluation":
            time.sleep(0.02)
            continue
        agent.measure(job.job_id, job.attempt, [epoch(0, 1, float(job.configuration["learning_rate"]))])
        agent.finish(job.job_id, job.attempt, Outcome.COMPLETED)


def test_a_method_over_http_goes_on_when_a_trial_ends_and_not_before(
    lab: Lab, url: str, agent: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(api, "OTHERS_LOOK_SECONDS", PATIENCE_SECONDS)
    monkeypatch.setattr(api, "LONGEST_WAIT_SECONDS", PATIENCE_SECONDS)
    monkeypatch.setattr(client, "HTTP_TIMEOUT", 2 * PATIENCE_SECONDS)
    study = toy_study(lab, Budget(trials=2))
    session = lab.sessions.open(study.id, tuner="random", method={"name": "random", "seed": 5}, driver="test")
    looks: list[float] = []
    with Client(url, lab.tokens.issue("method", session.id)) as method:
        view = method.view

        def counted(session_id: int = 0) -> View:
            looks.append(time.monotonic())
            return view(session_id)

        method.view = counted  # type: ignore[method-assign]
        thread = threading.Thread(target=method_player.tune, args=(method, session.id), kwargs={"poll": PATIENCE_SECONDS})
        thread.start()
        begun, ended = [], []
        for number in (1, 2):
            job = wait_for(lambda: agent.claim(session_id=session.id), f"trial {number} comes")
            begun.append(time.monotonic())
            before = len(looks)
            for index in range(5):
                agent.measure(job.job_id, 1, [batch(index, 0.5)])
                time.sleep(0.05)
            assert len(looks) == before
            agent.finish(job.job_id, 1, Outcome.COMPLETED, None, [epoch(5, 1, number / 10)])
            ended.append(time.monotonic())
        thread.join(PATIENCE_SECONDS)
        assert not thread.is_alive()
        assert lab.sessions.get(session.id).choice is not None
        assert begun[1] - ended[0] < PATIENCE_SECONDS / 2  # it would look by itself after all of it


@pytest.mark.slow
def test_a_method_that_could_not_reach_the_server_looks_again(
    lab: Lab, url: str, agent: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    study = toy_study(lab, Budget(trials=3))
    session = lab.sessions.open(study.id, tuner="random", method={"name": "random", "seed": 5}, driver="test")
    asked: list[str] = []

    monkeypatch.setattr(method_player, "OFFLINE_SECONDS", 0.01)
    ended = threading.Event()
    training = threading.Thread(target=train_all, args=(agent, session.id, ended))
    training.start()
    with Client(url, lab.tokens.issue("method", session.id), retry=0.0) as method:
        send = method._post

        def post(path: str, **body: Any) -> dict[str, Any]:
            verb = path.rpartition("/")[2]
            asked.append(verb)
            if verb == "submit" and asked.count("submit") == 2:
                raise Unreachable("the line is cut")
            return send(path, **body)

        method._post = post  # type: ignore[method-assign]
        assert method_player.tune(method, session.id).choice is not None
    ended.set()
    training.join()
    lost = [index for index, verb in enumerate(asked) if verb == "submit"][1]
    assert asked[lost - 1 : lost + 2] == ["wait", "submit", "view"]


@pytest.mark.parametrize("over_http", [False, True])
def test_a_wait_ends_with_its_time_or_the_next_event(
    lab: Lab, session: Session, method: Client, monkeypatch: pytest.MonkeyPatch, over_http: bool
) -> None:
    verbs: TunerVerbs = method if over_http else lab
    monkeypatch.setattr(api, "OTHERS_LOOK_SECONDS", PATIENCE_SECONDS)
    monkeypatch.setattr(api, "LONGEST_WAIT_SECONDS", PATIENCE_SECONDS)
    method._http.timeout = 2 * PATIENCE_SECONDS
    verbs.wait(session.id, PATIENCE_SECONDS if over_http else 0.0)  # over HTTP it knows no event yet
    for measured, seconds in ((False, 0.3), (True, 0.3)):
        begun = time.monotonic()
        verbs.wait(session.id, seconds, measured)
        assert seconds <= time.monotonic() - begun < PATIENCE_SECONDS / 2
    agent_id, _ = lab.agents.add("one", 1)
    lab.submit(session.id, CONFIGURATION)
    job = lab.claim(agent_id, session_id=session.id)
    assert job is not None
    begun = time.monotonic()
    verbs.wait(session.id, 0.3)  # that its trial has started tells it nothing
    assert time.monotonic() - begun >= 0.3
    listeners = len(lab.on_change)
    for measured, happens in ((True, lambda: lab.measure(job.job_id, 1, [batch(0, 0.5)])), (False, lambda: end(lab, job))):
        with ThreadPoolExecutor(1) as pool:
            begun = time.monotonic()
            woken = pool.submit(verbs.wait, session.id, PATIENCE_SECONDS, measured)
            if over_http:
                wait_for(lambda: len(lab.on_change) > listeners, "somebody waits")
            happens()
            woken.result()
            assert time.monotonic() - begun < PATIENCE_SECONDS / 2
        wait_for(lambda: len(lab.on_change) == listeners, "nobody waits any longer")


def end(lab: Lab, job: Assignment) -> None:
    lab.finish(job.job_id, job.attempt, Outcome.COMPLETED)


def test_a_wait_gives_what_a_look_gives(lab: Lab, session: Session, method: Client) -> None:
    method.view(session.id)
    lab.submit(session.id, CONFIGURATION)
    assert method.wait(session.id, PATIENCE_SECONDS).session == lab.view(session.id).session == method.view(session.id).session


@pytest.mark.parametrize("over_http", [False, True])
def test_a_claim_waits_for_a_training(lab: Lab, session: Session, agent: Client, over_http: bool) -> None:
    verbs: AgentVerbs = agent if over_http else lab
    agent_id = 0 if over_http else lab.agents.add("one", 1)[0]
    begun = time.monotonic()
    assert verbs.claim(agent_id, session_id=session.id, seconds=0.3) is None
    assert 0.3 <= time.monotonic() - begun < api.LONGEST_WAIT_SECONDS

    def claimed(queue: Callable[[], object]) -> Assignment:
        with ThreadPoolExecutor(1) as pool:
            claim = pool.submit(verbs.claim, agent_id, session_id=session.id, seconds=PATIENCE_SECONDS)
            wait_for(lambda: lab.on_waiting, "the claim waits")
            queue()
            claimed = claim.result()
            assert claimed is not None, "it was not told before its time was over"
            return claimed

    job = claimed(lambda: lab.submit(session.id, CONFIGURATION))
    job = claimed(lambda: lab.release(job.job_id, job.attempt, "its worker process died"))
    verbs.finish(job.job_id, job.attempt, Outcome.COMPLETED)
    assert claimed(lambda: lab.choose(session.id, configuration=CONFIGURATION)).kind == "evaluation"
    wait_for(lambda: lab.on_waiting, "nobody waits any more", lambda waiting: waiting == [])


@pytest.mark.slow
@pytest.mark.parametrize("over_http", [False, True])
def test_what_an_agent_cannot_train_is_not_given_to_its_next_slot(
    lab: Lab, session: Session, agent: Client, monkeypatch: pytest.MonkeyPatch, over_http: bool
) -> None:
    verbs: AgentVerbs = agent if over_http else lab
    agent_id = 0 if over_http else lab.agents.add("one", 3)[0]
    lab.submit(session.id, CONFIGURATION)
    job = verbs.claim(agent_id, session_id=session.id)
    assert job is not None
    looks: list[object] = []
    claim = lab.agents._claim

    def look(*arguments: Any) -> Assignment | None:
        looks.append(claimed := claim(*arguments))
        return claimed

    monkeypatch.setattr(lab.agents, "_claim", look)
    with ThreadPoolExecutor(3) as pool:
        others = [pool.submit(verbs.claim, agent_id, session_id=session.id, seconds=3.0) for _ in range(3)]
        wait_for(lambda: looks, "three claims have found nothing", lambda looks: looks == [None] * 3)
        assert not any(future.done() for future in others)
        verbs.release(job.job_id, job.attempt, "this agent has it not", counts=False)
        assert [future.result() for future in others] == [None] * 3
    again = verbs.claim(agent_id, session_id=session.id)
    assert again is not None
    assert again.attempt == 2


def test_nothing_is_leased_to_an_agent_that_left_while_it_waited(
    lab: Lab, session: Session, agent: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    looks: list[object] = []
    claim = lab.claim
    monkeypatch.setattr(lab, "claim", lambda *arguments, **more: looks.append(claim(*arguments, **more)))
    asked = {"session_id": session.id, "seconds": 5}
    with pytest.raises(httpx.ReadTimeout):
        httpx.post(f"{agent.url}/api/agent/claim", json=asked, headers=agent._http.headers, timeout=0.3)
    wait_for(lambda: looks, "the server hears of it")
    lab.submit(session.id, CONFIGURATION)
    wait_for(lambda: not lab.on_waiting, "the server hears that it is gone")
    assert lab.sessions.get(session.id).trials[0].claimed_at is None


def test_a_released_job_is_anothers_and_late_writers_hear_so(session: Session, method: Client, agent: Client) -> None:
    method.submit(session.id, CONFIGURATION)
    job = agent.claim(session_id=session.id)
    assert job is not None
    agent.release(job.job_id, 1, "shut down", counts=False)
    again = agent.claim(session_id=session.id)
    assert again is not None
    assert again.attempt == 2
    for late in (
        lambda: agent.measure(job.job_id, 1, [batch(0)]),
        lambda: agent.finish(job.job_id, 1, Outcome.COMPLETED),
        lambda: agent.release(job.job_id, 1, "too late"),
    ):
        with pytest.raises(StaleAttempt, match="attempt 1 of job"):
            late()


def test_an_agent_writes_about_its_own_trainings_only(
    lab: Lab, url: str, session: Session, method: Client, agent: Client
) -> None:
    method.submit(session.id, CONFIGURATION)
    job = agent.claim(session_id=session.id)
    assert job is not None
    with Client(url, lab.agents.add("another", 1)[1], retry=0.0) as other:
        writes = (
            lambda: other.measure(job.job_id, job.attempt, [batch(0)]),
            lambda: other.finish(job.job_id, job.attempt, Outcome.COMPLETED),
            lambda: other.release(job.job_id, job.attempt, "mine now"),
        )
        for write in writes:
            with pytest.raises(StaleAttempt, match="not this agent's"):
                write()
    assert lab.curve(session.id, 1).measurements == ()
    assert agent.measure(job.job_id, job.attempt, [batch(0)])


def several(lab: Lab, agent: Client, count: int) -> list[tuple[int, Assignment]]:
    """As many claimed trainings, each the first trial of a session of its own, whose id comes with it."""
    assignments = []
    for _ in range(count):
        session = started(lab, toy_study(lab))
        lab.submit(session.id, CONFIGURATION)
        job = agent.claim(session_id=session.id)
        assert job is not None
        assignments.append((session.id, job))
    return assignments


def told_together(agent: Client, reports: Sequence[MeasurementBatch]) -> tuple[list[object], list[int]]:
    """What each of these reports, which wait for each other, is told, and how many reports each post held."""
    sizes: list[int] = []
    agent._http.event_hooks["request"] = [lambda request: sizes.append(len(json.loads(request.content)["reports"]))]

    def tell(report: MeasurementBatch) -> object:
        try:
            return agent.measure(*report)
        except (EvenhandError, ValueError) as error:
            return type(error)

    with ThreadPoolExecutor(len(reports)) as threads:
        agent._posting = True  # as if a post were under way
        answers = [threads.submit(tell, report) for report in reports]
        wait_for(lambda: agent._unposted, "all wait", lambda unposted: len(unposted) == len(reports))
        agent._hand_over([])
        results = [answer.result() for answer in answers]
    agent._http.event_hooks["request"] = []
    return results, sizes


def test_reports_that_wait_for_each_other_go_in_one_post(lab: Lab, agent: Client) -> None:
    jobs = several(lab, agent, 4)
    lab.stop(jobs[1][0], 1)
    reports = [MeasurementBatch(job.job_id, 1, [batch(0, 0.25), epoch(1, 1, 0.5)]) for _, job in jobs]
    reports[2] = reports[2]._replace(attempt=7)
    answers, sizes = told_together(agent, reports)
    assert answers == [True, False, StaleAttempt, True]
    assert sizes == [4]
    stored = [lab.curve(session_id, 1).measurements for session_id, _ in jobs]
    assert stored == [tuple(report.batch) if report.attempt == 1 else () for report in reports]


@pytest.mark.slow
def test_one_report_that_is_refused_does_not_stop_the_others(lab: Lab, agent: Client) -> None:
    jobs = several(lab, agent, 3)
    reports = [
        MeasurementBatch(job.job_id, 1, [batch(0, loss)]) for (_, job), loss in zip(jobs, (0.5, math.nan, 0.25), strict=True)
    ]
    answers, _ = told_together(agent, reports)
    assert answers == [True, ValueError, True]
    assert [len(lab.curve(session_id, 1).measurements) for session_id, _ in jobs] == [1, 0, 1]


def test_a_post_stays_small(lab: Lab, agent: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("evenhand.lab.client.MOST_POSTED_MEASUREMENTS", 5)
    jobs = several(lab, agent, 3)
    answers, sizes = told_together(agent, [MeasurementBatch(job.job_id, 1, [batch(i) for i in range(3)]) for _, job in jobs])
    assert answers == [True] * 3
    assert sizes == [1, 1, 1]


@pytest.mark.parametrize("ends", [False, True], ids=["a report", "the end"])
def test_what_one_post_may_not_hold_is_sent_in_several(
    ends: bool, lab: Lab, agent: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(client, "MOST_POSTED_MEASUREMENTS", 5)
    monkeypatch.setattr(api, "MOST_REPORTED_MEASUREMENTS", 5)
    ((session_id, job),) = several(lab, agent, 1)
    measured = [batch(i) for i in range(12)]
    if ends:
        agent.finish(job.job_id, 1, Outcome.STOPPED, batch=measured)
        assert lab.sessions.get(session_id).trials[0].outcome is Outcome.STOPPED
    else:
        assert agent.measure(job.job_id, 1, measured)
    assert lab.curve(session_id, 1).measurements == tuple(measured)


def test_a_post_for_which_the_line_was_too_slow_is_sent_again(
    lab: Lab, url: str, agent: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    ((session_id, job),) = several(lab, agent, 1)
    post, asked = agent._http.post, list[str]()

    def slow_at_first(path: str, **content: Any) -> httpx.Response:
        asked.append(path)
        answer = {"error": "BodyRefused", "message": "this request did not arrive within 60 s", "problems": []}
        return httpx.Response(408, json=answer) if len(asked) == 1 else post(path, **content)

    monkeypatch.setattr(agent._http, "post", slow_at_first)
    assert agent.measure(job.job_id, 1, [batch(0)])
    assert len(asked) == 2
    assert lab.curve(session_id, 1).measurements == (batch(0),)


def test_each_training_gets_its_turn(agent: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    posts: list[list[int]] = []

    def slow(group: Sequence[client._Posted]) -> None:
        time.sleep(0.005)
        posts.append([posted.report[0] for posted in group])
        for posted in group:
            posted.reply = True

    monkeypatch.setattr(agent, "_send_reports", slow)
    monkeypatch.setattr(client, "REST_FACTOR", 0)
    together = threading.Barrier(10, timeout=PATIENCE_SECONDS)  # else the first may have ended before the last begins

    def train(job: int) -> None:
        together.wait()
        for _ in range(20):
            agent.measure(job, 1, [batch(0)])

    with ThreadPoolExecutor(10) as threads:
        list(threads.map(train, range(10)))
    assert sum(len(jobs) for jobs in posts) == 200
    ends = [max(at for at, jobs in enumerate(posts) if job in jobs) for job in range(10)]
    assert min(ends) > max(ends) / 2, "one training's reports went before all of another's"


def test_nobody_is_left_waiting_where_the_server_is_gone() -> None:
    with held_port() as port, Client(f"http://127.0.0.1:{port}", "token", retry=0.0) as agent:
        answers, _ = told_together(agent, [MeasurementBatch(number, 1, [batch(0)]) for number in range(3)])
    assert answers == [Unreachable] * 3


def test_errors_come_back_as_what_the_lab_raised(session: Session, method: Client) -> None:
    with pytest.raises(InvalidConfiguration) as caught:
        method.submit(session.id, Configuration({"epochs": 99, "learning_rate": -1.0, "colour": "red"}))
    assert {problem.name for problem in caught.value.problems} == {"epochs", "learning_rate", "colour"}
    with pytest.raises(NotFound, match="no trial 4"):
        method.stop(session.id, 4)


def test_a_revoked_token_opens_no_door(lab: Lab, url: str) -> None:
    _, token = lab.agents.add("left", 1)
    with Client(url, token, retry=0.0) as client:
        client.hello(slots=1, machine="x")
        lab.tokens.revoke("agent", token)
        with pytest.raises(NotAllowed):
            client.hello(slots=1, machine="x")


def test_a_token_opens_its_own_door_only(lab: Lab, url: str, session: Session, method: Client, agent: Client) -> None:
    other = started(lab, toy_study(lab))
    with pytest.raises(NotAllowed, match=f"this token is of session {session.id}"):
        method.view(other.id)
    with pytest.raises(NotAllowed):
        method.claim()
    with pytest.raises(NotAllowed):
        agent.view()
    with Client(url, "guessed") as stranger, pytest.raises(NotAllowed, match="bearer token"):
        stranger.claim()


@pytest.mark.parametrize(
    "row",
    [
        [0, 1, None, "text", None, 0.0, {}],
        [0, 1, None, 1.0, None],
        ["0", 1, None, 1.0, None, 0.0, {}],
        [0, True, None, 1.0, None, 0.0, {}],
        [0, 1, None, 1.0, None, 0.0, {"f1": [1]}],
    ],
)
def test_what_is_no_measurement_is_refused_with_words_and_stores_nothing(
    lab: Lab, session: Session, method: Client, agent: Client, row: list[object]
) -> None:
    method.submit(session.id, CONFIGURATION)
    job = agent.claim(session_id=session.id)
    assert job is not None
    with pytest.raises(InvalidSettings, match="measurement"):
        agent._post("/api/agent/measure", reports=[[job.job_id, 1, [row]]])
    assert lab.curve(session.id, 1).measurements == ()


def test_numbers_that_are_not_finite_do_not_enter(agent: Client) -> None:
    with pytest.raises(InvalidSettings, match="finite"):
        codec.measurement_of([0, 1, None, float("nan"), None, 0.0, {}])
    answer = httpx.post(f"{agent.url}/api/agent/claim", content=b"{not json", headers=agent._http.headers)
    assert answer.status_code == 400


def test_a_server_that_is_no_laboratory_is_told_in_its_own_words(url: str) -> None:
    with Client(url, "token") as client:
        client._http.headers["host"] = "evil.example"
        with pytest.raises(EvenhandError, match="does not answer to the name"):
            client.view()


def test_every_part_of_a_view_survives_the_wire(lab: Lab, session: Session) -> None:
    for value in (lab.view(session.id), session, session.task, session.space):
        assert codec.from_json(type(value), codec.to_json(value)) == value
    broken = codec.to_json(session)
    broken["task"]["direction"] = "sideways"
    with pytest.raises(InvalidSettings, match=r"task\.direction: got 'sideways', expected one of maximize, minimize"):
        codec.from_json(Session, broken)


@pytest.mark.slow
def test_of_a_long_session_only_what_is_new_is_sent(
    lab: Lab, method: Client, session: Session, agent: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    sent: list[dict[str, Any]] = []
    read = codec.view_from_json

    def noted(data: dict[str, Any], known: Session | None) -> View:
        sent.append(data)
        return read(data, known)

    monkeypatch.setattr(codec, "view_from_json", noted)
    assert alike(method.view(), lab.view(session.id))
    for number in (1, 2):
        method.submit(session.id, CONFIGURATION)
        assert alike(method.view(), lab.view(session.id))
        job = agent.claim(session_id=session.id)
        assert job is not None
        agent.finish(job.job_id, 1, Outcome.COMPLETED, None, [epoch(0, 2, number / 10)])
    assert alike(method.view(), lab.view(session.id))
    assert [[trial["number"] for trial in message["session"]["trials"]] for message in sent] == [[], [1], [1, 2], [2]]
    assert ["task" in message["session"] for message in sent] == [True, False, False, False]
    known = lab.view(session.id)
    for last, expected in ((known.session.trials[1].id, []), (9999, [1, 2])):  # another id: a backup was restored meanwhile
        data = codec.view_to_json(known, 2, last, "")
        assert [trial["number"] for trial in data["session"]["trials"]] == expected
        assert alike(codec.view_from_json(data, known.session), known)
    with pytest.raises(InvalidSettings, match=r"view\.settled"):
        codec.view_from_json({**data, "settled": None}, None)


def test_a_training_ends_with_its_last_measurements(lab: Lab, session: Session, method: Client, agent: Client) -> None:
    method.submit(session.id, CONFIGURATION)
    job = agent.claim(session_id=session.id)
    assert job is not None
    assert agent.measure(job.job_id, 1, [batch(0, 0.5)])
    for _ in range(2):  # the first answer was lost, say
        agent.finish(job.job_id, 1, Outcome.COMPLETED, None, [epoch(1, 1, 0.25), epoch(2, 2, 0.75)])
    assert [measurement.index for measurement in lab.curve(session.id, 1).measurements] == [0, 1, 2]
    assert (lab.sessions.get(session.id).trials[0].value, lab.sessions.get(session.id).trials[0].epochs_done) == (0.75, 2)
    with pytest.raises(StaleAttempt):
        agent.finish(job.job_id, 2, Outcome.COMPLETED, None, [epoch(0, 1, 0.9)])
    assert len(lab.curve(session.id, 1).measurements) == 3


@pytest.mark.slow
def test_a_write_is_repeated_until_the_server_is_back_and_done_once(tmp_path: Path) -> None:
    lab = Lab.connect(f"sqlite:///{tmp_path / 'lab.sqlite'}")
    session = started(lab, toy_study(lab))
    token = lab.tokens.issue("method", session.id)
    tries: list[object] = []
    with held_port() as port, Client(f"http://127.0.0.1:{port}", token, retry=PATIENCE_SECONDS) as client:
        impatient = Client(client.url, "", retry=0.2)
        with pytest.raises(Unreachable, match="is it running"):
            impatient.view()
        client._http.event_hooks["request"] = [tries.append]
        with ThreadPoolExecutor(1) as pool:
            submitted = pool.submit(client.submit, session.id, CONFIGURATION)
            wait_for(lambda: tries, "it has tried in vain, and again", lambda tries: len(tries) >= 2)
            with listening(create_app(lab, data_dir=tmp_path), port):
                assert [submitted.result()] == list(lab.sessions.get(session.id).trials)
    lab.close()


@pytest.mark.parametrize("address", ["nonsense", "lab.example:8765", "ftp://lab.example", "http://", "http://a:b", ""])
def test_an_address_that_is_none_is_refused_at_once(address: str) -> None:
    with pytest.raises(InvalidSettings, match="expected http://HOST:PORT"):
        Client(address, "abc")
