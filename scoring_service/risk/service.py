"""Scores the account behind one event and decides; answers whatever is missing."""

import secrets
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import orjson
import structlog
from numpy.typing import NDArray

import gnn
from features import Queries
from gnn.counterfactual import counterfactuals
from graph_etl import NO_TIME, LiveEvent
from scoring_service.journal import Answered
from scoring_service.loading import Loaded, Problem, Shadow, plain
from scoring_service.logs import places
from scoring_service.policy import Decided, Evidence, RingTie, SharedUse, decide
from scoring_service.risk.reading import Reading, read_time, span_warnings
from scoring_service.risk.schemas import RiskReason, RiskRequest, RiskWarning, WithoutIt

MAX_REASONS = 5
# Two accounts of prior weight at the graph's base rate: one confirmed bad user of one gives about a third.
PRIOR_ACCOUNTS = 2.0
_log = structlog.get_logger("scoring_service")


@dataclass(frozen=True, slots=True)
class Assessed:
    """What is answered about one event, and what the journal keeps of it.

    Attributes:
        event: The event in the graph's terms.
        answer: The answer without `accepted` and `event_seq`, which only the journal can tell.
        answered: What the journal keeps beside the event.
    """

    event: LiveEvent
    answer: dict[str, Any]
    answered: Answered


@dataclass(frozen=True, slots=True)
class _Scored:
    """A score and where it came from; `result` is None where it did not come from the models."""

    score: float | None
    percentile: float | None
    calibrated: bool
    result: gnn.ScoreResult | None
    degraded: dict[str, Any] | None


@dataclass(frozen=True, slots=True)
class _Asked:
    """One request in the graph's terms.

    Attributes:
        question: It, with its own edges.
        account: Account index; None for one that the graph has not seen.
        company: Kind, node and other users of each identifier of event and account; hubs left out.
        shared: Those of the identifiers that a confirmed bad account used.
        blocked: Whether one of the event's identifiers stands on the block list.
    """

    question: Queries
    account: int | None
    company: Sequence[tuple[str, int, NDArray[np.int64]]]
    shared: Sequence[SharedUse]
    blocked: bool


@dataclass(frozen=True, slots=True)
class _ReachedRing:
    """A ring's row of the ranked table; without a role where only identifiers lead there."""

    row: dict[str, Any]
    role: str | None
    users: int

    def as_answer(self) -> dict[str, Any]:
        """Return it as it is sent."""
        return {
            "id": self.row["ring"],
            "rank": self.row["rank"],
            "score": self.row["score"],
            "q_value": self.row["q_value"],
            "size": self.row["size"],
            "known_bad": self.row["n_known_bad"],
            "role": self.role,
            "membership": "shares_identifier" if self.role is None else "member",
        }

    def as_tie(self) -> RingTie:
        """Return it as a policy looks at it."""
        return RingTie.of_row(self.row, is_member=self.role is not None, users=self.users)


class RiskService:
    """Scores events and decides; keeps nothing.

    Args:
        max_skew_ms: How far an event's time may lie ahead of the server's clock.
        clock: The server's clock, seconds since 1970.
    """

    def __init__(self, *, max_skew_ms: int, clock: Callable[[], float] = time.time) -> None:
        self._max_skew_ms = max_skew_ms
        self._clock = clock

    def read(self, loaded: Loaded, request: RiskRequest) -> tuple[LiveEvent, int, list[RiskWarning]]:
        """Read an event in the terms of a generation.

        Args:
            loaded: The generation.
            request: The event.

        Returns:
            The event, its time (also where the graph knows no times), and what was assumed or left out.

        Raises:
            TimestampInvalid: If the event's time cannot be, or one of its subclasses.
        """
        at = read_time(request.event_timestamp, now_ms=int(self._clock() * 1000), skew_ms=self._max_skew_ms)
        reading = loaded.reader.read(request)
        _warn_of_unknown(loaded, reading)
        warnings = [*at.warnings, *reading.warnings, *span_warnings(at.ms, loaded.start_ms, loaded.end_ms)]
        # Where nothing is timed, training knew no time either.
        return reading.event(at.ms if loaded.is_timed else NO_TIME), at.ms, warnings

    def assess(
        self,
        loaded: Loaded,
        request: RiskRequest,
        *,
        with_reasons: bool = False,
        with_counterfactuals: bool = False,
    ) -> Assessed:
        """Score and decide.

        Args:
            loaded: What to answer from.
            request: The event.
            with_reasons: Give reasons also where the decision is to allow.
            with_counterfactuals: Say of each reason what the score would be without its evidence.

        Returns:
            The answer; degraded, never missing.

        Raises:
            TimestampInvalid: If the event's time cannot be, or one of its subclasses.
        """
        event, time_ms, warnings = self.read(loaded, request)
        asked = _look_up(loaded, event)
        is_known = asked.account is not None
        moment = loaded.moments.of(is_known, int(asked.question.first_seen_ms[0]), time_ms)
        scored = _score(loaded, asked, moment, time_ms)
        ring = _reached_ring(loaded, asked)
        evidence = Evidence(
            confirmed_bad=asked.account is not None and loaded.accounts.is_known_bad(asked.account),
            shared=asked.shared,
            ring=None if ring is None else ring.as_tie(),
            blocked=asked.blocked,
        )
        decided = _decide(loaded, moment, scored, evidence)
        reasons: Sequence[RiskReason] = ()
        if with_reasons or with_counterfactuals or decided.decision != "allow":
            reasons = _reasons(loaded, asked, scored, with_counterfactuals)
        answer = {
            "id": f"ra_{secrets.token_hex(10)}",
            "event_id": request.event_id,
            "account_id": request.account.id,
            "score": scored.score,
            "percentile": scored.percentile,
            "calibrated": scored.calibrated,
            "risk_level": decided.level,
            "decision": decided.decision,
            "policy": {
                "name": loaded.policy.name,
                "version": loaded.policy.version,
                "moment": moment,
                "rule": decided.rule,
            },
            "reasons": [reason.model_dump() for reason in reasons],
            "ring": None if ring is None else ring.as_answer(),
            "model_version": loaded.bundle_version,
            "graph_as_of": loaded.graph_as_of,
            "simulated": loaded.simulated,
            "warnings": [warning.model_dump() for warning in warnings],
            "degraded": scored.degraded or _without_rings(loaded),
        }
        shadow = None
        if loaded.shadow is not None and scored.result is not None:
            shadow = _shadow(loaded, loaded.shadow, asked, time_ms, scored, evidence, decided)
        return Assessed(event, answer, _answered(loaded, moment, scored, shadow, answer))


