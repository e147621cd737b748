"""A participant's seat in a browser: the address and the cookie of each study, old links, browsers without cookies."""

import re
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Literal

import httpx
import pytest

from evenhand.analysis import summaries
from evenhand.model.job import Assignment
from evenhand.model.study import Study
from evenhand.model.task import TaskRecord, TaskSpec
from evenhand.model.trial import Outcome
from evenhand.rehearsal.html_forms import forms
from evenhand.settings import PublicAddress
from evenhand.studies import classroom
from evenhand.web import run_panel
from evenhand.web.access import COOKIE_NAMES, Role
from tests.labs import SPACE, epoch, toy_study
from tests.web import Site, toy_site, tuning_participant

NO_COOKIES = "This browser keeps no cookies of this site"


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    with toy_site(tmp_path_factory.mktemp("seats")) as made:
        yield made


def visitor(site: Site) -> httpx.Client:
    """Somebody at a new browser that keeps cookies and follows redirects."""
    return httpx.Client(base_url=site.address, follow_redirects=True)


def invitation(site: Site, study: Study, kind: Literal["single", "open"] = "open") -> str:
    return f"/join/{site.lab.participants.invite(study.id, 'letters', kind=kind, cap=1)[1][0]}"


def begin(http: httpx.Client, address: str) -> httpx.Response:
    """Open an invitation and press its button."""
    page = http.get(address)
    form = next(form for form in forms(page.text) if form.method == "post")
    return http.post(form.action, data=form.values())


def test_two_studies_live_in_one_browser_and_each_goes_on_as_its_own_participant(site: Site) -> None:
    first, second = toy_study(site.lab), toy_study(site.lab)
    http = visitor(site)
    for study in (first, second):
        begin(http, invitation(site, study))
    cookies = [(cookie.name, cookie.path) for cookie in http.cookies.jar if cookie.name == COOKIE_NAMES[Role.PARTICIPANT]]
    assert cookies == [(COOKIE_NAMES[Role.PARTICIPANT], f"/p/{study.id}") for study in (first, second)]
    for study, done in ((first, False), (second, False), (first, True)):
        page = http.get(f"/p/{study.id}")
        assert page.url.path == f"/p/{study.id}/" + ("questions/background" if done else "terms")
        if study is first and not done:
            form = next(form for form in forms(page.text) if form.action == f"/p/{study.id}/terms")
            http.post(form.action, data=form.values())
    (person,) = site.lab.participants.of_study(first.id)
    assert person.consented_at is not None
    (other,) = site.lab.participants.of_study(second.id)
    assert other.consented_at is None
    assert "takes part in 2 studies" in http.get("/").text
    assert "You take part already" in http.get(invitation(site, first)).text


def test_who_takes_part_in_one_study_is_nobody_in_another(site: Site) -> None:
    first, second = toy_study(site.lab), toy_study(site.lab)
    person = tuning_participant(site, first)
    tuning_participant(site, second)
    caller = site.caller(Role.PARTICIPANT, person.id)
    assert caller.get(f"/p/{first.id}/tune").status_code == 200
    for path in ("", "/tune", "/trials", "/trials/1/curve", "/events", "/withdraw"):
        answer = caller.get(f"/p/{second.id}{path}")
        assert answer.status_code == 403
        assert "participants of this study" in answer.text
    assert caller.post(f"/p/{second.id}/withdraw").status_code == 403
    assert [one.withdrawn_at for study in (first, second) for one in site.lab.participants.of_study(study.id)] == [None, None]


@pytest.mark.parametrize("known_by", ["the cookie of all pages, as it was", "the study joined last"])
def test_old_links_lead_to_the_same_page_of_the_study(site: Site, known_by: str) -> None:
    study = toy_study(site.lab)
    person = tuning_participant(site, study)
    http = site.caller(Role.PARTICIPANT, person.id).http
    if known_by == "the study joined last":
        http.cookies.set("evenhand_study", str(study.id))
        http.cookies.delete(COOKIE_NAMES[Role.PARTICIPANT])
    for old, new in (
        ("/p", ""),
        ("/p/tune?from=1", "/tune?from=1"),
        ("/p/trials/3/curve", "/trials/3/curve"),
        ("/p/final", "/final"),
    ):
        for method in ("GET", "HEAD"):
            answer = http.request(method, old)
            assert (answer.status_code, answer.headers["location"]) == (303, f"/p/{study.id}{new}")
    answer = http.post("/p/tune/submit", data={"value.epochs": "2"})
    assert (answer.status_code, answer.headers["location"]) == (307, f"/p/{study.id}/tune/submit")
    for nonsense in ("/p/nothing", "/p/²", f"/p/{10**30}", "/p/0"):
        assert http.get(nonsense).status_code == 404


