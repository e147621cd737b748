"""Functions of one's own: what each parameter gets, decided from the signature before the first trial.

The first parameter gets the Configuration, one that is named `run` the Run, wherever it stands; those with a default keep it. A
second one without a default gets the Run whatever its name, as in `def train(c, r)`. What cannot be called so is refused.
"""

import functools
import inspect
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from inspect import BoundArguments, Parameter, Signature
from typing import Any

from evenhand.errors import InvalidSettings
from evenhand.model.configuration import Configuration
from evenhand.model.space import Space
from evenhand.tasks.run import Run

RUN_NAME = "run"  # of the parameter that gets the Run
GATHERING = (Parameter.VAR_POSITIONAL, Parameter.VAR_KEYWORD)
EXPECTED = "expected (configuration) that returns a number, or (configuration, run) that reports it"


@dataclass(frozen=True)
class TrainingFunction:
    """A function of one's own as a task calls it.

    Attributes:
        function: what was given: a function, a partial, a method, or an object with `__call__`.
        signature: its own.
        configuration_name: of the parameter that gets the Configuration.
        run_name: of the one that gets the Run; None where none does.
    """

    function: Callable[..., Any]
    signature: Signature
    configuration_name: str
    run_name: str | None

    def __call__(self, configuration: Configuration, run: Run) -> None:
        """Train. A number that it returns is the value, where it reported none."""
        bound = self.bound(configuration, run)
        returned = self.function(*bound.args, **bound.kwargs)
        if run.value is None and run.ending is None and (returned is not None or self.run_name is None):
            run.report_returned(returned)

    def bound(self, configuration: object, run: object) -> BoundArguments:
        """What it is called with."""
        given = OrderedDict({self.configuration_name: configuration})
        if self.run_name is not None:
            given[self.run_name] = run
        return BoundArguments(self.signature, given)


def training_function(function: Any, space: Space) -> TrainingFunction:
    """A function of one's own as a task calls it.

    Args:
        function: anything that can be called with a configuration.
        space: what is tuned.

    Returns:
        What is called with a configuration and a run.

    Raises:
        InvalidSettings: it cannot be called with these; the text says why, and what to do.
    """
    name = name_of(function)
    if not callable(function):
        raise InvalidSettings(f"got a {type(function).__name__}, expected a function")
    if isinstance(function, type):
        raise InvalidSettings(f"{name} is a class, expected a function, or an object of the class that can be called")
    if _only_begins(function) or _only_begins(type(function).__call__):
        raise InvalidSettings(f"the function {name} is asynchronous or yields, so that calling it trains nothing; {EXPECTED}")
    try:
        signature = inspect.signature(function)
    except (ValueError, TypeError):
        raise InvalidSettings(
            f"the function {name} does not say what it takes; wrap it: lambda configuration: {name}(configuration)"
        ) from None
    made = TrainingFunction(function, signature, *_roles(name, signature, space))
    try:
        bound = made.bound("a configuration", "a run")
        signature.bind(*bound.args, **bound.kwargs)
    except TypeError as error:
        raise _refused(name, signature, space, str(error)) from None
    return made


def name_of(function: Any) -> str:
    """What a function is called: a partial as its function, an object as its class."""
    while isinstance(function, functools.partial):
        function = function.func
    return str(getattr(function, "__qualname__", type(function).__qualname__))


def _only_begins(function: Any) -> bool:
    """Whether a call returns at once, and what it is to do is still to be done."""
    kinds = (inspect.iscoroutinefunction, inspect.isgeneratorfunction, inspect.isasyncgenfunction)
    return any(is_kind(function) for is_kind in kinds)


def _roles(name: str, signature: Signature, space: Space) -> tuple[str, str | None]:
    """The names of the parameters that get the Configuration and the Run."""
    named = [parameter for parameter in signature.parameters.values() if parameter.kind not in GATHERING]
    others = [parameter for parameter in named if parameter.name != RUN_NAME]
    places = [parameter for parameter in others if parameter.kind is not Parameter.KEYWORD_ONLY]
    needed = [parameter for parameter in others if parameter.default is Parameter.empty]
    if not places and len(needed) != 1:
        raise _refused(name, signature, space, "none of its parameters is for the configuration")
    first = places[0] if places else needed[0]  # after data that a partial binds by name, what follows it has to be named, too
    if len(others) < len(named):
        return first.name, RUN_NAME
    second = places[1] if len(places) > 1 and places[1] in needed else None
    if second is not None and second.name in space:
        raise _refused(name, signature, space, f"{second.name} is a hyperparameter, and these come as one configuration")
    return first.name, None if second is None else second.name


def _refused(name: str, signature: Signature, space: Space, why: str) -> InvalidSettings:
    kinds = {parameter.kind for parameter in signature.parameters.values()}
    by_value = kinds == {Parameter.VAR_KEYWORD} or any(parameter in space for parameter in signature.parameters)
    if by_value:
        what_to_do = f"to have the values by their names, give lambda configuration: {name}(**configuration)"
    elif Parameter.VAR_POSITIONAL in kinds:
        what_to_do = "name the parameters, or have its decorator use functools.wraps"
    else:
        what_to_do = "bind what else it needs with functools.partial, or give it a default"
    return InvalidSettings(f"the function {name}{signature} cannot be called: {why}; {EXPECTED}; {what_to_do}")
