"""Runs, or trials, side by side: what differs between their configurations, what they reached, and what that cost.

Pure functions of records. Runs and trials may be of different tasks and spaces, as long as they have one metric. Test scores are
in it only where the caller hands them over, so that it is the caller who knows whose look is logged.
"""

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

from evenhand.analysis import stats, summaries
from evenhand.analysis.session_clock import SessionClock
from evenhand.errors import InvalidSettings
from evenhand.model import rules
from evenhand.model.direction import best_of, is_better, value_of
from evenhand.model.domain import Value, is_same, range_words
from evenhand.model.evaluation import Evaluation
from evenhand.model.session import Session
from evenhand.model.space import Space
from evenhand.model.study import EvaluationMode
from evenhand.model.trial import COUNTED_OUTCOMES, Outcome, Trial
from evenhand.model.words import plural, span

LEAST_COLUMNS, MOST_COLUMNS = 2, 20
UNEQUAL_FACTOR = 1.1  # of what two runs spent, beyond which their bests are no fair comparison


@dataclass(frozen=True, slots=True)
class Row:
    """One hyperparameter across the columns.

    Attributes:
        name: the hyperparameter's.
        label: what people read for it.
        values: its value in each column; None where it has none there, too.
        texts: each value as people read it; None where the hyperparameter is inactive there, or not in that space.
        differs: whether two columns differ in it.
    """

    name: str
    label: str
    values: tuple[Value | None, ...]
    texts: tuple[str | None, ...]
    differs: bool


@dataclass(frozen=True, slots=True)
class Step:
    """A new best: what the run had spent when its trial ended, and the value.

    Attributes:
        trials: counted trials that had ended, this one included.
        epochs: that they had begun.
        seconds: on the run's clock.
        training_seconds: of these trials, added up: what they cost is told by it.
        value: the best value from here on.
        number: of the trial.
    """

    trials: int
    epochs: int
    seconds: float
    training_seconds: float
    value: float
    number: int


@dataclass(frozen=True, slots=True)
class TestValue:
    """A choice on test data, over seeds.

    Attributes:
        values: one of each seed that has a score.
        planned: seeds that were planned.
        mean: over the values.
        deviation: their standard deviation; None of fewer than two.
        low: where an interval of the mean begins; None where there is none.
        high: where it ends.
        half: half of its width, as papers write mean ± half.
        how: of what kind the interval is, or why there is none.
        mode: how the choice was trained for it.
    """

    __test__ = False  # its name is no reason for pytest to collect it

    values: tuple[float, ...]
    planned: int
    mean: float
    deviation: float | None
    low: float | None
    high: float | None
    half: float | None
    how: str
    mode: EvaluationMode


@dataclass(frozen=True, slots=True)
class RunColumn:
    """One run.

    Attributes:
        session_id: its number.
        name: what it is called: its name, or its number as #12.
        task: its task's short name.
        tuner: who tuned it.
        number: of the trial whose configuration is compared: the chosen one, else the best; None where no trial has a value.
        is_chosen: whether that one was chosen.
        value: of that trial on validation.
        best: the best value so far, at the end.
        best_at_common: the best of the first so many trials as every run has (`RunComparison.common_trials`).
        test: its choice on test data, where that was handed over.
        seed: that all its trainings have in common.
        trials: counted trials that have ended.
        epochs: that they began.
        seconds: on its clock, until its choice or its last trial's end.
        training_seconds: of its trials, added up.
        steps: each new best, in order.
        has_ended: whether a choice ended it.
    """

    session_id: int
    name: str
    task: str
    tuner: str
    number: int | None
    is_chosen: bool
    value: float | None
    best: float | None
    best_at_common: float | None
    test: TestValue | None
    seed: int
    trials: int
    epochs: int
    seconds: float
    training_seconds: float
    steps: tuple[Step, ...]
    has_ended: bool


