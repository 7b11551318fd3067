"""Paths that tell whether the process lives and whether it may get traffic."""

from typing import Any

from fastapi import APIRouter

from scoring_service.dependencies import State
from scoring_service.errors import NotReady, responses
from scoring_service.health.schemas import Health, Readiness
from scoring_service.health.service import readiness

router = APIRouter(tags=["health"])

_READY: dict[int | str, dict[str, Any]] = {
    200: {
        "content": {
            "application/json": {
                "example": {
                    "status": "ready",
                    "data_set": "game_signups",
                    "accounts": 5000,
                    "snapshot": "5d1c0f9a2b7e4416",
                    "bundle": "20260301-8c1f22",
                    "rings": "20260301-1f0c",
                    "policy": "default 2",
                    "graph_as_of": "2026-03-01T00:00:00Z",
                    "simulated": True,
                    "journal": "ok",
                    "last_seq": 48117,
                    "problems": [],
                }
            }
        }
    }
}


@router.get(
    "/healthz",
    summary="Is the process alive",
    responses={200: {"content": {"application/json": {"example": {"status": "ok"}}}}},
)
async def get_health() -> Health:
    """Answer as soon as the process listens, whatever it has loaded."""
    return Health()


@router.get("/readyz", summary="May the process get traffic", responses={**_READY, **responses(NotReady)})
async def get_readiness(state: State) -> Readiness:
    """Answer 200 once a request was scored through all parts, 503 before.

    `degraded` is still 200: the service answers, with fallbacks, and `problems` says why.
    """
    return readiness(state)
