"""What a look at test scores costs, in words, before it is taken."""

from collections.abc import Collection, Sequence

from evenhand.lab.lab import Lab
from evenhand.model.session import Session
from evenhand.model.study import Study
from evenhand.model.task import TaskRecord, share_test_data
from evenhand.model.words import plural


def words(lab: Lab, study: Study, sessions: Sequence[Session], who: str) -> tuple[str, ...]:
    """What it costs `who` to look at the evaluations of these sessions of a study, a sentence each."""
    tasks = {session.task.id: session.task for session in sessions}
    costs = [_kept(lab, who), _steering(lab, tasks.values(), who)]
    if any(session.mode == "live" for session in sessions) and not study.archived:
        again = "cannot be reopened" if study.closed_at is not None else "cannot be reopened once it is closed"
        costs.append(f"The collection of live records {again}.")
    return tuple(costs)


def of_session(lab: Lab, session: Session, who: str) -> tuple[str, ...]:
    """The same, of one session's evaluation; nothing of one's own run is locked by a look."""
    if session.purpose == "study":
        return words(lab, lab.studies.get(session.study_id), [session], who)
    costs = [
        _kept(lab, who),
        (
            "Nothing of your own runs is locked by it. Where trials are proposed later, on the same test data, their run says "
            "that a score was seen before."
        ),
    ]
    if count := _open_study_sessions(lab, [session.task]):
        costs.append(f"You can steer {plural(count, 'session')} of studies on the same test data no more.")
    return tuple(costs)


def _kept(lab: Lab, who: str) -> str:
    return f"Each look is kept for good, as that of “{lab.people.shown(who)}”, with its time; nothing takes it back."


def _steering(lab: Lab, tasks: Collection[TaskRecord], who: str) -> str:
    if all(lab.evaluations.has_looked(task.id, who) for task in tasks):
        return "You have looked at a test score of this task before, so you cannot steer its open sessions one by one already."
    running = _open_study_sessions(lab, tasks)
    count = plural(running, "session") if running else "none"
    return (
        "From then on you can stop no trial of an open session of this task, nor pause one, give it time or work with its "
        f"method: whoever knows test scores must not steer ({count} of it {'are' if running > 1 else 'is'} open now). Everyone "
        "alike can still be paused and given time."
    )


def _open_study_sessions(lab: Lab, tasks: Collection[TaskRecord]) -> int:
    """How many sessions of studies are open that are scored on the test data of one of these tasks."""
    return sum(any(share_test_data(session.task, task) for task in tasks) for session in lab.sessions.running()[0])
