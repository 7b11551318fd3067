"""Things that break, really made to break: each has its answer, and what was not kept has not happened."""

import resource
import signal
import socket
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from structlog.testing import capture_logs

from graph_etl import Workspace
from tests.scoring_service.conftest import Client
from tests.scoring_service.small_platform import BANNED_DEVICE, sign_up_event


def risk(client: Client, event: dict[str, Any]) -> dict[str, Any]:
    response = client.risk(event)
    assert response.status_code == 200, response.text
    answer: dict[str, Any] = response.json()
    return answer


@contextmanager
def locked(workspace: Workspace) -> Iterator[None]:
    """Hold the database's write lock, as a stuck process would."""
    holder = sqlite3.connect(workspace.path / "state.db", isolation_level=None)
    holder.execute("BEGIN IMMEDIATE")
    try:
        yield
    finally:
        holder.rollback()
        holder.close()


@contextmanager
def full_disk() -> Iterator[None]:
    """Let no file of this process grow, which is what a full disk does."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    # The system then answers "file too large" instead of ending the process.
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
        signal.signal(signal.SIGXFSZ, handler)


@pytest.mark.parametrize("breakage", ["locked", "full_disk"])
def test_event_that_cannot_be_kept_is_answered_and_has_not_happened(
    fresh: Client, copied: Workspace, breakage: str
) -> None:
    kept = risk(fresh, sign_up_event("first", device="dev-a"))
    quiet = {**sign_up_event("probe", device="dev-a"), "event_id": None}
    expected = risk(fresh, quiet)
    before = fresh.get("/v1/live").json()["last_seq"]
    with capture_logs(), locked(copied) if breakage == "locked" else full_disk():
        answer = risk(fresh, sign_up_event("lost", device="dev-a"))
        evader = risk(fresh, sign_up_event("evader", device=BANNED_DEVICE))
        (context,) = fresh.post("/v1/events", json=sign_up_event("also-lost")).json()["results"]
        label = fresh.post("/v1/labels", json={"account": "first", "label": "bad", "source": "rule"})
        ready = fresh.get("/readyz")
        live = fresh.get("/v1/live").json()
    assert (answer["accepted"], answer["event_seq"]) == (False, None)
    assert answer["degraded"]["reason"] == "journal_unavailable"
    assert answer["degraded"]["fallback"] is None
    assert answer["score"] is not None
    assert "not_accepted" in [warning["code"] for warning in answer["warnings"]]
    assert "\n" not in answer["degraded"]["message"]
    assert evader["decision"] == "deny"
    assert (context["accepted"], context["warnings"][-1]["code"]) == (False, "not_accepted")
    assert (label.status_code, label.json()["error"]["code"]) == (503, "journal_unavailable")
    assert label.headers["retry-after"] == "1"
    assert (ready.status_code, ready.json()["journal"]) == (200, "unavailable")
    assert live["journal"]["status"] == "unavailable"
    # Nothing of it has happened; once the store is back, positions go on without a gap.
    assert fresh.get("/v1/accounts/lost").status_code == 404
    assert fresh.get("/v1/accounts/first").json()["verdict"] is None
    assert fresh.get("/v1/live").json()["last_seq"] == before
    again = risk(fresh, quiet)
    assert (again["event_seq"], again["degraded"]) == (before + 1, None)
    assert kept["event_seq"] < expected["event_seq"] < again["event_seq"]
    assert fresh.get("/v1/live").json()["journal"]["status"] == "ok"


def test_store_that_cannot_be_opened_is_taken_up_when_it_comes_back(
    copied: Workspace, serve_over: Callable[..., Client]
) -> None:
    first = serve_over(copied)
    risk(first, sign_up_event("first", device="dev-a"))
    first.close()
    file = copied.path / "state.db"
    hidden = copied.path / "state.hidden"
    file.rename(hidden)
    file.mkdir()
    client = serve_over(copied, watch_every="PT0.02S")
    answer = risk(client, sign_up_event("second"))
    assert (answer["accepted"], answer["degraded"]["reason"]) == (False, "journal_unavailable")
    assert client.get("/v1/accounts/first").status_code == 404
    file.rmdir()
    hidden.rename(file)
    from tests.scoring_service.test_live import wait_until

    wait_until(client, lambda: client.get("/v1/live").json()["journal"]["status"] == "ok")
    assert client.get("/v1/accounts/first").status_code == 200
    assert risk(client, sign_up_event("third"))["accepted"]


def test_full_overlay_keeps_no_event_and_still_takes_verdicts(
    copied: Workspace, serve_over: Callable[..., Client]
) -> None:
    client = serve_over(copied, max_live_events=3)
    answers = [risk(client, sign_up_event(f"o-{n}")) for n in range(4)]
    # The first row says what answers are made from.
    assert [answer["accepted"] for answer in answers] == [True, True, False, False]
    assert answers[2]["degraded"]["reason"] == "overlay_full"
    assert "ringwatch refresh" in answers[2]["degraded"]["message"]
    label = client.post("/v1/labels", json={"account": "o-0", "label": "bad", "source": "rule"})
    assert label.status_code == 200
    client.close()
    again = serve_over(copied, max_live_events=3)
    assert again.get("/v1/accounts/o-1").status_code == 200


def test_no_database_but_its_own_is_ever_asked(
    copied: Workspace, serve_over: Callable[..., Client], monkeypatch: pytest.MonkeyPatch
) -> None:
    client = serve_over(copied)

    def refuse(*arguments: object) -> None:
        message = "nothing is to be connected to"
        raise AssertionError(message)

    monkeypatch.setattr(socket.socket, "connect", refuse)
    monkeypatch.setenv("NEO4J_URI", "bolt://127.0.0.1:1")
    answer = risk(client, sign_up_event("alone", device="dev-farm-1-0"))
    assert (answer["accepted"], answer["degraded"]) == (True, None)
