"""Ray Tune's folder of an experiment: `params.json` and `result.json` in a folder a trial. No pickle is opened."""

import json
import math
from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from evenhand.errors import InvalidSettings
from evenhand.exchange.formats import metrics, spaces
from evenhand.exchange.formats.base import ForeignRun, ForeignTrial, Losses, Point, Source, Wanted
from evenhand.model.trial import Outcome

NAME = "ray-tune"
WORDS = "a folder of an experiment of Ray Tune's"
TOOL = "ray"
PARAMETERS, RESULTS, ERROR = "params.json", "result.json", "error.txt"
STATES = "experiment_state-*.json"
STEP, SECONDS, AT = "training_iteration", "time_total_s", "timestamp"
# What Ray itself adds to each report.
OWN = frozenset((
    "timestamp", "checkpoint_dir_name", "done", "training_iteration", "trial_id", "date", "time_this_iter_s", "time_total_s",
    "pid", "hostname", "node_ip", "config", "time_since_restore", "iterations_since_restore", "experiment_tag",
    "should_checkpoint", "timesteps_since_restore", "timesteps_total", "episodes_total", "warmup_time", "experiment_id",
))  # fmt: skip
ERROR_CHARACTERS = 4000  # of a trial's error, that are kept


def holds(source: Source) -> bool:
    """Whether it is such a folder."""
    return source.is_folder and source.path is not None and any(True for _ in _folders(source.path))


def names(source: Source) -> list[str]:
    """The one experiment that it is."""
    assert source.path is not None
    return [source.path.resolve().name]


def read(source: Source, name: str, wanted: Wanted) -> ForeignRun:
    """The experiment."""
    assert source.path is not None
    folders, losses = list(_folders(source.path)), Losses()
    states, said = _states(source.path)
    ends = [_end(folder) for folder in folders]
    there = sorted({key for end in ends if end for key in end.numbers})
    metric, words = metrics.chosen(source.shown, there, wanted, said)
    domains, rows = spaces.tried([_parameters(folder) for folder in folders], losses)
    trials = [
        _trial(number, folder, row, end, metric.name, states)
        for number, (folder, row, end) in enumerate(zip(folders, rows, ends, strict=True), 1)
    ]
    if any(trial.outcome is Outcome.COMPLETED for trial in trials):
        losses.note("Ray's files do not say which trials its scheduler stopped early: all that ended well count as completed")
    return ForeignRun(
        name=name,
        format=NAME,
        metrics=(metric,),
        direction_words=words,
        domains=domains,
        trials=trials,
        losses=losses,
        tuner=TOOL,
        tool=TOOL,
        dated=source.dated,
        curves=partial(_curves, folders, metric.name, losses),
    )


def _folders(folder: Path) -> Iterator[Path]:
    """The trials' folders, in the order in which Ray began them, as their names say."""
    paths = [path for path in folder.iterdir() if path.is_dir() and (path / PARAMETERS).is_file()]
    return iter(sorted(paths, key=lambda path: path.name))


def _json(path: Path) -> Any:
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise InvalidSettings(f"{path}: cannot be read ({error})") from None


def _parameters(folder: Path) -> dict[str, Any]:
    read = _json(folder / PARAMETERS)
    if not isinstance(read, dict):
        raise InvalidSettings(f"{folder / PARAMETERS}: expected the trial's hyperparameters by name")
    return spaces.flattened(read)


def _states(folder: Path) -> tuple[Mapping[str, str], str | None]:
    """Where each trial stood, by its id, and the metric that was tuned, as far as Ray's last note of the experiment says."""
    path = max(folder.glob(STATES), default=None)
    if path is None:
        return {}, None
    read = _json(path)
    states = {}
    for entry in read.get("trial_data", ()):
        trial = json.loads(entry[0]) if isinstance(entry[0], str) else entry[0]
        states[str(trial["trial_id"])] = str(trial.get("status", ""))
    metric = read.get("runner_data", {}).get("_metric")
    return states, metric if isinstance(metric, str) else None


class _End:
    """What a trial reported last. began: in seconds since 1970."""

    def __init__(self, lines: Sequence[Mapping[str, Any]]) -> None:
        first, last = lines[0], lines[-1]
        self.numbers = _numbers(last)
        self.trial_id = str(last.get("trial_id", ""))
        at = last.get(AT)
        self.ended = float(at) if isinstance(at, int | float) else None
        seconds = last.get(SECONDS)
        self.began = None if self.ended is None or not isinstance(seconds, int | float) else self.ended - seconds
        self.is_done = bool(last.get("done")) or bool(first.get("done"))


def _end(folder: Path) -> _End | None:
    lines = list(_lines(folder, None))
    return _End([lines[0], lines[-1]]) if lines else None


def _lines(folder: Path, losses: Losses | None) -> Iterator[Mapping[str, Any]]:
    """What a trial reported, in order; a last line that is half-written is left out."""
    path = folder / RESULTS
    if not path.is_file():
        return
    bad = 0
    with path.open(encoding="utf-8", errors="replace") as file:
        for number, line in enumerate(file, 1):
            if bad:
                raise InvalidSettings(f"{path}: line {bad} is no report of Ray Tune's: the file is damaged there")
            try:
                read = json.loads(line)
            except ValueError:
                bad = number
                continue
            if isinstance(read, dict):
                yield spaces.flattened(read)
    if bad and losses is not None:
        losses.note("the last report of {trials} is half-written and left out", folder.name)


def _numbers(report: Mapping[str, Any]) -> dict[str, float]:
    """What the training itself reported, as numbers by name."""
    return {
        key: float(value)
        for key, value in report.items()
        if key.partition(spaces.JOINT)[0] not in OWN and isinstance(value, int | float) and not isinstance(value, bool)
    }


def _trial(number: int, folder: Path, row: spaces.Row, end: _End | None, metric: str, states: Mapping[str, str]) -> ForeignTrial:
    error = folder / ERROR
    status = states.get(end.trial_id, "") if end else ""
    outcome: Outcome | None
    why = None
    if error.is_file():
        outcome, why = Outcome.INVALID, error.read_text(encoding="utf-8", errors="replace")[-ERROR_CHARACTERS:]
    elif end is None or status in ("RUNNING", "PENDING", "PAUSED") or not (status or end.is_done):
        outcome = None
    else:
        outcome = Outcome.COMPLETED
    return ForeignTrial(
        number=number,
        label=folder.name,
        values=row,
        outcome=outcome,
        value=end.numbers.get(metric) if end else None,
        why=why,
        started=end.began if end else None,
        ended=end.ended if end else None,
    )


def _curves(folders: Sequence[Path], metric: str, losses: Losses) -> Iterator[tuple[int, Sequence[Point]]]:
    for number, folder in enumerate(folders, 1):
        points: dict[int, Point] = {}
        for place, report in enumerate(_lines(folder, losses), 1):
            numbers = _numbers(report)
            step, seconds = report.get(STEP, place), report.get(SECONDS)
            value = numbers.pop(metric, None)
            points[int(step)] = Point(int(step), value, seconds if _is_real(seconds) else None, numbers)
        if points:
            yield number, [points[step] for step in sorted(points)]


def _is_real(value: object) -> bool:
    return isinstance(value, int | float) and math.isfinite(value)
