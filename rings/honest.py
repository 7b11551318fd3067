r"""The best honest explanation of a ring: a household, an office, customers of the same shop, or mere chance.

A few things that anybody can check are compared under two stories, and their likelihoods multiplied:

- **behaviour**: how alike members behave (`conduct`), as the place :math:`u` that a pair has among pairs of
  accounts drawn at random. Of people who merely share an address it is uniform; of accounts that one hand
  moves it is :math:`4 u^3`, which puts a pair above four fifths of random ones on average.
- **arrivals**: between one member's first appearance and the next one's a share :math:`g` of the platform's
  accounts appeared. If members came independently that is a spacing of :math:`n` uniform places,
  :math:`n (1 - g)^{n-1}`; accounts made together follow each other within about half a percent of the
  platform, nine times in ten: :math:`0.9\, e^{-g / .005} / .005 + 0.1\, n (1 - g)^{n-1}`.
- **size**: households shrink by half with each further member, offices and campuses fall as
  :math:`n^{-2}` (a fifth of all honest groups), rings of abuse as :math:`n^{-1.5}`.
- **verdicts**: a member that people know to be bad is as likely as on the platform, against one in two.
- **churn**: how many identifiers members used, as a place :math:`u` among all accounts: uniform, against
  :math:`.5 + u`, for half of the rings change identifiers more than others do and half do not.

None of the constants was fitted to data: each says what the words "household" and "made together" mean. What
hangs together is not counted as often as it is seen: at most `MOST_TOLD` pairs, spacings or members count,
and no feature speaks louder than :math:`e^5` to 1. Nothing outweighs verdicts: where `MOSTLY_BAD` of the
members or more are known to be bad, the honest story is no likelier than verdicts alone leave it. Times count
in accounts that appeared, not in hours, so a busy day of the platform makes no burst. Who of members with
the same time came first nobody knows: what counts is how likely both stories bring two into that time.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from itertools import pairwise
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from numba import njit

from features import profiles, view_of
from features.profile import similarity
from graph_etl import NO_TIME

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from graph_etl import Snapshot

EXPLAINED: Final = 0.8
"""From this probability on, four to one, a ring counts as explained by something honest."""

HOUSEHOLD: Final = 6
"""Members of a household at most; more that share an address are an office or a campus."""

MOSTLY_BAD: Final = 1 / 3
"""Where at least this share of the members is known to be bad, nothing honest explains a ring."""

MOST_TOLD: Final = 8
"""Pairs, spacings or members that count in one feature at most: beyond, they repeat each other."""

ALIKE: Final = 0.75
"""Members behave alike when their pairs lie above this share of random ones on average."""

DIFFERENT: Final = 0.6
"""They behave differently below this."""

_LOUDEST: Final = 5.0
_TOGETHER: Final = 0.005
_STRAGGLERS: Final = 0.1
_ALIKE_POWER: Final = 4.0
_BAD_IN_RINGS: Final = 0.5
_OFFICES: Final = 0.2
# zeta(2) - 1 and zeta(1.5) - 1: the powers add up to one from two members on.
_ZETA_2: Final = 0.644934
_ZETA_15: Final = 1.612375
# Members whose profiles are compared, and random pairs that they are held against.
_COMPARED: Final = 12
_RANDOM_PAIRS: Final = 4096
# Profiles held at once: bounds the memory, not the result.
_BLOCK: Final = 1 << 14


@dataclass(frozen=True, slots=True)
class Honest:
    """How well something honest explains each of ``R`` rings.

    Attributes:
        probability: ``float64[R]``, of the honest story, if both were as likely before looking.
        alike: ``float64[R]``, mean place of pairs of members among random pairs by likeness, 0 to 1.
        spacing: ``float64[R]``, median share of the platform's accounts that appeared between one member and
            the next, 0 where they have the same time; NaN where fewer than two have one.
        churn: ``float64[R]``, mean place of members among all accounts by how many identifiers they used; NaN
            where the platform has no identifiers.
        log_odds: By feature, ``float64[R]``: how far it speaks for the honest story, natural logarithm. They
            add up to the odds, save where so many members are known to be bad that verdicts cap them.
    """

    probability: NDArray[np.float64]
    alike: NDArray[np.float64]
    spacing: NDArray[np.float64]
    churn: NDArray[np.float64]
    log_odds: dict[str, NDArray[np.float64]]

    @property
    def together(self) -> NDArray[np.float64]:
        """``float64[R]``: how far what members did speaks for coordination; size and verdicts say nothing."""
        return -(self.log_odds["arrivals"] + self.log_odds["behaviour"] + self.log_odds["churn"])

    def take(self, rings: NDArray[np.int64]) -> Honest:
        """The same of some rings, in another order.

        Args:
            rings: ``int64[n]`` numbers of rings.

        Returns:
            The comparison of these.
        """
        odds = {name: values[rings] for name, values in self.log_odds.items()}
        return Honest(
            self.probability[rings], self.alike[rings], self.spacing[rings], self.churn[rings], odds
        )


def honest(
    snapshot: Snapshot,
    member: NDArray[np.int32],
    known_bad: NDArray[np.bool_] | None = None,
    horizon: int | None = None,
) -> Honest:
    """Compare an honest story of each ring with coordination.

    Args:
        snapshot: The snapshot.
        member: ``int32[A]``, ring of each account or -1.
        known_bad: ``bool[A]``, accounts that people know to be bad; verdicts say nothing if None.
        horizon: Entries with a position below it count; all if None.

    Returns:
        The comparison; rings of a probability of `EXPLAINED` and more belong after the suspicious ones.
    """
    seen = snapshot.end_horizon if horizon is None else horizon
    n_rings = int(member.max(initial=-1)) + 1
    size = np.bincount(member[member >= 0], minlength=n_rings).astype(np.float64)
    alike = _alike(snapshot, member, n_rings, seen)
    arrivals, spacing = _arrivals(snapshot, member, n_rings)
    churn = _churn(snapshot, member, n_rings, seen)
    odds = {
        "behaviour": _behaviour(alike, size),
        "arrivals": arrivals,
        "size": _size(size),
        "verdicts": np.zeros(n_rings),
        "churn": _changing(churn, size),
    }
    odds = {name: np.clip(values, -_LOUDEST, _LOUDEST) for name, values in odds.items()}
    found = Honest(_probability(_total(odds)), alike, spacing, churn, odds)
    return found if known_bad is None else with_verdicts(found, member, known_bad)


def together_by_chance(
    snapshot: Snapshot, came: NDArray[np.int32], did: NDArray[np.int32], horizon: int
) -> NDArray[np.float64]:
    """How far groups of the null model speak for coordination, as `Honest.together` says it of rings.

    Args:
        snapshot: The snapshot.
        came: ``int32[A]``, group of each account by whose arrival it has, or -1.
        did: ``int32[A]``, the same groups by whose behaviour and identifiers they have.
        horizon: Entries with a position below it count.

    Returns:
        ``float64[K]``.
    """
    n_groups = int(did.max(initial=-1)) + 1
    size = np.bincount(did[did >= 0], minlength=n_groups).astype(np.float64)
    arrivals, _ = _arrivals(snapshot, came, n_groups)
    behaviour = _behaviour(_alike(snapshot, did, n_groups, horizon), size)
    churn = _changing(_churn(snapshot, did, n_groups, horizon), size)
    arrivals, behaviour, churn = (np.clip(odds, -_LOUDEST, _LOUDEST) for odds in (arrivals, behaviour, churn))
    return -(arrivals + behaviour + churn)


def _behaviour(alike: NDArray[np.float64], size: NDArray[np.float64]) -> NDArray[np.float64]:
    told = np.minimum(np.maximum(size - 1.0, 0.0), MOST_TOLD)
    odds = -np.log(_ALIKE_POWER) - (_ALIKE_POWER - 1.0) * np.log(np.maximum(alike, 0.01))
    return np.asarray(told * odds, np.float64)


def _changing(churn: NDArray[np.float64], size: NDArray[np.float64]) -> NDArray[np.float64]:
    said = -np.minimum(size, MOST_TOLD) * np.log(0.5 + np.nan_to_num(churn))
    return np.where(np.isnan(churn), 0.0, said)


def with_verdicts(found: Honest, member: NDArray[np.int32], known_bad: NDArray[np.bool_]) -> Honest:
    """What verdicts make of a comparison that leaves them out.

    Args:
        found: The comparison without verdicts.
        member: ``int32[A]``, ring of each account or -1.
        known_bad: ``bool[A]``, accounts that people know to be bad.

    Returns:
        The comparison with them.
    """
    n_rings = len(found.probability)
    usual = min(_BAD_IN_RINGS, (float(known_bad.sum()) + 1.0) / (len(member) + 2.0))
    n_bad = np.bincount(member[known_bad & (member >= 0)], minlength=n_rings)
    verdicts = np.clip(np.minimum(n_bad, MOST_TOLD) * np.log(usual / _BAD_IN_RINGS), -_LOUDEST, _LOUDEST)
    odds = found.log_odds | {"verdicts": verdicts}
    size = np.bincount(member[member >= 0], minlength=n_rings)
    mostly = (n_bad > 0) & (n_bad >= MOSTLY_BAD * size - 1e-9)
    total = _total(odds)
    total = np.where(mostly, np.minimum(total, verdicts), total)
    return replace(found, probability=_probability(total), log_odds=odds)


def _total(odds: dict[str, NDArray[np.float64]]) -> NDArray[np.float64]:
    return np.asarray(np.sum(list(odds.values()), axis=0), np.float64)


def _probability(log_odds: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.asarray(1.0 / (1.0 + np.exp(-log_odds)), np.float64)


def spread_over(accounts: NDArray[np.int64], most: int) -> NDArray[np.int64]:
    """Some accounts of a list, evenly spread over it, its first and last among them.

    Args:
        accounts: ``int64[n]``.
        most: How many at most.

    Returns:
        ``int64[m]``.
    """
    if len(accounts) <= most:
        return accounts
    places = np.linspace(0, len(accounts) - 1, most)
    return accounts[np.unique(places.astype(np.int64))]


def _size(size: NDArray[np.float64]) -> NDArray[np.float64]:
    n = np.maximum(size, 2.0)
    honest_size = (1.0 - _OFFICES) * 0.5 ** (n - 1.0) + _OFFICES * n**-2.0 / _ZETA_2
    return np.asarray(np.log(honest_size) - np.log(n**-1.5 / _ZETA_15), np.float64)


def _arrivals(
    snapshot: Snapshot, member: NDArray[np.int32], n_rings: int
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Log odds of the spacings between members' first appearances, and their median."""
    seen_ms = np.asarray(view_of(snapshot).first_seen_ms)
    timed = np.flatnonzero((member >= 0) & (seen_ms != NO_TIME))
    order = timed[np.lexsort((seen_ms[timed], member[timed]))]
    ring = member[order]
    everyone = np.sort(seen_ms[seen_ms != NO_TIME])
    low, high = (np.searchsorted(everyone, seen_ms[order], side) for side in ("left", "right"))
    n_accounts = max(1, snapshot.n_accounts)
    follows = ring[1:] == ring[:-1]
    # Half the sum of the places of the first and the last at that time, whatever order rows have.
    gap, home = np.diff((low + high) / (2.0 * n_accounts))[follows], ring[1:][follows]
    n = np.bincount(ring, minlength=n_rings).astype(np.float64)[home]
    apart = n * (1.0 - gap) ** (n - 1.0)
    together = (1.0 - _STRAGGLERS) * np.exp(-gap / _TOGETHER) / _TOGETHER + _STRAGGLERS * apart
    # Of two with the same time it is known only that no more lies between them than came at that time.
    tied = gap == 0.0
    most = ((high - low)[1:][follows] / n_accounts)[tied]
    apart[tied] = 1.0 - (1.0 - most) ** n[tied]
    together[tied] = (1.0 - _STRAGGLERS) * -np.expm1(-most / _TOGETHER) + _STRAGGLERS * apart[tied]
    odds = np.log(np.maximum(apart, 1e-300)) - np.log(np.maximum(together, 1e-300))
    odds[tied] = np.minimum(odds[tied], 0.0)
    count = np.bincount(home, minlength=n_rings)
    mean = np.bincount(home, odds, minlength=n_rings) / np.maximum(count, 1)
    return mean * np.minimum(count, MOST_TOLD), _medians(gap, home, count)


