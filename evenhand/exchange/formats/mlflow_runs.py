"""An experiment of MLflow as a run, from whichever of its stores: parameters are text there, and nothing says what was tuned."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import groupby
from typing import NamedTuple

from evenhand.exchange.formats import metrics, spaces
from evenhand.exchange.formats.base import ForeignRun, ForeignTrial, Losses, Point, Wanted
from evenhand.model.trial import Outcome, Stopper

TOOL = "mlflow"
NOTE_TAG, NAME_TAG = "mlflow.note.content", "mlflow.runName"
OWN_TAGS = "mlflow."  # what tags begin with that MLflow writes itself
MILLISECONDS = 1000.0  # in a second
ENDINGS: Mapping[str, tuple[Outcome | None, str | None, Stopper | None]] = {
    "FINISHED": (Outcome.COMPLETED, None, None),
    "FAILED": (Outcome.INVALID, "MLflow says that the run failed, and keeps no reason", None),
    "KILLED": (Outcome.STOPPED, "killed", Stopper.RESEARCHER),
    "RUNNING": (None, None, None),
    "SCHEDULED": (None, None, None),
}


class Logged(NamedTuple):
    """One value of a metric. at: in milliseconds since 1970."""

    step: int
    at: int
    metric: str
    value: float


@dataclass(slots=True)
class MlflowRun:
    """One run as MLflow stores it. started, ended: in milliseconds since 1970."""

    id: str
    name: str
    status: str
    started: int | None
    ended: int | None
    parameters: dict[str, str] = field(default_factory=dict)
    tags: dict[str, str] = field(default_factory=dict)
    last: dict[str, float] = field(default_factory=dict)


def run_of(
    source: str,
    experiment: str,
    form: str,
    runs: Sequence[MlflowRun],
    logged: Callable[[], Iterator[tuple[str, Sequence[Logged]]]],
    wanted: Wanted,
) -> ForeignRun:
    """An experiment as a run. logged: what runs logged, by their ids; it may be asked for again."""
    losses = Losses()
    names = sorted({name for run in runs for name in run.last})
    metric, words = metrics.chosen(f"{source}, experiment {experiment!r}", names, wanted)
    ordered = sorted(runs, key=lambda run: (run.started or 0, run.id))
    columns = dict.fromkeys(name for run in ordered for name in run.parameters)
    texts = {name: spaces.typed_texts([run.parameters.get(name) for run in ordered]) for name in columns}
    rows = [
        {name: texts[name][place] for name in run.parameters if texts[name][place] is not None}
        for place, run in enumerate(ordered)
    ]
    domains, values = spaces.tried(rows, losses)
    numbers = {run.id: number for number, run in enumerate(ordered, 1)}
    started = {run.id: run.started for run in ordered}
    trials = [
        _trial(number, run, row, metric.name, losses) for number, (run, row) in enumerate(zip(ordered, values, strict=True), 1)
    ]

    def curves() -> Iterator[tuple[int, Sequence[Point]]]:
        for run_id, points in logged():
            if run_id in numbers:
                yield numbers[run_id], _points(points, metric.name, started[run_id])

    return ForeignRun(
        name=experiment,
        format=form,
        metrics=(metric,),
        direction_words=words,
        domains=domains,
        trials=trials,
        losses=losses,
        tuner=TOOL,
        tool=TOOL,
        curves=curves,
    )


def _trial(number: int, run: MlflowRun, values: spaces.Row, metric: str, losses: Losses) -> ForeignTrial:
    outcome, why, by = ENDINGS.get(run.status, (None, None, None))
    for name, text in run.tags.items():
        if not name.startswith(OWN_TAGS):
            losses.note(f"tag {name!r} of {{trials}} is not kept", text)
    return ForeignTrial(
        number=number,
        label=run.name or run.id,
        values=values,
        outcome=outcome,
        value=run.last.get(metric),
        why=why,
        stop_by=by,
        started=None if run.started is None else run.started / MILLISECONDS,
        ended=None if run.ended is None else run.ended / MILLISECONDS,
        explanation=". ".join(text for text in (run.name, run.tags.get(NOTE_TAG, "")) if text),
    )


def _points(logged: Sequence[Logged], metric: str, started: int | None) -> list[Point]:
    """One point a step, with the last value of each metric there."""
    points = []
    for step, some in groupby(sorted(logged), key=lambda one: one.step):
        of_step = list(some)
        values = {one.metric: one.value for one in of_step}
        seconds = None if started is None else max(0.0, (of_step[-1].at - started) / MILLISECONDS)
        value = values.pop(metric, None)
        points.append(Point(step, value, seconds, values))
    return points
