"""Peak memory and time of ``build`` from a Neo4j at 1, 2 and 4 times the rows, beside the same in a file.

    python -m benchmarks.neo4j_read [--rows 250000] [--times 1 2 4] [--uri URI] [--json]

Data: drawn in the database by a query, no seed: users, devices and log-ins with a time, each log-in a
relationship. A server of its own is started, with 1 GiB of heap, unless ``--uri`` names an empty database
(NEO4J_PASSWORD). Each build is a fresh process. Its peak is the largest resident set that the kernel saw:
once when all rows were read and staged, which is what one page bounds, and once when the build has
merged them, as it does with files too. Both builds must give one content hash.
"""

from __future__ import annotations

import argparse
import csv
import json
import os
import platform
import resource
import subprocess
import sys
import tempfile
import time
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

from graph_etl.neo4j_store import Target, connect, session

ROOT: Final = Path(__file__).resolve().parent.parent
_PASSWORD: Final = "ringwatch-benchmark"
_USERS: Final = 50_000
_QUERY: Final = (
    "MATCH (u:User)-[r:LOGGED_IN]->(d:Gadget) WHERE r.n < {limit}"
    " RETURN r.n AS event, u.id AS user, r.at AS at, d.serial AS device ORDER BY r.n"
)
_SPEC: Final = """
ringwatch: 1
name: read
sources: {{logins: {source}}}
kinds: {{device: {{}}}}
events:
  - {{source: logins, type: login, from: {{account: user}}, time: at, event_id: event,
     identifiers: {{device: device}}}}
"""


@dataclass(frozen=True)
class Run:
    """One measured build.

    Attributes:
        source: ``neo4j`` or ``csv``.
        times: How many times the smallest number of rows.
        rows: Rows.
        read_s: Seconds until all rows were read and staged.
        seconds: Seconds of the whole build.
        start_mib: Resident memory before it, after imports.
        read_mib: Largest resident memory until all rows were read and staged.
        peak_mib: Largest resident memory.
        content_hash: Of the graph.
    """

    source: str
    times: int
    rows: int
    read_s: float
    seconds: float
    start_mib: float
    read_mib: float
    peak_mib: float
    content_hash: str


def fill(target: Target, rows: int) -> None:
    """Draw users, devices and log-ins.

    Args:
        target: An empty database.
        rows: Log-ins.
    """
    with connect(target) as driver, session(driver, target) as opened:
        opened.run("CREATE CONSTRAINT FOR (u:User) REQUIRE u.n IS UNIQUE").consume()
        opened.run("CREATE CONSTRAINT FOR (d:Gadget) REQUIRE d.n IS UNIQUE").consume()
        for label, name in (("User", "id: 'user-' + n"), ("Gadget", "serial: 'gadget-' + n")):
            opened.run(
                f"UNWIND range(0, {_USERS - 1}) AS n CALL (n) {{ CREATE (:{label} {{n: n, {name}}}) }}"
                " IN TRANSACTIONS OF 10000 ROWS"
            ).consume()
        opened.run(
            "UNWIND range(0, $last) AS n CALL (n) {"
            f" MATCH (u:User {{n: (n * 7919) % {_USERS}}}) MATCH (d:Gadget {{n: (n * 104729) % {_USERS}}})"
            " CREATE (u)-[:LOGGED_IN {n: n, at: datetime({epochMillis: 1700000000000 + n * 1000})}]->(d)"
            " } IN TRANSACTIONS OF 10000 ROWS",
            last=rows - 1,
        ).consume()


def write_csv(target: Target, folder: Path, rows: int) -> None:
    """Write the rows of the query to a file."""
    with (
        connect(target) as driver,
        session(driver, target) as opened,
        (folder / "logins.csv").open("w", newline="") as stream,
    ):
        writer = csv.writer(stream)
        writer.writerow(("event", "user", "at", "device"))
        # Times as text: a driver takes a while to make objects of them.
        as_text = _QUERY.format(limit=rows).replace("r.at AS at", "toString(r.at) AS at")
        writer.writerows(record.values() for record in opened.run(as_text))


