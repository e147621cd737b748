"""Writes `keras/nets` beside this file with Keras Tuner itself; README.md says with which version, and what was left away."""

from pathlib import Path
from typing import Any

import keras
import keras_tuner
import numpy as np


def build(hp: Any) -> Any:
    """A network whose units are there only for one kind."""
    model = keras.Sequential([keras.layers.Input((4,))])
    if hp.Choice("kind", ["mlp", "linear"]) == "mlp":
        with hp.conditional_scope("kind", ["mlp"]):
            model.add(keras.layers.Dense(hp.Int("units", 4, 16, step=4), activation="relu"))
    model.add(keras.layers.Dense(2, activation="softmax"))
    hp.Boolean("flag")
    hp.Fixed("batch", 16)
    optimizer = keras.optimizers.SGD(hp.Float("rate", 1e-4, 1e-1, sampling="log"))
    model.compile(optimizer=optimizer, loss="sparse_categorical_crossentropy", metrics=["accuracy"])
    return model


if __name__ == "__main__":
    rng = np.random.default_rng(0)
    x = rng.normal(size=(64, 4)).astype("float32")
    y = (x.sum(axis=1) > 0).astype("int32")
    tuner = keras_tuner.RandomSearch(
        build, objective="val_accuracy", max_trials=5, seed=1, directory=str(Path(__file__).parent / "keras"), project_name="nets"
    )
    tuner.search(x[:48], y[:48], validation_data=(x[48:], y[48:]), epochs=2, verbose=0)
