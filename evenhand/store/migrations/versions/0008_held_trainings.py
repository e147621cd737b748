"""Held trainings: when a job's attempt stood still, since its session was paused"""

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("job", sa.Column("holds", sa.JSON(none_as_null=True), nullable=True))
