"""Several aims, and what is required: how they are given, which trial is best, what the front is, and that methods heed them."""

import math
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner
from hypothesis import given
from hypothesis import strategies as st
from sklearn.datasets import load_breast_cancer
from sklearn.tree import DecisionTreeClassifier

import evenhand
from evenhand import Configuration, Float, Run, methods
from evenhand.cli import main
from evenhand.errors import InvalidSettings, NotFound, Refused
from evenhand.exchange import archive
from evenhand.exchange import optuna as optuna_studies
from evenhand.lab.lab import Lab
from evenhand.methods.base import bad_last, is_bad, misses_by
from evenhand.model import choices, rules
from evenhand.model.aims import LARGEST_MISS, RATING, Judge, Requirement, aims_of, recorded_objectives, recorded_require
from evenhand.model.choice_rule import choice_rule, chosen_by, parts_of, standard_error
from evenhand.model.direction import value_of
from evenhand.model.session import Session
from evenhand.model.space import Space
from evenhand.model.study import Budget
from evenhand.model.task import Metric, TaskRecord, TaskSpec
from evenhand.model.trial import Outcome, Trial
from evenhand.runners.method_player import chosen_method, read_method
from evenhand.web.access import Role
from tests.exported import write
from tests.web import toy_site, tuned_study

SPACE = Space({"x": Float(0, 1), "y": Float(0, 1)})
TASK = TaskRecord(TaskSpec("toy"), "1", SPACE, "accuracy", "maximize", 1, further=(Metric("size", "minimize"),))
OBJECTIVES = ["accuracy:max", "latency_ms:min"]
PLAIN: dict[str, Any] = {"metric": "accuracy", "direction": "maximize", "trials": 60}


@pytest.fixture
def db(tmp_path: Path) -> str:
    return f"sqlite:///{tmp_path / 'lab.sqlite'}"


def slower(configuration: Configuration) -> dict[str, float]:
    """The better, the slower."""
    x = configuration.number("x")
    return {"accuracy": 1 - (x - 0.7) ** 2, "latency_ms": 10 * x}


def tune(db: str, **settings: Any) -> evenhand.Result:
    usual: dict[str, Any] = {"objectives": OBJECTIVES, "trials": 20, "seed": 1}
    return evenhand.tune(slower, SPACE, db=db, progress=False, **{**usual, **settings})


def trial(number: int, value: float | None, outcome: Outcome = Outcome.COMPLETED, **extra: float) -> Trial:
    configuration = SPACE.configuration({"x": 0.5, "y": 0.5})
    return Trial(
        number, 1, number, configuration, "m", 0.0, 1, claimed_at=0.0, finished_at=1.0, outcome=outcome, value=value, extra=extra
    )


def session(*trials: Trial, require: dict[str, str] | None = None, objectives: list[str] | None = None) -> Session:
    method: dict[str, Any] = {"name": "random", "require": require or {}, "objectives": objectives or []}
    judge = Judge("accuracy", aims_of(method).require)
    judged = tuple(judge.all(trials))
    return Session(1, 1, TASK, "method", "m", Budget(trials=99), 0, 0.0, 0.0, method=method, trials=judged, purpose="exploratory")


# As they are given


def test_aims_are_recorded_in_one_form() -> None:
    assert recorded_objectives(TASK, ("accuracy:maximize", "latency_ms:min", "size:min")) == [*OBJECTIVES, "size:min"]
    assert recorded_require(TASK, {"latency_ms": "<=5", "weights": " <= 1e6 ", "accuracy": ">= 0.80"}) == {
        "latency_ms": "<= 5",
        "weights": "<= 1000000",
        "accuracy": ">= 0.8",
    }
    aims = aims_of({"objectives": OBJECTIVES, "require": {"weights": "<= 1000000"}})
    assert aims.objectives == (Metric("accuracy", "maximize"), Metric("latency_ms", "minimize"))
    assert aims.require == (Requirement("weights", True, 1e6),)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ("accuracy:max", "expected a list of texts"),
        ([], "expected a list of texts"),
        (["accuracy"], "got 'accuracy', expected a metric and its direction, such as 'accuracy:max'"),
        (["accuracy:up"], "got 'accuracy:up', expected"),
        ([":max"], "got ':max', expected"),
        ([0.5], "got 0.5, expected"),
        (["accuracy:max", "a:min", "a:max"], "'a' is named twice"),
        (["latency_ms:min", "accuracy:max"], "the first is 'latency_ms:min', and toy is tuned by 'accuracy:max'; put that first"),
        (["accuracy:min"], "the first is 'accuracy:min', and toy is tuned by 'accuracy:max'"),
        (["accuracy:max", "size:max"], "'size:max', but the task declares 'size:min'"),
        (["accuracy:max", "loss:min"], "'loss' means something else in run.report"),
    ],
)
def test_objectives_that_cannot_be_are_refused_in_words(given: Any, message: str) -> None:
    with pytest.raises(InvalidSettings, match=message):
        recorded_objectives(TASK, given)


@pytest.mark.parametrize(
    "given",
    [{}, "latency_ms <= 5", {"latency_ms": 5}, {"latency_ms": "< 5"}, {"latency_ms": "<= nan"}, {"latency_ms": "<= inf"},
     {"latency_ms": "<= 5 ms"}, {"latency_ms": "5"}, {"": "<= 5"}, {3: "<= 5"}, {"epoch": "<= 5"}],
)  # fmt: skip
def test_requirements_that_cannot_be_are_refused_in_words(given: Any) -> None:
    with pytest.raises(InvalidSettings, match="require: "):
        recorded_require(TASK, given)


