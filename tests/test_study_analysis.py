"""The paper's items, against numbers counted by hand on small archives."""

import math
from dataclasses import asdict, replace
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from scipy import stats as scipy_stats

from evenhand.analysis import paper_items
from evenhand.analysis.attrition import flow
from evenhand.analysis.cohort import cohort
from evenhand.model.archive import Archive
from evenhand.model.domain import Value
from evenhand.model.session import Intervention
from evenhand.model.study import REASONS, AnalysisPlan, ExclusionRule, Grouping, ParticipantGroup
from evenhand.model.trial import Outcome
from evenhand.report.study import build
from tests.archives import SPACE, STUDY, TASK, Person, archive, many


@pytest.mark.parametrize(("f", "sizes", "p"), [(8.40, (8, 12), 0.01), (14.338, (8, 11), 0.001), (5.52, (12, 11), 0.029)])
def test_printed_p_of_table_2(f: float, sizes: tuple[int, int], p: float) -> None:
    assert round(float(scipy_stats.f.sf(f, 1, sum(sizes) - 2)), 2 if p == 0.01 else 3) == p


def test_printed_p_of_figure_4() -> None:
    t = 0.60 * math.sqrt(29 / (1 - 0.36))
    assert 2 * scipy_stats.t.sf(t, 29) == pytest.approx(0.00036, abs=0.000005)


def test_who_counts_and_why_not() -> None:
    people = [
        Person(0, (0.1, 0.2), (0.2, 0.4)),
        Person(9, (0.5, 0.6), (0.5,), rest={"withdrawn_at": 5.0}),
        Person(9, (0.5, 0.6), (0.5,), rest={"excluded": "asked a friend"}),
        Person(9, (0.5, 0.6), (0.5,), chose=False),
        Person(10, (0.5,), (0.5,)),
        Person(10, (0.5, 0.6), (0.5,), mode="pilot"),
        Person(10, (0.5, 0.6), (0.5,), mode="simulated"),
    ]
    planned = replace(STUDY, plan=AnalysisPlan(exclusions=(ExclusionRule("trials", at_least=2),)))
    made = archive(people, planned)
    counted = cohort(made, "live")
    assert [(member.pseudonym, member.seeds) for member in counted.members] == [("P-01", 2)]
    assert counted.members[0].final == pytest.approx(0.3)
    assert [left.why for left in counted.left] == [
        "withdrew", "excluded: asked a friend", "made no final choice", "planned rule: fewer than 2 trials",
    ]  # fmt: skip
    assert [member.pseudonym for member in cohort(made, "pilot").members] == ["P-06"]
    stages = flow(made, "live").everyone
    assert (stages[0].count, stages[-1].count) == (5, 1)
    assert all(earlier.count - later.count == sum(loss.count for loss in later.lost) for earlier, later in pairwise(stages))


def test_regrouping() -> None:
    made = archive([Person(months, (0.5,), (0.5,)) for months in (0, 9, 10)])
    assert [member.group for member in cohort(made, "live").members] == ["novice", "medium", "expert"]
    other = Grouping("background.months", (ParticipantGroup("few", 0, 8), ParticipantGroup("many", 10)))
    assert [member.group for member in cohort(made, "live", grouping=other).members] == ["few", None, "many"]


def test_random_configurations_tell_both_ways() -> None:
    sample = paper_items.random_configurations(archive([], random=(0.2, 0.4, None)))
    assert (sample.n, sample.without, sum(sample.counts)) == (3, 1, 2)
    assert [sample.mean, sample.sd] == pytest.approx([0.3, math.sqrt(0.02)])
    assert [sample.mean_at_zero, sample.sd_at_zero] == pytest.approx([0.2, 0.2])
    assert (paper_items.random_configurations(archive([])).why or "").startswith("not computable")


def test_tries_and_by_try() -> None:
    people = [Person(0, (0.1, None, 0.6, 0.4)), Person(0, (0.5,)), Person(0, (0.1, 0.2))]
    counted = cohort(archive(people), "live")
    violin = paper_items.tries(counted, 0.5).violins[0]
    assert (violin.n, violin.tries, violin.never, violin.made, violin.mean, violin.median) == (3, (1, 3), 1, (2,), 2, 2)
    curves = paper_items.by_try(counted)
    assert [(p.number, p.n) for p in curves.current[0].points] == [(1, 3), (2, 1), (3, 1), (4, 1)]
    assert [p.mean for p in curves.best[0].points] == pytest.approx([0.7 / 3, 0.15, 0.6, 0.6])
    assert curves.current[0].points[0].error == pytest.approx(math.sqrt(0.32 / 3 / 2 / 3))


