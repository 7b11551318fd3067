"""Writing in batches, each together with its checkpoint, by workers that keep out of each other's way."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from secrets import token_hex
from typing import TYPE_CHECKING, Any, Final

from graph_etl.neo4j_store.connection import TIMED_OUT, GraphStoreError, session

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from neo4j import Driver, Session, Transaction

    from graph_etl.neo4j_store.connection import Target

LOCK: Final = -1
"""``slot`` of the checkpoint that a load holds locked while it runs."""

_LOCK_WAIT_S: Final = 3.0
_HELD_S: Final = 600.0
"""How long a batch may wait for what somebody's open transaction holds."""

_RETRY_S: Final = 30.0
"""How long a batch is tried again for: a server that is started again is back within it."""

# Writing to the node locks it before what it says is read: a load that was taken over waits here, then finds
# another's name and writes nothing.
_HEAD: Final = (
    "MATCH (c:RingwatchCheckpoint {slot: $slot}) SET c.turn = $loader WITH c"
    " WHERE c.loader = $loader AND c.next = $number SET c.next = $number + 1 WITH c "
)
_FENCE: Final = (
    "MATCH (c:RingwatchCheckpoint {slot: $slot}) SET c.turn = $loader WITH c WHERE c.loader = $loader WITH c "
)


@dataclass(frozen=True, slots=True)
class Batch:
    """Something that is written in one transaction.

    Attributes:
        query: Cypher that begins with ``UNWIND $rows``.
        rows: Makes the rows.
        expected: How many things it touches, if all is as it should be.
        taken: Told of the lists that it returns, each of one value for each thing; None: it returns how many
            there are.
    """

    query: str
    rows: Callable[[], list[Any]]
    expected: int
    taken: Callable[[list[int], list[int]], None] | None = None


