"""Simulated participants: what they read from a page, how they tune, and whole rehearsals over HTTP with real trainings."""

import dataclasses
import os
import signal
import sqlite3
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from evenhand import tasks
from evenhand.errors import InvalidSettings
from evenhand.examples import digits_mlp
from evenhand.lab.lab import Lab
from evenhand.model.archive import Archive
from evenhand.model.condition import Condition
from evenhand.model.domain import Choice, Float, Integer
from evenhand.model.hyperparameter import Hyperparameter
from evenhand.model.space import Space
from evenhand.model.study import Budget, Question, Questionnaire, QuestionSection, Study, Text
from evenhand.model.task import TaskSpec
from evenhand.model.trial import Outcome
from evenhand.rehearsal import policies, run
from evenhand.rehearsal.bots import Crowd, Diary
from evenhand.rehearsal.html_forms import form_for, forms
from evenhand.rehearsal.policies import LEVELS, MONTHS, Tried, next_move
from evenhand.report import study as study_report
from tests.waiting import PATIENCE_SECONDS

DIGITS = Path(digits_mlp.__file__)
KILLS = 10  # of a server in the middle of a rehearsal
SPACE = Space(
    [
        Hyperparameter("epochs", Integer(1, 20), fidelity=True),
        Hyperparameter("optimizer", Choice(("adam", "sgd"))),
        Hyperparameter("learning_rate", Float(1e-5, 10, log=True), 0.001),
        Hyperparameter("momentum", Float(0, 0.99), 0.0, condition=Condition("optimizer", ("sgd",))),
        Hyperparameter("beta1", Float(0, 0.999), 0.9, condition=Condition("optimizer", ("adam",))),
    ]
)


def test_a_page_is_read_as_a_browser_would_send_it() -> None:
    html = """
    <form action="/other"><input name="x" value="1"></form>
    <form method="post" action="/p/1/tune/submit">
      <input type="hidden" name="csrf_token" value="a&amp;b"><input name="value.rate" value="0.1" inputmode="decimal">
      <select name="value.loss"><option value="">choose</option><option value="l1" selected>L1</option></select>
      <input type="radio" name="r" value="yes"><input type="radio" name="r" value="no" checked>
      <input type="checkbox" name="final" value="yes"><textarea name="words">one
two</textarea><input name="off" disabled value="3"><button name="go" value="1">Go</button>
    </form>"""
    form = form_for(html, "/p/1/tune")
    assert form is not None
    assert len(forms(html)) == 2
    assert form.values() == {
        "csrf_token": "a&b", "value.rate": "0.1", "value.loss": "l1", "r": "no", "words": "one\ntwo",
    }  # fmt: skip
    assert form.fields["r"].options == ("yes", "no")
    assert form.fields["value.loss"].labels == ("choose", "L1")


def test_a_form_that_a_browser_does_not_show_is_known_as_such() -> None:
    html = """
    <form action="/a"><input type="hidden" name="x"></form>
    <section hidden><section></section><form action="/b"></form></section><div><form action="/c"></form></div>
    <form action="/d" hidden></form><form action="/e"></form>"""
    assert [form.action for form in forms(html) if form.hidden] == ["/b", "/d"]


def moves(level: policies.Level, count: int, seed: int = 0, **options: Any) -> list[policies.NextTrial]:
    """Moves of a policy whose trials score better the nearer the learning rate is to 0.03."""
    tried: list[Tried] = []
    made = []
    for number in range(count):
        move = next_move(level, SPACE, tried, np.random.default_rng([seed, number]), **options)
        rate = move.configuration.number("learning_rate")
        tried.append(Tried(dict(move.configuration), -abs(np.log10(rate / 0.03))))
        made.append(move)
    return made


@pytest.mark.parametrize("level", LEVELS)
def test_policies_are_functions_of_what_was_tried(level: policies.Level) -> None:
    assert moves(level, 6) == moves(level, 6)
    assert moves(level, 6, seed=1) != moves(level, 6, seed=2) or level == "expert"


def test_experts_begin_at_the_defaults_and_go_to_the_learning_rate_and_novices_do_neither() -> None:
    expert = [move.configuration for move in moves("expert", 4)]
    assert expert[0]["learning_rate"] == 0.001
    assert expert[0]["beta1"] == 0.9
    changed = [{name for name in later if later[name] != expert[0].get(name)} for later in expert[1:]]
    assert all(names == {"learning_rate"} for names in changed)
    starts = [moves("novice", 1, seed=seed)[0].configuration for seed in range(40)]
    assert sum(start["learning_rate"] == 0.001 for start in starts) < 20


