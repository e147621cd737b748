"""The method loop: a method tunes a session through the very verbs that a participant's pages call."""

import threading
import traceback
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from itertools import islice
from typing import Any, NamedTuple

import numpy as np

from evenhand import methods
from evenhand.errors import (
    EvenhandError,
    InvalidConfiguration,
    InvalidSettings,
    InvalidSpace,
    MethodFailed,
    Refused,
    Unreachable,
)
from evenhand.explain.why import Asked, known_then, space_then
from evenhand.lab.verbs import TunerVerbs
from evenhand.methods import Chosen, Method, Suggestion
from evenhand.methods.base import why_no_suggestion
from evenhand.methods.stopping import recorded
from evenhand.model import choices, interrupts, rules
from evenhand.model.aims import OBJECTIVE_KEY, REQUIRE_KEY, aims_of, recorded_objectives, recorded_require
from evenhand.model.choice_rule import BEST, CHOOSE_KEY, choice_rule
from evenhand.model.domain import Integer
from evenhand.model.session import Session, State, View
from evenhand.model.space import Space
from evenhand.model.task import Metric, TaskRecord
from evenhand.model.trial import Outcome, Trial
from evenhand.model.trial_history import unsettled

POLL_SECONDS = 0.5  # seconds between two looks at a session that nothing woke us for
OFFLINE_SECONDS = 2.0  # seconds until a server that does not answer is asked again
TRACEBACK_FRAMES = -3  # of a method's traceback, the last ones
# What may be given beside a method's own settings, and is recorded with them.
PLAYED_KEYS = ("epochs_per_trial", "stopping", OBJECTIVE_KEY, REQUIRE_KEY, CHOOSE_KEY)
ALIKE_FAILURES = 5  # trials in a row that failed for the same reason before the method gives up


class Turn(StrEnum):
    """What a player did when it was its turn."""

    SUBMITTED = "submitted"
    WAITS = "waits"
    OVER = "over"


