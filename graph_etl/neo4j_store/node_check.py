"""Comparing the nodes of a database with those of a snapshot, and learning where each of them is."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, NamedTuple

import numpy as np
import polars as pl

from graph_etl.neo4j_store.cells import Cells, cells_of, content_hash, differing, shown_cell
from graph_etl.neo4j_store.differences import EXAMPLES, Comparison
from graph_etl.neo4j_store.fields import fields_of
from graph_etl.neo4j_store.statements import read_columns
from graph_etl.snapshot import node_hashes

if TYPE_CHECKING:
    from collections.abc import Callable

    from neo4j import Session
    from numpy.typing import NDArray

    from graph_etl.neo4j_store.tables import GraphTables

PAGE: Final = 50_000
"""Rows that are read at once: until they are a table they are Python's own."""

_NOWHERE: Final = -1


class NodeSort(NamedTuple):
    """Nodes of one label, as the snapshot has them.

    Attributes:
        label: The label.
        also: The label that they have besides; None if none.
        key: The property that names them.
        kind: What their stable names begin with.
        nodes: ``int64[n]``, their places among all nodes and verdicts of the snapshot.
        table: Gives key and properties of some of them, by places among the ``n``.
    """

    label: str
    also: str | None
    key: str
    kind: str
    nodes: NDArray[np.int64]
    table: Callable[[NDArray[np.int64]], pl.DataFrame]


class Places(NamedTuple):
    """Nodes by place: those of the snapshot, its verdicts, then those that only the database has.

    Attributes:
        ids: ``int64[n]``, their ids in the database, -1 for those that it lacks.
        names: ``uint64[n]``, first halves of their stable names.
    """

    ids: NDArray[np.int64]
    names: NDArray[np.uint64]


def node_sorts(tables: GraphTables, verdicts: pl.DataFrame) -> list[NodeSort]:
    """Everything in a snapshot that is a node in the database.

    Args:
        tables: Its tables.
        verdicts: Its verdicts, from :meth:`GraphTables.verdicts`.

    Returns:
        One for each kind, then the verdicts.
    """

    def of_kind(ordinal: int) -> NodeSort:
        label, nodes = tables.labels[ordinal], tables.nodes_of_kind(ordinal)
        return NodeSort(
            label.label,
            label.also,
            label.key,
            label.kind,
            nodes.astype(np.int64),
            lambda places: tables.nodes(ordinal, nodes[places]).drop("node"),
        )

    snapshot = tables.snapshot
    said = verdicts.drop("account").rename({"id": "key"})
    at = np.arange(snapshot.n_nodes, snapshot.n_nodes + len(said))
    of_verdicts = NodeSort("Verdict", None, "id", "verdict", at, lambda places: said[places])
    return [*(of_kind(ordinal) for ordinal in range(len(snapshot.kinds))), of_verdicts]


