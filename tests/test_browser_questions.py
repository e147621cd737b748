"""Questionnaires in a real Chromium: all six kinds by keyboard alone, follow-up questions, piping, languages, no scripts.

EVENHAND_SCREENSHOTS names a folder for pictures of every page: 400 and 1600 px wide, light and dark.
"""

import re
from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, Page, expect

from evenhand.model.rules import ParticipantStep
from evenhand.model.study import BACKGROUND
from evenhand.settings import Rules
from evenhand.web.access import COOKIE_NAMES, Role
from tests.test_browser import Watched, look, watched
from tests.test_questions import Person, asking, experienced
from tests.web import Site, toy_site

PAGE = "/questions/experience"


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    with toy_site(tmp_path_factory.mktemp("asked"), Rules(lease=1e9, choosing=600)) as made:
        yield made


def opened(window: Watched, site: Site, person: Person, path: str = PAGE) -> Page:
    """The person's page in a browser of their own."""
    cookie = {"name": COOKIE_NAMES[Role.PARTICIPANT], "value": person.identity.token, "url": site.address}
    window.context.add_cookies([cookie])  # type: ignore[list-item]  # a TypedDict of the library, not exported
    page = window.page()
    page.goto(site.address + person.home + path)
    return page


@pytest.mark.slow
def test_all_six_kinds_by_keyboard_alone(browser: Browser, site: Site) -> None:
    person = experienced(site)
    with watched(browser) as window:
        page = opened(window, site, person)
        keys = page.keyboard
        look(page, "21-questions")
        page.locator("#q-tuned-0").focus()
        keys.press("Space")
        expect(page.get_by_label("Years with …?")).to_be_visible()  # the section appears, its text has no answer to name yet
        tab_to(page, "q-tools-0")
        keys.press("Space")
        tab_to(page, "q-tools-1")
        keys.press("Space")
        expect(page.get_by_label("Years with PyTorch, Tensor<Flow>?")).to_be_visible()
        tab_to(page, "q-years")
        keys.type("three")
        tab_to(page, "q-hours")
        keys.type("2,5")
        tab_to(page, "q-often-0")
        keys.press("Space")
        for _ in range(4):
            keys.press("ArrowRight")
        expect(page.get_by_role("radio", name="5", exact=True)).to_be_checked()
        tab_to(page, "q-words")
        keys.type("by <b>hand</b>")
        tab_to(page, "q-areas-vision-0")
        keys.press("ArrowDown")
        expect(page.get_by_role("radio", name="Vision A little", exact=True)).to_be_checked()
        keys.press("Enter")
        expect(page.get_by_role("alert")).to_contain_text("2 answers need another look")
        look(page, "22-questions-wrong")
        years = page.get_by_label("Years with PyTorch, Tensor<Flow>?")
        expect(years).to_be_focused()
        expect(years).to_have_value("three")
        expect(years).to_have_attribute("aria-invalid", "true")
        expect(years).to_have_accessible_description(re.compile("three is not possible here.*Whole number from 0 to 60"))
        speech = page.get_by_role("radio", name="Speech Well", exact=True)
        expect(speech).to_have_accessible_description("Please choose one in this row.")
        keys.press("Control+A")
        keys.type("3")
        tab_to(page, "q-areas-speech-0")
        keys.press("Space")
        tab_to(page, "q-uses-home-1")
        keys.press("Space")
        keys.press("Enter")
        expect(page).to_have_url(re.compile("/p/[0-9]+/details$"))
    assert {path: answer for path, answer in person.record.answers.items() if path.startswith("experience.")} == {
        "experience.tuned": "yes",
        "experience.tools": ["torch", "tf"],
        "experience.years": 3,
        "experience.hours": 2.5,
        "experience.often": 5,
        "experience.words": "by <b>hand</b>",
        "experience.areas": {"vision": "little", "speech": "well"},
        "experience.uses": {"home": ["tf"]},
    }


