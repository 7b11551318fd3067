"""Embeddings of all accounts as files: parts of accounts and of the layers between, each whole or not there.

A folder of embeddings holds ``manifest.json`` (what was embedded by what), ``part-*.parquet`` with the
columns ``account`` (the id), ``bundle`` (the model's version) and ``embedding``, and beside each file its
size and hash, written last. Layers that were computed on the way stand in ``layers/`` until all parts are
there. A run that was killed goes on from what is there and checks it first.
"""

from __future__ import annotations

import fcntl
import hashlib
import io
import json
import os
import tempfile
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import polars as pl
from threadpoolctl import ThreadpoolController

from gnn.bundle import Bundle
from gnn.layerwise import BLOCK_SHIFT, LayerwiseSage, Parts, block_range, n_blocks
from graph_etl import Snapshot
from graph_etl.errors import RingwatchError

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from gnn.sage_kernel import Sage

    Progress = Callable[[str, int, int], None]

SHOWN: Final = "shown"
SENT: Final = "sent"
PART: Final = "part"
STEPS: Final = {SHOWN: "what accounts show", SENT: "what nodes send", PART: "embedding all accounts"}
"""The passes in order, each needing all of the one before, and their words."""
CACHE_VARIABLE: Final = "RINGWATCH_NODE_CACHE"
_FORMAT: Final = 1


class EmbeddingError(RingwatchError):
    """Embeddings cannot be made or read where they were asked for."""


@dataclass(frozen=True, slots=True)
class Job:
    """What is embedded, by what and whereto.

    Attributes:
        url: Folder of the embeddings: a path that all who work on it see, or an address that fsspec
            understands.
        key: Hash of all that decides the numbers.
        full: See `gnn.layerwise.LayerwiseSage`.
        shift: Likewise.
        accounts: Accounts of the snapshot.
        nodes: Nodes of it.
    """

    url: str
    key: str
    full: bool
    shift: int
    accounts: int
    nodes: int

    def blocks(self, step: str) -> int:
        """Files of a step."""
        return n_blocks(self.nodes if step == SENT else self.accounts, self.shift)

    def name(self, step: str, block: int) -> str:
        """Name of a file in the folder."""
        return f"part-{block:06d}.parquet" if step == PART else f"layers/{step}-{block:06d}.npy"


def folder_of(workspace: Path, bundle: str, snapshot: str, *, full: bool = False) -> Path:
    """Where a workspace keeps embeddings: a folder for each bundle and snapshot.

    Args:
        workspace: Folder of the workspace.
        bundle: Version of the bundle.
        snapshot: Id of the snapshot.
        full: See `gnn.layerwise.LayerwiseSage`.

    Returns:
        The folder.
    """
    return workspace / "embeddings" / f"{bundle}-{snapshot}{'-full' if full else ''}"


def sage_of(bundle: Bundle) -> Sage:
    """The GraphSAGE of a bundle.

    Args:
        bundle: The bundle.

    Returns:
        The model.

    Raises:
        EmbeddingError: If it has none.
    """
    sage = bundle.sage
    if sage is None:
        message = (
            f"bundle {bundle.version} was trained without verdicts, so it has no GraphSAGE;"
            " `ringwatch train` makes one from a snapshot with verdicts"
        )
        raise EmbeddingError(message)
    return sage


def started(snapshot: Snapshot, bundle: Bundle, url: str, *, full: bool, shift: int = BLOCK_SHIFT) -> Job:
    """Begin to embed into a folder, or go on with what was begun there.

    Args:
        snapshot: The snapshot.
        bundle: The bundle.
        url: The folder.
        full: See `gnn.layerwise.LayerwiseSage`.
        shift: Likewise.

    Returns:
        The job.

    Raises:
        EmbeddingError: If something else is kept in the folder, or it cannot be written.
    """
    sage = sage_of(bundle)
    LayerwiseSage(snapshot, sage)  # says now whether they fit
    told = {
        "format": _FORMAT,
        "snapshot": snapshot.id,
        "content_hash": snapshot.manifest["content_hash"],
        "bundle": bundle.version,
        "width": sage.hidden,
        "accounts": snapshot.n_accounts,
        "nodes": snapshot.n_nodes,
        "neighbours": "all" if full else list(sage.fanouts),
        "part_rows": 1 << shift,
    }
    key = hashlib.sha256(json.dumps(told, sort_keys=True).encode()).hexdigest()
    store = _Store(url)
    there = store.read("manifest.json")
    if there is not None:
        try:
            found = json.loads(there)
        except ValueError:
            found = {}
        if found.get("key") != key:
            message = (
                f"{url}: holds embeddings of bundle {found.get('bundle')} on snapshot {found.get('snapshot')}"
                f" or cut otherwise, not those asked for ({bundle.version} on {snapshot.id}); delete it or"
                " name another folder"
            )
            raise EmbeddingError(message)
    store.write("manifest.json", json.dumps({**told, "key": key}, indent=1, sort_keys=True).encode())
    return Job(url, key, full, shift, snapshot.n_accounts, snapshot.n_nodes)


