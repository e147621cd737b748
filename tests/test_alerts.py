"""Alerts: what they are made of, when they begin and end, and what a webhook hears of them."""

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import pytest

from evenhand.lab.lab import Lab
from evenhand.model.configuration import Configuration
from evenhand.model.job import AgentRecord
from evenhand.model.session import Pause, Session
from evenhand.model.study import Budget, Study, Text
from evenhand.model.task import TaskRecord, TaskSpec
from evenhand.model.trial import Outcome, Trial
from evenhand.studies import alerts as study_alerts
from evenhand.studies.alerts import FAILED_ALIKE_REASON, Alert, AlertFacts, Watch, alerts, failing
from evenhand.web import app as web_app
from evenhand.web.access import Role
from evenhand.web.state import held_by
from tests.labs import SPACE, batch, claim, make_lab, started, toy_study
from tests.waiting import wait_for
from tests.web import toy_site

NOW = 1_000_000.0
TASK = TaskRecord(TaskSpec("toy"), "version 1", SPACE, "accuracy", "maximize", 10)
STUDY = Study("s", "S", 1, Budget(seconds=3600), 7, Text(""), Text(""), Text(""), published_at=NOW - 90_000, id=1)
AGENT = AgentRecord(1, "one", 2, NOW - 1, 0, machine="a")


def session(*trials: Trial, kind: Any = "participant", id: int = 3, pauses: tuple[Pause, ...] = ()) -> Session:
    made = Session(id, 1, TASK, kind, "P-007", Budget(), 7, NOW - 9000, started_at=NOW - 9000)
    return replace(made, trials=trials, pauses=pauses)


def trial(number: int = 1, **facts: Any) -> Trial:
    return Trial(number, 3, number, Configuration({}), "P-007", **{"submitted_at": NOW - 1000, "epochs_planned": 2, **facts})


def failed(*whys: str, outcome: Outcome = Outcome.FAILED) -> tuple[Trial, ...]:
    ends = {"submitted_at": NOW - 900, "claimed_at": NOW - 800, "outcome": outcome}
    return tuple(trial(i, finished_at=NOW - 700 + i, why=why, **ends) for i, why in enumerate(whys, 1))


def kinds(now: float = NOW, up_since: float = 0.0, **facts: Any) -> list[str]:
    return [alert.kind for alert in alerts(AlertFacts(up_since, studies=(STUDY,), **facts), now)]


def test_nothing_is_wrong_where_all_goes_well() -> None:
    measuring = session(trial(claimed_at=NOW - 500))
    thinking = session(id=4)
    facts: dict[str, Any] = {
        "sessions": (measuring, thinking),
        "measured": {1: NOW - 119},
        "agents": (AGENT,),
        "free": 3e9,
        "total": 50e9,
    }
    assert kinds(**facts) == []


def test_a_training_that_measures_nothing_stalls_after_two_minutes() -> None:
    stuck = session(trial(claimed_at=NOW - 500))
    assert kinds(sessions=(stuck,), measured={1: NOW - 121}, agents=(AGENT,)) == ["stalled"]
    assert kinds(sessions=(stuck,), measured={1: NOW - 120}, agents=(AGENT,)) == []
    assert kinds(sessions=(stuck,), agents=(AGENT,)) == ["stalled"]
    assert kinds(sessions=(session(trial(claimed_at=NOW - 119)),), agents=(AGENT,)) == []
    assert kinds(sessions=(stuck,), agents=(AGENT,), up_since=NOW - 100) == [], "while the server was down nobody could measure"
    paused = replace(stuck, pauses=(Pause(NOW - 400, None, "lunch"),))
    assert kinds(sessions=(paused,), agents=(AGENT,)) == []


