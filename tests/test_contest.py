"""The contest of paper 003, end to end at a tiny scale: equal to direct computation, one look at eval, nothing lost when killed."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from evenhand import contest, scored
from evenhand.analysis.contest import TABLE_3, Contest, Entrant, Rates, difficulty, margins
from evenhand.analysis.surface import surface
from evenhand.contest import Terms
from evenhand.declaration import Budget, Study, Text
from evenhand.errors import DataError, InvalidSettings, Refused
from evenhand.inline import Trainer
from evenhand.lab import Lab
from evenhand.records import Outcome, Session
from evenhand.report import architectures, page, surfaces
from evenhand.report import contest as report
from evenhand.report.sheet import Setup
from evenhand.space import Value
from evenhand.tasks import Task, astuned, baselines, mlp, points
from evenhand.tasks.shapes import GENERATED, bayes_error

pytest.importorskip("torch")

SCALE, TRIALS = 0.002, 4
TERMS = Terms(sets=("10", "11", "12"), scale=SCALE, trials=TRIALS, method="random")


@dataclass(frozen=True)
class Played:
    """A contest that was played in this process, where, and its lab's database."""

    found: Contest
    url: str
    home: Path

    def of(self, name: str, number: str = "10") -> Entrant:
        """A row of Table 3."""
        return next(each for found in self.found.sets if found.number == number for each in found.entrants if each.name == name)


@pytest.fixture(scope="module")
def played(tmp_path_factory: pytest.TempPathFactory) -> Played:
    """The contest on data set #10, and the two without data."""
    home = tmp_path_factory.mktemp("contest")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("EVENHAND_DATA", str(home))
        url = f"sqlite:///{home / 'lab.sqlite'}"
        return Played(contest.run(url, TERMS, processes=1), url, home)


@pytest.fixture
def at_home(played: Played, monkeypatch: pytest.MonkeyPatch) -> Played:
    """It, with the data directory in which it was played."""
    monkeypatch.setenv("EVENHAND_DATA", str(played.home))
    return played


def task_of(dropout: bool, scale: float = SCALE) -> Task:
    return mlp.load({"data": "10", "scale": scale, "dropout": dropout})


def rates(errors: points.Errors) -> Rates:
    return Rates(errors.train, errors.dev, errors.eval)


@pytest.mark.parametrize(("name", "dropout"), [("MLP-M1", False), ("MLP-M2", True), ("MLP-A1", False), ("MLP-A2", True)])
def test_a_tuners_row_is_what_its_choice_gives_when_computed_directly(played: Played, name: str, dropout: bool) -> None:
    row, task = played.of(name), task_of(dropout)
    assert row.session is not None
    assert row.session.choice is not None
    assert row.session.choice.configuration is not None
    if name.startswith("MLP-M"):
        assert dict(row.session.choice.configuration) == dict(mlp.PUBLISHED[name].values)
        assert len(row.session.trials) == 1
    else:
        assert len(row.session.trials) == TRIALS
    predict = mlp.fitted(task, row.session.choice.configuration, row.session.tuning_seed)
    assert row.ours == rates(points.errors_of(mlp.data_of(task), predict))
    best = max(each.value for each in row.session.trials if each.value is not None)
    assert row.ours.dev == pytest.approx(100 * (1 - best), abs=1e-9)
    assert row.note == ""
    assert row.weights == mlp.weights(row.session.choice.configuration)
    assert row.published == TABLE_3["10"][name]


def test_baselines_and_limits_are_those_computed_directly(played: Played) -> None:
    data = points.locate("10", SCALE)
    for found in baselines.baselines(data):
        assert played.of(found.name).ours == rates(found.errors)
    assert played.of("BER").ours == rates(baselines.closed_loop(data).errors)
    true = played.of("true BER").ours
    assert true is not None
    assert true.eval == bayes_error("10", "eval").percent
    assert played.of("true BER").looks == 0


