"""Logs of the service process: an event name plus fields, a request id in each, never a raw identifier."""

import logging
import sys
import traceback
from typing import Literal

import structlog


def places(error: BaseException) -> list[str]:
    """Tell where an error came from, without values: a value in a traceback may be an identifier.

    Args:
        error: The error.

    Returns:
        File and line of the last six frames.
    """
    return [f"{frame.filename}:{frame.lineno}" for frame in traceback.extract_tb(error.__traceback__)][-6:]


def configure_logging(log_format: Literal["json", "text"], log_level: str) -> None:
    """Set structlog up for this process; only the process itself calls it, never a library.

    Args:
        log_format: `json` (one object a line) or `text`.
        log_level: Lowest level that is kept.
    """
    renderer: structlog.typing.Processor = (
        structlog.processors.JSONRenderer()
        if log_format == "json"
        else structlog.dev.ConsoleRenderer(colors=sys.stderr.isatty())
    )
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            renderer,
        ],
        wrapper_class=structlog.make_filtering_bound_logger(
            logging.getLevelNamesMapping()[log_level.upper()]
        ),
        logger_factory=structlog.PrintLoggerFactory(file=sys.stderr),
        cache_logger_on_first_use=True,
    )
