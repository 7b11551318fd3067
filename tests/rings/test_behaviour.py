"""Nearest neighbours in behaviour: as by brute force, bounded, never of accounts without a time."""

import numba
import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from graph_etl import NO_TIME
from rings.behaviour import NEIGHBOURS, Neighbours, behaviour_neighbours, ranked


def drawn(seed: int, n_accounts: int, levels: int = 0) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    draw = np.random.default_rng(seed)
    table = draw.normal(size=(n_accounts, 4)).astype(np.float32)
    if levels:
        table = np.round(table * levels) / np.float32(levels)
    return table, draw.integers(0, 10**9, n_accounts)


def pairs_of(found: Neighbours) -> set[tuple[int, int]]:
    return set(zip(found.a.tolist(), found.b.tolist(), strict=True))


@settings(max_examples=30)
@given(st.integers(0, 10_000), st.integers(1, 60))
def test_neighbours_are_those_of_brute_force(seed: int, n_accounts: int) -> None:
    table, seen_ms = drawn(seed, n_accounts)
    found = behaviour_neighbours(table, seen_ms, np.arange(n_accounts))
    ranks = ranked(table, np.arange(n_accounts)).astype(np.float64)
    gaps = ((ranks[:, None] - ranks[None]) ** 2).sum(axis=2)
    np.fill_diagonal(gaps, np.inf)
    n_near = min(NEIGHBOURS, n_accounts - 1)
    last = np.sort(gaps, axis=1)[:, n_near - 1] if n_near else np.zeros(n_accounts)
    # Of equally distant ones either may be the last neighbour.
    either = np.maximum(last[:, None], last[None])
    surely = np.argwhere(np.triu(gaps < either - 1e-6, 1))
    perhaps = np.argwhere(np.triu(gaps <= either + 1e-6, 1)) if n_near else surely
    assert {tuple(pair) for pair in surely.tolist()} <= pairs_of(found)
    assert pairs_of(found) <= {tuple(pair) for pair in perhaps.tolist()}
    assert (found.a < found.b).all()
    assert (found.better <= found.worse).all()
    np.testing.assert_allclose(found.reach, last / max(1, ranks.shape[1]), atol=1e-6)


def test_only_accounts_that_appeared_around_the_same_time_are_looked_at() -> None:
    draw = np.random.default_rng(0)
    # Two crowds of the same behaviour, a thousand strangers of another between them.
    table = np.concatenate([np.ones((5, 2)), draw.normal(size=(1000, 2)), np.ones((5, 2))])
    found = behaviour_neighbours(table.astype(np.float32), np.arange(1010), np.arange(1010))
    assert (found.b - found.a).max() <= 256
    assert {(0, 1), (3, 4), (1005, 1009)} <= pairs_of(found)


def test_of_equally_near_ones_those_closest_in_time_are_neighbours() -> None:
    table = np.concatenate([np.ones((600, 2)), np.zeros((1, 2))]).astype(np.float32)
    found = behaviour_neighbours(table, np.arange(601), np.arange(601))
    inner = found.b < 600
    assert (found.b - found.a)[inner].max() <= NEIGHBOURS
    middle = found.b[found.a == 300] - 300
    assert sorted(middle.tolist()) == [1, 2, 3, 4, 5]


def test_the_order_of_a_file_decides_nothing_among_those_of_one_time() -> None:
    # Two thousand sign-ups of one day, sorted by group: neighbours must not be those of the next lines.
    found = behaviour_neighbours(np.ones((2000, 1), np.float32), np.zeros(2000, np.int64), np.arange(2000))
    assert len(found) == 0 or np.median(found.b - found.a) > 100
    table = np.random.default_rng(0).integers(0, 2, (2000, 2)).astype(np.float32)
    found = behaviour_neighbours(table, np.zeros(2000, np.int64), np.arange(2000))
    assert np.median(found.b - found.a) > 100


def test_accounts_without_a_time_have_no_neighbours() -> None:
    table, seen_ms = drawn(3, 40)
    seen_ms[:10] = NO_TIME
    found = behaviour_neighbours(table, seen_ms, np.arange(40))
    assert found.a.min() >= 10
    assert not found.reach[:10].any()
    assert len(behaviour_neighbours(table, np.full(40, NO_TIME), np.arange(40))) == 0


def test_neither_threads_nor_chance_change_a_bit() -> None:
    table, seen_ms = drawn(5, 3000, levels=1)
    before = numba.get_num_threads()
    try:
        numba.set_num_threads(1)
        alone = behaviour_neighbours(table, seen_ms, np.arange(3000))
    finally:
        numba.set_num_threads(before)
    together = behaviour_neighbours(table, seen_ms, np.arange(3000))
    for name in ("a", "b", "better", "worse", "reach", "middle"):
        np.testing.assert_array_equal(getattr(alone, name), getattr(together, name))


def test_columns_are_compared_by_rank_and_constant_ones_are_left_out() -> None:
    table = np.array([[1.0, 7.0, 0.0], [1000.0, 7.0, 0.0], [2.0, 7.0, 5.0], [2.0, 7.0, 0.0]], np.float32)
    places = ranked(table, np.arange(4))
    assert places.shape == (4, 2)
    np.testing.assert_allclose(places[:, 0], [-0.75, 0.75, 0.0, 0.0])
