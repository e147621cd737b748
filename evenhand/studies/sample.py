"""The sample study that a fresh lab starts with: the user study of "Black Magic in Deep Learning" on the best data at hand."""

from collections.abc import Mapping
from importlib import resources
from typing import Any

from evenhand import tasks
from evenhand.lab.lab import Lab
from evenhand.model.extras import is_here
from evenhand.model.study import USUAL_TRIAL_SHARE, Budget, Study, Text
from evenhand.model.task import TaskSpec
from evenhand.tasks import versions
from evenhand.tasks.builtin import presets

TIME_LIMIT_SECONDS = 120 * 60.0  # seconds, as in the paper
EVALUATION_SEEDS = 10  # as in the paper
ROOT_SEED = 2020
TASK_WITHOUT_TORCH = TaskSpec("sklearn", {"model": "mlp-adam", "data": "digits"})


def text(name: str) -> Text:
    """One of the texts that come with the package: "consent", "details" or "thanks"."""
    return Text((resources.files("evenhand.studies") / "texts" / f"{name}.md").read_text(encoding="utf-8"))


def study(lab: Lab, spec: TaskSpec, name: str, title: str, budget: Budget) -> Study:
    """Declare a study of the task that `spec` names, with the package's texts; an equal one is found again."""
    record = lab.studies.add_task(tasks.load(spec).record)
    return lab.studies.add(
        Study(
            name=f"{name} {versions.short(record.version)}",
            title=title,
            task_id=record.id,
            budget=budget,
            seed=ROOT_SEED,
            consent=text("consent"),
            details=text("details"),
            thanks=text("thanks"),
            evaluation_seeds=EVALUATION_SEEDS,
            machines="any",
            trial_share=USUAL_TRIAL_SHARE,
        )
    )


def sample_study(lab: Lab, settings: Mapping[str, Any]) -> Study:
    """The sample study: of the paper's task, in the best calibrated preset at hand where `settings` of the task name no data.

    Where PyTorch is not installed and nothing is set, it is of a smaller network on small images, which needs nothing else.

    Raises:
        PackageMissing: there are settings, and PyTorch is not installed.
    """
    names_data = bool({"data", "preset"} & settings.keys())
    spec = (
        TaskSpec("black-magic", settings if names_data else {"preset": presets.best_at_hand(), **settings})
        if settings or is_here("torch")
        else TASK_WITHOUT_TORCH
    )
    return study(lab, spec, "sample", "Image classification study", Budget(seconds=TIME_LIMIT_SECONDS))
