"""The path that scores an event."""

from typing import Any, Final

import structlog
from fastapi import APIRouter, Request
from starlette.responses import Response

from scoring_service.access import ACCESS, SECURED, authorize
from scoring_service.bodies import json_body, parsed
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
from scoring_service.idempotency import IDEMPOTENCY_HEADER, once
from scoring_service.journal import IdempotencyConflict, IdempotencyUse
from scoring_service.risk.answering import answer_risk
from scoring_service.risk.examples import ANSWERS, REQUESTS
from scoring_service.risk.schemas import RiskAnswer, RiskRequest

_log = structlog.get_logger("scoring_service")
router = APIRouter(prefix="/v1/risk", tags=["risk"])

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
    "parameters": [
        {
            "name": "expand",
            "in": "query",
            "required": False,
            "schema": {"type": "string", "enum": ["reasons", "counterfactuals"]},
            "description": "`reasons`: also where the decision is to allow. `counterfactuals`: these, each "
            "with the score without its evidence; takes some ten times as long.",
        },
        IDEMPOTENCY_HEADER,
    ],
    "requestBody": {
        "required": True,
        "content": {
            "application/json": {
                "schema": {"$ref": "#/components/schemas/RiskRequest"},
                "examples": REQUESTS,
            }
        },
    },
}


@router.post(
    "",
    summary="Score the account behind one event",
    response_model=RiskAnswer,
    responses={200: {"content": {"application/json": {"examples": ANSWERS}}}, **_ERRORS},
    openapi_extra=_BODY,
)
async def post_risk(request: Request) -> Response:
    """Score the account behind one event, keep the event, and decide.

    An account that nobody has seen is scored from its identifiers and attributes; one that the graph knows,
    from all that is known of it and the event. Identifiers are hashed at the door; raw values are neither
    kept nor logged. What the graph does not know (kinds, attributes, types) is left out with a warning.
    An accepted event is in the journal and counts in every later answer.
    """
    # Everything that FastAPI would do before this costs as much as the score: it is done here, in few steps.
    authorize(request, "score")
    state = state_of(request)
    expand = _expands(request)
    body = await json_body(request)

    async def answer(use: IdempotencyUse | None) -> bytes:
        content, assessed = await answer_risk(
            state,
            parsed(RiskRequest, body),
            with_reasons=expand is not None,
            with_counterfactuals=expand == "counterfactuals",
            use=use,
        )
        told = assessed.answer
        degraded = told["degraded"]
        (_log.debug if told["decision"] == "allow" else _log.info)(
            "risk.answered",
            answer=told["id"],
            decision=told["decision"],
            level=told["risk_level"],
            rule=told["policy"]["rule"],
            moment=told["policy"]["moment"],
            degraded=None if degraded is None else degraded["reason"],
        )
        return content

    return await once(state, request, body, answer)


def _expands(request: Request) -> str | None:
    if not request.scope["query_string"]:
        return None
    expand = request.query_params.get("expand")
    if expand not in {None, "reasons", "counterfactuals"}:
        problem = "Input should be 'reasons' or 'counterfactuals'"
        raise InvalidRequest([{"field": "expand", "problem": problem}])
    return expand
