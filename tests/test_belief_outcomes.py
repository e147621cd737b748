"""What became of beliefs: helped, overruled or undecided, by trials whose numbers are known beforehand."""

from collections.abc import Sequence
from dataclasses import asdict, replace

import pytest

from evenhand.analysis import belief_outcomes
from evenhand.analysis.belief_outcomes import Became
from evenhand.model.domain import Value
from evenhand.model.hyperparameter import Prior, keeps_to
from evenhand.model.session import Intervention, Session
from evenhand.model.space import Space
from evenhand.model.study import Budget
from evenhand.model.trial import Outcome, Trial
from tests.archives import SPACE, TASK

GOOD, BAD = 0.01, 1.0  # learning rates: half of the scale apart, so that BAD lies two widths of medium confidence away
SAID = Prior(0.01, "medium")
Made = tuple[Value, float | None] | tuple[Value, float | None, str]


def session(
    made: Sequence[Made],
    prior: Prior | None = SAID,
    name: str = "rate",
    later: Sequence[Intervention] = (),
    maximize: bool = True,
) -> Session:
    """A method's session: a belief at 5 s, then these trials (value of the hyperparameter, score, proposer) at 10 s, 20 s, ..."""
    trials = tuple(_trial(number, name, *parts) for number, parts in enumerate(made, 1))
    said = {} if prior is None else {name: asdict(prior)}
    interventions = (Intervention(5.0, "researcher", "believes", None, said, "the last project"), *later)
    task = TASK if maximize else replace(TASK, direction="minimize")
    return Session(
        1, 1, task, "method", "pibo", Budget(trials=50), 7, 0.0, started_at=0.0, trials=trials, interventions=interventions
    )


def _trial(number: int, name: str, value: Value, score: float | None, proposer: str = "pibo") -> Trial:
    values: dict[str, Value] = {"epochs": 10, "optimizer": "adam", "rate": 0.01, name: value}
    return Trial(
        number,
        1,
        number,
        SPACE.configuration(values),
        proposer,
        10.0 * number,
        10,
        claimed_at=10.0 * number,
        finished_at=10.0 * number + 9,
        outcome=Outcome.DIVERGED if score is None else Outcome.COMPLETED,
        value=score,
    )


def one(made: Session) -> Became:
    (outcome,) = belief_outcomes.became(made)
    return outcome


def test_a_region_is_two_widths_on_the_scale_or_the_option() -> None:
    domain = SPACE["rate"].domain  # 1e-4 to 1, log: 0.01 lies at 0.5
    assert keeps_to(domain, 0.01 * 10 ** (4 * 0.239), SAID)
    assert not keeps_to(domain, 0.01 * 10 ** (4 * 0.241), SAID)
    assert keeps_to(domain, 1.0, Prior(0.01, "low"))
    assert keeps_to(domain, 0.01, Prior(better="larger")) is None
    optimizer = SPACE["optimizer"].domain
    assert [keeps_to(optimizer, value, Prior("adam", "low")) for value in ("adam", "sgd")] == [True, False]


def test_a_belief_that_the_best_trials_keep_to_helped() -> None:
    outcome = one(session([(BAD, 0.3), (GOOD, 0.6), (GOOD, 0.7), (BAD, 0.65), (GOOD, 0.8), (BAD, 0.1)]))
    assert outcome.inside == belief_outcomes.Side(3, 3, 0.8, 0.7)
    assert outcome.outside == belief_outcomes.Side(3, 3, 0.65, 0.3)
    assert (outcome.best, outcome.best_inside, outcome.verdict) == (5, True, "helped")
    assert (outcome.belief.who, outcome.belief.at, outcome.belief.reason) == ("researcher", 5.0, "the last project")


def test_a_belief_that_the_method_left_behind_was_overruled() -> None:
    made: list[Made] = [(GOOD, 0.3), (GOOD, 0.2), (BAD, 0.6), (GOOD, 0.1), (BAD, 0.7), (BAD, 0.8)]
    outcome = one(session(made))
    assert (outcome.best_inside, outcome.late, outcome.late_outside, outcome.verdict) == (False, 2, 2, "overruled")
    # a person's trials say nothing of where the method goes
    stays = one(session([*made[:4], (GOOD, 0.2), (BAD, 0.7, "researcher"), (BAD, 0.8, "researcher")]))
    assert (stays.late, stays.late_outside, stays.verdict) == (2, 0, "undecided")
    assert "still tries within it" in stays.why


