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


@dataclass(frozen=True)
class MethodFacts:
    """What one has to know before choosing a method, in sentences.

    Attributes:
        learns: what it learns from its trials.
        needs: what it needs, and from how many trials on it is worth while.
        costs: what a suggestion costs; `docs/methods.md` has the measurements.
        cannot: what it cannot do.
    """

    learns: str
    needs: str
    costs: str
    cannot: str


_NOTHING_LEARNT = "Nothing: it would try the same whatever came out."
_HARDLY_ANY_COST = "0.1 ms a suggestion, however many trials there are."
_RUNGS = "Which configurations were the best of those that trained for as long, so that only these go on."
_RUNG_NEEDS = "A hyperparameter that says for how many epochs a trial trains, and curves whose order shows early."
_RUNG_LIMIT = "It drops what learns slowly at first and would have been the best in the end."
METHOD_FACTS: Mapping[str, MethodFacts] = {
    "grid": MethodFacts(
        _NOTHING_LEARNT,
        "Few hyperparameters: the number of trials is the levels multiplied with each other.",
        _HARDLY_ANY_COST,
        "It tries few different values of each hyperparameter, and most trials differ in what does not matter.",
    ),
    "random": MethodFacts(
        _NOTHING_LEARNT,
        "Nothing. Of its trials everything that explains can be computed without correcting for who drew them.",
        _HARDLY_ANY_COST,
        "It does not come nearer to what it has found.",
    ),
    "sobol": MethodFacts(
        _NOTHING_LEARNT,
        "Nothing. With few trials it covers the space better than draws do.",
        _HARDLY_ANY_COST,
        "It does not come nearer to what it has found.",
    ),
    "tpe": MethodFacts(
        "Where the best tenth of the trials lies, against where all others lie.",
        "More than its 10 random draws to begin with; it takes every kind of hyperparameter, conditions too.",
        "2.2 ms a suggestion after 100 trials of 15 hyperparameters, 4.6 to 4.9 after 1,000.",
        "It knows no uncertainty: what it never tried looks like what it tried in vain only by being far from the best.",
    ),
    "gp": MethodFacts(
        "A score and its uncertainty everywhere, and goes where the expected improvement is largest.",
        "PyTorch; few trials that each take long.",
        "210 to 550 ms a suggestion after 100 trials of 15 hyperparameters, 9,750 to 13,850 after 1,000.",
        "It knows no conditions, and is too slow for many hundreds of trials.",
    ),
    "cmaes": MethodFacts(
        "In which direction the better half of a generation lies, and how far it reaches.",
        "Many trials, and hyperparameters that are mostly numbers. It begins in the middle of the space.",
        "0.5 to 0.6 ms a suggestion, however many trials there are.",
        "It moves one cloud: of several hills it climbs the one that it is near.",
    ),
    "evolution": MethodFacts(
        "Which of the newest trials are the better ones: their children differ from them a little.",
        "A hundred trials and more; it takes every kind of hyperparameter.",
        "0.2 to 0.6 ms a suggestion.",
        "It has no model, so it does not know which of the changes brought the gain.",
    ),
    "nsga2": MethodFacts(
        "Which trials no other one beats in all metrics, and crosses them.",
        "Several metrics, and a hundred trials and more.",
        "As cheap as evolution.",
        "With a single metric there are better ones.",
    ),
    "pibo": MethodFacts(
        "A score and its uncertainty everywhere, weighted with where people believe the good values are, less and less.",
        "Few trials that each take long. Without a belief it is plain Bayesian optimization.",
        "87 to 176 ms a suggestion after 100 trials of 15 hyperparameters, 710 to 2,020 after 1,000.",
        "A wrong belief costs trials until it is set aside.",
    ),
    "hyperband": MethodFacts(
        _RUNGS, _RUNG_NEEDS, "Hardly any: it draws by chance, and sorts.", _RUNG_LIMIT + " Its draws learn nothing."
    ),
    "asha": MethodFacts(
        _RUNGS + " It does not wait for the others of a rung.",
        _RUNG_NEEDS + " It keeps many trainings at once busy.",
        "Hardly any: it draws by chance, and sorts.",
        _RUNG_LIMIT + " Its draws learn nothing.",
    ),
    "priorband": MethodFacts(
        _RUNGS + " New ones are drawn where people believe the good values are, and around the best so far.",
        _RUNG_NEEDS,
        "Hardly any: it draws, and sorts.",
        _RUNG_LIMIT,
    ),
    "manual": MethodFacts(
        _NOTHING_LEARNT, "A list of configurations.", "Nothing.", "It ends with its list, and looks at no trial."
    ),
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