def test_a_method_that_makes_no_move_stalls_but_a_person_who_thinks_does_not() -> None:
    ended = trial(claimed_at=NOW - 500, finished_at=NOW - 121, outcome=Outcome.COMPLETED)
    assert kinds(sessions=(session(ended, kind="method"),), agents=(AGENT,)) == ["idle"]
    assert kinds(sessions=(session(ended),), agents=(AGENT,)) == []
    assert kinds(now=NOW - 2, sessions=(session(ended, kind="method"),), agents=(AGENT,)) == []


def test_waiting_without_an_agent_is_told_after_a_minute_and_for_participants_again_after_five() -> None:
    def waiting(seconds: float, **facts: Any) -> list[str]:
        return kinds(sessions=(session(trial(submitted_at=NOW - seconds)),), **facts)

    assert waiting(59) == []
    assert waiting(61) == ["no agent"]
    assert waiting(301) == ["no agent", "unserved"]
    assert waiting(301, agents=(AGENT,)) == []
    assert waiting(601, agents=(AGENT,)) == ["queue"]
    assert waiting(601, agents=(AGENT,), up_since=NOW - 500) == []
    method = session(trial(submitted_at=NOW - 301), kind="method")
    assert kinds(sessions=(method,)) == ["no agent"]


def test_a_silent_agent_is_missed_unless_another_took_its_place() -> None:
    gone = replace(AGENT, id=2, last_seen=NOW - 61)
    (alert,) = alerts(AlertFacts(0.0, agents=(gone,)), NOW)
    assert (alert.kind, alert.about, alert.since) == ("agent", "agent 2", NOW - 61)
    assert kinds(agents=(replace(gone, last_seen=NOW - 60),)) == []
    assert kinds(agents=(gone, AGENT)) == [], "the same machine's agent was started again"
    assert kinds(agents=(gone, replace(AGENT, machine="b"))) == ["agent"]
    assert kinds(agents=(gone,), up_since=NOW - 30) == []


def test_a_disk_fills_below_two_gigabytes_or_a_twentieth() -> None:
    assert kinds(free=1.9e9, total=10e9) == ["disk"]
    assert kinds(free=2.1e9, total=10e9) == []
    assert kinds(free=4.9e9, total=100e9) == ["disk"]
    assert kinds(free=5.1e9, total=100e9) == []


def test_a_backup_is_missed_after_two_hours() -> None:
    assert kinds(backups={1: NOW - 7201}) == ["backup"]
    assert kinds(backups={1: NOW - 7199}) == []
    assert kinds(backups={1: None}) == ["backup"]
    assert kinds(backups={1: None}, up_since=NOW - 7199) == []
    assert kinds() == [], "no folder for backups is named, or the study does not collect"


def test_the_newest_backup_of_a_folder(tmp_path: Path) -> None:
    assert study_alerts.newest_file(tmp_path) is None
    assert study_alerts.newest_file(tmp_path / "missing") is None
    (tmp_path / "erasures-abc.jsonl").touch()
    assert study_alerts.newest_file(tmp_path) is None
    backup = tmp_path / "evenhand-20261121T100000Z.zip"
    backup.touch()
    assert study_alerts.newest_file(tmp_path) == backup.stat().st_mtime


def test_five_failures_that_are_alike_are_told() -> None:
    five = session(*failed(*"aaaaa"))
    (alert,) = alerts(AlertFacts(0.0, sessions=(five,), agents=(AGENT,)), NOW)
    assert (alert.kind, alert.about, alert.since) == ("failures", "session 3", NOW - 695)
    assert failing([five]) == [five]
    for other in (failed(*"aaaa"), failed(*"aaaab"), failed(*"baaaa"), failed(*"aaaaa", outcome=Outcome.DIVERGED)):
        assert failing([session(*other)]) == []
    assert failing([session(*failed(*"baaaaa"))])


