"""Answer of `DELETE /v1/accounts/{id}`."""

from typing import Any, Final, Self

from pydantic import BaseModel, Field

from graph_etl.erasure import Forgotten
from scoring_service.journal import Receipt


class ErasureReceipt(BaseModel):
    """What was forgotten; the store keeps the same, and neither names the account."""

    receipt_id: str
    rows_erased: int = Field(description="Rows of the journal that were the account's: a tombstone is left.")
    rows_altered: int = Field(description="Rows of others that named it, as the counterpart of a gift say.")
    answers_scrubbed: int = Field(description="Recorded answers to others that named it.")
    requests_dropped: int = Field(description="Answers kept for an Idempotency-Key that named it.")
    erasure_seq: int = Field(description="Row of the journal that says that an account was erased.")
    snapshots: list[str] = Field(
        description="Snapshots on disk that still hold it; the next build or refresh makes one that does not."
    )
    is_log_clean: bool = Field(description="Whether it left the database's log too; else a restart does it.")

    @classmethod
    def of(cls, receipt: Receipt, forgotten: Forgotten) -> Self:
        """Put what the journal did beside what the builds to come will do.

        Args:
            receipt: What the journal erased.
            forgotten: What builds were told.

        Returns:
            Both.
        """
        return cls(
            receipt_id=receipt.receipt_id,
            rows_erased=receipt.rows_erased,
            rows_altered=receipt.rows_altered,
            answers_scrubbed=receipt.answers_scrubbed,
            requests_dropped=receipt.requests_dropped,
            erasure_seq=receipt.erasure_seq,
            snapshots=list(forgotten.snapshots),
            is_log_clean=receipt.is_log_clean,
        )


RECEIPT: Final[dict[str, Any]] = {
    "receipt_id": "er_5b0d2a1f9c34",
    "rows_erased": 14,
    "rows_altered": 2,
    "answers_scrubbed": 1,
    "requests_dropped": 0,
    "erasure_seq": 48231,
    "snapshots": ["s1f0c77ab2e90"],
    "is_log_clean": True,
}
