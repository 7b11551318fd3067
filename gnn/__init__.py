"""Scores: GraphSAGE and boosted trees on as-of features, calibrated, explained, kept as a bundle."""

from gnn.bundle import Bundle, BundleError
from gnn.scorer import Scorer, ScoreResult
from gnn.train import train

__all__ = ["Bundle", "BundleError", "ScoreResult", "Scorer", "train"]
