"""Participants beside the straight way: other windows and devices, ended invitations, pauses, practice, withdrawal."""

import dataclasses
import html
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal

import httpx
import pytest
from sqlalchemy import create_engine, inspect, text

from evenhand.errors import Refused, StaleAttempt
from evenhand.model.participant import Participant
from evenhand.model.rules import ParticipantStep
from evenhand.model.session import State
from evenhand.model.study import Arm, Budget, Option, Study, Text
from evenhand.model.trial import Outcome
from evenhand.rehearsal.html_forms import form_for
from evenhand.tasks.builtin import practice
from evenhand.web.access import Role
from tests.labs import batch, claim, epoch, make_lab, toy_study
from tests.web import Caller, Site, serve, train, tuning_participant

VALUES = {"value.epochs": "2", "value.learning_rate": "0.1"}


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    lab, clock = make_lab(f"sqlite:///{tmp_path / 'lab.sqlite'}")
    with serve(lab, clock, tmp_path) as server:
        yield server
    lab.close()


@pytest.fixture
def study(site: Site) -> Study:
    return toy_study(site.lab, Budget(seconds=3600))


@pytest.fixture
def person(site: Site, study: Study) -> Participant:
    return tuning_participant(site, study)


@pytest.fixture
def caller(site: Site, person: Participant) -> Caller:
    return site.caller(Role.PARTICIPANT, person.id)


def visitor(site: Site) -> httpx.Client:
    """Somebody at a new browser that keeps cookies and follows redirects."""
    return httpx.Client(base_url=site.address, follow_redirects=True)


def fresh(site: Site, **changes: Any) -> Study:
    """A study like the toy one with other settings."""
    other = toy_study(site.lab, Budget(seconds=3600))
    return site.lab.studies.add(dataclasses.replace(other, name=f"{other.name} too", id=0, **changes))


# One window writes


@pytest.mark.slow
def test_a_stale_window_is_told_so_and_loses_nothing(site: Site, person: Participant, caller: Caller) -> None:
    assert caller.post(f"{caller.home}/tune/submit", {**VALUES, "key": "1", "window": "one"}).status_code == 303
    assert caller.post(f"{caller.home}/continue", {"window": "two"}).status_code == 303
    answer = caller.post(f"{caller.home}/tune/submit", {**VALUES, "value.learning_rate": "0.07", "key": "2", "window": "one"})
    assert answer.status_code == 409
    assert "open in another window" in answer.text
    assert 'value="0.07"' in answer.text
    form = form_for(answer.text, f"{caller.home}/continue")
    assert form is not None
    assert not form.hidden
    wrong = caller.post(f"{caller.home}/tune/submit", {**VALUES, "value.learning_rate": "lots", "window": "two"})
    assert wrong.status_code == 422
    form = form_for(wrong.text, f"{caller.home}/continue")
    assert form is not None
    assert form.hidden
    assert person.session_id is not None
    assert len(site.lab.sessions.get(person.session_id).trials) == 1
    said = caller.post(
        f"{caller.home}/tune/submit", {**VALUES, "key": "2", "window": "one"}, headers={"accept": "application/json"}
    )
    assert said.status_code == 409
    assert "another window" in said.json()["message"]
    assert caller.post(f"{caller.home}/tune/stop", {"number": "1", "window": "one"}).status_code == 409
    assert caller.post(f"{caller.home}/final", {"window": "one"}).status_code == 409
    assert site.lab.sessions.get(person.session_id).trials[0].is_open
    assert caller.post(f"{caller.home}/tune/stop", {"number": "1", "window": "two"}).status_code == 303
    caller.post(f"{caller.home}/continue", {"window": "one"})
    assert caller.post(f"{caller.home}/tune/submit", {**VALUES, "key": "2", "window": "one"}).status_code == 303


@pytest.mark.slow
def test_a_stale_window_keeps_its_final_choice(site: Site, person: Participant, caller: Caller) -> None:
    caller.post(f"{caller.home}/continue", {"window": "two"})
    answer = caller.post(f"{caller.home}/final", {**VALUES, "window": "one"})
    assert answer.status_code == 409
    form = form_for(answer.text, f"{caller.home}/final")
    assert form is not None
    assert form.values()["value.learning_rate"] == "0.1"
    assert form_for(answer.text, f"{caller.home}/continue") is not None
    assert caller.post(f"{caller.home}/final", {**VALUES, "window": "two"}).status_code == 303
    assert person.session_id is not None
    assert site.lab.sessions.get(person.session_id).choice is not None


