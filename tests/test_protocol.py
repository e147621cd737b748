"""The rules as pure functions: seeds, credits, deadlines, thinning."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from evenhand import protocol
from evenhand.declaration import Budget
from evenhand.errors import InvalidSettings
from evenhand.records import Extension, Outcome, Session, State, TaskRecord, TaskSpec, Trial
from evenhand.space import Configuration
from evenhand.trials import Trials
from tests.labs import SPACE

TASK = TaskRecord(TaskSpec("toy"), "1", SPACE, "accuracy", "maximize", 10)


def trial(number: int, submitted: float, claimed: float | None, ended: float | None, **facts: object) -> Trial:
    outcome = facts.pop("outcome", None if ended is None else Outcome.COMPLETED)
    return Trial(
        id=number,
        session_id=1,
        number=number,
        configuration=Configuration({"epochs": 2, "learning_rate": 0.1}),
        proposer="x",
        submitted_at=submitted,
        epochs_planned=2,
        claimed_at=claimed,
        finished_at=ended,
        outcome=outcome,  # type: ignore[arg-type]
        **facts,  # type: ignore[arg-type]
    )


HUNDRED_SECONDS = Budget(seconds=100)


def session(*trials: Trial, budget: Budget = HUNDRED_SECONDS, extensions: tuple[Extension, ...] = ()) -> Session:
    return Session(1, 1, TASK, "method", "x", budget, 0, 0.0, started_at=0.0, trials=trials, extensions=extensions)


def test_seeds_are_stable_and_differ_by_purpose() -> None:
    assert protocol.derive_seed(7, "tuning") == protocol.derive_seed(7, "tuning")
    seeds = {protocol.derive_seed(7, "evaluation", i) for i in range(1000)} | {protocol.derive_seed(7, "tuning")}
    assert len(seeds) == 1001
    assert all(0 <= seed < 2**31 for seed in seeds)
    assert protocol.derive_seed(7, "evaluation", 11) != protocol.derive_seed(7, "evaluation", 1, 1)


@given(st.lists(st.tuples(st.integers(0, 60), st.integers(0, 60)).map(lambda pair: (min(pair), max(pair)))))
def test_union_length_counts_each_moment_once(intervals: list[tuple[int, int]]) -> None:
    covered = {second for start, end in intervals for second in range(start, end)}
    assert protocol.union_length(intervals) == len(covered)


def test_waiting_for_an_agent_is_credited_and_training_is_not() -> None:
    waited = session(trial(1, 10, 15, 40))
    assert protocol.credit(waited, 50) == 5
    assert protocol.deadline(waited, 50) == 105


def test_what_a_dead_attempt_lost_is_credited_and_a_failed_trial_costs_nothing() -> None:
    assert protocol.credit(session(trial(1, 10, 30, 40)), 50) == 20  # claimed again at 30: the first attempt's time is lost
    assert protocol.credit(session(trial(1, 10, 12, 40, outcome=Outcome.FAILED)), 50) == 30
    assert protocol.trials_used(session(trial(1, 10, 12, 40, outcome=Outcome.FAILED))) == 0


def test_waiting_beside_a_running_trial_is_not_credited_and_outages_are_counted_once() -> None:
    both = session(trial(1, 0, 0, 50), trial(2, 10, 40, 60))
    assert protocol.credit(both, 70) == 0
    outage = Extension(20, "the server was down", start=30)
    assert protocol.credit(session(trial(1, 0, 10, 60), extensions=(outage,)), 70) == 30
    assert protocol.credit(session(trial(1, 25, None, None), extensions=(outage,)), 45) == 25  # waiting and outage overlap
    assert protocol.credit(session(extensions=(Extension(60, "fire drill"),)), 45) == 60


@st.composite
def _histories(draw: st.DrawFn) -> tuple[list[Trial], list[Extension]]:
    """Trials in the order in which they were submitted, beside one another or not, of which the last may be open; and outages."""
    found, submitted = [], 0
    for number in range(1, draw(st.integers(1, 12)) + 1):
        submitted += draw(st.integers(0, 9))
        claimed = draw(st.one_of(st.none(), st.integers(0, 6)))
        begun = None if claimed is None else submitted + claimed
        ended = draw(st.one_of(st.none(), st.integers(0, 9)))
        ended = None if ended is None else (submitted if begun is None else begun) + ended
        outcome = None if ended is None else draw(st.sampled_from(list(Outcome)))
        facts = {"value": draw(st.one_of(st.none(), st.integers(-3, 3))), "epochs_begun": draw(st.integers(0, 2))}
        found.append(trial(number, submitted, begun, ended, outcome=outcome, **facts))
    outages = st.builds(lambda start, length: Extension(length, "down", start), st.integers(0, 90), st.integers(0, 30))
    return found, draw(st.lists(outages, max_size=3))


@given(_histories(), st.integers(0, 12))
def test_what_is_summed_up_as_trials_end_is_what_all_trials_give(history: tuple[list[Trial], list[Extension]], read: int) -> None:
    trials, outages = history
    now = 200.0
    for budget in (Budget(seconds=100), Budget(trials=50, epochs=60)):
        whole = session(*trials, budget=budget, extensions=tuple(outages))
        grown = Trials([])
        for number in [*range(0, len(trials), read + 1), len(trials)]:  # as a store reads them while the session goes on
            grown = grown.then(trials[grown.settled : number])
            summed = replace(whole, trials=grown)
            so_far = replace(whole, trials=tuple(trials[:number]))
            assert protocol.credit(summed, now) == pytest.approx(protocol.credit(so_far, now))
            assert protocol.trials_used(summed) == protocol.trials_used(so_far)
            assert protocol.epochs_used(summed) == protocol.epochs_used(so_far)
            assert protocol.best_trial(summed) == protocol.best_trial(so_far)
            assert protocol.why_not_submit(summed, 1, now) == protocol.why_not_submit(so_far, 1, now)


def test_states_follow_from_facts() -> None:
    assert protocol.state_of(session(), 99) is State.TUNING
    assert protocol.state_of(session(), 100) is State.CHOOSING
    assert protocol.state_of(session(trial(1, 90, None, None)), 150) is State.TUNING  # waits since 90, so 10 s are left


def test_budgets_in_trials_and_epochs_count_what_was_begun() -> None:
    begun = trial(1, 0, 0, 5, epochs_done=1, epochs_begun=2, outcome=Outcome.STOPPED)
    never = trial(2, 5, None, 6, outcome=Outcome.STOPPED)
    counted = session(begun, never, budget=Budget(trials=2, epochs=5))
    assert (protocol.trials_left(counted), protocol.epochs_left(counted)) == (1, 3)
    assert "needs 4 epochs and 3 of 5 are left" in (protocol.why_not_submit(counted, 4, 9) or "")
    assert protocol.why_not_submit(counted, 3, 9) is None
    assert "still training" in (protocol.why_not_submit(session(trial(1, 0, 0, None)), 1, 9) or "")


def test_the_best_trial_is_the_earliest_of_equals_in_the_tasks_direction() -> None:
    trials = [trial(n, 0, 0, 1, value=value) for n, value in ((1, 0.2), (2, 0.5), (3, 0.5))]
    best = protocol.best_trial(session(*trials, trial(4, 0, 0, 1, outcome=Outcome.DIVERGED)))
    assert best is not None
    assert best.number == 2
    assert protocol.best_trial(session()) is None
    assert protocol.best_trial(session(trial(1, 0, 0, 1, value=0.9, outcome=Outcome.INVALID))) is None


def test_thinning_keeps_the_extremes_of_each_bucket_and_both_ends() -> None:
    rng = np.random.default_rng(0)
    points = [(i, float(loss)) for i, loss in enumerate(rng.normal(size=10_000))]
    kept = protocol.thin(points, 2000)
    assert len(kept) <= 2000
    assert {0, 9999} <= kept
    width = 10_000 / 999
    for bucket in range(0, 999, 37):
        inside = [p for p in points if int(p[0] * 999 // 10_000) == bucket]
        assert {min(inside, key=lambda p: p[1])[0], max(inside, key=lambda p: p[1])[0]} <= kept, width
    again = protocol.thin([point for point in points if point[0] in kept], 2000)
    assert again == kept


@pytest.mark.parametrize("caps", [(None, None, None), (0, None, None), (None, -1, None)])
def test_budgets_without_a_positive_cap_are_refused(caps: tuple[float | None, int | None, int | None]) -> None:
    with pytest.raises(InvalidSettings, match="budget"):
        protocol.parse_budget(*caps)
