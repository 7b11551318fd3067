"""Accounts that appeared around the same time and behave alike, though they may share nothing."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from graph_etl import NO_TIME
from rings.kernel import compiled
from rings.rows import over_threads

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from rings.yardstick import Yardstick

NEIGHBOURS: Final = 10
"""Nearest neighbours of an account."""

# Accounts looked at before and after each, in the order of their first appearance: with 100 as many
# members of one ring met on hop_sybil as with 2,000; a few more find those who came through a busy hour.
_AROUND: Final = 256
# Fibonacci hashing (Knuth, 1973): far apart for neighbours, no two alike.
_SCRAMBLE: Final = 2_654_435_769
# Columns that hardly vary say nothing about likeness.
_LEAST_SPREAD: Final = 0.02
_ROW: Final = np.uint64(0xFFFFFFFF)


@dataclass(frozen=True, slots=True)
class Neighbours:
    """Pairs of accounts of which one is among the other's nearest in behaviour.

    Attributes:
        a: ``int32[N]`` account indices.
        b: ``int32[N]`` account indices, above ``a``; sorted by ``a`` then ``b``, each pair once.
        better: ``float32[N]``, the smaller of the two ranks, 0 for the nearest.
        worse: ``float32[N]``, the greater; `NEIGHBOURS` where only one of the two has the other.
        reach: ``float32[A]``, distance to an account's last neighbour: small in a crowd of the like.
        middle: ``float32[A]``, distance to the one halfway.
        table: ``float32[A, D]``, what was compared; distances are mean squared differences.
    """

    a: NDArray[np.int32]
    b: NDArray[np.int32]
    better: NDArray[np.float32]
    worse: NDArray[np.float32]
    reach: NDArray[np.float32]
    middle: NDArray[np.float32]
    table: NDArray[np.float32]

    def __len__(self) -> int:
        """Number of pairs."""
        return len(self.a)


def behaviour_neighbours(
    profiles: NDArray[np.float32],
    first_seen_ms: NDArray[np.int64],
    accounts: NDArray[np.int64],
    yardstick: Yardstick | None = None,
    compared: NDArray[np.float32] | None = None,
) -> Neighbours:
    """Find each account's nearest neighbours in behaviour among those that appeared just before and after.

    Columns are compared by rank, so that no unit and no outlier decides. What an account costs does not
    depend on how many there are.

    Args:
        profiles: ``float32[A, D]`` of `features.profiles`.
        first_seen_ms: ``int64[A]``; accounts without a time have no neighbours.
        accounts: ``int64[n]``, who takes part.
        yardstick: Ranks to compare by; those among the accounts that take part if None.
        compared: ``float32[A, E]``, the ranks of the accounts where they are known already.

    Returns:
        The pairs.
    """
    n_accounts = len(profiles)
    timed = timed_of(first_seen_ms, accounts)
    # Where many appeared at the same time the order of a file, often one of groups, must not decide.
    order = timed[np.lexsort((timed * _SCRAMBLE % (1 << 32), first_seen_ms[timed]))]
    if compared is not None:
        table = compared
    else:
        table = ranked(profiles, timed) if yardstick is None else _ranked_by(yardstick, profiles, order)
    nearest = np.full((len(order), NEIGHBOURS), -1, np.int32)
    distance = np.full((len(order), NEIGHBOURS), np.inf, np.float32)
    along = np.ascontiguousarray(table[order].T)
    over_threads(lambda first, last: _nearest_rows(along, first, last, nearest, distance), len(order))
    reach = np.zeros(n_accounts, np.float32)
    middle = np.zeros(n_accounts, np.float32)
    found = np.isfinite(distance)
    last = np.maximum(found.sum(axis=1) - 1, 0)
    rows = np.arange(len(order))
    reach[order] = np.where(found.any(axis=1), distance[rows, last], 0.0)
    middle[order] = np.where(found.any(axis=1), distance[rows, last // 2], 0.0)
    here, rank = np.nonzero(nearest >= 0)
    one, other = order[here], order[nearest[here, rank]]
    key = np.minimum(one, other) * np.int64(max(1, n_accounts)) + np.maximum(one, other)
    # A pair, whose rank it is and the rank as one number: it sorts faster than places by their pairs do.
    code = np.sort(key << 5 | (one < other).astype(np.int64) << 4 | rank)
    first = np.ones(len(code), np.bool_)
    first[1:] = code[1:] >> 5 != code[:-1] >> 5
    pairs, place = code[first] >> 5, np.cumsum(first) - 1
    ranks = np.full((2, len(pairs)), NEIGHBOURS, np.float32)
    ranks[code >> 4 & 1, place] = code & 15
    return Neighbours(
        (pairs // max(1, n_accounts)).astype(np.int32),
        (pairs % max(1, n_accounts)).astype(np.int32),
        ranks.min(axis=0),
        ranks.max(axis=0),
        reach,
        middle,
        table,
    )


def timed_of(first_seen_ms: NDArray[np.int64], accounts: NDArray[np.int64]) -> NDArray[np.int64]:
    """Those of some accounts that have a time.

    Args:
        first_seen_ms: ``int64[A]``.
        accounts: ``int64[n]``.

    Returns:
        ``int64[m]``, in their order.
    """
    timed: NDArray[np.int64] = accounts[first_seen_ms[accounts] != NO_TIME]
    return timed


def _ranked_by(
    yardstick: Yardstick, profiles: NDArray[np.float32], accounts: NDArray[np.int64]
) -> NDArray[np.float32]:
    """Columns by ranks of before; rows of accounts that take no part are 0."""
    table = np.zeros((len(profiles), len(yardstick.places or ())), np.float32)
    table[accounts] = yardstick.ranked(profiles[accounts])
    return table


@dataclass(frozen=True, slots=True)
class Ranking:
    """Columns by rank among some accounts, from -1 to 1; equal values have equal ranks, their mean.

    Attributes:
        places: The ``E`` columns that vary.
        values: The values of each, ascending.
        ranks: Their ranks.
        table: ``float32[A, E]``, the ranks of accounts; rows of those that take no part are 0.
    """

    places: tuple[int, ...]
    values: tuple[NDArray[np.float32], ...]
    ranks: tuple[NDArray[np.float32], ...]
    table: NDArray[np.float32]


def ranking(profiles: NDArray[np.float32], accounts: NDArray[np.int64]) -> Ranking:
    """Rank some accounts by each column of their profiles.

    Args:
        profiles: ``float32[A, D]``.
        accounts: ``int64[n]``, who is ranked.

    Returns:
        The ranks.
    """
    places, values, ranks, columns = [], [], [], []
    for place, column in enumerate(profiles.T):
        found, rank, which = _column_ranks(column[accounts])
        if found is not None:
            places.append(place)
            values.append(found)
            ranks.append(rank)
            columns.append(rank[which])
    table = np.zeros((len(profiles), len(places)), np.float32)
    if columns:
        table[accounts] = np.stack(columns, axis=1)
    return Ranking(tuple(places), tuple(values), tuple(ranks), table)


def ranked(profiles: NDArray[np.float32], accounts: NDArray[np.int64]) -> NDArray[np.float32]:
    """The table of `ranking`.

    Args:
        profiles: ``float32[A, D]``.
        accounts: ``int64[n]``, who is ranked; rows of the others are 0.

    Returns:
        ``float32[A, E]``, the columns that vary.
    """
    return ranking(profiles, accounts).table


def _column_ranks(
    column: NDArray[np.float32],
) -> tuple[NDArray[np.float32] | None, NDArray[np.float32], NDArray[np.int64]]:
    """The values of a column (None where it hardly varies), their ranks, and each row's place among them."""
    column = np.nan_to_num(column) + np.float32(0.0)  # no negative zero
    size = len(column)
    # Whole numbers that are in the order of the values, and which row each is of: they sort much faster than
    # rows by their values do.
    bits = column.view(np.uint32)
    above = np.where(bits >> np.uint32(31), ~bits, bits | np.uint32(1 << 31)).astype(np.uint64)
    row = (np.sort((above << np.uint64(32)) | np.arange(size, dtype=np.uint64)) & _ROW).astype(np.int64)
    ordered = column[row]
    first = np.ones(size, np.bool_)
    first[1:] = ordered[1:] != ordered[:-1]
    values, start = ordered[first], np.flatnonzero(first)
    place = np.empty(size, np.int64)
    place[row] = np.cumsum(first) - 1
    ends = np.append(start[1:], size) if size else start
    rank = ((start + ends) / max(1, size) - 1.0).astype(np.float32)
    varies = len(values) >= 2 and rank[place].std() > _LEAST_SPREAD
    return values if varies else None, rank, place


