"""Computing features: one path for a training set, a batch of scores and a single request."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from features.kernel import answer_all, answer_few
from features.opened import Opened, asked_of, extras_of, nothing_brought, open_graph
from features.profile import profile_all

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from features.live import Source
    from features.queries import Queries
    from features.registry import Registry
    from features.view import GraphView
    from features.visibility import Extras, Graph

# Below this many questions the threads cost more than they bring.
_FEW = 64


def view_of(source: Source) -> GraphView:
    """The compiled view of a snapshot, made once.

    Args:
        source: The snapshot, or the live graph over it.

    Returns:
        Its view.
    """
    return open_graph(source).view


def registry_of(source: Source) -> Registry:
    """The features that a schema gives.

    Args:
        source: The snapshot, or the live graph over it.

    Returns:
        Its registry.
    """
    return open_graph(source).registry


def graph_of(source: Source) -> Graph:
    """The arrays that compiled code of other modules reads.

    Args:
        source: The snapshot, or the live graph over it.

    Returns:
        Its graph, as it stands at this moment.
    """
    return open_graph(source).graph


def profiles(
    source: Source, accounts: NDArray[np.integer[Any]] | None = None, horizon: int | None = None
) -> NDArray[np.float32]:
    """Behaviour vectors of accounts, for similarity.

    Args:
        source: The graph.
        accounts: ``int[n]`` account indices; all if None.
        horizon: Entries with a position below it count; all if None.

    Returns:
        ``float32[n, D]``: attributes (numbers as signed logarithm, categories spread over slots), then for
        each side of each relation the logarithm of the number of counterparts and how common they are.
        No place is scaled by data, so a later row never changes an earlier profile.
    """
    opened = open_graph(source)
    picked = np.arange(source.n_accounts) if accounts is None else np.asarray(accounts)
    seen = source.end_horizon if horizon is None else horizon
    out = np.empty((len(picked), opened.width), dtype=np.float32)
    profile_all(opened.graph, picked.astype(np.int64), seen, nothing_brought(), out)
    return out


def compute(
    source: Source, queries: Queries, registry: Registry | None = None, extras: Extras | None = None
) -> NDArray[np.float32]:
    """Compute the live features of questions.

    Args:
        source: The graph.
        queries: ``Q`` questions.
        registry: The columns expected, as a bundle recorded them; checked against the graph's own.
        extras: What `extras_of` gives for the questions, where it is known already.

    Returns:
        ``float32[Q, F]`` in the registry's order; NaN where a feature has no value.

    Raises:
        ValueError: If the registry is not the one of the graph's schema.
    """
    opened = open_graph(source)
    if registry is not None and registry.names != opened.registry.names:
        message = (
            f"the features expected ({len(registry)}) are not those of snapshot {source.id} "
            f"({len(opened.registry)}). Train a bundle on this snapshot."
        )
        raise ValueError(message)
    out = np.empty((len(queries), len(opened.registry)), dtype=np.float32)
    if len(queries) == 0:
        return out
    extras = extras_of(source, queries) if extras is None else extras
    asked = asked_of(queries)
    if len(queries) < _FEW:
        answer_few(opened.graph, np.empty((0, opened.width), np.float32), asked, extras, out)
    else:
        answer_all(opened.graph, _shared_profiles(source, opened, queries), asked, extras, out)
    return out


def _shared_profiles(source: Source, opened: Opened, queries: Queries) -> NDArray[np.float32]:
    """Profiles of all accounts where all questions share one horizon and bring no edges, else none.

    They are what the kernel would compute for each neighbour anew, bit by bit.
    """
    horizon = int(queries.horizon[0])
    if len(queries.ext_node) or not (queries.horizon == horizon).all():
        return np.empty((0, opened.width), np.float32)
    return profiles(source, None, horizon)
