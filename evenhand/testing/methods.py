"""The contract of methods: what everyone may count on, whoever wrote the method.

Histories hold people's trials and every outcome, as a session shows them.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from copy import deepcopy
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np

from evenhand import (
    Choice,
    Condition,
    Configuration,
    EvenhandError,
    Float,
    Hyperparameter,
    Integer,
    InvalidSettings,
    Method,
    Outcome,
    Space,
    Stopper,
    Suggestion,
    Trial,
    load_method,
    why_no_suggestion,
)
from evenhand.testing.broken import Broken, ask, elsewhere

SPACE = Space(
    [
        Hyperparameter("epochs", Integer(1, 20), fidelity=True),
        Hyperparameter("batch_size", Integer(8, 512, log=True)),
        Hyperparameter("optimizer", Choice(("adam", "sgd", "adagrad"))),
        Hyperparameter("width", Choice(("16", "32", "64", "128"), ordered=True), default="32"),
        Hyperparameter("learning_rate", Float(1e-5, 1, log=True), default=0.001),
        Hyperparameter("weight_decay", Float(1e-6, 0.1, log=True, or_zero=True), default=0),
        Hyperparameter("dropout", Float(0, 0.5), default=0),
        Hyperparameter("momentum", Float(0, 0.99), default=0, condition=Condition("optimizer", ("sgd",))),
        Hyperparameter("nesterov", Choice(("no", "yes")), default="no", condition=Condition("optimizer", ("sgd",))),
        Hyperparameter("beta1", Float(0.5, 0.999), default=0.9, condition=Condition("optimizer", ("adam",))),
    ]
)
NUMBER_SPACE = Space(
    [Hyperparameter("x", Float(0, 1)), Hyperparameter("y", Float(1e-3, 10, log=True)), Hyperparameter("k", Integer(1, 50))]
)
MIXED_SPACE = Space(
    [
        Hyperparameter("epochs", Integer(1, 9), fidelity=True),
        Hyperparameter("warmup", Integer(0, 8)),
        Hyperparameter("features", Choice((0.8, "sqrt", None, True, 1, "1"))),
        Hyperparameter("hidden", Choice(((8,), (16, 8), (32, 16, 8)), ordered=True)),
        Hyperparameter("dropout", Float(0, 0.5, step=0.1), default=0.0),
        Hyperparameter("units", Integer(8, 64, step=8), condition=Condition("warmup", above=2)),
        Hyperparameter("share", Float(0.999, 0.99999), condition=Condition("features", (None, 1)) & Condition("warmup", below=6)),
    ],
    constraints=["warmup < epochs", "units <= 32 or dropout > 0.1"],
)  # options of every kind, steps, conditions of every kind, constraints
SMALL_SPACE = Space([Hyperparameter("width", Integer(1, 3)), Hyperparameter("kind", Choice(("a", "b")))])  # six configurations
LINE_SPACE = Space([Hyperparameter("k", Integer(1, 6))])  # six configurations, of a number
ENDINGS = (Outcome.COMPLETED, Outcome.COMPLETED, Outcome.STOPPED, Outcome.DIVERGED, Outcome.INVALID, Outcome.FAILED)
BEST_RATES = {"adam": -3.0, "sgd": -1.0, "adagrad": -2.0}  # the best learning rate's exponent of ten, by optimizer
TWIN_SHARE = 0.02  # of each scale: no farther from what could not be trained is a near twin of it
SUGGESTIONS_AT_ONCE = 8
LONG = 60  # trials of a long history
LENGTHS = (*range(10), 24, 25, 42, 43, LONG, LONG + 1)  # of the histories that a living method and a copy of it are asked after

Make = Callable[[bool], Method]  # a method that maximizes, or minimizes


def check_method(
    method: str | Method | Callable[..., Method], *, space: Space | None = None, settings: Mapping[str, Any] | None = None
) -> None:
    """Nothing, or an AssertionError that says which rule of methods was broken, with which input.

    The rules: `evenhand.tune` takes it; the same arguments give the same suggestions, also after a restart and in another
    process; each suggestion is a configuration of the space with an explanation; the history is not changed; several at once
    are distinct; what one goes on with is an ended trial of the same configuration with fewer epochs; what was tried is not
    proposed again while something is untried, nor what diverged or was invalid, or its near twins; what failed may come again;
    histories may hold what the space takes no more.

    Args:
        method: what `evenhand.tune` takes: a name, a class (or a function that makes a method), which gets `maximize` and `seed`
            where it takes them, or an object.
        space: what the method is for, where it refuses the spaces that are tried here: with conditions, with choices, of numbers
            only.
        settings: of a name or a class.

    Raises:
        Broken: an AssertionError: a rule was broken.
        InvalidSettings: settings were given beside an object, which has its own; or no method has the name.
    """
    make = partial(_make, method, dict(settings or {}))
    _check_name(make)
    spaces = [
        candidate
        for candidate in ([space] if space is not None else [SPACE, NUMBER_SPACE, MIXED_SPACE])
        if _takes(make(True), candidate) is None
    ]
    if not spaces:
        refused = _takes(make(True), space or SPACE)
        raise Broken(
            f"a method tunes a space: it refuses every one that is tried here ({refused}); give one it is for, as space="
        )
    chosen = spaces[0]
    for check in CHECKS:
        check(make, chosen)
    for small in (SMALL_SPACE, LINE_SPACE):
        if space is None and _takes(make(True), small) is None:
            check_repeats_are_avoided(make, small)
            check_failed_configurations_may_come_again(make, small)
            break
    check_another_process_suggests_the_same(make, chosen)


def _make(method: Any, settings: Mapping[str, Any], maximize: bool) -> Method:
    """The method that `evenhand.tune` would play: the object itself, or what its name or class makes."""
    is_object = not isinstance(method, str | type) and hasattr(method, "suggest")
    if is_object and settings:
        raise InvalidSettings(
            f"settings= is for a name, a class or a function that makes a method, and {method!r} is an object, whose settings "
            f"are its own; make it with {', '.join(settings)}, or give its class"
        )
    direction = getattr(method, "maximize", maximize) if is_object else maximize
    try:
        return load_method(method, maximize=direction, settings=settings)
    except EvenhandError as error:
        if isinstance(method, str):
            raise
        raise Broken(f"evenhand.tune takes it: {method!r} has a name and suggest, and can be made: {error}") from error


def _check_name(make: Make) -> None:
    names = [make(maximize).name for maximize in (True, True, False)]
    seen = f"three objects of one class are called {', '.join(map(repr, names))}"
    ask(len(set(names)) == 1, "a method has one name, which sessions and reports know it by", seen)


def _takes(method: Method, space: Space) -> str | None:
    """None where the method takes the space, else its own words."""
    refuse = getattr(method, "check", None)
    try:
        if refuse is not None:
            refuse(space)
    except InvalidSettings as error:
        return str(error)
    except Exception as error:
        rule = "check(space) raises evenhand.InvalidSettings where it cannot tune a space, and nothing else"
        raise Broken(f"{rule}: of {', '.join(space.names)} it raised {type(error).__name__}: {error}") from error
    return None


def accuracy(configuration: Configuration) -> float:
    """A smooth stand-in for a validation accuracy, of any space; in `SPACE` the best learning rate depends on the optimizer."""
    if not _is_of_ours(configuration):
        return float(
            np.mean([math.tanh(float(value)) for value in configuration.values() if not isinstance(value, str)] or [0.5])
        )
    distance = math.log10(configuration.number("learning_rate")) - BEST_RATES[str(configuration["optimizer"])]
    late = 0.3 * math.exp(-configuration.number("epochs", 20) / 5)
    return (
        0.95
        - 0.07 * distance**2
        - late
        - abs(configuration.number("dropout") - 0.04)
        - 0.9 * configuration.number("weight_decay")
    )


def _is_of_ours(configuration: Configuration) -> bool:
    """Whether a configuration is of `SPACE`: somebody's own space may use the same names for other things."""
    return (
        all(
            name in SPACE and isinstance(value, str) == isinstance(SPACE[name].domain, Choice)
            for name, value in configuration.items()
        )
        and configuration.get("optimizer") in BEST_RATES
        and configuration.number("learning_rate") > 0
    )


