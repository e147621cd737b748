"""Rules that choose a session's final trial against overfitting validation: the best of many trials is also the luckiest.

A rule is declared before the first trial and recorded with the session's method. It looks at validation alone: at the folds or
seeds that each trial kept, at what it reached on its training data, or at how complex it is.
"""

import math
import re
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from evenhand.errors import InvalidSettings
from evenhand.model.direction import best_first, cost_of, sign_of
from evenhand.model.task import Metric
from evenhand.model.trial import Trial
from evenhand.model.words import plural, show_score

CHOOSE_KEY = "choose"  # what a session's method records it by
BEST, LOWER_BOUND, GAP, SIMPLEST = "best", "lower bound", "gap", "simplest"
PENALTY = 0.5  # of each unit by which training is better than validation
ERRORS = 1.0  # standard errors below the value
COMPLEXITY = "complexity"  # the metric that says how simple a trial is, where no other is named
PART_PATTERN = re.compile(r"(?:fold|seed)[ _-]?\d+")  # what the value on one fold or seed is called among the further metrics
EXPECTED = "'best', 'lower bound', 'gap', 'simplest', or one with its setting: 'lower bound:2', 'gap:0.3', 'simplest:leaves'"


@dataclass(frozen=True)
class ChoiceRule:
    """Which trial is chosen.

    kind: "best" value; "lower bound": the best value minus `strength` standard errors over its folds or seeds; "gap": the best
    value less `strength` of what it is worse than on training data; "simplest": the least `of` among those within one standard
    error of the best value.
    """

    kind: str = BEST
    strength: float = 0.0
    of: str = ""

    def __str__(self) -> str:
        setting = self.of if self.kind == SIMPLEST else f"{self.strength:g}"
        usual = {BEST: "0", LOWER_BOUND: f"{ERRORS:g}", GAP: f"{PENALTY:g}", SIMPLEST: COMPLEXITY}[self.kind]
        return self.kind if setting == usual else f"{self.kind}:{setting}"


def choice_rule(given: object) -> ChoiceRule:
    """The rule that a text says.

    Args:
        given: "best", "lower bound", "gap" or "simplest", the last three also with a setting behind a colon.

    Returns:
        The rule.

    Raises:
        InvalidSettings: it is none of them.
    """
    kind, colon, setting = given.partition(":") if isinstance(given, str) else ("", "", "")
    if kind == BEST and not colon:
        return ChoiceRule()
    if kind == SIMPLEST and (not colon or setting.strip()):
        return ChoiceRule(kind, of=setting.strip() or COMPLEXITY)
    if kind in (LOWER_BOUND, GAP):
        try:
            strength = float(setting) if colon else (ERRORS if kind == LOWER_BOUND else PENALTY)
        except ValueError:
            strength = math.nan
        if 0 < strength < math.inf:
            return ChoiceRule(kind, strength)
    raise InvalidSettings(f"choose is {given!r}, expected one of {EXPECTED}")


def rule_of(method: Mapping[str, Any]) -> ChoiceRule:
    """The rule that a session's method records."""
    return choice_rule(method[CHOOSE_KEY]) if CHOOSE_KEY in method else ChoiceRule()


def training_metric(metric: str) -> str:
    """What the metric on training data is called among a trial's further metrics."""
    return f"train_{metric}"


def parts_of(trial: Trial) -> list[float]:
    """The values of a trial on its folds or seeds, where it kept them."""
    return [value for name, value in trial.extra.items() if PART_PATTERN.fullmatch(name)]


def standard_error(values: Sequence[float]) -> float | None:
    """Of the mean of values of any size; None of fewer than two."""
    if len(values) < 2:
        return None
    scale = max(map(abs, values)) or 1.0
    scaled = [value / scale for value in values]
    middle = math.fsum(scaled) / len(scaled)
    spread = math.sqrt(math.fsum((value - middle) ** 2 for value in scaled) / (len(scaled) - 1))
    return min(scale * (spread / math.sqrt(len(values))), sys.float_info.max)


@dataclass(frozen=True)
class Chosen:
    """trial: the one that the rule chooses. why: what it went by, in words."""

    trial: Trial
    why: str


