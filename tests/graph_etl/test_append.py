"""Appending equals building all at once, and nobody's index moves."""

import shutil
from pathlib import Path

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from graph_etl import AppendError, BuildReport, Snapshot, Workspace, build
from tests.building import Built, csv_text, memory_folder, write_data

SPEC = """
ringwatch: 1
name: days
sources:
  people: {path: "people*.csv"}
  gifts: {path: "gifts*.csv"}
  bans: {path: "bans*.csv"}
kinds:
  device: {identifier: true}
  wallet: {identifier: false, public: true}
accounts:
  - {source: people, id: id, time: at, identifiers: {device: device}, attributes: {country: category}}
events:
  - source: gifts
    type: {columns: [kind]}
    from: {account: giver, otherwise: wallet}
    to: {account: taker, otherwise: wallet}
    time: at
    amount: coins
verdicts:
  - {source: bans, account: id, label: word, bad: [ban], known_at: at}
"""
DAY_1 = {
    "people_1.csv": "id,at,device,country\nbob,10,d1,FR\nann,11,d1,DE\n",
    "gifts_1.csv": "giver,taker,at,coins,kind\nbob,ann,20,5,coin\ncyd,ann,21,1,coin\nbob,zoe,22,1,gem\n",
    "bans_1.csv": "id,word,at\nbob,ban,30\n",
}
# Cyd, a wallet on day 1, turns out to be an account; Abe sorts first; one row comes a second time.
DAY_2 = {
    "people_2.csv": "id,at,device,country\nabe,15,d0,AT\ncyd,40,d2,DE\n",
    "gifts_2.csv": "giver,taker,at,coins,kind\nbob,ann,20,5,coin\nabe,cyd,41,2,air\n",
    "bans_2.csv": "id,word,at\nann,ban,42\n",
}


def _edges(snapshot: Snapshot) -> dict[str, set[tuple[object, ...]]]:
    """All edges between names, with position and value, from both sides."""
    found: dict[str, set[tuple[object, ...]]] = {}
    names = [
        (int(kind), key) for kind, key in zip(snapshot.node_kind, snapshot.node_keys.to_list(), strict=True)
    ]
    for relation in snapshot.relations:
        for side in ("out", "into", "pair_out", "pair_in"):
            csr = getattr(relation, side)
            found[f"{relation.name}.{side}"] = {
                (names[node], names[int(csr.nbr[at])], int(csr.pos[at]), float(csr.value[at]))
                for node in range(snapshot.n_nodes)
                for at in range(int(csr.indptr[node]), int(csr.indptr[node + 1]))
            }
    return found


def _accounts(snapshot: Snapshot) -> dict[str, tuple[object, ...]]:
    """What the snapshot says of each account that is present, by id."""
    labels = snapshot.labels()
    found: dict[str, tuple[object, ...]] = {}
    for account, name in enumerate(snapshot.account_ids.to_list()):
        code = snapshot.attribute_values[account, 0]
        country = None if code != code else snapshot.attributes[0].categories[int(code)]
        if snapshot.first_pos[account] < snapshot.n_events:
            found[name] = (
                int(snapshot.first_seen_ms[account]),
                int(snapshot.last_seen_ms[account]),
                int(snapshot.first_pos[account]),
                int(snapshot.folds[account]),
                int(labels[account]),
                country,
            )
    return found


def _built(folder: Path, files: dict[str, str], workspace: Workspace, append: bool = False) -> Built:
    spec = write_data(folder, SPEC, files)
    return Built(spec, workspace, build(spec, workspace, append=append))


@pytest.fixture
def first(tmp_path: Path) -> Built:
    return _built(tmp_path / "day1", DAY_1, Workspace(tmp_path / "w"))


@pytest.fixture
def appended(tmp_path: Path, first: Built) -> Built:
    report = build(
        first.spec,
        first.workspace,
        data_dir=write_data(tmp_path / "day2", SPEC, DAY_2).folder,
        append=True,
    )
    return Built(first.spec, first.workspace, report)


@pytest.fixture
def whole(tmp_path: Path) -> Built:
    return _built(tmp_path / "all", DAY_1 | DAY_2, Workspace(tmp_path / "w2"))


def test_appended_content_equals_a_build_of_all(appended: Built, whole: Built) -> None:
    assert appended.report.content_hash == whole.report.content_hash
    assert _accounts(appended.snapshot) == _accounts(whole.snapshot)
    assert _edges(appended.snapshot) == _edges(whole.snapshot)
    assert appended.report.sources == whole.report.sources
    assert appended.report.entities == whole.report.entities


def test_indices_stay_and_new_ones_come_after(first: Built, appended: Built) -> None:
    before, after = first.snapshot, appended.snapshot
    assert after.node_keys[: before.n_nodes] == before.node_keys.to_list()
    assert before.account_ids.to_list() == ["ann", "bob"]
    assert after.account_ids.to_list() == ["ann", "bob", "abe", "cyd"]
    assert after.attributes[0].categories == ("FR", "DE", "AT")


def test_what_was_an_entity_can_become_an_account(first: Built, appended: Built) -> None:
    wallet = first.snapshot.node_index("wallet", "cyd")
    assert wallet is not None
    after = appended.snapshot
    assert after.node_index("wallet", "cyd") == wallet  # the index is not given to anybody else
    coin = after.relation("coin")
    assert coin.out.indptr[wallet] == coin.out.indptr[wallet + 1]
    assert after.account_index("cyd") == 3


