"""The shape of a policy file; docs/policy.md describes it for those who write one."""

from functools import cached_property
from itertools import pairwise
from typing import Annotated, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

Decision = Literal["allow", "challenge", "review", "deny"]
RiskLevel = Literal["low", "medium", "high", "critical"]

DECISIONS: tuple[Decision, ...] = ("allow", "challenge", "review", "deny")
"""From the mildest to the hardest; evidence moves a decision only to the right."""

RISK_LEVELS: tuple[RiskLevel, ...] = ("low", "medium", "high", "critical")
"""From the lowest to the highest."""

DEFAULT_MOMENT = "default"


class _Strict(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Threshold(_Strict):
    """A level and what it takes to reach it.

    `deny` is no possible decision here: a score alone never denies.
    """

    level: RiskLevel
    score: float = Field(ge=0, le=1, description="Calibrated probability from which the level holds.")
    percentile: float = Field(ge=0, le=100, description="Used instead where the bundle is not calibrated.")
    decision: Literal["allow", "challenge", "review"]


class _Rule(_Strict):
    about: str = ""
    moments: tuple[str, ...] = Field(default=(), description="Moments at which the rule holds; empty: all.")
    level: RiskLevel
    decision: Decision

    def applies_at(self, moment: str) -> bool:
        """Whether the rule counts at a moment."""
        return not self.moments or moment in self.moments


class ConfirmedAccount(_Rule):
    """The account itself has a confirmed bad verdict."""

    rule: Literal["confirmed_bad_account"]


class SharedIdentifier(_Rule):
    """The account uses a rare identifier that a confirmed bad account used."""

    rule: Literal["shares_rare_identifier_with_confirmed_bad"]
    except_kinds: tuple[str, ...] = Field(default=(), description="Kinds that do not count.")
    max_accounts: int = Field(ge=1, le=256, description="An identifier that more accounts used is not rare.")
    min_bad_share: float = Field(
        default=0.0, ge=0, le=1, description="Confirmed bad among the other accounts that used it, at least."
    )


class ConfirmedRing(_Rule):
    """The account belongs to a ring that is confirmed by the verdicts on its members."""

    rule: Literal["member_of_confirmed_ring"]
    min_known_bad: int = Field(ge=1)
    min_known_bad_share: float = Field(default=0.0, ge=0, le=1)


class TiedToRing(_Rule):
    """The account, or a rare identifier of it, belongs to a ring that ranks high and is no chance."""

    rule: Literal["tied_to_ring"]
    min_ring_score: float = Field(ge=0, le=1)
    min_size: int = Field(ge=2)
    max_q_value: float = Field(ge=0, le=1)
    decision: Literal["allow", "challenge", "review"]


class AttachedToConfirmedRing(_Rule):
    """A rare identifier of the account leads to a ring that is confirmed; the account itself is not in it."""

    rule: Literal["attached_to_confirmed_ring"]
    min_known_bad: int = Field(ge=1)
    min_known_bad_share: float = Field(default=0.0, ge=0, le=1)
    max_accounts: int = Field(ge=1, le=256, description="An identifier that more accounts used is not rare.")
    decision: Literal["allow", "challenge", "review"]


class BlockedIdentifier(_Rule):
    """The event brings an identifier that stands on the block list."""

    rule: Literal["blocked_identifier"]


EvidenceRule = Annotated[
    ConfirmedAccount
    | BlockedIdentifier
    | SharedIdentifier
    | ConfirmedRing
    | AttachedToConfirmedRing
    | TiedToRing,
    Field(discriminator="rule"),
]

BlockedKeys = dict[str, tuple[Annotated[str, Field(min_length=1, max_length=1024)], ...]]
"""By kind the keys as `ringwatch hash KIND` prints them; of public kinds the normalised values."""


class BlockList(_Strict):
    """Identifiers that nobody may come with.

    Attributes:
        file: A file of the form of `keys`, relative to the policy file; its keys count beside `keys`.
        keys: The keys by kind.
    """

    file: str | None = None
    keys: BlockedKeys = Field(default_factory=dict)


class Fallback(_Strict):
    """The answer when nothing is known."""

    level: RiskLevel
    decision: Literal["allow", "challenge", "review"]


class Policy(_Strict):
    """A versioned policy.

    Attributes:
        policy: Version of the file's format.
        name: Name of the policy.
        version: Raised with every change; answers carry it.
        description: One line.
        moments: Thresholds by moment (`signup`, `1d`, `retrospective`, …); `default` for those not named.
        evidence: What raises a decision, whatever the score.
        blocked: What the rule `blocked_identifier` looks for.
        fallback: The answer when neither a score nor an identifier's reputation is there.
    """

    policy: Literal[1]
    name: str = Field(pattern=r"^[a-z][a-z0-9_-]{0,62}$")
    version: int = Field(ge=1)
    description: str = ""
    moments: dict[str, tuple[Threshold, ...]]
    evidence: tuple[EvidenceRule, ...] = ()
    blocked: BlockList = BlockList()
    fallback: Fallback

    @model_validator(mode="after")
    def _check_moments(self) -> Self:
        if DEFAULT_MOMENT not in self.moments:
            message = f"moments must hold '{DEFAULT_MOMENT}' for the moments that it does not name"
            raise ValueError(message)
        for moment, thresholds in self.moments.items():
            if not thresholds:
                message = f"moments.{moment} must hold at least one threshold"
                raise ValueError(message)
            if thresholds[-1].score > 0 or thresholds[-1].percentile > 0:
                message = f"moments.{moment} must end with a level from score 0 and percentile 0 on"
                raise ValueError(message)
            for higher, lower in pairwise(thresholds):
                if RISK_LEVELS.index(higher.level) <= RISK_LEVELS.index(lower.level):
                    message = f"moments.{moment} must go from the highest level to the lowest"
                    raise ValueError(message)
                if higher.score < lower.score or higher.percentile < lower.percentile:
                    message = (
                        f"moments.{moment}: {higher.level} must not be easier to reach than {lower.level}"
                    )
                    raise ValueError(message)
                if DECISIONS.index(higher.decision) < DECISIONS.index(lower.decision):
                    message = f"moments.{moment}: {higher.level} must not be milder than {lower.level}"
                    raise ValueError(message)
        return self

    @cached_property
    def blocked_keys(self) -> frozenset[tuple[str, str]]:
        """Kind and key of every identifier on the block list."""
        return frozenset((kind, key) for kind, keys in self.blocked.keys.items() for key in keys)

    @cached_property
    def most_users_looked_at(self) -> int:
        """Other accounts on an identifier beyond which no rule about shared identifiers can hold."""
        return max(
            (rule.max_accounts for rule in self.evidence if isinstance(rule, SharedIdentifier)), default=0
        )

    def review_score(self, moment: str) -> float | None:
        """Return the lowest calibrated score that is reviewed at a moment, None if no score is."""
        reviewed = [one.score for one in self.thresholds(moment) if one.decision == "review"]
        return min(reviewed, default=None)

    def thresholds(self, moment: str) -> tuple[Threshold, ...]:
        """Return the thresholds of a moment, the default ones where it has none of its own."""
        return self.moments.get(moment, self.moments[DEFAULT_MOMENT])
