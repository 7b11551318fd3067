"""Ten minutes of constant load on the service: do memory and latency stay flat?

    python -m benchmarks.soak [--seconds 600] [--rate 100] [--connections 4] [--window 30] [--json]

Data: the drawn platform of benchmarks/serve at a smaller size (``--accounts``), seed 0. Events are sent when
they are due, however long the one before took, and latency counts from then. Four of five are sign-ups to be
scored, a third of them with unseen identifiers; the others are log-ins as context.

Memory must grow a little, because the live graph keeps each event until the next snapshot. So the verdict
looks at the bytes an event and whether they rise: flat is at most 2 KiB an event (a full live graph of a
million events then takes at most 2 GiB) and a second half that grows at most 1.5 times as fast as the first.
Latency is flat if the slope over the windows, times the whole time, is at most a fifth of the median (p50) or
half of it (p99).
"""

from __future__ import annotations

import argparse
import http.client
import json
import sys
import tempfile
import threading
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from benchmarks.serve.data import END_MS, Size
from benchmarks.serve.memory import memory_of
from benchmarks.serve.prepared import HASH_KEY, Prepared, prepare
from graph_etl import RingwatchError
from ringwatch.live import Connection, LiveService

if TYPE_CHECKING:
    from collections.abc import Sequence

ROOT = Path(__file__).resolve().parents[1]
_MIB: Final = 1024 * 1024
_WARM_UP_S: Final = 10.0
_MOST_BYTES: Final = 2048
_FASTER: Final = 1.5
_NOISE_BYTES: Final = 256  # an event; below it, what the allocator keeps looks like growth
_P50_DRIFT, _P99_DRIFT = 0.2, 0.5


@dataclass(frozen=True, slots=True)
class Window:
    """What happened between two times.

    Attributes:
        until_s: End of the window, seconds from the start of the load.
        events: Events answered.
        p50_ms: Median latency from the time when the event was due.
        p99_ms: All but one in a hundred were as fast.
        max_ms: The slowest.
        resident_mib: Memory at the end, mapped files included.
        own_mib: Memory at the end without mapped files.
    """

    until_s: float
    events: int
    p50_ms: float
    p99_ms: float
    max_ms: float
    resident_mib: float
    own_mib: float


@dataclass(frozen=True, slots=True)
class Verdict:
    """Whether memory and latency stayed flat.

    Attributes:
        bytes_an_event: How much memory each event took, by least squares over the windows after the first.
        half_ratio: The same of the second half over that of the first; None where the first did not grow.
        p50_drift: Slope of the median over the whole time, as a share of its median.
        p99_drift: The same of the 99th percentile.
        memory_is_flat: See the top of this file.
        latency_is_flat: See the top of this file.
    """

    bytes_an_event: float
    half_ratio: float | None
    p50_drift: float
    p99_drift: float
    memory_is_flat: bool
    latency_is_flat: bool


