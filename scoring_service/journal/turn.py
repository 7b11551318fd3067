"""One transaction of the journal's writer: rows get their places, duplicates none."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from sqlalchemy import Connection, delete, insert, select

from graph_etl import Content, LiveEvent
from scoring_service.database.tables import IDEMPOTENCY
from scoring_service.journal import statements
from scoring_service.journal.entries import Entry, IdempotencyUse, Kept

if TYPE_CHECKING:
    from scoring_service.journal.journal import Journal

IDEMPOTENCY_MS: Final = 24 * 3600 * 1000
"""How long the answer to an Idempotency-Key is kept."""

_SWEEP_EVERY_MS: Final = 60_000
_SWEEP_ROWS: Final = 500


@dataclass(frozen=True, slots=True)
class Prepared:
    """An entry in the form in which it is written.

    Attributes:
        content: What the row says.
        kind: Its kind.
        event_key: What is unique of an event that has an id.
        said: Values of the row, without its place.
        is_answered: Whether they hold an answer.
        idempotency: The Idempotency-Key of the request that the entry ends.
    """

    content: Content
    kind: str
    event_key: bytes | None
    said: tuple[Any, ...]
    is_answered: bool
    idempotency: IdempotencyUse | None


class Turn:
    """One transaction of the journal's writer.

    Args:
        journal: The journal.
        cursor: The driver's cursor.
        connection: The connection that it belongs to.
        now_ms: The time, for what is kept for some time only.
        known_ms: When rows that are kept in it become known.
        last_seq: Last row before it.

    Attributes:
        connection: The connection, inside the transaction.
        now_ms: The time, for what is kept for some time only.
        known_ms: When rows that are kept in it become known.
        last_seq: Last row so far.
        has_written: Whether a row was kept.
    """

    __slots__ = (
        "_cursor",
        "_hot",
        "_journal",
        "connection",
        "has_written",
        "known_ms",
        "last_seq",
        "now_ms",
    )

    def __init__(
        self,
        journal: Journal,
        cursor: Any,
        connection: Connection,
        now_ms: int,
        known_ms: int,
        last_seq: int,
    ) -> None:
        self._journal = journal
        self._hot = journal.hot
        self._cursor = cursor
        self.connection = connection
        self.now_ms = now_ms
        self.known_ms = known_ms
        self.last_seq = last_seq
        self.has_written = False

    def keep(self, entries: Sequence[Entry]) -> list[Kept]:
        """Keep entries.

        Args:
            entries: What to keep, in order.

        Returns:
            What became of each, if the transaction is committed.
        """
        return self.write([self._journal.prepare(entry) for entry in entries])

    def write(self, prepared: Sequence[Prepared]) -> list[Kept]:
        """Keep entries that were written down.

        Args:
            prepared: What :meth:`Journal.prepare` gave, in order.

        Returns:
            What became of each, if the transaction is committed.
        """
        kept: list[Kept] = []
        for first, last in _requests(prepared):
            use = prepared[last - 1].idempotency
            if use is not None:
                repeated = self._repeated(use)
                if repeated is not None:
                    kept += [repeated] * (last - first)
                    continue
            kept += [self._write_one(one) for one in prepared[first:last]]
            if use is not None:
                self._remember(use, kept[first:last])
        return kept

    def _write_one(self, one: Prepared) -> Kept:
        cursor, seq = self._cursor, self.last_seq + 1
        statement = self._hot.insert_answered if one.is_answered else self._hot.insert
        known_ms = self.known_ms
        if self._journal.clock == "events" and isinstance(one.content, LiveEvent):
            known_ms = max(known_ms, one.content.time_ms)
        cursor.execute(statement, (seq, known_ms, one.kind, *one.said))
        if cursor.rowcount == 1:
            self.last_seq = seq
            self.known_ms = known_ms
            self.has_written = True
            return Kept(seq, known_ms)
        cursor.execute(self._hot.by_event, (one.event_key,))
        twin_seq, twin_ms = cursor.fetchone()
        return Kept(twin_seq, twin_ms, duplicate_of=twin_seq)

    def _repeated(self, use: IdempotencyUse) -> Kept | None:
        """What became of a request that is kept already; None if it is new."""
        key = self._journal.salt.use_key(use.scope, use.key)
        found = self.connection.execute(statements.USE, {"use_key_is": key}).first()
        if found is None:
            return None
        if found.created_ms <= self.now_ms - IDEMPOTENCY_MS:
            self.connection.execute(delete(IDEMPOTENCY).where(IDEMPOTENCY.c.use_key == key))
            return None
        if bytes(found.body_hash) != use.body_hash:
            return Kept(0, self.now_ms, is_conflict=True)
        return Kept(found.seq or 0, found.created_ms, duplicate_of=found.seq)

    def _remember(self, use: IdempotencyUse, kept: Sequence[Kept]) -> None:
        answer = use.answer(kept) if callable(use.answer) else use.answer
        self.connection.execute(
            insert(IDEMPOTENCY).values(
                use_key=self._journal.salt.use_key(use.scope, use.key),
                body_hash=use.body_hash,
                seq=kept[-1].seq,
                answer=answer,
                created_ms=self.now_ms,
            )
        )
        if self.now_ms - self._journal.swept_ms >= _SWEEP_EVERY_MS:
            old = select(IDEMPOTENCY.c.use_key).where(
                IDEMPOTENCY.c.created_ms <= self.now_ms - IDEMPOTENCY_MS
            )
            gone = self.connection.execute(
                delete(IDEMPOTENCY).where(IDEMPOTENCY.c.use_key.in_(old.limit(_SWEEP_ROWS)))
            )
            # Where more than one step is old, the next request takes the next step.
            self._journal.swept_ms = self.now_ms if gone.rowcount < _SWEEP_ROWS else 0


def _requests(prepared: Sequence[Prepared]) -> Iterator[tuple[int, int]]:
    """Cut entries into requests: spans of those that share an Idempotency-Key, and of those without one."""
    start = 0
    for at, one in enumerate(prepared):
        if one.idempotency is not None:
            first = at + 1 - one.idempotency.entries
            if start < first:
                yield start, first
            yield first, at + 1
            start = at + 1
    if start < len(prepared):
        yield start, len(prepared)