@dataclass(frozen=True, slots=True)
class RunComparison:
    """Runs of one metric side by side.

    Attributes:
        metric: what they were tuned for.
        maximize: whether larger values are better.
        columns: one a run, in the order in which they were given.
        rows: of the configurations, by name, as the spaces have them.
        domains: what was searched: the same rows, with each space's domain in words.
        common_trials: so many trials every run has at least.
        warnings: sentences that say why the values are no fair comparison.
    """

    metric: str
    maximize: bool
    columns: tuple[RunColumn, ...]
    rows: tuple[Row, ...]
    domains: tuple[Row, ...]
    common_trials: int
    warnings: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class TrialColumn:
    """One trial.

    Attributes:
        session_id: the number of its run.
        run: what that is called.
        number: its own within it.
        proposer: who proposed it.
        outcome: how it ended; None while it is open.
        value: on validation.
        extra: further metrics by name.
        seed: that it was trained with.
        epochs: completed.
        seconds: of training; None while it is open.
    """

    session_id: int
    run: str
    number: int
    proposer: str
    outcome: Outcome | None
    value: float | None
    extra: Mapping[str, float]
    seed: int
    epochs: int
    seconds: float | None


@dataclass(frozen=True, slots=True)
class TrialComparison:
    """Trials of one metric side by side; see `RunComparison`."""

    metric: str
    maximize: bool
    columns: tuple[TrialColumn, ...]
    rows: tuple[Row, ...]


def compare_runs(sessions: Sequence[Session], evaluations: Mapping[int, Evaluation] | None = None) -> RunComparison:
    """Runs side by side.

    Args:
        sessions: two to twenty different ones, as they stand.
        evaluations: the test scores that may be shown, by the session's number.

    Returns:
        Their configurations as a difference, what they reached and spent, and what makes that unfair.

    Raises:
        InvalidSettings: too few, too many, one twice, or their metrics differ.
    """
    _check_count("runs", sessions)
    if len({session.id for session in sessions}) < len(sessions):
        raise InvalidSettings(f"runs {', '.join(str(session.id) for session in sessions)}: one is there twice; name each once")
    _check_metric(sessions)
    compared = [_compared_trial(session) for session in sessions]
    spaces = [session.space for session in sessions]
    endings = [_ended(session) for session in sessions]
    common = min(len(trials) for trials in endings)
    columns = tuple(
        _run_column(session, trial, ended, common, (evaluations or {}).get(session.id))
        for session, trial, ended in zip(sessions, compared, endings, strict=True)
    )
    return RunComparison(
        metric=sessions[0].task.metric,
        maximize=sessions[0].maximize,
        columns=columns,
        rows=_rows(spaces, [{} if trial is None else trial.configuration for trial in compared]),
        domains=_domain_rows(spaces),
        common_trials=common,
        warnings=tuple(_warnings(sessions, columns)),
    )


def compare_trials(pairs: Sequence[tuple[Session, Trial]]) -> TrialComparison:
    """Trials side by side, of one run or of several.

    Args:
        pairs: two to twenty different trials, each with its session.

    Returns:
        Their configurations as a difference, what they reached and spent.

    Raises:
        InvalidSettings: too few, too many, one twice, or their metrics differ.
    """
    _check_count("trials", pairs)
    if len({trial.id for _, trial in pairs}) < len(pairs):
        names = ", ".join(f"{trial.number} of session {session.id}" for session, trial in pairs)
        raise InvalidSettings(f"trials {names}: one is there twice; name each once")
    sessions = [session for session, _ in pairs]
    _check_metric(sessions)
    return TrialComparison(
        metric=sessions[0].task.metric,
        maximize=sessions[0].maximize,
        columns=tuple(_trial_column(session, trial) for session, trial in pairs),
        rows=_rows([session.space for session in sessions], [trial.configuration for _, trial in pairs]),
    )