def test_a_row_in_both_days_is_a_duplicate(appended: Built) -> None:
    gifts = appended.report.sources[1]
    assert (gifts.rows, gifts.in_graph, gifts.duplicates) == (5, 4, 1)


def test_appending_in_the_same_folder_reads_only_what_is_new(tmp_path: Path, whole: Built) -> None:
    workspace = Workspace(tmp_path / "grown")
    folder = tmp_path / "growing"
    first = _built(folder, DAY_1, workspace)
    assert (first.report.files_read, first.report.files_reused) == (3, 0)
    grown = _built(folder, DAY_1 | DAY_2, workspace, append=True)
    assert (grown.report.files_read, grown.report.files_reused) == (3, 3)
    assert grown.report.content_hash == whole.report.content_hash


def test_appending_nothing_changes_nothing(tmp_path: Path, first: Built) -> None:
    again = _built(tmp_path / "day1", DAY_1, first.workspace, append=True)
    assert again.report.snapshot_id == first.report.snapshot_id


def test_the_first_append_is_a_build(tmp_path: Path, first: Built) -> None:
    started = _built(tmp_path / "day1", DAY_1, Workspace(tmp_path / "fresh"), append=True)
    assert started.report.snapshot_id == first.report.snapshot_id


def test_sources_without_new_files_may_be_missing(tmp_path: Path, first: Built) -> None:
    (tmp_path / "one").mkdir()
    (tmp_path / "one" / "bans_2.csv").write_text(DAY_2["bans_2.csv"])
    report: BuildReport = build(first.spec, first.workspace, data_dir=tmp_path / "one", append=True)
    assert report.sources[2].rows == 2
    assert report.accounts == 2


def test_another_spec_cannot_be_appended(tmp_path: Path, first: Built) -> None:
    spec = write_data(tmp_path / "other", SPEC.replace("amount: coins", ""), DAY_1)
    with pytest.raises(AppendError, match=r"the spec is not the one .* without --append"):
        build(spec, first.workspace, append=True)


def test_lost_parts_are_told_unless_their_files_are_there(tmp_path: Path, first: Built) -> None:
    shutil.rmtree(first.workspace.staging)
    with pytest.raises(AppendError, match=r"what was read from people_1\.csv is gone .* without --append"):
        _built(tmp_path / "day2", DAY_2, first.workspace, append=True)
    again = build(first.spec, first.workspace, append=True)
    assert again.snapshot_id == first.report.snapshot_id
    assert again.files_read == 3


_NAMES = st.sampled_from(["ann", "bob", "cyd", "dan", "eve"])
_GIFTS = st.lists(
    st.tuples(_NAMES, _NAMES, st.integers(1, 9), st.integers(1, 3), st.sampled_from(["coin", "gem"])),
    max_size=8,
)
_PEOPLE = st.lists(
    st.tuples(_NAMES, st.integers(1, 9), st.sampled_from(["d1", "d2"]), st.sampled_from(["DE", "FR", None])),
    max_size=4,
)


@settings(max_examples=10, deadline=None)
@given(st.lists(st.tuples(_PEOPLE, _GIFTS), min_size=2, max_size=3))
def test_any_days_appended_in_any_way_equal_all_at_once(
    days: list[tuple[list[tuple[object, ...]], list[tuple[object, ...]]]],
) -> None:
    texts = [
        {
            f"people_{day}.csv": csv_text("id,at,device,country", people),
            f"gifts_{day}.csv": csv_text("giver,taker,at,coins,kind", gifts),
            f"bans_{day}.csv": "id,word,at\n",
        }
        for day, (people, gifts) in enumerate(days)
    ]
    with memory_folder() as name:
        folder = Path(name)
        everything = {file: text for day in texts for file, text in day.items()}
        whole = _built(folder / "all", everything, Workspace(folder / "w"))
        grown = Workspace(folder / "grown")
        nodes: list[str] = []
        for day, files in enumerate(reversed(texts)):
            step = _built(folder / f"day{day}", files, grown, append=True)
            assert step.snapshot.node_keys[: len(nodes)] == nodes
            nodes = step.snapshot.node_keys.to_list()
        assert step.report.content_hash == whole.report.content_hash
        assert _accounts(step.snapshot) == _accounts(whole.snapshot)
        assert _edges(step.snapshot) == _edges(whole.snapshot)


def test_verdicts_and_hubs_follow_the_nodes(appended: Built, whole: Built) -> None:
    for built in (appended, whole):
        ids = built.snapshot.account_ids
        rows = [
            (ids[account], label)
            for account, label in built.snapshot.verdicts.select("account", "label").rows()
        ]
        assert rows == [("bob", 1), ("ann", 1)]
    assert isinstance(appended.snapshot.hubs, pl.DataFrame)


def test_an_unpublished_snapshot_leaves_what_is_in_use_alone(tmp_path: Path, first: Built) -> None:
    other = write_data(tmp_path / "other", SPEC.replace("amount: coins", ""), DAY_2)
    report = build(other, first.workspace, publish=False, max_quarantine=1.0)
    assert first.workspace.open_snapshot(report.snapshot_id).id == report.snapshot_id
    assert first.workspace.current()["snapshot"] == first.report.snapshot_id
    # What was read for the one in use is still there to append to.
    grown = _built(tmp_path / "day2", DAY_2, first.workspace, append=True)
    assert grown.report.files_reused == 3
    assert first.workspace.rollback("snapshot") == first.report.snapshot_id
    again = _built(tmp_path / "day2", DAY_2, first.workspace, append=True)
    assert again.report.snapshot_id == grown.report.snapshot_id
