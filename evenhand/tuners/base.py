"""The suggest protocol, and what every method needs: what was tried, and how to keep from it and from what cannot be trained."""

import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial, reduce
from itertools import chain, islice, takewhile
from typing import ClassVar

import numpy as np

from evenhand.errors import InvalidSettings
from evenhand.records import Outcome, Trial
from evenhand.space import Choice, Configuration, Domain, Float, Integer, Space, Value, apart
from evenhand.trials import fold

DRAWS = 100  # draws in a row that are refused before the space is taken for (nearly) exhausted
ENUMERATED = 100_000  # configurations looked through for one that was not tried
TWIN = 0.02  # of each scale: no farther from a configuration that could not be trained is taken for the same
UNUSABLE = frozenset({Outcome.DIVERGED, Outcome.INVALID})


@dataclass(frozen=True)
class Suggestion:
    """A configuration to try next, and why this one: true facts in words, stored with the trial.

    resumes: the number of the trial whose training it goes on with: the same configuration, with more epochs.
    """

    configuration: Configuration
    explanation: str
    resumes: int | None = None


@dataclass(frozen=True)
class Method(ABC):
    """What proposes configurations. It keeps nothing between calls, so that a restart changes nothing.

    maximize: whether larger values are better. Settings are further fields. A method sees what `lab.view` shows of the trials,
    nothing else.
    """

    name: ClassVar[str]  # what `tuners.method` finds it by
    needs_fidelity: ClassVar[bool] = False
    resumes: ClassVar[bool] = False  # whether it lets trainings go on with more epochs
    uses_priors: ClassVar[bool] = False  # whether what people believe changes what it proposes
    maximize: bool

    @abstractmethod
    def suggest(self, space: Space, trials: Sequence[Trial], n: int, rng: np.random.Generator) -> list[Suggestion]:
        """`n` configurations of `space` to try next, after `trials` (in the order of their numbers, open ones included).

        Fewer than `n` where the method has no more to try, or none before an open trial ends. The same arguments give the same
        suggestions, in any process. Trials may be anybody's, with any outcome, and may hold values of hyperparameters that
        `space` leaves out.
        """

    def check(self, space: Space) -> None:
        """Nothing, or InvalidSettings where the method cannot tune this space."""
        if self.needs_fidelity and not (space.fidelity and isinstance(space.fidelity.domain, Integer)):
            raise InvalidSettings(
                f"method {self.name!r} trains some configurations longer than others, and no hyperparameter of this space says "
                "for how many epochs; let epochs be free, or take another method"
            )


@dataclass(frozen=True)
class _Tried:
    """Configurations that were seen to train or not to: the number of the first trial of each, and those that are not usable."""

    numbers: dict[Configuration, int] = field(default_factory=dict)
    bad: list[tuple[Configuration, Trial]] = field(default_factory=list)

    @staticmethod
    def add(restrict: Callable[[Configuration], Configuration], tried: "_Tried", trial: Trial) -> "_Tried":
        """With one trial more."""
        if trial.outcome is not Outcome.FAILED:
            configuration = restrict(trial.configuration)
            tried.numbers.setdefault(configuration, trial.number)
            if trial.outcome in UNUSABLE:
                tried.bad.append((configuration, trial))
        return tried


class Known:
    """What a suggestion must not repeat: what was tried, and the near twins of what diverged or was invalid.

    `failed` trials do not count, since nothing was seen. Twins have the same options, and each number within `TWIN` of its scale;
    the fidelity does not matter, as what cannot be built cannot be built for longer either.
    """

    def __init__(self, space: Space, trials: Sequence[Trial]) -> None:
        self._space = space
        restrict = _restriction(space)
        settled, later = fold(trials, ("tried", space), _Tried, partial(_Tried.add, restrict))
        self._settled, self._later = settled, reduce(partial(_Tried.add, restrict), later, _Tried())
        self._last = trials[len(trials) - len(later) - 1].number if len(later) < len(trials) else 0

    def _number(self, configuration: Configuration) -> int | None:
        """Of the first trial with this configuration; 0 for a suggestion; None where it was not tried."""
        number = self._settled.numbers.get(configuration)
        return number if number is not None and number <= self._last else self._later.numbers.get(configuration)

    def __contains__(self, configuration: Configuration) -> bool:
        return self._number(configuration) is not None

    def add(self, configuration: Configuration) -> None:
        """Note a suggestion of the call that is under way."""
        self._later.numbers.setdefault(configuration, 0)

    def repeated(self, configuration: Configuration) -> str | None:
        """What it would repeat, in words; None where it was not tried."""
        number = self._number(configuration)
        return None if number is None else f"trial {number}" if number else "another suggestion"

    def twin(self, configuration: Configuration) -> Trial | None:
        """The trial that diverged or was invalid and of which this is a near twin."""
        settled = takewhile(lambda bad: bad[1].number <= self._last, self._settled.bad)
        found = (trial for bad, trial in chain(settled, self._later.bad) if _are_twins(self._space, configuration, bad))
        return next(found, None)

    def why_not(self, configuration: Configuration) -> str | None:
        """What would be avoided by not suggesting this, in words; None where nothing speaks against it."""
        if configuration in self:
            return "a repeat"
        twin = self.twin(configuration)
        return None if twin is None else f"a near twin of trial {twin.number}, which {was(twin)},"


