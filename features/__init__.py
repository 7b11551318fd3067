"""As-of features: the registry of what is computed and the one kernel that computes it."""

from features.compute import asked_of, compute, extras_of, graph_of, profiles, registry_of, view_of
from features.contact import CONTACT_FEATURES, Contact, contact
from features.queries import MomentError, Queries, last_time_ms, moment_ms
from features.registry import FeatureSpec, Registry
from features.view import GraphView, Side

__all__ = [
    "CONTACT_FEATURES",
    "Contact",
    "FeatureSpec",
    "GraphView",
    "MomentError",
    "Queries",
    "Registry",
    "Side",
    "asked_of",
    "compute",
    "contact",
    "extras_of",
    "graph_of",
    "last_time_ms",
    "moment_ms",
    "profiles",
    "registry_of",
    "view_of",
]
