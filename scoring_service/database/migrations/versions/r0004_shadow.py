"""What a shadow bundle made of an answered event."""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"


def upgrade() -> None:
    """Add the column."""
    op.add_column("journal", sa.Column("shadow", sa.LargeBinary))


def downgrade() -> None:
    """Drop the column."""
    op.drop_column("journal", "shadow")
