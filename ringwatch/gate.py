"""The gate before a new snapshot, bundle and rings run are put to use: no worse, no stranger, no smaller."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import polars as pl
from sklearn.metrics import average_precision_score

import gnn
from gnn.targets import targets
from graph_etl import NO_TIME
from ray_jobs import score_here
from scoring_service.decisions import decisions

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from numpy.typing import NDArray

    from graph_etl import Snapshot
    from rings import RingsRun
    from scoring_service.policy import Policy

# Fewer of a class than this and the figure says more about chance than about the bundle.
_LEAST_OF_A_CLASS: Final = 10
# Bands of calibrated scores between which decisions change. Deciles would call it drift when scores that are
# all as good as nothing trade places.
_BANDS: Final = (0.01, 0.02, 0.05, 0.1, 0.2, 0.4, 0.6, 0.8, 0.9)
_DECILES: Final = 10
_DRAWS: Final = 400
_SMALL_SHARE: Final = 1e-4
_YOUNG_MS: Final = 7 * 86_400_000
_LEAST_IN_A_SLICE: Final = 50
_SLICES_OF_A_CATEGORY: Final = 10


@dataclass(frozen=True, slots=True)
class Limits:
    """How far the new may fall behind the old.

    Attributes:
        quality_loss: Average precision that may be lost on recent verdicts; a loss holds the new one back
            where it is greater beyond chance.
        drift: Greatest population stability index between old and new scores; above 0.25 the distribution is
            commonly called another one.
        shrinkage: Share of accounts or events that may be gone, those that were erased not counted.
        slice_factor: Factor by which the share of good accounts of a slice that are not let through may grow.
        slice_margin: What may be added to that, as a share.
    """

    quality_loss: float = 0.02
    drift: float = 0.25
    shrinkage: float = 0.1
    slice_factor: float = 1.25
    slice_margin: float = 0.01


@dataclass(frozen=True, slots=True)
class Check:
    """One thing that the gate looks at.

    Attributes:
        name: ``quality``, ``drift``, ``accounts``, ``events`` or ``false_positives``.
        passed: Whether it holds.
        old: What is in use.
        new: What would be.
        limit: What `new` is held against.
        about: One line for people.
    """

    name: str
    passed: bool
    old: float | None
    new: float | None
    limit: float | None
    about: str

    def as_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        return asdict(self)


@dataclass(frozen=True, slots=True)
class Candidate:
    """What a refresh made, or what is in use.

    Attributes:
        snapshot: The snapshot.
        bundle: The bundle.
        rings: The rings run on the snapshot.
    """

    snapshot: Snapshot
    bundle: gnn.Bundle
    rings: RingsRun | None


def judge(old: Candidate, new: Candidate, limits: Limits, policy: Policy, n_erased: int = 0) -> list[Check]:
    """Hold what is new against what is in use.

    Both bundles score the accounts of the new snapshot. The new one is judged by the scores that it gave
    accounts while they were held out; the old one has not seen the verdicts that came since.

    Args:
        old: What is in use.
        new: What would be.
        limits: How far it may fall behind.
        policy: Turns scores into decisions.
        n_erased: Accounts that were forgotten in between.

    Returns:
        The checks, in the order in which people read them.
    """
    size = [_size(old.snapshot, new.snapshot, what, limits, n_erased) for what in ("accounts", "events")]
    before = _old_scores(new.snapshot.path, old.bundle)
    if before is None:
        about = "the features changed, so the bundle in use cannot score the new snapshot; look at it by hand"
        return [*size, Check("quality", False, None, None, None, about)]
    after = new.bundle.scores["score"].to_numpy()
    calibrated = old.bundle.calibrated and new.bundle.calibrated
    return [
        *size,
        _quality(old, new, before, limits),
        _drift(before["score"].to_numpy(), after, limits, calibrated=calibrated),
        *_false_positives(new, before, limits, policy, old.bundle),
    ]


def _old_scores(snapshot: Path, bundle: gnn.Bundle) -> pl.DataFrame | None:
    try:
        return score_here(snapshot, bundle.path)
    except gnn.BundleError:
        return None


def _size(old: Snapshot, new: Snapshot, what: str, limits: Limits, n_erased: int) -> Check:
    before, after = (int(snapshot.manifest["counts"][what]) for snapshot in (old, new))
    least = (before - (n_erased if what == "accounts" else 0)) * (1.0 - limits.shrinkage)
    about = f"{before:,} {what} in use, {after:,} in the new snapshot"
    return Check(what, after >= least, float(before), float(after), least, about)


def _recent(old: Snapshot, new: Snapshot) -> NDArray[np.int64]:
    """Accounts of the new snapshot whose last verdict became known after the old one ended."""
    known = old.verdicts["known_ms"].max()
    last = new.verdicts.group_by("account", maintain_order=True).last()
    if isinstance(known, int):
        last = last.filter(pl.col("known_ms") > known)
    return last["account"].to_numpy().astype(np.int64)


def _quality(old: Candidate, new: Candidate, before: pl.DataFrame, limits: Limits) -> Check:
    label = targets(new.snapshot).label
    held_out = new.bundle.scores["oof_score"].cast(pl.Float64).fill_null(np.nan).to_numpy()
    accounts = _recent(old.snapshot, new.snapshot)
    judged = accounts[(label[accounts] >= 0) & ~np.isnan(held_out[accounts])]
    bad = int((label[judged] == 1).sum())
    if min(bad, len(judged) - bad) >= _LEAST_OF_A_CLASS:
        was = float(average_precision_score(label[judged], before["score"].to_numpy()[judged]))
        now = float(average_precision_score(label[judged], held_out[judged]))
        compared = label[judged], before["score"].to_numpy()[judged], held_out[judged]
        what = f"average precision on {len(judged):,} verdicts since the snapshot in use, {bad:,} bad"
    else:
        earlier = _held_out_before(old.bundle, new.bundle)
        both = held_out_quality(label, earlier, held_out)
        if both is None:
            return Check("quality", True, None, None, None, "too few verdicts to judge either bundle")
        n_both, was, now = both
        rows = np.flatnonzero((label >= 0) & ~np.isnan(earlier) & ~np.isnan(held_out))
        compared = label[rows], earlier[rows], held_out[rows]
        what = (
            f"average precision on {n_both:,} accounts that both held out "
            f"({len(judged):,} recent verdicts are too few)"
        )
    least = was - limits.quality_loss
    likely = likely_change(*compared)
    about = f"{what}: {was:.3f} in use, {now:.3f} new, change {likely[0]:+.3f} to {likely[1]:+.3f}"
    # A few bad accounts more or less in front move the figure by more than the limit: only a loss that is
    # beyond chance holds the new one back.
    return Check("quality", now >= least or likely[1] >= -limits.quality_loss, was, now, least, about)


def likely_change(
    label: NDArray[np.int8], old: NDArray[np.float64], new: NDArray[np.float64]
) -> tuple[float, float]:
    """Between what the change of average precision lies with 95 % confidence.

    Paired bootstrap over accounts (Efron and Tibshirani, 1993): both bundles are judged on the same draws.

    Args:
        label: ``int8[n]``, 1 bad, 0 good.
        old: ``float64[n]`` scores of the bundle in use.
        new: ``float64[n]`` scores of the new one.

    Returns:
        Lower and upper end.
    """
    draw = np.random.default_rng(0)
    changes = []
    for _ in range(_DRAWS):
        rows = draw.integers(0, len(label), len(label))
        if 0 < label[rows].sum() < len(rows):
            figures = [average_precision_score(label[rows], scores[rows]) for scores in (new, old)]
            changes.append(float(figures[0] - figures[1]))
    low, high = np.quantile(changes, [0.025, 0.975])
    return float(low), float(high)


def _held_out_before(old: gnn.Bundle, new: gnn.Bundle) -> NDArray[np.float64]:
    """Scores that the old bundle gave, while they were held out, to the accounts of the new one."""
    earlier = old.scores.select("account_id", "oof_score")
    joined = new.scores.select("account_id").join(earlier, on="account_id", how="left", maintain_order="left")
    return joined["oof_score"].cast(pl.Float64).fill_null(np.nan).to_numpy()


def held_out_quality(
    label: NDArray[np.int8], old: NDArray[np.float64], new: NDArray[np.float64]
) -> tuple[int, float, float] | None:
    """Average precision of two bundles on the accounts that both held out.

    Each bundle's own figures are of other accounts, with another share of bad ones, and do not compare.

    Args:
        label: ``int8[n]``, 1 bad, 0 good, -1 unknown.
        old: ``float64[n]`` held-out scores of one; NaN where it has none.
        new: ``float64[n]`` the same of the other.

    Returns:
        How many accounts, and the two figures; None if a class has too few.
    """
    judged = np.flatnonzero((label >= 0) & ~np.isnan(old) & ~np.isnan(new))
    bad = int((label[judged] == 1).sum())
    if min(bad, len(judged) - bad) < _LEAST_OF_A_CLASS:
        return None
    was, now = (float(average_precision_score(label[judged], one[judged])) for one in (old, new))
    return len(judged), was, now


def stability_index(old: NDArray[np.float64], new: NDArray[np.float64], *, calibrated: bool = True) -> float:
    r"""Population stability index of scores.

    .. math:: \sum_i (q_i - p_i) \ln(q_i / p_i)

    Args:
        old: ``float64[n]`` scores.
        new: ``float64[m]`` scores.
        calibrated: Scores are probabilities: compared over fixed bands; else over deciles of the old ones.

    Returns:
        0 for the same distribution; 0.1 is commonly called small, 0.25 large (Siddiqi, 2006).
    """
    deciles = np.linspace(0, 1, _DECILES + 1)[1:-1]
    edges = np.array(_BANDS) if calibrated else np.unique(np.quantile(old, deciles))
    shares = []
    for scores in (old, new):
        counts = np.bincount(np.searchsorted(edges, scores, side="right"), minlength=len(edges) + 1)
        shares.append(np.maximum(counts / max(1, len(scores)), _SMALL_SHARE))
    return float(((shares[1] - shares[0]) * np.log(shares[1] / shares[0])).sum())


def _drift(old: NDArray[np.float64], new: NDArray[np.float64], limits: Limits, *, calibrated: bool) -> Check:
    index = stability_index(old, new, calibrated=calibrated)
    about = f"population stability index {index:.3f} between the scores in use and the new ones"
    return Check("drift", index <= limits.drift, None, index, limits.drift, about)


def _slices(snapshot: Snapshot, accounts: NDArray[np.int64]) -> Iterator[tuple[str, NDArray[np.bool_]]]:
    """Slices of some accounts, each with its name."""
    yield "all", np.ones(len(accounts), np.bool_)
    first_seen_ms = np.asarray(snapshot.first_seen_ms)[accounts]
    if (first_seen_ms != NO_TIME).any():
        yield "younger than 7 days", first_seen_ms >= first_seen_ms.max() - _YOUNG_MS
    touches = np.diff(np.asarray(snapshot.touches.indptr))
    yield "touching one thing at most", touches[np.asarray(snapshot.account_node)[accounts]] <= 1
    for place, attribute in enumerate(snapshot.attributes):
        if attribute.type != "category":
            continue
        values = np.asarray(snapshot.attribute_values)[accounts, place]
        for number, category in enumerate(attribute.categories[:_SLICES_OF_A_CATEGORY]):
            yield f"{attribute.name} {category}", values == number


def _false_positives(
    new: Candidate, before: pl.DataFrame, limits: Limits, policy: Policy, old_bundle: gnn.Bundle
) -> list[Check]:
    good = np.flatnonzero(targets(new.snapshot).label == 0)
    if not len(good):
        return []
    stopped = [
        (
            decisions(new.snapshot, bundle, new.rings, policy=policy, scores=scores)["decision"] != "allow"
        ).to_numpy()[good]
        for bundle, scores in ((old_bundle, before), (new.bundle, None))
    ]
    checks = []
    for name, chosen in _slices(new.snapshot, good):
        count = int(chosen.sum())
        if count < _LEAST_IN_A_SLICE:
            continue
        was, now = (float(one[chosen].mean()) for one in stopped)
        most = was * limits.slice_factor + limits.slice_margin
        about = f"good accounts not let through, {name} ({count:,}): {was:.1%} in use, {now:.1%} new"
        checks.append(Check("false_positives", now <= most, was, now, most, about))
    return checks
