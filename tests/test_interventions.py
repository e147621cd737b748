"""Working together in a method's session: every intervention counts at once, is kept with who and why, and makes it joint."""

import math
from collections.abc import Iterator
from pathlib import Path

import pytest

from evenhand.errors import InvalidConfiguration, InvalidSpace, NotAllowed, Refused
from evenhand.lab.lab import Lab
from evenhand.model.condition import Condition
from evenhand.model.domain import Choice, Float, Integer
from evenhand.model.hyperparameter import Hyperparameter, Prior
from evenhand.model.session import Session
from evenhand.model.space import Space, reshaped, with_priors
from evenhand.model.study import Budget
from evenhand.model.trial import Measurement, Outcome, Stopper
from evenhand.runners.method_player import Player, Turn
from tests.labs import Clock, claim, make_lab, started, toy_study

WHO = "researcher"
WIDE = Space(
    [
        Hyperparameter("epochs", Integer(1, 10), fidelity=True),
        Hyperparameter("optimizer", Choice(("adam", "sgd", "none"), ("Adam", "SGD", "None")), "sgd"),
        Hyperparameter("rate", Float(1e-4, 1, log=True, or_zero=True), 0.01),
        Hyperparameter("momentum", Float(0, 0.99), 0.9, condition=Condition("optimizer", ("sgd",))),
    ]
)


@pytest.fixture
def toy(tmp_path: Path) -> Iterator[tuple[Lab, Clock]]:
    lab, clock = make_lab(f"sqlite:///{tmp_path / 'lab.sqlite'}")
    yield lab, clock
    lab.close()


def opened(lab: Lab, trials: int = 20, **method: object) -> Session:
    study = toy_study(lab, Budget(trials=trials))
    return lab.start(lab.sessions.open(study.id, tuner="random", method={"name": "random", **method}).id)


def train(lab: Lab, value: float = 0.5) -> None:
    """Train what waits, to one epoch of this value."""
    agents = lab.agents.all(1e9)
    agent_id = agents[0].id if agents else lab.agents.add("a", 1)[0]
    job = claim(lab, agent_id)
    lab.measure(job.job_id, job.attempt, [Measurement(0, 1, 1, 1.0, value, 0.1)])
    lab.finish(job.job_id, job.attempt, Outcome.COMPLETED)


def test_a_trial_by_hand_counts_in_the_budget_and_is_the_persons(toy: tuple[Lab, Clock]) -> None:
    lab, _ = toy
    session = opened(lab, trials=3)
    player = Player.of(lab, session.id)
    assert player.turn() is Turn.SUBMITTED
    train(lab)
    mine = lab.interventions.add(session.id, session.space.configuration({"epochs": 2}), who=WHO, reason="two should do", key="k")
    again = lab.interventions.add(session.id, session.space.configuration({"epochs": 2}), who=WHO, key="k")
    assert mine.number == again.number == 2
    train(lab, 0.9)
    view = lab.view(session.id)
    assert (view.trials_left, view.session.is_joint) == (1, True)
    assert [trial.proposer for trial in view.session.trials] == ["random", WHO]
    assert view.session.trials[1].explanation == "two should do"
    (kept,) = view.session.interventions
    assert (kept.kind, kept.who, kept.trial, kept.reason) == ("added", WHO, 2, "two should do")
    assert player.turn() is Turn.SUBMITTED
    assert lab.view(session.id).session.trials[2].configuration != mine.configuration


