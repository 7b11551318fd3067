"""What is handed to the journal and what it hands back."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import ClassVar

from graph_etl import Content
from scoring_service.errors import ServiceError


@dataclass(frozen=True, slots=True)
class Answered:
    """What was answered to an event, and what it was made from.

    Attributes:
        horizon: ``last_seq`` of the live graph when the event was scored.
        snapshot: Id of the snapshot.
        bundle: Version of the bundle; None if there was none.
        rings: Id of the rings run; None if there was none.
        moment: Moment that the score is for.
        score: Calibrated probability, 0 to 1; None if there was none.
        margin: The head's raw output, before calibration.
        features: The head's columns, ``float32`` little endian.
        answer: The JSON that was sent.
        shadow: JSON of what the shadow bundle made of it: ``bundle``, ``score``, ``margin``, ``decision``, or
            ``error``; None without a shadow.
    """

    horizon: int
    snapshot: str
    bundle: str | None
    rings: str | None
    moment: str
    score: float | None
    margin: float | None
    features: bytes | None
    answer: bytes
    shadow: bytes | None = None


@dataclass(frozen=True, slots=True)
class IdempotencyUse:
    """An Idempotency-Key that a request came with; kept in the transaction that keeps its entries.

    Attributes:
        key: The key.
        scope: Whose key it is: name of the API key, or ``local``.
        body_hash: Hash of the request's body; another body under the same key is a conflict.
        answer: What is to be answered to the same request again: bytes, or what makes them of what became of
            the request's entries; None: whoever asks makes it of the row itself.
        entries: How many entries the request has; the last of them carries this.
    """

    key: str
    scope: str
    body_hash: bytes
    answer: "bytes | Callable[[Sequence[Kept]], bytes] | None" = None
    entries: int = 1


@dataclass(frozen=True, slots=True)
class Entry:
    """Something to keep.

    Attributes:
        content: What the row says.
        answered: What was answered to an event; None if it was not scored.
        idempotency: The Idempotency-Key of its request.
    """

    content: Content
    answered: Answered | None = None
    idempotency: IdempotencyUse | None = None


@dataclass(frozen=True, slots=True)
class Kept:
    """What became of an entry.

    Attributes:
        seq: Position of its row, of the row that it doubles, or 0 if nothing was kept.
        received_ms: When that row became known.
        duplicate_of: ``seq`` of the row with the same event type and id, or of the same request; else None.
        is_conflict: Nothing was kept: the Idempotency-Key was used with another body.
    """

    seq: int
    received_ms: int
    duplicate_of: int | None = None
    is_conflict: bool = False


@dataclass(frozen=True, slots=True)
class Remembered:
    """What an Idempotency-Key was used for.

    Attributes:
        seq: Row of the request's last entry; None if it kept none.
        answer: What was answered; None: it is to be made of the row.
    """

    seq: int | None
    answer: bytes | None


class IdempotencyConflict(ServiceError):
    """An Idempotency-Key that was used for another request."""

    status: ClassVar[int] = 409
    code: ClassVar[str] = "idempotency_conflict"
    title: ClassVar[str] = "The Idempotency-Key was used with another body"
    example: ClassVar[str] = (
        "this Idempotency-Key was used with another body in the last 24 hours. "
        "Use a new key for a new request."
    )

    def __init__(self) -> None:
        """Say what to do; the key may be somebody's secret and is left out."""
        super().__init__(
            "this Idempotency-Key was used with another body in the last 24 hours. "
            "Use a new key for a new request."
        )
