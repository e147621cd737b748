"""Named people: who runs the laboratory, and of each token who made it, where it is used, and when it was last"""

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "person",
        sa.Column("id", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("name", sa.String(), nullable=False),
        sa.Column("role", sa.String(), nullable=False),
        sa.Column("created_at", sa.Double(), nullable=False),
        sa.Column("removed_at", sa.Double(), nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_person")),
    )
    with op.batch_alter_table("token", schema=None) as batch:
        batch.add_column(sa.Column("made_by", sa.String(), nullable=True))
        batch.add_column(sa.Column("last_seen", sa.Double(), nullable=True))
        batch.add_column(sa.Column("browser", sa.String(), nullable=True))
