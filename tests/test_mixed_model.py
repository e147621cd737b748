"""The mixed model against the numbers that lme4's authors print, closed forms of balanced data, and statsmodels."""

import math
from collections.abc import Sequence

import numpy as np
import pytest

from evenhand.analysis import mixed_model
from evenhand.analysis.mixed_model import Mixed, Term, fitted, mixed
from tests.components import need

# Davies and Goldsmith (1972); lme4's Dyestuff: yield of six batches.
DYESTUFF = [
    [1545, 1440, 1440, 1520, 1580],
    [1540, 1555, 1490, 1560, 1495],
    [1595, 1550, 1605, 1510, 1560],
    [1445, 1440, 1595, 1465, 1545],
    [1595, 1630, 1515, 1635, 1625],
    [1520, 1455, 1450, 1480, 1445],
]
# Box and Tiao (1973); lme4's Dyestuff2, whose fit is singular.
DYESTUFF_2 = [
    [7.298, 3.846, 2.434, 9.566, 7.990],
    [5.220, 6.556, 0.608, 11.788, -0.892],
    [0.110, 10.386, 13.434, 5.510, 8.166],
    [2.212, 4.852, 7.092, 9.288, 4.980],
    [0.282, 9.014, 4.458, 9.446, 7.198],
    [1.722, 4.782, 8.106, 0.758, 3.758],
]
# Belenky et al. (2003); lme4's sleepstudy: reaction time in ms on days 0 to 9 of 18 people.
SLEEP = [
    [249.5600, 258.7047, 250.8006, 321.4398, 356.8519, 414.6901, 382.2038, 290.1486, 430.5853, 466.3535],
    [222.7339, 205.2658, 202.9778, 204.7070, 207.7161, 215.9618, 213.6303, 217.7272, 224.2957, 237.3142],
    [199.0539, 194.3322, 234.3200, 232.8416, 229.3074, 220.4579, 235.4208, 255.7511, 261.0125, 247.5153],
    [321.5426, 300.4002, 283.8565, 285.1330, 285.7973, 297.5855, 280.2396, 318.2613, 305.3495, 354.0487],
    [287.6079, 285.0000, 301.8206, 320.1153, 316.2773, 293.3187, 290.0750, 334.8177, 293.7469, 371.5811],
    [234.8606, 242.8118, 272.9613, 309.7688, 317.4629, 309.9976, 454.1619, 346.8311, 330.3003, 253.8644],
    [283.8424, 289.5550, 276.7693, 299.8097, 297.1710, 338.1665, 332.0265, 348.8399, 333.3600, 362.0428],
    [265.4731, 276.2012, 243.3647, 254.6723, 279.0244, 284.1912, 305.5248, 331.5229, 335.7469, 377.2990],
    [241.6083, 273.9472, 254.4907, 270.8021, 251.4519, 254.6362, 245.4523, 235.3110, 235.7541, 237.2466],
    [312.3666, 313.8058, 291.6112, 346.1222, 365.7324, 391.8385, 404.2601, 416.6923, 455.8643, 458.9167],
    [236.1032, 230.3167, 238.9256, 254.9220, 250.7103, 269.7744, 281.5648, 308.1020, 336.2806, 351.6451],
    [256.2968, 243.4543, 256.2046, 255.5271, 268.9165, 329.7247, 379.4445, 362.9184, 394.4872, 389.0527],
    [250.5265, 300.0576, 269.8939, 280.5891, 271.8274, 304.6336, 287.7466, 266.5955, 321.5418, 347.5655],
    [221.6771, 298.1939, 326.8785, 346.8555, 348.7402, 352.8287, 354.4266, 360.4326, 375.6406, 388.5417],
    [271.9235, 268.4369, 257.2424, 277.6566, 314.8222, 317.2135, 298.1353, 348.1229, 340.2803, 366.5131],
    [225.2640, 234.5235, 238.9008, 240.4730, 267.5373, 344.1937, 281.1481, 347.5855, 365.1630, 372.2288],
    [269.8804, 272.4428, 277.8989, 281.7895, 279.1705, 284.5120, 259.2658, 304.6306, 350.7807, 369.4692],
    [269.4117, 273.4740, 297.5968, 310.6316, 287.1726, 329.6076, 334.4818, 343.2199, 369.1417, 364.1236],
]


def of_intercept(table: Sequence[Sequence[float]], restricted: bool) -> Mixed:
    people = [who for who, row in enumerate(table) for _ in row]
    return fitted([value for row in table for value in row], {}, people, "value ~ 1", restricted)


def numbers(model: Mixed) -> tuple[float, ...]:
    assert model.why is None
    assert model.between is not None
    assert model.within is not None
    return (*(part for term in model.terms for part in (term.estimate, term.error or 0.0)), model.between, model.within)


def balanced(table: Sequence[Sequence[float]], restricted: bool) -> tuple[float, ...]:
    """The closed form of balanced data without a predictor: estimate, error, variances between and within."""
    values = np.array(table, dtype=float)
    people, times = values.shape
    within = float(((values - values.mean(1, keepdims=True)) ** 2).sum()) / (people * (times - 1))
    whole = times * float(((values.mean(1) - values.mean()) ** 2).sum()) / (people - 1 if restricted else people)
    between = (whole - within) / times
    return float(values.mean()), math.sqrt(whole / (people * times)), between, within