def test_what_contradicts_the_objectives_is_refused_before_anything_is_stored(db: str) -> None:
    for settings, message in (
        (
            {"metric": "loss_of_mine"},
            "metric is 'loss_of_mine' and direction None, but the first of the objectives is 'accuracy:max'",
        ),
        ({"direction": "minimize"}, "leave metric and direction out"),
        ({"method": "cmaes"}, "method 'cmaes' tunes one metric, and there are 2 objectives; take nsga2, tpe or random"),
        ({"method": "evolution"}, "method 'evolution' tunes one metric"),
        ({"require": {"latency_ms": 5}}, "'latency_ms' is 5, expected"),
    ):
        with pytest.raises(InvalidSettings, match=message):
            tune(db, **settings)
    assert not Path(db.removeprefix("sqlite:///")).exists()


def test_a_study_has_no_aims_of_its_own(db: str) -> None:
    study = tune(db, trials=1).session.study_id
    with closing(Lab.connect(db)) as lab, pytest.raises(Refused, match="objectives and require can be declared of exploratory"):
        lab.sessions.open(study, tuner="x", method={"name": "random", "objectives": OBJECTIVES, "require": {"a": "<= 1"}})


# Which trial is best


def test_a_requirement_is_missed_by_a_share_of_its_bound() -> None:
    most, least = Requirement("a", True, 5.0), Requirement("a", False, 5.0)
    assert [most.missed_by(value) for value in (4.0, 5.0, 6.0)] == [0, 0, pytest.approx(0.2)]
    assert [least.missed_by(value) for value in (4.0, 5.0, 6.0)] == [pytest.approx(0.2), 0, 0]
    assert Requirement("a", True, 0.0).missed_by(0.5) == 0.5
    assert most.missed_by(None) == most.missed_by(1e308) == LARGEST_MISS
    assert Requirement("a", True, 1e-300).missed_by(1e308) == LARGEST_MISS
    assert Requirement("a", True, 1e300).missed_by(np.nextafter(1e300, math.inf)) > 0
    assert Requirement(RATING, False, 3.0).missed_by(None) == 0  # nobody has said anything against it


def test_what_misses_a_requirement_is_never_the_best_and_the_nearest_is_named() -> None:
    fast, slow, silent = trial(1, 0.7, latency_ms=4.0), trial(2, 0.9, latency_ms=7.0), trial(3, 0.95)
    mixed = session(fast, slow, silent, require={"latency_ms": "<= 5"})
    assert [one.is_feasible for one in mixed.trials] == [True, False, False]
    best = rules.best_trial(mixed)
    assert best is not None
    assert best.number == 1
    assert choices.no_choice_words(mixed) == ""
    assert [value_of(one) for one in mixed.trials] == [0.7, None, None]
    none = session(slow, silent, trial(4, 0.99, Outcome.DIVERGED, latency_ms=5.1), require={"latency_ms": "<= 5"})
    assert rules.best_trial(none) is None
    assert choices.final_trial(none) is None
    near = choices.nearest_trial(none)
    assert near is not None
    assert near.number == 2
    assert choices.no_choice_words(none) == (
        "no trial keeps what is required (latency_ms <= 5); nearest is trial 2: latency_ms is 7, and <= 5 is required"
    )
    assert choices.misses(none, none.trials[1]) == ("latency_ms was not reported, and <= 5 is required",)


def test_a_requirement_of_the_metric_itself_holds_for_the_value() -> None:
    bounded = session(trial(1, 0.7), trial(2, 0.9), require={"accuracy": "<= 0.8"})
    assert [one.is_feasible for one in bounded.trials] == [True, False]


# The front


def test_the_front_holds_what_nothing_is_better_than_in_everything() -> None:
    trials = (
        trial(1, 0.9, latency_ms=9.0), trial(2, 0.8, latency_ms=5.0), trial(3, 0.8, latency_ms=6.0),
        trial(4, 0.7, latency_ms=1.0),
        trial(5, 0.9, latency_ms=9.0), trial(6, 0.99), trial(7, 0.99, Outcome.DIVERGED, latency_ms=0.5),
    )  # fmt: skip
    assert [one.number for one in choices.front(session(*trials, objectives=OBJECTIVES))] == [1, 2, 4]
    kept = session(*trials, objectives=OBJECTIVES, require={"latency_ms": "<= 5"})
    assert [one.number for one in choices.front(kept)] == [2, 4]
    assert [one.number for one in choices.front(session(*trials))] == [6]


def test_of_those_that_are_alike_by_the_first_objective_the_best_is_the_one_on_the_front() -> None:
    trials = (trial(1, 0.9, latency_ms=9.0), trial(2, 0.9), trial(3, 0.9, latency_ms=4.0), trial(4, 0.9, latency_ms=4.0))
    several, one = session(*trials, objectives=OBJECTIVES), session(*trials)
    ruled = replace(several, method={**several.method, "choose": "gap"})
    for made, number in ((several, 3), (one, 1), (session(*trials[:2], objectives=OBJECTIVES), 1), (ruled, 3)):
        best = choices.final_trial(made)
        assert best is not None
        assert best.number == number
        assert best == rules.best_trial(made) == choices.front(made)[0]


