"""A linear mixed model with a random intercept a participant, fitted to the digits that lme4 gives.

statsmodels' MixedLM has the model, but its general optimizer ends some ten-thousandths away from the optimum, and may report none
where the variance between participants is 0. With a random intercept alone everything but one ratio of variances is known in
closed form (Bates et al. 2015, "Fitting Linear Mixed-Effects Models Using lme4", 3.4), and the derivative has that ratio as root.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from scipy import optimize, stats

from evenhand.analysis.stats import INTERVAL_LEVEL
from evenhand.analysis.summaries import bounded, scale_of

ROUNDING_REST = 1e-13  # of the largest value, within which what a fit leaves is rounding
RATIO_EXPONENTS = np.linspace(-10, 10, 81)  # powers of ten, among which the best ratio of variances is looked for first
RATIO_ACCURACY = 1e-14  # of its logarithm
SINGULAR_WORDS = (
    "singular fit: the variance between participants is estimated as 0, so that the model is one without participants, and its "
    "errors are too small where their trials are alike"
)

APART_WORDS = (
    f"the variance between participants is more than 10^{RATIO_EXPONENTS[-1]:.0f} times that within them, so that what is within "
    "them is rounding"
)


@dataclass(frozen=True)
class Term:
    """A fixed effect of a model: its estimate, standard error, p and interval."""

    name: str
    estimate: float
    error: float
    p: float
    low: float
    high: float


@dataclass(frozen=True)
class Mixed:
    """Fixed effects with a random intercept a participant, over `n` trials of `participants`.

    between, within: variances of the participants' intercepts and of what remains; None where that is no number. warnings: what
    is to be said of the fit.
    """

    n: int
    participants: int
    terms: tuple[Term, ...]
    between: float | None
    within: float | None
    how: str
    warnings: tuple[str, ...] = ()
    why: str | None = None

    @property
    def singular(self) -> bool:
        """Whether the variance between participants is estimated as 0."""
        return self.between == 0


@dataclass(frozen=True)
class _Fit:
    """The optimum. ratio: the variance between participants over that within; cov: of the estimates."""

    estimates: Any
    cov: Any
    ratio: float
    within: float


def mixed(
    values: Sequence[float],
    tries: Sequence[float],
    groups: Sequence[str],
    people: Sequence[Any],
    order: Sequence[str] = (),
    restricted: bool = True,
) -> Mixed:
    """value ~ group + try over pooled trials, with a random intercept for each participant.

    One entry a trial: its value, its number, its participant's group, and who that is. order: of the groups; the first that
    occurs is what others are compared with. restricted: by restricted maximum likelihood, else by maximum likelihood.
    """
    rows = [row for row in zip(values, tries, groups, people, strict=True) if math.isfinite(row[0]) and math.isfinite(row[1])]
    columns = {**dummies([row[2] for row in rows], order), "try": [float(row[1]) for row in rows]}
    return fitted([row[0] for row in rows], columns, [row[3] for row in rows], "value ~ group + try", restricted)


def dummies(labels: Sequence[str | None], order: Sequence[str] = ()) -> dict[str, list[float]]:
    """A column of 0 and 1 for each label but the first, in `order`, then as they occur; named against that first one.

    A row without a label is 0 in all of them.
    """
    there = dict.fromkeys(label for label in labels if label is not None)
    first, *others = [*(label for label in order if label in there), *(label for label in there if label not in order)] or [""]
    return {f"{other} against {first}": [float(label == other) for label in labels] for other in others}


def fitted(
    values: Sequence[float],
    columns: dict[str, list[float]],
    people: Sequence[Any],
    formula: str,
    restricted: bool = True,
) -> Mixed:
    """The mixed model of finite values on these columns beside an intercept; or why there is none."""
    likelihood = "restricted maximum likelihood" if restricted else "maximum likelihood"
    how = f"linear mixed model, {formula} with a random intercept a participant; {likelihood}, Wald p"
    codes = {person: index for index, person in enumerate(dict.fromkeys(people))}
    whose = np.array([codes[person] for person in people], dtype=int)
    empty = Mixed(len(values), len(codes), (), None, None, how)
    if not len(values):
        return replace(empty, why=f"not computable: {_few(0, 0)}")
    unit = scale_of(values)  # a power of two, so that sums of squares are numbers
    endog = np.array(values, dtype=float) / unit
    design = np.column_stack([np.ones(len(endog)), *(np.array(column, dtype=float) for column in columns.values())])
    if missing := _why_none(endog, design, whose):
        return replace(empty, why=f"not computable: {missing}")
    fit = _best(endog, design, whose, restricted)
    if fit is None:
        return replace(empty, why=f"not computable: {APART_WORDS}")
    errors = np.sqrt(np.diag(fit.cov))
    names = ("intercept", *columns)
    terms = tuple(_term(*row, unit) for row in zip(names, map(float, fit.estimates), map(float, errors), strict=True))
    said = [SINGULAR_WORDS] if fit.ratio == 0 else []
    between, within = (_square(deviation, unit) for deviation in (math.sqrt(fit.ratio * fit.within), math.sqrt(fit.within)))
    if between is None or within is None or (within == 0 and fit.within > 0):
        sizes = " and ".join(f"{unit * math.sqrt(part):.4g}" for part in (fit.ratio * fit.within, fit.within))
        said.append(f"variances of this size are no numbers; standard deviations between and within participants: {sizes}")
    return replace(empty, terms=terms, between=between, within=within, warnings=tuple(said))


def _term(name: str, estimate: float, error: float, unit: float) -> Term:
    z = float(stats.norm.ppf(0.5 + INTERVAL_LEVEL / 2))
    p = float(2 * stats.norm.sf(abs(estimate) / error))
    numbers = (estimate * unit, error * unit, (estimate - z * error) * unit, (estimate + z * error) * unit)
    shown, wide, low, high = map(bounded, numbers)
    return Term(name, shown, wide, p, low, high)


def _square(deviation: float, unit: float) -> float | None:
    variance = deviation * unit * deviation * unit
    return variance if math.isfinite(variance) else None


# The optimum


class _Profile:
    """Everything as a function of the ratio of variances; sums are those of each participant's rows."""

    def __init__(self, endog: Any, design: Any, whose: Any, restricted: bool) -> None:
        self.counts = np.bincount(whose).astype(float)
        self.rows, self.fixed = design.shape
        self.freedom = self.rows - self.fixed if restricted else self.rows
        self.restricted = restricted
        self.size = np.sqrt((design * design).sum(0))  # of each column, so that the system is well conditioned
        self.scaled, self.endog, self.whose = design / self.size, endog, whose
        self.sums = np.zeros((len(self.counts), self.fixed))
        np.add.at(self.sums, whose, self.scaled)
        self.totals = np.bincount(whose, weights=endog)
        self.cross, self.right = self.scaled.T @ self.scaled, self.scaled.T @ endog

    def at(self, ratio: float) -> tuple[Any, Any, float, float]:
        """Estimates, inverse of the weighted cross-products, weighted rest, and the derivative of the criterion."""
        weights = ratio / (1 + self.counts * ratio)
        slopes = 1 / (1 + self.counts * ratio) ** 2
        inverse = np.linalg.inv(self.cross - (self.sums * weights[:, None]).T @ self.sums)
        estimates = inverse @ (self.right - self.sums.T @ (weights * self.totals))
        residuals = self.endog - self.scaled @ estimates
        levels = np.bincount(self.whose, weights=residuals)
        rest = float(residuals @ residuals - np.sum(weights * levels**2))
        slope = float(np.sum(self.counts / (1 + self.counts * ratio)) - self.freedom * np.sum(slopes * levels**2) / rest)
        if self.restricted:
            slope -= float(np.sum(inverse * ((self.sums * slopes[:, None]).T @ self.sums)))
        return estimates, inverse, rest, slope

    def criterion(self, ratio: float) -> float:
        """-2 log likelihood but for a constant."""
        _, inverse, rest, _ = self.at(ratio)
        value = float(np.sum(np.log1p(self.counts * ratio)) + self.freedom * math.log(rest))
        return value - float(np.linalg.slogdet(inverse)[1]) if self.restricted else value


