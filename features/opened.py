"""What the kernels read, made once for each snapshot: its view, its arrays, its registry."""

from __future__ import annotations

import weakref
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from features.profile import attribute_slots
from features.registry import Registry, build_registry
from features.view import GraphView, read_only
from features.visibility import N_SIZES, Asked, Extras, Graph, compiled, knows, node_of
from graph_etl import Snapshot

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from features.live import Source
    from features.queries import Queries


@dataclass(frozen=True, slots=True)
class Opened:
    """A graph as the kernels read it.

    Attributes:
        view: The snapshot's adjacency.
        graph: All arrays, with what has happened since.
        registry: The features that the schema gives.
        width: Places of a profile.
    """

    view: GraphView
    graph: Graph
    registry: Registry
    width: int


_opened: weakref.WeakKeyDictionary[Snapshot, Opened] = weakref.WeakKeyDictionary()


def open_graph(source: Source) -> Opened:
    """What the kernels read of a graph.

    Args:
        source: A snapshot, or one with what has happened since.

    Returns:
        Its arrays; for a live graph those of this very moment.
    """
    if not isinstance(source, Snapshot):
        return source.opened
    opened = _opened.get(source)
    if opened is None:
        view = GraphView.of(source)
        graph = Graph(
            addresses=view.addresses,
            tables=view.tables,
            n_tables=int(view.tables.max()) + 1,
            n_nodes=len(view.node_account),
            n_sides=len(view.sides),
            account_side=view.account_side,
            node_account=view.node_account,
            node_kind=view.node_kind,
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
            **nothing_since(view.attributes.shape[1]),
        )
        width = int(attribute_slots(view.is_category)) + 2 * len(view.sides)
        opened = Opened(view, graph, build_registry(source, view), width)
        _opened[source] = opened
    return opened


def nothing_since(n_attributes: int) -> dict[str, NDArray[Any]]:
    """The live part of a snapshot alone.

    Args:
        n_attributes: Attributes of an account.

    Returns:
        Empty arrays by the names of their fields in `Graph`.
    """
    kinds: dict[str, type[np.generic]] = {
        "live_touched": np.uint8,
        "live_places": np.int32,
        "live_length": np.int32,
        "live_nbr": np.int32,
        "live_value": np.float32,
        "live_node_account": np.int32,
        "live_node_kind": np.int16,
        "live_account_node": np.int32,
        "live_by_age": np.int32,
    }
    names = [name for name in Graph._fields if name.startswith(("live_", "cut_"))]
    arrays = {name: np.zeros(0, kinds.get(name, np.int64)) for name in names}
    arrays["live_size"] = np.zeros(N_SIZES, np.int64)
    arrays["live_attributes"] = np.zeros((0, n_attributes))
    return {name: read_only(array) for name, array in arrays.items()}


def nothing_brought() -> Extras:
    """The edges of one question that brings none."""
    return Extras(
        np.zeros(1, np.int64),
        np.zeros(0, np.int32),
        np.zeros(0, np.int64),
        np.zeros(0, np.float64),
        np.zeros(0, np.bool_),
        np.zeros(0, np.bool_),
    )


def asked_of(queries: Queries) -> Asked:
    """Questions as compiled code takes them.

    Args:
        queries: The questions.

    Returns:
        Their arrays.
    """
    return Asked(queries.account, queries.horizon, queries.time_ms, queries.first_seen_ms, queries.attributes)


def extras_of(source: Source, queries: Queries) -> Extras:
    """The edges that questions bring, with what is new about each.

    Args:
        source: The graph.
        queries: The questions.

    Returns:
        Their own edges; ``new`` where the account has not met the counterpart through that side before,
        ``touch`` where it has not met it in any way.
    """
    opened = open_graph(source)
    sides = opened.view.relation_sides[queries.ext_relation, queries.ext_outgoing.view(np.int8)]
    new = np.ones(len(sides), dtype=np.bool_)
    touch = np.ones(len(sides), dtype=np.bool_)
    if len(sides):
        _mark_new(opened.graph, asked_of(queries), queries.ext_ptr, sides, queries.ext_node, new, touch)
    return Extras(queries.ext_ptr, sides, queries.ext_node, queries.ext_value, new, touch)


@compiled
def _mark_new(graph: Graph, asked: Asked, ptr: Any, side: Any, node: Any, new: Any, touch: Any) -> None:
    """Which own edges are the first between their ends; of two alike in one question only the first is."""
    touches = 2 * graph.n_sides + 1
    for q in range(len(asked.account)):
        own = node_of(graph, asked.account[q])
        for index in range(ptr[q], ptr[q + 1]):
            met_here = False
            met = False
            for earlier in range(ptr[q], index):
                if node[index] >= 0 and node[earlier] == node[index]:
                    met = True
                    met_here = met_here or side[earlier] == side[index]
            horizon = asked.horizon[q]
            row = np.int64(side[index])
            new[index] = not met_here and not knows(
                graph, row, graph.n_sides + row, own, node[index], horizon
            )
            touch[index] = not met and not knows(graph, touches, touches - 1, own, node[index], horizon)
