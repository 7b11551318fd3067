"""Contact with accounts that are known to be bad: always a reason, an input only where it proves itself."""

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
    is_hub,
    kind_at,
    n_fresh,
    neighbour,
    node_of,
    size_of,
    users_of,
    visible_pairs,
)

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from features.live import Source
    from features.queries import Queries

CONTACT_FEATURES: Final = (
    FeatureSpec(
        "contact.bad_sharers",
        "contact",
        "contact",
        "accounts known to be bad that share something with it, log",
        uses_verdicts=True,
    ),
    FeatureSpec(
        "contact.rarest_users",
        "contact",
        "contact",
        "accounts on the rarest thing that it shares with a bad account, log2",
        uses_verdicts=True,
    ),
    FeatureSpec(
        "contact.bad_share",
        "contact",
        "contact",
        "greatest share of bad accounts on one thing that it shares",
        uses_verdicts=True,
    ),
    FeatureSpec(
        "contact.bad_dealt_with",
        "contact",
        "contact",
        "accounts known to be bad that it dealt with, log",
        uses_verdicts=True,
    ),
)
# A household's device has up to five users, a farm's dozens; above, contact says little of who is behind it.
RARE_USERS: Final = 64
# A street's addresses or a popular page are no identifiers: only what hardly anybody touches counts there.
_RARE_USERS_ELSEWHERE: Final = 12
# Nodes that the account touches, and accounts on each of them, that are looked at.
_NODES: Final = 256
_USERS: Final = 256


@dataclass(frozen=True, slots=True)
class Contact:
    """What links the accounts asked about to accounts known to be bad.

    Attributes:
        features: ``float32[Q, 4]`` in the order of `CONTACT_FEATURES`.
        via: ``int64[Q]``, the rarest shared node, -1 if none.
        bad_account: ``int64[Q]``, a bad account on it, or one dealt with; -1 if none.
        users: ``int64[Q]``, accounts that touch the shared node.
    """

    features: NDArray[np.float32]
    via: NDArray[np.int64]
    bad_account: NDArray[np.int64]
    users: NDArray[np.int64]


@njit(cache=True, nogil=True, error_model="numpy")
def _contact(
    graph: Graph,
    asked: Asked,
    extras: Extras,
    most_users: Any,
    since: Any,
    until: Any,
    out: Any,
    via: Any,
    bad: Any,
    least: Any,
) -> None:
    row = 2 * graph.n_sides
    for q in range(len(asked.account)):
        account = asked.account[q]
        horizon = asked.horizon[q]
        time_ms = asked.time_ms[q]
        first = extras.ptr[q]
        last = extras.ptr[q + 1]
        node = node_of(graph, account)
        sharers = 0
        dealt_with = 0
        share = 0.0
        rarest = np.int64(0)
        via[q] = -1
        bad[q] = -1
        span = visible_pairs(graph, row + 1, node, horizon)
        fresh = n_fresh(extras, first, last, -1)
        for step in range(min(size_of(span) + fresh, _NODES)):
            shared = counterpart_at(graph, row + 1, span, extras, first, last, -1, fresh, step)
            if shared < 0 or is_hub(graph, shared, horizon):
                continue
            other = account_at(graph, shared)
            if (
                other >= 0
                and other != account
                and since[other] < horizon
                and horizon <= until[other]
                and not is_cut(graph, account, other, horizon, time_ms)
            ):
                dealt_with += 1
                if bad[q] < 0:
                    bad[q] = other
            users = users_of(graph, shared, horizon, extras, first, last)
            if users < 2 or users > most_users[kind_at(graph, shared)]:
                continue
            members = visible_pairs(graph, row, shared, horizon)
            n_members = size_of(members)
            found = 0
            one = np.int64(-1)
            for place in range(n_members - 1, max(0, n_members - _USERS) - 1, -1):
                j = account_at(graph, neighbour(graph, row, members, place))
                if (
                    j >= 0
                    and j != account
                    and since[j] < horizon
                    and horizon <= until[j]
                    and not is_cut(graph, account, j, horizon, time_ms)
                ):
                    found += 1
                    one = np.int64(j)
            if found > 0:
                sharers += found
                share = max(share, found / (users - 1.0))
                if rarest == 0 or users < rarest:
                    rarest = users
                    via[q] = shared
                    bad[q] = one
        least[q] = rarest
        out[q, 0] = np.log1p(sharers + 0.0)
        out[q, 1] = np.log2(rarest + 0.0) if rarest > 0 else np.nan
        out[q, 2] = share
        out[q, 3] = np.log1p(dealt_with + 0.0)


def contact(
    source: Source,
    queries: Queries,
    since: NDArray[np.int64],
    until: NDArray[np.int64],
    extras: Extras | None = None,
) -> Contact:
    """Find what links accounts to known bad ones, as of each question's horizon.

    The account's own verdict never counts, hubs never link, and only what few accounts touch counts: up to 64
    for identifiers, up to 12 for everything else.

    Args:
        source: The graph.
        queries: ``Q`` questions.
        since: ``int64[A]``, an account is known to be bad at horizons above this.
        until: ``int64[A]``, and up to this.
        extras: What `features.extras_of` gives for the questions, where it is known already.

    Returns:
        The contacts.
    """
    size = len(queries)
    found = Contact(
        features=np.empty((size, len(CONTACT_FEATURES)), dtype=np.float32),
        via=np.empty(size, dtype=np.int64),
        bad_account=np.empty(size, dtype=np.int64),
        users=np.empty(size, dtype=np.int64),
    )
    _contact(
        open_graph(source).graph,
        asked_of(queries),
        extras_of(source, queries) if extras is None else extras,
        np.array([RARE_USERS if one.identifier else _RARE_USERS_ELSEWHERE for one in source.kinds]),
        since,
        until,
        found.features,
        found.via,
        found.bad_account,
        found.users,
    )
    return found
