"""A session of `evenhand.tune` outlives its process: the same command goes on with it, extends it, or is refused in words."""

import multiprocessing
import os
import random
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import pytest

import evenhand
from evenhand import Configuration, Float, Hyperparameter, InvalidSettings, Outcome, Prior, Run, Space
from evenhand.errors import NotFound, Refused
from evenhand.examples.digits_mlp import train
from evenhand.lab import processes, served
from evenhand.lab.lab import Lab
from evenhand.model import rules
from evenhand.model.session import Session, State
from evenhand.model.trial import Trial
from evenhand.studies import alerts
from tests.waiting import PATIENCE_SECONDS, wait_for

LINE = Space([Hyperparameter("x", Float(-1, 1))])
KILLS = 20
PLANE = Space([Hyperparameter("x", Float(-1, 1)), Hyperparameter("y", Float(1e-3, 1.0, log=True))])


@pytest.fixture
def db(tmp_path: Path) -> str:
    return f"sqlite:///{tmp_path / 'lab.sqlite'}"


@contextmanager
def opened(db: str) -> Iterator[Lab]:
    """The laboratory on this database."""
    with closing(Lab.connect(db)) as lab:
        yield lab


def square(configuration: Configuration) -> float:
    return configuration.number("x") ** 2


def told(trials: Sequence[Trial]) -> list[tuple[Any, ...]]:
    """What of trials must be as in the unbroken run."""
    return [(trial.number, dict(trial.configuration), trial.value, trial.outcome, trial.explanation) for trial in trials]


class Breaking:
    """A function that is `square`, and at one call does something else first."""

    def __init__(self) -> None:
        self.calls = 0
        self.at: dict[int, Callable[[], None]] = {}

    def tune(self, db: str, **settings: Any) -> evenhand.Result:
        """Tune it, always by the same function."""

        def breaking(configuration: Configuration) -> float:
            self.calls += 1
            self.at.get(self.calls, lambda: None)()
            return square(configuration)

        usual = {"space": LINE, "direction": "minimize", "method": "tpe", "startup": 4, "trials": 12, "seed": 3}
        options = {name: value for name, value in {**usual, **settings}.items() if value is not None}
        return evenhand.tune(breaking, db=db, progress=False, **options)


def interrupt() -> None:
    raise KeyboardInterrupt


def terminate() -> None:
    os.kill(os.getpid(), signal.SIGTERM)
    time.sleep(30)


@pytest.mark.slow
def test_the_same_call_goes_on_with_the_suggestions_of_the_unbroken_run(db: str, capsys: pytest.CaptureFixture[str]) -> None:
    unbroken = Breaking().tune(db)
    broken = Breaking()
    broken.at = {3: interrupt, 8: terminate, 9: interrupt}
    for expected in (KeyboardInterrupt, SystemExit, KeyboardInterrupt):
        with pytest.raises(expected):
            broken.tune(db, name="first")
    said = capsys.readouterr().err
    assert "Interrupted: session 2 ('first'), 2 of 12 trials ended, best value" in said
    assert "The same command goes on with it; evenhand end 2" in said
    assert signal.getsignal(signal.SIGTERM) is signal.SIG_DFL
    result = broken.tune(db, name="first")
    assert told(result.trials) == told(unbroken.trials)
    assert result.session_id == 2
    assert dict(result.configuration or {}) == dict(unbroken.configuration or {})
    with opened(db) as lab:
        assert len(lab.sessions.of_study(1)) == 2
        assert max(trial.attempt for trial in result.trials) > 1


def test_sigterm_leaves_the_process_with_its_own_code(db: str) -> None:
    broken = Breaking()
    broken.at = {2: terminate}
    with pytest.raises(SystemExit) as left:
        broken.tune(db)
    assert left.value.code == 143


def test_an_ended_session_gives_its_result_at_once(db: str) -> None:
    counted = Breaking()
    first = counted.tune(db, name="first")
    again = counted.tune(db, name="first")
    assert counted.calls == 12
    assert (again.session_id, told(again.trials), again.configuration) == (
        first.session_id,
        told(first.trials),
        first.configuration,
    )


def test_a_session_without_a_name_goes_on_by_its_number(db: str, capsys: pytest.CaptureFixture[str]) -> None:
    broken = Breaking()
    broken.at = {5: interrupt}
    with pytest.raises(KeyboardInterrupt):
        broken.tune(db)
    assert "with name='#1' (on the command line --name '#1')" in capsys.readouterr().err
    assert len(broken.tune(db, name="#1").trials) == 12
    with pytest.raises(NotFound, match="session 9 does not exist"):
        broken.tune(db, name="#9")
    with pytest.raises(NotFound, match="'#nine' is no session's number"):
        broken.tune(db, name="#nine")


