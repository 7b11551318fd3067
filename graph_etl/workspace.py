"""The workspace: the folder that holds snapshots, bundles, rings and which of each is current."""

from __future__ import annotations

import fcntl
import json
import os
import shutil
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from graph_etl.errors import RingwatchError
from graph_etl.snapshot import Snapshot

if TYPE_CHECKING:
    from collections.abc import Iterator

_KINDS = {"snapshot": "snapshots", "bundle": "bundles", "rings": "rings"}
_NEXT = {"snapshot": "ringwatch build SPEC", "bundle": "ringwatch train", "rings": "ringwatch rings"}


class WorkspaceError(RingwatchError):
    """A workspace lacks what was asked of it, or something else is changing it."""


def sync_folder(folder: Path) -> None:
    """Make a folder and everything below it durable.

    Args:
        folder: The folder.
    """
    # At once: the file system then writes its log a few times in all, not once a file.
    with ThreadPoolExecutor(16) as threads:
        for synced in [threads.submit(sync_path, path) for path in [*folder.rglob("*"), folder]]:
            synced.result()


@contextmanager
def fresh_folder(target: Path) -> Iterator[Path]:
    """Fill a folder that appears under its name only when it is whole.

    Args:
        target: The folder's final path. If it exists already, it is kept and what was written is dropped.

    Yields:
        A temporary folder beside it to write into; gone if the block raises.
    """
    target.parent.mkdir(parents=True, exist_ok=True)
    partial = target.with_name(f".{target.name}.{os.getpid()}.partial")
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir()
    try:
        yield partial
        if not target.exists():
            sync_folder(partial)
            partial.rename(target)
            sync_path(target.parent)
    finally:
        shutil.rmtree(partial, ignore_errors=True)


def sync_path(path: Path) -> None:
    """Make a file, or a folder's own list of names, durable.

    Args:
        path: The file or folder.
    """
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def write_atomically(path: Path, text: str) -> None:
    """Replace a file so that a reader sees the old text or the new one, never a half.

    Args:
        path: The file.
        text: Its new text.
    """
    partial = path.with_name(f".{path.name}.partial")
    with partial.open("w", encoding="utf-8") as stream:
        stream.write(text)
        stream.flush()
        os.fsync(stream.fileno())
    partial.replace(path)
    sync_path(path.parent)


class Workspace:
    """The folder that holds snapshots, bundles, rings, staged parts and what is current."""

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)

    def __repr__(self) -> str:
        return f"Workspace({str(self.path)!r})"

    @property
    def snapshots(self) -> Path:
        """Folder of the snapshots."""
        return self.path / "snapshots"

    @property
    def bundles(self) -> Path:
        """Folder of the bundles."""
        return self.path / "bundles"

    @property
    def rings(self) -> Path:
        """Folder of the ring runs."""
        return self.path / "rings"

    @property
    def staging(self) -> Path:
        """Folder of what builds have read so far, hashed already."""
        return self.path / "staging"

    def current(self) -> dict[str, str | None]:
        """Which snapshot, bundle and rings are in use.

        Returns:
            An id or None for each of ``snapshot``, ``bundle`` and ``rings``.
        """
        current: dict[str, str | None] = dict.fromkeys(_KINDS)
        file = self.path / "current.json"
        if file.exists():
            try:
                current |= json.loads(file.read_text())
            except json.JSONDecodeError:
                message = f"{file}: damaged; delete it and run `ringwatch build SPEC` again"
                raise WorkspaceError(message) from None
        return current

    def set_current(self, kind: str, identity: str | None) -> None:
        """Switch to another snapshot, bundle or ring run; readers see the old one or the new one.

        Args:
            kind: ``snapshot``, ``bundle`` or ``rings``.
            identity: Its id; None for none.

        Raises:
            WorkspaceError: If there is none such.
        """
        if identity is not None:
            self._existing(kind, identity)
        self.path.mkdir(parents=True, exist_ok=True)
        with self._locked("current", wait=True):
            text = json.dumps(self.current() | {kind: identity}, indent=1, sort_keys=True)
            write_atomically(self.path / "current.json", text + "\n")

    def path_of(self, kind: str, identity: str) -> Path:
        """Folder of a snapshot, a bundle or a ring run.

        Args:
            kind: ``snapshot``, ``bundle`` or ``rings``.
            identity: Its id.

        Returns:
            The folder, whether it exists or not.

        Raises:
            WorkspaceError: If the kind is none of the three, or the id is no plain name.
        """
        if kind not in _KINDS:
            message = f"{kind!r} is no part of a workspace; there are: {', '.join(_KINDS)}"
            raise WorkspaceError(message)
        if not identity or identity.startswith(".") or "/" in identity or "\\" in identity:
            message = f"{identity!r} is no id of a {kind}; list them with `ls {self.path / _KINDS[kind]}`"
            raise WorkspaceError(message)
        return self.path / _KINDS[kind] / identity

    def _existing(self, kind: str, identity: str) -> Path:
        folder = self.path_of(kind, identity)
        if not (folder / "manifest.json").exists():
            message = f"{self.path}: no {kind} {identity!r}; make one with `{_NEXT[kind]}`"
            raise WorkspaceError(message)
        return folder

    @contextmanager
    def new_folder(self, kind: str, identity: str) -> Iterator[Path]:
        """Write a snapshot, a bundle or a ring run that appears only when it is whole.

        Args:
            kind: ``snapshot``, ``bundle`` or ``rings``.
            identity: Its id. One that exists already is kept: the same id means the same content.

        Yields:
            A temporary folder to write into.
        """
        with fresh_folder(self.path_of(kind, identity)) as folder:
            yield folder

    def open_snapshot(self, identity: str | None = None) -> Snapshot:
        """Open a snapshot.

        Args:
            identity: Its id; the current one if None.

        Returns:
            The snapshot.

        Raises:
            WorkspaceError: If there is none.
        """
        chosen = identity or self.current()["snapshot"]
        if chosen is None:
            message = f"{self.path}: no snapshot yet; build one with `{_NEXT['snapshot']}`"
            raise WorkspaceError(message)
        return Snapshot.open(self._existing("snapshot", chosen))

    @contextmanager
    def _locked(self, name: str, *, wait: bool) -> Iterator[None]:
        self.path.mkdir(parents=True, exist_ok=True)
        with (self.path / f".{name}.lock").open("w") as stream:
            try:
                fcntl.flock(stream, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
            except BlockingIOError:
                message = (
                    f"{self.path}: another {name} is running there; wait for it or use another --workspace"
                )
                raise WorkspaceError(message) from None
            yield

    @contextmanager
    def building(self) -> Iterator[None]:
        """Hold the workspace for one build; a process that dies lets go by itself.

        Yields:
            Nothing.

        Raises:
            WorkspaceError: If another build is running there.
        """
        with self._locked("build", wait=False):
            yield
