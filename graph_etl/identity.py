"""Which rows are the same row: 128-bit names of contents, equal on every machine and in every version."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numba import njit

if TYPE_CHECKING:
    from collections.abc import Iterable

    from numpy.typing import NDArray

# The finaliser of SplitMix64 (Steele, Lea and Flood, 2014), one stream for each of the two lanes.
_LANES = (np.uint64(0x9E3779B97F4A7C15), np.uint64(0xD1B54A32D192ED03))
_FIRST, _SECOND = np.uint64(0xBF58476D1CE4E5B9), np.uint64(0x94D049BB133111EB)


def _mixed(lane: NDArray[np.uint64]) -> NDArray[np.uint64]:
    lane ^= lane >> np.uint64(30)
    lane *= _FIRST
    lane ^= lane >> np.uint64(27)
    lane *= _SECOND
    lane ^= lane >> np.uint64(31)
    return lane


def row_names(columns: Iterable[NDArray[Any]], n_rows: int) -> NDArray[np.uint64]:
    """Name rows by their content.

    Args:
        columns: Arrays of 8-byte items, ``[n_rows]`` or ``[n_rows, k]``; their order matters.
        n_rows: Number of rows.

    Returns:
        ``uint64[n_rows, 2]``: equal for equal rows, different for others but for a chance of about
        ``n_rows**2 / 2**129``.
    """
    names = np.empty((n_rows, 2), np.uint64)
    lanes = [np.full(n_rows, stream, np.uint64) for stream in _LANES]
    for given in columns:
        words = np.ascontiguousarray(given).view(np.uint64).reshape(n_rows, -1) if n_rows else None
        if words is None:
            continue
        for at in range(words.shape[1]):
            for lane, stream in zip(lanes, _LANES, strict=True):
                lane += stream
                lane ^= words[:, at]
                _mixed(lane)
    names[:, 0], names[:, 1] = lanes
    return names


@njit(cache=True)
def _find_first(low: NDArray[np.uint64], high: NDArray[np.uint64], first: NDArray[np.int32]) -> None:
    size = 16
    while size < 2 * len(low):
        size *= 2
    table = np.full(size, -1, np.int32)
    for row in range(len(low)):
        at = np.int64(low[row] & np.uint64(size - 1))
        while True:
            held = table[at]
            if held < 0:
                table[at] = row
                first[row] = row
                break
            if low[held] == low[row] and high[held] == high[row]:
                first[row] = held
                break
            at = (at + 1) & (size - 1)


def first_with_name(names: NDArray[np.uint64]) -> NDArray[np.int32]:
    """The first row that bears the name of each row.

    Args:
        names: ``uint64[n, 2]``.

    Returns:
        ``int32[n]``; a row is its own first if no earlier one bears its name.
    """
    first = np.empty(len(names), np.int32)
    _find_first(np.ascontiguousarray(names[:, 0]), np.ascontiguousarray(names[:, 1]), first)
    return first


@njit(cache=True)
def _count_earlier(first: NDArray[np.int32], earlier: NDArray[np.int64]) -> None:
    seen = np.zeros(len(first), np.int64)
    for row in range(len(first)):
        earlier[row] = seen[first[row]]
        seen[first[row]] += 1


def occurrence_numbers(names: NDArray[np.uint64]) -> NDArray[np.int64]:
    """How many earlier rows bear the name of each row.

    Args:
        names: ``uint64[n, 2]``.

    Returns:
        ``int64[n]``, 0 for the first of its name.
    """
    earlier = np.empty(len(names), np.int64)
    _count_earlier(first_with_name(names), earlier)
    return earlier
