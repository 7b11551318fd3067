"""Request and answer of `POST /v1/events`."""

from typing import Any

from pydantic import BaseModel, ConfigDict, Field

from scoring_service.errors import ErrorDetail
from scoring_service.risk.schemas import RiskRequest, RiskWarning

MAX_EVENTS = 1000


class EventBatch(BaseModel):
    """Up to 1000 events at once, in the order in which they happened."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    events: list[RiskRequest] = Field(min_length=1, max_length=MAX_EVENTS)


class EventResult(BaseModel):
    """What became of one event."""

    event_id: str | None
    accepted: bool = Field(description="Whether the event is kept and counts from now on.")
    event_seq: int | None = Field(description="Its position in the journal.")
    duplicate: bool = Field(description="It was kept before, at `event_seq`, and counts once.")
    warnings: list[RiskWarning]
    error: ErrorDetail | None = Field(description="Why it could not be read; the others were.")


class EventsAnswer(BaseModel):
    """What became of each event, in the order sent."""

    results: list[EventResult]
    accepted: int = Field(description="How many are kept, duplicates included.")


REQUESTS: dict[str, Any] = {
    "one": {
        "summary": "One event",
        "value": {
            "event_type": "login",
            "event_id": "ev-20260301-000020",
            "event_timestamp": "2026-03-01T09:35:00Z",
            "account": {"id": "player-00017"},
            "identifiers": {"device": "d-51aa07", "ip": "203.0.113.24"},
        },
    },
    "batch": {
        "summary": "A batch",
        "value": {
            "events": [
                {
                    "event_type": "gift",
                    "event_id": "ev-20260301-000021",
                    "event_timestamp": "2026-03-01T09:36:00Z",
                    "account": {"id": "player-00017"},
                    "interactions": [{"type": "gift", "to": "player-00021", "amount": 4.5}],
                },
                {
                    "event_type": "login",
                    "event_id": "ev-20260301-000022",
                    "event_timestamp": "2026-03-01T09:36:30Z",
                    "account": {"id": "player-00021"},
                    "identifiers": {"device": "d-51aa08"},
                },
            ]
        },
    },
}

ANSWER: dict[str, Any] = {
    "results": [
        {
            "event_id": "ev-20260301-000021",
            "accepted": True,
            "event_seq": 48114,
            "duplicate": False,
            "warnings": [],
            "error": None,
        },
        {
            "event_id": "ev-20260301-000022",
            "accepted": True,
            "event_seq": 48090,
            "duplicate": True,
            "warnings": [],
            "error": None,
        },
    ],
    "accepted": 2,
}
