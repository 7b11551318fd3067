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


class AccountReasons(BaseModel):
    """Why an account scores as it does."""

    id: str
    score: float | None
    percentile: float | None
    reasons: list[RiskReason]
    model_version: str | None
    graph_as_of: str | None
    simulated: bool
