"""The process itself: started, asked over a real socket, stopped."""

import json
import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import httpx
import pytest

from graph_etl import Workspace
from graph_etl.identifiers import HASH_KEY_VARIABLE
from tests.building import TEST_HASH_KEY
from tests.scoring_service.small_platform import BANNED_DEVICE, sign_up_event

ROOT = Path(__file__).parents[2]


def _free_port() -> int:
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))
        port: int = held.getsockname()[1]
        return port


@pytest.mark.slow  # a fresh process imports torch before it serves
def test_process_serves_until_it_is_told_to_stop(copied: Workspace) -> None:
    port = _free_port()
    environment = {
        **os.environ,
        HASH_KEY_VARIABLE: TEST_HASH_KEY,
        "RINGWATCH_WORKSPACE": str(copied.path),
        "RINGWATCH_PORT": str(port),
    }
    process = subprocess.Popen(
        # torch-geometric calls what torch deprecates; its warning is no line of our log.
        [sys.executable, "-W", "ignore", "-c", "from scoring_service import serve; serve()"],
        cwd=ROOT,
        env=environment,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stderr is not None
    try:
        events = []
        for line in process.stderr:
            events.append(json.loads(line)["event"])
            if events[-1] == "service.ready":
                break
        assert events == ["service.started", "live.replayed", "service.ready"]
        with httpx.Client(base_url=f"http://127.0.0.1:{port}") as http:
            assert http.get("/readyz").json()["status"] == "ready"
            answer = http.post("/v1/risk", json=sign_up_event("evader", device=BANNED_DEVICE)).json()
            assert answer["decision"] == "deny"
            assert http.get("/").headers["content-type"].startswith("text/html")
    finally:
        process.send_signal(signal.SIGINT)
        rest = process.communicate(timeout=20)[1]
    # Whoever stops it at once reads a traceback otherwise.
    assert "Traceback" not in rest
    assert process.returncode == 0
    assert BANNED_DEVICE not in rest


def _started(copied: Workspace, *words: str) -> tuple["subprocess.Popen[str]", str]:
    """Start `ringwatch serve` on a port that the system picks; returns it and its URL, once it is ready."""
    process = subprocess.Popen(
        [sys.executable, "-m", "ringwatch", "serve", "--port", "0", "-w", str(copied.path), *words],
        cwd=ROOT,
        env={**os.environ, HASH_KEY_VARIABLE: TEST_HASH_KEY},
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    assert process.stdout is not None
    line = process.stdout.readline()
    # The port stands in the line, so the line came once it was known, and the socket answers.
    url = line.split()[1].rstrip("/")
    deadline = time.monotonic() + 60
    while httpx.get(f"{url}/readyz").status_code != 200:
        assert time.monotonic() < deadline
    return process, url


def _kill(process: "subprocess.Popen[str]") -> None:
    process.send_signal(signal.SIGKILL)
    process.communicate(timeout=20)


@pytest.mark.slow  # two processes that import everything
def test_killed_writer_loses_nothing_and_its_follower_reads_on(copied: Workspace) -> None:
    writer, url = _started(copied)
    follower, follower_url = _started(copied, "--follow")
    try:
        kept = [
            httpx.post(f"{url}/v1/risk", json=sign_up_event(f"k-{n}", device=f"dev-k-{n}")).json()
            for n in range(20)
        ]
        assert all(answer["accepted"] for answer in kept)
        deadline = time.monotonic() + 10
        while (told := httpx.get(f"{follower_url}/v1/live").json())["last_seq"] < kept[-1]["event_seq"]:
            assert time.monotonic() < deadline
        assert told["lag"]["last_ms"] < 1000
        _kill(writer)
        assert httpx.get(f"{follower_url}/v1/accounts/k-19").status_code == 200
        writer, url = _started(copied)
        again = httpx.post(f"{url}/v1/risk", json=sign_up_event("k-0", device="dev-k-0")).json()
        assert again["event_seq"] == kept[0]["event_seq"]
        after = httpx.post(f"{url}/v1/risk", json=sign_up_event("k-20", device="dev-k-19")).json()
        assert after["event_seq"] == kept[-1]["event_seq"] + 1
        device = httpx.get(f"{url}/v1/accounts/k-20").json()["identifiers"][0]
        assert device["accounts"] == 2
    finally:
        _kill(writer)
        _kill(follower)
