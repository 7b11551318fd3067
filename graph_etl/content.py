"""What is in a snapshot, as one hash that does not depend on the order of its indices."""

from __future__ import annotations

import hashlib
import json
from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl
import pyarrow as pa

from graph_etl.snapshot import NO_HUB

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from numpy.typing import NDArray

    from graph_etl.snapshot_writer import SnapshotTables


class Content:
    """A hash of named arrays, texts and words, the same on every machine and in every version."""

    def __init__(self) -> None:
        self._hash = hashlib.sha256()

    def add(self, name: str, array: NDArray[Any]) -> None:
        """Add an array, with its type and shape."""
        contiguous = np.ascontiguousarray(array)
        self._hash.update(f"{name}:{contiguous.dtype.str}:{contiguous.shape};".encode())
        self._hash.update(contiguous.data if contiguous.size else b"")

    def add_chunks(self, name: str, dtype: Any, length: int, chunks: Iterable[NDArray[Any]]) -> None:
        """Add a long array of one dimension by its chunks; the hash is that of the whole."""
        self._hash.update(f"{name}:{np.dtype(dtype).str}:{(length,)};".encode())
        for chunk in chunks:
            contiguous = np.ascontiguousarray(chunk, dtype)
            self._hash.update(contiguous.data if contiguous.size else b"")

    def add_text_chunks(self, name: str, length: int, chunks: Callable[[], Iterable[pl.Series]]) -> None:
        """Add a long column of text by its chunks, which are asked for twice."""
        lengths = (texts.str.len_bytes().cast(pl.Int64).fill_null(-1).to_numpy() for texts in chunks())
        self.add_chunks(name, np.int64, length, lengths)
        for texts in chunks():
            self._add_bytes(texts)

    def add_text(self, name: str, texts: pl.Series) -> None:
        """Add a column of text; null is not the same as empty."""
        lengths = texts.str.len_bytes().cast(pl.Int64).fill_null(-1).to_numpy()
        self.add(name, lengths)
        self._add_bytes(texts)

    def _add_bytes(self, texts: pl.Series) -> None:
        joined: pa.Array = texts.drop_nulls().to_arrow().cast(pa.large_string())
        offsets, data = joined.buffers()[1:]
        ends = np.frombuffer(offsets, np.int64)[joined.offset : joined.offset + len(joined) + 1]
        if data is not None:
            self._hash.update(memoryview(data)[int(ends[0]) : int(ends[-1])])

    def add_words(self, name: str, words: Any) -> None:
        """Add plain values, as JSON writes them."""
        self._hash.update(f"{name}={json.dumps(words, sort_keys=True)};".encode())

    def hexdigest(self) -> str:
        """64 hexadecimal digits for all that was added."""
        return self._hash.hexdigest()


def content_hash(tables: SnapshotTables, rank: NDArray[np.int32]) -> str:
    """Hash what a snapshot says.

    Nodes count by kind and key, accounts by id, rows by position, categories by their text. Nodes that
    only an earlier snapshot had, and that no row touches any more, do not count.

    Args:
        tables: The snapshot's tables.
        rank: ``int32[N]``, place of each node by kind and key, -1 for those that do not count.

    Returns:
        64 hexadecimal digits.
    """
    content = Content()
    content.add_words("kinds", [[kind.name, kind.identifier, kind.public] for kind in tables.kinds])
    nodes = _by_rank(rank)
    keys = (
        pl.Series("key", pl.from_arrow(tables.node_keys)) if isinstance(tables.node_keys, pa.Array) else None
    )
    keys = pl.Series("key", tables.node_keys, pl.String) if keys is None else keys
    content.add("node_kind", tables.node_kind[nodes])
    content.add_text("node_key", keys.gather(nodes))
    if tables.hub_since is not None:
        content.add("hub_since", tables.hub_since[nodes])
        content.add_words("hubs", int((tables.hub_since != NO_HUB).sum()))
    add_accounts(content, tables, rank)
    content.add("event_time_ms", tables.event_time_ms)
    content.add("event_known_ms", tables.event_known_ms)
    by_name = np.argsort(np.array(tables.event_types, dtype=np.str_), kind="stable")
    place = np.empty(len(by_name), np.int16)
    place[by_name] = np.arange(len(by_name), dtype=np.int16)
    content.add_words("event_types", sorted(tables.event_types))
    content.add("event_type", place[tables.event_type])
    for edges in sorted(tables.relations, key=lambda edges: edges.name):
        content.add_words("relation", [edges.name, edges.used, edges.directed, edges.value])
        content.add("src", rank[edges.src])
        content.add("dst", rank[edges.dst])
        content.add("pos", edges.pos)
        content.add("value", edges.values)
    return content.hexdigest()


def _by_rank(rank: NDArray[np.int32]) -> NDArray[np.int64]:
    present = np.flatnonzero(rank >= 0)
    return present[np.argsort(rank[present], kind="stable")]


def add_accounts(content: Content, tables: SnapshotTables, rank: NDArray[np.int32]) -> None:
    """Add what a snapshot says of its accounts: times, folds, attributes, verdicts, groups, cuts.

    Args:
        content: Takes it.
        tables: The snapshot's tables.
        rank: ``int32[N]``, place of each node by kind and key, -1 for those that do not count.
    """
    account_rank = rank[tables.account_node]
    accounts = _by_rank(account_rank)
    for name in ("first_seen_ms", "last_seen_ms", "first_pos", "folds", "splits"):
        array = getattr(tables, name)
        if array is not None:
            content.add(name, array[accounts])
    for at, attribute in enumerate(tables.attributes):
        values = np.zeros(0) if tables.attribute_values is None else tables.attribute_values[accounts, at]
        content.add_words("attribute", [attribute.name, attribute.type])
        if attribute.type == "category":
            content.add_text(attribute.name, _texts(values, attribute.categories))
        else:
            # One pattern of bits for every missing value.
            content.add(attribute.name, np.where(np.isnan(values), np.nan, values))
    for name in ("verdicts", "groups", "cuts"):
        table: pl.DataFrame | None = getattr(tables, name)
        if table is None:
            continue
        ends = [column for column in ("account", "other") if column in table.columns]
        # The two of a cut are alike; which one stands first depends on their indices.
        ranks = np.sort(np.stack([account_rank[table[end].to_numpy()] for end in ends]), axis=0)
        for end, of_end in zip(ends, ranks, strict=True):
            content.add(f"{name}.{end}", of_end)
        for column in table.columns[len(ends) :]:
            content.add_text(f"{name}.{column}", table[column].cast(pl.String))


def _texts(values: NDArray[np.float64], categories: Sequence[str]) -> pl.Series:
    index = pl.Series(np.where(np.isnan(values), -1, values).astype(np.int64))
    names = pl.Series("category", list(categories), pl.String)
    return names.gather(index.replace(-1, None).cast(pl.UInt32))
