"""Training over Ray: the pieces of `gnn.train` as tasks, GraphSAGE in Ray Train, all of it taken up again."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, Final, TypeVar

import numpy as np

from graph_etl import Snapshot
from ray_jobs.cluster import connected
from ray_jobs.kept import MISSING, Kept, name_of
from ray_jobs.pieces import Pieces
from ray_jobs.places import Place, opened, within_reach
from ray_jobs.sage_training import SageSettings, fit_over_ray

if TYPE_CHECKING:
    from collections.abc import Callable, Collection

    from numpy.typing import NDArray

    from gnn import Bundle
    from gnn.sage_kernel import Sage
    from gnn.sage_problem import SageProblem
    from gnn.trees import Model
    from graph_etl import Workspace
    from rings.spread import Shared

    Tell = Callable[[str, int, int], None]

T = TypeVar("T")

PART_ACCOUNTS: Final = 16_384
"""Accounts whose columns one task computes."""


def train_over_ray(
    snapshot: Snapshot,
    workspace: Workspace,
    *,
    address: str | None = None,
    store: str | None = None,
    sage: SageSettings | None = None,
    seed: int = 0,
    split: int | None = None,
    model: Model = "lightgbm",
    budget_s: float | None = None,
    without: Collection[str] = (),
    n_threads: int | None = None,
    publish: bool = True,
    progress: Tell | None = None,
) -> Bundle:
    """Train a bundle on a cluster.

    What is finished is kept, piece by piece, until the bundle is written: called again with the same
    arguments after it was killed, it does only what is missing.

    Args:
        snapshot: The snapshot.
        workspace: Where the bundle goes.
        address: As for `ray_jobs.cluster.connected`.
        store: Address of a folder that all nodes see, for snapshot and checkpoints; the workspace if None.
        sage: How GraphSAGE is fitted; by one worker if None.
        seed: See `gnn.train`, as all that follow.
        split: Number of a given split.
        model: Which trees.
        budget_s: Seconds that the search may take.
        without: Families of inputs that are left out.
        n_threads: Threads of one piece.
        publish: Whether the bundle becomes the current one.
        progress: Called with a stage, pieces done and pieces in all.

    Returns:
        The bundle; with one worker for GraphSAGE to the bit that of `gnn.train`.

    Raises:
        RayMissing: If Ray is not installed.
        ClusterMissing: If no cluster answers.
        JobFailed: If a piece of the work failed.
        WorkspaceError: If another training over a cluster is running in the workspace.
    """
    import gnn
    from gnn.train import threads_for

    settings = sage or SageSettings()
    threads = n_threads or threads_for(snapshot)
    with workspace.alone("training"), connected(address) as ray:
        place = within_reach(snapshot.path, store)
        words = [place.content_hash, seed, split, model, budget_s, sorted(without), threads, settings]
        kept = Kept.of_run(store or str((workspace.path / "ray").resolve()), "train", words)
        over = OverRay(ray, place, kept, settings, threads)
        bundle = gnn.train(
            snapshot,
            workspace,
            seed=seed,
            split=split,
            model=model,
            budget_s=budget_s,
            without=without,
            n_threads=threads,
            publish=publish,
            spread=over,
            progress=progress,
        )
        kept.forget()
    return bundle


class OverRay(Pieces):
    """Runs pieces as Ray tasks, see `gnn.spread.Spread`; each is kept when it is done.

    Args:
        ray: The module, connected.
        place: Where nodes find the snapshot.
        kept: What was finished before, and what will be.
        sage: How GraphSAGE is fitted.
        n_threads: Threads of one piece.
    """

    def __init__(self, ray: Any, place: Place, kept: Kept, sage: SageSettings, n_threads: int) -> None:
        super().__init__(ray, kept, n_threads)
        self._place = place
        self._sage = sage

    def share(self, value: T) -> Shared[T]:
        """See `gnn.spread.Spread`: a snapshot by its place, all else through each node's object store."""
        return _Handed(self.ray, self._place if isinstance(value, Snapshot) else None, value)

    def parts(self, n: int) -> list[NDArray[np.int64]]:
        """See `gnn.spread.Spread`."""
        return np.array_split(np.arange(n, dtype=np.int64), max(1, math.ceil(n / PART_ACCOUNTS)))

    def fit_sage(self, stage: str, problem: SageProblem, tell: Tell) -> Sage:
        """See `gnn.spread.Spread`: a piece like any other with one processor's worker, else in Ray Train."""
        handed = self.share(problem)
        if self._sage.workers == 1 and not self._sage.gpu:
            return self.each(stage, [partial(_fit, handed)], tell)[0]
        name = name_of(stage, self.turn(stage), 0)
        tell(stage, 0, 1)
        kept = self.kept.read(name)
        model: Sage = kept
        if kept is MISSING:
            cpus = max(1, min(self.cpus, _processors(self.ray) // self._sage.workers))
            model = fit_over_ray(handed, self._sage, name=f"{name}.fit", store=self.kept.url, cpus=cpus)
            self.kept.keep(name, model)
        tell(stage, 1, 1)
        return model


@dataclass(frozen=True, slots=True)
class _OpenedThere:
    """A snapshot, mapped into memory once by each process that asks for it."""

    place: Place

    def get(self) -> Snapshot:
        return opened(self.place)


class _Handed:
    """A value of the driver: a place, or put into the object store when a piece that carries it leaves."""

    def __init__(self, ray: Any, place: Place | None, value: Any) -> None:
        self._ray = ray
        self._place = place
        self._value = value
        self._reference: Any = None

    def get(self) -> Any:
        return self._value

    def __reduce__(self) -> tuple[Any, ...]:
        if self._place is not None:
            return _OpenedThere, (self._place,)
        if self._reference is None:
            self._reference = self._ray.put(self._value)
        return _Taken, (self._reference,)


class _Taken:
    """The same value in a worker: its arrays are the object store's own memory."""

    def __init__(self, reference: Any) -> None:
        self._reference = reference

    def get(self) -> Any:
        import ray

        return ray.get(self._reference)

    def __reduce__(self) -> tuple[Any, ...]:
        return _Taken, (self._reference,)


def _fit(problem: Shared[SageProblem]) -> Sage:
    return problem.get().fit()


def _processors(ray: Any) -> int:
    return int(ray.cluster_resources().get("CPU", 1))
