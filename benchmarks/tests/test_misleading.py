"""The benchmark of misleading beliefs: what it counts, and that its tables are what their names say."""

import numpy as np
import pytest

from benchmarks import made_tables, misleading


def row(plain: float, bad: float, drawn: float) -> dict[str, object]:
    ways = {"plain": [1.0, plain], "bad high": [1.0, bad], "random": [1.0, drawn]}
    return {"regret": {how: {"worth": values, "seen": values} for how, values in ways.items()}}


def test_cost_and_pairs_worse_than_random_are_counted() -> None:
    rows = [row(0.1, 0.1, 0.2), row(0.1, 0.3, 0.2), row(0.2, 0.1, 0.1), row(0.3, 0.3, 0.2)]
    summary = misleading.summary(rows, "worth", "bad high")
    assert summary["cost_mean"] == 0.025  # of 0, 0.2, -0.1 and 0
    assert summary["cost_largest"] == 0.2
    assert summary["cost_interval"][0] <= 0.025 <= summary["cost_interval"][1]
    assert (summary["worse_than_random"], summary["plain_worse_than_random"], summary["pairs"]) == (2, 2, 4)
    assert summary["trials_to_plain_end_median"] == 2  # 2, never (3), 2 and 2


def test_the_interval_is_of_the_mean() -> None:
    assert misleading.interval(np.array([0.5, 0.5, 0.5])) == (0.5, 0.5)
    low, high = misleading.interval(np.arange(100.0))
    assert low == pytest.approx(49.5 - 1.96 * 2.88, abs=0.4)
    assert high == pytest.approx(49.5 + 1.96 * 2.88, abs=0.4)


@pytest.mark.slow
def test_a_made_table_holds_every_configuration_of_its_grid() -> None:
    for name in made_tables.TABLES:
        model, data = name.split("-")
        assert model in made_tables.MODELS
        assert data in made_tables.DATA
    table = made_tables.table_of("neighbours-wine")
    assert table.runs.shape == (360, made_tables.SPLITS)
    assert np.isfinite(table.runs).all()
    assert table.means.max() > 0.9
    nearest = table.row_of({"scaler": "standard", "n_neighbors": "5", "weights": "uniform", "metric": "euclidean"})
    assert table.means[nearest] > np.median(table.means)
