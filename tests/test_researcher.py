"""The researcher's pages: signing in, inviting, starting a method, watching, and looking at a test score once it is time."""

import json
import re
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from fastapi.routing import APIRoute
from playwright.sync_api import Page, expect

import evenhand
from evenhand.lab.served import HEARTBEAT_FILE, beat, last_alive
from evenhand.methods import METHODS
from evenhand.methods.words import METHOD_WORDS, SETTING_WORDS, form_settings
from evenhand.model.configuration import Configuration
from evenhand.model.domain import Float
from evenhand.model.job import Order
from evenhand.model.session import State
from evenhand.model.study import Budget, Study, Text
from evenhand.model.task import TaskRecord, TaskSpec
from evenhand.model.trial import Outcome
from evenhand.tasks import accounts
from evenhand.tasks.accounts import DataAccount, Taken
from evenhand.web.access import COOKIE_NAMES, Role
from tests import components
from tests.labs import SPACE, claim, epoch, make_lab, toy_study
from tests.waiting import PATIENCE_SECONDS, wait_for
from tests.web import Caller, Site, evaluated, routes, scored, serve, toy_site, train, tuned_study, tuning_participant

TEST_SCORES = (0.7131, 0.7353)  # values that occur nowhere else
SHOWN = ("71.3", "73.5", "72.4", "0.7131", "0.7353", "0.7242")


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    with toy_site(tmp_path) as made:
        yield made


def invitation(page: str) -> str:
    match = re.search(r'value="http://[^"/]+(/join/[\w-]+)"', page)
    assert match
    return match[1]


def test_a_sign_in_link_works_once_and_not_by_being_opened(site: Site) -> None:
    toy_study(site.lab)
    link = f"/signin/{site.lab.people.link(site.person(Role.RESEARCHER).id, 60)}"
    preview = site.caller()
    assert preview.get(link).status_code == 200
    assert "Sign in" in preview.get(link).text  # opening it twice spends nothing
    browser = site.caller()
    assert browser.post(link).headers["location"] == "/"
    assert 'href="/studies/1"' in browser.get("/").text
    assert browser.get("/studies/1").status_code == 200
    late = site.caller()
    assert late.post(link).status_code == 403
    assert "used up" in late.get(link).text
    assert late.get("/studies/1").status_code == 403


def test_an_old_sign_in_link_has_ended(site: Site) -> None:
    link = f"/signin/{site.lab.people.link(site.person(Role.RESEARCHER).id, 60)}"
    site.clock.now += 61
    assert site.caller().post(link).status_code == 403


def test_an_empty_lab_and_an_empty_study_say_what_to_do(site: Site) -> None:
    researcher = site.caller(Role.RESEARCHER)
    assert "evenhand serve" in researcher.get("/").text
    toy_study(site.lab)
    page = researcher.get("/studies/1").text
    assert "Nobody tunes yet" in page
    assert "No agent is connected" in page


