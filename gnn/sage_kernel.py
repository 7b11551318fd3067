r"""GraphSAGE as it scores: the compiled forward pass through weights that PyTorch fitted.

.. math:: h_v = \mathrm{ReLU}\Bigl(W x_v + \sum_r W_r \cdot \mathrm{mean}_{u \in N_r(v)} x_u\Bigr)

Hamilton et al. (2017), with one aggregation for each type ``r`` of message. Standardisation is folded into
the first layer's weights, so that the many zeros among a node's inputs cost nothing. Each account is computed
by itself, its sums in one order in double precision: a score never depends on what else is asked with it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import numpy as np
from numba import njit, prange

from features.visibility import compiled

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from gnn.sampler import Sample

# Neighbours at the first and at the second hop of every model so far.
FANOUTS: Final = (10, 4)
# Below this many accounts the threads cost more than they bring.
_FEW: Final = 16


class _Weights(NamedTuple):
    """Weights as the kernel reads them, outputs last: ``D`` inputs, ``H`` hidden, ``R`` types of message."""

    root1: Any
    constant1: Any
    messages1: Any
    shift1: Any
    root2: Any
    constant2: Any
    messages2: Any
    head: Any
    head_constant: float


@dataclass(frozen=True, slots=True)
class Sage:
    """A fitted GraphSAGE.

    Attributes:
        state: Its weights by name, ``float32`` as fitted: what a bundle keeps.
        width: Width ``D`` of a node's inputs.
        hidden: Width ``H`` of the hidden layer and of the embedding.
        fanouts: Neighbours at the first and at the second hop.
    """

    state: Mapping[str, NDArray[np.float32]]
    width: int
    hidden: int
    fanouts: tuple[int, int]
    _weights: _Weights

    @classmethod
    def of(cls, state: Mapping[str, NDArray[np.float32]], fanouts: tuple[int, int] = FANOUTS) -> Sage:
        """Take weights over.

        Args:
            state: Weights by name, as `gnn.sage_fit.GraphSage` names them.
            fanouts: Neighbours at the first and at the second hop.

        Returns:
            The model.

        Raises:
            KeyError: If weights are missing.
        """
        exact = {name: np.asarray(value, dtype=np.float64) for name, value in state.items()}
        types = sum(name.startswith("messages1.") for name in exact)
        mean, scale = exact["mean"], exact["scale"]
        root1 = exact["root1.weight"] / scale
        messages1 = np.stack([exact[f"messages1.{kind}.lin_l.weight"] for kind in range(types)]) / scale
        messages2 = np.stack([exact[f"messages2.{kind}.lin_l.weight"] for kind in range(types)])
        weights = _Weights(
            root1=np.ascontiguousarray(root1.T),
            constant1=exact["root1.bias"] - root1 @ mean,
            messages1=np.ascontiguousarray(messages1.transpose(0, 2, 1)),
            shift1=-(messages1 @ mean),
            root2=np.ascontiguousarray(exact["root2.weight"].T),
            constant2=exact["root2.bias"],
            messages2=np.ascontiguousarray(messages2.transpose(0, 2, 1)),
            head=exact["head.weight"][0],
            head_constant=float(exact["head.bias"][0]),
        )
        return cls(dict(state), root1.shape[1], root1.shape[0], fanouts, weights)

    def forward(self, drawn: Sample) -> tuple[NDArray[np.float64], NDArray[np.float32]]:
        """Apply the model to what was drawn around ``B`` accounts.

        Args:
            drawn: Two hops around each, with this model's fanouts.

        Returns:
            Log odds ``float64[B]`` and embeddings ``float32[B, H]``.

        Raises:
            ValueError: If the sample is not of the width that the model was fitted on.
        """
        size, width = drawn.seed_x.shape
        if width != self.width:
            message = f"GraphSAGE was fitted on {self.width} inputs of a node, the sample has {width}"
            raise ValueError(message)
        odds = np.empty(size, dtype=np.float64)
        embedding = np.empty((size, self.hidden), dtype=np.float32)
        forward = _forward_few if size < _FEW else _forward_many
        forward(
            self._weights,
            *self.fanouts,
            drawn.seed_x,
            drawn.hop1_x,
            drawn.hop2_x,
            drawn.hop1_side,
            drawn.hop2_side,
            odds,
            embedding,
        )
        return odds, embedding


@compiled
def _alike(sides: Any, first: int, place: int, fanout: int) -> Any:
    """Number of neighbours of the same type, and whether this one is the first of them."""
    count = 0
    is_first = True
    for other in range(fanout):
        if sides[first + other] == sides[first + place]:
            count += 1
            if other < place:
                is_first = False
    return count, is_first


@compiled
def _add(x: Any, factor: float, matrix: Any, out: Any) -> None:
    """Add ``factor * x @ matrix`` to ``out``."""
    for index in range(len(x)):
        if x[index] != 0.0:
            value = factor * x[index]
            line = matrix[index]
            for unit in range(len(out)):
                out[unit] += value * line[unit]


@compiled
def _relu(out: Any) -> None:
    for unit in range(len(out)):
        out[unit] = max(out[unit], 0.0)


@compiled
def _layer1(weights: _Weights, x: Any, near: Any, sides: Any, first: int, fanout: int, out: Any) -> None:
    out[:] = weights.constant1
    _add(x, 1.0, weights.root1, out)
    for place in range(fanout):
        side = sides[first + place]
        if side >= 0:
            count, is_first = _alike(sides, first, place, fanout)
            if is_first:
                for unit in range(len(out)):
                    out[unit] += weights.shift1[side, unit]
            _add(near[first + place], 1.0 / count, weights.messages1[side], out)
    _relu(out)


@compiled
def _forward(
    weights: _Weights,
    fanout1: int,
    fanout2: int,
    seed: int,
    seed_x: Any,
    hop1_x: Any,
    hop2_x: Any,
    side1: Any,
    side2: Any,
    embedding: Any,
) -> Any:
    hidden = len(weights.head)
    own = np.empty(hidden, dtype=np.float64)
    other = np.empty(hidden, dtype=np.float64)
    result = weights.constant2.copy()
    first = seed * fanout1
    _layer1(weights, seed_x[seed], hop1_x, side1, first, fanout1, own)
    _add(own, 1.0, weights.root2, result)
    for place in range(fanout1):
        at = first + place
        side = side1[at]
        if side >= 0:
            count, _ = _alike(side1, first, place, fanout1)
            _layer1(weights, hop1_x[at], hop2_x, side2, at * fanout2, fanout2, other)
            _add(other, 1.0 / count, weights.messages2[side], result)
    _relu(result)
    odds = weights.head_constant
    for unit in range(hidden):
        embedding[seed, unit] = result[unit]
        odds += result[unit] * weights.head[unit]
    return odds


@compiled
def _forward_few(
    weights: _Weights,
    fanout1: int,
    fanout2: int,
    seed_x: Any,
    hop1_x: Any,
    hop2_x: Any,
    side1: Any,
    side2: Any,
    odds: Any,
    embedding: Any,
) -> None:
    for seed in range(len(odds)):
        odds[seed] = _forward(
            weights, fanout1, fanout2, seed, seed_x, hop1_x, hop2_x, side1, side2, embedding
        )


@njit(cache=True, nogil=True, error_model="numpy", parallel=True)
def _forward_many(
    weights: _Weights,
    fanout1: int,
    fanout2: int,
    seed_x: Any,
    hop1_x: Any,
    hop2_x: Any,
    side1: Any,
    side2: Any,
    odds: Any,
    embedding: Any,
) -> None:
    for seed in prange(len(odds)):
        odds[seed] = _forward(
            weights, fanout1, fanout2, seed, seed_x, hop1_x, hop2_x, side1, side2, embedding
        )
