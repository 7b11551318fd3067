"""How often chance alone makes a group as tight as a ring."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from rings.links import Links

SIGNIFICANT: Final = 0.05
"""Rings with a q-value from here on rank after all others: chance could have made them."""

# Shares of the null model's groups that a tail is fitted to, and the fewest of them. The heaviest tail
# counts: a few large groups may lie far out while most are small.
_TAIL_SHARES = (0.1, 0.03, 0.0)
_TAIL_LEAST = 20


@dataclass(frozen=True, slots=True)
class GroupSums:
    """Sizes and links of ``R`` groups.

    Attributes:
        size: ``int64[R]`` accounts.
        weight: ``float64[R]``, sum of the weights of links inside.
    """

    size: NDArray[np.int64]
    weight: NDArray[np.float64]

    @property
    def density(self) -> NDArray[np.float64]:
        """``float64[R]``, mean link weight over all pairs of members; pairs without a link count as 0."""
        return self.weight / np.maximum(1.0, self.size * (self.size - 1) / 2.0)

    @property
    def tightness(self) -> NDArray[np.float64]:
        r"""``float64[R]``, the statistic tested: :math:`\mathrm{density} \cdot \log_2(\mathrm{size})`."""
        return self.density * np.log2(np.maximum(2.0, self.size))


def group_sums(links: Links, member: NDArray[np.int32]) -> GroupSums:
    """Sum up the links inside groups.

    Args:
        links: The links.
        member: ``int32[A]``, group of each account or -1.

    Returns:
        The sums.
    """
    groups = int(member.max(initial=-1)) + 1
    left = member[links.a]
    inside = (left >= 0) & (left == member[links.b])
    return GroupSums(
        np.bincount(member[member >= 0], minlength=groups).astype(np.int64),
        np.bincount(left[inside], links.weight[inside], minlength=groups).astype(np.float64),
    )


def tail_p_values(
    observed: NDArray[np.float64], null: NDArray[np.float64], null_runs: float, n_groups: int
) -> NDArray[np.float64]:
    r"""Chance that a group of a platform where nobody acts together is at least as tight.

    Where the null model's groups are many, their share counts. Beyond them an exponential tail goes on,
    fitted to their excesses over several thresholds (Pickands, 1975, shape 0), of which the heaviest counts:
    :math:`P(T \ge t) = \zeta \, e^{-(t - t_0) / \beta}`, with :math:`\beta` the mean excess over
    :math:`t_0`. If the null model makes fewer groups than were found, the rest of its groups count as loose.

    Args:
        observed: ``float64[R]`` tightness of the groups found.
        null: ``float64[K]`` tightness of the groups of all runs of the null model together.
        null_runs: Number of those runs; a run on a sample of the platform counts as its share.
        n_groups: Groups that a run has at most; at least ``R``.

    Returns:
        ``float64[R]`` in (0, 1].

    Raises:
        ValueError: If there is no run.
    """
    if null_runs <= 0:
        message = f"null_runs must be above 0, got {null_runs}; without a null model there is no p-value"
        raise ValueError(message)
    tested = max(1, n_groups) * null_runs
    ordered = np.sort(null)
    above = len(ordered) - np.searchsorted(ordered, observed, side="left")
    if len(ordered) < 2:
        return np.asarray(np.minimum(1.0, (above + 1.0) / (tested + 1.0)), np.float64)
    expected = above.astype(np.float64)
    for share in _TAIL_SHARES:
        n_tail = min(len(ordered), max(_TAIL_LEAST, int(len(ordered) * share)))
        start = ordered[-n_tail]
        # The fit's own uncertainty: the mean of n exponentials lies two standard errors below the truth once
        # in fifty times.
        scale = max(float((ordered[-n_tail:] - start).mean()), 1e-6) * (1.0 + 2.0 / np.sqrt(n_tail))
        tail = n_tail * np.exp(-np.maximum(0.0, observed - start) / scale)
        expected = np.where(observed > start, np.maximum(tail, expected), np.maximum(expected, n_tail))
    return np.clip(expected / tested, 1e-300, 1.0)


def standing_out(
    tightness: NDArray[np.float64],
    odds: NDArray[np.float64],
    null: NDArray[np.float64],
    null_odds: NDArray[np.float64],
    null_runs: float,
    n_groups: int,
) -> NDArray[np.float64]:
    r"""Chance that a group of a platform where nobody acts together stands out as much.

    What is tested pools how tight a group is and how far its members' behaviour, arrivals and identifiers
    speak for coordination: :math:`S = -\ln p_{tight} + \lambda`, with :math:`p_{tight}` by `tail_p_values`.
    Both parts are judged alike in the groups that chance makes, so it does not matter how they hang together:
    a link asks for closeness in time, hence chance groups are close in time too.

    Args:
        tightness: ``float64[R]`` of the groups found.
        odds: ``float64[R]``, :math:`\lambda`, natural logarithm.
        null: ``float64[K]`` tightness of the groups of all runs of the null model together.
        null_odds: ``float64[K]``, the same groups' :math:`\lambda`.
        null_runs: Number of those runs; a run on a sample of the platform counts as its share.
        n_groups: Groups that a run has at most; at least ``R``.

    Returns:
        ``float64[R]`` in (0, 1].
    """
    found, chance = (
        odds_of - np.log(tail_p_values(tight, null, null_runs, n_groups))
        for tight, odds_of in ((tightness, odds), (null, null_odds))
    )
    return tail_p_values(found, chance, null_runs, n_groups)


def benjamini_hochberg(p_values: NDArray[np.float64]) -> NDArray[np.float64]:
    r"""False discovery rates (Benjamini and Hochberg, 1995).

    .. math:: q_{(i)} = \min_{j \ge i} \; p_{(j)} \, m / j

    Args:
        p_values: ``float64[m]``.

    Returns:
        ``float64[m]``: share of false ones to expect among all with a q-value up to this one.

    Example:
        >>> benjamini_hochberg(np.array([0.01, 0.04, 0.03])).round(3).tolist()
        [0.03, 0.04, 0.04]
    """
    count = len(p_values)
    order = np.argsort(p_values, kind="stable")
    scaled = p_values[order] * count / np.arange(1, count + 1)
    q_values = np.empty(count)
    q_values[order] = np.minimum(1.0, np.minimum.accumulate(scaled[::-1])[::-1]) if count else scaled
    return q_values


def shrunken_mean(
    sums: NDArray[Any], counts: NDArray[Any], prior: float, strength: float
) -> NDArray[np.float64]:
    """Means drawn towards a common value, the more the fewer there are.

    Args:
        sums: ``[R]`` sums.
        counts: ``[R]`` counts.
        prior: The common value.
        strength: How many observations it counts for.

    Returns:
        ``float64[R]``.
    """
    return np.asarray((sums + prior * strength) / (counts + strength), np.float64)
