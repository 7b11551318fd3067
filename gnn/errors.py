"""Errors of the room that more than one module raises."""

from __future__ import annotations

from graph_etl.errors import RingwatchError


class BundleError(RingwatchError):
    """A folder does not hold a bundle that this version can use."""