def _medians(
    values: NDArray[np.float64], owner: NDArray[np.integer[Any]], count: NDArray[np.integer[Any]]
) -> NDArray[np.float64]:
    """``float64[R]``, median of each owner's values, of which it has ``count``; NaN where it has none."""
    ordered = values[np.lexsort((values, owner))]
    median = np.full(len(count), np.nan)
    some = np.flatnonzero(count)
    start, number = (np.cumsum(count) - count)[some], count[some]
    median[some] = (ordered[start + (number - 1) // 2] + ordered[start + number // 2]) / 2.0
    return median


def _churn(snapshot: Snapshot, member: NDArray[np.int32], n_rings: int, horizon: int) -> NDArray[np.float64]:
    """Mean place of members among all accounts by the number of their identifiers."""
    view = view_of(snapshot)
    named = np.array([info.identifier for info in snapshot.kinds])
    pointers, neighbours, positions = view.pairs(2 * len(view.sides) + 1)
    counted = named[np.asarray(view.node_kind)[neighbours]] & (np.asarray(positions) < horizon)
    before = np.concatenate([[0], np.cumsum(counted)])
    nodes = np.asarray(view.account_node)
    used = before[np.asarray(pointers)[nodes + 1]] - before[np.asarray(pointers)[nodes]]
    if not used.any():
        return np.full(n_rings, np.nan)
    ordered = np.sort(used)
    low, high = np.searchsorted(ordered, used, "left"), np.searchsorted(ordered, used, "right")
    place = (low + high) / (2.0 * len(ordered))
    inside = member >= 0
    count = np.bincount(member[inside], minlength=n_rings)
    return np.asarray(
        np.bincount(member[inside], place[inside], minlength=n_rings) / np.maximum(count, 1), np.float64
    )


def _alike(snapshot: Snapshot, member: NDArray[np.int32], n_rings: int, horizon: int) -> NDArray[np.float64]:
    """Mean place of pairs of members among random pairs by likeness."""
    usual = usual_likeness(snapshot, horizon, conduct)
    inside = np.flatnonzero(member >= 0)
    inside = inside[np.argsort(member[inside], kind="stable")]
    ends = np.searchsorted(member[inside], np.arange(n_rings + 1))
    chosen = [spread_over(inside[low:high], _COMPARED) for low, high in pairwise(ends.tolist())]
    alike = np.full(n_rings, 0.5)
    start = 0
    while start < n_rings:
        stop, held = start, 0
        while stop < n_rings and (stop == start or held + len(chosen[stop]) <= _BLOCK):
            held += len(chosen[stop])
            stop += 1
        accounts = np.concatenate(chosen[start:stop])
        pointers = np.concatenate([[0], np.cumsum([len(some) for some in chosen[start:stop]])])
        _places_within(conduct(snapshot, accounts, horizon), pointers, usual, alike[start:stop])
        start = stop
    return alike


def conduct(snapshot: Snapshot, accounts: NDArray[np.integer[Any]], horizon: int) -> NDArray[np.float32]:
    """Profiles without how common the identifiers are that accounts use.

    Who shares an address with others has an address that others share: that alone would make people of one
    household behave alike.

    Args:
        snapshot: The snapshot.
        accounts: ``int[n]`` account indices.
        horizon: Entries with a position below it count.

    Returns:
        ``float32[n, D]`` as `features.profiles` gives them, -1 (says nothing) in those places.
    """
    table = profiles(snapshot, accounts, horizon)
    sides = view_of(snapshot).sides
    first = table.shape[1] - 2 * len(sides)
    table[:, [first + 2 * at + 1 for at, side in enumerate(sides) if side.used]] = -1.0
    return table


def usual_likeness(
    snapshot: Snapshot, horizon: int, profile: Callable[..., NDArray[np.float32]] = profiles
) -> NDArray[np.float64]:
    """How alike accounts drawn at random behave.

    Args:
        snapshot: The snapshot.
        horizon: Entries with a position below it count.
        profile: Gives the profiles of accounts as of a horizon.

    Returns:
        ``float64[P]``, similarities of random pairs, ascending; the same for the same snapshot.
    """
    seen = np.flatnonzero(np.asarray(snapshot.first_pos) < horizon)
    if len(seen) < 2:
        return np.ones(1)
    random = np.random.default_rng(0)
    left = random.choice(seen, _RANDOM_PAIRS)
    right = random.choice(seen, _RANDOM_PAIRS)
    apart = left != right
    left, right = left[apart], right[apart]
    accounts, place = np.unique(np.concatenate([left, right]), return_inverse=True)
    table = profile(snapshot, accounts, horizon)
    return np.sort(likeness(table, place[: len(left)], place[len(left) :]))


def likeness(
    table: NDArray[np.float32], left: NDArray[np.integer[Any]], right: NDArray[np.integer[Any]]
) -> NDArray[np.float64]:
    """How alike pairs of rows behave.

    Args:
        table: ``float32[n, D]`` of `features.profiles`.
        left: ``int[P]``, a row of each pair.
        right: ``int[P]``, the other row.

    Returns:
        ``float64[P]``, 0 to 1.
    """
    found = np.empty(len(left))
    _likeness(table, left.astype(np.int64), right.astype(np.int64), found)
    return found


@njit(cache=True)
def _likeness(table: Any, left: Any, right: Any, out: Any) -> None:
    for at in range(len(out)):
        out[at] = similarity(table[left[at]], table[right[at]])


@njit(cache=True)
def _places_within(table: Any, pointers: Any, usual: Any, out: Any) -> None:
    for ring in range(len(out)):
        total = 0.0
        count = 0
        for one in range(pointers[ring], pointers[ring + 1]):
            for other in range(one + 1, pointers[ring + 1]):
                like = similarity(table[one], table[other])
                low = np.searchsorted(usual, like, side="left")
                high = np.searchsorted(usual, like, side="right")
                total += (low + high) / (2.0 * len(usual))
                count += 1
        if count > 0:
            out[ring] = total / count
