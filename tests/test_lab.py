"""The verbs on a real database: what is accepted, refused, kept, and derived after a restart. Both backends run every test."""

import logging
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Connection, text

from evenhand.errors import NotAllowed, NotFound, Refused, StaleAttempt
from evenhand.lab.lab import Lab
from evenhand.model import rules
from evenhand.model.job import Order
from evenhand.model.rules import ParticipantStep
from evenhand.model.session import Session, State
from evenhand.model.study import Budget
from evenhand.model.trial import Outcome, Stopper
from evenhand.model.trial_history import Trials
from evenhand.settings import Rules
from evenhand.store import jobs, sessions
from evenhand.store.engine import Store
from tests.components import DATABASES
from tests.labs import SPACE, Clock, batch, claim, database, epoch, make_lab, started, toy_study

CONFIGURATION = SPACE.configuration({"epochs": 2})


@pytest.fixture(params=DATABASES)
def url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    with database(request.param, tmp_path) as address:
        yield address


@pytest.fixture
def lab_and_clock(url: str) -> Iterator[tuple[Lab, Clock]]:
    lab, clock = make_lab(url)
    yield lab, clock
    lab.close()


@pytest.fixture
def lab(lab_and_clock: tuple[Lab, Clock]) -> Lab:
    return lab_and_clock[0]


@pytest.fixture
def clock(lab_and_clock: tuple[Lab, Clock]) -> Clock:
    return lab_and_clock[1]


def test_the_server_decides_a_participants_next_page(lab: Lab) -> None:
    study = toy_study(lab)
    person, code = lab.participants.join(study.id)
    assert person.pseudonym == "P-01"
    assert lab.participants.step(person.id) is ParticipantStep.TERMS
    with pytest.raises(Refused, match="terms were changed"):
        lab.participants.consent(person.id, "an older text")
    lab.participants.consent(person.id, study.consent.version)
    assert lab.participants.step(person.id) is ParticipantStep.BACKGROUND
    lab.participants.answer(person.id, "background", {"months": 0, "education": "bachelor"})
    assert lab.participants.step(person.id) is ParticipantStep.DETAILS
    lab.participants.read_details(person.id)
    session = lab.participants.begin(person.id)
    assert lab.participants.step(person.id) is ParticipantStep.TUNE
    assert lab.participants.resume(f" {code.lower()} ").session_id == session.id
    lab.choose(session.id, configuration=CONFIGURATION)
    assert lab.participants.step(person.id) is ParticipantStep.THANKS
    with pytest.raises(NotFound, match="resume code"):
        lab.participants.resume("ABCDE")


def test_a_session_is_read_as_another_process_left_it(lab: Lab, url: str, clock: Clock) -> None:
    session = started(lab, toy_study(lab))
    other, _ = make_lab(url)
    agent, _ = other.agents.add("a", 1)

    def read() -> Session:
        assert lab.sessions.get(session.id) == lab.sessions.get(session.id) == other.sessions.get(session.id)
        return lab.sessions.get(session.id)

    other.submit(session.id, CONFIGURATION)
    assert len(read().trials) == 1
    job = claim(other, agent)
    assert read().trials[0].claimed_at == clock.now
    other.measure(job.job_id, 1, [batch(0), epoch(1, 1, 0.5)])
    assert (read().trials[0].value, read().trials[0].epochs_done) == (0.5, 1)
    other.sessions.pause([session.id], "a fire alarm")
    assert len(read().pauses) == 1
    other.sessions.unpause([session.id])
    other.sessions.extend([session.id], 60, "a fire alarm")
    assert [extension.seconds for extension in read().extensions] == [60]
    other.finish(job.job_id, 1, Outcome.COMPLETED)
    assert read().trials[0].outcome is Outcome.COMPLETED
    other.choose(session.id, number=1)
    assert read().evaluated.planned == 2
    other.close()


