"""Reads the body of a request that a path parses itself."""

from starlette.requests import Request

from scoring_service.errors import UnsupportedMediaType


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
