"""The snapshot gives back what was written, in the order in which it became visible."""

from pathlib import Path

import numpy as np
import polars as pl
import pytest

from graph_etl.snapshot import NO_HUB, NO_TIME, AttributeInfo, KindInfo, Snapshot, SnapshotError
from graph_etl.snapshot_writer import RelationEdges, SnapshotTables, write_snapshot

# Three accounts a0 a1 a2 (nodes 0 1 2) and a device (node 3).
# pos 0: a0 signs up on the device, 1: a1 does, 2: a0 gives 5 to a1, 3: a2 gives 1 to a1, 4: a0 gives 2 to a1.


@pytest.fixture
def tables() -> SnapshotTables:
    return SnapshotTables(
        name="drawn",
        kinds=(KindInfo("account", False, True), KindInfo("device", True, False)),
        node_kind=np.array([0, 0, 0, 1], np.int16),
        node_keys=["a0", "a1", "a2", "d0"],
        account_node=np.array([0, 1, 2], np.int32),
        first_seen_ms=np.array([10, 20, NO_TIME]),
        last_seen_ms=np.array([50, 50, 40]),
        first_pos=np.array([0, 1, 3]),
        event_time_ms=np.array([10, 20, 30, 40, 50]),
        event_known_ms=np.array([10, 20, 30, 40, 60]),
        event_type=np.array([0, 0, 1, 1, 1], np.int16),
        event_types=("signup", "gift"),
        relations=[
            RelationEdges(
                "used:device",
                True,
                True,
                "one",
                np.array([0, 1], np.int32),
                np.array([3, 3], np.int32),
                np.array([0, 1]),
                np.ones(2, np.float32),
            ),
            RelationEdges(
                "gift",
                False,
                True,
                "amount",
                np.array([0, 2, 0], np.int32),
                np.array([1, 1, 1], np.int32),
                np.array([2, 3, 4]),
                np.array([5, 1, 2], np.float32),
            ),
        ],
        attributes=(AttributeInfo("country", "category", ("DE", "US")),),
        attribute_values=np.array([[0.0], [1.0], [np.nan]]),
        verdicts=pl.DataFrame(
            {"account": [1, 0, 1], "label": [1, 1, 0], "known_ms": [None, 5, 9], "reason": [None, "x", None]}
        ),
    )


@pytest.fixture
def snapshot(tmp_path: Path, tables: SnapshotTables) -> Snapshot:
    write_snapshot(tmp_path / "s1", tables)
    return Snapshot.open(tmp_path / "s1")


def test_edges_are_grouped_by_both_ends_in_order_of_position(snapshot: Snapshot) -> None:
    gift = snapshot.relation("gift")
    assert gift.out.indptr.tolist() == [0, 2, 2, 3, 3]
    assert gift.out.pos[gift.out.of(0)].tolist() == [2, 4]
    assert gift.into.nbr[gift.into.of(1)].tolist() == [0, 2, 0]
    assert gift.into.value[gift.into.of(1)].tolist() == [5, 1, 2]


@pytest.mark.parametrize(
    ("horizon", "givers"),
    [
        pytest.param(2, [], id="equal-position-is-not-visible"),
        pytest.param(3, [0], id="one"),
        pytest.param(5, [0, 2, 0], id="all"),
    ],
)
def test_a_horizon_cuts_what_is_visible(snapshot: Snapshot, horizon: int, givers: list[int]) -> None:
    into = snapshot.relation("gift").into
    assert into.nbr[into.of(1, horizon)].tolist() == givers


def test_pairs_stand_once_at_their_first_position_with_the_sum(snapshot: Snapshot) -> None:
    pairs = snapshot.relation("gift").pair_in
    assert pairs.nbr[pairs.of(1)].tolist() == [0, 2]
    assert pairs.pos[pairs.of(1)].tolist() == [2, 3]
    assert pairs.value[pairs.of(1)].tolist() == [7, 1]


