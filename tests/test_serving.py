"""`evenhand tune --serve`: agents elsewhere train a session, with code that they are sent and allowed, until it ends in order."""

import base64
import hashlib
import html
import os
import re
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
from fastapi import FastAPI
from typer.testing import CliRunner

import evenhand
from evenhand import tasks
from evenhand.cli.main import app
from evenhand.errors import CodeRefused, Dismissed, InvalidSettings, NotFound
from evenhand.examples.digits_mlp import train
from evenhand.lab.client import Client
from evenhand.lab.lab import Lab
from evenhand.model.job import Assignment
from evenhand.model.sent_code import MOST_FILE_BYTES, NamedData, SentCode, SentFile
from evenhand.model.session import Session
from evenhand.model.task import TaskSpec
from evenhand.model.trial import Outcome
from evenhand.runners.sent_tasks import SentTasks, owners_word
from evenhand.web.serving import SessionServer
from tests.agents import TASKS, agent_process
from tests.waiting import PATIENCE_SECONDS, wait_for
from tests.web import listening

ROOT = Path(__file__).parent.parent
TASK = """
import time
from pathlib import Path

from bends import curve

from evenhand import Float, Hyperparameter, Integer, task

SPACE = [Hyperparameter("x", Float(-1, 1)), Hyperparameter("epochs", Integer(1, 1000), fidelity=True)]


@task(space=SPACE, metric="value", direction="maximize", max_epochs=1000, files=["points.csv"])
def train(configuration, run):
    offset = float((Path(__file__).parent / "points.csv").read_text())
    for epoch in range(1, configuration["epochs"] + 1):
        time.sleep(0.05)
        run.report(epoch=epoch, value=curve(configuration["x"], epoch) + offset)
"""
BENDS = "def curve(x, epoch):\n    return -x * x * epoch\n"


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of the one who tunes."""
    folder = tmp_path / "here"
    folder.mkdir()
    (folder / "mine.py").write_text(TASK)
    (folder / "bends.py").write_text(BENDS)
    (folder / "points.csv").write_text("0.5")
    monkeypatch.setenv("EVENHAND_DATA", str(tmp_path / "data"))
    monkeypatch.chdir(folder)
    return folder


class Tuning(threading.Thread):
    """A served tuning in a thread of this process, and what it says to those who are to join."""

    def __init__(self, db: str, **settings: Any) -> None:
        super().__init__(daemon=True)
        self.db, self.settings, self.words, self.answers = db, settings, "", threading.Event()
        self.result: evenhand.Result | None = None

    def run(self) -> None:
        task = tasks.load(TaskSpec(str(self.settings.pop("task", "mine.py:train"))))
        server = SessionServer("127.0.0.1", 0, self._say)
        usual: dict[str, Any] = {"trials": 4, "epochs_per_trial": 3, "seed": 5, "evaluate": False, "progress": False}
        self.result = evenhand.tune(task, db=self.db, server=server, **{**usual, **self.settings})

    def _say(self, words: str) -> None:
        self.words = words
        self.answers.set()

    def ended(self) -> evenhand.Result:
        self.join(PATIENCE_SECONDS)
        assert self.result is not None
        return self.result


def line_of(words: str) -> tuple[str, str]:
    """The token and the address in the line that starts an agent."""
    ((token, address),) = re.findall(r"^    EVENHAND_JOIN=(\S+) evenhand agent (\S+)$", words, flags=re.MULTILINE)
    return token, address


@contextmanager
def joined(words: str, folder: Path, *options: str) -> Iterator[subprocess.Popen[bytes]]:
    """An agent that joins, in a folder that knows nothing of the task; its output is in `said.txt` there."""
    token, address = line_of(words)
    folder.mkdir(exist_ok=True)
    own = {"EVENHAND_JOIN": token, "EVENHAND_DATA": str(folder / "data")}
    with agent_process(address, "", *options, "--name", folder.name, folder=folder, log=folder / "said.txt", **own) as process:
        yield process


def page_that_says(words: str, expected: str) -> str:
    """The session's page, for somebody who signs in by the link, once it says what is expected."""
    page, link = re.findall(r"http://\S+/(?:sessions|signin)/[\w-]+", words)
    with httpx.Client(follow_redirects=True, timeout=PATIENCE_SECONDS) as browser:
        browser.post(link)
        return wait_for(
            lambda: html.unescape(browser.get(page).text), f"the page says {expected}", lambda seen: expected in seen, 60
        )


