"""`evenhand task new`: real tables and real pictures become tasks that train, resume, and say their first numbers."""

import tarfile
from pathlib import Path

import numpy as np
import pytest
from sklearn.datasets import load_diabetes, load_wine
from typer.testing import CliRunner

import evenhand
from evenhand import tasks
from evenhand.cli import main
from evenhand.cli.options import console
from evenhand.errors import DataError, InvalidSettings
from evenhand.model.domain import Value
from evenhand.model.task import TaskSpec
from evenhand.model.trial import Measurement, Outcome
from evenhand.tasks import Task, builders, run_trial, scaffold
from tests.components import PHOTOS, need

EACH = 40  # pictures of each of three classes


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("EVENHAND_DATA", str(tmp_path / "data"))
    monkeypatch.chdir(tmp_path)
    return tmp_path


def written(folder: Path, load: str) -> Path:
    """One of scikit-learn's real tables as a CSV file, the target last."""
    bunch = {"wine": load_wine, "diabetes": load_diabetes}[load]()
    header = ",".join([*bunch.feature_names, "target"])
    path = folder / f"{load}.csv"
    np.savetxt(path, np.column_stack([bunch.data, bunch.target]), delimiter=",", header=header, comments="", fmt="%.9g")
    return path


def trained(task: Task, values: dict[str, Value], **rest: int | bool) -> tuple[Outcome, list[tuple[int | None, float | None]]]:
    measurements: list[Measurement] = []
    before, keep = int(rest.get("epochs_before", 0)), bool(rest.get("keep", False))
    configuration = task.space.configuration(values)
    outcome, why = run_trial(
        task, configuration, seed=3, evaluation=False, report=measurements.append, epochs_before=before, keep=keep
    )
    assert outcome is Outcome.COMPLETED, why
    return outcome, [(measurement.epoch, measurement.value) for measurement in measurements if measurement.epoch is not None]


def loaded(path: Path) -> Task:
    return tasks.load(TaskSpec(f"{path.resolve()}:train"))


@pytest.mark.slow
def test_a_table_of_classes_becomes_a_task_with_first_numbers(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(console, "width", 140)
    made = CliRunner().invoke(main.app, ["task", "new", "wine", "--from", str(written(home, "wine"))])
    assert made.exit_code == 0, made.output
    assert "malic_acid" in made.output, "each column is printed with what it was taken for"
    assert "1 (71), 0 (59), 2 (48)" in made.output
    assert "the same configuration, several seeds  accuracy" in made.output
    assert "These numbers took" in made.output
    task = loaded(home / "wine.py")
    assert (task.metric, task.direction, task.has_test) == ("accuracy", "maximize", True)
    assert dict(task.statistics) == {"rows": 178, "columns": 13, "classes": 3}
    assert task.example == task.space.defaults()
    assert all(hyperparameter.help for hyperparameter in task.space)
    assert task.data is not None
    assert [len(task.data().load(split)[1]) for split in ("train", "validation", "test")] == [106, 36, 36]
    source = (home / "wine.py").read_text()
    assert "@" not in source.replace("@cache", "").replace("@task", "")
    assert len(source.splitlines()) < 90

    numbers = scaffold.first_numbers(home / "wine.py", seconds=2.0)
    assert numbers.check.noise is not None
    assert numbers.check.noise[0] > 0.8
    assert len({run.seed for run in numbers.check.same}) == 3
    assert not numbers.check.random
    assert numbers.seconds < 60


@pytest.mark.slow
def test_a_resumed_table_task_equals_an_uninterrupted_one(home: Path) -> None:
    task = loaded(scaffold.new("wine", written(home, "wine")).path)
    values: dict[str, Value] = {"learning_rate": 0.02}
    _, whole = trained(task, {**values, "epochs": 5})
    _, first = trained(task, {**values, "epochs": 2}, keep=True)
    _, rest = trained(task, {**values, "epochs": 5}, epochs_before=2)
    assert [epoch for epoch, _ in rest] == [3, 4, 5]
    assert first + rest == whole


@pytest.mark.slow
def test_a_table_of_numbers_is_tuned(home: Path) -> None:
    path = scaffold.new("sugar", written(home, "diabetes"), folder=home / "tasks").path
    task = loaded(path)
    assert task.metric == "r2"
    db = f"sqlite:///{home / 'lab.sqlite'}"
    result = evenhand.tune(task, trials=3, epochs_per_trial=5, db=db, progress=False, evaluate=False)
    assert [trial.outcome for trial in result.trials] == [Outcome.COMPLETED] * 3
    before = task.version
    (home / "diabetes.csv").write_text(
        (home / "diabetes.csv").read_text() + (home / "diabetes.csv").read_text().splitlines()[1] + "\n"
    )
    assert loaded(path).version != before, "the file's content counts into the version"


def test_the_target_by_name_text_and_missing_values(home: Path) -> None:
    lines = ["sep;colour;width;kind"] + [
        f"{n};{'red' if n % 2 else 'blue'};{n / 2 if n % 5 else 'NA'};{'ab'[n % 2]}" for n in range(60)
    ]
    (home / "odd.csv").write_text("\n".join(lines))
    table = builders.table(home / "odd.csv", "kind", keep=["sep"])
    assert (table.features, table.text, table.classes) == (("sep", "colour", "width"), (False, True, False), ("a", "b"))
    assert table.x.shape == (60, 3)
    assert list(table.y[:3]) == [0, 1, 0]
    assert list(table.x[:2, 1]) == [0.0, 1.0]
    assert np.isnan(table.x[::5, 2]).all()
    assert builders.table(home / "odd.csv", "colour").classes == ("blue", "red")
    assert builders.table(home / "odd.csv", "sep").classes == (), "sixty whole numbers are no classes"
    assert len(builders.table(home / "odd.csv", "sep", classes=True).classes) == 60
    task = loaded(scaffold.new("odd", home / "odd.csv", target="colour").path)
    _, values = trained(task, {"epochs": 5})
    assert values[-1][1] == 1.0, "kind says the colour"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a,b\n1,2\n3\n", "line 3: has 1 cell split by commas, expected 2"),
        ("a,b\n1,\n", "line 2: the target 'b' is missing, in 1 of 1 row"),
        ("a,b\n", "has 1 row, expected a line of names of columns and rows"),
        ("a\n1\n2\n", "has the one column 'a'"),
    ],
)
def test_a_table_that_cannot_be_used_is_named_with_its_line(home: Path, text: str, message: str) -> None:
    (home / "bad.csv").write_text(text)
    with pytest.raises(DataError, match=message):
        scaffold.new("bad", home / "bad.csv")
    assert not (home / "bad.py").exists()


