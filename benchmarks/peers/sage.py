"""GraphSAGE alone: two layers and nothing else (Hamilton, Ying and Leskovec, 2017)."""

from __future__ import annotations

import copy
import warnings
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, Protocol

import numpy as np
import torch
from sklearn.metrics import average_precision_score
from torch import Tensor, nn
from torch_geometric.nn import SAGEConv

from benchmarks.peers.problem import Part, Scored, class_weights

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from numpy.typing import NDArray
    from scipy import sparse

    from benchmarks.peers.as_of import Trees

# What GADBench (Tang et al., 2023) takes when nothing is searched, with its 100 epochs and patience of 20.
PUBLISHED_SETTINGS: Final[Mapping[str, Any]] = {
    "aggregate": "pool",
    "hidden": 32,
    "rate": 0.01,
    "dropout": 0.0,
    "most": 100,
}
# Plain means, narrow, and wider with dropout: on tolokers both are better than the above.
SETTINGS: Final[tuple[Mapping[str, Any], ...]] = (
    {"aggregate": "mean", "hidden": 32, "rate": 0.01, "dropout": 0.0, "most": 150},
    {"aggregate": "mean", "hidden": 64, "rate": 0.01, "dropout": 0.3, "most": 150},
)
_PATIENCE: Final = 20
_BATCH, _STEPS = 1024, 24
# Where validation cannot say when to stop.
_UNWATCHED: Final = 30


class PlainSage(nn.Module):
    r"""Two layers, then a linear one.

    .. math:: h_v = \mathrm{ReLU}\bigl(W x_v + W' \cdot \mathrm{mean}_{u \in N(v)} x_u\bigr)

    With ``pool`` the maximum of ``ReLU(W'' x_u + b)`` stands for the mean.

    Args:
        width: Width ``D`` of a node's inputs.
        hidden: Width of both layers.
        dropout: Share of a layer's inputs that is dropped in training.
        aggregate: ``mean`` or ``pool``.
    """

    def __init__(self, width: int, hidden: int, dropout: float, aggregate: str = "mean") -> None:
        super().__init__()
        pool = aggregate == "pool"
        kind = "max" if pool else "mean"
        self.first = SAGEConv(width, hidden, aggr=kind, project=pool)
        self.second = SAGEConv(hidden, hidden, aggr=kind, project=pool)
        self.head = nn.Linear(hidden, 1)
        self.dropout = nn.Dropout(dropout)

    def odds(self, hidden: Tensor) -> Tensor:
        """Log odds ``[n]`` of second-layer outputs ``[n, H]``."""
        out: Tensor = self.head(self.dropout(hidden))
        return out.squeeze(-1)


class Network(Protocol):
    """Where GraphSAGE finds the neighbours of examples."""

    @property
    def width(self) -> int:
        """Width of a node's inputs."""
        ...

    def batches(self, rows: NDArray[np.int64], rng: np.random.Generator) -> Iterator[NDArray[np.int64]]:
        """The steps of one epoch: some of the rows each."""
        ...

    def odds(self, model: PlainSage, rows: NDArray[np.int64]) -> Tensor:
        """Log odds ``[n]`` of examples."""
        ...


def standardised(inputs: NDArray[np.float32]) -> NDArray[np.float32]:
    """Signed logarithms of mean 0 and spread 1, column by column.

    Args:
        inputs: ``float32[N, D]``.

    Returns:
        ``float32[N, D]``.
    """
    logs = np.sign(inputs) * np.log1p(np.abs(inputs.astype(np.float64)))
    return np.asarray((logs - logs.mean(axis=0)) / np.maximum(logs.std(axis=0), 1e-9), np.float32)


