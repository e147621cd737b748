"""Working together over HTTP, on a real server that plays a method: every step is kept, and none needs a restart."""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from evenhand.model.hyperparameter import Prior
from evenhand.model.session import State
from evenhand.model.study import Budget
from evenhand.model.trial import Outcome
from evenhand.web.access import Role
from evenhand.web.state import held_by
from tests.benches import Bench, bench
from tests.labs import toy_study
from tests.waiting import wait_for
from tests.web import Caller, evaluated, toy_site, tuned_study, tuning_participant

MINE = {
    "value.epochs": "2",
    "value.optimizer": "adam",
    "value.learning_rate": "0.02",
    "value.weight_decay": "0",
}
LIMITS = {
    "low.epochs": "1",
    "high.epochs": "4",
    "keep.optimizer": ["adam", "sgd"],
    "low.learning_rate": "0.001",
    "high.learning_rate": "0.1",
    "low.momentum": "0",
    "high.momentum": "0.99",
    "only.weight_decay": "0.0001",
}


@pytest.fixture
def running(tmp_path: Path) -> Iterator[Bench]:
    with bench(tmp_path) as made:
        yield made


def post(caller: Caller, bench: Bench, part: str, form: dict[str, object]) -> str:
    """Send a form of the workbench; the page that follows."""
    answer = caller.post(f"{bench.address}/{part}", form)
    assert answer.status_code == 303, re.sub(r"<[^>]+>|\s+", " ", answer.text)[:600]
    return caller.get(answer.headers["location"]).text


@pytest.mark.slow
def test_a_person_works_with_a_running_method_from_end_to_end(running: Bench) -> None:
    caller = running.site.caller(Role.RESEARCHER)
    running.trained(3)
    page = caller.get(running.address).text
    assert "tpe does not use beliefs" in page
    assert "Your first step makes it <b>joint</b>" in page
    page = post(caller, running, "limits", {**LIMITS, "reason": "larger rates diverge"})
    assert "From the next trial on: optimizer: SGD, Adam; learning rate: 0.001 to 0.1; weight decay: only 0.0001." in page
    assert "it is <b>joint</b>" in page
    limited = len(running.session.trials)
    running.trained(limited + 4)
    held = running.held()
    page = post(caller, running, "turn", {"what": f"stop {held.number}", "reason": "no good"})
    assert f"Trial {held.number} stops" in page
    post(caller, running, "turn", {"what": "take over"})
    running.agent.holds.clear()
    taken = running.until(lambda session: not any(trial.is_open for trial in session.trials), "the last trial ends")
    assert taken.taken_over_by == caller.identity.who
    page = post(caller, running, "trial", {**MINE, "value.weight_decay": "0.0001", "reason": "as last year"})
    mine = len(taken.trials) + 1
    assert f"Trial {mine} is queued." in page
    running.trained(mine)
    assert len(running.session.trials) == mine  # the method waits
    post(caller, running, "turn", {"what": "hand back"})
    ended = running.trained(mine + 4)
    for trial in ended.trials[limited + 1 :]:
        assert trial.configuration["optimizer"] in ("adam", "sgd")
        assert 0.001 <= trial.configuration.number("learning_rate") <= 0.1
        assert trial.configuration["weight_decay"] == 0.0001
        assert (trial.proposer, trial.revision) == (caller.identity.who if trial.number == mine else "tpe", 1)
    assert {trial.configuration["weight_decay"] for trial in ended.trials[:3]} != {0.0001}
    assert ended.trials[held.number - 1].outcome is Outcome.STOPPED
    assert ended.trials[held.number - 1].stop_by == "researcher"
    assert ended.trials[mine - 1].explanation == "as last year"
    kinds = [
        (intervention.kind, intervention.who, intervention.trial, intervention.reason) for intervention in ended.interventions
    ]
    assert kinds == [
        ("reshaped", caller.identity.who, None, "larger rates diverge"),
        ("stopped", caller.identity.who, held.number, "no good"),
        ("took over", caller.identity.who, None, ""),
        ("added", caller.identity.who, mine, "as last year"),
        ("handed back", caller.identity.who, None, ""),
    ]
    assert ended.is_joint
    page = caller.get(running.address).text
    for words in ("larger rates diverge", f"added trial {mine}", "handed back", f"stopped trial {held.number}"):
        assert words in page
    assert not held_by(running.site.app).players.problems


