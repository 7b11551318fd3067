"""An account that is forgotten leaves nothing: not in the graph, not in staged parts, not in the list."""

from pathlib import Path

import polars as pl
import pytest

from graph_etl import (
    BuildReport,
    Content,
    LiveErasure,
    LiveEvent,
    LiveVerdict,
    Workspace,
    WorkspaceError,
    build,
    forget,
)
from graph_etl.identifiers import Hasher
from tests.building import TEST_HASH_KEY, write_data
from tests.graph_etl.journals import write_journal

SPEC = """
ringwatch: 1
name: forgetting
sources:
  people: {path: "people*.csv"}
  gifts: {path: "gifts*.csv"}
  bans: {path: "bans*.csv"}
kinds:
  device: {identifier: true, public: true, normalise: exact}
  mail: {identifier: true}
  wallet: {identifier: false, public: true, normalise: exact}
accounts:
  - source: people
    id: id
    time: at
    identifiers: {device: device, mail: mail}
events:
  - source: gifts
    type: gift
    from: {account: giver, otherwise: wallet}
    to: {account: taker, otherwise: wallet}
    time: at
verdicts:
  - {source: bans, account: id, label: word, bad: [ban], known_at: at}
groups:
  - {source: bans, account: id, group: word, role: judge}
"""
FILES = {
    "people.csv": (
        "id,at,device,mail\nann,10,shared,a@x.de\nforgotten-bob,20,shared,b@x.de\n"
        "forgotten-bob,21,only-of-bob,b@x.de\ncyd,30,d3,c@x.de\n"
    ),
    "gifts.csv": "giver,taker,at\nann,cyd,40\nann,forgotten-bob,50\nforgotten-bob,purse,60\n",
    "bans.csv": "id,word,at\nforgotten-bob,ban,70\nann,ban,80\n",
}
LATER_MS = 1_000_000_000


def _build(
    folder: Path, files: dict[str, str], said: list[tuple[int, Content]] | None = None, append: bool = False
) -> BuildReport:
    spec = write_data(folder / f"data{len(list(folder.glob('data*')))}", SPEC, files)
    journal = None if said is None else write_journal(folder / "journal.jsonl", said)
    return build(spec, Workspace(folder / "w"), journal=journal, max_quarantine=0.0, append=append)


def _forget(folder: Path, *accounts: str, until_ms: int = LATER_MS) -> tuple[int, tuple[str, ...]]:
    workspace = Workspace(folder / "w")
    spec = workspace.open_snapshot().spec
    done = forget(workspace, spec, accounts, Hasher(TEST_HASH_KEY.encode()), until_ms)
    return done.accounts, done.snapshots


def _without_bob() -> dict[str, str]:
    return {
        name: "".join(line for line in text.splitlines(keepends=True) if "bob" not in line)
        for name, text in FILES.items()
    }


def _holding(folder: Path, word: str) -> list[Path]:
    """Files below a folder that hold a word, read as the format would read it."""
    found = []
    for path in folder.rglob("*"):
        if path.is_file():
            text = ""
            if path.suffix == ".parquet":
                text = str(pl.read_parquet(path, glob=False).to_dict(as_series=False))
            if word in text or word.encode() in path.read_bytes():
                found.append(path)
    return found


def test_a_forgotten_account_is_not_in_the_next_snapshot(tmp_path: Path) -> None:
    first = _build(tmp_path, FILES)
    workspace = Workspace(tmp_path / "w")
    assert _forget(tmp_path, "forgotten-bob") == (1, (first.snapshot_id,))
    assert _forget(tmp_path, "forgotten-bob") == (0, (first.snapshot_id,))
    report = _build(tmp_path, FILES)
    clean = build(write_data(tmp_path / "clean", SPEC, _without_bob()), Workspace(tmp_path / "other"))
    assert report.content_hash == clean.content_hash
    # Two sign-ups, two gifts, a verdict and a group; none of it counts as bad data.
    assert report.erased == 6
    assert {c.mapping: c.reasons for c in report.sources if c.reasons} == {
        "accounts[0]": {"erased": 2},
        "events[0]": {"erased": 2},
        "verdicts[0]": {"erased": 1},
        "groups[0]": {"erased": 1},
    }
    assert all(c.rows == c.in_graph + c.duplicates + c.quarantined for c in report.sources)
    snapshot = workspace.path_of("snapshot", report.snapshot_id)
    for word in ("bob", "purse"):
        assert _holding(snapshot, word) == []
        assert _holding(workspace.staging, word) == []
    assert _holding(workspace.path_of("snapshot", first.snapshot_id), "bob")  # not vacuous


