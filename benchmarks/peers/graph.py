"""A snapshot as one plain graph, as methods for plain graphs want it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np
from scipy import sparse

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from graph_etl import Relation, Snapshot
    from graph_etl.adjacency import CSR

# Commoner categories get a column each.
_CATEGORIES: Final = 16


def adjacency(snapshot: Snapshot) -> sparse.csr_matrix:
    """All relations laid over one another: undirected, unweighted, without loops.

    Args:
        snapshot: The snapshot.

    Returns:
        ``N x N`` of 0 and 1, symmetric.
    """
    n = snapshot.n_nodes
    total = sparse.csr_matrix((n, n), dtype=np.float32)
    for relation in snapshot.relations:
        total = total + _matrix(relation.pair_out, n)
    total = total + total.T
    total.setdiag(0)
    total.eliminate_zeros()
    total.data[:] = 1.0
    total.sort_indices()
    return total


def _matrix(side: CSR, n_nodes: int) -> sparse.csr_matrix:
    ones = np.ones(len(side.nbr), np.float32)
    return sparse.csr_matrix((ones, np.asarray(side.nbr), np.asarray(side.indptr)), shape=(n_nodes, n_nodes))


def sides(snapshot: Snapshot) -> list[tuple[str, CSR]]:
    """Each relation's distinct pairs, by both their ends where the two differ.

    Args:
        snapshot: The snapshot.

    Returns:
        Name and pairs.
    """

    def both(relation: Relation) -> list[tuple[str, CSR]]:
        out = [(f"{relation.name}>", relation.pair_out)]
        return [*out, (f"{relation.name}<", relation.pair_in)] if relation.directed else out

    return [side for relation in snapshot.relations for side in both(relation)]


def attribute_columns(snapshot: Snapshot) -> NDArray[np.float32]:
    """The accounts' own attributes as numbers.

    Args:
        snapshot: The snapshot.

    Returns:
        ``float32[A, d]``: numbers and flags as they are (NaN unknown), a column of 0 and 1 for each category.
    """
    values = np.asarray(snapshot.attribute_values)
    columns: list[NDArray[np.float64]] = []
    for at, attribute in enumerate(snapshot.attributes):
        if attribute.type == "category":
            columns += [values[:, at] == one for one in range(min(len(attribute.categories), _CATEGORIES))]
        else:
            columns.append(values[:, at])
    if not columns:
        return np.zeros((snapshot.n_accounts, 0), np.float32)
    return np.stack(columns, axis=1).astype(np.float32)


def degree_columns(snapshot: Snapshot) -> NDArray[np.float32]:
    """How many others each node has on each side of each relation.

    Args:
        snapshot: The snapshot.

    Returns:
        ``float32[N, S]``, ``log(1 + pairs)``.
    """
    return np.stack([np.log1p(np.diff(side.indptr)) for _, side in sides(snapshot)], axis=1).astype(
        np.float32
    )


def wants_degrees(snapshot: Snapshot) -> bool:
    """Whether degrees join the inputs: where nodes have no attributes of their own."""
    return snapshot.n_nodes > snapshot.n_accounts or not snapshot.attributes


def node_inputs(snapshot: Snapshot) -> NDArray[np.float32]:
    """The inputs X of every node.

    Args:
        snapshot: The snapshot.

    Returns:
        ``float32[N, D]``: attributes, 0 where a node has none or its value is not known. Where the graph has
        entities or accounts have no attributes, also whether the node is an account, and its degree on each
        side of each relation: methods for plain graphs would else have next to nothing to look at.
    """
    attributes = np.nan_to_num(attribute_columns(snapshot))
    held = np.zeros((snapshot.n_nodes, attributes.shape[1]), np.float32)
    held[np.asarray(snapshot.account_node)] = attributes
    if not wants_degrees(snapshot):
        return held
    account = (np.asarray(snapshot.node_account) >= 0).astype(np.float32)[:, None]
    return np.hstack([held, account, degree_columns(snapshot)])
