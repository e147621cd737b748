"""Baselines: the run that another one's gain is told over"""

import sqlalchemy as sa
from alembic import op

revision = "0012"
down_revision = "0011"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("run_notes", sa.Column("baseline", sa.Integer(), nullable=True))
