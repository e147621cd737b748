"""What a training function reaches beside its source: what it was made with, and in a notebook what other cells hold.

A version takes all of it that can be told apart by value: text and numbers, arrays and tables, functions, classes of a notebook.
Of the rest only that it is there is known, which is said.
"""

import dis
import hashlib
import inspect
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from importlib import import_module
from types import CodeType, ModuleType
from typing import Any

import numpy as np

from evenhand.model.domain import frozen

MOST_ARRAY_BYTES = 1 << 28  # of one array or table that is read for a version
GLOBAL_READS = ("LOAD_GLOBAL", "LOAD_NAME")

SourceOf = Callable[[Callable[..., Any], list[str]], Any]


class Reached:
    """What functions reach, as JSON.

    Args:
        source_of: says what stands for a function: of a library's its name, else its source.
        in_notebook: whether a function is in no file, so that what it reads by name is not in its source.
        unclear: what cannot be told apart by value is added here, in words.
    """

    def __init__(self, source_of: SourceOf, in_notebook: Callable[[Any], bool], unclear: list[str]) -> None:
        self._source_of, self._in_notebook, self._unclear = source_of, in_notebook, unclear
        self._passed: set[int] = set()  # functions that were looked into, so that two that call each other end

    def of(self, function: Any) -> list[Any]:
        """What a partial binds, an object or a method's holds, what a wrapper and the function close over, and read."""
        return list(self._layers(function))

    def _layers(self, function: Any) -> Iterator[Any]:
        while True:
            if isinstance(function, partial):
                yield self._value([function.args, function.keywords], "what functools.partial binds")
                function = function.func
                continue
            inner = getattr(function, "__wrapped__", function)
            yield from self._read_by(function, inner)
            if inner is not function:
                function = inner
                continue
            held = getattr(function, "__self__", None) if inspect.ismethod(function) else function
            if not inspect.isroutine(held) and not isinstance(held, type) and held is not None:
                yield self._value(getattr(held, "__dict__", held), f"what the object of {type(held).__qualname__} holds")
            return

    def _read_by(self, function: Any, but: Any) -> Iterator[Any]:
        """What one function's own code reads that its source does not hold. but: what it wraps, which has its turn."""
        function = getattr(function, "__func__", function)
        if not inspect.isfunction(function) or id(function) in self._passed:
            return
        self._passed.add(id(function))
        name = function.__qualname__
        names: dict[str, tuple[str, Any]] = {}
        for variable, cell in zip(function.__code__.co_freevars, function.__closure__ or (), strict=True):
            try:
                names[variable] = (f"{variable}, which {name} was made with,", cell.cell_contents)
            except ValueError:
                continue  # not given yet
        if self._in_notebook(function):
            defaults = {**_defaults(function), **(function.__kwdefaults__ or {})}
            names |= {variable: (f"{variable}, a default of {name},", value) for variable, value in defaults.items()}
            for variable in _globals_of(function.__code__):
                if variable in function.__globals__:
                    names[variable] = (f"{variable}, which {name} reads,", function.__globals__[variable])
        for variable, (what, value) in sorted(names.items()):
            if value is but or value is function or isinstance(value, ModuleType):
                continue
            yield {variable: self._value(value, what)}

    def _value(self, value: Any, what: str) -> Any:
        """A value as JSON, or None where it is none."""
        try:
            return self._as_json(value)
        except (TypeError, ValueError):
            self._unclear.append(f"{what} is more than text and numbers")
            return None

    def _as_json(self, value: Any) -> Any:
        if isinstance(value, Mapping):
            return {str(frozen(name)): self._as_json(part) for name, part in value.items()}
        if isinstance(value, list | tuple):
            return [self._as_json(part) for part in value]
        if isinstance(value, set | frozenset):
            return sorted(map(repr, map(frozen, value)))
        if isinstance(value, type):
            return self._of_class(value)
        if inspect.isroutine(value) or isinstance(value, partial):
            return [self._source_of(value, self._unclear), *self.of(value)]
        digest = _digest_of(value)
        return frozen(value) if digest is None else digest

    def _of_class(self, kind: type) -> Any:
        """What stands for a class: of a file or a library what stands for its functions, of a notebook all that it states."""
        members = _members_of(kind)
        function = next((member for member in members.values() if inspect.isfunction(member)), None)
        if function is not None and not self._in_notebook(function):
            return self._source_of(function, self._unclear)
        name = f"{kind.__module__}.{kind.__qualname__}"
        if id(kind) in self._passed or kind.__module__ != "__main__":
            return name
        self._passed.add(id(kind))
        stated = {name: self._value(member, f"{name} of {kind.__qualname__}") for name, member in sorted(members.items())}
        return [name, [self._of_class(base) for base in kind.__bases__ if base is not object], stated]


def _defaults(function: Any) -> dict[str, Any]:
    values = function.__defaults__ or ()
    names = function.__code__.co_varnames[: function.__code__.co_argcount]
    return dict(zip(names[len(names) - len(values) :], values, strict=True))


def _globals_of(code: CodeType) -> set[str]:
    """The names that code reads from around it, in functions and comprehensions within it, too."""
    names = {step.argval for step in dis.get_instructions(code) if step.opname in GLOBAL_READS}
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            names |= _globals_of(constant)
    return names


def _digest_of(value: Any) -> str | None:
    """A digest of an array's or a table's content; None of anything else, and of what is too large to be read for this."""
    if type(value).__module__.partition(".")[0] == "pandas" and hasattr(value, "memory_usage"):
        if np.sum(value.memory_usage()) > MOST_ARRAY_BYTES:
            return None
        hashed = import_module("pandas.util").hash_pandas_object
        value = np.concatenate(
            [hashed(part).to_numpy() for part in (value, *([value.columns] if hasattr(value, "columns") else []))]
        )
    if not isinstance(value, np.ndarray) or value.ndim == 0 or value.nbytes > MOST_ARRAY_BYTES or value.dtype.hasobject:
        return None
    head = f"{value.dtype.str} {value.shape} ".encode()
    return hashlib.sha256(head + value.tobytes()).hexdigest()


def _members_of(kind: type) -> dict[str, Any]:
    """What a class states itself: its functions, and values that it gives names; nothing that Python makes for it."""
    members = {name: getattr(member, "fget", None) or getattr(member, "__func__", member) for name, member in vars(kind).items()}
    return {
        name: member
        for name, member in members.items()
        if (inspect.isfunction(member) and not member.__code__.co_filename.startswith("<string>")) or not name.startswith("__")
    }
