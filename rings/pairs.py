"""Which pairs of accounts act together: a model learned from known groups, for links and for neighbours."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property, lru_cache, partial
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import polars as pl

from features import Queries, asked_of, graph_of
from features.visibility import is_cut
from graph_etl import NO_TIME
from graph_etl.progress import silent
from rings.behaviour import NEIGHBOURS, Neighbours
from rings.kernel import compiled
from rings.links import Links
from rings.pair_walk import Forest, PairColumns, judge_rows, merged, neighbours_of, read_forest, write_rows
from rings.rows import over_threads
from rings.spread import InTurn, Threads

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from graph_etl import Snapshot
    from graph_etl.progress import Progress
    from rings.spread import Shared, Spread

_HOUR_MS: Final = 3_600_000.0
_PLAIN: Final = (
    "weight",
    "source",
    "gap_hours",
    "places_apart",
    "distance",
    "common",
    "common_weight",
    "common_like",
    "links_least",
    "links_most",
    "sum_least",
    "sum_most",
    "weight_of_strongest",
    "common_weight_share",
    "common_share",
    "rank_better",
    "rank_worse",
    "distance_of_reach",
    "reach_least",
    "reach_most",
    "middle_least",
    "liked_least",
    "liked_most",
)


def pair_columns(width: int) -> list[str]:
    """Names of the columns of `Pairs.features`.

    Args:
        width: Columns of a profile.

    Returns:
        What is known of a pair, then each place of the profiles: how far apart, the smaller, the greater.
    """
    places = [f"{name}_{place}" for name in ("apart", "least", "most") for place in range(width)]
    return [*_PLAIN, *places]


@dataclass(frozen=True)
class Pairs:
    """Pairs of accounts that may act together, with what is known of each.

    Attributes:
        links: A link a pair, each once, ``a`` below ``b``, sorted; its weight is 0 where only behaviour
            brings the two together.
        profiles: ``float32[A, D]``.
        first_seen_ms: ``int64[A]``.
        neighbours: What behaviour brings together.
    """

    links: Links
    profiles: NDArray[np.float32]
    first_seen_ms: NDArray[np.int64]
    neighbours: Neighbours

    def __len__(self) -> int:
        """Number of pairs."""
        return len(self.links)

    @classmethod
    def of(
        cls,
        links: Links,
        neighbours: Neighbours,
        profiles: NDArray[np.float32],
        first_seen_ms: NDArray[np.int64],
    ) -> Pairs:
        """Bring links and neighbours together.

        Args:
            links: The links.
            neighbours: Pairs that behave alike.
            profiles: ``float32[A, D]``.
            first_seen_ms: ``int64[A]``.

        Returns:
            Every pair that is one of either, once.
        """
        n_accounts = np.int64(max(1, len(profiles)))
        linked = links.a.astype(np.int64) * n_accounts + links.b
        near = neighbours.a.astype(np.int64) * n_accounts + neighbours.b
        key = merged(linked, near)
        place = np.searchsorted(key, linked)
        weight = np.zeros(len(key), np.float32)
        source = np.zeros(len(key), np.uint8)
        via = np.full(len(key), -1, np.int32)
        weight[place], source[place], via[place] = links.weight, links.source, links.via
        both = Links(
            (key // n_accounts).astype(np.int32), (key % n_accounts).astype(np.int32), weight, source, via
        )
        return cls(both, profiles, first_seen_ms, neighbours)

    def features(self, rows: NDArray[np.int64]) -> NDArray[np.float32]:
        """What is known of some pairs.

        Args:
            rows: ``int64[n]``, which.

        Returns:
            ``float32[n, C]`` with the columns of `pair_columns`.
        """
        out = np.empty((len(rows), len(_PLAIN) + 3 * self.profiles.shape[1]), np.float32)
        known = self.columns
        over_threads(lambda first, last: write_rows(known, rows, NEIGHBOURS, first, last, out), len(rows))
        return out

    def uncut(self, snapshot: Snapshot, horizon: int) -> Pairs:
        """The pairs that no person called not linked.

        Args:
            snapshot: The snapshot.
            horizon: As of which position.

        Returns:
            The same pairs if none was cut.
        """
        if not snapshot.cuts.height:
            return self
        queries = Queries.for_accounts(snapshot, self.links.a.astype(np.int64))
        queries.horizon[:] = horizon
        kept = np.ones(len(self), np.bool_)
        _mark_cut(graph_of(snapshot), self.links.a, self.links.b, horizon, asked_of(queries).time_ms, kept)
        if kept.all():
            return self
        return Pairs(self.links.take(kept), self.profiles, self.first_seen_ms, self.neighbours)

    @cached_property
    def columns(self) -> PairColumns:
        """What the features of pairs need of all of them together."""
        links, near, n_accounts = self.links, self.neighbours, len(self.profiles)
        linked = links.weight > 0
        count, total, strongest = (np.zeros(n_accounts) for _ in range(3))
        for ends in (links.a, links.b):
            count += np.bincount(ends[linked], minlength=n_accounts)
            total += np.bincount(ends[linked], links.weight[linked], minlength=n_accounts)
            np.maximum.at(strongest, ends, links.weight)
        liked = np.bincount(near.a, minlength=n_accounts) + np.bincount(near.b, minlength=n_accounts)
        common, common_weight = _in_common(
            links.a, links.b, links.a[linked], links.b[linked], links.weight[linked], n_accounts
        )
        seen = np.sort(self.first_seen_ms)
        # Those that appeared at the same time are no places apart.
        before, after = (np.searchsorted(seen, self.first_seen_ms, side) for side in ("left", "right"))
        place_in_time = (before + after).astype(np.float64) / 2.0
        ones = np.ones(len(near), np.float32)
        common_like, _ = _in_common(links.a, links.b, near.a, near.b, ones, n_accounts)
        key = near.a.astype(np.int64) * n_accounts + near.b
        wanted = links.a.astype(np.int64) * n_accounts + links.b
        place = np.searchsorted(key, wanted)
        there = (place < len(key)) & (key[np.minimum(place, len(key) - 1)] == wanted) if len(key) else linked
        neighbour = np.where(there, place, -1) if len(key) else np.full(len(links), -1)
        none = np.full(1, NEIGHBOURS, np.float32)
        gap_ms = np.abs(self.first_seen_ms[links.a] - self.first_seen_ms[links.b]).astype(np.float64)
        untimed = self.first_seen_ms == NO_TIME
        gap_ms[untimed[links.a] | untimed[links.b]] = np.nan
        return PairColumns(
            a=links.a,
            b=links.b,
            weight=links.weight,
            source=links.source,
            log_gap=np.log1p(gap_ms / _HOUR_MS),
            log_places=np.log1p(np.abs(place_in_time[links.a] - place_in_time[links.b])),
            log_common=np.log1p(common),
            common=common,
            common_weight=common_weight,
            common_like=common_like,
            neighbour=neighbour.astype(np.int64),
            count=count,
            total=total,
            strongest=strongest,
            liked=liked.astype(np.float64),
            better=near.better if len(near) else none,
            worse=near.worse if len(near) else none,
            reach=near.reach,
            middle=near.middle,
            table=near.table,
            profiles=self.profiles,
        )


def _in_common(
    a: NDArray[np.int32],
    b: NDArray[np.int32],
    one: NDArray[np.int32],
    other: NDArray[np.int32],
    weight: NDArray[np.float32],
    n_accounts: int,
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """For pairs ``a``, ``b`` the number of common neighbours in a graph, and the sum of weight products.

    The graph's edges ``one``, ``other`` come sorted, the lower end first.
    """
    pointers, others, weights = neighbours_of(one, other, weight, n_accounts)
    count, product = np.zeros(len(a)), np.zeros(len(a))
    over_threads(
        lambda first, last: _common_rows(a, b, pointers, others, weights, first, last, count, product), len(a)
    )
    return count, product


@compiled
def _common_rows(
    a: Any, b: Any, pointers: Any, others: Any, weights: Any, first: int, last: int, count: Any, product: Any
) -> None:
    """Walk the sorted neighbours of both ends of the pairs ``first:last`` side by side."""
    for row in range(first, last):
        left, left_end = pointers[a[row]], pointers[a[row] + 1]
        right, right_end = pointers[b[row]], pointers[b[row] + 1]
        number = 0
        total = 0.0
        while left < left_end and right < right_end:
            if others[left] < others[right]:
                left += 1
            elif others[left] > others[right]:
                right += 1
            else:
                number += 1
                total += np.float64(weights[left]) * weights[right]
                left += 1
                right += 1
        count[row] = number
        product[row] = total


@compiled
def _mark_cut(graph: Any, a: Any, b: Any, horizon: int, time_ms: Any, kept: Any) -> None:
    for row in range(len(a)):
        if is_cut(graph, np.int64(a[row]), np.int64(b[row]), horizon, time_ms[row]):
            kept[row] = False


# Columns of `PairColumns` that are by pair, and how many pairs are judged in one piece of work.
_BY_PAIR: Final = (
    "a",
    "b",
    "weight",
    "source",
    "log_gap",
    "log_places",
    "log_common",
    "common",
    "common_weight",
    "common_like",
    "neighbour",
)
_PAIRS_OF_PIECE: Final = 1 << 18

# Known groups that a model needs; fewer and it learns their names, not their ways.
MIN_GROUPS: Final = 20
# With fewer accounts known to be good than this share of those in known groups, silent ones stand for good:
# else the model would never have seen what most pairs are, two strangers.
_GOOD_SHARE: Final = 0.5
_ROUNDS: Final = 100
# Pairs learned from, at most, of one group and of accounts that do not act together: a group of a thousand
# has half a million, which say no more than a few hundred of them do.
_PAIRS_OF_GROUP: Final = 200
_PAIRS_TOGETHER: Final = 60_000
_PAIRS_APART: Final = 40_000
# All pairs of a group together weigh as so many.
_GROUP_CAP: Final = 100.0
# The model is used where it ranks unseen pairs better than the weights of links do by at least this much.
_GAIN: Final = 0.01
_TREES: Final[dict[str, Any]] = {
    "objective": "binary",
    "learning_rate": 0.1,
    "num_leaves": 31,
    "feature_fraction": 0.5,
    "bagging_fraction": 0.8,
    "bagging_freq": 1,
    "min_child_samples": 40,
    "lambda_l2": 5.0,
    "max_bin": 63,
    "verbose": -1,
    "deterministic": True,
    "force_col_wise": True,
}


@dataclass(frozen=True)
class PairModel:
    """How likely two accounts act together.

    Attributes:
        text: The trees, as LightGBM writes them.
        width: Columns of a profile.
        metrics: Pairs and groups learned from; ``held_out`` average precision of the model and of the weights
            of links, on pairs of folds that it had not seen.
    """

    text: str
    width: int
    metrics: dict[str, Any]

    def probability(
        self, pairs: Pairs, *, spread: Spread | None = None, tell: Progress = silent
    ) -> NDArray[np.float32]:
        """How likely each pair acts together.

        Args:
            pairs: ``P`` pairs.
            spread: What runs the pieces; this process, one after another, if None.
            tell: Told what is done.

        Returns:
            ``float32[P]``.

        Raises:
            ValueError: If the profiles are of another width than those learned from.
        """
        if pairs.profiles.shape[1] != self.width:
            message = (
                f"profiles of {pairs.profiles.shape[1]} columns, the pair model has learned from {self.width}"
            )
            raise ValueError(message)
        over = spread or InTurn()
        known = pairs.columns
        # What is known of accounts goes to all pieces, of pairs to the piece that they are in.
        rest = over.share((self.text, known._replace(**dict.fromkeys(_BY_PAIR, np.zeros(0)))))
        pieces = []
        for start in range(0, len(pairs), _PAIRS_OF_PIECE):
            of_pairs = [getattr(known, name)[start : start + _PAIRS_OF_PIECE] for name in _BY_PAIR]
            pieces.append(partial(_walked, rest, of_pairs))
        return np.concatenate([np.zeros(0, np.float32), *over.each("weights of pairs", pieces, tell)])


@lru_cache(maxsize=2)
def _forest_of(text: str) -> Forest:
    return read_forest(text)


def _walked(rest: Shared[tuple[str, PairColumns]], of_pairs: Sequence[NDArray[Any]]) -> NDArray[np.float32]:
    """How likely each of some pairs acts together."""
    text, known = rest.get()
    known = known._replace(**dict(zip(_BY_PAIR, of_pairs, strict=True)))
    out = np.empty(len(known.a), np.float32)
    forest = _forest_of(text)
    over_threads(
        lambda first, last: judge_rows(
            known,
            NEIGHBOURS,
            forest.first,
            forest.column,
            forest.limit,
            forest.kept,
            forest.leaf,
            forest.zero,
            first,
            last,
            out,
        ),
        len(out),
    )
    return out


@dataclass(frozen=True, slots=True)
class _Examples:
    row: NDArray[np.int64]
    together: NDArray[np.bool_]
    weight: NDArray[np.float64]
    fold: NDArray[np.int32]


def learn_pairs(
    snapshot: Snapshot,
    pairs: Pairs,
    *,
    verdicts: NDArray[np.integer[Any]] | None = None,
    seed: int = 0,
    n_threads: int = 1,
    spread: Spread | None = None,
    tell: Progress = silent,
) -> PairModel | None:
    """Learn from a snapshot's known groups of role ``train`` which pairs act together.

    Pairs inside a group act together; pairs of two groups, and pairs with an account known to be good, do
    not; nothing is learned from any other. Where hardly anybody is known to be good, accounts without a
    verdict and a group stand for good. Groups of role ``judge`` play no part.

    Args:
        snapshot: Gives groups and the fold table.
        pairs: The pairs.
        verdicts: ``int8[A]``: 1 bad, 0 good, -1 unknown; the snapshot's last verdicts if None.
        seed: Of the sampling of pairs, rows and columns.
        n_threads: The same number gives the same model, bit by bit.
        spread: What runs the pieces; threads of this process if None.
        tell: Told what is done.

    Returns:
        The model; None where fewer than `MIN_GROUPS` groups have pairs, or where it ranks pairs of unseen
        folds no better than the weights of links do.
    """
    label = snapshot.labels() if verdicts is None else np.asarray(verdicts)
    examples, groups = _examples(snapshot, pairs, label, seed)
    if groups < MIN_GROUPS or examples.together.all():
        return None
    columns = pairs.features(examples.row)
    held_out = np.full(len(examples.row), np.nan)
    folds = np.unique(examples.fold[examples.fold >= 0])
    uses = [(examples.fold != fold) & (examples.fold >= 0) for fold in folds]
    # A pair of two folds is learned from in none of them.
    if any(not 0 < examples.together[use].sum() < use.sum() for use in uses):
        return None
    uses.append(np.ones(len(examples.row), np.bool_))

    tests = [examples.fold == fold for fold in folds]
    # Each is grown on as many threads as was asked for, so that how many grow at once changes no bit.
    over = spread or Threads()
    learned = over.share((columns, examples.together, examples.weight))
    nobody = np.zeros(len(examples.row), np.bool_)
    pieces = [
        partial(_grown, learned, use, test, seed, n_threads)
        for use, test in zip(uses, [*tests, nobody], strict=True)
    ]
    *grown, (text, _) = over.each("pair model", pieces, tell)
    for test, (_, of_others) in zip(tests, grown, strict=True):
        held_out[test] = of_others
    judged = ~np.isnan(held_out)
    truth, weight = examples.together[judged], examples.weight[judged]
    if len(np.unique(truth)) < 2:
        return None
    from sklearn.metrics import average_precision_score  # here: importing the package stays light

    figures = {
        name: round(float(average_precision_score(truth, value, sample_weight=weight)), 4)
        for name, value in (("model", held_out[judged]), ("links", columns[judged, 0]))
    }
    if figures["model"] < figures["links"] + _GAIN:
        return None
    metrics = {"groups": groups, "pairs": len(examples.row), "held_out": figures}
    return PairModel(text, pairs.profiles.shape[1], metrics)


def _examples(
    snapshot: Snapshot, pairs: Pairs, label: NDArray[np.integer[Any]], seed: int
) -> tuple[_Examples, int]:
    known = _known_groups(snapshot)
    grouped = np.diff(known.indptr) > 0
    good = (label == 0) & ~grouped
    if good.sum() < _GOOD_SHARE * grouped.sum():
        good |= (label == -1) & ~grouped
    a, b = pairs.links.a, pairs.links.b
    both = np.flatnonzero(grouped[a] & grouped[b])
    together = np.zeros(len(pairs), np.bool_)
    together[both] = np.asarray(known[a[both]].multiply(known[b[both]]).sum(axis=1)).ravel() > 0
    apart = ~together & (good[a] | good[b] | (grouped[a] & grouped[b]))
    # An account of several groups counts with the first.
    group = np.full(snapshot.n_accounts, -1, np.int64)
    group[grouped] = known.indices[known.indptr[:-1][grouped]]
    sizes = np.bincount(group[a[together]], minlength=1)
    groups = int((sizes > 0).sum())
    most = max(1, min(_PAIRS_OF_GROUP, _PAIRS_TOGETHER // max(1, groups)))
    random = np.random.default_rng(seed)
    drawn = random.permutation(np.flatnonzero(together))
    order = drawn[np.argsort(group[a[drawn]], kind="stable")]
    place = np.arange(len(order)) - np.repeat(np.cumsum(sizes) - sizes, sizes)
    row = np.concatenate([order[place < most], random.permutation(np.flatnonzero(apart))[:_PAIRS_APART]])
    row.sort()
    a, b, together = a[row], b[row], together[row]
    weight = np.ones(len(row))
    weight[together] = np.minimum(1.0, _GROUP_CAP / np.minimum(sizes, most)[group[a[together]]])
    # Those drawn stand for all that do not act together.
    weight[~together] = max(1.0, float(apart.sum()) / max(1, int((~together).sum())))
    folds = np.asarray(snapshot.folds)
    fold = np.where(folds[a] == folds[b], folds[a], -1).astype(np.int32)
    return _Examples(row, together, weight, fold), groups


def _known_groups(snapshot: Snapshot) -> Any:
    """``[A, G]`` sparse: which known groups of role ``train`` each account belongs to."""
    from scipy.sparse import csr_array  # here: importing the package stays light

    known = snapshot.groups.filter(pl.col("role") == "train")
    account = known["account"].to_numpy().astype(np.int64)
    number = known.select(pl.struct("mapping", "group").rank("dense")).to_series().to_numpy().astype(np.int64)
    shape = (snapshot.n_accounts, int(number.max(initial=0)))
    return csr_array((np.ones(len(account), np.int8), (account, number - 1)), shape=shape)


def _grown(
    learned: Shared[tuple[NDArray[np.float32], NDArray[np.bool_], NDArray[np.float64]]],
    use: NDArray[np.bool_],
    test: NDArray[np.bool_],
    seed: int,
    n_threads: int,
) -> tuple[str, NDArray[np.float64]]:
    """Trees grown on some examples, as LightGBM writes them, and what they say of others."""
    import lightgbm  # here: importing the package stays light

    columns, together, weight = learned.get()
    data = lightgbm.Dataset(columns[use], together[use].astype(np.float32), weight=weight[use])
    options = {**_TREES, "seed": seed, "num_threads": n_threads}
    booster = lightgbm.train(options, data, num_boost_round=_ROUNDS)
    nothing = np.zeros(0)
    said = booster.predict(columns[test], num_threads=n_threads) if test.any() else nothing
    return booster.model_to_string(), np.asarray(said, np.float64)
