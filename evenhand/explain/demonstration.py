"""How a method searches: a method at work on a surface that is known everywhere, so that its every step can be looked at.

The method is the real one, asked as in a session; only the training is a formula. Trials last about as long as their epochs do,
and as many are open at once as one wants to see.
"""

import heapq
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np

from evenhand import methods
from evenhand.errors import EvenhandError, InvalidSettings
from evenhand.explain.history import Codes
from evenhand.model.configuration import Configuration
from evenhand.model.domain import Float, Integer
from evenhand.model.hyperparameter import Hyperparameter, Prior
from evenhand.model.rules import derive_seed
from evenhand.model.space import Space
from evenhand.model.trial import Outcome, Trial

Belief = Literal["none", "right", "wrong"]
BELIEFS: tuple[Belief, ...] = ("none", "right", "wrong")
ACROSS, UP, EPOCHS = "learning_rate", "dropout", "epochs"
MOST_EPOCHS = 9
MAP_CELLS = 48  # of each side of the map
MOST_TRIALS, MOST_PARALLEL = 60, 8


@dataclass(frozen=True)
class Surface:
    """A formula of two numbers in [0, 1] that gives a score in [0, 1], or NaN where training diverges.

    Attributes:
        title: what it is called.
        words: what can be learnt on it.
        score: (across, up) -> score, of arrays alike.
        best: where it is best, on the unit scale.
        wrong: where somebody might believe so who is mistaken.
    """

    title: str
    words: str
    score: Callable[[Codes, Codes], Codes]
    best: tuple[float, float]
    wrong: tuple[float, float]


def _bump(across: Codes, up: Codes, at: tuple[float, float], width: float) -> Codes:
    bump: Codes = np.exp(-((across - at[0]) ** 2 + (up - at[1]) ** 2) / (2 * width**2))
    return bump


def _hill(across: Codes, up: Codes) -> Codes:
    return 0.9 * _bump(across, up, (0.68, 0.27), 0.26)


def _one_matters(across: Codes, up: Codes) -> Codes:
    score: Codes = 0.9 * np.exp(-((across - 0.33) ** 2) / (2 * 0.09**2)) + 0.02 * (1 - up)
    return score


def _valley(across: Codes, up: Codes) -> Codes:
    along, beside = (across + up - 1.05) / math.sqrt(2), (across - up) / math.sqrt(2)
    score: Codes = 0.9 * np.exp(-(along**2) / (2 * 0.05**2) - (beside - 0.1) ** 2 / (2 * 0.35**2))
    return score


def _two_hills(across: Codes, up: Codes) -> Codes:
    return np.maximum(0.65 * _bump(across, up, (0.25, 0.7), 0.25), 0.92 * _bump(across, up, (0.78, 0.2), 0.09))


def _cliff(across: Codes, up: Codes) -> Codes:
    score = 0.15 + 0.75 * np.clip(across, 0, 1) ** 2 - 0.25 * np.abs(up - 0.4)
    return np.where(across > 0.72 + 0.1 * up, np.nan, score)


SURFACES: Mapping[str, Surface] = {
    "hill": Surface("One hill", "Any method finds it; how soon differs.", _hill, (0.68, 0.27), (0.1, 0.9)),
    "one": Surface(
        "Only one matters",
        "A grid spends its trials on values of what does not matter: of 25 trials it tries five learning rates.",
        _one_matters,
        (0.33, 0.0),
        (0.85, 0.5),
    ),
    "valley": Surface(
        "They go together",
        "The best dropout hangs on the learning rate: who changes one at a time gets stuck on the ridge.",
        _valley,
        (0.595, 0.455),
        (0.9, 0.9),
    ),
    "two": Surface(
        "Two hills",
        "The broad hill is found first and is the lower one: who only exploits stays on it.",
        _two_hills,
        (0.78, 0.2),
        (0.25, 0.7),
    ),
    "cliff": Surface(
        "A cliff",
        "The best values lie beside those that diverge, which have no score at all.",
        _cliff,
        (0.75, 0.4),
        (0.1, 0.5),
    ),
}


