"""From the rows of all parts to the events of a snapshot: ordered, each once, with their edges."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from graph_etl.identity import first_with_name

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray


@dataclass(slots=True)
class EventRows:
    """Event rows of all parts, in the order of sources, files and rows. ``R`` rows, ``U`` identifier uses.

    Attributes:
        table: ``int32[R]``, which table of which part the row is from, numbered from 0.
        part: ``int32[R]``, which part, numbered from 0 among those with tables of events.
        row: ``int64[R]``, row number in the file.
        time_ms: ``int64[R]``, ``NO_TIME`` if unknown.
        known_ms: ``int64[R]``, ``NO_TIME`` if unknown.
        type: ``int16[R]``.
        src: ``int32[R]`` named nodes; -1 none.
        dst: ``int32[R]`` named nodes; -1 none.
        value: ``float32[R]``.
        identity: ``uint64[R, 2]``: rows that share it are the same event.
        content: ``uint64[R, 2]``: rows that share it say the same.
        used_row: ``int64[U]`` rows whose ``src`` used an identifier.
        used_node: ``int32[U]`` named nodes, the identifiers.
    """

    table: NDArray[np.int32]
    part: NDArray[np.int32]
    row: NDArray[np.int64]
    time_ms: NDArray[np.int64]
    known_ms: NDArray[np.int64]
    type: NDArray[np.int16]
    src: NDArray[np.int32]
    dst: NDArray[np.int32]
    value: NDArray[np.float32]
    identity: NDArray[np.uint64]
    content: NDArray[np.uint64]
    used_row: NDArray[np.int64]
    used_node: NDArray[np.int32]


@dataclass(frozen=True, slots=True)
class Accepted:
    """Which rows are events of the graph.

    Attributes:
        rows: ``int64[M]``, the accepted rows; place in it is the position.
        pos: ``int64[R]``, position of each row, -1 if it is not in the graph.
        duplicates: ``int64[D]`` rows that were there already.
        conflicts: ``int64[C]`` rows whose event id came earlier with other content.
    """

    rows: NDArray[np.int64]
    pos: NDArray[np.int64]
    duplicates: NDArray[np.int64]
    conflicts: NDArray[np.int64]


def accept(events: EventRows, rejected: NDArray[np.bool_], live: NDArray[np.bool_]) -> Accepted:
    """Order the rows by when they became known, then by source, file and row; keep the first of each event.

    Of an event that the journal and a file hold, the journal's row is kept: that is what was seen live.

    Args:
        events: All rows.
        rejected: ``bool[R]``, rows that are out for another reason.
        live: ``bool[R]``, rows of the journal.

    Returns:
        Which rows are in the graph, at which position.
    """
    order = _known_order(events)
    order = order[~rejected[order]]
    of_journal = live[order]
    if of_journal.any():
        preferred = np.concatenate([order[of_journal], order[~of_journal]])
    else:
        preferred = order
    first = first_with_name(events.identity[preferred])
    kept = first == np.arange(len(first))
    again, before = preferred[~kept], preferred[first[~kept]]
    # A file may tell of an event in other words than the request did.
    same = (events.content[again] == events.content[before]).all(axis=1) | (live[before] & ~live[again])
    stays = np.zeros(len(events.row), np.bool_)
    stays[preferred[kept]] = True
    rows = order[stays[order]]
    pos = np.full(len(events.row), -1, np.int64)
    pos[rows] = np.arange(len(rows))
    return Accepted(rows, pos, np.sort(again[same]), np.sort(again[~same]))


def _known_order(events: EventRows) -> NDArray[np.int64]:
    if not len(events.row) or events.table[-1] == events.part[-1]:  # no part has rows in two tables
        return np.argsort(events.known_ms, kind="stable")
    return np.lexsort((events.table, events.row, events.part, events.known_ms))


@dataclass(frozen=True, slots=True)
class Edges:
    """Edges of the graph in the order of their positions, between indices of nodes.

    Attributes:
        src: ``int32[E]``.
        dst: ``int32[E]``.
        pos: ``int64[E]``, ascending.
        group: ``int16[E]``: the type of the event, or the kind of the identifier.
        value: ``float32[E]``.
    """

    src: NDArray[np.int32]
    dst: NDArray[np.int32]
    pos: NDArray[np.int64]
    group: NDArray[np.int16]
    value: NDArray[np.float32]

    def of(self, groups: Sequence[int]) -> list[Edges]:
        """Split by group.

        Args:
            groups: The groups wanted.

        Returns:
            The edges of each of them, still in order.
        """
        order = np.argsort(self.group, kind="stable")
        sorted_groups = self.group[order]
        found = []
        for group in groups:
            start, stop = np.searchsorted(sorted_groups, [group, group + 1])
            at = order[start:stop]
            found.append(Edges(self.src[at], self.dst[at], self.pos[at], self.group[at], self.value[at]))
        return found


def interaction_edges(events: EventRows, accepted: Accepted, index: NDArray[np.int32]) -> Edges:
    """The edges of events with two ends.

    Args:
        events: All rows.
        accepted: Those in the graph.
        index: ``int32[U]`` node indices of named nodes.

    Returns:
        Edges whose group is the type.
    """
    pos = np.flatnonzero(events.dst[accepted.rows] >= 0)
    rows = accepted.rows[pos]
    return Edges(index[events.src[rows]], index[events.dst[rows]], pos, events.type[rows], events.value[rows])


def used_edges(
    events: EventRows,
    accepted: Accepted,
    index: NDArray[np.int32],
    node_kind: NDArray[np.int16],
    rank: NDArray[np.int32],
) -> Edges:
    """The edges from accounts to the identifiers that they used.

    Args:
        events: All rows.
        accepted: Those in the graph.
        index: ``int32[U]`` node indices of named nodes.
        node_kind: ``int16[N]``.
        rank: ``int32[N]``, orders edges of one row.

    Returns:
        Edges whose group is the kind of the identifier; one that a row names twice counts once.
    """
    pos = accepted.pos[events.used_row]
    inside = np.flatnonzero(pos >= 0)
    pos, dst = pos[inside], index[events.used_node[inside]]
    order = np.lexsort((rank[dst], pos))
    pos, dst = pos[order], dst[order]
    again = np.zeros(len(pos), np.bool_)
    again[1:] = (pos[1:] == pos[:-1]) & (dst[1:] == dst[:-1])
    pos, dst = pos[~again], dst[~again]
    src = index[events.src[accepted.rows[pos]]]
    return Edges(src, dst, pos, node_kind[dst], np.ones(len(pos), np.float32))


def touched_nodes(events: EventRows, accepted: Accepted, n_named: int) -> NDArray[np.bool_]:
    """Which named nodes the graph touches.

    Args:
        events: All rows.
        accepted: Those in the graph.
        n_named: Number of named nodes, ``U``.

    Returns:
        ``bool[U]``.
    """
    touched = np.zeros(n_named + 1, np.bool_)
    touched[events.src[accepted.rows]] = True
    touched[events.dst[accepted.rows]] = True
    touched[events.used_node[accepted.pos[events.used_row] >= 0]] = True
    return touched[:-1]
