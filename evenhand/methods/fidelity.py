"""Methods that train many configurations for a few epochs, and the best of them for longer: each goes on from where it was.

A rung is a number of epochs; between two rungs lies the factor `eta`. A promotion is a trial of the same configuration with the
next rung's epochs that resumes the earlier one.
"""

import math
from abc import abstractmethod
from bisect import bisect_left
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial, reduce
from typing import ClassVar

import numpy as np

from evenhand.errors import InvalidSettings
from evenhand.methods import beliefs, explanations
from evenhand.methods.base import (
    BaseMethod,
    Known,
    Suggestion,
    by_value,
    first_fresh,
    fits,
    fresh_draw,
    has_value,
    is_infeasible,
    within,
)
from evenhand.methods.encoding import Encoding
from evenhand.methods.variation import acceptable, mutated
from evenhand.model.configuration import Configuration
from evenhand.model.domain import Integer, Value, nearest, values_of
from evenhand.model.space import Space
from evenhand.model.trial import UNUSABLE_OUTCOMES, Trial
from evenhand.model.trial_history import fold

TRIES = 50
NEAR_DEVIATION = 0.25  # standard deviation of what lies around the incumbent, as PriorBand perturbs it
Plain = Configuration  # without its epochs
Fresh = Callable[[int, int], Suggestion]  # a new configuration for a rung: its epochs, its number


@dataclass(frozen=True)
class Ladder:
    """What the trials so far say of each rung. rungs: epochs, rising. there: by rung and configuration the trial that was there.

    Anybody's trials count: one stands on every rung whose epochs it has completed, by the value at its end. One that could not be
    trained stands below all others. seen: what is kept of trials from one suggestion to the next.
    """

    space: Space
    rungs: tuple[int, ...]
    there: tuple[Mapping[Plain, Trial], ...]
    maximize: bool
    seen: "_Seen"

    @classmethod
    def of(cls, space: Space, trials: Sequence[Trial], eta: int, smallest: int, maximize: bool) -> "Ladder":
        rungs = rungs_of(space, eta, smallest)
        place = partial(_Seen.place, space, rungs)
        settled, later = fold(trials, ("ladder", space, rungs), lambda: _Seen(tuple({} for _ in rungs)), place)
        last = trials[len(trials) - len(later) - 1].number if len(later) < len(trials) else 0
        there = tuple({plain: trial for plain, trial in rung.items() if trial.number <= last} for rung in settled.there)
        seen = reduce(place, later, _Seen(there, settled.plain, settled.able))
        return cls(space, rungs, seen.there, maximize, seen)

    def done(self, at: int) -> list[Trial]:
        """Trials on a rung that have ended, the best first."""
        ended = [trial for trial in self.there[at].values() if not trial.is_open]
        return by_value(ended, self.maximize) + [trial for trial in ended if not has_value(trial)]

    def promotable(self, at: int, count: int) -> list[Trial]:
        """Of the best `count` of a rung, those with a value that no trial has taken to the next one."""
        next_one = self.there[at + 1]
        best = (trial for trial in self.done(at)[:count] if has_value(trial) and self.plain(trial) not in next_one)
        return [trial for trial in best if self.can_go_on(trial) and self.space.keeps_constraints(self._promoted(trial, at))]

    def can_go_on(self, trial: Trial) -> bool:
        """Whether the space still takes what the trial had: limits may have been set since, and nothing else can be resumed."""
        if trial.number not in self.seen.able:
            taken = without_epochs(self.space, Configuration(acceptable(self.space, trial.configuration)))
            self.seen.able[trial.number] = taken == self.plain(trial) and fits(self.space, trial)
        return self.seen.able[trial.number]

    def plain(self, trial: Trial) -> Plain:
        """The trial's configuration without its epochs."""
        return self.seen.plain[trial.number]

    def _promoted(self, trial: Trial, at: int) -> dict[str, Value]:
        """The trial's values with the epochs of the next rung."""
        assert self.space.fidelity is not None
        return {**acceptable(self.space, trial.configuration), self.space.fidelity.name: self.rungs[at + 1]}

    def promotion(self, trial: Trial, at: int, rank: int, count: int) -> Suggestion:
        """The trial taken from a rung to the next, as it has this rank of so many."""
        epochs = self.rungs[at + 1]
        values = self._promoted(trial, at)
        resumes = trial.number if trial.epochs_done < epochs else None
        reason = f"promoted to {epochs} epochs: {explanations.called(trial)} is {explanations.place(rank, count)} at"
        return Suggestion(self.space.configuration(values), f"{reason} {self.rungs[at]} epochs; goes on from there", resumes)


