"""What the models learn from: labels as they were known at a time, and a platform's first day."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, Literal

import numpy as np
import polars as pl

from features.queries import actors
from graph_etl import NO_TIME

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from graph_etl import Snapshot

Supervision = Literal["supervised", "positive_unlabelled", "label_free"]

# Fewer confirmed accounts of a class than this and a tree learns their names, not their ways.
MIN_OF_A_CLASS: Final = 10
# Events of one account that stand for all of them; fewer learn as well, more only take time
# (jodie_wikipedia: 4, 8 and 32 are within .005 AUROC of each other on validation blocks).
EVENTS_PER_ACCOUNT: Final = 8
# What a bad account did last is why it was judged: each event before that weighs half of the next.
LAST_EVENTS: Final = 6
EARLIER_EVENT: Final = 0.5
# Share of the verdicts that come within the time after which none is waited for any more.
_MOST_VERDICTS: Final = 0.95
# With so many old bad accounts young ones weigh half: in the last three blocks of four timed sets (three of
# them simulated, judged by what was drawn) average precision rose by .00 to .13 at every moment; 10 did as
# well, leaving young ones out lost up to .10 where there are few others.
_OLD_BAD: Final = 30
# A reported ring of a thousand is one fact, not a thousand: it weighs as forty of its accounts.
RING_CAP: Final = 40


@dataclass(frozen=True, slots=True)
class Targets:
    """Labels for training at one cut in time.

    Attributes:
        label: ``int8[A]``: 1 bad, 0 good, -1 not to be trained on.
        weight: ``float64[A]``.
        supervision: ``supervised``; ``positive_unlabelled`` (bad accounts only, or good ones picked by hand:
            all others stand for good, and scores are rescaled); ``label_free`` (too few bad accounts to
            learn from).
        young: ``bool[A]``, accounts too young for silence to say good, where most of them are silent.
    """

    label: NDArray[np.int8]
    weight: NDArray[np.float64]
    supervision: Supervision
    young: NDArray[np.bool_]

    def fit_weight(self, rows: NDArray[np.integer[Any]]) -> NDArray[np.float64]:
        r"""Weights to fit on some accounts with.

        Where silence counts as good after some time, a good account is an old one, while a bad one may be of
        any age: that alone would teach that the young, and all that grows with a platform's age, are bad. So
        young bad accounts weigh the less the more old bad ones there are to learn from:

        .. math:: w' = w \frac{30}{30 + n_{old}}

        Args:
            rows: ``int[n]``, accounts to fit on; no others count.

        Returns:
            ``float64[n]``.
        """
        bad, young = self.label[rows] == 1, self.young[rows]
        factor = _OLD_BAD / (_OLD_BAD + int((bad & ~young).sum()))
        weight: NDArray[np.float64] = np.where(bad & young, factor, 1.0) * self.weight[rows]
        return weight


@dataclass(frozen=True, slots=True)
class EventExamples:
    """Events at which accounts are shown to a trainer, in the order of their positions.

    Attributes:
        position: ``int64[n]``, ask just after each: `features.Queries.for_events`.
        account: ``int64[n]``, who is behind it.
        label: ``int8[n]``: 1 bad, 0 good.
        weight: ``float64[n]``, for fitting.
        stands_for: ``float64[n]``, events of its account for each that was chosen: for calibration.
    """

    position: NDArray[np.int64]
    account: NDArray[np.int64]
    label: NDArray[np.int8]
    weight: NDArray[np.float64]
    stands_for: NDArray[np.float64]

    def __len__(self) -> int:
        """Number of examples."""
        return len(self.position)

    def take(self, rows: NDArray[np.integer[Any]]) -> EventExamples:
        """Some of the examples.

        Args:
            rows: ``int[m]``.

        Returns:
            They, in the order given.
        """
        return EventExamples(
            *(getattr(self, name)[rows] for name in ("position", "account", "label", "weight", "stands_for"))
        )


def event_examples(
    snapshot: Snapshot, labels: Targets, cut_ms: int | None = None, *, seed: int = 0
) -> EventExamples:
    """Choose a bounded number of each account's events as examples.

    An account is asked about whenever it does something, so it is learned from at its events: a good one at
    a random few, weighted so that they stand for all of them; a bad one at the last few before its verdict
    became known, the last with weight 1 and each earlier one with half of the next. A bad account's earlier
    events are no examples: nobody knows since when it was bad. What it did after its verdict is none either.
    Where the spec lets silence count as good, it does at every event that is old enough for a verdict on it
    to have come, whatever the age of the account.

    Args:
        snapshot: A snapshot with times.
        labels: Who is good and who is bad.
        cut_ms: Only events known by then (Unix milliseconds); all if None.
        seed: Draws the events of good accounts.

    Returns:
        The examples; none where no event has a time.
    """
    horizon = snapshot.n_events if cut_ms is None else snapshot.horizon_at(cut_ms)
    known_ms = np.asarray(snapshot.event_known_ms)[:horizon]
    account = actors(snapshot)[:horizon]
    position = np.flatnonzero((account >= 0) & (known_ms != NO_TIME))
    account = account[position]
    said = snapshot.verdicts.filter(pl.col("label") == 1).group_by("account").agg(pl.col("known_ms").min())
    until_ms = np.full(snapshot.n_accounts, np.iinfo(np.int64).max)
    dated = said.drop_nulls()
    until_ms[dated["account"].to_numpy()] = dated["known_ms"].to_numpy()
    label = labels.label[account]
    usable = (label == 0) | ((label == 1) & (known_ms[position] <= until_ms[account]))
    after_ms = snapshot.manifest.get("assume_good_after_ms")
    if after_ms is not None and len(known_ms):
        usable, label = _silent_ones(usable, label, account, known_ms[position], until_ms, after_ms)
    position, account, label = position[usable], account[usable], label[usable]
    # A bad account's events stand from the last one back, a good one's in an order drawn by lot.
    # The lot of an event is the same at every cut, so that most of what is chosen for one is chosen for all.
    lot = np.random.default_rng(seed).random(snapshot.n_events)[position]
    order = np.lexsort((np.where(label == 1, -position, lot), account))
    starts = np.flatnonzero(np.diff(account[order], prepend=-1))
    counts = np.diff(starts, append=len(order))
    place = np.arange(len(order)) - np.repeat(starts, counts)
    bad = label[order] == 1
    most = np.where(bad, LAST_EVENTS, EVENTS_PER_ACCOUNT)
    stands_for = np.maximum(1.0, np.repeat(counts, counts) / most)
    weight = np.where(bad, EARLIER_EVENT**place, stands_for) * labels.weight[account[order]]
    chosen = EventExamples(position[order], account[order], label[order], weight, stands_for)
    kept = np.flatnonzero(place < most)
    return chosen.take(kept[np.argsort(order[kept], kind="stable")])


def _silent_ones(
    usable: NDArray[np.bool_],
    label: NDArray[np.int8],
    account: NDArray[np.int64],
    known_ms: NDArray[np.int64],
    until_ms: NDArray[np.int64],
    after_ms: int,
) -> tuple[NDArray[np.bool_], NDArray[np.int8]]:
    """Let silence count as good at events too, once a verdict on the event would have come.

    Old accounts alone as good ones and bad ones of every age would teach that the young are bad. So every
    account without a verdict is an example, but at no event so late that the verdict may still come; nor is a
    bad one then, since those that came fast would stand for all. How long verdicts take after the last event
    before them is seen on the bad accounts.
    """
    bad = usable & (label == 1) & (until_ms[account] < np.iinfo(np.int64).max)
    last_ms = np.full(len(until_ms), NO_TIME, np.int64)
    np.maximum.at(last_ms, account[bad], known_ms[bad])
    judged = last_ms != NO_TIME
    takes_ms = after_ms
    if judged.any():
        delays_ms = np.quantile(until_ms[judged] - last_ms[judged], _MOST_VERDICTS, method="higher")
        takes_ms = min(after_ms, int(delays_ms))
    ripe = known_ms <= known_ms.max() - takes_ms
    silent = label == -1
    return (usable | silent) & ripe, np.where(silent, 0, label).astype(np.int8)


def targets(snapshot: Snapshot, cut_ms: int | None = None) -> Targets:
    """Labels as a trainer would have had them.

    Args:
        snapshot: The snapshot.
        cut_ms: Only verdicts known by then (Unix milliseconds) count; all if None. Verdicts without a time
            count always: they are targets only.

    Returns:
        The labels. An account without a verdict counts as good once the spec's ``assume_good_after`` has
        passed since its first appearance; before that it is no negative. While nobody is that old, the few
        accounts that somebody called good stand for nobody else: then as with bans only, all do.
    """
    verdicts = snapshot.verdicts
    if cut_ms is not None:
        verdicts = verdicts.filter(pl.col("known_ms").is_null() | (pl.col("known_ms") <= cut_ms))
    label = np.full(snapshot.n_accounts, -1, dtype=np.int8)
    label[verdicts["account"].to_numpy()] = verdicts["label"].to_numpy()
    first_seen_ms = np.asarray(snapshot.first_seen_ms)
    appeared = first_seen_ms <= (np.iinfo(np.int64).max if cut_ms is None else cut_ms)
    after_ms = snapshot.manifest.get("assume_good_after_ms")
    young = np.zeros(snapshot.n_accounts, dtype=np.bool_)
    if after_ms is not None:
        end_ms = snapshot.manifest["time_range_ms"][1] if cut_ms is None else cut_ms
        timed = first_seen_ms != NO_TIME
        young = appeared & timed & (first_seen_ms + after_ms > end_ms)
        label[(label == -1) & timed & (first_seen_ms + after_ms <= end_ms)] = 0
    # Silence tells nothing of the young: unless people judged most of them, mostly bad ones are known.
    if int((young & (label == -1)).sum()) <= int((young & (label != -1)).sum()):
        young[:] = False
    bad = int((label == 1).sum())
    good = int(((label == 0) & ~young).sum())
    supervision: Supervision = "supervised"
    if bad < MIN_OF_A_CLASS:
        supervision = "label_free"
    elif good < MIN_OF_A_CLASS:
        supervision = "positive_unlabelled"
        label[(label == -1) & appeared] = 0
        young[:] = False
    return Targets(label, group_weights(snapshot, label), supervision, young)


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
