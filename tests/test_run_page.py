"""A run's page and its trials' pages: what they say, what they ask for, and that nothing of studies or test scores is in them."""

import json
import re
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from benchmarks.made_runs import make
from evenhand.analysis.trial_table import MOST_PINNED
from evenhand.lab import trial_rows
from evenhand.lab.lab import Lab
from evenhand.model.domain import Choice, show
from evenhand.model.job import place_of
from evenhand.model.session import Session
from evenhand.model.study import Budget
from evenhand.model.trial import Outcome
from evenhand.settings import AGENT_SILENCE_SECONDS, PublicAddress
from evenhand.store import sessions
from evenhand.studies.alerts import Watch
from evenhand.web.access import Role
from evenhand.web.runs.run import TOLD_WAIT_SECONDS
from evenhand.web.runs.run_curves import MOST_AT_ONCE
from evenhand.web.runs.trial_files import MOST_LISTED, folder_of
from evenhand.web.runs.trial_table import WINDOW_ROWS
from tests.labs import epoch
from tests.web import Caller, Site, evaluated, toy_site, tuned_study

pytestmark = pytest.mark.slow
TRIALS = 230
TIMED_SECONDS = 100.0
TIMED = Budget(seconds=TIMED_SECONDS)
PARTS = ("head", "result", "table", "rows", "pinned", "progress", "curves", "events", "work")
VERBS = ("trial", "limits", "beliefs", "turn")


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    with toy_site(tmp_path_factory.mktemp("run")) as served:
        make(served.lab, TRIALS, seed=4, name="wide search")
        yield served


@pytest.fixture(scope="module")
def researcher(site: Site) -> Caller:
    return site.caller(Role.RESEARCHER)


@pytest.fixture(scope="module")
def session(site: Site) -> Session:
    return site.lab.sessions.get(1)


def numbers(html: str) -> list[int]:
    """The trials of rows, in order."""
    return [int(number) for number in re.findall(r'data-trial="(\d+)"', html)]


# The page


def test_the_page_says_how_a_run_goes(researcher: Caller, session: Session) -> None:
    page = researcher.get("/sessions/1").text
    best = max((trial for trial in session.trials if trial.outcome == "completed"), key=lambda trial: trial.value or 0.0)
    assert "wide search" in page
    assert f'href="/sessions/1/trials/{best.number}">trial {best.number}</a>' in page
    assert f"learning rate <b>{best.configuration['learning_rate']:g}</b>" in page
    assert "Interrupted:" in page
    assert "End it with its best trial" in page
    assert "Add a trial" not in page, "no process would train it"
    assert 'href="/sessions/1/take-away"' in page
    assert "Nothing is chosen yet" in page
    assert "Say what you think of a trial" in page
    assert numbers(page) == list(range(TRIALS, TRIALS - WINDOW_ROWS, -1))


def test_while_a_process_tunes_it_trials_can_be_added(tmp_path: Path) -> None:
    with toy_site(tmp_path) as site:
        study_id = make(site.lab, 1).study_id
        session = site.lab.sessions.open(study_id, tuner="random", method={"name": "random"}, driver="python")
        researcher, address = site.caller(Role.RESEARCHER), f"/sessions/{session.id}"
        assert "The clock starts when" in researcher.get(address).text
        assert "No trial yet." in researcher.get(address).text
        site.lab.start(session.id)
        page = researcher.get(address).text
        assert f'class="btn btn-primary" href="{address}?do=trial#trial"' in page
        assert f'action="{address}/run/trial#trial"' in page
        paused = researcher.post(f"{address}/run/turn", {"what": "pause", "reason": "lunch"})
        assert paused.headers["location"].startswith(f"{address}?said=")
        page = researcher.get(paused.headers["location"]).text
        assert "Paused; its clock stands still." in page
        assert "lunch" in page
        assert 'value="go on"' in page
        site.clock.now += AGENT_SILENCE_SECONDS + 1
        assert "Interrupted:" in researcher.get(address).text


