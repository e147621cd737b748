"""The explore page in Chromium: lines are brushed with a mouse and by keys, named, ordered and linked to, one or thousands.

EVENHAND_SCREENSHOTS names a folder for pictures of every page.
"""

import re
from collections.abc import Iterator
from urllib.parse import parse_qs, urlsplit

import pytest
from playwright.sync_api import Browser, Page, expect

from benchmarks.made_runs import make
from evenhand.model.session import Session
from evenhand.model.study import Budget
from evenhand.web.access import COOKIE_NAMES, Role
from tests.labs import toy_study
from tests.test_browser import Watched, look, watched
from tests.web import Site, toy_site

pytestmark = pytest.mark.slow
MANY_TRIALS = 5200  # more than one chunk
# Bytes that came over the network for each chunk.
TRANSFERRED = """
() => performance.getEntriesByType("resource").filter(({ name }) => /columns\\/\\d/.test(name)).map((entry) => entry.transferSize)
"""


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    with toy_site(tmp_path_factory.mktemp("explore")) as served:
        yield served


@pytest.fixture(scope="module")
def run(site: Site) -> Session:
    return make(site.lab, 30, name="thirty")


def opened(looking: Watched, site: Site, session_id: int, query: str = "") -> Page:
    researcher = site.caller(Role.RESEARCHER)
    cookie = {"name": COOKIE_NAMES[Role.RESEARCHER], "value": researcher.identity.token, "url": site.address}
    looking.context.add_cookies([cookie])  # type: ignore[list-item] # what Playwright takes
    page = looking.page()
    page.goto(f"{site.address}/sessions/{session_id}/explore{query}")
    return page


def expect_drawn(page: Page, trials: int) -> None:
    expect(page.locator("#explore-lines")).to_have_attribute("data-drawn", str(trials))


def brushed(page: Page, name: str) -> tuple[float, float]:
    """What the address says of an axis."""
    page.wait_for_url(re.compile(rf"in\.{name}="))
    low, high = parse_qs(urlsplit(page.url).query)[f"in.{name}"][0].split("..")
    return float(low), float(high)


def within(session: Session, name: str, low: float, high: float) -> int:
    return sum(low <= trial.configuration[name] <= high for trial in session.trials if name in trial.configuration)


def test_without_a_trial_the_page_says_so(site: Site, browser: Browser) -> None:
    session = site.lab.sessions.open(toy_study(site.lab, Budget(trials=3)).id, tuner="random")
    with watched(browser) as looking:
        page = opened(looking, site, session.id)
        expect(page.get_by_text("No trial yet.")).to_be_visible()
        look(page, "explore-0")


def test_one_trial_is_a_line(site: Site, browser: Browser) -> None:
    session = make(site.lab, 1, name="one")
    with watched(browser) as looking:
        page = opened(looking, site, session.id)
        expect_drawn(page, 1)
        expect(page.locator("#explore-state")).to_have_text("1 trial: 1 completed.")
        expect(page.get_by_text("Each hyperparameter has one value so far")).to_be_visible()
        look(page, "explore-1")


def test_axes_are_brushed_with_a_mouse_and_the_address_keeps_it(site: Site, run: Session, browser: Browser) -> None:
    with watched(browser) as looking:
        page = opened(looking, site, run.id)
        expect_drawn(page, 30)
        look(page, "explore-30")
        page.set_viewport_size({"width": 1600, "height": 1000})
        strip = page.locator(".parallel-strip").nth(1).bounding_box()
        assert strip
        x = strip["x"] + strip["width"] / 2
        page.mouse.move(x, strip["y"] + 60)
        page.mouse.down()
        page.mouse.move(x, strip["y"] + 200, steps=6)
        page.mouse.up()
        low, high = brushed(page, "learning_rate")
        count = within(run, "learning_rate", low, high)
        assert 0 < count < 30
        state = page.locator("#explore-state")
        expect(state).to_contain_text(f"{count} of 30 trials with learning rate: ")
        expect(page.locator("#explore-table tbody tr")).to_have_count(min(10, count))
        words = state.text_content()
        page.reload()
        expect(state).to_have_text(words or "")
        page.mouse.click(x, strip["y"] + 20)
        expect(state).to_contain_text("30 trials: ")
        page.wait_for_url(f"{site.address}/sessions/{run.id}/explore")
        option = page.locator(".parallel-strip").nth(0).bounding_box()
        assert option
        page.mouse.click(option["x"] + 20, option["y"] + 14 + 330)  # the lowest: sgd
        expect(state).to_contain_text("optimizer: sgd")
        assert str(sum(trial.configuration["optimizer"] == "sgd" for trial in run.trials)) in (state.text_content() or "")


