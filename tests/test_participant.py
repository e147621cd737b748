"""A participant's pages over HTTP: each step in its turn, nothing lost by a wrong field, a second tab or a late click."""

import html
import json
import queue
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx
import pytest
from sqlalchemy import delete, event, insert
from sqlalchemy.pool import Pool

from evenhand.errors import DiskFull
from evenhand.model.job import Assignment
from evenhand.model.participant import Participant
from evenhand.model.rules import ParticipantStep
from evenhand.model.session import Session
from evenhand.model.study import Arm, Budget, Study, Text
from evenhand.model.trial import Outcome
from evenhand.settings import Rules
from evenhand.store import tables
from evenhand.web.access import Role
from tests.labs import epoch, toy_study
from tests.waiting import PATIENCE_SECONDS, wait_for
from tests.web import Caller, Site, toy_site

PAGES = ("terms", "questions/background", "details", "tune", "thanks", "withdrawn")  # `final` is open while tuning, too
JSON = {"accept": "application/json"}


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    with toy_site(tmp_path_factory.mktemp("participant"), Rules(lease=1e9, choosing=600)) as made:
        yield made


class Person(Caller):
    """A participant at the browser."""

    def __init__(self, site: Site, study: Study) -> None:
        self.study = study
        self.agent_id = 0
        self.participant, _ = site.lab.participants.join(study.id)
        super().__init__(site, site.caller(Role.PARTICIPANT, self.participant.id).identity)

    @property
    def record(self) -> Participant:
        return self.site.lab.participants.get(self.participant.id)

    @property
    def session(self) -> Session:
        session_id = self.record.session_id
        assert session_id is not None
        return self.site.lab.sessions.get(session_id)

    @property
    def step(self) -> ParticipantStep:
        return self.site.lab.participants.step(self.participant.id)

    def consent(self) -> None:
        self.post(f"{self.home}/terms", {"version": self.study.consent.version})

    def to_tuning(self) -> "Person":
        self.consent()
        self.post(f"{self.home}/questions/background", {"q.months": "12", "q.education": "master"})
        self.post(f"{self.home}/tune/start")
        assert self.step is ParticipantStep.TUNE
        return self

    def submit(self, epochs: str = "2", rate: str = "0.1", accept: str = "application/json", **others: str) -> httpx.Response:
        form = {"value.epochs": epochs, "value.learning_rate": rate, **others}
        return self.post(f"{self.home}/tune/submit", form, headers={"accept": accept})

    def claim(self) -> Assignment:
        """The waiting training of this participant, claimed by an agent."""
        self.agent_id = self.agent_id or self.site.lab.agents.add("one", 1)[0]
        job = self.site.lab.claim(self.agent_id, session_id=self.session.id)
        assert job is not None
        return job

    def train(self, *values: float, outcome: Outcome = Outcome.COMPLETED, why: str | None = None) -> None:
        """Let an agent train the waiting trial."""
        job = self.claim()
        self.site.clock.now += 5
        self.site.lab.measure(job.job_id, job.attempt, [epoch(i, i + 1, value) for i, value in enumerate(values)])
        self.site.lab.finish(job.job_id, job.attempt, outcome, why)


def person(site: Site, budget: Budget | None = None) -> Person:
    return Person(site, toy_study(site.lab, budget))


def words(answer_text: str) -> str:
    """A page's text, without its tags."""
    return " ".join(html.unescape(re.sub(r"<(script|style).*?</\1>|<[^>]*>", " ", answer_text, flags=re.DOTALL)).split())


def key_of(page: str) -> str:
    match = re.search(r'name="key" value="([^"]+)"', page)
    assert match, "the form carries an idempotency key"
    return match[1]


# Which page is next