@pytest.mark.slow
def test_the_versions_page_says_what_the_tasks_data_was_taken_for(
    site: Site, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("EVENHAND_DATA", str(tmp_path / "own"))
    study = toy_study(site.lab)
    address, researcher = f"/studies/{study.id}/versions", site.caller(Role.RESEARCHER)
    assert "was taken for" not in researcher.get(address).text
    parts = (Taken("size <m>", "numbers", "1 to 3", 2, ("1", "3"), ("the same value",)), Taken("kind", "target: 2 classes"))
    account = DataAccount("x.csv: 3 rows, 2 columns", parts, ("cells are split by commas",))
    accounts.note(site.lab.studies.task(study.task_id).version, account)
    assert accounts.noted(site.lab.studies.task(study.task_id).version) == account
    page = researcher.get(address).text
    assert '<tr><th scope="row">size &lt;m&gt;</th><td>numbers</td><td>1 to 3</td><td>2</td><td>1 · 3</td></tr>' in page
    assert "<li>cells are split by commas</li><li>size &lt;m&gt;: the same value</li>" in page
    assert re.search(r"x.csv: 3 rows, 2 columns.*>First values</th>", page, re.DOTALL)


def test_an_invitation_makes_participants_who_can_come_back(site: Site) -> None:
    study = toy_study(site.lab)
    researcher = site.caller(Role.RESEARCHER)
    address = invitation(researcher.post(f"/studies/{study.id}/invitations").text)
    person = site.caller()
    assert person.get(address).headers["location"] == f"/p/{study.id}{address}?cookies=tried"
    address = f"/p/{study.id}{address}"
    assert "Begin" in person.get(address).text
    assert site.lab.participants.of_study(study.id) == []
    page = person.post(address)
    code = re.search(r'id="resume-code">([A-Z2-7-]+)<', page.text)
    assert code
    assert "P-01" in page.text
    assert person.post(address).headers["location"] == f"/p/{study.id}"  # a reload makes nobody else
    assert len(site.lab.participants.of_study(study.id)) == 1
    assert person.post(address, {"anew": "yes"}).status_code == 200  # somebody else at the same computer
    assert len(site.lab.participants.of_study(study.id)) == 2
    elsewhere = site.caller()
    assert elsewhere.post("/resume", {"code": code[1].lower().replace("-", " ")}).headers["location"] == f"/p/{study.id}"
    assert elsewhere.http.cookies[COOKIE_NAMES[Role.PARTICIPANT]]
    wrong = site.caller().post("/resume", {"code": "ABCDE"})
    assert wrong.status_code == 404
    assert "ABCDE" in wrong.text  # what was typed stays
    assert site.caller().get("/join/made-up").status_code == 403


def test_a_method_is_started_under_the_studys_budget_and_played(site: Site) -> None:
    study = toy_study(site.lab, Budget(trials=2))
    agent, _ = site.lab.agents.add("one", 1)
    researcher = site.caller(Role.RESEARCHER)
    assert researcher.post(f"/studies/{study.id}/methods", {"method": "random", "seed": "5"}).status_code == 303
    assert researcher.post(f"/studies/{study.id}/methods", {"method": "random", "seed": "6"}).status_code == 303
    first, second = site.lab.sessions.of_study(study.id)
    assert (first.tuner, second.tuner) == ("random", "random 2")
    assert first.budget == second.budget == study.budget
    assert first.method == {"name": "random", "seed": 5}
    for value in (0.3, 0.5):
        wait_for(lambda: any(trial.is_open for trial in site.lab.sessions.get(first.id).trials), "a trial is open")
        job = site.lab.claim(agent, session_id=first.id)
        assert job
        site.lab.measure(job.job_id, job.attempt, [epoch(0, 1, value)])
        site.lab.finish(job.job_id, job.attempt, Outcome.COMPLETED)
    wait_for(lambda: site.lab.sessions.get(first.id).choice, "a choice")
    assert site.lab.view(first.id).state is State.CHOSEN


@pytest.mark.slow
@pytest.mark.parametrize(
    ("form", "status", "why"),
    [
        ({"method": "magic"}, 400, "magic"),
        ({}, 400, "method"),
        ({"method": "random", "mode": "life"}, 400, "expected one of live, pilot, simulated"),
        ({"method": "tpe", "tpe.seed": "-1"}, 422, "got &#39;-1&#39;, expected a whole number, such as 0"),
        ({"method": "tpe", "tpe.seed": "9999999999"}, 422, "got 9999999999, expected a whole number from 0 to 2147483647"),
        ({"method": "tpe", "tpe.startup": "ten"}, 422, "got &#39;ten&#39;, expected a whole number, such as 10"),
        ({"method": "tpe", "tpe.startup": "0"}, 409, "startup is 0, expected a whole number above 0"),
        ({"method": "pibo", "pibo.beta": "1,000"}, 422, "can be read in two ways: please write 1000 or 1.000"),
        ({"method": "hyperband", "seed": "1"}, 409, "lets trainings go on, and in this study they always begin anew"),
        ({"method": "manual", "seed": "1"}, 409, "no configurations are given"),
    ],
)
def test_a_method_that_cannot_be_started_says_why_and_keeps_what_was_typed(
    form: dict[str, str], status: int, why: str, site: Site
) -> None:
    study = toy_study(site.lab)
    answer = site.caller(Role.RESEARCHER).post(f"/studies/{study.id}/methods", form)
    assert answer.status_code == status
    assert why.lower() in answer.text.lower()
    assert site.lab.sessions.of_study(study.id) == []
    for name, text in form.items() if status != 400 else ():
        assert "." not in name or re.search(rf'name="{name}" value="{text}"', answer.text), f"{name} was lost"


@pytest.mark.slow
def test_methods_that_can_run_here_are_offered_with_a_sentence_and_their_settings(site: Site) -> None:
    study, few = toy_study(site.lab, Budget(trials=50)), toy_study(site.lab, Budget(trials=8))
    researcher = site.caller(Role.RESEARCHER)
    page = researcher.get(f"/studies/{study.id}/methods").text
    offered = re.findall(r'name="method" value="(\w+)"', page)
    assert offered[0] == re.findall(r'value="(\w+)" checked', page)[0] == "tpe"
    assert {"random", "sobol", "cmaes", "pibo"} < set(offered)
    assert not {"hyperband", "asha", "priorband", "manual"} & set(offered)
    assert "4 methods cannot run here" in page
    assert all(METHOD_WORDS[name][:30] in page for name in offered)
    assert re.findall(r'name="method" value="(\w+)"', researcher.get(f"/studies/{few.id}/methods").text)[0] == "sobol"
    form = {
        "method": "tpe",
        "tpe.seed": "4",
        "tpe.startup": "6",
        "tpe.candidates": "24",
        "random.seed": "never read",
        "hold": "yes",
    }
    assert researcher.post(f"/studies/{study.id}/methods", form).headers["location"].endswith("/workbench?do=beliefs")
    assert site.lab.sessions.of_study(study.id)[0].method == {"name": "tpe", "seed": 4, "startup": 6}


def test_every_method_of_our_own_has_a_sentence_and_every_setting_words() -> None:
    own = [name for name in METHODS if not METHODS.entry(name).by]
    assert list(METHOD_WORDS) == own
    assert {setting.name for name in own for setting in form_settings(name)} == set(SETTING_WORDS)


def test_the_study_page_shows_who_is_ahead(site: Site) -> None:
    study, session, agent = tuned_study(site)
    person = tuning_participant(site, study)
    assert person.session_id
    train(site, person.session_id, agent, 0.7)
    page = site.caller(Role.RESEARCHER).get(f"/studies/{study.id}").text
    lead = page[page.index('id="lead"') :]
    assert lead.index("P-01") < lead.index("70.0")
    curves = json.loads(re.findall(r'id="curves">(.*?)</script>', page)[0])
    assert [(line["tuner"], line["kind"]) for line in curves["lines"]] == [("P-01", "participant"), ("random", "method")]
    minutes = [point[0] * 60 for point in curves["lines"][1]["points"]]
    assert minutes == pytest.approx([5, 10])
    assert curves["limit"] * 60 == 100
    assert [point[1] for point in curves["lines"][1]["points"]] == pytest.approx([41, 62])
    assert "12 months" in page
    assert f'href="/sessions/{session.id}"' in page
    site.lab.participants.exclude(person.id, "knew the answers")
    page = site.caller(Role.RESEARCHER).get(f"/studies/{study.id}").text
    lead = page[page.index('id="lead"') : page.index('id="chart-best"')]
    assert "62.0" in lead  # whoever is left out is not ahead
    assert "P-01" not in lead


def test_at_a_tie_nobody_is_ahead(site: Site) -> None:
    study, _, agent = tuned_study(site)
    person = tuning_participant(site, study)
    assert person.session_id
    train(site, person.session_id, agent, 0.62)
    page = site.caller(Role.RESEARCHER).get(f"/studies/{study.id}").text
    assert "shared by 2: nobody is ahead" in page[page.index('id="lead"') :]


def test_the_stream_sends_the_state_when_it_changes(site: Site) -> None:
    study, session, agent = tuned_study(site)
    researcher, listeners = site.caller(Role.RESEARCHER), list(site.lab.on_change)
    with researcher.http.stream("GET", f"/studies/{study.id}/events") as answer:
        states = (json.loads(line[6:]) for line in answer.iter_lines() if line.startswith("data: "))
        assert next(states)["curves"]["lines"][0]["points"][-1][1] == pytest.approx(62)
        train(site, session.id, agent, 0.8)
        assert any(state["curves"]["lines"][0]["points"][-1][1] == pytest.approx(80) for state in states)
    wait_for(lambda: site.lab.on_change == listeners, "a closed stream leaves nothing behind")


def test_the_session_page_tells_each_trial(site: Site) -> None:
    study, session, _ = tuned_study(site)
    site.lab.submit(
        session.id,
        SPACE.configuration({"epochs": 3, "learning_rate": 0.5}),
        reasons={"epochs": "<script>alert(1)</script>"},
        explanation="a random draw & nothing else",
    )
    page = site.caller(Role.RESEARCHER).get(f"/sessions/{session.id}").text
    assert "62.0" in page
    assert re.search(r"learning rate.*?0\.01 →.*?<b>0\.5</b>", page)
    assert "a random draw &amp; nothing else" in page
    assert "<script>alert(1)" not in page  # free text is shown as text
    assert "&lt;script&gt;alert(1)" in page
    assert "Nothing is chosen yet" in page
    assert study.title in page


def test_the_session_page_says_what_its_stopping_rule_cannot_do(site: Site) -> None:
    """Here a trial that reported its end alone, as a function of (configuration) does."""
    method = {"name": "random", "stopping": "median"}
    session = site.lab.start(site.lab.sessions.open(toy_study(site.lab, Budget(trials=2)).id, tuner="random", method=method).id)
    agent, _ = site.lab.agents.add("a", 1)
    site.lab.submit(session.id, SPACE.configuration({"epochs": 2}))
    site.lab.finish(claim(site.lab, agent).job_id, 1, Outcome.COMPLETED, None, [epoch(0, 2, 0.5)])
    page = site.caller(Role.RESEARCHER).get(f"/sessions/{session.id}").text
    assert "can end no trial early, since trial 1 reported its end alone: call run.report(epoch=..., accuracy=...)" in page


def test_curves_come_with_a_cursor(site: Site) -> None:
    _, session, _ = tuned_study(site)
    researcher = site.caller(Role.RESEARCHER)
    assert researcher.get(f"/sessions/{session.id}/curves").json()["2"] == [[1, 0.52], [2, 0.62]]
    whole = researcher.get(f"/sessions/{session.id}/trials/2/curve").json()
    assert [point[0] for point in whole["points"]] == [0, 1]
    assert [p[0] for p in researcher.get(f"/sessions/{session.id}/trials/2/curve?attempt=1&after=0").json()["points"]] == [1]
    assert researcher.get(f"/sessions/{session.id}/trials/9/curve").status_code == 404


def test_numbers_that_no_database_holds_are_of_nothing(site: Site) -> None:
    researcher = site.caller(Role.RESEARCHER)
    paths = {
        route.path: re.sub(r"{[a-z_]+}", str(10**20), route.path)
        for route in routes(site.app)
        if isinstance(route, APIRoute) and "GET" in (route.methods or ()) and re.search(r"{(study|session)_id}", route.path)
    }
    assert "/sessions/{session_id}" in paths
    assert {path: researcher.get(asked).status_code for path, asked in paths.items()} == dict.fromkeys(paths, 404)


def everything_shown(researcher: Caller, study_id: int, session_id: int) -> str:
    """All that these pages, streams and numbers say of a session."""
    paths = [
        f"/studies/{study_id}",
        f"/sessions/{session_id}",
        f"/sessions/{session_id}/workbench",
        f"/sessions/{session_id}/curves",
        f"/sessions/{session_id}/explore",
        f"/sessions/{session_id}/columns",
        f"/sessions/{session_id}/trials/2/curve",
    ]
    streams = [f"/studies/{study_id}/events", f"/sessions/{session_id}/events", f"/sessions/{session_id}/workbench/events"]
    return "".join([researcher.get(path).text for path in paths] + [str(researcher.first_state(path)) for path in streams])


@pytest.mark.slow
def test_no_test_score_is_shown_before_it_is_asked_for_and_each_look_is_logged(site: Site) -> None:
    study, session, agent = tuned_study(site)
    researcher = site.caller(Role.RESEARCHER)
    assert researcher.post(f"/sessions/{session.id}/reveal").status_code == 409  # nothing is chosen yet
    evaluated(site, session.id, agent, *TEST_SCORES)
    said = everything_shown(researcher, study.id, session.id)
    assert "all 2 seeds" in said
    assert not [shown for shown in SHOWN if shown in said]
    assert site.lab.evaluations.looks(session.id) == []
    assert researcher.post(f"/sessions/{session.id}/reveal").status_code == 303
    assert [who for who, _ in site.lab.evaluations.looks(session.id)] == [researcher.identity.who]
    page = researcher.get(f"/sessions/{session.id}").text
    for shown in ("71.3", "73.5", "72.4", "± 1.6"):  # each seed, the mean, the standard deviation
        assert shown in page
    assert "Looked at by Rosa" in page
    overview = researcher.get(f"/studies/{study.id}").text + researcher.first_event(f"/studies/{study.id}/events")
    assert not [shown for shown in SHOWN if shown in overview]


def test_a_page_that_follows_a_look_is_not_told_how_it_was_before(site: Site) -> None:
    _, session, agent = tuned_study(site)
    evaluated(site, session.id, agent, *TEST_SCORES)
    researcher = site.caller(Role.RESEARCHER)
    events = f"/sessions/{session.id}/events"
    with researcher.http.stream("GET", events) as before:  # the page that has the button
        assert next(before.iter_lines())
        assert "72.4" not in researcher.first_state(events)["evaluation"]
        researcher.post(f"/sessions/{session.id}/reveal")
        assert "72.4" in researcher.first_state(events)["evaluation"]


@pytest.mark.slow
def test_whoever_looked_cannot_stop_a_trial_any_more(site: Site) -> None:
    study, session, agent = tuned_study(site)
    other = site.lab.start(site.lab.sessions.open(study.id, tuner="tpe", driver="test").id)
    running = site.lab.submit(other.id, SPACE.configuration({"epochs": 2}))
    claim(site.lab, agent)
    researcher = site.caller(Role.RESEARCHER)
    stop = f"/sessions/{other.id}/trials/{running.number}/stop"
    evaluated(site, session.id, agent)
    assert "disabled" not in researcher.get(f"/sessions/{other.id}").text
    researcher.post(f"/sessions/{session.id}/reveal")
    assert "cannot stop trials" in researcher.get(f"/sessions/{other.id}").text
    answer = researcher.post(stop)
    assert answer.status_code == 403
    assert "looked at a score on the test data" in answer.text
    assert site.lab.sessions.get(other.id).trials[0].stop_by is None


def test_a_trial_is_stopped_for_the_researcher(site: Site) -> None:
    _, session, agent = tuned_study(site)
    site.lab.submit(session.id, SPACE.configuration({"epochs": 9}))
    job = claim(site.lab, agent)
    researcher = site.caller(Role.RESEARCHER)
    assert researcher.post(f"/sessions/{session.id}/trials/3/stop").status_code == 303
    assert site.lab.measure(job.job_id, job.attempt, []) is Order.STOP
    assert site.lab.sessions.get(session.id).trials[2].stop_by == "researcher"


def test_a_session_whose_process_is_gone_says_how_it_goes_on_and_can_be_ended(site: Site) -> None:
    study, _, agent = tuned_study(site)
    own = site.lab.sessions.open(study.id, tuner="tpe", method={"name": "tpe"}, driver="python", name="my first")
    site.lab.start(own.id)
    site.lab.submit(own.id, SPACE.configuration({"epochs": 2}))
    job = site.lab.claim(agent, session_id=own.id)
    assert job is not None
    site.lab.finish(job.job_id, job.attempt, Outcome.COMPLETED, None, [epoch(0, 1, 0.4)])
    researcher = site.caller(Role.RESEARCHER)
    assert "Interrupted" not in researcher.get(f"/sessions/{own.id}").text
    refused = researcher.post(f"/sessions/{own.id}/end")
    assert (refused.status_code, "is being tuned now" in refused.text) == (409, True)
    site.clock.now += 11
    page = researcher.get(f"/sessions/{own.id}").text
    assert "Interrupted" in page
    assert f"evenhand end {own.id} chooses its best trial" in page
    assert "interrupted" in researcher.get(f"/studies/{study.id}").text
    assert researcher.post(f"/sessions/{own.id}/end").status_code == 303
    ended = site.lab.sessions.get(own.id)
    assert ended.choice is not None
    assert ended.choice.trial_id == ended.trials[0].id
    page = researcher.get(f"/sessions/{own.id}").text
    assert "On validation trial 1, chosen of 1 with a value, reached accuracy 40.0\u202f%" in page
    assert "Its score on test is not among what is shown here." in page
    assert 'id="certainty"' not in researcher.get("/sessions/1").text  # of a study
    site.lab.sessions.take_up(own.id, Budget(seconds=1000))
    assert "Before it was extended" in researcher.get(f"/sessions/{own.id}").text


@pytest.mark.parametrize(
    ("has_test", "seeds", "why"),
    [
        (False, 10, "This task has no test data"),
        (False, 0, "This task has no test data"),
        (True, 0, "It was begun without an evaluation"),
    ],
)
def test_where_no_test_score_comes_the_page_says_why(site: Site, has_test: bool, seeds: int, why: str) -> None:
    task = site.lab.studies.add_task(TaskRecord(TaskSpec("own"), "1", SPACE, "accuracy", "maximize", 10, has_test=has_test))
    words = Text("")
    study = Study("own", "Own", task.id, Budget(trials=2), 7, words, words, words, evaluation_seeds=seeds, machines="any")
    session = site.lab.sessions.open(site.lab.studies.add(study).id, tuner="random", method={"name": "random"}, driver="test")
    researcher, (agent, _) = site.caller(Role.RESEARCHER), site.lab.agents.add("one", 1)
    site.lab.start(session.id)
    train(site, session.id, agent, 0.5)
    assert f"{why}, so there will be no test score." in researcher.get(f"/sessions/{session.id}").text
    site.lab.choose(session.id, number=1)
    page = researcher.get(f"/sessions/{session.id}").text
    assert (f"{why}, so there is no test score." in page) is (not site.lab.sessions.get(session.id).evaluated.planned)


def test_a_withdrawn_session_says_that_it_is_erased(site: Site) -> None:
    study, _, agent = tuned_study(site)
    person = tuning_participant(site, study)
    assert person.session_id
    train(site, person.session_id, agent, 0.7)
    site.lab.participants.withdraw(person.id)
    researcher = site.caller(Role.RESEARCHER)
    assert "erased" in researcher.get(f"/sessions/{person.session_id}").text
    page = researcher.get(f"/studies/{study.id}").text
    assert "1 withdrew" in page
    assert "70.0" not in page


def test_a_restarted_server_credits_the_outage_and_plays_on(tmp_path: Path) -> None:
    lab, clock_ = make_lab(f"sqlite:///{tmp_path / 'lab.sqlite'}")
    study = toy_study(lab)
    session = lab.start(lab.sessions.open(study.id, tuner="random", method={"name": "random", "seed": 1}).id)
    heartbeat = tmp_path / HEARTBEAT_FILE.format(lab.key)
    beat(heartbeat, clock_.now)
    beat(tmp_path / HEARTBEAT_FILE.format("another database"), clock_.now - 5000)
    clock_.now += 60
    with serve(lab, clock_, tmp_path):
        assert lab.view(session.id).seconds_left == pytest.approx(100)
        wait_for(lambda: lab.sessions.get(session.id).trials, "the first trial")
        wait_for(lambda: last_alive(heartbeat) == clock_.now, "a heartbeat")
    lab.close()


@pytest.mark.parametrize("text", [None, "", "yesterday"])
def test_a_missing_or_damaged_heartbeat_credits_nothing(text: str | None, tmp_path: Path) -> None:
    path = tmp_path / HEARTBEAT_FILE
    if text is not None:
        path.write_text(text)
    assert last_alive(path) is None


@pytest.fixture
def page(site: Site, chromium_path: str) -> Iterator[Page]:
    """A browser tab that is signed in as the researcher and fails on any script error or refused load."""
    with components.chromium(chromium_path) as browser:
        context = browser.new_context(viewport={"width": 1200, "height": 900})
        token = site.caller(Role.RESEARCHER).identity.token
        context.add_cookies([{"name": COOKIE_NAMES[Role.RESEARCHER], "value": token, "url": site.address}])
        tab = context.new_page()
        tab.set_default_timeout(1000 * PATIENCE_SECONDS)
        complaints: list[str] = []
        tab.on("console", lambda message: complaints.append(message.text) if message.type == "error" else None)
        tab.on("pageerror", lambda error: complaints.append(str(error)))
        yield tab
    assert complaints == []


def test_the_study_page_is_live_in_a_browser(site: Site, page: Page) -> None:
    study = toy_study(site.lab)
    page.goto(f"{site.address}/studies/{study.id}")
    expect(page.get_by_text("Nobody tunes yet.")).to_be_visible()
    agent, _ = site.lab.agents.add("one", 1)
    site.lab.hello(agent, slots=1, machine="here")
    session = site.lab.start(site.lab.sessions.open(study.id, tuner="random", driver="test").id)
    train(site, session.id, agent, 0.62)
    expect(page.locator("#rows tr")).to_have_count(1)
    expect(page.locator("#rows")).to_contain_text("62.0")
    expect(page.locator("#chart-best canvas")).to_be_visible()
    expect(page.locator("#lead")).to_contain_text("random")
    expect(page.locator("#no-agent")).to_be_hidden()
    page.locator("#rows .cell-open a").focus()
    train(site, session.id, agent, 0.75)
    expect(page.locator("#rows")).to_contain_text("75.0")
    expect(page.locator("#rows .cell-open a")).to_be_focused()  # a changed row keeps the focus
    expect(page.locator("#chart-table")).to_contain_text("75.0 %")


def test_a_session_is_followed_and_revealed_in_a_browser(site: Site, page: Page) -> None:
    _, session, agent = tuned_study(site)
    page.goto(f"{site.address}/sessions/{session.id}")
    expect(page.locator("#chart-loss canvas")).to_be_visible()
    site.lab.submit(session.id, SPACE.configuration({"epochs": 4, "learning_rate": 0.3}))
    job = claim(site.lab, agent)
    site.lab.measure(job.job_id, job.attempt, [epoch(0, 1, 0.33)])
    expect(page.locator("#trials")).to_contain_text("1 of 4 epochs")
    expect(page.locator("#loss-title")).to_contain_text("trial 3")
    page.get_by_role("link", name="Stop … trial 3").click()
    page.get_by_role("button", name="Stop trial 3").click()
    expect(page.locator("#trials")).to_contain_text("stopping")
    site.lab.finish(job.job_id, job.attempt, Outcome.STOPPED)
    evaluated(site, session.id, agent, *TEST_SCORES)
    page.get_by_role("button", name="test score").click()
    expect(page.locator(".test-score")).to_contain_text("72.4")
    expect(page.locator("circle.seed")).to_have_count(2)


def test_a_function_that_reports_no_loss_is_told_so_in_the_chart(site: Site, page: Page) -> None:
    _, session, agent = tuned_study(site)
    page.goto(f"{site.address}/sessions/{session.id}")
    site.lab.submit(session.id, SPACE.configuration({"epochs": 4, "learning_rate": 0.3}))
    expect(page.locator("#chart-loss")).to_contain_text("The loss of each batch appears here.")
    job = claim(site.lab, agent)
    site.lab.measure(job.job_id, job.attempt, [replace(epoch(0, 1, 0.33), loss=None)])
    expect(page.locator("#chart-loss")).to_contain_text("No loss was reported.")
    site.lab.measure(job.job_id, job.attempt, [epoch(1, 2, 0.44)])
    expect(page.locator("#chart-loss .chart-empty")).to_be_hidden()


def test_a_trial_of_the_front_is_picked_on_a_narrow_screen(site: Site, page: Page) -> None:
    def several(configuration: Configuration) -> dict[str, float]:
        rate = configuration.number("rate")
        return {"accuracy": rate, "milliseconds_for_an_image": 9 * rate**2}

    url = f"sqlite:///{site.folder / 'lab.sqlite'}"
    objectives = ["accuracy:max", "milliseconds_for_an_image:min"]
    result = evenhand.tune(
        several, {"rate": Float(0, 1)}, objectives=objectives, trials=6, db=url, progress=False, evaluate=False
    )
    site.clock.now = result.session.opened_at + 1000
    page.set_viewport_size({"width": 400, "height": 900})
    page.goto(f"{site.address}/sessions/{result.session_id}")
    expect(page.locator(".front-drawing")).to_be_visible()
    assert page.evaluate("document.documentElement.scrollWidth") == 400
    assert {trial.number for trial in result.front} == set(range(1, 7))  # the more accurate, the slower
    picked = result.front[-1].number
    page.locator(f"#front input[name=trial][value='{picked}'] + button").click()
    expect(page.locator("#evaluation")).to_contain_text(f"Trial {picked}")


HEARD = """(() => {
  const add = EventSource.prototype.addEventListener;
  EventSource.prototype.addEventListener = function (name, hear) {
    add.call(this, name, (event) => { (window.heard ??= []).push(String(event.data)); hear(event); });
  };
})()"""


def test_a_button_that_is_replaced_while_it_is_pressed_is_clicked_all_the_same(site: Site, page: Page) -> None:
    _, session, agent = tuned_study(site)
    evaluated(site, session.id, agent)
    page.add_init_script(HEARD)
    page.goto(f"{site.address}/sessions/{session.id}")
    page.get_by_role("button", name="test score").hover()
    page.mouse.down()
    scored(site, agent, *TEST_SCORES)
    page.wait_for_function("() => (window.heard ?? []).some((data) => data.includes('2 of 2 seeds'))")
    page.mouse.up()
    expect(page.locator(".test-score")).to_contain_text("72.4")
