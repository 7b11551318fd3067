"""The one writer of a journal: its lock, its connection, and how it comes back when the store was away."""

import fcntl
import os
import sqlite3
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, Final, Literal

from sqlalchemy import Connection

from scoring_service.database.engine import LONGEST_STATEMENT_MS, WRITER_LOCK, Database
from scoring_service.database.errors import JournalInUse, JournalUnavailable
from scoring_service.journal.checkpointer import Checkpointer

Commit = Literal["process", "disk"]
Clock = Literal["system", "events"]

# How long a commit waits for a lock that somebody else holds. `process` commits in the event loop.
WAIT_MS: Final = {"process": 40, "disk": 250}
_RECONNECT_AFTER_S: Final = 1.0
_LOCK_WAIT_S: Final = 2.0
_LOCK_POLL_S: Final = 0.02
_REMEDIES: Final = {
    sqlite3.SQLITE_BUSY: ("another program keeps the file locked", "Close it; it is tried again by itself."),
    sqlite3.SQLITE_LOCKED: (
        "another program keeps the file locked",
        "Close it; it is tried again by itself.",
    ),
    sqlite3.SQLITE_FULL: ("the disk is full", "Free some space; it is tried again by itself."),
    sqlite3.SQLITE_IOERR: (
        "the disk failed",
        "Check its space, quota and health; it is tried again by itself.",
    ),
    sqlite3.SQLITE_READONLY: ("the file may not be written", "Give this process the right to write it."),
    sqlite3.SQLITE_CORRUPT: ("the file is damaged", "Restore it from its backup."),
    sqlite3.SQLITE_NOTADB: ("the file is no database", "Restore it from its backup."),
}
# After these the connection is as good as before; after anything else it is opened anew.
_HARMLESS: Final = frozenset({sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED, sqlite3.SQLITE_FULL})


