"""`evenhand open`: each format, written by its own library, opens with all that it holds, and its source stays as it was."""

import hashlib
import json
import math
import os
import re
import shutil
import signal
import sqlite3
import subprocess
import sys
import warnings
from contextlib import closing
from pathlib import Path
from typing import Any

import httpx
import optuna
import pytest
from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution
from optuna.trial import TrialState, create_trial
from playwright.sync_api import Browser, expect
from typer.testing import CliRunner

from evenhand.cli import main
from evenhand.errors import EvenhandError, InvalidSettings, NotFound, PackageMissing
from evenhand.exchange import formats
from evenhand.exchange import optuna as optuna_exchange
from evenhand.exchange.foreign_runs import NotOpened, Opened, opened_runs
from evenhand.exchange.formats import metrics, spaces, table
from evenhand.exchange.formats.base import Losses, Source, Wanted
from evenhand.lab.lab import Lab
from evenhand.lab.served import signin_link
from evenhand.model.condition import Condition
from evenhand.model.domain import Choice, Float, Integer
from evenhand.model.trial import Outcome, Stopper
from tests.components import DATABASES, need
from tests.labs import database
from tests.test_browser import watched
from tests.test_optuna import network, study_of
from tests.waiting import PATIENCE_SECONDS, wait_for
from tests.web import toy_site

DATA = Path(__file__).parent / "data"
TUNED = {"mlflow-database": "accuracy", "mlflow-folder": "accuracy"}  # what has to be said of formats that do not say it


def mlflow_database(folder: Path) -> Path:
    """The tables that MLflow wrote, as a file again."""
    path = folder / "mlflow.db"
    with closing(sqlite3.connect(path)) as connection:
        connection.executescript((DATA / "mlflow.sql").read_text(encoding="utf-8"))
    return path


def journal(path: Path) -> optuna.storages.BaseStorage:
    return optuna.storages.JournalStorage(optuna.storages.journal.JournalFileBackend(str(path)))


def sample(form: str, folder: Path) -> Path:
    """A source of a format, as its own library writes it."""
    if form == "optuna-database":
        study_of(network, 8, study_name="nets", storage=f"sqlite:///{folder / 'optuna.db'}")
        return folder / "optuna.db"
    if form == "optuna-journal":
        study_of(network, 8, study_name="nets", storage=journal(folder / "journal.log"))
        return folder / "journal.log"
    if form == "table":
        frame = study_of(network, 8, study_name="nets").trials_dataframe()
        frame.rename(columns={"value": "loss"}).to_csv(folder / "nets.csv", index=False)
        return folder / "nets.csv"
    places = {"mlflow-folder": DATA / "mlruns", "ray-tune": DATA / "ray" / "nets", "keras-tuner": DATA / "keras" / "nets"}
    return mlflow_database(folder) if form == "mlflow-database" else places[form]


def state_of(folder: Path) -> dict[str, tuple[str, int]]:
    """Each file's contents and when it was written to."""
    return {
        str(path): (hashlib.sha256(path.read_bytes()).hexdigest(), path.stat().st_mtime_ns)
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def opened_all(place: object, **wanted: Any) -> list[Opened]:
    with Source(str(place)) as source:
        runs = []
        for run in opened_runs(source, Wanted(**wanted)):
            assert isinstance(run, Opened), run
            measured = list(run.measurements())
            object.__setattr__(run, "measurements", lambda measured=measured: iter(measured))  # its source is closed by then
            runs.append(run)
        return runs


def opened_one(place: object, **wanted: Any) -> Opened:
    (run,) = opened_all(place, **wanted)
    return run


def lost(run: Opened) -> list[str]:
    return [str(loss) for loss in run.losses]


# The contract that each format keeps


@pytest.mark.slow
@pytest.mark.parametrize("form", formats.FORMATS)
def test_a_format_is_told_by_what_it_holds_and_its_source_stays_as_it_was(form: str, tmp_path: Path) -> None:
    place = sample(form, tmp_path)
    folder = place if place.is_dir() else place.parent
    renamed = place
    if place.is_file():
        renamed = place.rename(place.with_name("without-an-ending"))
    before = state_of(folder)
    with Source(str(renamed)) as source:
        module = formats.told(source, Wanted())
        assert (module.NAME, bool(module.WORDS)) == (form, True)
        assert next(other for other in formats.FORMATS if formats.by_name(other).holds(source)) == form
    run = opened_one(renamed, metric=TUNED.get(form))
    assert run.run.format == form
    assert run.session.purpose == "exploratory"
    assert run.session.choice is not None
    lab = Lab.connect(f"sqlite:///{tmp_path.parent / f'{form}.sqlite'}")
    stored = lab.sessions.get(run.store(lab))
    assert (stored.purpose, stored.name, stored.tuner) == ("exploratory", run.run.name, run.run.tuner)
    assert lab.sessions.of_study(stored.study_id)[0].id == stored.id
    note = lab.runs.notes(stored.id).note
    assert note.startswith(f"Read from {run.run.name}, as another tool recorded it.")
    assert all(f"- {loss}" in note for loss in run.losses)
    facts = (
        "number",
        "configuration",
        "outcome",
        "value",
        "why",
        "stop_by",
        "epochs_done",
        "extra",
        "explanation",
        "finished_at",
    )
    for mine, original in zip(stored.trials, run.session.trials, strict=True):
        for fact in facts:
            if fact != "value" or original.outcome is not Outcome.DIVERGED:
                assert getattr(mine, fact) == getattr(original, fact), (original.number, fact)
    assert len(stored.trials) + sum(loss.count for loss in run.losses if "left out as" in loss.words) == len(run.run.trials)
    assert all(loss.count > 0 for loss in run.losses)
    lab.close()
    assert state_of(folder) == before


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("notes.txt", b"just some words\nand more\n", "holds no trials in a format that is known here"),
        ("empty.csv", b"", "holds no trials in a format that is known here"),
        ("data.json", b'{"a": 1, "b": 2}\n', "optuna-journal: a journal file of Optuna's"),
        ("cut.csv", b"lr,loss\n0.1,0.5\n0.2\n", "line 3 has 1 cells, expected 2"),
        ("latin.csv", "lr,näme,loss\n1,ä,2\n".encode("latin-1"), "is not in UTF-8"),
        ("head.csv", b"lr,loss\n", "has no row"),
        ("plain.csv", b"lr,loss\n0.1,high\n", "holds no number that could be the metric"),
    ],
)
def test_what_is_no_such_thing_is_refused_in_words(name: str, content: bytes, words: str, tmp_path: Path) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(InvalidSettings, match=words):
        opened_all(tmp_path / name)