@pytest.mark.slow
def test_the_server_decides_which_page_is_next(site: Site) -> None:
    someone = person(site)

    def only(step: str) -> None:
        assert someone.get(someone.home).headers["location"] == f"{someone.home}/{step}"
        for name in PAGES:
            answer = someone.get(f"{someone.home}/{name}")
            if name == step:
                assert answer.status_code == 200
            else:
                assert (answer.status_code, answer.headers["location"]) == (303, f"{someone.home}/{step}")

    only("terms")
    someone.consent()
    only("questions/background")
    someone.post(f"{someone.home}/questions/background", {"q.months": "0", "q.education": "none"})
    only("details")
    someone.post(f"{someone.home}/tune/start")
    only("tune")
    someone.submit()
    someone.train(0.5, 0.6)
    someone.post(f"{someone.home}/final", {"trial": "1"})
    only("thanks")
    assert someone.get(f"{someone.home}/final").status_code == 303
    someone.post(f"{someone.home}/withdraw")
    only("withdrawn")


def test_no_step_can_be_skipped_by_posting(site: Site) -> None:
    someone = person(site)
    for path in (
        f"{someone.home}/questions/background",
        f"{someone.home}/tune/start",
        f"{someone.home}/tune/submit",
        f"{someone.home}/final",
    ):
        assert someone.post(path, {"q.months": "1", "q.education": "none", "trial": "1"}).status_code in (303, 409)
    assert someone.step is ParticipantStep.TERMS
    assert someone.record.session_id is None


# Terms, background, details


def test_consent_is_recorded_with_the_version_of_the_text(site: Site) -> None:
    someone = person(site)
    assert someone.study.consent.version in someone.get(f"{someone.home}/terms").text
    assert someone.post(f"{someone.home}/terms", {"version": someone.study.consent.version}).status_code == 303
    assert someone.record.consent_version == someone.study.consent.version
    assert someone.record.consented_at == site.clock.now


def test_an_old_version_of_the_terms_is_not_consented_to(site: Site) -> None:
    someone = person(site)
    answer = someone.post(f"{someone.home}/terms", {"version": "of yesterday"})
    assert answer.status_code == 409
    assert "read them again" in words(answer.text)
    assert someone.step is ParticipantStep.TERMS


def test_wrong_background_answers_are_told_beside_their_fields_and_kept(site: Site) -> None:
    someone = person(site)
    someone.consent()
    answer = someone.post(f"{someone.home}/questions/background", {"q.months": "<two> years", "q.education": "master"})
    assert answer.status_code == 422
    assert "&lt;two&gt; years" in answer.text
    assert re.search(r'value="master"[^>]* checked', answer.text)
    field = re.search(r"<input[^>]*name=\"q.months\"[^>]*>", answer.text)
    assert field
    assert 'aria-invalid="true"' in field[0]
    described = re.search(r'aria-describedby="([^"]+)"', field[0])
    assert described
    assert all(f'id="{element}"' in answer.text for element in described[1].split())
    assert someone.step is ParticipantStep.BACKGROUND
    assert someone.post(f"{someone.home}/questions/background", {"q.months": "18", "q.education": "master"}).status_code == 303
    assert someone.record.answers == {"background.months": 18, "background.education": "master"}


def test_details_say_what_one_trial_may_use_where_the_study_limits_it(site: Site) -> None:
    limited = Person(site, toy_study(site.lab, Budget(seconds=7200), trial_share=0.25))
    limited.consent()
    limited.post(f"{limited.home}/questions/background", {"q.months": "0", "q.education": "none"})
    text = words(limited.get(f"{limited.home}/details").text)
    assert (
        "One trial may use at most 30 minutes of it; a longer one is stopped then, and keeps the score of its last epoch." in text
    )
    free = person(site)
    free.consent()
    free.post(f"{free.home}/questions/background", {"q.months": "0", "q.education": "none"})
    assert "One trial may use" not in words(free.get(f"{free.home}/details").text)