@given(st.lists(st.tuples(st.integers(0, 4), st.integers(0, 4), st.integers(0, 4)), max_size=20))
def test_the_front_is_what_comparing_all_pairs_gives(rows: list[tuple[int, int, int]]) -> None:
    trials = [trial(at, float(a), b=float(b), c=float(c)) for at, (a, b, c) in enumerate(rows, 1)]
    on_front = choices.front(session(*trials, objectives=["accuracy:max", "b:min", "c:max"]))
    costs = [(-a, b, -c) for a, b, c in rows]

    def beaten(at: int) -> bool:
        mine = costs[at]
        return any(
            all(one <= other for one, other in zip(theirs, mine, strict=True)) and (theirs != mine or place < at)
            for place, theirs in enumerate(costs)
            if place != at
        )

    assert sorted(one.number for one in on_front) == [at + 1 for at in range(len(rows)) if not beaten(at)]


# What methods make of it


def test_those_that_miss_rank_below_all_others_by_how_much_and_untrainable_ones_last() -> None:
    ended = [
        trial(1, None, Outcome.INVALID), replace(trial(2, 0.9), violation=2.0), replace(trial(3, 0.99), violation=0.1),
        trial(4, 0.1),
        replace(trial(5, 0.9), veto="ada: too jumpy"), trial(6, 0.2), replace(trial(7, None, Outcome.FAILED), violation=1.0),
    ]  # fmt: skip
    assert [one.number for one in bad_last(ended, maximize=True)] == [6, 4, 3, 2, 5, 1]
    assert [one.number for one in ended if is_bad(one)] == [1, 2, 3, 5]
    assert misses_by(ended[1]) == 2.0


@pytest.mark.slow
@pytest.mark.parametrize("method", ["tpe", "cmaes", "evolution", "nsga2"])
def test_methods_keep_away_from_what_misses(db: str, method: str) -> None:
    """A tenth of the space keeps the bound, at its edge; uniform draws would find 6 of 60 there."""
    settings: dict[str, Any] = {"objectives": ["accuracy:max"], "require": {"latency_ms": "<= 1"}, "trials": 60}
    result = tune(db, method=method, **settings)
    assert sum(one.is_feasible for one in result.trials) > 14
    assert result.best is not None
    assert result.best.extra["latency_ms"] <= 1
    assert result.session.choice is not None
    assert result.session.choice.trial_id == result.best.id


@pytest.mark.slow
def test_where_nothing_keeps_the_bound_tpe_goes_towards_it(db: str) -> None:
    result = tune(db, method="tpe", objectives=["accuracy:max"], require={"latency_ms": "<= -1"}, trials=40)
    assert result.best is None
    assert result.configuration is None
    late = [one.extra["latency_ms"] for one in result.trials[20:]]
    assert sum(late) / len(late) < 2.5  # uniform draws: 5
    assert "no trial keeps what is required (latency_ms <= -1); nearest is trial " in repr(result)
    assert result.certainty.startswith("Nothing can be said of how good the model is: no trial keeps what is required")
    assert result.session.choice is not None


@pytest.mark.slow
@pytest.mark.parametrize("method", ["tpe", "nsga2", "random"])
def test_several_objectives_are_tuned_and_the_front_is_told(db: str, method: str) -> None:
    result = tune(db, method=method, require={"latency_ms": "<= 5"}, trials=40)
    front = [one.number for one in result.front]
    assert len(front) > 3
    assert result.best is not None
    assert front[0] == result.best.number
    assert f"front          trials {front[0]}, " in repr(result)
    assert all(one.extra["latency_ms"] <= 5 for one in result.front)


@pytest.mark.slow
def test_tpe_of_two_objectives_looks_at_both(db: str) -> None:
    """All of x from 0 to 0.7 is on the front; with the accuracy alone nearly all late trials lie near 0.7."""
    late = [one.configuration.number("x") for one in tune(db, method="tpe", trials=60).trials[30:]]
    alone = [one.configuration.number("x") for one in tune(db, method="tpe", objectives=None, **PLAIN).trials[30:]]
    assert sum(x < 0.5 for x in late) > sum(x < 0.5 for x in alone) + 5


def test_methods_are_told_the_declared_objectives_in_place_of_the_tasks_metrics() -> None:
    for name, field in (("nsga2", "further"), ("tpe", "beside")):
        chosen = chosen_method(TASK, name, 1, {"objectives": OBJECTIVES})
        assert getattr(read_method(TASK, chosen.described).method, field) == [("latency_ms", "minimize")]
        assert chosen.described["objectives"] == OBJECTIVES
    plain = read_method(TASK, chosen_method(TASK, "tpe", 1, {}).described).method
    assert plain == methods.method("tpe", maximize=True)


# Goes on, is picked


@pytest.mark.slow
def test_aims_are_part_of_what_a_session_is_of(db: str) -> None:
    tune(db, name="first", require={"latency_ms": "<= 5"})
    again = tune(db, name="first", require={"latency_ms": "<=5.0"})
    assert len(again.trials) == 20
    with pytest.raises(Refused, match="its method's require"):
        tune(db, name="first", require={"latency_ms": "<= 6"})
    with pytest.raises(Refused, match="its method's require"):
        tune(db, name="first")
    with pytest.raises(Refused, match="its method's objectives"):
        tune(db, name="first", objectives=["accuracy:max"], require={"latency_ms": "<= 5"})


