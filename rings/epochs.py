"""What communities and neighbourhoods looked like at a few moments: inputs of scores that lag behind.

Communities cannot be found anew for each question, so they are found at a few horizons, the *epochs*, and a
question reads the last epoch that is not later than its own horizon. An account that an epoch holds keeps its
community; any other joins the one that its links, as the question sees them, hold on to most. Training reads
several epochs, so that it sees the staleness that serving has.
"""

from __future__ import annotations

import weakref
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Final

import numpy as np
import polars as pl

from features import FeatureSpec, Queries, asked_of, extras_of, graph_of, profiles, registry_of
from graph_etl import NO_TIME
from rings.communities import CommunityConfig, communities
from rings.links import Links, links
from rings.rows import mean_rows, over_threads

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    from features import Source
    from features.visibility import Extras
    from graph_etl import Snapshot

# What holds at all of these mean link weights is a ring, what falls apart a crowd; they span the weights that
# links have (a tenth of them lies below 0.04, a tenth above 0.5 on hop_sybil).
_RINGS: Final = (("loose", 0.02), ("middle", 0.06), ("tight", 0.2))
# Parts of the platform, by modularity: whom an account is among, told by how its like behaves on average.
_MILIEUS: Final = (("wide", 1.0), ("narrow", 4.0), ("small", 16.0))
_STATS: Final = (
    ("size", "accounts in its community, log"),
    ("weight", "mean link weight over all pairs of its community"),
    ("density", "linked pairs over all pairs of its community"),
    ("sum", "sum of link weights in its community, log"),
    ("cohesion", "share of its community's link weight that stays inside"),
    ("spread", "standard deviation of the first appearances in its community, hours, log"),
    ("pace", "median time between first appearances in its community, hours, log"),
    ("variety", "how far behaviour varies in its community, mean over the profile"),
    ("variety_rms", "how far behaviour varies in its community, root mean square over the profile"),
    ("size_by_spread", "size of its community over the spread of its first appearances"),
)
_TIE: Final = ("tie", "mean weight of its links to its community")

_HOUR_MS: Final = 3_600_000.0
# Epochs of a training with moments in the past; each costs a search for links.
_EPOCHS: Final = 6


def community_specs(source: Source) -> tuple[FeatureSpec, ...]:
    """The columns that `rings.link_features` appends where epochs are given.

    Args:
        source: Gives the schema.

    Returns:
        A spec for each column.
    """
    milieu = [
        _STATS[0],
        *((f"mean.{place}", f"mean of {place} over its community") for place in _places(source)),
    ]
    return tuple(
        FeatureSpec(f"community.{level}.{name}", "community", level, f"{words} ({level} grouping)", "epoch")
        for levels, columns in ((_RINGS, _STATS), (_MILIEUS, milieu))
        for level, _ in levels
        for name, words in (*columns, _TIE)
    )


def around_specs(source: Source) -> tuple[FeatureSpec, ...]:
    """The columns of `neighbourhoods`.

    Args:
        source: Gives the schema.

    Returns:
        A spec for each column.
    """
    return tuple(
        FeatureSpec(f"around.{place}", "around", place, f"mean of {place} two steps away", "epoch")
        for place in _places(source)
    )


def _places(source: Source) -> list[str]:
    """Names of the places of a profile."""
    return [spec.group for spec in registry_of(source).specs if spec.name.startswith("direct.mean.")]


@dataclass(frozen=True, slots=True)
class Epoch:
    """Communities and neighbourhoods as of one horizon.

    Attributes:
        horizon: Entries with a position below it went in.
        member: ``int32[R, A]``, community of each account at each level, -1 for none.
        size: ``int32[C]`` accounts of each community.
        table: ``float32[C, W]``, what the features say of each community; the first ``widths[r]`` columns
            count at level ``r``.
        widths: ``int64[R]``.
        around: ``float32[A, D]``, mean profile of the accounts that each account dealt with, NaN where it
            dealt with none.
        ARRAYS: Names of the arrays, as files hold them.
    """

    ARRAYS: ClassVar[tuple[str, ...]] = ("horizon", "member", "size", "table", "widths", "around")

    horizon: int
    member: NDArray[np.int32]
    size: NDArray[np.int32]
    table: NDArray[np.float32]
    widths: NDArray[np.int64]
    around: NDArray[np.float32]

    @property
    def arrays(self) -> dict[str, NDArray[np.generic]]:
        """All of it by name, as `Epoch.of` reads it."""
        rest = {name: getattr(self, name) for name in self.ARRAYS[1:]}
        return {"horizon": np.array([self.horizon], np.int64), **rest}

    @classmethod
    def of(cls, arrays: Mapping[str, NDArray[Any]]) -> Epoch:
        """An epoch from its arrays.

        Args:
            arrays: What `arrays` gave.

        Returns:
            The epoch.

        Raises:
            KeyError: If one of them is missing.
        """
        rest = {name: arrays[name] for name in cls.ARRAYS[1:]}
        return cls(int(arrays["horizon"][0]), **rest)

    def renumbered(self, place: NDArray[np.int64], n_accounts: int) -> Epoch:
        """The same epoch for a snapshot that numbers its accounts otherwise.

        Args:
            place: ``int64[A]``, the new index of each account, -1 where it is gone.
            n_accounts: Accounts of the new snapshot.

        Returns:
            The epoch by new indices.
        """
        kept = place >= 0
        member = np.full((len(self.member), n_accounts), -1, np.int32)
        member[:, place[kept]] = self.member[:, kept]
        around = np.full((n_accounts, self.around.shape[1]), np.nan, np.float32)
        around[place[kept]] = self.around[kept]
        return Epoch(self.horizon, member, self.size, self.table, self.widths, around)


