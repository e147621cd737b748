"""Odd values into every command: each is taken or refused in words, and nothing is an error that nobody foresaw.

The commands and their options are read from the program itself, so that a new one is tried without a word here. The values are
drawn with a seed, and all of it takes a bounded time.
"""

import os
import random
import re
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from evenhand.cli import main as command_line
from evenhand.cli import unexpected
from evenhand.lab.lab import Lab
from tests.labs import toy_study

SEED = 20_261_129
CASES_PER_PARAMETER = 6  # drawn of the odd values for each option and argument
MOST_SECONDS = 2.0  # that one command may take; one that goes on has taken its values
USED = {"study": "toy", "session": "1", "trial": "1", "rating": "3", "port": "0", "name": "digits", "task": "absent.py:train"}


class Late(BaseException):
    """A command that went on for longer than it is watched."""


@contextmanager
def watched() -> Iterator[None]:
    def stop(*_: object) -> None:
        raise Late

    before = signal.signal(signal.SIGALRM, stop)
    signal.setitimer(signal.ITIMER_REAL, MOST_SECONDS)
    try:
        yield
    except Late:
        pass
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


def commands(item: Any, words: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], Any]]:
    """Every command with the words that call it."""
    below = getattr(item, "commands", {})
    if not below or item.invoke_without_command:
        yield words, item
    for name, command in below.items():
        yield from commands(command, (*words, name))


COMMANDS = {" ".join(words): command for words, command in commands(command_line.program()) if words}


def odd_values(folder: Path) -> list[str]:
    """What nobody should give, and some do."""
    noise = random.Random(SEED).randbytes(400)
    files = {}
    for suffix in ("json", "toml", "csv", "zip", "png", "sqlite", "py", "log", "edf"):
        files[suffix] = folder / f"noise.{suffix}"
        files[suffix].write_bytes(noise)
    (folder / "empty.zip").write_bytes(b"")
    (folder / "empty.toml").write_bytes(b"")
    (folder / "folder.csv").mkdir()
    locked = folder / "locked"
    locked.mkdir()
    (locked / "study.toml").write_bytes(b"")
    locked.chmod(0o500)
    return [
        "",
        " ",
        "x" * 5000,
        "\udc80",
        "-1",
        "0",
        "nan",
        "inf",
        "1e400",
        str(10**30),
        "9" * 5000,
        "²",
        "=1+1",
        "a:b:c",
        "[red]",
        "../..",
        str(folder),
        str(folder / "missing"),
        str(folder / "missing" / "x.zip"),
        str(folder / "folder.csv"),
        str(locked / "out.zip"),
        str(folder / "empty.zip"),
        str(folder / "empty.toml"),
        "http://[::1",
        "sqlite:///" + str(folder),
        "sqlite:///" + str(files["sqlite"]),
        "oracle://x",
        "/dev/null",
        *map(str, files.values()),
    ]


