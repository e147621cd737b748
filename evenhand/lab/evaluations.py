"""Evaluations: test scores, which nobody sees whose look was not logged first."""

from collections.abc import Sequence

from sqlalchemy import Connection

from evenhand.analysis.seen_before import SeenBefore, seen_before
from evenhand.errors import NotAllowed, Refused
from evenhand.lab.base import Core, names_in
from evenhand.lab.writes import collecting_on, queue_evaluation
from evenhand.model import rules
from evenhand.model.evaluation import Evaluation
from evenhand.model.session import Session
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


def _lacks_evaluation(tx: Connection, session: Session) -> bool:
    """Whether a run of one's own was to have a test score, and has a choice that nothing is queued, or done, to evaluate."""
    if session.purpose != "exploratory" or session.choice is None or session.choice.configuration is None:
        return False
    wanted = session.task.has_test and studies.study(tx, session.study_id, session.version).evaluation_seeds > 0
    return wanted and not session.evaluated.planned


def withheld_words(names: Sequence[str]) -> str:
    """Why a choice has no test score while studies collect, and what to do."""
    which = ", ".join(repr(name) for name in names)
    collect = "collects" if len(names) == 1 else "collect"
    return f"no test score while {which} {collect} on the same test data; ask for it again once that is closed"


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

    def withheld_by(self, session_id: int) -> tuple[str, ...]:
        """The names of the studies that collect now and for which the choice of an exploratory session has no test score.

        Nothing where it has one, or is to have none.
        """
        with self._core.read() as tx:
            session, _ = sessions.bare(tx, session_id)
            if not _lacks_evaluation(tx, session):
                return ()
            return tuple(study.name for study in collecting_on(tx, session.task.id))

    def queue(self, session_id: int) -> None:
        """Have an exploratory choice evaluated that could not be when it was made, since a study collected on its test data.

        Refused: there is no choice, it is evaluated already, or a study collects still.
        """
        with self._core.change(session_id) as tx:
            session = sessions.get(tx, session_id)
            if not _lacks_evaluation(tx, session):
                raise Refused(f"{session.called} has nothing to evaluate: only a choice of one's own without a test score has")
            if collecting := collecting_on(tx, session.task.id):
                raise Refused(withheld_words([study.name for study in collecting]))
            queue_evaluation(tx, session, self._core.clock())
            events.record(tx, self._core.clock(), "evaluation asked", session_id)

    def seen_before(self, session_id: int) -> SeenBefore | None:
        """Who had seen scores on a session's test data, in whatever session, before its trials; None where nobody had."""
        with self._core.read() as tx:
            looks = events.looks_at_test_data(tx, sessions.task_of(tx, session_id))
            return seen_before(looks, sessions.proposed_at(tx, session_id)) if looks else None

    def has_looked(self, task_id: int, who: str) -> bool:
        """Whether `who` looked at a score on a task's test data, and so may intervene in no open study session of it."""
        with self._core.read() as tx:
            return events.looked_at_task(tx, task_id, who)

    def is_locked(self, session: Session, who: str) -> bool:
        """Whether `who` may not intervene in a session, knowing scores on its test data; an exploratory one never locks."""
        return session.purpose == "study" and self.has_looked(session.task.id, who)