def history(session: Session) -> list[tuple[object, ...]]:
    return [(trial.configuration, trial.outcome, trial.value, trial.epochs_done) for trial in session.trials]


@pytest.mark.slow
def test_an_agent_without_the_file_trains_once_it_is_allowed_and_the_numbers_are_those_of_here(
    here: Path, tmp_path: Path
) -> None:
    alone = evenhand.tune(
        tasks.load(TaskSpec("mine.py:train")), trials=4, epochs_per_trial=3, seed=5, evaluate=False, progress=False,
        db=f"sqlite:///{tmp_path / 'alone.sqlite'}",
    )  # fmt: skip
    tuning = Tuning(f"sqlite:///{tmp_path / 'served.sqlite'}")
    tuning.start()
    assert tuning.answers.wait(PATIENCE_SECONDS)
    with joined(tuning.words, tmp_path / "cautious") as cautious:
        words = "its owner has not allowed that code which the laboratory sends runs here"
        page_that_says(tuning.words, f"no connected agent trains it; cautious: {words}")
        assert cautious.poll() is None
        with joined(tuning.words, tmp_path / "trusting", "--yes") as trusting:
            result = tuning.ended()
            assert (trusting.wait(PATIENCE_SECONDS), cautious.wait(PATIENCE_SECONDS)) == (0, 0)
    assert history(result.session) == history(alone.session)
    assert {trial.outcome for trial in result.trials} == {Outcome.COMPLETED}
    shown = [(tmp_path / name / "said.txt").read_text() for name in ("cautious", "trusting")]
    for said in shown:
        assert f"The laboratory at {line_of(tuning.words)[1]} sends code that is to run on this machine" in said
        assert re.search(r"task train of mine.py\nfiles:\n  mine.py  \d+ bytes, sha256 \w{12}\n  bends.py  ", said)
        assert re.search(r"data, which must be here:\n  points.csv  sha256 \w{12}\n", said)
        assert "session 1 is not served any more" in said
    assert "It does not run: nobody can be asked here." in shown[0]
    assert "It runs, since --yes was given." in shown[1]
    for name in ("cautious", "trusting"):
        assert not list((tmp_path / name).rglob("*.py"))
    with Client(line_of(tuning.words)[1], line_of(tuning.words)[0]) as client, pytest.raises(evenhand.EvenhandError):
        client.hello(slots=1, machine="")


@pytest.mark.slow
def test_data_that_differs_is_said_on_the_page_and_found_by_its_name(here: Path, tmp_path: Path) -> None:
    tuning = Tuning(f"sqlite:///{tmp_path / 'served.sqlite'}", trials=1)
    tuning.start()
    assert tuning.answers.wait(PATIENCE_SECONDS)
    (here / "points.csv").unlink()
    for name, content in (("other", "0.25"), ("same", "0.5")):
        (tmp_path / name).mkdir()
        (tmp_path / name / "points.csv").write_text(content)
    with joined(tuning.words, tmp_path / "other", "--yes"):
        words = "no connected agent trains it; other: data points.csv (sha256 "
        page = page_that_says(tuning.words, words)
        assert f"is here with another content: {tmp_path / 'other' / 'points.csv'} has sha256" in page
        with joined(tuning.words, tmp_path / "same", "--yes"):
            result = tuning.ended()
    assert [trial.outcome for trial in result.trials] == [Outcome.COMPLETED]
    assert (tmp_path / "same" / "points.csv").read_text() == "0.5"


