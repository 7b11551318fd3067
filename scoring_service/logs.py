"""Logs of the service process: an event name plus fields, a request id in each, never a raw identifier."""

import logging
import sys
import traceback
from contextlib import suppress
from contextvars import ContextVar
from typing import Any, Literal, TextIO, cast

import structlog

request_id: ContextVar[str] = ContextVar("request_id", default="")
"""Id of the request that is being answered, put into each of its log lines."""


def _with_request_id(
    logger: Any, method: str, event: structlog.typing.EventDict
) -> structlog.typing.EventDict:
    if here := request_id.get():
        event["request_id"] = here
    return event


def places(error: BaseException) -> list[str]:
    """Tell where an error came from, without values: a value in a traceback may be an identifier.

    Args:
        error: The error.

    Returns:
        File and line of the last six frames.
    """
    return [f"{frame.filename}:{frame.lineno}" for frame in traceback.extract_tb(error.__traceback__)][-6:]


class _Patient:
    """A stream that swallows what it cannot write: a full disk must not fail the answer that is logged."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def write(self, text: str) -> None:
        """Write, or leave it."""
        with suppress(OSError, ValueError):
            self._stream.write(text)

    def flush(self) -> None:
        """Flush, or leave it."""
        with suppress(OSError, ValueError):
            self._stream.flush()


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
            _with_request_id,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            renderer,
        ],
        wrapper_class=structlog.make_filtering_bound_logger(
            logging.getLevelNamesMapping()[log_level.upper()]
        ),
        logger_factory=structlog.PrintLoggerFactory(file=cast(TextIO, _Patient(sys.stderr))),
        cache_logger_on_first_use=True,
    )
