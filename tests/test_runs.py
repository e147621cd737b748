"""Runs: the list of all sessions outside of studies, what is written beside one, and what is put away."""

import json
import re
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from benchmarks.made_runs import make
from evenhand.analysis.run_list import GroupHead, Wish, listing
from evenhand.analysis.run_rows import SPARK_POINTS, RunRow, run_row, spark
from evenhand.cli.main import program
from evenhand.errors import InvalidSettings, NotFound, Refused
from evenhand.lab.lab import Lab
from evenhand.lab.runs import DAY_SECONDS
from evenhand.model.run_notes import KEPT_DAYS, LONGEST_NOTE, MOST_TAGS, RunNotes
from evenhand.model.session import Session
from evenhand.settings import AGENT_SILENCE_SECONDS
from evenhand.store import events
from evenhand.store.engine import Store
from evenhand.web.access import Role
from evenhand.web.runs.page import WINDOW_ROWS, spark_lines
from tests.components import DATABASES
from tests.labs import Clock, database, make_lab, toy_study
from tests.web import Site, evaluated, toy_site, tuned_study


@pytest.fixture
def lab(tmp_path: Path) -> Iterator[Lab]:
    made, _ = make_lab(f"sqlite:///{tmp_path / 'lab.sqlite'}")
    yield made
    made.close()


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    with toy_site(tmp_path_factory.mktemp("runs")) as served:
        for number in range(3):
            make(served.lab, 5 + number, seed=number, name=f"search {number}", tuner=("tpe", "random")[number % 2])
        yield served


def clock_of(lab: Lab) -> Clock:
    assert isinstance(lab.clock, Clock)
    return lab.clock


def row_of(lab: Lab, session_id: int) -> RunRow:
    return next(row for row in lab.runs.all() if row.session_id == session_id)


# What a row says


def test_a_row_says_what_its_session_is(lab: Lab) -> None:
    session = make(lab, 30, seed=3, name="wide", tuner="tpe")
    row = row_of(lab, session.id)
    best = max((trial for trial in session.trials if trial.outcome == "completed"), key=lambda trial: trial.value or 0.0)
    assert (row.name, row.task, row.tuner, row.state) == ("wide", "churn.py:train", "tpe", "interrupted")
    assert (row.trials, row.planned, row.best, row.best_number) == (30, 30, best.value, best.number)
    assert row.best_values == dict(best.configuration)
    assert row.spark.bests[-1] == (1.0, best.value)
    assert row.fields["accuracy"] == row.fields["best"] == best.value
    assert row.fields["best.learning_rate"] == row.fields["learning_rate"] == best.configuration["learning_rate"]


def test_studies_have_their_own_door(lab: Lab) -> None:
    study = toy_study(lab)
    lab.sessions.open(study.id, tuner="random", method={"name": "random", "seed": 0})
    own = make(lab, 2)
    assert [row.session_id for row in lab.runs.all()] == [own.id]
    assert [declared.id for declared in lab.studies.declared()] == [study.id]


def test_the_state_follows_the_process(lab: Lab) -> None:
    session = lab.sessions.open(make(lab, 1).study_id, tuner="random", method={"name": "random"}, driver="python")
    assert row_of(lab, session.id).state == "waiting"
    lab.start(session.id)
    assert row_of(lab, session.id).state == "running"
    clock_of(lab).now += AGENT_SILENCE_SECONDS + 1
    assert row_of(lab, session.id).state == "interrupted"
    lab.sessions.leave(session.id)
    lab.sessions.end(session.id)
    assert row_of(lab, session.id).state == "finished"


