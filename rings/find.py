"""Finding rings: links, communities, significance, ranking, ids, evidence and words, in one go."""

from __future__ import annotations

import hashlib
import json
import math
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl

from graph_etl import NO_TIME
from graph_etl.progress import silent
from rings.benign import CONFIRMED, OPEN, Confirmed, confirmed_piece, matched, standing_of
from rings.benign import Standing as BenignStanding
from rings.carried import Carried, account_names, account_prints, names_hash, thing_prints, way_prints
from rings.communities import CommunityConfig, communities
from rings.evidence import Evidence, Grounds, evidence
from rings.honest import EXPLAINED, honest, together_by_chance
from rings.identity import Identities, identify
from rings.left_out import left_out, named_rings
from rings.links import LinkConfig, Links
from rings.links import links as find_links
from rings.minimal import behaviour_alone
from rings.nearest_bad import nearest_bad
from rings.null_model import rewired, sampled
from rings.pairs import MIN_GROUPS, PairModel, learn_pairs
from rings.pictures import Pictures
from rings.roles import ROLES, confidence, roles, ties
from rings.run import FORMAT, RingsRun, pack
from rings.significance import (
    SIGNIFICANT,
    GroupSums,
    benjamini_hochberg,
    group_sums,
    shrunken_mean,
    standing_out,
)
from rings.spread import InTurn
from rings.touched import Standing, regrouped, told_numbers
from rings.weighing import LEARNED, LEAST, Weighing
from rings.words import headline, sentences
from rings.yardstick import CannotBuildOn, Yardstick, size_of, why_anew

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from numpy.typing import NDArray

    from graph_etl import Snapshot
    from graph_etl.progress import Progress
    from rings.spread import Shared, Spread

_HOUR_MS = 3_600_000
# Runs of the null model: until this many groups came out, or so many runs were made.
_NULL_GROUPS = 300
_NULL_RUNS = 4
# Accounts at the platform's mean score that a ring's mean score is drawn towards.
_SHRINK = 3.0
# Rings that are put into words in one piece of work.
_RINGS_OF_PIECE = 512


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
    n_accounts = snapshot.n_accounts
    if links is None:
        links = find_links(snapshot, horizon, config, spread=over, tell=tell)
    if scores is not None and np.isnan(scores).all():
        scores = None
    label = snapshot.labels() if verdicts is None else np.asarray(verdicts)
    kept = None if base is None else _taken_over(snapshot, base, seed, config)
    weighing = Weighing(snapshot, horizon, config, scores, yardstick=kept)
    unweighed, pairs = links, None
    taught = snapshot.groups.filter(pl.col("role") == "train").select("mapping", "group").n_unique()
    if base is not None and base.pair_model is None:
        taught = 0
    if taught >= MIN_GROUPS or (base is not None and base.pair_model is not None):
        tell("pairs", 0, 1)
        pairs = weighing.pairs(links)
        if base is not None and base.pair_model is not None:
            learned: PairModel | None = PairModel(
                base.pair_model, pairs.profiles.shape[1], base.manifest["pair_model"]
            )
        else:
            learned = learn_pairs(snapshot, pairs, verdicts=label, seed=seed, spread=spread, tell=tell)
        weighing = replace(weighing, model=learned)
        links = weighing.weighed(unweighed, pairs, spread=over, tell=tell)
    grouping = community_config or (CommunityConfig() if weighing.model is None else LEARNED)
    prints = account_prints(snapshot, label)
    standing = None
    if base is not None and previous is not None and previous.id == base.id:
        standing = Standing.of(base, snapshot, prints, grouping)
    if standing is None:
        steps: list[Callable[[], Any]] = [partial(_grouped, over.share(links), n_accounts, grouping, seed)]
    else:
        settled = standing.settled(links, config.least_weight if weighing.model is None else LEAST)
        steps = [partial(_regrouped, over.share((links, standing.member, settled.moved)), grouping, seed)]
    if kept is None or base is None or base.manifest["bundle"] != bundle:
        # A copy without what it has worked out so far, which is larger than the work to do it again.
        steps.append(partial(_measured, over.share(replace(weighing)), grouping, seed, bool(len(links))))
    member, *measured = over.each("communities, null model", steps, tell)
    n_rings = int(member.max(initial=-1)) + 1
    yardstick: Yardstick = _one_of(kept, measured, n_rings)
    things = thing_prints(snapshot, member, n_rings)
    stands, likely, odds = np.zeros(n_rings, np.bool_), np.zeros(n_rings), np.zeros(n_rings)
    if standing is not None:
        standing = standing.held_against(member)
        stands = standing.untouched(member, settled, things)
        likely[stands], odds[stands] = standing.compared[stands], standing.odds[stands]
        links = settled.links(np.append(stands, [False])[member])
    known = label == 1
    # Without verdicts: those are told of and move no ring.
    fresh = np.flatnonzero(~stands)
    compared = honest(snapshot, told_numbers(member, fresh), horizon=horizon)
    likely[fresh], odds[fresh] = compared.probability, compared.together
    tested = _test(yardstick, links, member, odds)
    score, rank_of = _rank(scores, member, tested, likely)
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
        unweighed=None if weighing.model is None else unweighed,
        in_step=None if pairs is None else behaviour_alone(weighing, pairs, here),
        everyone=None if len(told) == n_rings else member,
    )
    grounds.minimal  # noqa: B018 - worked out once, not in each piece
    shared = over.share(grounds)
    pieces, outside = over.each("evidence", [partial(_evidence, shared), partial(_left_out, shared)], tell)
    standings = _standings(snapshot, grounds, pieces, [names.ids[ring] for ring in told], groups)
    members, role_names, firmness = _members(snapshot, grounds, accounts, names)
    drawn = over.share((role_names, firmness, names.ids))
    starts = range(0, len(told), _RINGS_OF_PIECE)
    in_words = over.each(
        "words",
        [
            partial(_explain, shared, drawn, at, pieces[rows], outside[rows])
            for at in starts
            for rows in [slice(at, at + _RINGS_OF_PIECE)]
        ],
        tell,
    )
    words, packed, status = [""] * n_rings, [b""] * n_rings, [OPEN] * n_rings
    benign_odds = np.zeros(n_rings)
    benign_odds[told] = grounds.honest.probability
    rows = [row for said, rest in in_words for row in zip(said, rest, strict=True)]
    for ring, row, found in zip(told, rows, standings, strict=True):
        words[ring], packed[ring] = row
        status[ring] = OPEN if found is None else found.status
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
        things[order][last],
        ways[last],
        likely[order][last],
        odds[order][last],
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
        "base": _base_of(snapshot, base),
        "taken_over": [] if base is None else _taken(weighing, measured_anew=bool(measured)),
        "changed": None if previous is None else _changed(previous, table, members),
    }
    model = None if weighing.model is None else weighing.model.text
    manifest["id"] = _run_id(manifest, table, members, packed, model)
    return RingsRun(manifest["id"], manifest, table, members, packed, model, yardstick, carried)


