"""Calibrated presets of the black-magic task: settings with which random configurations spread about as the paper's 320 did.

All 15 hyperparameters, their options and their conditions are those of the wide space, which the task has without a preset.
docs/tasks.md lists beside the paper's what each preset changes; benchmarks/records holds its record of random draws.
"""

from collections.abc import Mapping
from typing import Any

from evenhand.tasks.builtin import images

# By name: settings of the task. A preset is named after the data that it was calibrated on.
PRESETS: Mapping[str, Mapping[str, Any]] = {
    "digits": {
        "data": "digits",
        "size": 17,
        "last_relu": False,
        "last_std": 0.1,
        "norm": True,
        "augment": True,
        "max_epochs": 32,
        "ranges": {
            "epochs": {"low": 3},
            "batch_size": {"low": 24, "high": 128},
            "learning_rate": {"low": 0.0003, "high": 0.003},
            "weight_decay": {"high": 0.001},
            "momentum": {"high": 0.95},
            "epsilon": {"low": 0.000001},
            "lr_decay": {"high": 0.001},
            "initial_accumulator": {"high": 0.01},
        },
    },
}


def settings_of(raw: Mapping[str, Any]) -> dict[str, Any]:
    """Settings as the task reads them: where they name a preset, what it says, and over that what they say themselves.

    So a task's settings hold what a preset came to, and a preset that is changed later changes no task that was made of it.
    """
    given = dict(raw)
    name = given.pop("preset", None)
    return given if name is None else {**PRESETS[name], **given}


def best_at_hand() -> str:
    """The name of the preset to begin with: the first whose data is ready on this machine. Digits always are."""
    ready = {source.name for source in images.sources() if source.state == "ready"}
    return next(name for name, settings in PRESETS.items() if settings["data"] in ready)
