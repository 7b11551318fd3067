"""Following the journal: what was accepted since the snapshot, in Neo4j moments later."""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from graph_etl.journal import LiveErasure
from graph_etl.neo4j_store import live_statements as cypher
from graph_etl.neo4j_store.connection import GraphStoreAway, GraphStoreError, connect, session
from graph_etl.neo4j_store.live_changes import LiveChanges, until_erasure
from graph_etl.neo4j_store.schema import STATE, check_owner, create_live_indexes
from graph_etl.workspace import WorkspaceError

if TYPE_CHECKING:
    from collections.abc import Callable, Collection

    from neo4j import Session, Transaction

    from graph_etl.journal import JournalReader, JournalRow
    from graph_etl.neo4j_store.connection import Target
    from graph_etl.snapshot import Snapshot
    from graph_etl.workspace import Workspace

BATCH_ROWS: Final = 2_000
"""Rows of the journal that one transaction takes at most."""

POLL_S: Final = 0.1
"""How often the journal is looked at where it had nothing new."""

_AGAIN_S: Final = 2.0
_MOST_GIVEN_WAY: Final = 10


@dataclass(frozen=True, slots=True)
class Lag:
    """How far the database is behind the journal.

    Attributes:
        seq: Last row of the journal that the database holds.
        rows: Rows that the last transaction took.
        age_s: How old the oldest of them was when it became visible, seconds.
        rows_behind: Rows that the database does not hold yet.
        seconds_behind: How old the oldest of those is, seconds; 0 where there is none.
    """

    seq: int
    rows: int
    age_s: float
    rows_behind: int
    seconds_behind: float


@dataclass(slots=True)
class FollowReport:
    """What following did.

    Attributes:
        snapshot: Id of the snapshot below.
        journal_seq: Last row of the journal that the database holds.
        rows: Rows taken.
        transactions: In how many transactions.
        rows_behind: Rows that the database does not hold.
        seconds_behind: How old the oldest of those is, seconds.
        slowest_s: Longest time from a row's acceptance until it was visible, seconds.
        outages: How often the server was away.
        seconds: How long it took.
    """

    snapshot: str = ""
    journal_seq: int = 0
    rows: int = 0
    transactions: int = 0
    rows_behind: int = 0
    seconds_behind: float = 0.0
    slowest_s: float = 0.0
    outages: int = 0
    seconds: float = 0.0


def follow(
    target: Target,
    workspace: Workspace,
    journal: JournalReader,
    *,
    once: bool = False,
    stop: threading.Event | None = None,
    tombstone: Callable[[str], str] | None = None,
    tell: Callable[[Lag], None] | None = None,
    note: Callable[[str], None] | None = None,
) -> FollowReport:
    """Write new rows of the journal into a database that holds a snapshot, each exactly once.

    What a row changes and its number are written in one transaction; killed at any point, the next call goes
    on where this one stopped. Each node and relationship that is changed is marked with ``live_seq``, so that
    a load of the next snapshot finds it. After such a load this goes on from that snapshot.

    Args:
        target: The database.
        workspace: Holds the snapshot that the database holds.
        journal: The journal that the snapshot was built with.
        once: End when all rows are written.
        stop: End when it is set.
        tombstone: What the journal puts in the place of an account that was forgotten; None: its key.
        tell: Told of the lag after each transaction, and every second where nothing comes.
        note: Told in a line of what interrupts: the server is away, a load is running.

    Returns:
        What was done.

    Raises:
        GraphStoreError: If the database cannot be used or holds no snapshot of the workspace, or the journal
            is not the one that it was fed from. A server that goes away later is waited for, unless ``once``.
    """
    follower = _Follower(
        target=target,
        workspace=workspace,
        journal=journal,
        once=once,
        stop=stop or threading.Event(),
        tombstone=tombstone,
        tell=tell or (lambda lag: None),
        note=note or (lambda line: None),
    )
    return follower.run()


class _Moved(Exception):
    """The database is not as it was: somebody loaded a snapshot into it."""


