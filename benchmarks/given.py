"""What both sides of a case are given: the points of data set #10, and 500 configurations of the mlp task's space, as files.

So that a peer's environment needs none of our packages. Ours generates the points itself, and pays for it; the peer reads them.
"""

import json
from pathlib import Path

import numpy as np

from evenhand.model.configuration import Configuration
from evenhand.tasks.builtin import mlp, points

CONFIGURATION_COUNT = 500  # the paper's Table 2
SEED = 42
SET_NUMBER = "10"
POINTS_FILE, CONFIGURATIONS_FILE = "points.npz", "configurations.json"


def made(folder: Path, scale: float) -> Path:
    """The folder with both files. scale: the share of the points."""
    data = points.locate(SET_NUMBER, scale)
    (train_x, train_y), (dev_x, dev_y) = data.part("train"), data.part("dev")
    x = {"train_x": train_x.astype(np.float32), "dev_x": dev_x.astype(np.float32)}
    np.savez(folder / POINTS_FILE, allow_pickle=False, **x, train_y=train_y, dev_y=dev_y)
    (folder / CONFIGURATIONS_FILE).write_text(json.dumps([dict(configuration) for configuration in drawn()]))
    return folder


def drawn() -> list[Configuration]:
    """Uniform draws on each hyperparameter's own scale, by batch size; invalid ones are among them, as in any search."""
    rng = np.random.default_rng(SEED)
    space = mlp.space(mlp.MlpSettings())
    return sorted((space.sample(rng) for _ in range(CONFIGURATION_COUNT)), key=lambda configuration: configuration["batch_size"])
