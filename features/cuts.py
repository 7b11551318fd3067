"""Pairs of accounts that a person called not linked."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from graph_etl import Snapshot

Cuts = dict[tuple[int, int], list[tuple[int, int, int]]]
NEVER: Final = 2**63 - 1


def cuts_of(snapshot: Snapshot) -> Cuts:
    """Cuts that a snapshot holds.

    Args:
        snapshot: The snapshot.

    Returns:
        For each pair of accounts from and until which position each cut holds, and until which time.
    """
    found: Cuts = {}
    columns = snapshot.cuts.select("account", "other", "known_pos", "undone_pos", "until_ms").iter_rows()
    for account, other, since, undone, until_ms in columns:
        until = NEVER if undone is None else undone
        found.setdefault((account, other), []).append((since, until, NEVER if until_ms is None else until_ms))
    return found


def cut_arrays(cuts: Cuts) -> dict[str, NDArray[np.int64]]:
    """Cuts as the kernels read them.

    Args:
        cuts: For each pair of accounts from and until which position it holds, and until which time.

    Returns:
        The arrays of the fields ``CUT_``.
    """
    entries = sorted((low * (1 << 32) + high, *row) for (low, high), found in cuts.items() for row in found)
    table = np.array(entries, np.int64).reshape(-1, 4)
    names = ("cut_key", "cut_since", "cut_until", "cut_until_ms")
    return {name: np.ascontiguousarray(column) for name, column in zip(names, table.T, strict=True)}
