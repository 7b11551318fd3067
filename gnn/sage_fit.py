"""Fitting GraphSAGE on typed messages (Hamilton et al., 2017), in PyTorch Geometric, on the own sampler.

Neighbourhoods are drawn once, as scoring draws them, and training only gathers from them: drawing them anew
for each batch cost as much as the network. Only training imports this module, and PyTorch with it; what is
fitted scores by `gnn.sage_kernel`.
"""

from __future__ import annotations

import copy
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import torch
from torch import Tensor

from gnn.dgl_network import dgl_network
from gnn.sage_encoding import encoding_of, stack
from gnn.sage_examples import Examples, batch_loss
from gnn.sage_kernel import FANOUTS
from gnn.sage_network import DROPOUT, GraphSage
from gnn.sage_verdicts import N_COLUMNS, Masks, Told
from gnn.sage_workers import Alone
from gnn.sampler import n_message_types

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from numpy.typing import NDArray

    from features import Queries
    from gnn.sage import SageInputs
    from gnn.sage_kernel import Encoding, Sage
    from gnn.sage_verdicts import Known
    from gnn.sage_workers import Checkpoints, Workers

MEMBERS: Final = 3
# Small platforms need small batches to take enough steps; beyond, larger ones waste less on overhead.
_BATCHES: Final = (32, 1024)
_BATCHES_PER_EPOCH: Final = 24
# Fewer steps than this and the model has not settled, however few the accounts.
_LEAST_STEPS: Final = 200
_EPOCHS: Final = (3, 40)
_LEARNING_RATE: Final = 4e-3
_WEIGHT_DECAY: Final = 1e-2
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
    workers: Workers | None = None,
    checkpoints: Checkpoints | None = None,
    backend: str = "pyg",
    known: Known | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> Sage:
    """Train on the neighbourhoods that scoring sees, in mini-batches.

    Each member holds back its own eighth of the groups, and keeps the weights that were best there.

    Several workers that call this with the same arguments fit one model: each draws and holds every
    ``world``-th question, a batch is the same whoever fits it, and the gradient is that of the whole batch.

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
        workers: Who fits it together, and on what; this process alone, on its processor, if None.
        checkpoints: Where the state goes after epochs, and where it is taken up again; nowhere if None. Taken
            up, the fit ends as it would have: what is drawn depends on seed, member and epoch alone.
        backend: What passes the messages, ``pyg`` (PyTorch Geometric) or ``dgl``.
        known: Verdicts on others that the network is told of, see `gnn.sage_verdicts`; of none if None. Each
            batch draws who is unknown to it, its own accounts always among them.
        progress: Called with batches done and in all.

    Returns:
        The model.

    Raises:
        DglMissing: If DGL is asked for and not installed.
    """
    torch.set_num_threads(n_threads)
    rng = np.random.default_rng(seed)
    if len(queries) > MOST_EXAMPLES:
        picked, weight = _drawn_from(np.asarray(label), weight, rng)
        queries, label = queries.take(picked), label[picked]
        rows = None if rows is None else rows[picked]
        group = None if group is None else group[picked]
    groups = np.arange(len(queries)) if group is None else np.asarray(group)
    weights, factor = _balanced(label, weight)
    beside = Alone() if workers is None else workers
    encoding, examples = _examples(inputs, queries, rows, rng, np.asarray(label), weights, beside, known)
    n_told = 0 if known is None else N_COLUMNS
    if known is not None:
        masks = Masks(queries.account, np.asarray(groups, np.int64), len(known.since))
        examples = replace(examples, masks=masks)
    kept = checkpoints.load() if checkpoints is not None else None
    found: list[Mapping[str, Tensor]] = [] if kept is None else list(kept["members"])
    for member in range(len(found), members):
        torch.manual_seed(seed * 1000 + member)
        widths = len(encoding.columns), 2 * len(encoding.mean) + n_told, n_message_types(inputs.source)
        network = dgl_network(*widths) if backend == "dgl" else GraphSage(*widths)
        fitting = _Fitting(network, examples, np.asarray(label), weights, groups, [seed, member])
        if kept is not None:
            fitting.take_up(kept["fitting"])
            kept = None
        for done, total in fitting.steps():
            if progress is not None:
                progress(member * total + done, members * total)
            if fitting.epoch_ended and checkpoints is not None and checkpoints.due(member, fitting.epoch):
                checkpoints.keep({"members": found, "fitting": fitting.state})
        with torch.no_grad():
            fitting.network.head.bias.sub_(float(np.log(factor)))
        found.append({name: one.cpu() for name, one in fitting.network.state_dict().items()})
    return stack(found, encoding, 0 if rows is None else rows.shape[1], told=n_told)


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
    inputs: SageInputs,
    queries: Queries,
    rows: NDArray[np.float32] | None,
    rng: np.random.Generator,
    label: NDArray[Any],
    weight: NDArray[np.float32],
    workers: Workers,
    known: Known | None = None,
) -> tuple[Encoding, Examples]:
    """Draw once what surrounds a worker's questions; the encoding is learned on some of all."""
    few = rng.permutation(len(queries))[:_ENCODING_ROWS]
    first = inputs.draw(queries.take(few), FANOUTS, latest=True)
    encoding = encoding_of(first.seed_x if rows is None else rows[few], first.hop1_x[first.hop1_side >= 0])
    own: list[NDArray[np.float32]] = []
    messages: list[NDArray[np.float32]] = []
    sides: list[NDArray[np.int16]] = []
    counts: list[NDArray[np.int64]] = []
    tellings: list[tuple[Told, NDArray[np.bool_]]] = []
    held = np.arange(workers.rank, len(queries), workers.world)
    for start in range(0, len(held), _DRAWN_AT_ONCE):
        part = held[start : start + _DRAWN_AT_ONCE]
        drawn = inputs.gather(queries.take(part), encoding, FANOUTS, latest=True, with_seeds=rows is None)
        there = drawn.side >= 0
        own.append(encoding.rows(drawn.seed_x if rows is None else rows[part]))
        messages.append(drawn.messages[there])
        sides.append(drawn.side[there])
        counts.append(there.reshape(len(part), -1).sum(1))
        if known is not None:
            tellings.append((Told.of(inputs.source, queries.take(part), known, FANOUTS[0]), there))
    count = np.concatenate(counts).astype(np.int64)
    return encoding, Examples(
        rows=torch.from_numpy(np.concatenate(own)),
        messages=torch.from_numpy(np.concatenate(messages)),
        side=torch.from_numpy(np.concatenate(sides).astype(np.int64)),
        first=torch.from_numpy(np.cumsum(count) - count),
        count=torch.from_numpy(count),
        target=torch.from_numpy(label[held].astype(np.float32)),
        weight=torch.from_numpy(weight[held]),
        workers=workers,
        told=Told.joined(tellings) if known is not None else None,
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


class _Fitting:
    """One member as it is fitted.

    Args:
        network: Its weights at the start, the same with all workers.
        examples: What this worker holds.
        label: ``[n]`` of all questions.
        weight: ``float32[n]`` likewise.
        groups: ``int[n]`` likewise.
        seed: Of all that is drawn.
    """

    def __init__(
        self,
        network: GraphSage,
        examples: Examples,
        label: NDArray[Any],
        weight: NDArray[np.float32],
        groups: NDArray[np.integer[Any]],
        seed: list[int],
    ) -> None:
        self._seed = seed
        self._examples = examples
        self._workers = examples.workers
        self._label, self._weight = label, weight
        part = _held_back(label, groups, np.random.default_rng(seed))
        self._judged, self._rows = np.flatnonzero(part), np.flatnonzero(~part)
        self._size = int(np.clip(len(self._rows) // _BATCHES_PER_EPOCH, *_BATCHES))
        self._batches = max(1, -(-len(self._rows) // self._size))
        self._epochs = int(np.clip(-(-_LEAST_STEPS // self._batches), *_EPOCHS))
        processor = self._workers.processor
        self.network = network.to(processor.device)
        self._together: Callable[..., Tensor] = self._workers.together(self.network)
        if processor.gpu and processor.compiled:
            self._together = torch.compile(self._together, dynamic=True)
        self._optimiser = torch.optim.AdamW(
            network.parameters(), lr=_LEARNING_RATE, weight_decay=_WEIGHT_DECAY
        )
        self._schedule = torch.optim.lr_scheduler.OneCycleLR(
            self._optimiser, _LEARNING_RATE, self._epochs * self._batches, pct_start=0.15
        )
        self._best, self._best_state, self._best_epoch = -1.0, copy.deepcopy(network.state_dict()), 0
        self.epoch = -1
        self.epoch_ended = False

    @property
    def state(self) -> dict[str, Any]:
        """All that is needed to go on after the epoch that ended last."""
        return {
            "epoch": self.epoch,
            "network": self.network.state_dict(),
            "optimiser": self._optimiser.state_dict(),
            "schedule": self._schedule.state_dict(),
            "best": self._best,
            "best_state": self._best_state,
            "best_epoch": self._best_epoch,
        }

    def take_up(self, state: Mapping[str, Any]) -> None:
        """Go on from a state."""
        self.epoch = state["epoch"]
        self.network.load_state_dict(state["network"])
        self._optimiser.load_state_dict(state["optimiser"])
        self._schedule.load_state_dict(state["schedule"])
        self._best, self._best_epoch = state["best"], state["best_epoch"]
        self._best_state = dict(state["best_state"])

    def steps(self) -> Iterator[tuple[int, int]]:
        """Fit on; yields batches done and in all."""
        total = self._epochs * self._batches
        while self.epoch + 1 < self._epochs and not self._settled:
            for done in self._one_epoch(self.epoch + 1):
                self.epoch_ended = False
                yield done, total
            self.epoch += 1
            self._judge()
            self.epoch_ended = True
            yield (self.epoch + 1) * self._batches, total
        if len(self._judged):
            self.network.load_state_dict(self._best_state)
        self.network.eval()
        self.epoch_ended = False
        yield total, total

    @property
    def _settled(self) -> bool:
        """Whether it has got no better for a while."""
        return bool(len(self._judged)) and self.epoch - self._best_epoch >= _PATIENCE

    def _one_epoch(self, epoch: int) -> Iterator[int]:
        # Anew for each epoch, so that one that is taken up draws what it would have drawn.
        draws = np.random.SeedSequence([*self._seed, epoch, self._workers.rank])
        torch.manual_seed(int(draws.generate_state(1)[0]))
        order = np.random.default_rng([*self._seed, epoch]).permutation(self._rows)
        picked = np.array_split(order, np.arange(self._size, len(order), self._size))
        self.network.train()
        seed = [*self._seed, epoch]
        for number, batch in enumerate(self._examples.batches(picked, DROPOUT, self._judged, seed)):
            loss = batch_loss(self._together, batch, len(picked[number]), self._workers)
            self._optimiser.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            self._optimiser.step()
            self._schedule.step()
            yield epoch * self._batches + number + 1

    def _judge(self) -> None:
        """Keep the weights where they are the best so far; all workers see the same figure."""
        from sklearn.metrics import average_precision_score  # here: scoring needs no scikit-learn

        if not len(self._judged):
            return
        odds = _odds(self.network, self._examples, self._judged)
        judged = self._judged
        precision = float(
            average_precision_score(self._label[judged], odds, sample_weight=self._weight[judged])
        )
        if precision > self._best:
            self._best, self._best_epoch = precision, self.epoch
            self._best_state = copy.deepcopy(self.network.state_dict())


def _odds(network: GraphSage, examples: Examples, rows: NDArray[np.int64]) -> NDArray[np.float32]:
    """Log odds of some questions, ``float32[n]``, each computed by the worker that holds it."""
    workers = examples.workers
    own = examples.mine(rows)
    hidden = None if examples.masks is None else examples.masks.of(rows)
    network.eval()
    parts = [np.zeros(0, np.float32)]
    with torch.no_grad(), workers.processor.precision():
        for start in range(0, len(own), _DRAWN_AT_ONCE):
            batch = examples.take(own[start : start + _DRAWN_AT_ONCE], hidden=hidden)
            parts.append(network(*batch.inputs).float().cpu().numpy())
    found = np.empty(len(rows), np.float32)
    for rank, odds in enumerate(workers.gathered(np.concatenate(parts))):
        found[rows % workers.world == rank] = odds
    return found
