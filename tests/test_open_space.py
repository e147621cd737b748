"""Open spaces: empty at first, only ever wider, and what was added to them said of each trial that is read."""

import pickle
from contextlib import closing
from pathlib import Path

import pytest

from evenhand import Choice, Condition, Configuration, Float, Hyperparameter, Integer, Outcome, Space
from evenhand.errors import InvalidSpace, NotFound, Refused, StaleAttempt
from evenhand.lab.lab import Lab
from evenhand.lab.open_spaces import End
from evenhand.model.open_space import YES_NO, Memo, as_read, why_narrower, with_flags, without_flags
from evenhand.model.task import Metric
from evenhand.model.trial import Measurement, Trial

X, Y = Hyperparameter("x", Float(0, 1)), Hyperparameter("y", Integer(1, 3))
HAS_Y = Hyperparameter("has_y", YES_NO)
MAYBE_Y = Hyperparameter("y", Integer(1, 3), condition=Condition("has_y", ("yes",)))
FLAGGED = Space([X, HAS_Y, MAYBE_Y], is_open=True)
LOSS = [Metric("loss", "minimize")]


def trial(number: int, values: dict[str, object], outcome: Outcome | None = Outcome.COMPLETED) -> Trial:
    return Trial(number, 1, number, Configuration(values), "optuna", 0.0, 1, outcome=outcome)


def test_only_an_open_space_may_be_empty() -> None:
    empty = Space((), is_open=True)
    assert (empty.names, empty.to_json()) == ((), {"hyperparameters": [], "open": True})
    assert Space.from_json(empty.to_json()) == empty == pickle.loads(pickle.dumps(empty))
    assert pickle.loads(pickle.dumps(FLAGGED)).is_open
    assert repr(empty) == "Space(hyperparameters=(), is_open=True)"
    assert Space([X]) != Space([X], is_open=True)
    assert Space([X]).to_json() == {"hyperparameters": [X.to_json()]}  # which keeps its digest
    with pytest.raises(InvalidSpace, match="at least one"):
        Space(())


def test_what_a_trial_did_not_ask_for_is_said_when_it_is_read() -> None:
    assert with_flags(FLAGGED, {"x": 0.5}) == {"x": 0.5, "has_y": "no"}
    assert with_flags(FLAGGED, {"x": 0.5, "y": 1}) == {"x": 0.5, "y": 1, "has_y": "yes"}
    assert without_flags(FLAGGED, {"x": 0.5, "has_y": "yes", "y": 1}) == {"x": 0.5, "y": 1}
    own = Space([X, HAS_Y])  # somebody's own choice of that name, on which nothing depends
    assert without_flags(own, {"x": 0.5, "has_y": "yes"}) == {"x": 0.5, "has_y": "yes"}
    read = as_read(FLAGGED, [trial(1, {"y": 2, "x": 0.5}), trial(2, {"x": 1.0}, Outcome.INVALID), trial(3, {"x": 0.25}, None)])
    assert [list(one.configuration.items()) for one in read] == [
        [("x", 0.5), ("has_y", "yes"), ("y", 2)],
        [("x", 1.0), ("has_y", "no")],
        [("x", 0.25)],
    ]
    assert as_read(own, read) == read


def test_of_a_trial_that_goes_on_what_no_space_says_yet_waits() -> None:
    (read,) = as_read(FLAGGED, [trial(1, {"x": 7.0, "y": 3, "z": "new"}, None)])
    assert dict(read.configuration) == {"y": 3}


@pytest.mark.parametrize(
    ("after", "why"),
    [
        ([X, Y], None),
        ([X, HAS_Y, MAYBE_Y], None),
        ([Hyperparameter("x", Float(-1, 1)), HAS_Y, MAYBE_Y], None),
        ([X, Hyperparameter("y", Integer(1, 9))], None),
        ([X], "'y' is missing"),
        ([Y], "'x' is missing"),
        ([Hyperparameter("x", Float(0, 0.5)), Y], "'x' was a number from 0 to 1, and would be a number from 0 to 0.5"),
        ([X, Hyperparameter("y", Choice((1, 2, 3)))], "'y' was a whole number from 1 to 3, and would be one of 1, 2, 3"),
    ],
)
def test_it_only_grows(after: list[Hyperparameter], why: str | None) -> None:
    assert why_narrower(FLAGGED, Space(after, is_open=True)) == why


def test_the_lab_takes_one_value_after_the_other(tmp_path: Path) -> None:
    with closing(Lab.connect(f"sqlite:///{tmp_path / 'lab.sqlite'}")) as lab:
        spaces = lab.open_spaces
        session = spaces.open("own", LOSS, {"name": "program"})
        agent, _ = lab.agents.add("python", 1)
        first = spaces.ask(session.id, agent)
        spaces.append(session.id, first, "x", 0.5, Memo("asked", "x", {}))
        assert spaces.measure(session.id, first, [Measurement(0, 0, 1, None, 0.25, 0.0)])
        end = End(Outcome.COMPLETED, None, {"x": 0.5}, space=Space([X], is_open=True))
        spaces.tell(session.id, first, end)
        read = lab.sessions.get(session.id)
        assert (read.space, read.task.version) == (Space([X], is_open=True), session.task.version)
        assert [(one.revision, dict(one.configuration), one.value) for one in read.trials] == [(1, {"x": 0.5}, 0.25)]
        with pytest.raises(StaleAttempt):  # it has ended
            spaces.tell(session.id, first, end)
        with pytest.raises(StaleAttempt):
            spaces.append(session.id, first, "y", 1, Memo("asked", "y", {}))
        second = spaces.ask(session.id, agent)
        with pytest.raises(InvalidSpace, match="an open space can only grow, but 'x' is missing"):
            spaces.tell(session.id, second, End(Outcome.COMPLETED, None, {"y": 1}, space=Space([Y], is_open=True)))
        with pytest.raises(InvalidSpace, match="its space is open, so what it grows to must be"):
            spaces.tell(session.id, second, End(Outcome.COMPLETED, None, {"x": 0.5}, space=Space([X, Y])))
        assert lab.sessions.get(session.id).trials[1].is_open  # nothing of these was stored
        with pytest.raises(Refused, match="a session named 'own' is there already"):
            spaces.open("own", LOSS, {"name": "program"})
        with pytest.raises(Refused, match="trial 2 does not wait; only one that waits begins"):
            spaces.begin(session.id, second.trial_id, agent)
        with pytest.raises(NotFound, match="session 1 has no open trial with the id 1"):
            spaces.begin(session.id, first.trial_id, agent)
        lab.sessions.leave(session.id)
        with pytest.raises(Refused, match="is no process's now; take it up first"):
            spaces.ask(session.id, agent)
        with pytest.raises(StaleAttempt):  # it was given back
            spaces.append(session.id, second, "x", 0.5, Memo("asked", "x", {}))
        spaces.take_up(session.id)
        again = spaces.begin(session.id, second.trial_id, agent)
        assert (again.number, again.attempt) == (2, 2)
