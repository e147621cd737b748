"""What a run is taken away as: its configuration in every format, its files, its report, and what a paper needs."""

import ast
import csv
import json
import re
import shlex
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import sqlalchemy as sa
from typer.testing import CliRunner

import evenhand
from benchmarks.made_runs import make
from evenhand import Configuration, Float, Run, Splits
from evenhand.cli.main import app
from evenhand.errors import NotFound, Refused
from evenhand.exchange import take_away
from evenhand.exchange.trial_files import MOST_FILES, file_called, files_of
from evenhand.lab.lab import Lab
from evenhand.model.choices import role_of, taken_trial
from evenhand.model.job import kept_place_of, place_of
from evenhand.model.person import TUNE_WHO
from evenhand.model.session import Session
from evenhand.report import run_records
from evenhand.report.latex_row import latex_row
from evenhand.settings import trials_dir
from evenhand.store import tables
from evenhand.web.access import Role
from tests.components import need
from tests.labs import make_lab
from tests.web import Site, furnish, toy_site


@pytest.fixture
def lab(tmp_path: Path) -> Iterator[Lab]:
    made, _ = make_lab(f"sqlite:///{tmp_path / 'lab.sqlite'}")
    yield made
    made.close()


def coins() -> Splits:
    rng = np.random.default_rng(0)
    return Splits.drawn(rng.normal(size=(100, 2)), rng.integers(0, 2, 100), validation=0.2, test=0.2)


@evenhand.task(space={"x": Float(0, 1)}, metric="accuracy", direction="maximize", max_epochs=1, data=coins)
def guess(configuration: Configuration, run: Run) -> None:
    run.report(epoch=1, accuracy=run.score(lambda rows: (rows[:, 0] > configuration["x"]).astype(int)))


# Which trial, and in which format


def test_the_chosen_trial_is_taken_else_the_best_else_the_one_that_is_named(lab: Lab) -> None:
    session = make(lab, 20, seed=3)
    best = max((trial for trial in session.trials if trial.outcome == "completed"), key=lambda trial: trial.value or 0.0)
    assert taken_trial(session) == best
    assert role_of(session, best) == "the best so far"
    other = next(trial for trial in session.trials if trial.outcome == "completed" and trial.number != best.number)
    ended = lab.sessions.end(session.id, other.number)
    assert taken_trial(ended).number == other.number
    assert (role_of(ended, ended.trials[other.number - 1]), role_of(ended, best)) == ("chosen", "the best so far")
    third = next(trial.number for trial in ended.trials if trial.number not in (best.number, other.number))
    assert role_of(ended, taken_trial(ended, third)) == "picked by its number"
    with pytest.raises(NotFound, match="has no trial 21; it has 20"):
        taken_trial(ended, 21)
    empty = lab.sessions.open(session.study_id, tuner="random", method={"name": "random"}, driver="python")
    with pytest.raises(Refused, match="no trial has a value"):
        taken_trial(empty)


def test_each_file_is_read_back_and_says_where_it_came_from(lab: Lab) -> None:
    session = make(lab, 12, seed=3, name="wide 'search'")
    trial = taken_trial(session)
    texts = {text.form: text for text in take_away.texts(session, trial)}
    values = dict(trial.configuration)
    readers: dict[str, Any] = {"json": json.loads, "toml": tomllib.loads, "python": ast.literal_eval}
    if find_spec("yaml"):
        readers["yaml"] = import_module("yaml").safe_load
    for form, read in readers.items():
        assert read(texts[form].text) == values
        assert read(texts[form].content) == values
    words = shlex.split(texts["args"].content, comments=True)
    assert words[words.index("--learning_rate") + 1] == str(values["learning_rate"])
    for form in ("toml", "yaml", "python", "args"):
        assert f"# trial {trial.number} of run wide 'search' (session 1), the best so far\n" in texts[form].content
        assert f"# accuracy {trial.value!r} on validation" in texts[form].content
    assert texts["json"].name == f"wide-search-trial-{trial.number}.json"


