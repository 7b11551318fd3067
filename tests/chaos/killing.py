"""Kills a real service under load, starts it again, and counts what the journal holds."""

from __future__ import annotations

import http.client
import random
import threading
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from ringwatch.live import Connection, LiveService
from scoring_service.journal import Journal

if TYPE_CHECKING:
    from pathlib import Path

COMMIT_MODES: Final = ("process", "disk")
_READY_WITHIN_S: Final = 120.0
_CLIENTS: Final = 4
_BATCH: Final = 3
# Long enough that every client has events answered, short enough that kills hit all parts of the way.
_LIVES_S: Final = (0.2, 1.2)


@dataclass(slots=True)
class Ledger:
    """What the clients were told; several threads write.

    Attributes:
        told: Position of each event that was answered with `accepted: true`, by its id.
        refused: Events that were answered with `accepted: false`.
        unanswered: Events whose answer never came.
        last: The last sign-up that was accepted: its account and its device.
    """

    told: dict[str, int] = field(default_factory=dict)
    refused: list[str] = field(default_factory=list)
    unanswered: list[dict[str, Any]] = field(default_factory=list)
    last: tuple[str, str] | None = None
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def note(self, event: dict[str, Any], answer: dict[str, Any]) -> None:
        """Note one answer."""
        with self._lock:
            if not answer["accepted"]:
                self.refused.append(event["event_id"])
                return
            self.told[event["event_id"]] = answer["event_seq"]
            self.last = (event["account"]["id"], event["identifiers"]["device"])

    def miss(self, events: list[dict[str, Any]]) -> None:
        """Note events that no answer came to."""
        with self._lock:
            self.unanswered += events


@dataclass(frozen=True, slots=True)
class Report:
    """What the kills did.

    Attributes:
        commit: Commit mode.
        kills: How often the service was killed.
        told: Events that clients were told to be accepted.
        unanswered: Events that were on the way when the service died, all sent again afterwards.
        kept_unanswered: Those of them that were in the journal already.
        rows: Rows of the journal in the end.
        restart_s: Seconds of each restart until ready.
    """

    commit: str
    kills: int
    told: int
    unanswered: int
    kept_unanswered: int
    rows: int
    restart_s: list[float]


def kill_often(workspace: Path, commit: str, *, kills: int, seed: int) -> Report:
    """Let clients send events, kill the service at a random moment, start it again; so many times.

    After each kill it must hold: positions have no gaps; every event that was answered with
    `accepted: true` is in the journal exactly once, at the position that was told; an event without an
    answer can be sent again and is there exactly once then; the next answer uses the last accepted event.

    Args:
        workspace: A workspace that this may write to, without a journal.
        commit: Commit mode.
        kills: How often.
        seed: Draws the moments.

    Returns:
        What happened.

    Raises:
        AssertionError: If something was lost, doubled or not used.
    """
    draw = random.Random(seed)
    database = workspace / "state.db"
    ledger, restart_s, unanswered, kept = Ledger(), [], 0, 0
    service = _started(workspace, commit)
    try:
        for life in range(kills):
            _load_until_killed(service, ledger, f"{commit}-{life}", draw.uniform(*_LIVES_S))
            service.__exit__(None, None, None)
            _check(database, ledger)
            service = _started(workspace, commit)
            restart_s.append(round(service.started_in_s, 2))
            unanswered += len(ledger.unanswered)
            kept += _send_again(service, ledger)
            _check(database, ledger)
            _check_next_answer(service, ledger, f"{commit}-{life}")
        rows = _check(database, ledger)
    finally:
        service.__exit__(None, None, None)
    assert ledger.refused == [], f"{len(ledger.refused)} events were not accepted though nothing was broken"
    return Report(commit, kills, len(ledger.told), unanswered, kept, rows, restart_s)


def _started(workspace: Path, commit: str) -> LiveService:
    service = LiveService(workspace, ready_within_s=_READY_WITHIN_S, environment={"RINGWATCH_COMMIT": commit})
    return service.__enter__()


def _event(name: str) -> dict[str, Any]:
    return {
        "event_type": "signup",
        "event_id": f"ev-{name}",
        "account": {"id": f"live-{name}", "country": "DE", "form_s": 40},
        "identifiers": {"device": f"dev-{name}", "ip": "86.0.0.1", "email": f"{name}@mail.example"},
    }


def _load_until_killed(service: LiveService, ledger: Ledger, name: str, seconds: float) -> None:
    """Send from several threads, kill the service after a while, return when all clients have noticed."""
    before = len(ledger.told)
    clients = [
        threading.Thread(target=_client, args=(service.port, ledger, f"{name}-{number}"))
        for number in range(_CLIENTS)
    ]
    for client in clients:
        client.start()
    while len(ledger.told) < before + _CLIENTS:  # a kill before the first answer would show nothing
        time.sleep(0.01)
    time.sleep(seconds)
    service.kill()
    for client in clients:
        client.join()


def _client(port: int, ledger: Ledger, name: str) -> None:
    """Send events until the service is gone: three of four to be scored, the others as batches of context."""
    connection, number = Connection(port), 0
    while True:
        number += 1
        is_batch = number % 4 == 0
        events = [_event(f"{name}-{number}-{part}") for part in range(_BATCH if is_batch else 1)]
        try:
            if is_batch:
                answers = connection.post("/v1/events", {"events": events}).body["results"]
            else:
                answers = [connection.post("/v1/risk", events[0]).body]
        except (OSError, http.client.HTTPException):
            ledger.miss(events)
            connection.close()
            return
        for event, answer in zip(events, answers, strict=True):
            ledger.note(event, answer)


def _send_again(service: LiveService, ledger: Ledger) -> int:
    """Send what was not answered once more; return how much of it was in the journal already."""
    kept, events = 0, list(ledger.unanswered)
    ledger.unanswered.clear()
    for event in events:
        answer = service.post("/v1/risk", event)
        kept += any(warning["code"] == "duplicate_event" for warning in answer["warnings"])
        ledger.note(event, answer)
    return kept


def _check(database: Path, ledger: Ledger) -> int:
    """Compare the journal with what clients were told; return its number of rows."""
    journal = Journal.open(database, read_only=True)
    try:
        rows = [(row.seq, getattr(row.content, "event_id", None)) for row in journal.rows()]
    finally:
        journal.close()
    assert [seq for seq, _ in rows] == list(range(1, len(rows) + 1)), "positions have gaps or repeat"
    seqs: dict[str, list[int]] = {}
    for seq, event_id in rows:
        if event_id is not None:
            seqs.setdefault(event_id, []).append(seq)
    doubled = {event_id: found for event_id, found in seqs.items() if len(found) > 1}
    assert not doubled, f"{len(doubled)} events are in the journal more than once"
    wrong = {event_id for event_id, seq in ledger.told.items() if seqs.get(event_id) != [seq]}
    assert not wrong, f"{len(wrong)} of {len(ledger.told)} accepted events are lost or elsewhere"
    return len(rows)


def _check_next_answer(service: LiveService, ledger: Ledger, name: str) -> None:
    """Confirm the account of the last accepted event as bad; who comes with its device next is denied."""
    assert ledger.last is not None
    account, device = ledger.last
    service.post("/v1/labels", {"account": account, "label": "bad", "source": "analyst"})
    event = _event(f"{name}-after")
    event["identifiers"]["device"] = device
    answer = service.post("/v1/risk", event)
    assert answer["decision"] == "deny"
    assert answer["policy"]["rule"] == "shares_rare_identifier_with_confirmed_bad"
    ledger.note(event, answer)
