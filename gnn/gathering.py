"""What drawn nodes show: compiled, side by side or summed up to messages as it is read."""

from __future__ import annotations

from typing import Any, Final, NamedTuple

import numpy as np
from numba import njit, prange

from features.profile import write_profile
from features.view import float32_array, int32_array
from features.visibility import (
    NODE_ACCOUNT,
    NODE_KIND,
    USERS_NOW,
    Asked,
    Extras,
    Graph,
    account_at,
    attributes_of,
    compiled,
    kind_at,
    node_of,
    users_of,
)
from gnn.drawing import BLOCK, PART, Ways, draw_block, room_for
from gnn.prefetch import prefetch

KIND_SLOTS: Final = 8
"""Places of a node's inputs that say of which kind it is."""
# Nodes whose inputs are asked for ahead.
_AHEAD: Final = 16
# Bytes of a cache line.
_LINE: Final = 64
# Standardised values beyond this say no more than "far out".
_CLIP: Final = 4.0


class _Memo(NamedTuple):
    """What nodes show that were met already around one question: an open hash table.

    Attributes:
        key: ``int64[2^n]``, number of the question and node of each place.
        slot: ``int32[2^n]``, row of ``x``.
        x: ``float32[1 + f1 + f1 f2, D]``.
        where: ``int64[n (f1 + f1 f2)]``, addresses of the rows that a block of ``n`` questions reads.
    """

    key: Any
    slot: Any
    x: Any
    where: Any


@compiled
def _memo_for(most: int, width: int) -> _Memo:
    size = 64
    while size < 2 * most:
        size *= 2
    return _Memo(
        np.zeros(size, np.int64),
        np.zeros(size, np.int32),
        np.empty((most + 1, width), np.float32),
        np.empty(BLOCK * most, np.int64),
    )


@compiled
def describe(
    graph: Graph, node: int, horizon: int, table: Any, extras: Extras, first: int, last: int, x: Any
) -> None:
    """Inputs of one neighbour: its profile if it is an account, else its kind; and how common it is."""
    account = account_at(graph, node) if node >= 0 else np.int64(-1)
    if account >= 0 and len(table) > 0:
        x[:] = table[account]
        return
    width = len(x) - 2 - KIND_SLOTS
    for index in range(len(x)):
        x[index] = 0.0
    x[width] = 1.0
    x[width + 1] = np.log2(1.0 + users_of(graph, node, horizon, extras, first, last)) / 4.0
    if node < 0:
        return
    x[width + 2 + kind_at(graph, node) % KIND_SLOTS] = 1.0
    if account >= 0:
        attributes = attributes_of(graph, account)
        write_profile(graph, node, attributes, horizon, extras, first, last, False, x[:width])


@compiled
def _described(
    graph: Graph,
    node: int,
    q: int,
    horizon: int,
    table: Any,
    extras: Extras,
    first: int,
    last: int,
    memo: _Memo,
    n_known: int,
) -> Any:
    """Row of the memo in which a node's inputs stand, and the number of rows that are taken.

    Around one question the same nodes are met again and again, and what they show is the same each time.
    """
    mask = len(memo.key) - 1
    key = (np.int64(q) + 1) * np.int64(1 << 32) + node
    place = np.int64((np.uint64(key) * np.uint64(0x9E3779B97F4A7C15)) >> np.uint64(32)) & mask
    stamp = np.int64(q) + 1
    while (memo.key[place] >> np.int64(32)) == stamp:
        if memo.key[place] == key:
            return np.int64(memo.slot[place]), n_known
        place = (place + 1) & mask
    describe(graph, node, horizon, table, extras, first, last, memo.x[n_known])
    memo.key[place] = key
    memo.slot[place] = n_known
    return np.int64(n_known), n_known + 1


