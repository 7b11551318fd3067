"""Batch scoring: the current score of every account, here or over Ray tasks, with the same bits."""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import polars as pl

import gnn
from features import Queries
from graph_etl import Snapshot
from ray_jobs.errors import RayMissing

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from numpy.typing import NDArray

CHUNK_ACCOUNTS: Final = 16_384
"""Accounts scored at a time: their features at two hops stay well below a gigabyte."""

MOMENT: Final = "retrospective"


def score_accounts(snapshot_path: str, bundle_path: str, accounts: NDArray[np.int64]) -> pl.DataFrame:
    """Score some accounts of a snapshot with a bundle, as they look at its end.

    This is the one function behind `ringwatch export scores`, here and over Ray. An account's score does not
    depend on which others are scored with it.

    Args:
        snapshot_path: Folder of the snapshot; must be readable where this runs.
        bundle_path: Folder of the bundle, likewise.
        accounts: Account indices, ``int64[n]``.

    Returns:
        One row an account in the order asked: ``account`` int32, ``account_id``, ``score`` in [0, 1],
        ``percentile`` 0 to 100.
    """
    scorer = _scorer(snapshot_path, bundle_path)
    snapshot = scorer.snapshot
    result = scorer.score(Queries.for_accounts(snapshot, accounts, MOMENT), MOMENT)
    return pl.DataFrame(
        {
            "account": accounts.astype(np.int32),
            "account_id": pl.Series([snapshot.account_ids[int(i)] for i in accounts], dtype=pl.String),
            "score": result.score,
            "percentile": result.percentile,
        }
    )


def score_here(
    snapshot_path: Path, bundle_path: Path, *, chunk_accounts: int = CHUNK_ACCOUNTS
) -> pl.DataFrame:
    """Score all accounts in this process.

    Args:
        snapshot_path: Folder of the snapshot.
        bundle_path: Folder of the bundle.
        chunk_accounts: Accounts scored at a time; changes memory, not scores.

    Returns:
        As `score_accounts`, all accounts in the snapshot's order.
    """
    paths = str(snapshot_path), str(bundle_path)
    return pl.concat([score_accounts(*paths, chunk) for chunk in _chunks(snapshot_path, chunk_accounts)])


def score_over_ray(
    snapshot_path: Path,
    bundle_path: Path,
    *,
    address: str | None = None,
    chunk_accounts: int = CHUNK_ACCOUNTS,
) -> pl.DataFrame:
    """Score all accounts in Ray tasks, one a chunk.

    Args:
        snapshot_path: Folder of the snapshot, on storage that all nodes see.
        bundle_path: Folder of the bundle, likewise.
        address: Address of a running cluster; Ray's own choice if None: `RAY_ADDRESS`, else a cluster on this
            machine that ends with the call.
        chunk_accounts: Accounts of one task.

    Returns:
        The same bits as `score_here`.

    Raises:
        RayMissing: If Ray is not installed.
    """
    ray = _ray()
    ours = not ray.is_initialized()
    if ours:
        ray.init(address=address, include_dashboard=False, log_to_driver=False, configure_logging=False)
    try:
        task = ray.remote(score_accounts)
        paths = str(snapshot_path.resolve()), str(bundle_path.resolve())
        parts: Sequence[pl.DataFrame] = ray.get(
            [task.remote(*paths, chunk) for chunk in _chunks(snapshot_path, chunk_accounts)]
        )
    finally:
        if ours:
            ray.shutdown()
    return pl.concat(parts)


def _ray() -> Any:
    """Return the module `ray`, or say which extra brings it."""
    try:
        import ray
    except ModuleNotFoundError:
        raise RayMissing from None
    return ray


def _chunks(snapshot_path: Path, chunk_accounts: int) -> list[NDArray[np.int64]]:
    """Cut the indices of all accounts into chunks; one empty chunk where there are none."""
    accounts = np.arange(Snapshot.open(snapshot_path).n_accounts, dtype=np.int64)
    return np.array_split(accounts, max(1, -(-len(accounts) // chunk_accounts)))


@lru_cache(maxsize=1)
def _scorer(snapshot_path: str, bundle_path: str) -> gnn.Scorer:
    """Open snapshot and bundle once a process: a Ray worker scores many chunks."""
    return gnn.Scorer(Snapshot.open(snapshot_path), gnn.Bundle.open(bundle_path))
