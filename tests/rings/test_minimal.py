"""The smallest set of things without which a ring dissolves."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import rings
from features import graph_of, profiles
from features.without import Edge, without
from graph_etl import Snapshot
from rings import LinkConfig, Links
from rings.evidence import Grounds, evidence
from rings.links import links_of_graph
from rings.minimal import IN_STEP, Pieces, behaviour_alone, is_dissolved, minimal, pieces_of
from rings.pairs import pair_columns
from rings.weighing import Weighing
from tests.building import memory_folder
from tests.rings.drawing import Game, indices

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from rings.pairs import PairModel, Pairs

DAY = 60.0 * 24
WEAK = 0.05


def grounds_of(snapshot: Snapshot, *groups: list[str], links: Links | None = None) -> Grounds:
    """Grounds of rings that the test names itself."""
    member = np.full(snapshot.n_accounts, -1, np.int32)
    for ring, accounts in enumerate(groups):
        member[indices(snapshot, accounts)] = ring
    ones = np.ones(len(groups))
    return Grounds(
        snapshot=snapshot,
        horizon=snapshot.end_horizon,
        member=member,
        links=rings.links(snapshot) if links is None else links,
        known_bad=np.zeros(snapshot.n_accounts, np.bool_),
        density=ones,
        p_value=ones,
        q_value=ones,
        nearest=[[] for _ in groups],
    )


def largest(pieces: Pieces, ring: int, size: int, gone: set[int]) -> int:
    """Brute force: members of the largest part that is left without some pieces (rows of the ring)."""
    parent = list(range(size))

    def root(at: int) -> int:
        while parent[at] != at:
            at = parent[at]
        return at

    for link in range(int(pieces.link_ptr[ring]), int(pieces.link_ptr[ring + 1])):
        rows = range(int(pieces.part_ptr[link]), int(pieces.part_ptr[link + 1]))
        strength = float(pieces.loose[link]) + sum(
            float(pieces.strength[row])
            for row in rows
            if int(pieces.part[row]) not in gone and int(pieces.other[row]) not in gone
        )
        if strength >= -np.log1p(-WEAK):
            left, right = root(int(pieces.a[link])), root(int(pieces.b[link]))
            parent[max(left, right)] = min(left, right)
    roots = [root(at) for at in range(size)]
    return max(roots.count(at) for at in roots)


def rows_of(pieces: Pieces, ring: int, nodes: list[int]) -> list[int]:
    here = pieces.node[int(pieces.ring_ptr[ring]) : int(pieces.ring_ptr[ring + 1])].tolist()
    return [here.index(node) for node in nodes]


def node(snapshot: Snapshot, kind: str, key: str) -> int:
    found = snapshot.node_index(kind, key)
    assert found is not None
    return found


@pytest.mark.parametrize(
    ("left", "size", "dissolved"),
    [(6, 12, False), (5, 12, True), (2, 3, True), (3, 3, False), (3, 6, False), (2, 4, True), (3, 7, True)],
)
def test_half_of_the_members_still_make_the_ring(left: int, size: int, dissolved: bool) -> None:
    assert is_dissolved(left, size) is dissolved


def test_one_device_for_all_is_the_whole_explanation(tmp_path: Path) -> None:
    game = Game()
    game.strangers(60, 60 * DAY)
    for at in range(8):
        game.signup(f"m{at}", DAY * 7 * at, "phone")
    snapshot = game.build(tmp_path)
    (found,) = minimal(grounds_of(snapshot, [f"m{at}" for at in range(8)]), WEAK)
    assert found.nodes == [node(snapshot, "device", "phone")]
    assert (found.members, found.left, found.dissolves) == ([8], 1, True)
    assert found.carries == pytest.approx([1.0])
    assert found.together == pytest.approx(1.0)


def farms_on_one_address(sizes: list[int]) -> Game:
    """Members on a device each farm has to itself, all on one address; nothing else, weeks apart."""
    game = Game()
    game.strangers(60, 60 * DAY)
    at = 0
    for farm, size in enumerate(sizes):
        for _ in range(size):
            game.signup(f"m{at:02}", 3 * DAY * at, f"phone{farm}", "203.0.113.9")
            at += 1
    return game


def test_what_joins_small_parts_goes_and_the_parts_may_stay(tmp_path: Path) -> None:
    snapshot = farms_on_one_address([4, 4, 4]).build(tmp_path)
    members = [f"m{at:02}" for at in range(12)]
    (found,) = minimal(grounds_of(snapshot, members), WEAK)
    kinds = [snapshot.kinds[int(snapshot.node_kind[at])].name for at in found.nodes]
    # The subnet, derived from the address, joins them as well; without both four of twelve are left.
    assert "ip" in kinds
    assert "device" not in kinds
    assert (found.left, found.dissolves) == (4, True)


def test_halves_are_still_the_ring_so_their_devices_go_too(tmp_path: Path) -> None:
    snapshot = farms_on_one_address([6, 6]).build(tmp_path)
    (found,) = minimal(grounds_of(snapshot, [f"m{at:02}" for at in range(12)]), WEAK)
    assert {node(snapshot, "device", f"phone{farm}") for farm in range(2)} <= set(found.nodes)
    assert (found.left, found.dissolves) == (1, True)


def test_gifts_to_one_member_are_its_dealings(tmp_path: Path) -> None:
    game = Game()
    game.strangers(60, 60 * DAY)
    game.signup("fence", 0)
    for at in range(6):
        game.signup(f"m{at}", 8 * DAY * at + 500)
        game.gift(f"m{at}", "fence", 8 * DAY * at + 900)
    snapshot = game.build(tmp_path)
    grounds = grounds_of(snapshot, ["fence", *(f"m{at}" for at in range(6))])
    (found,) = minimal(grounds, WEAK)
    fence = snapshot.account_index("fence")
    assert fence is not None
    assert found.nodes == [int(snapshot.account_node[fence])]
    assert found.members == [7]  # itself and those that dealt with it
    (piece,) = [piece for piece in evidence(grounds)[0] if piece["type"] == "minimal"]
    assert piece["things"][0]["what"] == "dealings"
    told = {one["id"]: one["type"] for one in evidence(grounds)[0]}
    assert "counterpart" in {told[name] for name in piece["things"][0]["evidence"]}


def test_members_that_only_appeared_together_dissolve_without_that(tmp_path: Path) -> None:
    game = Game()
    for at in range(300):
        game.signup(f"x{at:03}", 120.0 * at, form_s=30 + (at * 37) % 60)
    names = [f"x{at:03}" for at in range(5)]
    snapshot = game.build(tmp_path)
    a = np.array([0, 0, 1, 2, 3], np.int32)
    b = np.array([1, 2, 2, 3, 4], np.int32)
    account = np.array(indices(snapshot, names), np.int32)
    alone = Links(
        np.minimum(account[a], account[b]), np.maximum(account[a], account[b]), np.full(5, 0.1, np.float32),
        np.full(5, 4, np.uint8), np.full(5, -1, np.int32),
    )  # fmt: skip
    (found,) = minimal(grounds_of(snapshot, names, links=alone), WEAK)
    assert (found.nodes, found.members, found.left) == ([IN_STEP], [5], 1)


def test_a_ring_that_nothing_explains_says_so(tmp_path: Path) -> None:
    game = Game()
    game.strangers(40, 60 * DAY)
    names = ["x0001", "x0002", "x0003"]
    snapshot = game.build(tmp_path)
    at = sorted(indices(snapshot, names))
    # Links that say "shared" where nothing is: another graph's.
    strange = Links(
        np.array([at[0], at[1]], np.int32),
        np.array([at[1], at[2]], np.int32),
        np.full(2, 0.5, np.float32),
        np.ones(2, np.uint8),
        np.full(2, -1, np.int32),
    )
    (found,) = minimal(grounds_of(snapshot, names, links=strange), WEAK)
    assert (found.nodes, found.left, found.dissolves) == ([], 3, False)


@settings(max_examples=25)
@given(st.data())
def test_the_set_dissolves_and_none_of_it_can_be_left_out(data: st.DataObject) -> None:
    size = data.draw(st.integers(3, 12))
    on = data.draw(st.lists(st.tuples(st.integers(0, 4), st.integers(0, 3)), min_size=size, max_size=size))
    gifts = data.draw(st.lists(st.tuples(st.integers(0, size - 1), st.integers(0, size - 1)), max_size=8))
    game = Game()
    game.strangers(40, 60 * DAY)
    for at, (device, address) in enumerate(on):
        game.signup(f"m{at:02}", 11.0 * at, f"d{device}", f"203.0.{address}.9" if address else "")
    for sender, receiver in gifts:
        if sender != receiver:
            game.gift(f"m{sender:02}", f"m{receiver:02}", 5000.0)
    with memory_folder() as folder:
        snapshot = game.build(Path(folder))
        grounds = grounds_of(snapshot, [f"m{at:02}" for at in range(size)])
        (found,) = minimal(grounds, WEAK)
        pieces = pieces_of(grounds)
        rows = rows_of(pieces, 0, found.nodes)
        assert largest(pieces, 0, size, set(rows)) == found.left
        assert found.dissolves == is_dissolved(found.left, size)
        assert found.dissolves
        for row in rows:
            assert not is_dissolved(largest(pieces, 0, size, set(rows) - {row}), size)


def test_the_parts_of_a_link_add_up_to_it(timed_snapshot: Snapshot) -> None:
    farm = [f"farm{at:02}" for at in range(14)]
    grounds = grounds_of(timed_snapshot, farm)
    pieces = pieces_of(grounds)
    links, member = grounds.links, grounds.member
    inside = (member[links.a] == 0) & (member[links.b] == 0)
    assert inside.sum() == len(pieces.a) > 20
    sums = pieces.loose + np.add.reduceat(pieces.strength, pieces.part_ptr[:-1])
    assert -np.expm1(-sums) == pytest.approx(links.weight[inside], rel=1e-5)


def test_the_links_are_gone_once_the_set_is_taken_out_of_the_graph(timed_snapshot: Snapshot) -> None:
    farm = [f"farm{at:02}" for at in range(14)]
    (found,) = minimal(grounds_of(timed_snapshot, farm), WEAK)
    accounts = np.array(sorted(indices(timed_snapshot, farm)))
    nodes = [at for at in found.nodes if at != IN_STEP]
    graph = without(
        timed_snapshot,
        [Edge(int(account), at) for account in accounts for at in nodes],
    )
    table = profiles(timed_snapshot)
    table[accounts] = profiles(graph, accounts)
    config = LinkConfig(synchrony=0.0 if IN_STEP in found.nodes else 0.2)
    left = links_of_graph(
        timed_snapshot, graph_of(graph), table, accounts, timed_snapshot.end_horizon, config
    )
    strong = left.take(left.weight >= WEAK)
    within = np.isin(strong.a, accounts) & np.isin(strong.b, accounts)
    parts = {int(account): {int(account)} for account in accounts}
    for a, b in zip(strong.a[within].tolist(), strong.b[within].tolist(), strict=True):
        if parts[a] is not parts[b]:
            parts[a] |= parts[b]
            for account in parts[b]:
                parts[account] = parts[a]
    assert is_dissolved(max(len(part) for part in parts.values()), 14)


class Likely:
    """A model that goes by how many accounts are alike to both, and counts what it is asked."""

    def __init__(self) -> None:
        self.asked = 0

    def probability(self, pairs: Pairs, **where: Any) -> NDArray[np.float32]:
        assert set(where) == {"spread", "tell"}
        self.asked += len(pairs)
        common = pairs.features(np.arange(len(pairs)))[:, pair_columns(0).index("common_like")]
        return (1.0 / (2.0 + common)).astype(np.float32)


def test_behaviour_alone_is_asked_for_inside_rings_and_says_what_it_would_of_all(
    timed_snapshot: Snapshot,
) -> None:
    snapshot, model = timed_snapshot, Likely()
    weighing = Weighing(snapshot, snapshot.end_horizon, LinkConfig(), model=cast("PairModel", model))
    pairs = weighing.pairs(rings.links(snapshot))
    everybody = behaviour_alone(weighing, pairs, np.zeros(snapshot.n_accounts, np.int32))
    assert everybody is not None
    model.asked = 0
    member = np.full(snapshot.n_accounts, -1, np.int32)
    member[:40], member[40:100] = 0, 1
    some = behaviour_alone(weighing, pairs, member)
    assert some is not None
    inside = (member[everybody.a] >= 0) & (member[everybody.a] == member[everybody.b])
    assert 0 < inside.sum() == model.asked < len(everybody)
    assert np.array_equal(some.weight, everybody.weight[inside])
    assert np.array_equal(some.a, everybody.a[inside])
    nobody = behaviour_alone(weighing, pairs, np.full(snapshot.n_accounts, -1, np.int32))
    assert nobody is not None
    assert not len(nobody)
