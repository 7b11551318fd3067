"""Computing features: one path for a training set, a batch of scores and a single request."""

from __future__ import annotations

import weakref
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from features.kernel import answer_all, answer_few
from features.profile import attribute_slots, profile_all
from features.registry import Registry, build_registry
from features.view import GraphView
from features.visibility import Asked, Extras, Graph

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from features.queries import Queries
    from graph_etl.snapshot import Snapshot

# Below this many questions the threads cost more than they bring.
_FEW = 64


@dataclass(frozen=True, slots=True)
class _Opened:
    view: GraphView
    graph: Graph
    registry: Registry
    width: int


_opened: weakref.WeakKeyDictionary[Any, _Opened] = weakref.WeakKeyDictionary()


def _open(snapshot: Snapshot) -> _Opened:
    opened = _opened.get(snapshot)
    if opened is None:
        view = GraphView.of(snapshot)
        graph = Graph(
            addresses=view.addresses,
            n_nodes=len(view.node_account),
            n_sides=len(view.sides),
            account_side=view.account_side,
            node_account=view.node_account,
            account_node=view.account_node,
            hub_since=view.hub_since,
            known_ms=view.known_ms,
            time_ms=view.time_ms,
            attributes=view.attributes,
            is_category=view.is_category,
            by_age=view.by_age,
            age_rank=view.age_rank,
            first_seen_ms=view.first_seen_ms,
            first_pos=view.first_pos,
        )
        width = int(attribute_slots(view.is_category)) + 2 * len(view.sides)
        opened = _Opened(view, graph, build_registry(snapshot, view), width)
        _opened[snapshot] = opened
    return opened


def view_of(snapshot: Snapshot) -> GraphView:
    """The compiled view of a snapshot, made once.

    Args:
        snapshot: The snapshot.

    Returns:
        Its view.
    """
    return _open(snapshot).view


def registry_of(snapshot: Snapshot) -> Registry:
    """The features that a snapshot's schema gives.

    Args:
        snapshot: The snapshot.

    Returns:
        Its registry.
    """
    return _open(snapshot).registry


def _no_extras() -> Extras:
    return Extras(
        np.zeros(1, np.int64),
        np.zeros(0, np.int32),
        np.zeros(0, np.int64),
        np.zeros(0, np.float64),
        np.zeros(0, np.bool_),
        np.zeros(0, np.bool_),
    )


def profiles(
    snapshot: Snapshot, accounts: NDArray[np.integer[Any]] | None = None, horizon: int | None = None
) -> NDArray[np.float32]:
    """Behaviour vectors of accounts, for similarity.

    Args:
        snapshot: The snapshot.
        accounts: ``int[n]`` account indices; all if None.
        horizon: Entries with a position below it count; all if None.

    Returns:
        ``float32[n, D]``: attributes (numbers as signed logarithm, categories spread over slots), then for
        each side of each relation the logarithm of the number of counterparts and how common they are.
        No place is scaled by data, so a later row never changes an earlier profile.
    """
    opened = _open(snapshot)
    picked = np.arange(snapshot.n_accounts) if accounts is None else np.asarray(accounts)
    seen = snapshot.end_horizon if horizon is None else horizon
    out = np.empty((len(picked), opened.width), dtype=np.float32)
    profile_all(opened.graph, picked.astype(np.int64), seen, _no_extras(), out)
    return out


def compute(snapshot: Snapshot, queries: Queries, registry: Registry | None = None) -> NDArray[np.float32]:
    """Compute the live features of questions.

    Args:
        snapshot: The snapshot.
        queries: ``Q`` questions.
        registry: The columns expected, as a bundle recorded them; checked against the snapshot's own.

    Returns:
        ``float32[Q, F]`` in the registry's order; NaN where a feature has no value.

    Raises:
        ValueError: If the registry is not the one of the snapshot's schema.
    """
    opened = _open(snapshot)
    if registry is not None and registry.names != opened.registry.names:
        message = (
            f"the features expected ({len(registry)}) are not those of snapshot {snapshot.id} "
            f"({len(opened.registry)}). Train a bundle on this snapshot."
        )
        raise ValueError(message)
    out = np.empty((len(queries), len(opened.registry)), dtype=np.float32)
    if len(queries) == 0:
        return out
    extras = extras_of(snapshot, queries)
    asked = asked_of(queries)
    if len(queries) < _FEW:
        answer_few(opened.graph, np.empty((0, opened.width), np.float32), asked, extras, out)
    else:
        answer_all(opened.graph, _shared_profiles(snapshot, opened, queries), asked, extras, out)
    return out


def _shared_profiles(snapshot: Snapshot, opened: _Opened, queries: Queries) -> NDArray[np.float32]:
    """Profiles of all accounts where all questions share one horizon and bring no edges, else none.

    They are what the kernel would compute for each neighbour anew, bit by bit.
    """
    horizon = int(queries.horizon[0])
    if len(queries.ext_node) or not (queries.horizon == horizon).all():
        return np.empty((0, opened.width), np.float32)
    return profiles(snapshot, None, horizon)


def graph_of(snapshot: Snapshot) -> Graph:
    """The arrays that compiled code of other modules reads.

    Args:
        snapshot: The snapshot.

    Returns:
        Its graph.
    """
    return _open(snapshot).graph


def asked_of(queries: Queries) -> Asked:
    """Questions as compiled code takes them.

    Args:
        queries: The questions.

    Returns:
        Their arrays.
    """
    return Asked(queries.account, queries.horizon, queries.time_ms, queries.first_seen_ms, queries.attributes)


def extras_of(snapshot: Snapshot, queries: Queries) -> Extras:
    """The edges that questions bring, with what is new about each.

    Args:
        snapshot: The snapshot.
        queries: The questions.

    Returns:
        Their own edges; ``new`` where the account has not met the counterpart through that side before,
        ``touch`` where it has not met it in any way.
    """
    opened = _open(snapshot)
    sides = queries.sides(opened.view)
    new = np.ones(len(sides), dtype=np.bool_)
    touch = np.ones(len(sides), dtype=np.bool_)
    touched_row = 2 * len(opened.view.sides) + 1
    for q in np.flatnonzero(np.diff(queries.ext_ptr)):
        seen: set[tuple[int, int]] = set()
        account = int(queries.account[q])
        node = int(opened.view.account_node[account]) if account >= 0 else -1
        horizon = int(queries.horizon[q])
        for index in range(int(queries.ext_ptr[q]), int(queries.ext_ptr[q + 1])):
            counterpart = int(queries.ext_node[index])
            for flags, row in ((new, int(sides[index])), (touch, touched_row)):
                edge = (row, counterpart)
                flags[index] = not _knows(opened, node, edge, horizon) and edge not in seen
                if counterpart >= 0:
                    seen.add(edge)
    return Extras(queries.ext_ptr, sides, queries.ext_node, queries.ext_value, new, touch)


def _knows(opened: _Opened, node: int, edge: tuple[int, int], horizon: int) -> bool:
    """Whether an account has met a counterpart before the horizon in one row of the view."""
    row, counterpart = edge
    if node < 0 or counterpart < 0:
        return False
    pointers, neighbours, positions = opened.view.pairs(row)
    here = slice(int(pointers[node]), int(pointers[node + 1]))
    met = positions[here] < horizon
    return bool((neighbours[here][met] == counterpart).any())
