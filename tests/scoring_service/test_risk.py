"""`POST /v1/risk` over HTTP on a really built and trained platform."""

import json
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from graph_etl import Workspace
from scoring_service.risk.schemas import RiskAnswer
from tests.scoring_service.conftest import Client
from tests.scoring_service.small_platform import BANNED, BANNED_DEVICE, sign_up_event


@pytest.fixture
def client(fresh: Client) -> Client:
    """The tests here send events, so each has a journal of its own."""
    return fresh


def answer_of(client: Client, event: dict[str, Any]) -> dict[str, Any]:
    response = client.risk(event)
    assert response.status_code == 200, response.text
    answer: dict[str, Any] = response.json()
    RiskAnswer.model_validate(answer)
    return answer


def codes(answer: dict[str, Any]) -> list[str]:
    return [warning["code"] for warning in answer["warnings"]]


def test_ban_evader_is_denied_by_the_device_and_not_by_the_score(client: Client) -> None:
    event = sign_up_event("evader", device=BANNED_DEVICE, ip="86.0.0.1", email="evader@mail.example")
    answer = answer_of(client, event)
    assert answer["decision"] == "deny"
    assert answer["policy"]["rule"] == "shares_rare_identifier_with_confirmed_bad"
    reason = answer["reasons"][0]
    assert reason["code"] == "SHARED_WITH_CONFIRMED_BAD"
    assert BANNED in json.dumps(reason["evidence"])
    assert reason["safe_for_user"] is False


def test_spelling_of_an_identifier_does_not_matter(client: Client) -> None:
    plain = answer_of(client, sign_up_event("evader", device=BANNED_DEVICE))
    spelled = answer_of(client, sign_up_event("evader", device=f"  {BANNED_DEVICE.upper()} "))
    assert spelled["decision"] == plain["decision"] == "deny"
    assert spelled["score"] == plain["score"]


def test_member_of_an_honest_household_is_not_denied(client: Client) -> None:
    event = sign_up_event("child", device="dev-house-2", ip="82.0.2.9", email="child@mail.example")
    answer = answer_of(client, event)
    assert answer["decision"] in {"allow", "challenge"}
    assert answer["reasons"] is not None


def test_farm_scores_above_a_household_and_leads_to_its_ring(client: Client) -> None:
    farm = answer_of(client, sign_up_event("f-new", device="dev-farm-1-0", ip="84.0.1.1"))
    house = answer_of(client, sign_up_event("h-new", device="dev-house-3", ip="82.0.3.9"))
    assert farm["score"] > house["score"]
    assert farm["ring"]["membership"] == "shares_identifier"
    assert farm["ring"]["role"] is None
    assert farm["decision"] != "allow"


def test_account_without_anything_known_still_gets_an_answer(client: Client) -> None:
    event = {"event_type": "signup", "event_timestamp": "2026-03-02T00:00:00Z", "account": {"id": "nobody"}}
    answer = answer_of(client, event)
    assert 0 <= answer["score"] <= 1
    assert 0 <= answer["percentile"] <= 100
    assert answer["ring"] is None
    assert answer["policy"]["moment"] == "signup"
    assert answer["degraded"] is None


def test_known_account_gets_its_own_ring_and_a_later_moment(client: Client) -> None:
    event = {
        "event_type": "gift",
        "event_timestamp": "2026-03-02T00:00:00Z",
        "account": {"id": "farm-0-3"},
        "interactions": [{"type": "gift", "to": "farm-0-0", "amount": 3}],
    }
    answer = answer_of(client, event)
    assert answer["decision"] == "deny"
    assert answer["policy"]["moment"] == "retrospective"
    assert answer["ring"]["membership"] == "member"
    assert answer["ring"]["known_bad"] >= 1


def test_what_the_graph_knows_counts_also_for_an_event_that_comes_late(client: Client) -> None:
    # The verdict on the device's owner became known on 5 February; the event happened before and comes after.
    event = sign_up_event("evader", device=BANNED_DEVICE)
    answer = answer_of(client, {**event, "event_timestamp": "2026-02-04T00:00:00Z"})
    assert (answer["decision"], answer["accepted"]) == ("deny", True)


def test_accepted_event_changes_the_next_answer(client: Client) -> None:
    quiet = {**sign_up_event("same"), "event_id": None}
    first = answer_of(client, quiet)
    assert (first["accepted"], first["ring"]) == (True, None)
    loud = answer_of(client, {**sign_up_event("same", device="dev-farm-1-0"), "event_id": None})
    assert loud["event_seq"] == first["event_seq"] + 1
    # Nothing in this event leads to the farm: what the one before it said is remembered.
    after = answer_of(client, quiet)
    assert after["ring"]["id"] == loud["ring"]["id"]
    assert after["id"] != first["id"]


