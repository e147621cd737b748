"""The suggest protocol, and what every method needs: what was tried, and how to keep from it and from what cannot be trained."""

import math
from abc import ABC, abstractmethod
from bisect import bisect
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial, reduce
from itertools import chain, islice, takewhile
from operator import itemgetter
from typing import ClassVar, NamedTuple, Protocol

import numpy as np

from evenhand.errors import InvalidSettings, repr_of
from evenhand.model.configuration import Configuration
from evenhand.model.direction import recorded_value, sign_of, value_of
from evenhand.model.domain import Choice, Domain, Integer, Value, apart, is_finite, values_of
from evenhand.model.space import Space
from evenhand.model.trial import UNUSABLE_OUTCOMES, VALUELESS_OUTCOMES, Outcome, Trial
from evenhand.model.trial_history import fold

LARGEST_MODELLED = 1e100  # a value up to which models compute with it as it is
WORST_MISS = 1e9  # above what any number of requirements can be missed by
DRAWS = 100  # draws in a row that are refused before the space is taken for (nearly) exhausted
MOST_ENUMERATED = 100_000  # configurations looked through for one that was not tried
TWIN_SHARE = 0.02  # of each scale: no farther from a configuration that could not be trained is taken for the same


@dataclass(frozen=True)
class Suggestion:
    """A configuration to try next.

    Attributes:
        configuration: what is to be trained.
        explanation: why this one: true facts in words, stored with the trial.
        resumes: the number of the trial whose training it goes on with: the same configuration, with more epochs.
    """

    configuration: Configuration
    explanation: str
    resumes: int | None = None


def why_no_suggestion(answer: object) -> str | None:
    """What is wrong with the form of what a method answered, in words; None where it is a whole `Suggestion`.

    Whether its values fit the space is the space's to say, which takes NumPy's numbers as Python's.

    Args:
        answer: one item of what `suggest` returned.

    Returns:
        What was found and what was expected, as the rest of a sentence about the method.
    """
    if not isinstance(answer, Suggestion):
        return f"answered a {type(answer).__name__}, expected a list of evenhand.Suggestion; got {repr_of(answer)}"
    if not isinstance(answer.configuration, Configuration):
        given = f"{type(answer.configuration).__name__} as its configuration ({answer.configuration!r})"
        return f"answered a Suggestion with a {given}, expected a Configuration; use space.configuration(values)"
    where = f"suggested {dict(answer.configuration)!r}"
    if not isinstance(answer.explanation, str) or not answer.explanation.strip():
        return f"{where} without an explanation: got {answer.explanation!r}, expected why, in words"
    if answer.resumes is not None and type(answer.resumes) is not int:
        return f"{where} with resumes={answer.resumes!r}, expected the number of a trial, or None"
    return None


class Method(Protocol):
    """What proposes configurations: any object with a name and `suggest`. docs/methods.md walks through one.

    It may have more, which is taken as given where it is missing: `check(space)` raises InvalidSettings where it cannot tune a
    space; `maximize` says whether larger values are better, and is asked for in its constructor; `needs_fidelity`, `resumes`,
    `uses_priors` and `as_given` are as in `BaseMethod`.
    """

    @property
    def name(self) -> str:
        """What it is called in sessions, reports and on the command line."""

    def suggest(self, space: Space, trials: Sequence[Trial], n: int, rng: np.random.Generator) -> Sequence[Suggestion]:
        """Configurations to try next.

        The same arguments give the same suggestions, in any process: a method keeps nothing between calls, so that a restart
        changes nothing.

        Args:
            space: what may be tried, as it is now.
            trials: those so far, in the order of their numbers, open ones included: what `lab.view` shows of them, nothing else.
                They may be anybody's, with any outcome, and may hold values of hyperparameters that `space` leaves out.
            n: how many are wanted.
            rng: the only source of chance.

        Returns:
            `n` suggestions; fewer where the method has no more to try, none before an open trial ends.
        """


@dataclass(frozen=True)
class BaseMethod(ABC):
    """A convenience for methods that look at values: settings are fields, and what cannot be tuned is refused in words.

    Settings are further fields.

    Attributes:
        name: what it is called in sessions, reports and on the command line.
        needs_fidelity: whether it has to choose for how many epochs a trial trains.
        resumes: whether its suggestions go on with earlier trainings.
        uses_priors: whether what people believe changes what it suggests.
        one_aim: whether it looks at the first objective only, so that a session with several refuses it.
        as_given: whether it tries somebody's list as it is, near twins of what failed included.
        maximize: whether larger values are better.
    """

    name: ClassVar[str]
    needs_fidelity: ClassVar[bool] = False
    resumes: ClassVar[bool] = False
    uses_priors: ClassVar[bool] = False
    one_aim: ClassVar[bool] = False
    as_given: ClassVar[bool] = False
    maximize: bool

    @abstractmethod
    def suggest(self, space: Space, trials: Sequence[Trial], n: int, rng: np.random.Generator) -> Sequence[Suggestion]:
        """See `Method.suggest`."""

    def check(self, space: Space) -> None:
        """Nothing, where the method can tune a space.

        Args:
            space: what would be tuned.

        Raises:
            InvalidSettings: it cannot; the text says why, and what to do.
        """
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
            if trial.outcome in UNUSABLE_OUTCOMES:
                tried.bad.append((configuration, trial))
        return tried