def _peak_mib() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def run_build(folder: Path) -> dict[str, Any]:
    """Build in this process.

    Args:
        folder: Holds ``spec.yaml``.

    Returns:
        The figures of a :class:`Run`.
    """
    from graph_etl import Workspace, build, load_spec

    spec = load_spec(folder / "spec.yaml")
    found: dict[str, Any] = {"start_mib": _peak_mib()}
    started = time.perf_counter()

    def tell(step: str, done: int, total: int) -> None:
        del total
        if step == "building the graph" and not done:
            found.update(read_s=time.perf_counter() - started, read_mib=_peak_mib())

    report = build(spec, Workspace(folder / "workspace"), progress=tell)
    found.update(seconds=time.perf_counter() - started, peak_mib=_peak_mib(), rows=report.rows)
    return found | {"content_hash": report.content_hash}


def measured(source: str, times: int, rows: int, target: Target) -> Run:
    """Build in a fresh process.

    Args:
        source: ``neo4j`` or ``csv``.
        times: How many times the smallest number of rows.
        rows: Rows.
        target: The database.

    Returns:
        What it took.
    """
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        given = "logins.csv"
        if source == "neo4j":
            given = json.dumps({"cypher": _QUERY.format(limit=rows)})
        else:
            write_csv(target, folder, rows)
        (folder / "spec.yaml").write_text(_SPEC.format(source=given))
        environment = os.environ | {
            "NEO4J_URI": target.uri,
            "NEO4J_PASSWORD": target.password,
            "RINGWATCH_HASH_KEY": "a-key-for-a-benchmark-that-hides-nothing",
        }
        done = subprocess.run(
            [sys.executable, "-m", "benchmarks.neo4j_read", "--child", name],
            stdout=subprocess.PIPE,
            check=True,
            text=True,
            env=environment,
            cwd=ROOT,
        )
    return Run(source, times, **json.loads(done.stdout))


def _table(runs: list[Run]) -> str:
    lines = [
        "source  times       rows   read s   rows/s  build s  start MiB  read: peak MiB  above start  end"
    ]
    lines += [
        f"{run.source:<6} {run.times:>6} {run.rows:>10,} {run.read_s:>8.1f} {run.rows / run.read_s:>8,.0f}"
        f" {run.seconds:>8.1f} {run.start_mib:>10,.0f} {run.read_mib:>15,.0f}"
        f" {run.read_mib - run.start_mib:>12,.0f} {run.peak_mib:>4,.0f}"
        for run in runs
    ]
    return "\n".join(lines)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description="Peak memory and time of a build from a Neo4j.")
    parser.add_argument("--rows", type=int, default=250_000)
    parser.add_argument("--times", type=int, nargs="+", default=[1, 2, 4])
    parser.add_argument("--uri", help="an empty database; its password in NEO4J_PASSWORD")
    parser.add_argument("--json", action="store_true", help="print the runs as JSON")
    parser.add_argument("--child", metavar="FOLDER", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.child:
        print(json.dumps(run_build(Path(options.child))))
        return
    with ExitStack() as stack:
        if options.uri:
            target = Target(options.uri, password=os.environ.get("NEO4J_PASSWORD", ""))
        else:
            from ringwatch.local_neo4j import LocalNeo4j

            folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
            server = stack.enter_context(LocalNeo4j(folder / "neo4j", password=_PASSWORD, heap="1g"))
            target = Target(server.uri, password=_PASSWORD)
        fill(target, options.rows * max(options.times))
        runs = [
            measured(source, times, options.rows * times, target)
            for source in ("neo4j", "csv")
            for times in options.times
        ]
    hashes = {times: {run.content_hash for run in runs if run.times == times} for times in options.times}
    assert all(len(found) == 1 for found in hashes.values()), "Neo4j and file give different graphs"
    if options.json:
        print(json.dumps([asdict(run) for run in runs]))
        return
    print(f"{platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}")
    print(_table(runs))
    print("content hashes of Neo4j and file are equal")


if __name__ == "__main__":
    main()
