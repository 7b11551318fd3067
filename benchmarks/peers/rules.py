"""Rules that a platform has before it has a model."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np

from features import compute, registry_of
from features.queries import actors

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from features import Queries
    from graph_etl import Snapshot

# The next column only breaks ties of those before it.
_ORDER: Final = ("shared.within_1d", "shared.accounts", "account.counterparts")


def sharing_rule(snapshot: Snapshot, queries: Queries) -> NDArray[np.float64]:
    """Suspect accounts by how many others share something with them, those of the same day first.

    What is common to many (hubs) is not shared. Where nothing is shared the number of counterparts decides,
    so that a graph of accounts alone has a rule too.

    Args:
        snapshot: The snapshot.
        queries: ``Q`` questions, each as of its horizon.

    Returns:
        ``float64[Q]``, higher is worse.
    """
    names = registry_of(snapshot).names
    table = np.nan_to_num(compute(snapshot, queries)[:, [names.index(one) for one in _ORDER]])
    return lexical(table)


def device_rule(
    snapshot: Snapshot, queries: Queries, kind: str = "device", least: int = 3
) -> NDArray[np.float64]:
    """Suspect accounts on a device that at least three have used by then.

    Args:
        snapshot: The snapshot.
        queries: ``Q`` questions about accounts that it knows.
        kind: What is shared.
        least: Number of accounts, the one in question among them.

    Returns:
        ``float64[Q]`` of 0 and 1.
    """
    relation = snapshot.relation(f"used:{kind}")
    node = np.asarray(snapshot.account_node)[queries.account]
    found = np.zeros(len(queries))
    for row, horizon in enumerate(queries.horizon.tolist()):
        used = relation.pair_out.nbr[relation.pair_out.of(int(node[row]), horizon)]
        sizes = [relation.pair_in.of(int(one), horizon) for one in used]
        found[row] = any(size.stop - size.start >= least for size in sizes)
    return found


def quick_buyers(
    snapshot: Snapshot, type_name: str = "purchase", within_ms: int = 60_000
) -> NDArray[np.bool_]:
    """Accounts that had an event of a type soon after they appeared; nobody knows that at sign-up.

    Args:
        snapshot: The snapshot.
        type_name: Of the event.
        within_ms: How soon.

    Returns:
        ``bool[A]``.
    """
    position = np.flatnonzero(np.asarray(snapshot.event_type) == snapshot.event_types.index(type_name))
    account = actors(snapshot)[position]
    position, account = position[account >= 0], account[account >= 0]
    waited_ms = np.asarray(snapshot.event_time_ms)[position] - np.asarray(snapshot.first_seen_ms)[account]
    found = np.zeros(snapshot.n_accounts, np.bool_)
    found[account[waited_ms <= within_ms]] = True
    return found


def lexical(table: NDArray[np.float32]) -> NDArray[np.float64]:
    """Scores that order rows by the first column, ties by the second, and so on.

    Args:
        table: ``float32[n, k]``.

    Returns:
        ``float64[n]`` from 0 to 1; equal rows have equal scores.
    """
    rank = np.unique(table, axis=0, return_inverse=True)[1].reshape(-1)
    return rank.astype(np.float64) / max(1, int(rank.max(initial=0)))