def test_a_browser_that_takes_part_in_several_studies_is_asked_which(site: Site) -> None:
    first, second = toy_study(site.lab), toy_study(site.lab)
    with httpx.Client(base_url=site.address) as http:
        for study in (first, second, first):
            _, code = site.lab.participants.join(study.id)
            http.post("/resume", data={"code": code})
        assert http.cookies["evenhand_study"] == f"{first.id}.{second.id}"
        for address in ("/p", "/"):
            page = http.get(address).text
            assert "takes part in 2 studies" in page
            assert page.index(f'href="/p/{first.id}"') < page.index(f'href="/p/{second.id}"')
        assert http.get("/p/tune").headers["location"] == f"/p/{first.id}/tune"
        http.cookies.set(
            "evenhand_study", f"{second.id}.{10**16}.x.{second.id}"
        )  # of a study that is gone, and of nobody's making
        assert http.get("/p").headers["location"] == f"/p/{second.id}"


def test_a_form_that_was_open_when_the_addresses_changed_is_still_taken(site: Site) -> None:
    study = toy_study(site.lab)
    person = tuning_participant(site, study)
    caller = site.caller(Role.PARTICIPANT, person.id)
    form = {"csrf_token": caller.identity.csrf_token, "value.epochs": "2", "value.learning_rate": "0.1"}
    answer = caller.http.post("/p/tune/submit", data=form, follow_redirects=True)
    assert answer.url.path == f"/p/{study.id}/tune"
    session_id = site.lab.participants.get(person.id).session_id
    assert session_id
    assert [trial.configuration for trial in site.lab.view(session_id).session.trials] == [
        SPACE.configuration({"epochs": 2, "learning_rate": 0.1})
    ]


def test_old_links_of_nobody_lead_to_the_resume_code(site: Site) -> None:
    answer = visitor(site).get("/p/tune")
    assert (answer.status_code, answer.url.path) == (200, "/resume")
    lost = visitor(site)
    for number in ("999999", "9" * 5000, "-1", ""):
        lost.cookies.set("evenhand_study", number)
        assert lost.get("/").url.path == "/"


@pytest.mark.parametrize("kind", ["invitation", "class"])
def test_a_browser_without_cookies_is_told_before_anything_is_spent(site: Site, kind: str) -> None:
    study = toy_study(site.lab)
    if kind == "class":
        lesson = classroom.study_of(site.lab.studies.task(study.task_id), "class", f"Lesson {study.id}", 30, 7)
        study = site.lab.studies.add(lesson)
        address = f"/class/{classroom.open_class(site.lab, study, 3)[1]}"
    else:
        address = invitation(site, study, "single")
    path, hops = address, 0
    while (answer := httpx.get(site.address + path)).is_redirect:  # a new client each time: what it was given is lost
        path, hops = answer.headers["location"], hops + 1
    assert (answer.status_code, hops) == (403, 1)
    assert NO_COOKIES in answer.text
    assert f'href="{address}"' in answer.text  # to try again
    assert forms(answer.text) == []
    assert site.lab.participants.of_study(study.id) == []
    assert NO_COOKIES not in visitor(site).get(address).text


def test_the_address_of_the_join_page_itself_may_be_passed_on(site: Site) -> None:
    study = toy_study(site.lab)
    address = invitation(site, study)
    for shared in (f"/p/{study.id}{address}", f"/p/{study.id + 1}{address}"):
        page = visitor(site).get(shared)
        assert page.url.path == f"/p/{study.id}{address}"
        assert "Begin" in page.text


@pytest.mark.parametrize("kind", ["single", "open"])
def test_begin_pressed_twice_at_once_is_one_participant_with_one_code(site: Site, kind: Literal["single", "open"]) -> None:
    study = toy_study(site.lab)
    page = visitor(site).get(invitation(site, study, kind))
    form = next(form for form in forms(page.text) if form.method == "post")
    with ThreadPoolExecutor(2) as pool:
        answers = list(pool.map(lambda _: httpx.post(site.address + form.action, data=form.values()), range(2)))
    codes = {re.findall(r'id="resume-code">([A-Z0-9-]{31})<', answer.text)[0] for answer in answers}
    (person,) = site.lab.participants.of_study(study.id)
    assert len(codes) == 1
    assert site.lab.participants.resume(codes.pop()) == person
    for answer in answers:
        assert site.lab.tokens.check("participant", answer.cookies[COOKIE_NAMES[Role.PARTICIPANT]]) == person.id


def test_behind_a_proxy_a_seat_is_of_the_public_path(tmp_path: Path) -> None:
    with toy_site(tmp_path, public=PublicAddress("https://lab.example.org/evenhand")) as site:
        study = toy_study(site.lab)
        headers = {"host": "lab.example.org", "x-forwarded-proto": "https"}
        join = invitation(site, study)
        answer = httpx.get(f"{site.address}{join}", headers=headers)
        assert answer.headers["location"] == f"/evenhand/p/{study.id}{join}?cookies=tried"
        assert "path=/evenhand;" in answer.headers["set-cookie"].lower()
        joined = httpx.post(f"{site.address}/p/{study.id}{join}", headers=headers)
        (seat,) = [line for line in joined.headers.get_list("set-cookie") if line.startswith(COOKIE_NAMES[Role.PARTICIPANT])]
        assert f"; path=/evenhand/p/{study.id};" in seat.lower()
        assert f'href="/evenhand/p/{study.id}"' in joined.text