@dataclass(slots=True)
class _Follower:
    target: Target
    workspace: Workspace
    journal: JournalReader
    once: bool
    stop: threading.Event
    tombstone: Callable[[str], str] | None
    tell: Callable[[Lag], None]
    note: Callable[[str], None]
    report: FollowReport = field(default_factory=FollowReport)
    _changes: LiveChanges | None = None
    _held_seq: int = 0
    _told_s: float = 0.0
    _n_given_way: int = 0

    def run(self) -> FollowReport:
        started = time.monotonic()
        is_away = False
        while not self.stop.is_set():
            try:
                with connect(self.target) as driver, session(driver, self.target) as opened:
                    if is_away:
                        self.note(f"{self.target.shown}: is back")
                        is_away = False
                    self._changes = None
                    self._follow(opened)
                    break
            except GraphStoreAway as error:
                # Before anything was written, an address that nobody listens at is a slip of the pen.
                if self.once or not self.report.snapshot:
                    raise
                if not is_away:
                    self.report.outages += 1
                    self.note(f"{error}; waiting for it")
                is_away = True
                self.stop.wait(_AGAIN_S)
        self.report.seconds = time.monotonic() - started
        return self.report

    def _follow(self, opened: Session) -> None:
        while not self.stop.is_set():
            if self._changes is None and not self._begin(opened):
                self.stop.wait(_AGAIN_S)
                continue
            seq = self.report.journal_seq
            rows = until_erasure(self.journal.rows(seq, BATCH_ROWS)) if self.journal.last_seq() > seq else []
            if rows:
                self._try_to_write(opened, rows)
                continue
            self._look(0, 0.0)
            if self.once:
                return
            self.stop.wait(POLL_S)

    def _try_to_write(self, opened: Session, rows: list[JournalRow]) -> None:
        from neo4j.exceptions import TransientError

        try:
            self._write(opened, rows)
        except _Moved:
            self._changes = None
        except TransientError:
            # Somebody else writes too, and one of the two had to give way.
            self._changes = None
            self._n_given_way += 1
            if self._n_given_way > _MOST_GIVEN_WAY:
                raise
        else:
            self._n_given_way = 0

    def _begin(self, opened: Session) -> bool:
        """Find out what the database holds; False while a load is running."""
        state = self._checked(opened)
        if state.get("loading") is not None:
            line = (
                f"{self.target.shown}: snapshot {state['loading']} is being loaded; if that was stopped, run"
                " `ringwatch neo4j load` again"
            )
            if self.once:
                raise GraphStoreError(line)
            self.note(f"{line}; waiting for it")
            return False
        snapshot = self._snapshot(str(state["snapshot"]))
        held = int(snapshot.manifest["last_seq"])
        seq = max(held, int(state.get("journal_seq") or 0))
        if seq > self.journal.last_seq():
            message = (
                f"{self.target.shown}: holds rows of the journal up to {seq:,}, the journal ends at"
                f" {self.journal.last_seq():,}; restore the journal from its backup"
            )
            raise GraphStoreError(message)
        changes = LiveChanges(snapshot, self.tombstone)
        create_live_indexes(opened, changes.types)
        changes.remember(self.journal, held, seq)
        self._changes, self._held_seq = changes, held
        self.report.snapshot, self.report.journal_seq = snapshot.id, seq
        return True

    def _checked(self, opened: Session) -> dict[str, Any]:
        manifest = self.workspace.open_snapshot().manifest
        state = check_owner(opened, self.target, manifest["name"], manifest["key_fingerprint"])
        if state is None or (state.get("snapshot") is None and state.get("loading") is None):
            message = f"{self.target.shown}: holds no snapshot yet; run `ringwatch neo4j load` first"
            raise GraphStoreError(message)
        return state

    def _snapshot(self, identity: str) -> Snapshot:
        try:
            return self.workspace.open_snapshot(identity)
        except WorkspaceError:
            message = (
                f"{self.target.shown}: holds snapshot {identity}, which {self.workspace.path} has no more;"
                " run `ringwatch neo4j load`"
            )
            raise GraphStoreError(message) from None

    def _write(self, opened: Session, rows: list[JournalRow]) -> None:
        assert self._changes is not None
        if rows[0].seq != self.report.journal_seq + 1:
            message = (
                f"journal: row {self.report.journal_seq + 1:,} is due, got row {rows[0].seq:,};"
                " restore the journal from its backup"
            )
            raise GraphStoreError(message)
        with opened.begin_transaction() as transaction:
            held = transaction.run(cypher.HELD, name=STATE).single(strict=True)
            before = max(int(held["journal_seq"] or 0), self._held_seq)
            if (
                held["loading"] is not None
                or held["snapshot"] != self.report.snapshot
                or before != self.report.journal_seq
            ):
                raise _Moved

            def known(accounts: Collection[str]) -> set[str]:
                return _known(transaction, accounts)

            def marked() -> list[str]:
                return [record["id"] for record in transaction.run(cypher.MARKED)]

            if isinstance(rows[0].content, LiveErasure):
                statements = self._changes.forget(rows, known, marked)
            else:
                statements = self._changes.take(rows, known)
            for statement in statements:
                transaction.run(statement.cypher, rows=statement.rows, **statement.also).consume()
            transaction.run(cypher.ADVANCE, name=STATE, seq=rows[-1].seq).consume()
            transaction.commit()
        self.report.journal_seq = rows[-1].seq
        self.report.rows += len(rows)
        self.report.transactions += 1
        self._look(len(rows), _age_s(rows[0]))

    def _look(self, rows: int, age_s: float) -> None:
        """Measure the lag and tell of it."""
        seq = self.report.journal_seq
        behind = self.journal.last_seq() - seq
        oldest = next(iter(self.journal.rows(seq, 1)), None) if behind else None
        self.report.rows_behind = behind
        self.report.seconds_behind = 0.0 if oldest is None else _age_s(oldest)
        self.report.slowest_s = max(self.report.slowest_s, age_s)
        if rows or time.monotonic() - self._told_s >= 1.0:
            self._told_s = time.monotonic()
            self.tell(Lag(seq, rows, age_s, behind, self.report.seconds_behind))


def _known(transaction: Transaction, accounts: Collection[str]) -> set[str]:
    if not accounts:
        return set()
    return set(transaction.run(cypher.KNOWN, rows=sorted(accounts)).single(strict=True)["known"])


def _age_s(row: JournalRow) -> float:
    return max(0.0, time.time() - row.received_ms / 1000.0)