def test_relations_without_repeated_pairs_share_their_files(snapshot: Snapshot) -> None:
    used = snapshot.relation("used:device")
    assert used.pair_out is used.out
    assert used.pair_in is used.into
    assert used.into.nbr[used.into.of(3)].tolist() == [0, 1]


def test_undirected_edges_are_seen_from_both_ends_and_loops_once(
    tmp_path: Path, tables: SnapshotTables
) -> None:
    edges = RelationEdges(
        "met",
        False,
        False,
        "one",
        np.array([0, 1], np.int32),
        np.array([1, 1], np.int32),
        np.array([2, 3]),
        np.ones(2, np.float32),
    )
    tables.relations = [edges]
    write_snapshot(tmp_path / "s2", tables)
    met = Snapshot.open(tmp_path / "s2").relation("met")
    assert met.into is met.out
    assert met.edges == 2
    assert met.out.nbr[met.out.of(0)].tolist() == [1]
    assert met.out.nbr[met.out.of(1)].tolist() == [0, 1]


def test_nodes_are_found_by_kind_and_key(snapshot: Snapshot) -> None:
    assert snapshot.node_index("device", "d0") == 3
    assert snapshot.node_index("account", "d0") is None
    assert snapshot.node_index("phone", "d0") is None
    assert [snapshot.account_index(name) for name in ("a0", "a1", "a2", "a3")] == [0, 1, 2, None]
    assert snapshot.account_ids[1] == "a1"
    assert snapshot.node_keys[np.array([3, 0])] == ["d0", "a0"]
    assert snapshot.node_account.tolist() == [0, 1, 2, -1]


def test_horizon_counts_rows_known_by_then(snapshot: Snapshot) -> None:
    assert [snapshot.horizon_at(time_ms) for time_ms in (9, 10, 59, 60)] == [0, 1, 4, 5]
    assert snapshot.end_horizon == 5


def test_the_last_verdict_is_the_label(snapshot: Snapshot) -> None:
    assert snapshot.labels().tolist() == [1, 0, -1]


def test_what_was_not_given_has_its_neutral_value(snapshot: Snapshot) -> None:
    assert set(snapshot.hub_since.tolist()) == {NO_HUB}
    assert snapshot.hubs.columns == ["node", "kind", "key", "accounts", "reason", "since_ms"]
    assert snapshot.groups.is_empty()
    assert snapshot.splits is None


def test_missing_snapshot_says_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(SnapshotError, match="no snapshot there; build one with `ringwatch build SPEC`"):
        Snapshot.open(tmp_path)


def test_touch_lists_unite_all_relations_and_directions(tables: SnapshotTables, tmp_path: Path) -> None:
    write_snapshot(tmp_path / "s", tables)
    snapshot = Snapshot.open(tmp_path / "s")
    found = [
        [
            [
                (int(touched.nbr[at]), int(touched.pos[at]))
                for at in range(int(touched.indptr[node]), int(touched.indptr[node + 1]))
            ]
            for node in range(4)
        ]
        for touched in (snapshot.touches, snapshot.touched_by)
    ]
    # Gifts are touched from both ends; a0's second gift to a1 adds nothing; a device touches nobody.
    assert found[0] == [[(3, 0), (1, 2)], [(3, 1), (0, 2), (2, 3)], [(1, 3)], []]
    assert found[1] == [[(1, 2)], [(0, 2), (2, 3)], [(1, 3)], [(0, 0), (1, 1)]]


def test_a_snapshot_of_an_older_format_is_refused(tables: SnapshotTables, tmp_path: Path) -> None:
    write_snapshot(tmp_path / "s", tables)
    manifest = tmp_path / "s" / "manifest.json"
    manifest.write_text(manifest.read_text().replace('"format": 2', '"format": 1'))
    with pytest.raises(SnapshotError, match="snapshot format 1, this version reads 2; build it again with"):
        Snapshot.open(tmp_path / "s")
