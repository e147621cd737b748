"""Seats in a real Chromium: two studies in one browser, no cookies, a door that is closed, and what the end says.

EVENHAND_SCREENSHOTS names a folder for pictures of every page: 400 and 1600 px wide, light and dark.
"""

import re
from collections.abc import Iterator
from dataclasses import replace

import pytest
from playwright.sync_api import Browser, expect

from evenhand.model.study import AnalysisPlan, Study
from evenhand.web.access import COOKIE_NAMES, Role
from tests.labs import SPACE, toy_study
from tests.test_browser import look, watched
from tests.web import Site, toy_site


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    with toy_site(tmp_path_factory.mktemp("seats")) as made:
        yield made


def declared(site: Site, title: str, target: int | None = None) -> Study:
    """A study without questions."""
    plain = toy_study(site.lab)
    changes = {"name": f"{plain.name} too", "title": title, "questionnaires": (), "plan": AnalysisPlan(target=target)}
    return site.lab.studies.add(replace(plain, id=0, **changes))  # type: ignore[arg-type]  # each is what its field takes


def link(site: Site, study: Study) -> str:
    return f"{site.address}/join/{site.lab.participants.invite(study.id, 'open')[1][0]}"


@pytest.mark.slow
def test_two_studies_go_on_in_one_browser(browser: Browser, site: Site) -> None:
    studies = [declared(site, title) for title in ("First study", "Second study")]
    with watched(browser) as window:
        page = window.page()
        for study in studies:
            page.goto(link(site, study))
            look(page, "31-join")
            page.get_by_role("button", name="Begin").click()
            look(page, "32-joined")
            page.get_by_role("link", name="I have kept it, go on").click()
            expect(page).to_have_url(f"{site.address}/p/{study.id}/terms")
        for study in studies:  # in turn, the first one after the second was joined
            page.goto(f"{site.address}/p/{study.id}")
            page.locator("form[action$='/terms'] button").click()
            expect(page).to_have_url(re.compile(f"/p/{study.id}/details$"))
            expect(page.locator(".study-name")).to_have_text(study.title)
            look(page, "33-details")
            page.locator("form[action$='/tune/start'] button").click()
            expect(page).to_have_url(re.compile(f"/p/{study.id}/tune$"))
            page.locator("input[name='value.epochs']").fill("10,000")
            page.locator("#start").click()
            expect(page.locator("#form")).to_contain_text("10,000 can be read in two ways: please write 10000 or 10.")
            page.locator("input[name='value.epochs']").fill("2")
            page.locator("#start").click()
            expect(page.locator("#run")).to_have_attribute("data-number", "1")
            look(page, "34-tune")
        sessions = [site.lab.sessions.of_study(study.id)[0] for study in studies]
        assert [[trial.configuration["epochs"] for trial in session.trials] for session in sessions] == [[2], [2]]
        site.lab.stop(sessions[-1].id, 1)
        site.lab.choose(sessions[-1].id, configuration=SPACE.configuration({"epochs": 1}))
        expect(page).to_have_url(re.compile(f"/p/{study.id}/thanks$"))
        expect(page.locator("main")).to_contain_text("Your resume code leads back to this page")
        look(page, "35-thanks")
        page.locator("a.brand").click()
        expect(page).to_have_url(re.compile(f"/p/{study.id}/thanks$"))
        page.goto(f"{site.address}/p")
        expect(page.locator(".entry-studies a")).to_have_text(["Second study", "First study"])
        look(page, "36-pick-study")
        page.get_by_role("link", name="First study").click()
        expect(page).to_have_url(re.compile(f"/p/{studies[0].id}/tune$"))


@pytest.mark.slow
def test_a_browser_without_cookies_and_a_full_study_say_what_to_do(browser: Browser, site: Site) -> None:
    study = declared(site, "Small study", target=1)
    address = link(site, study)
    with watched(browser, "status of 403") as window:
        page = window.page()
        page.goto(f"{address.replace('/join/', f'/p/{study.id}/join/')}?cookies=tried")
        expect(page.locator("h1")).to_have_text("This browser keeps no cookies of this site")
        look(page, "36-no-cookies")
        page.get_by_role("link", name="Try again").click()
        expect(page.get_by_role("button", name="Begin")).to_be_visible()
        site.lab.participants.join(study.id)
        page.get_by_role("button", name="Begin").click()
        expect(page.locator("main")).to_contain_text("All 1 place of this study are taken at present.")
        look(page, "37-full")
        token = site.caller(Role.RESEARCHER).identity.token
        window.context.add_cookies([{"name": COOKIE_NAMES[Role.RESEARCHER], "value": token, "url": site.address}])
        page.goto(f"{site.address}/studies/{study.id}?mode=live")
        expect(page.locator("#target")).to_contain_text("0 of 1 finished, 1 under way: nobody else can join")
        look(page, "38-target")
        page.goto(f"{site.address}/studies/{study.id}/invitations")
        expect(page.locator("#target")).to_contain_text("0 of 1 participant finished, 1 under way.")
        look(page, "39-invitations")
