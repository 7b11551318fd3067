"""Times the parts of a call where they stand: the real functions run, each behind a clock."""

from __future__ import annotations

import time
from collections import defaultdict
from contextlib import contextmanager
from functools import wraps
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator


class Stopwatch:
    """Adds up how long each part took in each call, without what other parts took inside it.

    Attributes:
        calls: For each call the seconds of each part that it went through.
    """

    def __init__(self) -> None:
        self.calls: list[dict[str, float]] = []
        self._inside: list[float] = []

    def clocked(self, part: str, work: Callable[..., Any]) -> Callable[..., Any]:
        """Return a function that does the same and is timed as `part`."""

        @wraps(work)
        def timed(*args: Any, **named: Any) -> Any:
            self._inside.append(0.0)
            started = time.perf_counter()
            try:
                return work(*args, **named)
            finally:
                took = time.perf_counter() - started
                inner = self._inside.pop()
                if self.calls:
                    self.calls[-1][part] += took - inner
                if self._inside:
                    self._inside[-1] += took

        return timed

    @contextmanager
    def over(self, places: dict[str, list[tuple[Any, str]]]) -> Iterator[None]:
        """Time functions where they are looked up, while the block lasts.

        Args:
            places: For each part the modules or classes and the names in them.
        """
        plain = [(owner, name, vars(owner)[name]) for found in places.values() for owner, name in found]
        for part, found in places.items():
            for owner, name in found:
                setattr(owner, name, self.clocked(part, vars(owner)[name]))
        try:
            yield
        finally:
            for owner, name, work in plain:
                setattr(owner, name, work)

    def begin(self) -> None:
        """Begin another call."""
        self.calls.append(defaultdict(float))
