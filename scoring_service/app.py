"""Puts the service together: one app, its errors, its start; and runs it with uvicorn."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import structlog
import uvicorn
from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.responses import Response

from scoring_service.accounts import endpoints as accounts_endpoints
from scoring_service.console import endpoints as console_endpoints
from scoring_service.errors import (
    InvalidRequest,
    MethodNotAllowed,
    NotFound,
    ServiceError,
    problems_of,
)
from scoring_service.health import endpoints as health_endpoints
from scoring_service.loading import load
from scoring_service.logs import configure_logging
from scoring_service.middleware import RequestGate, error_response
from scoring_service.openapi import describe
from scoring_service.rings import endpoints as rings_endpoints
from scoring_service.risk import endpoints as risk_endpoints
from scoring_service.risk.service import RiskService
from scoring_service.settings import ServiceSettings
from scoring_service.warmup import warm_up

_log = structlog.get_logger("scoring_service")


def create_app(settings: ServiceSettings | None = None) -> FastAPI:
    """Load the workspace and build the app.

    Args:
        settings: Settings; those of the environment when None.

    Returns:
        The app. It answers `not_ready` until its lifespan has warmed the kernels up.

    Raises:
        RingwatchError: If there is no snapshot, the key does not fit it, or the policy is broken.
    """
    settings = ServiceSettings() if settings is None else settings
    loaded = load(settings)
    app = FastAPI(
        title="Ringwatch", lifespan=_lifespan, docs_url=None, redoc_url=None, redirect_slashes=False
    )
    app.state.loaded = loaded
    app.state.risk = RiskService(loaded, max_skew_ms=int(settings.max_clock_skew.total_seconds() * 1000))
    app.state.is_warm = False
    for endpoints in (risk_endpoints, accounts_endpoints, rings_endpoints, health_endpoints):
        app.include_router(endpoints.router)
    if settings.console:
        app.include_router(console_endpoints.router)
    app.add_exception_handler(ServiceError, _answer_service_error)
    app.add_exception_handler(RequestValidationError, _answer_validation_error)
    app.add_exception_handler(HTTPException, _answer_http_error)
    app.add_middleware(
        RequestGate, max_body_bytes=settings.max_body_bytes, loopback_only=settings.is_loopback
    )
    describe(app)
    return app


def serve(settings: ServiceSettings | None = None) -> None:
    """Run the service until it is told to stop.

    Args:
        settings: Settings; those of the environment when None.

    Raises:
        BindRefused: If the address can be reached from beyond this machine and nobody allowed that.
        RingwatchError: If the workspace cannot be served.
    """
    settings = ServiceSettings() if settings is None else settings
    settings.check_bind()
    configure_logging(settings.log_format, settings.log_level)
    app = create_app(settings)
    uvicorn.run(
        app,
        host=settings.host.strip("[]"),
        port=settings.port,
        log_config=None,
        access_log=False,
        server_header=False,
    )


@asynccontextmanager
async def _lifespan(app: FastAPI) -> AsyncIterator[None]:
    """Warm up beside the listening socket, so that `/healthz` answers and `/readyz` tells the truth."""
    loaded = app.state.loaded
    _log.info(
        "service.started",
        snapshot=loaded.snapshot.id,
        bundle=loaded.bundle_version,
        rings=None if loaded.rings is None else loaded.rings.run.id,
        problems=[problem.reason for problem in loaded.problems.values()],
    )
    app.state.warming = asyncio.create_task(_warm(app))
    try:
        yield
    finally:
        app.state.warming.cancel()


async def _warm(app: FastAPI) -> None:
    duration_s = await asyncio.to_thread(warm_up, app.state.loaded, app.state.risk)
    app.state.is_warm = True
    _log.info("service.ready", warm_up_s=round(duration_s, 2))


async def _answer_service_error(request: Request, error: Exception) -> Response:
    assert isinstance(error, ServiceError)
    return error_response(error)


async def _answer_validation_error(request: Request, error: Exception) -> Response:
    assert isinstance(error, RequestValidationError)
    found: list[dict[str, Any]] = [
        # The first part says path or query, which is no name of a field.
        {**problem, "loc": problem["loc"][1:] or problem["loc"]}
        for problem in error.errors()
    ]
    return error_response(InvalidRequest(problems_of(found)))


async def _answer_http_error(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    if error.status_code == 405:
        allowed = (error.headers or {}).get("Allow", "")
        return error_response(MethodNotAllowed(request.method, allowed))
    return error_response(NotFound(request.url.path[:200]))
