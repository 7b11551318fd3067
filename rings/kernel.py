"""Finding an account's partners: the one compiled walk behind all links and all link features.

For one account, as of one position, it gathers the accounts that share something not too common with it,
those it dealt with, and those that appeared beside it and behave alike. Everything is bounded: hubs are
never walked, of a popular node only the users around the account's own arrival are read, and the rarest
nodes come first. So the cost of an account does not depend on how popular anything around it is.
"""

from __future__ import annotations

from typing import Any, Final, NamedTuple

import numpy as np
from numba import njit

from features.profile import profile_width, similarity, write_profile
from features.visibility import (
    CUT_KEY,
    NO_TIME,
    Asked,
    Extras,
    Graph,
    account_at,
    after_itself,
    age_place_of,
    attributes_of,
    counterpart_at,
    first_pos_of,
    first_seen_of,
    is_cut,
    is_hub,
    kind_at,
    n_fresh,
    neighbour,
    node_of,
    older,
    pairs_below,
    position,
    size_of,
    time_at,
    users_of,
    visible_pairs,
    younger,
)

SHARED: Final = 1
DIRECT: Final = 2
SYNCHRONY: Final = 4

# Most recent nodes of an account that are looked at, and entries gathered over all of them, rarest first.
NODES: Final = 256
ENTRIES: Final = 4096
# Users of one node read around the own arrival, and those of them that are linked.
USERS_READ: Final = 128
USERS_LINKED: Final = 64
# Accounts that appeared just before and just after, each.
BESIDE: Final = 24
# Partners, the most firmly tied, whose behaviour is compared; those that appeared beside are besides.
COMPARED: Final = 512


class Strengths(NamedTuple):
    """The constants of a link's weight, as `rings.LinkConfig` gives them.

    Attributes:
        seen_ms: Time in which the closeness of two first appearances falls to 1/e.
        seen_apart: Closeness of accounts that appeared at quite different times.
        met_ms: Time in which the closeness of two arrivals at a shared node falls to 1/e.
        met_apart: Closeness of accounts that came to a shared node at quite different times.
        alike_power: Power of the similarity in a link's weight.
        direct: Strength of a direct interaction between accounts that deal with nobody else.
        synchrony: Greatest weight of a link from synchrony alone.
        synchrony_ms: Time in which synchrony falls to 1/e.
        least: Links below this weight are dropped.
        kind: ``float64[K]``, how much sharing a node of each kind counts.
    """

    seen_ms: float
    seen_apart: float
    met_ms: float
    met_apart: float
    alike_power: float
    direct: float
    synchrony: float
    synchrony_ms: float
    least: float
    kind: Any


class Partners(NamedTuple):
    """Room for the partners of one account; the first ``n`` rows are filled."""

    account: Any
    weight: Any
    shared: Any
    direct: Any
    beside: Any
    alike: Any
    gap_ms: Any
    via: Any
    via_users: Any
    common: Any


def compiled(function: Any) -> Any:
    """Compile a function that lets go of the interpreter; the machine code is kept for the next process."""
    return njit(cache=True, nogil=True, error_model="numpy")(function)


@compiled
def room() -> Partners:
    """Room for the partners of one account."""
    return Partners(
        np.empty(ENTRIES, np.int32),
        np.empty(ENTRIES, np.float64),
        np.empty(ENTRIES, np.float64),
        np.empty(ENTRIES, np.float64),
        np.empty(ENTRIES, np.float64),
        np.empty(ENTRIES, np.float64),
        np.empty(ENTRIES, np.int64),
        np.empty(ENTRIES, np.int32),
        np.empty(ENTRIES, np.int64),
        np.empty(ENTRIES, np.int32),
    )


@compiled
def rarity(users: int) -> Any:
    """How much sharing a node with so many users says: 1 for two, falling as 1 / log2."""
    return 1.0 / np.log2(users + 0.0) if users > 2 else 1.0


@compiled
def gap_between(first_ms: int, second_ms: int) -> int:
    """Time between two first appearances, -1 where one of them is not known."""
    if first_ms == NO_TIME or second_ms == NO_TIME:
        return -1
    return abs(first_ms - second_ms)


@compiled
def closeness(gap_ms: int, scale_ms: float, apart: float) -> Any:
    """How close two times are: 1 together, ``apart`` at quite different times, 1 where one is not known."""
    if gap_ms < 0:
        return 1.0
    return apart + (1.0 - apart) * np.exp(-gap_ms / scale_ms)