@pytest.mark.slow
def test_what_is_wrong_stands_beside_its_field_and_nothing_typed_is_lost(running: Bench) -> None:
    caller = running.site.caller(Role.RESEARCHER)
    running.trained(1)
    answer = caller.post(
        f"{running.address}/trial", {**MINE, "value.learning_rate": "7", "value.epochs": "x", "reason": "a hunch"}
    )
    assert answer.status_code == 422
    assert "7 is not possible here: enter a number from 1e-5 to 1." in answer.text
    assert "x is not possible here: enter a whole number from 1 to 4." in answer.text
    assert 'value="a hunch"' in answer.text
    wrong = {**LIMITS, "low.learning_rate": "0.5", "high.learning_rate": "0.1", "low.epochs": "9", "reason": "why not"}
    wrong["keep.optimizer"] = []
    answer = caller.post(f"{running.address}/limits", wrong)
    assert answer.status_code == 422
    assert "The first number has to be the smaller one." in answer.text
    assert "Enter whole numbers within 1 to 4" in answer.text
    assert "Keep at least one." in answer.text
    assert 'name="low.learning_rate" value="0.5"' in answer.text
    assert 'value="why not"' in answer.text
    answer = caller.post(f"{running.address}/beliefs", {"likely.learning_rate": "90", "confidence.learning_rate": "high"})
    assert answer.status_code == 422
    assert "90 is not possible here" in answer.text
    assert 'name="likely.learning_rate" value="90"' in answer.text
    assert caller.post(f"{running.address}/turn", {"what": "dance"}).status_code == 409
    assert not running.session.interventions


@pytest.mark.slow
def test_a_trial_that_has_to_wait_is_refused_with_what_to_do(running: Bench) -> None:
    caller = running.site.caller(Role.RESEARCHER)
    running.held()
    answer = caller.post(f"{running.address}/trial", MINE)
    assert answer.status_code == 409
    assert "A trial is still training" in answer.text
    assert "Take over first" in answer.text
    assert 'value="0.02"' in answer.text
    assert not running.session.is_joint


@pytest.mark.slow
def test_limits_go_both_ways_and_frozen_values_come_back(running: Bench) -> None:
    caller = running.site.caller(Role.RESEARCHER)
    running.trained(1)
    post(caller, running, "limits", dict(LIMITS))
    assert running.session.interventions[-1].detail == {
        "optimizer": {"options": ["sgd", "adam"]},
        "learning_rate": {"low": 0.001, "high": 0.1},
        "weight_decay": {"value": 0.0001},
    }
    page = caller.get(running.address).text
    assert re.search(r"now 0\.001 to 0\.1</b>, of 1e-5 to 1", page)
    assert 'name="only.weight_decay" value="0.0001"' in page
    assert caller.post(f"{running.address}/limits", LIMITS).status_code == 409
    both = {**LIMITS, "low.weight_decay": "0.001"}
    assert "Either a range or one value" in caller.post(f"{running.address}/limits", both).text
    post(caller, running, "limits", {**LIMITS, "whole.weight_decay": "yes", "high.learning_rate": "1"})
    assert running.session.interventions[-1].detail == {"learning_rate": {"low": 0.001, "high": 1.0}, "weight_decay": None}
    assert running.session.current_space["weight_decay"].domain == running.session.space["weight_decay"].domain
    post(caller, running, "limits", {**LIMITS, "low.learning_rate": "", "high.learning_rate": "1", "keep.optimizer": ["adam"],
                                     "only.weight_decay": "", "low.weight_decay": "", "high.weight_decay": "0.01"})  # fmt: skip
    last = running.session.interventions[-1].detail
    assert last["learning_rate"] is None
    assert last["optimizer"] == {"options": ["adam"]}
    assert last["weight_decay"] == {"low": 1e-6, "high": 0.01, "zero": False}
    running.trained(len(running.session.trials) + 2)
    assert running.session.trials[-1].configuration["optimizer"] == "adam"
    sgd = next((trial for trial in running.session.trials if trial.configuration["optimizer"] == "sgd"), None)
    page = caller.get(f"{running.address}?from={sgd.number if sgd else 1}").text
    form = page[page.index('id="add-form"') : page.index('id="limits"')]
    assert "momentum" not in form  # it can never be active now
    assert '<option value="adam" selected>' in form  # moved into what is allowed


