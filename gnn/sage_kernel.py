r"""GraphSAGE as it scores: the compiled forward pass through weights that PyTorch fitted.

.. math:: h_u = \mathrm{ReLU}\Bigl(W_1 p_u + W_2 \mathrm{mean}_{w \in N(u)} p_w + e_{r(u)}\Bigr), \qquad
    z_v = W_x g(x_v) + W_a \mathrm{LN}\bigl(\mathrm{mean}_{u \in N(v)} h_u, \log(1 + |N(v)|)\bigr)

Hamilton et al. (2017) with one vector ``e`` for each type ``r`` of message and, for the account itself, the
row ``x`` that the trees see, its columns brought to a normal distribution by rank (``g``). A residual block
and a head follow: :math:`a = \mathrm{ReLU}(\mathrm{LN}(z))`, embedding
:math:`\mathrm{LN}(a + \mathrm{ReLU}(W_b a + b))`. A model has several members, fitted from different seeds;
their log odds are averaged, their embeddings stand side by side. Each account is computed by itself, its sums
in one order in double precision: a score never depends on what else is asked with it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import numpy as np
from numba import njit, prange

from features.visibility import compiled
from gnn.errors import BundleError
from gnn.gathering import finish_message
from gnn.sampler import Gathered

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from gnn.sampler import Sample

# Neighbours at the first and at the second hop; with 16 and 8 hop_sybil's folds 0 and 1 gave .8825 for .8824.
FANOUTS: Final = (10, 4)
KNOTS: Final = 64
"""Knots of each column that `Encoding` is learned with."""
# As PyTorch's LayerNorm.
_EPSILON: Final = 1e-5
# Below this many accounts the threads cost more than they bring.
_FEW: Final = 16


class _Weights(NamedTuple):
    """Weights of ``M`` members, outputs last."""

    row: Any
    row_bias: Any
    message: Any
    typed: Any
    gathered_gain: Any
    gathered_shift: Any
    gathered: Any
    first_gain: Any
    first_shift: Any
    block: Any
    block_bias: Any
    last_gain: Any
    last_shift: Any
    head: Any
    head_bias: Any


@dataclass(frozen=True, slots=True)
class Encoding:
    """How raw inputs become those of the network; the same code before training and at scoring.

    Attributes:
        columns: ``int32[C]`` columns of the row that carry anything.
        knots: ``float32[C, K]`` values in rising order, the last one repeated.
        levels: ``float32[C, K]`` what each becomes; straight lines between, flat beyond.
        mean: ``float32[D]`` of a neighbour's inputs.
        scale: ``float32[D]``, their spread.
    """

    columns: NDArray[np.int32]
    knots: NDArray[np.float32]
    levels: NDArray[np.float32]
    mean: NDArray[np.float32]
    scale: NDArray[np.float32]

    def rows(self, rows: NDArray[np.float32]) -> NDArray[np.float32]:
        """Bring rows ``float32[n, F]`` to ``float32[n, C]``; a value that is not there becomes 0."""
        out = np.empty((len(rows), len(self.columns)), np.float32)
        encode = _rows_few if len(rows) < _FEW else _rows_many
        encode(self.columns, self.knots, self.levels, rows, out)
        return out

    def messages(self, drawn: Sample) -> NDArray[np.float32]:
        """What hop 1 sends, ``float32[B f1, 2 D]``: each node's inputs and the mean of its neighbours'."""
        out = np.empty((len(drawn.hop1_x), 2 * len(self.mean)), np.float32)
        encode = _messages_few if len(drawn.seed_x) < _FEW else _messages_many
        encode(self.mean, self.scale, drawn.hop1_x, drawn.hop2_x, drawn.hop1_side, drawn.hop2_side, out)
        return out


@dataclass(frozen=True, slots=True)
class Sage:
    """A fitted GraphSAGE.

    Attributes:
        state: Its weights by name, as fitted: what a bundle keeps.
        width: Width ``D`` of a node's inputs.
        row_width: Width ``F`` of the rows that it takes; 0: the account's own node inputs stand for its row.
        hidden: Width of the embedding, all members together.
        members: Number ``M`` of members.
        fanouts: Neighbours at the first and at the second hop.
        encoding: How inputs are brought to the network.
        told: Columns at the end of each message that tell of verdicts on others, see `gnn.sage_verdicts`;
            0: it takes none.
    """

    state: Mapping[str, NDArray[Any]]
    width: int
    row_width: int
    hidden: int
    members: int
    fanouts: tuple[int, int]
    encoding: Encoding
    told: int
    _weights: _Weights

    @classmethod
    def of(cls, state: Mapping[str, NDArray[Any]], fanouts: tuple[int, int] = FANOUTS) -> Sage:
        """Take weights over.

        Args:
            state: Weights by name, as `gnn.sage_fit` stacks them.
            fanouts: Neighbours at the first and at the second hop.

        Returns:
            The model.

        Raises:
            BundleError: If the weights are those of an older GraphSAGE.
            KeyError: If weights are missing.
        """
        if "root1.weight" in state:
            message = "the bundle holds an older GraphSAGE; run `ringwatch train` again"
            raise BundleError(message)
        exact = {
            name: np.ascontiguousarray(value, dtype=np.float64)
            for name, value in state.items()
            if name.split(".")[0] not in {"encoding", "row_width", "told"}
        }

        def turned(name: str) -> NDArray[np.float64]:
            return np.ascontiguousarray(exact[name].transpose(0, 2, 1))

        weights = _Weights(
            row=turned("row.weight"),
            row_bias=exact["row.bias"],
            message=turned("message.weight"),
            typed=exact["typed.weight"] + exact["message.bias"][:, None, :],
            gathered_gain=exact["gathered_norm.weight"],
            gathered_shift=exact["gathered_norm.bias"],
            gathered=turned("gathered.weight"),
            first_gain=exact["first_norm.weight"],
            first_shift=exact["first_norm.bias"],
            block=turned("block.weight"),
            block_bias=exact["block.bias"],
            last_gain=exact["last_norm.weight"],
            last_shift=exact["last_norm.bias"],
            head=np.ascontiguousarray(exact["head.weight"][:, 0, :]),
            head_bias=np.ascontiguousarray(exact["head.bias"][:, 0]),
        )
        encoding = Encoding(
            columns=np.asarray(state["encoding.columns"], np.int32),
            knots=np.asarray(state["encoding.knots"], np.float32),
            levels=np.asarray(state["encoding.levels"], np.float32),
            mean=np.asarray(state["encoding.mean"], np.float32),
            scale=np.asarray(state["encoding.scale"], np.float32),
        )
        members, hidden = weights.row_bias.shape
        return cls(
            state=dict(state),
            width=len(encoding.mean),
            row_width=int(state["row_width"][0]),
            hidden=members * hidden,
            members=members,
            fanouts=fanouts,
            encoding=encoding,
            told=int(state["told"][0]) if "told" in state else 0,  # bundles of before were told nothing
            _weights=weights,
        )

    def forward(
        self,
        drawn: Sample | Gathered,
        rows: NDArray[np.float32] | None = None,
        told: NDArray[np.float32] | None = None,
    ) -> tuple[NDArray[np.float64], NDArray[np.float32]]:
        """Apply the model to what was drawn around ``B`` accounts.

        Args:
            drawn: Two hops around each, with this model's fanouts, or the messages made of them.
            rows: ``float32[B, F]``, the accounts' own rows; left out where the model takes none.
            told: ``float32[B f1, told]``, what each message tells of verdicts; likewise.

        Returns:
            Log odds ``float64[B]`` and embeddings ``float32[B, M H]``.

        Raises:
            ValueError: If sample, rows or verdicts are not of the widths that the model was fitted on.
        """
        side = drawn.side if isinstance(drawn, Gathered) else drawn.hop1_side
        width = drawn.messages.shape[1] // 2 if isinstance(drawn, Gathered) else drawn.hop1_x.shape[1]
        size = len(side) // self.fanouts[0]
        if width != self.width:
            message = f"GraphSAGE was fitted on {self.width} inputs of a node, the sample has {width}"
            raise ValueError(message)
        n_told = 0 if told is None else told.shape[1]
        if n_told != self.told:
            message = f"GraphSAGE was fitted on {self.told} columns of verdicts in a message, got {n_told}"
            raise ValueError(message)
        messages = drawn.messages if isinstance(drawn, Gathered) else self.encoding.messages(drawn)
        given = 0 if rows is None else rows.shape[1]
        if given != self.row_width:
            message = f"GraphSAGE was fitted on rows of {self.row_width} columns, the rows have {given}"
            raise ValueError(message)
        odds = np.empty(size, dtype=np.float64)
        embedding = np.empty((size, self.hidden), dtype=np.float32)
        forward = _forward_few if size < _FEW else _forward_many
        forward(
            self._weights,
            self.encoding.rows(drawn.seed_x if rows is None else rows),
            messages if told is None else np.hstack([messages, told]),
            side,
            self.fanouts[0],
            odds,
            embedding,
        )
        return odds, embedding


@compiled
def _last_knot(line: Any, value: float) -> Any:
    """The last of `KNOTS` knots that is not above a value; no branch in it to be guessed wrong."""
    low = np.int64(0)
    step = KNOTS // 2
    while step > 0:
        low += step * np.int64(line[low + step] <= value)
        step >>= 1
    return low


@compiled
def _row(columns: Any, knots: Any, levels: Any, row: Any, out: Any) -> None:
    """Normal scores of one row's columns."""
    n_knots = knots.shape[1]
    for index in range(len(columns)):
        value = row[columns[index]]
        line = knots[index]
        if np.isnan(value):
            out[index] = 0.0
        elif value <= line[0]:
            out[index] = levels[index, 0]
        elif value >= line[n_knots - 1]:
            out[index] = levels[index, n_knots - 1]
        else:
            low = _last_knot(line, value) if n_knots == KNOTS else np.searchsorted(line, value, "right") - 1
            high = low + 1
            share = (np.float64(value) - line[low]) / (np.float64(line[high]) - line[low])
            out[index] = levels[index, low] + share * (levels[index, high] - levels[index, low])


