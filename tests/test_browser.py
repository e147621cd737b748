"""The whole way in a real Chromium, on a real server with a real agent that trains a real network on real images.

EVENHAND_SCREENSHOTS names a folder for pictures of every page: 400 and 1600 px wide, light and dark.
"""

import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path

import pytest
from playwright.sync_api import Browser, BrowserContext, ConsoleMessage, Page, expect

from evenhand.lab.lab import Lab
from evenhand.model.session import Session
from evenhand.model.study import Budget, Study
from evenhand.model.task import BASELINE, CHANCE, TaskRecord, TaskSpec
from evenhand.model.trial import Outcome, Stopper
from evenhand.rehearsal import run
from evenhand.settings import Rules
from evenhand.studies.sample import text
from evenhand.tasks.builtin import black_magic
from evenhand.web.access import COOKIE_NAMES, Role
from evenhand.web.seats import home
from tests.labs import batch, claim, epoch, make_lab
from tests.waiting import PATIENCE_SECONDS, wait_for
from tests.web import Site, serve

PATIENCE = 1000 * PATIENCE_SECONDS  # ms
PICTURES = os.environ.get("EVENHAND_SCREENSHOTS")
WIDTHS = {400: 860, 1600: 1000}  # viewport width: height, in pixels
STICKING = """
(width) => ({
  fits: document.documentElement.scrollWidth <= width,
  wide: document.documentElement.scrollWidth,
  sticking: [...document.querySelectorAll("body *")].filter((each) => each.getBoundingClientRect().right > innerWidth + 1)
    .slice(0, 3).map((each) => each.outerHTML.slice(0, 80)),
})
"""


@dataclass
class Watched:
    """A browser's context whose pages must neither complain nor break the content-security policy."""

    context: BrowserContext
    complaints: list[str] = field(default_factory=list)
    expected: tuple[str, ...] = ("status of 422", "status of 409")  # Chromium logs every refused request

    def page(self) -> Page:
        """A new page that is watched."""
        page = self.context.new_page()
        page.set_default_timeout(PATIENCE)
        page.on("console", self._on_console)
        page.on("pageerror", lambda error: self.complaints.append(f"{page.url}: {error}"))
        return page

    def _on_console(self, message: ConsoleMessage) -> None:
        if message.type in ("error", "warning") and not any(words in message.text for words in self.expected):
            self.complaints.append(f"{message.location}: {message.text}")


@contextmanager
def watched(browser: Browser, *expected: str) -> Iterator[Watched]:
    """A context of its own, as another person's browser is."""
    context = browser.new_context(viewport={"width": 1600, "height": 1000})
    watching = Watched(context)
    watching.expected += expected
    try:
        yield watching
    finally:
        context.close()
    assert not watching.complaints


def look(page: Page, name: str) -> None:
    """Nothing may stick out at any width; where pictures are wanted, take them."""
    for width, height in WIDTHS.items():
        page.set_viewport_size({"width": width, "height": height})
        page.wait_for_timeout(100)  # charts take their new width a moment after the page
        wait_for(partial(page.evaluate, STICKING, width), f"{name} fits {width} px", lambda seen: seen["fits"], seconds=30)
        if PICTURES:
            for scheme in ("light", "dark"):
                page.emulate_media(color_scheme=scheme)
                page.wait_for_timeout(400)  # colours fade
                page.screenshot(path=Path(PICTURES) / f"{name}-{width}-{scheme}.png", full_page=True)
            page.emulate_media(color_scheme="light")


# A server as people start it, and the way through it


@dataclass
class Running:
    """`evenhand serve` as a process of its own."""

    address: str
    signin: str
    lab: Lab


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    folder = tmp_path_factory.mktemp("served")
    with run.held_port() as port:
        yield from started(folder, port)