@dataclass(frozen=True)
class Player:
    """A method at its session. It keeps nothing but its settings: all else is in the view, so a restart changes nothing.

    seed: from which each suggestion's random stream is derived, with the number of trials so far.
    epochs_per_trial: the fidelity's fixed value, or None where the method chooses it as any other value.
    parallel: how many trials may be open at once. Of a stopping rule it knows nothing: the laboratory asks that one.
    """

    verbs: TunerVerbs
    session_id: int
    method: Method
    seed: int
    epochs_per_trial: int | None
    parallel: int = 1

    @classmethod
    def of(cls, verbs: TunerVerbs, session_id: int, given: Method | None = None) -> "Player":
        """The player that `session.method` describes (see `read_method`). given: the method itself, where no name finds it."""
        session = verbs.view(session_id).session
        if "name" not in session.method:
            raise InvalidSettings(f"session {session_id} is {session.tuner}'s; no method is named that could play it")
        described = read_method(session.task, session.method, given)
        if getattr(described.method, "resumes", False) and not session.resumable:
            raise InvalidSettings(
                f"method {described.method.name!r} lets trainings go on, and in the study of session {session_id} they always "
                "begin anew; declare it resumable, or take another method"
            )
        return cls(verbs, session_id, *described, parallel=session.budget.parallel)

    def turn(self, seen: View | None = None) -> Turn:
        """Do what there is to do now: start the clock, submit the next trial, or make the final choice.

        seen: the session as it was read just now.

        Raises:
            Refused: trial after trial failed for the same reason, or the final choice may not be made; the text says why.
            MethodFailed: the method raised, or suggested what no waiting makes a trial of.
        """
        view = seen or self.verbs.view(self.session_id)
        if view.state is State.WAITING:
            self.verbs.start(self.session_id)
            view = self.verbs.view(self.session_id)
        if view.state is State.PAUSED:
            return Turn.WAITS
        if view.state not in (State.TUNING, State.CHOOSING):
            return Turn.OVER
        _check_failures(view.session)
        used_up = view.trials_left == 0 or rules.has_stalled(view.session) or rules.training_left(view.session, view.now) == 0
        if view.session.taken_over_by is not None and view.state is State.TUNING and not used_up:
            return Turn.WAITS
        suggestion = self.suggest(view) if view.state is State.TUNING and view.refusal is None else None
        try:
            if suggestion is not None:
                self._submit(view.session, suggestion)
                return Turn.SUBMITTED
        except Refused:  # the deadline passed, or somebody else acted, since the view was taken: look again
            return Turn.WAITS
        return Turn.WAITS if any(trial.is_open for trial in unsettled(view.session.trials)) else self._choose(view)

    def _choose(self, view: View) -> Turn:
        """Make the final choice. Refused where it may not, although nothing has happened since the view was taken."""
        final = choices.final_trial(view.session)
        try:
            self.verbs.choose(self.session_id, number=final.number if final else None, key="final")
        except Refused:
            newest = self.verbs.view(self.session_id)
            if newest.state is view.state and len(newest.session.trials) == len(view.session.trials):
                raise
            return Turn.WAITS
        return Turn.OVER

    def _submit(self, session: Session, suggestion: Suggestion) -> None:
        self.verbs.submit(
            self.session_id,
            suggestion.configuration,
            explanation=suggestion.explanation,
            resumes=suggestion.resumes,
            revision=session.revision,
            key=f"{self.method.name}-{len(session.trials) + 1}",
        )

    def suggest(self, view: View) -> Suggestion | None:
        """What the method proposes next, its epochs cut to those that it may use; None where they are too few, or it has none."""
        session = view.session
        rng = np.random.default_rng(rules.derive_seed(self.seed, len(session.trials)))
        space = _narrow(session.current_space, self.epochs_per_trial)
        suggestion = self._asked(space, session.trials, rng)
        if suggestion is None:
            return None
        fixed = {} if self.epochs_per_trial is None else {_fidelity(session.space): self.epochs_per_trial}
        try:
            configuration = session.current_space.configuration({**suggestion.configuration, **fixed})
        except InvalidConfiguration as error:
            raise MethodFailed(f"method {self.method.name!r} suggested what is no configuration of the space: {error}") from error
        parent = None
        if suggestion.resumes is not None:  # what is refused then is refused for ever: a trial that has ended stays as it is
            if why := rules.why_not_resume(session, suggestion.resumes, configuration):
                raise MethodFailed(f"method {self.method.name!r} suggested what cannot go on from another trial: {why}")
            parent = session.trial(suggestion.resumes)
        before = parent.epochs_done if parent is not None else 0
        planned = session.task.epochs_of(configuration) - before
        suggestion = replace(suggestion, configuration=configuration)
        most = rules.epochs_for_one(session)
        if most is None or planned <= most:
            return suggestion
        why = "that remain" if most == view.epochs_left else "that one trial may use"
        return _cut(session.current_space, suggestion, before + most, why) if most else None

    def _asked(self, space: Space, trials: Sequence[Trial], rng: np.random.Generator) -> Suggestion | None:
        """What the method's own code answers; MethodFailed where it raises, or answers what is no suggestion."""
        name = f"method {self.method.name!r}, asked for trial {len(trials) + 1} of session {self.session_id},"
        try:
            with interrupts.heeded():
                suggestion: Any = next(iter(self.method.suggest(space, trials, 1, rng)), None)
        except (EvenhandError, KeyboardInterrupt):
            raise
        except BaseException as error:
            raise MethodFailed(f"{name} raised an exception\n{traceback.format_exc(limit=TRACEBACK_FRAMES)}") from error
        if suggestion is None:
            return None
        if wrong := why_no_suggestion(suggestion):
            raise MethodFailed(f"{name} {wrong}")
        asked: Suggestion = suggestion
        return asked


class Described(NamedTuple):
    """What a session's `method` describes; see `Player`."""

    method: Method
    seed: int
    epochs_per_trial: int | None


