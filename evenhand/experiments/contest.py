"""The contest of paper 003: hand-tuned against autotuned on its five data sets, scored `as tuned`, with one look at eval.

"On Automating Hyperparameter Optimization for Deep Learning Applications", Tables 3 to 5. Every tuner's run is a session in the
database, played as comparisons are, so that an interrupted contest goes on where it stood. The eval split of a data set is opened
after all have chosen, once for each contestant; what it said is kept (`contest_scores`), and not asked again.
"""

import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from evenhand import methods, tasks
from evenhand.analysis.contest import TABLE_1, TABLE_3, Contest, DataSet, Entrant, Rates, Role
from evenhand.analysis.surface import LONGER_SIDE_CELLS, Surface, surface
from evenhand.errors import DataError, InvalidSettings, Refused, TaskMissing
from evenhand.experiments import compare, contest_scores
from evenhand.experiments.compare import Call, ComparisonPlan, ComparisonRun, Contestant
from evenhand.experiments.contest_scores import Scored
from evenhand.lab.lab import Lab
from evenhand.methods import Method
from evenhand.model import rules
from evenhand.model.digest import digest
from evenhand.model.session import Session
from evenhand.model.study import Budget
from evenhand.model.task import TaskSpec
from evenhand.model.trial import Trial
from evenhand.model.words import last_line
from evenhand.tasks import Task, versions
from evenhand.tasks.builtin import as_tuned_scores, baselines, convlstm, convnet, eeg, mlp, shapes
from evenhand.tasks.builtin.points import Errors, PointSet
from evenhand.tasks.builtin.shapes import GENERATED, SPLITS

WHO = "evenhand contest"  # who looks at eval, in the log of looks
SETS = tuple(TABLE_1)
POINT_SETS = ("08", "09", "10")
TASKS = {"11": "patches", "12": "eeg"}
TRIALS, METHOD, SEED = 500, "random", 42  # the paper's Table 2
RANGE_POINTS = 5000  # points of each split that decide a surface's range
SHOWN_POINTS = 400  # points of each split that are kept for drawings
LOOK_SECONDS = 2.0  # seconds between two counts of trials
NO_DATA = {
    "11": "the Temple University digital pathology patches have to be asked for at their source; give them, or other patches, as "
    "--data '11=DIR[slide=^([^_]+)_]' or --data '11=DIR[table=slides.csv]' (docs/tasks.md, the patches task)",
    "12": "the Temple University EEG seizure corpus has to be asked for at its source; give it, or other recordings, as "
    "--data 12=DIR (docs/tasks.md, the eeg task)",
}


@dataclass(frozen=True)
class Terms:
    """What is asked for of a contest.

    Attributes:
        sets: numbers of data sets.
        scale: the share of the points of #08 to #10, above 0 and at most 1.
        trials: the budget of each run.
        method: the autotuner, as `compare.contestant` reads it, or an object of one's own, or its class.
        seed: decides the method's draws and the trainings.
        data: by data set, DIR or DIR[key=value,...] with settings of its task.
        human: by data set, the number of a person's session that enters as tuned by hand.
    """

    sets: tuple[str, ...] = SETS
    scale: float = 1.0
    trials: int = TRIALS
    method: str | Method | Callable[..., Method] = METHOD
    seed: int = SEED
    data: Mapping[str, str] = field(default_factory=dict)
    human: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True)
class ContestProgress:
    """How far a contest is.

    Attributes:
        what: what is counted: "trials", then "scores".
        done: how many are done.
        planned: of how many.
    """

    what: str
    done: int
    planned: int


@dataclass(frozen=True)
class Tuner:
    """A row of Table 3 that a session stands behind. session_id: a person's; methods' are opened."""

    number: str
    name: str
    role: Role
    spec: TaskSpec
    contestant: Contestant | None = None
    session_id: int | None = None


