"""The black-magic task: SqueezeNet on photos, with the 15 hyperparameters of "Black Magic in Deep Learning" (Anand et al., 2020).

docs/tasks.md says where the paper is ambiguous and what was decided.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import partial
from typing import TYPE_CHECKING, Any, Literal

from evenhand.errors import InvalidSettings, InvalidSpace
from evenhand.model.condition import Condition
from evenhand.model.configuration import Configuration
from evenhand.model.domain import Choice, Float, Integer, Value
from evenhand.model.hyperparameter import Hyperparameter
from evenhand.model.rules import derive_seed
from evenhand.model.space import Space, reshaped
from evenhand.tasks import precision, versions
from evenhand.tasks.base import Task
from evenhand.tasks.builtin import images
from evenhand.tasks.builtin.images import PreparedImages
from evenhand.tasks.builtin.presets import PRESETS, settings_of
from evenhand.tasks.precision import Precision
from evenhand.tasks.run import Run
from evenhand.tasks.settings import Checks, checked, number, whole

if TYPE_CHECKING:
    import torch

NAME = "black-magic"
REVISION = 1  # raised when its numbers change; tests/golden holds it to that
SMALLEST_PIXELS, LARGEST_PIXELS = 17, 512  # image size in pixels; SqueezeNet's third pooling needs 17
# The paper allows batches of 1, which here train for minutes an epoch and which the log scale would draw often:
BATCH_LEAST, BATCH_MOST = 8, 4096
LAST_STD = 0.01  # as SqueezeNet's own, whose module loads PyTorch
LEAST_LAST_STD, MOST_LAST_STD = 1e-4, 1.0
EXAMPLE: Mapping[str, Value] = {
    "epochs": 10,
    "batch_size": 64,
    "loss": "cross_entropy",
    "optimizer": "adam",
    "learning_rate": 3e-4,
}
OPTIMIZERS = {
    "adam": "Adam",
    "adadelta": "Adadelta",
    "asgd": "Averaged stochastic gradient",
    "rmsprop": "RMSprop",
    "sgd": "Stochastic gradient",
    "adagrad": "Adagrad",
}
LOSSES = {
    "cross_entropy": "Cross entropy",
    "l1": "L1",
    "mse": "Mean squared",
    "nll": "Negative log-likelihood",
}


@dataclass(frozen=True)
class BlackMagicSettings:
    """What belongs to a version of the task and is never tuned.

    data: a source's name, or the path of a folder or archive. size: pixels. precision: "auto" is the quickest one for that size
    on this machine (see `precision.proposed`), and becomes part of the version. last_relu: whether a ReLU follows the network's
    last convolution. last_std: the standard deviation of that one's initial weights. norm: whether each image's
    values are normalised before each ReLU but the last. augment: whether photos are mirrored at random; None leaves it to the
    data (on for photos).
    ranges, defaults: of hyperparameters whose range is narrower, or whose default is another, than the paper's.
    """

    data: str = "digits"
    size: int = 32
    precision: Literal["auto", "fp32", "bf16"] = "auto"
    last_relu: bool = True
    last_std: float = LAST_STD
    norm: bool = False
    split_seed: int = 0
    augment: bool | None = None
    max_epochs: int = 100
    ranges: Mapping[str, Mapping[str, float]] = field(default_factory=dict)
    defaults: Mapping[str, float] = field(default_factory=dict)


def settings_from(raw: Mapping[str, Any]) -> BlackMagicSettings:
    """The settings that `raw` holds; others are of its preset, or have their defaults. InvalidSettings lists all wrong ones."""
    checks: Checks = {
        "preset": (lambda v: v is None or (isinstance(v, str) and v in PRESETS), f"one of {', '.join(PRESETS)}, or null"),
        "data": (lambda v: isinstance(v, str) and bool(v), "a source's name or a path"),
        "size": (
            whole(SMALLEST_PIXELS, LARGEST_PIXELS)[0],
            f"a whole number of pixels from {SMALLEST_PIXELS} to {LARGEST_PIXELS}",
        ),
        "precision": (lambda v: v in ("auto", "fp32", "bf16"), "auto, fp32 or bf16"),
        "last_relu": (lambda v: isinstance(v, bool), "true or false"),
        "norm": (lambda v: isinstance(v, bool), "true or false"),
        "last_std": number(LEAST_LAST_STD, MOST_LAST_STD),
        "split_seed": (whole(0, 2**63)[0], "a whole number from 0"),
        "augment": (lambda v: v is None or isinstance(v, bool), "true, false, or null to leave it to the data"),
        "max_epochs": whole(2, 10_000),
        "ranges": (_is_table_of_tables, 'a table such as {"learning_rate": {"low": 0.0001, "high": 0.1}}'),
        "defaults": (lambda v: isinstance(v, Mapping), 'a table such as {"lambd": 0.0001}'),
    }
    return BlackMagicSettings(**settings_of(checked(NAME, raw, checks)))


def _is_table_of_tables(value: object) -> bool:
    return isinstance(value, Mapping) and all(isinstance(inner, Mapping) for inner in value.values())


def load(raw: Mapping[str, Any]) -> Task:
    """The task with these settings. Its data is prepared on the first call, which may take a minute; later calls are quick."""
    settings = settings_from(raw)
    chosen = precision.proposed(settings.size) if settings.precision == "auto" else settings.precision
    data = images.locate(settings.data)
    prepared = images.prepare(data, settings.size, settings.split_seed)
    augment = prepared.photos if settings.augment is None else settings.augment
    full = {
        "data": data,
        "size": settings.size,
        "precision": chosen,
        "last_relu": settings.last_relu,
        "split_seed": settings.split_seed,
        "augment": augment,
        "max_epochs": settings.max_epochs,
    }
    # At what they were before they were settings, these are no part of the version.
    if settings.last_std != LAST_STD:
        full["last_std"] = settings.last_std
    if settings.norm:
        full["norm"] = True
    own_space = declared(space(prepared.counts["train"], settings.max_epochs), settings)
    fixed = {name: value for name, value in full.items() if name != "data"}
    full |= {name: dict(table) for name in ("ranges", "defaults") if (table := getattr(settings, name))}  # both in the space
    return Task(
        name=NAME,
        version=versions.of_built_in(NAME, REVISION, fixed, own_space.digest, prepared.arrays),
        space=own_space,
        metric="accuracy",
        direction="maximize",
        max_epochs=settings.max_epochs,
        train=partial(_train, prepared, settings, augment, chosen),
        data=partial(images.splits, prepared.folder, prepared.load),
        test_data=images.test_data_of(prepared),
        settings=full,
        statistics=images.describe(prepared),
        example=_example(own_space),
    )


def _example(own_space: Space) -> dict[str, Value]:
    """The example, its numbers moved into the ranges of this space."""

    def within(name: str, value: Value) -> Value:
        domain = own_space[name].domain
        if isinstance(domain, Choice) or isinstance(value, str):
            return value
        return min(max(value, domain.low), domain.high)

    return {name: within(name, value) for name, value in EXAMPLE.items()}


def declared(wide: Space, settings: BlackMagicSettings) -> Space:
    """The space with the settings' ranges and defaults; InvalidSettings where a default would lie outside of its range."""
    try:
        if unknown := [name for name in settings.defaults if name not in wide or wide[name].mandatory]:
            raise InvalidSettings(f"settings of {NAME}: defaults: {unknown[0]!r} is no hyperparameter with a default")
        changed = Space(
            [
                replace(hyperparameter, default=settings.defaults.get(hyperparameter.name, hyperparameter.default))
                for hyperparameter in wide
            ]
        )
        narrow = reshaped(changed, settings.ranges)
    except InvalidSpace as error:
        raise InvalidSettings(f"settings of {NAME}: ranges and defaults: {error}") from None
    moved = [name for name, default in changed.defaults().items() if narrow[name].default != default]
    if moved:
        default, expected = changed[moved[0]].default, narrow[moved[0]].domain.expected
        raise InvalidSettings(f"settings of {NAME}: ranges: {moved[0]} has the default {default}, which is not {expected}")
    return narrow


