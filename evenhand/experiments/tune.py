"""`evenhand.tune`: tune a task or a function in this process, in a session that the pages show like every other.

A method plays the session through the lab's verbs, and this process is the agent that trains: any function works, one from a
notebook or a script too.
"""

import os
import sys
import tempfile
import textwrap
import time
import warnings
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext, suppress
from dataclasses import dataclass, field, replace
from os import PathLike
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Any, Literal

from evenhand import tasks
from evenhand.analysis.gain import Gain
from evenhand.analysis.seen_before import SeenBefore
from evenhand.analysis.summaries import Summary, further_summaries, summarize
from evenhand.errors import InvalidSettings, InvalidSpace, Refused, TaskMissing
from evenhand.experiments import baselines, dataframes, final_models, notebook, resumption
from evenhand.experiments.baselines import Baseline
from evenhand.experiments.best import BestTrial, best_of
from evenhand.experiments.run_handle import RunHandle
from evenhand.experiments.trial_folders import TrialFolders, checked_keep
from evenhand.lab import served
from evenhand.lab.evaluations import withheld_words
from evenhand.lab.jobs import NOBODY_TRAINS
from evenhand.lab.lab import Lab
from evenhand.methods import Chosen, Method
from evenhand.methods.base import was
from evenhand.model import choices, numbers, rules
from evenhand.model.aims import OBJECTIVE_KEY, REQUIRE_KEY, Aims, names_beside, read_objectives
from evenhand.model.choice_rule import BEST, CHOOSE_KEY
from evenhand.model.configuration import Configuration
from evenhand.model.cost import parse_cost
from evenhand.model.domain import plain
from evenhand.model.evaluation import Evaluation, SeedScore
from evenhand.model.hyperparameter import Prior
from evenhand.model.importing import MODULE_PREFIX
from evenhand.model.person import TUNE_WHO
from evenhand.model.run_notes import check_name
from evenhand.model.session import Session
from evenhand.model.space import GivenSpace, Space
from evenhand.model.state_words import value_epoch_words
from evenhand.model.study import EVALUATION_MODES, Budget, EvaluationMode, ValueRule
from evenhand.model.trial import UNUSABLE_OUTCOMES, Trial
from evenhand.model.words import MODE_WORDS, last_line, plural, show_score
from evenhand.runners.local_agent import LOOK_SECONDS, Crew, Trainer
from evenhand.runners.method_player import Player, Turn, chosen_method
from evenhand.studies.own_runs import study_of_runs
from evenhand.tasks import Task
from evenhand.tasks.base import check_value_rule
from evenhand.tasks.functions import name_of
from evenhand.tasks.records import record_of

if TYPE_CHECKING:
    from pandas import DataFrame

WHO = TUNE_WHO  # who looks at the test score, in the log of looks
PLAIN_METRIC = "value"  # what a plain function's value is called where nothing is said
NO_AIMS = Aims()
LINE_CHARACTERS = 120  # of the paragraph below a result's numbers

Objective = Callable[..., Any]


@dataclass(frozen=True)
class TestScore:
    """The final configuration on test data.

    Attributes:
        metric: what it is scored by.
        scores: one of each seed.
        mean: over the seeds that have a score; None where none has.
        std: the standard deviation over the same seeds (n - 1); None of fewer than two.
        further: the same of the session's other objectives and of what it requires, where the trainings reported them.
        mode: how it was trained: "retrain", on training and validation data together, or "as tuned", as in its trial.
    """

    __test__ = False  # its name is no reason for pytest to collect it

    metric: str
    scores: tuple[SeedScore, ...]
    mean: float | None
    std: float | None
    mode: EvaluationMode = "retrain"
    further: Mapping[str, Summary] = field(default_factory=dict)

    @classmethod
    def of(cls, evaluation: Evaluation, aims: Aims = NO_AIMS) -> "TestScore":
        """The summary of an evaluation. aims: of its session."""
        summary = summarize(evaluation)
        further = further_summaries(evaluation, names_beside(aims, evaluation.metric))
        return cls(evaluation.metric, evaluation.scores, summary.mean, summary.deviation, evaluation.mode, further)

    def __str__(self) -> str:
        parts = {self.metric: (self.mean, self.std)} | {name: (of.mean, of.deviation) for name, of in self.further.items()}
        return ", ".join(
            f"{name} {show_score(mean, name)}" + ("" if std is None else f" ± {show_score(std, name)}")
            for name, (mean, std) in parts.items()
        )


