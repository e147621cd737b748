"""The paper's items, against numbers counted by hand on small archives."""

import math
from dataclasses import asdict, replace
from itertools import pairwise
from typing import Any

import pytest
from scipy import stats as scipy_stats

from evenhand.analysis import study
from evenhand.analysis.cohort import cohort, flow
from evenhand.declaration import REASONS, Group, Grouping, Plan, Rule
from evenhand.records import Archive, Intervention
from evenhand.report.build import build
from evenhand.space import Value
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
    planned = replace(STUDY, plan=Plan(exclusions=(Rule("trials", at_least=2),)))
    made = archive(people, planned)
    found = cohort(made, "live")
    assert [(each.pseudonym, each.seeds) for each in found.members] == [("P-01", 2)]
    assert found.members[0].final == pytest.approx(0.3)
    assert [each.why for each in found.left] == [
        "withdrew", "excluded: asked a friend", "made no final choice", "planned rule: fewer than 2 trials",
    ]  # fmt: skip
    assert [each.pseudonym for each in cohort(made, "pilot").members] == ["P-06"]
    stages = flow(made, "live").stages
    assert (stages[0].count, stages[-1].count) == (5, 1)
    assert all(one.count - two.count == sum(n for _, n in two.lost) for one, two in pairwise(stages))


def test_regrouping() -> None:
    made = archive([Person(each, (0.5,), (0.5,)) for each in (0, 9, 10)])
    assert [each.group for each in cohort(made, "live").members] == ["novice", "medium", "expert"]
    other = Grouping("background.months", (Group("few", 0, 8), Group("many", 10)))
    assert [each.group for each in cohort(made, "live", grouping=other).members] == ["few", None, "many"]


def test_random_configurations_tell_both_ways() -> None:
    found = study.random_configurations(archive([], random=(0.2, 0.4, None)))
    assert (found.n, found.without, sum(found.counts)) == (3, 1, 2)
    assert [found.mean, found.sd] == pytest.approx([0.3, math.sqrt(0.02)])
    assert [found.mean_at_zero, found.sd_at_zero] == pytest.approx([0.2, 0.2])
    assert (study.random_configurations(archive([])).why or "").startswith("not computable")


def test_tries_and_by_try() -> None:
    people = [Person(0, (0.1, None, 0.6, 0.4)), Person(0, (0.5,)), Person(0, (0.1, 0.2))]
    found = cohort(archive(people), "live")
    violin = study.tries(found, 0.5).violins[0]
    assert (violin.n, violin.tries, violin.never, violin.made, violin.mean, violin.median) == (3, (1, 3), 1, (2,), 2, 2)
    curves = study.by_try(found)
    assert [(p.number, p.n) for p in curves.current[0].points] == [(1, 3), (2, 1), (3, 1), (4, 1)]
    assert [p.mean for p in curves.best[0].points] == pytest.approx([0.7 / 3, 0.15, 0.6, 0.6])
    assert curves.current[0].points[0].error == pytest.approx(math.sqrt(0.32 / 3 / 2 / 3))


def test_minimised_metrics_turn_around() -> None:
    task = replace(TASK, metric="loss", direction="minimize")
    found = cohort(archive([Person(0, (3.0, 2.0, 2.5), (2.0,)), Person(0, (1.0,), (4.0,))], task=task), "live")
    assert study.tries(found, 2.0).violins[0].tries == (1, 2)
    assert [p.mean for p in study.by_try(found).best[0].points] == [2, 2, 2]
    worst = next(each for each in study.headlines(found, REASONS) if each.name.startswith("worst"))
    assert worst.value == 4


def test_boxes() -> None:
    box = study.boxes(cohort(archive([Person(0, (0.5,), (v,)) for v in (1, 2, 3, 4, 100)]), "live")).boxes[0]
    assert (box.n, box.low, box.first, box.median, box.third, box.high, box.mean) == (5, 1, 2, 3, 4, 4, 22)


def test_starts_from_defaults() -> None:
    sgd: dict[str, Value] = {"optimizer": "sgd", "momentum": 0.9}
    people = [Person(0, (0.5,)), Person(0, (0.5,), changed=[sgd]), Person(0, (0.5,), changed=[{"optimizer": "sgd"}])]
    start = study.starts(cohort(archive(people), "live")).starts[0]
    assert (start.defaults, start.others) == (("P-01", "P-03"), ("P-02",))