def _look_up(loaded: Loaded, event: LiveEvent) -> _Asked:
    """Resolve an event once: its question, who else used its identifiers, and what of that is bad."""
    question = loaded.live.question(event)
    account = None if question.account[0] < 0 else int(question.account[0])
    kind_of = loaded.accounts.kind_of_relation
    nodes = [
        (kind_of[relation], node)
        for relation, node in zip(question.ext_relation.tolist(), question.ext_node.tolist(), strict=True)
        if node >= 0 and relation in kind_of
    ]
    if account is not None:
        nodes += loaded.accounts.nodes_of(account)
    company = loaded.accounts.company(account, nodes, event.time_ms)
    blocked = loaded.policy.blocked_keys
    return _Asked(
        question,
        account,
        company,
        loaded.accounts.shared_with_bad(company),
        bool(blocked) and any(identifier in blocked for identifier in event.identifiers),
    )


def _score(loaded: Loaded, asked: _Asked, moment: str, time_ms: int) -> _Scored:
    if loaded.scorer is None:
        return _fall_back(loaded, asked, loaded.problems["bundle"])
    if loaded.start_ms is not None and time_ms < loaded.start_ms:
        message = "the event lies before all that the graph knows, so a score of it would say nothing"
        return _fall_back(loaded, asked, Problem("event_before_graph", message))
    try:
        result = loaded.scorer.score(asked.question, moment)
    except Exception as error:
        # The answer must not depend on the model; the log says where it broke.
        _log.error("risk.scoring_failed", error=type(error).__name__, where=places(error))
        return _fall_back(loaded, asked, Problem("scoring_failed", "the model failed on this event"))
    return _Scored(
        score=_finite(result.score[0]),
        percentile=_finite(result.percentile[0]),
        calibrated=result.calibrated,
        result=result,
        degraded=None,
    )


def _fall_back(loaded: Loaded, asked: _Asked, problem: Problem) -> _Scored:
    """Answer from the last score, else from the identifiers' reputation, else leave it to the policy."""

    def degraded(fallback: str) -> dict[str, Any]:
        return degraded_by(problem, fallback)

    if asked.account is not None:
        score, percentile = loaded.last_score(asked.account)
        if score is not None:
            return _Scored(score, percentile, loaded.calibrated, None, degraded("last_score"))
    reputation = _reputation(loaded, asked)
    fallback = "policy_default" if reputation is None else "identifier_reputation"
    return _Scored(reputation, None, False, None, degraded(fallback))


def degraded_by(problem: Problem, fallback: str | None = None) -> dict[str, Any]:
    """Return a problem as the `degraded` of an answer.

    Args:
        problem: What is missing.
        fallback: Where the score came from instead; None where it is whole.

    Returns:
        The part of the answer.
    """
    return {"reason": problem.reason, "message": problem.message, "fallback": fallback}


def _reputation(loaded: Loaded, asked: _Asked) -> float | None:
    """Shrunken share of confirmed bad accounts among those that used an identifier; the worst one's."""
    shares = [
        (np.count_nonzero(loaded.accounts.known_bad(others)) + PRIOR_ACCOUNTS * loaded.base_rate)
        / (len(others) + PRIOR_ACCOUNTS)
        for _, _, others in asked.company
        if len(others)
    ]
    return float(max(shares)) if shares else None


def _reached_ring(loaded: Loaded, asked: _Asked) -> _ReachedRing | None:
    rings = loaded.rings
    if rings is None:
        return None
    found = None if asked.account is None else rings.membership(asked.account)
    found = found or rings.reached_by(others for _, _, others in asked.company)
    row = None if found is None else rings.row(found.ring)
    return None if found is None or row is None else _ReachedRing(row, found.role, found.users)


