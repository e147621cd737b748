"""The contract of tasks: what everyone may count on, whoever wrote the task.

Trainings are stopped after a few epochs, so that a task with many costs no more than the example needs.
"""

import hashlib
import math
import pickle
from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

import numpy as np

from evenhand import (
    Choice,
    Configuration,
    EvenhandError,
    Float,
    Hyperparameter,
    InvalidConfiguration,
    InvalidSettings,
    Measurement,
    Outcome,
    Run,
    Space,
    Splits,
    Stopped,
    Task,
    TaskSpec,
    load_task,
    run_trial,
)
from evenhand.testing.broken import Broken, ask, elsewhere

SEED = 5
KNOWN_DIRECTIONS = {"accuracy": "maximize", "r2": "maximize", "mse": "minimize", "mae": "minimize"}
TRACEBACK = "Traceback (most recent call last)"


def check_task(
    task: Task | TaskSpec | str,
    *,
    settings: Mapping[str, Any] | None = None,
    epochs: int = 2,
    bounds: bool = True,
    twins: int = 0,
) -> tuple[str, ...]:
    """What could not be checked of a task, or an AssertionError that says which rule it broke, with which input.

    The rules: its metric has a direction that fits; its example trains, and is evaluated where there is test data; measurements
    are finite and in order; the same seed gives the same numbers, bit for bit, here and in a fresh process, which finds the same
    version; splits are disjoint, the same each time, and not changed; no test data is asked for; a stop is heeded; no more
    epochs are reported than are asked for; a configuration at each bound, with each option and under each condition trains or
    ends in words.

    Args:
        task: the task, or its name as on the command line (a registered one's, FILE.py:NAME or MODULE:NAME).
        settings: of a named task.
        epochs: after so many each training is stopped.
        bounds: whether the bounds are tried, which takes most trainings: about two for each hyperparameter.
        twins: how many examples may be in two splits, because the data itself holds them more than once.

    Returns:
        What could not be checked, and why: that splits are disjoint, of a task that brings its own data.

    Raises:
        Broken: an AssertionError: a rule was broken.
        EvenhandError: a named task cannot be loaded.
        InvalidSettings: settings were given beside a task that is made already, or it is neither a task nor a task's name, as a
            function without @task(...) is none.
    """
    if not isinstance(task, Task | TaskSpec | str):
        what = getattr(task, "__name__", repr(task))
        raise InvalidSettings(
            f"check_task: got {what}, a {type(task).__name__}; expected a task (a function under @task(...)), or a task's name"
        )
    if not isinstance(task, str) and settings:
        raise InvalidSettings(
            f"settings= is for a task that is given by its name, and {task!r} is made already; make it with {', '.join(settings)}"
        )
    if not isinstance(task, Task):
        task = load_task(TaskSpec(task, dict(settings or {})) if isinstance(task, str) else task)
    left = [*_check_metric(task), *_check_splits(task, twins)]
    example = example_of(task)
    numbers = _check_training(task, example, epochs)
    _check_repeats(task, example, epochs, numbers)
    _check_length(task, example, epochs)
    left += _check_data_is_left_alone(task, example, epochs)
    _check_evaluation(task, example, epochs)
    _check_stop(task, example)
    if bounds:
        _check_bounds(task, example, epochs)
    _check_elsewhere(task, example, epochs, numbers)
    return tuple(left)


class _Trained:
    """One training: how it ended, and what it measured."""

    def __init__(self, task: Task, configuration: Mapping[str, object], epochs: int, evaluation: bool = False) -> None:
        self.measured: list[Measurement] = []
        self._epochs = epochs
        self.outcome, self.why = run_trial(task, configuration, seed=SEED, evaluation=evaluation, report=self._keep)

    def _keep(self, measurement: Measurement) -> None:
        self.measured.append(measurement)
        if measurement.epoch is not None and measurement.epoch >= self._epochs:
            raise Stopped("the contract has seen enough")

    @property
    def told(self) -> list[tuple[Any, ...]]:
        """All but the seconds, which differ each time."""
        return [
            (
                measurement.index,
                measurement.step,
                measurement.epoch,
                measurement.loss,
                measurement.value,
                tuple(sorted(measurement.extra.items())),
            )
            for measurement in self.measured
        ]


def example_of(task: Task) -> Configuration:
    """The configuration to try the task with: its own example, else its defaults with a draw for what has none."""
    if task.example is not None:
        try:
            return task.space.configuration(task.example)
        except InvalidConfiguration as error:
            raise Broken(f"a task's example is a configuration of its space: {dict(task.example)}: {error}") from error
    return completed(task.space, {}, {})


