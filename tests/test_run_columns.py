"""A run's trials as columns: their numbers on both databases, beside the whole session's, and how a browser keeps them."""

import math
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from benchmarks.made_runs import make
from evenhand.analysis import run_columns
from evenhand.errors import NotFound
from evenhand.lab.lab import Lab
from evenhand.model import rules
from evenhand.model.condition import Condition
from evenhand.model.configuration import Configuration
from evenhand.model.domain import Choice, Float, Integer
from evenhand.model.hyperparameter import Hyperparameter
from evenhand.model.session import Session
from evenhand.model.space import Space
from evenhand.model.study import Budget
from evenhand.model.task import TaskRecord, TaskSpec
from evenhand.model.trial import Outcome, Stopper, Trial
from evenhand.store import trial_chunks
from evenhand.web.access import Role
from tests.columns import unpacked
from tests.components import DATABASES
from tests.labs import SPACE, claim, database, epoch, make_lab
from tests.web import Site, evaluated, toy_site, train, tuned_study

LARGE = 2**53
WIDE = Space(
    [
        Hyperparameter("rate", Float(1e-4, 1, log=True, or_zero=True), 0.01),
        Hyperparameter("kind", Choice((1, "1", True, 1.0, [1, 2], None)), 1),
        Hyperparameter("seed", Integer(LARGE + 1, LARGE + 9), LARGE + 1),
        Hyperparameter("many", Integer(1, 2**62, log=True), 1),
        Hyperparameter("beta", Float(0, 0.9), 0.5, condition=Condition("kind", (1,))),
    ]
)


@pytest.fixture(params=DATABASES)
def lab(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Lab]:
    with database(request.param, tmp_path) as url:
        made, _ = make_lab(url)
        yield made
        made.close()


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    with toy_site(tmp_path_factory.mktemp("columns")) as served:
        yield served


def session_of(space: Space, *, direction: str = "maximize", method: dict[str, object] | None = None) -> Session:
    record = TaskRecord(TaskSpec("toy"), "version 1", space, "accuracy", direction, 10)  # type: ignore[arg-type] # one of two
    return Session(1, 1, record, "method", "random", Budget(trials=9), 0, 1.0, method=method or {})


def trial_of(
    number: int, value: float | None, outcome: Outcome | None = Outcome.COMPLETED, proposer: str = "random", **values: object
) -> Trial:
    stop_by = Stopper.TUNER if outcome is Outcome.STOPPED else None
    configuration = Configuration({"rate": 0.1, "kind": "1", "seed": LARGE + 1, "many": 1, **values})
    return Trial(
        number, 1, number, configuration, proposer, 1.0, 5, outcome=outcome, value=value, stop_by=stop_by, claimed_at=2.0
    )


def test_numbers_options_and_what_is_inactive_have_their_places() -> None:
    trials = [
        trial_of(1, 0.3, kind=1, beta=0.25),
        trial_of(2, 0.5, kind=True, rate=0.0),
        trial_of(3, 0.4, kind=(1, 2), seed=LARGE + 3, many=2**60 + 1),
        trial_of(4, 0.2, kind=None),
    ]
    session = session_of(WIDE)
    axes = {axis.name: axis for axis in run_columns.axes(session)}
    columns = {column.name: column for column in run_columns.chunk(session, trials).columns}
    assert list(columns["kind"].places) == [0, 2, 4, 5]  # 1, True and (1, 2) are three of six
    assert axes["kind"].options == ("1", "'1'", "True", "1.0", "(1, 2)", "None")
    assert list(columns["rate"].places) == pytest.approx([0.1, 1e-5, 0.1, 0.1])
    assert axes["rate"].zero == pytest.approx(1e-5)
    assert columns["beta"].places[0] == 0.25
    assert all(math.isnan(place) for place in columns["beta"].places[1:])
    assert axes["beta"].when
    assert (axes["rate"].default, axes["beta"].low, axes["beta"].high) == (0.01, 0, 0.9)


