"""What several services do within their writes: open a session, queue and stop trials, give up an attempt, choose.

Each function takes the connection of the write that it is part of; the verb that calls it has checked what is its own to check.
"""

from dataclasses import replace
from typing import NamedTuple

from sqlalchemy import Connection

from evenhand.errors import NotFound, Refused
from evenhand.lab.base import refuse_archive, refuse_open
from evenhand.model import rules
from evenhand.model.session import FinalChoice, Session
from evenhand.model.study import Study
from evenhand.model.trial import Outcome, Stopper, Trial
from evenhand.store import events, jobs, sessions, studies

TUNER_SEEN_SECONDS = 1.0  # seconds for which it is not written again that a session's tuner is there


def open_session(tx: Connection, study: Study, session: Session, driver: str) -> Session:
    """Store a new session, its clock not running yet. driver: which process plays it."""
    refuse_archive(study)
    session_id = sessions.add(tx, session, driver)
    events.record(tx, session.opened_at, "opened", session_id, mode=session.mode, practice=session.practice)
    return sessions.get(tx, session_id)


def trial_of(session: Session, number: int) -> Trial:
    """The trial with this number; NotFound where there is none."""
    trial = session.trial(number)
    if trial is None:
        raise NotFound(f"session {session.id} has no trial {number}; it has {len(session.trials)}")
    return trial


class Queued(NamedTuple):
    """A trial as it is stored, and the id of its job."""

    trial: Trial
    job_id: int


def queue(tx: Connection, session: Session, trial: Trial, key: str | None, taker: jobs.Taker | None = None) -> Queued:
    """Store a trial and its job, or Refused where the rules forbid it. taker: the agent, where one takes it at once."""
    refuse_open(session)
    number, before, now = len(session.trials) + 1, 0, trial.submitted_at
    if trial.resumes is not None:
        if why := rules.why_not_resume(session, trial.resumes, trial.configuration):
            raise Refused(why)
        before = trial_of(session, trial.resumes).epochs_done
    epochs = session.task.epochs_of(trial.configuration)
    if why := rules.why_not_submit(session, epochs - before, now):
        raise Refused(why)
    trial = replace(trial, number=number, epochs_planned=epochs, epochs_before=before, revision=session.revision)
    trial = replace(trial, epochs_done=before, id=sessions.add_trial(tx, trial, key))
    job_id = jobs.add(tx, session.id, session.tuning_seed, now, trial_id=trial.id, taker=taker)
    events.record(tx, now, "submitted", session.id, trial.id)
    if taker is not None:
        trial = replace(trial, claimed_at=now, attempt=1, environment=taker.environment_key)
        note_claimed(tx, now, session.id, trial.id, 1, taker.agent_id)
    if trial.proposer == session.tuner and (session.last_seen is None or now - session.last_seen >= TUNER_SEEN_SECONDS):
        sessions.update_facts(tx, session.id, last_seen=now)
    return Queued(trial, job_id)


def note_claimed(tx: Connection, now: float, session_id: int, trial_id: int | None, attempt: int, agent_id: int) -> None:
    """Append the event that an agent has claimed a training."""
    events.record(tx, now, "claimed", session_id, trial_id, attempt=attempt, agent=agent_id)


def stop(tx: Connection, trial: Trial, now: float, by: Stopper, why: str | None = None) -> None:
    """Ask a trial to stop, where it is open; one that waits ends at once."""
    if not trial.is_open:
        return
    job = jobs.of_trial(tx, trial.id)
    jobs.ask_to_stop(tx, job, by, why)
    if job.leased_until is None:
        jobs.finish(tx, job, now, Outcome.STOPPED, None)
    events.record(tx, now, "stop asked", trial.session_id, trial.id, by=by)


def choose(tx: Connection, session: Session, choice: FinalChoice, key: str | None = None) -> None:
    """End a session with its final choice: what is open is stopped, and the evaluation is queued, seed by seed."""
    sessions.choose(tx, session.id, choice, key)
    for trial in session.trials:
        if trial.stop_by is None:
            stop(tx, trial, choice.at, Stopper.TUNER)
    if choice.configuration is not None:
        queue_evaluation(tx, session, choice.at)
    events.record(tx, choice.at, "chose", session.id, choice.trial_id, automatic=choice.automatic)


def queue_evaluation(tx: Connection, session: Session, now: float) -> None:
    """Queue the evaluation of a session's choice, seed by seed, where its study has one.

    An exploratory one is not evaluated while a study collects on the same test data: nobody is to learn scores of that meanwhile.
    """
    study = studies.study(tx, session.study_id, session.version)
    if not session.task.has_test or session.practice or not study.evaluation_seeds:
        return
    if session.purpose == "exploratory" and (collecting := collecting_on(tx, session.task.id)):
        events.record(tx, now, "not evaluated", session.id, study=collecting[0].id)
        return
    for index in range(study.evaluation_seeds):
        jobs.add(tx, session.id, rules.derive_seed(study.seed, "evaluation", index), now, index=index)


def collecting_on(tx: Connection, task_id: int) -> list[Study]:
    """The declared studies that are live now, and whose task or that of a condition has the same test data as this one."""
    same = frozenset(tx.execute(studies.same_test_data(task_id)).scalars())
    programs = sessions.studies_of_programs(tx)
    declared = (study for study in studies.studies(tx) if study.id not in programs and rules.is_collecting(study))
    return [study for study in declared if same & {study.task_id, *(arm.task_id for arm in study.arms)}]


def fail_attempt(tx: Connection, job: jobs.Job, now: float, why: str, *, attempts: int, counts: bool = True) -> None:
    """End an attempt whose agent lost it. Was it asked to stop anyway, then it has stopped, and what it measured stands.

    attempts: after how many that count the training has failed. One in a process that tunes its session itself never counts: it
    ends with that process, however often somebody ends it.
    """
    counts = counts and sessions.driver_of(tx, job.session_id) != sessions.PYTHON_DRIVER
    events.record(tx, now, "attempt ended", job.session_id, job.trial_id, attempt=job.attempt, why=why)
    if job.stop_by is not None:
        jobs.finish(tx, job, now, Outcome.STOPPED, None)
        return
    jobs.end_attempt(tx, job, now, why, counts)
    failures = jobs.failures(tx, job.id)
    if len(failures) >= attempts:
        jobs.finish(tx, job, now, Outcome.FAILED, f"{len(failures)} attempts failed; the last one: {why}")