def test_answer_says_that_it_was_kept_and_from_what_it_was_made(client: Client) -> None:
    answer = answer_of(client, sign_up_event("any"))
    assert answer["accepted"] is True
    assert answer["event_seq"] == client.get("/v1/live").json()["last_seq"]
    assert codes(answer) == []
    assert answer["simulated"] is True
    assert answer["graph_as_of"].startswith("2026-03-01")
    assert answer["model_version"] == client.get("/readyz").json()["bundle"]
    after = answer_of(client, sign_up_event("other"))
    assert after["graph_as_of"] == "2026-03-02T00:00:00Z"


def test_event_before_all_that_the_graph_knows_falls_back_and_is_kept(client: Client) -> None:
    answer = answer_of(client, {**sign_up_event("early"), "event_timestamp": "2025-06-01T00:00:00Z"})
    assert answer["accepted"] is True
    assert answer["degraded"]["reason"] == "event_before_graph"
    assert answer["degraded"]["fallback"] == "policy_default"
    assert codes(answer) == ["event_before_graph"]
    known = {**sign_up_event("farm-0-3"), "event_type": "gift", "event_timestamp": "2025-06-01T00:00:00Z"}
    assert answer_of(client, known)["degraded"]["fallback"] == "last_score"


def test_counterpart_that_nobody_has_seen_leaves_a_warning(client: Client) -> None:
    gift = {
        "event_type": "gift",
        "event_timestamp": "2026-03-02T00:00:00Z",
        "account": {"id": "single-1"},
        "interactions": [{"type": "gift", "to": "single-2"}, {"type": "gift", "to": "stranger"}],
    }
    answer = answer_of(client, gift)
    assert codes(answer) == ["unknown_counterpart"]
    assert answer["warnings"][0]["detail"] == {"interactions": 1}


def test_reasons_are_given_where_the_decision_needs_one_or_on_request(client: Client) -> None:
    events = [
        {"event_type": "landing", "event_timestamp": "2026-03-02T00:00:00Z", "account": {"id": f"single-{n}"}}
        for n in range(20)
    ]
    answers = [(event, answer_of(client, event)) for event in events]
    assert {bool(answer["reasons"]) for _, answer in answers if answer["decision"] == "allow"} == {False}
    honest, allowed = next((event, answer) for event, answer in answers if answer["decision"] == "allow")
    expanded = client.risk(honest, params={"expand": "reasons"}).json()
    assert expanded["decision"] == "allow"
    assert set(expanded) == set(allowed)
    evader = answer_of(client, sign_up_event("evader", device=BANNED_DEVICE))
    assert evader["reasons"]
    refused = client.risk(honest, params={"expand": "everything"})
    assert (refused.status_code, refused.json()["error"]["code"]) == (422, "invalid_request")


def test_counterfactuals_are_computed_where_they_are_asked_for(fresh: Client) -> None:
    event = sign_up_event("f-new", device="dev-farm-1-0", ip="84.0.1.1")
    plain = fresh.risk(event | {"event_id": "one"}).json()
    assert plain["reasons"]
    assert all(reason["without"] is None for reason in plain["reasons"])
    other = sign_up_event("f-newer", device="dev-farm-1-0", ip="84.0.1.1")
    asked = fresh.risk(other, params={"expand": "counterfactuals"}).json()
    RiskAnswer.model_validate(asked)
    said = [reason["without"] for reason in asked["reasons"] if reason["without"] is not None]
    assert said
    assert {one["what"].split()[0] for one in said} <= {"device", "ip", "subnet"}
    for one in said:
        assert one["words"].startswith("without the ")
        assert 0 <= one["score_without_all"] <= 1


def test_what_the_graph_does_not_know_is_a_warning_each(client: Client) -> None:
    event = sign_up_event("odd", device="dev-x", ip="999.1.2.3", passport="P123", email=None)
    event["event_type"] = "teleport"
    event["account"] |= {"shoe_size": 44, "form_s": "slow", "attributes": {"newsletter": "maybe"}}
    event["interactions"] = [
        {"type": "stare", "to": "single-1"},
        {"type": "gift", "to": "x", "kind": "planet"},
        {"type": "gift", "to": "900.1.1.1", "kind": "ip"},
    ]
    event["properties"] = {"mood": "good", "country": "FR"}
    answer = answer_of(client, event)
    assert set(codes(answer)) == {
        "unknown_event_type",
        "unknown_identifier_kind",
        "unreadable_identifier",
        "unknown_attribute",
        "unreadable_attribute",
        "unknown_interaction_type",
        "unknown_interaction_kind",
        "unreadable_interaction",
        "dropped_properties",
    }
    details = {warning["code"]: warning["detail"] for warning in answer["warnings"]}
    assert details["unknown_identifier_kind"]["kinds"] == ["passport"]
    assert details["unreadable_identifier"]["kinds"] == ["ip"]
    assert sorted(details["unreadable_attribute"]["attributes"]) == ["form_s", "newsletter"]
    assert details["dropped_properties"]["properties"] == ["mood"]
    assert "P123" not in json.dumps(answer)
    assert "999.1.2.3" not in json.dumps(answer)