@pytest.mark.slow
def test_another_trial_is_picked_by_hand_and_the_earlier_choice_stays(db: str) -> None:
    result = tune(db, name="first", require={"latency_ms": "<= 5"})
    picked, missing = result.front[-1], next(one for one in result.trials if not one.is_feasible)
    with closing(Lab.connect(db)) as lab:
        with pytest.raises(Refused, match="has ended already"):
            lab.sessions.end(1)
        ended = lab.sessions.end(1, picked.number)
        assert ended.chosen_trial is not None
        assert ended.chosen_trial.number == picked.number
        assert [entry.choice for entry in ended.earlier_choices] == [result.session.choice]
        with pytest.raises(Refused, match=f"has ended already with trial {picked.number}"):
            lab.sessions.end(1, picked.number)
        by_hand = lab.sessions.end(1, missing.number)  # who names one that misses it knows what they do
        assert by_hand.chosen_trial is not None
        assert by_hand.chosen_trial.number == missing.number
    again = tune(db, name="first", require={"latency_ms": "<= 5"})
    assert f"chosen         trial {missing.number}: accuracy" in repr(again)
    assert again.configuration == missing.configuration


def test_a_tuner_chooses_nothing_that_misses(db: str) -> None:
    with closing(Lab.connect(db)) as lab:
        study = tune(db, trials=1).session.study_id
        described = {"name": "random", "seed": 1, "require": {"latency_ms": "<= 5"}}
        opened = lab.sessions.open(study, tuner="x", method=described, driver="python", budget=Budget(trials=3))
        lab.start(opened.id)
        lab.submit(opened.id, {"x": 0.9, "y": 0.5})
        agent, _ = lab.agents.add("a", 1)
        job = lab.claim(agent, session_id=opened.id)
        assert job is not None
        epoch = evenhand.Measurement(0, 1, 1, None, 0.9, 0.1, {"latency_ms": 9.0})
        lab.finish(job.job_id, job.attempt, Outcome.COMPLETED, batch=[epoch])
        with pytest.raises(
            Refused, match=r"latency_ms is 9, and <= 5 is required; choose another one, or this one by hand: evenhand end 2"
        ):
            lab.choose(opened.id, number=1)
        assert lab.view(opened.id).best is None
        assert lab.choose(opened.id).choice is not None


# Their evaluation


def test_an_evaluation_reports_all_objectives_with_the_seeds_spread(db: str) -> None:
    result = evenhand.tune(noisy, trials=3, objectives=["accuracy:max", "latency_ms:min"], db=db, progress=False)
    assert result.evaluation is not None
    spread = result.evaluation.further["latency_ms"]
    assert spread.count == 10
    assert spread.deviation is not None
    assert spread.deviation > 0
    assert ", latency_ms " in str(result.evaluation)
    assert str(result.evaluation).count(" ± ") == 2


def halves() -> evenhand.Splits:
    x = np.random.default_rng(0).normal(size=(90, 2))
    y = (x[:, 0] > 0).astype(int)
    return evenhand.Splits((x[:30], y[:30]), (x[30:60], y[30:60]), (x[60:], y[60:]))


@evenhand.task(space=SPACE, metric="accuracy", max_epochs=1, data=halves)
def noisy(configuration: Configuration, run: Run) -> None:
    rng, right = np.random.default_rng(run.seed), 0.5 + configuration.number("x") / 2
    value = run.score(lambda rows: np.where(rng.random(len(rows)) < right, rows[:, 0] > 0, rows[:, 0] <= 0).astype(int))
    run.report(epoch=1, accuracy=value, latency_ms=configuration.number("x") * 10 + rng.random() / 10)


# On the page


@pytest.mark.slow
def test_the_page_draws_the_front_and_another_trial_is_picked_there(tmp_path: Path) -> None:
    with toy_site(tmp_path) as site:
        url = f"sqlite:///{tmp_path / 'lab.sqlite'}"
        result = evenhand.tune(noisy, trials=12, objectives=OBJECTIVES, require={"latency_ms": "<= 5"}, db=url, progress=False)
        site.clock.now = result.session.opened_at + 1000
        researcher = site.caller(Role.RESEARCHER)
        page = researcher.get("/sessions/1").text
        assert page.count('class="front-drawing method"') == 1
        assert page.count('class="trial front') == len(result.front)
        assert page.count('class="trial missing') == sum(not one.is_feasible for one in result.trials) > 0
        assert "required: latency_ms &lt;= 5" in page
        assert 'class="noise"' not in page  # nobody has looked at this evaluation yet, and its spread is of test
        picked = result.front[-1].number
        assert len(result.front) > 1
        assert f'name="trial" value="{picked}"' in page
        researcher.post("/sessions/1/reveal")
        seen = researcher.get("/sessions/1").text
        assert 'class="noise"' in seen
        assert "latency ms: " in seen
        assert researcher.post("/sessions/1/end", {"trial": str(picked)}).status_code == 303
        again = researcher.get("/sessions/1").text
        assert f"<b>Trial {picked}</b>" in again
        assert "0 seeds, 10 still to come" in again
        assert "The same command goes on with it" in again
        assert len(site.lab.sessions.get(1).earlier_choices) == 1


