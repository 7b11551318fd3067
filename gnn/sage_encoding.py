"""How inputs are brought to GraphSAGE, and fitted members to the one model that scores."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import numpy as np
from scipy.special import ndtri

from gnn.sage_kernel import FANOUTS, Encoding, Sage

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray
    from torch import Tensor

_KNOTS: Final = 64


def stack(
    members: Sequence[Mapping[str, Tensor]],
    encoding: Encoding,
    row_width: int,
    fanouts: tuple[int, int] = FANOUTS,
    *,
    told: int = 0,
) -> Sage:
    """Put members into the one model that scores.

    Args:
        members: Weights by name of at least one.
        encoding: How inputs are brought to them.
        row_width: Width of the rows that the encoding takes; 0 where the node's own inputs stand for them.
        fanouts: Neighbours at the first and at the second hop.
        told: Columns of each message that tell of verdicts, see `gnn.sage_verdicts`.

    Returns:
        The model.
    """
    state: dict[str, NDArray[Any]] = {
        name: np.stack([one[name].detach().numpy().copy() for one in members]) for name in members[0]
    }
    for name in Encoding.__slots__:
        state[f"encoding.{name}"] = getattr(encoding, name)
    state["row_width"] = np.array([row_width], np.int32)
    if told:
        state["told"] = np.array([told], np.int32)
    return Sage.of(state, fanouts)


def encoding_of(rows: NDArray[np.float32], nodes: NDArray[np.float32]) -> Encoding:
    """Learn how inputs are brought to the network.

    Args:
        rows: ``float32[n, F]``, NaN where there is no value; each column gets normal scores by rank, ties the
            middle one (Van der Waerden, 1952), read off at up to 64 knots; columns that never differ are left
            out.
        nodes: ``float32[m, D]`` inputs of neighbours, which are standardised.

    Returns:
        The encoding.
    """
    columns: list[int] = []
    knots: list[NDArray[np.float64]] = []
    levels: list[NDArray[np.float64]] = []
    for column in range(rows.shape[1]):
        values = rows[:, column].astype(np.float64)
        values = values[np.isfinite(values)]
        distinct, count = np.unique(values, return_counts=True)
        if len(distinct) < 2:
            continue
        middle = (np.cumsum(count) - count / 2) / count.sum()
        score = ndtri(np.clip(middle, 1e-4, 1 - 1e-4))
        centre = np.average(score, weights=count)
        spread = max(np.sqrt(np.average((score - centre) ** 2, weights=count)), 1e-3)
        score = np.clip((score - centre) / spread, -4.0, 4.0)
        if len(distinct) > _KNOTS:
            # Evenly in score, so that the tails keep their knots.
            wanted = np.interp(np.linspace(score[0], score[-1], _KNOTS), score, np.arange(len(score)))
            picked = np.unique(np.rint(wanted).astype(np.int64))
            distinct, score = distinct[picked], score[picked]
        missing = _KNOTS - len(distinct)
        columns.append(column)
        knots.append(np.concatenate([distinct, np.repeat(distinct[-1:], missing)]))
        levels.append(np.concatenate([score, np.repeat(score[-1:], missing)]))
    if not columns:  # a network needs an input, also one that says nothing
        columns, knots, levels = [0], [np.zeros(_KNOTS)], [np.zeros(_KNOTS)]
    width = nodes.shape[1]
    return Encoding(
        columns=np.array(columns, np.int32),
        knots=np.array(knots, np.float32).reshape(len(columns), _KNOTS),
        levels=np.array(levels, np.float32).reshape(len(columns), _KNOTS),
        mean=nodes.mean(0, dtype=np.float64).astype(np.float32)
        if len(nodes)
        else np.zeros(width, np.float32),
        scale=np.maximum(nodes.std(0, dtype=np.float64), 1e-3).astype(np.float32)
        if len(nodes)
        else np.ones(width, np.float32),
    )