def test_details_explain_every_hyperparameter_and_start_the_clock_only_when_asked(site: Site) -> None:
    someone = person(site)
    someone.consent()
    someone.post(f"{someone.home}/questions/background", {"q.months": "18", "q.education": "master"})
    text = words(someone.get(f"{someone.home}/details").text)
    assert "learning rate" in text
    assert "0.01" in text
    site.clock.now += 1000
    assert someone.post(f"{someone.home}/tune/start").status_code == 303
    assert someone.session.started_at == site.clock.now
    site.clock.now += 10
    someone.post(f"{someone.home}/tune/start")
    assert someone.session.started_at == site.clock.now - 10  # a second click does not start it anew


# The tune page


def test_the_form_holds_defaults_and_no_mandatory_values(site: Site) -> None:
    someone = person(site).to_tuning()
    page = someone.get(f"{someone.home}/tune").text
    epochs = re.search(r'<input[^>]*name="value.epochs"[^>]*>', page)
    rate = re.search(r'<input[^>]*name="value.learning_rate"[^>]*>', page)
    assert epochs
    assert 'value=""' in epochs[0]
    assert rate
    assert 'value="0.01"' in rate[0]
    assert page.count('name="reason.') == 2


def test_every_input_has_a_label(site: Site) -> None:
    someone = person(site).to_tuning()
    someone.submit()
    someone.train(0.5)
    page = someone.get(f"{someone.home}/tune").text
    labelled = set(re.findall(r'<label[^>]*for="([^"]+)"', page))
    within = " ".join(re.findall(r"<label.*?</label>", page, re.DOTALL))
    for tag in re.findall(r"<(?:input|select|textarea)[^>]*>", page):
        if 'type="hidden"' in tag:
            continue
        named = re.search(r'\bid="([^"]+)"', tag)
        assert "aria-label" in tag or tag in within or (named and named[1] in labelled), tag


def test_pages_have_no_inline_scripts_styles_or_handlers(site: Site) -> None:
    someone = person(site).to_tuning()
    someone.submit()
    someone.train(0.5)
    for path in ("tune", "final", "final?trial=1", "withdraw", "trials"):
        page = someone.get(f"{someone.home}/{path}").text
        assert not re.search(r"\sstyle=|\son[a-z]+=|javascript:", page), path
        scripts = re.findall(r"<script([^>]*)>", page)
        assert all("src=" in script or "application/json" in script for script in scripts), path
        assert "http://" not in page.replace(site.address, "").replace("http://www.w3.org", ""), path
        assert "https://" not in page, path


@pytest.mark.slow
def test_a_trial_starts_and_the_same_key_twice_is_one_trial(site: Site) -> None:
    someone = person(site).to_tuning()
    key = key_of(someone.get(f"{someone.home}/tune").text)
    reasons = {"reason.epochs": "guess", "reason.learning_rate": "other", "other.learning_rate": "<b>bold</b>"}
    first = someone.submit(key=key, **reasons)
    assert first.status_code == 200
    assert first.json()["number"] == 1
    assert first.json()["key"] != key
    assert someone.submit(key=key).json()["number"] == 1
    (trial,) = someone.session.trials
    assert dict(trial.configuration) == {"epochs": 2, "learning_rate": 0.1}
    assert trial.reasons == {"epochs": "just a guess", "learning_rate": "other: <b>bold</b>"}
    page = someone.get(f"{someone.home}/tune").text
    assert "<b>bold" not in page


@pytest.mark.slow
def test_a_condition_s_words_for_the_reasons_are_read_and_the_study_s_own_are_kept(site: Site) -> None:
    study = toy_study(site.lab)
    worded = tuple(replace(option, label=Text(f"{option.label} (clearly)")) for option in study.reasons)
    study = site.lab.studies.add(replace(study, name="worded", arms=(Arm("plain"), Arm("clear", reasons=worded))))
    for _ in range(2):
        someone = Person(site, study).to_tuning()
        clear = someone.record.condition == "clear"
        assert ("Just a guess (clearly)" in someone.get(f"{someone.home}/tune").text) == clear
        someone.submit(**{"reason.epochs": "guess"})
        someone.train(0.5)
        (trial,) = someone.session.trials
        assert trial.reasons == {"epochs": "just a guess"}
        assert ("just a guess (clearly)" in someone.get(f"{someone.home}/tune").text.partition("and reasons")[2]) == clear


