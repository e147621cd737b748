"""A run's page in Chromium: thousands of rows are scrolled through, pinned, filtered, compared; a trial is opened; it is live."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, Page, expect

from benchmarks.made_runs import make
from evenhand.model.trial import Outcome
from tests.labs import epoch
from tests.test_browser import look, watched
from tests.test_browser_runs import opened
from tests.waiting import wait_for
from tests.web import Site, toy_site

pytestmark = pytest.mark.slow
TRIALS = 3000
SCROLLS = 40
# Scrolls the table through in steps, and gives of each frame how much of it no row covers, in pixels.
BLANK_PIXELS = """
async (steps) => {
  const scroller = document.getElementById("trials-scroll"), blank = [];
  for (let step = 1; step <= steps; step += 1) {
    scroller.scrollTop = scroller.scrollHeight * step / steps;
    await new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)));
    const view = scroller.getBoundingClientRect();
    const rows = [...scroller.querySelectorAll("tr.run-row, thead tr")].map((row) => row.getBoundingClientRect());
    const inside = rows.filter((row) => row.bottom > view.top && row.top < view.bottom);
    const covered = inside.reduce((sum, row) => sum + Math.min(row.bottom, view.bottom) - Math.max(row.top, view.top), 0);
    blank.push(Math.max(0, scroller.clientHeight - covered));
  }
  return blank;
}
"""
SEEN = """
() => [...document.querySelectorAll("#trial-rows tbody.window tr.run-row")].filter((row) => {
  const view = document.getElementById("trials-scroll").getBoundingClientRect(), box = row.getBoundingClientRect();
  return box.bottom > view.top + 60 && box.top < view.bottom;
}).map((row) => row.dataset.trial ?? "waits")
"""


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    with toy_site(tmp_path_factory.mktemp("run")) as served:
        make(served.lab, TRIALS, seed=1, name="wide search")
        yield served


def rows_in_sight(page: Page) -> list[str]:
    rows: list[str] = page.evaluate(SEEN)
    return rows


def test_thousands_of_trials_are_scrolled_pinned_filtered_and_opened(site: Site, browser: Browser) -> None:
    with watched(browser, "status of 404") as looking:
        page = opened(looking, site, "/sessions/1")
        expect(page.locator("#chart-curves canvas")).to_be_visible()
        expect(page.locator("#chart-progress canvas")).to_be_visible()
        expect(page.locator("#curves-sub")).to_contain_text("one in 16, and the best")
        look(page, "run")
        first = rows_in_sight(page)
        assert first[0] == str(TRIALS)

        blank = page.evaluate(BLANK_PIXELS, SCROLLS)
        assert max(blank) < 50, "no frame shows less than a row of nothing"
        wait_for(lambda: rows_in_sight(page), "the last rows have come", lambda seen: "1" in seen and "waits" not in seen)
        assert page.locator("#trial-rows tr.run-row").count() <= 500, "rows that are out of sight are not there"

        page.get_by_role("button", name="Pin trial 3", exact=True).click()
        expect(page.locator("#pinned tr")).to_have_count(1)
        assert "pin=3" in page.url
        expect(page.get_by_role("button", name="Let trial 3 go").first).to_be_visible()
        wait_for(lambda: rows_in_sight(page), "the scroll stays where it was", lambda seen: "5" in seen)

        page.get_by_role("searchbox").fill("accuracy>0.8 optimizer:adam")
        page.get_by_role("searchbox").press("Enter")
        expect(page.locator("#q-help")).to_contain_text("of 3,000")
        page.get_by_role("link", name="accuracy").click()
        best = site.lab.trials.head(1).best
        assert best is not None
        right = [trial for trial in site.lab.sessions.get(1).trials if trial.outcome == "completed" and (trial.value or 0) > 0.8]
        ranked = sorted((t for t in right if t.configuration["optimizer"] == "adam"), key=lambda t: -(t.value or 0))
        expect(page.locator("#trial-rows tbody.window tr").first).to_have_attribute("data-trial", str(ranked[0].number))
        assert "sort=-value" in page.url
        expect(page.locator("#pinned tr")).to_have_count(1)
        page.get_by_text("differs from the one before").click()
        page.get_by_role("link", name="The best").click()
        expect(page.get_by_text("differs from the best")).to_be_visible()
        look(page, "run-filtered")

        page.get_by_label(f"Tick trial {ranked[1].number}").check()
        page.get_by_label("Tick trial 3", exact=True).check()
        expect(page.locator("#ticked")).to_have_text("2 ticked.")
        page.get_by_role("button", name="Compare").click()
        page.wait_for_url(f"**/compare?trial=1:{ranked[1].number}&trial=1:3")
        page.go_back()
        expect(page.locator("#ticked")).to_have_text("2 ticked.")

        page.get_by_role("link", name=f"Trial {ranked[1].number:,}").click()
        expect(page.get_by_role("heading", name="Configuration")).to_be_visible()
        expect(page.locator("#chart-trial canvas")).to_be_visible()
        look(page, "run-trial")
        page.get_by_role("link", name="pin it in the table").click()
        expect(page.locator("#pinned tr")).to_have_count(1)
        for width in (400, 1600):
            page.set_viewport_size({"width": width, "height": 900})
            page.wait_for_function("(width) => document.documentElement.scrollWidth <= width", arg=width)


def test_the_pointed_curve_is_named_and_opens_its_trial(site: Site, browser: Browser) -> None:
    with watched(browser) as looking:
        page = opened(looking, site, "/sessions/1")
        plot = page.locator("#chart-curves .u-over")
        expect(plot).to_be_visible()
        box = plot.bounding_box()
        assert box is not None

        def named() -> str | None:
            page.mouse.move(box["x"] + box["width"] * 0.9, box["y"] + box["height"] * 0.3)
            page.mouse.move(box["x"] + box["width"] * 0.91, box["y"] + box["height"] * 0.3)
            return page.locator("#chart-curves").get_attribute("data-near")

        number = wait_for(named, "a curve is near the pointer", bool)
        expect(page.locator("#chart-curves .chart-tip")).to_contain_text(f"trial {number}:")
        page.mouse.click(box["x"] + box["width"] * 0.91, box["y"] + box["height"] * 0.3)
        page.wait_for_url(f"**/sessions/1/trials/{number}")


def test_new_trials_and_the_running_one_arrive_by_themselves(tmp_path: Path, browser: Browser) -> None:
    with toy_site(tmp_path) as site, watched(browser) as looking:
        study_id = make(site.lab, 40).study_id
        session = site.lab.sessions.open(study_id, tuner="random", method={"name": "random"}, driver="python", name="live")
        site.lab.start(session.id)
        page = opened(looking, site, f"/sessions/{session.id}")
        expect(page.get_by_text("No trial yet.")).to_be_visible()
        agent, _ = site.lab.agents.add("here", 1)
        tops: dict[str, Any] = {}
        for number, value in ((1, 0.5), (2, 0.7)):
            site.lab.submit(session.id, {"learning_rate": number / 1000})
            job = site.lab.claim(agent, session_id=session.id)
            assert job is not None
            site.lab.measure(job.job_id, job.attempt, [epoch(0, 1, value - 0.1)])
            expect(page.locator("#status .run-training")).to_contain_text(f"trial {number} training, epoch 2")
            expect(page.locator(f'#trial-rows tr[data-trial="{number}"]')).to_contain_text("training")
            tops[f"training {number}"] = page.locator("#trials").bounding_box()
            site.lab.finish(job.job_id, job.attempt, Outcome.COMPLETED, batch=[replace(epoch(1, 2, value), index=1)])
            expect(page.locator(f'#trial-rows tr[data-trial="{number}"]')).to_contain_text(f"{100 * value:.1f}")
            expect(page.locator("#status .lead-score")).to_contain_text(f"{100 * value:.1f}")
        assert tops["training 2"]["y"] == pytest.approx(page.locator("#trials").bounding_box()["y"], abs=1)  # type: ignore[index]
        expect(page.locator("#curves-title")).to_have_text("Curves of 2 trials")
        expect(page.locator("#chart-progress canvas")).to_be_visible()
        site.lab.choose(session.id, number=2)
        expect(page.locator("#evaluation")).to_contain_text("Trial 2")
        expect(page.locator("#status")).to_contain_text("Chosen: trial 2")
