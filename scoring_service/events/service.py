"""Keeps events without scoring them; one that cannot be read does not lose the others."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any

import orjson
from pydantic import ValidationError

from graph_etl import LiveEvent
from scoring_service.errors import InvalidRequest, ServiceError, problems_of
from scoring_service.events.schemas import MAX_EVENTS
from scoring_service.journal import Entry, IdempotencyUse, Kept
from scoring_service.live import LiveState, NotAccepted
from scoring_service.loading import Problem
from scoring_service.risk.schemas import RiskRequest, RiskWarning

# Committed together; between two such groups the loop answers others.
_TOGETHER = 200


@dataclass(slots=True)
class _Item:
    """One event of a request."""

    event_id: str | None = None
    event: LiveEvent | None = None
    seq: int | None = None
    duplicate: bool = False
    warnings: list[RiskWarning] = field(default_factory=list)
    error: ServiceError | None = None

    def as_answer(self) -> dict[str, Any]:
        """Return it as it is sent."""
        error = None
        if self.error is not None:
            error = {"code": self.error.code, "message": self.error.message, "detail": self.error.detail}
        return {
            "event_id": self.event_id,
            "accepted": self.seq is not None,
            "event_seq": self.seq,
            "duplicate": self.duplicate,
            "warnings": [warning.model_dump() for warning in self.warnings],
            "error": error,
        }


def events_of(document: Any) -> tuple[list[Any], bool]:
    """Find the events in a body.

    Args:
        document: One event, or an object with `events` alone.

    Returns:
        The events, unread, and whether they came as a batch.

    Raises:
        InvalidRequest: If it is neither, or a batch without events or with too many.
    """
    if not isinstance(document, dict):
        raise InvalidRequest([{"field": "body", "problem": "must be an event, or an object with `events`"}])
    if "events" not in document:
        return [document], False
    events, others = document["events"], sorted(set(document) - {"events"})
    if others:
        raise InvalidRequest([{"field": others[0][:64], "problem": "Extra inputs are not permitted"}])
    if not isinstance(events, list) or not 1 <= len(events) <= MAX_EVENTS:
        raise InvalidRequest([{"field": "events", "problem": f"must be a list of 1 to {MAX_EVENTS} events"}])
    return events, True


async def keep_events(
    state: LiveState, events: Sequence[Any], *, is_batch: bool, use: IdempotencyUse | None
) -> bytes:
    """Keep events.

    Args:
        state: The state of the process.
        events: Each as it was sent.
        is_batch: Whether one that cannot be read is an entry of the answer, instead of the answer.
        use: The use of an `Idempotency-Key` to keep with the last one.

    Returns:
        What became of each, in the order sent, as JSON.

    Raises:
        ServiceError: If it is no batch and the event cannot be read.
    """
    items = [_read(state, event) for event in events]
    if not is_batch and items[0].error is not None:
        raise items[0].error
    readable = [item for item in items if item.event is not None]
    # A key stands for the request as a whole, so that is kept as a whole.
    together = len(readable) if use is not None else _TOGETHER
    for start in range(0, len(readable), max(1, together)):
        group = readable[start : start + together]
        entries = [Entry(item.event) for item in group if item.event is not None]
        if use is not None:
            answer = partial(_answer_of, items)
            entries[-1] = replace(entries[-1], idempotency=replace(use, answer=answer, entries=len(entries)))
        try:
            _note(group, await state.keep_all(entries))
        except NotAccepted as refusal:
            _note_refusal(group, refusal.problem)
    return _as_json(items)


def _answer_of(items: Sequence[_Item], kept: Sequence[Kept]) -> bytes:
    """The answer to a request whose readable events became `kept`; asked for before they are known to be."""
    _note([item for item in items if item.event is not None], kept)
    return _as_json(items)


def _as_json(items: Sequence[_Item]) -> bytes:
    accepted = sum(item.seq is not None for item in items)
    return orjson.dumps({"results": [item.as_answer() for item in items], "accepted": accepted})


def _note(items: Sequence[_Item], kept: Sequence[Kept]) -> None:
    for item, one in zip(items, kept, strict=True):
        item.seq = one.seq
        item.duplicate = one.duplicate_of is not None


def _note_refusal(items: Sequence[_Item], problem: Problem) -> None:
    message = f"the event was not kept: {problem.message}"
    warning = RiskWarning(code="not_accepted", message=message, detail={"reason": problem.reason})
    for item in items:
        # The answer may have been made already, of a commit that failed in the end.
        item.seq, item.duplicate = None, False
        item.warnings.append(warning)


def _read(state: LiveState, event: Any) -> _Item:
    item = _Item()
    try:
        request = RiskRequest.model_validate(event)
        item.event_id = request.event_id
        item.event, _, item.warnings = state.risk.read(state.loaded, request)
    except ValidationError as error:
        item.error = InvalidRequest(problems_of(error.errors(include_url=False, include_input=False)))
    except ServiceError as error:
        item.error = error
    return item
