"""A class: who can join, what the board shows, whether the slots serve the room, and thirty bots that all get their turn."""

import asyncio
import json
import re
import subprocess
import sys
import uuid
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from evenhand import tasks
from evenhand.examples import digits_mlp
from evenhand.lab import seats
from evenhand.lab.lab import Lab
from evenhand.model.participant import Participant
from evenhand.model.study import Study
from evenhand.model.task import TaskRecord, TaskSpec
from evenhand.model.trial import Outcome
from evenhand.rehearsal import run
from evenhand.rehearsal.bots import Crowd, rehearse
from evenhand.studies import classroom
from evenhand.web.access import Role
from evenhand.web.classroom import board
from evenhand.web.pages import environment
from tests.labs import SPACE, claim, epoch, toy_study
from tests.waiting import PATIENCE_SECONDS
from tests.web import Site, toy_site, train

DIGITS = Path(digits_mlp.__file__)


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    with toy_site(tmp_path_factory.mktemp("class")) as server:
        yield server


@pytest.fixture
def opened(site: Site) -> tuple[Study, str]:
    task = site.lab.studies.task(toy_study(site.lab).task_id)
    study = site.lab.studies.add(classroom.study_of(task, uuid.uuid4().hex, "Lesson", 30, 7))
    _, code = classroom.open_class(site.lab, study, 3)
    return study, code


def door(site: Site, code: str) -> str:
    """The page to join a class by, within its study."""
    return f"/p/{site.lab.seats.study_of(code)}/class/{code}"


def phone(site: Site, code: str) -> httpx.Client:
    """A browser of its own, which has opened the class's page."""
    http = httpx.Client(base_url=site.address, follow_redirects=True)
    assert http.get(f"/class/{code}").status_code == 200
    return http


def student(site: Site, code: str, name: str) -> tuple[httpx.Client, str]:
    """Who took a seat under a name, and the seat's code."""
    http = phone(site, code)
    answer = http.post(door(site, code), data={"name": name})
    assert answer.status_code == 200, answer.text
    return http, shown_code(answer.text)


def shown_code(page: str) -> str:
    match = re.search(r'id="seat-code">([^<]+)<', page)
    assert match, page
    return match[1]


@pytest.mark.slow
def test_a_student_needs_the_code_and_a_nickname_and_nothing_else(site: Site, opened: tuple[Study, str]) -> None:
    study, code = opened
    http = httpx.Client(base_url=site.address, follow_redirects=True)
    spaced = http.get("/class", params={"code": f"{code[:3].lower()} {code[3:]}"})
    assert spaced.url.path == door(site, code)
    joined = http.post(door(site, code), data={"name": "  Ada\u200b  L. "})
    assert "Welcome, Ada L." in joined.text
    assert http.get(f"/p/{study.id}").url.path.endswith("/details")
    (person,) = site.lab.participants.of_study(study.id)
    assert (person.nickname, person.mode, person.consented_at) == ("Ada L.", "live", None)
    assert "Ada L." in http.get(f"/class/{code}").text
    assert len(code) == 6
    assert set(code) <= set(seats.CODE_LETTERS)


@pytest.mark.slow
def test_one_browser_has_one_seat_however_often_it_sends_the_form(site: Site, opened: tuple[Study, str]) -> None:
    study, code = opened
    http, first = student(site, code, "Ada")
    again = http.post(door(site, code), data={"name": "Ada"})
    assert again.status_code == 200
    assert shown_code(again.text) != first  # the answer with the first was lost
    other = http.post(door(site, code), data={"name": "Bea"})
    assert other.status_code == 422
    assert "This browser has a seat already, as Ada: one browser, one seat." in other.text
    for _ in range(10):
        http.post(door(site, code), data={"name": "Cyd"})
    assert [person.nickname for person in site.lab.participants.of_study(study.id)] == ["Ada"]
    student(site, code, "Bea")
    assert [person.nickname for person in site.lab.participants.of_study(study.id)] == ["Ada", "Bea"]


@pytest.mark.slow
def test_a_browser_that_keeps_no_cookies_is_told_before_a_seat_is_spent(site: Site, opened: tuple[Study, str]) -> None:
    study, code = opened
    for cookies in ({}, {board.SEAT_COOKIE: "short"}):
        answer = httpx.post(f"{site.address}/class/{code}", data={"name": "Ada"}, cookies=cookies)
        assert answer.status_code == 422
        assert "keeps no cookie" in answer.text
    assert site.lab.participants.of_study(study.id) == []