class Known:
    """What a suggestion must not repeat: what was tried, and the near twins of what diverged or was invalid.

    `failed` trials do not count, since nothing was seen. Twins have the same options, and each number within `TWIN_SHARE` of its
    scale; the fidelity does not matter, as what cannot be built cannot be built for longer either.
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
        twins = (trial for bad, trial in chain(settled, self._later.bad) if _are_twins(self._space, configuration, bad))
        return next(twins, None)

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
    choices = {parameter.name: parameter.domain for parameter in space if isinstance(parameter.domain, Choice)}

    def restricted(configuration: Configuration) -> Configuration:
        values = dict(configuration)
        for name in values.keys() - names:
            del values[name]
        for name in values.keys() & choices.keys():
            if not choices[name].holds(values[name]):
                del values[name]
        return configuration if len(values) == len(configuration) else Configuration(values)

    return restricted


def is_there(domain: Domain, value: Value) -> bool:
    """Whether a value is one still: an option may have been left out since."""
    return not isinstance(domain, Choice) or domain.holds(value)


def fits(space: Space, trial: Trial) -> bool:
    """Whether each option that the trial had is one still: a model would take another one in its place for what it was."""
    configuration = trial.configuration
    return all(is_there(space[name].domain, value) for name, value in configuration.items() if name in space)


def modelled(value: float) -> float:
    """A value as a model takes it, which computes squares: beyond 1e100 on a scale of magnitudes, so that the order stays."""
    if abs(value) <= LARGEST_MODELLED:
        return value
    return math.copysign(LARGEST_MODELLED * (1 + math.log10(abs(value) / LARGEST_MODELLED)), value)


def has_value(trial: Trial) -> bool:
    """Whether the trial ended with a value that says how good its configuration is."""
    return not trial.is_open and value_of(trial) is not None


def is_infeasible(trial: Trial) -> bool:
    """Whether it ended with a value, but cannot be chosen.

    Args:
        trial: any.

    Returns:
        True where it misses what is required, or was vetoed.
    """
    return (
        not trial.is_open
        and not trial.is_feasible
        and trial.outcome not in VALUELESS_OUTCOMES
        and recorded_value(trial) is not None
    )


def is_bad(trial: Trial) -> bool:
    """Whether a trial ranks below every one that can be chosen.

    Args:
        trial: any.

    Returns:
        True where it is infeasible, or could not be trained at all.
    """
    return trial.outcome in UNUSABLE_OUTCOMES or is_infeasible(trial)


def misses_by(trial: Trial) -> float:
    """How bad a trial is that cannot be chosen.

    Args:
        trial: one that is bad, see `is_bad`.

    Returns:
        What it misses, above 0; more than that where it was vetoed, and most where it could not be trained.
    """
    if trial.outcome in UNUSABLE_OUTCOMES:
        return 2 * WORST_MISS
    return WORST_MISS if trial.veto else trial.violation


def bad_last(trials: Iterable[Trial], maximize: bool) -> list[Trial]:
    """The trials that something is learnt from, in order.

    Args:
        trials: any.
        maximize: whether larger values are better.

    Returns:
        Those with a value, the best first, and then those that cannot be chosen, by how much they miss.
    """
    return [placed.trial for placed in _ranked(trials, maximize)]


def by_value(trials: Iterable[Trial], maximize: bool) -> list[Trial]:
    """The trials with a value, the best first; of equals the earlier one."""
    return [placed.trial for placed in _ranked(trials, maximize) if not placed.bad]


class _Placed(NamedTuple):
    """A trial that something is learnt from, with what it is ranked by: the least comes first, and no two are equal."""

    bad: bool
    cost: float
    number: int
    trial: Trial


def _ranked(trials: Iterable[Trial], maximize: bool) -> Sequence[_Placed]:
    listed = trials if isinstance(trials, Sequence) else tuple(trials)
    settled, later = fold(listed, ("ranked", maximize), list[_Placed], partial(_with_placed, maximize))
    unsettled = [placed for trial in later if (placed := _placed(maximize, trial)) is not None]
    return sorted([*settled, *unsettled], key=itemgetter(0, 1, 2)) if unsettled else settled


def _with_placed(maximize: bool, ranked: list[_Placed], trial: Trial) -> list[_Placed]:
    """A new list, as an older view may be looking at the one before."""
    placed = _placed(maximize, trial)
    if placed is None:
        return ranked
    at = bisect(ranked, placed[:3], key=itemgetter(slice(3)))
    return [*ranked[:at], placed, *ranked[at:]]


def _placed(maximize: bool, trial: Trial) -> _Placed | None:
    """Where a trial belongs; None where nothing is learnt from it."""
    if is_bad(trial):
        return _Placed(True, misses_by(trial), trial.number, trial)
    value = None if trial.is_open else value_of(trial)
    return None if value is None else _Placed(False, -sign_of(maximize) * value, trial.number, trial)


def first_fresh(known: Known, propose: Callable[[], Configuration], tries: int) -> tuple[Configuration, str] | None:
    """The first proposal that nothing speaks against.

    Args:
        known: what must not be repeated.
        propose: makes a proposal.
        tries: how many are looked at.

    Returns:
        The proposal, and what was avoided before it ("; a repeat was avoided" or ""); None where all were refused.
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
    proposal = first_fresh(known, lambda: space.sample(rng), DRAWS)
    if proposal is None and _is_finite(space):
        rest = [configuration for configuration in islice(every(space), MOST_ENUMERATED) if configuration not in known]
        good = [configuration for configuration in rest if known.why_not(configuration) is None] or rest
        if good:
            proposal = good[int(rng.integers(len(good)))], "; a repeat was avoided"
    if proposal is None:
        drawn = space.sample(rng)
        repeated, twin = known.repeated(drawn), known.twin(drawn)
        of = f"repeats {repeated}" if repeated else f"is a near twin of trial {twin.number}" if twin else ""
        avoided = f"; it {of}, since no untried configuration was found" if of else ""
        proposal = drawn, avoided
    drawn, avoided = proposal
    known.add(drawn)
    return Suggestion(drawn, what + avoided)