def ended(
    number: int, configuration: Configuration, value: float | None, outcome: Outcome = Outcome.COMPLETED, proposer: str = "tpe"
) -> Trial:
    """A trial that ended; without a value it ended in its first epoch."""
    epochs = configuration.get("epochs", 1)
    planned = int(epochs) if not isinstance(epochs, str) else 1
    done = 0 if value is None else planned
    return Trial(
        id=100 + number,
        session_id=1,
        number=number,
        configuration=configuration,
        proposer=proposer,
        submitted_at=float(number),
        epochs_planned=planned,
        claimed_at=float(number),
        attempt=1,
        finished_at=number + 0.5,
        outcome=outcome,
        why="out of memory" if outcome is Outcome.INVALID else None,
        stop_by=Stopper.TUNER if outcome is Outcome.STOPPED else None,
        value=value,
        epochs_done=done,
        epochs_begun=max(1, done),
    )


def history(space: Space, count: int, seed: int = 5) -> list[Trial]:
    """Trials with every outcome, some of them a person's, the last one still open."""
    rng = np.random.default_rng(seed)
    trials = []
    for number in range(1, count):
        outcome = ENDINGS[int(rng.integers(len(ENDINGS)))]
        configuration = space.sample(rng)
        score = accuracy(configuration) if _is_of_ours(configuration) else float(rng.random())
        value = score if outcome in (Outcome.COMPLETED, Outcome.STOPPED) and rng.random() < 0.9 else None
        outcome = Outcome.STOPPED if outcome is Outcome.COMPLETED and value is None else outcome
        trials.append(ended(number, configuration, value, outcome, proposer="P-07" if number % 3 == 0 else "tpe"))
    waiting = Trial(count + 100, 1, count, space.sample(rng), "tpe", float(count), 1)
    return [*trials, waiting]


