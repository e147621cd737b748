"""Which epoch a trial's value is of: its last one, or its best one, to which its choice is then trained."""

import math
from collections.abc import Iterator, Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from typer.testing import CliRunner

import evenhand
from evenhand import Configuration, Float, Integer, Run, Space, Splits
from evenhand.cli.main import app
from evenhand.errors import InvalidSettings, Refused
from evenhand.examples import digits_mlp
from evenhand.exchange import archive
from evenhand.lab.lab import Lab
from evenhand.model import codec, rules
from evenhand.model.direction import value_of
from evenhand.model.evaluation import EvaluationPlan
from evenhand.model.hyperparameter import Hyperparameter
from evenhand.model.session import Session
from evenhand.model.study import EvaluationMode, ValueRule
from evenhand.model.task import TaskRecord, TaskSpec
from evenhand.model.trial import Measurement, Outcome
from evenhand.store import sessions
from evenhand.tasks import Task, checkpoints, run_trial, task
from evenhand.tasks import load as load_task
from evenhand.tasks.builtin import as_tuned_scores
from evenhand.web.access import Role
from tests.components import need
from tests.exported import write
from tests.labs import SPACE, claim, make_lab, started, toy_study
from tests.web import Site, toy_site

CURVE = (0.2, 0.9, 0.4, 0.9, 0.1)
EPOCHS = Hyperparameter("epochs", Integer(1, 9), default=5, fidelity=True)
CONFIGURATION = SPACE.configuration({**SPACE.defaults(), "epochs": 5})


@pytest.fixture
def db(tmp_path: Path) -> str:
    return f"sqlite:///{tmp_path / 'lab.sqlite'}"


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    with toy_site(tmp_path) as made:
        yield made


def session_of(lab: Lab, rule: ValueRule, direction: Any = "maximize", live: bool = True) -> Session:
    record = TaskRecord(TaskSpec("toy"), f"version {direction}", SPACE, "accuracy", direction, 10)
    study = replace(toy_study(lab), name=f"{rule} {direction} {live}", task_id=lab.studies.add_task(record).id, value_rule=rule)
    return started(lab, lab.studies.add(replace(study, live_validation=live)))


def measured(values: Mapping[int, float] | tuple[float, ...]) -> list[Measurement]:
    """A batch, and then epochs with these values."""
    epochs = values if isinstance(values, Mapping) else dict(enumerate(values, 1))
    rows = [
        Measurement(at, 10 * at, epoch, 1.0, value, 1.0 * at, {"at": epoch})
        for at, (epoch, value) in enumerate(epochs.items(), 1)
    ]
    return [Measurement(0, 1, None, 2.0, None, 0.1), *rows]


# The laboratory


@pytest.mark.parametrize(
    ("rule", "direction", "value", "epoch"),
    [("last", "maximize", 0.1, 5), ("best", "maximize", 0.9, 2), ("best", "minimize", 0.1, 5), ("last", "minimize", 0.1, 5)],
)
def test_a_value_is_of_the_epoch_that_the_rule_says_the_earliest_of_equals(
    rule: ValueRule, direction: Any, value: float, epoch: int, db: str
) -> None:
    lab, _ = make_lab(db)
    session = session_of(lab, rule, direction)
    agent_id, _ = lab.agents.add("a", 1)
    lab.submit(session.id, CONFIGURATION)
    job = claim(lab, agent_id)
    so_far = []
    for row in measured(CURVE):
        lab.measure(job.job_id, 1, [row])
        open_trial = lab.view(session.id).session.trials[0]
        so_far.append((open_trial.value, open_trial.value_epoch, open_trial.epochs_done))
    assert so_far[0] == (None, None, 0)
    expected = {"last": CURVE, "best": (0.2, 0.9, 0.9, 0.9, 0.9) if direction == "maximize" else (0.2, 0.2, 0.2, 0.2, 0.1)}[rule]
    assert tuple(seen[0] for seen in so_far[1:]) == expected
    lab.finish(job.job_id, 1, Outcome.COMPLETED)
    for reader in (lab, make_lab(db)[0]):  # one that has read it before, and one that has not
        trial = reader.sessions.get(session.id).trials[0]
        assert (trial.value, trial.value_epoch, trial.epochs_done, trial.epochs_begun) == (value, epoch, 5, 5)
        assert trial.extra == {"at": epoch}
        assert value_of(trial) == value
    lab.close()


