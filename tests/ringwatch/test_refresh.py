"""Refresh: what the journal holds comes into use, all at once, or nothing changes; a killed one goes on."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from graph_etl import LiveEvent, LiveVerdict, Workspace
from graph_etl.identifiers import Hasher, keys_of
from graph_etl.neo4j_store import Target, connect, session
from rings import RingsRun
from ringwatch import run
from ringwatch.commands.refresh import EXIT_HELD_BACK
from ringwatch.refreshing import STATE
from scoring_service.journal import Entry, Journal
from tests.scoring_service import small_platform

N_ACCOUNTS = 12


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory, hash_key: str) -> Path:
    """A workspace whose service has accepted sign-ups, log-ins and verdicts. Tests copy it."""
    assert hash_key
    path = small_platform.make_workspace(tmp_path_factory.mktemp("served"))
    place = Workspace(path)
    snapshot = place.open_snapshot()
    hasher = Hasher.from_env(required=True)
    at = int(snapshot.event_known_ms[-1])
    entries = []
    for number in range(N_ACCOUNTS):
        device = keys_of(snapshot.spec, "device", f"dev-night-{number % 2}", hasher)
        event = LiveEvent("signup", f"night-{number}", at + 60_000 * number, f"n{number}", tuple(device))
        entries.append(Entry(event))
    entries += [Entry(LiveVerdict(f"night-{number}", 1, at, "analyst")) for number in range(4)]
    with Journal.open(path / "state.db", clock="events") as journal:
        journal.append(entries)
    return path


@pytest.fixture
def workspace(served: Path, tmp_path: Path) -> Path:
    """A copy that a test may change."""
    subprocess.run(["cp", "-r", str(served), str(tmp_path / "workspace")], check=True)
    return tmp_path / "workspace"


def refresh(workspace: Path, capsys: pytest.CaptureFixture[str], *more: str) -> tuple[int, Any]:
    code = run(["refresh", "--workspace", str(workspace), "--json", *more])
    return code, json.loads(capsys.readouterr().out)["result"]


@pytest.fixture
def neo4j(neo4j_database: Target, monkeypatch: pytest.MonkeyPatch) -> Target:
    """A Neo4j that the environment names."""
    monkeypatch.setenv("NEO4J_URI", neo4j_database.uri)
    monkeypatch.setenv("NEO4J_PASSWORD", neo4j_database.password)
    return neo4j_database


def test_what_the_journal_holds_comes_into_use_at_once(
    workspace: Path, neo4j: Target, capsys: pytest.CaptureFixture[str]
) -> None:
    place = Workspace(workspace)
    before = place.current()
    # Twelve new accounts among 297 are a twentieth of all scores, and 16 known bad ones leave the level of
    # the rest open: more drift than a platform sees in a night.
    code, result = refresh(workspace, capsys, "--drift", "4")
    after = place.current()
    assert [check for check in result["checks"] if not check["passed"]] == []
    assert (code, result["published"]) == (0, True)
    assert {check["name"] for check in result["checks"]} >= {"accounts", "events", "quality", "drift"}
    assert {part: after[part] for part in ("snapshot", "bundle", "rings")} == {
        part: result[part] for part in ("snapshot", "bundle", "rings")
    }
    assert after != before
    snapshot = place.open_snapshot()
    assert snapshot.last_seq == N_ACCOUNTS + 4
    account = snapshot.account_index("night-0")
    assert account is not None
    assert snapshot.labels()[account] == 1
    # The indices of what was there stay, and one switch did it all.
    earlier = place.open_snapshot(before["snapshot"])
    assert snapshot.account_ids[: earlier.n_accounts] == earlier.account_ids.to_list()
    assert len([one for one in place.history() if one.after["snapshot"] == snapshot.id]) == 1
    assert not (workspace / STATE).exists()
    # The rings build on those of before, though the scores are another bundle's.
    found = RingsRun.open(place.path_of("rings", str(after["rings"])))
    assert (found.manifest["base"]["run"], found.manifest["previous"]) == (before["rings"], before["rings"])
    assert "null model" not in found.manifest["taken_over"]
    # Neo4j shows it too.
    assert result["neo4j"]["problem"] is None
    with connect(neo4j) as driver, session(driver, neo4j) as opened:
        state = opened.run("MATCH (s:RingwatchState) RETURN s.snapshot, s.bundle, s.run").single(strict=True)
        bad = opened.run("MATCH (a:Account {id: 'night-0'}) RETURN a.verdict, a.model_version").values()
    assert state.values() == [after["snapshot"], after["bundle"], after["rings"]]
    assert bad == [["bad", after["bundle"]]]


def test_nothing_changes_where_the_gate_does_not_hold(
    workspace: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NEO4J_URI", "bolt://127.0.0.1:1")
    before = Workspace(workspace).current()
    code, result = refresh(workspace, capsys, "--drift", "0")
    assert (code, result["published"]) == (EXIT_HELD_BACK, False)
    assert [check["name"] for check in result["checks"] if not check["passed"]] == ["drift"]
    assert Workspace(workspace).current() == before
    assert result["neo4j"] is None
    # A Neo4j that is away holds nobody up.
    code, result = refresh(workspace, capsys, "--drift", "0", "--force")
    assert (code, result["published"]) == (0, True)
    assert Workspace(workspace).current()["bundle"] == result["bundle"]
    assert result["neo4j"]["problem"].startswith("bolt://127.0.0.1:1: cannot be reached")


@pytest.fixture
def killed(workspace: Path) -> Path:
    """A workspace in which a refresh was killed once it had its snapshot."""
    command = [sys.executable, "-m", "ringwatch", "refresh", "--workspace", str(workspace)]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    deadline = time.monotonic() + 120
    while not (workspace / STATE).exists():
        assert process.poll() is None
        assert time.monotonic() < deadline
        time.sleep(0.05)
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    return workspace


@pytest.mark.slow
def test_a_killed_refresh_goes_on_with_what_it_had(killed: Path, capsys: pytest.CaptureFixture[str]) -> None:
    made = json.loads((killed / STATE).read_text())["build"]
    code, result = refresh(killed, capsys, "--drift", "4")
    assert code == 0
    assert result["snapshot"] == made
    assert result["seconds"]["build"] == 0
    assert result["seconds"]["rings"] > 0