def test_a_wrong_format_an_unknown_one_and_a_place_that_is_not_there(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("lr,loss\n0.1,0.5\n")
    with pytest.raises(InvalidSettings, match="is not a folder of a project of Keras Tuner's"):
        opened_all(tmp_path / "a.csv", format="keras-tuner")
    with pytest.raises(InvalidSettings, match="--format 'wandb': expected one of optuna-database, optuna-journal"):
        opened_all(tmp_path / "a.csv", format="wandb")
    for place in (tmp_path / "b.csv", f"sqlite:///{tmp_path / 'b.db'}"):
        with pytest.raises(NotFound, match="there is no file"):
            Source(str(place))
    assert [path.name for path in tmp_path.iterdir()] == ["a.csv"]
    lab = Lab.connect(f"sqlite:///{tmp_path / 'lab.sqlite'}")
    lab.close()
    with pytest.raises(InvalidSettings, match="a laboratory of Evenhand's own; look at it with `evenhand serve --db sqlite:///"):
        opened_all(tmp_path / "lab.sqlite")


# Optuna


KINDS = {
    "x": FloatDistribution(1e-3, 1, log=True),
    "größe": IntDistribution(1, 9, step=2),
    "kind": CategoricalDistribution(("a", None, True, 1)),
    "z": FloatDistribution(0, 1),
}


def odd_trials() -> list[optuna.trial.FrozenTrial]:
    """Each state, numbers that are not finite, options of every kind, attributes with and without a place."""

    def made(state: TrialState, value: float | None, steps: dict[int, float], **more: Any) -> optuna.trial.FrozenTrial:
        params = {"x": 0.1, "größe": 3, "kind": None} | more.pop("params", {})
        kinds = {name: KINDS[name] for name in params}
        return create_trial(state=state, value=value, params=params, distributions=kinds, intermediate_values=steps, **more)

    return [
        made(TrialState.COMPLETE, 0.5, {0: 0.1, 5: 0.5}, user_attrs={"memory": 7, "folder": "runs/ä", "n": 2**70}),
        made(TrialState.COMPLETE, 0.25, {0: math.nan, 2: 0.75, 3: math.inf}, params={"kind": True}),
        made(TrialState.COMPLETE, -math.inf, {1: 0.5}, params={"kind": 1}),
        made(TrialState.PRUNED, None, {0: 0.9}, params={"kind": "a", "z": 0.5}, system_attrs={"fixed_params": {"x": 0.1}}),
        made(TrialState.PRUNED, None, {}),
        made(TrialState.FAIL, None, {}),
        made(TrialState.RUNNING, None, {0: 0.3}),
        made(TrialState.WAITING, None, {}),
        made(TrialState.COMPLETE, 0.125, {}, user_attrs={"explanation": "a guess", "proposer": "me"}, constraints={"c": -1.0}),
    ]


def odd_study(storage: Any, name: str = "ungewöhnlich", **settings: Any) -> optuna.Study:
    study = optuna.create_study(storage=storage, study_name=name, **settings)
    study.add_trials(odd_trials())
    study.set_user_attr("owner", "me")
    return study


def check_alike(run: Opened, study: optuna.Study) -> None:
    """Read in bulk, a study is what Optuna's own objects make of it."""
    as_objects = optuna_exchange.read(study)
    assert run.session == as_objects.session
    by_trial = [sorted(one.measurements(), key=lambda entry: entry[0]) for one in (run, as_objects)]  # a journal's, as they ended
    assert by_trial[0] == by_trial[1]
    assert lost(run) == lost(as_objects)


@pytest.mark.parametrize("backend", DATABASES)
def test_a_database_of_optuna_s_is_read_as_optuna_reads_it(backend: str, tmp_path: Path) -> None:
    with database(backend, tmp_path) as url:
        optuna.create_study(storage=url, study_name="empty")
        study = odd_study(url)
        run = opened_one(url, study="ungewöhnlich")
        check_alike(run, study)
        with Source(url) as source:
            assert formats.names(source, Wanted())[1] == ["empty", "ungewöhnlich"]
            both = list(opened_runs(source, Wanted()))
    assert isinstance(both[0], NotOpened)
    assert "no trial that has ended has a hyperparameter" in both[0].why
    outcomes = {trial.number: (trial.outcome, trial.value) for trial in run.session.trials}
    assert outcomes[1] == (Outcome.COMPLETED, 0.5)
    assert outcomes[2] == (Outcome.COMPLETED, 0.25)
    assert outcomes[3] == (Outcome.DIVERGED, 0.5)
    assert outcomes[4] == (Outcome.STOPPED, 0.9)
    assert outcomes[5] == (Outcome.STOPPED, None)
    assert outcomes[6] == (Outcome.INVALID, None)
    assert set(outcomes) == {1, 2, 3, 4, 5, 6, 9}
    assert run.session.space["kind"].domain == Choice(("a", None, True, 1))
    assert run.session.space["z"].condition == Condition("has_z", ("yes",))
    assert lost(run) == [
        "constraint values of 1 trial are not kept: 8",
        "user attribute 'folder' of 1 trial is not kept: 'runs/ä'",
        "1 user attributes of the study are not kept: owner",
        "2 trials left out as not ended: 6, 7",
        "z: some trials had none, and nothing explains when; has_z says which",
        "2 reported values that are not finite are left out",
        "steps of reported values begin at 0; as epochs they are counted from 1",
    ]


def test_a_journal_is_read_as_optuna_reads_it(tmp_path: Path) -> None:
    path = tmp_path / "journal.log"
    storage = journal(path)
    study_of(network, 5, study_name="gone", storage=storage)
    optuna.delete_study(study_name="gone", storage=storage)
    other = study_of(network, 20, study_name="nets", storage=storage)
    study = odd_study(storage)
    study.enqueue_trial({"x": 0.5, "größe": 1, "kind": "a"})
    study.optimize(lambda trial: trial.suggest_float("x", 1e-3, 1, log=True) + trial.suggest_int("größe", 1, 9, step=2), 2)
    runs = {run.run.name: run for run in opened_all(path)}
    assert set(runs) == {"nets", "ungewöhnlich"}
    check_alike(runs["nets"], other)
    check_alike(runs["ungewöhnlich"], study)


def test_a_journal_s_last_line_may_be_half_written_and_no_other(tmp_path: Path) -> None:
    path = tmp_path / "journal.log"
    study_of(network, 6, study_name="nets", storage=journal(path))
    whole = path.read_bytes()
    path.write_bytes(whole + b'{"op_code": 4, "worker')
    run = opened_one(path)
    lines = whole.count(b"\n")
    assert f"the last line is half-written, as by a process that was killed, and is left out: line {lines + 1}" in lost(run)
    assert len(run.session.trials) == 6
    path.write_bytes(whole + b'{"op_code": 4, "worker\n' + whole)
    with pytest.raises(
        InvalidSettings, match=f"line {lines + 1} is no operation of a journal of Optuna: the file is damaged there"
    ):
        opened_all(path)
    path.write_bytes(whole + b'{"op_code": 4, "worker_id": "a"}\n')
    with pytest.raises(InvalidSettings, match=f"line {lines + 1} cannot be done again"):
        opened_all(path)


def test_several_objectives_and_a_study_without_trials(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'optuna.db'}"
    study = optuna.create_study(directions=["maximize", "minimize"], study_name="two", storage=url)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        study.set_metric_names(["accuracy", "size"])
    study.optimize(lambda trial: (trial.suggest_float("x", 0, 1), trial.suggest_int("n", 1, 3)), 4)
    run = opened_one(url)
    check_alike(run, study)
    assert [(metric.name, metric.direction) for metric in run.run.metrics] == [("accuracy", "maximize"), ("size", "minimize")]
    with pytest.raises(InvalidSettings, match="the study itself says maximize"):
        opened_all(url, direction="minimize")
    with pytest.raises(NotFound, match="has no study 'three'; expected one of two"):
        opened_all(url, study="three")
    optuna.delete_study(study_name="two", storage=url)
    with pytest.raises(NotFound, match="holds no study"):
        opened_all(url)


def test_a_file_that_is_locked_or_has_a_journal_beside_it_is_read_and_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "optuna.db"
    study_of(network, 6, study_name="nets", storage=f"sqlite:///{path}")
    with closing(sqlite3.connect(path, isolation_level=None)) as writer:
        writer.execute("BEGIN EXCLUSIVE")
        writer.execute("UPDATE trials SET number = 77 WHERE trial_id = 1")  # of a transaction that has not ended
        before = state_of(tmp_path)
        assert [trial.number for trial in opened_one(path).session.trials] == [1, 2, 3, 4, 5, 6]
        assert state_of(tmp_path) == before
        writer.execute("ROLLBACK")
        writer.execute("PRAGMA journal_mode=WAL")
        writer.execute("UPDATE studies SET study_name = 'renamed'")  # which only the -wal file holds
        before = state_of(tmp_path)
        assert {Path(name).name for name in before} >= {"optuna.db-wal"}
        assert opened_one(path).run.name == "renamed"
        assert state_of(tmp_path) == before


def test_times_of_a_version_of_optuna_before_5_are_of_this_machine_s_zone(tmp_path: Path) -> None:
    path = tmp_path / "optuna.db"
    study = study_of(network, 4, study_name="nets", storage=f"sqlite:///{path}")
    first = opened_one(path).session.trials[0]
    started = study.trials[0].datetime_start
    assert started is not None
    assert first.claimed_at == pytest.approx(started.timestamp())
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute("UPDATE version_info SET library_version = '4.5.0'")
        connection.execute("UPDATE trials SET datetime_start = '2025-03-01 12:00:00.500000'")
    old = opened_one(path)
    assert "Optuna 4.5.0 wrote times without their zone; they are taken to be of this machine's" in lost(old)
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute("ALTER TABLE trial_values DROP COLUMN value_type")
    with pytest.raises(InvalidSettings, match=r"version of Optuna before 3\.0; bring them up to date first"):
        opened_all(path)


@pytest.mark.postgres
def test_a_server_that_lets_nobody_in_is_told_without_the_password() -> None:
    address = need("postgres").partition("@")[2]
    for url in (f"postgresql+psycopg://nobody:wrongword@{address}", "postgresql+psycopg://me:wrongword@127.0.0.1:1/studies"):
        with pytest.raises(InvalidSettings, match="cannot be opened") as caught:
            opened_all(url)
        assert "wrongword" not in str(caught.value)


def test_mysql_says_which_driver_it_needs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pymysql", None)
    with pytest.raises(
        PackageMissing, match="needs pymysql, which is not installed here; install it beside Evenhand, with pip"
    ) as caught:
        opened_all("mysql+pymysql://me:wrongword@127.0.0.1:1/studies")
    assert "wrongword" not in str(caught.value)


# Others


@pytest.mark.parametrize("form", ["mlflow-database", "mlflow-folder"])
def test_runs_of_mlflow(form: str, tmp_path: Path) -> None:
    place = sample(form, tmp_path)
    with pytest.raises(
        InvalidSettings, match="it is not said which number was tuned; say it with --metric NAME, one of accuracy, loss"
    ):
        opened_all(place)
    run = opened_one(place, metric="loss")
    assert run.run.direction_words == "as --metric says, its direction by its name"
    assert dict(run.run.domains) == {"kind": Choice(("mlp", "cnn")), "layers": Integer(1, 3), "lr": Float(0.001, 0.1)}
    first, second, third = run.session.trials
    assert dict(first.configuration) == {"kind": "mlp", "layers": 1, "lr": 0.1}
    assert (first.outcome, first.value, list(first.extra)) == (Outcome.COMPLETED, 1 / 3, ["accuracy"])
    assert first.extra["accuracy"] == pytest.approx(0.52)
    assert first.explanation == "run-0. a naïve note"
    assert (second.outcome, second.why, second.value) == (Outcome.DIVERGED, "the value became nan", 0.5)
    assert (third.outcome, third.why) == (Outcome.INVALID, "MLflow says that the run failed, and keeps no reason")
    curve = [(one.epoch, one.value, one.extra["accuracy"]) for number, one in run.measurements() if number == 1]
    assert curve == [(1, 1.0, 0.5), (2, 0.5, pytest.approx(0.51)), (3, 1 / 3, pytest.approx(0.52))]
    assert lost(run) == [
        "tag 'team' of 3 trials is not kept: blue, ...",
        "1 reported values that are not finite are left out",
        "steps of reported values begin at 0; as epochs they are counted from 1",
    ]


def test_a_folder_of_ray_tune_s(tmp_path: Path) -> None:
    run = opened_one(DATA / "ray" / "nets")
    assert (run.run.metrics[0].name, run.run.metrics[0].direction) == ("accuracy", "maximize")
    assert run.run.direction_words == "as the source says, its direction by its name"
    assert list(run.run.domains) == ["lr", "net.kind", "net.units"]
    outcomes = [trial.outcome for trial in run.session.trials]
    kinds = [trial.configuration["net.kind"] for trial in run.session.trials]
    assert outcomes == [Outcome.INVALID if kind == "bad" else Outcome.COMPLETED for kind in kinds]
    assert "bad" in kinds
    for trial, folder in zip(run.session.trials, sorted((DATA / "ray" / "nets").glob("train_*")), strict=True):
        reports = [json.loads(line) for line in (folder / "result.json").read_text().splitlines()]
        curve = [(one.epoch, one.value, one.seconds) for number, one in run.measurements() if number == trial.number]
        assert curve == [(report["training_iteration"], report["accuracy"], report["time_total_s"]) for report in reports]
        assert trial.value == reports[-1]["accuracy"]
        if trial.outcome is Outcome.INVALID:
            assert trial.why is not None
            assert trial.why.rstrip().endswith("ValueError: too large")


def test_a_report_of_ray_tune_s_may_be_half_written_last(tmp_path: Path) -> None:
    folder = tmp_path / "runs" / "train_0"
    folder.mkdir(parents=True)
    (folder / "params.json").write_text('{"lr": 0.1, "depth": null, "seed": 99999999999999999999}')
    report = '{"accuracy": 0.5, "done": true, "training_iteration": 1, "timestamp": 1700000000, "config": {"lr": 0.1}}\n'
    (folder / "result.json").write_text(report + '{"accuracy": 0.6, "do')
    run = opened_one(tmp_path / "runs")
    assert "the last report of 1 trial is half-written and left out: train_0" in lost(run)
    assert "seed: 1 whole numbers, some beyond 64 bits, became text: 99999999999999999999" in lost(run)
    assert dict(run.session.trials[0].configuration) == {"lr": 0.1, "depth": None, "seed": "99999999999999999999"}
    assert (run.session.trials[0].outcome, run.session.trials[0].value) == (Outcome.COMPLETED, 0.5)
    (folder / "result.json").write_text('{"accuracy": 0.6, "do\n' + report)
    with pytest.raises(InvalidSettings, match="line 1 is no report of Ray Tune's: the file is damaged there"):
        opened_all(tmp_path / "runs")


def test_a_folder_of_keras_tuner_s() -> None:
    run = opened_one(DATA / "keras" / "nets")
    assert (run.run.metrics[0].name, run.run.metrics[0].direction) == ("val_accuracy", "maximize")
    space = run.session.space
    assert space["units"].domain == Integer(4, 16, step=4)
    assert space["units"].condition == Condition("kind", ("mlp",))
    assert space["rate"].domain == Float(1e-4, 1e-1, log=True)
    kept = [json.loads((DATA / "keras" / "nets" / f"trial_{n}" / "trial.json").read_text()) for n in range(5)]
    for trial, said in zip(run.session.trials, kept, strict=True):
        assert dict(trial.configuration) == said["hyperparameters"]["values"]
        assert (trial.outcome, trial.value) == (Outcome.COMPLETED, said["score"])
        assert trial.extra["val_loss"] == said["metrics"]["metrics"]["val_loss"]["observations"][0]["value"][0]
    assert opened_one(DATA / "keras" / "nets", metric="val_loss").run.metrics[0].direction == "minimize"
    assert "5 trials without times are dated by when the file was last changed: 0, 1, 2, ..." in lost(run)


# Tables


def test_a_table_of_optuna_s(tmp_path: Path) -> None:
    study = odd_study(None)
    study.trials_dataframe().to_csv(tmp_path / "t.csv", index=False)
    with pytest.raises(
        InvalidSettings, match="not known whether 'value' is better when it is larger or smaller; say --direction"
    ):
        opened_all(tmp_path / "t.csv")
    run = opened_one(tmp_path / "t.csv", direction="maximize")
    assert run.run.taken["params_größe"] == "hyperparameter größe"
    assert run.run.taken["value"] == "metric value"
    assert run.run.taken["user_attrs_memory"] == "further number memory"
    assert run.run.taken["state"] == "how the trial ended"
    trials = {trial.number: trial for trial in run.session.trials}
    assert set(trials) == {1, 2, 3, 4, 5, 6, 9}
    assert (trials[1].outcome, trials[1].value, trials[1].extra["memory"]) == (Outcome.COMPLETED, 0.5, 7)
    assert (trials[3].outcome, trials[3].why) == (Outcome.DIVERGED, "the value became -inf")
    assert (trials[5].outcome, trials[5].stop_by) == (Outcome.STOPPED, Stopper.RULE)
    assert "column 'user_attrs_folder' is left out: runs/ä" in " ".join(lost(run))
    assert "2 trials left out as not ended: 6, 7" in lost(run)


@pytest.mark.parametrize("ending", ["csv", "parquet"])
def test_a_table_of_mlflow_s(ending: str, tmp_path: Path) -> None:
    import pandas as pd

    frame = pd.DataFrame(
        {
            "run_id": ["a", "b"],
            "status": ["FINISHED", "KILLED"],
            "artifact_uri": ["file:///x", "file:///y"],
            "start_time": pd.to_datetime([1_700_000_000, 1_700_000_100], unit="s", utc=True),
            "end_time": pd.to_datetime([1_700_000_050, math.nan], unit="s", utc=True),
            "metrics.val_acc": [0.5, 0.75],
            "metrics.loss": [1.5, None],
            "params.lr": [0.1, 0.001],
            "params.kind": ["mlp", None],
            "tags.team": ["blue", "red"],
        }
    )
    path = tmp_path / f"runs.{ending}"
    frame.to_csv(path, index=False) if ending == "csv" else frame.to_parquet(path)
    run = opened_one(path)
    assert run.run.direction_words == "by its name, its direction by its name"
    assert (run.run.metrics[0].name, run.run.metrics[0].direction) == ("val_acc", "maximize")
    first, second = run.session.trials
    assert dict(first.configuration) == {"lr": 0.1, "has_kind": "yes", "kind": "mlp"}
    assert dict(second.configuration) == {"lr": 0.001, "has_kind": "no"}
    assert (first.claimed_at, first.finished_at, first.extra) == (1_700_000_000, 1_700_000_050, {"loss": 1.5})
    assert (second.outcome, second.stop_by, second.extra) == (Outcome.STOPPED, Stopper.RESEARCHER, {})
    assert run.run.taken["metrics.loss"] == "further metric loss"


def test_a_table_as_the_guide_of_w_and_b_has_people_write_it(tmp_path: Path) -> None:
    import pandas as pd

    summary = [{"loss": 0.5, "accuracy": 0.9, "_runtime": 12}, {"loss": math.nan, "accuracy": 0.1, "_runtime": 3}, {}]
    config = [
        {"lr": 0.1, "net": {"kind": "mlp", "sizes": [64, 32]}, "warm": None},
        {"lr": 0.2, "net": {"kind": "cnn", "sizes": [8]}},
    ]
    config.append({"lr": 0.3, "net": {"kind": "cnn", "sizes": [8]}})
    frame = pd.DataFrame({"summary": summary, "config": config, "name": ["calm-sea-1", "wild-wood-2", "late-3"]})
    frame.to_csv(tmp_path / "project.csv")
    with pytest.raises(InvalidSettings, match="say it with --metric NAME, one of loss, accuracy"):
        opened_all(tmp_path / "project.csv")
    run = opened_one(tmp_path / "project.csv", metric="loss")
    first, second, third = run.session.trials
    assert dict(first.configuration) == {"lr": 0.1, "net.kind": "mlp", "net.sizes": (64, 32)}
    assert (first.outcome, first.value, first.extra) == (Outcome.COMPLETED, 0.5, {"accuracy": 0.9})
    assert (second.outcome, second.why) == (Outcome.DIVERGED, "the value became nan")
    assert third.outcome is Outcome.INVALID
    assert run.run.taken["name"] == "name of the trial"
    assert run.run.taken["config.net.sizes"] == "hyperparameter net.sizes"


def test_a_plain_table_says_what_each_column_was_taken_for(tmp_path: Path) -> None:
    rows = ["lr;depth;optimizer;val_loss;train_loss;notes;when;comment"]
    rows += [f"{10.0**-n};{n};{'adam' if n % 2 else 'sgd'};{n / 10};{n / 20};it {n};2025-01-0{n};text {n}" for n in range(1, 6)]
    (tmp_path / "mine.csv").write_text("\n".join(rows) + "\n")
    run = opened_one(tmp_path / "mine.csv", parameters=("lr", "depth", "optimizer"))
    assert dict(run.run.taken) == {
        "lr": "hyperparameter lr",
        "depth": "hyperparameter depth",
        "optimizer": "hyperparameter optimizer",
        "val_loss": "metric val_loss",
        "train_loss": "further metric train_loss",
        "notes": "note",
        "when": "nothing: left out",
        "comment": "nothing: left out",
    }
    assert dict(run.run.domains) == {
        "lr": Float(1e-5, 0.1, log=True),
        "depth": Integer(1, 5),
        "optimizer": Choice(("adam", "sgd")),
    }
    assert [trial.explanation for trial in run.session.trials] == [f"it {n}" for n in range(1, 6)]
    assert "column 'when' is left out: 2025-01-01" in lost(run)
    asked = opened_one(tmp_path / "mine.csv", metric="depth", direction="maximize")
    assert (asked.run.metrics[0].name, asked.session.choice.trial_id) == ("depth", 5)  # type: ignore[union-attr]
    assert asked.run.taken["comment"] == "hyperparameter comment"
    with pytest.raises(InvalidSettings, match="has no column 'rate'; expected some of lr, depth"):
        opened_all(tmp_path / "mine.csv", parameters=("rate",))


def test_columns_of_text_are_numbers_or_truths_where_all_cells_are() -> None:
    assert spaces.typed_texts(["1", "", "3"]) == [1, None, 3]
    assert spaces.typed_texts(["1", "2.5", "1e-3"]) == [1.0, 2.5, 0.001]
    assert spaces.typed_texts(["True", "false", ""]) == [True, False, None]
    assert spaces.typed_texts(["1_000", "2"]) == ["1_000", "2"]
    assert spaces.typed_texts(["12", "x"]) == ["12", "x"]


def test_domains_of_what_was_tried() -> None:
    losses = Losses()
    rows: list[dict[str, Any]] = [
        {"a": 1, "b": 0.5, "c": None, "d": math.inf, "e": [1, 2], "f": 2**70, "g": 1},
        {"a": 5000, "b": 2, "c": "x", "d": 0.5, "e": [1, 2], "f": 1, "g": "one"},
    ]
    domains, placed = spaces.tried(rows, losses)
    assert domains == {
        "a": Integer(1, 5000, log=True),
        "b": Float(0.5, 2),
        "c": Choice((None, "x")),
        "d": Float(0.5, 0.5),
        "e": Choice(((1, 2),)),
        "f": Choice((str(2**70), "1")),
        "g": Choice((1, "one")),
    }
    assert placed[0] == {"a": 1, "b": 0.5, "c": None, "e": (1, 2), "f": str(2**70), "g": 1}
    assert [str(loss) for loss in losses.all] == [
        "d: 1 values that are no finite numbers count as none: inf",
        f"f: 2 whole numbers, some beyond 64 bits, became text: {2**70}, ...",
    ]


def test_dictionaries_of_python_are_read_and_nothing_is_run() -> None:
    assert table.literal("{'a': nan, 'b': [-1, (2,)], 'c': None}")["b"] == [-1, [2]]
    assert table.literal('{"a": true}') == {"a": True}
    for text in ("__import__('os')", "{'a': open('x')}", "{", "[x]"):
        with pytest.raises(ValueError):
            table.literal(text)


def test_a_metric_is_the_one_whose_name_everybody_means_in_one_way() -> None:
    chosen, words = metrics.chosen("it", ["lr", "val_loss", "loss"], Wanted())
    assert (chosen.name, chosen.direction, words) == ("val_loss", "minimize", "by its name, its direction by its name")
    assert metrics.chosen("it", ["neg_mean_squared_error"], Wanted())[0].direction == "maximize"
    with pytest.raises(InvalidSettings, match="--direction 'up': expected one of maximize, minimize"):
        metrics.chosen("it", ["x"], Wanted(direction="up"))
    with pytest.raises(InvalidSettings, match="has no metric 'z'; expected one of x, y"):
        metrics.chosen("it", ["x", "y"], Wanted(metric="z"))


# The command


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.setenv("EVENHAND_DATA", str(tmp_path / "data"))
    runner = CliRunner()
    return lambda *words: runner.invoke(main.app, ["open", *map(str, words)])


@pytest.mark.slow
def test_the_command_says_what_it_found_and_stores_it_when_asked(run: Any, tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'optuna.db'}"
    study_of(network, 8, study_name="first", storage=url)
    study_of(network, 8, study_name="second", storage=url)
    said = run(url, "--no-serve")
    assert said.exit_code == 0, said.output
    for words in (
        "a storage of Optuna's in SQLite, PostgreSQL or MySQL",
        "first: 8 trials (",
        "second: 8 trials (",
        "minimized (as",
    ):
        assert words in said.output
    assert "space       rate: 0.0001 to 1, by magnitude" in said.output
    assert "note        steps of reported values begin at 0" in said.output
    assert not (tmp_path / "data").exists(), "nothing is stored"
    brought = run(url, "--import", "--no-serve")
    assert brought.exit_code == 0, brought.output
    assert "Session 2: evenhand serve, then /sessions/2" in brought.output
    again = run(url, "--import", "--study", "second", "--name", "another", "--no-serve")
    assert again.exit_code == 0, again.output
    assert isinstance(run(url, "--import", "--no-serve").exception, EvenhandError)
    assert "with --study" in str(run(url, "--import", "--name", "x", "--no-serve").exception)


@pytest.mark.slow
def test_the_page_opens_in_a_browser_and_nothing_stays(browser: Browser, tmp_path: Path) -> None:
    place = sample("optuna-database", tmp_path)
    note, script, scratch = tmp_path / "address", tmp_path / "browse", tmp_path / "scratch"
    scratch.mkdir()
    script.write_text(f'#!/bin/sh\necho "$1" > {note}.new && mv {note}.new {note}\n')
    script.chmod(0o755)
    before = state_of(tmp_path)
    environment = os.environ | {"BROWSER": f"{script} %s", "EVENHAND_DATA": str(tmp_path / "data"), "TMPDIR": str(scratch)}
    command = [sys.executable, "-m", "evenhand", "open", str(place)]
    with subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True) as process:
        try:
            wait_for(note.exists, "the browser is started")
            with watched(browser) as desk:
                page = desk.page()
                page.goto(note.read_text().strip())
                page.get_by_role("button", name="Sign in").click()
                expect(page).to_have_url(f"{note.read_text().partition('/signin')[0]}/sessions/1")
                expect(page.get_by_role("heading", level=1)).to_be_visible()
                expect(page.locator("main")).to_contain_text("optuna")
        finally:
            process.send_signal(signal.SIGINT)
            said, _ = process.communicate(timeout=PATIENCE_SECONDS)
    assert "Nothing of it is kept, and the source stays as it is" in said
    assert list(scratch.iterdir()) == []
    note.unlink()
    assert state_of(tmp_path) == before


