"""Which of the judged examples are hard: accounts without a link, new ones, rings that nobody knows."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import polars as pl

from features import compute, registry_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from benchmarks.peers.problem import Part
    from features import Queries
    from graph_etl import Snapshot


def unlinked(snapshot: Snapshot, asked: Queries) -> dict[str, NDArray[np.bool_]]:
    """Accounts that nothing joins to another one at their moment.

    Args:
        snapshot: The snapshot.
        asked: ``R`` questions.

    Returns:
        ``bool[R]`` by the slice's name.
    """
    names = registry_of(snapshot).names
    columns = [names.index("shared.accounts"), names.index("direct.accounts")]
    table = np.nan_to_num(compute(snapshot, asked)[:, columns])
    return {"no link": (table == 0).all(axis=1)}


def unseen_rings(snapshot: Snapshot, parts: Sequence[Part]) -> NDArray[np.bool_]:
    """Accounts that no known ring-mate gives away.

    Args:
        snapshot: With known groups of any role.
        parts: The divisions; test parts do not overlap.

    Returns:
        ``bool[A]``: all but the accounts of groups of which somebody is known bad when the account is scored.
    """
    groups = snapshot.groups
    account = groups["account"].to_numpy()
    ring = groups.select(pl.struct("mapping", "group").rank("dense"))["mapping"].to_numpy().astype(np.int64)
    found = np.zeros(snapshot.n_accounts, np.bool_)
    for part in parts:
        seen = np.zeros(int(ring.max(initial=0)) + 1, np.bool_)
        seen[ring[part.label[account] == 1]] = True
        given_away = np.zeros(snapshot.n_accounts, np.bool_)
        given_away[account[seen[ring]]] = True
        found[part.test] = ~given_away[part.test]
    return found
