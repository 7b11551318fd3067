"""The journal: what was accepted, in one order, and what was answered."""

__all__ = [
    "Answered",
    "CommitFigures",
    "Entry",
    "GroupCommit",
    "IdempotencyConflict",
    "IdempotencyUse",
    "Journal",
    "JournalInUse",
    "JournalMissing",
    "JournalUnavailable",
    "Kept",
    "Receipt",
    "Remembered",
    "Retained",
    "RetentionRule",
    "follow",
]

from scoring_service.database.errors import JournalInUse, JournalMissing, JournalUnavailable
from scoring_service.journal.entries import (
    Answered,
    Entry,
    IdempotencyConflict,
    IdempotencyUse,
    Kept,
    Remembered,
)
from scoring_service.journal.erasure import Receipt
from scoring_service.journal.following import follow
from scoring_service.journal.group_commit import CommitFigures, GroupCommit
from scoring_service.journal.journal import Journal
from scoring_service.journal.retention import Retained, RetentionRule
