"""Fitting GraphSAGE: repeatable, stops early, keeps groups together, learns what only neighbours tell."""

import importlib
from collections.abc import Iterator

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from sklearn.metrics import roc_auc_score

from features import Queries
from gnn.inputs import inputs as rows_of
from gnn.sage import SageInputs, run_sage
from gnn.sage_fit import _balanced, _drawn_from, _held_back, fit_sage
from gnn.sage_kernel import Sage
from gnn.targets import targets
from graph_etl import Snapshot

SAGE_FIT = importlib.import_module("gnn.sage_fit")


@pytest.fixture(autouse=True)
def few_steps(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Enough to see what is asked here."""
    monkeypatch.setattr(SAGE_FIT, "_LEAST_STEPS", 40)
    threads = torch.get_num_threads()
    yield
    torch.set_num_threads(threads)


def labelled(snapshot: Snapshot) -> tuple[Queries, NDArray[np.int8], NDArray[np.float64]]:
    found = targets(snapshot)
    rows = np.flatnonzero(found.label >= 0)
    return Queries.for_accounts(snapshot, rows, "1d"), found.label[rows], found.weight[rows]


def fitted(snapshot: Snapshot, *, with_rows: bool = True, members: int = 1, seed: int = 0) -> Sage:
    asked, label, weight = labelled(snapshot)
    rows = rows_of(snapshot, asked) if with_rows else None
    inputs = SageInputs.of(snapshot, asked)
    return fit_sage(inputs, asked, label, weight, rows=rows, members=members, seed=seed)


def test_same_seed_same_weights_another_seed_others(timed_snapshot: Snapshot) -> None:
    one, again, other = (fitted(timed_snapshot, seed=seed) for seed in (3, 3, 4))
    for name, value in one.state.items():
        np.testing.assert_array_equal(value, again.state[name])
    assert (one.state["row.weight"] != other.state["row.weight"]).any()


def test_members_are_fitted_from_different_seeds_and_averaged(timed_snapshot: Snapshot) -> None:
    asked, _, _ = labelled(timed_snapshot)
    inputs = SageInputs.of(timed_snapshot, asked)
    three = fitted(timed_snapshot, members=3)
    assert three.members == 3
    odds, embedding = run_sage(three, inputs, asked)

    def alone(member: int) -> NDArray[np.float64]:
        state = {
            name: value if name == "row_width" or name.startswith("encoding.") else value[member : member + 1]
            for name, value in three.state.items()
        }
        return run_sage(Sage.of(state), inputs, asked)[0]

    parts = [alone(member) for member in range(3)]
    np.testing.assert_allclose(odds, np.mean(parts, axis=0), rtol=1e-12)
    assert (parts[0] != parts[1]).any()
    assert embedding.shape[1] == three.hidden
    np.testing.assert_array_equal(parts[0], run_sage(fitted(timed_snapshot), inputs, asked)[0])


def test_rows_that_are_not_given_are_computed(timed_snapshot: Snapshot) -> None:
    asked, _, _ = labelled(timed_snapshot)
    inputs = SageInputs.of(timed_snapshot, asked)
    sage = fitted(timed_snapshot)
    given = run_sage(sage, inputs, asked, rows=rows_of(timed_snapshot, asked))
    np.testing.assert_array_equal(given[0], run_sage(sage, inputs, asked)[0])
    without = fitted(timed_snapshot, with_rows=False)
    assert without.row_width == 0
    assert np.isfinite(run_sage(without, inputs, asked)[0]).all()


def test_neighbours_tell_what_rows_do_not(timed_snapshot: Snapshot) -> None:
    """With rows of noise, accounts of the farms are still told by whom they share a device with."""
    asked, label, weight = labelled(timed_snapshot)
    inputs = SageInputs.of(timed_snapshot, asked)
    noise = np.random.default_rng(0).normal(size=(len(asked), 3)).astype(np.float32)
    sage = fit_sage(inputs, asked, label, weight, rows=noise, members=1)
    again = np.random.default_rng(1).normal(size=noise.shape).astype(np.float32)
    assert roc_auc_score(label, run_sage(sage, inputs, asked, rows=again)[0]) > 0.75


def test_a_model_that_gets_no_better_is_given_up(
    timed_snapshot: Snapshot, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(SAGE_FIT, "_LEAST_HELD_BACK", 1)
    monkeypatch.setattr(SAGE_FIT, "_odds", lambda _network, _examples, rows: np.zeros(len(rows)))
    asked, label, weight = labelled(timed_snapshot)
    seen: list[tuple[int, int]] = []
    inputs = SageInputs.of(timed_snapshot, asked)
    fit_sage(inputs, asked, label, weight, members=1, progress=lambda done, total: seen.append((done, total)))
    # The last call says that the member is done; the one before it, where it stopped.
    assert seen[-1][0] == seen[-1][1]
    assert seen[-2][0] < seen[-2][1]


def test_groups_are_held_back_whole() -> None:
    rng = np.random.default_rng(0)
    groups = np.repeat(np.arange(100), 5)
    label = (np.arange(500) % 2).astype(np.int8)
    part = _held_back(label, groups, rng)
    assert part.sum() == 60  # 12 of 100 groups
    assert all(len(np.unique(part[groups == group])) == 1 for group in range(100))


def test_nothing_is_held_back_where_it_could_not_tell() -> None:
    label = (np.arange(200) % 10 == 0).astype(np.int8)
    assert not _held_back(label, np.arange(200), np.random.default_rng(0)).any()


def test_a_rare_class_is_weighed_up_to_a_tenth() -> None:
    label = np.array([1] + [0] * 99)
    weights, factor = _balanced(label, np.ones(100))
    assert weights[0] / weights.sum() == pytest.approx(0.1)
    assert factor == pytest.approx(11.0)
    even, same = _balanced(np.array([1] * 30 + [0] * 70), np.ones(100))
    assert same == 1.0
    np.testing.assert_array_equal(even, np.ones(100, np.float32))


def test_of_too_many_questions_the_rare_class_is_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(SAGE_FIT, "MOST_EXAMPLES", 40)
    label = np.array([1] * 10 + [0] * 190)
    picked, weight = _drawn_from(label, np.ones(200), np.random.default_rng(0))
    assert len(picked) == 40
    assert (label[picked] == 1).sum() == 10
    assert weight[label[picked] == 1].sum() == pytest.approx(10.0)
    assert weight[label[picked] == 0].sum() == pytest.approx(190.0)
