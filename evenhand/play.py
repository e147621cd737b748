"""The method loop: a method tunes a session through the very verbs that a participant's pages call."""

import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from enum import StrEnum
from functools import lru_cache
from itertools import islice
from typing import Any, NamedTuple, Protocol

import numpy as np

from evenhand import tuners
from evenhand.client import Client
from evenhand.core import told
from evenhand.errors import InvalidConfiguration, InvalidSettings, InvalidSpace, Refused, Unreachable
from evenhand.lab import Lab, View
from evenhand.protocol import derive_seed
from evenhand.records import Curve, Outcome, Session, State, Stopper, TaskRecord, Trial
from evenhand.space import Configuration, Integer, Space
from evenhand.trials import unsettled
from evenhand.tuners import Method, Suggestion
from evenhand.tuners.stopping import Rule, Values, rule

POLL = 0.5  # seconds between two looks at a session that nothing woke us for
PAUSE = 0.1  # seconds between two looks at most: a training reports several times a second
OFFLINE = 2.0  # seconds until a server that does not answer is asked again
ALIKE = 5  # trials in a row that failed for the same reason before the method gives up


class Verbs(Protocol):
    """What a method needs of the laboratory: `Lab` in the same process, `Client` over HTTP."""

    def view(self, session_id: int) -> View:
        """All that the tuner may see."""

    def start(self, session_id: int) -> Session:
        """Start the clock."""

    def curve(self, session_id: int, number: int, after: tuple[int, int] = (0, -1)) -> Curve:
        """What a trial measured."""

    def submit(
        self,
        session_id: int,
        configuration: Configuration,
        *,
        explanation: str = "",
        resumes: int | None = None,
        revision: int | None = None,
        key: str | None = None,
    ) -> Trial:
        """Queue a trial."""

    def stop(self, session_id: int, number: int, by: Stopper = Stopper.TUNER, *, why: str | None = None) -> Trial:
        """Ask a trial to stop."""

    def choose(self, session_id: int, *, number: int | None = None, key: str | None = None) -> Session:
        """End the session."""


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
    stopping: what ends running trials early, or None. parallel: how many trials may be open at once. ended: what trials that have
    ended measured, so that it is asked for once.
    """

    verbs: Verbs
    session_id: int
    method: Method
    seed: int
    epochs_per_trial: int | None
    stopping: Rule | None = None
    parallel: int = 1
    ended: dict[int, Values] = field(default_factory=dict)

    @classmethod
    def of(cls, verbs: Verbs, session_id: int) -> "Player":
        """The player that `session.method` describes (see `read_method`)."""
        session = verbs.view(session_id).session
        if "name" not in session.method:
            raise InvalidSettings(f"session {session_id} is {session.tuner}'s; no method is named that could play it")
        described = read_method(session.task, session.method)
        if described.method.resumes and not session.resumable:
            raise InvalidSettings(
                f"method {described.method.name!r} lets trainings go on, and in the study of session {session_id} they always "
                "begin anew; declare it resumable, or take another method"
            )
        return cls(verbs, session_id, *described, parallel=session.budget.parallel)

    def turn(self, seen: View | None = None) -> Turn:
        """Do what there is to do now: start the clock, submit the next trial, or make the final choice.

        seen: the session as it was read just now.

        Raises:
            Refused: trial after trial failed for the same reason, which the text says.
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
        self.stop_early(view.session)
        if view.session.taken_over_by is not None and view.state is State.TUNING and view.trials_left != 0:
            return Turn.WAITS
        suggestion = self.suggest(view) if view.state is State.TUNING and view.refusal is None else None
        try:
            if suggestion is not None:
                self._submit(view.session, suggestion)
                return Turn.SUBMITTED
            if any(trial.is_open for trial in unsettled(view.session.trials)):
                return Turn.WAITS
            self.verbs.choose(self.session_id, number=view.best.number if view.best else None, key="final")
            return Turn.OVER
        except Refused:  # the deadline passed, or somebody else acted, since the view was taken: look again
            return Turn.WAITS

    def _submit(self, session: Session, suggestion: Suggestion) -> None:
        self.verbs.submit(
            self.session_id,
            suggestion.configuration,
            explanation=suggestion.explanation,
            resumes=suggestion.resumes,
            revision=session.revision,
            key=f"{self.method.name}-{len(session.trials) + 1}",
        )

    def stop_early(self, session: Session) -> None:
        """Stop the running trials that the stopping rule gives up."""
        if self.stopping is None:
            return
        for trial in session.trials:
            if not trial.is_open and trial.number not in self.ended:
                self.ended[trial.number] = self._values(trial)
        others = [values for values in self.ended.values() if values]
        for trial in session.trials:
            if trial.is_open and trial.claimed_at is not None and trial.stop_by is None and trial.epochs_done:
                why = self.stopping.why_stop(trial, self._values(trial), others)
                if why is not None:
                    self.verbs.stop(self.session_id, trial.number, Stopper.RULE, why=why)

    def look(self) -> None:
        """What there is to do while a trial trains: nothing, where no stopping rule asks for it."""
        if self.stopping is not None:
            self.stop_early(self.verbs.view(self.session_id).session)

    def _values(self, trial: Trial) -> Values:
        measured = self.verbs.curve(self.session_id, trial.number).measurements
        return {each.epoch: each.value for each in measured if each.epoch is not None and each.value is not None}

    def suggest(self, view: View) -> Suggestion | None:
        """What the method proposes next, its epochs cut to those that remain; None where too few remain, or it has no more."""
        session = view.session
        rng = np.random.default_rng(derive_seed(self.seed, len(session.trials)))
        space = _narrow(session.current_space, self.epochs_per_trial)
        suggestion = next(iter(self.method.suggest(space, session.trials, 1, rng)), None)
        if suggestion is None:
            return None
        fixed = {} if self.epochs_per_trial is None else {_fidelity(session.space): self.epochs_per_trial}
        configuration = session.current_space.configuration({**suggestion.configuration, **fixed})
        parent = None if suggestion.resumes is None else session.trial(suggestion.resumes)
        before = parent.epochs_done if parent is not None else 0
        planned = session.task.epochs_of(configuration) - before
        suggestion = replace(suggestion, configuration=configuration)
        if view.epochs_left is None or planned <= view.epochs_left:
            return suggestion
        return _cut(session.current_space, suggestion, before + view.epochs_left) if view.epochs_left else None


