"""The head for an account at one of its events: learned at events, chosen and calibrated on later ones."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from features import Queries, known_bad_of
from features.queries import EVENT
from gnn.blend import Blend
from gnn.budget import Budget
from gnn.bundle import Head
from gnn.calibration import Calibration, fit_calibration
from gnn.growing import HeldOutTrees
from gnn.inputs import EPOCH_FAMILIES, inputs, places_of, with_contacts
from gnn.spread import Here
from gnn.targets import MIN_OF_A_CLASS, EventExamples, Targets, event_examples, targets
from gnn.trees import ROUNDS, SHAPES, Model, Shape, fit_trees, margins
from graph_etl import NO_TIME
from graph_etl.progress import silent

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Sequence

    from numpy.typing import NDArray

    from gnn.spread import Spread
    from graph_etl import Snapshot
    from rings import Epoch
    from rings.spread import Shared

    Tell = Callable[[str, int, int], None]

# Equal parts of the events in time: each but the first is judged by a model of those before it.
_BLOCKS: Final = 5
# Weight of a block in calibration, and where verdicts prove themselves, over that of the next: levels drift,
# and in later blocks more is known of others.
_OLDER: Final = 0.5
# Inputs from epochs stay where they lower the log loss by this share.
_LEAST_GAIN: Final = 0.005
# The step that says how long others will take.
_TREES: Final = "trees at events"
# So many trees at least before a rising loss ends the search.
_ENOUGH_ROUNDS: Final = 150


@dataclass(frozen=True, slots=True)
class EventHead:
    """A head with what was learned beside it.

    Attributes:
        head: The head.
        margin: ``float64[n]`` of a bounded number of events of each account, for percentiles.
        metrics: Held-out figures.
        at_sign_up: ``float64[A]``, what models of the blocks before say of each account at its sign-up; NaN
            in the first block. None where it was not asked.
    """

    head: Head
    margin: NDArray[np.float64]
    metrics: dict[str, Any]
    at_sign_up: NDArray[np.float64] | None = None


@dataclass(frozen=True, slots=True)
class _Block:
    """Examples from before a cut, and those of the time after it with the labels of today."""

    number: int
    cut_ms: int
    end_ms: int
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
    sign_up: NDArray[np.float32] | None = None,
    budget: Budget | None = None,
    spread: Spread | None = None,
    progress: Tell | None = None,
) -> EventHead | None:
    """Fit the head that answers at an account's events after its sign-up.

    The events are cut into five blocks of time. Each block but the first is judged by models of the blocks
    before it, with the labels known when it began. Shape and number of trees have the least log loss there,
    which is steadier than average precision where bad accounts are few. Inputs from epochs stay where they
    lower it by half a per cent and in more blocks than they raise it in. Verdicts of others become inputs
    where they lower it in the newest block, and in all with each block weighing twice the one before: in the
    first ones hardly anybody is known. An event sees the verdicts that were known before it, in a held-out
    block too, as it would have been answered. The calibration is fitted on the same margins, later blocks
    weighing more, and says how probable it is that the account is bad.

    Args:
        snapshot: The snapshot.
        final: Labels to fit on in the end.
        epochs: Communities and neighbourhoods at some horizons.
        model: Which trees.
        without: Families of inputs that are left out.
        seed: Of everything random.
        n_threads: Threads of the trees.
        sign_up: ``float32[A, F]`` of `gnn.inputs.inputs` for all accounts at their sign-up, where the head is
            to be asked about it too.
        budget: The time that may be taken; all that is needed if None.
        spread: What runs the blocks; this process, one after another, if None.
        progress: Called with a stage, steps done and steps in all.

    Returns:
        The head; None where accounts do nothing after they appear, or no block of time has ten bad and ten
        good accounts before it and both kinds in it.
    """
    tell = progress or silent
    if not snapshot.manifest["timed"] or final.supervision == "label_free":
        return None
    examples = event_examples(snapshot, final, seed=seed)
    if not _acts_later(snapshot, examples):
        return None
    blocks = _blocks(snapshot, examples, seed)
    if not blocks:
        return None
    spread, budget = spread or Here(), budget or Budget(None)
    asked = np.unique(np.concatenate([examples.position, *(block.past.position for block in blocks)]))
    columns = _columns(snapshot, asked, epochs, spread, tell)
    columns[:, places_of(snapshot, without)] = np.nan

    options: dict[str, Any] = {"seed": seed, "n_threads": n_threads, "model": model}

    def held_out(values: NDArray[np.float32], shape: Shape, note: str = "") -> _HeldOut:
        return _HeldOut(blocks, asked, values, shape, options, spread, tell, note)

    with budget.step(_TREES):
        best = min((held_out(columns, shape) for shape in SHAPES), key=lambda one: one.least)
    communities = True
    places = [at for at in places_of(snapshot, EPOCH_FAMILIES) if not np.isnan(columns[:, at]).all()]
    if places:
        without_epochs = columns.copy()
        without_epochs[:, places] = np.nan
        bare = held_out(without_epochs, best.shape, " without epochs")
        if not _worth_it(best, bare):
            best, columns, communities = bare, without_epochs, False
    contact = False
    known = known_bad_of(snapshot, untimed=False, at_events=True)
    somebody = "contact" not in without and (known.since < snapshot.end_horizon).any()
    if somebody and budget.allows("verdicts of others at events", like=_TREES, kept=(_TREES,)):
        told = with_contacts(snapshot, Queries.for_events(snapshot, asked), columns, known.since, known.until)
        note = " with verdicts of others"
        richer = min((held_out(told, shape, note) for shape in SHAPES), key=lambda one: one.least)
        if _lately_better(richer, best):
            best, columns, contact = richer, told, True
    held = best.held
    calibration = _calibration(blocks, held)
    at_sign_up = None
    if sign_up is not None and budget.allows("sign-up by the head for events", like=_TREES):
        if contact:
            first = Queries.for_accounts(snapshot, moment="signup")
            sign_up = with_contacts(snapshot, first, sign_up, known.since, known.until)
        at_sign_up = _at_sign_up(snapshot, blocks, asked, columns, sign_up, best, options, spread, tell)
    tell("final fit at events", 0, 1)
    rows = columns[np.searchsorted(asked, examples.position)]
    trees = fit_trees(rows, examples.label, examples.weight, rounds=best.rounds, shape=best.shape, **options)
    tell("final fit at events", 1, 1)
    head = Head(EVENT, trees, Blend(0.0), calibration, contact=contact)
    figures = _metrics(blocks, held, calibration, seed)
    figures |= {"communities": communities, "verdicts_of_others": contact}
    return EventHead(head, margins(trees, rows), figures, at_sign_up)


def _at_sign_up(
    snapshot: Snapshot,
    blocks: Sequence[_Block],
    asked: NDArray[np.int64],
    columns: NDArray[np.float32],
    sign_up: NDArray[np.float32],
    best: _HeldOut,
    options: dict[str, Any],
    spread: Spread,
    tell: Tell,
) -> NDArray[np.float64]:
    """Margins of all accounts at sign-up, each by a model of the blocks before its own, ``float64[A]``."""
    timed = np.flatnonzero(np.asarray(snapshot.first_seen_ms) != NO_TIME)
    known_ms = np.asarray(snapshot.event_known_ms)[np.asarray(snapshot.first_pos)[timed]]
    events, accounts = spread.share(columns), spread.share(sign_up)
    inside = [
        # Whoever acted before it signed up has been learned from.
        np.setdiff1d(timed[(known_ms > block.cut_ms) & (known_ms <= block.end_ms)], block.past.account)
        for block in blocks
    ]
    pieces = [
        partial(
            HeldOutTrees(
                partial(_past_and, events, np.searchsorted(asked, block.past.position), accounts, some),
                block.past.label,
                block.past.weight,
                shape=best.shape,
                **options,
            ).upto,
            [best.rounds],
        )
        for block, some in zip(blocks, inside, strict=True)
    ]
    found = np.full(snapshot.n_accounts, np.nan)
    margins_of = spread.each("trees at events asked of sign-ups", pieces, tell)
    for some, (margin,) in zip(inside, margins_of, strict=True):
        found[some] = margin
    return found


def _past_and(
    events: Shared[NDArray[np.float32]],
    past: NDArray[np.int64],
    accounts: Shared[NDArray[np.float32]],
    some: NDArray[np.int64],
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """What a block's trees are fitted on, and the sign-ups that they are asked about."""
    return events.get()[past], accounts.get()[some]


