"""Which trial of a session is its choice: the best, what stands beside it on the front, and what is said where none can be it."""

from collections.abc import Sequence

from evenhand.errors import NotFound, Refused
from evenhand.model import rules
from evenhand.model.aims import RATING, names_beside, values_of
from evenhand.model.choice_rule import BEST, Chosen, chosen_by, rule_of
from evenhand.model.direction import cost_of, recorded_value, sign_of, value_of
from evenhand.model.session import Session
from evenhand.model.task import Metric
from evenhand.model.trial import UNUSABLE_OUTCOMES, VALUELESS_OUTCOMES, Outcome, Trial
from evenhand.model.words import show_score


def objectives_of(session: Session) -> tuple[Metric, ...]:
    """The session's objectives, its task's metric first."""
    return session.aims.objectives or (Metric(session.task.metric, session.task.direction),)


def final_trial(session: Session) -> Trial | None:
    """The trial that the session's rule chooses, where nobody chooses by hand; None where none can be chosen."""
    chosen = by_rule(session)
    return None if chosen is None else chosen.trial


def by_rule(session: Session) -> Chosen | None:
    """What the session's rule chooses now, and why."""
    rule = rule_of(session.method)
    if rule.kind == BEST:
        best = rules.best_trial(session)
        return None if best is None else Chosen(best, "the best value on validation")
    return chosen_by(rule, session.trials, session.task.metric, session.maximize, session.aims.objectives[1:])


def rule_words(session: Session) -> str:
    """How the session's choice came about where a rule beside the best was declared, in words; else nothing."""
    rule, chosen = rule_of(session.method), session.chosen_trial
    if rule.kind == BEST:
        return ""
    by, best = by_rule(session), rules.best_trial(session)
    if chosen is None or by is None or best is None:
        return f"the rule {str(rule)!r} chooses at the end" if session.choice is None else ""
    if by.trial.number != chosen.number:
        return f"picked by hand; the rule {str(rule)!r} would choose trial {by.trial.number}"
    beside = "" if by.trial.number == best.number else f"; trial {best.number} has the best value"
    return f"by the rule {str(rule)!r}: {by.why}{beside}"


def costs_of(session: Session, trial: Trial) -> tuple[float, ...] | None:
    """A trial's objectives, each so that less is better; None where it has not all of them, or cannot be chosen."""
    measured = values_of(trial, session.task.metric)
    objectives = objectives_of(session)
    if trial.is_open or value_of(trial) is None or any(objective.name not in measured for objective in objectives):
        return None
    return tuple(cost_of(measured[objective.name], objective) for objective in objectives)


def front(session: Session) -> tuple[Trial, ...]:
    """The ended trials that can be chosen and that no other one is better than in everything, the best by the first metric first.

    Of trials that are alike in all objectives the earliest stands for them.
    """
    valued = [(costs, trial.number, trial) for trial in session.trials if (costs := costs_of(session, trial)) is not None]
    members: list[tuple[tuple[float, ...], Trial]] = []
    for costs, _, trial in sorted(valued, key=lambda entry: entry[:2]):  # whoever is better in everything comes before
        if not any(_covers(other, costs) for other, _ in members):
            members.append((costs, trial))
    return tuple(trial for _, trial in members)


def _covers(first: Sequence[float], second: Sequence[float]) -> bool:
    """Whether the first is nowhere worse."""
    return all(one <= other for one, other in zip(first, second, strict=True))


def nearest_trial(session: Session) -> Trial | None:
    """Where no trial keeps what is required: the one that misses it least and that nobody vetoed; of equals the better one."""
    if rules.best_trial(session) is not None:
        return None
    sign = sign_of(session.maximize)
    missing = [
        trial
        for trial in session.trials
        if not trial.is_open and not trial.veto and trial.outcome not in VALUELESS_OUTCOMES and recorded_value(trial) is not None
    ]
    return min(missing, key=lambda trial: (trial.violation, -sign * (trial.value or 0.0), trial.number), default=None)


def misses(session: Session, trial: Trial) -> tuple[str, ...]:
    """What of the requirements a trial misses, in words: "latency_ms is 7.2, and <= 5 is required"."""
    measured = values_of(trial, session.task.metric)
    return tuple(
        f"{requirement.metric} {'was not reported' if value is None else f'is {show_score(value, requirement.metric)}'}, and "
        f"{requirement.said} is required"
        for requirement in session.aims.require
        if requirement.missed_by(value := measured.get(requirement.metric)) > 0
    )


def why_not_chosen(session: Session, trial: Trial) -> str | None:
    """Why a trial cannot be the final choice, in words; None where it can."""
    if trial.is_open:
        return f"trial {trial.number} is still training; stop it first, or wait for its end"
    if trial.outcome in UNUSABLE_OUTCOMES:
        how = "diverged" if trial.outcome is Outcome.DIVERGED else "could not be trained"
        return f"trial {trial.number} {how}, so it cannot be the final choice; choose another one"
    if trial.veto:
        return f"trial {trial.number} was vetoed by {trial.veto}, so it cannot be the final choice; choose another one"
    return None


def is_pickable(session: Session, now: float) -> bool:
    """Whether a person may pick its choice: it is exploratory, and no process tunes it now."""
    return session.purpose == "exploratory" and session.withdrawn_at is None and rules.is_unattended(session, now)


def no_choice_words(session: Session) -> str:
    """Why nothing was chosen, in words, and which trial is nearest to what is required; nothing where that is not why."""
    near = nearest_trial(session)
    if near is None:
        vetoed = any(trial.veto for trial in session.trials) and rules.best_trial(session) is None
        return "every trial with a value was vetoed" if vetoed else ""
    if not session.aims.require:
        return ""
    required = " and ".join(map(str, session.aims.require))
    return f"no trial keeps what is required ({required}); nearest is trial {near.number}: {'; '.join(misses(session, near))}"


def objectives_words(session: Session, trial: Trial) -> str:
    """A trial's objectives and what is required of others, as people read them: accuracy 91.2 %, latency_ms 4.2."""
    measured = values_of(trial, session.task.metric)
    names = [session.task.metric, *names_beside(session.aims, session.task.metric)]
    names += [RATING] if RATING in measured and RATING not in names else []
    return ", ".join(f"{name} {show_score(measured.get(name), name)}" for name in names)


# What is taken away


def taken_trial(session: Session, number: int | None = None) -> Trial:
    """The trial that is taken away.

    Args:
        session: whose it is.
        number: which trial; None for the chosen one, or where none is chosen the best that has ended.

    Returns:
        The trial.

    Raises:
        NotFound: there is no trial of this number.
        Refused: no number is given, and no trial has a value.
    """
    if number is not None:
        named = session.trial(number)
        if named is None:
            raise NotFound(f"session {session.id} has no trial {number}; it has {len(session.trials)}")
        return named
    trial = session.chosen_trial or rules.best_trial(session, ended=True)
    if trial is None:
        raise Refused(
            f"session {session.id}: no trial has a value, so there is no best configuration; name a trial by its number"
        )
    return trial


def role_of(session: Session, trial: Trial) -> str:
    """What a trial is to its run: chosen, the best so far, or neither."""
    if session.chosen_trial is not None and session.chosen_trial.number == trial.number:
        return "chosen"
    best = rules.best_trial(session, ended=True)
    return "the best so far" if best is not None and best.number == trial.number else "picked by its number"
