"""Search behaviour by hand-made sessions whose numbers can be counted, and how much headlines depend on what is left open."""

import math
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest

from evenhand.analysis import behaviour, paper_items, sensitivity
from evenhand.model.archive import Archive
from evenhand.model.condition import Condition
from evenhand.model.domain import Choice as Options
from evenhand.model.domain import Float, Integer, Value
from evenhand.model.evaluation import Evaluation, SeedScore
from evenhand.model.hyperparameter import Hyperparameter
from evenhand.model.participant import Participant
from evenhand.model.session import FinalChoice, Session
from evenhand.model.space import Space
from evenhand.model.study import MONTHS, AnalysisPlan, Budget, Study, Text
from evenhand.model.task import TaskRecord, TaskSpec
from evenhand.model.trial import Outcome, Stopper, Trial

SPACE = Space(
    [
        Hyperparameter("epochs", Integer(1, 100), fidelity=True),
        Hyperparameter("optimizer", Options(("adam", "sgd", "asgd"))),
        Hyperparameter("rate", Float(1e-4, 1, log=True), 0.01),
        Hyperparameter("momentum", Float(0, 1), 0.0, condition=Condition("optimizer", ("sgd",))),
        Hyperparameter("lambd", Float(0, 1), 0.75, condition=Condition("optimizer", ("asgd",))),
    ]
)
TASK = TaskRecord(TaskSpec("toy"), "1", SPACE, "accuracy", "maximize", 100, statistics={"classes": 10}, id=1)
Given = tuple[dict[str, Value], float | None]


def session(tries: Sequence[Given], number: int = 1, outcomes: Sequence[Outcome] = (), **rest: object) -> Session:
    """A session whose trials have these values beside epochs 10 and Adam, one after the other, each with its validation value."""
    trials = tuple(
        Trial(
            id=100 * number + index,
            session_id=number,
            number=index,
            configuration=SPACE.configuration({"epochs": 10, "optimizer": "adam", **values}),
            proposer="P",
            submitted_at=10.0 * index,
            epochs_planned=10,
            claimed_at=10.0 * index,
            finished_at=10.0 * index + 9,
            outcome=outcomes[index - 1] if outcomes else Outcome.COMPLETED,
            stop_by=Stopper.TUNER if outcomes and outcomes[index - 1] is Outcome.STOPPED else None,
            value=value,
        )
        for index, (values, value) in enumerate(tries, 1)
    )
    made = Session(number, 1, TASK, "participant", f"P-{number:02}", Budget(trials=20), 7, 0.0, started_at=1.0, trials=trials)
    return replace(made, **rest)  # type: ignore[arg-type]


def test_step_is_the_root_mean_square_over_shared_hyperparameters() -> None:
    """rate from 0.01 to 1 is half of its four decades; the optimizer changed; epochs stayed; momentum is in one only."""
    before = SPACE.configuration({"epochs": 10, "optimizer": "adam"})
    after = SPACE.configuration({"epochs": 10, "optimizer": "sgd", "rate": 1, "momentum": 0.5})
    assert behaviour.step(SPACE, before, after) == pytest.approx(math.sqrt((0 + 1 + 0.25) / 3))
    assert behaviour.step(SPACE, before, before) == 0
    assert behaviour.step(SPACE, {}, before) is None