def test_what_cannot_be_written_is_said(home: Path) -> None:
    path = written(home, "wine")
    with pytest.raises(DataError, match="has no column 'grape'; expected one of alcohol"):
        scaffold.new("wine", path, target="grape")
    with pytest.raises(InvalidSettings, match="expected letters, digits and underscores"):
        scaffold.new("my-wine", path)
    with pytest.raises(InvalidSettings, match="is not here"):
        scaffold.new("wine", home / "nothing.csv")
    with pytest.raises(InvalidSettings, match="has no columns"):
        scaffold.new("wine", home, target="x")
    scaffold.new("wine", path)
    with pytest.raises(InvalidSettings, match="is there already"):
        scaffold.new("wine", path)


@pytest.fixture
def photos(home: Path) -> Path:
    """A few real photos as CLASS/FILE."""
    need("torch")
    need("photos")
    folder = home / "photos"
    with tarfile.open(PHOTOS) as archive:
        for member in archive:
            _, label, name = member.name.split("/") if member.isfile() else ("", "", "")
            place = folder / label
            content = archive.extractfile(member) if label in ("airplane", "cat", "frog") else None
            if content is not None and (not place.exists() or len(list(place.iterdir())) < EACH):
                place.mkdir(parents=True, exist_ok=True)
                (place / name).write_bytes(content.read())
    return folder


@pytest.mark.slow
def test_a_folder_of_pictures_becomes_a_task(photos: Path) -> None:
    path = scaffold.new("photos", photos).path
    task = loaded(path)
    assert dict(task.statistics) == {"classes": 3, "pictures": 3 * EACH, "image size": "64 x 64 pixels"}
    assert task.data is not None
    x, y = task.data().load("train")
    assert x.shape == (80, 64, 64, 3)
    assert [int((y == label).sum()) for label in range(3)] == [26, 27, 27]
    numbers = scaffold.first_numbers(path, seconds=1.0)
    assert numbers.check.noise is not None
    assert numbers.check.chance == pytest.approx(0.35)
    assert numbers.check.epoch_seconds is not None
    assert numbers.seconds < 120

    values: dict[str, Value] = {"filters": 4}
    _, whole = trained(task, {**values, "epochs": 3})
    _, first = trained(task, {**values, "epochs": 1}, keep=True)
    _, rest = trained(task, {**values, "epochs": 3}, epochs_before=1)
    assert first + rest == whole

    next(photos.rglob("*.jpg")).unlink()
    with pytest.raises(DataError, match="its images changed since the task was written"):
        builders.pictures(photos, 64, checksum="0" * 64)


def test_pictures_beside_the_classes_are_named(home: Path) -> None:
    (home / "flat").mkdir()
    with pytest.raises(DataError, match="holds no images, expected CLASS/FILE"):
        scaffold.new("flat", home / "flat")
    (home / "flat" / "stray.png").write_bytes(b"")
    with pytest.raises(DataError, match=r"holds the image stray\.png, expected CLASS/FILE"):
        scaffold.new("flat", home / "flat")
    assert isinstance(builders.collection_of(home / "flat"), builders.ClassFolder)
    for split in ("train", "val", "test"):
        (home / "split" / split).mkdir(parents=True)
    assert not isinstance(builders.collection_of(home / "split"), builders.ClassFolder)