def _best(endog: Any, design: Any, whose: Any, restricted: bool) -> _Fit | None:
    """The optimum; None where it lies beyond the largest ratio that is looked at."""
    profile = _Profile(endog, design, whose, restricted)
    ratios = [0.0, *(10.0**exponent for exponent in RATIO_EXPONENTS)]
    lowest = int(np.argmin([profile.criterion(ratio) for ratio in ratios]))
    ratio = ratios[lowest]
    if lowest > 0:
        low, high = ratios[max(lowest - 1, 1)], ratios[min(lowest + 1, len(ratios) - 1)]
        ends = [profile.at(end)[3] for end in (low, high)]
        if high == ratios[-1] and ends[1] < 0:
            return None
        if ends[0] < 0 < ends[1]:
            logarithm = optimize.brentq(
                lambda power: profile.at(math.exp(power))[3], math.log(low), math.log(high), xtol=RATIO_ACCURACY
            )
            ratio = math.exp(logarithm)
    estimates, inverse, rest, _ = profile.at(ratio)
    within = rest / profile.freedom
    return _Fit(estimates / profile.size, within * inverse / np.outer(profile.size, profile.size), ratio, within)


# Why there is none


def _few(trials: int, people: int) -> str:
    return f"{trials} trials of {people} participants; at least 3 participants, and more trials than those, are needed"


def _why_none(endog: Any, design: Any, whose: Any) -> str | None:
    """Why no mixed model can be fitted, in words. whose: the index of each row's participant."""
    people = len(set(whose))
    if people < 3 or len(endog) <= people:
        return _few(len(endog), people)
    if endog.min() == endog.max():
        return f"all {len(endog)} values are equal"
    if np.linalg.matrix_rank(design) < design.shape[1] or len(endog) <= design.shape[1]:
        return "the number of the try, or the group, does not vary apart from the rest"
    if _is_exact(endog, design, whose):
        return (
            f"all {len(endog)} values follow from participant and fixed effects without rest: nothing says how far they scatter"
        )
    return None


def _is_exact(endog: Any, design: Any, whose: Any) -> bool:
    """Whether the values follow from the design and a level a participant, but for rounding.

    A fit of such values ends anywhere: what it says of the rest is rounding, and differs from processor to processor.
    """
    columns = np.column_stack([endog / np.abs(endog).max(), design])
    counts = np.bincount(whose)[:, None]
    levels = np.zeros((len(counts), columns.shape[1]))
    np.add.at(levels, whose, columns)
    values, terms = np.hsplit(columns - (levels / counts)[whose], [1])  # each participant's own level is taken off
    rest = values - terms @ np.linalg.lstsq(terms, values, rcond=None)[0]
    return bool(np.abs(rest).max() <= ROUNDING_REST)
