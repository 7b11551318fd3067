"""What differs between two snapshots, as rows of nodes and relationships; in parts that memory can hold."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

import numpy as np
import polars as pl

from graph_etl.neo4j_store.naming import used_kind
from graph_etl.neo4j_store.tables import RELATIONSHIP_SCHEMA, ROWS_AT_ONCE, GraphTables, entries_of

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    from graph_etl.adjacency import CSR
    from graph_etl.neo4j_store.naming import NodeLabel
    from graph_etl.neo4j_store.tables import RelationshipTable
    from graph_etl.snapshot import Relation, Snapshot

PAIR: Final = ("end", "start")


@dataclass(frozen=True, slots=True)
class NodeChange:
    """What to do to some nodes of one kind.

    Attributes:
        label: How they are labelled.
        created: Rows of :meth:`GraphTables.nodes`.
        updated: The same, with a column for each property that may have to go.
        untouched: How many are as they should be.
        done: How many nodes of the snapshot have been looked at, these included.
    """

    label: NodeLabel
    created: pl.DataFrame
    updated: pl.DataFrame
    untouched: int
    done: int


@dataclass(frozen=True, slots=True)
class GoneNodes:
    """Nodes that are not in the new snapshot.

    Attributes:
        label: How they are labelled; None: they are named by their ids in the database.
        keys: Their keys, or ids.
        degrees: ``int64[n]``, about how many relationships each has.
    """

    label: NodeLabel | None
    keys: list[str] | list[int]
    degrees: NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class RelationshipChange:
    """What to do to some relationships of one type.

    Attributes:
        type: Their type.
        created: Rows of :meth:`GraphTables.relationships`.
        updated: The same.
        deleted: ``start`` and ``end`` of those that are no more while both their nodes are.
        untouched: How many are as they should be.
        lost: How many go with a node that goes.
        done: How many events have been looked at, these included.
        surplus: Ids in the database of relationships that go besides.
    """

    type: str
    created: pl.DataFrame
    updated: pl.DataFrame
    deleted: pl.DataFrame
    untouched: int
    lost: int
    done: int
    surplus: tuple[int, ...] = ()


@dataclass(slots=True)
class SnapshotChanges:
    """The way from one snapshot to another.

    Attributes:
        new: Tables of the snapshot to come.
        old: Tables of the one that is there; None: nothing is there.
        rows: Events, and nodes, that are looked at at once.
    """

    new: GraphTables
    old: GraphTables | None
    rows: int = ROWS_AT_ONCE
    _to_old: NDArray[np.int32] = field(init=False)
    _to_new: NDArray[np.int32] = field(init=False)

    def __post_init__(self) -> None:
        if self.old is None:
            self._to_old = np.full(self.new.snapshot.n_nodes, -1, np.int32)
            self._to_new = np.empty(0, np.int32)
        else:
            self._to_old, self._to_new = match_nodes(self.new, self.old)

    @property
    def n_events(self) -> int:
        """How many events there are to look at, for progress."""
        tables = [*_by_place(self.new).values(), *(_by_place(self.old).values() if self.old else ())]
        return sum(len(table.relation.into.nbr) for table in tables)

    def nodes(self) -> Iterator[NodeChange]:
        """Nodes that are created or get other properties, kind by kind.

        Yields:
            The changes.
        """
        done = 0
        old_ordinals = _ordinals(self.old)
        for ordinal, label in enumerate(self.new.labels):
            nodes = self.new.nodes_of_kind(ordinal)
            for first in range(0, len(nodes), self.rows):
                some = nodes[first : first + self.rows]
                done += len(some)
                there = self._to_old[some] >= 0
                created = self.new.nodes(ordinal, some[~there])
                updated = created.clear()
                kept = some[there]
                if self.old is not None and len(kept):
                    rows = self.new.nodes(ordinal, kept)
                    before = self.old.nodes(old_ordinals[label], self._to_old[kept])
                    updated = _changed_nodes(rows, before)
                yield NodeChange(label, created, updated, len(kept) - len(updated), done)

    def gone_nodes(self) -> Iterator[GoneNodes]:
        """Nodes of the old snapshot that are not in the new one.

        Yields:
            Their keys, kind by kind.
        """
        if self.old is None:
            return
        gone = np.flatnonzero(self._to_new < 0).astype(np.int32)
        if not len(gone):
            return
        degrees = np.zeros(len(gone), np.int64)
        for relation in self.old.snapshot.relations:
            for csr in (relation.into, relation.out):
                degrees += csr.indptr[gone + 1] - csr.indptr[gone]
        kinds = np.asarray(self.old.snapshot.node_kind)[gone]
        for ordinal, label in enumerate(self.old.labels):
            of_kind = np.flatnonzero(kinds == ordinal)
            for first in range(0, len(of_kind), self.rows):
                some = of_kind[first : first + self.rows]
                yield GoneNodes(label, self.old.keys(gone[some]).to_list(), degrees[some])

    def relationships(self) -> Iterator[RelationshipChange]:
        """Relationships that are created, get other properties or go.

        Yields:
            The changes, by type and then by the node that they lead to.
        """
        done = 0
        new_tables, old_tables = _by_place(self.new), _by_place(self.old)
        for place in [*new_tables, *(place for place in old_tables if place not in new_tables)]:
            new, old = new_tables.get(place), old_tables.get(place)
            new_counts = np.zeros(self.new.snapshot.n_nodes, np.int64)
            if new is not None:
                new_counts += np.diff(new.relation.into.indptr)
            old_counts = np.zeros_like(new_counts)
            if old is not None:
                there = self._to_old >= 0
                old_counts[there] = np.diff(old.relation.into.indptr)[self._to_old[there]]
            before = np.concatenate([[0], np.cumsum(new_counts + old_counts)])
            ends = np.flatnonzero(new_counts + old_counts).astype(np.int32)
            after = before[ends + 1]
            first = 0
            while first < len(ends):
                bound = before[ends[first]] + self.rows
                stop = max(int(np.searchsorted(after, bound, side="right")), first + 1)
                some = ends[first:stop]
                done += int(after[stop - 1] - before[some[0]])
                yield self._into(place[0], new, old, some, done)
                first = stop
            lost = self._lost_with_ends(old)
            if lost:
                none = no_relationships()
                yield RelationshipChange(place[0], none, none, none.select("start", "end"), 0, lost, done)

    def _lost_with_ends(self, old: RelationshipTable | None) -> int:
        """Relationships of the old snapshot that led to nodes that go."""
        if self.old is None or old is None:
            return 0
        return self.old.count_into(old, np.flatnonzero(self._to_new < 0).astype(np.int32))

    def _into(
        self,
        kind: str,
        new: RelationshipTable | None,
        old: RelationshipTable | None,
        ends: NDArray[np.int32],
        done: int,
    ) -> RelationshipChange:
        """The change of one relation's relationships that lead to some nodes of the new snapshot."""
        none = no_relationships()
        differ = np.ones(len(ends), np.bool_)
        if new is not None and old is not None and _alike(new.relation, old.relation):
            differ = self._differ(new.relation.into, old.relation.into, ends)
        untouched = 0 if new is None else self.new.count_into(new, ends[~differ])
        ends = ends[differ]
        rows = none if new is None else self.new.relationships_into(new, ends)
        if self.old is None or old is None:
            return RelationshipChange(kind, rows, none, none.select("start", "end"), untouched, 0, done)
        places = np.sort(self._to_old[ends][self._to_old[ends] >= 0])
        before = self.old.relationships_into(old, places)
        moved = before.with_columns(
            start=pl.Series(self._to_new[before["start"].to_numpy()]),
            end=pl.Series(self._to_new[before["end"].to_numpy()]),
        )
        stay = moved.filter(pl.col("start") >= 0)
        created = rows.join(stay, on=PAIR, how="anti", maintain_order="left")
        both = rows.join(stay, on=PAIR, how="inner", maintain_order="left", suffix="_before")
        values = [name for name in RELATIONSHIP_SCHEMA if name not in PAIR]
        same = pl.all_horizontal(pl.col(name).eq_missing(pl.col(f"{name}_before")) for name in values)
        updated = both.filter(~same).select(RELATIONSHIP_SCHEMA.keys())
        deleted = stay.join(rows, on=PAIR, how="anti").select("start", "end").sort("end", "start")
        untouched += len(both) - len(updated)
        return RelationshipChange(kind, created, updated, deleted, untouched, len(moved) - len(stay), done)

    def _differ(self, new: CSR, old: CSR, ends: NDArray[np.int32]) -> NDArray[np.bool_]:
        """Which nodes have other events, or the same in another order; ``bool[n]``."""
        assert self.old is not None
        places = self._to_old[ends]
        counts = new.indptr[ends + 1] - new.indptr[ends]
        there = places >= 0
        old_counts = np.where(there, old.indptr[places + 1] - old.indptr[places], 0)
        differ: NDArray[np.bool_] = counts != old_counts
        alike = np.flatnonzero(~differ)
        rows, entries = entries_of(new.indptr, ends[alike])
        _, old_entries = entries_of(old.indptr, places[alike])
        other = (
            (new.nbr[entries] != self._to_new[old.nbr[old_entries]])
            | (new.value[entries] != old.value[old_entries])
            | (
                self.new.snapshot.event_time_ms[new.pos[entries]]
                != self.old.snapshot.event_time_ms[old.pos[old_entries]]
            )
        )
        differ[alike[rows[other]]] = True
        return differ


