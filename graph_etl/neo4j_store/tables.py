"""A snapshot as rows of nodes and relationships: what loads write, checks compare, exports print."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Final, NamedTuple

import numpy as np
import polars as pl

from graph_etl.neo4j_store.naming import attribute_properties, labels_of, types_of
from graph_etl.snapshot import NO_TIME

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    from graph_etl.neo4j_store.naming import NodeLabel
    from graph_etl.snapshot import Relation, Snapshot

ROWS_AT_ONCE: Final = 500_000
"""Events that are looked at at once, unless one node alone has more: bounds the memory of a client."""

VERDICT_WORDS: Final = {1: "bad", 0: "good", -1: "none"}

RELATIONSHIP_SCHEMA: Final = {
    "start": pl.Int32(),
    "end": pl.Int32(),
    "first_ms": pl.Int64(),
    "last_ms": pl.Int64(),
    "count": pl.Int64(),
    "amount": pl.Float64(),
}


class RelationshipTable(NamedTuple):
    """One relation of a snapshot as relationships.

    Attributes:
        relation: The relation.
        type: Its relationship type.
    """

    relation: Relation
    type: str


@dataclass(frozen=True)
class GraphTables:
    """The tables of a snapshot, each in an order that is the same in every run.

    Attributes:
        snapshot: The snapshot.
    """

    snapshot: Snapshot

    @property
    def labels(self) -> tuple[NodeLabel, ...]:
        """How its kinds are labelled, in the order of the kinds."""
        return labels_of(self.snapshot)

    @property
    def relationship_tables(self) -> tuple[RelationshipTable, ...]:
        """Its relations, with the types of their relationships."""
        types = types_of(self.snapshot)
        return tuple(
            RelationshipTable(relation, types[relation.name]) for relation in self.snapshot.relations
        )

    def nodes_of_kind(self, ordinal: int) -> NDArray[np.int32]:
        """Which nodes are of a kind: ``int32[n]``, ascending."""
        return np.flatnonzero(np.asarray(self.snapshot.node_kind) == ordinal).astype(np.int32)

    def keys(self, nodes: NDArray[np.int32]) -> pl.Series:
        """Keys of some nodes.

        Args:
            nodes: ``int32[n]``, their indices.

        Returns:
            ``n`` strings.
        """
        return pl.Series("key", self.snapshot.node_keys.take(nodes)).cast(pl.String)

    def nodes(self, ordinal: int, chosen: NDArray[np.int32] | None = None) -> pl.DataFrame:
        """The nodes of one kind.

        Args:
            ordinal: Which kind; 0 is the accounts.
            chosen: ``int32[n]``, some of the nodes of the kind, in any order; all of them if None.

        Returns:
            ``node`` (Int32, the node's index in the snapshot), ``key`` (String) and the properties. Accounts:
            ``first_ms``, ``last_ms`` (Int64, null: unknown), ``verdict`` (``bad``, ``good`` or null) and one
            ``attr_…`` for each attribute. Others: ``kind``, ``accounts`` (Int64, how many touch it), and
            ``value`` for identifiers of public kinds. All: ``hub`` (Boolean), ``hub_reason`` (null: no hub).
        """
        snapshot = self.snapshot
        nodes = self.nodes_of_kind(ordinal) if chosen is None else chosen
        columns: dict[str, pl.Series] = {
            "node": pl.Series(nodes, dtype=pl.Int32),
            "key": self.keys(nodes),
        }
        if ordinal == 0:
            columns |= self._account_columns(np.asarray(snapshot.node_account)[nodes])
        else:
            touched_by = np.asarray(snapshot.touched_by.indptr)
            touched = touched_by[nodes + 1] - touched_by[nodes]
            columns["kind"] = pl.repeat(snapshot.kinds[ordinal].name, len(nodes), eager=True)
            columns["accounts"] = pl.Series(touched.astype(np.int64))
            if snapshot.kinds[ordinal].identifier and snapshot.kinds[ordinal].public:
                columns["value"] = columns["key"]
        table = pl.DataFrame(columns)
        reasons = snapshot.hubs.select(
            pl.col("node").cast(pl.Int32), pl.col("reason").cast(pl.String).alias("hub_reason")
        )
        return table.join(reasons, on="node", how="left", maintain_order="left").with_columns(
            hub=pl.col("hub_reason").is_not_null()
        )

    def _account_columns(self, accounts: NDArray[np.int32]) -> dict[str, pl.Series]:
        snapshot = self.snapshot
        columns = {
            "first_ms": _times(np.asarray(snapshot.first_seen_ms)[accounts]),
            "last_ms": _times(np.asarray(snapshot.last_seen_ms)[accounts]),
            "verdict": pl.Series(snapshot.labels()[accounts]).replace_strict(
                {1: "bad", 0: "good"}, default=None, return_dtype=pl.String
            ),
        }
        values, names = np.asarray(snapshot.attribute_values), attribute_properties(snapshot)
        for at, attribute in enumerate(snapshot.attributes):
            given = pl.Series(values[accounts, at]).fill_nan(None)
            if attribute.type == "category":
                words = pl.Series(list(attribute.categories), dtype=pl.String)
                given = words.gather(given.cast(pl.UInt32))
            elif attribute.type == "flag":
                given = given.cast(pl.Boolean)
            columns[names[attribute.name]] = given
        return columns

    def relationships(self, table: RelationshipTable, rows: int = ROWS_AT_ONCE) -> Iterator[pl.DataFrame]:
        """The relationships of one relation: one for each pair of nodes, counted over its events.

        Args:
            table: Which relation.
            rows: Events that are looked at at once.

        Yields:
            ``start``, ``end`` (Int32 node indices), ``first_ms``, ``last_ms`` (Int64, null without times),
            ``count`` (Int64), ``amount`` (Float64, null unless the relation has amounts), by ``end`` and then
            ``start``. No pair is in two of them. Where the two ends do not differ in meaning, ``start`` is
            the one with the smaller stable name.
        """
        indptr = np.asarray(table.relation.into.indptr)
        low = 0
        while low < len(indptr) - 1:
            high = int(np.searchsorted(indptr, indptr[low] + rows, side="right")) - 1
            high = min(max(high, low + 1), len(indptr) - 1)
            found = self.relationships_into(table, np.arange(low, high, dtype=np.int32))
            if len(found):
                yield found
            low = high

    def relationships_into(self, table: RelationshipTable, ends: NDArray[np.int32]) -> pl.DataFrame:
        """The relationships of one relation that lead to some nodes.

        Args:
            table: Which relation.
            ends: ``int32[n]``, the nodes that they lead to, ascending.

        Returns:
            As :meth:`relationships` yields.
        """
        relation = table.relation
        csr = relation.into
        rows, entries = entries_of(np.asarray(csr.indptr), ends)
        start = np.asarray(csr.nbr)[entries]
        if not relation.directed:
            kept = self._kept(start, ends[rows])
            rows, entries, start = rows[kept], entries[kept], start[kept]
        # Stable: events of a pair stay in the order of positions, and amounts are added up in it, so that
        # their sum has the same bits whatever else is looked at.
        order = np.argsort(rows * self.snapshot.n_nodes + start, kind="stable")
        rows, entries, start = rows[order], entries[order], start[order]
        new = np.ones(len(rows), np.bool_)
        new[1:] = (rows[1:] != rows[:-1]) | (start[1:] != start[:-1])
        first = np.flatnonzero(new)
        pair = np.cumsum(new) - 1
        times = np.asarray(self.snapshot.event_time_ms)[np.asarray(csr.pos)[entries]]
        value = np.asarray(csr.value)[entries].astype(np.float64)
        total = np.bincount(pair, weights=value, minlength=len(first))
        events = np.bincount(pair, minlength=len(first))
        known = np.where(times == NO_TIME, np.iinfo(np.int64).max, times)
        if len(first):
            earliest = np.minimum.reduceat(known, first)
            latest = np.maximum.reduceat(times, first)
        else:
            earliest = latest = np.empty(0, np.int64)
        columns = {
            "start": pl.Series(start[first]),
            "end": pl.Series(ends[rows[first]]),
            "first_ms": _times(np.where(latest == NO_TIME, NO_TIME, earliest)),
            "last_ms": _times(latest),
            "count": pl.Series(total if relation.value == "count" else events),
            "amount": pl.Series(total)
            if relation.value == "amount"
            else pl.repeat(None, len(first), eager=True),
        }
        return pl.DataFrame(columns).select(
            pl.col(name).cast(kind) for name, kind in RELATIONSHIP_SCHEMA.items()
        )

    def count_into(self, table: RelationshipTable, ends: NDArray[np.int32]) -> int:
        """How many relationships of one relation lead to some nodes.

        Args:
            table: Which relation.
            ends: ``int32[n]``, the nodes that they lead to, ascending.

        Returns:
            The length of what :meth:`relationships_into` returns, without looking at events.
        """
        csr = table.relation.pair_in
        indptr = np.asarray(csr.indptr)
        if table.relation.directed:
            return int((indptr[ends + 1] - indptr[ends]).sum())
        rows, entries = entries_of(indptr, ends)
        return int(np.count_nonzero(self._kept(np.asarray(csr.nbr)[entries], ends[rows])))

    def _kept(self, start: NDArray[np.int32], end: NDArray[np.int32]) -> NDArray[np.bool_]:
        """Which entries of an undirected relation count: both ends hold each, one of them keeps it."""
        # By stable names, so that it is the same end whatever their indices are.
        kept: NDArray[np.bool_] = self._names[start] <= self._names[end]
        return kept

    @cached_property
    def _names(self) -> NDArray[np.uint64]:
        return self.snapshot.names_of_nodes()

    def verdicts(self) -> pl.DataFrame:
        """What was said of accounts.

        Returns:
            ``id`` (String, 32 hexadecimal digits, the same in every snapshot that holds the verdict),
            ``account`` (String, account id), ``label`` (``bad``, ``good``, ``none``), ``known_ms`` (null: a
            target of training only), ``reason``, ``source``, ``abuse_type``, ``undoes``.
        """
        table = self.snapshot.verdicts
        accounts = self.snapshot.account_ids.take(table["account"].to_numpy().astype(np.int64))
        return named_verdicts(table.with_columns(account=pl.Series(accounts).cast(pl.String)))


def named_verdicts(verdicts: pl.DataFrame) -> pl.DataFrame:
    """Give verdicts their ids and words.

    Args:
        verdicts: All verdicts on some accounts, in the order of a snapshot: ``account`` (String, account id)
            and the other columns of a snapshot's verdicts.

    Returns:
        As :meth:`GraphTables.verdicts`.
    """
    named = verdicts.with_columns(label=pl.col("label").replace_strict(VERDICT_WORDS, return_dtype=pl.String))
    # A verdict that was given twice is two verdicts.
    numbered = named.with_columns(nth=pl.int_range(pl.len()).over(named.columns))
    return numbered.with_columns(id=_verdict_ids(numbered)).select(
        "id", "account", "label", "known_ms", "reason", "source", "abuse_type", "undoes"
    )


def entries_of(
    indptr: NDArray[np.int64], nodes: NDArray[np.int32]
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Where the entries of some nodes stand.

    Args:
        indptr: ``int64[N + 1]``, node ``v`` owns the entries ``indptr[v]:indptr[v + 1]``.
        nodes: ``int32[n]``.

    Returns:
        Two ``int64[E]``: which of the ``n`` owns the entry, and the entry; node by node.
    """
    first = indptr[nodes]
    counts = indptr[nodes + 1] - first
    rows = np.repeat(np.arange(len(nodes)), counts)
    before = np.cumsum(counts) - counts
    return rows, np.arange(len(rows)) + (first - before)[rows]


def _verdict_ids(verdicts: pl.DataFrame) -> pl.Series:
    """Names of verdicts, from what they say; the same on every machine and in every version."""
    said = verdicts.select("account", "label", "known_ms", "reason", "source", "abuse_type", "undoes", "nth")
    return pl.Series(
        [
            hashlib.blake2b(json.dumps(row, ensure_ascii=False).encode(), digest_size=16).hexdigest()
            for row in said.iter_rows()
        ],
        dtype=pl.String,
    )


def _times(given: NDArray[np.int64]) -> pl.Series:
    times = pl.Series(given, dtype=pl.Int64)
    return times.set(times == NO_TIME, None)
