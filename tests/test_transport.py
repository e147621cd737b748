"""A task's code travels as its files, and nothing that is sent can leave the folder that it is put in."""

import hashlib
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from evenhand import tasks
from evenhand.errors import CodeRefused, InvalidSettings
from evenhand.model import codec
from evenhand.model.sent_code import MOST_BYTES, MOST_FILE_BYTES, NamedData, SentCode, SentFile
from evenhand.model.task import TaskSpec
from evenhand.tasks.transport import Packed, packed, unpacked

TASK = """
from pathlib import Path

import numpy as np
from evenhand import task, Float
{imports}


@task(space={{"x": Float(-1, 1)}}, metric="value", direction="maximize", max_epochs=1, files={files})
def train(configuration, run):
    run.report(epoch=1, value=curve(configuration["x"]))
"""
CURVE = "def curve(x):\n    return -x * x\n"


def write(folder: Path, imports: str = "from curves import curve", files: list[str] | None = None) -> Path:
    """A task with a module beside it."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "mine.py").write_text(TASK.format(imports=imports, files=files or []))
    (folder / "curves.py").write_text(CURVE)
    return folder / "mine.py"


def pack(path: Path) -> Packed:
    made = packed(tasks.load(TaskSpec(f"{path}:train")))
    assert made is not None
    return made


def checksum(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


@pytest.fixture
def there(tmp_path: Path) -> Path:
    """An agent's folder for code."""
    (tmp_path / "there").mkdir()
    return tmp_path / "there"


def test_a_task_and_what_it_imports_beside_it_arrive_as_the_same_version(tmp_path: Path, there: Path) -> None:
    made = pack(write(tmp_path / "here"))
    assert [file.place for file in made.code.files] == ["mine.py", "curves.py"]
    assert made.code.packages == ("numpy",)
    sent = codec.from_json(SentCode, codec.to_json(made.code))
    assert sent == made.code
    spec = unpacked(sent, made.contents.__getitem__, there, tmp_path)
    assert spec == TaskSpec(f"{there / 'mine.py'}:train")
    assert tasks.load(spec).version == tasks.load(TaskSpec(f"{tmp_path / 'here' / 'mine.py'}:train")).version
    assert {path.name: path.stat().st_mode & 0o777 for path in there.glob("*.py")} == {"mine.py": 0o600, "curves.py": 0o600}


def test_a_package_beside_it_travels_with_it(tmp_path: Path, there: Path) -> None:
    path = write(tmp_path / "here", "from bends.inner.curves import curve")
    inner = tmp_path / "here" / "bends" / "inner"
    inner.mkdir(parents=True)
    for folder in (inner, inner.parent):
        (folder / "__init__.py").write_text("")
    (inner / "curves.py").write_text(CURVE)
    made = pack(path)
    assert {file.place for file in made.code.files} >= {"mine.py", "bends/__init__.py", "bends/inner/curves.py"}
    spec = unpacked(made.code, made.contents.__getitem__, there, tmp_path)
    assert tasks.load(spec).version == tasks.load(TaskSpec(f"{path}:train")).version


