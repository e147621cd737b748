"""Keras Tuner's folder of a project: `oracle.json` and a `trial.json` in a folder a trial."""

import json
import math
from collections.abc import Iterator, Mapping, Sequence
from functools import partial, reduce
from operator import and_
from pathlib import Path
from typing import Any

from evenhand.errors import InvalidSettings, InvalidSpace
from evenhand.exchange.formats import metrics, spaces
from evenhand.exchange.formats.base import ForeignRun, ForeignTrial, Losses, Point, Source, Wanted
from evenhand.model.condition import Condition
from evenhand.model.domain import Choice, Domain, Float, Integer
from evenhand.model.hyperparameter import Hyperparameter
from evenhand.model.inferred_space import configuration_in
from evenhand.model.space import Space
from evenhand.model.task import Metric
from evenhand.model.trial import Outcome

NAME = "keras-tuner"
WORDS = "a folder of a project of Keras Tuner's"
TOOL = "keras-tuner"
ORACLE, TRIAL = "oracle.json", "trial.json"
TUNERS_OWN = "tuner/"  # what the names begin with that Hyperband keeps among a trial's values
DIRECTIONS = {"max": "maximize", "min": "minimize"}
NO_REASON = "Keras Tuner keeps no reason"


def holds(source: Source) -> bool:
    """Whether it is such a folder."""
    return source.is_folder and source.path is not None and (source.path / ORACLE).is_file()


def names(source: Source) -> list[str]:
    """The one project that it is."""
    assert source.path is not None
    return [source.path.resolve().name]


def read(source: Source, name: str, wanted: Wanted) -> ForeignRun:
    """The project."""
    assert source.path is not None
    folder, losses = source.path, Losses()
    oracle = _json(folder / ORACLE)
    order = {id_: place for place, id_ in enumerate(oracle.get("start_order", ()))}
    kept = [_json(path) for path in sorted(folder.glob(f"*/{TRIAL}"))]
    kept.sort(key=lambda trial: (order.get(trial["trial_id"], len(order)), trial["trial_id"]))
    metric, words = _metric(source, kept, wanted)
    declared = _declared(oracle, losses)
    rows = [_values(trial, losses) for trial in kept]
    domains, placed = spaces.tried(rows, losses, declared)
    trials = [_trial(number, trial, row, metric) for number, (trial, row) in enumerate(zip(kept, placed, strict=True), 1)]
    return ForeignRun(
        name=name,
        format=NAME,
        metrics=(metric,),
        direction_words=words,
        domains=domains,
        trials=trials,
        losses=losses,
        tuner=TOOL,
        tool=TOOL,
        dated=source.dated,
        curves=partial(_curves, kept, metric.name),
        space=_space(oracle, domains, placed),
    )


def _json(path: Path) -> Any:
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise InvalidSettings(f"{path}: cannot be read ({error})") from None


def _observed(trial: Mapping[str, Any], metric: str) -> list[tuple[int, float]]:
    """The mean over executions at each step that was kept, in order."""
    kept = trial.get("metrics", {}).get("metrics", {}).get(metric, {}).get("observations", ())
    observed = [(int(one["step"]), sum(one["value"]) / len(one["value"])) for one in kept if one.get("value")]
    return sorted(observed)


def _metric(source: Source, kept: Sequence[Mapping[str, Any]], wanted: Wanted) -> tuple[Metric, str]:
    """The metric of which the trials' scores are; Keras Tuner notes scores, but not of what."""
    kinds = {
        name: DIRECTIONS[one["direction"]]
        for trial in kept
        for name, one in trial.get("metrics", {}).get("metrics", {}).items()
        if one.get("direction") in DIRECTIONS
    }
    scored = [trial for trial in kept if isinstance(trial.get("score"), int | float)]
    fitting = [
        name
        for name in kinds
        if scored and all(any(value == trial["score"] for _, value in _observed(trial, name)) for trial in scored)
    ]
    if wanted.metric is None and fitting:
        return metrics.chosen(source.shown, fitting, wanted, fitting[0] if len(fitting) == 1 else None, kinds)
    return metrics.chosen(source.shown, kinds, wanted, None, kinds)