def test_failures_before_a_pause_are_forgiven_and_the_alert_lasts_as_long_as_the_pause() -> None:
    paused = session(*failed(*"aaaaa"), pauses=(Pause(NOW - 690, None, FAILED_ALIKE_REASON),))
    (alert,) = alerts(AlertFacts(0.0, sessions=(paused,), agents=(AGENT,)), NOW)
    assert (alert.kind, alert.since) == ("failures", NOW - 690)
    assert failing([paused]) == []
    goes_on = replace(paused, pauses=(Pause(NOW - 690, NOW - 600, FAILED_ALIKE_REASON),))
    assert kinds(sessions=(goes_on,), agents=(AGENT,)) == []
    assert failing([goes_on]) == []


def test_many_sessions_make_one_alert_that_names_five() -> None:
    waiting = tuple(session(trial(submitted_at=NOW - 700 - i), id=i) for i in range(1, 9))
    (alert,) = alerts(AlertFacts(0.0, sessions=waiting, agents=(AGENT,)), NOW)
    assert alert.words == "each of the sessions 1, 2, 3, 4, 5 and 3 more has waited for an agent for over 10 minutes"
    assert (alert.since, alert.study_id) == (NOW - 708, 1)


# On a lab


def test_facts_come_from_the_lab(tmp_path: Path) -> None:
    lab, clock = make_lab(f"sqlite:///{tmp_path / 'lab.sqlite'}")
    study, (agent, _) = toy_study(lab), lab.agents.add("one", 1)
    one = started(lab, study)
    lab.submit(one.id, SPACE.configuration({"epochs": 2}))
    job = claim(lab, agent)
    lab.measure(job.job_id, job.attempt, [batch(0), batch(1), replace(batch(2), seconds=7.5)])
    facts = study_alerts.facts_of(lab, tmp_path, clock.now)
    (open_trial,) = facts.sessions[0].trials
    assert facts.measured == {open_trial.id: clock.now + 7.5}
    assert [agent.name for agent in facts.agents] == ["one"]
    assert facts.total > facts.free > 0
    lab.goodbye(agent)
    assert study_alerts.facts_of(lab, tmp_path, clock.now).agents == ()
    lab.choose(one.id, configuration=SPACE.configuration({"epochs": 1}))
    assert study_alerts.facts_of(lab, tmp_path, clock.now).sessions == ()
    lab.close()


def fail(lab: Lab, session_id: int, agent: int, why: str) -> None:
    lab.submit(session_id, SPACE.configuration({"epochs": 1}))
    job = claim(lab, agent)
    lab.finish(job.job_id, job.attempt, Outcome.INVALID, why)


def test_five_failures_in_a_row_pause_the_session_once(tmp_path: Path) -> None:
    lab, clock = make_lab(f"sqlite:///{tmp_path / 'lab.sqlite'}")
    one, (agent, _) = started(lab, toy_study(lab)), lab.agents.add("one", 1)
    watching = Watch(lab, tmp_path)
    for i in range(5):
        assert watching.look() == (), i
        clock.now += 1
        fail(lab, one.id, agent, "out of memory")
    assert [alert.kind for alert in watching.look()] == ["failures"]
    assert lab.sessions.get(one.id).pauses == (Pause(clock.now, None, FAILED_ALIKE_REASON),)
    clock.now += 1
    assert [alert.since for alert in watching.look()] == [clock.now - 1]
    lab.sessions.unpause([one.id])
    assert watching.look() == ()
    clock.now += 1
    fail(lab, one.id, agent, "out of memory")
    assert watching.look() == ()
    assert len(lab.sessions.get(one.id).pauses) == 1
    lab.close()


# Webhooks


class Receiver:
    """A webhook's other end: what it got, and the status that it answers with."""

    def __init__(self) -> None:
        self.got: list[dict[str, Any]] = []
        self.status = 200
        receiver = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["content-length"]))
                receiver.got.append(json.loads(body))
                self.send_response(receiver.status)
                self.send_header("content-length", "0")
                self.end_headers()

            def log_message(self, format: str, *args: Any) -> None:
                """Say nothing."""

        self.server = HTTPServer(("127.0.0.1", 0), Handler)
        self.address = f"http://127.0.0.1:{self.server.server_port}/hook"

    def states(self) -> list[tuple[str, str]]:
        return [(alert["state"], alert["kind"]) for message in self.got for alert in message["alerts"]]