def test_the_page_says_where_nothing_keeps_what_is_required(tmp_path: Path) -> None:
    with toy_site(tmp_path) as site:
        url = f"sqlite:///{tmp_path / 'lab.sqlite'}"
        evenhand.tune(slower, SPACE, objectives=OBJECTIVES, require={"latency_ms": "<= -1"}, trials=3, db=url, progress=False)
        page = site.caller(Role.RESEARCHER).get("/sessions/1").text
        assert "No trial keeps what is required (latency_ms &lt;= -1); nearest is trial" in page
        assert "and &lt;= -1 is required" in page


# What people say of trials


@pytest.mark.slow
def test_a_vetoed_trial_is_never_the_best_nor_chosen_and_can_be_allowed_again(db: str) -> None:
    result = tune(db, objectives=["accuracy:max"], trials=10, name="first")
    best = result.best
    assert best is not None
    second = choices.final_trial(replace(result.session, trials=[one for one in result.trials if one.number != best.number]))
    assert second is not None
    with pytest.raises(Refused, match=f"trial {best.number} is the choice of session 1; pick another one first: evenhand end 1"):
        evenhand.veto("first", best.number, "too jumpy", db=db)
    with closing(Lab.connect(db)) as lab:
        lab.sessions.end(1, second.number)
    stored = evenhand.rate("first", best.number, 3, why="a \udce9", db=db)  # a byte that is no character, as a shell may hand it
    assert stored.record.interventions[-1].reason == "a \\udce9"
    stored = evenhand.veto("first", best.number, "too jumpy", who="ada", db=db)
    assert stored.best is not None
    assert stored.best.number == second.number
    said = stored.record.interventions[-1]
    assert (said.kind, said.who, said.trial, said.reason) == ("vetoed", "ada", best.number, "too jumpy")
    assert stored.record.trials[best.number - 1].veto == "ada: too jumpy"
    with closing(Lab.connect(db)) as lab:
        with pytest.raises(Refused, match=f"trial {best.number} was vetoed by ada: too jumpy, so it cannot be the final choice"):
            lab.sessions.end(1, best.number)
        assert "vetoed" in [event.kind for event in lab.sessions.events(1)]
    assert evenhand.veto("first", best.number, "again", who="bob", db=db).record.interventions == stored.record.interventions
    allowed = evenhand.veto("first", best.number, take_back=True, who="bob", db=db)
    assert allowed.best is not None
    assert allowed.best.number == best.number
    with pytest.raises(Refused, match="give the reason of the veto"):
        evenhand.veto(1, best.number, "  ", db=db)
    with pytest.raises(NotFound, match="has no trial 99"):
        evenhand.veto(1, 99, "x", db=db)
    with pytest.raises(NotFound, match="no session is named 'other'"):
        evenhand.veto("other", 1, "x", db=db)


def test_where_every_trial_is_vetoed_nothing_is_chosen(db: str) -> None:
    def vetoing(configuration: Configuration) -> float:
        with closing(Lab.connect(db)) as lab:
            number = len(lab.sessions.get(1).trials)
            lab.interventions.veto(1, number, who="ada", reason="no")
        return configuration.number("x")

    result = evenhand.tune(vetoing, SPACE, direction="maximize", trials=3, db=db, progress=False)
    assert result.best is None
    assert result.session.choice is not None
    assert result.configuration is None
    assert "every trial with a value was vetoed" in repr(result)


@pytest.mark.slow
def test_what_is_said_while_it_runs_is_seen_by_the_method_and_the_choice(db: str) -> None:
    """A person vetoes whatever lies above 0.5: the process that tunes reads it with the next look."""

    def late(name: str, most: float) -> evenhand.Result:
        def vetoed_above(configuration: Configuration) -> float:
            x = configuration.number("x")
            if x > most:
                with closing(Lab.connect(db)) as other:
                    running = other.sessions.called(name)
                    assert running is not None
                    other.interventions.veto(running.id, len(running.trials), who="ada", reason="too large")
            return x

        settings: dict[str, Any] = {"method": "tpe", "trials": 50, "seed": 2, "name": name}
        return evenhand.tune(vetoed_above, SPACE, direction="maximize", db=db, progress=False, **settings)

    free, bounded = late("free", 1.0), late("bounded", 0.5)
    assert bounded.best is not None
    assert 0.4 < bounded.best.configuration.number("x") <= 0.5
    above = [sum(one.configuration.number("x") > 0.6 for one in result.trials[15:]) for result in (free, bounded)]
    assert above[0] > above[1] + 15


@pytest.mark.slow
def test_ratings_are_a_metric_that_methods_and_bounds_take(db: str) -> None:
    result = tune(db, objectives=["accuracy:max"], require={"rating": ">= 3"}, trials=12, name="first")
    best = result.best
    assert best is not None  # nobody has rated any: nothing speaks against it
    evenhand.rate("first", best.number, 2, who="ada", why="too jumpy", db=db)
    stored = evenhand.rate("first", best.number, 5, who="bob", db=db)
    assert stored.record.trials[best.number - 1].extra["rating"] == 3.5
    assert stored.best == stored.record.trials[best.number - 1]
    stored = evenhand.rate("first", best.number, 0.5, who="bob", db=db)  # the newest of each person
    assert stored.record.trials[best.number - 1].extra["rating"] == 1.25
    assert stored.best is not None
    assert stored.best.number != best.number
    longer = tune(db, objectives=["accuracy:max"], require={"rating": ">= 3"}, trials=13, name="first")
    assert longer.session.chosen_trial == longer.best
    for rating in (math.nan, math.inf, "4", None, True):
        with pytest.raises(InvalidSettings, match=r"rating is .*, expected a number"):
            evenhand.rate("first", 1, rating, db=db)  # type: ignore[arg-type]


