"""What a question may see: a graph's arrays for compiled code, cut at a horizon."""

from __future__ import annotations

from typing import Any, Final, NamedTuple

import numpy as np
from numba import njit

from features.view import EVENT_POS, EVENT_PTR, PAIR_POS, PAIR_PTR, int64_array

NO_TIME: Final = -(2**63)
HOUR_MS: Final = 3_600_000
DAY_MS: Final = 24 * HOUR_MS
WEEK_MS: Final = 7 * DAY_MS
MONTH_MS: Final = 30 * DAY_MS


class Graph(NamedTuple):
    """The arrays of a `GraphView` in the form that the compiled code takes."""

    addresses: Any
    n_nodes: int
    n_sides: int
    account_side: Any
    node_account: Any
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


def compiled(function: Any) -> Any:
    """Compile a function of one question, to be called by other compiled code too."""
    # numpy's error model: a division by zero is a NaN for the caller to see, not an exception without a row.
    return njit(cache=True, nogil=True, error_model="numpy")(function)


@compiled
def visible(positions: Any, start: int, stop: int, horizon: int) -> Any:
    """Index past the last entry of ``positions[start:stop]`` (ascending) that lies below the horizon."""
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
def visible_pairs(graph: Graph, row: int, node: int, horizon: int) -> Any:
    """Start and stop of a node's distinct counterparts that are visible at the horizon."""
    if node < 0:
        return 0, 0
    pointers = int64_array(graph.addresses[row, PAIR_PTR], graph.n_nodes + 1)
    start = pointers[node]
    stop = pointers[node + 1]
    if start == stop:
        return start, start
    return start, visible(int64_array(graph.addresses[row, PAIR_POS], stop), start, stop, horizon)


@compiled
def visible_events(graph: Graph, row: int, node: int, horizon: int) -> Any:
    """Start and stop of a node's events that are visible at the horizon."""
    if node < 0:
        return 0, 0
    pointers = int64_array(graph.addresses[row, EVENT_PTR], graph.n_nodes + 1)
    start = pointers[node]
    stop = pointers[node + 1]
    if start == stop:
        return start, start
    return start, visible(int64_array(graph.addresses[row, EVENT_POS], stop), start, stop, horizon)


@compiled
def partners_through(
    graph: Graph, side: int, node: int, horizon: int, extras: Extras, first: int, last: int
) -> Any:
    """Distinct nodes that reach ``node`` through this side, the question's own new edges included."""
    if node < 0:
        return 1
    start, stop = visible_pairs(graph, graph.n_sides + side, node, horizon)
    count = stop - start
    for index in range(first, last):
        if extras.node[index] == node and extras.side[index] == side and extras.new[index]:
            count += 1
    return count


@compiled
def users_of(graph: Graph, node: int, horizon: int, extras: Extras, first: int, last: int) -> Any:
    """Distinct accounts that touch ``node`` in any way, the asked account included where it does."""
    if node < 0:
        return 1
    start, stop = visible_pairs(graph, 2 * graph.n_sides, node, horizon)
    count = stop - start
    for index in range(first, last):
        if extras.node[index] == node and extras.touch[index]:
            count += 1
    return count


@compiled
def age_rank_of(graph: Graph, account: int, first_seen_ms: int) -> Any:
    """Place in the order of first appearance; an account not seen before comes after all of its time."""
    if account >= 0:
        return np.int64(graph.age_rank[account])
    low = 0
    high = len(graph.by_age)
    while low < high:
        middle = (low + high) >> 1
        if graph.first_seen_ms[graph.by_age[middle]] <= first_seen_ms:
            low = middle + 1
        else:
            high = middle
    return np.int64(low)


@compiled
def position_at(known_ms: Any, horizon: int, time_ms: int) -> int:
    """First position below the horizon that became known at ``time_ms`` or later."""
    low = 0
    high = min(horizon, len(known_ms))
    while low < high:
        middle = (low + high) >> 1
        if known_ms[middle] < time_ms:
            low = middle + 1
        else:
            high = middle
    return low
