"""What comes in siblings is found by its name: Evenhand's own from the table of its room, other people's by entry points.

Both have the same form, `name = "module:attribute"`, and both are imported when they are first used. Evenhand's own are not entry
points, since these need an installed distribution: a checkout that is only on Python's path has none, or those of another one.
"""

import importlib
import sys
import traceback
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from importlib import metadata
from pathlib import Path
from types import ModuleType
from typing import Any

from evenhand.errors import EvenhandError, PluginBroken
from evenhand.model import extras, importing

FRAMES = -3  # of a traceback, the last ones: where a plug-in fails


@dataclass(frozen=True)
class Registration:
    """One thing that is registered. place: `module:attribute`. by: the distribution and its version, "" for Evenhand's own."""

    name: str
    place: str
    by: str = ""


@dataclass(frozen=True)
class Registry:
    """The things of one kind. kind: in words. group: of the entry points. own: Evenhand's, by name."""

    kind: str
    group: str
    own: Mapping[str, str]

    @property
    def entries(self) -> tuple[Registration, ...]:
        """All that are registered: Evenhand's own in their order, then other people's by name. A name may be there twice."""
        own = (Registration(name, place) for name, place in self.own.items())
        return (*own, *_outside(self.group, tuple(sys.path)))

    def __iter__(self) -> Iterator[str]:
        """The names, each once."""
        return iter(dict.fromkeys(entry.name for entry in self.entries))

    def __len__(self) -> int:
        return len({entry.name for entry in self.entries})

    def __contains__(self, name: object) -> bool:
        return name in self.own or any(entry.name == name for entry in self.entries)

    @property
    def known(self) -> str:
        """The names, for an error's text."""
        return ", ".join(self)

    def entry(self, name: str) -> Registration:
        """The one of this name, which must be there; PluginBroken where the name is claimed twice."""
        claims = [entry for entry in self.entries if entry.name == name]
        if len(claims) > 1:
            owners = [f"the distribution {entry.by} ({entry.place})" if entry.by else "Evenhand itself" for entry in claims]
            others = ", ".join(entry.by.split()[0] for entry in claims if entry.by)
            raise PluginBroken(
                f"{self.kind} {name!r} is registered {len(claims)} times, by {' and by '.join(owners)}; names are unique, so "
                f"rename or uninstall one ({others})"
            )
        return claims[0]

    def get(self, name: str) -> Any:
        """The thing itself, imported.

        Args:
            name: must be registered.

        Raises:
            PluginBroken: it is another distribution's and cannot be imported, or its name is claimed twice.
        """
        return self._imported(self.entry(name))

    def own_one(self, name: str) -> Any:
        """Evenhand's own of this name, imported, whoever else claims it."""
        return self._imported(Registration(name, self.own[name]))

    def _imported(self, entry: Registration) -> Any:
        module, _, attribute = entry.place.partition(":")
        try:
            target: Any = importlib.import_module(module)
            for part in attribute.split("."):
                target = getattr(target, part)
            return target
        except (Exception, SystemExit) as error:
            if not entry.by:
                raise
            why = f"{entry.place} cannot be imported\n{traceback.format_exc(limit=FRAMES)}"
            raise self.broken(entry.name, why) from error

    def broken(self, name: str, why: str) -> PluginBroken:
        """What to raise where a registered thing is not what it should be."""
        by = self.entry(name).by
        return PluginBroken(f"{self.kind} {name!r}{f' of the distribution {by}' if by else ''}: {why}")


@lru_cache(maxsize=64)
def _outside(group: str, path: tuple[str, ...]) -> tuple[Registration, ...]:
    """Other people's entries of a group, by name; read again where Python's path differs."""
    entries = []
    for point in metadata.entry_points(group=group):
        place = point.value.partition("[")[0].strip()
        by = f"{point.dist.name} {point.dist.version}" if point.dist is not None else "unknown"
        entries.append(Registration(point.name, place, by))
    return tuple(sorted(entries, key=lambda entry: (entry.name, entry.by)))


def is_place(name: str) -> bool:
    """Whether a name says where something lies, as `FILE.py:NAME` or `MODULE:NAME`, and is not a registered one's."""
    place, _, attribute = name.rpartition(":")
    return bool(place) and attribute.isidentifier()


def at_place(kind: str, name: str) -> Any:
    """What lies at `FILE.py:NAME` or `MODULE:NAME`.

    Raises:
        PluginBroken: it is not there, or cannot be imported; the text says why.
    """
    place, _, attribute = name.rpartition(":")
    module = module_at(kind, name, PluginBroken)
    if not hasattr(module, attribute):
        raise PluginBroken(f"{kind} {name!r}: there is no {attribute} in {place}")
    return getattr(module, attribute)


def module_at(
    kind: str, name: str, error: type[EvenhandError], data_of: Callable[[ModuleType], Iterable[Path]] | None = None
) -> ModuleType:
    """The module that `FILE.py:NAME` or `MODULE:NAME` speaks of.

    Args:
        kind: what is asked for, in words.
        name: how it was named.
        error: what is raised, saying why, where it is not there or cannot be imported.
        data_of: as in `importing.module_of`.
    """
    place = name.rpartition(":")[0]
    path = Path(place).expanduser()
    try:
        if path.suffix == ".py":
            if not path.is_file():
                raise error(f"{kind} {name!r}: there is no file {path.absolute()}; give the path of a Python file")
            return importing.module_of(path.resolve(), data_of)
        return importlib.import_module(place)
    except EvenhandError:
        raise
    except (Exception, SystemExit) as cause:
        if _is_itself_missing(place, cause):
            raise error(
                f"{kind} {name!r}: there is no module {place} here; give the path of a Python file, or a module that Python finds"
            ) from None
        lacking = extras.missing_in(cause)
        why = "cannot be imported" if lacking is None else extras.missing(lacking, "cannot be imported: it")
        raise error(f"{kind} {name!r}: {place} {why}\n{traceback.format_exc(limit=FRAMES)}") from cause


def _is_itself_missing(place: str, cause: BaseException) -> bool:
    """Whether no such module was found, and not another one that it imports."""
    if not all(part.isidentifier() for part in place.split(".")):
        return Path(place).suffix != ".py"
    return isinstance(cause, ModuleNotFoundError) and cause.name is not None and f"{place}.".startswith(f"{cause.name}.")