@contextmanager
def full_disk(site: Site) -> Iterator[None]:
    """Within it, the database cannot grow: SQLite says of each write that it is full."""
    store = site.lab.core.store
    with store.write() as tx:
        pages = tx.exec_driver_sql("PRAGMA page_count").scalar()

    def limit(connection: Any, *_: object) -> None:
        _, _, file = connection.execute("PRAGMA database_list").fetchall()[0]
        if Path(file).parent.resolve() == site.folder.resolve():  # other sites' connections come here, too
            connection.execute(f"PRAGMA max_page_count = {pages}")

    event.listen(Pool, "checkout", limit)
    try:
        with suppress(DiskFull):
            while True:
                with store.write() as tx:
                    tx.execute(insert(tables.event).values(at=0.0, kind="filling", detail={"text": "x" * 400}))
        with suppress(DiskFull):
            while True:
                with store.write() as tx:
                    tx.execute(insert(tables.event).values(at=0.0, kind="", detail={}))
        yield
    finally:
        event.remove(Pool, "checkout", limit)
        with store.write() as tx:
            tx.exec_driver_sql("PRAGMA max_page_count = 1073741823")
            tx.execute(delete(tables.event).where(tables.event.c.kind.in_(("filling", ""))))


@pytest.mark.slow
def test_a_full_disk_is_said_to_the_participant_and_the_same_form_is_taken_once_there_is_room(tmp_path: Path) -> None:
    with toy_site(tmp_path) as site:  # of its own: a disk that was full once may look so to the next test
        check_full_disk(site)


def check_full_disk(site: Site) -> None:
    someone = person(site).to_tuning()
    key = key_of(someone.get(f"{someone.home}/tune").text)
    with full_disk(site):
        answer = someone.submit(key=key)
        assert (answer.status_code, answer.json()["error"]) == (503, "DiskFull")
        page = someone.submit(key=key, accept="text/html")
        assert page.status_code == 503
        assert "Not recorded This could not be recorded: the disk of the laboratory is full" in words(page.text)
        assert "keep this page open, tell the researcher, and send it again once there is room" in words(page.text)
        assert someone.get(f"{someone.home}/tune").status_code == 200
        assert someone.session.trials == ()
    assert someone.submit(key=key).json()["number"] == 1


def test_wrong_fields_are_told_all_at_once_as_json_and_as_a_page(site: Site) -> None:
    someone = person(site).to_tuning()
    answer = someone.submit(epochs="", rate="<i>fast")
    assert answer.status_code == 422
    assert answer.json()["problems"].keys() == {"epochs", "learning_rate"}
    page = someone.submit(epochs="", rate="<i>fast", accept="text/html", **{"reason.learning_rate": "guess"})
    assert page.status_code == 422
    assert "&lt;i&gt;fast" in page.text
    assert page.text.count('aria-invalid="true"') == 2
    assert re.search(r'<option value="guess"[^>]* selected', page.text)
    assert not someone.session.trials


def test_without_scripts_a_submission_leads_back_to_the_page(site: Site) -> None:
    someone = person(site).to_tuning()
    answer = someone.submit(accept="text/html")
    assert answer.status_code == 303
    assert answer.headers["location"].startswith(f"{someone.home}/tune")


def test_a_second_trial_is_refused_in_words_while_one_trains(site: Site) -> None:
    someone = person(site).to_tuning()
    someone.submit()
    answer = someone.submit(epochs="3")
    assert answer.status_code == 409
    assert "still waiting for an agent" in answer.json()["message"]
    page = someone.submit(epochs="3", accept="text/html")
    assert page.status_code == 409
    assert re.search(r'<input[^>]*name="value.epochs"[^>]*value="3"', page.text)
    assert len(someone.session.trials) == 1


