"""Methods beside a study's participants: seeds and names that are free, and when none may be started."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from evenhand.errors import InvalidSettings, Refused
from evenhand.lab.lab import Lab
from evenhand.studies.method_sessions import free_name, next_seed, open_session
from tests.labs import make_lab, toy_study


@pytest.fixture
def lab(tmp_path: Path) -> Iterator[Lab]:
    """A laboratory."""
    made, _ = make_lab(f"sqlite:///{tmp_path / 'lab.sqlite'}")
    yield made
    made.close()


def test_each_session_gets_the_next_free_seed_and_name(lab: Lab) -> None:
    study = toy_study(lab)
    opened = [
        open_session(lab, study.id, "random", next_seed(lab.sessions.of_study(study.id), "random"), "live", "server")
        for _ in range(3)
    ]
    assert [(session.tuner, session.method["seed"]) for session in opened] == [("random", 0), ("random 2", 1), ("random 3", 2)]
    assert next_seed(lab.sessions.of_study(study.id), "tpe") == 0
    pilot = open_session(lab, study.id, "random", 7, "pilot", "server")
    assert (pilot.tuner, pilot.mode) == ("random", "pilot")  # names are free in each mode by itself
    assert next_seed(lab.sessions.of_study(study.id), "random") == 3


def test_gaps_are_filled() -> None:
    assert free_name("tpe", {"tpe", "tpe 3"}) == "tpe 2"
    assert free_name("tpe", {"tpe 2"}) == "tpe"


def test_what_cannot_be_started_is_refused(lab: Lab) -> None:
    study = toy_study(lab)
    with pytest.raises(InvalidSettings, match="method 'nothing': there is none"):
        open_session(lab, study.id, "nothing", 0, "live", "server")
    with pytest.raises(InvalidSettings, match="seed -1: expected a whole number"):
        open_session(lab, study.id, "random", -1, "live", "server")
    draft = lab.studies.declare(replace(study, name="draft"))
    with pytest.raises(Refused, match="not published yet"):
        open_session(lab, draft.id, "random", 0, "live", "server")
    assert open_session(lab, draft.id, "random", 0, "pilot", "server").mode == "pilot"
    assert [session.tuner for session in lab.sessions.of_study(draft.id)] == ["random"]
