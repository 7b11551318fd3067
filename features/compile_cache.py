"""Where compiled kernels are kept: one folder for each state of their sources.

Numba looks at the file that a function stands in, not at the files of the functions that it calls; a kernel
compiled before one of those changed would go on running the old code. Naming the folder after all sources
that hold kernels keeps invariant 2 through upgrades and edits. ``NUMBA_CACHE_DIR`` goes before it.
"""

from __future__ import annotations

import hashlib
import os
from pathlib import Path
from typing import Final

from numba import config

_ROOMS: Final = ("features", "rings", "gnn")


def use_cache_of_these_sources() -> None:
    """Point numba at the folder that belongs to the sources as they stand."""
    if os.environ.get("NUMBA_CACHE_DIR"):
        return
    digest = hashlib.sha256()
    home = Path(__file__).resolve().parent.parent
    for room in _ROOMS:
        for path in sorted((home / room).glob("*.py")):
            source = path.read_bytes()
            if b"numba" in source or b"compiled" in source:
                digest.update(path.name.encode() + b"\0" + source)
    try:
        base = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    except RuntimeError:  # a user without a home, as in some containers: numba's own places remain
        return
    folder = base / "ringwatch" / "kernels" / digest.hexdigest()[:16]
    config.CACHE_DIR = str(folder)  # type: ignore[attr-defined]


use_cache_of_these_sources()