class Batches:
    """Writes batches in numbered slots; one slot's batches are written in order, by one worker.

    Args:
        driver: From :func:`connect`.
        target: The database.
        slots: How many workers.
    """

    def __init__(self, driver: Driver, target: Target, slots: int) -> None:
        self.slots = slots
        self._driver = driver
        self._target = target
        self._loader = token_hex(8)
        self._next = [0] * slots
        self._done = [0] * slots
        self._written = [0] * slots
        self._sessions = [session(driver, target) for _ in range(slots)]
        self._stopped = False
        self._pool = ThreadPoolExecutor(slots, thread_name_prefix="load")

    @property
    def written(self) -> int:
        """How many batches were written."""
        return sum(self._written)

    @property
    def skipped(self) -> int:
        """How many batches were there already."""
        return sum(self._next) - self.written

    def close(self) -> None:
        """End the workers."""
        self._stopped = True
        self._pool.shutdown(cancel_futures=True)
        for opened in self._sessions:
            opened.close()

    def begin(self, opened: Session, *, afresh: bool) -> None:
        """Take over the checkpoints; waits for batches of a load that died in the middle.

        Args:
            opened: A session.
            afresh: Forget what an earlier load has done.
        """
        rows = opened.execute_write(
            lambda work: work.run(
                "UNWIND range(0, $slots - 1) AS slot MERGE (c:RingwatchCheckpoint {slot: slot})"
                " SET c.loader = $loader"
                " SET c.next = CASE WHEN $afresh OR c.next IS NULL THEN 0 ELSE c.next END"
                " RETURN slot, c.next",
                slots=self.slots,
                loader=self._loader,
                afresh=afresh,
            ).values()
        )
        for slot, done in rows:
            self._done[slot] = done

    def round(self, work: Sequence[Sequence[Batch]]) -> None:
        """Write batches, those of different slots at once, and wait for all of them.

        Args:
            work: For each slot its batches; no two slots may touch the same nodes.

        Raises:
            GraphStoreError: If the database is not as it should be, or another load took over.
        """
        futures = [
            self._pool.submit(self._write_all, slot, batches) for slot, batches in enumerate(work) if batches
        ]
        for future in futures:
            future.result()

    def spread(self, batches: Sequence[Batch]) -> None:
        """Write batches that touch nothing in common.

        Args:
            batches: The batches.

        Raises:
            GraphStoreError: As :meth:`round`.
        """
        self.round([batches[slot :: self.slots] for slot in range(self.slots)])

    def again(self, query: str, parameters: dict[str, Any]) -> list[list[Any]]:
        """Write something that does no harm when it is written twice.

        Args:
            query: Cypher, begins with ``UNWIND``, ``MATCH`` or ``MERGE`` and returns something.
            parameters: Its parameters.

        Returns:
            What it returned.

        Raises:
            GraphStoreError: If another load took over.
        """

        def write(work: Transaction) -> list[list[Any]]:
            held = work.run(_FENCE + "RETURN 1", slot=0, loader=self._loader).values()
            if not held:
                raise self._taken_over()
            return work.run(query, parameters).values()

        written: list[list[Any]] = self._persist(self._sessions[0], write)
        return written

    def check(self, touched: int, expected: int) -> None:
        """Stop where the database is not as it should be.

        Args:
            touched: How many nodes or relationships were found.
            expected: How many there should be.

        Raises:
            GraphStoreError: If the two differ.
        """
        if touched != expected:
            message = (
                f"{self._target.shown}: {touched:,} of {expected:,} nodes or relationships of a batch were"
                " where they should be; somebody changed this database:"
                " run `ringwatch neo4j load --repair`"
            )
            raise GraphStoreError(message)

    def _write_all(self, slot: int, batches: Sequence[Batch]) -> None:
        try:
            for batch in batches:
                if self._stopped:
                    return
                self._write(slot, batch)
        except BaseException:
            self._stopped = True
            raise

    def _write(self, slot: int, batch: Batch) -> None:
        number = self._next[slot]
        self._next[slot] += 1
        if number < self._done[slot]:
            return
        rows = batch.rows()

        def write(work: Transaction) -> list[list[Any]] | None:
            found = work.run(
                _HEAD + batch.query, rows=rows, slot=slot, loader=self._loader, number=number
            ).values()
            touched = found[0][0] if batch.taken is None else len(found[0][0])
            if touched == batch.expected:
                return found
            loader, reached = work.run(
                "MATCH (c:RingwatchCheckpoint {slot: $slot}) RETURN c.loader, c.next", slot=slot
            ).values()[0]
            if loader != self._loader:
                raise self._taken_over()
            if touched == 0 and reached == number + 1:
                return None  # The connection was lost after it was committed.
            self.check(touched, batch.expected)
            return None

        found = self._persist(self._sessions[slot], write)
        self._written[slot] += 1
        if batch.taken is not None and found is not None:
            batch.taken(*found[0])

    def _persist(self, opened: Session, write: Callable[[Transaction], Any]) -> Any:
        """Do something in a transaction, again and again while it fails for reasons that pass."""
        from neo4j.exceptions import DriverError, Neo4jError, ServiceUnavailable

        until = time.monotonic() + _RETRY_S
        pause = 0.02
        while True:
            try:
                with opened.begin_transaction(timeout=_HELD_S) as work:
                    result = write(work)
                    work.commit()
                    return result
            except (DriverError, Neo4jError) as error:
                # Also where nobody knows whether it was committed: its checkpoint does.
                passes = error.is_retryable() or isinstance(error, ServiceUnavailable)
                if not passes or self._stopped or time.monotonic() > until:
                    raise
            time.sleep(pause)
            pause = min(pause * 2, 1.0)

    def _taken_over(self) -> GraphStoreError:
        return GraphStoreError(f"{self._target.shown}: another load took over; this one stopped")


@contextmanager
def only_one(driver: Driver, target: Target) -> Iterator[None]:
    """Hold a database against other loads; a process that dies lets go by itself.

    Args:
        driver: From :func:`connect`.
        target: The database; it has the checkpoint of the slot :data:`LOCK`.

    Yields:
        Nothing.

    Raises:
        GraphStoreError: If another load is running there.
    """
    from neo4j.exceptions import DriverError, Neo4jError

    query = "MATCH (c:RingwatchCheckpoint {slot: $slot}) SET c.turn = $slot"
    with session(driver, target) as opened:
        try:
            # Only a transaction's whole time can be bounded, so a short one asks and another one holds.
            with opened.begin_transaction(timeout=_LOCK_WAIT_S) as asking:
                asking.run(query, slot=LOCK).consume()
        except Neo4jError as error:
            if not any(sort in str(error.code) for sort in TIMED_OUT):
                raise
            message = f"{target.shown}: another load is running there; wait for it"
            raise GraphStoreError(message) from None
        holding = opened.begin_transaction()
        holding.run(query, slot=LOCK).consume()
        try:
            yield
        finally:
            # A server that went away has let go by itself.
            with suppress(DriverError, Neo4jError):
                holding.rollback()
