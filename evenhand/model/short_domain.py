"""Short forms of domains: lists, ranges, SciPy's frozen distributions and Optuna's; a space is then written in one line."""

from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import numpy as np

from evenhand.errors import InvalidSpace, repr_of
from evenhand.model.domain import Choice, Domain, Float, Integer

FORMS = (
    "Float(low, high), Integer(low, high), Choice(options), a list of options, a range, SciPy's uniform, loguniform or randint, "
    "or a distribution of Optuna"
)


def domain_of(name: str, given: object) -> Domain:
    """The domain that is meant. Options that are numbers in order are an ordered choice.

    Args:
        name: of the hyperparameter, for an error.
        given: a domain, or one of its short forms; see the module.

    Raises:
        InvalidSpace: it is none of these.
    """
    if isinstance(given, Float | Integer | Choice):
        return given
    if isinstance(given, range):
        return _of_range(name, given)
    if isinstance(given, np.ndarray) and given.ndim == 1:
        given = given.tolist()
    if isinstance(given, list | tuple):
        return _of_options(name, given)
    if type(given).__module__.startswith("optuna."):
        return _of_optuna(name, given)
    if hasattr(given, "dist") and hasattr(given, "support"):
        return _of_scipy(name, given)
    raise InvalidSpace(f"hyperparameter {name!r}: got {repr_of(given)} as its domain, expected {FORMS}")


def _of_options(name: str, given: Sequence[Any]) -> Domain:
    try:
        return Choice(tuple(given), ordered=_are_in_order(given))
    except InvalidSpace as error:
        raise InvalidSpace(f"hyperparameter {name!r}: {error}") from None


def _of_range(name: str, given: range) -> Domain:
    if not given:
        raise InvalidSpace(f"hyperparameter {name!r}: got {given!r}, which is empty; expected a range with at least one number")
    first, last = min(given[0], given[-1]), max(given[0], given[-1])
    return Integer(first, last, step=abs(given.step) if len(given) > 1 else 1)


def _are_in_order(options: Sequence[Any]) -> bool:
    """Whether these are more than two different numbers that rise or fall."""
    if len(options) < 3 or any(isinstance(option, bool) or not isinstance(option, int | float | np.number) for option in options):
        return False
    pairs = list(pairwise(options))
    return all(one < other for one, other in pairs) or all(one > other for one, other in pairs)


def _of_scipy(name: str, given: Any) -> Domain:
    low, high = (float(bound) for bound in given.support())
    match given.dist.name:
        case "uniform":
            return Float(low, high)
        case "loguniform" | "reciprocal":
            return Float(low, high, log=True)
        case "randint":
            return Integer(int(low), int(high))
        case other:
            expected = "uniform, loguniform or randint"
            raise InvalidSpace(f"hyperparameter {name!r}: got SciPy's distribution {other!r}, expected {expected}")


def _of_optuna(name: str, given: Any) -> Domain:
    match type(given).__name__:
        case "FloatDistribution":
            return Float(given.low, given.high, given.log, step=given.step)
        case "IntDistribution":
            return Integer(given.low, given.high, given.log, given.step)
        case "CategoricalDistribution":
            return Choice(tuple(given.choices))
        case other:
            expected = "FloatDistribution, IntDistribution or CategoricalDistribution"
            raise InvalidSpace(f"hyperparameter {name!r}: got Optuna's {other}, expected {expected}")