def tab_to(page: Page, control: str) -> None:
    """Press Tab until the control has the focus."""
    for _ in range(12):
        page.keyboard.press("Tab")
        if page.evaluate("document.activeElement.id") == control:
            return
    raise AssertionError(f"#{control} is not reached by the keyboard")


def test_follow_up_questions_come_and_go_and_are_not_sent_when_hidden(browser: Browser, site: Site) -> None:
    person = experienced(site)
    with watched(browser) as window:
        page = opened(window, site, person)
        years = page.locator("#q-years")
        expect(years).to_be_hidden()
        expect(years).to_be_disabled()
        page.get_by_label("Yes", exact=True).check()
        expect(years).to_be_visible()
        expect(page.locator("#appeared")).to_have_text("3 more questions appeared below.")
        expect(page.locator("#seen")).to_have_value("tuned tools years hours often words areas uses")
        years.fill("4")
        page.get_by_label("No", exact=True).check()
        expect(years).to_be_hidden()
        page.locator("#q-tools-0").check()
        page.get_by_role("radio", name="Vision Well").check()
        page.get_by_role("radio", name="Speech Well").check()
        page.get_by_role("button", name="Continue").click()
        expect(page).to_have_url(re.compile("/p/[0-9]+/details$"))
    assert "experience.years" not in person.record.answers


@pytest.mark.slow
def test_what_was_typed_outlives_a_refresh_in_its_tab_and_a_change_of_language(browser: Browser, site: Site) -> None:
    person = experienced(site)
    with watched(browser) as window:
        page = opened(window, site, person)
        page.get_by_label("Yes", exact=True).check()
        page.locator("#q-tools-1").check()
        page.locator("#q-years").fill("7")
        page.reload()
        expect(page.get_by_label("Years with Tensor<Flow>?")).to_have_value("7")
        page.get_by_role("button", name="Deutsch").click()
        expect(page.get_by_role("heading", name="Ihre Erfahrung")).to_be_visible()
        expect(page.get_by_label("Jahre mit Tensor<Flow> (auf Deutsch)?")).to_have_value("7")
        look(page, "23-questions-deutsch")
        page.locator("#q-tools-0").check()
        expect(page.get_by_label("Jahre mit PyTorch (auf Deutsch), Tensor<Flow> (auf Deutsch)?")).to_be_visible()
        other = opened(window, site, experienced(site))
        expect(other.locator("#q-tuned-0")).not_to_be_checked()
    assert person.record.language == "de"


@pytest.mark.slow
def test_without_scripts_the_page_comes_again_with_its_follow_up_questions(browser: Browser, site: Site) -> None:
    person = experienced(site)
    context = browser.new_context(java_script_enabled=False)
    page = opened(Watched(context), site, person)
    page.locator("#q-tuned-0").check()
    page.locator("#q-tools-0").check()
    page.get_by_role("radio", name="Vision Well").check()
    page.get_by_role("radio", name="Speech Well").check()
    page.get_by_role("button", name="Continue").click()
    expect(page.locator(".note[role=status]")).to_contain_text("3 more questions")
    expect(page.locator("#q-years")).to_be_focused()
    page.locator("#q-years").fill("2")
    page.get_by_role("radio", name="7 (always)").check()
    page.get_by_role("button", name="Continue").click()
    expect(page).to_have_url(re.compile("/p/[0-9]+/details$"))
    context.close()
    assert person.record.answers["experience.often"] == 7


@pytest.mark.slow
def test_the_papers_background_form(browser: Browser, site: Site) -> None:
    person = Person(site, asking(site, BACKGROUND))
    with watched(browser) as window:
        page = opened(window, site, person, "")
        expect(page.get_by_label("months")).to_be_focused()
        look(page, "24-background")
        page.keyboard.type("18")
        page.get_by_label("Doctorate").check()
        page.keyboard.press("Enter")
        expect(page).to_have_url(re.compile("/p/[0-9]+/details$"))
    assert site.lab.participants.step(person.participant.id) is ParticipantStep.DETAILS
