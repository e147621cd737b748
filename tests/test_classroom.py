"""A class: who can join, what the board shows, whether the slots serve the room, and thirty bots that all get their turn."""

import asyncio
import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from evenhand import tasks
from evenhand.examples import digits_mlp
from evenhand.lab.lab import Lab
from evenhand.model.study import Study
from evenhand.model.task import TaskSpec
from evenhand.model.trial import Outcome
from evenhand.rehearsal import run
from evenhand.rehearsal.bots import Crowd, rehearse
from evenhand.rehearsal.html_forms import form_for
from evenhand.studies import classroom
from tests.labs import SPACE, claim, epoch, make_lab, toy_study
from tests.waiting import PATIENCE_SECONDS
from tests.web import Site, serve

DIGITS = Path(digits_mlp.__file__)


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    lab, clock = make_lab(f"sqlite:///{tmp_path / 'lab.sqlite'}")
    with serve(lab, clock, tmp_path) as server:
        yield server
    lab.close()


@pytest.fixture
def opened(site: Site) -> tuple[Study, str]:
    task = site.lab.studies.task(toy_study(site.lab).task_id)
    study = site.lab.studies.add(classroom.study_of(task, "class", "Lesson", 30, 7))
    _, code = classroom.open_class(site.lab, study, 3)
    return study, code


def student(site: Site, code: str, name: str) -> httpx.Client:
    http = httpx.Client(base_url=site.address, follow_redirects=True)
    answer = http.post(f"/class/{code}", data={"name": name})
    assert answer.status_code == 200, answer.text
    return http


@pytest.mark.slow
def test_a_student_needs_the_code_and_a_nickname_and_nothing_else(site: Site, opened: tuple[Study, str]) -> None:
    study, code = opened
    http = httpx.Client(base_url=site.address, follow_redirects=True)
    spaced = http.get("/class", params={"code": f"{code[:3].lower()} {code[3:]}"})
    assert spaced.url.path == f"/p/{study.id}/class/{code}"
    joined = http.post(spaced.url.path, data={"name": "  Ada\u200b  L. "})
    assert joined.url.path == f"/p/{study.id}/details"
    (person,) = site.lab.participants.of_study(study.id)
    assert (person.nickname, person.mode, person.consented_at) == ("Ada L.", "live", None)
    assert "Ada L." in http.get(f"/class/{code}").text
    assert len(code) == 6
    assert set(code) <= set(classroom.CODE_LETTERS)


@pytest.mark.slow
def test_a_form_sent_again_is_the_same_student_and_under_another_name_another(site: Site, opened: tuple[Study, str]) -> None:
    study, code = opened
    page = httpx.Client(base_url=site.address, follow_redirects=True).get(f"/class/{code}")
    form = form_for(page.text, f"/p/{study.id}/class/{code}")
    assert form is not None
    for name in ("Ada", "Ada", "Bea"):
        http = httpx.Client(base_url=site.address, follow_redirects=True)
        assert http.post(form.action, data={**form.values(), "name": name}).url.path == f"/p/{study.id}/details"
    assert [person.nickname for person in site.lab.participants.of_study(study.id)] == ["Ada", "Bea"]


@pytest.mark.slow
@pytest.mark.parametrize(("name", "words"), [("", "type a name"), (" \u200b ", "type a name"), ("ADA", "is taken")])
def test_a_nickname_that_cannot_be_used_is_refused_beside_its_field(
    site: Site, opened: tuple[Study, str], name: str, words: str
) -> None:
    student(site, opened[1], "Ada")
    answer = httpx.post(f"{site.address}/class/{opened[1]}", data={"name": name})
    assert answer.status_code == 422
    assert words in answer.text
    assert len(site.lab.participants.of_study(opened[0].id)) == 1


@pytest.mark.slow
def test_a_wrong_code_and_a_studys_link_open_no_class(site: Site, opened: tuple[Study, str]) -> None:
    token = site.lab.participants.invite(toy_study(site.lab).id, "link")[1][0]
    for code in ("222222", token):
        assert httpx.get(f"{site.address}/class/{code}").status_code == 403
    assert httpx.get(f"{site.address}/class/{opened[1]}/board").status_code == 200