@compiled
def _write_seed(graph: Graph, asked: Asked, extras: Extras, table: Any, q: int, x: Any) -> None:
    """Inputs of the account that is asked about."""
    width = len(x) - 2 - KIND_SLOTS
    account = asked.account[q]
    attributes = asked.attributes[q]
    for index in range(width, len(x)):
        x[index] = 0.0
    x[width] = 1.0
    x[width + 2] = 1.0
    known = len(table) > 0 and 0 <= account < len(table) and extras.ptr[q] == extras.ptr[q + 1]
    if known:
        own = attributes_of(graph, account)
        for index in range(len(own)):
            same = own[index] == attributes[index] or (np.isnan(own[index]) and np.isnan(attributes[index]))
            known = known and same
    if known:
        x[:width] = table[account, :width]
        return
    first, last = extras.ptr[q], extras.ptr[q + 1]
    node: Any = node_of(graph, account)
    write_profile(graph, node, attributes, asked.horizon[q], extras, first, last, True, x[:width])


@compiled
def _sample_block(
    graph: Graph,
    ways: Ways,
    asked: Asked,
    extras: Extras,
    table: Any,
    fanouts: Any,
    latest: bool,
    seed: int,
    begin: int,
    end: int,
    seed_x: Any,
    hop1_x: Any,
    hop2_x: Any,
    hop1_side: Any,
    hop2_side: Any,
    hop1: Any,
    hop2: Any,
    room: Any,
    memo: _Memo,
) -> None:
    one, two = fanouts
    side1 = hop1_side[begin * one : end * one]
    side2 = hop2_side[begin * one * two : end * one * two]
    draw_block(graph, ways, asked, extras, one, two, latest, seed, begin, end, hop1, side1, hop2, side2, room)
    size = end - begin
    if len(table) > 0:
        known = _known_of(graph, table)
        for place in range(size * one * two):
            _ask(known, hop2, place)
            _copy_shared(
                graph, asked, extras, table, known, begin + place // (one * two), np.int64(hop2[place]),
                side2[place], hop2_x[begin * one * two + place],
            )  # fmt: skip
        for place in range(size * one):
            _ask(known, hop1, place)
            _copy_shared(
                graph, asked, extras, table, known, begin + place // one, np.int64(hop1[place]),
                side1[place], hop1_x[begin * one + place],
            )  # fmt: skip
        for index in range(size):
            _write_seed(graph, asked, extras, table, begin + index, seed_x[begin + index])
        return
    for index in range(size):
        q = begin + index
        horizon, first, last = asked.horizon[q], extras.ptr[q], extras.ptr[q + 1]
        _write_seed(graph, asked, extras, table, q, seed_x[q])
        n_known = 0
        for place in range(index * one, (index + 1) * one):
            hop1_x[begin * one + place] = 0.0
            if side1[place] >= 0:
                at, n_known = _described(
                    graph, np.int64(hop1[place]), q, horizon, table, extras, first, last, memo, n_known
                )
                hop1_x[begin * one + place] = memo.x[at]
        for place in range(index * one * two, (index + 1) * one * two):
            hop2_x[begin * one * two + place] = 0.0
            if side2[place] >= 0:
                at, n_known = _described(
                    graph, np.int64(hop2[place]), q, horizon, table, extras, first, last, memo, n_known
                )
                hop2_x[begin * one * two + place] = memo.x[at]


class _Known(NamedTuple):
    """Where the things are that are read of each node, as plain numbers: nothing to count references of.

    Attributes:
        n_nodes: Nodes of the snapshot.
        account: Address of the account of each node.
        kind: Of its kind.
        users: Of how many accounts touch it.
        n_users: Nodes of which that is known.
        rows: Of what the accounts show.
        n_rows: Accounts of which that is known; 0: of none.
        width: Width of a row.
    """

    n_nodes: Any
    account: Any
    kind: Any
    users: Any
    n_users: Any
    rows: Any
    n_rows: Any
    width: Any


@compiled
def _known_of(graph: Graph, table: Any) -> _Known:
    fields = graph.fields
    return _Known(
        np.int64(graph.n_nodes),
        fields[NODE_ACCOUNT, 0],
        fields[NODE_KIND, 0],
        fields[USERS_NOW, 0],
        fields[USERS_NOW, 1],
        np.int64(table.ctypes.data),
        np.int64(len(table)),
        np.int64(table.shape[1]),
    )


