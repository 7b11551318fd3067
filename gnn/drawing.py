"""Drawing neighbours, two hops around each question, as of its horizon.

What drawing waits for is memory: where a node's list begins, which of its positions lie below the horizon,
who stands there. Questions therefore go through the kernel a block at a time and step by step, and each step
asks ahead for what the next one reads (group prefetching, Chen et al., ACM TODS 2007), so that a block's
cache misses overlap instead of standing in line.
"""

from __future__ import annotations

import weakref
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import numpy as np
from numba import njit, prange

from features import LiveGraph, asked_of, extras_of, graph_of
from features.opened import open_graph
from features.view import PAIR_NBR, PAIR_POS, PAIR_PTR, int16_array, int32_array, int64_array, uint8_array
from features.visibility import (
    LIVE_NBR,
    LIVE_POS,
    LIVE_TOUCHED,
    NODE_KIND,
    Asked,
    Extras,
    Graph,
    account_at,
    all_visible,
    compiled,
    node_of,
    visible_pairs,
)
from gnn.prefetch import prefetch

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from features import Queries, Source
    from graph_etl import Snapshot

BLOCK: Final = 32
"""Questions that go through the kernel together: enough misses to overlap, little enough to stay in cache."""
# Below this many questions the threads cost more than they bring.
FEW: Final = 16
PART: Final = 8 * BLOCK
"""Questions of one thread at a time: a multiple of the block, whatever the number of threads."""


class Ways(NamedTuple):
    """Rows of a graph's addresses through which nodes of each kind can be left, ascending.

    An account is left through its own sides; an entity through the ways back of the sides that reach it too.

    Attributes:
        ptr: ``int64[K + 1]``, those of kind ``k`` are ``row[ptr[k]:ptr[k + 1]]``.
        row: ``int16[...]``.
    """

    ptr: Any
    row: Any


class Room(NamedTuple):
    """What one block needs while it is drawn.

    Attributes:
        node: ``int64[n]``, the nodes whose neighbours are drawn.
        horizon: ``int64[n]``.
        state: ``uint64[n]`` of their random numbers.
        filled: ``int64[n]``, places that are taken already.
        first: ``int64[n + 1]``, each node's lists are ``lists[first[i]:first[i + 1]]``.
        lists: ``int64[m, 5]``: row, start in the snapshot, entries there, start among what is live, entries
            there.
        left: ``int64[rows, 2]``, entries not yet taken of each list, and the last one's position.
        picked: ``int64[fanout]``.
        entry: ``int64[n fanout]``, where the neighbour of each place is to be read.
        late: ``int64[n]``, nodes whose neighbours are still to be read.
    """

    node: Any
    horizon: Any
    state: Any
    filled: Any
    first: Any
    lists: Any
    left: Any
    picked: Any
    entry: Any
    late: Any


@dataclass(frozen=True, slots=True)
class Drawn:
    """Neighbours of ``B`` questions' accounts, as trees of fixed width.

    Attributes:
        hop1: ``int32[B f1]`` nodes; -1 also for a counterpart that nobody has seen.
        hop1_side: ``int16[B f1]``, side through which the account met the node, -1: no node there.
        hop2: ``int32[B f1 f2]`` nodes around each of ``hop1``.
        hop2_side: ``int16[B f1 f2]``, side through which the node of hop 1 was met.
    """

    hop1: NDArray[np.int32]
    hop1_side: NDArray[np.int16]
    hop2: NDArray[np.int32]
    hop2_side: NDArray[np.int16]


_ways: weakref.WeakKeyDictionary[Snapshot, Ways] = weakref.WeakKeyDictionary()


