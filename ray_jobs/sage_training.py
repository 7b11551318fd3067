"""GraphSAGE in Ray Train: workers that fit one model under DistributedDataParallel, with checkpoints."""

from __future__ import annotations

import io
import json
import os
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, TypeVar

import numpy as np

from ray_jobs.errors import JobFailed
from ray_jobs.kept import MISSING, Kept

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray
    from torch import nn

    from gnn.sage_kernel import Sage
    from gnn.sage_problem import SageProblem
    from gnn.sage_workers import Processor
    from rings.spread import Shared

T = TypeVar("T")

FAILURES: Final = 100
"""Times that workers are started again from the last checkpoint: a night on spot nodes loses many."""

_STATE: Final = "state"
_MODEL: Final = "model"
EPOCHS: Final = "epochs.jsonl"
"""One line for each epoch as it was fitted, with those that were fitted again; where the store is a path."""


@dataclass(frozen=True, slots=True)
class SageSettings:
    """How GraphSAGE is fitted on a cluster.

    Attributes:
        workers: Processes that fit one model together.
        gpu: Whether each has a GPU.
        half: Whether products are computed in bfloat16 there.
        compiled: Whether the network is compiled there.
        checkpoint_s: Seconds between checkpoints, which are written at the end of an epoch.
    """

    workers: int = 1
    gpu: bool = False
    half: bool = True
    compiled: bool = False
    checkpoint_s: float = 30.0


def fit_over_ray(
    problem: Shared[SageProblem], settings: SageSettings, *, name: str, store: str, cpus: int
) -> Sage:
    """Fit GraphSAGE with Ray Train; one of the same name that was cut short goes on from its last checkpoint.

    Args:
        problem: On what.
        settings: How.
        name: Of the fit.
        store: Address of a folder that all nodes and later drivers see.
        cpus: Processors of a worker.

    Returns:
        The model; that of one worker is to the bit what `gnn.sage_fit.fit_sage` gives here.

    Raises:
        JobFailed: If it failed, or workers were lost more often than `FAILURES` times.
    """
    from ray.train import FailureConfig, RunConfig, ScalingConfig
    from ray.train.torch import TorchConfig, TorchTrainer

    trainer = TorchTrainer(
        _fit_beside_others,
        train_loop_config={
            "problem": problem,
            "settings": settings,
            "checkpoints": f"{store}/{name}.checkpoints",
            "epochs": None if "://" in store else f"{store}/{name}/{EPOCHS}",
        },
        torch_config=TorchConfig(backend="nccl" if settings.gpu else "gloo"),
        scaling_config=ScalingConfig(
            num_workers=settings.workers,
            use_gpu=settings.gpu,
            resources_per_worker={"CPU": cpus, **({"GPU": 1} if settings.gpu else {})},
        ),
        run_config=RunConfig(
            name=name,
            storage_path=store,
            failure_config=FailureConfig(max_failures=FAILURES),
        ),
    )
    try:
        trainer.fit()
    except Exception as error:
        message = f"GraphSAGE ({name}) failed: {' '.join(str(error).split())[-300:]}"
        raise JobFailed(message) from error
    from gnn.sage_kernel import Sage

    return Sage.of(Kept(f"{store}/{name}.checkpoints").read(_MODEL))


def _fit_beside_others(config: dict[str, Any]) -> None:
    """What each worker does; called by Ray Train."""
    import ray.train

    from gnn.sage_workers import Processor

    settings: SageSettings = config["settings"]
    context = ray.train.get_context()
    workers = TrainWorkers(
        context.get_world_rank(),
        context.get_world_size(),
        Processor(settings.gpu, settings.half, settings.compiled),
    )
    kept = Kept(config["checkpoints"])
    checkpoints = TrainCheckpoints(workers, kept, settings.checkpoint_s, config["epochs"])
    if not checkpoints.whole:
        sage = config["problem"].get().fit(workers=workers, checkpoints=checkpoints)
        checkpoints.keep_model(sage)


@dataclass(frozen=True, slots=True)
class TrainWorkers:
    """The workers of Ray Train, see `gnn.sage_workers.Workers`.

    Attributes:
        rank: Which of them this one is.
        world: How many there are.
        processor: What this one computes on.
    """

    rank: int
    world: int
    processor: Processor

    def together(self, network: nn.Module) -> nn.Module:
        """The network under DistributedDataParallel; alone it stays what it is."""
        if self.world == 1:
            return network
        from torch.nn.parallel import DistributedDataParallel

        devices = [self.processor.device] if self.processor.gpu else None
        return DistributedDataParallel(network, device_ids=devices)

    def gathered(self, values: NDArray[np.float32]) -> list[NDArray[np.float32]]:
        """The values of every worker."""
        if self.world == 1:
            return [values]
        import torch.distributed

        found: list[Any] = [None] * self.world
        torch.distributed.all_gather_object(found, values)
        return found

    def told(self, value: T) -> T:
        """The value of the first worker."""
        if self.world == 1:
            return value
        import torch.distributed

        found = [value]
        torch.distributed.broadcast_object_list(found, src=0)
        return found[0]


class TrainCheckpoints:
    """Checkpoints in a store, written and read by the first worker, see `gnn.sage_workers.Checkpoints`.

    They are there when `keep` returns. Ray Train's own are taken over by its driver a while after they were
    reported, and what it had not taken over when it was killed would be lost.

    Args:
        workers: Who fits.
        kept: The store.
        every_s: Seconds between them.
        epochs: File that gets a line for each epoch; none if None.
    """

    def __init__(self, workers: TrainWorkers, kept: Kept, every_s: float, epochs: str | None) -> None:
        self._workers = workers
        self._kept = kept
        self._every_s = every_s
        self._epochs = epochs
        self._last = time.monotonic()

    @property
    def whole(self) -> bool:
        """Whether the model is there: who fitted it was lost before anybody took it."""
        return self._workers.told(self._workers.rank == 0 and self._kept.read(_MODEL) is not MISSING)

    def load(self) -> Mapping[str, Any] | None:
        """The state of the last checkpoint, the same for all workers."""
        import torch

        found = self._kept.read(_STATE) if self._workers.rank == 0 else None
        content = self._workers.told(None if found is MISSING else found)
        if content is None:
            return None
        state: dict[str, Any] = torch.load(io.BytesIO(content), map_location="cpu", weights_only=True)
        return state

    def due(self, member: int, epoch: int) -> bool:
        """Whether the first worker's clock says so."""
        if self._workers.rank == 0 and self._epochs is not None:
            line = {"time": time.time(), "process": os.getpid(), "member": member, "epoch": epoch}
            with Path(self._epochs).open("a") as stream:
                stream.write(json.dumps(line) + "\n")
        return self._workers.told(time.monotonic() - self._last >= self._every_s)

    def keep(self, state: Mapping[str, Any]) -> None:
        """Keep the state."""
        import torch

        self._last = time.monotonic()
        if self._workers.rank == 0:
            stream = io.BytesIO()
            torch.save(dict(state), stream)
            self._kept.keep(_STATE, stream.getvalue())

    def keep_model(self, sage: Sage) -> None:
        """Keep what came of it all."""
        if self._workers.rank == 0:
            self._kept.keep(_MODEL, dict(sage.state))
