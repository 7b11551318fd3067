"""Loading a graph into Neo4j beside the plain loop: relationships a second, increments, memory of the client.

    python -m benchmarks.neo4j_load [--relationships 1000000] [--repeats 3] [--cold] [--seed 0] [--json]

Data: a drawn platform with times (`benchmarks/neo4j_data.py`) and one per cent more events appended to it.
The plain loop is what everybody writes: ``UNWIND $rows … MERGE … SET`` with 10,000 rows a transaction, one
after the other, the same nodes, relationships and properties, constraints before and indexes after. Both
run in fresh processes, in turns, each time against a server that was started on an empty store and has
loaded a small graph with the same tool, then been emptied: a server that runs for a while has compiled what
it does often. ``--cold`` leaves that out; then compiling, two cores' work for half a minute, is much of what
is measured. Medians of the repeats; CPU seconds are those of all cores, which other work on the machine
hardly changes. Needs Java; starts its own Neo4j.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from benchmarks.neo4j_data import RELATIONSHIPS_AN_ACCOUNT, Drawn, draw
from graph_etl import Workspace
from graph_etl.neo4j_store import Target, connect, load, schema, session, statements
from graph_etl.neo4j_store.changes import SnapshotChanges
from graph_etl.neo4j_store.tables import GraphTables
from ringwatch.local_neo4j import LocalNeo4j
from tests.neo4j_server import wipe

if TYPE_CHECKING:
    import polars as pl
    from neo4j import Session

    from graph_etl import Snapshot

_PASSWORD: Final = "ringwatch-benchmark"
_PLAIN_ROWS: Final = 10_000
_TOOLS: Final = ("plain", "ringwatch", "ringwatch, driver without neo4j-rust-ext")
_WARM_ACCOUNTS: Final = 10_000
_WARM_LOADS: Final = 2


def _resident_mib() -> float:
    pages = int(Path("/proc/self/statm").read_text(encoding="utf-8").split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 2**20


def _peak_mib() -> float:
    # Not ru_maxrss: a process begins with its parent's.
    status = Path("/proc/self/status").read_text(encoding="utf-8")
    return int(status.partition("VmHWM:")[2].split()[0]) / 1024


def _plain_nodes(opened: Session, label: Any, rows: pl.DataFrame) -> None:
    columns = rows.columns[2:]
    said = ", ".join(
        f"n.{statements.PROPERTIES.get(name, name)} = "
        + (
            f"CASE WHEN r.{name} IS NULL THEN null ELSE datetime({{epochMillis: r.{name}}}) END"
            if name in statements.PROPERTIES
            else f"r.{name}"
        )
        for name in columns
    )
    also = "" if label.also is None else f", n:{label.also}"
    query = f"UNWIND $rows AS r MERGE (n:{label.label} {{{label.key}: r.key}}) SET {said}{also}"
    for part in rows.drop("node").iter_slices(_PLAIN_ROWS):
        opened.run(query, rows=part.to_dicts()).consume()


def _plain_relationships(opened: Session, tables: GraphTables, kind: str, rows: pl.DataFrame) -> None:
    kinds = np.asarray(tables.snapshot.node_kind)
    times = ", ".join(f"x.{name}_seen = datetime({{epochMillis: r.{name}_ms}})" for name in ("first", "last"))
    for end_kind in np.unique(kinds[rows["end"].to_numpy()]).tolist():
        start, end = tables.labels[0], tables.labels[end_kind]
        query = (
            f"UNWIND $rows AS r MATCH (a:{start.label} {{{start.key}: r.a}})"
            f" MATCH (b:{end.label} {{{end.key}: r.b}}) MERGE (a)-[x:{kind}]->(b)"
            f" SET {times}, x.count = r.count, x.amount = r.amount"
        )
        some = rows.filter(kinds[rows["end"].to_numpy()] == end_kind)
        for part in some.iter_slices(_PLAIN_ROWS):
            named = part.with_columns(
                a=tables.keys(part["start"].to_numpy()), b=tables.keys(part["end"].to_numpy())
            )
            opened.run(query, rows=named.drop("start", "end").to_dicts()).consume()


def _run_plain(target: Target, new: Snapshot, old: Snapshot | None) -> dict[str, float]:
    """The plain loop over what differs; working that out is not counted."""
    tables = GraphTables(new)
    spent = {"nodes_s": 0.0, "relationships_s": 0.0, "schema_s": 0.0, "difference_s": 0.0}
    clock = time.perf_counter()

    def stop(name: str) -> None:
        nonlocal clock
        now = time.perf_counter()
        spent[name] += now - clock
        clock = now

    with connect(target) as driver, session(driver, target) as opened:
        stop("schema_s")
        schema.create_constraints(opened, tables.labels)
        stop("schema_s")
        changes = SnapshotChanges(tables, None if old is None else GraphTables(old))
        for change in changes.nodes():
            stop("difference_s")
            for rows in (change.created, change.updated):
                if len(rows):
                    _plain_nodes(opened, change.label, rows)
            stop("nodes_s")
        for some in changes.relationships():
            stop("difference_s")
            for rows in (some.created, some.updated):
                if len(rows):
                    _plain_relationships(opened, tables, some.type, rows)
            stop("relationships_s")
        schema.create_indexes(opened)
        stop("schema_s")
    spent["seconds"] = spent["nodes_s"] + spent["relationships_s"] + spent["schema_s"]
    return spent


def _run_ringwatch(target: Target, place: Workspace, new: Snapshot) -> dict[str, float]:
    begun: dict[str, float] = {}

    def note(step: str, done: int, total: int) -> None:
        begun.setdefault(step, time.perf_counter())

    report = load(new, place, target, progress=note)
    return {
        "seconds": report.seconds,
        "nodes_s": begun["relationships"] - begun["nodes"],
        "relationships_s": begun["verdicts"] - begun["relationships"],
        "changed": report.relationships.created + report.relationships.updated,
    }


def child(options: argparse.Namespace) -> None:
    """Do one load in this process and print what it took.

    Args:
        options: Of the command line.
    """
    place = Workspace(options.workspace)
    new = place.open_snapshot(options.new)
    target = Target(options.uri, password=_PASSWORD)
    start_mib, start_cpu_s = _resident_mib(), time.process_time()
    if options.child == "plain":
        found = _run_plain(target, new, place.open_snapshot(options.old) if options.old else None)
    else:
        found = _run_ringwatch(target, place, new)
    found["client_cpu_s"] = time.process_time() - start_cpu_s
    found["peak_mib"] = _peak_mib()
    found["start_mib"] = start_mib
    print(json.dumps(found))


class _Bench:
    """A server that begins empty.

    Args:
        folder: Its home.
        warm: A small graph that it loads before it is measured; None: it is measured cold.
    """

    def __init__(self, folder: Path, warm: Drawn | None) -> None:
        self.server = LocalNeo4j(folder / "neo4j", password=_PASSWORD, heap="2g")
        self._warm = warm

    def fresh(self, tool: str) -> None:
        """Start it on an empty store and let it compile what a tool asks of it."""
        self.server.stop()
        shutil.rmtree(self.server.folder / "data", ignore_errors=True)
        self.server.start()
        if self._warm is not None:
            for _ in range(_WARM_LOADS):
                self.measure(tool, self._warm, new=self._warm.first, old=None)
                wipe(Target(self.server.uri, password=_PASSWORD))

    def _cpu_s(self) -> float:
        """Seconds that all cores have given to the server so far."""
        stat = Path(f"/proc/{self.server.pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()
        return (int(stat[11]) + int(stat[12])) / os.sysconf("SC_CLK_TCK")

    def measure(self, tool: str, drawn: Drawn, *, new: str, old: str | None) -> dict[str, float]:
        """Load with one tool in a process of its own."""
        command = [sys.executable, "-m", "benchmarks.neo4j_load", "--child", tool]
        command += ["--workspace", str(drawn.workspace), "--uri", self.server.uri, "--new", new]
        command += [] if old is None else ["--old", old]
        before = self._cpu_s()
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode != 0:
            raise SystemExit(done.stderr)
        found: dict[str, float] = json.loads(done.stdout)
        found["server_cpu_s"] = self._cpu_s() - before
        found["cpu_s"] = found["server_cpu_s"] + found["client_cpu_s"]
        return found


def _median(runs: list[dict[str, float]]) -> dict[str, float]:
    return {name: statistics.median(run[name] for run in runs) for name in runs[0]}


def _compare(
    bench: _Bench, drawn: Drawn, tools: tuple[str, ...], repeats: int
) -> tuple[dict[str, dict[str, float]], dict[str, dict[str, float]]]:
    """Load first the graph, then what was appended to it, with each tool in turn."""
    first: dict[str, list[dict[str, float]]] = {tool: [] for tool in tools}
    grown: dict[str, list[dict[str, float]]] = {tool: [] for tool in tools}
    for repeat in range(repeats):
        for tool in tools if repeat % 2 == 0 else tools[::-1]:
            bench.fresh(tool)
            first[tool].append(bench.measure(tool, drawn, new=drawn.first, old=None))
            grown[tool].append(bench.measure(tool, drawn, new=drawn.grown, old=drawn.first))
            seconds = first[tool][-1]["seconds"], grown[tool][-1]["seconds"]
            print(f"... {tool}: {seconds[0]:.1f} s, {seconds[1]:.1f} s", file=sys.stderr, flush=True)
    return (
        {tool: _median(found) for tool, found in first.items()},
        {tool: _median(found) for tool, found in grown.items()},
    )


def _print(title: str, n: float, found: dict[str, dict[str, float]]) -> None:
    plain = found["plain"]
    print(f"\n{title}: {n:,.0f} relationships")
    print("| tool | s | nodes s | relationships s | relationships/s | CPU s, server and client |")
    print("|---|---|---|---|---|---|")
    for tool, run in found.items():
        print(
            f"| {tool} | {run['seconds']:.1f} | {run['nodes_s']:.1f} | {run['relationships_s']:.1f}"
            f" | {n / run['relationships_s']:,.0f} | {run['server_cpu_s']:.1f}, {run['client_cpu_s']:.1f} |"
        )
    for tool, run in found.items():
        if tool != "plain":
            whole, part, cpu = (plain[name] / run[name] for name in ("seconds", "relationships_s", "cpu_s"))
            print(f"plain / {tool}: whole {whole:.2f}, relationships alone {part:.2f}, CPU {cpu:.2f}")


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.neo4j_load", description=__doc__)
    parser.add_argument("--relationships", type=int, default=1_000_000)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--folder", type=Path, help="where to keep the drawn data")
    parser.add_argument("--cold", action="store_true", help="measure servers that were just started")
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--child", help=argparse.SUPPRESS)
    for name in ("--workspace", "--uri", "--new", "--old"):
        parser.add_argument(name, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.child == _TOOLS[2]:
        sys.modules["neo4j._rust"] = None  # type: ignore[assignment]  # the driver then packs in Python
    if options.child:
        child(options)
        return
    with tempfile.TemporaryDirectory() as name:
        folder = options.folder or Path(name)
        drawn = draw(
            folder / str(options.relationships),
            int(options.relationships / RELATIONSHIPS_AN_ACCOUNT),
            options.seed,
        )
        small = draw(folder / "warm", _WARM_ACCOUNTS, options.seed)
        half = draw(
            folder / str(options.relationships // 2),
            int(options.relationships / 2 / RELATIONSHIPS_AN_ACCOUNT),
            options.seed,
        )
        bench = _Bench(Path(name), None if options.cold else small)
        try:
            first, grown = _compare(bench, drawn, _TOOLS, options.repeats)
            bench.fresh("ringwatch")
            smaller = bench.measure("ringwatch", half, new=half.first, old=None)
        finally:
            bench.server.kill()
    if options.json:
        print(json.dumps({"first": first, "increment": grown, "half": smaller}))
        return
    _print("first load", first["ringwatch"]["changed"], first)
    _print("increment of 1 % of the events", grown["ringwatch"]["changed"], grown)
    print(
        f"\nthe plain loop was given what differs; working that out takes"
        f" {grown['plain']['difference_s']:.1f} s, which are part of the other's time"
    )
    for said, run in (
        ("half the size", smaller),
        ("full size", first["ringwatch"]),
        ("plain", first["plain"]),
    ):
        print(
            f"client's memory, {said}: {run['peak_mib']:.0f} MiB,"
            f" {run['peak_mib'] - run['start_mib']:.0f} above start"
        )


if __name__ == "__main__":
    main()
