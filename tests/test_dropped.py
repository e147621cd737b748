"""Data that was dropped: kept once under the name of its content, within its folder, nothing overwritten, in bounds."""

import io
import zipfile
from collections.abc import Mapping
from pathlib import Path

import pytest

from evenhand.errors import DataError, NotFound
from evenhand.tasks import dropped

TABLE = b"a,b\n1,2\n3,4\n"


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("EVENHAND_DATA", str(tmp_path))
    return tmp_path / "dropped"


def archive(files: Mapping[str, bytes]) -> io.BytesIO:
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w", zipfile.ZIP_DEFLATED) as made:
        for name, data in files.items():
            made.writestr(name, data)
    content.seek(0)
    return content


def test_a_table_is_kept_once_under_the_name_of_its_content(home: Path) -> None:
    first = dropped.keep_file("churn.csv", io.BytesIO(TABLE))
    assert first.source.read_bytes() == TABLE
    assert (first.name, first.is_table, len(first.id)) == ("churn.csv", True, 20)
    assert dropped.keep_file("other name.csv", io.BytesIO(TABLE)) == first
    other = dropped.keep_file("churn.csv", io.BytesIO(TABLE + b"5,6\n"))
    assert other.id != first.id
    assert {data.id for data in dropped.everything()} == {first.id, other.id}
    assert dropped.get(first.id) == first
    assert sorted(path.name for path in home.iterdir()) == sorted([first.id, other.id]), "nothing is left of what came"
    assert first.source.stat().st_mode & 0o077 == 0


@pytest.mark.parametrize(
    "name", ["..", "../../etc/passwd", "/etc/passwd", "..\\..\\x", ".hidden", "a\0b", "\N{GRINNING FACE}" * 90]
)
def test_a_table_lies_in_its_folder_whatever_it_is_called(name: str, home: Path) -> None:
    kept = dropped.keep_file(name, io.BytesIO(TABLE))
    assert kept.source.parent == home / kept.id / "data"
    assert not kept.name.startswith(".")


@pytest.mark.parametrize("data_id", ["", "..", "0" * 20, "../x", "A" * 20, "coming-1"])
def test_what_was_not_dropped_is_not_there(data_id: str, home: Path) -> None:
    with pytest.raises(NotFound):
        dropped.get(data_id)


def test_pictures_of_an_archive_are_unpacked_without_the_folder_around_them() -> None:
    pictures = {"pets/cats/1.png": b"c", "pets/cats/2.png": b"d", "pets/dogs/1.png": b"e"}
    kept = dropped.keep_file("my pets.zip", archive({**pictures, "__MACOSX/pets/x.png": b"", "pets/.DS_Store": b""}))
    assert (kept.name, kept.is_table) == ("pets", False)
    there = sorted(str(path.relative_to(kept.source)) for path in kept.source.rglob("*.png"))
    assert there == ["cats/1.png", "cats/2.png", "dogs/1.png"]
    folder = dropped.keep_folder((name, io.BytesIO(content)) for name, content in pictures.items())
    assert folder == kept


def test_a_zip_of_one_table_stays_as_it_is() -> None:
    kept = dropped.keep_file("churn.zip", archive({"churn.csv": TABLE}))
    assert (kept.name, kept.is_table) == ("churn.zip", True)


def test_a_workbook_is_no_archive_of_pictures() -> None:
    kept = dropped.keep_file("sheet.xlsx", archive({"[Content_Types].xml": b"", "xl/media/1.png": b""}))
    assert (kept.name, kept.is_table) == ("sheet.xlsx", True)


def test_what_somebody_took_away_is_not_there() -> None:
    kept = dropped.keep_file("churn.csv", io.BytesIO(TABLE))
    kept.source.unlink()
    assert dropped.everything() == []
    with pytest.raises(NotFound):
        dropped.get(kept.id)


def test_an_archive_that_leads_elsewhere_is_refused_and_leaves_nothing(home: Path) -> None:
    with pytest.raises(DataError, match="would lie outside"):
        dropped.keep_file("bad.zip", archive({"a/1.png": b"x", "../../evil.png": b"x"}))
    assert list(home.iterdir()) == []
    with pytest.raises(DataError, match="would lie outside"):
        dropped.keep_folder([("a/../../evil.png", io.BytesIO(b"x"))])


def test_an_archive_that_unpacks_to_too_much_is_refused(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dropped, "MOST_UNPACKED_BYTES", 1 << 20)
    bomb = archive({"a/1.png": b"\0" * 700_000, "b/1.png": b"\0" * 700_000})
    assert len(bomb.getvalue()) < 10_000
    with pytest.raises(DataError, match="unpacks to more than 1 MB"):
        dropped.keep_file("bomb.zip", bomb)
    assert list(home.iterdir()) == []
    monkeypatch.setattr(dropped, "MOST_FILES", 1)
    with pytest.raises(DataError, match="expected at most 1"):
        dropped.keep_file("many.zip", archive({"a/1.png": b"x", "b/1.png": b"y"}))


def test_two_files_of_one_name_are_refused() -> None:
    with pytest.raises(DataError, match="two of its files"):
        dropped.keep_folder([("a/x?.png", io.BytesIO(b"1")), ("a/x*.png", io.BytesIO(b"2"))])


def test_a_damaged_archive_is_refused_in_words() -> None:
    with pytest.raises(DataError, match="cannot be read as a zip archive"):
        dropped.keep_file("broken.zip", io.BytesIO(b"PK\x03\x04" + b"x" * 50))


def test_a_task_of_the_same_text_is_written_once() -> None:
    kept = dropped.keep_file("churn.csv", io.BytesIO(TABLE))
    first, second = kept.keep_task("churn", "one"), kept.keep_task("churn", "two")
    assert (first.name, second.name) == ("churn.py", "churn_2.py")
    assert kept.keep_task("churn", "one") == first
    assert kept.keep_task("churn", "two") == second
    assert kept.tasks() == [first, second]