def match_nodes(new: GraphTables, old: GraphTables) -> tuple[NDArray[np.int32], NDArray[np.int32]]:
    """Find the nodes of one snapshot in another, by kind and key.

    Args:
        new: Tables of one snapshot, of ``n`` nodes.
        old: Tables of the other, of ``m`` nodes.

    Returns:
        ``int32[n]`` and ``int32[m]``: the same node's index on the other side, -1 where it is not there.
    """
    here, there = new.snapshot, old.snapshot
    to_old, to_new = np.full(here.n_nodes, -1, np.int32), np.full(there.n_nodes, -1, np.int32)
    ordinals = _ordinals(old)
    if _grew(here, there) and new.labels[: len(old.labels)] == old.labels:
        same = np.arange(there.n_nodes, dtype=np.int32)
        to_old[: there.n_nodes] = to_new[:] = same
        return to_old, to_new
    for ordinal, label in enumerate(new.labels):
        if label in ordinals:
            nodes, others = new.nodes_of_kind(ordinal), old.nodes_of_kind(ordinals[label])
            pairs = pl.DataFrame({"key": new.keys(nodes), "node": nodes}).join(
                pl.DataFrame({"key": old.keys(others), "other": others}), on="key"
            )
            to_old[pairs["node"].to_numpy()] = pairs["other"].to_numpy()
            to_new[pairs["other"].to_numpy()] = pairs["node"].to_numpy()
    return to_old, to_new


