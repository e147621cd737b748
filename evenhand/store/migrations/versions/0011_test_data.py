"""What a task's test data is known by, so that a look at it counts for whatever else is scored on the same"""

import sqlalchemy as sa
from alembic import op

revision = "0011"
down_revision = "0010"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("task", sa.Column("test_data", sa.String(), nullable=False, server_default=""))