def test_a_staged_part_is_cut_once_and_then_used(tmp_path: Path) -> None:
    _build(tmp_path, FILES)
    _forget(tmp_path, "forgotten-bob")
    cut = _build(tmp_path, FILES)
    again = _build(tmp_path, FILES)
    assert (again.files_read, again.files_reused) == (0, 3)
    assert (again.snapshot_id, again.erased) == (cut.snapshot_id, 6)
    _forget(tmp_path, "cyd")
    both = _build(tmp_path, FILES)
    assert (both.files_read, both.erased, both.accounts) == (0, 8, 1)
    assert _holding(tmp_path / "w" / "staging", "cyd") == []


def test_appending_forgets_too_and_keeps_indices(tmp_path: Path) -> None:
    _build(tmp_path, FILES)
    workspace = Workspace(tmp_path / "w")
    before = workspace.open_snapshot()
    ann = before.account_index("ann")
    _forget(tmp_path, "forgotten-bob")
    report = _build(tmp_path, {"people_2.csv": "id,at,device,mail\ndan,90,d4,d@x.de\n"}, append=True)
    after = workspace.open_snapshot()
    assert after.account_index("ann") == ann
    assert after.account_index("forgotten-bob") is None
    assert after.node_index("device", "only-of-bob") is None
    assert (report.erased, after.n_accounts) == (6, 4)
    for word in ("bob", "purse"):
        assert _holding(after.path, word) == []
        assert _holding(workspace.staging, word) == []
    # The snapshot before is still the one to roll back to, but what it was staged from is gone for good.
    assert workspace.rollback("snapshot") == before.id
    assert _build(tmp_path, FILES, append=True).erased == 6


def test_who_comes_back_is_somebody_new(tmp_path: Path) -> None:
    said: list[tuple[int, Content]] = [
        (100_000, LiveEvent("signup", "forgotten-bob", 100_000)),
        (300_000, LiveEvent("signup", "forgotten-bob", 300_000)),
        (310_000, LiveEvent("gift", "ann", 1, interactions=(("gift", "account", "forgotten-bob", 1.0),))),
        (320_000, LiveVerdict("forgotten-bob", 1, 320_000, "analyst")),
    ]
    _build(tmp_path, FILES, said)
    _forget(tmp_path, "forgotten-bob", until_ms=200_000)
    report = _build(tmp_path, FILES, said)
    snapshot = Workspace(tmp_path / "w").open_snapshot()
    bob = snapshot.account_index("forgotten-bob")
    assert bob is not None
    assert snapshot.first_seen_ms[bob] == 300_000
    assert report.erased == 7
    assert snapshot.labels()[bob] == 1


def test_an_order_in_the_journal_forgets_rows_of_files_too(tmp_path: Path) -> None:
    said: list[tuple[int, Content]] = [
        (100_000, LiveEvent("signup", "eve", 100_000)),
        (200_000, LiveErasure("forgotten-bob")),
        (200_000, LiveErasure("a-tombstone-of-nobody")),
    ]
    report = _build(tmp_path, FILES, said)
    workspace = Workspace(tmp_path / "w")
    assert workspace.open_snapshot().account_index("forgotten-bob") is None
    assert report.erased == 6
    for word in ("a-tombstone", "bob"):
        assert _holding(workspace.staging, word) == []


def test_the_list_tells_nobody_who_is_on_it(tmp_path: Path) -> None:
    _build(tmp_path, FILES)
    _forget(tmp_path, "forgotten-bob")
    listed = tmp_path / "w" / "erased.json"
    assert "bob" not in listed.read_text()
    assert listed.stat().st_mode & 0o077 == 0
    listed.write_text("{")
    with pytest.raises(WorkspaceError, match="damaged; restore it, or those who asked to be"):
        _build(tmp_path, FILES)
