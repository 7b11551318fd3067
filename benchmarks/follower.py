"""How far a follower is behind the writer at 500 events a second, and what it does when the writer is killed.

    python -m benchmarks.follower [--rate 500] [--seconds 20] [--scored 5] [--asks 20] [--poll-ms 5]
                                  [--commit process disk] [--workspace DIR] [--json]

Data: the small platform of tests/scoring_service, or a copy of a workspace of its spec. A writer and a
follower, both real `ringwatch serve`, share one workspace. This process sends events to the writer when they
are due, however long the one before took: one in ``--scored`` a sign-up to be scored, the others context.
Meanwhile it asks the follower for ``--asks`` scores a second and polls its ``/v1/live``.

The lag of an event is the time from the writer's answer until the first answer of the follower that counts
the event, so up to ``--poll-ms`` and the time of one poll are the measurement's own. Goal: at most 50 ms for
99 of 100. The follower's own worst lag counts from when the journal took a row until questions see it, the
commit and the warm-up included. Without a core to spare, what is measured is the wait for one: the table
tells how much of the time threads of the follower were ready to run and did not (Linux only).

At the end the writer is killed with SIGKILL, the follower is asked on, and the writer is started again.
"""

from __future__ import annotations

import argparse
import http.client
import json
import os
import platform
import shutil
import sys
import tempfile
import threading
import time
from contextlib import closing
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from graph_etl import RingwatchError
from graph_etl.identifiers import HASH_KEY_VARIABLE
from ringwatch.live import Connection, LiveService
from tests.building import TEST_HASH_KEY
from tests.scoring_service import small_platform

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

GOAL_MS: Final = 50.0
_BASE_MS: Final = 1_772_409_600_000  # 2026-03-02T00:00:00Z, after the platform's last event
_WARM_UP_S: Final = 3.0
_WITHIN_S: Final = 30.0
_READY_S: Final = 120.0


@dataclass(frozen=True, slots=True)
class Spread:
    """How some times are spread, milliseconds; NaN where there are none."""

    n: int
    p50_ms: float
    p99_ms: float
    max_ms: float

    @classmethod
    def of(cls, times_ms: Sequence[float]) -> Spread:
        """Summarise times."""
        values = np.array(times_ms, dtype=float)
        if not len(values):
            return cls(0, *[float("nan")] * 3)
        quantiles = (*np.quantile(values, [0.5, 0.99]), values.max())
        return cls(len(values), *(round(float(value), 2) for value in quantiles))


@dataclass(frozen=True, slots=True)
class Found:
    """What one commit mode showed.

    Attributes:
        commit: Commit mode of the writer.
        rate: Events a second that were answered.
        not_accepted: Events that the writer did not keep.
        late: Latency at the writer, from when an event was due.
        lag: From the writer's answer until the follower counts the event.
        unseen: Events that the follower never counted.
        follower_worst_ms: The longest lag that the follower itself saw.
        starved: Share of the time that the follower's threads waited for a core; NaN where nobody tells.
        asked: Latency of scores at the follower.
        went_on: Scores that the follower answered while the writer was dead, of those asked.
        asked_while_dead: Scores asked of it then.
        followed_again_ms: From the first answer of the writer started anew until the follower counts it.
        restart_s: How long the writer took to be ready again.
    """

    commit: str
    rate: float
    not_accepted: int
    late: Spread
    lag: Spread
    unseen: int
    follower_worst_ms: float
    starved: float
    asked: Spread
    went_on: int
    asked_while_dead: int
    followed_again_ms: float
    restart_s: float

    @property
    def meets_goal(self) -> bool:
        """Whether every event was seen and all but one in a hundred within 50 ms."""
        return self.unseen == 0 and self.lag.p99_ms <= GOAL_MS


