"""Rows to keep, small and told apart by a number."""

import json

from graph_etl import LiveEvent
from scoring_service.journal import Answered, Entry


def event(number: int, *, account: str | None = None, event_id: str | None = "") -> LiveEvent:
    """A sign-up; its id comes from its number unless another is given."""
    return LiveEvent(
        "signup",
        account or f"u-{number}",
        1_700_000_000_000 + number,
        f"e-{number}" if event_id == "" else event_id,
        identifiers=(("device", f"{number % 7:032x}"), ("ip", f"{number % 5:032x}")),
        attributes={"country": "DE", "age": 3.5},
    )


def answered(number: int, **words: object) -> Answered:
    """What was answered to it."""
    return Answered(
        horizon=number,
        snapshot="s-1",
        bundle="b-1",
        rings=None,
        moment="signup",
        score=0.25,
        margin=-1.5,
        features=bytes(range(8)),
        answer=json.dumps({"score": 0.25, **words}).encode(),
        shadow=b'{"score":0.5}',
    )


def entry(number: int, **options: object) -> Entry:
    """An event with its answer."""
    return Entry(event(number, **options), answered(number))  # type: ignore[arg-type]
