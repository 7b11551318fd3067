"""What every request passes: a request id, a check of the host, a limit of the body, a log line."""

import re
import secrets
import time

import structlog
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from scoring_service.errors import BodyTooLarge, InternalError, MisdirectedHost, ServiceError
from scoring_service.logs import places, request_id
from scoring_service.settings import is_loopback

_REQUEST_ID = re.compile(rb"^[A-Za-z0-9._-]{1,64}$")
_log = structlog.get_logger("scoring_service")


def error_response(error: ServiceError) -> Response:
    """Return an error as it is sent."""
    return Response(
        error.body().model_dump_json(),
        status_code=error.status,
        headers=error.headers,
        media_type="application/json",
    )


class _TooLarge(Exception):
    """The body went on beyond the limit."""


class RequestGate:
    """The outermost layer of the app; no exception passes it.

    Args:
        app: The app behind it.
        max_body_bytes: Largest body that is read.
        max_batch_bytes: The same for the paths in `batch_paths`.
        batch_paths: Paths that take many things at once.
        loopback_only: Answer only hosts that name this machine, so that a web page whose name somebody
            pointed at 127.0.0.1 cannot read the console through a browser.
    """

    def __init__(
        self,
        app: ASGIApp,
        *,
        max_body_bytes: int,
        max_batch_bytes: int,
        batch_paths: frozenset[str],
        loopback_only: bool,
    ) -> None:
        self._app = app
        self._max_body_bytes = max_body_bytes
        self._max_batch_bytes = max_batch_bytes
        self._batch_paths = batch_paths
        self._loopback_only = loopback_only

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass one request on and log it."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        host, given, length = b"", b"", b""
        for name, value in scope["headers"]:
            if name == b"host":
                host = value
            elif name == b"x-request-id":
                given = value
            elif name == b"content-length":
                length = value
        request = given.decode("latin-1") if _REQUEST_ID.match(given) else secrets.token_hex(8)
        request_id.set(request)
        id_header = (b"x-request-id", request.encode())
        started = time.perf_counter()
        status = 0

        async def send_with_id(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                message["headers"] = [*message.get("headers", ()), id_header]
            await send(message)

        limit = self._max_batch_bytes if scope["path"] in self._batch_paths else self._max_body_bytes
        try:
            await self._pass_on(scope, receive, send_with_id, host.decode("latin-1"), length, limit)
        except _TooLarge:
            await error_response(BodyTooLarge(limit))(scope, receive, send_with_id)
        except Exception as error:
            _log.error("http.failed", error=type(error).__name__, where=places(error))
            if status == 0:
                await error_response(InternalError(request))(scope, receive, send_with_id)
        finally:
            route = scope.get("route")
            # A line a request would cost more than the answer: those that went well are for debugging.
            (_log.debug if status < 400 else _log.info)(
                "http.request",
                method=scope["method"],
                # The template, because a path may hold an account's id.
                route=getattr(route, "path", None),
                status=status,
                duration_ms=round((time.perf_counter() - started) * 1000, 2),
            )

    async def _pass_on(
        self, scope: Scope, receive: Receive, send: Send, host: str, length: bytes, limit: int
    ) -> None:
        if self._loopback_only and not is_loopback(_host_name(host)):
            await error_response(MisdirectedHost(host[:100]))(scope, receive, send)
            return
        if length.isdigit() and (len(length) > 18 or int(length) > limit):
            raise _TooLarge
        read = 0

        async def receive_bounded() -> Message:
            nonlocal read
            message = await receive()
            if message["type"] == "http.request":
                read += len(message.get("body", b""))
                if read > limit:
                    raise _TooLarge
            return message

        await self._app(scope, receive_bounded, send)


def _host_name(host: str) -> str:
    """Return the host without its port."""
    if host.startswith("["):
        return host.partition("]")[0] + "]"
    return host.partition(":")[0].lower()
