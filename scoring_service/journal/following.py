"""Follow a journal that another process writes."""

import asyncio
import contextlib
from collections.abc import AsyncGenerator, Callable
from typing import Any, Final, TypeVar

from graph_etl import JournalRow
from scoring_service.database.errors import JournalUnavailable
from scoring_service.journal.journal import Journal

POLL_S: Final = 0.005
"""How often a follower looks; a look at SQLite takes about 10 µs."""

_BATCH: Final = 256
_LONGEST_WAIT_S: Final = 1.0

T = TypeVar("T")


async def follow(
    journal: Journal,
    after_seq: int,
    poll_s: float = POLL_S,
    *,
    away: Callable[[JournalUnavailable], None] | None = None,
) -> AsyncGenerator[list[JournalRow], None]:
    """New rows as they are committed, for ever; cancel the task to end it.

    Args:
        journal: The journal, opened for reading.
        after_seq: Only rows above it.
        poll_s: How long to wait before looking again where there was nothing new.
        away: Told each time that the store cannot be read; it is tried again, at most a second later.

    Yields:
        Up to 256 rows, in order and without gaps.

    Raises:
        JournalRowError: If a row is damaged.
    """
    wait_s = poll_s
    with contextlib.closing(_Look(journal)) as look:
        while True:
            try:
                last_seq = look() if journal.database.is_sqlite else await _in_a_thread(look)
                rows: list[JournalRow] = []
                if last_seq > after_seq:
                    rows = await _in_a_thread(lambda: list(journal.rows(after_seq, _BATCH)))  # noqa: B023
                wait_s = poll_s
            except JournalUnavailable as error:
                if away is not None:
                    away(error)
                rows, wait_s = [], min(2 * wait_s, _LONGEST_WAIT_S)
            if rows:
                after_seq = rows[-1].seq
                yield rows
            else:
                await asyncio.sleep(wait_s)


async def _in_a_thread(work: Callable[[], T]) -> T:
    """Do something in a thread; one who gives up waits for it, since until then it holds a connection."""
    task = asyncio.ensure_future(asyncio.to_thread(work))
    try:
        return await asyncio.shield(task)
    except asyncio.CancelledError:
        await asyncio.wait([task])
        if not task.cancelled():
            task.exception()  # whoever asked is gone
        raise


class _Look:
    """Asks for the last position on a connection of its own, so that an idle look costs one statement."""

    def __init__(self, journal: Journal) -> None:
        self._journal = journal
        self._connection: Any = None
        self._inode = 0

    def __call__(self) -> int:
        database = self._journal.database
        try:
            if database.path is not None and database.path.stat().st_ino != self._inode:
                # Another file stands there now, put back from a copy for example.
                self.close()
                database.engine.dispose()
                self._inode = database.path.stat().st_ino
            if self._connection is None:
                self._connection = database.engine.connect()
            cursor = self._connection.connection.cursor()
            cursor.execute(self._journal.hot.last)
            return cursor.fetchone()[0] or 0
        except database.errors as error:
            self.close()
            raise JournalUnavailable(database.place, database.problem(error)) from None
        except OSError:
            self._inode = 0
            self.close()
            raise JournalUnavailable(database.place, "the file is gone") from None

    def close(self) -> None:
        """Give the connection back."""
        if self._connection is not None:
            with contextlib.suppress(*self._journal.database.errors):
                self._connection.close()
            self._connection = None
