"""`POST /v1/events`: kept without a score; each event has a result of its own."""

from typing import Any

import pytest

from scoring_service.events.schemas import ANSWER, REQUESTS, EventBatch, EventsAnswer
from tests.scoring_service.conftest import Client
from tests.scoring_service.small_platform import sign_up_event


def send(client: Client, body: Any) -> list[dict[str, Any]]:
    response = client.post("/v1/events", json=body)
    assert response.status_code == 200, response.text
    EventsAnswer.model_validate(response.json())
    results: list[dict[str, Any]] = response.json()["results"]
    return results


def last_seq(client: Client) -> int:
    return int(client.get("/v1/live").json()["last_seq"])


def test_context_is_kept_and_counts_in_the_next_answer(fresh: Client) -> None:
    before = last_seq(fresh)
    (result,) = send(fresh, sign_up_event("scout", device="dev-of-a-new-farm"))
    assert (result["accepted"], result["event_seq"], result["duplicate"]) == (True, before + 1, False)
    account = fresh.get("/v1/accounts/scout").json()
    device = next(use for use in account["identifiers"] if use["kind"] == "device")
    assert device["accounts"] == 1
    fresh.risk(sign_up_event("second", device="dev-of-a-new-farm"))
    account = fresh.get("/v1/accounts/second").json()
    device = next(use for use in account["identifiers"] if use["kind"] == "device")
    assert device["accounts"] == 2


def test_one_bad_item_does_not_lose_the_others(fresh: Client) -> None:
    events = [sign_up_event(f"b-{n}") for n in range(4)]
    events[1]["account"] = {}
    events[2]["event_timestamp"] = "2999-01-01T00:00:00Z"
    before = last_seq(fresh)
    results = send(fresh, {"events": [*events, 7]})
    assert [result["accepted"] for result in results] == [True, False, False, True, False]
    assert [result["event_seq"] for result in results] == [before + 1, None, None, before + 2, None]
    codes = [result["error"] and result["error"]["code"] for result in results]
    assert codes == [None, "invalid_request", "timestamp_in_future", None, "invalid_request"]
    assert results[1]["error"]["detail"]["problems"][0]["field"] == "account.id"


def test_event_id_counts_once_for_good_within_a_batch_and_later(fresh: Client) -> None:
    event = sign_up_event("twice")
    first, second = send(fresh, {"events": [event, event]})
    assert (first["duplicate"], second["duplicate"]) == (False, True)
    assert second["event_seq"] == first["event_seq"]
    (again,) = send(fresh, event)
    assert (again["accepted"], again["duplicate"], again["event_seq"]) == (True, True, first["event_seq"])
    assert last_seq(fresh) == first["event_seq"]


def test_context_that_is_scored_later_is_known_already(fresh: Client) -> None:
    event = sign_up_event("known")
    (kept,) = send(fresh, event)
    answer = fresh.risk(event).json()
    assert (answer["accepted"], answer["event_seq"]) == (True, kept["event_seq"])
    assert [warning["code"] for warning in answer["warnings"]] == ["duplicate_event"]
    assert last_seq(fresh) == kept["event_seq"]


def test_warnings_are_those_of_the_risk_path(fresh: Client) -> None:
    event = sign_up_event("odd", passport="P1")
    event["properties"] = {"mood": "good"}
    (result,) = send(fresh, event)
    assert [warning["code"] for warning in result["warnings"]] == [
        "unknown_identifier_kind",
        "dropped_properties",
    ]


@pytest.mark.parametrize(
    ("body", "status", "code"),
    [
        ([], 422, "invalid_request"),
        ({"events": []}, 422, "invalid_request"),
        ({"events": [sign_up_event()] * 1001}, 422, "invalid_request"),
        ({"events": [sign_up_event()], "more": 1}, 422, "invalid_request"),
        ({"account": {"id": "a"}}, 422, "invalid_request"),
        ({**sign_up_event(), "event_timestamp": "noon"}, 422, "timestamp_invalid"),
    ],
)
def test_what_is_no_event_and_no_batch_is_refused_as_a_whole(
    client: Client, body: Any, status: int, code: str
) -> None:
    response = client.post("/v1/events", json=body)
    assert (response.status_code, response.json()["error"]["code"]) == (status, code)


def test_batch_may_be_larger_than_an_event(fresh: Client) -> None:
    events = [{**sign_up_event(f"m-{n}"), "properties": {"note": "x" * 500}} for n in range(1000)]
    results = send(fresh, {"events": events})
    assert len(results) == 1000
    assert all(result["accepted"] for result in results)
    assert fresh.get("/v1/live").json()["overlay"]["accounts"] == 1000


def test_examples_fit(fresh: Client) -> None:
    EventsAnswer.model_validate(ANSWER)
    EventBatch.model_validate(REQUESTS["batch"]["value"])
    for example in REQUESTS.values():
        assert all(result["accepted"] for result in send(fresh, example["value"]))
