"""Verdicts and "not linked": they count in the next answer, and can be taken back."""

from typing import Any

import pytest

from scoring_service.labels import schemas
from tests.scoring_service.conftest import Client
from tests.scoring_service.small_platform import BANNED, BANNED_DEVICE, sign_up_event


def label(client: Client, account: str, value: str = "bad", **more: Any) -> dict[str, Any]:
    response = client.post(
        "/v1/labels", json={"account": account, "label": value, "source": "analyst", **more}
    )
    assert response.status_code == 200, response.text
    answer: dict[str, Any] = schemas.LabelAnswer.model_validate(response.json()).model_dump()
    return answer


def test_verdict_of_a_moment_ago_denies_the_next_evader(fresh: Client) -> None:
    fresh.risk(sign_up_event("crook", device="dev-crook"))
    assert fresh.risk(sign_up_event("e-1", device="dev-crook")).json()["decision"] != "deny"
    kept = label(fresh, "crook", abuse_type="ban_evasion", reason="seen")
    assert kept["event_seq"] == fresh.get("/v1/live").json()["last_seq"]
    evader = fresh.risk(sign_up_event("e-2", device="dev-crook")).json()
    assert evader["policy"]["rule"] == "shares_rare_identifier_with_confirmed_bad"
    assert evader["reasons"][0]["code"] == "SHARED_WITH_CONFIRMED_BAD"
    assert evader["reasons"][0]["safe_for_user"] is False
    own = fresh.get("/v1/accounts/crook").json()
    assert (own["decision"], own["rule"]) == ("deny", "confirmed_bad_account")
    assert own["verdict"]["label"] == "bad"


def test_undone_verdict_no_longer_counts_and_stays_in_the_history(fresh: Client) -> None:
    fresh.risk(sign_up_event("crook", device="dev-crook"))
    label(fresh, "crook", abuse_type="spam", reason="looked so")
    undone = fresh.request("DELETE", "/v1/labels/crook?source=appeal").json()
    assert undone["label"] is None
    answer = fresh.risk(sign_up_event("e-1", device="dev-crook")).json()
    assert answer["decision"] != "deny"
    account = fresh.get("/v1/accounts/crook").json()
    assert account["verdict"] is None
    assert [(entry["label"], entry["source"], entry["abuse_type"]) for entry in account["labels"]] == [
        ("bad", "analyst", "spam"),
        ("undone", "appeal", None),
    ]
    again = fresh.request("DELETE", "/v1/labels/crook")
    assert (again.status_code, again.json()["error"]["code"]) == (404, "verdict_not_found")


def test_good_verdict_lifts_a_bad_one_of_the_files(fresh: Client) -> None:
    event = sign_up_event("e-1", device=BANNED_DEVICE)
    assert fresh.risk({**event, "event_id": None}).json()["decision"] == "deny"
    label(fresh, BANNED, "good", source="appeal")
    assert fresh.risk({**event, "event_id": None}).json()["decision"] != "deny"
    history = fresh.get(f"/v1/accounts/{BANNED}").json()["labels"]
    assert [entry["label"] for entry in history] == ["bad", "good"]
    fresh.request("DELETE", f"/v1/labels/{BANNED}")
    assert fresh.get(f"/v1/accounts/{BANNED}").json()["verdict"]["label"] == "bad"


def test_not_linked_is_kept_and_taken_back_in_either_order(fresh: Client) -> None:
    body = {"account": "house-1-0", "other": "house-1-1", "expires_at": "2999-01-01T00:00:00Z"}
    kept = fresh.post("/v1/not-linked", json=body).json()
    schemas.NotLinkedAnswer.model_validate(kept)
    assert (kept["not_linked"], kept["expires_at"]) == (True, "2999-01-01T00:00:00Z")
    params = {"account": "house-1-1", "other": "house-1-0"}
    undone = fresh.request("DELETE", "/v1/not-linked", params=params)
    assert undone.json()["not_linked"] is False
    again = fresh.request("DELETE", "/v1/not-linked", params=params)
    assert (again.status_code, again.json()["error"]["code"]) == (404, "cut_not_found")


def test_cut_ends_contact_with_a_confirmed_bad_account(fresh: Client) -> None:
    fresh.risk(sign_up_event("sibling", device="dev-home"))
    fresh.risk(sign_up_event("crook", device="dev-home"))
    label(fresh, "crook")
    login = {
        "event_type": "signup",
        "event_timestamp": "2026-03-02T00:00:00Z",
        "account": {"id": "sibling"},
    }
    assert fresh.risk(login).json()["policy"]["rule"] == "shares_rare_identifier_with_confirmed_bad"
    fresh.post("/v1/not-linked", json={"account": "sibling", "other": "crook"})
    assert fresh.risk(login).json()["policy"]["rule"] == "threshold"


@pytest.mark.parametrize(
    ("path", "body", "status", "code"),
    [
        ("/v1/labels", {"account": "x", "label": "bad", "source": "analyst"}, 404, "account_not_found"),
        ("/v1/labels", {"account": "single-1", "label": "evil", "source": "analyst"}, 422, "invalid_request"),
        ("/v1/labels", {"account": "single-1", "label": "bad"}, 422, "invalid_request"),
        (
            "/v1/labels",
            {"account": "single-1", "label": "bad", "source": "rule", "known_at": "2999-01-01T00:00:00Z"},
            422,
            "timestamp_in_future",
        ),
        ("/v1/not-linked", {"account": "single-1", "other": "x"}, 404, "account_not_found"),
        ("/v1/not-linked", {"account": "single-1", "other": "single-1"}, 422, "invalid_request"),
        (
            "/v1/not-linked",
            {"account": "single-1", "other": "single-2", "expires_at": "2020-01-01T00:00:00Z"},
            422,
            "invalid_request",
        ),
    ],
)
def test_what_cannot_be_said_is_refused(
    client: Client, path: str, body: dict[str, Any], status: int, code: str
) -> None:
    response = client.post(path, json=body)
    assert (response.status_code, response.json()["error"]["code"]) == (status, code)
    assert "\n" not in response.json()["error"]["message"]


def test_examples_fit() -> None:
    schemas.LabelRequest.model_validate(schemas.LABEL_REQUEST)
    schemas.NotLinkedRequest.model_validate(schemas.NOT_LINKED_REQUEST)
    for example in (schemas.LABEL_ANSWER, schemas.UNDONE_ANSWER):
        schemas.LabelAnswer.model_validate(example)
    for example in (schemas.NOT_LINKED_ANSWER, schemas.LINKED_ANSWER):
        schemas.NotLinkedAnswer.model_validate(example)