@dataclass(frozen=True)
class DemoTrial:
    """A trial of a demonstration.

    Attributes:
        number: from 1.
        across, up: where it lies, on the unit scale.
        rate, dropout: the values, as people read them.
        epochs: that it ended with; None where the method does not choose them.
        begins, ends: in usual epochs, or in usual trainings where all have as many.
        value: its score; None where it diverged.
        best: the best score of all that had ended when it did; None before there is one.
        explanation: the method's words.
        resumes: the trial that it goes on from.
    """

    number: int
    across: float
    up: float
    rate: str
    dropout: str
    epochs: int | None
    begins: float
    ends: float
    value: float | None
    best: float | None
    explanation: str
    resumes: int | None


@dataclass(frozen=True)
class Demonstration:
    """A method at work.

    Attributes:
        method: its name.
        trials: in the order of their numbers.
        reached: the best score.
        to_ninety: trainings that had ended when nine tenths of the best possible score was reached; None where it never was.
        best_possible: of the surface, as `score_map` has it.
    """

    method: str
    trials: tuple[DemoTrial, ...]
    reached: float | None
    to_ninety: int | None
    best_possible: float


def space_of(surface: Surface, belief: Belief, with_epochs: bool) -> Space:
    """What is tuned in a demonstration: a learning rate and a dropout, and epochs for methods that need them."""
    rate, dropout = Float(1e-4, 1.0, log=True), Float(0.0, 0.8)
    across, up = surface.best if belief == "right" else surface.wrong
    priors: list[Prior | None] = [None, None]
    if belief != "none":
        priors = [
            Prior(value=rate.from_unit(across), confidence="medium"),
            Prior(value=dropout.from_unit(up), confidence="medium"),
        ]
    epochs = [Hyperparameter(EPOCHS, Integer(1, MOST_EPOCHS), fidelity=True)] if with_epochs else []
    return Space([*epochs, Hyperparameter(ACROSS, rate, prior=priors[0]), Hyperparameter(UP, dropout, prior=priors[1])])


def score_map(surface: Surface, cells: int = MAP_CELLS) -> Codes:
    """The score in the middle of each cell, (cells, cells), from the lowest dropout up; NaN where training diverges."""
    middles = (np.arange(cells) + 0.5) / cells
    across, up = np.meshgrid(middles, middles)
    return surface.score(across, up)


def why_no_demonstration(name: str) -> str | None:
    """Why a method cannot be shown on a surface, in words; None where it can."""
    if name == "manual":
        return "It tries what somebody lists, so there is nothing of its own to be seen."
    try:
        method = methods.load_method(name, maximize=True)
        methods.check(method, space_of(SURFACES["hill"], "none", getattr(method, "needs_fidelity", False)))
    except EvenhandError as error:
        return str(error)
    return None


def demonstrate(
    name: str, surface_name: str, *, trials: int = 30, parallel: int = 1, seed: int = 0, belief: Belief = "none"
) -> Demonstration:
    """Let a method search a surface.

    Args:
        name: of a registered method.
        surface_name: one of `SURFACES`.
        trials: how many, at most `MOST_TRIALS`.
        parallel: how many may be open at once, at most `MOST_PARALLEL`.
        seed: of the method's draws.
        belief: whether somebody believes where the best values are, and is right.

    Returns:
        What it tried, in order; the same arguments give the same.

    Raises:
        InvalidSettings: a number is out of its bounds, there is no such surface, or the method cannot be shown.
    """
    if surface_name not in SURFACES:
        raise InvalidSettings(f"demonstration: there is no surface {surface_name!r}; expected one of {', '.join(SURFACES)}")
    if not 1 <= trials <= MOST_TRIALS or not 1 <= parallel <= MOST_PARALLEL:
        raise InvalidSettings(
            f"demonstration: {trials} trials, {parallel} at once; expected 1 to {MOST_TRIALS}, and 1 to {MOST_PARALLEL} at once"
        )
    if (why := why_no_demonstration(name)) is not None:
        raise InvalidSettings(f"method {name!r} has no demonstration: {why}")
    surface = SURFACES[surface_name]
    method = methods.load_method(name, maximize=True, seed=seed)
    space = space_of(surface, belief, getattr(method, "needs_fidelity", False))
    records, spans = _played(method, space, surface, trials, parallel, seed)
    best_possible = float(np.nanmax(score_map(surface)))
    return _told(name, records, spans, best_possible)


