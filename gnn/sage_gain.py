"""What GraphSAGE adds to the trees, with an interval, and whether it is worth fitting on.

The same bootstrap serves the decision after the first folds and the figure that a bundle tells.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from graph_etl import Snapshot

WEIGHTS: Final = (0.0, 0.1, 0.2, 0.3, 0.4, 0.5)
# Below this gain in average precision a second model is not worth its time at every request.
LEAST_GAIN: Final = 0.002
_BOOTSTRAPS: Final = 200


@dataclass(frozen=True, slots=True)
class Gain:
    """Average precision gained over the trees by the best weight, on held-out accounts.

    Attributes:
        weight: The weight of GraphSAGE that did best; 0 where none gained.
        gain: What it gained.
        low: Lower end of the 95 % interval, a paired bootstrap over groups.
        high: Its upper end.
        accounts: Number of accounts that it was judged on.
    """

    weight: float
    gain: float
    low: float
    high: float
    accounts: int

    @property
    def hopeless(self) -> bool:
        """Whether even the upper end is not worth a second model."""
        return self.high < LEAST_GAIN

    def as_dict(self) -> dict[str, float]:
        """Plain numbers for a manifest."""
        return {
            "weight": self.weight,
            "gain": self.gain,
            "low": self.low,
            "high": self.high,
            "accounts": self.accounts,
        }


def gain_of(
    label: NDArray[Any],
    trees: NDArray[np.float64],
    sage: NDArray[np.float64],
    weight: NDArray[np.float64],
    *,
    group: NDArray[np.integer[Any]] | None = None,
    seed: int = 0,
) -> Gain:
    """Judge what GraphSAGE adds.

    Both are brought to one spread first, as `gnn.blend` does. The interval is that of the weight which did
    best on all accounts, so its lower end flatters a little, and its upper end does not.

    Args:
        label: ``[n]`` of 0 and 1, both among them.
        trees: ``float64[n]`` log odds of the trees, out of fold.
        sage: ``float64[n]`` log odds of GraphSAGE, out of fold.
        weight: ``float64[n]`` of the accounts.
        group: ``int[n]``, what is drawn together: known rings; each account for itself if None.
        seed: Of the bootstrap.

    Returns:
        The gain.
    """
    bad = np.asarray(label) == 1
    level = (sage - sage.mean()) / max(float(sage.std()), 1e-9) * max(float(trees.std()), 1e-9) + trees.mean()
    mixed = [(1.0 - share) * trees + share * level for share in WEIGHTS]
    orders = [np.argsort(-margin, kind="stable") for margin in mixed]
    ends = [_ends(margin[order]) for margin, order in zip(mixed, orders, strict=True)]
    precision = [_precision(bad[order], weight[order], end) for order, end in zip(orders, ends, strict=True)]
    best = int(np.argmax(precision))
    named = np.arange(len(bad)) if group is None else np.unique(group, return_inverse=True)[1]
    n_groups = int(named.max()) + 1
    rng = np.random.default_rng(seed)
    drawn = np.empty(_BOOTSTRAPS)
    # Of no use where the trees alone did best; the runner-up then says what might have been gained.
    rival = best if best else 1 + int(np.argmax(precision[1:]))
    for turn in range(_BOOTSTRAPS):
        times = np.bincount(rng.integers(n_groups, size=n_groups), minlength=n_groups)[named]
        again = weight * times
        with_sage, without = (
            _precision(bad[orders[one]], again[orders[one]], ends[one]) for one in (rival, 0)
        )
        drawn[turn] = with_sage - without
    low, high = np.nanquantile(drawn, (0.025, 0.975))
    return Gain(WEIGHTS[best], precision[best] - precision[0], float(low), float(high), len(bad))


def _ends(sorted_margin: NDArray[np.float64]) -> NDArray[np.int64]:
    """Last places of runs of equal margins."""
    return np.flatnonzero(np.append(np.diff(sorted_margin) != 0.0, True))


def _precision(bad: NDArray[np.bool_], weight: NDArray[np.float64], ends: NDArray[np.int64]) -> float:
    """Average precision of accounts in falling order, as scikit-learn has it; NaN without a bad one."""
    hit = np.cumsum(np.where(bad, weight, 0.0))[ends]
    seen = np.cumsum(weight)[ends]
    if hit[-1] <= 0.0:
        return float("nan")
    gained = np.diff(hit, prepend=0.0)
    return float(np.sum(gained * np.divide(hit, seen, out=np.zeros_like(hit), where=seen > 0.0)) / hit[-1])


def held_together(snapshot: Snapshot, accounts: NDArray[np.integer[Any]]) -> NDArray[np.int64]:
    """The group of each account: its known ring, else itself.

    Args:
        snapshot: Gives the known groups.
        accounts: ``int[n]``.

    Returns:
        ``int64[n]``; an account of several rings belongs to the first.
    """
    group = np.arange(snapshot.n_accounts, dtype=np.int64)
    known = snapshot.groups
    if len(known):
        named = known.select("mapping", "group").to_struct("ring").rank("dense").to_numpy()
        member = known["account"].to_numpy()
        group[member[::-1]] = snapshot.n_accounts + named[::-1].astype(np.int64)
    found: NDArray[np.int64] = group[accounts]
    return found
