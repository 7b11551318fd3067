"""The null model of a large platform is dealt out among a sample of it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from features import view_of
from features.view import PAIR_NBR, PAIR_PTR
from rings import null_model
from rings.null_model import rewired, sampled

if TYPE_CHECKING:
    import pytest

    from graph_etl import Snapshot


def test_a_small_platform_is_its_own_sample() -> None:
    accounts = np.array([2, 5, 7])
    assert sampled(np.arange(10), accounts) is accounts


def test_a_sample_is_made_of_stretches_of_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(null_model, "SAMPLE", 80)
    seen_ms = np.random.default_rng(0).permutation(1000)
    found = sampled(seen_ms, np.arange(1000))
    assert len(np.unique(found)) == len(found) == 80
    places = np.sort(seen_ms[found])
    assert (places[0], places[-1]) == (0, 999)
    assert (np.diff(places) > 1).sum() == 7  # eight stretches of ten, one after the other inside


def test_accounts_of_a_sample_keep_what_they_touch(timed_snapshot: Snapshot) -> None:
    snapshot = timed_snapshot
    view = view_of(snapshot)
    sample = np.arange(60, 160)
    row = 2 * len(view.sides)
    horizon = snapshot.end_horizon
    graph, kept = rewired(snapshot, horizon, np.random.default_rng(1), sample)
    pointers, neighbours = kept[3], kept[4]  # of accounts: what each touches
    assert graph.addresses[row + 1, PAIR_PTR] == pointers.ctypes.data
    assert graph.addresses[row + 1, PAIR_NBR] == neighbours.ctypes.data
    node = np.asarray(snapshot.account_node)
    degree = np.diff(pointers)[node]
    outside = np.setdiff1d(np.arange(snapshot.n_accounts), sample)
    assert degree[outside].sum() == 0
    whole, kept_whole = rewired(snapshot, horizon, np.random.default_rng(1))
    del whole
    usual = np.diff(kept_whole[3])[node]
    # Up to the few that come out twice.
    assert degree[sample].sum() >= 0.95 * usual[sample].sum()
    assert (degree[sample] <= usual[sample] + 2).all()
    kinds = np.asarray(snapshot.node_kind)
    for kind in np.unique(kinds[neighbours]):
        here, there = kinds[neighbours] == kind, kinds[kept_whole[4]] == kind
        on_node = np.bincount(neighbours[here], minlength=1)
        on_node_usual = np.bincount(kept_whole[4][there], minlength=1)
        # A node that was drawn has all its users, but for the last one drawn and those that came out twice.
        assert on_node[on_node > 0].mean() >= 0.8 * on_node_usual[on_node_usual > 0].mean()
