"""Fitting GraphSAGE on typed messages (Hamilton et al., 2017), in PyTorch Geometric, on the own sampler.

Neighbourhoods are drawn once, as scoring draws them, and training only gathers from them: drawing them anew
for each batch cost as much as the network. Only training imports this module, and PyTorch with it; what is
fitted scores by `gnn.sage_kernel`.
"""

from __future__ import annotations

import copy
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import torch
from scipy.special import ndtri
from torch import Tensor, nn
from torch_geometric.nn import MeanAggregation

from gnn.sage_kernel import FANOUTS, Encoding, Sage
from gnn.sampler import n_message_types

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from numpy.typing import NDArray

    from features import Queries
    from gnn.sage import SageInputs

MEMBERS: Final = 3
_HIDDEN: Final = 64
_SENT: Final = 32
# Small platforms need small batches to take enough steps; beyond, larger ones waste less on overhead.
_BATCHES: Final = (32, 1024)
_BATCHES_PER_EPOCH: Final = 24
# Fewer steps than this and the model has not settled, however few the accounts.
_LEAST_STEPS: Final = 200
_EPOCHS: Final = (3, 40)
_LEARNING_RATE: Final = 4e-3
_WEIGHT_DECAY: Final = 1e-2
_DROPOUT: Final = 0.2
_INPUT_DROPOUT: Final = 0.1
# Part of the known groups held back to see when to stop; none where it would hold too few to tell.
_HELD_BACK: Final = 1 / 8
_LEAST_HELD_BACK: Final = 20
# Rounds of the schedule without a better model before it is given up.
_PATIENCE: Final = 4
# A class rarer than this among the weights is weighed up to it; the log odds are brought back afterwards.
_LEAST_SHARE: Final = 0.1
# Questions held in memory with what surrounds them; of more, so many are drawn.
MOST_EXAMPLES: Final = 120_000
_DRAWN_AT_ONCE: Final = 4096
_ENCODING_ROWS: Final = 8192
_KNOTS: Final = 64


class GraphSage(nn.Module):
    """One member; formulas in `gnn.sage_kernel`.

    Args:
        columns: Width ``C`` of the accounts' encoded rows.
        inputs: Width ``D`` of a message's inputs.
        types: Number of message types ``R``.
        hidden: Width ``H`` of the hidden layer and of the embedding.
        sent: Width of a message.
        dropout: Share of hidden values, and of neighbours, left out in training.
    """

    def __init__(
        self,
        columns: int,
        inputs: int,
        types: int,
        hidden: int = _HIDDEN,
        sent: int = _SENT,
        dropout: float = _DROPOUT,
    ) -> None:
        super().__init__()
        self.row = nn.Linear(columns, hidden)
        self.message = nn.Linear(inputs, sent)
        self.typed = nn.Embedding(types, sent)
        nn.init.normal_(self.typed.weight, std=0.1)
        self.mean = MeanAggregation()
        self.gathered_norm = nn.LayerNorm(sent + 1)
        self.gathered = nn.Linear(sent + 1, hidden, bias=False)
        self.first_norm = nn.LayerNorm(hidden)
        self.block = nn.Linear(hidden, hidden)
        self.last_norm = nn.LayerNorm(hidden)
        self.head = nn.Linear(hidden, 1)
        self.drop_inputs = nn.Dropout(_INPUT_DROPOUT)
        self.drop = nn.Dropout(dropout)

    def embed(self, rows: Tensor, messages: Tensor, side: Tensor, receiver: Tensor) -> Tensor:
        """Embeddings of accounts.

        Args:
            rows: ``[B, C]``.
            messages: ``[E, D]`` inputs of the neighbours that are there.
            side: ``[E]`` their message types.
            receiver: ``[E]`` the row that each one is a neighbour of, rising.

        Returns:
            ``[B, H]``.
        """
        sent = torch.relu(self.message(messages) + self.typed(side))
        mean = self.mean(sent, receiver, dim_size=len(rows))
        count = torch.bincount(receiver, minlength=len(rows)).to(rows.dtype)
        gathered = self.gathered_norm(torch.cat([mean, torch.log1p(count).unsqueeze(1)], 1))
        state = self.row(self.drop_inputs(rows)) + self.gathered(self.drop(gathered))
        state = self.drop(torch.relu(self.first_norm(state)))
        embedding: Tensor = self.last_norm(state + self.drop(torch.relu(self.block(state))))
        return embedding

    def forward(self, rows: Tensor, messages: Tensor, side: Tensor, receiver: Tensor) -> Tensor:
        """Log odds ``[B]``; arguments as in `embed`."""
        odds: Tensor = self.head(self.embed(rows, messages, side, receiver))
        return odds.squeeze(-1)


