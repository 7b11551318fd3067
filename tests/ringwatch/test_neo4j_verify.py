"""`ringwatch neo4j verify` and `export`: what they print, and their exit codes."""

import shlex
from pathlib import Path

import pytest

from graph_etl.neo4j_store import Target, connect, load, session
from tests.building import Built
from tests.ringwatch.conftest import Call


@pytest.fixture
def neo4j(neo4j_database: Target, monkeypatch: pytest.MonkeyPatch) -> Target:
    """An empty Neo4j that the environment names."""
    monkeypatch.setenv("NEO4J_URI", neo4j_database.uri)
    monkeypatch.setenv("NEO4J_PASSWORD", neo4j_database.password)
    return neo4j_database


def test_verify_ends_with_0_if_nothing_differs_and_else_with_3(
    neo4j: Target, untimed_build: Built, call: Call
) -> None:
    place = untimed_build.workspace
    empty = call("neo4j", "verify", "--workspace", place.path)
    assert empty.code == 2
    assert "is empty; fill it with `ringwatch neo4j load`" in empty.err
    load(untimed_build.snapshot, place, neo4j)
    clean = call("neo4j", "verify", "--workspace", place.path, "--json")
    assert clean.code == 0
    result = clean.document["result"]
    assert result["clean"]
    assert result["differences"] == []
    accounts = result["comparisons"][0]
    assert (accounts["name"], accounts["in_snapshot"], accounts["in_database"]) == ("Account", 130, 130)
    assert accounts["snapshot_hash"] == accounts["database_hash"]
    assert len(accounts["snapshot_hash"]) == 32
    with connect(neo4j) as driver, session(driver, neo4j) as opened:
        opened.run("MATCH (a:Account {id: '7'}) SET a.attr_volume = 0.0").consume()
    other = call("neo4j", "verify", "--workspace", place.path)
    assert other.code == 3
    assert "Account 7: attr_volume is 0.0, should be " in other.out
    assert "next: ringwatch neo4j load --repair" in other.out
    assert call("neo4j", "load", "--repair", "--workspace", place.path).code == 0
    assert call("neo4j", "verify", "--workspace", place.path).code == 0


def test_export_prints_the_command_that_it_wrote(timed_build: Built, tmp_path: Path, call: Call) -> None:
    folder = tmp_path / "two words"
    said = call("neo4j", "export", folder, "--workspace", timed_build.workspace.path)
    assert said.code == 0, said.err
    assert "writes up to " in said.err
    command = (folder / "import.sh").read_text().partition("neo4j-admin")[1:]
    lines = "".join(command).splitlines()[:-1]  # the last takes further options
    assert len(lines) > 10
    assert f"cd {shlex.quote(str(folder))}\n" + "\n".join(lines).removesuffix(" \\") in said.out
    assert f"wrote {folder}" in said.out
    again = call("neo4j", "export", folder, "--workspace", timed_build.workspace.path)
    assert again.code == 2
    assert "holds something already" in again.err
