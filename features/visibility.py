"""What a question may see: a graph's arrays for compiled code, cut at a horizon.

A graph is a snapshot, mapped and never changed, and what has happened since, in arrays that only grow. Every
list of neighbours therefore has two parts, the snapshot's and the live one, and reads as one: all positions
of the second lie above all of the first. `Span` names what of a list is visible; `neighbour`, `position` and
their kin read it.
"""

from __future__ import annotations

from typing import Any, Final, NamedTuple

import numpy as np
from numba import njit

from features.view import (
    EVENT_POS,
    EVENT_PTR,
    EVENT_VALUE,
    PAIR_NBR,
    PAIR_POS,
    PAIR_PTR,
    float32_array,
    int32_array,
    int64_array,
)

NO_TIME: Final = -(2**63)
NO_HUB: Final = 2**63 - 1
HOUR_MS: Final = 3_600_000
DAY_MS: Final = 24 * HOUR_MS
WEEK_MS: Final = 7 * DAY_MS
MONTH_MS: Final = 30 * DAY_MS

# Places of `Graph.live_size`.
N_NEW_ACCOUNTS: Final = 0
N_NEW_NODES: Final = 1
N_LISTS: Final = 2
N_ENTRIES: Final = 3
N_SIZES: Final = 4
# Which of a node's two lists through a table: distinct counterparts, or all events.
PAIRS: Final = 0
EVENTS: Final = 1


class Graph(NamedTuple):
    """A snapshot's arrays and what has happened since, in the form that the compiled code takes.

    One flat tuple, because numba's parallel loops take no nested ones. For a snapshot alone all ``live_``
    arrays are empty.

    Attributes:
        addresses: See `features.view.GraphView`, as for all up to ``first_pos``.
        cut_key: ``int64[c]``, pairs of accounts that a person called not linked: the lower account times 2^32
            plus the higher, sorted.
        cut_since: ``int64[c]``, the cut holds at horizons above this position.
        cut_until: ``int64[c]``, and up to this one, where it was undone.
        cut_until_ms: ``int64[c]``, and before this time.
        live_size: ``int64[4]``: new accounts, new nodes, lists, entries.
        live_touched: ``uint8[N + n]``, 1 where a node has live lists.
        live_keys: ``int64[h]``, open addressing by node, table and kind of list; 0 is free.
        live_places: ``int32[h]``, the list of each key.
        live_at: ``int64[l]``, first entry of each list.
        live_length: ``int32[l]``, entries of each list.
        live_nbr: ``int32[e]``, the neighbour of each entry.
        live_pos: ``int64[e]``, its position.
        live_value: ``float32[e]``, its amount or count.
        live_node_account: ``int32[n]``, account of a new node or -1.
        live_node_kind: ``int16[n]``.
        live_account_node: ``int32[a]``, node of a new account.
        live_attributes: ``float64[a, k]``.
        live_first_seen_ms: ``int64[a]``.
        live_first_pos: ``int64[a]``.
        live_by_age: ``int32[a]``, new accounts ordered by first appearance, then position.
        live_time_ms: ``int64[p]``, when each position since the snapshot happened.
        live_known_ms: ``int64[p]``, when it became known.
    """

    addresses: Any
    tables: Any
    n_tables: int
    n_nodes: int
    n_sides: int
    account_side: Any
    node_account: Any
    node_kind: Any
    account_node: Any
    hub_since: Any
    known_ms: Any
    time_ms: Any
    attributes: Any
    is_category: Any
    by_age: Any
    age_rank: Any
    first_seen_ms: Any
    first_pos: Any
    cut_key: Any
    cut_since: Any
    cut_until: Any
    cut_until_ms: Any
    live_size: Any
    live_touched: Any
    live_keys: Any
    live_places: Any
    live_at: Any
    live_length: Any
    live_nbr: Any
    live_pos: Any
    live_value: Any
    live_node_account: Any
    live_node_kind: Any
    live_account_node: Any
    live_attributes: Any
    live_first_seen_ms: Any
    live_first_pos: Any
    live_by_age: Any
    live_time_ms: Any
    live_known_ms: Any