def test_sessions_of_different_rules_are_read_together(db: str) -> None:
    lab, _ = make_lab(db)
    agent_id, _ = lab.agents.add("a", 1)
    opened = [session_of(lab, "best"), session_of(lab, "last"), session_of(lab, "best", "minimize")]
    for session in opened:
        lab.submit(session.id, CONFIGURATION)
        job = claim(lab, agent_id)
        lab.finish(job.job_id, 1, Outcome.COMPLETED, None, measured((0.5, 0.7, 0.6)))
    fresh, _ = make_lab(db)
    with fresh.core.read() as tx:
        sessions_now = sessions.some(tx, [session.id for session in opened])
    assert [session.trials[0].value for session in sessions_now] == [0.7, 0.6, 0.5]
    assert [codec.from_json(Session, codec.to_json(session)).trials[0].value_epoch for session in sessions_now] == [2, 3, 1]


def test_what_is_hidden_while_it_trains_is_hidden_with_its_epoch(db: str) -> None:
    lab, _ = make_lab(db)
    session = session_of(lab, "best", live=False)
    agent_id, _ = lab.agents.add("a", 1)
    lab.submit(session.id, CONFIGURATION)
    lab.measure(claim(lab, agent_id).job_id, 1, measured(CURVE))
    trial = lab.view(session.id).session.trials[0]
    assert (trial.value, trial.value_epoch) == (None, None)


@pytest.mark.parametrize("mode", ["retrain", "as tuned"])
def test_the_evaluation_is_told_the_epoch_and_the_configuration_stays(mode: EvaluationMode, db: str) -> None:
    lab, _ = make_lab(db)
    session = session_of(lab, "best")
    study = lab.studies.add(replace(lab.studies.get(session.study_id), name=mode, evaluation_mode=mode))
    session = started(lab, study)
    agent_id, _ = lab.agents.add("a", 1)
    for outcome, curve in (
        (Outcome.COMPLETED, CURVE),
        (Outcome.DIVERGED, (0.99,)),
        (Outcome.STOPPED, (0.1, 0.2, 0.3, 0.95, 0.1)),
    ):
        lab.submit(session.id, CONFIGURATION)
        job = claim(lab, agent_id)
        lab.finish(job.job_id, 1, outcome, None, measured(curve))
    best = rules.best_trial(lab.sessions.get(session.id))
    assert best is not None
    assert (best.number, best.value_epoch) == (3, 4)
    lab.choose(session.id, number=3)
    job = claim(lab, agent_id)
    assert job.configuration == dict(CONFIGURATION)
    assert job.plan == EvaluationPlan(mode, (0.1, 0.2, 0.3, 0.95, 0.1) if mode == "retrain" else (), until=4)


def test_pages_say_which_epoch_the_value_is_of(site: Site) -> None:
    sessions = [session_of(site.lab, rule) for rule in ("best", "last")]
    agent_id, _ = site.lab.agents.add("a", 1)
    pages = []
    for session in sessions:
        site.lab.submit(session.id, CONFIGURATION)
        job = claim(site.lab, agent_id)
        site.lab.finish(job.job_id, 1, Outcome.COMPLETED, None, measured(CURVE))
        site.lab.choose(session.id, number=1)
        pages.append(site.caller(Role.RESEARCHER).get(f"/sessions/{session.id}").text)
    assert pages[0].count(", value of epoch 2") >= 2  # among the trials, and of the choice
    assert "value of epoch" not in pages[1]


def test_exports_hold_the_rule_and_the_epoch(tmp_path: Path, db: str) -> None:
    lab, _ = make_lab(db)
    session = session_of(lab, "best")
    agent_id, _ = lab.agents.add("a", 1)
    lab.submit(session.id, CONFIGURATION)
    lab.finish(claim(lab, agent_id).job_id, 1, Outcome.COMPLETED, None, measured(CURVE))
    study = lab.studies.get(session.study_id)
    write(lab, study, tmp_path / "study.zip", evaluations=False)
    read = archive.read(tmp_path / "study.zip")
    assert [(kept.value_rule, kept.trials[0].value, kept.trials[0].value_epoch) for kept in read.sessions] == [("best", 0.9, 2)]
    lab.close()


# tune


def following(curve: tuple[float, ...] = CURVE) -> Any:
    def train(configuration: Configuration, run: Run) -> None:
        for epoch, value in enumerate(curve[: int(configuration["epochs"])], 1):
            run.report(epoch=epoch, value=value * configuration.number("share"))

    return train


SHARES = Space([EPOCHS, Hyperparameter("share", Float(0.5, 1.0))])


