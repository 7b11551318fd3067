"""Finished cells of the table, kept on disk so that a run that was stopped goes on where it was."""

from __future__ import annotations

import hashlib
import json
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

ROOT = Path(__file__).resolve().parents[2]


def code_hash(*folders: str) -> str:
    """A hash of source code: a cell that other code computed is no longer the cell.

    Args:
        *folders: Folders or files below the repository's root.

    Returns:
        Twelve hexadecimal digits.
    """
    digest = hashlib.sha256()
    for folder in folders:
        place = ROOT / folder
        for path in sorted(place.rglob("*.py")) if place.is_dir() else [place]:
            digest.update(str(path.relative_to(ROOT)).encode() + b"\0" + path.read_bytes())
    return digest.hexdigest()[:12]


class NotFinished(Exception):
    """A cell that has not been computed, where only finished ones are asked for."""


@dataclass(frozen=True, slots=True)
class Cell:
    """What was computed once.

    Attributes:
        scores: ``float64[R]`` of all examples, NaN where nothing was asked.
        seconds: How long it took.
        notes: Settings chosen and the like.
    """

    scores: NDArray[np.float64]
    seconds: float
    notes: dict[str, Any]


class Cells:
    """A folder of finished cells.

    Args:
        folder: Where they lie.
        fresh: Whether those that are there count for nothing.
        finished: Whether only those that are there are wanted.
        tell: Called with a line for each cell that is begun or found.
    """

    def __init__(
        self, folder: Path, *, fresh: bool, tell: Callable[[str], None], finished: bool = False
    ) -> None:
        self._folder = folder
        self._fresh = fresh
        self._finished = finished
        self._tell = tell
        self._made: set[str] = set()

    def get(
        self,
        name: str,
        inputs: dict[str, Any],
        make: Callable[[], tuple[NDArray[np.float64], dict[str, Any]]],
    ) -> Cell:
        """A cell, computed if it is not there.

        Args:
            name: Readable, of letters, digits, dots and dashes.
            inputs: All that the cell depends on, as JSON.
            make: Computes scores and notes.

        Returns:
            The cell.

        Raises:
            NotFinished: If it is not there, and only finished ones are wanted.
        """
        text = json.dumps(inputs, sort_keys=True)
        place = self._folder / f"{name}-{hashlib.sha256(text.encode()).hexdigest()[:12]}.json"
        if place.exists() and (not self._fresh or place.name in self._made):
            held = json.loads(place.read_text())
            scores = np.array([np.nan if one is None else one for one in held["scores"]])
            return Cell(scores, held["seconds"], held["notes"])
        if self._finished:
            raise NotFinished(name)
        self._tell(f"{name} …")
        began = time.perf_counter()
        scores, notes = make()
        seconds = time.perf_counter() - began
        self._tell(f"{name}: {seconds:.0f} s {json.dumps(notes) if notes else ''}")
        self._folder.mkdir(parents=True, exist_ok=True)
        shown = [None if np.isnan(one) else float(one) for one in scores]
        half = place.with_suffix(".part")
        half.write_text(json.dumps({"inputs": inputs, "notes": notes, "seconds": seconds, "scores": shown}))
        half.replace(place)
        self._made.add(place.name)
        return Cell(np.asarray(scores, np.float64), seconds, notes)