def run(
    url: str, terms: Terms, *, processes: int | None = None, tell: Callable[[ContestProgress], None] = lambda _: None
) -> Contest:
    """Play and score what is left of a contest.

    Args:
        url: SQLAlchemy URL of the database.
        terms: what is asked for.
        processes: how many runs at once (default: one a core).
        tell: is called with how far it is.

    Returns:
        The whole contest.

    Raises:
        InvalidSettings: something that was asked for cannot be; nothing is stored then.
        DataError: a data set is missing or damaged; nothing is stored then.
        Refused: a person's session that cannot enter.
        TaskMissing: a task changed since it was tuned.
    """
    tuners = _tuners(terms)
    _check_humans(url, tuners)
    runs = compare.open_all(url, _plans(tuners, terms))
    tuners = _seated(tuners, runs)
    _play(url, runs, tuners, terms, processes, tell)
    calls = [*_calls(url, tuners), *_baseline_calls(url, terms)]
    for done in compare.spread(calls, processes):
        tell(ContestProgress("scores", done, len(calls)))
    lab = Lab.connect(url)
    try:
        data_sets = tuple(_data_set(lab, number, terms, tuners) for number in terms.sets)
    finally:
        lab.close()
    return Contest(data_sets, terms.scale, terms.trials, autotuner(terms.method), terms.seed)


def autotuner(method: str | Method | Callable[..., Method]) -> str:
    """What the autotuner is called in tables: as it was written, an object or a class by its name."""
    name = method if isinstance(method, str) else getattr(method, "name", None)
    return name if isinstance(name, str) else methods.called(method)


# Who takes part


def check(terms: Terms) -> None:
    """InvalidSettings where something that was asked for is of no data set, or out of range."""
    for what, names in (("--only", terms.sets), ("--data", terms.data), ("--human", terms.human)):
        strange = [name for name in names if name not in SETS]
        if strange:
            raise InvalidSettings(f"{what}: there is no data set {', '.join(strange)}; expected some of {', '.join(SETS)}")
    left = sorted({*terms.data, *terms.human} - set(terms.sets))
    if left:
        raise InvalidSettings(f"data set {left[0]} is given data or a session, but left out by --only {','.join(terms.sets)}")
    if not 0 < terms.scale <= 1:
        raise InvalidSettings(f"--scale: got {terms.scale!r}, expected a number above 0 and at most 1")
    if terms.trials < 1:
        raise InvalidSettings(f"--trials: got {terms.trials}, expected at least 1")


def _tuners(terms: Terms) -> tuple[Tuner, ...]:
    check(terms)
    return tuple(tuner for number in terms.sets for tuner in _tuners_of(number, terms))


def _tuners_of(number: str, terms: Terms) -> Iterator[Tuner]:
    """Those of one data set, by hand before automatic. None where there is no data."""
    auto = compare.contestant(terms.method).method if isinstance(terms.method, str) else terms.method
    person = terms.human.get(number)
    if number == "10":
        for name in ("MLP-M1", "MLP-M2"):
            published = mlp.PUBLISHED[name]
            yield Tuner(number, name, "hand", _spec(number, terms, published.dropout), _listed(name, published.values))
    if number == "11" and number in terms.data:
        yield Tuner(number, "Manual", "hand", _spec(number, terms), _listed("Manual", convnet.PUBLISHED["manual"]))
    if person is not None and (number in POINT_SETS or number in terms.data):
        spec = _spec(number, terms, True)
        name = {"08": "MLP-M", "09": "MLP-M", "12": "Manual"}.get(number, f"session {person}")
        yield Tuner(number, name, "hand", spec, session_id=person)
    if number == "10":
        yield Tuner(number, "MLP-A1", "auto", _spec(number, terms, False), Contestant("MLP-A1", auto))
        yield Tuner(number, "MLP-A2", "auto", _spec(number, terms, True), Contestant("MLP-A2", auto))
    elif number in POINT_SETS:
        yield Tuner(number, "MLP-A", "auto", _spec(number, terms, True), Contestant("MLP-A", auto))
    elif number in terms.data:
        yield Tuner(number, "Auto", "auto", _spec(number, terms), Contestant("Auto", auto))