def test_reasons_differ_as_they_did_in_the_paper() -> None:
    def share(level: policies.Level, reason: str) -> float:
        texts = [said for seed in range(30) for move in moves(level, 4, seed) for said in move.reasons.values()]
        return texts.count(reason) / len(texts)

    assert share("novice", "guess") > share("medium", "guess") > share("expert", "guess")
    assert share("expert", "experience") > share("novice", "experience")


def test_limits_are_kept() -> None:
    limits = {"epochs": (1, 2), "learning_rate": (0.01, 0.1)}
    for level in LEVELS:
        for move in moves(level, 8, limits=limits):
            assert 1 <= move.configuration["epochs"] <= 2
            assert 0.01 <= move.configuration.number("learning_rate") <= 0.1


def test_a_crowd_has_the_papers_proportions_and_the_same_plans_by_its_seed() -> None:
    crowd = Crowd("http://lab", SPACE)
    plans = [crowd.plan(number) for number in range(1, 32)]
    levels = [plan.level for plan in plans]
    assert [levels.count(level) for level in LEVELS] == [8, 12, 11]
    assert all(MONTHS[plan.level][0] <= plan.months <= MONTHS[plan.level][1] for plan in plans)
    assert plans == [Crowd("http://lab", SPACE).plan(number) for number in range(1, 32)]
    steady = dataclasses.replace(crowd, steady=True)
    assert all(not steady.plan(number).mishaps & {"early stops", "lets time run out"} for number in range(1, 32))


@pytest.mark.parametrize("text", ["epochs", "epochs=1", "epochs=2:1", "=1:2", "epochs=a:b"])
def test_a_limit_that_is_none_is_refused(text: str) -> None:
    with pytest.raises(InvalidSettings, match="NAME=LOW:HIGH"):
        run.parse_limits([text])


# Whole rehearsals


def fast_study(lab: Lab) -> Study:
    """A study on real, small trainings, with a questionnaire after it and a practice trial off."""
    record = lab.studies.add_task(tasks.load(TaskSpec(f"{DIGITS}:train")).record)
    after = Questionnaire(
        "after", Text("Afterwards"), (QuestionSection((Question("sure", "likert", Text("How sure are you?")),)),), at="after"
    )
    declared = Study(
        "fast", "Fast", record.id, Budget(trials=5), 5, Text("I agree."), Text("Details."), Text("Thanks."), evaluation_seeds=2
    )
    return lab.studies.add(dataclasses.replace(declared, questionnaires=(*declared.questionnaires, after)))


def rehearsed(folder: Path, monkeypatch: pytest.MonkeyPatch, **wishes: Any) -> tuple[Lab, Study, Diary]:
    folder.mkdir(exist_ok=True)
    monkeypatch.setenv("EVENHAND_DATA", str(folder))
    db = f"sqlite:///{folder / 'lab.sqlite'}"
    lab = Lab.connect(db)
    study = fast_study(lab)
    diary = run.run(lab, db, study, run.Wishes(limits={"epochs": (1, 3)}, **wishes))
    return lab, study, diary


