"""Embeddings of all accounts over Ray: the passes of `gnn.embedding`, a task for each file.

No data travels between tasks but by the folder: each maps the layer before it and writes its own file, so
that a job that was killed, with its driver or its nodes, goes on from the files that are whole. Blocks are
numbers, not data, so Ray Data has nothing to stream here: tasks do (see `ray_jobs.etl` for what it costs).
"""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING

from graph_etl import Snapshot
from graph_etl.progress import silent
from ray_jobs.cluster import connected
from ray_jobs.places import Place, fetched, within_reach
from ray_jobs.spreading import spread

if TYPE_CHECKING:
    from pathlib import Path

    import gnn
    from gnn.embedding import Job
    from graph_etl.progress import Progress


def embed_over_ray(
    snapshot_path: Path,
    bundle_path: Path,
    url: str,
    *,
    full: bool = False,
    shift: int | None = None,
    address: str | None = None,
    store: str | None = None,
    progress: Progress | None = None,
) -> Job:
    """Embed all accounts in Ray tasks.

    Args:
        snapshot_path: Folder of the snapshot; nodes that do not see it need a store.
        bundle_path: Folder of the bundle, likewise.
        url: Folder of the embeddings: a path that all nodes see, or an address that fsspec understands.
        full: All neighbours instead of the latest, see `gnn.layerwise.LayerwiseSage`.
        shift: A task does ``2^shift`` accounts or nodes; as many as `gnn.layerwise` says if None.
        address: As for `ray_jobs.cluster.connected`.
        store: Address of a folder through which nodes get snapshot and bundle, once each.
        progress: Told what is done: the step, how many files, of how many.

    Returns:
        The job, done.

    Raises:
        RayMissing: If Ray is not installed.
        ClusterMissing: If no cluster answers.
        EmbeddingError: If the bundle has no GraphSAGE, or the folder holds other embeddings.
        JobFailed: If a file cannot be made.
    """
    import gnn
    from gnn.embedding import STEPS, finished, started, steps_left
    from gnn.layerwise import BLOCK_SHIFT

    job = started(
        Snapshot.open(snapshot_path),
        gnn.Bundle.open(bundle_path),
        url,
        full=full,
        shift=BLOCK_SHIFT if shift is None else shift,
    )
    tell = progress or silent
    left = steps_left(job)
    if left:
        with connected(address) as ray:
            places = [within_reach(folder, store) for folder in (snapshot_path, bundle_path)]
            for step, blocks in left:
                total = job.blocks(step)
                done = total - len(blocks)
                tell(STEPS[step], done, total)
                for _ in spread(ray, _work, ((*places, job, step, block) for block in blocks)):
                    done += 1
                    tell(STEPS[step], done, total)
    finished(job)
    return job


def _work(snapshot: Place, bundle: Place, job: Job, step: str, block: int) -> None:
    """Make one file on a node, which fetches what it does not have."""
    from gnn.embedding import worked

    worked(*_opened(str(fetched(snapshot)), str(fetched(bundle))), job, step, block)


@lru_cache(maxsize=1)
def _opened(snapshot_path: str, bundle_path: str) -> tuple[Snapshot, gnn.Bundle]:
    """Open snapshot and bundle once a process."""
    import gnn

    return Snapshot.open(snapshot_path), gnn.Bundle.open(bundle_path)
