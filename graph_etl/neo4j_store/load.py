"""Loading a snapshot into Neo4j: first load and increment on one path, killed at any point and gone on with.

The change between what the database holds and the snapshot is worked out, then written in batches. Which
snapshot the database holds is in its state node. Each batch is written together with its checkpoint, and the
batches are the same in every run, so that a load that is started again knows which of them are there already.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from graph_etl.neo4j_store import schema, statements
from graph_etl.neo4j_store.batches import LOCK, Batches, only_one
from graph_etl.neo4j_store.changes import SnapshotChanges
from graph_etl.neo4j_store.connection import connect, session
from graph_etl.neo4j_store.database_changes import DatabaseChanges
from graph_etl.neo4j_store.naming import labels_of
from graph_etl.neo4j_store.node_ids import NodeIds
from graph_etl.neo4j_store.tables import ROWS_AT_ONCE, GraphTables
from graph_etl.neo4j_store.writing import NODES_A_BATCH, RELATIONSHIPS_A_BATCH, Writer
from graph_etl.snapshot import SnapshotError
from graph_etl.workspace import WorkspaceError

if TYPE_CHECKING:
    from collections.abc import Callable

    from neo4j import Driver, ManagedTransaction, Session

    from graph_etl.neo4j_store.connection import Target
    from graph_etl.snapshot import Snapshot
    from graph_etl.workspace import Workspace

    Progress = Callable[[str, int, int], None]

WORKERS: Final = 2
_HELD_S: Final = 60.0
"""How long a load waits for somebody who holds the state, for example in a transaction left open."""

NOTHING: Final = "nothing"
DATABASE: Final = "database"

# Batches are the same only where they are cut alike: a load cut otherwise is not gone on with, but read.
_CUT: Final = f"2 {WORKERS} {NODES_A_BATCH} {RELATIONSHIPS_A_BATCH} {ROWS_AT_ONCE}"


@dataclass(frozen=True, slots=True)
class LoadCounts:
    """What a load does to one sort of thing.

    Attributes:
        created: New in the database.
        updated: There already, with other properties.
        deleted: Not in the snapshot any more.
        untouched: There already, as they should be.
    """

    created: int = 0
    updated: int = 0
    deleted: int = 0
    untouched: int = 0

    @property
    def changed(self) -> int:
        """How many are not as they were."""
        return self.created + self.updated + self.deleted

    def __add__(self, other: LoadCounts) -> LoadCounts:
        return LoadCounts(
            self.created + other.created,
            self.updated + other.updated,
            self.deleted + other.deleted,
            self.untouched + other.untouched,
        )


@dataclass(frozen=True, slots=True)
class LoadReport:
    """What a load did, or would do.

    Attributes:
        snapshot: Id of the snapshot.
        base: What the change was worked out against: ``nothing``, ``database`` or the id of a snapshot.
        dry_run: Whether nothing was written.
        resumed: Whether an earlier load was gone on with; counts are those of both together.
        nodes: Accounts, identifiers and entities.
        relationships: What was used, and interactions.
        verdicts: Verdicts.
        batches: How many batches were written.
        skipped: How many an earlier load had written.
        seconds: How long it took.
    """

    snapshot: str
    base: str
    dry_run: bool = False
    resumed: bool = False
    nodes: LoadCounts = field(default_factory=LoadCounts)
    relationships: LoadCounts = field(default_factory=LoadCounts)
    verdicts: LoadCounts = field(default_factory=LoadCounts)
    batches: int = 0
    skipped: int = 0
    seconds: float = 0.0

    @property
    def changed(self) -> int:
        """How many nodes, relationships and verdicts are not as they were."""
        return self.nodes.changed + self.relationships.changed + self.verdicts.changed


def load(
    snapshot: Snapshot,
    workspace: Workspace,
    target: Target,
    *,
    repair: bool = False,
    dry_run: bool = False,
    progress: Progress | None = None,
) -> LoadReport:
    """Make a database hold a snapshot; what is in it already is not touched.

    Args:
        snapshot: The snapshot.
        workspace: Holds the snapshot that the database holds now, if it is still there.
        target: The database.
        repair: Compare with what the database holds, not with what it says that it holds.
        dry_run: Say what would change and write nothing.
        progress: Told of each step, how much of it is done and of how much.

    Returns:
        What was done.

    Raises:
        GraphStoreError: If the database cannot be used, holds something else or is not as it should be, or
            another load is running there.
    """
    started = time.monotonic()
    with connect(target) as driver:
        loading = _Loading(driver, target, snapshot, workspace, progress or _say_nothing)
        with session(driver, target) as opened:
            if dry_run:
                report = loading.compare(opened, repair=repair)
            else:
                report = loading.run(opened, repair=repair)
    return replace(report, dry_run=dry_run, seconds=time.monotonic() - started)


def _say_nothing(step: str, done: int, total: int) -> None:
    """Progress that nobody asked for."""


class _Loading:
    """One load."""

    def __init__(
        self, driver: Driver, target: Target, snapshot: Snapshot, workspace: Workspace, progress: Progress
    ) -> None:
        self.driver = driver
        self.target = target
        self.snapshot = snapshot
        self.workspace = workspace
        self.progress = progress
        self.tables = GraphTables(snapshot)
        self.ids = NodeIds(driver, target, self.tables)

    def compare(self, opened: Session, *, repair: bool) -> LoadReport:
        """Work out what would change, and write nothing."""
        state = self._state(opened)
        base, resumed = self._base(state, repair=repair)
        if base is None:
            return self._nothing_to_do()
        return self._go(opened, base, resumed, state, None)

    def run(self, opened: Session, *, repair: bool) -> LoadReport:
        """Work out what changes, and write it."""
        if self._base(self._state(opened), repair=repair)[0] is None:
            # An imported database holds all but these.
            schema.create_schema(opened, self.tables.labels)
            return self._nothing_to_do()
        schema.create_constraints(opened, self.tables.labels)
        _written(opened, _CLAIM, {**self._owner, "lock": LOCK})
        with only_one(self.driver, self.target):
            while True:
                state = self._state(opened)
                base, resumed = self._base(state, repair=repair)
                if base is None:  # Another load has just come to its end.
                    return self._nothing_to_do()
                if base != NOTHING:
                    schema.create_indexes(opened)
                # A follower may have gone on since the state was read; then all of it is asked again.
                if _written(opened, _BEGIN, self._begin(base, state)):
                    break
            batches = Batches(self.driver, self.target, WORKERS)
            try:
                batches.begin(opened, afresh=not resumed)
                writer = Writer(self.driver, self.target, batches, self.ids)
                report = self._go(opened, base, resumed, state, writer)
                # Filled at once an index costs a fraction of what it costs row by row.
                self.progress("indexes", 0, 1)
                schema.create_indexes(opened)
                batches.again(_END, self._end())
            finally:
                batches.close()
            return replace(report, batches=batches.written, skipped=batches.skipped)

    def _nothing_to_do(self) -> LoadReport:
        tables, snapshot = self.tables, self.snapshot
        everything = np.arange(snapshot.n_nodes, dtype=np.int32)
        return LoadReport(
            snapshot.id,
            snapshot.id,
            nodes=LoadCounts(untouched=snapshot.n_nodes),
            relationships=LoadCounts(
                untouched=sum(tables.count_into(table, everything) for table in tables.relationship_tables)
            ),
            verdicts=LoadCounts(untouched=len(snapshot.verdicts)),
        )

    @property
    def _owner(self) -> dict[str, Any]:
        manifest = self.snapshot.manifest
        return {
            "state": schema.STATE,
            "format": schema.FORMAT,
            "data": manifest["name"],
            "key_fingerprint": manifest["key_fingerprint"],
        }

    def _state(self, opened: Session) -> dict[str, Any]:
        owner = self._owner
        return schema.check_owner(opened, self.target, owner["data"], owner["key_fingerprint"]) or {}

    def _old(self, identity: str) -> Snapshot | None:
        try:
            return self.workspace.open_snapshot(identity)
        except (WorkspaceError, SnapshotError):
            return None

    def _base(self, state: dict[str, Any], *, repair: bool) -> tuple[str | None, bool]:
        """What the change is worked out against (None: there is none), and whether a load is gone on with."""
        whole, loading = state.get("snapshot"), state.get("loading")
        if whole is None and loading is None:
            return NOTHING, False
        if loading is not None:
            base = str(state.get("load_from"))
            same = (loading, state.get("load_cut")) == (self.snapshot.id, _CUT)
            if repair or not same or base == DATABASE or (base != NOTHING and self._old(base) is None):
                return DATABASE, False
            return base, True
        old = self._old(str(whole))
        if (
            repair
            or old is None
            or _labelled_otherwise(old, self.snapshot)
            or int(state.get("journal_seq", 0)) > old.last_seq
        ):
            return DATABASE, False
        return (None if whole == self.snapshot.id else old.id), False

    def _begin(self, base: str, state: dict[str, Any]) -> dict[str, Any]:
        """What the state says from now on until the load is done."""
        there = self._contents()
        for name, values in there.items():
            there[name] = list(dict.fromkeys([*state.get(name, ()), *values]))
        return {
            "state": schema.STATE,
            "journal_seq": state.get("journal_seq", 0),
            "snapshot": state.get("snapshot", ""),
            "said": {"loading": self.snapshot.id, "load_from": base, "load_cut": _CUT, **there},
        }

    def _end(self) -> dict[str, Any]:
        """What the state says once the load is done."""
        said = {"snapshot": self.snapshot.id, "journal_seq": self.snapshot.last_seq, **self._contents()}
        return {"state": schema.STATE, "said": said}

    def _contents(self) -> dict[str, list[str]]:
        """Labels, types and properties of attributes that a repair has to look for."""
        return schema.contents_of(self.tables)

    def _changes(self, base: str, state: dict[str, Any]) -> SnapshotChanges | DatabaseChanges:
        if base == DATABASE:
            lists = (state.get(name, []) for name in self._contents())
            return DatabaseChanges(self.driver, self.target, self.tables, self.ids, *lists)
        old = None if base == NOTHING else GraphTables(self.workspace.open_snapshot(base))
        return SnapshotChanges(self.tables, old)

    def _go(
        self, opened: Session, base: str, resumed: bool, state: dict[str, Any], writer: Writer | None
    ) -> LoadReport:
        """Go through all changes; write them if there is somebody who writes."""
        changes = self._changes(base, state)
        nodes, relationships = LoadCounts(), LoadCounts()
        self.progress("nodes", 0, self.snapshot.n_nodes)
        for change in changes.nodes():
            nodes += LoadCounts(len(change.created), len(change.updated), 0, change.untouched)
            if writer is not None:
                writer.nodes(change)
            self.progress("nodes", change.done, self.snapshot.n_nodes)
        n_events = changes.n_events
        self.progress("relationships", 0, n_events)
        for some in changes.relationships():
            gone = len(some.deleted) + len(some.surplus) + some.lost
            relationships += LoadCounts(len(some.created), len(some.updated), gone, some.untouched)
            if writer is not None:
                writer.relationships(some)
            self.progress("relationships", some.done, n_events)
        verdicts = self._verdicts(opened, writer)
        for lost in changes.gone_nodes():
            nodes += LoadCounts(deleted=len(lost.keys))
            if writer is not None:
                writer.gone_nodes(lost)
        return LoadReport(self.snapshot.id, base, False, resumed, nodes, relationships, verdicts)

    def _verdicts(self, opened: Session, writer: Writer | None) -> LoadCounts:
        """Compare the verdicts with those that the database holds: they are few."""
        wanted = self.tables.verdicts()
        self.progress("verdicts", 0, len(wanted))
        said = wanted.select("account", *statements.VERDICT_COLUMNS)
        missing = {row[0]: row[1] for row in zip(wanted["id"].to_list(), said.iter_rows(), strict=True)}
        gone, known = [], set()
        for identity, place, marked, accounts, *values in opened.run(
            "MATCH (v:Verdict) RETURN v.id, id(v), v.live_seq IS NOT NULL,"
            " COLLECT { MATCH (a:Account)-[:HAS_VERDICT]->(v) RETURN a.id },"
            f" {statements.read_columns('v', statements.VERDICT_COLUMNS)}"
        ):
            row = missing.get(identity)
            if row is not None and not marked and accounts == [row[0]] and tuple(values) == row[1:]:
                known.add(identity)
            else:
                gone.append(place)
        created = wanted.filter(~wanted["id"].is_in(list(known)))
        if writer is not None:
            writer.verdicts(created, gone)
        self.progress("verdicts", len(wanted), len(wanted))
        return LoadCounts(len(created), 0, len(gone), len(known))


def _labelled_otherwise(old: Snapshot, new: Snapshot) -> bool:
    """Whether a label means another kind than before: then its nodes are to be told apart in the database."""
    before = {label.label: label for label in labels_of(old)}
    return any(before.get(label.label, label) != label for label in labels_of(new))


def _written(opened: Session, query: str, parameters: dict[str, Any]) -> int:
    """Write in a transaction that does not wait for ever for what somebody else holds; return the count."""
    from neo4j import unit_of_work

    @unit_of_work(timeout=_HELD_S)
    def write(work: ManagedTransaction) -> int:
        return int(work.run(query, parameters).single(strict=True)[0])

    return opened.execute_write(write)


_CLAIM: Final = (
    "MERGE (s:RingwatchState {name: $state}) ON CREATE SET s.format = $format, s.data = $data,"
    " s.key_fingerprint = $key_fingerprint MERGE (:RingwatchCheckpoint {slot: $lock}) RETURN count(*)"
)
# Writing to the state locks it, so that what is asked of it then stays so.
_BEGIN: Final = (
    "MATCH (s:RingwatchState {name: $state}) SET s.name = s.name WITH s"
    " WHERE coalesce(s.journal_seq, 0) = $journal_seq AND coalesce(s.snapshot, '') = $snapshot"
    " SET s += $said RETURN count(*)"
)
_END: Final = (
    "MATCH (s:RingwatchState {name: $state}) SET s += $said REMOVE s.loading, s.load_from, s.load_cut"
    " WITH s MATCH (c:RingwatchCheckpoint) WHERE c.slot >= 0 SET c.next = 0 RETURN count(*)"
)
