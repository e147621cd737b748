"""Which sessions have a run's page: those of somebody's own tuning, and no other."""

from fastapi import Request

from evenhand.errors import NotFound
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
