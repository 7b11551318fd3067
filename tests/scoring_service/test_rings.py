"""`GET /v1/rings…`: ranks, filters, pages bound to one run, and what proves a ring."""

import base64
import json
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from graph_etl import Workspace
from rings import RingsRun
from rings.run import pack, unpack
from scoring_service.rings.schemas import RingDetail, RingPage
from tests.rings.checking import check_left_out
from tests.scoring_service.conftest import Client


def page_of(client: Client, query: str = "") -> dict[str, Any]:
    response = client.get(f"/v1/rings{query}")
    assert response.status_code == 200, response.text
    page: dict[str, Any] = response.json()
    RingPage.model_validate(page)
    return page


def test_rings_come_ranked_and_the_farms_are_among_them(client: Client) -> None:
    page = page_of(client)
    assert [ring["rank"] for ring in page["rings"]] == list(range(1, len(page["rings"]) + 1))
    assert page["total"] >= 3
    assert page["simulated"] is True
    for farm in range(3):
        mine = page_of(client, f"?account=farm-{farm}-1")
        assert mine["total"] == 1
        assert mine["rings"][0]["size"] >= 10


def test_pages_of_one_hold_what_one_page_holds(client: Client) -> None:
    whole = [ring["id"] for ring in page_of(client, "?limit=200")["rings"]]
    assert len(whole) >= 3
    found: list[str] = []
    cursor: str | None = ""
    while cursor is not None:
        page = page_of(client, f"?limit=1{f'&cursor={cursor}' if cursor else ''}")
        found += [ring["id"] for ring in page["rings"]]
        cursor = page["next_cursor"]
    assert found == whole


@pytest.mark.parametrize(
    ("query", "keeps"),
    [
        ("min_size=10", lambda ring: ring["size"] >= 10),
        ("max_size=9", lambda ring: ring["size"] <= 9),
        ("min_score=0.5", lambda ring: ring["score"] >= 0.5),
        ("max_q_value=0.01", lambda ring: ring["q_value"] is not None and ring["q_value"] <= 0.01),
        ("known_bad=true", lambda ring: ring["known_bad"] > 0),
        ("known_bad=false", lambda ring: ring["known_bad"] == 0),
        ("known_bad=true&min_size=10", lambda ring: ring["known_bad"] > 0 and ring["size"] >= 10),
    ],
)
def test_filters_keep_exactly_what_fits(
    client: Client, query: str, keeps: Callable[[dict[str, Any]], bool]
) -> None:
    every = page_of(client, "?limit=200")["rings"]
    kept = page_of(client, f"?limit=200&{query}")
    assert kept["rings"] == [ring for ring in every if keeps(ring)]
    assert kept["total"] == len(kept["rings"])


def test_cursor_of_other_filters_is_refused(client: Client) -> None:
    cursor = page_of(client, "?limit=1")["next_cursor"]
    response = client.get(f"/v1/rings?limit=1&min_size=3&cursor={cursor}")
    assert (response.status_code, response.json()["error"]["code"]) == (400, "cursor_invalid")


def test_cursor_of_another_run_has_expired(client: Client) -> None:
    cursor = page_of(client, "?limit=1")["next_cursor"]
    document = json.loads(base64.urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4)))
    document[1] = "another-run"
    other = base64.urlsafe_b64encode(json.dumps(document).encode()).decode().rstrip("=")
    response = client.get(f"/v1/rings?limit=1&cursor={other}")
    assert (response.status_code, response.json()["error"]["code"]) == (410, "cursor_expired")


@pytest.mark.parametrize("cursor", ["x", "AAAA", "W10", "%00", "W1tbW1tb", "é"])
def test_foreign_cursor_is_refused(client: Client, cursor: str) -> None:
    response = client.get(f"/v1/rings?cursor={cursor}")
    assert (response.status_code, response.json()["error"]["code"]) == (400, "cursor_invalid")


@pytest.mark.parametrize(
    "query", ["min_score=high", "limit=0", "limit=201", "max_q_value=2", "min_size=0", "colour=red"]
)
def test_filter_out_of_range_is_refused(client: Client, query: str) -> None:
    response = client.get(f"/v1/rings?{query}")
    error = response.json()["error"]
    assert (response.status_code, error["code"]) == (422, "invalid_request")
    assert error["detail"]["problems"][0]["field"] == query.partition("=")[0]