@pytest.mark.parametrize(
    ("to", "place"),
    [
        ("/sessions/1", "/sessions/1"),
        ("/studies/12", "/studies/12"),
        ("//elsewhere.org", "/"),
        ("https://elsewhere.org", "/"),
        ("/people", "/"),
    ],
)
def test_a_link_to_sign_in_leads_to_a_page_of_this_laboratory_only(to: str, place: str, tmp_path: Path) -> None:
    with toy_site(tmp_path) as site, httpx.Client(base_url=site.address, headers={"origin": site.address}) as client:
        path = signin_link(site.lab, "")
        shown = client.get(path, params={"to": to}).text
        assert ("elsewhere" in shown) is False
        assert (f"?to={place}" in shown) is (place != "/")
        answer = client.post(path, params={"to": to})
        assert (answer.status_code, answer.headers["location"]) == (303, place)


# The guide

TEXT = (Path(__file__).parent.parent / "docs" / "opening.md").read_text(encoding="utf-8")


def table_of(section: str) -> list[list[str]]:
    """The cells of a section's first table, without its head."""
    lines = TEXT.split(f"## {section}\n", 1)[1].split("\n## ")[0].splitlines()
    rows = [line.strip("|").split(" | ") for line in lines if line.startswith("|")]
    return rows[2:]


