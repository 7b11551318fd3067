r"""Exact Shapley values of boosted trees and of forests in time linear in their nodes.

Path-dependent attributions (Lundberg et al., 2020, "From local explanations to global understanding with
explainable AI for trees"): what a feature is worth is averaged over all orders in which features become
known, a split on an unknown one being taken both ways in proportion to the training rows. For a leaf of value
:math:`v` and the distinct features :math:`1 … n` on its path, with :math:`o_i` 1 if the row itself takes all
splits on :math:`i` towards the leaf and else 0, and :math:`z_i` the share of training rows that do,

.. math:: \phi_i = v\,(o_i - z_i) \int_0^1 \prod_{j \ne i} \bigl(t\,o_j + (1 - t)\,z_j\bigr)\, dt,

because the weight of a set of :math:`s` known features, :math:`s!\,(n - s - 1)!\,/\,n!`, is
:math:`\int_0^1 t^s (1 - t)^{n - 1 - s} dt`. The integrand is a polynomial of degree :math:`n - 1`, so that
Gauss and Legendre's rule with :math:`\lceil n / 2 \rceil` points gives the integral exactly. At each point
the products run down the tree once, and the leaves' sums run up it once.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from features.visibility import compiled
from gnn.tree_walk import FLAG_BITS, Trees, check_width, goes_left

if TYPE_CHECKING:
    from numpy.typing import NDArray


@dataclass(frozen=True, slots=True)
class TreeShapley:
    """What the attributions of given trees need beside the trees; made once.

    The branch from node ``n`` to its left child is ``2 n``, that to its right child ``2 n + 1``.

    Attributes:
        trees: The trees.
        before: ``int32[N]``, nearest branch above each node that splits on the node's own feature, or -1.
        share: ``float64[2 N]``, :math:`z` of the node's feature once the branch is taken.
        n_points: ``int32[T]``, points of the rule for each tree.
        points: ``float64[M + 1, M]``, row ``m`` the ``m`` points in (0, 1).
        weights: ``float64[M + 1, M]``, theirs; they sum to 1.
        most_nodes: Of any one tree.
    """

    trees: Trees
    before: NDArray[np.int32]
    share: NDArray[np.float64]
    n_points: NDArray[np.int32]
    points: NDArray[np.float64]
    weights: NDArray[np.float64]
    most_nodes: int

    @classmethod
    def of(cls, trees: Trees) -> TreeShapley:
        """Prepare for some trees.

        Args:
            trees: The trees.

        Returns:
            What `attributions` reads.
        """
        n_nodes = len(trees.nodes)
        before = np.full(n_nodes, -1, dtype=np.int32)
        share = np.empty(2 * n_nodes, dtype=np.float64)
        distinct = np.zeros(len(trees), dtype=np.int64)
        _prepare(trees.nodes, trees.first_node, trees.node_count, trees.leaf_count, before, share, distinct)
        n_points = np.maximum(1, (distinct + 1) // 2).astype(np.int32)
        most = int(n_points.max(initial=1))
        points = np.zeros((most + 1, most), dtype=np.float64)
        weights = np.zeros((most + 1, most), dtype=np.float64)
        for count in range(1, most + 1):
            at, weight = np.polynomial.legendre.leggauss(count)
            points[count, :count] = (at + 1.0) / 2.0
            weights[count, :count] = weight / 2.0
        most_nodes = int(np.diff(trees.first_node).max(initial=0))
        return cls(trees, before, share, n_points, points, weights, most_nodes)

    def attributions(self, row: NDArray[np.float32]) -> NDArray[np.float64]:
        """What each feature of a row adds to its margin, beyond the mean of the training rows.

        Args:
            row: ``float32[1, F]``.

        Returns:
            ``float64[F]`` in the unit of the trees' leaves.

        Raises:
            ValueError: If the number of columns is not that of the trees.
        """
        check_width(self.trees, row)
        phi = np.zeros(row.shape[1], dtype=np.float64)
        trees = self.trees
        _attribute(
            trees.nodes,
            trees.first_node,
            trees.leaf_value,
            self.before,
            self.share,
            self.n_points,
            self.points,
            self.weights,
            self.most_nodes,
            np.ascontiguousarray(row[0], dtype=np.float32),
            phi,
        )
        return phi / max(len(trees), 1) if trees.averaged else phi


@compiled
def _prepare(
    nodes: Any,
    first_node: Any,
    node_count: Any,
    leaf_count: Any,
    before: Any,
    share: Any,
    distinct: Any,
) -> None:
    above = np.full(len(nodes), -1, dtype=np.int64)
    for tree in range(len(first_node) - 1):
        for at in range(first_node[tree], first_node[tree + 1]):
            feature = nodes[at].feature >> FLAG_BITS
            branch = above[at]
            while branch >= 0 and nodes[branch >> 1].feature >> FLAG_BITS != feature:
                branch = above[branch >> 1]
            before[at] = branch
            known = share[branch] if branch >= 0 else 1.0
            for side in range(2):
                child = nodes[at].left if side == 0 else nodes[at].right
                if child >= 0:
                    above[child] = 2 * at + side
                    count = node_count[child]
                else:
                    count = leaf_count[~child]
                share[2 * at + side] = known * count / node_count[at]
            on_path = 0
            branch = np.int64(2 * at)
            while branch >= 0:
                on_path += 1 if before[branch >> 1] < 0 else 0
                branch = above[branch >> 1]
            distinct[tree] = max(distinct[tree], on_path)


@compiled
def _attribute(
    nodes: Any,
    first_node: Any,
    leaf_value: Any,
    before: Any,
    share: Any,
    n_points: Any,
    points: Any,
    weights: Any,
    most_nodes: int,
    row: Any,
    phi: Any,
) -> None:
    most = points.shape[1]
    # Of each node and point: the product of the factors above it without that of its own feature; the sum of
    # its leaves, each times the factors below; the inverse of its feature's factor above.
    down = np.empty((most_nodes, most), dtype=np.float64)
    up = np.empty((most_nodes, most), dtype=np.float64)
    inverse = np.empty((most_nodes, most), dtype=np.float64)
    takes = np.empty(2 * most_nodes, dtype=np.float64)
    for tree in range(len(first_node) - 1):
        first = first_node[tree]
        size = first_node[tree + 1] - first
        if size == 0:
            continue  # a tree that is but a leaf says the same of every row
        count = n_points[tree]
        t = points[count]
        weight = weights[count]
        for k in range(count):
            down[0, k] = 1.0
        for place in range(size):
            at = first + place
            left = nodes[at].left
            right = nodes[at].right
            own = before[at]
            taken = 1.0
            if own >= 0:
                taken = takes[own - 2 * first]
                known = share[own]
                for k in range(count):
                    inverse[place, k] = 1.0 / (t[k] * taken + (1.0 - t[k]) * known)
                    down[place, k] *= inverse[place, k]
            if goes_left(nodes, at, row):
                takes[2 * place] = taken
                takes[2 * place + 1] = 0.0
            else:
                takes[2 * place] = 0.0
                takes[2 * place + 1] = taken
            if left >= 0:
                one = takes[2 * place]
                zero = share[2 * at]
                for k in range(count):
                    down[left - first, k] = down[place, k] * (t[k] * one + (1.0 - t[k]) * zero)
            if right >= 0:
                one = takes[2 * place + 1]
                zero = share[2 * at + 1]
                for k in range(count):
                    down[right - first, k] = down[place, k] * (t[k] * one + (1.0 - t[k]) * zero)
        for place in range(size - 1, -1, -1):
            at = first + place
            left = nodes[at].left
            right = nodes[at].right
            own = before[at]
            one_left = takes[2 * place]
            one_right = takes[2 * place + 1]
            zero_left = share[2 * at]
            zero_right = share[2 * at + 1]
            through_left = 0.0
            through_right = 0.0
            through_both = 0.0
            for k in range(count):
                of_left = up[left - first, k] if left >= 0 else leaf_value[~left]
                of_right = up[right - first, k] if right >= 0 else leaf_value[~right]
                rest = 1.0 - t[k]
                sum_here = (t[k] * one_left + rest * zero_left) * of_left
                sum_here += (t[k] * one_right + rest * zero_right) * of_right
                if own >= 0:
                    sum_here *= inverse[place, k]
                up[place, k] = sum_here
                weighed = weight[k] * down[place, k]
                through_left += weighed * of_left
                through_right += weighed * of_right
                through_both += weighed * sum_here
            value = (one_left - zero_left) * through_left + (one_right - zero_right) * through_right
            if own >= 0:
                # The branch above counts these leaves too, with what it alone knew of the feature.
                value -= (takes[own - 2 * first] - share[own]) * through_both
            phi[nodes[at].feature >> FLAG_BITS] += value
