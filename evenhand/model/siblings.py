"""Which modules beside a file it imports, by any form of import, and theirs in turn; told from the text, without running it.

Beside a file means: in its folder, and for a module of a package also in that package. Libraries are not followed: their versions
say what they are. Like `canonical` it imports nothing but the standard library, so that a test can run it with any Python.
"""

import ast
import os
import sysconfig
from collections.abc import Iterable, Mapping, Set
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path

from evenhand.model.canonical import PARSE_ERRORS, parsed

OUR_PACKAGE = "evenhand"  # never followed: what is built in states its revision
LIBRARY_FOLDERS = ("site-packages", "dist-packages")  # folders that installed packages lie in
STANDARD_FOLDERS = tuple(Path(sysconfig.get_paths()[name]).resolve() for name in ("stdlib", "platstdlib"))
COMPILED_SUFFIXES = (".so", ".pyd", ".pyc")
LOADERS_BY_PATH = ("spec_from_file_location", "SourceFileLoader", "load_source", "run_path", "run_module")


@dataclass(frozen=True)
class Unclear:
    """Something that cannot be followed: the file (a path from the first file's folder), the line, and what it is."""

    file: str
    line: int
    what: str

    def __str__(self) -> str:
        return f"{self.file}, line {self.line}: {self.what}"


@dataclass(frozen=True)
class Followed:
    """A file and what it imports beside it.

    files: content by its path from the first file's folder, the first file first. elsewhere: names that are imported and not
    beside it, with the file and line of the first import. texts: all texts in quotes.
    """

    files: Mapping[str, bytes]
    elsewhere: Mapping[str, tuple[str, int]]
    unclear: tuple[Unclear, ...]
    texts: frozenset[str]


@dataclass(frozen=True)
class Wanted:
    """One import. level: dots before the name; members: what is taken from it, which may be modules, too."""

    line: int
    name: str
    members: tuple[str, ...] = ()
    level: int = 0

    @property
    def names(self) -> tuple[str, ...]:
        """What it imports, in dotted names."""
        return tuple(".".join(filter(None, (self.name, member))) for member in self.members) or (self.name,)


@dataclass(frozen=True)
class Scanned:
    """What one file's text says. exported: the texts of its `__all__`. unclear: by line."""

    imports: tuple[Wanted, ...]
    unclear: tuple[tuple[int, str], ...]
    exported: tuple[str, ...]
    texts: frozenset[str]


def follow(path: Path) -> Followed:
    """A file and all that it imports beside it; a file that cannot be read is said to be unclear."""
    first = path.resolve()
    return _Search(first).done()


def is_library(path: Path) -> bool:
    """Whether a file belongs to an installed package or to Python itself."""
    return any(part in LIBRARY_FOLDERS for part in path.parts) or any(path.is_relative_to(folder) for folder in STANDARD_FOLDERS)