def test_reasons_pooled_and_by_person() -> None:
    one = {"epochs": "just a guess", "optimizer": "other: a hunch"}
    two = {"epochs": "just a guess", "optimizer": "just a guess", "rate": "just a guess"}
    made = archive([Person(0, (0.5,), reasons=[each]) for each in (one, two)])
    found = study.reasons(cohort(made, "live"), REASONS, 1)
    group = found.groups[0]
    assert (found.n, group.members, group.without) == (5, 2, 1)
    assert dict(group.pooled) == {"guess": 4, "default": 0, "experience": 0, "learnt": 0, "other": 1}
    assert dict(group.shares)["guess"] == pytest.approx(0.75)


def test_disclosure_and_space() -> None:
    made = archive([Person(0, (0.5, 0.7), (0.4, 0.6, None))])
    final = study.disclosure(made, cohort(made, "live"))[0]
    assert (final.trials, final.epochs, final.best, final.seeds) == (2, 20, 0.7, 2)
    assert [final.final, final.sd] == pytest.approx([0.5, math.sqrt(0.02)])
    rows = study.space_table(SPACE)
    assert [(row.kind, row.scale, row.when) for row in rows[2:]] == [("optional", "log", "always"), ("optional", "linear", "sgd")]


def numbers(thing: object) -> list[float]:
    if isinstance(thing, dict):
        return [n for each in thing.values() for n in numbers(each)]
    if isinstance(thing, list | tuple):
        return [n for each in thing for n in numbers(each)]
    return [thing] if isinstance(thing, float) else []


@pytest.mark.parametrize(
    "made",
    [archive([]), archive([Person(0, (0.5,))]), archive([Person(0, (None,), (None,))]), many(31, 1),
     archive([Person(months, (0.5, 0.5), (0.5, 0.5)) for months in (0, 0, 5, 5, 12, 12)]),
     archive([Person(None, (0.5,), (0.5,))])],
    ids=["nobody", "one, not evaluated", "all diverged", "31", "all equal", "no answer"],
)  # fmt: skip
def test_nothing_is_nan_and_nothing_fails(made: Archive) -> None:
    found = cohort(made, "live")
    items: list[Any] = [study.random_configurations(made), study.experience(found), study.scatter(found, 1), study.boxes(found),
             study.levene(found), study.tries(found, 0.5), study.by_try(found), study.starts(found),
             study.reasons(found, REASONS, 1), *study.headlines(found, REASONS), flow(made, "live")]  # fmt: skip
    assert all(math.isfinite(n) for item in items for n in numbers(asdict(item)))


def test_experience_is_counted_in_whole_bins() -> None:
    found = study.experience(cohort(archive([Person(months, (0.5,)) for months in (0, 0, 3, 12, 9.5, None)]), "live"))
    assert (found.n, found.others, found.sizes) == (5, 2, (("novice", 2), ("medium", 1), ("expert", 1)))
    assert (sum(found.histogram.counts), found.histogram.mean) == (5, 4.9)
    assert "novice 0, medium 1 to 9, expert from 10" in found.how


def test_scatter_is_of_those_with_both_and_ranks_them() -> None:
    people = [Person(0, (0.5,), (0.1,)), Person(5, (0.5,), (0.3,)), Person(9, (0.5,), (0.2,)), Person(20, (0.5,), (0.4,))]
    found = study.scatter(cohort(archive([*people, Person(3, (0.5,)), Person(None, (0.5,), (0.9,))]), "live"), 1)
    assert [(each.pseudonym, each.experience, each.final) for each in found.points] == [
        ("P-01", 0, 0.1), ("P-02", 5, 0.3), ("P-03", 9, 0.2), ("P-04", 20, 0.4),
    ]  # fmt: skip
    assert found.n == 4
    assert found.correlation.rho == pytest.approx(1 - 6 * 2 / (4 * 15))


def test_levene_table_by_hand() -> None:
    """Mean and median are one: deviations 0.1, 0, 0.1 and 0.4, 0, 0.4, between 0.06, within 0.34 / 3; W = 36 / 17."""
    finals = {0: (0.1, 0.2, 0.3), 12: (0.1, 0.5, 0.9)}
    made = archive([Person(months, (0.5,), (value,)) for months, values in finals.items() for value in values])
    found = study.levene(cohort(made, "live", grouping=Grouping("background.months", (Group("few", 0, 9), Group("many", 10)))))
    assert found.n == 6
    for pair in (found.mean[0], found.median[0]):
        assert (pair.first, pair.second, pair.n) == ("few", "many", (3, 3))
        assert pair.statistic == pytest.approx(36 / 17)
        assert pair.p == pytest.approx(scipy_stats.f.sf(36 / 17, 1, 4))


