"""Errors."""


class RingwatchError(Exception):
    """Base."""
