"""The compiled writer of the live part of a graph: lists that grow, one entry at a time."""

from __future__ import annotations

from typing import Any, Final, NamedTuple

import numpy as np

from features.view import TABLE, float32_array, int32_array, int64_array, uint8_array
from features.visibility import (
    EVENTS,
    LIVE_AT,
    LIVE_KEYS,
    LIVE_LENGTH,
    LIVE_NBR,
    LIVE_PLACES,
    LIVE_POS,
    LIVE_ROOM,
    LIVE_SIZE,
    LIVE_TOUCHED,
    LIVE_VALUE,
    N_ENTRIES,
    N_LISTS,
    N_SIZES,
    PAIRS,
    USERS_NOW,
    Graph,
    account_at,
    compiled,
    knows,
    list_key,
    slot_of,
)

# Entries that a list gets room for when it is made; most identifiers are used once or twice.
_FIRST_ROOM: Final = 2
_STEPS: Final = 8


class Edges(NamedTuple):
    """The edges of one event.

    Attributes:
        row: ``int32[n]``, row of the addresses in which the source's counterparts stand.
        src: ``int64[n]`` nodes.
        dst: ``int64[n]`` nodes.
        value: ``float64[n]``.
        directed: ``bool[n]``.
    """

    row: Any
    src: Any
    dst: Any
    value: Any
    directed: Any


@compiled
def new_between(graph: Graph, edges: Edges, horizon: int, pair: Any, forth: Any, back: Any) -> None:
    """What is new about each edge of an event, those before it in the event included.

    Args:
        graph: The graph before the event.
        edges: ``n`` edges.
        horizon: The event's position.
        pair: ``bool[n]``, set where the two ends meet for the first time through this relation.
        forth: ``bool[n]``, set where the source, an account, touches the target for the first time.
        back: ``bool[n]``, set where the target, an account, touches the source for the first time.
    """
    touches = 2 * graph.n_sides + 1
    for index in range(len(edges.src)):
        src = np.int64(edges.src[index])
        dst = np.int64(edges.dst[index])
        row = np.int64(edges.row[index])
        met = False
        has_touched = False
        was_touched = False
        for earlier in range(index):
            same = edges.src[earlier] == src and edges.dst[earlier] == dst
            turned = edges.src[earlier] == dst and edges.dst[earlier] == src
            met |= edges.row[earlier] == row and (same or (turned and not edges.directed[index]))
            has_touched |= same or turned
            was_touched |= same or turned
        pair[index] = not met and not knows(graph, row, graph.n_sides + row, src, dst, horizon)
        forth[index] = (
            account_at(graph, src) >= 0
            and not has_touched
            and not knows(graph, touches, touches - 1, src, dst, horizon)
        )
        back[index] = (
            account_at(graph, dst) >= 0
            and src != dst
            and not was_touched
            and not knows(graph, touches, touches - 1, dst, src, horizon)
        )


@compiled
def append_edges(
    graph: Graph,
    edges: Edges,
    place: int,
    pair: Any,
    forth: Any,
    back: Any,
    first_step: int,
) -> int:
    """Append the edges of one event.

    Args:
        graph: The graph, with a live part.
        edges: ``n`` edges.
        place: The event's position.
        pair: As `new_between` set it.
        forth: Likewise.
        back: Likewise.
        first_step: 0, or where an earlier call stopped for want of room.

    Returns:
        The step at which room ran out, -1 when all is done.
    """
    by_node = 2 * graph.n_sides
    by_account = by_node + 1
    users = int32_array(graph.fields[USERS_NOW, 0], graph.fields[USERS_NOW, 1])
    for step in range(first_step, _STEPS * len(edges.src)):
        index = step // _STEPS
        which = step % _STEPS
        src = np.int64(edges.src[index])
        dst = np.int64(edges.dst[index])
        row = np.int64(edges.row[index])
        value = edges.value[index]
        # An undirected loop stands once, as in the snapshot.
        both = edges.directed[index] or src != dst
        done = True
        if which == 0:
            done = _append(graph, src, graph.addresses[row, TABLE], EVENTS, dst, place, value)
        elif which == 1 and both:
            back_row = graph.addresses[graph.n_sides + row, TABLE]
            done = _append(graph, dst, back_row, EVENTS, src, place, value)
        elif which == 2 and pair[index]:
            done = _append(graph, src, graph.addresses[row, TABLE], PAIRS, dst, place, value)
        elif which == 3 and pair[index] and both:
            back_row = graph.addresses[graph.n_sides + row, TABLE]
            done = _append(graph, dst, back_row, PAIRS, src, place, value)
        elif which == 4 and forth[index]:
            done = _append(graph, src, graph.addresses[by_account, TABLE], PAIRS, dst, place, 1.0)
        elif which == 5 and forth[index]:
            done = _append(graph, dst, graph.addresses[by_node, TABLE], PAIRS, src, place, 1.0)
            users[dst] += done
        elif which == 6 and back[index]:
            done = _append(graph, dst, graph.addresses[by_account, TABLE], PAIRS, src, place, 1.0)
        elif which == 7 and back[index]:
            done = _append(graph, src, graph.addresses[by_node, TABLE], PAIRS, dst, place, 1.0)
            users[src] += done
        if not done:
            return step
    return -1


