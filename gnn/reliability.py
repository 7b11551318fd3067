"""Whether scores are the probabilities that they claim to be: a reliability diagram and its figures."""

from __future__ import annotations

from dataclasses import dataclass
from html import escape
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from gnn.evaluation import Metric, calibration_error

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

_BINS: Final = 15
_BOOTSTRAPS: Final = 200
# 95 % of a normal distribution lie so many standard deviations around its mean.
_Z: Final = 1.959964


@dataclass(frozen=True, slots=True)
class ReliabilityBin:
    """Accounts of about the same score.

    Attributes:
        accounts: How many.
        bad: How many of them are bad.
        score: Their mean score: what was promised.
        share: Weighted share of bad accounts: what came true.
        low: Lower end of the share's 95 % Wilson interval.
        high: Its upper end.
    """

    accounts: int
    bad: int
    score: float
    share: float
    low: float
    high: float

    def as_dict(self) -> dict[str, float]:
        """Plain numbers for a manifest."""
        return {
            "accounts": self.accounts,
            "bad": self.bad,
            "score": self.score,
            "share": self.share,
            "low": self.low,
            "high": self.high,
        }


@dataclass(frozen=True, slots=True)
class Reliability:
    """A reliability diagram's numbers.

    Attributes:
        bins: Equally filled, from the lowest scores to the highest.
        error: Expected calibration error with its 95 % bootstrap interval.
        by_chance: Mean error that scores which are right would have, over as many accounts.
    """

    bins: tuple[ReliabilityBin, ...]
    error: Metric
    by_chance: float

    def as_dict(self) -> dict[str, Any]:
        """Plain numbers for a manifest."""
        return {
            "bins": [one.as_dict() for one in self.bins],
            "error": self.error.as_dict(),
            "by_chance": self.by_chance,
        }


def wilson_interval(share: float, n: float) -> tuple[float, float]:
    r"""Interval that holds a share with 95 % confidence (Wilson, 1927).

    .. math:: \frac{p + z^2 / 2n \pm z \sqrt{p (1 - p) / n + z^2 / 4n^2}}{1 + z^2 / n}

    Args:
        share: Observed share :math:`p`.
        n: Number of observations; of weighted ones, :math:`(\sum w)^2 / \sum w^2` (Kish, 1965).

    Returns:
        Its ends, in [0, 1].

    Raises:
        ValueError: If nothing was observed.
    """
    if not n > 0:
        message = f"a share of n observations needs n above 0, got {n}"
        raise ValueError(message)
    middle = share + _Z**2 / (2 * n)
    half = _Z * float(np.sqrt(share * (1 - share) / n + _Z**2 / (4 * n**2)))
    whole = 1 + _Z**2 / n
    return max(0.0, (middle - half) / whole), min(1.0, (middle + half) / whole)


def reliability(
    label: NDArray[Any],
    score: NDArray[np.float64],
    *,
    weight: NDArray[np.float64] | None = None,
    seed: int = 0,
    bootstraps: int = _BOOTSTRAPS,
) -> Reliability:
    """Compare what scores promise with what came true.

    Args:
        label: ``[n]`` of 0 and 1.
        score: ``float64[n]`` probabilities, held out.
        weight: ``float64[n]``; all 1 if None.
        seed: Of the resampling.
        bootstraps: Number of resamples.

    Returns:
        The diagram's numbers. The bootstrap resamples accounts; as an error is never negative its interval
        lies rather high: compare it with ``by_chance``.

    Raises:
        ValueError: If there are no accounts.
    """
    if not len(label):
        message = "accounts with labels are needed to judge scores, got none"
        raise ValueError(message)
    weights = np.ones(len(score)) if weight is None else weight
    order = np.argsort(score, kind="stable")
    bins = []
    for rows in np.array_split(order, min(_BINS, len(order))):
        mass = weights[rows]
        share = float(np.average(label[rows], weights=mass))
        low, high = wilson_interval(share, float(mass.sum() ** 2 / (mass**2).sum()))
        promised = float(np.average(score[rows], weights=mass))
        bins.append(ReliabilityBin(len(rows), int((label[rows] == 1).sum()), promised, share, low, high))
    rng = np.random.default_rng(seed)
    drawn, chance = [], []
    for _ in range(bootstraps):
        rows = rng.integers(0, len(label), len(label))
        drawn.append(calibration_error(label[rows], score[rows], weights[rows]))
        chance.append(calibration_error(rng.random(len(score)) < score, score, weights))
    low, high = np.quantile(drawn, (0.025, 0.975)) if drawn else (np.nan, np.nan)
    error = Metric(calibration_error(label, score, weights), float(low), float(high))
    return Reliability(tuple(bins), error, float(np.mean(chance)) if chance else float("nan"))


