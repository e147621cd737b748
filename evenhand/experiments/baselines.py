"""Baselines of `tune`: today's configuration as a run of its own, trained and scored with the seeds of the search's choice."""

from collections.abc import Callable, Mapping
from typing import Any

from evenhand.errors import InvalidConfiguration, InvalidSettings
from evenhand.lab.lab import Lab
from evenhand.model.session import Session
from evenhand.model.space import Space

METHOD = "manual"  # tries a list of configurations as it is

Baseline = Mapping[str, Any] | str | int  # a configuration, or a run's name or number


def checked(lab: Lab, space: Space, baseline: Baseline) -> Mapping[str, Any] | int:
    """A baseline as it is declared; of a configuration all values, with defaults where they were left out.

    Args:
        lab: where runs are.
        space: of the task.
        baseline: what was given.

    Returns:
        A whole configuration, or a run's number.

    Raises:
        InvalidSettings: it is no configuration of the space, and no run's name or number.
    """
    if isinstance(baseline, Mapping):
        try:
            return dict(space.configuration({**_defaults(space, baseline), **baseline}))
        except InvalidConfiguration as error:
            raise InvalidSettings(f"baseline: {error}") from None
    if isinstance(baseline, bool) or not isinstance(baseline, str | int):
        raise InvalidSettings(f"baseline is {baseline!r}, expected a configuration ({{name: value}}), or a run's name or number")
    try:
        return lab.runs.named(str(baseline)).id
    except InvalidSettings as error:
        raise InvalidSettings(f"baseline: {error}") from None


def _defaults(space: Space, given: Mapping[str, Any]) -> dict[str, Any]:
    """The defaults of what was left out and is active then."""
    values = dict(given)
    for hyperparameter in space:
        is_left_out = hyperparameter.name not in values and hyperparameter.default is not None
        if is_left_out and space.is_active(hyperparameter, values):
            values[hyperparameter.name] = hyperparameter.default
    return values


def declare(lab: Lab, session: Session, baseline: Mapping[str, Any] | int, train: Callable[[Mapping[str, Any]], int]) -> None:
    """Declare a run's baseline: a run that is there, or one of a configuration, which is trained now where it never was.

    Args:
        lab: where the run is.
        session: the run.
        baseline: as `checked` gives it.
        train: makes a run of a configuration, with the seeds of `session`; its number.

    Raises:
        Refused: the run that it names can be no baseline of this one.
    """
    if isinstance(baseline, Mapping):
        known = _trained(lab, session, baseline)
        baseline_id = train(baseline) if known is None else known
    else:
        baseline_id = baseline
    if lab.runs.notes(session.id).baseline != baseline_id:
        lab.runs.declare_baseline(session.id, baseline_id)


def _trained(lab: Lab, session: Session, configuration: Mapping[str, Any]) -> int | None:
    """The run of this configuration alone among those with the same task version, seed and evaluation, where it has ended."""
    method = {"name": METHOD, "configurations": [dict(configuration)]}
    for other in lab.sessions.of_study(session.study_id):
        is_same = {key: other.method.get(key) for key in method} == method
        if is_same and other.choice is not None and other.evaluated.done >= other.evaluated.planned:
            return other.id
    return None
