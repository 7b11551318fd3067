"""As-of features: the registry of what is computed and the one kernel that computes it."""

from features.compute import compute, profiles, registry_of, view_of
from features.queries import MomentError, Queries, last_time_ms, moment_ms
from features.registry import FeatureSpec, Registry
from features.view import GraphView, Side

__all__ = [
    "FeatureSpec",
    "GraphView",
    "MomentError",
    "Queries",
    "Registry",
    "Side",
    "compute",
    "last_time_ms",
    "moment_ms",
    "profiles",
    "registry_of",
    "view_of",
]
