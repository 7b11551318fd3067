"""Folds keep rings whole, are of equal size and do not depend on the order of accounts."""

from pathlib import Path

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from graph_etl import NO_TIME
from graph_etl.folds import N_FOLDS, given_folds, ring_folds, stratified_folds, time_folds
from tests.building import build_from_text


def _names(n: int) -> np.ndarray:
    return np.random.default_rng(5).permutation(n).astype(np.uint64)


def test_stratified_folds_are_equal_in_each_label() -> None:
    labels = np.repeat([1, 0, -1], [10, 20, 33]).astype(np.int8)
    folds = stratified_folds(labels, _names(63))
    assert [np.bincount(folds[labels == label]).tolist() for label in (1, 0)] == [[2] * 5, [4] * 5]
    assert sorted(np.bincount(folds).tolist()) == [12, 12, 13, 13, 13]


def test_time_folds_are_blocks_of_equal_size_oldest_first() -> None:
    first_seen = np.array([50, 10, NO_TIME, 40, 20, 30])
    folds = time_folds(first_seen, _names(6))
    assert folds[[1, 4, 5, 3, 0]].tolist() == [0, 1, 2, 3, 4]


@given(st.lists(st.tuples(st.integers(0, 39), st.integers(0, 9)), max_size=60))
def test_rings_are_never_cut(members: list[tuple[int, int]]) -> None:
    accounts = np.array([account for account, _ in members], np.int32)
    groups = np.array([group for _, group in members], np.int64)
    folds = ring_folds(np.full(40, -1, np.int8), _names(40), accounts, groups)
    for group in set(groups.tolist()):
        assert len(set(folds[accounts[groups == group]].tolist())) == 1
    assert len(set(folds.tolist())) == N_FOLDS or len(set(accounts.tolist())) > 32


def test_rings_that_share_an_account_are_one() -> None:
    accounts, groups = np.array([0, 1, 1, 2, 3, 4], np.int32), np.array([7, 7, 8, 8, 9, 9])
    folds = ring_folds(np.full(20, -1, np.int8), _names(20), accounts, groups)
    assert folds[0] == folds[1] == folds[2] != folds[3]


def test_large_rings_go_to_different_folds() -> None:
    accounts = np.arange(50, dtype=np.int32)
    folds = ring_folds(np.full(100, -1, np.int8), _names(100), accounts, np.repeat(np.arange(5), 10))
    assert np.bincount(folds[:50]).tolist() == [10] * 5
    assert np.bincount(folds).tolist() == [20] * 5


def test_folds_do_not_depend_on_the_order_of_accounts() -> None:
    labels = np.array([1, 0, -1] * 10, np.int8)
    names = _names(30)
    accounts, groups = np.array([0, 3, 4, 9], np.int32), np.array([1, 1, 2, 2])
    turned = np.arange(30)[::-1]
    folds = ring_folds(labels, names, accounts, groups)
    other = ring_folds(labels[turned], names[turned], (29 - accounts).astype(np.int32), groups)
    assert np.array_equal(folds, other[turned])


def test_given_folds_are_kept_and_the_rest_is_dealt() -> None:
    labels = np.full(12, -1, np.int8)
    folds = given_folds(np.array([0, 1, 2], np.int32), ["2", "0", "1"], labels, _names(12))
    assert folds[:3].tolist() == [2, 0, 1]
    assert set(folds.tolist()) == {0, 1, 2}
    named = given_folds(np.array([0, 1], np.int32), ["north", "east"], labels, _names(12))
    assert named[:2].tolist() == [1, 0]


def test_an_account_has_one_fold(tmp_path: Path) -> None:
    spec = """
    ringwatch: 1
    name: folded
    sources: {people: {path: people.csv}, folds: {path: "folds*.csv"}}
    accounts: [{source: people, id: id}]
    folds: {source: folds, account: id, fold: fold}
    splits: {source: people, account: id, train: t, test: s}
    """
    files = {
        "people.csv": "id,t,s\nann,1,0\nbob,0,1\ncyd,0,0\n",
        "folds_1.csv": "id,fold\nann,3\nbob,1\nann,3\n",
        "folds_2.csv": "id,fold\nbob,2\n",
    }
    built = build_from_text(tmp_path, spec, files, max_quarantine=0.2)
    assert built.snapshot.folds[:2].tolist() == [3, 1]
    assert built.snapshot.manifest["fold_policy"] == "given"
    count = built.report.sources[1]
    assert (count.rows, count.in_graph, count.duplicates, count.reasons) == (4, 2, 1, {"fold_conflict": 1})
    splits = built.snapshot.splits
    assert splits is not None
    assert splits.tolist() == [[0], [2], [-1]]
