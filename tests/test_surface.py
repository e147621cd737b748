"""Decision surfaces of models whose boundary is known."""

import numpy as np
import pytest

from evenhand.analysis.surface import Classes, Points, disagreement, surface
from evenhand.errors import InvalidSettings


def left(points: Points) -> Classes:
    return (points[:, 0] > 0).astype(np.int64)


def square(seed: int, count: int = 2_000) -> tuple[Points, Classes]:
    places = np.random.default_rng(seed).uniform((-1, -0.25), (1, 0.25), (count, 2))
    places[:2] = (-1, -0.25), (1, 0.25)
    return places, left(places)


def test_a_surface_is_what_predict_says_at_every_cell() -> None:
    train, dev = square(1), square(2, 50)
    wrong = dev[0], 1 - dev[1]
    drawn = surface(left, {"train": train, "dev": wrong}, "made for this test", cells=100, most=300)
    assert (len(drawn.x), len(drawn.y)) == (100, 25)  # cells are as long as they are high
    assert drawn.classes.shape == (25, 100)
    assert np.array_equal(drawn.classes, np.broadcast_to(drawn.x > 0, (25, 100)))
    assert drawn.shares == {0: 0.5, 1: 0.5}
    assert drawn.x[0] == pytest.approx(-1.08 + 0.0108)
    assert drawn.y[-1] == pytest.approx(0.27 - 0.0108)
    assert (drawn.shown["train"].of, len(drawn.shown["train"].points), drawn.shown["train"].error) == (2_000, 300, 0)
    assert (drawn.shown["dev"].of, len(drawn.shown["dev"].points), drawn.shown["dev"].error) == (50, 50, 100)
    rows = {tuple(point) for point in train[0].tolist()}
    assert {tuple(point) for point in drawn.shown["train"].points.tolist()} <= rows
    assert np.array_equal(left(drawn.shown["train"].points), drawn.shown["train"].classes)
    assert drawn.label == "made for this test"


def test_up_is_up() -> None:
    drawn = surface(lambda points: (points[:, 1] > 0.1).astype(np.int64), {"train": square(1)}, "", cells=40)
    assert drawn.classes[0].max() == 0
    assert drawn.classes[-1].min() == 1


def test_disagreement_is_a_share_of_the_area() -> None:
    parts = {"train": square(1)}
    first, second = (
        surface(classify, parts, "", cells=80) for classify in (left, lambda points: np.zeros(len(points), np.int64))
    )
    assert disagreement(first, first) == 0
    assert disagreement(first, second) == 0.5
    with pytest.raises(InvalidSettings, match="of different ranges or cells"):
        disagreement(first, surface(left, parts, "", cells=40))


def test_points_on_a_line_and_wrong_shapes() -> None:
    line = np.stack([np.linspace(0, 1, 9), np.zeros(9)], axis=1)
    drawn = surface(left, {"train": (line, left(line))}, "", cells=30)
    assert drawn.classes.shape == (2, 30)
    for bad in (np.zeros((4, 3)), np.zeros((0, 2)), np.zeros(4)):
        with pytest.raises(InvalidSettings, match=r"split 'dev' has the shape .*expected \(N, 2\)"):
            surface(left, {"dev": (bad, np.zeros(len(bad), np.int64))}, "")
    with pytest.raises(InvalidSettings, match="0 splits"):
        surface(left, {}, "")
