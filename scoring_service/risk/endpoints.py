"""The path that scores an event."""

from typing import Any, Final

import structlog
from fastapi import APIRouter, Request
from pydantic import ValidationError
from starlette.responses import Response

from scoring_service.dependencies import risk_of
from scoring_service.errors import (
    BodyTooLarge,
    InvalidRequest,
    MalformedJson,
    NotReady,
    TimestampBefore1970,
    TimestampInFuture,
    TimestampInvalid,
    UnsupportedMediaType,
    problems_of,
    responses,
)
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
    NotReady,
)
_BODY: Final[dict[str, Any]] = {
    "requestBody": {
        "required": True,
        "content": {
            "application/json": {
                "schema": {"$ref": "#/components/schemas/RiskRequest"},
                "examples": REQUESTS,
            }
        },
    }
}


@router.post(
    "",
    summary="Score the account behind one event",
    response_model=RiskAnswer,
    responses={200: {"content": {"application/json": {"examples": ANSWERS}}}, **_ERRORS},
    openapi_extra=_BODY,
)
async def post_risk(request: Request) -> Response:
    """Score the account behind one event and decide.

    An account that nobody has seen is scored from its identifiers and attributes; one that the graph knows,
    from all that is known of it and the event. Identifiers are hashed at the door; raw values are neither
    kept nor logged. What the graph does not know (kinds, attributes, types) is left out with a warning.
    """
    content_type = request.headers.get("content-type", "")
    if content_type.partition(";")[0].strip().lower() != "application/json":
        raise UnsupportedMediaType(content_type[:100])
    service = risk_of(request)
    answer = service.assess(_parse(await request.body()))
    _log.info(
        "risk.answered",
        answer=answer.id,
        decision=answer.decision,
        level=answer.risk_level,
        rule=answer.policy.rule,
        moment=answer.policy.moment,
        degraded=None if answer.degraded is None else answer.degraded.reason,
    )
    return Response(answer.model_dump_json(), media_type="application/json")


def _parse(body: bytes) -> RiskRequest:
    try:
        return RiskRequest.model_validate_json(body)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        if first["type"] == "json_invalid":
            raise MalformedJson(str(first.get("ctx", {}).get("error", "cannot be read"))[:200]) from None
        raise InvalidRequest(problems_of(error.errors(include_url=False, include_input=False))) from None
