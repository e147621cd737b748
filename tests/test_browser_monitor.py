"""The researcher's pages of a running study in Chromium: at 400 and 1600 px, light and dark, with nobody, one, 31 and 200 people.

EVENHAND_SCREENSHOTS names a folder for pictures of every page.
"""

import random
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect

from evenhand.lab.lab import Lab
from evenhand.model.session import State
from evenhand.model.study import AnalysisPlan, Arm, Budget, Study, Text
from evenhand.web.access import COOKIE_NAMES, Role
from tests.labs import SPACE, claim, make_lab, toy_study
from tests.test_browser import Watched, look, watched
from tests.web import Site, serve, toy_site, train, tuned_study

PEOPLE = (0, 1, 31, 200)


def spring(lab: Lab, folder: Path) -> Study:
    """A published study with two conditions, and a version that is not published."""
    base = replace(
        toy_study(lab),
        name="spring",
        title="Black magic, spring run",
        budget=Budget(seconds=7200),
        evaluation_seeds=3,
        arms=(Arm("presets"), Arm("blank", presets=False)),
        contact="Ada, ada@example.org",
        plan=AnalysisPlan(participants=31),
        backup=str(folder),
        packages={},
    )
    study = lab.studies.publish(lab.studies.declare(base).id, "as planned")
    lab.studies.declare(
        replace(base, consent=Text("I agree.\n\nTo all of it, and to a text that is long enough to be shown line by line."))
    )
    return study


@contextmanager
def crowd(folder: Path, people: int) -> Iterator[tuple[Site, Study, int]]:
    """A served study whose participants are at every step; the agent that trained them."""
    lab, clock = make_lab(f"sqlite:///{folder / 'lab.sqlite'}")
    study = spring(lab, folder)
    agent, _ = lab.agents.add("one", 2)
    _, tokens = lab.participants.invite(study.id, "mailing list", cap=250)
    draws = random.Random(1)
    with serve(lab, clock, folder) as site:
        for number in range(people):
            walk(site, study, tokens[0], agent, number, draws)
        lab.hello(agent, slots=2, machine="Linux")
        yield site, study, agent
    lab.close()


def walk(site: Site, study: Study, token: str, agent: int, number: int, draws: random.Random) -> None:
    """One participant, who comes as far as the number says: the first tunes."""
    lab, stage = site.lab, number % 10
    person, _ = lab.participants.accept(token)
    if stage == 9:
        return
    lab.participants.consent(person.id, study.consent.version)
    if stage == 8:
        return
    lab.participants.answer(person.id, "background", {"months": draws.choice([0, 3, 9, 12, 36]), "education": "master"})
    if stage == 7:
        return
    session = lab.participants.begin(person.id)
    for _ in range(2):
        train(site, session.id, agent, 0.2 + 0.7 * draws.random(), learning_rate=10 ** draws.uniform(-4, 0))
    if stage == 6:
        lab.participants.withdraw(person.id)
    elif stage > 2:
        lab.choose(session.id, number=1)
    if stage == 5:
        lab.participants.exclude(person.id, "answered the attention check wrongly")


def researcher(site: Site, context: Watched) -> Page:
    """A page that is signed in."""
    token = site.caller(Role.RESEARCHER).identity.token
    context.context.add_cookies([{"name": COOKIE_NAMES[Role.RESEARCHER], "value": token, "url": site.address}])
    return context.page()


@pytest.mark.slow
@pytest.mark.parametrize("people", PEOPLE)
def test_the_pages_hold_any_number_of_people(people: int, browser: Browser, tmp_path: Path) -> None:
    with crowd(tmp_path, people) as (site, study, _), watched(browser) as context:
        page = researcher(site, context)
        page.goto(f"{site.address}/studies/{study.id}")
        expect(page.locator("#rows tr")).to_have_count(people)
        expect(page.locator("#modes [aria-current]")).to_have_text(f"live {people}")
        page.get_by_text("Where the others are").click()
        expect(page.locator(".consort > li").first).to_contain_text(f"{people} joined")
        if people:
            expect(page.locator("#chart-best canvas")).to_be_visible()
        look(page, f"30-monitor-{people}")
        for name in ("Invitations", "Versions", "Events"):
            page.get_by_role("link", name=name, exact=True).click()
            expect(page.get_by_role("link", name=name, exact=True)).to_have_attribute("aria-current", "page")
            look(page, f"31-{name.lower()}-{people}")