@pytest.mark.slow
def test_ctrl_c_gives_the_training_back_ends_its_agents_in_order_and_the_same_command_goes_on(here: Path, tmp_path: Path) -> None:
    options = ["--trials", "2", "--epochs-per-trial", "100", "--name", "first", "--serve", "--host", "127.0.0.1", "--port", "0"]
    command = [sys.executable, "-m", "evenhand", "tune", "mine.py:train", "--no-evaluate", *options]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    db = f"sqlite:///{tmp_path / 'data' / 'evenhand.sqlite'}"

    def start() -> subprocess.Popen[str]:
        with (here / "said.txt").open("w") as said:
            return subprocess.Popen(command, env=environment, text=True, stdout=said, stderr=subprocess.PIPE)

    def words() -> str:
        return wait_for((here / "said.txt").read_text, "it says how to join", lambda said: "signing in" in said)

    first = start()
    try:
        with joined(words(), tmp_path / "there", "--yes") as agent, closing(Lab.connect(db)) as lab:
            wait_for(lambda: lab.sessions.get(1).trials, "a training", lambda trials: trials and trials[0].epochs_done > 2)
            first.send_signal(signal.SIGINT)
            _, complaints = first.communicate(timeout=PATIENCE_SECONDS)
            assert agent.wait(PATIENCE_SECONDS) == 0
            left = lab.sessions.get(1)
    finally:
        first.kill()
    assert "Interrupted: session 1 ('first'), 0 of 2 trials ended" in complaints
    assert (left.choice, [trial.outcome for trial in left.trials]) == (None, [None])
    assert left.trials[0].claimed_at is None
    assert left.process is None
    assert "session 1 is not served any more" in (tmp_path / "there" / "said.txt").read_text()

    again = start()
    try:
        with joined(words(), tmp_path / "there", "--yes"):
            _, complaints = again.communicate(timeout=PATIENCE_SECONDS)
    finally:
        again.kill()
    assert again.returncode == 0, complaints
    with closing(Lab.connect(db)) as lab:
        ended = lab.sessions.get(1)
    assert [trial.outcome for trial in ended.trials] == [Outcome.COMPLETED] * 2
    assert ended.choice is not None


@pytest.mark.slow
def test_the_choice_is_scored_by_agents_with_the_numbers_of_here(here: Path, tmp_path: Path) -> None:
    settings = {"task": "evenhand.examples.digits_mlp:train", "trials": 1, "epochs_per_trial": 1, "evaluate": True}
    tuning = Tuning(f"sqlite:///{tmp_path / 'served.sqlite'}", **settings)
    tuning.start()
    assert tuning.answers.wait(PATIENCE_SECONDS)
    with joined(tuning.words, tmp_path / "there", "--yes"):
        served = tuning.ended()
    alone = evenhand.tune(
        train, trials=1, epochs_per_trial=1, seed=5, progress=False, db=f"sqlite:///{tmp_path / 'alone.sqlite'}"
    )
    assert served.evaluation is not None
    assert alone.evaluation is not None
    assert served.evaluation.mean == alone.evaluation.mean
    assert history(served.session) == history(alone.session)


@pytest.fixture
def lab(tmp_path: Path) -> Iterator[Lab]:
    with closing(Lab.connect(f"sqlite:///{tmp_path / 'lab.sqlite'}")) as made:
        yield made


def open_session(lab: Lab) -> Session:
    """A session of `evenhand.tune` that nothing trains yet."""
    task = tasks.load(TaskSpec(f"{TASKS}:staged"))
    evenhand.tune(task, trials=1, epochs_per_trial=1, evaluate=False, progress=False, db=lab.core.store.url)
    return lab.sessions.get(1)


