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
from evenhand import (
    Choice,
    Condition,
    Configuration,
    Float,
    Hyperparameter,
    Integer,
    Run,
    Space,
    cli,
    optunaspaces,
    optunastudies,
)
from evenhand.errors import InvalidSettings, NotFound, Refused
from evenhand.lab import Lab
from evenhand.protocol import best_trial
from evenhand.records import Measurement, Outcome, Stopper
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


def test_states_values_and_times_of_a_study(db: str) -> None:
    study = study_of(network, 40, study_name="network")
    states = [trial.state for trial in study.trials]
    assert {TrialState.COMPLETE, TrialState.PRUNED, TrialState.FAIL} == set(states), "the objective shows each state"
    session_id, notes = optunastudies.import_study(study, db=db)
    lab = Lab.connect(db)
    session = lab.session(session_id)
    assert (session.task.metric, session.task.direction, session.task.max_epochs) == ("value", "minimize", 3)
    assert [trial.number for trial in session.trials] == [trial.number + 1 for trial in study.trials]
    for mine, theirs in zip(session.trials, study.trials, strict=True):
        assert dict(mine.configuration) == theirs.params
        assert theirs.datetime_start is not None
        assert theirs.datetime_complete is not None
        assert mine.claimed_at == pytest.approx(theirs.datetime_start.timestamp())
        assert mine.finished_at == pytest.approx(theirs.datetime_complete.timestamp())
        curve = lab.curve(session_id, mine.number).measurements
        assert [(each.epoch, each.value) for each in curve] == [
            (step + 1, value) for step, value in theirs.intermediate_values.items()
        ]
        if theirs.state == TrialState.COMPLETE:
            assert (mine.outcome, mine.value, mine.epochs_done) == (Outcome.COMPLETED, theirs.value, 3)
        elif theirs.state == TrialState.PRUNED:
            last = theirs.intermediate_values[max(theirs.intermediate_values)]
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
        "steps of intermediate values begin at 0; as epochs they are counted from 1",
    ]
    study_here = lab.studies()[0]
    assert (study_here.archived, study_here.name) == (True, "optuna network")
    with pytest.raises(Refused):
        lab.open(study_here.id, tuner="random")
    with pytest.raises(Refused, match="is here already"):
        optunastudies.import_study(study, db=db)
    lab.close()


def trained(configuration: Configuration, run: Run) -> None:
    if configuration.number("rate") > 0.3:
        raise ValueError("too large")
    for epoch in range(1, int(configuration["epochs"]) + 1):
        loss = math.inf if configuration.number("decay") > 0.1 else 1.0
        run.report(epoch=epoch, loss=loss, score=configuration.number("rate") * epoch, f1=configuration.number("momentum", 0.5))


def test_a_session_and_back_again(db: str, tmp_path: Path) -> None:
    found = evenhand.tune(
        trained, SPACE, metric="score", direction="maximize", method="tpe", trials=30, db=db, progress=False, evaluate=False
    )
    assert {trial.outcome for trial in found.trials} == {Outcome.COMPLETED, Outcome.INVALID, Outcome.DIVERGED}
    storage = f"sqlite:///{tmp_path / 'optuna.sqlite'}"
    study = optunastudies.export_session(found.session_id, storage=storage, db=db)
    assert study.best_value == found.best.value  # type: ignore[union-attr]
    assert study.metric_names == ["score"]
    first = study.trials[0]
    assert first.user_attrs["proposer"] == "tpe"
    assert first.user_attrs["explanation"] == found.trials[0].explanation
    assert isinstance(first.distributions["optimizer"], CategoricalDistribution)
    assert first.distributions["decay"] == FloatDistribution(0, 1)

    again_id, notes = optunastudies.import_study(optunastudies.open_study(storage), db=db)
    assert notes == ()
    lab = Lab.connect(db)
    again = lab.session(again_id)
    assert again.space == SPACE
    assert (again.tuner, again.budget, again.tuning_seed) == ("tpe", found.session.budget, found.session.tuning_seed)
    assert again.choice is not None
    assert again.choice.configuration == found.configuration
    for mine, theirs in zip(again.trials, found.trials, strict=True):
        for name in ("number", "configuration", "outcome", "why", "value", "proposer", "explanation", "epochs_done", "extra"):
            assert getattr(mine, name) == getattr(theirs, name), name
        assert mine.finished_at == pytest.approx(theirs.finished_at)
        assert values(lab.curve(again_id, mine.number).measurements) == values(
            lab.curve(found.session_id, mine.number).measurements
        )
    twice = optunastudies.export_session(again_id, db=db, name=study.study_name)
    for one, other in zip(study.trials, twice.trials, strict=True):
        for name in ("params", "distributions", "state", "values", "intermediate_values", "user_attrs", "datetime_complete"):
            assert getattr(one, name) == getattr(other, name), name
    lab.close()


