"""The contract of training lanes: each is held against the general one, PyTorch step by step, and against itself."""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from itertools import cycle, product
from pathlib import Path

import numpy as np
import pytest

import hatch_build
from evenhand import lanes
from evenhand.errors import LaneMissing
from evenhand.lanes import base, whole
from evenhand.lanes.base import Data, Layout, Part, Plan, Training
from evenhand.tasks import TaskSpec, load, mlp

ROOT = Path(__file__).parent.parent
COUNT = 330
RATES = {"sgd": 0.1, "adadelta": 1.0}  # others: 0.01
PAIRS = [
    (loss, output)
    for loss, output in product(base.LOSSES, base.OUTPUTS)
    if output in mlp.NEEDS.get(loss, (base.OUTPUTS, ""))[0]
]  # fmt: skip
here = pytest.mark.skipif(not hatch_build.may_compile(), reason="the whole-epoch lane is compiled on Linux only")
every_lane = pytest.mark.parametrize("name", [pytest.param("whole", marks=here), "general"])


def data(features: int = 4, classes: int = 3, count: int = COUNT, size: float = 1.0) -> Data:
    rng = np.random.default_rng(7)
    points = rng.normal(size=(count, features))
    return Data(points * size, (np.abs(points).sum(1) * 3 % classes).astype(np.int32))


def layout(**changes: object) -> Layout:
    return replace(Layout(4, 3, (8, 21), ("relu", "tanh"), "softmax"), **changes)  # type: ignore[arg-type]


def plan(**changes: object) -> Plan:
    return replace(Plan("cross_entropy", "adam", 0.01, 37), **changes)  # type: ignore[arg-type]


def begun(name: str, layout: Layout, plan: Plan, points: Data | None = None, precision: str = "fp64", seed: int = 5) -> Training:
    return lanes.begin(name, layout, plan, seed, points or data(layout.features, layout.classes), precision)


def trained(training: Training, epochs: int, start: int = 1) -> list[Part]:
    return [part for number in range(start, epochs + 1) for part in training.epoch(number)]


def agreed(layout: Layout, plan: Plan, points: Data | None = None, epochs: int = 2, atol: float = 1e-6) -> list[float]:
    """The losses of the general lane, once those and the outputs of the whole-epoch lane are found to be the same."""
    first, second = (begun(name, layout, plan, points) for name in ("whole", "general"))
    found, expected = trained(first, epochs), trained(second, epochs)
    assert [part[:4] for part in found] == [part[:4] for part in expected]
    np.testing.assert_allclose([part.loss for part in found], [part.loss for part in expected], rtol=1e-7, atol=atol)
    x = (points or data(layout.features, layout.classes)).points
    np.testing.assert_allclose(first.outputs(x), second.outputs(x), rtol=1e-6, atol=atol)
    return [part.loss for part in expected]


@here
@pytest.mark.parametrize("optimizer", base.OPTIMIZERS)
def test_curves_agree_for_every_optimizer_loss_and_output(optimizer: str) -> None:
    # PyTorch keeps the product of NAdam's momenta in single precision
    atol = 1e-7 if optimizer == "nadam" else 1e-10
    for (loss, output), dropout in product(PAIRS, (0.0, 0.3)):
        how = plan(loss=loss, optimizer=optimizer, learning_rate=RATES.get(optimizer, 0.01))
        agreed(layout(output=output, dropout=dropout), how, atol=atol)


@here
@pytest.mark.parametrize("activation", base.ACTIVATIONS)
def test_curves_agree_for_every_activation_alone_and_among_others(activation: str) -> None:
    others = cycle(base.ACTIVATIONS)
    for units in ((6,), (5, 9), (12, 3, 30, 7)):
        for names in ((activation,) * len(units), (activation, *(next(others) for _ in units[1:]))):
            agreed(layout(units=units, activations=names), plan(optimizer="rmsprop", learning_rate=0.001), atol=1e-9)


@here
@pytest.mark.parametrize(
    ("shape", "count", "batch_size"),
    [
        ((1, (1,), 2), 50, 8),
        ((2, (128, 128), 2), 100, 64),
        ((3, (4, 8, 16, 17, 9, 1), 2), 150, 65),
        ((9, (33,), 100), 130, 512),
        ((2, (), 3), 60, 7),
        ((70, (40, 24), 12), 129, 128),
        ((2, (5,), 2), 1, 1),
        ((2, (5,), 2), 23, 1),
    ],
)
def test_every_shape_trains_as_it_should(shape: tuple[int, tuple[int, ...], int], count: int, batch_size: int) -> None:
    features, units, classes = shape
    network = Layout(features, classes, units, ("tanh",) * len(units), "softmax", 0.2)
    agreed(network, plan(batch_size=batch_size), data(features, classes, count), epochs=3, atol=1e-9)


@here
@pytest.mark.parametrize(("loss", "output"), PAIRS)
def test_large_outputs_neither_overflow_nor_raise(loss: str, output: str) -> None:
    gentle = plan(loss=loss, optimizer="sgd", learning_rate=1e-9)
    assert np.isfinite(agreed(layout(output=output), gentle, data(size=1e3), epochs=1, atol=1e-6)).all()


@every_lane
def test_what_grows_out_of_bounds_is_said_to_be_no_number(name: str) -> None:
    wild = layout(units=(64,) * 4, activations=("exponential",) * 4)
    losses = [part.loss for part in trained(begun(name, wild, plan(learning_rate=1.0, optimizer="sgd"), precision="fp32"), 2)]
    assert not np.isfinite(losses[-1])