def suggested(method: Method, space: Space, trials: Sequence[Trial], n: int = 1, seed: int = 1) -> list[Suggestion]:
    """What a method suggests, with a stream of its own for each seed and number of trials."""
    asked = f"asked for {n} after {len(trials)} trials of {', '.join(space.names)} (seed {seed}), it"
    try:
        suggestions = list(method.suggest(space, trials, n, np.random.default_rng([seed, len(trials)])))
    except Exception as error:
        raise Broken(f"a method suggests after any history: {asked} raised {type(error).__name__}: {error}") from error
    for suggestion in suggestions:
        wrong = why_no_suggestion(suggestion)
        ask(
            wrong is None, "each suggestion is an evenhand.Suggestion of a configuration, with an explanation", f"{asked} {wrong}"
        )
        if suggestion.resumes is not None:
            why = _why_not_resume(space, trials, suggestion)
            rule = "`resumes` names an ended trial of the same configuration, which has fewer epochs"
            ask(why is None, rule, f"{asked} gave {dict(suggestion.configuration)} with resumes={suggestion.resumes}: {why}")
    return suggestions


def _why_not_resume(space: Space, trials: Sequence[Trial], suggestion: Suggestion) -> str | None:
    """Why no training can go on so, in words; None where it can."""
    parent = next((trial for trial in trials if trial.number == suggestion.resumes), None)
    if space.fidelity is None:
        return "the space has no hyperparameter for epochs"
    if parent is None or parent.is_open or not parent.epochs_done:
        return "there is no such trial that has ended with a completed epoch"
    epochs = space.fidelity.name
    if {**suggestion.configuration, epochs: 0} != {**parent.configuration, epochs: 0}:
        return f"the trial's configuration is {dict(parent.configuration)}"
    more = suggestion.configuration.number(epochs) > parent.epochs_done
    return None if more else f"the trial has {parent.epochs_done} epochs already"


def played(make: Make, space: Space, count: int, seed: int) -> list[Trial]:
    """A whole session on `accuracy`, one trial after the other, until the method has no more to try."""
    trials: list[Trial] = []
    while len(trials) < count:
        suggestions = suggested(make(True), space, trials, seed=seed)
        if not suggestions:
            break
        trials.append(ended(len(trials) + 1, suggestions[0].configuration, accuracy(suggestions[0].configuration)))
    return trials


def check_same_arguments_same_suggestions(make: Make, space: Space) -> None:
    """The stream that is given decides all."""
    for trials in ([], history(space, 30)):
        first, again = (suggested(make(True), space, trials, n=3) for _ in range(2))
        evidence = f"after {len(trials)} trials it suggested {_show(first)}, then {_show(again)}"
        ask(first == again, "the same arguments give the same suggestions, every draw being from `rng`", evidence)


