"""The sample study that a fresh lab starts with: the user study of "Black Magic in Deep Learning" on the best data at hand."""

from collections.abc import Mapping
from importlib import resources
from typing import Any

from evenhand import tasks
from evenhand.declaration import Budget, Study, Text
from evenhand.lab import Lab
from evenhand.records import TaskSpec
from evenhand.tasks import images

TIME_LIMIT = 120 * 60.0  # seconds, as in the paper
EVALUATION_SEEDS = 10  # as in the paper
ROOT_SEED = 2020


def text(name: str) -> Text:
    """One of the texts that come with the package: "consent", "details" or "thanks"."""
    return Text((resources.files("evenhand") / "texts" / f"{name}.md").read_text(encoding="utf-8"))


def study(lab: Lab, spec: TaskSpec, name: str, title: str, budget: Budget) -> Study:
    """Declare a study of the task that `spec` names, with the package's texts; an equal one is found again."""
    record = lab.add_task(tasks.load(spec).record)
    return lab.add_study(
        Study(
            name=f"{name} {record.version[:8]}",
            title=title,
            task_id=record.id,
            budget=budget,
            seed=ROOT_SEED,
            consent=text("consent"),
            details=text("details"),
            thanks=text("thanks"),
            evaluation_seeds=EVALUATION_SEEDS,
        )
    )


def sample_study(lab: Lab, settings: Mapping[str, Any]) -> Study:
    """The sample study; without `data` among the settings it takes the best data set at hand."""
    chosen = {"data": images.best_at_hand(), **settings}
    return study(lab, TaskSpec("black-magic", chosen), "sample", "Image classification study", Budget(seconds=TIME_LIMIT))
