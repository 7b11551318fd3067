"""What can go wrong with rings."""

from graph_etl.errors import RingwatchError


class RingsError(RingwatchError):
    """A rings run cannot be made or read."""


class RingUnknown(RingsError):
    """A run does not hold the ring asked for."""

    def __init__(self, ring: str, run: str) -> None:
        """Name the ring and the run."""
        super().__init__(f"rings run {run} holds no ring '{ring}'; `ringwatch rings` lists those that it has")
