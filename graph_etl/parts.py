"""Staged parts: what one file of one source says, hashed, numbered and ready to be merged."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl

from graph_etl.errors import RingwatchError

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

NODE_SCHEMA = {
    "kind": pl.Int16,
    "key": pl.String,
    "low": pl.UInt64,
    "high": pl.UInt64,
    "declared": pl.Boolean,
    "either": pl.Boolean,
    "alias_low": pl.UInt64,
    "alias_high": pl.UInt64,
}


class PartDamaged(RingwatchError):
    """A staged part is not what was written."""


@dataclass(frozen=True, slots=True)
class Part:
    """One staged file, or one range of the journal.

    Attributes:
        source: Name of the source.
        file: Name of the file, relative to the data's folder.
        fingerprint: SHA-256 of the file.
        folder: Where it is staged.
        meta: Counts and types by mapping, as staged.
    """

    source: str
    file: str
    fingerprint: str
    folder: Path
    meta: dict[str, Any]

    @classmethod
    def open(cls, folder: Path, *, source: str, file: str, fingerprint: str) -> Part:
        """Open a part that was staged before.

        Args:
            folder: Where it is staged.
            source: Name of the source.
            file: Name of the file.
            fingerprint: SHA-256 of the file.

        Returns:
            The part.

        Raises:
            PartDamaged: If one of its files is missing or is not as it was written.
        """
        try:
            meta: dict[str, Any] = json.loads((folder / "part.json").read_text())
            whole = meta.pop("digest") == _digest_of(meta) and all(
                _digest(folder / name) == digest for name, digest in meta["files"].items()
            )
        except (OSError, ValueError, KeyError):
            whole, meta = False, {}
        if not whole:
            message = f"{folder}: damaged; delete it and build again"
            raise PartDamaged(message)
        return cls(source, file, fingerprint, folder, meta)

    @property
    def tables(self) -> list[str]:
        """Names of its tables of rows."""
        names = [name.removesuffix(".parquet") for name in self.meta["files"]]
        return sorted(name for name in names if name not in ("nodes", "quarantine"))

    def table(self, name: str) -> pl.DataFrame | None:
        """One of its tables.

        Args:
            name: ``nodes``, ``quarantine``, or a mapping with the table's name, as ``events[0].rows``.

        Returns:
            The table; None if the file gave none such.
        """
        path = self.folder / f"{name}.parquet"
        return pl.read_parquet(path, glob=False, memory_map=False) if path.exists() else None

    def nodes(self) -> pl.DataFrame:
        """The nodes that its tables number.

        Returns:
            One row a node, columns as ``NODE_SCHEMA``.
        """
        table = self.table("nodes")
        return pl.DataFrame(schema=NODE_SCHEMA) if table is None else table


def write_part(folder: Path, tables: dict[str, pl.DataFrame], meta: dict[str, Any]) -> None:
    """Write a part into a folder.

    Args:
        folder: An empty folder.
        tables: Tables by name.
        meta: What goes into ``part.json``.
    """
    files: dict[str, str] = {}
    for name, table in tables.items():
        if len(table):
            path = folder / f"{name}.parquet"
            table.write_parquet(path, compression="lz4", statistics=False)
            files[path.name] = _digest(path)
    meta = meta | {"files": files}
    text = json.dumps(meta | {"digest": _digest_of(meta)}, indent=1, sort_keys=True)
    (folder / "part.json").write_text(text + "\n")


def _digest_of(meta: dict[str, Any]) -> str:
    return hashlib.sha256(json.dumps(meta, sort_keys=True).encode()).hexdigest()


def _digest(path: Path) -> str:
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def pairs(table: pl.DataFrame, low: str, high: str) -> NDArray[np.uint64]:
    """Two columns of halves as one array.

    Args:
        table: ``n`` rows.
        low: Column of the lower halves.
        high: Column of the upper halves.

    Returns:
        ``uint64[n, 2]``.
    """
    both = np.empty((len(table), 2), np.uint64)
    both[:, 0], both[:, 1] = table[low].to_numpy(), table[high].to_numpy()
    return both