@compiled
def _nearest_rows(columns: Any, first: int, last: int, nearest: Any, distance: Any) -> None:
    """The nearest rows of rows ``first:last``, nearest first; equally near ones by closeness in time.

    Args:
        columns: ``float32[E, n]``: of one column the rows around stand side by side, so that the machine
            takes several at once.
        first: The first row.
        last: The one after the last row.
        nearest: ``int32[n, NEIGHBOURS]``, filled with -1.
        distance: ``float32[n, NEIGHBOURS]``, filled with infinity.
    """
    width, n_rows = columns.shape
    totals = np.empty(2 * _AROUND + 1, np.float64)
    for row in range(first, last):
        start, end = max(0, row - _AROUND), min(n_rows, row + _AROUND + 1)
        size = end - start
        totals[:size] = 0.0
        for column in range(width):
            own = np.float64(columns[column, row])
            around = columns[column, start:end]
            for at in range(size):
                gap = own - np.float64(around[at])
                totals[at] += gap * gap
        worst = np.inf
        for step in range(2 * _AROUND):
            other = row + (step // 2 + 1) * (1 - 2 * (step % 2))
            if other < 0 or other >= n_rows:
                continue
            total = totals[other - start]
            if total >= worst * width:
                continue
            mean = np.float32(total / max(1, width))
            place = NEIGHBOURS - 1
            while place > 0 and distance[row, place - 1] > mean:
                distance[row, place] = distance[row, place - 1]
                nearest[row, place] = nearest[row, place - 1]
                place -= 1
            distance[row, place] = mean
            nearest[row, place] = other
            worst = np.float64(distance[row, NEIGHBOURS - 1])
