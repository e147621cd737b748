"""Comparisons: contestants x tasks x seeds on equal budgets, played through the lab's verbs, a process a core.

Every run is a session in the database, so a comparison that was interrupted goes on where it stood, and a person's session on the
same task enters like any other. Contestants share a seed's trainings, evaluation seeds and stream of draws: runs are paired.
"""

import multiprocessing
import os
import pickle
import platform
import threading
import time
from collections.abc import Callable, Container, Iterator, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from contextlib import closing
from dataclasses import asdict, dataclass
from typing import Any

from evenhand import methods, tasks
from evenhand.analysis.anytime import Comparison, Kind, Scale, SessionEntry, Setup
from evenhand.errors import InvalidSettings, Refused
from evenhand.lab.lab import Lab
from evenhand.methods import Chosen, Method
from evenhand.model import interrupts, numbers, rules
from evenhand.model.arguments import at_commas, key_values
from evenhand.model.session import COMPARE, Session
from evenhand.model.study import Budget, Study, Text
from evenhand.model.task import TaskSpec
from evenhand.runners.local_agent import Trainer
from evenhand.runners.method_player import Player, Turn, chosen_method
from evenhand.tasks import Task, machine, versions
from evenhand.tasks.records import record_of

WHO = "evenhand compare"  # who looks at test scores, in the log of looks
LOOK_SECONDS = 0.5  # seconds between two looks at how far the runs are
REST_SECONDS = 0.05  # seconds until a method that waits is asked again
Call = tuple[Callable[..., None], tuple[Any, ...]]  # a function and its arguments, all of which can be pickled


@dataclass(frozen=True)
class Contestant:
    """A method in a comparison.

    Attributes:
        label: what it is called there.
        method: its name and settings (see `lab.sessions.open`); or an object of one's own, or its class, which must be importable
            where runs are played in processes.
    """

    label: str
    method: Mapping[str, Any] | Method | Callable[..., Method]


@dataclass(frozen=True)
class ComparisonPlan:
    """What is compared: every contestant on every task with every seed.

    Attributes:
        tasks: what is tuned.
        contestants: by what.
        seeds: one of each repetition.
        budget: of each run.
        evaluation_seeds: how many each choice's test score has; 0 for no test score.

    Raises:
        InvalidSettings: a seed or a part of the budget is no number that it can be.
    """

    tasks: tuple[TaskSpec, ...]
    contestants: tuple[Contestant, ...]
    seeds: tuple[int, ...]
    budget: Budget
    evaluation_seeds: int = 0

    def __post_init__(self) -> None:
        if self.budget.cost is not None:
            raise InvalidSettings("budget: cost is of `tune` only, since in a comparison all spend the same; leave it out")
        if self.budget.until is not None:
            raise InvalidSettings(
                "budget: until is of `tune` only, since in a comparison all have the same to spend; leave it out"
            )
        budget = rules.parse_budget(self.budget.seconds, self.budget.trials, self.budget.epochs, self.budget.parallel)
        object.__setattr__(self, "budget", budget)
        object.__setattr__(self, "seeds", tuple(map(numbers.seed_of, self.seeds)))
        object.__setattr__(self, "evaluation_seeds", numbers.whole("evaluation_seeds", self.evaluation_seeds, 0))


@dataclass(frozen=True)
class ComparisonProgress:
    """How far a comparison is.

    Attributes:
        runs: how many have ended.
        planned: of how many.
    """

    runs: int
    planned: int


@dataclass(frozen=True)
class ComparisonRun:
    """One session of a comparison, and what it is of.

    Attributes:
        task: what the task is called in the report.
        spec: which task it is.
        contestant: who tunes.
        seed: of the repetition.
        session_id: the session's number.
        given: the method, where its name alone does not find it.
    """

    task: str
    spec: TaskSpec
    contestant: Contestant
    seed: int
    session_id: int
    given: Method | None = None


def run(
    url: str, plan: ComparisonPlan, *, processes: int | None = None, tell: Callable[[ComparisonProgress], None] = lambda _: None
) -> tuple[ComparisonRun, ...]:
    """Play every run of a plan that has not ended yet. Ctrl-C leaves whatever has ended, and each run's trials.

    Args:
        url: SQLAlchemy URL of the database.
        plan: what is compared.
        processes: how many runs at once (default: one a core).
        tell: is called with how far it is.

    Returns:
        All of the plan's runs, in order.

    Raises:
        InvalidSettings: a method that cannot tune one of the tasks, two contestants of one name, or nothing to compare; nothing
            is stored then.
    """
    return play_all(url, open_all(url, [plan]), processes=processes, tell=tell)


