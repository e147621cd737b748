"""What a person says of a trial from Python: a rating, or a veto. The session's page and the command line say the same."""

from collections.abc import Callable
from contextlib import closing

from evenhand.errors import NotFound
from evenhand.experiments.stored_session import StoredSession
from evenhand.lab import served
from evenhand.lab.lab import Lab
from evenhand.model.session import Session

UNKNOWN = "somebody"  # who says it, where the machine knows no name


def rate(
    session: int | str, trial: int, rating: float, *, why: str = "", who: str | None = None, db: str | None = None
) -> StoredSession:
    """Rate a trial of an exploratory session. The mean of people's newest ratings is its metric `rating`.

    Methods learn from it where it is an objective, as in `objectives=["accuracy:max", "rating:max"]`, or is required, as in
    `require={"rating": ">= 3"}`; a trial that nobody rated keeps any such bound.

    Args:
        session: its number, or the name that `evenhand.tune` was given.
        trial: the trial's number.
        rating: a number, larger where the trial is better.
        why: the reason, kept with it.
        who: who says so (default: the user's name on this machine).
        db: SQLAlchemy URL of the database (default: the one in the user's data directory).

    Returns:
        The session, as it is now.

    Raises:
        Refused: it belongs to a study.
        NotFound: there is no such session or trial.
        InvalidSettings: the rating is no number.
    """
    return _said(
        session, db, lambda lab, session_id: lab.interventions.rate(session_id, trial, rating, who=_who(lab, who), reason=why)
    )


def veto(
    session: int | str, trial: int, why: str = "", *, take_back: bool = False, who: str | None = None, db: str | None = None
) -> StoredSession:
    """Say that a trial of an exploratory session must not be chosen: it is never the best, and methods keep away from its like.

    Args:
        session: its number, or the name that `evenhand.tune` was given.
        trial: the trial's number.
        why: the reason, which is kept and shown; a veto needs one.
        take_back: whether an earlier veto is taken back.
        who: who says so (default: the user's name on this machine).
        db: SQLAlchemy URL of the database (default: the one in the user's data directory).

    Returns:
        The session, as it is now.

    Raises:
        Refused: it belongs to a study, the trial is the session's choice, or no reason was given.
        NotFound: there is no such session or trial.
    """
    if take_back:
        return _said(
            session, db, lambda lab, session_id: lab.interventions.allow(session_id, trial, who=_who(lab, who), reason=why)
        )
    return _said(session, db, lambda lab, session_id: lab.interventions.veto(session_id, trial, who=_who(lab, who), reason=why))


def user() -> str:
    """The user's name on this machine."""
    return served.user() or UNKNOWN


def _who(lab: Lab, name: str | None) -> str:
    """How the record names who says it: one of the laboratory's people by their id, anybody else by their name."""
    return lab.people.who(name or user()) or name or user()


def _said(session: int | str, db: str | None, say: Callable[[Lab, int], Session]) -> StoredSession:
    with closing(Lab.connect(db)) as lab:
        known = lab.sessions.called(session if isinstance(session, str) else f"#{session}")
        if known is None:
            raise NotFound(f"no session is named {session!r}")
        return StoredSession(say(lab, known.id))
