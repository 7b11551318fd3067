"""What is drawn is what stands in the snapshot below the horizon: the latest, or distinct ones at random."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from features import LiveGraph, Queries, view_of
from gnn.drawing import draw, ways_of
from graph_etl import JournalRow, LiveEvent, Snapshot
from tests.building import build_from_text, csv_text

STAR_SPEC = """
ringwatch: 1
name: star
title: One account that met all others.
simulated: true
sources:
  meetings: {path: meetings.csv}
events:
  - {source: meetings, type: met, from: {account: one}, to: {account: other}, directed: false}
"""


def around(snapshot: Snapshot, node: int, horizon: int) -> list[tuple[int, int, int]]:
    """Side, position and node of all that is visible, in plain Python."""
    view = view_of(snapshot)
    found: list[tuple[int, int, int]] = []
    n_sides = len(view.sides)
    for row in range(n_sides if view.node_account[node] >= 0 else 2 * n_sides):
        ptr, nbr, pos = view.pairs(row)
        places = range(int(ptr[node]), int(ptr[node + 1]))
        found += [(row, int(pos[place]), int(nbr[place])) for place in places if pos[place] < horizon]
    return found


@pytest.mark.parametrize("moment", ["1d", "retrospective"])
def test_the_latest_are_the_latest(timed_snapshot: Snapshot, moment: str) -> None:
    asked = Queries.for_accounts(timed_snapshot, moment=moment)
    one, two = fanouts = (3, 2)
    drawn = draw(timed_snapshot, asked, fanouts=fanouts, latest=True)
    full = 0

    def check(node: int, horizon: int, limit: int, nodes: list[int], sides: list[int]) -> int:
        there = around(timed_snapshot, node, horizon)
        expected = sorted(there, key=lambda entry: entry[1], reverse=True)[:limit]
        got = [(side, near) for side, near in zip(sides, nodes, strict=True) if side >= 0]
        assert len(got) == len(expected)
        assert set(got) <= {(side, near) for side, _, near in there}
        latest = {(side, near): pos for side, pos, near in there}
        assert sorted((latest[entry] for entry in got), reverse=True) == [pos for _, pos, _ in expected]
        return int(len(there) > limit)

    for q in range(len(asked)):
        horizon = int(asked.horizon[q])
        nodes, sides = drawn.hop1[q * one :][:one].tolist(), drawn.hop1_side[q * one :][:one].tolist()
        account_node = int(np.asarray(timed_snapshot.account_node)[asked.account[q]])
        full += check(account_node, horizon, one, nodes, sides)
        for place, (node, side) in enumerate(zip(nodes, sides, strict=True)):
            deep = slice((q * one + place) * two, (q * one + place + 1) * two)
            if side < 0:
                assert (drawn.hop2_side[deep] == -1).all()
            else:
                full += check(node, horizon, two, drawn.hop2[deep].tolist(), drawn.hop2_side[deep].tolist())
    assert full > 100  # many lists were cut


def test_random_ones_are_distinct_and_each_comes_up_alike(timed_snapshot: Snapshot) -> None:
    everyone = Queries.for_accounts(timed_snapshot)
    nodes = np.asarray(timed_snapshot.account_node)
    sizes = np.array([len(around(timed_snapshot, int(node), timed_snapshot.end_horizon)) for node in nodes])
    for account in (int(np.argmax(sizes)), int(np.flatnonzero(sizes == 6)[0])):
        there = {
            (side, node)
            for side, _, node in around(timed_snapshot, int(nodes[account]), timed_snapshot.end_horizon)
        }
        size = len(there)
        asked = everyone.take(np.full(4000, account))
        drawn = draw(timed_snapshot, asked, fanouts=(4, 1), latest=False, seed=3)
        rows = list(zip(drawn.hop1_side.tolist(), drawn.hop1.tolist(), strict=True))
        assert all(len(set(rows[at : at + 4])) == 4 for at in range(0, len(rows), 4))
        counts = np.array([rows.count(entry) for entry in there])
        assert counts.sum() == len(rows)
        expected = len(rows) / size
        # Five standard deviations of a binomial count.
        assert (np.abs(counts - expected) < 5.0 * np.sqrt(expected)).all()


def test_more_than_64_are_drawn_distinct_too(tmp_path: Path) -> None:
    """One account that met 99 others: its list is longer than the bits of a word."""
    meetings = csv_text("one,other", [("hub", f"a{number}") for number in range(99)])
    snapshot = build_from_text(tmp_path, STAR_SPEC, {"meetings.csv": meetings}).snapshot
    hub = snapshot.account_index("hub")
    assert hub is not None
    asked = Queries.for_accounts(snapshot, np.full(500, hub))
    drawn = draw(snapshot, asked, fanouts=(10, 1), latest=False, seed=1)
    rows = drawn.hop1.reshape(-1, 10)
    assert all(len(set(row)) == 10 for row in rows.tolist())
    counts = np.unique(rows, return_counts=True)[1]
    assert len(counts) == 99
    assert (np.abs(counts - 5000 / 99) < 5.0 * np.sqrt(5000 / 99)).all()


def test_the_ways_of_a_kind_lead_to_every_list_that_its_nodes_have(timed_snapshot: Snapshot) -> None:
    view = view_of(timed_snapshot)
    ways = ways_of(timed_snapshot)
    n_sides = len(view.sides)
    met = 0
    for row in range(2 * n_sides):
        ptr = view.pairs(row)[0]
        for node in np.flatnonzero(np.diff(ptr) > 0):
            if row < n_sides or view.node_account[node] < 0:
                kind = view.node_kind[node]
                assert row in ways.row[ways.ptr[kind] : ways.ptr[kind + 1]]
                met += 1
    assert met > 1000
    assert len(ways.row) < 2 * n_sides * len(timed_snapshot.kinds)  # some are left out


def test_blocks_and_threads_change_nothing(timed_snapshot: Snapshot) -> None:
    asked = Queries.for_accounts(timed_snapshot, moment="1d")
    for latest in (True, False):
        one = draw(timed_snapshot, asked, fanouts=(3, 2), latest=latest, seed=4)
        two = draw(timed_snapshot, asked, fanouts=(3, 2), latest=latest, seed=4, spread=False)
        np.testing.assert_array_equal(one.hop1, two.hop1)
        np.testing.assert_array_equal(one.hop2, two.hop2)
        np.testing.assert_array_equal(one.hop2_side, two.hop2_side)


def test_a_question_alone_is_drawn_as_among_others(timed_snapshot: Snapshot) -> None:
    asked = Queries.for_accounts(timed_snapshot)
    whole = draw(timed_snapshot, asked, fanouts=(3, 2), latest=True)
    for account in (0, 41, 280):
        alone = draw(timed_snapshot, asked.take(np.array([account])), fanouts=(3, 2), latest=True)
        np.testing.assert_array_equal(alone.hop1, whole.hop1[account * 3 : account * 3 + 3])
        np.testing.assert_array_equal(alone.hop2, whole.hop2[account * 6 : account * 6 + 6])


def test_what_came_since_the_snapshot_is_drawn_first(timed_snapshot: Snapshot) -> None:
    """A login from a device of account 0's by a newcomer stands before all that the snapshot holds."""
    live = LiveGraph(timed_snapshot)
    kind = next(number for number, kind in enumerate(timed_snapshot.kinds) if kind.name == "device")
    device = int(np.flatnonzero(np.asarray(timed_snapshot.node_kind) == kind)[0])
    key = timed_snapshot.node_keys[device]
    time_ms = int(np.asarray(timed_snapshot.event_time_ms).max()) + 1000
    event = LiveEvent("login", "newcomer", time_ms, "n1", identifiers=(("device", key),))
    live.apply(JournalRow(1, time_ms, event))
    new = live.account_index("newcomer")
    assert new is not None
    asked = Queries.for_live_event(live, LiveEvent("login", "newcomer", time_ms + 1, "n2"))
    drawn = draw(live, asked, fanouts=(3, 4), latest=True)
    assert drawn.hop1.tolist() == [device, -1, -1]
    assert drawn.hop1_side.tolist()[1:] == [-1, -1]
    # The newcomer's own node comes first among those around the device, then the snapshot's latest.
    assert drawn.hop2[0] >= timed_snapshot.n_nodes
    before = sorted(around(timed_snapshot, device, timed_snapshot.end_horizon), key=lambda entry: -entry[1])
    assert drawn.hop2[1 : 1 + len(before[:3])].tolist() == [node for _, _, node in before[:3]]
