"""Records as JSON and back: one codec for the server, its clients, and an agent and its workers. Nothing is ever unpickled.

Reading checks every type against the record's own annotations, since what arrives was written by another program. msgspec does
it. By hand is only what it leaves out: spaces and configurations, which have a JSON of their own, and the words of a refusal,
which msgspec puts without the value, and without the key where it lies in a mapping.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import is_dataclass, replace
from enum import EnumType
from types import UnionType
from typing import Any, Literal, TypeVar, Union, get_args, get_origin, get_type_hints

import msgspec

from evenhand.errors import InvalidSettings
from evenhand.model.configuration import Configuration
from evenhand.model.domain import frozen
from evenhand.model.session import Session, View
from evenhand.model.space import Space
from evenhand.model.trial import Measurement
from evenhand.model.trial_history import Trials

T = TypeVar("T")
ROW_FIELDS = tuple(get_type_hints(Measurement))  # what a measurement's short list holds, in order
# Why msgspec refuses a value, and the path to it.
REFUSAL_PATTERN = re.compile(r"(?s)^(.*?)(?: - at (?:`key` in )?`(\$[^`]*)`)?$")
STEP_PATTERN = re.compile(r"\.(\w+)|\[(\d+|\.\.\.)\]")  # a step of the path of that path
# msgspec's names of types, as people read them.
TYPE_WORDS = {"object": "an object", "array": "a list", "float": "a finite number"}
LONGEST_LETTERS = 80  # letters of a value that is refused


def to_json(value: object) -> Any:
    """A record, or a value in one, as JSON values; what is a tuple in it stays one."""
    return msgspec.to_builtins(value, str_keys=True, enc_hook=_plain)


def from_json(kind: type[T], data: object) -> T:
    """The `kind` that `to_json` wrote as `data`; InvalidSettings where it is none, naming the field."""
    return _read(kind, data, kind.__name__)


def view_to_json(view: View, settled: int, last: int, task: str) -> dict[str, Any]:
    """A view as JSON, for somebody who has read some of it before, so that a long session's view is as short as a new one's.

    settled: how many of the first trials they know to have ended; last: the id of the last of these. task: the version they have.
    """
    session = view.session
    first = settled if 0 < settled <= len(session.trials) else 0
    if first and (session.trials[first - 1].id != last or session.trials[first - 1].is_open):  # a backup was restored since
        first = 0
    data: dict[str, Any] = to_json(replace(view, session=replace(session, trials=session.trials[first:])))
    data["settled"] = first
    if task == session.task.version:
        del data["session"]["task"]
    return data


def view_from_json(data: object, known: Session | None) -> View:
    """The view that `view_to_json` wrote for somebody who knew this of the session; InvalidSettings where it is none."""
    content = _mapping(data, "view")
    session = _mapping(content.get("session"), "view.session")
    settled = _read(int, content.get("settled"), "view.settled")
    if known is not None and "task" not in session:
        session = {**session, "task": known.task}
    view = _read(View, {**content, "session": session}, "view")
    before = known.trials if settled and known is not None and isinstance(known.trials, Trials) else Trials(())
    return replace(view, session=replace(view.session, trials=before.then(view.session.trials)))


def row_of(measurement: Measurement) -> list[Any]:
    """A measurement as a short JSON list: agents send thousands."""
    point = measurement
    return [point.index, point.step, point.epoch, point.loss, point.value, point.seconds, dict(point.extra)]


def measurement_of(row: object) -> Measurement:
    """The measurement that `row_of` wrote; InvalidSettings where it is none."""
    if not isinstance(row, list) or len(row) != len(ROW_FIELDS):
        raise _wrong("measurement", row, f"a list of {', '.join(ROW_FIELDS)}")
    return _read(Measurement, dict(zip(ROW_FIELDS, row, strict=True)), "measurement")


def _mapping(data: object, where: str) -> Mapping[str, Any]:
    if not isinstance(data, Mapping):
        raise _wrong(where, data, "an object")
    return data


def _read(kind: type[T], data: object, where: str) -> T:
    try:
        return msgspec.convert(data, kind, dec_hook=_made)
    except msgspec.ValidationError as error:
        raise _refusal(kind, data, where, str(error)) from None


def _plain(value: object) -> Any:
    """Of a value that msgspec does not know."""
    if isinstance(value, Space):
        return value.to_json()
    if isinstance(value, Mapping):
        return dict(value)
    if isinstance(value, Sequence):
        return tuple(value)
    raise TypeError(f"{type(value).__name__} has no JSON; expected a record, or a value that a record holds")


def _made(kind: type, data: object) -> Any:
    """A value of a type that msgspec does not know; ValueError where it is none, to which msgspec adds where it lies."""
    if not isinstance(data, Mapping):
        raise ValueError(_got(data, "an object"))
    if kind is Space:
        return Space.from_json(data)
    values = {}
    for name, value in data.items():
        try:
            values[name] = frozen(value)
        except (TypeError, ValueError):
            raise ValueError(f"{name}: {_got(value, 'text, a finite number, true, false, null, or a list of these')}") from None
    return Configuration(values)


# The words of a refusal


def _refusal(kind: Any, data: Any, where: str, said: str) -> InvalidSettings:
    """What msgspec said of a value, with its place in full, and with the value itself."""
    why, path = REFUSAL_PATTERN.findall(said)[0]
    for name, place in STEP_PATTERN.findall(path):
        kind = _inner(kind, name)
        key = name or (int(place) if place != "..." else next(key for key in data if not _fits(kind, data[key])))
        where += f"[{key}]" if place.isdecimal() else f".{key}"
        data = data[key]
    if missing := re.match("Object missing required field `(.*)`", why):
        return _wrong(f"{where}.{missing[1]}", None, "a value")
    if options := _options(kind):
        return _wrong(where, data, f"one of {', '.join(options)}")
    if not (types := re.match("Expected `(.*?)`", why)):
        return InvalidSettings(f"{where}: {why}")  # by `_made`, in full
    names = types[1].split(" | ")
    return _wrong(where, data, " or ".join(TYPE_WORDS.get(name, name) for name in names if name != "int" or "float" not in names))


def _inner(kind: Any, name: str) -> Any:
    """The type of a record's field, or else of what a list or a mapping holds."""
    kinds = [kind] if get_origin(kind) not in (Union, UnionType) else get_args(kind)
    if name:
        return get_type_hints(next(part for part in kinds if is_dataclass(part)), include_extras=True)[name]
    return next(args[-1] if args[-1] is not ... else args[0] for part in kinds if (args := get_args(part)))


def _fits(kind: Any, data: object) -> bool:
    try:
        msgspec.convert(data, kind, dec_hook=_made)
    except msgspec.ValidationError:
        return False
    return True


def _options(kind: Any) -> list[str]:
    """What a value of an enumeration may be; nothing for other types."""
    if isinstance(kind, EnumType):
        members: Mapping[str, Any] = kind.__members__
        return [str(member.value) for member in members.values()]
    if get_origin(kind) is Literal:
        return list(map(str, get_args(kind)))
    return [option for part in get_args(kind) for option in _options(part)] if get_origin(kind) in (Union, UnionType) else []


def _wrong(where: str, data: object, expected: str) -> InvalidSettings:
    return InvalidSettings(f"{where}: {_got(data, expected)}")


def _got(data: object, expected: str) -> str:
    return f"got {str(data)[:LONGEST_LETTERS]!r}, expected {expected}"
