"""Batch scoring: the current score of every account, here or over Ray tasks, with the same bits."""

from __future__ import annotations

import hashlib
from functools import lru_cache
from typing import TYPE_CHECKING, Final

import numpy as np
import polars as pl

from graph_etl import Snapshot
from graph_etl.progress import silent
from ray_jobs.cluster import connected
from ray_jobs.kept import code_of_jobs
from ray_jobs.places import Place, fetched, within_reach
from ray_jobs.spreading import spread

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

    import gnn
    from graph_etl.progress import Progress

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
    from features import Queries

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
    store: str | None = None,
    parts: Path | None = None,
    progress: Progress | None = None,
) -> pl.DataFrame:
    """Score all accounts in Ray tasks, one a chunk.

    Args:
        snapshot_path: Folder of the snapshot; nodes that do not see it need a store.
        bundle_path: Folder of the bundle, likewise.
        address: As for `ray_jobs.cluster.connected`.
        chunk_accounts: Accounts of one task.
        store: Address of a folder through which nodes get snapshot and bundle, once each.
        parts: Folder that keeps each chunk once it is scored: a run that was killed goes on from there. None:
            nothing is kept.
        progress: Told what is done: the step, how many chunks, of how many.

    Returns:
        The same bits as `score_here`.

    Raises:
        RayMissing: If Ray is not installed.
        ClusterMissing: If no cluster answers.
        JobFailed: If a chunk cannot be scored.
    """
    with connected(address) as ray:
        places = [within_reach(folder, store) for folder in (snapshot_path, bundle_path)]
        chunks = _chunks(snapshot_path, chunk_accounts)
        # Another bundle, snapshot or cut makes other parts, and so does other code.
        hashes = [place.content_hash for place in places]
        words = "\0".join([*hashes, str(chunk_accounts), code_of_jobs()])
        kept = _Parts(None if parts is None else parts / hashlib.sha256(words.encode()).hexdigest()[:16])
        found = {number: table for number in range(len(chunks)) if (table := kept.read(number)) is not None}
        missing = [number for number in range(len(chunks)) if number not in found]
        tell = progress or silent
        tell("scoring all accounts", len(found), len(chunks))
        calls = ((*places, chunks[number]) for number in missing)
        for at, table in spread(ray, _score_places, calls):
            kept.write(missing[at], table)
            found[missing[at]] = table
            tell("scoring all accounts", len(found), len(chunks))
    return pl.concat([found[number] for number in range(len(chunks))])


class _Parts:
    """Scored chunks on disk, each whole or not there."""

    def __init__(self, folder: Path | None) -> None:
        self._folder = folder
        if folder is not None:
            folder.mkdir(parents=True, exist_ok=True)

    def read(self, number: int) -> pl.DataFrame | None:
        """A chunk that an earlier run scored; None if there is none that can be read."""
        if self._folder is None:
            return None
        try:
            return pl.read_parquet(self._folder / f"{number:06d}.parquet", glob=False, memory_map=False)
        except (OSError, pl.exceptions.PolarsError):
            return None

    def write(self, number: int, table: pl.DataFrame) -> None:
        """Keep a chunk."""
        if self._folder is not None:
            partial = self._folder / f".{number:06d}.partial"
            table.write_parquet(partial)
            partial.replace(self._folder / f"{number:06d}.parquet")


def _score_places(snapshot: Place, bundle: Place, accounts: NDArray[np.int64]) -> pl.DataFrame:
    """Score a chunk on a node, which fetches what it does not have."""
    return score_accounts(str(fetched(snapshot)), str(fetched(bundle)), accounts)


def _chunks(snapshot_path: Path, chunk_accounts: int) -> list[NDArray[np.int64]]:
    """Cut the indices of all accounts into chunks; one empty chunk where there are none."""
    accounts = np.arange(Snapshot.open(snapshot_path).n_accounts, dtype=np.int64)
    return np.array_split(accounts, max(1, -(-len(accounts) // chunk_accounts)))


@lru_cache(maxsize=1)
def _scorer(snapshot_path: str, bundle_path: str) -> gnn.Scorer:
    """Open snapshot and bundle once a process: a Ray worker scores many chunks."""
    # Loads torch, which workers that read files or count edges have no need of.
    import gnn

    return gnn.Scorer(Snapshot.open(snapshot_path), gnn.Bundle.open(bundle_path))
