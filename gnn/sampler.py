"""Temporal neighbour sampling over the snapshot's CSR: own, compiled, never past the horizon."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from numba import njit, prange

from features import asked_of, extras_of, graph_of, view_of
from features.profile import write_profile
from features.visibility import (
    Asked,
    Extras,
    Graph,
    account_at,
    attributes_of,
    kind_at,
    neighbour,
    node_of,
    position,
    size_of,
    users_of,
    visible_pairs,
)

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from features import Queries, Source

_KIND_SLOTS: Final = 8
# Below this many accounts the threads cost more than they bring.
_FEW: Final = 16


@dataclass(frozen=True, slots=True)
class Sample:
    """Two hops around each of ``B`` seeds, as trees of fixed width.

    Attributes:
        seed_x: ``float32[B, D]``, inputs of the seeds.
        hop1_x: ``float32[B f1, D]``.
        hop2_x: ``float32[B f1 f2, D]``.
        hop1_side: ``int16[B f1]``, side through which the seed met the node, -1: no node there.
        hop2_side: ``int16[B f1 f2]``, side through which the node of hop 1 was met.
    """

    seed_x: NDArray[np.float32]
    hop1_x: NDArray[np.float32]
    hop2_x: NDArray[np.float32]
    hop1_side: NDArray[np.int16]
    hop2_side: NDArray[np.int16]


@njit(cache=True, nogil=True)
def _mix(state: Any) -> Any:
    """Next value of splitmix64 (Steele et al., 2014): the same draw for the same state on every thread."""
    state = (state + np.uint64(0x9E3779B97F4A7C15)) & np.uint64(0xFFFFFFFFFFFFFFFF)
    state = (state ^ (state >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    state = (state ^ (state >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return state ^ (state >> np.uint64(31))


@njit(cache=True, nogil=True)
def _draw(
    graph: Graph,
    node: int,
    horizon: int,
    fanout: int,
    latest: bool,
    state: Any,
    extras: Extras,
    first: int,
    last: int,
    is_seed: bool,
    nodes: Any,
    sides: Any,
) -> None:
    """Up to ``fanout`` visible neighbours of one node, over all sides from which it can be left.

    An account is left through its own sides; an entity through the ways back of the sides that reach it.
    ``latest`` takes the most recent, else all alike are drawn with replacement where there are too many.
    """
    for index in range(fanout):
        sides[index] = -1
        nodes[index] = -1
    filled = 0
    if is_seed:
        for index in range(last - 1, first - 1, -1):
            if filled < fanout and extras.new[index]:
                nodes[filled] = extras.node[index]
                sides[filled] = extras.side[index]
                filled += 1
    if node < 0 or filled == fanout:
        return
    directions = 1 if account_at(graph, node) >= 0 else 2
    n_rows = directions * graph.n_sides
    left = np.empty(n_rows, dtype=np.int64)
    total = np.int64(0)
    for row in range(n_rows):
        left[row] = size_of(visible_pairs(graph, row, node, horizon))
        total += left[row]
    room = fanout - filled
    if total <= room:
        for row in range(n_rows):
            span = visible_pairs(graph, row, node, horizon)
            for index in range(left[row] - 1, -1, -1):
                nodes[filled] = neighbour(graph, row, span, index)
                sides[filled] = row
                filled += 1
        return
    if latest:
        while filled < fanout:
            best = -1
            best_pos = np.int64(-1)
            for row in range(n_rows):
                if left[row] > 0:
                    span = visible_pairs(graph, row, node, horizon)
                    pos = position(graph, row, span, left[row] - 1)
                    if pos > best_pos:
                        best_pos = pos
                        best = row
            left[best] -= 1
            span = visible_pairs(graph, best, node, horizon)
            nodes[filled] = neighbour(graph, best, span, left[best])
            sides[filled] = best
            filled += 1
        return
    while filled < fanout:
        state = _mix(state)
        place = np.int64(state % np.uint64(total))
        for row in range(n_rows):
            if place < left[row]:
                nodes[filled] = neighbour(graph, row, visible_pairs(graph, row, node, horizon), place)
                sides[filled] = row
                filled += 1
                break
            place -= left[row]


@njit(cache=True, nogil=True)
def _describe(
    graph: Graph,
    node: int,
    side: int,
    horizon: int,
    profiles: Any,
    extras: Extras,
    first: int,
    last: int,
    x: Any,
) -> None:
    """Inputs of one neighbour: its profile if it is an account, else its kind; and how common it is."""
    width = len(x) - 2 - _KIND_SLOTS
    for index in range(len(x)):
        x[index] = 0.0
    if side < 0:
        return
    x[width] = 1.0
    x[width + 1] = np.log2(1.0 + users_of(graph, node, horizon, extras, first, last)) / 4.0
    if node < 0:
        return
    account = account_at(graph, node)
    x[width + 2 + kind_at(graph, node) % _KIND_SLOTS] = 1.0
    if account >= 0:
        if len(profiles) > 0:
            for index in range(width):
                x[index] = profiles[account, index]
        else:
            attributes = attributes_of(graph, account)
            write_profile(graph, node, attributes, horizon, extras, first, last, False, x[:width])


@njit(cache=True, nogil=True)
def _sample_one(
    graph: Graph,
    asked: Asked,
    extras: Extras,
    profiles: Any,
    fanout1: int,
    fanout2: int,
    latest: bool,
    seed: int,
    seed_x: Any,
    hop1_x: Any,
    hop2_x: Any,
    hop1_side: Any,
    hop2_side: Any,
    q: int,
) -> None:
    account = asked.account[q]
    horizon = asked.horizon[q]
    first = extras.ptr[q]
    last = extras.ptr[q + 1]
    node: Any = node_of(graph, account)
    width = seed_x.shape[1] - 2 - _KIND_SLOTS
    for index in range(seed_x.shape[1]):
        seed_x[q, index] = 0.0
    attributes = asked.attributes[q]
    write_profile(graph, node, attributes, horizon, extras, first, last, True, seed_x[q, :width])
    seed_x[q, width] = 1.0
    seed_x[q, width + 2] = 1.0
    nodes1 = np.empty(fanout1, dtype=np.int64)
    nodes2 = np.empty(fanout2, dtype=np.int64)
    base = q * fanout1
    state = _mix(np.uint64(seed) * np.uint64(0x9E3779B97F4A7C15) + np.uint64(q) + np.uint64(1))
    _draw(
        graph, node, horizon, fanout1, latest, state, extras, first, last, True,
        nodes1, hop1_side[base : base + fanout1],
    )  # fmt: skip
    for one in range(fanout1):
        side = hop1_side[base + one]
        _describe(
            graph,
            nodes1[one],
            side,
            horizon,
            profiles,
            extras,
            first,
            last,
            hop1_x[base + one],
        )
        deep = (base + one) * fanout2
        if side < 0:
            for two in range(fanout2):
                hop2_side[deep + two] = -1
                for index in range(hop2_x.shape[1]):
                    hop2_x[deep + two, index] = 0.0
            continue
        state = _mix(state)
        _draw(
            graph, nodes1[one], horizon, fanout2, latest, state, extras, 0, 0, False,
            nodes2, hop2_side[deep : deep + fanout2],
        )  # fmt: skip
        for two in range(fanout2):
            _describe(
                graph,
                nodes2[two],
                hop2_side[deep + two],
                horizon,
                profiles,
                extras,
                first,
                last,
                hop2_x[deep + two],
            )


@njit(cache=True, nogil=True)
def _sample_few(
    graph: Graph,
    asked: Asked,
    extras: Extras,
    profiles: Any,
    fanout1: int,
    fanout2: int,
    latest: bool,
    seed: int,
    seed_x: Any,
    hop1_x: Any,
    hop2_x: Any,
    hop1_side: Any,
    hop2_side: Any,
) -> None:
    for q in range(len(asked.account)):
        _sample_one(
            graph, asked, extras, profiles, fanout1, fanout2, latest, seed,
            seed_x, hop1_x, hop2_x, hop1_side, hop2_side, q,
        )  # fmt: skip


@njit(cache=True, nogil=True, parallel=True)
def _sample_many(
    graph: Graph,
    asked: Asked,
    extras: Extras,
    profiles: Any,
    fanout1: int,
    fanout2: int,
    latest: bool,
    seed: int,
    seed_x: Any,
    hop1_x: Any,
    hop2_x: Any,
    hop1_side: Any,
    hop2_side: Any,
) -> None:
    for q in prange(len(asked.account)):
        _sample_one(
            graph, asked, extras, profiles, fanout1, fanout2, latest, seed,
            seed_x, hop1_x, hop2_x, hop1_side, hop2_side, q,
        )  # fmt: skip


def input_width(profile_width: int) -> int:
    """Width of a node's inputs.

    Args:
        profile_width: Width of `features.profiles`.

    Returns:
        ``D``: the profile, a one for "there is a node", how common it is, and its kind.
    """
    return profile_width + 2 + _KIND_SLOTS


def n_message_types(source: Source) -> int:
    """Number of ways along which messages travel: each side there and back.

    Args:
        source: Gives the relations.

    Returns:
        ``2 S``.
    """
    return 2 * len(view_of(source).sides)


def sample(
    source: Source,
    queries: Queries,
    profile_width: int,
    *,
    fanouts: tuple[int, int],
    latest: bool,
    seed: int = 0,
    profiles: NDArray[np.float32] | None = None,
) -> Sample:
    """Sample two hops around accounts, each as of its own horizon.

    Args:
        source: The graph.
        queries: ``B`` questions; only entries below each one's horizon are drawn, at both hops.
        profile_width: Width of `features.profiles`.
        fanouts: Neighbours at the first and at the second hop.
        latest: The most recent neighbours (for scoring: no chance in it) or random ones (for training).
        seed: Of the random draws; the same seed gives the same sample with any number of threads.
        profiles: ``float32[A, P]`` of all accounts, only where all questions share the end as horizon.

    Returns:
        The sample.
    """
    size, width = len(queries), input_width(profile_width)
    one, two = fanouts
    result = Sample(
        seed_x=np.empty((size, width), np.float32),
        hop1_x=np.empty((size * one, width), np.float32),
        hop2_x=np.empty((size * one * two, width), np.float32),
        hop1_side=np.empty(size * one, np.int16),
        hop2_side=np.empty(size * one * two, np.int16),
    )
    draw = _sample_few if size < _FEW else _sample_many
    draw(
        graph_of(source),
        asked_of(queries),
        extras_of(source, queries),
        np.empty((0, profile_width), np.float32) if profiles is None else profiles,
        one,
        two,
        latest,
        seed,
        result.seed_x,
        result.hop1_x,
        result.hop2_x,
        result.hop1_side,
        result.hop2_side,
    )
    return result
