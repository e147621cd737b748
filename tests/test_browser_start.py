"""Runs started from the browser, in Chromium, on a real server whose real agent trains them: a method's, and one by hand."""

import re
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import pytest
from PIL import Image
from playwright.sync_api import Browser, Page, expect

from evenhand.lab.lab import Lab
from evenhand.model.session import LABORATORY
from evenhand.web.access import COOKIE_NAMES, Role
from evenhand.web.app import create_app
from tests.agents import agent_process
from tests.components import need
from tests.labs import Clock
from tests.test_browser import Watched, look, watched
from tests.test_browser_pages import ALL, VIOLATIONS
from tests.waiting import PATIENCE_SECONDS, wait_for
from tests.web import Site, listening

pytestmark = pytest.mark.slow
PATIENCE = 1000 * PATIENCE_SECONDS  # ms
ROWS = 120
DROPPED = """
(text) => {
  const dropped = new DataTransfer();
  dropped.items.add(new File([text], "churn.csv", { type: "text/csv" }));
  return dropped;
}
"""


def churn() -> str:
    """A small table whose last column follows from its first two."""
    plans, answers = ("yearly", "monthly"), ("no", "yes")
    rows = [f"{20 + row % 50},{plans[row % 2]},{row},{answers[row % 50 > 25]}" for row in range(ROWS)]
    return "\n".join(["age,plan,number,left", *rows])


@dataclass
class Trained:
    """A served laboratory with an agent."""

    site: Site

    @property
    def lab(self) -> Lab:
        """The laboratory."""
        return self.site.lab

    def page(self, looking: Watched, path: str) -> Page:
        """A page as whoever is signed in sees it."""
        researcher = self.site.caller(Role.RESEARCHER)
        looking.context.add_cookies(
            [{"name": COOKIE_NAMES[Role.RESEARCHER], "value": researcher.identity.token, "url": self.site.address}]
        )
        looking.context.add_init_script(script=need("axe"))
        page = looking.page()
        page.emulate_media(reduced_motion="reduce")  # so that axe sees no colour halfway
        page.goto(f"{self.site.address}{path}")
        return page


def seen(page: Page, name: str) -> None:
    """A page fits at each width, and axe finds nothing on it."""
    look(page, name)
    assert page.evaluate(VIOLATIONS % ALL) == []


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Trained]:
    folder = tmp_path_factory.mktemp("start")
    with pytest.MonkeyPatch.context() as patch, closing(Lab.connect(f"sqlite:///{folder / 'lab.sqlite'}")) as lab:
        patch.setenv("EVENHAND_DATA", str(folder))
        app = create_app(lab, data_dir=folder)
        with listening(app) as address:
            _, token = lab.agents.add("local", 1)
            with agent_process(address, token, EVENHAND_DATA=str(folder)):
                wait_for(lab.agents.all, "the agent is there", bool)
                yield Trained(Site(address, lab, Clock(), app, folder))


def test_a_table_is_dropped_and_tuned(trained: Trained, browser: Browser) -> None:
    with watched(browser) as looking:
        page = trained.page(looking, "/")
        page.get_by_role("link", name="Start a run").click()
        seen(page, "start")
        dropped = page.evaluate_handle(DROPPED, churn())
        page.dispatch_event("#drop", "drop", {"dataTransfer": dropped})
        expect(page.get_by_role("heading", name="churn.csv")).to_be_visible(timeout=PATIENCE)
        expect(page.get_by_role("row", name=re.compile("^number"))).to_contain_text("left out: it counts the rows")
        page.get_by_label("Column", exact=True).select_option("plan")
        expect(page.get_by_role("row").filter(has_text="target: 2 classes")).to_contain_text("plan", timeout=PATIENCE)
        page.get_by_label("Column", exact=True).select_option("left")
        expect(page.get_by_role("row").filter(has_text="target: 2 classes")).to_contain_text("left", timeout=PATIENCE)
        seen(page, "start-table")
        page.get_by_role("button", name="Go on with it").click()
        expect(page.get_by_role("heading", name="churn", exact=True)).to_be_visible(timeout=PATIENCE)
        page.get_by_label("Trials", exact=True).fill("none")
        page.get_by_label("epochs to", exact=True).fill("700")
        page.get_by_role("radio", name=re.compile("random search")).check()
        page.get_by_role("button", name="Start the run").click()
        expect(page.get_by_text("Got 'none', expected a whole number from 1.")).to_be_visible(timeout=PATIENCE)
        expect(page.get_by_text("Enter whole numbers within 1 to 60")).to_be_visible()
        seen(page, "start-form-wrong")
        page.get_by_label("Trials", exact=True).fill("3")
        page.get_by_label("epochs to", exact=True).fill("3")
        page.get_by_label("epochs default", exact=True).fill("2")
        page.get_by_label("Name", exact=True).fill("first try")
        seen(page, "start-form")
        page.get_by_role("button", name="Start the run").click()
        page.wait_for_url(re.compile(r"/sessions/\d+$"))
        session_id = int(page.url.rpartition("/")[2])
        session = wait_for(
            lambda: trained.lab.sessions.get(session_id),
            "three trials are trained and the choice is scored",
            lambda session: session.choice is not None and session.evaluated.done == session.evaluated.planned,
        )
        best = session.chosen_trial
        assert best is not None
        assert best.value is not None
        expect(page.get_by_text(f"{100 * best.value:.1f} %").first).to_be_visible(timeout=PATIENCE)
        page.goto(f"{trained.site.address}/")
        expect(page.get_by_role("row").filter(has_text="first try")).to_contain_text("finished")
        expect(page.get_by_role("row").filter(has_text="first try")).to_contain_text("churn.py:train")
        seen(page, "runs-after-a-start")
    assert [trial.outcome for trial in session.trials] == ["completed"] * 3
    assert all(trial.configuration["epochs"] <= 3 for trial in session.trials)
    assert (session.purpose, session.process, session.name) == ("exploratory", LABORATORY, "first try")
    assert session.interventions[0].detail == {"epochs": {"high": 3, "default": 2}}
    assert not session.is_joint


