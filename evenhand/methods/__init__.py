"""Methods: what chooses the next configuration. docs/methods.md describes each.

`METHODS` is where Evenhand's own are registered; other people's are entry points of the group `evenhand.methods`. `method` makes
one of a name and settings; `chosen` says which method is meant by whatever `tune` was given, and what a session records of it.
"""

import inspect
import math
import traceback
from collections.abc import Callable, Mapping, Sequence
from dataclasses import fields, is_dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from evenhand.errors import EvenhandError, InvalidSettings, MethodFailed, PluginBroken
from evenhand.methods.base import BaseMethod, Method, Suggestion
from evenhand.model.aims import OBJECTIVE_KEY, REQUIRE_KEY
from evenhand.model.choice_rule import CHOOSE_KEY
from evenhand.model.registry import FRAMES, Registry, at_place, is_place
from evenhand.model.space import Space

__all__ = [
    "METHODS",
    "BaseMethod",
    "Chosen",
    "Method",
    "Suggestion",
    "called",
    "check",
    "chosen",
    "defaults_of",
    "load_method",
    "method",
    "settings_of",
    "uses_priors",
]

METHODS = Registry(
    "method",
    "evenhand.methods",
    {
        "grid": "evenhand.methods.simple:Grid",
        "random": "evenhand.methods.simple:Random",
        "sobol": "evenhand.methods.simple:Sobol",
        "tpe": "evenhand.methods.tpe:TPE",
        "gp": "evenhand.methods.gp:GP",
        "cmaes": "evenhand.methods.cmaes:CMAES",
        "evolution": "evenhand.methods.evolution:Evolution",
        "nsga2": "evenhand.methods.evolution:NSGA2",
        "pibo": "evenhand.methods.pibo:PiBO",
        "hyperband": "evenhand.methods.fidelity:Hyperband",
        "asha": "evenhand.methods.fidelity:ASHA",
        "priorband": "evenhand.methods.fidelity:PriorBand",
        "manual": "evenhand.methods.simple:Manual",
    },
)
OBJECT_KEY = "object"  # the key under which a session says which class played it, where no name would find it
# What else a session says of its method.
RESERVED_KEYS = frozenset({"name", "seed", "epochs_per_trial", "stopping", OBJECTIVE_KEY, REQUIRE_KEY, CHOOSE_KEY, OBJECT_KEY})
SEPARATORS = frozenset(":=,[]")  # of the command line's NAME:key=value,... so not part of a name


class Chosen(NamedTuple):
    """described: what a session records, as `lab.sessions.open` takes it. given: the method itself, where no name finds it."""

    described: dict[str, Any]
    given: Method | None = None


def method(name: str, *, maximize: bool, **settings: Any) -> Method:
    """The method called `name` with its settings.

    Args:
        name: of a registered one, or FILE.py:NAME or MODULE:NAME.
        maximize: whether larger values are better.
        settings: the method's own.

    Raises:
        InvalidSettings: there is no such method, it does not know a setting, or it does not keep the protocol.
        PluginBroken: it is somebody's plug-in or file, and cannot be used.
    """
    factory = _factory(name)
    made = _made(factory, name, maximize, settings)
    if name not in METHODS:
        _keeps_protocol(made)
    elif METHODS.entry(name).by:
        try:
            _keeps_protocol(made)
        except InvalidSettings as error:
            raise METHODS.broken(name, str(error)) from None
        if made.name != name:
            raise METHODS.broken(name, f"it calls itself {made.name!r}; the entry point and the method need one name")
    return made


def load_method(
    given: str | Method | Callable[..., Method], *, maximize: bool, seed: int = 0, settings: Mapping[str, Any] | None = None
) -> Method:
    """The method that `evenhand.tune` would play.

    Args:
        given: a name (a registered one's, FILE.py:NAME or MODULE:NAME), a class or function that makes one, or an object.
        maximize: whether larger values are better.
        seed: what a class that takes a `seed` gets.
        settings: of a named method or a class; an object has its own.

    Returns:
        What proposes configurations; of an object, that object.

    Raises:
        InvalidSettings: it does not keep the protocol, its name is taken, or it does not suit the settings or the direction.
        PluginBroken: it is somebody's plug-in or file, and cannot be used.
    """
    described, own = chosen(given, maximize=maximize, seed=seed, settings=settings)
    if own is not None:
        return own
    name = described.pop("name")
    return method(name, maximize=maximize, **({"seed": seed} if "seed" in settings_of(name) else {}), **described)


def settings_of(name: str) -> tuple[str, ...]:
    """The names of the settings of the method called `name`. Raises as `method` does."""
    return tuple(_parameters(_factory(name)))


def defaults_of(name: str) -> dict[str, Any]:
    """The settings of the method called `name` that have a default, with it. Raises as `method` does."""
    known = _parameters(_factory(name))
    return {key: parameter.default for key, parameter in known.items() if parameter.default is not parameter.empty}


