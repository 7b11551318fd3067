"""How long work tells what is done: a step in words, how much of it, of how much."""

from collections.abc import Callable

Progress = Callable[[str, int, int], None]


def silent(step: str, done: int, total: int) -> None:
    """Progress that nobody follows.

    Args:
        step: What is done.
        done: How much of it.
        total: Of how much.
    """
    del step, done, total
