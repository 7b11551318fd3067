"""Servers on this machine for demo, benchmarks and tests: real processes, asked over kept connections."""

import http.client
import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from graph_etl.errors import RingwatchError

HOST = "127.0.0.1"
_ASK_WITHIN_S = 30.0
_STOP_WITHIN_S = 15.0
_POLL_S = 0.05
_JSON = {"content-type": "application/json"}


class DemoError(RingwatchError):
    """The demo cannot go on."""


class LocalServer:
    """Runs a server in a process of its own while the block lasts.

    Args:
        command: Its command line; `{port}` in a word becomes the port.
        ready_within_s: How long to wait until it answers, seconds.
        environment: Variables beside this process's own.
        port: Port to listen on; a free one if None.

    Attributes:
        port: Where it listens.
        started_in_s: Seconds from the start of the process until it was ready.
    """

    def __init__(
        self,
        command: Sequence[str],
        *,
        ready_within_s: float,
        environment: Mapping[str, str] | None = None,
        port: int | None = None,
    ) -> None:
        self.port = free_port() if port is None else port
        self.started_in_s = 0.0
        self._command = [word.replace("{port}", str(self.port)) for word in command]
        self._ready_within_s = ready_within_s
        self._environment = dict(environment or {})
        self._log = tempfile.TemporaryFile("w+", encoding="utf-8")
        self._process: subprocess.Popen[str] | None = None

    @property
    def url(self) -> str:
        """Where it answers, without a slash at the end."""
        return f"http://{HOST}:{self.port}"

    @property
    def pid(self) -> int:
        """Number of the process."""
        assert self._process is not None, "the server was not started"
        return self._process.pid

    def __enter__(self) -> Self:
        """Start it and wait until `/readyz` answers 200."""
        started = time.monotonic()
        self._process = subprocess.Popen(
            self._command,
            stdout=self._log,
            stderr=self._log,
            text=True,
            env=os.environ | self._environment,
        )
        while time.monotonic() < started + self._ready_within_s:
            if self._process.poll() is not None:
                break
            if self._is_ready():
                self.started_in_s = time.monotonic() - started
                return self
            time.sleep(_POLL_S)
        said = self._last_line()
        self.__exit__(None, None, None)
        message = f"the service did not answer within {self._ready_within_s:.0f} s: {said}"
        raise DemoError(message)

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Stop it."""
        process = self._process
        if process is not None and process.poll() is None:
            process.send_signal(signal.SIGINT)
            try:
                process.wait(_STOP_WITHIN_S)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
        self._log.close()

    def kill(self) -> None:
        """End it at once, as a power cut of this process alone would (`SIGKILL`)."""
        assert self._process is not None, "the server was not started"
        self._process.kill()
        self._process.wait()

    def get(self, path: str) -> Any:
        """Return what `GET path` answers.

        Raises:
            DemoError: If it answers with an error.
        """
        return self._ask(urllib.request.Request(self.url + path))

    def post(self, path: str, body: Any) -> Any:
        """Return what `POST path` answers to a JSON body.

        Raises:
            DemoError: If it answers with an error.
        """
        data = json.dumps(body).encode()
        return self._ask(urllib.request.Request(self.url + path, data, _JSON, method="POST"))

    def _ask(self, request: urllib.request.Request) -> Any:
        try:
            with _opener().open(request, timeout=_ASK_WITHIN_S) as answer:
                return json.load(answer)
        except urllib.error.HTTPError as error:
            said = error.read().decode(errors="replace")
            message = f"{request.get_method()} {request.full_url} answered {error.code}: {said[:500]}"
            raise DemoError(message) from None

    def _is_ready(self) -> bool:
        try:
            with _opener().open(f"{self.url}/readyz", timeout=_ASK_WITHIN_S) as answer:
                return bool(answer.status == 200)
        except OSError:  # not listening yet, or not ready (an HTTPError is one too)
            return False

    def _last_line(self) -> str:
        self._log.seek(0)
        lines = [line.strip() for line in self._log if line.strip()]
        return lines[-1] if lines else "it said nothing"


class LiveService(LocalServer):
    """Runs `ringwatch serve` in a process of its own while the block lasts.

    Args:
        workspace: The workspace to serve.
        ready_within_s: How long to wait until it answers, seconds.
        environment: Variables beside this process's own, such as `RINGWATCH_COMMIT`.
        port: Port to listen on; a free one if None.
    """

    def __init__(
        self,
        workspace: Path,
        *,
        ready_within_s: float,
        environment: Mapping[str, str] | None = None,
        port: int | None = None,
    ) -> None:
        command = [sys.executable, "-m", "ringwatch", "serve", "--workspace", str(workspace)]
        super().__init__(
            [*command, "--port", "{port}"],
            ready_within_s=ready_within_s,
            environment=environment,
            port=port,
        )


@dataclass(frozen=True, slots=True)
class Answer:
    """What came back on one request.

    Attributes:
        status: HTTP status.
        body: The JSON.
        took_s: From the first byte sent to the last byte read, seconds.
    """

    status: int
    body: Any
    took_s: float


class Connection:
    """One connection that stays open over many requests; not for several threads at once.

    Args:
        port: Port of a server on this machine.
    """

    def __init__(self, port: int) -> None:
        self._http = http.client.HTTPConnection(HOST, port, timeout=_ASK_WITHIN_S)

    def post(self, path: str, body: Any) -> Answer:
        """Send a JSON body and read the answer.

        Args:
            path: Path and query.
            body: What to send; bytes go as they are.

        Returns:
            The answer, whatever its status.

        Raises:
            OSError: If the server is gone.
            http.client.HTTPException: If it went away in the middle of the answer.
        """
        data = body if isinstance(body, bytes) else json.dumps(body).encode()
        started = time.perf_counter()
        self._http.request("POST", path, data, _JSON)
        answer = self._http.getresponse()
        text = answer.read()
        took_s = time.perf_counter() - started
        return Answer(answer.status, json.loads(text), took_s)

    def close(self) -> None:
        """Close it."""
        self._http.close()


def free_port() -> int:
    """Return a port that nobody listens on."""
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        return int(probe.getsockname()[1])


def _opener() -> urllib.request.OpenerDirector:
    """Open without a proxy: the service is on this machine."""
    return urllib.request.build_opener(urllib.request.ProxyHandler({}))
