"""Running a study through HTTP: pauses, extensions, people left out, invitations, amendments, its end, the event log."""

import csv
import io
import json
import re
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from urllib.parse import unquote

import httpx
import pytest

from evenhand.analysis.attrition import Loss, live
from evenhand.lab.base import act_as
from evenhand.lab.lab import Lab
from evenhand.model.participant import Participant
from evenhand.model.session import State
from evenhand.model.study import (
    BACKGROUND,
    AnalysisPlan,
    Arm,
    Budget,
    ExclusionRule,
    Option,
    Question,
    Questionnaire,
    QuestionSection,
    Study,
    Text,
)
from evenhand.model.trial import Outcome
from evenhand.studies.alerts import NO_AGENT, UNSERVED, Alert
from evenhand.web import run_panel
from evenhand.web.access import Role
from evenhand.web.researcher import monitor, overview
from evenhand.web.state import held_by
from tests.components import DATABASES
from tests.labs import HERE, SPACE, claim, database, epoch, make_lab, started, toy_study
from tests.web import Caller, Site, evaluated, toy_site, train, tuned_study, tuning_participant


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    with toy_site(tmp_path) as made:
        yield made


def done(researcher: Caller, path: str, **form: str) -> str:
    """The page that a form leads to."""
    answer = researcher.post(path, form)
    assert answer.status_code == 303, answer.text
    return researcher.get(answer.headers["location"]).text


def saying(page: str) -> str:
    """What the page says of the last action."""
    match = re.search(r'role="status">([^<]+)</p>', page)
    assert match
    return match[1]


def session_of(person: Participant) -> int:
    assert person.session_id is not None
    return person.session_id


# Modes are never mixed


@pytest.mark.slow
def test_a_studys_page_shows_one_mode_at_a_time(site: Site) -> None:
    study, _, agent = tuned_study(site)
    live = tuning_participant(site, study)
    train(site, session_of(live), agent, 0.31)
    pilot, _ = site.lab.participants.join(study.id, "pilot")
    train(site, site.lab.participants.begin(pilot.id).id, agent, 0.87)
    bot, _ = site.lab.participants.join(study.id, "simulated")
    train(site, site.lab.participants.begin(bot.id).id, agent, 0.93)
    researcher = site.caller(Role.RESEARCHER)
    seen = {"live": ("31.0", live.pseudonym), "pilot": ("87.0", pilot.pseudonym), "simulated": ("93.0", bot.pseudonym)}
    for mode, (value, name) in seen.items():
        page = researcher.get(f"/studies/{study.id}?mode={mode}").text
        state = json.loads(researcher.first_event(f"/studies/{study.id}/events?mode={mode}"))
        assert value in page
        assert f">{name}<" in page
        others = [value for other, value in seen.items() if other != mode]
        for other_value, other_name in others:
            assert other_value not in page
            assert other_name not in json.dumps(state)
        assert len(state["rows"]) == (2 if mode == "live" else 1)  # the method is of the live ones
        assert [line["tuner"] for line in state["curves"]["lines"]].count(name) == 1
        for label in ("live <b>1</b>", "pilot <b>1</b>", "simulated <b>1</b>"):
            assert label in page
    assert researcher.get(f"/studies/{study.id}").text.count("31.0") > 0  # live comes first
    assert researcher.get(f"/studies/{study.id}?mode=all").status_code == 400


def test_a_study_that_is_not_published_shows_its_pilot_first(site: Site) -> None:
    study = site.lab.studies.declare(replace(toy_study(site.lab), name="draft"))
    researcher = site.caller(Role.RESEARCHER)
    assert "not published yet" in researcher.get(f"/studies/{study.id}").text
    person, _ = site.lab.participants.join(study.id, "pilot")
    page = researcher.get(f"/studies/{study.id}").text
    assert person.pseudonym in page
    assert "being tried out" in page


@pytest.mark.slow
def test_practice_is_shown_nowhere(site: Site) -> None:
    study = toy_study(site.lab)
    person = tuning_participant(site, study)
    practice = site.lab.participants.open_practice(
        person.id, replace(site.lab.studies.task_of(study.id), version="practice"), Budget(trials=3)
    )
    agent, _ = site.lab.agents.add("one", 1)
    site.lab.submit(practice.id, SPACE.configuration({"epochs": 1}))
    train(site, session_of(person), agent, 0.4)  # the practice's trial is older, so it is the one that is trained
    state = json.loads(site.caller(Role.RESEARCHER).first_event(f"/studies/{study.id}/events"))
    assert len(state["rows"]) == 1
    assert state["curves"]["lines"] == []
    assert "1 trial" in state["parts"]["flow"]


@pytest.mark.slow
def test_every_study_is_listed_with_its_state(site: Site) -> None:
    live = toy_study(site.lab)
    site.lab.studies.declare(replace(live, name="draft", title="A draft"))
    tried = site.lab.studies.declare(replace(live, name="tried", title="Tried out"))
    site.lab.participants.join(tried.id, "pilot")
    closed = site.lab.studies.publish(site.lab.studies.declare(replace(live, name="closed", title="All done")).id, "go")
    site.lab.studies.close(closed.id)
    page = site.caller(Role.RESEARCHER).get("/studies").text
    assert re.findall(r'phase-(\w+)">', page) == ["closed", "pilot", "draft", "live"]
    assert "4 studies" in page
    assert "No study yet" not in page


