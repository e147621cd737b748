"""A session's choice becomes a model on all data but test, which predicts new tables, and reads nothing that is not its own."""

import csv
import json
import os
import pickle
import warnings
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sklearn.feature_extraction.text import CountVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.tree import DecisionTreeClassifier
from typer.testing import CliRunner

import evenhand
from evenhand import Float, Integer, Run, Space, Splits
from evenhand.cli.main import app
from evenhand.errors import DataError, EvenhandError, InvalidSettings, NotFound, Refused, TaskMissing
from evenhand.experiments.final_models import CARD, PREDICTOR, README
from evenhand.experiments.predict import predict, read
from evenhand.lab.lab import Lab
from evenhand.model.configuration import Configuration
from evenhand.tasks import engines
from tests.components import need

RNG = np.random.default_rng(0)
X = RNG.normal(size=(300, 4))
Y = (X[:, 0] + 0.3 * X[:, 1] > 0).astype(int)
SOURCE = """
import numpy as np
from pathlib import Path
from sklearn.linear_model import SGDClassifier
from evenhand import Float, Integer, Hyperparameter, Space, Splits, task

rng = np.random.default_rng(0)
X = rng.normal(size=(300, 4))
Y = (X[:, 0] > 0).astype(int)

def test_part():
    raise RuntimeError("test data was opened")

def data():
    return Splits((X[:100], Y[:100]), (X[100:200], Y[100:200]), {test})

@task(space=Space([Hyperparameter("eta", Float(0.01, 0.1)), Hyperparameter("epochs", Integer(1, 5), fidelity=True)]),
      metric="accuracy", max_epochs=5, data=data)
def train(configuration, run):
    x, y = run.train
    model = SGDClassifier(learning_rate="constant", eta0=configuration["eta"], random_state=run.seed)
    for epoch in range(1, configuration["epochs"] + 1):
        model.partial_fit(x, y, classes=[0, 1])
        (run.folder / "rows.txt").write_text(str(len(x)))
        run.keep({{"rows": len(x), "epoch": epoch}}, "facts")
        run.keep(run.folder / "rows.txt", "rows")
        run.report(epoch=epoch, accuracy=run.score(model.predict))
"""