@pytest.mark.slow
def test_everyone_is_paused_and_goes_on_by_keyboard_and_mouse(browser: Browser, tmp_path: Path) -> None:
    with crowd(tmp_path, 3) as (site, study, agent), watched(browser) as context:
        page = researcher(site, context)
        page.goto(f"{site.address}/studies/{study.id}")
        row = page.locator("tr[data-row=p1]")
        expect(row).to_contain_text("tuning")
        row.get_by_role("checkbox").check()
        page.locator("#act-menu summary").click()
        expect(page.locator("#picked")).to_be_checked()
        expect(page.locator("#picked-count")).to_have_text("(1)")
        train(site, session_of(site, 1), agent, 0.95)
        expect(row).to_contain_text("95.0")
        expect(row.get_by_role("checkbox")).to_be_checked()  # a changed row keeps its tick
        look(page, "32-pause")
        page.get_by_label("everyone who takes part now").check()
        page.get_by_role("button", name="Do it").click()  # without a reason: the browser asks for one
        assert site.lab.view(session_of(site, 1)).state is State.TUNING
        page.locator("#reason").fill("fire alarm")
        page.keyboard.press("Enter")
        expect(page.get_by_role("status").filter(has_text="Paused")).to_have_text("Paused: P-01, P-02, P-03.")
        expect(row).to_contain_text("fire alarm")
        page.locator("#act-menu summary").press("Enter")
        page.get_by_label("go on").check()
        page.get_by_role("button", name="Do it").click()
        expect(page.get_by_role("status").filter(has_text="Went on")).to_be_visible()
        expect(row).to_contain_text("tuning")


def session_of(site: Site, participant: int) -> int:
    session_id = site.lab.participants.get(participant).session_id
    assert session_id is not None
    return session_id


@pytest.mark.slow
def test_a_button_that_the_stream_brought_is_this_researchers_own(browser: Browser, tmp_path: Path) -> None:
    with toy_site(tmp_path) as site, watched(browser) as context:
        _, session, agent = tuned_study(site)
        page = researcher(site, context)
        page.goto(f"{site.address}/sessions/{session.id}")
        expect(page.locator("#trials tr[data-trial]")).to_have_count(2)
        site.lab.submit(session.id, session.space.configuration({"epochs": 3}))
        claim(site.lab, agent)
        expect(page.locator("#trials tr[data-trial]")).to_have_count(3)  # the stream's, which is everybody's
        stop = page.locator('#trials tr[data-trial="3"]').get_by_role("link", name="Stop … trial 3")
        stop.click()
        page.get_by_role("button", name="Stop trial 3").click()
        expect(page.locator('#trials tr[data-trial="3"]')).to_contain_text("stopping")
        expect(stop).to_have_count(0)
        assert site.lab.sessions.get(session.id).trials[2].stop_by == "researcher"


@pytest.mark.slow
def test_one_participants_page_gives_time_and_leaves_out(browser: Browser, tmp_path: Path) -> None:
    with crowd(tmp_path, 1) as (site, study, _), watched(browser) as context:
        page = researcher(site, context)
        page.goto(f"{site.address}/studies/{study.id}")
        page.get_by_role("link", name="P-01", exact=True).click()
        page.locator(".person-act").get_by_label("Reason").fill("the agents were away")
        page.get_by_role("button", name="Give").click()
        expect(page.get_by_role("status").filter(has_text="Given 10 minutes more: P-01.")).to_be_visible()
        page.goto(f"{site.address}/participants/1")
        expect(page.get_by_text("10:00 more: the agents were away")).to_be_visible()
        page.get_by_label("Reason", exact=True).fill("knew the answers")
        page.get_by_role("button", name="Leave out").click()
        expect(page.get_by_text("Left out of the statistics:", exact=True)).to_be_visible()
        look(page, "33-participant")


