"""A run of 50,000 trials in Chromium: our pages of it, beside optuna-dashboard's pages of the same trials on the same machine.

    python -m venv PLACE && PLACE/bin/pip install optuna-dashboard
    python -m benchmarks.large_run --dashboard PLACE/bin/python --out benchmarks/records      (50,000 trials, 3 rounds)
    python -m benchmarks.large_run --trials 5000 --rounds 1                                   (ours alone, a minute)

The trials are made (`benchmarks/made_runs.py`): 15 hyperparameters, six of them conditional, 5 % that end early, 20 reports each.
The dashboard gets them as an Optuna storage in SQLite (`sides/dashboard_storage.py`). Each visit has a server and a browser of
its own, started before it; pages take turns, so that what else the machine does falls on all alike. A page that has not come
after `PATIENCE_SECONDS` is recorded as that.

Measured of a visit, in milliseconds since the page was asked for: the browser's first contentful paint; the moment at which the
page first shows numbers of trials; and that at which it shows what it is for, all of it. Where the page has a chart to brush, a
finger is drawn along an axis, and the time between frames is counted. Where it has rows, it is scrolled, and frames are counted
in which nothing stood where rows should. Then the resident memory of the server.
"""

import argparse
import datetime
import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import psutil
from playwright.sync_api import Browser, Page, sync_playwright
from playwright.sync_api import Error as BrowserError

from benchmarks import made_runs
from evenhand.lab.lab import Lab
from evenhand.rehearsal.run import held_port, wait_for_server
from evenhand.tasks import machine
from evenhand.web.access import COOKIE_NAMES, Role

ROOT = Path(__file__).resolve().parents[1]
CHROMIUM = "/usr/bin/chromium"
CHROMIUM_OPTIONS = ["--no-sandbox", "--disable-gpu", "--disable-background-networking"]
VIEWPORT = {"width": 1600, "height": 1000}
PATIENCE_SECONDS = 120.0  # after which a page is recorded as not having come
STOP_SECONDS = 20.0  # that a server has to end in order
LOOK_MS = 25  # between two looks whether a page shows something
BRUSH_STEPS, BRUSH_STEP_MS = 60, 16
SCROLL_STEPS, SCROLL_STEP_MS, SCROLL_PIXELS = 80, 16, 900
MOST_HAND_SECONDS = 15.0  # for which a page is brushed or scrolled at most
# Within the page, from its first moment on: when each of two conditions first held.
WATCH = """
(() => {
  window.seen = {};
  const conditions = { numbers: () => %s, complete: () => %s };
  const look = () => {
    for (const [name, holds] of Object.entries(conditions)) {
      if (!(name in window.seen) && holds()) window.seen[name] = performance.now();
    }
    if (!window.seen.complete || !window.seen.numbers) setTimeout(look, %d);
  };
  addEventListener("DOMContentLoaded", look);
})();
"""
FRAMES = """
() => {
  window.gaps = [];
  let last = performance.now();
  const tick = (now) => { window.gaps.push(now - last); last = now; requestAnimationFrame(tick); };
  requestAnimationFrame(tick);
}
"""
# Frames in which, at five places of the region where rows stand, there is no text.
BLANKS = """
(selector) => {
  window.blanks = { frames: 0, blank: 0 };
  const box = document.querySelector(selector).getBoundingClientRect();
  const left = Math.max(0, box.left) + Math.min(box.width, innerWidth) / 4;
  const [top, bottom] = [Math.max(0, box.top), Math.min(innerHeight, box.bottom)];
  const look = () => {
    const texts = [0.15, 0.3, 0.5, 0.7, 0.85].map((share) => {
      const element = document.elementFromPoint(left, top + share * (bottom - top));
      const row = element?.closest("tr, li, [role=row], article, .MuiListItem-root, .MuiListItemButton-root");
      return row ? row.innerText.trim() : "";
    });
    window.blanks.frames += 1;
    if (!texts.some(Boolean)) window.blanks.blank += 1;
    requestAnimationFrame(look);
  };
  requestAnimationFrame(look);
}
"""