def test_a_run_is_tuned_by_hand(trained: Trained, browser: Browser) -> None:
    with watched(browser) as looking:
        page = trained.page(looking, "/start")
        page.get_by_role("link", name="Nearest neighbours on iris").click()
        page.get_by_role("button", name="Tune it by hand").click(timeout=PATIENCE)
        page.wait_for_url(re.compile(r"/sessions/\d+/tune$"))
        seen(page, "tune-by-hand-empty")
        form = page.locator("#form")
        form.get_by_label("Neighbours", exact=True).fill("500")
        form.get_by_label("Power", exact=True).fill("2")
        page.get_by_role("button", name="Start training").click()
        expect(form.get_by_text("500 is not possible here: enter a whole number from 1 to 25.")).to_be_visible()
        form.get_by_label("Neighbours", exact=True).fill("5")
        form.get_by_label("Neighbours", exact=True).press("Enter")
        expect(page.get_by_role("link", name="Choose as final")).to_be_visible(timeout=PATIENCE)
        seen(page, "tune-by-hand")
        run_id = int(re.findall(r"/sessions/(\d+)/tune", page.url)[0])
        trial = trained.lab.sessions.get(run_id).trials[0]
        assert trial.proposer == trained.site.person(Role.RESEARCHER).who
        assert dict(trial.configuration) == {"n_neighbors": 5, "p": 2}
        page.get_by_role("link", name="Choose as final").click()
        seen(page, "tune-by-hand-choose")
        page.get_by_role("button", name="Submit as final").click()
        page.wait_for_url(re.compile(rf"/sessions/{run_id}$"))
        expect(page.locator("#status .who.participant")).to_have_text("Rosa")
        chosen = trained.lab.sessions.get(run_id).chosen_trial
        assert chosen is not None
        assert chosen.number == 1
        page.goto(f"{trained.site.address}/sessions/{run_id}/tune")
        page.wait_for_url(re.compile(rf"/sessions/{run_id}$"))


def test_files_and_folders_are_chosen(trained: Trained, browser: Browser, tmp_path: Path) -> None:
    for number in range(12):
        place = tmp_path / "pets" / ("cats" if number % 2 else "dogs") / f"{number}.png"
        place.parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (8, 8), (20 * number, 90, 0)).save(place)
    with watched(browser, "status of 400") as looking:
        page = trained.page(looking, "/start")
        page.get_by_label("A table, or a zip archive of pictures").set_input_files(
            {"name": "bad.zip", "mimeType": "", "buffer": b"PK\x03\x04"}
        )
        expect(page.get_by_role("status")).to_contain_text("cannot be read as a zip archive")
        page.reload()
        page.get_by_label("or a folder of pictures").set_input_files(tmp_path / "pets")
        expect(page.get_by_role("heading", name="pets")).to_be_visible(timeout=PATIENCE)
        expect(page.get_by_role("row", name=re.compile("^cats"))).to_contain_text("6 pictures")
        seen(page, "start-pictures")
