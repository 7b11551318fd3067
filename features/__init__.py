"""As-of features: the registry of what is computed and the one kernel that computes it, live or in bulk."""

from features.compute import compute, graph_of, profiles, registry_of, view_of
from features.contact import CONTACT_FEATURES, Contact, contact
from features.live import LiveGraph, LiveGraphFull, LiveOrderError, Source
from features.opened import asked_of, extras_of
from features.queries import MomentError, Queries, last_time_ms, moment_ms
from features.registry import FeatureSpec, Registry
from features.reputation import REPUTATION_FEATURES, Reputation, reputation
from features.verdicts import KnownBad, known_bad_of
from features.view import GraphView, Side

__all__ = [
    "CONTACT_FEATURES",
    "REPUTATION_FEATURES",
    "Contact",
    "FeatureSpec",
    "GraphView",
    "KnownBad",
    "LiveGraph",
    "LiveGraphFull",
    "LiveOrderError",
    "MomentError",
    "Queries",
    "Registry",
    "Reputation",
    "Side",
    "Source",
    "asked_of",
    "compute",
    "contact",
    "extras_of",
    "graph_of",
    "known_bad_of",
    "last_time_ms",
    "moment_ms",
    "profiles",
    "registry_of",
    "reputation",
    "view_of",
]
