"""The Cypher in the answers of `GET /v1/rings/{id}`, run in a real Neo4j that holds the same graph."""

from pathlib import Path

from benchmarks.ring_cypher import differences
from graph_etl import Workspace
from graph_etl.neo4j_store import Target, connect, load, session
from rings.cypher import RingQuery
from tests.scoring_service.conftest import Client


def test_every_query_of_every_answer_gives_what_the_answer_says(
    client: Client, workspace: Path, neo4j_database: Target
) -> None:
    place = Workspace(workspace)
    load(place.open_snapshot(), place, neo4j_database)
    listed = client.get("/v1/rings?limit=200").json()["rings"]
    assert len(listed) >= 3
    with connect(neo4j_database) as driver, session(driver, neo4j_database) as opened:
        for ring in listed:
            detail = client.get(f"/v1/rings/{ring['id']}").json()
            members = [member["account_id"] for member in detail["members"]]
            queries = [RingQuery(**query) for query in detail["cypher"]]
            assert [query.id for query in queries[:2]] == ["ring", "found"]
            assert {query.id for query in queries[2:]} <= {piece["id"] for piece in detail["evidence"]}
            for query in queries:
                assert differences(opened, query, members) == [], query.text


def test_most_claims_about_the_farms_have_a_query(client: Client) -> None:
    ring = client.get("/v1/rings?account=farm-0-1").json()["rings"][0]["id"]
    detail = client.get(f"/v1/rings/{ring}").json()
    types = {piece["id"]: piece["type"] for piece in detail["evidence"]}
    queried = {types[query["id"]] for query in detail["cypher"][2:]}
    assert {"identifiers", "counterpart", "burst", "known_bad"} <= queried
    # What is worked out from other pieces, which have their queries.
    worked_out = {"strongest", "arrivals", "honest", "minimal"}
    assert set(types.values()) - queried <= {"group", "synchrony", "chance"} | worked_out
    found = detail["cypher"][1]["expected"]
    assert found["members"] == detail["ring"]["size"]
    assert found["missing"] == []