def _listed(name: str, values: Mapping[str, Any]) -> Contestant:
    """One configuration that is known: a session of the method that tries a list."""
    return Contestant(name, {"name": "manual", "configurations": [dict(values)]})


def _spec(number: str, terms: Terms, dropout: bool = True) -> TaskSpec:
    given = compare.task_spec(terms.data[number]) if number in terms.data else TaskSpec(number)
    if number in POINT_SETS:
        return TaskSpec(mlp.NAME, {"data": given.name, "scale": terms.scale, "dropout": dropout, **given.settings})
    return TaskSpec(TASKS[number], {"data": given.name, **given.settings})


def _plans(tuners: tuple[Tuner, ...], terms: Terms) -> list[ComparisonPlan]:
    """One for each task, with those that a method plays."""
    tasks_of = {str(tuner.spec): tuner.spec for tuner in tuners if tuner.contestant is not None}
    return [
        ComparisonPlan(
            tasks=(spec,),
            contestants=tuple(tuner.contestant for tuner in tuners if tuner.contestant is not None and tuner.spec == spec),
            seeds=(terms.seed,),
            budget=Budget(trials=terms.trials),
        )
        for spec in tasks_of.values()
    ]


def _seated(tuners: tuple[Tuner, ...], runs: tuple[ComparisonRun, ...]) -> tuple[Tuner, ...]:
    opened = {(str(run.spec), run.contestant.label): run.session_id for run in runs}
    return tuple(
        replace(tuner, session_id=opened[str(tuner.spec), tuner.contestant.label]) if tuner.contestant is not None else tuner
        for tuner in tuners
    )


def _check_humans(url: str, tuners: tuple[Tuner, ...]) -> None:
    lab = Lab.connect(url)
    try:
        for tuner in tuners:
            if tuner.contestant is None and tuner.session_id is not None:
                why = _why_not(lab, lab.sessions.get(tuner.session_id), tuner)
                if why:
                    raise Refused(f"session {tuner.session_id} cannot enter as tuned by hand on data set {tuner.number}: {why}")
    finally:
        lab.close()


def _why_not(lab: Lab, session: Session, tuner: Tuner) -> str:
    """Why a session is no person's on this very data, or may not be looked at yet; "" where it may enter."""
    if session.kind != "participant" or session.mode == "simulated" or session.is_joint:
        return "it is no person's alone; expected a participant's session in which nobody else proposed trials"
    if session.practice or session.withdrawn_at is not None:
        return "it was the practice" if session.practice else "its participant has withdrawn"
    if session.choice is None or session.choice.configuration is None:
        return "it has no final configuration"
    if hidden := rules.why_scores_hidden(lab.studies.get(session.study_id), session.mode):
        return hidden
    ways = [{"dropout": False}, {"dropout": True}] if tuner.number in POINT_SETS else [{}]
    here = [tasks.load(TaskSpec(tuner.spec.name, {**tuner.spec.settings, **way})).version for way in ways]
    if session.task.spec.name == tuner.spec.name and versions.is_older(session.task.version):
        return f"task {tuner.spec.name!r}: {versions.difference(session.task.version, here[0])}"
    if session.task.version not in here:
        settings = ", ".join(f"{name}={value}" for name, value in tuner.spec.settings.items() if name != "dropout")
        return f"it was tuned on another task, data or version; expected {tuner.spec.name} with {settings}"
    return ""


# Tuning