def started(folder: Path, port: int) -> Iterator[Running]:
    options = ["--port", str(port), "--slots", "2", "--data", "digits", "--size", "32"]
    environment = {**os.environ, "EVENHAND_DATA": str(folder), "PYTHONUNBUFFERED": "1", "NO_COLOR": "1"}
    server = subprocess.Popen(
        [sys.executable, "-m", "evenhand.cli.main", "serve", *options], env=environment, stdout=subprocess.PIPE, text=True
    )
    assert server.stdout is not None
    try:
        link = next(address[0] for line in server.stdout if (address := re.search(r"http://\S+/signin/\S+", line)))
        run.wait_for_server(f"http://127.0.0.1:{port}")
        yield Running(f"http://127.0.0.1:{port}", link, Lab.connect(f"sqlite:///{folder / 'evenhand.sqlite'}"))
    finally:
        server.terminate()
        server.wait(PATIENCE_SECONDS)


def fill(page: Page, **values: str) -> None:
    """Type values into the form, by label."""
    for label, value in values.items():
        control = page.locator("#form").get_by_label(label.replace("_", " "), exact=True)
        if control.evaluate("each => each.tagName") == "SELECT":
            control.select_option(label=value)
        else:
            control.fill(value)


def expect_status(page: Page, status: str) -> None:
    expect(page.locator("#run")).to_have_attribute("data-status", status)


def expect_number(page: Page, name: str) -> None:
    """One of the panel's big figures holds a number."""
    expect(page.locator(f'#run [data-text="run.{name}"]')).to_have_text(re.compile(r"\d"))


def painted(page: Page, chart: str) -> int:
    """The index of the newest measurement that the chart shows."""
    return int(page.locator(chart).get_attribute("data-index") or -1)


@pytest.mark.slow
def test_from_consent_to_thanks_and_the_researchers_page(browser: Browser, running: Running) -> None:
    with watched(browser) as researcher, watched(browser) as participant:
        desk = researcher.page()
        invitation = sign_in_and_invite(desk, running)
        page = participant.page()
        come_in(page, invitation)
        first_trial_with_a_corrected_field(page, running)
        second_trial_is_stopped_early(page, participant)
        third_trial_diverges(page)
        compare(page)
        choose_the_first(page)
        evaluated(desk, running)


def sign_in_and_invite(desk: Page, running: Running) -> str:
    desk.goto(running.signin)
    desk.get_by_role("button", name="Sign in").click()
    desk.get_by_role("region", name="Studies with participants").get_by_role("link").click()
    expect(desk).to_have_url(re.compile(r"/studies/\d+"))
    desk.get_by_role("link", name="Invitations").click()
    desk.get_by_role("button", name="Make the links").click()
    return desk.get_by_label("Invitation", exact=True).input_value()


def come_in(page: Page, invitation: str) -> None:
    page.goto(invitation)
    look(page, "01-join")
    page.get_by_role("button", name="Begin").click()
    expect(page.get_by_role("heading", name="Welcome, P-01")).to_be_visible()
    look(page, "02-code")
    page.get_by_role("link", name="go on").click()
    expect(page).to_have_url(re.compile("/p/[0-9]+/terms$"))
    look(page, "03-terms")
    page.get_by_role("button", name="I agree").click()
    page.get_by_label("months").fill("a few")
    page.get_by_role("button", name="Continue").click()
    expect(page.get_by_label("months")).to_be_focused()
    expect(page.get_by_label("months")).to_have_value("a few")
    expect(page.locator("#q-months-problem")).to_contain_text("whole number")
    expect(page.locator("#q-education-problem")).to_be_visible()
    look(page, "04-background-wrong")
    page.get_by_label("months").fill("18")
    page.get_by_label("Master's degree").check()
    page.get_by_label("months").press("Enter")
    expect(page).to_have_url(re.compile("/p/[0-9]+/details$"))
    expect(page.locator("main")).to_contain_text("Initial accumulator value")
    expect(page.locator("main")).not_to_contain_text("digits")  # the data is known by its statistics only
    look(page, "05-details")
    page.get_by_role("button", name="Start tuning").click()
    expect(page).to_have_url(re.compile("/p/[0-9]+/tune$"))
    look(page, "06-tune-empty")


