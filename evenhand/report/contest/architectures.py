"""Networks in words, layer by layer, as in Tables 4 and 5 of paper 003: of the mlp, patches and eeg tasks' configurations."""

from collections.abc import Mapping
from typing import Any

from evenhand.model.words import number
from evenhand.tasks.builtin import black_magic, convnet, mlp

TRAINING_LABELS = {
    "loss": "loss",
    "optimizer": "optimizer",
    "learning_rate": "learning rate",
    "batch_size": "batch size",
    "epochs": "epochs",
}
VALUE_LABELS = {
    **mlp.LOSSES,
    **mlp.OPTIMIZERS,
    **mlp.ACTIVATIONS,
    **convnet.ACTIVATIONS,
    **convnet.TUNED_LOSSES,
    **black_magic.OPTIMIZERS,
}


def rows(configuration: Mapping[str, Any], classes: int) -> dict[str, str]:
    """What each layer is, by its name, then how it was trained; what a configuration does not have is absent."""
    parts = _perceptron(configuration, classes) if "layers" in configuration else _convolutional(configuration, classes)
    for name, label in TRAINING_LABELS.items():
        value = configuration[name]
        parts[label] = _words(value) if isinstance(value, str) else number(value)
    return parts


def _perceptron(configuration: Mapping[str, Any], classes: int) -> dict[str, str]:
    dropout = _dropout(configuration.get("dropout", 0))
    layers = {
        f"layer {n}": f"{configuration[f'units_{n}']}, {_words(configuration[f'activation_{n}'])}{dropout}"
        for n in range(1, int(configuration["layers"]) + 1)
    }
    return {**layers, "output": f"{classes}, {mlp.OUTPUTS[configuration['output']].lower()}"}


def _convolutional(configuration: Mapping[str, Any], classes: int) -> dict[str, str]:
    layers = {}
    for n in range(1, int(configuration["conv_layers"]) + 1):
        filters, kernel, pool = (configuration[f"{name}_{n}"] for name in ("filters", "kernel", "pool"))
        after = "" if pool == 1 else f", pooling {pool}"
        activation, dropout = _words(configuration[f"conv_activation_{n}"]), _dropout(configuration[f"conv_dropout_{n}"])
        layers[f"convolution {n}"] = f"{filters} of {kernel}, {activation}{after}{dropout}"
    for n in range(1, int(configuration.get("lstm_layers", 0)) + 1):
        layers[f"LSTM {n}"] = f"{configuration[f'hidden_{n}']}{_dropout(configuration[f'lstm_dropout_{n}'])}"
    for n in range(1, int(configuration.get("dense_layers", 0)) + 1):
        activation, dropout = _words(configuration[f"dense_activation_{n}"]), _dropout(configuration[f"dense_dropout_{n}"])
        layers[f"dense {n}"] = f"{configuration[f'units_{n}']}, {activation}{dropout}"
    padding = {"valid": "none", "same": "keeps the size"}[configuration["padding"]]
    return {**layers, "output": str(classes), "padding": padding}


def _dropout(share: float) -> str:
    return f", dropout {share:.3g}" if share else ""


def _words(name: str) -> str:
    label = VALUE_LABELS.get(name, name)
    return label if label.startswith("Ad") or label[1:] != label[1:].lower() else label.lower()


def layout(columns: Mapping[str, Mapping[str, str]]) -> tuple[tuple[str, ...], ...]:
    """Rows of a table whose columns are networks: each part that any of them has, in order; a dash where one has none."""
    parts: dict[str, None] = {}
    for kind in ("convolution", "LSTM", "layer", "dense"):
        most = max((_count(column, kind) for column in columns.values()), default=0)
        parts |= dict.fromkeys(f"{kind} {n}" for n in range(1, most + 1))
    for network in columns.values():
        parts |= dict.fromkeys(network)
    return tuple((part, *(column.get(part, "–") for column in columns.values())) for part in parts)


def _count(network: Mapping[str, str], kind: str) -> int:
    return sum(part.startswith(f"{kind} ") for part in network)
