"""The tune page: a form, the running trial and the history, for whoever proposes by hand, a participant or somebody of the
laboratory. What differs between them (addresses, steps, reasons, who may write) is said by their own modules.
"""

import json
import secrets
from collections.abc import Mapping
from typing import Any

from fastapi import Request

from evenhand.lab.lab import Lab
from evenhand.model.configuration import Configuration
from evenhand.model.rules import ParticipantStep
from evenhand.model.session import View
from evenhand.model.space import Space
from evenhand.model.trial import LearningCurve, Trial
from evenhand.model.typed_numbers import whole_number
from evenhand.model.words import is_share, metric_name
from evenhand.web import run_panel, space_form
from evenhand.web.session_stream import shown_trial
from evenhand.web.space_form import HyperparameterField, Typed

LONGEST_KEY = 64  # characters of what names a posted form


def tune_context(
    request: Request,
    lab: Lab,
    view: View,
    space: Space,
    step: ParticipantStep,
    *,
    source: Trial | None = None,
    typed: Typed | None = None,
    problems: Mapping[str, str] | None = None,
) -> dict[str, Any]:
    """What the page's parts show. space: of the next trial. source: the trial whose values the form starts with."""
    if typed is None and source is not None:
        typed = space_form.typed_from(space, source.configuration)
    shown = space_form.fields(space, typed, problems, view.session.presets)
    task = view.session.task
    return {
        "view": view,
        "space": space,
        "fields": shown,
        "groups": _groups(space, shown),
        "rest": space_form.hidden_line(space, shown),
        "source": source.number if source else None,
        "key": new_key(),
        "clock": run_panel.clock_of(view),
        "run": run_panel.panel_of(view, _newest(lab, view)),
        "metric": metric_name(task.metric),
        "share": is_share(task.metric),
        "state": run_panel.as_json(view, None, step)["history"],
        "notice": run_panel.notice_of(view),
        **history_context(request, view),
    }


def history_context(request: Request, view: View) -> dict[str, Any]:
    """What the history shows, as the address asks for it."""
    query = request.query_params
    order = "new" if query.get("order") == "new" else "best"
    history = run_panel.history_of(view, order, query.get("since", "before")[:9], query.get("all") == "yes")
    values = {trial.number: _values(view.session.space, trial) for trial in view.session.trials}
    return {"view": view, "history": history, "values": values, "metric": metric_name(view.session.task.metric)}


def source_of(request: Request, view: View) -> Trial | None:
    """The trial whose values the form starts with: the one that the query `from` names, else the newest."""
    trials = view.session.trials
    return numbered(view, request.query_params.get("from", "")) or (trials[-1] if trials else None)


def numbered(view: View, text: str) -> Trial | None:
    """The trial whose number a text says; None where there is none."""
    number = whole_number(text)
    return None if number is None else view.session.trial(number)


def new_key() -> str:
    """What names a form, so that the same one sent twice does its work once."""
    return secrets.token_urlsafe(12)


def key_of(form: Mapping[str, Any]) -> str | None:
    """The key that a posted form came with."""
    return str(form.get("key", ""))[:LONGEST_KEY] or None


def wants_json(request: Request) -> bool:
    """Whether the page's script asks, which is answered in JSON."""
    return "application/json" in request.headers.get("accept", "")


def named(space: Space, configuration: Configuration) -> dict[str, str]:
    """A configuration as the fields of a form."""
    return {f"{space_form.VALUE_FIELD}{name}": text for name, text in space_form.texts_of(space, configuration).items()}


def points_of(curve: LearningCurve) -> list[tuple[int, int, int | None, float | None, float | None]]:
    """What a trial measured, as the page's script takes it."""
    return [
        (measurement.index, measurement.step, measurement.epoch, measurement.loss, measurement.value)
        for measurement in curve.measurements
    ]


def choosable(view: View) -> tuple[run_panel.HistoryRow, ...]:
    """Every trial that can be the final choice, the best first."""
    rows = run_panel.history_of(view, "best", "before", True).rows
    return tuple(row for row in rows if row.choosable)


def open_trial(view: View) -> Trial | None:
    """The trial that is not at its end."""
    return next((trial for trial in view.session.trials if trial.is_open), None)


def _groups(space: Space, shown: tuple[HyperparameterField, ...]) -> list[tuple[str, str, list[HyperparameterField]]]:
    """The form's two groups: name, heading, fields."""
    required = [field for field in shown if field.hyperparameter.mandatory]
    optional = [field for field in shown if not field.hyperparameter.mandatory]
    groups = [("required", "Required", required), ("optional", space_form.title_of_optional(space, shown), optional)]
    return [group for group in groups if group[2]]


def _newest(lab: Lab, view: View) -> LearningCurve | None:
    trial = shown_trial(view.session)
    return lab.sessions.newest(view.session, trial) if trial else None


def _values(space: Space, trial: Trial) -> str:
    return json.dumps(space_form.texts_of(space, trial.configuration))
