"""A file of one's own as a module: imported once, and anew when what it hangs on has changed."""

import functools
import hashlib
import importlib.util
import sys
import sysconfig
import threading
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec, PathFinder
from pathlib import Path
from types import ModuleType

from evenhand.model import siblings

MODULE_PREFIX = "evenhand_file_"  # of the names that these modules have
LIBRARY_FOLDERS = tuple(sysconfig.get_paths()[name] for name in ("stdlib", "purelib", "platlib"))  # Python's and pip's


@dataclass(frozen=True)
class _Imported:
    """A file as a module. checksum: of it and of what it imports beside it; data: when files that it names were changed."""

    module: ModuleType
    checksum: str
    data: Mapping[Path, int]


@dataclass
class _Beside(MetaPathFinder):
    """Finds what stands beside a file as if no other file of one's own had a folder on `sys.path`.

    Its order is not enough: Python takes another folder's `data.py` before this folder's `data/` without `__init__.py`.
    """

    folders: dict[str, str] = field(default_factory=dict)  # by the first part of a module's name

    def find_spec(self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None) -> ModuleSpec | None:
        if path is not None or (folder := self.folders.get(fullname)) is None:
            return None
        return PathFinder.find_spec(fullname, [place for place in sys.path if place == folder or place not in _folders], target)


_importing = threading.RLock()  # a file may ask for another one; no thread is given a module that is half imported
_known: dict[Path, _Imported] = {}
_folders: list[str] = []  # of the files; the last one that was asked for is looked in first
_beside = _Beside()


def module_of(path: Path, data_of: Callable[[ModuleType], Iterable[Path]] | None = None) -> ModuleType:
    """The file at `path` as a module; imported again when it, what it imports beside it, or its data has changed.

    What it imports is then imported again, too: else its checksum would be of the new text, and what it does of the old.

    Args:
        path: of the file, resolved.
        data_of: which data files a module hangs on; None where the one who asks does not mind.
    """
    with _importing:
        files = siblings.follow(path).files
        checksum = hashlib.sha256(repr([str(path), *sorted(files.items())]).encode()).hexdigest()
        beside = {(path.parent / place).resolve() for place in files}
        _look_first_in(path.parent, beside, {place.partition("/")[0].removesuffix(".py") for place in files})
        known = _known.get(path)
        if known is None or known.checksum != checksum or (data_of and known.data != _changes(data_of(known.module))):
            if known is not None:
                _forget(beside)
            module = _executed(path, f"{MODULE_PREFIX}{checksum[:16]}")
            known = _known[path] = _Imported(module, checksum, _changes(data_of(module) if data_of else ()))
        return known.module


def _changes(files: Iterable[Path]) -> dict[Path, int]:
    """When each file was last changed; 0 where it is gone."""
    return {file: file.stat().st_mtime_ns if file.exists() else 0 for file in files}


def _look_first_in(folder: Path, beside: set[Path], names: set[str]) -> None:
    """Have modules of these names come from this folder, as they do when its file is run, and not from another file's folder.

    beside: the files that are right already.
    """
    _beside.folders.update(dict.fromkeys(names, str(folder)))
    if _beside not in sys.meta_path:
        sys.meta_path.insert(0, _beside)
    place = min((sys.path.index(other) for other in _folders if other in sys.path), default=len(sys.path))
    if str(folder) in _folders and str(folder) in sys.path:
        sys.path.remove(str(folder))
    if str(folder) not in sys.path:
        sys.path.insert(place, str(folder))
        _folders.append(str(folder))
    others, right = [other for other in _folders if other != str(folder)], _with_folders(beside)
    for name, module in list(sys.modules.items()):  # other threads may import meanwhile
        if name.partition(".")[0] in names:
            places = _places_of(module)
            elsewhere = any(place.is_relative_to(other) for place in places for other in others)
            if elsewhere and right.isdisjoint(places):
                sys.modules.pop(name, None)


def _forget(files: set[Path]) -> None:
    """Have the modules of these files imported anew, compiled forms that Python keeps included: it tells them by the second."""
    changed = _with_folders(files)
    for name, module in list(sys.modules.items()):
        if name != "__main__" and not changed.isdisjoint(_places_of(module)):
            sys.modules.pop(name, None)
    for path in files:
        Path(importlib.util.cache_from_source(str(path))).unlink(missing_ok=True)
    importlib.invalidate_caches()


def _places_of(module: ModuleType) -> list[Path]:
    """A module's file; of a folder without `__init__.py`, the folder."""
    file = getattr(module, "__file__", None)
    places = [file] if file is not None else list(getattr(module, "__path__", ()))
    return [_resolved_once(place) if place.startswith(LIBRARY_FOLDERS) else Path(place).resolve() for place in map(str, places)]


@functools.cache
def _resolved_once(place: str) -> Path:
    """Where a library's file lies: thousands are loaded, and none of them moves."""
    return Path(place).resolve()


def _with_folders(files: set[Path]) -> set[Path]:
    """These files, and every folder that one of them lies in: a module without a file is a folder."""
    return files | {folder for file in files for folder in file.parents}


def _executed(path: Path, name: str) -> ModuleType:
    specification = importlib.util.spec_from_file_location(name, path)
    assert specification is not None
    assert specification.loader is not None
    module = importlib.util.module_from_spec(specification)
    sys.modules[name] = module
    try:
        specification.loader.exec_module(module)
    except BaseException:
        del sys.modules[name]
        raise
    return module