def lags_ms(
    answered: Sequence[tuple[int, float]], seen: Sequence[tuple[int, float]]
) -> tuple[list[float], int]:
    """Work out how long each event took to be seen.

    Args:
        answered: Position of each event and when the writer answered, seconds.
        seen: Last position that the follower counted and when its answer arrived, in order of time.

    Returns:
        Milliseconds by event, 0 where the follower was faster than the writer's answer; events never seen.
    """
    positions = np.array([seq for seq, _ in seen], dtype=np.int64)
    at_s = np.array([when for _, when in seen])
    lags, unseen = [], 0
    for seq, when in answered:
        first = int(np.searchsorted(positions, seq))
        if first == len(positions):
            unseen += 1
        else:
            lags.append(1000 * max(0.0, float(at_s[first]) - when))
    return lags, unseen


class _Clients:
    """Threads that call until they are told to stop; the first error of one ends them all."""

    def __init__(self) -> None:
        self.stop = threading.Event()
        self.problem: str | None = None
        self._threads: list[threading.Thread] = []

    def add(self, port: int, every_s: float, offset_s: float, call: Callable[[_Http, float], None]) -> None:
        """Call with a connection and the time at which the call was due, every so many seconds."""

        def run() -> None:
            started, calls = time.perf_counter() + offset_s, 0
            try:
                with closing(_Http(port)) as connection:
                    while not self.stop.is_set():
                        due = started + calls * every_s
                        wait_s = due - time.perf_counter()
                        if wait_s > 0 and self.stop.wait(wait_s):
                            return
                        call(connection, due)
                        calls += 1
            except (OSError, http.client.HTTPException, KeyError) as error:
                self.problem = f"a service went away: {type(error).__name__}: {error}"
                self.stop.set()

        self._threads.append(threading.Thread(target=run))

    def run(self, seconds: float) -> None:
        """Let them all call for so long."""
        for thread in self._threads:
            thread.start()
        self.stop.wait(seconds)
        self.stop.set()
        for thread in self._threads:
            thread.join()
        if self.problem is not None:
            raise RingwatchError(self.problem)


class _Http(Connection):
    """A kept connection that can read too."""

    def live(self) -> dict[str, Any]:
        """Return what `GET /v1/live` answers."""
        self._http.request("GET", "/v1/live")
        body: dict[str, Any] = json.loads(self._http.getresponse().read())
        return body


class _Events:
    """Draws events that nobody has sent, one after the other."""

    def __init__(self, name: str, scored: int) -> None:
        self._name, self._scored = name, scored
        self._lock = threading.Lock()
        self._n = 0

    def next(self) -> tuple[str, dict[str, Any]]:
        """Return the path and the body of the next one."""
        with self._lock:
            n, self._n = self._n, self._n + 1
        is_scored = n % self._scored == 0
        account = f"{self._name}-{n - n % self._scored}"
        body: dict[str, Any] = {
            "event_type": "signup" if is_scored else "gift",
            "event_id": f"{self._name}-{n}",
            "event_timestamp": _BASE_MS + n * 20,
            "account": {"id": account},
        }
        if is_scored:
            body["identifiers"] = {"device": f"dev-{account}", "ip": f"91.{n // 250 % 250}.{n % 250}.7"}
            return "/v1/risk", body
        body["interactions"] = [{"type": "gift", "to": f"single-{n % 150}", "amount": n % 50}]
        return "/v1/events", body


