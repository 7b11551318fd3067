"""How many reported rings are found, and how clean the top of the list is, beside simpler ways to group.

    python benchmarks/find_rings.py --workspace DIR [--data DIR] [--bundle]

The workspace holds a snapshot with known groups of role ``judge`` (examples/hop_sybil has them);
``--data`` builds that example into it first. For each fold the verdicts of its accounts are hidden. New
rings are those of at least 5 members of which less than half are known bad from the other folds; the
first 500 of them are looked at. A reported ring of the fold is found if a ring holds at least half of it
at a Jaccard index of at least 0.3; one ring finds one. A ring can be judged if 3 of its members have a
verdict in the fold, and is bad if at least half of those are. Sums over the folds. Every way of grouping
is ranked by its links alone; ``--bundle`` adds ours ranked with the out-of-fold scores of the
workspace's bundle. Prints data, seed, time and hardware.
"""

from __future__ import annotations

import argparse
import os
import platform
import random
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import igraph
import numpy as np
import polars as pl

import rings
from features import view_of
from graph_etl import Workspace
from graph_etl.build import build
from graph_etl.spec import load_spec

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from graph_etl import Snapshot

SMALLEST, LOOKED_AT, JUDGES, JACCARD = 5, 500, 3, 0.3
FIRST_HONEST = 200
Rings = list[set[int]]


@dataclass(slots=True)
class Tally:
    """Sums over the folds."""

    reported: int = 0
    found: int = 0
    first_50: int = 0
    bad_50: int = 0
    first_100: int = 0
    bad_100: int = 0
    honest: int = 0
    honest_inside: int = 0


def judge(snapshot: Snapshot, ranked: Rings) -> Tally:
    """Judge a ranked list of rings.

    Args:
        snapshot: Gives verdicts, folds and groups of role ``judge``.
        ranked: Account indices of each ring's members, the best first.

    Returns:
        The sums over all folds.
    """
    labels, folds = snapshot.labels(), np.asarray(snapshot.folds)
    groups = snapshot.groups.filter(pl.col("role") == "judge")
    reported = [
        set(part["account"].to_list())
        for part in groups.partition_by("mapping", "group", maintain_order=True)
    ]
    tally = Tally()
    for fold in np.unique(folds):
        hidden = folds == fold
        known_bad = set(np.flatnonzero(~hidden & (labels == 1)).tolist())
        bad = set(np.flatnonzero(hidden & (labels == 1)).tolist())
        honest = set(np.flatnonzero(hidden & (labels == 0)).tolist())
        here = [whole & bad for whole in reported if whole & bad]
        new = [ring for ring in ranked if len(ring) >= SMALLEST and len(ring & known_bad) < len(ring) / 2]
        new = new[:LOOKED_AT]
        tally.reported += len(here)
        tally.found += _found(here, new)
        verdicts = [
            len(ring & bad) >= len(ring & (bad | honest)) / 2
            for ring in new
            if len(ring & (bad | honest)) >= JUDGES
        ]
        tally.first_50 += len(verdicts[:50])
        tally.bad_50 += sum(verdicts[:50])
        tally.first_100 += len(verdicts[:100])
        tally.bad_100 += sum(verdicts[:100])
        tally.honest += len(honest)
        tally.honest_inside += len(honest & set().union(*new[:FIRST_HONEST]))
    return tally


def _found(reported: Rings, new: Rings) -> int:
    free = list(new)
    found = 0
    for group in sorted(reported, key=len, reverse=True):
        fits = [
            ring
            for ring in free
            if len(ring & group) >= len(group) / 2 and len(ring & group) / len(ring | group) >= JACCARD
        ]
        if fits:
            found += 1
            free.remove(max(fits, key=lambda ring: len(ring & group) / len(ring | group)))
    return found


