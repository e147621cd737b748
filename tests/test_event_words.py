"""The log in words: every kind of event has a sentence, with names in place of ids."""

import ast
import re
from pathlib import Path
from typing import get_args, get_type_hints

import pytest

import evenhand
from evenhand.model.archive import Event
from evenhand.model.event_words import WORDS, EventNames, event_words
from evenhand.model.session import Intervention
from evenhand.web.access import Role
from tests.web import evaluated, toy_site, tuned_study, tuning_participant

NAMES = EventNames(
    people={3: "P-03"},
    tuners={7: "tpe", 8: "P-03"},
    agents={5: "the lab's machine"},
    batches={2: "Monday"},
    trials={41: 4},
    reasons={(7, 10.0, "ended"): "its agent is gone"},
)


def recorded_kinds() -> set[str]:
    """The kinds of events that the laboratory records, as its source names them."""
    kinds: set[object] = set()
    for path in (Path(evenhand.__file__).parent / "lab").glob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call) and ast.unparse(node.func) in ("events.record", "event_rows.record"):
                kinds |= {part.value for part in ast.walk(node.args[2]) if isinstance(part, ast.Constant)}
            if isinstance(node, ast.Call) and ast.unparse(node.func) == "self._note":
                kinds |= {part.value for part in ast.walk(node.args[2]) if isinstance(part, ast.Constant)}
    return {kind for kind in kinds if isinstance(kind, str)}


def test_every_kind_of_event_has_words() -> None:
    interventions = set(get_args(get_type_hints(Intervention)["kind"]))
    assert recorded_kinds() | interventions <= set(WORDS)


@pytest.mark.parametrize("kind", [*WORDS, "something new"])
def test_every_event_is_a_sentence_however_little_it_says(kind: str) -> None:
    for session_id, trial_id in ((7, 41), (7, None), (None, None), (99, 99)):
        assert len(event_words(Event(1, 10.0, kind, session_id, trial_id, {}), NAMES).split()) > 1


@pytest.mark.parametrize(
    ("event", "expected"),
    [
        (Event(1, 10.0, "ended", 7, None, {"who": "researcher"}), "Researcher ended tpe: its agent is gone"),
        (Event(1, 10.0, "paused", 8, None, {"who": "researcher"}), "Researcher paused P-03"),
        (Event(1, 10.0, "claimed", 7, 41, {"attempt": 1, "agent": 5}), "The lab's machine began to train trial 4 of tpe"),
        (Event(1, 10.0, "claimed", 7, 41, {"attempt": 3, "agent": 6}), "An agent began to train trial 4 of tpe for the 3. time"),
        (Event(1, 10.0, "finished", 7, None, {"outcome": "completed", "job": 9}), "An evaluation of tpe ended: completed"),
        (Event(1, 10.0, "chose", 7, 41, {"automatic": True}), "Trial 4 of tpe was chosen automatically"),
        (Event(1, 10.0, "looked", 7, None, {"who": "researcher 2"}), "Researcher 2 looked at the test scores of tpe"),
        (Event(1, 10.0, "extended", 8, None, {"seconds": 300}), "Somebody gave P-03 5:00 more"),
        (Event(1, 10.0, "took over", None, None, {"participant": 3}), "P-03 went on in another window"),
        (Event(1, 10.0, "switched invitations", None, None, {"batch": 2, "enabled": False}),
         "The invitations “Monday” were switched off"),
    ],
)  # fmt: skip
def test_events_say_who_did_what(event: Event, expected: str) -> None:
    assert event_words(event, NAMES) == expected


@pytest.mark.slow
def test_the_log_shows_sentences_and_its_exports_keep_kinds(tmp_path: Path) -> None:
    with toy_site(tmp_path) as site:
        study, session, agent = tuned_study(site)
        evaluated(site, session.id, agent, 0.5, 0.6)
        tuning_participant(site, study)
        researcher = site.caller(Role.RESEARCHER)
        researcher.post(f"/studies/{study.id}/act", {"what": "pause", "whom": "all", "mode": "live", "reason": "a fire alarm"})
        page = researcher.get(f"/studies/{study.id}/log").text
        for words in (
            "Rosa paused P-01: a fire alarm",
            "Trial 2 of random was chosen by random",
            "One began to train trial 1",
        ):
            assert words in page
        assert "<b>claimed</b>" not in page
        assert not re.search(r">(job|attempt|agent|batch) <b>", page)
        assert '"kind": "claimed"' in researcher.get(f"/studies/{study.id}/log.jsonl").text
