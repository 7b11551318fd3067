"""Layer by layer over all accounts gives what sampling around each gives where both see the same ones."""

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from features import LiveGraph, Queries
from gnn import Bundle
from gnn.layerwise import LayerwiseSage, Parts, embed_all, n_blocks
from gnn.sage import SageInputs, run_sage
from gnn.sage_encoding import encoding_of, stack
from gnn.sage_kernel import Sage
from gnn.sage_network import GraphSage
from gnn.sampler import described, n_message_types
from graph_etl import Snapshot
from tests.building import Built, build_from_text, csv_text

SPARSE_SPEC = """
ringwatch: 1
name: sparse
title: Logins and gifts of a few.
simulated: true
sources:
  gifts: {path: gifts.csv}
kinds:
  device: {identifier: false, public: true, normalise: exact}
events:
  - source: gifts
    type: gift
    from: {account: sender}
    to: {account: receiver}
    identifiers: {device: device}
"""


@pytest.fixture(scope="module")
def sparse(tmp_path_factory: pytest.TempPathFactory) -> Snapshot:
    """Few gifts an account, few accounts a device: no list is longer than ten."""
    rng = np.random.default_rng(3)
    ends = rng.integers(0, 60, (90, 2))
    rows = [(f"a{one}", f"a{other}", f"d{one // (1 + one % 3)}") for one, other in ends if one != other]
    built: Built = build_from_text(
        tmp_path_factory.mktemp("sparse"),
        SPARSE_SPEC,
        {"gifts.csv": csv_text("sender,receiver,device", rows)},
    )
    return built.snapshot


def drawn_model(snapshot: Snapshot, fanouts: tuple[int, int], members: int) -> Sage:
    """Weights by chance; the account's own inputs stand for its row."""
    torch.manual_seed(5)
    table = described(snapshot)
    encoding = encoding_of(table, table)
    networks = [
        GraphSage(len(encoding.columns), 2 * table.shape[1], n_message_types(snapshot), 12, 8)
        for _ in range(members)
    ]
    return stack([network.state_dict() for network in networks], encoding, 0, fanouts)


def all_of(
    snapshot: Snapshot, model: Sage, full: bool, shift: int = 16
) -> tuple[NDArray[np.float64], NDArray[np.float32]]:
    blocks = list(embed_all(snapshot, model, full=full, shift=shift))
    np.testing.assert_array_equal(
        np.concatenate([part[0] for part in blocks]), np.arange(snapshot.n_accounts)
    )
    return np.concatenate([part[1] for part in blocks]), np.concatenate([part[2] for part in blocks])


@pytest.mark.parametrize("full", [False, True])
@pytest.mark.parametrize("members", [1, 3])
def test_where_nothing_is_cut_both_ways_give_the_same(sparse: Snapshot, full: bool, members: int) -> None:
    model = drawn_model(sparse, (10, 10), members)
    asked = Queries.for_accounts(sparse)
    odds, embedding = run_sage(model, SageInputs.of(sparse, asked), asked)
    found_odds, found = all_of(sparse, model, full)
    np.testing.assert_allclose(found, embedding, rtol=1e-5, atol=1e-5)
    np.testing.assert_allclose(found_odds, odds, rtol=1e-5, atol=1e-5)
    assert len(np.unique(odds)) > 30  # not vacuous


@pytest.mark.parametrize("fanouts", [(10, 4), (2, 1)])
def test_the_latest_are_cut_as_sampling_cuts_them(timed_snapshot: Snapshot, fanouts: tuple[int, int]) -> None:
    model = drawn_model(timed_snapshot, fanouts, 2)
    asked = Queries.for_accounts(timed_snapshot)
    odds, embedding = run_sage(model, SageInputs.of(timed_snapshot, asked), asked)
    found_odds, found = all_of(timed_snapshot, model, full=False)
    np.testing.assert_allclose(found, embedding, rtol=1e-5, atol=1e-5)
    np.testing.assert_allclose(found_odds, odds, rtol=1e-5, atol=1e-5)
    assert np.abs(all_of(timed_snapshot, model, full=True)[1] - embedding).max() > 0.01  # much is cut here


@pytest.mark.parametrize("full", [False, True])
def test_all_neighbours_are_those_that_a_wide_sample_draws(timed_snapshot: Snapshot, full: bool) -> None:
    """With a fanout above every list, the sample holds them all; read piece by piece or at once."""
    wide = drawn_model(timed_snapshot, (300, 300), 1)
    narrow = drawn_model(timed_snapshot, (3, 2), 1)
    asked = Queries.for_accounts(timed_snapshot).take(np.arange(0, 300, 7))
    _, embedding = run_sage(wide, SageInputs.of(timed_snapshot, asked), asked)
    _, found = all_of(timed_snapshot, narrow if full else wide, full=full)
    np.testing.assert_allclose(found[asked.account], embedding, rtol=1e-5, atol=1e-5)


def test_a_trained_model_that_takes_rows(timed_bundle: Bundle, timed_snapshot: Snapshot) -> None:
    sage = timed_bundle.sage
    assert sage is not None
    assert sage.row_width > 0
    epochs = timed_bundle.epochs_for(timed_snapshot)
    asked = Queries.for_accounts(timed_snapshot)
    odds, embedding = run_sage(sage, SageInputs.of(timed_snapshot, asked, epochs), asked)
    parts = list(embed_all(timed_snapshot, sage, epochs, shift=6))
    assert len(parts) == n_blocks(timed_snapshot.n_accounts, 6) == 5
    np.testing.assert_allclose(np.concatenate([part[2] for part in parts]), embedding, rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(np.concatenate([part[1] for part in parts]), odds, rtol=1e-4, atol=1e-5)


def test_blocks_change_next_to_nothing_and_order_nothing(timed_snapshot: Snapshot) -> None:
    model = drawn_model(timed_snapshot, (4, 3), 2)
    whole = all_of(timed_snapshot, model, full=False)
    cut = all_of(timed_snapshot, model, full=False, shift=5)
    np.testing.assert_allclose(cut[1], whole[1], rtol=1e-5, atol=1e-6)
    told: list[tuple[int, int]] = []
    list(embed_all(timed_snapshot, model, shift=5, progress=lambda done, total: told.append((done, total))))
    assert told[-1][0] == told[-1][1] == len(told) == 2 * 10 + 38


def test_a_live_graph_and_another_schema_are_refused(timed_snapshot: Snapshot, sparse: Snapshot) -> None:
    model = drawn_model(timed_snapshot, (4, 3), 1)
    with pytest.raises(TypeError, match="needs a snapshot, not a live graph"):
        LayerwiseSage(LiveGraph(timed_snapshot), model)
    with pytest.raises(ValueError, match="inputs of a node, the snapshot gives"):
        LayerwiseSage(sparse, model)


def test_nobody_is_nobody(sparse: Snapshot) -> None:
    layers = LayerwiseSage(sparse, drawn_model(sparse, (4, 3), 1))
    sent = Parts([layers.sent(0, Parts([layers.shown(0)]))])
    odds, embedding = layers.heard(np.zeros(0, np.int64), sent)
    assert odds.shape == (0,)
    assert embedding.shape == (0, 12)
