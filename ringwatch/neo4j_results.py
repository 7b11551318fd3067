"""What the current bundle and rings run say of a snapshot, as tables that can be written into Neo4j."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np
import polars as pl

from graph_etl.neo4j_store import Results
from graph_etl.progress import silent
from graph_etl.workspace import WorkspaceError
from ringwatch.tables import open_rings

if TYPE_CHECKING:
    from collections.abc import Callable

    from graph_etl import Snapshot, Workspace
    from rings import Links, RingsRun
    from scoring_service.policy import Policy

_DIRECT: Final = "dealt with each other"
_SYNCHRONY: Final = "appeared side by side and behave alike"


def gather_results(
    place: Workspace,
    snapshot: Snapshot,
    policy: Policy,
    *,
    progress: Callable[[str, int, int], None] | None = None,
) -> Results:
    """Gather scores, risk levels, rings and links that are in use.

    Args:
        place: The workspace.
        snapshot: Its current snapshot.
        policy: Turns scores into risk levels.
        progress: Told the step, what is done and of how much.

    Returns:
        The tables.

    Raises:
        WorkspaceError: If there is no bundle, or no rings on the snapshot that this bundle's scores ranked.
    """
    from gnn import Bundle
    from rings import LinkConfig, links
    from ringwatch.scores import current_scores
    from scoring_service import decisions

    tell = progress or silent
    version = place.current()["bundle"]
    if version is None:
        message = f"{place.path}: no bundle yet; make one with `ringwatch train`"
        raise WorkspaceError(message)
    run = open_rings(place, snapshot)
    if run is None:
        message = f"{place.path}: no rings on snapshot {snapshot.id} yet; find them with `ringwatch rings`"
        raise WorkspaceError(message)
    if run.manifest["bundle"] != version:
        ranked_by = run.manifest["bundle"] or "no bundle"
        message = (
            f"{place.path}: rings {run.id} were ranked with {ranked_by}, in use is {version}; "
            "find them again with `ringwatch rings`"
        )
        raise WorkspaceError(message)
    tell("scores", 0, 1)
    scores = current_scores(place, snapshot, version).table(snapshot)
    bundle = Bundle.open(place.path_of("bundle", version))
    accounts = decisions(snapshot, bundle, run, policy=policy, scores=scores)
    tell("links", 0, 1)
    found = links(snapshot, snapshot.end_horizon, LinkConfig(**run.manifest["links"]))
    return Results(
        data=snapshot.manifest["name"],
        key_fingerprint=snapshot.manifest["key_fingerprint"],
        snapshot=snapshot.id,
        bundle=version,
        run=run.id,
        accounts=accounts.select("account", "score", "percentile", "risk_level", "ring"),
        rings=_ring_table(run),
        members=run.members.select("ring", pl.col("account_id").alias("account"), "role", "weight"),
        links=link_table(snapshot, found),
    )


def _ring_table(run: RingsRun) -> pl.DataFrame:
    return run.table.sort("rank").select(
        "ring",
        "rank",
        "score",
        "size",
        "density",
        "synchrony",
        "p_value",
        "q_value",
        pl.col("n_known_bad").alias("known_bad"),
        "words",
    )


def link_table(snapshot: Snapshot, links: Links) -> pl.DataFrame:
    """Name the links' ends and what speaks for each link.

    Args:
        snapshot: The snapshot.
        links: Its links.

    Returns:
        Columns ``a``, ``b`` (account indices, the smaller id first), ``weight`` (six digits), ``because``
        (for example ``shared device; dealt with each other``); sorted by ``a``, then ``b``.
    """
    ids = pl.Series(snapshot.account_ids.to_list(), dtype=pl.String)
    place = np.empty(len(ids), np.int64)
    place[ids.arg_sort().to_numpy()] = np.arange(len(ids))
    first = place[links.a] < place[links.b]
    return pl.DataFrame(
        {
            "a": np.where(first, links.a, links.b),
            "b": np.where(first, links.b, links.a),
            "weight": links.weight.astype(np.float64).round(6),
            "because": _because(snapshot, links),
        }
    ).sort("a", "b")


def _because(snapshot: Snapshot, links: Links) -> pl.Series:
    from rings.links import DIRECT, SHARED, SYNCHRONY

    kind = np.where(links.via >= 0, np.asarray(snapshot.node_kind)[links.via], -1).astype(np.int64)
    # Few combinations of sources and kinds: each is put into words once.
    code = links.source.astype(np.int64) * (len(snapshot.kinds) + 1) + kind + 1
    found, which = np.unique(code, return_inverse=True)
    texts = []
    for source, shared in zip(*np.divmod(found, len(snapshot.kinds) + 1), strict=True):
        reasons = []
        if source & SHARED:
            name = snapshot.kinds[shared - 1].name if shared else "entity"
            reasons.append(f"shared {name.replace('_', ' ')}")
        if source & DIRECT:
            reasons.append(_DIRECT)
        if source & SYNCHRONY:
            reasons.append(_SYNCHRONY)
        texts.append("; ".join(reasons))
    return pl.Series(texts, dtype=pl.String).gather(which)
