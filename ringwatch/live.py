"""A running service for the demo: a real process on a free port of this machine, stopped at the end."""

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
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from graph_etl.errors import RingwatchError

HOST = "127.0.0.1"
_ASK_WITHIN_S = 30.0
_STOP_WITHIN_S = 15.0
_POLL_S = 0.2


class DemoError(RingwatchError):
    """The demo cannot go on."""


class LiveService:
    """Runs `ringwatch serve` in a process of its own while the block lasts.

    Args:
        workspace: The workspace to serve.
        ready_within_s: How long to wait until it answers, seconds.
    """

    def __init__(self, workspace: Path, *, ready_within_s: float) -> None:
        self._workspace = workspace
        self._ready_within_s = ready_within_s
        self._log = tempfile.TemporaryFile("w+", encoding="utf-8")
        self._port = _free_port()
        self._process: subprocess.Popen[str] | None = None

    @property
    def url(self) -> str:
        """Where it answers, without a slash at the end."""
        return f"http://{HOST}:{self._port}"

    def __enter__(self) -> Self:
        """Start it and wait until `/readyz` answers 200."""
        command = [sys.executable, "-m", "ringwatch", "serve", "--workspace", str(self._workspace)]
        self._process = subprocess.Popen(
            [*command, "--port", str(self._port)],
            stdout=self._log,
            stderr=self._log,
            text=True,
            env=dict(os.environ),
        )
        deadline = time.monotonic() + self._ready_within_s
        while time.monotonic() < deadline:
            if self._process.poll() is not None:
                break
            if self._is_ready():
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
        headers = {"content-type": "application/json"}
        return self._ask(urllib.request.Request(self.url + path, data, headers, method="POST"))

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


def _opener() -> urllib.request.OpenerDirector:
    """Open without a proxy: the service is on this machine."""
    return urllib.request.build_opener(urllib.request.ProxyHandler({}))


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        return int(probe.getsockname()[1])