def test_resumed_and_stopped_trials_come_back(db: str) -> None:
    def deep(configuration: Configuration, run: Run) -> None:
        for epoch in range(1, int(configuration["epochs"]) + 1):
            run.report(epoch=epoch, value=configuration.number("rate") * epoch)

    space = Space([Hyperparameter("epochs", Integer(1, 9), fidelity=True), Hyperparameter("rate", Float(0, 1))])
    found = evenhand.tune(deep, space, direction="maximize", method="hyperband", epochs=60, db=db, progress=False, evaluate=False)
    assert any(trial.resumes for trial in found.trials)
    again_id, notes = optunastudies.import_study(optunastudies.export_session(found.session_id, db=db), db=db)
    assert notes == ()
    again = evenhand.session(again_id, db).record
    assert again.resumable
    for mine, theirs in zip(again.trials, found.trials, strict=True):
        for name in ("resumes", "epochs_before", "epochs_done", "epochs_planned", "value", "outcome"):
            assert getattr(mine, name) == getattr(theirs, name), name


def test_the_pages_show_a_study_that_came_in(tmp_path: Path) -> None:
    session_id, _ = optunastudies.import_study(
        study_of(network, 40, study_name="network"), db=f"sqlite:///{tmp_path / 'lab.sqlite'}"
    )
    with toy_site(tmp_path) as site:
        researcher = site.caller(Role.RESEARCHER)
        study_id = site.lab.session(session_id).study_id
        for page in (f"/studies/{study_id}", f"/sessions/{session_id}", f"/sessions/{session_id}/explore"):
            answer = researcher.get(page)
            assert answer.status_code == 200, page
        shown = researcher.get(f"/sessions/{session_id}").text
        assert {str(trial.outcome) for trial in site.lab.session(session_id).trials} == {"completed", "stopped", "invalid"}
        assert "invalid" in shown
        assert "stopped" in shown
        curve = researcher.get(f"/sessions/{session_id}/trials/1/curve")
        assert curve.status_code == 200


def values(curve: tuple[Measurement, ...]) -> list[tuple[int, float]]:
    return [(each.epoch, each.value) for each in curve if each.epoch is not None and each.value is not None]


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
    session_id, notes = optunastudies.import_study(study, db=db)
    session = evenhand.session(session_id, db).record
    assert (session.task.metric, [(each.name, each.direction) for each in session.task.further]) == (
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
        "1 trials are left out, since they had not ended: 2",
        "x: its step is not kept; every number of its range is allowed here",
        "user attribute 'folder' of 2 trials is not kept",
        "constraint values of 2 trials are not kept",
        "the study's user attributes owner are not kept",
    }
    back = optunastudies.export_session(session_id, db=db)
    assert [trial.values for trial in back.trials] == [[0.25, 2.5], [0.75, 7.5]]


def trial_with(
    params: dict[str, Any], distributions: dict[str, Any], state: TrialState = TrialState.COMPLETE
) -> optuna.trial.FrozenTrial:
    value = 1.0 if state == TrialState.COMPLETE else None
    return create_trial(state=state, value=value, params=params, distributions={name: distributions[name] for name in params})


def test_choices_that_are_not_text_become_labels() -> None:
    flag, mixed, blank = (
        CategoricalDistribution((True, None, 3)),
        CategoricalDistribution((1, "1")),
        CategoricalDistribution(("", "a")),
    )
    assert optunaspaces.labels_of(flag) == ("True", "None", "3")
    assert optunaspaces.labels_of(mixed) == ("1", "'1'")
    assert optunaspaces.labels_of(blank) == ("''", "'a'")
    trial = trial_with({"flag": None}, {"flag": flag})
    space, notes = optunaspaces.space_of([trial])
    assert space["flag"].domain == Choice(("True", "None", "3"))
    assert optunaspaces.configuration_of(space, trial) == Configuration({"flag": "None"})
    assert notes == ["flag: its choices are not all text; they became the labels True, None, 3"]


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
    space, _ = optunaspaces.space_of(trials)
    assert space["units_1"].condition is None
    assert space["units_2"].condition == Condition("layers", (2, 3, 4))
    assert space["units_3"].condition == Condition("layers", (4,))
    for trial in trials:
        assert dict(optunaspaces.configuration_of(space, trial) or {}) == trial.params


