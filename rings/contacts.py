"""What the members of all rings touch: the one table that evidence, words and pictures are made from."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl

from features import view_of

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from features import Side
    from graph_etl import Snapshot

# Shared nodes that a ring's evidence names at most.
_NAMED = 12


@dataclass(frozen=True)
class Contacts:
    """Who of each ring touches what, hubs left out.

    Attributes:
        sides: The ways in which an account can touch a node.
        touches: One row for each account, node and side: ring, account, node, side, pos (the first time).
        shared: One row for each ring and node that at least two members touch: ring, node, members, users
            (all accounts that touch it), surprise (bits by which that many sharing members stand out, times
            those beyond the first), place (rank by surprise within the ring, from 0).
    """

    sides: tuple[Side, ...]
    touches: pl.DataFrame
    shared: pl.DataFrame

    def touches_by(self, rings: range) -> pl.DataFrame:
        """What the members of some rings touch.

        Args:
            rings: Their numbers.

        Returns:
            Their rows of ``touches``.
        """
        return _rows_of(self._touches_by_ring, rings)

    def shared_by(self, rings: range) -> pl.DataFrame:
        """What some rings share.

        Args:
            rings: Their numbers.

        Returns:
            Their rows of ``shared``.
        """
        return _rows_of(self.shared, rings)

    @cached_property
    def _touches_by_ring(self) -> pl.DataFrame:
        return self.touches.sort("ring")


def _rows_of(table: pl.DataFrame, rings: range) -> pl.DataFrame:
    """The rows of some rings of a table sorted by them."""
    first, last = np.searchsorted(table["ring"].to_numpy(), [rings.start, rings.stop]).tolist()
    return table[first:last]


def contacts(snapshot: Snapshot, member: NDArray[np.int32], horizon: int) -> Contacts:
    """Gather what the members of rings touch.

    Args:
        snapshot: The snapshot.
        member: ``int32[A]``, ring of each account or -1.
        horizon: Entries with a position below it count.

    Returns:
        The contacts.
    """
    view = view_of(snapshot)
    accounts = np.flatnonzero(member >= 0)
    nodes = np.asarray(view.account_node)[accounts].astype(np.int64)
    parts = [
        _touches(view.pairs(row), row, accounts, nodes, view.hub_since, horizon)
        for row in range(len(view.sides))
    ]
    schema = {"account": pl.Int32, "node": pl.Int32, "side": pl.Int16, "pos": pl.Int64}
    table = pl.concat([pl.DataFrame(schema=schema), *(pl.DataFrame(part, schema=schema) for part in parts)])
    table = table.with_columns(ring=pl.Series(member[table["account"].to_numpy()], dtype=pl.Int32))
    users = np.diff(view.pairs(2 * len(view.sides))[0])
    if horizon < snapshot.end_horizon:
        pointers, _, positions = view.pairs(2 * len(view.sides))
        unseen = np.concatenate([[0], np.cumsum(np.asarray(positions) >= horizon)])
        users = users - np.diff(unseen[np.asarray(pointers)])
    shared = (
        table.group_by("ring", "node")
        .agg(members=pl.col("account").n_unique())
        .filter(pl.col("members") >= 2)
        .sort("ring", "node")
    )
    size = np.bincount(member[accounts], minlength=1)
    ring, count = shared["ring"].to_numpy(), shared["members"].to_numpy()
    users_here = np.maximum(users[shared["node"].to_numpy()], count)
    bits = np.log2(np.maximum(1.0, count / size[ring] * len(member) / users_here)) if len(count) else count
    shared = (
        shared.with_columns(
            users=pl.Series(users_here, dtype=pl.Int64),
            surprise=pl.Series((count - 1) * bits, dtype=pl.Float64),
        )
        .sort(["ring", "surprise", "users", "node"], descending=[False, True, False, False])
        .with_columns(place=pl.int_range(pl.len()).over("ring"))
    )
    return Contacts(view.sides, table, shared)


def _touches(
    pairs: tuple[NDArray[Any], ...],
    side: int,
    accounts: NDArray[np.int64],
    nodes: NDArray[np.int64],
    hub_since: NDArray[np.int64],
    horizon: int,
) -> dict[str, NDArray[Any]]:
    pointers, neighbours, positions = pairs
    index, lengths = entries_of(pointers, nodes)
    node = np.asarray(neighbours)[index]
    pos = np.asarray(positions)[index]
    kept = (pos < horizon) & (np.asarray(hub_since)[node] >= horizon) & (node != np.repeat(nodes, lengths))
    return {
        "account": np.repeat(accounts, lengths)[kept].astype(np.int32),
        "node": node[kept].astype(np.int32),
        "side": np.full(int(kept.sum()), side, np.int16),
        "pos": pos[kept].astype(np.int64),
    }


def entries_of(
    pointers: NDArray[Any], nodes: NDArray[np.integer[Any]]
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Where the entries of some nodes lie in lists that follow one another.

    Args:
        pointers: ``int64[N + 1]``, where each node's list begins.
        nodes: ``int[n]``, whose entries.

    Returns:
        ``int64[E]`` places of the entries, node by node, and ``int64[n]``, how many each node has.
    """
    starts = np.asarray(pointers)[nodes]
    lengths = np.asarray(pointers)[nodes + 1] - starts
    ends = np.cumsum(lengths)
    index = np.arange(int(ends[-1]) if len(ends) else 0) + np.repeat(starts - (ends - lengths), lengths)
    return index, lengths


