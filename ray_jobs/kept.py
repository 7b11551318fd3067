"""What a long job has finished, kept piece by piece in a folder or store: a killed job goes on there."""

from __future__ import annotations

import io
import pickle
import re
from typing import Any, Final

from ray_jobs.errors import PlaceError
from ray_jobs.places import store_of

MISSING: Final = object()
"""Stands for a piece that nobody has finished."""


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
