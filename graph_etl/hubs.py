"""Hubs: nodes that so many unrelated accounts touch that sharing them says nothing.

A node is a hub when three things hold at once, all judged from what was visible at the time:

1. **Coincidence is expected.** With ``A`` accounts, two unrelated nodes of ``n`` accounts each share
   ``n**2 / A`` accounts by chance. From ``n = sqrt(A)`` on that is one or more: sharing is no evidence.
2. **It lies far out in its kind.** ``log n`` is beyond the outer fence (third quartile plus three times the
   interquartile range; Tukey, 1977) of the nodes of its kind that more than one account touches, or a tenth
   of the accounts that touch its kind at all touch it.
3. **Its accounts came like the platform's.** Where times are known, the accounts of a public address arrive
   all over the platform's history; those of a device farm arrive together. Measured by the smallest share of
   the kind's arrivals that holds half of the node's: half for a random sample, nearly none in a burst.

Judged at fixed positions (each a tenth further than the last), never with rows from later on; a hub remains
one. Edges without a time were there before everything: for them the first two count alone.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl

from graph_etl.snapshot import NO_HUB, NO_TIME
from graph_etl.snapshot_writer import HUB_SCHEMA

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from numpy.typing import NDArray

    from graph_etl.snapshot import KindInfo

# Below a dozen accounts the spread over time cannot be told from chance.
_FEWEST_ACCOUNTS = 12
# Share of the kind's arrivals that half of a hub's accounts must be spread over: a random sample takes nearly
# 0.5, a campus that came when half of the time was over 0.25, accounts made within one of ten months 0.05.
_LEAST_SPREAD = 0.2
_FENCE_RANGES = 3.0
_COMMON_SHARE = 0.1
_FIRST_CUT = 256
_CUT_RATIO = 1.1


@dataclass(frozen=True, slots=True)
class Contacts:
    """Which accounts touch which nodes of one kind, each pair once, at its first position.

    Attributes:
        kind: Ordinal of the kind.
        nodes: The nodes that are touched, ascending.
        n_accounts: All accounts are numbered below this.
        chunks: Gives the contacts in the order of their positions, as often as it is called: for each chunk
            ``int[E]`` places in ``nodes``, ``int[E]`` accounts and ``int64[E]`` positions.
    """

    kind: int
    nodes: NDArray[np.int32] | range
    n_accounts: int
    chunks: Callable[[], Iterable[tuple[NDArray[Any], NDArray[Any], NDArray[np.int64]]]]

    @classmethod
    def of(
        cls, kind: int, node: NDArray[np.int32], account: NDArray[np.int32], pos: NDArray[np.int64]
    ) -> Contacts:
        """Contacts that are in memory.

        Args:
            kind: Ordinal of the kind.
            node: ``int32[E]``, the nodes that are touched.
            account: ``int32[E]``, node indices of the accounts that touch them.
            pos: ``int64[E]``, ascending.

        Returns:
            The contacts.
        """
        nodes, place = np.unique(node, return_inverse=True)
        n_accounts = int(account.max()) + 1 if len(account) else 0
        return cls(kind, nodes, n_accounts, lambda: [(place, account, pos)])


@dataclass(frozen=True, slots=True)
class Hubs:
    """The hubs found.

    Attributes:
        since: ``int64[N]``, the position from which each node is a hub, ``NO_HUB`` for the others.
        table: One row a hub: node, kind, key, accounts, reason, since_ms.
    """

    since: NDArray[np.int64]
    table: pl.DataFrame


@dataclass(frozen=True, slots=True)
class _Finding:
    node: int
    accounts: int
    of_accounts: int
    usual: int
    spread: float | None
    horizon: int


def cuts(n_untimed: int, n_events: int) -> list[int]:
    """The horizons at which hubs are judged; adding later rows only adds cuts.

    Args:
        n_untimed: Rows without a time, which precede all others.
        n_events: All rows.

    Returns:
        Ascending horizons, none above ``n_events``.
    """
    found = [n_untimed] if n_untimed else []
    step = float(_FIRST_CUT)
    while n_untimed + int(step) <= n_events:
        found.append(n_untimed + int(step))
        step *= _CUT_RATIO
    return found


def spread_of_half(arrivals: NDArray[np.int64], n_all: int) -> float:
    """The smallest share of all arrivals that holds half of these.

    Args:
        arrivals: ``int64[n]`` ranks among all arrivals, ascending.
        n_all: Number of all arrivals.

    Returns:
        About 0.5 for a random sample, near 0 for a burst.

    Example:
        >>> spread_of_half(np.array([0, 25, 50, 75]), 100)
        0.25
    """
    half = (len(arrivals) + 1) // 2
    return float((arrivals[half:] - arrivals[: len(arrivals) - half]).min()) / n_all


@dataclass(frozen=True, slots=True)
class _Cut:
    """What is to be judged at one horizon.

    Attributes:
        horizon: The horizon.
        stop: Contacts before it.
        n_accounts: Accounts before it.
        usual: The 99th percentile of the nodes that several accounts touch.
        nodes: Nodes that so many accounts touch that their spread over time decides.
        counts: How many accounts touch each of them.
    """

    horizon: int
    stop: int
    n_accounts: int
    usual: int
    nodes: NDArray[np.int64]
    counts: NDArray[np.int64]


def _cut(counts: NDArray[np.int64], n_accounts: int, n_touching: int, horizon: int, stop: int) -> _Cut | None:
    shared = counts[counts > 1]
    if not len(shared):
        return None
    low, high = np.quantile(np.log(shared), [0.25, 0.75])
    fence = float(np.exp(high + _FENCE_RANGES * (high - low)))
    least = max(_FEWEST_ACCOUNTS, float(np.sqrt(n_accounts)))
    common = (counts > fence) | (counts >= _COMMON_SHARE * n_touching)
    nodes = np.flatnonzero((counts >= least) & common)
    return _Cut(horizon, stop, n_accounts, int(np.quantile(shared, 0.99)), nodes, counts[nodes])


def _reason(found: _Finding, kind: str) -> str:
    reason = (
        f"{found.accounts:,} of {found.of_accounts:,} accounts touch it, while of the {kind} nodes that"
        f" several accounts touch 99 % have at most {found.usual:,}; two unrelated ones this common"
        f" would share {found.accounts**2 / found.of_accounts:,.0f} by chance"
    )
    if found.spread is None:
        return reason
    return (
        f"{reason}; its accounts came at all times, the closest half of them over {found.spread:.0%} of them"
    )


def _cuts_in(
    touched: Contacts, arrived: NDArray[np.int64], n_untimed: int, n_events: int
) -> tuple[list[_Cut], NDArray[np.int64]]:
    """Walk along the contacts once and count; also the number of accounts that touch each node in all."""
    counts = np.zeros(len(touched.nodes), np.int64)
    seen = np.zeros(touched.n_accounts, np.bool_)
    found: list[_Cut] = []
    horizons = cuts(n_untimed, n_events)
    at, total = 0, 0
    judged = n_touching = 0

    def judge() -> None:
        nonlocal judged
        if total == judged:
            return
        judged = total
        horizon = horizons[at]
        # Rows without a time were there before everything, and so were the accounts in them.
        n_accounts = int(np.searchsorted(arrived, horizon)) if horizon > n_untimed else len(arrived)
        cut = _cut(counts, n_accounts, n_touching, horizon, total)
        if cut is not None:
            found.append(cut)

    for node, account, pos in touched.chunks():
        start = 0
        while start < len(pos):
            stop = int(np.searchsorted(pos, horizons[at])) if at < len(horizons) else len(pos)
            if stop > start:
                counts += np.bincount(node[start:stop], minlength=len(counts))
                first = np.unique(account[start:stop])
                n_touching += int((~seen[first]).sum())
                seen[first] = True
                total += stop - start
                start = stop
            if start < len(pos):
                judge()
                at += 1
    while at < len(horizons):
        judge()
        at += 1
    return found, counts


def _found_in(
    touched: Contacts, arrived: NDArray[np.int64], n_untimed: int, n_events: int
) -> list[tuple[_Finding, int]]:
    """Findings in one kind, and how many accounts touch each in all.

    Only the contacts of nodes that are judged are held; all others are counted as they go by, twice.
    """
    judged, counts = _cuts_in(touched, arrived, n_untimed, n_events)
    candidates = np.unique(np.concatenate([np.zeros(0, np.int64), *(cut.nodes for cut in judged)]))
    is_candidate = np.zeros(len(counts), np.bool_)
    is_candidate[candidates] = True
    ranks: list[NDArray[np.int64]] = []
    nodes: list[NDArray[np.int64]] = []
    timed: list[NDArray[np.bool_]] = []
    start = 0
    for node, _, pos in touched.chunks() if len(candidates) else ():
        hit = np.flatnonzero(is_candidate[node])
        ranks.append(hit + start)
        nodes.append(node[hit].astype(np.int64))
        timed.append(pos[hit] >= n_untimed)
        start += len(pos)
    node_of, rank_of, timed_of = (
        np.concatenate([np.zeros(0, kind), *parts])
        for kind, parts in ((np.int64, nodes), (np.int64, ranks), (np.bool_, timed))
    )
    order = np.argsort(node_of, kind="stable")
    bounds = np.searchsorted(node_of[order], candidates, side="left")
    ends = np.searchsorted(node_of[order], candidates, side="right")
    of_node = {int(node): order[low:high] for node, low, high in zip(candidates, bounds, ends, strict=True)}
    findings: dict[int, _Finding] = {}
    for cut in judged:
        for node, count in zip(cut.nodes.tolist(), cut.counts.tolist(), strict=True):
            if node in findings:
                continue
            of = of_node[node][:count]
            spread = spread_of_half(rank_of[of], cut.stop) if timed_of[of].any() else None
            if spread is None or spread >= _LEAST_SPREAD:
                name = int(touched.nodes[node])
                findings[node] = _Finding(name, count, cut.n_accounts, cut.usual, spread, cut.horizon)
    return [(found, int(counts[node])) for node, found in findings.items()]


def find_hubs(
    contacts: Iterable[Contacts],
    *,
    kinds: Sequence[KindInfo],
    node_keys: pl.Series | Sequence[str],
    account_pos: NDArray[np.int64],
    known_ms: NDArray[np.int64],
) -> Hubs:
    """Find the hubs of each kind.

    Args:
        contacts: Which accounts touch which nodes, by kind.
        kinds: Kinds of nodes.
        node_keys: Keys of the ``N`` nodes.
        account_pos: ``int64[A]``, the first position of each account, in any order.
        known_ms: ``int64[M]``, when each row became known, ascending.

    Returns:
        The hubs, with reasons in plain words and the number of accounts that touch them in all.
    """
    since = np.full(len(node_keys), NO_HUB, np.int64)
    n_untimed = int(np.searchsorted(known_ms, NO_TIME, side="right"))
    arrived = np.sort(account_pos)
    rows = []
    for touched in contacts:
        kind = kinds[touched.kind].name
        for found, accounts in _found_in(touched, arrived, n_untimed, len(known_ms)):
            always = found.horizon == n_untimed
            since[found.node] = -1 if always else found.horizon - 1
            rows.append(
                {
                    "node": found.node,
                    "kind": kind,
                    "key": node_keys[found.node],
                    "accounts": accounts,
                    "reason": _reason(found, kind),
                    "since_ms": None if always else int(known_ms[found.horizon - 1]),
                }
            )
    table = pl.DataFrame(rows, schema=HUB_SCHEMA)
    return Hubs(since, table.sort(["accounts", "kind", "key"], descending=[True, False, False]))