def _declared(oracle: Mapping[str, Any], losses: Losses) -> dict[str, Domain]:
    """The domains of the hyperparameters that it declares; one that is declared in several ways is what was tried."""
    declared: dict[str, Domain] = {}
    several: set[str] = set()
    for entry in oracle.get("hyperparameters", {}).get("space", ()):
        name = str(entry["config"]["name"])
        domain = _domain(entry, losses)
        if domain is not None and declared.setdefault(name, domain) != domain:
            several.add(name)
    for name in several:
        losses.note(f"{name}: it is declared in several ways; its domain is what was tried")
    return {name: domain for name, domain in declared.items() if name not in several}


def _domain(entry: Mapping[str, Any], losses: Losses) -> Domain | None:
    kind, said = entry["class_name"], entry["config"]
    name, log, step = said["name"], said.get("sampling") == "log", said.get("step")
    try:
        if kind == "Choice":
            return Choice(tuple(said["values"]), ordered=bool(said.get("ordered")))
        if kind == "Boolean":
            return Choice((True, False))
        if kind == "Fixed":
            return Choice((said["value"],))
        if said.get("sampling") == "reverse_log":
            losses.note("{count} reversed log scales are not kept; they are linear here", name)
        if log and step not in (None, 1):
            losses.note("steps of {count} log scales are not kept; every number of their range is allowed here", name)
            step = None
        if kind == "Int":
            return Integer(said["min_value"], said["max_value"], log=log, step=step or 1)
        if kind == "Float":
            return Float(said["min_value"], said["max_value"], log=log, step=step)
    except (InvalidSpace, KeyError):
        pass
    losses.note("the domains of {count} hyperparameters are not known; they are what was tried", name)
    return None


def _space(oracle: Mapping[str, Any], domains: Mapping[str, Domain], rows: Sequence[spaces.Row]) -> Space | None:
    """The space with the conditions that it declares; None where trials do not keep to these."""
    conditions: dict[str, Condition | None] = {}
    for entry in oracle.get("hyperparameters", {}).get("space", ()):
        said = entry["config"].get("conditions", ())
        parts = [Condition(one["config"]["name"], tuple(one["config"]["values"])) for one in said]
        conditions.setdefault(entry["config"]["name"], reduce(and_, parts) if parts else None)
    try:
        space = Space([Hyperparameter(name, domains[name], condition=conditions[name]) for name in conditions if name in domains])
    except InvalidSpace:
        return None
    fits = len(domains) == len(space.names) and all(configuration_in(space, row) is not None for row in rows)
    return space if fits else None


def _values(trial: Mapping[str, Any], losses: Losses) -> dict[str, Any]:
    values = trial["hyperparameters"]["values"]
    for name in values:
        if name.startswith(TUNERS_OWN):
            losses.note(f"{name!r}, which the tuner itself keeps, is left out of {{trials}}", values[name])
    return {name: value for name, value in values.items() if not name.startswith(TUNERS_OWN)}


def _trial(number: int, trial: Mapping[str, Any], row: spaces.Row, metric: Metric) -> ForeignTrial:
    status, message = trial.get("status"), trial.get("message")
    outcome: Outcome | None = None
    why = None
    if status == "COMPLETED":
        outcome = Outcome.COMPLETED
    elif status in ("INVALID", "FAILED"):
        outcome, why = Outcome.INVALID, str(message or NO_REASON)
    elif status == "STOPPED":
        outcome, why = Outcome.STOPPED, str(message or "stopped")
    score = trial.get("score")
    observed = _observed(trial, metric.name)
    value = score if isinstance(score, int | float) and any(score == seen for _, seen in observed) else None
    return ForeignTrial(
        number=number,
        label=str(trial["trial_id"]),
        values=row,
        outcome=outcome,
        value=value if value is not None else (observed[-1][1] if observed else None),
        why=why,
    )


def _curves(kept: Sequence[Mapping[str, Any]], metric: str) -> Iterator[tuple[int, Sequence[Point]]]:
    for number, trial in enumerate(kept, 1):
        steps: dict[int, dict[str, float]] = {}
        for name in trial.get("metrics", {}).get("metrics", {}):
            for step, value in _observed(trial, name):
                if name == metric or math.isfinite(value):
                    steps.setdefault(step, {})[name] = value
        if steps:
            yield number, [Point(step, steps[step].pop(metric, None), None, steps[step]) for step in sorted(steps)]
