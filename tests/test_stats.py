"""The statistics against fixed reference numbers (published, or by R 4), and what they say where nothing can be computed."""

import dataclasses
import math
import time
from typing import Any, get_args

import numpy as np
import pytest
from scipy import stats as scipy_stats

from evenhand.analysis import mixed_model, power, stats
from evenhand.model.study import AnalysisPlan

# Hollander and Wolfe (1973): p. 187 (tuna), p. 116 (mucociliary efficiency), p. 69 (permeability); as R's help gives them.
TUNA = [44.4, 45.9, 41.9, 53.3, 44.7, 44.1, 50.7, 45.2, 60.1], [2.6, 3.1, 2.5, 5.0, 3.6, 4.0, 5.2, 2.8, 3.8]
MUCUS = {"normal": [2.9, 3.0, 2.5, 2.6, 3.2], "obstructed": [3.8, 2.7, 4.0, 2.4], "asbestosis": [2.8, 3.4, 3.7, 2.2, 2.0]}
AT_TERM = [0.80, 0.83, 1.89, 1.04, 1.45, 1.38, 1.91, 1.64, 0.73, 1.46]
EARLY = [1.15, 0.88, 0.90, 0.74, 1.21]
# Acute myelogenous leukaemia, with and without maintenance (Miller 1997; R's `aml`): weeks, and whether it came back.
WITH = [9, 13, 13, 18, 23, 28, 31, 34, 45, 48, 161], [True, True, False, True, True, False, True, True, False, True, False]
WITHOUT = [5, 5, 8, 8, 12, 16, 23, 27, 30, 33, 43, 45], [True] * 5 + [False] + [True] * 6
EDGES: list[tuple[list[float], list[float]]] = [
    ([], []),
    ([1.0], []),
    ([1.0], [2.0]),
    ([1.0, 1.0], [1.0, 1.0]),
    ([1.0, 1.0, 1.0], [2.0, 2.0, 2.0]),
    ([1.0, 2.0, 3.0], [4.0, 5.0, 6.0]),
    ([0.1, 0.1, 0.1, 0.5], [0.1, 0.1, 0.5, 0.5]),
    ([0.3, math.nan, math.inf, 0.4], [0.1, -math.inf, 0.2, 0.7]),
]


def numbers(record: Any) -> list[float]:
    """Every number in a record, however deep."""
    if isinstance(record, bool) or record is None or isinstance(record, str):
        return []
    if isinstance(record, int | float):
        return [float(record)]
    if dataclasses.is_dataclass(record):
        return [number for field in dataclasses.fields(record) for number in numbers(getattr(record, field.name))]
    return [number for item in record for number in numbers(item)]


def test_the_papers_spearman() -> None:
    """rho = 0.60 at n = 31 gives p = 0.00036, by the same distribution that is used here."""
    t = 0.60 * math.sqrt(29 / (1 - 0.36))
    assert 2 * scipy_stats.t.sf(t, 29) == pytest.approx(0.00036, abs=0.000005)


@pytest.mark.parametrize(
    ("statistic", "sizes", "printed", "digits"),
    [(8.40, (8, 12), 0.01, 2), (14.338, (8, 11), 0.001, 3), (5.52, (12, 11), 0.029, 3)],
)
def test_the_papers_table_2(statistic: float, sizes: tuple[int, int], printed: float, digits: int) -> None:
    """Its p-values follow from its statistics with groups of 8, 12 and 11, by the degrees of freedom that are used here."""
    rng = np.random.default_rng(0)
    df = stats.levene({"a": list(rng.random(sizes[0])), "b": list(rng.random(sizes[1]))}, "mean").df
    assert df == (1, sum(sizes) - 2)
    assert round(float(scipy_stats.f.sf(statistic, *df)), digits) == printed


def test_spearman_of_published_data() -> None:
    """Hollander and Wolfe's tuna: rho = 0.6 (R: cor.test(..., exact = FALSE) gives p = 0.0876)."""
    correlation = stats.spearman(*TUNA, 1)
    assert correlation.n == 9
    assert correlation.rho == pytest.approx(0.6)
    assert correlation.p == pytest.approx(0.0876228, abs=1e-6)
    assert correlation.interval.low is not None
    assert correlation.interval.high is not None
    assert -1 <= correlation.interval.low < 0.6 < correlation.interval.high <= 1


