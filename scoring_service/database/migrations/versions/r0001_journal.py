"""The journal, its marks, and what was answered to an Idempotency-Key."""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None


def upgrade() -> None:
    """Make the tables."""
    position = sa.BigInteger().with_variant(sa.Integer, "sqlite")
    op.create_table(
        "journal",
        sa.Column("seq", position, primary_key=True, autoincrement=False),
        sa.Column("received_ms", sa.BigInteger, nullable=False),
        sa.Column("kind", sa.Text, nullable=False),
        sa.Column("event_key", sa.LargeBinary),
        sa.Column("event_type", sa.Text),
        sa.Column("account", sa.Text),
        sa.Column("time_ms", sa.BigInteger),
        sa.Column("payload", sa.LargeBinary, nullable=False),
        sa.Column("altered", sa.SmallInteger, nullable=False, server_default="0"),
        sa.Column("horizon", sa.BigInteger),
        sa.Column("snapshot", sa.Text),
        sa.Column("bundle", sa.Text),
        sa.Column("rings", sa.Text),
        sa.Column("moment", sa.Text),
        sa.Column("score", sa.Float(53)),
        sa.Column("margin", sa.Float(53)),
        sa.Column("features", sa.LargeBinary),
        sa.Column("answer", sa.LargeBinary),
        sa.UniqueConstraint("event_key", name="journal_event_key"),
    )
    op.create_table(
        "journal_marks",
        sa.Column("name", sa.Text, primary_key=True),
        sa.Column("value", sa.LargeBinary, nullable=False),
    )
    op.create_table(
        "idempotency",
        sa.Column("use_key", sa.LargeBinary, primary_key=True),
        sa.Column("body_hash", sa.LargeBinary, nullable=False),
        sa.Column("seq", sa.BigInteger),
        sa.Column("answer", sa.LargeBinary),
        sa.Column("created_ms", sa.BigInteger, nullable=False),
    )
    op.create_index("ix_idempotency_seq", "idempotency", ["seq"])
    op.create_index("ix_idempotency_created_ms", "idempotency", ["created_ms"])


def downgrade() -> None:
    """Drop the tables."""
    for table in ("idempotency", "journal_marks", "journal"):
        op.drop_table(table)
