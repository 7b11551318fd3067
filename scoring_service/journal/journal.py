"""The journal: every accepted event, verdict, cut and switch, in one order, never lost and never doubled."""

import secrets
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final, Self

from sqlalchemy import Connection, select

from graph_etl import JournalRow, JournalRowError, LiveEvent, LiveSwitch, decode, encode, kind_of
from scoring_service.database.engine import Database
from scoring_service.database.errors import JournalUnavailable, StoreUnavailable
from scoring_service.database.tables import IDEMPOTENCY, JOURNAL
from scoring_service.journal import statements
from scoring_service.journal.entries import (
    Answered,
    Entry,
    IdempotencyConflict,
    IdempotencyUse,
    Kept,
    Remembered,
)
from scoring_service.journal.erasure import Receipt, erase, receipts
from scoring_service.journal.retention import Retained, RetentionRule, retain
from scoring_service.journal.salt import SALT_BYTES, Salt
from scoring_service.journal.turn import IDEMPOTENCY_MS, Prepared, Turn
from scoring_service.journal.writer import WAIT_MS, Clock, Commit, Writer

_BATCH: Final = 1000
_SALT_MARK: Final = "salt"
_LONGEST: Final = 2**63


class Journal:
    """Rows 1, 2, 3 and so on without gaps. One process writes, any number read. Use :meth:`open`.

    Attributes:
        place: The file, or the URL without the password.
        commit: What a commit survives: the end of the process, or a power cut.
        clock: What tells when a row became known.
        database: The store.
        salt: Hashes names that must not stay readable.
        hot: Statements that each event runs.
        swept_ms: When answers to old Idempotency-Keys were last dropped.
    """

    def __init__(
        self, database: Database, commit: Commit, wait_ms: int | None, is_mine: bool, clock: Clock
    ) -> None:
        self.database = database
        self.place = database.place
        self.commit = commit
        self.clock = clock
        self._is_mine = is_mine
        self._last_seq = 0
        self._last_ms = 0
        self._salt: Salt | None = None
        self.swept_ms = 0
        self.hot = statements.HotPath.of(database)
        self._writer: Writer | None = None
        if database.is_read_only:
            with self._reading() as connection:
                self._salt = _salt_in(connection)
        else:
            self._writer = Writer(
                database, commit, WAIT_MS[commit] if wait_ms is None else wait_ms, self._opened
            )

    @classmethod
    def open(
        cls,
        url_or_path: str | Path | Database,
        *,
        commit: Commit = "disk",
        read_only: bool = False,
        wait_ms: int | None = None,
        clock: Clock = "system",
    ) -> Self:
        """Open a journal; made if it is not there, unless it is opened for reading only.

        Args:
            url_or_path: SQLite file, URL, or an open store.
            commit: ``process``: what was acknowledged survives ``kill -9``; ``disk``: a power cut too.
            read_only: Follow what another process writes.
            wait_ms: How long a commit waits for a lock that somebody else holds.
            clock: What tells when a row became known: ``system``, or ``events`` for traffic of another time
                (simulated, or recorded): then it is the latest time that an event told so far.

        Returns:
            The journal.

        Raises:
            JournalInUse: If another process writes it.
            JournalMissing: If it is opened for reading and not there.
            StoreUnavailable: If the store cannot be used.
        """
        if isinstance(url_or_path, Database):
            return cls(url_or_path, commit, wait_ms, is_mine=False, clock=clock)
        database = Database.open(url_or_path, read_only=read_only)
        try:
            return cls(database, commit, wait_ms, is_mine=True, clock=clock)
        except BaseException:
            database.close()
            raise

    def close(self) -> None:
        """Close it; another process may write then."""
        if self._writer is not None:
            self._writer.close()
        if self._is_mine:
            self.database.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @property
    def is_read_only(self) -> bool:
        """Whether it was opened for reading only."""
        return self._writer is None

    @property
    def salt(self) -> Salt:
        """Hashes names that must stay recognisable and must not stay readable."""
        assert self._salt is not None, "a journal that is open has a salt"
        return self._salt

    # Writing

    def append(self, entries: Sequence[Entry]) -> list[Kept]:
        """Keep entries: all of them or, if it fails, none.

        Args:
            entries: What to keep, in order.

        Returns:
            What became of each. An event whose type and id are there already is not kept again and takes no
            position.

        Raises:
            JournalUnavailable: If nothing could be kept.
            JournalRowError: If an entry cannot be written down.
        """
        return self.write([self.prepare(entry) for entry in entries])

    def prepare(self, entry: Entry) -> Prepared:
        """Write an entry down, without keeping it.

        Args:
            entry: The entry.

        Returns:
            Its written form, for :meth:`write`.

        Raises:
            JournalRowError: If it cannot be written down.
        """
        content, answered = entry.content, entry.answered
        payload = encode(content)
        event_key = event_type = time_ms = None
        if isinstance(content, LiveEvent):
            event_type, time_ms = content.event_type, content.time_ms
            if content.event_id is not None:
                event_key = self.salt.event_key(event_type, content.event_id)
            if not -_LONGEST <= time_ms < _LONGEST:
                message = f"journal: time_ms must fit into 64 bits, got {time_ms}"
                raise JournalRowError(message)
        account = None if isinstance(content, LiveSwitch) else content.account
        # Postgres keeps no NUL in a text.
        if "\0" in (account or "") or "\0" in (event_type or ""):
            message = "journal: account and event type must not hold the character NUL; send them without it"
            raise JournalRowError(message)
        said: tuple[Any, ...] = (event_key, event_type, account, time_ms, payload)
        if answered is not None:
            said += (
                answered.horizon,
                answered.snapshot,
                answered.bundle,
                answered.rings,
                answered.moment,
                answered.score,
                answered.margin,
                answered.features,
                answered.answer,
                answered.shadow,
            )
        return Prepared(content, kind_of(content), event_key, said, answered is not None, entry.idempotency)

    def write(self, prepared: Sequence[Prepared]) -> list[Kept]:
        """Keep entries that were written down: all of them or, if it fails, none.

        Args:
            prepared: What :meth:`prepare` gave, in order.

        Returns:
            What became of each.

        Raises:
            JournalUnavailable: If nothing could be kept.
        """
        writer = self._for_writing()
        # As in `turn`, in straight words: this runs for every event.
        with writer.lock:
            turn = self._begun(writer)
            try:
                kept = turn.write(prepared)
                writer.commit()
            except BaseException as error:
                raise writer.undone(error) from None
            self._ended(turn)
        return kept

    def erase(self, account: str, *, also_named: Sequence[str] = ()) -> Receipt:
        """Forget an account: its rows keep their places and lose what they say.

        Events can be kept meanwhile. Stopped in the middle, the same call goes on where it was. What the
        account does afterwards is kept like anybody's. :meth:`GroupCommit.catch_up` applies the row that it
        appends.

        Args:
            account: Key of the account, as rows hold it.
            also_named: Under what else answers may name it: its id, where its key is a hash.

        Returns:
            What was done; it is kept too.

        Raises:
            JournalUnavailable: If the store failed; what was done until then stays done.
        """
        return erase(self, account, self.salt.tombstone(account), also_named)

    def receipts(self) -> list[Receipt]:
        """Receipts of erasures that were finished, the oldest first.

        Raises:
            JournalUnavailable: If the store cannot be read.
        """
        with self._reading() as connection:
            return list(receipts(connection))

    def retain(self, rules: Iterable[RetentionRule], now_ms: int, held_seq: int) -> Retained:
        """Drop what is older than it may be. Stopped in the middle, the next call goes on where it was.

        Args:
            rules: What is dropped at which age.
            now_ms: The time that ages count from, milliseconds of Unix time.
            held_seq: Last row that a published snapshot holds: rows after it keep what they say.

        Returns:
            What was dropped.

        Raises:
            JournalUnavailable: If the store failed; what was done until then stays done.
        """
        return retain(self, rules, now_ms, held_seq)

    @contextmanager
    def turn(self) -> Iterator[Turn]:
        """One transaction of the writer: all or nothing, one at a time.

        Yields:
            What can be done in it.

        Raises:
            JournalUnavailable: If it could not be committed: nothing of it is kept.
        """
        writer = self._for_writing()
        with writer.lock:
            turn = self._begun(writer)
            try:
                yield turn
                writer.commit()
            except BaseException as error:
                raise writer.undone(error) from None
            self._ended(turn)

    def clean_log(self) -> bool:
        """Take what was overwritten out of the database's log.

        Returns:
            Whether all of it is out; False if a reader was in the way.
        """
        return self._for_writing().clean_log((JOURNAL.name, IDEMPOTENCY.name))

    # Reading

    def last_seq(self) -> int:
        """Position of the last row; 0 if there is none."""
        if self._writer is not None:
            return self._last_seq
        with self._reading() as connection:
            return connection.exec_driver_sql(self.hot.last).scalar() or 0

    def rows(self, after_seq: int = 0, limit: int | None = None) -> Iterator[JournalRow]:
        """Rows in order, read a thousand at a time.

        Args:
            after_seq: Only rows above it.
            limit: At most so many; None: all that are there when the reading comes to them.

        Yields:
            The rows.

        Raises:
            JournalUnavailable: If the store cannot be read.
            JournalRowError: If a row is damaged.
        """
        left = limit
        while left is None or left > 0:
            n = _BATCH if left is None else min(left, _BATCH)
            with self._reading() as connection:
                found = connection.execute(statements.rows(after_seq, n)).all()
            for row in found:
                yield _row(row)
            if len(found) < n:
                return
            after_seq = found[-1][0]
            left = None if left is None else left - n

    def records(
        self, after_seq: int = 0, until_seq: int | None = None
    ) -> Iterator[tuple[JournalRow, Answered | None]]:
        """Rows in order with what was answered, read a thousand at a time.

        Args:
            after_seq: Only rows above it.
            until_seq: The last row; None: to the end.

        Yields:
            Each row, and what was answered; None if it was not scored, or the answer was erased.

        Raises:
            JournalUnavailable: If the store cannot be read.
            JournalRowError: If a row is damaged.
        """
        while True:
            with self._reading() as connection:
                found = connection.execute(statements.records(after_seq, until_seq, _BATCH)).all()
            for row in found:
                yield _row(row), _answered(row)
            if len(found) < _BATCH:
                return
            after_seq = found[-1][0]

    def recorded(self, seq: int) -> tuple[JournalRow, Answered | None]:
        """One row with what was answered.

        Args:
            seq: Its position.

        Returns:
            The row, and what was answered; None if it was not scored, or the answer was erased.

        Raises:
            JournalRowError: If there is no such row.
            JournalUnavailable: If the store cannot be read.
        """
        for found in self.records(seq - 1, seq):
            return found
        message = f"journal: there is no row {seq}; the last one is {self.last_seq()}"
        raise JournalRowError(message)

    def altered(self, after_seq: int = 0, until_seq: int | None = None) -> Iterator[int]:
        """Rows that lost something to an erasure: what was answered to them cannot be had again.

        Args:
            after_seq: Only rows above it.
            until_seq: The last row; None: to the end.

        Yields:
            Their positions, in order.
        """
        while True:
            wanted = select(JOURNAL.c.seq).where(JOURNAL.c.seq > after_seq, JOURNAL.c.altered != 0)
            if until_seq is not None:
                wanted = wanted.where(JOURNAL.c.seq <= until_seq)
            with self._reading() as connection:
                found = connection.execute(wanted.order_by(JOURNAL.c.seq).limit(_BATCH)).scalars().all()
            yield from found
            if len(found) < _BATCH:
                return
            after_seq = found[-1]

    def find(self, event_type: str, event_id: str) -> int | None:
        """Position of an event by its id.

        Args:
            event_type: Its type.
            event_id: The platform's id of it.

        Returns:
            Its ``seq``, also if the row was erased since; None if it never came.
        """
        key = self.salt.event_key(event_type, event_id)
        with self._reading() as connection:
            found: int | None = connection.execute(statements.FIND, {"key": key}).scalar()
            return found

    def remembered(self, use: IdempotencyUse) -> Remembered | None:
        """What was answered to the same request before.

        Args:
            use: The Idempotency-Key and the request's body.

        Returns:
            What was answered in the last 24 hours; None if the key is new.

        Raises:
            IdempotencyConflict: If the key was used with another body.
            JournalUnavailable: If the store cannot be read.
        """
        key = self.salt.use_key(use.scope, use.key)
        with self._reading() as connection:
            found = connection.execute(statements.USE, {"use_key_is": key}).first()
        if found is None or found.created_ms <= time.time_ns() // 1_000_000 - IDEMPOTENCY_MS:
            return None
        if bytes(found.body_hash) != use.body_hash:
            raise IdempotencyConflict
        return Remembered(found.seq, None if found.answer is None else bytes(found.answer))

    # Within

    def _begun(self, writer: Writer) -> Turn:
        cursor, connection = writer.begin()
        now_ms = time.time_ns() // 1_000_000
        known_ms = max(now_ms, self._last_ms) if self.clock == "system" else self._last_ms
        return Turn(self, cursor, connection, now_ms, known_ms, self._last_seq)

    def _ended(self, turn: Turn) -> None:
        self._last_seq = turn.last_seq
        if turn.has_written:
            self._last_ms = turn.known_ms

    def _for_writing(self) -> Writer:
        if self._writer is None:
            raise JournalUnavailable(
                self.place,
                "the journal was opened for reading only",
                "Send what is to be kept to the writer.",
            )
        return self._writer

    def _reading(self) -> "_Reading":
        return _Reading(self.database)

    def _opened(self, connection: Connection) -> None:
        """Check that a new connection leads to this journal, and go on where it ends."""
        salt = _salt_in(connection)
        if salt is None:
            drawn = secrets.token_bytes(SALT_BYTES)
            connection.execute(statements.set_mark(self.database, _SALT_MARK, drawn))
            salt = Salt(drawn)
        if self._salt is not None and salt != self._salt:
            raise JournalUnavailable(
                self.place, "another journal took its place", "Put it back, or start the service again."
            )
        last = connection.execute(statements.LAST).first()
        seq, received_ms = (0, 0) if last is None else (last.seq, last.received_ms)
        if seq < self._last_seq:
            raise JournalUnavailable(
                self.place,
                f"it ends at row {seq}, this process has kept row {self._last_seq}",
                "Put the right file back, or start the service again.",
            )
        self._salt, self._last_seq = salt, seq
        self._last_ms = max(received_ms, self._last_ms)


