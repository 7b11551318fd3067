"""What the kernels read, made once for each snapshot: its view, its arrays, its registry."""

from __future__ import annotations

import weakref
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from features import visibility
from features.cuts import cut_arrays, cuts_of
from features.profile import profile_width
from features.registry import Registry, build_registry
from features.view import TABLE, GraphView
from features.visibility import FIELD_TYPES, N_FIELDS, Asked, Extras, Graph, compiled, knows, node_of
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
        keep: The arrays that the graph refers to.
    """

    view: GraphView
    graph: Graph
    registry: Registry
    width: int
    keep: dict[int, NDArray[Any]]


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
        n_attributes = view.attributes.shape[1]
        fields, keep = fields_of(source, view)
        graph = Graph(
            addresses=view.addresses,
            fields=fields,
            n_nodes=len(view.node_account),
            n_accounts=len(view.account_node),
            n_sides=len(view.sides),
            n_tables=int(view.addresses[:, TABLE].max()) + 1,
            n_attributes=n_attributes,
        )
        width = int(profile_width(graph))
        opened = Opened(view, graph, build_registry(source, view), width, keep)
        _opened[source] = opened
    return opened


def fields_of(snapshot: Snapshot, view: GraphView) -> tuple[NDArray[np.int64], dict[int, NDArray[Any]]]:
    """Where the arrays of a snapshot are; nothing has happened since.

    Args:
        snapshot: The snapshot.
        view: Its arrays.

    Returns:
        `Graph.fields`, and the arrays that it refers to.
    """
    arrays: dict[int, NDArray[Any]] = {
        visibility.NODE_ACCOUNT: view.node_account,
        visibility.NODE_KIND: view.node_kind,
        visibility.ACCOUNT_NODE: view.account_node,
        visibility.HUB_SINCE: view.hub_since,
        visibility.KNOWN_MS: view.known_ms,
        visibility.TIME_MS: view.time_ms,
        visibility.ATTRIBUTES: view.attributes,
        visibility.IS_CATEGORY: view.is_category,
        visibility.BY_AGE: view.by_age,
        visibility.AGE_RANK: view.age_rank,
        visibility.FIRST_SEEN_MS: view.first_seen_ms,
        visibility.FIRST_POS: view.first_pos,
        visibility.LATEST_BEFORE: view.latest_before,
        visibility.EARLIEST_AFTER: view.earliest_after,
        visibility.LIVE_SIZE: np.zeros(visibility.N_SIZES, np.int64),
        visibility.USERS_NOW: np.diff(view.pairs(2 * len(view.sides))[0]).astype(np.int32),
    }
    arrays |= {
        getattr(visibility, name.upper()): array for name, array in cut_arrays(cuts_of(snapshot)).items()
    }
    arrays[visibility.LIVE_SIZE][visibility.N_POSITIONS] = len(view.known_ms)
    fields = np.zeros((N_FIELDS, 2), np.int64)
    for field, array in arrays.items():
        point_to(fields, field, array)
    return fields, arrays


def point_to(fields: NDArray[np.int64], field: int, array: NDArray[Any]) -> None:
    """Let a field of a graph refer to an array; the caller keeps the array alive.

    Args:
        fields: `Graph.fields`.
        field: Which.
        array: Contiguous, of the field's type.

    Raises:
        TypeError: If its type is another: compiled code reads bytes as they are.
    """
    kind = "uint8" if array.dtype == np.bool_ else array.dtype.name
    if kind != FIELD_TYPES[field] or not array.flags.c_contiguous:
        message = f"field {field} must be contiguous {FIELD_TYPES[field]}, got {array.dtype}"
        raise TypeError(message)
    fields[field] = array.ctypes.data, len(array)


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