def ways_of(source: Source) -> Ways:
    """Through which rows the nodes of each kind can be left, as far as the snapshot goes.

    Args:
        source: The graph; nodes that something live has touched are looked up through every row instead.

    Returns:
        The rows.
    """
    snapshot = source.snapshot if isinstance(source, LiveGraph) else source
    found = _ways.get(snapshot)
    if found is None:
        view = open_graph(snapshot).view
        sides = view.sides
        kinds: list[list[int]] = [[] for _ in snapshot.kinds]
        accounts = (
            set(np.unique(view.node_kind[view.account_node]).tolist()) if len(view.account_node) else set()
        )
        for row in range(2 * len(sides)):
            side = sides[row % len(sides)]
            relation = snapshot.relations[side.relation]
            starts, ends = set(relation.from_kinds), set(relation.to_kinds)
            if not relation.directed:
                starts = ends = starts | ends
            back = row >= len(sides)
            for kind in starts if side.outgoing != back else ends:
                if not (back and kind in accounts):
                    kinds[kind].append(row)
        found = Ways(
            ptr=np.cumsum([0, *(len(rows) for rows in kinds)]).astype(np.int64),
            row=np.array([row for rows in kinds for row in rows], np.int16),
        )
        _ways[snapshot] = found
    return found


@compiled
def mix(state: Any) -> Any:
    """Next value of splitmix64 (Steele et al., 2014): the same draw for the same state on every thread."""
    state = (state + np.uint64(0x9E3779B97F4A7C15)) & np.uint64(0xFFFFFFFFFFFFFFFF)
    state = (state ^ (state >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    state = (state ^ (state >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return state ^ (state >> np.uint64(31))


@compiled
def room_for(graph: Graph, fanout1: int, fanout2: int) -> Room:
    """Memory for one block at a time.

    Args:
        graph: The graph.
        fanout1: Neighbours at the first hop.
        fanout2: At the second.

    Returns:
        The memory.
    """
    size = BLOCK * max(fanout1, 1)
    rows = max(2 * graph.n_sides, 1)
    return Room(
        node=np.empty(size, np.int64),
        horizon=np.empty(size, np.int64),
        state=np.empty(size, np.uint64),
        filled=np.zeros(size, np.int64),
        first=np.zeros(size + 1, np.int64),
        lists=np.empty((size * rows, 5), np.int64),
        left=np.empty((rows, 2), np.int64),
        picked=np.empty(max(fanout1, fanout2, 1), np.int64),
        entry=np.empty(size * max(fanout1, fanout2, 1), np.int64),
        late=np.empty(size, np.int64),
    )


@compiled
def _touched(graph: Graph, node: int) -> Any:
    """Whether what has happened since the snapshot may have given a node other lists than its kind's."""
    if node >= graph.n_nodes:
        return True
    n_touched = graph.fields[LIVE_TOUCHED, 1]
    return node < n_touched and uint8_array(graph.fields[LIVE_TOUCHED, 0], n_touched)[node] != 0


@compiled
def _below(positions: int, start: int, stop: int, horizon: int) -> Any:
    """Entries of ``start:stop`` below the horizon; ``positions`` is where the array begins."""
    values = int64_array(positions, stop)
    if values[stop - 1] < horizon:
        return stop - start
    low = start
    size = stop - start
    # Without a branch to be guessed wrong: half of the rest is left behind or not.
    while size > 0:
        half = size >> 1
        behind = values[low + half] < horizon
        low = low + half + 1 if behind else low
        size = size - half - 1 if behind else half
    return low - start


@compiled
def find_lists(graph: Graph, ways: Ways, room: Room, size: int, fanout: int) -> None:
    """The lists of ``size`` nodes that hold anything visible."""
    kinds = int16_array(graph.fields[NODE_KIND, 0], graph.n_nodes)
    ptr = PAIR_PTR
    for index in range(size):
        node = room.node[index]
        if node >= 0 and not _touched(graph, node):
            kind = kinds[node]
            for place in range(ways.ptr[kind], ways.ptr[kind + 1]):
                prefetch(graph.addresses[ways.row[place], ptr] + node * 8)
    at: Any = np.int64(0)
    for index in range(size):
        room.first[index] = at
        node = room.node[index]
        if node < 0 or room.filled[index] >= fanout:
            continue
        if _touched(graph, node):
            rows = graph.n_sides if account_at(graph, node) >= 0 else 2 * graph.n_sides
            for side in range(rows):
                row: Any = side
                span = visible_pairs(graph, row, node, room.horizon[index])
                if span.stop - span.start + span.more > 0:
                    room.lists[at, 0] = row
                    room.lists[at, 1] = span.start
                    room.lists[at, 2] = span.stop - span.start
                    room.lists[at, 3] = span.at
                    room.lists[at, 4] = span.more
                    at += 1
            continue
        whole = all_visible(graph, room.horizon[index])
        kind = kinds[node]
        for place in range(ways.ptr[kind], ways.ptr[kind + 1]):
            row = np.int64(ways.row[place])
            pointers = int64_array(graph.addresses[row, ptr], graph.n_nodes + 1)
            start = pointers[node]
            stop = pointers[node + 1]
            if stop > start:
                room.lists[at, 0] = row
                room.lists[at, 1] = start
                room.lists[at, 2] = stop - start
                room.lists[at, 3] = 0
                room.lists[at, 4] = 0
                at += 1
                if whole:
                    prefetch(graph.addresses[row, PAIR_NBR] + (stop - 1) * 4)
                    prefetch(graph.addresses[row, PAIR_NBR] + max(start, stop - fanout) * 4)
                else:
                    prefetch(graph.addresses[row, PAIR_POS] + (stop - 1) * 8)
                    prefetch(graph.addresses[row, PAIR_POS] + ((start + stop) >> 1) * 8)
                    prefetch(graph.addresses[row, PAIR_NBR] + start * 4)
    room.first[size] = at
    # What is not visible is left out; where everything is, positions are not read.
    kept = np.int64(0)
    for index in range(size):
        begin = room.first[index]
        end = room.first[index + 1]
        room.first[index] = kept
        if end == begin:
            continue
        horizon = room.horizon[index]
        cut = not _touched(graph, room.node[index]) and not all_visible(graph, horizon)
        for place in range(begin, end):
            row = room.lists[place, 0]
            start = room.lists[place, 1]
            count = room.lists[place, 2]
            if cut:
                count = _below(graph.addresses[row, PAIR_POS], start, start + count, horizon)
                if count == 0:
                    continue
                prefetch(graph.addresses[row, PAIR_NBR] + (start + count - 1) * 4)
            room.lists[kept, 0] = row
            room.lists[kept, 1] = start
            room.lists[kept, 2] = count
            room.lists[kept, 3] = room.lists[place, 3]
            room.lists[kept, 4] = room.lists[place, 4]
            kept += 1
    room.first[size] = kept


@compiled
def _where(graph: Graph, room: Room, place: int, index: int) -> Any:
    """Address of the neighbour at a place of a list."""
    before = room.lists[place, 2]
    if index < before:
        return graph.addresses[room.lists[place, 0], PAIR_NBR] + (room.lists[place, 1] + index) * 4
    return graph.fields[LIVE_NBR, 0] + (room.lists[place, 3] + index - before) * 4


@compiled
def entry_at(graph: Graph, room: Room, place: int, index: int) -> Any:
    """The neighbour at a place of a list."""
    return int32_array(_where(graph, room, place, index), 1)[0]


@compiled
def _when(graph: Graph, room: Room, place: int, index: int) -> Any:
    """The position at a place of a list."""
    before = room.lists[place, 2]
    if index < before:
        at = room.lists[place, 1] + index
        return int64_array(graph.addresses[room.lists[place, 0], PAIR_POS], at + 1)[at]
    at = room.lists[place, 3] + index - before
    return int64_array(graph.fields[LIVE_POS, 0], at + 1)[at]


@compiled
def _take_latest(
    graph: Graph, room: Room, begin: int, end: int, filled: int, fanout: int, nodes: Any, sides: Any
) -> None:
    """The most recent of all lists together; of equal positions the list of the lower row goes first."""
    for place in range(begin, end):
        size = room.lists[place, 2] + room.lists[place, 4]
        room.left[place - begin, 0] = size
        room.left[place - begin, 1] = _when(graph, room, place, size - 1)
    while filled < fanout:
        best: Any = np.int64(0)
        best_pos = np.int64(-1)
        for place in range(end - begin):
            if room.left[place, 1] > best_pos:
                best_pos = room.left[place, 1]
                best = place
        left = room.left[best, 0] - 1
        nodes[filled] = entry_at(graph, room, begin + best, left)
        sides[filled] = room.lists[begin + best, 0]
        filled += 1
        room.left[best, 0] = left
        room.left[best, 1] = _when(graph, room, begin + best, left - 1) if left > 0 else np.int64(-1)


@compiled
def _take_any(
    graph: Graph,
    room: Room,
    begin: int,
    end: int,
    total: int,
    filled: int,
    fanout: int,
    state: Any,
    entries: Any,
    sides: Any,
) -> None:
    """Distinct ones of all lists together, each set of them alike (Floyd; Bentley and Floyd, CACM 1987)."""
    wanted = fanout - filled
    seen = np.uint64(0)
    for step in range(wanted):
        last = total - wanted + step
        state = mix(state)
        # The upper half of the product is a draw from 0 to `last`, its bias below 2^-32 times the range.
        drawn: Any = np.int64(((state >> np.uint64(32)) * np.uint64(last + 1)) >> np.uint64(32))
        if total <= 64:
            if (seen >> np.uint64(drawn)) & np.uint64(1):
                drawn = last
            seen |= np.uint64(1) << np.uint64(drawn)
        else:
            for earlier in range(step):
                if room.picked[earlier] == drawn:
                    drawn = last
                    break
            room.picked[step] = drawn
        place = begin
        while True:
            size = room.lists[place, 2] + room.lists[place, 4]
            if drawn < size or place == end - 1:
                break
            drawn -= size
            place += 1
        entries[filled] = _where(graph, room, place, drawn)
        prefetch(entries[filled])
        sides[filled] = room.lists[place, 0]
        filled += 1


@compiled
def take(graph: Graph, room: Room, size: int, fanout: int, latest: bool, nodes: Any, sides: Any) -> None:
    """Up to ``fanout`` neighbours of each node of the room, over all its lists."""
    late = 0
    for index in range(size):
        at = index * fanout
        begin = room.first[index]
        end = room.first[index + 1]
        filled = room.filled[index]
        total = np.int64(0)
        for place in range(begin, end):
            total += room.lists[place, 2] + room.lists[place, 4]
        if total <= fanout - filled:
            for place in range(begin, end):
                row = room.lists[place, 0]
                for entry in range(room.lists[place, 2] + room.lists[place, 4] - 1, -1, -1):
                    nodes[at + filled] = entry_at(graph, room, place, entry)
                    sides[at + filled] = row
                    filled += 1
            for empty in range(at + filled, at + fanout):
                nodes[empty] = -1
                sides[empty] = -1
        elif latest and end - begin == 1:
            row = room.lists[begin, 0]
            for step in range(fanout - filled):
                nodes[at + filled + step] = entry_at(graph, room, begin, total - 1 - step)
                sides[at + filled + step] = row
        elif latest:
            _take_latest(
                graph, room, begin, end, filled, fanout, nodes[at : at + fanout], sides[at : at + fanout]
            )
        else:
            _take_any(
                graph, room, begin, end, total, filled, fanout, room.state[index],
                room.entry[at : at + fanout], sides[at : at + fanout],
            )  # fmt: skip
            room.late[late] = index
            late += 1
    for step in range(late):
        index = room.late[step]
        for place in range(index * fanout + room.filled[index], (index + 1) * fanout):
            nodes[place] = int32_array(room.entry[place], 1)[0]


@compiled
def draw_block(
    graph: Graph,
    ways: Ways,
    asked: Asked,
    extras: Extras,
    fanout1: int,
    fanout2: int,
    latest: bool,
    seed: int,
    begin: int,
    end: int,
    hop1: Any,
    hop1_side: Any,
    hop2: Any,
    hop2_side: Any,
    room: Room,
) -> None:
    """Draw around questions ``begin:end``, at most `BLOCK` of them, into arrays that start with the first."""
    size = end - begin
    ahead = graph.fields[NODE_KIND, 0]
    for index in range(size):
        q = begin + index
        node: Any = node_of(graph, asked.account[q])
        room.node[index] = node
        room.horizon[index] = asked.horizon[q]
        room.state[index] = mix(np.uint64(seed) * np.uint64(0x9E3779B97F4A7C15) + np.uint64(q) + np.uint64(1))
        if 0 <= node < graph.n_nodes:
            prefetch(ahead + node * 2)
        filled = 0
        for own in range(extras.ptr[q + 1] - 1, extras.ptr[q] - 1, -1):
            if filled < fanout1 and extras.new[own]:
                hop1[index * fanout1 + filled] = extras.node[own]
                hop1_side[index * fanout1 + filled] = extras.side[own]
                filled += 1
        room.filled[index] = filled
    find_lists(graph, ways, room, size, fanout1)
    take(graph, room, size, fanout1, latest, hop1, hop1_side)
    for index in range(size - 1, -1, -1):
        state = room.state[index]
        horizon = room.horizon[index]
        for one in range(fanout1 - 1, -1, -1):
            place = index * fanout1 + one
            node = np.int64(hop1[place])
            room.node[place] = node
            room.horizon[place] = horizon
            room.state[place] = mix(state + np.uint64(one) + np.uint64(1))
            room.filled[place] = 0
            if 0 <= node < graph.n_nodes:
                prefetch(ahead + node * 2)
    find_lists(graph, ways, room, size * fanout1, fanout2)
    take(graph, room, size * fanout1, fanout2, latest, hop2, hop2_side)


@compiled
def _draw_few(
    graph: Graph,
    ways: Ways,
    asked: Asked,
    extras: Extras,
    fanouts: Any,
    latest: bool,
    seed: int,
    from_seed: int,
    to_seed: int,
    hop1: Any,
    hop1_side: Any,
    hop2: Any,
    hop2_side: Any,
) -> None:
    """What lies around questions ``from_seed:to_seed``."""
    one, two = fanouts
    room = room_for(graph, one, two)
    for begin in range(from_seed, to_seed, BLOCK):
        end = min(begin + BLOCK, to_seed)
        draw_block(
            graph, ways, asked, extras, one, two, latest, seed, begin, end,
            hop1[begin * one : end * one], hop1_side[begin * one : end * one],
            hop2[begin * one * two : end * one * two], hop2_side[begin * one * two : end * one * two], room,
        )  # fmt: skip


@njit(cache=True, nogil=True, error_model="numpy", parallel=True)
def _draw_many(
    graph: Graph,
    ways: Ways,
    asked: Asked,
    extras: Extras,
    fanouts: Any,
    latest: bool,
    seed: int,
    from_seed: int,
    to_seed: int,
    hop1: Any,
    hop1_side: Any,
    hop2: Any,
    hop2_side: Any,
) -> None:
    """The same over threads."""
    for part in prange((to_seed - from_seed + PART - 1) // PART):
        begin = from_seed + part * PART
        _draw_few(
            graph, ways, asked, extras, fanouts, latest, seed, begin, min(begin + PART, to_seed),
            hop1, hop1_side, hop2, hop2_side,
        )  # fmt: skip


def draw(
    source: Source,
    queries: Queries,
    *,
    fanouts: tuple[int, int],
    latest: bool,
    seed: int = 0,
    spread: bool = True,
) -> Drawn:
    """Draw two hops around accounts, each as of its own horizon.

    Args:
        source: The graph.
        queries: ``B`` questions; only entries below each one's horizon are drawn, at both hops.
        fanouts: Neighbours at the first and at the second hop.
        latest: The most recent neighbours (for scoring: no chance in it) or random distinct ones.
        seed: Of the random draws; the same seed gives the same sample with any number of threads.
        spread: Over numba's threads; False where several threads of the caller's draw at a time.

    Returns:
        The nodes and how they were met.
    """
    size = len(queries)
    one, two = fanouts
    found = Drawn(
        np.empty(size * one, np.int32),
        np.empty(size * one, np.int16),
        np.empty(size * one * two, np.int32),
        np.empty(size * one * two, np.int16),
    )
    kernel = _draw_many if spread and size >= FEW else _draw_few
    kernel(
        graph_of(source),
        ways_of(source),
        asked_of(queries),
        extras_of(source, queries),
        fanouts,
        latest,
        seed,
        0,
        size,
        found.hop1,
        found.hop1_side,
        found.hop2,
        found.hop2_side,
    )
    return found
