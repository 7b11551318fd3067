"""Errors of the room that more than one module raises."""

from __future__ import annotations

from graph_etl.errors import RingwatchError


class BundleError(RingwatchError):
    """A folder does not hold a bundle that this version can use."""


class NoGpu(RingwatchError):
    """A GPU was asked for, and PyTorch sees none."""

    def __init__(self) -> None:
        super().__init__(
            "no GPU here: PyTorch sees none; check the driver and that PyTorch was built for it,"
            " or leave out --gpu"
        )