def _check_count(what: str, given: Sequence[object]) -> None:
    if not LEAST_COLUMNS <= len(given) <= MOST_COLUMNS:
        raise InvalidSettings(f"{what}: got {len(given)}, expected {LEAST_COLUMNS} to {MOST_COLUMNS} to compare")


def _check_metric(sessions: Sequence[Session]) -> None:
    first = sessions[0]
    for session in sessions[1:]:
        if (session.task.metric, session.maximize) != (first.task.metric, first.maximize):
            raise InvalidSettings(
                f"session {session.id} is tuned for {session.task.metric} ({session.task.direction}), session {first.id} for "
                f"{first.task.metric} ({first.task.direction}); expected runs of one metric"
            )


# Configurations


def _rows(spaces: Sequence[Space], configurations: Sequence[Mapping[str, Value]]) -> tuple[Row, ...]:
    """One row for each hyperparameter that is active in some column."""
    names = [name for name in _names(spaces) if any(name in configuration for configuration in configurations)]
    return tuple(_row(name, spaces, configurations) for name in names)


def _row(name: str, spaces: Sequence[Space], configurations: Sequence[Mapping[str, Value]]) -> Row:
    values = [configuration.get(name) for configuration in configurations]
    texts = tuple(
        space[name].show(configuration[name]) if name in configuration else None
        for space, configuration in zip(spaces, configurations, strict=True)
    )
    return Row(name, _label(name, spaces), tuple(values), texts, _differ(values, texts))


def _differ(values: Sequence[Value | None], texts: Sequence[str | None]) -> bool:
    """Whether two columns differ: in the value, or in that only one of them has it."""
    first, first_text = values[0], texts[0]
    return any(
        (text is None) != (first_text is None) or (text is not None and not is_same(first, value))
        for value, text in zip(values[1:], texts[1:], strict=True)
    )


def _domain_rows(spaces: Sequence[Space]) -> tuple[Row, ...]:
    rows = []
    for name in _names(spaces):
        texts = tuple(_domain_words(space, name) if name in space else None for space in spaces)
        rows.append(Row(name, _label(name, spaces), texts, texts, len(set(texts)) > 1))
    return tuple(rows)


def _domain_words(space: Space, name: str) -> str:
    hyperparameter = space[name]
    scale = ", by magnitude" if getattr(hyperparameter.domain, "log", False) else ""
    only = f", where {space.when(hyperparameter)}" if hyperparameter.condition else ""
    return f"{range_words(hyperparameter.domain)}{scale}{only}"


def _names(spaces: Iterable[Space]) -> list[str]:
    """The names of all spaces, in the order of the first one, then what later ones have beside it."""
    return list(dict.fromkeys(name for space in spaces for name in space.names))


def _label(name: str, spaces: Iterable[Space]) -> str:
    return next(space[name].label for space in spaces if name in space)


# Columns


def _compared_trial(session: Session) -> Trial | None:
    """The trial that a run stands for: the chosen one, else the best that has ended."""
    return session.chosen_trial or rules.best_trial(session, ended=True)


def _ended(session: Session) -> list[Trial]:
    """The counted trials that have ended, in the order in which they did."""
    counted = (trial for trial in session.trials if trial.outcome in COUNTED_OUTCOMES and trial.claimed_at is not None)
    return sorted(counted, key=lambda trial: (trial.finished_at or 0.0, trial.number))


def _run_column(
    session: Session, trial: Trial | None, ended: Sequence[Trial], common: int, evaluation: Evaluation | None
) -> RunColumn:
    last = max((trial.finished_at or 0.0 for trial in ended), default=session.started_at or session.opened_at)
    end = session.choice.at if session.choice is not None else last
    clock = SessionClock(session, end)
    steps = _steps(ended, clock, session.maximize)
    return RunColumn(
        session_id=session.id,
        name=session.called,
        task=session.task.spec.short_name,
        tuner=session.tuner,
        number=None if trial is None else trial.number,
        is_chosen=trial is not None and session.choice is not None,
        value=None if trial is None else trial.value,
        best=steps[-1].value if steps else None,
        best_at_common=best_of((value_of(trial) for trial in ended[:common]), session.maximize),
        test=None if evaluation is None else value_on_test(evaluation),
        seed=session.tuning_seed,
        trials=len(ended),
        epochs=sum(trial.epochs_begun for trial in ended),
        seconds=clock.at(end),
        training_seconds=math.fsum(trial.seconds(end) for trial in ended),
        steps=steps,
        has_ended=session.choice is not None,
    )