class Extras(NamedTuple):
    """The edges that the questions bring themselves; those of question ``q`` are ``ptr[q]:ptr[q + 1]``."""

    ptr: Any
    side: Any
    node: Any
    value: Any
    new: Any
    touch: Any


class Asked(NamedTuple):
    """The questions: one row each."""

    account: Any
    horizon: Any
    time_ms: Any
    first_seen_ms: Any
    attributes: Any


class Span(NamedTuple):
    """The visible part of a list: entries ``start:stop`` of the snapshot's, then ``more`` from ``at`` on."""

    start: Any
    stop: Any
    at: Any
    more: Any


def compiled(function: Any) -> Any:
    """Compile a function of one question, to be called by other compiled code too."""
    # numpy's error model: a division by zero is a NaN for the caller to see, not an exception without a row.
    return njit(cache=True, nogil=True, error_model="numpy")(function)


@compiled
def visible(positions: Any, start: int, stop: int, horizon: int) -> Any:
    """Index past the last entry of ``positions[start:stop]`` (ascending) that lies below the horizon."""
    # Nearly always all of it is visible: asked at the end of all that is known.
    if stop > start and positions[stop - 1] < horizon:
        return stop
    low = start
    high = stop
    while low < high:
        middle = (low + high) >> 1
        if positions[middle] < horizon:
            low = middle + 1
        else:
            high = middle
    return low


@compiled
def list_key(n_tables: int, node: int, table: int, which: int) -> Any:
    """Key of a live list."""
    return (np.int64(node) * n_tables + table) * 2 + which + 1


@compiled
def slot_of(keys: Any, key: int) -> Any:
    """Where a key stands in the hash table, or the free place where it would."""
    mask = len(keys) - 1
    # Fibonacci hashing (Knuth, The Art of Computer Programming 3, 6.4): neighbours in number end far apart.
    mixed = np.uint64(key) * np.uint64(0x9E3779B97F4A7C15)
    slot = np.int64(mixed >> np.uint64(20)) & mask
    while keys[slot] != 0 and keys[slot] != key:
        slot = (slot + 1) & mask
    return slot


@compiled
def live_list(graph: Graph, row: int, node: int, which: int) -> Any:
    """Number of the live list of a node through one row of the addresses, -1 if there is none."""
    if node >= len(graph.live_touched) or graph.live_touched[node] == 0:
        return np.int64(-1)
    slot = slot_of(graph.live_keys, list_key(graph.n_tables, node, graph.tables[row], which))
    return np.int64(graph.live_places[slot]) if graph.live_keys[slot] != 0 else np.int64(-1)


@compiled
def _span(graph: Graph, row: int, node: int, horizon: int, which: int) -> Any:
    start = np.int64(0)
    stop = np.int64(0)
    at = np.int64(0)
    more = np.int64(0)
    if node < 0:
        return Span(start, stop, at, more)
    if node < graph.n_nodes:
        pointers = int64_array(
            graph.addresses[row, PAIR_PTR if which == PAIRS else EVENT_PTR], graph.n_nodes + 1
        )
        start = pointers[node]
        end = pointers[node + 1]
        stop = end
        if end > start:
            column = PAIR_POS if which == PAIRS else EVENT_POS
            stop = visible(int64_array(graph.addresses[row, column], end), start, end, horizon)
        if stop < end:
            return Span(start, stop, at, more)
    place = live_list(graph, row, node, which)
    if place >= 0:
        at = graph.live_at[place]
        more = visible(graph.live_pos, at, at + graph.live_length[place], horizon) - at
    return Span(start, stop, at, more)


@compiled
def visible_pairs(graph: Graph, row: int, node: int, horizon: int) -> Any:
    """A node's distinct counterparts that are visible at the horizon, as a `Span`."""
    return _span(graph, row, node, horizon, PAIRS)


