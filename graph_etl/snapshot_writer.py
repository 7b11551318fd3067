"""Writing a snapshot: arrays and tables in, a folder that is never changed again out."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl
import pyarrow as pa

from graph_etl.adjacency import CSR, distinct_pairs, group_by_node, touch_lists
from graph_etl.snapshot import FORMAT, NO_HUB, NO_TIME, AttributeInfo, KindInfo, Strings, node_hashes

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from numpy.typing import NDArray

HUB_SCHEMA = {
    "node": pl.Int32,
    "kind": pl.String,
    "key": pl.String,
    "accounts": pl.Int64,
    "reason": pl.String,
    "since_ms": pl.Int64,
}
VERDICT_SCHEMA = {
    "account": pl.Int32,
    "label": pl.Int8,
    "known_ms": pl.Int64,
    "reason": pl.String,
    "source": pl.String,
    "abuse_type": pl.String,
    "undoes": pl.Boolean,
}
CUT_SCHEMA = {
    "account": pl.Int32,
    "other": pl.Int32,
    "until_ms": pl.Int64,
    "known_pos": pl.Int64,
    "undone_pos": pl.Int64,
}
_GROUP_SCHEMA = {"account": pl.Int32, "group": pl.String, "role": pl.String, "mapping": pl.Int32}


@dataclass(frozen=True, slots=True)
class RelationEdges:
    """Edges of one relation, as they go into a snapshot.

    Attributes:
        name: ``used:KIND`` or the type of the event.
        used: Whether accounts used entities, rather than nodes acting on nodes.
        directed: Whether the two ends differ in meaning.
        value: What the values are: ``one``, ``count`` or ``amount``.
        src: ``int32[E]`` node indices.
        dst: ``int32[E]`` node indices.
        pos: ``int64[E]``, ascending; ties by the canonical rank of ``dst``.
        values: ``float32[E]``.
    """

    name: str
    used: bool
    directed: bool
    value: str
    src: NDArray[np.int32]
    dst: NDArray[np.int32]
    pos: NDArray[np.int64]
    values: NDArray[np.float32]


@dataclass(slots=True)
class SnapshotTables:
    """Everything that a snapshot is written from. ``N`` nodes, ``A`` accounts, ``M`` rows that are events.

    Attributes:
        name: Name of the data set.
        kinds: Kinds of nodes; the first is ``account``.
        node_kind: ``int16[N]``.
        node_keys: ``N`` keys: account ids, hashes, public values.
        account_node: ``int32[A]``, the node of each account.
        node_names: ``uint64[N]``, the first halves of the nodes' stable names; worked out if None.
        first_seen_ms: ``int64[A]``.
        last_seen_ms: ``int64[A]``.
        first_pos: ``int64[A]``, position of the row that brought the account in.
        event_time_ms: ``int64[M]``.
        event_known_ms: ``int64[M]``, ascending.
        event_type: ``int16[M]`` into ``event_types``.
        event_types: Names of the types.
        relations: Edges by relation.
        attributes: What is known of accounts.
        attribute_values: ``float64[A, n_attributes]``; NaN missing.
        hub_since: ``int64[N]``; ``NO_HUB`` by default.
        hubs: One row a hub, with its reason.
        verdicts: One row a verdict, in the order in which they became known.
        cuts: Pairs of accounts that are not linked.
        groups: Known groups.
        folds: ``int8[A]``.
        splits: ``int8[A, n_splits]`` or None: 0 train, 1 validation, 2 test, -1 none.
        quarantine: Rows that are not in the graph, with their reasons.
        manifest: Further entries of the manifest.
    """

    name: str
    kinds: Sequence[KindInfo]
    node_kind: NDArray[np.int16]
    node_keys: pa.Array | Sequence[str]
    account_node: NDArray[np.int32]
    first_seen_ms: NDArray[np.int64]
    last_seen_ms: NDArray[np.int64]
    first_pos: NDArray[np.int64]
    event_time_ms: NDArray[np.int64]
    event_known_ms: NDArray[np.int64]
    event_type: NDArray[np.int16]
    event_types: Sequence[str]
    relations: Sequence[RelationEdges]
    node_names: NDArray[np.uint64] | None = None
    attributes: Sequence[AttributeInfo] = ()
    attribute_values: NDArray[np.float64] | None = None
    hub_since: NDArray[np.int64] | None = None
    hubs: pl.DataFrame | None = None
    verdicts: pl.DataFrame | None = None
    cuts: pl.DataFrame | None = None
    groups: pl.DataFrame | None = None
    folds: NDArray[np.int8] | None = None
    splits: NDArray[np.int8] | None = None
    quarantine: pl.DataFrame | None = None
    manifest: dict[str, Any] = field(default_factory=dict)


def _names(kinds: Sequence[KindInfo], node_kind: NDArray[np.int16], keys: pa.Array) -> NDArray[np.uint64]:
    names = np.empty(len(node_kind), np.uint64)
    for ordinal, kind in enumerate(kinds):
        nodes = np.flatnonzero(node_kind == ordinal)
        names[nodes] = node_hashes(kind.name, Strings(keys)[nodes])[:, 0]
    return names


def _save(folder: Path, name: str, array: NDArray[Any]) -> None:
    np.save(folder / f"{name}.npy", np.ascontiguousarray(array), allow_pickle=False)


def _save_csr(folder: Path, side: str, csr: CSR) -> None:
    for part in ("indptr", "nbr", "pos", "value"):
        _save(folder, f"{side}.{part}", getattr(csr, part))


class _Touching:
    """Collects who touches what while the relations are written, so that none of them is read again."""

    def __init__(self, node_account: NDArray[np.int32]) -> None:
        self._is_account = node_account >= 0
        self._columns: list[tuple[NDArray[Any], ...]] = [
            (np.zeros(0, np.int32), np.zeros(0, np.int32), np.zeros(0, np.int64))
        ]

    def add(self, pairs: CSR) -> None:
        """Add the distinct pairs of one side of a relation."""
        n_nodes = len(self._is_account)
        owner = np.repeat(np.arange(n_nodes, dtype=np.int32), np.diff(pairs.indptr))
        mine = self._is_account[owner]
        self._columns.append((owner[mine], pairs.nbr[mine], pairs.pos[mine]))

    def save(self, folder: Path) -> None:
        """Write both lists."""
        account, touched, pos = (np.concatenate(parts) for parts in zip(*self._columns, strict=True))
        self._columns = []
        lists = touch_lists(account, touched, pos, len(self._is_account))
        for name, touch_list in zip(("touched_by", "touches"), lists, strict=True):
            for part in ("indptr", "nbr", "pos"):
                _save(folder, f"{name}.{part}", getattr(touch_list, part))


def _write_relation(
    folder: Path, edges: RelationEdges, node_kind: NDArray[np.int16], touching: _Touching
) -> dict[str, Any]:
    folder.mkdir(parents=True)
    n_nodes = len(node_kind)
    src, dst, pos, values = edges.src, edges.dst, edges.pos, edges.values
    if not edges.directed:
        loop = src == dst
        src, dst = np.concatenate([src, dst[~loop]]), np.concatenate([dst, src[~loop]])
        pos, values = np.concatenate([pos, pos[~loop]]), np.concatenate([values, values[~loop]])
        order = np.argsort(pos, kind="stable")
        src, dst, pos, values = src[order], dst[order], pos[order], values[order]
    sides: dict[str, str] = {}
    for side, ends in (("out", (src, dst)), ("into", (dst, src))):
        pair = "pair_out" if side == "out" else "pair_in"
        if side == "into" and not edges.directed:
            sides |= {side: sides["out"], pair: sides["pair_out"]}
            continue
        csr = group_by_node(*ends, pos, values, n_nodes)
        _save_csr(folder, side, csr)
        pairs = distinct_pairs(csr)
        touching.add(pairs)
        if pairs is not csr:
            _save_csr(folder, pair, pairs)
        sides |= {side: side, pair: side if pairs is csr else pair}
    return {
        "name": edges.name,
        "used": edges.used,
        "directed": edges.directed,
        "value": edges.value,
        "edges": len(edges.src),
        "from_kinds": [int(kind) for kind in np.unique(node_kind[edges.src])],
        "to_kinds": [int(kind) for kind in np.unique(node_kind[edges.dst])],
        "sides": sides,
    }


def _write_strings(path: Path, strings: pa.Array) -> None:
    table = pa.table({"key": strings.cast(pa.large_string())})
    with pa.OSFile(str(path), "wb") as sink, pa.ipc.new_file(sink, table.schema) as writer:
        writer.write_table(table, max_chunksize=max(1, len(table)))


def _frame(given: pl.DataFrame | None, schema: dict[str, Any]) -> pl.DataFrame:
    empty = pl.DataFrame(schema=schema)
    if given is None:
        return empty
    return pl.concat([empty, given], how="diagonal_relaxed").select(
        pl.col(name).cast(kind) for name, kind in schema.items()
    )


def write_snapshot(folder: Path, tables: SnapshotTables) -> dict[str, Any]:
    """Write a snapshot into an empty folder.

    Args:
        folder: Where to; made if it does not exist.
        tables: What to write.

    Returns:
        The manifest, as written; its ``id`` is ``tables.manifest["id"]`` or the folder's name.
    """
    folder.mkdir(parents=True, exist_ok=True)
    n_nodes, n_accounts = len(tables.node_kind), len(tables.account_node)
    keys = tables.node_keys
    if not isinstance(keys, pa.Array | pa.ChunkedArray):
        keys = pa.array(list(keys), pa.large_string())
    if isinstance(keys, pa.ChunkedArray):
        keys = keys.combine_chunks()
    node_account = np.full(n_nodes, -1, np.int32)
    node_account[tables.account_node] = np.arange(n_accounts, dtype=np.int32)
    names = tables.node_names
    if names is None:
        names = _names(tables.kinds, tables.node_kind, keys)
    by_name = np.argsort(names, kind="stable").astype(np.int32)
    values = tables.attribute_values
    arrays: dict[str, NDArray[Any]] = {
        "node_kind": tables.node_kind.astype(np.int16),
        "node_account": node_account,
        "node_names": names[by_name],
        "node_by_name": by_name,
        "account_node": tables.account_node.astype(np.int32),
        "first_seen_ms": tables.first_seen_ms.astype(np.int64),
        "last_seen_ms": tables.last_seen_ms.astype(np.int64),
        "first_pos": tables.first_pos.astype(np.int64),
        "attribute_values": np.zeros((n_accounts, 0)) if values is None else values,
        "event_time_ms": tables.event_time_ms.astype(np.int64),
        "event_known_ms": tables.event_known_ms.astype(np.int64),
        "event_type": tables.event_type.astype(np.int16),
        "hub_since": np.full(n_nodes, NO_HUB) if tables.hub_since is None else tables.hub_since,
        "folds": np.zeros(n_accounts, np.int8) if tables.folds is None else tables.folds,
    }
    if tables.splits is not None:
        arrays["splits"] = tables.splits.astype(np.int8)
    for name, array in arrays.items():
        _save(folder, name, array)
    _write_strings(folder / "node_keys.arrow", keys)
    write_frames(folder, tables)
    touching = _Touching(node_account)
    relations = [
        _write_relation(folder / "relations" / str(ordinal), edges, tables.node_kind, touching)
        for ordinal, edges in enumerate(tables.relations)
    ]
    touching.save(folder)
    times = tables.event_time_ms[tables.event_time_ms != NO_TIME]
    return write_manifest(
        folder,
        tables,
        relations,
        n_nodes=n_nodes,
        n_accounts=n_accounts,
        n_events=len(tables.event_time_ms),
        time_range_ms=(int(times.min()), int(times.max())) if len(times) else None,
    )


def write_frames(folder: Path, tables: SnapshotTables) -> None:
    """Write what is neither long nor mapped: hubs, verdicts, cuts, groups, quarantine.

    Args:
        folder: Where to.
        tables: What to write.
    """
    _frame(tables.hubs, HUB_SCHEMA).write_parquet(folder / "hubs.parquet")
    _frame(tables.verdicts, VERDICT_SCHEMA).with_columns(pl.col("undoes").fill_null(False)).write_parquet(
        folder / "verdicts.parquet"
    )
    _frame(tables.cuts, CUT_SCHEMA).write_parquet(folder / "cuts.parquet")
    _frame(tables.groups, _GROUP_SCHEMA).write_parquet(folder / "groups.parquet")
    if tables.quarantine is not None:
        tables.quarantine.write_parquet(folder / "quarantine.parquet")


def write_manifest(
    folder: Path,
    tables: SnapshotTables,
    relations: Sequence[dict[str, Any]],
    *,
    n_nodes: int,
    n_accounts: int,
    n_events: int,
    time_range_ms: tuple[int, int] | None,
) -> dict[str, Any]:
    """Write the manifest.

    Args:
        folder: Where to.
        tables: Names, kinds, attributes, types and further entries; its arrays are not looked at.
        relations: What is said of each relation.
        n_nodes: Number of nodes.
        n_accounts: Number of accounts.
        n_events: Number of rows that are events.
        time_range_ms: First and last time of an event; None if none has one.

    Returns:
        The manifest.
    """
    manifest: dict[str, Any] = {
        "format": FORMAT,
        "id": folder.name,
        "name": tables.name,
        "simulated": False,
        "spec_hash": "",
        "content_hash": "",
        "counts": {},
        "time_range_ms": None if time_range_ms is None else list(time_range_ms),
        "timed": time_range_ms is not None,
        "moments": ["retrospective"],
        "fold_policy": "stratified",
        "files": [],
        "key_fingerprint": None,
        "prevalence": None,
        "assume_good_after_ms": None,
        "last_seq": 0,
    }
    manifest |= tables.manifest
    manifest["counts"] = {
        "nodes": n_nodes,
        "accounts": n_accounts,
        "events": n_events,
        "edges": sum(relation["edges"] for relation in relations),
    } | dict(manifest["counts"])
    manifest |= {
        "kinds": [
            {"name": kind.name, "identifier": kind.identifier, "public": kind.public} for kind in tables.kinds
        ],
        "relations": relations,
        "attributes": [
            {"name": attribute.name, "type": attribute.type, "categories": list(attribute.categories)}
            for attribute in tables.attributes
        ],
        "event_types": list(tables.event_types),
    }
    (folder / "manifest.json").write_text(json.dumps(manifest, indent=1) + "\n")
    return manifest