def test_whole_numbers_beyond_what_a_real_one_holds_are_told_apart() -> None:
    trials = [trial_of(1, 0.3, seed=LARGE + 1), trial_of(2, 0.4, seed=LARGE + 2, many=2**60 + 1)]
    axes = {axis.name: axis for axis in run_columns.axes(session_of(WIDE))}
    columns = {column.name: column for column in run_columns.chunk(session_of(WIDE), trials).columns}
    assert (axes["seed"].base, axes["seed"].low, axes["seed"].high) == (str(LARGE + 1), 0, 8)
    assert list(columns["seed"].places) == [0, 1]  # as real numbers both would be one
    assert columns["seed"].exact == {0: str(LARGE + 1), 1: str(LARGE + 2)}
    assert (axes["many"].base, axes["many"].scale) == ("0", "log")
    assert columns["many"].exact == {1: str(2**60 + 1)}


def test_the_best_so_far_passes_over_what_cannot_be_chosen() -> None:
    trials = [
        trial_of(1, None, Outcome.INVALID),
        trial_of(2, 0.4),
        trial_of(3, 0.9, Outcome.DIVERGED),
        trial_of(4, 0.6, Outcome.STOPPED),
        replace(trial_of(5, 0.8), veto="Olga: slow"),
        trial_of(6, 0.7, None, proposer="person 1"),
    ]
    chunk = run_columns.chunk(session_of(WIDE), trials)
    assert np.isnan(chunk.values).tolist() == [True, False, False, False, False, False]
    assert np.nan_to_num(chunk.bests, nan=-1).tolist() == [-1, 0.4, 0.4, 0.6, 0.6, 0.6]
    words = [chunk.status_words[place] for place in chunk.statuses]
    assert words == [
        ("invalid", "invalid"), ("completed", "completed"), ("diverged", "diverged"), ("stopped", "stopped early"),
        ("completed", "completed"), ("training", "training"),
    ]  # fmt: skip
    assert chunk.by_person.tolist() == [0, 0, 0, 0, 0, 1]
    assert chunk.best == run_columns.Best(4, (-0.6,))
    assert run_columns.chunk(session_of(WIDE, direction="minimize"), trials).best == run_columns.Best(2, (0.4,))
    assert run_columns.chunk(session_of(WIDE), []).best is None


def test_of_equals_the_best_is_the_one_with_less_of_what_else_is_wanted() -> None:
    session = session_of(WIDE, method={"name": "random", "objectives": ["accuracy:max", "size:min"]})
    trials = [replace(trial_of(number, 0.5), extra={"size": size}) for number, size in ((1, 3.0), (2, 1.0), (3, 2.0))]
    session = replace(session, trials=(*trials, trial_of(4, 0.4)))
    best = rules.best_trial(session)
    assert best is not None
    assert run_columns.chunk(session, list(session.trials)).best == run_columns.Best(best.number, (-0.5, 1.0))
    assert best.number == 2
    assert run_columns.chunk(session, [trial_of(4, 0.4)]).best == run_columns.Best(4, (-0.4, None))


