"""Neighbour aggregates for boosted trees and forests on graphs."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from scipy import sparse

if TYPE_CHECKING:
    from numpy.typing import NDArray


def mean_operator(adjacency: sparse.csr_matrix) -> sparse.csr_matrix:
    """The matrix that takes each node to the mean of its neighbours.

    Args:
        adjacency: ``N x N`` of 0 and 1.

    Returns:
        ``N x N`` whose rows sum to 1, or to 0 where a node has no neighbours.
    """
    degree = np.asarray(adjacency.sum(axis=1)).ravel()
    return sparse.diags_array(1.0 / np.maximum(degree, 1.0)).astype(np.float32) @ adjacency


def aggregates(
    adjacency: sparse.csr_matrix, inputs: NDArray[np.float32], hops: int = 2
) -> NDArray[np.float32]:
    r"""Inputs of XGBGraph and RFGraph (Tang et al., 2023, GADBench).

    .. math:: [X, \bar A X, \bar A^2 X], \qquad \bar A = D^{-1} A

    Args:
        adjacency: ``N x N`` of 0 and 1, symmetric.
        inputs: ``float32[N, D]``, without NaN.
        hops: Number of times that neighbours are averaged.

    Returns:
        ``float32[N, (hops + 1) D]``.
    """
    operator = mean_operator(adjacency)
    layers = [inputs]
    for _ in range(hops):
        layers.append(np.asarray(operator @ layers[-1], np.float32))
    return np.hstack(layers)