def missing(job: Job, step: str) -> list[int]:
    """Files of a step that are not there whole, by number.

    Args:
        job: The job.
        step: The step.

    Returns:
        Their numbers; files that were cut short or changed count as missing.
    """
    store = _Store(job.url)
    return [block for block in range(job.blocks(step)) if not store.whole(job.name(step, block), job.key)]


@lru_cache
def _libraries() -> ThreadpoolController:
    """The libraries that are loaded and their threads; looked up once."""
    return ThreadpoolController()


def worked(snapshot: Snapshot, bundle: Bundle, job: Job, step: str, block: int) -> None:
    """Make one file of a step; all files of the step before are there.

    BLAS runs on one thread: with more, the last bits of a product depend on how many there are, and files
    that several machines make together have to fit.

    Args:
        snapshot: The snapshot.
        bundle: The bundle.
        job: The job.
        step: The step.
        block: Number of the file.
    """
    layers = LayerwiseSage(
        snapshot, sage_of(bundle), bundle.epochs_for(snapshot), full=job.full, shift=job.shift
    )
    stream = io.BytesIO()
    with _libraries().limit(limits=1, user_api="blas"):
        if step == SHOWN:
            np.save(stream, layers.shown(block))
        elif step == SENT:
            np.save(stream, layers.sent(block, _mapped(job, SHOWN)))
        else:
            accounts = np.arange(*block_range(block, job.accounts, job.shift), dtype=np.int64)
            _, embedding = layers.heard(accounts, _mapped(job, SENT), shown=_mapped(job, SHOWN))
            table(snapshot, bundle, accounts, embedding).write_parquet(stream)
    _Store(job.url).write_checked(job.name(step, block), stream.getvalue(), job.key)


def table(
    snapshot: Snapshot, bundle: Bundle, accounts: NDArray[np.int64], embedding: NDArray[np.float32]
) -> pl.DataFrame:
    """Embeddings as a table.

    Args:
        snapshot: Gives the ids.
        bundle: Gives the version.
        accounts: ``int64[n]``.
        embedding: ``float32[n, H]``.

    Returns:
        Columns ``account``, ``bundle``, ``embedding``.
    """
    return pl.DataFrame(
        {
            "account": pl.Series(snapshot.account_ids[accounts], dtype=pl.String),
            "bundle": pl.Series([bundle.version], dtype=pl.String).new_from_index(0, len(accounts)),
            "embedding": pl.Series(embedding, dtype=pl.Array(pl.Float32, embedding.shape[1])),
        }
    )


def finished(job: Job) -> None:
    """Drop the layers between: all parts are there."""
    _Store(job.url).drop("layers")


def embed_here(
    snapshot: Snapshot, bundle: Bundle, folder: Path, *, full: bool = False, shift: int = BLOCK_SHIFT,
    progress: Progress | None = None,
) -> Job:  # fmt: skip
    """Embed all accounts in this process.

    Args:
        snapshot: The snapshot.
        bundle: The bundle.
        folder: Where to.
        full: See `gnn.layerwise.LayerwiseSage`.
        shift: Likewise.
        progress: Told what is done: the step, how many files, of how many.

    Returns:
        The job, done.
    """
    job = started(snapshot, bundle, str(folder), full=full, shift=shift)
    for step, left in steps_left(job):
        total = job.blocks(step)
        for at, block in enumerate(left):
            if progress is not None:
                progress(STEPS[step], total - len(left) + at, total)
            worked(snapshot, bundle, job, step, block)
        if progress is not None:
            progress(STEPS[step], total, total)
    finished(job)
    return job


def steps_left(job: Job) -> list[tuple[str, list[int]]]:
    """What is still to be done, in order.

    Args:
        job: The job.

    Returns:
        Each step with the numbers of the files that are missing; none once all parts are there.
    """
    parts = missing(job, PART)
    if not parts:
        return []
    return [(SHOWN, missing(job, SHOWN)), (SENT, missing(job, SENT)), (PART, parts)]