@pytest.mark.slow
def test_links_are_made_copied_and_shown_with_their_codes(browser: Browser, tmp_path: Path) -> None:
    with crowd(tmp_path, 0) as (site, study, _), watched(browser) as context:
        context.context.grant_permissions(["clipboard-read", "clipboard-write"])
        page = researcher(site, context)
        page.goto(f"{site.address}/studies/{study.id}/invitations")
        page.get_by_label("one link for each person").check()
        page.get_by_label("How many people").fill("4")
        page.get_by_label("Label").fill("spring course")
        page.get_by_role("button", name="Make the links").click()
        codes = page.locator("img.qr")
        expect(codes).to_have_count(4)
        assert all(code.evaluate("each => each.naturalWidth > 0") for code in codes.all())  # the policy lets them load
        page.get_by_role("button", name="Copy all").click()
        expect(page.get_by_role("button", name="Copied")).to_be_visible()
        assert page.evaluate("navigator.clipboard.readText()").count("/join/") == 4
        with page.expect_download() as download:
            page.get_by_role("link", name="Download as CSV").click()
        assert download.value.path().read_text().count("/join/") == 4
        look(page, "34-links")


@pytest.mark.slow
def test_an_amendment_is_published_after_its_warnings_were_read(browser: Browser, tmp_path: Path) -> None:
    with crowd(tmp_path, 1) as (site, study, _), watched(browser) as context:
        page = researcher(site, context)
        page.goto(f"{site.address}/studies/{study.id}")
        page.get_by_role("link", name="See what differs").click()
        expect(page.locator(".line.added").first).to_be_visible()
        page.get_by_label("What was changed").fill("the board asked for it")
        page.get_by_role("button", name="Publish this amendment").click()
        expect(page.get_by_role("alert")).to_contain_text("say that you have read")
        for box in page.get_by_label("I have read this").all():
            box.check()
        page.get_by_role("button", name="Publish this amendment").click()
        expect(page.get_by_role("status").filter(has_text="Version 2 is live")).to_be_visible()
        page.locator(".phase-card summary").click()
        page.get_by_label("End the collection").check()
        page.get_by_role("button", name="Close it").click()
        expect(page.get_by_text("Collection ended")).to_be_visible()
        look(page, "35-closed")


@pytest.mark.slow
def test_what_cannot_be_taken_back_is_asked_on_pages_that_fit(browser: Browser, tmp_path: Path) -> None:
    """Starting a method, stopping, pausing, ending and removing; and the log of it all, in words."""
    with toy_site(tmp_path) as site, watched(browser, "409", "422") as watching:
        study, session, agent = tuned_study(site)
        site.lab.submit(session.id, SPACE.configuration({"epochs": 2, "learning_rate": 0.5}))
        job = claim(site.lab, agent)
        page = researcher(site, watching)
        page.goto(f"{site.address}/studies/{study.id}")
        page.get_by_role("link", name="Start a method").click()
        expect(page.get_by_role("radio", checked=True)).to_have_value("tpe")
        look(page, "start-method")
        page.get_by_text("Seed and settings").first.click()
        page.get_by_label("startup").first.fill("ten")
        page.get_by_role("button", name="Start it").click()
        expect(page.get_by_label("startup").first).to_have_value("ten")
        expect(page.get_by_text("expected a whole number, such as 10")).to_be_visible()
        look(page, "start-method-wrong")
        page.goto(f"{site.address}/sessions/{session.id}")
        page.get_by_role("link", name="Stop … trial 3").click()
        expect(page.get_by_text("It makes the session joint, for good")).to_be_visible()
        look(page, "stop-asked")
        page.get_by_role("link", name="Back to the session").click()
        site.lab.sessions.pause([session.id], "a fire alarm")
        site.lab.measure(job.job_id, job.attempt, [], is_held=True)
        expect(page.get_by_text("Trial 3 stands still, and goes on from there after the pause.")).to_be_visible()
        expect(page.locator(".outcome-open", has_text="held")).to_be_visible()
        look(page, "session-held")
        page.get_by_role("link", name="End …").click()
        look(page, "end-asked")
        page.get_by_label("Why?").fill("its task is gone")
        page.get_by_role("button", name="End it").click()
        expect(page.get_by_role("heading", name="Final choice and test score")).to_be_visible()
        page.goto(f"{site.address}/studies/{study.id}/log")
        expect(page.get_by_text("Rosa ended random: its task is gone")).to_be_visible()
        look(page, "log-in-words")