def space(training_images: int, max_epochs: int) -> Space:
    """The 15 hyperparameters, mandatory ones first, in the order of the paper's table."""
    return Space([*_mandatory(training_images, max_epochs), *_for_all(), *_for_some()])


def _mandatory(training_images: int, max_epochs: int) -> list[Hyperparameter]:
    return [
        Hyperparameter(
            "epochs",
            Integer(1, max_epochs, log=True),
            label="Epochs",
            help="How many times the network sees every training image. More take longer and may overfit.",
            fidelity=True,
        ),
        Hyperparameter(
            "batch_size",
            Integer(BATCH_LEAST, min(BATCH_MOST, training_images), log=True),
            label="Batch size",
            help="How many images make one step. Small batches take more and noisier steps; large ones fewer and steadier.",
        ),
        Hyperparameter(
            "loss",
            Choice(tuple(LOSSES), tuple(LOSSES.values())),
            label="Loss function",
            help="What training makes small. Cross entropy and negative log-likelihood punish sure mistakes hard (and are the "
            "same here, as the second works on log-probabilities); L1 and mean squared compare the predicted probabilities "
            "with 1 for the right class and 0 for the others.",
        ),
        Hyperparameter(
            "optimizer",
            Choice(tuple(OPTIMIZERS), tuple(OPTIMIZERS.values())),
            label="Optimizer",
            help="The rule that turns gradients into steps. Each has its own further settings, which appear below.",
        ),
    ]


