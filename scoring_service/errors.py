"""Errors of the service.

Each error that a request gets carries its HTTP status and a stable code::

    RingwatchError
    ├── StartError                      the service cannot start
    │   ├── BindRefused
    │   ├── PortBusy
    │   ├── KeysMissing
    │   ├── HashKeyMismatch
    │   └── PolicyError
    └── ServiceError                    a request gets an error body
        ├── MalformedJson               400
        ├── CursorInvalid               400
        ├── Unauthorized                401
        ├── Forbidden                   403
        ├── NotFound                    404
        │   ├── AccountNotFound
        │   ├── RingNotFound
        │   ├── VerdictNotFound
        │   └── CutNotFound
        ├── MethodNotAllowed            405
        ├── IdempotencyConflict         409 (of the journal)
        ├── CursorExpired               410
        ├── BodyTooLarge                413
        ├── UnsupportedMediaType        415
        ├── MisdirectedHost             421
        ├── InvalidRequest              422
        ├── TimestampInvalid            422
        │   ├── TimestampBefore1970
        │   └── TimestampInFuture
        ├── InternalError               500
        └── Unavailable                 503
            ├── NotReady
            ├── NotKept
            ├── FollowerOnly
            ├── RingsUnavailable
            └── ScoresUnavailable
"""

import itertools
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar

from pydantic import BaseModel, ConfigDict, Field

from graph_etl.errors import RingwatchError

MAX_PROBLEMS = 20


class ErrorDetail(BaseModel):
    """What went wrong, for programs and for people."""

    model_config = ConfigDict(frozen=True)

    code: str = Field(description="Stable; programs may rely on it.")
    message: str = Field(description="One line for people: what was wrong and what to do.")
    detail: Any = Field(default=None, description="Facts that go with the code; null where there are none.")


class ErrorBody(BaseModel):
    """The body of every answer that is an error."""

    model_config = ConfigDict(frozen=True)

    error: ErrorDetail


class StartError(RingwatchError):
    """The service cannot start."""


class BindRefused(StartError):
    """Nobody reaches the service from beyond this machine by accident."""

    def __init__(self, host: str) -> None:
        """Name the address and the way to allow it."""
        super().__init__(
            f"refused to listen on '{host}': it can be reached from beyond this machine. "
            "Listen on 127.0.0.1, or set RINGWATCH_ALLOW_REMOTE=true; every request then needs a key."
        )


class PortBusy(StartError):
    """Something else listens already."""

    def __init__(self, host: str, port: int, problem: str) -> None:
        """Name the address, what the system said and the way out."""
        super().__init__(
            f"cannot listen on {host}:{port}: {problem}. Stop what listens there, or take another port "
            "(`ringwatch serve --port 8001`)."
        )


class KeysMissing(StartError):
    """A service that others can reach has no key, so nobody could call it, or everybody could."""

    def __init__(self, host: str) -> None:
        """Say how to make a key."""
        super().__init__(
            f"refused to listen on '{host}' without a key: every request from beyond this machine needs one. "
            "Make one with `ringwatch keys create NAME --scope score`."
        )


class HashKeyMismatch(StartError):
    """The key in the environment is not the one that hashed the snapshot's identifiers."""

    def __init__(self, snapshot_id: str, found: str, expected: str) -> None:
        """Name the fingerprints, which say nothing about the keys."""
        super().__init__(
            f"RINGWATCH_HASH_KEY has fingerprint {found}, but the identifiers of snapshot {snapshot_id} were "
            f"hashed with the key {expected}. Set the key that `ringwatch build` had, or build again."
        )


class PolicyError(StartError):
    """A policy file that cannot be used."""

    def __init__(self, path: Path, where: str, what: str) -> None:
        """Name the file, the place in it and the fault."""
        super().__init__(f"{path}: {where}: {what}. docs/policy.md describes every field.")


class ServiceError(RingwatchError):
    """A request that gets an error body.

    Attributes:
        status: HTTP status.
        code: Stable name of the error.
        title: What the code means, for the API's documentation.
        detail: Facts for programs.
    """

    status: ClassVar[int] = 500
    code: ClassVar[str] = "internal_error"
    title: ClassVar[str] = "The service failed"
    example: ClassVar[str] = ""

    def __init__(self, message: str, detail: Any = None) -> None:
        """Keep the message for people and the facts for programs."""
        super().__init__(message)
        self.message = message
        self.detail = detail

    @property
    def headers(self) -> dict[str, str]:
        """Headers that go with the answer."""
        return {}

    def body(self) -> ErrorBody:
        """Return the error as it is sent."""
        return ErrorBody(error=ErrorDetail(code=self.code, message=self.message, detail=self.detail))


