"""Who acts together: links between accounts, rings, what proves them, in plain words."""

from rings.communities import CommunityConfig
from rings.epochs import (
    Epoch,
    around_specs,
    community_specs,
    epoch_at,
    epoch_horizons,
    epochs_of,
    neighbourhoods,
)
from rings.errors import RingsError, RingUnknown
from rings.find import find
from rings.link_features import LINK_FEATURES, link_features
from rings.links import LinkConfig, Links, links
from rings.run import RingsRun

__all__ = [
    "LINK_FEATURES",
    "CommunityConfig",
    "Epoch",
    "LinkConfig",
    "Links",
    "RingUnknown",
    "RingsError",
    "RingsRun",
    "around_specs",
    "community_specs",
    "epoch_at",
    "epoch_horizons",
    "epochs_of",
    "find",
    "link_features",
    "links",
    "neighbourhoods",
]
