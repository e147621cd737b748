"""The benchmark of intervals: coverage is counted, by statistic and case, and the record in the tree is within the band."""

import json
from pathlib import Path

from benchmarks import coverage as bench

RECORDS = Path(bench.__file__).parent / "records"


def test_coverage_is_counted_by_statistic_and_case() -> None:
    covered = bench.simulated(20, 1)
    assert covered == bench.simulated(20, 1)
    assert set(covered) == {"mean", "difference of means", "median"}
    assert all(len(by_case) == 6 for by_case in covered.values())
    assert all(0.6 < share <= 1 for by_case in covered.values() for share in by_case.values())


def test_every_recorded_coverage_is_within_the_band() -> None:
    newest = sorted(RECORDS.glob("*-coverage.json"))[-1]
    record = json.loads(newest.read_text(encoding="utf-8"))
    outside = {
        f"{statistic}, {case}": share
        for statistic, by_case in record["coverage"].items()
        for case, share in by_case.items()
        if not bench.BAND[0] <= share <= bench.BAND[1]
    }
    assert outside == {}
