"""The explore page in Chromium: lines are brushed with a mouse and by keys, named, ordered and linked to, one or thousands.

EVENHAND_SCREENSHOTS names a folder for pictures of every page.
"""

import re
from collections.abc import Iterator
from urllib.parse import parse_qs, urlsplit

import pytest
from playwright.sync_api import Browser, Page, expect
from sqlalchemy import update

from benchmarks.made_runs import make
from evenhand.lab.lab import Lab
from evenhand.model.session import Session
from evenhand.model.study import Budget
from evenhand.store import events, tables
from evenhand.store.cache import changed
from evenhand.web.access import COOKIE_NAMES, Role
from tests.labs import toy_study
from tests.test_browser import Watched, look, watched
from tests.test_trial_rows import store_trial
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


# Live, and by touch


def store(lab: Lab, session: Session, number: int, value: float | None, rate: float) -> None:
    """Store a trial with this learning rate, ended with a value, or still training."""
    agent, _ = lab.agents.add(f"hand {number}", 1)
    store_trial(lab, session.id, agent, value if value is not None else 0.5, {}, "completed" if value is not None else None)
    with lab.core.change() as tx:
        changed(tx, session.id)
        of_trial = (tables.trial.c.session_id == session.id, tables.trial.c.number == number)
        configuration = {**dict(session.space.defaults()), "learning_rate": rate}
        tx.execute(update(tables.trial).where(*of_trial).values(configuration=configuration))
        events.record(tx, lab.clock(), "finished", session.id)


def end_trial(lab: Lab, session: Session, number: int) -> None:
    trial = lab.trials.one(session, number)
    with lab.core.change() as tx:
        changed(tx, session.id)
        tx.execute(
            update(tables.job).where(tables.job.c.trial_id == trial.id).values(finished_at=lab.clock(), outcome="completed")
        )
        events.record(tx, lab.clock(), "finished", session.id, trial.id)


def test_a_run_is_followed_and_what_is_brushed_stays(site: Site, browser: Browser) -> None:
    lab = site.lab
    study_id = make(lab, 1, seed=9).study_id
    session = lab.sessions.open(study_id, tuner="random", method={"name": "random"}, driver="python")
    lab.start(session.id)
    with watched(browser) as looking:
        page = opened(looking, site, session.id)
        expect(page.get_by_text("No trial yet.")).to_be_visible()
        store(lab, session, 1, 0.6, 1e-3)
        state = page.locator("#explore-state")
        expect(state).to_have_text("1 trial: 1 completed.", timeout=20_000)  # the empty page loaded itself anew
        for number, rate in ((2, 1e-4), (3, 1e-2)):
            store(lab, session, number, 0.5 + number / 100, rate)
        store(lab, session, 4, None, 2e-3)
        expect(state).to_contain_text("4 trials: 3 completed, 1 training.", timeout=20_000)
        page.get_by_text("Type ranges, order and hide axes").click()
        page.get_by_label("learning rate, from").fill("5e-4")
        page.get_by_label("learning rate, from").press("Tab")
        expect(state).to_contain_text("3 of 4 trials with learning rate: 5e-4 to 0.1")
        typed = page.get_by_label("units, from")
        typed.fill("12")
        axis = page.get_by_role("button", name="learning rate: ")
        before = axis.bounding_box()
        end_trial(lab, session, 4)
        store(lab, session, 5, 0.99, 3e-3)  # beyond the axis of the value
        store(lab, session, 6, 0.4, 2e-5)
        expect(state).to_contain_text("4 of 6 trials with learning rate: 5e-4 to 0.1", timeout=20_000)
        expect(page.locator("#explore-table tbody tr").first).to_contain_text("trial 5")
        assert axis.bounding_box() == before
        expect(typed).to_have_value("12")
        expect(typed).to_be_focused()
        assert "in.learning_rate=5e-4..0.1" in page.url
        look(page, "explore-live")


def test_an_axis_is_brushed_by_touch(site: Site, run: Session, browser: Browser) -> None:
    context = browser.new_context(viewport={"width": 400, "height": 860}, has_touch=True, is_mobile=True)
    try:
        page = opened(Watched(context), site, run.id)
        expect_drawn(page, len(run.trials))
        strip = page.locator(".parallel-strip").nth(1)
        strip.scroll_into_view_if_needed()
        box = strip.bounding_box()
        assert box is not None
        top = page.evaluate("scrollY")
        finger = context.new_cdp_session(page)
        x, low, high = box["x"] + box["width"] / 2, box["y"] + 250, box["y"] + 100

        def touch(kind: str, *points: tuple[float, float]) -> None:
            finger.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": [{"x": x, "y": y} for x, y in points]})

        touch("touchStart", (x, low))
        for step in range(1, 11):
            touch("touchMove", (x, low + (high - low) * step / 10))
        touch("touchEnd")
        least, most = brushed(page, "learning_rate")
        selected = within(run, "learning_rate", least, most)
        expect(page.locator("#explore-state")).to_contain_text(f"{selected} of {len(run.trials)} trials")
        assert page.evaluate("scrollY") == top, "the page must not scroll while an axis is brushed"
        page.touchscreen.tap(x, (low + high) / 2)
        expect(page.locator("#explore-state")).to_contain_text(f"{len(run.trials)} trials:")
    finally:
        context.close()
