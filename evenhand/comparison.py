"""Comparisons: contestants x tasks x seeds on equal budgets, played through the lab's verbs, a process a core.

Every run is a session in the database, so a comparison that was interrupted goes on where it stood, and a person's session on the
same task enters like any other. Contestants share a seed's trainings, evaluation seeds and stream of draws: runs are paired.
"""

import multiprocessing
import os
import platform
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from dataclasses import dataclass
from typing import Any

from evenhand import protocol, tasks
from evenhand.analysis.anytime import Comparison, Entry, Kind, Scale
from evenhand.conduct import packages
from evenhand.declaration import Budget, Study, Text
from evenhand.errors import InvalidSettings, Refused
from evenhand.inline import Trainer
from evenhand.lab import Lab
from evenhand.play import Player, Turn, read_method
from evenhand.records import Session, TaskSpec
from evenhand.report.sheet import Setup
from evenhand.tasks import Task
from evenhand.worker import machine_kind

WHO = "evenhand compare"  # who looks at test scores, in the log of looks
DRIVER = "compare"
LOOK = 0.5  # seconds between two looks at how far the runs are
REST = 0.05  # seconds until a method that waits is asked again
Call = tuple[Callable[..., None], tuple[Any, ...]]  # a function and its arguments, all of which can be pickled


@dataclass(frozen=True)
class Contestant:
    """A method in a comparison. label: what it is called there. method: its name and settings, as `Lab.open` takes them."""

    label: str
    method: Mapping[str, Any]


@dataclass(frozen=True)
class Plan:
    """What is compared. seeds: the numbers of the repetitions. evaluation_seeds: of each choice's test score, 0 for none."""

    tasks: tuple[TaskSpec, ...]
    contestants: tuple[Contestant, ...]
    seeds: tuple[int, ...]
    budget: Budget
    evaluation_seeds: int = 0


@dataclass(frozen=True)
class Progress:
    """How far a comparison is. runs: that have ended, of `planned`."""

    runs: int
    planned: int


@dataclass(frozen=True)
class Run:
    """One session of a comparison, and what it is of."""

    task: str
    spec: TaskSpec
    contestant: Contestant
    seed: int
    session_id: int


def run(
    url: str, plan: Plan, *, processes: int | None = None, tell: Callable[[Progress], None] = lambda _: None
) -> tuple[Run, ...]:
    """Play every run of the plan that has not ended yet; all of the plan's runs.

    url: of the database. processes: runs at once (default: one a core). Ctrl-C leaves whatever has ended, and each run's trials.

    Raises:
        InvalidSettings: a method that cannot tune one of the tasks, or two contestants of one name; nothing is stored then.
    """
    return play_all(url, open_all(url, [plan]), processes=processes, tell=tell)


def open_all(url: str, plans: Sequence[Plan]) -> tuple[Run, ...]:
    """A session for every run of the plans, those that are there already among them, in order. Raises as `run` does."""
    lab = Lab.connect(url)
    try:
        return tuple(each for plan in plans for each in _opened(lab, plan))
    finally:
        lab.close()


def play_all(
    url: str, runs: Sequence[Run], *, processes: int | None = None, tell: Callable[[Progress], None] = lambda _: None
) -> tuple[Run, ...]:
    """Play those of the runs that have not ended yet; see `run`."""
    lab = Lab.connect(url)
    try:
        left = [each for each in runs if not _is_over(lab, each.session_id)]
    finally:
        lab.close()
    for done in spread([(play_one, (url, each.spec, each.session_id)) for each in left], processes):
        tell(Progress(len(runs) - len(left) + done, len(runs)))
    return tuple(runs)


def contestant(text: str) -> Contestant:
    """The contestant that `NAME`, `NAME:key=value,...` or `LABEL=NAME:...` describes; values are JSON where they are JSON."""
    head, _, rest = text.partition(":")
    label, equals, name = head.partition("=")
    given = tasks.read_settings(None, None, [pair for pair in _split(rest) if pair])
    shown = label if equals else text
    return Contestant(shown, {"name": name if equals else label, **given})


def task_spec(text: str) -> TaskSpec:
    """The task that `NAME`, `FILE.py:NAME` or `NAME[key=value,key=value]` describes."""
    name, bracket, rest = text.partition("[")
    if bracket and not rest.endswith("]"):
        raise InvalidSettings(f"task {text!r}: expected NAME or NAME[key=value,...]")
    return TaskSpec(name, tasks.read_settings(None, None, [pair for pair in _split(rest[:-1]) if pair]))


def comparison(url: str, runs: Sequence[Run], studies: Sequence[str] = ()) -> Comparison:
    """The records of the runs, and of the people and bots of other studies on the same tasks, for `report.comparison`.

    Each look at a test score is logged. Those of a study that still collects stay hidden.
    """
    lab = Lab.connect(url)
    try:
        entries = [_entry(lab, each) for each in runs]
        names = {entry.session.task.version: entry.task for entry in entries}
        for name in studies:
            entries += _others(lab, name, names)
        return Comparison(tuple(entries), {each.task: scale_of(each.spec) for each in runs})
    finally:
        lab.close()


def setup(title: str, command: str) -> Setup:
    """What no session's record holds."""
    cores = os.cpu_count() or 1
    machine = f"{machine_kind()}, {cores} cores, Python {platform.python_version()}"
    return Setup(title=title, command=command, machine=machine, packages=packages(), seed=protocol.derive_seed(0, "bootstrap"))