def _grew(here: Snapshot, there: Snapshot) -> bool:
    """Whether one snapshot begins with the nodes of the other, as one that was appended to does."""
    n = there.n_nodes
    if here.n_nodes < n or here.kinds[: len(there.kinds)] != there.kinds:
        return False
    if not np.array_equal(here.node_kind[:n], there.node_kind):
        return False
    # Two nodes at the same place whose names agree in 64 bits are one.
    return np.array_equal(here.names_of_nodes()[:n], there.names_of_nodes())


def _ordinals(tables: GraphTables | None) -> dict[NodeLabel, int]:
    return {} if tables is None else {label: ordinal for ordinal, label in enumerate(tables.labels)}


def _by_place(tables: GraphTables | None) -> dict[tuple[str, str | None], RelationshipTable]:
    """Relations by where their relationships are: the type, and of ``USED`` the kind that was used."""
    if tables is None:
        return {}
    return {(table.type, used_kind(table.relation)): table for table in tables.relationship_tables}


def _alike(new: Relation, old: Relation) -> bool:
    """Whether the same events make the same relationships."""
    return (new.value, new.directed) == (old.value, old.directed)


def no_relationships() -> pl.DataFrame:
    """A table of relationships without rows."""
    return pl.DataFrame(schema=RELATIONSHIP_SCHEMA)


def _changed_nodes(rows: pl.DataFrame, before: pl.DataFrame) -> pl.DataFrame:
    """Rows that are not as they were, with a null column for each property that is there no more."""
    for name in before.columns:
        if name not in rows.columns:
            rows = rows.with_columns(pl.lit(None, before[name].dtype).alias(name))
    differs = pl.Series(np.zeros(len(rows), np.bool_))
    for name in rows.columns:
        if name in ("node", "key"):
            continue
        now = rows[name]
        if name in before.columns and before[name].dtype == now.dtype:
            differs |= now.ne_missing(before[name])
        else:
            differs |= now.is_not_null() | (before[name].is_not_null() if name in before.columns else False)
    return rows.filter(differs)