# Everyone's step


@pytest.mark.slow
def test_everyones_step_is_told_also_before_the_session(site: Site) -> None:
    study = toy_study(site.lab)
    people = [site.lab.participants.join(study.id)[0] for _ in range(5)]
    for person in people[1:]:
        site.lab.participants.consent(person.id, study.consent.version)
    for person in people[2:]:
        site.lab.participants.answer(person.id, "background", {"months": 12, "education": "master"})
    for person in people[3:]:
        site.lab.participants.read_details(person.id)
    site.lab.participants.begin(people[4].id)
    state = json.loads(site.caller(Role.RESEARCHER).first_event(f"/studies/{study.id}/events"))
    rows = dict(state["rows"])
    steps = ["reading the terms", "answering: Background", "reading the details", "reading the details", "tuning"]
    assert [step in rows[f"p{person.id}"] for person, step in zip(people, steps, strict=True)] == [True] * 5
    assert "12 months, expert" in rows[f"p{people[4].id}"]
    assert state["clocks"][f"p{people[4].id}"] == ["1:40", 100.0, True]


@pytest.mark.slow
def test_a_participants_page_tells_steps_answers_and_events(site: Site) -> None:
    study = toy_study(site.lab)
    batch, tokens = site.lab.participants.invite(study.id, "the spring list")
    person, _ = site.lab.participants.accept(tokens[0])
    site.lab.participants.consent(person.id, study.consent.version)
    site.clock.now += 3600
    site.lab.participants.answer(person.id, "background", {"months": 3, "education": "master"})
    page = site.caller(Role.RESEARCHER).get(f"/participants/{person.id}").text
    assert f"came by {batch.label}" in page
    assert re.search(r"agreed to the terms</th><td class=\"num\">1970-01-12 13:46 UTC", page)
    assert re.search(r"answered: Background</th><td class=\"num\">1970-01-12 14:46 UTC", page)
    assert re.search(r"began to tune</th><td class=\"num\">not yet", page)
    assert "Master&#39;s degree" in page
    assert "3 months, medium" in page
    assert page.count(f"{person.pseudonym} agreed to the terms") == 1
    site.lab.participants.withdraw(person.id)
    gone = site.caller(Role.RESEARCHER).get(f"/participants/{person.id}").text
    assert "Erased." in gone
    assert "Master" not in gone
    assert site.caller(Role.RESEARCHER).get("/participants/99").status_code == 404


@pytest.mark.slow
def test_matrix_and_multiple_answers_are_readable(site: Site) -> None:
    options = (Text("Python"), Text("R"))
    columns = tuple(Option(str(text).lower(), text) for text in options)
    asked = QuestionSection(
        (
            Question("tools", "multiple", Text("Which tools?"), options=columns),
            Question("each", "matrix", Text("How often?"), options=columns, rows=(Option("work", Text("At work")),), many=True),
        )
    )
    base = toy_study(site.lab)
    study = site.lab.studies.publish(
        site.lab.studies.declare(
            replace(base, name="asked", questionnaires=(BACKGROUND, Questionnaire("more", Text("More"), (asked,))))
        ).id,
        "go",
    )
    person, _ = site.lab.participants.join(study.id)
    site.lab.participants.answer(person.id, "more", {"tools": ["python", "r"], "each": {"work": ["r"]}})
    page = site.caller(Role.RESEARCHER).get(f"/participants/{person.id}").text
    assert "Python, R" in page
    assert "At work: R" in page


# Pause, go on, extend


@pytest.mark.slow
def test_everyone_is_paused_and_goes_on_and_it_is_said(site: Site) -> None:
    study, method, _ = tuned_study(site)
    first, second = tuning_participant(site, study), tuning_participant(site, study)
    researcher = site.caller(Role.RESEARCHER)
    form = {"whom": "all", "mode": "live"}
    page = done(researcher, f"/studies/{study.id}/act", what="pause", reason="fire alarm", **form)
    assert saying(page) == "Paused: P-01, P-02."
    assert page.count("fire alarm") >= 2
    assert [site.lab.view(session_of(person)).state for person in (first, second)] == [State.PAUSED] * 2
    assert site.lab.view(method.id).state is State.TUNING  # a machine hears no alarm
    site.clock.now += 50
    assert site.lab.view(session_of(first)).seconds_left == pytest.approx(100)
    assert saying(done(researcher, f"/studies/{study.id}/act", what="resume", **form)) == "Went on: P-01, P-02."
    assert site.lab.view(session_of(first)).state is State.TUNING
    assert [pause.reason for pause in site.lab.sessions.get(session_of(first)).pauses] == ["fire alarm"]
    kinds = [event.kind for event in site.lab.sessions.events(session_of(first))]
    assert kinds[-2:] == ["paused", "went on"]