@pytest.mark.slow
def test_ratings_can_be_an_objective(db: str) -> None:
    def rated(configuration: Configuration) -> float:
        x = configuration.number("x")
        with closing(Lab.connect(db)) as other:
            other.interventions.rate(1, len(other.sessions.get(1).trials), -10 * x, who="ada")
        return x

    settings: dict[str, Any] = {"objectives": ["value:max", "rating:max"], "method": "tpe", "trials": 25, "seed": 1}
    result = evenhand.tune(rated, SPACE, db=db, progress=False, **settings)
    assert [sorted(one.extra) for one in result.trials] == [["rating"]] * 25
    assert len(result.front) == 25  # the better by one, the worse by the other
    assert any(", of front 1;" in one.explanation for one in result.trials)


def test_a_study_s_trials_are_neither_rated_nor_vetoed(tmp_path: Path) -> None:
    with toy_site(tmp_path) as site:
        _, session, _ = tuned_study(site)
        refused, said = "belongs to a study, in which a trial counts by its metric alone", site.lab.interventions
        with pytest.raises(Refused, match=refused):
            said.veto(session.id, 1, who="ada", reason="x")
        with pytest.raises(Refused, match=refused):
            said.allow(session.id, 1, who="ada")
        with pytest.raises(Refused, match=refused):
            said.rate(session.id, 1, 3, who="ada")
        researcher = site.caller(Role.RESEARCHER)
        assert "Say what you think" not in researcher.get(f"/sessions/{session.id}").text
        assert researcher.post(f"/sessions/{session.id}/say", {"trial": "1", "what": "veto", "reason": "x"}).status_code == 409


@pytest.mark.slow
def test_a_trial_is_rated_and_vetoed_on_the_page(tmp_path: Path) -> None:
    with toy_site(tmp_path) as site:
        url = f"sqlite:///{tmp_path / 'lab.sqlite'}"
        result = evenhand.tune(slower, SPACE, objectives=OBJECTIVES, trials=4, db=url, progress=False)
        assert result.best is not None
        other = next(one.number for one in result.trials if one.number != result.best.number)
        researcher = site.caller(Role.RESEARCHER)
        assert "Say what you think of a trial" in researcher.get("/sessions/1").text
        for form in ({"what": "veto", "reason": "too jumpy"}, {"what": "rate", "rating": "2,5"}):
            assert researcher.post("/sessions/1/say", {"trial": str(other), **form}).status_code == 303
        page = researcher.get("/sessions/1").text
        assert "vetoed by Rosa: too jumpy" in page
        assert "rated 2.5" in page
        assert "vetoed trial" in researcher.get("/sessions/1/workbench").text
        for wrong in ({"what": "rate", "rating": "good"}, {"what": "veto"}, {"what": "like"}):
            assert researcher.post("/sessions/1/say", {"trial": str(other), **wrong}).status_code == 409
        assert researcher.post("/sessions/1/say", {"trial": str(other), "what": "allow"}).status_code == 303
        assert "vetoed by" not in researcher.get("/sessions/1").text


# The rule of the choice


def parted(number: int, value: float, parts: list[float], **extra: float) -> Trial:
    folds = {f"fold {at}": part for at, part in enumerate(parts, 1)}
    return replace(trial(number, value), extra={**folds, **extra})


LUCKY = parted(1, 0.90, [0.7, 0.8, 0.9, 1.0, 1.1], train_accuracy=0.99, leaves=40.0)
STEADY = parted(2, 0.88, [0.87, 0.88, 0.88, 0.88, 0.89], train_accuracy=0.95, leaves=12.0)
SMALL = parted(3, 0.86, [0.85, 0.86, 0.86, 0.86, 0.87], train_accuracy=0.86, leaves=4.0)
WEAK = parted(4, 0.5, [0.5, 0.5, 0.5, 0.5, 0.5], train_accuracy=0.5, leaves=2.0)


@pytest.mark.parametrize(
    ("rule", "number", "why"),
    [
        ("best", 1, "the best value on validation"),
        ("lower bound", 2, "one standard error worse, over folds or seeds (here 0.3"),
        ("lower bound:0.1", 1, "0.1 standard errors worse"),
        ("gap", 3, "0.5 of the gap to training (86.0"),
        ("gap:0.1", 1, "0.1 of the gap to training (99.0"),
        ("simplest:leaves", 3, "the least leaves (4) of 3 trials within one standard error (7.1"),
        ("simplest:x", 1, "the least x (0.5) of 3 trials"),  # alike in it: the best of them
    ],
)
def test_each_rule_chooses_by_what_it_says(rule: str, number: int, why: str) -> None:
    chosen = chosen_by(choice_rule(rule), [WEAK, SMALL, STEADY, LUCKY], "accuracy", maximize=True)
    assert chosen is not None
    assert chosen.trial.number == number
    assert why in chosen.why


