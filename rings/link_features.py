"""Sums, maxima and counts over an account's links, as of a position: inputs of the scores."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np

from features import FeatureSpec, asked_of, extras_of, graph_of, profiles
from rings.links import LinkConfig, strengths_of
from rings.rows import FEATURE_WIDTH, feature_rows, over_threads

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from features import Queries, Source
    from features.visibility import Extras

_NAMES: Final = (
    ("count", "accounts linked to it, log"),
    ("sum", "sum of its links' weights, log"),
    ("norm", "root of the sum of its links' squared weights"),
    ("max", "weight of its strongest link"),
    ("over_10", "links of weight over 0.1, log"),
    ("over_30", "links of weight over 0.3, log"),
    ("over_60", "links of weight over 0.6, log"),
    ("alike", "similarity of linked accounts, weighted mean"),
    ("shared_count", "linked accounts that share something with it, log"),
    ("shared_sum", "sum of rarity and closeness over what it shares, log"),
    ("shared_max", "most that it shares with one account, by rarity and closeness"),
    ("common_max", "most things shared with one account"),
    ("common_repeats", "things shared beyond the first, over all linked accounts, log"),
    ("via_users", "accounts on the thing that says most of its closest partner, log2"),
    ("direct_count", "linked accounts that it dealt with, log"),
    ("direct_sum", "sum of strengths of direct interactions, log"),
    ("direct_max", "weight of the strongest link with an account that it dealt with"),
    ("synchrony_count", "linked accounts that appeared beside it and behave alike, log"),
    ("synchrony_sum", "sum of synchrony"),
    ("synchrony_max", "synchrony with one account, most"),
    ("within_1h", "weights of links with accounts that appeared within about an hour, sum"),
    ("within_1d", "weights of links with accounts that appeared within about a day, sum"),
    ("within_7d", "weights of links with accounts that appeared within about a week, sum"),
    ("twins", "accounts that share something with it and behave alike, log"),
)

LINK_FEATURES: Final = tuple(
    FeatureSpec(f"link.{name}", "link", "link", description) for name, description in _NAMES
)
"""The columns of `link_features`."""

# From this many questions on the profiles of all accounts are computed first, to the same bits.
_MANY = 64


def link_features(
    source: Source,
    queries: Queries,
    config: LinkConfig | None = None,
    extras: Extras | None = None,
) -> NDArray[np.float32]:
    """Compute the link features of questions.

    Args:
        source: The graph.
        queries: ``Q`` questions; those about unseen accounts bring their edges.
        config: How links are weighed.
        extras: What `features.extras_of` gives for the questions, where it is known already.

    Returns:
        ``float32[Q, len(LINK_FEATURES)]``: only what is visible at each question's horizon goes in, no
        verdict does. NaN where a feature has no value.
    """
    out = np.empty((len(queries), FEATURE_WIDTH), np.float32)
    if len(queries) == 0:
        return out
    strengths = strengths_of(source, config)
    asked, brought = asked_of(queries), extras_of(source, queries) if extras is None else extras
    # Where all questions share one horizon and bring no edges, neighbours' profiles are computed once.
    shared = not len(queries.ext_node) and bool((queries.horizon == queries.horizon[0]).all())
    if shared and len(queries) >= _MANY:
        table = profiles(source, None, int(queries.horizon[0]))
    else:
        table = np.empty((0, 0), np.float32)
    graph = graph_of(source)

    def rows(first: int, last: int) -> None:
        feature_rows(graph, table, strengths, asked, brought, first, last, out)

    over_threads(rows, len(queries))
    return out