def _accounts_of(member: NDArray[np.int32], n_rings: int) -> list[NDArray[np.int64]]:
    """Accounts of each ring, ascending."""
    inside = np.flatnonzero(member >= 0)
    inside = inside[np.argsort(member[inside], kind="stable")]
    ends = np.searchsorted(member[inside], np.arange(1, n_rings))
    return list(np.split(inside, ends)) if n_rings else []


def _taken(weighing: Weighing, *, measured_anew: bool) -> list[str]:
    learned = [] if weighing.model is None else ["pair model", "ranks of behaviour"]
    return learned if measured_anew else ["null model", *learned]


def _one_of(kept: Yardstick | None, measured: Sequence[Yardstick], n_rings: int) -> Yardstick:
    """What the platform is measured by: what was kept, or what was measured by the ranks that were kept."""
    if not measured and kept is not None:
        return kept
    found = replace(measured[0], most=max(n_rings, measured[0].most))
    return found if kept is None else found.ranked_by(kept)


def _base_of(snapshot: Snapshot, base: RingsRun | None) -> dict[str, Any]:
    """Which platform was measured: the snapshot's own, or that of the run that this one builds on."""
    if base is not None:
        return {**base.manifest["base"], "run": base.manifest["base"]["run"] or base.id}
    own = {"spec": snapshot.manifest["spec_hash"], "size": size_of(snapshot)}
    return {"run": None, "snapshot": snapshot.id, **own}


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


def _taken_over(snapshot: Snapshot, base: RingsRun, seed: int, config: LinkConfig) -> Yardstick:
    """What an earlier run measured by, if it fits."""
    asked = {"seed": seed, "links": config.model_dump()}
    why = why_anew(snapshot, base.manifest, asked)
    if why is not None or base.yardstick is None:
        raise CannotBuildOn(base.id, why or "the run before kept nothing to measure by")
    return base.yardstick


def _measured(given: Shared[Weighing], grouping: CommunityConfig, seed: int, any_links: bool) -> Yardstick:
    """Find groups by the same steps where nobody acts together, and note what the platform is measured by."""
    weighing = given.get()
    random = np.random.default_rng(seed)
    snapshot = weighing.snapshot
    accounts = weighing.accounts()
    sample = sampled(np.asarray(snapshot.first_seen_ms), accounts)
    share = len(sample) / len(accounts) if len(accounts) else 1.0
    among = None if len(sample) == len(accounts) else sample
    null: list[NDArray[np.float64]] = []
    odds: list[NDArray[np.float64]] = []
    while len(null) < _NULL_RUNS and sum(map(len, null)) < _NULL_GROUPS:
        graph, kept = rewired(snapshot, weighing.horizon, random, among)
        # Behaviour is dealt out anew too: what is alike no longer goes with what is shared or close in time.
        order = random.permutation(snapshot.n_accounts)
        chance = weighing.by_chance(graph, order, among)
        del kept
        groups = communities(chance, snapshot.n_accounts, grouping, seed)
        null.append(group_sums(chance, groups).tightness)
        # Members came when they came; what they did is what those did whose behaviour they were dealt.
        dealt = np.full_like(groups, -1)
        dealt[order] = groups
        odds.append(together_by_chance(snapshot, groups, dealt, weighing.horizon))
        if not any_links:
            break
    most = math.ceil(max(map(len, null)) / share)
    ranks = (None, (), ()) if weighing.model is None else weighing.ranks()
    return Yardstick(np.concatenate(null), np.concatenate(odds), len(null), share, most, *ranks)


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