@dataclass
class _Search:
    """The search from one file."""

    first: Path
    files: dict[Path, bytes] = field(default_factory=dict)
    elsewhere: dict[str, tuple[str, int]] = field(default_factory=dict)
    unclear: set[Unclear] = field(default_factory=set)
    texts: set[str] = field(default_factory=set)
    _entries: dict[Path, frozenset[str]] = field(default_factory=dict)  # names of what lies in a folder

    def done(self) -> Followed:
        """All that was found, from the first file on."""
        roots = _roots(self.first)
        waiting = [self.first]
        while waiting:
            path = waiting.pop()
            if path in self.files or path.name.endswith(COMPILED_SUFFIXES):
                continue
            try:
                self.files[path] = path.read_bytes()
                scanned = _scanned(self.files[path], path.name == "__init__.py")
            except (OSError, *PARSE_ERRORS) as error:
                line = getattr(error, "lineno", None) or 1
                self._say(path, line, f"it cannot be read as Python ({type(error).__name__}: {error})")
                continue
            self.texts |= scanned.texts
            for line, what in scanned.unclear:
                self._say(path, line, what)
            for wanted in scanned.imports:
                waiting += self._imported(path, wanted, roots)
        files = {self._place(path): content for path, content in self.files.items()}
        unclear = tuple(sorted(self.unclear, key=lambda item: (item.file, item.line, item.what)))
        return Followed(files, self.elsewhere, unclear, frozenset(self.texts))

    def _place(self, path: Path) -> str:
        return Path(os.path.relpath(path, self.first.parent)).as_posix()

    def _say(self, path: Path, line: int, what: str) -> None:
        self.unclear.add(Unclear(self._place(path), line, what))

    def _imported(self, path: Path, wanted: Wanted, roots: Mapping[Path, str | None]) -> list[Path]:
        """The files that an import in `path` runs."""
        if wanted.level:
            return self._by_dots(path, wanted)
        top = wanted.name.partition(".")[0]
        if top != OUR_PACKAGE:
            for root, name in roots.items():
                if name in (None, top) and (trail := self._trail(path, root, wanted)):
                    return trail
        for dotted in wanted.names:
            self.elsewhere.setdefault(dotted, (self._place(path), wanted.line))
        return []

    def _by_dots(self, path: Path, wanted: Wanted) -> list[Path]:
        folder = path.parent
        for _ in range(wanted.level - 1):
            folder = folder.parent
        trail = self._trail(path, folder, wanted)
        if not trail and wanted.name:
            self._say(path, wanted.line, f"there is no module {'.' * wanted.level}{wanted.name} beside it")
        package = folder / "__init__.py"
        return [package, *trail] if package.is_file() else trail

    def _trail(self, path: Path, folder: Path, wanted: Wanted) -> list[Path]:
        """The files on the way to a module below the folder, its packages' first; none where it is not there."""
        trail: list[Path] = []
        names = wanted.name.split(".") if wanted.name else []
        for at, name in enumerate(names, 1):
            file = self._file(path, folder, name, wanted.line)
            if file is None and not (folder / name).is_dir():
                if trail:
                    self._say(path, wanted.line, f"there is no module {'.'.join(names[:at])} beside it")
                return trail
            trail += [file] if file else []
            if file is not None and file.name != "__init__.py":
                return trail
            folder = folder / name
        members = wanted.members
        if "*" in members and trail:
            members = _exported(trail[-1])
        below = [self._file(path, folder, name, wanted.line) for name in members if name != "*"]
        return trail + [file for file in below if file is not None]

    def _file(self, path: Path, folder: Path, name: str, line: int) -> Path | None:
        """The file of a module in a folder, where it is there; what is compiled is said, as it cannot be read."""
        there = self._listed(folder)
        compiled = next((entry for entry in sorted(there) if _is_compiled(entry, name)), None)
        if compiled is not None:
            self._say(path, line, f"imports {self._place(folder / compiled)}, which is compiled")
        if name in there and "__init__.py" in self._listed(folder / name):
            return folder / name / "__init__.py"
        if f"{name}.py" in there:
            return folder / f"{name}.py"
        return folder / compiled if compiled else None

    def _listed(self, folder: Path) -> frozenset[str]:
        if folder not in self._entries:
            self._entries[folder] = frozenset(os.listdir(folder)) if folder.is_dir() else frozenset()
        return self._entries[folder]


def _roots(first: Path) -> dict[Path, str | None]:
    """Where absolute imports are looked for, and the one name that counts there, or None for any.

    That is the file's folder, and for a module of a package the folder that the package lies in, where only its own name counts.
    """
    folder = first.parent
    roots: dict[Path, str | None] = {} if is_library(folder) else {folder: None}
    while (folder / "__init__.py").is_file() and folder != folder.parent:
        folder = folder.parent
    if folder != first.parent:
        roots[folder] = first.relative_to(folder).parts[0]
    return roots


def _is_compiled(entry: str, name: str) -> bool:
    stem, dot, _ = entry.partition(".")
    return bool(dot) and stem == name and entry.endswith(COMPILED_SUFFIXES)


def _exported(file: Path) -> tuple[str, ...]:
    try:
        return _scanned(file.read_bytes(), file.name == "__init__.py").exported
    except (OSError, *PARSE_ERRORS):
        return ()