def test_a_window_that_is_gone_gives_way_after_some_seconds(site: Site, caller: Caller) -> None:
    caller.post(f"{caller.home}/continue", {"window": "one"})
    assert caller.post(f"{caller.home}/tune/submit", {**VALUES, "window": "two"}).status_code == 409
    site.clock.now += 16
    assert caller.post(f"{caller.home}/tune/submit", {**VALUES, "window": "two"}).status_code == 303


@pytest.mark.slow
def test_a_second_device_is_another_window_and_a_refresh_is_not(site: Site, person: Participant, caller: Caller) -> None:
    assert caller.post(f"{caller.home}/tune/submit", {**VALUES, "key": "1"}).status_code == 303
    for _ in range(3):
        assert caller.get(f"{caller.home}/tune").status_code == 200
    assert caller.post(f"{caller.home}/tune/stop", {"number": "1"}).status_code == 303
    device = site.caller(Role.PARTICIPANT, person.id)
    assert device.post(f"{device.home}/tune/submit", {**VALUES, "key": "2"}).status_code == 409
    assert device.post(f"{device.home}/continue").status_code == 303
    assert device.post(f"{device.home}/tune/submit", {**VALUES, "key": "2"}).status_code == 303
    assert caller.post(f"{caller.home}/tune/submit", {**VALUES, "key": "3"}).status_code == 409
    kinds = [event.kind for event in site.lab.sessions.events()]
    assert kinds.count("took over") == 1


def test_the_other_window_hears_of_it_at_once(site: Site, caller: Caller) -> None:
    caller.post(f"{caller.home}/continue", {"window": "one"})
    with caller.http.stream("GET", f"{caller.home}/events", params={"window": "one"}) as answer:
        states = (json.loads(line[6:]) for line in answer.iter_lines() if line.startswith("data: ") and '"writes"' in line)
        assert next(states)["writes"]
        Caller(site, caller.identity).post(f"{caller.home}/continue", {"window": "two"})
        assert not next(states)["writes"]


@pytest.mark.slow
def test_the_same_submission_twice_is_one_trial(site: Site, person: Participant, caller: Caller) -> None:
    for _ in range(2):
        assert caller.post(f"{caller.home}/tune/submit", {**VALUES, "key": "same"}).status_code == 303
    assert person.session_id is not None
    assert len(site.lab.sessions.get(person.session_id).trials) == 1


def test_a_clock_that_runs_out_while_the_form_is_open_takes_nothing_more(site: Site, person: Participant, caller: Caller) -> None:
    page = caller.get(f"{caller.home}/tune")
    assert page.status_code == 200
    site.clock.now += 3601
    answer = caller.post(f"{caller.home}/tune/submit", {**VALUES, "key": "late"})
    assert (answer.status_code, answer.headers["location"]) == (303, f"{caller.home}/final")
    assert person.session_id is not None
    assert site.lab.sessions.get(person.session_id).trials == ()


# Time


@pytest.mark.slow
def test_a_pause_is_told_with_its_reason_and_keeps_what_was_typed(site: Site, person: Participant, caller: Caller) -> None:
    assert person.session_id is not None
    left = site.lab.view(person.session_id).seconds_left
    site.lab.sessions.pause([person.session_id], "a fire alarm")
    site.clock.now += 500
    page = caller.get(f"{caller.home}/tune")
    assert "Paused by the researcher: a fire alarm" in page.text
    answer = caller.post(f"{caller.home}/tune/submit", {**VALUES, "key": "1"})
    assert answer.status_code == 409
    assert 'value="0.1"' in answer.text
    assert caller.get(caller.home).headers["location"] == f"{caller.home}/tune"
    with pytest.raises(Refused, match="paused"):
        site.lab.choose(person.session_id)
    assert site.lab.sessions.unpause([person.session_id]) == [person.session_id]
    assert site.lab.view(person.session_id).seconds_left == left
    assert caller.post(f"{caller.home}/tune/submit", {**VALUES, "key": "1"}).status_code == 303