class MalformedJson(ServiceError):
    """A body that is no JSON."""

    status = 400
    code = "malformed_json"
    title = "The body is no JSON document"
    example = "the body is no JSON document: EOF while parsing an object at line 1 column 9"

    def __init__(self, problem: str) -> None:
        """Say what the parser met and where."""
        super().__init__(f"the body is no JSON document: {problem}")


class CursorInvalid(ServiceError):
    """A cursor that this service did not make, or made for other filters."""

    status = 400
    code = "cursor_invalid"
    title = "The cursor was not made for this list and these filters"
    example = "cursor cannot be read. Leave it out to start from the first page."

    def __init__(self, problem: str) -> None:
        """Say what is wrong with the cursor."""
        super().__init__(f"cursor {problem}. Leave it out to start from the first page.")


class Unauthorized(ServiceError):
    """No key, or one that is not valid."""

    status = 401
    code = "unauthorized"
    title = "The request needs a valid key"
    example = "this needs a key. Send the header `Authorization: Bearer rw_…`."

    def __init__(self, problem: str) -> None:
        """Say what is wrong with the key, never the key."""
        super().__init__(f"{problem}. Send the header `Authorization: Bearer rw_…`.")

    @property
    def headers(self) -> dict[str, str]:
        """The way to say who calls."""
        return {"WWW-Authenticate": "Bearer"}


class Forbidden(ServiceError):
    """A key that may not do this."""

    status = 403
    code = "forbidden"
    title = "The key has not the scope that this needs"
    example = "this needs a key with the scope 'label'; the one sent has: score."

    def __init__(self, needed: str, scopes: Sequence[str]) -> None:
        """Name the scope that is needed and those of the key."""
        has = ", ".join(scopes) or "none"
        super().__init__(
            f"this needs a key with the scope '{needed}'; the one sent has: {has}.",
            {"needed": needed, "scopes": list(scopes)},
        )


class NotFound(ServiceError):
    """A path or a thing that is not there."""

    status = 404
    code = "not_found"
    title = "No such path"
    example = "there is no /v1/ring. GET /openapi.json lists all paths."

    def __init__(self, path: str) -> None:
        """Name the path."""
        super().__init__(f"there is no {path}. GET /openapi.json lists all paths.")


class AccountNotFound(NotFound):
    """An account that the snapshot does not hold."""

    code = "account_not_found"
    title = "The graph does not hold this account"
    example = (
        "the graph of 2026-03-01T00:00:00Z holds no account 'u-77'. "
        "POST /v1/risk scores one that it has not seen."
    )

    def __init__(self, account_id: str, as_of: str | None) -> None:
        """Name the account and the graph's time."""
        graph = "the graph" if as_of is None else f"the graph of {as_of}"
        ServiceError.__init__(
            self,
            f"{graph} holds no account '{account_id}'. POST /v1/risk scores one that it has not seen.",
            {"account_id": account_id},
        )


class RingNotFound(NotFound):
    """A ring that the current run does not hold."""

    code = "ring_not_found"
    title = "The current rings run does not hold this ring"
    example = "rings run 20260301-1f0c holds no ring 'r0123456789'. GET /v1/rings lists those that it has."

    def __init__(self, ring_id: str, run_id: str) -> None:
        """Name the ring and the run."""
        ServiceError.__init__(
            self,
            f"rings run {run_id} holds no ring '{ring_id}'. GET /v1/rings lists those that it has.",
            {"ring_id": ring_id, "run": run_id},
        )


class VerdictNotFound(NotFound):
    """An account without a verdict that could be undone."""

    code = "verdict_not_found"
    title = "No verdict was given over the API that could be undone"
    example = "no verdict on account 'u-77' was given through POST /v1/labels, so there is none to undo."

    def __init__(self, account_id: str) -> None:
        """Name the account."""
        ServiceError.__init__(
            self,
            f"no verdict on account '{account_id}' was given through POST /v1/labels, "
            "so there is none to undo.",
            {"account_id": account_id},
        )


class CutNotFound(NotFound):
    """Two accounts of which nobody said that they are not linked."""

    code = "cut_not_found"
    title = "Nobody said of these two that they are not linked"
    example = "nobody said that 'u-77' and 'u-78' are not linked, so there is nothing to undo."

    def __init__(self, account_id: str, other_id: str) -> None:
        """Name both accounts."""
        ServiceError.__init__(
            self,
            f"nobody said that '{account_id}' and '{other_id}' are not linked, so there is nothing to undo.",
            {"account_id": account_id, "other_id": other_id},
        )


