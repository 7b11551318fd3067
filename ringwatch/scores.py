"""The scores that the current bundle gives the accounts of the current snapshot."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import polars as pl

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from numpy.typing import NDArray

    from graph_etl import Snapshot, Workspace


@dataclass(frozen=True, slots=True)
class Scores:
    """Scores of all accounts of a snapshot.

    Attributes:
        bundle: Version of the bundle; None without one.
        score: ``float64[A]`` in [0, 1]; 0 for all without a bundle.
        percentile: ``float64[A]``, 0 to 100.
        held_out: ``float64[A]``, the score by models that were fitted without the account's fold; NaN where
            it never was held out.
    """

    bundle: str | None
    score: NDArray[np.float64]
    percentile: NDArray[np.float64]
    held_out: NDArray[np.float64]

    def table(self, snapshot: Snapshot) -> pl.DataFrame:
        """Return one row an account: ``account_id``, ``score``, ``percentile``."""
        return pl.DataFrame(
            {"account_id": snapshot.account_ids.to_list(), "score": self.score, "percentile": self.percentile}
        )


def current_scores(
    place: Workspace,
    snapshot: Snapshot,
    bundle_version: str | None = None,
    *,
    by: Callable[[Path, Path], pl.DataFrame] | None = None,
) -> Scores:
    """Score all accounts with the current bundle, or another.

    A bundle that was trained on an earlier snapshot scores the accounts as they stand in this one.

    Args:
        place: The workspace.
        snapshot: A snapshot of it.
        bundle_version: The bundle; the current one if None.
        by: Scores all accounts, given the folders of snapshot and bundle; `ray_jobs.score_here` if None.

    Returns:
        The scores; zeros if there is no bundle yet.
    """
    version = bundle_version or place.current()["bundle"]
    n = snapshot.n_accounts
    if version is None:
        return Scores(None, np.zeros(n), np.zeros(n), np.full(n, np.nan))
    import gnn
    from ray_jobs import score_here

    path = place.path_of("bundle", version)
    bundle = gnn.Bundle.open(path)
    found = (by or score_here)(snapshot.path, path)
    held_out = (
        found.select("account_id")
        .join(
            bundle.scores.select("account_id", "oof_score"),
            on="account_id",
            how="left",
            maintain_order="left",
        )["oof_score"]
        .cast(pl.Float64)
        .fill_null(float("nan"))
    )
    return Scores(version, found["score"].to_numpy(), found["percentile"].to_numpy(), held_out.to_numpy())
