"""Reads the body of a request that a path parses itself."""

from typing import TypeVar

from pydantic import BaseModel, ValidationError
from starlette.requests import Request

from scoring_service.errors import InvalidRequest, MalformedJson, UnsupportedMediaType, problems_of

_M = TypeVar("_M", bound=BaseModel)


async def json_body(request: Request) -> bytes:
    """Return the body of a request that says that it is JSON.

    Args:
        request: The request.

    Returns:
        The body, unread.

    Raises:
        UnsupportedMediaType: If it says anything else.
    """
    content_type = request.headers.get("content-type", "")
    if content_type != "application/json" and (
        content_type.partition(";")[0].strip().lower() != "application/json"
    ):
        raise UnsupportedMediaType(content_type[:100])
    return await request.body()


def parsed(model: type[_M], body: bytes) -> _M:
    """Read a body as what a path asks for.

    Args:
        model: What it asks for.
        body: The body.

    Returns:
        What the body says.

    Raises:
        MalformedJson: If it is no JSON document.
        InvalidRequest: If it says something else.
    """
    try:
        return model.model_validate_json(body)
    except ValidationError as error:
        found = error.errors(include_url=False, include_input=False)
        if found[0]["type"] == "json_invalid":
            problem = str(found[0].get("ctx", {}).get("error", "cannot be read"))[:200]
            raise MalformedJson(problem) from None
        raise InvalidRequest(problems_of(found)) from None
