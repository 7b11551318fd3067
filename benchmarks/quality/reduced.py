"""A snapshot with fewer verdicts: a platform's first days, and labels that nobody may see."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from typing import TYPE_CHECKING

import numpy as np
import polars as pl

from graph_etl import Snapshot

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from graph_etl import Workspace


def keeping(
    snapshot: Snapshot, workspace: Workspace, kept: NDArray[np.bool_], *, bad_only: bool = False
) -> Snapshot:
    """Write a snapshot once more with the verdicts on some accounts only.

    Args:
        snapshot: The snapshot.
        workspace: Where the copy goes; it becomes nobody's current one. Large files are hard links.
        kept: ``bool[A]``, accounts whose verdicts and known groups stay.
        bad_only: Whether good verdicts go as well.

    Returns:
        The copy: the same graph, the same folds and splits.
    """
    stays = pl.col("account").is_in(np.flatnonzero(kept).tolist())
    verdicts = snapshot.verdicts.filter(stays)
    if bad_only:
        verdicts = verdicts.filter(pl.col("label") == 1)
    groups = snapshot.groups.filter(stays)
    digest = hashlib.sha256(snapshot.id.encode() + kept.tobytes() + bytes([bad_only])).hexdigest()
    identity = f"s{digest[:11]}"
    place = workspace.path_of("snapshot", identity)
    if not (place / "manifest.json").exists():
        with workspace.new_folder("snapshot", identity) as folder:
            own = {"manifest.json", "verdicts.parquet", "groups.parquet"}
            for path in sorted(snapshot.path.rglob("*")):
                copy = folder / path.relative_to(snapshot.path)
                if path.is_dir():
                    copy.mkdir(parents=True, exist_ok=True)
                elif path.name not in own:
                    copy.parent.mkdir(parents=True, exist_ok=True)
                    try:
                        os.link(path, copy)
                    except OSError:  # another file system
                        shutil.copyfile(path, copy)
            verdicts.write_parquet(folder / "verdicts.parquet")
            groups.write_parquet(folder / "groups.parquet")
            manifest = snapshot.manifest | {"id": identity, "content_hash": digest}
            (folder / "manifest.json").write_text(json.dumps(manifest))
    return Snapshot.open(place)


def drawn(label: NDArray[np.int8], share: float, seed: int) -> NDArray[np.bool_]:
    """Draw some of the accounts that have a verdict, without looking at what it says.

    Args:
        label: ``int8[A]``: -1 without a verdict.
        share: Of those with one.
        seed: Of the draw.

    Returns:
        ``bool[A]``.
    """
    known = np.flatnonzero(label >= 0)
    rng = np.random.default_rng(seed)
    picked = rng.choice(known, size=max(1, round(share * len(known))), replace=False)
    kept = np.zeros(len(label), np.bool_)
    kept[picked] = True
    return kept
