"""The forms of somebody who works with a method, as a page shows them: the workbench has them, and so has a run's own page."""

import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from fastapi import Request

from evenhand import methods
from evenhand.lab.lab import Lab
from evenhand.methods.beliefs import words as prior_words
from evenhand.model import rules
from evenhand.model.domain import Choice, is_same, nearest
from evenhand.model.rules import ENDED_STATES
from evenhand.model.session import Session, State
from evenhand.model.space import Space
from evenhand.model.trial import Trial
from evenhand.web import space_form
from evenhand.web.came_back import CameBack
from evenhand.web.method_threads import HELD_DRIVER
from evenhand.web.pages import environment
from evenhand.web.space_form import Typed
from evenhand.web.workbench import forms
from evenhand.web.workbench.forms import Asked

KEY_BYTES = 12  # of what tells one sending of a form from the next

environment.globals.update(prior_words=prior_words, change_words=forms.change_words)


@dataclass(frozen=True)
class Entered(CameBack):
    """One of the forms, with what was typed into it."""

    typed: Typed | None = None
    asked: Asked | None = None
    reason: str = ""


def turn_context(lab: Lab, session: Session, state: State, refusal: str | None, open_trials: Sequence[Trial]) -> dict[str, Any]:
    """Whose turn it is, and what can be done about it. refusal: why no trial is taken now."""
    return {
        "state": state,
        "refusal": refusal,
        "over": state in ENDED_STATES,
        "held": state is State.WAITING and session.id in lab.sessions.to_play(HELD_DRIVER),
        "open_trials": open_trials,
        "uses_priors": methods.uses_priors(str(session.method.get("name", ""))),
    }


def forms_context(request: Request, session: Session, entered: Entered, source: Trial | None) -> dict[str, Any]:
    """The form for a trial, the limits and the beliefs. source: the trial whose values the first one starts with."""
    space, typed, moved = session.current_space, entered.typed, 0
    if typed is None and source is not None:
        typed, moved = within(space, source)
    shown = _possible(space_form.fields(space, typed, entered.problems if entered.part == "trial" else None))
    came_back = {name: entered for name in ("limits", "beliefs") if entered.part == name}
    best = rules.best_trial(session, ended=True)
    limits, beliefs = came_back.get("limits", Entered()), came_back.get("beliefs", Entered())
    return {
        "entered": entered,
        "best_number": None if best is None else best.number,
        "add_fields": shown,
        "rest": space_form.hidden_line(space, shown),
        "source": source.number if source and entered.typed is None else None,
        "moved": moved,
        "key": secrets.token_urlsafe(KEY_BYTES),
        "limits": forms.limits(session, limits.asked, limits.problems),
        "sayings": forms.sayings(session, beliefs.asked, beliefs.problems),
        "part": entered.part or request.query_params.get("do", ""),
    }


def source_of(session: Session, named: Trial | None, newest: Trial | None) -> Trial | None:
    """The trial that a form starts from: the one that is named, else the best, else the newest."""
    return named or rules.best_trial(session) or newest


def within(space: Space, trial: Trial) -> tuple[Typed, int]:
    """A trial's values as texts, those outside of what is in force moved to the nearest that is in it; and how many were."""
    texts, moved = {}, 0
    for name, value in trial.configuration.items():
        domain = space[name].domain
        inside = nearest(domain, value)
        is_inside = is_same(inside, value)
        moved += not is_inside
        is_asked = isinstance(domain, Choice) and len(domain.options) > 1 and not is_inside  # no option is nearest to it
        texts[name] = "" if is_asked else space[name].text(inside)
    return Typed(texts), moved


def _possible(shown: Sequence[space_form.HyperparameterField]) -> tuple[space_form.HyperparameterField, ...]:
    """The fields that can be active under the limits in force."""
    never: set[str] = set()
    for field in shown:
        condition = field.hyperparameter.condition
        parts = condition.parts if condition else ()
        if any(part.on in never or not (part.values or part.has_bounds) for part in parts):
            never.add(field.hyperparameter.name)
    return tuple(field for field in shown if field.hyperparameter.name not in never)