def read_method(task: TaskRecord, described: Mapping[str, Any], given: Method | None = None) -> Described:
    """The method, its seed and the fixed epochs per trial that `described` names (see `lab.sessions.open`).

    Args:
        task: what it is to tune.
        described: `name`, `seed` (default 0), `epochs_per_trial` (default: the method chooses), the method's own settings, and
            `stopping`, which is the laboratory's.
        given: the method itself, where `described` records an object that no name finds.

    Raises:
        InvalidSettings: one of them cannot be used for this task, or the object is needed and not given.
        PluginBroken: the method is somebody's plug-in or file, and cannot be used.
    """
    settings = dict(described)
    name, seed, epochs = settings.pop("name"), settings.pop("seed", 0), settings.pop("epochs_per_trial", None)
    aims = aims_of(described)
    for key in ("stopping", OBJECTIVE_KEY, REQUIRE_KEY, CHOOSE_KEY):
        settings.pop(key, None)
    if type(seed) is not int:
        raise InvalidSettings(f"method {name!r}: seed is {seed!r}, expected a whole number")
    space = _narrow(task.space, epochs)
    if given is None and methods.OBJECT_KEY in settings:
        raise InvalidSettings(
            f"method {name!r} is an object of {settings[methods.OBJECT_KEY]}, which no name finds: its session can be read and "
            "shown, but goes on only in a program that gives the object, as method_player.tune(lab, session_id, given=...)"
        )
    method = _named(task, name, seed, settings, aims.objectives) if given is None else given
    if len(aims.objectives) > 1 and getattr(method, "one_aim", False):
        raise InvalidSettings(
            f"method {name!r} tunes one metric, and there are {len(aims.objectives)} objectives; take nsga2, tpe or random, or "
            "require of the others what they have to be"
        )
    methods.check(method, space)
    return Described(method, seed, epochs)


def asked_for(session: Session, trial: Trial, given: Method | None = None) -> Asked | None:
    """What a session's method was asked when it suggested a trial.

    Args:
        session: with all of its trials.
        trial: one of them.
        given: the method itself, where no name finds it.

    Returns:
        The question; None for a trial that somebody else proposed, and where the method is not here any more.
    """
    if session.kind != "method" or trial.proposer != session.tuner or "name" not in session.method:
        return None
    try:
        described = read_method(session.task, session.method, given)
    except EvenhandError:
        return None
    fixed = {} if described.epochs_per_trial is None else {_fidelity(session.space): described.epochs_per_trial}
    return Asked(
        described.method,
        _narrow(space_then(session, trial), described.epochs_per_trial),
        known_then(session, trial),
        rules.derive_seed(described.seed, trial.number - 1),
        fixed,
    )


def chosen_method(
    task: TaskRecord,
    method: str | Method | Callable[..., Method],
    seed: int,
    settings: Mapping[str, Any],
) -> Chosen:
    """Which method is to play a task, and what its session records; what is wrong with it is said before anything is stored.

    Args:
        task: what it is to tune.
        method: a name, an object, or a class; see `methods.chosen`.
        seed: of its stream of draws.
        settings: the method's own, and `PLAYED_KEYS`: what the session records beside them.

    Raises:
        InvalidSettings, PluginBroken: as `methods.chosen` and `read_method` do.
    """
    own = {name: value for name, value in settings.items() if name not in PLAYED_KEYS}
    objectives = recorded_objectives(task, settings[OBJECTIVE_KEY]) if settings.get(OBJECTIVE_KEY) is not None else []
    beside_first = aims_of({OBJECTIVE_KEY: objectives}).objectives[1:]
    choice = methods.chosen(
        method,
        maximize=task.maximize,
        seed=seed,
        further=_plain(beside_first) if objectives else further_of(task),
        beside=_plain(beside_first),
        settings=own,
    )
    beside = {name: settings[name] for name in PLAYED_KEYS if settings.get(name) is not None}
    if "stopping" in beside:
        beside["stopping"] = recorded(beside["stopping"], maximize=task.maximize)
    if objectives:
        beside[OBJECTIVE_KEY] = objectives
    if CHOOSE_KEY in beside:
        beside[CHOOSE_KEY] = str(choice_rule(beside[CHOOSE_KEY]))
        if beside[CHOOSE_KEY] == BEST:  # as sessions are that say nothing
            del beside[CHOOSE_KEY]
    if REQUIRE_KEY in beside:
        beside[REQUIRE_KEY] = recorded_require(task, beside[REQUIRE_KEY])
    choice = choice._replace(described={**choice.described, "seed": seed, **beside})
    read_method(task, choice.described, choice.given)
    return choice


