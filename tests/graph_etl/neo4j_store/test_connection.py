"""The way to a Neo4j: addresses that are none, and passwords that stay secret."""

import pytest

from graph_etl.neo4j_store import GraphStoreError, Target
from ringwatch.commands.neo4j.options import target_of


@pytest.mark.parametrize(
    "uri", ["http://localhost:7474", "neo4j://127.0.0.1:notaport", "neo4j://[::1", "localhost:7687"]
)
def test_what_is_no_address_is_one_clear_line(uri: str) -> None:
    with pytest.raises(GraphStoreError, match="is no address of a Neo4j; write for example"):
        Target(uri)


@pytest.mark.parametrize("uri", ["neo4j://ann:s3cret@host:7687", "http://ann:s3cret@host"])
def test_a_password_in_an_address_is_refused_and_not_shown(uri: str) -> None:
    with pytest.raises(GraphStoreError) as caught:
        Target(uri)
    assert "s3cret" not in str(caught.value)


def test_empty_variables_count_as_none(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("URI", "USERNAME", "PASSWORD", "DATABASE"):
        monkeypatch.setenv(f"NEO4J_{name}", "")
    assert target_of() == Target("neo4j://localhost:7687", "neo4j", "", None)
