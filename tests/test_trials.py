"""Trials that are read again and again: those that have ended are shared, each is folded once, and no view changes."""

import copy
import pickle
from dataclasses import replace

import pytest

from evenhand.model.configuration import Configuration
from evenhand.model.trial import Outcome, Trial
from evenhand.model.trial_history import Trials, fold, unsettled, with_open


def trial(number: int, outcome: Outcome | None = Outcome.COMPLETED, id: int | None = None) -> Trial:
    configuration = Configuration({"x": number})
    ended = None if outcome is None else 9.0
    return Trial(id or number, 1, number, configuration, "x", float(number), 1, outcome=outcome, finished_at=ended)


def test_they_are_a_sequence_of_which_the_first_have_ended() -> None:
    listed = [trial(1), trial(2), trial(3, None), trial(4)]
    trials = Trials(listed)
    assert (len(trials), trials.settled, list(trials), list(reversed(trials))) == (4, 2, listed, listed[::-1])
    assert (trials[0], trials[-1], trials[1:3], trials[:2]) == (listed[0], listed[3], tuple(listed[1:3]), tuple(listed[:2]))
    assert list(unsettled(trials)) == listed[2:]
    assert list(unsettled(tuple(listed))) == listed
    with pytest.raises(IndexError, match="trial at 4 of 4"):
        trials[4]
    assert trials == tuple(listed) == trials
    assert trials != tuple(listed[:3])
    assert pickle.loads(pickle.dumps(trials)) == trials == copy.deepcopy(trials)


def test_views_go_on_from_one_another_and_none_changes() -> None:
    first = Trials([trial(1), trial(2, None)])
    second = first.then([trial(2), trial(3, None)])
    beside = first.then([trial(2), trial(3), trial(4)])  # another reader, a little later
    again = first.then([trial(2), trial(3, None)])
    assert [len(trials) for trials in (first, second, beside, again)] == [2, 3, 4, 3]
    assert [trials.settled for trials in (first, second, beside, again)] == [1, 2, 4, 2]
    assert second == again
    assert first[1].is_open
    assert second[1] is beside[1] is again[1]
    other = first.then([trial(2, id=7), trial(3, id=8)])  # a backup was restored, and the session went on otherwise
    assert [trial.id for trial in other] == [1, 7, 8]
    assert [trial.id for trial in beside] == [1, 2, 3, 4]
    assert with_open(second, lambda trial: replace(trial, value=0.5))[2].value == 0.5
    assert second[2].value is None


def test_each_trial_is_folded_once_and_an_older_view_is_folded_by_itself() -> None:
    added: list[int] = []

    def add(total: int, trial: Trial) -> int:
        added.append(trial.number)
        return total + trial.number

    first = Trials([trial(1), trial(2), trial(3, None)])
    assert fold(first, "sum", int, add) == (3, first[2:])
    second = first.then([trial(3), trial(4, None)])
    assert fold(second, "sum", int, add) == (6, second[3:])
    assert fold(second, "sum", int, add) == (6, second[3:])
    assert added == [1, 2, 3]
    assert fold(first, "sum", int, add) == (0, first)  # its trials are left to who asks
    assert fold(tuple(first), "sum", int, add) == (0, tuple(first))
