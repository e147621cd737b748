"""Calibrating a task: ranges and largest epochs, of which random draws have a wanted mean, spread and share at chance.

Each step draws configurations from narrowed ranges, and gives up early where they cannot be right any more. What was drawn so far
says, weighted by how likely each draw is under other ranges, which ones to try next. A file keeps every draw, so that a search
that was killed goes on where it was.
"""

import json
import math
import os
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from evenhand.errors import DataError, InvalidSettings
from evenhand.model.configuration import Configuration
from evenhand.model.domain import ZERO_SHARE, Choice, Float, Integer
from evenhand.model.files import check_file
from evenhand.model.rules import derive_seed
from evenhand.model.space import Space, reshaped
from evenhand.model.trial import Outcome
from evenhand.tasks.base import Task
from evenhand.tasks.check import SURE_STANDARD_ERRORS, chance_of, train_once

Ranges = Mapping[str, Mapping[str, float]]  # by hyperparameter: {"low": ..., "high": ...}, as `model.space.reshaped` takes them
Numbers = np.ndarray[Any, np.dtype[np.float64]]
Progress = Callable[[str, int, int], None]  # what is drawn now, how many are done, of how many

LEAST_DRAWS, MOST_DRAWS = 24, 60  # draws of a step: from the first on it may be given up, with the second it is judged
CANDIDATES = 1000  # ranges that are weighed before each step
GRID_PARTS = 20  # of a hyperparameter's scale: where ranges may begin and end
LEAST_PARTS = 4  # of it that a range keeps
CHANGED_SHARE = 0.2  # of the hyperparameters that differ between a candidate and what it was made from
LEAST_EVIDENCE = 8.0  # effective draws that must speak of a candidate
PRICE_OF_DOUBT = 8.0  # squared bands: what few effective draws cost a candidate, divided by their number
PRICE_OF_NARROWNESS = 0.1  # squared bands: what a range costs that is narrowed to nothing
CHANCE_BAND = 0.05  # share: how much too many at chance count as much as a mean that misses by its band
SECONDS_WEIGHT = 4.0  # bands that a median time counts for which is too long by a factor of e
BEGINNING = b'{"draws of": '  # of a file of draws
HISTOGRAM_PARTS = 10
BAR_CHARACTERS = 40


@dataclass(frozen=True)
class Wanted:
    """What random draws shall look like, in shares of 1.

    mean, sd: of the values; mean_within, sd_within: by how much they may miss. at_chance: the largest share that is no better
    than chance. best: the least that the best draw reaches. seconds: the longest median time of a training, of one core, so that
    nothing hangs on what else the machine does.
    """

    mean: float = 0.42
    mean_within: float = 0.05
    sd: float = 0.24
    sd_within: float = 0.04
    at_chance: float = 0.4
    best: float = 0.8
    seconds: float = 5.0

    def __post_init__(self) -> None:
        for name, value in asdict(self).items():
            is_divisor = name in ("mean_within", "sd_within", "seconds")
            if not math.isfinite(value) or value < 0 or (is_divisor and value == 0):
                raise InvalidSettings(f"calibration: {name} is {value}, expected a number {'above' if is_divisor else 'from'} 0")


@dataclass(frozen=True)
class Draw:
    """One random configuration and how its training ended.

    value: None where it did not complete. seconds: of a processor. elapsed: by the clock, which says more where the training is
    done elsewhere, by a GPU or by another process.
    """

    step: int
    number: int
    configuration: Mapping[str, Any]
    outcome: str
    value: float | None
    seconds: float
    elapsed: float


