"""Compressed sparse rows: edges by node, in the order in which they became visible."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numba import njit

if TYPE_CHECKING:
    from numpy.typing import NDArray


@dataclass(frozen=True, slots=True)
class CSR:
    """Edges grouped by node; within a node sorted by position, then by the neighbour's canonical rank.

    Attributes:
        indptr: ``int64[N + 1]``, node ``v`` owns the entries ``indptr[v]:indptr[v + 1]``.
        nbr: ``int32[E]``, the neighbour of each entry.
        pos: ``int64[E]``, the position of the row behind it; the entry is visible at horizon ``h`` if below.
        value: ``float32[E]``, one, a count or an amount, as the relation says.
    """

    indptr: NDArray[np.int64]
    nbr: NDArray[np.int32]
    pos: NDArray[np.int64]
    value: NDArray[np.float32]

    def of(self, node: int, horizon: int | None = None) -> slice:
        """The entries of one node that are visible.

        Args:
            node: Node index.
            horizon: Entries with a position below it are visible; all if None.

        Returns:
            A slice into ``nbr``, ``pos`` and ``value``.
        """
        start, stop = int(self.indptr[node]), int(self.indptr[node + 1])
        if horizon is not None:
            stop = start + int(np.searchsorted(self.pos[start:stop], horizon, side="left"))
        return slice(start, stop)


@njit(cache=True)
def _fill(
    owner: NDArray[np.int32],
    other: NDArray[np.int32],
    pos: NDArray[np.int64],
    value: NDArray[np.float32],
    indptr: NDArray[np.int64],
    nbr_out: NDArray[np.int32],
    pos_out: NDArray[np.int64],
    value_out: NDArray[np.float32],
) -> None:
    n_nodes = len(indptr) - 1
    for e in range(len(owner)):
        indptr[owner[e] + 1] += 1
    for v in range(n_nodes):
        indptr[v + 1] += indptr[v]
    cursor = indptr[:-1].copy()
    for e in range(len(owner)):
        at = cursor[owner[e]]
        cursor[owner[e]] = at + 1
        nbr_out[at] = other[e]
        pos_out[at] = pos[e]
        value_out[at] = value[e]


def group_by_node(
    owner: NDArray[np.int32],
    other: NDArray[np.int32],
    pos: NDArray[np.int64],
    value: NDArray[np.float32],
    n_nodes: int,
) -> CSR:
    """Group edges by one of their ends with a stable counting sort.

    Args:
        owner: ``int32[E]``, the end that owns the entry.
        other: ``int32[E]``, the other end.
        pos: ``int64[E]``, ascending.
        value: ``float32[E]``.
        n_nodes: Number of nodes.

    Returns:
        The edges by ``owner``; entries of a node keep the order of the input.
    """
    n_edges = len(owner)
    csr = CSR(
        np.zeros(n_nodes + 1, np.int64),
        np.empty(n_edges, np.int32),
        np.empty(n_edges, np.int64),
        np.empty(n_edges, np.float32),
    )
    _fill(owner, other, pos, value, csr.indptr, csr.nbr, csr.pos, csr.value)
    return csr


@njit(cache=True)
def _first_of_pairs(
    indptr: NDArray[np.int64],
    nbr: NDArray[np.int32],
    value: NDArray[np.float32],
    pair_indptr: NDArray[np.int64],
    first: NDArray[np.int64],
    total: NDArray[np.float64],
) -> int:
    n_nodes = len(indptr) - 1
    slot = np.full(n_nodes, -1, np.int64)
    n_pairs = 0
    for v in range(n_nodes):
        start = n_pairs
        for e in range(indptr[v], indptr[v + 1]):
            at = slot[nbr[e]]
            if at < start:
                at = n_pairs
                slot[nbr[e]] = at
                first[at] = e
                total[at] = 0.0
                n_pairs += 1
            total[at] += value[e]
        pair_indptr[v + 1] = n_pairs
    return n_pairs


def distinct_pairs(csr: CSR) -> CSR:
    """One entry for each distinct pair of nodes, at its first position, values summed over all of them.

    Args:
        csr: Edges by node.

    Returns:
        The pairs by node; the very same object if no pair occurs twice.
    """
    n_edges = len(csr.nbr)
    indptr = np.zeros(len(csr.indptr), np.int64)
    first = np.empty(n_edges, np.int64)
    total = np.empty(n_edges, np.float64)
    n_pairs = _first_of_pairs(csr.indptr, csr.nbr, csr.value, indptr, first, total)
    if n_pairs == n_edges:
        return csr
    first = first[:n_pairs]
    return CSR(indptr, csr.nbr[first], csr.pos[first], total[:n_pairs].astype(np.float32))


@dataclass(frozen=True, slots=True)
class TouchList:
    """Who touches what in any relation and direction, grouped by node, each pair at its first position.

    Attributes:
        indptr: ``int64[N + 1]``, node ``v`` owns the entries ``indptr[v]:indptr[v + 1]``.
        nbr: ``int32[T]``, nodes; within an owner by position, then by node.
        pos: ``int64[T]``, where the two met first; the entry is visible at horizon ``h`` if below.
    """

    indptr: NDArray[np.int64]
    nbr: NDArray[np.int32]
    pos: NDArray[np.int64]


@njit(cache=True)
def _stable_order(
    keys: NDArray[np.int32] | NDArray[np.int64], order: NDArray[np.int64], n_keys: int
) -> NDArray[np.int64]:
    start = np.zeros(n_keys + 1, np.int64)
    for at in order:
        start[keys[at] + 1] += 1
    for key in range(n_keys):
        start[key + 1] += start[key]
    placed = np.empty_like(order)
    for at in order:
        placed[start[keys[at]]] = at
        start[keys[at]] += 1
    return placed


@njit(cache=True)
def _first_of_each(
    owner: NDArray[np.int32], other: NDArray[np.int32], order: NDArray[np.int64], n_nodes: int
) -> NDArray[np.int64]:
    seen_by = np.full(n_nodes, -1, np.int32)
    kept = np.empty_like(order)
    n_kept = 0
    for at in order:
        if seen_by[other[at]] != owner[at]:
            seen_by[other[at]] = owner[at]
            kept[n_kept] = at
            n_kept += 1
    return kept[:n_kept].copy()


def touch_lists(
    account: NDArray[np.int32], touched: NDArray[np.int32], pos: NDArray[np.int64], n_nodes: int
) -> tuple[TouchList, TouchList]:
    """Unite what accounts touch over all relations, by counting sorts: linear in time and memory.

    Args:
        account: ``int32[P]``, nodes of accounts.
        touched: ``int32[P]``, the nodes that they touch.
        pos: ``int64[P]``, positions, none negative; a pair may occur several times.
        n_nodes: Number of nodes.

    Returns:
        By node, the accounts that touch it; by account, the nodes that it touches.
    """
    # From the last key to the first, each sort stable: by account, position, touched node.
    order = np.arange(len(pos), dtype=np.int64)
    n_positions = int(pos.max()) + 1 if len(pos) else 0
    for keys, n_keys in ((touched, n_nodes), (pos, n_positions), (account, n_nodes)):
        order = _stable_order(keys, order, n_keys)
    order = _first_of_each(account, touched, order, n_nodes)
    touches = _listed(account, touched, pos, order, n_nodes)
    for keys, n_keys in ((pos, n_positions), (touched, n_nodes)):
        order = _stable_order(keys, order, n_keys)
    return _listed(touched, account, pos, order, n_nodes), touches


def _listed(
    owner: NDArray[np.int32],
    other: NDArray[np.int32],
    pos: NDArray[np.int64],
    order: NDArray[np.int64],
    n_nodes: int,
) -> TouchList:
    indptr = np.zeros(n_nodes + 1, np.int64)
    np.cumsum(np.bincount(owner[order], minlength=n_nodes), out=indptr[1:])
    return TouchList(indptr, other[order], pos[order])
