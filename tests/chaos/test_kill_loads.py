"""A load into Neo4j that is killed at any moment is gone on with, without loss or doubling."""

import os
from pathlib import Path

import pytest

from benchmarks.neo4j_data import draw
from ringwatch.local_neo4j import LocalNeo4jError, fetch_archives
from tests.chaos.killing_loads import HOW, kill_loads


@pytest.mark.slow
@pytest.mark.parametrize("increment", [False, True], ids=["first-load", "increment"])
def test_killed_loads_end_with_the_whole_snapshot(tmp_path: Path, increment: bool) -> None:
    try:
        fetch_archives()
    except LocalNeo4jError as error:
        if os.environ.get("CI"):
            raise
        pytest.skip(f"no Neo4j: {error}")
    drawn = draw(tmp_path / "drawn", 4_000)
    base = drawn.first if increment else None
    kills = list(kill_loads(drawn.workspace, tmp_path / "server", kills=6, seed=1, base=base))
    assert {kill.how for kill in kills} == set(HOW)
    assert [kill.differences for kill in kills] == [0] * 6
    assert any(0 < kill.at < kill.of for kill in kills)
    assert any(kill.skipped for kill in kills)
    assert not any("Traceback" in kill.said for kill in kills)