def open_all(url: str, plans: Sequence[ComparisonPlan], studies: Sequence[str] = ()) -> tuple[ComparisonRun, ...]:
    """A session for every run of some plans, those that are there already among them.

    Args:
        url: SQLAlchemy URL of the database.
        plans: what is compared.
        studies: names of those that `comparison` will be asked for, too; they are checked before anything is stored.

    Returns:
        The runs, in order.

    Raises:
        InvalidSettings: as `run` does, or there is no such study.
        Refused: a study has nothing to compare.
    """
    lab = Lab.connect(url)
    try:
        return tuple(run for plan in plans for run in _opened(lab, plan, studies))
    finally:
        lab.close()


def play_all(
    url: str,
    runs: Sequence[ComparisonRun],
    *,
    processes: int | None = None,
    tell: Callable[[ComparisonProgress], None] = lambda _: None,
) -> tuple[ComparisonRun, ...]:
    """Play those of some runs that have not ended yet; see `run`.

    Args:
        url: SQLAlchemy URL of the database.
        runs: what is to be played.
        processes: how many at once (default: one a core).
        tell: is called with how far it is.

    Returns:
        The same runs.
    """
    lab = Lab.connect(url)
    try:
        left = [run for run in runs if not _is_over(lab, run.session_id)]
    finally:
        lab.close()
    for done in spread([(play_one, (url, run.spec, run.session_id, run.given)) for run in left], processes):
        tell(ComparisonProgress(len(runs) - len(left) + done, len(runs)))
    return tuple(runs)


def contestant(text: str) -> Contestant:
    """The contestant that `NAME`, `NAME:key=value,...` or `LABEL=NAME:...` describes (see `labelled`)."""
    return Contestant(*labelled(text))


def labelled(text: str) -> tuple[str, dict[str, Any]]:
    """The method that somebody typed.

    Args:
        text: `NAME`, `NAME:key=value,...` or `LABEL=NAME:...`. NAME may be a registered method's, `FILE.py:NAME` or
            `MODULE:NAME`; values are JSON where they are JSON.

    Returns:
        Its label, and its name with its settings.

    Raises:
        InvalidSettings: what should be KEY=VALUE is none, or the name is given again.
    """
    head, _, rest = text.partition(":")
    label, equals, name = head.partition("=")
    name = name if equals else label
    attribute, _, further = rest.partition(":")
    if attribute.isidentifier() and name not in methods.METHODS:
        name, rest = f"{name}:{attribute}", further
    given = key_values("method", at_commas(rest), "startup=5")
    if not name or not label or (text.endswith(":") and not given):
        raise InvalidSettings(f"method {text!r}: expected NAME, NAME:key=value,... or LABEL=NAME:..., with nothing left empty")
    if "name" in given:
        raise InvalidSettings(f"method {text!r}: name cannot be a setting, since {name!r} stands before the colon; leave it out")
    return label if equals else text, {"name": name, **given}


def task_spec(text: str) -> TaskSpec:
    """The task that somebody typed.

    Args:
        text: `NAME`, `FILE.py:NAME` or `NAME[key=value,key=value]`.

    Returns:
        Its name and settings.

    Raises:
        InvalidSettings: the brackets hold no settings, or are not closed.
    """
    name, bracket, rest = text.partition("[")
    if bracket and not rest.endswith("]"):
        raise InvalidSettings(f"task {text!r}: expected NAME or NAME[key=value,...]")
    return TaskSpec(name, key_values("task", at_commas(rest[:-1]), "model=svm"))


def comparison(url: str, runs: Sequence[ComparisonRun], studies: Sequence[str] = ()) -> Comparison:
    """The records that a report of a comparison is made of.

    Each look at a test score is logged. Those of a study that still collects stay hidden.

    Args:
        url: SQLAlchemy URL of the database.
        runs: what was compared.
        studies: names of studies whose people and bots enter, too, on the same tasks.

    Returns:
        An entry for each session, for `report.comparison`.
    """
    lab = Lab.connect(url)
    try:
        entries = [_entry(lab, run) for run in runs]
        names = {entry.session.task.version: entry.task for entry in entries}
        for name in studies:
            entries += _others(lab, name, names)
        scales = {run.task: scale_of(run.spec) for run in runs}
        return Comparison(tuple(entries), scales, environments=lab.agents.environments())
    finally:
        lab.close()


