"""The page of people in Chromium: somebody is added, signs in by the link, and is signed out again; without scripts, too."""

from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, Page, expect

from evenhand.web.access import COOKIE_NAMES, Role
from tests.test_browser import look, watched
from tests.web import Site, toy_site, tuned_study


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("EVENHAND_DATA", str(tmp_path_factory.mktemp("data")))
        with toy_site(tmp_path_factory.mktemp("people")) as made:
            tuned_study(made)
            yield made


def cookie(site: Site, role: Role) -> dict[str, str]:
    return {"name": COOKIE_NAMES[role], "value": site.caller(role).identity.token, "url": site.address}


def added(page: Page, name: str) -> str:
    """Adds somebody on the page that an owner has open; the link."""
    page.get_by_label("Name (what they do is recorded under it)").fill(name)
    page.get_by_role("button", name="Add, and make a link").click()
    expect(page.get_by_role("heading", name=f"The link by which {name} signs in")).to_be_visible()
    return page.get_by_label("Sign-in link").input_value()


@pytest.mark.slow
def test_somebody_is_added_signs_in_and_is_signed_out(site: Site, browser: Browser) -> None:
    with watched(browser) as desk, watched(browser, "status of 403") as elsewhere:
        desk.context.add_cookies([cookie(site, Role.OWNER)])  # type: ignore[list-item]
        page = desk.page()
        page.goto(f"{site.address}/studies/1")
        page.get_by_role("link", name="Signed in as Olga").click()
        expect(page.get_by_role("heading", name="People")).to_be_visible()
        look(page, "90-people-alone")
        link = added(page, "Carla Wernersdóttir-Montgomery of the second laboratory")
        look(page, "91-people-link")
        theirs = elsewhere.page()
        theirs.goto(link)
        look(theirs, "92-people-sign-in")
        theirs.get_by_role("button", name="Sign in").click()
        expect(theirs).to_have_url(f"{site.address}/")
        theirs.goto(f"{site.address}/studies/1")
        look(theirs, "93-people-named-bar")
        theirs.goto(f"{site.address}/people")
        look(theirs, "94-people-own")
        page.goto(f"{site.address}/people")
        site.lab.agents.add("lab-pc-3", 4)
        page.reload()
        page.get_by_label("Change Carla").click()
        page.get_by_label("Remove Carla").click()
        look(page, "95-people-list")
        theirs.goto(f"{site.address}/sessions/1")
        page.get_by_role("button", name="End: Carla").click()
        expect(page.get_by_role("status").filter(has_text="is signed out of")).to_be_visible()
        site.lab.sessions.pause([1], "so that there is news")
        expect(theirs.get_by_text("This browser is not signed in any more")).to_be_visible()


@pytest.mark.slow
def test_without_scripts_people_are_managed_as_well(site: Site, browser: Browser) -> None:
    context = browser.new_context(java_script_enabled=False)
    context.add_cookies([cookie(site, Role.OWNER)])  # type: ignore[list-item]
    page = context.new_page()
    page.goto(f"{site.address}/people")
    link = added(page, "Dora")
    assert site.lab.people.invited(link.rpartition("/")[2]) == site.lab.people.named("Dora")
    page.get_by_label("Change Dora").click()
    row = page.get_by_role("listitem").filter(has_text="Dora")
    row.get_by_role("button", name="Make an owner").click()
    expect(page.get_by_text("Dora is an owner now.")).to_be_visible()
    page.get_by_label("Change Dora").click()
    row.get_by_label("Remove Dora ...").click()
    row.get_by_role("button", name="Remove Dora", exact=True).click()
    expect(page.get_by_text("Dora is removed, and signed out everywhere.")).to_be_visible()
    expect(page.get_by_text("Removed: Dora")).to_be_visible()
    context.close()
