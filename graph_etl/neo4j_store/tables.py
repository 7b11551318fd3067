"""A snapshot as rows of nodes and relationships: what loads write, checks compare, exports print."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, NamedTuple

import numpy as np
import polars as pl

from graph_etl.neo4j_store.naming import attribute_property, labels_of, types_of
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


@dataclass(frozen=True, slots=True)
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
            "key": pl.Series(snapshot.node_keys.take(nodes.astype(np.int64))).cast(pl.String),
        }
        if ordinal == 0:
            columns |= self._account_columns(np.asarray(snapshot.node_account)[nodes])
        else:
            touched = np.diff(np.asarray(snapshot.touched_by.indptr))[nodes]
            columns["kind"] = pl.repeat(snapshot.kinds[ordinal].name, len(nodes), eager=True)
            columns["accounts"] = pl.Series(touched.astype(np.int64))
            if snapshot.kinds[ordinal].identifier and snapshot.kinds[ordinal].public:
                columns["value"] = columns["key"]
        table = pl.DataFrame(columns)
        reasons = snapshot.hubs.select("node", pl.col("reason").alias("hub_reason"))
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
        values = np.asarray(snapshot.attribute_values)
        for at, attribute in enumerate(snapshot.attributes):
            given = pl.Series(values[accounts, at]).fill_nan(None)
            if attribute.type == "category":
                words = pl.Series(list(attribute.categories), dtype=pl.String)
                given = words.gather(given.cast(pl.UInt32))
            elif attribute.type == "flag":
                given = given.cast(pl.Boolean)
            columns[attribute_property(attribute.name)] = given
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
        csr = table.relation.into
        indptr = np.asarray(csr.indptr)
        names = None if table.relation.directed else self.snapshot.names_of_nodes()
        low = 0
        while low < len(indptr) - 1:
            high = int(np.searchsorted(indptr, indptr[low] + rows, side="right")) - 1
            high = min(max(high, low + 1), len(indptr) - 1)
            found = self._pairs(table.relation, names, low, high)
            if len(found):
                yield found
            low = high

    def _pairs(
        self, relation: Relation, names: NDArray[np.uint64] | None, low: int, high: int
    ) -> pl.DataFrame:
        csr = relation.into
        first, stop = int(csr.indptr[low]), int(csr.indptr[high])
        end = np.repeat(np.arange(low, high, dtype=np.int32), np.diff(csr.indptr[low : high + 1]))
        events = pl.DataFrame(
            {
                "start": np.asarray(csr.nbr[first:stop]),
                "end": end,
                "ms": _times(np.asarray(self.snapshot.event_time_ms)[csr.pos[first:stop]]),
                "value": np.asarray(csr.value[first:stop]).astype(np.float64),
            }
        )
        if names is not None:
            # Both ends hold the event; one of them keeps it, the same one whatever their indices are.
            kept = names[events["start"].to_numpy()] <= names[events["end"].to_numpy()]
            events = events.filter(pl.Series(kept))
        is_count, is_amount = relation.value == "count", relation.value == "amount"
        # Counted in the order of positions, so that the sum of amounts has the same bits in every run.
        return (
            events.group_by("end", "start", maintain_order=True)
            .agg(
                first_ms=pl.col("ms").min(),
                last_ms=pl.col("ms").max(),
                count=pl.col("value").sum().cast(pl.Int64) if is_count else pl.len().cast(pl.Int64),
                amount=pl.col("value").sum() if is_amount else pl.lit(None, pl.Float64),
            )
            .sort("end", "start")
            .select(pl.col(name).cast(kind) for name, kind in RELATIONSHIP_SCHEMA.items())
        )

    def verdicts(self) -> pl.DataFrame:
        """What was said of accounts.

        Returns:
            ``id`` (String, 32 hexadecimal digits, the same in every snapshot that holds the verdict),
            ``account`` (String, account id), ``label`` (``bad``, ``good``, ``none``), ``known_ms`` (null: a
            target of training only), ``reason``, ``source``, ``abuse_type``, ``undoes``.
        """
        table = self.snapshot.verdicts
        accounts = self.snapshot.account_ids.take(table["account"].to_numpy().astype(np.int64))
        named = table.with_columns(
            account=pl.Series(accounts).cast(pl.String),
            label=pl.col("label").replace_strict(VERDICT_WORDS, return_dtype=pl.String),
        )
        # A verdict that was given twice is two verdicts.
        numbered = named.with_columns(nth=pl.int_range(pl.len()).over(named.columns))
        return numbered.with_columns(id=_verdict_ids(numbered)).select(
            "id", "account", "label", "known_ms", "reason", "source", "abuse_type", "undoes"
        )


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
