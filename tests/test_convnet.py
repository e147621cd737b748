"""The paper's ConvNet: shapes worked out before training agree with PyTorch; what does not fit is invalid and says where."""

from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from evenhand.errors import InvalidConfiguration
from evenhand.model.configuration import Configuration
from evenhand.model.domain import Float, Integer, show
from evenhand.tasks.builtin import convlstm, convnet
from evenhand.tasks.builtin import eeg as tasks_eeg
from evenhand.tasks.builtin import patches as tasks_patches
from evenhand.tasks.builtin.convnet import PUBLISHED, Layer, shapes
from tests.components import need

DOCS = Path(__file__).parent.parent / "docs" / "tasks.md"
SPACE = convnet.space(10_000)


def configuration(**values: Any) -> Configuration:
    """The example, with `values` in place of its own."""
    return SPACE.configuration({**convnet.EXAMPLE, **values})


def test_the_hand_tuned_network_has_the_printed_sizes() -> None:
    layers = shapes(SPACE.configuration(PUBLISHED["manual"]), 128)
    assert [(layer.name, layer.shape) for layer in layers] == [
        ("convolution 1", (16, 124, 124)),
        ("pooling 1", (16, 62, 62)),
        ("convolution 2", (32, 58, 58)),
        ("pooling 2", (32, 29, 29)),
        ("convolution 3", (64, 25, 25)),
        ("pooling 3", (64, 12, 12)),
        ("dense 1", (128,)),
        ("output", (2,)),
    ]
    assert 64 * 12 * 12 == 9216  # the paper's Linear (9216, 128): 128 pixels without padding
    by_hand = [3 * 16 * 25 + 16, 16 * 32 * 25 + 32, 32 * 64 * 25 + 64, 9216 * 128 + 128, 128 * 2 + 2]
    assert [layer.weights for layer in layers if layer.weights] == by_hand
    assert convnet.weights_of(layers) == sum(by_hand) == 1_245_346


def test_the_autotuned_network_has_room_only_with_padding_as_read() -> None:
    auto = SPACE.configuration(PUBLISHED["auto"])
    assert shapes(auto, 128)[5] == Layer("pooling 3", (1, 2, 2), 0)
    unpadded = SPACE.configuration({**auto, "padding": "valid"})
    with pytest.raises(InvalidConfiguration, match="pool_3: got 3, expected at most 2"):
        shapes(unpadded, 131)
    assert shapes(unpadded, 132)[5].shape == (1, 1, 1)


def test_published_configurations_give_every_value_of_the_space() -> None:
    for raw in PUBLISHED.values():
        assert set(SPACE.configuration(raw)) == set(raw)


@pytest.mark.parametrize(
    ("values", "size", "reason"),
    [
        ({"kernel_1": 11}, 10, "kernel_1: got 11, expected at most 10, which is the length that convolution 1 is given (10)"),
        (
            {"kernel_2": 6, "pool_1": 4},
            24,
            "kernel_2: got 6, expected at most 5, which is the length that convolution 2 is given (24 → 22 → 5)",
        ),
        (
            {"kernel_1": 5, "pool_1": 2, "kernel_2": 5, "pool_2": 3},
            16,
            "pool_2: got 3, expected at most 2, which is the length that pooling 2 is given (16 → 12 → 6 → 2)",
        ),
    ],
)
def test_what_does_not_fit_names_the_layer_and_the_sizes(values: dict[str, Any], size: int, reason: str) -> None:
    with pytest.raises(InvalidConfiguration) as caught:
        shapes(configuration(padding="valid", **values), size)
    assert str(caught.value) == reason
    assert len(caught.value.problems) == 1


def test_padding_keeps_sizes_and_a_kernel_of_the_whole_length_is_allowed() -> None:
    assert shapes(configuration(kernel_1=11, pool_1=1), 10)[0].shape == (16, 10, 10)
    assert shapes(configuration(padding="valid", conv_layers=1, kernel_1=10, pool_1=1), 10)[0].shape == (16, 1, 1)


