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

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
import polars as pl

from graph_etl.snapshot import NO_HUB, NO_TIME
from graph_etl.snapshot_writer import HUB_SCHEMA

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

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
        node: ``int32[E]``, the nodes that are touched.
        account: ``int32[E]``, node indices of the accounts that touch them.
        pos: ``int64[E]``, ascending.
    """

    kind: int
    node: NDArray[np.int32]
    account: NDArray[np.int32]
    pos: NDArray[np.int64]


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


def _judge(
    node: NDArray[np.int32],
    counts: NDArray[np.int64],
    n_accounts: int,
    n_touching: int,
    timed: NDArray[np.bool_],
    horizon: int,
) -> list[_Finding]:
    """Nodes that fulfil the rule; ``counts`` of known hubs are negative, they count only for the fence."""
    shared = np.abs(counts[np.abs(counts) > 1])
    if not len(shared):
        return []
    low, high = np.quantile(np.log(shared), [0.25, 0.75])
    fence = float(np.exp(high + _FENCE_RANGES * (high - low)))
    least = max(_FEWEST_ACCOUNTS, float(np.sqrt(n_accounts)))
    common = (counts > fence) | (counts >= _COMMON_SHARE * n_touching)
    usual = int(np.quantile(shared, 0.99))
    findings = []
    for candidate in np.flatnonzero((counts >= least) & common):
        ranks = np.flatnonzero(node == candidate)
        spread = spread_of_half(ranks, len(node)) if timed[ranks].any() else None
        if spread is None or spread >= _LEAST_SPREAD:
            found = _Finding(int(candidate), int(counts[candidate]), n_accounts, usual, spread, horizon)
            findings.append(found)
    return findings


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


def _found_in(touched: Contacts, arrived: NDArray[np.int64], n_untimed: int, n_events: int) -> list[_Finding]:
    """Findings in one kind; numbers its nodes anew, so that the work does not grow with other kinds."""
    nodes, numbers = np.unique(touched.node, return_inverse=True)
    node = numbers.astype(np.int32)
    first_touches = np.sort(np.unique(touched.account, return_index=True)[1])
    timed = touched.pos >= n_untimed
    counts = np.zeros(len(nodes), np.int64)
    findings: list[_Finding] = []
    judged = 0
    for horizon in cuts(n_untimed, n_events):
        stop = int(np.searchsorted(touched.pos, horizon))
        if stop == judged:
            continue
        counts += np.bincount(node[judged:stop], minlength=len(nodes))
        judged = stop
        # Rows without a time were there before everything, and so were the accounts in them.
        n_accounts = int(np.searchsorted(arrived, horizon)) if horizon > n_untimed else len(arrived)
        n_touching = int(np.searchsorted(first_touches, stop))
        unjudged = counts.copy()
        unjudged[[found.node for found in findings]] *= -1
        findings += _judge(node[:stop], unjudged, n_accounts, n_touching, timed[:stop], horizon)
    return [replace(found, node=int(nodes[found.node])) for found in findings]


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
        for found in _found_in(touched, arrived, n_untimed, len(known_ms)):
            always = found.horizon == n_untimed
            since[found.node] = -1 if always else found.horizon - 1
            rows.append(
                {
                    "node": found.node,
                    "kind": kind,
                    "key": node_keys[found.node],
                    "accounts": int((touched.node == found.node).sum()),
                    "reason": _reason(found, kind),
                    "since_ms": None if always else int(known_ms[found.horizon - 1]),
                }
            )
    table = pl.DataFrame(rows, schema=HUB_SCHEMA)
    return Hubs(since, table.sort(["accounts", "kind", "key"], descending=[True, False, False]))
