"""What holds somebody's own runs: a study that nobody declared, which all runs of a task version with one seed share."""

from evenhand.lab.lab import Lab
from evenhand.model.study import Budget, EvaluationMode, Study, Text, ValueRule
from evenhand.model.task import TaskRecord
from evenhand.tasks import versions

EVALUATION_SEEDS = 10  # of the final evaluation


def study_of_runs(
    lab: Lab,
    task: TaskRecord,
    budget: Budget,
    *,
    seed: int,
    mode: EvaluationMode | None,
    value_rule: ValueRule,
) -> Study:
    """The study in which runs of this task version with this seed are held; it is made where there is none yet.

    mode: how a choice is trained for its test score; None where it gets none.
    """
    record = lab.studies.add_task(task)
    short = record.spec.short_name
    best = ", best epochs" if value_rule == "best" else ""
    scored = {"retrain": "", None: ", not evaluated"}.get(mode, f", {mode}")
    study = Study(
        name=f"{short} {versions.short(record.version)}, seed {seed}{scored}{best}",
        title=f"{short}, seed {seed}{scored}{best}",
        task_id=record.id,
        budget=budget,
        seed=seed,
        consent=Text(""),
        details=Text(""),
        thanks=Text(""),
        evaluation_seeds=EVALUATION_SEEDS if mode else 0,
        evaluation_mode=mode or "retrain",
        value_rule=value_rule,
        resumable=True,
        machines="any",
    )
    return lab.studies.add(study)