def co_use(snapshot: Snapshot, most_users: int = 128) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Pairs of accounts that touch the same node, weighted by the sum of ``1 / log2(1 + users)``.

    Args:
        snapshot: The snapshot.
        most_users: Nodes that more accounts touch make no pair, nor do hubs.

    Returns:
        ``int64[P, 2]`` pairs, each once, and ``float64[P]`` weights.
    """
    view = view_of(snapshot)
    pointers, neighbours, _ = view.pairs(2 * len(view.sides))
    parts: list[NDArray[np.int64]] = []
    weights: list[NDArray[np.float64]] = []
    for node in np.flatnonzero((np.diff(pointers) >= 2) & (np.diff(pointers) <= most_users)):
        if view.hub_since[node] < snapshot.end_horizon:
            continue
        users = np.sort(view.node_account[neighbours[pointers[node] : pointers[node + 1]]]).astype(np.int64)
        left, right = np.triu_indices(len(users), 1)
        parts.append(users[left] * snapshot.n_accounts + users[right])
        weights.append(np.full(len(left), 1.0 / np.log2(1.0 + len(users))))
    key, place = np.unique(np.concatenate(parts), return_inverse=True)
    pairs = np.column_stack([key // snapshot.n_accounts, key % snapshot.n_accounts])
    return pairs, np.bincount(place, np.concatenate(weights)).astype(np.float64)


def by_density(member: NDArray[Any], pairs: NDArray[np.int64], weight: NDArray[np.float64]) -> Rings:
    """Groups as sets, the densest first: mean weight over all pairs, times the logarithm of the size."""
    size = np.bincount(member)
    inside = member[pairs[:, 0]] == member[pairs[:, 1]]
    total = np.bincount(member[pairs[inside, 0]], weight[inside], minlength=len(size))
    density = total / np.maximum(1.0, size * (size - 1) / 2.0) * np.log(np.maximum(size, 1))
    order = np.argsort(member, kind="stable")
    parts = np.split(order, np.cumsum(size)[:-1])
    return [set(parts[group].tolist()) for group in np.argsort(-density, kind="stable") if size[group] >= 3]


def ours(run: rings.RingsRun) -> Rings:
    """The rings of a run as sets, in the order of their rank."""
    members = run.members.group_by("ring").agg("account").join(run.table.select("ring", "rank"), on="ring")
    return [set(accounts) for accounts in members.sort("rank")["account"].to_list()]


def row(name: str, ranked: Rings, tally: Tally, seconds: float) -> str:
    """One line of the table."""
    return (
        f"{name:<34} {tally.found:>3} of {tally.reported:<4} {tally.bad_50 / max(1, tally.first_50):>7.1%} "
        f"{tally.bad_100 / max(1, tally.first_100):>7.1%} {tally.honest_inside / max(1, tally.honest):>7.2%} "
        f"{sum(len(ring) >= SMALLEST for ring in ranked):>7,} {max(map(len, ranked), default=0):>8,} "
        f"{seconds:>7.1f}"
    )


def main() -> None:
    """Run the benchmark and print its table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--workspace", type=Path, required=True)
    parser.add_argument("--data", type=Path, help="folder of hop_sybil's files; builds the example first")
    parser.add_argument(
        "--bundle", action="store_true", help="also rank with the bundle's out-of-fold scores"
    )
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    workspace = Workspace(args.workspace)
    if args.data is not None:
        spec = Path(__file__).resolve().parents[1] / "examples" / "hop_sybil" / "spec.yaml"
        build(load_spec(spec), workspace, data_dir=args.data)
    snapshot = workspace.open_snapshot()
    print(
        f"{snapshot.manifest['name']} {snapshot.id}, {snapshot.n_accounts:,} accounts, seed {args.seed}, "
        f"{os.cpu_count()} cores ({platform.machine()}), Python {platform.python_version()}"
    )
    heads = f"{'':<34} {'found':>9}  {'bad/50':>7} {'bad/100':>7} {'honest':>7} {'rings':>7}"
    print(f"{heads} {'largest':>8} {'s':>7}")
    start = time.perf_counter()
    pairs, weight = co_use(snapshot)
    graph = igraph.Graph(n=snapshot.n_accounts, edges=pairs)
    paired = time.perf_counter() - start
    igraph.set_random_number_generator(random.Random(args.seed))
    ways: tuple[tuple[str, Callable[[], Any]], ...] = (
        ("connected components of co-use", lambda: graph.connected_components()),
        (
            "Leiden (Potts, 0.1) on co-use",
            lambda: graph.community_leiden("CPM", weights=weight.tolist(), resolution=0.1, n_iterations=5),
        ),
        (
            "Leiden (modularity) on co-use",
            lambda: graph.community_leiden("modularity", weights=weight.tolist(), n_iterations=5),
        ),
        (
            "label propagation on co-use",
            lambda: graph.community_label_propagation(weights=weight.tolist()),
        ),
    )
    for name, group in ways:
        start = time.perf_counter()
        member = np.asarray(group().membership)
        seconds = paired + time.perf_counter() - start
        ranked = by_density(member, pairs, weight)
        print(row(name, ranked, judge(snapshot, ranked), seconds))
    rings.find(snapshot, seed=args.seed)  # compiles
    start = time.perf_counter()
    run = rings.find(snapshot, seed=args.seed)
    seconds = time.perf_counter() - start
    print(row("rings.find, no labels, no scores", ours(run), judge(snapshot, ours(run)), seconds))
    significant = int((run.table["q_value"] < 0.05).sum())
    if args.bundle:
        from gnn import Bundle

        current = workspace.current()["bundle"]
        if current is None:
            message = "the workspace has no bundle; train one with `ringwatch train`"
            raise SystemExit(message)
        table = Bundle.open(workspace.path_of("bundle", current)).scores
        scores = np.full(snapshot.n_accounts, np.nan)
        scores[table["account"].to_numpy()] = table["oof_score"].to_numpy()
        start = time.perf_counter()
        scored = rings.find(snapshot, scores, seed=args.seed)
        seconds = time.perf_counter() - start
        print(row("rings.find, out-of-fold scores", ours(scored), judge(snapshot, ours(scored)), seconds))
    print(f"{run.table.height:,} rings of 3 or more, {significant:,} with q < 0.05")


if __name__ == "__main__":
    main()
