"""What a terminal shows while it waits for a run: one live table there, plain lines elsewhere, and Ctrl-C as without it."""

import io
import os
import re
import signal
import subprocess
import sys
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import pytest
from rich.console import Console

import evenhand
from evenhand import Float, Hyperparameter, Space
from evenhand.analysis.pace import pace_of
from evenhand.experiments import notebook, terminal
from evenhand.experiments.resumption import TERMINATED
from evenhand.lab.lab import Lab
from evenhand.model.session import Evaluated, FinalChoice, Session
from evenhand.model.study import Budget
from evenhand.model.trial import Outcome
from tests.test_run_comparison import session, trial
from tests.waiting import PATIENCE_SECONDS

LINE = Space([Hyperparameter("x", Float(-1, 1))])
ESCAPES = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]|\r")
SCRIPT = """
import time
import evenhand
from evenhand import Float


def slow(configuration, run):
    for epoch in range(1, 1000):
        time.sleep(0.02)
        run.report(epoch=epoch, value=configuration["x"])


if __name__ == "__main__":
    evenhand.tune(slow, {"x": Float(0, 1)}, direction="maximize", trials=50, name="slow", evaluate=False, db=URL)
"""


def drawn(of: Session, now: float, width: int = 100) -> str:
    text = io.StringIO()
    Console(file=text, width=width, color_system=None).print(terminal.table_of(of, now, "http://127.0.0.1:8765/sessions/1"))
    return text.getvalue()


def test_the_table_says_the_best_the_recent_trials_the_pace_and_the_page() -> None:
    trials = [trial(number, value) for number, value in enumerate((0.5, None, 0.7, 0.6, 0.4, 0.3, 0.2), 1)]
    open_trial = replace(trials[-1], finished_at=None, outcome=None, epochs_done=2)
    lines = drawn(session(1, *trials[:-1], open_trial), now=185.0).splitlines()
    # Six trials have ended, one every ten seconds; of nine two are left.
    assert lines[0].strip() == "tpe · 7 of 9 trials · best accuracy 70.0\u202f% (trial 3) · 6.0 trials a minute · about 20 s left"
    assert lines[1].strip() == "optimizer Adam, learning rate 0.001"
    assert [line.split()[0] for line in lines[3:9]] == ["2", "3", "4", "5", "6", "7"]
    assert "epoch 3 of" in lines[8]
    assert lines[-1].strip() == "http://127.0.0.1:8765/sessions/1"
    assert max(map(len, drawn(session(1, *trials), 185.0, width=40).splitlines())) <= 40


def test_before_a_value_it_says_why_and_at_the_end_how_many_seeds_are_scored() -> None:
    broken = replace(trial(1, None), outcome=Outcome.INVALID, why="Traceback\nValueError: [no] such file")
    assert "trial 1: ValueError: [no] such file" in drawn(session(1, broken), 120.0)
    assert "no value yet" in drawn(session(1), 120.0)
    ended = session(1, trial(1, 0.5), chosen=1)
    ended = replace(ended, evaluated=Evaluated(10, 4))
    head = terminal.head_of(ended, 600.0)
    assert head.endswith("best accuracy 50.0\u202f% (trial 1) · test score: 4 of 10 seeds")


def test_the_pace_is_of_the_last_trials_and_the_nearest_cap_counts() -> None:
    running = session(1, *(trial(number, 0.5) for number in range(1, 6)))
    assert pace_of(session(1), 100.0).trials_per_minute is None
    assert pace_of(running, 160.0).trials_per_minute == 6.0
    assert pace_of(running, 160.0).seconds_left == 4 * 10.0
    of_epochs = replace(running, budget=Budget(epochs=40))
    assert pace_of(of_epochs, 160.0).seconds_left == 15 * 40.0 / 20
    timed = replace(running, budget=Budget(trials=100, seconds=70.0))
    assert pace_of(timed, 160.0).seconds_left == pytest.approx(70.0 - (60.0 - 10.0))  # each trial waited 2 s
    assert pace_of(replace(running, choice=FinalChoice(170.0, None, None)), 180.0).seconds_left is None


def test_without_a_terminal_there_are_plain_lines(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert not notebook.in_notebook()
    db = f"sqlite:///{tmp_path / 'lab.sqlite'}"
    evenhand.tune(lambda c: 0.5 + 0 * c["x"], LINE, direction="maximize", trials=2, db=db, evaluate=False)
    said = capsys.readouterr()
    assert said.out == ""
    assert said.err.splitlines() == [
        f"Session 1: evenhand serve --db {db}, then /sessions/1",
        "random · 2 of 2 trials · best value 0.5 (trial 1)",
    ]
    evenhand.tune(lambda c: c["x"], LINE, direction="maximize", trials=1, db=db, evaluate=False, progress=False)
    assert capsys.readouterr().err == ""


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_live_table_ends_with_a_signal_as_plain_lines_do(number: signal.Signals, tmp_path: Path) -> None:
    import pty

    url = f"sqlite:///{tmp_path / 'lab.sqlite'}"
    script = tmp_path / "slow.py"
    script.write_text(SCRIPT.replace("URL", repr(url)), encoding="utf-8")
    ours, theirs = pty.openpty()
    environment = {**os.environ, "TERM": "xterm", "COLUMNS": "100", "LINES": "30", "EVENHAND_DATA": str(tmp_path / "data")}
    process = subprocess.Popen([sys.executable, str(script)], stdout=theirs, stderr=theirs, stdin=theirs, env=environment)
    os.close(theirs)
    text = ""
    try:
        with suppress(OSError):  # the other end is closed
            while chunk := os.read(ours, 65536).decode(errors="replace"):
                text += chunk
                if "epoch " in text and "epoch " not in text[: -len(chunk)]:
                    process.send_signal(number)
        code = process.wait(PATIENCE_SECONDS)
    finally:
        process.kill()
        process.wait()
        os.close(ours)
    assert code == (-signal.SIGINT if number == signal.SIGINT else TERMINATED)
    assert "\x1b[?25l" in text  # the cursor is hidden while it is live
    assert text.rindex("\x1b[?25h") > text.rindex("\x1b[?25l")
    assert "The same command goes on with it" in ESCAPES.sub("", text)
    lab = Lab.connect(url)
    left = lab.sessions.get(1)
    lab.close()
    assert left.choice is None
    assert left.process is None
    assert all(not trial.is_open or trial.claimed_at is None for trial in left.trials)
