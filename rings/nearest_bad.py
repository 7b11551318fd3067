"""The way from a ring to the nearest account that is known to be bad, never through a hub."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import numpy as np
from numba import njit

from features import graph_of
from features.visibility import Graph, account_at, is_hub, neighbour, node_of, size_of, visible_pairs
from rings.links import derived_kinds

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from graph_etl import Snapshot

# Steps from node to node: account, entity, account, entity, account.
STEPS: Final = 4
# Nodes visited for one ring, and neighbours read at each: bounds the work.
_VISITED: Final = 4096
# What more accounts touch than this says little of who is behind one of them, hub or not.
_READ: Final = 32


@njit(cache=True, error_model="numpy")
def _search(
    graph: Graph,
    horizon: int,
    members: Any,
    pointers: Any,
    passable: Any,
    known_bad: Any,
    mark: Any,
    paths: Any,
    lengths: Any,
) -> None:
    queue = np.empty(_VISITED, np.int32)
    came = np.empty(_VISITED, np.int32)
    depth = np.empty(_VISITED, np.int8)
    for ring in range(len(pointers) - 1):
        n_queue = 0
        for index in range(pointers[ring], pointers[ring + 1]):
            node = node_of(graph, members[index])
            mark[node] = ring
            # A member that is a hub tells nothing of who is behind the ring.
            if n_queue < _VISITED and not is_hub(graph, node, horizon):
                queue[n_queue] = node
                came[n_queue] = -1
                depth[n_queue] = 0
                n_queue += 1
        at = 0
        hit = -1
        while at < n_queue and hit < 0:
            if depth[at] >= STEPS:
                break
            node = np.int64(queue[at])
            for way in range(2):
                row = 2 * graph.n_sides + way
                span = visible_pairs(graph, row, node, horizon)
                n_near = size_of(span)
                if account_at(graph, node) < 0 and n_near > _READ:
                    continue
                for index in range(n_near - 1, max(0, n_near - _READ) - 1, -1):
                    other = neighbour(graph, row, span, index)
                    if mark[other] == ring or n_queue >= _VISITED or not passable[other]:
                        continue
                    if is_hub(graph, other, horizon):
                        continue
                    mark[other] = ring
                    queue[n_queue] = other
                    came[n_queue] = at
                    depth[n_queue] = depth[at] + 1
                    account = account_at(graph, other)
                    if account >= 0 and known_bad[account] and hit < 0:
                        hit = n_queue
                    n_queue += 1
            at += 1
        lengths[ring] = 0
        if hit >= 0:
            steps = depth[hit] + 1
            lengths[ring] = steps
            place = hit
            for index in range(steps - 1, -1, -1):
                paths[ring, index] = queue[place]
                place = came[place]


def nearest_bad(
    snapshot: Snapshot,
    members: NDArray[np.integer[Any]],
    pointers: NDArray[np.int64],
    known_bad: NDArray[np.bool_],
    horizon: int,
) -> list[list[int]]:
    """Find the shortest way from each ring to an account outside it that is known to be bad.

    Hubs, what many accounts touch, and what is only derived from identifiers lead nowhere.

    Args:
        snapshot: The snapshot.
        members: ``int[M]`` accounts of all rings, one ring after the other.
        pointers: ``int64[R + 1]``, ring ``r`` has the accounts ``pointers[r]:pointers[r + 1]``.
        known_bad: ``bool[A]``.
        horizon: Entries with a position below it count.

    Returns:
        For each ring the nodes of the way, a member first and the bad account last; empty if there is none
        within four steps, or none within the nodes that are visited.
    """
    n_rings = len(pointers) - 1
    paths = np.full((n_rings, STEPS + 1), -1, np.int32)
    lengths = np.zeros(n_rings, np.int64)
    if known_bad.any():
        mark = np.full(snapshot.n_nodes, -1, np.int32)
        _search(
            graph_of(snapshot),
            horizon,
            members.astype(np.int64),
            pointers.astype(np.int64),
            ~np.isin(np.asarray(snapshot.node_kind), list(derived_kinds(snapshot))),
            known_bad,
            mark,
            paths,
            lengths,
        )
    return [[int(node) for node in paths[ring, : lengths[ring]]] for ring in range(n_rings)]
