"""`evenhand.tune`: tune a task or a function in this process, in a session that the pages show like every other.

A method plays the session through the lab's verbs, and this process is the agent that trains: any function works, one from a
notebook or a script too.
"""

import inspect
import os
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from types import FrameType
from typing import TYPE_CHECKING, Any, Literal

from evenhand import frames, livedisplay, protocol, tasks
from evenhand.analysis.scores import show_score, summarize
from evenhand.declaration import Budget, Study, Text
from evenhand.errors import InvalidSettings, InvalidSpace, TaskMissing
from evenhand.inline import OTHERS, Crew, Trainer
from evenhand.lab import Lab
from evenhand.play import Player, Turn, read_method
from evenhand.records import Evaluation, Outcome, SeedScore, Session, Trial
from evenhand.space import Configuration, Prior, Space, digest
from evenhand.tasks import Run, Task

if TYPE_CHECKING:
    from pandas import DataFrame

WHO = "evenhand.tune"  # who looks at the test score, in the log of looks
SEEDS = 10  # of the final evaluation

Objective = Callable[..., Any]


@dataclass(frozen=True)
class TestScore:
    """The final configuration on test data: mean and standard deviation (n - 1) over the seeds that have a score."""

    __test__ = False  # its name is no reason for pytest to collect it

    metric: str
    scores: tuple[SeedScore, ...]
    mean: float | None
    std: float | None

    @classmethod
    def of(cls, evaluation: Evaluation) -> "TestScore":
        """The summary of an evaluation."""
        found = summarize(evaluation)
        return cls(evaluation.metric, evaluation.scores, found.mean, found.deviation)

    def __str__(self) -> str:
        spread = "" if self.std is None else f" ± {show_score(self.std, self.metric)}"
        return f"{self.metric} {show_score(self.mean, self.metric)}{spread}"


@dataclass(frozen=True, repr=False)
class Result:
    """What `tune` found. evaluation: None where it was not wanted, there is no test data, or no trial had a value."""

    session: Session
    evaluation: TestScore | None

    @property
    def session_id(self) -> int:
        """The session's number, as pages and `evenhand replay` call it."""
        return self.session.id

    @property
    def trials(self) -> tuple[Trial, ...]:
        """All trials, in order."""
        return tuple(self.session.trials)

    @property
    def best(self) -> Trial | None:
        """The trial with the best value on validation; None where no trial has one."""
        return protocol.best_trial(self.session)

    @property
    def configuration(self) -> Configuration | None:
        """The final choice; None where no trial has a value."""
        return self.session.choice.configuration if self.session.choice else None

    def dataframe(self) -> "DataFrame":
        """The trials as a table of pandas, one row a trial; see `evenhand.frames.dataframe`."""
        return frames.dataframe(self.session)

    def __repr__(self) -> str:
        session = self.session
        counts = Counter(str(trial.outcome or "open") for trial in self.trials)
        told = ", ".join(f"{count} {outcome}" for outcome, count in counts.items())
        lines = [f"Result of session {session.id}: {session.tuner}, {len(self.trials)} trials ({told})"]
        best, metric = self.best, session.task.metric
        if best is None:
            lines.append("  no trial has a value")
        else:
            lines.append(f"  validation     {metric} {show_score(best.value, metric)} (trial {best.number}, the best)")
        if self.evaluation is not None:
            lines.append(f"  test           {self.evaluation}, {len(self.evaluation.scores)} seeds")
        for name, value in (self.configuration or {}).items():
            lines.append(f"  {name:<14} {session.space[name].show(value)}")
        reason = next((trial for trial in reversed(self.trials) if trial.outcome is Outcome.INVALID), None)
        if best is None and reason is not None:
            lines.append(f"  trial {reason.number} was invalid: {(reason.why or '').splitlines()[-1]}")
        return "\n".join(lines)


