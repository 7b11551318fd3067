"""The one kernel that computes as-of features, for a million questions or for one.

Every number here is a function of what is visible at the question's horizon: entries whose position is
below it, plus the edges that the question itself brings (the event being scored). Neighbourhoods are cut
to the most recent visible entries, never at random, so an answer can be had again bit by bit.
"""

from __future__ import annotations

from typing import Any, Final

import numpy as np
from numba import njit, prange

from features.profile import profile_width, signed_log, similarity, write_profile
from features.view import DIRECT
from features.visibility import (
    DAY_MS,
    HOUR_MS,
    MONTH_MS,
    NO_TIME,
    WEEK_MS,
    Asked,
    Extras,
    Graph,
    account_at,
    after_itself,
    age_place_of,
    all_older_visible,
    all_visible,
    attributes_of,
    compiled,
    counterpart_at,
    event_value,
    events_below,
    first_pos_of,
    first_seen_of,
    is_hub,
    n_fresh,
    n_older,
    neighbour,
    no_younger_visible,
    node_of,
    older,
    pairs_below,
    partners_through,
    position,
    position_at,
    size_of,
    time_at,
    users_of,
    visible_events,
    visible_pairs,
    younger,
)

# Counterparts read for the histogram of one side; nearly every account of the sets seen has fewer.
RECENT_PAIRS: Final = 256
RECENT_EVENTS: Final = 1024
DIRECT_PER_SIDE: Final = 64
USERS_PER_NODE: Final = 16
NODES_SHARED: Final = 256
CO_USERS: Final = 256
# Accounts whose behaviour is compared on each side of the own first appearance, and accounts counted there.
BURST_COMPARED: Final = 32
BURST_COUNTED: Final = 1024
# A node with more users than this says little of who is behind an account, hub or not.
SHARED_MAX: Final = 256

N_BINS: Final = 15
SIDE_WIDTH: Final = 18 + N_BINS
ACCOUNT_WIDTH: Final = 3
BURST_WIDTH: Final = 13
DIRECT_HEAD: Final = 1
SHARED_HEAD: Final = 9


@compiled
def _neighbour_profile(
    graph: Graph, profiles: Any, account: int, horizon: int, extras: Extras, first: int, last: int, out: Any
) -> None:
    if len(profiles) > 0:
        for index in range(len(out)):
            out[index] = profiles[account, index]
        return
    node, attributes = node_of(graph, account), attributes_of(graph, account)
    write_profile(graph, node, attributes, horizon, extras, first, last, False, out)


@compiled
def _bin(users: int) -> int:
    """Bin of a commonness: powers of two, the last one open."""
    place = 0
    while users > 1 and place < N_BINS - 1:
        users >>= 1
        place += 1
    return place


