"""`ringwatch neo4j follow` beside a real journal: what a service accepts, forgets and refreshes."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from graph_etl import LiveEvent, LiveVerdict, Snapshot, Workspace, build
from graph_etl.identifiers import Hasher, keys_of
from graph_etl.neo4j_store import Target, connect, load, session, verify
from scoring_service.journal import Entry, Journal
from tests.building import PLATFORM_SPEC, build_from_text, platform_files
from tests.ringwatch.conftest import Call


@pytest.fixture
def environment(neo4j_database: Target, monkeypatch: pytest.MonkeyPatch) -> Target:
    """An empty database that the environment names."""
    monkeypatch.setenv("NEO4J_URI", neo4j_database.uri)
    monkeypatch.setenv("NEO4J_PASSWORD", neo4j_database.password)
    return neo4j_database


def _entries(snapshot: Snapshot) -> list[Entry]:
    hasher = Hasher.from_env(required=True)
    at_ms = int(snapshot.event_known_ms[-1])
    entries = []
    for number in range(6):
        device = tuple(keys_of(snapshot.spec, "device", "dev-night", hasher))
        now_ms = at_ms + 60_000 * number
        entries.append(Entry(LiveEvent("signup", f"night-{number}", now_ms, f"n{number}", device)))
    entries.append(Entry(LiveVerdict("night-0", 1, at_ms, "analyst")))
    return entries


def _night(target: Target) -> dict[str, str | None]:
    with connect(target) as driver, session(driver, target) as opened:
        query = "MATCH (a:Account) WHERE a.id STARTS WITH 'night' RETURN a.id AS id, a.verdict AS verdict"
        return {record["id"]: record["verdict"] for record in opened.run(query)}


def test_what_is_accepted_and_forgotten_reaches_neo4j_and_the_next_load_agrees(
    environment: Target, tmp_path: Path, call: Call
) -> None:
    built = build_from_text(tmp_path, PLATFORM_SPEC, platform_files())
    workspace = Path(built.workspace.path)
    load(built.snapshot, built.workspace, environment)
    with Journal.open(workspace / "state.db", clock="events") as journal:
        journal.append(_entries(built.snapshot))
    said = call("neo4j", "follow", "--once", "--workspace", workspace)
    assert (said.code, said.err) == (0, "")
    assert "row 7 of the journal is in; 0 rows behind" in said.out
    assert _night(environment) == {"night-0": "bad"} | {f"night-{at}": None for at in range(1, 6)}
    assert call("forget", "night-0", "--workspace", workspace).code == 0
    document = call("neo4j", "follow", "--once", "--workspace", workspace, "--json").document
    assert document["result"]["rows"] == 1
    assert document["result"]["rows_behind"] == 0
    assert _night(environment) == {f"night-{at}": None for at in range(1, 6)}
    with Journal.open(workspace / "state.db", read_only=True) as journal:
        report = build(built.spec, built.workspace, journal=journal)
    snapshot = Workspace(workspace).open_snapshot(report.snapshot_id)
    load(snapshot, built.workspace, environment)
    assert verify(snapshot, environment).clean
    assert len(_night(environment)) == 5


def test_ctrl_c_ends_it_in_good_order(environment: Target, tmp_path: Path) -> None:
    built = build_from_text(tmp_path, PLATFORM_SPEC, platform_files())
    workspace = Path(built.workspace.path)
    load(built.snapshot, built.workspace, environment)
    with Journal.open(workspace / "state.db", clock="events") as journal:
        journal.append(_entries(built.snapshot))
    command = [sys.executable, "-m", "ringwatch", "neo4j", "follow", "--every", "0", "-w", str(workspace)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=os.environ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "row 7 of the journal is in; 0 rows behind\n"
        process.send_signal(signal.SIGINT)
        rest = process.stdout.read()
    assert process.returncode == 0
    assert "7 rows taken in" in rest


def test_without_a_journal_or_a_loaded_snapshot_it_says_what_to_do(
    environment: Target, tmp_path: Path, call: Call
) -> None:
    built = build_from_text(tmp_path, PLATFORM_SPEC, platform_files())
    workspace = Path(built.workspace.path)
    said = call("neo4j", "follow", "--once", "-w", workspace)
    assert said.code == 2
    assert "journal" in said.err
    assert said.err.count("\n") == 1
    with Journal.open(workspace / "state.db", clock="events") as journal:
        journal.append(_entries(built.snapshot))
    said = call("neo4j", "follow", "--once", "-w", workspace)
    assert said.code == 2
    assert "run `ringwatch neo4j load` first" in said.err
    assert environment.shown in said.err
    assert said.out == ""
