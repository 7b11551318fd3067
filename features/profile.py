"""An account's behaviour as a vector, and how alike two of them are."""

from __future__ import annotations

from typing import Any, Final

import numpy as np
from numba import njit, prange

from features.visibility import (
    Extras,
    Graph,
    attributes_of,
    compiled,
    counterpart_at,
    is_category,
    n_fresh,
    node_of,
    size_of,
    users_of,
    visible_pairs,
)

# Counterparts read for a neighbour's profile, computed for up to hundreds of neighbours a question.
PROFILE_PAIRS: Final = 16
CATEGORY_SLOTS: Final = 8


@compiled
def signed_log(value: float) -> Any:
    """Logarithm that keeps the sign: ``sign(x) log(1 + |x|)``."""
    return np.log1p(value) if value >= 0 else -np.log1p(-value)


@compiled
def profile_width(graph: Graph) -> int:
    """Places of a profile: those of the attributes, then two for each side."""
    slots = 2 * graph.n_sides
    for index in range(graph.n_attributes):
        slots += CATEGORY_SLOTS if is_category(graph, index) else 1
    return slots


@compiled
def write_profile(
    graph: Graph,
    node: int,
    attributes: Any,
    horizon: int,
    extras: Extras,
    first: int,
    last: int,
    own: bool,
    out: Any,
) -> None:
    """Write the behaviour vector of one account: attributes, then size and commonness for each side.

    ``own`` is True for the account that is asked about: the question's extra edges are then its edges.
    """
    place = 0
    for index in range(graph.n_attributes):
        value = attributes[index]
        if is_category(graph, index):
            for slot in range(CATEGORY_SLOTS):
                out[place + slot] = 0.0
            if not np.isnan(value):
                out[place + int(value) % CATEGORY_SLOTS] = 1.0
            place += CATEGORY_SLOTS
        else:
            out[place] = 0.0 if np.isnan(value) else signed_log(value)
            place += 1
    for side in range(graph.n_sides):
        span = visible_pairs(graph, side, node, horizon)
        fresh = n_fresh(extras, first, last, side) if own else np.int64(0)
        degree = size_of(span) + fresh
        read = min(degree, PROFILE_PAIRS)
        total = 0.0
        for step in range(read):
            counterpart = counterpart_at(graph, side, span, extras, first, last, side, fresh, step)
            total += np.log2(1.0 + users_of(graph, counterpart, horizon, extras, first, last))
        out[place] = np.log1p(degree + 0.0)
        out[place + 1] = total / read / 4.0 if read > 0 else -1.0
        place += 2


@compiled
def similarity(left: Any, right: Any) -> Any:
    """Gaussian similarity of two profiles over the places in which either says something."""
    total = 0.0
    count = 0
    for index in range(len(left)):
        a = left[index]
        b = right[index]
        if (a == 0.0 and b == 0.0) or (a == -1.0 and b == -1.0):
            continue
        total += (a - b) * (a - b)
        count += 1
    if count == 0:
        return 1.0
    return np.exp(-2.0 * total / count)


@njit(cache=True, parallel=True, error_model="numpy")
def profile_all(graph: Graph, accounts: Any, horizon: int, extras: Extras, out: Any) -> None:
    """Profiles of many accounts at one horizon."""
    for index in prange(len(accounts)):
        account = accounts[index]
        write_profile(
            graph,
            node_of(graph, account),
            attributes_of(graph, account),
            horizon,
            extras,
            0,
            0,
            False,
            out[index],
        )