@compiled
def _rows_few(columns: Any, knots: Any, levels: Any, rows: Any, out: Any) -> None:
    for index in range(len(rows)):
        _row(columns, knots, levels, rows[index], out[index])


@njit(cache=True, nogil=True, error_model="numpy", parallel=True)
def _rows_many(columns: Any, knots: Any, levels: Any, rows: Any, out: Any) -> None:
    for index in prange(len(rows)):
        _row(columns, knots, levels, rows[index], out[index])


@compiled
def _message(
    mean: Any, scale: Any, node: Any, near: Any, side: int, sides: Any, first: int, fanout: int, out: Any
) -> None:
    """What one node of hop 1 sends; ``first`` is where its own neighbours stand."""
    if side < 0:
        out[:] = 0.0
        return
    count = 0
    total = np.zeros(len(mean), np.float64)
    for place in range(first, first + fanout):
        if sides[place] >= 0:
            count += 1
            for index in range(len(mean)):
                total[index] += near[place, index]
    finish_message(mean, scale, node, total, count, out)


@compiled
def _messages_few(mean: Any, scale: Any, hop1_x: Any, hop2_x: Any, side1: Any, side2: Any, out: Any) -> None:
    fanout = len(side2) // max(1, len(side1))
    for at in range(len(side1)):
        _message(mean, scale, hop1_x[at], hop2_x, side1[at], side2, at * fanout, fanout, out[at])