def _named(task: TaskRecord, name: str, seed: int, settings: dict[str, Any], objectives: Sequence[Metric]) -> Method:
    own = methods.settings_of(name)
    if "seed" in own:
        settings["seed"] = seed
    if "further" in own:
        settings.setdefault("further", _plain(objectives[1:]) if objectives else further_of(task))
    if "beside" in own and len(objectives) > 1:
        settings.setdefault("beside", _plain(objectives[1:]))
    return methods.method(name, maximize=task.maximize, **settings)


def further_of(task: TaskRecord) -> list[tuple[str, str]]:
    """The task's further metrics with their directions, as methods take them."""
    return _plain(task.further)


def _plain(metrics: Sequence[Metric]) -> list[tuple[str, str]]:
    return [(metric.name, metric.direction) for metric in metrics]


def tune(
    verbs: TunerVerbs,
    session_id: int,
    *,
    stop: threading.Event | None = None,
    poll: float = POLL_SECONDS,
    given: Method | None = None,
) -> Session:
    """Play a session to its final choice, or until `stop` is set; the session as its tuner sees it then.

    It may be interrupted and called again at any time: the session goes on as if it had not been. given: the method itself,
    where no name finds it (see `read_method`).
    """
    ended = stop or threading.Event()
    player: Player | None = None
    seen: View | None = None
    while not ended.is_set():
        try:
            player = player or Player.of(verbs, session_id, given)
            newest, seen = seen, None  # after an error it is looked at again
            turn = player.turn(newest)
            if turn is Turn.OVER:
                break
            if turn is Turn.WAITS or player.parallel == 1:  # else it may submit another one at once
                seen = verbs.wait(session_id, poll)
        except Unreachable:
            ended.wait(OFFLINE_SECONDS)
    return verbs.view(session_id).session


def _fidelity(space: Space) -> str:
    assert space.fidelity is not None
    return space.fidelity.name


def _narrow(space: Space, epochs_per_trial: int | None) -> Space:
    """The space without its fidelity where that is fixed; InvalidSettings where it cannot be fixed to this value."""
    if epochs_per_trial is None:
        return space
    if space.fidelity is None:
        raise InvalidSettings(f"epochs_per_trial is {epochs_per_trial}, but this task has no hyperparameter for epochs to fix")
    try:
        return space.with_fidelity_fixed(space.fidelity.domain.accept(epochs_per_trial))
    except (ValueError, TypeError, OverflowError):
        expected = space.fidelity.domain.expected
        raise InvalidSettings(f"epochs_per_trial is {epochs_per_trial!r}, expected {expected}") from None
    except InvalidSpace as error:
        raise InvalidSettings(f"epochs_per_trial cannot be fixed: {error}") from None


def _cut(space: Space, suggestion: Suggestion, most: int, why: str) -> Suggestion | None:
    """The suggestion with so many epochs; None where it cannot be trained for so few. why: which these are, in words."""
    fidelity, configuration = space.fidelity, suggestion.configuration
    if fidelity is None or not isinstance(fidelity.domain, Integer) or most < fidelity.domain.low:
        return None
    try:
        cut = space.configuration({**configuration, fidelity.name: most})
    except InvalidConfiguration:  # with so few epochs, other hyperparameters would be active
        return None
    explanation = f"{suggestion.explanation}; {fidelity.label} cut from {configuration[fidelity.name]} to the {most} {why}"
    return replace(suggestion, configuration=cut, explanation=explanation)


def _check_failures(session: Session) -> None:
    last = list(islice((trial for trial in reversed(session.trials) if not trial.is_open), ALIKE_FAILURES))
    if len(last) == ALIKE_FAILURES and all(trial.outcome is Outcome.FAILED and trial.why == last[0].why for trial in last):
        raise Refused(f"paused: the last {ALIKE_FAILURES} trials failed for the same reason, so mend that first: {last[0].why}")
