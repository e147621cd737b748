"""A practitioner's whole way in Chromium: a training script of their own, watched live, steered by hand, compared, taken away.

The script is tuned by `evenhand tune` in a process of its own; a server beside it shows the run. Its third training waits for a
file, so that the run is live for as long as the test looks at it.
"""

import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect

from evenhand.lab.lab import Lab
from evenhand.model.session import Session
from evenhand.web.access import Role
from evenhand.web.app import create_app
from tests.labs import Clock
from tests.test_browser import look, watched
from tests.test_browser_runs import opened
from tests.test_browser_start import PATIENCE
from tests.waiting import PATIENCE_SECONDS, wait_for
from tests.web import Site, listening

pytestmark = pytest.mark.slow
HELD_TRIAL = 3  # waits in the middle of its training
TRIALS = 6
SCRIPT = f"""
import time
from pathlib import Path

import evenhand

GO_ON = Path(__file__).with_name("go on")


@evenhand.task(space={{"lr": evenhand.Float(0.001, 1.0, log=True)}}, metric="accuracy", direction="maximize", max_epochs=3)
def train(configuration, run):
    for epoch in (1, 2, 3):
        run.report(step=epoch, epoch=epoch, loss=1 / epoch, accuracy=(1 - configuration["lr"]) * epoch / 3)
        while epoch == 2 and run.number == {HELD_TRIAL} and not GO_ON.exists():
            time.sleep(0.02)
"""


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Site]:
    """A served laboratory on the machine's own clock, with a training script beside it."""
    monkeypatch.setenv("EVENHAND_DATA", str(tmp_path))
    (tmp_path / "train.py").write_text(SCRIPT, encoding="utf-8")
    with closing(Lab.connect(f"sqlite:///{tmp_path / 'lab.sqlite'}")) as lab:
        app = create_app(lab, data_dir=tmp_path)
        with listening(app) as address:
            yield Site(address, lab, Clock(), app, tmp_path)


@contextmanager
def tuning(site: Site, name: str, trials: int) -> Iterator["subprocess.Popen[str]"]:
    """`evenhand tune`, as somebody types it."""
    task = f"{site.folder / 'train.py'}:train"
    options = ["--trials", str(trials), "--name", name, "--db", f"sqlite:///{site.folder / 'lab.sqlite'}"]
    with subprocess.Popen(
        [sys.executable, "-m", "evenhand", "tune", task, *options], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    ) as process:
        try:
            yield process
        finally:
            process.kill()


def of_name(site: Site, name: str) -> Session:
    session = site.lab.sessions.called(name)
    assert session is not None
    return session


def ended(process: "subprocess.Popen[str]") -> str:
    """What a command printed, once it has ended well."""
    printed, _ = process.communicate(timeout=PATIENCE_SECONDS)
    assert process.returncode == 0, printed
    return printed


def test_from_a_script_to_a_configuration_file(site: Site, browser: Browser) -> None:
    with watched(browser) as looking, tuning(site, "first", TRIALS) as process:
        page = opened(looking, site)
        row = page.locator("#runs tr.run-row").filter(has_text="first")
        expect(row).to_contain_text(f"running {HELD_TRIAL} of {TRIALS}", timeout=PATIENCE)  # live, without a reload
        row.get_by_role("link", name="first", exact=True).click()
        expect(page.locator("#status")).to_contain_text("best validation accuracy")
        expect(page.locator(f"#trial-rows tr[data-trial='{HELD_TRIAL}']")).to_be_visible()
        look(page, "practitioner-live")
        steer(page, site)
        expect(page.locator("#status")).to_contain_text("finished", timeout=PATIENCE)
        expect(page.locator("#work")).to_be_hidden()  # nothing would train a trial any more
        printed = ended(process)
        with tuning(site, "second", 2) as other:
            ended(other)
        assert "/sessions/" in printed
        page.goto(site.address)
        compare(page)
        take_away(page, site)


def steer(page: Page, site: Site) -> None:
    """Take over, add a trial by hand, which the process trains, and hand back."""
    page.get_by_role("button", name="Take over").click()
    expect(page.get_by_role("status").filter(has_text="You propose now")).to_be_visible()
    expect(page.locator("#status")).to_contain_text("taken over", timeout=PATIENCE)
    (site.folder / "go on").touch()
    wait_for(
        lambda: of_name(site, "first"), "the held trial has ended", lambda session: not session.trials[HELD_TRIAL - 1].is_open
    )
    page.get_by_role("link", name="Add a trial").click()
    expect(page.get_by_role("textbox", name="lr", exact=True)).to_be_focused()
    page.get_by_role("textbox", name="lr", exact=True).fill("7")
    page.get_by_role("button", name="Add the trial").press("Enter")
    expect(page.get_by_text("7 is not possible here")).to_be_visible()
    expect(page.get_by_role("textbox", name="lr", exact=True)).to_be_focused()
    page.get_by_role("textbox", name="lr", exact=True).fill("0.002")
    page.get_by_label("Why this?").fill("lower was better so far")
    page.get_by_role("button", name="Add the trial").press("Enter")
    expect(page.get_by_role("status").filter(has_text="is queued")).to_be_focused()
    session = wait_for(
        lambda: of_name(site, "first"),
        "the trial by hand is trained",
        lambda session: len(session.trials) > HELD_TRIAL and not session.trials[HELD_TRIAL].is_open,
    )
    by_hand = session.trials[HELD_TRIAL]
    assert by_hand.configuration == {"lr": 0.002}
    assert by_hand.proposer == site.person(Role.RESEARCHER).who
    assert by_hand.value == pytest.approx(0.998)
    row = page.locator(f"#trial-rows tr[data-trial='{by_hand.number}']")
    expect(row).to_have_attribute("data-by", "participant", timeout=PATIENCE)  # the page was never loaded anew
    page.get_by_role("button", name="Hand back").click()


def compare(page: Page) -> None:
    """Two runs side by side."""
    for name in ("first", "second"):
        page.get_by_label(f"Tick {name}").check()
    page.get_by_text("With the ticked").click()
    page.get_by_role("button", name="Compare").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("2 runs compared")
    expect(page.get_by_text("Unequal effort in trials: second 2 trials, first 6 trials.")).to_be_visible()
    look(page, "practitioner-compare")


def take_away(page: Page, site: Site) -> None:
    """The best configuration as a file, and the same by the command."""
    page.get_by_role("link", name="first", exact=True).first.click()
    page.get_by_role("link", name="Take the result").click()
    look(page, "practitioner-take-away")
    with page.expect_download() as waiting:
        page.get_by_role("link", name="Download first.json").or_(page.locator("a[download][href*='/json']")).first.click()
    taken = json.loads(Path(waiting.value.path()).read_text(encoding="utf-8"))
    best = max(of_name(site, "first").trials, key=lambda trial: trial.value or 0.0)
    assert taken == dict(best.configuration)
    command = [sys.executable, "-m", "evenhand", "best", "first", "--format", "json"]
    command += ["--db", f"sqlite:///{site.folder / 'lab.sqlite'}"]
    printed = subprocess.run(command, capture_output=True, text=True, check=True, timeout=PATIENCE_SECONDS).stdout
    assert json.loads(printed) == taken