def test_no_name_can_end_a_comment_or_leave_a_folder(lab: Lab) -> None:
    session = make(lab, 3)
    odd = Session(**{name: getattr(session, name) for name in session.__dataclass_fields__} | {"name": "../a\nb\x85\u2028c = 1"})
    trial = taken_trial(odd)
    for line in take_away.origin(odd, trial):
        assert line.isprintable()
    assert take_away.run_file_name(odd, ".toml") == "a-b-c-1.toml"
    for text in take_away.texts(odd, trial):
        if text.form == "toml":
            assert tomllib.loads(text.content) == dict(trial.configuration)


def test_files_of_a_trial_are_listed_without_links(lab: Lab, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EVENHAND_DATA", str(tmp_path / "data"))
    session = make(lab, 3)
    trial = session.trials[1]
    assert files_of(session, trial) == ()
    place = place_of(session, 2, trial.attempt)
    folder = trials_dir() / place
    (folder / "deep").mkdir(parents=True)
    (folder / "model.pt").write_bytes(b"1234")
    (folder / "deep" / "log.txt").write_bytes(b"12")
    secret = tmp_path / "secret"
    secret.write_text("no")
    (folder / "link").symlink_to(secret)
    kept = trials_dir() / kept_place_of(place) / "net.0"
    kept.mkdir(parents=True)
    (kept / "object.pickle").write_bytes(b"1")
    assert [(file.name, file.size_bytes) for file in files_of(session, trial)] == [
        ("model.pt", 4),
        ("deep/log.txt", 2),
        ("kept/net.0/object.pickle", 1),
    ]
    assert file_called(session, trial, "deep/log.txt").path.read_bytes() == b"12"
    for name in ("link", "../secret", "/etc/passwd", "deep", "deep/../model.pt"):
        with pytest.raises(NotFound, match="has no file"):
            file_called(session, trial, name)
    for number in range(MOST_FILES + 5):
        (folder / f"{number}.txt").touch()
    assert len(files_of(session, trial)) == MOST_FILES


# A row for a paper


@pytest.mark.slow
def test_a_row_has_the_test_score_only_where_a_look_is_logged(tmp_path: Path) -> None:
    db = f"sqlite:///{tmp_path / 'lab.sqlite'}"
    result = evenhand.tune(guess, db=db, trials=3, progress=False)
    lab = Lab.connect(db)
    chosen = taken_trial(result.session)
    unseen = latex_row(run_records.read(lab, result.session, ("person 100000001",)), chosen)
    seen = latex_row(run_records.read(lab, result.session, (TUNE_WHO,)), chosen)
    other = next(trial for trial in result.trials if trial.number != chosen.number)
    of_other = latex_row(run_records.read(lab, result.session, (TUNE_WHO,)), other)
    lab.close()
    assert "accuracy (validation)" in unseen
    assert unseen.splitlines()[-3].endswith(r"& 1 \\")
    assert "accuracy (test)" in seen
    assert r" $\pm$ 0.0\,\% & 10 \\" in seen  # ten seeds of a guess give one score
    assert "accuracy (validation)" in of_other
    assert r"test\_take\_away.py:guess & random & 3 & " in seen
    assert seen.count("{tabular}") == 2


# In a terminal


@dataclass
class Terminal:
    """Commands on one laboratory."""

    db: str

    def __call__(self, *words: str, expected: int = 0) -> str:
        done = CliRunner().invoke(app, [*words, "--db", self.db])
        assert done.exit_code == expected, done.output
        return done.output if expected == 0 else str(done.exception)


@pytest.fixture(scope="module")
def terminal(tmp_path_factory: pytest.TempPathFactory) -> Terminal:
    db = f"sqlite:///{tmp_path_factory.mktemp('commands') / 'lab.sqlite'}"
    lab = Lab.connect(db)
    make(lab, 12, seed=1, name="wide", tuner="tpe")
    make(lab, 8, seed=2, name="narrow")
    lab.close()
    return Terminal(db)


def test_show_says_where_a_run_stands(terminal: Terminal) -> None:
    said = terminal("show", "wide")
    facts = json.loads(terminal("show", "1", "--json"))
    assert "Run wide (session 1): tpe on churn.py:train, interrupted" in said
    assert f"(trial {facts['best']['trial']})" in said
    assert facts["trials"] == facts["planned"] == 12
    assert (facts["state"], facts["metric"], facts["test"], facts["chosen"]) == ("interrupted", "accuracy", None, None)
    assert [trial["trial"] for trial in facts["recent"]] == [8, 9, 10, 11, 12]
    assert facts["how_to_go_on"] in said.replace("\n", " ")
    assert "the best of" in facts["certainty"]
    assert "no session is named 'nothing'" in terminal("show", "nothing", expected=1)


def test_runs_are_compared(terminal: Terminal) -> None:
    said = terminal("compare-runs", "wide", "2")
    facts = json.loads(terminal("compare-runs", "wide", "2", "--json"))
    assert [column["name"] for column in facts["columns"]] == ["wide", "narrow"]
    assert [column["trials"] for column in facts["columns"]] == [12, 8]
    assert facts["common_trials"] == 8
    shown = {row["label"] for row in facts["rows"] if row["differs"]}
    assert all(label in said for label in shown)
    same = next((row["label"] for row in facts["rows"] if not row["differs"]), None)
    assert same is None or same not in said
    assert "Unequal effort in trials: wide 12 trials, narrow 8 trials." in said
    assert "got 1, expected 2 to 20 to compare" in terminal("compare-runs", "wide", expected=1)


def test_trials_are_exported(terminal: Terminal, tmp_path: Path) -> None:
    text = terminal("export", "wide")
    assert text.startswith("number,optimizer,learning_rate")
    assert len(text.splitlines()) == 13
    terminal("export", "wide", "--out", str(tmp_path / "trials.csv"))
    assert (tmp_path / "trials.csv").read_text(encoding="utf-8").splitlines() == text.splitlines()
    for words, why in (
        (("--out", str(tmp_path / "trials.xlsx")), "expected a file that ends in .csv or .parquet"),
        (("--format", "parquet"), "--format parquet without --out"),
        (("--format", "optuna"), "--format optuna without --out"),
        (("--name", "mine"), "--name 'mine' is of --format optuna"),
    ):
        assert why in terminal("export", "wide", *words, expected=1)


@pytest.mark.slow
def test_an_export_says_before_which_trials_the_test_data_was_seen(tmp_path: Path) -> None:
    import optuna

    commands = Terminal(f"sqlite:///{tmp_path / 'lab.sqlite'}")
    evenhand.tune(guess, db=commands.db, trials=3, name="first", progress=False)  # it ends in its scores, which are looked at
    assert "test_seen_before" not in commands("export", "first")
    result = evenhand.tune(guess, db=commands.db, trials=5, name="first", progress=False)
    assert result.seen_before is not None
    assert (result.seen_before.trials, result.seen_before.of) == (2, 5)
    expected = ["false", "false", "false", "true", "true"]
    result.export(tmp_path / "trials.csv")
    for text in (commands("export", "first"), (tmp_path / "trials.csv").read_text(encoding="utf-8")):
        rows = list(csv.DictReader(line for line in text.splitlines() if not line.startswith("Scores on")))
        assert list(rows[0])[-1] == "test_seen_before"
        assert [row["test_seen_before"] for row in rows] == expected
    assert "Scores on this test data were seen before 2 of 5 trials" in commands("export", "first")
    storage = f"sqlite:///{tmp_path / 'optuna.sqlite'}"
    commands("export", "first", "--format", "optuna", "--out", storage, "--name", "mine")
    study = optuna.load_study(study_name="mine", storage=storage)
    assert study.user_attrs["test_seen_before"] == result.seen_before.words
    assert [trial.user_attrs.get("test_seen_before", False) for trial in study.trials] == [False] * 3 + [True] * 2
    again = Terminal(f"sqlite:///{tmp_path / 'again.sqlite'}")
    said = again("open", str(tmp_path / "trials.csv"), "--direction", "maximize", "--import", "--no-serve")
    assert "column 'test_seen_before' is left out" in said.replace("\n", " ")
    need("report")
    from pyarrow import parquet

    commands("export", "first", "--out", str(tmp_path / "trials.parquet"))
    table = parquet.read_table(tmp_path / "trials.parquet")
    assert table.column("test_seen_before").to_pylist() == [cell == "true" for cell in expected]
    assert table.schema.metadata[b"evenhand.test_seen_before"].decode() == result.seen_before.words


@pytest.mark.slow
@pytest.mark.parametrize("ending", ["csv", "parquet"])
def test_what_was_exported_is_opened_with_the_same_hyperparameters_and_values(
    ending: str, terminal: Terminal, tmp_path: Path
) -> None:
    if ending == "parquet":
        need("report")
    file = tmp_path / f"trials.{ending}"
    terminal("export", "wide", "--out", str(file))
    again = Terminal(f"sqlite:///{tmp_path / 'again.sqlite'}")
    again("open", str(file), "--direction", "maximize", "--import", "--no-serve")
    lab, before = Lab.connect(again.db), Lab.connect(terminal.db)
    known, brought = before.sessions.get(1), lab.sessions.get(1)
    lab.close()
    before.close()
    names = {name for trial in known.trials for name in trial.configuration}
    assert {name for name in brought.space.names if not name.startswith("has_")} == names  # has_x: what nothing explains
    for was, now in zip(known.trials, brought.trials, strict=True):
        assert now.value == was.value
        assert {name: value for name, value in now.configuration.items() if name in names} == dict(was.configuration)
    said = json.loads(again("methods-text", "1", "--json"))
    assert (said["repeats_exactly"], said["command"], said["seeds"]["root"]) == (False, None, None)
    assert "its trials were brought in from table" in said["why_not"][0]


@pytest.mark.slow
def test_a_run_becomes_a_study_of_optuna_and_a_report(terminal: Terminal, tmp_path: Path) -> None:
    import optuna

    storage = f"sqlite:///{tmp_path / 'optuna.sqlite'}"
    assert "12 trials" in terminal("export", "wide", "--format", "optuna", "--out", storage, "--name", "mine")
    assert len(optuna.load_study(study_name="mine", storage=storage).trials) == 12
    need("report")
    assert "items" in terminal("report", "wide", "--out", str(tmp_path / "run.html"))
    assert "<svg" in (tmp_path / "run.html").read_text(encoding="utf-8")


def test_what_a_paper_needs_is_printed(terminal: Terminal) -> None:
    text = terminal("methods-text", "wide")
    assert "We tuned 15 hyperparameters" in text
    assert "@inproceedings{bergstra2011tpe," in text
    assert json.loads(terminal("methods-text", "wide", "--json"))["run"]["name"] == "wide"
    assert terminal("methods-text", "wide", "--bibtex").startswith("@inproceedings{bergstra2011tpe,")
    assert r"\cite{" in terminal("methods-text", "wide", "--latex")
    assert "got several of" in terminal("methods-text", "wide", "--latex", "--json", expected=1)


def test_the_best_of_another_trial_is_printed(terminal: Terminal) -> None:
    lab = Lab.connect(terminal.db)
    configuration = dict(lab.sessions.get(1).trials[2].configuration)
    lab.close()
    assert json.loads(terminal("best", "wide", "--trial", "3")) == configuration


@pytest.mark.slow
def test_commands_show_a_test_score_only_after_a_look(tmp_path: Path) -> None:
    commands = Terminal(f"sqlite:///{tmp_path / 'lab.sqlite'}")
    evenhand.tune(guess, db=commands.db, trials=3, progress=False)
    scored = evenhand.tune(guess, db=commands.db, trials=3, seed=1, progress=False).evaluation
    assert scored is not None
    seen = json.loads(commands("show", "2", "--json"))
    assert seen["test"] == {"mean": scored.mean, "half_width": 0.0, "seeds": 10}
    engine = sa.create_engine(commands.db)
    with engine.begin() as connection:
        connection.execute(sa.delete(tables.look))
    engine.dispose()
    unseen = json.loads(commands("show", "2", "--json"))
    assert (unseen["test"], unseen["seeds_evaluated"], unseen["looks"]) == (None, 10, 0)
    assert "10 of 10 seeds scored; its page shows the score" in commands("show", "2")
    compared = json.loads(commands("compare-runs", "1", "2", "--json"))
    assert [column["test"] for column in compared["columns"]] == [None, None]
    assert "on test data over" not in commands("methods-text", "2")
    lab = Lab.connect(commands.db)
    assert lab.evaluations.looks(2) == []  # none of these commands is a look
    lab.close()


# The page


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    folder = tmp_path_factory.mktemp("take_away")
    with toy_site(folder) as served:
        furnish(served)  # a study and a class, whose sessions are nobody's own
        run = make(served.lab, 9, seed=1, name="wide")
        served.lab.sessions.end(run.id)
        make(served.lab, 1, seed=2)
        yield served


def run_of(site: Site, name: str = "wide") -> Session:
    known = site.lab.sessions.called(name)
    assert known is not None
    return known


def test_the_page_offers_each_format_and_the_chosen_trial(site: Site) -> None:
    run = run_of(site)
    chosen = run.chosen_trial
    assert chosen is not None
    page = site.caller(Role.RESEARCHER).get(f"/sessions/{run.id}/take-away")
    assert page.status_code == 200
    assert f"<b>Trial {chosen.number}</b>, chosen" in page.text
    for form in ("json", "toml", "yaml", "python", "args"):
        assert f'id="taken-{form}"' in page.text
        assert f'href="/sessions/{run.id}/take-away/{form}?trial={chosen.number}"' in page.text
    assert " style=" not in page.text
    assert "<style" not in page.text  # what notebooks show is in no page


def test_what_is_downloaded_is_what_the_page_shows(site: Site) -> None:
    run, caller = run_of(site), site.caller(Role.RESEARCHER)
    other = next(trial for trial in run.trials if trial != run.chosen_trial)
    answer = caller.get(f"/sessions/{run.id}/take-away/toml?trial={other.number}")
    assert answer.headers["content-disposition"] == f'attachment; filename="wide-trial-{other.number}.toml"'
    assert tomllib.loads(answer.text) == dict(other.configuration)
    facts = caller.get(f"/sessions/{run.id}/take-away/methods.json").json()
    assert facts["run"]["session"] == run.id
    for part in ("latex", "methods.txt", "methods.tex", "methods.bib", "json", "yaml", "python", "args"):
        answer = caller.get(f"/sessions/{run.id}/take-away/{part}")
        assert answer.status_code == 200, part
        assert answer.headers["content-disposition"].startswith("attachment; ")
    assert caller.get(f"/sessions/{run.id}/take-away/exe").status_code == 404


def test_an_address_that_names_no_trial_is_refused_in_words(site: Site) -> None:
    run, caller = run_of(site), site.caller(Role.RESEARCHER)
    assert caller.get(f"/sessions/{run.id}/take-away?trial=").status_code == 200
    missing = caller.get(f"/sessions/{run.id}/take-away?trial=99")
    assert (missing.status_code, "has no trial 99; it has 9" in missing.text) == (404, True)
    odd = caller.get(f"/sessions/{run.id}/take-away?trial=1e3")
    assert odd.status_code == 400
    assert "expected a trial" in odd.text


def test_a_run_without_a_value_says_so(site: Site) -> None:
    study = run_of(site).study_id
    empty = site.lab.sessions.open(study, tuner="random", method={"name": "random"}, driver="python")
    page = site.caller(Role.RESEARCHER).get(f"/sessions/{empty.id}/take-away")
    assert page.status_code == 200
    assert "no trial has a value" in page.text
    assert 'id="taken-json"' not in page.text


def test_a_file_of_a_trial_is_sent_as_it_is(site: Site, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EVENHAND_DATA", str(tmp_path))
    run, caller = run_of(site), site.caller(Role.RESEARCHER)
    chosen = run.chosen_trial
    assert chosen is not None
    folder = trials_dir() / place_of(run, chosen.number, chosen.attempt)
    folder.mkdir(parents=True)
    (folder / "odd <b>name.bin").write_bytes(b"\x00\x01")
    page = caller.get(f"/sessions/{run.id}/take-away").text
    assert "odd &lt;b&gt;name.bin" in page
    link = re.search(r'href="([^"]+/take-away/file[^"]+)"', page)
    assert link is not None
    answer = caller.get(link[1].replace("&amp;", "&"))
    assert (answer.status_code, answer.content) == (200, b"\x00\x01")
    assert answer.headers["content-type"] == "application/octet-stream"
    assert answer.headers["content-disposition"].startswith("attachment")
    assert caller.get(f"/sessions/{run.id}/take-away/file?trial={chosen.number}&name=../../lab.sqlite").status_code == 404


@pytest.mark.slow
def test_the_report_is_one_page_under_its_own_policy(site: Site) -> None:
    need("report")
    run, caller = run_of(site), site.caller(Role.RESEARCHER)
    shown = caller.get(f"/sessions/{run.id}/take-away/report")
    assert "Back to what can be taken away" in shown.text
    assert "unsafe" not in shown.headers["content-security-policy"]
    file = caller.get(f"/sessions/{run.id}/take-away/report?download=yes")
    assert file.headers["content-disposition"] == 'attachment; filename="wide-report.html"'
    assert "Back to" not in file.text


def test_nothing_of_a_study_is_taken_away(site: Site) -> None:
    caller = site.caller(Role.RESEARCHER)
    for session in site.lab.sessions.of_study(1):
        for part in ("", "/report", "/file?name=x", "/json", "/latex", "/methods.json"):
            answer = caller.get(f"/sessions/{session.id}/take-away{part}")
            assert answer.status_code == 409
            assert "belongs to a study" in answer.text


@pytest.mark.slow
def test_no_test_score_is_in_it_before_this_persons_look(tmp_path: Path) -> None:
    with toy_site(tmp_path) as site:
        db = site.lab.core.store.url
        result = evenhand.tune(guess, db=db, trials=3, progress=False)
        mean = result.evaluation.mean if result.evaluation else None
        assert mean is not None
        caller = site.caller(Role.RESEARCHER)

        def texts() -> dict[str, str]:
            parts = ("", "/latex", "/methods.txt", "/methods.json", "/toml", "/yaml", "/report")
            return {part: caller.get(f"/sessions/{result.session_id}/take-away{part}").text for part in parts}

        for part, text in texts().items():  # that `evenhand.tune` looked is no look of hers
            assert not re.search(r"on test data over n|accuracy \(test\)| on test, (10|mean)|The choice on test data", text), part
        site.lab.evaluations.reveal(result.session_id, caller.identity.who)
        after = texts()
        assert "accuracy (test)" in after["/latex"]
        assert "on test data over n = 10 seeds" in after["/methods.txt"]
        assert f"# accuracy {mean!r} on test, mean of n = 10 seeds" in after["/toml"]
        assert "on test, 10 seeds" in after[""]
        assert "The choice on test data" in after["/report"]
