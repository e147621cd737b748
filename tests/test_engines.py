"""The contract of training lanes: each is held against the general one, PyTorch step by step, and against itself."""

import importlib.util
import pickle
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from itertools import cycle, product
from pathlib import Path

import numpy as np
import pytest

import hatch_build
from evenhand.errors import LaneMissing
from evenhand.tasks import TaskSpec, engines, load
from evenhand.tasks.builtin import mlp
from evenhand.tasks.engines import base, groups, whole
from evenhand.tasks.engines.base import EpochPart, LabelledPoints, Layout, Training, TrainingGroup, TrainingPlan

ROOT = Path(__file__).parent.parent
COUNT = 330
RATES = {"sgd": 0.1, "adadelta": 1.0}  # others: 0.01
PAIRS = [
    (loss, output)
    for loss, output in product(base.LOSSES, base.OUTPUTS)
    if output in mlp.NEEDS.get(loss, (base.OUTPUTS, ""))[0]
]  # fmt: skip
here = pytest.mark.needs("compiler")
torch_is_here = pytest.mark.needs("torch")
STACKED, GENERAL = (pytest.param(engine, marks=torch_is_here) for engine in ("stacked", "general"))
every_lane = pytest.mark.parametrize("name", [pytest.param("whole", marks=here), STACKED, GENERAL])
but_general = pytest.mark.parametrize("name", [pytest.param("whole", marks=[here, torch_is_here]), STACKED])


def data(features: int = 4, classes: int = 3, count: int = COUNT, size: float = 1.0) -> LabelledPoints:
    rng = np.random.default_rng(7)
    points = rng.normal(size=(count, features))
    return LabelledPoints(points * size, (np.abs(points).sum(1) * 3 % classes).astype(np.int32))


def layout(**changes: object) -> Layout:
    return replace(Layout(4, 3, (8, 21), ("relu", "tanh"), "softmax"), **changes)  # type: ignore[arg-type]


def plan(**changes: object) -> TrainingPlan:
    return replace(TrainingPlan("cross_entropy", "adam", 0.01, 37), **changes)  # type: ignore[arg-type]


def begun(
    name: str, layout: Layout, plan: TrainingPlan, points: LabelledPoints | None = None, precision: str = "fp64", seed: int = 5
) -> Training:
    return engines.begin(name, layout, plan, seed, points or data(layout.features, layout.classes), precision)


def trained(training: Training, epochs: int, start: int = 1) -> list[EpochPart]:
    return [part for number in range(start, epochs + 1) for part in training.epoch(number)]


def grouped(
    name: str,
    members: Sequence[tuple[TrainingPlan, int]],
    network: Layout,
    points: LabelledPoints | None = None,
    precision: str = "fp64",
) -> TrainingGroup:
    """A group of a member for each plan and seed."""
    plans, seeds = zip(*members, strict=True)
    return engines.begin_group(name, network, plans, seeds, points or data(network.features, network.classes), precision)


def advanced(
    group: TrainingGroup, done: Mapping[int, int], until: int, stops: Mapping[int, int] | None = None
) -> dict[int, list[tuple[int, EpochPart]]]:
    """Each member's parts with the number of their epoch; a member is stopped as it gives the part `stops` counts for it."""
    parts: dict[int, list[tuple[int, EpochPart]]] = {member: [] for member in done}
    for member, epoch, part in groups.advance(group, done, until):
        parts[member].append((epoch, part))
        if len(parts[member]) == (stops or {}).get(member):
            group.stop(member)
    return parts


def alone(
    name: str,
    network: Layout,
    member: tuple[TrainingPlan, int],
    epochs: int,
    points: LabelledPoints | None = None,
    precision: str = "fp64",
) -> tuple[list[tuple[int, EpochPart]], Training]:
    """What a member gives where it trains with no other, and the training."""
    how, seed = member
    training = begun(name, network, how, points, precision, seed)
    return [(number, part) for number in range(1, epochs + 1) for part in training.epoch(number)], training


