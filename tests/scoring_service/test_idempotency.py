"""`Idempotency-Key`: the same request gets the very same answer, another one under the same key an error."""

import asyncio
from collections.abc import Callable
from typing import Any

import httpx
import pytest

from graph_etl import Workspace
from tests.scoring_service.conftest import Client
from tests.scoring_service.small_platform import sign_up_event

KEY = {"Idempotency-Key": "a1"}


def without_id(account: str) -> dict[str, Any]:
    return {**sign_up_event(account, device="dev-i"), "event_id": None}


REQUESTS = [
    pytest.param("/v1/risk", without_id("i-1"), without_id("i-2"), id="risk"),
    pytest.param("/v1/events", without_id("i-1"), without_id("i-2"), id="one-event"),
    pytest.param(
        "/v1/events",
        {"events": [without_id("i-1"), {"event_type": ""}, without_id("i-2")]},
        {"events": [without_id("i-1")]},
        id="batch",
    ),
    pytest.param(
        "/v1/labels",
        {"account": "single-1", "label": "bad", "source": "rule"},
        {"account": "single-1", "label": "good", "source": "rule"},
        id="label",
    ),
    pytest.param(
        "/v1/not-linked",
        {"account": "single-1", "other": "single-2"},
        {"account": "single-1", "other": "single-3"},
        id="not-linked",
    ),
]


@pytest.mark.parametrize(("path", "body", "other"), REQUESTS)
def test_same_request_gets_the_very_same_answer_also_after_a_restart(
    copied: Workspace, serve_over: Callable[..., Client], path: str, body: Any, other: Any
) -> None:
    client = serve_over(copied)
    first = client.post(path, json=body, headers=KEY)
    assert first.status_code == 200, first.text
    assert "idempotency-replayed" not in first.headers
    last = client.get("/v1/live").json()["last_seq"]
    again = client.post(path, json=body, headers=KEY)
    assert again.content == first.content
    assert again.headers["idempotency-replayed"] == "true"
    conflict = client.post(path, json=other, headers=KEY)
    assert (conflict.status_code, conflict.json()["error"]["code"]) == (409, "idempotency_conflict")
    assert client.get("/v1/live").json()["last_seq"] == last
    client.close()
    restarted = serve_over(copied)
    assert restarted.post(path, json=body, headers=KEY).content == first.content
    assert restarted.post(path, json=body, headers={"Idempotency-Key": "a2"}).status_code == 200
    assert restarted.get("/v1/live").json()["last_seq"] > last


def test_key_belongs_to_the_path_and_its_query(fresh: Client) -> None:
    assert fresh.risk(without_id("i-1"), headers=KEY).status_code == 200
    expanded = fresh.risk(without_id("i-1"), headers=KEY, params={"expand": "reasons"})
    assert expanded.json()["error"]["code"] == "idempotency_conflict"
    context = fresh.post("/v1/events", json=without_id("i-1"), headers=KEY)
    assert context.json()["error"]["code"] == "idempotency_conflict"


def test_two_at_once_are_kept_once(fresh: Client) -> None:
    async def both() -> list[httpx.Response]:
        transport = httpx.ASGITransport(app=fresh.app)
        async with httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1") as http:
            sent = (http.post("/v1/risk", json=without_id("i-1"), headers=KEY) for _ in range(5))
            return list(await asyncio.gather(*sent))

    before = fresh.get("/v1/live").json()["last_seq"]
    answers = fresh.run(both())
    assert len({answer.content for answer in answers}) == 1
    assert sum("idempotency-replayed" in answer.headers for answer in answers) == 4
    assert fresh.get("/v1/live").json()["last_seq"] == before + 1


@pytest.mark.parametrize("key", ["", "x" * 256])
def test_key_must_be_short_and_not_empty(fresh: Client, key: str) -> None:
    response = fresh.risk(without_id("i-1"), headers={"Idempotency-Key": key})
    assert (response.status_code, response.json()["error"]["code"]) == (422, "invalid_request")