@dataclass(frozen=True, repr=False)
class Result(RunHandle):
    """What `tune` gives back.

    Attributes:
        session: all that is known of the session, as it ended.
        evaluation: the choice on test data; None where that was not wanted, there is no test data, or no trial had a value.
        page: where the session's page is: its address where a server is known to run, else what starts one, and its path then.
        task: what was tuned; None of a result that was pickled, whose task is found by its name where it has one.
        db: SQLAlchemy URL of the laboratory that the session is in; None for the default one.
        seen_before: looks at scores on its test data before its trials; None where nobody had looked.
        withheld_by: names of the studies that collect on its test data, for which it has no test score now.
        gain: over its baseline; None where none is declared.
    """

    session: Session
    evaluation: TestScore | None
    page: str = ""
    task: Task | None = field(default=None, compare=False)
    db: str | None = field(default=None, compare=False)
    seen_before: SeenBefore | None = None
    withheld_by: tuple[str, ...] = ()
    gain: Gain | None = None

    @property
    def _run(self) -> Session:
        return self.session

    @property
    def _url(self) -> str | None:
        return self.db

    @property
    def _looked(self) -> tuple[str, ...]:
        return () if self.evaluation is None else (WHO,)

    @property
    def session_id(self) -> int:
        """The session's number, as pages and `evenhand replay` call it."""
        return self.session.id

    @property
    def trials(self) -> tuple[Trial, ...]:
        """All trials, in order."""
        return tuple(self.session.trials)

    @property
    def best(self) -> BestTrial | None:
        """The trial with the best value on validation, and its folder; None where no trial has a value."""
        return best_of(self.session)

    @property
    def front(self) -> tuple[Trial, ...]:
        """The trials that no other one is better than in all objectives, the best by the first one first."""
        return choices.front(self.session)

    @property
    def configuration(self) -> Configuration | None:
        """The final choice; None where no trial can be chosen."""
        return self.session.choice.configuration if self.session.choice else None

    @property
    def certainty(self) -> str:
        """How sure the result is, in one paragraph: what seeds, rows and the picking of the best of many leave open."""
        from evenhand.analysis.certainty import certainty_of
        from evenhand.report.certainty import paragraph

        scores = () if self.evaluation is None else self.evaluation.scores
        return paragraph(self.session, certainty_of(self.session, scores))

    def finalize(self, folder: str | PathLike[str] | None = None) -> Path:
        """Train the choice on all data but test, and keep the model in a folder, with a card that says what it is.

        `evenhand predict FOLDER new.csv` predicts with it (docs/models.md).

        Args:
            folder: where to: one that is new, empty, or holds a final model, which is replaced. The default is the session's own
                on this machine, where `evenhand predict SESSION` finds it.

        Returns:
            The folder.

        Raises:
            Refused: there is no choice, the training did not end well, or nothing of the model can be kept.
            InvalidSettings: the folder holds other files.
        """
        place = final_models.default_folder(self.session) if folder is None else Path(folder)
        final_models.check_folder(place)
        lab = Lab.connect(self.db)
        try:
            with tempfile.TemporaryDirectory(prefix="evenhand-") as copies:
                return final_models.write(lab, self.session, self._final_model(Path(copies)), self.certainty, place)
        finally:
            lab.close()

    def _final_model(self, copies: Path) -> final_models.FinalModel:
        """The choice, trained. copies: for files that the training keeps."""
        return final_models.trained(self.task or tasks.load(self.session.task.spec), self.session, copies)

    def dataframe(self) -> "DataFrame":
        """The trials as a table of pandas, one row a trial; see `evenhand.experiments.dataframes.dataframe`."""
        return dataframes.dataframe(self.session)

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "task": None}  # it holds functions, which may be of a notebook

    def _repr_html_(self) -> str:
        """As a notebook shows it: how it stands, the choice, its curve, the best trials, and how sure it is."""
        facts = [] if self.evaluation is None else [("test", f"{self.evaluation}, {plural(len(self.evaluation.scores), 'seed')}")]
        chosen = self.session.chosen_trial
        if chosen is not None:
            values = ", ".join(f"{name} {self.session.space[name].show(value)}" for name, value in chosen.configuration.items())
            facts.insert(0, (f"chosen, trial {chosen.number}", values))
        facts += [("its page", self.page)] if self.page else []
        return notebook.page(self.session, time.time(), self.certainty, facts)

    def __repr__(self) -> str:
        session = self.session
        counts = Counter(str(trial.outcome or "open") for trial in self.trials)
        outcomes = ", ".join(f"{count} {outcome}" for outcome, count in counts.items())
        lines = [f"Result of session {session.id}: {session.tuner}, {plural(len(self.trials), 'trial')} ({outcomes})"]
        best = self.best
        if best is None:
            lines.append(f"  {choices.no_choice_words(session) or 'no trial has a value'}")
        else:
            aims = choices.objectives_words(session, best)
            lines.append(f"  validation     {aims} (trial {best.number}, the best{value_epoch_words(session, best)})")
        if len(session.aims.objectives) > 1 and best is not None:
            numbers = ", ".join(str(trial.number) for trial in self.front)
            word = "trial" if len(self.front) == 1 else "trials"
            lines.append(f"  front          {word} {numbers}; evenhand end {session.id} --trial NUMBER picks another one")
        if (chosen := session.chosen_trial) is not None and (best is None or chosen.number != best.number):
            lines.append(f"  chosen         trial {chosen.number}: {choices.objectives_words(session, chosen)}")
        if words := choices.rule_words(session):
            lines.append(f"  rule           {words}")
        if self.evaluation is not None:
            seeds = self.evaluation.scores
            why = next((score.why for score in seeds if score.why), None) if self.evaluation.mean is None else None
            how = MODE_WORDS[self.evaluation.mode] if why is None else last_line(why)
            lines.append(f"  test           {self.evaluation}, {len(seeds)} seeds, {how}")
        elif not session.task.has_test:
            lines.append("  test           not scored: the task has no test data that no tuner saw")
        elif self.withheld_by:
            lines.append(f"  test           {withheld_words(self.withheld_by)}")
        if how := rules.how_ended(session):
            lines.append(f"  ended          {how}")
        for name, value in (self.configuration or {}).items():
            lines.append(f"  {name:<14} {session.space[name].show(value)}")
        reason = next((trial for trial in reversed(self.trials) if trial.outcome in UNUSABLE_OUTCOMES), None)
        if best is None and reason is not None and reason.why:
            lines.append(f"  trial {reason.number} {was(reason)}: {last_line(reason.why)}")
        lines += ["", *textwrap.wrap(self.certainty, LINE_CHARACTERS, initial_indent="  ", subsequent_indent="  ")]
        further = (None if fact is None else fact.words for fact in (self.gain, self.seen_before))
        for words in filter(None, further):
            lines += ["", *textwrap.wrap(words, LINE_CHARACTERS, initial_indent="  ", subsequent_indent="  ")]
        if self.page:
            lines += ["", f"  its page       {self.page}"]
        return "\n".join(lines)


