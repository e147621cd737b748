"""MLflow's tracking store in a folder, `mlruns`: a folder an experiment, within it one a run, within it a file a parameter."""

import json
from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path

from evenhand.errors import InvalidSettings
from evenhand.exchange.formats.base import ForeignRun, Source, Wanted
from evenhand.exchange.formats.mlflow_runs import NAME_TAG, Logged, MlflowRun, run_of

NAME = "mlflow-folder"
WORDS = "a folder mlruns of MLflow's, or one experiment's within it"
META = "meta.yaml"
STATES = {"1": "RUNNING", "2": "SCHEDULED", "3": "FINISHED", "4": "FAILED", "5": "KILLED"}
LEAST_WORDS = 3  # of a line of a metric's file: when, value, step; later versions of MLflow add more


def holds(source: Source) -> bool:
    """Whether it is such a folder."""
    return bool(_experiments(source))


def names(source: Source) -> list[str]:
    """The experiments in it that have a run."""
    return [name for name, folder in _experiments(source).items() if any(_runs(folder))]


def read(source: Source, name: str, wanted: Wanted) -> ForeignRun:
    """One of its experiments."""
    folders = {folder.name: folder for folder in _runs(_experiments(source)[name])}
    runs = [_run(folder) for folder in folders.values()]
    return run_of(source.shown, name, NAME, runs, partial(_logged, list(folders.values())), wanted)


def _experiments(source: Source) -> dict[str, Path]:
    """The folders of experiments by name; the folder itself may be one."""
    if not source.is_folder or source.path is None:
        return {}
    folders = [source.path, *sorted(path for path in source.path.iterdir() if path.is_dir())]
    experiments = {}
    for folder in folders:
        if (folder / META).is_file():
            facts = _facts(folder / META)
            if "experiment_id" in facts and "name" in facts and facts.get("lifecycle_stage", "active") == "active":
                experiments[facts["name"]] = folder
    return experiments


def _runs(experiment: Path) -> Iterator[Path]:
    for folder in sorted(experiment.iterdir()):
        path = folder / META
        if path.is_file() and "run_id" in (facts := _facts(path)) and facts.get("lifecycle_stage", "active") == "active":
            yield folder


def _facts(path: Path) -> dict[str, str]:
    """The lines `key: value` of a file of MLflow's; what is nested there it keeps elsewhere, too."""
    facts = {}
    for line in _text(path).splitlines():
        key, colon, value = line.partition(":")
        if colon and key == key.strip():
            facts[key] = _unquoted(value.strip())
    return facts


def _unquoted(text: str) -> str:
    if len(text) > 1 and text[0] == text[-1] == "'":
        return text[1:-1].replace("''", "'")
    if len(text) > 1 and text[0] == text[-1] == '"':
        return str(json.loads(text))
    return "" if text in ("null", "~") else text


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise InvalidSettings(f"{path}: cannot be read ({error})") from None


def _run(folder: Path) -> MlflowRun:
    facts = _facts(folder / META)
    tags = _files(folder / "tags")
    return MlflowRun(
        id=facts["run_id"],
        name=facts.get("run_name") or tags.get(NAME_TAG, ""),
        status=STATES.get(facts.get("status", ""), ""),
        started=_whole(facts.get("start_time")),
        ended=_whole(facts.get("end_time")),
        parameters=_files(folder / "params"),
        tags=tags,
        last={name: logged[-1].value for name, logged in _by_metric(folder).items() if logged},
    )


def _whole(text: str | None) -> int | None:
    return int(text) if text and text.isdecimal() else None


def _files(folder: Path) -> dict[str, str]:
    """The texts of the files in a folder by name, which may itself have slashes."""
    if not folder.is_dir():
        return {}
    return {path.relative_to(folder).as_posix(): _text(path) for path in sorted(folder.rglob("*")) if path.is_file()}


def _by_metric(folder: Path) -> dict[str, list[Logged]]:
    return {name: list(_lines(folder / "metrics" / name, name, text)) for name, text in _files(folder / "metrics").items()}


def _lines(path: Path, metric: str, text: str) -> Iterator[Logged]:
    for number, line in enumerate(text.splitlines(), 1):
        words = line.split()
        try:
            if len(words) == LEAST_WORDS - 1:
                words.append("0")
            yield Logged(int(words[2]), int(words[0]), metric, float(words[1]))
        except (ValueError, IndexError):
            raise InvalidSettings(f"{path}: line {number} is {line!r}, expected when, value and step of a metric") from None


def _logged(folders: Sequence[Path]) -> Iterator[tuple[str, Sequence[Logged]]]:
    for folder in folders:
        facts = _facts(folder / META)
        yield facts["run_id"], [one for some in _by_metric(folder).values() for one in some]