def test_minimised_metrics_turn_around() -> None:
    task = replace(TASK, metric="loss", direction="minimize")
    people = cohort(archive([Person(0, (3.0, 2.0, 2.5), (2.0,)), Person(0, (1.0,), (4.0,))], task=task), "live")
    assert paper_items.tries(people, 2.0).violins[0].tries == (1, 2)
    assert [p.mean for p in paper_items.by_try(people).best[0].points] == [2, 2, 2]
    worst = next(headline for headline in paper_items.headlines(people, REASONS) if headline.name.startswith("worst"))
    assert worst.value == 4


def test_boxes() -> None:
    box = paper_items.boxes(cohort(archive([Person(0, (0.5,), (v,)) for v in (1, 2, 3, 4, 100)]), "live")).boxes[0]
    assert (box.n, box.low, box.first, box.median, box.third, box.high, box.mean) == (5, 1, 2, 3, 4, 4, 22)


def test_starts_from_defaults() -> None:
    sgd: dict[str, Value] = {"optimizer": "sgd", "momentum": 0.9}
    people = [Person(0, (0.5,)), Person(0, (0.5,), changed=[sgd]), Person(0, (0.5,), changed=[{"optimizer": "sgd"}])]
    start = paper_items.starts(cohort(archive(people), "live")).starts[0]
    assert (start.defaults, start.others) == (("P-01", "P-03"), ("P-02",))


def test_reasons_pooled_and_by_person() -> None:
    guessed = {"epochs": "just a guess", "optimizer": "other: a hunch"}
    two = {"epochs": "just a guess", "optimizer": "just a guess", "rate": "just a guess"}
    made = archive([Person(0, (0.5,), reasons=[reasons]) for reasons in (guessed, two)])
    reasons = paper_items.reasons(cohort(made, "live"), REASONS, 1)
    group = reasons.groups[0]
    assert (reasons.n, group.members, group.without) == (5, 2, 1)
    assert dict(group.pooled) == {"guess": 4, "default": 0, "experience": 0, "learnt": 0, "other": 1}
    assert dict(group.shares)["guess"] == pytest.approx(0.75)


def test_disclosure_and_space() -> None:
    made = archive([Person(0, (0.5, 0.7), (0.4, 0.6, None))])
    final = paper_items.disclosure(made, cohort(made, "live"))[0]
    assert (final.trials, final.epochs, final.best, final.seeds) == (2, 20, 0.7, 2)
    assert [final.final, final.sd] == pytest.approx([0.5, math.sqrt(0.02)])
    rows = paper_items.space_table(SPACE)
    assert [(row.kind, row.scale, row.when) for row in rows[2:]] == [("optional", "log", "always"), ("optional", "linear", "sgd")]


def numbers(thing: object) -> list[float]:
    if isinstance(thing, dict):
        return [n for value in thing.values() for n in numbers(value)]
    if isinstance(thing, list | tuple):
        return [n for member in thing for n in numbers(member)]
    return [thing] if isinstance(thing, float) else []


@pytest.mark.slow
@pytest.mark.parametrize(
    "made",
    [archive([]), archive([Person(0, (0.5,))]), archive([Person(0, (None,), (None,))]), many(31, 1),
     archive([Person(months, (0.5, 0.5), (0.5, 0.5)) for months in (0, 0, 5, 5, 12, 12)]),
     archive([Person(None, (0.5,), (0.5,))])],
    ids=["nobody", "one, not evaluated", "all diverged", "31", "all equal", "no answer"],
)  # fmt: skip
def test_nothing_is_nan_and_nothing_fails(made: Archive) -> None:
    people = cohort(made, "live")
    items: list[Any] = [
        paper_items.random_configurations(made),
        *(item(people) for item in (paper_items.experience, paper_items.boxes, paper_items.levene, paper_items.by_try)),
        *(paper_items.scatter(people, 1), paper_items.tries(people, 0.5), paper_items.starts(people)),
        paper_items.reasons(people, REASONS, 1),
        *paper_items.headlines(people, REASONS),
        flow(made, "live"),
    ]
    assert all(math.isfinite(n) for item in items for n in numbers(asdict(item)))


def test_experience_is_counted_in_whole_bins() -> None:
    experience = paper_items.experience(cohort(archive([Person(months, (0.5,)) for months in (0, 0, 3, 12, 9.5, None)]), "live"))
    assert (experience.n, experience.others, experience.sizes) == (5, 2, (("novice", 2), ("medium", 1), ("expert", 1)))
    assert (sum(experience.histogram.counts), experience.histogram.mean) == (5, 4.9)
    assert "novice 0, medium 1 to 9, expert from 10" in experience.how


