"""What becomes of partners: rows of links and of link features, over the threads."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from numba import get_num_threads

from features.visibility import DAY_MS, HOUR_MS, Asked, Extras, Graph
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
def feature_rows(
    graph: Graph,
    profiles: Any,
    strengths: Strengths,
    asked: Asked,
    extras: Extras,
    first: int,
    last: int,
    out: Any,
) -> None:
    """The link features of questions ``first:last``."""
    found = room()
    row = np.empty(FEATURE_WIDTH, np.float64)
    for q in range(first, last):
        n_found = partners_of(graph, profiles, strengths, asked, extras, q, found)
        write_link_features(found, n_found, row)
        for index in range(FEATURE_WIDTH):
            out[q, index] = row[index]


# Questions that a thread takes at a time; each answer is independent, so neither this nor the number of
# threads changes a bit.
_SHARE: Final = 512


def over_threads(rows: Callable[[int, int], None], n_rows: int) -> None:
    """Call ``rows(first, last)`` for all rows, on as many threads as numba may use.

    Args:
        rows: Compiled code that lets go of the interpreter.
        n_rows: Number of rows.
    """
    if n_rows <= _SHARE:
        rows(0, n_rows)
        return
    with ThreadPoolExecutor(get_num_threads()) as threads:
        shares = range(0, n_rows, _SHARE)
        list(threads.map(lambda first: rows(first, min(n_rows, first + _SHARE)), shares))