def tune(
    function: Task | Objective,
    space: Space | None = None,
    *,
    method: str = "random",
    trials: int | None = None,
    minutes: float | None = None,
    epochs: int | None = None,
    epochs_per_trial: int | None = None,
    parallel: int = 1,
    priors: Mapping[str, Prior] | None = None,
    seed: int = 0,
    evaluate: bool = True,
    metric: str = "value",
    direction: Literal["maximize", "minimize"] | None = None,
    db: str | None = None,
    progress: bool = True,
    **settings: Any,
) -> Result:
    """Tune `function` with a method under a budget of trials, minutes or epochs, and score its choice on test with ten seeds.

    function: a task (a function under `@evenhand.task`), or, with a `space` and a direction, a plain function: one of
    `(configuration)` that returns the value, or one of `(configuration, run)` that reports it as `metric`. It trains in this
    process, each trial on one thread. An exception of its own makes the trial `invalid`, and the search goes on.

    seed: decides the method's draws, the tuning seed of the trainings, and the evaluation's seeds. epochs_per_trial: fixes the
    space's fidelity. parallel: how many trials train at once, each in a thread; what a method proposes then hangs on which of
    them ends first. priors: what is believed of hyperparameters, by name, recorded before the first trial; `pibo` and
    `priorband` use them. evaluate: whether the choice is scored on test. db: SQLAlchemy URL (default: the user's data
    directory). settings: of the method, such as `startup=20` for tpe, and for every method `stopping="median"`, which ends
    trials that fall behind.

    Ctrl-C stops the training, chooses the best trial so far, and goes on as KeyboardInterrupt.

    Raises:
        InvalidSettings: a budget, method or function that cannot be used; the text says which and why.
        InvalidSpace: a prior of something that is not in the space, or with a value outside its domain.
    """
    _refuse_while_imported()
    task = _as_task(function, space, metric, direction)
    budget = protocol.parse_budget(None if minutes is None else minutes * 60, trials, epochs, parallel)
    chosen = {"name": method, "seed": protocol.derive_seed(seed, "method"), **settings}
    if epochs_per_trial is not None:
        chosen["epochs_per_trial"] = epochs_per_trial
    read_method(task.record, chosen)  # what is wrong with it is said before anything is stored
    _check_priors(task.space, priors or {})
    lab = Lab.connect(db)
    try:
        player = _open(lab, task, budget, chosen, seed, evaluate)
        if priors:
            lab.believe(player.session_id, priors, who=WHO)
        with _shown(progress, lab, player.session_id) as show:
            _tune(lab, task, player, parallel, show)
            session = _evaluate(lab, task, player.session_id, show) if evaluate else lab.session(player.session_id)
        evaluation = None
        if session.evaluated.planned:
            lab.reveal(session.id, WHO)
            evaluation = TestScore.of(lab.evaluation(session.id, WHO))
        return Result(session, evaluation)
    finally:
        lab.close()


def _check_priors(space: Space, priors: Mapping[str, Prior]) -> None:
    for name, prior in priors.items():
        if name not in space:
            raise InvalidSpace(f"priors: there is no hyperparameter {name!r}; expected one of {', '.join(space.names)}")
        if not isinstance(prior, Prior):
            raise InvalidSpace(f'priors: {name!r} is {prior!r}, expected a Prior, such as Prior(0.01, "high")')
        if prior.confidence not in ("low", "medium", "high"):
            raise InvalidSpace(f"priors: {name!r} has the confidence {prior.confidence!r}, expected low, medium or high")
        replace(space[name], prior=prior)  # checks it against the domain


def _open(lab: Lab, task: Task, budget: Budget, method: Mapping[str, Any], seed: int, evaluate: bool) -> Player:
    """A session in the study that all tunings of this task version with this seed share."""
    record = lab.add_task(task.record)
    short = task.name.rpartition(":")[2]
    scored = "" if evaluate else ", not evaluated"
    study = Study(
        name=f"{short} {task.version[:12]}, seed {seed}{scored}",
        title=f"{short}, seed {seed}{scored}",
        task_id=record.id,
        budget=budget,
        seed=seed,
        consent=Text(""),
        details=Text(""),
        thanks=Text(""),
        evaluation_seeds=SEEDS if evaluate else 0,
        resumable=True,
    )
    study = lab.add_study(study)
    session = lab.open(study.id, tuner=str(method["name"]), method=method, budget=budget, driver="python")
    return Player.of(lab, session.id)


def _tune(lab: Lab, task: Task, player: Player, parallel: int, show: "Show") -> None:
    def measured() -> None:
        player.look()
        show()

    try:
        if parallel == 1:
            _train_here(Trainer(lab, task, player.session_id, measured), player, show)
        else:
            with Crew(lab, task, player.session_id, parallel, measured) as crew:
                while (turn := player.turn()) is not Turn.OVER:
                    if turn is Turn.WAITS:
                        crew.wait(OTHERS)
                    show()
    except KeyboardInterrupt:
        _end_early(lab, player)
        raise


def _train_here(trainer: Trainer, player: Player, show: "Show") -> None:
    """Tune, and train in this thread, where a function may count on being in a process's first one."""
    try:
        while player.turn() is not Turn.OVER:
            if not trainer.train_next():
                time.sleep(OTHERS)
            show()
    finally:
        trainer.close()


def _end_early(lab: Lab, player: Player) -> None:
    session = lab.session(player.session_id)
    for trial in session.trials:
        if trial.is_open:
            lab.stop(session.id, trial.number)
    best = protocol.best_trial(session)
    lab.choose(session.id, number=best.number if best else None, key="final")