def test_what_nothing_explains_gets_a_choice_of_its_own() -> None:
    some: list[dict[str, Any]] = [{"kind": "a"}, {"kind": "a", "z": 0.5}, {"kind": "b"}]
    trials = [trial_with(params, KINDS) for params in some]
    space, notes = optunaspaces.space_of(trials)
    assert space.names == ("kind", "has_z", "z")
    assert space["z"].condition == Condition("has_z", ("yes",))
    found = [optunaspaces.configuration_of(space, trial) for trial in trials]
    assert found[0] == Configuration({"kind": "a", "has_z": "no"})
    assert found[1] == Configuration({"kind": "a", "has_z": "yes", "z": 0.5})
    assert notes == ["z: some trials had none, and nothing explains when; has_z says which"]
    assert [optunaspaces.without_flags(space, each) for each in found if each] == some


def test_two_explanations_are_as_good_as_none() -> None:
    both: list[dict[str, Any]] = [
        {"kind": kind, "layers": count} | ({"z": 0.5} if kind == "b" else {}) for kind, count in [("a", 1), ("b", 3)] * 4
    ]
    space, _ = optunaspaces.space_of([trial_with(params, KINDS) for params in both])
    assert space["z"].condition == Condition("has_z", ("yes",))
    few: list[dict[str, Any]] = [{"kind": kind} | ({"z": 0.5} if kind == "b" else {}) for kind in "aabb"]
    space, _ = optunaspaces.space_of([trial_with(params, KINDS) for params in few])
    assert space["z"].condition == Condition("has_z", ("yes",))


def test_trials_that_ended_too_early_are_left_out_and_named() -> None:
    study = optuna.create_study()
    study.add_trials([trial_with(layers(1, z=0.5), KINDS), trial_with({"layers": 1}, KINDS, TrialState.FAIL)])
    found = optunastudies.read(study)
    assert [trial.number for trial in found.session.trials] == [1]
    assert "1 trials are left out, since they ended before they had all hyperparameters: 1" in found.notes
    with pytest.raises(InvalidSettings, match="no trial that has ended has a hyperparameter"):
        optunastudies.read(optuna.create_study())


def test_the_commands(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EVENHAND_DATA", str(tmp_path / "data"))
    storage, journal = f"sqlite:///{tmp_path / 'optuna.sqlite'}", str(tmp_path / "journal.log")
    for name in ("first", "second"):
        study_of(network, 12, study_name=name, storage=storage)
    run = CliRunner()
    brought = run.invoke(cli.app, ["optuna", "import", storage, "second"])
    assert brought.exit_code == 0, brought.output
    assert "Session 1" in brought.output
    assert "steps of intermediate values begin at 0" in brought.output
    out = run.invoke(cli.app, ["optuna", "export", "1", journal, "--name", "mine"])
    assert out.exit_code == 0, out.output
    assert "Study 'mine': 12 trials" in out.output
    assert len(optunastudies.open_study(journal, "mine").trials) == 12
    with pytest.raises(InvalidSettings, match="holds 2 studies, name one of them: first, second"):
        optunastudies.open_study(storage)
    with pytest.raises(NotFound, match="has no study 'third'"):
        optunastudies.open_study(storage, "third")
    with pytest.raises(InvalidSettings, match="has a study 'mine' already"):
        optunastudies.export_session(1, storage=journal, name="mine")
    with pytest.raises(InvalidSettings, match="cannot be opened"):
        optunastudies.open_study("nonsense://nowhere")


def test_a_value_that_is_not_finite_is_diverged_and_never_chosen() -> None:
    study = optuna.create_study(direction="maximize")
    for value, steps in ((math.inf, {1: 0.5}), (0.25, {1: math.nan, 2: 0.25})):
        trial = trial_with({"z": 0.5}, KINDS)
        study.add_trial(
            create_trial(value=value, params=trial.params, distributions=trial.distributions, intermediate_values=steps)
        )
    found = optunastudies.read(study)
    first, second = found.session.trials
    assert (first.outcome, first.why, first.value) == (Outcome.DIVERGED, "the value became inf", 0.5)
    assert (second.outcome, second.value, second.epochs_done) == (Outcome.COMPLETED, 0.25, 2)
    assert found.session.choice is not None
    assert found.session.choice.trial_id == second.id
    assert "1 intermediate values that are not finite are left out" in found.notes
