"""`evenhand study new`, `check`, `plan`, `add`, `publish`, `diff`, `close`, as they are called, and what `plan` estimates."""

import re
from collections.abc import Callable
from pathlib import Path

import pytest
from typer.testing import CliRunner

from evenhand.cli import study
from evenhand.errors import EvenhandError
from evenhand.lab.lab import Lab
from evenhand.model.study import Budget, Study, Text
from evenhand.studies import planning
from tests.test_study_file import EXAMPLE, changed

# Planning


def planned(trials: int | None = None, seconds: float | None = None, seeds: int = 10) -> Study:
    """A study under a budget."""
    nothing = Text("")
    budget = Budget(seconds=seconds, trials=trials)
    return Study("s", "S", 1, budget, 0, nothing, nothing, nothing, evaluation_seeds=seeds)


def test_hours_and_disk_follow_from_the_timed_epoch() -> None:
    estimate = planning.estimate(planned(trials=10), 6.0, 100, 31, epochs=2)
    assert estimate.trials == 10
    assert estimate.tuning_hours == pytest.approx(31 * 10 * 2 * 6 / 3600)
    assert estimate.evaluation_hours == pytest.approx(31 * 10 * 2 * 6 / 3600)
    assert estimate.disk == 31 * 10 * (2 * 100 + 2) * planning.MEASUREMENT_BYTES
    assert planning.estimate(planned(trials=10), 6.0, 10**6, 31).disk == 31 * 10 * (2000 + 5) * planning.MEASUREMENT_BYTES
    timed = planning.estimate(planned(seconds=7200), 6.0, 100, 31, epochs=5)
    assert timed.trials == pytest.approx(7200 / (30 + 90))


def test_one_participant_never_waits_and_more_wait_longer_for_the_same_slots() -> None:
    alone = planning.queue(1, 1, 60, 20, seed=1)
    assert alone.waiting == 0
    assert alone.lasts == pytest.approx(20 * (60 + planning.THINKING_SECONDS), rel=0.4)
    waits = [planning.queue(count, 2, 60, 20, seed=1).waiting for count in (2, 5, 10, 30)]
    assert waits == sorted(waits)
    assert waits[0] == 0
    # Saturated: 30 people on 2 slots are a closed queue, where each cycle of 60 / 2 * 30 seconds holds training and thinking.
    assert waits[-1] == pytest.approx(30 / 2 * 60 - 60 - planning.THINKING_SECONDS, rel=0.1)
    assert planning.queue(30, 2, 60, 20, seed=1).busy > 0.97


def test_slots_are_as_few_as_keep_waiting_short() -> None:
    for together in (1, 7, 31):
        slots = planning.slots_for(together, 50, 30)
        assert planning.queue(together, slots, 50, 30, 0).waiting <= planning.LONGEST_WAIT_SECONDS
        assert slots == 1 or planning.queue(together, slots - 1, 50, 30, 0).waiting > planning.LONGEST_WAIT_SECONDS


# Commands


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., str]:
    """Calls `evenhand study ...` on a database of its own; returns what it printed, or the deliberate error's text."""
    monkeypatch.setenv("EVENHAND_DATA", str(tmp_path / "data"))
    monkeypatch.setenv("COLUMNS", "200")

    def call(*arguments: object, code: int = 0) -> str:
        outcome = CliRunner().invoke(study.app, [str(argument) for argument in arguments])
        if isinstance(outcome.exception, EvenhandError):
            assert code == 1, outcome.exception
            return f"{outcome.output}{outcome.exception}"
        assert outcome.exit_code == code, (outcome.output, outcome.exception)
        return outcome.output

    return call


@pytest.mark.slow
def test_from_new_to_published_amended_and_closed(tmp_path: Path, run: Callable[..., str]) -> None:
    folder = tmp_path / "my-study"
    assert f"evenhand study check {folder}" in run("new", folder, "--task", EXAMPLE.name)
    path = folder / "study.toml"
    for old, new in (("minutes = 120", "trials = 3"), ('contact = ""', 'contact = "A. Person"')):
        changed(path, old, new)
    (folder / "consent.md").write_text("I agree.")
    assert "0 errors, 0 warnings" in run("check", folder)
    added = run("add", folder, "--url", "https://lab.example/")
    assert "version 1" in added
    assert "https://lab.example/studies/1" in added
    lab = Lab.connect()
    token = re.search(r"https://lab\.example/join/(\S+)", added)
    assert token
    assert lab.participants.accept(token[1])[0].mode == "pilot"
    assert "draft" in run("list")
    assert "blocks" in run("publish", "my-study", code=1)
    lab.studies.publish(1, "first version")
    assert "published already" in run("publish", "my-study", code=1)
    assert "version 1" in run("add", folder), "the same content is the same version"
    changed(path, "trials = 3", "trials = 4")
    (folder / "details.md").write_text("One\nTwo\n")
    assert "version 2" in run("add", folder)
    text = run("diff", "my-study")
    assert "budget.trials: 3 -> 4" in text
    assert "+ Two" in text
    assert "Nothing that they declare differs" in run("diff", "my-study", "2:2")
    assert "expected two of 1, 2" in run("diff", "my-study", "1:3", code=1)
    assert "--note" in run("publish", "my-study", code=1)
    assert "closed" in run("close", "my-study")
    lab.close()


@pytest.mark.slow
def test_plan_states_what_it_assumes(tmp_path: Path, run: Callable[..., str]) -> None:
    run("new", tmp_path / "s", "--task", EXAMPLE.name)
    text = run("plan", tmp_path / "s", "--participants", 12, "--slots", 2, "--epochs", 3)
    for words in ("one epoch, timed here", "12 participants", "of 3 epochs", "2 trainings run at once", "4000 simulated studies"):
        assert words in text, text
    assert re.search(r"90% power: \d+ participants", text)


def test_a_file_with_mistakes_is_neither_added_nor_planned(tmp_path: Path, run: Callable[..., str]) -> None:
    run("new", tmp_path / "s", "--task", EXAMPLE.name)
    changed(tmp_path / "s" / "study.toml", "minutes = 120", "minutes = 0")
    for command in ("add", "plan"):
        assert "has 1 error; mend them first" in run(command, tmp_path / "s", code=1)
    text = run("check", tmp_path / "s", "--no-load", code=1)
    assert re.search(r"error +study\.toml:\d+ budget\.minutes\n +given +0\n +expected +a number .*\n +fix +", text), text
    assert "brings its own data" in run("new", tmp_path / "t", "--task", EXAMPLE.name, "--size", 32, code=1)