class MethodNotAllowed(ServiceError):
    """A method that a path does not take."""

    status = 405
    code = "method_not_allowed"
    title = "The path does not take this method"
    example = "GET is not allowed here. Use POST."

    def __init__(self, method: str, allowed: str) -> None:
        """Name the method and those that the path takes."""
        super().__init__(f"{method} is not allowed here. Use {allowed}.", {"allowed": allowed.split(", ")})
        self._allowed = allowed

    @property
    def headers(self) -> dict[str, str]:
        """The methods that the path takes."""
        return {"Allow": self._allowed}


class CursorExpired(ServiceError):
    """A cursor of a rings run that is no longer the current one."""

    status = 410
    code = "cursor_expired"
    title = "The cursor belongs to an earlier rings run"
    example = "the cursor belongs to rings run a1, the current one is b2. Start again from the first page."

    def __init__(self, run_of_cursor: str, run_id: str) -> None:
        """Name both runs."""
        super().__init__(
            f"the cursor belongs to rings run {run_of_cursor}, the current one is {run_id}. "
            "Start again from the first page.",
            {"cursor_run": run_of_cursor, "run": run_id},
        )


class BodyTooLarge(ServiceError):
    """A body beyond the limit."""

    status = 413
    code = "body_too_large"
    title = "The body is larger than the limit"
    example = "the body is larger than 262144 bytes. Send one event a request."

    def __init__(self, limit_bytes: int) -> None:
        """Name the limit."""
        super().__init__(
            f"the body is larger than {limit_bytes} bytes. Send one event a request.",
            {"limit_bytes": limit_bytes},
        )


class UnsupportedMediaType(ServiceError):
    """A body that is not declared as JSON."""

    status = 415
    code = "unsupported_media_type"
    title = "The body is not declared as application/json"
    example = "Content-Type must be application/json, got 'text/plain'."

    def __init__(self, content_type: str) -> None:
        """Name the type that came."""
        super().__init__(f"Content-Type must be application/json, got '{content_type}'.")


class MisdirectedHost(ServiceError):
    """A Host header that names another machine: a page in a browser may be behind it."""

    status = 421
    code = "misdirected_host"
    title = "The Host header does not name this machine"
    example = "Host 'evil.example' does not name this machine. Call http://127.0.0.1:8000."

    def __init__(self, host: str) -> None:
        """Name the host."""
        super().__init__(f"Host '{host}' does not name this machine. Call it as 127.0.0.1 or localhost.")


class InvalidRequest(ServiceError):
    """Fields that are missing, of the wrong type or out of range."""

    status = 422
    code = "invalid_request"
    title = "Fields are missing, of the wrong type or out of range"
    example = "account: Field required"

    def __init__(self, problems: Sequence[Mapping[str, str]]) -> None:
        """List the fields; values are left out because they may be identifiers."""
        first = problems[0] if problems else {"field": "request", "problem": "is not valid"}
        more = f" (and {len(problems) - 1} more)" if len(problems) > 1 else ""
        super().__init__(f"{first['field']}: {first['problem']}{more}", {"problems": list(problems)})


class TimestampInvalid(ServiceError):
    """A time that nobody can read."""

    status = 422
    code = "timestamp_invalid"
    title = "A time that nobody can read"
    example = (
        "event_timestamp must be ISO 8601 such as 2026-03-01T09:30:00Z, or Unix milliseconds, got 'noon'."
    )

    def __init__(self, problem: str) -> None:
        """Say what came and what was expected."""
        super().__init__(
            "event_timestamp must be ISO 8601 such as 2026-03-01T09:30:00Z, or Unix milliseconds, "
            f"got {problem}."
        )


class TimestampBefore1970(TimestampInvalid):
    """A time before Unix time begins."""

    code = "timestamp_before_1970"
    title = "event_timestamp lies before 1970"
    example = (
        "event_timestamp 1899-12-30T00:00:00Z lies before 1970. Spreadsheet dates and zeros end up there."
    )

    def __init__(self, shown: str) -> None:
        """Name the time."""
        ServiceError.__init__(
            self,
            f"event_timestamp {shown} lies before 1970. Spreadsheet dates and zeros end up there.",
            {"event_timestamp": shown},
        )


class TimestampInFuture(TimestampInvalid):
    """A time that lies ahead of the server's clock by more than the allowed skew."""

    code = "timestamp_in_future"
    title = "event_timestamp lies more than five minutes ahead of the server's clock"
    example = (
        "event_timestamp 2031-01-01T00:00:00Z lies more than 300 s ahead of the server's clock "
        "(2026-03-01T09:30:00Z). Check the sender's clock and unit."
    )

    def __init__(self, shown: str, server_time: str, allowed_s: float) -> None:
        """Name both clocks and the allowed skew."""
        ServiceError.__init__(
            self,
            f"event_timestamp {shown} lies more than {allowed_s:.0f} s ahead of the server's clock "
            f"({server_time}). Check the sender's clock and unit.",
            {"event_timestamp": shown, "server_time": server_time, "allowed_s": allowed_s},
        )


