"""Which code runs here: what other code has worked out is not taken over."""

from __future__ import annotations

import hashlib
from functools import cache
from importlib import metadata
from pathlib import Path
from typing import Final

_LIBRARIES: Final = ("igraph", "lightgbm", "numba", "numpy", "polars", "scikit-learn", "scipy", "torch")


@cache
def code_version(*rooms: str) -> str:
    """A hash of all that decides what a piece of work gives: our code, and the libraries that compute.

    Args:
        rooms: Packages whose code takes part.

    Returns:
        16 hexadecimal digits; the same on every machine with the same code.
    """
    digest = hashlib.sha256()
    root = Path(__file__).resolve().parents[1]
    for room in rooms:
        for path in sorted((root / room).rglob("*.py")):
            digest.update(f"{path.relative_to(root).as_posix()}\0{path.stat().st_size}\0".encode())
            digest.update(path.read_bytes())
    for name in _LIBRARIES:
        digest.update(f"{name}={_version(name)}\0".encode())
    return digest.hexdigest()[:16]


def _version(name: str) -> str:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return "none"
