"""A rings run: which rings there are, who is in them and what proves each; written once, read by all."""

from __future__ import annotations

import json
import zlib
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
import orjson
import polars as pl

from rings.carried import Carried
from rings.errors import RingsError, RingUnknown
from rings.yardstick import Yardstick

if TYPE_CHECKING:
    from collections.abc import Iterator

FORMAT = 1
_PAIR_MODEL = "pair_model.txt"
_YARDSTICK = "yardstick.npz"
_CARRIED = "carried.npz"


class Explanations(Protocol):
    """Packed explanations, in memory or in a file."""

    def __len__(self) -> int: ...
    def __getitem__(self, row: int, /) -> bytes: ...
    def __iter__(self) -> Iterator[bytes]: ...


@dataclass(frozen=True)
class RingsRun:
    """The rings of a snapshot.

    Attributes:
        id: Hash of what the run holds.
        manifest: Snapshot, bundle, seed, configuration, counts and the rings that ended.
        table: One row a ring, the best rank first: ring, rank, score, size, density (mean link weight over
            all pairs), synchrony (0 to 1, null without times), p_value, q_value, honest
            (probability that something honest explains it, see `rings.honest`), n_known_bad, words, parents,
            status (``open``, ``benign_confirmed`` or ``benign_changed``, see `rings.benign`; runs of before
            have none).
        members: One row a member: ring, account, account_id, role, weight (how firmly it is tied to the ring,
            0 to 1).
        explanations: For each ring of the table its explanation, packed.
        pair_model: The model that weighed the pairs, as LightGBM writes it; None if links kept their weights.
        yardstick: What the platform was measured by, for later runs; None in runs of before.
        carried: By what a later run sees what was touched since; None in runs of before.
    """

    id: str
    manifest: dict[str, Any]
    table: pl.DataFrame
    members: pl.DataFrame
    explanations: Explanations = field(repr=False)
    pair_model: str | None = field(default=None, repr=False)
    yardstick: Yardstick | None = field(default=None, repr=False)
    carried: Carried | None = field(default=None, repr=False)

    @cached_property
    def _rows(self) -> dict[str, int]:
        return {ring: row for row, ring in enumerate(self.table["ring"])}

    @cached_property
    def _home(self) -> dict[int, tuple[str, str]]:
        return {
            account: (ring, role)
            for ring, account, role in self.members.select("ring", "account", "role").iter_rows()
        }

    def ring_of(self, account: int) -> tuple[str, str] | None:
        """The ring of an account.

        Args:
            account: Account index.

        Returns:
            Ring id and role, or None if it is in no ring.
        """
        return self._home.get(int(account))

    def explain(self, ring: str) -> dict[str, Any]:
        """All that speaks for a ring.

        Args:
            ring: Ring id.

        Returns:
            ``ring``, its row of the table, ``sentences`` (text and the ids of the evidence behind it),
            ``evidence``, ``left_out`` (see `rings.left_out`), ``timeline`` and ``subgraph`` (at most 300
            nodes).

        Raises:
            RingUnknown: If the run does not hold the ring.
        """
        row = self._rows.get(ring)
        if row is None:
            raise RingUnknown(ring, self.id)
        explained: dict[str, Any] = unpack(self.explanations[row])
        shown = self.table.row(row, named=True)
        return {"run": self.id, **shown, **explained}

    def evidence(self, ring: str) -> list[dict[str, Any]]:
        """The evidence for a ring.

        Args:
            ring: Ring id.

        Returns:
            Pieces with ``id``, ``type``, ``weight`` and counts, the most telling first.

        Raises:
            RingUnknown: If the run does not hold the ring.
        """
        return list(self.explain(ring)["evidence"])

    def write(self, folder: str | Path) -> None:
        """Write the run into a folder.

        Args:
            folder: Where to; made if it does not exist.
        """
        target = Path(folder)
        target.mkdir(parents=True, exist_ok=True)
        self.table.write_parquet(target / "rings.parquet")
        self.members.write_parquet(target / "members.parquet")
        ends = np.cumsum([0, *(len(packed) for packed in self.explanations)])
        np.save(target / "explanations.npy", ends.astype(np.int64), allow_pickle=False)
        (target / "explanations.bin").write_bytes(b"".join(self.explanations))
        if self.pair_model is not None:
            (target / _PAIR_MODEL).write_text(self.pair_model, encoding="utf-8")
        if self.yardstick is not None:
            np.savez(target / _YARDSTICK, allow_pickle=False, **self.yardstick.arrays)
        if self.carried is not None:
            np.savez(target / _CARRIED, allow_pickle=False, **self.carried.arrays)
        text = json.dumps(self.manifest, indent=1, sort_keys=True)
        (target / "manifest.json").write_text(text + "\n", encoding="utf-8")

    @classmethod
    def open(cls, path: str | Path) -> RingsRun:
        """Open a run.

        Args:
            path: Its folder.

        Returns:
            The run; explanations are read when they are asked for.

        Raises:
            RingsError: If the folder holds none, or one of another format.
        """
        folder = Path(path)
        try:
            manifest = json.loads((folder / "manifest.json").read_text(encoding="utf-8"))
        except (FileNotFoundError, NotADirectoryError, json.JSONDecodeError):
            message = f"{folder}: no rings run there; make one with `ringwatch rings`"
            raise RingsError(message) from None
        if manifest.get("format") != FORMAT:
            message = (
                f"{folder}: rings of format {manifest.get('format')}, this version reads {FORMAT};"
                " make them again with `ringwatch rings`"
            )
            raise RingsError(message)
        model, measured, left = (folder / name for name in (_PAIR_MODEL, _YARDSTICK, _CARRIED))
        yardstick = None
        if measured.exists():
            with np.load(measured, allow_pickle=False) as arrays:
                # A run of before, without what is measured today, is no yardstick.
                if set(Yardstick.ARRAYS) <= set(arrays.files):
                    yardstick = Yardstick.of({name: arrays[name] for name in Yardstick.ARRAYS})
        carried = None
        if left.exists():
            with np.load(left, allow_pickle=False) as arrays:
                if set(Carried.ARRAYS) <= set(arrays.files):
                    carried = Carried.of({name: arrays[name] for name in Carried.ARRAYS})
        return cls(
            id=manifest["id"],
            manifest=manifest,
            table=pl.read_parquet(folder / "rings.parquet"),
            members=pl.read_parquet(folder / "members.parquet"),
            explanations=_Stored(folder),
            pair_model=model.read_text(encoding="utf-8") if model.exists() else None,
            yardstick=yardstick,
            carried=carried,
        )


class _Stored:
    """Packed explanations in a file."""

    def __init__(self, folder: Path) -> None:
        self._ends = np.load(folder / "explanations.npy", allow_pickle=False)
        self._path = folder / "explanations.bin"

    def __len__(self) -> int:
        return len(self._ends) - 1

    def __getitem__(self, row: int) -> bytes:
        with self._path.open("rb") as stream:
            stream.seek(int(self._ends[row]))
            return stream.read(int(self._ends[row + 1] - self._ends[row]))

    def __iter__(self) -> Iterator[bytes]:
        return (self[row] for row in range(len(self)))


def pack(explanation: dict[str, Any]) -> bytes:
    """Pack an explanation for storage.

    Args:
        explanation: What JSON can hold.

    Returns:
        Its bytes.
    """
    return zlib.compress(orjson.dumps(explanation, option=orjson.OPT_SERIALIZE_NUMPY), 1)


def unpack(packed: bytes) -> dict[str, Any]:
    """The opposite of `pack`.

    Args:
        packed: Its bytes.

    Returns:
        The explanation.
    """
    return dict(orjson.loads(zlib.decompress(packed)))
