"""What a training keeps is there after whatever ended it, and folders go by the rule, without touching anything else."""

import multiprocessing
import os
import random
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from typer.testing import CliRunner

import evenhand
from evenhand import Float, Integer, Run, Space
from evenhand.cli.main import app
from evenhand.errors import DataError, InvalidSettings
from evenhand.experiments.trial_folders import checked_keep, delete, fallen
from evenhand.model.configuration import Configuration
from evenhand.model.direction import best_first
from evenhand.model.hyperparameter import Hyperparameter
from evenhand.model.job import place_of
from evenhand.settings import trials_dir
from evenhand.tasks import kept
from tests.waiting import PATIENCE_SECONDS, wait_for

NOBODY = 65534  # a user of every Unix that owns nothing
LINE = Space([Hyperparameter("x", Float(0, 1))])


@pytest.fixture
def db(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.setenv("EVENHAND_DATA", str(tmp_path / "data"))
    return f"sqlite:///{tmp_path / 'lab.sqlite'}"


# Under names


def test_objects_files_and_folders_come_back(tmp_path: Path) -> None:
    folder, work = tmp_path / "kept", tmp_path / "work"
    (work / "deep").mkdir(parents=True)
    (work / "model.keras").write_bytes(b"weights")
    (work / "deep" / "more.txt").write_text("more")
    assert kept.load(folder, "state") is None
    kept.save(folder, "state", {"epoch": 3, "w": np.arange(3.0)})
    kept.save(folder, "state.2", "a text")
    kept.save(folder, "model", work / "model.keras")
    kept.save(folder, "all", work)
    assert kept.load(folder, "state")["epoch"] == 3  # type: ignore[index]
    assert kept.load(folder, "state.2") == "a text"
    assert kept.load(folder, "model").name == "model.keras"  # type: ignore[union-attr]
    assert kept.load(folder, "model").read_bytes() == b"weights"  # type: ignore[union-attr]
    assert (kept.load(folder, "all") / "deep" / "more.txt").read_text() == "more"  # type: ignore[operator]
    kept.save(folder, "state", None)
    assert kept.load(folder, "state") is None
    assert kept.load(folder, "state.2") == "a text"
    assert len(list(folder.iterdir())) == 8  # an entry and a pointer of each name


def test_a_folder_that_cannot_be_written_to_is_named_and_what_to_do(tmp_path: Path) -> None:
    file = tmp_path / "a file"
    file.write_text("")
    with pytest.raises(InvalidSettings, match=r"a file/kept, where this trial keeps things, cannot be written to \(File exists"):
        kept.save(file / "kept", "state", 1)


@pytest.mark.parametrize("closed", ["trials", "kept"])
def test_a_trial_that_keeps_in_a_read_only_folder_says_which_and_what_to_do(
    db: str, tmp_path: Path, closed: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As a data directory on a read-only disk: of the folder of all trials, or of this one's own."""

    def train(configuration: Configuration, run: Run) -> None:
        folder = trials_dir() if closed == "trials" else run._kept_folder
        folder.mkdir(parents=True, exist_ok=True)
        with read_only(folder):
            run.keep({"epoch": 1}, "state")

    result = evenhand.tune(train, LINE, direction="maximize", trials=1, db=db, progress=False, evaluate=False)
    [trial] = result.trials
    why = str(trial.why)
    assert trial.outcome == "invalid"
    assert why.startswith(f"run.keep: {trials_dir()}")
    assert "cannot be written to (Permission denied), so 'state' was not kept; give its owner the right to write there" in why
    assert "EVENHAND_DATA=FOLDER" in why
    assert "Traceback" not in why


@contextmanager
def read_only(folder: Path) -> Iterator[None]:
    """Within it nobody may write in the folder; who may do everything, as in a container, is somebody else meanwhile."""
    user, above = os.geteuid(), [path for path in (folder, *folder.parents) if path.stat().st_uid == os.geteuid()]
    rights = {path: path.stat().st_mode for path in above}
    for path in above if user == 0 else [folder]:
        path.chmod(0o555)
    if user == 0:
        os.seteuid(NOBODY)
    try:
        yield
    finally:
        if user == 0:
            os.seteuid(user)
        for path, mode in rights.items():
            path.chmod(mode)


def test_what_cannot_be_kept_is_refused_and_what_was_there_stays(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "kept"
    kept.save(folder, "state", 1)
    (tmp_path / "file.pt").write_bytes(b"x" * 1000)
    for name in ("", ".hidden", "../up", "a/b", "x" * 101, 7, "a\0"):
        with pytest.raises(InvalidSettings, match="the name is"):
            kept.save(folder, name, 1)  # type: ignore[arg-type]
    for thing, match in (
        (lambda: None, "is a function that cannot be pickled"),
        (tmp_path / "none.pt", "there is no file or folder"),
        (str(tmp_path / "file.pt"), "which names a file; expected Path"),
        (tmp_path, "holds the folder that it would be copied to"),
    ):
        with pytest.raises(InvalidSettings, match=match):
            kept.save(folder, "state", thing)
    monkeypatch.setattr(kept, "MOST_BYTES", 1500)
    kept.save(folder, "file", tmp_path / "file.pt")
    kept.save(folder, "file", tmp_path / "file.pt")  # in place of the one before
    with pytest.raises(InvalidSettings, match="expected at most"):
        kept.save(folder, "another", tmp_path / "file.pt")
    assert kept.load(folder, "state") == 1
    assert kept.load(folder, "another") is None
    assert sorted(path.name.partition(".")[0] for path in folder.iterdir()) == ["file", "file", "state", "state"]
    (next(path for path in folder.iterdir() if path.is_dir() and path.name.startswith("state")) / kept.OBJECT).write_bytes(b"no")
    with pytest.raises(DataError, match="what was kept as 'state'"):
        kept.load(folder, "state")


def keep_for_ever(folder: str) -> None:
    for number in range(10**9):
        kept.save(Path(folder), "state", (number, bytes([number % 256]) * 200_000))


def is_new(folder: Path, before: object) -> bool:
    return kept.load(folder, "state") != before


@pytest.mark.slow
def test_a_kill_at_any_moment_leaves_a_whole_state(tmp_path: Path) -> None:
    rng, last = random.Random(1), -1
    context = multiprocessing.get_context("forkserver")
    for _ in range(12):
        process = context.Process(target=keep_for_ever, args=(str(tmp_path / "kept"),))
        process.start()
        before = kept.load(tmp_path / "kept", "state")
        wait_for(partial(is_new, tmp_path / "kept", before), "something new is kept")
        time.sleep(rng.uniform(0, 0.05))
        assert process.pid is not None
        os.kill(process.pid, signal.SIGKILL)
        process.join(PATIENCE_SECONDS)
        number, content = kept.load(tmp_path / "kept", "state")  # type: ignore[misc]
        assert content == bytes([number % 256]) * 200_000
        last = max(last, number)
    kept.save(tmp_path / "kept", "state", "last")
    assert len(list((tmp_path / "kept").iterdir())) == 2  # what the killed have left is gone


def test_a_run_of_no_session_keeps_as_long_as_it_lasts() -> None:
    task = evenhand.task(space=LINE, metric="value", direction="maximize", max_epochs=1)(lambda c: c["x"])
    run = Run(task, seed=0, evaluation=False, report=lambda measurement: None)
    run.keep({"a": 1}, "state")
    assert run.restore("state") == {"a": 1}
    with pytest.raises(InvalidSettings, match="got a dict without a name"):
        run.keep({"a": 1})
    place = Run(task, seed=0, evaluation=False, report=lambda measurement: None, place="../../x-1")
    with pytest.raises(DataError, match="does not lie within"):
        place.keep(1, "state")


# An interrupted training goes on from there


def long_training(configuration: Configuration, run: Run) -> None:
    """Six epochs, each of which says which process did it."""
    kept_before: dict[str, Any] = run.restore("state") or {"epoch": 0, "by": []}
    for epoch in range(kept_before["epoch"] + 1, 7):
        time.sleep(0.05)
        kept_before = {"epoch": epoch, "by": [*kept_before["by"], os.getpid()]}
        run.keep(kept_before, "state")
        run.report(epoch=epoch, value=configuration.number("x") + epoch)
    (run.folder / "by").write_text(" ".join(map(str, kept_before["by"])))


TRAINING_SPACE = Space([*LINE, Hyperparameter("epochs", Integer(6, 6), fidelity=True)])


def tune_long(db: str, data: str) -> None:
    os.environ["EVENHAND_DATA"] = data  # the server that it is forked from has another
    evenhand.tune(
        long_training, TRAINING_SPACE, direction="maximize", trials=1, name="long", evaluate=False, progress=False, db=db
    )


@pytest.mark.kill
def test_the_second_attempt_restores_what_the_first_has_kept(db: str) -> None:
    process = multiprocessing.get_context("forkserver").Process(target=tune_long, args=(db, os.environ["EVENHAND_DATA"]))
    process.start()

    def epochs() -> int:
        folders = list(trials_dir().glob("session-1-*/trial-1-kept"))
        return (kept.load(folders[0], "state") or {"epoch": 0})["epoch"] if folders else 0

    wait_for(lambda: epochs() >= 2, "two epochs are kept")
    assert process.pid is not None
    os.kill(process.pid, signal.SIGKILL)
    process.join(PATIENCE_SECONDS)
    done = epochs()
    assert 2 <= done < 6
    result = evenhand.tune(
        long_training, TRAINING_SPACE, direction="maximize", trials=1, name="long", evaluate=False, progress=False, db=db
    )
    assert result.best is not None
    assert (result.best.attempt, result.best.epochs_done) == (2, 6)
    assert result.best.folder is not None
    by = list(map(int, (result.best.folder / "by").read_text().split()))
    assert by == [process.pid] * done + [os.getpid()] * (6 - done)


# Which folders stay


def writes(configuration: Configuration, run: Run) -> float:
    (run.folder / "model").write_text("weights")
    run.keep(run.number, "number")
    return configuration.number("x")


def folders_of(session: Any) -> set[int]:
    """The numbers of the trials that have a folder, or something kept."""
    (root,) = (
        trials_dir().glob(f"session-{session.id}-*") if list(trials_dir().glob(f"session-{session.id}-*")) else (Path("none"),)
    )
    return {int(path.name.split("-")[1]) for path in root.glob("trial-*")}


@pytest.mark.slow
@pytest.mark.parametrize("parallel", [1, 2])
@pytest.mark.parametrize(("keep", "count"), [("all", 8), (3, 3), (1, 1), ("none", 0)])
def test_the_folders_of_the_best_stay(db: str, keep: int | str, count: int, parallel: int) -> None:
    result = evenhand.tune(
        writes, LINE, direction="maximize", trials=8, parallel=parallel, keep_folders=keep, db=db, progress=False
    )
    best = {trial.number for trial in best_first(result.trials, True)[:count]}
    assert folders_of(result.session) == best
    assert result.best is not None
    assert (result.best.folder is None) is (keep == "none")


@pytest.mark.slow
def test_an_extended_session_keeps_the_best_of_all(db: str) -> None:
    settings: dict[str, Any] = {"direction": "minimize", "name": "it", "keep_folders": 2, "db": db, "progress": False}
    evenhand.tune(writes, LINE, trials=4, **settings)
    result = evenhand.tune(writes, LINE, trials=9, **settings)
    assert folders_of(result.session) == {trial.number for trial in best_first(result.trials, False)[:2]}


def test_folders_of_trainings_that_may_go_on_stay(db: str) -> None:
    space = Space([*LINE, Hyperparameter("epochs", Integer(1, 4), fidelity=True)])
    seen: list[set[int]] = []

    def train(configuration: Configuration, run: Run) -> None:
        (run.folder / "model").touch()
        for epoch in range(run.completed_epochs + 1, configuration["epochs"] + 1):
            run.report(epoch=epoch, value=configuration.number("x"))
        seen.append({int(path.name.split("-")[1]) for path in run.folder.parent.glob("trial-*")})

    result = evenhand.tune(
        train, space, method="asha", direction="maximize", trials=9, keep_folders=1, db=db, progress=False, evaluate=False
    )
    assert seen[-1] == set(range(1, len(result.trials) + 1))
    assert folders_of(result.session) == {best_first(result.trials, True)[0].number}


def test_nothing_but_the_trials_own_folder_is_deleted(db: str, tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "precious").write_text("data")

    def train(configuration: Configuration, run: Run) -> float:
        (run.folder / "link").symlink_to(outside)
        return configuration.number("x")

    result = evenhand.tune(train, LINE, direction="maximize", trials=3, db=db, progress=False)
    session = result.session
    (root,) = trials_dir().glob("session-1-*")
    (root / "trial-1-1" / "link").unlink()
    (root / "trial-1-1").rmdir()
    (root / "trial-1-1").symlink_to(outside)  # in its place
    (root / "trial-11-1").mkdir()
    (root / "notes").mkdir()
    for trial in session.trials:
        delete(session, trial)
    assert (outside / "precious").read_text() == "data"
    assert sorted(path.name for path in root.iterdir()) == ["notes", "trial-1-1", "trial-11-1"]
    moved = root.rename(tmp_path / "moved")
    (moved / Path(place_of(session, 2, 1)).name).mkdir()
    root.symlink_to(moved)
    delete(session, session.trials[1])
    assert (moved / "trial-2-1").is_dir()  # behind a link


@pytest.mark.slow
def test_what_is_linked_into_a_programs_folder_stays(db: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "work" / "data").mkdir(parents=True)
    (tmp_path / "work" / "data" / "rows.csv").write_text("1,2")
    monkeypatch.chdir(tmp_path / "work")
    script = "cat data/rows.csv > copy.csv; echo value {x}"
    task = evenhand.program(["sh", "-c", script], LINE, metric="value", direction="maximize", result=r"value (?P<value>[\d.e-]+)")
    result = evenhand.tune(task, trials=3, keep_folders=1, db=db, progress=False)
    assert {trial.outcome for trial in result.trials} == {evenhand.Outcome.COMPLETED}
    assert result.best is not None
    assert folders_of(result.session) == {result.best.number}
    assert (tmp_path / "work" / "data" / "rows.csv").read_text() == "1,2"


def test_open_trials_and_what_they_go_on_with_never_fall(db: str) -> None:
    session = evenhand.tune(writes, LINE, direction="maximize", trials=4, db=db, progress=False).session
    order = [trial.number for trial in best_first(session.trials, True)]
    assert {trial.number for trial in fallen(session, 1)} == set(order[1:])
    last, worst = order[-2], order[-1]
    opened = tuple(replace(trial, outcome=None, resumes=last) if trial.number == worst else trial for trial in session.trials)
    assert {trial.number for trial in fallen(replace(session, trials=opened), 1)} == {order[1]}
    assert {trial.number for trial in fallen(replace(session, trials=opened), "none")} == {order[0], order[1]}


def test_the_command_line_takes_the_rule(db: str) -> None:
    words = ["tune", "sklearn", "--set", "data=wine", "--set", "model=knn", "--trials", "2", "--no-evaluate", "--db", db]
    assert CliRunner().invoke(app, [*words, "--keep-folders", "1"], catch_exceptions=False).exit_code == 0
    with pytest.raises(
        InvalidSettings, match="keep_folders is 'most', expected 'all', 'none', or of how many of the best trials"
    ):
        CliRunner().invoke(app, [*words, "--keep-folders", "most"], catch_exceptions=False)


@pytest.mark.parametrize("keep", ["some", 0, -1, 1.5, None, True, "3"])
def test_a_rule_that_is_none_is_refused(keep: object) -> None:
    with pytest.raises(InvalidSettings, match="keep_folders"):
        checked_keep(keep)
