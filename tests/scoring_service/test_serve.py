"""The process itself: started, asked over a real socket, stopped."""

import json
import os
import signal
import socket
import subprocess
import sys
from pathlib import Path

import httpx
import pytest

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
def test_process_serves_until_it_is_told_to_stop(workspace: Path) -> None:
    port = _free_port()
    environment = {
        **os.environ,
        HASH_KEY_VARIABLE: TEST_HASH_KEY,
        "RINGWATCH_WORKSPACE": str(workspace),
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
        assert events == ["service.started", "service.ready"]
        with httpx.Client(base_url=f"http://127.0.0.1:{port}") as http:
            assert http.get("/readyz").json()["status"] == "ready"
            answer = http.post("/v1/risk", json=sign_up_event("evader", device=BANNED_DEVICE)).json()
            assert answer["decision"] == "deny"
            assert http.get("/").headers["content-type"].startswith("text/html")
    finally:
        process.send_signal(signal.SIGINT)
        rest = process.communicate(timeout=20)[1]
    assert process.returncode == 0
    assert BANNED_DEVICE not in rest