@dataclass(frozen=True)
class Spread:
    """What draws look like, of which one without a value counts as chance.

    median_seconds, median_elapsed: of a training; seconds: of all. values: of each draw.
    """

    draws: int
    mean: float
    sd: float
    at_chance: float
    best: float
    median_seconds: float
    median_elapsed: float
    seconds: float
    values: tuple[float, ...] = ()

    def misses(self, wanted: Wanted) -> list[str]:
        """What is not as wanted, in words; nothing where all is."""
        points = [
            (
                "mean",
                abs(self.mean - wanted.mean) <= wanted.mean_within,
                self.mean,
                f"{wanted.mean:.0%} ± {wanted.mean_within:.0%}",
            ),
            ("SD", abs(self.sd - wanted.sd) <= wanted.sd_within, self.sd, f"{wanted.sd:.0%} ± {wanted.sd_within:.0%}"),
            ("share at chance", self.at_chance <= wanted.at_chance, self.at_chance, f"at most {wanted.at_chance:.0%}"),
            ("best", self.best >= wanted.best, self.best, f"at least {wanted.best:.0%}"),
        ]
        missed = [f"{what} {value:.1%}, wanted {expected}" for what, right, value, expected in points if not right]
        if self.median_seconds > wanted.seconds:
            missed.append(f"median training {self.median_seconds:.1f} s, wanted at most {wanted.seconds:g} s")
        return missed


@dataclass(frozen=True)
class Step:
    """One step of a search: the ranges that were drawn from, and what came of it."""

    ranges: Ranges
    spread: Spread
    draws: tuple[Draw, ...]


@dataclass(frozen=True)
class Calibration:
    """A search that has ended. found: whether the last step is as wanted; best: the step that came nearest."""

    steps: tuple[Step, ...]
    best: Step
    found: bool

    @property
    def draws(self) -> tuple[Draw, ...]:
        """All trainings of the search."""
        return tuple(draw for step in self.steps for draw in step.draws)

    @property
    def ceiling(self) -> Draw | None:
        """The best training of the whole search; None where none has a value."""
        return max((draw for draw in self.draws if draw.value is not None), key=lambda draw: draw.value or 0.0, default=None)

    @property
    def seconds(self) -> float:
        """What all trainings took."""
        return sum(draw.seconds for draw in self.draws)


class Drawn:
    """The file of draws: made once, read again by the same command, and appended to after each training."""

    def __init__(self, path: Path, purpose: Mapping[str, Any]) -> None:
        """The file at `path`; InvalidSettings where it is of another search, DataError where it cannot be read."""
        self._path = path
        self._draws: dict[tuple[int, int], Draw] = {}
        head = {"draws of": dict(purpose)}
        lines = self._whole_lines()
        if not lines:
            path.parent.mkdir(parents=True, exist_ok=True)
            self._append(head)
            return
        try:
            first, *others = [json.loads(line) for line in lines]
            draws = [Draw(**other) for other in others]
        except (ValueError, TypeError, RecursionError) as error:
            raise DataError(f"{path}: is no file of draws ({error}); name another with --state, or remove it") from None
        if first != json.loads(json.dumps(head)):
            raise InvalidSettings(
                f"{path}: holds draws of another task version, seed or wish; go on with the command that made it, "
                "or name another file with --state"
            )
        self._draws = {(draw.step, draw.number): draw for draw in draws}

    def get(self, step: int, number: int) -> Draw | None:
        """The draw of this place, where it was made before."""
        return self._draws.get((step, number))

    def add(self, draw: Draw) -> Draw:
        """Keep a draw that was just made; it is in the file when this returns."""
        self._append(asdict(draw))
        self._draws[draw.step, draw.number] = draw
        return draw

    def _whole_lines(self) -> list[str]:
        """The lines that were written to their end; what a kill left of the last one is cut off."""
        if not self._path.exists() or not (written := check_file(self._path).read_bytes()):
            return []
        if not written.startswith(BEGINNING):
            raise DataError(f"{self._path}: is no file of draws; name another with --state, or remove it")
        whole = written[: written.rfind(b"\n") + 1]
        if len(whole) < len(written):
            os.truncate(self._path, len(whole))
        return whole.decode(errors="replace").splitlines()

    def _append(self, row: Mapping[str, Any]) -> None:
        with self._path.open("a") as file:
            file.write(json.dumps(row) + "\n")
            file.flush()
            os.fsync(file.fileno())