@pytest.mark.slow
def test_beliefs_are_kept_told_and_taken_back(tmp_path: Path) -> None:
    with bench(tmp_path, "pibo", startup=4) as running:
        caller = running.site.caller(Role.RESEARCHER)
        running.trained(2)
        page = post(
            caller,
            running,
            "beliefs",
            {
                "likely.learning_rate": "0.01",
                "confidence.learning_rate": "high",
                "matters.learning_rate": "yes",
                "matters.momentum": "no",
                "reason": "as with the last data",
            },
        )
        assert "Kept what you believe: learning rate, momentum." in page
        assert "does not use beliefs" not in page
        priors = {
            hyperparameter.name: hyperparameter.prior for hyperparameter in running.session.current_space if hyperparameter.prior
        }
        assert priors == {"learning_rate": Prior(0.01, "high", True), "momentum": Prior(important=False)}
        running.trained(len(running.session.trials) + 12)
        page = caller.get(running.address).text
        assert "near 0.01, important (high confidence)" in page
        assert re.search(r'badge verdict-(helped|overruled|undecided)">', page)
        assert re.search(r"within it</dt><dd>\d+ trials: best <b>\d+\.\d", page)
        assert "as with the last data" in page
        assert any("your belief about learning rate" in trial.explanation for trial in running.session.trials)
        page = post(caller, running, "beliefs", {"back": "learning_rate"})
        assert "Taken back: learning rate." in page
        assert running.session.interventions[-1].detail == {"learning_rate": None}
        assert running.session.current_space["learning_rate"].prior is None
        assert '<span class="badge">taken back</span>' in page
        assert caller.post(f"{running.address}/beliefs", {"back": "nonsense"}).status_code == 409


@pytest.mark.slow
def test_a_stop_on_the_sessions_page_is_working_together_too(running: Bench) -> None:
    caller = running.site.caller(Role.RESEARCHER)
    held = running.held()
    assert caller.post(f"/sessions/{running.id}/trials/{held.number}/stop").status_code == 303
    running.agent.holds.clear()
    running.trained(held.number)
    (kept,) = running.session.interventions
    assert (kept.kind, kept.who, kept.trial) == ("stopped", caller.identity.who, held.number)
    assert "joint" in caller.get(f"/sessions/{running.id}").text


@pytest.mark.slow
def test_stop_end_and_remove_ask_and_say_what_comes_of_it(running: Bench) -> None:
    caller, held = running.site.caller(Role.RESEARCHER), running.held()
    stop = f"/sessions/{running.id}/trials/{held.number}/stop"
    assert f'href="{stop}"' in caller.get(f"/sessions/{running.id}").text
    asked = caller.get(stop).text
    assert f"Stop trial {held.number} of" in asked
    assert "It makes the session joint, for good:" in asked
    end = f"/sessions/{running.id}/end"
    asked = caller.get(end).text
    assert "It goes on now." in asked
    assert "It makes the session joint, for good:" in asked
    assert not running.session.interventions, "a question changed something"
    unsaid = caller.post(end, {"reason": " "})
    assert unsaid.status_code == 409
    assert "Give the reason why it is ended" in unsaid.text
    assert caller.post(end, {"reason": "its task is gone"}).status_code == 303
    running.agent.holds.clear()
    assert running.session.interventions[-1].reason == "its task is gone"
    assert "ended the session" in caller.get(f"{running.address}").text
    waits = running.site.lab.sessions.open(running.session.study_id, tuner="tpe", method={"name": "tpe"}, driver="held")
    page = caller.get(f"/sessions/{waits.id}/end").text
    assert "It never started: nothing in it was trained, measured or looked at." in page
    moved = caller.post(f"/sessions/{waits.id}/remove")
    assert "tpe, which never started, is removed." in caller.get(moved.headers["location"]).text
    assert waits.id not in [session.id for session in running.site.lab.sessions.of_study(waits.study_id)]