def test_moves_are_counted() -> None:
    measured = behaviour.behaviour(
        session(
            [
                ({}, 0.5),
                ({"rate": 0.1}, 0.4),  # from trial 1, the best and the last
                ({"rate": 0.02}, 0.6),  # from trial 1, which is the best: one change, and a smaller step than from trial 2
                ({"rate": 0.2, "epochs": 50, "optimizer": "sgd", "momentum": 0.9}, 0.3),  # far from all
                ({"rate": 0.2, "epochs": 60, "optimizer": "sgd", "momentum": 0.9}, None),  # from the last
                ({"rate": 0.1, "epochs": 11}, 0.1),  # from trial 2, neither the best nor the last
                ({"rate": 0.02}, 0.6),  # repeats the best
            ]
        )
    )
    assert [move.origin for move in measured.moves] == ["best and last", "best", "far", "last", "earlier", "best"]
    assert [move.changed for move in measured.moves] == [1, 1, 4, 1, 3, 2]
    assert [move.repeat for move in measured.moves] == [False, False, False, False, False, True]
    assert [move.optional_only for move in measured.moves] == [True, True, False, False, False, False]
    assert measured.n == 7
    assert [measured.exploit, measured.explore] == pytest.approx([3 / 6, 1 / 6])
    assert [measured.repeats, measured.optional_only] == pytest.approx([1 / 6, 2 / 6])
    assert measured.changed == pytest.approx(12 / 6)
    assert sum(measured.origins.values()) == pytest.approx(1)


def test_far_is_more_than_half_of_what_is_active() -> None:
    """With Adam 3 are active: 2 changes are far. With SGD 4 are: 2 changes are not, 3 are."""
    adam = session([({}, 0.5), ({"rate": 1, "epochs": 50}, 0.4)])
    near = session([({"optimizer": "sgd"}, 0.5), ({"optimizer": "sgd", "rate": 1, "epochs": 50}, 0.4)])
    far = session([({"optimizer": "sgd"}, 0.5), ({"optimizer": "sgd", "rate": 1, "epochs": 50, "momentum": 0.5}, 0.4)])
    origins = [behaviour.behaviour(session).moves[0].origin for session in (adam, near, far)]
    assert origins == ["far", "best and last", "far"]


def test_the_best_is_what_could_be_known() -> None:
    """Trial 2 was better, but had not ended when trial 3 was submitted."""
    made = session([({}, 0.5), ({"rate": 0.1}, 0.9), ({"rate": 0.011}, 0.4)])
    late = replace(made, trials=(made.trials[0], replace(made.trials[1], finished_at=35.0), made.trials[2]))
    assert [move.origin for move in behaviour.behaviour(made).moves] == ["best and last", "earlier"]
    assert [move.origin for move in behaviour.behaviour(late).moves] == ["best and last", "best"]


def test_what_the_infrastructure_failed_is_no_choice() -> None:
    outcomes = [Outcome.COMPLETED, Outcome.FAILED, Outcome.COMPLETED]
    measured = behaviour.behaviour(session([({}, 0.5), ({"rate": 0.1}, None), ({"rate": 0.1}, 0.6)], outcomes=outcomes))
    assert (measured.n, [move.repeat for move in measured.moves]) == (2, [False])


def test_one_trial_has_no_moves() -> None:
    measured = behaviour.behaviour(session([({}, 0.5)]))
    assert measured.step is None
    assert measured.why == "not computable: 1 trials, at least 2 are needed"
    assert behaviour.likeness(measured, behaviour.random_search(SPACE, 3, 1, 10)).why == measured.why


def test_groups_are_compared_by_one_value_a_participant() -> None:
    still = [behaviour.behaviour(session([({}, 0.5), ({}, 0.5), ({}, 0.5)], number)) for number in (1, 2, 3)]
    wide = [behaviour.behaviour(session([({}, 0.5), ({"rate": 1}, 0.5)], number)) for number in (4, 5)]
    comparisons = {comparison.measure: comparison for comparison in behaviour.compare({"still": still, "wide": wide})}
    assert comparisons.keys() == behaviour.MEASURES.keys()
    assert (comparisons["step"].n, comparisons["step"].groups["still"].mean) == (5, 0)
    assert comparisons["step"].groups["wide"].mean == pytest.approx(math.sqrt(0.25 / 3))
    assert comparisons["step"].test.p is not None
    assert comparisons["explore"].test.why == "not computable: all 5 values are equal"


