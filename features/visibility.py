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
    TABLE,
    float32_array,
    float64_array,
    int16_array,
    int32_array,
    int64_array,
    uint8_array,
)

NO_TIME: Final = -(2**63)
NO_HUB: Final = 2**63 - 1
HOUR_MS: Final = 3_600_000
DAY_MS: Final = 24 * HOUR_MS
WEEK_MS: Final = 7 * DAY_MS
MONTH_MS: Final = 30 * DAY_MS

# Places of `LIVE_SIZE`.
N_NEW_ACCOUNTS: Final = 0
N_NEW_NODES: Final = 1
N_LISTS: Final = 2
N_ENTRIES: Final = 3
N_POSITIONS: Final = 4
N_SIZES: Final = 5
# Which of a node's two lists through a table: distinct counterparts, or all events.
PAIRS: Final = 0
EVENTS: Final = 1

# Rows of `Graph.fields`, each an address and a length. First the snapshot's arrays, as in `GraphView`.
NODE_ACCOUNT: Final = 0
NODE_KIND: Final = 1
ACCOUNT_NODE: Final = 2
HUB_SINCE: Final = 3
KNOWN_MS: Final = 4
TIME_MS: Final = 5
ATTRIBUTES: Final = 6
IS_CATEGORY: Final = 7
BY_AGE: Final = 8
AGE_RANK: Final = 9
FIRST_SEEN_MS: Final = 10
FIRST_POS: Final = 11
# Pairs of accounts that a person called not linked: the lower account times 2^32 plus the higher, sorted;
# each cut holds at horizons above `CUT_SINCE` and up to `CUT_UNTIL`, before the time `CUT_UNTIL_MS`.
CUT_KEY: Final = 12
CUT_SINCE: Final = 13
CUT_UNTIL: Final = 14
CUT_UNTIL_MS: Final = 15
# What has happened since the snapshot. Lists of neighbours are found by an open hash table from node, table
# and kind of list (`LIVE_KEYS`, 0 is free) to their number; each has its entries from `LIVE_AT` on.
LIVE_SIZE: Final = 16
LIVE_TOUCHED: Final = 17
LIVE_KEYS: Final = 18
LIVE_PLACES: Final = 19
LIVE_AT: Final = 20
LIVE_LENGTH: Final = 21
LIVE_ROOM: Final = 22
LIVE_NBR: Final = 23
LIVE_POS: Final = 24
LIVE_VALUE: Final = 25
# New nodes, and new accounts; `LIVE_BY_AGE` holds these by first appearance, then position.
LIVE_NODE_ACCOUNT: Final = 26
LIVE_NODE_KIND: Final = 27
LIVE_ACCOUNT_NODE: Final = 28
LIVE_ATTRIBUTES: Final = 29
LIVE_FIRST_SEEN_MS: Final = 30
LIVE_FIRST_POS: Final = 31
LIVE_BY_AGE: Final = 32
# When each position since the snapshot happened, and when it became known.
LIVE_TIME_MS: Final = 33
LIVE_KNOWN_MS: Final = 34
# The highest position up to each place of `BY_AGE`, and the lowest from each place on.
LATEST_BEFORE: Final = 35
EARLIEST_AFTER: Final = 36
# Accounts that touch each node, all that is known counted; none where the lists say something else.
USERS_NOW: Final = 37
N_FIELDS: Final = 38

FIELD_TYPES: Final = (
    "int32",  # NODE_ACCOUNT
    "int16",  # NODE_KIND
    "int32",  # ACCOUNT_NODE
    "int64",  # HUB_SINCE
    "int64",  # KNOWN_MS
    "int64",  # TIME_MS
    "float64",  # ATTRIBUTES
    "uint8",  # IS_CATEGORY
    "int32",  # BY_AGE
    "int32",  # AGE_RANK
    "int64",  # FIRST_SEEN_MS
    "int64",  # FIRST_POS
    "int64",  # CUT_KEY
    "int64",  # CUT_SINCE
    "int64",  # CUT_UNTIL
    "int64",  # CUT_UNTIL_MS
    "int64",  # LIVE_SIZE
    "uint8",  # LIVE_TOUCHED
    "int64",  # LIVE_KEYS
    "int32",  # LIVE_PLACES
    "int64",  # LIVE_AT
    "int32",  # LIVE_LENGTH
    "int32",  # LIVE_ROOM
    "int32",  # LIVE_NBR
    "int64",  # LIVE_POS
    "float32",  # LIVE_VALUE
    "int32",  # LIVE_NODE_ACCOUNT
    "int16",  # LIVE_NODE_KIND
    "int32",  # LIVE_ACCOUNT_NODE
    "float64",  # LIVE_ATTRIBUTES
    "int64",  # LIVE_FIRST_SEEN_MS
    "int64",  # LIVE_FIRST_POS
    "int32",  # LIVE_BY_AGE
    "int64",  # LIVE_TIME_MS
    "int64",  # LIVE_KNOWN_MS
    "int64",  # LATEST_BEFORE
    "int64",  # EARLIEST_AFTER
    "int32",  # USERS_NOW
)
"""The type of the values of each field."""