def tune(
    function: Task | Objective,
    space: GivenSpace | None = None,
    *,
    method: str | Method | Callable[..., Method] = "random",
    trials: int | None = None,
    minutes: float | None = None,
    epochs: int | None = None,
    until: str | None = None,
    epochs_per_trial: int | None = None,
    parallel: int = 1,
    priors: Mapping[str, Prior] | None = None,
    seed: int = 0,
    evaluate: bool | EvaluationMode = True,
    value: ValueRule | None = None,
    metric: str = PLAIN_METRIC,
    direction: Literal["maximize", "minimize"] | None = None,
    db: str | None = None,
    progress: bool = True,
    name: str | None = None,
    keep_folders: int | str = "all",
    objectives: Sequence[str] | None = None,
    require: Mapping[str, str] | None = None,
    choose: str = BEST,
    price: str | None = None,
    watts: float | None = None,
    max_cost: str | None = None,
    baseline: "Baseline | None" = None,
    server: "SessionServed | None" = None,
    **settings: Any,
) -> Result:
    """Tune a task or a function with a method under a budget, and score its choice on test with ten seeds.

    It trains in this process, each trial on one thread. An exception of the function's own, of whatever kind, makes the trial
    `invalid`, and the search goes on. Ctrl-C, SIGTERM, a kill, a reboot, and an exception of a method of one's own (MethodFailed)
    leave the session as it stands, without a choice: the same call with its name goes on with it, and suggests what the unbroken
    run would have. What was being trained is trained again. Ctrl-C comes out as KeyboardInterrupt; SIGTERM as SystemExit(143),
    where this is a process's first thread and nothing else heeds the signal.

    Args:
        function: a task (a function under `@evenhand.task`), or, with a `space` and a direction, anything that can be called
            with `(configuration)` and returns the value, or with `(configuration, run)` and reports it as `metric`. What each
            parameter gets, docs/tasks.md says (What a function is called with).
        space: of a function: a Space, or what one is made of, a dictionary of domains or a list of Hyperparameter.
        method: the name of a registered method, FILE.py:NAME, an object of one's own that has a name and `suggest`, or its class
            (docs/methods.md, Write a method).
        trials: the budget in trials.
        minutes: the budget in minutes.
        epochs: the budget in epochs.
        until: an end that the values decide, as "0.001 in 20": where the best value got no better by 0.001 in the last 20 trials.
            Of several caps the first one that is reached ends the session.
        epochs_per_trial: fixes the space's fidelity.
        parallel: how many trials train at once, each in a thread; what a method proposes then hangs on which of them ends first.
        priors: what is believed of hyperparameters, by name, recorded before the first trial; `pibo` and `priorband` use them.
        seed: decides the method's draws, the tuning seed of the trainings, and the evaluation's seeds.
        evaluate: whether the choice is scored on test, with ten seeds; and how it is trained for that: "as tuned", on the
            training split and scored on validation (the default for a function of one's own), or "retrain", on both
            together (the default for what is built in).
        value: which epoch a trial's value is of: the "last" one, or the "best", in which case the choice is trained to that
            epoch for its test score (docs/tasks.md, The value); by default what the task says, else the last one.
        metric: what a plain function's value is called.
        direction: whether a plain function's value is to be large or small.
        db: SQLAlchemy URL (default: the user's data directory).
        progress: whether the session is shown: in a terminal as a live table, in a notebook as a display, else in plain lines.
        name: of the session. The first call opens it; the same call later goes on with it, and returns its result where it has
            ended. Under a larger budget it is extended: a choice that it has made stays beside the new one, with its evaluation.
            A session without a name goes on as `name="#12"`, by its number.
        keep_folders: which trials' folders (`run.folder`, and what `run.keep` has under names) stay: "all", "none", or of how
            many of the best; the others are deleted when their trials have ended.
        objectives: several aims, as ["accuracy:max", "latency_ms:min"]; the first is the task's metric, and says a plain
            function's metric and direction. nsga2 and tpe look at all of them; the result and the session's page show the front.
        require: what a choice has to keep, as {"latency_ms": "<= 5", "weights": "<= 1e6"}: of the metric or any other number that
            is reported. A trial that misses it is never the best, and methods keep away from such.
        choose: the rule that makes the final choice, declared before the first trial: "best", or against overfitting validation
            "lower bound" (over folds or seeds), "gap" (to training data), or "simplest:NAME" (within one standard error).
        price: of an hour of training, as "1.2 EUR/h": what trials cost is then told in money.
        watts: what a training draws on the average: what trials cost is then told in kWh, as an estimate.
        max_cost: the budget in cost: "5 EUR" at the price, "0.3 kWh" at the watts, or "2 h" of training, added up over trials,
            also over those that train side by side. A training that is under way then is stopped.
        baseline: today's configuration, or the name or number of a run that stands for it. A configuration is trained and scored
            first, with the seeds of the search; values that it leaves out have their defaults. The result says the gain over it,
            paired by seed.
        server: what has agents train it, `parallel` trials at once, in place of this process: a `SessionServer` of
            `evenhand.web.serving`, as `evenhand tune --serve` gives one. It takes a task of a file or with a name.
        settings: of the method, such as `startup=20` for tpe, and for every method `stopping=`, a rule that ends trials which
            fall behind: "median", "percentile:25", "patience:epochs=5", "threshold:0.6" (docs/methods.md, Stopping rules).

    Returns:
        The session, its trials and choice, and the test score.

    Raises:
        InvalidSettings: a budget, method or function that cannot be used; the text says which and why.
        InvalidSpace: a prior of something that is not in the space, or with a value outside its domain.
        MethodFailed: the method's own code raised; the session holds what was tried until then.
        PluginBroken: a method or stopping rule that somebody's plug-in registers cannot be used.
        Refused: the session of this name has another task, method or seed, which the text names, or a larger budget, or is being
            tuned by another process.
    """
    check_name(name)
    keep = checked_keep(keep_folders)
    _refuse_while_imported()
    task = _as_task(function, space, *_first_aim(function, metric, direction, objectives))
    if value is not None:
        check_value_rule(value)
        task = replace(task, value_rule=value)
    seconds = None if minutes is None else 60 * numbers.above_zero("budget: minutes", minutes)
    budget = rules.parse_budget(seconds, trials, epochs, parallel, until, parse_cost(price, plain(watts), max_cost))
    seed = numbers.seed_of(seed)
    settings = {name: plain(setting) for name, setting in settings.items()}
    aims = {OBJECTIVE_KEY: objectives, REQUIRE_KEY: require, CHOOSE_KEY: choose}
    settings |= {key: given for key, given in aims.items() if given is not None}
    if epochs_per_trial is not None:
        settings["epochs_per_trial"] = numbers.whole("epochs_per_trial", epochs_per_trial)
    evaluate = plain(evaluate)
    mode = _mode_of(task, evaluate)
    chosen = chosen_method(task.record, method, rules.derive_seed(seed, "method"), settings)
    _check_priors(task.space, priors or {})
    lab = Lab.connect(db)
    try:
        compared = None if baseline is None else baselines.checked(lab, task.space, baseline)
        player = _open(lab, task, budget, chosen, seed, mode, evaluate is True, priors or {}, name)
        if compared is not None:
            again: dict[str, Any] = {"seed": seed, "evaluate": evaluate, "db": db, "progress": progress, "server": server}
            again |= {"epochs_per_trial": epochs_per_trial, "trials": 1, "method": baselines.METHOD}
            baselines.declare(
                lab,
                lab.sessions.get(player.session_id),
                compared,
                lambda configuration: tune(task, configurations=[dict(configuration)], **again).session_id,
            )
        display = notebook.Display() if progress and notebook.in_notebook() else None
        shown = _shown(progress, display, lab, player.session_id)
        with resumption.attended(lab, player.session_id) as check, shown as update:
            folders = TrialFolders(lab, player.session_id, keep, getattr(player.method, "resumes", False))

            def show() -> None:
                check()
                update()

            with nullcontext() if server is None else server(lab, task, player.session_id):
                wait = None if server is None else _waits_for_agents(lab, player.session_id)
                _tune(lab, task, player, parallel, folders, show, wait)
                session = lab.sessions.get(player.session_id)
                if mode:
                    with suppress(Refused):  # it has one, is to have none, or has to wait still, which the result says
                        lab.evaluations.queue(session.id)
                    session = _evaluate(lab, task, player.session_id, show, wait)
        if session.evaluated.planned:
            lab.evaluations.reveal(session.id, WHO)
        result = result_of(lab, session, db, task)
        if display is not None:
            display.show(session, lab.clock(), last=True, words=result.certainty)
        return result
    finally:
        lab.close()