@compiled
def _write_side(
    graph: Graph,
    side: int,
    node: int,
    horizon: int,
    now_ms: int,
    extras: Extras,
    first: int,
    last: int,
    out: Any,
) -> None:
    """Typed profile of one side: sizes, how common the counterparts are, and how fast all of it came."""
    for index in range(SIDE_WIDTH):
        out[index] = 0.0
    span = visible_pairs(graph, side, node, horizon)
    fresh = n_fresh(extras, first, last, side)
    degree = size_of(span) + fresh
    total = 0.0
    least = 1e9
    most = 0.0
    partners_total = 0.0
    partners_least = 1e9
    partners_most = 0.0
    read = 0
    fastest = np.zeros(4, dtype=np.int64)
    youngest_ms: Any = np.int64(-1)
    windows = (HOUR_MS, DAY_MS, WEEK_MS, MONTH_MS)
    timed = now_ms != NO_TIME
    since = np.zeros(4, dtype=np.int64)
    if timed:
        for w in range(4):
            since[w] = position_at(graph, horizon, now_ms - windows[w])
    for step in range(min(degree, RECENT_PAIRS)):
        counterpart = counterpart_at(graph, side, span, extras, first, last, side, fresh, step)
        users = users_of(graph, counterpart, horizon, extras, first, last)
        value = np.log2(1.0 + users)
        total += value
        least = min(least, value)
        most = max(most, value)
        out[9 + _bin(users)] += 1.0
        value = np.log2(1.0 + partners_through(graph, side, counterpart, horizon, extras, first, last))
        partners_total += value
        partners_least = min(partners_least, value)
        partners_most = max(partners_most, value)
        read += 1
        if timed:
            row = graph.n_sides + side
            arriving = np.int64(0)
            began_ms = now_ms
            arrivals = visible_pairs(graph, row, counterpart, horizon)
            n_arrivals = size_of(arrivals)
            if counterpart < 0:
                arriving = np.int64(1)
            for own in range(first, last):
                if counterpart >= 0 and extras.node[own] == counterpart and extras.side[own] == side:
                    arriving += extras.new[own]
            if n_arrivals > 0:
                began_ms = time_at(graph, position(graph, row, arrivals, 0))
                for w in range(4):
                    newcomers = n_arrivals - pairs_below(graph, row, arrivals, since[w]) + arriving
                    fastest[w] = max(fastest[w], newcomers)
            else:
                for w in range(4):
                    fastest[w] = max(fastest[w], arriving)
            if began_ms != NO_TIME:
                age_ms = max(np.int64(0), now_ms - began_ms)
                if youngest_ms < 0 or age_ms < youngest_ms:
                    youngest_ms = age_ms
    events = visible_events(graph, side, node, horizon)
    n_events = size_of(events)
    amount = 0.0
    n_own = 0
    for index in range(first, last):
        n_own += extras.side[index] == side
    for index in range(max(0, n_events + n_own - RECENT_EVENTS), n_events):
        amount += event_value(graph, side, events, index)
    recent_hour = 0
    recent_day = 0
    if timed and n_events > 0:
        recent_hour = n_events - events_below(graph, side, events, since[0])
        recent_day = n_events - events_below(graph, side, events, since[1])
    for index in range(first, last):
        if extras.side[index] == side:
            n_events += 1
            amount += extras.value[index]
            recent_hour += 1
            recent_day += 1
    out[0] = np.log1p(n_events + 0.0)
    out[1] = np.log1p(degree + 0.0)
    out[2] = signed_log(amount)
    if read > 0:
        out[3] = total / read
        out[4] = least
        out[5] = most
        out[6] = partners_total / read
        out[7] = partners_least
        out[8] = partners_most
        for index in range(9, 9 + N_BINS):
            out[index] = np.log1p(out[index] * degree / read)
    else:
        for index in range(3, 9):
            out[index] = np.nan
    out[9 + N_BINS] = n_events / degree if degree > 0 else np.nan
    out[10 + N_BINS] = np.log1p(recent_hour + 0.0)
    out[11 + N_BINS] = np.log1p(recent_day + 0.0)
    for w in range(4):
        out[12 + N_BINS + w] = np.log1p(fastest[w] + 0.0)
    out[16 + N_BINS] = np.log1p(youngest_ms / HOUR_MS) if youngest_ms >= 0 else np.nan
    out[17 + N_BINS] = (out[9] + out[10]) / (out[1] + 1e-9) if degree > 0 else np.nan


@compiled
def _write_burst(
    graph: Graph,
    profiles: Any,
    account: int,
    first_seen_ms: int,
    horizon: int,
    extras: Extras,
    first: int,
    last: int,
    own: Any,
    other: Any,
    out: Any,
) -> None:
    """Who else appeared close in time, and how alike they are."""
    for index in range(BURST_WIDTH):
        out[index] = 0.0
    if first_seen_ms == NO_TIME:
        for index in range(BURST_WIDTH):
            out[index] = np.nan
        return
    before, new_before = age_place_of(graph, account, first_seen_ms)
    after, new_after = after_itself(graph, account, before, new_before)
    nearest_total = 0.0
    nearest = 0
    compared_total = 0.0
    compared_all = 0
    best = 0.0
    hour_mass = 0.0
    day_mass = 0.0
    alike = 0
    for direction in range(2):
        base = 3 * direction
        if direction == 1 and no_younger_visible(graph, after, horizon):
            break
        # Where all of them are visible, counting is a search in the order of appearance.
        counts = all_older_visible(graph, before, horizon) if direction == 0 else all_visible(graph, horizon)
        if counts:
            here = before + new_before if direction == 0 else after + new_after
            for w in range(3):
                window_ms = (HOUR_MS, DAY_MS, WEEK_MS)[w]
                if direction == 0:
                    within = here - n_older(graph, first_seen_ms - window_ms)
                else:
                    within = n_older(graph, first_seen_ms + window_ms + 1) - here
                out[base + w] = min(within, BURST_COUNTED)
        counted = 0
        compared = 0
        step = 0
        while counted < (BURST_COMPARED if counts else BURST_COUNTED) and step < 4 * BURST_COUNTED:
            step += 1
            if direction == 0:
                j, before, new_before = older(graph, before, new_before)
            else:
                j, after, new_after = younger(graph, after, new_after)
            if j < 0 or first_seen_of(graph, j) == NO_TIME:
                break
            if first_pos_of(graph, j) >= horizon:
                continue
            gap_ms = abs(first_seen_of(graph, j) - first_seen_ms)
            if gap_ms > WEEK_MS:
                break
            counted += 1
            if not counts:
                out[base] += gap_ms <= HOUR_MS
                out[base + 1] += gap_ms <= DAY_MS
                out[base + 2] += 1.0
            if compared < BURST_COMPARED:
                compared += 1
                _neighbour_profile(graph, profiles, j, horizon, extras, first, last, other)
                alike_j = similarity(own, other)
                compared_total += alike_j
                compared_all += 1
                if compared <= 4:
                    nearest_total += alike_j
                    nearest += 1
                best = max(best, alike_j)
                hour_mass += alike_j * np.exp(-gap_ms / HOUR_MS)
                day_mass += alike_j * np.exp(-gap_ms / DAY_MS)
                if alike_j > 0.8:
                    alike += 1
    in_hour = out[0] + out[3]
    in_week = out[2] + out[5]
    for index in range(6):
        out[index] = np.log1p(out[index])
    out[6] = in_hour / (in_week / 84.0 + 1.0)
    out[7] = nearest_total / nearest if nearest > 0 else np.nan
    out[8] = best
    out[9] = hour_mass
    out[10] = day_mass
    out[11] = alike
    out[12] = compared_total / compared_all if compared_all > 0 else np.nan