@pytest.mark.parametrize(
    ("timestamp", "code"),
    [
        ("2025-06-01T00:00:00Z", "event_before_graph"),
        ("2026-03-02T00:00:00", "timestamp_without_offset"),
        ("2026-03-09T00:00:00Z", "graph_stale"),
        (None, "timestamp_missing"),
    ],
)
def test_odd_times_are_warnings(client: Client, timestamp: str | None, code: str) -> None:
    assert code in codes(answer_of(client, {**sign_up_event("t"), "event_timestamp": timestamp}))


@pytest.mark.parametrize(
    ("change", "status", "code"),
    [
        ({"event_timestamp": "2999-01-01T00:00:00Z"}, 422, "timestamp_in_future"),
        ({"event_timestamp": "1961-01-01T00:00:00Z"}, 422, "timestamp_before_1970"),
        ({"event_timestamp": "soon"}, 422, "timestamp_invalid"),
        ({"event_timestamp": True}, 422, "invalid_request"),
        ({"event_type": ""}, 422, "invalid_request"),
        ({"account": {}}, 422, "invalid_request"),
        ({"account": {"id": ""}}, 422, "invalid_request"),
        ({"account": {"id": 1.5}}, 422, "invalid_request"),
        ({"identifiers": {"ip": {"v4": "1.2.3.4"}}}, 422, "invalid_request"),
        ({"identifiers": {"ip": ["1.2.3.4"] * 21}}, 422, "invalid_request"),
        ({"interactions": [{"type": "gift"}]}, 422, "invalid_request"),
        ({"surprise": 1}, 422, "invalid_request"),
    ],
)
def test_malformed_events_have_a_code(client: Client, change: dict[str, Any], status: int, code: str) -> None:
    response = client.risk({**sign_up_event("bad"), **change})
    assert (response.status_code, response.json()["error"]["code"]) == (status, code)


def test_validation_error_names_the_field_and_hides_the_value(client: Client) -> None:
    response = client.risk({**sign_up_event("bad"), "identifiers": {"ip": {"secret": "10.1.2.3"}}})
    error = response.json()["error"]
    assert error["detail"]["problems"][0]["field"] == "identifiers.ip"
    assert "list of at most 20" in error["message"]
    assert "10.1.2.3" not in response.text


_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=30),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=12), inner, max_size=4),
    max_leaves=12,
)
_VALUES = (
    st.text(max_size=20) | st.integers() | st.floats() | st.none() | st.lists(st.text(max_size=9), max_size=3)
)
_EVENTS = st.fixed_dictionaries(
    {
        "event_type": st.sampled_from(["signup", "gift", "login"]) | st.text(max_size=9),
        "account": st.fixed_dictionaries(
            {"id": st.sampled_from(["farm-0-1", "single-3"]) | st.text(max_size=30) | st.integers()},
            optional={
                "country": _VALUES,
                "form_s": _VALUES,
                "newsletter": _VALUES,
                "attributes": st.dictionaries(st.text(max_size=8), _JSON, max_size=3),
            },
        ),
    },
    optional={
        "event_id": st.text(max_size=9) | st.none(),
        "event_timestamp": st.sampled_from(["2026-02-20T00:00:00Z", 1_770_000_000_000]) | _VALUES,
        "identifiers": st.dictionaries(
            st.sampled_from(["device", "ip", "email", "subnet", "page"]) | st.text(max_size=9),
            _VALUES,
            max_size=5,
        ),
        "interactions": st.lists(
            st.fixed_dictionaries(
                {
                    "type": st.sampled_from(["gift", "landing"]) | st.text(max_size=9),
                    "to": st.text(max_size=20),
                },
                optional={
                    "amount": st.floats() | st.none(),
                    "kind": st.sampled_from(["account", "page", "ip"]),
                },
            ),
            max_size=4,
        ),
        "properties": st.dictionaries(st.text(max_size=9), _JSON, max_size=3),
    },
)