def result_of(lab: Lab, session: Session, db: str | None, task: Task | None = None) -> Result:
    """What `tune` gives back of a session that is stored, with its test score where `tune` has looked at that.

    Args:
        lab: where the session is.
        session: as it stands.
        db: the laboratory's URL.
        task: what was tuned; None where its name finds it.

    Returns:
        The result.
    """
    has_looked = any(who == WHO for who, _ in lab.evaluations.looks(session.id))
    evaluation = TestScore.of(lab.evaluations.get(session.id, WHO), session.aims) if has_looked else None
    gain = lab.runs.gain(session.id, WHO) if session.purpose == "exploratory" else None
    seen_before, withheld_by = lab.evaluations.seen_before(session.id), lab.evaluations.withheld_by(session.id)
    return Result(session, evaluation, served.page_words(lab, session.id), task, db, seen_before, withheld_by, gain)


def _check_priors(space: Space, priors: Mapping[str, Prior]) -> None:
    for name, prior in priors.items():
        if name not in space:
            raise InvalidSpace(f"priors: there is no hyperparameter {name!r}; expected one of {', '.join(space.names)}")
        if not isinstance(prior, Prior):
            raise InvalidSpace(f'priors: {name!r} is {prior!r}, expected a Prior, such as Prior(0.01, "high")')
        if prior.confidence not in ("low", "medium", "high"):
            raise InvalidSpace(f"priors: {name!r} has the confidence {prior.confidence!r}, expected low, medium or high")
        replace(space[name], prior=prior)  # checks it against the domain