@compiled
def synchrony_of(strengths: Strengths, alike: float, usual: float, gap_ms: int) -> Any:
    """Weight that two accounts get for having appeared together, more alike than ``usual``."""
    return (
        strengths.synchrony
        * (alike - usual)
        / (1.0 - usual + 0.1)
        * alike
        * np.exp(-gap_ms / strengths.synchrony_ms)
    )


@compiled
def _profile_of(
    graph: Graph, profiles: Any, account: int, horizon: int, extras: Extras, own: Any, out: Any
) -> None:
    if len(profiles) > 0:
        for index in range(len(out)):
            out[index] = profiles[account, index]
        return
    write_profile(
        graph,
        node_of(graph, account),
        attributes_of(graph, account),
        horizon,
        extras,
        own[0],
        own[1],
        False,
        out,
    )


@compiled
def _touched(
    graph: Graph, node: int, horizon: int, extras: Extras, own: Any, nodes: Any, arrived: Any, users: Any
) -> int:
    """The nodes that an account touches, most recent first, with their number of users; hubs left out."""
    count = 0
    row = 2 * graph.n_sides + 1
    span = visible_pairs(graph, row, node, horizon)
    n_known = size_of(span)
    fresh = n_fresh(extras, own[0], own[1], -1)
    for step in range(min(n_known + fresh, NODES)):
        at = counterpart_at(graph, row, span, extras, own[0], own[1], -1, fresh, step)
        if at < 0 or is_hub(graph, at, horizon):
            continue
        nodes[count] = at
        arrived[count] = horizon if step < fresh else position(graph, row, span, n_known - 1 - (step - fresh))
        users[count] = users_of(graph, at, horizon, extras, own[0], own[1])
        count += 1
    return count


