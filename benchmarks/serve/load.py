"""Sends load with wrk, which is no Python, and reads what it measured."""

from __future__ import annotations

import json
import shutil
import statistics
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

from benchmarks.serve.data import END_MS
from graph_etl import RingwatchError

if TYPE_CHECKING:
    from collections.abc import Sequence

SCRIPT: Final = Path(__file__).with_name("load.lua")


class LoadError(RingwatchError):
    """The load generator is missing or failed."""


@dataclass(frozen=True, slots=True)
class Target:
    """What is asked.

    Attributes:
        name: As the table names it.
        port: Where it listens on this machine.
        path: Path and query of the requests.
        most_times_bare: Goal of the median at one connection, as a multiple of the bare endpoint's.
    """

    name: str
    port: int
    path: str = "/v1/risk"
    most_times_bare: float | None = None


@dataclass(frozen=True, slots=True)
class Shot:
    """What wrk measured in one go.

    Attributes:
        target: Name of the target.
        connections: Connections at a time.
        requests: Requests that were answered.
        seconds: How long it took.
        p50_ms: Median latency.
        p90_ms: Nine of ten were as fast.
        p99_ms: All but one in a hundred were as fast.
        max_ms: The slowest.
        failed: Answers other than 2xx and broken connections.
    """

    target: str
    connections: int
    requests: int
    seconds: float
    p50_ms: float
    p90_ms: float
    p99_ms: float
    max_ms: float
    failed: int

    @property
    def requests_per_s(self) -> float:
        """Answers a second."""
        return self.requests / self.seconds


def find_wrk() -> str:
    """Return the path of wrk.

    Raises:
        LoadError: If it is not installed.
    """
    found = shutil.which("wrk")
    if found is None:
        problem = "wrk, the load generator, is not installed: apt-get install wrk"
        raise LoadError(problem)
    return found


def shoot(target: Target, known: Path, *, connections: int, seconds: int, run: str) -> Shot:
    """Send sign-ups for a while.

    Args:
        target: What to ask.
        known: Identifiers that the graph knows, one account a line.
        connections: Connections at a time.
        seconds: How long.
        run: Name of the run; events of different names have different ids.

    Returns:
        What was measured.

    Raises:
        LoadError: If wrk is missing or cannot measure.
    """
    done = subprocess.run(
        [
            *(find_wrk(), "-t1", f"-c{connections}", f"-d{seconds}s", "--latency", "-s", str(SCRIPT)),
            *(f"http://127.0.0.1:{target.port}", "--", target.path, str(known), run, str(END_MS // 1000)),
        ],
        capture_output=True,
        text=True,
        check=False,
    )
    lines = [line for line in done.stdout.splitlines() if line.startswith("{")]
    if done.returncode or not lines:
        problem = f"wrk measured nothing at {target.name}: {(done.stderr or done.stdout).strip()[-300:]}"
        raise LoadError(problem)
    found = json.loads(lines[-1])
    return Shot(
        target=target.name,
        connections=connections,
        requests=found["requests"],
        seconds=found["duration_us"] / 1e6,
        p50_ms=found["p50_us"] / 1e3,
        p90_ms=found["p90_us"] / 1e3,
        p99_ms=found["p99_us"] / 1e3,
        max_ms=found["max_us"] / 1e3,
        failed=found["failed_sockets"] + found["failed_statuses"],
    )


@dataclass(frozen=True, slots=True)
class Summary:
    """Medians over the rounds for one target and number of connections."""

    target: str
    connections: int
    p50_ms: float
    p50_low_ms: float
    p50_high_ms: float
    p99_ms: float
    requests_per_s: float
    requests: int
    failed: int


def summarised(shots: Sequence[Shot]) -> list[Summary]:
    """Return the medians over the rounds, in the order in which targets and connections first appear."""
    groups: dict[tuple[int, str], list[Shot]] = {}
    for shot in shots:
        groups.setdefault((shot.connections, shot.target), []).append(shot)
    return [
        Summary(
            target=target,
            connections=connections,
            p50_ms=statistics.median(shot.p50_ms for shot in group),
            p50_low_ms=min(shot.p50_ms for shot in group),
            p50_high_ms=max(shot.p50_ms for shot in group),
            p99_ms=statistics.median(shot.p99_ms for shot in group),
            requests_per_s=statistics.median(shot.requests_per_s for shot in group),
            requests=sum(shot.requests for shot in group),
            failed=sum(shot.failed for shot in group),
        )
        for (connections, target), group in groups.items()
    ]
