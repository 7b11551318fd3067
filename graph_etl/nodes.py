"""From the nodes that parts name to the nodes of a snapshot, with indices that last."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import polars as pl

from graph_etl.identity import first_with_name
from graph_etl.snapshot import node_hashes

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import NDArray

    from graph_etl.snapshot import KindInfo, Snapshot

ACCOUNT = 0
"""Ordinal of the kind ``account``."""


@dataclass(frozen=True, slots=True)
class NamedNodes:
    """The distinct nodes that some parts name, before it is known which of them a row of the graph touches.

    Attributes:
        kind: ``int16[U]`` ordinals of kinds.
        key: ``U`` keys.
        names: ``uint64[U, 2]`` stable names.
        declared: ``bool[U]``, whether a source of accounts lists the node.
        of_part: For each part, ``int32[n]``: where its own nodes are among the ``U``.
    """

    kind: NDArray[np.int16]
    key: pl.Series
    names: NDArray[np.uint64]
    declared: NDArray[np.bool_]
    of_part: Sequence[NDArray[np.int32]]


@dataclass(frozen=True, slots=True)
class NodeLayout:
    """The nodes of a snapshot.

    Attributes:
        kind: ``int16[N]``.
        key: ``N`` keys.
        names: ``uint64[N, 2]`` stable names.
        rank: ``int32[N]``, place of each present node by kind and key; -1 for absent ones.
        index: ``int32[U]``, index of each named node, -1 if no row of the graph touches it.
        account_node: ``int32[A]``, nodes of the accounts, in order.
    """

    kind: NDArray[np.int16]
    key: pl.Series
    names: NDArray[np.uint64]
    rank: NDArray[np.int32]
    index: NDArray[np.int32]
    account_node: NDArray[np.int32]


def _resolved(nodes: pl.DataFrame) -> NDArray[np.int64]:
    """For each row, the row of the listed account that it turns out to be, else itself."""
    itself = np.arange(len(nodes), dtype=np.int64)
    either = nodes["either"].to_numpy()
    if not either.any():
        return itself
    declared = np.flatnonzero(nodes["declared"].to_numpy())
    undecided = np.flatnonzero(either)
    aliases = nodes.select("alias_low", "alias_high").to_numpy()
    first = first_with_name(np.concatenate([aliases[declared], aliases[undecided]]))[len(declared) :]
    known = first < len(declared)
    itself[undecided[known]] = declared[first[known]]
    return itself


def named_nodes(parts: Sequence[pl.DataFrame]) -> NamedNodes:
    """Unite the nodes of parts.

    Args:
        parts: For each part one row a node: kind, key, low, high (its stable name), declared (listed as an
            account), either (the listed account with its alias, else of its kind), alias_low, alias_high.

    Returns:
        Each node once.
    """
    nodes = pl.concat(parts, rechunk=True)
    resolved = _resolved(nodes)
    names = nodes.select("low", "high").to_numpy()[resolved]
    first = first_with_name(names).astype(np.int64)
    kept = np.flatnonzero(first == np.arange(len(first)))
    place = np.zeros(len(first), np.int32)
    place[kept] = np.arange(len(kept), dtype=np.int32)
    of_row = place[first]
    source = resolved[kept]
    declared = np.zeros(len(kept), np.bool_)
    declared[of_row[nodes["declared"].to_numpy()]] = True
    ends = np.cumsum([len(part) for part in parts])
    return NamedNodes(
        nodes["kind"].to_numpy()[source],
        nodes["key"].gather(source),
        names[kept],
        declared,
        tuple(np.split(of_row, ends[:-1])),
    )


def _order(kind: NDArray[np.int16], key: pl.Series) -> NDArray[np.int64]:
    frame = pl.DataFrame({"kind": kind, "key": key}).with_row_index("at")
    return frame.sort("kind", "key")["at"].to_numpy().astype(np.int64)


def lay_out(
    named: NamedNodes,
    touched: NDArray[np.bool_],
    kinds: Sequence[KindInfo],
    previous: Snapshot | None,
    tombstone: Callable[[int], str] | None = None,
) -> NodeLayout:
    """Give each node that the graph touches its index.

    Args:
        named: The named nodes.
        touched: ``bool[U]``, whether a row of the graph touches the node.
        kinds: Kinds of nodes.
        previous: The snapshot whose indices stay as they are; new nodes come after its own.
        tombstone: Gives nodes of the previous snapshot that no row touches any more another key, by index;
            None: they keep theirs.

    Returns:
        The layout; nodes new to it are sorted by kind and key.
    """
    index = np.full(len(touched), -1, np.int32)
    order = _order(named.kind, named.key)
    order = order[touched[order]]
    old_kind = np.zeros(0, np.int16)
    old_key = pl.Series("key", [], pl.String)
    old_accounts = np.zeros(0, np.int32)
    if previous is not None:
        old_kind, old_key, old_accounts = _previous_nodes(previous, kinds)
        _find_old(named, order, old_kind, old_key, index)
    n_old = len(old_kind)
    new = order[index[order] < 0]
    index[new] = n_old + np.arange(len(new), dtype=np.int32)
    kind = np.concatenate([old_kind, named.kind[new]])
    key = pl.concat([old_key, named.key.gather(new).rename("key")], rechunk=True)
    names = np.zeros((len(kind), 2), np.uint64)
    rank = np.full(len(kind), -1, np.int32)
    names[index[order]] = named.names[order]
    absent = np.flatnonzero(np.bincount(index[order], minlength=len(kind)) == 0)
    if tombstone is not None and len(absent):
        key = key.scatter(absent, [tombstone(int(node)) for node in absent])
    for node in absent:
        names[node] = node_hashes(kinds[kind[node]].name, [key[int(node)]])[0]
    rank[index[order]] = np.arange(len(order), dtype=np.int32)
    new_accounts = n_old + np.flatnonzero(named.kind[new] == ACCOUNT)
    return NodeLayout(
        kind, key, names, rank, index, np.concatenate([old_accounts, new_accounts]).astype(np.int32)
    )


def _previous_nodes(
    previous: Snapshot, kinds: Sequence[KindInfo]
) -> tuple[NDArray[np.int16], pl.Series, NDArray[np.int32]]:
    ordinals = {kind.name: ordinal for ordinal, kind in enumerate(kinds)}
    renumbered = np.array([ordinals[kind.name] for kind in previous.kinds], np.int16)
    keys = pl.Series("key", pl.from_arrow(previous.node_keys.arrow)).cast(pl.String)
    return renumbered[previous.node_kind], keys, np.array(previous.account_node)


def _find_old(
    named: NamedNodes,
    order: NDArray[np.int64],
    old_kind: NDArray[np.int16],
    old_key: pl.Series,
    index: NDArray[np.int32],
) -> None:
    old = pl.DataFrame({"kind": old_kind, "key": old_key}).with_row_index("old")
    now = pl.DataFrame({"kind": named.kind[order], "key": named.key.gather(order)})
    found = now.join(old, on=["kind", "key"], how="left", maintain_order="left")["old"]
    index[order] = found.cast(pl.Int32).fill_null(-1).to_numpy()