def test_more_epochs_than_are_left_are_refused(site: Site) -> None:
    someone = person(site, Budget(epochs=5)).to_tuning()
    assert "5 epochs left of 5" in words(someone.get(f"{someone.home}/tune").text)
    answer = someone.submit(epochs="6")
    assert answer.status_code == 409
    assert "fewer" in answer.json()["message"]


def test_a_trial_waits_in_words_and_the_clock_says_that_it_stands_still(site: Site) -> None:
    site.clock.now += 60  # agents of other tests are not heard of any more
    someone = person(site).to_tuning()
    someone.submit()
    site.clock.now += 30
    page = someone.get(f"{someone.home}/tune").text
    assert "not counted" in words(page)
    assert "no agent is connected" in words(page)
    assert 'data-ticking=""' in page
    assert site.lab.view(someone.session.id).seconds_left == 100


def test_a_training_that_was_lost_with_its_agent_is_said_to_begin_anew(site: Site) -> None:
    someone = person(site).to_tuning()
    someone.submit()
    job = someone.claim()
    site.lab.measure(job.job_id, job.attempt, [epoch(0, 1, 0.4)])
    site.clock.now += 20
    site.lab.release(job.job_id, job.attempt, "its agent died")
    page = words(someone.get(f"{someone.home}/tune").text)
    assert "begins anew" in page
    assert "counted" in page
    assert site.lab.view(someone.session.id).seconds_left == 100


def test_stopping_a_trial_keeps_what_it_measured(site: Site) -> None:
    someone = person(site).to_tuning()
    someone.submit(epochs="5")
    job = someone.claim()
    assert site.lab.measure(job.job_id, job.attempt, [epoch(0, 1, 0.4)])
    assert someone.post(f"{someone.home}/tune/stop", {"number": "1"}).status_code == 303
    assert not site.lab.measure(job.job_id, job.attempt, [])
    site.lab.finish(job.job_id, job.attempt, Outcome.STOPPED)
    page = words(someone.get(f"{someone.home}/tune").text)
    assert "stopped early" in page
    assert "40.0" in page


@pytest.mark.slow
@pytest.mark.parametrize(
    ("outcome", "why", "said"),
    [
        (Outcome.DIVERGED, "the loss became nan at step 3", "diverged"),
        (Outcome.INVALID, "not enough memory for a batch of 4096", "not enough memory for a batch of 4096"),
        (Outcome.FAILED, "3 attempts failed", "costs nothing"),
    ],
)
def test_each_way_of_ending_is_told_in_words(site: Site, outcome: Outcome, why: str, said: str) -> None:
    someone = person(site).to_tuning()
    someone.submit()
    someone.train(outcome=outcome, why=why)
    page = words(someone.get(f"{someone.home}/tune").text)
    assert said in page
    assert str(outcome) in page


def test_a_traceback_is_shown_as_text(site: Site) -> None:
    someone = person(site).to_tuning()
    someone.submit()
    someone.train(outcome=Outcome.INVALID, why="Traceback\n<script>alert(1)</script>")
    assert "<script>alert" not in someone.get(f"{someone.home}/tune").text


@pytest.mark.slow
def test_history_says_what_changed_and_sorts(site: Site) -> None:
    someone = person(site).to_tuning()
    for rate, value in (("0.1", 0.3), ("0.2", 0.8), ("0.3", 0.5)):
        someone.submit(rate=rate)
        someone.train(value)

    def order(query: str = "") -> list[str]:
        return re.findall(r'<(?:tr|li|article)[^>]*data-trial="(\d+)"', someone.get(f"{someone.home}/trials{query}").text)

    assert order() == ["2", "3", "1"]
    assert order("?order=new") == ["3", "2", "1"]
    assert "learning rate 0.2 → 0.3" in words(someone.get(f"{someone.home}/trials").text)
    assert "learning rate 0.1 → 0.3" in words(someone.get(f"{someone.home}/trials?since=1").text)
    for nonsense in ("?order=x&since=99&all=z", "?since=-1", "?since=%3Cb%3E"):
        assert someone.get(f"{someone.home}/trials{nonsense}").status_code == 200


