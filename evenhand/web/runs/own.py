"""Which sessions have a run's page: those of somebody's own tuning, and no other."""

from fastapi import Request

from evenhand.errors import NotFound
from evenhand.model import rules
from evenhand.model.run_head import RunHead
from evenhand.model.session import Session
from evenhand.web.access import lab_of


def own_run(request: Request, session_id: int) -> Session:
    """A session of somebody's own tuning, without its trials; NotFound where it is a study's, or there is none."""
    session = lab_of(request).trials.bare(session_id)
    if session.purpose != "exploratory":
        raise NotFound(f"session {session_id} belongs to a study; what there is of it is on /sessions/{session_id}")
    return session


def own_head(request: Request, session_id: int) -> RunHead:
    """What the top of its page says; NotFound as `own_run`."""
    own_run(request, session_id)
    return lab_of(request).trials.head(session_id)


def takes_trials(session: Session, now: float) -> bool:
    """Whether a person may add a trial that something would train: a method tunes it now, in a space that is known before."""
    is_over = session.choice is not None or session.withdrawn_at is not None
    is_method = session.kind == "method" and not session.space.is_open
    return is_method and not is_over and not rules.is_interrupted(session, now)