def completed(space: Space, fixed: Mapping[str, Any], base: Mapping[str, Any]) -> Configuration:
    """A configuration with the `fixed` values, whose conditions are made to hold; else those of `base`, defaults, or draws."""
    drawn = np.random.default_rng(SEED).random(len(space.hyperparameters))
    wanted = dict(fixed)
    for hyperparameter in reversed(space.hyperparameters):  # conditions name what comes before
        if (
            hyperparameter.name in wanted
            and hyperparameter.condition is not None
            and wanted.get(hyperparameter.condition.on) not in hyperparameter.condition.values
        ):
            held = base.get(hyperparameter.condition.on)
            wanted[hyperparameter.condition.on] = (
                held if held in hyperparameter.condition.values else hyperparameter.condition.values[0]
            )
    values: dict[str, Any] = {}
    for hyperparameter, unit in zip(space.hyperparameters, drawn, strict=True):
        if space.is_active(hyperparameter, values):
            default = (
                hyperparameter.default if hyperparameter.default is not None else hyperparameter.domain.from_unit(float(unit))
            )
            values[hyperparameter.name] = wanted.get(hyperparameter.name, base.get(hyperparameter.name, default))
    return space.configuration(values)


def _check_metric(task: Task) -> Iterator[str]:
    rule = "a task has a metric with a direction"
    ask(task.direction in ("maximize", "minimize"), rule, f"direction is {task.direction!r}, expected 'maximize' or 'minimize'")
    ask(task.metric and task.metric.strip(), rule, f"metric is {task.metric!r}, expected its name")
    ask(task.max_epochs >= 1, "a task trains at least one epoch", f"max_epochs is {task.max_epochs}")
    if task.score is None and task.metric in KNOWN_DIRECTIONS:
        expected = KNOWN_DIRECTIONS[task.metric]
        ask(task.direction == expected, rule, f"{task.metric} is to {task.direction}, expected to {expected}")
    if task.data is None:
        yield "whether the metric prefers true predictions: the task computes it itself"
        return
    _, y = task.data().load("validation")
    y = np.asarray(y)
    try:
        scores = [_scored(task, y, guess) for guess in (y, np.roll(y, 1, axis=0))]
    except Exception as error:
        why = f"it does not take targets as predictions ({type(error).__name__}: {error})"
        yield f"whether the metric prefers true predictions: {why}"
        return
    better = scores[0] >= scores[1] if task.direction == "maximize" else scores[0] <= scores[1]
    rule = "the metric's direction fits: true predictions are no worse than wrong ones"
    ask(
        better, rule, f"{task.metric} of the validation targets is {scores[0]}, of others {scores[1]}, and is to {task.direction}"
    )


def _scored(task: Task, targets: Any, predictions: Any) -> float:
    """The metric of predictions for validation's examples."""
    data = Splits(train=lambda: (targets, targets), validation=lambda: (targets, targets))
    run = Run(replace(task, data=lambda: data), seed=SEED, evaluation=False, report=lambda _: None)
    return run.score(lambda _: predictions)


def _check_splits(task: Task, twins: int) -> Iterator[str]:
    if task.data is None:
        yield "whether splits are disjoint and fixed: the task brings its own data"
        return
    names = ("train", "validation", "test") if task.has_test else ("train", "validation")
    first, again = (_rows(task, names) for _ in range(2))
    for name in names:
        same = len(first[name]) == len(again[name]) and first[name] == again[name]
        ask(same, "splits are the same each time", f"{name} differs between two calls of the data function")
    for place, one in enumerate(names):
        for other in names[place + 1 :]:
            rows = set(first[one])
            shared = [at for at, row in enumerate(first[other]) if row in rows]
            seen = (
                f"{len(shared)} of {len(first[other])} examples of {other} are in {one}, too (such as number "
                f"{shared[0] if shared else 0}), expected {f'at most {twins}' if twins else 'none'}; where the data itself holds "
                f"them more than once, say so: twins={len(shared)}"
            )
            ask(len(shared) <= twins, "splits are disjoint", seen)


