"""Applying a policy: to one account with its evidence, or to all accounts at once."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

import numpy as np
import yaml
from numpy.typing import NDArray
from pydantic import TypeAdapter, ValidationError

from rings.benign import CONFIRMED
from scoring_service.errors import PolicyError
from scoring_service.policy.schemas import (
    DECISIONS,
    RISK_LEVELS,
    AttachedToConfirmedRing,
    BlockedIdentifier,
    BlockedKeys,
    BlockList,
    ConfirmedAccount,
    ConfirmedRing,
    Decision,
    Policy,
    RiskLevel,
    SharedIdentifier,
    TiedToRing,
)

DEFAULT_POLICY = Path(__file__).with_name("default.yaml")
_BLOCKED_KEYS: TypeAdapter[BlockedKeys] = TypeAdapter(BlockedKeys)


@dataclass(frozen=True, slots=True)
class SharedUse:
    """An identifier that an account shares with others.

    Attributes:
        kind: Kind of the identifier.
        node: Its node.
        others: Other accounts that used it.
        bad: Confirmed bad accounts among them.
    """

    kind: str
    node: int
    others: int
    bad: int


@dataclass(frozen=True, slots=True)
class RingTie:
    """A ring that an account belongs to, or that its identifiers lead to.

    Attributes:
        is_member: Whether the account is in the ring itself.
        size: Accounts in the ring.
        known_bad: Confirmed bad accounts in it.
        score: Its score.
        q_value: Chance that it is a false discovery.
        users: Accounts on the rarest identifier that leads there; 0 for a member.
    """

    is_member: bool
    size: int
    known_bad: int
    score: float
    q_value: float
    users: int = 0

    @classmethod
    def of_row(cls, row: Mapping[str, Any], *, is_member: bool, users: int = 0) -> Self:
        """Read a row of the ranked table of rings."""
        score, q_value = row["score"], row["q_value"]
        if row.get("status") == CONFIRMED:
            # Confirmed bad members stay what they are; that the group hangs together says nothing.
            score, q_value = None, None
        return cls(
            is_member=is_member,
            size=row["size"],
            known_bad=row["n_known_bad"],
            score=0.0 if score is None else score,
            q_value=1.0 if q_value is None else q_value,
            users=users,
        )


@dataclass(frozen=True, slots=True)
class Evidence:
    """What a policy may look at beside the score.

    Attributes:
        confirmed_bad: Whether the account itself is confirmed bad.
        shared: Its identifiers that are no hubs and that a confirmed bad account used.
        ring: The ring that it belongs to, or that its identifiers lead to.
        blocked: Whether it comes with an identifier on the block list.
    """

    confirmed_bad: bool = False
    shared: Sequence[SharedUse] = field(default_factory=tuple)
    ring: RingTie | None = None
    blocked: bool = False


@dataclass(frozen=True, slots=True)
class Decided:
    """What a policy says.

    Attributes:
        level: Risk level.
        decision: What to do.
        rule: What settled it: `threshold`, `fallback` or the name of an evidence rule.
    """

    level: RiskLevel
    decision: Decision
    rule: str


def load_policy(path: Path | None = None) -> Policy:
    """Read a policy file.

    Args:
        path: The file; the one that comes with the package when None.

    Returns:
        The policy.

    Raises:
        PolicyError: If the file or its block list is missing, is no YAML or breaks a rule of the format.
    """
    path = path or DEFAULT_POLICY
    document = _read_yaml(path)
    try:
        policy = Policy.model_validate(document)
    except ValidationError as error:
        raise _policy_error(path, error) from None
    if policy.blocked.file is None:
        return policy
    return policy.model_copy(update={"blocked": _with_side_file(path, policy.blocked)})


def files_of(path: Path | None, policy: Policy) -> tuple[Path, ...]:
    """Name the files that a policy was read from, to see when one of them changes.

    Args:
        path: As given to `load_policy`.
        policy: What it returned.

    Returns:
        The policy file and its block list, if that is a file of its own.
    """
    path = path or DEFAULT_POLICY
    side = policy.blocked.file
    return (path,) if side is None else (path, path.parent / side)


def _with_side_file(path: Path, blocked: BlockList) -> BlockList:
    side = path.parent / str(blocked.file)
    try:
        named = _BLOCKED_KEYS.validate_python(_read_yaml(side) or {})
    except ValidationError as error:
        raise _policy_error(side, error) from None
    kinds = dict.fromkeys([*blocked.keys, *named])
    together = {kind: (*blocked.keys.get(kind, ()), *named.get(kind, ())) for kind in kinds}
    return BlockList(file=blocked.file, keys=together)


def _policy_error(path: Path, error: ValidationError) -> PolicyError:
    first = error.errors(include_url=False)[0]
    where = ".".join(str(part) for part in first["loc"]) or "file"
    return PolicyError(path, where, first["msg"].removeprefix("Value error, "))


def _read_yaml(path: Path) -> Any:
    try:
        return yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "is no UTF-8 text"
        raise PolicyError(path, "file", str(reason)) from None
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        where = "file" if mark is None else f"line {mark.line + 1}, column {mark.column + 1}"
        raise PolicyError(path, where, str(getattr(error, "problem", None) or "is no YAML")) from None


def decide(
    policy: Policy,
    moment: str,
    *,
    score: float | None,
    percentile: float | None,
    calibrated: bool,
    evidence: Evidence,
) -> Decided:
    """Turn one score and its evidence into a decision.

    Args:
        policy: The policy.
        moment: When the score was asked for.
        score: Probability in [0, 1]; None where nothing could be scored.
        percentile: Rank among all accounts, 0 to 100; None where unknown.
        calibrated: Whether `score` is a calibrated probability; if not, `percentile` counts.
        evidence: What else is known of the account.

    Returns:
        The decision; evidence raises what the score says and never lowers it.
    """
    decided = _by_score(policy, moment, score, percentile, calibrated)
    ring = evidence.ring
    if not (evidence.confirmed_bad or evidence.shared or evidence.blocked or ring is not None):
        # No rule holds without anything to look at: most sign-ups end here.
        return decided
    for rule in policy.evidence:
        if not rule.applies_at(moment):
            continue
        if isinstance(rule, ConfirmedAccount):
            holds = evidence.confirmed_bad
        elif isinstance(rule, SharedIdentifier):
            holds = any(
                use.kind not in rule.except_kinds
                and use.bad > 0
                and use.others <= rule.max_accounts
                and use.bad >= rule.min_bad_share * use.others
                for use in evidence.shared
            )
        elif isinstance(rule, BlockedIdentifier):
            holds = evidence.blocked
        elif isinstance(rule, TiedToRing):
            holds = (
                ring is not None
                and ring.size >= rule.min_size
                and ring.score >= rule.min_ring_score
                and ring.q_value <= rule.max_q_value
            )
        else:
            holds = ring is not None and _reaches_confirmed(rule, ring)
        if holds and DECISIONS.index(rule.decision) > DECISIONS.index(decided.decision):
            level = max(rule.level, decided.level, key=RISK_LEVELS.index)
            decided = Decided(level, rule.decision, rule.rule)
    return decided


def _reaches_confirmed(rule: ConfirmedRing | AttachedToConfirmedRing, ring: RingTie) -> bool:
    if ring.known_bad < rule.min_known_bad or ring.known_bad < rule.min_known_bad_share * ring.size:
        return False
    if isinstance(rule, ConfirmedRing):
        return ring.is_member
    return not ring.is_member and ring.users <= rule.max_accounts


def _by_score(
    policy: Policy, moment: str, score: float | None, percentile: float | None, calibrated: bool
) -> Decided:
    for threshold in policy.thresholds(moment):
        if score is not None and (calibrated or percentile is None):
            reached = score >= threshold.score
        elif percentile is not None:
            reached = percentile >= threshold.percentile
        else:
            break
        if reached:
            return Decided(threshold.level, threshold.decision, "threshold")
    return Decided(policy.fallback.level, policy.fallback.decision, "fallback")


@dataclass(frozen=True, slots=True)
class EvidenceTable:
    """The evidence on `A` accounts at once.

    Attributes:
        confirmed_bad: `bool[A]`.
        shared: For each kind of identifier the uses of it, as three columns of equal length: account,
            other accounts that used the identifier, confirmed bad accounts among those.
        ring_size: `int64[A]`, size of the ring that each account is in, 0 without a ring.
        ring_known_bad: `int64[A]`.
        ring_score: `float64[A]`, 0 without a ring.
        ring_q_value: `float64[A]`, 1 without a ring.
        blocked: `bool[A]`, whether an identifier of the account stands on the block list.
    """

    confirmed_bad: NDArray[np.bool_]
    shared: Mapping[str, tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]]
    ring_size: NDArray[np.int64]
    ring_known_bad: NDArray[np.int64]
    ring_score: NDArray[np.float64]
    ring_q_value: NDArray[np.float64]
    blocked: NDArray[np.bool_]


def decide_all(
    policy: Policy,
    moment: str,
    *,
    score: NDArray[np.float64],
    percentile: NDArray[np.float64],
    calibrated: bool,
    evidence: EvidenceTable,
) -> tuple[NDArray[np.int8], NDArray[np.int8]]:
    """Turn the scores of all accounts into decisions; each equals what `decide` says of that account.

    Args:
        policy: The policy.
        moment: When the scores were asked for.
        score: `float64[A]`, NaN where an account could not be scored.
        percentile: `float64[A]`, 0 to 100, NaN where unknown.
        calibrated: Whether the scores are calibrated probabilities.
        evidence: What else is known of the accounts.

    Returns:
        `int8[A]` indices into `RISK_LEVELS` and `int8[A]` indices into `DECISIONS`.
    """
    by_score = ~np.isnan(score) & (calibrated | np.isnan(percentile))
    level = np.full(len(score), RISK_LEVELS.index(policy.fallback.level), dtype=np.int8)
    decision = np.full(len(score), DECISIONS.index(policy.fallback.decision), dtype=np.int8)
    for threshold in reversed(policy.thresholds(moment)):
        reached = np.where(by_score, score >= threshold.score, percentile >= threshold.percentile)
        level[reached] = RISK_LEVELS.index(threshold.level)
        decision[reached] = DECISIONS.index(threshold.decision)
    for rule in policy.evidence:
        if not rule.applies_at(moment):
            continue
        if isinstance(rule, ConfirmedAccount):
            holds = evidence.confirmed_bad.copy()
        elif isinstance(rule, SharedIdentifier):
            holds = np.zeros(len(score), dtype=np.bool_)
            for kind, (account, others, bad) in evidence.shared.items():
                if kind not in rule.except_kinds:
                    fits = (bad > 0) & (others <= rule.max_accounts) & (bad >= rule.min_bad_share * others)
                    holds[account[fits]] = True
        elif isinstance(rule, BlockedIdentifier):
            holds = evidence.blocked.copy()
        elif isinstance(rule, AttachedToConfirmedRing):
            # The rings run has placed every account: whoever is in no ring is attached to none.
            continue
        elif isinstance(rule, TiedToRing):
            holds = (
                (evidence.ring_size >= rule.min_size)
                & (evidence.ring_score >= rule.min_ring_score)
                & (evidence.ring_q_value <= rule.max_q_value)
            )
        else:
            holds = (evidence.ring_known_bad >= rule.min_known_bad) & (
                evidence.ring_known_bad >= rule.min_known_bad_share * evidence.ring_size
            )
        raised = holds & (decision < DECISIONS.index(rule.decision))
        level[raised] = np.maximum(level[raised], RISK_LEVELS.index(rule.level))
        decision[raised] = DECISIONS.index(rule.decision)
    return level, decision
