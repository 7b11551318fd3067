"""Answer a hundred thousand mixed events over HTTP, then compute every answer again and compare each bit.

    python -m benchmarks.replay [--events 100000] [--connections 4] [--seed 0] [--no-swap] [--json]

Data: the small platform of tests/scoring_service. Four connections send at once: sign-ups, gifts and context,
of which some come late, some twice, some out of order and many within the same second; verdicts come between
them. In the middle `ringwatch refresh --force` builds a new snapshot and trains a new bundle beside the load,
and the service swaps them in. At the end `ringwatch replay` reads it all: not one bit may differ.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import subprocess
import sys
import tempfile
import threading
import time
from contextlib import closing
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from graph_etl import Workspace
from graph_etl.identifiers import HASH_KEY_VARIABLE
from ringwatch.live import Connection, LiveService
from scoring_service.journal import Journal
from scoring_service.replay import replay
from tests.building import TEST_HASH_KEY
from tests.scoring_service import small_platform

_DAY_S = 86_400
_BASE_S = 1_772_409_600  # 2026-03-02T00:00:00Z, after the platform's last event


@dataclass(frozen=True, slots=True)
class Found:
    """What the run showed.

    Attributes:
        sent: Events sent.
        accepted: Events that were kept, and not doubles.
        doubles: Events that had been sent before.
        seconds: Time of the load.
        slowest_ms: The slowest answer.
        snapshots: Snapshots that answers came from.
        bundles: Bundles that answers came from.
        compared: Answers computed again.
        different: Answers in which a bit differs.
        replay_seconds: Time of the replay.
    """

    sent: int
    accepted: int
    doubles: int
    seconds: float
    slowest_ms: float
    snapshots: int
    bundles: int
    compared: int
    different: int
    replay_seconds: float


def _event(chance: random.Random, client: int, number: int) -> dict[str, Any]:
    """Draw an event; ids of clients overlap, so that some come twice."""
    identity = number if chance.random() > 0.02 else chance.randrange(max(1, number))
    owner = client if chance.random() > 0.02 else 0
    chance = random.Random(owner * 10_000_019 + identity)
    at_s = _BASE_S + identity // 20 - (_DAY_S if chance.random() < 0.05 else 0) - chance.randrange(3)
    account = f"r-{owner}-{identity // 2}"
    event: dict[str, Any] = {
        "event_type": "signup",
        "event_id": f"r{owner}-{identity}",
        "event_timestamp": 1000 * at_s,
        "account": {"id": account},
    }
    if chance.random() < 0.3:
        event["event_type"] = "gift"
        other = f"r-{chance.randrange(4)}-{chance.randrange(max(1, identity // 2 + 1))}"
        event["interactions"] = [{"type": "gift", "to": other, "amount": chance.randrange(50)}]
        return event
    event["account"] |= {"country": chance.choice(["DE", "FR", "US"]), "form_s": chance.uniform(5, 90)}
    event["identifiers"] = {
        "device": chance.choice([f"dev-single-{chance.randrange(150)}", f"dev-r-{identity // 6}"]),
        "ip": f"91.{chance.randrange(200)}.{chance.randrange(200)}.7",
        "email": f"{account}@mail.example",
    }
    return event


class _Load:
    """Sends one client's events and counts what came back."""

    def __init__(self, service: LiveService, client: int, n_events: int, seed: int) -> None:
        self.accepted = self.doubles = 0
        self.slowest_s = 0.0
        self._service, self._client, self._n_events = service, client, n_events
        self._chance = random.Random(seed * 1000 + client)
        self.failed: str | None = None
        self.thread = threading.Thread(target=self._run)

    def _run(self) -> None:
        try:
            self._send()
        except Exception as error:
            self.failed = f"client {self._client}: {type(error).__name__}: {error}"

    def _send(self) -> None:
        chance = self._chance
        with closing(Connection(self._service.port)) as connection:
            for number in range(self._n_events):
                event = _event(chance, self._client, number)
                path = "/v1/risk" if chance.random() < 0.8 else "/v1/events"
                answer = connection.post(path, event)
                if answer.status != 200:
                    message = f"{path} answered {answer.status}: {answer.body}"
                    raise ConnectionError(message)
                self.slowest_s = max(self.slowest_s, answer.took_s)
                kept = answer.body if path == "/v1/risk" else answer.body["results"][0]
                double = kept.get("duplicate", False) or any(
                    one["code"] == "duplicate_event" for one in kept["warnings"]
                )
                self.doubles += double
                self.accepted += kept["accepted"] and not double
                if chance.random() < 0.005:
                    label = {"account": event["account"]["id"], "label": "bad", "source": "analyst"}
                    connection.post("/v1/labels", label)


