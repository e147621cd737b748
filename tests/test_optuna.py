"""Studies of Optuna as sessions and back: states, values, conditions, labels, and what has no place is said."""

import math
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import optuna
import pytest
from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution
from optuna.trial import TrialState, create_trial
from typer.testing import CliRunner

import evenhand
from evenhand import Choice, Condition, Configuration, Float, Hyperparameter, Integer, Run, Space
from evenhand.cli import main
from evenhand.errors import InvalidSettings, Refused
from evenhand.exchange import optuna as optuna_exchange
from evenhand.exchange.foreign_runs import Opened, opened_runs
from evenhand.exchange.formats.base import Source, Wanted
from evenhand.lab.lab import Lab
from evenhand.methods import optuna_spaces
from evenhand.model import open_space
from evenhand.model.rules import best_trial
from evenhand.model.trial import Measurement, Outcome, Stopper
from evenhand.web.access import Role
from tests.web import toy_site

optuna.logging.set_verbosity(optuna.logging.ERROR)
SPACE = Space(
    [
        Hyperparameter("epochs", Integer(1, 4), default=3, label="Epochs", help="How long.", fidelity=True),
        Hyperparameter("optimizer", Choice(("adam", "sgd"), ("Adam", "SGD"))),
        Hyperparameter("rate", Float(1e-4, 1, log=True), default=0.01),
        Hyperparameter("decay", Float(1e-6, 1, log=True, or_zero=True), default=0.0),
        Hyperparameter("momentum", Float(0, 1), condition=Condition("optimizer", ("sgd",))),
    ]
)


@pytest.fixture
def db(tmp_path: Path) -> str:
    return f"sqlite:///{tmp_path / 'lab.sqlite'}"


def study_of(objective: Callable[[optuna.Trial], Any], trials: int, **settings: Any) -> optuna.Study:
    pruner = optuna.pruners.MedianPruner(n_startup_trials=2)
    study = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=1), pruner=pruner, **settings)
    study.optimize(objective, n_trials=trials, catch=(ValueError,))
    return study


def network(trial: optuna.Trial) -> float:
    optimizer = trial.suggest_categorical("optimizer", ["adam", "sgd"])
    rate = trial.suggest_float("rate", 1e-4, 1, log=True)
    momentum = trial.suggest_float("momentum", 0, 1) if optimizer == "sgd" else 0.5
    if rate > 0.5:
        raise ValueError("too large")
    for step in range(3):
        value = momentum + rate * step
        trial.report(value, step)
        if trial.should_prune():
            raise optuna.TrialPruned
    return value


@pytest.mark.slow
def test_states_values_and_times_of_a_study(db: str) -> None:
    study = study_of(network, 40, study_name="network")
    states = [trial.state for trial in study.trials]
    assert {TrialState.COMPLETE, TrialState.PRUNED, TrialState.FAIL} == set(states), "the objective shows each state"
    session_id, notes = optuna_exchange.import_study(study, db=db)
    lab = Lab.connect(db)
    session = lab.sessions.get(session_id)
    assert (session.task.metric, session.task.direction, session.task.max_epochs) == ("value", "minimize", 3)
    assert [trial.number for trial in session.trials] == [trial.number + 1 for trial in study.trials]
    for mine, stored in zip(session.trials, study.trials, strict=True):
        assert dict(mine.configuration) == stored.params
        assert stored.datetime_start is not None
        assert stored.datetime_complete is not None
        assert mine.claimed_at == pytest.approx(stored.datetime_start.timestamp())
        assert mine.finished_at == pytest.approx(stored.datetime_complete.timestamp())
        curve = lab.curve(session_id, mine.number).measurements
        assert [(measurement.epoch, measurement.value) for measurement in curve] == [
            (step + 1, value) for step, value in stored.intermediate_values.items()
        ]
        if stored.state == TrialState.COMPLETE:
            assert (mine.outcome, mine.value, mine.epochs_done) == (Outcome.COMPLETED, stored.value, 3)
        elif stored.state == TrialState.PRUNED:
            last = stored.intermediate_values[max(stored.intermediate_values)]
            assert (mine.outcome, mine.stop_by, mine.value) == (Outcome.STOPPED, Stopper.RULE, last)
        else:
            assert (mine.outcome, mine.why) == (Outcome.INVALID, "Optuna keeps no reason for a trial that failed")
    assert session.choice is not None
    assert session.choice.configuration == Configuration(study.best_params)
    best = best_trial(session)
    assert best is not None
    assert session.space["momentum"].condition == Condition("optimizer", ("sgd",))
    assert session.space["rate"].domain == Float(1e-4, 1, log=True)
    assert list(notes) == [
        "momentum: taken to apply only where optimizer is sgd",
        "steps of reported values begin at 0; as epochs they are counted from 1",
    ]
    study_here = lab.studies.all()[0]
    assert (study_here.archived, study_here.name) == (True, "optuna network")
    with pytest.raises(Refused):
        lab.sessions.open(study_here.id, tuner="random")
    with pytest.raises(Refused, match="is here already"):
        optuna_exchange.import_study(study, db=db)
    lab.close()


