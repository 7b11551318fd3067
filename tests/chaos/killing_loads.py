"""Kills a load into a real Neo4j, or its server, at a random moment, goes on, and checks the database."""

from __future__ import annotations

import os
import random
import shutil
import subprocess
import sys
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from graph_etl import Workspace
from graph_etl.neo4j_store import Target, connect, load, session, verify
from ringwatch.local_neo4j import LocalNeo4j

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

HOW: Final = ("client killed", "server stopped", "server killed")
PASSWORD: Final = "ringwatch-chaos"
_COMMAND: Final = "import sys; from ringwatch.cli import main; sys.argv[0] = 'ringwatch'; main()"


@dataclass(frozen=True, slots=True)
class Kill:
    """One kill and what came of it.

    Attributes:
        how: One of :data:`HOW`.
        at: Batches that were in the database when it struck.
        of: Batches of a whole load.
        survived: Whether the client went on by itself when the server was back.
        said: The client's last words, if it ended.
        skipped: Batches that the load which went on found in the database.
        resumed_s: How long going on took.
        differences: How many differences `verify` found afterwards.
    """

    how: str
    at: int
    of: int
    survived: bool
    said: str
    skipped: int
    resumed_s: float
    differences: int


def kill_loads(
    workspace: Path, folder: Path, *, kills: int, seed: int, base: str | None = None
) -> Iterator[Kill]:
    """Load the current snapshot of a workspace, kill at a random batch, go on; so many times.

    Args:
        workspace: The workspace.
        folder: Where the server's files go.
        kills: How often; each way of :data:`HOW` in turn.
        seed: Draws the moments.
        base: Id of the snapshot that the database holds before each load; None: nothing.

    Yields:
        What happened.
    """
    draw = random.Random(seed)
    place = Workspace(workspace)
    server = LocalNeo4j(folder / "neo4j", password=PASSWORD).start()
    target = Target(server.uri, password=PASSWORD)
    try:
        if base is not None:
            load(place.open_snapshot(base), place, target)
        server.stop()
        shutil.copytree(server.folder / "data", folder / "kept")
        server.start()
        whole = load(place.open_snapshot(), place, target).batches
        for number in range(kills):
            server.stop()
            shutil.rmtree(server.folder / "data")
            shutil.copytree(folder / "kept", server.folder / "data")
            server.start()
            how, at = HOW[number % len(HOW)], draw.randrange(whole)
            yield _kill(server, target, workspace, how, at, whole)
    finally:
        server.kill()


def _kill(server: LocalNeo4j, target: Target, workspace: Path, how: str, at: int, whole: int) -> Kill:
    place = Workspace(workspace)
    environment = os.environ | {"NEO4J_URI": target.uri, "NEO4J_PASSWORD": PASSWORD}
    client = subprocess.Popen(
        [sys.executable, "-c", _COMMAND, "neo4j", "load", "--workspace", str(workspace)],
        env=environment,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    )
    struck = _wait_for(target, at, client)
    if how == HOW[0]:
        client.kill()
    elif how == HOW[1]:
        server.stop()
        server.start()
    else:
        server.kill()
        server.start()
    said = client.communicate()[1].strip().splitlines()[-1:]
    report = load(place.open_snapshot(), place, target)
    checked = verify(place.open_snapshot(), target)
    return Kill(
        how,
        struck,
        whole,
        client.returncode == 0,
        "".join(said) if client.returncode > 0 else "",
        report.skipped,
        report.seconds,
        len(checked.differences),
    )


def _wait_for(target: Target, at: int, client: subprocess.Popen[str]) -> int:
    """Wait until so many batches are in the database, or the client has ended; how many there are."""
    done = 0
    with connect(target) as driver, session(driver, target) as opened:
        while done <= at and client.poll() is None:
            row = opened.run(
                "MATCH (s:RingwatchState) WHERE s.loading IS NOT NULL MATCH (c:RingwatchCheckpoint)"
                " WHERE c.slot >= 0 RETURN sum(c.next)"
            ).single(strict=True)
            done = int(row[0])
            time.sleep(0.002)
    return done