@compiled
def visible_events(graph: Graph, row: int, node: int, horizon: int) -> Any:
    """A node's events that are visible at the horizon, as a `Span`."""
    return _span(graph, row, node, horizon, EVENTS)


@compiled
def size_of(span: Span) -> Any:
    """Number of entries of a span."""
    return span.stop - span.start + span.more


@compiled
def neighbour(graph: Graph, row: int, span: Span, index: int) -> Any:
    """The counterpart at a place of a span of distinct counterparts."""
    before = span.stop - span.start
    if index < before:
        return np.int64(int32_array(graph.addresses[row, PAIR_NBR], span.stop)[span.start + index])
    return np.int64(graph.live_nbr[span.at + index - before])


@compiled
def position(graph: Graph, row: int, span: Span, index: int) -> Any:
    """The position at a place of a span of distinct counterparts."""
    before = span.stop - span.start
    if index < before:
        return int64_array(graph.addresses[row, PAIR_POS], span.stop)[span.start + index]
    return graph.live_pos[span.at + index - before]


@compiled
def event_value(graph: Graph, row: int, span: Span, index: int) -> Any:
    """The amount or count at a place of a span of events."""
    before = span.stop - span.start
    if index < before:
        return float32_array(graph.addresses[row, EVENT_VALUE], span.stop)[span.start + index]
    return graph.live_value[span.at + index - before]


@compiled
def pairs_below(graph: Graph, row: int, span: Span, horizon: int) -> Any:
    """Entries of a span of distinct counterparts that lie below a position."""
    return _below(graph, row, span, horizon, PAIR_POS)


@compiled
def events_below(graph: Graph, row: int, span: Span, horizon: int) -> Any:
    """Entries of a span of events that lie below a position."""
    return _below(graph, row, span, horizon, EVENT_POS)


@compiled
def _below(graph: Graph, row: int, span: Span, horizon: int, column: int) -> Any:
    count = np.int64(0)
    if span.stop > span.start:
        positions = int64_array(graph.addresses[row, column], span.stop)
        count += visible(positions, span.start, span.stop, horizon) - span.start
    if span.more > 0:
        count += visible(graph.live_pos, span.at, span.at + span.more, horizon) - span.at
    return count


@compiled
def knows(graph: Graph, row: int, back: int, node: int, other: int, horizon: int) -> Any:
    """Whether a node has met another before the horizon; the shorter of their two lists is read.

    Args:
        graph: The graph.
        row: Row of the addresses in which the node's counterparts stand.
        back: Row in which the other's stand.
        node: The node, -1 for one that has met nobody.
        other: The other, likewise.
        horizon: Entries with a position below it count.

    Returns:
        True if it has.
    """
    if node < 0 or other < 0:
        return False
    ours = visible_pairs(graph, row, node, horizon)
    theirs = visible_pairs(graph, back, other, horizon)
    if size_of(ours) <= size_of(theirs):
        for index in range(size_of(ours)):
            if neighbour(graph, row, ours, index) == other:
                return True
        return False
    for index in range(size_of(theirs)):
        if neighbour(graph, back, theirs, index) == node:
            return True
    return False


@compiled
def n_fresh(extras: Extras, first: int, last: int, side: int) -> Any:
    """Counterparts that the question's own edges ``first:last`` add through a side; in any way if -1."""
    count = np.int64(0)
    for index in range(first, last):
        if extras.touch[index] if side < 0 else (extras.new[index] and extras.side[index] == side):
            count += 1
    return count


@compiled
def counterpart_at(
    graph: Graph,
    row: int,
    span: Span,
    extras: Extras,
    first: int,
    last: int,
    side: int,
    fresh: int,
    step: int,
) -> Any:
    """The counterpart that was met ``step`` before the last one: the question's own first, then the span's.

    Args:
        graph: The graph.
        row: Row of the addresses that the span is of.
        span: Counterparts that are visible.
        extras: Own edges.
        first: The question's first one.
        last: Past its last one.
        side: Their side; -1 for any.
        fresh: What `n_fresh` counts.
        step: Below ``fresh + size_of(span)``.

    Returns:
        Its node, -1 for one that nobody has seen.
    """
    if step >= fresh:
        return neighbour(graph, row, span, size_of(span) - 1 - (step - fresh))
    left = step
    for index in range(last - 1, first - 1, -1):
        if extras.touch[index] if side < 0 else (extras.new[index] and extras.side[index] == side):
            if left == 0:
                return np.int64(extras.node[index])
            left -= 1
    return np.int64(-1)