def test_what_imports_from_above_its_folder_is_refused_where_it_is_served(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    package = tmp_path / "here" / "bent"
    write(package / "tuned", "from bent.curves import curve")
    for folder in (package, package / "tuned"):
        (folder / "__init__.py").write_text("")
    (package / "curves.py").write_text(CURVE)
    monkeypatch.syspath_prepend(str(package.parent))
    with pytest.raises(InvalidSettings, match=r"imports .*\.\./curves.py.*, which lie outside the folder of its file"):
        packed(tasks.load("bent.tuned.mine:train"))


def test_a_built_in_task_does_not_travel() -> None:
    assert packed(tasks.load("mlp")) is None


SOUND = SentCode("a.py", "train", (SentFile("a.py", checksum(b"x = 1"), 5),))


@pytest.mark.parametrize(
    "place",
    [
        "/etc/a.py", "../a.py", "b/../../a.py", "b//a.py", "./a.py", "", "b/", "~/a.py", ".ssh/a.py", ".a.py", "C:/a.py",
        "b\\a.py", "a\n.py", "a\x1b[2J.py", " a.py", "x" * 300 + ".py", "a.sh", "a.so", "a.pyc", "a.py\0",
    ],
)  # fmt: skip
def test_a_place_that_leaves_its_folder_or_is_no_python_file_is_refused(place: str, there: Path) -> None:
    file = SentFile(place, checksum(b"x = 1"), 5)
    for code in (replace(SOUND, files=(file,), main=place), replace(SOUND, files=(*SOUND.files, file))):
        with pytest.raises(CodeRefused, match="the code that the laboratory sends is not taken"):
            unpacked(code, lambda checksum: b"x = 1", there, there)
    assert not list(there.iterdir())


@pytest.mark.parametrize(
    "changes",
    [
        {"files": ()},
        {"files": (*SOUND.files, *SOUND.files)},
        {"files": (*SOUND.files, SentFile("A.py", checksum(b""), 0))},
        {"files": (*SOUND.files, SentFile("a.py/b.py", checksum(b""), 0))},
        {"files": (SentFile("a.py", checksum(b""), MOST_FILE_BYTES + 1),)},
        {"files": (SentFile("a.py", checksum(b""), -1),)},
        {"files": tuple(SentFile(f"{name}.py", checksum(b""), MOST_FILE_BYTES) for name in ("a", "b", "c", "d", "e"))},
        {"files": tuple(SentFile(f"m{number}.py", checksum(b""), 0) for number in range(501)), "main": "m0.py"},
        {"files": (SentFile("a.py", "../../a", 0),)},
        {"main": "b.py"},
        {"attribute": "train()"},
        {"packages": ("numpy\x1b[2J",)},
        {"data": (NamedData("../points.csv", "/points.csv", checksum(b"")),)},
        {"data": (NamedData("a.py", "/points.csv", checksum(b"")),)},
        {"data": (NamedData("", "/points\n.csv", checksum(b"")),)},
    ],
)
def test_a_list_that_is_no_tasks_is_refused(changes: dict[str, Any], there: Path) -> None:
    assert MOST_BYTES < 5 * MOST_FILE_BYTES
    SOUND.check()
    with pytest.raises(CodeRefused, match="is not taken"):
        unpacked(replace(SOUND, **changes), lambda checksum: b"x = 1", there, there)
    assert not list(there.iterdir())


@pytest.mark.parametrize("content", [b"x = 2", b"x = 1 ", b"", b"x"])
def test_another_content_than_was_said_is_never_written(content: bytes, there: Path) -> None:
    with pytest.raises(CodeRefused, match=r"'a.py' came with \d bytes, sha256 .*, expected 5 bytes"):
        unpacked(SOUND, lambda checksum: content, there, there)
    assert not list(there.iterdir())


@pytest.mark.parametrize("link", [True, False])
def test_nothing_that_is_there_is_written_to(there: Path, tmp_path: Path, link: bool) -> None:
    mine = tmp_path / "mine.txt"
    mine.write_text("mine")
    if link:
        (there / "a.py").symlink_to(mine)
    else:
        (there / "a.py").write_text("mine")
    with pytest.raises(FileExistsError):
        unpacked(SOUND, lambda checksum: b"x = 1", there, there)
    assert mine.read_text() == "mine"
    assert (there / "a.py").read_text() == "mine"


# Data


def test_data_is_found_at_its_path_or_by_its_name_and_told_by_its_content(tmp_path: Path, there: Path) -> None:
    path = write(tmp_path / "here", files=["points/a.csv"])
    data = tmp_path / "here" / "points" / "a.csv"
    data.parent.mkdir()
    data.write_text("1,2")
    made = pack(path)
    (named,) = made.code.data
    assert named == NamedData("points/a.csv", str(data), checksum(b"1,2"))
    version = tasks.load(TaskSpec(f"{path}:train")).version
    spec = unpacked(made.code, made.contents.__getitem__, there, tmp_path)
    assert tasks.load(spec).version == version
    assert (there / "points" / "a.csv").resolve() == data
    data.unlink()
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    with pytest.raises(
        CodeRefused, match=rf"data points/a.csv \(sha256 .*\) is not here; looked for {data}, {elsewhere}/points/a"
    ):
        unpacked(made.code, made.contents.__getitem__, tmp_path / "b", elsewhere)
    (elsewhere / "a.csv").write_text("1,3")
    with pytest.raises(CodeRefused, match=rf"is here with another content: {elsewhere}/a.csv has sha256"):
        unpacked(made.code, made.contents.__getitem__, tmp_path / "c", elsewhere)
    assert not (tmp_path / "c").exists()
    (elsewhere / "a.csv").write_text("1,2")
    spec = unpacked(made.code, made.contents.__getitem__, tmp_path / "d", elsewhere)
    assert (tmp_path / "d" / "points" / "a.csv").read_text() == "1,2"
    assert tasks.load(spec).version == version


def test_data_outside_the_codes_folder_is_refused_where_it_is_served(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("1,2")
    with pytest.raises(InvalidSettings, match=r"files names .*a.csv, which lies outside the folder of its code"):
        pack(write(tmp_path / "here", files=["../a.csv"]))
    made = pack(write(tmp_path / "there", files=[str(tmp_path / "a.csv")]))
    assert made.code.data == (NamedData("", str(tmp_path / "a.csv"), checksum(b"1,2")),)
