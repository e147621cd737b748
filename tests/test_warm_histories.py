"""A method suggests the same whether it has seen a session grow, sees it for the first time, or sees an older state of it."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import optuna
import pytest

from evenhand import methods
from evenhand.methods import tpe_sampler
from evenhand.methods.base import Method, bad_last, by_value, has_value, is_bad, misses_by
from evenhand.methods.explanations import nearest
from evenhand.methods.optuna_history import frozen
from evenhand.methods.rows import FIRST_ROWS, Rows
from evenhand.model.direction import best_first
from evenhand.model.domain import Choice
from evenhand.model.space import Space
from evenhand.model.trial import Trial
from evenhand.model.trial_history import Trials
from evenhand.testing.methods import MIXED_SPACE, SPACE
from tests.tuner_contract import ended, history, suggest

COUNT = 60
LENGTHS = (9, 14, 40, 60)  # of the session when its methods are asked, the first within a start-up
BESIDE = [("size", "minimize")]
SETTINGS: dict[str, list[dict[str, Any]]] = {"tpe": [{}, {"beside": BESIDE}], "cmaes": [{}], "evolution": [{}]}
ASKED = [(name, settings) for name, several in SETTINGS.items() for settings in several]
FEWER_OPTIONS = Choice(("adam", "sgd"))  # some trials have an option that is none any more
NARROWED = Space([replace(one, domain=FEWER_OPTIONS) if one.name == "optimizer" else one for one in SPACE])


def judged(space: Space, seed: int = 5) -> list[Trial]:
    """Every outcome, and of those with a value some that miss a requirement, were vetoed, or lack the second metric."""
    trials = history(space, COUNT + 1, seed)[:COUNT]
    return [
        replace(
            trial,
            violation=trial.number / 100 if trial.number % 7 == 0 else 0.0,
            veto="too jumpy" if trial.number % 11 == 0 else "",
            extra={} if trial.value is None or trial.number % 13 == 0 else {"size": float(trial.number * 37 % 50)},
        )
        for trial in trials
    ]


def seen_after(trials: Sequence[Trial], length: int) -> list[Trial]:
    """The first `length`, of which some of the last end later than those that came after them."""
    return [
        replace(trial, outcome=None, finished_at=None, value=None, epochs_done=0)
        if trial.number > length - 5 and trial.number % 3 == 0
        else trial
        for trial in trials[:length]
    ]


def made(name: str, maximize: bool, settings: dict[str, Any]) -> Method:
    return methods.method(name, maximize=maximize, **settings)


def grown(before: Trials, trials: Sequence[Trial]) -> Trials:
    """The session as it is read later: only what had not ended is read."""
    return before.then(trials[before.settled :])


@pytest.mark.slow
@pytest.mark.parametrize(("name", "settings"), ASKED)
def test_cold_and_warm_agree(name: str, settings: dict[str, Any]) -> None:
    """Two sessions of different spaces and directions grow in turn in one process."""
    histories = {(space, maximize): judged(space) for space, maximize in ((SPACE, True), (MIXED_SPACE, False), (SPACE, False))}
    growing = {key: Trials(()) for key in histories}
    living = {key: made(name, key[1], settings) for key in histories}
    for length in LENGTHS:
        for (space, maximize), trials in histories.items():
            now = seen_after(trials, length)
            older = growing[space, maximize]
            growing[space, maximize] = newer = grown(older, now)
            cold = suggest(made(name, maximize, settings), space, now, n=3)
            assert suggest(living[space, maximize], space, newer, n=3) == cold
            assert suggest(living[space, maximize], space, newer, n=3) == cold, "asked again"
            assert suggest(made(name, maximize, settings), space, Trials(now), n=3) == cold, "after a restart"
            assert suggest(living[space, maximize], space, older) == suggest(living[space, maximize], space, tuple(older))
            narrow = NARROWED if space is SPACE else space
            assert suggest(living[space, maximize], narrow, newer) == suggest(living[space, maximize], narrow, now)


@pytest.mark.slow
@pytest.mark.parametrize(("name", "settings"), ASKED)
def test_another_outcome_is_seen(name: str, settings: dict[str, Any]) -> None:
    """As where a trial that has ended is vetoed: the session is read anew."""
    method, trials = made(name, True, settings), judged(SPACE)
    before = suggest(method, SPACE, Trials(trials), n=3)
    vetoed = best_first(trials, maximize=True)[:5]
    changed = [replace(trial, veto="no") if trial in vetoed else trial for trial in trials]
    after = suggest(method, SPACE, Trials(changed), n=3)
    assert after == suggest(method, SPACE, changed, n=3)
    assert after != before
    assert suggest(method, SPACE, Trials(trials), n=3) == before


@pytest.mark.slow
@pytest.mark.parametrize("maximize", [True, False])
def test_the_sampler_gives_what_optunas_own_gives(maximize: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    assert optuna.__version__.startswith(tpe_sampler.KNOWN_RELEASE), "compare `Model` with Optuna's, then name this one"
    for space, seed in ((SPACE, 5), (SPACE, 6), (MIXED_SPACE, 5)):
        trials, growing = judged(space, seed), Trials(())
        for length in LENGTHS:
            growing = grown(growing, seen_after(trials, length))
            ours = suggest(made("tpe", maximize, {}), space, growing, n=3)
            with monkeypatch.context() as patched:
                patched.setattr(tpe_sampler, "KNOWN_RELEASE", "none")
                assert suggest(made("tpe", maximize, {}), space, growing, n=3) == ours
                plain = tpe_sampler.model(space, growing, maximize, (), 24, 0)
            assert isinstance(plain, optuna.Study)
            assert type(plain.sampler) is optuna.samplers.TPESampler
            assert isinstance(tpe_sampler.model(space, growing, maximize, (), 24, 0), tpe_sampler.Model)


@pytest.mark.slow
@pytest.mark.parametrize("missing", [0, 200])
def test_many_trials_are_split_as_optuna_does(missing: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """More than 25 are good, with ties, or have been bad; or so few have a value that of the bad ones the least are good."""
    trials = []
    for number in range(1, 421):
        trial = ended(number, SPACE.sample(np.random.default_rng(number)), round(number % 97 / 97, 1))
        trials.append(replace(trial, violation=2 - number / 200) if 10 < number <= 10 + missing else trial)
    trials = trials[: 10 + missing] if missing else trials
    ours = suggest(made("tpe", True, {}), SPACE, Trials(trials), n=2)
    assert "random" not in ours[0].explanation
    monkeypatch.setattr(tpe_sampler, "KNOWN_RELEASE", "none")
    assert suggest(made("tpe", True, {}), SPACE, Trials(trials), n=2) == ours


def test_what_was_settled_before_stays_while_more_is_added() -> None:
    """As one who looks at a session does, while somebody else reads on."""
    views = [tpe_sampler.Settled.none(SPACE)]
    for trial in judged(SPACE):
        frozen_trial = frozen(SPACE, trial)
        if frozen_trial is not None and not trial.is_open:
            views.append(views[-1].add(frozen_trial, True))
    for count, settled in enumerate(views):
        assert [trial.number for trial in settled.first()] == list(range(count))
        assert len(settled.rows.matrix) == count
        assert {trial.number for trial in [*settled.candidates(), *settled.kinds.values()]} <= set(range(count))


@pytest.mark.parametrize("maximize", [True, False])
def test_ranks_are_those_of_sorting(maximize: bool) -> None:
    trials, growing = judged(SPACE), Trials(())
    for length in range(COUNT + 1):
        now = seen_after(trials, length)
        older, growing = growing, grown(growing, now)
        for view in (growing, older):
            valued = best_first((trial for trial in view if has_value(trial)), maximize)
            assert by_value(view, maximize) == by_value(iter(view), maximize) == valued
            bad = sorted(filter(is_bad, view), key=lambda trial: (misses_by(trial), trial.number))
            assert bad_last(view, maximize) == valued + bad


def test_the_nearest_is_the_same_however_the_trials_are_given() -> None:
    trials, growing, rng = judged(SPACE), Trials(()), np.random.default_rng(3)
    for length in range(1, COUNT + 1):
        now = seen_after(trials, length)
        growing = grown(growing, now)
        asked, among = SPACE.sample(rng), [now[at] for at in rng.permutation(length)[: 1 + length // 2]]
        near = nearest(SPACE, asked, among)
        assert near in among
        assert nearest(SPACE, asked, among, growing) == nearest(SPACE, asked, among, now) == near
        assert nearest(SPACE, now[-1].configuration, now, growing).configuration == now[-1].configuration


def test_rows_that_come_later_change_nothing_of_those_before() -> None:
    views = [Rows.none(2)]
    for at in range(3 * FIRST_ROWS):
        views.append(views[-1].add((at, -at)))
    for count, rows in enumerate(views):
        assert rows.count == count
        assert rows.matrix.tolist() == [[at, -at] for at in range(count)]