def agreed(
    name: str, layout: Layout, plan: TrainingPlan, points: LabelledPoints | None = None, epochs: int = 2, atol: float = 1e-6
) -> list[float]:
    """The losses of the general lane, once those and the outputs of the lane called `name` are found to be the same."""
    first, second = (begun(engine, layout, plan, points) for engine in (name, "general"))
    computed, expected = trained(first, epochs), trained(second, epochs)
    assert [part[:4] for part in computed] == [part[:4] for part in expected]
    np.testing.assert_allclose([part.loss for part in computed], [part.loss for part in expected], rtol=1e-7, atol=atol)
    x = (points or data(layout.features, layout.classes)).points
    np.testing.assert_allclose(first.outputs(x), second.outputs(x), rtol=1e-6, atol=atol)
    return [part.loss for part in expected]


@pytest.mark.slow
@but_general
@pytest.mark.parametrize("optimizer", base.OPTIMIZERS)
def test_curves_agree_for_every_optimizer_loss_and_output(name: str, optimizer: str) -> None:
    # PyTorch keeps the product of NAdam's momenta in single precision
    atol = 1e-7 if optimizer == "nadam" else 1e-10
    for (loss, output), dropout in product(PAIRS, (0.0, 0.3)):
        how = plan(loss=loss, optimizer=optimizer, learning_rate=RATES.get(optimizer, 0.01))
        agreed(name, layout(output=output, dropout=dropout), how, atol=atol)


@but_general
@pytest.mark.parametrize("activation", base.ACTIVATIONS)
def test_curves_agree_for_every_activation_alone_and_among_others(name: str, activation: str) -> None:
    others = cycle(base.ACTIVATIONS)
    for units in ((6,), (5, 9), (12, 3, 30, 7)):
        for names in ((activation,) * len(units), (activation, *(next(others) for _ in units[1:]))):
            agreed(name, layout(units=units, activations=names), plan(optimizer="rmsprop", learning_rate=0.001), atol=1e-9)


@but_general
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
def test_every_shape_trains_as_it_should(name: str, shape: tuple[int, tuple[int, ...], int], count: int, batch_size: int) -> None:
    features, units, classes = shape
    network = Layout(features, classes, units, ("tanh",) * len(units), "softmax", 0.2)
    agreed(name, network, plan(batch_size=batch_size), data(features, classes, count), epochs=3, atol=1e-9)


@but_general
@pytest.mark.parametrize(("loss", "output"), PAIRS)
def test_large_outputs_neither_overflow_nor_raise(name: str, loss: str, output: str) -> None:
    gentle = plan(loss=loss, optimizer="sgd", learning_rate=1e-9)
    assert np.isfinite(agreed(name, layout(output=output), gentle, data(size=1e3), epochs=1, atol=1e-6)).all()


@every_lane
def test_what_grows_out_of_bounds_is_said_to_be_no_number(name: str) -> None:
    wild = layout(units=(64,) * 4, activations=("exponential",) * 4)
    losses = [part.loss for part in trained(begun(name, wild, plan(learning_rate=1.0, optimizer="sgd"), precision="fp32"), 2)]
    assert not np.isfinite(losses[-1])


@every_lane
@pytest.mark.parametrize("precision", engines.PRECISIONS)
def test_bits_hang_on_the_seed_alone_not_on_what_trains_beside(name: str, precision: str) -> None:
    network, how = layout(dropout=0.25), plan()
    alone = trained(begun(name, network, how, precision=precision), 3)
    first, second = (begun(name, network, how, precision=precision) for _ in range(2))
    other = begun(name, layout(units=(50,), activations=("sigmoid",)), plan(batch_size=16), precision=precision, seed=6)
    mixed: list[list[EpochPart]] = [[], []]
    for number in range(1, 4):
        turns = [iter(training.epoch(number)) for training in (first, other, second)]
        for one, _, two in zip(*turns, strict=False):
            mixed[0].append(one)
            mixed[1].append(two)
    assert mixed == [alone, alone]
    with ThreadPoolExecutor(2) as pool:
        beside = [begun(name, network, how, precision=precision, seed=seed) for seed in (5, 5, 6)]
        results = list(pool.map(lambda training: trained(training, 3), beside))
    assert results[0] == results[1] == alone != results[2]


