"""Runs and trials side by side: what differs, what they reached and spent, and what makes that unfair."""

from dataclasses import replace

import pytest

from evenhand.analysis.run_comparison import MOST_COLUMNS, compare_runs, compare_trials
from evenhand.analysis.session_clock import SessionClock
from evenhand.analysis.summaries import clock
from evenhand.errors import InvalidSettings
from evenhand.model.condition import Condition
from evenhand.model.domain import Choice, Float, Integer, Value
from evenhand.model.evaluation import Evaluation, SeedScore
from evenhand.model.hyperparameter import Hyperparameter
from evenhand.model.session import Extension, FinalChoice, Pause, Session
from evenhand.model.space import Space
from evenhand.model.study import Budget
from evenhand.model.task import TaskRecord, TaskSpec
from evenhand.model.trial import Hold, Outcome, Trial

SPACE = Space(
    [
        Hyperparameter("optimizer", Choice(("adam", "sgd"), ("Adam", "SGD")), "adam"),
        Hyperparameter("rate", Float(1e-5, 0.1, log=True), 1e-3, label="learning rate"),
        Hyperparameter("momentum", Float(0, 1), 0.9, condition=Condition("optimizer", ("sgd",))),
    ]
)
WIDER = Space(
    [
        Hyperparameter("rate", Float(1e-6, 1.0, log=True), 1e-3, label="learning rate"),
        Hyperparameter("optimizer", Choice(("adam", "sgd", "lamb")), "adam"),
        Hyperparameter("layers", Integer(1, 8), 2),
    ]
)


def task(space: Space = SPACE, version: str = "1") -> TaskRecord:
    return TaskRecord(TaskSpec("churn.py:train"), version, space, "accuracy", "maximize", 10)


def trial(number: int, value: float | None, *, space: Space = SPACE, session: int = 1, epochs: int = 5, **values: Value) -> Trial:
    return Trial(
        id=100 * session + number,
        session_id=session,
        number=number,
        configuration=space.configuration(values),
        proposer="tpe",
        submitted_at=100.0 + 10 * number,
        epochs_planned=epochs,
        claimed_at=102.0 + 10 * number,
        attempt=1,
        finished_at=110.0 + 10 * number,
        outcome=Outcome.COMPLETED if value is not None else Outcome.DIVERGED,
        value=value,
        epochs_done=epochs,
        epochs_begun=epochs,
    )


def session(number: int, *trials: Trial, of: TaskRecord | None = None, chosen: int | None = None) -> Session:
    choice = None if chosen is None else FinalChoice(500.0, trials[chosen - 1].configuration, trials[chosen - 1].id)
    return Session(
        number, 1, of or task(), "method", "tpe", Budget(trials=9), 7, 0.0,
        started_at=100.0, trials=trials, choice=choice, purpose="exploratory", process="here", last_seen=600.0,
    )  # fmt: skip


@pytest.fixture
def narrow() -> Session:
    last = trial(4, 0.7, optimizer="sgd", momentum=0.8)
    return session(1, trial(1, 0.5), trial(2, None), trial(3, 0.4), last, chosen=4)


@pytest.fixture
def wide() -> Session:
    made = [trial(number, value, space=WIDER, session=2, epochs=2) for number, value in enumerate((0.6, 0.65), 1)]
    return session(2, *made, of=task(WIDER, "2"))


def test_configurations_of_spaces_that_differ_are_told_apart(narrow: Session, wide: Session) -> None:
    rows = {row.name: row for row in compare_runs([narrow, wide]).rows}
    assert list(rows) == ["optimizer", "rate", "momentum", "layers"]
    assert (rows["optimizer"].texts, rows["optimizer"].differs) == (("SGD", "adam"), True)
    assert (rows["rate"].texts, rows["rate"].values, rows["rate"].differs) == (("0.001", "0.001"), (0.001, 0.001), False)
    assert rows["rate"].label == "learning rate"
    assert (rows["momentum"].texts, rows["momentum"].differs) == (("0.8", None), True)
    assert (rows["layers"].texts, rows["layers"].values) == ((None, "2"), (None, 2))


def test_what_was_searched_is_told_apart_too(narrow: Session, wide: Session) -> None:
    domains = {row.name: row for row in compare_runs([narrow, wide]).domains}
    assert domains["rate"].texts == ("1e-5 to 0.1, by magnitude", "1e-6 to 1, by magnitude")
    assert domains["momentum"].texts == ("0 to 1, where optimizer is SGD", None)
    assert all(row.differs for row in domains.values())
    assert not any(row.differs for row in compare_runs([narrow, replace(narrow, id=3)]).domains)


def test_a_run_is_its_choice_its_effort_and_its_steps(narrow: Session, wide: Session) -> None:
    compared = compare_runs([narrow, wide])
    first, second = compared.columns
    assert (first.number, first.is_chosen, first.value, first.best) == (4, True, 0.7, 0.7)
    assert (first.trials, first.epochs, first.training_seconds) == (4, 20, 32.0)
    # 400 s until the choice, less 2 s before each of the four trials in which one waited; the next one is submitted as one ends.
    assert first.seconds == 400 - 8
    assert [(step.trials, step.epochs, step.seconds, step.value, step.number) for step in first.steps] == [
        (1, 5, 18.0, 0.5, 1),
        (4, 20, 42.0, 0.7, 4),
    ]
    assert (second.number, second.is_chosen, second.has_ended, second.best) == (2, False, False, 0.65)
    assert (compared.common_trials, first.best_at_common, second.best_at_common) == (2, 0.5, 0.65)


