"""The rules as pure functions: seeds, credits, deadlines, thinning."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from evenhand.errors import InvalidSettings
from evenhand.model import rules
from evenhand.model.configuration import Configuration
from evenhand.model.session import Extension, FinalChoice, Session, State
from evenhand.model.study import Budget, Until
from evenhand.model.task import TaskRecord, TaskSpec
from evenhand.model.trial import Outcome, Trial
from evenhand.model.trial_history import Trials
from evenhand.model.words import budget_words
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
    assert rules.derive_seed(7, "tuning") == rules.derive_seed(7, "tuning")
    seeds = {rules.derive_seed(7, "evaluation", i) for i in range(1000)} | {rules.derive_seed(7, "tuning")}
    assert len(seeds) == 1001
    assert all(0 <= seed < 2**31 for seed in seeds)
    assert rules.derive_seed(7, "evaluation", 11) != rules.derive_seed(7, "evaluation", 1, 1)


@pytest.mark.slow
@given(st.lists(st.tuples(st.integers(0, 60), st.integers(0, 60)).map(lambda pair: (min(pair), max(pair)))))
def test_union_length_counts_each_moment_once(intervals: list[tuple[int, int]]) -> None:
    covered = {second for start, end in intervals for second in range(start, end)}
    assert rules.union_length(intervals) == len(covered)


def test_waiting_for_an_agent_is_credited_and_training_is_not() -> None:
    waited = session(trial(1, 10, 15, 40))
    assert rules.credit(waited, 50) == 5
    assert rules.deadline(waited, 50) == 105


def test_what_a_dead_attempt_lost_is_credited_and_a_failed_trial_costs_nothing() -> None:
    assert rules.credit(session(trial(1, 10, 30, 40)), 50) == 20  # claimed again at 30: the first attempt's time is lost
    assert rules.credit(session(trial(1, 10, 12, 40, outcome=Outcome.FAILED)), 50) == 30
    assert rules.trials_used(session(trial(1, 10, 12, 40, outcome=Outcome.FAILED))) == 0


def test_waiting_beside_a_running_trial_is_not_credited_and_outages_are_counted_once() -> None:
    both = session(trial(1, 0, 0, 50), trial(2, 10, 40, 60))
    assert rules.credit(both, 70) == 0
    outage = Extension(20, "the server was down", start=30)
    assert rules.credit(session(trial(1, 0, 10, 60), extensions=(outage,)), 70) == 30
    assert rules.credit(session(trial(1, 25, None, None), extensions=(outage,)), 45) == 25  # waiting and outage overlap
    assert rules.credit(session(extensions=(Extension(60, "fire drill"),)), 45) == 60


@st.composite
def _histories(draw: st.DrawFn) -> tuple[list[Trial], list[Extension]]:
    """Trials in the order in which they were submitted, beside one another or not, of which the last may be open; and outages."""
    made, submitted = [], 0
    for number in range(1, draw(st.integers(1, 12)) + 1):
        submitted += draw(st.integers(0, 9))
        claimed = draw(st.one_of(st.none(), st.integers(0, 6)))
        begun = None if claimed is None else submitted + claimed
        ended = draw(st.one_of(st.none(), st.integers(0, 9)))
        ended = None if ended is None else (submitted if begun is None else begun) + ended
        outcome = None if ended is None else draw(st.sampled_from(list(Outcome)))
        facts = {"value": draw(st.one_of(st.none(), st.integers(-3, 3))), "epochs_begun": draw(st.integers(0, 2))}
        made.append(trial(number, submitted, begun, ended, outcome=outcome, **facts))
    outages = st.builds(lambda start, length: Extension(length, "down", start), st.integers(0, 90), st.integers(0, 30))
    return made, draw(st.lists(outages, max_size=3))


@pytest.mark.slow
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
            assert rules.credit(summed, now) == pytest.approx(rules.credit(so_far, now))
            assert rules.trials_used(summed) == rules.trials_used(so_far)
            assert rules.epochs_used(summed) == rules.epochs_used(so_far)
            assert rules.best_trial(summed) == rules.best_trial(so_far)
            assert rules.why_not_submit(summed, 1, now) == rules.why_not_submit(so_far, 1, now)


def test_states_follow_from_facts() -> None:
    assert rules.state_of(session(), 99) is State.TUNING
    assert rules.state_of(session(), 100) is State.CHOOSING
    assert rules.state_of(session(trial(1, 90, None, None)), 150) is State.TUNING  # waits since 90, so 10 s are left


def test_budgets_in_trials_and_epochs_count_what_was_begun() -> None:
    begun = trial(1, 0, 0, 5, epochs_done=1, epochs_begun=2, outcome=Outcome.STOPPED)
    never = trial(2, 5, None, 6, outcome=Outcome.STOPPED)
    counted = session(begun, never, budget=Budget(trials=2, epochs=5))
    assert (rules.trials_left(counted), rules.epochs_left(counted)) == (1, 3)
    assert "needs 4 epochs and 3 of 5 are left" in (rules.why_not_submit(counted, 4, 9) or "")
    assert rules.why_not_submit(counted, 3, 9) is None
    assert "still training" in (rules.why_not_submit(session(trial(1, 0, 0, None)), 1, 9) or "")


def test_the_best_trial_is_the_earliest_of_equals_in_the_tasks_direction() -> None:
    trials = [trial(n, 0, 0, 1, value=value) for n, value in ((1, 0.2), (2, 0.5), (3, 0.5))]
    best = rules.best_trial(session(*trials, trial(4, 0, 0, 1, outcome=Outcome.DIVERGED)))
    assert best is not None
    assert best.number == 2
    assert rules.best_trial(session()) is None
    for outcome in (Outcome.INVALID, Outcome.DIVERGED):
        assert rules.best_trial(session(trial(1, 0, 0, 1, value=0.9, outcome=outcome))) is None


def test_thinning_keeps_the_extremes_of_each_bucket_and_both_ends() -> None:
    rng = np.random.default_rng(0)
    points = [(i, float(loss)) for i, loss in enumerate(rng.normal(size=10_000))]
    kept = rules.thin(points, 2000)
    assert len(kept) <= 2000
    assert {0, 9999} <= kept
    width = 10_000 / 999
    for bucket in range(0, 999, 37):
        inside = [p for p in points if int(p[0] * 999 // 10_000) == bucket]
        assert {min(inside, key=lambda p: p[1])[0], max(inside, key=lambda p: p[1])[0]} <= kept, width
    again = rules.thin([point for point in points if point[0] in kept], 2000)
    assert again == kept


@pytest.mark.parametrize("caps", [(None, None, None), (0, None, None), (None, -1, None)])
def test_budgets_without_a_positive_cap_are_refused(caps: tuple[float | None, int | None, int | None]) -> None:
    with pytest.raises(InvalidSettings, match="budget"):
        rules.parse_budget(*caps)


def test_until_is_read_as_it_is_said_and_shown() -> None:
    assert rules.parse_until("0.001 in 20") == Until(0.001, 20)
    assert rules.parse_until(" 1e-4  in 5 trials") == Until(0.0001, 5)
    assert rules.parse_budget(None, None, None, until="0 in 3") == Budget(until=Until(0.0, 3))
    for until in (Until(0.001, 20), Until(0.0, 1), Until(2.5e-7, 3)):
        assert rules.parse_until(str(until)) == until
    assert budget_words(Budget(trials=60, until=Until(0.001, 20))) == "60 trials or until no better by 0.001 in 20 trials"
    assert budget_words(Budget(until=Until(0.0, 1), parallel=2)) == "until no better in 1 trial, 2 at once"


@pytest.mark.parametrize(
    "given",
    ["nan in 20", "inf in 20", "-0.1 in 20", "0.1 in 0", "0.1 in -3", "0.1 in 2.5", "0.1 in nan", "0.1 in inf", "0.1", "20", "",
     "a in b", "0.1 in 20 epochs", 0.1, 20, (0.1, 20), True],
)  # fmt: skip
def test_what_is_no_until_is_refused_with_what_is_expected(given: object) -> None:
    with pytest.raises(
        InvalidSettings, match=r"until is .*, expected 'X in N', such as '0.001 in 20'.*from 0.*whole number from 1"
    ):
        rules.parse_budget(None, 5, None, until=given)


def valued(values: list[float | None], **facts: object) -> list[Trial]:
    """Trials that have ended, with these values."""
    return [trial(number, number, number, number + 1, value=value, **facts) for number, value in enumerate(values, 1)]


def stall(values: list[float | None], until: Until, maximize: bool = True) -> int:
    ended = session(*valued(values), budget=Budget(until=until))
    task = replace(TASK, direction="maximize" if maximize else "minimize")
    return rules.trials_without_gain(replace(ended, task=task))


def test_a_session_stalls_where_the_last_trials_made_the_best_no_better_by_the_gain() -> None:
    until = Until(0.1, 3)
    assert stall([], until) == 0
    assert stall([0.5], until) == 0  # the first value there is, is better than none
    assert stall([0.5, 0.4, 0.55, 0.3], until) == 3
    assert stall([0.5, 0.55, 0.6], until) == 1  # 0.5 to 0.6 is a gain of 0.1 within two trials
    assert stall([0.5, 0.4, 0.4, 0.6], until) == 0
    assert stall([0.5, 0.4, 0.4, 0.4], Until(0.0, 3)) == 3
    assert stall([0.5, 0.4, 0.4, 0.5 + 1e-9], Until(0.0, 3)) == 0
    assert stall([0.801, 0.802], Until(0.001, 3)) == 0  # as people count, not as floats do
    assert stall([3.0, 2.0, 2.5, 2.5], Until(1.0, 9), maximize=False) == 2
    assert stall([None, None, None], until) == 3  # trial after trial without a value is no gain either


def test_trials_that_cost_nothing_or_have_no_counting_value_are_no_gain() -> None:
    ended = [*valued([0.5]), *(replace(t, id=t.id + 1, number=t.number + 1) for t in valued([0.9], outcome=Outcome.DIVERGED))]
    ended.append(trial(3, 3, 3, 4, outcome=Outcome.FAILED))
    ended.append(trial(4, 4, 4, None))
    kept = session(*ended, budget=Budget(until=Until(0.1, 1)))
    assert rules.trials_without_gain(kept) == 1
    assert rules.has_stalled(kept)
    assert "got no better by 0.1 in the last trial; choose" in str(rules.why_not_submit(kept, 1, 9.0))
    assert not rules.has_stalled(replace(kept, trials=ended[:1]))


@given(
    values=st.lists(st.one_of(st.none(), st.integers(0, 6).map(float)), max_size=25),
    gain=st.sampled_from([0.0, 1.0, 2.0]),
    count=st.integers(1, 6),
    maximize=st.booleans(),
    read=st.integers(0, 25),
)
def test_what_is_known_of_ended_trials_says_the_same_of_gains(
    values: list[float | None], gain: float, count: int, maximize: bool, read: int
) -> None:
    ended = valued(values)
    kept = Trials(ended[:read])
    task = replace(TASK, direction="maximize" if maximize else "minimize")
    said = replace(session(budget=Budget(until=Until(gain, count))), task=task)
    rules.trials_without_gain(replace(said, trials=kept))
    without_gain = rules.trials_without_gain(replace(said, trials=kept.then(ended[read:])))

    def best(first: int) -> float | None:
        return (max if maximize else min)((value for value in values[:first] if value is not None), default=None)

    def gained(ago: int) -> bool:
        now, before = best(len(values)), best(max(0, len(values) - ago))
        if now is None or before is None:
            return now is not None
        return now != before and abs(now - before) >= gain

    assert without_gain == next((ago - 1 for ago in range(1, count + 1) if ago > len(values) or gained(ago)), count)


def test_how_a_session_ended_follows_from_its_facts() -> None:
    def ended(budget: Budget, at: float = 50.0) -> str:
        return rules.how_ended(replace(session(*valued([0.5, 0.4, 0.4]), budget=budget), choice=FinalChoice(at, None, None)))

    assert ended(Budget(trials=3)) == "all 3 trials were used"
    assert ended(Budget(trials=4)) == ""
    assert ended(Budget(trials=1)) == "its one trial was used"
    assert ended(Budget(epochs=0)) == "all 0 epochs were used"
    assert ended(Budget(seconds=40)) == "its time was up"
    assert ended(Budget(trials=3, until=Until(0.01, 2))) == "its best value got no better by 0.01 in the last 2 trials"
    assert rules.how_ended(session(*valued([0.5]), budget=Budget(trials=1))) == ""


def test_an_until_can_only_grow() -> None:
    def why(before: Until | None, asked: Until | None) -> str | None:
        return rules.why_not_extend(session(budget=Budget(trials=9, until=before)), Budget(trials=9, until=asked))

    until = Until(0.1, 5)
    assert why(until, until) is why(until, Until(0.1, 6)) is why(until, Until(0.05, 5)) is why(until, None) is None
    assert "expected until a gain of at most 0.1 in at least 5 trials" in str(why(until, Until(0.1, 4)))
    assert "expected until a gain of at most 0.1" in str(why(until, Until(0.2, 50)))
    assert "expected no `until`" in str(why(None, until))
    over = replace(session(*valued([0.5] * 9), budget=Budget(trials=9, until=until)), choice=FinalChoice(50.0, None, None))
    refusal = str(rules.why_not_extend(over, Budget(trials=20, until=until)))
    assert "would at once again: its best value got no better by 0.1 in the last 5 trials" in refusal
    assert "give a longer `until`, such as '0.1 in 10'" in refusal
    assert rules.why_not_extend(over, over.budget) is None
    assert rules.why_not_extend(over, Budget(trials=20, until=Until(0.1, 10))) is None
