"""Final models: a session's choice is trained on all data but test, and kept in a folder with a model card.

The folder holds `card.json` (what it is, and a checksum of each file), `README.md` (the same for people), and the model:
`model.joblib`, what predicts, and in `parts` what the training kept under names, weights of PyTorch as `NAME.pt`.
"""

import hashlib
import json
import platform
import secrets
import shutil
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from importlib import import_module
from pathlib import Path
from typing import Any

from evenhand._version import __version__
from evenhand.errors import InvalidSettings, Refused, TaskMissing
from evenhand.exchange import configuration_text
from evenhand.lab.lab import Lab
from evenhand.model import extras, rules
from evenhand.model.configuration import Configuration
from evenhand.model.job import place_of
from evenhand.model.session import Session
from evenhand.model.words import grouped, text_of
from evenhand.settings import data_dir
from evenhand.tasks import Task, final, machine, programs, versions

CARD = "card.json"
CARD_FORMAT = 1
README = "README.md"
PREDICTOR = "model.joblib"
PARTS = "parts"
COMPARED = 100  # examples of which a predictor that was read back has to predict the same


@dataclass(frozen=True)
class FinalModel:
    """A final model before it is written.

    Attributes:
        predictor: an estimator, or a function of X; None where there is none.
        kept: what the training kept under names.
        learnt_from: (X, y); None where the function has its own data.
        seed: of the training.
        epochs: that it trained for; None where that is no matter of epochs.
        columns: of X, where it is a data frame; see `columns_of`.
        classes: their names by number, of images.
        again: whether the task is loaded before the predictor is read.
    """

    predictor: Any
    kept: Mapping[str, Any]
    learnt_from: Any
    seed: int
    epochs: int | None = None
    columns: list[dict[str, Any]] = field(default_factory=list)
    classes: list[str] = field(default_factory=list)
    again: bool = False


def default_folder(session: Session) -> Path:
    """Where the final model of a session lies on this machine, where no other folder is named."""
    return data_dir() / "models" / place_of(session, 0, 0).partition("/")[0]


def choice_of(session: Session) -> Configuration:
    """The session's choice.

    Args:
        session: any.

    Returns:
        Its final configuration.

    Raises:
        Refused: there is none.
    """
    if session.choice is None:
        raise Refused(f"session {session.id} has no choice yet; go on with it, or end it: evenhand end {session.called}")
    if session.choice.configuration is None:
        raise Refused(f"session {session.id}: no trial had a value, so nothing was chosen that could be trained")
    return session.choice.configuration


def check_folder(folder: Path) -> None:
    """Nothing, or InvalidSettings where a folder cannot become a final model's.

    Args:
        folder: one that is not there, is empty, or holds a final model, which is replaced.

    Raises:
        InvalidSettings: it is something else.
    """
    if folder.is_symlink() or (folder.exists() and not folder.is_dir()):
        raise InvalidSettings(f"{folder} is no folder; expected one that is new, empty, or holds a final model")
    if folder.is_dir() and any(folder.iterdir()) and not (folder / CARD).is_file():
        raise InvalidSettings(f"the folder {folder} holds other files; expected one that is new, empty, or holds a final model")


def trained(task: Task, session: Session, folder: Path) -> FinalModel:
    """The choice, trained by its task on all data but test.

    Args:
        task: the session's.
        session: one with a choice.
        folder: for copies of files that the function keeps.

    Returns:
        The model.

    Raises:
        Refused: there is no choice, it is a program, or its training did not end well.
        TaskMissing: the task is here in another version.
    """
    configuration = choice_of(session)
    if why := versions.difference(session.task.version, task.version):
        raise TaskMissing(f"task {task.spec.name!r} is not here as the session had it: {why}")
    if task.name == programs.NAME:
        raise Refused(
            f"session {session.id} tuned a program, whose models only it can write; its best trial's folder is kept, and "
            f"evenhand best {session.id} --format args gives the arguments to run it again"
        )
    until = rules.evaluation_plan(replace(session, evaluation_mode="retrain"), {}).until
    left = final.train_finally(task, configuration, session.tuning_seed, until, folder)
    columns = [] if left.learnt_from is None else columns_of(left.learnt_from[0])
    classes = []
    if left.learnt_from is not None and image_size(left.learnt_from[0]):
        from evenhand.tasks.builtin.images import class_names

        classes = class_names(task.settings)
    again = ":" in task.name
    return FinalModel(left.predict, left.kept, left.learnt_from, session.tuning_seed, left.epochs, columns, classes, again)