NO_NAME = "expected a text of 1 to 100 characters"


@pytest.mark.parametrize(
    ("name", "words"),
    [
        *((name, NO_NAME) for name in ("", " ", "a ", 3, "x" * 101, "two\nlines")),
        ("12", "name is '12', a number: expected a name with a letter, or '#12' for session 12"),
    ],
)
def test_what_can_be_no_name_is_refused_before_anything_is_stored(db: str, name: Any, words: str) -> None:
    with pytest.raises(InvalidSettings, match=words):
        Breaking().tune(db, name=name)
    assert not Path(db.removeprefix("sqlite:///")).exists()


@pytest.mark.slow
@pytest.mark.parametrize(
    ("changed", "words"),
    [
        ({"metric": "loss"}, "its metric is 'value' there, and 'loss' now"),
        ({"direction": "maximize"}, "its direction is minimize there, and maximize now"),
        ({"space": Space([Hyperparameter("z", Float(-1, 1))])}, "its hyperparameters is x there, and z now"),
        ({"space": Space([Hyperparameter("x", Float(-1, 2))])}, r"x's domain is .*\"high\": 1.* there, and .*\"high\": 2.* now"),
        ({"method": "random", "startup": None}, "its method is tpe there, and random now"),
        ({"startup": 5}, "its method's startup is 4 there, and 5 now"),
        ({"stopping": "median"}, 'its method\'s stopping is not given there, and "median" now'),
        ({"seed": 4}, "its seed is 3 there, and 4 now"),
        ({"evaluate": "retrain"}, "evaluate is 'as tuned' there, and 'retrain' now"),
        ({"evaluate": False}, "evaluate is 'as tuned' there, and False now"),
        ({"priors": {"x": Prior(0.5)}}, r"what is believed \(priors\) is {} there, and {'x'"),
    ],
)
def test_another_thing_under_the_same_name_is_refused_with_both_values(db: str, changed: dict[str, Any], words: str) -> None:
    same = Breaking()
    same.tune(db, name="first", trials=2)
    with pytest.raises(Refused, match=rf"(?s){words}.*; give what it has to go on with it, or another name to start anew"):
        same.tune(db, name="first", **{"trials": 2, **changed})


def test_another_function_under_the_same_name_is_refused(db: str) -> None:
    evenhand.tune(square, LINE, direction="minimize", trials=2, name="first", db=db, progress=False)

    def other(configuration: Configuration) -> float:
        return configuration.number("x") ** 4

    with pytest.raises(Refused, match=r"the version of its function .* is .* there, and .* now"):
        evenhand.tune(other, LINE, direction="minimize", trials=2, name="first", db=db, progress=False)


@pytest.mark.parametrize("budget", [{"trials": 5}, {"trials": None, "minutes": 9}, {"minutes": 9}, {"epochs": 100}])
def test_a_budget_can_only_grow(db: str, budget: dict[str, Any]) -> None:
    tuned = Breaking()
    tuned.tune(db, name="first", trials=6)
    with pytest.raises(Refused, match=r"has a budget of 6 trials, and a session's budget can only grow; got .*, or another name"):
        tuned.tune(db, name="first", **{"trials": 6, **budget})


@pytest.mark.slow
def test_a_larger_budget_extends_an_ended_session_and_keeps_its_earlier_choice(db: str) -> None:
    longer = Breaking().tune(db, trials=14)
    tuned = Breaking()
    first = tuned.tune(db, name="first", trials=3)
    second = tuned.tune(db, name="first", trials=14)
    third = tuned.tune(db, name="first", trials=15)
    assert told(second.trials) == told(longer.trials)
    assert told(third.trials[:14]) == told(longer.trials)
    earlier = third.session.earlier_choices
    assert [entry.choice for entry in earlier] == [first.session.choice, second.session.choice]
    assert third.session.choice is not None
    assert [entry.reopened_at > entry.choice.at for entry in earlier] == [True, True]
    assert third.session.choice.at > earlier[-1].reopened_at


