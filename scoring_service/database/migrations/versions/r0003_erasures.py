"""Receipts of erasures."""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    """Make the table."""
    op.create_table(
        "erasures",
        sa.Column("receipt_id", sa.Text, primary_key=True),
        sa.Column("tombstone", sa.Text, nullable=False),
        sa.Column("started_ms", sa.BigInteger, nullable=False),
        sa.Column("finished_ms", sa.BigInteger),
        sa.Column("through_seq", sa.BigInteger, nullable=False),
        sa.Column("receipt", sa.LargeBinary, nullable=False),
    )
    op.create_index("ix_erasures_tombstone", "erasures", ["tombstone"])


def downgrade() -> None:
    """Drop the table."""
    op.drop_table("erasures")
