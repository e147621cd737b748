"""How sure a result is: each number beside a simulation of what it says, and the paragraph where something cannot be said."""

import math
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

import evenhand
from evenhand import Run
from evenhand.analysis.certainty import certainty_of, largest_of, luck, share_error
from evenhand.model.evaluation import SeedScore
from evenhand.model.session import Evaluated, Session
from evenhand.model.trial import Outcome
from evenhand.report.certainty import paragraph
from evenhand.tasks.splits import Splits
from tests import archives

ROWS = {"validation examples": 400, "test examples": 1000}


def session_of(values: Sequence[float | None], statistics: dict[str, Any] | None = None, metric: str = "accuracy") -> Session:
    """A session whose trials differ in their rate, and whose last one was chosen."""
    changed = [{"rate": 0.01 * (1 + number)} for number in range(len(values))]
    session = archives.archive([archives.Person(values=values, changed=changed)]).sessions[0]
    task = replace(session.task, metric=metric, statistics=ROWS if statistics is None else statistics)
    return replace(session, task=task, evaluated=Evaluated(10, 10))


def scores_of(values: Sequence[float | None]) -> list[SeedScore]:
    return [SeedScore(index, index, Outcome.COMPLETED, value) for index, value in enumerate(values)]


def words_of(session: Session, scores: Sequence[SeedScore] = ()) -> str:
    return paragraph(session, certainty_of(session, scores))


# The numbers


@pytest.mark.parametrize("count", [1, 2, 10, 100])
def test_the_largest_of_several_draws_is_as_a_simulation_has_it(count: int) -> None:
    largest = np.random.default_rng(1).standard_normal((40_000, count)).max(axis=1)
    assert largest_of(count) == pytest.approx((largest.mean(), largest.std()), abs=0.02)


@pytest.mark.parametrize(("share", "rows"), [(0.5, 50), (0.9, 400), (0.97, 1000)])
def test_the_standard_error_of_a_share_is_the_spread_of_binomial_draws(share: float, rows: int) -> None:
    drawn = np.random.default_rng(2).binomial(rows, share, 40_000) / rows
    assert share_error(share, rows) == pytest.approx(drawn.std(), rel=0.05)
    assert share_error(1.0, rows) > 0


@pytest.mark.parametrize("skills_differ", [False, True])
def test_luck_alone_is_seldom_taken_for_more(skills_differ: bool) -> None:
    """30 trials on 300 rows, chosen by validation, scored on 500 test rows: a sound gap is called unsound in at most 5 of 100."""
    rng, said, gaps = np.random.default_rng(3), 0, []
    for _ in range(2000):
        skills = np.clip(rng.normal(0.8, 0.05, 30), 0, 1) if skills_differ else np.full(30, 0.8)
        values = rng.binomial(300, skills) / 300
        best = int(values.argmax())
        test = rng.binomial(500, skills[best]) / 500
        picked = luck(values[best] - test, 30, share_error(test, 300), share_error(test, 500))
        said += not picked.is_luck
        gaps.append((picked.gap, picked.luck))
    gap, expected = np.mean(gaps, axis=0)
    assert said / 2000 <= 0.05
    if skills_differ:
        assert 0 < gap < expected  # the most that luck explains
    else:
        assert gap == pytest.approx(expected, rel=0.05)


def test_a_gap_that_luck_does_not_explain_is_found() -> None:
    """Validation that was learnt from: trials are 10 points better there than on new rows."""
    rng = np.random.default_rng(4)
    unsound = 0
    for _ in range(500):
        best = (rng.binomial(1000, 0.9, 20) / 1000).max()
        test = rng.binomial(1000, 0.8) / 1000
        unsound += not luck(best - test, 20, share_error(test, 1000), share_error(test, 1000)).is_luck
    assert unsound / 500 > 0.95


def test_an_interval_covers_what_the_model_is_worth() -> None:
    rng, covered = np.random.default_rng(5), 0
    for _ in range(1000):
        of_seeds = rng.normal(0.85, 0.01, 10)
        rows = rng.normal(0, math.sqrt(0.85 * 0.15 / 1000))  # the same rows for each seed
        interval = certainty_of(session_of([0.9]), scores_of((of_seeds + rows).tolist())).interval
        covered += interval is not None and interval[0] <= 0.85 <= interval[1]
    assert covered / 1000 == pytest.approx(0.95, abs=0.025)


def test_seeds_noise_tells_two_configurations_of_equal_worth_apart_in_5_of_100_cases() -> None:
    rng, apart = np.random.default_rng(6), 0
    for _ in range(2000):
        runner_up = certainty_of(
            session_of(sorted(rng.normal(0.8, 0.01, 2).tolist())), scores_of(rng.normal(0.8, 0.01, 5).tolist())
        ).runner_up
        assert runner_up is not None
        apart += runner_up.differs is True
    assert apart / 2000 == pytest.approx(0.05, abs=0.015)


