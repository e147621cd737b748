"""Evaluations: test scores, which nobody sees whose look was not logged first."""

from sqlalchemy import Connection

from evenhand.errors import NotAllowed, Refused
from evenhand.lab.base import Core, names_in
from evenhand.model import rules
from evenhand.model.evaluation import Evaluation
from evenhand.model.study import Mode, Study
from evenhand.model.words import plural
from evenhand.store import events, jobs, sessions, studies


def scores_to_read(tx: Connection, study: Study, mode: Mode, who: str, now: float | None) -> frozenset[int]:
    """The sessions of a study and a mode whose test scores `who` reads now.

    now: each look is logged; None: they are logged already (see `reveal_all`), else NotAllowed, so that reading changes nothing.
    Refused for live records while the study still collects: rankings by test stay hidden until it is closed.
    """
    if why := rules.why_scores_hidden(study, mode):
        raise Refused(why)
    scored = jobs.scored(tx, study.id, mode)
    unseen = events.unseen(tx, scored, who) if now is None else ()
    if unseen:
        raise NotAllowed(
            f"{who} has not asked to see the test scores of {plural(len(unseen), 'session')}; each look at one is logged first"
        )
    if now is not None:
        for session_id in sorted(scored):
            events.look(tx, session_id, who, now)
    return scored


class Evaluations:
    """The evaluations of a laboratory, and who looked at them."""

    def __init__(self, core: Core) -> None:
        self._core = core

    def reveal(self, session_id: int, who: str) -> None:
        """Log that `who` looks at the session's evaluation; from then on they cannot intervene in open sessions of its task."""
        with self._core.change(session_id) as tx:
            if sessions.get(tx, session_id).choice is None:
                raise Refused("the session has no final choice yet, so there is nothing to evaluate")
            events.look(tx, session_id, who, self._core.clock())
            events.record(tx, self._core.clock(), "looked", session_id, who=who)

    def reveal_all(self, study_id: int, mode: Mode, who: str) -> None:
        """Log that `who` looks at each evaluation of a study's records of a mode at which they have not looked.

        Refused for live records while the study still collects.
        """
        with self._core.change() as tx:
            now = self._core.clock()
            if why := rules.why_scores_hidden(studies.study(tx, study_id), mode):
                raise Refused(why)
            for session_id in sorted(events.unseen(tx, jobs.scored(tx, study_id, mode), who)):
                events.look(tx, session_id, who, now)
                events.record(tx, now, "looked", session_id, who=who)

    def unseen(self, study_id: int, mode: Mode, who: str) -> frozenset[int]:
        """The sessions of a study and a mode that have an evaluation at which `who` has not looked."""
        with self._core.read() as tx:
            return events.unseen(tx, jobs.scored(tx, study_id, mode), who)

    def looks(self, session_id: int) -> list[tuple[str, float]]:
        """Who looked at the session's evaluation, and when."""
        with self._core.read() as tx:
            return events.looks(tx, session_id)

    def get(self, session_id: int, who: str) -> Evaluation:
        """The chosen configuration's test scores, for somebody whose look is logged (see `reveal`)."""
        with self._core.read() as tx:
            if all(looker != who for looker, _ in events.looks(tx, session_id)):
                raise NotAllowed(f"{names_in(tx, who)} has not asked to see this evaluation; each look at one is logged first")
            session = sessions.get(tx, session_id)
            return jobs.evaluation(tx, session)

    def has_looked(self, task_id: int, who: str) -> bool:
        """Whether `who` looked at a test score of a task, and so may not intervene in its open sessions one by one."""
        with self._core.read() as tx:
            return events.looked_at_task(tx, task_id, who)
