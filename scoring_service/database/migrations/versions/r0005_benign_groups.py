"""Groups that people confirmed to be benign."""

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"


def upgrade() -> None:
    """Make the table."""
    number = sa.BigInteger().with_variant(sa.Integer, "sqlite")
    op.create_table(
        "benign_groups",
        sa.Column("number", number, primary_key=True, autoincrement=True),
        sa.Column("ring", sa.Text, nullable=False),
        sa.Column("held", sa.LargeBinary, nullable=False),
        sa.Column("source", sa.Text, nullable=False),
        sa.Column("reason", sa.Text),
        sa.Column("confirmed_ms", sa.BigInteger, nullable=False),
        sa.Column("withdrawn_ms", sa.BigInteger),
        sa.Column("withdrawn_by", sa.Text),
    )


def downgrade() -> None:
    """Drop the table."""
    op.drop_table("benign_groups")