def _open(
    lab: Lab,
    task: Task,
    budget: Budget,
    method: Chosen,
    seed: int,
    mode: EvaluationMode | None,
    mode_is_open: bool,
    priors: Mapping[str, Prior],
    name: str | None,
) -> Player:
    """The session of this name, or a new one in the study that all tunings of this task version with this seed share."""
    known = None if name is None else lab.sessions.called(name)
    if known is not None:
        planned = lab.studies.get(known.study_id)
        if mode_is_open and planned.evaluation_seeds:  # nothing else was asked for than that there is one
            mode = planned.evaluation_mode
        resumption.check_same(known, planned, task.record, method.described, seed, priors, mode, task.value_rule)
        session = lab.sessions.take_up(known.id, budget)
    else:
        session = _new(lab, task, budget, method, seed, mode, name)
    if priors and not session.interventions:
        lab.interventions.believe(session.id, priors, who=WHO)
    return Player.of(lab, session.id, method.given)


def _mode_of(task: Task, evaluate: object) -> EvaluationMode | None:
    """How the choice is trained for its test score; None where it gets none."""
    if isinstance(evaluate, bool):
        return task.evaluation_mode if evaluate else None
    mode = next((mode for mode in EVALUATION_MODES if mode == evaluate), None)
    if mode is None:
        expected = " or ".join(f'"{mode}"' for mode in EVALUATION_MODES)
        raise InvalidSettings(f"evaluate is {evaluate!r}, expected {expected}, True for the task's own way, or False")
    return mode


