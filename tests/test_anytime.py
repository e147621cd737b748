"""Anytime curves, gaps, test scores and effort, against numbers worked out by hand; what may not be compared is refused."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from evenhand.analysis import anytime
from evenhand.analysis.anytime import Comparison, Scale, SessionEntry, race, regret
from evenhand.errors import InvalidSettings
from evenhand.model.session import Pause
from evenhand.model.study import Budget
from evenhand.model.trial import Outcome
from tests.entrants import Ending, entry, field, record, scaled, shuffled

LOSS = record("loss", "loss", minimize=True)


def points(course: anytime.Trajectory) -> list[tuple[float, float, float, float | None]]:
    return [(point.trials, point.epochs, point.seconds, point.best) for point in course.points]


def test_cost_is_counted_as_the_budget_counts_it() -> None:
    (course,) = race(scaled([entry("random", [0.5, None, 0.4, "failed", 0.8, "invalid"])])).courses
    # Three epochs a trial, one of those without value, none of the failed one; ten seconds a trial, of which one is thinking;
    # of the failed one's ten seconds the clock gives nine back.
    assert points(course) == [
        (1, 3, 10, 0.5),
        (2, 4, 20, 0.5),
        (3, 7, 30, 0.5),
        (4, 10, 41, 0.8),
        (5, 11, 51, 0.8),
    ]
    assert course.final == 0.8


def test_the_value_of_an_invalid_trial_counts_no_more_than_it_can_be_chosen() -> None:
    made = entry("random", [0.5, 0.9, 0.6])
    first, second, third = made.session.trials
    late = replace(second, outcome=Outcome.INVALID)
    raced = race(scaled([replace(made, session=replace(made.session, trials=(first, late, third)))]))
    assert [point.best for point in raced.courses[0].points] == [0.5, 0.5, 0.6]
    assert raced.courses[0].points[1].epochs == 6


def test_seconds_are_those_of_the_sessions_clock() -> None:
    paused = entry("random", [0.5, 0.6])
    paused = replace(paused, session=replace(paused.session, pauses=(Pause(12.0, 16.0, "lunch"),)))
    queued = entry("tpe", [0.5, 0.6])
    first, second = queued.session.trials
    late = replace(second, claimed_at=14.0)  # submitted at 11
    queued = replace(queued, session=replace(queued.session, trials=(first, late)))
    paused_course, queued_course = race(scaled([paused, queued])).courses
    assert [point.seconds for point in paused_course.points] == [10, 16]
    assert [point.seconds for point in queued_course.points] == [10, 17]


def test_trials_that_overlap_count_from_their_beginning() -> None:
    both = entry("random", [0.5, 0.6], budget=Budget(trials=2, parallel=2))
    first, second = both.session.trials
    both = replace(both, session=replace(both.session, trials=(first, replace(second, submitted_at=1.0, claimed_at=1.0))))
    (course,) = race(scaled([both])).courses
    assert [(point.trials, point.epochs) for point in course.points] == [(2, 6), (2, 6)]


@pytest.mark.parametrize(
    ("scale", "made", "value", "expected"),
    [
        (Scale(0.9, 0.5), None, 0.9, 0.0),
        (Scale(0.9, 0.5), None, 0.8, 0.25),
        (Scale(0.9, 0.5), None, 0.5, 1.0),
        (Scale(0.9, 0.5), None, 0.1, 1.0),
        (Scale(0.9, 0.5), None, None, 1.0),
        (Scale(0.1, 0.5), LOSS, 0.2, 0.25),
        (Scale(0.1, 0.5), LOSS, 0.7, 1.0),
        (Scale(0.9, 0.9), None, 0.9, 0.0),
        (Scale(0.9, 0.9), None, 0.8, 1.0),
    ],
)
def test_regret_is_zero_at_the_best_and_one_at_the_reference(
    scale: Scale, made: object, value: float | None, expected: float
) -> None:
    task = "loss" if made else "toy"
    raced = race(Comparison((entry("random", [0.3], task, made=LOSS if made else None),), {task: scale}))
    assert regret(raced, task, value) == pytest.approx(expected)


def test_regret_is_clipped_at_the_stated_top() -> None:
    raced = race(replace(scaled([entry("random", [0.1, 0.5])], 0.9, 0.5), top=1.5))
    assert regret(raced, "toy", 0.1) == 1.5
    assert regret(raced, "toy", 0.4) == pytest.approx(1.25)
    assert regret(raced, "toy", None) == 1.5


def test_without_a_scale_the_best_seen_and_the_median_first_value_take_its_place() -> None:
    entries = [entry("a", [None, 0.2, 0.9]), entry("b", [0.4, 0.3, 0.3]), entry("c", [0.5, 0.6, 0.1])]
    assert race(Comparison(tuple(entries))).scales["toy"] == Scale(0.9, 0.4)
    turned = [entry("a", [0.2, 0.1], "loss", made=LOSS), entry("b", [0.6, 0.3], "loss", made=LOSS)]
    assert race(Comparison(tuple(turned))).scales["loss"] == Scale(0.1, 0.4)


def test_a_value_better_than_the_best_known_takes_its_place() -> None:
    raced = race(scaled([entry("a", [0.95])], 0.9, 0.5))
    assert raced.scales["toy"] == Scale(0.95, 0.5)
    assert "0.95 is better than the best known value of 0.9" in " ".join(raced.notes)


def test_where_nothing_has_a_value_regret_is_the_top() -> None:
    raced = race(Comparison((entry("a", [None, "invalid"]),)))
    assert "no trial has a value" in " ".join(raced.notes)
    assert [point.regret for point in anytime.curves(raced)[0].points] == [1.0, 1.0]
    assert anytime.gaps(raced)[-1].gap is None


def test_curves_are_medians_and_quartiles_over_seeds() -> None:
    runs: list[list[Ending]] = [[0.0, 0.8], [0.2, 0.2], [0.4, 0.6], [None, 0.6]]
    (curve,) = anytime.curves(race(scaled([entry("a", values, seed=i) for i, values in enumerate(runs)])))
    # Regrets after trial 1: 1, 0.8, 0.6, 1 (no value); after trial 2: 0.2, 0.8, 0.4, 0.4.
    assert (curve.task, curve.contestant, curve.n) == ("toy", "a", 4)
    expected = [(1.0, 0.9, 0.75, 1.0), (2.0, 0.4, 0.35, 0.5)]
    for at, numbers in zip(curve.points, expected, strict=True):
        assert (at.cost, at.regret, at.low, at.high) == pytest.approx(numbers)


def test_curves_in_epochs_and_seconds_hold_what_was_known_by_then() -> None:
    raced = race(scaled([entry("a", [0.5, None, 0.8], budget=Budget(trials=3))]))
    epochs = {at.cost: at.regret for at in anytime.curves(raced, "epochs")[0].points}
    assert max(epochs) == 7
    assert {regret for cost, regret in epochs.items() if cost < 3} == {1.0}
    assert {round(regret, 9) for cost, regret in epochs.items() if 3 <= cost < 7} == {0.5}
    assert epochs[7.0] == pytest.approx(0.2)
    seconds = anytime.curves(raced, "seconds")[0].points
    assert (seconds[-1].cost, seconds[-1].regret) == pytest.approx((30, 0.2))


def test_what_the_deadline_stopped_counts_though_it_ended_moments_later() -> None:
    raced = race(scaled([entry("a", [0.5, 0.9], budget=Budget(seconds=19.5))]))
    assert anytime.curves(raced, "seconds")[0].points[-1].regret == pytest.approx(0.1)
    assert [gap.regret for gap in anytime.gaps(raced)] == pytest.approx([1.0, 1.0, 0.1])


def test_who_ended_early_keeps_the_best_value_until_the_end() -> None:
    raced = race(scaled([entry("P-01", [0.7], kind="person", budget=Budget(trials=4)), entry("a", [0.1, 0.2, 0.3, 0.4])]))
    person = next(curve for curve in anytime.curves(raced) if curve.contestant == "P-01")
    assert [at.regret for at in person.points] == pytest.approx([0.3] * 4)


def test_gaps_are_in_the_metrics_unit_at_shares_of_the_budget() -> None:
    runs: list[list[Ending]] = [[0.2, 0.4, 0.5, 0.8], [None, 0.6, 0.6, 0.6]]
    raced = race(scaled([entry("a", values, seed=i) for i, values in enumerate(runs)]))
    written = [(gap.share, gap.n, gap.without, gap.gap, gap.regret) for gap in anytime.gaps(raced)]
    assert written[0] == pytest.approx((0.25, 2, 1, 0.8, 0.9))
    assert written[1] == pytest.approx((0.5, 2, 0, 0.5, 0.5))
    assert written[2] == pytest.approx((1.0, 2, 0, 0.3, 0.3))
    loss = race(Comparison((entry("a", [0.5, 0.3], "loss", made=LOSS),), {"loss": Scale(0.1, 0.5)}))
    assert [gap.gap for gap in anytime.gaps(loss, (0.5, 1))] == pytest.approx([0.4, 0.2])


def test_the_overall_curve_is_the_mean_over_tasks_of_medians_at_shares_of_their_budgets() -> None:
    entries = [
        *(entry("a", values, "one", seed) for seed, values in enumerate([[0.2, 0.4], [0.4, 0.8], [0.6, 0.9]])),
        entry("a", [0.1, 0.1, 0.5, 0.5], "two"),
        entry("b", [0.3, 0.3], "one"),
    ]
    raced = race(Comparison(tuple(entries), {"one": Scale(1, 0), "two": Scale(1, 0)}))
    (curve,) = anytime.overall(raced, 1)  # b did not run on both
    at = {round(point.cost, 6): point.regret for point in curve.points}
    assert curve.contestant == "a"
    assert at[0.5] == pytest.approx((0.6 + 0.9) / 2)
    assert at[1.0] == pytest.approx((0.2 + 0.5) / 2)
    last = curve.points[-1]
    assert (last.low, last.high) == pytest.approx((0.2, 0.5))  # of two tasks a resample may hold one alone


def test_budgets_that_differ_are_cut_to_the_common_one_with_a_note() -> None:
    long = entry("a", [0.1, 0.2, 0.3, 0.9], tests=[0.9, 0.9])
    raced = race(scaled([long, entry("b", [0.1, 0.5], tests=[0.5, 0.5])]))
    first, second = raced.courses
    assert (first.cut, first.final, second.cut, second.final) == (2, 0.2, 0, 0.5)
    assert raced.budgets["toy"] == Budget(trials=2)
    assert "compared over 2 trials; later trials of a are left out" in " ".join(raced.notes)
    assert [score.contestant for score in anytime.tested(raced)] == ["b"]  # a's score is of the larger budget
    assert anytime.efforts(raced)[0].trials == 4


@pytest.mark.parametrize(
    ("other", "words"),
    [
        (entry("b", [0.1], budget=Budget(seconds=60)), "kind of budget: seconds, trials"),
        (entry("b", [0.1], budget=Budget(trials=1, parallel=4)), "number of trials at once: 1, 4"),
        (entry("b", [0.1], made=replace(record("toy"), version="2")), "version of the task: 2, v-toy"),
        (entry("b", [0.1], made=replace(record("toy"), metric="auc")), "metric: accuracy (maximize), auc (maximize)"),
        (entry("a", [0.2]), "'a' entered seed 0 on task 'toy' 2 times"),
        (entry("a", [0.2], seed=1, kind="person"), "'a' is a method and a person"),
    ],
)
def test_what_cannot_be_compared_is_refused_by_name(other: SessionEntry, words: str) -> None:
    with pytest.raises(InvalidSettings) as refused:
        race(Comparison((entry("a", [0.1]), other)))
    assert words in str(refused.value)


def test_an_empty_comparison_is_refused() -> None:
    with pytest.raises(InvalidSettings):
        race(Comparison(()))
    with pytest.raises(InvalidSettings, match="has not ended"):
        race(Comparison((entry("a", [0.1], budget=Budget(trials=9), chose=False),)))


def test_joint_sessions_are_left_out_beside_others_only() -> None:
    joint = entry("both", [0.9], kind="joint")
    raced = race(Comparison((entry("a", [0.1]), entry("P-01", [0.3], kind="person"), joint)))
    assert list(raced.contestants) == ["a", "P-01"]
    assert "joint sessions" in raced.notes[0]
    assert "both" in raced.notes[0]
    assert list(race(Comparison((joint,))).contestants) == ["both"]


def test_withdrawn_practice_and_open_sessions_are_left_out() -> None:
    gone, practised = entry("P-01", [0.1], kind="person"), entry("P-02", [0.1], kind="person")
    gone = replace(gone, session=replace(gone.session, withdrawn_at=5.0))
    practised = replace(practised, session=replace(practised.session, practice=True))
    still = entry("a", [0.1], budget=Budget(trials=3), chose=False)
    spent = entry("b", [0.1, 0.2, 0.3], chose=False)
    raced = race(Comparison((gone, practised, still, spent)))
    assert list(raced.contestants) == ["b"]
    words = " ".join(raced.notes)
    assert "2 withdrawn or practice sessions" in words
    assert "P-01" not in words
    assert "a, seed 0 on toy: its session has not ended" in words


def test_test_scores_tell_sessions_apart_and_count_what_is_missing() -> None:
    entries = [entry("a", [0.5], tests=[0.6, 0.8, None]), entry("a", [0.5], seed=1, tests=[0.4, 0.5, 0.6])]
    (score,) = anytime.tested(race(Comparison(tuple(entries))))
    assert score.sessions == pytest.approx((0.7, 0.5))
    assert (score.n, score.missing) == (5, 1)
    assert score.mean == pytest.approx(0.58)
    assert score.sd == pytest.approx(np.std([0.6, 0.8, 0.4, 0.5, 0.6], ddof=1))


def test_effort_adds_up_all_sessions_and_counts_every_outcome() -> None:
    values: list[Ending] = [0.5, None, "failed", "invalid"]
    (effort,) = anytime.efforts(race(Comparison((entry("a", values), entry("a", [0.5], seed=1, budget=Budget(trials=4))))))
    assert (effort.sessions, effort.trials, effort.epochs) == (2, 4, 8)
    assert (effort.training, effort.clock) == (36, 41)
    assert effort.outcomes == {"completed": 2, "diverged": 1, "failed": 1, "invalid": 1}


@pytest.mark.slow
@settings(max_examples=15, deadline=None)
@given(st.integers(0, 2**31), st.integers(0, 2**31))
def test_the_order_of_entries_changes_nothing(seed: int, order: int) -> None:
    comparison = field(3, 2, 3, 6, seed, people=1)
    straight, other = race(comparison), race(shuffled(comparison, order))
    assert straight == other
    assert anytime.overall(straight, 1) == anytime.overall(other, 1)


@pytest.mark.slow
@settings(max_examples=15, deadline=None)
@given(st.integers(0, 2**31))
def test_curves_fall_and_stay_between_their_quartiles(seed: int) -> None:
    for curve in anytime.curves(race(field(2, 2, 4, 8, seed))):
        values = [at.regret for at in curve.points]
        assert values == sorted(values, reverse=True)
        assert all(0 <= at.low <= at.regret <= at.high <= 1 for at in curve.points)
