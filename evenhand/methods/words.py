"""One sentence about each method, and what each setting of theirs is, for those who choose one."""

import inspect
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from evenhand import methods

METHOD_WORDS: Mapping[str, str] = {
    "grid": "Tries every combination of a few levels of each hyperparameter, in order.",
    "random": "Draws each value by chance on its own scale: the baseline that every other one has to beat.",
    "sobol": "Spreads its trials evenly over the space, without learning from them.",
    "tpe": "Models which values good trials had and draws near them; the usual first choice from some twenty trials on.",
    "gp": "Models the score over the space by a Gaussian process: strong with few, expensive trials; needs PyTorch.",
    "cmaes": "Moves a cloud of draws towards better values: for many trials of hyperparameters that are mostly numbers.",
    "evolution": "Changes one of the better recent trials a little, again and again; for a hundred trials and more.",
    "nsga2": "Crosses good trials with each other; made for several metrics at once.",
    "pibo": "A Gaussian process that begins where people believe the good values are.",
    "hyperband": "Trains many configurations for a few epochs and goes on with the best, in brackets.",
    "asha": "Trains many configurations for a few epochs and goes on with the best, as soon as it can.",
    "priorband": "Hyperband that also draws where people believe the good values are, and around the best so far.",
    "manual": "Tries a list of configurations that somebody gives.",
}
SETTING_WORDS: Mapping[str, str] = {
    "startup": "random draws before it uses what it has seen",
    "candidates": "draws of which its model's best is taken",
    "points": "levels of each number",
    "population": "newest trials among which parents are drawn",
    "tournament": "trials drawn as parents, of which the best one counts",
    "beta": "for how long what people believe counts",
    "tolerance": "how much less, in standard deviations, a belief may promise than the best trial before it is set aside",
    "eta": "one in so many goes on, for so many times the epochs",
    "smallest": "epochs of the first training",
}


@dataclass(frozen=True)
class Setting:
    """One that a form can ask for. default: its value where nothing is said. words: what it is; may be empty."""

    name: str
    default: int | float | str
    words: str


def words_of(name: str) -> str:
    """What the method called `name` does, in a sentence; of a plug-in the first line of its documentation."""
    if name in METHOD_WORDS:
        return METHOD_WORDS[name]
    line = (inspect.getdoc(methods.METHODS.get(name)) or "").partition("\n")[0].strip()
    return line or f"A method of the plug-in {methods.METHODS.entry(name).by or name}."


def form_settings(name: str) -> tuple[Setting, ...]:
    """The settings of a method that a form can ask for: numbers and texts with a default. The seed is asked for of each."""
    defaults: Mapping[str, Any] = methods.defaults_of(name)
    return tuple(
        Setting(key, default, SETTING_WORDS.get(key, ""))
        for key, default in defaults.items()
        if key != "seed" and isinstance(default, int | float | str) and not isinstance(default, bool)
    )