def _rows(task: Task, names: tuple[str, ...]) -> dict[str, list[bytes]]:
    """A checksum of each example of each split, targets included."""
    assert task.data is not None
    checksums = {}
    for name in names:
        x, y = task.data().load(name)  # type: ignore[arg-type] # one of the three
        xs, ys = _examples(x), _examples(y)
        ask(len(xs) == len(ys), "each example has a target", f"{name} has {len(xs)} examples and {len(ys)} targets")
        ask(len(xs), "no split is empty", f"{name} has no example")
        checksums[name] = [hashlib.sha256(one + b"\0" + other).digest() for one, other in zip(xs, ys, strict=True)]
    return checksums


def _examples(part: Any) -> list[bytes]:
    if hasattr(part, "iloc"):
        part = part.to_numpy()
    if hasattr(part, "toarray"):
        part = part.toarray()
    try:
        rows = np.asarray(part)
    except ValueError:  # examples of various shapes
        return [pickle.dumps(example) for example in part]
    if rows.dtype == object:
        return [repr(row.tolist() if isinstance(row, np.ndarray) else row).encode() for row in rows]
    return [np.ascontiguousarray(row).tobytes() for row in rows]


def _check_training(task: Task, example: Configuration, epochs: int) -> list[tuple[Any, ...]]:
    trained = _Trained(task, example, epochs)
    rule = "the example, or else the defaults, can be trained"
    ask(trained.outcome in (Outcome.COMPLETED, Outcome.STOPPED), rule, f"{dict(example)} was {trained.outcome}: {trained.why}")
    ask(trained.measured, rule, f"{dict(example)} reported nothing")
    rule = "measurements are finite and in order"
    for place, measurement in enumerate(trained.measured):
        numbers = [measurement.loss, measurement.value, *measurement.extra.values()]
        where = f"measurement {place} of {dict(example)}"
        ask(all(number is None or math.isfinite(number) for number in numbers), rule, f"{where} holds {numbers}")
        before = trained.measured[place - 1] if place else None
        if before is not None:
            ask(measurement.step >= before.step, rule, f"{where} is of step {measurement.step}, after step {before.step}")
            ask(
                measurement.seconds >= before.seconds, rule, f"{where} is of second {measurement.seconds}, after {before.seconds}"
            )
    ended = [report for report in trained.measured if report.epoch is not None]
    counted = [report.epoch for report in ended]
    ask(counted == list(range(1, len(counted) + 1)), rule, f"epochs of {dict(example)} are {counted}, expected 1, 2, 3, ...")
    rule = "the metric, and each further one, is reported at the end of each epoch"
    for measurement in ended:
        ask(
            measurement.value is not None,
            rule,
            f"{task.metric} is missing at the end of epoch {measurement.epoch} of {dict(example)}",
        )
        missing = [metric.name for metric in task.further if metric.name not in measurement.extra]
        ask(not missing, rule, f"{', '.join(missing)} is missing at the end of epoch {measurement.epoch} of {dict(example)}")
    return trained.told


def _check_repeats(task: Task, example: Configuration, epochs: int, numbers: list[tuple[Any, ...]]) -> None:
    again = _Trained(task, example, epochs).told
    rule = "the same configuration and seed give the same numbers, bit for bit"
    ask(again == numbers, rule, f"of {dict(example)}, seed {SEED}: {_first_difference(numbers, again)}")


def _check_length(task: Task, example: Configuration, epochs: int) -> None:
    """Seen of a training to its end: the shortest that the space allows."""
    short = _shortened(task.space, example, epochs)
    planned = task.record.epochs_of(short)
    if planned > epochs:
        return  # without a hyperparameter for epochs a whole training may take long
    reported = [measurement.epoch for measurement in _Trained(task, short, planned + 1).measured if measurement.epoch is not None]
    rule = "a training reports no more epochs than its configuration asks for"
    ask(
        max(reported, default=0) <= planned, rule, f"{dict(short)} reported epoch {max(reported, default=0)} of {planned} planned"
    )


def _first_difference(one: list[tuple[Any, ...]], other: list[tuple[Any, ...]]) -> str:
    for first, second in zip(one, other, strict=False):
        if first != second:
            return f"measurement {first[0]} (index, step, epoch, loss, metric, further) is {first}, then {second}"
    return f"{len(one)} measurements, then {len(other)}"