def _new(
    lab: Lab, task: Task, budget: Budget, method: Chosen, seed: int, mode: EvaluationMode | None, name: str | None
) -> Session:
    study = study_of_runs(lab, record_of(task), budget, seed=seed, mode=mode, value_rule=task.value_rule)
    tuner = str(method.described["name"]).rpartition("/")[2]  # of a file without the folders that it lies in
    return lab.sessions.open(study.id, tuner=tuner, method=method.described, budget=budget, driver="python", name=name)


def _tune(
    lab: Lab, task: Task, player: Player, parallel: int, folders: TrialFolders, show: "Show", wait: Callable[[], None] | None
) -> None:
    """wait: where agents train it."""
    warn = _warner(lab, player.session_id)

    def look() -> None:
        warn()
        folders.tidy()
        show()

    if lab.sessions.get(player.session_id).choice is not None:
        look()
        return
    if wait is not None:
        while (turn := player.turn()) is not Turn.OVER:
            if turn is Turn.WAITS:
                wait()
            look()
        look()
        return
    if parallel == 1:
        _train_here(Trainer(lab, task, player.session_id, show), player, look)
        look()
        return
    with Crew(lab, task, player.session_id, parallel, show) as crew:
        while (turn := player.turn()) is not Turn.OVER:
            if turn is Turn.WAITS:
                crew.wait(LOOK_SECONDS)
            look()
    look()


def _warner(lab: Lab, session_id: int) -> Callable[[], None]:
    """What warns, once each, of all there is to say of a session's stopping rule; without a rule it does nothing."""
    if "stopping" not in lab.sessions.get(session_id).method:
        return lambda: None
    said = 0

    def warn() -> None:
        nonlocal said
        notices = lab.sessions.notices(session_id)
        for words in notices[said:]:
            warnings.warn(f"session {session_id}: {words}", stacklevel=2)
        said = len(notices)

    return warn


def _train_here(trainer: Trainer, player: Player, show: "Show") -> None:
    """Tune, and train in this thread, where a function may count on being in a process's first one."""
    try:
        trainer.stand_by()
        while player.turn() is not Turn.OVER:
            if not trainer.train_next():
                time.sleep(LOOK_SECONDS)
            show()
            trainer.stand_by()
    finally:
        trainer.close()


