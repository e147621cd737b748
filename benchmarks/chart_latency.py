"""How long it takes from a worker's measurement to the painted chart, in Chromium, with one trial training.

    python benchmarks/chart_latency.py [--seconds 30]

A real server with its own agent trains the black-magic task (SqueezeNet on 32-px digits, batch 64); each report carries the
wall clock's time at which the worker called `run.report`. In the page, a frame counts as painted when the one after it begins, so
the result is too high by up to one frame (17 ms), never too low. For every measurement: time until the first painted chart that
holds it or a later one. Both clocks are this machine's.
"""

import argparse
import os
import platform
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1]))  # the worker loads this file by its path

from evenhand.lab.lab import Lab
from evenhand.model.configuration import Configuration
from evenhand.model.study import Budget, Study
from evenhand.model.task import TaskSpec
from evenhand.rehearsal.run import held_port
from evenhand.studies.sample import text
from evenhand.tasks import Run, Splits, Task, load, task
from evenhand.tasks.builtin import black_magic

GOAL_SECONDS = 0.250  # seconds, of the median
CHROMIUM_OPTIONS = ["--no-sandbox", "--disable-gpu", "--disable-background-networking"]
WATCH_SCRIPT = """
() => {
  const host = document.querySelector("#chart-loss");
  window.painted = [];
  new MutationObserver(() => {
    const index = Number(host.dataset.index);
    requestAnimationFrame(() => window.painted.push([index, Date.now() / 1000]));
  }).observe(host, { attributeFilter: ["data-index"] });
}
"""


@cache
def digits() -> Task:
    """The black-magic task on digits at 32 px."""
    return black_magic.load({"data": "digits", "size": 32})


def splits() -> Splits:
    """Its data."""
    data = digits().data
    assert data is not None
    return data()


class Stamped:
    """A run whose reports say when they were made."""

    def __init__(self, run: Run) -> None:
        self._run = run

    def __getattr__(self, name: str) -> Any:
        return getattr(self._run, name)

    def report(self, **what: Any) -> None:
        """Report, with the time."""
        self._run.report(**what, sent=time.time())


@task(space=black_magic.space(1000, 100), metric="accuracy", max_epochs=100, data=splits)
def stamped(configuration: Configuration, run: Run) -> None:
    """The black-magic training with the time in every report."""
    digits().train(configuration, Stamped(run))  # type: ignore[arg-type]


@dataclass(frozen=True)
class Delays:
    """Seconds from report to paint: of batch losses, and of ends of epochs."""

    batches: list[float]
    epochs: list[float]
    frames: int


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=30, help="how long the training is watched")
    parser.add_argument("--chromium", default=shutil.which("chromium"), required=not shutil.which("chromium"), help="its path")
    chosen = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        result = measured(Path(folder), chosen.seconds, chosen.chromium)
    print(f"{platform.machine()}, {os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}, Python {platform.python_version()}")
    for name, delays in (("batch losses", result.batches), ("ends of epochs", result.epochs)):
        print(f"{name}: {words(delays)}")
    print(f"{result.frames} paintings in {chosen.seconds:.0f} s")
    median = statistics.median([*result.batches, *result.epochs])
    verdict = "met" if median <= GOAL_SECONDS else "MISSED"
    print(f"median {1000 * median:.0f} ms; the goal of {1000 * GOAL_SECONDS:.0f} ms is {verdict}")


def words(delays: list[float]) -> str:
    """Count, median, 90 and 99 % quantiles and maximum in milliseconds."""
    cuts = statistics.quantiles(delays, n=100, method="inclusive")
    shown = [f"{1000 * value:.0f}" for value in (cuts[49], cuts[89], cuts[98], max(delays))]
    return f"{len(delays)} measurements, median {shown[0]} ms, 90 % {shown[1]} ms, 99 % {shown[2]} ms, maximum {shown[3]} ms"


def measured(folder: Path, seconds: float, chromium: str) -> Delays:
    """Serve a lab from `folder`, train one trial, watch its page."""
    os.environ["EVENHAND_DATA"] = str(folder)
    lab = Lab.connect(f"sqlite:///{folder / 'evenhand.sqlite'}")
    participant_id, session_id = tuning(lab)
    with held_port() as port:
        command = [sys.executable, "-m", "evenhand.cli.main", "serve", "--port", str(port), "--slots", "1"]
        server = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env={**os.environ, "PYTHONUNBUFFERED": "1"})
        try:
            assert server.stdout is not None
            if not any("/signin/" in line for line in server.stdout):
                raise SystemExit("the server did not start; what it says is above")
            painted = watched(f"http://127.0.0.1:{port}", lab, participant_id, session_id, seconds, chromium)
            curve = lab.curve(session_id, 1).measurements
        finally:
            server.terminate()
            server.wait(timeout=30)
    delays: dict[bool, list[float]] = {True: [], False: []}
    for measurement in curve:
        at = next((at for index, at in painted if index >= measurement.index), None)
        if at is not None and painted[0][0] < measurement.index:  # what was there before the watch began is no news
            delays[measurement.epoch is None].append(at - measurement.extra["sent"])
    return Delays(delays[True], delays[False], len(painted))


def tuning(lab: Lab) -> tuple[int, int]:
    """A participant whose clock runs: ids of the participant and the session."""
    record = lab.studies.add_task(load(TaskSpec(f"{Path(__file__).resolve()}:stamped")).record)
    texts = text("consent"), text("details"), text("thanks")
    study = lab.studies.add(Study("latency", "Latency", record.id, Budget(seconds=7200), 1, *texts))
    person, _ = lab.participants.join(study.id)
    lab.participants.consent(person.id, study.consent.version)
    lab.participants.answer(person.id, "background", {"months": 12, "education": "master"})
    return person.id, lab.participants.begin(person.id).id


def watched(
    address: str, lab: Lab, participant_id: int, session_id: int, seconds: float, chromium: str
) -> list[tuple[int, float]]:
    """The chart's newest index and the time, for each time it was painted."""
    from playwright.sync_api import sync_playwright

    token = lab.tokens.issue("participant", participant_id)
    session = lab.sessions.get(session_id)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=CHROMIUM_OPTIONS)
        context = browser.new_context(viewport={"width": 1440, "height": 900})
        context.add_cookies([{"name": "evenhand_participant", "value": token, "url": address}])
        page = context.new_page()
        page.goto(f"{address}/p/{session.study_id}/tune")
        lab.submit(session_id, session.space.configuration({**black_magic.EXAMPLE, "epochs": 100}))
        page.wait_for_selector("#chart-loss[data-index='40'], #run[data-status='training']", timeout=60_000)
        page.wait_for_timeout(3000)  # the training's start is over
        page.evaluate(WATCH_SCRIPT)
        page.wait_for_timeout(1000 * seconds)
        painted: list[tuple[int, float]] = page.evaluate("window.painted")
        lab.stop(session_id, 1)
        browser.close()
    return painted


if __name__ == "__main__":
    main()
