"""Process signals: how a participant filled in the form of a trial. Counts and seconds, never what was typed or pasted."""

import json
import math
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field

from evenhand.model.domain import Real

LONGEST_SIGNALS = 20_000  # characters that a form may send of them
MOST_COUNTED = 100_000  # pastes, or times out of focus, of a trial
LONGEST_SECONDS = 30 * 86400.0  # of a trial's form


@dataclass(frozen=True, slots=True)
class Signals:
    """What the page noticed since the trial before.

    Attributes:
        pastes: how often something was pasted into the form.
        away: how often the page was left: another window, tab or program.
        away_seconds: for how long in all.
        values: seconds of typing each value, by its hyperparameter.
        reasons: seconds of typing each reason in own words, by its hyperparameter.
    """

    pastes: int = 0
    away: int = 0
    away_seconds: Real = 0.0
    values: Mapping[str, Real] = field(default_factory=dict)
    reasons: Mapping[str, Real] = field(default_factory=dict)


def read(text: str, names: Collection[str]) -> Signals | None:
    """What a form sent of these hyperparameters; None where it sent nothing that can be read, as without scripts."""
    if not text or len(text) > LONGEST_SIGNALS:
        return None
    try:
        given = json.loads(text)
        return Signals(
            pastes=_count(given["pastes"]),
            away=_count(given["away"]),
            away_seconds=_seconds(given["away_seconds"]),
            values={name: _seconds(seconds) for name, seconds in given["values"].items() if name in names},
            reasons={name: _seconds(seconds) for name, seconds in given["reasons"].items() if name in names},
        )
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return None


def _count(given: object) -> int:
    if isinstance(given, bool) or not isinstance(given, int) or not 0 <= given <= MOST_COUNTED:
        raise ValueError(f"{str(given)[:20]} is no count")
    return given


def _seconds(given: object) -> float:
    if isinstance(given, bool) or not isinstance(given, int | float) or not math.isfinite(given) or given < 0:
        raise ValueError(f"{str(given)[:20]} is no number of seconds")
    return round(min(float(given), LONGEST_SECONDS), 1)