def test_scatter_is_of_those_with_both_and_ranks_them() -> None:
    people = [Person(0, (0.5,), (0.1,)), Person(5, (0.5,), (0.3,)), Person(9, (0.5,), (0.2,)), Person(20, (0.5,), (0.4,))]
    scatter = paper_items.scatter(cohort(archive([*people, Person(3, (0.5,)), Person(None, (0.5,), (0.9,))]), "live"), 1)
    assert [(point.pseudonym, point.experience, point.final) for point in scatter.points] == [
        ("P-01", 0, 0.1), ("P-02", 5, 0.3), ("P-03", 9, 0.2), ("P-04", 20, 0.4),
    ]  # fmt: skip
    assert scatter.n == 4
    assert scatter.correlation.rho == pytest.approx(1 - 6 * 2 / (4 * 15))


@pytest.mark.slow
def test_levene_table_by_hand() -> None:
    """Mean and median are one: deviations 0.1, 0, 0.1 and 0.4, 0, 0.4, between 0.06, within 0.34 / 3; W = 36 / 17."""
    finals = {0: (0.1, 0.2, 0.3), 12: (0.1, 0.5, 0.9)}
    made = archive([Person(months, (0.5,), (value,)) for months, values in finals.items() for value in values])
    levene = paper_items.levene(
        cohort(
            made, "live", grouping=Grouping("background.months", (ParticipantGroup("few", 0, 9), ParticipantGroup("many", 10)))
        )
    )
    assert levene.n == 6
    for pair in (levene.mean[0], levene.median[0]):
        assert (pair.first, pair.second, pair.n) == ("few", "many", (3, 3))
        assert pair.statistic == pytest.approx(36 / 17)
        assert pair.p == pytest.approx(scipy_stats.f.sf(36 / 17, 1, 4))


@pytest.mark.slow
@pytest.mark.parametrize("skewed", [True, False])
def test_levene_about_the_mean_is_called_liberal_where_the_scores_are_skewed(skewed: bool) -> None:
    rng = np.random.default_rng(5)
    values = rng.exponential(0.1, 120) if skewed else rng.normal(0.5, 0.1, 120)
    made = archive([Person(number % 20, (0.5,), (float(value),)) for number, value in enumerate(values)])
    levene = paper_items.levene(cohort(made, "live"))
    assert levene.skewness.n == 120
    assert ("about the mean the test is liberal" in levene.how) is skewed


def test_contradicted_reasons_are_counted_and_left_out() -> None:
    learnt, past, default = (option.label.markdown for option in (REASONS[3], REASONS[2], REASONS[1]))
    first = {"epochs": learnt, "optimizer": past, "rate": default}
    people = [
        Person(0, (0.5, 0.5), reasons=[first, {"epochs": learnt, "rate": default}], changed=[{"rate": 0.5}]),
        Person(4, (0.5,), reasons=[{"epochs": learnt, "optimizer": past, "rate": default}]),
    ]
    made = paper_items.contradictions(cohort(archive(people), "live"), REASONS)
    assert made.n == 4
    assert [(group, [count for _, count in kinds]) for group, kinds in made.counts] == [
        ("novice", [1, 1, 1]),
        ("medium", [1, 0, 0]),
        ("expert", [0, 0, 0]),
    ]
    assert dict(made.groups[0].pooled) == {"guess": 0, "default": 1, "experience": 0, "learnt": 1, "other": 0}
    assert dict(made.groups[1].shares)["experience"] == pytest.approx(0.5)


def test_guessing_goes_down_with_experience() -> None:
    guess, learnt = {"epochs": "just a guess"}, {"epochs": "learnt from previous submissions"}
    said = {0: [guess, guess, guess], 4: [guess, guess, learnt], 9: [guess, learnt, learnt], 20: [learnt, learnt, learnt]}
    people = [Person(months, (0.5, 0.5, 0.5), reasons=reasons) for months, reasons in said.items()]
    reasons = paper_items.reasons(cohort(archive([*people, Person(50, (0.5,))]), "live"), REASONS, 1)
    assert reasons.guessing.n == 4
    assert reasons.guessing.rho == pytest.approx(-1.0)
    assert [(group.group, group.n, group.members) for group in reasons.groups] == [
        ("novice", 1, 1),
        ("medium", 2, 2),
        ("expert", 2, 1),
    ]
    assert dict(reasons.groups[1].shares)["guess"] == pytest.approx(0.5)
    assert [value for value, _ in reasons.offered] == ["guess", "default", "experience", "learnt", "other"]