@pytest.mark.slow
def test_tune_goes_by_the_best_epoch_where_it_is_told_to(db: str) -> None:
    settings: dict[str, Any] = {"direction": "maximize", "trials": 6, "epochs_per_trial": 5, "db": db, "progress": False}
    last = evenhand.tune(following(), SHARES, **settings)
    best = evenhand.tune(following(), SHARES, **settings, value="best")
    for result, of in ((last, CURVE[-1]), (best, max(CURVE))):
        for trial in result.trials:
            assert trial.value == pytest.approx(of * trial.configuration.number("share"))
        assert {trial.value_epoch for trial in result.trials} == ({5} if result is last else {2})
    assert "the best)" in repr(last)
    assert "the best, value of epoch 2)" in repr(best)
    need("pandas")
    assert [*best.dataframe()["value_epoch"]] == [2] * 6


def test_methods_see_the_value_of_the_rule(db: str) -> None:
    seen: list[float | None] = []

    class Watching(evenhand.BaseMethod):
        name = "watching"

        def suggest(self, space: Any, trials: Any, n: int, rng: Any) -> Any:
            seen.extend(trial.value for trial in trials[-1:])
            return [evenhand.Suggestion(space.sample(rng), "drawn") for _ in range(n)]

    evenhand.tune(
        following(),
        SHARES,
        direction="maximize",
        method=Watching,
        trials=3,
        epochs_per_trial=5,
        value="best",
        db=db,
        progress=False,
    )
    assert len(seen) == 2
    assert all(value is not None and value >= 0.45 for value in seen)


def test_a_task_says_it_tune_overrules_it_and_anything_else_is_refused(db: str) -> None:
    made = task(space=SHARES, metric="value", direction="maximize", max_epochs=9, value="best")(following())
    settings: dict[str, Any] = {"trials": 1, "epochs_per_trial": 5, "db": db, "progress": False}
    assert evenhand.tune(made, **settings).trials[0].value_epoch == 2
    assert evenhand.tune(made, **settings, value="last").trials[0].value_epoch == 5
    wrongs: tuple[Any, ...] = ("first", True, 3)
    for wrong in wrongs:
        with pytest.raises(InvalidSettings, match=f'value is {wrong!r}, expected "last" or "best"'):
            evenhand.tune(made, **settings, value=wrong)
        with pytest.raises(InvalidSettings, match="value is"):
            task(space=SHARES, metric="value", direction="maximize", max_epochs=9, value=wrong)


def test_another_rule_under_the_same_name_is_refused_with_both(db: str) -> None:
    settings: dict[str, Any] = {"direction": "maximize", "epochs_per_trial": 5, "db": db, "progress": False, "name": "first"}
    evenhand.tune(following(), SHARES, trials=1, value="best", **settings)
    with pytest.raises(Refused, match="value is 'best' there, and 'last' now"):
        evenhand.tune(following(), SHARES, trials=1, **settings)
    assert len(evenhand.tune(following(), SHARES, trials=2, value="best", **settings).trials) == 2


@pytest.mark.slow
def test_the_command_takes_both(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, db: str) -> None:
    monkeypatch.setenv("EVENHAND_DATA", str(tmp_path))
    example = f"{digits_mlp.__file__}:train"
    budget = ["--trials", "1", "--epochs-per-trial", "2", "--db", db]
    done = CliRunner().invoke(
        app, ["tune", example, *budget, "--value", "best", "--evaluation", "retrain"], env={"COLUMNS": "200"}
    )
    assert done.exit_code == 0, done.output
    assert "the best, value of epoch" in done.output
    assert "retrained on training and validation data" in done.output
    wrong = CliRunner().invoke(app, ["tune", example, *budget, "--value", "first"])
    assert isinstance(wrong.exception, InvalidSettings)


def test_an_estimators_folds_are_no_epochs_to_choose_by(db: str) -> None:
    from sklearn.tree import DecisionTreeClassifier

    rng = np.random.default_rng(0)
    with pytest.raises(InvalidSettings, match="the epochs of an estimator are its folds"):
        evenhand.tune_estimator(DecisionTreeClassifier(), rng.normal(size=(40, 2)), [0, 1] * 20, trials=1, db=db, value="best")


# Schedules, and what is kept


def points() -> Splits:
    rng = np.random.default_rng(0)
    y = rng.integers(0, 2, 400)
    return Splits.drawn(rng.normal(size=(400, 5)) + 0.4 * (2 * y[:, None] - 1), y)


left: dict[tuple[int, str], list[NDArray[np.float64]]] = {}
asked_for: set[int] = set()