def test_guessing_goes_down_with_experience() -> None:
    guess, learnt = {"epochs": "just a guess"}, {"epochs": "learnt from previous submissions"}
    said = {0: [guess, guess, guess], 4: [guess, guess, learnt], 9: [guess, learnt, learnt], 20: [learnt, learnt, learnt]}
    people = [Person(months, (0.5, 0.5, 0.5), reasons=each) for months, each in said.items()]
    found = study.reasons(cohort(archive([*people, Person(50, (0.5,))]), "live"), REASONS, 1)
    assert found.guessing.n == 4
    assert found.guessing.rho == pytest.approx(-1.0)
    assert [(each.group, each.n, each.members) for each in found.groups] == [("novice", 1, 1), ("medium", 2, 2), ("expert", 2, 1)]
    assert dict(found.groups[1].shares)["guess"] == pytest.approx(0.5)
    assert [value for value, _ in found.offered] == ["guess", "default", "experience", "learnt", "other"]


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
    found = {each.name: each for each in study.headlines(cohort(archive(people), "live"), REASONS)}
    told = {name: (each.value, each.n) for name, each in found.items()}
    assert told == {
        "configurations tried": (7, 5),
        "final accuracy": (pytest.approx((0.4 + 0.2 + 0.7 + 0.65 + 0.35) / 5), 5),
        "past experience as a reason, novice": (0.25, 4),
        "worst of those who began from defaults": (0.35, 4),
        "spread of the final accuracy, expert": (pytest.approx(0.05), 2),
    }
    assert found["final accuracy"].sd == pytest.approx(math.sqrt(sum((x - 0.46) ** 2 for x in (0.4, 0.2, 0.7, 0.65, 0.35)) / 4))


def test_numbers_of_the_text_name_the_metric() -> None:
    task = replace(TASK, metric="squared_error", direction="minimize")
    found = study.headlines(cohort(archive([Person(0, (3.0,), (2.0,))], task=task), "live"), REASONS)
    assert [each.name for each in found if each.name.startswith("final")] == ["final squared error"]


def test_joint_sessions_stand_beside_nobody() -> None:
    made = archive([Person(0, (0.5,), (0.4,))], random=(0.2, 0.6))
    person, method = made.sessions
    method = replace(method, choice=person.choice, interventions=(Intervention(5.0, "researcher", "took over"),))
    made = replace(made, sessions=(person, method))
    assert study.joint(made) == (method,)
    assert study.random_configurations(made).n == 0
    assert [each.tuner for each in study.disclosure(made, cohort(made, "live"))] == ["P-01"]
    items = [item for section in build(made, "live").sections for item in section.items]
    assert "left out, since a person and a method worked on it together: random" in next(
        each.how for each in items if each.key == "disclosure"
    )


def test_methods_are_disclosed_after_the_participants() -> None:
    made = archive([Person(0, (0.5,), (0.4,))], random=(0.2, 0.6))
    method = made.sessions[-1]
    assert [each.tuner for each in study.disclosure(made, cohort(made, "live"))] == ["P-01"]
    chose = replace(method, choice=made.sessions[0].choice)
    made = replace(made, sessions=(made.sessions[0], chose))
    person, random = study.disclosure(made, cohort(made, "live"))
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
    found = study.tries(cohort(archive([Person(0, (0.6,)), Person(0, (0.7,)), Person(5, (0.1, 0.6))]), "live"), 0.5)
    assert [(each.tries, each.grid, each.mean) for each in found.violins] == [((1, 1), (), 1), ((2,), (), 2), ((), (), None)]
    curves = study.by_try(cohort(archive([Person(0, (0.6,))]), "live"))
    assert (curves.current[0].points[0].error, curves.current[1].points) == (None, ())


def test_pooled_trials_name_their_participant_and_try() -> None:
    made = archive([Person(0, (0.1, None, 0.3)), Person(None, (0.5,))])
    assert list(study.pooled_values(cohort(made, "live"))) == [(0.1, 1, "novice", "P-01"), (0.3, 3, "novice", "P-01")]


def test_random_values_that_are_no_shares_have_bins_of_their_own() -> None:
    found = study.random_configurations(archive([], random=(-3.0, 2.0, 2.0)))
    assert (found.edges[0], found.edges[-1], sum(found.counts)) == (-3.0, 2.0, 3)
    same = study.random_configurations(archive([], random=(5.0, 5.0)))
    assert (sum(same.counts), same.sd, same.edges[0] < 5 < same.edges[-1]) == (2, 0, True)