def test_keys_do_all_that_a_mouse_does(site: Site, run: Session, browser: Browser) -> None:
    with watched(browser) as looking:
        page = opened(looking, site, run.id)
        expect_drawn(page, 30)
        head = page.locator(".parallel-head", has_text="dropout")
        head.focus()
        for _ in range(3):
            page.keyboard.press("PageUp")
        page.keyboard.press("Shift+ArrowDown")
        low, high = brushed(page, "dropout")
        assert (low, high) == pytest.approx((0.21, 0.686), abs=2e-3)
        expect(page.locator("#explore-state")).to_contain_text(f"{within(run, 'dropout', low, high)} of 30 trials")
        assert (head.get_attribute("aria-label") or "").startswith("dropout: 0.21 to 0.68")
        page.keyboard.press("Alt+ArrowLeft")
        names = page.locator(".parallel-head").all_text_contents()
        assert names[5:7] == ["dropout", "units"]
        expect(head).to_be_focused()
        page.keyboard.press("Escape")
        expect(page.locator("#explore-state")).to_contain_text("30 trials: ")
        page.locator(".parallel-head", has_text="momentum").focus()
        page.keyboard.press("Delete")
        inactive = sum("momentum" not in trial.configuration for trial in run.trials)
        expect(page.locator("#explore-state")).to_contain_text(f"{inactive} of 30 trials with momentum: inactive")


def test_ranges_are_typed_and_axes_hidden(site: Site, run: Session, browser: Browser) -> None:
    with watched(browser) as looking:
        page = opened(looking, site, run.id)
        expect_drawn(page, 30)
        page.get_by_text("Type ranges, order and hide axes").click()
        page.get_by_label("learning rate, from").fill("1e-3")
        page.get_by_label("learning rate, from").press("Tab")
        expect(page.locator("#explore-state")).to_contain_text(f"{within(run, 'learning_rate', 1e-3, 1)} of 30 trials")
        page.get_by_label("learning rate, to").fill("1e-4")
        page.get_by_label("learning rate, to").press("Tab")
        expect(page.get_by_text("expected numbers from 1e-5 to 0.1, the smaller one first")).to_be_visible()
        page.get_by_label("learning rate, to").fill("")
        page.get_by_label("learning rate, to").press("Tab")
        page.get_by_role("group", name="optimizer").get_by_label("adam", exact=True).check()
        adam = [trial for trial in run.trials if trial.configuration["optimizer"] == "adam"]
        count = sum(trial.configuration["learning_rate"] >= 1e-3 for trial in adam)
        expect(page.locator("#explore-state")).to_contain_text(f"{count} of 30 trials with ")
        page.get_by_role("group", name="units").get_by_label("shown").uncheck()
        expect(page.locator(".parallel-head")).to_have_count(15)
        look(page, "explore-typed")
        page.reload()
        expect(page.locator(".parallel-head")).to_have_count(15)
        expect(page.locator("#explore-state")).to_contain_text(f"{count} of 30 trials with ")
        page.get_by_role("button", name="Take all brushes away").click()
        expect(page.locator("#explore-state")).to_contain_text("30 trials: ")


def test_a_line_is_named_and_leads_to_its_trial(site: Site, run: Session, browser: Browser) -> None:
    best = max((trial for trial in run.trials if trial.outcome == "completed"), key=lambda trial: trial.value or 0)
    with watched(browser) as looking:
        page = opened(looking, site, run.id, f"?in.=0.0..{100 * (best.value or 0)}")
        expect_drawn(page, 30)
        first = page.locator("#explore-table tbody tr").first
        expect(first.locator("a")).to_have_text(f"trial {best.number}")
        expect(first).to_contain_text("completed, best")
        strips = page.locator(".parallel-strips").bounding_box()
        assert strips
        middle = strips["x"] + 62 + (strips["width"] - 124) * 14.5 / 15
        named = page.locator("#explore-trial a")
        for y in range(20, 320, 4):
            page.mouse.move(middle, strips["y"] + y)
            if named.count():
                break
        number = int(re.findall(r"\d+", named.text_content() or "")[0])
        page.mouse.down()
        page.mouse.up()
        page.mouse.move(5, 5)
        expect(named).to_have_attribute("href", f"/sessions/{run.id}/trials/{number}")


def test_thousands_come_in_chunks_that_a_browser_keeps(site: Site, browser: Browser) -> None:
    session = make(site.lab, MANY_TRIALS, name="thousands")
    with watched(browser) as looking:
        page = opened(looking, site, session.id, "?in.optimizer=adam")
        expect_drawn(page, MANY_TRIALS)
        adam = sum(trial.configuration["optimizer"] == "adam" for trial in session.trials)
        expect(page.locator("#explore-state")).to_contain_text(f"{adam:,} of 5,200 trials with optimizer: adam")
        look(page, "explore-5200")
        page.reload()
        expect_drawn(page, MANY_TRIALS)
        assert page.evaluate(TRANSFERRED) == [0, 0]