class Graph(NamedTuple):
    """A snapshot and what has happened since, in the form that the compiled code takes.

    Arrays are named by where they are, so that a call hands over a few numbers, whatever the schema; whoever
    made the graph keeps them alive.

    Attributes:
        addresses: See `features.view.GraphView`.
        fields: ``int64[N_FIELDS, 2]``, address and length of each array.
        n_nodes: Nodes of the snapshot.
        n_accounts: Accounts of the snapshot.
        n_sides: Sides that an account can stand at.
        n_tables: Adjacencies.
        n_attributes: Attributes of an account.
    """

    addresses: Any
    fields: Any
    n_nodes: int
    n_accounts: int
    n_sides: int
    n_tables: int
    n_attributes: int


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
def _int64(graph: Graph, field: int, index: int) -> Any:
    return int64_array(graph.fields[field, 0], index + 1)[index]


@compiled
def _int32(graph: Graph, field: int, index: int) -> Any:
    return np.int64(int32_array(graph.fields[field, 0], index + 1)[index])


@compiled
def _int64s(graph: Graph, field: int) -> Any:
    return int64_array(graph.fields[field, 0], graph.fields[field, 1])


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
def all_visible(graph: Graph, horizon: int) -> Any:
    """Whether everything that a graph holds is visible at a horizon."""
    return horizon >= _int64(graph, LIVE_SIZE, N_POSITIONS)


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
    n_touched = graph.fields[LIVE_TOUCHED, 1]
    if node >= n_touched or uint8_array(graph.fields[LIVE_TOUCHED, 0], n_touched)[node] == 0:
        return np.int64(-1)
    keys = _int64s(graph, LIVE_KEYS)
    slot = slot_of(keys, list_key(graph.n_tables, node, graph.addresses[row, TABLE], which))
    return _int32(graph, LIVE_PLACES, slot) if keys[slot] != 0 else np.int64(-1)


@compiled
def _span(graph: Graph, row: int, node: int, horizon: int, which: int) -> Any:
    start = np.int64(0)
    stop = np.int64(0)
    at = np.int64(0)
    more = np.int64(0)
    if node < 0:
        return Span(start, stop, at, more)
    whole = all_visible(graph, horizon)
    if node < graph.n_nodes:
        pointers = int64_array(
            graph.addresses[row, PAIR_PTR if which == PAIRS else EVENT_PTR], graph.n_nodes + 1
        )
        start = pointers[node]
        end = pointers[node + 1]
        stop = end
        # Where everything is visible, positions need not be read: in a large graph each is a cache miss.
        if end > start and not whole:
            column = PAIR_POS if which == PAIRS else EVENT_POS
            stop = visible(int64_array(graph.addresses[row, column], end), start, end, horizon)
        if stop < end:
            return Span(start, stop, at, more)
    place = live_list(graph, row, node, which)
    if place >= 0:
        at = _int64(graph, LIVE_AT, place)
        more = _int32(graph, LIVE_LENGTH, place)
        if not whole:
            more = visible(_int64s(graph, LIVE_POS), at, at + more, horizon) - at
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
    return _int32(graph, LIVE_NBR, span.at + index - before)


@compiled
def position(graph: Graph, row: int, span: Span, index: int) -> Any:
    """The position at a place of a span of distinct counterparts."""
    before = span.stop - span.start
    if index < before:
        return int64_array(graph.addresses[row, PAIR_POS], span.stop)[span.start + index]
    return _int64(graph, LIVE_POS, span.at + index - before)


@compiled
def event_value(graph: Graph, row: int, span: Span, index: int) -> Any:
    """The amount or count at a place of a span of events."""
    before = span.stop - span.start
    if index < before:
        return float32_array(graph.addresses[row, EVENT_VALUE], span.stop)[span.start + index]
    place = span.at + index - before
    return float32_array(graph.fields[LIVE_VALUE, 0], place + 1)[place]


@compiled
def latest_neighbours(graph: Graph, row: int, node: int, horizon: int, limit: int) -> Any:
    """A node's distinct counterparts that are visible, the latest first.

    Args:
        graph: The graph.
        row: Row of the addresses.
        node: The node.
        horizon: Entries with a position below it are visible.
        limit: At most so many; all if negative.

    Returns:
        ``int64[n]`` nodes.
    """
    span = visible_pairs(graph, row, node, horizon)
    size = size_of(span)
    count = size if limit < 0 else min(size, limit)
    found = np.empty(count, np.int64)
    for index in range(count):
        found[index] = neighbour(graph, row, span, size - 1 - index)
    return found