_SIZE: Final = 360.0
_EDGE: Final = 52.0
_BARS: Final = 70.0
_INK: Final = "#1f2933"
_LINE: Final = "#cbd2d9"
_MARK: Final = "#0b69a3"


def reliability_svg(found: Reliability, title: str) -> str:
    """Draw a reliability diagram: promised probability to the right, share of bad accounts upwards.

    Each bin is a point with its Wilson interval; the bars below show how many accounts lie at which scores:
    bins hold as many accounts each, so a narrow bar is a crowded place. On the dashed line scores keep their
    promise.

    Args:
        found: The diagram's numbers.
        title: Its heading.

    Returns:
        An SVG document.
    """
    base = _EDGE + _SIZE
    error = found.error
    told = (
        f"calibration error {error.value:.3f} ({error.low:.3f}–{error.high:.3f}), "
        f"{found.by_chance:.3f} by chance; {sum(one.accounts for one in found.bins):,} accounts"
    )
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{_SIZE + 2 * _EDGE:.0f}" '
        f'height="{base + _BARS + _EDGE:.0f}" font-family="sans-serif" font-size="12" fill="{_INK}" '
        f'role="img" aria-label="{escape(title)}: {escape(told)}">',
        '<rect width="100%" height="100%" fill="white"/>',
        _text(_EDGE, 20, title, size=14),
        _text(_EDGE, 38, told),
    ]
    for tick in (0.0, 0.25, 0.5, 0.75, 1.0):
        x, y = _x(tick), _y(tick)
        parts += [_line(_x(0), y, _x(1), y, _LINE), _line(x, _y(0), x, _y(1), _LINE)]
        parts += [_text(x, base + 16, f"{tick:g}", "middle"), _text(_EDGE - 6, y + 4, f"{tick:g}", "end")]
    parts.append(_line(_x(0), _y(0), _x(1), _y(1), _INK, 'stroke-dasharray="4 4"'))
    parts += _bars(found.bins, base + 28)
    for one in found.bins:
        x = _x(one.score)
        parts.append(_line(x, _y(one.low), x, _y(one.high), _MARK, 'stroke-width="2"'))
        words = f"{one.accounts:,} accounts at {one.score:.3f}: {one.share:.3f} bad"
        parts.append(
            f'<circle cx="{x:.1f}" cy="{_y(one.share):.1f}" r="4" fill="{_MARK}">'
            f"<title>{escape(words)} ({one.low:.3f}–{one.high:.3f})</title></circle>"
        )
    parts.append(_text(_x(0.5), base + _BARS + 40, "score: promised probability", "middle"))
    middle = (_y(0) + _y(1)) / 2
    parts.append(f'<g transform="rotate(-90 14 {middle:.0f})">{_text(14, middle, "share bad", "middle")}</g>')
    return "\n".join([*parts, "</svg>"]) + "\n"


def _bars(bins: Sequence[ReliabilityBin], top: float) -> list[str]:
    """Accounts for each width of score; a bin reaches to the middle between it and its neighbours."""
    scores = np.array([one.score for one in bins])
    edges = np.concatenate([[0.0], (scores[1:] + scores[:-1]) / 2, [1.0]])
    width = np.maximum(np.diff(edges), 1.0 / _SIZE)  # a pixel at least
    height = np.sqrt(np.array([one.accounts for one in bins]) / width)  # a crowd would hide all others
    height *= (_BARS - 8) / height.max()
    return [
        f'<rect x="{_x(edge):.1f}" y="{top + _BARS - 8 - tall:.1f}" width="{_SIZE * wide:.1f}" '
        f'height="{tall:.1f}" fill="{_MARK}" fill-opacity="0.35" stroke="white" stroke-width="0.5"/>'
        for edge, wide, tall in zip(edges[:-1].tolist(), width.tolist(), height.tolist(), strict=True)
    ]


def _x(score: float) -> float:
    return _EDGE + _SIZE * score


def _y(share: float) -> float:
    return _EDGE + _SIZE * (1.0 - share)


def _line(x1: float, y1: float, x2: float, y2: float, colour: str, more: str = "") -> str:
    return f'<line x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}" stroke="{colour}" {more}/>'


def _text(x: float, y: float, words: str, anchor: str = "start", size: int = 12) -> str:
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}" font-size="{size}">{escape(words)}</text>'
