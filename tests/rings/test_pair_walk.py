"""Trees of pairs walked by compiled code: LightGBM's own probabilities, bit by bit."""

from __future__ import annotations

from itertools import pairwise

import lightgbm
import numpy as np
import pytest

from graph_etl import NO_TIME
from rings.behaviour import NEIGHBOURS, Neighbours
from rings.links import Links
from rings.pair_walk import merged, neighbours_of, read_forest
from rings.pairs import PairModel, Pairs

N_ACCOUNTS = 60
WIDTH = 5


def drawn(seed: int, *, holes: bool) -> Pairs:
    """Random pairs; with holes, some profiles and times are not known."""
    random = np.random.default_rng(seed)
    profiles = random.normal(size=(N_ACCOUNTS, WIDTH)).astype(np.float32)
    seen_ms = random.integers(0, 10**9, N_ACCOUNTS)
    if holes:
        profiles[random.random(profiles.shape) < 0.2] = np.nan
        seen_ms[::7] = NO_TIME
    key = np.sort(random.choice(N_ACCOUNTS**2, 1200, replace=False))
    key = key[key // N_ACCOUNTS < key % N_ACCOUNTS]
    a, b = (key // N_ACCOUNTS).astype(np.int32), (key % N_ACCOUNTS).astype(np.int32)
    weight = random.random(len(a)).astype(np.float32)
    links = Links(a, b, weight, np.ones(len(a), np.uint8), np.full(len(a), -1, np.int32))
    ranks = random.integers(0, NEIGHBOURS, (2, len(a) // 3)).astype(np.float32)
    reach = random.random(N_ACCOUNTS).astype(np.float32)
    table = random.normal(size=(N_ACCOUNTS, 11)).astype(np.float32)
    some = slice(0, 3 * ranks.shape[1], 3)
    near = Neighbours(a[some], b[some], ranks[0], ranks[1], reach, reach * np.float32(0.5), table)
    return Pairs.of(links, near, profiles, seen_ms)


@pytest.mark.parametrize("n_leaves", [2, 9, 32])
@pytest.mark.parametrize("holes", [False, True])
@pytest.mark.parametrize("rounds", [1, 23])
def test_probabilities_are_those_of_lightgbm(holes: bool, rounds: int, n_leaves: int) -> None:
    pairs = drawn(rounds, holes=holes)
    rows = pairs.features(np.arange(len(pairs)))
    assert np.isnan(rows).any() == holes
    together = np.random.default_rng(1).random(len(pairs)) < 0.3
    settings = {
        "objective": "binary",
        "num_leaves": n_leaves,
        "min_child_samples": 5,
        "verbose": -1,
        "num_threads": 1,
    }
    booster = lightgbm.train(settings, lightgbm.Dataset(rows, together.astype(np.float64)), rounds)
    model = PairModel(booster.model_to_string(), WIDTH, {})
    np.testing.assert_array_equal(model.probability(pairs), np.asarray(booster.predict(rows), np.float32))
    # What is missing only when it is asked for.
    other = drawn(99, holes=True)
    expected = np.asarray(booster.predict(other.features(np.arange(len(other)))), np.float32)
    np.testing.assert_array_equal(model.probability(other), expected)


def test_trees_of_more_leaves_than_bits_are_refused() -> None:
    random = np.random.default_rng(0)
    rows, together = random.random((2000, 3)), random.random(2000) < 0.5
    settings = {
        "objective": "binary",
        "num_leaves": 33,
        "min_child_samples": 5,
        "verbose": -1,
        "num_threads": 1,
    }
    booster = lightgbm.train(settings, lightgbm.Dataset(rows, together.astype(np.float64)), 1)
    with pytest.raises(ValueError, match="trees of 33 leaves cannot be walked; 32 are the most"):
        read_forest(booster.model_to_string())


def test_other_models_are_refused() -> None:
    rows = np.random.default_rng(0).random((200, 3))
    data = lightgbm.Dataset(rows, rows[:, 0])
    booster = lightgbm.train({"objective": "regression", "verbose": -1, "num_threads": 1}, data, 2)
    with pytest.raises(ValueError, match="only binary ones can"):
        read_forest(booster.model_to_string())


def test_lists_are_merged_without_doubles() -> None:
    left, right = np.array([1, 4, 6, 9]), np.array([0, 4, 5, 9, 12])
    assert merged(left, right).tolist() == [0, 1, 4, 5, 6, 9, 12]
    assert merged(left, np.zeros(0, np.int64)).tolist() == [1, 4, 6, 9]
    assert merged(np.zeros(0, np.int64), right).tolist() == right.tolist()


def test_neighbours_come_in_order_with_their_weights() -> None:
    one, other = np.array([0, 0, 1, 2], np.int32), np.array([2, 3, 2, 3], np.int32)
    weight = np.array([0.1, 0.2, 0.3, 0.4], np.float32)
    start, others, weights = neighbours_of(one, other, weight, 4)
    found = [others[a:b].tolist() for a, b in pairwise(start.tolist())]
    assert found == [[2, 3], [2], [0, 1, 3], [0, 2]]
    np.testing.assert_allclose(weights, [0.1, 0.2, 0.3, 0.1, 0.3, 0.4, 0.2, 0.4])