def test_spearman_leaves_pairs_without_a_value_out() -> None:
    x, y = TUNA
    assert stats.spearman([*x, math.nan, 50], [*y, 1.0, math.inf], 1) == stats.spearman(x, y, 1)


def test_a_perfect_order_is_as_rare_as_it_is() -> None:
    """Student's t would give p = 0; among the 5! orders, two are perfect. Ties make it less rare: 2 * 3! / 5!."""
    assert stats.spearman([1, 2, 3, 4, 5], [5, 4, 3, 2, 1], None).p == pytest.approx(2 / 120)
    correlation = stats.spearman([0, 0, 0, 1, 2], [1, 1, 1, 2, 3], 1)
    assert [correlation.rho, correlation.p] == pytest.approx([1.0, 2 * 6 / 120])
    assert correlation.interval.low is None
    assert correlation.interval.why


def test_kruskal_wallis_of_published_data() -> None:
    test = stats.kruskal(MUCUS)
    assert [test.statistic, test.p] == pytest.approx([0.7714286, 0.6799648], abs=1e-7)
    assert (test.n, test.df) == (14, (2.0,))


@pytest.mark.parametrize(("centre", "statistic", "p"), [("mean", 4.78146921, 0.03203991), ("median", 4.47685434, 0.03780331)])
def test_levene_by_r(centre: stats.Centre, statistic: float, p: float) -> None:
    test = stats.levene(MUCUS, centre)
    assert [test.statistic, test.p] == pytest.approx([statistic, p], abs=1e-7)
    assert "spread, not of location" in test.how


def test_mann_whitney_of_published_data() -> None:
    """U = 35; R: exact p = 0.2544 two-sided; with ties, the normal p with continuity correction."""
    test = stats.mann_whitney(AT_TERM, EARLY)
    assert [test.statistic, test.p] == pytest.approx([35, 0.2544123], abs=1e-6)
    tied = stats.mann_whitney([1, 2, 2, 3, 5], [2, 4, 4, 5, 6, 7])
    assert [tied.statistic, tied.p] == pytest.approx([5.5, 0.0957047512], abs=1e-9)
    assert "exact" in test.how
    assert "ties" in tied.how


def test_brunner_munzel_of_published_data() -> None:
    """The example in SciPy's documentation, with many ties."""
    test = stats.brunner_munzel([1, 2, 1, 1, 1, 1, 1, 1, 1, 1, 2, 4, 1, 1], [3, 3, 4, 3, 1, 2, 3, 1, 1, 5, 4])
    assert [test.statistic, test.p] == pytest.approx([3.1374675, 0.0057862], abs=1e-6)


@pytest.mark.slow
def test_holm_adjusts_what_there_is() -> None:
    pairs = [stats.Pair("a", "b", (3, 3), 1.0, p, None, "") for p in (0.01, 0.04, None, 0.03)]
    assert [corrected.adjusted for corrected in stats.holm(pairs)] == [
        pytest.approx(0.03),
        pytest.approx(0.06),
        None,
        pytest.approx(0.06),
    ]


@pytest.mark.slow
@pytest.mark.parametrize("test", get_args(stats.PairTest))
def test_every_pair_is_named_in_order(test: stats.PairTest) -> None:
    comparisons = stats.pairwise(MUCUS, test)
    assert [(comparison.first, comparison.second) for comparison in comparisons] == [
        ("normal", "obstructed"),
        ("normal", "asbestosis"),
        ("obstructed", "asbestosis"),
    ]
    assert [comparison.n for comparison in comparisons] == [(5, 4), (5, 5), (4, 5)]


def test_effects() -> None:
    """By hand: of 6 pairs, the first is larger in 4 and smaller in 1."""
    first, second = [3.0, 5.0, 4.0], [2.0, 4.0]
    assert stats.mean_difference(first, second).value == pytest.approx(1.0)
    delta = stats.cliffs_delta(first, second, 1)
    assert delta.value == pytest.approx(0.5)
    assert delta.words == "large"
    assert delta.interval.how.startswith("Newcombe's score interval")