def test_pages_promise_a_resume_code_only_where_there_is_one(site: Site) -> None:
    study = toy_study(site.lab)
    lesson = classroom.study_of(site.lab.studies.task(study.task_id), "class", f"Lesson {study.id}", 30, 7)
    for taken_part, has_code in ((study, True), (site.lab.studies.add(lesson), False)):
        person = (
            tuning_participant(site, taken_part) if has_code else site.lab.participants.join(taken_part.id, nickname="Ada")[0]
        )
        caller = site.caller(Role.PARTICIPANT, person.id)
        if not has_code:
            assert "open the class's address again on this device" in caller.get(f"{caller.home}/details").text
        session = site.lab.participants.begin(person.id)
        site.lab.choose(session.id, configuration=SPACE.configuration({"epochs": 1}))
        assert ("Your resume code leads back to this page" in caller.get(f"{caller.home}/thanks").text) is has_code


@pytest.mark.parametrize(
    ("live", "seeds", "words"),
    [
        (True, 10, ("after each epoch, its validation", "scored on test data 10 times", "you have 10 minutes more")),
        (False, 1, ("when it has ended, its validation", "scored on test data once")),
        (False, 0, ("when it has ended, its validation", "you name it.", "it ends the session")),
    ],
)
def test_the_details_say_what_holds_for_this_study(site: Site, live: bool, seeds: int, words: tuple[str, ...]) -> None:
    plain = toy_study(site.lab)
    study = site.lab.studies.add(
        replace(plain, name=f"{plain.name} too", id=0, live_validation=live, evaluation_seeds=seeds, questionnaires=())
    )
    person, _ = site.lab.participants.join(study.id)
    site.lab.participants.consent(person.id, study.consent.version)
    page = " ".join(site.caller(Role.PARTICIPANT, person.id).get(f"/p/{study.id}/details").text.split())
    for expected in words:
        assert expected in page
    assert (" times" in page) is (seeds == 10)


@pytest.mark.parametrize("live", [True, False])
@pytest.mark.parametrize("direction", ["maximize", "minimize"])
def test_the_best_so_far_never_falls(site: Site, live: bool, direction: Literal["maximize", "minimize"]) -> None:
    sign = 1 if direction == "maximize" else -1
    record = TaskRecord(TaskSpec("toy"), f"version {direction}", SPACE, "loss", direction, 10)
    plain = toy_study(site.lab)
    task_id = site.lab.studies.add_task(record).id
    study = site.lab.studies.add(replace(plain, name=f"{plain.name} too", id=0, task_id=task_id, live_validation=live))
    person = tuning_participant(site, study)
    assert person.session_id
    agent, _ = site.lab.agents.add("one", 1)
    bests = []

    def look() -> None:
        view = site.lab.view(person.session_id or 0)
        curve = site.lab.curve(view.session.id, view.session.trials[-1].number)
        bests.append(run_panel.panel_of(view, curve).best_value)

    outcomes = ((0.3, 0.5, Outcome.COMPLETED), (0.9, 0.2, Outcome.COMPLETED), (0.95, 0.99, Outcome.DIVERGED), (0.7, 0.6, None))
    for first, second, outcome in outcomes:
        site.lab.submit(person.session_id, SPACE.configuration({"epochs": 2}))
        job = site.lab.claim(agent, session_id=person.session_id)  # others of this site may wait, too
        assert job is not None
        for place, value in enumerate((first, second)):
            site.lab.measure(job.job_id, job.attempt, [epoch(place, place + 1, sign * value)])
            look()
        if outcome is None:
            site.lab.stop(person.session_id, 4)
        site.lab.finish(job.job_id, job.attempt, outcome or Outcome.STOPPED)
        look()
    assert bests == [None, None, *[sign * 0.5] * 9, sign * 0.6]
    shown = summaries.best_so_far(site.lab.sessions.get(person.session_id), "trials")
    assert [(best.value, best.number) for best in shown] == [(sign * 0.5, 1), (sign * 0.6, 4)]


def test_a_trial_that_was_only_given_back_is_not_called_lost(site: Site) -> None:
    lab = site.lab
    person = tuning_participant(site, toy_study(lab))
    assert person.session_id
    agent, _ = lab.agents.add("one", 1)
    lab.submit(person.session_id, SPACE.configuration({"epochs": 2}))

    def note() -> str:
        view = lab.view(person.session_id or 0)
        return run_panel.panel_of(view, lab.sessions.newest(view.session, view.session.trials[0])).note

    def claimed() -> Assignment:
        job = lab.claim(agent, session_id=person.session_id)  # others of this site may wait, too
        assert job is not None
        return job

    job = claimed()
    lab.release(job.job_id, job.attempt, "torch had to be loaded", counts=False)
    assert note().endswith("This time is not counted.")
    job = claimed()
    lab.measure(job.job_id, job.attempt, [epoch(0, 1, 0.5)])
    lab.release(job.job_id, job.attempt, "its worker died")
    assert note().endswith("Its training was lost with its agent and begins anew; neither that nor this time is counted.")
