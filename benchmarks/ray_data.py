"""The reading of `ringwatch ray etl` in tasks, as it is, beside the same through Ray Data.

Both call one function a file: read, clean, hash, quarantine, stage. In tasks a driver waits for what each
says of its file. Ray Data gets a ``Datasource`` with a read task a file, whose block is that one row: rows go
to the staged parts, which a killed driver goes on from, so that none has to pass through the object store.
Each run is a fresh process with a cluster and a workspace of its own; the staged parts are compared byte for
byte.
Memory is sampled as by `benchmarks.ray_etl`. The last line says what either does behind ``ray://``.

Usage: ``python -m benchmarks.ray_data [--events 1000000] [--rows 250000] [--turns 2]``. Seed 7.
"""

from __future__ import annotations

import argparse
import json
import os
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable
from functools import partial
from pathlib import Path
from typing import Any

from benchmarks.ray_etl import ROOT, Watch, draw, pss_mib, same_files

_HOW = ("tasks", "Ray Data")


def _stage(ray: Any, how: str, data: Path, staging: Path) -> int:
    """Stage all files; their number."""
    from graph_etl import load_spec
    from graph_etl.identifiers import Hasher
    from graph_etl.plan import plan_of
    from ray_jobs.etl import files_of, stage_file
    from ray_jobs.spreading import spread

    spec = load_spec(data / "spec.yaml")
    plan, key = plan_of(spec), Hasher.from_env().fingerprint
    files = [file for source in plan.sources for file in files_of(spec, source, data)]
    calls = [(spec, file, str(staging), key) for file in files]
    if how == "tasks":
        return len(list(spread(ray, stage_file, calls)))
    import pyarrow as pa
    import ray.data
    from ray.data.block import BlockMetadata
    from ray.data.datasource import Datasource, ReadTask

    def read(number: int) -> Iterable[pa.Table]:
        fingerprint, fresh = stage_file(*calls[number])
        yield pa.table({"file": [number], "fingerprint": [fingerprint], "fresh": [fresh]})

    class Files(Datasource):
        def estimate_inmemory_data_size(self) -> int | None:
            return None

        def get_read_tasks(self, parallelism: int, *_: Any, **__: Any) -> list[ReadTask]:
            del parallelism
            told = BlockMetadata(num_rows=1, size_bytes=200, exec_stats=None)
            return [ReadTask(partial(read, number), told) for number in range(len(calls))]

    ray.data.DataContext.get_current().enable_progress_bars = False
    source: Any = Files
    rows = ray.data.read_datasource(source(), override_num_blocks=len(calls)).iter_rows()
    return len({row["file"] for row in rows})


def _child(how: str, data: Path, staging: Path, address: str) -> None:
    from ray_jobs.cluster import connected

    with connected(address, cpus=2) as ray:
        before, start = pss_mib(os.getpid()), time.perf_counter()
        number = _stage(ray, how, data, staging)
        seconds = time.perf_counter() - start
    print(json.dumps({"files": number, "seconds": seconds, "before_mib": before}))


def _run(how: str, data: Path, staging: Path, address: str = "local") -> dict[str, float] | None:
    """One run in a fresh process; None if it fails."""
    staging.mkdir(parents=True)
    words = [sys.executable, "-m", "benchmarks.ray_data", "--child", how, str(data), str(staging), address]
    process = subprocess.Popen(
        words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=ROOT, start_new_session=True
    )
    watch = Watch(process.pid)
    watch.start()
    out, errors = process.communicate()
    watch.stop()
    if process.returncode:
        print(f"{how} at {address}: {errors.strip().splitlines()[-1][:160]}")
        return None
    found: dict[str, float] = json.loads(out.splitlines()[-1])
    return found | {"driver": watch.driver - found["before_mib"], "worker": watch.worker}


def _far_away(work: Path, data: Path) -> None:
    """Both through the client of a cluster."""
    from ray_jobs.cluster import load_ray

    load_ray()
    from ray.cluster_utils import Cluster

    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        port = int(listening.getsockname()[1])
    cluster: Any = Cluster(
        initialize_head=True,
        head_node_args={"num_cpus": 2, "include_dashboard": False, "ray_client_server_port": port},
    )
    try:
        for how in _HOW:
            found = _run(how, data, work / f"far-{how}", f"ray://127.0.0.1:{port}")
            print(f"through ray://: {how} {'fails' if found is None else 'works'}")
    finally:
        cluster.shutdown()


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--events", type=int, default=1_000_000)
    parser.add_argument("--rows", type=int, default=250_000, help="rows of a file")
    parser.add_argument("--turns", type=int, default=2)
    parser.add_argument("--child", nargs=4, help=argparse.SUPPRESS)
    options = parser.parse_args()
    os.environ.setdefault("RINGWATCH_HASH_KEY", "a-key-for-drawn-data-that-hides-nothing")
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    if options.child:
        how, data, staging, address = options.child
        _child(how, Path(data), Path(staging), address)
        return
    with tempfile.TemporaryDirectory() as name:
        work = Path(name)
        files = draw(work / "data", options.events, options.rows)
        runs: dict[str, list[dict[str, float]]] = {how: [] for how in _HOW}
        for turn in range(options.turns):
            for how in _HOW:
                found = _run(how, work / "data", work / f"{how}-{turn}")
                assert found is not None
                assert found["files"] == files
                runs[how].append(found)
        equal = same_files(work / f"{_HOW[0]}-0", work / f"{_HOW[1]}-0")
        print(f"{files} files, {options.events:,} events, medians of {options.turns} turns")
        print(f"load {os.getloadavg()[0]:.1f}")
        print(f"{'':<10} {'seconds':>8} {'driver grows MiB':>17} {'largest worker MiB':>19}  same parts")
        for how in _HOW:
            median = {key: statistics.median(one[key] for one in runs[how]) for key in runs[how][0]}
            print(
                f"{how:<10} {median['seconds']:>8.1f} {median['driver']:>17,.0f} {median['worker']:>19,.0f}"
                f"  {'yes' if equal else 'no'}"
            )
        _far_away(work, work / "data")


if __name__ == "__main__":
    main()
