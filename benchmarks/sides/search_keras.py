"""The paper's search on data set #10 by Keras Tuner, timed on a sample of its configurations and extrapolated to all.

A fixed list goes through an oracle of Keras Tuner's, one trial after the other, in the way of its guide: a hypermodel that
builds, compiles and fits, data in memory, default settings. What is measured and how it is
extrapolated is said in `extrapolation`.
"""

import argparse
import json
import math
import os
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

BEGUN_AT = time.perf_counter()  # before what takes long to import
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ.setdefault("CUDA_VISIBLE_DEVICES", "-1")

import keras  # noqa: E402  # it reads what is set above
import keras_tuner  # noqa: E402
import numpy as np  # noqa: E402

from benchmarks.sides.extrapolation import EPOCHS, RULE, STEPS, Seconds, Trial, Values, extrapolated, is_valid, sample  # noqa: E402
from benchmarks.sides.sampling import every  # noqa: E402

CLASSES = 2
KINDS = ("cpu", "wall")
OPTIMIZERS = {
    "adam": keras.optimizers.Adam,
    "nadam": keras.optimizers.Nadam,
    "rmsprop": keras.optimizers.RMSprop,
    "sgd": keras.optimizers.SGD,
    "adagrad": keras.optimizers.Adagrad,
    "adadelta": keras.optimizers.Adadelta,
}


def now() -> Seconds:
    """The seconds of CPU of all threads, and the time."""
    return time.process_time(), time.perf_counter()


def less(end: Seconds, begin: Seconds) -> Seconds:
    """The seconds between."""
    return end[0] - begin[0], end[1] - begin[1]


@dataclass
class Clock(keras.callbacks.Callback):  # type: ignore[misc]  # Keras is in no environment that types are checked in
    """Notes what each epoch's steps and validation took; the last ones stay."""

    trial: Trial
    marks: list[Seconds] = field(default_factory=list)

    def __post_init__(self) -> None:
        super().__init__()

    def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
        self.marks = [now()]

    def on_test_begin(self, logs: Any = None) -> None:
        self.marks.append(now())

    def on_test_end(self, logs: Any = None) -> None:
        begun, trained, ended = (*self.marks, now())
        train, test = less(trained, begun), less(ended, trained)
        self.trial.step = train[0] / self.trial.steps, train[1] / self.trial.steps
        self.trial.batch = test[0] / self.trial.batches, test[1] / self.trial.batches

    def __deepcopy__(self, memo: Any) -> "Clock":
        return self  # Keras Tuner trains with copies of callbacks


class Perceptron(keras_tuner.HyperModel):  # type: ignore[misc]
    """The network of the list's configuration whose number is to be tried."""

    def __init__(self, listed: Sequence[Values], trials: list[Trial]) -> None:
        super().__init__()
        self._listed, self._trials = listed, trials

    def _values(self, hp: Any) -> Values:
        number: int = hp.Int("number", 0, len(self._listed) - 1)
        return self._listed[number]

    def build(self, hp: Any) -> Any:
        """The compiled network; ValueError where output and loss do not go together."""
        values = self._values(hp)
        if not is_valid(values):
            raise ValueError(f"output {values['output']} with the loss {values['loss']}")
        layers = [keras.Input((2,))]
        numbers = range(1, values["layers"] + 1)
        layers += [keras.layers.Dense(values[f"units_{number}"], activation=values[f"activation_{number}"]) for number in numbers]
        layers.append(keras.layers.Dense(CLASSES, activation=values["output"]))
        linear = values["output"] == "linear"
        losses = {
            "cross_entropy": keras.losses.CategoricalCrossentropy(from_logits=linear),
            "nll": keras.losses.CategoricalCrossentropy(),
            "binary_cross_entropy": keras.losses.BinaryCrossentropy(),
            "mse": keras.losses.MeanSquaredError(),
        }
        model = keras.Sequential(layers)
        optimizer = OPTIMIZERS[values["optimizer"]](learning_rate=values["learning_rate"])
        model.compile(optimizer=optimizer, loss=losses[values["loss"]], metrics=["accuracy"])
        return model

    def fit(self, hp: Any, model: Any, x: Any, y: Any, validation_data: Any, callbacks: Any, **settings: Any) -> Any:
        """Two epochs of a part of the points: as many steps as there are, at most `STEPS`, and the smaller last one."""
        batch, trial = self._values(hp)["batch_size"], self._trials[-1]
        parts = [_part(array, batch) for array in (x, y)], [_part(array, batch) for array in validation_data]
        trial.steps, trial.batches = (math.ceil(len(part[0]) / batch) for part in parts)
        clocks = [*callbacks, Clock(trial)]
        return model.fit(*parts[0], batch_size=batch, epochs=EPOCHS, validation_data=parts[1], callbacks=clocks, **settings)


def _part(points: Any, batch: int) -> Any:
    return points[: min(len(points), batch * STEPS + len(points) % batch)]


class Listed(keras_tuner.oracles.RandomSearchOracle):  # type: ignore[misc]
    """One number after the other."""

    def __init__(self, trials: list[Trial], **settings: Any) -> None:
        super().__init__(**settings)
        self._begun = trials

    def populate_space(self, trial_id: str) -> dict[str, Any]:
        """The next number of the list."""
        self._begun.append(Trial(now()))
        return {"status": "RUNNING", "values": {"number": len(self._begun) - 1}}


def search(tried: Sequence[Values], arrays: Mapping[str, Any]) -> list[Trial]:
    """Let Keras Tuner try them; what was measured of each."""
    trials: list[Trial] = []
    with tempfile.TemporaryDirectory() as folder:
        oracle = Listed(trials, objective="val_accuracy", max_trials=len(tried), max_consecutive_failed_trials=len(tried) + 1)
        tuner = keras_tuner.Tuner(oracle, Perceptron(tried, trials), directory=folder, project_name="search")
        classes = {split: keras.utils.to_categorical(arrays[f"{split}_y"], CLASSES) for split in ("train", "dev")}
        tuner.search(arrays["train_x"], classes["train"], validation_data=(arrays["dev_x"], classes["dev"]), verbose=0)
    ends = [*(trial.began for trial in trials[1:]), now()]
    for trial, end in zip(trials, ends, strict=True):
        trial.took = less(end, trial.began)
    return trials


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--given", required=True)
    parser.add_argument("--configurations", type=int, required=True, help="of how many the cost is asked for")
    parser.add_argument("--sampled", type=int, default=2, help="how many of each part are tried")
    parser.add_argument("--scale", help="not needed: the points that are given are a share already")
    options = parser.parse_args()
    listed = every(json.loads(Path(options.given, "configurations.json").read_text()), options.configurations)
    tried = sample(listed, options.sampled)
    with np.load(Path(options.given, "points.npz")) as file:
        arrays = {name: file[name] for name in file.files}
    trials = search(tried, arrays)
    trials[0].began = trials[0].began[0], trials[0].began[1] - BEGUN_AT
    points = {split: len(arrays[f"{split}_y"]) for split in ("train", "dev")}
    counted = {name: extrapolated(listed, tried, trials, points, kind) for kind, name in enumerate(KINDS)}
    record = {
        "configurations": len(listed),
        "tried": len(trials),
        "invalid of them": sum(not is_valid(configuration) for configuration in tried),
    }
    steps = [f"{trial.step[0]:.5f}" for trial in trials if trial.steps]
    print(json.dumps({**record, "CPU seconds of a step": steps, "counted": counted, "rule": RULE}))


if __name__ == "__main__":
    main()
