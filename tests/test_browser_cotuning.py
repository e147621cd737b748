"""The workbench in Chromium: what a person does with a running method by mouse and keyboard, at 400 and 1600 px, light and dark.

EVENHAND_SCREENSHOTS names a folder for pictures of every page.
"""

from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect

from evenhand.web.access import COOKIE_NAMES, Role
from tests.benches import Bench, bench
from tests.test_browser import Watched, look, watched


def opened(running: Bench, context: Watched) -> Page:
    token = running.site.caller(Role.RESEARCHER).identity.token
    context.context.add_cookies([{"name": COOKIE_NAMES[Role.RESEARCHER], "value": token, "url": running.site.address}])
    page = context.page()
    page.goto(f"{running.site.address}/sessions/{running.id}")
    page.get_by_role("link", name="Work together").click()
    return page


@pytest.mark.slow
def test_a_person_and_a_method_tune_together(browser: Browser, tmp_path: Path) -> None:
    with bench(tmp_path, "pibo", 0.15, startup=4) as running, watched(browser) as context:
        running.trained(3)
        page = opened(running, context)
        expect(page.locator("#turn")).to_contain_text("pibo proposes")
        expect(page.locator("#chart-value canvas")).to_be_visible()
        look(page, "60-workbench-fresh")
        # a belief
        page.get_by_text("Say what you believe").click()
        expect(page.get_by_text("Add the trial", exact=True)).to_be_hidden()  # one is open at a time
        page.locator(".belief", has_text="learning rate").locator("summary").click()
        page.get_by_label("Likely learning rate").fill("7")
        page.get_by_label("How sure of learning rate").select_option("high")
        page.locator("#beliefs-reason").fill("as with the last data")
        look(page, "61-workbench-beliefs")
        page.get_by_role("button", name="Tell pibo").click()
        expect(page.get_by_text("7 is not possible here")).to_be_visible()
        expect(page.get_by_label("Likely learning rate")).to_be_focused()
        expect(page.locator("#beliefs-reason")).to_have_value("as with the last data")
        page.get_by_label("Likely learning rate").fill("0.02")
        page.keyboard.press("Enter")
        expect(page.get_by_role("status").filter(has_text="Kept what you believe")).to_be_visible()
        expect(page.locator("#beliefs-held")).to_contain_text("near 0.02 (high confidence)")
        # limits, typed while trials come in
        page.get_by_text("Limit what it may try").click()
        page.get_by_label("learning rate from").fill("0.001")
        page.get_by_role("checkbox", name="RMSprop").uncheck()
        page.get_by_label("weight decay only").fill("0.0001")
        running.trained(len(running.session.trials) + 2)
        expect(page.get_by_label("learning rate from")).to_have_value("0.001")  # no event swaps a form
        look(page, "62-workbench-limits")
        page.get_by_role("button", name="Set these limits").click()
        expect(page.get_by_text("now only 0.0001")).to_be_visible()
        expect(page.locator("#status")).to_contain_text("joint")
        # take over, stop what trains, add one of one's own, hand back
        held = running.held()
        page.locator("#turn-reason").fill("my turn")
        page.get_by_role("button", name="Take over").click()
        expect(page.locator("#turn")).to_contain_text("Rosa proposes")
        page.get_by_role("button", name=f"Stop trial {held.number}").click()
        running.agent.holds.clear()
        row = page.locator(f"tr[data-trial='{held.number}']")
        expect(row).to_contain_text("stopped by the researcher")
        page.locator("tr[data-trial='1']").get_by_role("link", name="Start from this").click()
        expect(page.locator("#add-source")).to_contain_text("trial 1")
        page.locator("#add-form").get_by_label("learning rate").fill("0.015")
        page.locator("#add-form").get_by_label("weight decay").fill("0.0001")
        page.locator("#add-form").get_by_label("optimizer").select_option("adam")
        page.locator("#add-reason").fill("between the two best")
        look(page, "63-workbench-add")
        page.get_by_role("button", name="Add the trial").click()
        expect(page.get_by_role("status").filter(has_text="is queued")).to_be_visible()
        mine = held.number + 1
        expect(page.locator(f"tr[data-trial='{mine}']")).to_contain_text("Rosa: between the two best")
        running.trained(mine)
        page.get_by_role("button", name="Hand back to pibo").click()
        expect(page.locator("#turn")).to_contain_text("pibo proposes")
        running.trained(mine + 8)
        expect(page.locator(f"tr[data-trial='{mine + 7}']")).to_be_visible()
        expect(page.locator("#interventions li")).to_have_count(6)
        look(page, "64-workbench-later")
        page.goto(f"{running.site.address}/studies/{running.session.study_id}?mode={running.session.mode}")
        expect(page.locator("#rows")).to_contain_text("joint")
        look(page, "65-study-joint")


@pytest.mark.slow
def test_without_scripts_everything_can_be_done(browser: Browser, tmp_path: Path) -> None:
    with bench(tmp_path) as running:
        running.trained(1)
        context = browser.new_context(java_script_enabled=False, viewport={"width": 400, "height": 860})
        try:
            page = opened(running, Watched(context))
            expect(page.get_by_text("tpe does not use beliefs")).to_have_count(1)
            page.get_by_role("button", name="Take over").click()
            expect(page.get_by_text("You propose now")).to_be_visible()
            running.until(lambda session: not any(trial.is_open for trial in session.trials), "the last trial ends")
            page.wait_for_load_state("load")
            page.locator("#add-form").get_by_label("momentum").fill("0.5")  # in sight, though it may not apply
            page.locator("#add-form").get_by_label("optimizer").select_option("adam")
            expect(page.locator("#add-form").get_by_label("momentum")).to_have_value("0.5")
            page.get_by_role("button", name="Add the trial").click()
            expect(page.get_by_text("Leave this empty, since it applies only where optimizer is SGD.")).to_be_visible()
            page.locator("#add-form").get_by_label("momentum").fill("")
            page.get_by_role("button", name="Add the trial").click()
            expect(page.get_by_text("is queued")).to_be_visible()
        finally:
            context.close()
        assert [intervention.kind for intervention in running.session.interventions] == ["took over", "added"]
