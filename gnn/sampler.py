"""What surrounds accounts: neighbours over the snapshot's CSR, never past the horizon, and their inputs.

`gnn.drawing` draws who is there, `gnn.gathering` reads what each of them shows. For the network the nodes of
hop 2 are summed up as they are read and never stand side by side.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from features import asked_of, extras_of, graph_of, view_of
from features.opened import nothing_brought, open_graph
from gnn.drawing import FEW, ways_of
from gnn.gathering import KIND_SLOTS, describe_accounts, gather_few, gather_many, sample_few, sample_many

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from features import Queries, Source


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


@dataclass(frozen=True, slots=True)
class Gathered:
    """What ``B`` seeds hear, in the form that the network takes.

    Attributes:
        seed_x: ``float32[B, D]``, inputs of the seeds; ``float32[0, D]`` where they were not asked for.
        messages: ``float32[B f1, 2 D]``, of each node of hop 1 its own inputs and the mean of those of its
            neighbours, both standardised; 0 where there is none.
        side: ``int16[B f1]``, side through which the seed met the node, -1: no node there.
    """

    seed_x: NDArray[np.float32]
    messages: NDArray[np.float32]
    side: NDArray[np.int16]


def input_width(profile_width: int) -> int:
    """Width of a node's inputs.

    Args:
        profile_width: Width of `features.profiles`.

    Returns:
        ``D``: the profile, a one for "there is a node", how common it is, and its kind.
    """
    return profile_width + 2 + KIND_SLOTS


def n_message_types(source: Source) -> int:
    """Number of ways along which messages travel: each side there and back.

    Args:
        source: Gives the relations.

    Returns:
        ``2 S``.
    """
    return 2 * len(view_of(source).sides)


def described(source: Source) -> NDArray[np.float32]:
    """What each account shows its neighbours at the end of all that is known.

    Args:
        source: The graph.

    Returns:
        ``float32[A, D]``, to the last bit what each question at the end would compute for itself.
    """
    out = np.empty((source.n_accounts, input_width(open_graph(source).width)), np.float32)
    describe_accounts(graph_of(source), 0, source.end_horizon, nothing_brought(), out)
    return out


def sample(
    source: Source,
    queries: Queries,
    profile_width: int,
    *,
    fanouts: tuple[int, int],
    latest: bool,
    seed: int = 0,
    table: NDArray[np.float32] | None = None,
    spread: bool = True,
) -> Sample:
    """Sample two hops around accounts, each as of its own horizon.

    Args:
        source: The graph.
        queries: ``B`` questions; only entries below each one's horizon are drawn, at both hops.
        profile_width: Width of `features.profiles`.
        fanouts: Neighbours at the first and at the second hop.
        latest: The most recent neighbours (for scoring: no chance in it) or random distinct ones.
        seed: Of the random draws; the same seed gives the same sample with any number of threads.
        table: ``float32[A, D]`` of `described`, where all questions share the end as horizon, or where
            what accounts show does not change with it; else computed for each question.
        spread: Over numba's threads; False where several threads of the caller's sample at a time.

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
    kernel = sample_many if spread and size >= FEW else sample_few
    kernel(
        graph_of(source),
        ways_of(source),
        asked_of(queries),
        extras_of(source, queries),
        np.empty((0, width), np.float32) if table is None else table,
        fanouts,
        latest,
        seed,
        0,
        size,
        result.seed_x,
        result.hop1_x,
        result.hop2_x,
        result.hop1_side,
        result.hop2_side,
    )
    return result


def gather(
    source: Source,
    queries: Queries,
    mean: NDArray[np.float32],
    scale: NDArray[np.float32],
    *,
    fanouts: tuple[int, int],
    latest: bool,
    seed: int = 0,
    table: NDArray[np.float32] | None = None,
    with_seeds: bool = True,
    spread: bool = True,
) -> Gathered:
    """Sample two hops around accounts and sum them up to messages.

    Args:
        source: The graph.
        queries: ``B`` questions; only entries below each one's horizon are drawn, at both hops.
        mean: ``float32[D]`` of a neighbour's inputs.
        scale: ``float32[D]``, their spread.
        fanouts: Neighbours at the first and at the second hop.
        latest: The most recent neighbours (for scoring: no chance in it) or random distinct ones.
        seed: Of the random draws; the same seed gives the same sample with any number of threads.
        table: As for `sample`.
        with_seeds: Whether the seeds' own inputs are asked for.
        spread: Over numba's threads; False where several threads of the caller's gather at a time.

    Returns:
        The messages: to the last bit those that `sample` and `gnn.sage_kernel.Encoding.messages` give.
    """
    size, width = len(queries), len(mean)
    result = Gathered(
        seed_x=np.empty((size if with_seeds else 0, width), np.float32),
        messages=np.empty((size * fanouts[0], 2 * width), np.float32),
        side=np.empty(size * fanouts[0], np.int16),
    )
    kernel = gather_many if spread and size >= FEW else gather_few
    kernel(
        graph_of(source),
        ways_of(source),
        asked_of(queries),
        extras_of(source, queries),
        np.empty((0, width), np.float32) if table is None else table,
        mean,
        scale,
        fanouts,
        latest,
        seed,
        0,
        size,
        result.seed_x,
        result.messages,
        result.side,
    )
    return result
