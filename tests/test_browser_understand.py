"""What trials say, in Chromium: cards come by themselves and are read by keyboard; axe finds nothing, few trials or many."""

from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, Page, expect

from benchmarks.made_runs import make
from evenhand.explain import EXPLANATIONS
from evenhand.web import understanding
from tests.components import need
from tests.test_browser import look, watched
from tests.test_browser_runs import opened
from tests.web import Site, toy_site

pytestmark = pytest.mark.slow
TRIALS = (1, 30, 300)
FINDINGS = "async () => (await axe.run(document)).violations.map((one) => `${one.id}: ${one.nodes[0].html}`)"
WHOLE_MS = 60_000


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    with toy_site(tmp_path_factory.mktemp("understand")) as served:
        for count in TRIALS:
            make(served.lab, count, seed=4, name=f"{count} trials")
        yield served


def whole(page: Page) -> None:
    """Wait until every card is there."""
    expect(page.locator(f'.cards-state[data-working=""][data-done="{len(EXPLANATIONS)}"]')).to_have_count(1, timeout=WHOLE_MS)


@pytest.mark.parametrize("place", range(len(TRIALS)), ids=map(str, TRIALS))
def test_axe_finds_nothing_and_nothing_sticks_out(site: Site, browser: Browser, place: int) -> None:
    with watched(browser) as looking:
        looking.context.add_init_script(script=need("axe"))
        page = opened(looking, site, f"/sessions/{place + 1}/understand")
        whole(page)
        look(page, f"understand-{TRIALS[place]}")
        for details in page.locator("#cards details").all():
            details.evaluate("(part) => { part.open = true; }")
        for scheme in ("light", "dark"):
            page.emulate_media(color_scheme=scheme, reduced_motion="reduce")
            page.wait_for_timeout(400)  # colours fade
            assert page.evaluate(FINDINGS) == []


def test_cards_are_read_by_keyboard_and_lead_to_their_trials(site: Site, browser: Browser) -> None:
    with watched(browser) as looking:
        page = opened(looking, site, "/sessions/3")
        page.get_by_text("More …").click()
        page.get_by_role("link", name="Understand").click()
        whole(page)
        numbers = page.locator("#card-noise summary", has_text="The numbers")
        numbers.focus()
        page.keyboard.press("Enter")
        expect(page.locator("#card-noise table").first).to_be_visible()
        page.keyboard.press("Tab")
        expect(page.locator("#card-noise .table-responsive")).to_be_focused()
        first = page.locator("#card-noise .finding-trials a").first
        number = first.inner_text()
        first.click()
        expect(page).to_have_url(f"{site.address}/sessions/3/trials/{number}")


def test_what_is_open_stays_open_while_the_run_goes_on(site: Site, browser: Browser, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(understanding, "REST_SECONDS", 0)
    monkeypatch.setattr(understanding, "REST_LOAD", 0)
    session = make(site.lab, 40, seed=5, name="goes on")
    with watched(browser) as looking:
        page = opened(looking, site, f"/sessions/{session.id}/understand")
        page.clock.install()
        page.reload()
        whole(page)
        page.locator("#card-noise summary", has_text="The numbers").click()
        site.lab.sessions.end(session.id)  # something happened: all is worked out anew
        site.clock.now += 1
        before = page.locator(".cards-state").get_attribute("data-stamp")
        for _ in range(60):
            page.clock.fast_forward(21_000)
            page.wait_for_timeout(1000)
            if page.locator(".cards-state").get_attribute("data-stamp") != before:
                break
        assert page.locator(".cards-state").get_attribute("data-stamp") != before
        expect(page.locator("#card-noise table").first).to_be_visible()
