"""When the members of rings appeared: from when to when, and in what burst."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import numpy as np
from numba import njit

from graph_etl import NO_TIME
from rings.wording import span

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from rings.evidence import Grounds

Evidence = dict[str, Any]

# A burst is told of if it holds at least half of the ring and the ring is this many times denser in it than
# the platform is.
_BURST_RATIO: Final = 5.0
_BURST_SHARES: Final = (1.0, 0.9, 0.75, 0.5)
# A burst of fewer members takes the place of a wider one if it says this many times as much.
_SAYS_MORE: Final = 1.1


class Arrivals:
    """The first appearances of the members of all rings.

    Args:
        grounds: What the rings' evidence is drawn from.
    """

    def __init__(self, grounds: Grounds) -> None:
        seen_ms = np.asarray(grounds.snapshot.first_seen_ms)
        timed = np.flatnonzero((grounds.member >= 0) & (seen_ms != NO_TIME))
        self._snapshot = grounds.snapshot
        self._platform_ms = grounds.arrivals_ms
        self._account = timed[np.lexsort((seen_ms[timed], grounds.member[timed]))]
        self._seen_ms = seen_ms[self._account]
        n_rings = len(grounds.density)
        self._size = np.array([len(accounts) for accounts in grounds.accounts], np.int64)
        counts = np.bincount(grounds.member[timed], minlength=n_rings)
        self._pointers = np.concatenate([[0], np.cumsum(counts)]).astype(np.int64)

    def spans(self) -> list[Evidence]:
        """From when to when the members of each ring appeared.

        Returns:
            A piece of evidence each; without times it holds no span.
        """
        pieces: list[Evidence] = []
        pointers = self._pointers.tolist()
        for ring, size in enumerate(self._size.tolist()):
            first, last = pointers[ring], pointers[ring + 1]
            piece: Evidence = {"type": "arrivals", "weight": 0.0, "accounts": last - first, "of": size}
            if last > first:
                from_ms, to_ms = int(self._seen_ms[first]), int(self._seen_ms[last - 1])
                piece |= {"from_ms": from_ms, "to_ms": to_ms, "span_ms": to_ms - from_ms}
                piece["span"] = list(span(to_ms - from_ms))
            pieces.append(piece)
        return pieces

    def bursts(self) -> list[Evidence | None]:
        """The stretch of time in which each ring stands out most from the platform.

        Returns:
            A piece of evidence each, None where half of the members never came close in time.
        """
        first, last = self._densest()
        n_accounts = self._snapshot.n_accounts
        found = last > first
        ends = [self._seen_ms[first[found]], self._seen_ms[last[found] - 1]]
        platform = np.zeros(first.shape, np.int64)
        platform[found] = np.searchsorted(self._platform_ms, ends[1], "right")
        platform[found] -= np.searchsorted(self._platform_ms, ends[0])
        count = last - first
        size = np.broadcast_to(self._size[:, None], first.shape)
        ratio, bits = np.zeros(first.shape), np.zeros(first.shape)
        ratio[found] = (count[found] / size[found]) / (platform[found] / n_accounts)
        bits[found] = count[found] * np.log2(np.maximum(1.0, ratio[found]))
        chosen = np.full(len(first), -1)
        most = np.zeros(len(first))
        for share in range(len(_BURST_SHARES)):
            better = found[:, share] & (ratio[:, share] >= _BURST_RATIO)
            better &= (chosen < 0) | (bits[:, share] > most * _SAYS_MORE)
            chosen[better], most[better] = share, bits[better, share]
        rings = np.flatnonzero(chosen >= 0)
        at = rings, chosen[rings]
        types = np.asarray(self._snapshot.event_type)[np.asarray(self._snapshot.first_pos)[self._account]]
        n_types = len(self._snapshot.event_types)
        pieces: list[Evidence | None] = [None] * len(first)
        columns = (rings, most[rings], first[at], last[at], platform[at], self._size[rings])
        usual = _commonest(types.astype(np.int64), first[at], last[at], n_types)
        for ring, weight, start, end, n_platform, of, event in zip(
            *(column.tolist() for column in (*columns, usual)), strict=True
        ):
            from_ms, to_ms = int(self._seen_ms[start]), int(self._seen_ms[end - 1])
            pieces[ring] = {
                "type": "burst",
                "weight": weight,
                "accounts": end - start,
                "of": of,
                "event": self._snapshot.event_types[event],
                "from_ms": from_ms,
                "to_ms": to_ms,
                "span_ms": to_ms - from_ms,
                "span": list(span(to_ms - from_ms)),
                "platform_accounts": n_platform,
                "platform": n_accounts,
                # Of as many accounts drawn at random, those that would have appeared in that time.
                "by_chance": round(of * n_platform / n_accounts, 3),
            }
        return pieces

    def _densest(self) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """``int64[R, S]`` twice: from where to where the shortest time lies in which so many members came."""
        first = np.zeros((len(self._size), len(_BURST_SHARES)), np.int64)
        last = np.zeros_like(first)
        _densest_rows(self._seen_ms, self._pointers, self._size, np.array(_BURST_SHARES), first, last)
        return first, last


@njit(cache=True)
def _densest_rows(seen_ms: Any, pointers: Any, size: Any, shares: Any, first: Any, last: Any) -> None:
    for ring in range(len(size)):
        low, high = pointers[ring], pointers[ring + 1]
        n_timed = high - low
        if n_timed < 3 or n_timed < size[ring] / 2:
            continue
        for share in range(len(shares)):
            count = int(np.ceil(shares[share] * size[ring]))
            if count < 3 or count > n_timed:
                continue
            best = low
            for start in range(low, high - count + 1):
                if seen_ms[start + count - 1] - seen_ms[start] < seen_ms[best + count - 1] - seen_ms[best]:
                    best = start
            start, end = best, best + count
            # Everybody with the first or the last of these times counts, of the ring as of the platform.
            while start > low and seen_ms[start - 1] == seen_ms[best]:
                start -= 1
            while end < high and seen_ms[end] == seen_ms[best + count - 1]:
                end += 1
            first[ring, share], last[ring, share] = start, end


@njit(cache=True)
def _commonest(types: Any, first: Any, last: Any, n_types: int) -> Any:
    """The commonest of ``types[first:last]``, of equally common ones the lowest."""
    found = np.zeros(len(first), np.int64)
    count = np.zeros(n_types, np.int64)
    for row in range(len(first)):
        count[:] = 0
        for at in range(first[row], last[row]):
            count[types[at]] += 1
        found[row] = np.argmax(count)
    return found
