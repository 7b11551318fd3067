"""A snapshot without times, or looked at from its end, as a peer sees it: examples are accounts."""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING, Final

import numpy as np

from benchmarks.peers import graph
from benchmarks.peers.aggregates import aggregates
from benchmarks.peers.as_of import AsOfProblem
from features import Queries

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from scipy import sparse

    from benchmarks.peers.sage import Network
    from graph_etl import Snapshot

# Beyond so many nodes a step over the whole graph takes seconds, and a fit hundreds of steps.
_WHOLE: Final = 50_000


class StaticProblem:
    """Accounts of a snapshot with everything that it holds around them.

    Args:
        snapshot: The snapshot; of its verdicts nothing is read.
    """

    def __init__(self, snapshot: Snapshot) -> None:
        self._snapshot = snapshot
        self._node = np.asarray(snapshot.account_node).astype(np.int64)

    @cached_property
    def _adjacency(self) -> sparse.csr_matrix:
        return graph.adjacency(self._snapshot)

    @cached_property
    def _inputs(self) -> NDArray[np.float32]:
        return graph.node_inputs(self._snapshot)

    @cached_property
    def _aggregates(self) -> NDArray[np.float32]:
        return aggregates(self._adjacency, self._inputs)[self._node]

    @cached_property
    def _network(self) -> Network:
        from benchmarks.peers.sage import FullGraph  # here: only GraphSAGE needs PyTorch

        if self._snapshot.n_nodes > _WHOLE:
            return AsOfProblem(self._snapshot, Queries.for_accounts(self._snapshot)).network()
        return FullGraph.of(self._adjacency, self._inputs, self._node)

    def own(self) -> NDArray[np.float32]:
        """``float32[A, d]``: the accounts' attributes."""
        return graph.attribute_columns(self._snapshot)

    def aggregates(self) -> NDArray[np.float32]:
        """``float32[A, 3 D]``: X, AX and A²X."""
        return self._aggregates

    def network(self) -> Network:
        """The whole graph; where it is large, samples of ten neighbours at each hop in mini-batches."""
        return self._network
