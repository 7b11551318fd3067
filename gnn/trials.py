"""How well other choices would do: held-out trees at the main moment, more of them each time it is asked."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from gnn.budget import Budget
from gnn.bundle import main_moment
from gnn.held_out import HeldOut
from gnn.inputs import places_of
from gnn.spread import Here, Spread
from gnn.train import moments_of, prepare
from gnn.trees import ROUNDS, SHAPES
from graph_etl.progress import silent

if TYPE_CHECKING:
    from collections.abc import Iterator

    from gnn.choices import Choices
    from gnn.stages import Moment, Run
    from graph_etl import Snapshot
    from graph_etl.progress import Progress


@dataclass(frozen=True, slots=True)
class Trials:
    """What all trials on a snapshot share: columns, folds, labels. Without the snapshot itself it pickles.

    Attributes:
        run: As of `gnn.train`, with nothing left out.
        moment: The main moment, all of its columns.
    """

    run: Run
    moment: Moment

    @classmethod
    def of(
        cls,
        snapshot: Snapshot,
        *,
        seed: int = 0,
        spread: Spread | None = None,
        progress: Progress | None = None,
    ) -> Trials:
        """Compute what they share.

        Args:
            snapshot: The snapshot.
            seed: Of everything random.
            spread: What computes the columns.
            progress: See `gnn.train`.

        Returns:
            It.
        """
        run = prepare(snapshot, seed=seed, spread=spread, progress=progress)
        name = main_moment(snapshot.manifest["moments"])
        (moment,) = moments_of(run, [name])
        return cls(replace(run, tell=silent, spread=Here()), moment)

    def __reduce__(self) -> tuple[Any, ...]:
        return _there, (replace(self.run, snapshot=None), self.moment)  # type: ignore[arg-type]

    @property
    def judged(self) -> bool:
        """Whether there are folds to judge by."""
        return bool(self.run.folds)

    def precision(self, choices: Choices) -> Iterator[tuple[int, float]]:
        """Average precision on held-out accounts, with more and more trees.

        Args:
            choices: Which trees, on which inputs.

        Yields:
            Number of trees, and the average precision with as many.
        """
        run = replace(self.run, model=choices.model, budget=Budget(None))
        moment = replace(self.moment, columns=self.moment.columns.copy())
        moment.columns[:, places_of(run.snapshot, choices.without)] = np.nan
        trees = HeldOut(run, moment, SHAPES[0])
        for rounds in ROUNDS:
            trees.upto(rounds)
            yield rounds, trees.precision(trees.table[rounds])


def _there(run: Run, moment: Moment) -> Trials:
    """Where it is read, with the snapshot of that place."""
    return Trials(replace(run, snapshot=run.shared.get()), moment)
