"""The benchmark of the cards of noise and of health: what it counts."""

from benchmarks import noise


def test_a_case_counts_shares_and_the_luck_that_is_left() -> None:
    row = noise.case(2, 30, "none", 3)
    assert (row["dimensions"], row["trials"], row["kind"]) == (2, 30, "none")
    assert 0.3 < row["estimate"] < 3
    assert 0 < row["luck_left"] < row["luck"]
    shares = [row[name] for name in row if name.endswith("_holds") or name.startswith("false_")]
    assert len(shares) == 6
    assert all(0 <= share <= 1 for share in shares)


def test_a_history_is_the_same_for_the_same_seed_and_its_truth_has_no_noise() -> None:
    history, truth = noise.simulated(8, 40, "effect", 1)
    again, _ = noise.simulated(8, 40, "effect", 1)
    assert history == again
    assert history != noise.simulated(8, 40, "effect", 2)[0]
    assert truth.max() <= 0.8
    assert abs(history.values - truth).std() < 2 * noise.NOISE
