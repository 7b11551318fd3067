"""What one more worker on a node costs in memory: all map the same snapshot, none holds a copy.

A graph is drawn and opened by 1, 2, 3 and 4 workers of one Ray node, through ``ray_jobs.places.fetched`` as
every job does. Each worker reads every array of the snapshot to its last byte, then waits; then the
proportional set size (PSS) of all workers is read from ``/proc``: a page that n processes map counts a nth in
each. The same is done with workers that load a copy each, which shows what mapping is worth.

Usage: ``python -m benchmarks.ray_memory [--accounts 300000] [--edges 10000000] [--json]``. Seed 3.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import tempfile
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

_SEED = 3
_MIB = 1024.0
_WORKERS = 4


@dataclass(frozen=True)
class Row:
    """Memory with some workers.

    Attributes:
        way: ``mapped`` or ``copied``.
        workers: Workers that hold the graph open.
        total_mib: PSS of all of them, what they need without the graph taken off.
        added_mib: What the last of them added.
        share: That, of the graph's size.
    """

    way: str
    workers: int
    total_mib: float
    added_mib: float
    share: float


def draw(folder: Path, n_accounts: int, n_edges: int) -> float:
    """Write a snapshot.

    Args:
        folder: Where to.
        n_accounts: Accounts; there are twice as many nodes.
        n_edges: Uses of identifiers, over three relations.

    Returns:
        MiB of its files.
    """
    from graph_etl.snapshot import KindInfo
    from graph_etl.snapshot_writer import RelationEdges, SnapshotTables, write_snapshot

    rng = np.random.default_rng(_SEED)
    relations = []
    for kind in range(3):
        part = n_edges // 3
        src = rng.integers(0, n_accounts, part).astype(np.int32)
        dst = (n_accounts + rng.integers(0, n_accounts, part)).astype(np.int32)
        pos = np.arange(kind, 3 * part, 3, dtype=np.int64)[:part]
        ones = np.ones(part, np.float32)
        relations.append(RelationEdges(f"used:kind{kind}", True, True, "one", src, dst, pos, ones))
    n_events = 3 * (n_edges // 3)
    times = np.arange(n_events, dtype=np.int64)
    write_snapshot(
        folder,
        SnapshotTables(
            name="drawn",
            kinds=[KindInfo("account", False, True), KindInfo("kind0", True, True)],
            node_kind=np.repeat(np.array([0, 1], np.int16), n_accounts),
            node_keys=[str(n) for n in range(2 * n_accounts)],
            node_names=rng.integers(0, 2**63, 2 * n_accounts).astype(np.uint64),
            account_node=np.arange(n_accounts, dtype=np.int32),
            first_seen_ms=np.zeros(n_accounts, np.int64),
            last_seen_ms=np.zeros(n_accounts, np.int64),
            first_pos=np.zeros(n_accounts, np.int64),
            event_time_ms=times,
            event_known_ms=times,
            event_type=np.zeros(n_events, np.int16),
            event_types=["use"],
            relations=relations,
        ),
    )
    return sum(path.stat().st_size for path in folder.rglob("*")) / _MIB / _MIB


class Holder:
    """A worker that holds a snapshot open.

    Args:
        place: Where it lies.
        copied: Load a copy of every array instead of mapping it.
    """

    def __init__(self, place: Any, copied: bool) -> None:
        from graph_etl import Snapshot
        from ray_jobs.places import fetched

        path = fetched(place)
        self._snapshot = Snapshot.open(path)
        self._without = pss_mib(os.getpid())
        files = sorted(path.rglob("*.npy"))
        self._arrays = [np.load(file, mmap_mode=None if copied else "r") for file in files]

    def read(self) -> int:
        """Read every byte; a number that depends on all of them."""
        total = 0
        for array in self._arrays:
            flat = array.reshape(-1).view(np.uint8)
            for start in range(0, len(flat), 1 << 22):
                total += int(flat[start : start + (1 << 22)].sum(dtype=np.int64))
        return total

    def memory(self) -> tuple[float, float]:
        """PSS now and before any array was opened, in MiB."""
        return pss_mib(os.getpid()), self._without


def pss_mib(pid: int) -> float:
    """Proportional set size of a process.

    Args:
        pid: The process.

    Returns:
        MiB.
    """
    with suppress(OSError, ValueError):
        for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
            if line.startswith("Pss:"):
                return int(line.split()[1]) / _MIB
    return 0.0


def measure(ray: Any, place: Any, way: str, graph_mib: float) -> list[Row]:
    """Open the graph in one worker more at a time.

    Args:
        ray: The module, connected.
        place: The snapshot's place.
        way: ``mapped`` or ``copied``.
        graph_mib: Size of the graph.

    Returns:
        A row for each number of workers.
    """
    actor = ray.remote(num_cpus=0.25)(Holder)
    holders: list[Any] = []
    rows: list[Row] = []
    sums: set[int] = set()
    before = 0.0
    for number in range(1, _WORKERS + 1):
        holders.append(actor.remote(place, way == "copied"))
        sums |= set(ray.get([holder.read.remote() for holder in holders]))
        found = ray.get([holder.memory.remote() for holder in holders])
        total = sum(now - without for now, without in found)
        added = total - before
        rows.append(Row(way, number, round(total, 1), round(added, 1), round(added / graph_mib, 3)))
        before = total
    assert len(sums) == 1, "workers read different graphs"
    for holder in holders:
        ray.kill(holder)
    return rows


def main() -> None:
    """Measure and print."""
    from ray_jobs.cluster import connected
    from ray_jobs.places import place_of

    parser = argparse.ArgumentParser(description="Memory of workers that map one snapshot.")
    parser.add_argument("--accounts", type=int, default=300_000)
    parser.add_argument("--edges", type=int, default=10_000_000)
    parser.add_argument("--work", type=Path, help="folder to work in; a temporary one if left out")
    parser.add_argument("--json", action="store_true", help="print the rows as JSON")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=options.work) as name:
        folder = Path(name) / "snapshot"
        graph_mib = draw(folder, options.accounts, options.edges)
        rows: list[Row] = []
        with connected("local", cpus=1) as ray:
            for way in ("mapped", "copied"):
                rows += measure(ray, place_of(folder), way, graph_mib)
    if options.json:
        print(json.dumps({"graph_mib": graph_mib, "rows": [asdict(row) for row in rows]}, indent=1))
        return
    print(f"{platform.machine()}, {os.cpu_count()} cores; {options.edges:,} edges, {graph_mib:,.0f} MiB")
    print("way      workers  PSS of all MiB  added MiB  of the graph")
    for row in rows:
        words = f"{row.way:<8} {row.workers:>7} {row.total_mib:>15,.1f} {row.added_mib:>10,.1f}"
        print(f"{words} {row.share:>12.1%}")


if __name__ == "__main__":
    main()