def trained(configuration: Configuration, run: Run) -> None:
    if configuration.number("rate") > 0.3:
        raise ValueError("too large")
    for epoch in range(1, int(configuration["epochs"]) + 1):
        loss = math.inf if configuration.number("decay") > 0.1 else 1.0
        run.report(epoch=epoch, loss=loss, score=configuration.number("rate") * epoch, f1=configuration.number("momentum", 0.5))


@pytest.mark.slow
def test_a_session_and_back_again(db: str, tmp_path: Path) -> None:
    result = evenhand.tune(
        trained, SPACE, metric="score", direction="maximize", method="tpe", trials=30, db=db, progress=False, evaluate=False
    )
    assert {trial.outcome for trial in result.trials} == {Outcome.COMPLETED, Outcome.INVALID, Outcome.DIVERGED}
    storage = f"sqlite:///{tmp_path / 'optuna.sqlite'}"
    study = optuna_exchange.export_session(result.session_id, storage=storage, db=db)
    assert study.best_value == result.best.value  # type: ignore[union-attr]
    assert study.metric_names == ["score"]
    first = study.trials[0]
    assert first.user_attrs["proposer"] == "tpe"
    assert first.user_attrs["explanation"] == result.trials[0].explanation
    assert isinstance(first.distributions["optimizer"], CategoricalDistribution)
    assert first.distributions["decay"] == FloatDistribution(0, 1)

    lab = Lab.connect(db)
    with Source(storage) as source:
        (opened,) = opened_runs(source, Wanted())
        assert isinstance(opened, Opened)
        assert opened.losses == ()
        again_id = opened.store(lab)
    again = lab.sessions.get(again_id)
    assert again.space == SPACE
    assert (again.tuner, again.budget, again.tuning_seed) == ("tpe", result.session.budget, result.session.tuning_seed)
    assert again.choice is not None
    assert again.choice.configuration == result.configuration
    for mine, original in zip(again.trials, result.trials, strict=True):
        for name in ("number", "configuration", "outcome", "why", "value", "proposer", "explanation", "epochs_done", "extra"):
            assert getattr(mine, name) == getattr(original, name), name
        assert mine.finished_at == pytest.approx(original.finished_at)
        assert values(lab.curve(again_id, mine.number).measurements) == values(
            lab.curve(result.session_id, mine.number).measurements
        )
    twice = optuna_exchange.export_session(again_id, db=db, name=study.study_name)
    for one, other in zip(study.trials, twice.trials, strict=True):
        for name in ("params", "distributions", "state", "values", "intermediate_values", "user_attrs", "datetime_complete"):
            assert getattr(one, name) == getattr(other, name), name
    lab.close()