@pytest.mark.slow
def test_thousands_of_trials_are_cut_to_what_can_be_read(site: Site) -> None:
    someone = person(site, Budget(trials=10_000)).to_tuning()
    for number in range(52):
        site.lab.submit(someone.session.id, site.lab.sessions.get(someone.session.id).space.configuration({"epochs": 1}))
        job = someone.claim()
        site.lab.measure(job.job_id, job.attempt, [epoch(0, 1, number / 100)])
        site.lab.finish(job.job_id, job.attempt, Outcome.COMPLETED)
    short, whole = someone.get(f"{someone.home}/trials").text, someone.get(f"{someone.home}/trials?all=yes").text
    rows = re.compile(r'<(?:tr|li|article)[^>]*data-trial="(\d+)"')
    assert len(rows.findall(short)) == 50
    assert "52" in words(short)
    assert len(rows.findall(whole)) == 52


@pytest.mark.slow
def test_use_these_values_fills_the_form_without_the_reasons(site: Site) -> None:
    someone = person(site).to_tuning()
    someone.submit(rate="0.123", **{"reason.learning_rate": "guess"})
    someone.train(0.5)
    page = someone.get(f"{someone.home}/tune?from=1").text
    assert re.search(r'<input[^>]*name="value.learning_rate"[^>]*value="0.123"', page)
    assert not re.search(r'<option value="guess"[^>]* selected', page)


def test_curves_are_read_after_a_cursor(site: Site) -> None:
    someone = person(site).to_tuning()
    someone.submit(epochs="3")
    someone.train(0.3, 0.4, 0.5)
    whole = someone.get(f"{someone.home}/trials/1/curve").json()
    assert [point[4] for point in whole["points"]] == [0.3, 0.4, 0.5]
    rest = someone.get(f"{someone.home}/trials/1/curve?attempt={whole['attempt']}&after=1").json()
    assert [point[0] for point in rest["points"]] == [2]
    assert someone.get(f"{someone.home}/trials/9/curve").status_code == 404


# The final choice


def test_choosing_a_past_trial_asks_once_and_then_ends_the_session(site: Site) -> None:
    someone = person(site).to_tuning()
    someone.submit(rate="0.2")
    someone.train(0.5)
    page = someone.get(f"{someone.home}/final?trial=1")
    assert page.status_code == 200
    assert "0.2" in words(page.text)
    assert someone.session.choice is None
    key = key_of(page.text)
    assert someone.post(f"{someone.home}/final", {"trial": "1", "key": key}).headers["location"] == someone.home
    assert someone.post(f"{someone.home}/final", {"trial": "1", "key": key}).status_code == 303  # a double click
    choice = someone.session.choice
    assert choice is not None
    assert choice.trial_id == someone.session.trials[0].id


def test_the_tick_box_submits_a_configuration_as_final_without_training_it(site: Site) -> None:
    someone = person(site).to_tuning()
    asked = someone.submit(rate="0.3", final="yes")
    address = asked.json()["go"]
    assert address.startswith(f"{someone.home}/final?")
    page = someone.get(address).text
    assert not someone.session.trials
    hidden = dict(re.findall(r'<input type="hidden" name="(value\.[^"]+)" value="([^"]*)"', page))
    assert hidden == {"value.epochs": "2", "value.learning_rate": "0.3"}
    someone.post(f"{someone.home}/final", {"key": key_of(page), **hidden})
    choice = someone.session.choice
    assert choice is not None
    assert choice.trial_id is None
    assert dict(choice.configuration or {}) == {"epochs": 2, "learning_rate": 0.3}


