"""A real Neo4j for tests: the one that ``NEO4J_TEST_URI`` names, else one that is started for the session."""

from __future__ import annotations

import os
import shutil
import tempfile
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from graph_etl.neo4j_store import Target, connect, session
from ringwatch.local_neo4j import LocalNeo4j, LocalNeo4jError

if TYPE_CHECKING:
    from collections.abc import Iterator

PASSWORD = "ringwatch-test"


@contextmanager
def neo4j_for_tests() -> Iterator[Target]:
    """A database for tests, whatever it holds; tests are skipped with a loud line where none can be had.

    Yields:
        The database.
    """
    uri = os.environ.get("NEO4J_TEST_URI")
    if uri:
        yield Target(uri, password=os.environ.get("NEO4J_TEST_PASSWORD", PASSWORD))
        return
    folder = Path(tempfile.mkdtemp(prefix="ringwatch-neo4j-"))
    server = LocalNeo4j(folder, password=PASSWORD, heap="768m")
    try:
        try:
            server.start()
        except LocalNeo4jError as error:
            if os.environ.get("CI"):
                raise
            pytest.skip(f"NO NEO4J, ITS TESTS DO NOT RUN: {error}")
        yield Target(server.uri, password=PASSWORD)
    finally:
        server.kill()
        shutil.rmtree(folder, ignore_errors=True)


def wipe(target: Target) -> None:
    """Empty a database: nodes, constraints and indexes.

    Args:
        target: The database.
    """
    with connect(target) as driver, session(driver, target) as opened:
        # Relationships first: a node with hundreds of thousands of them does not fit into one transaction.
        opened.run("MATCH ()-[r]->() CALL (r) { DELETE r } IN TRANSACTIONS OF 20000 ROWS").consume()
        opened.run("MATCH (n) CALL (n) { DELETE n } IN TRANSACTIONS OF 20000 ROWS").consume()
        for row in opened.run("SHOW CONSTRAINTS YIELD name RETURN name").data():
            opened.run(f"DROP CONSTRAINT `{row['name']}`").consume()
        kept = "WHERE type <> 'LOOKUP'"
        for row in opened.run(f"SHOW INDEXES YIELD name, type {kept} RETURN name").data():
            opened.run(f"DROP INDEX `{row['name']}`").consume()
