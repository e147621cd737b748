"""Measures of experience beside months: differences of dependent correlations against printed numbers, and groups by each."""

import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from scipy import stats as scipy_stats

from evenhand.analysis import experience, sensitivity, stats
from evenhand.analysis.cohort import cohort
from evenhand.model.archive import Archive
from evenhand.model.study import Option, Question, Questionnaire, QuestionSection, Text, measures
from evenhand.report import study as study_report
from evenhand.report import study_paper, study_review
from evenhand.studies import file
from tests.archives import STUDY, Person, archive
from tests.components import need

need("report")

LEVELS = ("novice", "medium", "expert")
DEGREES = ("none", "school", "bachelor", "master", "other")


def _options(values: tuple[str, ...]) -> tuple[Option, ...]:
    return tuple(Option(value, Text(value.title())) for value in values)


BACKGROUND = Questionnaire(
    "background",
    Text("About you"),
    (
        QuestionSection(
            (
                Question("months", "number", Text("Months?")),
                Question("programming", "number", Text("Years?")),
                Question("level", "single", Text("Level?"), options=_options(LEVELS)),
                Question("education", "single", Text("Degree?"), options=_options(DEGREES)),
            )
        ),
    ),
)
MEASURED = replace(STUDY, questionnaires=(BACKGROUND,))


