"""Pieces of one long piece of work as Ray tasks; each is kept when it is done."""

from __future__ import annotations

import operator
from collections import Counter
from contextlib import closing
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np

from ray_jobs.kept import MISSING, Kept, name_of
from ray_jobs.spreading import spread

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from graph_etl.progress import Progress

T = TypeVar("T")


class Pieces:
    """Runs pieces; those that an earlier run of the same work has kept are not run again.

    Args:
        ray: The module, connected.
        kept: What was finished before, and what will be.
        n_threads: Threads of one piece.
        function: What a task calls with what `_call` gives.
    """

    def __init__(
        self, ray: Any, kept: Kept, n_threads: int, function: Callable[..., Any] = operator.call
    ) -> None:
        self.ray = ray
        self.kept = kept
        self.cpus = min(n_threads, _largest_node(ray))
        self._function = function
        self._stages: Counter[str] = Counter()

    def each(self, stage: str, pieces: Sequence[Callable[[], T]], tell: Progress) -> list[T]:
        """See `gnn.spread.Spread` and `rings.spread.Spread`."""
        turn = self.turn(stage)
        names = [name_of(stage, turn, number) for number in range(len(pieces))]
        found = {number: self.kept.read(name) for number, name in enumerate(names)}
        missing = [number for number, value in found.items() if value is MISSING]
        tell(stage, len(pieces) - len(missing), len(pieces))
        calls = (self._call(pieces[number]) for number in missing)
        # What is in flight ends with the one who listens, also where an error's traceback holds on to it.
        with closing(spread(self.ray, self._function, calls, cpus=self.cpus)) as done:
            for count, (at, value) in enumerate(done, start=len(pieces) - len(missing) + 1):
                number = missing[at]
                self.kept.keep(names[number], value)
                found[number] = value
                tell(stage, count, len(pieces))
        return [self._given(found[number]) for number in range(len(pieces))]

    def turn(self, stage: str) -> int:
        """How often a stage of this name was begun before.

        Args:
            stage: Its name.

        Returns:
            The number; it grows by one.
        """
        self._stages[stage] += 1
        return self._stages[stage] - 1

    def _call(self, piece: Callable[[], Any]) -> tuple[Any, ...]:
        """What a task is given."""
        return (piece,)

    def _given(self, value: Any) -> Any:
        """What a task gave; an array in memory of its own: out of the object store it can only be read."""
        return value.copy() if isinstance(value, np.ndarray) else value


def _largest_node(ray: Any) -> int:
    """Processors of the largest node: a piece that asks for more would wait for ever."""
    return max([1, *(int(node["Resources"].get("CPU", 0)) for node in ray.nodes() if node["Alive"])])