@lru_cache(maxsize=256)
def _scanned(content: bytes, is_package: bool) -> Scanned:
    """What a module's text imports. is_package: whether it is an `__init__.py`."""
    nodes = list(ast.walk(parsed(content)))
    defined = {node.name for node in nodes if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)}  # such as an own eval
    importers = {"import_module", "__import__"} | {
        alias.asname
        for node in nodes
        if isinstance(node, ast.ImportFrom) and node.module == "importlib"
        for alias in node.names
        if alias.asname and alias.name in ("import_module", "__import__")
    }
    called = {id(node.func) for node in nodes if isinstance(node, ast.Call)}
    imports: list[Wanted] = []
    unclear: list[tuple[int, str]] = []
    exported: list[str] = []
    for node in nodes:
        if isinstance(node, ast.Import):
            imports += [Wanted(node.lineno, alias.name) for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            imports.append(Wanted(node.lineno, node.module or "", tuple(alias.name for alias in node.names), node.level))
        elif isinstance(node, ast.Call):
            item = _of_call(node, importers, defined, is_package)
            if isinstance(item, Wanted):
                imports.append(item)
            elif item:
                unclear.append((node.lineno, item))
        elif isinstance(node, ast.Name | ast.Attribute):
            if _name(node) in importers and isinstance(node.ctx, ast.Load) and id(node) not in called:
                unclear.append((node.lineno, f"hands {_name(node)} on, so that what it imports is known at run time only"))
        elif isinstance(node, ast.Assign | ast.AnnAssign | ast.AugAssign):
            targets = node.targets if isinstance(node, ast.Assign) else [node.target]
            if node.value is not None and any(isinstance(target, ast.Name) and target.id == "__all__" for target in targets):
                exported += _texts(ast.walk(node.value))
    return Scanned(tuple(imports), tuple(unclear), tuple(exported), frozenset(_texts(nodes)))


def _of_call(node: ast.Call, importers: Set[str], defined: Set[str], is_package: bool) -> Wanted | str:
    """What a call imports, or in words what of it cannot be told; "" where it imports nothing.

    importers: names of what imports by a name. defined: functions of the module's own.
    """
    name = _name(node.func)
    if name == "__import__":
        return _by_builtin(node)
    if name in importers:
        return _by_import_module(node, name, is_package)
    if name in LOADERS_BY_PATH:
        return f"loads a module by {name}, which is not followed"
    if name in ("exec", "eval") and _is_builtin(node.func, defined):
        known = name == "eval" and isinstance(_argument(node, 0, "source"), ast.Constant)
        return "" if known else f"runs text by {name}, which is not followed"
    return ""


def _name(node: ast.AST) -> str:
    return node.id if isinstance(node, ast.Name) else node.attr if isinstance(node, ast.Attribute) else ""


def _is_builtin(function: ast.expr, defined: Set[str]) -> bool:
    if isinstance(function, ast.Name):
        return function.id not in defined
    return isinstance(function, ast.Attribute) and isinstance(function.value, ast.Name) and function.value.id == "builtins"


def _argument(node: ast.Call, place: int, keyword: str) -> ast.expr | None:
    if place < len(node.args):
        return node.args[place]
    return next((given.value for given in node.keywords if given.arg == keyword), None)


def _text(node: ast.expr | None) -> str | None:
    return node.value if isinstance(node, ast.Constant) and isinstance(node.value, str) else None


def _by_import_module(node: ast.Call, called: str, is_package: bool) -> Wanted | str:
    """What `importlib.import_module(name, package)` imports."""
    name, package = _text(_argument(node, 0, "name")), _argument(node, 1, "package")
    if name is None:
        return f"calls {called} with a name that is known at run time only"
    level = len(name) - len(name.lstrip("."))
    if not level:
        return Wanted(node.lineno, name)
    if (of := _text(package)) is not None:
        parents = of.split(".")
        return Wanted(node.lineno, ".".join([*parents[: len(parents) - level + 1], name[level:]]).strip("."))
    if isinstance(package, ast.Name) and (package.id == "__package__" or (package.id == "__name__" and is_package)):
        return Wanted(node.lineno, name[level:], (), level)
    return f"calls {called} with {name!r} of a package that is known at run time only"


def _by_builtin(node: ast.Call) -> Wanted | str:
    """What `__import__(name, globals, locals, fromlist, level)` imports."""
    name, members, level = _text(_argument(node, 0, "name")), _argument(node, 3, "fromlist"), _argument(node, 4, "level")
    dots = 0 if level is None else level.value if isinstance(level, ast.Constant) else None
    if name is None or not isinstance(dots, int):
        return "calls __import__ with a name that is known at run time only"
    return Wanted(node.lineno, name, () if members is None else tuple(_texts(ast.walk(members))), dots)


def _texts(nodes: Iterable[ast.AST]) -> list[str]:
    return [node.value for node in nodes if isinstance(node, ast.Constant) and isinstance(node.value, str)]