class Sampler:
    """Draws of one task, each trained once."""

    def __init__(self, task: Task, state: Path, purpose: str, seed: int, progress: Progress, **wish: Any) -> None:
        chance, error = chance_of(task)
        if chance is None:
            raise InvalidSettings(
                f"task {task.name!r}: its metric is {task.metric}, expected accuracy on validation data, which has a chance level"
            )
        self.task, self.seed, self.progress = task, seed, progress
        self.chance, self.beyond_chance = chance, chance + SURE_STANDARD_ERRORS * error
        self._purpose = purpose
        self._drawn = Drawn(state, {"purpose": purpose, "task": task.name, "version": task.version, "seed": seed, **wish})

    def draws(
        self, space: Space, step: int, most: int, enough: Callable[[Sequence[Draw]], bool] = lambda draws: False
    ) -> list[Draw]:
        """`most` draws from `space`, or fewer where they are `enough` before."""
        rng = np.random.default_rng(derive_seed(self.seed, self._purpose, step))
        draws: list[Draw] = []
        for number in range(most):
            self.progress(f"step {step + 1}", number, most)
            configuration = space.sample(rng)
            draws.append(self._drawn.get(step, number) or self._drawn.add(self._trained(step, number, configuration)))
            if enough(draws):
                break
        self.progress(f"step {step + 1}", len(draws), len(draws))
        return draws

    def spread(self, draws: Sequence[Draw]) -> Spread:
        """What draws look like."""
        values = self.values(draws)
        return Spread(
            draws=len(draws),
            mean=float(values.mean()),
            sd=float(values.std(ddof=1)) if len(values) > 1 else 0.0,
            at_chance=float(np.mean(values <= self.beyond_chance)),
            best=float(values.max()),
            median_seconds=float(np.median([draw.seconds for draw in draws])),
            median_elapsed=float(np.median([draw.elapsed for draw in draws])),
            seconds=sum(draw.seconds for draw in draws),
            values=tuple(values.tolist()),
        )

    def values(self, draws: Sequence[Draw]) -> Numbers:
        """Their values; chance for those without one."""
        return np.array([self.chance if draw.value is None else draw.value for draw in draws])

    def _trained(self, step: int, number: int, configuration: Configuration) -> Draw:
        started = time.process_time()
        training = train_once(self.task, configuration, derive_seed(self.seed, self._purpose, "training"))
        value = training.value if training.outcome is Outcome.COMPLETED else None
        seconds = time.process_time() - started
        return Draw(
            step, number, dict(configuration), training.outcome.value, value, round(seconds, 3), round(training.seconds, 3)
        )


def calibrate(
    task: Task,
    wanted: Wanted,
    *,
    state: Path,
    steps: int = 12,
    seed: int = 0,
    progress: Progress = lambda what, done, total: None,
) -> Calibration:
    """Search ranges within the task's space of which random draws are as wanted.

    Args:
        task: what is calibrated; its metric is accuracy.
        wanted: what draws shall look like.
        state: the file of draws. A search that ended early goes on from it, and takes the way that it would have taken.
        steps: how many ranges are drawn from at most.
        seed: of the draws, the ranges and the trainings. With it the search differs only by what trainings' times decide.
        progress: is called before each training.

    Returns:
        All steps, and the one that came nearest.

    Raises:
        InvalidSettings: the task has no chance level, or the file is of another search.
        DataError: the file is none of draws.
    """
    sampler = Sampler(task, state, "calibration", seed, progress, wanted=asdict(wanted))
    scale = Scale(task.space)
    box = scale.whole
    tried: list[Step] = []
    boxes: list[Box] = []
    for step in range(steps):
        ranges = scale.ranges(box)
        draws = sampler.draws(reshaped(task.space, ranges), step, MOST_DRAWS, lambda draws: _hopeless(sampler, draws, wanted))
        tried.append(Step(ranges, sampler.spread(draws), tuple(draws)))
        boxes.append(box)
        if len(draws) == MOST_DRAWS and not tried[-1].spread.misses(wanted):
            return Calibration(tuple(tried), tried[-1], True)
        box = _next_box(
            sampler, scale, wanted, tried, boxes, np.random.default_rng(derive_seed(seed, "calibration ranges", step))
        )
    return Calibration(tuple(tried), min(tried, key=lambda step: _distance(step.spread, wanted)), False)


