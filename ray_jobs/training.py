"""Training over Ray: the pieces of `gnn.train` as tasks, GraphSAGE in Ray Train, all of it taken up again."""

from __future__ import annotations

import hashlib
import math
import operator
from collections import Counter
from dataclasses import dataclass
from functools import lru_cache, partial
from typing import TYPE_CHECKING, Any, Final, TypeVar

import numpy as np

from graph_etl import Snapshot
from ray_jobs.cluster import connected
from ray_jobs.kept import MISSING, Kept, name_of
from ray_jobs.places import Place, fetched, within_reach
from ray_jobs.sage_training import SageSettings, fit_over_ray
from ray_jobs.spreading import spread

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Sequence

    from numpy.typing import NDArray

    from gnn import Bundle
    from gnn.sage_kernel import Sage
    from gnn.sage_problem import SageProblem
    from gnn.spread import Shared
    from gnn.trees import Model
    from graph_etl import Workspace

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
        key = hashlib.sha256(repr(words).encode()).hexdigest()[:16]
        kept = Kept(f"{store or (workspace.path / 'ray').resolve()}/train-{key}")
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


class OverRay:
    """Runs pieces as Ray tasks, see `gnn.spread.Spread`; each is kept when it is done.

    Args:
        ray: The module, connected.
        place: Where nodes find the snapshot.
        kept: What was finished before, and what will be.
        sage: How GraphSAGE is fitted.
        n_threads: Threads of one piece.
    """

    def __init__(self, ray: Any, place: Place, kept: Kept, sage: SageSettings, n_threads: int) -> None:
        self._ray = ray
        self._place = place
        self._kept = kept
        self._sage = sage
        self._cpus = min(n_threads, _largest_node(ray))
        self._stages: Counter[str] = Counter()

    def share(self, value: T) -> Shared[T]:
        """See `gnn.spread.Spread`: a snapshot by its place, all else through each node's object store."""
        return _Handed(self._ray, self._place if isinstance(value, Snapshot) else None, value)

    def parts(self, n: int) -> list[NDArray[np.int64]]:
        """See `gnn.spread.Spread`."""
        return np.array_split(np.arange(n, dtype=np.int64), max(1, math.ceil(n / PART_ACCOUNTS)))

    def each(self, stage: str, pieces: Sequence[Callable[[], T]], tell: Tell) -> list[T]:
        """See `gnn.spread.Spread`."""
        turn = self._turn(stage)
        names = [name_of(stage, turn, number) for number in range(len(pieces))]
        found = {number: self._kept.read(name) for number, name in enumerate(names)}
        missing = [number for number, value in found.items() if value is MISSING]
        tell(stage, len(pieces) - len(missing), len(pieces))
        calls = ((pieces[number],) for number in missing)
        for done, (at, value) in enumerate(spread(self._ray, operator.call, calls, cpus=self._cpus), start=1):
            number = missing[at]
            self._kept.keep(names[number], value)
            found[number] = value
            tell(stage, len(pieces) - len(missing) + done, len(pieces))
        return [_own(found[number]) for number in range(len(pieces))]

    def fit_sage(self, stage: str, problem: SageProblem, tell: Tell) -> Sage:
        """See `gnn.spread.Spread`: a piece like any other with one processor's worker, else in Ray Train."""
        handed = self.share(problem)
        if self._sage.workers == 1 and not self._sage.gpu:
            return self.each(stage, [partial(_fit, handed)], tell)[0]
        name = name_of(stage, self._turn(stage), 0)
        tell(stage, 0, 1)
        kept = self._kept.read(name)
        model: Sage = kept
        if kept is MISSING:
            cpus = max(1, min(self._cpus, _processors(self._ray) // self._sage.workers))
            model = fit_over_ray(handed, self._sage, name=f"{name}.fit", store=self._kept.url, cpus=cpus)
            self._kept.keep(name, model)
        tell(stage, 1, 1)
        return model

    def _turn(self, stage: str) -> int:
        """How often a stage of this name was begun before."""
        self._stages[stage] += 1
        return self._stages[stage] - 1


@dataclass(frozen=True, slots=True)
class _OpenedThere:
    """A snapshot, mapped into memory once by each process that asks for it."""

    place: Place

    def get(self) -> Snapshot:
        return _opened(self.place)


@lru_cache(maxsize=2)
def _opened(place: Place) -> Snapshot:
    return Snapshot.open(fetched(place))


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


def _own(value: T) -> T:
    """The value; an array in memory of its own: out of the object store it can only be read."""
    return value.copy() if isinstance(value, np.ndarray) else value


def _largest_node(ray: Any) -> int:
    """Processors of the largest node: a piece that asks for more would wait for ever."""
    return max([1, *(int(node["Resources"].get("CPU", 0)) for node in ray.nodes() if node["Alive"])])


def _processors(ray: Any) -> int:
    return int(ray.cluster_resources().get("CPU", 1))
