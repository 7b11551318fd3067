"""Temporal sampling of two hops of 10 and 10 beside DGL's DataLoader, one thread each, in one run.

    python -m benchmarks.sampling [--folder DIR] [--questions N] [--repeats N] [--batches N …]

Graph: `benchmarks.large_graph`, 1 million accounts, 10 million entries, 64 inputs a node. Questions: accounts
by chance, each at a position of its own between a quarter and three quarters of all meetings, asked in the
order of time. Needs the extra ``dgl`` (Python 3.11). Measured by turns, medians over the repeats; processor
time goes beside wall time because machines are shared.

Ours (`gnn.drawing`, `gnn.sampler`) sees for each question exactly the entries below its position, at both
hops. Uniform, without replacement; or the latest.

DGL has no time for each seed. What it offers, each as fast as it goes:

- *masked*: `NeighborSampler` with an edge mask. Batches come in the order of time, and before each the
  entries that came up since are switched on: those up to the batch's first question are seen, later ones are
  missed, and nothing of the future is seen. Uniform, without replacement.
- *untimed*: `NeighborSampler` on a graph cut once, at the median position, so that half of the questions see
  some of their future and half miss some of their past. No temporal sampling at all, but an upper bound of
  how fast any could be that is built on DGL's kernel.

DGL names each node of a batch once and gathers the features of these; ours delivers a tree for each question:
the mean of hop 2 that the network takes (*averaged*), or all rows (*in full*). Batch sizes are tried for
both, the best one of each counts.
"""

from __future__ import annotations

import argparse
import os
import platform
import statistics
import time
import warnings
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from benchmarks.large_graph import large_graph
from features import Queries
from features.opened import open_graph
from gnn.drawing import draw
from gnn.sampler import described, gather, sample

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from graph_etl import Snapshot

FANOUTS: Final = (10, 10)


