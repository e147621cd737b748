"""TOML with lines: reads a file into tables that are asked for typed values and note every mistake with its line and its fix.

`tomllib` says no lines, so `lines_of` scans the text once more for where each key and each element of an array stands.
"""

import difflib
import re
import tomllib
from bisect import bisect_right
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from evenhand.model.files import check_file

Key = tuple[str | int, ...]  # where a value stands: names of tables and keys, and places in arrays from 0

BARE_KEY = re.compile(r"[A-Za-z0-9_-]+")
BLANK_TEXT = re.compile(r"(?:[ \t\r\n]|#[^\n]*)*")
QUOTED_TEXT = re.compile(r'"""(?:\\.|[^\\])*?"{3,5}|\'\'\'.*?\'{3,5}|"(?:\\.|[^"\\])*"|\'[^\']*\'', re.DOTALL)
PLAIN_VALUE = re.compile(r"[^,\]}#\n]*")  # numbers, dates, true and false
SIMPLE_KEY = re.compile(r"\s*([A-Za-z0-9_-]+)\s*=")
ERROR_PLACE = re.compile(r"\s*\(at (?:line (\d+), column (\d+)|end of document)\)")
MOST_LINES_LEFT_OUT = 10  # unreadable lines that are left out so that the rest is read too


@dataclass(frozen=True)
class FileMistake:
    """One thing that is wrong (an error), or that should be looked at (a warning), with the way to put it right.

    line: from 1; None where the whole file is meant. key: the setting, such as `budget.minutes`.
    """

    file: Path
    line: int | None
    key: str
    given: str
    expected: str
    fix: str
    kind: Literal["error", "warning"] = "error"

    @property
    def place(self) -> str:
        """The file's name and the line, as editors and terminals understand them."""
        return self.file.name if self.line is None else f"{self.file.name}:{self.line}"

    def __str__(self) -> str:
        name = f"{self.key}: " if self.key else ""
        return f"{self.place}: {name}got {self.given}, expected {self.expected}; {self.fix}"


@dataclass
class TomlSource:
    """A file that was read: its values, where each stands, and the mistakes found so far.

    unread: first keys of the lines that could not be read, which so count as given. known: the keys of each table that was read,
    by its name without places (`questionnaires.sections`). unknown: keys that their tables do not have (see `settle`).
    """

    path: Path
    data: dict[str, Any]
    lines: Mapping[Key, int]
    mistakes: list[FileMistake] = field(default_factory=list)
    unread: frozenset[str] = frozenset()
    known: dict[str, set[str]] = field(default_factory=dict)
    unknown: list[tuple[Key, str]] = field(default_factory=list)

    def line(self, key: Key) -> int | None:
        """The line of a key; where it is missing, of the nearest table around it."""
        while key and key not in self.lines:
            key = key[:-1]
        return self.lines.get(key)

    def note(
        self,
        key: Key,
        given: object,
        expected: str,
        fix: str,
        kind: Literal["error", "warning"] = "error",
        file: Path | None = None,
        line: int | None = None,
    ) -> None:
        """Add a mistake at a key, or in another file that the key names."""
        at = line if file is not None else self.line(key)
        said = given if isinstance(given, _Said) else shown(given)
        self.mistakes.append(FileMistake(file or self.path, at, key_text(key), said, expected, fix, kind))

    def settle(self) -> None:
        """Note each unknown key, once all tables were read: one that another table has is said to belong there."""
        for key, table in self.unknown:
            name, here = str(key[-1]), sorted(self.known[table])
            others = [other for other, keys in self.known.items() if name in keys]
            fix = did_you_mean(name, here) + f"the keys here are {', '.join(here)}"
            if others and name not in self.unread:
                fix = f"move it to {' or '.join(f'[{other}]' if other else 'the top of the file' for other in others)}"
            self.note(key, said(f"the unknown key {name}"), f"a key of {f'[{table}]' if table else 'the file'}", fix)


class _Said(str):
    """Words about what was given, instead of the value itself."""

    __slots__ = ()


def said(words: str) -> str:
    """Words that a mistake tells as what was given, without quotation marks."""
    return _Said(words)


def shown(value: object) -> str:
    """A value as it would be written in the file, shortened."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str):
        text = '"' + value.replace("\n", "\\n") + '"'
    elif isinstance(value, Mapping):
        text = "{ " + ", ".join(f"{name} = {shown(item)}" for name, item in value.items()) + " }"
    elif isinstance(value, Sequence):
        text = "[" + ", ".join(shown(item) for item in value) + "]"
    else:
        text = str(value)
    return text if len(text) <= 80 else text[:77] + "..."


def key_text(key: Key) -> str:
    """A place in words that people count by: `questionnaires[1].title` is the first one's title."""
    text = ""
    for part in key:
        text += f"[{part + 1}]" if isinstance(part, int) else f".{part}" if text else part
    return text


def did_you_mean(given: str, known: Sequence[str]) -> str:
    """The known name that is spelt almost like it, as a question; empty where none is."""
    close = difflib.get_close_matches(given, known, n=1, cutoff=0.6)
    return f"did you mean {close[0]}? " if close else ""


# Reading


def read(path: Path) -> TomlSource:
    """The file's values with their lines. Lines that are no TOML are mistakes; where it can be, the rest is read without them."""
    text = check_file(path).read_text(encoding="utf-8-sig").replace("\r\n", "\n")
    lines, unread = text.split("\n"), set()
    mistakes: list[FileMistake] = []
    while True:
        try:
            data = tomllib.loads("\n".join(lines))
        except RecursionError:
            mistake = FileMistake(path, None, "", "lists within lists", "TOML", "write fewer brackets; see https://toml.io")
            return TomlSource(path, {}, {}, [*mistakes, mistake])
        except tomllib.TOMLDecodeError as error:
            at, mistake = _syntax(path, lines, str(error))
            mistakes.append(mistake)
            simple = SIMPLE_KEY.match(lines[at])
            if simple is None or len(mistakes) >= MOST_LINES_LEFT_OUT:
                return TomlSource(path, {}, {}, mistakes)
            unread.add(simple[1])
            lines[at] = ""
            continue
        return TomlSource(path, data, lines_of("\n".join(lines)), mistakes, frozenset(unread))