def named_nodes(found: Contacts) -> pl.DataFrame:
    """The shared nodes that evidence names, with who touches them how.

    Args:
        found: The contacts.

    Returns:
        One row for each ring, node and side: ring, node, side, members, users, surprise, place and accounts
        (who of the ring, ascending); the most telling nodes first.
    """
    named = found.shared.filter(pl.col("place") < _NAMED)
    return (
        found.touches.join(named, on=["ring", "node"], how="inner")
        .group_by("ring", "place", "node", "side", "members", "users", "surprise")
        .agg(accounts=pl.col("account").unique().sort())
        .sort("ring", "place", "side")
    )


def identifier_groups(found: Contacts) -> pl.DataFrame:
    """For each ring and kind of identifier the identifiers that at least two members used.

    Args:
        found: The contacts.

    Returns:
        One row for each ring and side: ring, side, accounts (members on them), nodes (most users in the ring
        first), surprise (summed).
    """
    used = [ordinal for ordinal, side in enumerate(found.sides) if side.used]
    return (
        found.touches.filter(pl.col("side").is_in(used))
        .join(found.shared.select("ring", "node", "members", "surprise"), on=["ring", "node"], how="inner")
        .sort("ring", "side", "members", "node", descending=[False, False, True, False])
        .group_by("ring", "side", maintain_order=True)
        .agg(
            accounts=pl.col("account").unique().sort(),
            nodes=pl.col("node").unique(maintain_order=True),
            surprise=pl.struct("node", "surprise").unique().struct.field("surprise").sum(),
        )
        .sort(["ring", "surprise", "side"], descending=[False, True, False])
    )


def inner_interactions(snapshot: Snapshot, found: Contacts, member: NDArray[np.int32]) -> pl.DataFrame:
    """Interactions between members of one ring.

    Args:
        snapshot: The snapshot.
        found: The contacts.
        member: ``int32[A]``, ring of each account or -1.

    Returns:
        One row for each pair and side that goes out: ring, side, account, other, pos.
    """
    outgoing = [
        ordinal for ordinal, side in enumerate(found.sides) if side.outgoing and side.direct and not side.used
    ]
    table = found.touches.filter(pl.col("side").is_in(outgoing))
    other = np.asarray(snapshot.node_account)[table["node"].to_numpy()]
    same = (other >= 0) & (member[np.maximum(other, 0)] == table["ring"].to_numpy())
    return table.with_columns(other=pl.Series(other, dtype=pl.Int32)).filter(pl.Series(same))
