"""Sends what happens in the simulated game to a running service, at its pace, over several connections."""

from __future__ import annotations

import http.client
import threading
import time
import zlib
from collections import Counter, deque
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from ringwatch.live import Answer, Connection, DemoError
from ringwatch.live_game import EVENTS, RISK

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from ringwatch.live_game import Happening

DECISIONS: Final = ("allow", "challenge", "review", "deny")
_MOST_TOGETHER: Final = 50
_RECENT_S: Final = 5.0
_SHOWN: Final = 6
_LONGEST_NAP_S: Final = 0.05


@dataclass(frozen=True, slots=True)
class SignUp:
    """The answer to one sign-up.

    Attributes:
        at: When it happened in the game.
        account: Who signed up.
        decision: `allow`, `challenge`, `review` or `deny`.
        score: Probability of bad; None where there was no score.
        rule: What settled the decision.
        reason: The first reason's message; None without one.
        code: The first reason's code; None without one.
    """

    at: str
    account: str
    decision: str
    score: float | None
    rule: str
    reason: str | None
    code: str | None


@dataclass(slots=True)
class _Sent:
    at_s: float
    took_s: float
    events: int
    is_risk: bool


@dataclass(frozen=True, slots=True)
class Pulse:
    """How the stream goes at this moment.

    Attributes:
        events_per_s: Events a second over the last seconds.
        p50_ms: Median latency of `/v1/risk` over the last seconds; None if nothing was asked.
        p99_ms: The same, all but one in a hundred.
        behind_s: How late the latest request was sent, seconds.
    """

    events_per_s: float
    p50_ms: float | None
    p99_ms: float | None
    behind_s: float


@dataclass(slots=True)
class Tally:
    """What came back so far; several threads write, one reads.

    Attributes:
        counts: Things that happened, by kind.
        decisions: Decisions on sign-ups.
        sign_ups: All answers to sign-ups by account.
        stopped: The latest that were not allowed, the newest first.
        risk_s: Latency of every answer of `/v1/risk`, seconds.
        not_accepted: Events that the service could not keep.
        degraded: Answers that were degraded, by reason.
        clock: Time of the game.
    """

    counts: Counter[str] = field(default_factory=Counter)
    decisions: Counter[str] = field(default_factory=Counter)
    sign_ups: dict[str, SignUp] = field(default_factory=dict)
    stopped: deque[SignUp] = field(default_factory=lambda: deque(maxlen=_SHOWN))
    risk_s: list[float] = field(default_factory=list)
    not_accepted: int = 0
    degraded: Counter[str] = field(default_factory=Counter)
    clock: str = ""
    _recent: deque[_Sent] = field(default_factory=deque)
    _behind_s: float = 0.0
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def note_risk(self, one: Happening, answer: Answer, *, late_s: float) -> None:
        """Note an answer of `/v1/risk`."""
        body = answer.body
        with self._lock:
            self._note(one.at, [one.kind], answer, late_s, is_risk=True)
            self.risk_s.append(answer.took_s)
            self.not_accepted += not body["accepted"]
            if body["degraded"] is not None:
                self.degraded[body["degraded"]["reason"]] += 1
            if one.kind != "signup":
                return
            first = body["reasons"][0] if body["reasons"] else None
            sign_up = SignUp(
                at=one.at,
                account=one.account,
                decision=body["decision"],
                score=body["score"],
                rule=body["policy"]["rule"],
                reason=None if first is None else first["message"],
                code=None if first is None else first["code"],
            )
            self.sign_ups[one.account] = sign_up
            self.decisions[sign_up.decision] += 1
            if sign_up.decision != "allow":
                self.stopped.appendleft(sign_up)

    def note_kept(self, group: Sequence[Happening], answer: Answer, *, late_s: float) -> None:
        """Note an answer of `/v1/events` or `/v1/labels`."""
        with self._lock:
            self._note(group[-1].at, [one.kind for one in group], answer, late_s, is_risk=False)
            self.not_accepted += sum(not accepted for accepted in accepted_of(answer.body))

    def _note(self, at: str, kinds: Sequence[str], answer: Answer, late_s: float, *, is_risk: bool) -> None:
        self.clock = max(self.clock, at)
        self.counts.update(kinds)
        self._behind_s = late_s
        self._recent.append(_Sent(time.monotonic(), answer.took_s, len(kinds), is_risk))

    def pulse(self) -> Pulse:
        """Return how the last seconds went."""
        now = time.monotonic()
        with self._lock:
            while self._recent and self._recent[0].at_s < now - _RECENT_S:
                self._recent.popleft()
            events = sum(one.events for one in self._recent)
            took_ms = sorted(1000 * one.took_s for one in self._recent if one.is_risk)
            return Pulse(
                events_per_s=events / _RECENT_S,
                p50_ms=quantile(took_ms, 0.5),
                p99_ms=quantile(took_ms, 0.99),
                behind_s=self._behind_s,
            )


