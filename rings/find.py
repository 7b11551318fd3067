"""Finding rings: links, communities, significance, ranking, ids, evidence and words, in one go."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl

from graph_etl import NO_TIME
from graph_etl.progress import silent
from rings.benign import CONFIRMED, OPEN, Confirmed, matched
from rings.carried import Carried, account_names, account_prints, names_hash, thing_prints, way_prints
from rings.communities import CommunityConfig, communities
from rings.evidence import Grounds
from rings.honest import EXPLAINED, Honest, honest
from rings.identity import Identities, identify
from rings.links import LinkConfig, Links
from rings.links import links as find_links
from rings.measuring import base_of, measured, one_of, taken_over
from rings.minimal import behaviour_alone
from rings.nearest_bad import nearest_bad
from rings.pairs import MIN_GROUPS, PairModel, Pairs, learn_pairs
from rings.run import FORMAT, RingsRun
from rings.significance import (
    SIGNIFICANT,
    GroupSums,
    benjamini_hochberg,
    group_sums,
    shrunken_mean,
    standing_out,
)
from rings.spread import InTurn
from rings.telling import told_of
from rings.touched import Settled, Standing, regrouped, told_numbers
from rings.weighing import LEARNED, LEAST, Weighing
from rings.yardstick import Yardstick

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import NDArray

    from graph_etl import Snapshot
    from graph_etl.progress import Progress
    from rings.spread import Shared, Spread

_HOUR_MS = 3_600_000
# Accounts at the platform's mean score that a ring's mean score is drawn towards.
_SHRINK = 3.0


@dataclass(frozen=True, slots=True)
class _Tested:
    sums: GroupSums
    p_value: NDArray[np.float64]
    q_value: NDArray[np.float64]


def find(
    snapshot: Snapshot,
    scores: NDArray[np.floating[Any]] | None = None,
    *,
    links: Links | None = None,
    previous: RingsRun | None = None,
    verdicts: NDArray[np.integer[Any]] | None = None,
    seed: int = 0,
    link_config: LinkConfig | None = None,
    community_config: CommunityConfig | None = None,
    bundle: str | None = None,
    benign: Sequence[Confirmed] = (),
    base: RingsRun | None = None,
    spread: Spread | None = None,
    progress: Progress | None = None,
) -> RingsRun:
    """Find the rings of a snapshot.

    Args:
        snapshot: The snapshot.
        scores: ``float[A]``, how likely each account is bad, NaN where unknown; None if nobody knows yet:
            then rings are ranked by their links alone.
        links: The links; found by `rings.links` if None.
        previous: The run before: rings that go on keep their ids.
        verdicts: ``int8[A]``, 1 for accounts known to be bad, 0 for good ones, -1 for others; the snapshot's
            last verdicts if None. They are told of, and make no link and no ring of themselves. Known
            groups of role ``train`` and good accounts teach which pairs act together, see
            `rings.pairs.learn_pairs`.
        seed: Fixes what chance decides: the order in which Leiden visits accounts, the null model.
        link_config: How links are weighed, before a model that has learned from known groups does it.
        community_config: How links become communities; as suits the weights if None.
        bundle: Version of the bundle that the scores came from, for the record.
        benign: Groups that people confirmed to be benign: as long as they have not changed they rank after
            all others, see `rings.benign`.
        base: An earlier run to measure by, see `rings.yardstick`: its pair model, its ranks of behaviour and,
            with the same bundle, its null model stand in for new ones. If it is ``previous`` too, what no new
            event touches stays as it is there, see `rings.touched`. None: all is found anew.
        spread: What runs the independent pieces; this process if None. The run is the same.
        progress: Told what is done: the step, how many pieces of it, of how many.

    Returns:
        The rings, the best rank first.

    Raises:
        CannotBuildOn: If platform, spec or settings are others than those of ``base``.
    """
    over, tell = spread or InTurn(), progress or silent
    config = link_config or LinkConfig()
    horizon = snapshot.end_horizon
    if links is None:
        links = find_links(snapshot, horizon, config, spread=over, tell=tell)
    if scores is not None and np.isnan(scores).all():
        scores = None
    label = snapshot.labels() if verdicts is None else np.asarray(verdicts)
    kept = None if base is None else taken_over(snapshot, base, seed, config)
    weighed = _weighed(
        Weighing(snapshot, horizon, config, scores, yardstick=kept), links, label, base, seed, spread, tell
    )
    weighing = weighed.weighing
    grouping = community_config or (CommunityConfig() if weighing.model is None else LEARNED)
    prints = account_prints(snapshot, label)
    standing = None
    if base is not None and previous is not None and previous.id == base.id:
        standing = Standing.of(base, snapshot, prints, grouping)
    anew = kept is None or base is None or base.manifest["bundle"] != bundle
    grouped = _grouped(weighed, standing, None if anew else kept, kept, grouping, seed, over, tell)
    member, yardstick = grouped.member, grouped.yardstick
    n_rings = int(member.max(initial=-1)) + 1
    known = label == 1
    # Without verdicts: those are told of and move no ring.
    compared = _compared(weighed, grouped, n_rings)
    stands, standing, links = compared.stands, compared.standing, compared.links
    tested = _test(yardstick, links, member, compared.odds)
    score, rank_of = _rank(scores, member, tested, compared.likely)
    inside = member >= 0
    member[inside] = rank_of[member[inside]]
    order = np.argsort(rank_of, kind="stable")
    accounts = _accounts_of(member, n_rings)
    pointers = np.cumsum([0, *map(len, accounts)])
    everybody = np.concatenate([np.zeros(0, np.int64), *accounts])
    nearest = nearest_bad(snapshot, everybody, pointers, known, horizon)
    ways = way_prints(snapshot, nearest)
    names = _identities(snapshot, accounts, previous)
    groups = _confirmed(snapshot, accounts, names.ids, benign)
    density, p_value, q_value = (
        column[order] for column in (tested.sums.density, tested.p_value, tested.q_value)
    )
    stands = stands[order]
    if standing is not None:
        standing = standing.ordered(order)
        stands &= standing.still(ways, q_value)
        stands &= np.array([ring not in groups for ring in names.ids], np.bool_)
    told = np.flatnonzero(~stands)
    here = told_numbers(member, told)
    grounds = Grounds(
        snapshot=snapshot,
        horizon=horizon,
        member=here,
        links=links,
        known_bad=known,
        density=density[told],
        p_value=p_value[told],
        q_value=q_value[told],
        nearest=[nearest[ring] for ring in told],
        grouping=grouping,
        config=config,
        unweighed=None if weighing.model is None else weighed.unweighed,
        in_step=None if weighed.pairs is None else behaviour_alone(weighing, weighed.pairs, here),
        compared=compared.of(order[told]),
        everyone=None if len(told) == n_rings else member,
    )
    said = told_of(grounds, told, accounts, names, groups, over, tell)
    words, packed, status = [""] * n_rings, [b""] * n_rings, [OPEN] * n_rings
    benign_odds = np.zeros(n_rings)
    benign_odds[told] = grounds.honest.probability
    for at, ring in enumerate(told):
        words[ring], packed[ring], status[ring] = said.words[at], said.packed[at], said.status[at]
    members = said.members
    if standing is not None:
        members = standing.roles_of_before(members, stands)
        for ring in np.flatnonzero(stands):
            words[ring], benign_odds[ring], packed[ring] = standing.told(int(ring), float(q_value[ring]))
    table = pl.DataFrame(
        {
            "ring": names.ids,
            "rank": np.arange(1, n_rings + 1, dtype=np.int32),
            "score": score[order],
            "size": tested.sums.size[order].astype(np.int32),
            "density": density,
            "synchrony": _synchrony(snapshot, links, member, n_rings),
            "p_value": p_value,
            "q_value": q_value,
            "honest": benign_odds,
            "n_known_bad": np.bincount(member[known & (member >= 0)], minlength=n_rings).astype(np.int32),
            "words": pl.Series(words, dtype=pl.String),
            "parents": pl.Series(names.parents, dtype=pl.List(pl.String)),
            "status": pl.Series(status, dtype=pl.String),
        },
        schema_overrides={"ring": pl.String, "synchrony": pl.Float64},
    )
    last = np.argsort(np.array(status) == CONFIRMED, kind="stable")
    table, members, packed = _silent_last(table, members, packed, last)
    carried = Carried(
        links,
        account_names(snapshot),
        prints,
        compared.things[order][last],
        ways[last],
        compared.likely[order][last],
        compared.odds[order][last],
        snapshot.n_nodes,
        names_hash(snapshot, snapshot.n_nodes),
    )
    manifest = {
        "format": FORMAT,
        "snapshot": snapshot.id,
        "name": snapshot.manifest["name"],
        "simulated": bool(snapshot.manifest.get("simulated", False)),
        "bundle": bundle,
        "previous": None if previous is None else previous.id,
        "seed": seed,
        "links": config.model_dump(),
        "pair_model": None if weighing.model is None else weighing.model.metrics,
        "communities": grouping.model_dump(),
        "scored": scores is not None,
        "counts": {
            "links": len(links),
            "rings": n_rings,
            "untouched": int(stands.sum()),
            "significant": int((q_value < SIGNIFICANT).sum()),
            "members": members.height,
            "benign_confirmed": int((table["status"] == CONFIRMED).sum()),
            "null_runs": yardstick.runs,
            "null_groups": len(yardstick.null),
            "null_share": round(yardstick.share, 6),
        },
        "ended": names.ended,
        "base": base_of(snapshot, base),
        "taken_over": [] if base is None else _taken(weighing, measured_anew=anew),
        "changed": None if previous is None else _changed(previous, table, members),
    }
    model = None if weighing.model is None else weighing.model.text
    manifest["id"] = _run_id(manifest, table, members, packed, model)
    return RingsRun(manifest["id"], manifest, table, members, packed, model, yardstick, carried)


@dataclass(frozen=True, slots=True)
class _Weighed:
    """The links that rings are found with, and what they came from."""

    weighing: Weighing
    unweighed: Links
    pairs: Pairs | None
    links: Links


def _weighed(
    weighing: Weighing,
    links: Links,
    label: NDArray[np.integer[Any]],
    base: RingsRun | None,
    seed: int,
    spread: Spread | None,
    tell: Progress,
) -> _Weighed:
    """Weigh the links by what was learned from known groups, where there are enough of them."""
    snapshot = weighing.snapshot
    if base is None:
        known = snapshot.groups.filter(pl.col("role") == "train")
        learns = known.select("mapping", "group").n_unique() >= MIN_GROUPS
    else:
        learns = base.pair_model is not None
    if not learns:
        return _Weighed(weighing, links, None, links)
    tell("pairs", 0, 1)
    pairs = weighing.pairs(links)
    model: PairModel | None
    if base is not None and base.pair_model is not None:
        model = PairModel(base.pair_model, pairs.profiles.shape[1], base.manifest["pair_model"])
    else:
        model = learn_pairs(snapshot, pairs, verdicts=label, seed=seed, spread=spread, tell=tell)
    weighing = weighing.with_model(model)
    return _Weighed(
        weighing, links, pairs, weighing.weighed(links, pairs, spread=spread or InTurn(), tell=tell)
    )


@dataclass(frozen=True, slots=True)
class _Grouped:
    """Who is grouped with whom, what groups are measured by, and what of the run before still stands."""

    member: NDArray[np.int32]
    yardstick: Yardstick
    standing: Standing | None
    settled: Settled | None


def _grouped(
    weighed: _Weighed,
    standing: Standing | None,
    measure: Yardstick | None,
    kept: Yardstick | None,
    grouping: CommunityConfig,
    seed: int,
    over: Spread,
    tell: Progress,
) -> _Grouped:
    """Group the accounts and, without a ``measure``, find one; ranks of behaviour stay the ``kept`` ones."""
    weighing, links, settled = weighed.weighing, weighed.links, None
    if standing is None:
        n_accounts = weighing.snapshot.n_accounts
        steps: list[Callable[[], Any]] = [
            partial(_communities, over.share(links), n_accounts, grouping, seed)
        ]
    else:
        settled = standing.settled(links, weighing.config.least_weight if weighing.model is None else LEAST)
        steps = [partial(_regrouped, over.share((links, standing.member, settled.moved)), grouping, seed)]
    if measure is None:
        steps.append(partial(measured, over.share(weighing), grouping, seed, bool(len(links))))
    member, *found = over.each("communities, null model", steps, tell)
    n_rings = int(member.max(initial=-1)) + 1
    yardstick = one_of(kept, found, n_rings) if measure is None else measure
    return _Grouped(member, yardstick, standing, settled)


@dataclass(frozen=True, slots=True)
class _Compared:
    """The rings held against honest stories: which stand as they were, what was found of the others.

    Attributes:
        stands: ``bool[R]``.
        standing: The run before, by the numbers of this one.
        links: The links, of rings that stand as they were.
        things: Prints of what each touches.
        likely: ``float64[R]``, of the honest story.
        odds: ``float64[R]``, how far what members did speaks for coordination.
        fresh: ``int64[F]``, rings that were compared now.
        honest: Their comparison.
    """

    stands: NDArray[np.bool_]
    standing: Standing | None
    links: Links
    things: NDArray[np.uint64]
    likely: NDArray[np.float64]
    odds: NDArray[np.float64]
    fresh: NDArray[np.int64]
    honest: Honest

    def of(self, rings: NDArray[np.int64]) -> Honest | None:
        """The comparison of some rings; None where one of them was not compared now."""
        if not np.isin(rings, self.fresh).all():
            return None
        return self.honest.take(np.searchsorted(self.fresh, rings))


def _compared(weighed: _Weighed, grouped: _Grouped, n_rings: int) -> _Compared:
    """Compare rings with honest stories, but for those that no event touched."""
    snapshot, links, member = weighed.weighing.snapshot, weighed.links, grouped.member
    things = thing_prints(snapshot, member, n_rings)
    stands, likely, odds = np.zeros(n_rings, np.bool_), np.zeros(n_rings), np.zeros(n_rings)
    standing = grouped.standing
    if standing is not None and grouped.settled is not None:
        standing = standing.held_against(member)
        stands = standing.untouched(member, grouped.settled, things)
        likely[stands], odds[stands] = standing.compared[stands], standing.odds[stands]
        links = grouped.settled.links(np.append(stands, [False])[member])
    fresh = np.flatnonzero(~stands)
    found = honest(snapshot, told_numbers(member, fresh), horizon=weighed.weighing.horizon)
    likely[fresh], odds[fresh] = found.probability, found.together
    return _Compared(stands, standing, links, things, likely, odds, fresh, found)


def _taken(weighing: Weighing, *, measured_anew: bool) -> list[str]:
    learned = [] if weighing.model is None else ["pair model", "ranks of behaviour"]
    return learned if measured_anew else ["null model", *learned]


def _accounts_of(member: NDArray[np.int32], n_rings: int) -> list[NDArray[np.int64]]:
    """Accounts of each ring, ascending."""
    inside = np.flatnonzero(member >= 0)
    inside = inside[np.argsort(member[inside], kind="stable")]
    ends = np.searchsorted(member[inside], np.arange(1, n_rings))
    return list(np.split(inside, ends)) if n_rings else []


def _changed(previous: RingsRun, table: pl.DataFrame, members: pl.DataFrame) -> dict[str, int]:
    """How many rings go on as they were, with other members or ties, and which are new or gone."""
    ties = []
    for run in (previous.members, members):
        ordered = run.sort("account_id").group_by("ring").agg("account_id", "role", "weight")
        ties.append({ring: rest for ring, *rest in ordered.iter_rows()})
    before, now = ties
    both = before.keys() & now.keys()
    same = sum(before[ring] == now[ring] for ring in both)
    who = sum(before[ring][0] == now[ring][0] for ring in both)
    return {
        "unchanged": same,
        "other_ties": who - same,
        "other_members": len(both) - who,
        "new": table.height - len(both),
        "ended": len(before) - len(both),
    }


def _test(
    yardstick: Yardstick, links: Links, member: NDArray[np.int32], odds: NDArray[np.float64]
) -> _Tested:
    """Compare the groups with those that the same steps find where nobody acts together."""
    sums = group_sums(links, member)
    # By as many groups as there were when the platform was measured: one more elsewhere changes no p-value.
    most = max(1, yardstick.most)
    p_value = standing_out(
        sums.tightness, odds, yardstick.null, yardstick.null_odds, yardstick.runs * yardstick.share, most
    )
    return _Tested(sums, p_value, benjamini_hochberg(p_value))


def _rank(
    scores: NDArray[np.floating[Any]] | None,
    member: NDArray[np.int32],
    tested: _Tested,
    honest: NDArray[np.float64],
) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """Score the rings and give each its place, from 0."""
    sums = tested.sums
    n_rings = len(sums.size)
    # log2(size) once more than in the test: of two rings that are as unlikely the larger one does more harm,
    # and the first 50 of hop_sybil are cleaner (benchmarks/find_rings.py).
    tight = 1.0 - np.exp(-sums.tightness * np.log2(np.maximum(2.0, sums.size)))
    if scores is None:
        mean = np.ones(n_rings)
    else:
        given = np.asarray(scores, np.float64)
        known = ~np.isnan(given)
        prior = float(given[known].mean()) if known.any() else 0.0
        here = known & (member >= 0)
        mean = shrunken_mean(
            np.bincount(member[here], given[here], minlength=n_rings),
            np.bincount(member[here], minlength=n_rings),
            prior,
            _SHRINK,
        )
    score = np.clip(mean * np.sqrt(tight), 0.0, 1.0)
    # Rings that something honest explains come after the suspicious ones, those that chance could have made
    # after all others, whatever their members' scores.
    last = np.where(tested.q_value >= SIGNIFICANT, 2, honest >= EXPLAINED)
    order = np.lexsort((-sums.size, -score, last))
    rank_of = np.empty(n_rings, np.int64)
    rank_of[order] = np.arange(n_rings)
    return score, rank_of


def _identities(
    snapshot: Snapshot, rings: Sequence[NDArray[np.int64]], previous: RingsRun | None
) -> Identities:
    before: dict[str, list[str]] = {}
    if previous is not None:
        for ring, account_id in previous.members.select("ring", "account_id").iter_rows():
            before.setdefault(ring, []).append(account_id)
    node = np.asarray(snapshot.account_node)
    return identify([snapshot.node_keys[node[accounts]] for accounts in rings], before)


def _confirmed(
    snapshot: Snapshot, rings: Sequence[NDArray[np.int64]], ids: list[str], benign: Sequence[Confirmed]
) -> dict[str, Confirmed]:
    """By ring the group that people called benign."""
    if not benign:
        return {}
    node = np.asarray(snapshot.account_node)
    return matched(benign, {ring: snapshot.node_keys[node[rings[at]]] for at, ring in enumerate(ids)})


def _silent_last(
    table: pl.DataFrame, members: pl.DataFrame, packed: list[bytes], order: NDArray[np.int64]
) -> tuple[pl.DataFrame, pl.DataFrame, list[bytes]]:
    """Put the groups that people called benign after all others, in the order that they have."""
    if (np.diff(order) == 1).all():
        return table, members, packed
    table = table[order].with_columns(rank=pl.int_range(1, len(order) + 1, dtype=pl.Int32))
    place = table.select("ring", place=pl.int_range(pl.len()))
    members = members.join(place, on="ring", how="left", maintain_order="left")
    return table, members.sort("place", maintain_order=True).drop("place"), [packed[at] for at in order]


def _communities(
    links: Shared[Links], n_accounts: int, grouping: CommunityConfig, seed: int
) -> NDArray[np.int32]:
    return communities(links.get(), n_accounts, grouping, seed)


def _regrouped(
    given: Shared[tuple[Links, NDArray[np.int32], NDArray[np.bool_]]], grouping: CommunityConfig, seed: int
) -> NDArray[np.int32]:
    return regrouped(*given.get(), grouping, seed)


def _synchrony(
    snapshot: Snapshot, links: Links, member: NDArray[np.int32], n_rings: int
) -> NDArray[np.float64] | list[None]:
    """Mean over a ring's links, by weight, of how close their ends appeared: 1/e an hour apart."""
    seen_ms = np.asarray(snapshot.first_seen_ms)
    if not (seen_ms != NO_TIME).any():
        return [None] * n_rings
    left = member[links.a]
    rows = (left >= 0) & (left == member[links.b])
    a, b = links.a[rows], links.b[rows]
    timed = (seen_ms[a] != NO_TIME) & (seen_ms[b] != NO_TIME)
    gap_ms = np.where(timed, np.abs(seen_ms[a] - seen_ms[b]), np.iinfo(np.int64).max)
    weight = links.weight[rows].astype(np.float64)
    close = np.bincount(left[rows], weight * np.exp(-gap_ms / _HOUR_MS), minlength=n_rings)
    total = np.bincount(left[rows], weight, minlength=n_rings)
    return np.asarray(close / np.maximum(total, 1e-12), np.float64)


def _run_id(
    manifest: dict[str, Any],
    table: pl.DataFrame,
    members: pl.DataFrame,
    explanations: list[bytes],
    model: str | None,
) -> str:
    digest = hashlib.sha256(json.dumps(manifest, sort_keys=True).encode())
    digest.update(json.dumps(table["ring"].to_list()).encode())
    digest.update(np.ascontiguousarray(table["score"].to_numpy()).tobytes())
    digest.update(json.dumps(members["account_id"].to_list()).encode())
    for explanation in explanations:
        digest.update(explanation)
    digest.update((model or "").encode())
    return digest.hexdigest()[:12]
