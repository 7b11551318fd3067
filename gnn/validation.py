"""Out-of-fold margins: one fold table, the whole chain refitted without each held-out part."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np

from gnn.targets import MIN_OF_A_CLASS, Targets, targets
from graph_etl import NO_TIME

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    from graph_etl import Snapshot

TRAIN: Final = 0
VALIDATION: Final = 1
TEST: Final = 2


@dataclass(frozen=True, slots=True)
class Fold:
    """One held-out part.

    Attributes:
        name: For progress and reports.
        train: ``int64[n]`` accounts to fit on, in the order of their ids' hash-free rank.
        held_out: ``int64[m]`` accounts to predict.
        targets: Labels as a trainer has them for this fold.
        cut_ms: Verdicts known later, and verdicts of the held-out, are nobody's input; None: no time.
    """

    name: str
    train: NDArray[np.int64]
    held_out: NDArray[np.int64]
    targets: Targets
    cut_ms: int | None


def canonical_order(snapshot: Snapshot) -> NDArray[np.int64]:
    """Accounts sorted by id: an order that does not depend on how the snapshot came about.

    Args:
        snapshot: The snapshot.

    Returns:
        ``int64[A]``.
    """
    return np.argsort(np.asarray(snapshot.account_ids.to_list()), kind="stable").astype(np.int64)


def folds(snapshot: Snapshot, split: int | None = None) -> Iterator[Fold]:
    """The folds of a snapshot.

    Under the policy ``time``, block ``b`` is held out and everything is fitted on accounts of earlier blocks
    with the verdicts known when the block began. Otherwise each fold is held out in turn. A given split has
    one fold: its training part against its validation and test parts.

    Args:
        snapshot: The snapshot.
        split: Number of a given split; the fold table if None.

    Yields:
        The folds that have enough labelled accounts to fit on.
    """
    order = canonical_order(snapshot)
    if split is not None and snapshot.splits is not None:
        part = np.asarray(snapshot.splits)[:, split]
        final = targets(snapshot)
        train = order[(part[order] == TRAIN) & (final.label[order] >= 0)]
        yield Fold("split", train, order[part[order] > TRAIN], final, None)
        return
    table = np.asarray(snapshot.folds)
    by_time = snapshot.manifest["fold_policy"] == "time"
    first_seen_ms = np.asarray(snapshot.first_seen_ms)
    final = targets(snapshot)
    for number in range(int(table.max()) + 1 if len(table) else 0):
        held_out = order[table[order] == number]
        if not len(held_out):
            continue
        if by_time:
            timed = first_seen_ms[held_out]
            timed = timed[timed != NO_TIME]
            if number == 0 or not len(timed):
                continue
            cut_ms = int(timed.min())
            known = targets(snapshot, cut_ms)
            train = order[(table[order] < number) & (known.label[order] >= 0)]
        else:
            cut_ms = None
            known = final
            train = order[(table[order] != number) & (known.label[order] >= 0)]
        bad = int((known.label[train] == 1).sum())
        if bad >= MIN_OF_A_CLASS and len(train) - bad >= MIN_OF_A_CLASS:
            yield Fold(f"fold {number}", train, held_out, known, cut_ms)