def setup(title: str, command: str) -> Setup:
    """What no session's record holds."""
    cores = os.cpu_count() or 1
    where = f"{machine.model()}, {cores} cores, Python {platform.python_version()}"
    seed = rules.derive_seed(0, "bootstrap")
    return Setup(title=title, command=command, machine=where, packages=machine.packages(), seed=seed)


def scale_of(spec: TaskSpec) -> Scale:
    """What is known of a task's values: of a table everything."""
    if spec.name != "table":
        return Scale()
    from evenhand.tasks.builtin import tables

    name = str(spec.settings["table"])
    return Scale(tables.best_known(name), tables.median(name))


def label_of(spec: TaskSpec) -> str:
    """What a task is called in tables: its name, and the values of its settings."""
    given = [str(value) for value in spec.settings.values()]
    return " ".join([spec.plain_name, *given]) if spec.name != "table" else given[0]


def _opened(lab: Lab, plan: ComparisonPlan, studies: Sequence[str]) -> Iterator[ComparisonRun]:
    for what, some in (("task", plan.tasks), ("contestant", plan.contestants), ("seed", plan.seeds)):
        if not some:
            raise InvalidSettings(f"comparison: got no {what}, expected at least one")
    labels = [player.label for player in plan.contestants]
    for label in labels:
        if labels.count(label) > 1:
            raise InvalidSettings(f"contestant {label!r} is there twice; give one of them another label, as in other={label}")
    named = [lab.studies.named(name) for name in studies]
    loaded = [(spec, tasks.load(spec)) for spec in plan.tasks]
    for study in named:
        _compared(lab, study, {task.version for _, task in loaded})
    for _, task in loaded:
        for contestant in plan.contestants:
            _check_travels(_chosen(task, contestant, 0), contestant)
    for spec, task in loaded:
        record = lab.studies.add_task(record_of(task))
        for seed in plan.seeds:
            study = lab.studies.add(_study(task, record.id, seed, plan))
            known = {
                (session.tuner, str(sorted(session.method.items()))): session.id for session in lab.sessions.of_study(study.id)
            }
            for contestant in plan.contestants:
                method, given = _chosen(task, contestant, rules.derive_seed(seed, "method"))
                session_id = known.get((contestant.label, str(sorted(method.items()))))
                if session_id is None:
                    session_id = lab.sessions.open(
                        study.id, tuner=contestant.label, method=method, budget=plan.budget, driver=COMPARE
                    ).id
                yield ComparisonRun(label_of(spec), spec, contestant, seed, session_id, given)


def _chosen(task: Task, contestant: Contestant, seed: int) -> Chosen:
    if not isinstance(contestant.method, Mapping):
        return chosen_method(task.record, contestant.method, seed, {})
    settings = dict(contestant.method)
    return chosen_method(task.record, str(settings.pop("name")), seed, settings)


def _check_travels(method: Chosen, contestant: Contestant) -> None:
    """Nothing, or InvalidSettings where a method that is an object cannot be sent to the process that plays it."""
    try:
        pickle.dumps(method.given)
    except Exception as error:
        raise InvalidSettings(
            f"contestant {contestant.label!r}: its method cannot be sent to another process ({error}); "
            "define its class at the top of a module, and keep in it what can be pickled"
        ) from error


def _study(task: Task, task_id: int, seed: int, plan: ComparisonPlan) -> Study:
    budget = ", ".join(
        f"{value} {name}" for name, value in asdict(plan.budget).items() if value is not None and name != "parallel"
    )
    which = f"{label_of(task.spec)} {versions.short(task.version)}"
    return Study(
        name=f"compare {which}, seed {seed}, {budget}, {plan.evaluation_seeds} on test",
        title=f"Comparison on {label_of(task.spec)}, seed {seed}",
        task_id=task_id,
        budget=plan.budget,
        seed=seed,
        consent=Text(""),
        details=Text(""),
        thanks=Text(""),
        evaluation_seeds=plan.evaluation_seeds if task.has_test else 0,
        value_rule=task.value_rule,
        resumable=True,
        machines="any",
    )


def _is_over(lab: Lab, session_id: int) -> bool:
    session = lab.sessions.get(session_id)
    return session.choice is not None and session.evaluated.done >= session.evaluated.planned