@pytest.mark.parametrize(
    ("left", "words"), [(601, ""), (599, "Less than 10 minutes"), (299, "Less than 5 minutes"), (59, "Less than 1 minute ")]
)
def test_the_last_minutes_are_told(site: Site, caller: Caller, left: int, words: str) -> None:
    site.clock.now += 3600 - left
    page = caller.get(f"{caller.home}/tune").text
    assert (words in page) if words else ("Less than" not in page)


def test_given_time_is_told_with_its_reason(site: Site, person: Participant, caller: Caller) -> None:
    assert person.session_id is not None
    site.clock.now += 3590
    site.lab.sessions.extend([person.session_id], 600, "the network was down")
    page = caller.get(f"{caller.home}/tune").text
    assert "10 more minutes given: the network was down." in page
    assert site.lab.view(person.session_id).seconds_left == 610


# Invitations


@pytest.mark.slow
def test_opening_a_link_spends_nothing_and_joining_spends_it_once(site: Site, study: Study) -> None:
    _, (token, _) = site.lab.participants.invite(study.id, "letters", kind="single", cap=2)
    for _ in range(3):
        assert visitor(site).get(f"/join/{token}").status_code == 200
    for _ in range(2):  # its answer may be lost: until the first step is done it brings the same person back
        assert visitor(site).get(f"/join/{token}").status_code == 200
        answer = httpx.post(f"{site.address}/join/{token}")
        assert answer.status_code == 200
        (person,) = site.lab.participants.of_study(study.id)
        assert site.lab.participants.resume(re.findall(r'id="resume-code">([A-Z0-9-]{31})<', answer.text)[0]) == person
    site.lab.participants.consent(person.id, study.consent.version)
    for again in (visitor(site).get(f"/join/{token}"), httpx.post(f"{site.address}/join/{token}")):
        assert again.status_code == 403
        assert "not valid" in again.text
    (batch_,) = site.lab.participants.batches(study.id)
    assert (batch_.joined, batch_.links, batch_.unused) == (1, 2, 1)


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["single", "open"])
def test_a_form_sent_again_since_its_answer_was_lost_joins_the_same_participant(
    site: Site, study: Study, kind: Literal["single", "open"]
) -> None:
    _, (token,) = site.lab.participants.invite(study.id, "letters", kind=kind, cap=1)
    home = f"/p/{study.id}"
    form = form_for(visitor(site).get(f"/join/{token}").text, f"{home}/join/{token}")
    assert form is not None
    lost, again = (visitor(site).post(form.action, data=form.values()), visitor(site))
    answer = again.post(form.action, data=form.values())
    codes = [re.findall(r'id="resume-code">([A-Z0-9-]{31})<', page.text) for page in (lost, answer)]
    assert codes[0] == codes[1] != []
    (person,) = site.lab.participants.of_study(study.id)
    assert site.lab.participants.resume(codes[0][0]) == person
    assert again.get(home).url.path == f"{home}/terms"
    assert site.lab.participants.batches(study.id)[0].joined == 1


@pytest.mark.slow
def test_a_key_that_could_be_guessed_is_refused(site: Site, study: Study) -> None:
    _, (token,) = site.lab.participants.invite(study.id, "letters", kind="single", cap=1)
    refused = httpx.post(f"{site.address}/join/{token}", data={"key": "abc"})
    assert refused.status_code == 403
    assert "form's key has 3 letters, expected 22" in html.unescape(refused.text)
    assert site.lab.participants.of_study(study.id) == []


@pytest.mark.slow
def test_an_open_link_has_a_cap_can_be_switched_off_and_expires(site: Site, study: Study) -> None:
    batch_, (token,) = site.lab.participants.invite(study.id, "poster", cap=1, expires_at=site.clock.now + 100)
    address = f"{site.address}/join/{token}"
    site.lab.participants.switch_batch(batch_.id, False)
    assert "switched off" in httpx.post(address).text
    site.lab.participants.switch_batch(batch_.id, True)
    assert httpx.post(address).status_code == 200
    full = httpx.get(address)
    assert full.status_code == 403
    assert "places of this invitation are taken" in full.text
    _, (later,) = site.lab.participants.invite(study.id, "poster", expires_at=site.clock.now + 100)
    site.clock.now += 101
    assert httpx.post(f"{site.address}/join/{later}").status_code == 403
    _, (closing,) = site.lab.participants.invite(study.id, "poster")
    site.lab.studies.close(study.id)
    closed = httpx.get(f"{site.address}/join/{closing}")
    assert "has ended" in closed.text
    assert len(site.lab.participants.of_study(study.id)) == 1