@pytest.mark.parametrize(("restricted", "printed"), [(True, (1527.50, 19.38, 1764, 2451)), (False, (1527.50, 17.69, 1388, 2451))])
def test_dyestuff_as_lme4_prints_it(restricted: bool, printed: tuple[float, ...]) -> None:
    fit = numbers(of_intercept(DYESTUFF, restricted))
    assert fit == pytest.approx(balanced(DYESTUFF, restricted), rel=1e-9)
    assert [round(number, digits) for number, digits in zip(fit, (2, 2, 0, 0), strict=True)] == list(printed)


@pytest.mark.parametrize(("restricted", "deviation"), [(True, 3.7157), (False, 3.6532)])
def test_a_singular_fit_is_said(restricted: bool, deviation: float) -> None:
    model = of_intercept(DYESTUFF_2, restricted)
    assert model.singular
    assert model.warnings == (mixed_model.SINGULAR_WORDS,)
    estimate, error, between, within = numbers(model)
    assert (round(estimate, 4), between, round(math.sqrt(within), 4)) == (5.6656, 0.0, deviation)
    assert error == pytest.approx(math.sqrt(within / 30), rel=1e-12)


def sleep(restricted: bool = True) -> Mixed:
    values = [value for row in SLEEP for value in row]
    days = [float(day) for row in SLEEP for day in range(len(row))]
    return fitted(values, {"try": days}, [who for who, row in enumerate(SLEEP) for _ in row], "value ~ try", restricted)


def test_sleepstudy_as_lme4_prints_it() -> None:
    """Bates et al. print Reaction ~ Days + (1 | Subject): 251.4051 (9.7467), 10.4673 (0.8042); 1378.2 and 960.5."""
    fit = numbers(sleep())
    assert [round(number, 4) for number in fit[:4]] == [251.4051, 9.7467, 10.4673, 0.8042]
    assert [round(number, 1) for number in fit[4:]] == [1378.2, 960.5]


@pytest.mark.parametrize("restricted", [True, False])
def test_sleepstudy_is_the_closed_form_of_balanced_data(restricted: bool) -> None:
    """With the same days for all: slopes and the rest from within people, the intercept's error from both variances."""
    values, days = np.array(SLEEP), np.arange(10.0)
    people, times = values.shape
    centred = days - days.mean()
    slope = float((values * centred).sum() / (people * (centred**2).sum()))
    inside = values - values.mean(1, keepdims=True) - slope * centred
    freedom = people * (times - 1) - (1 if restricted else 0)
    within = float((inside**2).sum()) / freedom
    whole = times * float(((values.mean(1) - values.mean()) ** 2).sum()) / (people - 1 if restricted else people)
    if not restricted:  # the two variances' likelihoods are apart
        within = float((inside**2).sum()) / (people * (times - 1))
    error_slope = math.sqrt(within / (people * float((centred**2).sum())))
    error = math.sqrt(whole / (people * times) + days.mean() ** 2 * error_slope**2)
    expected = (float(values.mean()) - slope * days.mean(), error, slope, error_slope, (whole - within) / times, within)
    assert numbers(sleep(restricted)) == pytest.approx(expected, rel=1e-6)


def unbalanced(seed: int) -> tuple[list[float], list[float], list[str], list[int]]:
    rng = np.random.default_rng(seed)
    own = rng.normal(0, 0.1, 12)
    rows = [
        (0.4 + 0.1 * (who // 4) + own[who] + 0.02 * k + rng.normal(0, 0.05), float(k), "abc"[who // 4], who)
        for who in range(12)
        for k in range(1, 4 + who)
    ]
    values, tries, groups, people = zip(*rows, strict=True)
    return list(values), list(tries), list(groups), list(people)


@pytest.mark.parametrize("restricted", [True, False])
def test_statsmodels_is_no_better_and_near(restricted: bool) -> None:
    values, tries, groups, people = unbalanced(5)
    model = mixed(values, tries, groups, people, restricted=restricted)
    design = np.column_stack([np.ones(len(values)), *mixed_model.dummies(groups).values(), tries])
    need("report")
    from statsmodels.regression.mixed_linear_model import MixedLM

    fit = MixedLM(np.array(values), design, groups=people).fit(reml=restricted, method="powell")
    assert [term.estimate for term in model.terms] == pytest.approx(list(fit.fe_params), rel=1e-4)
    assert [term.error for term in model.terms] == pytest.approx(list(fit.bse_fe), rel=1e-3)


def test_the_reference_is_the_first_group_in_order_not_the_first_that_occurs() -> None:
    values, tries, groups, people = unbalanced(1)
    names = [term.name for term in mixed(values, tries, groups, people, order=("c", "a", "b")).terms]
    assert names == ["intercept", "a against c", "b against c", "try"]
    assert [term.name for term in mixed(values, tries, groups, people, order=("x", "b")).terms][1:3] == [
        "a against b",
        "c against b",
    ]


@pytest.mark.parametrize("scale", [1e300, 1e-300, 1e-150, 2.0**-1060])
def test_numbers_of_any_size_give_the_same_model(scale: float) -> None:
    values, tries, groups, people = unbalanced(2)
    plain = mixed(values, tries, groups, people)
    scaled = mixed([scale * value for value in values], tries, groups, people)

    def shape(terms: tuple[Term, ...], unit: float) -> list[float]:
        return [part / unit for term in terms for part in (term.estimate, term.error or 0.0)]

    assert shape(scaled.terms, scale) == pytest.approx(shape(plain.terms, 1.0), rel=0.02 if scale < 1e-310 else 1e-9)
    assert [term.p for term in scaled.terms] == pytest.approx([term.p for term in plain.terms], rel=1e-2)
    assert bool(scaled.warnings) == (abs(math.log10(scale)) > 160)  # where variances are no numbers, it says so
    assert plain.warnings == ()