@njit(cache=True, nogil=True, error_model="numpy", parallel=True)
def _messages_many(mean: Any, scale: Any, hop1_x: Any, hop2_x: Any, side1: Any, side2: Any, out: Any) -> None:
    fanout = len(side2) // max(1, len(side1))
    for at in prange(len(side1)):
        _message(mean, scale, hop1_x[at], hop2_x, side1[at], side2, at * fanout, fanout, out[at])


@compiled
def _add(x: Any, matrix: Any, out: Any) -> None:
    """Add ``x @ matrix`` to ``out``."""
    for index in range(len(x)):
        value = np.float64(x[index])
        if value != 0.0:
            line = matrix[index]
            for unit in range(len(out)):
                out[unit] += value * line[unit]


@compiled
def _relu(out: Any) -> None:
    for unit in range(len(out)):
        out[unit] = max(out[unit], 0.0)


@compiled
def _normalise(out: Any, gain: Any, shift: Any) -> None:
    """Layer normalisation (Ba et al., 2016)."""
    mean = 0.0
    for unit in range(len(out)):
        mean += out[unit]
    mean /= len(out)
    spread = 0.0
    for unit in range(len(out)):
        spread += (out[unit] - mean) ** 2
    factor = 1.0 / np.sqrt(spread / len(out) + _EPSILON)
    for unit in range(len(out)):
        out[unit] = (out[unit] - mean) * factor * gain[unit] + shift[unit]