def first_trial_with_a_corrected_field(page: Page, running: Running) -> None:
    fill(page, Epochs="2", Batch_size="sixty", Optimizer="Adam")
    fill(page, Beta1="0.95")
    page.locator("#start").click()
    expect(page.locator(".field.wrong")).to_have_count(2)
    expect(page.get_by_label("Batch size", exact=True)).to_be_focused()
    expect(page.get_by_label("Batch size", exact=True)).to_have_attribute("aria-invalid", "true")
    expect(page.get_by_label("Batch size", exact=True)).to_have_accessible_description(re.compile("whole number"))
    expect(page.get_by_label("Beta1", exact=True)).to_have_value("0.95")  # what was typed stays
    look(page, "07-tune-wrong")
    fill(page, Batch_size="64", Loss_function="Cross entropy", Learning_rate="0.0003")
    page.get_by_label("Why this value for Learning rate?").select_option(label="Other")
    page.get_by_label("Your reason for Learning rate", exact=True).fill("a rule of thumb")
    page.get_by_label("Batch size", exact=True).focus()
    page.keyboard.press("Enter")  # Enter starts
    expect(page.locator("#run-title")).to_have_text("Trial 1")
    expect_number(page, "batch_loss")
    expect_status(page, "completed")
    row = page.locator('tr[data-trial="1"]')
    expect(row).to_contain_text("completed")
    expect(row).to_contain_text("%")
    trial = running.lab.sessions.of_study(1)[0].trials[0]
    assert trial.reasons == {"learning_rate": "other: a rule of thumb"}
    assert trial.epochs_done == 2
    assert trial.configuration["beta1"] == 0.95


def second_trial_is_stopped_early(page: Page, participant: Watched) -> None:
    page.locator('[data-use="1"]').click()
    expect(page.get_by_label("Batch size", exact=True)).to_have_value("64")
    expect(page.get_by_label("Why this value for Learning rate?")).to_have_value("")  # values, never the reasons
    fill(page, Epochs="100", Learning_rate="0.001")
    page.locator("#start").click()
    expect(page.locator("#run-title")).to_have_text("Trial 2")
    expect_number(page, "value")
    seen = painted(page, "#chart-loss")
    page.reload()  # re-attaches to the same training, with all it measured
    expect(page.locator("#run-title")).to_have_text("Trial 2")
    expect_status(page, "training")
    expect_number(page, "value")
    page.wait_for_function("seen => Number(document.querySelector('#chart-loss').dataset.index ?? -1) >= seen", arg=seen)
    look(page, "08-tune-training")
    second = participant.page()  # a second tab shows the same training
    second.goto(page.url)
    expect(second.locator("#run-title")).to_have_text("Trial 2")
    expect_number(second, "batch_loss")
    fill(page, Weight_decay="0.5")  # events never touch a form that somebody is filling in
    page.wait_for_timeout(600)
    expect(page.get_by_label("Weight decay", exact=True)).to_have_value("0.5")
    page.keyboard.press("Escape")
    expect(page.locator("#stop-dialog")).to_be_visible()
    look(page, "09-stop")
    page.keyboard.press("Escape")
    expect(page.locator("#stop-dialog")).to_be_hidden()
    page.keyboard.press("Escape")
    page.keyboard.press("Enter")
    expect_status(page, "stopped")
    expect_status(second, "stopped")
    second.close()
    expect(page.locator('tr[data-trial="2"]')).to_contain_text("stopped early")
    expect(page.locator('tr[data-trial="2"]')).to_contain_text("learning rate 0.0003 → 0.001")


