"""Who is judged, by which figures, and means over parts."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np
import polars as pl
from sklearn.metrics import average_precision_score, roc_auc_score

from gnn.evaluation import recall_at_false_positive_rate

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from graph_etl import Snapshot

# hop_sybil: 20.7 % of the accounts that its organisers judged were bad. A ring of 200 is one fact, not 200.
PREVALENCE: Final = 0.207
RING_CAP: Final = 40


@dataclass(frozen=True, slots=True)
class Judged:
    """Examples that are judged.

    Attributes:
        rows: ``int64[n]`` examples.
        bad: ``bool[n]``.
        weight: ``float64[n]``.
    """

    rows: NDArray[np.int64]
    bad: NDArray[np.bool_]
    weight: NDArray[np.float64]

    def within(self, chosen: NDArray[np.bool_]) -> Judged:
        """Those among some examples; the share of weight of the bad ones is kept where weights differ.

        Args:
            chosen: ``bool[R]`` of all examples.

        Returns:
            Fewer of them.
        """
        keep = chosen[self.rows]
        bad, weight = self.bad[keep], self.weight[keep].copy()
        if not (self.weight == 1.0).all() and bad.any() and not bad.all():
            share = self.weight[self.bad].sum() / self.weight.sum()
            weight[bad] *= weight[~bad].sum() * share / (1.0 - share) / weight[bad].sum()
        return Judged(self.rows[keep], bad, weight)

    @property
    def both(self) -> bool:
        """Whether there are bad ones and good ones."""
        return bool(self.bad.any() and not self.bad.all())


def judged_by_verdicts(label: NDArray[np.int8], rows: NDArray[np.int64]) -> Judged:
    """All examples with a verdict, alike.

    Args:
        label: ``int8[R]``: 1 bad, 0 good, -1 not known.
        rows: Candidates.

    Returns:
        Those with a verdict.
    """
    known = rows[label[rows] >= 0]
    return Judged(known, label[known] == 1, np.ones(len(known)))


def judged_by_rings(snapshot: Snapshot) -> Judged:
    """Accounts of rings that people reported against accounts known to be honest.

    Args:
        snapshot: With known groups of role ``judge``.

    Returns:
        Positives are the members of those groups, a group of more than 40 weighing as 40; negatives are all
        other accounts with a good verdict. Positives weigh 20.7 % of the whole.
    """
    groups = snapshot.groups.filter(pl.col("role") == "judge")
    sized = groups.with_columns(pl.len().over("mapping", "group").alias("size"))
    weight = np.zeros(snapshot.n_accounts)
    weight[sized["account"].to_numpy()] = np.minimum(1.0, RING_CAP / sized["size"].to_numpy())
    bad = weight > 0
    good = (snapshot.labels() == 0) & ~bad
    weight[good] = 1.0
    weight[bad] *= good.sum() * PREVALENCE / (1.0 - PREVALENCE) / weight[bad].sum()
    rows = np.flatnonzero(bad | good)
    return Judged(rows, bad[rows], weight[rows])


def recall_at_k(bad: NDArray[np.bool_], score: NDArray[np.float64]) -> float:
    """Share of bad examples among the first K, K being their number; ties are drawn by lot on average.

    Args:
        bad: ``bool[n]``.
        score: ``float64[n]``, higher is worse.

    Returns:
        Expected recall in [0, 1].
    """
    k = int(bad.sum())
    last = np.partition(score, len(score) - k)[len(score) - k]
    above, level = score > last, score == last
    hits = float(bad[above].sum()) + float(k - above.sum()) * float(bad[level].mean())
    return hits / k


def prior_figures(judged: Judged) -> dict[str, float]:
    """What a score that is the same for all gets on average.

    Args:
        judged: Who is judged.

    Returns:
        The figures.
    """
    share = float(judged.weight[judged.bad].sum() / judged.weight.sum())
    return {
        "average_precision": share,
        "auroc": 0.5,
        "recall_at_k": float(judged.bad.mean()),
        "recall_at_1pct_fpr": 0.01,
    }


FIGURES: Final = ("average_precision", "auroc", "recall_at_k", "recall_at_1pct_fpr")
"""Names of the figures, in the order of the table's columns."""


def figures(judged: Judged, score: NDArray[np.float64]) -> dict[str, float]:
    """The figures of one list of scores.

    Args:
        judged: Who is judged.
        score: ``float64[R]`` of all examples, higher is worse.

    Returns:
        Average precision, area under the ROC curve, recall among the first K (K: the number of bad ones; not
        weighted), recall at 1 % false positives.

    Raises:
        ValueError: If a judged example has no score.
    """
    seen = score[judged.rows]
    if np.isnan(seen).any():
        message = f"{int(np.isnan(seen).sum())} of {len(seen)} judged examples have no score"
        raise ValueError(message)
    label = judged.bad.astype(np.int8)
    return {
        "average_precision": float(average_precision_score(label, seen, sample_weight=judged.weight)),
        "auroc": float(roc_auc_score(label, seen, sample_weight=judged.weight)),
        "recall_at_k": recall_at_k(judged.bad, seen),
        "recall_at_1pct_fpr": recall_at_false_positive_rate(label, seen, judged.weight),
    }


@dataclass(frozen=True, slots=True)
class Spread:
    """A mean and how far its parts lie apart.

    Attributes:
        mean: Of the parts, or the pooled figure.
        sd: Standard deviation of the parts (n - 1), NaN of a single one.
        n: Number of parts.
    """

    mean: float
    sd: float
    n: int

    @classmethod
    def of(cls, values: Sequence[float], pooled: float | None = None) -> Spread:
        """Summarise.

        Args:
            values: One figure a part.
            pooled: The figure over all parts together, shown in place of the mean.

        Returns:
            Mean and spread.
        """
        sd = float(np.std(values, ddof=1)) if len(values) > 1 else float("nan")
        return cls(float(np.mean(values)) if pooled is None else pooled, sd, len(values))


def bootstrap(
    judged: Judged, score: NDArray[np.float64], *, draws: int = 100, seed: int = 0
) -> dict[str, list[float]]:
    """The figures over resampled examples, where a set has one part only.

    Args:
        judged: Who is judged.
        score: ``float64[R]``.
        draws: Number of resamples.
        seed: Of the draws: the same one gives two scores the same resamples, to be compared pair by pair.

    Returns:
        A value of each figure for each resample that has both classes.
    """
    rng = np.random.default_rng(seed)
    found: list[dict[str, float]] = []
    for _ in range(draws):
        picked = rng.integers(0, len(judged.rows), len(judged.rows))
        drawn = Judged(judged.rows[picked], judged.bad[picked], judged.weight[picked])
        if drawn.both:
            found.append(figures(drawn, score))
    return {name: [one[name] for one in found] for name in FIGURES}
