"""How many reported rings are found, and how clean the top of the list is, beside simpler ways to group.

    python benchmarks/find_rings.py --work DIR [--data DIR] [--threads N]

On examples/hop_sybil (``--data`` names another folder with its ``data/``). For each fold the verdicts and
groups of its accounts are taken out of the files, and ``ringwatch build``, ``train``, ``rings`` and
``export rings`` run on what is left, each fold in its own workspace under ``--work``; what is there already
is not done again. New rings are those of at least 5 members of which less than half are known bad from the
other folds; the first 500 of them are looked at. A reported ring of the fold is found if a ring holds at
least half of it at a Jaccard index of at least 0.3; one ring finds one. A ring can be judged if 3 of its
members have a verdict in the fold, and is bad if at least half of those are. Sums over the folds. The simpler
ways look at no verdict and are ranked by their links alone, and so are our links before anything is learned.
Prints data, seed, time and hardware.
"""

from __future__ import annotations

import argparse
import gzip
import os
import platform
import random
import shutil
import subprocess
import sys
import time
from collections import Counter
from dataclasses import dataclass, field
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
from rings.communities import communities

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from graph_etl import Snapshot

SMALLEST, LOOKED_AT, JUDGES, JACCARD = 5, 500, 3, 0.3
FIRST, FIRST_HONEST = (50, 100, 200), 200
SPEC = Path(__file__).resolve().parents[1] / "examples" / "hop_sybil" / "spec.yaml"
ACCOUNTS, FOLDS, TRANSFERS = (f"data/{name}.csv.gz" for name in ("accounts", "folds", "transfers"))
Rings = list[set[int]]


@dataclass(slots=True)
class Tally:
    """Sums over the folds."""

    reported: int = 0
    found: int = 0
    judged: Counter[int] = field(default_factory=Counter)
    bad: Counter[int] = field(default_factory=Counter)
    honest: int = 0
    honest_inside: int = 0


