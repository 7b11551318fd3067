"""How a run comes by its yardstick: from the run before, or by finding groups where nobody acts together."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from rings.communities import communities
from rings.honest import together_by_chance
from rings.null_model import rewired, sampled
from rings.significance import group_sums
from rings.yardstick import CannotBuildOn, Yardstick, code_of_rings, size_of, why_anew

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from graph_etl import Snapshot
    from rings.communities import CommunityConfig
    from rings.links import LinkConfig
    from rings.run import RingsRun
    from rings.spread import Shared
    from rings.weighing import Weighing

# Runs of the null model: until this many groups came out, or so many runs were made.
_NULL_GROUPS: Final = 300
_NULL_RUNS: Final = 4


def taken_over(snapshot: Snapshot, base: RingsRun, seed: int, config: LinkConfig) -> Yardstick:
    """What an earlier run measured by, if it fits."""
    asked = {"seed": seed, "links": config.model_dump()}
    why = why_anew(snapshot, base.manifest, asked)
    if why is not None or base.yardstick is None:
        raise CannotBuildOn(base.id, why or "the run before kept nothing to measure by")
    return base.yardstick


def measured(given: Shared[Weighing], grouping: CommunityConfig, seed: int, any_links: bool) -> Yardstick:
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


def one_of(kept: Yardstick | None, measured: Sequence[Yardstick], n_rings: int) -> Yardstick:
    """What the platform is measured by: what was kept, or what was measured by the ranks that were kept."""
    if not measured and kept is not None:
        return kept
    found = replace(measured[0], most=max(n_rings, measured[0].most))
    return found if kept is None else found.ranked_by(kept)


def base_of(snapshot: Snapshot, base: RingsRun | None) -> dict[str, Any]:
    """Which platform was measured: the snapshot's own, or that of the run that this one builds on."""
    if base is not None:
        return {**base.manifest["base"], "run": base.manifest["base"]["run"] or base.id}
    own = {"spec": snapshot.manifest["spec_hash"], "size": size_of(snapshot), "code": code_of_rings()}
    return {"run": None, "snapshot": snapshot.id, **own}