@dataclass(frozen=True)
class PageCase:
    """A page that is visited.

    side: whose. path: its address. numbers: a JavaScript condition for when numbers of trials are shown. complete: for when all
    is. axis: a selector of what is brushed. rows: a selector of the region that is scrolled.
    """

    name: str
    side: str
    path: str
    numbers: str
    complete: str
    axis: str = ""
    rows: str = ""


@dataclass(frozen=True)
class Visit:
    """What was measured of one visit. Times in milliseconds; None where it did not come, or there is nothing of the kind."""

    case: str
    first_paint: float | None
    numbers: float | None
    complete: float | None
    brush_frames: int | None
    brush_median: float | None
    brush_95: float | None
    brush_most: float | None
    scroll_frames: int | None
    scroll_blank: int | None
    server_mib: float
    problem: str = ""


def cases(trials: int, session_id: int) -> tuple[PageCase, ...]:
    """The pages, ours and the dashboard's."""
    session = f"/sessions/{session_id}"
    drawn = "document.querySelector('#explore-lines')?.dataset.drawn"
    plot = "document.querySelector('#plot-history')?.data"
    return (
        PageCase(
            "session",
            "ours",
            session,
            numbers="document.querySelector('main [data-trial]') !== null",
            complete="document.querySelectorAll('main [data-trial]').length > 5",
            rows="main",
        ),
        PageCase(
            "explore",
            "ours",
            f"{session}/explore",
            numbers="document.querySelectorAll('#explore-table tbody tr').length > 0",
            complete=f"{drawn} === '{trials}'",
            axis=".parallel-strip:nth-child(2)",
        ),
        PageCase(
            "history",
            "dashboard",
            "/dashboard/studies/1",
            numbers=f"{plot}?.[0]?.x?.length > 0",
            complete=f"{plot}?.some((trace) => trace.x?.length > {trials // 2})",
        ),
        PageCase(
            "list",
            "dashboard",
            "/dashboard/studies/1/trials",
            numbers="document.body.textContent.includes('Trial 0')",
            complete=f"document.body.textContent.includes('{trials} Trials')",
            rows="#dashboard",
        ),
        PageCase(
            "parallel coordinates",
            "dashboard",
            "/dashboard/studies/1/analytics",
            numbers="document.querySelectorAll('.parcoords .y-axis').length > 0",
            complete="document.querySelectorAll('.parcoords .y-axis .axis-brush').length > 5",
            axis=".parcoords .y-axis:nth-child(2) .axis-brush",
        ),
    )


# Servers


@dataclass(frozen=True)
class Running:
    """A server that answers. cookie: what signs a browser in, by name; empty where nothing does."""

    url: str
    process: subprocess.Popen[bytes]
    cookie: tuple[str, str] = ("", "")

    @property
    def mib(self) -> float:
        """Its resident memory, children included."""
        own = psutil.Process(self.process.pid)
        return float(sum(process.memory_info().rss for process in [own, *own.children(recursive=True)])) / 2**20


@contextmanager
def served(side: str, folder: Path, dashboard: Path | None) -> Iterator[Running]:
    """A server of a side on the run that lies in a folder."""
    with held_port() as port:
        url, cookie = f"http://127.0.0.1:{port}", ("", "")
        if side == "ours":
            database = f"sqlite:///{folder / 'lab.sqlite'}"
            cookie = COOKIE_NAMES[Role.RESEARCHER], signed_in(database)
            command = [sys.executable, "-m", "evenhand.cli.main", "serve", "--slots", "0", "--port", str(port), "--db", database]
        else:
            assert dashboard is not None
            command = [str(dashboard.with_name("optuna-dashboard")), "--port", str(port), f"sqlite:///{folder / 'optuna.sqlite'}"]
        environment = {**os.environ, "EVENHAND_DATA": str(folder)}
        process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env=environment)
        try:
            wait_for_server(url, process)
            yield Running(url, process, cookie)
        finally:
            process.terminate()
            try:
                process.wait(STOP_SECONDS)
            except subprocess.TimeoutExpired:
                process.kill()


