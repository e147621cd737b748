"""Process signals: how the form of a trial was filled in, where the study records that"""

import sqlalchemy as sa
from alembic import op

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("trial", sa.Column("signals", sa.JSON(), nullable=True))