def third_trial_diverges(page: Page) -> None:
    fill(page, Epochs="3", Optimizer="Stochastic gradient", Learning_rate="10", Weight_decay="0")
    expect(page.get_by_label("Beta1", exact=True)).to_be_hidden()
    fill(page, Momentum="0.99")
    page.locator("#start").click()
    expect(page.locator("#run-title")).to_have_text("Trial 3")
    expect_status(page, "diverged")
    expect(page.locator('tr[data-trial="3"]')).to_contain_text("diverged")
    look(page, "10-tune-three-trials")


def compare(page: Page) -> None:
    page.locator('[data-compare="1"]').check()
    page.locator('[data-compare="2"]').check()
    numbers = page.locator("#chart-value + details")
    numbers.locator("summary").click()
    expect(numbers.locator("th")).to_contain_text(["Epoch", "Trial 3", "Trial 1", "Trial 2"])
    expect(numbers.locator("tbody tr").first).to_contain_text("%")
    look(page, "11-tune-compared")
    page.get_by_label("Order").select_option(label="newest first")
    expect(page.locator("tr[data-trial]").first).to_have_attribute("data-trial", "3")
    expect(page.locator('[data-compare="1"]')).to_be_checked()


def choose_the_first(page: Page) -> None:
    fill(page, Epochs="5", Optimizer="Adam", Learning_rate="0.0003")
    page.get_by_label("This is my final choice").check()
    page.locator("#start").click()
    expect(page).to_have_url(re.compile("/p/[0-9]+/final"))
    expect(page.locator("main")).to_contain_text("without training")
    look(page, "12-final-untrained")
    page.get_by_role("link", name="Back to tuning").click()
    page.locator('tr[data-trial="1"]').get_by_role("link", name="Choose as final").click()
    expect(page.get_by_role("heading", name="Trial 1 as your final choice?")).to_be_visible()
    look(page, "13-final")
    page.get_by_role("button", name="Submit as final").click()
    expect(page).to_have_url(re.compile("/p/[0-9]+/thanks$"))
    look(page, "14-thanks")


def evaluated(desk: Page, running: Running) -> None:
    desk.goto(f"{running.address}/studies/1")
    row = desk.locator("tr[data-row]").filter(has_text="P-01")
    expect(row).to_contain_text("all 10 seeds", timeout=2 * PATIENCE)  # live, without a reload
    expect(row).to_contain_text("evaluated")
    look(desk, "20-study")
    row.get_by_role("link", name="Open").click()
    expect(desk.locator("#trials")).to_contain_text("stopped early")
    expect(desk.locator("#trials")).to_contain_text("diverged")
    look(desk, "21-session")
    desk.get_by_role("button", name=re.compile("how|eveal")).click()
    expect(desk.locator("#evaluation")).to_contain_text(re.compile(r"\d\d\.\d"))
    look(desk, "22-session-evaluated")
    session = running.lab.sessions.of_study(1)[0]
    assert [trial.outcome for trial in session.trials] == [Outcome.COMPLETED, Outcome.STOPPED, Outcome.DIVERGED]
    assert session.trials[1].stop_by is Stopper.TUNER
    assert session.choice is not None
    assert session.choice.trial_id == session.trials[0].id


# Single states, on a server whose clock the test moves and whose agent is the test itself


