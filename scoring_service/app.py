"""Puts the service together: one app, its errors, its start; and runs it with uvicorn."""

import asyncio
import socket
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from typing import Any

import structlog
import uvicorn
from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.responses import Response

from scoring_service.access import Access
from scoring_service.accounts import endpoints as accounts_endpoints
from scoring_service.console import endpoints as console_endpoints
from scoring_service.erasure import endpoints as erasure_endpoints
from scoring_service.errors import (
    InvalidRequest,
    KeysMissing,
    MethodNotAllowed,
    NotFound,
    PortBusy,
    ServiceError,
    problems_of,
)
from scoring_service.events import endpoints as events_endpoints
from scoring_service.health import endpoints as health_endpoints
from scoring_service.idempotency import KeysInFlight
from scoring_service.labels import endpoints as labels_endpoints
from scoring_service.live import LiveState
from scoring_service.live import endpoints as live_endpoints
from scoring_service.logs import configure_logging
from scoring_service.middleware import RequestGate, error_response
from scoring_service.openapi import describe
from scoring_service.rings import endpoints as rings_endpoints
from scoring_service.rings.standing import BenignGroups
from scoring_service.risk import endpoints as risk_endpoints
from scoring_service.settings import ServiceSettings

_log = structlog.get_logger("scoring_service")
_ROUTERS = (
    risk_endpoints.router,
    events_endpoints.router,
    labels_endpoints.router,
    erasure_endpoints.router,
    accounts_endpoints.router,
    rings_endpoints.router,
    rings_endpoints.benign_router,
    live_endpoints.router,
    health_endpoints.router,
)


def create_app(settings: ServiceSettings | None = None) -> FastAPI:
    """Load the workspace and build the app.

    Args:
        settings: Settings; those of the environment when None.

    Returns:
        The app. It answers `not_ready` until its lifespan has read the journal and warmed the kernels up.

    Raises:
        RingwatchError: If there is no snapshot, the key does not fit it, the policy is broken, or somebody
            beyond this machine could call the service without a key.
    """
    settings = ServiceSettings() if settings is None else settings
    settings.check_bind()
    app = FastAPI(
        title="Ringwatch", lifespan=_lifespan, docs_url=None, redoc_url=None, redirect_slashes=False
    )
    state = app.state.live = LiveState(settings)
    if not settings.is_loopback and (state.keys is None or not state.keys.has_keys()):
        state.release()
        raise KeysMissing(settings.host)
    app.state.access = Access(state, required=not settings.is_loopback or settings.auth == "required")
    app.state.benign = BenignGroups(settings.journal_place)
    app.state.keys_in_flight = KeysInFlight()
    app.state.is_warm = False
    for router in _ROUTERS:
        app.include_router(router)
    if settings.console:
        app.include_router(console_endpoints.router)
    app.add_exception_handler(ServiceError, _answer_service_error)
    app.add_exception_handler(RequestValidationError, _answer_validation_error)
    app.add_exception_handler(HTTPException, _answer_http_error)
    app.add_middleware(
        RequestGate,
        max_body_bytes=settings.max_body_bytes,
        max_batch_bytes=settings.max_batch_bytes,
        batch_paths=frozenset({events_endpoints.PATH}),
        loopback_only=settings.is_loopback,
    )
    describe(app)
    return app


class _Server(uvicorn.Server):
    """Says when it listens."""

    def __init__(self, config: uvicorn.Config, on_listening: Callable[[], None]) -> None:
        super().__init__(config)
        self._on_listening = on_listening

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Listen, then say so."""
        await super().startup(sockets)
        if self.started:
            self._on_listening()


def serve(
    settings: ServiceSettings | None = None, *, on_listening: Callable[[str], None] | None = None
) -> None:
    """Run the service until it is told to stop.

    Args:
        settings: Settings; those of the environment when None.
        on_listening: Called with the service's URL once it listens.

    Raises:
        BindRefused: If the address can be reached from beyond this machine and nobody allowed that.
        PortBusy: If something else listens there.
        RingwatchError: If the workspace cannot be served.
    """
    settings = ServiceSettings() if settings is None else settings
    settings.check_bind()
    # Bound before anything is loaded: whoever forgot another one finds out at once.
    bound = _bind(settings)
    configure_logging(settings.log_format, settings.log_level)
    try:
        app = create_app(settings)
        config = uvicorn.Config(app, log_config=None, access_log=False, server_header=False)
        url = f"http://{settings.host}:{bound.getsockname()[1]}"
        server = _Server(config, lambda: None if on_listening is None else on_listening(url))
        # An interrupt is how it is told to stop.
        with suppress(KeyboardInterrupt):
            server.run(sockets=[bound])
    finally:
        bound.close()


def _bind(settings: ServiceSettings) -> socket.socket:
    host = settings.host.strip("[]")
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(
            host, settings.port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
        bound = socket.socket(family, kind, protocol)
    except OSError as error:
        raise PortBusy(settings.host, settings.port, error.strerror or str(error)) from None
    try:
        bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        bound.bind(address)
    except OSError as error:
        bound.close()
        raise PortBusy(settings.host, settings.port, error.strerror or str(error)) from None
    return bound


@asynccontextmanager
async def _lifespan(app: FastAPI) -> AsyncIterator[None]:
    """Get ready beside the listening socket, so that `/healthz` answers and `/readyz` tells the truth."""
    state: LiveState = app.state.live
    loaded = state.loaded
    _log.info(
        "service.started",
        snapshot=loaded.snapshot.id,
        bundle=loaded.bundle_version,
        rings=None if loaded.rings is None else loaded.rings.run.id,
        problems=[problem.reason for problem in loaded.problems.values()],
    )
    app.state.warming = asyncio.create_task(_warm(app, state))
    try:
        yield
    finally:
        app.state.is_warm = False
        for task in (app.state.warming, getattr(app.state, "running", None)):
            if task is not None:
                task.cancel()
                with suppress(asyncio.CancelledError):
                    await task
        app.state.benign.close()
        await state.close()


async def _warm(app: FastAPI, state: LiveState) -> None:
    duration_s = await state.start()
    app.state.running = asyncio.create_task(state.run())
    app.state.is_warm = True
    _log.info("service.ready", last_seq=state.loaded.live.last_seq, seconds=round(duration_s, 2))


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
