"""What differs between a database and a snapshot, read from the database itself: for repairs."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import polars as pl

from graph_etl.neo4j_store import statements
from graph_etl.neo4j_store.changes import GoneNodes, NodeChange, RelationshipChange, no_relationships
from graph_etl.neo4j_store.connection import session
from graph_etl.neo4j_store.node_ids import MISSING

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from neo4j import Driver, Session
    from numpy.typing import NDArray

    from graph_etl.neo4j_store.connection import Target
    from graph_etl.neo4j_store.naming import NodeLabel
    from graph_etl.neo4j_store.node_ids import NodeIds
    from graph_etl.neo4j_store.tables import GraphTables

ROWS_AT_ONCE: Final = 50_000
"""Nodes, and relationships of the snapshot, that are compared at once: rows are Python's own here."""

_VALUES: Final = ("first_ms", "last_ms", "count", "amount")


@dataclass(slots=True)
class DatabaseChanges:
    """The way from what a database holds to a snapshot.

    Attributes:
        driver: From :func:`connect`.
        target: The database.
        new: Tables of the snapshot.
        ids: Filled with what is found.
        labels: Labels of kinds that may be there.
        types: Relationship types that may be there.
        attributes: Properties of attributes that may be there.
    """

    driver: Driver
    target: Target
    new: GraphTables
    ids: NodeIds
    labels: Sequence[str]
    types: Sequence[str]
    attributes: Sequence[str]

    @property
    def n_events(self) -> int:
        """How many nodes there are whose relationships are compared, for progress."""
        return self.new.snapshot.n_nodes

    def nodes(self) -> Iterator[NodeChange]:
        """Nodes that are created or get other properties, kind by kind.

        Yields:
            The changes.
        """
        done = 0
        for ordinal, label in enumerate(self.new.labels):
            nodes = self.new.nodes_of_kind(ordinal)
            known = pl.DataFrame({"key": self.new.keys(nodes), "node": nodes})
            none = self.new.nodes(ordinal, nodes[:0])
            gone = [name for name in self.attributes if ordinal == 0 and name not in none.columns]
            none = none.with_columns(pl.lit(None, pl.Float64).alias(name) for name in gone)
            columns = none.columns[2:]
            said = f"n.{label.key}, id(n), {_marked('n', label)}, {statements.read_columns('n', columns)}"
            with session(self.driver, self.target, fetch_size=ROWS_AT_ONCE) as opened:
                read = opened.run(f"MATCH (n:{label.label}) RETURN {said}")
                while there := [record.values() for record in read.fetch(ROWS_AT_ONCE)]:
                    places = _places(known, [row[0] for row in there])
                    kept = [(node, row) for node, row in zip(places, there, strict=True) if node is not None]
                    some = np.array([node for node, _ in kept], np.int32)
                    self.ids.ids[some] = [row[1] for _, row in kept]
                    rows = self.new.nodes(ordinal, some).with_columns(
                        pl.lit(None, pl.Float64).alias(name) for name in gone
                    )
                    same = [
                        not row[2] and _same(wanted, row[3:])
                        for wanted, (_, row) in zip(rows.select(columns).iter_rows(), kept, strict=True)
                    ]
                    updated = rows.filter(~pl.Series(same, dtype=pl.Boolean))
                    done += len(kept)
                    yield NodeChange(label, none, updated, len(rows) - len(updated), done)
            missing = nodes[self.ids.ids[nodes] == MISSING]
            for first in range(0, len(missing), ROWS_AT_ONCE):
                created = self.new.nodes(ordinal, missing[first : first + ROWS_AT_ONCE])
                done += len(created)
                yield NodeChange(label, created, created.clear(), 0, done)

    def gone_nodes(self) -> Iterator[GoneNodes]:
        """Nodes of the database that are not in the snapshot.

        Yields:
            Their ids, label by label.
        """
        here = {label.label: label for label in self.new.labels}
        wanted = np.sort(self.ids.ids)
        for label in dict.fromkeys([*here, *self.labels]):
            with session(self.driver, self.target, fetch_size=ROWS_AT_ONCE) as opened:
                read = opened.run(f"MATCH (n:{label}) RETURN id(n), COUNT {{ (n)--() }}")
                while there := [record.values() for record in read.fetch(ROWS_AT_ONCE)]:
                    found = np.array(there, np.int64)
                    gone = found[~_among(found[:, 0], wanted)]
                    if len(gone):
                        yield GoneNodes(None, gone[:, 0].tolist(), gone[:, 1])

    def relationships(self) -> Iterator[RelationshipChange]:
        """Relationships that are created, get other properties or go.

        Yields:
            The changes, by the node that they lead to and then by type.
        """
        order = np.argsort(self.ids.ids, kind="stable").astype(np.int32)
        by_id = self.ids.ids[order]
        degrees = np.ones(self.new.snapshot.n_nodes, np.int64)
        for table in self.new.relationship_tables:
            degrees += np.diff(table.relation.into.indptr)
        before = np.concatenate([[0], np.cumsum(degrees)])
        first = 0
        with session(self.driver, self.target, fetch_size=ROWS_AT_ONCE) as opened:
            while first < len(degrees):
                bound = before[first] + ROWS_AT_ONCE
                stop = max(int(np.searchsorted(before, bound, side="right")) - 1, first + 1)
                yield from self._into(opened, np.arange(first, stop, dtype=np.int32), order, by_id)
                first = stop

    def _into(
        self,
        opened: Session,
        ends: NDArray[np.int32],
        order: NDArray[np.int32],
        by_id: NDArray[np.int64],
    ) -> Iterator[RelationshipChange]:
        """Compare the relationships that lead to some nodes."""
        wanted: dict[str, list[pl.DataFrame]] = {}
        for table in self.new.relationship_tables:
            wanted.setdefault(table.type, []).append(self.new.relationships_into(table, ends))
        types = list(dict.fromkeys([*wanted, *self.types]))
        there: dict[str, list[list[Any]]] = {kind: [] for kind in types}
        if types:
            pattern = "|".join(types)
            columns = statements.read_columns("x", _VALUES)
            read = opened.run(
                f"UNWIND $ids AS e MATCH (b) WHERE id(b) = e MATCH (a)-[x:{pattern}]->(b)"
                f" RETURN type(x), collect([id(x), id(a), id(b), x.live_seq IS NOT NULL, {columns}])",
                ids=self.ids.ids[ends].tolist(),
            )
            # A record a type, not one a relationship: what a record costs is most of what reading costs.
            there |= {kind: rows for kind, rows in read}
        for kind in types:
            rows = pl.concat(wanted[kind]) if kind in wanted else no_relationships()
            yield self._compared(kind, rows, there[kind], order, by_id, int(ends[-1]) + 1)

    def _compared(
        self,
        kind: str,
        rows: pl.DataFrame,
        there: list[list[Any]],
        order: NDArray[np.int32],
        by_id: NDArray[np.int64],
        done: int,
    ) -> RelationshipChange:
        found = np.array([row[1:3] for row in there], np.int64).reshape(-1, 2)
        places = np.minimum(np.searchsorted(by_id, found), len(by_id) - 1)
        nodes = np.where(by_id[places] == found, order[places], MISSING).tolist()
        pairs = zip(rows["start"].to_list(), rows["end"].to_list(), strict=True)
        expected = dict(zip(pairs, rows.select(_VALUES).iter_rows(), strict=True))
        same: set[tuple[int, int]] = set()
        other: set[tuple[int, int]] = set()
        surplus = []
        for (start, end), row in zip(nodes, there, strict=True):
            pair = (start, end)
            if pair not in expected or pair in same or pair in other:
                surplus.append(row[0])
            elif row[3] or not _same(expected[pair], row[4:]):
                other.add(pair)
            else:
                same.add(pair)
        state = pl.Series(
            [0 if pair in same else 1 if pair in other else 2 for pair in expected], dtype=pl.Int8
        )
        none = no_relationships().select("start", "end")
        return RelationshipChange(
            kind, rows.filter(state == 2), rows.filter(state == 1), none, len(same), 0, done, tuple(surplus)
        )


def _marked(variable: str, label: NodeLabel) -> str:
    """Whether a node was changed by what follows the journal, or lacks a label."""
    lacks = "" if label.also is None else f" OR NOT {variable}:{label.also}"
    return f"{variable}.live_seq IS NOT NULL{lacks}"


def _same(wanted: Sequence[Any], there: Sequence[Any]) -> bool:
    """Whether values are the same and of the same type."""
    return all(one == other and type(one) is type(other) for one, other in zip(wanted, there, strict=True))


def _places(known: pl.DataFrame, keys: list[Any]) -> list[int | None]:
    """The node that each key names; None for keys of nodes that are not there."""
    named = [key if isinstance(key, str) else None for key in keys]
    asked = pl.DataFrame({"key": pl.Series(named, dtype=pl.String)})
    return asked.join(known, on="key", how="left", maintain_order="left")["node"].to_list()


def _among(asked: NDArray[np.int64], in_order: NDArray[np.int64]) -> NDArray[np.bool_]:
    if not len(in_order):
        return np.zeros(len(asked), np.bool_)
    places = np.minimum(np.searchsorted(in_order, asked), len(in_order) - 1)
    among: NDArray[np.bool_] = in_order[places] == asked
    return among