def uses_priors(name: str) -> bool:
    """Whether what people believe changes what the method called `name` proposes; False where it cannot be found here."""
    try:
        return bool(getattr(_factory(name), "uses_priors", False))
    except EvenhandError:
        return False


def check(method: Method, space: Space) -> None:
    """Nothing, or InvalidSettings where the method says that it cannot tune this space; MethodFailed where it raises else."""
    refuse = getattr(method, "check", None)
    if refuse is None:
        return
    try:
        refuse(space)
    except EvenhandError:
        raise
    except Exception as error:
        raise MethodFailed(
            f"method {method.name!r}: its check(space) raised an exception, expected evenhand.InvalidSettings where it cannot "
            f"tune a space\n{traceback.format_exc(limit=FRAMES)}"
        ) from error


def chosen(
    given: str | Method | Callable[..., Method],
    *,
    maximize: bool,
    seed: int = 0,
    further: Sequence[tuple[str, str]] = (),
    beside: Sequence[tuple[str, str]] = (),
    settings: Mapping[str, Any] | None = None,
) -> Chosen:
    """Which method is meant, and what a session records of it.

    Args:
        given: a name, an object that keeps the protocol of `Method`, or a class (or function) that makes one.
        maximize: whether larger values are better.
        seed: what a class that takes a `seed` gets.
        further: the task's further metrics with their directions, or the declared objectives after the first, for a class that
            takes them.
        beside: the declared objectives after the first, for a class that takes them.
        settings: of a named method or a class; an object has its own.

    Raises:
        InvalidSettings: it does not keep the protocol, which the text says part by part, or does not suit the settings or
            direction, or has the name of a registered method that it is not; or a setting has a name that means something else.
    """
    own = dict(settings or {})
    if reserved := sorted(RESERVED_KEYS & set(own)):
        raise InvalidSettings(
            f"method {given if isinstance(given, str) else called(given)!r}: {', '.join(reserved)} cannot be a setting, since a "
            "session records something else by that name; leave it out, or call the method's own setting otherwise"
        )
    if isinstance(given, str):
        place = given.rpartition(":")[0]
        absolute = given not in METHODS and is_place(given) and place.endswith(".py")
        return Chosen({"name": str(Path(place).expanduser().resolve()) + given[len(place) :] if absolute else given, **own})
    if _is_factory(given):
        name = getattr(given, "name", None)
        if isinstance(name, str) and name in METHODS and METHODS.get(name) is given:
            return Chosen({"name": name, **own})
        takes = _parameters(given)
        injected = {"seed": seed, "further": list(further), "beside": list(beside)}
        made = _made(given, called(given), maximize, {key: value for key, value in injected.items() if key in takes} | own)
    elif own:
        raise InvalidSettings(
            f"method {called(given)} is an object, whose settings are its own; {', '.join(own)} cannot be given beside it"
        )
    else:
        made = given  # type: ignore[assignment] # checked in the next line
    _keeps_protocol(made)
    if getattr(made, "maximize", maximize) != maximize:
        ways = ("larger", "smaller") if maximize else ("smaller", "larger")
        raise InvalidSettings(
            f"method {made.name!r} was made with maximize={not maximize}, and for this task {ways[0]} values are better, not "
            f"{ways[1]}; make it with maximize={maximize}, or give its class"
        )
    recorded = _recorded(made)
    if made.name in METHODS:
        if METHODS.get(made.name) is not type(made):
            raise InvalidSettings(
                f"method {called(made)}: the name {made.name!r} is taken by a registered method; choose another"
            )
        named = _by_name(made, recorded, maximize)
        if named is not None:
            return Chosen({"name": made.name, **named})
    plain = {f"{key}_" if key in RESERVED_KEYS else key: _plain(value) for key, value in recorded.items()}
    return Chosen({"name": made.name, OBJECT_KEY: _place(made), **plain}, made)


def _factory(name: str) -> Any:
    if name in METHODS:
        return METHODS.get(name)
    if is_place(name):
        return at_place("method", name)
    raise InvalidSettings(f"method {name!r}: there is none; expected one of {METHODS.known}, FILE.py:NAME or MODULE:NAME")


def _is_factory(given: object) -> bool:
    """Whether it makes methods: a class, or a function."""
    return isinstance(given, type) or (callable(given) and not hasattr(given, "suggest"))


def _parameters(factory: Any) -> dict[str, inspect.Parameter]:
    """What can be set, by name; of an object nothing."""
    kinds = (inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.KEYWORD_ONLY)
    return {name: parameter for name, parameter in _signature(factory).items() if parameter.kind in kinds and name != "maximize"}


def _signature(factory: Any) -> Mapping[str, inspect.Parameter]:
    if not _is_factory(factory):
        return {}
    try:
        return inspect.signature(factory).parameters
    except ValueError:  # of what is not written in Python nothing is known
        return {}


