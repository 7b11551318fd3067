"""What the models learn from: labels as they were known at a time, and a platform's first day."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Literal

import numpy as np
import polars as pl

from graph_etl import NO_TIME

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from graph_etl import Snapshot

Supervision = Literal["supervised", "positive_unlabelled", "label_free"]

# Fewer confirmed accounts of a class than this and a tree learns their names, not their ways.
MIN_OF_A_CLASS: Final = 10
# A reported ring of a thousand is one fact, not a thousand: it weighs as forty of its accounts.
RING_CAP: Final = 40


@dataclass(frozen=True, slots=True)
class Targets:
    """Labels for training at one cut in time.

    Attributes:
        label: ``int8[A]``: 1 bad, 0 good, -1 not to be trained on.
        weight: ``float64[A]``.
        supervision: ``supervised``; ``positive_unlabelled`` (bad accounts only: all others stand for good,
            and scores are rescaled); ``label_free`` (too few bad accounts to learn from).
    """

    label: NDArray[np.int8]
    weight: NDArray[np.float64]
    supervision: Supervision


def targets(snapshot: Snapshot, cut_ms: int | None = None) -> Targets:
    """Labels as a trainer would have had them.

    Args:
        snapshot: The snapshot.
        cut_ms: Only verdicts known by then (Unix milliseconds) count; all if None. Verdicts without a time
            count always: they are targets only.

    Returns:
        The labels. An account without a verdict counts as good once the spec's ``assume_good_after`` has
        passed since its first appearance; before that it is no negative.
    """
    verdicts = snapshot.verdicts
    if cut_ms is not None:
        verdicts = verdicts.filter(pl.col("known_ms").is_null() | (pl.col("known_ms") <= cut_ms))
    label = np.full(snapshot.n_accounts, -1, dtype=np.int8)
    label[verdicts["account"].to_numpy()] = verdicts["label"].to_numpy()
    after_ms = snapshot.manifest.get("assume_good_after_ms")
    if after_ms is not None:
        first_seen_ms = np.asarray(snapshot.first_seen_ms)
        end_ms = snapshot.manifest["time_range_ms"][1] if cut_ms is None else cut_ms
        matured = (first_seen_ms != NO_TIME) & (first_seen_ms + after_ms <= end_ms)
        label[(label == -1) & matured] = 0
    bad = int((label == 1).sum())
    good = int((label == 0).sum())
    supervision: Supervision = "supervised"
    if bad < MIN_OF_A_CLASS:
        supervision = "label_free"
    elif good < MIN_OF_A_CLASS:
        supervision = "positive_unlabelled"
        appeared = np.asarray(snapshot.first_seen_ms) <= (
            np.iinfo(np.int64).max if cut_ms is None else cut_ms
        )
        label[(label == -1) & appeared] = 0
    return Targets(label, group_weights(snapshot, label), supervision)


def group_weights(snapshot: Snapshot, label: NDArray[np.int8]) -> NDArray[np.float64]:
    """Weights that keep one large ring from being the whole lesson.

    Args:
        snapshot: Gives the known groups.
        label: ``int8[A]``.

    Returns:
        ``float64[A]``: ``min(1, 40 / size)`` for bad accounts of known groups, 1 for all others.
    """
    weight = np.ones(snapshot.n_accounts)
    groups = snapshot.groups
    if len(groups):
        sized = groups.with_columns(pl.len().over("mapping", "group").alias("size"))
        account = sized["account"].to_numpy()
        np.minimum.at(weight, account, np.minimum(1.0, RING_CAP / sized["size"].to_numpy()))
    weight[label != 1] = 1.0
    return weight
