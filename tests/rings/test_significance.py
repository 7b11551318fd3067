"""Significance: how often chance alone makes a group as tight, and no rings where there are none."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import rings
from rings.links import Links
from rings.null_model import _deal_symmetric
from rings.significance import (
    benjamini_hochberg,
    group_sums,
    shrunken_mean,
    standing_out,
    tail_p_values,
)
from tests.rings.drawing import noise_bridge


def test_density_and_tightness_by_hand() -> None:
    # Accounts 0, 1, 2 are one group with two links of 0.5 on three pairs, 3 and 4 are none.
    links = Links(
        np.array([0, 0, 2], np.int32),
        np.array([1, 2, 3], np.int32),
        np.array([0.5, 0.5, 0.9], np.float32),
        np.ones(3, np.uint8),
        np.full(3, -1, np.int32),
    )
    sums = group_sums(links, np.array([0, 0, 0, -1, -1], np.int32))
    assert sums.size.tolist() == [3]
    assert sums.density == pytest.approx([1 / 3])
    assert sums.tightness == pytest.approx([np.log2(3) / 3])


def test_p_values_count_the_null_groups_and_go_on_beyond_them() -> None:
    null = np.linspace(0.0, 1.0, 1000)
    p_values = tail_p_values(np.array([0.0, 0.5, 1.0, 2.0, 3.0]), null, null_runs=1, n_groups=1000)
    assert p_values[0] == pytest.approx(1.0)
    assert p_values[1] == pytest.approx(0.5, abs=0.002)
    assert 0.001 <= p_values[2] < 0.02  # one of a thousand reaches 1.0; the fit is cautious
    assert (np.diff(p_values) < 0).all()
    assert p_values[4] < 1e-6


def test_fewer_null_groups_than_rings_make_rings_less_likely_by_chance() -> None:
    null = np.linspace(0.0, 1.0, 100)
    few = tail_p_values(np.array([0.5]), null, null_runs=1, n_groups=1000)
    assert few[0] == pytest.approx(50 / 1000, abs=0.001)


def test_a_heavy_tail_makes_the_p_values_of_what_lies_in_it_larger() -> None:
    light = np.linspace(0.0, 0.5, 1000)
    heavy = np.concatenate([light[:-3], [0.8, 0.85, 0.9]])
    observed = np.array([0.95])
    p_light = tail_p_values(observed, light, null_runs=1, n_groups=1000)
    p_heavy = tail_p_values(observed, heavy, null_runs=1, n_groups=1000)
    assert p_heavy[0] > 10 * p_light[0]


def test_no_null_run_is_an_error() -> None:
    with pytest.raises(ValueError, match="null_runs must be above 0, got 0"):
        tail_p_values(np.zeros(1), np.zeros(1), null_runs=0, n_groups=1)


def test_a_null_model_without_groups_still_gives_p_values() -> None:
    p_values = tail_p_values(np.array([0.4, 0.1]), np.zeros(0), null_runs=4, n_groups=2)
    assert p_values == pytest.approx([1 / 9, 1 / 9])


def test_behaviour_and_tightness_are_pooled() -> None:
    null, null_odds = np.linspace(0.0, 1.0, 1000), np.tile([-1.0, 0.0, 1.0, 0.0], 250)
    tightness, odds = np.array([0.9, 0.9, 0.9, 0.5, 0.5]), np.array([-4.0, 0.0, 8.0, 0.0, 8.0])
    p_values = standing_out(tightness, odds, null, null_odds, 1, 1000)
    assert (np.diff(p_values[:3]) < 0).all()
    assert p_values[4] < p_values[1] < p_values[3]
    # Tightness alone leaves one in ten as tight as 0.9.
    assert p_values[2] < 0.001 < 0.05 < p_values[1]


@given(st.integers(0, 2**32 - 1), st.floats(-1.0, 1.0))
def test_groups_like_those_of_chance_do_not_stand_out_however_their_parts_hang_together(
    seed: int, together: float
) -> None:
    draw = np.random.default_rng(seed)

    def groups(n: int) -> tuple[np.ndarray, np.ndarray]:
        tightness = draw.exponential(size=n)
        return tightness, 3.0 * together * tightness + draw.normal(size=n)

    null, found = groups(3000), groups(1000)
    p_values = standing_out(*found, *null, 3, 1000)
    assert (benjamini_hochberg(p_values) < 0.05).mean() <= 0.01


@given(st.lists(st.floats(1e-12, 1.0), min_size=1, max_size=60))
def test_q_values_keep_the_order_and_are_never_below_p(values: list[float]) -> None:
    p_values = np.array(values)
    q_values = benjamini_hochberg(p_values)
    assert (q_values >= p_values - 1e-15).all()
    assert (q_values <= 1.0).all()
    order = np.argsort(p_values)
    assert (np.diff(q_values[order]) >= -1e-15).all()


def test_the_null_model_keeps_what_a_dense_core_touches() -> None:
    # Thirty accounts that deal with very many: dealt out once many of their pairs come out twice.
    draw = np.random.default_rng(0)
    degree = np.concatenate([np.full(30, 150), np.full(1500, 12)])
    ends = draw.permutation(np.repeat(np.arange(1530), degree))
    pairs = np.sort(ends.reshape(-1, 2), axis=1)
    pairs = np.unique(pairs[pairs[:, 0] != pairs[:, 1]], axis=0)
    one, other, kept = _deal_symmetric(pairs[:, 0], pairs[:, 1], np.random.default_rng(1), 1530)
    before = np.bincount(pairs.ravel(), minlength=1530)
    after = np.bincount(np.concatenate([one, other]), minlength=1530)
    assert after[:30].sum() >= 0.995 * before[:30].sum()
    assert kept.mean() > 0.995
    assert (one != other).all()
    both = np.stack([np.minimum(one, other), np.maximum(one, other)], axis=1)
    assert len(np.unique(both, axis=0)) == len(both)
    # Not the same pairs again.
    assert len(np.unique(np.concatenate([both, pairs]), axis=0)) > 1.3 * len(pairs)


def test_q_values_by_hand() -> None:
    # Sorted: 0.005 * 4 / 1, 0.01 * 4 / 2, 0.03 * 4 / 3 = 0.04, 0.5 * 4 / 4; 0.02 and 0.02 are level.
    q_values = benjamini_hochberg(np.array([0.03, 0.005, 0.5, 0.01]))
    assert q_values == pytest.approx([0.04, 0.02, 0.5, 0.02])


def test_a_small_ring_is_drawn_to_the_platforms_mean() -> None:
    means = shrunken_mean(np.array([2.0, 40.0]), np.array([2, 40]), prior=0.1, strength=3.0)
    assert means == pytest.approx([2.3 / 5, 40.3 / 43])


def test_no_rings_where_nobody_acts_together(tmp_path: Path) -> None:
    groups = significant = accounts = 0
    for seed in range(5):
        snapshot = noise_bridge(tmp_path / str(seed), seed)
        table = rings.find(snapshot, seed=seed).table
        groups += table.height
        significant += int(table.filter(table["q_value"] < 0.05)["size"].sum())
        accounts += snapshot.n_accounts
    assert groups > 100  # groups there are, only none that chance could not make
    assert significant <= 0.01 * accounts