def check_restart_changes_nothing(make: Make, space: Space) -> None:
    """A method made anew goes on with a history as the one that made it does; other people's trials make it a long one."""
    living, rule = make(True), "a method keeps nothing between calls, so that a restart changes nothing"
    rng = np.random.default_rng(6)
    trials: list[Trial] = []
    for length in LENGTHS:
        while len(trials) < length:
            configuration = space.sample(rng)
            trials.append(ended(len(trials) + 1, configuration, accuracy(configuration), proposer="P-07"))
        suggestions = suggested(living, space, trials)
        anew = suggested(make(True), space, trials)
        seen = f"after {len(trials)} trials it suggested {_show(suggestions)}, and a copy that saw none of them {_show(anew)}"
        ask(anew == suggestions, rule, seen)
        if not suggestions:
            return
        _check_no_repeat(make, trials, suggestions)
        trials.append(ended(len(trials) + 1, suggestions[0].configuration, accuracy(suggestions[0].configuration)))


def _check_no_repeat(make: Make, trials: Sequence[Trial], suggestions: Sequence[Suggestion]) -> None:
    """Nothing that was tried comes again, but for promotions and what says that nothing untried was found."""
    if getattr(make(True), "as_given", False):
        return  # somebody's list is tried as it is
    tried = {trial.configuration: trial.number for trial in reversed(trials) if trial.outcome is not Outcome.FAILED}
    rule = "a configuration is not proposed again while another one is untried (evenhand.draw_untried helps)"
    for suggestion in suggestions:
        number = tried.get(suggestion.configuration)
        says = suggestion.resumes is not None or "repeats trial" in suggestion.explanation
        ask(number is None or says, rule, f"after {len(trials)} trials came {_show([suggestion])}, which is trial {number} again")


def check_valid_in_every_domain(make: Make, space: Space) -> None:
    """Each suggestion is a configuration of the space: every kind of domain, inactive hyperparameters absent."""
    for seed in range(20):
        for trials in (history(space, 1), history(space, 40 if seed else LONG, seed)):
            suggestions = suggested(make(seed % 2 == 0), space, trials, n=2, seed=seed)
            ask(
                suggestions,
                "a method suggests something while anything is untried",
                f"nothing after {len(trials)} trials (seed {seed})",
            )
            _check_suggestions(space, suggestions, f"after {len(trials)} trials (seed {seed})")
            _check_no_repeat(make, trials, suggestions)


def check_history_is_not_changed(make: Make, space: Space) -> None:
    """A method does not change what it is given."""
    trials = history(space, 30)
    before = [(deepcopy(trial), dict(trial.configuration)) for trial in trials]  # a configuration is its own copy
    suggested(make(True), space, trials, n=2)
    rule = "a method does not change the history that it is given"
    numbers, now = ([trial.number for trial in some] for some in ([trial for trial, _ in before], trials))
    ask(len(now) == len(numbers), rule, f"of {len(numbers)} trials it left {len(now)} in the list")
    ask(now == numbers, rule, f"it put the trials into another order: {now}")
    for trial, (kept, values) in zip(trials, before, strict=True):
        same = trial == kept and dict(trial.configuration) == values
        ask(same, rule, f"it changed trial {trial.number}, which was {kept!r} of {values}, and is {trial!r}")


def check_several_at_once_are_distinct(make: Make, space: Space) -> None:
    """Eight at once are eight configurations at most, and no two the same."""
    for trials in ([], history(space, 30)):
        configurations = [suggestion.configuration for suggestion in suggested(make(True), space, trials, n=SUGGESTIONS_AT_ONCE)]
        rule = "several suggestions at once are distinct, and no more than were asked for"
        seen = f"after {len(trials)} trials, asked for {SUGGESTIONS_AT_ONCE}, it gave {len(configurations)}, "
        seen += f"of which {len(set(configurations))} are distinct"
        ask(len(set(configurations)) == len(configurations) <= SUGGESTIONS_AT_ONCE, rule, seen)


def check_repeats_are_avoided(make: Make, space: Space) -> None:
    """A space of six configurations is walked through without a repeat; then the method ends, or says that it repeats."""
    trials = played(make, space, 6, seed=3)
    tried = [trial.configuration for trial in trials]
    rule = "a configuration is not proposed again while another one is untried (evenhand.draw_untried helps)"
    ask(len(set(tried)) == len(tried), rule, f"of six configurations it tried {_show(tried)}")
    rule = "a suggestion that repeats a trial says so in its explanation, as `repeats trial 3`"
    for suggestion in suggested(make(True), space, trials) if len(trials) == 6 else ():
        again = next(trial.number for trial in trials if trial.configuration == suggestion.configuration)
        ask(f"repeats trial {again}" in suggestion.explanation, rule, f"it repeats trial {again}: {suggestion.explanation!r}")