@dataclass(frozen=True, slots=True)
class _Examples:
    """What surrounds the questions: rows, and the messages of the neighbours that are there, seed by seed."""

    rows: Tensor
    messages: Tensor
    side: Tensor
    first: Tensor
    count: Tensor

    def take(self, picked: Tensor, dropped: float = 0.0) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Inputs of some questions, each neighbour left out with a probability."""
        count = self.count[picked]
        receiver = torch.repeat_interleave(torch.arange(len(picked)), count)
        begun = torch.cumsum(count, 0) - count
        place = torch.arange(len(receiver)) + (self.first[picked] - begun)[receiver]
        if dropped > 0.0:
            kept = torch.rand(len(place)) >= dropped
            place, receiver = place[kept], receiver[kept]
        return self.rows[picked], self.messages[place], self.side[place], receiver


def stack(
    members: Sequence[GraphSage], encoding: Encoding, row_width: int, fanouts: tuple[int, int] = FANOUTS
) -> Sage:
    """Put members into the one model that scores.

    Args:
        members: At least one.
        encoding: How inputs are brought to them.
        row_width: Width of the rows that the encoding takes; 0 where the node's own inputs stand for them.
        fanouts: Neighbours at the first and at the second hop.

    Returns:
        The model.
    """
    states = [member.state_dict() for member in members]
    state: dict[str, NDArray[Any]] = {
        name: np.stack([one[name].detach().numpy().copy() for one in states]) for name in states[0]
    }
    for name in Encoding.__slots__:
        state[f"encoding.{name}"] = getattr(encoding, name)
    state["row_width"] = np.array([row_width], np.int32)
    return Sage.of(state, fanouts)


def encoding_of(rows: NDArray[np.float32], nodes: NDArray[np.float32]) -> Encoding:
    """Learn how inputs are brought to the network.

    Args:
        rows: ``float32[n, F]``, NaN where there is no value; each column gets normal scores by rank, ties the
            middle one (Van der Waerden, 1952), read off at up to 64 knots; columns that never differ are left
            out.
        nodes: ``float32[m, D]`` inputs of neighbours, which are standardised.

    Returns:
        The encoding.
    """
    columns: list[int] = []
    knots: list[NDArray[np.float64]] = []
    levels: list[NDArray[np.float64]] = []
    for column in range(rows.shape[1]):
        values = rows[:, column].astype(np.float64)
        values = values[np.isfinite(values)]
        distinct, count = np.unique(values, return_counts=True)
        if len(distinct) < 2:
            continue
        middle = (np.cumsum(count) - count / 2) / count.sum()
        score = ndtri(np.clip(middle, 1e-4, 1 - 1e-4))
        centre = np.average(score, weights=count)
        spread = max(np.sqrt(np.average((score - centre) ** 2, weights=count)), 1e-3)
        score = np.clip((score - centre) / spread, -4.0, 4.0)
        if len(distinct) > _KNOTS:
            # Evenly in score, so that the tails keep their knots.
            wanted = np.interp(np.linspace(score[0], score[-1], _KNOTS), score, np.arange(len(score)))
            picked = np.unique(np.rint(wanted).astype(np.int64))
            distinct, score = distinct[picked], score[picked]
        missing = _KNOTS - len(distinct)
        columns.append(column)
        knots.append(np.concatenate([distinct, np.repeat(distinct[-1:], missing)]))
        levels.append(np.concatenate([score, np.repeat(score[-1:], missing)]))
    if not columns:  # a network needs an input, also one that says nothing
        columns, knots, levels = [0], [np.zeros(_KNOTS)], [np.zeros(_KNOTS)]
    width = nodes.shape[1]
    return Encoding(
        columns=np.array(columns, np.int32),
        knots=np.array(knots, np.float32).reshape(len(columns), _KNOTS),
        levels=np.array(levels, np.float32).reshape(len(columns), _KNOTS),
        mean=nodes.mean(0, dtype=np.float64).astype(np.float32)
        if len(nodes)
        else np.zeros(width, np.float32),
        scale=np.maximum(nodes.std(0, dtype=np.float64), 1e-3).astype(np.float32)
        if len(nodes)
        else np.ones(width, np.float32),
    )


def fit_sage(
    inputs: SageInputs,
    queries: Queries,
    label: NDArray[Any],
    weight: NDArray[np.float64],
    *,
    rows: NDArray[np.float32] | None = None,
    group: NDArray[np.integer[Any]] | None = None,
    members: int = MEMBERS,
    seed: int = 0,
    n_threads: int = 1,
    progress: Callable[[int, int], None] | None = None,
) -> Sage:
    """Train on the neighbourhoods that scoring sees, in mini-batches.

    Each member holds back its own eighth of the groups, and keeps the weights that were best there.

    Args:
        inputs: Where samples come from.
        queries: ``n`` questions, each with its horizon.
        label: ``[n]`` of 0 and 1.
        weight: ``float64[n]``.
        rows: ``float32[n, F]`` what the trees see of each; the node's own inputs if None.
        group: ``int[n]``, questions of one group (an account's, a known ring's) are held back together; each
            is its own if None.
        members: Number of networks, fitted from different seeds.
        seed: Of weights, order and what is left out.
        n_threads: PyTorch's, for the whole process.
        progress: Called with batches done and in all.

    Returns:
        The model.
    """
    torch.set_num_threads(n_threads)
    rng = np.random.default_rng(seed)
    if len(queries) > MOST_EXAMPLES:
        picked, weight = _drawn_from(np.asarray(label), weight, rng)
        queries, label = queries.take(picked), label[picked]
        rows = None if rows is None else rows[picked]
        group = None if group is None else group[picked]
    groups = np.arange(len(queries)) if group is None else np.asarray(group)
    encoding, examples = _examples(inputs, queries, rows, rng)
    weights, factor = _balanced(label, weight)
    found: list[GraphSage] = []
    for member in range(members):
        torch.manual_seed(seed * 1000 + member)
        network = GraphSage(len(encoding.columns), 2 * len(encoding.mean), n_message_types(inputs.source))
        steps = _fit_member(
            network, examples, np.asarray(label), weights, groups, np.random.default_rng([seed, member])
        )
        for done, total in steps:
            if progress is not None:
                progress(member * total + done, members * total)
        with torch.no_grad():
            network.head.bias.sub_(float(np.log(factor)))
        found.append(network)
    return stack(found, encoding, 0 if rows is None else rows.shape[1])


def _drawn_from(
    label: NDArray[Any], weight: NDArray[np.float64], rng: np.random.Generator
) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """As many questions as memory is given to, the rarer class first; weights keep what the classes weigh."""
    classes = sorted((np.flatnonzero(label == 1), np.flatnonzero(label != 1)), key=len)
    rare = rng.permutation(classes[0])[: MOST_EXAMPLES // 2]
    common = rng.permutation(classes[1])[: MOST_EXAMPLES - len(rare)]
    scaled = weight.copy()
    for chosen, everyone in zip((rare, common), classes, strict=True):
        if len(chosen):
            scaled[chosen] *= weight[everyone].sum() / weight[chosen].sum()
    picked = np.sort(np.concatenate([rare, common]))
    return picked, scaled[picked]


def _examples(
    inputs: SageInputs, queries: Queries, rows: NDArray[np.float32] | None, rng: np.random.Generator
) -> tuple[Encoding, _Examples]:
    """Draw once what surrounds the questions, and learn the encoding on some of them."""
    few = rng.permutation(len(queries))[:_ENCODING_ROWS]
    first = inputs.draw(queries.take(few), FANOUTS, latest=True)
    encoding = encoding_of(first.seed_x if rows is None else rows[few], first.hop1_x[first.hop1_side >= 0])
    own: list[NDArray[np.float32]] = []
    messages: list[NDArray[np.float32]] = []
    sides: list[NDArray[np.int16]] = []
    counts: list[NDArray[np.int64]] = []
    for start in range(0, len(queries), _DRAWN_AT_ONCE):
        part = np.arange(start, min(start + _DRAWN_AT_ONCE, len(queries)))
        drawn = inputs.draw(queries.take(part), FANOUTS, latest=True)
        there = drawn.hop1_side >= 0
        own.append(encoding.rows(drawn.seed_x if rows is None else rows[part]))
        messages.append(encoding.messages(drawn)[there])
        sides.append(drawn.hop1_side[there])
        counts.append(there.reshape(len(part), -1).sum(1))
    count = np.concatenate(counts).astype(np.int64)
    return encoding, _Examples(
        rows=torch.from_numpy(np.concatenate(own)),
        messages=torch.from_numpy(np.concatenate(messages)),
        side=torch.from_numpy(np.concatenate(sides).astype(np.int64)),
        first=torch.from_numpy(np.cumsum(count) - count),
        count=torch.from_numpy(count),
    )


def _balanced(label: NDArray[Any], weight: NDArray[np.float64]) -> tuple[NDArray[np.float32], float]:
    """Weights with no class below a tenth, and the factor by which this raised the odds."""
    bad = np.asarray(label) == 1
    total_bad, total_good = float(weight[bad].sum()), float(weight[~bad].sum())
    factor = 1.0
    if total_bad > 0.0 and total_good > 0.0:
        least = _LEAST_SHARE / (1.0 - _LEAST_SHARE)
        factor = max(1.0, least * total_good / total_bad) / max(1.0, least * total_bad / total_good)
    raised = np.where(bad, max(factor, 1.0), max(1.0 / factor, 1.0)) * weight
    return (raised / raised.mean()).astype(np.float32), factor


def _held_back(
    label: NDArray[Any], groups: NDArray[np.integer[Any]], rng: np.random.Generator
) -> NDArray[np.bool_]:
    """Questions of an eighth of the groups; none where too few of a class are among them."""
    names = np.unique(groups)
    part = np.isin(groups, rng.permutation(names)[: int(len(names) * _HELD_BACK)])
    bad = int((label[part] == 1).sum())
    left = int((label[~part] == 1).sum())
    enough = min(bad, int(part.sum()) - bad, left) >= _LEAST_HELD_BACK
    return part if enough else np.zeros(len(groups), np.bool_)


def _fit_member(
    network: GraphSage,
    examples: _Examples,
    label: NDArray[Any],
    weight: NDArray[np.float32],
    groups: NDArray[np.integer[Any]],
    rng: np.random.Generator,
) -> Iterator[tuple[int, int]]:
    """Fit one network in place; yields batches done and in all."""
    from sklearn.metrics import average_precision_score  # here: scoring needs no scikit-learn

    part = _held_back(label, groups, rng)
    judged, rows = np.flatnonzero(part), np.flatnonzero(~part)
    size = int(np.clip(len(rows) // _BATCHES_PER_EPOCH, *_BATCHES))
    batches = max(1, -(-len(rows) // size))
    epochs = int(np.clip(-(-_LEAST_STEPS // batches), *_EPOCHS))
    targets = torch.from_numpy(np.asarray(label, dtype=np.float32))
    weights = torch.from_numpy(weight)
    optimiser = torch.optim.AdamW(network.parameters(), lr=_LEARNING_RATE, weight_decay=_WEIGHT_DECAY)
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimiser, _LEARNING_RATE, epochs * batches, pct_start=0.15
    )
    best, best_state, best_epoch = -1.0, copy.deepcopy(network.state_dict()), 0
    for epoch in range(epochs):
        network.train()
        order = torch.from_numpy(rng.permutation(rows))
        for batch in range(batches):
            picked = order[batch * size : (batch + 1) * size]
            loss = nn.functional.binary_cross_entropy_with_logits(
                network(*examples.take(picked, _DROPOUT)), targets[picked], weights[picked]
            )
            optimiser.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            optimiser.step()
            schedule.step()
            yield epoch * batches + batch + 1, epochs * batches
        if not len(judged):
            continue
        odds = _odds(network, examples, judged)
        precision = float(average_precision_score(label[judged], odds, sample_weight=weight[judged]))
        if precision > best:
            best, best_state, best_epoch = precision, copy.deepcopy(network.state_dict()), epoch
        elif epoch - best_epoch >= _PATIENCE:
            break
    if len(judged):
        network.load_state_dict(best_state)
    network.eval()
    yield epochs * batches, epochs * batches


def _odds(network: GraphSage, examples: _Examples, rows: NDArray[np.int64]) -> NDArray[np.float32]:
    network.eval()
    with torch.no_grad():
        parts = [
            network(*examples.take(torch.from_numpy(rows[start : start + _DRAWN_AT_ONCE])))
            for start in range(0, len(rows), _DRAWN_AT_ONCE)
        ]
    found: NDArray[np.float32] = torch.cat(parts).numpy()
    return found
