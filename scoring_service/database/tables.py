"""The tables, as the newest migration leaves them."""

from typing import Final

from sqlalchemy import (
    BigInteger,
    Column,
    Float,
    Integer,
    LargeBinary,
    MetaData,
    SmallInteger,
    Table,
    Text,
    UniqueConstraint,
)

HEAD: Final = "0005"
"""Revision of the newest migration."""

METADATA: Final = MetaData()

# SQLite takes an INTEGER PRIMARY KEY as the row's own number: no second index.
POSITION: Final = BigInteger().with_variant(Integer, "sqlite")

JOURNAL: Final = Table(
    "journal",
    METADATA,
    Column("seq", POSITION, primary_key=True, autoincrement=False),
    Column("received_ms", BigInteger, nullable=False),
    Column("kind", Text, nullable=False),
    # Keyed hash of event type and id: stays when a row is erased, so that the id stays a duplicate.
    Column("event_key", LargeBinary),
    Column("event_type", Text),
    Column("account", Text),
    Column("time_ms", BigInteger),
    Column("payload", LargeBinary, nullable=False),
    # 1: something of the row was erased, so what was answered cannot be had again.
    Column("altered", SmallInteger, nullable=False, server_default="0"),
    Column("horizon", BigInteger),
    Column("snapshot", Text),
    Column("bundle", Text),
    Column("rings", Text),
    Column("moment", Text),
    Column("score", Float(53)),
    Column("margin", Float(53)),
    Column("features", LargeBinary),
    Column("answer", LargeBinary),
    Column("shadow", LargeBinary),
    UniqueConstraint("event_key", name="journal_event_key"),
)

JOURNAL_MARKS: Final = Table(
    "journal_marks",
    METADATA,
    Column("name", Text, primary_key=True),
    Column("value", LargeBinary, nullable=False),
)
"""Small facts about the journal: its salt, and how far retention came."""

IDEMPOTENCY: Final = Table(
    "idempotency",
    METADATA,
    # Keyed hash of scope and key: a client may have put anything into the key.
    Column("use_key", LargeBinary, primary_key=True),
    Column("body_hash", LargeBinary, nullable=False),
    Column("seq", BigInteger, index=True),
    Column("answer", LargeBinary),
    Column("created_ms", BigInteger, nullable=False, index=True),
)

API_KEYS: Final = Table(
    "api_keys",
    METADATA,
    Column("name", Text, primary_key=True),
    Column("token_hash", LargeBinary, nullable=False),
    Column("scopes", Text, nullable=False),
    Column("created_ms", BigInteger, nullable=False),
    Column("revoked_ms", BigInteger),
    UniqueConstraint("token_hash", name="api_keys_token_hash"),
)

ERASURES: Final = Table(
    "erasures",
    METADATA,
    Column("receipt_id", Text, primary_key=True),
    Column("tombstone", Text, nullable=False, index=True),
    Column("started_ms", BigInteger, nullable=False),
    Column("finished_ms", BigInteger),
    # Rows up to here were looked through: a stopped erasure goes on after it.
    Column("through_seq", BigInteger, nullable=False),
    Column("receipt", LargeBinary, nullable=False),
)

BENIGN_GROUPS: Final = Table(
    "benign_groups",
    METADATA,
    Column("number", POSITION, primary_key=True, autoincrement=True),
    Column("ring", Text, nullable=False),
    # JSON: account ids, those of them known to be bad, kinds of evidence; as they were when it was confirmed.
    Column("held", LargeBinary, nullable=False),
    Column("source", Text, nullable=False),
    Column("reason", Text),
    Column("confirmed_ms", BigInteger, nullable=False),
    Column("withdrawn_ms", BigInteger),
    Column("withdrawn_by", Text),
)
"""Groups that people confirmed to be benign, see `rings.benign`; one that was taken back stays on record."""