class Described(NamedTuple):
    """What a session's `method` describes; see `Player`."""

    method: Method
    seed: int
    epochs_per_trial: int | None
    stopping: Rule | None


def read_method(task: TaskRecord, described: Mapping[str, Any]) -> Described:
    """The method, its seed, the fixed epochs per trial and the stopping rule that `described` names: `Lab.open`'s `method`.

    Its keys are `name`, `seed` (default 0), `epochs_per_trial` (default: the method chooses), `stopping` (default: none) and the
    method's own settings.

    Raises:
        InvalidSettings: one of them cannot be used for this task.
    """
    settings = dict(described)
    name, seed, epochs = settings.pop("name"), settings.pop("seed", 0), settings.pop("epochs_per_trial", None)
    stopping = settings.pop("stopping", None)
    if type(seed) is not int:
        raise InvalidSettings(f"method {name!r}: seed is {seed!r}, expected a whole number")
    own = tuners.settings_of(name)
    if "seed" in own:
        settings["seed"] = seed
    if "further" in own:
        settings.setdefault("further", [(each.name, each.direction) for each in task.further])
    space = _narrow(task.space, epochs)
    method = tuners.method(name, maximize=task.maximize, **settings)
    method.check(space)
    return Described(method, seed, epochs, None if stopping is None else rule(stopping, maximize=task.maximize))


