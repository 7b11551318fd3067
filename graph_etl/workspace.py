"""The workspace: the folder that holds snapshots, bundles, rings and which of each is current."""

from __future__ import annotations

import fcntl
import json
import os
import shutil
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from graph_etl.errors import RingwatchError
from graph_etl.history import Publication, earlier, read_history, write_history
from graph_etl.snapshot import Snapshot

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

_KINDS = {"snapshot": "snapshots", "bundle": "bundles", "rings": "rings"}
# What is kept where: a shadow is a bundle that is scored beside the one in use.
_USES = {"snapshot": "snapshot", "bundle": "bundle", "rings": "rings", "shadow": "bundle"}
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


def write_atomically(path: Path, text: str, *, mode: int = 0o644) -> None:
    """Replace a file so that a reader sees the old text or the new one, never a half.

    Args:
        path: The file.
        text: Its new text.
        mode: Who may read it.
    """
    partial = path.with_name(f".{path.name}.partial")
    partial.unlink(missing_ok=True)
    descriptor = os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, mode)
    with os.fdopen(descriptor, "w", encoding="utf-8") as stream:
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
        """Which snapshot, bundle and rings are in use, and which bundle runs in their shadow.

        Returns:
            An id or None for each of ``snapshot``, ``bundle``, ``rings`` and ``shadow``.
        """
        state = self._state()
        return {use: state.get(use) for use in _USES}

    def _state(self) -> dict[str, Any]:
        file = self.path / "current.json"
        if not file.exists():
            return {}
        try:
            state: dict[str, Any] = json.loads(file.read_text())
        except json.JSONDecodeError:
            message = f"{file}: damaged; delete it and run `ringwatch build SPEC` again"
            raise WorkspaceError(message) from None
        return state

    def set_current(self, kind: str, identity: str | None) -> None:
        """Switch to another snapshot, bundle or ring run; readers see the old one or the new one.

        Args:
            kind: ``snapshot``, ``bundle``, ``rings`` or ``shadow``.
            identity: Its id; None for none.

        Raises:
            WorkspaceError: If there is none such.
        """
        self.publish({kind: identity})

    def publish(self, uses: Mapping[str, str | None]) -> dict[str, str | None]:
        """Switch any of snapshot, bundle, rings and shadow at once, durably.

        Readers see all of it or nothing, also after a kill at any point. What changed is added to
        ``history.jsonl``. A bundle that comes into use is no shadow any more.

        Args:
            uses: Id by ``snapshot``, ``bundle``, ``rings`` or ``shadow``; None for none. What is not named
                stays.

        Returns:
            What is in use now.

        Raises:
            WorkspaceError: If there is none such.
        """
        for use, identity in uses.items():
            if use not in _USES:
                message = f"{use!r} is nothing that can be in use; there are: {', '.join(_USES)}"
                raise WorkspaceError(message)
            if identity is not None:
                self._existing(_USES[use], identity)
        with self._locked("current", wait=True):
            return self._switch(dict(uses), rollback=None)

    def rollback(self, kind: str) -> str:
        """Go back to the snapshot, bundle or ring run that was in use before the present one.

        Going back again goes back further.

        Args:
            kind: ``snapshot``, ``bundle`` or ``rings``.

        Returns:
            Id of what is in use now.

        Raises:
            WorkspaceError: If there is none before, or its folder is gone.
        """
        if kind not in _KINDS:
            message = f"{kind!r} is no part of a workspace; there are: {', '.join(_KINDS)}"
            raise WorkspaceError(message)
        with self._locked("current", wait=True):
            identity = earlier(self.history(), kind)
            if identity is None:
                present = self.current()[kind]
                what = (
                    f"{kind} was in use before {present}" if present else f"{kind} is in use, nor was before"
                )
                message = f"{self.path}: no {what}; make one with `{_NEXT[kind]}`"
                raise WorkspaceError(message)
            if not (self.path_of(kind, identity) / "manifest.json").exists():
                message = (
                    f"{self.path}: {kind} {identity!r}, which was in use before, is gone;"
                    f" make another with `{_NEXT[kind]}`"
                )
                raise WorkspaceError(message)
            self._switch({kind: identity}, rollback=kind)
            return identity

    def in_use_or_before(self, kind: str) -> tuple[str, ...]:
        """What is in use and what a rollback would go back to.

        Args:
            kind: ``snapshot``, ``bundle`` or ``rings``.

        Returns:
            Up to two ids.
        """
        found = (self.current()[kind], earlier(self.history(), kind))
        return tuple(identity for identity in found if identity is not None)

    def history(self) -> list[Publication]:
        """What was in use when.

        Returns:
            Every switch that came into effect, the oldest first.
        """
        return read_history(self.path / "history.jsonl", self._state().get("publication"))

    def _switch(self, uses: dict[str, str | None], rollback: str | None) -> dict[str, str | None]:
        before = self.current()
        after = before | uses
        if after["shadow"] is not None and after["shadow"] == after["bundle"]:
            after["shadow"] = None
        if after == before:
            return before
        history = self.history()
        number = history[-1].number + 1 if history else 1
        added = Publication(number, time.time_ns() // 1_000_000, before, after, rollback)
        write_history(self.path / "history.jsonl", history, added)
        text = json.dumps(after | {"publication": number}, indent=1, sort_keys=True)
        write_atomically(self.path / "current.json", text + "\n")
        return after

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
    def locked(self, name: str) -> Iterator[None]:
        """Hold one file of the workspace against other writers; waits for them.

        Args:
            name: What it is for.

        Yields:
            Nothing.
        """
        with self._locked(name, wait=True):
            yield

    @contextmanager
    def alone(self, work: str) -> Iterator[None]:
        """Hold the workspace for one piece of work of a kind; a process that dies lets go by itself.

        Args:
            work: ``build``, ``refresh``, or what keeps its pieces there over a cluster: ``training`` and
                ``ring-search``.

        Yields:
            Nothing.

        Raises:
            WorkspaceError: If another such work is running there.
        """
        with self._locked(work, wait=False):
            yield
