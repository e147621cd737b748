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
from evenhand.records import Archive
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
