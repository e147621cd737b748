"""What a look at test scores costs, in words, before it is taken."""

from collections.abc import Sequence

from evenhand.lab.lab import Lab
from evenhand.model.session import Session
from evenhand.model.study import Study
from evenhand.model.words import plural


def words(lab: Lab, study: Study, sessions: Sequence[Session], who: str) -> tuple[str, ...]:
    """What it costs `who` to look at the evaluations of these sessions of a study, a sentence each."""
    task_ids = {session.task.id for session in sessions}
    costs = [
        f"Each look is kept for good, as that of “{lab.people.shown(who)}”, with its time; nothing takes it back.",
        _steering(lab, task_ids, who),
    ]
    if any(session.mode == "live" for session in sessions) and not study.archived:
        again = "cannot be reopened" if study.closed_at is not None else "cannot be reopened once it is closed"
        costs.append(f"The collection of live records {again}.")
    return tuple(costs)


def of_session(lab: Lab, session: Session, who: str) -> tuple[str, ...]:
    """The same, of one session's evaluation."""
    return words(lab, lab.studies.get(session.study_id), [session], who)


def _steering(lab: Lab, task_ids: set[int], who: str) -> str:
    if all(lab.evaluations.has_looked(task_id, who) for task_id in task_ids):
        return "You have looked at a test score of this task before, so you cannot steer its open sessions one by one already."
    running = sum(session.task.id in task_ids for session in lab.sessions.running()[0])
    count = plural(running, "session") if running else "none"
    return (
        "From then on you can stop no trial of an open session of this task, nor pause one, give it time or work with its "
        f"method: whoever knows test scores must not steer ({count} of it {'are' if running > 1 else 'is'} open now). Everyone "
        "alike can still be paused and given time."
    )