def measure(
    workspace: Path,
    commit: str,
    *,
    rate: float,
    seconds: float,
    scored: int = 5,
    asks: float = 20.0,
    poll_ms: float = 5.0,
    connections: int = 8,
) -> Found:
    """Load a writer, watch its follower, kill the writer, start it again.

    Args:
        workspace: A workspace of the small platform; rows are added to its journal.
        commit: `process` or `disk`.
        rate: Events a second.
        seconds: How long, after a warm-up of three seconds at most.
        scored: One event in so many is scored.
        asks: Scores a second asked of the follower.
        poll_ms: How often the follower's position is asked for.
        connections: Connections to the writer.

    Returns:
        What was seen.

    Raises:
        RingwatchError: If a service went away while it was not killed.
    """
    environment = {"RINGWATCH_COMMIT": commit}
    following = environment | {"RINGWATCH_FOLLOW": "true"}
    warm_up_s = min(_WARM_UP_S, seconds)
    with (
        LiveService(workspace, ready_within_s=_READY_S, environment=environment) as writer,
        LiveService(workspace, ready_within_s=_READY_S, environment=following) as follower,
    ):
        _load(writer, follower, f"warm-{commit}", rate, warm_up_s, scored, asks, poll_ms, connections)
        waited_s, began = _waited_s(follower.pid), time.perf_counter()
        load = _load(writer, follower, f"load-{commit}", rate, seconds, scored, asks, poll_ms, connections)
        starved = (_waited_s(follower.pid) - waited_s) / (time.perf_counter() - began)
        worst_ms = float(follower.get("/v1/live")["lag"]["worst_ms"])
        writer.kill()
        asked_while_dead = 50
        with closing(_Http(follower.port)) as connection:
            went_on = sum(_answers(connection, f"dead-{commit}-{n}") for n in range(asked_while_dead))
        with LiveService(workspace, ready_within_s=_READY_S, environment=environment) as again:
            restart_s = again.started_in_s
            followed_again_ms = _until_followed(again, follower, f"back-{commit}", poll_ms)
    lag, unseen = lags_ms(load.answered, load.seen)
    return Found(
        commit=commit,
        rate=round(len(load.late_ms) / seconds, 1),
        not_accepted=load.not_accepted,
        late=Spread.of(load.late_ms),
        lag=Spread.of(lag),
        unseen=unseen,
        follower_worst_ms=worst_ms,
        starved=round(starved, 3),
        asked=Spread.of(load.asked_ms),
        went_on=went_on,
        asked_while_dead=asked_while_dead,
        followed_again_ms=round(followed_again_ms, 1),
        restart_s=round(restart_s, 1),
    )


def _waited_s(pid: int) -> float:
    """Return how long the threads of a process have been ready to run and waited for a core, seconds."""
    files = list(Path(f"/proc/{pid}/task").glob("*/schedstat"))
    return sum(int(file.read_text().split()[1]) for file in files) / 1e9 if files else float("nan")


def _until_followed(writer: LiveService, follower: LiveService, account: str, poll_ms: float) -> float:
    """Send one event; return how long after the writer's answer the follower counts it, milliseconds."""
    body = {"event_type": "signup", "event_id": account, "account": {"id": account}}
    with closing(_Http(follower.port)) as connection:
        connection.live()
        seq = int(writer.post("/v1/risk", body)["event_seq"])
        answered = time.perf_counter()
        while connection.live()["last_seq"] < seq:
            if time.perf_counter() - answered > _WITHIN_S:
                problem = f"the follower did not see the new writer's event within {_WITHIN_S:.0f} s"
                raise RingwatchError(problem)
            time.sleep(poll_ms / 1000)
        return 1000 * (time.perf_counter() - answered)


class _Seen:
    """What the clients of one load saw."""

    def __init__(self) -> None:
        self.answered: list[tuple[int, float]] = []
        self.late_ms: list[float] = []
        self.not_accepted = 0
        self.seen: list[tuple[int, float]] = []
        self.asked_ms: list[float] = []


def _load(
    writer: LiveService,
    follower: LiveService,
    name: str,
    rate: float,
    seconds: float,
    scored: int,
    asks: float,
    poll_ms: float,
    connections: int,
) -> _Seen:
    """Send, poll and ask for some seconds, then wait until the follower has seen it all."""
    found, events, clients = _Seen(), _Events(name, scored), _Clients()
    asked = iter(range(sys.maxsize))

    def send(connection: _Http, due: float) -> None:
        path, body = events.next()
        answer = connection.post(path, body).body
        now = time.perf_counter()
        kept = answer if path == "/v1/risk" else answer["results"][0]
        found.late_ms.append(1000 * (now - due))
        if kept["accepted"]:
            found.answered.append((kept["event_seq"], now))
        else:
            found.not_accepted += 1

    def poll(connection: _Http, _: float) -> None:
        seq = connection.live()["last_seq"]
        found.seen.append((seq, time.perf_counter()))

    def ask(connection: _Http, due: float) -> None:
        if not _answers(connection, f"ask-{name}-{next(asked)}"):
            message = "a score"
            raise KeyError(message)
        found.asked_ms.append(1000 * (time.perf_counter() - due))

    for number in range(connections):
        clients.add(writer.port, connections / rate, number / rate, send)
    clients.add(follower.port, poll_ms / 1000, 0.0, poll)
    if asks > 0:
        clients.add(follower.port, 1 / asks, 0.0, ask)
    clients.run(seconds)
    with closing(_Http(follower.port)) as connection:
        last, deadline = max((seq for seq, _ in found.answered), default=0), time.perf_counter() + _WITHIN_S
        while not found.seen or found.seen[-1][0] < last:
            poll(connection, 0.0)
            if time.perf_counter() > deadline:
                break
    return found


