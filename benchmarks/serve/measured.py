"""Runs service and bare endpoint side by side and measures both: latency, memory, start."""

from __future__ import annotations

import os
import platform
import sys
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import orjson

from benchmarks.serve.bare import ANSWER_VARIABLE
from benchmarks.serve.load import Shot, Target, shoot
from benchmarks.serve.memory import Memory, memory_of
from benchmarks.serve.prepared import HASH_KEY, Prepared
from benchmarks.serve.requests import sign_ups
from ringwatch.live import Connection, LiveService, LocalServer

if TYPE_CHECKING:
    from collections.abc import Sequence
    from contextlib import ExitStack

READY_WITHIN_S: Final = 600.0
_WARM_UP_S: Final = 2
_PROBES: Final = 45

BARE: Final = "bare"
COMMIT_MODES: Final = ("process", "disk")


@dataclass(slots=True)
class Measured:
    """What one run saw.

    Attributes:
        shots: All that wrk measured.
        targets: What was asked, with the goals.
        started_in_s: Seconds from the start of each process until it was ready.
        restarted_in_s: The same for `commit=process` with the journal of this run to read.
        restarted_events: Events in that journal.
        memory: Memory of each process when it was ready, after load, and after the restart.
        live: What `GET /v1/live` said of each service after the load.
        answer_bytes: Size of the answer that the bare endpoint sends.
        decisions: How often a sign-up of the load gets each decision, of a few dozen probes.
        machine: Cores, Python, load of the machine before and after.
    """

    shots: list[Shot] = field(default_factory=list)
    targets: list[Target] = field(default_factory=list)
    started_in_s: dict[str, float] = field(default_factory=dict)
    restarted_in_s: float = 0.0
    restarted_events: int = 0
    memory: dict[str, Memory] = field(default_factory=dict)
    live: dict[str, Any] = field(default_factory=dict)
    answer_bytes: int = 0
    decisions: dict[str, int] = field(default_factory=dict)
    machine: dict[str, Any] = field(default_factory=dict)


def measure(
    prepared: Prepared,
    scratch: Path,
    stack: ExitStack,
    *,
    rounds: int,
    seconds: int,
    connections: Sequence[int],
) -> Measured:
    """Start the processes, send the load in rounds, read memory and start-up times.

    Args:
        prepared: Platform, workspace and bundle.
        scratch: An empty folder on disk for the journals.
        stack: Stops the processes when it ends.
        rounds: How often each target is asked with each number of connections.
        seconds: How long each time.
        connections: Numbers of connections.

    Returns:
        What was measured.
    """
    found = Measured(machine=_machine())
    services = {mode: _service(prepared, scratch, mode) for mode in COMMIT_MODES}
    for mode, service in services.items():
        _say(f"starting the service with commit={mode} ...")
        stack.enter_context(service)
        found.started_in_s[mode] = service.started_in_s
        found.memory[f"{mode}, ready"] = memory_of(service.pid)
    template = _typical_answer(services["process"].port, prepared, found)
    bare = LocalServer(
        [sys.executable, "-m", "benchmarks.serve.bare", "{port}"],
        ready_within_s=READY_WITHIN_S,
        environment={ANSWER_VARIABLE: str(_written(scratch / "answer.json", template))},
    )
    stack.enter_context(bare)
    found.started_in_s[BARE] = bare.started_in_s
    found.memory[f"{BARE}, ready"] = memory_of(bare.pid)
    process, disk = services["process"].port, services["disk"].port
    found.targets = [
        Target(BARE, bare.port),
        Target("bare, pydantic alone", bare.port, "/lean"),
        Target("commit=process", process, most_times_bare=2.0),
        Target("commit=disk", disk, most_times_bare=3.0),
        Target("commit=process, reasons", process, "/v1/risk?expand=reasons", most_times_bare=5.0),
        Target("commit=disk, reasons", disk, "/v1/risk?expand=reasons", most_times_bare=5.0),
    ]
    for target in found.targets:
        shoot(target, prepared.known, connections=4, seconds=_WARM_UP_S, run=_run_name(target, "warm"))
    for at in range(rounds):
        for number in connections:
            # Each round begins with another target, so that none always comes after the same one.
            turn = at % len(found.targets)
            for target in [*found.targets[turn:], *found.targets[:turn]]:
                shot = shoot(
                    target,
                    prepared.known,
                    connections=number,
                    seconds=seconds,
                    run=_run_name(target, f"{at}-{number}"),
                )
                found.shots.append(shot)
        _say(f"round {at + 1} of {rounds} done")
    found.machine["load_after"] = os.getloadavg()[0]
    for mode, service in services.items():
        found.memory[f"{mode}, after the load"] = memory_of(service.pid)
        found.live[mode] = service.get("/v1/live")
    services["process"].__exit__(None, None, None)
    _say("starting the service again on the journal of this run ...")
    with _service(prepared, scratch, "process") as again:
        found.restarted_in_s = again.started_in_s
        found.restarted_events = int(again.get("/v1/live")["last_seq"])
    return found


def _service(prepared: Prepared, scratch: Path, mode: str) -> LiveService:
    return LiveService(
        prepared.workspace.path,
        ready_within_s=READY_WITHIN_S,
        environment={
            "RINGWATCH_HASH_KEY": HASH_KEY,
            "RINGWATCH_COMMIT": mode,
            "RINGWATCH_DATABASE_URL": f"sqlite:///{(scratch / f'{mode}.db').resolve()}",
        },
    )


def _typical_answer(port: int, prepared: Prepared, found: Measured) -> bytes:
    """Ask as the load does and return the answer of middle length."""
    connection = Connection(port)
    answers = [connection.post("/v1/risk", body).body for body in sign_ups(prepared.known, _PROBES, "probe")]
    connection.close()
    for answer in answers:
        found.decisions[answer["decision"]] = found.decisions.get(answer["decision"], 0) + 1
    texts = sorted((orjson.dumps(answer) for answer in answers), key=len)
    found.answer_bytes = len(texts[len(texts) // 2])
    return texts[len(texts) // 2]


def _written(path: Path, content: bytes) -> Path:
    path.write_bytes(content)
    return path


def _run_name(target: Target, name: str) -> str:
    return f"{target.name.replace(', ', '-').replace('=', '-').replace(' ', '-')}-{name}"


def _machine() -> dict[str, Any]:
    model = next(
        (line.partition(":")[2].strip() for line in _lines("/proc/cpuinfo") if line.startswith("model name")),
        platform.machine(),
    )
    return {
        "processor": model,
        "cores": os.cpu_count(),
        "python": platform.python_version(),
        "date": datetime.now(UTC).date().isoformat(),
        "load_before": os.getloadavg()[0],
    }


def _lines(path: str) -> list[str]:
    return Path(path).read_text().splitlines()


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)