def _for_all() -> list[Hyperparameter]:
    return [
        Hyperparameter(
            "learning_rate",
            Float(1e-5, 10.0, log=True),
            default=0.001,
            label="Learning rate",
            help="The size of a step. Too small learns slowly, too large jumps about or diverges; good values differ between "
            "optimizers by factors of hundreds.",
        ),
        Hyperparameter(
            "weight_decay",
            Float(1e-7, 0.1, log=True, or_zero=True),
            default=0.0,
            label="Weight decay",
            help="How strongly weights are pulled towards zero at each step, against overfitting. 0 is off.",
        ),
    ]


def _for_some() -> list[Hyperparameter]:
    def only(*optimizers: str) -> Condition:
        return Condition("optimizer", optimizers)

    share = Float(0.0, 0.9999)
    return [
        Hyperparameter("momentum", Float(0.0, 0.999), 0.0, "Momentum", _HELP["momentum"], only("sgd", "rmsprop")),
        Hyperparameter("rho", share, 0.9, "Rho", _HELP["rho"], only("adadelta")),
        Hyperparameter("lambd", Float(1e-6, 1.0, log=True, or_zero=True), 0.75, "Lambda", _HELP["lambd"], only("asgd")),
        Hyperparameter("alpha", share, 0.99, "Alpha", _HELP["alpha"], only("rmsprop", "asgd")),
        Hyperparameter(
            "epsilon", Float(1e-10, 0.01, log=True), 1e-5, "Epsilon", _HELP["epsilon"], only("adam", "adadelta", "rmsprop")
        ),
        Hyperparameter(
            "lr_decay",
            Float(1e-7, 0.1, log=True, or_zero=True),
            0.0,
            "Learning rate decay",
            _HELP["lr_decay"],
            only("adagrad"),
        ),
        Hyperparameter(
            "initial_accumulator",
            Float(1e-6, 1.0, log=True, or_zero=True),
            0.0,
            "Initial accumulator value",
            _HELP["initial_accumulator"],
            only("adagrad"),
        ),
        Hyperparameter("beta1", share, 0.9, "Beta1", _HELP["beta1"], only("adam")),
        Hyperparameter("beta2", share, 0.999, "Beta2", _HELP["beta2"], only("adam")),
    ]