HINTS = (  # part of tomllib's message, what it means, and the fix
    ("Invalid value", "a value that TOML knows", 'put text in "quotation marks"; write true and false small, numbers bare'),
    ("Cannot overwrite", "each key once", "remove one of the two lines"),
    ("Cannot declare", "each table's header once", "put its keys under one header; a list of tables is written [[...]]"),
    ("Cannot mutate", "each table in one place", "put its keys under one header"),
    ("Expected '='", "KEY = VALUE", "write the key, an equals sign, and the value"),
    ("Expected newline", "one KEY = VALUE on a line", "begin a new line after the value; close its quotation marks"),
    ("Unterminated string", "text that ends", "close its quotation marks"),
    ("Illegal character", "text on one line", 'close its quotation marks; text of several lines goes between """ and """'),
    ("Unclosed array", "a list that ends", "close it with ], and separate its values by commas"),
    ("Unclosed inline", "a table in braces that ends", "close it with }, and separate its keys by commas"),
    ("Unescaped '\\'", "text without a lone backslash", "write it twice, or use 'single' quotation marks"),
    ("Expected ']", "a header that ends", "close it with ] or ]]"),
    ("Invalid initial", "a key of letters, digits, - and _", "begin a comment with #; put other keys in quotation marks"),
)


def _syntax(path: Path, lines: Sequence[str], message: str) -> tuple[int, FileMistake]:
    """Which line (from 0) could not be read, and why."""
    match = ERROR_PLACE.search(message)
    said_last = max((i for i, line in enumerate(lines) if line.strip()), default=0)
    at = min(int(match[1]) - 1, len(lines) - 1) if match and match[1] else said_last
    words = ERROR_PLACE.sub("", message)
    _, expected, fix = next((hint for hint in HINTS if hint[0] in words), ("", "TOML", "see https://toml.io"))
    given = lines[at].strip() or "an empty line"
    return at, FileMistake(path, at + 1, "", f"{given[:80]} ({words[:1].lower()}{words[1:]})", expected, fix)


def lines_of(text: str) -> dict[Key, int]:
    """The line (from 1) of every table, key and array element of a TOML text that `tomllib` can read."""
    return _Scan(text).run()


class _Scan:
    def __init__(self, text: str) -> None:
        self.text, self.at = text, 0
        self.ends = [match.start() for match in re.finditer("\n", text)]
        self.lines: dict[Key, int] = {(): 1}
        self.counts: dict[Key, int] = {}  # elements of each array of tables so far

    def run(self) -> dict[Key, int]:
        table: Key = ()
        self.skip()
        while self.at < len(self.text):
            if self.text[self.at] == "[":
                table = self.header()
            else:
                self.pair(table)
            self.skip()
        return self.lines

    def skip(self) -> None:
        match = BLANK_TEXT.match(self.text, self.at)
        self.at = match.end() if match else self.at

    def here(self) -> int:
        return bisect_right(self.ends, self.at - 1) + 1

    def header(self) -> Key:
        line, several = self.here(), self.text.startswith("[[", self.at)
        self.at += 2 if several else 1
        names = self.name()
        self.at += 2 if several else 1
        table: Key = ()
        for place, name in enumerate(names):
            table = (*table, name)
            self.lines.setdefault(table, line)
            if several and place == len(names) - 1:
                self.counts[table] = self.counts.get(table, 0) + 1
            if table in self.counts:
                table = (*table, self.counts[table] - 1)
        self.lines[table] = line
        return table

    def name(self) -> list[str]:
        """A key of one or more parts; the scan stands after it."""
        parts: list[str] = []
        while True:
            self.skip()
            match = QUOTED_TEXT.match(self.text, self.at) or BARE_KEY.match(self.text, self.at)
            if match is None:
                self.at = len(self.text)  # no TOML: the scan ends
                return parts
            quoted = match[0][0] in "\"'"
            parts.append(str(tomllib.loads(f"key = {match[0]}")["key"]) if quoted else match[0])
            self.at = match.end()
            self.skip()
            if not self.text.startswith(".", self.at):
                return parts
            self.at += 1

    def pair(self, table: Key) -> None:
        line, key = self.here(), table
        for name in self.name():
            key = (*key, name)
            self.lines.setdefault(key, line)
        self.at += 1  # the equals sign
        self.skip()
        self.value(key)

    def value(self, key: Key) -> None:
        first = self.text[self.at : self.at + 1]
        if first == "[":
            self.inside(key, "]")
        elif first == "{":
            self.inside(key, "}")
        else:
            match = (QUOTED_TEXT if first in ('"', "'") else PLAIN_VALUE).match(self.text, self.at)
            self.at = match.end() if match else len(self.text)

    def inside(self, key: Key, end: str) -> None:
        """The elements of an array, or the pairs of an inline table."""
        self.at += 1
        count = 0
        self.skip()
        while self.at < len(self.text) and self.text[self.at] != end:
            if end == "}":
                self.pair(key)
            else:
                self.lines[(*key, count)] = self.here()
                self.value((*key, count))
            count += 1
            self.skip()
            if self.text.startswith(",", self.at):
                self.at += 1
                self.skip()
        self.at += 1