def _play(
    url: str,
    runs: tuple[ComparisonRun, ...],
    tuners: tuple[Tuner, ...],
    terms: Terms,
    processes: int | None,
    tell: Callable[[ContestProgress], None],
) -> None:
    ids = [run.session_id for run in runs]
    planned = sum(terms.trials if tuner.role == "auto" else 1 for tuner in tuners if tuner.contestant is not None)
    lab, counted = Lab.connect(url), 0.0

    def count(_: object) -> None:
        nonlocal counted
        if time.monotonic() - counted >= LOOK_SECONDS:
            counted = time.monotonic()
            tell(ContestProgress("trials", sum(len(lab.sessions.get(session_id).trials) for session_id in ids), planned))

    try:
        compare.play_all(url, runs, processes=processes, tell=count)
    finally:
        lab.close()


# Scores


def _calls(url: str, tuners: tuple[Tuner, ...]) -> list[Call]:
    lab = Lab.connect(url)
    try:
        calls: list[Call] = []
        for tuner in tuners:
            assert tuner.session_id is not None
            session = lab.sessions.get(tuner.session_id)
            if session.choice and session.choice.configuration and contest_scores.read(_session_path(lab, session)) is None:
                calls.append((score, (url, session.id, tuner.number)))
        return calls
    finally:
        lab.close()


def _baseline_calls(url: str, terms: Terms) -> list[Call]:
    lab = Lab.connect(url)
    try:
        return [
            (score_baseline, (str(_baseline_path(lab, task, name)), task.spec, name))
            for number in terms.sets
            if number in POINT_SETS
            for task in [tasks.load(_spec(number, terms))]
            for name in _baseline_names(task)
            if contest_scores.read(_baseline_path(lab, task, name)) is None
        ]
    finally:
        lab.close()


def _baseline_names(task: Task) -> tuple[str, ...]:
    return ("KNN", "RNF", "BER") + (("true BER",) if mlp.data_of(task).generated else ())


def _session_path(lab: Lab, session: Session) -> Path:
    """Named by study and session, and by a hash of both, so that those of a database that was made anew are others."""
    assert session.choice is not None
    facts = [session.opened_at, session.task.version, dict(session.choice.configuration or {}), session.tuning_seed]
    return contest_scores.path_of(lab.key, f"study-{session.study_id}-session-{session.id}-{digest(facts)[:12]}")


def _baseline_path(lab: Lab, task: Task, name: str) -> Path:
    """Named by the data, and the settings and the revision of the baselines."""
    facts = [task.version, asdict(baselines.BaselineSettings()), baselines.REVISION]
    return contest_scores.path_of(lab.key, f"{name.replace(' ', '-')}-{digest(facts)[:16]}")


def score(url: str, session_id: int, number: str) -> None:
    """Train the model of a session's choice again, log the look, and open eval for it: once, since the score is kept.

    A look that ended before its score was kept is logged again when it is repeated.

    Args:
        url: SQLAlchemy URL of the database.
        session_id: whose choice.
        number: of the data set.

    Raises:
        TaskMissing: the task changed since it was tuned.
    """
    lab = Lab.connect(url)
    try:
        session = lab.sessions.get(session_id)
        task = tasks.load(session.task.spec)
        if why := versions.difference(session.task.version, task.version):
            raise TaskMissing(
                f"session {session_id}: task {session.task.spec.name!r} cannot be trained again to be scored: {why}"
            )
        assert session.choice is not None
        assert session.choice.configuration is not None
        trial, configuration = session.chosen_trial, session.choice.configuration
        epochs = trial.epochs_done if trial is not None else task.record.epochs_of(configuration)
        predict = as_tuned_scores.model_of(task, configuration, session.tuning_seed, epochs)
        lab.evaluations.reveal(session_id, WHO)
        parts = as_tuned_scores.parts_of(task)
        errors = as_tuned_scores.errors_of(parts, predict)
        contest_scores.write(
            _session_path(lab, session),
            Scored(
                rates=_rates(errors),
                sizes=_sizes(parts),
                at=time.time(),
                how=_how(session, trial, epochs),
                note=_note(trial, errors),
                weights=weights_of(task, configuration),
                surface=_surface(predict, parts, mlp.data_of(task).label) if number in POINT_SETS else None,
            ),
        )
    finally:
        lab.close()


