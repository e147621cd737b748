"""Tasks and studies."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from functools import lru_cache
from typing import Any

from sqlalchemy import Connection, RowMapping, Table, bindparam, func, insert, or_, select, update
from sqlalchemy.sql.dml import ReturningInsert

from evenhand.errors import NotFound
from evenhand.model import codec
from evenhand.model.cost import Cost
from evenhand.model.environment import Environment
from evenhand.model.space import Space
from evenhand.model.study import Budget, Study, Until
from evenhand.model.task import Metric, TaskRecord, TaskSpec
from evenhand.store import environments, tables

_t = tables.task.c


def add_task(tx: Connection, record: TaskRecord) -> int:
    """The row's id; a version that is there already keeps its row."""
    known = tx.execute(select(_t.id, _t.name, _t.test_data).where(_t.version == record.version)).first()
    if known is not None:
        if record.test_data and not known.test_data:  # stored before anybody knew it
            tx.execute(update(tables.task).where(_t.id == known.id).values(test_data=record.test_data))
        if known.name != record.spec.name and known.name == record.spec.plain_name:  # read from an archive, which knows no folder
            tx.execute(update(tables.task).where(tables.task.c.id == known.id).values(name=record.spec.name))
        return int(known.id)
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
        "further": [[metric.name, metric.direction] for metric in record.further],
        "max_seconds": record.max_seconds,
        "max_memory": record.max_memory,
        "test_data": record.test_data,
    }
    return inserted(tx, tables.task, row)


def same_test_data(task_id: Any) -> Any:
    """The query for ids of the tasks that are scored on the same test data as one: that one, and those whose data is known so.

    task_id: its number, or a parameter.
    """
    one = tables.task.alias()
    known = select(one.c.test_data).where(one.c.id == task_id, one.c.test_data != "").scalar_subquery()
    return select(_t.id).where(or_(_t.id == task_id, _t.test_data == known))


def grow(tx: Connection, task_id: int, space: Space) -> None:
    """Give a task whose space is open the space that it has grown to."""
    tx.execute(update(tables.task).where(_t.id == task_id).values(space=space.to_json()))


def name_metrics(tx: Connection, task_id: int, metrics: Sequence[Metric]) -> None:
    """Name what a task of an open space is scored by."""
    further = [[metric.name, metric.direction] for metric in metrics[1:]]
    tx.execute(update(tables.task).where(_t.id == task_id).values(metric=metrics[0].name, further=further))


def task(tx: Connection, task_id: int) -> TaskRecord:
    """The task with this id."""
    row = tx.execute(_TASK, {"id": task_id}).first()
    if row is None:
        raise NotFound(f"task {task_id} does not exist")
    return _task(row.version, task_id, *(json.dumps(part) for part in (row.name, row.settings, row.space, list(row[5:]))))


@lru_cache(maxsize=256)
def _task(version: str, task_id: int, name: str, settings: str, space: str, rest: str) -> TaskRecord:
    """A task from its JSON. Cached, since each read of a session needs one, and a task hardly ever changes."""
    plain = dict(zip(_REST, json.loads(rest), strict=True))
    plain["further"] = tuple(Metric(*pair) for pair in plain["further"])
    spec = TaskSpec(json.loads(name), json.loads(settings))
    return TaskRecord(spec=spec, version=version, space=Space.from_json(json.loads(space)), id=task_id, **plain)


_REST = ("metric", "direction", "max_epochs", "has_test", "statistics", "further", "max_seconds", "max_memory", "test_data")
_TASK = select(_t.id, _t.version, _t.name, _t.settings, _t.space, *(_t[name] for name in _REST)).where(_t.id == bindparam("id"))


def add_study(tx: Connection, name: str, now: float, archived: bool = False) -> int:
    """A new study without a version yet; its id."""
    return inserted(tx, tables.study, {"name": name, "created_at": now, "archived": archived})


def add_version(tx: Connection, study: Study, now: float) -> None:
    """Store `study` as its next version."""
    last = tx.execute(select(func.max(_version.version)).where(_version.study_id == study.id)).scalar() or 0
    row = {
        "study_id": study.id,
        "version": last + 1,
        "task_id": study.task_id,
        "hash": study.hash,
        "declared": declared(study),
        "created_at": now,
        "published_at": study.published_at,
        "note": study.note,
        "environment": environments.add(tx, study.environment),
    }
    tx.execute(insert(tables.study_version).values(row))


