"""The sampler never sees the future, and chance is the same on any number of threads."""

from dataclasses import replace
from typing import Any

import numba
import numpy as np
import pytest

from features import Queries, profiles
from gnn.sage_encoding import encoding_of
from gnn.sampler import Sample, described, gather, sample
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


@pytest.mark.parametrize("shared", [True, False])
@pytest.mark.parametrize("latest", [True, False])
def test_messages_are_those_of_the_whole_sample(timed_snapshot: Snapshot, shared: bool, latest: bool) -> None:
    """Summed up as they are read, or drawn, laid side by side and summed: the same bits."""
    asked = Queries.for_accounts(timed_snapshot, moment="retrospective" if shared else "1d")
    table = described(timed_snapshot) if shared else None
    named: dict[str, Any] = {"fanouts": FANOUTS, "latest": latest, "seed": 3}
    whole = sample(timed_snapshot, asked, width(timed_snapshot), **named)
    encoding = encoding_of(whole.seed_x, whole.hop1_x[whole.hop1_side >= 0])
    for spread in (True, False):
        found = gather(
            timed_snapshot, asked, encoding.mean, encoding.scale, table=table, spread=spread, **named
        )
        np.testing.assert_array_equal(found.side, whole.hop1_side)
        np.testing.assert_array_equal(found.seed_x, whole.seed_x)
        np.testing.assert_array_equal(found.messages, encoding.messages(whole))
    assert len(np.unique(found.messages)) > 100


def test_what_accounts_show_may_be_computed_once(timed_snapshot: Snapshot) -> None:
    asked = Queries.for_accounts(timed_snapshot)
    table = described(timed_snapshot)
    named: dict[str, Any] = {"fanouts": FANOUTS, "latest": True}
    one = sample(timed_snapshot, asked, width(timed_snapshot), **named)
    two = sample(timed_snapshot, asked, width(timed_snapshot), table=table, **named)
    for name in Sample.__slots__:
        np.testing.assert_array_equal(getattr(one, name), getattr(two, name))
    assert table.shape == (timed_snapshot.n_accounts, one.seed_x.shape[1])


def test_other_attributes_than_the_snapshots_are_believed(timed_snapshot: Snapshot) -> None:
    asked = Queries.for_accounts(timed_snapshot)
    told = replace(asked, attributes=asked.attributes + 1.0)
    table = described(timed_snapshot)
    named: dict[str, Any] = {"fanouts": FANOUTS, "latest": True}
    one = sample(timed_snapshot, told, width(timed_snapshot), **named)
    two = sample(timed_snapshot, told, width(timed_snapshot), table=table, **named)
    np.testing.assert_array_equal(one.seed_x, two.seed_x)
    assert (one.seed_x != sample(timed_snapshot, asked, width(timed_snapshot), **named).seed_x).any()