@pytest.mark.slow
def test_the_board_ranks_by_validation_and_shows_nothing_else(site: Site, opened: tuple[Study, str]) -> None:
    study, code = opened
    lab = site.lab
    agent, _ = lab.agents.add("one", 3)
    for name, value in (("Ada", 0.5), ("Bob", 0.75), ("Cyd", 0.5), ("Dee", None)):
        person, _ = lab.participants.join(study.id, nickname=name)
        session = lab.participants.begin(person.id)
        if value is not None:
            lab.submit(session.id, SPACE.configuration({"epochs": 1}))
            job = claim(lab, agent)
            lab.measure(job.job_id, job.attempt, [epoch(0, 1, value)])
            if name != "Cyd":
                lab.finish(job.job_id, job.attempt, Outcome.COMPLETED)
    places = classroom.board(lab.participants.of_study(study.id), lab.sessions.of_study(study.id))
    assert [(place.rank, place.name, place.training) for place in places] == [
        (1, "Bob", False), (2, "Ada", False), (None, "Cyd", True), (None, "Dee", False),  # one that trains may still fall
    ]  # fmt: skip
    page = httpx.get(f"{site.address}/class/{code}/board").text
    assert page.index("Bob") < page.index("Ada") < page.index("Dee")
    assert "75.0" in page
    assert "<svg" not in page
    assert "data:image/svg+xml" in page
    with httpx.stream("GET", f"{site.address}/class/{code}/events") as stream:
        data = next(line[6:] for line in stream.iter_lines() if line.startswith("data: "))
    assert "Bob" in json.loads(data)


def test_whether_slots_serve_a_class_is_told_beforehand_and_what_would() -> None:
    few = classroom.capacity(students=30, slots=2, epoch_seconds=5, epochs=3, minutes=30)
    assert few.seconds == 15
    assert few.trials == pytest.approx(8)
    assert few.waiting == pytest.approx(210)
    assert few.serves
    short = classroom.capacity(30, 2, 5, 6, 20)
    assert short.trials == pytest.approx(60 * 20 * 2 / (30 * 30))
    assert not short.serves
    ways = classroom.advice(short, 6, size=64)
    assert any("at most 3 epochs" in way for way in ways)
    assert any("images of 46 pixels" in way for way in ways)
    assert any("4 training slots" in way for way in ways)
    assert classroom.capacity(30, short.slots_needed, 5, 6, 20).serves
    assert classroom.advice(few, 3) == []


@pytest.mark.slow
def test_thirty_bots_in_a_class_all_get_their_turn(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EVENHAND_DATA", str(tmp_path))
    db = f"sqlite:///{tmp_path / 'lab.sqlite'}"
    lab = Lab.connect(db)
    record = lab.studies.add_task(tasks.load(TaskSpec(f"{DIGITS}:train")).record)
    study = lab.studies.add(classroom.study_of(record, "class", "Lesson", 30, 7))
    _, code = classroom.open_class(lab, study, 30)
    with run.held_port() as port:
        command = [sys.executable, "-m", "evenhand.cli.main", "serve", "--port", str(port), "--slots", "2", "--db", db]
        server = subprocess.Popen(command, stdout=subprocess.DEVNULL)
        try:
            run.wait_for_server(f"http://127.0.0.1:{port}", server)
            crowd = Crowd(f"http://127.0.0.1:{port}", record.space, limits={"epochs": (1, 2)}, trials=2, mishaps=False)
            diary = asyncio.run(rehearse(crowd, [f"/class/{code}"] * 30))
        finally:
            server.terminate()
            server.wait(PATIENCE_SECONDS)
    assert diary.troubles == []
    trials = [trial for session in lab.sessions.of_study(study.id) for trial in session.trials]
    assert [len(session.trials) for session in lab.sessions.of_study(study.id)] == [2] * 30
    overtaken = [
        trial.submitted_at < other.submitted_at and (trial.claimed_at or 0) > (other.claimed_at or 0)
        for trial in trials
        for other in trials
    ]
    assert not any(overtaken), "somebody waited while a later one was served"
    assert sorted(person.nickname or "" for person in lab.participants.of_study(study.id)) == sorted(
        f"Bot {n}" for n in range(1, 31)
    )
    assert all(session.choice for session in lab.sessions.of_study(study.id))
    lab.close()
