"""Sign-ups like those that wrk sends, for what is measured without it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from benchmarks.serve.data import END_MS

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


def sign_ups(known: Path, n_events: int, name: str) -> Iterator[dict[str, Any]]:
    """Make bodies of ``POST /v1/risk``; a third bring identifiers that nobody has seen.

    Args:
        known: Identifiers that the graph knows, one account a line.
        n_events: How many.
        name: Events of different names have different ids.

    Yields:
        The bodies.
    """
    lines = known.read_text().splitlines()
    for at in range(n_events):
        device, ip, email, card = lines[at * 7919 % len(lines)].split("\t")
        identifiers = {"device": device, "ip": ip, "email": email} | ({"card": card} if card else {})
        if at % 3 == 2:
            identifiers = {
                "device": f"new-{name}-{at}",
                "ip": f"12.{at // 62_500 % 250}.{at // 250 % 250}.{at % 250 + 1}",
                "email": f"new-{name}-{at}@mail.example",
                "card": f"new-{name}-{at}",
            }
        yield {
            "event_type": "signup",
            "event_id": f"ev-{name}-{at}",
            "event_timestamp": END_MS + at * 20,
            "account": {"id": f"b-{name}-{at}"},
            "identifiers": identifiers,
            "properties": {"country": "DE", "client": "web", "form_s": 30.5, "newsletter": False},
        }
