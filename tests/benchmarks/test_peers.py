"""Other people's methods: aggregates against a dense computation, and nothing of the future in them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from scipy import sparse

from benchmarks.peers import graph
from benchmarks.peers.aggregates import aggregates
from benchmarks.peers.as_of import AsOfGraph, AsOfProblem
from benchmarks.peers.problem import OneClass, Part, class_weights
from benchmarks.peers.rules import device_rule, lexical, quick_buyers, sharing_rule
from benchmarks.peers.sage import FullGraph, PlainSage, SampledGraph, plain_sage
from benchmarks.peers.static import StaticProblem
from benchmarks.peers.trees import features_only, rf_graph, xgb_graph
from benchmarks.quality.timed import _signups
from features import Queries
from graph_etl import Snapshot
from tests.building import build_from_text, csv_text

# A path of four with a chord: 0-1, 1-2, 2-3, 1-3; 4 is alone.
DENSE = np.array(
    [[0, 1, 0, 0, 0], [1, 0, 1, 1, 0], [0, 1, 0, 1, 0], [0, 1, 1, 0, 0], [0, 0, 0, 0, 0]], np.float32
)


def test_neighbour_aggregates_are_those_of_a_dense_computation() -> None:
    inputs = np.array([[1, 0], [2, 1], [4, 0], [8, 1], [16, 1]], np.float32)
    found = aggregates(sparse.csr_matrix(DENSE), inputs)
    mean = DENSE / np.maximum(DENSE.sum(axis=1, keepdims=True), 1)
    assert found[:, :2].tolist() == inputs.tolist()
    np.testing.assert_allclose(found[:, 2:4], mean @ inputs, rtol=1e-6)
    np.testing.assert_allclose(found[:, 4:], mean @ mean @ inputs, rtol=1e-6)
    assert found[0, 2:4].tolist() == [2, 1]  # the only neighbour's
    assert found[1, 2] == pytest.approx((1 + 4 + 8) / 3)
    assert found[4, 2:].tolist() == [0, 0, 0, 0]  # nobody to average


def test_the_plain_graph_is_symmetric_and_knows_every_pair_once(timed_snapshot: Snapshot) -> None:
    adjacency = graph.adjacency(timed_snapshot)
    pairs = {
        (node, int(other))
        for relation in timed_snapshot.relations
        for node in range(timed_snapshot.n_nodes)
        for other in relation.pair_out.nbr[relation.pair_out.of(node)]
    }
    wanted = {(a, b) for a, b in pairs if a != b} | {(b, a) for a, b in pairs if a != b}
    assert wanted
    assert set(zip(*(one.tolist() for one in adjacency.nonzero()), strict=True)) == wanted
    assert set(adjacency.data.tolist()) == {1.0}


def test_inputs_hold_attributes_and_degrees(timed_snapshot: Snapshot) -> None:
    table = graph.node_inputs(timed_snapshot)
    own = graph.attribute_columns(timed_snapshot)
    assert own.shape == (timed_snapshot.n_accounts, 3 + 1 + 1)  # three countries, seconds, newsletter
    node = np.asarray(timed_snapshot.account_node)
    np.testing.assert_array_equal(table[node, :5], np.nan_to_num(own))
    assert table[node, 5].all()
    assert table[:, 5].sum() == timed_snapshot.n_accounts
    assert table.shape[1] == 6 + len(graph.sides(timed_snapshot))


def test_as_of_the_end_a_graph_is_the_plain_graph(timed_snapshot: Snapshot) -> None:
    whole = Queries.for_accounts(timed_snapshot)
    plain, timed = StaticProblem(timed_snapshot), AsOfProblem(timed_snapshot, whole)
    np.testing.assert_array_equal(plain.own(), timed.own())
    # 64 neighbours at most are looked at: nodes with more, and whoever reaches them, may differ.
    degree = np.diff(graph.adjacency(timed_snapshot).indptr)
    near = graph.adjacency(timed_snapshot) @ (degree > 64)
    small = (near == 0)[np.asarray(timed_snapshot.account_node)]
    assert small.sum() > 50
    np.testing.assert_allclose(plain.aggregates()[small], timed.aggregates()[small], rtol=1e-4, atol=1e-5)


def test_as_of_inputs_see_nothing_later(timed_snapshot: Snapshot) -> None:
    early = Queries.for_accounts(timed_snapshot, moment="signup")
    known = AsOfGraph(timed_snapshot)
    node = np.asarray(timed_snapshot.account_node).astype(np.int64)
    owner, other = known.recent(node, early.horizon, 1000)
    assert len(owner) > 0
    first: dict[tuple[int, int], int] = {}
    for _, side in graph.sides(timed_snapshot):
        at = np.repeat(np.arange(timed_snapshot.n_nodes), np.diff(side.indptr))
        for one, two, pos in zip(at.tolist(), side.nbr.tolist(), side.pos.tolist(), strict=True):
            for pair in ((one, two), (two, one)):
                first[pair] = min(pos, first.get(pair, pos))
    for row, neighbour in zip(owner.tolist(), other.tolist(), strict=True):
        assert first[int(node[row]), neighbour] < early.horizon[row]
    seen = {(int(node[row]), one) for row, one in zip(owner.tolist(), other.tolist(), strict=True)}
    wanted = {
        (int(at), pair[1])
        for at, horizon in zip(node.tolist(), early.horizon.tolist(), strict=True)
        for pair, pos in first.items()
        if pair[0] == at and pos < horizon and pair[0] != pair[1]
    }
    assert seen == wanted


def test_the_most_recent_neighbours_are_kept(timed_snapshot: Snapshot) -> None:
    known = AsOfGraph(timed_snapshot)
    node = np.asarray(timed_snapshot.account_node).astype(np.int64)
    end = np.full(len(node), timed_snapshot.end_horizon)
    owner, other = known.recent(node, end, 1000)
    busiest = int(np.argmax(np.bincount(owner)))
    all_of_it = other[owner == busiest]
    assert len(all_of_it) > 3
    _, last = known.recent(node[[busiest]], end[[busiest]], 3)
    assert last.tolist() == all_of_it[-3:].tolist()


def test_sampled_and_whole_graph_give_the_same_odds_where_all_neighbours_are_sampled() -> None:
    inputs = np.array([[1, 0], [2, 1], [4, 0], [8, 1], [16, 1]], np.float32)
    whole = FullGraph.of(sparse.csr_matrix(DENSE), inputs, np.arange(5))

    class Dense(AsOfGraph):
        """The drawn graph, all of it visible."""

        def __init__(self) -> None:
            pass

        def inputs(self, node: np.ndarray, horizon: np.ndarray) -> np.ndarray:
            del horizon
            return np.asarray(whole.inputs.numpy()[node])

        def recent(self, node: np.ndarray, horizon: np.ndarray, cap: int) -> tuple[np.ndarray, np.ndarray]:
            del horizon, cap
            at, other = np.nonzero(DENSE[node])
            return at, other

    nodes = np.arange(5)
    trees = [Dense().trees(some, np.zeros(len(some), np.int64), 9) for some in (nodes[:2], nodes[2:])]
    sampled = SampledGraph(trees)
    # Its inputs are scaled over all examples and their neighbours; here they are scaled already.
    for name, tree in (("_x0", "x0"), ("_x1", "x1"), ("_x2", "x2")):
        setattr(sampled, name, np.concatenate([getattr(one, tree) for one in trees]))
    for aggregate in ("mean", "pool"):
        torch.manual_seed(0)
        model = PlainSage(2, 4, 0.0, aggregate).eval()
        rows = np.array([3, 0, 1, 2, 4])
        with torch.no_grad():
            torch.testing.assert_close(sampled.odds(model, rows), whole.odds(model, rows))


def _ring(n: int = 240) -> tuple[sparse.csr_matrix, np.ndarray, np.ndarray]:
    """Cliques of four; in bad ones the neighbours, not the account itself, give it away."""
    rng = np.random.default_rng(0)
    bad = (np.arange(n) // 4) % 3 == 0
    inputs = rng.normal(size=(n, 3)).astype(np.float32)
    inputs[:, 0] += 1.5 * bad
    block = np.kron(np.eye(n // 4), np.ones((4, 4)) - np.eye(4))
    return sparse.csr_matrix(block.astype(np.float32)), inputs, bad.astype(np.int8)


@pytest.mark.parametrize("refit", [False, True])
def test_methods_with_a_graph_beat_one_without_where_neighbours_tell(refit: bool) -> None:
    adjacency, inputs, label = _ring()
    rows = np.arange(len(label))
    thirds = [rows[(rows // 4) % 10 == 0], rows[(rows // 4) % 10 == 1], rows[(rows // 4) % 10 >= 2]]
    part = Part.of("third", thirds[2], thirds[1], thirds[0], label, np.ones(len(label)), refit=refit)
    table = aggregates(adjacency, inputs)
    network = FullGraph.of(adjacency, inputs, rows)
    small = ({"aggregate": "mean", "hidden": 8, "rate": 0.05, "dropout": 0.0, "most": 40},)
    found = {
        "own": features_only(inputs, part),
        "xgb": xgb_graph(table, part),
        "forest": rf_graph(table, part),
        "sage": plain_sage(network, part, settings=small),
    }
    truth = label[part.test] == 1
    gap = {name: one.score[truth].mean() - one.score[~truth].mean() for name, one in found.items()}
    rank = {name: (one.score[truth][:, None] > one.score[~truth]).mean() for name, one in found.items()}
    assert all(one > 0 for one in gap.values())
    assert min(rank["xgb"], rank["forest"], rank["sage"]) >= rank["own"]
    assert all(len(one.score) == len(part.test) for one in found.values())
    assert "validation" in found["xgb"].chosen


def test_nothing_is_learned_from_labels_that_are_all_alike() -> None:
    adjacency, inputs, label = _ring(24)
    rows = np.arange(24)
    part = Part.of("alike", rows[4:8], rows[8:12], rows[:4], label, np.ones(24), refit=False)
    with pytest.raises(OneClass, match="all alike"):
        xgb_graph(aggregates(adjacency, inputs), part)
    # One class in validation: the first settings, all labels.
    part = Part.of("few", rows[:8], rows[16:20], rows[8:12], label, np.ones(24), refit=False)
    assert not part.can_choose
    assert "validation" not in rf_graph(aggregates(adjacency, inputs), part).chosen


def test_both_classes_weigh_the_same() -> None:
    weight = class_weights(np.array([1, 0, 0, 0], np.int8), np.array([0.5, 1.0, 1.0, 1.0]))
    assert weight.tolist() == [3.0, 1.0, 1.0, 1.0]


def test_lexical_order_breaks_ties_by_the_next_column() -> None:
    score = lexical(np.array([[1, 0], [0, 9], [1, 2], [0, 9]], np.float32))
    assert score.argsort(kind="stable").tolist() == [1, 3, 0, 2]
    assert score[1] == score[3]


SHOP = """
ringwatch: 1
name: shop
title: Sign-ups and purchases.
sources: {orders: {path: orders.csv}}
kinds: {device: {identifier: true, public: true}}
accounts:
  - {source: orders, id: user, time: signup, identifiers: {device: device}, attributes: {age: number}}
