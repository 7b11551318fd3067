"""What every request passes: a request id, a check of the host, a limit of the body, a log line."""

import re
import secrets
import time

import structlog
from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from scoring_service.errors import BodyTooLarge, InternalError, MisdirectedHost, ServiceError
from scoring_service.logs import places
from scoring_service.settings import is_loopback

REQUEST_ID_HEADER = "X-Request-ID"
_REQUEST_ID = re.compile(r"^[A-Za-z0-9._-]{1,64}$")
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
        loopback_only: Answer only hosts that name this machine, so that a web page whose name somebody
            pointed at 127.0.0.1 cannot read the console through a browser.
    """

    def __init__(self, app: ASGIApp, *, max_body_bytes: int, loopback_only: bool) -> None:
        self._app = app
        self._max_body_bytes = max_body_bytes
        self._loopback_only = loopback_only

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass one request on and log it."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        headers = Headers(scope=scope)
        given = headers.get(REQUEST_ID_HEADER, "")
        request_id = given if _REQUEST_ID.match(given) else secrets.token_hex(8)
        structlog.contextvars.clear_contextvars()
        structlog.contextvars.bind_contextvars(request_id=request_id)
        started = time.perf_counter()
        status = 0

        async def send_with_id(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                MutableHeaders(scope=message)[REQUEST_ID_HEADER] = request_id
            await send(message)

        try:
            await self._pass_on(scope, receive, send_with_id, headers)
        except _TooLarge:
            await error_response(BodyTooLarge(self._max_body_bytes))(scope, receive, send_with_id)
        except Exception as error:
            _log.error("http.failed", error=type(error).__name__, where=places(error))
            if status == 0:
                await error_response(InternalError(request_id))(scope, receive, send_with_id)
        finally:
            route = scope.get("route")
            _log.info(
                "http.request",
                method=scope["method"],
                # The template, because a path may hold an account's id.
                route=getattr(route, "path", None),
                status=status,
                duration_ms=round((time.perf_counter() - started) * 1000, 2),
            )

    async def _pass_on(self, scope: Scope, receive: Receive, send: Send, headers: Headers) -> None:
        host = headers.get("host", "")
        if self._loopback_only and not is_loopback(_host_name(host)):
            await error_response(MisdirectedHost(host[:100]))(scope, receive, send)
            return
        length = headers.get("content-length", "")
        if length.isdecimal() and int(length) > self._max_body_bytes:
            raise _TooLarge
        read = 0

        async def receive_bounded() -> Message:
            nonlocal read
            message = await receive()
            if message["type"] == "http.request":
                read += len(message.get("body", b""))
                if read > self._max_body_bytes:
                    raise _TooLarge
            return message

        await self._app(scope, receive_bounded, send)


def _host_name(host: str) -> str:
    """Return the host without its port."""
    if host.startswith("["):
        return host.partition("]")[0] + "]"
    return host.partition(":")[0].lower()