def _answers(connection: Connection, account: str) -> bool:
    """Tell whether a follower scores an account; it keeps nothing, and must say so."""
    body = {
        "event_type": "signup",
        "event_timestamp": _BASE_MS,
        "account": {"id": account},
        "identifiers": {"device": small_platform.BANNED_DEVICE},
    }
    answer = connection.post("/v1/risk", body)
    return answer.status == 200 and answer.body["score"] is not None and answer.body["accepted"] is False


def _table(results: Sequence[Found]) -> str:
    lines = [
        "| commit | events/s | writer p50, p99 ms | lag p50 | p99 | max ms | follower's own worst ms"
        " | it waited for a core | scores of the follower p50, p99 ms | goal p99 ≤ 50 ms |",
        "|---|---|---|---|---|---|---|---|---|---|",
    ]
    lines += [
        f"| {one.commit} | {one.rate:.0f} | {one.late.p50_ms:.1f}, {one.late.p99_ms:.1f}"
        f" | {one.lag.p50_ms:.1f} | {one.lag.p99_ms:.1f} | {one.lag.max_ms:.1f}"
        f" | {one.follower_worst_ms:.0f} | {one.starved:.0%}"
        f" | {one.asked.p50_ms:.1f}, {one.asked.p99_ms:.1f} | {'met' if one.meets_goal else 'MISSED'} |"
        for one in results
    ]
    lines.append("")
    for one in results:
        lines.append(
            f"{one.commit}: {one.lag.n:,} events seen, {one.unseen} not; {one.not_accepted} not accepted; "
            f"writer killed: {one.went_on} of {one.asked_while_dead} scores answered meanwhile, ready again "
            f"after {one.restart_s} s, its first event seen by the follower {one.followed_again_ms:.0f} ms "
            "after its answer"
        )
    return "\n".join(lines)


def main() -> int:
    """Measure and print; returns the exit code, 1 if the goal was missed."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.follower", description="Lag of a follower, and its life without a writer."
    )
    parser.add_argument("--rate", type=float, default=500, help="events a second")
    parser.add_argument("--seconds", type=float, default=20)
    parser.add_argument("--scored", type=int, default=5, help="one event in so many is scored")
    parser.add_argument("--asks", type=float, default=20, help="scores a second asked of the follower")
    parser.add_argument("--poll-ms", type=float, default=5)
    parser.add_argument("--connections", type=int, default=8)
    parser.add_argument("--commit", nargs="+", choices=["process", "disk"], default=["process", "disk"])
    parser.add_argument("--workspace", type=Path, help="a copy of it is used")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    options = parser.parse_args()
    os.environ.setdefault(HASH_KEY_VARIABLE, TEST_HASH_KEY)
    try:
        with tempfile.TemporaryDirectory() as scratch:
            here = Path(scratch)
            if options.workspace is None:
                base = small_platform.make_workspace(here)
            else:
                base = Path(shutil.copytree(options.workspace, here / "base"))
            results = [
                measure(
                    Path(shutil.copytree(base, here / commit)),
                    commit,
                    rate=options.rate,
                    seconds=options.seconds,
                    scored=options.scored,
                    asks=options.asks,
                    poll_ms=options.poll_ms,
                    connections=options.connections,
                )
                for commit in options.commit
            ]
    except RingwatchError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    if options.json:
        print(json.dumps([asdict(one) | {"meets_goal": one.meets_goal} for one in results]))
    else:
        print(f"{os.cpu_count()} cores, {platform.machine()}, Python {platform.python_version()}\n")
        print(_table(results))
    return 0 if all(one.meets_goal for one in results) else 1


if __name__ == "__main__":
    sys.exit(main())