@pytest.mark.slow
def test_a_closed_phone_comes_back_by_the_seats_code_and_the_old_one_has_no_seat_any_more(
    site: Site, opened: tuple[Study, str]
) -> None:
    study, code = opened
    old, seat_code = student(site, code, "Ada")
    site.lab.participants.begin(site.lab.participants.of_study(study.id)[0].id)
    new = phone(site, code)
    wrong = new.post(f"{door(site, code)}/back", data={"seat_code": "AAAAAA"})
    assert wrong.status_code == 422
    assert "No seat of this class has this code" in wrong.text
    back = new.post(f"{door(site, code)}/back", data={"seat_code": seat_code.lower()})
    assert back.status_code == 200
    assert back.url.path.endswith("/tune")
    assert "You are in already, as <b>Ada</b>" in new.get(f"/class/{code}").text
    assert "Were you in already?" in old.get(f"/class/{code}").text
    bea, _ = student(site, code, "Bea")
    taken = bea.post(f"{door(site, code)}/back", data={"seat_code": seat_code})
    assert taken.status_code == 422
    assert "This browser has the seat of Bea" in taken.text
    assert len(site.lab.participants.of_study(study.id)) == 2


@pytest.mark.slow
def test_a_seats_code_opens_no_seat_of_another_class(site: Site, opened: tuple[Study, str]) -> None:
    _, seat_code = student(site, opened[1], "Ada")
    task = site.lab.studies.task(opened[0].task_id)
    _, other = classroom.open_class(site.lab, site.lab.studies.add(classroom.study_of(task, uuid.uuid4().hex, "B", 30, 7)), 3)
    assert phone(site, other).post(f"{door(site, other)}/back", data={"seat_code": seat_code}).status_code == 422


@pytest.mark.slow
def test_the_teacher_renews_a_code_releases_a_browser_and_removes_a_seat(site: Site, opened: tuple[Study, str]) -> None:
    study, code = opened
    ada, lost = student(site, code, "Ada")
    (person,) = site.lab.participants.of_study(study.id)
    teacher = site.caller(Role.RESEARCHER)

    def act(what: str) -> str:
        answer = teacher.post(f"/studies/{study.id}/seats", {"participant": str(person.id), "do": what})
        return teacher.get(answer.headers["location"]).text

    renewed = re.search(r"The new code of Ada&#39;s seat is (\w{3} \w{3})", act("renew"))
    assert renewed
    assert phone(site, code).post(f"{door(site, code)}/back", data={"seat_code": lost}).status_code == 422
    assert phone(site, code).post(f"{door(site, code)}/back", data={"seat_code": renewed[1]}).status_code == 200
    assert ada.get(f"/p/{study.id}").status_code == 200
    released = re.search(r"The code (\w{3} \w{3}) leads back to Ada", act("release"))
    assert released
    assert ada.get(f"/p/{study.id}").status_code == 403  # signed out
    assert ada.post(door(site, code), data={"name": "Ada"}).status_code == 422  # the seat is still Ada's
    assert ada.post(door(site, code), data={"name": "Bea"}).status_code == 200
    assert phone(site, code).post(f"{door(site, code)}/back", data={"seat_code": released[1]}).status_code == 200
    assert "Ada is off the board" in act("remove")
    assert ">Ada " not in teacher.get(f"/studies/{study.id}/seats").text
    assert phone(site, code).post(f"{door(site, code)}/back", data={"seat_code": released[1]}).status_code == 422
    student(site, code, "Ada")  # the name is free again


@pytest.mark.slow
def test_a_study_that_is_no_class_has_no_seats(site: Site) -> None:
    assert site.caller(Role.RESEARCHER).get(f"/studies/{toy_study(site.lab).id}/seats").status_code == 404


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("", "type a name"),
        (" \u200b ", "type a name"),
        ("ADA", "ADA is taken"),
        ("\uff21\uff44\uff41", "Ada is taken"),  # full width
        ("A d a", "A d a looks like Ada, who is in already"),
        ("\u0410d\u0430", "several alphabets in one word (Cyrillic and Latin)"),
    ],
)
def test_a_nickname_that_cannot_be_used_is_refused_beside_its_field(
    site: Site, opened: tuple[Study, str], name: str, words: str
) -> None:
    student(site, opened[1], "Ada")
    answer = phone(site, opened[1]).post(door(site, opened[1]), data={"name": name})
    assert answer.status_code == 422
    assert words in answer.text
    assert len(site.lab.participants.of_study(opened[0].id)) == 1