def test_the_guide_names_each_format_rule_and_option() -> None:
    assert [row[0].strip(" `") for row in table_of("Formats")] == list(formats.FORMATS)
    rules = {name for row in table_of("Columns of a table") for name in re.findall(r"`([^`]+)`", row[0])}
    for prefix, role in table.PREFIXES.items():
        assert prefix in rules, role
    for name in rules - table.PREFIXES.keys() - {"val_loss"}:
        assert name.lower() in table.NAMES, name
    assert f"more than {table.MOST_OPTIONS} different values" in TEXT
    assert spaces.LOG_RATIO == 1000
    assert "from a thousandfold on" in TEXT
    command = next(one for one in main.program().commands.values() if one.name == "open")
    options = {option for parameter in command.params for option in (*parameter.opts, *parameter.secondary_opts)}
    assert set(re.findall(r"--[a-z][a-z-]+", TEXT)) - {"--storage"} <= options


def test_the_commands_of_the_guide_are_those_that_there_are(run: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    commands = re.findall(r"^    evenhand open (.*)$", TEXT, flags=re.MULTILINE)
    assert len(commands) == 5
    monkeypatch.chdir(tmp_path)
    (file,) = re.findall(r"```csv\n(.*?)```", TEXT, flags=re.DOTALL)
    (words,) = re.findall(r"```text\n(.*?)```", TEXT, flags=re.DOTALL)
    (command,) = re.findall(r"`evenhand open (runs.csv --parameter .*?)` says", TEXT)
    (tmp_path / "runs.csv").write_text(file)
    said = run(*command.split())
    assert said.exit_code == 0, said.output
    assert said.output == words
    assert run(*next(words for words in commands if words.startswith("runs.csv")).split()).exit_code == 0
    shutil.copytree(DATA / "ray", tmp_path / "ray_results")
    brought = run(*next(words for words in commands if words.startswith("ray_results")).split(), "--no-serve")
    assert brought.exit_code == 0, brought.output
    assert "Session 1: evenhand serve, then /sessions/1" in brought.output