def scale_of(spec: TaskSpec) -> Scale:
    """What is known of a task's values: of a table everything."""
    if spec.name != "table":
        return Scale()
    from evenhand.tasks import tables

    name = str(spec.settings["table"])
    return Scale(tables.best_known(name), tables.median(name))


def _split(text: str) -> list[str]:
    """At commas, but not within brackets or quotes, as in configurations=[{"x": 1}]."""
    parts, depth, quoted = [""], 0, False
    for letter in text:
        quoted ^= letter == '"'
        depth += 0 if quoted else (letter in "[{") - (letter in "]}")
        if letter == "," and depth == 0 and not quoted:
            parts.append("")
        else:
            parts[-1] += letter
    return parts


def label_of(spec: TaskSpec) -> str:
    """What a task is called in tables: its name, and the values of its settings."""
    given = [str(value) for value in spec.settings.values()]
    return " ".join([spec.plain_name, *given]) if spec.name != "table" else given[0]


def _opened(lab: Lab, plan: Plan) -> Iterator[Run]:
    labels = [each.label for each in plan.contestants]
    for label in labels:
        if labels.count(label) > 1:
            raise InvalidSettings(f"contestant {label!r} is there twice; give one of them another label, as in other={label}")
    loaded = [(spec, tasks.load(spec)) for spec in plan.tasks]
    for _, task in loaded:
        for each in plan.contestants:
            read_method(task.record, each.method)
    for spec, task in loaded:
        record = lab.add_task(task.record)
        for seed in plan.seeds:
            study = lab.add_study(_study(task, record.id, seed, plan))
            known = {(each.tuner, str(sorted(each.method.items()))): each.id for each in lab.sessions(study.id)}
            for each in plan.contestants:
                method = {**each.method, "seed": protocol.derive_seed(seed, "method")}
                session_id = known.get((each.label, str(sorted(method.items()))))
                if session_id is None:
                    session_id = lab.open(study.id, tuner=each.label, method=method, budget=plan.budget, driver=DRIVER).id
                yield Run(label_of(spec), spec, each, seed, session_id)


def _study(task: Task, task_id: int, seed: int, plan: Plan) -> Study:
    budget = ", ".join(f"{value} {name}" for name, value in vars(plan.budget).items() if value is not None and name != "parallel")
    return Study(
        name=f"compare {label_of(task.spec)} {task.version[:12]}, seed {seed}, {budget}, {plan.evaluation_seeds} on test",
        title=f"Comparison on {label_of(task.spec)}, seed {seed}",
        task_id=task_id,
        budget=plan.budget,
        seed=seed,
        consent=Text(""),
        details=Text(""),
        thanks=Text(""),
        evaluation_seeds=plan.evaluation_seeds if task.has_test else 0,
        resumable=True,
    )


def _is_over(lab: Lab, session_id: int) -> bool:
    session = lab.session(session_id)
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
                ended, waiting = wait(waiting, LOOK, FIRST_COMPLETED)
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


def play_one(url: str, spec: TaskSpec, session_id: int) -> None:
    """Play one session to its final choice and its test scores, in this process."""
    if url not in _labs:
        _labs[url] = Lab.connect(url)
    lab, task = _labs[url], tasks.load(spec)
    player = Player.of(lab, session_id)
    trainer = Trainer(lab, task, session_id, player.look)
    try:
        while player.turn() is not Turn.OVER:
            if not trainer.train_next():
                time.sleep(REST)
        while not _is_over(lab, session_id):
            if not trainer.train_next():
                time.sleep(REST)
    finally:
        trainer.close()


def _entry(lab: Lab, each: Run) -> Entry:
    session = lab.session(each.session_id)
    evaluation = None
    if session.evaluated.planned:
        lab.reveal(session.id, WHO)
        evaluation = lab.evaluation(session.id, WHO)
    settings = {"method" if key == "name" else key: value for key, value in each.contestant.method.items()}
    return Entry(each.task, each.contestant.label, "method", each.seed, session, evaluation, settings)


def _others(lab: Lab, name: str, tasks_by_version: Mapping[str, str]) -> list[Entry]:
    """The sessions of a study on the same tasks: people, bots, and methods by their names."""
    study = lab.study_named(name)
    found: list[Entry] = []
    seeds: dict[tuple[str, str], int] = {}
    for session in lab.sessions(study.id):
        task = tasks_by_version.get(session.task.version)
        if task is None or session.practice or session.withdrawn_at is not None or not session.trials:
            continue
        kind, label = _kind(session)
        seed = seeds[task, label] = seeds.get((task, label), -1) + 1
        evaluation = None
        if session.evaluated.planned and protocol.why_scores_hidden(study, session.mode) is None:
            lab.reveal(session.id, WHO)
            evaluation = lab.evaluation(session.id, WHO)
        found.append(Entry(task, label, kind, seed, session, evaluation, dict(session.method)))
    if not found:
        raise Refused(f"study {study.name!r} has no session with a trial on any of the compared tasks (their versions count)")
    return found


def _kind(session: Session) -> tuple[Kind, str]:
    if session.is_joint:
        return "joint", f"{session.tuner} with a person"
    if session.kind == "method":
        return "method", session.tuner
    return ("bot", "bots") if session.mode == "simulated" else ("person", "people")