@compiled
def _write_direct(
    graph: Graph,
    profiles: Any,
    account: int,
    node: int,
    horizon: int,
    extras: Extras,
    first: int,
    last: int,
    other: Any,
    out: Any,
) -> None:
    """Mean, greatest and spread of the profiles of accounts that this one dealt with."""
    width = len(other)
    count = 0
    for index in range(DIRECT_HEAD + 3 * width):
        out[index] = 0.0
    for side in range(graph.n_sides):
        if graph.addresses[side, DIRECT] == 0:
            continue
        span = visible_pairs(graph, side, node, horizon)
        fresh = n_fresh(extras, first, last, side)
        for step in range(min(size_of(span) + fresh, DIRECT_PER_SIDE)):
            counterpart = counterpart_at(graph, side, span, extras, first, last, side, fresh, step)
            if counterpart < 0:
                continue
            j = account_at(graph, counterpart)
            if j < 0 or j == account or is_hub(graph, counterpart, horizon):
                continue
            _neighbour_profile(graph, profiles, j, horizon, extras, first, last, other)
            for d in range(width):
                value = np.float64(other[d])
                out[DIRECT_HEAD + d] += value
                if count == 0 or value > out[DIRECT_HEAD + width + d]:
                    out[DIRECT_HEAD + width + d] = value
                out[DIRECT_HEAD + 2 * width + d] += value * value
            count += 1
    out[0] = np.log1p(count + 0.0)
    _finish_moments(out, DIRECT_HEAD, DIRECT_HEAD + 2 * width, width, count + 0.0)
    if count == 0:
        for d in range(width):
            out[DIRECT_HEAD + width + d] = np.nan


@compiled
def _finish_moments(out: Any, mean_at: int, spread_at: int, width: int, weight: float) -> None:
    """Turn sums and sums of squares into means and standard deviations."""
    for d in range(width):
        if weight <= 0.0:
            out[mean_at + d] = np.nan
            out[spread_at + d] = np.nan
        else:
            mean = out[mean_at + d] / weight
            out[mean_at + d] = mean
            out[spread_at + d] = np.sqrt(max(0.0, out[spread_at + d] / weight - mean * mean))


@compiled
def _write_shared(
    graph: Graph,
    profiles: Any,
    account: int,
    node: int,
    first_seen_ms: int,
    horizon: int,
    extras: Extras,
    first: int,
    last: int,
    own: Any,
    other: Any,
    out: Any,
) -> None:
    """Accounts that touch the same nodes, weighted by how rare what they share is."""
    width = len(other)
    for index in range(SHARED_HEAD + 2 * width):
        out[index] = 0.0
    count = 0
    weight_all = 0.0
    close_all = 0.0
    alike_all = 0.0
    best_weight = 0.0
    best_alike = 0.0
    within_hour = 0
    within_day = 0
    joint = 0.0
    row = 2 * graph.n_sides
    span = visible_pairs(graph, row + 1, node, horizon)
    fresh = n_fresh(extras, first, last, -1)
    for step in range(min(size_of(span) + fresh, NODES_SHARED)):
        shared = counterpart_at(graph, row + 1, span, extras, first, last, -1, fresh, step)
        if shared < 0 or is_hub(graph, shared, horizon):
            continue
        users = users_of(graph, shared, horizon, extras, first, last)
        if users < 2 or users > SHARED_MAX:
            continue
        weight = 1.0 / np.log2(users + 0.0) if users > 2 else 1.0
        members = visible_pairs(graph, row, shared, horizon)
        taken = 0
        for place in range(size_of(members) - 1, -1, -1):
            if taken >= USERS_PER_NODE or count >= CO_USERS:
                break
            j = account_at(graph, neighbour(graph, row, members, place))
            if j < 0 or j == account:
                continue
            taken += 1
            count += 1
            _neighbour_profile(graph, profiles, j, horizon, extras, first, last, other)
            alike = similarity(own, other)
            closeness = 0.0
            if first_seen_ms != NO_TIME and first_seen_of(graph, j) != NO_TIME:
                gap_ms = abs(first_seen_of(graph, j) - first_seen_ms)
                closeness = np.exp(-gap_ms / DAY_MS)
                if gap_ms <= HOUR_MS:
                    within_hour += 1
                if gap_ms <= DAY_MS:
                    within_day += 1
            weight_all += weight
            close_all += weight * closeness
            alike_all += weight * alike
            joint += weight * alike * (0.2 + 0.8 * closeness)
            best_weight = max(best_weight, weight)
            best_alike = max(best_alike, weight * alike)
            for d in range(width):
                value = np.float64(other[d])
                out[SHARED_HEAD + d] += weight * value
                out[SHARED_HEAD + width + d] += weight * value * value
    out[0] = np.log1p(count + 0.0)
    out[1] = np.log1p(weight_all)
    out[2] = best_weight
    out[3] = close_all / weight_all if weight_all > 0 else np.nan
    out[4] = alike_all / weight_all if weight_all > 0 else np.nan
    out[5] = best_alike
    out[6] = np.log1p(within_hour + 0.0)
    out[7] = np.log1p(within_day + 0.0)
    out[8] = np.log1p(joint)
    _finish_moments(out, SHARED_HEAD, SHARED_HEAD + width, width, weight_all)