@pytest.mark.parametrize(
    ("size", "word"), [(0.14, "negligible"), (0.15, "small"), (-0.32, "small"), (0.46, "medium"), (-0.48, "large")]
)
def test_words_of_cliffs_delta(size: float, word: str) -> None:
    below = round(50 * (1 - size))
    assert stats.cliffs_delta([0.5], [0.0] * (100 - below) + [1.0] * below, 1).words == word


def test_intervals_are_the_seeds() -> None:
    rng = np.random.default_rng(4)
    first, second = list(rng.normal(1, 1, 12)), list(rng.normal(0, 1, 11))
    assert stats.cliffs_delta(first, second, 3) == stats.cliffs_delta(first, second, 3)
    assert stats.cliffs_delta(first, second, 3).interval != stats.cliffs_delta(first, second, 4).interval
    assert stats.mean_interval(first, 3) == stats.mean_interval(first, 3)
    assert stats.mean_interval(first, 3) != stats.mean_interval(first, 4)


def test_the_interval_of_a_mean_difference_is_welchs() -> None:
    """Welch's example of R's `sleep`: extra sleep of two drugs, t.test prints -3.3654832 to 0.2054832."""
    first = [0.7, -1.6, -0.2, -1.2, -0.1, 3.4, 3.7, 0.8, 0.0, 2.0]
    second = [1.9, 0.8, 1.1, 0.1, -0.1, 4.4, 5.5, 1.6, 4.6, 3.4]
    interval = stats.mean_difference(first, second).interval
    assert (interval.low, interval.high) == pytest.approx((-3.3654832, 0.2054832), abs=1e-7)


def test_the_interval_of_a_mean_leans_to_the_long_tail() -> None:
    skewed = [0.1, 0.2, 0.3, 0.5, 0.8, 1.1, 1.7, 4.0]
    mean = sum(skewed) / 8
    interval = stats.mean_interval(skewed, 1)
    assert interval.how.startswith("bootstrap-t")
    assert interval.low is not None
    assert interval.high is not None
    assert interval.high - mean > 1.5 * (mean - interval.low)
    few = stats.mean_interval([0.1, 0.1, 0.9], 1)
    assert few.how.startswith("Student's t")  # a ninth of its resamples does not vary
    assert few.low is not None
    assert stats.mean_interval([0.5] * 9, 1).why == "no interval: the values do not vary"


def test_the_interval_of_a_median_lies_between_order_statistics() -> None:
    """Of 8 values: whole order statistics 1 and 8 cover 99.2 %, 2 and 7 93.0 %; 95 % lies between them."""
    values = [float(number) for number in range(1, 9)]
    outer, inner = 1 - 2 / 2**8, 1 - 2 * 9 / 2**8
    share = (outer - 0.95) / (outer - inner)
    way = 7 * share / (1 + 6 * share)
    interval = stats.median_interval(values)
    assert (interval.low, interval.high) == pytest.approx((1 + way, 8 - way))
    assert "only 93.8% of the samples" in str(stats.median_interval(values[:5]).why)


def test_separated_groups_have_a_score_interval() -> None:
    """Newcombe's method 5 at theta = 1: 1 - theta is z^2 times its variance, without a bootstrap that could vary."""
    delta = stats.cliffs_delta([4.0, 5.0, 6.0, 7.0], [1.0, 2.0, 3.0], 1)
    assert (delta.value, delta.interval.high) == (1.0, 1.0)
    assert delta.interval.low is not None
    theta = (delta.interval.low + 1) / 2
    variance = theta * (1 - theta) * (1 + 2.5 * ((1 - theta) / (2 - theta) + theta / (1 + theta))) / 12
    assert theta < 0.99, "theta = 1 itself, where the variance is 0, is no bound"
    assert (1 - theta) ** 2 == pytest.approx(scipy_stats.norm.ppf(0.975) ** 2 * variance)
    eight = stats.cliffs_delta([float(value) for value in range(8, 16)], [float(value) for value in range(8)], 1).interval
    assert (delta.interval.low, eight.low) == pytest.approx((0.0794, 0.5113), abs=5e-5)
    mirrored = stats.cliffs_delta([1.0, 2.0, 3.0], [4.0, 5.0, 6.0, 7.0], 1).interval
    assert (mirrored.low, mirrored.high) == pytest.approx((-1.0, -delta.interval.low))


