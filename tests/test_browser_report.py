"""The report in the researcher's pages, and in Chromium: at 400 and 1600 px, light and dark, by mouse and by keyboard.

EVENHAND_SCREENSHOTS names a folder for pictures of every page.
"""

import io
import re
import zipfile
from collections.abc import Iterator
from pathlib import Path
from uuid import uuid4

import pytest
from playwright.sync_api import Browser, expect

from evenhand.model.archive import Archive
from evenhand.model.study import Mode, Study
from evenhand.report import page
from evenhand.report import study as study_report
from evenhand.report.blocks import Report
from evenhand.web.access import COOKIE_NAMES, Role
from tests.archives import many
from tests.components import need
from tests.labs import toy_study
from tests.test_browser import look, watched
from tests.web import Site, evaluated, toy_site, train, tuning_participant

need("report")

DATE = "2026-11-21"


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    with toy_site(tmp_path_factory.mktemp("report")) as served:
        yield served


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("page") / "report.html"
    path.write_text(page.html(study_report.build(many(31, 1), "live"), DATE), encoding="utf-8")
    return path


@pytest.fixture(scope="module")
def study(site: Site) -> Study:
    return collected(site)


def collected(site: Site) -> Study:
    """A study in which three people have chosen and were evaluated; it still collects."""
    study, (agent, _) = toy_study(site.lab), site.lab.agents.add(f"agent {uuid4().hex[:6]}", 1)
    for values in ((0.3, 0.4), (0.5, 0.2), (0.7,)):
        person = tuning_participant(site, study)
        assert person.session_id is not None
        for value in values:
            train(site, person.session_id, agent, value)
        evaluated(site, person.session_id, agent, values[0], values[0] + 0.02)
    return study


@pytest.mark.slow
def test_live_scores_stay_hidden_until_the_study_is_closed(site: Site, study: Study) -> None:
    researcher = site.caller(Role.RESEARCHER)
    for kind in ("", ".pdf", ".zip"):
        answer = researcher.get(f"/studies/{study.id}/report{kind}")
        assert answer.status_code == 409
        assert "still collecting" in answer.text
    assert all(not site.lab.evaluations.looks(session.id) for session in site.lab.sessions.of_study(study.id))
    site.lab.studies.close(study.id)
    assert researcher.post(f"/studies/{study.id}/look", {"then": "report"}).status_code == 303
    answer = researcher.get(f"/studies/{study.id}/report")
    assert answer.status_code == 200
    assert "3 in the statistics of 3 who joined" in answer.text
    assert answer.headers["content-security-policy"] == page.policy()
    assert all(site.lab.evaluations.looks(session.id) for session in site.lab.sessions.of_study(study.id))
    assert researcher.get(f"/studies/{study.id}/report?by=background.nothing").status_code == 400
    assert researcher.get("/studies/99/report").status_code == 404
    assert site.caller().get(f"/studies/{study.id}/report").status_code in (401, 403)


@pytest.mark.slow
def test_a_report_is_made_once_for_the_same_records(site: Site, study: Study, monkeypatch: pytest.MonkeyPatch) -> None:
    researcher = site.caller(Role.RESEARCHER)
    site.lab.studies.close(study.id)
    researcher.post(f"/studies/{study.id}/look", {"then": "report"})
    first = researcher.get(f"/studies/{study.id}/report").text
    made: list[Report] = []
    real = study_report.build

    def counting(archive: Archive, mode: Mode, *, regroup: str | None = None) -> Report:
        made.append(real(archive, mode, regroup=regroup))
        return made[-1]

    monkeypatch.setattr(study_report, "build", counting)
    assert researcher.get(f"/studies/{study.id}/report").text == first
    assert made == []
    person = site.lab.participants.of_study(study.id)[0]
    site.lab.participants.exclude(person.id, "asked for help")
    assert "excluded: asked for help" in researcher.get(f"/studies/{study.id}/report").text
    site.lab.participants.include(person.id, "a mistake")
    assert researcher.get(f"/studies/{study.id}/report").text == first
    assert len(made) == 2


@pytest.mark.slow
def test_the_document_and_the_files_come_with_the_page(site: Site, browser: Browser) -> None:
    study = collected(site)  # of its own: nobody has looked at it
    site.lab.studies.close(study.id)
    researcher = site.caller(Role.RESEARCHER)
    with watched(browser) as looking:
        looking.context.add_cookies(
            [{"name": COOKIE_NAMES[Role.RESEARCHER], "value": researcher.identity.token, "url": site.address}]
        )
        shown = looking.page()
        shown.goto(f"{site.address}/studies/{study.id}/report")
        expect(shown.get_by_role("heading", level=1)).to_have_text("This is a look at test scores")
        look(shown, "look-asked")
        shown.get_by_role("button", name="Look, and open the report").click()
        expect(shown.get_by_role("heading", level=1)).to_have_text("Toy")
        look(shown, "report-server")
        with shown.expect_download() as waiting:
            shown.get_by_role("link", name="PDF").click()
        assert waiting.value.path().read_bytes().startswith(b"%PDF")
        with shown.expect_download() as waiting:
            shown.get_by_role("link", name="every figure and table").click()
        packed = zipfile.ZipFile(io.BytesIO(waiting.value.path().read_bytes()))
        assert {"fig4-experience.svg", "fig4-experience.png", "fig4-experience.csv"} <= set(packed.namelist())
        shown.get_by_role("link", name=re.compile("group by background")).first.click()
        expect(shown.get_by_role("link", name="group as planned")).to_be_visible()
        shown.get_by_role("link", name="Back to the study").click()
        expect(shown).to_have_url(re.compile(rf"/studies/{study.id}\b"))


