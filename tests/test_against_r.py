"""The statistics against R, an independent implementation, on generated data; skipped by name where R is not installed."""

import functools
import shutil
import subprocess
from typing import Any

import numpy as np
import pytest

from evenhand.analysis import stats
from evenhand.analysis.stats import Groups

MISSING = "R (Debian: r-base-core, r-cran-car) was not found"
NAMES = ("novice", "medium", "expert")
SEEDS = (1, 2, 3)


@functools.cache
def has(*packages: str) -> bool:
    """Whether Rscript and these packages of R are here."""
    if shutil.which("Rscript") is None:
        return False
    check = " && ".join([f"requireNamespace('{each}', quietly=TRUE)" for each in packages] or ["TRUE"])
    return subprocess.run(["Rscript", "-e", f"quit(status = !({check}))"], capture_output=True, check=False).returncode == 0


def r(code: str, **columns: list[float]) -> list[float]:
    """The numbers that R code prints, given named vectors."""
    vectors = "\n".join(f"{name} <- c({', '.join(repr(float(value)) for value in values)})" for name, values in columns.items())
    program = f"suppressMessages({{{vectors}\n{code}\n}})"
    done = subprocess.run(["Rscript", "-e", program], capture_output=True, text=True, check=True)
    return [float(each) for each in done.stdout.split()]


def printed(expression: str) -> str:
    return f"cat(sprintf('%.15g', {expression}), sep='\\n'); cat('\\n')"


def draw(seed: int, digits: int | None = None) -> Groups:
    """Groups of 8, 12 and 11; rounded where ties are wanted."""
    rng = np.random.default_rng(seed)
    sizes, means, spreads = (8, 12, 11), (0.3, 0.5, 0.7), (0.25, 0.15, 0.08)
    found: dict[str, list[float]] = {}
    for name, size, mean, spread in zip(NAMES, sizes, means, spreads, strict=True):
        values = rng.normal(mean, spread, size)
        found[name] = [float(each) for each in (values if digits is None else np.round(values, digits))]
    return found


def columns(groups: Groups) -> dict[str, list[float]]:
    return {
        "y": [value for values in groups.values() for value in values],
        "g": [float(index) for index, values in enumerate(groups.values()) for _ in values],
    }


def close(found: list[float | None], expected: list[float]) -> None:
    assert found == pytest.approx(expected, rel=1e-6, abs=1e-12)


@pytest.mark.skipif(not has(), reason=MISSING)
@pytest.mark.parametrize("digits", [None, 1])
@pytest.mark.parametrize("seed", SEEDS)
def test_spearman(seed: int, digits: int | None) -> None:
    rng = np.random.default_rng(seed)
    x = [0.0] * 8 + [float(each) for each in rng.integers(1, 60, 23)]
    y = [float(each) for each in (rng.normal(0, 1, 31) + np.array(x) / 30)]
    y = y if digits is None else [round(each, digits) for each in y]
    expected = r(
        "t <- suppressWarnings(cor.test(x, y, method='spearman', exact=FALSE));" + printed("c(t$estimate, t$p.value)"), x=x, y=y
    )
    found = stats.spearman(x, y, None)
    close([found.rho, found.p], expected)


@pytest.mark.skipif(not has(), reason=MISSING)
@pytest.mark.parametrize("digits", [None, 1])
@pytest.mark.parametrize("seed", SEEDS)
def test_kruskal_wallis(seed: int, digits: int | None) -> None:
    groups = draw(seed, digits)
    expected = r("t <- kruskal.test(y, factor(g));" + printed("c(t$statistic, t$p.value)"), **columns(groups))
    found = stats.kruskal(groups)
    close([found.statistic, found.p], expected)


@pytest.mark.skipif(not has(), reason=MISSING)
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
    found = stats.pairwise(groups, "mann-whitney")
    close([*(each.statistic for each in found), *(each.p for each in found), *(each.adjusted for each in found)], expected)


@pytest.mark.skipif(not has("car"), reason=MISSING)
@pytest.mark.parametrize("centre", ["mean", "median"])
@pytest.mark.parametrize("seed", SEEDS)
def test_levene(seed: int, centre: stats.Centre) -> None:
    groups = draw(seed)
    code = f"t <- car::leveneTest(y, factor(g), center={centre});" + printed("c(t[1,2], t[1,3])")
    found = stats.levene(groups, centre)
    close([found.statistic, found.p], r(code, **columns(groups)))


@pytest.mark.skipif(not has("survival"), reason="R's package survival (Debian: r-cran-survival) was not found")
@pytest.mark.parametrize("seed", SEEDS)
def test_kaplan_meier_and_log_rank(seed: int) -> None:
    rng = np.random.default_rng(seed)
    tries = [float(each) for each in rng.integers(1, 16, 31)]
    reached = [bool(each) for each in rng.random(31) < 0.7]
    groups = [0] * 8 + [1] * 12 + [2] * 11
    code = (
        "library(survival); f <- survfit(Surv(t, d) ~ 1, conf.type='log-log'); m <- summary(f)$table;"
        "s <- survdiff(Surv(t, d) ~ g);"
        + printed("c(m['median'], m['0.95LCL'], m['0.95UCL'], s$chisq, pchisq(s$chisq, 2, lower.tail=FALSE))")
        + ";"
        + printed("c(f$surv)")
    )
    expected = r(code, t=tries, d=[float(each) for each in reached], g=[float(each) for each in groups])
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


@pytest.mark.skipif(not has("nlme"), reason="R's package nlme (Debian: r-cran-nlme) was not found")
def test_mixed_model() -> None:
    """Estimates and variances of a restricted maximum-likelihood fit: two optimizers agree to four digits."""
    data = pooled()
    code = "library(nlme); m <- lme(y ~ factor(g) + k, random = ~1 | who); v <- as.numeric(VarCorr(m)[, 'Variance']);" + printed(
        "c(fixef(m), v, sqrt(diag(vcov(m))))"
    )
    expected = r(code, **data)
    found = stats.mixed(data["y"], data["k"], [NAMES[int(each)] for each in data["g"]], data["who"])
    assert found.why is None
    values: list[Any] = [*(term.estimate for term in found.terms), found.between, found.within, *(t.error for t in found.terms)]
    assert values == pytest.approx(expected, rel=1e-4)


def pooled() -> dict[str, list[float]]:
    rng = np.random.default_rng(5)
    own = rng.normal(0, 0.1, 12)
    rows = [
        (0.4 + 0.1 * (who // 4) + own[who] + 0.02 * k + rng.normal(0, 0.05), float(who // 4), float(k), float(who))
        for who in range(12)
        for k in range(1, 9)
    ]
    return {name: [float(row[index]) for row in rows] for index, name in enumerate(("y", "g", "k", "who"))}