def test_the_forms_beside_the_table_come_back_with_what_was_typed(tmp_path: Path) -> None:
    with toy_site(tmp_path) as site:
        study_id = make(site.lab, 1).study_id
        session = site.lab.sessions.open(study_id, tuner="random", method={"name": "random"}, driver="python", name="by both")
        site.lab.start(session.id)
        researcher, address = site.caller(Role.RESEARCHER), f"/sessions/{session.id}"
        asked_by_script = {"hx-request": "true"}
        typed = {"value.learning_rate": "7", "key": "one"}
        wrong = researcher.post(f"{address}/run/trial", {**typed, "reason": "a hunch"})
        assert wrong.status_code == 422
        assert '<main class="session-page run-page"' in wrong.text
        assert "7 is not possible here: enter a number from 1e-5 to 0.1." in wrong.text
        assert 'value="a hunch"' in wrong.text
        part = researcher.post(f"{address}/run/trial", typed, headers=asked_by_script)
        assert part.status_code == 422
        assert "7 is not possible here" in part.text
        assert "<main" not in part.text
        right = {**typed, "value.learning_rate": "0.01", "reason": "lower"}
        part = researcher.post(f"{address}/run/trial", right, headers=asked_by_script)
        assert "Trial 1 is queued." in part.text
        sent_again = researcher.post(f"{address}/run/trial", right)
        assert sent_again.headers["location"].startswith(f"{address}?do=trial&said=")
        assert [trial.explanation for trial in site.lab.sessions.get(session.id).trials] == ["lower"]
        refused = researcher.post(f"{address}/run/trial", {**right, "key": "two"})
        assert refused.status_code == 409
        assert "It was not added" in refused.text
        limits = {**limits_of(session), "high.learning_rate": "0.01"}
        page = researcher.get(researcher.post(f"{address}/run/limits", limits).headers["location"]).text
        assert "From the next trial on: learning rate: 1e-5 to 0.01." in page
        assert "<b>now 1e-5 to 0.01</b>" in page
        assert 'id="limits" open' in page
        believed = {"likely.learning_rate": "0.002"}
        part = researcher.post(f"{address}/run/beliefs", believed, headers=asked_by_script)
        assert "Kept what you believe: learning rate." in part.text
        assert "?from=1&amp;do=trial#trial" in researcher.get(f"{address}/trials/1").text
        assert "Starts from trial 1" in researcher.get(f"{address}?from=1&do=trial").text
        site.clock.now += AGENT_SILENCE_SECONDS + 1
        assert researcher.get(f"{address}/run/work").text.strip() == "", "nothing would train a trial"


def limits_of(session: Session) -> dict[str, Any]:
    """The form of limits as it is before anything is changed."""
    fields: dict[str, Any] = {}
    for name, domain in ((part.name, part.domain) for part in session.space):
        if isinstance(domain, Choice):
            fields[f"keep.{name}"] = list(domain.texts)
        else:
            fields |= {f"low.{name}": show(domain.low), f"high.{name}": show(domain.high)}
    return fields


def test_only_a_long_wait_for_an_agent_is_told(tmp_path: Path) -> None:
    with toy_site(tmp_path) as site:
        study_id = make(site.lab, 1).study_id
        session = site.lab.sessions.open(study_id, tuner="random", method={"name": "random"}, driver="python")
        site.lab.start(session.id)
        site.lab.submit(session.id, {})
        researcher, address = site.caller(Role.RESEARCHER), f"/sessions/{session.id}"
        assert "waits for an agent</b>" not in researcher.get(address).text
        before = researcher.first_state(f"{address}/run/events")
        site.clock.now += TOLD_WAIT_SECONDS
        assert "no agent is connected; training starts by itself" in researcher.get(address).text
        assert researcher.first_state(f"{address}/run/events")["stamp"] != before["stamp"], "the page is told that it asks again"


def test_what_was_erased_says_so(tmp_path: Path) -> None:
    with toy_site(tmp_path) as site:
        make(site.lab, 2)
        site.lab.runs.delete([1])
        page = site.caller(Role.RESEARCHER).get("/sessions/1").text
        assert "Bring back" in page
        site.clock.now += 31 * 86400
        site.lab.runs.erase_due()
        page = site.caller(Role.RESEARCHER).get("/sessions/1").text
        assert "Erased" in page
        assert numbers(page) == []
        assert site.caller(Role.RESEARCHER).get("/sessions/1/trials/1").status_code == 404


# Parts of a large run, and what it came to