@pytest.mark.slow
def test_a_session_ends_where_its_values_get_no_better_and_goes_on_under_a_longer_until(db: str) -> None:
    unbroken = Breaking().tune(db, trials=40)
    values = [trial.value or 0.0 for trial in unbroken.trials]
    until = next(
        count
        for count in range(6, 40)
        if min(values[: count - 4]) - min(values[:count]) < 0.01  # the last 4 of `count`
    )
    tuned = Breaking()
    first = tuned.tune(db, name="first", trials=40, until="0.01 in 4")
    assert told(first.trials) == told(unbroken.trials[: len(first.trials)])
    assert len(first.trials) <= until
    assert min(values[: len(first.trials) - 4]) - min(values[: len(first.trials)]) < 0.01
    assert "ended          its best value got no better by 0.01 in the last 4 trials" in repr(first)
    with pytest.raises(
        Refused, match=r"budget can only grow; got .*, expected until a gain of at most 0.01 in at least 4 trials"
    ):
        tuned.tune(db, name="first", trials=40, until="0.02 in 4")
    with pytest.raises(Refused, match=r"would at once again: .*; give a longer `until`, such as '0.01 in 8', or leave it out"):
        tuned.tune(db, name="first", trials=50, until="0.01 in 4")
    assert repr(tuned.tune(db, name="first", trials=40, until="0.01 in 4")) == repr(first)
    last = tuned.tune(db, name="first", trials=40)
    assert told(last.trials) == told(unbroken.trials)
    assert "all 40 trials were used" in repr(last)


@pytest.mark.slow
def test_each_choice_has_its_own_evaluation(db: str) -> None:
    first, second = (
        evenhand.tune(train, trials=trials, epochs_per_trial=1, name="first", db=db, progress=False).evaluation
        for trials in (1, 4)
    )
    with opened(db) as lab:
        evaluation = lab.evaluations.get(1, "evenhand.tune")
        assert [len(scores) for scores in (evaluation.scores, *evaluation.earlier)] == [10, 10]
        assert first is not None
        assert second is not None
        assert (evaluation.earlier[0], evaluation.scores) == (first.scores, second.scores)
        assert len(lab.evaluations.looks(1)) == 2


def test_a_session_that_a_process_tunes_now_is_nobody_elses(db: str) -> None:
    began, goes_on = threading.Event(), threading.Event()

    def waits() -> None:
        began.set()
        goes_on.wait(60)

    tuned = Breaking()
    tuned.at = {1: waits}
    thread = threading.Thread(target=lambda: tuned.tune(db, name="first", trials=2))
    thread.start()
    began.wait(60)
    try:
        with opened(db) as lab:
            with pytest.raises(Refused, match="session 1 is being tuned now, by this very process; wait for its end"):
                lab.sessions.take_up(1, lab.sessions.get(1).budget)
            with pytest.raises(Refused, match="is being tuned now"):
                lab.sessions.end(1)
            assert not rules.is_interrupted(lab.sessions.get(1), time.time())
    finally:
        goes_on.set()
        thread.join()


def test_the_processes_of_this_machine_are_known(monkeypatch: pytest.MonkeyPatch) -> None:
    process = subprocess.Popen([sys.executable, "-c", "pass"])
    here = processes.this_process()
    _, node, born = here.split(" ")
    process.wait()
    assert processes.has_ended(f"{process.pid} {node} {born}")
    assert not processes.has_ended(here)
    assert processes.has_ended(f"{os.getpid()} {node} 00000000")  # of before, with the same number
    assert not processes.has_ended(f"{os.getppid()} {node} 00000000")
    assert not processes.has_ended(f"{process.pid} elsewhere {born}")  # nothing is known of another machine's
    assert processes.in_words(f"7 {node} {born}") == f"process 7 on {node}"


def interrupted(db: str, at: int = 4, **settings: Any) -> Session:
    """A session whose process is gone while it trained a trial."""
    broken = Breaking()
    broken.at = {at: interrupt}
    with pytest.raises(KeyboardInterrupt):
        broken.tune(db, **settings)
    with opened(db) as lab:
        return lab.sessions.get(1)


def test_time_without_a_process_is_not_counted(db: str) -> None:
    session = interrupted(db, trials=None, minutes=10)
    assert session.last_seen is not None
    later = session.last_seen + 86400
    assert rules.is_interrupted(session, session.last_seen + 1)
    assert rules.state_of(session, later) is State.TUNING
    left = rules.seconds_left(session, later)
    assert left is not None
    assert left > 590
    with opened(db) as lab:
        lab.core.clock = lambda: later
        lab.sweep()
        assert lab.sessions.get(1).choice is None
        went_on = lab.sessions.take_up(1, session.budget)
        assert [extension.reason for extension in went_on.extensions] == ["no process tuned it"]
        assert rules.seconds_left(went_on, later) == pytest.approx(left, abs=1)
        assert not rules.is_interrupted(went_on, later)


