"""Checkpoints: what a training kept when it completed, so that it can go on with more epochs.

They lie on the machine that trained. Where one is missing, as on another machine, the epochs before are trained again in silence:
a training resumed equals an uninterrupted one, so only time is lost.
"""

import os
import pickle
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from evenhand.model.digest import digest
from evenhand.model.space import Space
from evenhand.settings import data_dir, private_folder, private_opener

FOLDER = "checkpoints"
MOST = 4 << 30  # bytes of all of them; beyond it the oldest are deleted


def path_of(version: str, space: Space, configuration: Mapping[str, object], seed: int, epochs: int) -> Path:
    """Where the state after `epochs` epochs lies: the same for all trainings that differ in how long they go on only."""
    rest = {
        hyperparameter.name: configuration[hyperparameter.name]
        for hyperparameter in space
        if not hyperparameter.fidelity and hyperparameter.name in configuration
    }
    return data_dir() / FOLDER / f"{digest([version, rest, seed, epochs])}.pickle"


def save(path: Path, state: Any) -> None:
    """Keep a state, written whole or not at all; the oldest ones go where the folder has grown too large."""
    private_folder(path.parent)
    part = path.with_suffix(f".{os.getpid()}")
    with open(part, "wb", opener=private_opener) as file:
        pickle.dump(state, file, pickle.HIGHEST_PROTOCOL)
    part.replace(path)
    _prune(path.parent)


def load(path: Path) -> Any | None:
    """The state that was kept; None where there is none, or it cannot be read."""
    unreadable = (OSError, pickle.UnpicklingError, EOFError, AttributeError, ImportError)
    with suppress(*unreadable), path.open("rb") as file:
        return pickle.load(file)  # of our own user's folder: whoever could write there could do anything else, too
    return None


def _prune(folder: Path) -> None:
    files = sorted(((file.stat().st_mtime, file.stat().st_size, file) for file in folder.glob("*.pickle")), reverse=True)
    total = 0
    for _, size, path in files:
        total += size
        if total > MOST:
            path.unlink(missing_ok=True)
