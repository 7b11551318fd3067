"""Turning changes into batches: nodes, relationships in rounds, verdicts, and what goes."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import polars as pl

from graph_etl.neo4j_store import statements
from graph_etl.neo4j_store.batches import Batch
from graph_etl.neo4j_store.connection import session
from graph_etl.neo4j_store.node_ids import MISSING, find_by_key

if TYPE_CHECKING:
    from neo4j import Driver
    from numpy.typing import NDArray

    from graph_etl.neo4j_store.batches import Batches
    from graph_etl.neo4j_store.changes import GoneNodes, NodeChange, RelationshipChange
    from graph_etl.neo4j_store.connection import Target
    from graph_etl.neo4j_store.node_ids import NodeIds

NODES_A_BATCH: Final = 5_000
RELATIONSHIPS_A_BATCH: Final = 5_000
DETACHED_A_BATCH: Final = 10_000
"""Relationships that go with the nodes of one batch: what a server can hold of one transaction."""

_VALUES: Final = ("first_ms", "last_ms", "count", "amount")


class Writer:
    """Writes changes.

    Args:
        driver: From :func:`connect`.
        target: The database.
        batches: Writes the batches.
        ids: Where the nodes of the snapshot are.
    """

    def __init__(self, driver: Driver, target: Target, batches: Batches, ids: NodeIds) -> None:
        self._driver = driver
        self._target = target
        self._batches = batches
        self._ids = ids

    def nodes(self, change: NodeChange) -> None:
        """Create and update nodes.

        Args:
            change: What to do.

        Raises:
            GraphStoreError: If the database is not as it should be.
        """
        work = []
        if len(change.created):
            columns = [name for name in change.created.columns[2:] if change.created[name].count()]
            query = statements.create_nodes(change.label, columns)
            for part in change.created.select("node", "key", *columns).iter_slices(NODES_A_BATCH):
                rows = part.with_columns(node=pl.int_range(pl.len()))
                taken = partial(self._created, part["node"].to_numpy())
                work.append(Batch(query, partial(_lists, rows), len(part), taken))
        if len(change.updated):
            columns = change.updated.columns[2:]
            query = statements.update_nodes(change.label, columns)
            self._ids.of(change.updated["node"].to_numpy())
            for part in change.updated.drop("key").iter_slices(NODES_A_BATCH):
                work.append(Batch(query, partial(self._with_ids, part), len(part)))
        self._batches.spread(work)

    def relationships(self, change: RelationshipChange) -> None:
        """Delete, update and create relationships.

        Args:
            change: What to do.

        Raises:
            GraphStoreError: If the database is not as it should be.
        """
        kind = change.type
        surplus = [
            change.surplus[first : first + RELATIONSHIPS_A_BATCH]
            for first in range(0, len(change.surplus), RELATIONSHIPS_A_BATCH)
        ]
        self._batches.round(
            [[Batch(statements.DELETE_BY_ID, partial(list, part), len(part)) for part in surplus]]
        )
        columns = [name for name in _VALUES if change.created[name].count()]
        nullable = [name for name in columns if change.created[name].null_count()]
        self._in_rounds(
            (change.deleted, [], statements.delete_relationships(kind)),
            (change.updated, list(_VALUES), statements.update_relationships(kind, _VALUES)),
            (change.created, columns, statements.create_relationships(kind, columns, nullable)),
        )

    def gone_nodes(self, gone: GoneNodes) -> None:
        """Delete nodes with all that hangs on them.

        Args:
            gone: The nodes.

        Raises:
            GraphStoreError: If the database is not as it should be.
        """
        ids = np.full(len(gone.keys), MISSING, np.int64)
        if gone.label is None:
            ids[:] = gone.keys
        else:
            with session(self._driver, self._target) as opened:
                places, found = find_by_key(opened, gone.label, [str(key) for key in gone.keys])
            ids[places] = found
        for place in np.flatnonzero((gone.degrees > DETACHED_A_BATCH) & (ids != MISSING)).tolist():
            some = {"node": int(ids[place]), "limit": DETACHED_A_BATCH}
            while self._batches.again(statements.THIN_OUT, some)[0][0]:
                pass
        degrees = np.minimum(gone.degrees, DETACHED_A_BATCH) + 1
        part = np.cumsum(degrees) // DETACHED_A_BATCH
        work = [
            Batch(statements.DELETE_NODES, some.tolist, len(some))
            for some in np.split(ids, np.flatnonzero(np.diff(part)) + 1)
        ]
        # One after the other: what hangs on one may hang on another.
        self._batches.round([work])

    def verdicts(self, created: pl.DataFrame, deleted: list[int]) -> None:
        """Delete and create verdicts; twice does no harm.

        Args:
            created: Rows of :meth:`GraphTables.verdicts`.
            deleted: Ids in the database.

        Raises:
            GraphStoreError: If the database is not as it should be.
        """
        for first in range(0, len(deleted), NODES_A_BATCH):
            self._batches.again(statements.DELETE_VERDICTS, {"rows": deleted[first : first + NODES_A_BATCH]})
        for part in created.iter_slices(NODES_A_BATCH):
            rows = _lists(part.select("id", "account", *statements.VERDICT_COLUMNS))
            done = self._batches.again(statements.SET_VERDICTS, {"rows": rows})[0][0]
            self._batches.check(done, len(part))

    def _created(self, nodes: NDArray[np.int32], places: list[int], ids: list[int]) -> None:
        self._ids.ids[nodes[places]] = ids

    def _with_ids(self, rows: pl.DataFrame) -> list[Any]:
        ids = self._ids.ids[rows["node"].to_numpy()]
        return _lists(rows.with_columns(node=pl.Series(ids)))

    def _in_rounds(self, *works: tuple[pl.DataFrame, list[str], str]) -> None:
        """Write relationships so that no two workers write to the same node at the same time."""
        # What fits into a few batches is not worth the rounds.
        few = sum(len(rows) for rows, _, _ in works) <= RELATIONSHIPS_A_BATCH * self._batches.slots
        slots = 1 if few else self._batches.slots
        for rows, _, _ in works:
            self._ids.of(rows["start"].to_numpy())
            self._ids.of(rows["end"].to_numpy())
        for turn in range(slots):
            work: list[list[Batch]] = [[] for _ in range(slots)]
            for rows, columns, query in works:
                # Start and end in groups: in one round each worker has a group of either to itself.
                start, end = pl.col("start") % slots, pl.col("end") % slots
                for slot in range(slots):
                    mine = rows.filter((start == slot) & (end == (slot + turn) % slots))
                    work[slot] += [
                        Batch(query, partial(self._by_end, part, columns), len(part))
                        for part in mine.iter_slices(RELATIONSHIPS_A_BATCH)
                    ]
            self._batches.round(work)

    def _by_end(self, rows: pl.DataFrame, columns: list[str]) -> list[Any]:
        ids = self._ids.ids
        start, end = rows["start"].to_numpy(), rows["end"].to_numpy()
        values: list[list[Any]] = [ids[start].tolist(), *(rows[name].to_list() for name in columns)]
        lists = [list(row) for row in zip(*values, strict=True)]
        first = np.concatenate([[0], np.flatnonzero(np.diff(end)) + 1])
        stops = [*first[1:].tolist(), len(lists)]
        ends = ids[end[first]].tolist()
        return [[one, lists[low:high]] for one, low, high in zip(ends, first.tolist(), stops, strict=True)]


def _lists(rows: pl.DataFrame) -> list[Any]:
    return [list(row) for row in rows.iter_rows()]
