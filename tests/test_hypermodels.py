"""A hypermodel of Keras Tuner runs as it is, in a session with an open space: a stand-in model where Keras is not installed."""

import math
from collections.abc import Mapping
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import optuna
import pytest

import evenhand
from evenhand import Choice, Condition, Float, InvalidSettings, Outcome
from evenhand.experiments.hypermodels import HyperParameters, _objective
from tests.components import need


class Model:
    """What Keras's `fit` does with callbacks and history, of a model that learns at once."""

    def __init__(self, loss: float) -> None:
        self.loss = loss
        self.stop_training = False

    def fit(self, x: Any, y: Any, epochs: int = 1, callbacks: Any = (), **_: Any) -> Any:
        history: dict[str, list[float]] = {"loss": [], "val_loss": [], "val_accuracy": []}
        for callback in callbacks:
            callback.set_model(self)
            callback.on_train_begin()
        for epoch in range(epochs):
            logs = {"loss": self.loss, "val_loss": self.loss + 1 / (epoch + 1), "val_accuracy": 1 - self.loss}
            for name, value in logs.items():
                history[name].append(value)
            for callback in callbacks:
                callback.on_epoch_end(epoch, logs)
            if self.stop_training:
                break
        return SimpleNamespace(history=history)


@pytest.fixture(autouse=True)
def quiet() -> Any:
    before = optuna.logging.get_verbosity()
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    yield
    optuna.logging.set_verbosity(before)


@pytest.fixture
def db(tmp_path: Path) -> str:
    return f"sqlite:///{tmp_path / 'lab.sqlite'}"


def build(hp: HyperParameters) -> Model:
    """As the guide of Keras Tuner has it: layers, each with units, and an optimizer with a rate of its own."""
    kind = hp.Choice("model_type", ["mlp", "cnn"])
    with hp.conditional_scope("model_type", ["mlp"]):
        units = hp.Int("units", 32, 128, step=32)
    with hp.conditional_scope("model_type", ["cnn"]):
        filters = hp.Int("filters", 8, 64, step=2, sampling="log")
    rate = hp.Float("learning_rate", 1e-4, 1e-2, sampling="log")
    hp.Boolean("dropout")
    dropout = hp.Float("dropout_rate", 0.0, 0.5, step=0.1, parent_name="dropout", parent_values=[True])
    hp.Fixed("activation", "relu")
    assert (units is None) != (filters is None)
    assert (dropout is None) is not hp.get("dropout")
    assert hp["activation"] == "relu"
    assert (kind == "mlp") == ("units" in hp)
    return Model(abs(math.log10(rate) + 3) + (0.0 if units is None else units / 1000) + (dropout or 0.0))


@pytest.mark.slow
def test_its_trials_are_a_sessions(db: str) -> None:
    result = evenhand.tune_hypermodel(
        build,
        [0],
        [0],
        objective="val_loss",
        trials=30,
        epochs=3,
        sampler=optuna.samplers.RandomSampler(seed=2),
        name="hyper",
        db=db,
    )
    space, session = result.session.space, evenhand.session("hyper", db)
    assert space["model_type"].domain == Choice(("mlp", "cnn"))
    assert space["units"].condition == Condition("model_type", ("mlp",))
    assert space["filters"].domain == Choice((8, 16, 32, 64))
    assert space["filters"].condition == Condition("model_type", ("cnn",))
    assert space["learning_rate"].domain == Float(1e-4, 1e-2, log=True)
    assert space["dropout_rate"].condition == Condition("dropout", (True,))
    assert space["dropout_rate"].domain == Float(0.0, 0.5, step=0.1)
    assert space["activation"].domain == Choice(("relu",))
    assert (result.session.task.metric, result.session.task.direction) == ("val_loss", "minimize")
    assert {trial.outcome for trial in result.trials} == {Outcome.COMPLETED, Outcome.STOPPED}
    best = min((trial for trial in result.trials if trial.outcome is Outcome.COMPLETED), key=lambda trial: trial.value or 0.0)
    assert result.best is not None
    assert result.best.number == best.number
    assert dict(result.best.configuration) == result.best_hyperparameters
    assert result.configuration == best.configuration
    assert session.record.choice is not None
    assert all(trial.epochs_done == 3 for trial in result.trials if trial.outcome is Outcome.COMPLETED)
    assert "evenhand serve" in result.page


@pytest.mark.slow
def test_the_same_call_goes_on(db: str) -> None:
    settings: dict[str, Any] = {"objective": "val_accuracy", "epochs": 1, "name": "more", "db": db, "pruner": "nop"}
    assert len(evenhand.tune_hypermodel(build, [0], [0], trials=3, **settings).trials) == 3
    result = evenhand.tune_hypermodel(build, [0], [0], trials=5, **settings)
    assert len(result.trials) == 5
    assert result.best == max(result.trials, key=lambda trial: (trial.value or 0.0, -trial.number))
    assert len(evenhand.tune_hypermodel(build, [0], [0], trials=4, **settings).trials) == 5
    with pytest.raises(InvalidSettings, match="session 'more' is to maximize; got minimize"):
        evenhand.tune_hypermodel(build, [0], [0], trials=6, **{**settings, "objective": "val_loss"})


def test_a_hypermodel_may_be_an_object_that_fits_itself(db: str) -> None:
    class Own:
        def build(self, hp: HyperParameters) -> Model:
            return Model(hp.Float("loss", 0, 1))

        def fit(self, hp: HyperParameters, model: Model, x: Any, batch: int = 1, **settings: Any) -> Any:
            assert (x, batch) == ("data", 4)
            hp.Int("epochs", 1, 3)
            return {"score": model.loss * hp.get("epochs")}

    result = evenhand.tune_hypermodel(Own(), "data", objective="score", direction="minimize", trials=4, batch=4, db=db)
    assert [trial.value for trial in result.trials] == [
        trial.configuration["loss"] * trial.configuration["epochs"] for trial in result.trials
    ]