def spread(calls: Sequence[Call], processes: int | None = None) -> Iterator[int]:
    """Make each call in one of the processes (default: one a core); how many have ended, each time one does and now and then."""
    yield 0
    count = min(processes or os.cpu_count() or 1, len(calls))
    if count < 2:
        for done, (function, arguments) in enumerate(calls, start=1):
            function(*arguments)
            yield done
        return
    # spawned: a fork of a process with threads may hang
    with ProcessPoolExecutor(count, multiprocessing.get_context("spawn"), _begin) as pool:
        waiting: set[Future[None]] = {pool.submit(function, *arguments) for function, arguments in calls}
        done = 0
        try:
            while waiting:
                ended, waiting = wait(waiting, LOOK_SECONDS, FIRST_COMPLETED)
                for future in ended:
                    future.result()
                done += len(ended)
                yield done
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            raise


def _begin() -> None:
    """Of a process: it computes on one thread, and ends with the one that started it, however that one ends."""
    threading.Thread(target=_end_with_parent, name="evenhand parent", daemon=True).start()
    for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
        os.environ[name] = "1"


def _end_with_parent() -> None:
    parent = multiprocessing.parent_process()
    assert parent is not None
    parent.join()
    os._exit(1)  # a lease that is not renewed goes to whoever takes the run up again


_labs: dict[str, Lab] = {}  # of this process: opening one takes longer than a run on a table


def play_one(url: str, spec: TaskSpec, session_id: int, given: Method | None = None) -> None:
    """Play one session to its final choice and its test scores, in this process. given: the method, where no name finds it."""
    if url not in _labs:
        _labs[url] = Lab.connect(url)
    lab, task = _labs[url], tasks.load(spec)
    player = Player.of(lab, session_id, given)
    trainer = Trainer(lab, task, session_id)
    with interrupts.listening() as heard, closing(trainer):
        while player.turn() is not Turn.OVER:
            heard.check()
            if not trainer.train_next():
                time.sleep(REST_SECONDS)
        while not _is_over(lab, session_id):
            heard.check()
            if not trainer.train_next():
                time.sleep(REST_SECONDS)


def _entry(lab: Lab, run: ComparisonRun) -> SessionEntry:
    session = lab.sessions.get(run.session_id)
    evaluation = None
    if session.evaluated.planned:
        lab.evaluations.reveal(session.id, WHO)
        evaluation = lab.evaluations.get(session.id, WHO)
    method = run.contestant.method if isinstance(run.contestant.method, Mapping) else session.method
    settings = {"method" if key == "name" else key: value for key, value in method.items() if key != "seed"}
    return SessionEntry(run.task, run.contestant.label, "method", run.seed, session, evaluation, settings)


def _others(lab: Lab, name: str, tasks_by_version: Mapping[str, str]) -> list[SessionEntry]:
    """The sessions of a study on the same tasks: people, bots, and methods by their names."""
    study = lab.studies.named(name)
    entries: list[SessionEntry] = []
    seeds: dict[tuple[str, str], int] = {}
    for session in _compared(lab, study, tasks_by_version):
        task = tasks_by_version[session.task.version]
        kind, label = _kind(session)
        seed = seeds[task, label] = seeds.get((task, label), -1) + 1
        evaluation = None
        if session.evaluated.planned and rules.why_scores_hidden(study, session.mode) is None:
            lab.evaluations.reveal(session.id, WHO)
            evaluation = lab.evaluations.get(session.id, WHO)
        entries.append(SessionEntry(task, label, kind, seed, session, evaluation, dict(session.method)))
    return entries


def _compared(lab: Lab, study: Study, versions: Container[str]) -> list[Session]:
    """A study's sessions that enter a comparison of tasks of these versions; Refused where none does."""
    compared = [
        session
        for session in lab.sessions.of_study(study.id)
        if session.task.version in versions
        and not (session.practice or session.withdrawn_at is not None or session.purpose == "exploratory")
        and session.trials
    ]
    if not compared:
        raise Refused(f"study {study.name!r} has no session with a trial on any of the compared tasks (their versions count)")
    return compared


def _kind(session: Session) -> tuple[Kind, str]:
    if session.is_joint:
        return "joint", f"{session.tuner} with a person"
    if session.kind == "method":
        return "method", session.tuner
    return ("bot", "bots") if session.mode == "simulated" else ("person", "people")
