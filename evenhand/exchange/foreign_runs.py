"""Runs of other tools as exploratory sessions that nothing changes any more; `formats` reads them (docs/opening.md)."""

import math
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

from evenhand.errors import EvenhandError, InvalidSettings
from evenhand.exchange import formats
from evenhand.exchange.formats.base import ForeignRun, ForeignTrial, Loss, Losses, Point, Source, Wanted
from evenhand.lab.lab import Lab
from evenhand.model.archive import Archive
from evenhand.model.configuration import Configuration
from evenhand.model.direction import best_trial
from evenhand.model.domain import range_words
from evenhand.model.inferred_space import configuration_in, inferred_space
from evenhand.model.run_notes import LONGEST_NOTE
from evenhand.model.session import FinalChoice, Session
from evenhand.model.space import Space
from evenhand.model.study import Budget, Study, Text
from evenhand.model.task import TaskRecord, TaskSpec
from evenhand.model.trial import Measurement, Outcome, Trial
from evenhand.model.words import plural, shortened, typed
from evenhand.tasks import versions

MOST_EPOCHS = 2**31 - 1  # that a database's column takes


@dataclass(slots=True)
class _Reported:
    """What is known of a trial's curve before it is stored: its last step, the last value, and what was reported beside."""

    last_step: int = 0
    value: float | None = None
    extra: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class Opened:
    """A run of another tool as records, ids from 1. losses: all that had no place, in order."""

    run: ForeignRun
    archive: Archive
    losses: tuple[Loss, ...]
    shift: int

    @property
    def session(self) -> Session:
        """The one session, without what its trials measured."""
        return self.archive.sessions[0]

    def measurements(self) -> Iterator[tuple[int, Measurement]]:
        """What the trials measured, each with its trial's number, read from the source as it is asked for."""
        trials = {trial.number: trial for trial in self.session.trials}
        finals = {trial.number: trial for trial in self.run.trials}
        left = dict.fromkeys(trials)
        for number, points in self.run.curves():
            if number in left:
                del left[number]
                yield from ((number, one) for one in _measured(trials[number], finals[number], points, self.shift))
        for number in left:
            yield from ((number, one) for one in _measured(trials[number], finals[number], (), self.shift))

    def store(self, lab: Lab, name: str | None = None) -> int:
        """Bring it into a laboratory; the session's number. What had no place is kept in the run's note.

        name: of the study that holds it there. Refused: one of this name is there already.
        """
        made = lab.transfer.bring_in(self.archive, measurements=self.measurements(), name=name)
        session_id = lab.sessions.of_study(made.id)[0].id
        lab.runs.write(session_id, note=self.note)
        return session_id

    @property
    def note(self) -> str:
        """Where it is from, and all that had no place, in Markdown."""
        lines = [f"Read from {self.run.name}, as another tool recorded it."]
        lines += ["", "What had no place here:", "", *(f"- {loss}" for loss in self.losses)] if self.losses else []
        return shortened("\n".join(lines), LONGEST_NOTE)


@dataclass(frozen=True)
class NotOpened:
    """A run of several that could not be opened. why: in words."""

    name: str
    why: str


def opened_runs(source: Source, wanted: Wanted) -> Iterator[Opened | NotOpened]:
    """The runs in a source, or the one that is wanted, each read when its turn comes.

    One that cannot be opened raises why, as an EvenhandError, unless there are others.
    """
    form, names = formats.names(source, wanted)
    for name in names:
        try:
            yield opened(form.read(source, name, wanted))
        except EvenhandError as error:
            if len(names) == 1:
                raise
            yield NotOpened(name, str(error))


def description(opened_run: Opened) -> list[str]:
    """What was found, a line each: trials by outcome, metrics, the space, columns, and what had no place."""
    run, session = opened_run.run, opened_run.session
    counts = Counter(str(trial.outcome) for trial in session.trials)
    outcomes = ", ".join(f"{count} {outcome}" for outcome, count in counts.items())
    first, *further = run.metrics
    best = best_trial(session.trials, session.maximize)
    lines = [
        f"{run.name}: {plural(len(session.trials), 'trial')} ({outcomes})",
        f"  metric      {first.name}, {first.direction}d ({run.direction_words})",
        *(f"  objective   {metric.name}, {metric.direction}d" for metric in further),
    ]
    if best is not None:
        lines.append(f"  best        {typed(best.value)}, trial {best.number}")
    lines += [f"  column      {column}: {words}" for column, words in run.taken.items()]
    for hyperparameter in session.space:
        scale = ", by magnitude" if getattr(hyperparameter.domain, "log", False) else ""
        when = f", where {session.space.when(hyperparameter)}" if hyperparameter.condition else ""
        lines.append(f"  space       {hyperparameter.name}: {range_words(hyperparameter.domain)}{scale}{when}")
    return lines + [f"  note        {loss}" for loss in opened_run.losses]