def check_failed_configurations_may_come_again(make: Make, space: Space) -> None:
    """`failed` is the infrastructure's fault: nothing was learnt, so its configuration counts as untried."""
    everything = played(make, space, 6, seed=4)
    if len(everything) < 6:
        return  # the method ended before the space was exhausted
    last = everything[-1]
    suggestions = suggested(make(True), space, [*everything[:-1], ended(6, last.configuration, None, Outcome.FAILED)])
    rule = "what failed by the infrastructure's fault counts as untried"
    seen = f"five of six were tried and {dict(last.configuration)} failed; expected it again, and got {_show(suggestions)}"
    ask([suggestion.configuration for suggestion in suggestions] == [last.configuration], rule, seen)


def check_nothing_but_bad_outcomes(make: Make, space: Space) -> None:
    """A history without a single value stops nothing."""
    rng = np.random.default_rng(2)
    for outcome in (Outcome.DIVERGED, Outcome.INVALID, Outcome.FAILED, Outcome.STOPPED):
        trials = [ended(number, space.sample(rng), None, outcome) for number in range(1, 25)]
        suggestions = suggested(make(False), space, trials)
        ask(suggestions, "a history without a value stops nothing", f"nothing was suggested after 24 trials that {outcome}")
        _check_suggestions(space, suggestions, f"after 24 trials that {outcome}")


def check_bad_configurations_do_not_come_again(make: Make, space: Space) -> None:
    """Nor do their near twins: the same options, and no number farther than a fiftieth of its scale, whatever the epochs.

    A training that has a value may go on, whatever became of its near twins.
    """
    if getattr(make(True), "as_given", False):
        return  # somebody's list is tried as it is
    rule = "what diverged or was invalid is not proposed again, nor its near twins (evenhand.draw_untried helps)"
    first = suggested(make(True), space, [], seed=8)
    for outcome in (Outcome.DIVERGED, Outcome.INVALID) if first else ():
        bad = first[0].configuration
        for second in suggested(make(True), space, [ended(1, bad, None, outcome)], seed=8):
            ask(not _are_twins(space, bad, second.configuration), rule, f"{dict(bad)} was {outcome}, then came {_show([second])}")
            near = _nearby(space, second.configuration)
            trials = [*history(space, 25)[:-1], ended(25, near, None, outcome)]
            worst = [trial.configuration for trial in trials if trial.outcome in (Outcome.DIVERGED, Outcome.INVALID)]
            for seed in range(5):
                for suggestion in suggested(make(True), space, trials, n=2, seed=seed):
                    if _goes_on(suggestion, trials):
                        continue
                    twin = next(
                        (configuration for configuration in worst if _are_twins(space, configuration, suggestion.configuration)),
                        None,
                    )
                    seen = (
                        f"after {len(trials)} trials (seed {seed}) came {_show([suggestion])}, a near twin of {dict(twin or {})}"
                    )
                    ask(twin is None, rule, seen)


def check_a_narrowed_space(make: Make, space: Space) -> None:
    """Histories may hold values that the space takes no more: a range or a choice was narrowed on the way."""
    narrow = _narrowed(space)
    for seed in range(3):
        suggestions = suggested(make(True), narrow, history(space, 40, seed), n=2, seed=seed)
        listed = getattr(make(True), "as_given", False)  # of a list there may be nothing left
        ask(
            suggestions or listed,
            "histories may hold values that the space takes no more",
            f"nothing was suggested (seed {seed})",
        )
        _check_suggestions(narrow, suggestions, f"in a narrowed space after 40 trials of the whole one (seed {seed})")


def check_a_space_with_less(make: Make, space: Space) -> None:
    """Histories may hold hyperparameters that the space leaves out (a fixed number of epochs)."""
    smaller = Space([hyperparameter for hyperparameter in space if not hyperparameter.fidelity])
    if space.fidelity is None or _takes(make(True), smaller) is not None:
        return
    suggestions = suggested(make(True), smaller, history(space, 40), n=2)
    _check_suggestions(smaller, suggestions, "in a space without epochs after 40 trials with epochs")


def check_another_process_suggests_the_same(make: Make, space: Space) -> None:
    """Also where sets have another order."""
    rule = "a method suggests the same in any process, and can be sent to one"
    here = _told(make(True), space)
    try:
        there = elsewhere(_told, make(True), space)
    except Broken:
        raise
    except Exception as error:
        hint = "define its class at the top of a module, and keep in it what can be pickled"
        raise Broken(f"{rule}: {type(error).__name__}: {error}; {hint}") from error
    ask(here == there, rule, f"here it suggested {here[0]}, there {there[0]}")