def test_the_table_has_the_rows_of_the_paper_in_its_order_and_says_where_data_is_generated(played: Played) -> None:
    rows = report.table_3(played.found).rows
    expected = [("#10", name) for name in [*TABLE_3["10"], "true BER"]] + [(f"#{n}", name) for n in ("11", "12") for name in TABLE_3[n]]
    assert [row[:2] for row in rows] == expected
    ours = played.of("MLP-M1").ours
    assert ours is not None
    row = next(row for row in rows if row[1] == "MLP-M1")
    assert row[3:] == (f"{ours.train:.2f}", f"{ours.dev:.2f}", f"{ours.eval:.2f}", "8.74", "38.52", "32.80", "generated", "–")
    assert all(row[3:6] == ("–", "–", "–") and row[-1] == "no data here" for row in rows if row[0] in ("#11", "#12"))


def test_a_set_without_its_data_says_what_to_do_and_has_no_number(played: Played) -> None:
    for number in ("11", "12"):
        found = next(each for each in played.found.sets if each.number == number)
        assert found.why.startswith("no data here: ")
        assert f"{number}=DIR" in found.why
        assert all(each.ours is None and each.session is None for each in found.entrants)


# One look


def test_eval_is_opened_once_for_each_contestant_and_never_again(at_home: Played, monkeypatch: pytest.MonkeyPatch) -> None:
    lab = Lab.connect(at_home.url)
    sessions = [each.session for each in at_home.found.sets[0].entrants if each.session is not None]
    assert len(sessions) == 4
    before = {each.id: lab.looks(each.id) for each in sessions}
    assert all([who for who, _ in looks] == [contest.WHO] for looks in before.values())
    for session in sessions:
        (_, looked_at), choice = before[session.id][0], session.choice
        assert choice is not None
        assert all(other.choice is not None and other.choice.at <= looked_at for other in sessions)  # after all have chosen

    def refuse(*_: object) -> Any:
        raise AssertionError("eval was opened again")

    real = points._kept

    def train_and_dev(name: str, split: Any, scale: float) -> Any:
        return refuse() if split == "eval" else real(name, split, scale)

    monkeypatch.setattr(points, "_kept", train_and_dev)
    monkeypatch.setattr(astuned, "parts_of", refuse)
    again = contest.run(at_home.url, TERMS, processes=1)
    assert report.table_3(again) == report.table_3(at_home.found)
    assert {each.id: lab.looks(each.id) for each in sessions} == before
    drawn = page.html(report.build(again, Setup()), "2026-11-21")
    assert drawn == page.html(report.build(at_home.found, Setup()), "2026-11-21")  # kept drawings included
    lab.close()


def test_a_kept_score_is_not_written_over(at_home: Played) -> None:
    lab = Lab.connect(at_home.url)
    session = at_home.of("MLP-M1").session
    assert session is not None
    path = contest._session_path(lab, session)
    kept = scored.read(path)
    assert kept is not None
    with pytest.raises(Refused, match="eval is looked at once"):
        scored.write(path, replace(kept, rates=Rates(0, 0, 0)))
    again = scored.read(path)
    assert again is not None
    assert again.rates == kept.rates
    assert not list(path.parent.glob("*.part"))
    lab.close()


def test_a_look_that_was_cut_off_is_repeated_and_logged(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EVENHAND_DATA", str(tmp_path))
    url, terms = f"sqlite:///{tmp_path / 'lab.sqlite'}", replace(TERMS, sets=("10",), trials=1)
    write, failed = scored.write, []

    def cut_off(path: Path, found: scored.Scored) -> None:
        if not failed and path.name.startswith("study-"):
            failed.append(path)
            raise OSError("the power went out")
        write(path, found)

    monkeypatch.setattr(scored, "write", cut_off)
    with pytest.raises(OSError, match="power"):
        contest.run(url, terms, processes=1)
    found = contest.run(url, terms, processes=1)
    assert sorted(each.looks for each in found.sets[0].entrants if each.session is not None) == [1, 1, 1, 2]
    assert ("looks at eval", "8, see “What it took”") in report.build(found, Setup()).facts


def test_a_damaged_score_is_refused(tmp_path: Path) -> None:
    (tmp_path / "x.json").write_text("{")
    with pytest.raises(DataError, match="is damaged"):
        scored.read(tmp_path / "x.json")
    assert scored.read(tmp_path / "none.json") is None