_HELP = {
    "momentum": "The part of the last step that is added to the next one, which evens out zigzags. 0 is off; 0.9 is common.",
    "rho": "How long the running average of squared gradients remembers: nearer to 1 is longer.",
    "lambd": "How fast this optimizer shrinks the weights, and with them its step size. 0.75 is strong.",
    "alpha": "In RMSprop, how long the average of squared gradients remembers; in averaged stochastic gradient, the power by "
    "which the step size shrinks over time.",
    "epsilon": "A small number added to the divisor of each step, so that tiny gradients do not make huge steps.",
    "lr_decay": "How fast the learning rate falls with the number of steps. 0 keeps it.",
    "initial_accumulator": "Where the sum of squared gradients starts. Above 0, the first steps are smaller.",
    "beta1": "How long the average of gradients remembers, a kind of momentum: nearer to 1 is longer.",
    "beta2": "How long the average of squared gradients remembers: nearer to 1 is longer.",
}


def _train(
    prepared: PreparedImages,
    settings: BlackMagicSettings,
    augment: bool,
    chosen: Precision,
    configuration: Configuration,
    run: Run,
) -> None:
    from evenhand.tasks.builtin import squeezenet, training

    where = training.device()
    plan = training.LoopPlan(
        epochs=int(configuration["epochs"]),
        batch_size=int(configuration["batch_size"]),
        precision=chosen,
        mirror=augment,
        mean=prepared.mean,
        std=prepared.std,
    )
    network = squeezenet.build(
        len(prepared.classes),
        last_relu=settings.last_relu,
        last_std=settings.last_std,
        norm=settings.norm,
        seed=derive_seed(run.seed, "init"),
    )
    network.to(where)
    optimizer = optimizer_of(configuration, list(network.parameters()))
    training.fit(network, optimizer, partial(loss_of, str(configuration["loss"])), plan, run, where)


def optimizer_of(configuration: Configuration, weights: "list[torch.nn.Parameter]") -> "torch.optim.Optimizer":
    """The optimizer that a configuration describes, in the fused form where PyTorch has one for this device."""
    from torch import optim

    number = configuration.number
    rate, decay = number("learning_rate"), number("weight_decay")
    match configuration["optimizer"]:
        case "adam":
            betas, epsilon = (number("beta1"), number("beta2")), number("epsilon")
            return optim.Adam(weights, rate, betas=betas, eps=epsilon, weight_decay=decay, fused=True)
        case "adadelta":
            return optim.Adadelta(weights, rate, rho=number("rho"), eps=number("epsilon"), weight_decay=decay)
        case "asgd":
            return optim.ASGD(weights, rate, lambd=number("lambd"), alpha=number("alpha"), weight_decay=decay)
        case "rmsprop":
            smoothing, epsilon, momentum = number("alpha"), number("epsilon"), number("momentum")
            return optim.RMSprop(weights, rate, alpha=smoothing, eps=epsilon, weight_decay=decay, momentum=momentum)
        case "sgd":
            return optim.SGD(weights, rate, momentum=number("momentum"), weight_decay=decay, fused=True)
        case "adagrad":
            falls, start = number("lr_decay"), number("initial_accumulator")
            fused = weights[0].device.type == "cpu"  # PyTorch has the fused form for the processor only
            return optim.Adagrad(weights, rate, lr_decay=falls, weight_decay=decay, initial_accumulator_value=start, fused=fused)
    raise ValueError(f"optimizer {configuration['optimizer']!r}: expected one of {', '.join(OPTIMIZERS)}")


def loss_of(name: str, logits: "torch.Tensor", labels: "torch.Tensor") -> "torch.Tensor":
    """The mean loss of logits (B, classes) against labels (B,).

    L1 and mean squared: between softmax probabilities and one-hot targets, averaged over images and classes.
    """
    from torch.nn import functional

    if name == "cross_entropy":
        return functional.cross_entropy(logits, labels)
    if name == "nll":
        return functional.nll_loss(functional.log_softmax(logits, 1), labels)
    chances = functional.softmax(logits, 1)
    targets = functional.one_hot(labels, logits.shape[1]).to(chances.dtype)
    return functional.l1_loss(chances, targets) if name == "l1" else functional.mse_loss(chances, targets)