def quantile(ascending: Sequence[float], share: float) -> float | None:
    """Return the value below which a share of the values lies; None of none."""
    if not ascending:
        return None
    return ascending[min(len(ascending) - 1, int(share * len(ascending)))]


def accepted_of(body: Any) -> list[bool]:
    """Return whether each thing of an answer was kept; a verdict that was not is answered with an error."""
    return [bool(one["accepted"]) for one in body.get("results", [])]


class Stream:
    """Sends happenings when they are due.

    Each account's happenings stay on one connection, so that they keep their order; between connections the
    order may change a little, as it does in life.

    Args:
        port: Port of the service.
        happenings: What to send, in order of time.
        seconds: How long the whole may take.
        connections: Connections.
    """

    def __init__(
        self, port: int, happenings: Iterable[Happening], *, seconds: float, connections: int
    ) -> None:
        self.tally = Tally()
        self._port = port
        self._seconds = seconds
        self._lanes: list[list[Happening]] = [[] for _ in range(connections)]
        for one in happenings:
            self._lanes[zlib.crc32(one.account.encode()) % connections].append(one)
        self._problems: list[str] = []
        self._stop = threading.Event()
        self._started = 0.0
        self._threads = [threading.Thread(target=self._run, args=(lane,)) for lane in self._lanes]

    def start(self) -> None:
        """Begin to send."""
        self._started = time.monotonic()
        for thread in self._threads:
            thread.start()

    @property
    def is_running(self) -> bool:
        """Whether something is still to be sent."""
        return any(thread.is_alive() for thread in self._threads)

    @property
    def elapsed_s(self) -> float:
        """Seconds since it began."""
        return time.monotonic() - self._started

    def finish(self) -> None:
        """Wait for the end.

        Raises:
            DemoError: If the service refused something or went away.
        """
        for thread in self._threads:
            thread.join()
        if self._problems:
            raise DemoError(self._problems[0])

    def stop(self) -> None:
        """Send nothing more."""
        self._stop.set()
        for thread in self._threads:
            if thread.is_alive():
                thread.join()

    def _run(self, lane: list[Happening]) -> None:
        connection = Connection(self._port)
        try:
            self._send_all(connection, lane)
        except (OSError, http.client.HTTPException) as error:
            self._problems.append(f"the service went away: {type(error).__name__}: {error}")
        except DemoError as error:
            self._problems.append(str(error))
        finally:
            connection.close()
            if self._problems:
                self._stop.set()

    def _send_all(self, connection: Connection, lane: list[Happening]) -> None:
        at = 0
        while at < len(lane) and not self._stop.is_set():
            wait_s = self._due_s(lane[at]) - self.elapsed_s
            if wait_s > 0:
                self._stop.wait(min(wait_s, _LONGEST_NAP_S))
                continue
            group = self._together(lane, at)
            self._send(connection, group, late_s=-wait_s)
            at += len(group)

    def _due_s(self, one: Happening) -> float:
        return one.due * self._seconds

    def _together(self, lane: list[Happening], at: int) -> list[Happening]:
        """Return what goes in one request: context that is due too follows context."""
        group = [lane[at]]
        if lane[at].path != EVENTS:
            return group
        elapsed_s = self.elapsed_s
        for one in lane[at + 1 : at + _MOST_TOGETHER]:
            if one.path != EVENTS or self._due_s(one) > elapsed_s:
                break
            group.append(one)
        return group

    def _send(self, connection: Connection, group: list[Happening], *, late_s: float) -> None:
        path = group[0].path
        body = {"events": [one.body for one in group]} if path == EVENTS else group[0].body
        answer = connection.post(path, body)
        if answer.status >= 300:
            problem = f"POST {path} answered {answer.status}: {str(answer.body)[:300]}"
            raise DemoError(problem)
        if path == RISK:
            self.tally.note_risk(group[0], answer, late_s=late_s)
        else:
            self.tally.note_kept(group, answer, late_s=late_s)
