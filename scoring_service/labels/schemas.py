"""Requests and answers of `/v1/labels` and `/v1/not-linked`."""

from typing import Any, Final, Literal

from pydantic import BaseModel, ConfigDict, Field

from scoring_service.risk.schemas import IdText, Timestamp

Source = Literal["analyst", "system", "appeal", "rule", "partner"]


class LabelRequest(BaseModel):
    """A verdict on an account."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    account: IdText
    label: Literal["bad", "good"]
    source: Source
    abuse_type: str | None = Field(
        default=None, min_length=1, max_length=64, description="What the account did, such as `ban_evasion`."
    )
    reason: str | None = Field(
        default=None,
        min_length=1,
        max_length=1000,
        description="Why. Kept as it is: write no identifier into it.",
    )
    known_at: Timestamp = Field(
        default=None,
        description="From when on it was known; now if left out. It counts from now on either way.",
    )


class LabelAnswer(BaseModel):
    """A verdict that was kept, or taken back."""

    account_id: str
    label: Literal["bad", "good"] | None = Field(description="Null where a verdict was taken back.")
    known_at: str
    event_seq: int = Field(description="Its position in the journal.")


class NotLinkedRequest(BaseModel):
    """Two accounts that have nothing to do with each other, whatever they share."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    account: IdText
    other: IdText
    expires_at: Timestamp = Field(default=None, description="When that ends; never if left out.")
    reason: str | None = Field(
        default=None,
        min_length=1,
        max_length=1000,
        description="Why. Kept as it is: write no identifier into it.",
    )


class NotLinkedAnswer(BaseModel):
    """Two accounts that were called not linked, or no longer are."""

    account_id: str
    other_id: str
    not_linked: bool
    expires_at: str | None
    event_seq: int = Field(description="Its position in the journal.")


LABEL_REQUEST: Final[dict[str, Any]] = {
    "account": "player-00017",
    "label": "bad",
    "source": "analyst",
    "abuse_type": "multi_account",
    "reason": "same selfie as player-00018",
}
LABEL_ANSWER: Final[dict[str, Any]] = {
    "account_id": "player-00017",
    "label": "bad",
    "known_at": "2026-03-01T09:40:00Z",
    "event_seq": 48115,
}
UNDONE_ANSWER: Final[dict[str, Any]] = {**LABEL_ANSWER, "label": None, "event_seq": 48116}
NOT_LINKED_REQUEST: Final[dict[str, Any]] = {
    "account": "player-00017",
    "other": "player-00018",
    "expires_at": "2026-09-01T00:00:00Z",
    "reason": "siblings",
}
NOT_LINKED_ANSWER: Final[dict[str, Any]] = {
    "account_id": "player-00017",
    "other_id": "player-00018",
    "not_linked": True,
    "expires_at": "2026-09-01T00:00:00Z",
    "event_seq": 48117,
}
LINKED_ANSWER: Final[dict[str, Any]] = {**NOT_LINKED_ANSWER, "not_linked": False, "expires_at": None}
