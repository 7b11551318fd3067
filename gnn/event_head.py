"""The head for an account at one of its events: learned at events, chosen and calibrated on later ones."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from features import Queries
from features.queries import EVENT
from gnn.blend import Blend
from gnn.bundle import Head
from gnn.calibration import Calibration, fit_calibration
from gnn.inputs import inputs, places_of
from gnn.targets import MIN_OF_A_CLASS, EventExamples, Targets, event_examples, targets
from gnn.trees import ROUNDS, SHAPES, Model, Shape, fit_trees, margins

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Sequence

    from numpy.typing import NDArray

    from graph_etl import Snapshot
    from rings import Epoch

# Equal parts of the events in time: each but the first is judged by a model of those before it.
_BLOCKS: Final = 5
# Weight of a block in calibration, over that of the next: levels drift, slopes hardly do.
_OLDER: Final = 0.5


@dataclass(frozen=True, slots=True)
class EventHead:
    """A head with what was learned beside it.

    Attributes:
        head: The head.
        margin: ``float64[n]`` of a bounded number of events of each account, for percentiles.
        metrics: Held-out figures.
    """

    head: Head
    margin: NDArray[np.float64]
    metrics: dict[str, Any]


@dataclass(frozen=True, slots=True)
class _Block:
    """Examples from before a cut, and those of the time after it with the labels of today."""

    number: int
    past: EventExamples
    held_out: EventExamples


def fit_event_head(
    snapshot: Snapshot,
    final: Targets,
    *,
    epochs: Sequence[Epoch] = (),
    model: Model = "lightgbm",
    without: Collection[str] = (),
    seed: int = 0,
    n_threads: int = 1,
    progress: Callable[[str, int, int], None] | None = None,
) -> EventHead | None:
    """Fit the head that answers at an account's events after its sign-up.

    The events are cut into five blocks of time. Each block but the first is judged by models of the blocks
    before it, with the verdicts known when it began. Shape and number of trees have the least log loss there,
    which is steadier than average precision where bad accounts are few. The calibration is fitted on the same
    margins, later blocks weighing more, and says how probable it is that the account is bad.

    Args:
        snapshot: The snapshot.
        final: Labels to fit on in the end.
        epochs: Communities and neighbourhoods at some horizons.
        model: Which trees.
        without: Families of inputs that are left out.
        seed: Of everything random.
        n_threads: Threads of the trees.
        progress: Called with a stage, steps done and steps in all.

    Returns:
        The head; None where accounts do nothing after they appear, or no block of time has ten bad and ten
        good accounts before it and both kinds in it.
    """
    tell = progress or (lambda _stage, _done, _total: None)
    if not snapshot.manifest["timed"] or final.supervision == "label_free":
        return None
    examples = event_examples(snapshot, final, seed=seed)
    if not _acts_later(snapshot, examples):
        return None
    blocks = _blocks(snapshot, examples, seed)
    if not blocks:
        return None
    tell("features at events", 0, 1)
    asked = np.unique(np.concatenate([examples.position, *(block.past.position for block in blocks)]))
    columns = inputs(snapshot, Queries.for_events(snapshot, asked), epochs=epochs)
    columns[:, places_of(snapshot, without)] = np.nan
    tell("features at events", 1, 1)

    def of(chosen: EventExamples) -> NDArray[np.float32]:
        return columns[np.searchsorted(asked, chosen.position)]

    best = np.inf
    for place, candidate in enumerate(SHAPES):
        tell("trees at events", place, len(SHAPES) + 1)
        loss, table = _held_out(blocks, of, candidate, model, seed, n_threads)
        if loss.min() < best:
            at = int(np.argmin(loss))
            best, held, rounds, shape = float(loss[at]), table[at], ROUNDS[at], candidate
    calibration = _calibration(blocks, held)
    tell("trees at events", len(SHAPES), len(SHAPES) + 1)
    trees = fit_trees(
        of(examples),
        examples.label,
        examples.weight,
        rounds=rounds,
        shape=shape,
        seed=seed,
        n_threads=n_threads,
        model=model,
    )
    tell("trees at events", len(SHAPES) + 1, len(SHAPES) + 1)
    head = Head(EVENT, trees, Blend(0.0), calibration, contact=False)
    return EventHead(head, margins(trees, of(examples)), _metrics(blocks, held, calibration, seed))


def _acts_later(snapshot: Snapshot, examples: EventExamples) -> bool:
    """Whether enough accounts of both kinds do anything after the row that brought them in."""
    later = examples.position > np.asarray(snapshot.first_pos)[examples.account]
    return all(
        len(np.unique(examples.account[later & (examples.label == label)])) >= MIN_OF_A_CLASS
        for label in (0, 1)
    )


def _blocks(snapshot: Snapshot, examples: EventExamples, seed: int) -> list[_Block]:
    known_ms = np.asarray(snapshot.event_known_ms)
    timed = known_ms[np.unique(examples.position)]
    found = []
    for number in range(1, _BLOCKS):
        cut_ms = int(timed[len(timed) * number // _BLOCKS])
        end_ms = int(timed[len(timed) * (number + 1) // _BLOCKS]) if number + 1 < _BLOCKS else None
        then = targets(snapshot, cut_ms)
        past = event_examples(snapshot, then, cut_ms, seed=seed)
        inside = known_ms[examples.position] > cut_ms
        if end_ms is not None:
            inside &= known_ms[examples.position] <= end_ms
        held_out = examples.take(np.flatnonzero(inside))
        bad = len(np.unique(past.account[past.label == 1]))
        good = len(np.unique(past.account[past.label == 0]))
        if min(bad, good) >= MIN_OF_A_CLASS and len(np.unique(held_out.label)) == 2:
            found.append(_Block(number, past, held_out))
    return found


def _held_out(
    blocks: list[_Block],
    columns: Callable[[EventExamples], NDArray[np.float32]],
    shape: Shape,
    model: Model,
    seed: int,
    n_threads: int,
) -> tuple[NDArray[np.float64], list[list[NDArray[np.float64]]]]:
    """For each number of trees the log loss over all blocks, and the margins of each block."""
    total, weight = np.zeros(len(ROUNDS)), 0.0
    table: list[list[NDArray[np.float64]]] = [[] for _ in ROUNDS]
    for block in blocks:
        trees = fit_trees(
            columns(block.past),
            block.past.label,
            block.past.weight,
            shape=shape,
            seed=seed,
            n_threads=n_threads,
            model=model,
        )
        asked = columns(block.held_out)
        for place, rounds in enumerate(ROUNDS):
            margin = margins(trees, asked, rounds)
            table[place].append(margin)
            signed = np.where(block.held_out.label == 1, -margin, margin)
            total[place] += float(block.held_out.weight @ np.logaddexp(0.0, signed))
        weight += float(block.held_out.weight.sum())
    return total / weight, table


def _calibration(blocks: list[_Block], held: list[NDArray[np.float64]]) -> Calibration:
    """A declared prevalence is a share of accounts and says nothing of the share of events."""
    newest = blocks[-1].number
    weight = [block.held_out.stands_for * _OLDER ** (newest - block.number) for block in blocks]
    label = np.concatenate([block.held_out.label for block in blocks])
    return fit_calibration(np.concatenate(held), label, np.concatenate(weight))


def _metrics(
    blocks: list[_Block], held: list[NDArray[np.float64]], calibration: Calibration, seed: int
) -> dict[str, Any]:
    from gnn.evaluation import calibration_error, evaluate  # here: scoring needs no scikit-learn

    label = np.concatenate([block.held_out.label for block in blocks])
    weight = np.concatenate([block.held_out.weight for block in blocks])
    margin = np.concatenate(held)
    figures: dict[str, Any] = {
        name: metric.as_dict() for name, metric in evaluate(label, margin, weight=weight, seed=seed).items()
    }
    figures["events"] = len(label)
    figures["accounts"] = len(np.unique(np.concatenate([block.held_out.account for block in blocks])))
    bad = np.concatenate([block.held_out.account[block.held_out.label == 1] for block in blocks])
    figures["bad"] = len(np.unique(bad))
    figures["folds"] = "time"
    of_events = np.concatenate([block.held_out.stands_for for block in blocks])
    figures["calibration_error"] = calibration_error(label, calibration(margin), of_events)
    figures["calibration_error_of_blocks"] = [
        calibration_error(block.held_out.label, calibration(one), block.held_out.stands_for)
        for block, one in zip(blocks, held, strict=True)
    ]
    return figures