def test_rules_know_both_directions_and_pass_over_what_cannot_be_chosen() -> None:
    def cost(one: Trial) -> Trial:
        extra = {name: 1 - value if name != "leaves" else value for name, value in one.extra.items()}
        return replace(one, value=1 - (one.value or 0.0), extra=extra)

    turned = [cost(one) for one in (WEAK, SMALL, STEADY, LUCKY)]
    for rule, number in (("best", 1), ("lower bound", 2), ("gap", 3), ("simplest:leaves", 3)):
        chosen = chosen_by(choice_rule(rule), turned, "accuracy", maximize=False)
        assert chosen is not None
        assert chosen.trial.number == number
    without = [WEAK, replace(SMALL, veto="ada: no"), replace(STEADY, violation=0.1), LUCKY, trial(5, None, Outcome.DIVERGED)]
    for rule in ("best", "lower bound", "gap", "simplest:leaves"):
        chosen = chosen_by(choice_rule(rule), without, "accuracy", maximize=True)
        assert chosen is not None
        assert chosen.trial.number in (1, 4)
    assert chosen_by(choice_rule("gap"), [trial(5, None, Outcome.DIVERGED)], "accuracy", maximize=True) is None


def test_where_what_a_rule_goes_by_is_missing_the_best_is_chosen_and_that_is_said() -> None:
    plain = [trial(1, 0.5), trial(2, 0.7)]
    for rule, lacking in (
        ("lower bound", "no trial keeps two folds or seeds, as further metrics called 'fold 1'"),
        ("gap", "no trial reports 'train_accuracy', its accuracy on training data"),
        ("simplest", "the best trial keeps no folds or seeds"),
    ):
        chosen = chosen_by(choice_rule(rule), plain, "accuracy", maximize=True)
        assert chosen is not None
        assert chosen.trial.number == 2
        assert f"the best value on validation, since {lacking}" in chosen.why
    chosen = chosen_by(choice_rule("simplest:other"), [LUCKY], "accuracy", maximize=True)
    assert chosen is not None
    assert "no trial has a number called 'other'" in chosen.why


def test_standard_errors_are_those_of_the_mean_at_any_size() -> None:
    assert standard_error([1.0, 2.0, 3.0, 4.0]) == pytest.approx(np.std([1, 2, 3, 4], ddof=1) / 2)
    assert standard_error([1.0]) is None
    assert standard_error([1e308, -1e308]) == pytest.approx(1e308)
    assert standard_error([0.0, 0.0]) == 0
    assert parts_of(trial(1, 0.5, fold_1=0.1, seed_02=0.2, folds=3.0, latency_ms=1.0)) == [0.1, 0.2]


@pytest.mark.parametrize("given", ["", "worst", "best:1", "gap:0", "gap:nan", "gap:x", "lower bound:-1", "simplest:", None, 1])
def test_a_rule_that_is_none_is_refused_with_those_there_are(given: Any) -> None:
    with pytest.raises(InvalidSettings, match=r"choose is .*, expected one of 'best', 'lower bound', 'gap', 'simplest'"):
        choice_rule(given)


def test_rules_are_recorded_in_one_form() -> None:
    for text, said in (("lower bound:1", "lower bound"), ("gap:0.50", "gap"), ("gap:.3", "gap:0.3"), ("simplest", "simplest")):
        assert str(choice_rule(text)) == said
        assert choice_rule(said) == choice_rule(text)


def trees(db: str, **settings: Any) -> evenhand.EstimatorResult:
    x, y = load_breast_cancer(return_X_y=True)
    space = {"max_depth": range(1, 9), "min_samples_leaf": range(1, 9)}
    usual: dict[str, Any] = {"cv": 3, "trials": 12, "db": db, "progress": False, "evaluate": False}
    return evenhand.tune_estimator(DecisionTreeClassifier(), x[:150], y[:150], space, **{**usual, **settings})


@pytest.mark.slow
def test_a_declared_rule_chooses_and_is_said_and_cannot_change_later(db: str) -> None:
    result = trees(db, choose="simplest:max_depth", name="first")
    assert result.session.method["choose"] == "simplest:max_depth"
    near = chosen_by(choice_rule("simplest:max_depth"), result.trials, "accuracy", maximize=True)
    assert near is not None
    assert result.session.chosen_trial is not None
    assert result.session.chosen_trial.number == near.trial.number
    assert result.best_params_["max_depth"] == near.trial.configuration["max_depth"]
    assert "rule           by the rule 'simplest:max_depth': the least max_depth (" in repr(result)
    with pytest.raises(Refused, match=r"its method's choose is .*simplest:max_depth.* there, and not given now"):
        trees(db, name="first")
    with pytest.raises(InvalidSettings, match="choose is 'worst'"):
        trees(db, choose="worst")
    assert "choose" not in trees(db, choose="best").session.method


@pytest.mark.slow
def test_the_gap_rule_has_training_scored(db: str) -> None:
    gap, plain = trees(db, choose="gap"), trees(db)
    assert all(one.extra["train_accuracy"] >= (one.value or 0) - 0.05 for one in gap.trials)
    assert [one.value for one in gap.trials] == [one.value for one in plain.trials]
    assert not any("train_accuracy" in one.extra for one in plain.trials)
    assert "the gap to training" in repr(gap)


@pytest.mark.slow
def test_the_page_says_by_which_rule_was_chosen(tmp_path: Path) -> None:
    with toy_site(tmp_path) as site:
        url = f"sqlite:///{tmp_path / 'lab.sqlite'}"
        trees(url, choose="lower bound")
        page = site.caller(Role.RESEARCHER).get("/sessions/1").text
        assert "Chosen by the rule &#39;lower bound&#39;: the best of values made one standard error worse" in page


