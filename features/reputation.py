"""Reputation: how many of the latest accounts on a thing are known to be bad, common things included.

Contact (`features.contact`) says that something rare is shared with a known bad account. A page, a shop or a
street links nobody, and still some of them draw bad accounts: the share says so.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from numba import njit

from features.opened import asked_of, extras_of, open_graph
from features.registry import FeatureSpec
from features.visibility import (
    Asked,
    Extras,
    Graph,
    account_at,
    counterpart_at,
    is_cut,
    n_fresh,
    neighbour,
    node_of,
    position,
    size_of,
    visible_pairs,
)

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from features.live import Source
    from features.queries import Queries

REPUTATION_FEATURES: Final = (
    FeatureSpec(
        "reputation.worst",
        "reputation",
        "reputation",
        "greatest share of known bad accounts among the latest 64 others on one thing that it touches",
        uses_verdicts=True,
    ),
    FeatureSpec(
        "reputation.mean",
        "reputation",
        "reputation",
        "mean of that share over the latest 64 things that it touches",
        uses_verdicts=True,
    ),
    FeatureSpec(
        "reputation.newest",
        "reputation",
        "reputation",
        "greatest such share among the things that it last came to for the first time",
        uses_verdicts=True,
    ),
)
# Things, and accounts on each of them, that are looked at, the latest first. Dealings with accounts are no
# things; so many counterparts are gone through for things at most.
_THINGS: Final = 64
_USERS: Final = 64
_COUNTERPARTS: Final = 256
# And so many that touch a thing for accounts: other things may touch it too.
_MEMBERS: Final = 256
# Position of what a question brings itself: after all others.
_JUST_NOW: Final = 2**62
# A share counts as if so many more accounts were there, none of them known to be bad: one of one is not all.
_SHRUNKEN_BY: Final = 2.0


@dataclass(frozen=True, slots=True)
class Reputation:
    """What is known of the accounts on the things that the accounts asked about touch.

    Attributes:
        features: ``float32[Q, 3]`` in the order of `REPUTATION_FEATURES`; NaN where it touches no thing.
        thing: ``int64[Q]``, the node with the greatest share, -1 where nobody is known to be bad.
        n_bad: ``int64[Q]``, known bad accounts among the latest on it.
        n_others: ``int64[Q]``, the latest accounts on it, the account itself left out.
    """

    features: NDArray[np.float32]
    thing: NDArray[np.int64]
    n_bad: NDArray[np.int64]
    n_others: NDArray[np.int64]


@njit(cache=True, nogil=True, error_model="numpy")
def _reputation(
    graph: Graph,
    asked: Asked,
    extras: Extras,
    since: Any,
    until: Any,
    out: Any,
    thing: Any,
    n_bad: Any,
    n_others: Any,
) -> None:
    row = 2 * graph.n_sides
    for q in range(len(asked.account)):
        account = asked.account[q]
        horizon = asked.horizon[q]
        first = extras.ptr[q]
        last = extras.ptr[q + 1]
        span = visible_pairs(graph, row + 1, node_of(graph, account), horizon)
        fresh = n_fresh(extras, first, last, -1)
        thing[q] = -1
        n_bad[q] = 0
        n_others[q] = 0
        things = 0
        worst = 0.0
        newest = 0.0
        total = 0.0
        latest = np.int64(-1)
        for step in range(min(size_of(span) + fresh, _COUNTERPARTS)):
            if things == _THINGS:
                break
            node = counterpart_at(graph, row + 1, span, extras, first, last, -1, fresh, step)
            if node >= 0 and account_at(graph, node) >= 0:
                continue
            others = 0
            bad = 0
            if node >= 0:
                members = visible_pairs(graph, row, node, horizon)
                n_members = size_of(members)
                # The account itself takes no place: a question's own edge is in no list yet.
                for place in range(n_members - 1, max(0, n_members - _MEMBERS) - 1, -1):
                    if others == _USERS:
                        break
                    j = account_at(graph, neighbour(graph, row, members, place))
                    if j < 0 or j == account:
                        continue
                    others += 1
                    if (
                        since[j] < horizon
                        and horizon <= until[j]
                        and not is_cut(graph, account, j, horizon, asked.time_ms[q])
                    ):
                        bad += 1
            share = bad / (others + _SHRUNKEN_BY)
            # Things that came together are all the newest, in whatever order they stand.
            if step < fresh:
                came = np.int64(_JUST_NOW)
            else:
                came = position(graph, row + 1, span, size_of(span) - 1 - (step - fresh))
            if things == 0:
                latest = came
            if came == latest:
                newest = max(newest, share)
            things += 1
            total += share
            if share > worst:
                worst = share
                thing[q] = node
                n_bad[q] = bad
                n_others[q] = others
        out[q, 0] = worst if things > 0 else np.nan
        out[q, 1] = total / things if things > 0 else np.nan
        out[q, 2] = newest if things > 0 else np.nan


def reputation(
    source: Source,
    queries: Queries,
    since: NDArray[np.int64],
    until: NDArray[np.int64],
    extras: Extras | None = None,
) -> Reputation:
    """Find what is known of the accounts on what each account touches, as of each question's horizon.

    The share of a thing is ``bad / (others + 2)`` over the latest 64 accounts that came to it; hubs count
    like all else, other accounts that it dealt with do not. The account's own verdict never counts.

    Args:
        source: The graph.
        queries: ``Q`` questions.
        since: ``int64[A]``, an account is known to be bad at horizons above this.
        until: ``int64[A]``, and up to this.
        extras: What `features.extras_of` gives for the questions, where it is known already.

    Returns:
        The reputations.
    """
    size = len(queries)
    found = Reputation(
        features=np.empty((size, len(REPUTATION_FEATURES)), dtype=np.float32),
        thing=np.empty(size, dtype=np.int64),
        n_bad=np.empty(size, dtype=np.int64),
        n_others=np.empty(size, dtype=np.int64),
    )
    _reputation(
        open_graph(source).graph,
        asked_of(queries),
        extras_of(source, queries) if extras is None else extras,
        since,
        until,
        found.features,
        found.thing,
        found.n_bad,
        found.n_others,
    )
    return found
