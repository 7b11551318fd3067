"""A run after one new event in a hundred: building on the run before beside finding all anew.

    python -m benchmarks.ring_incremental --work DIR [--data hop_sybil game_signups] [--copies 1 5]

A workspace is built without the given share of the rows of its event tables, drawn at random, and its rings
are found. Then the rows that were left out are appended (`build --append`), and rings are found twice, each
time in a process of its own, with the ids of the run before: once building on it, once anew. Copies of
hop_sybil stand side by side as in `ring_scale`.

Printed are seconds of the processor and of the clock, what was taken over, how many rings are as they were,
and how the run agrees, in whole rings member by member, with a full run by the same yardstick (its pair
model, ranks and null model, nothing else) and with one that is all anew; and, as the noise to hold that
against, how two full runs by the same yardstick agree in which Leiden visits accounts in another order.
Untouched is a ring of which no member, link or shared thing was touched: it must be to the letter as it was
told of before.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import time
from dataclasses import replace
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


_TOLD = ("sentences", "evidence", "left_out", "timeline", "subgraph")
WAYS = {
    "built": "on the run before",
    "same": "all, by the same yardstick",
    "other": "the same, Leiden in another order",
    "anew": "all anew",
}


def measure(place: Path, way: str) -> dict[str, Any]:
    """Find the rings of a prepared workspace.

    Args:
        place: The workspace.
        way: One of `WAYS`.

    Returns:
        Seconds, what was taken over and changed, and the rings: id, members, q-value and whether all that is
        told of it is to the letter as it was before.
    """
    import rings

    workspace = Workspace(place)
    snapshot = workspace.open_snapshot()
    before = rings.RingsRun.open(workspace.path_of("rings", str(workspace.current()["rings"])))
    base: rings.RingsRun | None = before
    if way != "built":
        base = None if way == "anew" else replace(before, carried=None)
    seed = 1 if way == "other" else 0
    if base is not None and seed:
        base = replace(base, manifest={**base.manifest, "seed": seed})
    # Machine code is read from its cache before the clock starts.
    rings.links(snapshot)
    clock, processor = time.perf_counter(), time.process_time()
    run = rings.find(snapshot, previous=before, base=base, seed=seed)
    clock, processor = time.perf_counter() - clock, time.process_time() - processor
    then, now = told(before), told(run)
    members = dict(run.members.sort("account_id").group_by("ring").agg("account_id").iter_rows())
    return {
        "events": int(snapshot.end_horizon),
        "accounts": snapshot.n_accounts,
        "clock": clock,
        "processor": processor,
        "taken_over": run.manifest["taken_over"],
        "changed": run.manifest["changed"],
        "untouched": run.manifest["counts"]["untouched"],
        "rings": [
            ["\0".join(members[ring]), q, then.get(ring) == now[ring]]
            for ring, q in run.table.select("ring", "q_value").iter_rows()
        ],
    }


def told(run: Any) -> dict[str, Any]:
    """All that is told of each ring, without its place in the list of the day."""
    members = {
        ring: group.drop("ring").rows()
        for (ring,), group in run.members.sort("account_id").group_by("ring", maintain_order=True)
    }
    found = {}
    for row in run.table.drop("rank", "q_value", "parents").iter_rows(named=True):
        explained = run.explain(row["ring"])
        for piece in explained["evidence"]:
            piece.pop("q_value", None)
        said = {
            name: explained[name] for name in ("sentences", "evidence", "left_out", "timeline", "subgraph")
        }
        found[row["ring"]] = (row, members[row["ring"]], said)
    return found


def report(place: Path, name: str) -> None:
    """Measure a workspace in all ways and print it.

    Args:
        place: The workspace.
        name: What it is called in the table.
    """
    found = {}
    # The first process is thrown away: it may have machine code to compile.
    for way in ("built", *WAYS):
        line = [sys.executable, "-m", "benchmarks.ring_incremental", "--work", str(place), "--way", way]
        out = subprocess.run(line, check=True, capture_output=True, text=True).stdout
        found[way] = json.loads(out.splitlines()[-1])
    built = found["built"]
    print(f"{name}: {built['accounts']:,} accounts, {built['events']:,} events")
    for way, text in WAYS.items():
        run = found[way]
        print(
            f"  {text:<34} {run['processor']:>7.1f} s processor {run['clock']:>7.1f} s clock, "
            f"{len(run['rings']):,} rings, against the run before: {run['changed']}"
        )
    print(f"  taken over: {', '.join(built['taken_over'])}")
    sets = {way: {ring: q for ring, q, _ in run["rings"]} for way, run in found.items()}
    letter = {ring for ring, _, same in built["rings"] if same}
    print(
        f"  untouched: {built['untouched']:,} rings; to the letter as before {len(letter):,}, of which with "
        f"the same members in the full run by the same yardstick {len(letter & sets['same'].keys()):,}, "
        f"with Leiden in another order {len(letter & sets['other'].keys()):,}, "
        f"all anew {len(letter & sets['anew'].keys()):,}"
    )
    for one, other in (("built", "same"), ("same", "other"), ("built", "anew")):
        both = sets[one].keys() & sets[other].keys()
        low = [{ring for ring in both if sets[way][ring] < 0.05} for way in (one, other)]
        print(
            f"  same members in '{WAYS[one]}' and '{WAYS[other]}': {len(both):,} of {len(sets[one]):,} and "
            f"{len(sets[other]):,}; q < .05 in both {len(low[0] & low[1]):,}, only in the first "
            f"{len(low[0] - low[1]):,}, only in the second {len(low[1] - low[0]):,}",
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
    parser.add_argument("--way", choices=sorted(WAYS), help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.way:
        print(json.dumps(measure(args.work, args.way)))
        return
    for data in args.data:
        for copies in args.copies if data == "hop_sybil" else [1]:
            place = prepare(args.work, data, copies, args.share, args.seed)
            report(place, data if copies == 1 else f"{data}, {copies} copies")


if __name__ == "__main__":
    main()