def _check(client: Client, body: bytes) -> int:
    response = client.request("POST", "/v1/risk", content=body, headers={"content-type": "application/json"})
    document = response.json()
    if response.status_code == 200:
        degraded = RiskAnswer.model_validate(document).degraded
        assert degraded is None or degraded.reason == "event_before_graph"
    else:
        assert response.status_code in {400, 413, 422}
        assert set(document) == {"error"}
        assert set(document["error"]) == {"code", "message", "detail"}
    return response.status_code


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(body=_JSON)
def test_any_json_gets_an_answer_or_a_typed_error(client: Client, body: Any) -> None:
    _check(client, json.dumps(body).encode())


@settings(max_examples=250, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(event=_EVENTS)
def test_any_event_gets_an_answer_or_a_typed_error(client: Client, event: Any) -> None:
    _check(client, json.dumps(event).encode())


@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(body=st.binary(max_size=200))
def test_any_bytes_get_an_answer_or_a_typed_error(client: Client, body: bytes) -> None:
    _check(client, body)


@pytest.mark.parametrize(
    "body",
    [
        pytest.param(b'{"event_type": "signup", "account": {"id": "\\ud800"}}', id="lone-surrogate"),
        pytest.param(b"[" * 20_000, id="deep"),
        pytest.param(b'{"event_type": "signup", "account": {"id": 1' + b"0" * 5000 + b"}}", id="long-number"),
        pytest.param(b'{"event_type": "signup", "account": {"id": "a", "form_s": NaN}}', id="nan"),
        pytest.param(b'{"event_type": "signup", "account": {"id": "a", "form_s": 1e999}}', id="infinite"),
        pytest.param(b'{"event_type": "signup", "account": {"id": "a\\u0000b"}}', id="nul"),
        pytest.param(b"\xff\xfe", id="no-utf-8"),
        pytest.param(b"", id="nothing"),
    ],
)
def test_hostile_bodies(client: Client, body: bytes) -> None:
    assert _check(client, body) in {200, 400, 422}


def test_without_a_bundle_the_last_score_is_gone_and_the_reputation_answers(
    copied: Workspace, serve_over: Callable[..., Client]
) -> None:
    copied.set_current("bundle", None)
    client = serve_over(copied)
    farm = answer_of(client, sign_up_event("f-new", device="dev-farm-1-0"))
    assert farm["degraded"] == {
        "reason": "bundle_unavailable",
        "message": "there is no bundle yet",
        "fallback": "identifier_reputation",
    }
    assert farm["model_version"] is None
    # 6 accounts used the device, 2 of them are confirmed bad; 16 of 297 accounts are.
    assert farm["score"] == pytest.approx((2 + 2 * 16 / 297) / (6 + 2))
    nobody = answer_of(client, sign_up_event("n-new", device="never-seen"))
    assert nobody["degraded"]["fallback"] == "policy_default"
    assert nobody["score"] is None
    assert (nobody["decision"], nobody["policy"]["rule"]) == ("challenge", "fallback")
    evader = answer_of(client, sign_up_event("e-new", device=BANNED_DEVICE))
    assert evader["decision"] == "deny"
    assert [reason["code"] for reason in evader["reasons"]] == ["SHARED_WITH_CONFIRMED_BAD"]
    assert evader["reasons"][0]["message"] == "Shares device with 1 other account, 1 of them confirmed bad."
    assert client.get("/readyz").json()["status"] == "degraded"


def test_broken_bundle_degrades_and_the_last_scores_answer(
    copied: Workspace, serve_over: Callable[..., Client]
) -> None:
    version = copied.current()["bundle"]
    assert version is not None
    for trees in copied.path_of("bundle", version).glob("trees_*.txt"):
        trees.unlink()
    client = serve_over(copied)
    known = answer_of(client, {**sign_up_event("farm-0-3"), "event_type": "gift"})
    assert known["degraded"]["fallback"] == "last_score"
    assert known["score"] == client.get("/v1/accounts/farm-0-3").json()["score"]


def test_without_rings_the_score_is_whole_and_degraded_says_so(
    copied: Workspace, serve_over: Callable[..., Client]
) -> None:
    event = {**sign_up_event("f-new", device="dev-farm-1-0"), "event_id": None}
    first = serve_over(copied)
    whole = answer_of(first, event)
    first.close()
    copied.set_current("rings", None)
    second = {**event, "account": {**event["account"], "id": "f-newer"}}
    without = answer_of(serve_over(copied), second)
    assert whole["ring"] is not None
    assert without["score"] is not None
    assert without["ring"] is None
    assert without["degraded"]["reason"] == "rings_unavailable"
    assert without["degraded"]["fallback"] is None