@compiled
def _users_around(
    graph: Graph,
    node: int,
    horizon: int,
    arrived: int,
    arrived_ms: int,
    account: int,
    first_seen_ms: int,
    strengths: Strengths,
    out: Any,
    close: Any,
) -> int:
    """Accounts on a node, with the closeness of their arrival there to the own one.

    All of them if they are few, else the closest of those around the own arrival. Where an arrival has no
    time, the first appearances of the accounts are compared.
    """
    row = 2 * graph.n_sides
    span = visible_pairs(graph, row, node, horizon)
    n_members = size_of(span)
    if n_members == 0:
        return 0
    low = 0
    high = n_members
    if n_members > USERS_READ:
        place = pairs_below(graph, row, span, arrived)
        low = max(0, place - USERS_READ // 2)
        high = min(n_members, low + USERS_READ)
        low = max(0, high - USERS_READ)
    count = 0
    closes = np.empty(high - low, np.float64)
    read = np.empty(high - low, np.int32)
    for index in range(low, high):
        other = account_at(graph, neighbour(graph, row, span, index))
        if other < 0 or other == account:
            continue
        read[count] = other
        gap_ms = gap_between(arrived_ms, time_at(graph, position(graph, row, span, index)))
        if gap_ms >= 0:
            closes[count] = closeness(gap_ms, strengths.met_ms, strengths.met_apart)
        else:
            gap_ms = gap_between(first_seen_ms, first_seen_of(graph, other))
            closes[count] = closeness(gap_ms, strengths.seen_ms, strengths.seen_apart)
        count += 1
    if count <= USERS_LINKED:
        for index in range(count):
            out[index] = read[index]
            close[index] = closes[index]
        return count
    # Without times all are equally close, and the sort keeps the order of arrival.
    order = np.argsort(-closes[:count], kind="mergesort")
    for index in range(USERS_LINKED):
        out[index] = read[order[index]]
        close[index] = closes[order[index]]
    return USERS_LINKED


@compiled
def _beside(graph: Graph, account: int, first_seen_ms: int, horizon: int, out: Any) -> int:
    """Accounts that appeared just before and just after, as far as they are visible."""
    if first_seen_ms == NO_TIME:
        return 0
    before, new_before = age_place_of(graph, account, first_seen_ms)
    after, new_after = after_itself(graph, account, before, new_before)
    count = 0
    for direction in range(2):
        found = 0
        for _ in range(8 * BESIDE):
            if found >= BESIDE:
                break
            if direction == 0:
                other, before, new_before = older(graph, before, new_before)
            else:
                other, after, new_after = younger(graph, after, new_after)
            if other < 0 or first_seen_of(graph, other) == NO_TIME:
                break
            if first_pos_of(graph, other) >= horizon or is_hub(graph, node_of(graph, other), horizon):
                continue
            out[count] = other
            count += 1
            found += 1
    return count


@compiled
def partners_of(
    graph: Graph,
    profiles: Any,
    strengths: Strengths,
    asked: Asked,
    extras: Extras,
    q: int,
    found: Partners,
) -> int:
    """Gather the partners of question ``q``, each once.

    ``profiles`` holds the profiles of all accounts at the question's horizon, or no rows: then they are
    computed as they are needed, to the same bits.

    Returns:
        Number of partners; their links' weights are not below ``strengths.least``.
    """
    account = np.int64(asked.account[q])
    horizon = asked.horizon[q]
    first_seen_ms = asked.first_seen_ms[q]
    own = (extras.ptr[q], extras.ptr[q + 1])
    node = node_of(graph, account)
    if node >= 0 and is_hub(graph, node, horizon):
        return 0
    nodes = np.empty(NODES, np.int64)
    arrived = np.empty(NODES, np.int64)
    users = np.empty(NODES, np.int64)
    n_nodes = _touched(graph, node, horizon, extras, own, nodes, arrived, users)
    raw = np.empty(ENTRIES, np.int32)
    strength = np.empty(ENTRIES, np.float64)
    via = np.empty(ENTRIES, np.int32)
    crowd = np.empty(ENTRIES, np.int64)
    source = np.empty(ENTRIES, np.int8)
    n_raw = 0
    # Direct interactions.
    dealt = 0
    for index in range(n_nodes):
        if account_at(graph, nodes[index]) >= 0:
            dealt += 1
    for index in range(n_nodes):
        other = account_at(graph, nodes[index])
        if other < 0 or other == account or n_raw >= ENTRIES:
            continue
        raw[n_raw] = other
        strength[n_raw] = strengths.direct / np.log2(1.0 + max(dealt, users[index], 1))
        via[n_raw] = -1
        source[n_raw] = DIRECT
        n_raw += 1
    # Shared nodes, the rarest first.
    order = np.argsort(users[:n_nodes], kind="mergesort")
    around = np.empty(USERS_LINKED, np.int32)
    close = np.empty(USERS_LINKED, np.float64)
    for step in range(n_nodes):
        index = order[step]
        if users[index] < 2:
            continue
        if n_raw + USERS_LINKED > ENTRIES - 2 * BESIDE:
            break
        arrived_ms = time_at(graph, arrived[index]) if arrived[index] < horizon else asked.time_ms[q]
        n_users = _users_around(
            graph,
            nodes[index],
            horizon,
            arrived[index],
            arrived_ms,
            account,
            first_seen_ms,
            strengths,
            around,
            close,
        )
        rare = rarity(users[index]) * strengths.kind[kind_at(graph, nodes[index])]
        for which in range(n_users):
            raw[n_raw] = around[which]
            strength[n_raw] = rare * close[which]
            via[n_raw] = nodes[index]
            crowd[n_raw] = users[index]
            source[n_raw] = SHARED
            n_raw += 1
    near = np.empty(2 * BESIDE, np.int32)
    n_near = _beside(graph, account, first_seen_ms, horizon, near)
    for index in range(n_near):
        raw[n_raw] = near[index]
        strength[n_raw] = 0.0
        via[n_raw] = -1
        source[n_raw] = SYNCHRONY
        n_raw += 1
    n_found = _merge(raw, strength, via, crowd, source, n_raw, found)
    n_found = _without_cut(graph, account, horizon, asked.time_ms[q], n_found, found)
    n_found = _strongest(strengths, n_found, found)
    return int(_weigh(graph, profiles, strengths, asked, extras, q, n_found, found))


@compiled
def _merge(raw: Any, strength: Any, via: Any, crowd: Any, source: Any, n_raw: int, found: Partners) -> int:
    """Bring the entries of each partner together, partners ascending."""
    order = np.argsort(raw[:n_raw], kind="mergesort")
    n_found = -1
    last = np.int32(-1)
    best = 0.0
    for step in range(n_raw):
        index = order[step]
        if raw[index] != last:
            n_found += 1
            last = raw[index]
            best = 0.0
            found.account[n_found] = last
            found.shared[n_found] = 0.0
            found.direct[n_found] = 0.0
            found.beside[n_found] = 0.0
            found.via[n_found] = -1
            found.via_users[n_found] = 0
            found.common[n_found] = 0
        if source[index] == SHARED:
            found.shared[n_found] += strength[index]
            found.common[n_found] += 1
            if strength[index] > best:
                best = strength[index]
                found.via[n_found] = via[index]
                found.via_users[n_found] = crowd[index]
        elif source[index] == DIRECT:
            found.direct[n_found] += strength[index]
        else:
            found.beside[n_found] = 1.0
    return n_found + 1


@compiled
def _tie(found: Partners, index: int) -> Any:
    """What shared nodes and direct interactions make of a link before behaviour is compared, 0 to 1."""
    return 1.0 - np.exp(-found.shared[index] - found.direct[index])


@compiled
def _copy(found: Partners, source: int, target: int) -> None:
    found.account[target] = found.account[source]
    found.shared[target] = found.shared[source]
    found.direct[target] = found.direct[source]
    found.beside[target] = found.beside[source]
    found.via[target] = found.via[source]
    found.via_users[target] = found.via_users[source]
    found.common[target] = found.common[source]


@compiled
def _without_cut(
    graph: Graph, account: int, horizon: int, time_ms: int, n_found: int, found: Partners
) -> int:
    """Drop partners that a person called not linked."""
    if graph.fields[CUT_KEY, 1] == 0:
        return n_found
    kept = 0
    for index in range(n_found):
        if not is_cut(graph, account, np.int64(found.account[index]), horizon, time_ms):
            _copy(found, index, kept)
            kept += 1
    return kept


@compiled
def _strongest(strengths: Strengths, n_found: int, found: Partners) -> int:
    """Drop partners that no likeness could lift over the least weight, and all but the firmest `COMPARED`."""
    firm = np.empty(n_found, np.float64)
    n_firm = 0
    for index in range(n_found):
        tie = _tie(found, index)
        if tie >= strengths.least:
            firm[n_firm] = tie
            n_firm += 1
    floor = strengths.least
    if n_firm > COMPARED:
        floor = max(floor, np.sort(firm[:n_firm])[n_firm - COMPARED])
    kept = 0
    for index in range(n_found):
        if found.beside[index] > 0.0 or _tie(found, index) >= floor:
            _copy(found, index, kept)
            kept += 1
    return kept


@compiled
def _weigh(
    graph: Graph,
    profiles: Any,
    strengths: Strengths,
    asked: Asked,
    extras: Extras,
    q: int,
    n_found: int,
    found: Partners,
) -> int:
    """Compare behaviour and turn strengths into weights; partners that are too weak are dropped."""
    horizon = asked.horizon[q]
    first_seen_ms = asked.first_seen_ms[q]
    own = (extras.ptr[q], extras.ptr[q + 1])
    account = np.int64(asked.account[q])
    node = node_of(graph, account)
    width = profile_width(graph)
    mine = np.empty(width, np.float32)
    theirs = np.empty(width, np.float32)
    if account >= 0 and len(profiles) > 0:
        _profile_of(graph, profiles, account, horizon, extras, own, mine)
    else:
        write_profile(graph, node, asked.attributes[q], horizon, extras, own[0], own[1], True, mine)
    # The usual likeness of accounts that merely appeared beside this one.
    usual = 0.0
    n_usual = 0
    for index in range(n_found):
        _profile_of(graph, profiles, np.int64(found.account[index]), horizon, extras, own, theirs)
        found.alike[index] = similarity(mine, theirs)
        if found.beside[index] > 0.0:
            usual += found.alike[index]
            n_usual += 1
    usual = usual / n_usual if n_usual > 0 else 1.0
    kept = 0
    for index in range(n_found):
        other = np.int64(found.account[index])
        gap_ms = gap_between(first_seen_ms, first_seen_of(graph, other))
        alike = found.alike[index]
        weight = _tie(found, index) * alike**strengths.alike_power
        beside = 0.0
        if found.beside[index] > 0.0 and alike > usual and gap_ms >= 0:
            beside = synchrony_of(strengths, alike, usual, gap_ms)
        weight = 1.0 - (1.0 - weight) * (1.0 - beside)
        if weight < strengths.least or weight <= 0.0:
            continue
        _copy(found, index, kept)
        found.weight[kept] = weight
        found.beside[kept] = beside
        found.alike[kept] = alike
        found.gap_ms[kept] = gap_ms
        kept += 1
    return kept
