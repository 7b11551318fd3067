"""What becomes of partners: rows of links and of link features, over the threads."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from numba import get_num_threads

from features.view import DIRECT as DIRECT_TO
from features.visibility import (
    DAY_MS,
    HOUR_MS,
    Asked,
    Extras,
    Graph,
    account_at,
    counterpart_at,
    is_hub,
    n_fresh,
    node_of,
    size_of,
    visible_pairs,
)
from rings.kernel import DIRECT, SHARED, SYNCHRONY, Partners, Strengths, compiled, partners_of, room

if TYPE_CHECKING:
    from collections.abc import Callable


@compiled
def link_rows(
    graph: Graph,
    profiles: Any,
    strengths: Strengths,
    asked: Asked,
    extras: Extras,
    first: int,
    last: int,
    count: Any,
    partner: Any,
    weight: Any,
    source: Any,
    via: Any,
) -> None:
    """The strongest links of questions ``first:last``: row ``q`` of the outputs, ``count[q]`` filled."""
    found = room()
    for q in range(first, last):
        n_found = partners_of(graph, profiles, strengths, asked, extras, q, found)
        order = np.argsort(-found.weight[:n_found], kind="mergesort")
        kept = min(n_found, partner.shape[1])
        count[q] = kept
        for index in range(kept):
            at = order[index]
            partner[q, index] = found.account[at]
            weight[q, index] = found.weight[at]
            via[q, index] = found.via[at]
            source[q, index] = (
                (SHARED if found.shared[at] > 0 else 0)
                + (DIRECT if found.direct[at] > 0 else 0)
                + (SYNCHRONY if found.beside[at] > 0 else 0)
            )


FEATURE_WIDTH: Final = 24


@compiled
def write_link_features(found: Partners, n_found: int, out: Any) -> None:
    """Sums, maxima and counts over the links of one account."""
    for index in range(FEATURE_WIDTH):
        out[index] = 0.0
    squares = 0.0
    best = 0.0
    rarest = 0
    for index in range(n_found):
        weight = found.weight[index]
        out[0] += 1.0
        out[1] += weight
        squares += weight * weight
        out[3] = max(out[3], weight)
        for level in range(3):
            if weight > (0.1, 0.3, 0.6)[level]:
                out[4 + level] += 1.0
        out[7] += weight * found.alike[index]
        if found.shared[index] > 0.0:
            out[8] += 1.0
            out[9] += found.shared[index]
            out[10] = max(out[10], found.shared[index])
            out[11] = max(out[11], found.common[index] + 0.0)
            out[12] += max(0, found.common[index] - 1)
            if found.shared[index] > best and found.via[index] >= 0:
                best = found.shared[index]
                rarest = found.via_users[index]
        if found.direct[index] > 0.0:
            out[14] += 1.0
            out[15] += found.direct[index]
            out[16] = max(out[16], weight)
        if found.beside[index] > 0.0:
            out[17] += 1.0
            out[18] += found.beside[index]
            out[19] = max(out[19], found.beside[index])
        if found.gap_ms[index] >= 0:
            out[20] += weight * np.exp(-found.gap_ms[index] / HOUR_MS)
            out[21] += weight * np.exp(-found.gap_ms[index] / DAY_MS)
            out[22] += weight * np.exp(-found.gap_ms[index] / (7 * DAY_MS))
        if found.shared[index] > 0.0 and found.alike[index] > 0.8:
            out[23] += 1.0
    out[7] = out[7] / out[1] if out[1] > 0.0 else np.nan
    out[2] = np.sqrt(squares)
    out[13] = np.log2(rarest + 0.0) if rarest > 0 else np.nan
    for index in (0, 1, 4, 5, 6, 8, 9, 12, 14, 15, 17, 23):
        out[index] = np.log1p(out[index])


@compiled
def _community_of(member: Any, level: int, account: int, found: Partners, n_found: int) -> Any:
    """An account's community at a level: its own, or else the one that its links hold on to most."""
    n_known = member.shape[1]
    if 0 <= account < n_known and member[level, account] >= 0:
        return np.int64(member[level, account])
    homes = np.empty(n_found, np.int64)
    weights = np.empty(n_found, np.float64)
    count = 0
    for index in range(n_found):
        other = found.account[index]
        if other < n_known and member[level, other] >= 0:
            homes[count] = member[level, other]
            weights[count] = found.weight[index]
            count += 1
    best = np.int64(-1)
    most = 0.0
    here = 0.0
    order = np.argsort(homes[:count], kind="mergesort")
    for step in range(count):
        at = order[step]
        if step == 0 or homes[at] != homes[order[step - 1]]:
            here = 0.0
        here += weights[at]
        if here > most:
            most = here
            best = homes[at]
    return best


