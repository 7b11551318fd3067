"""How far Neo4j is behind the journal at 500 events a second.

    python -m benchmarks.neo4j_follow [--rate 500] [--seconds 30] [--uri URI] [--json]

Data: the small platform of tests/building.py, loaded; then log-ins, gifts and sign-ups drawn with seed 1,
most by accounts that are known, on 500 devices. A process of its own appends them to a real
journal (SQLite) when they are due, however long the one before took; what ``ringwatch neo4j follow`` does
runs in this one. A server of its own is started, with 1 GiB of heap, unless ``--uri`` names an empty database
(NEO4J_PASSWORD). The lag of a row is the time from its acceptance until the transaction that holds it is
committed, counted for all rows of a transaction as that of its oldest.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import random
import subprocess
import sys
import tempfile
import threading
import time
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Final

import numpy as np

from graph_etl import LiveEvent
from graph_etl.identifiers import HASH_KEY_VARIABLE
from graph_etl.neo4j_store import Lag, Target, follow, load
from scoring_service.journal import Entry, Journal
from tests.building import PLATFORM_SPEC, TEST_HASH_KEY, build_from_text, platform_files

ROOT: Final = Path(__file__).resolve().parent.parent
_PASSWORD: Final = "ringwatch-benchmark"
_APPEND_EVERY_S: Final = 0.02
_CATCH_UP_S: Final = 60.0


@dataclass(frozen=True)
class Figures:
    """What following took.

    Attributes:
        rate: Events a second that were due.
        accepted: Events that the journal took.
        accepted_per_s: How many a second it took.
        transactions: Transactions that wrote them.
        p50_ms: Half of the rows were visible so soon after their acceptance, milliseconds.
        p99_ms: 99 of 100 were.
        max_ms: All were.
        max_rows_behind: Most rows that were waiting after a transaction.
    """

    rate: int
    accepted: int
    accepted_per_s: float
    transactions: int
    p50_ms: float
    p99_ms: float
    max_ms: float
    max_rows_behind: int


def write_events(path: Path, rate: int, seconds: float) -> int:
    """Append events when they are due, in this process.

    Args:
        path: The journal's file.
        rate: Events a second.
        seconds: For how long.

    Returns:
        How many were appended.
    """
    draw = random.Random(1)
    started, count = time.monotonic(), 0
    with Journal.open(path) as journal:
        while (elapsed := time.monotonic() - started) < seconds:
            due = int(elapsed * rate) - count
            if due:
                journal.append([Entry(_event(draw, count + at)) for at in range(due)])
                count += due
            time.sleep(_APPEND_EVERY_S)
    return count


def _event(draw: random.Random, number: int) -> LiveEvent:
    now_ms = time.time_ns() // 1_000_000
    account = f"h{draw.randrange(260):03}" if draw.random() < 0.9 else f"new-{draw.randrange(10_000)}"
    device = (("device", f"{draw.randrange(500):032x}"),)
    word = draw.choice(["login", "login", "gift", "signup"])
    if word == "gift":
        other = f"h{draw.randrange(260):03}"
        return LiveEvent(word, account, now_ms, f"b{number}", interactions=(("gift", "account", other, 5.0),))
    return LiveEvent(word, account, now_ms, f"b{number}", device)


def measure(target: Target, folder: Path, rate: int, seconds: float) -> Figures:
    """Follow while events come.

    Args:
        target: An empty database.
        folder: An empty folder.
        rate: Events a second.
        seconds: For how long.

    Returns:
        The figures.
    """
    built = build_from_text(folder, PLATFORM_SPEC, platform_files())
    load(built.snapshot, built.workspace, target)
    path = Path(built.workspace.path) / "state.db"
    Journal.open(path).close()
    lags: list[Lag] = []
    stop = threading.Event()
    with Journal.open(path, read_only=True) as journal:
        thread = threading.Thread(
            target=follow,
            args=(target, built.workspace, journal),
            kwargs={"stop": stop, "tell": lags.append, "tombstone": journal.salt.tombstone},
        )
        thread.start()
        while not lags:  # its indexes are there, it looks at the journal
            time.sleep(0.05)
        command = [sys.executable, "-m", "benchmarks.neo4j_follow", "--child", str(path)]
        command += ["--rate", str(rate), "--seconds", str(seconds)]
        done = subprocess.run(command, stdout=subprocess.PIPE, check=True, text=True, cwd=ROOT)
        accepted = int(done.stdout)
        late_s = time.monotonic() + _CATCH_UP_S
        while lags[-1].seq < accepted and time.monotonic() < late_s:
            time.sleep(0.05)
        stop.set()
        thread.join()
    written = [lag for lag in lags if lag.rows]
    ages_ms = np.repeat([1000 * lag.age_s for lag in written], [lag.rows for lag in written])
    assert len(ages_ms) == accepted, "rows are missing in Neo4j"
    return Figures(
        rate=rate,
        accepted=accepted,
        accepted_per_s=accepted / seconds,
        transactions=len(written),
        p50_ms=float(np.quantile(ages_ms, 0.5)),
        p99_ms=float(np.quantile(ages_ms, 0.99)),
        max_ms=float(ages_ms.max()),
        max_rows_behind=max(lag.rows_behind for lag in written),
    )


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description="Lag of Neo4j behind the journal.")
    parser.add_argument("--rate", type=int, default=500)
    parser.add_argument("--seconds", type=float, default=30.0)
    parser.add_argument("--uri", help="an empty database; its password in NEO4J_PASSWORD")
    parser.add_argument("--json", action="store_true", help="print the figures as JSON")
    parser.add_argument("--child", metavar="FILE", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.child:
        print(write_events(Path(options.child), options.rate, options.seconds))
        return
    os.environ[HASH_KEY_VARIABLE] = TEST_HASH_KEY
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        if options.uri:
            target = Target(options.uri, password=os.environ.get("NEO4J_PASSWORD", ""))
        else:
            from ringwatch.local_neo4j import LocalNeo4j

            server = stack.enter_context(LocalNeo4j(folder / "neo4j", password=_PASSWORD, heap="1g"))
            target = Target(server.uri, password=_PASSWORD)
        figures = measure(target, folder / "built", options.rate, options.seconds)
    if options.json:
        print(json.dumps(asdict(figures)))
        return
    print(f"{platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}")
    print(
        f"{figures.accepted:,} events at {figures.accepted_per_s:,.0f} a second in"
        f" {figures.transactions:,} transactions: visible in Neo4j after {figures.p50_ms:,.0f} ms (p50),"
        f" {figures.p99_ms:,.0f} ms (p99), {figures.max_ms:,.0f} ms (all);"
        f" at most {figures.max_rows_behind:,} rows behind"
    )


if __name__ == "__main__":
    main()
