"""Tables without times and without private identifiers are served too; here before anything is trained."""

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from graph_etl import Workspace
from graph_etl.identifiers import HASH_KEY_VARIABLE
from scoring_service.risk.schemas import RiskAnswer
from tests.building import Built
from tests.scoring_service.conftest import Client


def test_table_without_times_is_served_without_a_key(
    untimed_build: Built,
    serve_over: Callable[..., Client],
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    monkeypatch.delenv(HASH_KEY_VARIABLE)
    shutil.copytree(untimed_build.workspace.path, tmp_path / "workspace")
    client = serve_over(Workspace(tmp_path / "workspace"))
    account_id = untimed_build.snapshot.account_ids[0]
    event = {
        "event_type": "transfer",
        "event_timestamp": "2026-03-01T00:00:00Z",
        "account": {"id": account_id},
        "interactions": [{"type": "erc20:main", "to": "w1", "kind": "wallet", "amount": 2}],
    }
    answer = RiskAnswer.model_validate(client.risk(event).json())
    assert answer.accepted
    assert answer.policy.moment == "retrospective"
    assert answer.graph_as_of is None
    assert answer.degraded is not None
    assert answer.degraded.fallback == "policy_default"
    assert [warning.code for warning in answer.warnings] == ["unknown_event_type"]
    account = client.get(f"/v1/accounts/{account_id}").json()
    assert (account["first_seen"], account["last_seen"]) == (None, None)
    assert account["graph_as_of"] is None
