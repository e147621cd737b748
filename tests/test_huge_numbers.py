"""Numbers of any size break no summary, result, report or page, and are shown as what they are."""

import json
import math
import statistics
import sys
import warnings
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

import evenhand
from evenhand.analysis import stats, summaries
from evenhand.analysis.run_course import course_of
from evenhand.experiments import compare as comparisons
from evenhand.experiments import notebook
from evenhand.experiments.tune import TestScore as Score
from evenhand.lab.lab import Lab
from evenhand.model.configuration import Configuration
from evenhand.model.domain import Float
from evenhand.model.evaluation import SeedScore
from evenhand.model.study import Budget
from evenhand.model.task import TaskSpec
from evenhand.model.trial import Outcome
from evenhand.model.words import loss, number, percent, rounded, show_score
from evenhand.report import page as report_page
from evenhand.report import study as study_report
from evenhand.web.access import Role
from tests.archives import TASK as TOY
from tests.archives import Person, archive
from tests.components import need
from tests.web import Site, evaluated, toy_site, train, tuned_study

HUGE = [1.7e308, -1.7e308, 1e308, 1e170, -1e170, 0.5]
TASK = """
from evenhand import Float, Splits, task

SIZES = [1.7e308, -1.7e308, 1e308, 1e170, -1e170, 0.5]

def data():
    return Splits(([0], [0]), ([0], [0]), ([0], [0]))

def last(targets, predictions):
    return predictions[0]

@task(space={"at": list(range(6))}, metric=last, direction="minimize", max_epochs=1, data=data)
def huge(configuration, run):
    run.report(epoch=1, last=run.score(lambda X: [SIZES[(configuration["at"] + run.seed * run.evaluation) % 6]]))
"""


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    with toy_site(tmp_path) as made:
        yield made


@pytest.mark.parametrize("scale", [1.0, 1e150, 1e170, 1e307, 1e-170])
def test_means_and_deviations_are_those_of_smaller_numbers(scale: float) -> None:
    values = [1.0, 2.0, 4.0, 8.0]
    assert summaries.mean([scale * value for value in values]) == pytest.approx(scale * 3.75)
    assert summaries.deviation([scale * value for value in values]) == pytest.approx(scale * statistics.stdev(values))


def test_means_and_deviations_of_the_largest_numbers_are_numbers() -> None:
    most = sys.float_info.max
    assert summaries.mean([most] * 3) == most
    assert summaries.mean([most, -most]) == 0
    assert summaries.deviation([most] * 3) == 0
    assert summaries.deviation([most, -most]) == most  # the largest there is
    assert summaries.deviation([0.0, 0.0]) == 0


@pytest.mark.slow
@pytest.mark.parametrize("scale", [1.7e308, 1e300, 1e170, 1e-300, 5e-322])
def test_a_report_of_scores_of_any_size_has_only_numbers(scale: float) -> None:
    need("report")
    rng = np.random.default_rng(1)

    def drawn(most: int) -> list[float]:
        return [float(scale * value) for value in 2 * rng.random(most) - 1]

    people = [Person(int(rng.integers(0, 21)), drawn(int(rng.integers(1, 10))), drawn(3)) for _ in range(20)]
    losses = replace(TOY, metric="loss", direction="minimize")
    with warnings.catch_warnings():
        warnings.simplefilter("error", RuntimeWarning)
        made = study_report.build(archive(people, task=losses, random=drawn(20)), "live")
    failed = [item.key for item in made.items if "failed" in item.title.lower()]
    cells = [cell for item in made.items if item.table for row in item.table.rows for cell in row]
    assert failed == []
    assert not [cell for cell in cells if {"inf", "nan", "-inf"} & set(cell.lower().split())]
    fit = next(item for item in made.items if item.key == "mixed")
    assert "variances of this size are no numbers" in fit.how
    assert report_page.html(made, "2026-11-29")


def test_ordinary_numbers_have_the_very_bits_that_they_had() -> None:
    values = [0.1, 0.7, 0.35, 1e6]
    middle = math.fsum(values) / 4
    assert summaries.mean(values) == middle
    assert summaries.deviation(values) == math.sqrt(math.fsum((value - middle) ** 2 for value in values) / 3)


