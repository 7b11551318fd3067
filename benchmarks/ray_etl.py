"""Peak memory and time of ``ringwatch ray etl`` at 1, 2 and 4 times the size, beside ``ringwatch build``.

Data: a drawn platform in Parquet parts of fixed size (sign-ups, log-ins from devices and addresses, gifts).
Twice the size is twice the accounts, events and parts. Each run is a fresh process with a workspace of its
own; the two snapshots' content hashes are compared, and so is every file of them.

Memory is sampled every 0.2 s from ``/proc``. ``build``: its process. ``ray etl``: the driver, the largest
worker and all workers together; PSS counts a page that several processes map once, shared out among them.
Ray's own processes (GCS, raylet, agents) are listed apart: they do not depend on the data.

Usage: ``python -m benchmarks.ray_etl [--sizes 1 2 4] [--events 1000000] [--rows 250000] [--json]``. Seed 7.
"""

from __future__ import annotations

import argparse
import filecmp
import json
import os
import platform
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import polars as pl

ROOT = Path(__file__).resolve().parent.parent
_SEED = 7
_MIB = 1024.0
_SAMPLE_S = 0.2
_SPEC = """
ringwatch: 1
name: drawn
simulated: true
sources:
  signups: {path: signups-*.parquet}
  logins: {path: logins-*.parquet}
  gifts: {path: gifts-*.parquet}
  bans: {path: bans.parquet}
kinds:
  device: {identifier: true}
  ip: {identifier: true, normalise: ip, derive: [subnet]}
accounts:
  - source: signups
    id: account
    time: {column: at, unit: ms}
    identifiers: {device: device, ip: ip}
    attributes: {age: number, country: category}
events:
  - source: logins
    type: login
    from: {account: account}
    time: {column: at, unit: ms}
    identifiers: {device: device, ip: ip}
  - source: gifts
    type: gift
    from: {account: sender}
    to: {account: receiver}
    time: {column: at, unit: ms}
    amount: coins
verdicts:
  - {source: bans, account: account, label: word, bad: [ban], good: [fine], delay: 1d}
"""


@dataclass(frozen=True)
class Run:
    """One measured process.

    Attributes:
        tool: ``build`` or ``ray etl``.
        size: Times the smallest data.
        events: Events in the snapshot.
        accounts: Accounts in it.
        parts: Files read.
        seconds: Wall time, with the start of the process and, for Ray, of its cluster.
        driver_mib: Peak PSS of the process that was started.
        worker_mib: Peak PSS of the largest worker.
        workers_mib: Peak PSS of all workers together.
        ray_mib: Peak PSS of Ray's own processes.
        start_mib: PSS of the driver once its imports were done.
        content_hash: Of the snapshot.
        same_files: Whether all files are those of ``build``, byte for byte.
    """

    tool: str
    size: int
    events: int
    accounts: int
    parts: int
    seconds: float
    driver_mib: float
    worker_mib: float
    workers_mib: float
    ray_mib: float
    start_mib: float
    content_hash: str
    same_files: bool