@compiled
def partners_through(
    graph: Graph, side: int, node: int, horizon: int, extras: Extras, first: int, last: int
) -> Any:
    """Distinct nodes that reach ``node`` through this side, the question's own new edges included."""
    if node < 0:
        return np.int64(1)
    count = size_of(visible_pairs(graph, graph.n_sides + side, node, horizon))
    for index in range(first, last):
        if extras.node[index] == node and extras.side[index] == side and extras.new[index]:
            count += 1
    return count


@compiled
def users_of(graph: Graph, node: int, horizon: int, extras: Extras, first: int, last: int) -> Any:
    """Distinct accounts that touch ``node`` in any way, the asked account included where it does."""
    if node < 0:
        return np.int64(1)
    count = size_of(visible_pairs(graph, 2 * graph.n_sides, node, horizon))
    for index in range(first, last):
        if extras.node[index] == node and extras.touch[index]:
            count += 1
    return count


@compiled
def is_hub(graph: Graph, node: int, horizon: int) -> Any:
    """Whether a node is a hub at a horizon; what came since the snapshot is none before the next one."""
    return node < graph.n_nodes and graph.hub_since[node] < horizon


@compiled
def account_at(graph: Graph, node: int) -> Any:
    """Account of a node, -1 for an entity."""
    if node < graph.n_nodes:
        return np.int64(graph.node_account[node])
    return np.int64(graph.live_node_account[node - graph.n_nodes])


@compiled
def kind_at(graph: Graph, node: int) -> Any:
    """Ordinal of a node's kind."""
    if node < graph.n_nodes:
        return np.int64(graph.node_kind[node])
    return np.int64(graph.live_node_kind[node - graph.n_nodes])


@compiled
def node_of(graph: Graph, account: int) -> Any:
    """Node of an account, -1 for an account that nobody has seen."""
    if account < 0:
        return np.int64(-1)
    known = len(graph.account_node)
    if account < known:
        return np.int64(graph.account_node[account])
    return np.int64(graph.live_account_node[account - known])


@compiled
def attributes_of(graph: Graph, account: int) -> Any:
    """Attributes of an account, ``float64[k]``."""
    known = len(graph.account_node)
    if account < known:
        return graph.attributes[account]
    return graph.live_attributes[account - known]


@compiled
def first_seen_of(graph: Graph, account: int) -> Any:
    """When an account first appeared, milliseconds."""
    known = len(graph.account_node)
    if account < known:
        return graph.first_seen_ms[account]
    return graph.live_first_seen_ms[account - known]


@compiled
def first_pos_of(graph: Graph, account: int) -> Any:
    """Position of the row that brought an account in."""
    known = len(graph.account_node)
    if account < known:
        return graph.first_pos[account]
    return graph.live_first_pos[account - known]


@compiled
def time_at(graph: Graph, place: int) -> Any:
    """When the row at a position happened, milliseconds."""
    known = len(graph.time_ms)
    if place < known:
        return graph.time_ms[place]
    return graph.live_time_ms[place - known]


@compiled
def position_at(graph: Graph, horizon: int, time_ms: int) -> Any:
    """First position below the horizon that became known at ``time_ms`` or later."""
    known = min(np.int64(horizon), np.int64(len(graph.known_ms)))
    place = visible(graph.known_ms, np.int64(0), known, time_ms)
    if place == known and horizon > known:
        place += visible(graph.live_known_ms, np.int64(0), np.int64(horizon - known), time_ms)
    return place


