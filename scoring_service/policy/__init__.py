"""The policy: what turns a score and its evidence into a risk level and a decision."""

__all__ = [
    "Decided",
    "Evidence",
    "EvidenceTable",
    "Policy",
    "RingTie",
    "SharedUse",
    "decide",
    "decide_all",
    "files_of",
    "load_policy",
]

from scoring_service.policy.schemas import Policy
from scoring_service.policy.service import (
    Decided,
    Evidence,
    EvidenceTable,
    RingTie,
    SharedUse,
    decide,
    decide_all,
    files_of,
    load_policy,
)