def test_smaller_is_better_turns_gap_and_runner_up_around() -> None:
    session = session_of([0.3, 0.2], metric="error_rate")
    session = replace(session, task=replace(session.task, direction="minimize"))
    certainty = certainty_of(session, scores_of([0.24, 0.26]))
    assert certainty.picked is not None
    assert certainty.picked.gap == pytest.approx(0.05)
    assert certainty.runner_up is not None
    assert certainty.runner_up.behind == pytest.approx(0.1)


# The words


def test_all_that_can_be_said_is_said() -> None:
    said = words_of(session_of([0.7, None, 0.84, 0.85]), scores_of([0.82, 0.83, 0.84]))
    assert said == (
        "On validation trial 4, chosen of 3 with a value, reached accuracy 85.0\u202f%, on 400 rows. On test 3 seeds reached "
        "83.0\u202f% on average, with a standard deviation of 1 percentage point over the seeds. Other 1\u202f000 test rows "
        "would change that, too: their number leaves a standard error of 1.2 percentage points, and with the seeds 80.4\u202f% "
        "to 85.6\u202f% is likely (95 %). Validation is 2 percentage points better than test, no more than luck explains: "
        "picking the best of 3 equally good trials would make it 1.8 percentage points too good on average, at most. It differs "
        "from the runner-up (trial 3, 84.0\u202f%) by no more than the seeds' noise, so either may be the better one: two seeds "
        "of one configuration differ by up to 6.1 percentage points (95 %)."
    )
    clear = words_of(session_of([0.7, 0.95]), scores_of([0.80, 0.801, 0.802]))
    assert "15 percentage points better than test, more than luck explains" in clear
    assert "It is better than the runner-up (trial 1, 70.0\u202f%) by more than the seeds' noise" in clear
    worse = words_of(session_of([0.7, 0.8]), scores_of([0.95, 0.95]))
    assert "15 percentage points worse than test, more than luck explains: the two sets differ, or the models for test" in worse
    as_tuned = words_of(replace(session_of([0.7, 0.8]), evaluation_mode="as tuned"), scores_of([0.95, 0.95]))
    assert "more than luck explains: the two sets differ." in as_tuned
    best_epochs = replace(session_of([0.7, 0.8]), value_rule="best")
    trials = tuple(replace(trial, epochs_done=10) for trial in best_epochs.trials)
    assert "picking the best of 20 equally good epochs" in words_of(replace(best_epochs, trials=trials), scores_of([0.79, 0.79]))


def test_what_cannot_be_said_is_said_to_be_so() -> None:
    session = session_of([0.7, 0.8], {})
    assert "on an unknown number of rows" in words_of(session)
    assert "Its score on test is not among what is shown here." in words_of(session)
    assert "was not scored on test" in words_of(replace(session, evaluated=Evaluated()))
    assert "no test data that no tuner saw" in words_of(replace(session, task=replace(session.task, has_test=False)))
    assert "by more than the seeds' noise cannot be said without several seeds" in words_of(session)
    one = words_of(session, scores_of([0.8]))
    assert "with one seed, so how much another seed would change is not known" in one
    assert "cannot be said: their number is not known." in one
    assert "more than luck cannot be said without the numbers of rows" in one
    other = words_of(session_of([0.7, 0.8], metric="r2"), scores_of([0.5, 0.6]))
    assert "r2 is no share of right answers" in other
    assert "luck cannot be said without a share of right answers" in other
    in_percent = words_of(session_of([70.0, 80.0]), scores_of([75.0, 76.0]))
    assert "luck cannot be said" in in_percent
    assert words_of(session_of([None])) == "Nothing can be said of how good the model is: no trial has a value."
    assert "No other configuration has a value" in words_of(session_of([0.7]))
    huge = session_of([1e308, -1e308], metric="loss")
    said = words_of(replace(huge, task=replace(huge.task, direction="minimize")), scores_of([1e308, -1e308]))
    assert "1e308" in said
    assert "inf" not in said


# Where it is shown


@evenhand.task(
    space={"x": evenhand.Float(0, 1)},
    metric="accuracy",
    max_epochs=1,
    data=lambda: Splits.drawn(np.arange(1000.0), np.arange(1000) % 2),
)
def guesses(configuration: Any, run: Run) -> None:
    """Labels that are right by chance, for each seed and split anew."""
    rng = np.random.default_rng([run.seed, round(1e9 * configuration["x"])])
    run.report(epoch=1, accuracy=run.score(lambda x: rng.integers(0, 2, len(x))))


@pytest.mark.slow
def test_a_result_ends_with_the_paragraph_and_its_rows_are_counted(tmp_path: Any) -> None:
    result = evenhand.tune(guesses, trials=20, db=f"sqlite:///{tmp_path / 'lab.sqlite'}", progress=False)
    assert result.session.task.rows("validation") == result.session.task.rows("test") == 200
    assert "on 200 rows" in result.certainty
    assert "no more than luck explains" in result.certainty
    assert " ".join(repr(result).split("\n\n")[1].split()) == " ".join(result.certainty.split())