def run(arguments: list[str], monkeypatch: pytest.MonkeyPatch) -> int | str | None:
    """The exit code of the program, called in this process."""
    monkeypatch.setattr(sys, "argv", ["evenhand", *arguments])
    with watched():
        try:
            command_line.main()
        except SystemExit as end:
            return end.code
    return None


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder to be in, and a laboratory with one study; no server is started and no training is made."""
    monkeypatch.setenv("EVENHAND_DATA", str(tmp_path / "data"))
    monkeypatch.setattr("evenhand.web.serving.Server.run", lambda self: None)
    monkeypatch.setattr("evenhand.runners.agent.main_agent", lambda *arguments, **settings: None)
    monkeypatch.chdir(tmp_path)
    lab = Lab.connect()
    toy_study(lab)
    lab.close()
    return tmp_path


@pytest.mark.slow
@pytest.mark.parametrize("name", COMMANDS)
def test_no_value_of_a_command_is_an_error_that_nobody_foresaw(
    name: str, place: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    command, values, draw = COMMANDS[name], odd_values(place), random.Random(f"{SEED} {name}")
    arguments = [parameter for parameter in command.params if parameter.param_type_name == "argument"]
    required = [parameter for parameter in command.params if parameter.required and parameter not in arguments]
    mishaps = []
    for parameter in command.params:
        if getattr(parameter, "is_flag", False):
            continue
        for value in draw.sample(values, CASES_PER_PARAMETER):
            filled = [item for item in arguments if item.required or item is parameter]
            given = [value if item is parameter else USED.get(item.name, "absent") for item in filled]
            options = [f"{item.opts[0]}={USED.get(item.name, 'absent')}" for item in required if item is not parameter]
            if parameter not in arguments:
                options.append(f"{parameter.opts[0]}={value}")
            line = [*name.split(), *options, "--", *given]
            run(line, monkeypatch)
            said = capsys.readouterr()
            if "unexpected: " in said.out + said.err or "Traceback" in said.err:
                mishaps.append((line[:9], re.findall(r"unexpected: .*", said.out + said.err)[-1:] or said.err[-300:]))
    assert not mishaps, "\n".join(f"{[word[:80] for word in line]}: {words}" for line, words in mishaps)


def test_what_nobody_foresaw_is_one_line_and_a_file_without_values(
    place: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def fail(*_: object) -> None:
        raise ZeroDivisionError("of a\ntest at postgresql://me:hunter2@host/db")

    monkeypatch.setattr("evenhand.lab.lab.Lab.connect", fail)
    assert run(["signin", "--host=secret-host"], monkeypatch) == 1
    words = capsys.readouterr().err
    assert words.startswith("error unexpected: ZeroDivisionError: of a test at postgresql://***@host/db.")
    assert words.count("\n") == 1
    (path,) = (place / "data" / "logs").iterdir()
    assert str(path) in words
    assert (path.stat().st_mode & 0o777, path.parent.stat().st_mode & 0o777) == (0o600, 0o700)
    kept = path.read_text()
    assert "ZeroDivisionError" in kept
    assert "Options: --host" in kept
    assert "secret-host" not in kept
    assert "hunter2" not in words + kept


def test_what_is_kept_of_errors_is_bounded(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> None:
        raise ZeroDivisionError(f"begin{'x' * 3 * unexpected.MOST_LOG_BYTES}end")

    monkeypatch.setattr("evenhand.lab.lab.Lab.connect", fail)
    logs = place / "data" / "logs"
    logs.mkdir(parents=True)
    for number in range(unexpected.MOST_LOGS + 5):
        (logs / f"error-20200101T000000.{number:06d}Z.log").write_text("old")
    assert run(["signin"], monkeypatch) == 1
    kept = sorted(logs.iterdir())
    assert len(kept) == unexpected.MOST_LOGS
    assert kept[0].name == "error-20200101T000000.000006Z.log"
    content = kept[-1].read_bytes()
    assert unexpected.MOST_LOG_BYTES < len(content) < unexpected.MOST_LOG_BYTES + 100
    assert content.startswith(b"Evenhand ")
    assert re.search(rb"\n\.\.\. \d+ bytes are left out \.\.\.\nx+end\n$", content)


def test_what_moves_a_cursor_is_shown_as_its_code(
    place: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (place / "x.csv").write_text("a\x1b[2Jb,y\n1,2\n3,4\n")
    assert run(["task", "new", "odd", "--from=x.csv", "--target=\x1b[31mred"], monkeypatch) == 1
    words = capsys.readouterr().err
    assert "has no column '\\x1b[31mred'; expected one of a\\x1b[2Jb, y" in words
    assert not re.search("[\x00-\x08\x1b]", words)


@pytest.mark.slow
def test_a_reader_that_leaves_and_a_closed_input_are_quiet(tmp_path: Path) -> None:
    environment = {**os.environ, "EVENHAND_DATA": str(tmp_path / "data")}
    program = f"{sys.executable} -m evenhand.cli.main"
    lines = ("data | true", "--help | head -1", "restore missing.zip <&-", "data >&-")
    for line in (f"{program} {rest}" for rest in lines):
        done = subprocess.run(["bash", "-c", line], env=environment, capture_output=True, text=True, check=False)
        assert not re.search("Traceback|Exception ignored", done.stderr), (line, done.stderr)


@pytest.mark.parametrize("line", ["serve", "class absent.py:train", "tune absent.py:train --serve --trials=1"])
def test_a_taken_port_is_found_before_anything_else_is_done(
    line: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("EVENHAND_DATA", str(tmp_path / "data"))
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        assert run([*line.split(), "--host=127.0.0.1", f"--port={port}"], monkeypatch) == 1
    assert f"cannot listen on 127.0.0.1:{port}" in capsys.readouterr().err
    assert not (tmp_path / "data" / "evenhand.sqlite").exists()
