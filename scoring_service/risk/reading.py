"""Reads a request: times to milliseconds, raw identifiers to keys, and a warning for all that is left out."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from graph_etl import Snapshot
from scoring_service.errors import TimestampBefore1970, TimestampInFuture, TimestampInvalid
from scoring_service.risk.schemas import RiskRequest, RiskWarning

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
# Milliseconds of 3 March 1973. A smaller number is far likelier seconds than a time in the first years of Unix.
SMALLEST_MS = 100_000_000_000
SHOWN_NAMES = 10


@dataclass(frozen=True, slots=True)
class EventTime:
    """When an event happened.

    Attributes:
        ms: Unix milliseconds.
        warnings: What was assumed.
    """

    ms: int
    warnings: tuple[RiskWarning, ...] = ()


@dataclass(slots=True)
class Reading:
    """A request in the graph's terms.

    Attributes:
        account_id: The account's id as the graph stores it.
        identifiers: Kind and key, derived kinds included.
        interactions: Type, counterpart's kind, key and amount.
        attributes: Values by the names that the graph has.
        warnings: What was assumed, left out or could not be read.
    """

    account_id: str
    identifiers: list[tuple[str, str]] = field(default_factory=list)
    interactions: list[tuple[str, str, str, float]] = field(default_factory=list)
    attributes: dict[str, Any] = field(default_factory=dict)
    warnings: list[RiskWarning] = field(default_factory=list)

    def warn(self, code: str, message: str, detail: Any = None) -> None:
        """Add a warning."""
        self.warnings.append(RiskWarning(code=code, message=message, detail=detail))


def iso(time_ms: int) -> str:
    """Return Unix milliseconds as ISO 8601 in UTC, without a fraction where there is none."""
    moment = EPOCH + timedelta(milliseconds=time_ms)
    text = moment.isoformat(timespec="milliseconds" if time_ms % 1000 else "seconds")
    return text.replace("+00:00", "Z")


def read_time(value: str | float | None, *, now_ms: int, skew_ms: int) -> EventTime:
    """Read an event's time.

    Args:
        value: ISO 8601 text, Unix milliseconds, or None for now.
        now_ms: The server's clock.
        skew_ms: How far ahead of it a time may lie.

    Returns:
        The time and what was assumed to read it.

    Raises:
        TimestampInvalid: If it is no time.
        TimestampBefore1970: If it lies before Unix time begins.
        TimestampInFuture: If it lies ahead of the server's clock by more than the skew.
    """
    if value is None:
        message = "event_timestamp is missing; the server's time was used"
        return EventTime(now_ms, (RiskWarning(code="timestamp_missing", message=message),))
    warnings: tuple[RiskWarning, ...] = ()
    if isinstance(value, str):
        time_ms, is_naive = _parse_iso(value)
        if is_naive:
            message = "event_timestamp has no offset and was read as UTC"
            warnings = (RiskWarning(code="timestamp_without_offset", message=message),)
    else:
        time_ms = _from_number(value)
    if time_ms < 0:
        raise TimestampBefore1970(_shown(time_ms))
    if time_ms > now_ms + skew_ms:
        raise TimestampInFuture(_shown(time_ms), iso(now_ms), skew_ms / 1000)
    if time_ms > now_ms:
        message = "event_timestamp lies ahead of the server's clock, within the allowed skew"
        warnings += (RiskWarning(code="clock_skew", message=message, detail={"ahead_ms": time_ms - now_ms}),)
    return EventTime(time_ms, warnings)


def _parse_iso(text: str) -> tuple[int, bool]:
    try:
        moment = datetime.fromisoformat(text.strip())
        is_naive = moment.tzinfo is None
        aware = moment.replace(tzinfo=UTC) if is_naive else moment
        return (aware - EPOCH) // timedelta(milliseconds=1), is_naive
    except (ValueError, OverflowError):
        raise TimestampInvalid(repr(text[:64])) from None


def _from_number(number: float) -> int:
    if 0 <= number < SMALLEST_MS:
        problem = f"the number {number:.0f}, which looks like seconds"
        raise TimestampInvalid(problem)
    if number >= 1e15:
        problem = f"the number {number:.0f}, which lies beyond the year 33000"
        raise TimestampInvalid(problem)
    return int(number)


def _shown(time_ms: int) -> str:
    try:
        return iso(time_ms)
    except OverflowError:
        return f"{time_ms} ms"


def span_warnings(snapshot: Snapshot, start_ms: int | None, end_ms: int | None, time_ms: int) -> list[RiskWarning]:
    """Compare an event's time with the times that the graph covers.

    Args:
        snapshot: The snapshot.
        start_ms: Its first event; None where nothing is timed.
        end_ms: Its last event; None where nothing is timed.
        time_ms: The event's time.

    Returns:
        A warning if the event lies before everything the graph knows, so that nothing of it counts.
    """
    if start_ms is None or end_ms is None or time_ms >= start_ms:
        return []
    message = (
        f"event_timestamp lies before the first event that the graph knows ({iso(start_ms)}); "
        "nothing in the graph counts for it"
    )
    return [RiskWarning(code="event_before_graph", message=message, detail={"graph_start": iso(start_ms)})]


def shown_names(names: Sequence[str]) -> list[str]:
    """Return at most ten names, cut to 64 characters each."""
    return [name[:64] for name in names[:SHOWN_NAMES]]


def given_attributes(request: RiskRequest) -> Mapping[str, Any]:
    """Return the account's attributes, those under `attributes` before those beside the id."""
    return {**(request.account.__pydantic_extra__ or {}), **request.account.attributes}
