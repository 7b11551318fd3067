"""Comparing the relationships of a database with those of a snapshot, by the nodes that they lead to."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import polars as pl

from graph_etl.neo4j_store.cells import Cells, cells_of, content_hash, differing, shown_cell
from graph_etl.neo4j_store.differences import Comparison
from graph_etl.neo4j_store.fields import fields_of
from graph_etl.neo4j_store.naming import HAS_VERDICT
from graph_etl.neo4j_store.node_check import PAGE
from graph_etl.neo4j_store.statements import read_columns
from graph_etl.neo4j_store.tables import RELATIONSHIP_SCHEMA

if TYPE_CHECKING:
    from collections.abc import Callable

    from neo4j import Session

    from graph_etl.neo4j_store.node_check import NodeSort, Places
    from graph_etl.neo4j_store.tables import GraphTables

# A page is one record that the server makes in its memory; what leads to a hub beyond this comes row by row,
# at 20 µs a row instead of 2.
_ONE_RECORD: Final = 500_000

_SCHEMA: Final[dict[str, pl.DataType]] = {
    **RELATIONSHIP_SCHEMA,
    "start": pl.Int64(),
    "end": pl.Int64(),
}
_VALUES: Final = tuple(column for column in _SCHEMA if column not in ("start", "end"))
_PAIR: Final = ("end", "start")


@dataclass
class RelationshipCheck:
    """The comparison of all relationships that loads write.

    Attributes:
        tables: Tables of the snapshot.
        sorts: What it has of nodes.
        places: Where nodes are.
        opened: A session.
        tell: Told of progress.
        comparisons: What was found, by type.
    """

    tables: GraphTables
    sorts: list[NodeSort]
    places: Places
    opened: Session
    tell: Callable[[str, int, int], None]
    comparisons: dict[str, Comparison] = field(default_factory=dict)

    def run(self) -> None:
        """Compare."""
        tables = self.tables.relationship_tables
        for name in (*(table.type for table in tables), HAS_VERDICT):
            self.comparisons.setdefault(name, Comparison("relationship", name))
        self._starts: dict[str, list[pl.DataFrame]] = {name: [] for name in self.comparisons}
        self._order = np.argsort(self.places.ids, kind="stable")
        self._ids_in_order = self.places.ids[self._order]
        self._accounts = np.asarray(self.tables.snapshot.account_node)[
            self.tables.snapshot.verdicts["account"].to_numpy()
        ]
        # Nodes have as many rows as events, and one for themselves; verdicts and strangers have one.
        rows = np.ones(len(self.places.ids), np.int64)
        for table in tables:
            rows[: self.tables.snapshot.n_nodes] += np.diff(table.relation.into.indptr)
        before = np.concatenate([[0], np.cumsum(rows)])
        low, stop = 0, len(rows)
        while low < stop:
            high = int(np.searchsorted(before, before[low] + PAGE, side="right")) - 1
            high = min(max(high, low + 1), stop)
            self._compare_into(low, high, in_one_record=bool(before[high] - before[low] <= _ONE_RECORD))
            self.tell("relationships", high, stop)
            low = high
        for name, found in self.comparisons.items():
            if self._starts[name]:
                found.other_out_degree = _other_degrees(pl.concat(self._starts[name]), "start")
            self._astray(found)

    def _compare_into(self, low: int, high: int, *, in_one_record: bool) -> None:
        """Compare what leads to some places."""
        read = self._read_into(low, high, in_one_record=in_one_record)
        for name, found in self.comparisons.items():
            expected = self._expected_into(name, low, high)
            rows = read.get(name, [])
            if rows or len(expected):
                self._compare(
                    found, expected, self._placed(cells_of(rows, _SCHEMA | {"live_seq": pl.Int64()}))
                )

    def _read_into(self, low: int, high: int, *, in_one_record: bool) -> dict[str, list[list[Any]]]:
        """Rows by type, ends as ids of the database."""
        ids = self.places.ids[low:high]
        row = f"[id(s), i, {read_columns('r', _VALUES)}, r.live_seq]"
        query = (
            "UNWIND $ids AS i MATCH (e) WHERE id(e) = i"
            f" MATCH (s)-[r:{'|'.join(self.comparisons)}]->(e) RETURN type(r) AS type, "
        )
        answer = self.opened.run(
            query + (f"collect({row}) AS rows" if in_one_record else f"{row} AS rows"),
            ids=ids[ids >= 0].tolist(),
        )
        if in_one_record:
            return dict(answer.values())
        read: dict[str, list[list[Any]]] = {}
        for name, one in answer:
            read.setdefault(name, []).append(one)
        return read

    def _expected_into(self, name: str, low: int, high: int) -> pl.DataFrame:
        n_nodes = self.tables.snapshot.n_nodes
        parts = [pl.DataFrame(schema=_SCHEMA)]
        if name == HAS_VERDICT:
            verdicts = np.arange(max(low, n_nodes), min(high, n_nodes + len(self._accounts)))
            given = pl.DataFrame({"start": self._accounts[verdicts - n_nodes], "end": verdicts})
            parts.append(given.select(_column(given, name) for name in _SCHEMA))
        elif low < n_nodes:
            ends = np.arange(low, min(high, n_nodes), dtype=np.int32)
            parts += [
                self.tables.relationships_into(table, ends).with_columns(pl.col(_PAIR).cast(pl.Int64))
                for table in self.tables.relationship_tables
                if table.type == name
            ]
        return pl.concat(parts)

    def _placed(self, read: Cells) -> Cells:
        """Rows with places in the stead of the database's ids."""
        placed = {}
        for column in _PAIR:
            ids = read.table[column].to_numpy()
            at = np.minimum(np.searchsorted(self._ids_in_order, ids), len(self._order) - 1)
            # A node without any of our labels has no place; its id tells it from others.
            found = self._ids_in_order[at] == ids
            placed[column] = pl.Series(np.where(found, self._order[at], len(self._order) + ids))
        return Cells(read.table.with_columns(**placed), read.odd)

    def _compare(self, found: Comparison, expected: pl.DataFrame, read: Cells) -> None:
        found.in_snapshot += len(expected)
        found.in_database += len(read.table)
        live = read.table["live_seq"].fill_null(0) > self.tables.snapshot.last_seq
        there = read.table.drop("live_seq")
        if not read.odd and not live.any():
            mine, theirs = expected.sort(_PAIR), there.sort(_PAIR)
            if mine.equals(theirs):
                same = self._hash(mine)
                found.add_hashes(same, same)
                return
        # Of several with the same ends the first is the one; the others are doubled.
        numbered = there.with_columns(live=live, nth=pl.int_range(pl.len()).over(_PAIR)).with_row_index("row")
        doubled = numbered.filter(pl.col("nth") > 0)
        joined = (
            expected.with_columns(here=pl.lit(True))
            .join(
                numbered.filter(pl.col("nth") == 0).select(*_PAIR, "row", "live"),
                on=_PAIR,
                how="full",
                coalesce=True,
            )
            .with_columns(pl.col("live").fill_null(False))
            .sort(_PAIR)
        )
        missing = joined.filter(pl.col("row").is_null())
        extra = joined.filter(pl.col("here").is_null() & ~pl.col("live"))
        both = joined.filter(pl.col("here") & pl.col("row").is_not_null() & ~pl.col("live"))
        found.missing += len(missing)
        found.extra += len(extra)
        found.doubled += len(doubled)
        found.followed += int(joined["live"].sum())
        for what, rows in (("missing", missing), ("extra", extra), ("doubled", doubled)):
            for row in rows.head(found.room).iter_rows(named=True):
                found.name_one(what, self._subject(found.name, row))
        self._compare_values(found, both, read)
        sides = [missing.select(*_PAIR, by=-1), extra.select(*_PAIR, by=1), doubled.select(*_PAIR, by=1)]
        moved = pl.concat([side.cast(pl.Int64) for side in sides])
        if len(moved):
            found.other_in_degree += _other_degrees(moved, "end")
            self._starts[found.name].append(moved)
        counted = read.only(~live.to_numpy())
        followed = joined.filter(pl.col("live")).select(_PAIR)
        found.add_hashes(
            self._hash(expected.join(followed, on=_PAIR, how="anti")),
            self._hash(counted.table, counted),
        )

    def _compare_values(self, found: Comparison, both: pl.DataFrame, read: Cells) -> None:
        actual = read.at(both["row"].to_numpy())
        changed = np.zeros(len(both), np.bool_)
        for one in fields_of({name: _SCHEMA[name] for name in _VALUES}):
            other = differing(both[one.column], actual, one.column)
            changed |= other
            for row in np.flatnonzero(other)[: found.room].tolist():
                found.name_one(
                    "changed",
                    self._subject(found.name, both.row(row, named=True)),
                    property=one.name,
                    expected=one.shown(both[one.column][row]),
                    found=one.shown(shown_cell(actual, row, one.column)),
                )
        found.changed += int(changed.sum())

    def _hash(self, table: pl.DataFrame, cells: Cells | None = None) -> int:
        names = []
        for column in ("start", "end"):
            at = table[column].to_numpy()
            inside = at < len(self.places.names)
            name = at.astype(np.uint64)
            name[inside] = self.places.names[at[inside]]
            names.append(name)
        return content_hash(names, table, _VALUES, None if cells is None else cells.odd)

    def _subject(self, name: str, row: dict[str, Any]) -> str:
        return f"({self._node(row['start'])})-[{name}]->({self._node(row['end'])})"

    def _node(self, place: int) -> str:
        for sort in self.sorts:
            at = int(np.searchsorted(sort.nodes, place))
            if at < len(sort.nodes) and sort.nodes[at] == place:
                return f"{sort.label} {sort.table(np.array([at]))['key'][0]}"
        total = len(self.places.ids)
        node = int(self.places.ids[place]) if place < total else place - total
        labels, key = self.opened.run(
            "MATCH (n) WHERE id(n) = $node RETURN labels(n), coalesce(n.id, n.hash, n.key)", node=node
        ).single(strict=True)
        return f"{':'.join(labels) or 'without label'} {key}"

    def _astray(self, found: Comparison) -> None:
        """Count relationships of our types that lead to nodes with none of our labels."""
        ours = " OR ".join(f"e:{sort.label}" for sort in self.sorts)
        count = self.opened.run(f"MATCH ()-[r:{found.name}]->() RETURN count(r)").single(strict=True)[0]
        if count == found.in_database:
            return
        astray = self.opened.run(f"MATCH (s)-[r:{found.name}]->(e) WHERE NOT ({ours}) RETURN id(s), id(e)")
        for start, end in astray:
            found.in_database += 1
            found.extra += 1
            if found.room > 0:
                pair = self._placed(Cells(pl.DataFrame({"start": [start], "end": [end]}), {})).table
                found.name_one("extra", self._subject(found.name, pair.row(0, named=True)))


def _column(given: pl.DataFrame, name: str) -> pl.Expr:
    expression = pl.col(name) if name in given.columns else pl.lit(None)
    return expression.cast(_SCHEMA[name]).alias(name)


def _other_degrees(moved: pl.DataFrame, end: str) -> int:
    """How many nodes have more or fewer relationships than they should."""
    return int((moved.group_by(end).agg(pl.col("by").sum())["by"] != 0).sum())
