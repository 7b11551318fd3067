"""Moves what was committed from SQLite's log into its file, beside the writer instead of within a commit."""

import threading
from contextlib import suppress
from typing import Final

from scoring_service.database.engine import Database

_EVERY_COMMITS: Final = 500
_EVERY_S: Final = 2.0
_LONGEST_LOG_PAGES: Final = 16_384  # 64 MiB
_WAIT_MS: Final = 20


class Checkpointer:
    """A thread that keeps the log short.

    A commit that moves a thousand pages itself takes 5 to 60 ms, and everything waits for it. Beside the
    writer the work never ends while events keep coming: once the log is long, the writer is held up for the
    little that is left, some milliseconds. The log then begins anew in the same file; one that grows costs
    every commit a change of the file's size on the disk.

    Args:
        database: The store, a SQLite file.
        writer_lock: Held by whoever writes.
    """

    def __init__(self, database: Database, writer_lock: threading.RLock) -> None:
        self._database = database
        self._writer_lock = writer_lock
        self._n_commits = 0
        self._is_stopped = False
        self._due = threading.Event()
        self._thread = threading.Thread(target=self._run, name="ringwatch-checkpoint", daemon=True)
        self._thread.start()

    def committed(self) -> None:
        """Note a commit."""
        self._n_commits += 1
        if self._n_commits == _EVERY_COMMITS:
            self._due.set()

    def close(self) -> None:
        """Stop; what is still in the log is moved when the file is closed or opened."""
        self._is_stopped = True
        self._due.set()
        self._thread.join()

    def _run(self) -> None:
        while not self._is_stopped:
            self._due.wait(_EVERY_S)
            self._due.clear()
            if self._n_commits and not self._is_stopped:
                self._n_commits = 0
                # What cannot be moved now is moved the next time; the writer tells of a store that is away.
                with suppress(*self._database.errors):
                    self._move()

    def _move(self) -> None:
        with self._database.connection() as connection:
            connection.exec_driver_sql("PRAGMA synchronous=NORMAL")
            connection.exec_driver_sql(f"PRAGMA busy_timeout={_WAIT_MS}")
            _, n_pages, _ = connection.exec_driver_sql("PRAGMA wal_checkpoint(PASSIVE)").one()
            if n_pages > _LONGEST_LOG_PAGES:
                with self._writer_lock:
                    connection.exec_driver_sql("PRAGMA wal_checkpoint(RESTART)")