@compiled
def is_cut(graph: Graph, account: int, other: int, horizon: int, time_ms: int) -> Any:
    """Whether a person called two accounts not linked, as of a horizon and a time."""
    if len(graph.cut_key) == 0 or account < 0 or other < 0:
        return False
    key = min(account, other) * np.int64(1 << 32) + max(account, other)
    place = np.searchsorted(graph.cut_key, key)
    while place < len(graph.cut_key) and graph.cut_key[place] == key:
        holds = graph.cut_since[place] < horizon and horizon <= graph.cut_until[place]
        if holds and (time_ms == NO_TIME or time_ms < graph.cut_until_ms[place]):
            return True
        place += 1
    return False


@compiled
def _older_live(graph: Graph, first_seen_ms: int, with_equal: bool) -> Any:
    """New accounts that appeared before a time, or at it."""
    low = np.int64(0)
    high = np.int64(graph.live_size[N_NEW_ACCOUNTS])
    known = len(graph.account_node)
    while low < high:
        middle = (low + high) >> 1
        seen_ms = graph.live_first_seen_ms[graph.live_by_age[middle] - known]
        if seen_ms < first_seen_ms or (with_equal and seen_ms == first_seen_ms):
            low = middle + 1
        else:
            high = middle
    return low


@compiled
def _older_known(graph: Graph, first_seen_ms: int) -> Any:
    """Accounts of the snapshot that appeared up to a time."""
    low = np.int64(0)
    high = np.int64(len(graph.by_age))
    while low < high:
        middle = (low + high) >> 1
        if graph.first_seen_ms[graph.by_age[middle]] <= first_seen_ms:
            low = middle + 1
        else:
            high = middle
    return low


@compiled
def age_place_of(graph: Graph, account: int, first_seen_ms: int) -> Any:
    """Place in the order of first appearance: accounts of the snapshot, and new ones, that come before.

    Of equal times the lower position comes first, so accounts of the snapshot before new ones; an account not
    seen before comes after all of its time.
    """
    if account < 0:
        return _older_known(graph, first_seen_ms), _older_live(graph, first_seen_ms, True)
    if account < len(graph.account_node):
        rank = np.int64(graph.age_rank[account])
        return rank, _older_live(graph, graph.first_seen_ms[account], False)
    own_ms = first_seen_of(graph, account)
    place = _older_live(graph, own_ms, False)
    while graph.live_by_age[place] != account:
        place += 1
    return _older_known(graph, own_ms), place


@compiled
def older(graph: Graph, known: int, new: int) -> Any:
    """The account just before a place in the order of appearance, -1 at the end, and the place before it."""
    if known == 0 and new == 0:
        return np.int64(-1), known, new
    if new == 0:
        return np.int64(graph.by_age[known - 1]), known - 1, new
    latest = np.int64(graph.live_by_age[new - 1])
    if known == 0:
        return latest, known, new - 1
    before = np.int64(graph.by_age[known - 1])
    if first_seen_of(graph, latest) >= graph.first_seen_ms[before]:
        return latest, known, new - 1
    return before, known - 1, new


@compiled
def younger(graph: Graph, known: int, new: int) -> Any:
    """The account at a place in the order of appearance, -1 at the end, and the place after it."""
    n_new = graph.live_size[N_NEW_ACCOUNTS]
    n_known = len(graph.by_age)
    if known == n_known and new == n_new:
        return np.int64(-1), known, new
    if new == n_new:
        return np.int64(graph.by_age[known]), known + 1, new
    latest = np.int64(graph.live_by_age[new])
    if known == n_known:
        return latest, known, new + 1
    after = np.int64(graph.by_age[known])
    if graph.first_seen_ms[after] <= first_seen_of(graph, latest):
        return after, known + 1, new
    return latest, known, new + 1


@compiled
def after_itself(graph: Graph, account: int, known: int, new: int) -> Any:
    """The place after an account's own, where it has one."""
    if account < 0:
        return known, new
    if account < len(graph.account_node):
        return known + 1, new
    return known, new + 1
