"""Reads a request: times to milliseconds, raw identifiers to keys, and a warning for all that is left out."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from graph_etl import AttributeInfo, LiveEvent, Snapshot
from graph_etl.errors import IdentifierError
from graph_etl.identifiers import Hasher, account_key, keys_of
from graph_etl.spec import ACCOUNT, Spec
from scoring_service.errors import TimestampBefore1970, TimestampInFuture, TimestampInvalid
from scoring_service.risk.schemas import RiskRequest, RiskWarning

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
# Milliseconds of 3 March 1973. A smaller number is likelier seconds than a time in the first Unix years.
SMALLEST_MS = 100_000_000_000
SHOWN_NAMES = 10
STALE_AFTER_MS = 86_400_000


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
        event_type: Its type.
        event_id: The sender's id of it.
        account_id: The account's id as the graph stores it.
        identifiers: Kind and key, derived kinds included.
        interactions: Type, counterpart's kind, key and amount.
        attributes: Values by the names that the graph has.
        warnings: What was assumed, left out or could not be read.
    """

    event_type: str
    event_id: str | None
    account_id: str
    identifiers: list[tuple[str, str]] = field(default_factory=list)
    interactions: list[tuple[str, str, str, float]] = field(default_factory=list)
    attributes: dict[str, Any] = field(default_factory=dict)
    warnings: list[RiskWarning] = field(default_factory=list)

    def event(self, time_ms: int) -> LiveEvent:
        """Return it as the live graph and the journal take it.

        Args:
            time_ms: When it happened; `NO_TIME` where the graph is untimed.

        Returns:
            The event.
        """
        return LiveEvent(
            self.event_type,
            self.account_id,
            time_ms,
            self.event_id,
            tuple(self.identifiers),
            tuple(self.interactions),
            self.attributes,
        )

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


def shown_names(names: Sequence[str]) -> list[str]:
    """Return at most ten names, cut to 64 characters each."""
    return [name[:64] for name in names[:SHOWN_NAMES]]


class RequestReader:
    """Reads requests in the terms of one snapshot.

    Args:
        snapshot: The snapshot.
        spec: The spec that it was built from.
        hasher: Hashes what is not public.
    """

    def __init__(self, snapshot: Snapshot, spec: Spec, hasher: Hasher) -> None:
        self._spec = spec
        self._hasher = hasher
        self._event_types = frozenset(snapshot.event_types)
        self._used = frozenset(
            relation.name.removeprefix("used:") for relation in snapshot.relations if relation.used
        )
        self._interactions = {relation.name: relation for relation in snapshot.relations if not relation.used}
        self._kinds = frozenset(kind.name for kind in snapshot.kinds)
        self._attributes = {attribute.name: attribute for attribute in snapshot.attributes}

    def account_key(self, account_id: str) -> str:
        """Return an account's id as the graph stores it."""
        return account_key(self._spec, account_id.strip(), self._hasher)

    def read(self, request: RiskRequest) -> Reading:
        """Read a request.

        Args:
            request: The request.

        Returns:
            What of it the graph understands, and a warning for each part that it does not.
        """
        reading = Reading(request.event_type, request.event_id, self.account_key(request.account.id))
        if request.event_type not in self._event_types:
            reading.warn(
                "unknown_event_type",
                "the graph holds no event of this type; the account was scored all the same",
                {"known": shown_names(sorted(self._event_types))},
            )
        self._read_identifiers(request, reading)
        self._read_interactions(request, reading)
        self._read_attributes(request, reading)
        return reading

    def _read_identifiers(self, request: RiskRequest, reading: Reading) -> None:
        unknown: list[str] = []
        unreadable: list[str] = []
        found: dict[tuple[str, str], None] = {}
        for kind, values in request.identifiers.items():
            if kind not in self._used or kind not in self._spec.kinds:
                if values:
                    unknown.append(kind)
                continue
            for value in values:
                keys = self._keys(kind, value)
                if keys is None:
                    unreadable.append(kind)
                else:
                    found |= dict.fromkeys(key for key in keys if key[0] in self._used)
        reading.identifiers.extend(found)
        if unknown:
            reading.warn(
                "unknown_identifier_kind",
                "the graph has no identifiers of these kinds; they were left out",
                {"kinds": shown_names(unknown), "known": shown_names(sorted(self._used))},
            )
        if unreadable:
            reading.warn(
                "unreadable_identifier",
                "identifiers that cannot be read as their kind were left out",
                {"kinds": shown_names(list(dict.fromkeys(unreadable)))},
            )

    def _keys(self, kind: str, value: str | float) -> list[tuple[str, str]] | None:
        """Kinds and keys of a raw value and of what follows from it; none if blank, None if unreadable."""
        text = value_text(value)
        if not text:
            return []
        try:
            return keys_of(self._spec, kind, text, self._hasher)
        except IdentifierError:
            return None

    def _read_interactions(self, request: RiskRequest, reading: Reading) -> None:
        unknown_types: list[str] = []
        unknown_kinds: list[str] = []
        unreadable: list[str] = []
        for interaction in request.interactions:
            relation = self._interactions.get(interaction.type)
            if relation is None:
                unknown_types.append(interaction.type)
                continue
            if interaction.kind not in self._kinds:
                unknown_kinds.append(interaction.kind)
                continue
            if interaction.kind == ACCOUNT:
                key: str | None = self.account_key(interaction.to)
            else:
                keys = self._keys(interaction.kind, interaction.to)
                key = keys[0][1] if keys else None
            if not key:
                unreadable.append(interaction.type)
                continue
            # Without an amount, an interaction counts as one; where amounts are summed, it adds nothing.
            absent = 0.0 if relation.value == "amount" else 1.0
            amount = absent if interaction.amount is None else interaction.amount
            reading.interactions.append((interaction.type, interaction.kind, key, amount))
        if unknown_types:
            reading.warn(
                "unknown_interaction_type",
                "the graph has no interactions of these types; they were left out",
                {
                    "types": shown_names(list(dict.fromkeys(unknown_types))),
                    "known": shown_names(sorted(self._interactions)),
                },
            )
        if unknown_kinds:
            reading.warn(
                "unknown_interaction_kind",
                "the graph has no counterparts of these kinds; their interactions were left out",
                {
                    "kinds": shown_names(list(dict.fromkeys(unknown_kinds))),
                    "known": shown_names(sorted(self._kinds)),
                },
            )
        if unreadable:
            reading.warn(
                "unreadable_interaction",
                "interactions whose counterpart cannot be read as its kind were left out",
                {"types": shown_names(list(dict.fromkeys(unreadable)))},
            )

    def _read_attributes(self, request: RiskRequest, reading: Reading) -> None:
        given = {**(request.account.__pydantic_extra__ or {}), **request.account.attributes}
        dropped: list[str] = []
        for name, value in request.properties.items():
            if name in self._attributes:
                given.setdefault(name, value)
            else:
                dropped.append(name)
        unknown: list[str] = []
        unreadable: list[str] = []
        for name, value in given.items():
            attribute = self._attributes.get(name)
            if attribute is None:
                unknown.append(name)
            elif value is not None and value != "":
                read = read_attribute(attribute, value)
                if read is None:
                    unreadable.append(name)
                else:
                    reading.attributes[name] = read
        if unknown:
            reading.warn(
                "unknown_attribute",
                "the graph has no such attributes; they were left out",
                {"attributes": shown_names(unknown), "known": shown_names(sorted(self._attributes))},
            )
        if unreadable:
            reading.warn(
                "unreadable_attribute",
                "attributes that cannot be read as their type, or hold a category new to the graph, "
                "were left out",
                {"attributes": shown_names(unreadable)},
            )
        if dropped:
            reading.warn(
                "dropped_properties",
                "properties that the spec does not name were dropped",
                {"properties": shown_names(dropped)},
            )