def opened(run: ForeignRun) -> Opened:
    """A run as an archive of one session; InvalidSettings where no trial of it could be brought in.

    The first metric is the session's. Steps of reports become epochs, counted from 1 at the least.
    """
    losses = run.losses
    ended = [trial for trial in run.trials if trial.outcome is not None]
    for trial in run.trials:
        if trial.outcome is None:
            losses.note("{trials} left out as not ended", trial.label)
    space, kept = _placed(run, ended, losses)
    if not kept:
        raise InvalidSettings(f"{run.name!r}: has no trial that ended with all its hyperparameters, so there is nothing to open")
    reported, shift, last_epoch = _reported(run, {trial.number for trial, _ in kept}, losses)
    task = _task(run, space, max(run.max_epochs, last_epoch))
    made: dict[int, Trial] = {}
    for trial, configuration in kept:
        made[trial.number] = _trial(run, task, trial, configuration, reported.get(trial.number), shift, made, losses)
    trials = tuple(made.values())
    archive = _archive(run, task, trials)
    if words := _other_best(trials, task.maximize):
        losses.note(words)
    return Opened(run, archive, losses.all, shift)


def _placed(
    run: ForeignRun, ended: Sequence[ForeignTrial], losses: Losses
) -> tuple[Space, list[tuple[ForeignTrial, Configuration]]]:
    """The space, and the trials that have a configuration in it."""
    if run.space is not None:
        space = run.space
    elif not run.domains:
        raise InvalidSettings(
            f"{run.name!r}: no trial that has ended has a hyperparameter, so there is no space; expected at least one"
        )
    else:
        sound = [trial.values for trial in ended if trial.outcome is not Outcome.INVALID]  # one that failed may have begun only
        space, notes = inferred_space(run.domains, sound or [trial.values for trial in ended])
        for note in notes:
            losses.note(note)
    kept = []
    for trial in ended:
        configuration = configuration_in(space, trial.values)
        if configuration is None:
            losses.note("{trials} left out as without all hyperparameters", trial.label)
        else:
            kept.append((trial, configuration))
    return space, kept


def _reported(run: ForeignRun, kept: Iterable[int], losses: Losses) -> tuple[dict[int, _Reported], int, int]:
    """What each of these trials reported, what is added to steps so that the least is at least 1, and the last epoch."""
    wanted = frozenset(kept)
    reported: dict[int, _Reported] = {}
    least, most, endless = 1, 0, 0
    for number, points in run.curves():
        if number not in wanted or not points:
            continue
        known = reported[number] = _Reported()
        least, most = min(least, points[0].step), max(most, points[-1].step)
        for point in points:
            if point.value is not None and math.isfinite(point.value):
                known.value = point.value
            elif point.value is not None:
                endless += 1
            for name, further in point.extra.items():
                if not math.isfinite(further):
                    losses.note("{count} further numbers that are not finite are left out", f"{name} {further}")
            if _is_kept(point):
                known.last_step, known.extra = point.step, point.extra
    shift = 1 - least
    if endless:
        losses.note("{count} reported values that are not finite are left out", "", endless)
    if shift:
        losses.note(f"steps of reported values begin at {least}; as epochs they are counted from 1")
    if most + shift > MOST_EPOCHS:
        raise InvalidSettings(f"{run.name!r}: its reports go up to step {most}; expected at most {MOST_EPOCHS}")
    return reported, shift, max(most + shift, 1)


def _task(run: ForeignRun, space: Space, epochs: int) -> TaskRecord:
    metrics = [(metric.name, metric.direction) for metric in run.metrics]
    facts = {"name": run.task or f"{run.tool}:{run.name}", "metrics": metrics}
    first, *further = run.metrics
    return TaskRecord(
        spec=TaskSpec(str(facts["name"])),
        version=versions.of_facts({run.tool: facts, "space": space.to_json(), "max_epochs": epochs}),
        space=space,
        metric=first.name,
        direction=first.direction,
        max_epochs=epochs,
        has_test=False,
        id=1,
        further=tuple(further),
    )


