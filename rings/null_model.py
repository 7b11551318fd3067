"""The platform as it would look if nobody acted together: the same accounts and things, dealt out anew."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import numpy as np

from features import graph_of, view_of
from features.view import PAIR_NBR, PAIR_POS, PAIR_PTR
from features.visibility import USERS_NOW

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from features.visibility import Graph
    from graph_etl import Snapshot

# Rounds in which pairs that were dealt out twice are dealt out again; what is left after them is dropped.
_ROUNDS = 4
_SYMMETRIC_ROUNDS = 16


# Accounts of a sample of the platform, and the stretches of time that it is made of: one stretch alone may be
# a busy or a quiet one.
SAMPLE: Final = 60_000
_STRETCHES: Final = 8


def sampled(first_seen_ms: NDArray[np.int64], accounts: NDArray[np.int64]) -> NDArray[np.int64]:
    """Accounts that stand for all of a large platform.

    Who appeared one after the other stays together, for what is close in time must stay as common as it is.

    Args:
        first_seen_ms: ``int64[A]``.
        accounts: ``int64[n]``, those to choose from.

    Returns:
        ``int64[m]``, ascending: all of them up to `SAMPLE`, else stretches of time spread evenly over all.
    """
    if len(accounts) <= SAMPLE:
        return accounts
    order = accounts[np.argsort(first_seen_ms[accounts], kind="stable")]
    size = SAMPLE // _STRETCHES
    starts = np.arange(_STRETCHES) * (len(order) - size) // (_STRETCHES - 1)
    return np.sort(np.concatenate([order[start : start + size] for start in starts]))


def rewired(
    snapshot: Snapshot,
    horizon: int,
    random: np.random.Generator,
    sample: NDArray[np.int64] | None = None,
) -> tuple[Graph, tuple[NDArray[Any], ...]]:
    """Deal out anew who touches what.

    Every account keeps how many nodes of each kind it touches and with how many accounts it deals, every node
    keeps how many accounts touch it (configuration model; Molloy and Reed, 1995), up to the few pairs that
    come out twice. Hubs, which never link, are left out.

    Of a sample of the accounts, nodes are drawn until they take as many accounts as these touch nodes. Each
    then meets as many others by chance as on the whole platform, and the same ones twice more often. On five
    copies of hop_sybil 6,748 rings had q below 0.05, each of them one of the 6,831 that had it without a
    sample (``benchmarks/ring_scale.py --whole-null``).

    Args:
        snapshot: The snapshot.
        horizon: Entries with a position below it are dealt out.
        random: Where chance comes from.
        sample: ``int64[n]`` accounts to deal among; all if None.

    Returns:
        The graph to walk, and the arrays that it refers to: keep them as long as the graph is used.
    """
    view = view_of(snapshot)
    graph = graph_of(snapshot)
    row = 2 * len(view.sides)
    pointers, neighbours, positions = view.pairs(row)
    node = np.repeat(np.arange(len(pointers) - 1, dtype=np.int64), np.diff(pointers))
    account = np.asarray(neighbours, np.int64)
    plain = (np.asarray(view.hub_since)[node] >= horizon) & (np.asarray(view.hub_since)[account] >= horizon)
    plain &= np.asarray(positions) < horizon
    node, account, position = node[plain], account[plain], np.asarray(positions)[plain]
    kind = np.asarray(snapshot.node_kind)[node]
    chosen = None
    if sample is not None:
        chosen = np.zeros(len(pointers) - 1, np.bool_)
        chosen[np.asarray(snapshot.account_node)[sample]] = True
    nodes, accounts, placed = [], [], []
    for ordinal in np.unique(kind):
        here = kind == ordinal
        if ordinal == 0:
            here &= node < account
            left, right, at = node[here], account[here], position[here]
            if chosen is not None:
                left, right, at = _some_pairs(left, right, at, chosen, random)
            ends = _deal_symmetric(left, right, random, len(pointers))
            nodes += [ends[0], ends[1]]
            accounts += [ends[1], ends[0]]
            placed += [at[ends[2]]] * 2
        else:
            slots, touching = np.flatnonzero(here), account[here]
            if chosen is not None:
                touching = touching[chosen[touching]]
                slots = _some_slots(node, slots, len(touching), random)
            kept, dealt = _deal(node[slots], touching, random, len(pointers))
            nodes.append(node[slots][kept])
            accounts.append(dealt)
            placed.append(position[slots][kept])
    none = np.zeros(0, np.int64)
    source, target, pos = (np.concatenate([none, *parts]) for parts in (nodes, accounts, placed))
    keep = (
        *_grouped(source, target, pos, len(pointers) - 1),
        *_grouped(target, source, pos, len(pointers) - 1),
    )
    addresses = np.array(graph.addresses)
    for offset, at in ((0, row), (3, row + 1)):
        for column, array in zip((PAIR_PTR, PAIR_NBR, PAIR_POS), keep[offset : offset + 3], strict=True):
            addresses[at, column] = array.ctypes.data
    # What is dealt out anew leaves some nodes with a user less: nobody may count them beforehand.
    fields = np.array(graph.fields)
    fields[USERS_NOW] = 0
    return graph._replace(addresses=addresses, fields=fields), keep


def _some_slots(
    node: NDArray[np.int64], slots: NDArray[np.int64], count: int, random: np.random.Generator
) -> NDArray[np.int64]:
    """All places on nodes drawn at random, as many as accounts are dealt to; the last node has fewer."""
    names, place = np.unique(node[slots], return_inverse=True)
    rank = random.permutation(len(names))[place]
    return np.sort(slots[np.argsort(rank, kind="stable")[:count]])


def _some_pairs(
    left: NDArray[np.int64],
    right: NDArray[np.int64],
    position: NDArray[np.int64],
    chosen: NDArray[np.bool_],
    random: np.random.Generator,
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]:
    """As many pairs as the chosen accounts have ends, at times of pairs drawn at random."""
    ends = np.concatenate([left, right])
    ends = ends[chosen[ends]]
    half = len(ends) // 2
    at = np.sort(random.permutation(len(position))[:half])
    return ends[:half], ends[half : 2 * half], position[at]


def _deal(
    node: NDArray[np.int64], account: NDArray[np.int64], random: np.random.Generator, size: int
) -> tuple[NDArray[np.bool_], NDArray[np.int64]]:
    dealt = random.permutation(account)
    for _ in range(_ROUNDS):
        again = np.flatnonzero(~_first_of_each(node * size + dealt))
        if not len(again):
            break
        # Those that came out twice swap with others drawn at random.
        pool = np.unique(np.concatenate([again, random.integers(0, len(dealt), 4 * len(again))]))
        dealt[pool] = random.permutation(dealt[pool])
    kept = _first_of_each(node * size + dealt)
    return kept, dealt[kept]


def _deal_symmetric(
    left: NDArray[np.int64], right: NDArray[np.int64], random: np.random.Generator, size: int
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.bool_]]:
    ends = random.permutation(np.concatenate([left, right]))
    one, other = ends[: len(left)], ends[len(left) :]
    # Among accounts that deal with very many, many pairs come out twice; were they dropped, the null model
    # would be thinner than chance just where a platform is dense.
    for _ in range(_SYMMETRIC_ROUNDS):
        again = np.flatnonzero(~_proper(one, other, size))
        if not len(again):
            break
        pool = np.unique(np.concatenate([again, random.integers(0, len(one), 4 * len(again))]))
        mixed = random.permutation(np.concatenate([one[pool], other[pool]]))
        one[pool], other[pool] = mixed[: len(pool)], mixed[len(pool) :]
    kept = _proper(one, other, size)
    return one[kept], other[kept], kept


def _proper(one: NDArray[np.int64], other: NDArray[np.int64], size: int) -> NDArray[np.bool_]:
    """Pairs of two different accounts, of equal ones the first."""
    first = _first_of_each(np.minimum(one, other) * size + np.maximum(one, other))
    return np.asarray(first & (one != other), np.bool_)


def _first_of_each(key: NDArray[np.int64]) -> NDArray[np.bool_]:
    first = np.zeros(len(key), np.bool_)
    first[np.unique(key, return_index=True)[1]] = True
    return first


def _grouped(
    owner: NDArray[np.int64], other: NDArray[np.int64], pos: NDArray[np.int64], n_nodes: int
) -> tuple[NDArray[np.int64], NDArray[np.int32], NDArray[np.int64]]:
    order = np.lexsort((other, pos, owner))
    pointers = np.zeros(n_nodes + 1, np.int64)
    np.cumsum(np.bincount(owner, minlength=n_nodes), out=pointers[1:])
    return pointers, other[order].astype(np.int32), pos[order]
