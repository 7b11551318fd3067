"""Rings over Ray: the run of `rings.find`, its independent pieces as tasks, taken up again after a kill."""

from __future__ import annotations

import hashlib
import io
import pickle
from typing import TYPE_CHECKING, Any, Generic, TypeVar

import numpy as np

from graph_etl import Snapshot
from ray_jobs.cluster import connected
from ray_jobs.kept import Kept
from ray_jobs.pieces import Pieces
from ray_jobs.places import Place, opened, within_reach

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import NDArray

    from graph_etl import Workspace
    from graph_etl.progress import Progress
    from rings import RingsRun
    from rings.benign import Confirmed

T = TypeVar("T")


def rings_over_ray(
    snapshot: Snapshot,
    scores: NDArray[np.floating[Any]] | None = None,
    *,
    workspace: Workspace,
    address: str | None = None,
    store: str | None = None,
    previous: RingsRun | None = None,
    base: RingsRun | None = None,
    bundle: str | None = None,
    benign: Sequence[Confirmed] = (),
    seed: int = 0,
    n_threads: int | None = None,
    progress: Progress | None = None,
) -> RingsRun:
    """Find rings on a cluster: links by blocks of accounts, trees by folds, the null model, words by rings.

    What is finished is kept, piece by piece, until the run is written: called again with the same arguments
    after it was killed, it does only what is missing.

    Args:
        snapshot: The snapshot.
        scores: See `rings.find`.
        workspace: Where the run is written; making it the current one is the caller's.
        address: As for `ray_jobs.cluster.connected`.
        store: Address of a folder that all nodes see, for the snapshot and what is kept; the workspace if
            None.
        previous: See `rings.find`, as the following.
        base: The run to build on.
        bundle: Version of the bundle.
        benign: Groups that people confirmed to be benign.
        seed: Fixes what chance decides.
        n_threads: Threads of one piece; by the number of accounts if None.
        progress: Told what is done.

    Returns:
        The run, to the bit that of `rings.find`.

    Raises:
        RayMissing: If Ray is not installed.
        ClusterMissing: If no cluster answers.
        JobFailed: If a piece of the work failed.
        WorkspaceError: If rings are being found over a cluster in the workspace already.
    """
    import rings
    from gnn.train import threads_for

    threads = n_threads or threads_for(snapshot)
    with workspace.alone("ring-search"), connected(address) as ray:
        place = within_reach(snapshot.path, store)
        given = None if scores is None else hashlib.sha256(np.ascontiguousarray(scores).tobytes()).hexdigest()
        runs = [None if run is None else run.id for run in (previous, base)]
        words = [place.content_hash, given, *runs, bundle, list(benign), seed]
        kept = Kept.of_run(store or str((workspace.path / "ray").resolve()), "rings", words)
        run = rings.find(
            snapshot,
            scores,
            previous=previous,
            base=base,
            bundle=bundle,
            benign=benign,
            seed=seed,
            spread=RingPieces(ray, place, kept, threads),
            progress=progress,
        )
        with workspace.new_folder("rings", run.id) as folder:
            run.write(folder)
        kept.forget()
    return run


class RingPieces(Pieces):
    """Runs pieces as Ray tasks, see `rings.spread.Spread`.

    Pieces, what they share and what they give travel as bytes, out of which each process makes objects of its
    own: kernels are compiled once more for arrays that may only be read, as the object store's are, and a
    snapshot goes as its place.

    Args:
        ray: The module, connected.
        place: Where nodes find the snapshot.
        kept: What was finished before, and what will be.
        n_threads: Threads of one piece.
    """

    def __init__(self, ray: Any, place: Place, kept: Kept, n_threads: int) -> None:
        super().__init__(ray, kept, n_threads, _called)
        self._place = place

    def share(self, value: T) -> _Handed[T]:
        """See `rings.spread.Spread`."""
        return _Handed(self, value)

    def packed(self, value: Any) -> tuple[bytes, list[Any]]:
        """A value as bytes, a snapshot in it as its place.

        Args:
            value: The value.

        Returns:
            The bytes, and references to the shared values that it holds.
        """
        stream = io.BytesIO()
        packer = _Packer(stream, self._place)
        packer.dump(value)
        return stream.getvalue(), packer.references

    def _call(self, piece: Callable[[], Any]) -> tuple[Any, ...]:
        content, references = self.packed(piece)
        names = [reference.hex() for reference in references]
        return (content, self.cpus, names, *references)

    def _given(self, value: Any) -> Any:
        return pickle.loads(value)


_taken: dict[str, Any] = {}
"""What the pieces of this process share, by reference."""


def _called(content: bytes, n_threads: int, names: list[str], *values: NDArray[np.uint8]) -> bytes:
    """Run a piece on a node; shared values that its process has taken already are there."""
    import numba

    numba.set_num_threads(min(n_threads, numba.get_num_threads()))
    for gone in _taken.keys() - set(names):
        del _taken[gone]
    for name, value in zip(names, values, strict=True):
        if name not in _taken:
            _taken[name] = pickle.loads(value.data)
    return pickle.dumps(pickle.loads(content)(), protocol=5)


class _Handed(Generic[T]):
    """A value of the driver, put into the object store when a piece that carries it leaves."""

    def __init__(self, pieces: RingPieces, value: T) -> None:
        self._pieces = pieces
        self._value = value
        self._reference: Any = None

    def get(self) -> T:
        return self._value

    def reference(self) -> Any:
        if self._reference is None:
            content, _ = self._pieces.packed(self._value)
            self._reference = self._pieces.ray.put(np.frombuffer(content, np.uint8))
        return self._reference


class _Taken:
    """The same value in a worker."""

    def __init__(self, name: str) -> None:
        self._name = name

    def get(self) -> Any:
        return _taken[self._name]


class _Packer(pickle.Pickler):
    def __init__(self, stream: io.BytesIO, place: Place) -> None:
        super().__init__(stream, protocol=5)
        self._place = place
        self.references: list[Any] = []

    def reducer_override(self, value: Any) -> Any:
        if isinstance(value, Snapshot):
            return opened, (self._place,)
        if isinstance(value, _Handed):
            reference = value.reference()
            self.references.append(reference)
            return _Taken, (reference.hex(),)
        return NotImplemented