def test_an_agent_that_joined_trains_for_its_session_alone_and_only_while_it_is_served(lab: Lab) -> None:
    session = open_session(lab)
    lab.crews.open(session.id, session.task.version, None)
    token = lab.crews.join(session.id)
    agent_id = lab.tokens.check("agent", token)
    assert agent_id is not None
    assert lab.crews.session_of(agent_id) == session.id
    assert lab.claim(agent_id, session_id=None) is None
    assert lab.claim(agent_id, session_id=99) is None
    assert lab.code(agent_id, session.task.version) is None
    with pytest.raises(NotFound, match="no file that is sent from here has the checksum 'x'"):
        lab.content(agent_id, "x")
    lab.crews.dismiss(session.id)
    with pytest.raises(Dismissed, match=f"session {session.id} is not served any more"):
        lab.claim(agent_id)
    with pytest.raises(Dismissed):
        lab.crews.join(session.id)
    lab.crews.forget(session.id)
    assert lab.tokens.check("agent", token) is None
    with pytest.raises(Dismissed):
        lab.crews.join(session.id)


def test_each_time_a_session_is_served_those_who_join_need_another_token(lab: Lab) -> None:
    session = open_session(lab)
    first, second = (lab.crews.open(session.id, session.task.version, None) for _ in range(2))
    assert (lab.tokens.check("join", first), lab.tokens.check("join", second)) == (None, session.id)


def test_a_program_is_not_served_and_an_agent_needs_a_token(here: Path) -> None:
    (here / "space.toml").write_text('[x]\ntype = "float"\nlow = 0\nhigh = 1\n')
    program = [
        "tune",
        "--command",
        "echo {x}",
        "--space",
        "space.toml",
        "--metric",
        "loss",
        "--minimize",
        "--trials",
        "1",
        "--serve",
    ]
    said = CliRunner().invoke(app, program)
    assert isinstance(said.exception, InvalidSettings)
    assert "a program does not travel" in str(said.exception)
    said = CliRunner().invoke(app, ["agent", "http://127.0.0.1:9"])
    assert isinstance(said.exception, InvalidSettings)
    assert "got no token" in str(said.exception)


# What an agent does with what it is sent


SOURCE = b"x = 1\n"
SENT = SentCode("a.py", "train", (SentFile("a.py", hashlib.sha256(SOURCE).hexdigest(), len(SOURCE)),))
WORK = Assignment(1, 1, "trial", TaskSpec("/there/a.py:train"), "v2-one", {}, 7)


class Sending:
    """A laboratory that sends this."""

    def __init__(self, code: SentCode, content: bytes = SOURCE) -> None:
        self.sent, self.content_sent = code, content

    def code(self, agent_id: int, task_version: str) -> SentCode | None:
        """The same for each version."""
        return self.sent

    def content(self, agent_id: int, checksum: str) -> bytes:
        """The same for each file."""
        return self.content_sent


def taken(sending: Sending, allow: Any) -> SentTasks:
    """What an agent has after it was sent this."""
    tasks_sent = SentTasks(sending, 1, allow)  # type: ignore[arg-type] # it needs no other verbs
    code = tasks_sent.sent(WORK)
    assert code is not None
    assert tasks_sent.bring(WORK.task_version, code)
    return tasks_sent


@pytest.fixture
def data_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("EVENHAND_DATA", str(tmp_path / "data"))
    monkeypatch.chdir(tmp_path)
    return tmp_path / "data"


def test_what_is_allowed_lies_in_a_folder_of_the_agents_own_until_it_ends(data_folder: Path) -> None:
    shown: list[str] = []

    def allow(lines: str) -> bool:
        shown.append(lines)
        return True

    sent = taken(Sending(SENT), allow)
    assert sent.sent(WORK) is None
    path = Path(sent.placed(WORK).task.name.removesuffix(":train"))
    assert path.read_bytes() == SOURCE
    assert path.is_relative_to((data_folder / "code").resolve())
    assert [folder.stat().st_mode & 0o777 for folder in path.parents[:2]] == [0o700, 0o700]
    assert "a.py  6 bytes, sha256 " in shown[0]
    sent.close()
    assert not path.exists()
    assert (data_folder / "code").exists()