@dataclass
class Bench:
    """A served lab with one participant who tunes, and what an agent does, by hand."""

    site: Site
    study: Study
    participant_id: int
    agent_id: int

    @property
    def session(self) -> Session:
        """The participant's session."""
        (session,) = self.site.lab.sessions.of_study(self.study.id)
        return session

    def train(self, *values: float, outcome: Outcome | None = Outcome.COMPLETED, why: str | None = None) -> None:
        """Claim the waiting trial and let it measure; it goes on where `outcome` is None."""
        lab = self.site.lab
        job = claim(lab, self.agent_id)
        measurements = []
        for number, value in enumerate(values):
            measurements += [batch(11 * number + step, 2.5 / (1 + number + step / 10)) for step in range(10)]
            measurements.append(epoch(11 * number + 10, number + 1, value))
        lab.measure(job.job_id, job.attempt, measurements)
        self.site.clock.now += 30
        if outcome is not None:
            lab.finish(job.job_id, job.attempt, outcome, why)

    def submit(self, **changed: float | str) -> None:
        """A trial of the task's example with some values changed."""
        values = {**black_magic.EXAMPLE, "epochs": 4, **changed}
        self.site.lab.submit(self.session.id, self.session.space.configuration(values))

    def open(self, person: Watched) -> Page:
        """The participant's page that is next."""
        token = self.site.lab.tokens.issue("participant", self.participant_id)
        cookie = {"name": COOKIE_NAMES[Role.PARTICIPANT], "value": token, "url": self.site.address}
        person.context.add_cookies([cookie])  # type: ignore[list-item]
        page = person.page()
        page.goto(self.site.address + home(self.site.lab.participants.get(self.participant_id).study_id))
        return page


def make_bench(site: Site, budget: Budget, presets: bool = True, live_validation: bool = True) -> Bench:
    lab = site.lab
    space = black_magic.space(training_images=1000, max_epochs=100)
    statistics = {"classes": 10, "training images": 1000, "validation images": 300, "image size": "32 × 32 pixels"}
    statistics |= {CHANCE: 0.104, BASELINE: 0.622}
    record = TaskRecord(TaskSpec("magic"), "1", space, "accuracy", "maximize", 100, statistics=statistics)
    task = lab.studies.add_task(record)
    texts = text("consent"), text("details"), text("thanks")
    name = f"presets {presets}, live {live_validation}"
    plain = Study(name, "Image classification study", task.id, budget, 7, *texts, machines="any")
    study = lab.studies.add(replace(plain, presets=presets, live_validation=live_validation))
    person, _ = lab.participants.join(study.id)
    lab.participants.consent(person.id, study.consent.version)
    lab.participants.answer(person.id, "background", {"months": 12, "education": "master"})
    lab.participants.begin(person.id)
    agent_id, _ = lab.agents.add("by hand", 1)
    return Bench(site, study, person.id, agent_id)


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    lab, clock = make_lab(f"sqlite:///{tmp_path / 'lab.sqlite'}", Rules(lease=1e9, choosing=600))
    with serve(lab, clock, tmp_path) as site:
        yield make_bench(site, Budget(seconds=7200))


@pytest.mark.slow
def test_waiting_says_why_and_the_clock_stands_still(browser: Browser, bench: Bench) -> None:
    with watched(browser) as person:
        page = bench.open(person)
        bench.site.clock.now += 60
        bench.submit()
        expect_status(page, "waiting")
        expect(page.locator(".run-note")).to_contain_text("not counted")
        expect(page.locator("#clock")).to_contain_text("1:59:00")
        expect(page.locator("#clock")).to_contain_text("paused: waiting for an agent")
        page.wait_for_timeout(1500)
        expect(page.locator("#clock")).to_contain_text("1:59:00")
        look(page, "30-waiting")
        page.locator("#stop").click()
        page.locator("#stop-yes").click()
        expect_status(page, "stopped")


