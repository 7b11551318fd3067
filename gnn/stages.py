"""What the stages of one training share: its accounts, its folds, what was learned at each moment."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from gnn.blend import Blend
from gnn.calibration import Calibration
from gnn.inputs import with_contacts
from gnn.sage_verdicts import NEVER
from gnn.trees import ROUNDS, SHAPES, Model, Shape

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Sequence

    from numpy.typing import NDArray

    from features import Queries
    from gnn.budget import Budget
    from gnn.sage_gain import Gain
    from gnn.spectral import Coordinates
    from gnn.spread import Spread
    from gnn.targets import Targets
    from gnn.validation import Fold
    from graph_etl import Snapshot
    from rings import Epoch
    from rings.spread import Shared


@dataclass(slots=True)
class Moment:
    """All accounts as they looked at one moment of their life, and what was learned about them there.

    Attributes:
        name: Of the moment.
        queries: One question for each account.
        columns: ``float32[A, F]`` of `gnn.inputs.inputs` for trees, NaN where a column proved to be no help.
        rows: ``float32[A, F]`` likewise with all columns, for GraphSAGE: it would miss them when scoring.
        reached: ``bool[A]``, accounts old enough to have been seen then.
        epochs: Whether what comes from epochs is an input.
        contact: Whether contact with known bad accounts is an input.
        of_events: Share of the head for events in what is said at this moment; see `gnn.signing_up`.
        rounds: Number of trees of each shape; the head is the mean of the shapes.
        trees: ``float64[A]`` held-out margins of the trees, NaN where never held out.
        sage: ``float64[A]`` likewise of GraphSAGE.
        gain: What GraphSAGE adds, as far as it was tried.
        told: Whether that GraphSAGE is told of verdicts on others.
        blend: How the two are mixed.
        calibration: From margin to score.
    """

    name: str
    queries: Queries
    columns: NDArray[np.float32]
    rows: NDArray[np.float32]
    reached: NDArray[np.bool_]
    epochs: bool = True
    contact: bool = False
    spectral: bool = False
    of_events: float = 0.0
    rounds: dict[Shape, int] = field(default_factory=lambda: {SHAPES[0]: ROUNDS[-1]})
    trees: NDArray[np.float64] = field(default_factory=lambda: np.zeros(0))
    sage: NDArray[np.float64] = field(default_factory=lambda: np.zeros(0))
    gain: Gain | None = None
    told: bool = False
    blend: Blend = field(default_factory=lambda: Blend(0.0))
    calibration: Calibration = field(default_factory=lambda: Calibration(1.0, 0.0))


@dataclass(frozen=True, slots=True)
class Columns:
    """Inputs of all accounts at one moment, as each fold may see them.

    Attributes:
        snapshot: The snapshot.
        queries: One question for each account.
        values: ``float32[A, F]`` without verdicts.
        contact: Whether contact with known bad accounts is an input.
        since: ``int64[A]``, from which position each account is known bad.
        until: ``int64[A]``, up to which.
    """

    snapshot: Shared[Snapshot]
    queries: Queries
    values: NDArray[np.float32]
    contact: bool
    since: NDArray[np.int64]
    until: NDArray[np.int64]

    def of(self, cut_ms: int | None, held_out: NDArray[np.int64]) -> NDArray[np.float32]:
        """Inputs of all accounts, verdicts of the held-out and those after the cut unknown."""
        if not self.contact:
            return self.values
        snapshot = self.snapshot.get()
        since = known_to(snapshot, self.since, cut_ms, held_out)
        return with_contacts(snapshot, self.queries, self.values, since, self.until)


def known_to(
    snapshot: Snapshot, since: NDArray[np.int64], cut_ms: int | None, held_out: NDArray[np.int64]
) -> NDArray[np.int64]:
    """Since when each account is known bad to a fold.

    Args:
        snapshot: The snapshot.
        since: ``int64[A]``, since when it is to everybody.
        cut_ms: Verdicts known later are not to be seen; None: no time.
        held_out: Accounts whose verdicts are not to be seen.

    Returns:
        ``int64[A]``, the largest number there is where a verdict is not to be seen.
    """
    seen = since.copy()
    if cut_ms is not None:
        seen[seen >= snapshot.horizon_at(cut_ms)] = NEVER
    seen[held_out] = NEVER
    return seen


@dataclass(frozen=True, slots=True)
class Run:
    """What all stages of one training share.

    Attributes:
        snapshot: What is learned from.
        seed: Of everything random.
        n_threads: Of trees and GraphSAGE.
        tell: Called with a stage, steps done and steps in all.
        since: ``int64[A]``, from which position each account is known bad.
        until: ``int64[A]``, up to which.
        folds: The folds.
        policy: How they came about: the snapshot's policy, or ``split`` for a given one.
        final: Labels to fit on in the end.
        judge: Labels to judge by, young accounts aside: with a given split those of its other parts too.
        chooses: ``bool[A]``, accounts whose labels may choose among models.
        reports: ``bool[A]``, accounts that the figures are told for.
        epochs: Communities and neighbourhoods at some horizons.
        model: Which trees.
        without: Families of inputs, and stages, that are left out.
        budget: The time that may be taken.
        spread: What runs the pieces of each stage.
        shared: The snapshot, for pieces.
        coordinates: Coordinates of accounts at the end of the snapshot, where there are any.
    """

    snapshot: Snapshot
    seed: int
    n_threads: int
    tell: Callable[[str, int, int], None]
    since: NDArray[np.int64]
    until: NDArray[np.int64]
    folds: Sequence[Fold]
    policy: str
    final: Targets
    judge: Targets
    chooses: NDArray[np.bool_]
    reports: NDArray[np.bool_]
    epochs: tuple[Epoch, ...]
    model: Model
    without: Collection[str]
    budget: Budget
    spread: Spread
    shared: Shared[Snapshot]
    coordinates: Coordinates | None = None

    def columns(self, moment: Moment) -> Columns:
        """Inputs of all accounts at a moment, verdicts where it wants them."""
        return Columns(self.shared, moment.queries, moment.columns, moment.contact, self.since, self.until)

    def choosing(self, moment: Moment, margin: NDArray[np.float64]) -> NDArray[np.int64]:
        """Accounts that reached the moment, have a held-out margin and may choose."""
        return np.flatnonzero(self._judged(moment, margin) & self.chooses)

    def reported(self, moment: Moment, margin: NDArray[np.float64]) -> NDArray[np.int64]:
        """Accounts that reached the moment, have a held-out margin and are told of."""
        return np.flatnonzero(self._judged(moment, margin) & self.reports)

    def _judged(self, moment: Moment, margin: NDArray[np.float64]) -> NDArray[np.bool_]:
        judged: NDArray[np.bool_] = (self.judge.label >= 0) & ~self.judge.young
        return judged & moment.reached & ~np.isnan(margin)