class _Load:
    """Sends events at a constant rate from several threads and keeps the latencies."""

    def __init__(self, port: int, known: Sequence[Sequence[str]], *, rate: float, connections: int) -> None:
        self._port, self._known = port, known
        self._every_s = connections / rate
        self._stop = threading.Event()
        self._lock = threading.Lock()
        self._took: list[float] = []
        self.problem: str | None = None
        self.not_accepted = 0
        self._threads = [
            threading.Thread(target=self._run, args=(number, number / rate)) for number in range(connections)
        ]

    def start(self) -> None:
        for thread in self._threads:
            thread.start()

    def stop(self) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join()

    def taken(self) -> list[float]:
        """Return the latencies since the last call, seconds."""
        with self._lock:
            took, self._took = self._took, []
        return took

    def _run(self, number: int, offset_s: float) -> None:
        connection = Connection(self._port)
        started, sent = time.monotonic() + offset_s, 0
        try:
            while not self._stop.is_set():
                due = started + sent * self._every_s
                wait_s = due - time.monotonic()
                if wait_s > 0 and self._stop.wait(wait_s):
                    break
                path, body = self._event(number, sent)
                answer = connection.post(path, body)
                with self._lock:
                    self._took.append(time.monotonic() - due)
                    self.not_accepted += answer.status != 200 or not answer.body["accepted"]
                sent += 1
        except (OSError, http.client.HTTPException) as error:
            self.problem = f"the service went away: {error}"
        finally:
            connection.close()

    def _event(self, number: int, sent: int) -> tuple[str, dict[str, Any]]:
        name = f"{number}-{sent}"
        device, ip, email, _ = self._known[(sent * 7919 + number) % len(self._known)]
        is_context = sent % 5 == 4
        body: dict[str, Any] = {
            "event_type": "login" if is_context else "signup",
            "event_id": f"soak-{name}",
            "event_timestamp": END_MS + sent * 1000,
            "account": {"id": f"soak-{number}-{sent - sent % 5 if is_context else sent}"},
            "identifiers": {"device": device, "ip": ip},
        }
        if is_context:
            return "/v1/events", body
        body["identifiers"] |= {"email": email}
        if sent % 3 == 0:
            body["identifiers"] = {
                "device": f"soak-{name}",
                "ip": f"13.{number}.{sent // 250 % 256}.{sent % 250 + 1}",
                "email": f"soak-{name}@mail.example",
            }
        return "/v1/risk", body


def soak(
    prepared: Prepared, *, seconds: float, rate: float, connections: int, window_s: float
) -> list[Window]:
    """Load the service and look at it after each window.

    Args:
        prepared: Platform and workspace.
        seconds: How long.
        rate: Events a second.
        connections: Connections.
        window_s: Seconds of a window.

    Returns:
        The windows.

    Raises:
        RingwatchError: If the service went away or did not keep an event.
    """
    known = [line.split("\t") for line in prepared.known.read_text().splitlines()[:50_000]]
    windows: list[Window] = []
    with tempfile.TemporaryDirectory(dir=prepared.folder) as scratch:
        environment = {
            "RINGWATCH_HASH_KEY": HASH_KEY,
            "RINGWATCH_DATABASE_URL": f"sqlite:///{(Path(scratch) / 'soak.db').resolve()}",
        }
        with LiveService(prepared.workspace.path, ready_within_s=300.0, environment=environment) as service:
            load = _Load(service.port, known, rate=rate, connections=connections)
            load.start()
            try:
                time.sleep(min(_WARM_UP_S, window_s))
                load.taken()
                started = time.monotonic()
                while load.problem is None and time.monotonic() - started < seconds:
                    end = started + window_s * (len(windows) + 1)
                    time.sleep(max(0.0, end - time.monotonic()))
                    windows.append(_window(end - started, load.taken(), service.pid))
                    print(f"{end - started:.0f} of {seconds:.0f} s", file=sys.stderr, flush=True)
            finally:
                load.stop()
    if load.problem is not None:
        raise RingwatchError(load.problem)
    if load.not_accepted:
        problem = f"{load.not_accepted} events were not accepted"
        raise RingwatchError(problem)
    return windows


def _window(until_s: float, took_s: list[float], pid: int) -> Window:
    took_ms = 1000 * np.array(took_s or [float("nan")])
    memory = memory_of(pid)
    return Window(
        until_s=round(until_s, 1),
        events=len(took_s),
        p50_ms=round(float(np.quantile(took_ms, 0.5)), 3),
        p99_ms=round(float(np.quantile(took_ms, 0.99)), 3),
        max_ms=round(float(took_ms.max()), 3),
        resident_mib=round(memory.resident / _MIB, 1),
        own_mib=round(memory.own / _MIB, 2),
    )


