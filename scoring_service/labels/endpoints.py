"""The paths that take what people and systems say of accounts."""

from collections.abc import Awaitable, Callable
from typing import Annotated, Any, Final, TypeVar

import orjson
from fastapi import APIRouter, Path, Query, Request
from pydantic import BaseModel
from starlette.responses import Response

from scoring_service.access import ACCESS, needs
from scoring_service.bodies import json_body, parsed
from scoring_service.dependencies import State, state_of
from scoring_service.errors import (
    AccountNotFound,
    BodyTooLarge,
    CutNotFound,
    FollowerOnly,
    InvalidRequest,
    MalformedJson,
    NotKept,
    NotReady,
    TimestampBefore1970,
    TimestampInFuture,
    TimestampInvalid,
    UnsupportedMediaType,
    VerdictNotFound,
    responses,
)
from scoring_service.idempotency import IDEMPOTENCY_HEADER, once
from scoring_service.journal import IdempotencyConflict, IdempotencyUse
from scoring_service.labels.schemas import (
    LABEL_ANSWER,
    LABEL_REQUEST,
    LINKED_ANSWER,
    NOT_LINKED_ANSWER,
    NOT_LINKED_REQUEST,
    UNDONE_ANSWER,
    LabelAnswer,
    LabelRequest,
    NotLinkedAnswer,
    NotLinkedRequest,
    Source,
)
from scoring_service.labels.service import LabelService

router = APIRouter(prefix="/v1", tags=["labels"], dependencies=[needs("label")])
_M = TypeVar("_M", bound=BaseModel)

AccountID = Annotated[str, Path(min_length=1, max_length=256)]
_POST_ERRORS: Final = responses(
    MalformedJson,
    AccountNotFound,
    BodyTooLarge,
    UnsupportedMediaType,
    InvalidRequest,
    TimestampInvalid,
    TimestampBefore1970,
    TimestampInFuture,
    IdempotencyConflict,
    NotReady,
    NotKept,
    FollowerOnly,
    *ACCESS,
)


def _ok(example: dict[str, Any]) -> dict[int | str, dict[str, Any]]:
    return {200: {"content": {"application/json": {"example": example}}}}


def _body(model: type[BaseModel], example: dict[str, Any]) -> dict[str, Any]:
    content = {"schema": {"$ref": f"#/components/schemas/{model.__name__}"}, "example": example}
    return {
        "parameters": [IDEMPOTENCY_HEADER],
        "requestBody": {"required": True, "content": {"application/json": content}},
    }


async def _post(
    request: Request, model: type[_M], act: Callable[[LabelService, _M], Awaitable[dict[str, Any]]]
) -> Response:
    state = state_of(request)
    body = await json_body(request)

    async def answer(use: IdempotencyUse | None) -> bytes:
        return orjson.dumps(await act(LabelService(state, use), parsed(model, body)))

    return await once(state, request, body, answer)


@router.post(
    "/labels",
    summary="Say that an account is bad, or good",
    response_model=LabelAnswer,
    responses={**_ok(LABEL_ANSWER), **_POST_ERRORS},
    openapi_extra=_body(LabelRequest, LABEL_REQUEST),
)
async def post_label(request: Request) -> Response:
    """Keep a verdict. It counts in the next answer, in rings at their next run, in training at the next."""
    return await _post(request, LabelRequest, LabelService.label)


@router.delete(
    "/labels/{account_id:path}",
    summary="Take the last verdict on an account back",
    responses={
        **_ok(UNDONE_ANSWER),
        **responses(
            AccountNotFound, VerdictNotFound, InvalidRequest, NotReady, NotKept, FollowerOnly, *ACCESS
        ),
    },
)
async def delete_label(
    account_id: AccountID,
    state: State,
    source: Annotated[Source, Query(description="Who takes it back.")] = "analyst",
) -> LabelAnswer:
    """Take the last verdict back that was given here; what held before it holds again."""
    return LabelAnswer.model_validate(await LabelService(state).undo_label(account_id, source))


@router.post(
    "/not-linked",
    summary="Say that two accounts are not linked",
    response_model=NotLinkedAnswer,
    responses={**_ok(NOT_LINKED_ANSWER), **_POST_ERRORS},
    openapi_extra=_body(NotLinkedRequest, NOT_LINKED_REQUEST),
)
async def post_not_linked(request: Request) -> Response:
    """Keep that two accounts have nothing to do with each other, whatever they share."""
    return await _post(request, NotLinkedRequest, LabelService.cut)


@router.delete(
    "/not-linked",
    summary="Take back that two accounts are not linked",
    responses={
        **_ok(LINKED_ANSWER),
        **responses(AccountNotFound, CutNotFound, InvalidRequest, NotReady, NotKept, FollowerOnly, *ACCESS),
    },
)
async def delete_not_linked(
    account: Annotated[str, Query(min_length=1, max_length=256)],
    other: Annotated[str, Query(min_length=1, max_length=256)],
    state: State,
) -> NotLinkedAnswer:
    """Take back that two accounts are not linked; the order of the two does not matter."""
    return NotLinkedAnswer.model_validate(await LabelService(state).undo_cut(account, other))
