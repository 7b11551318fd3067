"""The same graph without some edges: everything that is computed from it is as if they had never been.

Nothing is described twice: the arrays of the graph are shared, and the few lists in which the edges stand are
written anew, into private pages of the same files or, where what has happened since is concerned, into copies
of the live lists. A list that became shorter ends with entries at a position that no horizon reaches. So the
kernels that compute features, links and contact read it as any other graph, compiled once for all.
"""

from __future__ import annotations

from copy import copy
from dataclasses import replace
from mmap import ACCESS_COPY, mmap
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import numpy as np

from features.live import LiveGraph
from features.opened import point_to
from features.rhythm import list_ends
from features.view import (
    EVENT_POS,
    EVENT_PTR,
    EVENT_VALUE,
    PAIR_NBR,
    PAIR_POS,
    PAIR_PTR,
    TABLE,
)
from features.visibility import (
    EVENTS,
    LIVE_AT,
    LIVE_LENGTH,
    LIVE_NBR,
    LIVE_POS,
    LIVE_SIZE,
    LIVE_VALUE,
    N_ENTRIES,
    N_LISTS,
    N_POSITIONS,
    PAIRS,
    live_list,
)

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable

    from numpy.typing import NDArray

    from features.live import Source
    from features.visibility import Graph

_N_ARRAYS: Final = 6
# Beyond every horizon, so that no question sees the entry.
_NEVER: Final = 2**63 - 1
# More rows than any graph holds: no horizon lets the kernels skip the positions, which now say what is left.
_NOT_ALL: Final = 2**62
_LIVE_COPIED: Final = {
    "at": (LIVE_AT, N_LISTS),
    "length": (LIVE_LENGTH, N_LISTS),
    "nbr": (LIVE_NBR, N_ENTRIES),
    "pos": (LIVE_POS, N_ENTRIES),
    "value": (LIVE_VALUE, N_ENTRIES),
}


# In place of a column of `GraphView.addresses`: counterparts of events are not among them.
_EVENT_NBR: Final = -1
# Comparisons that take less time than sorting would.
_FEW: Final = 4096
_NOTHING: Final = np.zeros(0, np.int32), np.zeros(0, np.int64), np.zeros(0, np.float32)


class Edge(NamedTuple):
    """Everything between an account and a node, or what of it went one way.

    Attributes:
        account: Account index.
        node: Node of the counterpart.
        side: Number of the side of the account (see `features.view.GraphView.sides`) through which it went;
            None for all that lies between the two, in both directions.
    """

    account: int
    node: int
    side: int | None = None


def without(source: Source, edges: Iterable[Edge]) -> LiveGraph:
    """The same graph without some edges.

    What artefacts hold stays as it is, as it would until the next snapshot: which nodes are hubs, attributes,
    first appearances and verdicts. Edges that the graph does not hold are passed over.

    The cost is that of the lists in which the edges stand, whatever the size of the graph: of each edge those
    of both its ends. Where a list has entries that came since the snapshot, the live lists are copied once,
    about 28 bytes for each of their entries.

    Args:
        source: The snapshot, or the live graph over it; neither is changed.
        edges: What to leave out.

    Returns:
        A graph to ask. It shares the source's arrays: nothing may be applied to it, and it is right until
        something is applied to the source.
    """
    live = source if isinstance(source, LiveGraph) else LiveGraph(source)
    return _Removal(live).of(list(dict.fromkeys(edges)))


class _Listed(NamedTuple):
    """The entries of one list in order, where the snapshot's part starts, and the number of the live part."""

    nbr: NDArray[np.int32]
    pos: NDArray[np.int64]
    value: NDArray[np.float32]
    start: int
    n_slots: int
    place: int