@contextmanager
def receiving() -> Iterator[Receiver]:
    receiver = Receiver()
    thread = threading.Thread(target=receiver.server.serve_forever, args=(0.01,), daemon=True)
    thread.start()
    yield receiver
    receiver.server.shutdown()
    receiver.server.server_close()


def hooked(lab: Lab, webhook: str) -> Study:
    return lab.studies.publish(lab.studies.declare(replace(toy_study(lab), webhook=webhook, title="Hooked")).id, "with a webhook")


@pytest.mark.parametrize("url", ["file:///etc/passwd", "ftp://127.0.0.1/x", "nonsense", "http://", "http://127.0.0.1:1/"])
def test_an_address_that_is_none_is_not_called(url: str) -> None:
    assert study_alerts.post(url, {}) != ""


def test_a_webhook_is_told_once_of_each_change_and_its_failure_is_an_alert(tmp_path: Path) -> None:
    lab, clock = make_lab(f"sqlite:///{tmp_path / 'lab.sqlite'}")
    with receiving() as receiver:
        study = hooked(lab, receiver.address)
        one, (agent, _) = started(lab, study), lab.agents.add("one", 1)
        watching = Watch(lab, tmp_path)
        lab.submit(one.id, SPACE.configuration({"epochs": 1}))
        assert watching.look() == ()
        clock.now += 61
        for _ in range(3):
            assert [alert.kind for alert in watching.look()] == ["no agent"]
        assert receiver.states() == [("new", "no agent")]
        receiver.status = 500
        lab.hello(agent, slots=1, machine="a")
        (alert,) = watching.look()
        assert (alert.kind, alert.words.rpartition(": ")[2]) == ("webhook", "it answered with status 500")
        assert receiver.address not in alert.words
        for _ in range(3):
            watching.look()
        assert receiver.states() == [("new", "no agent"), ("ended", "no agent")], "a failure is not sent again"
        receiver.status = 200
        clock.now += 61
        assert {alert.kind for alert in watching.look()} == {"no agent", "agent"}
        assert len(receiver.got) == 3
    lab.close()


@pytest.mark.slow
def test_a_real_server_shows_alerts_and_tells_the_webhook(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(web_app, "WATCH_SECONDS", 0.05)
    with receiving() as receiver, toy_site(tmp_path) as site:
        study = hooked(site.lab, receiver.address)
        one = started(site.lab, study)
        site.lab.submit(one.id, SPACE.configuration({"epochs": 1}))
        site.clock.now += 61
        (message,) = wait_for(lambda: receiver.got, "the webhook is told")
        (alert,) = message["alerts"]
        assert message["study"] == study.name
        assert message["text"] == f"{study.name}: {alert['words']}"
        assert (alert["state"], alert["kind"], alert["words"]) == (
            "new",
            "no agent",
            "a training waits and no agent is connected",
        )
        assert alert["since"] == "1970-01-12T13:46:40+00:00"
        caller = site.caller(Role.RESEARCHER)  # its page shows it once the webhook has answered
        words = "A training waits and no agent is connected"
        wait_for(lambda: caller.get(f"/studies/{study.id}").text, "the page says so", lambda page: words in page)
        assert isinstance(held_by(site.app).alerts[0], Alert)
        agent, _ = site.lab.agents.add("one", 1)
        site.lab.hello(agent, slots=1, machine="a")
        wait_for(lambda: receiver.got, "the webhook is told of the end", lambda got: len(got) >= 2)
        assert receiver.states() == [("new", "no agent"), ("ended", "no agent")]
        wait_for(lambda: held_by(site.app).alerts, "nothing is wrong any more", lambda alerts: alerts == ())