def test_a_reshaped_space_binds_what_comes_after_it(toy: tuple[Lab, Clock]) -> None:
    lab, _ = toy
    session = opened(lab)
    player = Player.of(lab, session.id)
    lab.interventions.reshape(
        session.id, {"learning_rate": {"low": 0.1, "high": 0.2}, "epochs": {"value": 3}}, who=WHO, reason="it diverges"
    )
    for _ in range(4):
        player.turn()
        train(lab)
    trials = lab.sessions.get(session.id).trials
    assert all(
        0.1 <= trial.configuration.number("learning_rate") <= 0.2 and trial.configuration["epochs"] == 3 for trial in trials
    )
    assert {trial.revision for trial in trials} == {1}
    lab.interventions.reshape(session.id, {"learning_rate": None}, who=WHO)
    space = lab.sessions.get(session.id).current_space
    assert space["learning_rate"].domain == session.space["learning_rate"].domain
    assert space["epochs"].domain == Integer(3, 3)
    assert lab.sessions.get(session.id).revision == 2
    with pytest.raises(InvalidConfiguration):
        lab.sessions.get(session.id).current_space.configuration({"epochs": 4})


def test_a_suggestion_from_before_a_change_is_thought_over_again(toy: tuple[Lab, Clock]) -> None:
    lab, _ = toy
    session = opened(lab)
    made_before = session.space.configuration({"epochs": 9})
    lab.interventions.reshape(session.id, {"epochs": {"high": 5}}, who=WHO)
    with pytest.raises(Refused, match="reshaped meanwhile"):
        lab.submit(session.id, made_before, revision=0)
    assert Player.of(lab, session.id).turn() is Turn.SUBMITTED


def test_what_cannot_be_is_refused_and_nothing_is_kept(toy: tuple[Lab, Clock]) -> None:
    lab, _ = toy
    session = opened(lab)
    for changes, message in (
        ({"lr": {"low": 1}}, "'lr': there is none; expected one of epochs, learning_rate"),
        ({"epochs": {"high": 11}}, "'epochs': high 11 is not within a whole number from 1 to 10"),
        ({"epochs": {"low": 5, "high": 3}}, "expected the lower bound first"),
        ({"epochs": {"options": [1]}}, "'options' is unknown; expected high, log, low, value, zero"),
        ({"learning_rate": {"value": 3}}, "'learning_rate': value 3 is not within a number from 0.0001 to 1"),
    ):
        with pytest.raises(InvalidSpace, match=message):
            lab.interventions.reshape(session.id, changes, who=WHO)
    with pytest.raises(Refused, match="name at least one"):
        lab.interventions.reshape(session.id, {}, who=WHO)
    with pytest.raises(InvalidSpace, match="prior value 7 is not"):
        lab.interventions.believe(session.id, {"learning_rate": Prior(7)}, who=WHO)
    assert lab.sessions.get(session.id).interventions == ()
    assert not lab.sessions.get(session.id).is_joint


def test_whoever_takes_over_proposes_until_it_is_handed_back(toy: tuple[Lab, Clock]) -> None:
    lab, _ = toy
    session = opened(lab)
    player = Player.of(lab, session.id)
    lab.interventions.take_over(session.id, who=WHO, reason="let me")
    assert lab.sessions.get(session.id).taken_over_by == WHO
    assert player.turn() is Turn.WAITS
    with pytest.raises(Refused, match="researcher has taken over"):
        lab.submit(session.id, session.space.configuration({"epochs": 2}))
    lab.interventions.add(session.id, session.space.configuration({"epochs": 2}), who=WHO)
    train(lab)
    assert player.turn() is Turn.WAITS
    lab.interventions.hand_back(session.id, who=WHO)
    lab.interventions.hand_back(session.id, who=WHO)
    assert player.turn() is Turn.SUBMITTED
    assert [intervention.kind for intervention in lab.sessions.get(session.id).interventions] == [
        "took over",
        "added",
        "handed back",
    ]


def test_a_budget_that_is_spent_in_the_persons_hands_still_ends_in_a_choice(toy: tuple[Lab, Clock]) -> None:
    lab, _ = toy
    session = opened(lab, trials=1)
    lab.interventions.take_over(session.id, who=WHO)
    lab.interventions.add(session.id, session.space.configuration({"epochs": 2}), who=WHO)
    train(lab)
    assert Player.of(lab, session.id).turn() is Turn.OVER
    assert lab.sessions.get(session.id).choice is not None


