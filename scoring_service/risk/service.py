"""Scores the account behind one event and decides; answers whatever is missing."""

import secrets
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import structlog
from numpy.typing import NDArray

import gnn
from features import Queries
from graph_etl import NO_TIME
from scoring_service.loading import Loaded, Problem, plain
from scoring_service.logs import places
from scoring_service.policy import Decided, Evidence, RingTie, SharedUse, decide
from scoring_service.risk.reading import Reading, read_time
from scoring_service.risk.schemas import (
    Degraded,
    PolicyUsed,
    RiskAnswer,
    RiskReason,
    RiskRequest,
    RiskRing,
    RiskWarning,
)

MAX_REASONS = 5
# Two accounts of prior weight at the graph's base rate: one confirmed bad user of one gives about a third.
PRIOR_ACCOUNTS = 2.0
_log = structlog.get_logger("scoring_service")


@dataclass(frozen=True, slots=True)
class Scored:
    """A score and where it came from."""

    score: float | None
    percentile: float | None
    calibrated: bool
    reasons: Sequence[RiskReason]
    degraded: Degraded | None


@dataclass(frozen=True, slots=True)
class _Asked:
    """One request in the graph's terms.

    Attributes:
        account: Account index; None for one that the graph has not seen.
        time_ms: When the event happened.
        horizon: Rows with a position below it are visible.
        users: For each identifier of event and account, the accounts that used it, hubs left out.
        shared: Those of the identifiers that a confirmed bad account used.
    """

    account: int | None
    time_ms: int
    horizon: int
    users: Sequence[NDArray[np.int32]]
    shared: Sequence[SharedUse]


@dataclass(frozen=True, slots=True)
class _ReachedRing:
    """A ring's row of the ranked table; without a role where only identifiers lead there."""

    row: dict[str, Any]
    role: str | None

    def as_answer(self) -> RiskRing:
        """Return it as it is sent."""
        return RiskRing(
            id=self.row["ring"],
            rank=self.row["rank"],
            score=self.row["score"],
            q_value=self.row["q_value"],
            size=self.row["size"],
            known_bad=self.row["n_known_bad"],
            role=self.role,
            membership="shares_identifier" if self.role is None else "member",
        )


