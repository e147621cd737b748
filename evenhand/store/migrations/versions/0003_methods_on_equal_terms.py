"""Methods on equal terms: trainings that go on from others, several metrics, limits of tasks, people who help a method"""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    with op.batch_alter_table("task", schema=None) as batch:
        batch.add_column(sa.Column("further", sa.JSON(), nullable=False, server_default="[]"))
        batch.add_column(sa.Column("max_seconds", sa.Double(), nullable=True))
        batch.add_column(sa.Column("max_memory", sa.BigInteger(), nullable=True))
    with op.batch_alter_table("trial", schema=None) as batch:
        batch.add_column(sa.Column("resumes", sa.Integer(), nullable=True))
        batch.add_column(sa.Column("epochs_before", sa.Integer(), nullable=False, server_default="0"))
        batch.add_column(sa.Column("revision", sa.Integer(), nullable=False, server_default="0"))
    with op.batch_alter_table("job", schema=None) as batch:
        batch.add_column(sa.Column("stop_why", sa.Text(), nullable=True))
    op.create_table(
        "intervention",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("session_id", sa.Integer(), nullable=False),
        sa.Column("at", sa.Double(), nullable=False),
        sa.Column("who", sa.String(), nullable=False),
        sa.Column("kind", sa.String(), nullable=False),
        sa.Column("trial", sa.Integer(), nullable=True),
        sa.Column("detail", sa.JSON(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(["session_id"], ["session.id"], name=op.f("fk_intervention_session_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_intervention")),
    )
    with op.batch_alter_table("intervention", schema=None) as batch:
        batch.create_index(batch.f("ix_intervention_session_id"), ["session_id"], unique=False)
