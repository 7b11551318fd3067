"""Paths of the rings."""

from typing import Annotated, Any

from fastapi import APIRouter, Path, Query, Request

from scoring_service.access import ACCESS, needs
from scoring_service.bodies import json_body, parsed
from scoring_service.dependencies import Benign, Rings, State
from scoring_service.errors import (
    AccountNotFound,
    BodyTooLarge,
    CursorExpired,
    CursorInvalid,
    FollowerOnly,
    InvalidRequest,
    MalformedJson,
    NotKept,
    NotReady,
    RingNotFound,
    RingsUnavailable,
    UnsupportedMediaType,
    responses,
)
from scoring_service.rings.examples import PAGE, RING
from scoring_service.rings.schemas import (
    BENIGN_ANSWER,
    BENIGN_REQUEST,
    WITHDRAWN_ANSWER,
    BenignAnswer,
    BenignRequest,
    RingDetail,
    RingFilter,
    RingPage,
    Source,
)

router = APIRouter(prefix="/v1/rings", tags=["rings"], dependencies=[needs("read")])
benign_router = APIRouter(prefix="/v1/rings", tags=["rings"], dependencies=[needs("label")])

RingID = Annotated[str, Path(max_length=256)]

_LIST_ERRORS = responses(
    CursorInvalid, AccountNotFound, CursorExpired, InvalidRequest, NotReady, RingsUnavailable, *ACCESS
)
_BENIGN = (RingNotFound, InvalidRequest, NotReady, RingsUnavailable, NotKept, FollowerOnly, *ACCESS)
_BENIGN_ERRORS = responses(*_BENIGN)
_CONFIRM_ERRORS = responses(MalformedJson, BodyTooLarge, UnsupportedMediaType, *_BENIGN)
_RING_ERRORS = responses(RingNotFound, InvalidRequest, NotReady, RingsUnavailable, *ACCESS)


def _ok(example: dict[str, Any]) -> dict[int | str, dict[str, Any]]:
    return {200: {"content": {"application/json": {"example": example}}}}


@router.get("", summary="List rings, the best rank first", responses={**_ok(PAGE), **_LIST_ERRORS})
async def get_rings(wanted: Annotated[RingFilter, Query()], rings: Rings) -> RingPage:
    """Return one page of the ranked rings that pass every filter given.

    `next_cursor` leads to the next page. It is bound to the rings run and to the filters: after a new run it
    answers `cursor_expired`, so that no page ever mixes two runs. Groups that people confirmed to be benign
    are left out as long as they have not changed; `status` asks for them.
    """
    return rings.page(wanted)


@router.get("/{ring_id}", summary="Explain one ring", responses={**_ok(RING), **_RING_ERRORS})
async def get_ring(ring_id: RingID, rings: Rings) -> RingDetail:
    """Return a ring's members with their roles, its evidence, words, timeline and a bounded subgraph."""
    return rings.detail(ring_id)


@benign_router.post(
    "/{ring_id}/benign",
    summary="Say that a ring is a benign group",
    responses={**_ok(BENIGN_ANSWER), **_CONFIRM_ERRORS},
    openapi_extra={
        "requestBody": {
            "required": True,
            "content": {
                "application/json": {
                    "schema": {"$ref": f"#/components/schemas/{BenignRequest.__name__}"},
                    "example": BENIGN_REQUEST,
                }
            },
        }
    },
)
async def post_benign(
    ring_id: RingID, request: Request, rings: Rings, groups: Benign, state: State
) -> BenignAnswer:
    """Keep that a group is benign. It leaves the list at once and stays out, over later runs and trainings.

    It comes back as soon as it has changed: enough accounts came to it, a member was confirmed bad, or
    evidence of a kind that was not there tells of it. A policy takes no offence at it from the next run on.
    """
    asked = parsed(BenignRequest, await json_body(request))
    await groups.confirm(state, rings.confirm(ring_id, asked))
    return (await rings.read_again(groups)).standing(ring_id)


@benign_router.delete(
    "/{ring_id}/benign",
    summary="Take back that a ring is a benign group",
    responses={**_ok(WITHDRAWN_ANSWER), **_BENIGN_ERRORS},
)
async def delete_benign(
    ring_id: RingID,
    rings: Rings,
    groups: Benign,
    state: State,
    source: Annotated[Source, Query(description="Who takes it back.")] = "analyst",
) -> BenignAnswer:
    """Take back that a group is benign: it is listed again at once. If nobody said so, nothing happens."""
    await groups.withdraw(state, ring_id, rings.members_of(ring_id), source)
    return (await rings.read_again(groups)).standing(ring_id)