def test_tests_and_effects_of_them_are_those_of_smaller_numbers() -> None:
    first, second = [1.0, 5.0, 2.0, 9.0, 4.0, -3.0], [2.0, -6.0, 3.0, 7.0, 0.5, 8.0]
    unit = 2.0**1019
    one, two = ([value * unit for value in values] for values in (first, second))
    with warnings.catch_warnings():
        warnings.simplefilter("error", RuntimeWarning)
        small_levene, huge_levene = (stats.levene({"a": a, "b": b}, "median") for a, b in ((first, second), (one, two)))
        assert huge_levene.p == pytest.approx(small_levene.p)
        assert stats.mann_whitney(one, two).p == stats.mann_whitney(first, second).p
        assert stats.cliffs_delta(one, two, 1).value == stats.cliffs_delta(first, second, 1).value
        assert stats.spearman(one, two, None).rho == stats.spearman(first, second, None).rho
        difference, small = stats.mean_difference(one, two), stats.mean_difference(first, second)
        assert difference.value == pytest.approx(unit * (small.value or 0))
        assert difference.interval.low == pytest.approx(unit * (small.interval.low or 0))
        most = sys.float_info.max
        assert stats.mean_difference([most] * 4, [-most] * 4).value == most


@pytest.mark.parametrize(
    ("shown", "text"),
    [
        (rounded(1e308), "1e308"),
        (rounded(-sys.float_info.max), "-1.798e308"),
        (rounded(1234.5678), "1235"),
        (show_score(1e170, "accuracy"), "1e170"),
        (percent(0.5), "50.0\u202f%"),
        (percent(12.0), "1200.0\u202f%"),
        (number(sys.float_info.max), "1.8e+308"),
        (loss(1e308), "1e+308"),
    ],
)
def test_they_are_shown_as_what_they_are(shown: str, text: str) -> None:
    assert shown == text


@pytest.mark.slow
@pytest.mark.parametrize("method", ["random", "tpe", "gp", "cmaes", "pibo", "evolution"])
def test_a_search_with_them_has_a_result_that_reads_well(tmp_path: Path, method: str) -> None:
    need("pandas")
    values = iter(HUGE * 2)

    def function(configuration: Configuration) -> float:
        return next(values)

    with warnings.catch_warnings():
        warnings.simplefilter("error", RuntimeWarning)
        result = evenhand.tune(
            function,
            {"x": Float(0, 1)},
            method=method,
            direction="minimize",
            trials=12,
            db=f"sqlite:///{tmp_path}/lab.sqlite",
            progress=False,
        )
        assert "value -1.7e308 (trial 2, the best)" in repr(result)
        assert len(result.dataframe()) == 12
        svg = notebook.curve(result.session, course_of(result.session))
    assert "nan" not in svg
    assert "inf" not in svg


def test_an_evaluation_with_them_is_summarised() -> None:
    scores = tuple(SeedScore(at, at, Outcome.COMPLETED, value) for at, value in enumerate(HUGE))
    score = Score("last", scores, summaries.mean(HUGE), summaries.deviation(HUGE))
    assert "inf" not in str(score)
    assert "nan" not in str(score)


@pytest.mark.slow
def test_a_session_with_them_has_pages_whose_numbers_are_json(site: Site) -> None:
    study, session, agent = tuned_study(site, Budget(trials=20))
    for at, value in enumerate(HUGE):
        train(site, session.id, agent, value, learning_rate=0.001 * (at + 1))
    evaluated(site, session.id, agent, *HUGE[:2])
    researcher = site.caller(Role.RESEARCHER)
    assert researcher.post(f"/sessions/{session.id}/reveal").status_code < 400
    pages = [f"/sessions/{session.id}", f"/sessions/{session.id}/workbench", f"/studies/{study.id}"]
    for page in [*pages, f"/sessions/{session.id}/explore"]:
        answer = researcher.get(page)
        assert answer.status_code == 200, page
        assert "Infinity" not in answer.text
    for path in (f"/sessions/{session.id}/columns", f"/sessions/{session.id}/curves"):
        json.loads(researcher.get(path).text, parse_constant=pytest.fail)
    json.loads(researcher.first_event(f"/sessions/{session.id}/events"), parse_constant=pytest.fail)


@pytest.mark.slow
def test_a_comparison_with_them_has_a_report(tmp_path: Path) -> None:
    need("report")
    from evenhand.report import latex, page
    from evenhand.report.comparison import report

    (tmp_path / "own.py").write_text(TASK)
    url = f"sqlite:///{tmp_path}/lab.sqlite"
    plan = comparisons.ComparisonPlan(
        (TaskSpec(f"{tmp_path}/own.py:huge"),),
        tuple(comparisons.contestant(name) for name in ("random", "grid", "sobol")),
        (0, 1, 2),
        Budget(trials=4),
        evaluation_seeds=3,
    )
    runs = comparisons.run(url, plan, processes=1)
    comparison = comparisons.comparison(url, runs, ())
    with warnings.catch_warnings():
        warnings.simplefilter("error", RuntimeWarning)
        built = report.build(comparison, comparisons.setup("Huge", "evenhand compare"))
        text = page.html(built, "2026-11-28") + latex.latex(built)
    for word in (">NaN<", '="NaN"', ">Infinity", ">nan", ">inf", "nan to", "inf to"):
        assert word not in text
    lab = Lab.connect(url)
    lab.close()