@pytest.mark.slow
def test_a_method_that_is_held_is_told_before_it_starts(tmp_path: Path) -> None:
    with toy_site(tmp_path) as site:
        study = toy_study(site.lab, Budget(trials=3))
        caller = site.caller(Role.RESEARCHER)
        answer = caller.post(f"/studies/{study.id}/methods", {"method": "pibo", "hold": "yes"})
        assert answer.headers["location"] == "/sessions/1/workbench?do=beliefs"
        page = caller.get(answer.headers["location"]).text
        assert "Start pibo" in page
        assert "pibo waits for your word" in page
        held_by(site.app).players.resume()  # as after a restart
        said = {"likely.learning_rate": "0.25", "confidence.learning_rate": "high", "reason": "the last project"}
        assert caller.post("/sessions/1/workbench/beliefs", said).status_code == 303
        assert site.lab.view(1).state is State.WAITING
        assert caller.post("/sessions/1/workbench/turn", {"what": "start"}).status_code == 303
        first = wait_for(lambda: next(iter(site.lab.sessions.get(1).trials), None), "the first trial")
        assert first.configuration["learning_rate"] == 0.25
        assert "from your prior: learning rate near 0.25 (high confidence)" in first.explanation
        assert not site.lab.sessions.get(1).is_joint  # what is believed before the start is prior knowledge
        assert site.lab.sessions.to_play() == [1]
        assert caller.post("/sessions/1/workbench/turn", {"what": "start"}).status_code == 409


@pytest.mark.slow
def test_pausing_alone_leaves_the_session_the_methods_own(running: Bench) -> None:
    caller = running.site.caller(Role.RESEARCHER)
    running.trained(1)
    page = post(caller, running, "turn", {"what": "pause"})
    assert "Paused; its clock stands still." in page
    assert running.site.lab.view(running.id).state is State.PAUSED
    post(caller, running, "turn", {"what": "go on"})
    answer = caller.post(f"{running.address}/turn", {"what": "go on", "reason": "again"})
    assert answer.status_code == 409
    assert 'value="again"' in answer.text
    page = caller.get(running.address).text
    assert "let it go on" in page
    assert not running.session.is_joint


@pytest.mark.slow
def test_whoever_looked_only_watches_and_people_have_no_workbench(tmp_path: Path) -> None:
    with toy_site(tmp_path) as site:
        study, session, agent = tuned_study(site)
        other = site.lab.start(site.lab.sessions.open(study.id, tuner="tpe", method={"name": "tpe"}, driver="test").id)
        person = tuning_participant(site, study)
        caller = site.caller(Role.RESEARCHER)
        assert caller.get(f"/sessions/{person.session_id}/workbench").status_code == 409
        assert caller.get(f"/sessions/{person.session_id}/workbench/events").status_code == 409
        assert "Add a trial of your own" in caller.get(f"/sessions/{other.id}/workbench").text
        evaluated(site, session.id, agent, 0.7, 0.8)
        assert "This session has ended" in caller.get(f"/sessions/{session.id}/workbench").text
        caller.post(f"/sessions/{session.id}/reveal")
        page = caller.get(f"/sessions/{other.id}/workbench").text
        assert "You can watch, but not take part" in page
        assert "Add a trial of your own" not in page
        form = {"value.epochs": "2", "value.learning_rate": "0.1"}
        assert caller.post(f"/sessions/{other.id}/workbench/trial", form).status_code == 403
        assert caller.post(f"/sessions/{other.id}/workbench/turn", {"what": "take over"}).status_code == 403
        assert not site.lab.sessions.get(other.id).is_joint


@pytest.mark.slow
def test_the_stream_sends_parts_and_never_a_form_that_is_filled_in(running: Bench) -> None:
    running.trained(1)
    event = running.site.caller(Role.RESEARCHER).first_event(f"{running.address}/events")
    assert "points" in event or "measurements" in event
    caller = running.site.caller(Role.RESEARCHER)
    with caller.http.stream("GET", f"{running.address}/events") as answer:
        lines = answer.iter_lines()
        state = next(line for line in lines if line.startswith("data: ") and '"turn"' in line)
    assert "tpe</span> proposes" in state
    for typed in ("add-form", "low.learning_rate", "likely.learning_rate", "turn-reason"):
        assert typed not in state


@pytest.mark.slow
def test_joint_sessions_do_not_lead_the_studys_page(running: Bench) -> None:
    caller = running.site.caller(Role.RESEARCHER)
    session = running.trained(1)
    address = f"/studies/{session.study_id}?mode={session.mode}"
    assert "lead-score" in caller.get(address).text
    post(caller, running, "turn", {"what": "take over"})
    page = caller.get(address).text
    assert "lead-score" not in page
    assert "joint" in page