@pytest.mark.slow
def test_a_random_tuner_is_like_random_search_and_a_careful_one_is_not() -> None:
    random = behaviour.random_search(SPACE, 12, seed=1, simulations=300)
    assert np.array_equal(random.steps, behaviour.random_search(SPACE, 12, seed=1, simulations=300).steps)
    rng, percentiles = np.random.default_rng(2), []
    for number in range(1, 31):
        drawn: list[Given] = [(dict(SPACE.sample(rng)), 0.5) for _ in range(10)]
        beside_random = behaviour.likeness(behaviour.behaviour(session(drawn, number)), random)
        assert beside_random.step is not None
        percentiles.append(beside_random.step)
    assert 35 < np.mean(percentiles) < 65  # uniform on 0 to 100: 50, with a standard error of 5
    careful: list[Given] = [({"rate": 0.01 + 0.001 * index}, 0.5) for index in range(10)]
    likeness = behaviour.likeness(behaviour.behaviour(session(careful)), random)
    assert (likeness.step, likeness.changed, likeness.why) == (0, 0, None)
    longer = behaviour.likeness(behaviour.behaviour(session(careful * 2)), random)
    assert longer.why == "not computable: 20 trials, but the random tuners have 12"


def test_percentile_halves_what_is_equal() -> None:
    assert behaviour.percentile(2, [1, 2, 2, 3]) == 50
    assert behaviour.percentile(None, [1]) is None
    assert behaviour.percentile(1, []) is None


def test_the_best_of_random_tuners() -> None:
    """From a pool of 0.2, 0.8 and one without a value: after k tries, the chance to have seen 0.8 is 1 - (2/3)^k."""
    bests = behaviour.random_bests([0.2, 0.8, None], True, 6, seed=1, simulations=4000)
    for k in range(6):
        assert (bests[:, k] == 0.8).mean() == pytest.approx(1 - (2 / 3) ** (k + 1), abs=0.03)
    curve = behaviour.random_curve(bests)
    assert [point.tries for point in curve] == [1, 2, 3, 4, 5, 6]
    assert (curve[0].low, curve[0].high) == (None, 0.8)
    assert curve[5].median == 0.8
    compared = behaviour.against_random(session([({}, 0.1), ({"rate": 0.1}, 0.5)]), bests, 1)
    assert (compared.n, compared.best) == (2, 0.5)
    assert compared.percentile == pytest.approx(100 * (2 / 3) ** 2, abs=3)
    assert behaviour.against_random(session([({}, None)]), bests, 1).why == "not computable: no trial has a value"


def test_the_pool_is_the_random_sessions() -> None:
    made = session([({}, 0.1), ({"rate": 0.1}, None)])
    trials = tuple(replace(trial, proposer="random") for trial in made.trials)
    random = replace(made, kind="method", tuner="random", method={"name": "random"}, trials=trials)
    assert behaviour.random_pool([made, random, replace(random, method={"name": "tpe"})], 1) == (0.1, None)
    assert behaviour.random_pool([random], 2) == ()
    joint = replace(random, trials=(trials[0], replace(trials[1], proposer="researcher")))
    assert joint.is_joint
    assert behaviour.random_pool([joint], 1) == ()


# Sensitivity