@compiled
def _account_of(known: _Known, node: int) -> Any:
    """Account of a node of which a row is known, else -1."""
    if node < 0 or node >= known.n_nodes:
        return np.int64(-1)
    account = np.int64(int32_array(known.account + node * 4, 1)[0])
    return account if account < known.n_rows else np.int64(-1)


@compiled
def _row_of(known: _Known, account: int) -> Any:
    """What an account shows."""
    return float32_array(known.rows + account * known.width * 4, known.width)


@compiled
def _ask(known: _Known, nodes: Any, place: int) -> None:
    """Ask ahead for who stands at a far place, and for what the one at a near place shows."""
    far = place + 2 * _AHEAD
    if far < len(nodes):
        prefetch(known.account + max(np.int64(nodes[far]), np.int64(0)) * 4)
    near = place + _AHEAD
    if near < len(nodes):
        node = np.int64(nodes[near])
        account = _account_of(known, node)
        if account >= 0:
            start = known.rows + account * known.width * 4
            for line in range(start, start + known.width * 4, _LINE):
                prefetch(line)
        elif node >= 0:
            prefetch(known.kind + node * 2)
            prefetch(known.users + node * 4)


@compiled
def _copy_shared(
    graph: Graph,
    asked: Asked,
    extras: Extras,
    table: Any,
    known: _Known,
    q: int,
    node: int,
    side: int,
    x: Any,
) -> None:
    """Inputs of one neighbour where what accounts show is known."""
    if side < 0:
        for index in range(known.width):
            x[index] = 0.0
        return
    account = _account_of(known, node)
    if account >= 0:
        row = _row_of(known, account)
        for index in range(known.width):
            x[index] = row[index]
    else:
        describe(graph, node, asked.horizon[q], table, extras, extras.ptr[q], extras.ptr[q + 1], x)


@compiled
def _clipped(value: float) -> Any:
    # Written so that a loop of it becomes vector instructions.
    raised = -_CLIP if value < -_CLIP else value
    return _CLIP if raised > _CLIP else raised


@compiled
def _add_row(x: Any, total: Any) -> None:
    for index in range(len(total)):
        total[index] += x[index]


@compiled
def finish_message(mean: Any, scale: Any, node: Any, total: Any, count: int, out: Any) -> None:
    """Write what one node of hop 1 sends: its own inputs and the mean of its neighbours', standardised.

    Args:
        mean: ``float32[D]``.
        scale: ``float32[D]``.
        node: ``float32[D]``, the node's inputs.
        total: ``float64[D]``, the sum of its neighbours'.
        count: Number of its neighbours.
        out: ``float32[2 D]``.
    """
    width = len(mean)
    for index in range(width):
        out[index] = _clipped((np.float64(node[index]) - mean[index]) / scale[index])
    if count > 0:
        for index in range(width):
            out[width + index] = _clipped((total[index] / count - mean[index]) / scale[index])
    else:
        out[width:] = 0.0


@compiled
def _gather_block(
    graph: Graph,
    ways: Ways,
    asked: Asked,
    extras: Extras,
    table: Any,
    mean: Any,
    scale: Any,
    fanouts: Any,
    latest: bool,
    seed: int,
    begin: int,
    end: int,
    seed_x: Any,
    messages: Any,
    side1: Any,
    hop1: Any,
    hop2: Any,
    side2: Any,
    total: Any,
    room: Any,
    memo: _Memo,
) -> None:
    one, two = fanouts
    draw_block(graph, ways, asked, extras, one, two, latest, seed, begin, end, hop1, side1, hop2, side2, room)
    if len(table) > 0:
        _sum_shared(
            graph, asked, extras, table, mean, scale, fanouts, begin, end, messages,
            side1, hop1, hop2, side2, total, memo,
        )  # fmt: skip
    for index in range(end - begin):
        q = begin + index
        if len(seed_x) > 0:
            _write_seed(graph, asked, extras, table, q, seed_x[q])
        if len(table) > 0:
            continue
        horizon, first, last = asked.horizon[q], extras.ptr[q], extras.ptr[q + 1]
        n_known = 0
        for place in range(index * one, (index + 1) * one):
            out = messages[begin * one + place]
            if side1[place] < 0:
                out[:] = 0.0
                continue
            own, n_known = _described(
                graph, np.int64(hop1[place]), q, horizon, table, extras, first, last, memo, n_known
            )
            total[:] = 0.0
            count = 0
            for near in range(place * two, (place + 1) * two):
                if side2[near] >= 0:
                    count += 1
                    at, n_known = _described(
                        graph, np.int64(hop2[near]), q, horizon, table, extras, first, last, memo, n_known
                    )
                    _add_row(memo.x[at], total)
            finish_message(mean, scale, memo.x[own], total, count, out)