def judge(snapshot: Snapshot, ranked: Callable[[int], Rings]) -> Tally:
    """Judge ranked lists of rings.

    Args:
        snapshot: Gives verdicts, folds and groups of role ``judge``.
        ranked: For a fold the account indices of each ring's members, the best ring first.

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
        new = [
            ring
            for ring in ranked(int(fold))
            if len(ring) >= SMALLEST and len(ring & known_bad) < len(ring) / 2
        ]
        new = new[:LOOKED_AT]
        tally.reported += len(here)
        tally.found += _found(here, new)
        verdicts = [
            len(ring & bad) >= len(ring & (bad | honest)) / 2
            for ring in new
            if len(ring & (bad | honest)) >= JUDGES
        ]
        for first in FIRST:
            tally.judged[first] += len(verdicts[:first])
            tally.bad[first] += sum(verdicts[:first])
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


def row(name: str, ranked: Rings, tally: Tally, seconds: float) -> str:
    """One line of the table."""
    shares = " ".join(f"{tally.bad[first] / max(1, tally.judged[first]):>7.1%}" for first in FIRST)
    return (
        f"{name:<38} {tally.found:>3} of {tally.reported:<4} {shares} "
        f"{tally.honest_inside / max(1, tally.honest):>7.2%} "
        f"{sum(len(ring) >= SMALLEST for ring in ranked):>7,} {max(map(len, ranked), default=0):>8,} "
        f"{seconds:>7.1f}"
    )


def without_fold(data: Path, fold: int, target: Path) -> None:
    """Copy the files of hop_sybil without the verdicts and groups of one fold.

    Args:
        data: Folder that holds their ``data/``.
        fold: Whose.
        target: Folder that will hold the copies'.
    """
    (target / "data").mkdir(parents=True, exist_ok=True)
    accounts = pl.read_csv(data / ACCOUNTS, infer_schema=False)
    folds = pl.read_csv(data / FOLDS, infer_schema=False)
    told = ("sybil", "auto_group", "report_group")
    hidden = pl.col("fold") == str(fold)
    shown = accounts.join(folds, on="account", how="left", maintain_order="left").with_columns(
        [pl.when(hidden).then(None).otherwise(pl.col(name)).alias(name) for name in told]
    )
    with gzip.open(target / ACCOUNTS, "wb") as stream:
        stream.write(shown.drop("fold").write_csv().encode())
    for name in (TRANSFERS, FOLDS):
        shutil.copyfile(data / name, target / name)


def of_fold(fold: int, data: Path, work: Path, threads: int, seed: int) -> tuple[Path, float]:
    """Find rings with the public commands, one fold's verdicts and groups unknown.

    Args:
        fold: Whose.
        data: Folder that holds hop_sybil's ``data/``.
        work: Where its workspace is or goes.
        threads: Threads of everything.
        seed: Of everything random.

    Returns:
        The exported file and the seconds that ``ringwatch rings`` took.
    """
    place = work / f"fold_{fold}"
    out, told = place / "rings.csv", place / "seconds.txt"
    if not out.exists():
        without_fold(data, fold, place)
        common = ["--workspace", str(place / "workspace")]
        environment = os.environ | {"NUMBA_NUM_THREADS": str(threads), "OMP_NUM_THREADS": str(threads)}
        export = ["export", "rings", str(out)]
        with (place / "commands.log").open("w") as log:
            for command in (["build", str(SPEC), "--data", str(place)], ["train"], ["rings"], export):
                seeded = [] if command is export else ["--seed", str(seed)]
                line = [sys.executable, "-m", "ringwatch", *command, *common, *seeded]
                start = time.perf_counter()
                subprocess.run(line, check=True, env=environment, stdout=log, stderr=log)
                if command == ["rings"]:
                    told.write_text(f"{time.perf_counter() - start:.1f}", encoding="utf-8")
    return out, float(told.read_text(encoding="utf-8"))


def always(ranked: Rings) -> Callable[[int], Rings]:
    """The same list for every fold: of ways that look at no verdict."""
    return lambda _: ranked


def exported(file: Path, snapshot: Snapshot) -> Rings:
    """Rings of an exported file as sets, in the order of their rank."""
    index = pl.DataFrame(
        {"account": snapshot.account_ids.to_list()}, schema={"account": pl.String}
    ).with_row_index("place")
    table = pl.read_csv(file, schema_overrides={"account": pl.String}).join(index, on="account")
    found = table.group_by("ring").agg(pl.col("place"), pl.col("rank").first()).sort("rank")
    return [set(places) for places in found["place"].to_list()]


def main() -> None:
    """Run the benchmark and print its table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--work", type=Path, required=True, help="folder for the workspaces")
    parser.add_argument("--data", type=Path, default=SPEC.parent, help="folder that holds data/")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    workspace = Workspace(args.work / "all")
    build(load_spec(SPEC), workspace, data_dir=args.data)
    snapshot = workspace.open_snapshot()
    print(
        f"{snapshot.manifest['name']} {snapshot.id}, {snapshot.n_accounts:,} accounts, seed {args.seed}, "
        f"{os.cpu_count()} cores ({platform.machine()}), Python {platform.python_version()}"
    )
    heads = " ".join(f"{f'bad/{first}':>7}" for first in FIRST)
    print(f"{'':<38} {'found':>9}  {heads} {'honest':>7} {'rings':>7} {'largest':>8} {'s':>7}")
    start = time.perf_counter()
    pairs, weight = co_use(snapshot)
    graph = igraph.Graph(n=snapshot.n_accounts, edges=pairs)
    paired = time.perf_counter() - start
    igraph.set_random_number_generator(random.Random(args.seed))
    weights = weight.tolist()
    ways: tuple[tuple[str, Callable[[], Any]], ...] = (
        ("connected components of co-use", lambda: graph.connected_components()),
        ("label propagation on co-use", lambda: graph.community_label_propagation(weights=weights)),
        ("Louvain on co-use", lambda: graph.community_multilevel(weights=weights)),
        (
            "Leiden (modularity) on co-use",
            lambda: graph.community_leiden("modularity", weights=weights, n_iterations=5),
        ),
        (
            "Leiden (Potts, 0.1) on co-use",
            lambda: graph.community_leiden("CPM", weights=weights, resolution=0.1, n_iterations=5),
        ),
    )
    for name, group in ways:
        start = time.perf_counter()
        member = np.asarray(group().membership)
        seconds = paired + time.perf_counter() - start
        ranked = by_density(member, pairs, weight)
        print(row(name, ranked, judge(snapshot, always(ranked)), seconds))
    links = rings.links(snapshot)
    member = communities(links, snapshot.n_accounts, rings.CommunityConfig(), args.seed)
    start = time.perf_counter()
    links = rings.links(snapshot)
    member = communities(links, snapshot.n_accounts, rings.CommunityConfig(), args.seed)
    seconds = time.perf_counter() - start
    inner = np.where(member >= 0, member, member.max() + 1 + np.arange(len(member)))
    ranked = by_density(inner, np.column_stack([links.a, links.b]), links.weight.astype(np.float64))
    print(row("our links, nothing learned", ranked, judge(snapshot, always(ranked)), seconds))
    lists: list[Rings] = []
    took: list[float] = []
    for fold in range(int(np.asarray(snapshot.folds).max()) + 1):
        file, seconds = of_fold(fold, args.data, args.work, args.threads, args.seed)
        lists.append(exported(file, snapshot))
        took.append(seconds)
    tally = judge(snapshot, lambda fold: lists[fold])
    print(row("ringwatch rings, whole command", lists[0], tally, float(np.mean(took))))


if __name__ == "__main__":
    main()
