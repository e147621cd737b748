"""Process signals: how the form of a trial was filled in, where the study records that"""

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("trial", sa.Column("signals", sa.JSON(), nullable=True))