def test_unequal_effort_and_other_tasks_are_said(narrow: Session, wide: Session) -> None:
    warnings = compare_runs([narrow, wide]).warnings
    assert warnings[0] == "Unequal effort in trials: #1 4 trials, #2 2 trials. More trials find a better value by luck alone."
    assert warnings[1] == "Unequal effort in epochs: #1 20 epochs, #2 4 epochs."
    assert warnings[2].startswith("Unequal effort in time: #1 7 min, #2 ")
    assert warnings[3:] == (
        "The tasks are not the same (2 versions), so data, splits or code may differ.",
        "Not ended yet: #2.",
    )
    assert compare_runs([narrow, replace(narrow, id=3)]).warnings == ()


def test_test_scores_are_there_only_where_they_are_handed_over(narrow: Session, wide: Session) -> None:
    assert all(column.test is None for column in compare_runs([narrow, wide]).columns)
    values = (0.6, 0.64, 0.62, None)
    evaluation = Evaluation(
        1, "accuracy", tuple(SeedScore(index, index, Outcome.COMPLETED, value) for index, value in enumerate(values))
    )
    first, second = compare_runs([narrow, wide], {1: evaluation}).columns
    assert second.test is None
    assert first.test is not None
    assert first.test.mean == pytest.approx(0.62)
    assert (first.test.planned, first.test.values) == (4, (0.6, 0.64, 0.62))
    assert first.test.deviation == pytest.approx(0.02)
    half = 4.302653 * 0.02 / 3**0.5  # Student's t of two degrees of freedom
    assert first.test.low == pytest.approx(0.62 - half)
    assert first.test.high == pytest.approx(0.62 + half)
    assert first.test.half == pytest.approx(half)


def test_a_run_without_a_value_has_a_column_all_the_same(narrow: Session) -> None:
    column = compare_runs([narrow, session(2)]).columns[1]
    assert (column.number, column.value, column.best, column.steps, column.trials, column.seconds) == (None, None, None, (), 0, 0)


def test_trials_side_by_side(narrow: Session, wide: Session) -> None:
    compared = compare_trials([(narrow, narrow.trials[0]), (narrow, narrow.trials[3]), (wide, wide.trials[1])])
    assert [(column.run, column.number, column.value, column.seconds, column.epochs) for column in compared.columns] == [
        ("#1", 1, 0.5, 8.0, 5),
        ("#1", 4, 0.7, 8.0, 5),
        ("#2", 2, 0.65, 8.0, 2),
    ]
    assert [row.name for row in compared.rows if row.differs] == ["optimizer", "momentum", "layers"]


def test_what_cannot_be_compared_is_refused(narrow: Session, wide: Session) -> None:
    with pytest.raises(InvalidSettings, match="runs: got 1, expected 2 to 20"):
        compare_runs([narrow])
    with pytest.raises(InvalidSettings, match="got 21, expected 2 to 20"):
        compare_runs([replace(narrow, id=number) for number in range(MOST_COLUMNS + 1)])
    with pytest.raises(InvalidSettings, match="runs 1, 1: one is there twice"):
        compare_runs([narrow, narrow])
    with pytest.raises(InvalidSettings, match="trials 1 of session 1, 1 of session 1: one is there twice"):
        compare_trials([(narrow, narrow.trials[0]), (narrow, narrow.trials[0])])
    other = replace(wide, task=replace(wide.task, metric="loss", direction="minimize"))
    with pytest.raises(InvalidSettings, match=r"session 2 is tuned for loss \(minimize\), session 1 for accuracy \(maximize\)"):
        compare_runs([narrow, other])


def test_whole_numbers_and_truth_values_do_not_pass_for_each_other() -> None:
    of_truths, of_numbers = Space({"flag": [True, False]}), Space({"flag": [1, 2]})
    pairs = [
        (session(1, of=task(of_truths)), trial(1, 0.5, space=of_truths, flag=True)),
        (session(2, of=task(of_numbers)), trial(1, 0.5, space=of_numbers, session=2, flag=1)),
    ]
    assert compare_trials(pairs).rows[0].differs


def test_the_clock_at_many_moments_is_the_clock_at_each(narrow: Session) -> None:
    held = replace(narrow.trials[3], holds=(Hold(144.0, 147.0),))
    busy = replace(
        narrow,
        trials=(*narrow.trials[:3], held),
        extensions=(Extension(600, "the fire alarm"), Extension(20, "the server was down", start=300.0)),
        pauses=(Pause(200.0, 230.0, "lunch"), Pause(520.0, None, "night")),
    )
    quick = SessionClock(busy, 700.0)
    moments = [50.0, 100.0, 111.0, 112.5, 125.0, 142.0, 145.0, 150.0, 199.0, 215.0, 231.0, 310.0, 325.0, 500.0, 540.0, 700.0]
    assert [quick.at(moment) for moment in moments] == pytest.approx([clock(busy, moment) for moment in moments])


def test_a_session_left_by_its_process_is_on_the_clock_until_then(narrow: Session) -> None:
    left = replace(narrow, choice=None, process=None, last_seen=200.0)
    assert clock(left, 150.0) == 150 - 100 - 8  # before it was left, as if it had not been
    assert SessionClock(left, 400.0).at(150.0) == clock(left, 150.0)
    assert SessionClock(left, 400.0).at(400.0) == clock(left, 400.0) == 200 - 100 - 8