def test_what_has_ended_is_read_once(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    session = make(lab, 4)
    lab.sessions.end(session.id)
    first = lab.runs.all()
    read: list[int] = []

    def counting(read_session: Session, notes: RunNotes, now: float) -> RunRow:
        read.append(read_session.id)
        return run_row(read_session, notes, now)

    monkeypatch.setattr("evenhand.lab.runs.run_row", counting)
    assert lab.runs.all() == first
    assert read == []
    lab.runs.write(session.id, name="other")
    assert [row.name for row in lab.runs.all()] == ["other"]
    assert read == [session.id]


@pytest.mark.parametrize("count", [0, 1, 2, SPARK_POINTS, SPARK_POINTS + 1, 5000])
def test_a_small_curve_ends_where_the_best_is(count: int) -> None:
    values = [float((number * 7919) % count) if number % 10 else None for number in range(count)]
    small = spark(values, maximize=True)
    valued = [value for value in values if value is not None]
    assert len(small.values) <= SPARK_POINTS
    assert len(small.bests) <= SPARK_POINTS + 1
    assert [best for _, best in small.bests] == sorted(best for _, best in small.bests)
    assert (small.bests[-1][1] if valued else None) == max(valued, default=None)


def test_its_lines_lie_within_the_drawing(lab: Lab) -> None:
    session = make(lab, 12)
    lines = spark_lines(row_of(lab, session.id))
    numbers = [float(number) for number in re.findall(r"[\d.]+", lines["line"])]
    assert all(0 <= number <= 110 for number in numbers)
    assert all(0 <= x <= 110 and 0 <= y <= 26 for x, y in lines["dots"])
    assert spark_lines(replace(row_of(lab, session.id), spark=spark([], True)))["line"] == ""


# What people write beside one


@pytest.mark.parametrize("url", DATABASES)
def test_a_name_tags_and_a_note_are_kept(url: str, tmp_path: Path) -> None:
    with database(url, tmp_path) as address:
        lab, _ = make_lab(address)
        session = make(lab, 2)
        lab.runs.write(session.id, name="  first   try ", tags=["paper", " class  7b", "paper", ""], note="\n# Why\n")
        lab.close()
        lab = Lab(Store(address))
        row = row_of(lab, session.id)
        assert (row.name, row.notes.tags, row.notes.note) == ("first try", ("paper", "class 7b"), "# Why")
        assert lab.sessions.called("first try") == lab.sessions.get(session.id)
        lab.runs.add_tags([session.id], ["draft", "paper"])
        lab.runs.write(session.id, name="")
        assert (row_of(lab, session.id).name, lab.runs.notes(session.id).tags) == (
            f"#{session.id}",
            ("paper", "class 7b", "draft"),
        )
        lab.close()


@pytest.mark.parametrize(
    ("typed", "error", "words"),
    [
        ({"name": "12"}, InvalidSettings, "name is '12', a number"),
        ({"name": "x" * 101}, InvalidSettings, "expected a text of 1 to 100 characters"),
        ({"name": "taken"}, Refused, "a session named 'taken' is there already"),
        ({"tags": [str(number) for number in range(MOST_TAGS + 1)]}, InvalidSettings, f"tags: {MOST_TAGS + 1}, expected at most"),
        ({"tags": ["x" * 61]}, InvalidSettings, "61 characters, expected at most 60"),
        ({"note": "x" * (LONGEST_NOTE + 1)}, InvalidSettings, f"note: {LONGEST_NOTE + 1} characters"),
    ],
)
def test_what_cannot_be_kept_changes_nothing(lab: Lab, typed: dict[str, Any], error: type[Exception], words: str) -> None:
    make(lab, 1, name="taken")
    session = make(lab, 1, seed=1, name="mine")
    before = (lab.sessions.get(session.id).name, lab.runs.notes(session.id))
    with pytest.raises(error) as caught:
        lab.runs.write(session.id, **{"name": "new", "tags": ["new"], "note": "new", **typed})
    assert words in str(caught.value)
    assert (lab.sessions.get(session.id).name, lab.runs.notes(session.id)) == before


def test_a_run_that_is_being_tuned_keeps_its_name(lab: Lab) -> None:
    session = lab.sessions.open(make(lab, 1).study_id, tuner="random", method={"name": "random"}, driver="python", name="now")
    with pytest.raises(Refused, match="now is being tuned now, by its name"):
        lab.runs.write(session.id, name="later")
    assert lab.runs.write(session.id, name="now", note="while it runs").note == "while it runs"


def test_a_study_s_session_takes_nothing(lab: Lab) -> None:
    session = lab.sessions.open(toy_study(lab).id, tuner="random", method={"name": "random", "seed": 0})
    for attempt in (
        lambda: lab.runs.write(session.id, name="x"),
        lambda: lab.runs.add_tags([session.id], ["x"]),
        lambda: lab.runs.archive([session.id]),
        lambda: lab.runs.delete([session.id]),
    ):
        with pytest.raises(Refused, match="belongs to a study"):
            attempt()
    with pytest.raises(NotFound):
        lab.runs.write(99, note="x")


# Archived, deleted, erased


def test_what_is_archived_is_out_of_the_list_and_comes_back(lab: Lab) -> None:
    session = make(lab, 2)
    lab.runs.archive([session.id])
    away = listing(lab.runs.all(), Wish())
    assert (away.count, away.archived) == (0, 1)
    assert [row.session_id for row in listing(lab.runs.all(), Wish(shelf="archived")).entries if isinstance(row, RunRow)] == [1]
    lab.runs.archive([session.id], archived=False)
    assert listing(lab.runs.all(), Wish()).count == 1


@pytest.mark.parametrize("url", DATABASES)
def test_what_is_deleted_is_erased_after_its_time_and_looks_stay(url: str, tmp_path: Path) -> None:
    with database(url, tmp_path) as address:
        lab, clock = make_lab(address)
        kept, gone = make(lab, 3, name="kept"), make(lab, 3, seed=1, name="gone")
        with lab.core.change() as tx:
            events.look(tx, gone.id, "person 1", clock.now)
        lab.runs.delete([kept.id, gone.id])
        clock.now += (KEPT_DAYS - 1) * DAY_SECONDS
        lab.runs.restore([kept.id])
        assert lab.runs.erase_due() == []
        clock.now += 2 * DAY_SECONDS
        lab.sweep()
        assert [row.session_id for row in lab.runs.all()] == [kept.id]
        erased = lab.sessions.get(gone.id)
        assert (len(erased.trials), erased.name) == (0, None)
        assert lab.evaluations.looks(gone.id) != []
        assert lab.evaluations.has_looked(gone.task.id, "person 1")
        assert make(lab, 1, seed=2, name="gone").name == "gone"
        lab.close()


def test_going_on_with_a_deleted_run_brings_it_back(lab: Lab) -> None:
    session = make(lab, 2)
    lab.runs.delete([session.id])
    lab.sessions.take_up(session.id, session.budget)
    assert lab.runs.notes(session.id).deleted_at is None
    clock_of(lab).now += (KEPT_DAYS + 1) * DAY_SECONDS
    assert lab.runs.erase_due() == []


def test_a_run_whose_rows_are_damaged_is_named(tmp_path: Path) -> None:
    with toy_site(tmp_path) as site:
        lab = site.lab
        whole, broken = make(lab, 2), make(lab, 2, seed=1)
        with lab.core.change() as tx:
            tx.execute(sa.text("update trial set configuration = '{' where session_id = :id").bindparams(id=broken.id))
            events.record(tx, lab.clock(), "noted", broken.id)
        rows, damaged = lab.runs.read()
        assert [row.session_id for row in rows] == [whole.id]
        assert list(damaged) == [broken.id]
        page = site.caller(Role.RESEARCHER).get("/").text
        assert f"damaged: session {broken.id}. A backup may have them whole." in page
        assert f'href="/sessions/{whole.id}"' in page


def test_what_runs_is_not_deleted(lab: Lab) -> None:
    session = lab.sessions.open(make(lab, 1).study_id, tuner="random", method={"name": "random"}, driver="python")
    with pytest.raises(Refused, match=f"#{session.id}: tuned or evaluated now; end it first"):
        lab.runs.delete([session.id])
    assert lab.runs.notes(session.id) == RunNotes()


# The list


def test_it_is_filtered_sorted_and_grouped(lab: Lab) -> None:
    for number, tuner in enumerate(("tpe", "random", "tpe")):
        make(lab, 10 * (number + 1), seed=number, tuner=tuner, name=f"run {number}")
    lab.runs.add_tags([1, 2], ["paper"])
    lab.runs.add_tags([2], ["draft"])
    rows = lab.runs.all()

    def names(**wish: Any) -> list[str]:
        return [entry.name if isinstance(entry, RunRow) else f"[{entry.title}]" for entry in listing(rows, Wish(**wish)).entries]

    assert names(typed="method:tpe", sort="name") == ["run 0", "run 2"]
    assert names(sort="-trials") == ["run 2", "run 1", "run 0"]
    assert names(sort="trials", typed="trials>10 tag:paper or run 2") == ["run 1", "run 2"]
    assert names(sort="name", group="tag") == ["[paper]", "run 0", "run 1", "[draft]", "run 1", "[without a tag]", "run 2"]
    assert names(sort="name", group="method") == ["[tpe]", "run 0", "run 2", "[random]", "run 1"]
    rates = {row.name: row.best_values["learning_rate"] for row in rows}
    assert names(sort="learning_rate") == sorted(rates, key=lambda name: rates[name])
    heads = [entry for entry in listing(rows, Wish(group="task")).entries if isinstance(entry, GroupHead)]
    assert [(head.title, head.words) for head in heads] == [("churn.py:train", "accuracy, higher is better · 3 runs · 60 trials")]


def test_rows_without_a_value_come_last_whichever_way_it_is_sorted(lab: Lab) -> None:
    make(lab, 3, name="valued")
    lab.sessions.open(1, tuner="random", method={"name": "random"}, driver="python", name="none yet")
    for sort in ("best", "-best", "momentum", "-momentum"):
        entries = listing(lab.runs.all(), Wish(sort=sort)).entries
        assert getattr(entries[-1], "name", "") == "none yet"


def test_a_filter_that_cannot_be_read_says_why_and_shows_all(lab: Lab) -> None:
    make(lab, 3)
    shown = listing(lab.runs.all(), Wish(typed="acuracy>0.9"))
    assert shown.count == shown.of == 1
    assert "nothing here is called 'acuracy'" in shown.problem


# The page


def test_the_page_shows_them_and_does_what_is_asked(site: Site) -> None:
    researcher = site.caller(Role.RESEARCHER)
    page = researcher.get("/").text
    assert all(f"search {number}" in page for number in range(3))
    assert 'href="/sessions/1"' in page
    assert "search 1" not in researcher.get("/?q=method:tpe").text
    bad = researcher.get("/?q=acuracy>1").text
    assert "nearest: accuracy" in bad
    assert "All runs are shown" in bad
    answer = researcher.post("/runs/act", {"what": "tag", "session": "1", "tags": "a, b", "back": "group=tag"})
    assert answer.headers["location"].startswith("/?group=tag&said=")
    assert site.lab.runs.notes(1).tags == ("a", "b")
    assert "Tagged 1 run." in researcher.get(answer.headers["location"]).text
    for what, shelf in (("archive", "archived"), ("put back", ""), ("delete", "deleted"), ("restore", "")):
        assert researcher.post("/runs/act", {"what": what, "session": "2"}).status_code == 303
        assert "search 1" in researcher.get(f"/?shelf={shelf}").text
    assert researcher.post("/runs/act", {"what": "archive"}).status_code == 409
    assert researcher.post("/runs/act", {"what": "tag", "session": "1", "tags": " "}).status_code == 400
    assert researcher.post("/runs/act", {"what": "burn", "session": "1"}).status_code == 400
    assert site.caller().get("/").status_code == 200
    assert "search 0" not in site.caller().get("/").text


def test_the_form_comes_back_with_what_was_typed(site: Site) -> None:
    researcher = site.caller(Role.RESEARCHER)
    wrong = researcher.post("/sessions/3/notes", {"name": "search 0", "tags": "kept tag", "note": "<b>kept note</b>"})
    assert wrong.status_code == 400
    assert "is there already" in wrong.text
    assert all(words in wrong.text for words in ("kept tag", "&lt;b&gt;kept note&lt;/b&gt;", 'value="search 0"'))
    assert researcher.post("/sessions/3/notes", {"name": "third", "tags": "x", "note": "why"}).status_code == 303
    assert 'value="third"' in researcher.get("/sessions/3/notes").text
    assert site.lab.sessions.get(3).name == "third"


def test_no_row_shows_a_test_score(site: Site) -> None:
    study, session, agent = tuned_study(site)
    evaluated(site, session.id, agent, 0.5, 0.987654)
    researcher = site.caller(Role.RESEARCHER)
    for path in ("/", "/runs/rows", "/?group=tag"):
        text = researcher.get(path).text
        assert "98.7" not in text
        assert "0.987" not in text
    assert study.title in researcher.get("/").text, "a study has one entry, its own door"


def test_rows_come_in_windows(tmp_path: Path) -> None:
    with toy_site(tmp_path) as many:
        for number in range(WINDOW_ROWS + 5):
            many.lab.sessions.open(
                make(many.lab, 1).study_id if not number else 1, tuner="random", method={"name": "random"}, driver="python",
                name=f"run {number}",
            )  # fmt: skip
        researcher = many.caller(Role.RESEARCHER)
        first = researcher.get("/runs/rows?sort=name")
        rest = researcher.get(f"/runs/rows?sort=name&offset={WINDOW_ROWS}")
        assert first.headers["x-evenhand-rows"] == rest.headers["x-evenhand-rows"] == str(WINDOW_ROWS + 6)
        ids = re.findall(r'data-run="(\d+)"', first.text + rest.text)
        assert len(ids) == len(set(ids)) == WINDOW_ROWS + 6
        page = researcher.get("/").text
        assert len(re.findall(r'data-run="', page)) == WINDOW_ROWS
        assert f"1 to {WINDOW_ROWS} of {WINDOW_ROWS + 6}" in page
        assert researcher.get("/runs/rows?count=101").status_code == 400
        assert 'data-run="' not in researcher.get("/runs/rows?offset=9999999").text


def test_the_stream_says_which_have_changed(site: Site) -> None:
    researcher = site.caller(Role.RESEARCHER)
    seen: list[dict[str, Any]] = []
    with researcher.http.stream("GET", "/runs/events") as answer:
        for line in answer.iter_lines():
            if line.startswith("data: ") and '"changed"' in line:
                seen.append(json.loads(line[6:]))
                if len(seen) == 2:
                    break
                site.lab.runs.add_tags([1], [f"tag {len(seen)}"])
    assert seen[0]["changed"] == []
    assert seen[1]["changed"] == [1]


# The command


def test_the_command_lists_them_and_says_what_it_cannot_read(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    url = f"sqlite:///{tmp_path / 'lab.sqlite'}"
    command("runs", "--db", url)
    assert "No run yet: evenhand tune" in capsys.readouterr().out
    lab = Lab(Store(url))
    for number in range(3):
        make(lab, 4 + number, seed=number, name=f"search {number}")
    lab.runs.write(1, tags=["paper"])
    lab.runs.archive([2])
    best = row_of(lab, 3).best
    lab.close()
    command("runs", "--db", url)
    listed = capsys.readouterr().out
    assert ("search 0" in listed, "search 1" in listed, "search 2" in listed) == (True, False, True)
    command("runs", "trials>4", "--json", "--db", url)
    rows = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [(row["session"], row["name"], row["trials"], row["accuracy"]) for row in rows] == [(3, "search 2", 6.0, best)]
    command("runs", "--archived", "--limit", "1", "--db", url)
    assert "search 1" in capsys.readouterr().out
    with pytest.raises(InvalidSettings, match="nearest: trials"):
        command("runs", "trails>4", "--db", url)


def command(*arguments: str) -> None:
    program()(list(arguments), standalone_mode=False)