def declared(study: Study) -> dict[str, Any]:
    """What a study declares, as JSON: nothing that happened to it is among it."""
    plain: dict[str, Any] = codec.to_json(study)
    return {key: value for key, value in plain.items() if key not in _HAPPENED}


def publish(tx: Connection, study_id: int, version: int, note: str, now: float, pinned: Environment | None) -> None:
    """Make a version the one that participants get. pinned: the environment that its trainings are for, None for any."""
    where = (_version.study_id == study_id, _version.version == version)
    facts = {"published_at": now, "note": note, "environment": environments.add(tx, pinned)}
    tx.execute(update(tables.study_version).where(*where).values(facts))


def close(tx: Connection, study_id: int, now: float | None) -> None:
    """Note when collection ended, or that it goes on."""
    tx.execute(update(tables.study).where(tables.study.c.id == study_id).values(closed_at=now))


_version = tables.study_version.c
_HAPPENED = ("id", "version", "hash", "published_at", "note", "environment", "created_at", "closed_at", "archived")


def id_by_name(tx: Connection, name: str) -> int | None:
    """The id of the study with this name."""
    return tx.execute(select(tables.study.c.id).where(tables.study.c.name == name)).scalar()


def studies(tx: Connection) -> list[Study]:
    """All studies as participants get them, the newest first."""
    ids = tx.execute(select(tables.study.c.id).order_by(tables.study.c.id.desc())).scalars().all()
    return [study(tx, study_id) for study_id in ids]


def study(tx: Connection, study_id: int, version: int | None = None) -> Study:
    """One version of a study: by its number, else the newest published one, else the newest."""
    candidates = versions(tx, study_id)
    if version is not None:
        candidates = [candidate for candidate in candidates if candidate.version == version]
    if not candidates:
        raise NotFound(f"study {study_id} does not exist" if version is None else f"study {study_id} has no version {version}")
    return next((candidate for candidate in reversed(candidates) if candidate.published_at is not None), candidates[-1])


def versions(tx: Connection, study_id: int) -> list[Study]:
    """All versions of a study, in order; none where there is no such study."""
    return [_study(row, study_id) for row in tx.execute(_VERSIONS, {"id": study_id}).mappings()]


_VERSIONS = (
    select(
        *(tables.study.c.name, tables.study.c.created_at, tables.study.c.closed_at, tables.study.c.archived),
        *(_version.version, _version.hash, _version.declared, _version.published_at, _version.note, _version.task_id),
        tables.environment.c.facts.label("environment"),
    )
    .select_from(
        tables.study_version.join(tables.study, tables.study.c.id == _version.study_id).outerjoin(
            tables.environment, tables.environment.c.key == _version.environment
        )
    )
    .where(_version.study_id == bindparam("id"))
    .order_by(_version.version)
)


def _study(row: RowMapping, study_id: int) -> Study:
    happened = {key: row[key] for key in _HAPPENED if key != "id"}
    return _read(json.dumps({**row["declared"], **happened, "name": row["name"], "task_id": row["task_id"], "id": study_id}))


@lru_cache(maxsize=256)
def _read(text: str) -> Study:
    """A study from its JSON. Cached, since each read of a session needs one, and a version hardly ever changes."""
    return codec.from_json(Study, json.loads(text))


def budget_to_json(budget: Budget) -> dict[str, Any]:
    """A budget as stored."""
    caps = {"seconds": budget.seconds, "trials": budget.trials, "epochs": budget.epochs, "parallel": budget.parallel}
    later = {"until": budget.until, "cost": budget.cost}
    return {**caps, **{name: asdict(part) for name, part in later.items() if part is not None}}


def budget_of(stored: Mapping[str, Any]) -> Budget:
    """The budget that was stored as this."""
    kinds: dict[str, type[Any]] = {"until": Until, "cost": Cost}
    return Budget(**{name: kinds[name](**part) if name in kinds and part else part for name, part in stored.items()})


def inserted(tx: Connection, table: Table, row: dict[str, Any]) -> int:
    """Insert one row and return its id."""
    row_id: int = tx.execute(_inserting(table), row).scalar_one()
    return row_id


@lru_cache
def _inserting(table: Table) -> ReturningInsert[Any]:
    return insert(table).returning(table.c.id)