@compiled
def _write_communities(
    member: Any, size: Any, table: Any, widths: Any, account: int, found: Partners, n_found: int, out: Any
) -> None:
    """What is known of an account's community at each level, and how firmly it is tied to it."""
    at = 0
    for level in range(len(widths)):
        width = widths[level]
        home = _community_of(member, level, account, found, n_found)
        for index in range(width + 1):
            out[at + index] = np.nan
        if home >= 0:
            for index in range(width):
                out[at + index] = table[home, index]
            n_known = member.shape[1]
            inside = 0 <= account < n_known and member[level, account] == home
            tie = 0.0
            for index in range(n_found):
                other = found.account[index]
                if other < n_known and member[level, other] == home:
                    tie += found.weight[index]
            out[at + width] = tie / max(1, size[home] - inside)
        at += width + 1


@compiled
def feature_rows(
    graph: Graph,
    profiles: Any,
    strengths: Strengths,
    asked: Asked,
    extras: Extras,
    member: Any,
    size: Any,
    table: Any,
    widths: Any,
    first: int,
    last: int,
    out: Any,
) -> None:
    """The features of links, and of communities where there are levels, of questions ``first:last``."""
    found = room()
    row = np.empty(FEATURE_WIDTH, np.float64)
    for q in range(first, last):
        n_found = partners_of(graph, profiles, strengths, asked, extras, q, found)
        write_link_features(found, n_found, row)
        for index in range(FEATURE_WIDTH):
            out[q, index] = row[index]
        _write_communities(
            member, size, table, widths, asked.account[q], found, n_found, out[q, FEATURE_WIDTH:]
        )


# Accounts read of each side, the latest first: as many as the features of direct interactions read.
_DIRECT_PER_SIDE: Final = 64


@compiled
def mean_rows(
    graph: Graph, table: Any, asked: Asked, extras: Extras, first: int, last: int, out: Any
) -> None:
    """Mean rows of ``table`` (by account) over the accounts that the accounts of questions dealt with."""
    width = table.shape[1]
    total = np.empty(width, np.float64)
    for q in range(first, last):
        account = np.int64(asked.account[q])
        horizon = asked.horizon[q]
        node = node_of(graph, account)
        begin, end = extras.ptr[q], extras.ptr[q + 1]
        total[:] = 0.0
        count = 0
        for side in range(graph.n_sides):
            if graph.addresses[side, DIRECT_TO] == 0:
                continue
            span = visible_pairs(graph, side, node, horizon)
            fresh = n_fresh(extras, begin, end, side)
            for step in range(min(size_of(span) + fresh, _DIRECT_PER_SIDE)):
                counterpart = counterpart_at(graph, side, span, extras, begin, end, side, fresh, step)
                if counterpart < 0:
                    continue
                other = account_at(graph, counterpart)
                if (
                    other < 0
                    or other == account
                    or other >= len(table)
                    or is_hub(graph, counterpart, horizon)
                ):
                    continue
                if width == 0 or np.isnan(table[other, 0]):
                    continue
                for place in range(width):
                    total[place] += table[other, place]
                count += 1
        for place in range(width):
            out[q, place] = total[place] / count if count > 0 else np.nan


# Questions that a thread takes at a time at least, and times that it comes back for more; each answer is
# independent, so neither these nor the number of threads changes a bit.
_SHARE: Final = 512
_SHARES: Final = 16


def over_threads(rows: Callable[[int, int], None], n_rows: int) -> None:
    """Call ``rows(first, last)`` for all rows, on as many threads as numba may use.

    Args:
        rows: Compiled code that lets go of the interpreter.
        n_rows: Number of rows.
    """
    if n_rows <= _SHARE:
        rows(0, n_rows)
        return
    n_threads = get_num_threads()
    share = max(_SHARE, -(-n_rows // (_SHARES * n_threads)))
    with ThreadPoolExecutor(n_threads) as threads:
        shares = range(0, n_rows, share)
        list(threads.map(lambda first: rows(first, min(n_rows, first + share)), shares))
