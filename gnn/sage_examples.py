"""The questions that a worker of GraphSAGE's training holds, and its batches of them.

Needs nothing but NumPy and PyTorch, as `gnn.sage_network`.
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, NamedTuple

import torch
from torch import Tensor, nn

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    import numpy as np
    from numpy.typing import NDArray

    from gnn.sage_verdicts import Masks, Told
    from gnn.sage_workers import Workers

# Batches gathered ahead of a GPU.
_AHEAD: Final = 3


class Batch(NamedTuple):
    """Arguments of `GraphSage.forward`, and what should come of them."""

    rows: Tensor
    messages: Tensor
    side: Tensor
    receiver: Tensor
    target: Tensor
    weight: Tensor

    @property
    def inputs(self) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """What the network takes."""
        return self[:4]


@dataclass(frozen=True, slots=True)
class Examples:
    """What surrounds a worker's questions: rows, and the messages of the neighbours that are there.

    Question ``q`` of all is the worker's ``q // world`` where ``q % world`` is its rank. Messages tell of
    verdicts where ``told`` says on whom; ``masks`` then draws for each batch who is unknown, and knows the
    questions of all workers.
    """

    rows: Tensor
    messages: Tensor
    side: Tensor
    first: Tensor
    count: Tensor
    target: Tensor
    weight: Tensor
    workers: Workers
    told: Told | None = None
    masks: Masks | None = None

    def mine(self, picked: NDArray[np.int64]) -> NDArray[np.int64]:
        """Those of some questions that this worker holds."""
        own: NDArray[np.int64] = picked[picked % self.workers.world == self.workers.rank]
        return own

    def take(
        self, own: NDArray[np.int64], dropped: float = 0.0, hidden: NDArray[np.bool_] | None = None
    ) -> Batch:
        """Inputs of some of the worker's questions.

        Args:
            own: ``int64[n]`` questions.
            dropped: Probability with which a neighbour is left out.
            hidden: ``bool[A]`` accounts of whom nothing is told.

        Returns:
            The batch, on the worker's processor.
        """
        picked = torch.from_numpy(own // self.workers.world)
        count = self.count[picked]
        receiver = torch.repeat_interleave(torch.arange(len(picked)), count)
        begun = torch.cumsum(count, 0) - count
        place = torch.arange(len(receiver)) + (self.first[picked] - begun)[receiver]
        if dropped > 0.0:
            kept = torch.rand(len(place)) >= dropped
            place, receiver = place[kept], receiver[kept]
        messages = self.messages[place]
        if self.told is not None:
            told = self.told.columns(place.numpy(), len(self.messages), hidden)
            messages = torch.cat([messages, torch.from_numpy(told)], 1)
        batch = Batch(
            self.rows[picked],
            messages,
            self.side[place],
            receiver,
            self.target[picked],
            self.weight[picked],
        )
        device = self.workers.processor.device
        if device.type == "cpu":
            return batch
        return Batch(*(part.pin_memory().to(device, non_blocking=True) for part in batch))

    def batches(
        self,
        picked: Sequence[NDArray[np.int64]],
        dropped: float,
        held_back: Sequence[int] | NDArray[np.int64] = (),
        seed: Sequence[int] = (),
    ) -> Iterator[Batch]:
        """Batches; for a GPU each is gathered and on its way while the one before it is computed.

        Args:
            picked: The questions of each, of all workers.
            dropped: Probability with which a neighbour is left out.
            held_back: Questions of whose accounts nothing is ever told in this fit.
            seed: Of the masks, the same for all workers.

        Yields:
            One after another.
        """

        def gathered(number: int) -> Batch:
            one, hidden = picked[number], None
            if self.masks is not None:
                hidden = self.masks.draw(one, held_back, [*seed, number])
            return self.take(self.mine(one), dropped, hidden)

        if not self.workers.processor.gpu:
            yield from map(gathered, range(len(picked)))
            return
        with ThreadPoolExecutor(1) as gathering:
            ahead = [gathering.submit(gathered, number) for number in range(min(_AHEAD, len(picked)))]
            for number in range(_AHEAD, len(picked)):
                yield ahead.pop(0).result()
                ahead.append(gathering.submit(gathered, number))
            for left in ahead:
                yield left.result()


def batch_loss(network: Callable[..., Tensor], batch: Batch, size: int, workers: Workers) -> Tensor:
    """A worker's part of the loss of a batch of ``size`` questions of all workers.

    The mean over workers, which is what becomes of their gradients, is the mean over the batch.
    """
    with workers.processor.precision():
        odds = network(*batch.inputs).float()
    total = nn.functional.binary_cross_entropy_with_logits(odds, batch.target, batch.weight, reduction="sum")
    return total * (workers.world / size)
