"""What an answer costs without us: FastAPI that reads a RiskRequest and sends a RiskAnswer, nothing between.

    BENCH_ANSWER=FILE python -m benchmarks.serve.bare PORT

``/v1/risk`` is written as FastAPI's own documentation writes an endpoint. ``/lean`` does the same work with
pydantic alone, as the service does. Both send the one answer that the file holds, with the request's ids.
The server's settings are the service's.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

import uvicorn
from fastapi import FastAPI, Request
from starlette.responses import Response

from scoring_service.risk.schemas import RiskAnswer, RiskRequest

ANSWER_VARIABLE = "BENCH_ANSWER"


def create_app(template: RiskAnswer) -> FastAPI:
    """Build the app.

    Args:
        template: What every answer says, but for the ids.

    Returns:
        The app.
    """
    app = FastAPI(docs_url=None, redoc_url=None)

    def answer_to(event: RiskRequest) -> RiskAnswer:
        return template.model_copy(update={"event_id": event.event_id, "account_id": event.account.id})

    @app.post("/v1/risk")
    async def post_risk(event: RiskRequest) -> RiskAnswer:
        return answer_to(event)

    @app.post("/lean", response_model=RiskAnswer)
    async def post_lean(request: Request) -> Response:
        event = RiskRequest.model_validate_json(await request.body())
        return Response(answer_to(event).model_dump_json(), media_type="application/json")

    @app.get("/readyz")
    async def get_readiness() -> dict[str, str]:
        return {"status": "ready"}

    return app


def main() -> None:
    """Serve until stopped."""
    template = RiskAnswer.model_validate_json(Path(os.environ[ANSWER_VARIABLE]).read_bytes())
    uvicorn.run(
        create_app(template),
        host="127.0.0.1",
        port=int(sys.argv[1]),
        log_config=None,
        access_log=False,
        server_header=False,
    )


if __name__ == "__main__":
    main()
