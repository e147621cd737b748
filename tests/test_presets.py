"""The calibrated presets of the black-magic task: what each is, and what it changes beside the paper's."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from evenhand import tasks
from evenhand.errors import InvalidSettings
from evenhand.lab.lab import Lab
from evenhand.model.domain import Choice, show
from evenhand.model.task import TaskSpec
from evenhand.studies import sample
from evenhand.tasks.builtin import black_magic, presets
from tests.components import need

need("torch")

DOCS = Path(__file__).parent.parent / "docs" / "tasks.md"


@pytest.fixture(scope="module", autouse=True)
def data(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """One data directory for this file's tests, so that the digits are prepared once."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("EVENHAND_DATA", str(tmp_path_factory.mktemp("data")))
        yield


def test_a_preset_is_its_settings_and_the_wide_space_is_without_it() -> None:
    preset = tasks.load(TaskSpec("black-magic", {"preset": "digits"}))
    spelt_out = tasks.load(TaskSpec("black-magic", presets.PRESETS["digits"]))
    assert preset.version == spelt_out.version == tasks.load(preset.spec).version
    assert "preset" not in preset.settings  # so that a preset that is changed later changes no task
    wide = tasks.load(TaskSpec("black-magic", {"data": "digits", "size": 17}))
    assert wide.version != preset.version
    assert wide.space["learning_rate"].domain.expected == "a number from 1e-5 to 10"


@pytest.mark.parametrize("settings", [*({"preset": name} for name in presets.PRESETS), {"max_epochs": 3, "size": 17}])
def test_the_example_lies_within_the_ranges(settings: dict[str, object]) -> None:
    task = tasks.load(TaskSpec("black-magic", settings))
    assert task.example is not None
    example = task.space.configuration(task.example)
    assert (example["optimizer"], example["epochs"]) == ("adam", min(10, task.max_epochs))


def test_a_setting_beside_a_preset_wins_over_it() -> None:
    longer = tasks.load(TaskSpec("black-magic", {"preset": "digits", "max_epochs": 50}))
    assert longer.max_epochs == 50
    assert longer.settings["ranges"] == presets.PRESETS["digits"]["ranges"]


@pytest.mark.parametrize("name", ["digit", 3, ["digits"]])
def test_a_preset_that_there_is_not_is_refused_with_those_that_there_are(name: object) -> None:
    with pytest.raises(InvalidSettings, match=r"preset: got .*, expected one of digits"):
        tasks.load(TaskSpec("black-magic", {"preset": name}))


@pytest.mark.parametrize("name", presets.PRESETS)
def test_a_preset_changes_ranges_and_epochs_only_and_the_documentation_names_each(name: str) -> None:
    settings = presets.PRESETS[name]
    wide = black_magic.space(1199, 100)
    narrow = black_magic.declared(black_magic.space(1199, settings["max_epochs"]), black_magic.settings_from({"preset": name}))
    assert narrow.names == wide.names
    for hyperparameter in wide:
        its = narrow[hyperparameter.name]
        assert its.condition == hyperparameter.condition
        if isinstance(hyperparameter.domain, Choice):
            assert its.domain == hyperparameter.domain
        if hyperparameter.name != "lambd":
            assert its.default == hyperparameter.default
    section = DOCS.read_text(encoding="utf-8").partition(f"`preset: {name}`")[2].partition("\n#")[0]
    for changed, ends in settings["ranges"].items():
        line = next(line for line in section.splitlines() if line.startswith(f"| `{changed}` |"))
        assert all(show(end) in line for end in ends.values()), line


def test_the_sample_study_takes_the_best_preset_at_hand(tmp_path: Path) -> None:
    lab = Lab.connect(f"sqlite:///{tmp_path / 'lab.sqlite'}")
    study = sample.sample_study(lab, {})
    assert lab.studies.task(study.task_id).version == tasks.load(TaskSpec("black-magic", {"preset": "digits"})).version
    other = sample.sample_study(lab, {"data": "digits", "size": 17})
    assert lab.studies.task(other.task_id).version == tasks.load(TaskSpec("black-magic", {"data": "digits", "size": 17})).version
