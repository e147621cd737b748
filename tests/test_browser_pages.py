"""Every page there is, by the table of routes, in a real Chromium: axe finds nothing, and each chart has named axes and a table.

A page that is added to the table is walked from then on; one that nobody reaches fails.
"""

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import pytest
from playwright.sync_api import Browser, BrowserContext, Page

from benchmarks.made_runs import make
from evenhand.model.study import BACKGROUND, Budget, Question, Questionnaire, QuestionSection, Text
from evenhand.tasks.builtin import practice
from evenhand.web.access import COOKIE_NAMES, PERMISSIONS, Role
from tests.components import need
from tests.labs import SPACE, claim, epoch, toy_study
from tests.test_access import STREAMS, filled, is_of_runs
from tests.waiting import PATIENCE_SECONDS, wait_for
from tests.web import Caller, Site, furnish, toy_site, train, tuned_study

WIDTHS = {400: 860, 1600: 1000}  # viewport width: height, in pixels
AFTER = Questionnaire("after", Text("After"), (QuestionSection((Question("how", "text", Text("How was it?")),)),), at="after")
# No training of the furnished site printed anything, or left a file, and nothing was dropped (tests/test_browser_start.py).
NOT_THERE = (
    "/sessions/{session_id}/trials/{number}/output",
    "/sessions/{session_id}/trials/{number}/files/{name}",
    "/sessions/{session_id}/take-away/file",
    "/start/data/{data_id}",
)
# Pages that draw: how many charts at least.
CHARTS = {
    "/p/{study_id}/tune": 2,
    "/sessions/{run_id}/tune": 2,
    "/studies/{study_id}": 1,
    "/sessions/{session_id}": 2,
    "/sessions/{session_id}/trials/{number}": 1,
    "/sessions/{session_id}/explore": 2,
    "/class/{code}/board": 1,
}
PAGES = [row for row in PERMISSIONS.items() if row[0][0] == "GET" and not row[0][1].endswith((*STREAMS, ".pdf", ".zip"))]
ALL = "{}"  # what axe runs: every rule; or what the colours alone decide
COLOURS = '{ runOnly: ["color-contrast", "link-in-text-block"] }'
LOOKS = ((400, "light", ALL), (1600, "dark", ALL), (1600, "light", COLOURS), (400, "dark", COLOURS))
VIOLATIONS = """
async () => (await axe.run(document, %s)).violations.map(
  ({ id, help, nodes }) => `${id}: ${help}: ${nodes.slice(0, 3).map((node) => node.html.slice(0, 160)).join(" ; ")}`)
"""
DRAWN = """
() => [...document.querySelectorAll(".uplot, [data-axes][data-drawn], svg.front-drawing, svg.seed-dots")].map((chart) => {
  const titles = (selector) => [...chart.querySelectorAll(selector)].map((title) => title.textContent.trim());
  const axes = chart.matches("svg") ? titles(".axis-title") : (chart.closest("[data-axes]")?.dataset.axes ?? "").split(" | ");
  const table = chart.closest("main").querySelector("table, .chart-numbers") !== null;
  return { axes, least: chart.matches("svg.seed-dots") ? 1 : 2, table };
})
"""


@dataclass
class Furnished:
    """A site with a participant at each step, by the step's name. study_id: theirs. run_id: of a run of somebody's own.

    closed_id: of a study that has closed.
    """

    site: Site
    stations: dict[str, int]
    study_id: int
    run_id: int
    closed_id: int


@pytest.fixture(scope="module")
def furnished(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Furnished]:
    with toy_site(tmp_path_factory.mktemp("pages")) as site:
        furnish(site)
        base = toy_study(site.lab, Budget(seconds=100))
        forms = (BACKGROUND, AFTER)
        study = site.lab.studies.add(replace(base, id=0, name="steps", questionnaires=forms, practice=True))
        closed, _, _ = tuned_study(site)
        site.lab.studies.close(closed.id)
        run = make(site.lab, 3)
        yield Furnished(site, stations_of(site, study.id, study.consent.version), study.id, run.id, closed.id)


