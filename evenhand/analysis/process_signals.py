"""What process signals say: who is flagged by the study's rule, and how much was recorded at all."""

from collections.abc import Collection
from dataclasses import dataclass

from evenhand.analysis.cohort import own_sessions
from evenhand.model.archive import Archive
from evenhand.model.study import FlagRule


@dataclass(frozen=True)
class ProcessSignals:
    """A participant's signals over all trials.

    recorded: how many of the `trials` have any. away_minutes: for how long the page was left.
    """

    pseudonym: str
    trials: int
    recorded: int
    pastes: int
    away: int
    away_minutes: float
    flagged: bool


def process_signals(archive: Archive, pseudonyms: Collection[str]) -> list[ProcessSignals]:
    """The signals of these participants, in order of joining; of whom none were recorded nobody is flagged."""
    session_of, rule = own_sessions(archive.sessions), archive.study.plan.flags
    rows = []
    for person in archive.participants:
        session = session_of.get(person.id)
        if session is None or person.pseudonym not in pseudonyms:
            continue
        recorded = [trial.signals for trial in session.trials if trial.signals is not None]
        pastes = sum(signals.pastes for signals in recorded)
        minutes = sum(signals.away_seconds for signals in recorded) / 60
        away = sum(signals.away for signals in recorded)
        flagged = bool(recorded) and (pastes >= rule.pastes or minutes >= rule.away_minutes)
        rows.append(ProcessSignals(person.pseudonym, len(session.trials), len(recorded), pastes, away, minutes, flagged))
    return rows


def rule_words(rule: FlagRule) -> str:
    """Who is flagged, in words."""
    times = "once" if rule.pastes == 1 else f"{rule.pastes} times"
    return f"pasted into the form {times} or more, or left the page for {rule.away_minutes:g} minutes or more, over all trials"
