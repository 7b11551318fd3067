"""API keys: what is refused without one, what each scope allows, and that nothing is open beyond loopback."""

import socket
from collections.abc import Callable
from pathlib import Path

import pytest
from typer.testing import CliRunner

from graph_etl import Workspace
from ringwatch.cli import app
from scoring_service import ServiceSettings, create_app, serve
from scoring_service.database import Database
from scoring_service.errors import KeysMissing, PortBusy
from scoring_service.keys import KeyRepository
from tests.scoring_service.conftest import Client
from tests.scoring_service.small_platform import sign_up_event


def make_key(workspace: Workspace, *scopes: str, name: str = "k") -> dict[str, str]:
    """Make a key; returns the header that carries it."""
    store = Database.open(workspace.path / "state.db")
    try:
        _, token = KeyRepository(store).create(name, scopes)
    finally:
        store.close()
    return {"Authorization": f"Bearer {token}"}


def test_key_is_needed_on_loopback_once_there_is_one(
    copied: Workspace, serve_over: Callable[..., Client]
) -> None:
    key = make_key(copied, "score")
    client = serve_over(copied)
    refused = client.risk(sign_up_event())
    assert (refused.status_code, refused.json()["error"]["code"]) == (401, "unauthorized")
    assert refused.headers["www-authenticate"] == "Bearer"
    assert client.risk(sign_up_event(), headers=key).json()["accepted"] is True
    wrong = client.risk(sign_up_event(), headers={"Authorization": "Bearer rw_wrong"})
    assert wrong.status_code == 401
    assert "rw_wrong" not in wrong.text
    basic = {"Authorization": "Basic " + key["Authorization"].removeprefix("Bearer ")}
    assert client.risk(sign_up_event(), headers=basic).status_code == 401
    assert client.get("/healthz").status_code == 200
    assert client.get("/readyz").status_code == 200
    assert client.get("/").status_code == 200


@pytest.mark.parametrize(
    ("scope", "allowed"),
    [
        ("score", {"risk", "events"}),
        ("label", {"labels", "benign", "not_benign"}),
        ("read", {"accounts", "rings", "live"}),
        ("admin", {"risk", "events", "labels", "benign", "not_benign", "accounts", "rings", "live"}),
    ],
)
def test_scope_allows_what_it_says_and_nothing_else(
    copied: Workspace, serve_over: Callable[..., Client], scope: str, allowed: set[str]
) -> None:
    key = make_key(copied, scope)
    client = serve_over(copied)
    label = {"account": "single-1", "label": "bad", "source": "rule"}
    ring = client.state.loaded.require_rings().ids[0]
    asked = {
        "risk": client.risk(sign_up_event(), headers=key),
        "events": client.post("/v1/events", json=sign_up_event(), headers=key),
        "labels": client.post("/v1/labels", json=label, headers=key),
        "benign": client.post(f"/v1/rings/{ring}/benign", json={}, headers=key),
        "not_benign": client.request("DELETE", f"/v1/rings/{ring}/benign", headers=key),
        "accounts": client.get("/v1/accounts/single-1", headers=key),
        "rings": client.get("/v1/rings", headers=key),
        "live": client.get("/v1/live", headers=key),
    }
    assert {name for name, response in asked.items() if response.status_code == 200} == allowed
    for name, response in asked.items():
        if name not in allowed:
            error = response.json()["error"]
            assert (response.status_code, error["code"]) == (403, "forbidden")
            assert error["detail"]["scopes"] == [scope]


def test_key_can_be_required_before_there_is_one(
    copied: Workspace, serve_over: Callable[..., Client]
) -> None:
    client = serve_over(copied, auth="required")
    assert client.get("/v1/rings").status_code == 401


def test_beyond_loopback_nothing_starts_without_a_key(copied: Workspace) -> None:
    settings = ServiceSettings(workspace=copied.path, host="0.0.0.0", allow_remote=True)
    with pytest.raises(KeysMissing, match="ringwatch keys create"):
        create_app(settings)
    # The refusal let go of the journal.
    make_key(copied, "read")
    client = Client(create_app(settings), host="ringwatch.example")
    client.open()
    client.wait_until_ready()
    assert client.get("/v1/rings").status_code == 401
    client.close()


def test_busy_port_is_one_line_before_anything_is_loaded(tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(PortBusy, match=rf"cannot listen on 127\.0\.0\.1:{port}: Address already in use"):
            serve(ServiceSettings(workspace=tmp_path, port=port))
        words = ["serve", "--port", str(port), "--workspace", str(tmp_path)]
        result = CliRunner().invoke(app, words)
    assert result.exit_code != 0
    assert "console:" not in result.output


def test_second_writer_is_refused_with_the_way_to_follow(
    copied: Workspace, serve_over: Callable[..., Client]
) -> None:
    serve_over(copied)
    from scoring_service.journal import JournalInUse

    with pytest.raises(JournalInUse, match="others follow it"):
        create_app(ServiceSettings(workspace=copied.path))
