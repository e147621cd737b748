"""The statistics against R, an independent implementation, on generated data; skipped by name where R is not installed."""

import subprocess
from typing import Any

import numpy as np
import pytest

from evenhand.analysis import mixed_model, stats
from evenhand.analysis.stats import Groups

NAMES = ("novice", "medium", "expert")
SEEDS = (1, 2, 3)


def r(code: str, **columns: list[float]) -> list[float]:
    """The numbers that R code prints, given named vectors."""
    vectors = "\n".join(f"{name} <- c({', '.join(repr(float(value)) for value in values)})" for name, values in columns.items())
    program = f"suppressMessages({{{vectors}\n{code}\n}})"
    done = subprocess.run(["Rscript", "-e", program], capture_output=True, text=True, check=True)
    return [float(word) for word in done.stdout.split()]


def printed(expression: str) -> str:
    return f"cat(sprintf('%.15g', {expression}), sep='\\n'); cat('\\n')"


def draw(seed: int, digits: int | None = None) -> Groups:
    """Groups of 8, 12 and 11; rounded where ties are wanted."""
    rng = np.random.default_rng(seed)
    sizes, means, spreads = (8, 12, 11), (0.3, 0.5, 0.7), (0.25, 0.15, 0.08)
    groups: dict[str, list[float]] = {}
    for name, size, mean, spread in zip(NAMES, sizes, means, spreads, strict=True):
        values = rng.normal(mean, spread, size)
        groups[name] = [float(value) for value in (values if digits is None else np.round(values, digits))]
    return groups


def columns(groups: Groups) -> dict[str, list[float]]:
    return {
        "y": [value for values in groups.values() for value in values],
        "g": [float(index) for index, values in enumerate(groups.values()) for _ in values],
    }


def close(computed: list[float | None], expected: list[float]) -> None:
    assert computed == pytest.approx(expected, rel=1e-6, abs=1e-12)


@pytest.mark.needs("r")
@pytest.mark.parametrize("digits", [None, 1])
@pytest.mark.parametrize("seed", SEEDS)
def test_spearman(seed: int, digits: int | None) -> None:
    rng = np.random.default_rng(seed)
    x = [0.0] * 8 + [float(number) for number in rng.integers(1, 60, 23)]
    y = [float(number) for number in (rng.normal(0, 1, 31) + np.array(x) / 30)]
    y = y if digits is None else [round(value, digits) for value in y]
    expected = r(
        "t <- suppressWarnings(cor.test(x, y, method='spearman', exact=FALSE));" + printed("c(t$estimate, t$p.value)"), x=x, y=y
    )
    correlation = stats.spearman(x, y, None)
    close([correlation.rho, correlation.p], expected)


@pytest.mark.needs("r")
@pytest.mark.parametrize("digits", [None, 1])
@pytest.mark.parametrize("seed", SEEDS)
def test_kruskal_wallis(seed: int, digits: int | None) -> None:
    groups = draw(seed, digits)
    expected = r("t <- kruskal.test(y, factor(g));" + printed("c(t$statistic, t$p.value)"), **columns(groups))
    result = stats.kruskal(groups)
    close([result.statistic, result.p], expected)


@pytest.mark.needs("r")
@pytest.mark.parametrize("digits", [None, 1])
@pytest.mark.parametrize("seed", SEEDS)
def test_mann_whitney_and_holm(seed: int, digits: int | None) -> None:
    """R's W is U of the first group; exact without ties, corrected for continuity with them, as by its defaults."""
    groups = draw(seed, digits)
    code = (
        "w <- c(); p <- c(); for (k in list(c(0,1), c(0,2), c(1,2))) {"
        "t <- suppressWarnings(wilcox.test(y[g==k[1]], y[g==k[2]])); w <- c(w, t$statistic); p <- c(p, t$p.value) };"
        + printed("c(w, p, p.adjust(p, 'holm'))")
    )
    expected = r(code, **columns(groups))
    comparisons = stats.pairwise(groups, "mann-whitney")
    close(
        [
            *(comparison.statistic for comparison in comparisons),
            *(comparison.p for comparison in comparisons),
            *(comparison.adjusted for comparison in comparisons),
        ],
        expected,
    )


@pytest.mark.needs("r")
@pytest.mark.parametrize("centre", ["mean", "median"])
@pytest.mark.parametrize("seed", SEEDS)
def test_levene(seed: int, centre: stats.Centre) -> None:
    groups = draw(seed)
    code = f"t <- car::leveneTest(y, factor(g), center={centre});" + printed("c(t[1,2], t[1,3])")
    result = stats.levene(groups, centre)
    close([result.statistic, result.p], r(code, **columns(groups)))


@pytest.mark.needs("r-survival")
@pytest.mark.parametrize("seed", SEEDS)
def test_kaplan_meier_and_log_rank(seed: int) -> None:
    rng = np.random.default_rng(seed)
    tries = [float(number) for number in rng.integers(1, 16, 31)]
    reached = [bool(draw) for draw in rng.random(31) < 0.7]
    groups = [0] * 8 + [1] * 12 + [2] * 11
    code = (
        "library(survival); f <- survfit(Surv(t, d) ~ 1, conf.type='log-log'); m <- summary(f)$table;"
        "s <- survdiff(Surv(t, d) ~ g);"
        + printed("c(m['median'], m['0.95LCL'], m['0.95UCL'], s$chisq, pchisq(s$chisq, 2, lower.tail=FALSE))")
        + ";"
        + printed("c(f$surv)")
    )
    expected = r(code, t=tries, d=[float(draw) for draw in reached], g=[float(group) for group in groups])
    curve = stats.kaplan_meier("all", tries, reached)
    by_group = {
        str(key): (
            [t for t, g in zip(tries, groups, strict=True) if g == key],
            [d for d, g in zip(reached, groups, strict=True) if g == key],
        )
        for key in (0, 1, 2)
    }
    test = stats.log_rank(by_group)
    close([curve.median, curve.low, curve.high, test.statistic, test.p], expected[:5])
    close([step.share for step in curve.steps], expected[5:])


@pytest.mark.needs("r-nlme")
def test_mixed_model() -> None:
    """Estimates, variances and errors of a restricted maximum-likelihood fit."""
    data = pooled()
    code = "library(nlme); m <- lme(y ~ factor(g) + k, random = ~1 | who); v <- as.numeric(VarCorr(m)[, 'Variance']);" + printed(
        "c(fixef(m), v, sqrt(diag(vcov(m))))"
    )
    expected = r(code, **data)
    model = mixed_model.mixed(data["y"], data["k"], [NAMES[int(code)] for code in data["g"]], data["who"])
    assert model.why is None
    values: list[Any] = [*(term.estimate for term in model.terms), model.between, model.within, *(t.error for t in model.terms)]
    assert values == pytest.approx(expected, rel=1e-5)  # nlme's optimum, which is told less exactly than this one


def pooled() -> dict[str, list[float]]:
    rng = np.random.default_rng(5)
    own = rng.normal(0, 0.1, 12)
    rows = [
        (0.4 + 0.1 * (who // 4) + own[who] + 0.02 * k + rng.normal(0, 0.05), float(who // 4), float(k), float(who))
        for who in range(12)
        for k in range(1, 9)
    ]
    return {name: [float(row[index]) for row in rows] for index, name in enumerate(("y", "g", "k", "who"))}
