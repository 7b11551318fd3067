"""A run after one new event in a hundred: building on the run before beside finding all anew.

    python -m benchmarks.ring_incremental --work DIR [--data hop_sybil game_signups] [--copies 1 5]

A workspace is built without the given share of the rows of its event tables, drawn at random, and its rings
are found. Then the rows that were left out are appended (`build --append`), and rings are found twice, each
time in a process of its own, with the ids of the run before: once building on it, once anew. Copies of
hop_sybil stand side by side as in `ring_scale`.

The table gives seconds of the processor and of the clock, what was taken over, how many rings are as they
were, and how the two runs agree: rings with the same members in both, and of these how many have q below 0.05
in both and in one.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from benchmarks.ring_scale import write_copies
from graph_etl import Workspace
from graph_etl.build import build
from graph_etl.spec import load_spec

EXAMPLES = Path(__file__).resolve().parents[1] / "examples"
EVENTS = {"hop_sybil": ("transfers",), "game_signups": ("logins", "gifts", "payments")}


def split(source: Path, target: Path, tables: tuple[str, ...], share: float, seed: int) -> None:
    """Write a data folder twice: without some rows of its event tables, and those rows alone.

    Args:
        source: Folder with ``data`` and ``spec.yaml``.
        target: Folder for ``first`` and ``then``.
        tables: The event tables.
        share: Share of their rows that comes later.
        seed: Draws the rows.
    """
    random = np.random.default_rng(seed)
    for file in sorted((source / "data").glob("*.csv*")):
        table = pl.read_csv(file, infer_schema=False)
        name = file.name.partition(".")[0]
        late = random.random(table.height) < share if name in tables else np.zeros(table.height, np.bool_)
        for part, rows in (("first", table.filter(~late)), ("then", table.filter(late))):
            folder = target / part / "data"
            folder.mkdir(parents=True, exist_ok=True)
            rows.write_csv(folder / f"{name}.csv")
    text = (source / "spec.yaml").read_text(encoding="utf-8").replace(".csv.gz", ".csv")
    for part in ("first", "then"):
        (target / part / "spec.yaml").write_text(text, encoding="utf-8")


def prepare(work: Path, data: str, copies: int, share: float, seed: int) -> Path:
    """Build a workspace, find its rings, and append what came later.

    Args:
        work: Folder for everything.
        data: Name of the example.
        copies: Copies side by side.
        share: Share of events that comes later.
        seed: Draws them.

    Returns:
        The workspace: its current snapshot is the later one, its current run the earlier one.
    """
    import rings

    source = EXAMPLES / data
    target = work / f"{data}_{copies}_{share}"
    place = target / "workspace"
    if (target / "done").exists():
        return place
    if copies > 1:
        source = target / "copies"
        write_copies(source, copies)
    split(source, target, EVENTS[data], share, seed)
    workspace = Workspace(place)
    spec = load_spec(target / "first" / "spec.yaml")
    build(spec, workspace, data_dir=target / "first")
    run = rings.find(workspace.open_snapshot())
    with workspace.new_folder("rings", run.id) as folder:
        run.write(folder)
    workspace.set_current("rings", run.id)
    build(load_spec(target / "then" / "spec.yaml"), workspace, data_dir=target / "then", append=True)
    (target / "done").touch()
    return place


def measure(place: Path, *, full: bool) -> dict[str, Any]:
    """Find the rings of a prepared workspace.

    Args:
        place: The workspace.
        full: Whether all is found anew.

    Returns:
        Seconds, what was taken over and changed, and the rings: members and q-value of each.
    """
    import rings

    workspace = Workspace(place)
    snapshot = workspace.open_snapshot()
    before = rings.RingsRun.open(workspace.path_of("rings", str(workspace.current()["rings"])))
    # Machine code is read from its cache before the clock starts.
    rings.links(snapshot)
    clock, processor = time.perf_counter(), time.process_time()
    run = rings.find(snapshot, previous=before, base=None if full else before)
    clock, processor = time.perf_counter() - clock, time.process_time() - processor
    members = dict(run.members.sort("account_id").group_by("ring").agg("account_id").iter_rows())
    return {
        "events": int(snapshot.end_horizon),
        "accounts": snapshot.n_accounts,
        "clock": clock,
        "processor": processor,
        "taken_over": run.manifest["taken_over"],
        "changed": run.manifest["changed"],
        "rings": [
            ["\0".join(members[ring]), q] for ring, q in run.table.select("ring", "q_value").iter_rows()
        ],
    }


def report(place: Path, name: str) -> None:
    """Measure a workspace both ways and print it.

    Args:
        place: The workspace.
        name: What it is called in the table.
    """
    found = {}
    for way in ("--incremental", "--anew"):
        line = [sys.executable, "-m", "benchmarks.ring_incremental", "--work", str(place), way]
        out = subprocess.run(line, check=True, capture_output=True, text=True).stdout
        found[way] = json.loads(out.splitlines()[-1])
    built, anew = found["--incremental"], found["--anew"]
    one, other = (dict(run["rings"]) for run in (built, anew))
    both = one.keys() & other.keys()
    low = [{ring for ring in both if run[ring] < 0.05} for run in (one, other)]
    print(f"{name}: {built['accounts']:,} accounts, {built['events']:,} events")
    for way, run in (("on the run before", built), ("anew", anew)):
        print(f"  {way:<18} {run['processor']:>7.1f} s processor {run['clock']:>7.1f} s clock")
    print(f"  anew takes {anew['processor'] / built['processor']:.1f} times the processor's time")
    print(f"  taken over: {', '.join(built['taken_over'])}; against the run before: {built['changed']}")
    print(
        f"  rings with the same members in both runs: {len(both):,} of {len(one):,} and {len(other):,}; "
        f"of these q < .05 in both {len(low[0] & low[1]):,}, only in the first {len(low[0] - low[1]):,}, "
        f"only in the second {len(low[1] - low[0]):,}",
        flush=True,
    )


def main() -> None:
    """Run the benchmark and print its table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--work", type=Path, required=True, help="folder for the workspaces")
    parser.add_argument("--data", nargs="+", default=["hop_sybil", "game_signups"], choices=sorted(EVENTS))
    parser.add_argument("--copies", type=int, nargs="+", default=[1], help="copies of hop_sybil")
    parser.add_argument("--share", type=float, default=0.01)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--incremental", action="store_true", help=argparse.SUPPRESS)
    parser.add_argument("--anew", action="store_true", help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.incremental or args.anew:
        print(json.dumps(measure(args.work, full=args.anew)))
        return
    for data in args.data:
        for copies in args.copies if data == "hop_sybil" else [1]:
            place = prepare(args.work, data, copies, args.share, args.seed)
            report(place, data if copies == 1 else f"{data}, {copies} copies")


if __name__ == "__main__":
    main()