def _steps(ended: Iterable[Trial], clock: SessionClock, maximize: bool) -> tuple[Step, ...]:
    steps: list[Step] = []
    epochs, training = 0, 0.0
    for count, trial in enumerate(ended, 1):
        epochs, training = epochs + trial.epochs_begun, training + trial.seconds(trial.finished_at or 0.0)
        value = value_of(trial)
        if value is not None and (not steps or is_better(value, steps[-1].value, maximize)):
            steps.append(Step(count, epochs, clock.at(trial.finished_at or 0.0), training, value, trial.number))
    return tuple(steps)


def value_on_test(evaluation: Evaluation) -> TestValue | None:
    """A choice on test data, over the seeds that have a score; None where none has."""
    values = tuple(score.value for score in evaluation.scores if score.value is not None)
    middle = summaries.mean(values)
    if middle is None:
        return None
    interval = stats.student_interval(values)
    return TestValue(
        values=values,
        planned=len(evaluation.scores),
        mean=middle,
        deviation=summaries.deviation(values),
        low=interval.low,
        high=interval.high,
        half=None if interval.low is None or interval.high is None else interval.high / 2 - interval.low / 2,
        how=interval.why or interval.how,
        mode=evaluation.mode,
    )


def _trial_column(session: Session, trial: Trial) -> TrialColumn:
    return TrialColumn(
        session_id=session.id,
        run=session.called,
        number=trial.number,
        proposer=trial.proposer,
        outcome=trial.outcome,
        value=trial.value,
        extra=dict(trial.extra),
        seed=session.tuning_seed,
        epochs=trial.epochs_done,
        seconds=None if trial.finished_at is None else trial.seconds(trial.finished_at),
    )


# What makes it unfair


def _warnings(sessions: Sequence[Session], columns: Sequence[RunColumn]) -> Iterable[str]:
    trials = {column.name: float(column.trials) for column in columns}
    epochs = {column.name: float(column.epochs) for column in columns}
    if said := _unequal("trials", trials, lambda spent: plural(int(spent), "trial")):
        yield f"{said} More trials find a better value by luck alone."
    if said := _unequal("epochs", epochs, lambda spent: plural(int(spent), "epoch")):
        yield said
    if said := _unequal("time", {column.name: column.seconds for column in columns}, span):
        yield said
    if len({session.value_rule for session in sessions}) > 1:
        rules_there = ", ".join(f"{session.called} of the {session.value_rule} epoch" for session in sessions)
        yield f"A trial's value is not of the same epoch: {rules_there}."
    if len(versions := {session.task.version for session in sessions}) > 1:
        yield f"The tasks are not the same ({len(versions)} versions), so data, splits or code may differ."
    if going_on := [column.name for column in columns if not column.has_ended]:
        yield f"Not ended yet: {', '.join(going_on)}."
    modes = {column.test.mode for column in columns if column.test is not None}
    if len(modes) > 1:
        yield "The choices were not trained in the same way for their test scores."


def _unequal(what: str, spent: Mapping[str, float], words: Callable[[float], str]) -> str:
    """What the runs spent, where that is not about the same; else nothing."""
    if max(spent.values()) <= UNEQUAL_FACTOR * min(spent.values()):
        return ""
    return f"Unequal effort in {what}: {', '.join(f'{name} {words(of_run)}' for name, of_run in spent.items())}."