@dataclass(frozen=True)
class FullGraph:
    """The whole graph in each step.

    Attributes:
        neighbours: ``N x N`` of 0 and 1.
        inputs: ``[N, D]``, standardised.
        node: ``int64[R]``, the node of each example.
    """

    neighbours: Tensor
    inputs: Tensor
    node: NDArray[np.int64]

    @classmethod
    def of(
        cls, adjacency: sparse.csr_matrix, inputs: NDArray[np.float32], node: NDArray[np.int64]
    ) -> FullGraph:
        """Prepare a graph.

        Args:
            adjacency: ``N x N`` of 0 and 1, symmetric.
            inputs: ``float32[N, D]``.
            node: ``int64[R]``.

        Returns:
            The network.
        """
        with warnings.catch_warnings():
            # PyTorch calls its sparse tensors a beta of which much may change.
            warnings.simplefilter("ignore", UserWarning)
            neighbours = torch.sparse_csr_tensor(
                torch.from_numpy(adjacency.indptr.astype(np.int64)),
                torch.from_numpy(adjacency.indices.astype(np.int64)),
                torch.from_numpy(adjacency.data.astype(np.float32)),
                size=adjacency.shape,
                check_invariants=True,
            )
        return cls(neighbours, torch.from_numpy(standardised(inputs)), node)

    @property
    def width(self) -> int:
        """Width of a node's inputs."""
        return int(self.inputs.shape[1])

    def batches(self, rows: NDArray[np.int64], rng: np.random.Generator) -> Iterator[NDArray[np.int64]]:
        """All rows at once."""
        del rng
        yield rows

    def odds(self, model: PlainSage, rows: NDArray[np.int64]) -> Tensor:
        """Log odds ``[n]`` of examples."""
        near = torch.relu(model.first(self.inputs, self.neighbours))
        near = torch.relu(model.second(model.dropout(near), self.neighbours))
        return model.odds(near[torch.from_numpy(self.node[rows])])


class SampledGraph:
    """Each example with the neighbours that it had at its moment, in mini-batches.

    Args:
        trees: Examples in order, some in each.
    """

    def __init__(self, trees: Sequence[Trees]) -> None:
        x0, x1, x2 = (np.concatenate([getattr(tree, name) for tree in trees]) for name in ("x0", "x1", "x2"))
        size0 = np.cumsum([0, *(len(tree.x0) for tree in trees)])
        size1 = np.cumsum([0, *(len(tree.x1) for tree in trees)])
        owner1 = np.concatenate([tree.owner1 + at for tree, at in zip(trees, size0, strict=False)])
        owner2 = np.concatenate([tree.owner2 + at for tree, at in zip(trees, size1, strict=False)])
        self._start1 = np.searchsorted(owner1, np.arange(len(x0) + 1))
        self._start2 = np.searchsorted(owner2, np.arange(len(x1) + 1))
        inputs = standardised(np.concatenate([x0, x1, x2]))
        self._x0, self._x1, self._x2 = np.split(inputs, np.cumsum([len(x0), len(x1)]))

    @property
    def width(self) -> int:
        """Width of a node's inputs."""
        return int(self._x0.shape[1])

    def batches(self, rows: NDArray[np.int64], rng: np.random.Generator) -> Iterator[NDArray[np.int64]]:
        """Rows drawn in batches; of many rows an epoch sees a part."""
        order = rng.permutation(rows)
        for at in range(0, min(len(order), _BATCH * _STEPS), _BATCH):
            yield order[at : at + _BATCH]

    def odds(self, model: PlainSage, rows: NDArray[np.int64]) -> Tensor:
        """Log odds ``[n]`` of examples."""
        first, owner1 = _spans(self._start1, rows)
        second, owner2 = _spans(self._start2, first)
        x0, x1, x2 = (
            torch.from_numpy(x[some]) for x, some in ((self._x0, rows), (self._x1, first), (self._x2, second))
        )
        near = torch.relu(model.first((x2, x1), _edges(owner2)))
        own = torch.relu(model.first((x1, x0), _edges(owner1)))
        near, own = model.dropout(near), model.dropout(own)
        return model.odds(torch.relu(model.second((near, own), _edges(owner1))))