@dataclass(frozen=True)
class _Seen:
    """Trials by rung and plain configuration; by their numbers each one's plain configuration, and whether it can go on."""

    there: tuple[dict[Plain, Trial], ...]
    plain: dict[int, Plain] = field(default_factory=dict)
    able: dict[int, bool] = field(default_factory=dict)

    @staticmethod
    def place(space: Space, rungs: Sequence[int], seen: "_Seen", trial: Trial) -> "_Seen":
        """With one trial more."""
        plain = seen.plain.setdefault(trial.number, without_epochs(space, trial.configuration))
        for at, epochs in enumerate(rungs):
            if reaches(trial, epochs, rungs[0]):
                seen.there[at].setdefault(plain, trial)  # not the one that was promoted from it: it had more epochs
        return seen


def rungs_of(space: Space, eta: int, smallest: int) -> tuple[int, ...]:
    """The epochs of each rung: from the largest down by factors of eta, as long as they are at least `smallest`; of a domain with
    steps those that it has.
    """
    assert space.fidelity is not None
    domain = space.fidelity.domain
    assert isinstance(domain, Integer)
    steps = values_of(domain)
    low, high = steps[min(bisect_left(steps, smallest), len(steps) - 1)], steps[-1]
    count = int(math.log(high / low) / math.log(eta) + 1e-9) if low < high else 0
    return tuple(dict.fromkeys(nearest(domain, max(low, round(high / eta**power))) for power in range(count, -1, -1)))


def without_epochs(space: Space, configuration: Configuration) -> Plain:
    """The configuration without its epochs."""
    fidelity = space.fidelity
    return Configuration(
        {name: value for name, value in within(space, configuration).items() if fidelity is None or name != fidelity.name}
    )


def reaches(trial: Trial, epochs: int, smallest: int) -> bool:
    """Whether a trial stands on a rung: it has completed its epochs, is on the way there, or could not be trained at all."""
    if trial.is_open:
        return trial.epochs_planned >= epochs
    if trial.outcome in UNUSABLE_OUTCOMES:
        return epochs <= max(smallest, trial.epochs_planned)
    return (has_value(trial) or is_infeasible(trial)) and trial.epochs_done >= epochs


@dataclass(frozen=True)
class _Halving(BaseMethod):
    """What the methods share: their settings, the ladder, and what is drawn for a rung."""

    needs_fidelity: ClassVar[bool] = True
    resumes: ClassVar[bool] = True
    one_aim: ClassVar[bool] = True
    eta: int = 3
    smallest: int = 1

    def __post_init__(self) -> None:
        if type(self.eta) is not int or self.eta < 2:
            raise InvalidSettings(f"method {self.name!r}: eta is {self.eta!r}, expected a whole number from 2")
        if type(self.smallest) is not int or self.smallest < 1:
            raise InvalidSettings(
                f"method {self.name!r}: smallest is {self.smallest!r}, expected a whole number of epochs above 0"
            )

    def suggest(self, space: Space, trials: Sequence[Trial], n: int, rng: np.random.Generator) -> list[Suggestion]:
        """`n` promotions and new configurations; in a space without epochs, random draws."""
        known = Known(space, trials)
        if space.fidelity is None:
            return [fresh_draw(space, known, rng, "random draw, as no hyperparameter says for how many epochs") for _ in range(n)]
        ladder = Ladder.of(space, trials, self.eta, self.smallest, self.maximize)

        def fresh(epochs: int, at: int) -> Suggestion:
            return self._fresh(space, ladder, known, epochs, at, rng)

        suggestions: list[Suggestion] = []
        for _ in range(n):
            suggestion = self._one(ladder, trials, suggestions, fresh)
            if suggestion is None:
                break
            known.add(suggestion.configuration)
            suggestions.append(suggestion)
        return suggestions

    @abstractmethod
    def _one(self, ladder: Ladder, trials: Sequence[Trial], made: Sequence[Suggestion], fresh: Fresh) -> Suggestion | None:
        """The next suggestion after those of the same call; None where an open trial has to end first."""

    def _fresh(self, space: Space, ladder: Ladder, known: Known, epochs: int, at: int, rng: np.random.Generator) -> Suggestion:
        """A new configuration for a rung; its plain form is on no rung yet where that can be had."""
        seen = ladder.there[0]

        def propose() -> Configuration:
            for _ in range(TRIES):
                drawn = _with_epochs(space, space.sample(rng), epochs)
                if without_epochs(space, drawn) not in seen:
                    break
            return drawn

        return _first(space, known, propose, f"random draw for {epochs} epochs", rng)