def image_size(x: Any) -> int | None:
    """The size of images (N, size, size, 3) of bytes; None of anything else."""
    shape: tuple[int, ...] = getattr(x, "shape", ())
    is_image = len(shape) == 4 and shape[1] == shape[2] and shape[3] == 3 and str(x.dtype) == "uint8"
    return int(shape[1]) if is_image else None


def columns_of(x: Any, left_out: tuple[str, ...] = ()) -> list[dict[str, Any]]:
    """The columns of a data frame: their names, what they hold, of categories which, and whether they are used.

    Args:
        x: examples.
        left_out: columns that are not used.

    Returns:
        One entry a column; nothing where X is no data frame.
    """
    if not hasattr(x, "columns"):
        return []
    return [{"name": str(name), **_kind_of(x[name]), "used": str(name) not in left_out} for name in x.columns]


def _kind_of(column: Any) -> dict[str, Any]:
    types = import_module("pandas").api.types
    if isinstance(column.dtype, import_module("pandas").CategoricalDtype):
        categories = column.cat.categories
        numeric = types.is_numeric_dtype(categories)
        return {"kind": "category", "categories": [value if not numeric else float(value) for value in categories.tolist()]}
    if types.is_bool_dtype(column):
        return {"kind": "truth"}
    if types.is_numeric_dtype(column):
        return {"kind": "number"}
    if types.is_datetime64_any_dtype(column):
        return {"kind": "date"}
    return {"kind": "text"}


