"""Versions of tasks: how they are made, shortened and compared.

A version says "these are the same numbers". What is built in states it: each task has a `REVISION`, each lane too, and golden
files (tests/golden) hold them to it. A task of one's own has the syntax tree of its source instead, or a revision that it states.
"""

import hashlib
import importlib.util
import inspect
import re
import sys
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import lru_cache, partial
from pathlib import Path
from typing import Any

from evenhand.model import siblings
from evenhand.model.canonical import PARSE_ERRORS, canonical
from evenhand.model.digest import digest
from evenhand.model.siblings import Followed, Unclear
from evenhand.tasks.reached import Reached

# What a version begins with; those of the first scheme, a hash over source files, are 64 hexadecimal digits.
SCHEME_PREFIX = "v2-"
OLDER_VERSION = re.compile("[0-9a-f]{64}")
SHOWN_DIGITS = 12


class Unfollowed(UserWarning):
    """Something that a task's numbers may hang on, and that is not in its version."""


def of_facts(facts: Mapping[str, Any]) -> str:
    """A version of all that is in `facts`, which are plain JSON values."""
    return f"{SCHEME_PREFIX}{digest(facts)}"


def of_built_in(name: str, revision: int, settings: Mapping[str, Any], space: str, data: Any, *, engine: Any = None) -> str:
    """The version of a built-in task.

    settings: without those that only say where things lie on this machine. space: its digest. data: checksums. engine: name and
    revision of the lane, where it has one.
    """
    return of_facts(
        {"name": name, "revision": revision, "engine": engine, "settings": dict(settings), "space": space, "data": data}
    )


def short(version: str) -> str:
    """A version as people read it: enough of it to tell it from others."""
    start = SCHEME_PREFIX if version.startswith(SCHEME_PREFIX) else ""
    return version[: len(start) + SHOWN_DIGITS]


def is_older(version: str) -> bool:
    """Whether a version was made by the first scheme, which hashed source files."""
    return OLDER_VERSION.fullmatch(version) is not None


def difference(stored: str, here: str) -> str | None:
    """Why numbers of the stored version are not to be expected of a task that is here; None where the versions are the same."""
    if stored == here:
        return None
    both = f"{short(stored)} then, {short(here)} now"
    if is_older(stored):
        return (
            "its version was made by an older scheme, a hash over source files, and cannot be compared with today's "
            f"({both}): whether the numbers would be the same is not known"
        )
    return f"its source or revision, its settings or its data are others now (version {both})"


# Tasks of one's own


def file_of(function: Callable[..., Any]) -> Path | None:
    """The file that a function was written in; None where there is none, as in a notebook."""
    code = getattr(_innermost(function), "__code__", None)
    path = Path(code.co_filename) if code is not None else None
    return path.resolve() if path is not None and path.is_file() else None


def module_of(function: Callable[..., Any]) -> str:
    """The module that a function was written in, by its name."""
    return str(getattr(_innermost(function), "__module__", None) or type(function).__module__)


def of_own(
    train: Callable[..., Any], others: Sequence[Callable[..., Any]], declared: Mapping[str, Any], revision: int | None
) -> str:
    """The version of a task of one's own.

    others: functions beside `train` that its numbers hang on. declared: what was given to the decorator, as JSON. revision: what
    the task states, in place of its source. Warns of what the source imports and cannot be followed.
    """
    file, name = file_of(train), _innermost(train).__qualname__
    if revision is not None:
        return of_facts({"name": f"{file.stem if file else 'notebook'}:{name}", "revision": revision, "declared": declared})
    unclear: list[str] = []
    sources = [_own_source(train, unclear)]
    beside = [function for function in others if file is None or file_of(function) != file]  # its own file is hashed whole
    sources += [source for function in beside if (source := _source_of(function, unclear)) not in sources]
    bound = Reached(_source_of, lambda function: file_of(function) is None, unclear).of(train)
    for text in dict.fromkeys(unclear):
        warnings.warn(
            f"{text}. The version of the task {name} does not see changes there: name such files by files=[...], or state "
            "a revision, @task(revision=1), and raise it when the numbers change",
            Unfollowed,
            stacklevel=3,
        )
    facts = {"function": name, "source": sources, "declared": declared}
    return of_facts({**facts, "bound": bound} if bound else facts)


def _innermost(function: Any) -> Any:
    """The function that was written, below what was wrapped around it."""
    while True:
        inner = function.func if isinstance(function, partial) else inspect.unwrap(function)
        if inner is function:
            return function if inspect.isroutine(function) or isinstance(function, type) else type(function).__call__
        function = inner


