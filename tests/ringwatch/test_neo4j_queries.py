"""`ringwatch neo4j queries`: listing, showing, running and exporting the investigators' queries."""

import zipfile
from pathlib import Path

import pytest

from graph_etl.neo4j_store import Target, connect, queries, session
from tests.ringwatch.conftest import Call


@pytest.fixture
def asked(neo4j_database: Target, monkeypatch: pytest.MonkeyPatch) -> Target:
    """An empty database, which the environment names."""
    monkeypatch.setenv("NEO4J_URI", neo4j_database.uri)
    monkeypatch.setenv("NEO4J_USERNAME", neo4j_database.username)
    monkeypatch.setenv("NEO4J_PASSWORD", neo4j_database.password)
    return neo4j_database


def test_all_queries_are_listed_with_what_they_ask_for(call: Call) -> None:
    listed = call("neo4j", "queries", "--json").document["result"]["queries"]
    assert [one["query"] for one in listed] == [one.name for one in queries()]
    ring = next(one for one in listed if one["query"] == "ring")
    assert ring["parameters"][0] == {
        "name": "ring",
        "type": "text",
        "required": True,
        "default": None,
        "words": "id of the ring",
    }
    said = call("neo4j", "queries")
    assert all(one.name in said.out for one in queries())


def test_a_query_is_shown_ready_to_paste(call: Call) -> None:
    said = call("neo4j", "queries", "links", "--param", "account=u1")
    assert said.code == 0
    assert said.out.startswith(
        ":param account => 'u1';\n:param limit => 100;\n// The strongest links of an account\n"
    )


def test_a_query_is_run(asked: Target, call: Call) -> None:
    with connect(asked) as driver, session(driver, asked) as opened:
        opened.run(
            "CREATE (:Account {id: 'u1'})-[:LINKED_TO {weight: 0.75, because: 'shared device'}]->"
            "(:Account {id: 'u2', score: 0.5})"
        ).consume()
    words = ("neo4j", "queries", "links", "--run", "--param", "account=u1")
    result = call(*words, "--json").document["result"]
    assert [dict(zip(result["columns"], row, strict=True)) for row in result["rows"]] == [
        {
            "account": "u2",
            "weight": 0.75,
            "because": "shared device",
            "score": 0.5,
            "verdict": None,
            "ring": None,
        }
    ]
    assert "shared device" in call(*words).out
    nothing = call("neo4j", "queries", "links", "--run", "--param", "account=nobody")
    assert (nothing.code, nothing.err.strip()) == (0, "nothing found")


def test_what_browser_takes_is_written(call: Call, tmp_path: Path) -> None:
    said = call("neo4j", "queries", "--export", tmp_path / "pack", "--json")
    assert said.document["wrote"] == [str(tmp_path / "pack")]
    assert {path.name for path in (tmp_path / "pack").iterdir()} == {
        "ringwatch.grass",
        "ringwatch.html",
        "ringwatch-queries.zip",
        *(f"{one.name}.cypher" for one in queries()),
    }
    with zipfile.ZipFile(tmp_path / "pack" / "ringwatch-queries.zip") as archive:
        assert len(archive.namelist()) == len(queries())


@pytest.mark.parametrize(
    ("words", "said"),
    [
        pytest.param(["nope"], "no query 'nope'; there are overview", id="unknown"),
        pytest.param(["links", "--run"], "needs account", id="missing"),
        pytest.param(["links", "--param", "account"], "--param takes NAME=VALUE", id="no-value"),
        pytest.param(["--run"], "name the query", id="no-name"),
        pytest.param(["ring", "--export", "x"], "takes all queries", id="export-of-one"),
        pytest.param(["links", "--run", "--serve", "0"], "do not go together", id="two-at-once"),
    ],
)
def test_what_does_not_fit_is_one_clear_line(call: Call, words: list[str], said: str) -> None:
    answer = call("neo4j", "queries", *words)
    assert answer.code == 2
    assert said in answer.err
    assert len(answer.err.splitlines()) == 1
