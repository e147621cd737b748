"""A run's trials as columns, for charts of many thousands of them: what each axis shows, and the numbers of one chunk of trials.

A number is where it lies on its axis. A whole number too large for that to be exact is given in digits as well, and where an axis
may have such, it counts from its least. An option is its place among its hyperparameter's options, so that `1` and `"1"` are two.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from evenhand.model import direction, state_words
from evenhand.model.domain import EXACT_INTEGER, Choice, Float, Integer, Value, show
from evenhand.model.hyperparameter import Hyperparameter
from evenhand.model.session import Session
from evenhand.model.trial import Trial

Scale = Literal["linear", "log", "options"]
FORMAT = 1  # of what `layout` gives: raise it with every change, since browsers keep what they got
INACTIVE = object()  # in the place of a value that a configuration does not have
NO_OPTION = -1  # the place of an option where a hyperparameter was inactive; a number is none (NaN) there


@dataclass(frozen=True)
class Axis:
    """What one hyperparameter's axis shows.

    Attributes:
        name: the hyperparameter's.
        label: what people read.
        scale: how it lies there.
        whole: whether all of it are whole numbers.
        low: the least that may be tried, from `base`. 0 of options.
        high: the largest, from `base`; the last place of options.
        zero: where exactly 0 lies on a logarithmic scale, which has none: one decade below the least; None where it never is.
        base: what the axis counts from, in digits: other than 0 where all of it are too large to be exact.
        options: in words, in order.
        default: where the default lies; None where there is none.
        when: when it is active, in words; empty where it always is.
    """

    name: str
    label: str
    scale: Scale
    whole: bool
    low: float
    high: float
    zero: float | None
    base: str
    options: tuple[str, ...]
    default: float | None
    when: str


@dataclass(frozen=True)
class Column:
    """What the trials of a chunk had of one hyperparameter.

    Attributes:
        name: the hyperparameter's.
        places: where each lies on the axis: numbers, or places of options.
        exact: in digits, by its place in the chunk, what a number cannot say exactly.
    """

    name: str
    places: NDArray[np.float64] | NDArray[np.int32]
    exact: dict[int, str]


@dataclass(frozen=True)
class Best:
    """The best trial of a chunk. costs: to compare it with other chunks' best; less is better, None worse than any."""

    number: int
    costs: tuple[float | None, ...]


@dataclass(frozen=True)
class Chunk:
    """The numbers of some trials, in order.

    Attributes:
        numbers: the trials' own.
        values: their values on validation; NaN where one has none.
        bests: the best so far after each, of this chunk alone; NaN before the first.
        statuses: of each its place in `status_words`.
        by_person: of each 1 where a person proposed it, else 0.
        status_words: where trials stand, as one word, and as people read it.
        best: the best of them.
        columns: one for each hyperparameter, in the space's order.
    """

    numbers: NDArray[np.int32]
    values: NDArray[np.float64]
    bests: NDArray[np.float64]
    statuses: NDArray[np.uint8]
    by_person: NDArray[np.uint8]
    status_words: tuple[tuple[str, str], ...]
    best: Best | None
    columns: tuple[Column, ...]


def axes(session: Session) -> tuple[Axis, ...]:
    """An axis for each hyperparameter, in the space's order."""
    return tuple(_axis(session, hyperparameter) for hyperparameter in session.space)


def chunk(session: Session, trials: Sequence[Trial]) -> Chunk:
    """The numbers of some of a session's trials, which need not be in the session that is given."""
    words = tuple(dict.fromkeys((state_words.status_of(trial), state_words.outcome_words(trial)) for trial in trials))
    counting = [None if trial.is_open else direction.value_of(trial) for trial in trials]
    return Chunk(
        numbers=np.array([trial.number for trial in trials], np.int32),
        values=_numbers([trial.value for trial in trials]),
        bests=_numbers(direction.best_so_far(counting, session.maximize)),
        statuses=np.array(
            [words.index((state_words.status_of(trial), state_words.outcome_words(trial))) for trial in trials], np.uint8
        ),
        by_person=np.array([is_by_person(session, trial) for trial in trials], np.uint8),
        status_words=words,
        best=_best(session, trials),
        columns=tuple(_column(hyperparameter, trials) for hyperparameter in session.space),
    )


def is_by_person(session: Session, trial: Trial) -> bool:
    """Whether a person proposed a trial: the tuner, or somebody who worked together with the method."""
    return session.kind == "participant" or trial.proposer != session.tuner