def asked(snapshot: Snapshot, count: int, seed: int) -> Queries:
    """Questions about accounts by chance, in the order of time."""
    rng = np.random.default_rng(seed)
    begun = snapshot.n_accounts
    meetings = snapshot.n_events - begun
    horizon = np.sort(rng.integers(begun + meetings // 4, begun + 3 * meetings // 4, count))
    queries = Queries.for_accounts(snapshot, rng.integers(0, snapshot.n_accounts, count))
    return replace(queries, horizon=horizon.astype(np.int64))


def timed(work: Callable[[], int], count: int) -> tuple[float, float]:
    """Seeds a second, by the wall and by the processor."""
    wall, cpu = time.perf_counter(), time.process_time()
    work()
    return count / (time.perf_counter() - wall), count / (time.process_time() - cpu)


def ours(snapshot: Snapshot, queries: Queries, table: NDArray[np.float32], batch: int) -> dict[str, Any]:
    """What is measured of ours."""
    parts = [
        queries.take(np.arange(at, min(at + batch, len(queries)))) for at in range(0, len(queries), batch)
    ]
    width = open_graph(snapshot).width
    mean = table[:10_000].mean(0)
    scale = np.maximum(table[:10_000].std(0), 1e-3).astype(np.float32)
    plain: dict[str, Any] = {"fanouts": FANOUTS, "spread": False}
    shown: dict[str, Any] = {**plain, "table": table}

    def over(one: Callable[[Queries], Any]) -> Callable[[], int]:
        return lambda: sum(one(part) is not None for part in parts)

    return {
        "ours, uniform": over(lambda part: draw(snapshot, part, latest=False, **plain)),
        "ours, uniform, averaged": over(
            lambda part: gather(snapshot, part, mean, scale, latest=False, **shown)
        ),
        "ours, uniform, in full": over(lambda part: sample(snapshot, part, width, latest=False, **shown)),
        "ours, latest": over(lambda part: draw(snapshot, part, latest=True, **plain)),
        "ours, latest, averaged": over(
            lambda part: gather(snapshot, part, mean, scale, latest=True, **shown)
        ),
    }


def of_dgl(snapshot: Snapshot, queries: Queries, table: NDArray[np.float32], batch: int) -> dict[str, Any]:
    """What is measured of DGL."""
    import dgl
    import torch

    relation = snapshot.relations[0].pair_out
    ptr, nbr, pos = np.array(relation.indptr), np.array(relation.nbr), np.array(relation.pos)
    rows = torch.from_numpy(table[np.asarray(snapshot.node_account)])
    seeds = torch.from_numpy(np.asarray(snapshot.account_node)[queries.account].astype(np.int64))
    by_time = np.argsort(pos, kind="stable")
    sorted_pos = pos[by_time]
    nothing = torch.zeros(0, dtype=torch.int64)

    def graph_of(pointers: NDArray[np.int64], neighbours: NDArray[np.int32]) -> Any:
        return dgl.graph(
            ("csc", (torch.from_numpy(pointers), torch.from_numpy(neighbours.astype(np.int64)), nothing))
        )

    class Masked(dgl.dataloading.NeighborSampler):  # type: ignore[misc]
        """Switches on what came up before each batch."""

        def __init__(self, features: bool) -> None:
            super().__init__(list(FANOUTS), mask="seen", prefetch_node_feats=["x"] if features else None)
            self.done = 0
            self.batch = 0

        def sample_blocks(self, g: Any, seed_nodes: Any, exclude_eids: Any = None) -> Any:
            first = int(queries.horizon[self.batch * batch])
            upto = int(np.searchsorted(sorted_pos, first))
            g.edata["seen"][torch.from_numpy(by_time[self.done : upto])] = True
            self.done = upto
            self.batch += 1
            return super().sample_blocks(g, seed_nodes, exclude_eids)

    whole = graph_of(ptr, nbr)
    middle = int(np.median(queries.horizon))
    kept = pos < middle
    counts = np.add.reduceat(np.append(kept, False), np.minimum(ptr[:-1], len(kept))).astype(np.int64)
    counts[np.diff(ptr) == 0] = 0
    cut = graph_of(np.concatenate([[0], np.cumsum(counts)]), nbr[kept])

    def over(graph: Any, sampler: Callable[[], Any], features: bool) -> Callable[[], int]:
        def work() -> int:
            if features:
                graph.ndata["x"] = rows
            if graph is whole:
                graph.edata["seen"] = torch.zeros(graph.num_edges(), dtype=torch.bool)
            loader = dgl.dataloading.DataLoader(
                graph, seeds, sampler(), batch_size=batch, shuffle=False, drop_last=False, num_workers=0
            )
            found = 0
            for _, _, blocks in loader:
                found += int(blocks[0].srcdata["x"].shape[0]) if features else blocks[0].num_src_nodes()
            if features:
                graph.ndata.pop("x")
            return found

        return work

    def untimed(features: bool) -> Any:
        return dgl.dataloading.NeighborSampler(list(FANOUTS), prefetch_node_feats=["x"] if features else None)

    return {
        "DGL, masked": over(whole, lambda: Masked(False), False),
        "DGL, masked, features": over(whole, lambda: Masked(True), True),
        "DGL, untimed": over(cut, lambda: untimed(False), False),
        "DGL, untimed, features": over(cut, lambda: untimed(True), True),
    }


def main() -> None:
    """Measure and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--folder", type=Path, default=Path(".ringwatch/bench/large_graph"))
    parser.add_argument("--accounts", type=int, default=1_000_000)
    parser.add_argument("--pairs", type=int, default=5_000_000)
    parser.add_argument("--questions", type=int, default=32_768)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--batches", type=int, nargs="+", default=[1024, 4096, 16384])
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    warnings.simplefilter("ignore")
    os.environ.setdefault("DGLBACKEND", "pytorch")
    import numba
    import torch

    torch.set_num_threads(1)
    numba.set_num_threads(1)
    snapshot = large_graph(options.folder, options.accounts, options.pairs, options.seed)
    queries = asked(snapshot, options.questions, options.seed)
    table = described(snapshot)
    entries = len(snapshot.relations[0].pair_out.nbr)
    print(
        f"{snapshot.n_nodes:,} nodes, {entries:,} entries, {table.shape[1]} inputs; {len(queries):,}"
        f" questions, fanouts {FANOUTS}, seed {options.seed};"
        f" {platform.processor() or platform.machine()}, one thread"
    )
    found: dict[str, dict[int, list[tuple[float, float]]]] = {}
    works = {
        batch: {**ours(snapshot, queries, table, batch), **of_dgl(snapshot, queries, table, batch)}
        for batch in options.batches
    }
    for repeat in range(options.repeats + 1):
        for batch, work in works.items():
            for name, one in work.items():
                rates = timed(one, len(queries))
                if repeat:  # the first one compiles and warms up
                    found.setdefault(name, {}).setdefault(batch, []).append(rates)
    best: dict[str, float] = {}
    print(f"{'':28}{'batch':>8}{'seeds/s, wall':>16}{'seeds/s, processor':>20}")
    for name, by_batch in found.items():
        medians = {
            batch: tuple(statistics.median(rate[which] for rate in rates) for which in (0, 1))
            for batch, rates in by_batch.items()
        }
        batch = max(medians, key=lambda one: medians[one][1])
        best[name] = medians[batch][1]
        print(f"{name:28}{batch:>8,}{medians[batch][0]:>16,.0f}{medians[batch][1]:>20,.0f}")
    for label, mine, peer in (
        ("sampling, temporal (goal 4)", "ours, uniform", "DGL, masked"),
        ("with features, temporal (goal 3)", "ours, uniform, averaged", "DGL, masked, features"),
        ("with features in full, temporal", "ours, uniform, in full", "DGL, masked, features"),
        ("sampling, DGL without time", "ours, uniform", "DGL, untimed"),
        ("with features, DGL without time", "ours, uniform, averaged", "DGL, untimed, features"),
    ):
        print(f"{label:36}{best[mine] / best[peer]:6.1f} times")


if __name__ == "__main__":
    main()
