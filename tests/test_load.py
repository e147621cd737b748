"""The load test itself, small: a real server, replayed trainings, participants whose pages stay open. No limit on times."""

from pathlib import Path

from benchmarks.load import Wishes, record, run, table


def test_nothing_is_lost_with_ten_participants(tmp_path: Path) -> None:
    wishes = Wishes(participants=10, seconds=10.0, seed=3, ramp=3.0, pace="test")
    found = run(wishes, tmp_path)
    assert found.troubles == []
    assert (found.participants, found.choices, found.unfinished) == (10, 10, 0)
    assert (found.lost, found.unseen, found.outages) == (0, 0, 0)
    assert found.trials >= 10, "everybody trains once"
    assert found.sent >= len(record()) * (found.trials + 10), "each trial and each evaluation of one seed is replayed whole"
    assert found.shown > 0
    assert min(found.ages, default=0.0) > -0.01, "no measurement arrives before it was made"
    said = table(found, wishes)
    assert f"measurements acknowledged {found.sent}, lost 0, left out by a stream 0" in said