def test_filter_by_an_account_that_nobody_knows(client: Client) -> None:
    response = client.get("/v1/rings?account=who")
    assert (response.status_code, response.json()["error"]["code"]) == (404, "account_not_found")


def test_account_in_no_ring_gives_an_empty_page(client: Client) -> None:
    alone = [n for n in range(150) if page_of(client, f"?account=single-{n}")["total"] == 0]
    assert alone
    page = page_of(client, f"?account=single-{alone[0]}")
    assert page["rings"] == []
    assert page["next_cursor"] is None


def test_ring_is_explained_by_evidence_that_is_there(client: Client) -> None:
    ring_id = page_of(client, "?account=farm-0-1")["rings"][0]["id"]
    response = client.get(f"/v1/rings/{ring_id}")
    assert response.status_code == 200, response.text
    detail = response.json()
    RingDetail.model_validate(detail)
    assert {member["account_id"] for member in detail["members"]} >= {f"farm-0-{n}" for n in range(12)}
    assert sum(member["known_bad"] for member in detail["members"]) == detail["ring"]["known_bad"]
    assert all(member["role"] for member in detail["members"])
    ids = {item["id"] for item in detail["evidence"]}
    assert detail["sentences"]
    for sentence in detail["sentences"]:
        assert sentence["evidence"]
        assert set(sentence["evidence"]) <= ids
    nodes = {node["id"] for node in detail["subgraph"]["nodes"]}
    assert 12 <= len(nodes) <= 300
    assert detail["subgraph"]["edges"]
    for edge in detail["subgraph"]["edges"]:
        assert {edge["source"], edge["target"]} <= nodes
    assert detail["ring"]["explained_benign"] is False
    minimal = detail["minimal"]
    assert minimal["dissolves"]
    assert minimal["things"]
    assert {ref for thing in minimal["things"] for ref in thing["evidence"]} <= ids
    members = {member["account_id"] for member in detail["members"]}
    for entry in detail["left_out"]:
        assert entry["account_id"] not in members
        assert entry["words"].startswith(f"account {entry['account_id']} ")
    times = [entry["time"] for entry in detail["timeline"]]
    assert times == sorted(times)


def test_who_was_left_out_is_told_with_the_facts_behind_the_words(client: Client) -> None:
    told = []
    for ring in page_of(client, "?limit=50")["rings"]:
        for entry in client.get(f"/v1/rings/{ring['id']}").json()["left_out"]:
            told.append(entry["code"])
            check_left_out({**entry, **entry["facts"]}, ring["id"])
    assert len(told) >= 10


def test_a_run_of_before_explanations_had_more_is_still_shown(
    copied: Workspace, serve_over: Callable[..., Client]
) -> None:
    current = copied.current()["rings"]
    assert current is not None
    run = RingsRun.open(copied.path_of("rings", current))
    older = []
    for packed in run.explanations:
        told = unpack(packed)
        del told["left_out"]
        kept = {"strongest", "honest", "minimal", "arrivals", "no_bad_near"}
        told["evidence"] = [piece for piece in told["evidence"] if piece["type"] not in kept]
        older.append(pack(told))
    replace(run, table=run.table.drop("honest"), explanations=older).write(copied.path_of("rings", current))
    client = serve_over(copied)
    ring_id = page_of(client)["rings"][0]["id"]
    detail = client.get(f"/v1/rings/{ring_id}").json()
    assert (detail["left_out"], detail["minimal"], detail["ring"]["explained_benign"]) == ([], None, False)


def test_ring_that_is_not_there(client: Client) -> None:
    response = client.get("/v1/rings/r0000000000")
    assert (response.status_code, response.json()["error"]["code"]) == (404, "ring_not_found")


def test_without_a_rings_run_the_error_says_what_to_do(
    copied: Workspace, serve_over: Callable[..., Client]
) -> None:
    copied.set_current("rings", None)
    client = serve_over(copied)
    for path in ("/v1/rings", "/v1/rings/r0000000000"):
        error = client.get(path).json()["error"]
        assert error["code"] == "rings_unavailable"
        assert "ringwatch rings" in error["message"]


def test_every_piece_of_evidence_is_told_in_a_line(client: Client) -> None:
    for ring in page_of(client, "?limit=50")["rings"]:
        for piece in client.get(f"/v1/rings/{ring['id']}").json()["evidence"]:
            assert piece["text"]
            assert (
                piece["type"].replace("_", " ") + ":" not in piece["text"]
            )  # no type is left to the general words