def write(lab: Lab, session: Session, model: FinalModel, certainty: str, folder: Path) -> Path:
    """Write a final model and its card, whole or not at all, and record the card's checksum in the laboratory.

    Args:
        lab: where the session is.
        session: whose choice it is.
        model: what was trained.
        certainty: how sure the result is, in words.
        folder: where to.

    Returns:
        The folder.

    Raises:
        Refused: nothing of the model can be kept.
        InvalidSettings: the folder holds other files.
    """
    check_folder(folder)
    folder = folder.absolute()
    folder.parent.mkdir(parents=True, exist_ok=True)
    part = folder.with_name(f".{folder.name}-{secrets.token_hex(4)}")
    part.mkdir()
    try:
        why = _write_predictor(model, part)
        _write_parts(model.kept, part)
        if why is not None and not model.kept:
            raise Refused(
                f"session {session.id}: the choice was trained, but nothing of it can be kept ({why}); have the training "
                "function keep its model, as in run.keep(model, 'model'), or score with a method of it, as in "
                "run.score(model.predict)"
            )
        files = {path.relative_to(part).as_posix(): sha256(path) for path in sorted(part.rglob("*")) if path.is_file()}
        card = _card(session, model, certainty, files, why)
        (part / CARD).write_text(json.dumps(card, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
        (part / README).write_text(_readme(session, card), encoding="utf-8")
        lab.sessions.note_model(session.id, sha256(part / CARD))
        before = folder.with_name(f"{part.name}-before")
        if folder.exists():
            folder.rename(before)
        part.rename(folder)
        shutil.rmtree(before, ignore_errors=True)
    except BaseException:
        shutil.rmtree(part, ignore_errors=True)
        raise
    return folder


def _holds_texts(x: Any) -> bool:
    """Whether examples are texts (N,), which pipelines take."""
    return (isinstance(x, list) or len(getattr(x, "shape", ())) == 1) and all(isinstance(text, str) for text in x)


def sha256(path: Path) -> str:
    """The checksum of a file."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def predictions(predictor: Any, x: Any) -> Any:
    """What a predictor says of examples; of scores (N, classes) the largest one's place."""
    numpy = import_module("numpy")
    predicted = numpy.asarray(predictor.predict(x) if hasattr(predictor, "predict") else predictor(x))
    return predicted.argmax(axis=-1) if predicted.ndim == 2 and predicted.shape[1] > 1 else predicted.reshape(len(predicted))


def _write_predictor(model: FinalModel, folder: Path) -> str | None:
    """Write what predicts, where it can be read back and then predicts the same; else why not."""
    joblib, numpy = import_module("joblib"), import_module("numpy")
    if model.predictor is None:
        return "the training never called run.score(predict)"
    try:
        joblib.dump(model.predictor, folder / PREDICTOR)
        read_back = joblib.load(folder / PREDICTOR)
        if model.learnt_from is not None:
            some = model.learnt_from[0][:COMPARED]
            if not numpy.array_equal(predictions(model.predictor, some), predictions(read_back, some)):
                raise ValueError("read back, it predicts something else")
    except Exception as error:  # of whatever kind: pickling runs the object's own code
        (folder / PREDICTOR).unlink(missing_ok=True)
        return f"what predicts cannot be stored: {text_of(error)}"
    return None


def _write_parts(kept: Mapping[str, Any], folder: Path) -> None:
    for name, thing in kept.items():
        path = folder / PARTS / name
        path.parent.mkdir(exist_ok=True)
        if isinstance(thing, Path):
            path.mkdir()
            thing.rename(path / thing.name)
        elif (weights := _weights_of(thing)) is not None:
            import_module("torch").save(weights, path.with_name(f"{name}.pt"))
        else:
            import_module("joblib").dump(thing, path.with_name(f"{name}.joblib"))


def _weights_of(thing: Any) -> Any | None:
    """The weights that a module or a state_dict of PyTorch holds; None of anything else."""
    torch = extras.loaded("torch")
    if torch is None:
        return None
    if isinstance(thing, torch.nn.Module):
        return thing.state_dict()
    is_weights = isinstance(thing, Mapping) and thing and all(isinstance(value, torch.Tensor) for value in thing.values())
    return thing if is_weights else None


def _card(session: Session, model: FinalModel, certainty: str, files: Mapping[str, str], why: str | None) -> dict[str, Any]:
    data: dict[str, Any] = {"what": "the function brings its own data, so what it learnt from is not known here"}
    if model.learnt_from is not None:
        x, y = model.learnt_from
        features = x.shape[1] if len(getattr(x, "shape", ())) == 2 else None
        data = {
            "what": "training and validation data; no test data",
            "rows": len(y),
            "features": features,
            "image size": image_size(x),
            "texts": _holds_texts(x),
            "checksum": final.checksum_of((x, y)),
        }
    return {
        "format": CARD_FORMAT,
        "made by": f"evenhand {__version__}",
        "session": session.id,
        "task": {
            "name": session.task.spec.name,
            "settings": dict(session.task.spec.settings),
            "version": session.task.version,
            "load first": model.again,
        },
        "metric": {"name": session.task.metric, "direction": session.task.direction},
        "configuration": json.loads(json.dumps(choice_of(session))),
        "seed": model.seed,
        "epochs": model.epochs,
        "data": data,
        "columns": model.columns,
        "classes": model.classes,
        "certainty": certainty,
        "versions": {"python": platform.python_version(), "evenhand": __version__, **machine.packages()},
        "no predictor": why,
        "files": dict(files),
    }


def _readme(session: Session, card: Mapping[str, Any]) -> str:
    data = card["data"]
    rows = f", {grouped(data['rows'])} rows (checksum {data['checksum'][:12]})" if "rows" in data else ""
    how = (
        "`evenhand predict FOLDER new.csv` predicts with it."
        if card["no predictor"] is None
        else (f"`evenhand predict` cannot use it: {card['no predictor']}.")
    )
    unused = [column["name"] for column in card["columns"] if not column["used"]]
    left_out = f"\nColumns that number the rows and were left out: {', '.join(unused)}.\n" if unused else ""
    configuration = configuration_text.yaml_text(session.space, choice_of(session))
    lines = "\n".join(f"- `{name}`: SHA-256 `{checksum}`" for name, checksum in card["files"].items())
    known = "\n".join(f"- {name} {version}" for name, version in card["versions"].items())
    epochs = f", {card['epochs']} epochs" if card["epochs"] else ""
    return f"""# Model of session {session.id}: {session.task.spec.short_name}

Tuned by {session.tuner} for {card["metric"]["name"]} ({card["metric"]["direction"]}), then trained anew:
seed {card["seed"]}{epochs}.
{how}

## How good it is
{card["certainty"]}

These numbers are of the trials and the seeds on test; this model itself, which learnt from more data, was not scored.

## What it learnt from
{data["what"][0].upper()}{data["what"][1:]}{rows}.
{left_out}
## Configuration
```yaml
{configuration}
```

## Versions
{known}

## Files
{lines}

Reading `.joblib` runs code, as pickles do: `evenhand predict` does so for models of its own laboratory only, unless
`--trust` says that you trust this folder.
"""


def is_of_estimator(session: Session) -> bool:
    """Whether the session's estimator and data are in the program that called `tune_estimator`, and nowhere else."""
    from evenhand.tasks.builtin import estimators

    return session.task.spec.name.startswith(f"{estimators.NAME}:")
