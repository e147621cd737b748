"""The numbers behind the pages: means, the best so far on the session's clock, what changed, and what is drawn where."""

import math
import statistics

import pytest

from evenhand.analysis import summaries
from evenhand.model.condition import Condition
from evenhand.model.configuration import Configuration
from evenhand.model.domain import Choice, Float, Integer, Value
from evenhand.model.evaluation import Evaluation, SeedScore
from evenhand.model.hyperparameter import Hyperparameter
from evenhand.model.session import Extension, Session
from evenhand.model.space import Space
from evenhand.model.study import Budget
from evenhand.model.task import TaskRecord, TaskSpec
from evenhand.model.trial import Outcome, Trial
from evenhand.web.researcher.scores import dots

SPACE = Space(
    [
        Hyperparameter("epochs", Integer(1, 100), fidelity=True),
        Hyperparameter("optimizer", Choice(("adam", "sgd"), ("Adam", "SGD"))),
        Hyperparameter("learning_rate", Float(1e-6, 10, log=True), 0.001, label="learning rate"),
        Hyperparameter("weight_decay", Float(1e-7, 1, log=True, or_zero=True), 0.0),
        Hyperparameter("momentum", Float(0, 1), 0.0, condition=Condition("optimizer", ("sgd",))),
    ]
)
TASK = TaskRecord(TaskSpec("toy"), "1", SPACE, "accuracy", "maximize", 100)


def configuration(**values: Value) -> Configuration:
    return SPACE.configuration({"epochs": 10, "optimizer": "adam", **values})


def trial(number: int, start: float, end: float | None, value: float | None, wait: float = 0.0, **values: Value) -> Trial:
    return Trial(
        id=number,
        session_id=1,
        number=number,
        configuration=configuration(**values),
        proposer="P-01",
        submitted_at=start - wait,
        epochs_planned=10,
        claimed_at=start,
        attempt=1,
        finished_at=end,
        outcome=None if end is None else Outcome.COMPLETED if value is not None else Outcome.DIVERGED,
        value=value,
        epochs_begun=10,
    )


def session(*trials: Trial, budget: Budget = Budget(seconds=1000), extensions: tuple[Extension, ...] = ()) -> Session:  # noqa: B008
    return Session(1, 1, TASK, "participant", "P-01", budget, 7, 0.0, started_at=100.0, trials=trials, extensions=extensions)


def test_summary_is_that_of_the_statistics_module() -> None:
    values = [0.61, 0.64, 0.58, 0.66, 0.6]
    summary = summaries.summary([*values, None])
    assert summary.count == 5
    assert summary.mean == pytest.approx(statistics.fmean(values))
    assert summary.deviation == pytest.approx(statistics.stdev(values))


@pytest.mark.parametrize("value", [59 / 60, 0.1, 1 / 3, 1e-300, 1e300])
def test_equal_numbers_have_a_deviation_of_exactly_zero(value: float) -> None:
    assert summaries.deviation([value] * 10) == 0


def test_summary_of_little_claims_little() -> None:
    assert summaries.summary([]) == summaries.Summary(0, None, None)
    assert summaries.summary([0.5, None]) == summaries.Summary(1, 0.5, None)


def test_best_so_far_steps_at_improvements_only() -> None:
    trials = [trial(1, 110, 150, 0.3), trial(2, 160, 200, 0.2), trial(3, 210, 260, 0.5), trial(4, 270, 280, None)]
    steps = summaries.best_so_far(session(*trials, trial(5, 290, None, 0.9)), "seconds")
    assert steps == (summaries.Best(50, 0.3, 1), summaries.Best(160, 0.5, 3))


def test_a_trial_that_still_trains_is_not_ahead_since_it_may_fall_behind() -> None:
    tuned = session(trial(1, 110, 150, 0.3), trial(2, 160, None, 0.4))
    assert summaries.best_so_far(tuned, "seconds") == (summaries.Best(50, 0.3, 1),)