@pytest.mark.slow
def test_resumed_and_stopped_trials_come_back(db: str) -> None:
    def deep(configuration: Configuration, run: Run) -> None:
        for epoch in range(1, int(configuration["epochs"]) + 1):
            run.report(epoch=epoch, value=configuration.number("rate") * epoch)

    space = Space([Hyperparameter("epochs", Integer(1, 9), fidelity=True), Hyperparameter("rate", Float(0, 1))])
    result = evenhand.tune(
        deep, space, direction="maximize", method="hyperband", epochs=60, db=db, progress=False, evaluate=False
    )
    assert any(trial.resumes for trial in result.trials)
    again_id, notes = optuna_exchange.import_study(optuna_exchange.export_session(result.session_id, db=db), db=db)
    assert notes == ()
    again = evenhand.session(again_id, db).record
    assert again.resumable
    for mine, original in zip(again.trials, result.trials, strict=True):
        for name in ("resumes", "epochs_before", "epochs_done", "epochs_planned", "value", "outcome"):
            assert getattr(mine, name) == getattr(original, name), name


@pytest.mark.slow
def test_the_pages_show_a_study_that_came_in(tmp_path: Path) -> None:
    session_id, _ = optuna_exchange.import_study(
        study_of(network, 40, study_name="network"), db=f"sqlite:///{tmp_path / 'lab.sqlite'}"
    )
    with toy_site(tmp_path) as site:
        researcher = site.caller(Role.RESEARCHER)
        study_id = site.lab.sessions.get(session_id).study_id
        for page in (f"/studies/{study_id}", f"/sessions/{session_id}", f"/sessions/{session_id}/explore"):
            answer = researcher.get(page)
            assert answer.status_code == 200, page
        shown = researcher.get(f"/sessions/{session_id}").text
        assert {str(trial.outcome) for trial in site.lab.sessions.get(session_id).trials} == {"completed", "stopped", "invalid"}
        assert "invalid" in shown
        assert "stopped" in shown
        curve = researcher.get(f"/sessions/{session_id}/trials/1/curve")
        assert curve.status_code == 200


def values(curve: tuple[Measurement, ...]) -> list[tuple[int, float]]:
    return [
        (measurement.epoch, measurement.value)
        for measurement in curve
        if measurement.epoch is not None and measurement.value is not None
    ]


def test_further_objectives_and_what_has_no_place(db: str) -> None:
    study = optuna.create_study(directions=["maximize", "minimize"], study_name="two")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        study.set_metric_names(["accuracy", "size"])
    for x in (0.25, 0.75):
        study.add_trial(
            create_trial(
                values=[x, 10 * x],
                params={"x": x},
                distributions={"x": FloatDistribution(0, 1, step=0.25)},
                user_attrs={"memory": 7, "folder": "runs/1"},
                constraints={"fits": -1.0},
            )
        )
    study.enqueue_trial({"x": 0.5})
    study.set_user_attr("owner", "me")
    session_id, notes = optuna_exchange.import_study(study, db=db)
    session = evenhand.session(session_id, db).record
    assert (session.task.metric, [(metric.name, metric.direction) for metric in session.task.further]) == (
        "accuracy",
        [("size", "minimize")],
    )
    assert [(trial.value, dict(trial.extra)) for trial in session.trials] == [
        (0.25, {"memory": 7, "size": 2.5}),
        (0.75, {"memory": 7, "size": 7.5}),
    ]
    assert session.choice is not None
    assert session.choice.configuration == Configuration({"x": 0.75})
    assert set(notes) == {
        "1 trial left out as not ended: 2",
        "user attribute 'folder' of 2 trials is not kept: 'runs/1', ...",
        "constraint values of 2 trials are not kept: 0, 1",
        "1 user attributes of the study are not kept: owner",
    }
    back = optuna_exchange.export_session(session_id, db=db)
    assert [trial.values for trial in back.trials] == [[0.25, 2.5], [0.75, 7.5]]


def trial_with(
    params: dict[str, Any], distributions: dict[str, Any], state: TrialState = TrialState.COMPLETE
) -> optuna.trial.FrozenTrial:
    value = 1.0 if state == TrialState.COMPLETE else None
    return create_trial(state=state, value=value, params=params, distributions={name: distributions[name] for name in params})


