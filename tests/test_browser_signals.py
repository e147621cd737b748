"""Process signals as a real Chromium sends them: pastes, leaving the page, seconds of typing; and the class's board in it."""

from dataclasses import replace

import pytest
from playwright.sync_api import Browser, expect

from evenhand.model.study import Budget
from evenhand.web.access import COOKIE_NAMES, Role
from tests.labs import toy_study
from tests.test_browser import watched
from tests.web import SUBJECTS, furnish, toy_site


@pytest.mark.slow
def test_the_page_counts_pastes_and_absence_and_typing_and_sends_no_content(
    browser: Browser, tmp_path_factory: pytest.TempPathFactory
) -> None:
    with toy_site(tmp_path_factory.mktemp("signals")) as site, watched(browser) as person:
        base = toy_study(site.lab, Budget(seconds=100, parallel=2))
        study = site.lab.studies.add(replace(base, id=0, name="signals", signals=True, questionnaires=()))
        participant = site.lab.participants.join(study.id)[0].id
        site.lab.participants.consent(participant, study.consent.version)
        session = site.lab.participants.begin(participant).id
        token = site.caller(Role.PARTICIPANT, participant).identity.token
        person.context.add_cookies([{"name": COOKIE_NAMES[Role.PARTICIPANT], "value": token, "url": site.address}])
        page = person.page()
        page.goto(f"{site.address}/p/{study.id}")
        epochs = page.locator('[name="value.epochs"]')
        epochs.press_sequentially("10")
        epochs.evaluate("(field) => field.dispatchEvent(new ClipboardEvent('paste', { bubbles: true }))")
        page.evaluate("dispatchEvent(new Event('blur')); dispatchEvent(new Event('focus'))")
        page.locator("#start").click()
        expect(page.locator("#run-title")).to_have_text("Trial 1")
        page.locator("#start").click()
        expect(page.locator("main")).to_contain_text("Started from trial 2")
        first, second = (trial.signals for trial in site.lab.sessions.get(session).trials)
        assert first is not None
        assert second is not None
        assert (first.pastes, first.away, set(first.values), dict(first.reasons)) == (1, 1, {"epochs"}, {})
        assert (second.pastes, second.away, dict(second.values)) == (0, 0, {})  # each trial has its own


@pytest.mark.slow
def test_the_board_counts_down_by_the_servers_clock_and_draws_the_leaders(
    browser: Browser, tmp_path_factory: pytest.TempPathFactory
) -> None:
    with toy_site(tmp_path_factory.mktemp("board")) as site, watched(browser) as wall:
        furnish(site)
        page = wall.page()
        page.goto(f"{site.address}/class/{SUBJECTS['code']}/board")
        expect(page.locator("#class-left")).not_to_have_text("30:00")  # it runs, whatever this machine's own clock says
        expect(page.locator("#chart-leaders .uplot")).to_be_visible()
        words = page.locator(".class-just")
        place = words.bounding_box()
        fits = "(left) => { left.textContent = '1:30:00'; return left.scrollWidth <= left.parentElement.clientWidth; }"
        assert page.locator("#class-left").evaluate(fits)  # hours, too, in the clock's column
        page.locator("#chart-leaders + details summary").click()
        expect(page.locator("#chart-leaders + details tbody tr")).to_have_count(3)
        expect(page.locator("#chart-leaders + details tbody tr").nth(2)).to_contain_text("70.0")  # the third trial was worse
        page.reload()
        expect(page.locator("#class-left")).not_to_have_text("30:00")
        site.clock.now += 60
        expect(words).to_have_text("Who has just improved stands here.")
        assert words.bounding_box() == place  # nothing below moves