@pytest.mark.slow
def test_the_language_is_chosen_on_joining_and_a_pilot_is_marked(site: Site) -> None:
    study = fresh(site, languages=("de", "en"), contact="Ada, ada@lab.example")
    _, (token,) = site.lab.participants.invite(study.id, "try-out", mode="pilot")
    page = visitor(site).get(f"/join/{token}").text
    assert "Pilot" in page
    assert "Ada, ada@lab.example" in page
    assert "Deutsch" in page
    httpx.post(f"{site.address}/join/{token}", data={"language": "en"})
    httpx.post(f"{site.address}/join/{token}", data={"language": "xx"})
    assert [(of_study.language, of_study.mode) for of_study in site.lab.participants.of_study(study.id)] == [
        ("en", "pilot"),
        ("de", "pilot"),
    ]


# Practice


@pytest.fixture
def learner(site: Site) -> Caller:
    """Somebody in front of a practice trial."""
    study = fresh(site, practice=True)
    person, _ = site.lab.participants.join(study.id)
    site.lab.participants.consent(person.id, study.consent.version)
    site.lab.participants.answer(person.id, "background", {"months": 1, "education": "master"})
    caller = site.caller(Role.PARTICIPANT, person.id)
    caller.post(f"{caller.home}/practice/start")
    return caller


@pytest.mark.slow
def test_the_pages_tell_the_budget_of_the_persons_own_condition(site: Site) -> None:
    study = fresh(site, practice=True, arms=(Arm("few", budget=Budget(trials=3)),))
    person, _ = site.lab.participants.join(study.id)
    site.lab.participants.consent(person.id, study.consent.version)
    site.lab.participants.answer(person.id, "background", {"months": 12, "education": "msc"})
    caller = site.caller(Role.PARTICIPANT, person.id)
    details = caller.get(f"{caller.home}/details").text
    assert "Your budget: 3 trials" in details
    assert "clock" not in details.partition("Your budget")[2].partition("</section>")[0]
    caller.post(f"{caller.home}/practice/start")
    assert "Skip it and start" in caller.get(f"{caller.home}/practice").text
    assert "clock starts now" not in caller.get(f"{caller.home}/practice").text


@pytest.mark.slow
def test_practice_is_off_the_clock_and_counts_nowhere(site: Site, learner: Caller) -> None:
    assert learner.get(learner.home).headers["location"] == f"{learner.home}/practice"
    assert learner.post(f"{learner.home}/practice").status_code == 303
    assert "Practice." in learner.get(f"{learner.home}/practice").text
    assert learner.post(f"{learner.home}/tune/submit", {"value.passes": "2", "value.step_size": "0.1"}).status_code == 303
    person = site.lab.participants.get(learner.identity.subject)
    assert person.practice_id is not None
    assert person.session_id is not None
    tried = site.lab.sessions.get(person.practice_id)
    assert (tried.practice, tried.task.spec.name, len(tried.trials)) == (True, practice.NAME, 1)
    site.clock.now += 900
    assert learner.get(f"{learner.home}/practice").status_code == 200
    agent, _ = site.lab.agents.add("one", 1)
    job = claim(site.lab, agent)
    assert learner.post(f"{learner.home}/tune/start").status_code == 303
    assert not site.lab.measure(job.job_id, job.attempt, [batch(0)]), "the practice trial goes on"
    site.lab.finish(job.job_id, job.attempt, Outcome.STOPPED)
    assert site.lab.participants.step(person.id) is ParticipantStep.TUNE
    assert site.lab.view(person.session_id).seconds_left == 3600
    assert not site.lab.sessions.get(person.practice_id).trials[0].is_open
    site.lab.studies.close(person.study_id)
    assert [session.id for session in site.lab.studies.archive(person.study_id, "live").sessions] == [person.session_id]


def test_practice_can_be_skipped(site: Site, learner: Caller) -> None:
    assert learner.post(f"{learner.home}/tune/start").status_code == 303
    person = site.lab.participants.get(learner.identity.subject)
    assert person.practice_id is None
    assert site.lab.participants.step(person.id) is ParticipantStep.TUNE


# What the study declares


