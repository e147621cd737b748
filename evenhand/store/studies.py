"""Tasks and studies."""

from typing import Any

from sqlalchemy import Connection, RowMapping, insert, select

from evenhand.declaration import Budget, Study, Text
from evenhand.errors import NotFound
from evenhand.records import TaskRecord, TaskSpec
from evenhand.space import Space
from evenhand.store import tables


def add_task(tx: Connection, record: TaskRecord) -> int:
    """The row's id; a version that is there already keeps its row."""
    known = tx.execute(select(tables.task.c.id).where(tables.task.c.version == record.version)).scalar()
    if known is not None:
        return int(known)
    row = {
        "name": record.spec.name,
        "settings": dict(record.spec.settings),
        "version": record.version,
        "space": record.space.to_json(),
        "metric": record.metric,
        "direction": record.direction,
        "max_epochs": record.max_epochs,
        "has_test": record.has_test,
        "statistics": dict(record.statistics),
    }
    return inserted(tx, tables.task, row)


def task(tx: Connection, task_id: int) -> TaskRecord:
    """The task with this id."""
    row = tx.execute(select(tables.task).where(tables.task.c.id == task_id)).mappings().first()
    if row is None:
        raise NotFound(f"task {task_id} does not exist")
    return TaskRecord(
        spec=TaskSpec(row["name"], row["settings"]),
        space=Space.from_json(row["space"]),
        **{key: row[key] for key in ("id", "version", "metric", "direction", "max_epochs", "has_test", "statistics")},
    )


def add_study(tx: Connection, study: Study) -> int:
    """The new row's id, or that of the study with this name."""
    known = tx.execute(select(tables.study.c.id).where(tables.study.c.name == study.name)).scalar()
    if known is not None:
        return int(known)
    row = {
        **{key: getattr(study, key) for key in _PLAIN if key != "id"},
        "budget": budget_to_json(study.budget),
        "texts": {key: getattr(study, key).markdown for key in _TEXTS},
    }
    return inserted(tx, tables.study, row)


_TEXTS = ("consent", "details", "thanks")
_PLAIN = ("id", "name", "title", "task_id", "seed", "evaluation_seeds", "presets", "live_validation", "created_at")


def studies(tx: Connection, study_id: int | None = None) -> list[Study]:
    """All studies, the newest first, or the one with this id."""
    query = select(tables.study).order_by(tables.study.c.id.desc())
    if study_id is not None:
        query = query.where(tables.study.c.id == study_id)
    return [_study(row) for row in tx.execute(query).mappings()]


def study(tx: Connection, study_id: int) -> Study:
    """The study with this id."""
    found = studies(tx, study_id)
    if not found:
        raise NotFound(f"study {study_id} does not exist")
    return found[0]


def _study(row: RowMapping) -> Study:
    consent, details, thanks = (Text(row["texts"][key]) for key in _TEXTS)
    plain = {key: row[key] for key in _PLAIN}
    return Study(budget=Budget(**row["budget"]), consent=consent, details=details, thanks=thanks, **plain)


def budget_to_json(budget: Budget) -> dict[str, Any]:
    """A budget as stored."""
    return {"seconds": budget.seconds, "trials": budget.trials, "epochs": budget.epochs, "parallel": budget.parallel}


def inserted(tx: Connection, table: Any, row: dict[str, Any]) -> int:
    """Insert one row and return its id."""
    return int(tx.execute(insert(table).values(row).returning(table.c.id)).scalar_one())