@pytest.mark.slow
def test_picked_rows_are_extended_and_the_others_are_named_with_why_not(site: Site) -> None:
    study, method, agent = tuned_study(site)
    first, second = tuning_participant(site, study), tuning_participant(site, study)
    train(site, session_of(second), agent, 0.5)
    site.lab.choose(session_of(second), number=1)
    researcher = site.caller(Role.RESEARCHER)
    before = site.lab.view(session_of(first)).seconds_left
    answer = researcher.http.post(
        f"/studies/{study.id}/act",
        data={
            "csrf_token": researcher.identity.csrf_token, "what": "extend", "whom": "picked", "mode": "live", "minutes": "2",
            "reason": "the agents were away", "session": [str(session_of(first)), str(session_of(second))],
        },
    )  # fmt: skip
    page = researcher.get(answer.headers["location"]).text
    assert saying(page) == "Given 2 minutes more: P-01. Not possible for P-02 (chosen)."
    assert before is not None
    assert site.lab.view(session_of(first)).seconds_left == pytest.approx(before + 120)
    assert site.lab.sessions.get(method.id).extensions == ()
    assert [(extension.seconds, extension.reason) for extension in site.lab.sessions.get(session_of(first)).extensions] == [
        (120.0, "the agents were away")
    ]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("form", "status", "words"),
    [
        ({"what": "pause", "whom": "all", "reason": " "}, 409, "reason"),
        ({"what": "extend", "whom": "all", "reason": "x", "minutes": "0"}, 409, "more than 0"),
        ({"what": "extend", "whom": "all", "reason": "x", "minutes": "9999"}, 409, "at most a day"),
        ({"what": "pause", "whom": "picked", "reason": "x"}, 409, "no row is ticked"),
        ({"what": "stop", "whom": "all"}, 400, "what"),
    ],
)
def test_an_action_that_is_not_meant_so_changes_nothing(form: dict[str, str], status: int, words: str, site: Site) -> None:
    study = toy_study(site.lab)
    person = tuning_participant(site, study)
    answer = site.caller(Role.RESEARCHER).post(f"/studies/{study.id}/act", {"mode": "live", **form})
    assert answer.status_code == status
    assert words in answer.text.lower()
    assert site.lab.sessions.get(session_of(person)).pauses == ()
    assert site.lab.sessions.get(session_of(person)).extensions == ()


@pytest.mark.slow
def test_whoever_looked_cannot_pause_or_extend_single_sessions_but_everyone_alike(site: Site) -> None:
    study, session, agent = tuned_study(site)
    person = tuning_participant(site, study)
    evaluated(site, session.id, agent, 0.5, 0.6)
    researcher = site.caller(Role.RESEARCHER)
    one = {"whom": "picked", "mode": "live", "session": str(session_of(person)), "reason": "x", "minutes": "5"}
    assert "disabled" not in re.findall(r"<input[^>]*id=\"picked\"[^>]*>", researcher.get(f"/studies/{study.id}").text)[0]
    assert done(researcher, f"/studies/{study.id}/act", what="pause", **one)
    assert done(researcher, f"/studies/{study.id}/act", what="resume", **one)
    researcher.post(f"/sessions/{session.id}/reveal")
    for what in ("pause", "extend"):
        answer = researcher.post(f"/studies/{study.id}/act", {"what": what, **one})
        assert answer.status_code == 403
        assert "cannot intervene" in answer.text
    assert "disabled" in re.findall(r"<input[^>]*id=\"picked\"[^>]*>", researcher.get(f"/studies/{study.id}").text)[0]
    assert "cannot intervene in this session" in researcher.get(f"/participants/{person.id}").text
    page = done(researcher, f"/studies/{study.id}/act", what="pause", **{**one, "whom": "all"})
    assert saying(page) == "Paused: P-01."
    assert done(researcher, f"/studies/{study.id}/act", what="resume", **one)  # a pause can always end


# In and out of the statistics


@pytest.mark.slow
def test_somebody_is_left_out_and_taken_in_again_with_reasons(site: Site) -> None:
    study = toy_study(site.lab)
    person = tuning_participant(site, study)
    researcher = site.caller(Role.RESEARCHER)
    refused = researcher.post(f"/participants/{person.id}/exclude", {"reason": " "})
    assert refused.status_code == 409
    assert site.lab.participants.get(person.id).excluded is None
    page = done(researcher, f"/participants/{person.id}/exclude", reason="knew the answers")
    assert saying(page) == "P-01 is left out of the statistics: knew the answers."
    assert site.lab.participants.get(person.id).excluded == "knew the answers"
    assert "left out" in researcher.get(f"/studies/{study.id}").text
    assert "part of the statistics again" in done(researcher, f"/participants/{person.id}/include", reason="a mistake of mine")
    assert site.lab.participants.get(person.id).excluded is None
    assert [event.kind for event in site.lab.sessions.events(participant_id=person.id)][-2:] == ["excluded", "included"]


# Attrition