@pytest.fixture
def db(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.setenv("EVENHAND_DATA", str(tmp_path / "data"))
    return f"sqlite:///{tmp_path / 'lab.sqlite'}"


def written(path: Path, rows: Any, names: list[str] | None = None) -> Path:
    with path.open("w", newline="") as file:
        csv.writer(file).writerows([*([names] if names else []), *rows])
    return path


def table_of(frame: Any, path: Path) -> Path:
    frame.to_csv(path, index=False)
    return path


def command(*words: str) -> Any:
    return CliRunner().invoke(app, list(words), catch_exceptions=False)


def frame(rows: int = 240) -> Any:
    pandas = need("pandas") or import_module("pandas")
    rng = np.random.default_rng(1)
    size = rng.normal(size=rows)
    return pandas.DataFrame(
        {
            "ticket": range(1000, 1000 + rows),
            "size": size,
            "colour": rng.choice(["red", "blue"], rows),
            "seen": pandas.date_range("2026-01-01", periods=rows, freq="D").to_numpy()[rng.permutation(rows)],
            "is_new": rng.random(rows) > 0.5,
            "note": [f"a note on item {number} of {rows}" for number in rng.integers(0, 99999, rows)],
        }
    ), (size > 0).astype(int)


# Estimators


def tuned_table(db: str) -> tuple[Any, Any]:
    x, y = frame()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        result = evenhand.tune_estimator(
            LogisticRegression(), x, y, {"C": Float(0.01, 10, log=True)}, trials=3, db=db, progress=False
        )
    return result, x


@pytest.mark.slow
def test_an_estimator_on_a_table_becomes_a_model_that_predicts_new_ones(db: str, tmp_path: Path) -> None:
    result, x = tuned_table(db)
    folder = result.finalize(tmp_path / "model")
    new = table_of(x, tmp_path / "new.csv")
    want = result.best_estimator_.predict(x)
    with_ids = command("predict", str(folder), str(new), "--db", db)
    assert with_ids.stdout.split() == [str(value) for value in want]
    assert "Columns that number the rows, and were left out in training: ticket" in with_ids.stderr
    shuffled = x[["note", "colour", "size", "is_new", "seen"]].assign(target="?")
    without = command(
        "predict", str(folder), str(table_of(shuffled, tmp_path / "more.csv")), "--to", str(tmp_path / "out.csv"), "--db", db
    )
    assert "Columns that the model does not know, and which are not used: target" in without.stderr
    rows = list(csv.DictReader((tmp_path / "out.csv").open()))
    assert [row["prediction"] for row in rows] == [str(value) for value in want]
    assert list(rows[0]) == ["note", "colour", "size", "is_new", "seen", "target", "prediction"]
    one = predict(Lab.connect(db), str(folder), table_of(x.head(1), tmp_path / "one.csv"))
    assert one.values == [want[0]]


@pytest.mark.slow
def test_the_card_says_what_the_model_is(db: str, tmp_path: Path) -> None:
    result, _ = tuned_table(db)
    folder = result.finalize(tmp_path / "model")
    card = json.loads((folder / CARD).read_text())
    assert card["configuration"] == dict(result.configuration)
    assert card["data"]["rows"] == 192  # of 240: a fifth is for test
    assert card["certainty"] == result.certainty
    assert [column["name"] for column in card["columns"] if not column["used"]] == ["ticket"]
    assert card["versions"]["scikit-learn"]
    assert set(card["files"]) == {PREDICTOR}
    text = (folder / README).read_text()
    assert result.certainty in text
    assert card["files"][PREDICTOR] in text
    assert "left out: ticket" in text
    again = result.finalize(folder)  # it is replaced
    assert json.loads((again / CARD).read_text())["data"] == card["data"]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["data", "lab.sqlite", "model"]


@pytest.mark.slow
def test_columns_are_checked_and_named(db: str, tmp_path: Path) -> None:
    result, x = tuned_table(db)
    folder, lab = result.finalize(), Lab.connect(db)
    for changed, match in (
        (x.drop(columns=["size", "note"]), "lacks the columns size, note$"),
        (x.rename(columns={"size": "Size"}), "lacks the columns size; it has others that the model does not know: Size"),
        (x.assign(size="large"), "column 'size' has 'large' in row 1, expected a number"),
        (x.assign(is_new="perhaps"), "column 'is_new' has 'perhaps' in row 1, expected true or false"),
        (x.assign(seen="soon"), "column 'seen' has 'soon' in row 1, expected a date"),
        (x.head(0), "no row"),
    ):
        with pytest.raises(DataError, match=match):
            predict(lab, str(folder), table_of(changed, tmp_path / "new.csv"))
    missing = x.assign(size=np.nan, colour=None)
    assert len(predict(lab, str(result.session_id), table_of(missing, tmp_path / "new.csv")).values) == 240
    for rows, match in (
        ([["1", "2"], ["3"]], "row 2 has 1 fields, and the first one 2"),
        ([], "is empty"),
        ([["1", "2"]], "has no names of columns"),
    ):
        with pytest.raises(DataError, match=match):
            predict(lab, str(folder), written(tmp_path / "new.csv", rows))
    (tmp_path / "binary.csv").write_bytes(b"\xff\xfe\x00")
    for path in (tmp_path / "none.csv", tmp_path / "binary.csv"):
        with pytest.raises(DataError, match="cannot be read as CSV"):
            predict(lab, str(folder), path)


@pytest.mark.slow
def test_an_array_has_no_names_so_the_number_of_columns_is_checked(db: str, tmp_path: Path) -> None:
    result = evenhand.tune_estimator(
        DecisionTreeClassifier(), X, Y, {"max_depth": Integer(1, 4)}, trials=3, cv=3, db=db, progress=False
    )
    folder, lab = result.finalize(tmp_path / "model"), Lab.connect(db)
    want = result.best_estimator_.predict(X).tolist()
    assert predict(lab, str(folder), written(tmp_path / "new.csv", X.tolist())).values == want
    assert predict(lab, str(folder), written(tmp_path / "new.csv", X.tolist(), ["a", "b", "c", "d"])).values == want
    with pytest.raises(
        DataError, match=r"has 5 columns \(a, b, c, d, e\), expected 4: the model learnt from numbers without names"
    ):
        predict(lab, str(folder), written(tmp_path / "new.csv", [[1, 2, 3, 4, 5]], ["a", "b", "c", "d", "e"]))
    with pytest.raises(DataError, match="column 'b' has 'x' in row 1, expected a number"):
        predict(lab, str(folder), written(tmp_path / "new.csv", [[1, "x", 3, 4]], ["a", "b", "c", "d"]))
    assert read(written(tmp_path / "new.csv", [[1, 2]])).names is None


@pytest.mark.slow
def test_texts_are_one_column(db: str, tmp_path: Path) -> None:
    words = [f"{'good' if label else 'bad'} film number {number}" for number, label in enumerate(Y)]
    pipeline = make_pipeline(CountVectorizer(), LogisticRegression())
    result = evenhand.tune_estimator(
        pipeline, np.array(words, dtype=object), Y, {"logisticregression__C": Float(0.1, 10)}, trials=2, db=db, progress=False
    )
    folder, lab = result.finalize(tmp_path / "model"), Lab.connect(db)
    predicted = predict(lab, str(folder), written(tmp_path / "new.csv", [["a good film"], ["a bad, bad film"]], ["review"]))
    assert predicted.values == [1, 0]
    with pytest.raises(DataError, match="has 2 columns, expected one: the model takes a text for each example"):
        predict(lab, str(folder), written(tmp_path / "new.csv", [["a", "b"]], ["one", "two"]))


# What is read


class Harmful:
    """A pickle that leaves a trace."""

    def __init__(self, trace: Path) -> None:
        self.trace = trace

    def __reduce__(self) -> Any:
        return (Path.touch, (self.trace,))


@pytest.mark.slow
def test_a_model_that_this_laboratory_did_not_write_is_not_read(db: str, tmp_path: Path) -> None:
    result = evenhand.tune_estimator(
        DecisionTreeClassifier(), X, Y, {"max_depth": Integer(1, 4)}, trials=2, db=db, progress=False
    )
    folder, lab = result.finalize(tmp_path / "model"), Lab.connect(db)
    new = written(tmp_path / "new.csv", X.tolist())
    other = Lab.connect(f"sqlite:///{tmp_path / 'other.sqlite'}")
    with pytest.raises(Refused, match="add --trust"):
        predict(other, str(folder), new)
    assert len(predict(other, str(folder), new, trust=True).values) == 300
    (folder / PREDICTOR).write_bytes(pickle.dumps(Harmful(tmp_path / "trace")))
    card = json.loads((folder / CARD).read_text())
    card["files"][PREDICTOR] = import_module("hashlib").sha256((folder / PREDICTOR).read_bytes()).hexdigest()
    (folder / CARD).write_text(json.dumps(card))
    with pytest.raises(Refused, match="is not as this laboratory wrote it"):
        predict(lab, str(folder), new)
    assert not (tmp_path / "trace").exists()
    result.finalize(folder)
    (tmp_path / "harmful.py").write_text(f"open({str(tmp_path / 'trace')!r}, 'w')")
    card = json.loads((folder / CARD).read_text())
    card["task"] |= {"name": f"{tmp_path / 'harmful.py'}:train", "load first": True}
    (folder / CARD).write_text(json.dumps(card))
    with pytest.raises(Refused, match="is not as this laboratory wrote it"):
        predict(lab, str(folder), new)
    assert not (tmp_path / "trace").exists()
    for broken in ("{}", "no", '{"format": 2}', "[]"):
        (folder / CARD).write_text(broken)
        with pytest.raises(DataError, match=r"card.json"):
            predict(lab, str(folder), new)
    (tmp_path / "empty").mkdir()
    for name, match in (
        (str(tmp_path / "empty"), "holds no final model"),
        ("nobody", "neither a folder 'nobody' nor a session"),
        ("77", "neither a folder '77' nor a session"),
        ("1", "has no final model on this machine; evenhand finalize 1"),
    ):
        with pytest.raises(NotFound, match=match):
            predict(lab, name, new)


@pytest.mark.slow
def test_a_folder_with_other_files_is_left_alone(db: str, tmp_path: Path) -> None:
    result = evenhand.tune_estimator(
        DecisionTreeClassifier(), X, Y, {"max_depth": Integer(1, 4)}, trials=2, db=db, progress=False
    )
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.tex").write_text("words")
    (tmp_path / "link").symlink_to(tmp_path / "mine")
    for place in ("mine", "link", "lab.sqlite"):
        with pytest.raises(InvalidSettings, match="expected one that is new, empty, or holds a final model"):
            result.finalize(tmp_path / place)
    assert (tmp_path / "mine" / "thesis.tex").read_text() == "words"


# Functions, and tasks that are found by name


@pytest.mark.slow
def test_a_file_is_finalized_and_predicts_from_the_command_line(db: str, tmp_path: Path) -> None:
    source = tmp_path / "my.py"
    source.write_text(SOURCE.format(test="test_part"))
    evenhand.tune(evenhand.load_task(f"{source}:train"), trials=3, name="mine", evaluate=False, db=db, progress=False)
    said = command("finalize", "mine", "--to", str(tmp_path / "model"), "--db", db).stdout
    assert f"The model of session 1 is in {tmp_path / 'model'}" in said
    card = json.loads((tmp_path / "model" / CARD).read_text())
    assert (card["data"]["rows"], card["data"]["features"]) == (200, 4)  # training and validation; test was not opened
    assert set(card["files"]) == {PREDICTOR, "parts/facts.joblib", "parts/rows/rows.txt"}
    facts = import_module("joblib").load(tmp_path / "model" / "parts" / "facts.joblib")
    assert facts == {"rows": 200, "epoch": card["epochs"]}
    assert card["epochs"] == card["configuration"]["epochs"]
    assert (tmp_path / "model" / "parts" / "rows" / "rows.txt").read_text() == "200"
    new = written(tmp_path / "new.csv", X[:20].tolist())
    shown = command("predict", str(tmp_path / "model"), str(new), "--db", db).stdout.split()
    assert sum(a == str(b) for a, b in zip(shown, (X[:20, 0] > 0).astype(int), strict=True)) >= 15
    source.write_text(source.read_text().replace("0.1", "0.2"))
    with pytest.raises(TaskMissing, match="is of another version of task"):
        command("predict", str(tmp_path / "model"), str(new), "--db", db)
    with pytest.raises(TaskMissing, match="is not here as the session had it"):
        command("finalize", "mine", "--db", db)


@pytest.mark.slow
def test_a_built_in_task_is_finalized_and_found_by_its_session(db: str, tmp_path: Path) -> None:
    result = evenhand.tune(
        evenhand.load_task(evenhand.TaskSpec("sklearn", {"data": "wine", "model": "knn"})), trials=3, db=db, progress=False
    )
    command("finalize", "1", "--db", db)
    x, y = import_module("sklearn.datasets").load_wine(return_X_y=True)
    values = predict(Lab.connect(db), "1", written(tmp_path / "new.csv", x.tolist())).values
    assert np.mean(np.array(values) == y) > 0.6
    assert result.certainty in (tmp_path / "data" / "models").glob("*/README.md").__next__().read_text()


@pytest.mark.slow
def test_networks_keep_their_weights(db: str, tmp_path: Path) -> None:
    need("torch")
    torch = import_module("torch")

    def data() -> Splits:
        return Splits((X[:100], Y[:100]), (X[100:200], Y[100:200]), (X[200:], Y[200:]))

    @evenhand.task(space={"lr": Float(0.01, 0.1)}, metric="accuracy", max_epochs=1, data=data)
    def train(configuration: Configuration, run: Run) -> None:
        x, y = run.train
        network = torch.nn.Linear(4, 2)
        optimizer = torch.optim.SGD(network.parameters(), lr=configuration["lr"])
        for _ in range(20):
            optimizer.zero_grad()
            torch.nn.functional.cross_entropy(network(torch.tensor(x, dtype=torch.float32)), torch.tensor(y)).backward()
            optimizer.step()
        run.keep(network, "network")
        run.report(
            epoch=1, accuracy=run.score(lambda scored: network(torch.tensor(scored, dtype=torch.float32)).detach().numpy())
        )

    result = evenhand.tune(train, trials=2, db=db, progress=False)
    folder = result.finalize(tmp_path / "model")
    weights = torch.load(folder / "parts" / "network.pt", weights_only=True)
    assert {name: tuple(value.shape) for name, value in weights.items()} == {"weight": (2, 4), "bias": (2,)}
    with pytest.raises(Refused, match="cannot predict: what predicts cannot be stored"):
        predict(Lab.connect(db), str(folder), written(tmp_path / "new.csv", X.tolist()))
    assert "what predicts cannot be stored" in (folder / README).read_text()


@pytest.mark.slow
@pytest.mark.parametrize("lane", engines.LANES)
def test_an_mlp_predicts_points_in_each_lane(db: str, tmp_path: Path, lane: str) -> None:
    need(f"lane {lane}")
    settings = {"data": "10", "scale": 0.02, "lane": lane, "least_epochs": 4, "max_epochs": 5}
    task = evenhand.load_task(evenhand.TaskSpec("mlp", settings))
    result = evenhand.tune(task, trials=3, evaluate=False, db=db, progress=False)
    assert result.best is not None
    assert result.best.value is not None
    command("finalize", "1", "--to", str(tmp_path / "model"), "--db", db)
    assert task.data is not None
    x, y = task.data().load("validation")
    values = predict(Lab.connect(db), str(tmp_path / "model"), written(tmp_path / "new.csv", x.tolist())).values
    assert np.mean(np.array(values) == y) > result.best.value - 0.1
    content, learnt = (tmp_path / "model" / PREDICTOR).read_bytes(), task.data().load("train")[0]
    assert not any(learnt[:10].astype(dtype).tobytes() in content for dtype in (np.float32, np.float64))


@pytest.mark.slow
def test_images_are_predicted(db: str, tmp_path: Path) -> None:
    need("torch")
    image = import_module("PIL.Image")
    rng = np.random.default_rng(0)
    for name, tint in (("dark", 40), ("light", 210)):
        (tmp_path / "set" / "train" / name).mkdir(parents=True)
        for number in range(40):
            pixels = np.clip(rng.normal(tint, 20, (20, 24, 3)), 0, 255).astype(np.uint8)
            image.fromarray(pixels).save(tmp_path / "set" / "train" / name / f"{number}.png")
    settings = {"data": str(tmp_path / "set"), "size": 32, "max_epochs": 3, "augment": False}
    evenhand.tune(evenhand.load_task(evenhand.TaskSpec("black-magic", settings)), trials=1, evaluate=False, db=db, progress=False)
    command("finalize", "1", "--db", db)
    model = predict(Lab.connect(db), "1", tmp_path / "set" / "train" / "dark")
    assert set(model.values) <= {"dark", "light"}
    assert [Path(file).name for (file,) in model.table.rows] == sorted(f"{number}.png" for number in range(40))
    one = command(
        "predict", "1", str(tmp_path / "set" / "train" / "light" / "3.png"), "--to", str(tmp_path / "out.csv"), "--db", db
    )
    assert one.exit_code == 0
    assert (tmp_path / "out.csv").read_text().splitlines()[0] == "file,prediction"
    (tmp_path / "none").mkdir()
    with pytest.raises(DataError, match="is no image and holds none"):
        predict(Lab.connect(db), "1", tmp_path / "none")
    (tmp_path / "none" / "broken.png").write_bytes(b"no")
    with pytest.raises(DataError, match=r"broken.png: cannot be read as an image"):
        predict(Lab.connect(db), "1", tmp_path / "none")


@pytest.mark.slow
def test_what_cannot_be_finalized_is_said(db: str, tmp_path: Path) -> None:
    line = Space({"x": Float(0, 1)})
    settings: dict[str, Any] = {"direction": "maximize", "db": db, "progress": False}
    nothing = evenhand.tune(lambda c: c["x"], line, trials=1, **settings)
    with pytest.raises(Refused, match=r"never called run.score\(predict\)\); have the training function keep its model"):
        nothing.finalize(tmp_path / "model")
    assert not (tmp_path / "model").exists()
    failed = evenhand.tune(lambda c: 1 / 0, line, trials=1, **settings)
    with pytest.raises(Refused, match="no trial had a value"):
        failed.finalize(tmp_path / "model")
    calls: list[int] = []

    def breaks_later(configuration: Configuration) -> float:
        calls.append(1)
        if len(calls) > 1:
            raise ValueError("no more")
        return 1.0

    later = evenhand.tune(breaks_later, line, trials=1, **settings)
    with pytest.raises(Refused, match=r"ended without a model: [\s\S]*ValueError: no more"):
        later.finalize(tmp_path / "model")
    for ends, match in ((SystemExit(3), "SystemExit: 3"), (evenhand.Diverged("it grew"), "it grew")):
        endings = iter([None, ends])

        def ends_later(configuration: Configuration, endings: Iterator[BaseException | None] = endings) -> float:
            if (ending := next(endings)) is not None:
                raise ending
            return 1.0

        with pytest.raises(Refused, match=match):
            evenhand.tune(ends_later, line, trials=1, **settings).finalize(tmp_path / "model")
    estimator = evenhand.tune_estimator(
        DecisionTreeClassifier(), X, Y, {"max_depth": Integer(1, 4)}, trials=1, db=db, progress=False
    )
    with pytest.raises(Refused, match="in the program that called tune_estimator"):
        command("finalize", str(estimator.session_id), "--db", db)
    program = evenhand.program("echo {x}", line, metric="value", direction="maximize", result=r"(?P<value>[\d.e-]+)")
    ran = evenhand.tune(program, trials=1, db=db, progress=False)
    with pytest.raises(EvenhandError, match="tuned a program, whose models only it can write"):
        ran.finalize(tmp_path / "model")


def test_what_a_function_keeps_is_a_model_without_a_predictor(db: str, tmp_path: Path) -> None:
    def train(configuration: Configuration, run: Run) -> float:
        run.keep({"weights": [1, 2]}, "model")
        return configuration.number("x")

    result = evenhand.tune(train, {"x": Float(0, 1)}, direction="maximize", trials=1, db=db, progress=False)
    before = os.umask(0o027)
    try:
        folder = result.finalize(tmp_path / "model")
    finally:
        os.umask(before)
    assert (folder.stat().st_mode & 0o777, (folder / CARD).stat().st_mode & 0o777) == (0o750, 0o640)
    assert import_module("joblib").load(folder / "parts" / "model.joblib") == {"weights": [1, 2]}
    card = json.loads((folder / CARD).read_text())
    assert card["data"] == {"what": "the function brings its own data, so what it learnt from is not known here"}
    with pytest.raises(Refused, match=r"never called run.score\(predict\)"):
        predict(Lab.connect(db), str(folder), written(tmp_path / "new.csv", [[1]]))