@compiled
def _forward(
    weights: _Weights, x: Any, messages: Any, sides: Any, first: int, fanout: int, embedding: Any
) -> Any:
    """Log odds of one account; ``first`` is where its neighbours stand."""
    members, hidden = weights.row_bias.shape
    sent = weights.typed.shape[2]
    message = np.empty(sent, dtype=np.float64)
    gathered = np.empty(sent + 1, dtype=np.float64)
    odds = 0.0
    for member in range(members):
        state = weights.row_bias[member].copy()
        _add(x, weights.row[member], state)
        gathered[:] = 0.0
        count = 0
        for place in range(fanout):
            side = sides[first + place]
            if side >= 0:
                count += 1
                message[:] = weights.typed[member, side]
                _add(messages[first + place], weights.message[member], message)
                _relu(message)
                for unit in range(sent):
                    gathered[unit] += message[unit]
        if count > 0:
            for unit in range(sent):
                gathered[unit] /= count
        gathered[sent] = np.log1p(count + 0.0)
        _normalise(gathered, weights.gathered_gain[member], weights.gathered_shift[member])
        _add(gathered, weights.gathered[member], state)
        _normalise(state, weights.first_gain[member], weights.first_shift[member])
        _relu(state)
        more = weights.block_bias[member].copy()
        _add(state, weights.block[member], more)
        _relu(more)
        for unit in range(hidden):
            state[unit] += more[unit]
        _normalise(state, weights.last_gain[member], weights.last_shift[member])
        odds += weights.head_bias[member]
        for unit in range(hidden):
            embedding[member * hidden + unit] = state[unit]
            odds += state[unit] * weights.head[member, unit]
    return odds / members


@compiled
def _forward_few(
    weights: _Weights, x: Any, messages: Any, sides: Any, fanout: int, odds: Any, embedding: Any
) -> None:
    for seed in range(len(odds)):
        odds[seed] = _forward(weights, x[seed], messages, sides, seed * fanout, fanout, embedding[seed])


@njit(cache=True, nogil=True, error_model="numpy", parallel=True)
def _forward_many(
    weights: _Weights, x: Any, messages: Any, sides: Any, fanout: int, odds: Any, embedding: Any
) -> None:
    for seed in prange(len(odds)):
        odds[seed] = _forward(weights, x[seed], messages, sides, seed * fanout, fanout, embedding[seed])