def signed_in(database: str) -> str:
    """A token of the laboratory's owner."""
    lab = Lab.connect(database)
    token = lab.tokens.issue("researcher", lab.people.first_owner("Olga").id)
    lab.close()
    return token


# Visits


def visit(browser: Browser, case: PageCase, server: Running) -> Visit:
    """Ask for a page and measure it."""
    context = browser.new_context(viewport=VIEWPORT)  # type: ignore[arg-type] # what Playwright takes
    if server.cookie[0]:
        context.add_cookies([{"name": server.cookie[0], "value": server.cookie[1], "url": server.url}])
    page = context.new_page()
    page.set_default_timeout(1000 * PATIENCE_SECONDS)
    page.add_init_script(WATCH % (case.numbers, case.complete, LOOK_MS))
    figures: dict[str, Any] = {}
    problem = ""
    try:
        page.goto(f"{server.url}{case.path}", wait_until="commit")
        page.wait_for_function("() => window.seen.numbers && window.seen.complete")
        figures = {
            **moments(page),
            **(brushed(page, case.axis) if case.axis else {}),
            **(scrolled(page, case.rows) if case.rows else {}),
        }
    except BrowserError as error:
        problem = str(error).partition("\n")[0]
        figures = {**left(page), **figures}
    finally:
        context.close()
    return Visit(case.name, **{**dict.fromkeys(FIGURES), **figures}, server_mib=round(server.mib, 1), problem=problem)


FIGURES = (
    "first_paint", "numbers", "complete", "brush_frames", "brush_median", "brush_95", "brush_most", "scroll_frames",
    "scroll_blank",
)  # fmt: skip


def moments(page: Page) -> dict[str, float]:
    """When the page painted first, and when it showed what is waited for."""
    paint = page.evaluate("performance.getEntriesByName('first-contentful-paint')[0]?.startTime ?? null")
    return {"first_paint": paint, **page.evaluate("({ numbers: window.seen.numbers, complete: window.seen.complete })")}


def left(page: Page) -> dict[str, Any]:
    """What can still be asked of a page that did not come in time."""
    try:
        seen = moments(page)
    except BrowserError:
        return {}
    return {name: value for name, value in seen.items() if value is not None}


def brushed(page: Page, axis: str) -> dict[str, Any]:
    """Draw a finger along an axis; the time between frames meanwhile."""
    place = page.locator(axis).first
    place.scroll_into_view_if_needed()
    box = place.bounding_box()
    assert box is not None
    x, y = box["x"] + box["width"] / 2, box["y"] + 0.8 * box["height"]
    page.mouse.move(x, y)
    page.mouse.down()
    page.evaluate(FRAMES)
    for step in within_patience(BRUSH_STEPS):
        page.mouse.move(x, y - 0.6 * box["height"] * step / BRUSH_STEPS)
        page.wait_for_timeout(BRUSH_STEP_MS)
    gaps = sorted(page.evaluate("window.gaps"))
    page.mouse.up()
    return {
        "brush_frames": len(gaps),
        "brush_median": statistics.median(gaps),
        "brush_95": gaps[int(0.95 * (len(gaps) - 1))],
        "brush_most": gaps[-1],
    }


def scrolled(page: Page, rows: str) -> dict[str, Any]:
    """Scroll fast through what has rows; how many frames there were, and in how many there was nothing."""
    page.mouse.move(VIEWPORT["width"] / 4, VIEWPORT["height"] / 2)
    page.evaluate(BLANKS, rows)
    for _ in within_patience(SCROLL_STEPS):
        page.mouse.wheel(0, SCROLL_PIXELS)
        page.wait_for_timeout(SCROLL_STEP_MS)
    blanks = page.evaluate("window.blanks")
    return {"scroll_frames": blanks["frames"], "scroll_blank": blanks["blank"]}


def within_patience(steps: int) -> Iterator[int]:
    """The numbers of steps, until they have taken `MOST_HAND_SECONDS`."""
    until = time.monotonic() + MOST_HAND_SECONDS
    for step in range(steps):
        if time.monotonic() > until:
            return
        yield step


