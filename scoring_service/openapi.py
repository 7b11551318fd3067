"""The API's own description: examples, error shapes, and the requests that paths parse themselves."""

from typing import Any

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi

from scoring_service.errors import ErrorBody
from scoring_service.events.schemas import EventBatch
from scoring_service.labels.schemas import LabelRequest, NotLinkedRequest
from scoring_service.rings.schemas import BenignRequest
from scoring_service.risk.schemas import RiskRequest

VERSION = "1"
_DESCRIPTION = (
    "Scores accounts from the graph of what they share and do, groups those that act together into rings, "
    "and says why. Every error has the body `{error: {code, message, detail}}`; docs/api.md lists the codes."
)


def describe(app: FastAPI) -> None:
    """Make an app describe itself at `/openapi.json`.

    Args:
        app: The app, with all its routes.
    """

    def document() -> dict[str, Any]:
        if app.openapi_schema is None:
            app.openapi_schema = _document(app)
        return app.openapi_schema

    app.openapi = document  # type: ignore[method-assign]  # FastAPI's own way to replace it


def _document(app: FastAPI) -> dict[str, Any]:
    described = get_openapi(title="Ringwatch", version=VERSION, description=_DESCRIPTION, routes=app.routes)
    schemas = described.setdefault("components", {}).setdefault("schemas", {})
    template = "#/components/schemas/{model}"
    for model in (RiskRequest, EventBatch, LabelRequest, NotLinkedRequest, BenignRequest, ErrorBody):
        own = model.model_json_schema(ref_template=template)
        schemas.update(own.pop("$defs", {}))
        schemas[model.__name__] = own
    # Every 422 has our body; FastAPI's own model of it would be wrong.
    for name in ("HTTPValidationError", "ValidationError"):
        schemas.pop(name, None)
    return described