def was(trial: Trial) -> str:
    """How a trial that cannot be learnt a value from ended: "diverged", "was invalid"."""
    return "diverged" if trial.outcome is Outcome.DIVERGED else f"was {trial.outcome}"


def within(space: Space, configuration: Configuration) -> Configuration:
    """`configuration` without the hyperparameters that `space` leaves out, and the options that it has no more."""
    return _restriction(space)(configuration)


def _restriction(space: Space) -> Callable[[Configuration], Configuration]:
    names = frozenset(space.names)
    options = {each.name: each.domain.options for each in space if isinstance(each.domain, Choice)}

    def restricted(configuration: Configuration) -> Configuration:
        values = dict(configuration)
        for name in values.keys() - names:
            del values[name]
        for name in values.keys() & options.keys():
            if values[name] not in options[name]:
                del values[name]
        return configuration if len(values) == len(configuration) else Configuration(values)

    return restricted


def _is_there(domain: Domain, value: Value) -> bool:
    return not isinstance(domain, Choice) or value in domain.options


def fits(space: Space, trial: Trial) -> bool:
    """Whether each option that the trial had is one still: a model would take another one in its place for what it was."""
    found = trial.configuration
    return all(_is_there(space[name].domain, value) for name, value in found.items() if name in space)


def has_value(trial: Trial) -> bool:
    """Whether the trial ended with a value that says how good its configuration is."""
    ended = trial.outcome in (Outcome.COMPLETED, Outcome.STOPPED)
    return ended and trial.value is not None and math.isfinite(trial.value)


def by_value(trials: Iterable[Trial], maximize: bool) -> list[Trial]:
    """The trials with a value, the best first; of equals the earlier one."""
    sign = -1.0 if maximize else 1.0
    return sorted((each for each in trials if has_value(each)), key=lambda each: (sign * (each.value or 0.0), each.number))


def first_fresh(known: Known, propose: Callable[[], Configuration], tries: int) -> tuple[Configuration, str] | None:
    """The first proposal that nothing speaks against, and what was avoided before it ("; a repeat was avoided" or "").

    None where `tries` proposals were refused.
    """
    avoided = ""
    for _ in range(tries):
        proposed = propose()
        why = known.why_not(proposed)
        if why is None:
            return proposed, avoided
        avoided = f"; {why} was avoided"
    return None


def fresh_draw(space: Space, known: Known, rng: np.random.Generator, what: str) -> Suggestion:
    """A uniform draw that nothing speaks against, explained as `what`; a repeat only where nothing untried was found."""
    found = first_fresh(known, lambda: space.sample(rng), DRAWS)
    if found is None and _is_finite(space):
        rest = [each for each in islice(every(space), ENUMERATED) if each not in known]
        good = [each for each in rest if known.why_not(each) is None] or rest
        if good:
            found = good[int(rng.integers(len(good)))], "; a repeat was avoided"
    if found is None:
        drawn = space.sample(rng)
        repeated, twin = known.repeated(drawn), known.twin(drawn)
        of = f"repeats {repeated}" if repeated else f"is a near twin of trial {twin.number}" if twin else ""
        avoided = f"; it {of}, since no untried configuration was found" if of else ""
        found = drawn, avoided
    drawn, avoided = found
    known.add(drawn)
    return Suggestion(drawn, what + avoided)


def every(space: Space) -> Iterator[Configuration]:
    """All configurations of a space without real numbers, in the order of its hyperparameters and their values."""
    levels = {each.name: _options(each.domain) for each in space}
    yield from (space.configuration(values) for values in combinations(space, levels))


def _options(domain: Domain) -> Sequence[Value]:
    assert not isinstance(domain, Float)
    return domain.options if isinstance(domain, Choice) else range(domain.low, domain.high + 1)


def combinations(space: Space, levels: Mapping[str, Sequence[Value]]) -> Iterator[dict[str, Value]]:
    """Every combination of the levels of what is active; the last hyperparameter changes fastest."""
    yield from _branches(space, levels, 0, {})


def _branches(
    space: Space, levels: Mapping[str, Sequence[Value]], depth: int, values: dict[str, Value]
) -> Iterator[dict[str, Value]]:
    if depth == len(space.hyperparameters):
        yield values
        return
    each = space.hyperparameters[depth]
    if not space.is_active(each, values):
        yield from _branches(space, levels, depth + 1, values)
        return
    for option in levels[each.name]:
        yield from _branches(space, levels, depth + 1, {**values, each.name: option})


def check_counts(method: str, **counts: object) -> None:
    """InvalidSettings where a setting that counts something is no whole number above 0: they come from JSON and command lines."""
    for what, value in counts.items():
        if type(value) is not int or value < 1:
            raise InvalidSettings(f"method {method!r}: {what} is {value!r}, expected a whole number above 0")


def _are_twins(space: Space, first: Configuration, second: Configuration) -> bool:
    if first.keys() != second.keys():
        return False
    compared = [each for each in space if each.name in first and not each.fidelity]
    return bool(compared) and all(apart(each.domain, first[each.name], second[each.name]) <= TWIN for each in compared)


def _is_finite(space: Space) -> bool:
    return not any(isinstance(each.domain, Float) for each in space)