@compiled
def _find_rows(
    known: _Known, count: int, fanout: int, hop1: Any, side1: Any, hop2: Any, side2: Any, where: Any
) -> Any:
    """Where the rows stand that a block reads, in the order in which it reads them; 0 for those of entities.

    Of each node of hop 1 that is there its own comes first, then those of its neighbours; returns how many.
    """
    read = 0
    for place in range(count):
        far = place + _AHEAD
        if far < count and side1[far] >= 0:
            prefetch(known.account + max(np.int64(hop1[far]), np.int64(0)) * 4)
        if side1[place] < 0:
            continue
        account = _account_of(known, np.int64(hop1[place]))
        where[read] = known.rows + account * known.width * 4 if account >= 0 else 0
        read += 1
        begin = place * fanout
        for near in range(begin, begin + fanout):
            far = near + 2 * _AHEAD
            if far < len(hop2) and side2[far] >= 0:
                prefetch(known.account + np.int64(hop2[far]) * 4)
            if side2[near] >= 0:
                account = _account_of(known, np.int64(hop2[near]))
                where[read] = known.rows + account * known.width * 4 if account >= 0 else 0
                read += 1
    return read


@compiled
def _ask_for(address: int, width: int) -> None:
    """Ask ahead for a row."""
    if address > 0:
        for line in range(address, address + width * 4, _LINE):
            prefetch(line)


@compiled
def _sum_shared(
    graph: Graph,
    asked: Asked,
    extras: Extras,
    table: Any,
    mean: Any,
    scale: Any,
    fanouts: Any,
    begin: int,
    end: int,
    messages: Any,
    side1: Any,
    hop1: Any,
    hop2: Any,
    side2: Any,
    total: Any,
    memo: _Memo,
) -> None:
    """Messages of a block where what accounts show is known."""
    one, two = fanouts
    known = _known_of(graph, table)
    other = memo.x[0]
    where = memo.where
    width = known.width
    read = _find_rows(known, (end - begin) * one, two, hop1, side1, hop2, side2, where)
    for at in range(min(_AHEAD, read)):
        _ask_for(where[at], width)
    at = 0
    for place in range((end - begin) * one):
        q = begin + place // one
        out = messages[begin * one + place]
        if side1[place] < 0:
            for index in range(2 * width):
                out[index] = 0.0
            continue
        own = where[at]
        at += 1
        if at + _AHEAD <= read:
            _ask_for(where[at + _AHEAD - 1], width)
        for index in range(width):
            total[index] = 0.0
        count = 0
        for near in range(place * two, (place + 1) * two):
            if side2[near] < 0:
                continue
            address = where[at]
            at += 1
            if at + _AHEAD <= read:
                _ask_for(where[at + _AHEAD - 1], width)
            count += 1
            if address > 0:
                _add_row(float32_array(address, width), total)
            else:
                node = np.int64(hop2[near])
                describe(
                    graph, node, asked.horizon[q], table, extras, extras.ptr[q], extras.ptr[q + 1], other
                )
                _add_row(other, total)
        if own > 0:
            finish_message(mean, scale, float32_array(own, width), total, count, out)
        else:
            node = np.int64(hop1[place])
            describe(graph, node, asked.horizon[q], table, extras, extras.ptr[q], extras.ptr[q + 1], other)
            finish_message(mean, scale, other, total, count, out)