def test_a_trial_is_stopped_with_the_reason(toy: tuple[Lab, Clock]) -> None:
    lab, _ = toy
    session = opened(lab)
    Player.of(lab, session.id).turn()
    trial = lab.interventions.stop_trial(session.id, 1, who=WHO, reason="its loss rises")
    assert (trial.outcome, trial.stop_by, trial.why) == (Outcome.STOPPED, Stopper.RESEARCHER, "its loss rises")
    lab.interventions.stop_trial(session.id, 1, who=WHO)
    assert [intervention.kind for intervention in lab.sessions.get(session.id).interventions] == ["stopped"]


def test_a_belief_before_the_start_is_knowledge_and_later_one_is_help(toy: tuple[Lab, Clock]) -> None:
    lab, clock = toy
    study = toy_study(lab, Budget(trials=9))
    session = lab.sessions.open(study.id, tuner="pibo", method={"name": "pibo"})
    lab.interventions.believe(session.id, {"learning_rate": Prior(0.1, "high")}, who=WHO)
    clock.now += 1
    lab.start(session.id)
    assert lab.sessions.get(session.id).current_space["learning_rate"].prior == Prior(0.1, "high")
    assert not lab.sessions.get(session.id).is_joint
    clock.now += 1
    lab.interventions.believe(session.id, {"learning_rate": None, "epochs": Prior(better="larger")}, who=WHO)
    space = lab.sessions.get(session.id).current_space
    assert (space["learning_rate"].prior, space["epochs"].prior) == (None, Prior(better="larger"))
    assert lab.sessions.get(session.id).is_joint


def test_the_method_draws_from_the_belief(toy: tuple[Lab, Clock]) -> None:
    lab, _ = toy
    study = toy_study(lab, Budget(trials=9))
    session = lab.sessions.open(study.id, tuner="pibo", method={"name": "pibo"})
    lab.interventions.believe(session.id, {"learning_rate": Prior(0.25, "high")}, who=WHO)
    Player.of(lab, session.id).turn()
    trial = lab.sessions.get(session.id).trials[0]
    assert trial.configuration["learning_rate"] == 0.25
    assert "from your prior: learning rate near 0.25 (high confidence)" in trial.explanation


def test_who_looked_at_a_test_score_may_not_help(toy: tuple[Lab, Clock]) -> None:
    lab, _ = toy
    study = toy_study(lab, Budget(trials=2))
    done = started(lab, study)
    lab.submit(done.id, done.space.configuration({"epochs": 1}))
    train(lab)
    lab.choose(done.id, number=1)
    lab.evaluations.reveal(done.id, WHO)
    session = lab.start(lab.sessions.open(study.id, tuner="random", method={"name": "random"}).id)
    with pytest.raises(NotAllowed, match="cannot intervene"):
        lab.interventions.add(session.id, session.space.configuration({"epochs": 1}), who=WHO)
    lab.interventions.add(session.id, session.space.configuration({"epochs": 1}), who="somebody else")
    later = lab.sessions.open(study.id, tuner="pibo", method={"name": "pibo"})
    lab.interventions.believe(later.id, {"epochs": Prior(3)}, who=WHO)  # it declares the session, as its settings do
    lab.start(later.id)
    with pytest.raises(NotAllowed, match="cannot intervene"):
        lab.interventions.believe(later.id, {"epochs": Prior(4)}, who=WHO)


def test_a_session_that_has_ended_takes_nothing_more(toy: tuple[Lab, Clock]) -> None:
    lab, _ = toy
    session = opened(lab)
    lab.choose(session.id)
    with pytest.raises(Refused, match="is chosen; nothing in it changes any more"):
        lab.interventions.take_over(session.id, who=WHO)


# Spaces


def test_what_depends_on_an_option_that_is_gone_is_never_active() -> None:
    narrow = reshaped(WIDE, {"optimizer": {"options": ["adam", "none"]}})
    assert narrow.names == WIDE.names
    assert dict(narrow.configuration({"epochs": 1})) == {"epochs": 1, "optimizer": "adam", "rate": 0.01}
    assert narrow["optimizer"].show("none") == "None"


