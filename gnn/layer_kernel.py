"""One layer of GraphSAGE over many nodes: each node's list is read once, from the mapped snapshot."""

from __future__ import annotations

from typing import Any, Final, NamedTuple

import numpy as np

from features.view import float32_array, int32_array, int64_array
from features.visibility import (
    NODE_ACCOUNT,
    Extras,
    Graph,
    account_at,
    compiled,
    node_of,
)
from gnn.drawing import Room, Ways, entry_at, find_lists, room_for, take
from gnn.gathering import describe, finish_message
from gnn.prefetch import prefetch

# Neighbours whose rows are asked for ahead.
_AHEAD: Final = 12
_LINE: Final = 64
# As PyTorch's LayerNorm.
_EPSILON: Final = 1e-5


class Rows(NamedTuple):
    """A table in parts of equal size, the last one shorter, each in memory or mapped from a file.

    Attributes:
        at: Address of an ``int64[parts]`` that holds the address of each. Plain numbers alone: there is then
            nothing to count references of in the innermost loops.
        shift: A part has ``2^shift`` rows.
        width: Values of a row, float32.
    """

    at: Any
    shift: int
    width: int


@compiled
def address_of(rows: Rows, index: int) -> Any:
    """Address of a row."""
    part = index >> rows.shift
    return int64_array(rows.at, part + 1)[part] + (index - (part << rows.shift)) * (rows.width * 4)


@compiled
def _ask(address: int, width: int) -> None:
    """Ask ahead for a row."""
    for line in range(address, address + width * 4, _LINE):
        prefetch(line)


@compiled
def _neighbours(
    graph: Graph,
    ways: Ways,
    room: Room,
    size: int,
    fanout: int,
    nodes: Any,
    sides: Any,
    first: Any,
) -> None:
    """The latest neighbours of the room's nodes; those of node ``i`` stand at ``first[i]:first[i + 1]``."""
    find_lists(graph, ways, room, size, fanout)
    take(graph, room, size, fanout, True, nodes, sides)
    at = 0
    for index in range(size):
        first[index] = at
        for place in range(index * fanout, (index + 1) * fanout):
            if sides[place] >= 0:
                nodes[at] = nodes[place]
                sides[at] = sides[place]
                at += 1
    first[size] = at


@compiled
def _read_list(graph: Graph, room: Room, index: int, done: int, nodes: Any, sides: Any) -> Any:
    """Up to ``len(nodes)`` further neighbours of one of the room's nodes, from the ``done``-th on."""
    count = 0
    skipped = done
    for place in range(room.first[index], room.first[index + 1]):
        size = room.lists[place, 2] + room.lists[place, 4]
        if skipped >= size:
            skipped -= size
            continue
        for entry in range(skipped, size):
            if count == len(nodes):
                return count
            nodes[count] = entry_at(graph, room, place, entry)
            sides[count] = room.lists[place, 0]
            count += 1
        skipped = 0
    return count


@compiled
def _places(accounts_at: int, n_nodes: int, shown: Rows, nodes: Any, count: int, places: Any) -> None:
    """Where the rows of nodes stand that are accounts, 0 for others."""
    for place in range(count):
        if place + _AHEAD < count:
            ahead: Any = np.int64(nodes[place + _AHEAD])
            prefetch(accounts_at + ahead * 4)
        node: Any = np.int64(nodes[place])
        account: Any = np.int64(int32_array(accounts_at + node * 4, 1)[0]) if node < n_nodes else np.int64(-1)
        places[place] = address_of(shown, account) if account >= 0 else 0


@compiled
def _add_shown(
    graph: Graph,
    horizon: int,
    extras: Extras,
    nodes: Any,
    places: Any,
    begin: int,
    end: int,
    last: int,
    other: Any,
    total: Any,
) -> None:
    """Sum up what nodes ``begin:end`` show."""
    width = len(total)
    for place in range(begin, end):
        if place + _AHEAD < last and places[place + _AHEAD] > 0:
            _ask(places[place + _AHEAD], width)
        if places[place] > 0:
            row = float32_array(places[place], width)
            for index in range(width):
                total[index] += row[index]
        else:
            describe(graph, np.int64(nodes[place]), horizon, _nobody(width), extras, 0, 0, other)
            for index in range(width):
                total[index] += other[index]


@compiled
def _nobody(width: int) -> Any:
    return np.empty((0, width), np.float32)