def test_the_texts_numbers() -> None:
    known, guess = {"epochs": "worked well for me in the past"}, {"epochs": "just a guess"}
    changed: list[dict[str, Value]] = [{"rate": 0.5}]
    people = [
        Person(0, (0.1, 0.2, None), (0.3, 0.5), reasons=[known, guess, guess]),
        Person(0, (0.1,), (0.2,), changed, reasons=[guess]),
        Person(12, (0.1,), (0.7,)),
        Person(20, (0.1,), (0.6, 0.7)),
        Person(None, (0.1,), (0.35,)),
    ]
    headlines = {headline.name: headline for headline in paper_items.headlines(cohort(archive(people), "live"), REASONS)}
    numbers_of = {name: (headline.value, headline.n) for name, headline in headlines.items()}
    assert numbers_of == {
        "configurations tried": (7, 5),
        "final accuracy": (pytest.approx((0.4 + 0.2 + 0.7 + 0.65 + 0.35) / 5), 5),
        "past experience as a reason, novice": (0.25, 4),
        "worst of those who began from defaults": (0.35, 4),
        "spread of the final accuracy, expert": (pytest.approx(0.05), 2),
    }
    assert headlines["final accuracy"].sd == pytest.approx(
        math.sqrt(sum((x - 0.46) ** 2 for x in (0.4, 0.2, 0.7, 0.65, 0.35)) / 4)
    )


def test_numbers_of_the_text_name_the_metric() -> None:
    task = replace(TASK, metric="squared_error", direction="minimize")
    headlines = paper_items.headlines(cohort(archive([Person(0, (3.0,), (2.0,))], task=task), "live"), REASONS)
    assert [headline.name for headline in headlines if headline.name.startswith("final")] == ["final squared error"]


@pytest.mark.slow
def test_joint_sessions_stand_beside_nobody() -> None:
    made = archive([Person(0, (0.5,), (0.4,))], random=(0.2, 0.6))
    person, method = made.sessions
    method = replace(method, choice=person.choice, interventions=(Intervention(5.0, "researcher", "took over"),))
    made = replace(made, sessions=(person, method))
    assert paper_items.joint(made) == (method,)
    assert paper_items.random_configurations(made).n == 0
    assert [row.tuner for row in paper_items.disclosure(made, cohort(made, "live"))] == ["P-01"]
    items = [item for section in build(made, "live").sections for item in section.items]
    assert "left out, since a person and a method worked on it together: random" in next(
        item.how for item in items if item.key == "disclosure"
    )


def test_methods_are_disclosed_after_the_participants() -> None:
    made = archive([Person(0, (0.5,), (0.4,))], random=(0.2, 0.6))
    method = made.sessions[-1]
    assert [row.tuner for row in paper_items.disclosure(made, cohort(made, "live"))] == ["P-01"]
    chose = replace(method, choice=made.sessions[0].choice)
    made = replace(made, sessions=(made.sessions[0], chose))
    person, random = paper_items.disclosure(made, cohort(made, "live"))
    assert (person.kind, person.group, random.tuner, random.kind, random.group) == (
        "participant",
        "novice",
        "random",
        "method",
        None,
    )
    assert (random.trials, random.best, random.final, random.seeds) == (2, 0.6, None, 0)
    assert dict(person.settings) == {"epochs": "10", "optimizer": "adam", "rate": "0.01"}


def test_ties_and_single_values_have_no_density() -> None:
    tries = paper_items.tries(cohort(archive([Person(0, (0.6,)), Person(0, (0.7,)), Person(5, (0.1, 0.6))]), "live"), 0.5)
    assert [(violin.tries, violin.grid, violin.mean) for violin in tries.violins] == [
        ((1, 1), (), 1),
        ((2,), (), 2),
        ((), (), None),
    ]
    curves = paper_items.by_try(cohort(archive([Person(0, (0.6,))]), "live"))
    assert (curves.current[0].points[0].error, curves.current[1].points) == (None, ())


def test_pooled_trials_name_their_participant_and_try() -> None:
    made = archive([Person(0, (0.1, None, 0.3)), Person(None, (0.5,))])
    assert list(paper_items.pooled_values(cohort(made, "live"))) == [(0.1, 1, "novice", "P-01"), (0.3, 3, "novice", "P-01")]
    session = made.sessions[0]
    invalid = replace(session, trials=(*session.trials[:2], replace(session.trials[2], outcome=Outcome.INVALID)))
    made = replace(made, sessions=(invalid, made.sessions[1]))
    assert list(paper_items.pooled_values(cohort(made, "live"))) == [(0.1, 1, "novice", "P-01")]


def test_random_values_that_are_no_shares_have_bins_of_their_own() -> None:
    sample = paper_items.random_configurations(archive([], random=(-3.0, 2.0, 2.0)))
    assert (sample.edges[0], sample.edges[-1], sum(sample.counts)) == (-3.0, 2.0, 3)
    same = paper_items.random_configurations(archive([], random=(5.0, 5.0)))
    assert (sum(same.counts), same.sd, same.edges[0] < 5 < same.edges[-1]) == (2, 0, True)
