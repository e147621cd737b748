"""Images a second of the black-magic task's training, beside a bare loop of forward, backward and step on one resident batch.

    python benchmarks/images_per_second.py [--size 64] [--batch 64] [--rounds 9]

Both run in this process on one thread, in turn, the order changing each round, so that whatever else the machine does meets
both. The bare loop has the same network (with PyTorch's own dropout), optimizer, loss, precision and memory format, but one
normalised batch that never changes, and reads no loss. The training is `run_trial` as agents run it: another batch each step,
gathered, mirrored and normalised from uint8, its loss read and reported.
"""

import argparse
import math
import platform
import statistics
import time
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from torch import nn
from torch.nn import functional

from evenhand import tasks
from evenhand.model.task import TaskSpec
from evenhand.model.trial import Measurement
from evenhand.tasks import Splits, Task
from evenhand.tasks.builtin import black_magic, squeezenet

GOAL_SHARE = 0.85  # of the bare loop's images a second
STEPS = 30  # timed in each turn, after one that is not


@dataclass(frozen=True)
class Setting:
    """What is measured: the task, and the values of its configuration."""

    task: Task
    raw: dict[str, float | int | str]
    size: int
    batch: int
    precision: str


def main() -> None:
    """Measure both precisions and print a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--size", type=int, default=64, help="pixels")
    parser.add_argument("--batch", type=int, default=64, help="images in a step")
    parser.add_argument("--rounds", type=int, default=9, help="turns of each, at least 6 for an interval")
    chosen = parser.parse_args()
    torch.set_num_threads(1)
    print(f"{machine()}; torch {torch.__version__}, numpy {np.__version__}, Python {platform.python_version()}; one thread")
    print(f"SqueezeNet 1.1, {chosen.size} px, batch {chosen.batch}, SGD with momentum; {chosen.rounds} rounds of {STEPS} steps")
    for precision in ("fp32", "bf16"):
        setting = prepared(chosen.size, chosen.batch, precision)
        bare, ours = in_turn(setting, chosen.rounds)
        ratios = [ours_ / bare_ for ours_, bare_ in zip(ours, bare, strict=True)]
        low, high, level = interval(ratios)
        middle = statistics.median(ratios)
        verdict = "met" if middle >= GOAL_SHARE else "MISSED"
        print(
            f"{precision}: bare loop {statistics.median(bare):.0f}, training {statistics.median(ours):.0f} images/s (medians); "
            f"ratio {middle:.3f}, {level:.0%} interval {low:.3f} to {high:.3f}; goal {GOAL_SHARE}: {verdict}"
        )


def prepared(size: int, batch: int, precision: str) -> Setting:
    """The task on as many of the digits, repeated, as one turn needs; mirroring is on, as it is for photos."""
    spec = TaskSpec("black-magic", {"data": "digits", "size": size, "precision": precision, "augment": True})
    task = tasks.load(spec)
    assert task.data is not None
    splits = task.data()
    (pixels, labels), checked = splits.load("train"), splits.load("validation")
    rows = np.arange((STEPS + 1) * batch) % len(labels)
    data = Splits((pixels[rows], labels[rows]), (checked[0][:10], checked[1][:10]))
    raw: dict[str, float | int | str] = {
        "epochs": 1,
        "batch_size": batch,
        "loss": "cross_entropy",
        "optimizer": "sgd",
        "learning_rate": 0.01,
        "momentum": 0.9,
    }
    return Setting(replace(task, data=lambda: data), raw, size, batch, precision)


def in_turn(setting: Setting, rounds: int) -> tuple[list[float], list[float]]:
    """Images a second of the bare loop and of the training, one of each a round; a first round of each is dropped."""
    bare: list[float] = []
    ours: list[float] = []
    for index in range(rounds + 1):
        turns = ((bare, bare_loop), (ours, training))
        for speeds, measure in turns if index % 2 else reversed(turns):
            speeds.append(measure(setting))
    return bare[1:], ours[1:]


def bare_loop(setting: Setting) -> float:
    """Images a second of the least that a training step can be."""
    network = squeezenet.build(10, last_relu=True, seed=0)
    network.dropout = nn.Dropout(0.5)  # type: ignore[assignment]
    optimizer = black_magic.optimizer_of(setting.task.space.configuration(setting.raw), list(network.parameters()))
    reduced = setting.precision == "bf16"
    images = torch.randn(setting.batch, 3, setting.size, setting.size, dtype=torch.bfloat16 if reduced else torch.float32)
    images = images.contiguous(memory_format=torch.channels_last)
    labels = torch.arange(setting.batch) % 10
    started = 0.0
    for step in range(STEPS + 1):
        if step == 1:
            started = time.perf_counter()
        optimizer.zero_grad(set_to_none=True)
        with torch.autocast("cpu", torch.bfloat16, enabled=reduced):
            logits = network(images)
        functional.cross_entropy(logits.float(), labels).backward()
        optimizer.step()
    return STEPS * setting.batch / (time.perf_counter() - started)


def training(setting: Setting) -> float:
    """Images a second of a trial, from its first batch's report to its last's."""
    measurements: list[Measurement] = []
    outcome, why = tasks.run_trial(setting.task, setting.raw, seed=0, evaluation=False, report=measurements.append)
    assert outcome == "completed", why
    batches = [measurement.seconds for measurement in measurements if measurement.epoch is None]
    return (len(batches) - 1) * setting.batch / (batches[-1] - batches[0])


def interval(values: list[float]) -> tuple[float, float, float]:
    """An interval for the median from the values' order, and its coverage: the narrowest of at least 95 %, else the widest."""
    ordered, count = sorted(values), len(values)
    coverage = [1 - 2 * sum(math.comb(count, i) for i in range(cut + 1)) / 2**count for cut in range((count + 1) // 2)]
    cut = max((cut for cut, level in enumerate(coverage) if level >= 0.95), default=0)
    return ordered[cut], ordered[-1 - cut], coverage[cut]


def machine() -> str:
    """The processor's name, and how busy the machine was when this began."""
    facts = Path("/proc/cpuinfo")
    lines = facts.read_text().splitlines() if facts.exists() else []
    name = next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), platform.machine())
    load = Path("/proc/loadavg")
    busy = f", load {load.read_text().split()[0]}" if load.exists() else ""
    return f"{name}, {len([line for line in lines if line.startswith('processor')])} cores{busy}"


if __name__ == "__main__":
    main()