def _spans(start: NDArray[np.int64], rows: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Places that belong to rows, and which of the rows each belongs to."""
    count = start[rows + 1] - start[rows]
    owner = np.repeat(np.arange(len(rows)), count)
    within = np.arange(len(owner)) - np.repeat(np.cumsum(count) - count, count)
    return start[rows][owner] + within, owner


def _edges(owner: NDArray[np.int64]) -> Tensor:
    return torch.from_numpy(np.stack([np.arange(len(owner)), owner]))


@torch.no_grad()
def _asked(network: Network, model: PlainSage, rows: NDArray[np.int64]) -> NDArray[np.float64]:
    model.eval()
    order = np.random.default_rng(0)
    if not len(rows):
        return np.zeros(0)
    return np.concatenate(
        [network.odds(model, some).double().numpy() for some in _in_order(network, rows, order)]
    )


def _in_order(network: Network, rows: NDArray[np.int64], rng: np.random.Generator) -> list[NDArray[np.int64]]:
    """Batches that keep the order of the rows."""
    first = next(iter(network.batches(rows, rng)))
    return [rows[at : at + len(first)] for at in range(0, len(rows), len(first))]


def _fit(
    network: Network,
    settings: Mapping[str, Any],
    part: Part,
    rows: NDArray[np.int64],
    *,
    seed: int,
    epochs: int,
    watch: bool,
) -> tuple[PlainSage, float, int]:
    """Train; with ``watch`` the state of the best validation epoch, its precision and number."""
    torch.manual_seed(seed)
    rng = np.random.default_rng(seed)
    model = PlainSage(network.width, settings["hidden"], settings["dropout"], settings["aggregate"])
    optimiser = torch.optim.Adam(model.parameters(), lr=settings["rate"])
    label = torch.from_numpy(part.label.astype(np.float32))
    weight = np.zeros(len(part.label), np.float32)
    weight[rows] = class_weights(part.label[rows], part.weight[rows])
    weights = torch.from_numpy(weight)
    best, at, state = -1.0, 0, copy.deepcopy(model.state_dict())
    truth = part.label[part.valid]
    for epoch in range(1, epochs + 1):
        model.train()
        for some in network.batches(rows, rng):
            loss = nn.functional.binary_cross_entropy_with_logits(
                network.odds(model, some), label[some], weights[some]
            )
            optimiser.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            optimiser.step()
        if watch:
            precision = average_precision_score(
                truth, _asked(network, model, part.valid), sample_weight=part.weight[part.valid]
            )
            if precision > best:
                best, at, state = float(precision), epoch, copy.deepcopy(model.state_dict())
            elif epoch - at >= _PATIENCE:
                break
    if watch:
        model.load_state_dict(state)
    return model, best, at


def plain_sage(
    network: Network,
    part: Part,
    *,
    seed: int = 0,
    n_threads: int = 1,
    settings: Sequence[Mapping[str, Any]] = SETTINGS,
) -> Scored:
    """GraphSAGE alone, its settings and its number of epochs chosen on validation.

    Args:
        network: Where neighbours are found.
        part: The division.
        seed: Of weights, order and dropout.
        n_threads: PyTorch's, for the whole process.
        settings: To choose among; ``most`` is the number of epochs.

    Returns:
        Scores and what was chosen. Where the part may be refitted, the model is trained again on train and
        valid for as many epochs as were best; where validation holds one class only, the first settings
        are, for 30 epochs.

    Raises:
        OneClass: If all labels say the same.
    """
    torch.set_num_threads(n_threads)
    rows = part.everything()
    if not part.can_choose:
        model, _, _ = _fit(network, settings[0], part, rows, seed=seed, epochs=_UNWATCHED, watch=False)
        return Scored(_asked(network, model, part.test), {**settings[0], "epochs": _UNWATCHED})
    fits = [
        _fit(network, one, part, part.train, seed=seed, epochs=one["most"], watch=True) for one in settings
    ]
    which = int(np.argmax([precision for _, precision, _ in fits]))
    model, precision, at = fits[which]
    if part.refit:
        model, _, _ = _fit(network, settings[which], part, rows, seed=seed, epochs=at, watch=False)
    chosen = {**settings[which], "epochs": at, "validation": round(precision, 4)}
    return Scored(_asked(network, model, part.test), chosen)
