"""Studies of several labs: the meta-analysis against R's metafor, what is pooled, and what must not be."""

import json
import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from scipy import stats as scipy_stats

from evenhand.analysis import pooling
from evenhand.analysis.pooling import PAPER_NAME, StudyEstimate
from evenhand.errors import InvalidSettings
from evenhand.model.archive import Archive
from evenhand.model.study import AnalysisPlan, Arm, Budget, Contrast
from evenhand.report import figures, page
from evenhand.report import pooling as report
from tests.archives import SPACE, STUDY, TASK, Person, archive
from tests.components import need

need("report")

# Trials of the BCG vaccine (Colditz et al., 1994): ill and well among the vaccinated, ill and well among the others.
BCG = (
    (4, 119, 11, 128), (6, 300, 29, 274), (3, 228, 11, 209), (62, 13536, 248, 12619), (33, 5036, 47, 5761),
    (180, 1361, 372, 1079), (8, 2537, 10, 619), (505, 87886, 499, 87892),
    (29, 7470, 45, 7232), (17, 1699, 65, 1600), (186, 50448, 141, 27197),
    (5, 2493, 3, 2338), (27, 16886, 29, 17825),
)  # fmt: skip


def risk_ratios() -> list[StudyEstimate]:
    made = []
    for place, (a, b, c, d) in enumerate(BCG):
        estimate = math.log(a / (a + b)) - math.log(c / (c + d))
        made.append(StudyEstimate(str(place), a + b + c + d, estimate, 1 / a - 1 / (a + b) + 1 / c - 1 / (c + d)))
    return made


def odds_ratios() -> list[StudyEstimate]:
    return [
        StudyEstimate(str(place), sum(row), math.log(row[0] * row[3] / (row[1] * row[2])), sum(1 / count for count in row))
        for place, row in enumerate(BCG)
    ]


def lab(seed: int, people: int = 12) -> Archive:
    """A lab whose participants' scores go with their months."""
    rng = np.random.default_rng(seed)
    made = []
    for number in range(people):
        months = [0, 5, 20][number % 3]
        score = float(0.4 + 0.01 * months + rng.normal(0, 0.1))
        reasons = [{"rate": "guess" if rng.random() < 0.9 - 0.03 * months else "learnt", "epochs": "guess"}] * 2
        made.append(Person(months, (score - 0.1, float(rng.random())), (score,), reasons=reasons))
    return archive(made)


def test_the_meta_analysis_has_the_numbers_that_r_s_metafor_prints() -> None:
    """metafor's documentation, dat.bcg: rma(yi, vi, method="DL") and confint(), whose interval of tau² is the Q-profile."""
    made = pooling.meta_analysis(risk_ratios())
    assert (made.k, made.df) == (13, 12)
    assert made.q == pytest.approx(152.2330, abs=1e-4)
    assert made.tau2 == pytest.approx(0.3088, abs=1e-4)
    assert made.i2 == pytest.approx(0.9212, abs=1e-4)
    assert made.estimate == pytest.approx(-0.7141, abs=1e-4)
    assert (made.tau2_low, made.tau2_high) == pytest.approx((0.1197, 1.1115), abs=1e-4)


def test_the_interval_of_tau2_is_that_of_van_houwelingen_s_data_in_metafor() -> None:
    """metafor-project.org, analyses of van Houwelingen et al. (2002), log odds ratios: 0.1302 to 1.1812."""
    made = pooling.meta_analysis(odds_ratios())
    assert (made.tau2_low, made.tau2_high) == pytest.approx((0.1302, 1.1812), abs=1e-4)


def test_the_interval_is_hartung_and_knapp_s_and_never_narrower_than_the_usual_one() -> None:
    studies = risk_ratios()
    made = pooling.meta_analysis(studies)
    assert None not in (made.tau2, made.estimate, made.low)
    effects, variances = np.array([one.estimate for one in studies]), np.array([one.variance for one in studies])
    weights = 1 / (variances + (made.tau2 or 0))
    spread = (weights * (effects - (made.estimate or 0)) ** 2).sum() / (12 * weights.sum())
    away = scipy_stats.t.ppf(0.975, 12) * math.sqrt(max(spread, 1 / weights.sum()))
    assert (made.low, made.high) == pytest.approx((made.estimate - away, made.estimate + away))  # type: ignore[operator]
    alike = pooling.meta_analysis([StudyEstimate(str(place), 30, 0.5, 0.04) for place in range(3)])
    assert (alike.tau2, alike.i2, alike.tau2_low, alike.tau2_high) == (0.0, 0.0, 0.0, 0.0)
    assert (alike.high or 0) - 0.5 == pytest.approx(scipy_stats.t.ppf(0.975, 2) * math.sqrt(0.04 / 3))


@pytest.mark.parametrize("count", [0, 1])
def test_of_fewer_than_two_studies_nothing_is_pooled_and_that_is_said(count: int) -> None:
    made = pooling.meta_analysis(risk_ratios()[:count])
    assert (made.low, made.p, made.tau2) == (None, None, None)
    assert "at least 2 are needed" in str(made.why)