@pytest.mark.slow
def test_the_page_carries_its_policy_and_keeps_to_it(written: Path, browser: Browser) -> None:
    text = written.read_text(encoding="utf-8")
    assert "style=" not in text
    policy = re.findall(r'<meta http-equiv="Content-Security-Policy" content="([^"]*)">', text)
    assert page.policy() == f"{policy[0]}; frame-ancestors 'none'"
    assert "unsafe" not in policy[0]
    with watched(browser, "inline style") as looking:  # and nothing else is against it
        shown = looking.page()
        shown.goto(written.as_uri())
        expect(shown.locator("th button").first).to_have_text(re.compile("."))  # made by its script
        shown.evaluate("() => document.body.insertAdjacentHTML('beforeend', '<i id=red style=\"color:red\">x</i>')")
        assert shown.locator("#red").evaluate("(mark) => getComputedStyle(mark).color") != "rgb(255, 0, 0)"


@pytest.mark.slow
def test_the_page_alone_fits_every_width_and_follows_light_and_dark(written: Path, browser: Browser) -> None:
    with watched(browser) as looking:
        shown = looking.page()
        shown.goto(written.as_uri())
        look(shown, "report-page")
        assert shown.locator("link[rel=icon]").get_attribute("href") == "data:,"  # else the browser asks the server for one
        bar = shown.locator("#fig3-experience .drawing [aria-roledescription=bar]").first
        colours = []
        for scheme in ("light", "dark"):
            shown.emulate_media(color_scheme=scheme)
            colours.append(bar.evaluate("each => getComputedStyle(each).fill"))
        assert colours == ["rgb(201, 74, 10)", "rgb(255, 146, 85)"]


def test_every_drawing_has_words_and_a_table(written: Path, browser: Browser) -> None:
    with watched(browser) as looking:
        shown = looking.page()
        shown.goto(written.as_uri())
        drawings = shown.locator("figure.drawn")
        assert drawings.count() > 8
        for index in range(drawings.count()):
            drawn = drawings.nth(index)
            assert len(drawn.locator(".drawing > svg[role=img]").get_attribute("aria-label") or "") > 20
            table = drawn.locator("details table")
            expect(table).to_be_hidden()
            drawn.locator("summary").focus()
            shown.keyboard.press("Enter")
            expect(table).to_be_visible()


def test_tables_sort_by_keyboard_numbers_as_numbers(written: Path, browser: Browser) -> None:
    with watched(browser) as looking:
        shown = looking.page()
        shown.goto(written.as_uri())
        table = shown.locator("#disclosure table")
        for turn in ("ascending", "descending"):
            table.get_by_role("button", name="trials", exact=True).focus()
            shown.keyboard.press("Enter")
            expect(table.locator("th", has_text="trials")).to_have_attribute("aria-sort", turn)
            column = [int(cell) for cell in table.locator("tbody td:nth-child(3)").all_text_contents()]
            assert column == sorted(column, reverse=turn == "descending")


INTRUDERS = """async () => {
  const said = new Set();  // the server's policy and the page's own both say it
  addEventListener("securitypolicyviolation", event => said.add(`${event.effectiveDirective} ${event.blockedURI}`));
  const script = document.createElement("script"); script.textContent = "window.intruder = true"; document.body.append(script);
  const outer = document.createElement("script"); outer.src = "/static/live.js"; document.body.append(outer);
  const image = document.createElement("img"); image.src = "/favicon.ico"; document.body.append(image);
  const frame = document.createElement("iframe"); frame.src = "/"; document.body.append(frame);
  document.body.insertAdjacentHTML("beforeend", "<form action='/' method='post'></form>"); document.forms[0].submit();
  await fetch("/studies").catch(() => {});
  document.body.insertAdjacentHTML("beforeend", "<i style='color:red'></i>");
  for (let turn = 0; turn < 100 && said.size < 7; turn++) await new Promise(done => setTimeout(done, 20));
  return [[...said].map(words => words.split(" ")[0]).sort(), window.intruder === undefined];
}"""


@pytest.mark.slow
def test_the_policy_allows_the_pages_own_script_and_style_and_nothing_else(site: Site, study: Study, browser: Browser) -> None:
    site.lab.studies.close(study.id)
    researcher = site.caller(Role.RESEARCHER)
    with watched(browser, "Content Security Policy", "Refused to", "ERR_BLOCKED_BY_CSP") as looking:
        looking.context.add_cookies(
            [{"name": COOKIE_NAMES[Role.RESEARCHER], "value": researcher.identity.token, "url": site.address}]
        )
        shown = looking.page()
        researcher.post(f"/studies/{study.id}/look", {"then": "report"})
        shown.goto(f"{site.address}/studies/{study.id}/report")
        assert shown.locator("h1").evaluate("each => getComputedStyle(each).fontSize") == "32px"
        bar = shown.locator("#fig3-experience .drawing [aria-roledescription=bar]").first
        assert bar.evaluate("each => getComputedStyle(each).fill") == "rgb(201, 74, 10)"
        shown.locator("#disclosure").get_by_role("button", name="trials", exact=True).click()
        expect(shown.locator("#disclosure th", has_text="trials")).to_have_attribute("aria-sort", "ascending")
        refused, kept_out = shown.evaluate(INTRUDERS)
        assert kept_out
        scripts = ["script-src-elem", "script-src-elem"]
        assert refused == ["connect-src", "form-action", "frame-src", "img-src", *scripts, "style-src-attr"]
