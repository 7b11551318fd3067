"""The index finds nearly all of the accounts that a comparison with all of them finds."""

import builtins
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest

from gnn import Bundle
from gnn.embedding import EmbeddingError, Embeddings, embed_here
from gnn.similar import INDEX, SimilarAccounts, exact
from graph_etl import Snapshot


def drawn(folder: Path, accounts: int, width: int) -> Embeddings:
    """Vectors in 200 clouds, as accounts that act alike stand."""
    rng = np.random.default_rng(7)
    centres = rng.normal(size=(200, width))
    vectors = centres[rng.integers(0, 200, accounts)] + 0.5 * rng.normal(size=(accounts, width))
    names = [f"a{at}" for at in range(accounts)]
    return Embeddings(folder, {"key": "drawn", "bundle": "b"}, names, vectors.astype(np.float32))


def test_the_nearest_by_hand(tmp_path: Path) -> None:
    vectors = np.array([[1, 0], [2, 0.1], [0, 1], [-1, 0], [1, 1]], np.float32)
    embeddings = Embeddings(tmp_path, {"key": "k"}, list("abcde"), vectors)
    found, cosine = exact(embeddings, np.array([0]), 10)
    assert found.tolist() == [[1, 4, 2, 3]]
    np.testing.assert_allclose(cosine[0], [0.998752, 0.707107, 0.0, -1.0], atol=1e-5)
    indexed, similar = SimilarAccounts.of(embeddings).like(np.array([0]), 10)
    assert indexed.tolist() == [[1, 4, 2, 3]]
    np.testing.assert_allclose(similar, cosine, atol=1e-5)


def test_the_index_recalls_nearly_all(tmp_path: Path) -> None:
    embeddings = drawn(tmp_path, 6_000, 32)
    rows = np.arange(0, 6_000, 30)
    expected, _ = exact(embeddings, rows, 10)
    index = SimilarAccounts.of(embeddings)
    found, cosine = index.like(rows, 10)
    recall = np.mean([len(set(one) & set(two)) for one, two in zip(expected, found, strict=True)]) / 10
    assert recall > 0.98
    assert (found != rows[:, None]).all()
    assert (np.diff(cosine, axis=1) <= 1e-6).all()
    # Opened again, not made again: the same answers from the mapped file.
    stamp = (tmp_path / INDEX).stat().st_mtime_ns
    again, _ = SimilarAccounts.of(embeddings).like(rows, 10)
    np.testing.assert_array_equal(again, found)
    assert (tmp_path / INDEX).stat().st_mtime_ns == stamp


def test_a_stale_or_torn_index_is_made_again(tmp_path: Path) -> None:
    embeddings = drawn(tmp_path, 300, 8)
    SimilarAccounts.of(embeddings)
    whole = (tmp_path / INDEX).read_bytes()
    (tmp_path / INDEX).write_bytes(whole[: len(whole) // 2])
    SimilarAccounts.of(embeddings)
    assert len((tmp_path / INDEX).read_bytes()) == len(whole)
    moved = Embeddings(tmp_path, {"key": "other"}, embeddings.accounts, -embeddings.vectors[::-1].copy())
    found, _ = SimilarAccounts.of(moved).like(np.array([0, 5]), 5)
    np.testing.assert_array_equal(found, exact(moved, np.array([0, 5]), 5)[0])


def test_trained_embeddings_have_a_real_recall(
    timed_snapshot: Snapshot, timed_bundle: Bundle, tmp_path: Path
) -> None:
    embed_here(timed_snapshot, timed_bundle, tmp_path)
    embeddings = Embeddings.open(tmp_path)
    rows = np.arange(len(embeddings.vectors))
    expected, cosine = exact(embeddings, rows, 10)
    _, found = SimilarAccounts.of(embeddings).like(rows, 10)
    # By likeness, not by name: accounts that look the same to the model are as good as one another.
    assert (found >= cosine[:, -1:] - 1e-5).mean() > 0.99
    assert expected.shape == (300, 10)


def test_without_usearch_the_error_names_the_extra_and_the_way_without(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real_import = builtins.__import__

    def no_usearch(name: str, *rest: Any, **named: Any) -> ModuleType:
        if name.startswith("usearch"):
            raise ModuleNotFoundError(name)
        return real_import(name, *rest, **named)

    monkeypatch.setattr(builtins, "__import__", no_usearch)
    with pytest.raises(EmbeddingError, match=r"ringwatch\[similar\].*--exact"):
        SimilarAccounts.of(drawn(tmp_path, 30, 4))