# Asked for at every question: made once for each schema.
_before: weakref.WeakKeyDictionary[Source, Epoch] = weakref.WeakKeyDictionary()


def before_all(source: Source) -> Epoch:
    """Before the first epoch: nobody is in any community.

    Args:
        source: Gives the schema.

    Returns:
        An epoch that holds no account.
    """
    found = _before.get(source)
    if found is None:
        width = len(_places(source))
        widths = _widths(width)
        found = _before[source] = Epoch(
            -1,
            np.zeros((len(widths), 0), np.int32),
            np.zeros(0, np.int32),
            np.zeros((0, int(widths.max())), np.float32),
            widths,
            np.zeros((0, width), np.float32),
        )
    return found


def _widths(n_places: int) -> NDArray[np.int64]:
    """Columns of the table that each level shows."""
    return np.array([len(_STATS)] * len(_RINGS) + [1 + n_places] * len(_MILIEUS), np.int64)


def epochs_of(
    snapshot: Snapshot, moments: Sequence[str] = ("retrospective",), seed: int = 0
) -> tuple[Epoch, ...]:
    """Find the epochs that training at some moments reads.

    Args:
        snapshot: The snapshot.
        moments: Where all of them are ``retrospective``, its end is the only epoch; otherwise five more are
            spread evenly over its positions.
        seed: Of the order in which Leiden visits accounts.

    Returns:
        The epochs, the earliest first; the last one is the snapshot's end.
    """
    return tuple(epoch_at(snapshot, horizon, seed) for horizon in epoch_horizons(snapshot, moments))