def run(folder: Path, *, n_events: int, n_connections: int, seed: int, swap: bool) -> Found:
    """Send the load, swap in the middle, replay.

    Args:
        folder: Where the workspace goes.
        n_events: Events in all.
        n_connections: Connections that send at once.
        seed: Draws the events.
        swap: Whether a refresh runs in the middle.

    Returns:
        What was seen.
    """
    place = Workspace(small_platform.make_workspace(folder))
    environment = {"RINGWATCH_COMMIT": "process", "RINGWATCH_CLOCK": "events"}
    with LiveService(place.path, ready_within_s=120, environment=environment) as service:
        loads = [_Load(service, client, n_events // n_connections, seed) for client in range(n_connections)]
        started = time.monotonic()
        for load in loads:
            load.thread.start()
        if swap:
            middle = n_events // 2
            while service.get("/v1/live")["last_seq"] < middle and loads[0].thread.is_alive():
                time.sleep(0.5)
            command = [
                sys.executable,
                "-m",
                "ringwatch",
                "refresh",
                "--force",
                "--workspace",
                str(place.path),
            ]
            subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
        for load in loads:
            load.thread.join()
        failed = [load.failed for load in loads if load.failed]
        if failed:
            sys.exit("\n".join(failed))
        seconds = time.monotonic() - started
    with Journal.open(place.path / "state.db", read_only=True) as journal:
        started = time.monotonic()
        found = replay(place, journal)
        replay_s = time.monotonic() - started
        answers = [answered for _, answered in journal.records() if answered is not None]
    for difference in found.differences:
        print(f"row {difference.seq}: {difference.what}: {difference.recorded} -> {difference.replayed}")
    return Found(
        sent=n_events,
        accepted=sum(load.accepted for load in loads),
        doubles=sum(load.doubles for load in loads),
        seconds=round(seconds, 1),
        slowest_ms=round(1000 * max(load.slowest_s for load in loads), 1),
        snapshots=len({answered.snapshot for answered in answers}),
        bundles=len({answered.bundle for answered in answers}),
        compared=found.compared,
        different=found.different + found.gone,
        replay_seconds=round(replay_s, 1),
    )


def main() -> None:
    """Run it and print what was seen; exit 1 if a bit differs."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.replay", description=__doc__.split("\n")[0])
    parser.add_argument("--events", type=int, default=100_000)
    parser.add_argument("--connections", type=int, default=4)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--no-swap", action="store_true", help="no refresh in the middle")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    os.environ[HASH_KEY_VARIABLE] = TEST_HASH_KEY
    with tempfile.TemporaryDirectory() as folder:
        found = run(
            Path(folder),
            n_events=options.events,
            n_connections=options.connections,
            seed=options.seed,
            swap=not options.no_swap,
        )
    if options.json:
        print(json.dumps(asdict(found)))
    else:
        print(
            f"{found.sent:,} events in {found.seconds} s over {options.connections} connections, "
            f"{found.accepted:,} kept, {found.doubles:,} doubles, slowest answer {found.slowest_ms} ms\n"
            f"{found.compared:,} answers from {found.snapshots} snapshots and {found.bundles} bundles "
            f"computed again in {found.replay_seconds} s: {found.different:,} differ"
        )
    sys.exit(1 if found.different or not found.compared else 0)


if __name__ == "__main__":
    main()