# The whole


def prepare(folder: Path, trials: int, dashboard: Path | None) -> int:
    """Make the run, and the dashboard's storage of it; the session's number."""
    lab = Lab.connect(f"sqlite:///{folder / 'lab.sqlite'}")
    session = made_runs.make(lab, trials, name="large run")
    lab.close()
    if dashboard is not None:
        side = ROOT / "benchmarks" / "sides" / "dashboard_storage.py"
        subprocess.run([dashboard, side, folder / "lab.sqlite", folder / "optuna.sqlite"], check=True, stdout=subprocess.DEVNULL)
    return session.id


def measured(folder: Path, session_id: int, trials: int, rounds: int, dashboard: Path | None) -> list[Visit]:
    """All visits: each page once a round."""
    visits = []
    with sync_playwright() as playwright:
        for number in range(rounds):
            for case in cases(trials, session_id):
                if case.side == "dashboard" and dashboard is None:
                    continue
                with served(case.side, folder, dashboard) as server:
                    browser = playwright.chromium.launch(executable_path=CHROMIUM, args=CHROMIUM_OPTIONS)
                    visits.append(visit(browser, case, server))
                    browser.close()
                print(f"round {number + 1}, {case.side} {words(visits[-1])}", flush=True)
    return visits


def words(measures: Visit) -> str:
    """A visit in one line."""

    def shown(value: float | None) -> str:
        return "never" if value is None else f"{value / 1000:.2f} s"

    parts = [
        f"{measures.case}: first paint {shown(measures.first_paint)}",
        f"numbers {shown(measures.numbers)}, complete {shown(measures.complete)}",
    ]
    if measures.brush_median is not None and measures.brush_95 is not None:
        parts.append(f"brushing {measures.brush_median:.0f} ms a frame, 95 % under {measures.brush_95:.0f}")
    if measures.scroll_frames is not None:
        parts.append(f"blank in {measures.scroll_blank} of {measures.scroll_frames} frames")
    return f"{', '.join(parts)}; server {measures.server_mib:.0f} MiB{'; ' * bool(measures.problem)}{measures.problem}"


def versions(dashboard: Path | None) -> Mapping[str, str]:
    """Of what was measured, and with what."""
    chromium = subprocess.run([CHROMIUM, "--version"], check=False, capture_output=True, text=True).stdout.strip()
    own = {"python": platform.python_version(), "chromium": chromium}
    if dashboard is None:
        return own
    script = "from importlib.metadata import version; print(version('optuna-dashboard'), version('optuna'))"
    theirs = subprocess.run([dashboard, "-c", script], check=True, capture_output=True, text=True).stdout.split()
    return {**own, "optuna-dashboard": theirs[0], "optuna": theirs[1]}


def main() -> None:
    """The command."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--trials", type=int, default=50_000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--dashboard", type=Path, default=None, help="the Python that optuna-dashboard is installed for")
    parser.add_argument("--out", type=Path, default=None, help="a folder for the record")
    wishes = parser.parse_args()
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as name:
        folder = Path(name)
        session_id = prepare(folder, wishes.trials, wishes.dashboard)
        begun = time.time()
        visits = measured(folder, session_id, wishes.trials, wishes.rounds, wishes.dashboard)
    record = {
        "benchmark": "large-run",
        "date": datetime.datetime.now(datetime.UTC).date().isoformat(),
        "command": " ".join(["python -m benchmarks.large_run", *sys.argv[1:]]),
        "machine": machine.model(),
        "cores": os.cpu_count(),
        "load": os.getloadavg()[0],
        "seconds": round(time.time() - begun),
        "versions": versions(wishes.dashboard),
        "trials": wishes.trials,
        "rounds": wishes.rounds,
        "patience_seconds": PATIENCE_SECONDS,
        "visits": [asdict(measures) for measures in visits],
    }
    if wishes.out is not None:
        path = wishes.out / f"{record['date']}-large-run.json"
        path.write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")
        print(f"written: {path}")


if __name__ == "__main__":
    main()
