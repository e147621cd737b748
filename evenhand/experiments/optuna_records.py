"""Trials of an open session as Optuna has them, and Optuna's trials as the laboratory stores them: pure functions of records."""

import json
import math
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from optuna.distributions import (
    BaseDistribution,
    CategoricalDistribution,
    json_to_distribution,
)
from optuna.trial import FrozenTrial, TrialState

from evenhand.methods.optuna_spaces import domain_of, values_of
from evenhand.model.domain import Value, plain
from evenhand.model.open_space import ASKED
from evenhand.model.trial import Measurement, Outcome, Trial

USER, SYSTEM, TOLD = "user", "system", "told"  # kinds of memos beside `ASKED`
END = "end"  # the memo that says how a trial ended, as Optuna told it
FIXED = "fixed_params"  # where Optuna keeps what an enqueued trial is to ask for
VALUE, STEP = "value ", "step "  # what the memos of a trial's values, and of steps without a finite one, are called by


def running() -> FrozenTrial:
    """A trial that begins now, with nothing in it."""
    now = datetime.now()  # noqa: DTZ005 - Optuna's times have no zone
    return FrozenTrial(
        number=-1,
        trial_id=-1,
        state=TrialState.RUNNING,
        value=None,
        datetime_start=now,
        datetime_complete=None,
        params={},
        distributions={},
        user_attrs={},
        system_attrs={},
        intermediate_values={},
    )


def of_one(name: str, internal: float, distribution: BaseDistribution) -> FrozenTrial:
    """A trial with one value, to say what it is as an option of a space."""
    trial = running()
    trial.params, trial.distributions = {name: distribution.to_external_repr(internal)}, {name: distribution}
    return trial


def stored_values(trial: FrozenTrial) -> dict[str, Value]:
    """A trial's values as an open space has them."""
    domains = {name: domain_of(name, distribution) for name, distribution in trial.distributions.items()}
    return values_of(domains, trial)


def explanation_of(trial: FrozenTrial) -> str:
    """What to say of a trial: which values it was enqueued with."""
    fixed = trial.system_attrs.get(FIXED)
    return f"enqueued: {json.dumps(fixed, default=str)} were given" if fixed else ""


def outcome_of(trial: FrozenTrial, failure: str | None) -> tuple[Outcome, str | None]:
    """How a trial ended, and why. failure: what its objective raised, with the traceback."""
    if trial.state == TrialState.COMPLETE:
        value = trial.values[0]
        return (Outcome.COMPLETED, None) if math.isfinite(value) else (Outcome.DIVERGED, f"the value became {value}")
    if trial.state == TrialState.PRUNED:
        return Outcome.STOPPED, None
    return Outcome.INVALID, failure or "its program told no value, or one that is no number"


def epoch_of(trial: FrozenTrial, step: int) -> int:
    """The epoch of a step: steps that begin at 0 or below are counted from 1."""
    first = next(iter(trial.intermediate_values), step)
    return max(1, step + max(0, 1 - first))


def seconds_of(trial: FrozenTrial) -> float:
    """Seconds since the trial's start: of one that has ended, all of them."""
    until = trial.datetime_complete or datetime.now()  # noqa: DTZ005 - Optuna's times have no zone
    return max(0.0, (until - (trial.datetime_start or until)).total_seconds())


def is_finite_number(value: object) -> bool:
    """Whether it is one, and no True or False."""
    number = plain(value)
    return isinstance(number, int | float) and not isinstance(number, bool) and math.isfinite(number)


def frozen_trial(trial: Trial, facts: Mapping[str, Mapping[str, Any]], measured: Sequence[Measurement]) -> FrozenTrial:
    """A stored trial as Optuna has it. One that was interrupted waits to ask for the same values again."""
    ending = facts[TOLD].get(END, {})
    asked = {name.removeprefix(VALUE): said for name, said in facts[ASKED].items() if name.startswith(VALUE)}
    distributions = {name: _distribution(said) for name, said in asked.items()}
    params = {name: distributions[name].to_external_repr(said["internal"]) for name, said in asked.items()}
    reports = ending.get("reports", math.inf)
    steps = {point.step: point.value for point in reversed(measured) if point.value is not None and point.index < reports}
    steps |= {int(name[len(STEP) :]): value for name, value in facts[ASKED].items() if name.startswith(STEP)}
    state, system = _state(trial, ending), dict(facts[SYSTEM])
    if state == TrialState.WAITING:
        system |= {FIXED: {**system.get(FIXED, {}), **params}} if params else {}
        params, distributions, steps = {}, {}, {}
    made = running()
    made.number, made._trial_id, made.state = trial.number - 1, trial.id, state
    made.params, made.distributions = params, distributions
    made.user_attrs, made.system_attrs = dict(facts[USER]), system
    made.intermediate_values = dict(sorted(steps.items()))
    made.values = ending.get("values") or None
    made.datetime_start = None if trial.claimed_at is None else _at(trial.claimed_at)
    made.datetime_complete = None if trial.finished_at is None else _at(trial.finished_at)
    return made


def _state(trial: Trial, ending: Mapping[str, Any]) -> TrialState:
    if ending:
        return TrialState[ending["state"]]
    if trial.is_open:
        return TrialState.WAITING if trial.claimed_at is None else TrialState.RUNNING
    return TrialState.PRUNED if trial.outcome is Outcome.STOPPED else TrialState.FAIL


def _at(seconds: float) -> datetime:
    return datetime.fromtimestamp(seconds)  # noqa: DTZ006 - Optuna's times are local ones, without a zone


def _distribution(said: Mapping[str, Any]) -> BaseDistribution:
    if "choices" in said:
        return CategoricalDistribution(said["choices"])
    return json_to_distribution(json.dumps({key: value for key, value in said.items() if key != "internal"}))


# Values as JSON, and back as they were


def packed(value: Any) -> Any:
    """A value as JSON from which `unpacked` makes the same one again, tuples and numbers that are not finite included.

    Args:
        value: text, a number, True, False, None, or a list, tuple or dictionary of these.

    Returns:
        JSON values.

    Raises:
        TypeError: it holds something else.
    """
    value = plain(value)
    if value is None or type(value) in (bool, int, str):
        return value
    if isinstance(value, float):
        return float(value) if math.isfinite(value) else {"float": str(value)}
    if isinstance(value, str | int):  # of a class of their own, as members of an enumeration are
        return str.__str__(value) if isinstance(value, str) else int(value)
    if isinstance(value, list):
        return [packed(part) for part in value]
    if isinstance(value, tuple):
        return {"tuple": [packed(part) for part in value]}
    if isinstance(value, Mapping) and all(isinstance(key, str) for key in value):
        return {"dict": {key: packed(part) for key, part in value.items()}}
    raise TypeError(f"got {type(value).__name__}, expected text, numbers, True, False, None, or lists or dictionaries of these")


def unpacked(value: Any) -> Any:
    """What `packed` wrote."""
    if isinstance(value, list):
        return [unpacked(part) for part in value]
    if not isinstance(value, dict):
        return value
    if value.keys() == {"float"}:
        return float(value["float"])
    if value.keys() == {"tuple"}:
        return tuple(unpacked(part) for part in value["tuple"])
    if value.keys() == {"dict"}:
        return {key: unpacked(part) for key, part in value["dict"].items()}
    return {key: unpacked(part) for key, part in value.items()}
