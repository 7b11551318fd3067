"""What a long job has finished, kept piece by piece in a folder or store: a killed job goes on there."""

from __future__ import annotations

import hashlib
import io
import pickle
import re
import time
from typing import TYPE_CHECKING, Any, Final

from graph_etl.code import code_version
from ray_jobs.errors import PlaceError
from ray_jobs.places import store_of

if TYPE_CHECKING:
    from collections.abc import Sequence

OTHERS: Final = 3
"""Runs of a kind that were cut short and may still be taken up, beside the one that runs."""

STALE_S: Final = 14 * 86_400.0
"""Seconds after which nobody takes up a run any more: the data has moved on."""

_BEGUN: Final = "begun"

MISSING: Final = object()
"""Stands for a piece that nobody has finished."""


def code_of_jobs() -> str:
    """A hash of the code that pieces of these jobs are made by; other code takes nothing of theirs over.

    Returns:
        16 hexadecimal digits; the same on every machine with the same code.
    """
    return code_version("graph_etl", "features", "rings", "gnn", "ray_jobs")


class Kept:
    """Finished pieces by name, each whole or not there.

    Only what this program wrote is ever read: pickles of a store that others may write to are code of theirs.

    Args:
        url: A path, or an address that fsspec understands.

    Raises:
        PlaceError: If the store cannot be reached.
    """

    def __init__(self, url: str) -> None:
        self.url = url.rstrip("/")
        self._system, self._root = store_of(self.url)

    @classmethod
    def of_run(cls, root: str, kind: str, words: Sequence[Any]) -> Kept:
        """The pieces of a run: those of the same run, if it was begun before.

        What other runs left that never came to their end is bounded: beside this one the `OTHERS` that were
        begun last stay, and none that was begun more than `STALE_S` ago.

        Args:
            root: Folder or address in which runs keep their pieces.
            kind: ``train``, ``rings`` or what else it is.
            words: All that the pieces depend on but for the code, by `repr`.

        Returns:
            The pieces.

        Raises:
            PlaceError: If the store cannot be reached or written.
        """
        told = repr([*words, code_of_jobs()])
        kept = cls(f"{root.rstrip('/')}/{kind}-{hashlib.sha256(told.encode()).hexdigest()[:16]}")
        kept.keep(_BEGUN, time.time())
        kept._sweep(kind)
        return kept

    def _sweep(self, kind: str) -> None:
        """Drop what runs left that were begun long ago, or before many others."""
        root, _, own = self._root.rpartition("/")
        begun: list[tuple[float, str]] = []
        for path in self._system.ls(root, detail=False):
            name = str(path).rstrip("/").rpartition("/")[2]
            if re.fullmatch(f"{kind}-[0-9a-f]{{16}}", name) and name != own:
                at = Kept(self._system.unstrip_protocol(f"{root}/{name}")).read(_BEGUN)
                # One without was left by an earlier version.
                begun.append((at if isinstance(at, float) else 0.0, name))
        begun.sort(reverse=True)
        for place, (at, name) in enumerate(begun):
            if place >= OTHERS or at < time.time() - STALE_S:
                self._system.rm(f"{root}/{name}", recursive=True)

    def read(self, name: str) -> Any:
        """A finished piece.

        Args:
            name: Its name.

        Returns:
            What was kept; `MISSING` if nothing was, or nothing that can be read.
        """
        try:
            return pickle.loads(self._system.cat_file(f"{self._root}/{name}"))
        except (OSError, EOFError, pickle.UnpicklingError):
            return MISSING

    def keep(self, name: str, value: Any) -> None:
        """Keep a finished piece.

        Args:
            name: Its name.
            value: What can be pickled.

        Raises:
            PlaceError: If the store cannot be written.
        """
        stream = io.BytesIO()
        pickle.dump(value, stream, protocol=5)
        try:
            self._system.makedirs(self._root, exist_ok=True)
            # A store shows an object when it is whole; a file system shows what is there so far.
            self._system.pipe_file(f"{self._root}/{name}.partial", stream.getvalue())
            self._system.mv(f"{self._root}/{name}.partial", f"{self._root}/{name}")
        except OSError as error:
            message = f"{self.url}: cannot be written ({error}); check the address and its credentials"
            raise PlaceError(message) from None

    def forget(self) -> None:
        """Drop everything."""
        if self._system.exists(self._root):
            self._system.rm(self._root, recursive=True)


def name_of(words: str, number: int, piece: int) -> str:
    """A file name for a piece of a stage.

    Args:
        words: The stage.
        number: How often a stage of that name was run before.
        piece: Which of its pieces.

    Returns:
        The name.
    """
    return f"{re.sub('[^a-z0-9]+', '-', words.lower()).strip('-')}.{number}.{piece:05d}"