@dataclass
class NodeCheck:
    """The comparison of all nodes.

    Attributes:
        sorts: What the snapshot has.
        names: ``uint64[n]``, first halves of the stable names of its nodes and verdicts.
        last_seq: The last row of the journal that it holds.
        opened: A session.
        tell: Told of progress.
        comparisons: What was found.
    """

    sorts: list[NodeSort]
    names: NDArray[np.uint64]
    last_seq: int
    opened: Session
    tell: Callable[[str, int, int], None]
    comparisons: list[Comparison] = field(default_factory=list)

    def run(self) -> Places:
        """Compare.

        Returns:
            Where the nodes are.
        """
        self._ids = np.full(len(self.names), _NOWHERE, np.int64)
        self._strangers: list[Places] = []
        last = self.opened.run("MATCH (n) RETURN max(id(n)) AS last").single(strict=True)["last"]
        for sort in self.sorts:
            found = Comparison("node", sort.label, len(sort.nodes))
            self.comparisons.append(found)
            self._read(sort, found, last + 1)
            self._missing(sort, found)
        return Places(
            np.concatenate([self._ids, *(one.ids for one in self._strangers)]),
            np.concatenate([self.names, *(one.names for one in self._strangers)]),
        )

    def _read(self, sort: NodeSort, found: Comparison, stop: int) -> None:
        """Read all nodes of a label, by ranges of the database's ids."""
        empty = sort.table(np.empty(0, np.int64)).drop("key")
        also = "true" if sort.also is None else f"n:{sort.also}"
        columns = read_columns("n", empty.columns)
        query = (
            f"UNWIND range($low, $high) AS i MATCH (n:{sort.label}) WHERE id(n) = i"
            f" RETURN collect([i, n.{sort.key}, {also}, n.live_seq, {columns}]) AS rows"
        )
        fixed = {"id": pl.Int64(), "key": pl.String(), "also": pl.Boolean(), "live_seq": pl.Int64()}
        finder = _Finder(sort, self.names[sort.nodes])
        count = self.opened.run(f"MATCH (n:{sort.label}) RETURN count(n)").single(strict=True)[0]
        for low in range(0, stop, PAGE):
            if found.in_database >= count:
                break
            high = min(low + PAGE, stop)
            rows = self.opened.run(query, low=low, high=high - 1).single(strict=True)["rows"]
            if rows:
                self._compare(sort, found, cells_of(rows, fixed | dict(empty.schema)), finder)
            self.tell(f"nodes {sort.label}", found.in_database, max(count, found.in_database))

    def _compare(self, sort: NodeSort, found: Comparison, read: Cells, finder: _Finder) -> None:
        table = read.table
        keys = table["key"].fill_null("")
        names = node_hashes(sort.kind, keys.to_list())[:, 0]
        places = finder.places(keys, names)
        known = places != _NOWHERE
        nodes = np.full(len(places), _NOWHERE, np.int64)
        nodes[known] = sort.nodes[places[known]]
        # The first that bears a key is it; others that do are strangers.
        first = np.zeros(len(nodes), np.bool_)
        first[np.unique(nodes, return_index=True)[1]] = True
        taken = known & first
        taken[known] &= self._ids[nodes[known]] == _NOWHERE
        live = table["live_seq"].fill_null(0).to_numpy() > self.last_seq
        ids = table["id"].to_numpy()
        self._ids[nodes[taken]] = ids[taken]
        self._strangers.append(Places(ids[~taken], names[~taken]))
        extra, doubled = ~known & ~live, known & ~taken
        found.in_database += len(table)
        found.extra += int(extra.sum())
        found.doubled += int(doubled.sum())
        found.followed += int((live & ~doubled).sum())
        for what, which in (("extra", extra), ("doubled", doubled)):
            for row in np.flatnonzero(which)[: found.room].tolist():
                found.name_one(what, f"{sort.label} {shown_cell(read, row, 'key')}")
        compared = taken & ~live
        expected, actual = sort.table(places[compared]), read.only(compared)
        changed = self._compare_values(sort, found, expected, actual)
        columns = expected.columns[1:]
        mine = content_hash([names[compared]], expected, columns)
        counted = read.only(~live)
        # Texts take long to hash: what has just been found to be the same is not hashed again.
        same = not changed and len(counted.table) == len(expected)
        theirs = mine if same else content_hash([names[~live]], counted.table, columns, counted.odd)
        found.add_hashes(mine, theirs)

    def _compare_values(
        self, sort: NodeSort, found: Comparison, expected: pl.DataFrame, actual: Cells
    ) -> bool:
        """Compare label and properties; whether any differ."""
        unlabelled = ~actual.table["also"].to_numpy()
        for row in np.flatnonzero(unlabelled)[: found.room].tolist():
            subject = f"{sort.label} {expected['key'][row]}"
            found.name_one("changed", subject, property=f"label {sort.also}", expected="there")
        changed = unlabelled.copy()
        for one in fields_of(expected.schema):
            other = differing(expected[one.column], actual, one.column)
            changed |= other
            for row in np.flatnonzero(other)[: found.room].tolist():
                found.name_one(
                    "changed",
                    f"{sort.label} {expected['key'][row]}",
                    property=one.name,
                    expected=one.shown(expected[one.column][row]),
                    found=one.shown(shown_cell(actual, row, one.column)),
                )
        found.changed += int(changed.sum())
        return bool(changed.any())

    def _missing(self, sort: NodeSort, found: Comparison) -> None:
        missing = np.flatnonzero(self._ids[sort.nodes] == _NOWHERE)
        found.missing = len(missing)
        for low in range(0, len(missing), PAGE):
            places = missing[low : low + PAGE]
            table = sort.table(places)
            names = self.names[sort.nodes[places]]
            found.add_hashes(content_hash([names], table, table.columns[1:]), 0)
        if not len(missing):
            return
        keys = sort.table(missing[:EXAMPLES])["key"].to_list()
        # A node that lost its label is not found through it; its key still tells who it is.
        labels: dict[str, list[str]] = dict(
            self.opened.run(
                f"MATCH (n) WHERE n.{sort.key} IN $keys AND NOT n:{sort.label}"
                f" RETURN n.{sort.key}, labels(n)",
                keys=keys,
            ).values()
        )
        for key in keys[: found.room]:
            if key in labels:
                has = ":".join(labels[key]) or None
                found.name_one(
                    "missing", f"{sort.label} {key}", property="label", expected=sort.label, found=has
                )
            else:
                found.name_one("missing", f"{sort.label} {key}")


class _Finder:
    """Finds nodes of one sort by their keys.

    Args:
        sort: The sort.
        names: ``uint64[n]``, first halves of their stable names.
    """

    def __init__(self, sort: NodeSort, names: NDArray[np.uint64]) -> None:
        self._sort = sort
        self._order = np.argsort(names, kind="stable")
        self._in_order = names[self._order]

    def places(self, keys: pl.Series, names: NDArray[np.uint64]) -> NDArray[np.int64]:
        """Places among the nodes of the sort, -1 for keys of none of them."""
        found = np.full(len(names), _NOWHERE, np.int64)
        at = np.searchsorted(self._in_order, names)
        open_rows = np.arange(len(names))
        # Two keys may share half a name: then the next in order is tried.
        while True:
            at_open = at[open_rows]
            inside = at_open < len(self._in_order)
            open_rows, at_open = open_rows[inside], at_open[inside]
            same_name = self._in_order[at_open] == names[open_rows]
            open_rows, at_open = open_rows[same_name], at_open[same_name]
            if not len(open_rows):
                return found
            candidates = self._order[at_open]
            same = (self._sort.table(candidates)["key"] == keys[open_rows]).to_numpy()
            found[open_rows[same]] = candidates[same]
            open_rows = open_rows[~same]
            at[open_rows] += 1