@dataclass(frozen=True, slots=True)
class Embeddings:
    """Embeddings of all accounts, read from their folder.

    Attributes:
        folder: The folder.
        manifest: What was embedded by what.
        accounts: Ids, in the snapshot's order.
        vectors: ``float32[A, H]``.
    """

    folder: Path
    manifest: dict[str, Any]
    accounts: list[str]
    vectors: NDArray[np.float32]

    @classmethod
    def open(cls, folder: Path) -> Embeddings:
        """Read a folder.

        Args:
            folder: A folder of embeddings, all parts there.

        Returns:
            The embeddings.

        Raises:
            EmbeddingError: If there are none, or parts are missing or damaged.
        """
        try:
            manifest = json.loads((folder / "manifest.json").read_text())
            job = Job(
                str(folder), manifest["key"], False, manifest["part_rows"].bit_length() - 1,
                manifest["accounts"], manifest["nodes"],
            )  # fmt: skip
        except (OSError, ValueError, KeyError):
            message = f"{folder}: no embeddings there; make them with `ringwatch ray embed`"
            raise EmbeddingError(message) from None
        lost = missing(job, PART)
        if lost:
            message = (
                f"{folder}: {len(lost)} of {job.blocks(PART)} parts are missing or damaged"
                f" ({job.name(PART, lost[0])} the first); run `ringwatch ray embed` again"
            )
            raise EmbeddingError(message)
        accounts: list[str] = []
        vectors = np.empty((job.accounts, manifest["width"]), np.float32)
        for block in range(job.blocks(PART)):
            part = pl.read_parquet(folder / job.name(PART, block))
            start, stop = block_range(block, job.accounts, job.shift)
            vectors[start:stop] = part["embedding"].to_numpy()
            accounts += part["account"].to_list()
        return cls(folder, manifest, accounts, vectors)


class _Store:
    """Files of a folder, here or in a store, each written whole."""

    def __init__(self, url: str) -> None:
        import fsspec

        self.url = url
        try:
            self._system, root = fsspec.core.url_to_fs(url)
        except (ImportError, ValueError) as error:
            message = f"{url}: {error}; install the fsspec package that serves this kind of address"
            raise EmbeddingError(message) from None
        self._root = str(root).rstrip("/")

    def read(self, name: str) -> bytes | None:
        """A file; None if it is not there."""
        try:
            found: bytes = self._system.cat_file(f"{self._root}/{name}")
        except OSError:
            return None
        return found

    def write(self, name: str, content: bytes) -> None:
        """Write a file; a reader sees the one before or the whole."""
        path = f"{self._root}/{name}"
        partial = f"{path}.{os.getpid()}.partial"
        try:
            self._system.makedirs(path.rpartition("/")[0], exist_ok=True)
            self._system.pipe_file(partial, content)
            self._system.mv(partial, path)
        except OSError as error:
            message = f"{self.url}: cannot be written ({error}); check the address and its credentials"
            raise EmbeddingError(message) from None

    def write_checked(self, name: str, content: bytes, key: str) -> None:
        """Write a file, and then what it must look like."""
        self.write(name, content)
        digest = hashlib.sha256(content).hexdigest()
        told = json.dumps({"key": key, "bytes": len(content), "sha256": digest})
        self.write(f"{name}.json", told.encode())

    def expected(self, name: str, key: str) -> dict[str, Any] | None:
        """What a file must look like; None if it was not finished for this job."""
        try:
            told: dict[str, Any] = json.loads(self.read(f"{name}.json") or b"{}")
        except ValueError:
            return None
        return told if told.get("key") == key else None

    def whole(self, name: str, key: str) -> bool:
        """Whether a file is there as it was written for this job."""
        told = self.expected(name, key)
        content = None if told is None else self.read(name)
        return (
            told is not None and content is not None and hashlib.sha256(content).hexdigest() == told["sha256"]
        )

    def path(self, name: str, key: str) -> Path:
        """A file on this node: where it lies, or a copy that all processes of the node share."""
        if "://" not in self.url:
            return Path(self._root) / name
        named = os.environ.get(CACHE_VARIABLE)
        home = Path(named) if named else Path(tempfile.gettempdir()) / f"ringwatch-{os.getuid()}"
        folder = home / f"embedding-{key[:24]}"
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        target = folder / name.replace("/", "-")
        with (folder / f".{target.name}.lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            if not target.exists():
                content = self.read(name)
                told = self.expected(name, key)
                if content is None or told is None or hashlib.sha256(content).hexdigest() != told["sha256"]:
                    message = f"{self.url}/{name}: missing or damaged; run the command again"
                    raise EmbeddingError(message)
                partial = target.with_suffix(".partial")
                partial.write_bytes(content)
                partial.replace(target)
        return target

    def drop(self, name: str) -> None:
        """Delete a folder, if it is there."""
        if self._system.exists(f"{self._root}/{name}"):
            self._system.rm(f"{self._root}/{name}", recursive=True)


@lru_cache(maxsize=4)
def _mapped(job: Job, step: str) -> Parts:
    """All files of a layer, mapped: processes of a node share their pages."""
    store = _Store(job.url)
    paths = [store.path(job.name(step, block), job.key) for block in range(job.blocks(step))]
    try:
        return Parts([np.load(path, mmap_mode="r") for path in paths], job.shift)
    except (OSError, ValueError) as error:
        message = f"{job.url}: a layer cannot be read ({error}); run the command again"
        raise EmbeddingError(message) from None