class _Removal:
    """Writes the lists of one graph anew.

    Args:
        live: The graph.
    """

    def __init__(self, live: LiveGraph) -> None:
        self._live = live
        self._view = live.opened.view
        self._n_sides = len(self._view.sides)
        graph = live.opened.graph
        # Told apart by table, so that rows of addresses that read the same adjacency go on doing so.
        self._rows_of: dict[int, list[int]] = {}
        for row, table in enumerate(graph.addresses[:, TABLE].tolist()):
            self._rows_of.setdefault(table, []).append(row)
        self._table_of = graph.addresses[:, TABLE].tolist()
        size = np.array(live._arrays["size"])
        size[N_POSITIONS] = _NOT_ALL
        self._graph: Graph = graph._replace(
            addresses=np.array(graph.addresses), fields=np.array(graph.fields)
        )
        point_to(self._graph.fields, LIVE_SIZE, size)
        self._size = size
        self._own: dict[tuple[int, int], NDArray[Any]] = {}
        self._own_live: dict[str, NDArray[Any]] = {}

    def of(self, edges: list[Edge]) -> LiveGraph:
        """The graph without these edges."""
        gone: dict[tuple[int, int], set[int]] = {}
        ends: dict[int, set[int]] = {}
        for edge in edges:
            own = self._live.account_node(edge.account)
            ends.setdefault(own, set()).add(edge.node)
            for side in range(self._n_sides) if edge.side is None else (edge.side,):
                gone.setdefault((side, own), set()).add(edge.node)
                gone.setdefault((self._n_sides + side, edge.node), set()).add(own)
        merged: dict[tuple[int, int], set[int]] = {}
        for (row, owner), others in gone.items():
            merged.setdefault((self._rows_of[self._table_of[row]][0], owner), set()).update(others)
        for (row, owner), others in merged.items():
            for which in (PAIRS, EVENTS):
                self._drop(row, owner, which, others)
        self._touch(ends)
        twin = copy(self._live)
        keep = {**self._live.opened.keep, -1: self._size}
        keep |= {-2 - at: array for at, array in enumerate([*self._own.values(), *self._own_live.values()])}
        twin.opened = replace(self._live.opened, graph=self._graph, keep=keep)
        list_ends(
            twin,
            {
                row: array
                for (table, column), array in self._own.items()
                if column == _EVENT_NBR
                for row in self._rows_of[table]
                if row < 2 * self._n_sides
            },
        )
        return twin

    def _touch(self, ends: dict[int, set[int]]) -> None:
        """Let nodes have touched when the first of what is left between them happened, or never."""
        by_node, by_account = 2 * self._n_sides, 2 * self._n_sides + 1
        moves: dict[tuple[int, int], dict[int, int]] = {}
        for own, nodes in ends.items():
            first = dict.fromkeys(nodes, _NEVER)
            for side in range(self._n_sides):
                listed = self._read(side, own, PAIRS)
                for at in np.flatnonzero(_among(listed.nbr, nodes)):
                    node = int(listed.nbr[at])
                    first[node] = min(first[node], int(listed.pos[at]))
            for node, pos in first.items():
                ways = [(by_node, node, own), (by_account, own, node)]
                if self._live.node_account(node) >= 0 and node != own:
                    ways += [(by_node, own, node), (by_account, node, own)]
                for row, owner, other in ways:
                    moves.setdefault((row, owner), {})[other] = pos
        for (row, owner), first in moves.items():
            self._move(row, owner, first)

    def _drop(self, row: int, owner: int, which: int, others: set[int]) -> None:
        """Take all entries of some counterparts out of a list."""
        listed = self._read(row, owner, which)
        if not len(listed.nbr):
            return
        stays = ~_among(listed.nbr, others)
        if not stays.all():
            self._write(row, owner, which, listed, stays)

    def _move(self, row: int, owner: int, first: dict[int, int]) -> None:
        """Let entries of a list of who touches what stand at later positions, or nowhere."""
        listed = self._read(row, owner, PAIRS)
        goes = _among(listed.nbr, first)
        goes[goes] = [first[int(listed.nbr[at])] != listed.pos[at] for at in np.flatnonzero(goes)]
        if not goes.any():
            return
        nbr, pos = listed.nbr[~goes], listed.pos[~goes]
        for other in listed.nbr[goes].tolist():
            if first[other] != _NEVER:
                # By position, then by node, as a build lists them.
                low, high = np.searchsorted(pos, first[other]), np.searchsorted(pos, first[other], "right")
                place = low + np.count_nonzero(nbr[low:high] < other)
                nbr, pos = np.insert(nbr, place, other), np.insert(pos, place, first[other])
        stays = np.ones(len(nbr), np.bool_)
        self._write(
            row, owner, PAIRS, listed._replace(nbr=nbr, pos=pos, value=listed.value[: len(nbr)]), stays
        )

    def _read(self, row: int, node: int, which: int) -> _Listed:
        """The entries of a list as they stand now."""
        nbr, pos, value = _NOTHING
        start = n_slots = 0
        if 0 <= node < self._graph.n_nodes:
            pointers = self._array(row, PAIR_PTR if which == PAIRS else EVENT_PTR)
            start, stop = int(pointers[node]), int(pointers[node + 1])
            n_slots = stop - start
        if n_slots:
            pos = self._array(row, PAIR_POS if which == PAIRS else EVENT_POS)[start:stop]
            nbr = self._neighbours(row, which)[start:stop]
            value = (
                self._array(row, EVENT_VALUE)[start:stop]
                if which == EVENTS
                else np.zeros(n_slots, np.float32)
            )
            if pos[-1] == _NEVER:
                here = slice(0, int(np.searchsorted(pos, _NEVER)))
                nbr, pos, value = nbr[here], pos[here], value[here]
        touched = self._live._arrays["touched"]
        is_live = 0 <= node < len(touched) and bool(touched[node])
        place = int(live_list(self._graph, row, node, which)) if is_live else -1
        if place >= 0:
            at, length = int(self._live_array("at")[place]), int(self._live_array("length")[place])
            more = slice(at, at + length)
            nbr = np.concatenate([nbr, self._live_array("nbr")[more]])
            pos = np.concatenate([pos, self._live_array("pos")[more]])
            value = np.concatenate([value, self._live_array("value")[more]])
        return _Listed(nbr, pos, value, start, n_slots, place)

    def _write(self, row: int, owner: int, which: int, listed: _Listed, stays: NDArray[np.bool_]) -> None:
        """Write what stays of a list: the snapshot's places are filled first, the rest of them never seen."""
        nbr, pos, value = listed.nbr[stays], listed.pos[stays], listed.value[stays]
        slots = slice(listed.start, listed.start + listed.n_slots)
        n_first = min(len(nbr), listed.n_slots)
        if listed.n_slots:
            positions = self._private(row, PAIR_POS if which == PAIRS else EVENT_POS)[slots]
            positions[n_first:] = _NEVER
            positions[:n_first] = pos[:n_first]
            self._private_neighbours(row, which)[slots][:n_first] = nbr[:n_first]
            if which == EVENTS:
                self._private(row, EVENT_VALUE)[slots][:n_first] = value[:n_first]
        if listed.place >= 0:
            at = int(self._live_array("at")[listed.place])
            more = slice(at, at + len(nbr) - n_first)
            self._private_live("nbr")[more] = nbr[n_first:]
            self._private_live("pos")[more] = pos[n_first:]
            self._private_live("value")[more] = value[n_first:]
            self._private_live("length")[listed.place] = len(nbr) - n_first

    def _array(self, row: int, column: int) -> NDArray[Any]:
        """An array of a row of addresses, the written one where there is one."""
        own = self._own.get((self._table_of[row], column))
        return self._view.keep[row * _N_ARRAYS + column] if own is None else own

    def _private(self, row: int, column: int) -> NDArray[Any]:
        """The same to write into."""
        key = (self._table_of[row], column)
        if key not in self._own:
            self._own[key] = _private(self._view.keep[row * _N_ARRAYS + column])
            for same in self._rows_of[self._table_of[row]]:
                self._graph.addresses[same, column] = self._own[key].ctypes.data
        return self._own[key]

    def _neighbours(self, row: int, which: int) -> NDArray[Any]:
        if which == PAIRS:
            return self._array(row, PAIR_NBR)
        own = self._own.get((self._table_of[row], _EVENT_NBR))
        return self._event_neighbours(row) if own is None else own

    def _private_neighbours(self, row: int, which: int) -> NDArray[Any]:
        if which == PAIRS:
            return self._private(row, PAIR_NBR)
        key = (self._table_of[row], _EVENT_NBR)
        if key not in self._own:
            self._own[key] = _private(self._event_neighbours(row))
        return self._own[key]

    def _event_neighbours(self, row: int) -> NDArray[Any]:
        """Counterparts of the events of a row of addresses."""
        if row >= 2 * self._n_sides:
            return np.zeros(0, np.int32)
        side = self._view.sides[row % self._n_sides]
        relation = self._live.relations[side.relation]
        return np.asarray((relation.out if side.outgoing == (row < self._n_sides) else relation.into).nbr)

    def _live_array(self, name: str) -> NDArray[Any]:
        own = self._own_live.get(name)
        return self._live._arrays[name] if own is None else own

    def _private_live(self, name: str) -> NDArray[Any]:
        if name not in self._own_live:
            field, used = _LIVE_COPIED[name]
            self._own_live[name] = np.array(self._live._arrays[name][: max(1, int(self._size[used]))])
            point_to(self._graph.fields, field, self._own_live[name])
        return self._own_live[name]


def _among(nbr: NDArray[np.int32], others: Collection[int]) -> NDArray[np.bool_]:
    """Which entries are one of a few nodes."""
    wanted = np.fromiter(others, np.int32, len(others))
    if len(wanted) * len(nbr) > _FEW:
        return np.isin(nbr, wanted)
    found: NDArray[np.bool_] = (nbr[:, None] == wanted).any(axis=1)
    return found


def _private(array: NDArray[Any]) -> NDArray[Any]:
    """The same values to write into: of a mapped file only the pages written to are copied."""
    mapped: Any = array
    while mapped is not None and not isinstance(mapped, np.memmap):
        mapped = getattr(mapped, "base", None)
    if mapped is None or mapped.filename is None or mapped.size != array.size:
        return np.array(array)
    try:
        with Path(mapped.filename).open("rb") as file:
            pages = mmap(file.fileno(), mapped.offset + mapped.nbytes, access=ACCESS_COPY)
    except (OSError, ValueError):
        # The file is gone or was cut off, only its pages are still mapped.
        return np.array(array)
    return np.frombuffer(pages, array.dtype, array.size, mapped.offset)