def draw(folder: Path, n_events: int, part_rows: int) -> int:
    """Write a platform.

    Args:
        folder: Where to.
        n_events: Log-ins and gifts, about; a tenth as many accounts.
        part_rows: Rows of a file.

    Returns:
        Number of files.
    """
    folder.mkdir(parents=True)
    (folder / "spec.yaml").write_text(_SPEC)
    rng = np.random.default_rng(_SEED)
    n_accounts = n_events // 10
    names = pl.Series("account", np.arange(n_accounts)).cast(pl.String)
    joined = np.sort(rng.integers(1_700_000_000_000, 1_715_000_000_000, n_accounts))
    own_device = rng.integers(0, max(1, n_accounts * 9 // 10), n_accounts)
    n_ips = max(1, n_accounts // 3)
    own_ip = rng.integers(0, n_ips, n_accounts)

    def ips(numbers: np.ndarray) -> pl.Series:
        texts = [f"20.{n >> 16 & 255}.{n >> 8 & 255}.{n & 255}" for n in numbers.tolist()]
        return pl.Series("ip", texts)

    def written(name: str, table: pl.DataFrame) -> int:
        cuts = range(0, max(1, len(table)), part_rows)
        for at, start in enumerate(cuts):
            table.slice(start, part_rows).write_parquet(folder / f"{name}-{at:05d}.parquet")
        return len(cuts)

    countries = np.array(["DE", "FR", "PL", "IN", "BR", "US"])
    signups = pl.DataFrame(
        {
            "account": "a" + names,
            "at": joined,
            "device": "d" + pl.Series(own_device).cast(pl.String),
            "ip": ips(own_ip),
            "age": rng.integers(18, 70, n_accounts),
            "country": countries[rng.integers(0, 6, n_accounts)],
        }
    )
    files = written("signups", signups)
    n_logins = n_events * 7 // 10
    who = rng.integers(0, n_accounts, n_logins)
    at = joined[who] + rng.integers(0, 5_000_000_000, n_logins)
    order = np.argsort(at, kind="stable")
    logins = pl.DataFrame(
        {
            "account": signups["account"].gather(who),
            "at": at,
            "device": "d" + pl.Series(own_device[who]).cast(pl.String),
            # One in twenty from forty public addresses, the others from homes.
            "ip": ips(
                np.where(
                    rng.random(n_logins) < 0.05,
                    rng.integers(0, min(40, n_ips), n_logins),
                    own_ip[who],
                )
            ),
        }
    )[order]
    files += written("logins", logins)
    n_gifts = n_events - n_logins
    sender, receiver = rng.integers(0, n_accounts, n_gifts), rng.integers(0, n_accounts, n_gifts)
    gifts = pl.DataFrame(
        {
            "sender": signups["account"].gather(sender),
            "receiver": signups["account"].gather(receiver),
            "at": np.maximum(joined[sender], joined[receiver]) + rng.integers(0, 5_000_000_000, n_gifts),
            "coins": rng.integers(1, 500, n_gifts),
        }
    ).sort("at")
    files += written("gifts", gifts)
    judged = rng.choice(n_accounts, max(1, n_accounts // 50), replace=False)
    words = np.where(rng.random(len(judged)) < 0.3, "ban", "fine")
    pl.DataFrame({"account": signups["account"].gather(judged), "word": words}).write_parquet(
        folder / "bans.parquet"
    )
    return files + 1


def pss_mib(pid: int) -> float:
    """Memory of a process, pages that several map shared out among them; 0 if it is gone."""
    with suppress(OSError, ValueError):
        for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
            if line.startswith("Pss:"):
                return int(line.split()[1]) / _MIB
    return 0.0


def _tree(root: int) -> list[int]:
    children: dict[int, list[int]] = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            with suppress(OSError, ValueError, IndexError):
                parent = int((entry / "stat").read_text().rpartition(")")[2].split()[1])
                children.setdefault(parent, []).append(int(entry.name))
    found, waiting = [], [root]
    while waiting:
        pid = waiting.pop()
        found.append(pid)
        waiting += children.get(pid, [])
    return found


class Watch(threading.Thread):
    """Samples the memory of a process and of all that it started.

    Args:
        pid: The process.
    """

    def __init__(self, pid: int) -> None:
        super().__init__(daemon=True)
        self._pid = pid
        self._over = threading.Event()
        self.driver = self.worker = self.workers = self.ray = 0.0

    def run(self) -> None:
        """Sample until `stop`."""
        while not self._over.wait(_SAMPLE_S):
            workers = ray = 0.0
            for pid in _tree(self._pid):
                used = pss_mib(pid)
                if pid == self._pid:
                    self.driver = max(self.driver, used)
                    continue
                try:
                    words = Path(f"/proc/{pid}/cmdline").read_bytes()
                except OSError:
                    continue
                if words.startswith(b"ray::") or b"default_worker.py" in words:
                    workers += used
                    self.worker = max(self.worker, used)
                else:
                    ray += used
            self.workers, self.ray = max(self.workers, workers), max(self.ray, ray)

    def stop(self) -> None:
        """End sampling."""
        self._over.set()
        self.join()


def _child(tool: str, data: Path, workspace: Path, rows: int, cpus: int) -> None:
    """Do the work of one run and print what it made."""
    from graph_etl import Workspace, build, load_spec
    from graph_etl.bounded import Bounds
    from ray_jobs import etl_over_ray
    from ray_jobs.cluster import connected

    start_mib = pss_mib(os.getpid())
    spec = load_spec(data / "spec.yaml")
    if tool == "build":
        report = build(spec, Workspace(workspace))
    else:
        with connected("local", cpus=cpus):
            report = etl_over_ray(spec, Workspace(workspace), bounds=Bounds(rows))
    found = {
        "events": report.events,
        "accounts": report.accounts,
        "content_hash": report.content_hash,
        "start_mib": start_mib,
        "path": str(report.path),
    }
    print(json.dumps(found))


def measured(
    tool: str, size: int, data: Path, workspace: Path, parts: int, rows: int, cpus: int
) -> tuple[Run, Path]:
    """Run a tool in a fresh process.

    Args:
        tool: ``build`` or ``ray etl``.
        size: Times the smallest data.
        data: The data's folder.
        workspace: Where to.
        parts: Files of the data.
        rows: Rows of a task of the merge.
        cpus: Workers of the cluster.

    Returns:
        What it took, and the snapshot.
    """
    words = [sys.executable, "-m", "benchmarks.ray_etl", "--child", tool, str(data), str(workspace)]
    words += ["--rows", str(rows), "--cpus", str(cpus)]
    start = time.perf_counter()
    process = subprocess.Popen(words, stdout=subprocess.PIPE, text=True, cwd=ROOT)
    watch = Watch(process.pid)
    watch.start()
    out, _ = process.communicate()
    seconds = time.perf_counter() - start
    watch.stop()
    if process.returncode:
        raise SystemExit(process.returncode)
    found = json.loads(out.splitlines()[-1])
    run = Run(
        tool,
        size,
        found["events"],
        found["accounts"],
        parts,
        round(seconds, 1),
        round(watch.driver),
        round(watch.worker),
        round(watch.workers),
        round(watch.ray),
        round(found["start_mib"]),
        found["content_hash"],
        False,
    )
    return run, Path(found["path"])


def same_files(one: Path, other: Path) -> bool:
    """Whether two folders hold the same files, byte for byte."""
    names = {path.relative_to(one) for path in one.rglob("*") if path.is_file()}
    if names != {path.relative_to(other) for path in other.rglob("*") if path.is_file()}:
        return False
    return all(filecmp.cmp(one / name, other / name, shallow=False) for name in names)


def _table(runs: list[Run]) -> str:
    lines = [
        "tool     size     events   accounts  files  seconds  driver MiB  above start  largest worker"
        "  all workers  Ray itself  content       files as build's"
    ]
    for run in runs:
        lines.append(
            f"{run.tool:<8} {run.size:>4} {run.events:>10,} {run.accounts:>10,} {run.parts:>6}"
            f" {run.seconds:>8.1f} {run.driver_mib:>11,.0f} {run.driver_mib - run.start_mib:>12,.0f}"
            f" {run.worker_mib:>15,.0f} {run.workers_mib:>12,.0f} {run.ray_mib:>11,.0f}"
            f"  {run.content_hash[:12]}  {'yes' if run.same_files else 'no'}"
        )
    return "\n".join(lines)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description="Peak memory of `ray etl` and `build` as the data grows.")
    parser.add_argument("--sizes", type=int, nargs="+", default=[1, 2, 4])
    parser.add_argument("--events", type=int, default=1_000_000, help="events at size 1")
    parser.add_argument("--rows", type=int, default=250_000, help="rows of a file and of a task of the merge")
    parser.add_argument("--cpus", type=int, default=2, help="workers of the cluster")
    parser.add_argument("--work", type=Path, help="folder to work in; a temporary one if left out")
    parser.add_argument("--json", action="store_true", help="print the runs as JSON")
    parser.add_argument("--child", nargs=3, metavar=("TOOL", "DATA", "WORKSPACE"), help=argparse.SUPPRESS)
    options = parser.parse_args()
    os.environ.setdefault("RINGWATCH_HASH_KEY", "a-key-for-drawn-data-that-hides-nothing")
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    if options.child:
        tool, data, workspace = options.child
        _child(tool, Path(data), Path(workspace), options.rows, options.cpus)
        return
    runs: list[Run] = []
    with tempfile.TemporaryDirectory(dir=options.work) as name:
        for size in options.sizes:
            folder = Path(name) / str(size)
            parts = draw(folder / "data", size * options.events, options.rows)
            plain, snapshot = measured(
                "build", size, folder / "data", folder / "build", parts, options.rows, options.cpus
            )
            spread, other = measured(
                "ray etl", size, folder / "data", folder / "ray", parts, options.rows, options.cpus
            )
            runs += [
                Run(**asdict(plain) | {"same_files": True}),
                Run(**asdict(spread) | {"same_files": same_files(snapshot, other)}),
            ]
            if not options.json:
                print(_table(runs[-2:]), flush=True)
            shutil.rmtree(folder)
    if options.json:
        print(json.dumps([asdict(run) for run in runs], indent=1))
        return
    print(
        f"\n{platform.machine()}, {os.cpu_count()} cores, {options.rows:,} rows a file and task, seed {_SEED}"
    )
    print(_table(sorted(runs, key=lambda run: (run.tool, run.size))))


if __name__ == "__main__":
    main()