def chosen_by(
    rule: ChoiceRule, trials: Sequence[Trial], metric: str, maximize: bool, further: Sequence[Metric] = ()
) -> Chosen | None:
    """The trial that a rule chooses; None where no trial has a value that counts.

    Where no trial has what the rule goes by, the best is chosen, and `why` says so. Of trials that are alike by the rule the
    better one is chosen, then the earlier.

    Args:
        rule: how it is chosen.
        trials: a session's.
        metric: what their value is called.
        maximize: whether larger values are better.
        further: objectives after the first, by which of trials that are alike the better one is known.
    """
    ranked = best_first((trial for trial in trials if not trial.is_open), maximize)
    if further:  # the sort keeps the order of those that are alike in all of them
        sign = sign_of(maximize)
        ranked.sort(
            key=lambda trial: (-sign * (trial.value or 0.0), *(cost_of(trial.extra.get(aim.name), aim) for aim in further))
        )
    if not ranked:
        return None
    choose = {LOWER_BOUND: _by_lower_bound, GAP: _by_gap, SIMPLEST: _simplest}.get(rule.kind)
    if choose is None:
        return Chosen(ranked[0], "the best value on validation")
    return choose(rule, ranked, metric, sign_of(maximize))


def _by_lower_bound(rule: ChoiceRule, ranked: Sequence[Trial], metric: str, sign: float) -> Chosen:
    errors = {trial.number: error for trial in ranked if (error := standard_error(parts_of(trial))) is not None}
    known = [trial for trial in ranked if trial.number in errors]
    if not known:
        return _best(ranked, "no trial keeps two folds or seeds, as further metrics called 'fold 1', 'fold 2', ...")
    trial = max(known, key=lambda trial: sign * (trial.value or 0.0) - rule.strength * errors[trial.number])
    count, shown = len(parts_of(trial)), show_score(errors[trial.number], metric)
    times = "one standard error" if rule.strength == 1 else f"{rule.strength:g} standard errors"
    return Chosen(trial, f"the best of values made {times} worse, over folds or seeds (here {shown} of {plural(count, 'value')})")


def _by_gap(rule: ChoiceRule, ranked: Sequence[Trial], metric: str, sign: float) -> Chosen:
    name = training_metric(metric)
    known = [trial for trial in ranked if name in trial.extra]
    if not known:
        return _best(ranked, f"no trial reports {name!r}, its {metric} on training data")

    def penalised(trial: Trial) -> float:
        value, training = sign * (trial.value or 0.0), sign * trial.extra[name]
        return value - rule.strength * max(0.0, training - value)

    trial = max(known, key=penalised)
    there = show_score(trial.extra[name], metric)
    return Chosen(trial, f"the best of values made worse by {rule.strength:g} of the gap to training ({there} there)")


def _simplest(rule: ChoiceRule, ranked: Sequence[Trial], metric: str, sign: float) -> Chosen:
    best = ranked[0]
    error = standard_error(parts_of(best))
    if error is None:
        return _best(ranked, "the best trial keeps no folds or seeds, as further metrics called 'fold 1', 'fold 2', ...")
    near = [trial for trial in ranked if sign * ((best.value or 0.0) - (trial.value or 0.0)) <= error]
    sizes = {trial.number: size for trial in near if (size := _size(trial, rule.of)) is not None}
    known = [trial for trial in near if trial.number in sizes]
    if not known:
        return _best(ranked, f"no trial has a number called {rule.of!r}, a hyperparameter or a further metric")
    trial = min(known, key=lambda trial: sizes[trial.number])
    within = f"{plural(len(near), 'trial')} within one standard error ({show_score(error, metric)}) of the best"
    return Chosen(trial, f"the least {rule.of} ({sizes[trial.number]:g}) of {within}")


def _size(trial: Trial, name: str) -> float | None:
    size = trial.configuration.get(name, trial.extra.get(name))
    return float(size) if isinstance(size, int | float) and not isinstance(size, bool) else None


def _best(ranked: Sequence[Trial], lacking: str) -> Chosen:
    return Chosen(ranked[0], f"the best value on validation, since {lacking}")
