"""Methods at work on known surfaces: the numbers that their pages play."""

import json
import math
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from evenhand.errors import InvalidSettings
from evenhand.explain.demonstration import SURFACES, demonstrate, score_map, why_no_demonstration
from evenhand.methods import METHODS
from evenhand.methods.words import METHOD_FACTS, METHOD_WORDS
from evenhand.web.access import Role
from tests.web import Caller, toy_site

SHOWN = [name for name in METHODS.own if name not in ("gp", "manual")]
ROOT = Path(__file__).parents[1]


@pytest.mark.parametrize("surface", SURFACES)
def test_a_surface_is_best_where_it_says(surface: str) -> None:
    formula = SURFACES[surface]
    here = float(formula.score(np.array(formula.best[0]), np.array(formula.best[1])))
    assert here >= np.nanmax(score_map(formula)) - 0.03
    wrong = float(formula.score(np.array(formula.wrong[0]), np.array(formula.wrong[1])))
    assert wrong < 0.75 * here


@pytest.mark.parametrize("name", SHOWN)
@pytest.mark.parametrize("parallel", [1, 4])
def test_a_method_is_shown_as_it_works(name: str, parallel: int) -> None:
    played = demonstrate(name, "cliff", trials=20, parallel=parallel, seed=2)
    assert played == demonstrate(name, "cliff", trials=20, parallel=parallel, seed=2)
    assert 8 <= len(played.trials) <= 20
    for trial in played.trials:
        assert 0 <= trial.across <= 1
        assert trial.explanation
        open_then = [other for other in played.trials if other.begins <= trial.begins < other.ends]
        assert len(open_then) <= parallel
        scored = [other.value for other in played.trials if other.value is not None and other.ends <= trial.ends]
        assert trial.best == max(scored, default=None)
        if trial.resumes is not None:
            before = played.trials[trial.resumes - 1]
            assert (before.across, before.up) == (trial.across, trial.up)
            assert before.ends <= trial.begins
    assert played.reached == max(trial.value for trial in played.trials if trial.value is not None)


def test_a_wrong_belief_costs_trials_and_a_right_one_saves_them() -> None:
    needed = {}
    for belief in ("right", "wrong"):
        runs = [demonstrate("pibo", "two", trials=20, seed=seed, belief=belief) for seed in range(3)]
        needed[belief] = sum(run.to_ninety or 21 for run in runs)
    assert needed["right"] < needed["wrong"]


def test_of_a_grid_most_trials_differ_in_what_does_not_matter() -> None:
    grid = demonstrate("grid", "one", trials=9)
    drawn = demonstrate("random", "one", trials=9)
    assert len({trial.rate for trial in grid.trials}) == 3
    assert len({trial.rate for trial in drawn.trials}) == 9


def test_what_cannot_be_shown_says_why() -> None:
    assert why_no_demonstration("manual") is not None
    with pytest.raises(InvalidSettings, match="no surface 'plain'; expected one of hill"):
        demonstrate("random", "plain")
    with pytest.raises(InvalidSettings, match="99 at once"):
        demonstrate("random", "hill", parallel=99)
    with pytest.raises(InvalidSettings, match="'manual' has no demonstration"):
        demonstrate("manual", "hill")


def test_every_method_has_its_facts_and_the_costs_are_those_of_the_measurements() -> None:
    assert set(METHOD_FACTS) == set(METHOD_WORDS) == set(METHODS.own)
    rows = [line for line in (ROOT / "docs" / "methods.md").read_text().splitlines() if line.startswith("| `")]
    measured = {name: row for row in rows for name in METHODS.own if row.startswith(f"| `{name}`") and row.count("|") == 6}
    for name in ("tpe", "gp", "pibo"):
        _, _, _, hundred, _, thousand, *_ = measured[name].split("|")
        costs = METHOD_FACTS[name].costs
        assert f"{hundred.strip()} ms" in costs
        assert thousand.strip() in costs


@pytest.fixture(scope="module")
def researcher(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Caller]:
    with toy_site(tmp_path_factory.mktemp("methods")) as site:
        yield site.caller(Role.RESEARCHER)


@pytest.mark.slow
def test_the_pages_list_and_show_methods(researcher: Caller) -> None:
    listed = researcher.get("/methods").text
    for name in METHODS:
        assert f'href="/methods/{name}"' in listed
        assert METHOD_FACTS[name].cannot in researcher.get(f"/methods/{name}").text.replace("&#39;", "'")
    assert researcher.get("/methods/nothing").status_code == 404
    assert "nothing of its own to be seen" in researcher.get("/methods/manual").text


@pytest.mark.slow
def test_a_demonstration_is_sent_whole_and_wrong_wishes_are_refused(researcher: Caller) -> None:
    answer = researcher.get("/methods/tpe/demonstration?surface=cliff&parallel=4&seed=3")
    sent = json.loads(answer.text)
    assert len(sent["trials"]) == 30
    assert any(score is None for row in sent["map"] for score in row)
    assert sent["axes"]["across"]["ticks"] == ["0.0001", "0.01", "1"]
    assert math.isclose(
        sent["best_possible"], max(score for row in sent["map"] for score in row if score is not None), abs_tol=1e-4
    )
    for query in ("surface=none", "parallel=0", "parallel=x", "seed=-1", "seed=1000", "belief=strong"):
        assert 400 <= researcher.get(f"/methods/tpe/demonstration?{query}").status_code < 500, query
    assert researcher.get("/methods/manual/demonstration").status_code >= 400
