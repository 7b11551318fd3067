"""The same answer for the same request, for a day: `Idempotency-Key`."""

import asyncio
import hashlib
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any, Final

from starlette.requests import Request
from starlette.responses import Response

from scoring_service.access import caller_of
from scoring_service.errors import InvalidRequest
from scoring_service.journal import IdempotencyUse, JournalUnavailable, Remembered
from scoring_service.live import LiveState
from scoring_service.risk.answering import with_position

HEADER: Final = "idempotency-key"
REPLAYED: Final = {"Idempotency-Replayed": "true"}
IDEMPOTENCY_HEADER: Final[dict[str, Any]] = {
    "name": "Idempotency-Key",
    "in": "header",
    "required": False,
    "schema": {"type": "string", "minLength": 1, "maxLength": 255},
    "description": "Any text. The same key with the same body gets the very same answer for 24 hours, "
    "and the header `Idempotency-Replayed: true`; with another body it is an error.",
}
_JSON: Final = "application/json"


class KeysInFlight:
    """Lets requests with the same key wait for each other: the second finds what the first was answered."""

    def __init__(self) -> None:
        self._locks: dict[tuple[str, str], tuple[asyncio.Lock, int]] = {}

    @asynccontextmanager
    async def holding(self, use: IdempotencyUse) -> AsyncIterator[None]:
        """Hold a key.

        Args:
            use: The key and whose it is.

        Yields:
            Nothing; nobody else has the key meanwhile.
        """
        name = (use.scope, use.key)
        lock, holders = self._locks.get(name, (asyncio.Lock(), 0))
        self._locks[name] = lock, holders + 1
        try:
            async with lock:
                yield
        finally:
            _, holders = self._locks[name]
            if holders > 1:
                self._locks[name] = lock, holders - 1
            else:
                del self._locks[name]


async def once(
    state: LiveState,
    request: Request,
    body: bytes,
    answer: Callable[[IdempotencyUse | None], Awaitable[bytes]],
) -> Response:
    """Answer a request, or repeat what was answered to the same one.

    Args:
        state: The state of the process.
        request: The request.
        body: Its body.
        answer: Makes the answer, and keeps the use of the key with what it keeps.

    Returns:
        The answer.

    Raises:
        InvalidRequest: If the key is empty or too long.
        IdempotencyConflict: If the key was used for another request.
    """
    key = request.headers.get(HEADER)
    if key is None:
        return Response(await answer(None), media_type=_JSON)
    if not 1 <= len(key) <= 255:
        raise InvalidRequest([{"field": "Idempotency-Key", "problem": "must have 1 to 255 characters"}])
    # The path belongs to the request: the same key and body on another path is another request.
    said = f"{request.method} {request.url.path}?{request.url.query}\n".encode() + body
    use = IdempotencyUse(key, caller_of(request), hashlib.sha256(said).digest())
    in_flight: KeysInFlight = request.app.state.keys_in_flight
    async with in_flight.holding(use):
        repeated = await _repeated(state, use)
        if repeated is not None:
            return Response(repeated, media_type=_JSON, headers=REPLAYED)
        return Response(await answer(use), media_type=_JSON)


async def _repeated(state: LiveState, use: IdempotencyUse) -> bytes | None:
    journal = state.journal
    if journal is None:
        return None
    try:
        remembered: Remembered | None = await asyncio.to_thread(journal.remembered, use)
        if remembered is None or remembered.answer is not None or remembered.seq is None:
            return None if remembered is None else remembered.answer
        _, answered = await asyncio.to_thread(journal.recorded, remembered.seq)
    except JournalUnavailable:
        # What cannot be read was not answered as kept either, unless the store broke since: then the event's
        # own id still counts it once.
        return None
    return None if answered is None else with_position(answered.answer, remembered.seq)
