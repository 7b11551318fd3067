"""Where the independent pieces of a training run: one after another here, or wherever a caller spreads them.

Training hands over pieces that need nothing from each other: columns of some accounts, trees of one fold,
GraphSAGE on some labels. What runs them decides where, never what: a piece gives the same bits everywhere.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

import rings.spread
from rings.spread import InTurn

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from gnn.sage_kernel import Sage
    from gnn.sage_problem import SageProblem


class Spread(rings.spread.Spread, Protocol):
    """Runs independent pieces, cuts accounts into runs of them, and fits GraphSAGE."""

    def parts(self, n: int) -> list[NDArray[np.int64]]:
        """Cut the numbers from 0 to ``n - 1`` into runs that pieces of work are made of.

        Args:
            n: How many there are.

        Returns:
            At least one run.
        """
        ...

    def fit_sage(self, stage: str, problem: SageProblem, tell: Callable[[str, int, int], None]) -> Sage:
        """Fit GraphSAGE.

        Args:
            stage: As of `each`.
            problem: On what.
            tell: As of `each`, in batches.

        Returns:
            The model.
        """
        ...


class Here(InTurn):
    """Everything in this process, one piece after another; pieces may keep what they have done so far.

    Args:
        sage_options: How GraphSAGE is fitted, see `gnn.sage_fit.fit_sage`.
    """

    def __init__(self, **sage_options: Any) -> None:
        self._sage_options = sage_options

    def parts(self, n: int) -> list[NDArray[np.int64]]:
        """See `Spread`: all at once."""
        return [np.arange(n, dtype=np.int64)]

    def fit_sage(self, stage: str, problem: SageProblem, tell: Callable[[str, int, int], None]) -> Sage:
        """See `Spread`."""
        tell(stage, 0, 1)
        model = problem.fit(**self._sage_options)
        tell(stage, 1, 1)
        return model