def _decide(loaded: Loaded, moment: str, scored: _Scored, evidence: Evidence) -> Decided:
    return decide(
        loaded.policy,
        moment,
        score=scored.score,
        percentile=scored.percentile,
        calibrated=scored.calibrated,
        evidence=evidence,
    )


def _without_rings(loaded: Loaded) -> dict[str, Any] | None:
    problem = loaded.problems.get("rings")
    return None if problem is None else degraded_by(problem)


def _reasons(
    loaded: Loaded, asked: _Asked, scored: _Scored, with_counterfactuals: bool
) -> Sequence[RiskReason]:
    if scored.result is None or loaded.scorer is None:
        return _contact(loaded, asked)
    try:
        found = gnn.reasons(loaded.scorer, asked.question, scored.result, row=0, top=MAX_REASONS)
        if with_counterfactuals:
            found = counterfactuals(
                loaded.scorer, asked.question, scored.result, reasons=found, named_only=True
            ).reasons
    except Exception as error:
        _log.error("risk.reasons_failed", error=type(error).__name__, where=places(error))
        return _contact(loaded, asked)
    return [reason_of(reason) for reason in found]


def _contact(loaded: Loaded, asked: _Asked) -> list[RiskReason]:
    """Tell of contact with confirmed bad accounts, which needs no model."""
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
                    "key": loaded.live.node_key(use.node),
                    "accounts": use.others,
                    "known_bad": use.bad,
                }
            ],
            safe_for_user=gnn.REASON_CATALOGUE[code].safe_for_user,
        )
        for use in sorted(asked.shared, key=lambda use: (use.others, use.kind, use.node))[:MAX_REASONS]
    ]


def _shadow(
    loaded: Loaded,
    shadow: Shadow,
    asked: _Asked,
    time_ms: int,
    scored: _Scored,
    evidence: Evidence,
    decided: Decided,
) -> dict[str, Any]:
    """Score beside the answer; whatever happens here, the answer stays as it is."""
    version = str(shadow.bundle.version)
    try:
        # Its models may know other moments than those that answer.
        moment = shadow.moments.of(asked.account is not None, int(asked.question.first_seen_ms[0]), time_ms)
        result = shadow.scorer.score(asked.question, moment)
        beside = replace(
            scored,
            score=_finite(result.score[0]),
            percentile=_finite(result.percentile[0]),
            calibrated=result.calibrated,
        )
        other = _decide(loaded, result.moment, beside, evidence)
    except Exception as error:
        if not shadow.errors:
            _log.error("shadow.scoring_failed", error=type(error).__name__, where=places(error))
        shadow.errors += 1
        return {"bundle": version, "error": type(error).__name__}
    shadow.answers += 1
    shadow.other_decisions += other.decision != decided.decision
    if beside.score is not None and scored.score is not None:
        difference = abs(beside.score - scored.score)
        shadow.sum_of_differences += difference
        shadow.greatest_difference = max(difference, shadow.greatest_difference)
    return {
        "bundle": version,
        "score": beside.score,
        "margin": _finite(result.margin[0]),
        "decision": other.decision,
    }


def _answered(
    loaded: Loaded, moment: str, scored: _Scored, shadow: dict[str, Any] | None, answer: dict[str, Any]
) -> Answered:
    result = scored.result
    return Answered(
        horizon=loaded.live.last_seq,
        snapshot=loaded.snapshot.id,
        bundle=loaded.bundle_version,
        rings=None if loaded.rings is None else loaded.rings.run.id,
        moment=moment,
        score=scored.score,
        margin=None if result is None else _finite(result.margin[0]),
        features=None if result is None else result.features[0].astype("<f4", copy=False).tobytes(),
        shadow=None if shadow is None else orjson.dumps(shadow),
        answer=orjson.dumps(answer),
    )


def _warn_of_unknown(loaded: Loaded, reading: Reading) -> None:
    unknown = sum(
        loaded.live.node_index(kind, key) is None
        for _, kind, key, _ in reading.interactions
        if kind == loaded.live.kinds[0].name
    )
    if unknown:
        reading.warn(
            "unknown_counterpart",
            "the graph has not seen the account at the other end of an interaction",
            {"interactions": unknown},
        )


def reason_of(reason: gnn.Reason) -> RiskReason:
    """Return a reason as it is sent."""
    return RiskReason(
        code=reason.code,
        message=reason.message,
        impact=_finite(reason.impact),
        evidence=plain(reason.evidence),
        safe_for_user=reason.safe_for_user,
        without=None if reason.without is None else WithoutIt(**reason.without),
    )


def _shared_words(use: SharedUse) -> str:
    others = f"{use.others} other account{'' if use.others == 1 else 's'}"
    return f"Shares {use.kind.replace('_', ' ')} with {others}, {use.bad} of them confirmed bad."


def _finite(value: float | None) -> float | None:
    if value is None:
        return None
    number = float(value)
    return number if np.isfinite(number) else None