@pytest.mark.parametrize(("value", "expected"), [("last", 3.0), ("best", 1.0)])
def test_the_last_or_the_best_epoch_is_the_value(value: Any, expected: float, db: str) -> None:
    def fit(**_: Any) -> Any:
        return SimpleNamespace(history={"val_loss": [2.0, 1.0, 3.0]})

    result = evenhand.tune_hypermodel(lambda hp: SimpleNamespace(fit=fit), trials=1, value=value, db=db)
    assert result.trials[0].value == expected


def known(hp: HyperParameters) -> None:
    hp.Float("loss", 0.0, 1.0)


def more(hp: HyperParameters) -> Model:
    return Model(hp.Float("loss", 0.0, 1.0) + hp.Int("extra", 5, 9, default=7))


@pytest.mark.slow
def test_new_entries(db: str) -> None:
    with pytest.raises(InvalidSettings, match="allow_new_entries is False, but its build asked for 'extra'"):
        evenhand.tune_hypermodel(more, [0], [0], trials=3, hyperparameters=known, allow_new_entries=False, db=db)
    result = evenhand.tune_hypermodel(more, [0], [0], trials=3, hyperparameters=known, tune_new_entries=False, db=db)
    assert {trial.configuration["extra"] for trial in result.trials} == {7}
    result = evenhand.tune_hypermodel(more, [0], [0], trials=8, hyperparameters=known, db=db)
    assert len({trial.configuration["extra"] for trial in result.trials}) > 1


def asked(values: Mapping[str, Any]) -> HyperParameters:
    return HyperParameters(lambda one: values.get(one.name, one.default))


def test_scopes_and_names() -> None:
    hp = asked({"kind": "a", "block/units": 8, "block/deep": True})
    assert hp.Choice("kind", ["a", "b"]) == "a"
    with hp.name_scope("block"):
        assert hp.Int("units", 1, 9) == 8
        assert hp.Boolean("deep")
        assert hp.get("units") == 8
        assert hp.Fixed("more", 1, parent_name="deep", parent_values=True) == 1
    assert hp.get("block/units") == 8
    with hp.conditional_scope("kind", "b"):
        assert hp.Boolean("inner") is None
        with hp.conditional_scope("kind", ["a", "b"]):
            assert hp.Int("innermost", 1, 2) is None
    assert hp.Int("units", 1, 3, default=2) == 2
    assert hp.Int("units", 1, 3) == 2  # as before
    assert "inner" not in hp
    with pytest.raises(KeyError, match="inner is inactive"):
        hp.get("inner")
    with pytest.raises(KeyError, match="none does not exist"):
        hp.get("none")
    with (
        pytest.raises(InvalidSettings, match="conditional_scope: depends on 'none', which was not asked for before"),
        hp.conditional_scope("none", [1]),
    ):
        pass
    with pytest.raises(InvalidSettings, match="rate: sampling is 'reverse_log', expected 'linear' or 'log'"):
        hp.Float("rate", 0.1, 1, sampling="reverse_log")
    with pytest.raises(InvalidSettings, match="n: step 1, sampling 'log' from 8: expected a ratio above 1"):
        hp.Int("n", 8, 64, step=1, sampling="log")


def test_objectives() -> None:
    assert _objective("val_accuracy", None) == ("val_accuracy", "maximize")
    assert _objective("val_auc", None) == ("val_auc", "maximize")
    assert _objective("val_mean_absolute_error", None) == ("val_mean_absolute_error", "minimize")
    assert _objective(SimpleNamespace(name="own", direction="max"), None) == ("own", "maximize")
    assert _objective("own", "minimize") == ("own", "minimize")
    with pytest.raises(InvalidSettings, match="objective 'own': whether it is to be large or small is not known"):
        _objective("own", None)
    with pytest.raises(InvalidSettings, match="objective is 3, expected what fit reports"):
        _objective(3, None)


def test_mistakes_are_said(db: str) -> None:
    with pytest.raises(InvalidSettings, match=r"expected a function build\(hp\)"):
        evenhand.tune_hypermodel(3, trials=1, db=db)
    with pytest.raises(InvalidSettings, match="its build gave None"):
        evenhand.tune_hypermodel(lambda hp: None, trials=3, db=db)
    with pytest.raises(InvalidSettings, match="value is 'mean', expected 'last' or 'best'"):
        evenhand.tune_hypermodel(build, trials=3, value="mean", db=db)  # type: ignore[arg-type]
    result = evenhand.tune_hypermodel(build, [0], [0], objective="val_f1", trials=1, db=db)
    assert (result.best, result.best_hyperparameters) == (None, {})
    assert "fit reported loss, val_loss, val_accuracy; name one of these" in (result.trials[0].why or "")


def test_a_model_of_keras(db: str) -> None:
    keras = need("keras")
    x, y = np.random.default_rng(0).normal(size=(64, 4)), np.arange(64) % 2

    def small(hp: HyperParameters) -> Any:
        model = keras.Sequential([keras.layers.Dense(hp.Int("units", 2, 8)), keras.layers.Dense(1, activation="sigmoid")])
        model.compile(keras.optimizers.Adam(hp.Float("rate", 1e-4, 1e-1, sampling="log")), "binary_crossentropy", ["accuracy"])
        return model

    result = evenhand.tune_hypermodel(
        small, x, y, objective="val_accuracy", trials=2, epochs=2, validation_split=0.25, verbose=0, db=db
    )
    assert [trial.epochs_done for trial in result.trials] == [2, 2]
