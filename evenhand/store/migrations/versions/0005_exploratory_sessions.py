"""Exploratory sessions: what a session is for, its name, which process tunes it, and choices that it was extended after"""

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None


def upgrade() -> None:
    with op.batch_alter_table("session", schema=None) as batch:
        batch.add_column(sa.Column("purpose", sa.String(), nullable=False, server_default="study"))
        batch.add_column(sa.Column("name", sa.String(), nullable=True))
        batch.add_column(sa.Column("process", sa.String(), nullable=True))
    own = sa.text("driver <> 'archive'")
    op.create_index(op.f("ix_session_name"), "session", ["name"], unique=True, sqlite_where=own, postgresql_where=own)
    op.execute(sa.text("UPDATE session SET purpose = 'exploratory' WHERE driver = 'python'"))
    op.create_table(
        "earlier_choice",
        sa.Column("session_id", sa.Integer(), nullable=False),
        sa.Column("number", sa.Integer(), nullable=False),
        sa.Column("at", sa.Double(), nullable=False),
        sa.Column("configuration", sa.JSON(none_as_null=True), nullable=True),
        sa.Column("trial_id", sa.Integer(), nullable=True),
        sa.Column("automatic", sa.Boolean(), nullable=False),
        sa.Column("reopened_at", sa.Double(), nullable=False),
        sa.ForeignKeyConstraint(["session_id"], ["session.id"], name=op.f("fk_earlier_choice_session_id")),
        sa.ForeignKeyConstraint(["trial_id"], ["trial.id"], name=op.f("fk_earlier_choice_trial_id")),
        sa.PrimaryKeyConstraint("session_id", "number", name=op.f("pk_earlier_choice")),
    )
    with op.batch_alter_table("job", schema=None) as batch:
        batch.add_column(sa.Column("of_earlier", sa.Integer(), nullable=False, server_default="0"))
        batch.drop_constraint(batch.f("uq_job_session_id_seed_index"), type_="unique")
        batch.create_unique_constraint(
            batch.f("uq_job_session_id_seed_index_of_earlier"), ["session_id", "seed_index", "of_earlier"]
        )
