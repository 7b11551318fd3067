"""Who may call what: API keys with scopes; needed beyond loopback always, on loopback once there is one."""

from typing import Annotated, Any, Final, Literal

from fastapi import Depends, Request, Security
from fastapi.security import HTTPBearer
from fastapi.security.http import HTTPAuthorizationCredentials

from scoring_service.errors import Forbidden, ServiceError, Unauthorized
from scoring_service.live import LiveState

Scope = Literal["score", "label", "read", "admin"]
ACCESS: Final[tuple[type[ServiceError], ...]] = (Unauthorized, Forbidden)
LOCAL: Final = "local"
SECURED: Final[list[dict[str, list[str]]]] = [{"ApiKey": []}]
"""How the API's description says that a path takes a key, where the path checks it itself."""

_BEARER: Final = HTTPBearer(
    auto_error=False,
    scheme_name="ApiKey",
    description="Made by `ringwatch keys create`. Needed beyond this machine, and on it once there is one.",
)


class Access:
    """Checks the keys of requests.

    Args:
        state: Has the keys, once the store that holds them could be opened.
        required: Whether a request without a key is refused even while there is none.
    """

    def __init__(self, state: LiveState, *, required: bool) -> None:
        self._state = state
        self._required = required

    def check(self, authorization: str | None, scope: Scope) -> str:
        """Let a request pass, or refuse it.

        Args:
            authorization: The header `Authorization`, as sent.
            scope: What the path needs; a key with `admin` may do everything.

        Returns:
            Who calls: the name of the key, `local` without one.

        Raises:
            Unauthorized: If a key is needed and there is none, or none that is valid.
            Forbidden: If the key has not the scope.
        """
        ring = self._state.keys
        if not self._required and (ring is None or not ring.has_keys()):
            return LOCAL
        if authorization is None:
            problem = "this needs a key"
            raise Unauthorized(problem)
        scheme, _, token = authorization.partition(" ")
        found = None
        if ring is not None and scheme.lower() == "bearer":
            found = ring.authenticate(token.strip())
        if found is None:
            problem = "the key is not valid, or was revoked"
            raise Unauthorized(problem)
        if not found.may(scope):
            raise Forbidden(scope, sorted(found.scopes))
        return found.name


def caller_of(request: Request) -> str:
    """Return who calls: the name of the key that `needs` let pass, `local` without one."""
    caller: str = request.state.caller
    return caller


def authorize(request: Request, scope: Scope) -> None:
    """Let a request pass, or refuse it; for paths on which even a dependency would cost too much.

    Args:
        request: The request.
        scope: What the path needs.

    Raises:
        Unauthorized: If a key is needed and there is none, or none that is valid.
        Forbidden: If the key has not the scope.
    """
    access: Access = request.app.state.access
    request.state.caller = access.check(request.headers.get("authorization"), scope)


def needs(scope: Scope) -> Any:
    """Make a dependency that lets only keys with a scope pass.

    Args:
        scope: The scope.

    Returns:
        The dependency, for a router or a route.
    """

    # Asked for so that the API's description names it; the header itself is read below.
    async def check(
        request: Request,
        described: Annotated[HTTPAuthorizationCredentials | None, Security(_BEARER)] = None,
    ) -> None:
        authorize(request, scope)

    return Depends(check)