def _how(session: Session, trial: Trial | None, epochs: int) -> str:
    where = f"trial {trial.number} of {len(session.trials)}" if trial is not None else "submitted as final without a trial"
    return f"session {session.id}, {where}, {epochs} epochs"


def _note(trial: Trial | None, errors: Errors) -> str:
    """What is to be said where the model that was trained again is not the trial's."""
    if trial is None or trial.value is None:
        return "its choice was not trained while tuning"
    before = 100 * (1 - trial.value)
    return "" if abs(before - errors.dev) < 1e-9 else f"trained again its dev error is {errors.dev:.2f} %, and was {before:.2f} %"


def score_baseline(path: str, spec: TaskSpec, name: str) -> None:
    """Score a baseline, or estimate or compute the Bayes error rate, on the points of an mlp task; once, as `score`."""
    data = mlp.data_of(tasks.load(spec))
    rates, how, uncertainty, drawn = _limit(data, name) if "BER" in name else _baseline(data, name)
    sizes = tuple(len(data.part(split)[1]) for split in SPLITS)
    contest_scores.write(
        Path(path),
        Scored(rates, (sizes[0], sizes[1], sizes[2]), time.time(), how, uncertainty=uncertainty, surface=drawn),
    )


def _baseline(data: PointSet, name: str) -> tuple[Rates, str, float | None, Surface | None]:
    baseline = next(baseline for baseline in baselines.baselines(data) if baseline.name == name)
    counted = ", ".join(str(count) for count in baseline.points.values())
    drawn = _surface(baselines.predictor(data, name), {split: data.part(split) for split in SPLITS}, data.label)
    return _rates(baseline.errors), f"{baseline.how}; scored on {counted} points of train, dev and eval", None, drawn


def _limit(data: PointSet, name: str) -> tuple[Rates, str, float | None, Surface | None]:
    if name == "BER":
        estimate = baselines.closed_loop(data)
        by = ", ".join(estimate.by.values())
        return _rates(estimate.errors), f"estimated as in the paper: {estimate.how} (by {by})", None, None
    true = {split: shapes.bayes_error(data.name, split) for split in SPLITS}
    how = f"from the known densities: {true['eval'].how}"
    return Rates(**{split: error.percent for split, error in true.items()}), how, max(e.uncertainty for e in true.values()), None


def _rates(errors: Errors) -> Rates:
    return Rates(errors.train, errors.dev, errors.eval)


def _sizes(parts: Mapping[str, Any]) -> tuple[int, int, int]:
    return len(parts["train"][1]), len(parts["dev"][1]), len(parts["eval"][1])


def _surface(predict: Any, parts: Mapping[str, Any], label: str) -> Surface | None:
    """Over the range of the same points for all contestants of a data set; None where there are not two features."""
    if parts["train"][0].shape[1] != 2:
        return None
    some = {split: _evenly(*part) for split, part in parts.items()}
    return surface(predict, some, label, cells=LONGER_SIDE_CELLS, most=SHOWN_POINTS)


def _evenly(points: Any, labels: Any) -> tuple[Any, Any]:
    rows = np.unique(np.linspace(0, len(labels) - 1, min(RANGE_POINTS, len(labels))).round().astype(int))
    return points[rows], labels[rows]


def weights_of(task: Task, configuration: Mapping[str, Any]) -> int:
    """How many weights, biases included, the network of a configuration has, on the mlp, patches and eeg tasks."""
    classes = int(task.statistics["classes"])
    if task.name == mlp.NAME:
        return mlp.weights(configuration, int(task.statistics["features"]), classes)
    if task.name == "patches":
        return convnet.weights_of(convnet.shapes(configuration, int(task.settings["size"]), classes))
    settings = eeg.settings_from(task.settings)
    return convnet.weights_of(convlstm.shapes(configuration, eeg.cut(eeg.prepare(settings), settings), classes))