def stations_of(site: Site, study_id: int, consent: str) -> dict[str, int]:
    """Somebody at each step, the last ones first, since time goes on."""
    people, sessions, lab = {}, {}, site.lab
    steps = ("withdrawn", "thanks", "after", "choosing", "tuning", "practising", "practice", "details", "background", "terms")
    for step in steps:
        person = people[step] = lab.participants.join(study_id)[0].id
        if step == "terms":
            continue
        lab.participants.consent(person, consent)
        if step == "background":
            continue
        lab.participants.answer(person, "background", {"months": 12, "education": "master"})
        if step == "details":
            continue
        lab.participants.read_details(person)
        if step == "practising":
            lab.participants.open_practice(person, practice.load({}).record, Budget(trials=3))
        if step in ("practice", "practising"):
            continue
        sessions[step] = lab.participants.begin(person).id
        if step == "choosing":
            site.clock.now += 150
            continue
        agent = lab.agents.add(step, 1)[0]
        train(site, sessions[step], agent, 0.4)
        if step in ("after", "thanks"):
            lab.choose(sessions[step], number=1)
        if step == "thanks":
            lab.participants.answer(person, "after", {"how": "well"})
        if step == "withdrawn":
            lab.participants.withdraw(person)
        if step == "tuning":
            lab.submit(sessions[step], SPACE.configuration({"epochs": 2}))
            job = claim(lab, agent)
            lab.measure(job.job_id, job.attempt, [epoch(0, 1, 0.3)])
    lab.sweep()
    return people


def callers(furnished: Furnished, role: Role) -> list[Caller]:
    """Everybody of a role who may see another state of a page."""
    if role is Role.PARTICIPANT:
        return [furnished.site.caller(role, person) for person in furnished.stations.values()]
    caller = furnished.site.caller(role)
    caller.http.follow_redirects = role is Role.PUBLIC  # to the doors of studies
    return [caller]


def address_of(furnished: Furnished, path: str, role: Role) -> str:
    site, study = furnished.site, str(furnished.study_id)
    token = (
        site.lab.participants.invite(1, "link")[1][0] if "join" in path else site.lab.people.link(site.person(Role.RESEARCHER).id)
    )
    own = {"study_id": study} if role is Role.PARTICIPANT else {}
    run = furnished.run_id
    if path.endswith("/notes") or "/take-away" in path or is_of_runs(path):  # of a run, which is no study's
        own = {"session_id": str(run)}
    if path.startswith("/studies/{study_id}/understand"):  # of which nothing is said before
        own = {"study_id": str(furnished.closed_id)}
    address = filled(path, token=token, **own) + ("/study.js" if path == "/static" else "")
    if path == "/compare":
        return f"{address}?trial={run}:1&trial={run}:2"
    return address + ("?mode=pilot" if "/report" in path else "")  # others' scores stay hidden while the study collects


def looks_of(text: str) -> str:
    """What a page shows, without whose it is: pages of one look are visited once."""
    return re.sub(r'value="[^"]*"|\d+', "", text.partition("<main")[2].partition("</main>")[0])


@pytest.fixture(scope="module")
def context(browser: Browser) -> Iterator[BrowserContext]:
    made = browser.new_context(reduced_motion="reduce")
    made.add_init_script(script=need("axe"))
    yield made
    made.close()


