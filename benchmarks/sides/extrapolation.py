"""How long a peer would take for a list of configurations, of which a sample was timed. It needs none of our packages.

- The list's valid configurations are split at batch sizes 23, 64 and 182. Of each part `--sampled` are trained, at equal
  distances by batch size, for two epochs of at most `STEPS` steps and a last, smaller batch; some invalid ones are built.
- A training step costs in each part what it cost in the sample's second epoch (mean), so does a batch of the validation, and
  every trial of the list has its own numbers of epochs, steps and batches.
- The rest of a sampled trial (building, compiling, tracing, the first epoch's surplus, saving) is added once a trial (mean),
  though longer trainings save more often. An invalid trial costs what those of the sample cost (mean).
- The start (imports, data, Keras Tuner's first build) is counted once.
"""

import math
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from benchmarks.sides.sampling import every

EDGES = (23, 64, 182)  # of batch sizes from 8 to 512, at equal distances of their logarithms
STEPS, EPOCHS = 1000, 2  # of a sampled trial at most; the last epoch's steps count
RULE = "start + sum over trials of (rest + epochs x (steps x step + batches x batch)), of a sample; see extrapolation.py"
NEEDS = {"nll": ("softmax",), "binary_cross_entropy": ("softmax", "sigmoid")}  # outputs, as in the mlp task

Values = Mapping[str, Any]
Seconds = tuple[float, float]  # of CPU and on the wall


@dataclass
class Trial:
    """What was measured of one. step, batch: seconds of a training step and of a batch of the validation in the last epoch."""

    began: Seconds
    took: Seconds = (0.0, 0.0)
    steps: int = 0
    batches: int = 0
    step: Seconds = (0.0, 0.0)
    batch: Seconds = (0.0, 0.0)

    def rest(self, kind: int) -> float:
        """What is neither."""
        return self.took[kind] - EPOCHS * (self.steps * self.step[kind] + self.batches * self.batch[kind])


def is_valid(values: Values) -> bool:
    """Whether the output and the loss go together."""
    return values["output"] in NEEDS.get(values["loss"], (values["output"],))


def stratum(values: Values) -> int:
    """The part that its batch size lies in."""
    return sum(values["batch_size"] >= edge for edge in EDGES)


def sample(listed: Sequence[Values], sampled: int) -> list[Values]:
    """Those that are tried: of each part so many, and half as many invalid ones."""
    chosen = []
    for part in range(len(EDGES) + 1):
        chosen += every(
            [configuration for configuration in listed if is_valid(configuration) and stratum(configuration) == part], sampled
        )
    return [*chosen, *every([configuration for configuration in listed if not is_valid(configuration)], math.ceil(sampled / 2))]


def extrapolated(listed: Sequence[Values], tried: Sequence[Values], trials: Sequence[Trial], points: Values, kind: int) -> float:
    """The seconds that all of the list would take. points: how many there are to train on and to score on."""
    parts: dict[int, list[Trial]] = {}
    invalid = []
    for values, trial in zip(tried, trials, strict=True):
        if is_valid(values):
            parts.setdefault(stratum(values), []).append(trial)
        else:
            invalid.append(trial.took[kind])
    total = trials[0].began[kind]
    rest = statistics.fmean(run.rest(kind) for part in parts.values() for run in part)
    for values in listed:
        if not is_valid(values):
            total += statistics.fmean(invalid)
            continue
        part = parts[stratum(values)]
        steps, batches = (math.ceil(points[split] / values["batch_size"]) for split in ("train", "dev"))
        step, batch = statistics.fmean(run.step[kind] for run in part), statistics.fmean(run.batch[kind] for run in part)
        total += rest + values["epochs"] * (steps * step + batches * batch)
    return total