def _standings(
    snapshot: Snapshot,
    grounds: Grounds,
    pieces: list[list[Evidence]],
    ids: list[str],
    groups: Mapping[str, Confirmed],
) -> list[BenignStanding | None]:
    """What became of the groups that people called benign; what they said joins the evidence."""
    standings: list[BenignStanding | None] = [None] * len(ids)
    for at, ring in enumerate(ids):
        if ring in groups:
            accounts = grounds.accounts[at]
            inside = snapshot.node_keys[np.asarray(snapshot.account_node)[accounts]]
            bad = grounds.known_bad[accounts]
            known = [name for name, is_bad in zip(inside, bad, strict=True) if is_bad]
            found = standings[at] = standing_of(groups[ring], inside, known, pieces[at])
            pieces[at].append({"id": f"e{len(pieces[at]) + 1}", **confirmed_piece(found)})
    return standings


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


def _members(
    snapshot: Snapshot, grounds: Grounds, rings: Sequence[NDArray[np.int64]], names: Identities
) -> tuple[pl.DataFrame, list[str], NDArray[np.float64]]:
    member, links = grounds.homes, grounds.links
    inner, outer = ties(links, member)
    payers, payees = [np.zeros(0, np.int32)], [np.zeros(0, np.int32)]
    touches = grounds.contacts.touches
    for ordinal, side in enumerate(grounds.contacts.sides):
        if side.direct and side.outgoing and snapshot.relations[side.relation].directed and not side.used:
            rows = touches.filter(pl.col("side") == ordinal)
            other = np.asarray(snapshot.node_account)[rows["node"].to_numpy()]
            payers.append(rows["account"].to_numpy()[other >= 0])
            payees.append(other[other >= 0])
    role = roles(member, inner, outer, np.concatenate(payers), np.concatenate(payees))
    role_names = [ROLES[number] if number >= 0 else "" for number in role]
    firmness = np.where(member >= 0, confidence(inner, outer), 0.0)
    accounts = np.concatenate([np.zeros(0, np.int64), *rings])
    members = pl.DataFrame(
        {
            "ring": pl.Series([names.ids[ring] for ring in member[accounts]], dtype=pl.String),
            "account": accounts.astype(np.int32),
            "account_id": pl.Series(
                snapshot.node_keys[np.asarray(snapshot.account_node)[accounts]], dtype=pl.String
            ),
            "role": pl.Series([role_names[account] for account in accounts], dtype=pl.String),
            "weight": np.round(firmness[accounts], 6),
        }
    )
    return members, role_names, firmness


def _grouped(
    links: Shared[Links], n_accounts: int, grouping: CommunityConfig, seed: int
) -> NDArray[np.int32]:
    return communities(links.get(), n_accounts, grouping, seed)


def _regrouped(
    given: Shared[tuple[Links, NDArray[np.int32], NDArray[np.bool_]]], grouping: CommunityConfig, seed: int
) -> NDArray[np.int32]:
    return regrouped(*given.get(), grouping, seed)


def _evidence(grounds: Shared[Grounds]) -> list[list[Evidence]]:
    return evidence(grounds.get())


def _left_out(grounds: Shared[Grounds]) -> list[list[dict[str, Any]]]:
    return left_out(grounds.get())


def _explain(
    shared: Shared[Grounds],
    drawn: Shared[tuple[list[str], NDArray[np.float64], list[str]]],
    first: int,
    pieces: list[list[Evidence]],
    outside: list[list[dict[str, Any]]],
) -> tuple[list[str], list[bytes]]:
    """Headlines and packed explanations of the rings from ``first`` on."""
    grounds = shared.get()
    role_names, firmness, ids = drawn.get()
    account_kind = grounds.snapshot.kinds[0].name
    pictures = Pictures(grounds, role_names, firmness, range(first, first + len(pieces)))
    words: list[str] = []
    packed: list[bytes] = []
    for ring, (found, left) in enumerate(zip(pieces, outside, strict=True), start=first):
        said = sentences(found, account_kind)
        words.append(headline(said, found))
        packed.append(
            pack(
                {
                    "sentences": [{"text": one.text, "evidence": list(one.evidence)} for one in said],
                    "evidence": found,
                    "left_out": named_rings(left, ids, account_kind),
                    "timeline": pictures.timeline(ring),
                    "subgraph": pictures.subgraph(ring),
                }
            )
        )
    return words, packed


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
