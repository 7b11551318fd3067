"""What the journal says, in the graph's terms: keys are hashed already, nothing raw.

The journal itself is kept elsewhere; the build, the live graph and a replay read it through
:class:`JournalReader`. Each row has one position, ``seq``: 1, 2, 3 and so on without gaps.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol

import orjson

from graph_etl.errors import RingwatchError

if TYPE_CHECKING:
    from collections.abc import Callable


class JournalRowError(RingwatchError):
    """A row of the journal cannot be written or read."""


@dataclass(frozen=True, slots=True)
class LiveEvent:
    """Something that happened, as a request told it.

    Attributes:
        event_type: Its type.
        account: Key of the account whose event it is.
        time_ms: When it happened; ``NO_TIME`` where the graph is untimed.
        event_id: The platform's id of it, if it has one.
        identifiers: Kind and key of each identifier and of what is derived from it, each once.
        interactions: Type, kind and key of the counterpart, and value.
        attributes: What was told of the account.
    """

    event_type: str
    account: str
    time_ms: int
    event_id: str | None = None
    identifiers: tuple[tuple[str, str], ...] = ()
    interactions: tuple[tuple[str, str, str, float], ...] = ()
    attributes: Mapping[str, float | str | bool] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class LiveVerdict:
    """What a person or a system said of an account.

    Attributes:
        account: Key of the account.
        label: 1 bad, 0 good, None: the last live verdict on it is undone.
        known_ms: From when on it was known.
        source: ``analyst``, ``system``, ``appeal``, ``rule`` or ``partner``.
        abuse_type: What it did, if bad.
        reason: Why, in words.
    """

    account: str
    label: int | None
    known_ms: int
    source: str
    abuse_type: str | None = None
    reason: str | None = None


@dataclass(frozen=True, slots=True)
class LiveCut:
    """Two accounts are not linked, somebody said.

    Attributes:
        account: Key of one account.
        other: Key of the other.
        until_ms: When that ends; None: for good.
        undone: Whether an earlier cut of the two is undone.
        reason: Why, in words.
    """

    account: str
    other: str
    until_ms: int | None
    undone: bool = False
    reason: str | None = None


@dataclass(frozen=True, slots=True)
class LiveSwitch:
    """What answers were made from, from here on.

    Attributes:
        snapshot: Id of the snapshot.
        bundle: Version of the bundle, if there is one.
        rings: Id of the rings run, if there is one.
    """

    snapshot: str
    bundle: str | None
    rings: str | None


@dataclass(frozen=True, slots=True)
class LiveErasure:
    """A row that was erased, or the order to forget an account.

    Attributes:
        account: Key of the account, or the salted tombstone that is left of it.
    """

    account: str


Content = LiveEvent | LiveVerdict | LiveCut | LiveSwitch | LiveErasure
"""What one row of the journal can say."""


@dataclass(frozen=True, slots=True)
class JournalRow:
    """One row of the journal.

    Attributes:
        seq: Its position, from 1 on without gaps.
        received_ms: When it became known; never falls from row to row.
        content: What it says.
    """

    seq: int
    received_ms: int
    content: Content


class JournalReader(Protocol):
    """Reads a journal in order, wherever it is kept."""

    def rows(self, after_seq: int = 0, limit: int | None = None) -> Iterator[JournalRow]:
        """Rows in order of ``seq``.

        Args:
            after_seq: Only rows with a ``seq`` above it.
            limit: At most so many; all if None.

        Returns:
            The rows.
        """
        ...

    def last_seq(self) -> int:
        """``seq`` of the last row; 0 if there is none."""
        ...


_KINDS: dict[type[Any], str] = {
    LiveEvent: "event",
    LiveVerdict: "verdict",
    LiveCut: "cut",
    LiveSwitch: "switch",
    LiveErasure: "erasure",
}
_UNREADABLE = (orjson.JSONDecodeError, AttributeError, KeyError, TypeError, ValueError)


def kind_of(content: Content) -> str:
    """The kind of a row.

    Args:
        content: What the row says.

    Returns:
        ``event``, ``verdict``, ``cut``, ``switch`` or ``erasure``.
    """
    return _KINDS[type(content)]


def encode(content: Content) -> bytes:
    """Write what a row says as canonical JSON: equal contents give equal bytes.

    Args:
        content: What the row says.

    Returns:
        JSON with sorted keys; what is left at its default is left out.

    Raises:
        JournalRowError: If a value is no finite number or JSON cannot hold it.
    """
    words = _event_words(content) if isinstance(content, LiveEvent) else _plain_words(content)
    try:
        return orjson.dumps(words, option=orjson.OPT_SORT_KEYS)
    except TypeError as error:
        message = f"journal: a row of kind {kind_of(content)} cannot be kept: {error}"
        raise JournalRowError(message) from None


def decode(kind: str, payload: bytes) -> Content:
    """Read what :func:`encode` wrote.

    Args:
        kind: Kind of the row.
        payload: What it says.

    Returns:
        The content.

    Raises:
        JournalRowError: If the row is of no known kind or damaged.
    """
    read = _READERS.get(kind)
    if read is None:
        message = f"journal: rows of kind '{kind}' are unknown; this version knows {', '.join(_READERS)}"
        raise JournalRowError(message)
    try:
        return read(orjson.loads(payload))
    except _UNREADABLE as error:
        message = f"journal: a row of kind {kind} is damaged ({error}); restore the journal from its backup"
        raise JournalRowError(message) from None


def _event_words(event: LiveEvent) -> dict[str, Any]:
    words: dict[str, Any] = {"type": event.event_type, "account": event.account, "time_ms": event.time_ms}
    if event.event_id is not None:
        words["event_id"] = event.event_id
    if event.identifiers:
        words["identifiers"] = event.identifiers
    if event.interactions:
        # JSON has no word for these, and null would come back as something else.
        if not all(math.isfinite(value) for *_, value in event.interactions):
            _refuse_number("an interaction's value")
        words["interactions"] = event.interactions
    if event.attributes:
        for name, value in event.attributes.items():
            if isinstance(value, float) and not math.isfinite(value):
                _refuse_number(f"attribute '{name}'")
        words["attributes"] = dict(event.attributes)
    return words


def _refuse_number(what: str) -> None:
    message = f"journal: {what} is no finite number; leave it out"
    raise JournalRowError(message)


def _plain_words(content: LiveVerdict | LiveCut | LiveSwitch | LiveErasure) -> dict[str, Any]:
    words = {name: getattr(content, name) for name in content.__slots__}
    # What may be absent is absent: None and an undone that is not.
    return {name: value for name, value in words.items() if value is not None and value is not False}


def _event(words: dict[str, Any]) -> LiveEvent:
    return LiveEvent(
        event_type=words["type"],
        account=words["account"],
        time_ms=words["time_ms"],
        event_id=words.get("event_id"),
        identifiers=tuple((kind, key) for kind, key in words.get("identifiers", ())),
        interactions=tuple(
            (type_, kind, key, float(value)) for type_, kind, key, value in words.get("interactions", ())
        ),
        attributes=words.get("attributes", {}),
    )


def _verdict(words: dict[str, Any]) -> LiveVerdict:
    return LiveVerdict(
        account=words["account"],
        label=words.get("label"),
        known_ms=words["known_ms"],
        source=words["source"],
        abuse_type=words.get("abuse_type"),
        reason=words.get("reason"),
    )


def _cut(words: dict[str, Any]) -> LiveCut:
    return LiveCut(
        account=words["account"],
        other=words["other"],
        until_ms=words.get("until_ms"),
        undone=words.get("undone", False),
        reason=words.get("reason"),
    )


def _switch(words: dict[str, Any]) -> LiveSwitch:
    return LiveSwitch(words["snapshot"], words.get("bundle"), words.get("rings"))


def _erasure(words: dict[str, Any]) -> LiveErasure:
    return LiveErasure(words["account"])


_READERS: dict[str, Callable[[dict[str, Any]], Content]] = {
    "event": _event,
    "verdict": _verdict,
    "cut": _cut,
    "switch": _switch,
    "erasure": _erasure,
}
