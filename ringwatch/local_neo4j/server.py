"""Fetching, starting and stopping Neo4j's own server program."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import socket
import subprocess
import time
import urllib.error
import urllib.request
from pathlib import Path
from typing import TYPE_CHECKING, Final, Self

from graph_etl.errors import RingwatchError

if TYPE_CHECKING:
    from types import TracebackType

POM: Final = Path(__file__).with_name("pom.xml")
USERNAME: Final = "neo4j"
_READY_S: Final = 120.0
# A repository that does not answer once often does the next time; Maven keeps what it has fetched.
_FETCHES: Final = 3
_FOLDERS: Final = ("conf", "data", "import", "lib", "licenses", "logs", "plugins", "run")
# What Neo4j's own start script opens of the JDK for it.
_OPENED: Final = (
    "java.base/java.nio",
    "java.base/java.io",
    "java.base/sun.nio.ch",
    "java.base/java.util.concurrent",
)


class LocalNeo4jError(RingwatchError):
    """A local Neo4j cannot be fetched or started."""


def archives_folder() -> Path:
    """Where the archives are kept: in ``XDG_CACHE_HOME`` or ``~/.cache``."""
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    # The pom names the versions, so its name here does too.
    version = POM.read_text(encoding="utf-8").partition("<artifactId>neo4j-server</artifactId>")[2]
    number = version.partition("<version>")[2].partition("</version>")[0]
    return cache / "ringwatch" / f"neo4j-{number}"


def fetch_archives(folder: Path | None = None) -> Path:
    """Fetch Neo4j's archives with Maven, once.

    Args:
        folder: Where to; :func:`archives_folder` if None.

    Returns:
        The folder that holds them.

    Raises:
        LocalNeo4jError: If Java or Maven is missing, or the archives cannot be fetched.
    """
    target = archives_folder() if folder is None else folder
    if shutil.which("java") is None:
        message = "no `java` on the path; on Debian: apt-get install openjdk-17-jre-headless maven"
        raise LocalNeo4jError(message)
    if target.is_dir():
        return target
    if shutil.which("mvn") is None:
        message = "no `mvn` on the path to fetch Neo4j with; on Debian: apt-get install maven"
        raise LocalNeo4jError(message)
    target.parent.mkdir(parents=True, exist_ok=True)
    partial = target.with_name(f".{target.name}.{os.getpid()}.partial")
    command = [
        "mvn",
        "-q",
        "-B",
        "-f",
        str(POM),
        "dependency:copy-dependencies",
        f"-DoutputDirectory={partial}",
    ]
    for _ in range(_FETCHES):
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode == 0:
            break
    else:
        shutil.rmtree(partial, ignore_errors=True)
        lines = (done.stdout + done.stderr).strip().splitlines() or ["no word from Maven"]
        message = (
            f"Neo4j could not be fetched with Maven: {lines[0][:300]}; is there a way to its repository?"
        )
        raise LocalNeo4jError(message)
    # Another process may have been as quick.
    with contextlib.suppress(OSError):
        partial.rename(target)
    shutil.rmtree(partial, ignore_errors=True)
    return target


def free_port() -> int:
    """A TCP port of this machine that nobody listens on now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