def test_choices_stay_what_they_are_and_become_labels_where_nothing_can_hold_them() -> None:
    flag, mixed, blank = (
        CategoricalDistribution((True, None, 3)),
        CategoricalDistribution((1, "1")),
        CategoricalDistribution(("", "a")),
    )
    assert optuna_spaces.labels_of(flag) == ("True", "None", "3")
    assert optuna_spaces.labels_of(mixed) == ("1", "'1'")
    assert optuna_spaces.labels_of(blank) == ("''", "'a'")
    trial = trial_with({"flag": None}, {"flag": flag})
    space, notes = optuna_spaces.space_of([trial])
    assert space["flag"].domain == Choice((True, None, 3))
    assert optuna_spaces.configuration_of(space, trial) == Configuration({"flag": None})
    assert notes == []
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # Optuna's own, of a choice that its storages cannot keep
        odd = CategoricalDistribution((len, "a"))  # type: ignore[arg-type]
    trial = trial_with({"flag": len}, {"flag": odd})
    space, notes = optuna_spaces.space_of([trial])
    assert space["flag"].domain == Choice(("<built-in function len>", "a"))
    assert optuna_spaces.configuration_of(space, trial) == Configuration({"flag": "<built-in function len>"})
    words = "its choices are not all values that can be stored; they became the labels <built-in function len>, a"
    assert notes == [f"flag: {words}"]


def test_steps_and_options_of_every_kind_go_out_and_come_back() -> None:
    space = Space({"hidden": [(32,), (64, 32)], "flag": [True, 1, "1", None], "n": range(2, 11, 4), "x": Float(0, 1, step=0.25)})
    values = {"hidden": (64, 32), "flag": 1, "n": 6, "x": 0.75}
    distributions = {hyperparameter.name: optuna_spaces.distribution_of(hyperparameter) for hyperparameter in space}
    params = {name: optuna_spaces.param_of(space[name], value) for name, value in values.items()}
    trial = trial_with(params, distributions)
    assert distributions["n"] == IntDistribution(2, 10, step=4)
    assert distributions["x"] == FloatDistribution(0, 1, step=0.25)
    assert optuna_spaces.configuration_of(space, trial) == space.configuration(values)
    again, notes = optuna_spaces.space_of([trial])
    assert (again["n"].domain, again["x"].domain, notes) == (Integer(2, 10, step=4), Float(0, 1, step=0.25), [])


def layers(count: int, **more: float) -> dict[str, Any]:
    return {"layers": count, **{f"units_{n}": 8 for n in range(1, count + 1)}, **more}


KINDS = {
    "layers": IntDistribution(1, 4),
    **{f"units_{n}": IntDistribution(1, 64, log=True) for n in range(1, 5)},
    "kind": CategoricalDistribution(("a", "b")),
    "z": FloatDistribution(0, 1),
}


def test_layers_depend_on_their_number() -> None:
    trials = [trial_with(layers(count), KINDS) for count in (1, 1, 1, 2, 2, 2, 4, 4, 4)]
    space, _ = optuna_spaces.space_of(trials)
    assert space["units_1"].condition is None
    assert space["units_2"].condition == Condition("layers", (2, 3, 4))
    assert space["units_3"].condition == Condition("layers", (4,))
    for trial in trials:
        assert dict(optuna_spaces.configuration_of(space, trial) or {}) == trial.params


def test_what_nothing_explains_gets_a_choice_of_its_own() -> None:
    some: list[dict[str, Any]] = [{"kind": "a"}, {"kind": "a", "z": 0.5}, {"kind": "b"}]
    trials = [trial_with(params, KINDS) for params in some]
    space, notes = optuna_spaces.space_of(trials)
    assert space.names == ("kind", "has_z", "z")
    assert space["z"].condition == Condition("has_z", ("yes",))
    configurations = [optuna_spaces.configuration_of(space, trial) for trial in trials]
    assert configurations[0] == Configuration({"kind": "a", "has_z": "no"})
    assert configurations[1] == Configuration({"kind": "a", "has_z": "yes", "z": 0.5})
    assert notes == ["z: some trials had none, and nothing explains when; has_z says which"]
    assert [open_space.without_flags(space, configuration) for configuration in configurations if configuration] == some


