"""The page on which a run's result is taken away, in Chromium: copied, downloaded, and by keyboard."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, expect

from benchmarks.made_runs import make
from evenhand.model.choices import taken_trial
from tests.components import need
from tests.test_browser import look, watched
from tests.test_browser_runs import opened
from tests.web import Site, toy_site

pytestmark = pytest.mark.slow
CLIPBOARD = "navigator.clipboard.readText()"


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    with toy_site(tmp_path_factory.mktemp("take_away")) as served:
        make(served.lab, 30, seed=1, name="wide", tuner="tpe")
        make(served.lab, 1, seed=2)
        yield served


def test_a_configuration_is_copied_and_downloaded(site: Site, browser: Browser) -> None:
    trial = taken_trial(site.lab.sessions.get(1))
    with watched(browser) as looking:
        looking.context.grant_permissions(["clipboard-read", "clipboard-write"])
        page = opened(looking, site, "/sessions/1/take-away")
        look(page, "take-away")
        page.get_by_role("button", name="Copy JSON").click()
        expect(page.get_by_role("button", name="Copied")).to_be_visible()
        assert json.loads(page.evaluate(CLIPBOARD)) == dict(trial.configuration)
        with page.expect_download() as download:
            page.get_by_role("link", name="Download wide-trial-").first.click()
        assert download.value.suggested_filename == f"wide-trial-{trial.number}.json"
        assert json.loads(Path(download.value.path()).read_text(encoding="utf-8")) == dict(trial.configuration)


def test_another_trial_is_taken_by_keyboard_and_what_repeats_the_run_unfolds(site: Site, browser: Browser) -> None:
    with watched(browser) as looking:
        page = opened(looking, site, "/sessions/1/take-away")
        page.get_by_label("Trial", exact=True).fill("3")
        page.keyboard.press("Enter")
        expect(page.get_by_text("Trial 3, picked by its number")).to_be_visible()
        page.locator("summary", has_text="What repeats the run").focus()
        page.keyboard.press("Enter")
        expect(page.get_by_role("rowheader", name="random streams")).to_be_visible()
        look(page, "take-away-unfolded")


def test_a_run_of_one_trial_has_the_page_too(site: Site, browser: Browser) -> None:
    with watched(browser) as looking:
        look(opened(looking, site, "/sessions/2/take-away"), "take-away-one")


def test_the_report_keeps_its_colours_under_its_policy(site: Site, browser: Browser) -> None:
    need("report")
    with watched(browser) as looking:
        page = opened(looking, site, "/sessions/1/take-away")
        page.get_by_role("link", name="Open the report").click()
        expect(page.get_by_role("heading", name="What came out")).to_be_visible()
        line = page.locator("#course .drawing path[stroke='var(--method)']").first
        assert line.evaluate("path => getComputedStyle(path).stroke") == "rgb(25, 113, 194)"
        assert page.locator("h1").evaluate("heading => getComputedStyle(heading).fontSize") == "32px"
        page.emulate_media(color_scheme="dark")
        assert line.evaluate("path => getComputedStyle(path).stroke") == "rgb(92, 173, 255)"