def _made(factory: Any, name: str, maximize: bool, settings: Mapping[str, Any]) -> Method:
    known = _parameters(factory)
    signature = _signature(factory)
    takes_any = any(parameter.kind is inspect.Parameter.VAR_KEYWORD for parameter in signature.values())
    for unknown in sorted(settings.keys() - set(known)) if not takes_any else ():
        expected = f"one of {', '.join(known)}" if known else "no settings"
        raise InvalidSettings(f"method {name!r}: setting {unknown!r} is unknown; expected {expected}")
    for missing in (key for key, parameter in known.items() if parameter.default is parameter.empty and key not in settings):
        raise InvalidSettings(f"method {name!r}: setting {missing!r} is missing, and has no default")
    if not _is_factory(factory):
        made: Method = factory
        return made
    direction = {"maximize": maximize} if "maximize" in signature or takes_any else {}
    try:
        made = factory(**direction, **settings)
    except (TypeError, ValueError) as error:
        raise InvalidSettings(f"method {name!r} cannot be made of these settings: {error}") from error
    except EvenhandError:
        raise
    except Exception as error:
        why = f"it cannot be made\n{traceback.format_exc(limit=FRAMES)}"
        raise METHODS.broken(name, why) if name in METHODS else PluginBroken(f"method {name!r}: {why}") from error
    return made


def _keeps_protocol(made: object) -> None:
    """Nothing, or InvalidSettings that names each part of the protocol which is missing or wrong."""
    wrong = []
    name = getattr(made, "name", None)
    if name is None:
        wrong.append('it has no `name`, expected a text such as name = "mine"')
    elif not isinstance(name, str) or not name.strip() or SEPARATORS & set(name):
        wrong.append(f"its `name` is {name!r}, expected a text without {' '.join(sorted(SEPARATORS))}")
    suggest = getattr(made, "suggest", None)
    if suggest is None:
        wrong.append("it has no `suggest`, expected suggest(self, space, trials, n, rng)")
    elif not _takes(suggest, 4):
        wrong.append("its `suggest` cannot be called as suggest(space, trials, n, rng)")
    refuse = getattr(made, "check", None)
    if refuse is not None and not _takes(refuse, 1):
        wrong.append("its `check` cannot be called as check(space)")
    if not isinstance(getattr(made, "maximize", True), bool | np.bool_):
        wrong.append(f"its `maximize` is {getattr(made, 'maximize')!r}, expected True or False")  # noqa: B009 - not in the protocol
    if wrong:
        raise InvalidSettings(
            f"method {called(made)} does not keep the protocol of methods: {'; '.join(wrong)} (docs/methods.md, Write a method)"
        )


def _takes(function: object, count: int) -> bool:
    """Whether it can be called with so many arguments in order."""
    if not callable(function):
        return False
    try:
        inspect.signature(function).bind(*[None] * count)
    except TypeError:
        return False
    except ValueError:  # of what is not written in Python nothing is known
        return True
    return True


def _recorded(made: Method) -> dict[str, Any]:
    """Its settings: the fields of a dataclass, else its public attributes."""
    if is_dataclass(made):
        settings = {field.name: getattr(made, field.name) for field in fields(made) if field.init}
    else:
        settings = {name: value for name, value in getattr(made, "__dict__", {}).items() if not name.startswith("_")}
    return {name: value for name, value in settings.items() if name not in ("name", "maximize")}


def _by_name(made: Method, recorded: Mapping[str, Any], maximize: bool) -> dict[str, Any] | None:
    """The settings with which the registered method equals this object; None where its name alone would give another one."""
    defaults = {name: parameter.default for name, parameter in _parameters(type(made)).items()}
    changed = {name: value for name, value in recorded.items() if _plain(value) != _plain(defaults.get(name))}
    if not set(changed) <= set(defaults) or {"seed", "further"} & set(defaults) or str(changed) != str(_plain(changed)):
        return None
    return changed if made == _made(type(made), made.name, maximize, changed) else None


def _plain(value: Any) -> Any:
    """A setting as JSON has it; what it cannot hold as the text that Python shows of it, without addresses in memory."""
    if isinstance(value, np.generic):
        value = value.item()
    if value is None or isinstance(value, bool | int | str) or (isinstance(value, float) and math.isfinite(value)):
        return value
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    if isinstance(value, Mapping):
        return {str(key): _plain(item) for key, item in value.items()}
    return repr(value).partition(" at 0x")[0]


def _place(made: object) -> str:
    return f"{type(made).__module__}:{type(made).__qualname__}"


def called(given: object) -> str:
    """What an object, a class or a function is called in words."""
    named = given if isinstance(given, type) or inspect.isroutine(given) else type(given)
    return str(getattr(named, "__qualname__", named))
