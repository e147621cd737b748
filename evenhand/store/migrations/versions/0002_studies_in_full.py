"""Studies in full: versions, batches of invitations, questionnaires, pauses, exclusions"""

from typing import Any

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

PLAIN = ("name", "title", "task_id", "budget", "seed", "evaluation_seeds", "presets", "live_validation")


def upgrade() -> None:
    connection = op.get_bind()
    meta = sa.MetaData()
    meta.reflect(connection, only=["study", "participant", "token"])
    old = meta.tables["study"]
    studies = connection.execute(sa.select(old)).mappings().all()
    people = connection.execute(sa.select(meta.tables["participant"])).mappings().all()
    made = _tables()
    for row in studies:
        declared = {key: row[key] for key in PLAIN} | {name: {"markdown": text} for name, text in row["texts"].items()}
        version = {"study_id": row["id"], "version": 1, "task_id": row["task_id"], "hash": "", "declared": declared, "note": ""}
        times = {"created_at": row["created_at"], "published_at": row["created_at"]}
        connection.execute(sa.insert(made["study_version"]).values(**version, **times))
    for row in people:
        given = {"months": row["months"], "education": row["education"]}
        for name, value in given.items():
            if value is not None:
                answer = {"participant_id": row["id"], "question": f"background.{name}", "value": value}
                connection.execute(sa.insert(made["answer"]).values(**answer))
        if row["months"] is not None:
            at = row["consented_at"] or row["created_at"]
            done = {"participant_id": row["id"], "questionnaire": "background", "at": at}
            connection.execute(sa.insert(made["answered"]).values(**done))
    _batches(connection, made["batch"], meta.tables["token"])
    _columns()


def _tables() -> dict[str, sa.Table]:
    return {
        "study_version": op.create_table(
            "study_version",
            sa.Column("study_id", sa.Integer(), nullable=False),
            sa.Column("version", sa.Integer(), nullable=False),
            sa.Column("task_id", sa.Integer(), nullable=False),
            sa.Column("hash", sa.String(), nullable=False),
            sa.Column("declared", sa.JSON(), nullable=False),
            sa.Column("created_at", sa.Double(), nullable=False),
            sa.Column("published_at", sa.Double(), nullable=True),
            sa.Column("note", sa.Text(), nullable=False),
            sa.ForeignKeyConstraint(["study_id"], ["study.id"], name=op.f("fk_study_version_study_id")),
            sa.ForeignKeyConstraint(["task_id"], ["task.id"], name=op.f("fk_study_version_task_id")),
            sa.PrimaryKeyConstraint("study_id", "version", name=op.f("pk_study_version")),
        ),
        "batch": _indexed(
            "study_id",
            "batch",
            sa.Column("id", sa.Integer(), nullable=False),
            sa.Column("study_id", sa.Integer(), nullable=False),
            sa.Column("label", sa.String(), nullable=False),
            sa.Column("mode", sa.String(), nullable=False),
            sa.Column("kind", sa.String(), nullable=False),
            sa.Column("cap", sa.Integer(), nullable=True),
            sa.Column("enabled", sa.Boolean(), nullable=False),
            sa.Column("created_at", sa.Double(), nullable=False),
            sa.Column("expires_at", sa.Double(), nullable=True),
            sa.ForeignKeyConstraint(["study_id"], ["study.id"], name=op.f("fk_batch_study_id")),
            sa.PrimaryKeyConstraint("id", name=op.f("pk_batch")),
        ),
        "answered": op.create_table(
            "answered",
            sa.Column("participant_id", sa.Integer(), nullable=False),
            sa.Column("questionnaire", sa.String(), nullable=False),
            sa.Column("at", sa.Double(), nullable=False),
            sa.ForeignKeyConstraint(["participant_id"], ["participant.id"], name=op.f("fk_answered_participant_id")),
            sa.PrimaryKeyConstraint("participant_id", "questionnaire", name=op.f("pk_answered")),
        ),
        "answer": op.create_table(
            "answer",
            sa.Column("participant_id", sa.Integer(), nullable=False),
            sa.Column("question", sa.String(), nullable=False),
            sa.Column("value", sa.JSON(), nullable=False),
            sa.ForeignKeyConstraint(["participant_id"], ["participant.id"], name=op.f("fk_answer_participant_id")),
            sa.PrimaryKeyConstraint("participant_id", "question", name=op.f("pk_answer")),
        ),
        "exclusion": _indexed(
            "participant_id",
            "exclusion",
            sa.Column("id", sa.Integer(), nullable=False),
            sa.Column("participant_id", sa.Integer(), nullable=False),
            sa.Column("at", sa.Double(), nullable=False),
            sa.Column("excluded", sa.Boolean(), nullable=False),
            sa.Column("reason", sa.Text(), nullable=False),
            sa.ForeignKeyConstraint(["participant_id"], ["participant.id"], name=op.f("fk_exclusion_participant_id")),
            sa.PrimaryKeyConstraint("id", name=op.f("pk_exclusion")),
        ),
        "pause": _indexed(
            "session_id",
            "pause",
            sa.Column("id", sa.Integer(), nullable=False),
            sa.Column("session_id", sa.Integer(), nullable=False),
            sa.Column("start", sa.Double(), nullable=False),
            sa.Column("end", sa.Double(), nullable=True),
            sa.Column("reason", sa.Text(), nullable=False),
            sa.ForeignKeyConstraint(["session_id"], ["session.id"], name=op.f("fk_pause_session_id")),
            sa.PrimaryKeyConstraint("id", name=op.f("pk_pause")),
        ),
    }


