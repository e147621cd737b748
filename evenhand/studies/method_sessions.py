"""Methods that run beside a study's participants: which seed and name the next session gets, and who may be started now."""

from collections.abc import Collection, Iterable, Mapping
from typing import Any

from evenhand.errors import InvalidSettings, Refused
from evenhand.lab.lab import Lab
from evenhand.methods import METHODS
from evenhand.model.session import Session
from evenhand.model.study import Mode

LARGEST_SEED = 2**31 - 1


def next_seed(sessions: Iterable[Session], name: str) -> int:
    """The smallest seed that no session of this method has."""
    taken = {session.method.get("seed") for session in sessions if session.method.get("name") == name}
    return next(seed for seed in range(len(taken) + 1) if seed not in taken)


def free_name(method: str, taken: Collection[str]) -> str:
    """What a method's session is called: tpe, tpe 2, tpe 3, ...; the first of these that is not taken."""
    names = [method, *(f"{method} {number}" for number in range(2, len(taken) + 3))]
    return next(name for name in names if name not in taken)


def open_session(
    lab: Lab, study_id: int, method: str, seed: int, mode: Mode, driver: str, settings: Mapping[str, Any] | None = None
) -> Session:
    """A method's session under the study's budget, beside the records of a mode; it is not played yet.

    settings: the method's own, which somebody has checked; none are its defaults.

    Raises:
        InvalidSettings: There is no such method, or the seed is none.
        Refused: The study is not published, and the session were to stand beside live records.
    """
    if method not in METHODS:
        raise InvalidSettings(f"method {method!r}: there is none; expected one of {METHODS.known}")
    METHODS.get(method)  # what is wrong with a plug-in is said before a session is opened
    if not 0 <= seed <= LARGEST_SEED:
        raise InvalidSettings(f"seed {seed}: expected a whole number from 0 to {LARGEST_SEED}")
    if mode == "live" and lab.studies.get(study_id).published_at is None:
        raise Refused("the study is not published yet; start the method in its pilot")
    taken = {session.tuner for session in lab.sessions.of_study(study_id) if session.mode == mode}
    described = {"name": method, "seed": seed, **(settings or {})}
    return lab.sessions.open(study_id, tuner=free_name(method, taken), method=described, driver=driver, mode=mode)
