"""Fitting GraphSAGE on typed messages (Hamilton et al., 2017), in PyTorch Geometric, on the own sampler.

Only training imports this module, and PyTorch with it; what is fitted scores by `gnn.sage_kernel`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import numpy as np
import torch
from torch import Tensor, nn
from torch_geometric.nn import SAGEConv

from gnn.sage_kernel import FANOUTS, Sage
from gnn.sampler import Sample, input_width, n_message_types

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from features import Queries
    from gnn.sage import SageInputs

_HIDDEN: Final = 32
# Small platforms need small batches to take enough steps; beyond, larger ones waste less on overhead.
_BATCHES: Final = (128, 1024)
_BATCHES_PER_EPOCH: Final = 24
# Fewer steps than this and the model has not settled, however few the accounts.
_LEAST_STEPS: Final = 90
_LEAST_EPOCHS: Final = 3
_MOST_EPOCHS: Final = 20
_LEARNING_RATE: Final = 5e-3


class GraphSage(nn.Module):
    r"""Two layers of GraphSAGE with one aggregation for each type of message.

    .. math:: h_v = \mathrm{ReLU}\Bigl(W x_v + \sum_r W_r \cdot
        \mathrm{mean}_{u \in N_r(v)} x_u\Bigr)

    Args:
        width: Width ``D`` of a node's inputs.
        types: Number of message types ``R``.
        hidden: Width ``H`` of the hidden layer and of the embedding.
        fanouts: Neighbours at the first and at the second hop.
    """

    mean: Tensor
    scale: Tensor

    def __init__(
        self, width: int, types: int, hidden: int = _HIDDEN, fanouts: tuple[int, int] = FANOUTS
    ) -> None:
        super().__init__()
        self.fanouts = fanouts
        self.register_buffer("mean", torch.zeros(width))
        self.register_buffer("scale", torch.ones(width))
        self.root1 = nn.Linear(width, hidden)
        self.root2 = nn.Linear(hidden, hidden)
        self.messages1 = nn.ModuleList(
            SAGEConv((width, width), hidden, root_weight=False, bias=False) for _ in range(types)
        )
        self.messages2 = nn.ModuleList(
            SAGEConv((hidden, hidden), hidden, root_weight=False, bias=False) for _ in range(types)
        )
        self.head = nn.Linear(hidden, 1)

    def standardise(self, x: Tensor) -> None:
        """Take mean and spread of the inputs from a sample, ``[n, D]``."""
        self.mean.copy_(x.mean(0))
        self.scale.copy_(x.std(0).clamp_min(1e-3))

    def _layer(
        self, root: nn.Module, messages: nn.ModuleList, x: Tensor, near: Tensor, side: Tensor
    ) -> Tensor:
        """One layer: ``x`` are ``[n, D]`` receivers, ``near`` ``[n f, D]`` their senders in order."""
        fanout = len(near) // max(1, len(x))
        out = root(x)
        for kind, convolution in enumerate(messages):
            rows = torch.nonzero(side == kind).flatten()
            if len(rows):
                edges = torch.stack([torch.arange(len(rows)), rows // fanout])
                out = out + convolution((near[rows], x), edges, size=(len(rows), len(x)))
        return torch.relu(out)

    def embed(self, seed_x: Tensor, hop1_x: Tensor, hop2_x: Tensor, side1: Tensor, side2: Tensor) -> Tensor:
        """Embeddings of the seeds.

        Args:
            seed_x: ``[B, D]``.
            hop1_x: ``[B f1, D]``.
            hop2_x: ``[B f1 f2, D]``.
            side1: ``[B f1]`` message types of hop 1, -1 for none.
            side2: ``[B f1 f2]`` message types of hop 2.

        Returns:
            ``[B, H]``.
        """
        seed_x, hop1_x, hop2_x = ((x - self.mean) / self.scale for x in (seed_x, hop1_x, hop2_x))
        near = self._layer(self.root1, self.messages1, hop1_x, hop2_x, side2)
        own = self._layer(self.root1, self.messages1, seed_x, hop1_x, side1)
        return self._layer(self.root2, self.messages2, own, near, side1)

    def forward(self, *parts: Tensor) -> Tensor:
        """Log odds ``[B]`` of the seeds; arguments as in `embed`."""
        odds: Tensor = self.head(self.embed(*parts))
        return odds.squeeze(-1)

    def fitted(self) -> Sage:
        """The model as it scores."""
        return Sage.of(
            {name: value.detach().numpy().copy() for name, value in self.state_dict().items()}, self.fanouts
        )


def _tensors(drawn: Sample) -> tuple[Tensor, ...]:
    return tuple(
        torch.from_numpy(part)
        for part in (drawn.seed_x, drawn.hop1_x, drawn.hop2_x, drawn.hop1_side, drawn.hop2_side)
    )


def fit_sage(
    inputs: SageInputs,
    queries: Queries,
    label: NDArray[Any],
    weight: NDArray[np.float64],
    *,
    seed: int = 0,
    n_threads: int = 1,
    progress: Callable[[int, int], None] | None = None,
) -> Sage:
    """Train on sampled mini-batches.

    Args:
        inputs: Where samples come from.
        queries: ``n`` questions, each with its horizon.
        label: ``[n]`` of 0 and 1.
        weight: ``float64[n]``.
        seed: Of weights, order and samples.
        n_threads: PyTorch's, for the whole process.
        progress: Called with batches done and in all.

    Returns:
        The model.
    """
    torch.set_num_threads(n_threads)
    torch.manual_seed(seed)
    rng = np.random.default_rng(seed)
    model = GraphSage(input_width(inputs.profile_width), n_message_types(inputs.source))
    size = int(np.clip(len(queries) // _BATCHES_PER_EPOCH, *_BATCHES))
    batches = max(1, -(-len(queries) // size))
    epochs = int(np.clip(_LEAST_STEPS // batches, _LEAST_EPOCHS, _MOST_EPOCHS))
    first = inputs.draw(
        queries.take(rng.permutation(len(queries))[: _BATCHES[1]]), model.fanouts, latest=True
    )
    model.standardise(torch.from_numpy(np.concatenate([first.seed_x, first.hop1_x[first.hop1_side >= 0]])))
    optimiser = torch.optim.Adam(model.parameters(), lr=_LEARNING_RATE, weight_decay=1e-5)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, 2 * _LEARNING_RATE, epochs * batches)
    targets = torch.from_numpy(np.asarray(label, dtype=np.float32))
    weights = torch.from_numpy(np.asarray(weight, dtype=np.float32))
    for epoch in range(epochs):
        order = rng.permutation(len(queries))
        for batch in range(batches):
            rows = order[batch * size : (batch + 1) * size]
            drawn = inputs.draw(
                queries.take(rows), model.fanouts, latest=False, seed=int(rng.integers(1 << 62))
            )
            loss = nn.functional.binary_cross_entropy_with_logits(
                model(*_tensors(drawn)), targets[rows], weights[rows]
            )
            optimiser.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            optimiser.step()
            schedule.step()
            if progress is not None:
                progress(epoch * batches + batch + 1, epochs * batches)
    return model.fitted()
