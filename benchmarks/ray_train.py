"""Fitting GraphSAGE in Ray Train with one worker of one thread, and with two, in turns on one cluster.

    python benchmarks/ray_train.py [SPEC] [--data DIR] [--workers 1 2] [--turns N] [--work DIR]

Questions a second within epochs, from the time between them: drawing, checkpoints and the start of workers,
which are told apart, do not count. All workers share this machine's processors with Ray itself, whose own
processor time while they fit is told too.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import tempfile
import time
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from features import Queries
from gnn.inputs import inputs
from gnn.sage_problem import SageProblem
from gnn.targets import targets
from graph_etl import Snapshot, Workspace, build, load_spec
from graph_etl.identifiers import HASH_KEY_VARIABLE
from ray_jobs.cluster import connected
from ray_jobs.kept import Kept
from ray_jobs.places import place_of
from ray_jobs.sage_training import EPOCHS, SageSettings, fit_over_ray
from ray_jobs.training import OverRay

if TYPE_CHECKING:
    from numpy.typing import NDArray

ROOT: Final = Path(__file__).resolve().parent.parent
# What is hashed here is public, so a key that everybody can read hides nothing that it should.
_KEY: Final = "bench-ray-key-for-public-data"
_TICKS: Final = os.sysconf("SC_CLK_TCK")


def problem_of(over: OverRay, snapshot: Snapshot, questions: int) -> SageProblem:
    """All labelled accounts, over and over until there are enough of them."""
    found = targets(snapshot)
    labelled = np.flatnonzero(found.label >= 0)
    accounts: NDArray[np.int64] = np.resize(labelled, questions).astype(np.int64)
    asked = Queries.for_accounts(snapshot, accounts)
    once = inputs(snapshot, Queries.for_accounts(snapshot, labelled))
    return SageProblem(
        over.share(snapshot),
        asked,
        found.label[accounts],
        np.ones(questions),
        rows=np.resize(once, (questions, once.shape[1])),
        group=accounts,
        members=1,
        seed=0,
        n_threads=1,
    )


def processor_s(words: bytes) -> float:
    """Processor time so far of all processes whose command line has some words."""
    total = 0.0
    for folder in Path("/proc").iterdir():
        if not folder.name.isdigit():
            continue
        try:
            if words in (folder / "cmdline").read_bytes():
                fields = (folder / "stat").read_text().rpartition(")")[2].split()
                total += (int(fields[11]) + int(fields[12])) / _TICKS
        except OSError:
            continue
    return total


def measure(over: OverRay, problem: SageProblem, settings: SageSettings, store: Path, name: str) -> Any:
    """Questions a second within epochs, seconds before the first one ends, and Ray's own share."""
    ray_before, began, wall = processor_s(b"ray/"), time.time(), time.monotonic()
    fit_over_ray(over.share(problem), settings, name=name, store=str(store), cpus=1)
    took = time.monotonic() - wall
    lines = [json.loads(line) for line in (store / name / EPOCHS).read_text().splitlines()]
    ends = np.array([line["time"] for line in lines])
    return (
        len(problem.queries) * 7 / 8 / float(np.median(np.diff(ends))),
        float(ends[0] - began),
        (processor_s(b"ray/") - ray_before) / took,
    )


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("spec", nargs="?", default=str(ROOT / "examples/hop_sybil/spec.yaml"))
    parser.add_argument("--data", help="folder of the data, where it is not beside the spec")
    parser.add_argument("--workers", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--turns", type=int, default=3)
    parser.add_argument("--questions", type=int, default=60_000)
    parser.add_argument("--work", type=Path, help="folder of the workspace; a temporary one by default")
    options = parser.parse_args()
    os.environ.setdefault(HASH_KEY_VARIABLE, _KEY)
    work = options.work or Path(tempfile.mkdtemp(prefix="ringwatch-bench-ray-"))
    workspace = Workspace(work / "workspace")
    if workspace.current()["snapshot"] is None:
        build(load_spec(options.spec), workspace, data_dir=options.data)
    snapshot = workspace.open_snapshot()
    store = work.resolve() / f"fits-{os.getpid()}"
    found: dict[int, list[Any]] = {workers: [] for workers in options.workers}
    settings = SageSettings(checkpoint_s=float("inf"))
    with connected("local", cpus=max(os.cpu_count() or 1, *options.workers)) as ray:
        over = OverRay(ray, place_of(snapshot.path), Kept(str(store)), settings, 1)
        problem = problem_of(over, snapshot, options.questions)
        for turn in range(options.turns):
            for workers in options.workers:
                how = replace(settings, workers=workers)
                found[workers].append(measure(over, problem, how, store, f"fit-{workers}-{turn}"))
    print(f"{snapshot.manifest['name']}: {options.questions:,} questions, {os.cpu_count()} processors")
    base = None
    for workers, rows in found.items():
        speed, start, ray_share = (statistics.median(column) for column in zip(*rows, strict=True))
        base = base or speed
        print(
            f"{workers} workers {speed:12,.0f} questions/s {speed / base:6.2f} times;"
            f" {start:5.1f} s until the first epoch has ended;"
            f" Ray's own processes take {ray_share:.2f} processors"
        )


if __name__ == "__main__":
    main()
