"""The list of runs in Chromium: live, filtered, ticked and put away by hand, and thousands of them scrolled through."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect

from benchmarks.made_runs import make
from evenhand.web.access import COOKIE_NAMES, Role
from tests.test_browser import Watched, look, watched
from tests.web import Site, toy_site

pytestmark = pytest.mark.slow
MANY_RUNS = 450
ROWS_IN_SIGHT = """
() => [...document.querySelectorAll("#runs tr.run-row")].filter((row) => {
  const box = row.getBoundingClientRect();
  return box.bottom > 0 && box.top < innerHeight;
}).length
"""


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    with toy_site(tmp_path_factory.mktemp("runs")) as served:
        for number in range(3):
            make(served.lab, 8 + number, seed=number, name=f"search {number}")
        yield served


def opened(looking: Watched, site: Site, path: str = "/") -> Page:
    researcher = site.caller(Role.RESEARCHER)
    looking.context.add_cookies(
        [{"name": COOKIE_NAMES[Role.RESEARCHER], "value": researcher.identity.token, "url": site.address}]
    )
    page = looking.page()
    page.goto(f"{site.address}{path}")
    return page


def test_runs_are_found_named_and_put_away(site: Site, browser: Browser) -> None:
    with watched(browser, "status of 400") as looking:
        page = opened(looking, site)
        rows = page.locator("#runs tr.run-row")
        expect(rows).to_have_count(3)
        look(page, "runs")
        make(site.lab, 4, seed=9, name="came later")
        expect(rows).to_have_count(4)
        page.get_by_role("searchbox").fill("trials>8 name:search")
        page.get_by_role("searchbox").press("Enter")
        expect(rows).to_have_count(2)
        page.get_by_role("searchbox").fill("trails>8")
        page.get_by_role("searchbox").press("Enter")
        expect(page.get_by_text("nearest: trials")).to_be_visible()
        look(page, "runs-filter-wrong")
        page.get_by_role("link", name="Name, tags and note of search 1").click()
        page.get_by_label("Name", exact=True).fill("search 0")
        page.get_by_label("Tags").fill("paper, draft")
        page.get_by_role("button", name="Keep").click()
        expect(page.get_by_role("alert")).to_contain_text("is there already")
        look(page, "run-notes")
        page.get_by_label("Name", exact=True).fill("second")
        page.get_by_role("button", name="Keep").press("Enter")
        expect(page.get_by_role("status").first).to_contain_text("Kept what you wrote of second")
        page.get_by_label("Tick second").check()
        page.get_by_label("Tick search 0").check()
        page.get_by_text("With the ticked").click()
        expect(page.get_by_text("2 ticked.")).to_be_visible()
        page.keyboard.press("Escape")
        expect(page.get_by_role("button", name="Delete")).to_be_hidden()
        page.keyboard.press("Enter")  # the focus is on the menu's button again
        page.get_by_role("button", name="Delete").click()
        expect(page.get_by_text("Deleted 2 runs.")).to_be_visible()
        page.get_by_role("link", name="Deleted, not erased yet: 2").click()
        page.get_by_label("Tick second").check()
        page.get_by_text("With the ticked").press("Enter")
        page.get_by_role("button", name="Bring back").press("Enter")
        expect(page.get_by_text("Brought back 1 run.")).to_be_visible()
        assert site.lab.runs.notes(2).tags == ("paper", "draft")


def test_thousands_scroll_without_pages(tmp_path: Path, browser: Browser) -> None:
    with toy_site(tmp_path) as many, watched(browser) as looking:
        first = make(many.lab, 3, name="the first of all")
        for number in range(MANY_RUNS):
            many.clock.now += 1
            many.lab.sessions.open(
                first.study_id, tuner="random", method={"name": "random"}, driver="python", name=f"run {number:04}"
            )
        page = opened(looking, many)
        expect(page.get_by_role("link", name=f"run {MANY_RUNS - 1:04}", exact=True)).to_be_visible()
        page.wait_for_function("(least) => document.documentElement.scrollHeight > least", arg=MANY_RUNS * 40)
        assert page.locator("#runs tr.run-row").count() <= 400, "rows that are out of sight are not there"
        height = page.evaluate("document.documentElement.scrollHeight")
        page.get_by_label(f"Tick run {MANY_RUNS - 1:04}").check()
        for share in (0.5, 0.8, 1.0):
            page.evaluate("(share) => scrollTo(0, document.documentElement.scrollHeight * share)", share)
            page.wait_for_function(ROWS_IN_SIGHT)
        expect(page.get_by_role("link", name="the first of all", exact=True)).to_be_visible()
        page.get_by_label("Tick run 0001").check()
        page.evaluate("scrollTo(0, 0)")
        expect(page.get_by_label(f"Tick run {MANY_RUNS - 1:04}")).to_be_checked()
        page.get_by_text("With the ticked").click()
        expect(page.get_by_text("2 ticked.")).to_be_visible()
        assert abs(page.evaluate("document.documentElement.scrollHeight") - height) < 100
        page.set_viewport_size({"width": 400, "height": 860})
        page.wait_for_function("document.documentElement.scrollWidth <= 400")


def test_runs_and_trials_are_compared(site: Site, browser: Browser) -> None:
    with watched(browser) as looking:
        page = opened(looking, site)
        for name in ("second", "came later"):
            page.get_by_label(f"Tick {name}").check()
        page.get_by_text("With the ticked").press("Enter")
        page.get_by_role("button", name="Compare").press("Enter")
        expect(page.get_by_role("heading", level=1)).to_have_text("2 runs compared")
        chart = page.locator("#compare-chart")
        expect(chart.locator("canvas")).to_be_visible()
        assert chart.get_attribute("data-axes") == "trials | best validation accuracy so far"
        page.get_by_label("by time", exact=True).check()
        expect(chart).to_have_attribute("data-axes", "time | best validation accuracy so far")
        page.get_by_text("The numbers of this chart").press("Enter")
        expect(page.locator(".chart-numbers tbody tr").last).to_contain_text("%")
        look(page, "compare-runs")
        page.goto(f"{site.address}/compare?trial=2:1&trial=2:2&trial=4:1")
        expect(page.locator("#compare-chart")).to_have_attribute("data-axes", "epochs | validation accuracy")
        look(page, "compare-trials")
        page.goto(f"{site.address}/")


def test_what_cannot_be_compared_is_said_on_a_page(site: Site, browser: Browser) -> None:
    with watched(browser, "status of 400") as looking:
        page = opened(looking, site, "/compare?session=1")
        expect(page.get_by_role("alert")).to_contain_text("expected 2 to 20 to compare")
        look(page, "compare-nothing")