class RiskService:
    """Answers `POST /v1/risk`.

    Args:
        loaded: What the service has loaded.
        max_skew_ms: How far an event's time may lie ahead of the server's clock.
        clock: The server's clock, seconds since 1970.
    """

    def __init__(self, loaded: Loaded, *, max_skew_ms: int, clock: Callable[[], float] = time.time) -> None:
        self._loaded = loaded
        self._max_skew_ms = max_skew_ms
        self._clock = clock

    def assess(self, request: RiskRequest) -> RiskAnswer:
        """Score and decide.

        Args:
            request: The event.

        Returns:
            The answer; degraded, never missing.

        Raises:
            TimestampInvalid: If the event's time cannot be, or one of its subclasses.
        """
        loaded = self._loaded
        at = read_time(request.event_timestamp, now_ms=int(self._clock() * 1000), skew_ms=self._max_skew_ms)
        reading = loaded.reader.read(request)
        asked = self._look_up(reading, at.ms)
        moment = loaded.moments.of(asked.account, at.ms)
        scored = self._score(reading, asked, moment)
        ring = self._reached_ring(asked)
        decided = self._decide(asked, moment, scored, ring)
        return RiskAnswer(
            id=f"ra_{secrets.token_hex(10)}",
            event_id=request.event_id,
            account_id=request.account.id,
            accepted=False,
            event_seq=None,
            score=scored.score,
            percentile=scored.percentile,
            calibrated=scored.calibrated,
            risk_level=decided.level,
            decision=decided.decision,
            policy=PolicyUsed(
                name=loaded.policy.name, version=loaded.policy.version, moment=moment, rule=decided.rule
            ),
            reasons=list(scored.reasons),
            ring=None if ring is None else ring.as_answer(),
            model_version=loaded.bundle_version,
            graph_as_of=loaded.graph_as_of,
            simulated=loaded.simulated,
            warnings=[*at.warnings, *reading.warnings, *self._warnings(at.ms)],
            degraded=scored.degraded or self._without_rings(),
        )

    def _look_up(self, reading: Reading, time_ms: int) -> _Asked:
        loaded = self._loaded
        account = loaded.accounts.find(reading.account_id)
        horizon = min(loaded.snapshot.horizon_at(time_ms), loaded.snapshot.end_horizon)
        entities = dict.fromkeys(
            (kind, node)
            for kind, key in reading.identifiers
            if (node := loaded.snapshot.node_index(kind, key)) is not None
        )
        if account is not None:
            entities |= dict.fromkeys(loaded.accounts.nodes_of(account, horizon))
        users = []
        for kind, node in entities:
            found = loaded.accounts.users(kind, node, horizon)
            if found is not None:
                users.append(found if account is None else found[found != account])
        shared = loaded.accounts.shared_with_bad(account, entities, horizon, time_ms)
        return _Asked(account, time_ms, horizon, users, shared)

    def _score(self, reading: Reading, asked: _Asked, moment: str) -> Scored:
        loaded = self._loaded
        if loaded.scorer is None:
            return self._fall_back(asked, loaded.problems["bundle"])
        try:
            queries = Queries.for_event(
                loaded.snapshot,
                reading.account_id,
                # Where nothing is timed, training knew no time either.
                time_ms=NO_TIME if loaded.accounts.end_ms == NO_TIME else asked.time_ms,
                identifiers=reading.identifiers,
                interactions=reading.interactions,
                attributes=reading.attributes,
            )
            result = loaded.scorer.score(queries, moment)
            reasons = gnn.reasons(loaded.scorer, queries, result, row=0, top=MAX_REASONS)
        except Exception as error:
            # The answer must not depend on the model; the log says where it broke.
            _log.error("risk.scoring_failed", error=type(error).__name__, where=places(error))
            return self._fall_back(asked, Problem("scoring_failed", "the model failed on this event"))
        return Scored(
            score=_finite(result.score[0]),
            percentile=_finite(result.percentile[0]),
            calibrated=loaded.calibrated,
            reasons=[reason_of(reason) for reason in reasons],
            degraded=None,
        )

    def _fall_back(self, asked: _Asked, problem: Problem) -> Scored:
        """Answer from the last score, else from the identifiers' reputation, else leave it to the policy."""
        loaded = self._loaded
        if asked.account is not None:
            score, percentile = loaded.last_score(asked.account)
            if score is not None:
                degraded = Degraded(reason=problem.reason, message=problem.message, fallback="last_score")
                return Scored(score, percentile, loaded.calibrated, self._contact(asked), degraded)
        reputation = self._reputation(asked)
        degraded = Degraded(
            reason=problem.reason,
            message=problem.message,
            fallback="policy_default" if reputation is None else "identifier_reputation",
        )
        return Scored(reputation, None, False, self._contact(asked), degraded)

    def _contact(self, asked: _Asked) -> list[RiskReason]:
        """Tell of contact with confirmed bad accounts, which needs no model."""
        snapshot = self._loaded.snapshot
        code = "SHARED_WITH_CONFIRMED_BAD"
        return [
            RiskReason(
                code=code,
                message=_shared_words(use),
                impact=None,
                evidence=[
                    {
                        "type": "shared_node",
                        "kind": use.kind,
                        "key": snapshot.node_keys[use.node],
                        "accounts": use.others,
                        "known_bad": use.bad,
                    }
                ],
                safe_for_user=gnn.REASON_CATALOGUE[code].safe_for_user,
            )
            for use in sorted(asked.shared, key=lambda use: (use.others, use.kind, use.node))[:MAX_REASONS]
        ]

    def _reputation(self, asked: _Asked) -> float | None:
        """Shrunken share of confirmed bad accounts among those that used an identifier; the worst one's."""
        bad_from_ms = self._loaded.accounts.bad_from_ms
        base_rate = float(np.mean(bad_from_ms <= asked.time_ms)) if len(bad_from_ms) else 0.0
        shares = [
            (np.count_nonzero(bad_from_ms[users] <= asked.time_ms) + PRIOR_ACCOUNTS * base_rate)
            / (len(users) + PRIOR_ACCOUNTS)
            for users in asked.users
            if len(users)
        ]
        return float(max(shares)) if shares else None

    def _reached_ring(self, asked: _Asked) -> _ReachedRing | None:
        rings = self._loaded.rings
        if rings is None:
            return None
        found = None if asked.account is None else rings.membership(asked.account)
        found = found or rings.reached_by(asked.users)
        row = None if found is None else rings.row(found.ring)
        return None if found is None or row is None else _ReachedRing(row, found.role)

    def _decide(self, asked: _Asked, moment: str, scored: Scored, ring: _ReachedRing | None) -> Decided:
        accounts = self._loaded.accounts
        evidence = Evidence(
            confirmed_bad=asked.account is not None
            and accounts.is_confirmed_bad(asked.account, asked.time_ms),
            shared=asked.shared,
            ring=None if ring is None else RingTie.of_row(ring.row, is_member=ring.role is not None),
        )
        return decide(
            self._loaded.policy,
            moment,
            score=scored.score,
            percentile=scored.percentile,
            calibrated=scored.calibrated,
            evidence=evidence,
        )

    def _warnings(self, time_ms: int) -> list[RiskWarning]:
        message = "the event was scored and not kept, because the service has no journal yet"
        return [
            *self._loaded.reader.span_warnings(time_ms),
            RiskWarning(code="not_accepted", message=message),
        ]

    def _without_rings(self) -> Degraded | None:
        problem = self._loaded.problems.get("rings")
        if problem is None:
            return None
        return Degraded(reason=problem.reason, message=problem.message, fallback=None)


def reason_of(reason: gnn.Reason) -> RiskReason:
    """Return a reason as it is sent."""
    return RiskReason(
        code=reason.code,
        message=reason.message,
        impact=_finite(reason.impact),
        evidence=plain(reason.evidence),
        safe_for_user=reason.safe_for_user,
    )


def _shared_words(use: SharedUse) -> str:
    others = f"{use.others} other account{'' if use.others == 1 else 's'}"
    return f"Shares {use.kind.replace('_', ' ')} with {others}, {use.bad} of them confirmed bad."


def _finite(value: float | None) -> float | None:
    if value is None:
        return None
    number = float(value)
    return number if np.isfinite(number) else None