@pytest.mark.slow
def test_a_trial_is_followed_live_and_its_end_updates_the_history(browser: Browser, bench: Bench) -> None:
    with watched(browser) as person:
        page = bench.open(person)
        charts_stand_at = page.locator("#chart-value").evaluate("(chart) => chart.getBoundingClientRect().top")
        bench.submit()
        bench.train(0.31, 0.42, outcome=None)
        expect_status(page, "training")
        expect(page.locator('#run [data-text="run.value"]')).to_contain_text("42.0")
        expect(page.locator("#chart-loss")).to_have_attribute("data-index", "21")
        expect(page.locator("#clock")).to_contain_text(re.compile(r"1:59:(30|[0-2]\d)"))
        expect(page.locator("#run")).to_contain_text("To compare: chance 10.4\u202f%, nearest class mean 62.2\u202f%.")
        assert page.evaluate("Evenhand.charts.levelsOf(document.querySelector('#chart-value'))") == [
            ["chance", 0.104],
            ["nearest class mean", 0.622],
        ]
        # A level's name stands at the right above its line, else at the left, else below: where no line of the data passes.
        placed = """(taken) => {
          const bbox = { left: 0, top: 0, width: 300, height: 100 };
          const { left, top } = Evenhand.charts.placeOfName({ bbox }, 60, 12, 50, taken);
          return [left, top];
        }"""
        curve = {"left": 150, "right": 300, "top": 30, "bottom": 60}
        assert page.evaluate(placed, []) == [234, 35]
        assert page.evaluate(placed, [curve]) == [6, 35]
        assert page.evaluate(placed, [curve, {"left": 0, "right": 150, "top": 0, "bottom": 50}]) == [6, 53]
        height = page.locator("#run").bounding_box()
        look(page, "31-training")
        page.set_viewport_size({"width": 1600, "height": 1000})
        job = bench.session.trials[0]
        bench.site.lab.stop(bench.session.id, job.number)
        bench.site.lab.finish(1, 1, Outcome.STOPPED)
        expect(page.locator('tr[data-trial="1"]')).to_contain_text("stopped early")
        after = page.locator("#run").bounding_box()
        assert height
        assert after
        assert abs(height["height"] - after["height"]) < 60  # at most a note's line comes or goes
        expect(page.locator("#run")).to_contain_text("best so far · trial 1")
        assert page.locator("#chart-value").evaluate("(chart) => chart.getBoundingClientRect().top") == charts_stand_at


@pytest.mark.slow
def test_explored_charts_have_the_levels_and_ticks_that_can_be_read(browser: Browser, bench: Bench) -> None:
    for epochs in (12, 40):
        bench.submit(epochs=epochs)
        bench.train(0.31)
    with watched(browser) as researcher:
        token = bench.site.caller(Role.RESEARCHER).identity.token
        researcher.context.add_cookies([{"name": COOKIE_NAMES[Role.RESEARCHER], "value": token, "url": bench.site.address}])
        page = researcher.page()
        page.goto(f"{bench.site.address}/sessions/{bench.session.id}/explore")
        expect(page.locator("#explore-panels .explore-panel[data-drawn='2']")).to_have_count(1)
        levels = json.loads(page.locator("#explore-order").get_attribute("data-levels") or "[]")
        assert [name for name, _ in levels] == ["chance", "nearest class mean"]
        assert [share for _, share in levels] == pytest.approx([0.104, 0.622])
        assert page.locator(".explore-panel").get_attribute("data-ticks") == "20 30 40"


@pytest.mark.slow
def test_every_way_of_ending_has_its_words(browser: Browser, bench: Bench) -> None:
    bench.submit()
    bench.train(0.31, 0.42, 0.5, 0.55)
    bench.submit(learning_rate=10.0)
    bench.train(0.1, outcome=Outcome.DIVERGED, why="loss became nan at step 11")
    bench.submit(batch_size=1000, epochs=50)
    bench.train(outcome=Outcome.INVALID, why="Traceback (most recent call last):\nMemoryError: 4.1 GB asked, 4 GB allowed")
    bench.submit(optimizer="sgd")
    bench.train(0.4, outcome=Outcome.FAILED, why="3 attempts failed; the last one: its agent was not heard of any more")
    with watched(browser) as person:
        page = bench.open(person)
        expect(page.locator('tr[data-trial="3"]')).to_contain_text("4 GB allowed")
        expect(page.locator(".run-note")).to_contain_text("costs nothing")
        look(page, "32-outcomes")


