"""Scores and rings against a truth that somebody else holds.

Positives are the accounts that the truth calls bad. Intervals come from resampling accounts, or whole
rings where the truth names them, because ring-mates are no independent evidence.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt
from sklearn.metrics import average_precision_score, roc_auc_score

RESAMPLES: Final = 200
"""Bootstrap resamples: enough for the ends of a 95 % interval in two digits, a second for 40,000 accounts."""

HALF: Final = 0.5
LEAST_JACCARD: Final = 0.3
"""A reported ring counts as found if one ring holds at least half of it at this overlap or more."""

FloatArray = npt.NDArray[np.float64]
BoolArray = npt.NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class Estimate:
    """A figure with its 95 % bootstrap interval."""

    value: float
    low: float
    high: float


@dataclass(frozen=True, slots=True)
class ScoreReport:
    """How well scores put the bad accounts first.

    Attributes:
        n_accounts: Judged accounts.
        n_bad: Bad ones among them.
        average_precision: Area under precision over recall, by ranks; ties count as one rank.
        auroc: Chance that a bad account scores above an honest one.
        recall_at_k: Share of the bad ones among the first `n_bad`.
    """

    n_accounts: int
    n_bad: int
    average_precision: Estimate
    auroc: Estimate
    recall_at_k: Estimate


@dataclass(frozen=True, slots=True)
class RingReport:
    """How many reported rings were found.

    Attributes:
        n_reported: Rings of the truth with at least two members.
        n_found: Those that one ring of ours holds by half, at a Jaccard index of at least 0.3.
        n_rings: Rings of ours that were looked at.
        found: Reported ring and the ring that found it, in the order of our ranks.
    """

    n_reported: int
    n_found: int
    n_rings: int
    found: tuple[tuple[str, str], ...]


def recall_at_k(bad: BoolArray, score: FloatArray) -> float:
    """Return the share of the bad accounts among the first K by score, K their number.

    Accounts that tie at the border count by the chance that a random order of the tie puts them first.

    Args:
        bad: Truth, [n].
        score: Scores, higher is worse, [n].

    Returns:
        Recall in [0, 1].

    Example:
        >>> recall_at_k(np.array([True, False, True, False]), np.array([0.9, 0.8, 0.8, 0.1]))
        0.75
    """
    wanted = int(bad.sum())
    border = np.partition(score, len(score) - wanted)[len(score) - wanted]
    above, tied = score > border, score == border
    seats = wanted - int(above.sum())
    return float((bad[above].sum() + bad[tied].sum() * seats / tied.sum()) / wanted)


def judge_scores(
    bad: BoolArray, score: FloatArray, groups: Sequence[str | None] | None = None, *, seed: int = 0
) -> ScoreReport | None:
    """Judge scores against the truth.

    Args:
        bad: Truth, [n].
        score: Scores, higher is worse, [n].
        groups: Ring of each account or None, [n]; whole rings are resampled together.
        seed: Seed of the resampling.

    Returns:
        The report, or None if the truth has only bad or only honest accounts.
    """
    if bad.all() or not bad.any():
        return None
    values = _three(bad, score)
    rng = np.random.default_rng(seed)
    blocks = _Blocks.of(len(bad), groups)
    draws = [
        draw
        for draw in (blocks.draw(rng) for _ in range(RESAMPLES))
        if bad[draw].any() and not bad[draw].all()
    ]
    spread = np.array([_three(bad[draw], score[draw]) for draw in draws])
    low, high = np.quantile(spread, [0.025, 0.975], axis=0)
    estimates = [Estimate(float(v), float(a), float(b)) for v, a, b in zip(values, low, high, strict=True)]
    return ScoreReport(len(bad), int(bad.sum()), *estimates)


def judge_rings(reported: dict[str, set[str]], rings: Sequence[tuple[str, set[str]]]) -> RingReport:
    """Count the reported rings that ours found; one ring finds one reported ring at most.

    Args:
        reported: Members of each ring of the truth.
        rings: Our rings with their members, best rank first.

    Returns:
        The report; reported rings with fewer than two members are left out.
    """
    open_ones = {name: members for name, members in reported.items() if len(members) > 1}
    n_reported, found = len(open_ones), []
    for ring, members in rings:
        best, best_overlap = None, 0.0
        for name, truth in open_ones.items():
            shared = len(members & truth)
            jaccard = shared / len(members | truth)
            if shared >= HALF * len(truth) and jaccard >= LEAST_JACCARD and jaccard > best_overlap:
                best, best_overlap = name, jaccard
        if best is not None:
            found.append((best, ring))
            del open_ones[best]
    return RingReport(n_reported, len(found), len(rings), tuple(found))


def _three(bad: BoolArray, score: FloatArray) -> tuple[float, float, float]:
    """Return average precision, AUROC and recall at K."""
    return (
        float(average_precision_score(bad, score)),
        float(roc_auc_score(bad, score)),
        recall_at_k(bad, score),
    )


@dataclass(frozen=True, slots=True)
class _Blocks:
    """Rows that are drawn together, one block after the other: a ring's, or a single account's."""

    rows: npt.NDArray[np.int64]
    starts: npt.NDArray[np.int64]
    sizes: npt.NDArray[np.int64]

    @classmethod
    def of(cls, n: int, groups: Sequence[str | None] | None) -> "_Blocks":
        """Group `n` rows by ring; rows without one stand alone."""
        names = [None] * n if groups is None else groups
        keys = [f"row {row}" if name is None else f"ring {name}" for row, name in enumerate(names)]
        _, block = np.unique(np.array(keys, dtype=str), return_inverse=True)
        sizes = np.bincount(block).astype(np.int64)
        return cls(np.argsort(block, kind="stable"), np.cumsum(sizes) - sizes, sizes)

    def draw(self, rng: np.random.Generator) -> npt.NDArray[np.int64]:
        """Return the rows of as many blocks as there are, drawn with replacement."""
        drawn = rng.integers(0, len(self.sizes), len(self.sizes))
        sizes = self.sizes[drawn]
        before = np.cumsum(sizes) - sizes
        return self.rows[np.repeat(self.starts[drawn] - before, sizes) + np.arange(int(sizes.sum()))]
