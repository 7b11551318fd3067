"""The console: one page, its script and its style, all from this process and nothing from elsewhere."""

from pathlib import Path
from typing import Final

from fastapi import APIRouter
from starlette.responses import Response

router = APIRouter(include_in_schema=False)

_FOLDER: Final = Path(__file__).parent
_HEADERS: Final = {
    # Nothing from elsewhere, nothing inline, no framing: an account's id may hold anything.
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; "
    "img-src 'self' data:; form-action 'self'; base-uri 'none'; frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-cache",
}


def _file(name: str, media_type: str) -> Response:
    return Response((_FOLDER / name).read_bytes(), media_type=media_type, headers=dict(_HEADERS))


@router.get("/")
def get_console() -> Response:
    """Return the page."""
    return _file("console.html", "text/html; charset=utf-8")


@router.get("/console/console.js")
def get_script() -> Response:
    """Return the script."""
    return _file("console.js", "text/javascript; charset=utf-8")


@router.get("/console/style.css")
def get_style() -> Response:
    """Return the style."""
    return _file("style.css", "text/css; charset=utf-8")