@pytest.mark.slow
def test_a_lost_connection_says_so_and_comes_back_by_itself(browser: Browser, tmp_path: Path) -> None:
    lab, clock = make_lab(f"sqlite:///{tmp_path / 'lab.sqlite'}", Rules(lease=1e9, choosing=600))
    expected = ("ERR_CONNECTION_REFUSED", "ERR_EMPTY_RESPONSE", "ERR_INCOMPLETE_CHUNKED")
    with watched(browser, *expected) as person, run.held_port() as port:
        with serve(lab, clock, tmp_path, port) as site:
            bench = make_bench(site, Budget(seconds=7200))
            page = bench.open(person)
            bench.submit()
            bench.train(0.3, outcome=None)
            expect(page.locator("#chart-loss")).to_have_attribute("data-index", "10")
            fill(page, Epochs="17")
        expect(page.locator("#connection")).to_be_visible()
        expect(page.locator("#connection")).to_contain_text("nothing is lost")
        look(page, "33-lost")
        lab.measure(1, 1, [batch(11), epoch(12, 2, 0.45)])
        with serve(lab, clock, tmp_path, port):
            expect(page.locator("#connection")).to_be_hidden()
            expect(page.locator("#chart-loss")).to_have_attribute("data-index", "12")
            expect(page.get_by_label("Epochs", exact=True)).to_have_value("17")


@pytest.mark.slow
def test_at_the_deadline_the_page_goes_to_the_choice(browser: Browser, bench: Bench) -> None:
    bench.submit()
    bench.train(0.31, 0.42)
    bench.submit(learning_rate=0.01)
    bench.train(0.31, 0.6)
    with watched(browser) as person:
        page = bench.open(person)
        expect(page).to_have_url(re.compile("/p/[0-9]+/tune$"))
        bench.site.clock.now += 7200
        expect(page).to_have_url(re.compile("/p/[0-9]+/final$"))
        expect(page.locator("#clock")).to_contain_text(re.compile(r"\b9:\d\d|10:00|8:\d\d"))
        look(page, "34-deadline")
        page.get_by_label("Trial 1").check()
        page.get_by_role("button", name="Submit as final").click()
        expect(page).to_have_url(re.compile("/p/[0-9]+/thanks$"))


@pytest.mark.slow
def test_the_form_works_without_scripts(browser: Browser, bench: Bench) -> None:
    context = browser.new_context(java_script_enabled=False, viewport={"width": 1600, "height": 1000})
    page = bench.open(Watched(context))
    page.get_by_label("Epochs", exact=True).fill("3")
    page.get_by_label("Batch size", exact=True).fill("none")
    page.get_by_label("Loss function", exact=True).select_option(label="L1")
    page.get_by_label("Optimizer", exact=True).select_option(label="Stochastic gradient")
    page.get_by_label("Momentum", exact=True).fill("0.5")
    page.locator("#start").click()
    expect(page.locator(".field.wrong")).to_have_count(1)
    expect(page.get_by_label("Momentum", exact=True)).to_have_value("0.5")
    page.get_by_label("Batch size", exact=True).fill("64")
    page.locator("#start").click()
    expect(page.locator("#run-title")).to_have_text("Trial 1")
    (trial,) = bench.session.trials
    assert trial.configuration["momentum"] == 0.5
    assert "beta1" not in trial.configuration
    context.close()


@pytest.mark.slow
def test_defaults_and_changes_are_visible_and_keys_suffice(browser: Browser, bench: Bench) -> None:
    with watched(browser) as person:
        page = bench.open(person)
        field = page.locator('.field[data-name="learning_rate"]')
        expect(field).not_to_have_class(re.compile("changed"))
        page.get_by_label("Epochs", exact=True).focus()
        for keys in ("5", "64"):
            page.keyboard.type(keys)
            page.keyboard.press("Tab")
            while page.evaluate("!document.activeElement.classList.contains('field-input')"):
                page.keyboard.press("Tab")
        page.keyboard.type("Cross")
        page.get_by_label("Optimizer", exact=True).focus()
        page.keyboard.type("Adag")
        expect(page.get_by_label("Initial accumulator value", exact=True)).to_be_visible()
        expect(page.get_by_label("Momentum", exact=True)).to_be_hidden()
        fill(page, Learning_rate="0.05")
        expect(field).to_have_class(re.compile("changed"))
        fill(page, Learning_rate="0.001")
        expect(field).not_to_have_class(re.compile("changed"))
        page.get_by_label("Learning rate", exact=True).press("Enter")
        expect(page.locator("#run-title")).to_have_text("Trial 1")
        assert bench.session.trials[0].configuration["optimizer"] == "adagrad"