def _columns(
    snapshot: Snapshot, asked: NDArray[np.int64], epochs: Sequence[Epoch], spread: Spread, tell: Tell
) -> NDArray[np.float32]:
    """Inputs at events, ``float32[Q, F]``."""
    source, known = spread.share(snapshot), spread.share(epochs)
    pieces = [partial(_columns_at, source, asked[part], known) for part in spread.parts(len(asked))]
    parts = spread.each("features at events", pieces, tell)
    return parts[0] if len(parts) == 1 else np.concatenate(parts)


def _columns_at(
    snapshot: Shared[Snapshot], asked: NDArray[np.int64], epochs: Shared[Sequence[Epoch]]
) -> NDArray[np.float32]:
    source = snapshot.get()
    return inputs(source, Queries.for_events(source, asked), epochs=epochs.get())


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
        end_ms = int(timed[len(timed) * (number + 1) // _BLOCKS] if number + 1 < _BLOCKS else known_ms[-1])
        then = targets(snapshot, cut_ms)
        past = event_examples(snapshot, then, cut_ms, seed=seed)
        inside = (known_ms[examples.position] > cut_ms) & (known_ms[examples.position] <= end_ms)
        held_out = examples.take(np.flatnonzero(inside))
        bad = len(np.unique(past.account[past.label == 1]))
        good = len(np.unique(past.account[past.label == 0]))
        if min(bad, good) >= MIN_OF_A_CLASS and len(np.unique(held_out.label)) == 2:
            found.append(_Block(number, cut_ms, end_ms, past, held_out))
    return found


class _HeldOut:
    """Trees of one shape, fitted on the past of each block, and their log loss in it.

    Args:
        blocks: The blocks.
        asked: ``int64[Q]`` positions of events, rising.
        columns: ``float32[Q, F]`` their inputs.
        shape: Of the trees.
        options: Seed, threads and model.
        spread: What runs the blocks.
        tell: The progress.
        note: For the progress.
    """

    def __init__(
        self,
        blocks: Sequence[_Block],
        asked: NDArray[np.int64],
        columns: NDArray[np.float32],
        shape: Shape,
        options: dict[str, Any],
        spread: Spread,
        tell: Tell,
        note: str,
    ) -> None:
        self.shape = shape
        self._margins: dict[int, list[NDArray[np.float64]]] = {}
        self.losses: dict[int, NDArray[np.float64]] = {}
        self.weight = np.array([float(block.held_out.weight.sum()) for block in blocks])
        shared = spread.share(columns)
        models = [
            HeldOutTrees(
                partial(
                    _inputs,
                    shared,
                    np.searchsorted(asked, block.past.position),
                    np.searchsorted(asked, block.held_out.position),
                ),
                block.past.label,
                block.past.weight,
                shape=shape,
                **options,
            )
            for block in blocks
        ]
        for rounds in ROUNDS:
            stage = f"{shape} trees at events{note}"
            pieces = [partial(model.upto, [rounds]) for model in models]
            found = [margin for (margin,) in spread.each(stage, pieces, tell)]
            self._margins[rounds] = found
            self.losses[rounds] = np.array(
                [_log_loss(block.held_out, margin) for block, margin in zip(blocks, found, strict=True)]
            )
            # The loss falls and then rises: more trees only overfit from here on.
            if rounds >= _ENOUGH_ROUNDS and self.loss(rounds) > self.least:
                break
        self.rounds = min(self.losses, key=self.loss)
        self.held = self._margins[self.rounds]

    def loss(self, rounds: int) -> float:
        """Of an event, over all blocks."""
        return float(self.losses[rounds] @ self.weight / self.weight.sum())

    @property
    def least(self) -> float:
        """The loss with the best number of trees."""
        return min(map(self.loss, self.losses))


def _inputs(
    columns: Shared[NDArray[np.float32]], past: NDArray[np.int64], held_out: NDArray[np.int64]
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """What a block's trees are fitted on, and what they are asked about."""
    values = columns.get()
    return values[past], values[held_out]


def _log_loss(held_out: EventExamples, margin: NDArray[np.float64]) -> float:
    signed = np.where(held_out.label == 1, -margin, margin)
    return float(np.average(np.logaddexp(0.0, signed), weights=held_out.weight))


def _worth_it(richer: _HeldOut, plain: _HeldOut) -> bool:
    """Whether more inputs lower the loss enough, in all and in more blocks than they raise it in."""
    lowered = plain.losses[plain.rounds] - richer.losses[richer.rounds]
    enough = plain.least - richer.least >= _LEAST_GAIN * plain.least
    return enough and bool((lowered > 0.0).sum() > (lowered < 0.0).sum())


def _lately_better(richer: _HeldOut, plain: _HeldOut) -> bool:
    """Whether more inputs lower the loss in the newest block, and in all where later ones weigh more."""
    lowered = plain.losses[plain.rounds] - richer.losses[richer.rounds]
    weight = plain.weight * _OLDER ** np.arange(len(lowered))[::-1]
    return bool(lowered[-1] > 0.0 and lowered @ weight > 0.0)


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
