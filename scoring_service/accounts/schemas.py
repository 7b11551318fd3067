"""Answers of `GET /v1/accounts/{id}` and of its reasons."""

from typing import Any, Literal

from pydantic import BaseModel, Field

from scoring_service.policy.schemas import Decision, RiskLevel
from scoring_service.risk.schemas import RiskReason


class SharedIdentifier(BaseModel):
    """An identifier of an account and how many use it."""

    kind: str
    key: str = Field(description="Keyed hash, or the value itself where the kind is public.")
    accounts: int = Field(description="Accounts that used it, this one included.")
    known_bad: int | None = Field(description="Confirmed bad accounts among the others; null for a hub.")
    is_hub: bool = Field(description="Too common to link anybody.")


class Verdict(BaseModel):
    """The last verdict on an account."""

    label: Literal["bad", "good"]
    known_at: str | None
    reason: str | None


class GivenLabel(BaseModel):
    """One entry of the history of verdicts on an account."""

    label: Literal["bad", "good", "undone"] = Field(description="`undone`: the one before it was taken back.")
    known_at: str | None
    source: str | None = Field(description="Who gave it; null where it came with the files.")
    abuse_type: str | None
    reason: str | None


class AccountRing(BaseModel):
    """The ring of an account."""

    id: str
    rank: int
    role: str | None = Field(description="Null where only its identifiers lead there.")
    membership: Literal["member", "shares_identifier"] = Field(
        description="`shares_identifier`: it is newer than the rings, and its identifiers lead there."
    )


class AccountAnswer(BaseModel):
    """What is known of an account at this moment."""

    id: str
    score: float | None = Field(
        description="The bundle's score of the whole history (`retrospective`), 0 to 1."
    )
    percentile: float | None = Field(description="Share of the graph's accounts that score lower, 0 to 100.")
    calibrated: bool
    risk_level: RiskLevel
    decision: Decision
    rule: str = Field(description="What settled the decision.")
    policy: str = Field(description="Name and version of the policy.")
    ring: AccountRing | None
    verdict: Verdict | None
    labels: list[GivenLabel] = Field(description="All verdicts on it, the oldest first, at most the last 50.")
    first_seen: str | None
    last_seen: str | None
    attributes: dict[str, Any]
    identifiers: list[SharedIdentifier] = Field(description="The rarest first, at most 100.")
    identifiers_total: int
    model_version: str | None
    graph_as_of: str | None
    simulated: bool


class Carrier(BaseModel):
    """A piece of evidence and what it carries of the score."""

    what: str = Field(description="Kind and key, an account, or a way of acting.")
    words: str
    score: float = Field(description="The score without it.")
    log_odds: float | None = Field(
        description="Its share of the log odds that all of its list carry; null where they overlap."
    )
    evidence: dict[str, Any]


class LeastSet(BaseModel):
    """Nodes without which the score is low, none of which can be left out."""

    pieces: list[str]
    words: str
    score: float
    goal: float = Field(
        description="What was to be reached: the policy's review threshold, or half the score."
    )


class Carriers(BaseModel):
    """What carries the score, the weightiest first; docs/reasons.md says how it is found."""

    nodes: list[Carrier] = Field(description="What the account shares; log odds add up to `of_nodes`.")
    accounts: list[Carrier] = Field(description="Accounts linked to it; log odds add up to `of_accounts`.")
    relations: list[Carrier] = Field(description="Its ways of acting, which overlap.")
    of_nodes: float = Field(description="Log odds of the score less those without all of `nodes`.")
    of_accounts: float = Field(description="Log odds of the score less those without all of `accounts`.")
    least: LeastSet | None = Field(description="Null where even all of `nodes` do not bring the score down.")


class AccountReasons(BaseModel):
    """Why an account scores as it does."""

    id: str
    score: float | None
    percentile: float | None
    reasons: list[RiskReason]
    carriers: Carriers | None = Field(
        default=None, description="Null with `counterfactuals=false` and for the account's owner."
    )
    model_version: str | None
    graph_as_of: str | None
    simulated: bool