def judge(windows: Sequence[Window]) -> Verdict:
    """Tell whether memory and latency stayed flat.

    Args:
        windows: At least three, in order of time.

    Returns:
        The verdict.

    Raises:
        ValueError: If there are fewer.
    """
    if len(windows) < 3:
        problem = f"{len(windows)} windows tell no slope; let it run for three at least"
        raise ValueError(problem)
    at_s = np.array([one.until_s for one in windows])
    events = np.cumsum([one.events for one in windows])
    own = _MIB * np.array([one.own_mib for one in windows])
    half = len(windows) // 2
    whole, first, second = (
        _slope(events[part], own[part]) for part in (slice(1, None), slice(0, half + 1), slice(half, None))
    )
    drifts = []
    for values in ([one.p50_ms for one in windows], [one.p99_ms for one in windows]):
        drifts.append(_slope(at_s, np.array(values)) * float(at_s[-1]) / float(np.median(values)))
    return Verdict(
        bytes_an_event=round(whole, 1),
        half_ratio=round(second / first, 2) if first > 0 else None,
        p50_drift=round(drifts[0], 3),
        p99_drift=round(drifts[1], 3),
        memory_is_flat=whole <= _MOST_BYTES and second <= max(_FASTER * first, _NOISE_BYTES),
        latency_is_flat=drifts[0] <= _P50_DRIFT and drifts[1] <= _P99_DRIFT,
    )


def _slope(at: Any, values: Any) -> float:
    """Return the slope of a line by least squares."""
    return float(np.polyfit(at - at.mean(), values, 1)[0])


def _table(windows: Sequence[Window]) -> str:
    lines = ["until s   events  events/s   p50 ms   p99 ms   max ms   RSS MiB  own MiB"]
    begun = 0.0
    for one in windows:
        rate = one.events / (one.until_s - begun)
        lines.append(
            f"{one.until_s:>7.0f} {one.events:>8,} {rate:>9.0f} {one.p50_ms:>8.2f} {one.p99_ms:>8.2f}"
            f" {one.max_ms:>8.2f} {one.resident_mib:>9,.0f} {one.own_mib:>8,.1f}"
        )
        begun = one.until_s
    return "\n".join(lines)


def _words(verdict: Verdict) -> str:
    halves = "" if verdict.half_ratio is None else f", second half {verdict.half_ratio:.2f} × the first"
    return (
        f"memory: {verdict.bytes_an_event:,.0f} bytes an event{halves}; a full live graph of 1,000,000 "
        f"events: {verdict.bytes_an_event * 1e6 / _MIB:,.0f} MiB: "
        f"{'flat' if verdict.memory_is_flat else 'NOT FLAT'}\n"
        f"latency: p50 {verdict.p50_drift:+.0%}, p99 {verdict.p99_drift:+.0%} from start to end: "
        f"{'flat' if verdict.latency_is_flat else 'NOT FLAT'}"
    )


def main() -> int:
    """Load, look, print; returns the exit code, 1 if something was not flat."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.soak", description="Constant load for a while."
    )
    parser.add_argument("--seconds", type=float, default=600)
    parser.add_argument("--rate", type=float, default=100, help="events a second")
    parser.add_argument("--connections", type=int, default=4)
    parser.add_argument("--window", type=float, default=30, help="seconds")
    parser.add_argument("--accounts", type=int, default=20_000)
    parser.add_argument("--folder", type=Path, default=ROOT / ".ringwatch" / "bench" / "serve")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    options = parser.parse_args()
    size = Size(
        options.accounts, 2 * options.accounts, 6 * options.accounts, min(6_000, options.accounts // 10)
    )
    try:
        windows = soak(
            prepare(options.folder, size, with_rings=False),
            seconds=options.seconds,
            rate=options.rate,
            connections=options.connections,
            window_s=options.window,
        )
        verdict = judge(windows)
    except (RingwatchError, ValueError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    if options.json:
        print(json.dumps({"windows": [asdict(one) for one in windows], "verdict": asdict(verdict)}))
    else:
        print(_table(windows))
        print(_words(verdict))
    return 0 if verdict.memory_is_flat and verdict.latency_is_flat else 1


if __name__ == "__main__":
    sys.exit(main())