@pytest.mark.slow
@every_lane
@pytest.mark.parametrize("precision", engines.PRECISIONS)
def test_a_members_bits_hang_on_no_other_however_they_are_grouped(name: str, precision: str) -> None:
    points = data(5, 3, 210)
    network = layout(features=5, units=(21, 7), activations=("sigmoid", "tanh"), dropout=0.2)
    members = [(plan(learning_rate=0.003 * (1 + seed)), seed) for seed in range(7)]
    expected = [alone(name, network, member, 2, points, precision) for member in members]
    assert len({repr(parts) for parts, _ in expected}) == 7
    for chosen, stops in (
        ([4], {}),
        ([1, 0], {}),
        ([6, 5, 4, 3, 2, 1, 0], {}),
        ([0, 1, 2, 3, 4, 5, 6], {1: 2, 2: 2, 6: 9}),
        ([3, 3, 2], {0: 1}),
    ):
        group = grouped(name, [members[number] for number in chosen], network, points, precision)
        results = advanced(group, dict.fromkeys(range(len(chosen)), 0), 2, stops)
        for at, number in enumerate(chosen):
            parts, training = expected[number]
            assert results[at] == parts[: stops.get(at)]
            if at not in stops:
                assert (group.outputs(at, points.points) == training.outputs(points.points)).all()


@every_lane
def test_a_member_that_grows_out_of_bounds_leaves_the_others_as_they_are(name: str) -> None:
    members = [(plan(optimizer="sgd", learning_rate=rate), seed) for seed, rate in enumerate((0.1, 1e200, 0.2))]
    network = layout(activations=("relu", "relu"), output="linear")
    results = advanced(grouped(name, members, network), dict.fromkeys(range(3), 0), 2)
    assert not np.isfinite([part.loss for _, part in results[1]]).all()
    for at in (0, 2):
        assert results[at] == alone(name, network, members[at], 2)[0]


@pytest.mark.slow
@torch_is_here
@pytest.mark.parametrize("precision", engines.PRECISIONS)
@pytest.mark.parametrize(
    ("shape", "count", "batch_size"),
    [((1, (1,), 2), 50, 8), ((3, (4, 17, 9), 2), 150, 65), ((9, (33,), 100), 70, 64), ((2, (), 3), 60, 7), ((2, (5,), 2), 23, 1)],
)
def test_stacked_bits_hang_on_no_other_for_any_shape_loss_and_optimizer(
    precision: str, shape: tuple[int, tuple[int, ...], int], count: int, batch_size: int
) -> None:
    features, units, classes = shape
    points, turns = data(features, classes, count), cycle(base.ACTIVATIONS[:3])
    for (loss, output), optimizer in zip(PAIRS, cycle(base.OPTIMIZERS), strict=False):
        network = Layout(features, classes, units, tuple(next(turns) for _ in units), output)
        how = plan(loss=loss, optimizer=optimizer, batch_size=batch_size)
        members = [(how, seed) for seed in range(6)]
        together = advanced(grouped("stacked", members, network, points, precision), dict.fromkeys(range(6), 0), 1)
        for at in (0, 3, 5):
            assert together[at] == alone("stacked", network, members[at], 1, points, precision)[0]


@pytest.mark.slow
@every_lane
def test_a_group_goes_on_from_states_of_different_epochs_bit_for_bit(name: str) -> None:
    network = layout(dropout=0.1)
    members = [(plan(optimizer="nadam", learning_rate=0.002 * (1 + seed)), seed) for seed in range(3)]
    expected = [alone(name, network, member, 4)[0] for member in members]
    first = grouped(name, members, network)
    advanced(first, {0: 0, 2: 0}, 1)
    advanced(first, {2: 1}, 3)
    second = grouped(name, members, network)
    for at in range(3):
        second.restore(at, pickle.loads(pickle.dumps(first.state(at))))
    results = advanced(second, {0: 1, 1: 0, 2: 3}, 4)
    for at, done in enumerate((1, 0, 3)):
        assert results[at] == [part for part in expected[at] if part[0] > done]
    training = begun(name, network, members[2][0], seed=2)
    training.restore(first.state(2))
    assert [(4, part) for part in training.epoch(4)] == results[2]


@every_lane
def test_a_stop_from_another_thread_ends_a_member_alone(name: str) -> None:
    members = [(plan(batch_size=4), seed) for seed in range(3)]
    group = grouped(name, members, layout())
    received: list[int] = []
    with ThreadPoolExecutor(1) as pool:
        for member, _, _ in groups.advance(group, dict.fromkeys(range(3), 0), 2):
            received.append(member)
            if len(received) == 4:
                pool.submit(group.stop, 1).result()
    parts = len(base.parts(COUNT, 4))
    assert (received.count(0), received.count(2)) == (2 * parts, 2 * parts)
    assert 1 not in received[4:]
    assert list(group.epoch({1: 3})) == []