def _trial(
    run: ForeignRun,
    task: TaskRecord,
    trial: ForeignTrial,
    configuration: Configuration,
    reported: _Reported | None,
    shift: int,
    made: Mapping[int, Trial],
    losses: Losses,
) -> Trial:
    """One trial that has ended, with the value that its measurements will give it."""
    start = trial.started if trial.started is not None else trial.ended
    if start is None and run.dated is not None:
        start = run.dated
        losses.note("{trials} without times are dated by when the file was last changed", trial.label)
    outcome, why = trial.outcome, trial.why
    last = None if reported is None else reported.value
    value = trial.value if trial.value is not None and math.isfinite(trial.value) else last
    if outcome is Outcome.COMPLETED and trial.value is not None and not math.isfinite(trial.value):
        outcome, why, value = Outcome.DIVERGED, f"the value became {trial.value}", last
    elif outcome is Outcome.COMPLETED and value is None:
        outcome, why = Outcome.INVALID, f"it ended without a value of {task.metric}"
        losses.note(f"{{trials}} ended well, but without a value of {task.metric}; they are invalid here", trial.label)
    elif outcome is Outcome.STOPPED and value is None and trial.why is None:
        why = "stopped before its first value"
    parent = made.get(trial.resumes or 0)
    is_measured = reported is not None or value is not None
    epochs = (reported.last_step + shift if reported is not None else 1) if is_measured else 0
    extra = _finite({**(reported.extra if reported else {}), **trial.further}) if is_measured else {}
    if not is_measured:
        for name in trial.further:
            losses.note(f"{name!r} of {{trials}} is not kept, since they have no value that it would stand beside", trial.label)
    return Trial(
        id=trial.number,
        session_id=1,
        number=trial.number,
        configuration=configuration,
        proposer=trial.proposer or run.tuner,
        submitted_at=start or 0.0,
        epochs_planned=task.epochs_of(configuration),
        explanation=trial.explanation,
        claimed_at=start or 0.0,
        attempt=1,
        finished_at=trial.ended or start or 0.0,
        outcome=outcome,
        why=why,
        stop_by=trial.stop_by,
        value=value,
        epochs_done=epochs,
        extra=extra,
        resumes=parent.number if parent else None,
        epochs_before=parent.epochs_done if parent else 0,
    )


def _is_kept(point: Point) -> bool:
    """Whether anything of a report can be stored."""
    return bool(point.extra) or (point.value is not None and math.isfinite(point.value))


def _finite(numbers: Mapping[str, float]) -> dict[str, float]:
    return {name: number for name, number in numbers.items() if math.isfinite(number)}


def _measured(trial: Trial, foreign: ForeignTrial, points: Sequence[Point], shift: int) -> list[Measurement]:
    """One measurement a step, and one more for the final value where it is not the last step's.

    Where a source keeps no times of steps, each has the trial's whole duration, when it was known for certain.
    """
    whole = (trial.finished_at or 0.0) - (trial.claimed_at or 0.0)
    measured = [
        Measurement(
            index,
            step + shift,
            step + shift,
            None,
            value if value is not None and math.isfinite(value) else None,
            whole if seconds is None else seconds,
            _finite(extra) if extra else {},
        )
        for index, (step, value, seconds, extra) in enumerate(filter(_is_kept, points))
    ]
    last = next((one.value for one in reversed(measured) if one.value is not None), None)
    final = foreign.value
    if final is not None and math.isfinite(final) and final != last:
        epoch = (measured[-1].epoch if measured else None) or 1
        measured.append(Measurement(len(measured), epoch, epoch, None, final, whole))
    if measured and foreign.further:
        measured[-1] = replace(measured[-1], extra={**measured[-1].extra, **_finite(foreign.further)})
    return measured


def _other_best(trials: Sequence[Trial], maximize: bool) -> str:
    """That the best of the completed trials, which alone Optuna asks, is another one; nothing where it is the same."""
    best, best_completed = (
        best_trial(those, maximize) for those in (trials, [trial for trial in trials if trial.outcome is Outcome.COMPLETED])
    )
    if best is None or best_completed is None or best.number == best_completed.number:
        return ""
    return (
        f"trial {best.number} is the best one here, since what was stopped counts with its value; "
        f"of the completed ones, which alone Optuna asks, it is trial {best_completed.number}"
    )


def _archive(run: ForeignRun, task: TaskRecord, trials: Sequence[Trial]) -> Archive:
    began, ended = min(trial.submitted_at for trial in trials), max(trial.finished_at or 0.0 for trial in trials)
    budget = run.budget or Budget(trials=len(trials))
    best = best_trial(trials, task.maximize)
    choice = (
        FinalChoice(ended, best.configuration, best.id, automatic=True)
        if best
        else FinalChoice(ended, None, None, automatic=True)
    )
    resumable = any(trial.resumes is not None for trial in trials)
    made = Study(
        name=f"{run.tool} {run.name}",
        title=run.name,
        task_id=1,
        budget=budget,
        seed=0,
        consent=Text(""),
        details=Text(""),
        thanks=Text(""),
        evaluation_seeds=0,
        resumable=resumable,
        created_at=began,
        closed_at=ended,
        archived=True,
        id=1,
    )
    session = Session(
        id=1,
        study_id=1,
        task=task,
        kind="method",
        tuner=run.tuner,
        budget=budget,
        tuning_seed=run.seed,
        opened_at=began,
        started_at=began,
        mode="live",
        purpose="exploratory",
        name=run.name,
        resumable=resumable,
        trials=tuple(trials),
        choice=choice,
    )
    return Archive(made, (made,), (task,), (), (session,))