def test_defaults_and_beliefs_move_into_what_is_left() -> None:
    narrow = reshaped(with_priors(WIDE, {"rate": Prior(0.5, "low")}), {"rate": {"low": 0.05, "high": 0.2}})
    assert (narrow["rate"].default, narrow["rate"].prior) == (0.05, Prior(0.2, "low"))
    assert isinstance(narrow["rate"].domain, Float)
    assert narrow["rate"].domain.or_zero
    assert not getattr(reshaped(WIDE, {"rate": {"zero": False}})["rate"].domain, "or_zero", True)


def test_a_frozen_value_is_the_only_one() -> None:
    narrow = reshaped(WIDE, {"rate": {"value": 0}, "epochs": {"value": 4}, "optimizer": {"value": "sgd"}})
    drawn = dict(narrow.at([0.1, 0.9, 0.7, 0.5]))
    assert drawn == {"epochs": 4, "optimizer": "sgd", "rate": 0.0, "momentum": pytest.approx(0.495)}
    assert math.isclose(narrow["epochs"].domain.to_unit(4), 0.5)


def test_a_session_that_cannot_go_on_is_ended_with_its_best_trial_and_is_joint(toy: tuple[Lab, Clock]) -> None:
    lab, clock = toy
    session = opened(lab)
    lab.submit(session.id, {"epochs": 1, "learning_rate": 0.1})
    train(lab, 0.5)
    lab.submit(session.id, {"epochs": 1, "learning_rate": 0.2})  # no agent comes any more
    for reason in ("", "  "):
        with pytest.raises(Refused, match="give the reason why it is ended"):
            lab.interventions.end(session.id, who=WHO, reason=reason)
    clock.now += 5
    ended = lab.interventions.end(session.id, who=WHO, reason="its agent is gone")
    assert ended.choice is not None
    assert (ended.choice.trial_id, ended.choice.automatic) == (ended.trials[0].id, True)
    assert (ended.trials[1].outcome, ended.trials[1].stop_by) == (Outcome.STOPPED, Stopper.RESEARCHER)
    (intervention,) = ended.interventions
    assert (intervention.kind, intervention.who, intervention.reason) == ("ended", WHO, "its agent is gone")
    assert ended.is_joint
    assert [event.kind for event in lab.sessions.events(session.id)][-3:] == ["ended", "stop asked", "chose"]
    with pytest.raises(Refused, match="nothing in it changes any more"):
        lab.interventions.end(session.id, who=WHO, reason="again")
    with pytest.raises(Refused, match="only one that never started"):
        lab.interventions.remove(session.id, who=WHO)


def test_only_a_session_that_never_started_is_removed_and_its_number_stays_its_own(toy: tuple[Lab, Clock]) -> None:
    lab, _ = toy
    study = toy_study(lab)
    session = lab.sessions.open(study.id, tuner="tpe", method={"name": "tpe", "seed": 0})
    with pytest.raises(Refused, match="never started, so there is nothing to end; remove it"):
        lab.interventions.end(session.id, who=WHO, reason="a mistake")
    lab.interventions.remove(session.id, who=WHO)
    assert lab.sessions.of_study(study.id) == []
    assert lab.sessions.to_play() == []
    assert lab.studies.archive(study.id, "pilot" if study.published_at is None else "simulated").sessions == ()
    removed = lab.sessions.events(session.id)[-1]
    assert (removed.kind, dict(removed.detail)) == ("removed", {"who": WHO, "tuner": "tpe"})
    assert lab.sessions.open(study.id, tuner="tpe").id != session.id
    with pytest.raises(Refused, match="removed before it started"):
        lab.start(session.id)
    with pytest.raises(Refused, match="only one that never started"):
        lab.interventions.remove(session.id, who=WHO)
