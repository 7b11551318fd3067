"""Where the independent pieces of a training run: one after another here, or wherever a caller spreads them.

Training hands over pieces that need nothing from each other: columns of some accounts, trees of one fold,
GraphSAGE on some labels. What runs them decides where, never what: a piece gives the same bits everywhere.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import NDArray

    from gnn.sage_kernel import Sage
    from gnn.sage_problem import SageProblem

T = TypeVar("T")
T_co = TypeVar("T_co", covariant=True)


class Shared(Protocol[T_co]):
    """A value that many pieces read, handed over once."""

    def get(self) -> T_co:
        """The value, read-only."""
        ...


class Spread(Protocol):
    """Runs independent pieces."""

    def share(self, value: T) -> Shared[T]:
        """Hand a value over that many pieces read.

        Args:
            value: A snapshot, or what can be pickled.

        Returns:
            Its handle; pieces carry that.
        """
        ...

    def parts(self, n: int) -> list[NDArray[np.int64]]:
        """Cut the numbers from 0 to ``n - 1`` into runs that pieces of work are made of.

        Args:
            n: How many there are.

        Returns:
            At least one run.
        """
        ...

    def each(
        self,
        stage: str,
        pieces: Sequence[Callable[[], T]],
        tell: Callable[[str, int, int], None],
    ) -> list[T]:
        """Run pieces.

        Args:
            stage: What they are, in words, for the progress. A training names its stages in the same order
                each time, so that what was done of one can be found again.
            pieces: Picklable, each deterministic and in need of nothing that another one does.
            tell: Called with the stage, pieces done and pieces in all.

        Returns:
            What each of them gave, in order.
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


@dataclass(frozen=True, slots=True)
class _Held:
    value: Any

    def get(self) -> Any:
        return self.value


class Here:
    """Everything in this process, one piece after another; pieces may keep what they have done so far.

    Args:
        sage_options: How GraphSAGE is fitted, see `gnn.sage_fit.fit_sage`.
    """

    def __init__(self, **sage_options: Any) -> None:
        self._sage_options = sage_options

    def share(self, value: T) -> Shared[T]:
        """See `Spread`."""
        return _Held(value)

    def parts(self, n: int) -> list[NDArray[np.int64]]:
        """See `Spread`: all at once."""
        return [np.arange(n, dtype=np.int64)]

    def each(
        self,
        stage: str,
        pieces: Sequence[Callable[[], T]],
        tell: Callable[[str, int, int], None],
    ) -> list[T]:
        """See `Spread`."""
        found: list[T] = []
        for number, piece in enumerate(pieces):
            tell(stage, number, len(pieces))
            found.append(piece())
        tell(stage, len(pieces), len(pieces))
        return found

    def fit_sage(self, stage: str, problem: SageProblem, tell: Callable[[str, int, int], None]) -> Sage:
        """See `Spread`."""
        tell(stage, 0, 1)
        model = problem.fit(**self._sage_options)
        tell(stage, 1, 1)
        return model