@compiled
def _append(graph: Graph, node: int, table: int, which: int, nbr: int, place: int, value: float) -> bool:
    """Append one entry to a list; False, with nothing done, where there is no room for it."""
    fields = graph.fields
    size = int64_array(fields[LIVE_SIZE, 0], N_SIZES)
    keys = int64_array(fields[LIVE_KEYS, 0], fields[LIVE_KEYS, 1])
    places = int32_array(fields[LIVE_PLACES, 0], fields[LIVE_PLACES, 1])
    at = int64_array(fields[LIVE_AT, 0], fields[LIVE_AT, 1])
    length = int32_array(fields[LIVE_LENGTH, 0], fields[LIVE_LENGTH, 1])
    room = int32_array(fields[LIVE_ROOM, 0], fields[LIVE_ROOM, 1])
    nbrs = int32_array(fields[LIVE_NBR, 0], fields[LIVE_NBR, 1])
    positions = int64_array(fields[LIVE_POS, 0], fields[LIVE_POS, 1])
    values = float32_array(fields[LIVE_VALUE, 0], fields[LIVE_VALUE, 1])
    key = list_key(graph.n_tables, node, table, which)
    slot = slot_of(keys, key)
    entries = size[N_ENTRIES]
    number = size[N_LISTS]
    if keys[slot] != 0:
        number = np.int64(places[slot])
        if length[number] == room[number]:
            grown = 2 * np.int64(room[number])
            if entries + grown > len(nbrs):
                return False
            start = at[number]
            for index in range(length[number]):
                nbrs[entries + index] = nbrs[start + index]
                positions[entries + index] = positions[start + index]
                values[entries + index] = values[start + index]
            at[number] = entries
            room[number] = grown
            size[N_ENTRIES] = entries + grown
    else:
        if entries + _FIRST_ROOM > len(nbrs) or number >= len(at) or 2 * (number + 1) > len(keys):
            return False
        keys[slot] = key
        places[slot] = number
        at[number] = entries
        length[number] = 0
        room[number] = _FIRST_ROOM
        uint8_array(fields[LIVE_TOUCHED, 0], fields[LIVE_TOUCHED, 1])[node] = 1
        size[N_LISTS] = number + 1
        size[N_ENTRIES] = entries + _FIRST_ROOM
    end = at[number] + length[number]
    nbrs[end] = nbr
    positions[end] = place
    values[end] = value
    length[number] += 1
    return True


@compiled
def rehash(keys: Any, places: Any, new_keys: Any, new_places: Any) -> None:
    """Enter all keys of a hash table into a larger one.

    Args:
        keys: ``int64[h]``.
        places: ``int32[h]``.
        new_keys: ``int64[H]`` of zeros, ``H`` a power of two above ``h``.
        new_places: ``int32[H]``.
    """
    for index in range(len(keys)):
        if keys[index] != 0:
            slot = slot_of(new_keys, keys[index])
            new_keys[slot] = keys[index]
            new_places[slot] = places[index]
