"""A graph with times as a peer sees it: examples are accounts at moments, each as of its horizon."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Final

import numpy as np
from scipy import sparse

from benchmarks.peers import graph

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    from benchmarks.peers.sage import Network
    from features import Queries
    from graph_etl import Snapshot

# Neighbours of a node that are looked at, the most recent ones: pages of Wikipedia have thousands.
_CAP: Final = 64
# Neighbours at the first and second hop that GraphSAGE samples, near those of its paper (25 and 10).
_FANOUT: Final = 10
_CHUNK: Final = 1000


@dataclass(frozen=True, slots=True)
class Trees:
    """Examples, their neighbours and the neighbours of those, as of each example's horizon.

    Attributes:
        x0: ``float32[Q, D]``.
        x1: ``float32[E1, D]``.
        x2: ``float32[E2, D]``.
        owner1: ``int64[E1]`` into the examples, ascending.
        owner2: ``int64[E2]`` into the first hop, ascending.
        node2: ``int64[E2]``, the nodes of the second hop.
    """

    x0: NDArray[np.float32]
    x1: NDArray[np.float32]
    x2: NDArray[np.float32]
    owner1: NDArray[np.int64]
    owner2: NDArray[np.int64]
    node2: NDArray[np.int64]


class _Pairs:
    """Distinct pairs by node, in the order in which they became visible."""

    def __init__(
        self, owner: NDArray[np.int64], other: NDArray[np.int64], pos: NDArray[np.int64], n: int
    ) -> None:
        order = np.lexsort((other, pos, owner))
        self.other = other[order]
        self._span = int(pos.max(initial=0)) + 2
        self._key = owner[order] * self._span + pos[order]
        self._start = np.searchsorted(owner[order], np.arange(n))

    def visible(
        self, node: NDArray[np.int64], horizon: NDArray[np.int64]
    ) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """First place of each node's pairs, and the place after the last that is visible."""
        below = np.minimum(horizon, self._span - 1)
        return self._start[node], np.searchsorted(self._key, node * self._span + below)


class AsOfGraph:
    """All relations of a snapshot laid over one another, each pair from its first position on.

    Args:
        snapshot: The snapshot; of its verdicts nothing is read.
    """

    def __init__(self, snapshot: Snapshot) -> None:
        n = snapshot.n_nodes
        self._sides: list[_Pairs] = []
        owners, others, positions = [], [], []
        for _, side in graph.sides(snapshot):
            owner = np.repeat(np.arange(n), np.diff(side.indptr))
            other, pos = np.asarray(side.nbr).astype(np.int64), np.asarray(side.pos)
            self._sides.append(_Pairs(owner, other, pos, n))
            owners += [owner, other]
            others += [other, owner]
            positions += [pos, pos]
        self._merged = _Pairs(
            *_firsts(np.concatenate(owners), np.concatenate(others), np.concatenate(positions)), n
        )
        attributes = np.nan_to_num(graph.attribute_columns(snapshot))
        self._fixed = np.zeros((n, attributes.shape[1] + 1), np.float32)
        self._fixed[np.asarray(snapshot.account_node), :-1] = attributes
        self._fixed[:, -1] = np.asarray(snapshot.node_account) >= 0

    def inputs(self, node: NDArray[np.int64], horizon: NDArray[np.int64]) -> NDArray[np.float32]:
        """The inputs X of nodes, as `benchmarks.peers.graph.node_inputs` has them, at horizons.

        Args:
            node: ``int64[n]``.
            horizon: ``int64[n]``.

        Returns:
            ``float32[n, D]``.
        """
        degrees = []
        for side in self._sides:
            first, last = side.visible(node, horizon)
            degrees.append(np.log1p(last - first))
        return np.hstack([self._fixed[node], np.stack(degrees, axis=1).astype(np.float32)])

    def recent(
        self, node: NDArray[np.int64], horizon: NDArray[np.int64], cap: int
    ) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """The most recent visible neighbours.

        Args:
            node: ``int64[n]``.
            horizon: ``int64[n]``.
            cap: Of each node at most so many.

        Returns:
            ``int64[E]`` into ``node``, ascending, and ``int64[E]`` the neighbours.
        """
        first, last = self._merged.visible(node, horizon)
        first = np.maximum(first, last - cap)
        count = last - first
        owner = np.repeat(np.arange(len(node)), count)
        within = np.arange(len(owner)) - np.repeat(np.cumsum(count) - count, count)
        return owner, self._merged.other[first[owner] + within]

    def trees(self, node: NDArray[np.int64], horizon: NDArray[np.int64], cap: int) -> Trees:
        """Two hops around examples.

        Args:
            node: ``int64[Q]``.
            horizon: ``int64[Q]``.
            cap: Neighbours of each node at most.

        Returns:
            Inputs of all of them.
        """
        owner1, node1 = self.recent(node, horizon, cap)
        horizon1 = horizon[owner1]
        owner2, node2 = self.recent(node1, horizon1, cap)
        return Trees(
            self.inputs(node, horizon),
            self.inputs(node1, horizon1),
            self.inputs(node2, horizon1[owner2]),
            owner1,
            owner2,
            node2,
        )


