"""Where things live and how long they last: the few settings that are not part of a study."""

import os
from dataclasses import dataclass
from pathlib import Path

import platformdirs

from evenhand.errors import InvalidSettings

DEFAULT_PORT = 8765
SESSION_PORT = 8766  # of a session that `evenhand tune --serve` serves, beside a server
AGENT_SILENCE_SECONDS = 10.0  # after which an agent that has not been heard of counts as gone


def data_dir() -> Path:
    """The user's data directory (XDG; `EVENHAND_DATA` overrides it). Made on first use, readable by its owner only.

    InvalidSettings where it cannot be made.
    """
    chosen = os.environ.get("EVENHAND_DATA")
    path = Path(chosen).expanduser() if chosen else Path(platformdirs.user_data_dir("evenhand"))
    try:
        path.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        raise InvalidSettings(
            f"data directory {str(path)!r}: cannot be made ({error.strerror}); set EVENHAND_DATA to one that you may write to"
        ) from None
    return path


def trials_dir() -> Path:
    """The folder of the folders that trainings on this machine have of their own."""
    return data_dir() / "trials"


def default_database() -> str:
    """The SQLAlchemy URL used where neither `--db` nor `EVENHAND_DB` names one: SQLite in the data directory."""
    return os.environ.get("EVENHAND_DB") or f"sqlite:///{data_dir() / 'evenhand.sqlite'}"


@dataclass(frozen=True)
class Rules:
    """Times (in seconds) and limits that the lab keeps; tests shorten them.

    lease: how long a claimed job stays claimed without a word from its agent.
    choosing: how long after the deadline the tuner may still choose before the best trial is chosen for it.
    attempts: how often a job is tried before its trial counts as `failed`.
    curve_points: how many batch losses of a trial are kept.
    """

    lease: float = 10.0
    choosing: float = 600.0
    attempts: int = 3
    curve_points: int = 2000


def rules_from_environment() -> Rules:
    """The rules, with the lease shortened where `EVENHAND_LEASE` (seconds) says so, as the kill tests do."""
    return Rules(lease=float(os.environ.get("EVENHAND_LEASE", Rules.lease)))