def test_what_may_be_grouped_differs_in_seed_and_learning_rate_alone() -> None:
    assert groups.key(layout(), plan()) == groups.key(layout(), plan(learning_rate=1.0))
    others = [(layout(units=(8, 22)), plan()), (layout(dropout=0.1), plan())]
    others += [(layout(), plan(**change)) for change in ({"batch_size": 36}, {"loss": "mse"}, {"optimizer": "sgd"})]
    assert len({groups.key(layout(), plan()), *(groups.key(*other) for other in others)}) == 6


@torch_is_here
def test_a_group_is_as_large_as_its_batch_allows() -> None:
    assert [engines.group_size("stacked", batch) for batch in (1, 16, 128, 512, 4096)] == [64, 64, 32, 8, 4]
    assert engines.group_size("stacked", 16, "cuda") == 1000
    assert engines.group_size("general", 16) == 1


@torch_is_here
@pytest.mark.parametrize("optimizer", base.OPTIMIZERS)
def test_a_step_made_to_be_captured_has_the_bits_of_any_other(monkeypatch: pytest.MonkeyPatch, optimizer: str) -> None:
    from evenhand.tasks.engines import stacked, stacked_steps

    members = [(plan(optimizer=optimizer), seed) for seed in range(3)]
    for network, precision in product((layout(), layout(dropout=0.3)), engines.PRECISIONS):
        expected = advanced(grouped("stacked", members, network, precision=precision), dict.fromkeys(range(3), 0), 2)
        runs: list[int] = []

        def captured(call: Callable[[], None], runs: list[int] = runs) -> Callable[[], None]:
            runs.append(0)
            call()  # as on a GPU, where it prepares libraries
            return call

        with monkeypatch.context() as patched:  # a processor has no graphs: the step is called in their stead
            patched.setattr(stacked, "_captures", lambda device: True)
            patched.setattr(stacked_steps, "captured", captured)
            results = advanced(grouped("stacked", members, network, precision=precision), dict.fromkeys(range(3), 0), 2)
        assert results == expected
        assert len(runs) == 2  # whole batches, and the last one


@torch_is_here
def test_a_lane_that_is_for_processors_says_so() -> None:
    with pytest.raises(LaneMissing, match=r"'general' trains on the processor only, not on 'cuda': use the lane 'stacked'"):
        engines.begin_group("general", layout(), [plan()], [1], data(), "fp32", "cuda")


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
    turned = LabelledPoints(np.asfortranarray(points.points), np.repeat(points.labels, 2)[::2])
    first, second = (begun(name, layout(), plan(), data) for data in (points, turned))
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
    assert (kept[700:713] == base.kept(key, 13, 21, threshold, begin=700)).all()
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
    assert engines.why_not("whole") is None
    assert engines.proposed() == "whole"


def test_a_lane_that_is_not_here_says_so_and_another_is_proposed(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    tiny = {"data": "10", "scale": 0.01}
    versions = {
        name: load(TaskSpec("mlp", {**tiny, "lane": name})).version for name in engines.LANES if not engines.why_not(name)
    }
    assert len(set(versions.values())) == len(versions)
    monkeypatch.setattr(whole, "LIBRARY", tmp_path / "_whole.so")
    assert engines.proposed() == "stacked"
    assert load(TaskSpec("mlp", tiny)).settings["lane"] == "stacked"
    with pytest.raises(
        LaneMissing, match=r"lane 'whole' is not on this machine: _whole\.so was not compiled .* use the lane 'general'"
    ):
        load(TaskSpec("mlp", {**tiny, "lane": "whole"}))
    with pytest.raises(LaneMissing, match="not on this machine"):
        begun("whole", layout(), plan())
    whole.LIBRARY.write_bytes(b"of something else")
    assert "was compiled from another whole.cpp" in str(engines.why_not("whole"))
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    assert "needs PyTorch" in str(engines.why_not("stacked"))
    assert engines.proposed() == "general"