class LocalNeo4j:
    """A Neo4j server in a folder; stopping keeps the folder, so that it can be started again.

    Args:
        folder: Its home: data, configuration, logs. Made if it is missing.
        password: Password of the user ``neo4j``; counts the first time that the folder is used.
        bolt_port: Port of Bolt; a free one if None.
        http_port: Port of Neo4j Browser; a free one if None.
        heap: Largest heap, as Java writes it.
        archives: Folder of Neo4j's archives; fetched if None.
    """

    def __init__(
        self,
        folder: Path,
        *,
        password: str,
        bolt_port: int | None = None,
        http_port: int | None = None,
        heap: str = "1g",
        archives: Path | None = None,
    ) -> None:
        self.folder = folder.resolve()
        self.password = password
        self.bolt_port = bolt_port or free_port()
        self.http_port = http_port or free_port()
        self._heap = heap
        self._archives = archives
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def uri(self) -> str:
        """Its address."""
        return f"bolt://127.0.0.1:{self.bolt_port}"

    @property
    def browser(self) -> str:
        """Address of Neo4j Browser."""
        return f"http://127.0.0.1:{self.http_port}/browser/"

    @property
    def pid(self) -> int:
        """Its process.

        Raises:
            LocalNeo4jError: If it does not run.
        """
        if self._process is None:
            message = f"{self.folder}: this Neo4j is not running"
            raise LocalNeo4jError(message)
        return self._process.pid

    def admin(self, *arguments: str) -> str:
        """Run ``neo4j-admin`` on the stopped server.

        Args:
            *arguments: What stands after ``neo4j-admin``.

        Returns:
            What it printed.

        Raises:
            LocalNeo4jError: If it fails.
        """
        self._prepare()
        command = [*self._java("org.neo4j.cli.AdminTool"), *arguments]
        done = subprocess.run(command, capture_output=True, text=True, check=False, env=self._environment())
        if done.returncode != 0:
            lines = (done.stderr or done.stdout).strip().splitlines() or ["no word from it"]
            message = f"neo4j-admin {' '.join(arguments)} failed: {lines[0][:300]}"
            raise LocalNeo4jError(message)
        return done.stdout

    def start(self) -> Self:
        """Start it and wait until it answers.

        Returns:
            Itself.

        Raises:
            LocalNeo4jError: If it ends before it answers, or does not answer in time.
        """
        if not (self.folder / "data" / "dbms").exists():
            self.admin("dbms", "set-initial-password", self.password)
        self._prepare()
        log = self.folder / "logs" / "console.log"
        command = [
            *self._java("org.neo4j.server.CommunityEntryPoint"),
            f"--home-dir={self.folder}",
            f"--config-dir={self.folder / 'conf'}",
        ]
        with log.open("ab") as output:
            self._process = subprocess.Popen(
                command,
                stdout=output,
                stderr=subprocess.STDOUT,
                env=self._environment(),
                start_new_session=True,
            )
        try:
            self._await(self._process, log)
        except (
            BaseException
        ):  # also where somebody stops the waiting: no server may stay that nobody knows of
            self.kill()
            raise
        return self

    def stop(self) -> None:
        """Stop it in good order; nothing happens if it does not run."""
        self._end(signal.SIGTERM)

    def kill(self) -> None:
        """Stop it as a power cut would; nothing happens if it does not run."""
        self._end(signal.SIGKILL)

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def _end(self, how: signal.Signals) -> None:
        process, self._process = self._process, None
        if process is None:
            return
        process.send_signal(how)
        try:
            process.wait(60)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()

    def _await(self, process: subprocess.Popen[bytes], log: Path) -> None:
        deadline = time.monotonic() + _READY_S
        while not self._answers():
            if process.poll() is not None:
                message = f"Neo4j ended while it started; {log} says why"
                raise LocalNeo4jError(message)
            if time.monotonic() > deadline:
                message = f"Neo4j did not answer within {_READY_S:.0f} s; {log} says why"
                raise LocalNeo4jError(message)
            time.sleep(0.1)

    def _answers(self) -> bool:
        try:
            with (
                socket.create_connection(("127.0.0.1", self.bolt_port), 1.0),
                urllib.request.urlopen(f"http://127.0.0.1:{self.http_port}/", timeout=2.0) as answer,
            ):
                return bool(answer.status == 200)
        except (OSError, urllib.error.URLError):
            return False

    def _java(self, program: str) -> list[str]:
        archives = self._archives or fetch_archives()
        self._archives = archives
        opened = [f"--add-opens={package}=ALL-UNNAMED" for package in _OPENED]
        return ["java", f"-Xmx{self._heap}", *opened, "-cp", f"{archives}/*", program]

    def _environment(self) -> dict[str, str]:
        return os.environ | {"NEO4J_HOME": str(self.folder), "NEO4J_CONF": str(self.folder / "conf")}

    def _prepare(self) -> None:
        for name in _FOLDERS:
            (self.folder / name).mkdir(parents=True, exist_ok=True)
        settings = {
            "server.bolt.listen_address": f"127.0.0.1:{self.bolt_port}",
            "server.bolt.advertised_address": f"127.0.0.1:{self.bolt_port}",
            "server.http.listen_address": f"127.0.0.1:{self.http_port}",
            "server.http.advertised_address": f"127.0.0.1:{self.http_port}",
            "server.https.enabled": "false",
            "server.memory.heap.max_size": self._heap,
            "server.memory.pagecache.size": "256m",
            "dbms.usage_report.enabled": "false",
        }
        text = "".join(f"{name}={value}\n" for name, value in settings.items())
        (self.folder / "conf" / "neo4j.conf").write_text(text, encoding="utf-8")
