"""A time budget for training: what the search may still try, and what was left out."""

from __future__ import annotations

import time
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

# A step is begun only if it would end in time even if it took so much longer than the one it is like.
_MARGIN: Final = 1.15


@dataclass(slots=True)
class Budget:
    """Time that a training may take; what it needs anyway (one model, its held-out margins) is never cut.

    Attributes:
        seconds: The time in all; None for as much as it takes, and then nothing is ever left out.
        clock: Seconds, always rising.
        left_out: What was not tried for lack of time, in the order in which it was asked for.
    """

    seconds: float | None = None
    clock: Callable[[], float] = time.monotonic
    left_out: list[str] = field(default_factory=list)
    _took: dict[str, float] = field(default_factory=dict)
    _start: float = field(init=False)

    def __post_init__(self) -> None:
        if self.seconds is not None and not self.seconds > 0:
            message = f"budget must be more than 0 seconds, got {self.seconds}; leave it out for no limit"
            raise ValueError(message)
        self._start = self.clock()

    @property
    def left_s(self) -> float:
        """Seconds left, at least 0."""
        if self.seconds is None:
            return float("inf")
        return max(0.0, self.seconds - (self.clock() - self._start))

    @contextmanager
    def step(self, name: str) -> Iterator[None]:
        """Time a step, so that later ones like it can be judged.

        Args:
            name: Its name.
        """
        began = self.clock()
        yield
        self._took[name] = self.clock() - began

    def allows(self, what: str, *, like: str, kept: tuple[str, ...] = ()) -> bool:
        """Whether there is time for an optional step; if not, it is noted as left out.

        Args:
            what: In words, for the report.
            like: The step whose time tells how long it will take; nothing is known of one never taken.
            kept: Steps like which time must be left for what comes after.

        Returns:
            Whether to take it.
        """
        needed = _MARGIN * sum(self._took.get(name, 0.0) for name in (like, *kept))
        if self.left_s > needed:
            return True
        self.left_out.append(what)
        return False