def test_an_interrupted_session_is_ended_by_hand(db: str) -> None:
    session = interrupted(db)
    with opened(db) as lab:
        ended = lab.sessions.end(1)
        best = rules.best_trial(session)
        assert best is not None
        assert ended.choice is not None
        assert ended.choice.trial_id == best.id
        with pytest.raises(Refused, match="session 1 has ended already"):
            lab.sessions.end(1)
    result = Breaking().tune(db, name="#1")
    assert (result.best, len(result.trials)) == (best, 4)


@pytest.mark.slow
def test_a_stored_session_says_that_it_was_interrupted_and_is_found_by_its_name(db: str) -> None:
    interrupted(db, name="first")
    stored = evenhand.session("first", db)
    assert stored.record.id == 1
    assert "4 trials, interrupted\nThe same command goes on with it; evenhand end 1 chooses" in repr(stored)
    with pytest.raises(NotFound, match="no session is named 'second'"):
        evenhand.session("second", db)
    Breaking().tune(db, name="first")
    assert "interrupted" not in repr(evenhand.session("first", db))


def test_a_result_names_the_address_of_a_server_that_runs_and_else_what_starts_one(
    db: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("EVENHAND_DATA", str(tmp_path))
    assert repr(Breaking().tune(db, trials=1)).endswith(f"evenhand serve --db {db}, then /sessions/1")
    with opened(db) as lab:
        served.note_address(lab, "http://127.0.0.1:8765")
        beat = tmp_path / served.HEARTBEAT_FILE.format(lab.key)
        served.beat(beat, lab.clock() - 20)  # one that was killed
        assert served.address(lab) is None
        served.beat(beat, lab.clock())
        assert repr(Breaking().tune(db, trials=1)).endswith("http://127.0.0.1:8765/sessions/2")
        served.note_address(lab, None)
        assert served.address(lab) is None


def test_an_interrupted_session_raises_no_alert(db: str, tmp_path: Path) -> None:
    interrupted(db)
    with opened(db) as lab:
        now = lab.clock() + 86400
        lab.core.clock = lambda: now
        assert alerts.facts_of(lab, tmp_path, 0.0).sessions == ()


def test_no_agent_takes_the_open_trial_of_an_interrupted_session(db: str) -> None:
    session = interrupted(db)
    assert session.trials[-1].is_open
    with opened(db) as lab:
        agent_id, _ = lab.agents.add("server's", 1)
        assert lab.claim(agent_id) is None
        assert lab.claim(agent_id, session_id=1) is not None


def test_sessions_of_tune_are_exploratory_and_their_names_are_unique(db: str) -> None:
    session = Breaking().tune(db, name="first", trials=1).session
    assert (session.purpose, session.name, session.is_compared) == ("exploratory", "first", False)
    with opened(db) as lab:
        other = lab.sessions.open(session.study_id, tuner="random", method={"name": "random"})
        assert (other.purpose, other.name, other.is_compared) == ("study", None, True)
        with pytest.raises(Refused, match="a session named 'first' is there already; give another name"):
            lab.sessions.open(session.study_id, tuner="random", driver="python", name="first")
        with pytest.raises(Refused, match="session 2 belongs to a study"):
            lab.sessions.end(other.id)


# Killed


def paced(configuration: Configuration, run: Run) -> None:
    for epoch in range(1, 4):
        time.sleep(0.01)
        run.report(epoch=epoch, value=configuration.number("x") ** 2 / epoch + configuration.number("y"))


def tune_paced(db: str, said: str, settings: dict[str, Any]) -> None:
    """What the killed process does."""
    with open(said, "a") as file:
        os.dup2(file.fileno(), 2)
        evenhand.tune(paced, PLANE, direction="minimize", name="first", evaluate=False, progress=False, db=db, **settings)


class Command:
    """The same call of `evenhand.tune` in one process after the other."""

    def __init__(self, folder: Path, **settings: Any) -> None:
        folder.mkdir()
        self.db, self._said, self._settings = f"sqlite:///{folder / 'lab.sqlite'}", folder / "said.txt", settings
        self._processes = multiprocessing.get_context("forkserver")
        self._processes.set_forkserver_preload(["tests.test_resumption"])

    def start(self) -> Any:
        """The process that makes the call."""
        process = self._processes.Process(target=tune_paced, args=(self.db, str(self._said), self._settings))
        process.start()
        return process

    def begun(self, lab: Lab) -> Any:
        """The process that makes the call, once a trial has ended there."""
        before, process = self.ended(lab), self.start()
        wait_for(lambda: self.ended(lab) > before or not process.is_alive(), "a trial ends")
        return process

    def killed(self, rng: random.Random) -> None:
        """Start it, and end it at some moment: as it starts, or soon after a trial has ended."""
        with opened(self.db) as lab:
            process = self.begun(lab) if rng.random() < 0.8 else self.start()
        time.sleep(rng.uniform(0.0, 0.2))
        assert process.is_alive(), f"it ended before it was killed: {self._said.read_text()}"
        self.end_by(process, rng.choice([signal.SIGKILL, signal.SIGKILL, signal.SIGKILL, signal.SIGTERM, signal.SIGINT]))

    def end_by(self, process: Any, number: signal.Signals) -> None:
        """Send a process a signal, and see it end of that."""
        os.kill(process.pid, number)
        process.join(PATIENCE_SECONDS)
        if process.is_alive():
            process.kill()
            raise AssertionError(f"it did not end {PATIENCE_SECONDS:g} s after {number.name}: {self._said.read_text()}")

    def ended(self, lab: Lab) -> int:
        """How many trials have ended."""
        known = lab.sessions.called("first")
        return 0 if known is None else sum(not trial.is_open for trial in known.trials)

    def session(self) -> Session:
        """The session, once the call has returned."""
        process = self.start()
        process.join()
        assert process.exitcode == 0, self._said.read_text()
        with opened(self.db) as lab:
            known = lab.sessions.called("first")
            assert known is not None
            assert len(lab.sessions.of_study(known.study_id)) == 1
            return known


@pytest.mark.slow
@pytest.mark.kill
def test_twenty_kills_change_no_trial(tmp_path: Path) -> None:
    settings = {"method": "tpe", "startup": 10, "trials": 180}
    unbroken = Command(tmp_path / "unbroken", **settings).session()
    command, rng = Command(tmp_path / "killed", **settings), random.Random(12)
    for _ in range(KILLS):
        command.killed(rng)
    session = command.session()
    assert told(session.trials) == told(unbroken.trials)
    assert any(trial.attempt > 1 for trial in session.trials), "no training was cut off, so nothing was tested"
    assert session.choice is not None


@pytest.mark.slow
@pytest.mark.kill
def test_kills_of_two_trainings_at_once_lose_and_double_none(tmp_path: Path) -> None:
    command, rng = Command(tmp_path / "killed", trials=150, parallel=2), random.Random(13)
    for _ in range(6):
        command.killed(rng)
    session = command.session()
    assert [trial.number for trial in session.trials] == list(range(1, 151))
    assert {trial.outcome for trial in session.trials} == {Outcome.COMPLETED}
    assert len({str(dict(trial.configuration)) for trial in session.trials}) == 150


@pytest.mark.slow
@pytest.mark.kill
def test_two_trainings_at_once_end_by_a_signal_at_any_moment(tmp_path: Path) -> None:
    """A signal that comes while a lock is held once left it held: 7 of 300 commands then never ended."""
    command, rng = Command(tmp_path / "interrupted", trials=1000, parallel=2), random.Random(14)
    with opened(command.db) as lab:
        for turn in range(60):
            process = command.begun(lab) if turn % 3 else command.start()
            time.sleep(rng.uniform(0.0, 0.1))
            command.end_by(process, rng.choice([signal.SIGINT, signal.SIGTERM]))


@pytest.mark.slow
def test_the_command_line_goes_on_with_a_name_and_ends_what_was_left(tmp_path: Path) -> None:
    (tmp_path / "script.py").write_text(
        "from evenhand import Float, Hyperparameter, Space, task\n"
        "@task(space=Space([Hyperparameter('x', Float(-1, 1))]), metric='value', direction='minimize', max_epochs=1)\n"
        "def train(configuration, run):\n"
        "    run.report(value=configuration['x'] ** 2)\n"
    )

    def said(*arguments: str) -> str:
        command = [sys.executable, "-m", "evenhand.cli.main", *arguments]
        environment = {**os.environ, "EVENHAND_DATA": str(tmp_path), "COLUMNS": "200"}
        done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
        return done.stdout + done.stderr

    tune = ("tune", f"{tmp_path / 'script.py'}:train", "--name", "first", "--no-evaluate")
    assert "session 1: random, 3 trials" in said(*tune, "--trials", "3")
    longer = said(*tune, "--trials", "5")
    assert "session 1: random, 5 trials" in longer
    assert "its page       evenhand serve, then /sessions/1" in longer
    assert "error session 1 has a budget of 5 trials" in said(*tune, "--trials", "4")
    assert "error session 1 has ended already" in said("end", "first")
    assert "error no session is named 'second'" in said("end", "second")