@pytest.mark.slow
def test_attrition_counts_everyone_once_at_each_stage(tmp_path: Path) -> None:
    lab, clock = make_lab(f"sqlite:///{tmp_path / 'lab.sqlite'}")
    study = armed(lab)
    people = [lab.participants.join(study.id)[0] for _ in range(8)]
    for person in people[1:]:
        lab.participants.consent(person.id, study.consent.version)
    for person in people[2:]:
        lab.participants.answer(person.id, "background", {"months": 1})
    for person in people[3:]:
        lab.participants.begin(person.id)
    lab.participants.withdraw(people[3].id)
    lab.participants.withdraw(people[1].id)
    lab.choose(session_of(lab.participants.get(people[4].id)))  # without a score: no choice
    for person in people[5:]:
        lab.choose(session_of(lab.participants.get(person.id)), configuration=SPACE.configuration({"epochs": 1}))
    lab.participants.exclude(people[6].id, "knew the answers")
    shown = live(
        study, lab.studies.versions(study.id), lab.participants.of_study(study.id), lab.sessions.of_study(study.id), clock.now
    )
    assert [(stage.name, stage.count) for stage in shown.everyone] == [
        ("joined", 8), ("consented", 7), ("answered the questions", 6), ("began to tune", 5), ("chose", 3), ("evaluated", 0),
        ("included", 0),
    ]  # fmt: skip
    assert [stage.lost for stage in shown.everyone[:5]] == [
        (Loss("under way", 1, True),),
        (Loss("withdrew", 1),),
        (Loss("under way", 1, True),),
        (Loss("no trial had a score", 1), Loss("withdrew", 1)),
        (Loss("being evaluated", 2, True), Loss("left out: knew the answers", 1)),
    ]
    for here, after in zip(shown.everyone, shown.everyone[1:], strict=False):
        assert here.count - after.count == sum(loss.count for loss in here.lost)
    assigned = [stages[0].count for stages in shown.arms.values()]
    assert (list(shown.arms), sum(assigned)) == (["a", "b"], 7)
    closed = live(
        lab.studies.close(study.id),
        lab.studies.versions(study.id),
        lab.participants.of_study(study.id),
        lab.sessions.of_study(study.id),
        clock.now,
    )
    assert closed.everyone[0].lost == (Loss("did not go on", 1),)
    lab.close()


@pytest.mark.slow
def test_a_planned_rule_leaves_out_who_broke_it_once_evaluated(site: Site) -> None:
    rule = ExclusionRule("trials", at_least=2)
    base = replace(toy_study(site.lab), name="ruled", plan=AnalysisPlan(exclusions=(rule,)))
    study = site.lab.studies.publish(site.lab.studies.declare(base).id, "go")
    agent, _ = site.lab.agents.add("one", 1)
    for trials in (1, 2):
        person = tuning_participant(site, study)
        for _ in range(trials):
            train(site, session_of(person), agent, 0.5)
        evaluated(site, session_of(person), agent, 0.5, 0.6)
    shown = live(
        study,
        site.lab.studies.versions(study.id),
        site.lab.participants.of_study(study.id),
        site.lab.sessions.of_study(study.id),
        site.clock.now,
    )
    assert [(stage.name, stage.count, stage.lost) for stage in shown.everyone[-2:]] == [
        ("evaluated", 2, (Loss("planned rule: fewer than 2 trials", 1),)),
        ("included", 1, ()),
    ]


def armed(lab: Lab) -> Study:
    return lab.studies.publish(lab.studies.declare(replace(toy_study(lab), name="armed", arms=(Arm("a"), Arm("b")))).id, "go")


def test_the_diagram_is_on_the_page_in_words_and_by_condition(site: Site) -> None:
    study = armed(site.lab)
    person, _ = site.lab.participants.join(study.id)
    site.lab.participants.consent(person.id, study.consent.version)
    site.lab.participants.withdraw(person.id)
    page = site.caller(Role.RESEARCHER).get(f"/studies/{study.id}").text
    assert re.search(r"<b>1</b> consented</div>\s*<ul[^>]*>\s*<li class=\"gone\"><b>1</b> withdrew</li>", page)
    assert re.search(r'<th scope="col">a</th><th scope="col">b</th>', page)
    assert len(re.findall(r"<td><b>1</b><span class=\"consort-note\">1 withdrew</span></td>", page)) == 1


# Invitations


def links(page: str) -> list[str]:
    return re.findall(r"http://[^\s\"<]+(/join/[\w-]+)", page)


@pytest.mark.slow
def test_single_use_links_are_shown_once_with_codes_and_a_sheet(site: Site) -> None:
    study = toy_study(site.lab)
    researcher = site.caller(Role.RESEARCHER)
    page = researcher.post(
        f"/studies/{study.id}/invitations", {"kind": "single", "cap": "3", "label": "the spring list", "mode": "live"}
    )
    assert page.status_code == 200
    paths = list(dict.fromkeys(links(page.text)))
    assert len(paths) == 3
    assert page.text.count('<img class="qr"') == 3
    assert "data:image/svg+xml" in page.text
    sheet = re.search(r'download="invitations-1.csv" href="data:text/csv;charset=utf-8,([^"]+)"', page.text)
    assert sheet
    rows = list(csv.DictReader(io.StringIO(unquote(sheet[1]))))
    assert [row["link"].removeprefix(site.address) for row in rows] == paths
    assert "shown only now" in page.text
    assert not links(researcher.get(f"/studies/{study.id}/invitations").text)
    site.caller().post(paths[0])
    listed = researcher.get(f"/studies/{study.id}/invitations").text
    assert "the spring list" in listed
    assert "2 of 3" in listed
    assert site.lab.participants.of_study(study.id)[0].mode == "live"


@pytest.mark.slow
def test_a_batch_is_switched_off_and_on(site: Site) -> None:
    study = toy_study(site.lab)
    researcher = site.caller(Role.RESEARCHER)
    path = links(researcher.post(f"/studies/{study.id}/invitations", {"cap": "2"}).text)[0]
    assert saying(done(researcher, "/batches/1/switch", enabled="no")) == "open link 1 is switched off; who joined by it goes on."
    assert site.caller().get(path).status_code == 403
    assert "works again" in done(researcher, "/batches/1/switch", enabled="yes")
    for _ in range(2):
        assert site.caller().post(path).status_code == 200
    assert site.caller().post(path).status_code == 403
    assert "0 of 2" in researcher.get(f"/studies/{study.id}/invitations").text
    assert researcher.post("/batches/9/switch", {"enabled": "no"}).status_code == 404


