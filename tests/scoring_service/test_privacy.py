"""Raw identifiers and account ids reach no log."""

import json
from collections.abc import Callable

import pytest
from structlog.testing import capture_logs

from graph_etl import Workspace
from tests.scoring_service.conftest import Client
from tests.scoring_service.small_platform import sign_up_event

SECRETS = ("dev-secret-77", "203.0.113.99", "someone@private.example", "acct-secret-5")


@pytest.fixture
def client(fresh: Client) -> Client:
    """The tests here send events, so each has a journal of its own."""
    return fresh


def test_logs_hold_no_identifier_and_no_account_id(client: Client) -> None:
    event = sign_up_event(SECRETS[3], device=SECRETS[0], ip=SECRETS[1], email=SECRETS[2])
    with capture_logs() as logs:
        assert client.risk(event).status_code == 200
        assert client.risk({**event, "identifiers": {"ip": {"x": SECRETS[1]}}}).status_code == 422
        assert client.get(f"/v1/accounts/{SECRETS[3]}").status_code == 200
        assert client.get(f"/v1/rings?account={SECRETS[3]}").status_code == 200
    assert [entry["event"] for entry in logs].count("http.request") == 4
    assert "risk.answered" in [entry["event"] for entry in logs]
    written = json.dumps(logs, default=str)
    for secret in SECRETS:
        assert secret not in written


def test_answer_holds_no_raw_identifier(client: Client) -> None:
    event = sign_up_event("anyone", device="dev-farm-1-0", ip="84.0.1.1", email=SECRETS[2])
    text = client.risk(event).text
    assert "dev-farm-1-0" not in text
    assert "84.0.1.1" not in text
    assert SECRETS[2] not in text


def test_failing_model_tells_the_log_where_and_not_what(
    copied: Workspace, serve_over: Callable[..., Client]
) -> None:
    client = serve_over(copied)
    assert client.state.loaded.bundle is not None
    client.state.loaded.bundle.heads.clear()
    with capture_logs() as logs:
        answer = client.risk(sign_up_event(SECRETS[3], device=SECRETS[0], ip=SECRETS[1])).json()
    assert answer["degraded"]["reason"] == "scoring_failed"
    failed = next(entry for entry in logs if entry["event"] == "risk.scoring_failed")
    assert any("scorer.py" in place for place in failed["where"])
    written = json.dumps(logs, default=str)
    for secret in SECRETS:
        assert secret not in written