def test_two_explanations_are_as_good_as_none() -> None:
    both: list[dict[str, Any]] = [
        {"kind": kind, "layers": count} | ({"z": 0.5} if kind == "b" else {}) for kind, count in [("a", 1), ("b", 3)] * 4
    ]
    space, _ = optuna_spaces.space_of([trial_with(params, KINDS) for params in both])
    assert space["z"].condition == Condition("has_z", ("yes",))
    few: list[dict[str, Any]] = [{"kind": kind} | ({"z": 0.5} if kind == "b" else {}) for kind in "aabb"]
    space, _ = optuna_spaces.space_of([trial_with(params, KINDS) for params in few])
    assert space["z"].condition == Condition("has_z", ("yes",))


def test_trials_that_ended_too_early_are_left_out_and_named() -> None:
    study = optuna.create_study()
    study.add_trials([trial_with(layers(1, z=0.5), KINDS), trial_with({"layers": 1}, KINDS, TrialState.FAIL)])
    imported = optuna_exchange.read(study)
    assert [trial.number for trial in imported.session.trials] == [1]
    assert "1 trial left out as without all hyperparameters: 1" in map(str, imported.losses)
    with pytest.raises(InvalidSettings, match="no trial that has ended has a hyperparameter"):
        optuna_exchange.read(optuna.create_study())


@pytest.mark.slow
def test_the_commands(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EVENHAND_DATA", str(tmp_path / "data"))
    storage, journal = f"sqlite:///{tmp_path / 'optuna.sqlite'}", str(tmp_path / "journal.log")
    for name in ("first", "second"):
        study_of(network, 12, study_name=name, storage=storage)
    run = CliRunner()
    brought = run.invoke(main.app, ["optuna", "import", storage, "second"])
    assert brought.exit_code == 0, brought.output
    assert "Session 1" in brought.output
    assert "steps of reported values begin at 0" in brought.output
    out = run.invoke(main.app, ["optuna", "export", "1", journal, "--name", "mine"])
    assert out.exit_code == 0, out.output
    assert "Study 'mine': 12 trials" in out.output
    written = optuna.load_study(study_name="mine", storage=optuna_exchange.storage_of(journal))
    assert len(written.trials) == 12
    with pytest.raises(InvalidSettings, match="has a study 'mine' already"):
        optuna_exchange.export_session(1, storage=journal, name="mine")
    both = run.invoke(main.app, ["optuna", "import", storage, "--db", f"sqlite:///{tmp_path / 'other.sqlite'}"])
    assert both.exit_code == 0, both.output
    assert "Session 2" in both.output


@pytest.mark.parametrize(
    ("place", "words"),
    [
        ("badurl", "expected an SQLAlchemy URL, or a journal file"),
        ("badurl://x", "cannot be opened"),
        ("{}/none/x.log", "cannot be opened"),
        ("sqlite:///{}/none/x.db", "cannot be opened"),
    ],
)
def test_a_place_that_cannot_be_written_is_refused_in_words(
    place: str, words: str, db: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    session_id, _ = optuna_exchange.import_study(study_of(network, 2), db=db)
    with pytest.raises(InvalidSettings, match=words):
        optuna_exchange.export_session(session_id, storage=place.format(tmp_path), db=db)
    assert not (tmp_path / "badurl").exists()


def test_a_value_that_is_not_finite_is_diverged_and_never_chosen() -> None:
    study = optuna.create_study(direction="maximize")
    for value, steps in ((math.inf, {1: 0.5}), (0.25, {1: math.nan, 2: 0.25})):
        trial = trial_with({"z": 0.5}, KINDS)
        study.add_trial(
            create_trial(value=value, params=trial.params, distributions=trial.distributions, intermediate_values=steps)
        )
    imported = optuna_exchange.read(study)
    first, second = imported.session.trials
    assert (first.outcome, first.why, first.value) == (Outcome.DIVERGED, "the value became inf", 0.5)
    assert (second.outcome, second.value, second.epochs_done) == (Outcome.COMPLETED, 0.25, 2)
    assert imported.session.choice is not None
    assert imported.session.choice.trial_id == second.id
    assert "1 reported values that are not finite are left out" in map(str, imported.losses)