@compiled
def latest_accounts(graph: Graph, row: int, node: int, horizon: int, limit: int) -> Any:
    """The same as accounts, -1 for entities."""
    found = latest_neighbours(graph, row, node, horizon, limit)
    for index in range(len(found)):
        found[index] = account_at(graph, found[index])
    return found


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
        count += visible(_int64s(graph, LIVE_POS), span.at, span.at + span.more, horizon) - span.at
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
    if node < graph.fields[USERS_NOW, 1] and all_visible(graph, horizon):
        count = _int32(graph, USERS_NOW, node)
    else:
        count = size_of(visible_pairs(graph, 2 * graph.n_sides, node, horizon))
    for index in range(first, last):
        if extras.node[index] == node and extras.touch[index]:
            count += 1
    return count


@compiled
def is_hub(graph: Graph, node: int, horizon: int) -> Any:
    """Whether a node is a hub at a horizon; what came since the snapshot is none before the next one."""
    return node < graph.n_nodes and _int64(graph, HUB_SINCE, node) < horizon


@compiled
def account_at(graph: Graph, node: int) -> Any:
    """Account of a node, -1 for an entity."""
    if node < graph.n_nodes:
        return _int32(graph, NODE_ACCOUNT, node)
    return _int32(graph, LIVE_NODE_ACCOUNT, node - graph.n_nodes)


@compiled
def kind_at(graph: Graph, node: int) -> Any:
    """Ordinal of a node's kind."""
    known = node < graph.n_nodes
    field = NODE_KIND if known else LIVE_NODE_KIND
    place = node if known else node - graph.n_nodes
    return np.int64(int16_array(graph.fields[field, 0], place + 1)[place])


@compiled
def node_of(graph: Graph, account: int) -> Any:
    """Node of an account, -1 for an account that nobody has seen."""
    if account < 0:
        return np.int64(-1)
    if account < graph.n_accounts:
        return _int32(graph, ACCOUNT_NODE, account)
    return _int32(graph, LIVE_ACCOUNT_NODE, account - graph.n_accounts)


@compiled
def is_category(graph: Graph, attribute: int) -> Any:
    """Whether an attribute is a category."""
    return uint8_array(graph.fields[IS_CATEGORY, 0], graph.n_attributes)[attribute] != 0


@compiled
def attributes_of(graph: Graph, account: int) -> Any:
    """Attributes of an account, ``float64[k]``."""
    known = account < graph.n_accounts
    field = ATTRIBUTES if known else LIVE_ATTRIBUTES
    place = account if known else account - graph.n_accounts
    return float64_array(graph.fields[field, 0] + place * graph.n_attributes * 8, graph.n_attributes)


@compiled
def first_seen_of(graph: Graph, account: int) -> Any:
    """When an account first appeared, milliseconds."""
    if account < graph.n_accounts:
        return _int64(graph, FIRST_SEEN_MS, account)
    return _int64(graph, LIVE_FIRST_SEEN_MS, account - graph.n_accounts)


@compiled
def first_pos_of(graph: Graph, account: int) -> Any:
    """Position of the row that brought an account in."""
    if account < graph.n_accounts:
        return _int64(graph, FIRST_POS, account)
    return _int64(graph, LIVE_FIRST_POS, account - graph.n_accounts)


@compiled
def time_at(graph: Graph, place: int) -> Any:
    """When the row at a position happened, milliseconds."""
    known = graph.fields[TIME_MS, 1]
    if place < known:
        return _int64(graph, TIME_MS, place)
    return _int64(graph, LIVE_TIME_MS, place - known)


@compiled
def position_at(graph: Graph, horizon: int, time_ms: int) -> Any:
    """First position below the horizon that became known at ``time_ms`` or later."""
    known = min(horizon, graph.fields[KNOWN_MS, 1])
    place = visible(_int64s(graph, KNOWN_MS), np.int64(0), known, time_ms)
    if place == known and horizon > known:
        place += visible(_int64s(graph, LIVE_KNOWN_MS), np.int64(0), np.int64(horizon - known), time_ms)
    return place