def record(
    task: Task, *, draws: int, state: Path, seed: int, progress: Progress = lambda what, done, total: None
) -> tuple[Spread, float]:
    """Draw from a task's space as it is, with a seed that no search has seen.

    Args:
        task: whose space is drawn from.
        draws: how many.
        state: the file of draws, from which a record that was interrupted goes on.
        seed: of draws and trainings; the same number means other draws here than in a search.
        progress: is called before each training.

    Returns:
        What the draws look like, and the chance level.

    Raises:
        InvalidSettings: the task has no chance level, or the file is of something else.
        DataError: the file is none of draws.
    """
    sampler = Sampler(task, state, "calibration record", seed, progress)
    return sampler.spread(sampler.draws(task.space, 0, draws)), sampler.chance


def histogram(values: Sequence[float]) -> list[str]:
    """Accuracies from 0 to 100 %, a line of text for each tenth."""
    counts, edges = np.histogram(values, bins=HISTOGRAM_PARTS, range=(0, 1))
    most = max(1, int(counts.max()))
    return [
        f"{edges[at]:4.0%} to {edges[at + 1]:4.0%}  {'█' * math.ceil(BAR_CHARACTERS * count / most)} {count}"
        for at, count in enumerate(counts)
    ]


# Which ranges come next

Box = Mapping[str, tuple[int, int]]  # by hyperparameter: the first and the last part of its scale, of GRID_PARTS


class Scale:
    """The numeric hyperparameters of a space, each divided into equal parts of its own scale."""

    def __init__(self, space: Space) -> None:
        self._space = space
        self._domains: dict[str, Float | Integer] = {
            hyperparameter.name: hyperparameter.domain
            for hyperparameter in space
            if not isinstance(hyperparameter.domain, Choice) and hyperparameter.domain.low < hyperparameter.domain.high
        }

    @cached_property
    def whole(self) -> Box:
        """Nothing narrowed."""
        return dict.fromkeys(self._domains, (0, GRID_PARTS))

    def ranges(self, box: Box) -> Ranges:
        """A box as ranges; what is not narrowed is left out."""
        ranges = {}
        for name, (first, last) in box.items():
            ends = {}
            if first > 0:
                ends["low"] = self._number(name, first)
            if last < GRID_PARTS:
                ends["high"] = self._number(name, last)
            if ends:
                ranges[name] = ends
        return ranges

    def _number(self, name: str, part: int) -> float:
        domain, share = self._domains[name], part / GRID_PARTS
        zero = isinstance(domain, Float) and domain.or_zero
        return domain.from_unit(ZERO_SHARE + (1 - ZERO_SHARE) * share if zero else share)

    def changed(self, box: Box, rng: np.random.Generator) -> Box:
        """A box near another one; each range keeps the default, and the shortest trainings stay possible."""
        fidelity = self._space.fidelity
        made = dict(box)
        for name in box:
            if rng.random() >= CHANGED_SHARE:
                continue
            first, last = sorted(int(part) for part in rng.integers(0, GRID_PARTS + 1, 2))
            if fidelity is not None and fidelity.name == name:
                first = 0
            if last - first >= LEAST_PARTS and self._keeps_default(name, first, last):
                made[name] = (first, last)
        return made

    def _keeps_default(self, name: str, first: int, last: int) -> bool:
        default = self._space[name].default
        return default is None or self._spared(name, default) or self._number(name, first) <= default <= self._number(name, last)

    def _spared(self, name: str, value: float) -> bool:
        """Whether a value stays whatever the range is: the zero that is taken besides."""
        return value == 0 and getattr(self._domains[name], "or_zero", False)

    def density(self, box: Box, draws: Sequence[Draw]) -> Numbers:
        """How much likelier than in the whole space each draw is in a box; 0 outside."""
        likelier = np.ones(len(draws))
        for name, (first, last) in box.items():
            if (first, last) == (0, GRID_PARTS):
                continue
            values = np.array([draw.configuration.get(name, math.nan) for draw in draws])
            inside = (self._number(name, first) <= values) & (values <= self._number(name, last))
            spared = np.isnan(values) | ((values == 0) & getattr(self._domains[name], "or_zero", False))
            likelier *= np.where(spared, 1.0, np.where(inside, GRID_PARTS / (last - first), 0.0))
        return likelier

    def narrowness(self, box: Box) -> float:
        """How much of all scales is left out, in whole scales."""
        return sum(1 - (last - first) / GRID_PARTS for first, last in box.values())


