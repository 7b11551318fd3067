"""The sampler never sees the future, and chance is the same on any number of threads."""

import numba
import numpy as np
import pytest

from features import Queries, profiles
from gnn.sampler import sample
from graph_etl import Snapshot

FANOUTS = (4, 3)


def width(snapshot: Snapshot) -> int:
    return int(profiles(snapshot, np.zeros(0, np.int64)).shape[1])


@pytest.mark.parametrize("latest", [True, False])
def test_nothing_is_drawn_at_or_after_the_horizon(timed_snapshot: Snapshot, latest: bool) -> None:
    everyone = Queries.for_accounts(timed_snapshot, moment="signup")
    drawn = sample(timed_snapshot, everyone, width(timed_snapshot), fanouts=FANOUTS, latest=latest)
    sides = drawn.hop1_side.reshape(-1, FANOUTS[0])
    # At sign-up an account has its own device, address, subnet and mail at most: no gift, no second device.
    assert ((sides >= 0).sum(axis=1) <= 4).all()
    assert (sides >= 0).any()
    nothing = Queries(
        account=everyone.account,
        horizon=np.zeros_like(everyone.horizon),
        time_ms=everyone.time_ms,
        first_seen_ms=everyone.first_seen_ms,
        attributes=everyone.attributes,
        ext_ptr=everyone.ext_ptr,
    )
    empty = sample(timed_snapshot, nothing, width(timed_snapshot), fanouts=FANOUTS, latest=latest)
    assert (empty.hop1_side == -1).all()
    assert (empty.hop2_side == -1).all()


def test_same_seed_same_sample_whatever_the_threads(timed_snapshot: Snapshot) -> None:
    asked = Queries.for_accounts(timed_snapshot)
    threads = numba.get_num_threads()
    one = sample(timed_snapshot, asked, width(timed_snapshot), fanouts=(2, 2), latest=False, seed=5)
    try:
        numba.set_num_threads(1)
        two = sample(timed_snapshot, asked, width(timed_snapshot), fanouts=(2, 2), latest=False, seed=5)
    finally:
        numba.set_num_threads(threads)
    np.testing.assert_array_equal(one.hop1_side, two.hop1_side)
    np.testing.assert_array_equal(one.hop2_x, two.hop2_x)
    other = sample(timed_snapshot, asked, width(timed_snapshot), fanouts=(2, 2), latest=False, seed=6)
    assert (one.hop2_side != other.hop2_side).any()


def test_latest_neighbours_need_no_seed(timed_snapshot: Snapshot) -> None:
    asked = Queries.for_accounts(timed_snapshot)
    one, two = (
        sample(timed_snapshot, asked, width(timed_snapshot), fanouts=(2, 2), latest=True, seed=seed)
        for seed in (1, 2)
    )
    np.testing.assert_array_equal(one.hop1_x, two.hop1_x)
    np.testing.assert_array_equal(one.hop2_x, two.hop2_x)
