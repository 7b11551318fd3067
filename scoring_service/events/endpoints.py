"""The path that keeps events without scoring them."""

from typing import Any, Final

from fastapi import APIRouter, Request
from pydantic_core import from_json
from starlette.responses import Response

from scoring_service.access import ACCESS, SECURED, authorize
from scoring_service.bodies import json_body
from scoring_service.dependencies import state_of
from scoring_service.errors import (
    BodyTooLarge,
    InvalidRequest,
    MalformedJson,
    NotReady,
    TimestampBefore1970,
    TimestampInFuture,
    TimestampInvalid,
    UnsupportedMediaType,
    responses,
)
from scoring_service.events.schemas import ANSWER, REQUESTS, EventsAnswer
from scoring_service.events.service import events_of, keep_events
from scoring_service.idempotency import IDEMPOTENCY_HEADER, once
from scoring_service.journal import IdempotencyConflict, IdempotencyUse

PATH: Final = "/v1/events"
router = APIRouter(prefix=PATH, tags=["events"])

_ERRORS = responses(
    MalformedJson,
    BodyTooLarge,
    UnsupportedMediaType,
    InvalidRequest,
    TimestampInvalid,
    TimestampBefore1970,
    TimestampInFuture,
    IdempotencyConflict,
    NotReady,
    *ACCESS,
)
_BODY: Final[dict[str, Any]] = {
    "security": SECURED,
    "parameters": [IDEMPOTENCY_HEADER],
    "requestBody": {
        "required": True,
        "content": {
            "application/json": {
                "schema": {
                    "anyOf": [
                        {"$ref": "#/components/schemas/RiskRequest"},
                        {"$ref": "#/components/schemas/EventBatch"},
                    ]
                },
                "examples": REQUESTS,
            }
        },
    },
}


@router.post(
    "",
    summary="Keep events without scoring them",
    response_model=EventsAnswer,
    responses={200: {"content": {"application/json": {"example": ANSWER}}}, **_ERRORS},
    openapi_extra=_BODY,
)
async def post_events(request: Request) -> Response:
    """Keep one event, or up to 1000 at once, as context of later answers.

    Each event has its own result: one that cannot be read does not lose the others. An event whose type and
    `event_id` are known already counts once, whenever it comes again.
    """
    authorize(request, "score")
    state = state_of(request)
    body = await json_body(request)

    async def answer(use: IdempotencyUse | None) -> bytes:
        try:
            document = from_json(body, allow_inf_nan=False)
        except ValueError as error:
            raise MalformedJson(str(error)[:200]) from None
        events, is_batch = events_of(document)
        return await keep_events(state, events, is_batch=is_batch, use=use)

    return await once(state, request, body, answer)