@pytest.mark.slow
def test_a_full_class_says_so_and_its_board_and_seats_stay(site: Site, opened: tuple[Study, str]) -> None:
    _, code = opened
    http, _ = student(site, code, "Ada")
    for letter in "bcdef":  # twice as many as are expected
        student(site, code, f"Student {letter}")
    full = phone(site, code).post(door(site, code), data={"name": "Late"})
    assert full.status_code == 422
    assert "All 6 places" in full.text
    assert http.get(f"/class/{code}/board").status_code == 200
    assert http.post(f"{door(site, code)}/back").status_code == 200


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
    news = json.loads(data)
    assert "Bob" in news["rows"]
    assert news["curves"] == [
        {"name": "Bob", "values": [[1, 0.75]]}, {"name": "Ada", "values": [[1, 0.5]]},
    ]  # fmt: skip


def test_the_board_says_who_has_just_improved_and_no_line_falls(site: Site, opened: tuple[Study, str]) -> None:
    study, code = opened
    lab = site.lab
    agent, _ = lab.agents.add("one", 2)
    sessions = [lab.participants.begin(lab.participants.join(study.id, nickname=name)[0].id) for name in ("Ada", "Bob")]

    def just() -> list[tuple[str, float, float | None]]:
        places = classroom.board(lab.participants.of_study(study.id), lab.sessions.of_study(study.id))
        improvements = classroom.improvements(places, lab.clock())
        return [(improvement.name, improvement.value, improvement.before) for improvement in improvements]

    for session, value in ((sessions[0], 0.5), (sessions[1], 0.4), (sessions[0], 0.6), (sessions[1], 0.3)):
        train(site, session.id, agent, value)
    assert just() == [("Ada", 0.6, 0.5), ("Bob", 0.4, None)]
    assert "before 50.0\u202f%" in httpx.get(f"{site.address}/class/{code}/board").text
    lab.submit(sessions[0].id, SPACE.configuration({"epochs": 2}))
    job = claim(lab, agent)
    lab.measure(job.job_id, job.attempt, [epoch(0, 1, 0.9)])  # it still trains, and may fall
    places = classroom.board(lab.participants.of_study(study.id), lab.sessions.of_study(study.id))
    assert classroom.curves(places)[0] == {"name": "Ada", "values": [[1, 0.5], [2, 0.6]]}
    site.clock.now += 60
    assert just() == []


@pytest.mark.slow
def test_the_class_has_a_clock_of_whoever_has_the_most_time_left(site: Site, opened: tuple[Study, str]) -> None:
    study, code = opened
    lab = site.lab

    def said() -> tuple[str, str]:
        clock = classroom.clock_of(study, lab.sessions.of_study(study.id), lab.clock())
        return clock.big, re.sub(r"\d\d:\d\d", "HH:MM", clock.small)

    assert said() == ("30:00", "for each, from the own start on")
    first, second = (lab.participants.join(study.id, nickname=name)[0] for name in ("Ada", "Bob"))
    begun = site.clock.now
    lab.participants.begin(first.id)
    site.clock.now += 60
    lab.participants.begin(second.id)
    assert said() == ("30:00", "left, until HH:MM · 2 students tuning")
    site.clock.now += 600
    assert said() == ("20:00", "left, until HH:MM · 2 students tuning")
    page = httpx.get(f"{site.address}/class/{code}/board").text
    ends = int(begun + 60 + 1800)
    assert f'data-now="{site.clock.now}" data-end="{ends}"' in page
    assert ">20:00<" in page  # without scripts, too
    site.clock.now += 3000
    assert said() == ("0:00", "time is up")


@pytest.mark.parametrize("students", [0, 1, 30, 300])
def test_the_board_has_a_place_for_everyone_and_large_ones_for_the_first(students: int) -> None:
    people = [
        Participant(id=number, study_id=1, pseudonym=f"P-{number}", created_at=0.0, nickname=f"Student {number}")
        for number in range(1, students + 1)
    ]
    places = classroom.board(people, [])
    assert len(places) == students
    page = environment.get_template("classroom/_board.html").render(
        leaders=places[: classroom.LEADERS], others=places[classroom.LEADERS :], students=students, metric="accuracy", share=True,
        slots=2, busy=1, just=[], task=TaskRecord(TaskSpec("toy"), "1", SPACE, "accuracy", "maximize", 10),
    )  # fmt: skip
    assert page.count("<tr") == (0 if students == 0 else 1 + min(students, 6))
    assert page.count("<li>") == max(0, students - 6)
    assert ("Nobody yet" in page) == (students == 0)


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
