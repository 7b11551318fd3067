"""Rules that a platform has before it has a model."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np

from features import compute, registry_of

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


def lexical(table: NDArray[np.float32]) -> NDArray[np.float64]:
    """Scores that order rows by the first column, ties by the second, and so on.

    Args:
        table: ``float32[n, k]``.

    Returns:
        ``float64[n]`` from 0 to 1; equal rows have equal scores.
    """
    rank = np.unique(table, axis=0, return_inverse=True)[1].reshape(-1)
    return rank.astype(np.float64) / max(1, int(rank.max(initial=0)))
