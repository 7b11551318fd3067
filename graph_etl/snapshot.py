"""The snapshot: a folder, written once, that all processes map into memory."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, overload

import numpy as np
import polars as pl
import pyarrow as pa
from numba import njit

from graph_etl.adjacency import CSR, TouchList
from graph_etl.errors import RingwatchError

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from graph_etl.spec import Spec

NO_TIME = -(2**63)
"""The time of something whose time nobody told, in milliseconds."""

NO_HUB = 2**63 - 1
"""``hub_since`` of a node that is no hub."""

FORMAT = 2


class SnapshotError(RingwatchError):
    """A folder does not hold a snapshot that this version can read."""


@dataclass(frozen=True, slots=True)
class KindInfo:
    """A kind of node: its name, whether it says who is behind an account, whether its keys are public."""

    name: str
    identifier: bool
    public: bool


@dataclass(frozen=True, slots=True)
class AttributeInfo:
    """An attribute of accounts: ``number``, ``category`` (with its categories) or ``flag``."""

    name: str
    type: str
    categories: tuple[str, ...] = ()


class Strings(Sequence[str]):
    """Strings in mapped memory, read like a list."""

    def __init__(self, array: pa.Array) -> None:
        self.arrow = array

    def __len__(self) -> int:
        return len(self.arrow)

    @cached_property
    def _mapped(self) -> tuple[NDArray[np.int64], memoryview]:
        """Where each string ends, and all of them one after the other."""
        _, offsets, data = self.arrow.buffers()
        ends = np.frombuffer(offsets, np.int64)[self.arrow.offset :]
        return ends, memoryview(data if data is not None else b"")

    def spelt(self, index: int) -> bytes:
        """One of them as bytes, without making a string of it.

        Args:
            index: From 0 on.

        Returns:
            Its UTF-8 bytes.
        """
        ends, data = self._mapped
        return bytes(data[ends[index] : ends[index + 1]])

    @overload
    def __getitem__(self, index: int) -> str: ...
    @overload
    def __getitem__(self, index: slice | NDArray[np.integer[Any]]) -> list[str]: ...
    def __getitem__(self, index: Any) -> Any:
        if isinstance(index, slice):
            index = np.arange(*index.indices(len(self)))
        if isinstance(index, np.ndarray) and index.ndim == 1:
            return self.take(index).to_pylist()
        at = int(index)
        return self.arrow[at if at >= 0 else len(self) + at].as_py()

    def take(self, index: NDArray[np.integer[Any]]) -> pa.Array:
        """Some of them, as an Arrow array.

        Args:
            index: ``int[n]``.

        Returns:
            ``n`` strings.
        """
        places = np.ascontiguousarray(index, np.int64)
        # Not pa.array(places): that would load pandas.
        return self.arrow.take(pa.Array.from_buffers(pa.int64(), len(places), [None, pa.py_buffer(places)]))

    def to_list(self) -> list[str]:
        """All of them, as Python strings."""
        return list(self.arrow.to_pylist())


def _hash_start(kind: str) -> hashlib.blake2b:
    return hashlib.blake2b(kind.encode() + b"\0", digest_size=16)


@njit(cache=True)
def _places_of(names: NDArray[np.uint64], wanted: np.uint64) -> tuple[int, int]:
    """First place of a name among sorted ones, and the place after its last."""
    low, high = 0, len(names)
    while low < high:
        middle = (low + high) >> 1
        if names[middle] < wanted:
            low = middle + 1
        else:
            high = middle
    stop = low
    while stop < len(names) and names[stop] == wanted:
        stop += 1
    return low, stop


def node_hashes(kind: str, keys: Sequence[str]) -> NDArray[np.uint64]:
    """Stable 128-bit names of nodes, the same in every build and on every machine.

    Args:
        kind: Kind of the nodes.
        keys: ``n`` keys.

    Returns:
        ``uint64[n, 2]``.
    """
    start = _hash_start(kind)
    digests = bytearray()
    for key in keys:
        one = start.copy()
        one.update(key.encode())
        digests += one.digest()
    return np.frombuffer(bytes(digests), dtype="<u8").reshape(-1, 2)


class Relation:
    """One relation of a snapshot; its edges are mapped when they are first asked for.

    Attributes:
        name: ``used:KIND`` or the type of the events.
        used: Whether accounts used entities.
        directed: Whether the two ends differ in meaning; if not, ``into`` is ``out``.
        value: ``one``, ``count`` or ``amount``.
        edges: Number of edges, each counted once.
        from_kinds: Ordinals of the kinds that edges start from.
        to_kinds: Ordinals of the kinds that edges lead to.
    """

    def __init__(self, folder: Path, entry: dict[str, Any]) -> None:
        self._folder = folder
        self._sides: dict[str, str] = entry["sides"]
        self._csrs: dict[str, CSR] = {}
        self.name: str = entry["name"]
        self.used: bool = entry["used"]
        self.directed: bool = entry["directed"]
        self.value: str = entry["value"]
        self.edges: int = entry["edges"]
        self.from_kinds: tuple[int, ...] = tuple(entry["from_kinds"])
        self.to_kinds: tuple[int, ...] = tuple(entry["to_kinds"])

    def __repr__(self) -> str:
        return f"Relation({self.name!r}, edges={self.edges})"

    def _csr(self, side: str) -> CSR:
        stored = self._sides[side]
        if stored not in self._csrs:
            self._csrs[stored] = CSR(
                *(_load(self._folder, f"{stored}.{part}") for part in ("indptr", "nbr", "pos", "value"))
            )
        return self._csrs[stored]

    @property
    def out(self) -> CSR:
        """Edges by the node they start from, one entry an event."""
        return self._csr("out")

    @property
    def into(self) -> CSR:
        """Edges by the node they lead to, one entry an event."""
        return self._csr("into")

    @property
    def pair_out(self) -> CSR:
        """Distinct pairs by the node they start from, at their first position, values summed."""
        return self._csr("pair_out")

    @property
    def pair_in(self) -> CSR:
        """Distinct pairs by the node they lead to, at their first position, values summed."""
        return self._csr("pair_in")


def _load(folder: Path, name: str) -> NDArray[Any]:
    path = folder / f"{name}.npy"
    try:
        array = np.load(path, mmap_mode="r", allow_pickle=False)
    except FileNotFoundError:
        message = f"{path}: missing from the snapshot; build it again with `ringwatch build SPEC`"
        raise SnapshotError(message) from None
    except (ValueError, EOFError):
        raise _damaged(path) from None
    return np.asarray(array).view(np.ndarray)


def _damaged(path: Path) -> SnapshotError:
    return SnapshotError(
        f"{path}: damaged; delete this snapshot's folder and run `ringwatch build SPEC` again"
    )


def _table(path: Path) -> pl.DataFrame:
    try:
        return pl.read_parquet(path)
    except (pl.exceptions.ComputeError, OSError):
        raise _damaged(path) from None


class Snapshot:
    """A snapshot, opened by memory mapping. Indices: nodes 0..N-1, accounts 0..A-1, positions 0..M-1.

    What is visible at horizon ``h`` is every entry whose ``pos`` is below ``h``.
    """

    def __init__(self, folder: Path, manifest: dict[str, Any]) -> None:
        self.path = folder
        self.manifest = manifest
        self.id: str = manifest["id"]
        self.kinds = tuple(KindInfo(**kind) for kind in manifest["kinds"])
        self.attributes = tuple(
            AttributeInfo(entry["name"], entry["type"], tuple(entry["categories"]))
            for entry in manifest["attributes"]
        )
        self.event_types: tuple[str, ...] = tuple(manifest["event_types"])
        self.relations = tuple(
            Relation(folder / "relations" / str(ordinal), entry)
            for ordinal, entry in enumerate(manifest["relations"])
        )
        self.n_nodes: int = manifest["counts"]["nodes"]
        self.n_accounts: int = manifest["counts"]["accounts"]
        self.n_events: int = manifest["counts"]["events"]

    @classmethod
    def open(cls, path: str | Path) -> Snapshot:
        """Open a snapshot.

        Args:
            path: Its folder.

        Returns:
            The snapshot.

        Raises:
            SnapshotError: If the folder holds none, or one of another format.
        """
        folder = Path(path)
        try:
            manifest = json.loads((folder / "manifest.json").read_text())
        except (FileNotFoundError, NotADirectoryError):
            message = f"{folder}: no snapshot there; build one with `ringwatch build SPEC`"
            raise SnapshotError(message) from None
        except json.JSONDecodeError:
            raise _damaged(folder / "manifest.json") from None
        if manifest.get("format") != FORMAT:
            message = (
                f"{folder}: snapshot format {manifest.get('format')}, this version reads {FORMAT};"
                " build it again with `ringwatch build SPEC`"
            )
            raise SnapshotError(message)
        return cls(folder, manifest)

    def __repr__(self) -> str:
        return (
            f"Snapshot({self.id!r}, nodes={self.n_nodes}, accounts={self.n_accounts}, events={self.n_events})"
        )

    @cached_property
    def node_kind(self) -> NDArray[np.int16]:
        """``int16[N]`` into ``kinds``."""
        return _load(self.path, "node_kind")

    @cached_property
    def node_keys(self) -> Strings:
        """``N`` keys: account ids as given, hashes of private identifiers, values of public kinds."""
        path = self.path / "node_keys.arrow"
        try:
            table = pa.ipc.open_file(pa.memory_map(str(path))).read_all()
        except (pa.ArrowInvalid, OSError):
            raise _damaged(path) from None
        column = table.column("key")
        return Strings(column.chunk(0) if column.num_chunks == 1 else column.combine_chunks())

    @cached_property
    def account_node(self) -> NDArray[np.int32]:
        """``int32[A]``, the node of each account."""
        return _load(self.path, "account_node")

    @cached_property
    def node_account(self) -> NDArray[np.int32]:
        """``int32[N]``, the account of each node, -1 for entities."""
        return _load(self.path, "node_account")

    @cached_property
    def account_ids(self) -> Strings:
        """``A`` account ids, as given unless the spec calls them secret."""
        return Strings(self.node_keys.take(self.account_node))

    @cached_property
    def first_seen_ms(self) -> NDArray[np.int64]:
        """``int64[A]``, ``NO_TIME`` if unknown."""
        return _load(self.path, "first_seen_ms")

    @cached_property
    def last_seen_ms(self) -> NDArray[np.int64]:
        """``int64[A]``, ``NO_TIME`` if unknown."""
        return _load(self.path, "last_seen_ms")

    @cached_property
    def first_pos(self) -> NDArray[np.int64]:
        """``int64[A]``, position of the row that brought the account in."""
        return _load(self.path, "first_pos")

    @cached_property
    def attribute_values(self) -> NDArray[np.float64]:
        """``float64[A, n_attributes]``: NaN missing, category as an index, flag 0 or 1."""
        return _load(self.path, "attribute_values")

    @cached_property
    def event_time_ms(self) -> NDArray[np.int64]:
        """``int64[M]``, when each row happened, ``NO_TIME`` if unknown."""
        return _load(self.path, "event_time_ms")

    @cached_property
    def event_known_ms(self) -> NDArray[np.int64]:
        """``int64[M]``, when each row became known, ascending, ``NO_TIME`` first."""
        return _load(self.path, "event_known_ms")

    @cached_property
    def event_type(self) -> NDArray[np.int16]:
        """``int16[M]`` into ``event_types``."""
        return _load(self.path, "event_type")

    @cached_property
    def hub_since(self) -> NDArray[np.int64]:
        """``int64[N]``: the node is a hub at every horizon above this position; ``NO_HUB`` never."""
        return _load(self.path, "hub_since")

    @cached_property
    def touched_by(self) -> TouchList:
        """For each node the accounts' nodes that touch it in any way, from their first position on."""
        return self._touch_list("touched_by")

    @cached_property
    def touches(self) -> TouchList:
        """For each account's node the nodes that it touches in any way, from their first position on."""
        return self._touch_list("touches")

    def _touch_list(self, name: str) -> TouchList:
        return TouchList(*(_load(self.path, f"{name}.{part}") for part in ("indptr", "nbr", "pos")))

    @cached_property
    def hubs(self) -> pl.DataFrame:
        """Columns node, kind, key, accounts, reason, since_ms."""
        return _table(self.path / "hubs.parquet")

    @cached_property
    def verdicts(self) -> pl.DataFrame:
        """What was said of accounts, the oldest first.

        Columns account, label (1 bad, 0 good, -1 none), known_ms (null: a target only), reason; source and
        abuse_type of verdicts that came through the service; undoes: the row undoes the last of these that
        stood, and its label is what stands from then on.
        """
        return _table(self.path / "verdicts.parquet")

    @cached_property
    def cuts(self) -> pl.DataFrame:
        """Pairs of accounts that are not linked: account, other, until_ms, known_pos, undone_pos.

        A cut holds at horizon ``h`` if ``known_pos < h`` and, where it was undone, ``h <= undone_pos``; it
        ends at ``until_ms`` (null: never).
        """
        return _table(self.path / "cuts.parquet")

    @cached_property
    def groups(self) -> pl.DataFrame:
        """Columns account, group, role (train or judge), mapping (ordinal in the spec)."""
        return _table(self.path / "groups.parquet")

    @cached_property
    def quarantine(self) -> pl.DataFrame:
        """Rows and cells that are not in the graph: source, mapping, file, row, column, scope, reason."""
        path = self.path / "quarantine.parquet"
        return pl.read_parquet(path) if path.exists() else pl.DataFrame()

    @cached_property
    def folds(self) -> NDArray[np.int8]:
        """``int8[A]``, the fold in which each account is held out."""
        return _load(self.path, "folds")

    @cached_property
    def splits(self) -> NDArray[np.int8] | None:
        """``int8[A, n_splits]``: 0 train, 1 validation, 2 test, -1 none; None if the spec gives none."""
        return _load(self.path, "splits") if (self.path / "splits.npy").exists() else None

    @cached_property
    def _names(self) -> tuple[NDArray[np.uint64], NDArray[np.int32]]:
        return _load(self.path, "node_names"), _load(self.path, "node_by_name")

    def names_of_nodes(self) -> NDArray[np.uint64]:
        """The first halves of the nodes' stable names (:func:`node_hashes`), the same in every build.

        Returns:
            ``uint64[N]``.
        """
        sorted_names, nodes = self._names
        names = np.empty(self.n_nodes, np.uint64)
        names[nodes] = sorted_names
        return names

    @cached_property
    def _kind_ordinals(self) -> dict[str, int]:
        return {kind.name: ordinal for ordinal, kind in enumerate(self.kinds)}

    def node_index(self, kind: str, key: str) -> int | None:
        """Find a node by a binary search.

        Args:
            kind: Name of its kind.
            key: Its key, as ``graph_etl.identifiers.entity_key`` gives it.

        Returns:
            Its index, or None if the snapshot has none such.
        """
        ordinal = self._kind_ordinals.get(kind)
        if ordinal is None:
            return None
        # Asked several times for every event: a hash that is begun already, one compiled search, and keys
        # compared as the bytes that they are mapped as.
        digest = self._hash_starts[ordinal].copy()
        spelt = key.encode()
        digest.update(spelt)
        name = int.from_bytes(digest.digest()[:8], "little")
        names, nodes = self._names
        at, stop = _places_of(names, np.uint64(name))
        for place in range(at, stop):
            node = int(nodes[place])
            if self.node_kind[node] == ordinal and self.node_keys.spelt(node) == spelt:
                return node
        return None

    @cached_property
    def _hash_starts(self) -> list[hashlib.blake2b]:
        return [_hash_start(kind.name) for kind in self.kinds]

    def account_index(self, account_id: str) -> int | None:
        """Find an account.

        Args:
            account_id: Its id, as stored.

        Returns:
            Its account index, or None if the snapshot has none such.
        """
        node = self.node_index(self.kinds[0].name, account_id)
        return None if node is None else int(self.node_account[node])

    def relation(self, name: str) -> Relation:
        """One relation by its name.

        Args:
            name: ``used:KIND`` or a type.

        Returns:
            The relation.

        Raises:
            SnapshotError: If there is none such.
        """
        for relation in self.relations:
            if relation.name == name:
                return relation
        known = ", ".join(relation.name for relation in self.relations)
        message = f"{self.path}: no relation {name!r}; there are: {known}"
        raise SnapshotError(message)

    @cached_property
    def spec(self) -> Spec:
        """The spec that the snapshot was built with, for naming what a request brings."""
        from graph_etl.spec import Spec

        return Spec.model_validate(self.manifest["spec"])

    @property
    def end_horizon(self) -> int:
        """The horizon at which everything is visible."""
        return self.n_events

    @property
    def last_seq(self) -> int:
        """The last row of the journal that is in the snapshot; 0 without a journal."""
        return int(self.manifest["last_seq"])

    def horizon_at(self, time_ms: int) -> int:
        """The horizon at a time.

        Args:
            time_ms: Milliseconds Unix time.

        Returns:
            Number of rows known by then; rows without a time count as known.
        """
        return int(np.searchsorted(self.event_known_ms, time_ms, side="right"))

    def labels(self) -> NDArray[np.int8]:
        """The last verdict on each account.

        Returns:
            ``int8[A]``: 1 bad, 0 good, -1 none. That silence may count as good is not applied.
        """
        labels = np.full(self.n_accounts, -1, np.int8)
        verdicts = self.verdicts.group_by("account", maintain_order=True).last()
        labels[verdicts["account"].to_numpy()] = verdicts["label"].to_numpy()
        return labels
