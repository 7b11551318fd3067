"""Paths of the rings."""

from typing import Annotated, Any

from fastapi import APIRouter, Path, Query

from scoring_service.access import ACCESS, needs
from scoring_service.dependencies import Rings
from scoring_service.errors import (
    AccountNotFound,
    CursorExpired,
    CursorInvalid,
    InvalidRequest,
    NotReady,
    RingNotFound,
    RingsUnavailable,
    responses,
)
from scoring_service.rings.examples import PAGE, RING
from scoring_service.rings.schemas import RingDetail, RingFilter, RingPage

router = APIRouter(prefix="/v1/rings", tags=["rings"], dependencies=[needs("read")])

_LIST_ERRORS = responses(
    CursorInvalid, AccountNotFound, CursorExpired, InvalidRequest, NotReady, RingsUnavailable, *ACCESS
)
_RING_ERRORS = responses(RingNotFound, InvalidRequest, NotReady, RingsUnavailable, *ACCESS)


def _ok(example: dict[str, Any]) -> dict[int | str, dict[str, Any]]:
    return {200: {"content": {"application/json": {"example": example}}}}


@router.get("", summary="List rings, the best rank first", responses={**_ok(PAGE), **_LIST_ERRORS})
async def get_rings(wanted: Annotated[RingFilter, Query()], rings: Rings) -> RingPage:
    """Return one page of the ranked rings that pass every filter given.

    `next_cursor` leads to the next page. It is bound to the rings run and to the filters: after a new run it
    answers `cursor_expired`, so that no page ever mixes two runs.
    """
    return rings.page(wanted)


@router.get("/{ring_id}", summary="Explain one ring", responses={**_ok(RING), **_RING_ERRORS})
async def get_ring(ring_id: Annotated[str, Path(max_length=256)], rings: Rings) -> RingDetail:
    """Return a ring's members with their roles, its evidence, words, timeline and a bounded subgraph."""
    return rings.detail(ring_id)
