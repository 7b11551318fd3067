"""Peak memory and time of ``build`` at 1, 2 and 4 copies of the largest table, beside plain pandas.

Data: ``examples/hop_sybil``; each further copy of ``transfers`` shifts the numbers of all wallets that are
no accounts and adds one to the count, so that no row repeats another. Each run is a fresh process; its peak
is the largest resident set that the kernel saw. The baseline reads the same file with pandas and counts edges
by type, nothing more.

Usage: ``python benchmarks/build.py [--copies 1 2 4] [--json]``. No seed: nothing is drawn.
"""

from __future__ import annotations

import argparse
import gzip
import json
import os
import platform
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from dataclasses import asdict, dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
EXAMPLE = ROOT / "examples" / "hop_sybil"
LARGEST = "data/transfers.csv.gz"
# More than any wallet's number in the example.
_SHIFT = 1_000_000
_MIB = 1024 * 1024


@dataclass(frozen=True)
class Run:
    """One measured process.

    Attributes:
        tool: ``build`` or ``pandas``.
        copies: Copies of the largest table.
        rows: Rows of it.
        edges: Edges counted in the end.
        seconds: Wall time without the start of Python and its imports.
        cpu_seconds: Time of all cores, which other work on the machine hardly changes.
        start_mib: Resident memory before the work, after imports.
        peak_mib: Largest resident memory.
    """

    tool: str
    copies: int
    rows: int
    edges: int
    seconds: float
    cpu_seconds: float
    start_mib: float
    peak_mib: float


def copied(folder: Path, copies: int) -> int:
    """Write the example with several copies of its largest table.

    Args:
        folder: Where to.
        copies: How many.

    Returns:
        Number of rows of the largest table.
    """
    (folder / "data").mkdir(parents=True)
    for file in (EXAMPLE / "data").iterdir():
        if file.name != Path(LARGEST).name:
            shutil.copy(file, folder / "data" / file.name)
    with gzip.open(EXAMPLE / "data" / "accounts.csv.gz", "rt") as stream:
        next(stream)
        accounts = {line.split(",", 1)[0] for line in stream}
    with gzip.open(EXAMPLE / LARGEST, "rt") as stream:
        header = next(stream)
        lines = [line.rstrip("\n").split(",") for line in stream]
    with gzip.open(folder / LARGEST, "wt", compresslevel=1) as stream:
        stream.write(header)
        for copy in range(copies):
            for src, dst, kind, chain, count in lines:
                one, other = (
                    end if end in accounts or not copy else str(int(end) + copy * _SHIFT)
                    for end in (src, dst)
                )
                stream.write(f"{one},{other},{kind},{chain},{int(count) + copy}\n")
    return copies * len(lines)


def _peak_mib() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def _resident_mib() -> float:
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / _MIB


class _Clock:
    def __init__(self) -> None:
        self._start_mib = _resident_mib()
        self._wall, self._cpu = time.perf_counter(), time.process_time()

    def stopped(self, edges: int) -> dict[str, float]:
        wall, cpu = time.perf_counter() - self._wall, time.process_time() - self._cpu
        return {"seconds": wall, "cpu_seconds": cpu, "start_mib": self._start_mib, "edges": edges}


def run_build(folder: Path) -> dict[str, float]:
    """Build the snapshot of a folder in this process.

    Args:
        folder: Spec's data.

    Returns:
        Seconds, CPU seconds, resident memory at the start and edges.
    """
    from graph_etl import Workspace, build, load_spec

    spec = load_spec(EXAMPLE / "spec.yaml")
    clock = _Clock()
    report = build(spec, Workspace(folder / "workspace"), data_dir=folder)
    return clock.stopped(sum(report.edges.values()))


def run_pandas(folder: Path) -> dict[str, float]:
    """Count the edges of each type with plain pandas in this process.

    Args:
        folder: Spec's data.

    Returns:
        Seconds, CPU seconds, resident memory at the start and edges.
    """
    import pandas as pd

    clock = _Clock()
    accounts = pd.read_csv(folder / "data" / "accounts.csv.gz")
    transfers = pd.read_csv(folder / LARGEST)
    transfers["from_account"] = transfers["src"].isin(accounts["account"])
    pairs = transfers.groupby(["kind", "chain", "src", "dst"])["n"].agg(["size", "sum"])
    return clock.stopped(int(pairs["size"].groupby(level=["kind", "chain"]).sum().sum()))


def measured(tool: str, folder: Path, copies: int, rows: int) -> Run:
    """Run one tool in a fresh process.

    Args:
        tool: ``build`` or ``pandas``.
        folder: Spec's data.
        copies: Copies of the largest table.
        rows: Its rows.

    Returns:
        What it took.
    """
    done = subprocess.run(
        [sys.executable, __file__, "--child", tool, str(folder)],
        stdout=subprocess.PIPE,
        check=True,
        text=True,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
    )
    found = json.loads(done.stdout)
    return Run(
        tool,
        copies,
        rows,
        int(found["edges"]),
        round(found["seconds"], 2),
        round(found["cpu_seconds"], 2),
        round(found["start_mib"]),
        round(found["peak_mib"]),
    )


def _table(runs: list[Run]) -> str:
    lines = [
        "tool    copies       rows      edges  seconds    CPU s   peak MiB  above start  ratio to 1 copy"
    ]
    first = {run.tool: run for run in runs if run.copies == min(other.copies for other in runs)}
    for run in runs:
        base = first[run.tool]
        above = run.peak_mib - run.start_mib
        growth = above / (base.peak_mib - base.start_mib)
        lines.append(
            f"{run.tool:<7} {run.copies:>6} {run.rows:>10,} {run.edges:>10,} {run.seconds:>8.2f}"
            f" {run.cpu_seconds:>8.2f} {run.peak_mib:>10,.0f} {above:>12,.0f}"
            f"  CPU {run.cpu_seconds / base.cpu_seconds:.2f}, memory {growth:.2f}"
        )
    return "\n".join(lines)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description="Peak memory and time of build as the largest table grows.")
    parser.add_argument("--copies", type=int, nargs="+", default=[1, 2, 4])
    parser.add_argument("--json", action="store_true", help="print the runs as JSON")
    parser.add_argument("--child", nargs=2, metavar=("TOOL", "FOLDER"), help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.child:
        tool, folder = options.child
        found = (run_build if tool == "build" else run_pandas)(Path(folder))
        print(json.dumps(found | {"peak_mib": _peak_mib()}))
        return
    runs = []
    with tempfile.TemporaryDirectory() as name:
        # Compiles the kernels, so that no measured run does.
        copied(Path(name) / "warm", 1)
        measured("build", Path(name) / "warm", 1, 0)
        for copies in options.copies:
            folder = Path(name) / str(copies)
            rows = copied(folder, copies)
            runs += [measured(tool, folder, copies, rows) for tool in ("build", "pandas")]
            shutil.rmtree(folder)
    if options.json:
        print(json.dumps([asdict(run) for run in runs]))
        return
    print(f"{platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}")
    print(_table(sorted(runs, key=lambda run: (run.tool, run.copies))))


if __name__ == "__main__":
    main()