@pytest.mark.slow
def test_a_rehearsal_goes_through_the_pages_to_the_last_evaluation(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    lab, study, diary = rehearsed(tmp_path, monkeypatch, participants=8, trials=3, random=4, seed=3)
    assert diary.troubles == []
    assert diary.statuses.keys() <= {200, 303, 409, 422}
    people = lab.participants.of_study(study.id)
    assert [person.mode for person in people] == ["simulated"] * 8
    left = {"abandons", "withdraws"} & diary.happened.keys()
    finished = [person for person in people if "after" in person.answered]
    assert len(finished) >= 8 - 3 * len(left) > 0
    archive = lab.studies.archive(study.id, "simulated")
    assert [session.tuner for session in archive.sessions if session.kind == "method"] == ["random"]
    assert all(len(evaluation.scores) == 2 for evaluation in archive.evaluations.values())
    assert len(archive.evaluations) == len(finished) + 1
    assert lab.studies.archive(study.id, "pilot").participants == ()
    again = run.run(lab, f"sqlite:///{tmp_path / 'lab.sqlite'}", study, run.Wishes(participants=8, trials=3, random=4, seed=3))
    assert again.trials == 0
    assert len(lab.participants.of_study(study.id)) == 8
    lab.close()


def without_times(archive: Archive) -> list[object]:
    """All that was recorded, but for times, attempts, and the order in which sessions happened to be opened."""
    people = [
        (
            participant.pseudonym,
            participant.condition,
            participant.answers,
            participant.answered,
            participant.withdrawn_at is None,
        )
        for participant in archive.participants
    ]
    sessions = [
        (
            session.tuner,
            [(t.number, dict(t.configuration), dict(t.reasons), t.outcome, t.value, t.epochs_done) for t in session.trials],
            session.choice and (session.choice.configuration and dict(session.choice.configuration), session.choice.automatic),
            [(score.index, score.seed, score.outcome, score.value) for score in archive.evaluations[session.id].scores]
            if session.id in archive.evaluations
            else None,
        )
        for session in archive.sessions
    ]
    return [people, sessions]


def told(archive: Archive) -> list[object]:
    """What the report tells, but for its time columns."""
    told_items: list[object] = []
    for item in study_report.build(archive, "simulated").items:
        columns = item.table.columns if item.table else ()
        kept = [index for index, name in enumerate(columns) if name != "minutes"]
        rows = [[row[index] for index in kept] for row in item.table.rows] if item.table else []
        told_items.append((item.key, item.title, item.n, item.how, item.spec, item.svg, rows))
    return told_items


@pytest.mark.slow
@pytest.mark.kill
def test_a_server_killed_ten_times_leaves_the_same_records(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    wishes: dict[str, Any] = {"participants": 7, "trials": 4, "random": 6, "seed": 11, "steady": True}
    lab, study, _ = rehearsed(tmp_path / "calm", monkeypatch, **wishes)
    calm = lab.studies.archive(study.id, "simulated")
    lab.close()
    events = events_in(tmp_path / "calm" / "lab.sqlite")

    folder = tmp_path / "killed"
    folder.mkdir()
    monkeypatch.setenv("EVENHAND_DATA", str(folder))
    monkeypatch.setenv("EVENHAND_LEASE", "5")
    db = f"sqlite:///{folder / 'lab.sqlite'}"
    first = Lab.connect(db)
    fast_study(first)
    first.close()
    stop = threading.Event()
    with run.held_port() as port, ThreadPoolExecutor(1) as pool:
        kills = pool.submit(serve_and_kill, folder / "lab.sqlite", port, stop, events // (KILLS + 2))
        try:
            run.wait_for_server(f"http://127.0.0.1:{port}")
            lab, study, diary = rehearsed(folder, monkeypatch, address=f"http://127.0.0.1:{port}", **wishes)
        finally:
            stop.set()
    assert kills.result() == KILLS
    assert diary.outages > 0
    assert diary.troubles == []
    killed = lab.studies.archive(study.id, "simulated")
    assert without_times(killed) == without_times(calm)
    assert told(killed) == told(calm)
    assert all(trial.outcome is not Outcome.FAILED for session in killed.sessions for trial in session.trials)
    lab.close()


def serve_and_kill(database: Path, port: int, stop: threading.Event, step: int) -> int:
    """A server that is killed ten times and started again, each time `step` events or more after the time before.

    So the kills come all along the rehearsal, however quick the machine is, and right behind a write. Returns how many it were.
    """
    url = f"sqlite:///{database}"
    command = [sys.executable, "-m", "evenhand.cli.main", "serve", "--port", str(port), "--slots", "2", "--db", url]
    kills, last = 0, events_in(database)
    while True:
        process = subprocess.Popen(command, stdout=subprocess.DEVNULL, env=os.environ.copy())
        run.wait_for_server(f"http://127.0.0.1:{port}", process)
        while not stop.is_set() and (kills == KILLS or events_in(database) < last + step):
            time.sleep(0.002)
        if stop.is_set():
            process.terminate()
            process.wait(PATIENCE_SECONDS)
            return kills
        process.send_signal(signal.SIGKILL)
        process.wait()
        kills, last = kills + 1, events_in(database)


def events_in(database: Path) -> int:
    """How many events are recorded there."""
    with closing(sqlite3.connect(database, timeout=PATIENCE_SECONDS)) as connection:
        count: int = connection.execute("SELECT COUNT(*) FROM event").fetchone()[0]
    return count


def test_waiting_for_a_server_that_has_ended_says_so() -> None:
    ended = subprocess.Popen([sys.executable, "-c", "pass"])
    ended.wait()
    begun = time.monotonic()
    with run.held_port() as port, pytest.raises(Exception, match="did not start"):
        run.wait_for_server(f"http://127.0.0.1:{port}", ended)
    assert time.monotonic() - begun < run.START_SECONDS / 2