def _check_data_is_left_alone(task: Task, example: Configuration, epochs: int) -> Iterator[str]:
    if task.data is None:
        yield "whether data is left unchanged: the task brings its own data"
        return
    splits = task.data()
    train, validation = splits.load("train"), splits.load("validation")
    kept = Splits(lambda: train, lambda: validation)
    names = ("train", "validation")
    before = _rows(replace(task, data=lambda: kept), names)
    _Trained(replace(task, data=lambda: kept), example, epochs)
    after = _rows(replace(task, data=lambda: kept), names)
    for name in names:
        changed = sum(row != now for row, now in zip(before[name], after[name], strict=False))
        same = len(before[name]) == len(after[name]) and not changed
        rule = "a training does not change its data, which other trials train on, too"
        ask(
            same,
            rule,
            f"the training of {dict(example)} changed {changed} of {len(before[name])} examples of {name}; let it copy them",
        )


def _check_evaluation(task: Task, example: Configuration, epochs: int) -> None:
    if not task.has_test:
        return
    short = _shortened(task.space, example, epochs)
    trained = _Trained(task, short, task.max_epochs + 1, evaluation=True)  # to its end: a value may come with its last epoch only
    valued = any(measurement.value is not None for measurement in trained.measured)
    seen = f"the evaluation of {dict(short)} was {trained.outcome}, with {len(trained.measured)} measurements: {trained.why}"
    ask(valued and trained.outcome is not Outcome.INVALID, "a task with test data can be evaluated on it", seen)


def _check_stop(task: Task, example: Configuration) -> None:
    went_on: list[str] = []

    def watched(configuration: Configuration, run: Run) -> None:
        task.train(configuration, run)
        went_on.append("returned")

    def stop(measurement: Measurement) -> None:
        raise Stopped("asked for by the contract")

    outcome, why = run_trial(replace(task, train=watched), example, seed=SEED, evaluation=False, report=stop)
    rule = "a stop is heeded: what run.report raises ends the training"
    ask(outcome is Outcome.STOPPED, rule, f"{dict(example)} was {outcome} after a stop at its first report: {why}")
    ask(not went_on, rule, f"{dict(example)} went on and returned after a stop at its first report; let Stopped pass")


def _check_bounds(task: Task, example: Configuration, epochs: int) -> None:
    rule = "a configuration at each bound, with each option and under each condition trains, or ends in words"
    for hyperparameter in task.space:
        for value in _edges(hyperparameter, epochs):
            configuration = completed(task.space, {hyperparameter.name: value}, example)
            if not hyperparameter.fidelity:
                configuration = _shortened(task.space, configuration, epochs)
            trained = _Trained(task, configuration, epochs)
            where = f"{hyperparameter.name} = {value!r} ({dict(configuration)})"
            ask(trained.outcome is not Outcome.FAILED, rule, f"{where} failed: {trained.why}")
            if trained.outcome is Outcome.INVALID:
                ask(trained.why and TRACEBACK not in trained.why, rule, f"{where} raised an exception:\n{trained.why}")


def _edges(hyperparameter: Hyperparameter, epochs: int) -> list[Any]:
    if isinstance(hyperparameter.domain, Choice):
        return list(hyperparameter.domain.options)
    if hyperparameter.fidelity:
        return [hyperparameter.domain.low]
    zero = [0.0] if isinstance(hyperparameter.domain, Float) and hyperparameter.domain.or_zero else []
    return [*zero, hyperparameter.domain.low, hyperparameter.domain.high]


def _shortened(space: Space, configuration: Configuration, epochs: int) -> Configuration:
    """The configuration for `epochs` at most, where the space says how long a trial trains."""
    fidelity = space.fidelity
    if fidelity is None or fidelity.name not in configuration or isinstance(fidelity.domain, Choice):
        return configuration
    low, now = int(fidelity.domain.low), int(configuration.number(fidelity.name))
    return space.configuration({**configuration, fidelity.name: max(low, min(epochs, now))})


def _check_elsewhere(task: Task, example: Configuration, epochs: int, numbers: list[tuple[Any, ...]]) -> None:
    rule = "a fresh process finds the task by its name, in the same version, and gets the same numbers"
    try:
        version, there = elsewhere(_told, task.spec, dict(example), epochs)
    except Exception as error:
        raise Broken(f"{rule}: {task.name}: {type(error).__name__}: {error}") from error
    ask(version == task.version, rule, f"{task.name} is version {task.version} here, and {version} there")
    seen = f"of {dict(example)}, seed {SEED}, here and there: {_first_difference(numbers, there)}"
    ask(there == numbers, rule, seen)


def _told(spec: TaskSpec, configuration: dict[str, Any], epochs: int) -> tuple[str, list[tuple[Any, ...]]]:
    try:
        task = load_task(spec)
    except EvenhandError as error:
        raise Broken(str(error)) from None
    return task.version, _Trained(task, configuration, epochs).told
