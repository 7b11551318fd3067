"""The journal's SQL: the hot path in the driver's own words, the rest as SQLAlchemy builds it."""

from typing import Any, Final, Self

from sqlalchemy import Insert, Select, bindparam, func, select
from sqlalchemy.dialects import postgresql, sqlite

from scoring_service.database.engine import Database, Statement
from scoring_service.database.tables import IDEMPOTENCY, JOURNAL, JOURNAL_MARKS

_ROW: Final = (JOURNAL.c.seq, JOURNAL.c.received_ms, JOURNAL.c.kind, JOURNAL.c.payload)
_ANSWER: Final = (
    JOURNAL.c.horizon,
    JOURNAL.c.snapshot,
    JOURNAL.c.bundle,
    JOURNAL.c.rings,
    JOURNAL.c.moment,
    JOURNAL.c.score,
    JOURNAL.c.margin,
    JOURNAL.c.features,
    JOURNAL.c.answer,
    JOURNAL.c.shadow,
)
_SAID: Final = ("event_key", "event_type", "account", "time_ms", "payload")
SAID_WITH_ANSWER: Final = (*_SAID, *(column.name for column in _ANSWER))
_PLACED: Final = ("seq", "received_ms", "kind")

LAST: Final = select(JOURNAL.c.seq, JOURNAL.c.received_ms).order_by(JOURNAL.c.seq.desc()).limit(1)
FIND: Final = select(JOURNAL.c.seq).where(JOURNAL.c.event_key == bindparam("key"))
USE: Final = select(
    IDEMPOTENCY.c.body_hash, IDEMPOTENCY.c.seq, IDEMPOTENCY.c.answer, IDEMPOTENCY.c.created_ms
).where(IDEMPOTENCY.c.use_key == bindparam("use_key_is"))
MARK: Final = select(JOURNAL_MARKS.c.value).where(JOURNAL_MARKS.c.name == bindparam("name_is"))


class HotPath:
    """Statements that each event runs.

    The values of an insert come in the order of ``seq``, ``received_ms``, ``kind``, then ``SAID_WITH_ANSWER``
    (or its first five).

    Attributes:
        insert: A row without an answer; does nothing where the event is there already.
        insert_answered: The same with what was answered.
        by_event: ``seq`` and ``received_ms`` of the row of an event.
        last: The highest ``seq``.
        begin: Begins a transaction that writes.
    """

    __slots__ = ("begin", "by_event", "insert", "insert_answered", "last")

    def __init__(self, insert: str, insert_answered: str, by_event: str, last: str, begin: str) -> None:
        self.insert = insert
        self.insert_answered = insert_answered
        self.by_event = by_event
        self.last = last
        self.begin = begin

    @classmethod
    def of(cls, database: Database) -> Self:
        """Write the statements for a store."""
        by_event = select(JOURNAL.c.seq, JOURNAL.c.received_ms).where(JOURNAL.c.event_key == bindparam("key"))
        return cls(
            insert=_in_order(database, _insert(database, _PLACED + _SAID), _PLACED + _SAID),
            insert_answered=_in_order(
                database, _insert(database, _PLACED + SAID_WITH_ANSWER), _PLACED + SAID_WITH_ANSWER
            ),
            by_event=_in_order(database, by_event, ("key",)),
            last=_in_order(database, select(func.max(JOURNAL.c.seq)), ()),
            begin="BEGIN IMMEDIATE" if database.is_sqlite else "BEGIN",
        )


def rows(after_seq: int, n: int) -> Select[Any]:
    """Rows above a position.

    Args:
        after_seq: The position.
        n: At most so many.

    Returns:
        ``seq``, ``received_ms``, ``kind`` and ``payload`` in order of ``seq``.
    """
    return select(*_ROW).where(JOURNAL.c.seq > after_seq).order_by(JOURNAL.c.seq).limit(n)


def records(after_seq: int, until_seq: int | None, n: int) -> Select[Any]:
    """Rows above a position with what was answered.

    Args:
        after_seq: The position.
        until_seq: The last position; None: to the end.
        n: At most so many.

    Returns:
        The columns of :func:`rows`, then those of an answer.
    """
    found = select(*_ROW, *_ANSWER).where(JOURNAL.c.seq > after_seq)
    if until_seq is not None:
        found = found.where(JOURNAL.c.seq <= until_seq)
    return found.order_by(JOURNAL.c.seq).limit(n)


def set_mark(database: Database, name: str, value: bytes) -> Insert:
    """Keep a small fact about the journal.

    Args:
        database: The store.
        name: Its name.
        value: What it is now.

    Returns:
        The statement.
    """
    insert = sqlite.insert if database.is_sqlite else postgresql.insert
    statement: Insert = (
        insert(JOURNAL_MARKS)
        .values(name=name, value=value)
        .on_conflict_do_update(index_elements=["name"], set_={"value": value})
    )
    return statement


def _insert(database: Database, columns: tuple[str, ...]) -> Insert:
    insert = sqlite.insert if database.is_sqlite else postgresql.insert
    statement: Insert = (
        insert(JOURNAL)
        .values({name: bindparam(name) for name in columns})
        .on_conflict_do_nothing(index_elements=["event_key"])
    )
    return statement


def _in_order(database: Database, clause: Any, names: tuple[str, ...]) -> str:
    statement: Statement = database.statement(clause)
    assert statement.names == names, "values are handed over by place"
    return statement.text
