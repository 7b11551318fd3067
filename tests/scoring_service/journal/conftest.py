"""Journals on real stores: a SQLite file for each test, and one Postgres server for all of them."""

import os
import pwd
import shutil
import socket
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import create_engine

from scoring_service.journal import Journal

SERVER_FOLDERS = sorted(Path("/usr/lib/postgresql").glob("*/bin"), reverse=True)


def _binary(name: str) -> str | None:
    return shutil.which(name, path=os.pathsep.join([*map(str, SERVER_FOLDERS), os.environ["PATH"]]))


def _unprivileged() -> dict[str, Any]:
    """How to start the server: it refuses to run as root."""
    if os.getuid() != 0:
        return {}
    nobody = pwd.getpwnam("nobody")
    return {"user": nobody.pw_uid, "group": nobody.pw_gid}


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[str]:
    """URL of a Postgres server without a database's name; it ends with the tests."""
    initdb, postgres = _binary("initdb"), _binary("postgres")
    if initdb is None or postgres is None:
        pytest.skip("no Postgres server is installed on this machine (initdb, postgres)")
    # A socket's path may have 107 bytes at most: pytest's folders are too deep.
    with tempfile.TemporaryDirectory(prefix="ringwatch-pg-") as name:
        folder = Path(name)
        who = _unprivileged()
        if who:
            os.chown(folder, who["user"], who["group"])
        data = folder / "data"
        subprocess.run(
            [
                initdb,
                "-D",
                str(data),
                "-U",
                "ringwatch",
                "-A",
                "trust",
                "--no-sync",
                "-E",
                "UTF8",
                "--locale=C",
            ],
            check=True,
            cwd=folder,
            env={"PATH": os.environ["PATH"]},
            capture_output=True,
            **who,
        )
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = probe.getsockname()[1]
        settings = {
            "listen_addresses": "127.0.0.1",
            "port": port,
            "unix_socket_directories": folder,
            "fsync": "off",
            "max_connections": 50,
        }
        words = [word for name, value in settings.items() for word in ("-c", f"{name}={value}")]
        log = folder / "log"
        with log.open("wb") as said:
            server = subprocess.Popen(
                [postgres, "-D", str(data), *words],
                cwd=folder,
                env={"PATH": os.environ["PATH"]},
                stdout=said,
                stderr=said,
                **who,
            )
        try:
            url = f"postgresql+psycopg://ringwatch@127.0.0.1:{port}/"
            _wait_for(server, url + "postgres", log)
            yield url
        finally:
            server.terminate()
            server.wait(timeout=20)


def _wait_for(server: "subprocess.Popen[bytes]", url: str, log: Path) -> None:
    engine = create_engine(url, connect_args={"connect_timeout": 2})
    for _ in range(300):
        assert server.poll() is None, log.read_text()
        try:
            engine.connect().close()
        except Exception:
            # The server's own signal: the port opens when it is ready.
            subprocess.run(["sleep", "0.05"], check=True)
        else:
            engine.dispose()
            return
    pytest.fail(f"Postgres did not start: {log.read_text()}")


@pytest.fixture
def postgres_url(postgres_server: str, request: pytest.FixtureRequest) -> Iterator[str]:
    """URL of an empty database."""
    name = f"t{abs(hash(request.node.nodeid)) % 10**12}"
    engine = create_engine(postgres_server + "postgres", isolation_level="AUTOCOMMIT")
    with engine.connect() as connection:
        connection.exec_driver_sql(f"DROP DATABASE IF EXISTS {name} WITH (FORCE)")
        connection.exec_driver_sql(f"CREATE DATABASE {name}")
    yield postgres_server + name
    with engine.connect() as connection:
        connection.exec_driver_sql(f"DROP DATABASE {name} WITH (FORCE)")
    engine.dispose()


@pytest.fixture(params=["sqlite", "postgres"])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """Where an empty journal can be kept: once as a file, once in Postgres."""
    if request.param == "sqlite":
        return str(tmp_path / "w" / "state.db")
    url: str = request.getfixturevalue("postgres_url")
    return url


Open = Callable[..., Journal]


@pytest.fixture
def opened() -> Iterator[Open]:
    """Open journals that are closed after the test."""
    journals: list[Journal] = []

    def open_one(place: str | Path, **options: object) -> Journal:
        journals.append(Journal.open(place, **options))  # type: ignore[arg-type]
        return journals[-1]

    yield open_one
    for journal in journals:
        journal.close()