class _Reading:
    """A pooled connection; errors of the store become JournalUnavailable."""

    __slots__ = ("_connection", "_database")

    def __init__(self, database: Database) -> None:
        self._database = database

    def __enter__(self) -> Connection:
        try:
            self._connection = self._database.engine.connect()
        except self._database.errors as error:
            raise self._unavailable(error) from None
        return self._connection

    def __exit__(self, _: object, error: BaseException | None, __: object) -> None:
        self._connection.close()
        if isinstance(error, self._database.errors):
            raise self._unavailable(error) from None

    def _unavailable(self, error: BaseException) -> StoreUnavailable:
        return JournalUnavailable(self._database.place, self._database.problem(error))


def _salt_in(connection: Connection) -> Salt | None:
    found = connection.execute(statements.MARK, {"name_is": _SALT_MARK}).scalar()
    return None if found is None else Salt(bytes(found))


def _row(row: Sequence[Any]) -> JournalRow:
    return JournalRow(row[0], row[1], decode(row[2], bytes(row[3])))


def _answered(row: Sequence[Any]) -> Answered | None:
    horizon, snapshot, bundle, rings, moment, score, margin, features, answer, shadow = row[4:]
    if answer is None:
        return None
    return Answered(
        horizon,
        snapshot,
        bundle,
        rings,
        moment,
        score,
        margin,
        None if features is None else bytes(features),
        bytes(answer),
        None if shadow is None else bytes(shadow),
    )
