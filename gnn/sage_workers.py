"""Who fits GraphSAGE together, on which processor, and what survives when one of them is lost."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

import torch

if TYPE_CHECKING:
    from collections.abc import Mapping

    import numpy as np
    from numpy.typing import NDArray
    from torch import nn


@dataclass(frozen=True, slots=True)
class Processor:
    """What a network runs on.

    Attributes:
        gpu: Whether on a GPU.
        half: Whether products are computed in bfloat16 there (sums and weights stay in single precision).
        compiled: Whether the network goes through `torch.compile` there.
    """

    gpu: bool = False
    half: bool = True
    compiled: bool = False

    @property
    def device(self) -> torch.device:
        """PyTorch's device.

        Raises:
            NoGpu: If there is none.
        """
        if not self.gpu:
            return torch.device("cpu")
        if not torch.cuda.is_available():
            from gnn.errors import NoGpu  # here: nothing else of this module needs more than PyTorch

            raise NoGpu
        return torch.device("cuda", torch.cuda.current_device())

    def precision(self) -> AbstractContextManager[Any]:
        """The context of a forward pass."""
        if self.gpu and self.half:
            return torch.autocast("cuda", dtype=torch.bfloat16)
        return nullcontext()


class Workers(Protocol):
    """The processes that fit one model together: each draws and holds its own part of the questions."""

    @property
    def rank(self) -> int:
        """Which of them this one is, from 0."""
        ...

    @property
    def world(self) -> int:
        """How many there are."""
        ...

    @property
    def processor(self) -> Processor:
        """What this one computes on."""
        ...

    def together(self, network: nn.Module) -> nn.Module:
        """The network whose gradients are the mean over all of them."""
        ...

    def gathered(self, values: NDArray[np.float32]) -> list[NDArray[np.float32]]:
        """The values of every one of them, in the order of their ranks."""
        ...


@dataclass(frozen=True, slots=True)
class Alone:
    """One process.

    Attributes:
        processor: What it computes on.
    """

    processor: Processor = Processor()

    @property
    def rank(self) -> int:
        """See `Workers`."""
        return 0

    @property
    def world(self) -> int:
        """See `Workers`."""
        return 1

    def together(self, network: nn.Module) -> nn.Module:
        """See `Workers`."""
        return network

    def gathered(self, values: NDArray[np.float32]) -> list[NDArray[np.float32]]:
        """See `Workers`."""
        return [values]


class Checkpoints(Protocol):
    """Keeps where a fit stands, so that another process can go on from there."""

    def load(self) -> Mapping[str, Any] | None:
        """What was kept last; None at the start."""
        ...

    def due(self, member: int, epoch: int) -> bool:
        """Whether to keep anything after an epoch of a member; the same answer for all workers."""
        ...

    def keep(self, state: Mapping[str, Any]) -> None:
        """Keep the state: tensors, numbers, lists and mappings of them. Called by all workers."""
        ...
