"""The benchmark of rules of the choice: what is for test is in no part, and every rule chooses from the same trials."""

import numpy as np
import pytest

from benchmarks import choices as bench
from evenhand.model.space import Space
from evenhand.model.trial import Outcome, Trial

SPACE = Space(bench.SPACE)


def test_the_benchmark_of_rules_chooses_from_the_same_trials() -> None:
    split = bench.split_of("iris", 1)
    learnt = {tuple(row) for row in split.whole[0]}
    assert len(split.test[1]) + len(split.whole[1]) == 150
    assert all(len(held[1]) == 15 for _, held in split.parts)
    assert {tuple(row) for (rows, _), _ in split.parts for row in rows} == learnt
    made = bench.trained(split, SPACE.configuration({"max_depth": 3, "min_samples_leaf": 2, "max_features": 0.5}))
    assert made["accuracy"] == pytest.approx(np.mean([made[f"fold {number}"] for number in range(1, 6)]))
    assert made["train_accuracy"] >= made["accuracy"] - 0.1
    assert len(bench.SETS) == 12
    configuration = SPACE.configuration({"max_depth": 3, "min_samples_leaf": 2, "max_features": 0.5})
    trial = Trial(1, 1, 1, configuration, "random", 0.0, 1, outcome=Outcome.COMPLETED, value=made["accuracy"], extra=made)
    assert {rule: chosen.number for rule, chosen in bench.choices([trial]).items()} == dict.fromkeys(bench.RULES, 1)


def test_what_misleads_is_scored_on_dev_and_tested_on_eval() -> None:
    split = bench.split_of(bench.MISLEADING, 1)
    assert [len(held[1]) for _, held in split.parts] == [40] * 5
    assert len(split.whole[1]) == 600
    assert len({tuple(row) for _, (rows, _) in split.parts for row in rows}) == 200