@pytest.mark.slow
@pytest.mark.parametrize(
    ("form", "words"),
    [
        ({"kind": "single"}, "no number of single-use links"),
        ({"cap": "many"}, "expected a whole number"),
        ({"cap": "0"}, "expected 1 to 10000"),
        ({"until": "soon"}, "2027-03-31"),
        ({"until": "1970-01-01"}, "is over"),
        ({"mode": "simulated"}, "expected one of live, pilot"),
    ],
)
def test_a_mistake_in_the_form_is_told_and_what_was_typed_stays(form: dict[str, str], words: str, site: Site) -> None:
    study = toy_study(site.lab)
    answer = site.caller(Role.RESEARCHER).post(f"/studies/{study.id}/invitations", {"label": "my list", **form})
    assert answer.status_code == 409
    assert words in answer.text
    assert 'value="my list"' in answer.text
    assert site.lab.participants.batches(study.id) == []


@pytest.mark.slow
def test_invitations_expire_at_the_end_of_their_last_day(site: Site) -> None:
    study = toy_study(site.lab)
    site.caller(Role.RESEARCHER).post(f"/studies/{study.id}/invitations", {"until": "1970-01-13"})
    assert site.lab.participants.batches(study.id)[0].expires_at == 13 * 86400


@pytest.mark.slow
def test_pilots_are_invited_before_publishing_and_nobody_after_the_end(site: Site) -> None:
    study = site.lab.studies.declare(replace(toy_study(site.lab), name="draft"))
    researcher = site.caller(Role.RESEARCHER)
    assert researcher.post(f"/studies/{study.id}/invitations", {"mode": "live"}).status_code == 409
    assert researcher.post(f"/studies/{study.id}/invitations").status_code == 200
    assert site.lab.participants.batches(study.id)[0].mode == "pilot"
    site.lab.studies.publish(study.id, "go")
    site.lab.studies.close(study.id)
    assert "has ended" in researcher.post(f"/studies/{study.id}/invitations").text
    assert len(site.lab.participants.batches(study.id)) == 1


# Versions, the checklist, going live


def safe(site: Site, **changes: object) -> Study:
    """A draft that may go live at once."""
    agent, _ = site.lab.agents.add("one", 2)
    site.lab.hello(agent, slots=2, machine="Linux")
    base = replace(
        toy_study(site.lab),
        name="draft",
        title="A draft",
        evaluation_seeds=3,
        contact="Ada",
        backup=str(site.folder),
        plan=AnalysisPlan(participants=2),
    )
    return site.lab.studies.declare(replace(base, **changes))  # type: ignore[arg-type]


def publishing(researcher: Caller, study: Study, **form: str) -> httpx.Response:
    return researcher.post(f"/studies/{study.id}/publish", {"version": str(study.version), **form})


@pytest.mark.slow
def test_a_study_goes_live_behind_the_checklist(site: Site) -> None:
    study = safe(site, contact="")
    researcher = site.caller(Role.RESEARCHER)
    page = researcher.get(f"/studies/{study.id}/versions").text
    assert "1 thing to mend first" in page
    assert "nobody to ask" in page
    answer = publishing(researcher, study, read="pilot")
    assert answer.status_code == 409
    assert "Not published: contact first" in answer.text
    study = safe(site)
    unread = publishing(researcher, study, note="we begin")
    assert unread.status_code == 409
    assert "say that you have read what is said of pilot" in unread.text
    assert "we begin" in unread.text  # what was typed stays
    assert site.lab.studies.get(study.id).published_at is None
    stale = researcher.post(f"/studies/{study.id}/publish", {"version": "1", "read": "pilot"})
    assert stale.status_code == 409
    assert "look at version 2 first" in stale.text
    page = done(researcher, f"/studies/{study.id}/publish", version="2", note="we begin", read="pilot")
    assert saying(page) == "Version 2 is live: everybody who joins from now on gets it."
    assert site.lab.studies.get(study.id).note == "we begin"


@pytest.mark.slow
def test_an_unused_sign_in_link_blocks_until_it_is_made_invalid(site: Site) -> None:
    study = safe(site)
    link = site.lab.people.link(site.person(Role.RESEARCHER).id)
    researcher = site.caller(Role.RESEARCHER)
    assert "Not published: sign-in first" in publishing(researcher, study, read="pilot").text
    assert "invalid now" in done(researcher, f"/studies/{study.id}/signins")
    assert site.caller().post(f"/signin/{link}").status_code == 403
    assert researcher.get(f"/studies/{study.id}").status_code == 200  # who is signed in stays so
    assert publishing(researcher, study, read="pilot").status_code == 303


@pytest.mark.slow
def test_an_amendment_shows_what_differs_and_needs_a_note(site: Site) -> None:
    study = safe(site)
    site.lab.studies.publish(study.id, "first")
    person = tuning_participant(site, study)
    second = safe(site, consent=Text("I agree.\nTo all of it."), evaluation_seeds=7, budget=Budget(seconds=200))
    researcher = site.caller(Role.RESEARCHER)
    assert "Version 2 is declared and not published" in researcher.get(f"/studies/{study.id}").text
    page = researcher.get(f"/studies/{study.id}/versions").text
    assert second.hash in page
    assert study.hash in page
    assert re.search(r"evaluation_seeds</code></dt>\s*<dd><del>3</del> → <ins>7</ins>", page)
    assert re.search(r'class="line added"><span class="sign">\+</span>To all of it\.', page)
    refused = publishing(researcher, second, read="pilot")
    assert "say in the note what was changed" in refused.text
    assert publishing(researcher, second, read="pilot", note="longer, by the board's wish").status_code == 303
    assert (site.lab.studies.get(study.id).version, site.lab.participants.get(person.id).version) == (2, 1)
    assert site.lab.participants.join(study.id)[0].version == 2
    assert "by the board" in researcher.get(f"/studies/{study.id}/versions").text