def test_too_many_weights_name_the_layer_that_has_them() -> None:
    layers = shapes(configuration(conv_layers=1, filters_1=64, pool_1=1, units_1=512), 128)
    assert convnet.weights_of(layers) == 3 * 64 * 9 + 64 + 64 * 128**2 * 512 + 512 + 2 * 512 + 2
    with pytest.raises(InvalidConfiguration) as caught:
        convnet.limit_weights(layers, 1_000_000)
    assert "536,871,424 in dense 1" in str(caught.value)
    convnet.limit_weights(layers, convnet.weights_of(layers))


def test_the_space_has_the_paper_s_ranges_and_conditions() -> None:
    assert (SPACE["epochs"].domain.expected, SPACE["batch_size"].domain.expected) == (
        "a whole number from 10 to 35",
        "a whole number from 8 to 512",
    )
    assert SPACE.fidelity is SPACE["epochs"]
    assert "filters_3" not in configuration(conv_layers=2)
    assert "units_1" not in configuration(dense_layers=0)
    assert all(hyperparameter.help and hyperparameter.label for hyperparameter in SPACE)
    assert convnet.space(100)["batch_size"].domain.expected == "a whole number from 8 to 100"


def test_ranges_are_those_of_the_documentation() -> None:
    patches, eeg = (DOCS.read_text().split(f"\n## The {name} task\n")[1].split("\n## ")[0] for name in ("patches", "eeg"))
    for section, space, kinds in (
        (
            patches,
            SPACE,
            ("batch_size", "learning_rate", "conv_layers", "filters_1", "kernel_1", "pool_1", "dense_layers", "units_1"),
        ),
        (eeg, convlstm.space(1000), ("conv_layers", "filters_1", "kernel_1", "pool_1", "lstm_layers", "hidden_1")),
    ):
        for name in kinds:
            (row,) = (row for row in section.splitlines() if row.startswith("| ") and f"`{name}`" in row)
            domain = space[name].domain
            assert isinstance(domain, Integer | Float)
            assert f"{show(domain.low)} to {show(domain.high)}" in row
            default = space[name].default
            assert default is None or show(default) in row.split("|")[-2]
    for name, task in (("patches", tasks_patches.PatchesSettings()), ("eeg", tasks_eeg.EegSettings())):
        section = patches if name == "patches" else eeg
        for setting, value in asdict(task).items():
            (row,) = (row for row in section.splitlines() if row.startswith("| `") and f"`{setting}`" in row.split("|")[1])
            assert value in ("", None) or str(value).removesuffix(".0") in row


@pytest.mark.filterwarnings("ignore:Initializing zero-element tensors")
@pytest.mark.parametrize("size", [12, 33, 64])
def test_shapes_and_weights_agree_with_pytorch_and_so_does_what_is_invalid(size: int) -> None:
    torch = need("torch")
    from evenhand.tasks.builtin import networks

    rng, fitting, not_fitting = np.random.default_rng(size), 0, 0
    for _ in range(60):
        drawn = SPACE.sample(rng)
        try:
            layers = shapes(drawn, size, 3)
        except InvalidConfiguration:
            not_fitting += 1
            with pytest.raises((RuntimeError, ValueError, ZeroDivisionError)):  # PyTorch cannot build or compute it either
                networks.convnet(drawn, size, 3).eval()(torch.zeros(1, 3, size, size))
            continue
        if convnet.weights_of(layers) > 3_000_000:
            continue
        fitting += 1
        network = networks.convnet(drawn, size, 3).eval()
        assert sum(parameter.numel() for parameter in network.parameters()) == convnet.weights_of(layers)
        kept, values = [], torch.zeros(1, 3, size, size)
        for module in network:
            values = module(values)
            if isinstance(module, torch.nn.Conv2d | torch.nn.MaxPool2d | torch.nn.Linear):
                kept.append(tuple(values.shape[1:]))
        assert kept == [layer.shape for layer in layers]
    assert fitting > 10
    assert not_fitting > 3