def test_reasons_are_the_studys_own_and_asked_for_where_it_says_so(site: Site) -> None:
    offered = (Option("gut", Text("a gut feeling", {"de": "ein Bauchgefühl"})), Option("other", Text("other")))
    study = fresh(site, reasons=offered, reasons_required=True, languages=("en", "de"))
    person = tuning_participant(site, study)
    site.lab.participants.set_language(person.id, "de")
    caller = site.caller(Role.PARTICIPANT, person.id)
    assert (
        "ein Bauchgefühl" in caller.get(f"{caller.home}/tune").text.lower()
        or "Ein Bauchgefühl" in caller.get(f"{caller.home}/tune").text
    )
    refused = caller.post(f"{caller.home}/tune/submit", {**VALUES, "reason.epochs": "gut"})
    assert refused.status_code == 422
    assert refused.text.count("Please choose why you set this.") == 1
    assert (
        caller.post(f"{caller.home}/tune/submit", {**VALUES, "reason.epochs": "gut", "reason.learning_rate": "gut"}).status_code
        == 303
    )
    assert person.session_id is not None
    (trial,) = site.lab.sessions.get(person.session_id).trials
    assert trial.reasons == {"epochs": "a gut feeling", "learning_rate": "a gut feeling"}


def test_the_completion_code_comes_at_the_end(site: Site) -> None:
    study = fresh(site, completion="C0DE-77")
    person = tuning_participant(site, study)
    caller = site.caller(Role.PARTICIPANT, person.id)
    assert "C0DE-77" not in caller.get(f"{caller.home}/tune").text
    agent, _ = site.lab.agents.add("one", 1)
    assert person.session_id is not None
    train(site, person.session_id, agent, 0.5)
    caller.post(f"{caller.home}/final", {"trial": "1"})
    assert "C0DE-77" in caller.get(f"{caller.home}/thanks").text


# Withdrawal


@pytest.mark.slow
def test_withdrawing_stops_the_training_erases_everything_and_keeps_the_count(
    site: Site, person: Participant, caller: Caller
) -> None:
    agent, _ = site.lab.agents.add("one", 1)
    assert person.session_id is not None
    train(site, person.session_id, agent, 0.7)
    caller.post(f"{caller.home}/tune/submit", {**VALUES, "reason.epochs": "other", "other.epochs": "my very own words"})
    job = claim(site.lab, agent)
    site.lab.measure(job.job_id, job.attempt, [batch(0)])
    assert caller.post(f"{caller.home}/withdraw").headers["location"] == f"{caller.home}/withdrawn"
    with pytest.raises(StaleAttempt):
        site.lab.measure(job.job_id, job.attempt, [epoch(1, 1, 0.5)])
    gone = site.lab.participants.get(person.id)
    assert (gone.answers, gone.answered, gone.withdrawn_at) == ({}, (), site.clock.now)
    assert len(site.lab.participants.of_study(person.study_id)) == 1
    session = site.lab.sessions.get(person.session_id)
    assert (session.trials, session.choice, site.lab.view(person.session_id).state) == ((), None, State.WITHDRAWN)
    assert "my very own words" not in stored(site)
    assert caller.get(f"{caller.home}/tune").headers["location"] == f"{caller.home}/withdrawn"


def stored(site: Site) -> str:
    """Everything in the database, as text."""
    engine = create_engine(f"sqlite:///{site.folder / 'lab.sqlite'}")
    with engine.connect() as connection:
        names = inspect(connection).get_table_names()
        return "\n".join(str(row) for name in names for row in connection.execute(text(f'SELECT * FROM "{name}"')))


@pytest.mark.slow
def test_no_address_and_no_browser_are_stored(site: Site, study: Study) -> None:
    _, (token,) = site.lab.participants.invite(study.id, "link")
    headers = {"user-agent": "Tellingly/9.9 (Strange Machine)", "x-forwarded-for": "203.0.113.77"}
    with httpx.Client(base_url=site.address, headers=headers, follow_redirects=True) as http:
        http.post(f"/join/{token}")
        page = http.get("/p/1")
        form = form_for(page.text, "/p/1/terms")
        assert form is not None
        http.post("/p/1/terms", data=form.values())
        http.get("/p/1")
    everything = stored(site)
    for word in ("Tellingly", "Strange", "203.0.113.77", "127.0.0.1"):
        assert word not in everything