def test_skewed_scores_are_seen() -> None:
    rng = np.random.default_rng(3)
    assert stats.skewness({"a": list(rng.exponential(size=20)), "b": list(rng.exponential(size=20))}).is_seen
    assert not stats.skewness({"a": list(rng.normal(size=20)), "b": list(rng.normal(5, 9, size=20))}).is_seen
    assert stats.skewness({"a": [1.0, 2.0], "b": [3.0, 3.0]}).value is None


def test_kaplan_meier_of_published_data() -> None:
    """R's survfit of these: shares 0.909, 0.818, 0.716, 0.614, 0.491, 0.368, 0.184; medians 31 and 23 weeks."""
    curve = stats.kaplan_meier("with", *WITH)
    shares = [step.share for step in curve.steps if step.reached]
    assert shares == pytest.approx([0.909, 0.818, 0.716, 0.614, 0.491, 0.368, 0.184], abs=0.001)
    assert (curve.n, curve.reached, curve.median, curve.high) == (11, 7, 31, None)
    assert stats.kaplan_meier("without", *WITHOUT).median == 23
    assert [(step.risk, step.reached, step.censored) for step in curve.steps[:3]] == [(11, 1, 0), (10, 1, 1), (8, 1, 0)]


def test_log_rank_of_published_data() -> None:
    """R: survdiff(Surv(time, status) ~ x, aml): chi-squared 3.4 on 1 degree of freedom, p = 0.07."""
    test = stats.log_rank({"with": WITH, "without": WITHOUT})
    assert [test.statistic, test.p] == pytest.approx([3.396, 0.0653], abs=0.0005)


def test_the_convention_of_the_median_is_said() -> None:
    """At tries 1 and 2 of 4 half are left: the median is 2 here, 2.5 in R, which takes the middle of 2 and 3."""
    curve = stats.kaplan_meier("x", [1, 2, 3, 4], [True] * 4)
    assert curve.median == 2
    assert "median: the first try after which at most half are left" in curve.how


def test_those_who_never_reach_it_count() -> None:
    curve = stats.kaplan_meier("novice", [5, 7, 9, 2], [False, False, False, True])
    assert curve.median is None
    assert curve.steps[-1].share == pytest.approx(0.75)
    assert curve.why == "no median: 1 of 4 reached the threshold, fewer than half by this estimate"
    assert stats.kaplan_meier("none", [], []).why == "not computable: nobody is in this group"


def test_mixed_model_finds_what_was_put_in() -> None:
    rng = np.random.default_rng(2)
    own = rng.normal(0, 0.1, 60)
    rows = [
        (0.4 + 0.2 * (who >= 30) + own[who] + 0.02 * k + rng.normal(0, 0.05), k, "expert" if who >= 30 else "novice", who)
        for who in range(60)
        for k in range(1, 11)
    ]
    values, tries, groups, people = zip(*rows, strict=True)
    model = mixed_model.mixed(values, tries, groups, people)
    assert (model.n, model.participants, model.why) == (600, 60, None)
    terms = {term.name: term for term in model.terms}
    assert terms["try"].estimate == pytest.approx(0.02, abs=0.002)
    group = terms["expert against novice"]
    assert group.error is not None
    assert abs(group.estimate - 0.2) < 3 * group.error
    assert model.between == pytest.approx(0.01, rel=0.5)
    assert model.within == pytest.approx(0.0025, rel=0.2)


def test_a_mixed_model_that_cannot_be_fitted_says_so() -> None:
    exact = [0.5 + 0.01 * k for _ in range(4) for k in range(5)]
    model = mixed_model.mixed(exact, list(range(5)) * 4, ["a"] * 10 + ["b"] * 10, [who for who in range(4) for _ in range(5)])
    assert "without rest" in str(model.why)
    assert model.terms == ()
    assert mixed_model.mixed([], [], [], []).why
    assert mixed_model.mixed([1, 2, 3, 4], [1, 1, 1, 1], ["a"] * 4, [1, 2, 3, 3]).why