def cosine(configuration: Configuration, run: Run) -> None:
    """Logistic regression whose learning rate falls as a cosine over the configuration's epochs."""
    (x, y), rng, weights = run.train, np.random.default_rng(run.seed), np.zeros(5)
    epochs = int(configuration["epochs"])
    asked_for.add(epochs)
    steps = left[run.seed, run.plan.mode if run.evaluation else "tuning"] = []
    run.keep(lambda: weights.copy())
    for epoch in range(1, epochs + 1):
        rate = configuration.number("rate") * (1 + math.cos(math.pi * epoch / epochs)) / 2
        for row in rng.permutation(len(y)):
            weights += rate * x[row] * (y[row] - 1 / (1 + math.exp(-float(x[row] @ weights))))
        steps.append(weights.copy())
        run.report(epoch=epoch, accuracy=run.score(partial(predicted, weights)))


def predicted(weights: NDArray[np.float64], x: NDArray[np.float64]) -> NDArray[np.int64]:
    return (x @ weights > 0).astype(np.int64)


SCHEDULED = Space([Hyperparameter("epochs", Integer(1, 20), default=12, fidelity=True), Hyperparameter("rate", Float(0.5, 2.0))])


@pytest.mark.slow
@pytest.mark.parametrize("mode", ["retrain", "as tuned"])
def test_a_schedule_has_the_weights_of_the_epoch_that_the_value_is_of(mode: EvaluationMode, db: str) -> None:
    left.clear()
    asked_for.clear()
    which = task(space=SCHEDULED, metric="accuracy", max_epochs=20, data=points, value="best")(cosine)
    result = evenhand.tune(which, trials=6, epochs_per_trial=12, db=db, progress=False, evaluate=mode)
    assert result.best is not None
    assert result.evaluation is not None
    until = result.best.value_epoch
    assert until is not None
    assert until < 12  # else this shows nothing
    assert asked_for == {12}
    x, y = points().load("test")
    for score in result.evaluation.scores:
        steps = left[score.seed, mode]
        assert len(steps) == until
        assert score.value == np.mean((x @ steps[-1] > 0).astype(int) == y)
    if mode == "as tuned":  # the weights that a trial with this seed has after this epoch of twelve
        seed = result.evaluation.scores[0].seed
        run_trial(which, result.best.configuration, seed=seed, evaluation=False, report=lambda _: None)
        for ours, whole in zip(left[seed, mode], left[seed, "tuning"], strict=False):
            assert np.array_equal(ours, whole)
        assert len(left[seed, "tuning"]) == 12


def test_the_state_after_the_best_epoch_is_kept_and_the_last_one_to_go_on_from(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("EVENHAND_DATA", str(tmp_path))
    left.clear()
    which = task(space=SCHEDULED, metric="accuracy", max_epochs=20, data=points)(cosine)
    values = {"epochs": 12, "rate": 1.0}
    rows: list[Measurement] = []
    for rule, kept in (("last", {12}), ("best", {12, 0})):
        run_trial(which, values, seed=4, evaluation=False, report=rows.append, keep=True, value_rule=rule)  # type: ignore[arg-type]
        scores = [row.value or 0.0 for row in rows[-12:]]
        best = 1 + scores.index(max(scores))
        assert best < 12
        expected = {checkpoints.path_of(which.version, which.space, values, 4, epoch or best) for epoch in kept}
        assert {*(tmp_path / "checkpoints").iterdir()} == expected
    state: Any = checkpoints.load(checkpoints.path_of(which.version, which.space, values, 4, best))
    assert np.array_equal(state, left[4, "tuning"][best - 1])


@pytest.mark.slow
@pytest.mark.parametrize("lane", ["whole", "stacked"])
def test_built_in_networks_end_within_that_epoch_alone_and_together(lane: str, db: str) -> None:
    need("torch")
    which: Task = load_task(TaskSpec("mlp", {"scale": 0.01, "lane": lane}))
    result = evenhand.tune(which, trials=4, epochs_per_trial=10, value="best", evaluate="as tuned", db=db, progress=False)
    assert result.best is not None
    assert result.evaluation is not None
    assert result.best.value_epoch is not None
    parts = as_tuned_scores.parts_of(which)
    for score in result.evaluation.scores:
        model = as_tuned_scores.model_of(which, result.best.configuration, score.seed, result.best.value_epoch)
        assert score.value is not None
        assert 100 * (1 - score.value) == pytest.approx(as_tuned_scores.errors_of(parts, model).eval)
