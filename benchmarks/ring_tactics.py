"""Rings found by tactic on the simulated game (simulated data), beside other ways to group.

    python -m benchmarks.ring_tactics --work DIR [--seeds N …]

For each seed the game is drawn anew, so no seed is one that anything was tuned on; its verdicts and known
groups are what the platform would know, and `build`, `train` and `rings` run on them. Each ring of the drawn
truth is found if one of the first 100 rings of a list holds at least half of it at a Jaccard index of 0.3
(`ringwatch evaluate`'s rule). A ring of which the platform knew members counts apart, behind a stroke. Honest
accounts are those that the truth calls good.
"""

from __future__ import annotations

import argparse
import os
import random
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Final

import igraph
import numpy as np
import polars as pl

import gnn
import rings
from benchmarks.find_rings import by_density, co_use
from graph_etl import Workspace, build, load_spec
from graph_etl.identifiers import HASH_KEY_VARIABLE
from graph_etl.simulate import load_simulation, simulate
from rings.honest import EXPLAINED
from ringwatch.evaluation import judge_rings

if TYPE_CHECKING:
    from collections.abc import Sequence

    from graph_etl import Snapshot

ROOT: Final = Path(__file__).resolve().parent.parent
EXAMPLE: Final = ROOT / "examples/game_signups"
_KEY: Final = "bench-rings-key-for-simulated-data"
OURS: Final = "`ringwatch rings`"
SIGNIFICANT: Final = "those with q < 0.05"
SUSPICIOUS: Final = "those that nothing honest explains either"
# As many as an analyst may look at.
FIRST: Final = 100


def ways(snapshot: Snapshot, bundle: gnn.Bundle, seed: int) -> dict[str, list[set[str]]]:
    """Lists of rings as account ids, by the way that found them."""
    names = snapshot.account_ids.to_list()
    pairs, weight = co_use(snapshot)
    graph = igraph.Graph(n=snapshot.n_accounts, edges=pairs)
    igraph.set_random_number_generator(random.Random(seed))
    found = {
        "connected components of co-use": graph.connected_components(),
        "Leiden (Potts, 0.1) on co-use": graph.community_leiden(
            "CPM", weights=weight.tolist(), resolution=0.1, n_iterations=5
        ),
    }
    lists = {
        name: [
            {names[place] for place in ring}
            for ring in by_density(np.asarray(partition.membership), pairs, weight)
        ]
        for name, partition in found.items()
    }
    run = rings.find(snapshot, bundle.scores["score"].to_numpy(), bundle=bundle.version, seed=seed)
    of_ring = dict(run.members.group_by("ring").agg(pl.col("account_id")).iter_rows())
    ranked = run.table.sort("rank")
    sure = ranked.filter(pl.col("q_value") < 0.05)
    unexplained = sure.filter(pl.col("honest") < EXPLAINED)
    for name, table in ((OURS, ranked), (SIGNIFICANT, sure), (SUSPICIOUS, unexplained)):
        lists[name] = [set(of_ring[ring]) for ring in table["ring"]]
    return {name: found[:FIRST] for name, found in lists.items()}


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--work", type=Path, required=True, help="folder for the workspaces")
    parser.add_argument("--seeds", type=int, nargs="+", default=[101, 102, 103])
    args = parser.parse_args()
    os.environ.setdefault(HASH_KEY_VARIABLE, _KEY)
    there: Counter[tuple[str, bool]] = Counter()
    held: dict[str, Counter[tuple[str, bool]]] = {}
    honest: Counter[str] = Counter()
    n_honest = 0
    for seed in args.seeds:
        config = load_simulation(EXAMPLE / "simulation.yaml").model_copy(update={"seed": seed})
        platform = simulate(config)
        data = args.work / f"game_{seed}"
        platform.write(data)
        workspace = Workspace(data / "workspace")
        build(load_spec(EXAMPLE / "spec.yaml"), workspace, data_dir=data)
        snapshot = workspace.open_snapshot()
        bundle = gnn.train(snapshot, workspace, seed=0)
        tactic = dict(platform.rings.select("ring", "tactic").iter_rows())
        known = set(platform.tables["groups"]["ring"].to_list())
        truth = platform.tables["truth"]
        reported = {
            ring: set(accounts)
            for ring, accounts in truth.filter(pl.col("ring").is_not_null() & (pl.col("ring") != ""))
            .group_by("ring")
            .agg("account")
            .iter_rows()
        }
        good = set(truth.filter(pl.col("label") == "0")["account"].to_list())
        n_honest += len(good)
        there.update((tactic[ring], ring in known) for ring, whole in reported.items() if len(whole) > 1)
        for name, found in ways(snapshot, bundle, seed).items():
            report = judge_rings(reported, [(str(place), ring) for place, ring in enumerate(found)])
            held.setdefault(name, Counter()).update((tactic[ring], ring in known) for ring, _ in report.found)
            honest[name] += len(good & set().union(*found))
    print(f"simulated games, seeds {args.seeds}: {n_honest:,} honest accounts")
    show(there, held, honest, n_honest)


def show(
    there: Counter[tuple[str, bool]],
    held: dict[str, Counter[tuple[str, bool]]],
    honest: Counter[str],
    n_honest: int,
) -> None:
    """The table: a row a tactic, found of all; those that the platform knew behind a stroke."""
    names: Sequence[str] = list(held)
    print("| tactic | rings | " + " | ".join(names) + " |")
    print("|---" * (len(names) + 2) + "|")
    for tactic in sorted({tactic for tactic, _ in there}):
        cells = [f"{held[name][tactic, False]} / {held[name][tactic, True]}" for name in names]
        print(f"| {tactic} | {there[tactic, False]} / {there[tactic, True]} | {' | '.join(cells)} |")
    shares = [f"{honest[name] / n_honest:.1%}" for name in names]
    print(f"| honest accounts in the first 100 | | {' | '.join(shares)} |")


if __name__ == "__main__":
    main()