class Writer:
    """Owns the lock and the connection that writes.

    Args:
        database: The store.
        commit: ``process``: what was committed survives the end of this process; ``disk``: a power cut too.
        wait_ms: How long to wait for a lock that somebody else holds.
        opened: Called with each new connection, before it is used: checks that it is the same journal.

    Raises:
        JournalInUse: If another process writes.
        JournalUnavailable: If the store cannot be reached.
    """

    def __init__(
        self,
        database: Database,
        commit: Commit,
        wait_ms: int,
        opened: Callable[[Connection], None],
    ) -> None:
        self.lock = threading.RLock()
        self._begin = "BEGIN IMMEDIATE" if database.is_sqlite else "BEGIN"
        self._database = database
        self._is_durable = commit == "disk"
        self._wait_ms = wait_ms
        self._opened = opened
        self._connection: Connection | None = None
        self._cursor: Any = None
        self._files: tuple[tuple[str, int], ...] = ()
        self._inode = 0
        self._retry_at_s = 0.0
        self._is_patient = True
        self._lock_file = self._lock_beside(database.path) if database.path is not None else None
        self._checkpointer: Checkpointer | None = None
        try:
            self._connect(first=True)
        except BaseException:
            self.close()
            raise
        if database.is_sqlite:
            self._checkpointer = Checkpointer(database, self.lock)

    def close(self) -> None:
        """Close the connection and let others write."""
        if self._checkpointer is not None:
            self._checkpointer.close()
            self._checkpointer = None
        with self.lock:
            self._drop()
            if self._lock_file is not None:
                os.close(self._lock_file)
                self._lock_file = None

    def begin(self) -> tuple[Any, Connection]:
        """Begin a transaction; the caller holds the lock until it ends with ``commit`` or ``undone``.

        Returns:
            The driver's cursor and the connection that it belongs to.

        Raises:
            JournalUnavailable: If the store is away.
        """
        self._ready()
        cursor, connection = self._cursor, self._connection
        assert connection is not None
        try:
            cursor.execute(self._begin)
        except self._database.errors as error:
            raise self._failed(error) from None
        return cursor, connection

    def commit(self) -> None:
        """Commit what was begun; if it raises, ``undone`` has to be called."""
        self._cursor.execute("COMMIT")
        if not self._is_patient:
            self._be_patient(True)
        if self._checkpointer is not None:
            self._checkpointer.committed()
            if len(self._files) == 1:
                self._note_files()

    def undone(self, error: BaseException) -> BaseException:
        """Undo what was begun.

        Args:
            error: Why.

        Returns:
            What to raise: JournalUnavailable if the store failed, else the error.
        """
        if isinstance(error, self._database.errors):
            return self._failed(error)
        self._roll_back()
        return error

    def clean_log(self, tables: Sequence[str]) -> bool:
        """Take what was overwritten out of the database's log.

        Args:
            tables: Tables that held it.

        Returns:
            Whether all of it is out; False if a reader was in the way.

        Raises:
            JournalUnavailable: If the store failed.
        """
        with self.lock:
            self._ready()
            try:
                if not self._database.is_sqlite:
                    # Rows that were replaced leave the pages; its log and backups are the server's.
                    self._cursor.execute("SET statement_timeout=0")
                    self._cursor.execute(f"VACUUM {', '.join(tables)}")
                    self._cursor.execute(f"SET statement_timeout={LONGEST_STATEMENT_MS}")
                    return True
                deadline = time.monotonic() + _LOCK_WAIT_S
                while True:
                    self._cursor.execute("PRAGMA wal_checkpoint(TRUNCATE)")
                    if self._cursor.fetchone()[0] == 0:
                        return True
                    if time.monotonic() > deadline:
                        return False
                    time.sleep(_LOCK_POLL_S)
            except self._database.errors as error:
                raise self._failed(error) from None

    def _ready(self) -> None:
        """Make sure that the connection is there and writes where the next process will read."""
        if self._connection is not None:
            try:
                for path, inode in self._files:
                    # On each commit: a Path would take four times as long.
                    if os.stat(path).st_ino != inode:  # noqa: PTH116
                        break
                else:
                    return
            except OSError:
                pass
            self._drop()
        if self._lock_file is None and self._database.is_sqlite:
            raise JournalUnavailable(self._database.place, "the journal is closed", "Open it again.")
        if time.monotonic() < self._retry_at_s:
            raise JournalUnavailable(self._database.place, "the store cannot be reached")
        self._connect(first=False)

    def _connect(self, *, first: bool) -> None:
        path = self._database.path
        if not first:
            # Pooled connections may lead to what was there before.
            self._database.engine.dispose()
        if path is not None and not path.is_file():
            raise JournalUnavailable(
                self._database.place, "the file is gone", "Put it back; it is tried again by itself."
            )
        if path is not None and self._inode not in {0, path.stat().st_ino}:
            # Opened, SQLite would mix it with the log of the file before.
            raise JournalUnavailable(
                self._database.place,
                "another file took its place",
                "Put it back, or stop the service and remove state.db-wal before you put in a copy.",
            )
        try:
            connection = self._database.writer(wait_ms=self._wait_ms, durable=self._is_durable)
        except self._database.errors as error:
            raise self._failed(error) from None
        try:
            if not self._database.is_sqlite:
                self._lock_in(connection, wait_s=_LOCK_WAIT_S if first else 0.0)
            self._connection = connection
            self._cursor = connection.connection.cursor()
            self._is_patient = True
            self._opened(connection)
            self._note_files()
        except self._database.errors as error:
            raise self._failed(error) from None
        except BaseException:
            self._connection = connection
            self._drop()
            raise

    def _failed(self, error: Exception) -> JournalUnavailable:
        """Undo what was begun; say in one line what happened."""
        original = getattr(error, "orig", None) or error
        code = getattr(original, "sqlite_errorcode", 0) & 0xFF
        whole = self._roll_back()
        if code not in _HARMLESS or not whole:
            self._drop()
        if not self._database.is_sqlite:
            self._retry_at_s = 0.0 if self._connection is not None else time.monotonic() + _RECONNECT_AFTER_S
        elif code in {sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED} and self._connection is not None:
            # The lock may be held for minutes: whoever comes next need not wait for it too.
            self._be_patient(False)
        problem, remedy = _REMEDIES.get(code, (self._database.problem(error), "It is tried again by itself."))
        return JournalUnavailable(self._database.place, problem, remedy)

    def _be_patient(self, patient: bool) -> None:
        self._is_patient = patient
        self._cursor.execute(f"PRAGMA busy_timeout={self._wait_ms if patient else 0}")

    def _roll_back(self) -> bool:
        """Undo; tell whether the connection can still be used."""
        if self._cursor is None:
            return False
        try:
            raw = self._cursor.connection
            if not self._database.is_sqlite or raw.in_transaction:
                self._cursor.execute("ROLLBACK")
        except self._database.errors:
            return False
        return True

    def _drop(self) -> None:
        if self._connection is not None:
            with suppress(*self._database.errors):
                self._connection.close()
        self._connection = self._cursor = None
        self._files = ()

    def _note_files(self) -> None:
        """Remember which files are written: one that is deleted takes rows without a word."""
        path = self._database.path
        if path is None:
            return
        self._inode = path.stat().st_ino
        found = [path, path.with_name(path.name + "-wal")]
        self._files = tuple((str(file), file.stat().st_ino) for file in found if file.exists())

    def _lock_beside(self, path: Path) -> int:
        """Take the lock of the file's writer; the kernel frees it when this process ends, however it ends."""
        file = path.with_name(path.name + ".lock")
        descriptor = os.open(file, os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            holder = os.pread(descriptor, 20, 0).decode("ascii", "replace").strip()
            os.close(descriptor)
            raise JournalInUse(self._database.place, holder or None) from None
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, str(os.getpid()).encode(), 0)
        return descriptor

    def _lock_in(self, connection: Connection, *, wait_s: float) -> None:
        """Take the lock in the server; it frees it when this connection ends."""
        # A server needs a moment to see that the process before this one was killed.
        deadline = time.monotonic() + wait_s
        while True:
            taken = connection.exec_driver_sql(f"SELECT pg_try_advisory_lock({WRITER_LOCK})").scalar()
            if taken:
                return
            if time.monotonic() >= deadline:
                raise JournalInUse(self._database.place)
            time.sleep(_LOCK_POLL_S)