def test_the_clock_of_a_curve_leaves_out_waiting_and_outages() -> None:
    # The second trial waited 30 s for an agent; the server was down from 300 to 320, while nothing trained.
    outage = Extension(20, "the server was down", start=300)
    tuned = session(trial(1, 110, 150, 0.3), trial(2, 200, 240, 0.4, wait=30), trial(3, 330, 400, 0.5), extensions=(outage,))
    assert [step.used for step in summaries.best_so_far(tuned, "seconds")] == [50, 240 - 100 - 30, 400 - 100 - 30 - 20]
    assert summaries.clock(tuned, 185) == 185 - 100 - 15  # in the middle of the waiting
    assert summaries.clock(tuned, 50) == 0


def test_extra_time_given_does_not_turn_the_clock_back() -> None:
    tuned = session(trial(1, 110, 150, 0.3), extensions=(Extension(600, "the fire alarm"),))
    assert summaries.clock(tuned, 150) == 50


def test_budgets_of_trials_and_epochs_have_their_own_clock() -> None:
    trials = (trial(1, 110, 150, 0.3), trial(2, 160, 200, 0.4))
    tuned = session(*trials, budget=Budget(trials=5))
    assert summaries.unit_of(tuned.budget) == "trials"
    assert [step.used for step in summaries.best_so_far(tuned, "trials")] == [1, 2]
    assert [step.used for step in summaries.best_so_far(tuned, "epochs")] == [10, 20]


def names(before: Configuration | None, after: Configuration) -> list[tuple[str, str | None, str | None]]:
    return [(change.label, change.before, change.after) for change in summaries.changes(SPACE, before, after)]


def test_changes_name_what_differs_as_people_read_it() -> None:
    changed = names(configuration(), configuration(learning_rate=1e-5, epochs=20))
    assert changed == [("epochs", "10", "20"), ("learning rate", "0.001", "1e-5")]
    assert names(configuration(), configuration()) == []


def test_a_first_trial_is_told_against_the_defaults() -> None:
    assert names(None, configuration(weight_decay=0.01)) == [
        ("epochs", None, "10"),
        ("optimizer", None, "Adam"),
        ("weight decay", "0", "0.01"),
    ]


def test_conditional_values_come_and_go_with_their_condition() -> None:
    plain, pushed = configuration(optimizer="sgd"), configuration(optimizer="sgd", momentum=0.9)
    assert names(configuration(), plain) == [("optimizer", "Adam", "SGD")]
    assert names(configuration(), pushed) == [("optimizer", "Adam", "SGD"), ("momentum", None, "0.9")]
    assert names(pushed, configuration()) == [("optimizer", "SGD", "Adam")]
    assert names(pushed, plain) == [("momentum", "0.9", "0")]


def evaluation(*values: float | None) -> Evaluation:
    outcomes = [Outcome.DIVERGED if value is None else Outcome.COMPLETED for value in values]
    pairs = enumerate(zip(values, outcomes, strict=True))
    return Evaluation(1, "accuracy", tuple(SeedScore(index, index, outcome, value) for index, (value, outcome) in pairs))


def test_dots_lie_in_order_without_hiding_one_another() -> None:
    evaluated = evaluation(0.61, 0.611, 0.6105, None, 0.66, 0.58)
    drawn = dots(evaluated, summaries.summarize(evaluated))
    assert drawn is not None
    assert len(drawn.places) == 5
    assert [x for x, _ in drawn.places] == sorted(x for x, _ in drawn.places)
    closest = min(math.dist(one, other) for i, one in enumerate(drawn.places) for other in drawn.places[:i])
    assert closest > 4.5
    assert all(0 <= x <= 400 for x, _ in drawn.places)
    assert 3 <= len(drawn.ticks) <= 8


@pytest.mark.parametrize("values", [(0.5,), (0.1,) * 10, (0.0, 0.0)])
def test_dots_of_equal_scores_can_be_drawn(values: tuple[float, ...]) -> None:
    evaluated = evaluation(*values)
    drawn = dots(evaluated, summaries.summarize(evaluated))
    assert drawn is not None
    assert len(set(drawn.places)) == len(values)
    assert all(0 <= y <= 58 for _, y in drawn.places)


def test_no_score_gives_no_drawing() -> None:
    evaluated = evaluation(None, None)
    assert dots(evaluated, summaries.summarize(evaluated)) is None