def _next_box(
    sampler: Sampler, scale: Scale, wanted: Wanted, tried: Sequence[Step], boxes: Sequence[Box], rng: np.random.Generator
) -> Box:
    """The box that all draws so far speak for: of random ones and changes of the best of them."""
    draws = [draw for step in tried for draw in step.draws]
    # Each draw came from one of several boxes; it counts by how likely all of them together were to give it.
    share_of = [len(step.draws) / len(draws) for step in tried]
    mixture = sum(share * scale.density(box, draws) for share, box in zip(share_of, boxes, strict=True))
    values, seconds = sampler.values(draws), np.array([draw.seconds for draw in draws])

    def price(box: Box) -> float:
        weights: Numbers = scale.density(box, draws) / mixture
        if weights.sum() == 0 or (evidence := weights.sum() ** 2 / (weights**2).sum()) < LEAST_EVIDENCE:
            return math.inf
        weights /= weights.sum()
        mean = float(weights @ values)
        order = np.argsort(seconds)
        middle = order[np.searchsorted(np.cumsum(weights[order]), 0.5)]
        expected = Spread(
            draws=len(draws),
            mean=mean,
            sd=math.sqrt(float(weights @ (values - mean) ** 2)),
            at_chance=float(weights @ (values <= sampler.beyond_chance)),
            best=float(values[weights > 0].max()),
            median_seconds=float(seconds[middle]),
            median_elapsed=0.0,
            seconds=0.0,
        )
        return _distance(expected, wanted) + PRICE_OF_DOUBT / float(evidence) + PRICE_OF_NARROWNESS * scale.narrowness(box)

    best = min(boxes, key=price)
    best_price = price(best)
    for _ in range(CANDIDATES):
        candidate = scale.changed(best, rng)
        if candidate != best and (candidate_price := price(candidate)) < best_price:
            best, best_price = candidate, candidate_price
    return best


def _distance(spread: Spread, wanted: Wanted) -> float:
    """How far draws are from what is wanted, in squared bands."""
    return (
        ((spread.mean - wanted.mean) / wanted.mean_within) ** 2
        + ((spread.sd - wanted.sd) / wanted.sd_within) ** 2
        + (max(0.0, spread.at_chance - wanted.at_chance) / CHANCE_BAND) ** 2
        + (max(0.0, wanted.best - spread.best) / wanted.mean_within) ** 2
        + (SECONDS_WEIGHT * math.log(max(1.0, spread.median_seconds / wanted.seconds))) ** 2
    )


def _hopeless(sampler: Sampler, draws: Sequence[Draw], wanted: Wanted) -> bool:
    """Whether draws so far miss what is wanted by more than chance explains."""
    if len(draws) < LEAST_DRAWS:
        return False
    spread = sampler.spread(draws)
    error = spread.sd / math.sqrt(len(draws))
    sd_error = spread.sd / math.sqrt(2 * (len(draws) - 1))
    share_error = math.sqrt(spread.at_chance * (1 - spread.at_chance) / len(draws))
    return (
        abs(spread.mean - wanted.mean) - wanted.mean_within > SURE_STANDARD_ERRORS * error
        or abs(spread.sd - wanted.sd) - wanted.sd_within > SURE_STANDARD_ERRORS * sd_error
        or spread.at_chance - wanted.at_chance > SURE_STANDARD_ERRORS * share_error
    )
