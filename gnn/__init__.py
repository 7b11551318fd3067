"""Scores: GraphSAGE and boosted trees on as-of features, calibrated, explained, kept as a bundle."""

from gnn.bundle import Bundle, BundleError
from gnn.catalogue import REASON_CATALOGUE, ReasonKind
from gnn.reasons import Reason, reasons
from gnn.scorer import Scorer, ScoreResult
from gnn.train import train

__all__ = [
    "REASON_CATALOGUE",
    "Bundle",
    "BundleError",
    "Reason",
    "ReasonKind",
    "ScoreResult",
    "Scorer",
    "reasons",
    "train",
]
