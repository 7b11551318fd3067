"""Erasure over HTTP: what the journal and the live graph held of an account is gone, and stays gone."""

import asyncio
import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import Any

from graph_etl import LiveSwitch, Workspace, build
from scoring_service.journal import Journal
from scoring_service.replay import replay
from tests.scoring_service.small_platform import sign_up_event

Serve = Callable[..., Any]
FORGOTTEN = "leaves-soon"


def wait_for_generation(client: Any, number: int) -> None:
    """Let the app run until it answers from a generation."""

    async def wait() -> None:
        for _ in range(400):
            if client.app.state.live.generation >= number:
                return
            await asyncio.sleep(0.05)
        raise TimeoutError

    client._runner.run(wait())


def bytes_below(folder: Path) -> bytes:
    return b"".join(path.read_bytes() for path in sorted(folder.glob("state.db*")))


def test_a_forgotten_account_is_gone_from_journal_and_live_graph(
    copied: Workspace, serve_over: Serve
) -> None:
    client = serve_over(copied)
    assert client.risk(sign_up_event(FORGOTTEN, device="dev-of-two")).json()["accepted"]
    assert client.risk(sign_up_event("stays", device="dev-of-two")).json()["accepted"]
    gift = sign_up_event("stays") | {
        "event_type": "gift",
        "event_id": "gift-1",
        "interactions": [{"type": "gift", "to": FORGOTTEN, "amount": 3}],
    }
    assert client.risk(gift).json()["accepted"]
    assert client.get(f"/v1/accounts/{FORGOTTEN}").status_code == 200
    assert FORGOTTEN.encode() in bytes_below(copied.path)
    generation = client.app.state.live.generation

    answer = client.request("DELETE", f"/v1/accounts/{FORGOTTEN}")
    assert answer.status_code == 200
    receipt = answer.json()
    assert (receipt["rows_erased"], receipt["rows_altered"]) == (1, 1)
    assert receipt["snapshots"] == []
    wait_for_generation(client, generation + 1)
    assert client.get(f"/v1/accounts/{FORGOTTEN}").status_code == 404
    found = client.get("/v1/accounts/stays").json()
    assert [one["accounts"] for one in found["identifiers"] if one["kind"] == "device"] == [1]
    assert FORGOTTEN.encode() not in bytes_below(copied.path)

    # What is answered from now on is replayed exactly; what was erased is named.
    later = client.risk(sign_up_event("comes-later", device="dev-of-two")).json()
    client.close()
    with Journal.open(copied.path / "state.db", read_only=True) as journal:
        replayed = replay(copied, journal)
        seqs = [row.seq for row in journal.rows() if isinstance(row.content, LiveSwitch)]
    assert replayed.different == 0
    assert len(replayed.erased) >= 1
    # A switch says from where on answers come from a graph without the account: no excuse after it.
    assert receipt["erasure_seq"] < seqs[-1] < later["event_seq"]
    with sqlite3.connect(copied.path / "state.db") as store:
        store.execute("UPDATE journal SET score = 0.123 WHERE seq = ?", (later["event_seq"],))
    with Journal.open(copied.path / "state.db", read_only=True) as journal:
        found = replay(copied, journal)
    inexcusable = [(one.seq, one.what) for one in found.differences if not one.after_erasure]
    assert inexcusable == [(later["event_seq"], "score")]
    assert not found.is_exact


def test_a_build_leaves_a_forgotten_account_out(copied: Workspace, serve_over: Serve) -> None:
    client = serve_over(copied)
    before = copied.open_snapshot()
    account = before.account_ids[0]
    receipt = client.request("DELETE", f"/v1/accounts/{account}").json()
    assert receipt["snapshots"] == [before.id]
    client.close()
    with Journal.open(copied.path / "state.db", read_only=True) as journal:
        report = build(before.spec, copied, append=True, journal=journal, data_dir=copied.path.parent)
    assert copied.open_snapshot(report.snapshot_id).account_index(account) is None