@compiled
def answer_one(graph: Graph, profiles: Any, asked: Asked, extras: Extras, q: int, out: Any) -> None:
    """Compute all features of question ``q`` into ``out``."""
    account = np.int64(asked.account[q])
    horizon = asked.horizon[q]
    now_ms = asked.time_ms[q]
    first_seen_ms = asked.first_seen_ms[q]
    first = extras.ptr[q]
    last = extras.ptr[q + 1]
    node = node_of(graph, account)
    n_attributes = graph.n_attributes
    width = profile_width(graph)
    own = np.empty(width, dtype=np.float32)
    other = np.empty(width, dtype=np.float32)
    write_profile(graph, node, asked.attributes[q], horizon, extras, first, last, True, own)
    place = 0
    for index in range(n_attributes):
        out[place] = asked.attributes[q, index]
        place += 1
    if now_ms != NO_TIME and first_seen_ms != NO_TIME:
        out[place] = np.log1p(max(np.int64(0), now_ms - first_seen_ms) / HOUR_MS)
        out[place + 1] = (first_seen_ms // HOUR_MS) % 24
    else:
        out[place] = np.nan
        out[place + 1] = np.nan
    degree = 0
    place_sides = place + ACCOUNT_WIDTH
    for side in range(graph.n_sides):
        here = out[place_sides + side * SIDE_WIDTH : place_sides + (side + 1) * SIDE_WIDTH]
        _write_side(graph, side, node, horizon, now_ms, extras, first, last, here)
        degree += np.expm1(here[1])
    out[place + 2] = np.log1p(degree)
    place = place_sides + graph.n_sides * SIDE_WIDTH
    _write_burst(
        graph,
        profiles,
        account,
        first_seen_ms,
        horizon,
        extras,
        first,
        last,
        own,
        other,
        out[place : place + BURST_WIDTH],
    )
    place += BURST_WIDTH
    stop = place + DIRECT_HEAD + 3 * width
    _write_direct(graph, profiles, account, node, horizon, extras, first, last, other, out[place:stop])
    place = stop
    stop = place + SHARED_HEAD + 2 * width
    _write_shared(
        graph,
        profiles,
        account,
        node,
        first_seen_ms,
        horizon,
        extras,
        first,
        last,
        own,
        other,
        out[place:stop],
    )


@njit(cache=True, parallel=True, error_model="numpy")
def answer_all(graph: Graph, profiles: Any, asked: Asked, extras: Extras, out: Any) -> None:
    """Compute all questions over the threads; each is independent, so their number changes no bit."""
    for q in prange(len(asked.account)):
        row = np.empty(out.shape[1], dtype=np.float64)
        answer_one(graph, profiles, asked, extras, q, row)
        for index in range(out.shape[1]):
            out[q, index] = row[index]


@njit(cache=True, error_model="numpy")
def answer_few(graph: Graph, profiles: Any, asked: Asked, extras: Extras, out: Any) -> None:
    """The same without threads: starting them costs more than one answer."""
    for q in range(len(asked.account)):
        row = np.empty(out.shape[1], dtype=np.float64)
        answer_one(graph, profiles, asked, extras, q, row)
        for index in range(out.shape[1]):
            out[q, index] = row[index]