def archive(months: Sequence[float], finals: Sequence[float | None], plan: AnalysisPlan = AnalysisPlan()) -> Archive:  # noqa: B008
    """One participant for each; scores from three seeds, of which the last diverged where the final is None."""
    study = Study("s", "s", 1, Budget(trials=20), 1, Text(""), Text(""), Text(""), plan=plan)
    people, sessions, evaluations = [], [], {}
    for number, (month, final) in enumerate(zip(months, finals, strict=True), 1):
        people.append(
            Participant(
                number,
                1,
                f"P-{number:02}",
                0.0,
                session_id=number,
                answered=("background",),
                answers={"background.months": month},
            )
        )
        tries: list[Given] = [({}, 0.2), ({"rate": 0.1}, 0.1 + (final or 0)), ({"rate": 0.2}, 0.3)]
        made = session(tries, number, participant_id=number)
        chosen = FinalChoice(99.0, made.trials[1].configuration, made.trials[1].id, automatic=number == 1)
        sessions.append(replace(made, choice=chosen))
        outcome = Outcome.DIVERGED if final is None else Outcome.COMPLETED
        evaluations[number] = Evaluation(
            number,
            "accuracy",
            (SeedScore(0, 1, Outcome.COMPLETED, 0.4 if final is None else final), SeedScore(1, 2, outcome, final)),
        )
    return Archive(study, (study,), (TASK,), tuple(people), tuple(sessions), evaluations)


STUDIED = archive([0, 0, 0, 3, 9, 9, 12, 24, 36], [0.3, 0.32, None, 0.5, 0.66, 0.69, 0.6, 0.7, 0.75])


def rows(alternative: str, choice: str = "") -> dict[str, sensitivity.SensitivityRow]:
    table = sensitivity.sensitivity(STUDIED, "live")
    return {row.headline: row for row in table.rows if row.alternative == alternative and row.choice.startswith(choice)}


@pytest.mark.slow
def test_nine_months_move_the_group_means() -> None:
    """By hand: medium is 3, 9, 9 as planned, and 3 alone otherwise."""
    moved = rows("expert", "exactly 9 months")
    assert moved["mean score, medium"].planned == pytest.approx((0.5 + 0.66 + 0.69) / 3)
    assert moved["mean score, medium"].under == pytest.approx(0.5)
    assert moved["mean score, medium"].n == (3, 1)
    assert moved["mean score, expert"].under == pytest.approx((0.66 + 0.69 + 0.6 + 0.7 + 0.75) / 5)
    assert not moved["Spearman's rho of score and experience"].moves
    grouping = sensitivity.moved(MONTHS)
    assert [group.holds(9) for group in grouping.groups] == [False, False, True]
    assert [group.holds(9) for group in sensitivity.moved(grouping).groups] == [False, True, False]


@pytest.mark.slow
def test_diverged_seeds_count_as_said() -> None:
    assert rows("0", "diverged")["mean score, novice"].planned == pytest.approx((0.3 + 0.32 + 0.4) / 3)
    assert rows("0", "diverged")["mean score, novice"].under == pytest.approx((0.3 + 0.32 + 0.2) / 3)
    assert rows("chance", "diverged")["mean score, novice"].under == pytest.approx((0.3 + 0.32 + 0.25) / 3)


def test_diverged_trials_count_as_said() -> None:
    tries: list[Given] = [({}, 0.2), ({"rate": 0.1}, 0.9), ({"rate": 0.2}, 0.8)]
    part = replace(STUDIED, sessions=())
    for how, expected in (("as recorded", 2.0), ("no value", 3.0), ("dropped", 2.0)):
        made = session(tries, 1, [Outcome.COMPLETED, Outcome.DIVERGED, Outcome.COMPLETED], participant_id=1)
        made = replace(made, choice=FinalChoice(99.0, made.trials[0].configuration, made.trials[0].id))
        one = replace(part, participants=STUDIED.participants[:1], sessions=(made,))
        headlines = sensitivity.headlines(one, "live", sensitivity.Choices(diverged=how))  # type: ignore[arg-type]
        assert headlines["tries to 0.5, novice"].value == expected


