"""The command line and the settings: a thin layer over the other rooms."""

__all__ = ["run"]

from ringwatch.cli import run
