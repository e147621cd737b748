"""Records as JSON and back: one codec for the server, its clients, and an agent and its workers. Nothing is ever unpickled.

Reading checks every type against the record's own annotations, since what arrives was written by another program.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import MISSING, fields, is_dataclass, replace
from enum import Enum
from functools import cache
from types import MappingProxyType, NoneType, UnionType
from typing import Any, Literal, TypeVar, Union, cast, get_args, get_origin, get_type_hints

from evenhand.errors import InvalidSettings
from evenhand.records import Measurement, Session, TaskRecord, View
from evenhand.space import Configuration, Space
from evenhand.trials import Trials

T = TypeVar("T")
SCALARS = (bool, int, float, str)


def to_json(value: object) -> Any:
    """A record, or a value in one, as JSON values."""
    if value is None or isinstance(value, Enum):
        return value.value if isinstance(value, Enum) else None
    if isinstance(value, SCALARS):
        return value
    if isinstance(value, Space):
        return value.to_json()
    if is_dataclass(value) and not isinstance(value, type):
        return {each.name: to_json(getattr(value, each.name)) for each in fields(value)}
    if isinstance(value, Mapping):
        return {str(key): to_json(each) for key, each in value.items()}
    if isinstance(value, Sequence):
        return [to_json(each) for each in value]
    raise TypeError(f"{type(value).__name__} has no JSON; expected a record, or a value that a record holds")


def from_json(kind: type[T], data: object) -> T:
    """The `kind` that `to_json` wrote as `data`; InvalidSettings where it is none, naming the field."""
    return cast(T, _read(kind, data, kind.__name__))


def view_to_json(view: View, settled: int, last: int, task: str) -> dict[str, Any]:
    """A view as JSON, for somebody who has read some of it before, so that a long session's view is as short as a new one's.

    settled: how many of the first trials they know to have ended; last: the id of the last of these. task: the version they have.
    """
    session = view.session
    first = settled if 0 < settled <= len(session.trials) else 0
    if first and (session.trials[first - 1].id != last or session.trials[first - 1].is_open):  # a backup was restored since
        first = 0
    found: dict[str, Any] = to_json(replace(view, session=replace(session, trials=session.trials[first:])))
    found["settled"] = first
    if task == session.task.version:
        del found["session"]["task"]
    return found


def view_from_json(data: object, known: Session | None) -> View:
    """The view that `view_to_json` wrote for somebody who knew this of the session; InvalidSettings where it is none."""
    found = _mapping(data, "view")
    plain, settled = _mapping(found.get("session"), "view.session"), _read(int, found.get("settled"), "view.settled")
    task = from_json(TaskRecord, plain.get("task")) if known is None or "task" in plain else known.task
    session = _record(Session, plain, "view.session", {"task": task})
    before = known.trials if settled and known is not None and isinstance(known.trials, Trials) else Trials(())
    return cast(View, _record(View, found, "view", {"session": replace(session, trials=before.then(session.trials))}))


def row_of(measurement: Measurement) -> list[Any]:
    """A measurement as a short JSON list: agents send thousands."""
    each = measurement
    return [each.index, each.step, each.epoch, each.loss, each.value, each.seconds, dict(each.extra)]


def measurement_of(row: object) -> Measurement:
    """The measurement that `row_of` wrote; InvalidSettings where it is none."""
    kinds = _hints(Measurement)
    if not isinstance(row, list) or len(row) != len(kinds):
        raise _wrong("measurement", row, f"a list of {', '.join(kinds)}")
    values = {name: _read(kind, each, f"measurement's {name}") for (name, kind), each in zip(kinds.items(), row, strict=True)}
    return Measurement(**values)


def _read(kind: Any, data: object, where: str) -> Any:
    if kind is Any:
        return data
    if kind in SCALARS or kind is NoneType:
        return _scalar(kind, data, where)
    if kind is Space:
        return Space.from_json(_mapping(data, where))
    if kind is Configuration:
        values = _mapping(data, where)
        return Configuration({name: _read(int | float | str, each, f"{where}.{name}") for name, each in values.items()})
    if get_origin(kind) is not None or isinstance(kind, UnionType):
        return _generic(kind, data, where)
    if issubclass(kind, Enum):
        if data not in [each.value for each in kind]:
            raise _wrong(where, data, f"one of {', '.join(str(each.value) for each in kind)}")
        return kind(data)
    return _record(kind, _mapping(data, where), where)


def _scalar(kind: Any, data: object, where: str) -> Any:
    number = isinstance(data, int | float) and not isinstance(data, bool)
    fits = number if kind is float else isinstance(data, kind) and (kind is bool or not isinstance(data, bool))
    if not fits or (isinstance(data, float) and not math.isfinite(data)):
        raise _wrong(where, data, "null" if kind is NoneType else f"a finite {kind.__name__}" if kind is float else kind.__name__)
    return data


def _generic(kind: Any, data: object, where: str) -> Any:
    origin, arguments = get_origin(kind), get_args(kind)
    if origin in (Union, UnionType):
        return _union(arguments, data, where)
    if origin is Literal:
        if data not in arguments:
            raise _wrong(where, data, f"one of {', '.join(map(str, arguments))}")
        return data
    if origin in (tuple, Sequence):  # of any length: records have no other ones
        if not isinstance(data, list):
            raise _wrong(where, data, "a list")
        return tuple(_read(arguments[0], each, f"{where}[{i}]") for i, each in enumerate(data))
    return {key: _read(arguments[1], each, f"{where}.{key}") for key, each in _mapping(data, where).items()}


def _union(kinds: Sequence[Any], data: object, where: str) -> Any:
    if data is None and NoneType in kinds:
        return None
    rest = [kind for kind in kinds if kind is not NoneType]
    fitting = next((kind for kind in rest if type(data) is kind), rest[-1])
    return _read(fitting, data, where)


def _record(kind: Any, data: Mapping[str, Any], where: str, known: Mapping[str, Any] = MappingProxyType({})) -> Any:
    """A record. known: fields that need not be read."""
    values = dict(known)
    for each in fields(kind):
        if each.name in values:
            continue
        if each.name in data:
            values[each.name] = _read(_hints(kind)[each.name], data[each.name], f"{where}.{each.name}")
        elif each.default is MISSING and each.default_factory is MISSING:
            raise _wrong(f"{where}.{each.name}", None, "a value")
    return kind(**values)


@cache
def _hints(kind: type) -> dict[str, Any]:
    return get_type_hints(kind)


def _mapping(data: object, where: str) -> Mapping[str, Any]:
    if not isinstance(data, Mapping):
        raise _wrong(where, data, "an object")
    return data


def _wrong(where: str, data: object, expected: str) -> InvalidSettings:
    return InvalidSettings(f"{where}: got {str(data)[:80]!r}, expected {expected}")