def test_a_large_run_is_not_read_whole_for_its_page(site: Site, researcher: Caller, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = researcher.get("/sessions/1").text
    monkeypatch.setattr(trial_rows, "WHOLE_TRIALS", 10)
    read: list[int] = []
    get = sessions.get

    def noting(tx: Any, session_id: int, logged: bool | None = None) -> Session:
        read.append(session_id)
        return get(tx, session_id, logged)

    monkeypatch.setattr(sessions, "get", noting)
    page = researcher.get("/sessions/1").text
    for part in ("head", "table", "rows", "progress", "curves?first=1&last=64"):
        assert researcher.get(f"/sessions/1/run/{part}").status_code == 200
    assert read == []
    assert numbers(page) == numbers(whole)
    assert "Nothing is chosen yet" in page


def test_a_starting_server_does_not_read_runs_whole(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with toy_site(tmp_path) as site:
        study_id = site.lab.studies.add(replace(site.lab.studies.get(make(site.lab, 20).study_id), name="timed", budget=TIMED)).id
        timed = site.lab.sessions.open(study_id, tuner="random", method={"name": "random"}, driver="python")
        site.lab.start(timed.id)
        site.clock.now += 2 * TIMED_SECONDS
        read: list[int] = []
        parts = sessions._parts

        def noting(tx: Any, rows: Any, logged: bool) -> Any:
            read.extend(row["id"] for row in rows)
            return parts(tx, rows, logged)

        monkeypatch.setattr(sessions, "_parts", noting)
        site.lab.recover(site.clock.now - 60)
        Watch(site.lab, tmp_path).look()
        site.lab.sweep()
        assert read == []


def test_how_sure_a_large_run_is_comes_after_its_page(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(trial_rows, "WHOLE_TRIALS", 10)
    with toy_site(tmp_path) as site:
        make(site.lab, 30, seed=4)
        site.lab.sessions.end(1)
        researcher = site.caller(Role.RESEARCHER)
        page = researcher.get("/sessions/1").text
        assert 'data-part="/sessions/1/run/result"' in page
        assert 'id="certainty"' not in page
        assert "Chosen:" in page
        for path in ("/sessions/1/run/result", "/sessions/1?whole=1"):
            assert 'id="certainty"' in researcher.get(path).text


def test_several_objectives_show_their_front(tmp_path: Path) -> None:
    with toy_site(tmp_path) as site:
        study_id = make(site.lab, 3).study_id
        method = {"name": "random", "objectives": ["accuracy:max", "latency_ms:min"]}
        session = site.lab.sessions.open(study_id, tuner="random", method=method, driver="python")
        site.lab.start(session.id)
        agent, _ = site.lab.agents.add("here", 1)
        for value, latency in ((0.5, 3.0), (0.6, 4.0)):
            site.lab.submit(session.id, {})
            job = site.lab.claim(agent, session_id=session.id)
            assert job is not None
            measured = replace(epoch(0, 1, value), extra={"latency_ms": latency})
            site.lab.finish(job.job_id, job.attempt, Outcome.COMPLETED, batch=[measured])
        page = site.caller(Role.RESEARCHER).get(f"/sessions/{session.id}").text
        assert 'id="front"' in page
        assert page.count('<circle class="trial') > 0


# The table


def test_rows_are_filtered_sorted_and_read_in_windows(researcher: Caller, session: Session) -> None:
    answer = researcher.get("/sessions/1/run/rows?q=accuracy>0.8&sort=-value&offset=5&count=10")
    counted = [trial for trial in session.trials if trial.outcome in ("completed", "stopped")]
    right = sorted((trial for trial in counted if (trial.value or 0) > 0.8), key=lambda trial: -(trial.value or 0))
    assert answer.headers["x-evenhand-rows"] == str(len(right))
    assert numbers(answer.text) == [trial.number for trial in right[5:15]]
    assert researcher.get("/sessions/1/run/rows?offset=100000").text.strip() == ""
    assert researcher.get(f"/sessions/1/run/rows?count={WINDOW_ROWS + 1}").status_code == 400
    assert researcher.get("/sessions/1/run/rows?offset=-1").status_code == 400


def test_a_filter_that_cannot_be_read_says_why(researcher: Caller) -> None:
    page = researcher.get("/sessions/1?q=accurcy>0.8").text
    assert "nearest: accuracy" in page
    assert "All trials are shown" in page
    assert "No trial is like that." in researcher.get("/sessions/1?q=accuracy>2").text


def test_what_differs_is_told_from_what_was_asked_for(researcher: Caller, session: Session) -> None:
    best = next(trial for trial in session.trials if trial.number == numbers(researcher.get("/sessions/1?sort=-value").text)[0])
    row = researcher.get(f"/sessions/1/run/rows?against=best&q=number={best.number}").text
    assert "what the others are told from" in row
    other = researcher.get(f"/sessions/1/run/rows?against={best.number}&q=number=7").text
    seventh = session.trial(7)
    assert seventh is not None
    labels = re.findall(r'<span class="change">(.*?) <b>', other)
    differing = [
        part.label
        for part in session.space
        if part.name in seventh.configuration
        and seventh.configuration[part.name] != best.configuration.get(part.name, part.default)
    ]
    assert labels == differing


def test_pins_columns_and_links_stand_in_the_address(researcher: Caller) -> None:
    page = researcher.get("/sessions/1?pin=7&pin=3&pin=999&column=value&column=set.learning_rate&column=nothing").text
    pinned = page.partition('id="pinned">')[2].partition("</tbody>")[0]
    assert numbers(pinned) == [7, 3]
    assert 'href="/sessions/1?sort=-set.learning_rate&amp;pin=7&amp;pin=3&amp;pin=999' in page
    assert "?pin=3&amp;pin=999&amp;column=value" in pinned, "a pinned row's link lets it go"
    assert "What differs</th>" not in page
    many = "&".join(f"pin={number}" for number in range(1, 30))
    assert len(numbers(researcher.get(f"/sessions/1/run/pinned?{many}").text)) == MOST_PINNED


# The charts


def test_progress_is_each_new_best_and_a_stated_sample(researcher: Caller, session: Session, site: Site) -> None:
    content = researcher.get("/sessions/1/run/progress").json()
    head = site.lab.trials.head(1)
    assert content["gains"]["numbers"] == [gain.number for gain in head.gains]
    assert content["gains"]["values"] == [pytest.approx(gain.value, rel=1e-5) for gain in head.gains]
    assert (content["trials"], content["every"], content["sample"]) == (TRIALS, 1, 1)
    assert content["best"] == head.gains[-1].number
    valued = [trial.number for trial in session.trials if trial.outcome in ("completed", "stopped") and trial.value is not None]
    assert content["dots"]["numbers"] == valued


def test_curves_come_as_columns_that_may_be_kept_once_they_have_ended(site: Site, researcher: Caller) -> None:
    answer = researcher.get("/sessions/1/run/curves?first=1&last=40&every=8")
    content = answer.json()
    assert content["numbers"] == [number for number in (8, 16, 24, 32, 40) if site.lab.curve(1, number).measurements]
    assert answer.headers["cache-control"] == "private, max-age=86400"
    for place, number in enumerate(content["numbers"]):
        end = content["starts"][place + 1] if place + 1 < len(content["starts"]) else len(content["epochs"])
        measured = site.lab.curve(1, number).measurements
        assert content["epochs"][content["starts"][place] : end] == [measurement.epoch for measurement in measured]
        assert content["values"][content["starts"][place] : end] == [
            pytest.approx(measurement.value, rel=1e-5) for measurement in measured
        ]
    named = researcher.get("/sessions/1/run/curves?number=3&number=5")
    assert named.json()["numbers"] == [3, 5]
    assert named.headers["cache-control"] == "no-store"
    assert len(researcher.get("/sessions/1/run/curves?first=1&last=1000000").json()["numbers"]) <= MOST_AT_ONCE
    many = "&".join(f"number={number}" for number in range(MOST_AT_ONCE + 1))
    assert researcher.get(f"/sessions/1/run/curves?{many}").status_code == 400


def test_curves_of_a_trial_that_trains_are_never_kept(tmp_path: Path) -> None:
    with toy_site(tmp_path) as site:
        session = running(site.lab)
        answer = site.caller(Role.RESEARCHER).get(f"/sessions/{session.id}/run/curves?first=1&last=1")
        assert answer.headers["cache-control"] == "no-store"
        assert site.caller(Role.RESEARCHER).first_state(f"/sessions/{session.id}/run/events")["open"] == [[1, 1, 0, None]]


def running(lab: Lab) -> Session:
    """A run of which a trial trains."""
    study_id = make(lab, 1).study_id
    session = lab.sessions.open(study_id, tuner="random", method={"name": "random"}, driver="python")
    lab.start(session.id)
    lab.submit(session.id, {})
    agent, _ = lab.agents.add("here", 1)
    assert lab.claim(agent, session_id=session.id)
    return session


# A trial


def test_a_trial_s_page_has_all_that_is_known_of_it(researcher: Caller, session: Session) -> None:
    page = researcher.get("/sessions/1/trials/7").text
    trial = session.trial(7)
    assert trial is not None
    for name, value in trial.configuration.items():
        assert session.space[name].label in page
        assert session.space[name].show(value) in page
    assert "evenhand replay 1 7" in page
    assert session.task.version in page
    assert 'rel="prev"' in page
    assert 'rel="next"' in page
    assert "Differs from trial 6, the one before" in page
    assert "compare?trial=1:7&amp;trial=1:" in page
    assert 'rel="next"' not in researcher.get(f"/sessions/1/trials/{TRIALS}").text
    assert researcher.get("/sessions/1/trials/999").status_code == 404
    assert researcher.get(f"/sessions/1/trials/{10**30}").status_code in (400, 404)


@pytest.fixture
def folder(site: Site, session: Session, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of trial 7, with files, and secrets beside it."""
    monkeypatch.setattr("evenhand.web.runs.trial_files.trials_dir", lambda: tmp_path / "trials")
    trial = session.trial(7)
    assert trial is not None
    made = tmp_path / "trials" / place_of(session, 7, trial.attempt)
    (made / "deep" / "er").mkdir(parents=True)
    (made / "model.bin").write_bytes(b"\0weights")
    (made / "deep" / "er" / "naïve #1?.html").write_text("<script>alert(1)</script>")
    (tmp_path / "secret.txt").write_text("hush")
    (made.parent / "beside.txt").write_text("hush")
    (made / "link.txt").symlink_to(tmp_path / "secret.txt")
    (made / "up").symlink_to(tmp_path)
    return made


def test_files_of_a_trial_are_listed_and_sent(researcher: Caller, folder: Path) -> None:
    page = researcher.get("/sessions/1/trials/7").text
    links = re.findall(r'href="(/sessions/1/trials/7/files/[^"]*)"', page)
    assert [link.rpartition("/files/")[2] for link in links] == ["model.bin", "deep/er/na%C3%AFve%20%231%3F.html"]
    answers = [researcher.get(link) for link in links]
    assert [answer.content for answer in answers] == [b"\0weights", b"<script>alert(1)</script>"]
    assert all(answer.headers["content-type"] == "application/octet-stream" for answer in answers)
    assert all(answer.headers["content-disposition"].startswith("attachment") for answer in answers)
    assert all(answer.headers["x-content-type-options"] == "nosniff" for answer in answers)


@pytest.mark.parametrize(
    "name",
    [
        "link.txt",
        "up/secret.txt",
        "deep",
        "",
        "..%2Fbeside.txt",
        "%2e%2e/beside.txt",
        "deep/..%2f..%2fbeside.txt",
        "%2Fetc%2Fpasswd",
        "no%00ne",
        "nothing.txt",
        "x" * 5000,
    ],
)
def test_nothing_beside_a_trial_s_folder_is_sent(researcher: Caller, folder: Path, name: str) -> None:
    answer = researcher.get(f"/sessions/1/trials/7/files/{name}")
    assert answer.status_code in (400, 404), answer.text
    assert "hush" not in answer.text


def test_files_are_bounded(researcher: Caller, folder: Path, session: Session, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("evenhand.web.runs.trial.MOST_FILE_BYTES", 3)
    assert researcher.get("/sessions/1/trials/7/files/model.bin").status_code == 409
    for number in range(MOST_LISTED):
        (folder / f"{number:04}.txt").touch()
    trial = session.trial(7)
    assert trial is not None
    listed = folder_of(session, trial)
    assert (len(listed.files), listed.more) == (MOST_LISTED, True)
    assert "There are more" in researcher.get("/sessions/1/trials/7").text


# What must not be seen


def test_sessions_of_studies_have_none_of_these_pages(tmp_path: Path) -> None:
    with toy_site(tmp_path) as site:
        _, session, agent = tuned_study(site)
        evaluated(site, session.id, agent, 0.5, 0.6)
        researcher = site.caller(Role.RESEARCHER)
        for part in (*(f"run/{name}" for name in PARTS), "trials/1", "trials/1/files/output.txt"):
            answer = researcher.get(f"/sessions/{session.id}/{part}")
            assert answer.status_code == 404, part
        for verb in VERBS:
            assert researcher.post(f"/sessions/{session.id}/run/{verb}", {"what": "take over"}).status_code == 404, verb
        page = researcher.get(f"/sessions/{session.id}").text
        assert 'id="chart-loss"' in page, "the page of a study's session is what it was"
        assert "run.js" not in page


SCORES = (0.0456789, 0.0567891)  # on test, which no trial has on validation


def test_no_test_score_without_a_look(tmp_path: Path) -> None:
    with toy_site(tmp_path) as site:
        make(site.lab, 12, seed=4)
        site.lab.sessions.end(1)
        agent, _ = site.lab.agents.add("evaluates", 1)
        for score in SCORES:
            job = site.lab.claim(agent, session_id=1)
            assert job is not None
            site.lab.finish(job.job_id, job.attempt, Outcome.COMPLETED, batch=[epoch(0, 1, score)])
        researcher = site.caller(Role.RESEARCHER)
        pages = ["/sessions/1", "/sessions/1?whole=1", *(f"/sessions/1/trials/{number}" for number in range(1, 13))]
        parts = [f"/sessions/1/run/{part}" for part in PARTS if part not in ("events", "curves")]
        texts = {path: researcher.get(path).text for path in (*pages, *parts, "/sessions/1/run/curves?first=1&last=300")}
        texts["events"] = json.dumps(researcher.first_state("/sessions/1/run/events"))
        for path, text in texts.items():
            assert not re.search(r"0\.0456|0\.0567|\b4\.6\D?%|\b5\.7\D?%", text), path
        assert "2 of 10 seeds are evaluated" in texts["/sessions/1"]
        assert researcher.post("/sessions/1/reveal").status_code == 303
        seen = f"{100 * sum(SCORES) / len(SCORES):.1f}"
        assert seen in researcher.get("/sessions/1").text
        assert seen in researcher.get("/sessions/1/run/result").text
        assert seen not in researcher.get("/sessions/1/run/rows").text


def test_behind_a_proxy_all_addresses_lie_under_its_path(tmp_path: Path) -> None:
    with toy_site(tmp_path, public=PublicAddress("https://lab.example.org/evenhand")) as site:
        make(site.lab, 3)
        researcher = site.caller(Role.RESEARCHER)
        for path in ("/evenhand/sessions/1?pin=1", "/evenhand/sessions/1/trials/2", "/evenhand/sessions/1/run/table"):
            addresses = re.findall(
                r'(?:href|action|src|data-rows|data-pinned|data-part|data-curves)="(/[^"]*)"', researcher.get(path).text
            )
            assert addresses
            assert [address for address in addresses if not address.startswith("/evenhand/")] == []


BEYOND = 10**30  # what no database counts to


@pytest.mark.parametrize(
    "part",
    [
        f"?pin={BEYOND}&against={BEYOND}",
        "?q=accuracy<1e999+number>-1e999",
        f"?q=number={BEYOND}",
        "?q=why:%25_\\",
        f"/run/rows?offset={BEYOND}",
        f"/run/curves?first={BEYOND}&last={BEYOND + 9}",
        f"/run/curves?first=1&last={BEYOND}&every=1",
        f"/run/curves?first=1&last=9&every={BEYOND}",
        f"/run/curves?number={BEYOND}",
        f"/trials/{BEYOND}",
        f"/trials/{BEYOND}/files/x",
    ],
)
def test_what_is_beyond_all_counting_is_answered(researcher: Caller, part: str) -> None:
    assert researcher.get(f"/sessions/1{part}").status_code in (200, 400, 404)
