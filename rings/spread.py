"""Where independent pieces of work run: one after another, in threads, or wherever a caller spreads them.

What runs a piece decides where, never what: it gives the same bits everywhere.
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

from numba import get_num_threads

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

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
            value: A snapshot, what can be pickled, or what can be but for a snapshot in it.

        Returns:
            Its handle; pieces carry that.
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
            stage: What they are, in words, for the progress. One piece of work names its stages in the same
                order each time, so that what was done of one can be found again.
            pieces: Picklable, each deterministic and in need of nothing that another one does.
            tell: Called with the stage, pieces done and pieces in all.

        Returns:
            What each of them gave, in order.
        """
        ...


@dataclass(frozen=True, slots=True)
class Held:
    """A value that stays in this process.

    Attributes:
        value: The value.
    """

    value: Any

    def get(self) -> Any:
        """See `Shared`."""
        return self.value


class InTurn:
    """Everything in this process, one piece after the other; a piece takes the threads that it likes."""

    def share(self, value: T) -> Shared[T]:
        """See `Spread`."""
        return Held(value)

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


class Threads(InTurn):
    """Everything in this process, pieces of one thread side by side on as many as numba may use."""

    def each(
        self,
        stage: str,
        pieces: Sequence[Callable[[], T]],
        tell: Callable[[str, int, int], None],
    ) -> list[T]:
        """See `Spread`."""
        tell(stage, 0, len(pieces))
        with ThreadPoolExecutor(get_num_threads()) as threads:
            return list(threads.map(lambda piece: piece(), pieces))