def test_a_final_configuration_with_a_wrong_field_comes_back_to_the_form(site: Site) -> None:
    someone = person(site).to_tuning()
    assert someone.submit(epochs="0", final="yes").status_code == 422
    assert someone.get(f"{someone.home}/final?value.epochs=0").status_code == 422
    assert someone.session.choice is None


@pytest.mark.parametrize("outcome", [Outcome.INVALID, Outcome.DIVERGED])
def test_a_trial_that_could_not_be_trained_is_no_final_choice(site: Site, outcome: Outcome) -> None:
    someone = person(site).to_tuning()
    someone.submit()
    someone.train(outcome=outcome, why="too big")
    assert "Choose as final" not in someone.get(f"{someone.home}/tune").text
    assert someone.post(f"{someone.home}/final", {"trial": "1"}).status_code == 409
    assert someone.session.choice is None


def test_past_the_deadline_the_final_page_is_next_with_its_own_clock(site: Site) -> None:
    someone = person(site).to_tuning()
    someone.submit()
    someone.train(0.5)
    site.clock.now += 200
    assert someone.get(someone.home).headers["location"] == f"{someone.home}/final"
    answer = someone.submit()
    assert answer.json()["go"] == f"{someone.home}/final"
    page = words(someone.get(f"{someone.home}/final").text)
    assert re.search(r"\b[5-9]:\d\d\b", page)
    assert len(someone.session.trials) == 1
    someone.post(f"{someone.home}/final", {"trial": "1"})
    assert someone.step is ParticipantStep.THANKS


@pytest.mark.slow
def test_whoever_lets_the_ten_minutes_pass_sees_what_was_chosen(site: Site) -> None:
    someone = person(site).to_tuning()
    someone.submit(rate="0.25")
    someone.train(0.5)
    site.clock.now += 1000
    site.lab.sweep()
    page = words(someone.get(f"{someone.home}/thanks").text)
    assert "automatic" in page
    assert someone.session.choice is not None


def test_without_any_value_the_session_may_end_without_a_choice(site: Site) -> None:
    someone = person(site).to_tuning()
    site.clock.now += 200
    assert someone.get(f"{someone.home}/final").status_code == 200
    someone.post(f"{someone.home}/final")
    choice = someone.session.choice
    assert choice is not None
    assert choice.configuration is None
    assert someone.get(f"{someone.home}/thanks").status_code == 200


@pytest.mark.slow
def test_no_test_score_reaches_a_participant(site: Site) -> None:
    someone = person(site).to_tuning()
    someone.submit()
    someone.train(0.5)
    someone.post(f"{someone.home}/final", {"trial": "1"})
    for _ in range(2):
        job = someone.claim()
        site.lab.measure(job.job_id, job.attempt, [epoch(0, 1, 0.987654)])
        site.lab.finish(job.job_id, job.attempt, Outcome.COMPLETED)
    for path in (f"{someone.home}/thanks", f"{someone.home}/trials", f"{someone.home}/trials/1/curve"):
        text = someone.get(path).text
        assert "98.7" not in text, path
        assert "0.98" not in text, path


# Withdrawal, and other people


def test_withdrawing_asks_first_and_erases(site: Site) -> None:
    someone = person(site).to_tuning()
    someone.submit()
    assert someone.get(f"{someone.home}/withdraw").status_code == 200
    assert someone.session.trials
    assert someone.post(f"{someone.home}/withdraw").status_code == 303
    assert someone.step is ParticipantStep.WITHDRAWN
    assert not someone.session.trials
    assert someone.record.months is None
    assert someone.submit().json()["go"] == f"{someone.home}/withdrawn"