def people(count: int = 24, seed: int = 3) -> Archive:
    """People whose months and self-rating go with the score, and whose programming does not."""
    rng = np.random.default_rng(seed)
    made = []
    for number in range(count):
        months = [0, 0, 4, 8, 15, 30][number % 6]
        score = float(0.4 + 0.01 * months + rng.normal(0, 0.05))
        answers = {
            "background.programming": int(rng.integers(0, 6)),
            "background.level": LEVELS[min(2, (number % 6) // 2)],
            "background.education": DEGREES[int(rng.integers(0, 5))],
        }
        reasons = [{"rate": "guess" if months < 5 else "experience"}] * 2
        made.append(Person(months, (score - 0.1, score), (score,), answers=answers, reasons=reasons))
    return archive(made, MEASURED)


def test_the_difference_of_two_dependent_correlations_is_that_of_r_s_cocor() -> None:
    """Printed by cocor 1.1 in the vignette of the R package rmcorr: r.jk 0.8066, r.jh 0.2383, r.kh 0.2255, n 177."""
    assert stats.meng_z(0.8066, 0.2383, 0.2255, 177) == pytest.approx(8.3907, abs=1e-3)
    assert stats.zou_interval(0.8066, 0.2383, 0.2255, 177) == pytest.approx((0.4288, 0.7139), abs=1e-4)


def test_spearman_s_rhos_and_their_difference_are_scipy_s_and_the_formula_s() -> None:
    score = [0.31, 0.52, 0.48, 0.61, 0.72, 0.55, 0.66, 0.81]
    months, years = [0.0, 0, 3, 5, 12, 9, 24, 36], [2.0, 1, 7, 3, 4, 9, 5, 6]
    made = stats.rho_difference(score, months, years)
    first, second, between = (
        float(scipy_stats.spearmanr(*pair).statistic) for pair in ((months, score), (years, score), (months, years))
    )
    assert made.n == 8
    assert made.rhos == pytest.approx((first, second))
    assert made.between == pytest.approx(between)
    assert made.difference == pytest.approx(first - second)
    mean_square = (first**2 + second**2) / 2
    f = (1 - between) / (2 * (1 - mean_square))
    h = (1 - min(f, 1) * mean_square) / (1 - mean_square)
    z = (np.arctanh(first) - np.arctanh(second)) * math.sqrt(5 / (2 * (1 - between) * h))
    assert made.z == pytest.approx(z)
    assert made.p == pytest.approx(2 * scipy_stats.norm.sf(abs(z)))


def test_a_difference_that_cannot_be_computed_says_why() -> None:
    few = stats.rho_difference([0.1, 0.2, 0.3, 0.4], [1, 2, 3, float("nan")], [1, 2, 3, 4])
    assert (few.n, few.p, few.why) == (3, None, "not computable: 3 participants answered both, at least 5 are needed")
    same = stats.rho_difference([0.1, 0.3, 0.2, 0.5, 0.4], [1, 2, 3, 4, 5], [1, 2, 3, 4, 5])
    assert (same.difference, same.p) == (0.0, None)
    assert "a perfect correlation" in str(same.why)
    flat = stats.rho_difference([0.1, 0.3, 0.2, 0.5, 0.4], [1, 2, 3, 4, 5], [2, 2, 2, 2, 2])
    assert "are equal" in str(flat.why)


@pytest.mark.slow
def test_without_a_difference_the_test_finds_one_in_about_5_percent_of_studies_with_ties() -> None:
    rng, rejected, studies = np.random.default_rng(1), 0, 400
    mixed = np.linalg.cholesky(np.array([[1, 0.5, 0.5], [0.5, 1, 0.5], [0.5, 0.5, 1]]))
    for _ in range(studies):
        score, one, two = (rng.normal(size=(31, 3)) @ mixed.T).T
        months, degrees = np.maximum(np.exp(1.3 * one + 1.5) - 2, 0).round(), np.digitize(two, [-1.2, -0.6, 0, 0.6, 1.2])
        rejected += (stats.rho_difference(score.tolist(), months.tolist(), degrees.tolist()).p or 1) < 0.05
    assert 0.025 <= rejected / studies <= 0.085


def test_the_options_of_one_choice_count_by_their_order_and_other_has_no_place() -> None:
    made = people()
    assert measures(made.study) == ("background.programming", "background.level", "background.education")
    rows = {row.measure: row for row in experience.compared(made, cohort(made, "live"), 1)}
    assert list(rows) == ["background.months", *measures(made.study)]
    answers = [person.answers["background.education"] for person in made.participants]
    assert rows["background.education"].correlation.n == 24 - answers.count("other")
    finals = [member.final or 0.0 for member in cohort(made, "live").members]
    places = [LEVELS.index(str(person.answers["background.level"])) for person in made.participants]
    assert rows["background.level"].correlation.rho == pytest.approx(scipy_stats.spearmanr(places, finals).statistic)
    difference = rows["background.programming"].difference
    assert difference is not None
    assert difference.difference is not None
    assert difference.difference > 0.5
    assert rows["background.programming"].adjusted == pytest.approx(3 * (difference.p or 0), rel=1e-6)


def test_groups_by_another_measure_are_as_large_as_the_study_s_own_where_equal_answers_allow() -> None:
    made = people()
    own = cohort(made, "live")
    assert [len(own.of(group)) for group in own.groups] == [8, 8, 8]
    years = sorted(int(str(person.answers["background.programming"])) for person in made.participants)
    by_years = experience.by_measure(made, own, "background.programming")
    groups = [[member.experience or 0 for member in by_years.of(group)] for group in own.groups]
    assert max(groups[0]) < min(groups[1])
    assert max(groups[1]) < min(groups[2])
    assert sum(map(len, groups)) == 24
    cuts = [at for at in range(1, 24) if years[at - 1] < years[at]]
    assert len(groups[0]) == min(cuts, key=lambda at: abs(at - 8))
    by_level = experience.by_measure(made, own, "background.level")
    assert [len(by_level.of(group)) for group in own.groups] == [8, 8, 8]
    assert by_level.boundaries == "novice: Novice, medium: Medium, expert: Expert"
    nobody = experience.by_measure(archive([Person(3, (0.5,), (0.5,))], MEASURED), own, "background.programming")
    assert {member.group for member in nobody.members} == {None}


def test_every_headline_of_the_figures_is_computed_by_each_measure() -> None:
    made = people()
    table = sensitivity.by_measures(made, "live")
    assert table.measures == ("background.months", *measures(made.study))
    assert {place for place, _, _ in table.rows} == {*(f"Fig. {number}" for number in range(4, 10)), "Table 2"}
    by_name = {headline: figures for _, headline, figures in table.rows}
    rhos = by_name["Spearman's rho of score and experience"]
    compared = experience.compared(made, cohort(made, "live"), 1)
    assert [figure.value for figure in rhos] == pytest.approx([row.correlation.rho for row in compared])
    at = [headline for _, headline, _ in table.rows].index("p of Spearman's rho")
    flips = [(figure.value or 1) > 0.05 for figure in by_name["p of Spearman's rho"]]
    assert [(at, place) in table.flips for place in range(4)] == flips
    assert flips[:3] == [False, True, False]


@pytest.mark.slow
def test_the_report_shows_them_side_by_side_and_a_study_that_asks_for_one_measure_shows_none() -> None:
    frame = study_report.context(people(), "live")
    (shown,), (figures,) = study_paper.measures(frame), study_review.by_measures(frame)
    assert shown.table is not None
    assert [row[0] for row in shown.table.rows] == ["months", "programming", "level", "education"]
    assert figures.table is not None
    assert figures.table.columns == ("of", "number", "months", "programming", "level", "education")
    months = Question("months", "number", Text("Months?"))
    bare = replace(STUDY, questionnaires=(Questionnaire("background", Text(""), (QuestionSection((months,)),)),))
    alone = study_report.context(archive([Person(3, (0.5,), (0.5,))], bare), "live")
    assert (study_paper.measures(alone), study_review.by_measures(alone)) == ((), ())


def test_a_study_s_file_names_its_measures_and_those_that_are_none_are_mistakes(tmp_path: Path) -> None:
    file.new(tmp_path, seed=1)
    path = tmp_path / file.FILE_NAME
    text = path.read_text(encoding="utf-8")
    assert measures(file.read(path).study) == tuple(
        f"background.{name}" for name in ("programming", "machine_learning", "level", "education")
    )
    named = 'alpha = 0.05\nmeasures = ["background.level", "background.lvl"]'
    path.write_text(text.replace("alpha = 0.05", named, 1), encoding="utf-8")
    declared = file.read(path)
    assert declared.study.plan.measures == ("background.level", "background.lvl")
    assert [mistake.key for mistake in declared.errors] == ["plan.measures[2]"]