events:
  - {source: orders, type: purchase, from: {account: user}, time: bought, identifiers: {device: device}}
verdicts:
  - {source: orders, account: user, label: label, bad: ["1"], good: ["0"], time: bought, delay: 30d}
moments: [signup, retrospective]
"""


@pytest.fixture
def shop(tmp_path: Path) -> Snapshot:
    """Four sign-ups on device d, one on e; the second buys within a minute."""
    rows = [
        ("u1", "2015-01-01T00:00:00Z", "2015-01-05T00:00:00Z", "d", 30, 0),
        ("u2", "2015-01-02T00:00:00Z", "2015-01-02T00:01:00Z", "d", 31, 1),
        ("u3", "2015-01-03T00:00:00Z", "2015-01-03T00:02:00Z", "d", 32, 1),
        ("u4", "2015-01-04T00:00:00Z", "2015-02-04T00:00:00Z", "d", 33, 1),
        ("u5", "2015-01-04T12:00:00Z", "2015-03-04T00:00:00Z", "e", 34, 0),
    ]
    return build_from_text(
        tmp_path, SHOP, {"orders.csv": csv_text("user,signup,bought,device,age,label", rows)}
    ).snapshot


def _by_id(snapshot: Snapshot, values: np.ndarray) -> dict[str, float]:
    return dict(zip(snapshot.account_ids.to_list(), np.asarray(values, float).tolist(), strict=True))


def test_rules_of_a_shop_see_what_was_there(shop: Snapshot) -> None:
    at_signup = Queries.for_accounts(shop, moment="signup")
    assert _by_id(shop, device_rule(shop, at_signup)) == {"u1": 0, "u2": 0, "u3": 1, "u4": 1, "u5": 0}
    whole = device_rule(shop, Queries.for_accounts(shop))
    assert _by_id(shop, whole) == {"u1": 1, "u2": 1, "u3": 1, "u4": 1, "u5": 0}
    assert _by_id(shop, quick_buyers(shop)) == {"u1": 0, "u2": 1, "u3": 0, "u4": 0, "u5": 0}
    sharing = _by_id(shop, sharing_rule(shop, at_signup))
    assert sharing["u5"] == sharing["u1"] < sharing["u2"] < sharing["u3"] < sharing["u4"]


def test_reputation_counts_known_bad_accounts_on_the_same_thing_and_never_the_account_itself(
    shop: Snapshot,
) -> None:
    problem = AsOfProblem(shop, Queries.for_accounts(shop, moment="signup"))
    account = {one: at for at, one in enumerate(shop.account_ids.to_list())}
    label = np.full(5, -1, np.int8)
    label[account["u1"]], label[account["u2"]], label[account["u5"]] = 0, 1, 0
    found = _by_id(shop, problem.reputation(label))
    usual = 1 / 3
    assert found["u1"] == 0  # nobody else was there yet
    assert found["u2"] == pytest.approx((0 + 2 * usual) / 3)  # u1, good
    assert found["u3"] == pytest.approx((1 + 2 * usual) / 4)
    assert found["u5"] == 0  # alone on its device, and its own verdict says nothing of it


def test_a_shop_is_cut_in_time(shop: Snapshot, tmp_path: Path) -> None:
    from graph_etl import Workspace

    day = 86_400_000
    cut_ms = int(np.asarray(shop.first_seen_ms).min()) + 3 * day
    built = (shop, Workspace(tmp_path / "cuts"))
    data = _signups(built, "shop", "the fourth day", cut_ms, cut_ms + day)
    part = data.parts[0]
    assert (len(part.train) + len(part.valid), len(part.test)) == (3, 2)
    assert (part.label[part.test] == -1).all()
    assert sorted(data.label[data.judged.rows].tolist()) == [0, 1]
    early = _signups(built, "shop", "the fourth day", cut_ms, cut_ms + day, labels="known")
    assert len(early.parts[0].train) + len(early.parts[0].valid) == 0  # a charge-back takes 30 days
    assert sorted(early.label[early.judged.rows].tolist()) == [0, 1]