def test_nobody_sees_the_trials_of_somebody_else(site: Site) -> None:
    study = toy_study(site.lab)
    one, other = Person(site, study).to_tuning(), Person(site, study).to_tuning()
    one.submit(rate="0.777")
    one.train(0.5)
    assert "0.777" not in other.get(f"{other.home}/tune").text
    assert other.get(f"{other.home}/trials/1/curve").status_code == 404
    assert other.post(f"{other.home}/tune/stop", {"number": "1"}).status_code == 404
    assert other.post(f"{other.home}/final", {"trial": "1"}).status_code in (404, 409)


def test_the_resume_code_brings_back_on_another_browser(site: Site) -> None:
    study = toy_study(site.lab)
    _, code = site.lab.participants.join(study.id)
    stranger, home = site.caller(), f"/p/{study.id}"
    assert stranger.get(home).status_code == 403
    assert stranger.post("/resume", {"code": code.lower()}).headers["location"] == home
    assert stranger.get(home).headers["location"] == f"{home}/terms"
    assert stranger.http.cookies


# The event stream


def events(someone: Person, until: str, after: str = "") -> list[tuple[str, str, dict[str, Any]]]:
    """Events of the stream up to the first of this name: cursor, name, content."""
    received = []
    headers = {"last-event-id": after} if after else {}
    with someone.http.stream("GET", f"{someone.home}/events", headers=headers) as answer:
        assert answer.headers["content-type"].startswith("text/event-stream")
        cursor = name = ""
        for line in answer.iter_lines():
            kind, _, content = line.partition(": ")
            if kind == "id":
                cursor = content
            elif kind == "event":
                name = content
            elif kind == "data":
                received.append((cursor, name, json.loads(content)))
                if name == until:
                    break
    return received


def test_a_stream_starts_with_all_that_was_measured_and_how_the_session_stands(site: Site) -> None:
    someone = person(site).to_tuning()
    someone.submit()
    someone.train(0.5, 0.6)
    (_, first, points), (_, second, state) = events(someone, "state")
    assert (first, second) == ("points", "state")
    assert (points["number"], [row[0] for row in points["measurements"]]) == (1, [0, 1])
    assert state["step"] == "tune"
    assert state["run"]["status"] == "completed"
    assert state["refusal"] is None


def test_a_stream_goes_on_after_the_cursor_that_the_browser_names(site: Site) -> None:
    someone = person(site).to_tuning()
    someone.submit(epochs="5")
    job = someone.claim()
    site.lab.measure(job.job_id, job.attempt, [epoch(0, 1, 0.3), epoch(1, 2, 0.4)])
    cursor = events(someone, "state")[-1][0]
    site.lab.measure(job.job_id, job.attempt, [epoch(2, 3, 0.5)])
    again = [content for _, name, content in events(someone, "state", after=cursor) if name == "points"]
    assert [row[0] for content in again for row in content["measurements"]] == [2]
    broken = [content for _, name, content in events(someone, "state", after="nonsense") if name == "points"]
    assert [row[0] for content in broken for row in content["measurements"]] == [0, 1, 2]


def test_a_stream_tells_at_once_what_other_threads_changed(site: Site) -> None:
    someone = person(site).to_tuning()
    seen: queue.Queue[dict[str, Any]] = queue.Queue()

    def read() -> None:
        with suppress(httpx.RemoteProtocolError), someone.http.stream("GET", f"{someone.home}/events") as answer:
            for line in answer.iter_lines():  # until the server ends
                if line.startswith("data: "):
                    seen.put(json.loads(line[6:]))

    threading.Thread(target=read, daemon=True).start()
    assert seen.get(timeout=PATIENCE_SECONDS)["run"]["status"] == "none"
    site.lab.submit(someone.session.id, someone.session.space.configuration({"epochs": 1}))
    wait_for(lambda: seen.get(timeout=PATIENCE_SECONDS).get("run"), "a trial waits", lambda run: run["status"] == "waiting")


def test_the_stream_says_when_the_step_is_another_one(site: Site) -> None:
    someone = person(site).to_tuning()
    site.clock.now += 200
    assert events(someone, "state")[-1][2]["step"] == "final"