# Out, in, and from the command line


@pytest.mark.slow
def test_an_export_to_optuna_has_the_same_best(db: str) -> None:
    """Optuna's own rule passes over what violates a constraint."""
    result = tune(db, objectives=["accuracy:max"], require={"latency_ms": "<= 5"}, trials=12)
    assert result.best is not None
    last = next(one.number for one in reversed(result.trials) if one.is_feasible and one.number != result.best.number)
    evenhand.veto(1, last, "too jumpy", db=db)
    with closing(Lab.connect(db)) as lab:
        session = lab.sessions.get(1)
    study = optuna_studies.written(session, {})
    assert study.best_trial.number + 1 == result.best.number
    assert len(study.directions) == 1
    several = tune(db, trials=5).session
    study = optuna_studies.written(several, {})
    assert [str(way.name).lower() for way in study.directions] == ["maximize", "minimize"]
    assert sorted(one.number + 1 for one in study.best_trials) == sorted(one.number for one in choices.front(several))


@pytest.mark.slow
def test_aims_judgements_and_an_until_come_back_from_an_archive(db: str, tmp_path: Path) -> None:
    settings: dict[str, Any] = {"objectives": OBJECTIVES, "require": {"latency_ms": "<= 5"}, "until": "0 in 99"}
    result = evenhand.tune(noisy, trials=4, db=db, progress=False, **settings)
    chosen = result.session.chosen_trial
    assert chosen is not None
    other = next(one.number for one in result.trials if one.number != chosen.number)
    evenhand.veto(1, other, "too jumpy", who="ada", db=db)
    evenhand.rate(1, other, 2, who="ada", db=db)
    with closing(Lab.connect(db)) as lab:
        session = lab.sessions.get(1)
        lab.studies.close(session.study_id)
        path = write(lab, lab.studies.get(session.study_id), tmp_path / "a.zip", session.mode)
        stored = lab.evaluations.get(1, "evenhand.tune")
    read = archive.read(path)
    (back,) = read.sessions
    assert [(one.violation, one.veto, dict(one.extra)) for one in back.trials] == [
        (one.violation, one.veto, dict(one.extra)) for one in session.trials
    ]
    assert back.budget == session.budget
    assert back.aims == session.aims
    assert [score.extra for score in read.evaluations[1].scores] == [score.extra for score in stored.scores]
    assert all("latency_ms" in score.extra for score in stored.scores)


@pytest.mark.slow
def test_the_command_line_says_the_same(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EVENHAND_DATA", str(tmp_path))
    monkeypatch.setenv("COLUMNS", "400")
    (tmp_path / "script.py").write_text(
        "from evenhand import Float, task\n"
        "@task(space={'x': Float(0, 1)}, metric='value', direction='maximize', max_epochs=1)\n"
        "def train(configuration, run):\n"
        "    run.report(value=configuration['x'], latency_ms=10 * configuration['x'])\n"
    )

    def said(*arguments: str) -> str:
        answer = CliRunner().invoke(main.program(), arguments)
        return answer.output if answer.exception is None else str(answer.exception)

    aims = ("--objective", "value:max", "--objective", "latency_ms:min", "--require", "latency_ms<=5", "--choose", "gap")
    first = said("tune", f"{tmp_path / 'script.py'}:train", "--trials", "30", "--until", "0 in 6", *aims, "--name", "first")
    assert "ended          its best value got no better in the last 6 trials" in first
    assert "rule           by the rule 'gap': the best value on validation, since no trial reports 'train_value'" in first
    with closing(Lab.connect()) as lab:
        session = lab.sessions.get(1)
    best, *_, last = choices.front(session)
    missing = next(one.number for one in session.trials if not one.is_feasible)
    assert f"front          trials {best.number}, " in first
    assert "pick another one first" in said("veto", "first", str(best.number), "--why", "too jumpy")
    ended = said("end", "first", "--trial", str(last.number))
    assert f"trial {last.number} was chosen, value {last.value:.4g}"[:40] in ended
    assert "latency_ms is" in said("end", "1", "--trial", str(missing))
    assert f"Trial {best.number} is vetoed by ada" in said(
        "veto", "first", str(best.number), "--why", "too jumpy", "--who", "ada"
    )
    assert f"Trial {best.number} is allowed again by ada" in said("veto", "1", str(best.number), "--take-back", "--who", "ada")
    assert f"Trial {best.number} is rated 4 by ada" in said("rate", "1", str(best.number), "4", "--who", "ada")
    with closing(Lab.connect()) as lab:
        assert [one.kind for one in lab.sessions.get(1).interventions] == ["vetoed", "allowed", "rated"]
    script = f"{tmp_path / 'script.py'}:train"
    for arguments, words in (
        (("--require", "latency_ms"), "--require 'latency_ms': expected a metric and a bound"),
        (("--require", "a <= 1", "--require", "a >= 0"), "each metric once"),
        (("--objective", "value"), "got 'value', expected a metric and its direction"),
        (("--until", "soon"), "until is 'soon', expected 'X in N'"),
        (("--choose", "luck"), "choose is 'luck', expected one of"),
    ):
        assert words in said("tune", script, "--trials", "1", *arguments)