@pytest.mark.slow
def test_chunks_say_what_the_whole_session_says(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(trial_chunks, "CHUNK_TRIALS", 40)
    made = make(lab, 90, seed=3)
    columns = lab.columns.of(made.id)
    assert [(chunk.place, chunk.trials, chunk.has_ended) for chunk in columns.chunks] == [
        (0, 40, True),
        (1, 40, True),
        (2, 10, True),
    ]
    assert columns.session == replace(made, trials=columns.session.trials)
    assert len(columns.session.trials) == 0
    chunks = [lab.columns.numbers(lab.columns.stamp(made.id, place)[0], place) for place in range(3)]
    whole = run_columns.chunk(made, list(made.trials))
    for name in ("numbers", "values", "by_person"):
        together = np.concatenate([getattr(chunk, name) for chunk in chunks])
        np.testing.assert_array_equal(together, getattr(whole, name), err_msg=name)
    for at, column in enumerate(whole.columns):
        np.testing.assert_array_equal(np.concatenate([chunk.columns[at].places for chunk in chunks]), column.places)
    assert max(np.nanmax(chunk.bests) for chunk in chunks) == np.nanmax(whole.bests)
    with pytest.raises(NotFound, match="none of the trials 121 to 160"):
        lab.columns.stamp(made.id, 3)


def test_a_stamp_changes_as_soon_as_a_chunk_does(site: Site) -> None:
    _, session, agent = tuned_study(site)

    def stamp() -> str:
        return site.lab.columns.of(session.id).chunks[0].stamp

    first = stamp()
    assert stamp() == first
    train(site, session.id, agent, 0.5)
    second = stamp()
    assert len({first, second}) == 2
    assert site.lab.columns.of(session.id).chosen is None
    evaluated(site, session.id, agent, 0.5, 0.6)
    assert site.lab.columns.of(session.id).chosen == 2
    assert stamp() == second


@pytest.mark.slow
def test_a_chunk_that_has_ended_is_fetched_once_and_a_studys_is_not_kept(site: Site) -> None:
    researcher = site.caller(Role.RESEARCHER)
    run = make(site.lab, 12)
    head = researcher.get(f"/sessions/{run.id}/columns").json()
    (chunk,) = head["chunks"]
    address = f"/sessions/{run.id}/columns/0"
    answer = researcher.get(f"{address}?stamp={chunk['stamp']}")
    assert answer.headers["cache-control"] == "private, max-age=31536000, immutable"
    again = researcher.get(f"{address}?stamp={chunk['stamp']}", **{"if-none-match": answer.headers["etag"]})
    assert (again.status_code, again.content) == (304, b"")
    assert researcher.get(f"{address}?stamp=other").headers["cache-control"] == "private, no-cache"
    numbers, arrays = unpacked(answer.content)
    assert arrays["numbers"].tolist() == list(range(1, 13))
    assert numbers["best"]["number"] == rules.best_trial(run).number  # type: ignore[union-attr] # it has one
    _, session, agent = tuned_study(site)
    site.lab.submit(session.id, SPACE.configuration({"epochs": 2}))
    job = claim(site.lab, agent)
    site.lab.measure(job.job_id, job.attempt, [epoch(0, 1, 0.7)])
    asked = f"/sessions/{session.id}/columns/0?stamp={site.lab.columns.of(session.id).chunks[0].stamp}"
    assert researcher.get(asked).headers["cache-control"] == "no-store"
    assert unpacked(researcher.get(asked).content)[1]["values"].tolist() == [0.41, 0.62, 0.7]
    site.lab.finish(job.job_id, job.attempt, Outcome.COMPLETED)
    asked = f"/sessions/{session.id}/columns/0?stamp={site.lab.columns.of(session.id).chunks[0].stamp}"
    assert researcher.get(asked).headers["cache-control"] == "no-store"
    for place in ("1", "-1", "x", "99999999999"):
        assert researcher.get(f"/sessions/{session.id}/columns/{place}").status_code in (400, 404)


def test_a_run_whose_trial_trains_is_asked_for_again(site: Site) -> None:
    run = make(site.lab, 3)
    site.lab.sessions.take_up(run.id, Budget(trials=9))
    site.lab.submit(run.id, run.space.configuration({}))
    (chunk,) = site.lab.columns.of(run.id).chunks
    assert (chunk.trials, chunk.has_ended) == (4, False)
    answer = site.caller(Role.RESEARCHER).get(f"/sessions/{run.id}/columns/0?stamp={chunk.stamp}")
    assert answer.headers["cache-control"] == "no-store"
    assert "etag" not in answer.headers
    head, arrays = unpacked(answer.content)
    assert [head["status_words"][place] for place in arrays["statuses"][-1:]] == [["waiting", "waiting"]]


@pytest.mark.slow
def test_columns_hold_no_test_score(site: Site) -> None:
    scores = (0.7131, 0.7353)
    _, session, agent = tuned_study(site)
    evaluated(site, session.id, agent, *scores)
    researcher = site.caller(Role.RESEARCHER)
    researcher.post(f"/sessions/{session.id}/reveal")
    _, arrays = unpacked(researcher.get(f"/sessions/{session.id}/columns/0").content)
    assert arrays["values"].tolist() == [0.41, 0.62]
    held = np.concatenate([array.astype(float) for array in arrays.values()])
    assert not np.isin(held, scores).any()
    text = researcher.get(f"/sessions/{session.id}/columns").text + researcher.get(f"/sessions/{session.id}/explore").text
    assert not [score for score in scores if str(score) in text or f"{100 * score:.1f}" in text]
