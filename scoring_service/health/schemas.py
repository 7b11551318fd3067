"""Answers of `/healthz` and `/readyz`."""

from typing import Literal

from pydantic import BaseModel, Field


class Health(BaseModel):
    """The process is alive."""

    status: Literal["ok"] = "ok"


class Readiness(BaseModel):
    """The process may get traffic."""

    status: Literal["ready", "degraded"] = Field(description="`degraded`: it answers, with fallbacks.")
    data_set: str
    accounts: int
    snapshot: str
    bundle: str | None
    rings: str | None
    policy: str
    graph_as_of: str | None
    simulated: bool
    journal: Literal["ok", "unavailable"] = Field(description="Whether events can be kept.")
    last_seq: int = Field(description="Last position of the journal that every answer sees.")
    problems: list[str] = Field(description="What is missing or broken, one line each.")
