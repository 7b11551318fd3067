"""Answers one event and keeps it: scored first, then in the journal, then visible, then answered."""

import asyncio
from typing import Any

import orjson

from scoring_service.journal import Entry, IdempotencyUse, JournalUnavailable
from scoring_service.live import LiveState, NotAccepted
from scoring_service.loading import Problem
from scoring_service.risk.schemas import RiskRequest
from scoring_service.risk.service import Assessed, degraded_by


def with_position(answer: bytes, seq: int) -> bytes:
    """Put into a recorded answer what only the journal could tell.

    The journal keeps an answer without `accepted` and `event_seq`, because its own position is not known
    before it is kept. What was sent is, byte for byte, what this makes of it.

    Args:
        answer: A JSON object, as recorded.
        seq: Its position.

    Returns:
        The JSON object that was sent.
    """
    return b'{"accepted":true,"event_seq":%d,' % seq + answer[1:]


async def answer_risk(
    state: LiveState,
    request: RiskRequest,
    *,
    with_reasons: bool,
    use: IdempotencyUse | None,
    with_counterfactuals: bool = False,
) -> tuple[bytes, Assessed]:
    """Score an event, keep it, and answer.

    Args:
        state: The state of the process.
        request: The event.
        with_reasons: Give reasons also where the decision is to allow.
        use: The use of an `Idempotency-Key` to keep with it.
        with_counterfactuals: Say of each reason what the score would be without its evidence.

    Returns:
        The answer as JSON, and what it was made from.

    Raises:
        TimestampInvalid: If the event's time cannot be, or one of its subclasses.
    """
    assessed = state.risk.assess(
        state.loaded, request, with_reasons=with_reasons, with_counterfactuals=with_counterfactuals
    )
    try:
        kept = await state.keep(Entry(assessed.event, assessed.answered, use))
        if kept.duplicate_of is None:
            return with_position(assessed.answered.answer, kept.seq), assessed
        return await _recorded(state, assessed, kept.duplicate_of), assessed
    except NotAccepted as refusal:
        return _not_kept(assessed.answer, refusal.problem), assessed


async def _recorded(state: LiveState, assessed: Assessed, seq: int) -> bytes:
    """Answer what was answered when the event came for the first time."""
    if state.journal is None:
        raise NotAccepted(Problem("journal_unavailable", "the journal is not open"))
    try:
        _, answered = await asyncio.to_thread(state.journal.recorded, seq)
    except JournalUnavailable as error:
        raise NotAccepted(Problem("journal_unavailable", str(error))) from None
    # Sent as context the first time, it has no answer yet: this one is made from a graph that holds it.
    then: dict[str, Any] = assessed.answer if answered is None else orjson.loads(answered.answer)
    warning = {
        "code": "duplicate_event",
        "message": "an event of this type with this event_id was kept before; it counts once",
        "detail": {"event_seq": seq},
    }
    return orjson.dumps(
        {"accepted": True, "event_seq": seq, **then, "warnings": [*then["warnings"], warning]}
    )


def _not_kept(answer: dict[str, Any], problem: Problem) -> bytes:
    warning = {
        "code": "not_accepted",
        "message": f"the event was scored and not kept: {problem.message}",
        "detail": {"reason": problem.reason},
    }
    return orjson.dumps(
        {
            "accepted": False,
            "event_seq": None,
            **answer,
            "warnings": [*answer["warnings"], warning],
            "degraded": answer["degraded"] or degraded_by(problem),
        }
    )