def _first(space: Space, known: Known, propose: Callable[[], Configuration], what: str, rng: np.random.Generator) -> Suggestion:
    proposal = first_fresh(known, propose, TRIES)
    return fresh_draw(space, known, rng, "random draw") if proposal is None else Suggestion(proposal[0], what + proposal[1])


def _with_epochs(space: Space, configuration: Mapping[str, object], epochs: int) -> Configuration:
    assert space.fidelity is not None
    values = {**configuration, space.fidelity.name: epochs}
    active_values: dict[str, object] = {}
    for hyperparameter in space:  # other epochs may switch on what was off, and the other way round
        if space.is_active(hyperparameter, active_values):
            active_values[hyperparameter.name] = values.get(
                hyperparameter.name,
                hyperparameter.domain.from_unit(0.5) if hyperparameter.mandatory else hyperparameter.default,
            )
    return space.near(active_values)


@dataclass(frozen=True)
class ASHA(_Halving):
    """Asynchronous successive halving: whenever a trial can be promoted it is, else a new configuration begins at the bottom.

    Source: Li et al., "A system for massively parallel hyperparameter tuning" (2020), algorithm 2.

    eta: one in so many of a rung is promoted, and trains so many times longer. smallest: epochs of the lowest rung.
    """

    name: ClassVar[str] = "asha"

    def _one(self, ladder: Ladder, trials: Sequence[Trial], made: Sequence[Suggestion], fresh: Fresh) -> Suggestion | None:
        taken = {without_epochs(ladder.space, suggestion.configuration) for suggestion in made if suggestion.resumes is not None}
        for at in range(len(ladder.rungs) - 2, -1, -1):
            ranked = ladder.done(at)
            for trial in ladder.promotable(at, len(ranked) // self.eta):
                if ladder.plain(trial) not in taken:
                    return ladder.promotion(trial, at, ranked.index(trial) + 1, len(ranked))
        return fresh(ladder.rungs[0], 0)


@dataclass(frozen=True)
class Hyperband(_Halving):
    """Brackets of successive halving, one after the other: from many configurations for few epochs to few for many.

    Source: Li et al., "Hyperband: a novel bandit-based approach to hyperparameter optimization" (2018), algorithm 1.

    New configurations fill the brackets in order, each by the epochs that it begins with; a person's with others is in none. A
    rung is promoted when all of it has ended; where more may run at once than its rest, the next bracket begins meanwhile.

    eta, smallest: see `asha`.
    """

    name: ClassVar[str] = "hyperband"

    def _one(self, ladder: Ladder, trials: Sequence[Trial], made: Sequence[Suggestion], fresh: Fresh) -> Suggestion | None:
        begun = defaultdict(list)
        went_on: dict[int, Trial] = {}  # the last trial that resumed one, by the number of the one
        for trial in trials:
            if trial.resumes is None:
                begun[trial.epochs_planned].append(trial)
            else:
                went_on[trial.resumes] = trial
        ahead = Counter(self._epochs(ladder, suggestion) for suggestion in made if suggestion.resumes is None)
        taken = {without_epochs(ladder.space, suggestion.configuration) for suggestion in made if suggestion.resumes is not None}
        used: Counter[int] = Counter()
        for size, lowest in brackets(len(ladder.rungs), self.eta):
            epochs = ladder.rungs[lowest]
            mine = begun[epochs][used[epochs] : used[epochs] + size]
            used[epochs] += size
            if used[epochs] > len(begun[epochs]) + ahead[epochs]:
                return fresh(epochs, lowest)
            if len(mine) == size and (promotion := self._promotion(ladder, mine, went_on, lowest, taken)) is not None:
                return promotion
        raise AssertionError("brackets never end")

    def _epochs(self, ladder: Ladder, suggestion: Suggestion) -> int:
        assert ladder.space.fidelity is not None
        return int(suggestion.configuration.number(ladder.space.fidelity.name))

    def _promotion(
        self, ladder: Ladder, mine: Sequence[Trial], went_on: Mapping[int, Trial], lowest: int, taken: set[Plain]
    ) -> Suggestion | None:
        """The bracket's next promotion; None where it is at its end, or waits for a trial."""
        alive = {ladder.plain(member): member for member in mine}
        for at in range(lowest, len(ladder.rungs) - 1):
            if any(member.is_open for member in alive.values()):
                return None
            ranked = by_value(alive.values(), self.maximize)
            kept = [member for member in ranked[: len(alive) // self.eta] if ladder.can_go_on(member) or member.number in went_on]
            going_on: dict[Plain, Trial] = {}
            for rank, trial in enumerate(kept, start=1):
                plain = ladder.plain(trial)
                if (higher := went_on.get(trial.number)) is not None:
                    going_on[plain] = higher
                elif plain not in taken:
                    return ladder.promotion(trial, at, rank, len(alive))
            if len(going_on) < len(kept):
                return None
            alive = going_on
        return None


def brackets(rungs: int, eta: int) -> Iterator[tuple[int, int]]:
    """Bracket after bracket, for ever: how many configurations begin, and on which rung (from 0)."""
    top = rungs - 1
    while True:
        for steps in range(top, -1, -1):
            yield math.ceil((top + 1) * eta**steps / (steps + 1)), top - steps


@dataclass(frozen=True)
class PriorBand(Hyperband):
    """Hyperband that draws from the prior and around the best configuration so far, as well as uniformly.

    Source: Mallik et al., "PriorBand: practical hyperparameter optimization in the age of deep learning" (2023), section 5. A
    uniform draw has the chance 1 / (1 + eta^r) on rung r; the rest is shared by the prior and the incumbent's surroundings, in
    proportion to how likely each makes the best third of the highest rung that has enough trials. Until a trial was
    trained for the most epochs there is no incumbent. Without any belief the prior is uniform.
    """

    name: ClassVar[str] = "priorband"
    uses_priors: ClassVar[bool] = True

    def _fresh(self, space: Space, ladder: Ladder, known: Known, epochs: int, at: int, rng: np.random.Generator) -> Suggestion:
        uniform = 1 / (1 + self.eta**at)
        incumbent = next(iter(by_value(ladder.done(len(ladder.rungs) - 1), self.maximize)), None)
        around = 0.0 if incumbent is None else (1 - uniform) * self._share(space, ladder, incumbent)
        draw = rng.random()
        if incumbent is not None and draw < around:
            base = acceptable(space, incumbent.configuration)

            def near() -> Configuration:
                chances = [0.5] * len(space.hyperparameters)
                return _with_epochs(space, mutated(space, base, rng, chances, NEAR_DEVIATION), epochs)

            return _first(space, known, near, f"near the incumbent, {explanations.called(incumbent)}, for {epochs} epochs", rng)
        if draw < 1 - uniform and beliefs.believed(space):

            def believed() -> Configuration:
                return _with_epochs(space, space.at(beliefs.draws(space, 1, rng)[0]), epochs)

            return _first(space, known, believed, f"from your prior ({beliefs.told(space)}), for {epochs} epochs", rng)
        return super()._fresh(space, ladder, known, epochs, at, rng)

    def _share(self, space: Space, ladder: Ladder, incumbent: Trial) -> float:
        """The incumbent's part of what is not uniform: its likelihood of the best trials, against the prior's (section 5.2)."""
        at = next((rung for rung in range(len(ladder.rungs) - 1, -1, -1) if len(ladder.done(rung)) >= self.eta), 0)
        ranked = [trial for trial in by_value(ladder.done(at), self.maximize) if fits(space, trial)]
        best = ranked[: max(self.eta, len(ranked) // self.eta)]
        if not best:
            return 0.5
        encoding = Encoding(space)
        points = np.array([encoding.point(within(space, trial.configuration)) for trial in best])
        weights = np.arange(len(best), 0, -1) / len(best)
        prior = np.exp(beliefs.log_density(space, points))
        steps = (points - np.array(encoding.point(within(space, incumbent.configuration)))) / NEAR_DEVIATION
        near = np.exp(-(steps**2) / 2).prod(axis=1) / (NEAR_DEVIATION * math.sqrt(2 * math.pi)) ** points.shape[1]
        of_incumbent, of_prior = float((weights * near).sum()), float((weights * prior).sum())
        return of_incumbent / (of_incumbent + of_prior) if of_incumbent + of_prior > 0 else 0.5