@compiled
def sample_few(
    graph: Graph,
    ways: Ways,
    asked: Asked,
    extras: Extras,
    table: Any,
    fanouts: Any,
    latest: bool,
    seed: int,
    from_seed: int,
    to_seed: int,
    seed_x: Any,
    hop1_x: Any,
    hop2_x: Any,
    hop1_side: Any,
    hop2_side: Any,
) -> None:
    """Inputs of all nodes around questions ``from_seed:to_seed``, side by side."""
    one, two = fanouts
    room = room_for(graph, one, two)
    memo = _memo_for(1 + one * (1 + two), seed_x.shape[1])
    hop1 = np.empty(BLOCK * one, np.int32)
    hop2 = np.empty(BLOCK * one * two, np.int32)
    for begin in range(from_seed, to_seed, BLOCK):
        _sample_block(
            graph, ways, asked, extras, table, fanouts, latest, seed, begin, min(begin + BLOCK, to_seed),
            seed_x, hop1_x, hop2_x, hop1_side, hop2_side, hop1, hop2, room, memo,
        )  # fmt: skip


@njit(cache=True, nogil=True, error_model="numpy", parallel=True)
def sample_many(
    graph: Graph,
    ways: Ways,
    asked: Asked,
    extras: Extras,
    table: Any,
    fanouts: Any,
    latest: bool,
    seed: int,
    from_seed: int,
    to_seed: int,
    seed_x: Any,
    hop1_x: Any,
    hop2_x: Any,
    hop1_side: Any,
    hop2_side: Any,
) -> None:
    """The same over threads."""
    for part in prange((to_seed - from_seed + PART - 1) // PART):
        begin = from_seed + part * PART
        sample_few(
            graph, ways, asked, extras, table, fanouts, latest, seed, begin, min(begin + PART, to_seed),
            seed_x, hop1_x, hop2_x, hop1_side, hop2_side,
        )  # fmt: skip


@compiled
def gather_few(
    graph: Graph,
    ways: Ways,
    asked: Asked,
    extras: Extras,
    table: Any,
    mean: Any,
    scale: Any,
    fanouts: Any,
    latest: bool,
    seed: int,
    from_seed: int,
    to_seed: int,
    seed_x: Any,
    messages: Any,
    side: Any,
) -> None:
    """Messages around questions ``from_seed:to_seed``."""
    one, two = fanouts
    room = room_for(graph, one, two)
    memo = _memo_for(1 + one * (1 + two), len(mean))
    hop1 = np.empty(BLOCK * one, np.int32)
    hop2 = np.empty(BLOCK * one * two, np.int32)
    side2 = np.empty(BLOCK * one * two, np.int16)
    total = np.empty(len(mean), np.float64)
    for begin in range(from_seed, to_seed, BLOCK):
        end = min(begin + BLOCK, to_seed)
        _gather_block(
            graph, ways, asked, extras, table, mean, scale, fanouts, latest, seed, begin, end,
            seed_x, messages, side[begin * one : end * one], hop1, hop2, side2, total, room, memo,
        )  # fmt: skip


@njit(cache=True, nogil=True, error_model="numpy", parallel=True)
def gather_many(
    graph: Graph,
    ways: Ways,
    asked: Asked,
    extras: Extras,
    table: Any,
    mean: Any,
    scale: Any,
    fanouts: Any,
    latest: bool,
    seed: int,
    from_seed: int,
    to_seed: int,
    seed_x: Any,
    messages: Any,
    side: Any,
) -> None:
    """The same over threads."""
    for part in prange((to_seed - from_seed + PART - 1) // PART):
        begin = from_seed + part * PART
        gather_few(
            graph, ways, asked, extras, table, mean, scale, fanouts, latest, seed,
            begin, min(begin + PART, to_seed), seed_x, messages, side,
        )  # fmt: skip


@njit(cache=True, nogil=True, error_model="numpy", parallel=True)
def describe_accounts(graph: Graph, start: int, horizon: int, extras: Extras, out: Any) -> None:
    """What the accounts from ``start`` on show at a horizon."""
    nobody = np.empty((0, out.shape[1]), np.float32)
    for index in prange(len(out)):
        describe(graph, node_of(graph, start + index), horizon, nobody, extras, 0, 0, out[index])
