"""A job on a real job server: what it prints arrives, its exit status is kept."""

from __future__ import annotations

import socket
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from ray_jobs.cluster import connected, dashboard_of
from ray_jobs.errors import ClusterMissing
from ray_jobs.submission import exit_status, submit
from ringwatch import run

# Said by Ray and what it imports about one another.
pytestmark = [
    pytest.mark.filterwarnings("ignore::ResourceWarning"),
    pytest.mark.filterwarnings("ignore::FutureWarning"),
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
]


def _free_port() -> int:
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        return int(listening.getsockname()[1])


@pytest.mark.parametrize(("code", "expected"), [(0, 0), (3, 3), (-9, 137), (-15, 143)])
def test_a_signal_is_the_status_that_a_shell_shows(code: int, expected: int) -> None:
    assert exit_status(code) == expected


@pytest.mark.parametrize("address", ["127.0.0.1:8265", "ray://127.0.0.1:10001"])
def test_an_address_that_is_no_job_server_says_so(address: str) -> None:
    with pytest.raises(ClusterMissing, match="http://host:8265"):
        submit(["true"], address=address, write=print)


def test_nobody_at_the_address_is_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    address = f"http://127.0.0.1:{_free_port()}"
    assert run(["ray", "submit", "--address", address, "--", "true"]) == 2
    lines = capsys.readouterr().err.strip().splitlines()
    assert len(lines) == 1
    assert lines[0].startswith(f"error: no Ray cluster answers at {address}")


@pytest.fixture(scope="module")
def job_server() -> Iterator[str]:
    with connected("local", cpus=1, dashboard=True) as ray:
        yield dashboard_of(ray)


@pytest.mark.slow
def test_lines_arrive_and_the_status_is_kept(job_server: str, capfd: pytest.CaptureFixture[str]) -> None:
    words = [
        sys.executable,
        "-c",
        "print('seen'); import os, sys; sys.exit(7 if os.environ['RAY_ADDRESS'] else 1)",
    ]
    assert run(["ray", "submit", "--address", job_server, "--", *words]) == 7
    out, err = capfd.readouterr()
    assert "seen\n" in out
    assert err.splitlines()[-1] == "exit status 7"
    assert run(["ray", "submit", "--address", job_server, "--", "sh", "-c", "kill -9 $$"]) in (137, 247)
    assert run(["ray", "submit", "--address", job_server, "--", "true"]) == 0


@pytest.mark.slow
def test_a_job_that_runs_is_followed_and_not_started_twice(job_server: str, tmp_path: Path) -> None:
    marks = tmp_path / "marks"
    go = tmp_path / "go"
    program = f"echo started >> {marks}; echo waiting; while [ ! -e {go} ]; do sleep 0.1; done; echo over"
    first: list[str] = []
    status: list[int] = []

    def follow() -> None:
        status.append(submit(["sh", "-c", program], address=job_server, job_id="night", write=first.append))

    thread = threading.Thread(target=follow)
    thread.start()
    while "waiting" not in "".join(first):
        assert thread.is_alive()
        thread.join(0.1)
    known: list[bool] = []

    def started(_: str, __: str, before: bool) -> None:
        known.append(before)
        go.touch()

    second: list[str] = []
    again = submit(
        ["sh", "-c", program], address=job_server, job_id="night", write=second.append, started=started
    )
    thread.join()
    assert (status, again, known) == ([0], 0, [True])
    assert marks.read_text() == "started\n"
    lines = "".join(second).splitlines()
    assert lines.count("waiting") == 1
    assert lines[-1] == "over"