def _evaluate(lab: Lab, task: Task, session_id: int, show: "Show") -> Session:
    """Score the choice seed by seed: on all cores at once, where the task lets trainings run in threads."""

    def is_left() -> bool:
        evaluated = lab.session(session_id).evaluated
        return evaluated.done < evaluated.planned

    cores = min(os.cpu_count() or 1, lab.session(session_id).evaluated.planned) if task.threads else 1
    if cores > 1:
        with Crew(lab, task, session_id, cores) as crew:
            while is_left():
                crew.wait(OTHERS)
                show()
        return lab.session(session_id)
    trainer = Trainer(lab, task, session_id)
    try:
        while is_left():
            if not trainer.train_next():
                time.sleep(OTHERS)
            show()
    finally:
        trainer.close()
    return lab.session(session_id)


Show = Callable[[], None]


@contextmanager
def _shown(progress: bool, lab: Lab, session_id: int) -> Iterator[Show]:
    """A progress bar on standard error (in a notebook a display), and what updates it; with `progress` off, nothing."""
    if not progress:
        yield lambda: None
        return
    if livedisplay.in_notebook():
        display = livedisplay.Display()
        display.show(lab.session(session_id), lab.clock())
        try:
            yield lambda: display.show(lab.session(session_id), lab.clock())
        finally:
            display.show(lab.session(session_id), lab.clock(), last=True)
        return
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

    columns = (TextColumn("{task.description}"), BarColumn(), TextColumn("{task.fields[told]}"), TimeElapsedColumn())
    with Progress(*columns, console=Console(stderr=True)) as bar:
        line = bar.add_task(lab.session(session_id).tuner, total=1.0, told="")
        seeds = bar.add_task("test score", total=1.0, told="", visible=False, start=False)

        def show() -> None:
            session = lab.session(session_id)
            if session.choice is None:
                done, told = _progress(session, lab.clock())
                bar.update(line, completed=done, told=told)
            elif session.evaluated.planned:
                done, planned = session.evaluated.done, session.evaluated.planned
                bar.start_task(seeds)
                bar.update(seeds, completed=done / planned, told=f"{done} of {planned} seeds", visible=True)

        show()
        yield show


def _progress(session: Session, now: float) -> tuple[float, str]:
    """How much of the budget is spent (0 to 1), and what there is to say."""
    metric, best = session.task.metric, protocol.best_trial(session)
    budget, shares = session.budget, []
    if budget.trials is not None:
        shares.append(protocol.trials_used(session) / budget.trials)
    if budget.epochs is not None:
        shares.append(protocol.epochs_used(session) / budget.epochs)
    if budget.seconds is not None:
        shares.append(1 - (protocol.seconds_left(session, now) or 0.0) / budget.seconds)
    told = f"{len(session.trials)} trials, " + (f"best {metric} {show_score(best.value, metric)}" if best else "no value yet")
    last = session.trials[-1] if session.trials else None
    if best is None and last is not None and last.outcome is Outcome.INVALID and last.why:
        told += f": {last.why.splitlines()[-1][:80]}"
    return max(shares), told


def _refuse_while_imported() -> None:
    """An agent that imports a script for its task must not start tuning it: that would never end."""
    frame: FrameType | None = sys._getframe(1)
    while frame is not None:
        if frame.f_code.co_name == "<module>" and str(frame.f_globals.get("__name__")).startswith("evenhand_task_"):
            raise TaskMissing(
                f"{frame.f_code.co_filename} calls evenhand.tune while it is imported for its task; "
                'put the call under if __name__ == "__main__":'
            )
        frame = frame.f_back


def _as_task(
    function: Task | Objective, space: Space | None, metric: str, direction: Literal["maximize", "minimize"] | None
) -> Task:
    if isinstance(function, Task):
        if space is not None:
            raise InvalidSettings(f"{function.name} is a task and has a space of its own; leave out the one that is given")
        return function
    if not callable(function) or not hasattr(function, "__code__"):
        raise InvalidSettings(f"tune: got a {type(function).__name__}, expected a task or a function")
    if space is None:
        raise InvalidSettings(
            f"tune: the function {function.__name__} comes without a space; give one, as in tune(function, Space([...])), "
            "or make it a task with @evenhand.task(space=..., ...)"
        )
    takes = len(inspect.signature(function).parameters)
    if takes not in (1, 2):
        raise InvalidSettings(
            f"tune: the function {function.__name__} takes {takes} arguments, expected (configuration) or (configuration, run)"
        )
    high = getattr(space.fidelity.domain, "high", 1) if space.fidelity else 1
    made = tasks.task(space=space, metric=metric, direction=direction, max_epochs=int(high))(function)
    version = digest([made.version, space.digest, metric, made.direction])
    if takes == 2:
        return replace(made, version=version)

    def train(configuration: Configuration, run: Run) -> None:
        value: dict[str, Any] = {metric: function(configuration)}
        run.report(epoch=1, **value)

    return replace(made, version=version, train=train)