# What came out


def _data_set(lab: Lab, number: str, terms: Terms, tuners: tuple[Tuner, ...]) -> DataSet:
    """A data set's rows, those of the paper first and in its order."""
    if number not in POINT_SETS and number not in terms.data:
        why = f"no data here: {NO_DATA[number]}"
        rows = tuple(_absent(number, name, "no data here") for name in TABLE_3[number])
        return DataSet(number, "no data here", False, TABLE_1[number][1], None, rows, why)
    task = tasks.load(_spec(number, terms))
    entrants = {tuner.name: _entrant(lab, tuner) for tuner in tuners if tuner.number == number}
    sizes = [counts for counts in (_kept_sizes(lab, tuner) for tuner in tuners if tuner.number == number) if counts]
    if number in POINT_SETS:
        for name in _baseline_names(task):
            kept = contest_scores.read(_baseline_path(lab, task, name))
            if kept is None:
                raise DataError(f"the score of {name} on data set {number} was removed meanwhile; run the contest again")
            sizes.append(kept.sizes)
            entrants[name] = _of_baseline(number, name, kept)
    order = [*TABLE_3[number], *(name for name in entrants if name not in TABLE_3[number])]
    rows = tuple(entrants.get(name) or _absent(number, name, "not published") for name in order)
    label, generated = _label(number, task)
    return DataSet(
        number, label, generated, int(task.statistics["classes"]), sizes[0] if sizes else None, rows, settings=dict(task.settings)
    )


def _label(number: str, task: Task) -> tuple[str, bool]:
    if number in POINT_SETS:
        data = mlp.data_of(task)
        return data.label, GENERATED in data.label  # files that were written of generated points say so, too
    return f"read from {task.settings['data'].replace(chr(92), '/').rstrip('/').rpartition('/')[2]}", False


def _absent(number: str, name: str, why: str) -> Entrant:
    return Entrant(name, _role(name), TABLE_3[number].get(name), why=why)


def _role(name: str) -> Role:
    if name in ("KNN", "RNF"):
        return "baseline"
    return "limit" if "BER" in name else "auto" if name.startswith(("MLP-A", "Auto")) else "hand"


def _of_baseline(number: str, name: str, kept: Scored) -> Entrant:
    return Entrant(
        name=name,
        role=_role(name),
        published=TABLE_3[number].get(name),
        ours=kept.rates,
        how=kept.how,
        looks=0 if name == "true BER" else 1,
        surface=kept.surface,
        uncertainty=kept.uncertainty,
    )


def _kept_sizes(lab: Lab, tuner: Tuner) -> tuple[int, int, int] | None:
    assert tuner.session_id is not None
    session = lab.sessions.get(tuner.session_id)
    kept = contest_scores.read(_session_path(lab, session)) if session.choice and session.choice.configuration else None
    return kept.sizes if kept else None


def _entrant(lab: Lab, tuner: Tuner) -> Entrant:
    assert tuner.session_id is not None
    session = lab.sessions.get(tuner.session_id)
    entrant = Entrant(tuner.name, tuner.role, TABLE_3[tuner.number].get(tuner.name), session=session)
    if session.choice is None or session.choice.configuration is None:
        reasons = [last_line(trial.why) for trial in session.trials if trial.why]
        return replace(entrant, why=f"no trial had a value{f' ({reasons[-1]})' if reasons else ''}")
    kept = contest_scores.read(_session_path(lab, session))
    if kept is None:
        raise DataError(f"the score of session {session.id} was removed meanwhile; run the contest again")
    return replace(
        entrant,
        ours=kept.rates,
        how=kept.how,
        note=kept.note,
        configuration=dict(session.choice.configuration),
        weights=kept.weights,
        looks=sum(who == WHO for who, _ in lab.evaluations.looks(session.id)),
        surface=kept.surface,
    )
