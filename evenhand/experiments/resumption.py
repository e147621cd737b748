"""How a session of `evenhand.tune` is gone on with: whether the same is asked for, and what happens when its process ends.

Methods are pure functions of a session's history, so nothing but the session is needed to go on with it.
"""

import json
import os
import sys
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from typing import Any

from evenhand.errors import Refused
from evenhand.lab import served
from evenhand.lab.lab import Lab
from evenhand.model import codec, interrupts, rules
from evenhand.model.hyperparameter import Prior
from evenhand.model.session import Session
from evenhand.model.space import Space
from evenhand.model.state_words import how_to_go_on
from evenhand.model.study import EvaluationMode, Study, ValueRule
from evenhand.model.task import TaskRecord
from evenhand.model.words import plural, show_score
from evenhand.tasks import versions

ALIVE_SECONDS = 2.0  # seconds between two signs of life of a process that tunes
TERMINATED = 143  # what a process says that SIGTERM has ended


# Whether it is the same


def check_same(
    session: Session,
    planned: Study,
    task: TaskRecord,
    method: Mapping[str, Any],
    seed: int,
    priors: Mapping[str, Prior],
    mode: EvaluationMode | None,
    value_rule: ValueRule,
) -> None:
    """Nothing, or Refused with the first thing that differs between what a session is of and what is asked for now.

    Args:
        session: as it is stored.
        planned: the study that it is in.
        task: what is to be tuned now.
        method: as `Chosen.described`.
        seed: as given.
        priors: as given.
        mode: how its choice is to be trained for its test score; None where it is to have none.
        value_rule: which epoch a trial's value is to be of.

    Raises:
        Refused: something differs; the text has both values.
    """
    for what, stored, ours in _pairs(session, planned, task, method, seed, priors, mode, value_rule):
        if stored != ours:
            raise Refused(
                f"session {session.id} ({session.called!r}) cannot go on: {what} is {stored} there, and {ours} now; give what it "
                "has to go on with it, or another name to start anew"
            )


Pair = tuple[str, Any, Any]


def _said(mode: EvaluationMode | None) -> str:
    """As it is given to `tune`."""
    return "False" if mode is None else repr(mode)


def _pairs(
    session: Session,
    planned: Study,
    task: TaskRecord,
    method: Mapping[str, Any],
    seed: int,
    priors: Mapping[str, Prior],
    mode: EvaluationMode | None,
    value_rule: ValueRule,
) -> Iterator[Pair]:
    """What a session is of and what is asked for now, thing by thing."""
    yield "its metric", repr(session.task.metric), repr(task.metric)
    yield "its direction", session.task.direction, task.direction
    yield from _of_spaces(session.space, task.space)
    if session.task.version != task.version:
        yield (
            "the version of its function (source, what it imports, settings, data)",
            versions.short(session.task.version),
            versions.short(task.version),
        )
    yield from _of_methods(_plain(session.method), _plain(method))
    yield "its seed", planned.seed, seed
    yield "value", repr(session.value_rule), repr(value_rule)
    yield "evaluate", _said(planned.evaluation_mode if planned.evaluation_seeds else None), _said(mode)
    if session.interventions or session.started_at is not None:
        began = session.started_at if session.started_at is not None else float("inf")
        before = [intervention for intervention in session.interventions if intervention.at <= began]
        believed = next((intervention.detail for intervention in before if intervention.kind == "believes"), {})
        yield "what is believed (priors)", _plain(believed), {name: codec.to_json(prior) for name, prior in priors.items()}


def _of_spaces(stored: Space, ours: Space) -> Iterator[Pair]:
    yield "its hyperparameters", ", ".join(stored.names), ", ".join(ours.names)
    for name in stored.names:
        before, now = _plain(stored[name].to_json()), _plain(ours[name].to_json())
        yield from _of_mappings(f"{name}'s", before, now)
    yield from _of_mappings("its space's", _plain(stored.to_json()), _plain(ours.to_json()))


