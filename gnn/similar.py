"""Accounts like this one: nearest neighbours among embeddings, by an index or by looking at all of them."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from gnn.embedding import EmbeddingError

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from gnn.embedding import Embeddings

# Above usearch's defaults (16, 128, 64): nearest accounts are asked for rarely, recall matters more.
_CONNECTIVITY: Final = 24
_EXPANSION_ADD: Final = 160
_EXPANSION_SEARCH: Final = 128
_AT_ONCE: Final = 65_536
INDEX: Final = "index.usearch"


def exact(embeddings: Embeddings, rows: NDArray[np.int64], count: int) -> tuple[NDArray[Any], NDArray[Any]]:
    """The nearest accounts, found by comparing with all.

    Args:
        embeddings: The embeddings.
        rows: ``int64[q]`` accounts asked about.
        count: Neighbours of each.

    Returns:
        ``int64[q, k]`` accounts, the most similar first, ties by number, and ``float32[q, k]`` cosines; the
        account itself is not among them. ``k`` is less than ``count`` where there are fewer accounts.
    """
    vectors = embeddings.vectors
    own = _unit(vectors[rows])
    found = np.empty((len(rows), len(vectors)), np.float32)
    for start in range(0, len(vectors), _AT_ONCE):
        found[:, start : start + _AT_ONCE] = own @ _unit(vectors[start : start + _AT_ONCE]).T
    found[np.arange(len(rows)), rows] = -np.inf
    kept = min(count, len(vectors) - 1)
    order = np.argsort(-found, axis=1, kind="stable")[:, :kept]
    return order.astype(np.int64), np.take_along_axis(found, order, axis=1)


class SimilarAccounts:
    """An index of embeddings (HNSW; Malkov and Yashunin, 2018, as in usearch).

    Args:
        index: Of usearch.
        embeddings: What it was made of.
    """

    def __init__(self, index: Any, embeddings: Embeddings) -> None:
        self._index = index
        self._embeddings = embeddings

    @classmethod
    def of(
        cls, embeddings: Embeddings, progress: Callable[[str, int, int], None] | None = None
    ) -> SimilarAccounts:
        """Open the index beside embeddings; it is made where there is none of them.

        Args:
            embeddings: The embeddings.
            progress: Told how many accounts are in, of how many.

        Returns:
            The index.

        Raises:
            EmbeddingError: If usearch is not installed.
        """
        try:
            from usearch.index import Index
        except ModuleNotFoundError:
            message = (
                "usearch is not installed; install the extra with `pip install 'ringwatch[similar]'`,"
                " or compare with all accounts (`ringwatch similar --exact`)"
            )
            raise EmbeddingError(message) from None
        path = embeddings.folder / INDEX
        told = path.with_name(f"{INDEX}.json")
        wanted = {"key": embeddings.manifest["key"], "accounts": len(embeddings.vectors)}
        index = Index(
            ndim=embeddings.vectors.shape[1],
            metric="cos",
            dtype="f32",
            connectivity=_CONNECTIVITY,
            expansion_add=_EXPANSION_ADD,
            expansion_search=_EXPANSION_SEARCH,
        )
        try:
            if json.loads(told.read_text()) == {**wanted, "bytes": path.stat().st_size}:
                index.view(str(path))
                return cls(index, embeddings)
        except (OSError, ValueError, RuntimeError):
            pass
        total = len(embeddings.vectors)
        for start in range(0, total, _AT_ONCE):
            part = np.arange(start, min(start + _AT_ONCE, total))
            # One thread: the graph of an index depends on the order in which its nodes come in.
            index.add(part.astype(np.uint64), embeddings.vectors[part], threads=1)
            if progress is not None:
                progress("indexing accounts", int(part[-1]) + 1, total)
        partial = path.with_name(f".{INDEX}.partial")
        index.save(str(partial))
        partial.replace(path)
        told.write_text(json.dumps({**wanted, "bytes": path.stat().st_size}))
        return cls(index, embeddings)

    def like(self, rows: NDArray[np.int64], count: int) -> tuple[NDArray[Any], NDArray[Any]]:
        """The nearest accounts, nearly always.

        Args:
            rows: ``int64[q]`` accounts asked about.
            count: Neighbours of each.

        Returns:
            As `exact`, at most a few of the neighbours others; -1 where the index found fewer.
        """
        kept = min(count, len(self._embeddings.vectors) - 1)
        accounts = np.full((len(rows), kept), -1, np.int64)
        cosine = np.full((len(rows), kept), -np.inf, np.float32)
        for at, row in enumerate(rows):
            found = self._index.search(self._embeddings.vectors[row], kept + 1)
            others = np.asarray(found.keys).astype(np.int64) != row
            nearest = np.asarray(found.keys)[others][:kept].astype(np.int64)
            accounts[at, : len(nearest)] = nearest
            cosine[at, : len(nearest)] = 1.0 - np.asarray(found.distances)[others][:kept]
        return accounts, cosine


def _unit(vectors: NDArray[np.float32]) -> NDArray[np.float32]:
    length = np.linalg.norm(vectors, axis=1, keepdims=True)
    scaled: NDArray[np.float32] = vectors / np.maximum(length, 1e-12)
    return scaled