def tune(verbs: Verbs, session_id: int, *, stop: threading.Event | None = None, poll: float = POLL) -> Session:
    """Play a session to its final choice, or until `stop` is set; the session as its tuner sees it then.

    It may be interrupted and called again at any time: the session goes on as if it had not been.
    """
    ended = stop or threading.Event()
    with _woken(verbs, session_id) as changed:
        player: Player | None = None
        seen: View | None = None
        while not ended.is_set():
            changed.clear()
            try:
                player = player or Player.of(verbs, session_id)
                newest, seen = seen, None  # after an error it is looked at again
                turn = player.turn(newest)
                if turn is Turn.OVER:
                    break
                if turn is Turn.WAITS or (player.parallel == 1 and isinstance(verbs, Client)):  # over HTTP each look costs
                    seen = changed.wait(poll, measured=player.stopping is not None)
            except Unreachable:
                ended.wait(OFFLINE)
    return verbs.view(session_id).session


class _Changes:
    """What wakes a method: its session's changes in this process, or over HTTP what the server says of them."""

    def __init__(self, verbs: Verbs, session_id: int) -> None:
        self._verbs, self._session_id = verbs, session_id
        self._changed = threading.Event()

    def listen(self, changed_id: int) -> None:
        """Of the laboratory in this process."""
        if changed_id == self._session_id:
            self._changed.set()

    def clear(self) -> None:
        """Forget what changed so far."""
        self._changed.clear()

    def wait(self, seconds: float, measured: bool) -> View | None:
        """Until the next change, at most so long; how the session stands then, where that is known already.

        measured: whether measurements matter, of which there are several a second.
        """
        if isinstance(self._verbs, Client):
            seen = self._verbs.wait(self._session_id, seconds, measured)
            if not measured:
                return seen
        else:
            self._changed.wait(seconds)
        time.sleep(min(PAUSE, seconds))  # what is measured meanwhile is looked at, too
        return None


@contextmanager
def _woken(verbs: Verbs, session_id: int) -> Iterator[_Changes]:
    changes = _Changes(verbs, session_id)
    if not isinstance(verbs, Lab):
        yield changes
        return
    with told(verbs.on_change, changes.listen):
        yield changes


def _fidelity(space: Space) -> str:
    assert space.fidelity is not None
    return space.fidelity.name


@lru_cache(maxsize=64)
def _narrow(space: Space, epochs_per_trial: int | None) -> Space:
    """The space without its fidelity where that is fixed; InvalidSettings where it cannot be fixed to this value."""
    if epochs_per_trial is None:
        return space
    if space.fidelity is None:
        raise InvalidSettings(f"epochs_per_trial is {epochs_per_trial}, but this task has no hyperparameter for epochs to fix")
    rest = [each for each in space if not each.fidelity]
    try:
        space.fidelity.domain.accept(epochs_per_trial)
        return Space(rest)
    except (ValueError, TypeError, OverflowError):
        expected = space.fidelity.domain.expected
        raise InvalidSettings(f"epochs_per_trial is {epochs_per_trial!r}, expected {expected}") from None
    except InvalidSpace as error:
        raise InvalidSettings(f"epochs_per_trial cannot be fixed: {error}") from None


def _cut(space: Space, suggestion: Suggestion, left: int) -> Suggestion | None:
    fidelity, configuration = space.fidelity, suggestion.configuration
    if fidelity is None or not isinstance(fidelity.domain, Integer) or left < fidelity.domain.low:
        return None
    try:
        cut = space.configuration({**configuration, fidelity.name: left})
    except InvalidConfiguration:  # with so few epochs, other hyperparameters would be active
        return None
    told = f"{suggestion.explanation}; {fidelity.label} cut from {configuration[fidelity.name]} to the {left} that remain"
    return replace(suggestion, configuration=cut, explanation=told)


def _check_failures(session: Session) -> None:
    last = list(islice((trial for trial in reversed(session.trials) if not trial.is_open), ALIKE))
    if len(last) == ALIKE and all(trial.outcome is Outcome.FAILED and trial.why == last[0].why for trial in last):
        raise Refused(f"paused: the last {ALIKE} trials failed for the same reason, so mend that first: {last[0].why}")