def test_each_effect_has_each_lab_and_the_paper_is_one_more_study_marked_as_printed() -> None:
    studies = {"delft.zip": lab(1), "kyoto.zip": lab(2)}
    effects = {effect.key: effect for effect in pooling.pooled(studies, "live")}
    assert list(effects) == ["pooled-rho", "pooled-guessing", "pooled-groups"]
    rho = effects["pooled-rho"]
    assert [(one.study, one.n, one.printed) for one in rho.studies] == [
        ("delft.zip", 12, False), ("kyoto.zip", 12, False), (PAPER_NAME, 31, True),
    ]  # fmt: skip
    assert rho.shown(rho.studies[2].estimate) == pytest.approx(0.60)
    assert rho.studies[2].variance == pytest.approx(1.06 / 28)
    assert effects["pooled-guessing"].shown(effects["pooled-guessing"].studies[-1].estimate) == pytest.approx(-0.58)
    apart = effects["pooled-groups"]
    assert [one.study for one in apart.studies] == ["delft.zip", "kyoto.zip"], "the paper prints no means of groups"
    assert apart.studies[0].n == 8
    without = pooling.pooled(studies, "live", paper=False)[0]
    assert [one.printed for one in without.studies] == [False, False]
    small = pooling.pooled({**studies, "tiny.zip": lab(3, 3)}, "live")[0]
    assert small.left == (("tiny.zip", "3 participants, at least 5 are needed"),)


@pytest.mark.parametrize("scale", [1e308, 1e160, 1e60, 1e-300])
def test_scores_of_any_finite_size_are_pooled_or_said_to_be_too_large(scale: float) -> None:
    def sized(seed: int) -> Archive:
        drawn = np.random.default_rng(seed).random(9)
        return archive([Person([0, 5, 20][at % 3], (0.5,), (scale * float(value),)) for at, value in enumerate(drawn)])

    for effect in pooling.pooled({"a": sized(1), "b": sized(2)}, "live", paper=False):
        made = effect.pooled
        assert all(value is None or math.isfinite(value) for value in (made.estimate, made.low, made.high, made.q, made.tau2))
        assert len(effect.studies) + len(effect.left) == 2


def test_planned_contrasts_are_pooled() -> None:
    study = replace(STUDY, arms=(Arm("a"), Arm("b")), plan=AnalysisPlan(contrasts=(Contrast("a", "b"),)))

    def of(shift: float) -> Archive:
        scores = [("a", 0.5 + shift), ("a", 0.7 + shift), ("b", 0.3), ("b", 0.4)]
        return archive([Person(1, (score,), (score,), rest={"condition": arm}) for arm, score in scores], study)

    effect = next(one for one in pooling.pooled({"x": of(0), "y": of(0.1)}, "live") if one.key == "pooled-contrast-1")
    assert [one.estimate for one in effect.studies] == pytest.approx([0.25, 0.35])
    assert effect.studies[0].variance == pytest.approx(0.02 / 2 + 0.005 / 2)


def test_what_is_declared_differently_is_refused_with_everything_that_differs() -> None:
    ours = lab(1)
    space = replace(TASK, space=type(SPACE)([*SPACE][:3]), version="2")
    study = replace(STUDY, budget=Budget(trials=30), arms=(Arm("one"), Arm("two")), questionnaires=())
    theirs = archive([Person(3, (0.5,), (0.5,))], study, space)
    with pytest.raises(InvalidSettings) as refused:
        pooling.check({"ours.zip": ours, "theirs.zip": theirs})
    said = str(refused.value)
    for words in (
        "task version: ours.zip, version 1 has toy 1, theirs.zip, version 1 has toy 2",
        "budget: ours.zip, version 1 has 20 trials, theirs.zip, version 1 has 30 trials",
        "conditions: ours.zip, version 1 has none, theirs.zip, version 1 has one, two",
        "space of toy, momentum: ",
        "question background.months: ",
    ):
        assert words in said
    pooling.check({"ours.zip": ours, "theirs.zip": lab(2)})


def test_nobody_is_pooled_twice() -> None:
    with pytest.raises(InvalidSettings, match=r"participants: 12 people in a\.zip also in b\.zip; give each archive once"):
        pooling.check({"a.zip": lab(1), "b.zip": lab(1)})


@pytest.mark.slow
def test_the_report_tells_effects_heterogeneity_and_what_was_printed(tmp_path: Path) -> None:
    built = report.build({"delft.zip": lab(1), "kyoto.zip": lab(2)}, "live")
    items = {item.key: item for item in built.items}
    assert set(items) == {"studies", "pooled-rho", "pooled-guessing", "pooled-groups"}
    rho = items["pooled-rho"]
    assert rho.table is not None
    assert [row[0] for row in rho.table.rows] == ["delft.zip", "kyoto.zip", f"{PAPER_NAME} *", "all studies (random effects)"]
    assert rho.table.rows[2][2] == "0.60"
    assert "printed in the paper" in rho.how
    for words in ("Q", "I² ", "tau² (of Fisher's z)", "95 % interval"):
        assert words in rho.n
    assert built.lead[0].startswith("Spearman's rho of experience and the final test accuracy: 0.")
    assert "delft.zip" in figures.svg(rho.spec or {})
    assert "Effects over all studies" in page.html(built, "2026-11-29")
    json.dumps(rho.spec, allow_nan=False)