@pytest.mark.slow
@pytest.mark.parametrize(("first", "second"), EDGES)
def test_nothing_raises_and_nothing_is_nan(first: list[float], second: list[float], recwarn: pytest.WarningsRecorder) -> None:
    groups = {"a": first, "b": second}
    length = min(len(first), len(second))
    results = [
        stats.spearman(first[:length], second[:length], 1),
        stats.mean_difference(first, second),
        stats.mean_interval(first, 1),
        stats.median_interval(first),
        stats.cliffs_delta(first, second, 1),
        stats.kruskal(groups),
        stats.levene(groups, "mean"),
        stats.levene(groups, "median"),
        stats.levene_pairs(groups, "mean"),
        stats.pairwise(groups, "mann-whitney"),
        stats.pairwise(groups, "brunner-munzel"),
        stats.kaplan_meier("a", first, [True] * len(first)),
        stats.log_rank({"a": (first, [True] * len(first)), "b": (second, [False] * len(second))}),
        mixed_model.mixed(first[:length], second[:length], ["a"] * length, list(range(length))),
    ]
    assert all(math.isfinite(number) for number in numbers(results))
    for result in results:
        for record in result if isinstance(result, tuple) else (result,):
            if getattr(record, "p", 0) is None:
                assert record.why.startswith("not computable: ")
    assert not [warning for warning in recwarn if issubclass(warning.category, RuntimeWarning)]


@pytest.mark.parametrize("test", ["spearman", "kruskal-wallis", "mann-whitney", "brunner-munzel"])
def test_power_without_an_effect_is_alpha(test: Any) -> None:
    curve = power.power_curve(AnalysisPlan(test=test, expected=0.0), [31, 120], seed=3)
    for point in curve.points:
        assert abs(point.power - 0.05) < 4 * 0.0035 + 0.006  # Kruskal-Wallis by chi-squared is not exact in small groups
    assert [reach.n for reach in curve.reaches] == [None, None]
    assert curve.reaches[0].words == "more than 120"


@pytest.mark.slow
def test_power_of_spearman_agrees_with_fishers_z() -> None:
    curve = power.power_curve(AnalysisPlan(expected=0.4), seed=1)
    assert [point.n for point in curve.points] == list(power.SAMPLE_SIZES)
    for point in curve.points:
        assert point.closed is not None
        assert abs(point.power - point.closed) < 0.03 + 3 * point.error
    eighty = curve.reaches[0].n
    assert eighty is not None
    assert 44 <= eighty <= 50  # by Fisher's z: 3 + 1.06 * ((1.960 + 0.842) / atanh(0.4)) ** 2 = 49.4
    assert curve == power.power_curve(AnalysisPlan(expected=0.4), seed=1)
    assert curve.points[1] == power.power_curve(AnalysisPlan(expected=0.4), [30], seed=1).points[0]


def test_simulated_studies_are_judged_as_studies_are() -> None:
    rng = np.random.default_rng(0)
    for n, m in ((25, 30), (60, 70)):
        x, y = rng.normal(size=(40, n)), rng.normal(0.5, 1, size=(40, m))
        pairs = list(zip(x, y, strict=True))
        kruskal = [stats.kruskal({"x": a, "y": b}).p for a, b in pairs]
        assert list(power.significant("kruskal-wallis", [x, y], 0.05)) == [p is not None and p <= 0.05 for p in kruskal]
        for name, test in (("mann-whitney", stats.mann_whitney), ("brunner-munzel", stats.brunner_munzel)):
            p_values = [test(a, b).p for a, b in pairs]
            assert 0 < sum(p is not None and p <= 0.05 for p in p_values) < 40
            assert list(power.significant(name, [x, y], 0.05)) == [p is not None and p <= 0.05 for p in p_values]
    apart = np.arange(12.0).reshape(1, 12)
    assert stats.brunner_munzel(apart[0], apart[0] + 100).p is None
    assert list(power.significant("brunner-munzel", [apart, apart + 100], 0.05)) == [True]


@pytest.mark.slow
def test_a_whole_curve_is_quick() -> None:
    start = time.process_time()
    power.power_curve(AnalysisPlan(expected=0.4), seed=1)
    assert time.process_time() - start < 5


def test_groups_keep_the_papers_proportions() -> None:
    assert power.split(31) == (8, 12, 11)
    assert all(sum(power.split(n)) == n for n in range(20, 201))


@pytest.mark.parametrize("plan", [AnalysisPlan(expected=1.0), AnalysisPlan(alpha=0.0)])
def test_power_that_makes_no_sense_says_why(plan: AnalysisPlan) -> None:
    curve = power.power_curve(plan)
    assert curve.points == ()
    assert curve.why