class InternalError(ServiceError):
    """Something that must not happen did."""

    example = "the service failed on this request. Its log has the request id 7f3a…"

    def __init__(self, request_id: str) -> None:
        """Name the request, so that its log can be found."""
        super().__init__(
            f"the service failed on this request. Its log has the request id {request_id}.",
            {"request_id": request_id},
        )


class Unavailable(ServiceError):
    """Something that the answer needs is not there now."""

    status = 503


class NotReady(Unavailable):
    """The service still warms up."""

    code = "not_ready"
    title = "The service still warms up"
    example = "the service still warms up. Ask again in a second."

    def __init__(self) -> None:
        """Say when to come back."""
        super().__init__("the service still warms up. Ask again in a second.")

    @property
    def headers(self) -> dict[str, str]:
        """When to come back."""
        return {"Retry-After": "1"}


class NotKept(Unavailable):
    """What must be kept could not be: nothing has changed."""

    code = "journal_unavailable"
    title = "The journal could not keep it; nothing has changed"
    example = "the journal cannot keep this now (database is locked); nothing has changed. Send it again."

    def __init__(self, problem: str) -> None:
        """Say what the journal said."""
        super().__init__(f"{problem}; nothing has changed. Send it again.")

    @property
    def headers(self) -> dict[str, str]:
        """When to come back."""
        return {"Retry-After": "1"}


class FollowerOnly(Unavailable):
    """Something that only the process that writes the journal can do."""

    code = "follower"
    title = "This process follows the journal and writes nothing"
    example = "this process follows the journal and writes nothing. Send it to the one that writes."

    def __init__(self) -> None:
        """Say where to go."""
        super().__init__(
            "this process follows the journal and writes nothing. Send it to the one that writes."
        )


class RingsUnavailable(Unavailable):
    """No rings run is there or it cannot be read."""

    code = "rings_unavailable"
    title = "There is no rings run, or it cannot be read"
    example = "there is no rings run. Run `ringwatch rings`; a running service takes it up."

    def __init__(self, problem: str) -> None:
        """Say what is missing."""
        super().__init__(f"{problem}. Run `ringwatch rings`; a running service takes it up.")


class ScoresUnavailable(Unavailable):
    """No bundle is there or it cannot be read."""

    code = "scores_unavailable"
    title = "There is no bundle, or it cannot be read"
    example = "there is no bundle. Run `ringwatch train`; a running service takes it up."

    def __init__(self, problem: str) -> None:
        """Say what is missing."""
        super().__init__(f"{problem}. Run `ringwatch train`; a running service takes it up.")


def problems_of(errors: Iterable[Mapping[str, Any]]) -> list[dict[str, str]]:
    """Describe what pydantic found, without the values, which may be identifiers.

    Args:
        errors: As `ValidationError.errors()` gives them.

    Returns:
        Up to 20 fields and what is wrong with each.
    """
    problems: list[dict[str, str]] = []
    for error in itertools.islice(errors, MAX_PROBLEMS):
        field = ".".join(str(part)[:64] for part in error["loc"][:8]) or "body"
        problems.append({"field": field, "problem": str(error["msg"]).removeprefix("Value error, ")[:200]})
    return problems


def responses(*errors: type[ServiceError]) -> dict[int | str, dict[str, Any]]:
    """Describe errors for OpenAPI, with one example each.

    Args:
        errors: What an endpoint can answer instead of its result.

    Returns:
        The `responses` argument of a FastAPI route.
    """
    described: dict[int | str, dict[str, Any]] = {}
    for error in errors:
        entry = described.setdefault(
            error.status,
            {"model": ErrorBody, "description": "", "content": {"application/json": {"examples": {}}}},
        )
        entry["description"] = "; ".join(filter(None, [entry["description"], error.title]))
        entry["content"]["application/json"]["examples"][error.code] = {
            "summary": error.title,
            "value": {"error": {"code": error.code, "message": error.example, "detail": None}},
        }
    return described


def catalogue() -> tuple[type[ServiceError], ...]:
    """List every error that a request can get, by status and code."""
    found: list[type[ServiceError]] = []
    waiting: list[type[ServiceError]] = list(ServiceError.__subclasses__())
    while waiting:
        error = waiting.pop()
        waiting.extend(error.__subclasses__())
        if error is not Unavailable:
            found.append(error)
    return tuple(sorted(found, key=lambda error: (error.status, error.code)))