def span_warnings(time_ms: int, start_ms: int | None, end_ms: int) -> list[RiskWarning]:
    """Compare an event's time with the times that the graph covers.

    Args:
        time_ms: The event's time.
        start_ms: Time of the graph's first event; None where nothing is timed.
        end_ms: Time of its last one.

    Returns:
        A warning if the event lies before all that the graph knows, or long after it.
    """
    if start_ms is None:
        return []
    if time_ms < start_ms:
        start = iso(start_ms)
        message = (
            f"event_timestamp lies before the first event that the graph knows ({start}); "
            "nothing in the graph counts for it"
        )
        return [RiskWarning(code="event_before_graph", message=message, detail={"graph_start": start})]
    if time_ms > end_ms + STALE_AFTER_MS:
        end = iso(end_ms)
        message = f"the last event that the graph knows lies more than a day before this one ({end})"
        return [RiskWarning(code="graph_stale", message=message, detail={"graph_end": end})]
    return []


def time_range(snapshot: Snapshot) -> tuple[int | None, int | None]:
    """First and last time that a snapshot knows of, Unix milliseconds; None where nothing is timed."""
    span = snapshot.manifest.get("time_range_ms")
    if not snapshot.manifest.get("timed", True) or not span or span[0] is None or span[1] is None:
        return None, None
    return int(span[0]), int(span[1])


def value_text(value: str | float) -> str:
    """Return a raw value as the build reads it: no blanks around it, whole numbers without `.0`."""
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    return str(value).strip()


TRUE = frozenset({"1", "true", "yes", "t", "y"})
FALSE = frozenset({"0", "false", "no", "f", "n"})


def read_attribute(attribute: AttributeInfo, value: Any) -> Any:
    """Read one attribute.

    Args:
        attribute: Its name, type and categories.
        value: As sent.

    Returns:
        The value as the features take it, or None if it cannot be read.
    """
    if not isinstance(value, (str, int, float)):
        return None
    text = value_text(value) if not isinstance(value, bool) else str(value).lower()
    if attribute.type == "category":
        return text if text in attribute.categories else None
    if attribute.type == "flag":
        lowered = text.lower()
        return lowered in TRUE if lowered in TRUE | FALSE else None
    try:
        number = float(text) if not isinstance(value, bool) else float(value)
    except (ValueError, OverflowError):
        return None
    return number if math.isfinite(number) else None