def _source_of(function: Callable[..., Any], unclear: list[str]) -> Any:
    """What stands for a function in a version, as JSON: of a library's its name, else its source."""
    inner, file = _innermost(function), file_of(function)
    of_library = file is not None and (
        siblings.is_library(file) or str(inner.__module__).partition(".")[0] == siblings.OUR_PACKAGE
    )
    if of_library or not hasattr(inner, "__code__"):
        return f"{getattr(inner, '__module__', '')}.{inner.__qualname__}"
    return _own_source(inner, unclear)


def _own_source(function: Callable[..., Any], unclear: list[str]) -> Any:
    """A function's file with what that imports beside it, or where it is in no file its own source."""
    file = file_of(function)
    return _of_text(_innermost(function), unclear) if file is None else of_file(file, unclear)


def of_file(path: Path, unclear: list[str]) -> dict[str, str]:
    """A hash of the file and of each that it imports beside it, by place; the file itself is called "".

    What cannot be followed is added to `unclear`, in words.
    """
    followed = siblings.follow(path)
    unclear += map(str, (*followed.unclear, *_hidden(path, followed), *_elsewhere(followed)))
    first = next(iter(followed.files))
    return {"" if place == first else place: _hashed(content) for place, content in followed.files.items()}


@lru_cache(maxsize=256)
def _hashed(content: bytes) -> str:
    """A hash of the text's canonical form, or where it is no Python that can be read, of itself."""
    try:
        return hashlib.sha256(canonical(content).encode()).hexdigest()
    except PARSE_ERRORS:
        return hashlib.sha256(content).hexdigest()


def _hidden(path: Path, followed: Followed) -> Iterator[Unclear]:
    """Modules beside the file that Python took from another place, since they are called as a library is."""
    if (path.parent / "__init__.py").exists():
        return  # what lies beside a module of a package has the package's name
    for place in followed.files:
        name = place.partition("/")[0].removesuffix(".py")
        origin = _origin(name) if name in sys.modules else None
        if name != path.stem and origin is not None and siblings.is_library(origin):
            yield Unclear(place, 1, f"lies beside the task, but Python took {origin} for {name}")


def _elsewhere(followed: Followed) -> Iterator[Unclear]:
    """What is imported from folders of one's own that are not beside the file, and so is followed by nothing."""
    known = {siblings.OUR_PACKAGE, *sys.stdlib_module_names}
    for name, (file, line) in followed.elsewhere.items():
        top = name.partition(".")[0]
        if top in known:
            continue
        known.add(top)
        origin = _origin(top)
        if origin is not None and not siblings.is_library(origin):
            yield Unclear(file, line, f"imports {top} from {origin}, which does not lie beside it")


def _origin(top: str) -> Path | None:
    """Where a module lies, without importing it; None where there is none, or it is in no file."""
    try:
        module = sys.modules.get(top)
        spec = module.__spec__ if module is not None else importlib.util.find_spec(top)
    except (ImportError, ValueError, AttributeError):
        return None
    if spec is None:
        return None
    places = [spec.origin, *(spec.submodule_search_locations or ())]
    return next((Path(place).resolve() for place in places if place and Path(place).exists()), None)


def of_source(function: Callable[..., Any]) -> str:
    """A hash of one function's own source, and of nothing beside it."""
    return _of_text(_innermost(function), [])


def _of_text(function: Any, unclear: list[str]) -> str:
    """A hash of a function's own source, decorators included; of its compiled code where there is no source."""
    try:
        return _hashed(inspect.getsource(function).encode(errors="surrogatepass"))
    except (OSError, TypeError):
        if not hasattr(function, "__code__"):
            unclear.append(f"{function.__qualname__}: it is compiled, and only its name is taken")
            return str(function.__qualname__)
        unclear.append(
            f"{function.__qualname__}: its source cannot be had, so that its compiled code is taken, which each version of "
            "Python makes otherwise"
        )
        return hashlib.sha256(_of_code(function.__code__).encode()).hexdigest()


def _of_code(code: Any) -> str:
    constants = [_of_code(constant) if hasattr(constant, "co_code") else _of_constant(constant) for constant in code.co_consts]
    return ascii([code.co_code, constants, code.co_names, code.co_varnames, code.co_freevars])


def _of_constant(value: Any) -> str:
    return ascii(sorted(map(ascii, value))) if isinstance(value, frozenset) else ascii(value)  # a set's order differs by process
