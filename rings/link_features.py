"""Sums, maxima and counts over an account's links, as of a position: inputs of the scores."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Final

import numpy as np

from features import FeatureSpec, asked_of, extras_of, graph_of, profiles
from rings.epochs import Epoch, before_all, epoch_places
from rings.links import LinkConfig, strengths_of
from rings.rows import FEATURE_WIDTH, feature_rows, over_threads

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from features import Queries, Source
    from features.visibility import Extras
    from rings.kernel import Strengths

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
    epochs: Sequence[Epoch] | None = None,
) -> NDArray[np.float32]:
    """Compute the features of links, and those of communities where epochs are given.

    Args:
        source: The graph.
        queries: ``Q`` questions; those about unseen accounts bring their edges.
        config: How links are weighed.
        extras: What `features.extras_of` gives for the questions, where it is known already.
        epochs: Communities as of some horizons, the earliest first; each question reads the last one that is
            not later than its own horizon.

    Returns:
        ``float32[Q, len(LINK_FEATURES)]``: only what is visible at each question's horizon goes in, no
        verdict does. NaN where a feature has no value. With epochs, the columns of `rings.community_specs`
        follow.
    """
    before = before_all(source)
    width = FEATURE_WIDTH if epochs is None else FEATURE_WIDTH + int((before.widths + 1).sum())
    out = np.empty((len(queries), width), np.float32)
    if len(queries) == 0:
        return out
    strengths = strengths_of(source, config)
    if epochs is None:
        _write(source, queries, strengths, extras, _without_levels(before), out)
        return out
    places = epoch_places(epochs, queries)
    for place in np.unique(places):
        epoch = before if place < 0 else epochs[place]
        rows = np.flatnonzero(places == place)
        if len(rows) == len(queries):
            _write(source, queries, strengths, extras, epoch, out)
        else:
            part = np.empty((len(rows), width), np.float32)
            _write(source, queries.take(rows), strengths, None, epoch, part)
            out[rows] = part
    return out


def _without_levels(epoch: Epoch) -> Epoch:
    """No levels at all: compiled code then writes no communities."""
    return replace(epoch, member=epoch.member[:0], widths=epoch.widths[:0])


def _write(
    source: Source,
    queries: Queries,
    strengths: Strengths,
    extras: Extras | None,
    epoch: Epoch,
    out: NDArray[np.float32],
) -> None:
    asked, brought = asked_of(queries), extras_of(source, queries) if extras is None else extras
    # Where all questions share one horizon and bring no edges, neighbours' profiles are computed once.
    shared = not len(queries.ext_node) and bool((queries.horizon == queries.horizon[0]).all())
    if shared and len(queries) >= _MANY:
        table = profiles(source, None, int(queries.horizon[0]))
    else:
        table = np.empty((0, 0), np.float32)
    graph = graph_of(source)

    def rows(first: int, last: int) -> None:
        feature_rows(
            graph,
            table,
            strengths,
            asked,
            brought,
            epoch.member,
            epoch.size,
            epoch.table,
            epoch.widths,
            first,
            last,
            out,
        )

    over_threads(rows, len(queries))