def _waits_for_agents(lab: Lab, session_id: int) -> Callable[[], None]:
    """What waits for what agents do, and says on standard error, once each, why none of them trains."""
    said: set[str] = set()

    def wait() -> None:
        waiting = lab.wait(session_id, LOOK_SECONDS).waiting
        if waiting is not None and waiting.slots and waiting.why.startswith(NOBODY_TRAINS) and waiting.why not in said:
            said.add(waiting.why)
            print(f"Session {session_id} waits: {waiting.why}", file=sys.stderr)

    return wait


def _evaluate(lab: Lab, task: Task, session_id: int, show: "Show", wait: Callable[[], None] | None) -> Session:
    """Score the choice seed by seed: on all cores at once, where the task lets trainings run in threads. wait: as in `_tune`."""

    def is_left() -> bool:
        evaluated = lab.sessions.get(session_id).evaluated
        return evaluated.done < evaluated.planned

    while wait is not None and is_left():
        wait()
        show()
    if not is_left():
        return lab.sessions.get(session_id)
    cores = min(os.cpu_count() or 1, lab.sessions.get(session_id).evaluated.planned) if task.threads else 1
    if cores > 1:
        with Crew(lab, task, session_id, cores) as crew:
            while is_left():
                crew.wait(LOOK_SECONDS)
                show()
        return lab.sessions.get(session_id)
    trainer = Trainer(lab, task, session_id)
    try:
        while is_left():
            if not trainer.train_next():
                time.sleep(LOOK_SECONDS)
            show()
    finally:
        trainer.close()
    return lab.sessions.get(session_id)


Show = Callable[[], None]
SessionServed = Callable[[Lab, Task, int], AbstractContextManager[None]]  # within it agents train the session of this number


@contextmanager
def _shown(progress: bool, display: notebook.Display | None, lab: Lab, session_id: int) -> Iterator[Show]:
    """The session on standard error (in a notebook a display), and what updates it; with `progress` off, nothing."""
    if not progress:
        yield lambda: None
        return
    if display is not None:
        display.show(lab.sessions.get(session_id), lab.clock())
        try:
            yield lambda: display.show(lab.sessions.get(session_id), lab.clock())
        finally:
            display.show(lab.sessions.get(session_id), lab.clock(), last=True)
        return
    from evenhand.experiments import terminal

    with terminal.shown(lab, session_id) as show:
        yield show


def _refuse_while_imported() -> None:
    """An agent that imports a script for its task must not start tuning it: that would never end."""
    frame: FrameType | None = sys._getframe(1)
    while frame is not None:
        if frame.f_code.co_name == "<module>" and str(frame.f_globals.get("__name__")).startswith(MODULE_PREFIX):
            raise TaskMissing(
                f"{frame.f_code.co_filename} calls evenhand.tune while it is imported for its task; "
                'put the call under if __name__ == "__main__":'
            )
        frame = frame.f_back


def _first_aim(
    function: Task | Objective, metric: str, direction: Literal["maximize", "minimize"] | None, objectives: Sequence[str] | None
) -> tuple[str, Literal["maximize", "minimize"] | None]:
    """A plain function's metric and direction, which its first objective says where there are some."""
    if objectives is None or isinstance(function, Task):
        return metric, direction
    first = read_objectives(objectives)[0]
    if (metric != PLAIN_METRIC and metric != first.name) or (direction is not None and direction != first.direction):
        raise InvalidSettings(
            f"tune: metric is {metric!r} and direction {direction!r}, but the first of the objectives is {objectives[0]!r}; "
            "leave metric and direction out"
        )
    return first.name, first.direction


def _as_task(
    function: Task | Objective,
    space: GivenSpace | None,
    metric: str,
    direction: Literal["maximize", "minimize"] | None,
) -> Task:
    if isinstance(function, Task):
        if space is not None:
            raise InvalidSettings(f"{function.name} is a task and has a space of its own; leave out the one that is given")
        return function
    if not callable(function):
        raise InvalidSettings(f"tune: got a {type(function).__name__}, expected a task or a function")
    if space is None:
        raise InvalidSettings(
            f"tune: the function {name_of(function)} comes without a space; give one, as in "
            'tune(function, {"rate": Float(0, 1)}), or make it a task with @evenhand.task(space=..., ...)'
        )
    made = Space.of(space)
    high = getattr(made.fidelity.domain, "high", 1) if made.fidelity else 1
    return tasks.task(space=made, metric=metric, direction=direction, max_epochs=int(high))(function)
