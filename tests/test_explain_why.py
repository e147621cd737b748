"""Why a trial was tried: the parts of a method's own score, computed again from what it knew then."""

import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import evenhand
from evenhand.explain.why import known_then, why
from evenhand.lab.lab import Lab
from evenhand.methods import tpe_sampler
from evenhand.model.condition import Condition
from evenhand.model.configuration import Configuration
from evenhand.model.domain import Choice, Float, Integer
from evenhand.model.hyperparameter import Hyperparameter, Prior
from evenhand.model.session import Session
from evenhand.model.space import Space
from evenhand.model.trial import Trial
from evenhand.model.trial_history import Trials
from evenhand.runners.method_player import asked_for
from evenhand.web.access import Role
from evenhand.web.runs.why import BAR_WIDTH, rows_of
from tests.web import toy_site, tuned_study

SPACE = Space(
    [
        Hyperparameter("rate", Float(1e-4, 1, log=True)),
        Hyperparameter("optimizer", Choice(("adam", "sgd"))),
        Hyperparameter("momentum", Float(0, 0.9), default=0, condition=Condition("optimizer", ("sgd",))),
        Hyperparameter("units", Integer(1, 64)),
    ]
)


def objective(values: Any) -> float:
    off = abs(math.log10(values["rate"]) + 2)
    return float(1 / (1 + off) - 0.1 * (values["optimizer"] == "sgd") + values.get("momentum", 0) / 100)


@pytest.fixture
def db(tmp_path: Path) -> str:
    return f"sqlite:///{tmp_path / 'lab.sqlite'}"


def nth(session: Session, number: int) -> Trial:
    return session.trials[number - 1]


def tuned(db: str, method: str, trials: int = 16, space: Space = SPACE, **settings: Any) -> Session:
    result = evenhand.tune(
        objective, space, method=method, trials=trials, db=db, progress=False, seed=3, metric="accuracy", **settings
    )
    return Lab.connect(db).view(result.session_id).session


@pytest.mark.parametrize("method", ["tpe", "pibo"])
def test_the_parts_add_up_to_the_methods_score_and_asked_again_it_suggests_the_same(db: str, method: str) -> None:
    session = tuned(db, method)
    for number in (12, 16):
        trial = nth(session, number)
        card = why(session, trial, asked_for(session, trial))
        kinds = ("good", "unknown", "belief")
        added = sum(part[kind] for part in [*card.data["parts"], card.data["together"]] for kind in kinds)
        assert added == pytest.approx(card.data["score"], abs=1e-9)
        assert card.data["agreement"] == "same"
        assert [part["hyperparameter"] for part in card.data["parts"]] == [
            name for name in SPACE.names if name in trial.configuration
        ]
        assert card.n == number - 1


def test_what_tpe_suggested_scores_above_most_draws_from_the_space(db: str) -> None:
    session = tuned(db, "tpe")
    asked = asked_for(session, nth(session, 16))
    assert asked is not None
    draws = [asked.why(asked.space.sample(np.random.default_rng(seed))) for seed in range(20)]
    suggested = asked.why(nth(session, 16).configuration)
    assert suggested is not None
    assert sum(draw is not None and draw.score < suggested.score for draw in draws) > 10


def test_the_score_of_tpe_is_the_one_that_its_sampler_compares(db: str) -> None:
    session = tuned(db, "tpe")
    asked = asked_for(session, nth(session, 16))
    assert asked is not None
    model = tpe_sampler.model(asked.space, asked.trials, True, (), 24, 0)
    assert isinstance(model, tpe_sampler.Model)
    configuration = Configuration({"rate": 0.02, "optimizer": "adam", "units": 7})
    point = {"rate": SPACE["rate"].domain.to_unit(0.02), "optimizer": 0.0, "units": SPACE["units"].domain.to_unit(7)}
    score = 0.0
    for group in model.groups:
        if group.keys() <= point.keys():
            sample = {name: np.array([point[name]]) for name in group}
            good, others = model.densities(group)
            score += float((good.log_pdf(sample) - others.log_pdf(sample))[0])
    parts = asked.why(configuration)
    assert parts is not None
    assert parts.score == pytest.approx(score, abs=1e-12)