@pytest.mark.slow
def test_blank_fields_show_their_defaults_as_hints_where_the_study_says_so(browser: Browser, bench: Bench) -> None:
    blank = make_bench(bench.site, Budget(trials=20), presets=False)
    with watched(browser) as person:
        page = blank.open(person)
        expect(page.get_by_label("Learning rate", exact=True)).to_have_value("")
        expect(page.get_by_label("Learning rate", exact=True)).to_have_attribute("placeholder", "0.001")
        expect(page.locator("#clock")).to_contain_text("20 trials")
        fill(page, Epochs="2", Batch_size="64", Loss_function="L1", Optimizer="Adadelta", Rho="0.8")
        page.locator("#start").click()
        expect(page.locator("#run-title")).to_have_text("Trial 1")
        (trial,) = blank.session.trials
        assert (trial.configuration["learning_rate"], trial.configuration["rho"]) == (0.001, 0.8)
        expect(page.get_by_label("Learning rate", exact=True)).to_have_value("")


@pytest.mark.slow
def test_validation_comes_only_after_training_where_the_study_says_so(browser: Browser, bench: Bench) -> None:
    late = make_bench(bench.site, Budget(seconds=7200), live_validation=False)
    with watched(browser) as person:
        page = late.open(person)
        late.submit()
        late.train(0.31, 0.42, outcome=None)
        expect(page.locator("#chart-loss")).to_have_attribute("data-index", "21")
        expect(page.locator('#run [data-text="run.value"]')).not_to_contain_text(re.compile(r"\d"))
        assert "42.0" not in page.content()
        late.site.lab.finish(1, 1, Outcome.COMPLETED)
        expect(page.locator('#run [data-text="run.value"]')).to_contain_text("42.0")
        numbers = page.locator("#chart-value + details")
        numbers.locator("summary").click()
        expect(numbers.locator("tbody tr")).to_contain_text(["31.0", "42.0"])


@pytest.mark.slow
def test_many_trials_are_shown_in_part_and_all_when_asked(browser: Browser, bench: Bench) -> None:
    for number in range(60):
        bench.submit(epochs=1, learning_rate=(number + 1) / 1000)
        bench.train(number / 100)
    with watched(browser) as person:
        page = bench.open(person)
        expect(page.locator("tr[data-trial]")).to_have_count(50)
        expect(page.locator("#trials")).to_contain_text("50 best of 60")
        look(page, "37-many")
        page.get_by_role("link", name="Show all").click()
        expect(page.locator("tr[data-trial]")).to_have_count(60)
        bench.submit(epochs=1)
        bench.train(0.99)
        expect(page.locator("tr[data-trial]")).to_have_count(61)  # all are still shown after the next end
        expect(page.locator("tr[data-trial]").first).to_have_attribute("data-trial", "61")


@pytest.mark.slow
def test_withdrawing(browser: Browser, bench: Bench) -> None:
    bench.submit()
    with watched(browser) as person:
        page = bench.open(person)
        page.get_by_role("link", name="Withdraw").click()
        look(page, "35-withdraw")
        page.get_by_role("button", name="Withdraw and erase").click()
        expect(page).to_have_url(re.compile("/p/[0-9]+/withdrawn$"))
        look(page, "36-withdrawn")
    assert not bench.session.trials