@compiled
def first_part(
    graph: Graph,
    ways: Ways,
    shown: Rows,
    horizon: int,
    extras: Extras,
    mean: Any,
    scale: Any,
    fanout: int,
    full: bool,
    start: int,
    stop: int,
    messages: Any,
) -> None:
    """What nodes ``start:stop`` send: their own inputs and the mean of their neighbours', standardised."""
    width = len(mean)
    room = room_for(graph, fanout, 1)
    most = len(room.node)
    nodes = np.empty(most * fanout, np.int32)
    sides = np.empty(most * fanout, np.int16)
    places = np.empty(most * fanout, np.int64)
    first = np.empty(most + 1, np.int64)
    total = np.empty(width, np.float64)
    other = np.empty(width, np.float32)
    accounts_at = graph.fields[NODE_ACCOUNT, 0]
    n_nodes = graph.n_nodes
    for begin in range(start, stop, most):
        size = min(most, stop - begin)
        for index in range(size):
            room.node[index] = begin + index
            room.horizon[index] = horizon
            room.filled[index] = 0
        if full:
            find_lists(graph, ways, room, size, fanout)
        else:
            _neighbours(graph, ways, room, size, fanout, nodes, sides, first)
            _places(accounts_at, n_nodes, shown, nodes, first[size], places)
        for index in range(size):
            node = begin + index
            total[:] = 0.0
            count = 0
            if full:
                while True:
                    read = _read_list(graph, room, index, count, nodes, sides)
                    if read == 0:
                        break
                    _places(accounts_at, n_nodes, shown, nodes, read, places)
                    _add_shown(graph, horizon, extras, nodes, places, 0, read, read, other, total)
                    count += read
            else:
                count = first[index + 1] - first[index]
                _add_shown(
                    graph, horizon, extras, nodes, places, first[index], first[index + 1], first[size],
                    other, total,
                )  # fmt: skip
            account = account_at(graph, node)
            if account >= 0:
                row = float32_array(address_of(shown, account), width)
                finish_message(mean, scale, row, total, count, messages[node - start])
            else:
                describe(graph, node, horizon, _nobody(width), extras, 0, 0, other)
                finish_message(mean, scale, other, total, count, messages[node - start])


@compiled
def _add_sent(
    sent: Rows, typed: Any, nodes: Any, sides: Any, begin: int, end: int, last: int, total: Any
) -> None:
    """Sum up what nodes ``begin:end`` send, each through its side."""
    for place in range(begin, end):
        if place + _AHEAD < last:
            _ask(address_of(sent, np.int64(nodes[place + _AHEAD])), sent.width)
        row = float32_array(address_of(sent, np.int64(nodes[place])), sent.width)
        line = typed[sides[place]]
        for unit in range(len(total)):
            value = row[unit] + line[unit]
            total[unit] += value if value > 0.0 else np.float32(0.0)


@compiled
def second_part(
    graph: Graph,
    ways: Ways,
    sent: Rows,
    typed: Any,
    horizon: int,
    fanout: int,
    full: bool,
    accounts: Any,
    gathered: Any,
) -> None:
    """What accounts hear: of each member the mean of the messages, and the logarithm of their number."""
    members = gathered.shape[1]
    width = gathered.shape[2] - 1
    room = room_for(graph, fanout, 1)
    most = len(room.node)
    nodes = np.empty(most * fanout, np.int32)
    sides = np.empty(most * fanout, np.int16)
    first = np.empty(most + 1, np.int64)
    total = np.empty(members * width, np.float64)
    for begin in range(0, len(accounts), most):
        size = min(most, len(accounts) - begin)
        for index in range(size):
            room.node[index] = node_of(graph, accounts[begin + index])
            room.horizon[index] = horizon
            room.filled[index] = 0
        if full:
            find_lists(graph, ways, room, size, fanout)
        else:
            _neighbours(graph, ways, room, size, fanout, nodes, sides, first)
        for index in range(size):
            total[:] = 0.0
            count = 0
            if full:
                while True:
                    read = _read_list(graph, room, index, count, nodes, sides)
                    if read == 0:
                        break
                    _add_sent(sent, typed, nodes, sides, 0, read, read, total)
                    count += read
            else:
                count = first[index + 1] - first[index]
                _add_sent(sent, typed, nodes, sides, first[index], first[index + 1], first[size], total)
            for member in range(members):
                out = gathered[begin + index, member]
                for unit in range(width):
                    out[unit] = total[member * width + unit] / count if count > 0 else 0.0
                out[width] = np.log1p(count + 0.0)


@compiled
def normalise(x: Any, gain: Any, shift: Any, relu: bool) -> None:
    """Layer normalisation (Ba et al., 2016) of ``float32[B, M, H]`` in place, by member."""
    for row in range(x.shape[0]):
        for member in range(x.shape[1]):
            line = x[row, member]
            width = len(line)
            mean = np.float64(0.0)
            for unit in range(width):
                mean += line[unit]
            mean /= width
            spread = np.float64(0.0)
            for unit in range(width):
                spread += (line[unit] - mean) * (line[unit] - mean)
            factor = 1.0 / np.sqrt(spread / width + _EPSILON)
            for unit in range(width):
                value = (line[unit] - mean) * factor * gain[member, unit] + shift[member, unit]
                line[unit] = 0.0 if relu and value < 0.0 else value