def test_a_belief_is_a_part_of_its_own(db: str) -> None:
    believed = [
        replace(hyperparameter, prior=Prior(value=0.01, confidence="high")) if hyperparameter.name == "rate" else hyperparameter
        for hyperparameter in SPACE
    ]
    session = tuned(db, "pibo", trials=6, space=Space(believed))
    cards = [why(session, trial, asked_for(session, trial)) for trial in session.trials]
    parts = [card.data.get("parts", []) for card in cards]
    assert any(part["belief"] != 0 for rows in parts for part in rows if part["hyperparameter"] == "rate")
    assert all(part["belief"] == 0 for rows in parts for part in rows if part["hyperparameter"] == "units")


def test_the_start_up_and_methods_without_a_score_say_what_was_said(db: str) -> None:
    session = tuned(db, "tpe", trials=3)
    card = why(session, nth(session, 2), asked_for(session, nth(session, 2)))
    assert card.finding.startswith("Random start-up draw 2 of 10")
    assert "parts" not in card.data
    assert "compared no scores" in card.sure


def test_a_person_is_told_by_their_reasons_and_without_any_nobody_knows(db: str) -> None:
    session = tuned(db, "random", trials=2)
    given = replace(nth(session, 1), proposer="anna", explanation="", reasons={"rate": "it has worked well for me in the past"})
    card = why(session, given, asked_for(session, given))
    assert card.data["by"] == "person"
    assert card.finding == "Rate: it has worked well for me in the past."
    silent = why(session, replace(given, reasons={}), None)
    assert not silent.says
    assert "nobody knows" in silent.finding


def test_what_ended_later_was_still_open(db: str) -> None:
    session = tuned(db, "random", trials=3)
    first, second, third = session.trials
    late = replace(first, finished_at=third.submitted_at + 1)
    changed = replace(session, trials=Trials([late, second, third]))
    known: tuple[Trial, ...] = known_then(changed, third)
    assert [trial.is_open for trial in known] == [True, False]
    assert known[0].value is None


# The page


def test_bars_lie_on_one_scale_and_add_up(db: str) -> None:
    session = tuned(db, "pibo")
    trial = nth(session, 16)
    card = why(session, trial, asked_for(session, trial))
    drawn = rows_of(session.space, trial, card.data)
    assert sum(row.total for row in drawn.rows) == pytest.approx(card.data["score"], abs=1e-9)
    bars = [bar for row in drawn.rows for bar in row.bars]
    assert min(bar.x for bar in bars) >= -1e-9
    assert max(bar.x + bar.width for bar in bars) <= BAR_WIDTH + 1e-9
    for bar in bars:
        assert (bar.x >= drawn.zero - 1e-9) == (bar.amount > 0)
    [scale] = {round(bar.width / abs(bar.amount), 6) for bar in bars if abs(bar.amount) > 1e-3}
    assert scale > 0
    assert "belief" not in drawn.kinds


@pytest.mark.slow
def test_the_page_tells_runs_and_nothing_of_studies(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with toy_site(tmp_path) as site:
        session = tuned(f"sqlite:///{tmp_path / 'lab.sqlite'}", "tpe", trials=12)
        researcher = site.caller(Role.RESEARCHER)
        page = researcher.get(f"/sessions/{session.id}/trials/12/why").text
        assert "these are its own numbers" in page
        assert "the whole score" in page
        assert "What speaks most for it" in page
        assert "Random start-up draw 3 of 10" in researcher.get(f"/sessions/{session.id}/trials/3/why").text
        assert f'data-why="/sessions/{session.id}/trials/12/why"' in researcher.get(f"/sessions/{session.id}/trials/12").text
        monkeypatch.setattr("evenhand.web.runs.trial.MOST_TRIALS_FOR_WHY", 11)
        late = researcher.get(f"/sessions/{session.id}/trials/12").text
        assert "data-why" not in late
        assert f'href="/sessions/{session.id}/trials/12/why"' in late
        assert researcher.get(f"/sessions/{session.id}/trials/13/why").status_code == 404
        _, studied, _ = tuned_study(site)
        assert researcher.get(f"/sessions/{studied.id}/trials/1/why").status_code == 404