@compiled
def is_cut(graph: Graph, account: int, other: int, horizon: int, time_ms: int) -> Any:
    """Whether a person called two accounts not linked, as of a horizon and a time."""
    n_cuts = graph.fields[CUT_KEY, 1]
    if n_cuts == 0 or account < 0 or other < 0:
        return False
    key = min(account, other) * np.int64(1 << 32) + max(account, other)
    place = visible(_int64s(graph, CUT_KEY), np.int64(0), n_cuts, key)
    while place < n_cuts and _int64(graph, CUT_KEY, place) == key:
        holds = _int64(graph, CUT_SINCE, place) < horizon and horizon <= _int64(graph, CUT_UNTIL, place)
        if holds and (time_ms == NO_TIME or time_ms < _int64(graph, CUT_UNTIL_MS, place)):
            return True
        place += 1
    return False


@compiled
def _older_live(graph: Graph, first_seen_ms: int, with_equal: bool) -> Any:
    """New accounts that appeared before a time, or at it."""
    low = np.int64(0)
    high = _int64(graph, LIVE_SIZE, N_NEW_ACCOUNTS)
    while low < high:
        middle = (low + high) >> 1
        seen_ms = first_seen_of(graph, _int32(graph, LIVE_BY_AGE, middle))
        if seen_ms < first_seen_ms or (with_equal and seen_ms == first_seen_ms):
            low = middle + 1
        else:
            high = middle
    return low


@compiled
def _older_known(graph: Graph, first_seen_ms: int) -> Any:
    """Accounts of the snapshot that appeared up to a time."""
    low = np.int64(0)
    high = np.int64(graph.n_accounts)
    while low < high:
        middle = (low + high) >> 1
        if _int64(graph, FIRST_SEEN_MS, _int32(graph, BY_AGE, middle)) <= first_seen_ms:
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
    if account < graph.n_accounts:
        rank = _int32(graph, AGE_RANK, account)
        return rank, _older_live(graph, _int64(graph, FIRST_SEEN_MS, account), False)
    own_ms = first_seen_of(graph, account)
    place = _older_live(graph, own_ms, False)
    while _int32(graph, LIVE_BY_AGE, place) != account:
        place += 1
    return _older_known(graph, own_ms), place


@compiled
def older(graph: Graph, known: int, new: int) -> Any:
    """The account just before a place in the order of appearance, -1 at the end, and the place before it."""
    if known == 0 and new == 0:
        return np.int64(-1), known, new
    if new == 0:
        return _int32(graph, BY_AGE, known - 1), known - 1, new
    latest = _int32(graph, LIVE_BY_AGE, new - 1)
    if known == 0:
        return latest, known, new - 1
    before = _int32(graph, BY_AGE, known - 1)
    if first_seen_of(graph, latest) >= first_seen_of(graph, before):
        return latest, known, new - 1
    return before, known - 1, new


@compiled
def younger(graph: Graph, known: int, new: int) -> Any:
    """The account at a place in the order of appearance, -1 at the end, and the place after it."""
    n_new = _int64(graph, LIVE_SIZE, N_NEW_ACCOUNTS)
    n_known = np.int64(graph.n_accounts)
    if known == n_known and new == n_new:
        return np.int64(-1), known, new
    if new == n_new:
        return _int32(graph, BY_AGE, known), known + 1, new
    latest = _int32(graph, LIVE_BY_AGE, new)
    if known == n_known:
        return latest, known, new + 1
    after = _int32(graph, BY_AGE, known)
    if first_seen_of(graph, after) <= first_seen_of(graph, latest):
        return after, known + 1, new
    return latest, known, new + 1


@compiled
def all_older_visible(graph: Graph, known: int, horizon: int) -> Any:
    """Whether all accounts before a place in the order of appearance are visible at a horizon."""
    if all_visible(graph, horizon):
        return True
    if _int64(graph, LIVE_SIZE, N_NEW_ACCOUNTS) > 0:
        return False
    return known == 0 or _int64(graph, LATEST_BEFORE, known - 1) < horizon


@compiled
def no_younger_visible(graph: Graph, known: int, horizon: int) -> Any:
    """Whether none of the accounts from a place in the order of appearance on is visible at a horizon."""
    if _int64(graph, LIVE_SIZE, N_NEW_ACCOUNTS) > 0:
        return False
    return known >= graph.n_accounts or _int64(graph, EARLIEST_AFTER, known) >= horizon


@compiled
def n_older(graph: Graph, time_ms: int) -> Any:
    """Accounts that appeared before a time."""
    low = np.int64(0)
    high = np.int64(graph.n_accounts)
    while low < high:
        middle = (low + high) >> 1
        if _int64(graph, FIRST_SEEN_MS, _int32(graph, BY_AGE, middle)) < time_ms:
            low = middle + 1
        else:
            high = middle
    return low + _older_live(graph, time_ms, False)


@compiled
def after_itself(graph: Graph, account: int, known: int, new: int) -> Any:
    """The place after an account's own, where it has one."""
    if account < 0:
        return known, new
    if account < graph.n_accounts:
        return known + 1, new
    return known, new + 1