def _axis(session: Session, hyperparameter: Hyperparameter) -> Axis:
    domain, has_default = hyperparameter.domain, not hyperparameter.mandatory
    scale, base = _scale(domain), _base(domain)
    ends = (0, len(domain.options) - 1) if isinstance(domain, Choice) else (domain.low, domain.high)
    return Axis(
        name=hyperparameter.name,
        label=hyperparameter.label,
        scale=scale,
        whole=isinstance(domain, Integer),
        low=_from(base, ends[0]),
        high=_from(base, ends[1]),
        zero=_zero(domain),
        base=str(base),
        options=domain.labels if isinstance(domain, Choice) else (),
        default=_place(domain, base, hyperparameter.default) if has_default else None,
        when=session.space.when(hyperparameter) if hyperparameter.condition else "",
    )


def _scale(domain: Float | Integer | Choice) -> Scale:
    if isinstance(domain, Choice):
        return "options"
    return "log" if domain.log and not _base(domain) else "linear"


def _base(domain: Float | Integer | Choice) -> int:
    """What an axis counts from: the least, of whole numbers so large that real ones do not tell them apart."""
    if not isinstance(domain, Integer) or max(abs(domain.low), abs(domain.high)) <= EXACT_INTEGER:
        return 0
    return 0 if domain.log and domain.high > 2 * domain.low else domain.low


def _zero(domain: Float | Integer | Choice) -> float | None:
    return domain.low / 10 if isinstance(domain, Float) and domain.log and domain.or_zero else None


def _from(base: int, value: Value) -> float:
    return float(value - base) if base else float(value)


def _place(domain: Float | Integer | Choice, base: int, value: Value) -> float:
    """Where a value lies on its axis."""
    if isinstance(domain, Choice):
        return float(domain.index(value))
    place, zero = _from(base, value), _zero(domain)
    return zero if place == 0 and zero is not None else place


def _column(hyperparameter: Hyperparameter, trials: Sequence[Trial]) -> Column:
    name, domain = hyperparameter.name, hyperparameter.domain
    values = [trial.configuration.get(name, INACTIVE) for trial in trials]
    if isinstance(domain, Choice):
        return Column(name, np.array(_options(domain, values), np.int32), {})
    base, zero = _base(domain), _zero(domain)
    places = _numbers([None if value is INACTIVE else value - base if base else value for value in values])
    if zero is not None:
        places[places == 0] = zero
    is_exact = isinstance(domain, Float) or max(abs(domain.low), abs(domain.high)) <= EXACT_INTEGER
    large = ((at, value) for at, value in enumerate(values) if value is not INACTIVE and abs(value) > EXACT_INTEGER)
    return Column(name, places, {} if is_exact else {at: show(value) for at, value in large})


def _options(domain: Choice, values: Sequence[Value]) -> list[int]:
    """Of each value which option it is. A list is looked up each time: what tells it from others lies within it."""
    known: dict[tuple[type, Value], int] = {}
    places = []
    for value in values:
        key = (type(value), value)
        place = NO_OPTION if value is INACTIVE else known.get(key)
        if place is None:
            place = domain.index(value)
            if not isinstance(value, tuple):
                known[key] = place
        places.append(place)
    return places


def _numbers(values: Sequence[float | None]) -> NDArray[np.float64]:
    numbers = np.array([math.nan if value is None else value for value in values], np.float64)
    numbers[~np.isfinite(numbers)] = math.nan
    return numbers


def _best(session: Session, trials: Sequence[Trial]) -> Best | None:
    """The best trial that has ended, of equals the one that is best by the further objectives, as `rules.best_trial` has it."""
    further = session.aims.objectives[1:]
    sign = direction.sign_of(session.maximize)
    ranked: list[tuple[tuple[float, ...], int]] = []
    for trial in trials:
        value = None if trial.is_open else direction.value_of(trial)
        if value is not None:
            beside = (direction.cost_of(trial.extra.get(aim.name), aim) for aim in further)
            ranked.append(((-sign * value, *beside), trial.number))
    if not ranked:
        return None
    costs, number = min(ranked)
    return Best(number, tuple(cost if math.isfinite(cost) else None for cost in costs))


def layout(numbers: Chunk) -> tuple[dict[str, Any], list[NDArray[Any]]]:
    """A chunk as it is sent: what its head says, as plain JSON values, and its arrays in the head's order, the widest first."""
    arrays: list[tuple[str, NDArray[Any]]] = [
        ("values", numbers.values),
        ("bests", numbers.bests),
        ("numbers", numbers.numbers),
        ("statuses", numbers.statuses),
        ("by_person", numbers.by_person),
        *((f"column {column.name}", column.places) for column in numbers.columns),
    ]
    arrays.sort(key=lambda entry: -entry[1].itemsize)  # so that each begins where an array of its kind may
    head = {
        "trials": len(numbers.numbers),
        "status_words": numbers.status_words,
        "best": None if numbers.best is None else {"number": numbers.best.number, "costs": numbers.best.costs},
        "exact": {column.name: column.exact for column in numbers.columns if column.exact},
        "arrays": [[name, array.dtype.str.lstrip("<|")] for name, array in arrays],
    }
    return head, [array for _, array in arrays]
