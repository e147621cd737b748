"""The load test itself, small: a real server, replayed trainings, participants whose pages stay open. No limit on times."""

from pathlib import Path

import pytest

from benchmarks.load import Wishes, record, run, table


@pytest.mark.slow
def test_nothing_is_lost_with_ten_participants(tmp_path: Path) -> None:
    wishes = Wishes(participants=10, seconds=10.0, seed=3, ramp=3.0, pace="test")
    result = run(wishes, tmp_path)
    assert result.troubles == []
    assert (result.participants, result.choices, result.unfinished) == (10, 10, 0)
    assert (result.lost, result.unseen, result.outages) == (0, 0, 0)
    assert result.trials >= 10, "everybody trains once"
    least = 1 + next(index for index, point in enumerate(record()) if point.epoch == 1)
    assert result.sent >= least * (result.trials + 10), "each trial and each evaluation of one seed is replayed whole"
    assert result.shown > 0
    assert min(result.ages, default=0.0) > -0.01, "no measurement arrives before it was made"
    said = table(result, wishes)
    assert f"measurements acknowledged {result.sent}, lost 0, left out by a stream 0" in said