def draw_untried(space: Space, trials: Sequence[Trial], n: int, rng: np.random.Generator, why: str) -> list[Suggestion]:
    """Distinct uniform draws that repeat no trial and are no near twins of what could not be trained.

    Args:
        space: what is drawn from.
        trials: those so far.
        n: how many draws.
        rng: the source of chance that `suggest` was given.
        why: the explanation of each; what was avoided is added to it.

    Returns:
        `n` suggestions. One repeats a trial only where nothing untried was found, and then says so.
    """
    known = Known(space, trials)
    return [fresh_draw(space, known, rng, why) for _ in range(n)]


def every(space: Space) -> Iterator[Configuration]:
    """All configurations of a space whose domains are finite, in the order of its hyperparameters and their values."""
    levels = {hyperparameter.name: values_of(hyperparameter.domain) for hyperparameter in space}
    yield from map(space.configuration, combinations(space, levels))


def combinations(space: Space, levels: Mapping[str, Sequence[Value]]) -> Iterator[dict[str, Value]]:
    """Every combination of the levels of what is active that keeps the constraints; the last hyperparameter changes fastest."""
    yield from filter(space.keeps_constraints, _branches(space, levels, 0, {}))


def _branches(
    space: Space, levels: Mapping[str, Sequence[Value]], depth: int, values: dict[str, Value]
) -> Iterator[dict[str, Value]]:
    if depth == len(space.hyperparameters):
        yield values
        return
    hyperparameter = space.hyperparameters[depth]
    if not space.is_active(hyperparameter, values):
        yield from _branches(space, levels, depth + 1, values)
        return
    for option in levels[hyperparameter.name]:
        yield from _branches(space, levels, depth + 1, {**values, hyperparameter.name: option})


def check_counts(method: str, **counts: object) -> None:
    """InvalidSettings where a setting that counts something is no whole number above 0: they come from JSON and command lines."""
    for what, value in counts.items():
        if type(value) is not int or value < 1:
            raise InvalidSettings(f"method {method!r}: {what} is {value!r}, expected a whole number above 0")


def _are_twins(space: Space, first: Configuration, second: Configuration) -> bool:
    if first.keys() != second.keys():
        return False
    compared = [hyperparameter for hyperparameter in space if hyperparameter.name in first and not hyperparameter.fidelity]
    return bool(compared) and all(
        apart(hyperparameter.domain, first[hyperparameter.name], second[hyperparameter.name]) <= TWIN_SHARE
        for hyperparameter in compared
    )


def _is_finite(space: Space) -> bool:
    return all(is_finite(hyperparameter.domain) for hyperparameter in space)