@every_lane
@pytest.mark.parametrize("precision", lanes.PRECISIONS)
def test_bits_hang_on_the_seed_alone_not_on_what_trains_beside(name: str, precision: str) -> None:
    network, how = layout(dropout=0.25), plan()
    alone = trained(begun(name, network, how, precision=precision), 3)
    first, second = (begun(name, network, how, precision=precision) for _ in range(2))
    other = begun(name, layout(units=(50,), activations=("sigmoid",)), plan(batch_size=16), precision=precision, seed=6)
    mixed: list[list[Part]] = [[], []]
    for number in range(1, 4):
        turns = [iter(each.epoch(number)) for each in (first, other, second)]
        for one, _, two in zip(*turns, strict=False):
            mixed[0].append(one)
            mixed[1].append(two)
    assert mixed == [alone, alone]
    with ThreadPoolExecutor(2) as pool:
        beside = [begun(name, network, how, precision=precision, seed=seed) for seed in (5, 5, 6)]
        found = list(pool.map(lambda each: trained(each, 3), beside))
    assert found[0] == found[1] == alone != found[2]


@every_lane
@pytest.mark.parametrize("optimizer", base.OPTIMIZERS)
def test_a_restored_training_goes_on_bit_for_bit(name: str, optimizer: str) -> None:
    network, how = layout(dropout=0.1), plan(optimizer=optimizer)
    first = begun(name, network, how)
    trained(first, 2)
    kept = first.state()
    rest = trained(first, 4, start=3)
    second = begun(name, network, how, seed=5)
    second.restore(kept)
    assert trained(second, 4, start=3) == rest
    assert (first.outputs(data().points) == second.outputs(data().points)).all()


@every_lane
def test_points_that_are_not_rows_in_memory_are_taken_all_the_same(name: str) -> None:
    points = data()
    turned = Data(np.asfortranarray(points.points), np.repeat(points.labels, 2)[::2])
    first, second = (begun(name, layout(), plan(), each) for each in (points, turned))
    assert trained(first, 1) == trained(second, 1)
    np.testing.assert_allclose(first.outputs(points.points[::3]), first.outputs(points.points)[::3], rtol=1e-12)


def test_parts_cover_an_epoch_in_equal_steps() -> None:
    for count, batch_size in ((1000, 16), (1000, 1), (7, 8), (100_000, 512), (41, 2)):
        parts = base.parts(count, batch_size)
        assert [part.begin for part in parts] == [0, *(part.end for part in parts[:-1])]
        assert (parts[-1].end, parts[-1].step, parts[0].steps) == (count, parts[0].steps, -(-count // batch_size))
        assert len(parts) <= base.REPORTS
        assert len({part.points for part in parts[:-1]}) <= 1


def test_initial_weights_are_glorots_by_the_seed() -> None:
    network = Layout(2, 2, (128, 128), ("relu", "relu"), "softmax")
    (_, _), (middle, bias), _ = base.initial(network, 1)
    bound = (6 / 256) ** 0.5
    assert 0.98 * bound < np.abs(middle).max() <= bound
    assert abs(middle.mean()) < bound / 50
    assert not bias.any()
    assert (middle == base.initial(network, 1)[1][0]).all()
    assert (middle != base.initial(network, 2)[1][0]).any()


def test_dropout_hangs_on_a_points_place_not_on_how_many_there_are() -> None:
    key = base.dropout_key(1, 1, 0)
    threshold = layout(dropout=0.3).threshold
    kept = base.kept(key, 2_000, 21, threshold)
    assert (kept[:13] == base.kept(key, 13, 21, threshold)).all()
    assert 1 - kept.mean() == pytest.approx(0.3, abs=0.01)
    assert len({base.dropout_key(seed, epoch, layer) for seed, epoch, layer in product((1, 2), (1, 2), (0, 1))}) == 8


@here
def test_the_order_is_a_stable_sort() -> None:
    rng = np.random.default_rng(0)
    high = rng.integers(0, 40, 5_000, dtype=np.uint64) << np.uint64(60)  # many agree in their upper half, some wholly
    for keys in (base.order_keys(1, 1, 10_000), high, high + rng.integers(0, 9, 5_000, dtype=np.uint64), high[:1], high[:0]):
        assert (whole.sorted_order(keys) == np.argsort(keys, kind="stable")).all()


@here
def test_the_library_is_the_sources() -> None:
    assert hatch_build.is_compiled(ROOT), "run `python3 start.py` to compile it anew"
    assert lanes.why_not("whole") is None
    assert lanes.proposed() == "whole"


def test_a_lane_that_is_not_here_says_so_and_another_is_proposed(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    tiny = {"data": "10", "scale": 0.01}
    versions = {name: load(TaskSpec("mlp", {**tiny, "lane": name})).version for name in lanes.LANES if not lanes.why_not(name)}
    assert len(set(versions.values())) == len(versions)
    monkeypatch.setattr(whole, "LIBRARY", tmp_path / "_whole.so")
    assert lanes.proposed() == "general"
    assert load(TaskSpec("mlp", tiny)).settings["lane"] == "general"
    with pytest.raises(
        LaneMissing, match=r"lane 'whole' is not on this machine: _whole\.so was not compiled .* use the lane 'general'"
    ):
        load(TaskSpec("mlp", {**tiny, "lane": "whole"}))
    with pytest.raises(LaneMissing, match="not on this machine"):
        begun("whole", layout(), plan())
    whole.LIBRARY.write_bytes(b"of something else")
    assert "was compiled from another whole.cpp" in str(lanes.why_not("whole"))