def _of_methods(stored: Mapping[str, Any], ours: Mapping[str, Any]) -> Iterator[Pair]:
    """The seed among them hangs on the session's, which is named as what it was given as."""
    yield "its method", stored.get("name"), ours.get("name")
    settings = [{key: value for key, value in method.items() if key != "seed"} for method in (stored, ours)]
    yield from _of_mappings("its method's", *settings)


def _of_mappings(whose: str, stored: Mapping[str, Any], ours: Mapping[str, Any]) -> Iterator[Pair]:
    for key in dict.fromkeys([*stored, *ours]):
        before, now = (json.dumps(settings[key]) if key in settings else "not given" for settings in (stored, ours))
        yield f"{whose} {key}", before, now


def _plain(value: Mapping[str, Any]) -> dict[str, Any]:
    """As the store gives it back."""
    plain: dict[str, Any] = json.loads(json.dumps(dict(value)))
    return plain


# While it is tuned


@contextmanager
def attended(lab: Lab, session_id: int) -> Iterator[Callable[[], None]]:
    """While this process tunes a session: it says so now and then, and however it ends, it leaves the session in order.

    Ctrl-C and SIGTERM are heeded in a process's first thread, where nothing else heeds them; see `interrupts`.

    Args:
        lab: where the session is.
        session_id: its number.

    Yields:
        A function to call now and then. It raises Refused where another process has taken the session up meanwhile, and
        KeyboardInterrupt where Ctrl-C or SIGTERM came.

    Raises:
        SystemExit: SIGTERM came.
        KeyboardInterrupt: as it came, after it was said how the session goes on.
    """
    with interrupts.listening() as heard:
        attendance = _Attendance(lab, session_id)

        def check() -> None:
            attendance.check()
            heard.check()

        attendance.begin()
        try:
            yield check
            heard.check()
        except KeyboardInterrupt:
            attendance.end()
            print(f"{farewell(lab.sessions.get(session_id))}\nIts page: {served.page_words(lab, session_id)}", file=sys.stderr)
            if heard.terminated:
                raise SystemExit(TERMINATED) from None
            raise
        finally:
            attendance.end()


class _Attendance:
    """This process at a session: its signs of life."""

    def __init__(self, lab: Lab, session_id: int) -> None:
        self._lab, self._session_id, self._process = lab, session_id, os.getpid()
        self._over, self._lost = threading.Event(), False
        self._thread = threading.Thread(target=self._live, name="evenhand attendance", daemon=True)

    def begin(self) -> None:
        """From now on."""
        self._thread.start()

    def end(self) -> None:
        """What trains is given back, and the session is nobody's; a process that was forked meanwhile leaves nothing."""
        if self._over.is_set() or os.getpid() != self._process:
            return
        self._over.set()
        self._thread.join()
        self._lab.sessions.leave(self._session_id)

    def check(self) -> None:
        """Raise what has happened meanwhile."""
        if self._lost:
            raise Refused(f"session {self._session_id} was taken up by another process meanwhile; this one ends")

    def _live(self) -> None:
        while not self._over.wait(ALIVE_SECONDS):
            with suppress(Exception):  # a database that is busy, say, is asked again
                self._lost = not self._lab.sessions.attend(self._session_id)


def farewell(session: Session) -> str:
    """What is said where a session was interrupted: which one, how far it is, and how it goes on.

    Args:
        session: as it is left.

    Returns:
        Two lines.
    """
    name = "" if session.name is None else f" ({session.name!r})"
    best, metric = rules.best_trial(session), session.task.metric
    ended = sum(not trial.is_open for trial in session.trials)
    cap = "" if session.budget.trials is None else f" of {session.budget.trials}"
    value = "no value yet" if best is None else f"best {metric} {show_score(best.value, metric)} (trial {best.number})"
    state = f"{ended}{cap} trials ended, {value}" if cap else f"{plural(ended, 'trial')} ended, {value}"
    if session.choice is not None:
        state += f"; the choice is made, {session.evaluated.done} of {session.evaluated.planned} seeds scored"
    return f"Interrupted: session {session.id}{name}, {state}.\n{how_to_go_on(session)}"