def test_a_programs_token_is_looked_up_once_a_second(lab_and_clock: tuple[Lab, Clock], url: str) -> None:
    lab, clock = lab_and_clock
    other, _ = make_lab(url)
    _, token = lab.agents.add("a", 1)
    invitation = lab.tokens.issue("signin")
    assert lab.tokens.recall("agent", token) is None
    assert lab.tokens.check("agent", token) == lab.tokens.recall("agent", token)
    assert lab.tokens.recall("method", token) is None
    assert lab.tokens.check("signin", invitation) is not None
    assert lab.tokens.recall("signin", invitation) is None  # people's are looked up each time
    other.tokens.revoke("agent", token)  # as another process does
    clock.now += 0.9
    assert lab.tokens.recall("agent", token) is not None
    clock.now += 0.1
    assert lab.tokens.recall("agent", token) is None
    assert lab.tokens.check("agent", token) is None
    _, token = lab.agents.add("b", 1)
    assert lab.tokens.check("agent", token) is not None
    lab.tokens.revoke("agent", token)
    assert lab.tokens.recall("agent", token) is None
    other.close()


@pytest.mark.slow
def test_a_long_session_is_read_from_its_first_open_trial_on(lab: Lab, url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    session = started(lab, toy_study(lab, Budget(trials=100)))
    other, _ = make_lab(url)
    agent, _ = other.agents.add("a", 1)
    read: list[tuple[int, int]] = []  # how many trials were known, and how many there were
    trials_after = sessions._trials_after

    def recorded(tx: Connection, session_id: int, parts: sessions.SessionParts) -> Trials | None:
        trials = trials_after(tx, session_id, parts)
        read.append((parts.trials.settled, len(trials or ())))
        return trials

    monkeypatch.setattr(sessions, "_trials_after", recorded)
    for number in range(1, 9):
        trial = lab.submit(session.id, CONFIGURATION)
        job = claim(other, agent)
        other.measure(job.job_id, 1, [epoch(0, 2, number / 10)])
        other.finish(job.job_id, 1, Outcome.COMPLETED)
        stored = lab.sessions.get(session.id)
        assert (trial.number, [earlier.value for earlier in stored.trials]) == (number, [at / 10 for at in range(1, number + 1)])
    assert {known for known, _ in read} == set(range(1, 8))
    assert all(there - known <= 1 for known, there in read)
    read.clear()
    with Store(url).write() as tx:  # another history, as a restored backup brings it
        tx.execute(text("UPDATE event SET at = at - 5"))
        tx.execute(text("UPDATE trial SET explanation = 'other'"))
    assert {trial.explanation for trial in lab.sessions.get(session.id).trials} == {"other"}
    assert not read
    other.close()


@pytest.mark.slow
def test_a_trial_from_submission_to_its_value(lab: Lab, clock: Clock) -> None:
    session = started(lab, toy_study(lab))
    agent, _ = lab.agents.add("a", 1)
    trial = lab.submit(session.id, CONFIGURATION, reasons={"epochs": "a guess", "unknown": "x"})
    assert trial.reasons == {"epochs": "a guess"}
    with pytest.raises(Refused, match="still waiting for an agent"):
        lab.submit(session.id, CONFIGURATION)
    job = claim(lab, agent)
    assert (job.kind, job.attempt, dict(job.configuration)) == ("trial", 1, dict(CONFIGURATION))
    assert lab.claim(agent) is None
    assert lab.measure(job.job_id, 1, [batch(0), epoch(1, 1, 0.3)])
    assert lab.measure(job.job_id, 1, [batch(0), epoch(1, 1, 0.3), batch(2)])  # a repeated post changes nothing
    running = lab.view(session.id).session.trials[0]
    assert (running.value, running.epochs_done, running.epochs_begun) == (0.3, 1, 2)
    lab.measure(job.job_id, 1, [epoch(3, 2, 0.25)])
    clock.now += 4
    lab.finish(job.job_id, 1, Outcome.COMPLETED)
    lab.finish(job.job_id, 1, Outcome.COMPLETED)
    with pytest.raises(StaleAttempt):
        lab.measure(job.job_id, 1, [])
    ended = lab.view(session.id).session.trials[0]
    assert (ended.outcome, ended.value, ended.seconds(0)) == (Outcome.COMPLETED, 0.25, 4)
    assert [measurement.index for measurement in lab.curve(session.id, 1, (1, 0)).measurements] == [1, 2, 3]


def test_the_same_key_twice_is_one_trial_and_one_choice(lab: Lab) -> None:
    session = started(lab, toy_study(lab))
    assert lab.submit(session.id, CONFIGURATION, key="k").id == lab.submit(session.id, CONFIGURATION, key="k").id
    lab.choose(session.id, configuration=CONFIGURATION, key="c")
    assert lab.choose(session.id, configuration=CONFIGURATION, key="c").choice is not None
    with pytest.raises(Refused, match="needs one that is tuning"):
        lab.choose(session.id, configuration=CONFIGURATION, key="other")


def test_stop_ends_a_queued_trial_at_once_and_tells_a_running_ones_agent(lab: Lab) -> None:
    session = started(lab, toy_study(lab))
    agent, _ = lab.agents.add("a", 1)
    lab.submit(session.id, CONFIGURATION)
    assert lab.stop(session.id, 1).outcome is Outcome.STOPPED
    lab.submit(session.id, CONFIGURATION)
    job = claim(lab, agent)
    assert lab.stop(session.id, 2).outcome is None
    assert lab.measure(job.job_id, 1, [batch(0)]) is Order.STOP
    lab.finish(job.job_id, 1, Outcome.STOPPED)
    ended = lab.view(session.id).session.trials[1]
    assert (ended.outcome, ended.stop_by) == (Outcome.STOPPED, Stopper.TUNER)


def test_a_training_that_ended_before_the_stop_arrived_stays_completed(lab: Lab) -> None:
    session = started(lab, toy_study(lab))
    agent, _ = lab.agents.add("a", 1)
    lab.submit(session.id, CONFIGURATION)
    job = claim(lab, agent)
    lab.finish(job.job_id, 1, Outcome.COMPLETED)
    assert lab.stop(session.id, 1).outcome is Outcome.COMPLETED
    assert lab.view(session.id).session.trials[0].stop_by is None


def test_a_lost_lease_is_claimed_again_and_the_late_writer_is_refused(lab: Lab, clock: Clock) -> None:
    session = started(lab, toy_study(lab))
    first, second = (lab.agents.add(name, 1)[0] for name in "ab")
    lab.submit(session.id, CONFIGURATION)
    job = claim(lab, first)
    lab.measure(job.job_id, 1, [batch(0), epoch(1, 1, 0.9)])
    clock.now += 11
    again = claim(lab, second)
    assert (again.job_id, again.attempt) == (job.job_id, 2)
    for write in (lambda: lab.measure(job.job_id, 1, [batch(2)]), lambda: lab.finish(job.job_id, 1, Outcome.COMPLETED)):
        with pytest.raises(StaleAttempt, match="attempt 1"):
            write()
    view = lab.view(session.id)
    assert view.session.trials[0].value is None  # of the attempt that counts
    assert view.seconds_left == 100  # the dead attempt's time is given back
    lab.measure(again.job_id, 2, [batch(0)])
    assert lab.curve(session.id, 1, (1, 5)).attempt == 2
    assert len(lab.curve(session.id, 1, (1, 5)).measurements) == 1  # a newer attempt is given from its start


def test_three_lost_attempts_are_failed_and_cost_nothing(lab: Lab, clock: Clock) -> None:
    session = started(lab, toy_study(lab, Budget(trials=1)))
    agent, _ = lab.agents.add("a", 1)
    lab.submit(session.id, CONFIGURATION)
    for attempt in (1, 2, 3):
        job = claim(lab, agent)
        assert job.attempt == attempt
        lab.release(job.job_id, attempt, f"worker died {attempt}")
    ended = lab.view(session.id).session.trials[0]
    assert ended.outcome is Outcome.FAILED
    assert "worker died 3" in (ended.why or "")
    assert lab.view(session.id).refusal is None
    job2 = lab.submit(session.id, CONFIGURATION)
    job = claim(lab, agent)
    for _ in range(4):  # an agent shut down in order does not count
        lab.release(job.job_id, job.attempt, "agent shut down", counts=False)
        job = claim(lab, agent)
    assert lab.view(session.id).session.trials[job2.number - 1].outcome is None


def test_the_deadline_stops_the_trial_asks_for_a_choice_and_then_chooses(lab: Lab, clock: Clock) -> None:
    session = started(lab, toy_study(lab))
    agent, _ = lab.agents.add("a", 1)
    for value in (0.6, 0.2):
        lab.submit(session.id, CONFIGURATION)
        job = claim(lab, agent)
        lab.measure(job.job_id, 1, [epoch(0, 1, value)])
        if value == 0.6:
            lab.finish(job.job_id, 1, Outcome.COMPLETED)
    for _ in range(20):
        clock.now += 5
        assert lab.measure(job.job_id, 1, [])
    lab.sweep()
    view = lab.view(session.id)
    assert (view.state, view.seconds_left, view.session.trials[1].stop_by) == (State.CHOOSING, 0, Stopper.DEADLINE)
    assert view.choose_by == clock.now + 600
    with pytest.raises(Refused, match="choosing"):
        lab.submit(session.id, CONFIGURATION)
    clock.now += 600
    lab.sweep()
    choice = lab.sessions.get(session.id).choice
    assert choice is not None
    assert (choice.automatic, choice.trial_id) == (True, view.session.trials[0].id)


def test_a_trial_ends_when_it_has_used_what_one_may_of_the_time(lab: Lab, clock: Clock) -> None:
    session, begun = started(lab, toy_study(lab, trial_share=0.25)), clock.now
    agent, _ = lab.agents.add("a", 1)
    lab.submit(session.id, CONFIGURATION)
    clock.now += 50  # waiting for an agent is no training
    job = claim(lab, agent)
    for _ in range(5):
        clock.now += 6
        lab.sweep()
        assert lab.measure(job.job_id, 1, [])  # before its first epoch it has no value to keep, so it goes on
    lab.measure(job.job_id, 1, [epoch(0, 1, 0.6)])
    lab.sweep()
    assert not lab.measure(job.job_id, 1, [])
    lab.finish(job.job_id, 1, Outcome.STOPPED)
    trial = lab.view(session.id).session.trials[0]
    assert (trial.outcome, trial.value, trial.stop_by, trial.why) == (Outcome.STOPPED, 0.6, Stopper.RULE, rules.SHARE_USED)
    lab.submit(session.id, CONFIGURATION)
    again = claim(lab, agent)
    lab.measure(again.job_id, 1, [epoch(0, 1, 0.5)])
    for _ in range(4):
        clock.now += 6
        lab.sweep()
        assert lab.measure(again.job_id, 1, [])  # each trial has its own share
    assert clock.now == begun + 50 + 30 + 24


def test_one_trial_may_use_the_study_s_share_of_the_epochs(lab: Lab) -> None:
    session = started(lab, toy_study(lab, Budget(epochs=20), trial_share=0.25))
    with pytest.raises(Refused, match="this needs 6 epochs, and one trial may use 5 of the 20; ask for fewer"):
        lab.submit(session.id, {"epochs": 6})
    assert lab.submit(session.id, {"epochs": 5}).epochs_planned == 5
    short = started(lab, toy_study(lab, Budget(epochs=2), trial_share=0.25))
    assert lab.submit(short.id, {"epochs": 1}).epochs_planned == 1  # the shortest training is always allowed


def test_a_session_without_any_value_ends_without_a_choice(lab: Lab, clock: Clock) -> None:
    session = started(lab, toy_study(lab))
    clock.now += 701
    lab.sweep()
    choice = lab.sessions.get(session.id).choice
    assert choice is not None
    assert (choice.configuration, choice.automatic) == (None, True)
    assert lab.sessions.get(session.id).evaluated.planned == 0


def test_evaluations_wait_behind_trials_and_their_scores_are_in_no_view(lab: Lab) -> None:
    study = toy_study(lab)
    chosen, tuning = started(lab, study), started(lab, study)
    agent, _ = lab.agents.add("a", 2)
    lab.choose(chosen.id, configuration=CONFIGURATION)
    lab.submit(tuning.id, CONFIGURATION)
    assert [claim(lab, agent).kind for _ in range(2)] == ["trial", "evaluation"]
    job = claim(lab, agent)
    lab.measure(job.job_id, 1, [epoch(0, 2, 0.777)])
    lab.finish(job.job_id, 1, Outcome.COMPLETED)
    assert "0.777" not in repr(lab.view(chosen.id))
    assert lab.view(chosen.id).session.evaluated.done == 1
    with pytest.raises(NotAllowed, match="logged first"):
        lab.evaluations.get(chosen.id, "researcher")
    with pytest.raises(Refused):
        lab.evaluations.reveal(tuning.id, "researcher")
    lab.evaluations.reveal(chosen.id, "researcher")
    assert [score.value for score in lab.evaluations.get(chosen.id, "researcher").scores] == [None, 0.777]
    with pytest.raises(NotAllowed, match="cannot intervene"):
        lab.sessions.stop_trial(tuning.id, 1, "researcher")
    assert lab.stop(tuning.id, 1).stop_by is Stopper.TUNER


def test_evaluation_seeds_are_common_to_all_tuners(lab: Lab) -> None:
    study = toy_study(lab)
    agent, _ = lab.agents.add("a", 4)
    seeds = []
    for _ in range(2):
        session = started(lab, study)
        lab.choose(session.id, configuration=CONFIGURATION)
        seeds.append([claim(lab, agent).seed for _ in range(2)])
    assert seeds[0] == seeds[1]
    assert len(set(seeds[0])) == 2


def test_validation_stays_hidden_while_it_trains_where_the_study_says_so(lab: Lab) -> None:
    session = started(lab, toy_study(lab, live_validation=False))
    agent, _ = lab.agents.add("a", 1)
    lab.submit(session.id, CONFIGURATION)
    job = claim(lab, agent)
    lab.measure(job.job_id, 1, [batch(0), epoch(1, 1, 0.31)])
    view = lab.view(session.id)
    assert (view.session.trials[0].value, view.best) == (None, None)
    assert [measurement.value for measurement in lab.curve(session.id, 1).measurements] == [None, None]
    lab.finish(job.job_id, 1, Outcome.COMPLETED)
    assert lab.view(session.id).session.trials[0].value == 0.31
    assert lab.curve(session.id, 1).measurements[1].value == 0.31


def test_batch_losses_are_thinned_to_the_cap_and_epochs_are_all_kept(url: str) -> None:
    lab, _ = make_lab(url, Rules(curve_points=100))
    session = started(lab, toy_study(lab))
    agent, _ = lab.agents.add("a", 1)
    lab.submit(session.id, CONFIGURATION)
    job = claim(lab, agent)
    for start in range(0, 1000, 50):
        lab.measure(job.job_id, 1, [batch(i, loss=-9.0 if i == 333 else i % 7) for i in range(start, start + 50)])
    lab.measure(job.job_id, 1, [epoch(1000, 1, 0.4), epoch(1001, 2, 0.5)])
    lab.finish(job.job_id, 1, Outcome.COMPLETED)
    kept = lab.curve(session.id, 1).measurements
    losses = [measurement for measurement in kept if measurement.epoch is None]
    assert 80 <= len(losses) <= 100
    assert -9.0 in {measurement.loss for measurement in losses}
    assert [measurement.value for measurement in kept if measurement.epoch] == [0.4, 0.5]
    lab.close()


def test_everything_is_the_same_after_a_restart(url: str, lab: Lab, clock: Clock) -> None:
    session = started(lab, toy_study(lab))
    agent, token = lab.agents.add("a", 1)
    lab.submit(session.id, CONFIGURATION)
    job = claim(lab, agent)
    lab.measure(job.job_id, 1, [epoch(0, 1, 0.5)])
    clock.now += 30
    before = lab.view(session.id)
    again = Lab(Store(url), lab.rules, clock)
    assert again.view(session.id) == before
    assert again.tokens.check("agent", token) == agent
    again.recover(down_since=clock.now - 20)
    assert again.claim(agent) is None  # the lease was over, and a restarting server renews it first
    assert again.measure(job.job_id, 1, [batch(1)])
    assert again.view(session.id).seconds_left == 100 - 30 + 20
    again.close()


@pytest.mark.slow
def test_threads_never_claim_one_job_twice(lab: Lab) -> None:
    study = toy_study(lab)
    agent, _ = lab.agents.add("a", 8)
    for _ in range(12):
        lab.submit(started(lab, study).id, CONFIGURATION)
    claimed: list[int] = []

    def take() -> None:
        while (job := lab.claim(agent)) is not None:
            claimed.append(job.job_id)

    threads = [threading.Thread(target=take) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(claimed) == len(set(claimed)) == 12


def test_a_job_that_was_taken_while_an_agent_asked_is_passed_over(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    study = toy_study(lab, Budget(trials=9, parallel=3))
    busy, other = started(lab, study), started(lab, study)
    asking, quicker = (lab.agents.add(name, 4)[0] for name in "ab")
    for session in (busy, busy, other):
        lab.submit(session.id, CONFIGURATION)
    read, taken = jobs.claimable, list[str]()

    def overtaken(*arguments: Any) -> list[jobs.Job]:
        claimable = read(*arguments)
        if not taken:
            taken.append("")
            taken[0] = claim(lab, quicker).label  # another agent is quicker
        return claimable

    monkeypatch.setattr(jobs, "claimable", overtaken)
    assert claim(lab, asking).label == f"session {other.id} trial 1", "the session with the fewest trainings comes first by now"
    assert taken == [f"session {busy.id} trial 1"]
    assert claim(lab, asking).label == f"session {busy.id} trial 2"
    assert lab.claim(asking) is None


def test_sessions_take_turns_for_agents(lab: Lab) -> None:
    study = toy_study(lab, Budget(trials=9, parallel=3))
    busy, other = started(lab, study), started(lab, study)
    agent, _ = lab.agents.add("a", 4)
    for _ in range(3):
        lab.submit(busy.id, CONFIGURATION)
    lab.submit(other.id, CONFIGURATION)
    labels = [claim(lab, agent).label for _ in range(2)]
    assert labels == [f"session {busy.id} trial 1", f"session {other.id} trial 1"]


def test_withdrawing_erases_and_keeps_the_count(lab: Lab) -> None:
    study = toy_study(lab)
    person, _ = lab.participants.join(study.id)
    lab.participants.consent(person.id, study.consent.version)
    lab.participants.answer(person.id, "background", {"months": 12, "education": "master"})
    session = lab.participants.begin(person.id)
    agent, _ = lab.agents.add("a", 1)
    lab.submit(session.id, CONFIGURATION, reasons={"epochs": "private words"})
    job = claim(lab, agent)
    lab.measure(job.job_id, 1, [batch(0)])
    gone = lab.participants.withdraw(person.id)
    assert (gone.months, gone.answers, gone.pseudonym) == (None, {}, "P-01")
    assert lab.participants.step(person.id) is ParticipantStep.WITHDRAWN
    assert lab.sessions.get(session.id).trials == ()
    with pytest.raises(StaleAttempt):
        lab.measure(job.job_id, 1, [batch(1)])
    with lab.core.store.read() as tx:
        everything = str([tx.execute(text(f"SELECT * FROM {name}")).all() for name in ("trial", "job", "event", "measurement")])
    assert "private words" not in everything


def test_withdrawing_logs_a_line_for_each_erased_session(lab: Lab, caplog: pytest.LogCaptureFixture) -> None:
    study = toy_study(lab)
    person, _ = lab.participants.join(study.id)
    nobody, _ = lab.participants.join(study.id)
    practice = lab.participants.open_practice(person.id, lab.studies.task_of(study.id), Budget(trials=2))
    session = lab.participants.begin(person.id)
    with caplog.at_level(logging.INFO, "evenhand.lab.participants"):
        for participant_id in (person.id, person.id, nobody.id):  # whoever withdrew stays withdrawn
            lab.participants.withdraw(participant_id)
    assert caplog.messages == [
        f"session {session_id} is erased: participant {person.id} withdrew" for session_id in (session.id, practice.id)
    ]


def test_tokens_are_stored_hashed_spent_once_and_end(lab: Lab, clock: Clock) -> None:
    token = lab.tokens.issue("signin", 3, seconds=60)
    assert len(token) >= 22  # 128 bits
    with lab.core.store.read() as tx:
        assert token not in str(tx.execute(text("SELECT * FROM token")).all())
    assert lab.tokens.check("signin", token) == 3
    assert lab.tokens.check("researcher", token) is None
    assert lab.tokens.spend("signin", token)
    assert not lab.tokens.spend("signin", token)
    short = lab.tokens.issue("signin", seconds=60)
    clock.now += 61
    assert not lab.tokens.spend("signin", short)


def test_agents_without_the_task_version_are_not_offered_it(lab: Lab) -> None:
    session = started(lab, toy_study(lab))
    agent, _ = lab.agents.add("a", 1)
    lab.submit(session.id, CONFIGURATION)
    assert lab.claim(agent, refused=["version 1"]) is None
    waiting = lab.view(session.id).waiting
    assert waiting is not None
    assert "has this version of the task" in waiting.why
    assert lab.claim(agent, session_id=session.id + 1) is None
    assert lab.claim(agent, refused=["another"]) is not None


def test_a_waiting_trial_is_told_why(lab: Lab, clock: Clock) -> None:
    study = toy_study(lab)
    first, second = started(lab, study), started(lab, study)
    lab.submit(first.id, CONFIGURATION)
    waiting = lab.view(first.id).waiting
    assert waiting is not None
    assert "no agent is connected" in waiting.why
    agent, _ = lab.agents.add("a", 1)
    job = claim(lab, agent)
    lab.submit(second.id, CONFIGURATION)
    clock.now += 5
    lab.measure(job.job_id, 1, [epoch(0, 1, 0.1)])
    waiting = lab.view(second.id).waiting
    assert waiting is not None
    assert (waiting.position, waiting.slots, waiting.expected_seconds) == (1, 1, 5)
    assert lab.view(first.id).waiting is None


def test_a_repeated_submission_tells_no_more_than_the_view(lab: Lab) -> None:
    session = started(lab, toy_study(lab, live_validation=False))
    agent, _ = lab.agents.add("a", 1)
    lab.submit(session.id, CONFIGURATION, key="k")
    job = claim(lab, agent)
    lab.measure(job.job_id, 1, [epoch(0, 1, 0.7)])
    assert lab.submit(session.id, CONFIGURATION, key="k").value is None


def test_another_process_ends_no_session_of_a_server_that_is_down(lab: Lab, clock: Clock) -> None:
    study = toy_study(lab)
    session = started(lab, study)
    agent, _ = lab.agents.add("a", 1)
    lab.submit(session.id, CONFIGURATION)
    job = claim(lab, agent)
    lab.measure(job.job_id, 1, [epoch(0, 1, 0.7)])
    lab.finish(job.job_id, 1, Outcome.COMPLETED)
    down = clock.now
    clock.now += 5000
    own = lab.sessions.open(study.id, tuner="random", driver="python")
    lab.claim(agent, session_id=own.id)
    lab.sweep(own.id)
    lab.recover(down)
    assert lab.view(session.id).state is State.TUNING


def test_a_lost_attempt_leaves_no_score_that_cost_nothing(lab: Lab, clock: Clock) -> None:
    session = started(lab, toy_study(lab, Budget(trials=2)))
    agent, _ = lab.agents.add("a", 1)
    lab.submit(session.id, CONFIGURATION)
    job = claim(lab, agent)
    lab.measure(job.job_id, 1, [epoch(0, 1, 0.7)])
    clock.now += 100
    lab.sweep()
    assert lab.view(session.id).session.trials[0].epochs_done == 0
    lab.stop(session.id, 1)
    view = lab.view(session.id)
    assert (view.session.trials[0].value, view.trials_left) == (None, 2)


@pytest.mark.parametrize(
    ("outcome", "words"), [(Outcome.DIVERGED, "trial 1 diverged"), (Outcome.INVALID, "could not be trained")]
)
def test_what_diverged_or_was_invalid_is_no_choice_by_hand_nor_at_the_deadline(
    lab: Lab, clock: Clock, outcome: Outcome, words: str
) -> None:
    session = started(lab, toy_study(lab, Budget(seconds=100)))
    agent, _ = lab.agents.add("a", 1)
    lab.submit(session.id, CONFIGURATION)
    lab.finish(claim(lab, agent).job_id, 1, outcome, "why", [epoch(0, 1, 0.9)])
    assert lab.view(session.id).best is None
    with pytest.raises(Refused, match=f"{words}, so it cannot be the final choice; choose another one"):
        lab.choose(session.id, number=1)
    clock.now += 1000
    lab.sweep()
    choice = lab.sessions.get(session.id).choice
    assert choice is not None
    assert (choice.configuration, choice.automatic) == (None, True)


def test_a_reason_with_a_nul_is_stored(lab: Lab) -> None:
    session = started(lab, toy_study(lab))
    agent, _ = lab.agents.add("a", 1)
    lab.submit(session.id, CONFIGURATION)
    job = claim(lab, agent)
    lab.finish(job.job_id, 1, Outcome.INVALID, "a\0b")
    assert lab.view(session.id).session.trials[0].why == "a\ufffdb"
