"""Where trainings are done: environments, of agents, of each attempt, and those that published studies are pinned to"""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "environment",
        sa.Column("key", sa.String(), nullable=False),
        sa.Column("kind", sa.String(), nullable=False),
        sa.Column("facts", sa.JSON(), nullable=False),
        sa.PrimaryKeyConstraint("key", name=op.f("pk_environment")),
    )
    for table in ("study_version", "agent", "job", "attempt"):
        with op.batch_alter_table(table, schema=None) as batch:
            batch.add_column(sa.Column("environment", sa.String(), nullable=True))
            batch.create_foreign_key(batch.f(f"fk_{table}_environment"), "environment", ["environment"], ["key"])