def test_less_is_better_where_the_metric_says_so() -> None:
    made: list[Made] = [(BAD, 0.9), (GOOD, 0.2), (GOOD, 0.3), (BAD, 0.8), (GOOD, 0.1), (BAD, 0.7)]
    outcome = one(session(made, maximize=False))
    assert (outcome.best, outcome.verdict) == (5, "helped")
    assert outcome.inside == belief_outcomes.Side(3, 3, 0.1, 0.2)
    assert one(session(made)).best_inside is False


@pytest.mark.parametrize(
    ("made", "why"),
    [
        ([(GOOD, 0.5)] * 5, "5 of at least 6"),
        ([(GOOD, 0.5), (GOOD, None), (BAD, 0.4), (BAD, 0.3), (BAD, 0.2), (BAD, 0.1)], "5 of at least 6"),
        ([(BAD, 0.5)] * 6, "never tried"),
        ([(GOOD, 0.5)] * 6, "lie outside of it"),
        ([(GOOD, 0.9), (GOOD, 0.1), (GOOD, 0.1), (BAD, 0.4), (BAD, 0.5), (BAD, 0.6)], "no better than outside"),
    ],
)
def test_what_trials_do_not_decide_says_why(made: list[Made], why: str) -> None:
    outcome = one(session(made))
    assert outcome.verdict == "undecided"
    assert why in outcome.why


def test_only_the_trials_while_a_belief_was_held_count() -> None:
    back = Intervention(35.0, "researcher", "believes", None, {"rate": None})
    made: list[Made] = [(GOOD, 0.5), (BAD, 0.4), (GOOD, 0.6), (BAD, 0.9), (BAD, 0.9)]
    outcome = one(session(made, later=[back]))
    assert (outcome.belief.until, outcome.belief.ended, outcome.valued) == (35.0, "taken back", 3)
    again = Intervention(35.0, "ada", "believes", None, {"rate": asdict(Prior(1.0, "high"))})
    first, second = belief_outcomes.became(session(made, later=[again]))
    assert (first.belief.ended, first.valued, second.belief.ended, second.valued) == ("replaced", 3, "", 2)
    assert second.inside == belief_outcomes.Side(2, 2, 0.9, 0.9)


def test_importance_and_direction_are_left_undecided() -> None:
    made: list[Made] = [(0.001 * 2**number, 0.1 * number) for number in range(7)]
    better = one(session(made, Prior(better="larger")))
    assert better.verdict == "undecided"
    assert better.trend == pytest.approx(1.0)
    assert one(session(made, Prior(better="larger"), maximize=False)).trend == pytest.approx(-1.0)
    matters = one(session(made, Prior(important=True)))
    assert (matters.inside, matters.verdict) == (None, "undecided")
    assert "how much" in matters.why
    options: list[Made] = [("adam", 0.1), ("sgd", 0.2)]
    assert one(session(options, Prior("sgd"), "optimizer")).trend is None


def test_what_the_tasks_file_says_is_a_belief_too() -> None:
    made: list[Made] = [(BAD, 0.3), (GOOD, 0.6), (GOOD, 0.7), (BAD, 0.65), (GOOD, 0.8), (BAD, 0.1)]
    rates = [replace(hyperparameter, prior=SAID) if hyperparameter.name == "rate" else hyperparameter for hyperparameter in SPACE]
    believing = replace(session(made, None), task=replace(TASK, space=Space(rates)))
    outcome = one(believing)
    assert (outcome.belief.who, outcome.verdict, outcome.valued) == (belief_outcomes.TASK_NAME, "helped", 6)
    taken = replace(believing, interventions=(Intervention(35.0, "researcher", "believes", None, {"rate": None}),))
    assert (one(taken).belief.ended, one(taken).valued) == ("taken back", 3)


def test_nothing_believed_is_nothing_to_tell() -> None:
    assert belief_outcomes.became(session([(GOOD, 0.5)], None)) == ()


def test_what_is_believed_now_is_what_was_said_last() -> None:
    assert belief_outcomes.now_believed(session([])) == {"rate": SAID}
    newer = Prior(1.0, "high")
    again = Intervention(35.0, "ada", "believes", None, {"rate": asdict(newer)})
    back = Intervention(45.0, "ada", "believes", None, {"rate": None})
    assert belief_outcomes.now_believed(session([], later=[again])) == {"rate": newer}
    assert belief_outcomes.now_believed(session([], later=[again, back])) == {}
    rates = [replace(hyperparameter, prior=SAID) if hyperparameter.name == "rate" else hyperparameter for hyperparameter in SPACE]
    believing = replace(session([], None), task=replace(TASK, space=Space(rates)))
    assert belief_outcomes.now_believed(believing) == {"rate": SAID}
