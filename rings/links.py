"""Links: pairs of accounts that seem to act together, without looking at any verdict."""

from __future__ import annotations

import weakref
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
from pydantic import BaseModel, ConfigDict, Field

from features import Queries, asked_of, extras_of, graph_of, profiles
from graph_etl.progress import silent
from rings.kernel import DIRECT, SHARED, SYNCHRONY, Strengths, compiled
from rings.rows import link_rows, over_threads
from rings.spread import InTurn

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from features import Source
    from features.visibility import Graph
    from graph_etl import Snapshot
    from graph_etl.progress import Progress
    from rings.spread import Shared, Spread

_HOUR_MS = 3_600_000.0
# Accounts whose links are gathered at once: bounds the memory, not the result.
_BLOCK = 1 << 16


class LinkConfig(BaseModel):
    """How links are weighed.

    A link's weight is ``1 - (1 - tie * alike ** alike_power) * (1 - beside)`` where ``tie`` is
    ``1 - exp(-sum of rarity * closeness over shared nodes - direct)``, ``rarity`` of a node with ``u`` users
    is ``1 / log2(u)``, ``closeness`` falls with the time between the accounts' arrivals at it, ``alike`` is
    `features.profile.similarity` of the profiles, and ``beside`` is synchrony: how much more alike two
    accounts that appeared together are than their neighbours in time usually are.

    Attributes:
        seen_hours: Hours in which the closeness of two first appearances falls to 1/e; it counts where nobody
            knows when accounts came to what they share.
        seen_apart: Closeness of two accounts that appeared at quite different times.
        met_hours: Hours in which the closeness of two arrivals at a shared node falls to 1/e.
        met_apart: Closeness of two accounts that came to what they share at quite different times.
        alike_power: Power of the similarity in a link's weight; 0 ignores behaviour.
        direct: Strength of a direct interaction between two accounts that deal with nobody else.
        synchrony: Greatest weight that synchrony alone can give.
        synchrony_hours: Hours in which synchrony falls to 1/e.
        least_weight: Links below this weight are dropped.
        derived: How much sharing something derived from an identifier (a subnet, an e-mail's domain) counts.
        most_links: Strongest links kept for each account; a link is kept if either end keeps it.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    seen_hours: float = Field(default=14 * 24.0, gt=0)
    seen_apart: float = Field(default=0.3, ge=0, le=1)
    met_hours: float = Field(default=48.0, gt=0)
    met_apart: float = Field(default=0.2, ge=0, le=1)
    alike_power: float = Field(default=0.5, ge=0)
    direct: float = Field(default=1.0, ge=0)
    synchrony: float = Field(default=0.2, ge=0, lt=1)
    synchrony_hours: float = Field(default=6.0, gt=0)
    least_weight: float = Field(default=0.03, ge=0, lt=1)
    derived: float = Field(default=0.3, ge=0, le=1)
    most_links: int = Field(default=64, ge=1)

    def strengths(self, source: Source) -> Strengths:
        """The same as the compiled code takes it.

        Args:
            source: Tells the kinds of nodes.

        Returns:
            The constants, times in milliseconds.
        """
        derived = derived_kinds(source)
        return Strengths(
            self.seen_hours * _HOUR_MS,
            self.seen_apart,
            self.met_hours * _HOUR_MS,
            self.met_apart,
            self.alike_power,
            self.direct,
            self.synchrony,
            self.synchrony_hours * _HOUR_MS,
            self.least_weight,
            np.array([self.derived if kind in derived else 1.0 for kind in range(len(source.kinds))]),
        )


_usual: weakref.WeakKeyDictionary[Source, Strengths] = weakref.WeakKeyDictionary()


def strengths_of(source: Source, config: LinkConfig | None = None) -> Strengths:
    """How links of a graph are weighed, as the compiled code takes it; the usual way is worked out once.

    Args:
        source: The graph.
        config: How links are weighed; the usual way if None.

    Returns:
        The constants.
    """
    if config is not None:
        return config.strengths(source)
    found = _usual.get(source)
    if found is None:
        found = _usual[source] = LinkConfig().strengths(source)
    return found


def derived_kinds(source: Source) -> frozenset[int]:
    """Kinds that are used like identifiers and are none: what is derived from one, so that it repeats it.

    Args:
        source: The graph.

    Returns:
        Ordinals of kinds.
    """
    used = {kind for relation in source.relations if relation.used for kind in relation.to_kinds}
    return frozenset(kind for kind in used if not source.kinds[kind].identifier)


@dataclass(frozen=True, slots=True)
class Links:
    """Weighted pairs of accounts, each once, ``a`` below ``b``, sorted by ``a`` then ``b``.

    Attributes:
        a: ``int32[L]`` account indices.
        b: ``int32[L]`` account indices.
        weight: ``float32[L]`` in (0, 1].
        source: ``uint8[L]``, a sum of 1 (shared nodes), 2 (direct interactions) and 4 (synchrony).
        via: ``int32[L]``, the node whose sharing says most, -1 if none is shared.
    """

    a: NDArray[np.int32]
    b: NDArray[np.int32]
    weight: NDArray[np.float32]
    source: NDArray[np.uint8]
    via: NDArray[np.int32]

    def __len__(self) -> int:
        """Number of links."""
        return len(self.a)

    def take(self, rows: NDArray[Any]) -> Links:
        """Some of the links.

        Args:
            rows: ``bool[L]`` or row numbers, ascending.

        Returns:
            The chosen links.
        """
        return Links(self.a[rows], self.b[rows], self.weight[rows], self.source[rows], self.via[rows])


def links(
    snapshot: Snapshot,
    horizon: int | None = None,
    config: LinkConfig | None = None,
    *,
    spread: Spread | None = None,
    tell: Progress = silent,
) -> Links:
    """Find the links between a snapshot's accounts.

    Args:
        snapshot: The snapshot.
        horizon: Entries with a position below it count; all if None.
        config: How links are weighed.
        spread: What runs the pieces; this process, one after another, if None.
        tell: Told what is done.

    Returns:
        The links. Hubs never make one, and no verdict plays a part.
    """
    seen = snapshot.end_horizon if horizon is None else horizon
    accounts = np.flatnonzero(np.asarray(snapshot.first_pos) < seen)
    over = spread or InTurn()
    asked = over.share((snapshot, profiles(snapshot, None, seen), seen, config or LinkConfig()))
    pieces = [partial(_gathered, asked, block) for block in _blocks(accounts)]
    return _joined(over.each("links", pieces, tell), snapshot.n_accounts)


def links_of_graph(
    snapshot: Snapshot,
    graph: Graph,
    table: NDArray[np.float32],
    accounts: NDArray[np.int64],
    horizon: int,
    config: LinkConfig,
) -> Links:
    """Find links in a graph that need not be the snapshot's own: the null model walks a rewired one.

    Args:
        snapshot: Gives the accounts' times and attributes.
        graph: The graph to walk.
        table: ``float32[A, D]`` profiles.
        accounts: ``int64[n]`` accounts whose links are gathered.
        horizon: Entries with a position below it count.
        config: How links are weighed.

    Returns:
        The links.
    """
    parts = [_gather(snapshot, graph, table, block, horizon, config) for block in _blocks(accounts)]
    return _joined(parts, snapshot.n_accounts)


def _blocks(accounts: NDArray[np.int64]) -> list[NDArray[np.int64]]:
    return [accounts[start : start + _BLOCK] for start in range(0, len(accounts), _BLOCK)]


def _joined(parts: list[tuple[NDArray[Any], ...]], n_accounts: int) -> Links:
    """The links that blocks of accounts found, each once."""
    if not parts:
        kinds = (np.int32, np.int32, np.float32, np.uint8, np.int32)
        parts = [tuple(np.zeros(0, kind) for kind in kinds)]
    here, there, weight, source, via = (np.concatenate(columns) for columns in zip(*parts, strict=True))
    return Links(*_each_once(here, there, weight, source, via, n_accounts))


def _gathered(
    asked: Shared[tuple[Snapshot, NDArray[np.float32], int, LinkConfig]], accounts: NDArray[np.int64]
) -> tuple[NDArray[Any], ...]:
    snapshot, table, horizon, config = asked.get()
    return _gather(snapshot, graph_of(snapshot), table, accounts, horizon, config)


def _gather(
    snapshot: Snapshot,
    graph: Graph,
    table: NDArray[np.float32],
    accounts: NDArray[np.int64],
    horizon: int,
    config: LinkConfig,
) -> tuple[NDArray[Any], ...]:
    queries = Queries.for_accounts(snapshot, accounts)
    queries.horizon[:] = horizon
    size = len(queries)
    count = np.zeros(size, np.int32)
    partner = np.zeros((size, config.most_links), np.int32)
    weight = np.zeros((size, config.most_links), np.float32)
    source = np.zeros((size, config.most_links), np.uint8)
    via = np.zeros((size, config.most_links), np.int32)
    strengths = config.strengths(snapshot)
    asked, extras = asked_of(queries), extras_of(snapshot, queries)

    def rows(first: int, last: int) -> None:
        link_rows(graph, table, strengths, asked, extras, first, last, count, partner, weight, source, via)

    over_threads(rows, size)
    filled = np.arange(config.most_links) < count[:, None]
    here = np.repeat(queries.account, count).astype(np.int32)
    return here, partner[filled], weight[filled], source[filled], via[filled]


@compiled
def _each_once(here: Any, there: Any, weight: Any, source: Any, via: Any, n_accounts: int) -> Any:
    """Links in order, each once: where both ends have found one the greater weight stands."""
    n_found = len(here)
    order = np.empty(n_found, np.int64)
    before = np.empty(n_found, np.int64)
    # By the upper end, then by the lower one; a sort by counting keeps the order that it finds.
    for lower in range(2):
        start = np.zeros(n_accounts + 1, np.int64)
        for at in range(n_found):
            end = min(here[at], there[at]) if lower else max(here[at], there[at])
            start[end + 1] += 1
        for account in range(n_accounts):
            start[account + 1] += start[account]
        for step in range(n_found):
            at = before[step] if lower else step
            end = min(here[at], there[at]) if lower else max(here[at], there[at])
            order[start[end]] = at
            start[end] += 1
        before[:] = order
    a, b = np.empty(n_found, np.int32), np.empty(n_found, np.int32)
    weights, sources = np.empty(n_found, np.float32), np.empty(n_found, np.uint8)
    vias = np.empty(n_found, np.int32)
    n_links = 0
    for step in range(n_found):
        at = order[step]
        low, high = min(here[at], there[at]), max(here[at], there[at])
        if n_links and a[n_links - 1] == low and b[n_links - 1] == high:
            last = n_links - 1
            sources[last] |= source[at]
            if weight[at] > weights[last] or (weight[at] == weights[last] and via[at] < vias[last]):
                weights[last] = weight[at]
                vias[last] = via[at]
            continue
        a[n_links], b[n_links] = low, high
        weights[n_links], sources[n_links], vias[n_links] = weight[at], source[at], via[at]
        n_links += 1
    return (
        a[:n_links].copy(),
        b[:n_links].copy(),
        weights[:n_links].copy(),
        sources[:n_links].copy(),
        vias[:n_links].copy(),
    )


__all__ = ["DIRECT", "SHARED", "SYNCHRONY", "LinkConfig", "Links", "derived_kinds", "links", "links_of_graph"]
