"""Tables on disk whose rows lie sorted by who reads them next."""

from __future__ import annotations

import uuid
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl
import pyarrow as pa

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from numpy.typing import NDArray

_OPTIONS = pa.ipc.IpcWriteOptions(compression="lz4")


def partial_of(path: Path) -> Path:
    """Where a file is written until it is whole.

    Args:
        path: The file.

    Returns:
        A name of this call alone: a task that was given up for lost may still write beside the one that
        replaces it, and both write the same.
    """
    return path.with_name(f".{path.name}.{uuid.uuid4().hex[:12]}.partial")


def bucket_of(low: pl.Series, n_buckets: int) -> NDArray[np.int64]:
    """Where equal hashes meet.

    Args:
        low: ``uint64[n]``, the low half of each hash.
        n_buckets: Number of buckets.

    Returns:
        ``int64[n]``.
    """
    return (low.to_numpy() % np.uint64(n_buckets)).astype(np.int64)


def write_exchange(path: Path, frame: pl.DataFrame, to: NDArray[Any], n_readers: int) -> None:
    """Write a table, one batch a reader; it appears under its name only when it is whole.

    Args:
        path: The file.
        frame: ``n`` rows.
        to: ``int[n]``, the reader of each row; the rows of one keep their order.
        n_readers: Number of readers.
    """
    if n_readers > 1:
        order = np.argsort(to, kind="stable")
        frame = frame[order] if (order[1:] < order[:-1]).any() else frame
    counts = np.bincount(to, minlength=n_readers)
    write_batches(path, frame, np.concatenate([[0], np.cumsum(counts)]))


def write_batches(path: Path, frame: pl.DataFrame, bounds: NDArray[Any]) -> None:
    """Write a table whose rows lie in order already.

    Args:
        path: The file.
        frame: ``n`` rows.
        bounds: ``int[n_readers + 1]``, where the rows of each reader start and end.
    """
    table = frame.to_arrow(compat_level=pl.CompatLevel.oldest())
    partial = partial_of(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    with pa.OSFile(str(partial), "wb") as sink, pa.ipc.new_file(sink, table.schema, options=_OPTIONS) as file:
        for start, stop in pairwise(bounds):
            rows = table.slice(int(start), int(stop - start)).combine_chunks()
            batches = rows.to_batches()
            file.write_batch(batches[0] if batches else pa.RecordBatch.from_pylist([], schema=table.schema))
    partial.replace(path)


def read_batch(path: Path, reader: int) -> pl.DataFrame:
    """The rows of one reader.

    Args:
        path: A file that `write_exchange` wrote.
        reader: The reader.

    Returns:
        Its rows.
    """
    with pa.OSFile(str(path), "rb") as source, pa.ipc.open_file(source) as file:
        found = pl.from_arrow(pa.Table.from_batches([file.get_batch(reader)]))
        assert isinstance(found, pl.DataFrame)
        return found


def read_exchange(paths: Sequence[Path], reader: int, *, writer: str | None = None) -> pl.DataFrame:
    """The rows that several tables have for one reader, in the order of the tables.

    Args:
        paths: The tables.
        reader: The reader.
        writer: Name of a column that says which table each row is from; none if None.

    Returns:
        The rows.
    """
    frames = [read_batch(path, reader) for path in paths]
    if writer is not None:
        frames = [
            frame.with_columns(pl.lit(at, dtype=pl.Int32).alias(writer)) for at, frame in enumerate(frames)
        ]
    return pl.concat(frames, rechunk=True)


def batches_of(path: Path) -> Iterator[pl.DataFrame]:
    """All batches of a table, one after the other.

    Args:
        path: A file that `write_exchange` wrote.

    Yields:
        The rows of each reader.
    """
    with pa.OSFile(str(path), "rb") as source, pa.ipc.open_file(source) as file:
        n_batches = file.num_record_batches
    for reader in range(n_batches):
        yield read_batch(path, reader)
