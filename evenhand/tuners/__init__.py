"""Tuners: the methods that choose the next configuration. docs/methods.md describes each."""

from dataclasses import fields
from typing import Any

from evenhand.errors import InvalidSettings
from evenhand.tuners.base import Method, Suggestion
from evenhand.tuners.cmaes import CMAES
from evenhand.tuners.evolution import NSGA2, Evolution
from evenhand.tuners.fidelity import ASHA, Hyperband, PriorBand
from evenhand.tuners.gp import GP
from evenhand.tuners.pibo import PiBO
from evenhand.tuners.simple import Grid, Manual, Random, Sobol
from evenhand.tuners.tpe import TPE

__all__ = ["METHODS", "Method", "Suggestion", "method", "settings_of"]

METHODS: dict[str, type[Method]] = {
    each.name: each for each in (Grid, Random, Sobol, TPE, GP, CMAES, Evolution, NSGA2, PiBO, Hyperband, ASHA, PriorBand, Manual)
}


def method(name: str, *, maximize: bool, **settings: Any) -> Method:
    """The method called `name` with its settings; InvalidSettings where there is none, or a setting that it does not know."""
    known = settings_of(name)
    for unknown in sorted(settings.keys() - set(known)):
        expected = f"one of {', '.join(known)}" if known else "no settings"
        raise InvalidSettings(f"method {name!r}: setting {unknown!r} is unknown; expected {expected}")
    return METHODS[name](maximize=maximize, **settings)


def settings_of(name: str) -> tuple[str, ...]:
    """The names of the settings of the method called `name`; InvalidSettings where there is none."""
    if name not in METHODS:
        raise InvalidSettings(f"method {name!r}: there is none; expected one of {', '.join(METHODS)}")
    return tuple(each.name for each in fields(METHODS[name]) if each.name != "maximize")