def _firsts(
    owner: NDArray[np.int64], other: NDArray[np.int64], pos: NDArray[np.int64]
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]:
    """Each pair once, at its first position, without loops."""
    order = np.lexsort((pos, other, owner))
    owner, other, pos = owner[order], other[order], pos[order]
    new = np.ones(len(owner), np.bool_)
    new[1:] = (owner[1:] != owner[:-1]) | (other[1:] != other[:-1])
    new &= owner != other
    return owner[new], other[new], pos[new]


def _means(owner: NDArray[np.int64], n: int, values: NDArray[np.float32]) -> NDArray[np.float32]:
    """Mean of the values of each owner, 0 without any."""
    count = np.bincount(owner, minlength=n)
    share = (1.0 / np.maximum(count, 1)).astype(np.float32)
    matrix = sparse.csr_matrix((share[owner], (owner, np.arange(len(owner)))), shape=(n, len(owner)))
    return np.asarray(matrix @ values, np.float32)


class AsOfProblem:
    """Questions to a snapshot as a peer sees them.

    Args:
        snapshot: The snapshot.
        queries: ``R`` questions about accounts that it knows.
    """

    def __init__(self, snapshot: Snapshot, queries: Queries) -> None:
        self._snapshot = snapshot
        self._account = queries.account
        self._node = np.asarray(snapshot.account_node).astype(np.int64)[queries.account]
        self._horizon = queries.horizon

    @cached_property
    def _graph(self) -> AsOfGraph:
        return AsOfGraph(self._snapshot)

    def own(self) -> NDArray[np.float32]:
        """``float32[R, d]``: the accounts' attributes."""
        return graph.attribute_columns(self._snapshot)[self._account]

    def _chunks(self, cap: int) -> Iterator[tuple[slice, Trees]]:
        for start in range(0, len(self._node), _CHUNK):
            some = slice(start, start + _CHUNK)
            yield some, self._graph.trees(self._node[some], self._horizon[some], cap)

    @cached_property
    def _aggregates(self) -> NDArray[np.float32]:
        tables = []
        for _, tree in self._chunks(_CAP):
            second = _means(tree.owner2, len(tree.x1), tree.x2)
            tables.append(
                np.hstack([tree.x0, *(_means(tree.owner1, len(tree.x0), one) for one in (tree.x1, second))])
            )
        return np.vstack(tables)

    def aggregates(self) -> NDArray[np.float32]:
        """``float32[R, 3 D]``: X, AX and A²X over the most recent 64 neighbours at each hop."""
        return self._aggregates

    def network(self) -> Network:
        """The most recent 10 neighbours at each hop."""
        from benchmarks.peers.sage import SampledGraph  # here: only GraphSAGE needs PyTorch

        return SampledGraph([tree for _, tree in self._chunks(_FANOUT)])

    def reputation(self, label: NDArray[np.int8]) -> NDArray[np.float64]:
        """A rule: the worst share of known bad accounts among those on one thing with the account.

        Args:
            label: ``int8[A]``, verdicts known: 1 bad, 0 good, -1 none.

        Returns:
            ``float64[R]``; shares are shrunken by two accounts of the usual kind, 0 where nothing is known.
        """
        of_node = np.full(self._snapshot.n_nodes, -1, np.int8)
        of_node[np.asarray(self._snapshot.account_node)] = label
        usual = float((label == 1).sum() / max(1, (label >= 0).sum()))
        found = np.zeros(len(self._node))
        for some, tree in self._chunks(_CAP):
            told = of_node[tree.node2]
            told[tree.node2 == self._node[some][tree.owner1[tree.owner2]]] = -1
            known = np.bincount(tree.owner2, told >= 0, len(tree.x1))
            bad = np.bincount(tree.owner2, told == 1, len(tree.x1))
            share = np.where(known > 0, (bad + 2.0 * usual) / (known + 2.0), 0.0)
            worst = np.zeros(len(tree.x0))
            np.maximum.at(worst, tree.owner1, share)
            found[some] = worst
        return found