@pytest.mark.slow
@pytest.mark.parametrize(("row", "role"), PAGES, ids=[path for (_, path), _ in PAGES])
def test_axe_finds_nothing_on_a_page_and_its_charts_say_what_they_show(
    row: tuple[str, str], role: Role, furnished: Furnished, context: BrowserContext
) -> None:
    path = row[1]
    address = address_of(furnished, path, role)
    answers = [(caller, caller.get(address)) for caller in callers(furnished, role)]
    kinds = {answer.headers.get("content-type", "").split(";")[0] for _, answer in answers if answer.status_code == 200}
    if path in NOT_THERE or (kinds and "text/html" not in kinds):
        return
    texts = {answer.text: caller for caller, answer in answers if answer.status_code == 200}
    if texts and not any(text.startswith("<!doctype") for text in texts):
        return  # a part of another page
    shown = {looks_of(text): caller for text, caller in texts.items()}
    if not shown and path in ("/p", "/p/{old}", "/p/{study_id}"):
        return  # it only leads on
    assert shown, f"nobody sees {path}: {[(answer.status_code, answer.headers.get('location')) for _, answer in answers]}"
    for caller in shown.values():
        visit(context, caller, address, CHARTS.get(path, 0))


@pytest.mark.slow
@pytest.mark.parametrize(
    "query", ["", "?pin=1&pin=2&q=accuracy>0&against=best&column=changes&column=set.learning_rate", "?q=nothing>1"]
)
def test_axe_finds_nothing_on_the_page_of_a_run(query: str, furnished: Furnished, context: BrowserContext) -> None:
    visit(context, furnished.site.caller(Role.RESEARCHER), f"/sessions/{furnished.run_id}{query}", 2)


@pytest.mark.slow
@pytest.mark.parametrize("form", ["", "trial", "limits", "beliefs"])
def test_axe_finds_nothing_on_the_forms_beside_a_run_s_table(form: str, furnished: Furnished, context: BrowserContext) -> None:
    lab = furnished.site.lab
    study_id = lab.sessions.get(furnished.run_id).study_id
    run = lab.start(lab.sessions.open(study_id, tuner="random", method={"name": "random"}, driver="python").id)
    researcher, address = furnished.site.caller(Role.RESEARCHER), f"/sessions/{run.id}?do={form}"
    assert 'id="add-form"' in researcher.get(address).text
    visit(context, researcher, address, 0)


@pytest.mark.slow
@pytest.mark.parametrize("address", ["/nowhere", "/join/nothing", "/class/AAAAAA", "/p/1/tune"])
def test_axe_finds_nothing_on_pages_that_refuse(address: str, furnished: Furnished, context: BrowserContext) -> None:
    visit(context, furnished.site.caller(), address, 0)


def visit(context: BrowserContext, caller: Caller, address: str, charts: int) -> None:
    """See a page at both widths, light and dark."""
    context.clear_cookies()
    if caller.identity.role in COOKIE_NAMES:
        name = COOKIE_NAMES[caller.identity.role]
        context.add_cookies([{"name": name, "value": caller.identity.token, "url": caller.site.address}])
    page = context.new_page()
    page.set_default_timeout(1000 * PATIENCE_SECONDS)
    try:
        page.goto(f"{caller.site.address}{address}")
        assert len(wait_for(lambda: drawn(page), "the charts are drawn", lambda seen: len(seen) >= charts)) >= charts
        for width, scheme, rules in LOOKS:
            page.set_viewport_size({"width": width, "height": WIDTHS[width]})
            page.emulate_media(color_scheme=scheme)  # type: ignore[arg-type] # one of these
            # Colours fade, and charts take their width a moment later.
            violations = partial(page.evaluate, VIOLATIONS % rules)
            wait_for(violations, f"axe finds nothing at {address}, {width} px, {scheme}", lambda seen: not seen, seconds=60)
        for chart in drawn(page):
            assert len(chart["axes"]) >= chart["least"], json.dumps(chart)
            assert all(chart["axes"]), json.dumps(chart)
            assert chart["table"], json.dumps(chart)
    finally:
        page.close()


def drawn(page: Page) -> list[dict[str, Any]]:
    charts: list[dict[str, Any]] = page.evaluate(DRAWN)
    return charts
