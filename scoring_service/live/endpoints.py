"""The path that describes the live graph."""

from typing import Any, Final

from fastapi import APIRouter

from scoring_service.access import ACCESS, needs
from scoring_service.dependencies import State
from scoring_service.errors import NotReady, responses
from scoring_service.live.schemas import LiveAnswer
from scoring_service.live.service import describe_live

router = APIRouter(prefix="/v1/live", tags=["live"], dependencies=[needs("read")])

ANSWER: Final[dict[str, Any]] = {
    "role": "writer",
    "last_seq": 48117,
    "generation": {
        "number": 2,
        "since": "2026-03-01T03:12:44Z",
        "snapshot": "5d1c0f9a2b7e4416",
        "bundle": "b8c1f22aa01",
        "rings": "20260301-1f0c",
        "shadow": "b77e0a91c2f",
        "policy": "default 2",
    },
    "refused": None,
    "overlay": {"rows": 8117, "max_events": 1000000, "accounts": 611, "nodes": 1702, "bytes": 1204224},
    "journal": {"status": "ok", "message": None, "commit": "disk", "last_seq": 48117},
    "lag": {"rows": 0, "last_ms": None, "worst_ms": None},
    "shadow": {
        "bundle": "b77e0a91c2f",
        "answers": 5120,
        "errors": 0,
        "other_decisions": 14,
        "mean_difference": 0.012,
        "greatest_difference": 0.41,
    },
    "graph_as_of": "2026-03-01T09:40:00Z",
}


@router.get(
    "",
    summary="What the process holds at this moment",
    responses={
        200: {"content": {"application/json": {"example": ANSWER}}},
        **responses(NotReady, *ACCESS),
    },
)
async def get_live(state: State) -> LiveAnswer:
    """Return how far the live graph has come, what answers are made from, and how the journal fares."""
    return describe_live(state)
