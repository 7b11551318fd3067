"""Many requests, one commit: what one turn of the event loop submits is committed together."""

import asyncio
import time
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import Final

from graph_etl import JournalRow
from scoring_service.database.errors import JournalUnavailable
from scoring_service.journal.entries import Entry, IdempotencyConflict, Kept
from scoring_service.journal.journal import Journal
from scoring_service.journal.turn import Prepared

MAX_WAITING: Final = 10_000
"""Entries that may wait for their commit; more are refused at once."""

_MAX_GROUP: Final = 1_000


@dataclass(frozen=True, slots=True)
class CommitFigures:
    """How the commits go.

    Attributes:
        waiting: Entries that wait for their commit.
        commits: Groups that were committed.
        rows: Rows that they held.
        failures: Groups that could not be committed.
        last_commit_s: How long the last commit took, seconds; 0 before the first.
        last_problem: Why the last group failed; None once one was committed after it.
    """

    waiting: int = 0
    commits: int = 0
    rows: int = 0
    failures: int = 0
    last_commit_s: float = 0.0
    last_problem: str | None = None


@dataclass(slots=True)
class _Waiting:
    """One request that waits: its entries and who is to be told."""

    prepared: list[Prepared]
    told: asyncio.Future[list[Kept]]


class GroupCommit:
    """Collects entries, commits them together, applies the rows in order, then tells who waits.

    A SQLite journal that commits for the process does so in the event loop; every other one in one thread.
    Never are there two commits at once. Belongs to the loop that first submits.

    Args:
        journal: The journal; only this writes to it while the loop runs, but for :meth:`catch_up`.
        applied: Called in the loop with rows that are committed, strictly in order of ``seq``, each row once.
        max_waiting: Entries that may wait; beyond it :class:`JournalUnavailable`.
    """

    def __init__(
        self,
        journal: Journal,
        applied: Callable[[list[JournalRow]], None],
        *,
        max_waiting: int = MAX_WAITING,
    ) -> None:
        self._journal = journal
        self._applied = applied
        self._max_waiting = max_waiting
        self._applied_seq = journal.last_seq()
        self._is_inline = journal.commit == "process" and journal.database.is_sqlite
        self._thread = (
            None if self._is_inline else ThreadPoolExecutor(1, thread_name_prefix="ringwatch-journal")
        )
        self._queue: deque[_Waiting] = deque()
        self._n_waiting = 0
        self._is_due = False
        self._is_committing = False
        self._is_closed = False
        self._idle: asyncio.Future[None] | None = None
        self._figures = CommitFigures()

    @property
    def figures(self) -> CommitFigures:
        """How the commits go."""
        return replace(self._figures, waiting=self._n_waiting)

    @property
    def applied_seq(self) -> int:
        """Position of the last row that was handed to ``applied``."""
        return self._applied_seq

    async def submit(self, entry: Entry) -> Kept:
        """Keep an entry; returns when it is committed and applied.

        Args:
            entry: The entry.

        Returns:
            What became of it.

        Raises:
            JournalUnavailable: If it was not kept.
            JournalRowError: If it cannot be written down.
            IdempotencyConflict: If its Idempotency-Key was used with another body.
        """
        return (await self.submit_all((entry,)))[0]

    async def submit_all(self, entries: Sequence[Entry]) -> list[Kept]:
        """Keep the entries of one request: all or none.

        Args:
            entries: The entries, in order.

        Returns:
            What became of each.

        Raises:
            JournalUnavailable: If none was kept.
            JournalRowError: If one cannot be written down.
            IdempotencyConflict: If the request's Idempotency-Key was used with another body.
        """
        place = self._journal.place
        if self._is_closed:
            raise JournalUnavailable(place, "the service is stopping", "Send it again to its successor.")
        if self._n_waiting + len(entries) > self._max_waiting:
            raise JournalUnavailable(
                place, f"{self._n_waiting} entries wait for their commit already", "Send fewer at a time."
            )
        loop = asyncio.get_running_loop()
        waiting = _Waiting([self._journal.prepare(entry) for entry in entries], loop.create_future())
        self._queue.append(waiting)
        self._n_waiting += len(entries)
        if not self._is_due and not self._is_committing:
            self._is_due = True
            loop.call_soon(self._commit, loop)
        kept = await waiting.told
        if any(one.is_conflict for one in kept):
            raise IdempotencyConflict
        return kept

    def catch_up(self) -> None:
        """Apply rows that were kept beside this, by an erasure for example. Call it in the loop."""
        if self._journal.last_seq() > self._applied_seq:
            self._apply(
                list(self._journal.rows(self._applied_seq, self._journal.last_seq() - self._applied_seq))
            )

    async def close(self) -> None:
        """Commit what waits, then refuse everything."""
        self._is_closed = True
        if self._is_due or self._is_committing:
            self._idle = asyncio.get_running_loop().create_future()
            await self._idle
        if self._thread is not None:
            self._thread.shutdown()

    def _commit(self, loop: asyncio.AbstractEventLoop) -> None:
        self._is_due = False
        self._is_committing = True
        group: list[_Waiting] = []
        n_entries = 0
        while self._queue and (not group or n_entries + len(self._queue[0].prepared) <= _MAX_GROUP):
            group.append(self._queue.popleft())
            n_entries += len(group[-1].prepared)
        prepared = [one for waiting in group for one in waiting.prepared]
        started_s = time.perf_counter()
        if self._thread is None:
            done: Future[list[Kept]] = Future()
            try:
                done.set_result(self._journal.write(prepared))
            except Exception as error:
                done.set_exception(error)
            self._finish(loop, group, started_s, done)
        else:
            self._thread.submit(self._journal.write, prepared).add_done_callback(
                lambda done: loop.call_soon_threadsafe(self._finish, loop, group, started_s, done)
            )

    def _finish(
        self,
        loop: asyncio.AbstractEventLoop,
        group: list[_Waiting],
        started_s: float,
        done: Future[list[Kept]],
    ) -> None:
        prepared = [one for waiting in group for one in waiting.prepared]
        self._n_waiting -= len(prepared)
        took_s = time.perf_counter() - started_s
        error = done.exception()
        if error is not None:
            self._figures = replace(
                self._figures,
                failures=self._figures.failures + 1,
                last_commit_s=took_s,
                last_problem=str(error),
            )
            for waiting in group:
                if not waiting.told.done():
                    waiting.told.set_exception(error)
        else:
            kept = done.result()
            rows = [
                JournalRow(one.seq, one.received_ms, what.content)
                for one, what in zip(kept, prepared, strict=True)
                if one.duplicate_of is None and not one.is_conflict
            ]
            self._figures = CommitFigures(
                commits=self._figures.commits + 1,
                rows=self._figures.rows + len(rows),
                failures=self._figures.failures,
                last_commit_s=took_s,
            )
            try:
                self._apply_next(rows)
            except Exception as fault:
                # The rows are kept, so those who wait are told so; the fault is the callback's.
                loop.call_exception_handler({"message": "rows were kept, not applied", "exception": fault})
            at = 0
            for waiting in group:
                if not waiting.told.done():
                    waiting.told.set_result(kept[at : at + len(waiting.prepared)])
                at += len(waiting.prepared)
        self._is_committing = False
        if self._queue:
            self._is_due = True
            loop.call_soon(self._commit, loop)
        elif self._idle is not None and not self._idle.done():
            self._idle.set_result(None)

    def _apply_next(self, rows: list[JournalRow]) -> None:
        """Apply rows in order; first those that were kept beside this or by a commit that seemed to fail."""
        if not rows:
            return
        missing = rows[0].seq - self._applied_seq - 1
        if missing > 0:
            self._apply(list(self._journal.rows(self._applied_seq, missing)))
        self._apply([row for row in rows if row.seq > self._applied_seq])

    def _apply(self, rows: list[JournalRow]) -> None:
        if rows:
            self._applied_seq = rows[-1].seq
            self._applied(rows)