def test_a_trial_that_turned_out_invalid_reaches_nothing_and_is_shown_in_figure_7_alone() -> None:
    outcomes = [*[Outcome.COMPLETED] * 4, Outcome.INVALID, Outcome.COMPLETED]
    made = session([({"rate": rate}, rate) for rate in (0.1, 0.2, 0.25, 0.3, 0.9, 0.6)], 1, outcomes, participant_id=1)
    made = replace(made, choice=FinalChoice(99.0, made.trials[0].configuration, made.trials[0].id))
    one = replace(STUDIED, participants=STUDIED.participants[:1], sessions=(made,))
    for best, shown in ((False, 0.9), (True, 0.3)):
        numbers = sensitivity.headlines(one, "live", sensitivity.Choices(best=best))
        assert numbers["tries to 0.5, novice"].value == 6 == paper_items.tries_to(made, 0.5)[0]
        assert numbers["value at try 5 (Fig. 7), novice"].value == shown


def test_lambda_decides_who_starts_from_defaults() -> None:
    made = session([({"optimizer": "asgd"}, 0.5)], 1, participant_id=1)
    made = replace(made, choice=FinalChoice(99.0, made.trials[0].configuration, made.trials[0].id))
    one = replace(STUDIED, participants=STUDIED.participants[:1], sessions=(made,))
    row = next(
        row
        for row in sensitivity.sensitivity(one, "live").rows
        if row.choice == "lambda's default" and row.headline == "starts from defaults, novice"
    )
    assert (row.planned, row.under, row.planned_as) == (1.0, 0.0, "0.75")


@pytest.mark.slow
def test_automatic_choices_can_be_left_out() -> None:
    assert rows("out")["mean score, novice"].n == (3, 2)


@pytest.mark.slow
def test_reasons_decide_what_a_default_is() -> None:
    first = STUDIED.sessions[1].trials[0]
    said = replace(first, reasons={"rate": "guess"})
    changed = replace(STUDIED.sessions[1], trials=(said, *STUDIED.sessions[1].trials[1:]))
    part = replace(STUDIED, sessions=(STUDIED.sessions[0], changed, *STUDIED.sessions[2:]))
    name = "starts from defaults, novice"
    assert sensitivity.headlines(part, "live", sensitivity.Choices())[name].value == 1
    assert sensitivity.headlines(part, "live", sensitivity.Choices(reasoned=True))[name].value == pytest.approx(2 / 3)


@pytest.mark.slow
def test_the_table_is_whole_and_honest() -> None:
    table = sensitivity.sensitivity(STUDIED, "live")
    choices = [alternative for alternative in sensitivity.alternatives(STUDIED, "live") if not isinstance(alternative[3], str)]
    assert len(choices) == 12
    assert len(table.rows) == len(choices) * len(sensitivity.headlines(STUDIED, "live", sensitivity.Choices()))
    for row in table.rows:
        assert all(value is None or math.isfinite(value) for value in (row.planned, row.under))
        assert row.why or (row.planned is not None and row.under is not None)
        assert row.flips is None or row.headline.startswith("p of")
    assert {row.headline for row in table.rows if row.choice == "Levene's centre" and row.moves} == {
        "p of Levene, novice and medium",
        "p of Levene, novice and expert",
        "p of Levene, medium and expert",
    }
    assert sensitivity.sensitivity(STUDIED, "live") == table


@pytest.mark.slow
def test_a_flip_is_a_change_of_sides() -> None:
    """Alpha between the two p-values of Levene's test: the conclusion depends on the centre."""
    row = rows("mean")["p of Levene, novice and expert"]
    assert row.planned is not None
    assert row.under is not None
    assert row.flips is False
    between = replace(STUDIED, study=replace(STUDIED.study, plan=AnalysisPlan(alpha=(row.planned + row.under) / 2)))
    headlines = sensitivity.sensitivity(between, "live").rows
    by_name = {(other.alternative, other.headline): other for other in headlines}
    assert by_name["mean", row.headline].flips is True


def test_a_study_without_anybody_has_a_table_of_reasons() -> None:
    table = sensitivity.sensitivity(replace(STUDIED, participants=(), sessions=(), evaluations={}), "live")
    assert table.n == 0
    assert table.rows
    assert all(row.planned is None and row.why for row in table.rows)