def _told(method: Method, space: Space) -> list[tuple[dict[str, object], str]]:
    return [
        (dict(suggestion.configuration), suggestion.explanation)
        for suggestion in suggested(method, space, history(space, 40), n=3)
    ]


CHECKS: tuple[Callable[[Make, Space], None], ...] = (
    check_history_is_not_changed,
    check_same_arguments_same_suggestions,
    check_restart_changes_nothing,
    check_valid_in_every_domain,
    check_several_at_once_are_distinct,
    check_nothing_but_bad_outcomes,
    check_bad_configurations_do_not_come_again,
    check_a_narrowed_space,
    check_a_space_with_less,
)


def _check_suggestions(space: Space, suggestions: Sequence[Suggestion], where: str) -> None:
    rule = "each suggestion is a configuration of the space"
    for suggestion in suggestions:
        try:
            whole = space.configuration(suggestion.configuration)
        except EvenhandError as error:
            raise Broken(f"{rule}: {where} came {dict(suggestion.configuration)!r}: {error}") from error
        seen = f"{where} came {dict(suggestion.configuration)!r}, which is completed to {dict(whole)!r}"
        ask(whole == suggestion.configuration, rule, seen)


def _nearby(space: Space, configuration: Configuration) -> Configuration:
    """A near twin: its first number that is no whole one, moved by a hundredth of its scale."""
    for hyperparameter in space:
        value = configuration.get(hyperparameter.name)
        if isinstance(hyperparameter.domain, Float) and value is not None and not hyperparameter.fidelity:
            unit = hyperparameter.domain.to_unit(float(value))
            moved = hyperparameter.domain.from_unit(unit + 0.01 if unit < 0.5 else unit - 0.01)
            return space.configuration({**configuration, hyperparameter.name: moved})
    return configuration


def _goes_on(suggestion: Suggestion, trials: Sequence[Trial]) -> bool:
    """Whether it promotes a configuration that was trained: its training is resumed from a trial that has a value."""
    return any(trial.number == suggestion.resumes and trial.value is not None for trial in trials)


def _are_twins(space: Space, first: Configuration, second: Configuration) -> bool:
    if first.keys() != second.keys():
        return False
    compared = [hyperparameter for hyperparameter in space if hyperparameter.name in first and not hyperparameter.fidelity]
    return bool(compared) and all(
        _apart(hyperparameter.domain, first[hyperparameter.name], second[hyperparameter.name]) <= TWIN_SHARE
        for hyperparameter in compared
    )


def _apart(domain: Any, first: Any, second: Any) -> float:
    """How far two values are apart: on the domain's own scale of length 1; options that differ are far apart."""
    if isinstance(domain, Choice):
        return 0.0 if domain.index(first) == domain.index(second) else 1.0
    return abs(float(domain.to_unit(first)) - float(domain.to_unit(second)))


def _narrowed(space: Space) -> Space:
    """The space with the middle of each range and half of each choice; epochs and what conditions name are left as they are."""
    named: dict[str, list[object]] = {}
    for part in (part for hyperparameter in space if hyperparameter.condition for part in hyperparameter.condition.parts):
        named.setdefault(part.on, []).extend(part.values)
    return Space(
        [
            original
            if original.fidelity
            else replace(original, domain=_half(original.domain, named.get(original.name)), default=None)
            for original in space
        ],
        space.constraints,
    )


def _half(domain: Any, named: list[object] | None) -> Any:
    if isinstance(domain, Choice):
        asked = {domain.index(value) for value in named or () if domain.holds(value)}
        kept = (
            [option for index, option in enumerate(domain.options) if index in asked]
            if asked
            else domain.options[: (len(domain.options) + 1) // 2]
        )
        return Choice(tuple(kept), (), domain.ordered) if len(kept) > 1 else domain
    low, high = domain.from_unit(0.4), domain.from_unit(0.8)
    if named is not None or low >= high:
        return domain
    return replace(domain, low=low, high=high, **({"or_zero": False} if isinstance(domain, Float) else {}))


def _show(suggestions: Sequence[Any]) -> str:
    return repr([dict(getattr(suggestion, "configuration", suggestion)) for suggestion in suggestions])