def _played(
    method: methods.Method, space: Space, surface: Surface, count: int, parallel: int, seed: int
) -> tuple[list[Trial], list[tuple[float, float]]]:
    """The trials, and when each begins and ends."""
    records: list[Trial] = []
    spans: list[tuple[float, float]] = []
    running: list[tuple[float, int]] = []  # when each open trial ends, and its place in `records`
    now = 0.0
    while True:
        suggested = None
        if len(records) < count and len(running) < parallel:
            rng = np.random.default_rng(derive_seed(seed, len(records)))
            suggested = next(iter(method.suggest(space, tuple(records), 1, rng)), None)
        if suggested is not None:
            before = 0 if suggested.resumes is None else records[suggested.resumes - 1].epochs_done
            planned = int(suggested.configuration.get(EPOCHS, 1))
            trial = _opened(len(records) + 1, method.name, suggested, planned, before, now)
            lasts = (planned - before) * _slowness(seed, trial.number)
            heapq.heappush(running, (now + lasts, len(records)))
            records.append(trial)
            spans.append((now, now + lasts))
        elif running:
            now, place = heapq.heappop(running)
            records[place] = _ended(records[place], space, surface, now)
        else:
            return records, spans


def _slowness(seed: int, number: int) -> float:
    """How much longer or shorter than usual a trial trains, so that those that are open at once do not all end at once."""
    return float(np.random.default_rng(derive_seed(seed, "lasting", number)).uniform(0.75, 1.25))


def _opened(number: int, name: str, suggested: methods.Suggestion, planned: int, before: int, now: float) -> Trial:
    return Trial(
        number, 1, number, suggested.configuration, name, now, planned, explanation=suggested.explanation, claimed_at=now,
        attempt=1, resumes=suggested.resumes, epochs_before=before,
    )  # fmt: skip


def _ended(trial: Trial, space: Space, surface: Surface, now: float) -> Trial:
    value = scored(space, surface, trial.configuration)
    ended = replace(trial, finished_at=now, epochs_begun=trial.epochs_to_do)
    if value is None:
        return replace(ended, outcome=Outcome.DIVERGED, why="the loss was not finite")
    return replace(
        ended, outcome=Outcome.COMPLETED, value=value, value_epoch=trial.epochs_planned, epochs_done=trial.epochs_planned
    )


def scored(space: Space, surface: Surface, configuration: Configuration) -> float | None:
    """The score of a configuration; None where it diverges. Few epochs reach less of it, the lower the rate the less."""
    across, up = (space[name].domain.to_unit(configuration[name]) for name in (ACROSS, UP))
    score = float(surface.score(np.array(across), np.array(up)))
    if not math.isfinite(score):
        return None
    if EPOCHS in configuration:
        score *= 1 - math.exp(-float(configuration[EPOCHS]) / (1 + 3 * (1 - across)))
    return score


def _told(name: str, records: list[Trial], spans: list[tuple[float, float]], best_possible: float) -> Demonstration:
    by_end = sorted(range(len(records)), key=lambda place: (spans[place][1], place))
    bests: dict[int, float | None] = {}
    best: float | None = None
    to_ninety: int | None = None
    for ended, place in enumerate(by_end, 1):
        value = records[place].value
        if value is not None and (best is None or value > best):
            best = value
        bests[place] = best
        if to_ninety is None and best is not None and best >= 0.9 * best_possible:
            to_ninety = ended
    shown = tuple(_shown(trial, span, bests[place]) for place, (trial, span) in enumerate(zip(records, spans, strict=True)))
    return Demonstration(name, shown, best, to_ninety, best_possible)


_PLAIN_SPACE = space_of(SURFACES["hill"], "none", True)


def _shown(trial: Trial, span: tuple[float, float], best: float | None) -> DemoTrial:
    values = trial.configuration
    rate, dropout = _PLAIN_SPACE[ACROSS], _PLAIN_SPACE[UP]
    return DemoTrial(
        trial.number,
        rate.domain.to_unit(values[ACROSS]),
        dropout.domain.to_unit(values[UP]),
        rate.show(values[ACROSS]),
        dropout.show(values[UP]),
        int(values[EPOCHS]) if EPOCHS in values else None,
        *span,
        trial.value,
        best,
        trial.explanation,
        trial.resumes,
    )