def _indexed(column: str, name: str, *columns: Any) -> sa.Table:
    table = op.create_table(name, *columns)
    with op.batch_alter_table(name, schema=None) as batch:
        batch.create_index(batch.f(f"ix_{name}_{column}"), [column], unique=False)
    return table


def _batches(connection: sa.Connection, batch: sa.Table, token: sa.Table) -> None:
    """An invitation stood for a study; now it stands for a batch of that study."""
    invites = connection.execute(sa.select(token).where(token.c.kind == "invite")).mappings().all()
    for study_id in sorted({row["subject"] for row in invites}):
        at = min(row["created_at"] for row in invites if row["subject"] == study_id)
        row = {"study_id": study_id, "label": "open link", "mode": "live", "kind": "open", "enabled": True, "created_at": at}
        batch_id = connection.execute(sa.insert(batch).values(**row).returning(batch.c.id)).scalar_one()
        hashes = [invite["hash"] for invite in invites if invite["subject"] == study_id]
        connection.execute(sa.update(token).where(token.c.hash.in_(hashes)).values(subject=batch_id))


def _columns() -> None:
    with op.batch_alter_table("study", schema=None) as batch:
        batch.drop_constraint(batch.f("fk_study_task_id"), type_="foreignkey")
        for name in ("title", "task_id", "budget", "seed", "texts", "evaluation_seeds", "presets", "live_validation"):
            batch.drop_column(name)
        batch.add_column(sa.Column("closed_at", sa.Double(), nullable=True))
        batch.add_column(sa.Column("archived", sa.Boolean(), nullable=False, server_default=sa.false()))
    with op.batch_alter_table("participant", schema=None) as batch:
        batch.drop_column("months")
        batch.drop_column("education")
        batch.add_column(sa.Column("mode", sa.String(), nullable=False, server_default="live"))
        batch.add_column(sa.Column("batch_id", sa.Integer(), nullable=True))
        batch.add_column(sa.Column("version", sa.Integer(), nullable=False, server_default="1"))
        batch.add_column(sa.Column("condition", sa.String(), nullable=True))
        batch.add_column(sa.Column("language", sa.String(), nullable=False, server_default="en"))
        batch.add_column(sa.Column("nickname", sa.String(), nullable=True))
        batch.add_column(sa.Column("practised_at", sa.Double(), nullable=True))
        batch.add_column(sa.Column("writer", sa.String(), nullable=True))
        batch.add_column(sa.Column("writer_at", sa.Double(), nullable=True))
        batch.create_foreign_key(batch.f("fk_participant_batch_id"), "batch", ["batch_id"], ["id"])
    with op.batch_alter_table("session", schema=None) as batch:
        batch.add_column(sa.Column("mode", sa.String(), nullable=False, server_default="live"))
        batch.add_column(sa.Column("version", sa.Integer(), nullable=False, server_default="1"))
        batch.add_column(sa.Column("condition", sa.String(), nullable=True))
        batch.add_column(sa.Column("practice", sa.Boolean(), nullable=False, server_default=sa.false()))
        batch.drop_constraint(batch.f("uq_session_participant_id"), type_="unique")
        batch.create_unique_constraint(batch.f("uq_session_participant_id_practice"), ["participant_id", "practice"])
