"""`ringwatch replay` and `forget` over what a real service kept: exit codes, JSON, one clear line."""

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from graph_etl import Workspace
from ringwatch.commands.replay import EXIT_DIFFERENT
from scoring_service import ServiceSettings, create_app
from scoring_service.journal import Journal
from tests.ringwatch.conftest import Call
from tests.scoring_service import small_platform
from tests.scoring_service.conftest import Client
from tests.scoring_service.small_platform import sign_up_event

N_SIGN_UPS = 6
LEAVES = "night-3"


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory, hash_key: str) -> Path:
    """A workspace whose service answered sign-ups on two devices, and took one log-in in unscored."""
    assert hash_key
    path = small_platform.make_workspace(tmp_path_factory.mktemp("replayed"))
    client = Client(create_app(ServiceSettings(workspace=path, commit="process")))
    client.open()
    client.wait_until_ready()
    for number in range(N_SIGN_UPS):
        event = sign_up_event(f"night-{number}", device=f"dev-night-{number % 2}")
        assert client.risk(event).json()["accepted"]
    context = {**sign_up_event("single-1"), "event_type": "landing", "event_id": "seen"}
    assert client.post("/v1/events", json=context).json()["accepted"] == 1
    client.close()
    return path


@pytest.fixture
def workspace(served: Path, tmp_path: Path) -> Path:
    """A copy that a test may change; the store alone is copied, the rest is only read."""
    copy = tmp_path / "workspace"
    copy.mkdir()
    for one in served.iterdir():
        if one.name.startswith(("state.db", "current.json", "history")):
            (copy / one.name).write_bytes(one.read_bytes())
        else:
            (copy / one.name).symlink_to(one)
    return copy


def test_what_was_answered_comes_out_equal(call: Call, served: Path) -> None:
    said = call("replay", "-w", served, "--json")
    result = said.document["result"]
    assert (said.code, said.document["command"]) == (0, "replay")
    assert (result["compared"], result["equal"], result["different"]) == (N_SIGN_UPS, N_SIGN_UPS, 0)
    assert (result["context"], result["erased"], result["differences"]) == (1, [], [])
    some = call("replay", "-w", served, "--json", "--after", "2", "--until", "4").document["result"]
    assert some["rows"] == 2
    assert f"{N_SIGN_UPS} equal bit by bit, 0 different" in call("replay", "-w", served).out


def test_a_changed_record_is_named_and_ends_with_its_own_code(call: Call, workspace: Path) -> None:
    """The first feature of the last answer is changed in the store, as a damaged disk might."""
    with closing(sqlite3.connect(workspace / "state.db")) as store:
        seq, features = store.execute(
            "SELECT seq, features FROM journal WHERE features IS NOT NULL ORDER BY seq DESC LIMIT 1"
        ).fetchone()
        changed = bytes([features[0] ^ 1]) + features[1:]
        store.execute("UPDATE journal SET features = ? WHERE seq = ?", (changed, seq))
        store.commit()
    said = call("replay", "-w", workspace, "--json")
    assert said.code == EXIT_DIFFERENT
    result = said.document["result"]
    assert (result["equal"], result["different"]) == (N_SIGN_UPS - 1, 1)
    assert [one["seq"] for one in result["differences"]] == [seq]
    assert result["differences"][0]["what"] not in {"margin", "score"}
    assert f"row {seq}: " in call("replay", "-w", workspace).out


def test_the_bundle_that_answered_moves_nothing_when_it_is_tried(call: Call, served: Path) -> None:
    version = Workspace(served).current()["bundle"]
    assert version is not None
    said = call("replay", "-w", served, "--json", "--bundle", version)
    result = said.document["result"]
    assert (said.code, result["answers"], result["moved_more_than_0_1"]) == (0, N_SIGN_UPS, 0)
    assert all(one["recorded"] == one["tried"] for one in result["farthest"])
    missing = call("replay", "-w", served, "--bundle", "b-nowhere")
    assert missing.code == 2
    assert "b-nowhere" in missing.err


def test_without_a_journal_it_says_so(call: Call, walked_without_service: Path) -> None:
    said = call("replay", "-w", walked_without_service)
    assert said.code == 2
    assert len(said.err.strip().splitlines()) == 1
    assert "state.db" in said.err


@pytest.fixture
def walked_without_service(tmp_path: Path, served: Path) -> Path:
    """A workspace that no service has opened yet."""
    (tmp_path / "current.json").write_bytes((served / "current.json").read_bytes())
    for folder in ("snapshots", "bundles", "rings"):
        (tmp_path / folder).symlink_to(served / folder)
    return tmp_path


def test_a_forgotten_account_leaves_tombstones_that_a_replay_tells(call: Call, workspace: Path) -> None:
    said = call("forget", LEAVES, "-w", workspace, "--json")
    receipt = said.document["result"]
    assert (said.code, receipt["rows_erased"], receipt["snapshots"]) == (0, 1, [])
    assert LEAVES.encode() not in b"".join(path.read_bytes() for path in workspace.glob("state.db*"))
    replayed = call("replay", "-w", workspace, "--json")
    assert replayed.code == 0
    result = replayed.document["result"]
    assert receipt["erasure_seq"] in result["erased"]
    assert len(result["erased"]) == 2
    assert result["compared"] == N_SIGN_UPS - 1
    # Its device-mate came before it and saw nothing of it; who came later on that device did.
    assert all(one["after_erasure"] for one in result["differences"])
    assert result["different"] == 0
    again = call("forget", LEAVES, "-w", workspace, "--json")
    assert (again.code, again.document["result"]["rows_erased"]) == (0, 0)


def test_an_account_of_the_snapshot_is_told_with_the_snapshot_and_the_next_command(
    call: Call, workspace: Path
) -> None:
    (workspace / "embeddings" / "b1").mkdir(parents=True)
    (workspace / "ray").mkdir()  # empty: there is nothing to delete
    said = call("forget", small_platform.BANNED, "-w", workspace, "--json").document
    assert said["result"]["snapshots"] == [Workspace(workspace).current()["snapshot"]]
    assert said["result"]["folders"] == [str(workspace / "embeddings")]
    assert said["next"].startswith("ringwatch refresh")


def test_forgetting_beside_a_running_service_names_the_way(
    call: Call, workspace: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # A key as a file or a shell gives it, with the end of its line, is sent without it.
    monkeypatch.setenv("RINGWATCH_API_KEY", "rw_0123\n")
    with Journal.open(workspace / "state.db"):
        said = call("forget", LEAVES, "-w", workspace)
    assert said.code == 2
    assert "--url" in said.err
    assert len(said.err.strip().splitlines()) == 1
    away = call("forget", LEAVES, "-w", workspace, "--url", "http://127.0.0.1:9")
    assert away.code == 2
    assert "cannot be reached" in away.err
