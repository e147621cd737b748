"""Evaluations: test scores, which nobody sees whose look was not logged first."""

from evenhand.errors import NotAllowed, Refused
from evenhand.lab.base import Core, names_in
from evenhand.model.evaluation import Evaluation
from evenhand.store import events, jobs, sessions


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