def epoch_horizons(snapshot: Snapshot, moments: Sequence[str]) -> list[int]:
    """The horizons of the epochs that training at some moments reads.

    Args:
        snapshot: The snapshot.
        moments: See `epochs_of`.

    Returns:
        Rising; the last one is the snapshot's end.
    """
    end = int(snapshot.end_horizon)
    horizons = {end}
    if any(moment != "retrospective" for moment in moments):
        horizons |= {end * step // _EPOCHS for step in range(1, _EPOCHS)}
    return sorted(horizons)


def epoch_places(epochs: Sequence[Epoch], queries: Queries) -> NDArray[np.int64]:
    """The epoch that each question reads.

    Args:
        epochs: The earliest first.
        queries: ``Q`` questions.

    Returns:
        ``int64[Q]``, -1 where none is early enough.
    """
    horizons = np.array([epoch.horizon for epoch in epochs], np.int64)
    return np.searchsorted(horizons, queries.horizon, side="right").astype(np.int64) - 1


def neighbourhoods(
    source: Source, queries: Queries, epochs: Sequence[Epoch], extras: Extras | None = None
) -> NDArray[np.float32]:
    """Mean profiles two steps away through direct interactions (the ``A^2 X`` of Tang et al., 2023).

    The first step is the question's own, as of its horizon; the second is that of its epoch.

    Args:
        source: The graph.
        queries: ``Q`` questions.
        epochs: The earliest first.
        extras: What `features.extras_of` gives for the questions, where it is known already.

    Returns:
        ``float32[Q, D]``, NaN where there is nobody two steps away.
    """
    out = np.full((len(queries), before_all(source).around.shape[1]), np.nan, np.float32)
    places = epoch_places(epochs, queries)
    for place in np.unique(places[places >= 0]):
        rows = np.flatnonzero(places == place)
        if len(rows) == len(queries):
            return _mean_over_direct(source, queries, epochs[place].around, extras)
        out[rows] = _mean_over_direct(source, queries.take(rows), epochs[place].around, None)
    return out


def _mean_over_direct(
    source: Source, queries: Queries, table: NDArray[np.float32], extras: Extras | None
) -> NDArray[np.float32]:
    """Mean rows of a table by account over the accounts that each question's account dealt with."""
    out = np.empty((len(queries), table.shape[1]), np.float32)
    graph, asked = graph_of(source), asked_of(queries)
    brought = extras_of(source, queries) if extras is None else extras

    def rows(first: int, last: int) -> None:
        mean_rows(graph, table, asked, brought, first, last, out)

    over_threads(rows, len(queries))
    return out


def epoch_at(snapshot: Snapshot, horizon: int, seed: int = 0) -> Epoch:
    """Find communities and neighbourhoods as of one horizon.

    Args:
        snapshot: The snapshot.
        horizon: Entries with a position below it go in.
        seed: Of the order in which Leiden visits accounts.

    Returns:
        The epoch.
    """
    table = profiles(snapshot, None, horizon)
    found = links(snapshot, horizon)
    widths = _widths(table.shape[1])
    members: list[NDArray[np.int32]] = []
    sizes: list[NDArray[np.int32]] = []
    tables: list[NDArray[np.float32]] = []
    start = 0
    for place, (_, resolution) in enumerate((*_RINGS, *_MILIEUS)):
        inside = place < len(_RINGS)
        config = CommunityConfig(
            objective="potts" if inside else "modularity",
            resolution=resolution,
            weak=0.0,
            least_tie=0.0,
            smallest=2,
        )
        member = communities(found, snapshot.n_accounts, config, seed)
        size = np.bincount(member[member >= 0], minlength=int(member.max(initial=-1)) + 1)
        describe = _ring_stats if inside else _milieu_stats
        stats = np.zeros((len(size), int(widths.max())), np.float32)
        stats[:, : widths[place]] = describe(snapshot, found, member, size, table)
        members.append(np.where(member >= 0, member + start, -1).astype(np.int32))
        sizes.append(size.astype(np.int32))
        tables.append(stats)
        start += len(size)
    everybody = Queries.for_accounts(snapshot)
    everybody.horizon[:] = horizon
    return Epoch(
        horizon,
        np.stack(members),
        np.concatenate(sizes),
        np.concatenate(tables),
        widths,
        _mean_over_direct(snapshot, everybody, table, None),
    )


def _milieu_stats(
    snapshot: Snapshot,
    found: Links,
    member: NDArray[np.int32],
    size: NDArray[np.int64],
    table: NDArray[np.float32],
) -> NDArray[np.float64]:
    """Size of each community and its mean profile, ``float64[C, 1 + D]``."""
    del snapshot, found
    mean, _ = _moments(member, size, table)
    return np.column_stack([np.log1p(size), mean])


def _ring_stats(
    snapshot: Snapshot,
    found: Links,
    member: NDArray[np.int32],
    size: NDArray[np.int64],
    table: NDArray[np.float32],
) -> NDArray[np.float64]:
    """`_STATS` of each community, ``float64[C, 10]``."""
    count = len(size)
    inside = (member[found.a] >= 0) & (member[found.a] == member[found.b])
    held = np.bincount(member[found.a[inside]], found.weight[inside], count)
    n_held = np.bincount(member[found.a[inside]], minlength=count)
    leaving = np.zeros(count)
    for end in (found.a, found.b):
        out = ~inside & (member[end] >= 0)
        leaving += np.bincount(member[end[out]], found.weight[out], count)
    pairs = np.maximum(size * (size - 1) / 2.0, 1.0)
    _, variance = _moments(member, size, table)
    spread, pace = _times(snapshot, member, count)
    return np.column_stack(
        [
            np.log1p(size),
            held / pairs,
            n_held / pairs,
            np.log1p(held),
            held / np.maximum(held + leaving, 1e-9),
            spread,
            pace,
            np.sqrt(variance).mean(1),
            np.sqrt(variance.mean(1)),
            np.log1p(size) / (1.0 + spread),
        ]
    )


def _moments(
    member: NDArray[np.int32], size: NDArray[np.int64], table: NDArray[np.float32]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Mean and variance of the profiles in each community, ``float64[C, D]`` each."""
    accounts = np.flatnonzero(member >= 0)
    home = member[accounts]
    mean = np.empty((len(size), table.shape[1]))
    variance = np.empty_like(mean)
    for place in range(table.shape[1]):
        value = table[accounts, place].astype(np.float64)
        mean[:, place] = np.bincount(home, value, len(size)) / size
        variance[:, place] = np.bincount(home, value * value, len(size)) / size - mean[:, place] ** 2
    return mean, np.maximum(variance, 0.0)


def _times(
    snapshot: Snapshot, member: NDArray[np.int32], count: int
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Spread of the first appearances in each community and the median time between them, hours, log."""
    seen_ms = np.asarray(snapshot.first_seen_ms)
    timed = np.flatnonzero((member >= 0) & (seen_ms != NO_TIME))
    frame = (
        pl.DataFrame({"home": member[timed], "hours": seen_ms[timed] / _HOUR_MS})
        .sort("home", "hours")
        .with_columns(pl.col("hours").diff().over("home").alias("gap"))
        .group_by("home")
        .agg(pl.col("hours").std(ddof=0), pl.col("gap").median().fill_null(float("nan")))
    )
    spread, pace = np.full(count, np.nan), np.full(count, np.nan)
    spread[frame["home"].to_numpy()] = np.log1p(frame["hours"].to_numpy())
    pace[frame["home"].to_numpy()] = np.log1p(frame["gap"].to_numpy())
    return spread, pace