@pytest.mark.parametrize("allow", [None, lambda shown: False])
def test_what_is_not_allowed_is_not_even_fetched(allow: Any, data_folder: Path) -> None:
    sending = Sending(SENT)
    sending.content = None  # type: ignore[method-assign,assignment]
    sent = taken(sending, allow)
    for _ in range(2):  # it is not asked again
        assert sent.sent(WORK) is None
        with pytest.raises(CodeRefused, match="its owner has not allowed that code which the laboratory sends runs here"):
            sent.placed(WORK)
    assert not data_folder.exists()


def test_a_list_that_is_no_tasks_is_not_shown_to_anybody(data_folder: Path) -> None:
    evil = SentCode("../../a.py", "train", (SentFile("../../a.py", SENT.files[0].checksum, 6),))
    sent = taken(Sending(evil), lambda shown: pytest.fail("it was shown"))
    with pytest.raises(CodeRefused, match=r"'../../a.py' does not stay within its folder"):
        sent.placed(WORK)


def test_another_content_than_was_allowed_never_runs(data_folder: Path) -> None:
    sent = taken(Sending(SENT, b"x = 2\n"), lambda shown: True)
    with pytest.raises(CodeRefused, match=r"'a\.py' came with 6 bytes, sha256 "):
        sent.placed(WORK)
    assert not list(data_folder.rglob("*.py"))


def test_data_that_comes_later_is_found_without_asking_again(data_folder: Path, tmp_path: Path) -> None:
    data = NamedData("points.csv", "/nowhere/points.csv", hashlib.sha256(b"1").hexdigest())
    asked: list[str] = []

    def allow(lines: str) -> bool:
        asked.append(lines)
        return True

    sent = taken(Sending(SentCode("a.py", "train", SENT.files, (data,))), allow)
    with pytest.raises(CodeRefused, match=r"is not here; looked for /nowhere/points\.csv"):
        sent.placed(WORK)
    (tmp_path / "points.csv").write_text("1")
    code = sent.sent(WORK)
    assert code is not None
    sent.bring(WORK.task_version, code)
    assert Path(sent.placed(WORK).task.name.removesuffix("a.py:train"), "points.csv").read_text() == "1"
    assert len(asked) == 1


@pytest.mark.parametrize(("typed", "said"), [("y\n", True), ("yes\n", True), ("\n", False), ("n\n", False), ("", False)])
def test_the_owner_is_asked_in_the_terminal(typed: str, said: bool, monkeypatch: pytest.MonkeyPatch, capsys: Any) -> None:
    ours, theirs = os.openpty()
    stop = threading.Event()
    with os.fdopen(ours, "wb", buffering=0) as keyboard, os.fdopen(theirs) as terminal:
        monkeypatch.setattr("sys.stdin", terminal)
        if typed:
            keyboard.write(typed.encode())
        else:
            stop.set()  # the agent ends while it asks
        assert owners_word("http://lab:8766", False, stop)("task train of a.py") is said
    shown = capsys.readouterr().out
    assert (
        "The laboratory at http://lab:8766 sends code that is to run on this machine, with your rights:\ntask train of a.py\n"
        in shown
    )
    assert "Shall it run here? [y/N]" in shown


def test_an_answer_without_end_is_not_read(tmp_path: Path) -> None:
    site = FastAPI()

    @site.post("/api/agent/content")
    def content() -> dict[str, str]:
        return {"content": base64.b64encode(bytes(4 * MOST_FILE_BYTES)).decode()}

    with listening(site) as address, Client(address, "token") as client:
        with pytest.raises(CodeRefused, match=r"sends more than \d+ bytes at once, which is not taken"):
            client.content(0, "x")
        with pytest.raises(evenhand.EvenhandError):
            client.code(0, "v2-one")