# The end of collection


@pytest.mark.slow
def test_collection_is_closed_by_somebody_who_means_it_and_reopened_until_somebody_looked(site: Site) -> None:
    study, session, agent = tuned_study(site)
    tuning_participant(site, study)
    researcher = site.caller(Role.RESEARCHER)
    assert researcher.post(f"/studies/{study.id}/close").status_code == 409
    assert site.lab.studies.get(study.id).closed_at is None
    page = done(researcher, f"/studies/{study.id}/close", sure="yes")
    assert "nobody can join any more. 2 sessions still go on." in page
    assert f'href="/studies/{study.id}/report?mode=live"' in page
    assert f'href="/studies/{study.id}/export?mode=live"' in page
    assert "collects again" in done(researcher, f"/studies/{study.id}/reopen")
    evaluated(site, session.id, agent, 0.5, 0.6)
    researcher.post(f"/sessions/{session.id}/reveal")
    done(researcher, f"/studies/{study.id}/close", sure="yes")
    refused = researcher.post(f"/studies/{study.id}/reopen")
    assert refused.status_code == 409
    assert "looked at" in refused.text


# The event log


@pytest.mark.slow
def test_the_log_is_filtered_paged_and_exported(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("evenhand.web.researcher.monitor.LOG_PAGE_EVENTS", 5)
    monkeypatch.setattr("evenhand.web.researcher.monitor.LOG_CHUNK_EVENTS", 3)
    study, session, _ = tuned_study(site)
    person = tuning_participant(site, study)
    other = site.lab.studies.declare(replace(study, name="other"))
    site.lab.participants.invite(other.id, "elsewhere", mode="pilot")
    researcher = site.caller(Role.RESEARCHER)
    exported = list(csv.DictReader(io.StringIO(researcher.get(f"/studies/{study.id}/log.csv").text)))
    lines = [json.loads(line) for line in researcher.get(f"/studies/{study.id}/log.jsonl").text.splitlines()]
    assert [int(row["id"]) for row in exported] == [event["id"] for event in lines]
    assert [event["id"] for event in lines] == sorted(event["id"] for event in lines)
    assert [event["kind"] for event in lines][:2] == ["declared", "published"]
    assert all(event["detail"].get("study") != other.id for event in lines)
    assert exported[0]["at"] == "1970-01-12T13:46:40.000+00:00"
    newest = researcher.get(f"/studies/{study.id}/log").text
    shown = [int(number) for number in re.findall(r'<td class="num quiet">(\d+)</td>', newest)]
    assert shown == [event["id"] for event in lines][::-1][:5]
    older = re.search(r'href="(/studies/\d+/log\?[^"]+before=\d+)"', newest)
    assert older
    then = researcher.get(older[1].replace("&amp;", "&")).text
    shown = [int(number) for number in re.findall(r'<td class="num quiet">(\d+)</td>', then)]
    assert shown == [event["id"] for event in lines][::-1][5:10]
    lines_of_person = researcher.get(f"/studies/{study.id}/log.jsonl?participant={person.pseudonym}").text.splitlines()
    kinds = [json.loads(line)["kind"] for line in lines_of_person]
    assert kinds == ["joined", "consented", "answered", "opened", "read details", "started"]
    own = [json.loads(line) for line in researcher.get(f"/studies/{study.id}/log.jsonl?session={session.id}").text.splitlines()]
    assert {event["session"] for event in own} == {session.id}
    for wrong in ("participant=nobody", "session=99999999999", "session=one"):
        assert researcher.get(f"/studies/{study.id}/log?{wrong}").status_code == 409
    assert researcher.get(f"/studies/{study.id}/log?before=99999999999").status_code == 400
    assert researcher.get("/studies/99/log.csv").status_code == 404
    for form in ("csv", "spreadsheet"):
        text = researcher.get(f"/studies/{study.id}/log.csv?format={form}").content.decode()
        assert text.startswith("\ufeff") == (form == "spreadsheet")
        assert list(csv.DictReader(io.StringIO(text.removeprefix("\ufeff")))) == exported


def test_no_name_in_the_log_for_spreadsheets_is_a_formula(site: Site) -> None:
    study = toy_study(site.lab)
    act_as(site.lab.people.add('=HYPERLINK("http://x.example")'))
    try:
        site.lab.participants.invite(study.id, "course", mode="pilot")
    finally:
        act_as(None)
    researcher = site.caller(Role.RESEARCHER)
    names = {}
    for form in ("csv", "spreadsheet"):
        said = researcher.get(f"/studies/{study.id}/log.csv?format={form}").content.decode("utf-8-sig")
        names[form] = {row["who"] for row in csv.DictReader(io.StringIO(said))}
    assert '=HYPERLINK("http://x.example")' in names["csv"]
    assert '\'=HYPERLINK("http://x.example")' in names["spreadsheet"]


# Alerts


def test_alerts_stand_on_top_and_come_with_the_stream(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    study = toy_study(site.lab)
    researcher = site.caller(Role.RESEARCHER)
    assert 'class="alert alert-warning watch"' not in researcher.get(f"/studies/{study.id}").text
    other = Alert("idle", 1_000_000.0, "session 9 is idle", "look at it", study_id=study.id + 1)
    standing = [Alert("disk", 1_000_000.0, "the disk is <full>", "run `df`"), other]
    # The server's own watch finds nothing here.
    monkeypatch.setattr("evenhand.studies.alerts.Watch.look", lambda _: tuple(standing))
    held_by(site.app).alerts = tuple(standing)
    page = researcher.get(f"/studies/{study.id}").text
    assert "The disk is &lt;full&gt;" in page
    assert "Run <code>df</code>" in page
    assert "Session 9" not in page  # of another study
    assert "The disk" in json.loads(researcher.first_event(f"/studies/{study.id}/events"))["parts"]["alerts"]


def test_that_no_agent_is_there_is_said_once(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    study = toy_study(site.lab)
    researcher = site.caller(Role.RESEARCHER)
    nobody = Alert(NO_AGENT, 1_000_000.0, "a training waits and no agent is connected", "start one")
    waiting = Alert(UNSERVED, 1_000_000.0, "session 1 has waited for over 5 minutes", "start one", study_id=study.id)
    standing = [nobody]
    monkeypatch.setattr("evenhand.studies.alerts.Watch.look", lambda _: tuple(standing))
    held_by(site.app).alerts = (nobody,)
    page = researcher.get(f"/studies/{study.id}").text
    assert "A training waits and no agent is connected" in page
    held_by(site.app).alerts = (nobody, waiting)
    standing.append(waiting)
    page = researcher.get(f"/studies/{study.id}").text
    assert "Session 1 has waited for over 5 minutes" in page
    assert "no agent is connected" not in page.lower()


def test_agents_without_a_slot_are_not_busy(site: Site) -> None:
    study = toy_study(site.lab)
    agent, _ = site.lab.agents.add("idle", 1)
    site.lab.hello(agent, slots=0, machine="Linux")
    page = site.caller(Role.RESEARCHER).get(f"/studies/{study.id}").text
    assert "1 agent without a slot: nothing trains" in page
    assert "0 of 0" not in page
    session = started(site.lab, study)
    site.lab.submit(session.id, {"epochs": 1})
    waiting = site.lab.view(session.id).waiting
    assert waiting is not None
    assert waiting.why == "no connected agent has a slot; start one with --slots"


def test_what_was_said_cannot_be_put_into_a_link(site: Site) -> None:
    study = toy_study(site.lab)
    page = site.caller(Role.RESEARCHER).get(f"/studies/{study.id}?said=You+won+a+prize").text
    assert "prize" not in page


@pytest.mark.slow
def test_what_came_after_a_pause_stands_where_the_sessions_clock_stood(site: Site) -> None:
    study = toy_study(site.lab, Budget(seconds=1000))
    person = tuning_participant(site, study)
    agent, _ = site.lab.agents.add("one", 1)
    train(site, session_of(person), agent, 0.3)
    site.lab.sessions.pause([session_of(person)], "lunch")
    site.clock.now += 500
    site.lab.sessions.unpause([session_of(person)])
    train(site, session_of(person), agent, 0.4)
    state = json.loads(site.caller(Role.RESEARCHER).first_event(f"/studies/{study.id}/events"))
    (line,) = state["curves"]["lines"]
    assert [point[0] * 60 for point in line["points"]] == [pytest.approx(5), pytest.approx(10)]
    assert state["clocks"][f"p{person.id}"][1] == pytest.approx(990)


@pytest.mark.slow
def test_the_stream_sends_each_row_once(site: Site) -> None:
    study, session, agent = tuned_study(site)
    tuning_participant(site, study)
    with site.caller(Role.RESEARCHER).http.stream("GET", f"/studies/{study.id}/events") as answer:
        states = (json.loads(line[6:]) for line in answer.iter_lines() if line.startswith('data: {"'))
        assert all(html for _, html in next(states)["rows"])
        train(site, session.id, agent, 0.8)
        later = next(state for state in states if "80.0" in json.dumps(state))
    assert {key: html is None for key, html in later["rows"]} == {f"s{session.id}": False, "p1": True}


@pytest.mark.slow
def test_a_method_stands_beside_the_records_of_the_mode_it_was_started_in(site: Site) -> None:
    study = site.lab.studies.declare(replace(toy_study(site.lab), name="draft"))
    researcher = site.caller(Role.RESEARCHER)
    start = f"/studies/{study.id}/methods"
    refused = researcher.post(start, {"method": "random", "mode": "live"})
    assert refused.status_code == 409
    assert "not published" in refused.text
    assert 'name="mode" value="pilot"' in researcher.get(start).text
    assert researcher.post(start, {"method": "random", "mode": "pilot"}).headers["location"].endswith("mode=pilot")
    assert [session.mode for session in site.lab.sessions.of_study(study.id)] == ["pilot"]
    assert ">random<" not in researcher.get(f"/studies/{study.id}?mode=simulated").text


def test_an_archive_shows_the_mode_that_it_holds(site: Site) -> None:
    archive = replace(toy_study(site.lab), archived=True)
    assert overview.default_mode(archive, {"live": 0, "pilot": 0, "simulated": 31}) == "simulated"
    assert overview.default_mode(archive, {"live": 3, "pilot": 1, "simulated": 31}) == "live"


@pytest.mark.slow
def test_a_paused_session_says_why_on_its_page(site: Site) -> None:
    study = toy_study(site.lab)
    person = tuning_participant(site, study)
    site.lab.sessions.pause([session_of(person)], "fire alarm")
    address, researcher = f"/sessions/{session_of(person)}", site.caller(Role.RESEARCHER)
    page = researcher.get(address).text
    assert "fire alarm. The clock stands still" in page
    assert f'href="/participants/{person.id}"' in page


@pytest.mark.slow
def test_pages_say_of_a_training_that_is_to_be_held_what_it_does(site: Site) -> None:
    """One that trains on, since its agent is of an older version, say, is never said to stand still."""
    person = tuning_participant(site, toy_study(site.lab))
    session_id, agent = session_of(person), site.caller(Role.AGENT, site.lab.agents.add("one", 1)[0])
    site.lab.submit(session_id, SPACE.configuration({"epochs": 2}))
    job = claim(site.lab, agent.identity.subject)
    site.lab.sessions.pause([session_id], "fire alarm")

    def answered(**said: object) -> object:
        return agent.http.post("/api/agent/measure", json={"reports": [[job.job_id, 1, []]], **said}).json()

    def expect(words: str) -> None:
        assert words in site.caller(Role.RESEARCHER).get(f"/sessions/{session_id}").text
        assert words in run_panel.notice_of(site.lab.view(session_id))

    assert answered() == {"answers": [True], "hold": [job.job_id]}
    expect("Trial 1 still trains: at its next report it is held. An agent of an older version cannot hold it")
    assert answered(held=[job.job_id]) == {"answers": [True], "hold": [job.job_id]}
    expect("Trial 1 stands still, and goes on from there after the pause.")
    site.lab.sessions.unpause([session_id])
    assert answered(held=[job.job_id]) == {"answers": [True], "hold": []}
    site.lab.stop(session_id, 1)
    assert answered(held=[job.job_id]) == {"answers": [False], "hold": []}


@pytest.mark.parametrize("backend", DATABASES)
def test_events_are_found_by_study_and_person_on_both_databases(backend: str, tmp_path: Path) -> None:
    with database(backend, tmp_path) as url:
        lab, _ = make_lab(url)
        study, other = toy_study(lab), toy_study(lab)
        batch, _ = lab.participants.invite(study.id, "a list")
        lab.participants.switch_batch(batch.id, False)
        person, _ = lab.participants.join(study.id)
        lab.participants.begin(person.id)
        lab.participants.join(other.id)
        kinds = [event.kind for event in lab.sessions.events(participant_id=person.id)]
        assert kinds == ["joined", "opened", "read details", "started"]
        assert [event.kind for event in lab.sessions.events(study_id=study.id)] == [
            "declared", "published", "invited", "switched invitations", *kinds,
        ]  # fmt: skip
        assert [event.kind for event in lab.sessions.events(study_id=other.id)] == ["declared", "published", "joined"]
        newest = [event.id for event in lab.sessions.events(before=monitor.NEWEST_EVENT_ID, limit=3)]
        assert newest == sorted(newest, reverse=True)
        lab.tokens.issue("signin", seconds=5)
        assert lab.tokens.count("signin") == 1
        lab.tokens.revoke_all("signin")
        assert lab.tokens.count("signin") == 0
        lab.close()


# Pinned to one kind of machine


def test_who_publishes_while_agents_differ_chooses_and_pages_say_whom_the_study_refuses(site: Site) -> None:
    study = safe(site, machines="alike")
    agents = {agent.name: agent for agent in site.lab.agents.all()}
    other, _ = site.lab.agents.add("mac", 1)
    mac = replace(HERE, machine="ARM64", system="Darwin")
    site.lab.hello(agents["one"].id, slots=2, machine="Linux", environment=HERE)
    site.lab.hello(other, slots=1, machine="Darwin", environment=mac)
    researcher = site.caller(Role.RESEARCHER)
    differ = "agent one has x86-64 with AVX-512 (Intel), Linux, agent mac has ARM64, Darwin"
    assert differ in researcher.get(f"/studies/{study.id}/versions").text
    answer = publishing(researcher, study, read="pilot")
    assert answer.status_code == 409
    assert "Not published: machines first" in answer.text
    assert f'<option value="mac">mac: {mac.words()}</option>' in answer.text
    assert publishing(researcher, study, read="pilot", like="mac").status_code == 303
    assert site.lab.studies.get(study.id).environment == mac
    assert mac.words() in researcher.get(f"/studies/{study.id}/versions").text
    refused = f"the study is pinned to ARM64, Darwin; agent one has {HERE.words(('machine', 'system'))}"
    assert f"1 agent refused: {refused}" in researcher.get(f"/studies/{study.id}").text
    session = started(site.lab, site.lab.studies.get(study.id))
    site.lab.submit(session.id, SPACE.configuration({"epochs": 2}))
    job = claim(site.lab, other)
    site.lab.finish(job.job_id, 1, Outcome.COMPLETED, batch=[epoch(0, 2, 0.5)])
    assert f"Trained with {mac.words()}." in researcher.get(f"/sessions/{session.id}").text
